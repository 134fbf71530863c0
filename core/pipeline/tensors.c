#include "pipeline/tensors.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include "formats/shards.h"

typedef struct tensors {
    il_tensors base; /* first: what a plugin is handed */
    il_shards *shards;
    bool rows;            /* whether they may be read */
    pthread_mutex_t lock; /* of the hash */
    char hash[IL_HASH_HEX];
} tensors;

static tensors *tensors_of(const il_tensors *t)
{
    return (tensors *)(uintptr_t)t;
}

static int64_t tensors_count(const il_tensors *t)
{
    return (int64_t)il_shards_columns(tensors_of(t)->shards);
}

static const char *tensors_name(const il_tensors *t, int64_t column)
{
    return column >= 0 && column < tensors_count(t)
               ? il_shards_name(tensors_of(t)->shards, (size_t)column)
               : NULL;
}

static il_status tensors_find(const il_tensors *t, const char *name, int64_t *column,
                              int32_t *ndim, int64_t shape[IL_DIMS_MAX], il_error *err)
{
    il_shards_column found;
    size_t number = 0;

    IL_TRY(il_shards_find(tensors_of(t)->shards, name, &number, &found, err));
    *column = (int64_t)number;
    *ndim = found.ndim;
    memcpy(shape, found.shape, sizeof found.shape);
    return IL_OK;
}

static il_status check_number(const il_tensors *t, int64_t column, il_error *err)
{
    return tensors_name(t, column) != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, "tensors",
                              "there is no column %" PRId64, column);
}

static il_status tensors_agree(const il_tensors *t, int64_t a, int64_t b, il_error *err)
{
    IL_TRY(check_number(t, a, err));
    IL_TRY(check_number(t, b, err));
    return il_shards_agree(tensors_of(t)->shards, (size_t)a, (size_t)b, err);
}

/* A few rows at a time: no row's values are many, and no buffer is large. */
static il_status read_narrow(const il_shards *s, size_t column, int64_t first,
                             int64_t rows, int32_t *out, il_error *err)
{
    il_shards_column c;
    size_t same = 0;
    int64_t width = 1;
    int64_t *wide;
    il_status status = IL_OK;

    if (rows == 0) {
        return IL_OK; /* a shape without rows may claim any width: no file holds it */
    }
    IL_TRY(il_shards_find(s, il_shards_name(s, column), &same, &c, err));
    for (int32_t i = 1; i < c.ndim; i++) {
        width *= c.shape[i];
    }
    wide = malloc(((size_t)width + 1) * sizeof *wide);
    if (wide == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, c.name, "out of memory");
    }
    for (int64_t r = 0; status == IL_OK && r < rows; r++) {
        status = il_shards_wholes(s, column, first + r, 1, wide, err);
        for (int64_t i = 0; status == IL_OK && i < width; i++) {
            if (wide[i] < INT32_MIN || wide[i] > INT32_MAX) {
                status = il_error_set(err, IL_ERR_INPUT, c.name,
                                      "row %" PRId64 ": expected numbers of 32 bits, "
                                      "got %" PRId64,
                                      first + r, wide[i]);
                break;
            }
            out[r * width + i] = (int32_t)wide[i];
        }
    }
    free(wide);
    return status;
}

static il_status tensors_read(const il_tensors *t, int64_t column, int64_t first,
                              int64_t rows, il_type type, void *out, il_error *err)
{
    const il_shards *s = tensors_of(t)->shards;

    IL_TRY(check_number(t, column, err));
    if (!tensors_of(t)->rows) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "tensors",
                            "a model reads rows from the batch alone");
    }
    switch (type) {
    case IL_F32:
        return il_shards_floats(s, (size_t)column, first, rows, out, err);
    case IL_I64:
        return il_shards_wholes(s, (size_t)column, first, rows, out, err);
    case IL_U8:
        return il_shards_flags(s, (size_t)column, first, rows, out, err);
    case IL_I32:
        return read_narrow(s, (size_t)column, first, rows, out, err);
    }
    return il_error_set(err, IL_ERR_UNSUPPORTED, "tensors",
                        "expected f32, i64, i32 or u8 to read as");
}

static const char *tensors_about(const il_tensors *t, const char *key)
{
    return json_string_value(
        json_object_get(il_shards_about(tensors_of(t)->shards), key));
}

static const char *tensors_hash(const il_tensors *t)
{
    tensors *k = tensors_of(t);

    pthread_mutex_lock(&k->lock);
    if (k->hash[0] == '\0' &&
        il_shards_hash(k->shards, k->rows, k->hash, NULL) != IL_OK) {
        /* Memory was out for a moment: nothing was kept, and nobody's result has this
         * address. */
        pthread_mutex_unlock(&k->lock);
        return "";
    }
    pthread_mutex_unlock(&k->lock);
    return k->hash;
}

static const il_tensors_api tensors_api = {
    .struct_size = sizeof tensors_api,
    .count = tensors_count,
    .name = tensors_name,
    .find = tensors_find,
    .agree = tensors_agree,
    .read = tensors_read,
    .about = tensors_about,
    .hash = tensors_hash,
};

il_status il_tensors_open(il_tensors **out, const char *path, const char *naming,
                          bool rows, il_error *err)
{
    tensors *t = calloc(1, sizeof *t);
    il_status status;

    if (t == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    t->base.api = &tensors_api;
    t->rows = rows;
    status = il_shards_open(&t->shards, path, naming, err);
    if (status != IL_OK) {
        free(t);
        return status;
    }
    pthread_mutex_init(&t->lock, NULL);
    *out = &t->base;
    return IL_OK;
}

void il_tensors_close(il_tensors *base)
{
    tensors *t = base != NULL ? tensors_of(base) : NULL;

    if (t != NULL) {
        pthread_mutex_destroy(&t->lock);
        il_shards_close(t->shards);
        free(t);
    }
}
