/* Kind `dataset`: rows by random access, with the masks, labels and targets that
 * signals and detectors name. */
#ifndef INTERLOOP_DATASET_H
#define INTERLOOP_DATASET_H

#include "interloop/batch.h"
#include "interloop/rng.h"
#include "interloop/setup.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a field is for. The core refuses a signal that names a mask where a label is
 * meant. */
typedef enum il_field_role { /* values are ABI: append only */
                             IL_FIELD_INPUT =
                                 1, /* what the model reads: "tokens" (B,T) i32 */
                             IL_FIELD_TARGET = 2, /* (B,T) i32, a token a position, -1
                                                     for none: "next", "truth" */
                             IL_FIELD_WEIGHT = 3, /* (B,T) f32, for a loss */
                             IL_FIELD_MASK =
                                 4, /* (B,T) u8: named positions, "claims" */
                             IL_FIELD_LABEL = 5, /* (B) or (B,T) u8, 0 or 1: never an
                                                    input of the model */
                             IL_FIELD_UNIT =
                                 6, /* (B) i64: the id of the document, for clusters
                                       and for telling splits apart */
                             IL_FIELD_REWARD = 7 /* (B,L) f32: environments only */
} il_field_role;

typedef struct il_field {
    const char *name;
    il_field_role role;
    const char *help;
} il_field;

typedef struct il_split {
    const char *name;
    int64_t rows; /* how many there are; -1 for a stream without end */
    const char *help;
} il_split;

/* What a metric function fills: pooled over chunks as sum / weight. */
typedef struct il_metrics il_metrics;
typedef struct il_metrics_api {
    size_t struct_size;
    void (*add)(il_metrics *m, const char *name, double sum, double weight);
} il_metrics_api;
struct il_metrics {
    const il_metrics_api *api;
};
/* Adds to the pool of `name`: the reported value is the sum of sums over the sum of
 * weights. [work] */
static inline void il_metrics_add(il_metrics *m, const char *name, double sum,
                                  double weight)
{
    m->api->add(m, name, sum, weight);
}

typedef struct il_dataset_api {
    size_t struct_size;
    /* [setup] Publishes the facts "vocabulary" and "context". Two instances with equal
     * parameters and seed are equal. */
    il_status (*create)(const il_setup *s, void **self, il_error *err);
    void (*destroy)(void *self);
    /* [any] The splits and fields, static for the instance. */
    const il_split *(*splits)(const void *self, int32_t *count);
    const il_field *(*fields)(const void *self, int32_t *count);
    /* [any] Rows [index, index+rows) of a split into an empty batch of `rows` rows,
     * with every field. A pure function of its arguments and of the instance. For a
     * stream the core keeps indices of different stages apart. */
    il_status (*get)(const void *self, int32_t split, int64_t index, int64_t rows,
                     il_batch *out, il_error *err);
    /* [any] 32 bytes that change whenever any row could change (data files,
     * parameters). */
    void (*fingerprint)(const void *self, uint8_t out[32]);

    /* What follows may be NULL. */

    /* [any] How many rows of behaviour the dataset can ask of a model. */
    int64_t (*prompt_rows)(const void *self);
    /* [any] Rows of prompts: the fields of `get`, and besides "sample" (B,T) u8, the
     * positions whose token the model is to draw, and "allowed" (B,V) u8, the tokens it
     * may draw. Masks mark what detectors score on the finished text. */
    il_status (*prompt)(const void *self, int64_t index, int64_t rows, il_batch *out,
                        il_error *err);
    /* [any] Metrics of a model's outputs on rows of a split: logits (B,T,V). */
    void (*metrics)(const void *self, const il_batch *batch, const il_tensor *logits,
                    il_metrics *out);
    /* [any] Metrics of finished text: `batch` from `prompt` with its "tokens" drawn. */
    void (*behaviour)(const void *self, const il_batch *batch, il_metrics *out);
    /* [any] Writes one row as text, NUL-terminated and cut to `size`; returns the
     * length it would need. */
    size_t (*text)(const void *self, const il_batch *batch, int64_t row, char *out,
                   size_t size);
} il_dataset_api;

#ifdef __cplusplus
}
#endif

#endif
