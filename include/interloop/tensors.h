/* Tensors in files: activations that were harvested to shards, of which only what is
 * asked for is read. Rows of all shards follow one another; a column is the tensors of
 * one name.
 *
 * Taken by il_setup_tensors (setup.h), valid as long as the instance. [any]
 * throughout. */
#ifndef INTERLOOP_TENSORS_H
#define INTERLOOP_TENSORS_H

#include <stdbool.h>
#include "interloop/status.h"
#include "interloop/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct il_tensors il_tensors;

typedef struct il_tensors_api {
    size_t struct_size;
    int64_t (*count)(const il_tensors *t);
    const char *(*name)(const il_tensors *t, int64_t column);
    il_status (*find)(const il_tensors *t, const char *name, int64_t *column,
                      int32_t *ndim, int64_t shape[IL_DIMS_MAX], il_error *err);
    il_status (*agree)(const il_tensors *t, int64_t a, int64_t b, il_error *err);
    il_status (*read)(const il_tensors *t, int64_t column, int64_t first, int64_t rows,
                      il_type type, void *out, il_error *err);
    const char *(*about)(const il_tensors *t, const char *key);
    const char *(*hash)(const il_tensors *t);
} il_tensors_api;

struct il_tensors {
    const il_tensors_api *api;
};

/* Columns, sorted by name. */
static inline int64_t il_tensors_count(const il_tensors *t)
{
    return t->api->count(t);
}
static inline const char *il_tensors_name(const il_tensors *t, int64_t column)
{
    return t->api->name(t, column);
}

/* The column of that name, with its dimensions; shape[0] counts the rows of all shards.
 * IL_ERR_INPUT where a shard lacks it or has it otherwise than the first. */
static inline il_status il_tensors_find(const il_tensors *t, const char *name,
                                        int64_t *column, int32_t *ndim,
                                        int64_t shape[IL_DIMS_MAX], il_error *err)
{
    return t->api->find(t, name, column, ndim, shape, err);
}

/* Whether both columns have as many rows in every shard: what one row is made of has.
 */
static inline il_status il_tensors_agree(const il_tensors *t, int64_t a, int64_t b,
                                         il_error *err)
{
    return t->api->agree(t, a, b, err);
}

/* Rows [first, first+rows) of a column, one behind the other. IL_F32 from any number,
 * rounded where it is wider; IL_I64 and IL_I32 from whole numbers, IL_U8 from flags:
 * what the type would change more than that is IL_ERR_INPUT with its place. A model,
 * whose rows come by the batch, gets none: IL_ERR_UNSUPPORTED. */
static inline il_status il_tensors_read(const il_tensors *t, int64_t column,
                                        int64_t first, int64_t rows, il_type type,
                                        void *out, il_error *err)
{
    return t->api->read(t, column, first, rows, type, out, err);
}

/* What those who wrote the shards say of them by that key, or NULL: "model", the hash
 * of the weights; "tokens" and "label", the names of the mask and of the label. */
static inline const char *il_tensors_about(const il_tensors *t, const char *key)
{
    return t->api->about(t, key);
}

/* A hash of all that the files hold, as 64 hex digits, for fingerprints: the first call
 * reads them through. A model's is of names and shapes. */
static inline const char *il_tensors_hash(const il_tensors *t)
{
    return t->api->hash(t);
}

#ifdef __cplusplus
}
#endif

#endif
