#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "check/guard.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/compiler.h"

enum { PATTERN = 0xA7, FIELDS_MAX = 64 };

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Whole pages for the data and at least a few bytes of pattern before it. */
static size_t pages_for(size_t bytes, size_t align)
{
    size_t page = page_size();

    return (bytes + align + 64 + page - 1) / page * page;
}

void *il_guard_alloc(size_t bytes, size_t align)
{
    size_t whole = pages_for(bytes, align);
    unsigned char *start = mmap(NULL, whole + page_size(), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *data;

    if (start == MAP_FAILED || mprotect(start + whole, page_size(), PROT_NONE) != 0) {
        return NULL;
    }
    memset(start, PATTERN, whole);
    data = start + whole - bytes;
    data -= (uintptr_t)data % align;
    memset(data, 0, bytes);
    return data;
}

/* Where the page begins that nobody may touch. */
static unsigned char *end_of(const void *data, size_t bytes)
{
    const size_t page = page_size();

    return (unsigned char *)(((uintptr_t)data + bytes + page - 1) / page * page);
}

void il_guard_free(void *data, size_t bytes, size_t align)
{
    if (data != NULL) {
        size_t whole = pages_for(bytes, align);

        (void)munmap(end_of(data, bytes) - whole, whole + page_size());
    }
}

bool il_guard_holds(const void *data, size_t bytes, size_t align)
{
    size_t whole = pages_for(bytes, align);
    const unsigned char *at = data;
    const unsigned char *end = end_of(data, bytes);

    for (const unsigned char *p = end - whole; p < end; p++) {
        if ((p < at || p >= at + bytes) && *p != PATTERN) {
            return false;
        }
    }
    return true;
}

void il_guard_seal(void *data, size_t bytes)
{
    size_t page = page_size();
    uintptr_t first = (uintptr_t)data / page * page;
    uintptr_t end = ((uintptr_t)data + bytes + page - 1) / page * page;

    if (end > first) {
        (void)mprotect((void *)first, end - first, PROT_READ);
    }
}

/* ---- batches ----------------------------------------------------------------------
 */

typedef struct field {
    char name[64];
    il_tensor tensor;
    size_t bytes;
    size_t align;
} field;

/* The public part comes first. */
typedef struct guarded {
    il_batch batch;
    int64_t rows;
    size_t count;
    field fields[FIELDS_MAX];
    il_error failure;
} guarded;

static guarded *of(const il_batch *b)
{
    return (guarded *)(uintptr_t)b;
}

static const il_tensor *batch_find(const il_batch *b, const char *name)
{
    const guarded *g = of(b);

    for (size_t i = 0; name != NULL && i < g->count; i++) {
        if (strcmp(g->fields[i].name, name) == 0) {
            return &g->fields[i].tensor;
        }
    }
    return NULL;
}

static void *refuse(guarded *g, const char *name, const char *why)
{
    (void)il_error_set(&g->failure, IL_ERR_INPUT, "batch", "field '%.64s': %s", name,
                       why);
    return NULL;
}

static void *batch_add(il_batch *b, const char *name, il_type type, int32_t ndim,
                       const int64_t *shape)
{
    static const il_dtype dtypes[] = {{IL_CODE_FLOAT, 32, 1},
                                      {IL_CODE_INT, 32, 1},
                                      {IL_CODE_UINT, 8, 1},
                                      {IL_CODE_INT, 64, 1}};
    guarded *g = of(b);
    field *f = &g->fields[g->count];

    if (name == NULL || name[0] == '\0' || strlen(name) >= sizeof f->name ||
        batch_find(b, name) != NULL || g->count == FIELDS_MAX) {
        return refuse(g, name != NULL ? name : "", "expected a new name");
    }
    if ((unsigned)type > IL_I64 || ndim < 1 || ndim > IL_DIMS_MAX || shape == NULL ||
        shape[0] != g->rows) {
        return refuse(g, name, "expected a known type, and the batch's rows first");
    }
    memset(f, 0, sizeof *f);
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    f->tensor.dtype = dtypes[type];
    f->tensor.device_type = IL_DEVICE_CPU;
    f->tensor.ndim = ndim;
    f->align = dtypes[type].bits / 8u;
    f->bytes = f->align;
    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0 || !il_mul_size(f->bytes, (size_t)shape[i], &f->bytes) ||
            f->bytes > (size_t)1 << 32) {
            return refuse(g, name, "it has a dimension that cannot be");
        }
        f->tensor.shape[i] = shape[i];
    }
    f->tensor.data = il_guard_alloc(f->bytes, f->align);
    if (f->tensor.data == NULL) {
        return refuse(g, name, "out of memory");
    }
    g->count++;
    return f->tensor.data;
}

static int64_t batch_rows(const il_batch *b)
{
    return of(b)->rows;
}

static void batch_fail(il_batch *b, il_status code, const char *message)
{
    (void)il_error_set(&of(b)->failure, code != IL_OK ? code : IL_ERR_INTERNAL, "batch",
                       "%s", message != NULL ? message : "no reason given");
}

static const il_batch_api batch_api = {
    .struct_size = sizeof batch_api,
    .add = batch_add,
    .find = batch_find,
    .rows = batch_rows,
    .fail = batch_fail,
};

il_batch *il_guard_batch(int64_t rows)
{
    guarded *g = calloc(1, sizeof *g);

    if (g == NULL) {
        return NULL;
    }
    g->batch.api = &batch_api;
    g->rows = rows;
    return &g->batch;
}

void il_guard_batch_destroy(il_batch *b)
{
    guarded *g = of(b);

    for (size_t i = 0; g != NULL && i < g->count; i++) {
        il_guard_free(g->fields[i].tensor.data, g->fields[i].bytes, g->fields[i].align);
    }
    free(g);
}

il_status il_guard_batch_status(const il_batch *b, il_error *err)
{
    const guarded *g = of(b);

    for (size_t i = 0; i < g->count; i++) {
        const field *f = &g->fields[i];

        if (!il_guard_holds(f->tensor.data, f->bytes, f->align)) {
            return il_error_set(err, IL_ERR_INPUT, "",
                                "it wrote past the edge of the field '%s'", f->name);
        }
    }
    return g->failure.code == IL_OK
               ? IL_OK
               : il_error_set(err, g->failure.code, "", "%s", g->failure.message);
}

void il_guard_batch_seal(il_batch *b)
{
    guarded *g = of(b);

    for (size_t i = 0; i < g->count; i++) {
        il_guard_seal(g->fields[i].tensor.data, g->fields[i].bytes);
    }
}

size_t il_guard_batch_count(const il_batch *b)
{
    return of(b)->count;
}

const il_tensor *il_guard_batch_field(const il_batch *b, size_t number,
                                      const char **name)
{
    *name = of(b)->fields[number].name;
    return &of(b)->fields[number].tensor;
}
