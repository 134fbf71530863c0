#include "pipeline/batch.h"

#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/compiler.h"

typedef struct field {
    const char *name;
    il_tensor tensor;
} field;

/* The public part comes first: a batch pointer is a host pointer. */
typedef struct host {
    il_batch batch;
    il_arena *arena; /* names and data */
    field **fields;  /* each in the arena: `find` hands out pointers */
    size_t count;
    size_t room;
    int64_t rows;
    il_error failure; /* the first; code IL_OK when there is none */
} host;

static il_dtype dtype_of(il_type type)
{
    switch (type) {
    case IL_F32:
        return (il_dtype){IL_CODE_FLOAT, 32, 1};
    case IL_I32:
        return (il_dtype){IL_CODE_INT, 32, 1};
    case IL_U8:
        return (il_dtype){IL_CODE_UINT, 8, 1};
    case IL_I64:
        return (il_dtype){IL_CODE_INT, 64, 1};
    }
    return (il_dtype){0, 0, 0};
}

static void batch_fail(il_batch *b, il_status code, const char *message)
{
    host *h = (host *)b;

    (void)il_error_set(&h->failure, code != IL_OK ? code : IL_ERR_INTERNAL, "batch",
                       "%s", message != NULL ? message : "the dataset gave no reason");
}

static const il_tensor *batch_find(const il_batch *b, const char *name)
{
    const host *h = (const host *)b;

    for (size_t i = 0; name != NULL && i < h->count; i++) {
        if (strcmp(h->fields[i]->name, name) == 0) {
            return &h->fields[i]->tensor;
        }
    }
    return NULL;
}

static int64_t batch_rows(const il_batch *b)
{
    return ((const host *)b)->rows;
}

/* Fills in `t` but for its data; the bytes it takes, or false with the failure set. */
static bool lay_out(host *h, const char *name, il_type type, int32_t ndim,
                    const int64_t *shape, il_tensor *t, size_t *bytes)
{
    size_t size;

    memset(t, 0, sizeof *t);
    t->device_type = IL_DEVICE_CPU;
    t->dtype = dtype_of(type);
    t->ndim = ndim;
    size = t->dtype.bits / 8u;
    if (size == 0 || ndim < 1 || ndim > IL_DIMS_MAX || shape == NULL) {
        (void)il_error_set(&h->failure, IL_ERR_SHAPE, "batch",
                           "field '%s': expected a known type and 1 to %d dimensions, "
                           "got type %d and %d",
                           name, IL_DIMS_MAX, (int)type, (int)ndim);
        return false;
    }
    if (shape[0] != h->rows) {
        (void)il_error_set(&h->failure, IL_ERR_SHAPE, "batch",
                           "field '%s': expected %lld rows, got %lld", name,
                           (long long)h->rows, (long long)shape[0]);
        return false;
    }
    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0 || !il_mul_size(size, (size_t)shape[i], &size)) {
            (void)il_error_set(&h->failure, IL_ERR_SHAPE, "batch",
                               "field '%s': dimension %d cannot be %lld", name, (int)i,
                               (long long)shape[i]);
            return false;
        }
        t->shape[i] = shape[i];
    }
    *bytes = size;
    return true;
}

static void *batch_add(il_batch *b, const char *name, il_type type, int32_t ndim,
                       const int64_t *shape)
{
    host *h = (host *)b;
    size_t bytes = 0;
    il_tensor tensor;
    field *f;

    if (name == NULL || name[0] == '\0' || batch_find(b, name) != NULL) {
        (void)il_error_set(&h->failure, IL_ERR_INPUT, "batch",
                           "field '%s': expected a new name", name != NULL ? name : "");
        return NULL;
    }
    if (!lay_out(h, name, type, ndim, shape, &tensor, &bytes)) {
        return NULL;
    }
    if (h->count == h->room) {
        size_t room = h->room > 0 ? 2 * h->room : 16;
        field **grown = realloc(h->fields, room * sizeof(field *));

        if (grown == NULL) {
            batch_fail(b, IL_ERR_MEMORY, "out of memory");
            return NULL;
        }
        h->fields = grown;
        h->room = room;
    }
    f = il_arena_calloc(h->arena, 1, sizeof *f);
    /* At least a byte, since NULL data says that something failed. */
    tensor.data = il_arena_calloc(h->arena, bytes > 0 ? bytes : 1, 1);
    if (f != NULL) {
        f->name = il_arena_strdup(h->arena, name);
    }
    if (f == NULL || f->name == NULL || tensor.data == NULL) {
        batch_fail(b, IL_ERR_MEMORY, "out of memory");
        return NULL;
    }
    f->tensor = tensor;
    h->fields[h->count++] = f;
    return tensor.data;
}

static const il_batch_api batch_api = {
    .struct_size = sizeof batch_api,
    .add = batch_add,
    .find = batch_find,
    .rows = batch_rows,
    .fail = batch_fail,
};

il_status il_batch_create(il_batch **out, il_error *err)
{
    host *h = calloc(1, sizeof *h);

    if (h != NULL) {
        h->batch.api = &batch_api;
        h->arena = il_arena_create(1 << 16);
    }
    if (h == NULL || h->arena == NULL) {
        free(h);
        return il_error_set(err, IL_ERR_MEMORY, "batch", "out of memory");
    }
    *out = &h->batch;
    return IL_OK;
}

void il_batch_destroy(il_batch *b)
{
    host *h = (host *)b;

    if (h != NULL) {
        il_arena_destroy(h->arena);
        free(h->fields);
        free(h);
    }
}

void il_batch_reset(il_batch *b, int64_t rows)
{
    host *h = (host *)b;

    il_arena_reset(h->arena);
    memset(&h->failure, 0, sizeof h->failure);
    h->count = 0;
    h->rows = rows;
}

static size_t bytes_of(const il_tensor *t)
{
    return (size_t)il_count(t) * (t->dtype.bits / 8u);
}

static il_type type_of(il_dtype dtype)
{
    return dtype.code == IL_CODE_FLOAT  ? IL_F32
           : dtype.code == IL_CODE_UINT ? IL_U8
           : dtype.bits == 64           ? IL_I64
                                        : IL_I32;
}

il_status il_batch_copy(il_batch *to, const il_batch *from, il_error *err)
{
    const host *h = (const host *)from;

    il_batch_reset(to, h->rows);
    for (size_t i = 0; i < h->count; i++) {
        const il_tensor *t = &h->fields[i]->tensor;
        void *data =
            batch_add(to, h->fields[i]->name, type_of(t->dtype), t->ndim, t->shape);

        if (data != NULL && bytes_of(t) > 0) {
            memcpy(data, t->data, bytes_of(t));
        }
    }
    return il_batch_status(to, err);
}

static bool same(const il_tensor *a, const il_tensor *b)
{
    bool alike = a->ndim == b->ndim && a->dtype.code == b->dtype.code &&
                 a->dtype.bits == b->dtype.bits;

    for (int32_t i = 0; alike && i < a->ndim; i++) {
        alike = a->shape[i] == b->shape[i];
    }
    return alike && memcmp(a->data, b->data, bytes_of(a)) == 0;
}

const char *il_batch_difference(const il_batch *a, const il_batch *b)
{
    const host *left = (const host *)a;
    const host *right = (const host *)b;

    for (size_t i = 0; i < left->count; i++) {
        const il_tensor *there = batch_find(b, left->fields[i]->name);

        if (there == NULL || !same(&left->fields[i]->tensor, there)) {
            return left->fields[i]->name;
        }
    }
    for (size_t i = 0; i < right->count; i++) {
        if (batch_find(a, right->fields[i]->name) == NULL) {
            return right->fields[i]->name;
        }
    }
    return NULL;
}

il_status il_batch_status(const il_batch *b, il_error *err)
{
    const host *h = (const host *)b;

    return h->failure.code == IL_OK
               ? IL_OK
               : il_error_set(err, h->failure.code, h->failure.where, "%s",
                              h->failure.message);
}

size_t il_batch_fields(const il_batch *b)
{
    return ((const host *)b)->count;
}

const il_tensor *il_batch_field(const il_batch *b, size_t number, const char **name)
{
    const field *f = ((const host *)b)->fields[number];

    *name = f->name;
    return &f->tensor;
}
