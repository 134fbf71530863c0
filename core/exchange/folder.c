/* Folders of weights, written: see folder.h. All of it is made in a folder beside,
 * which then takes the name. */
#include "exchange/folder.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/compiler.h"
#include "base/files.h"

enum { ADAPTERS_MAX = 64 };

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* ---- numbers -------------------------------------------------------------------- */

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* To nearest, ties to even; NaN stays one. */
static uint16_t brain_of(float x)
{
    const uint32_t bits = bits_of(x);

    if (isnan(x)) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* The same; what is too large becomes infinite. */
static uint16_t half_of(float x)
{
    const uint32_t bits = bits_of(x);
    const uint32_t sign = bits >> 16 & 0x8000;
    const uint32_t size = bits & 0x7fffffff;
    uint32_t rest;

    if (size > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (size >= 0x477ff000) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (size < 0x38800000) { /* below the normal range: whole numbers of 2^-24 */
        return (uint16_t)(sign | (uint32_t)lrint(ldexp((double)fabsf(x), 24)));
    }
    rest = size - (112u << 23);
    return (uint16_t)(sign | (rest + 0xfff + (rest >> 13 & 1)) >> 13);
}

/* One parameter's numbers as the folder has them, into memory of the caller. */
static il_status narrow(void *out, const float *x, int64_t n, il_dtype dtype,
                        const char *name, il_error *err)
{
    uint16_t *halves = out;

    for (int64_t i = 0; i < n; i++) {
        if (dtype.code == IL_CODE_BFLOAT) {
            halves[i] = brain_of(x[i]);
            continue;
        }
        halves[i] = half_of(x[i]);
        if (isfinite(x[i]) && (halves[i] & 0x7fff) == 0x7c00) {
            return il_error_set(err, IL_ERR_INPUT, name,
                                "f16 cannot hold %g; save it as f32 or bf16",
                                (double)x[i]);
        }
    }
    return IL_OK;
}

/* ---- parameters ----------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text);
    const size_t k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* What an adapter's parameter is called: MODULE.lora_A.weight, or of a named one
 * MODULE.lora_A.NAME.weight; the same with B. */
typedef struct adapter_name {
    int module; /* bytes of the module's name */
    char part;  /* 'A' or 'B' */
    char name[64];
} adapter_name;

static bool parse_adapter(const char *text, adapter_name *out)
{
    static const char end[] = ".weight";
    const char *at = strstr(text, ".lora_");
    const char *rest = at != NULL ? at + 7 : "";
    size_t n;

    if (at == NULL || (at[6] != 'A' && at[6] != 'B') || !ends_with(rest, end)) {
        return false;
    }
    n = strlen(rest) - strlen(end);
    if (n >= sizeof out->name + 1 || (n > 0 && rest[0] != '.')) {
        return false;
    }
    memset(out, 0, sizeof *out);
    out->module = (int)(at - text);
    out->part = at[6];
    if (n > 0) {
        memcpy(out->name, rest + 1, n - 1);
    }
    return true;
}

/* The part of an adapter that stands beside a module, or NULL. */
static const il_stored *part_of(const il_store *store, const char *module,
                                int module_bytes, char part, const char *adapter)
{
    char name[640];
    int64_t at;

    (void)snprintf(name, sizeof name, "%.*s.lora_%c%s%s.weight", module_bytes, module,
                   part, adapter[0] != '\0' ? "." : "", adapter);
    at = il_store_find(store, name);
    return at >= 0 ? &store->items[at] : NULL;
}

/* What a folder is written from, and what is made on the way. */
typedef struct writing {
    const il_instance *model;
    il_arena *arena;
    il_folder_what what;
    il_dtype dtype;
    size_t shard_bytes; /* of a file; 0: one file */
    const char *folder; /* the one beside */
    size_t adapter_count;
    struct {
        char name[64];  /* empty: the only one */
        json_t *config; /* what PEFT wants to know of it, or NULL */
    } adapters[ADAPTERS_MAX];
    size_t now; /* the one that is written */
} writing;

/* values += scale B A of one adapter: one sum in double a number. */
static il_status merge_one(const writing *w, const il_stored *p, const json_t *config,
                           const il_stored *a, const il_stored *b, float *values,
                           il_error *err)
{
    const float *right = w->model->store->values + a->offset;
    const float *left = w->model->store->values + b->offset;
    const int64_t rank = a->shape[0];
    const bool root = json_is_true(json_object_get(config, "use_rslora"));
    const bool turned = json_is_true(json_object_get(config, "fan_in_fan_out"));
    const double scale = json_number_value(json_object_get(config, "lora_alpha")) /
                         (root ? sqrt((double)rank) : (double)rank);

    if (p->ndim != 2 || p->count != b->shape[0] * a->shape[1]) {
        return il_error_set(err, IL_ERR_INTERNAL, p->name, "its adapter does not fit");
    }
    for (int64_t o = 0; o < b->shape[0]; o++) {
        for (int64_t i = 0; i < a->shape[1]; i++) {
            const int64_t at = turned ? i * p->shape[1] + o : o * p->shape[1] + i;
            double sum = 0.0;

            for (int64_t r = 0; r < rank; r++) {
                sum += (double)left[o * rank + r] * (double)right[r * a->shape[1] + i];
            }
            values[at] = (float)((double)values[at] + scale * sum);
        }
    }
    return IL_OK;
}

/* The same of every adapter that stands beside the parameter. */
static il_status merge(const writing *w, const il_stored *p, float *values,
                       il_error *err)
{
    const il_store *store = w->model->store;
    const int module = (int)strlen(p->name) - 7;

    for (size_t i = 0; ends_with(p->name, ".weight") && i < w->adapter_count; i++) {
        const char *name = w->adapters[i].name;
        const il_stored *a = part_of(store, p->name, module, 'A', name);
        const il_stored *b = part_of(store, p->name, module, 'B', name);

        if (a != NULL && b != NULL) {
            IL_TRY(merge_one(w, p, w->adapters[i].config, a, b, values, err));
        }
    }
    return IL_OK;
}

/* A parameter as a tensor of the file; its own numbers where they can be used as they
 * are. */
static il_status tensor_of(const writing *w, const il_stored *p, il_safetensor *t,
                           il_error *err)
{
    const float *values = w->model->store->values + p->offset;

    *t = (il_safetensor){.name = p->name, .dtype = w->dtype, .ndim = p->ndim};
    memcpy(t->shape, p->shape, sizeof t->shape);
    if (w->what == IL_FOLDER_ADAPTERS) {
        adapter_name name;

        (void)parse_adapter(p->name, &name); /* or it would not be here */
        t->name = il_arena_printf(w->arena, "base_model.model.%.*s.lora_%c.weight",
                                  name.module, p->name, name.part);
        if (t->name == NULL) {
            return no_memory(p->name, err);
        }
    }
    if (w->what == IL_FOLDER_MERGED) {
        float *own = il_arena_alloc(w->arena, (size_t)p->count * sizeof *own);

        if (own == NULL) {
            return no_memory(p->name, err);
        }
        memcpy(own, values, (size_t)p->count * sizeof *own);
        IL_TRY(merge(w, p, own, err));
        values = own;
    }
    t->data = values;
    t->bytes = (size_t)p->count * (size_t)(w->dtype.bits / 8);
    if (w->dtype.bits == 16) {
        void *halves = il_arena_alloc(w->arena, t->bytes);

        if (halves == NULL) {
            return no_memory(p->name, err);
        }
        t->data = halves;
        return narrow(halves, values, p->count, w->dtype, p->name, err);
    }
    return IL_OK;
}

static il_status write_json(const writing *w, const char *file, const json_t *json,
                            il_error *err)
{
    char *path = il_path_join(w->folder, file);
    char *text =
        json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    il_status status = path != NULL && text != NULL
                           ? il_file_write(path, text, strlen(text), err)
                           : no_memory(w->folder, err);

    free(text);
    free(path);
    return status;
}

/* Whether a parameter goes where what is written goes. */
static bool belongs(const writing *w, const il_stored *p)
{
    adapter_name name;

    if (!parse_adapter(p->name, &name)) {
        return w->what != IL_FOLDER_ADAPTERS;
    }
    return w->what == IL_FOLDER_ADAPTERS &&
           strcmp(name.name, w->adapters[w->now].name) == 0;
}

/* One file, of what belongs among the parameters [first,end). */
static il_status write_file(const writing *w, const char *file, size_t first,
                            size_t end, il_error *err)
{
    static const il_safetensors_pair format = {"format", "pt"};
    const il_store *store = w->model->store;
    const il_arena_mark mark = il_arena_save(w->arena);
    il_safetensor *tensors =
        il_arena_calloc(w->arena, end - first + 1, sizeof *tensors);
    char *path = il_path_join(w->folder, file);
    il_status status =
        tensors != NULL && path != NULL ? IL_OK : no_memory(w->folder, err);
    size_t n = 0;

    for (size_t i = first; status == IL_OK && i < end; i++) {
        if (belongs(w, &store->items[i])) {
            status = tensor_of(w, &store->items[i], &tensors[n++], err);
        }
    }
    if (status == IL_OK) {
        status = il_safetensors_write(path, tensors, n, &format, 1, err);
    }
    free(path);
    il_arena_restore(w->arena, mark);
    return status;
}

static size_t bytes_of(const writing *w, const il_stored *p)
{
    return belongs(w, p) ? (size_t)p->count * (size_t)(w->dtype.bits / 8) : 0;
}

/* Where the file ends that begins with the parameter `first`: before the one with which
 * it would be too large, but never without any. */
static size_t shard_end(const writing *w, size_t first)
{
    const il_store *store = w->model->store;
    size_t bytes = bytes_of(w, &store->items[first]);
    size_t i = first + 1;

    while (i < store->count &&
           bytes_of(w, &store->items[i]) <= w->shard_bytes - bytes &&
           bytes <= w->shard_bytes) {
        bytes += bytes_of(w, &store->items[i++]);
    }
    return i;
}

/* Adds a file's tensors to the index. */
static il_status index_add(const writing *w, json_t *map, const char *file,
                           size_t first, size_t end, il_error *err)
{
    for (size_t i = first; i < end; i++) {
        const il_stored *p = &w->model->store->items[i];

        if (belongs(w, p) &&
            json_object_set_new(map, p->name, json_string(file)) != 0) {
            return no_memory(w->folder, err);
        }
    }
    return IL_OK;
}

/* Several files, and the index that says which has which tensor. */
static il_status write_shards(const writing *w, size_t shards, il_error *err)
{
    const il_store *store = w->model->store;
    json_t *map = json_object();
    json_t *index = json_object();
    il_status status = map != NULL && index != NULL ? IL_OK : no_memory(w->folder, err);
    size_t bytes = 0;
    size_t first = 0;

    for (size_t i = 0; i < shards && status == IL_OK; i++) {
        const size_t end = shard_end(w, first);
        char file[64];

        (void)snprintf(file, sizeof file, "model-%05zu-of-%05zu.safetensors", i + 1,
                       shards);
        status = write_file(w, file, first, end, err);
        if (status == IL_OK) {
            status = index_add(w, map, file, first, end, err);
        }
        first = end;
    }
    for (size_t i = 0; i < store->count; i++) {
        bytes += bytes_of(w, &store->items[i]);
    }
    if (status == IL_OK && (json_object_set(index, "weight_map", map) != 0 ||
                            json_object_set_new(index, "metadata",
                                                json_pack("{s:I}", "total_size",
                                                          (json_int_t)bytes)) != 0)) {
        status = no_memory(w->folder, err);
    }
    if (status == IL_OK) {
        status = write_json(w, "model.safetensors.index.json", index, err);
    }
    json_decref(map);
    json_decref(index);
    return status;
}

static il_status write_weights(const writing *w, il_error *err)
{
    const size_t count = w->model->store->count;
    size_t shards = 0;

    if (w->shard_bytes > 0) {
        for (size_t i = 0; i < count; i = shard_end(w, i)) {
            shards++;
        }
    }
    if (shards > 99999) {
        return il_error_set(err, IL_ERR_INPUT, w->folder,
                            "%zu files: expected at most 99999; make them larger",
                            shards);
    }
    return shards > 1 ? write_shards(w, shards, err)
                      : write_file(w, "model.safetensors", 0, count, err);
}

/* ---- what stands beside --------------------------------------------------------- */

/* The folder's own configuration, with the type that is written. */
static il_status write_config(const writing *w, il_error *err)
{
    const il_pretrained *from = w->model->opened[0];
    json_t *config = json_deep_copy(il_pretrained_config(from));
    const char *type = w->dtype.bits == 32               ? "float32"
                       : w->dtype.code == IL_CODE_BFLOAT ? "bfloat16"
                                                         : "float16";
    /* older folders say it under another name */
    const char *key =
        json_object_get(config, "torch_dtype") != NULL ? "torch_dtype" : "dtype";
    il_status status =
        config != NULL && json_object_set_new(config, key, json_string(type)) == 0
            ? write_json(w, il_pretrained_config_name(from), config, err)
            : no_memory(w->folder, err);

    json_decref(config);
    return status;
}

static il_status copy_along(const writing *w, il_error *err)
{
    static const char *const files[] = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json",
                                        "tokenizer.model",
                                        "chat_template.jinja",
                                        "generation_config.json"};
    enum { LIMIT = 256 << 20 };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *from = il_path_join(il_pretrained_folder(w->model->opened[0]), files[i]);
        char *to = il_path_join(w->folder, files[i]);
        char *data = NULL;
        size_t size = 0;
        il_status status =
            from != NULL && to != NULL ? IL_OK : no_memory(files[i], err);

        if (status == IL_OK && il_file_exists(from)) {
            status = il_file_read(from, LIMIT, &data, &size, err);
            if (status == IL_OK) {
                status = il_file_write(to, data, size, err);
            }
        }
        free(data);
        free(from);
        free(to);
        IL_TRY(status);
    }
    return IL_OK;
}

/* A folder for each that has a name, as PEFT makes them. */
static il_status write_adapters(const writing *whole, il_error *err)
{
    const size_t count = whole->model->store->count;
    writing w = *whole;

    for (w.now = 0; w.now < w.adapter_count; w.now++) {
        const char *name = w.adapters[w.now].name;

        if (name[0] != '\0') {
            w.folder = il_arena_printf(w.arena, "%s/%s", whole->folder, name);
            if (w.folder == NULL) {
                return no_memory(whole->folder, err);
            }
            IL_TRY(il_folder_make(w.folder, err));
        }
        IL_TRY(write_file(&w, "adapter_model.safetensors", 0, count, err));
        IL_TRY(write_json(&w, "adapter_config.json", w.adapters[w.now].config, err));
    }
    return IL_OK;
}

static il_status write_all(const writing *w, il_error *err)
{
    IL_TRY(il_folder_make(w->folder, err));
    if (w->what == IL_FOLDER_ADAPTERS) {
        return write_adapters(w, err);
    }
    IL_TRY(write_weights(w, err));
    IL_TRY(copy_along(w, err));
    return write_config(w, err);
}

/* The model's adapters, by their parameters and what it said of them. */
static il_status find_adapters(writing *w, il_error *err)
{
    for (size_t i = 0; i < w->model->store->count; i++) {
        adapter_name name;
        const char *note;
        char key[96];
        size_t at = 0;

        if (!parse_adapter(w->model->store->items[i].name, &name)) {
            continue;
        }
        while (at < w->adapter_count && strcmp(w->adapters[at].name, name.name) != 0) {
            at++;
        }
        if (at < w->adapter_count) {
            continue;
        }
        (void)snprintf(key, sizeof key, "adapter_config%s%s",
                       name.name[0] != '\0' ? "." : "", name.name);
        note = il_instance_note(w->model, key);
        if (at == ADAPTERS_MAX || note == NULL) {
            return il_error_set(err, IL_ERR_INTERNAL, w->model->label,
                                "it does not say what its adapters are");
        }
        memcpy(w->adapters[at].name, name.name, sizeof name.name);
        w->adapters[at].config = json_loads(note, 0, NULL);
        w->adapter_count++;
        if (!json_is_object(w->adapters[at].config)) {
            return il_error_set(err, IL_ERR_INTERNAL, w->model->label,
                                "it does not say what its adapters are");
        }
    }
    return IL_OK;
}

/* Whether what is asked for can be had of this model. */
static il_status check(const writing *w, const char *folder, il_error *err)
{
    if (w->model->opened_count == 0) {
        return il_error_set(err, IL_ERR_INPUT, w->model->label,
                            "a %s has no folder of weights to be written as one",
                            w->model->offer->id);
    }
    if (w->adapter_count == 0 && w->what == IL_FOLDER_ADAPTERS) {
        return il_error_set(err, IL_ERR_INPUT, w->model->label,
                            "there are no adapters to write");
    }
    if (w->adapter_count > 0 && w->what == IL_FOLDER_MODEL) {
        return il_error_set(err, IL_ERR_INPUT, w->model->label,
                            "it has adapters: write them by themselves, or merged into "
                            "its matrices");
    }
    if (access(folder, F_OK) == 0) {
        return il_error_set(err, IL_ERR_INPUT, folder,
                            "is there already; name a folder that is not");
    }
    return IL_OK;
}

il_status il_folder_write(const il_instance *model, const char *folder,
                          il_folder_what what, il_dtype dtype, size_t shard_bytes,
                          il_error *err)
{
    writing w = {.model = model,
                 .arena = il_arena_create(1 << 16),
                 .what = what,
                 .dtype = dtype,
                 .shard_bytes = shard_bytes};
    il_status status =
        w.arena != NULL ? find_adapters(&w, err) : no_memory(folder, err);

    if (status == IL_OK) {
        status = check(&w, folder, err);
    }

    if (status == IL_OK) {
        size_t n = strlen(folder);

        while (n > 1 && folder[n - 1] == '/') {
            n--;
        }
        w.folder =
            il_arena_printf(w.arena, "%.*s.part-%ld", (int)n, folder, (long)getpid());
        status = w.folder != NULL ? write_all(&w, err) : no_memory(folder, err);
        if (status == IL_OK && rename(w.folder, folder) != 0) {
            status = il_error_set(err, IL_ERR_IO, folder, "cannot put it there: %s",
                                  strerror(errno));
        }
        if (status != IL_OK && w.folder != NULL) {
            (void)il_folder_remove(w.folder, NULL); /* the first error is the one */
        }
    }
    for (size_t i = 0; i < w.adapter_count; i++) {
        json_decref(w.adapters[i].config);
    }
    il_arena_destroy(w.arena);
    return status;
}
