/* One shard of activations, to files and from them. See activations.h. */
#include "activations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "formats/shards.h"

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype i64 = {IL_CODE_INT, 64, 1};
static const il_dtype i32 = {IL_CODE_INT, 32, 1};
static const il_dtype u8 = {IL_CODE_UINT, 8, 1};
static const il_dtype flags = {IL_CODE_BOOL, 8, 1};

il_status il_activations_form_read(il_activations_form *f, const char *dtype,
                                   const char *format, il_error *err)
{
    static const struct {
        const char *name;
        il_dtype dtype;
    } types[] = {{"f32", {IL_CODE_FLOAT, 32, 1}},
                 {"f16", {IL_CODE_FLOAT, 16, 1}},
                 {"bf16", {IL_CODE_BFLOAT, 16, 1}}};
    bool known = dtype == NULL;

    f->dtype = f32;
    for (size_t i = 0; i < sizeof types / sizeof types[0] && !known; i++) {
        known = strcmp(dtype, types[i].name) == 0;
        f->dtype = known ? types[i].dtype : f->dtype;
    }
    if (!known) {
        return il_error_set(err, IL_ERR_INPUT, "--dtype",
                            "expected f32, f16 or bf16, got '%s'", dtype);
    }
    f->npy = format != NULL && strcmp(format, "npy") == 0;
    if (format != NULL && !f->npy && strcmp(format, "safetensors") != 0) {
        return il_error_set(err, IL_ERR_INPUT, "--format",
                            "expected safetensors or npy, got '%s'", format);
    }
    if (f->npy && f->dtype.code == IL_CODE_BFLOAT) {
        return il_error_set(err, IL_ERR_INPUT, "--dtype",
                            "NumPy has no bfloat16: expected f32 or f16, or "
                            "--format safetensors");
    }
    return IL_OK;
}

/* ---- writing -------------------------------------------------------------------- */

/* What is written, one array after the other. */
typedef struct crop {
    il_arena *arena;
    il_safetensor items[IL_ACTIVATIONS_SITES + 8];
    size_t count;
} crop;

static void add(crop *c, const char *name, il_dtype dtype, int32_t ndim,
                const int64_t *shape, const void *data)
{
    il_safetensor *t = &c->items[c->count++];

    memset(t, 0, sizeof *t);
    t->name = name;
    t->dtype = dtype;
    t->ndim = ndim;
    t->data = data;
    t->bytes = dtype.bits / 8;
    for (int32_t i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        t->bytes *= (size_t)shape[i];
    }
}

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

static const char *site_name(const il_activations_form *f, size_t i)
{
    return f->harvest->model->sites[f->harvest->sites[i]].name;
}

static il_status add_site(crop *c, const il_activations_form *f, const il_acts *acts,
                          size_t i, il_error *err)
{
    const il_scored *s = &acts->rows;
    const int64_t shape[3] = {s->batch, s->length, acts->widths[i]};
    int64_t n = s->batch * s->length * acts->widths[i];
    const void *data = acts->data[i];
    const char *name = il_arena_printf(c->arena, IL_SHARDS_ACTS "%s", site_name(f, i));

    if (name == NULL) {
        return no_memory(f->folder, err);
    }
    if (f->dtype.bits == 16) {
        uint16_t *narrow = il_arena_calloc(c->arena, (size_t)n + 1, sizeof *narrow);

        if (narrow == NULL) {
            return no_memory(f->folder, err);
        }
        IL_TRY(il_array_narrow(narrow, acts->data[i], n, f->dtype, name, err));
        data = narrow;
    }
    add(c, name, f->dtype, 3, shape, data);
    return IL_OK;
}

/* What is known of the rows; `ids` last, see il_activations_write. */
static il_status add_rows(crop *c, const il_scored *s, const int64_t *ids,
                          il_error *err)
{
    const int64_t wide[2] = {s->batch, s->length};
    size_t positions = (size_t)(s->batch * s->length);
    uint8_t *mask = il_arena_calloc(c->arena, positions + 1, 1);
    uint8_t *labels = il_arena_calloc(c->arena, positions + 1, 1);

    if (mask == NULL || labels == NULL) {
        return no_memory("activations", err);
    }
    for (int64_t i = 0; i < s->count; i++) {
        mask[s->rows[i]] = 1;
        labels[s->rows[i]] = s->labels != NULL && s->labels[i] != 0;
    }
    if (s->inputs != NULL) {
        add(c, "tokens", i32, 2, wide, s->inputs);
    }
    if (s->labels != NULL) {
        add(c, "labels", u8, 2, wide, labels);
    }
    if (s->lengths != NULL) {
        add(c, "lengths", i32, 1, wide, s->lengths);
    }
    add(c, "mask", flags, 2, wide, mask);
    add(c, "ids", i64, 1, wide, ids);
    return IL_OK;
}

static il_status write_files(const il_activations_form *f, const crop *c,
                             int64_t number, il_error *err)
{
    const char *path;

    if (!f->npy) {
        path = il_arena_printf(c->arena, "%s/%05" PRId64 ".safetensors", f->folder,
                               number);
        return path != NULL
                   ? il_safetensors_write(path, c->items, c->count, NULL, 0, err)
                   : no_memory(f->folder, err);
    }
    for (size_t i = 0; i < c->count; i++) {
        il_array a = il_safetensor_array(&c->items[i]);

        path = il_arena_printf(c->arena, "%s/%05" PRId64 ".%s.npy", f->folder, number,
                               c->items[i].name);
        if (path == NULL) {
            return no_memory(f->folder, err);
        }
        IL_TRY(il_npy_write(path, &a, err));
    }
    return IL_OK;
}

il_status il_activations_write(const il_activations_form *f, int64_t number,
                               const il_acts *acts, const int64_t *ids, il_error *err)
{
    crop c = {.arena = il_arena_create(1 << 16), .count = 0};
    il_status status = c.arena != NULL ? IL_OK : no_memory(f->folder, err);

    for (size_t i = 0; status == IL_OK && i < acts->site_count; i++) {
        status = add_site(&c, f, acts, i, err);
    }
    if (status == IL_OK) {
        status = add_rows(&c, &acts->rows, ids, err);
    }
    if (status == IL_OK) {
        status = write_files(f, &c, number, err);
    }
    il_arena_destroy(c.arena);
    return status;
}

/* ---- what is there -------------------------------------------------------------- */

static il_status check_column(const il_shards *s, const char *name, il_dtype dtype,
                              int64_t rows, int64_t width, il_error *err)
{
    il_shards_column c;
    size_t number = 0;
    char shape[96];
    char type[16];

    IL_TRY(il_shards_find(s, name, &number, &c, err));
    if (c.dtype.code != dtype.code || c.dtype.bits != dtype.bits ||
        c.shape[0] != rows || (width > 0 && c.shape[c.ndim - 1] != width)) {
        return il_error_set(
            err, IL_ERR_INPUT, name, "expected %" PRId64 " rows, got %s %s", rows,
            il_dtype_text(c.dtype, type), il_array_shape(c.ndim, c.shape, shape));
    }
    return IL_OK;
}

static il_status check_shard(const il_activations_form *f, const il_shards *s,
                             int64_t rows, il_error *err)
{
    const il_harvest *h = f->harvest;

    for (size_t i = 0; i < h->site_count; i++) {
        char name[256];

        (void)snprintf(name, sizeof name, IL_SHARDS_ACTS "%s", site_name(f, i));
        IL_TRY(check_column(s, name, f->dtype, rows, h->model->sites[h->sites[i]].width,
                            err));
    }
    IL_TRY(check_column(s, "mask", flags, rows, 0, err));
    IL_TRY(check_column(s, "ids", i64, rows, 0, err));
    return h->fields.label != NULL ? check_column(s, "labels", u8, rows, 0, err)
                                   : IL_OK;
}

bool il_activations_there(const il_activations_form *f, int64_t number, int64_t rows,
                          il_error *why)
{
    char naming[64];
    char first[32];
    char *path;
    il_shards *s = NULL;
    bool there;
    il_status status = IL_OK;

    (void)snprintf(first, sizeof first, "%05" PRId64 "%s", number,
                   f->npy ? ".ids.npy" : ".safetensors");
    (void)snprintf(naming, sizeof naming, "%05" PRId64 "%s", number,
                   f->npy ? ".{name}.npy" : ".safetensors");
    path = il_path_join(f->folder, first);
    there = path != NULL && il_file_exists(path);
    free(path);
    if (there) {
        status = il_shards_open(&s, f->folder, naming, why);
    }
    if (there && status == IL_OK) {
        status = check_shard(f, s, rows, why);
    }
    il_shards_close(s);
    return there && status == IL_OK;
}

static il_status tidy_one(void *user, const char *name, il_error *err)
{
    const il_activations_form *f = user;
    size_t n = strlen(name);
    char *path;

    if (n < 4 || strcmp(name + n - 4, ".tmp") != 0 ||
        (strstr(name, ".npy.") == NULL && strstr(name, ".safetensors.") == NULL &&
         strstr(name, "index.json.") == NULL)) {
        return IL_OK;
    }
    path = il_path_join(f->folder, name);
    if (path == NULL) {
        return no_memory(f->folder, err);
    }
    (void)unlink(path); /* it is in nobody's way */
    free(path);
    return IL_OK;
}

il_status il_activations_tidy(const il_activations_form *f, il_error *err)
{
    return il_folder_list(f->folder, tidy_one, (void *)(uintptr_t)f, err);
}
