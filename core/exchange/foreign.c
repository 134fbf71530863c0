#include "exchange/foreign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/files.h"
#include "base/mapped.h"
#include "detect/saved.h"
#include "exchange/arrays.h"
#include "exchange/sae_lens.h"
#include "exchange/weights.h"

const char *il_foreign_name(il_foreign_format format)
{
    static const char *const names[] = {"any",         "saelens", "sparsify",
                                        "gemma_scope", "probe",   "gguf"};

    return (size_t)format < sizeof names / sizeof names[0] ? names[format] : NULL;
}

static bool is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool holds(const char *folder, const char *name)
{
    char *path = il_path_join(folder, name);
    bool there = path != NULL && il_file_exists(path);

    free(path);
    return there;
}

static il_status tell_folder(const char *path, il_foreign_format *out, il_error *err)
{
    bool config = holds(path, "cfg.json");

    if (config && holds(path, "sae_weights.safetensors")) {
        *out = IL_FOREIGN_SAELENS;
    } else if (config && holds(path, "sae.safetensors")) {
        *out = IL_FOREIGN_SPARSIFY;
    } else if (holds(path, "params.npz") || holds(path, "params.safetensors")) {
        *out = IL_FOREIGN_GEMMA_SCOPE;
    } else if (holds(path, "ae.pt")) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "a dictionary of dictionary_learning, pickled: "
                            "tools/convert/dictionary_learning.py turns it into a "
                            "SAELens folder");
    } else {
        return il_error_set(
            err, IL_ERR_INPUT, path,
            "expected a folder with cfg.json and sae_weights.safetensors (SAELens) or "
            "sae.safetensors (sparsify), or with params.npz or params.safetensors (Gemma "
            "Scope)%s",
            config ? ": cfg.json is there and the weights are not" : "");
    }
    return IL_OK;
}

/* What the first bytes say of a file that is no bundle of arrays. */
static il_status tell_bytes(const char *path, il_foreign_format *out, il_error *err)
{
    il_mapped m = {.data = NULL};
    const unsigned char *p;
    il_status status;

    IL_TRY(il_mapped_open(&m, path, err));
    p = m.data;
    status = IL_OK;
    if (m.size >= 4 && memcmp(p, "GGUF", 4) == 0) {
        *out = IL_FOREIGN_GGUF;
    } else if (m.size >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "a pickle, which would run code as it is read: save "
                              "arrays as .npz or safetensors");
    }
    il_mapped_close(&m);
    return status;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static const char *const pickled[] = {".pt", ".pth", ".pkl", ".pickle", ".joblib"};

/* Arrays are an SAE's or a probe's by their names. */
static il_status tell_bundle(const char *path, il_foreign_format *out, il_error *err)
{
    il_arrays *b = NULL;
    il_saved *saved = NULL;
    il_status status = IL_OK;

    for (size_t i = 0; i < sizeof pickled / sizeof pickled[0]; i++) {
        if (ends_in(path, pickled[i])) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "a %s file is pickled inside, and would run code as it "
                                "is read: save arrays as .npz or safetensors",
                                pickled[i]);
        }
    }
    if (ends_in(path, ".safetensors") && il_saved_open(&saved, path, NULL) == IL_OK) {
        il_saved_close(saved);
        return il_error_set(err, IL_ERR_INPUT, path,
                            "a detector as this program saves it: a pipeline takes it "
                            "by `from`, there is nothing to import");
    }
    IL_TRY(il_arrays_open(&b, path, err));
    if ((il_arrays_has(b, "W_enc") || il_arrays_has(b, "w_enc")) &&
        il_arrays_has(b, "threshold")) {
        *out = IL_FOREIGN_GEMMA_SCOPE;
    } else if (il_arrays_has(b, "W_enc") || il_arrays_has(b, "W_dec")) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "weights of an SAE without what says how it computes: "
                              "name the folder that has its cfg.json");
    } else {
        *out = IL_FOREIGN_PROBE;
    }
    il_arrays_close(b);
    return status;
}

static il_status tell(const char *path, il_foreign_format *out, il_error *err)
{
    if (is_folder(path)) {
        return tell_folder(path, out, err);
    }
    IL_TRY(tell_bytes(path, out, err));
    return *out == IL_FOREIGN_ANY ? tell_bundle(path, out, err) : IL_OK;
}

/* Rows that lie beside an SAE, of its width. */
static il_status read_rows(il_foreign *f, const char *folder, il_error *err)
{
    const il_dictionary *d = &f->dictionary;
    char *path = il_path_join(folder, "expected.safetensors");
    const il_array *a = NULL;
    il_arrays *b = NULL;
    int64_t x[2] = {0, d->width};
    int64_t y[2] = {0, d->features};
    il_status status = IL_OK;

    if (path == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, folder, "out of memory");
    }
    if (!is_folder(folder) || !il_file_exists(path)) {
        free(path);
        return IL_OK;
    }
    status = il_arrays_open(&b, path, err);
    if (status == IL_OK) {
        status = il_arrays_array(b, "x", &a, err);
    }
    if (status == IL_OK) {
        f->row_count = x[0] = y[0] = a->ndim > 0 ? a->shape[0] : 0;
        status = il_arrays_floats(b, "x", 2, x, &f->rows, err);
    }
    if (status == IL_OK && il_arrays_has(b, "features")) {
        status = il_arrays_floats(b, "features", 2, y, &f->features, err);
    }
    if (status == IL_OK && il_arrays_has(b, "output")) {
        status = il_arrays_floats(b, "output", 2, x, &f->output, err);
    }
    il_arrays_close(b);
    free(path);
    return status;
}

static il_status read_scope(il_foreign *f, const char *path, il_error *err)
{
    const char *name = holds(path, "params.npz") ? "params.npz" : "params.safetensors";
    char *inside = is_folder(path) ? il_path_join(path, name) : strdup(path);
    il_status status = inside != NULL
                           ? il_gemma_scope_read(&f->dictionary, inside, &f->said, err)
                           : il_error_set(err, IL_ERR_MEMORY, path, "out of memory");

    free(inside);
    return status;
}

static il_status read_it(il_foreign *f, const char *path, il_error *err)
{
    switch (f->format) {
    case IL_FOREIGN_SAELENS:
        IL_TRY(il_sae_lens_read(&f->dictionary, path, &f->said, err));
        break;
    case IL_FOREIGN_SPARSIFY:
        IL_TRY(il_sparsify_read(&f->dictionary, path, &f->said, err));
        break;
    case IL_FOREIGN_GEMMA_SCOPE:
        IL_TRY(read_scope(f, path, err));
        break;
    case IL_FOREIGN_GGUF:
        return il_direction_read_gguf(&f->directions, path, &f->said, err);
    default:
        IL_TRY(il_direction_read_probe(&f->directions, path, &f->said, err));
        f->rows = f->directions.rows;
        f->scores = f->directions.logits;
        f->row_count = f->directions.row_count;
        f->directions.rows = NULL; /* now of the file as a whole */
        f->directions.logits = NULL;
        return IL_OK;
    }
    f->is_dictionary = true;
    return read_rows(f, path, err);
}

il_status il_foreign_open(il_foreign **out, const char *path, il_foreign_format format,
                          il_error *err)
{
    il_foreign *f = calloc(1, sizeof *f);
    il_status status = IL_OK;

    if (f == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    f->format = format;
    if (format == IL_FOREIGN_ANY) {
        status = tell(path, &f->format, err);
    }
    if (status == IL_OK) {
        status = read_it(f, path, err);
    }
    if (status == IL_OK && f->said.failed) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    if (status != IL_OK) {
        il_foreign_close(f);
        return status;
    }
    *out = f;
    return IL_OK;
}

void il_foreign_close(il_foreign *f)
{
    if (f == NULL) {
        return;
    }
    il_dictionary_clear(&f->dictionary);
    il_directions_clear(&f->directions);
    il_text_free(&f->said);
    free(f->rows);
    free(f->features);
    free(f->output);
    free(f->scores);
    free(f);
}
