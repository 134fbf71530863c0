/* Batches: named arrays that a dataset fills and that models, signals and metrics read.
 *
 * Every field's first dimension is the batch's rows (documents, episodes). The host
 * owns the memory; it lives until the batch is dropped, longer than any call that gets
 * it. */
#ifndef INTERLOOP_BATCH_H
#define INTERLOOP_BATCH_H

#include "interloop/status.h"
#include "interloop/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct il_batch il_batch;

typedef struct il_batch_api {
    size_t struct_size;
    void *(*add)(il_batch *b, const char *name, il_type type, int32_t ndim,
                 const int64_t *shape);
    const il_tensor *(*find)(const il_batch *b, const char *name);
    int64_t (*rows)(const il_batch *b);
    void (*fail)(il_batch *b, il_status code, const char *message);
} il_batch_api;

struct il_batch {
    const il_batch_api *api;
};

/* Adds a field of zeros and returns its memory, shape[0] being the batch's rows. NULL
 * when memory is out, the name stands already or the rows differ; the batch remembers
 * the failure, so `get` may just return. [work] */
static inline void *il_batch_add(il_batch *b, const char *name, il_type type,
                                 int32_t ndim, const int64_t *shape)
{
    return b->api->add(b, name, type, ndim, shape);
}

/* The field of that name, or NULL. [any] */
static inline const il_tensor *il_batch_find(const il_batch *b, const char *name)
{
    return b->api->find(b, name);
}

static inline int64_t il_batch_rows(const il_batch *b)
{
    return b->api->rows(b);
}

#ifdef __cplusplus
}
#endif

#endif
