/* Directions: linear probes and control vectors from other people's files. A direction
 * gives a row x of W channels the logit weight . x + bias. */
#ifndef IL_EXCHANGE_DIRECTION_H
#define IL_EXCHANGE_DIRECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/text.h"
#include "interloop/status.h"

typedef struct il_direction {
    int64_t layer; /* the file's number of the layer it belongs to; -1: not said */
    int64_t width; /* W */
    float *weight; /* (W) */
    float bias;
} il_direction;

typedef struct il_directions {
    il_direction *items;
    size_t count;
    bool steers; /* made to be added to activations: its length counts, its sign alone
                    makes no decision */
    char *model; /* what the file says that they were made for; NULL: nothing */
    /* Rows and logits that the file holds of itself, to be verified by; NULL: none. */
    float *rows;   /* (row_count, W of the only direction) */
    float *logits; /* (row_count) */
    int64_t row_count;
} il_directions;

void il_directions_clear(il_directions *d); /* zero-initialize before use */

/* A probe from .npz or safetensors. Weights are named as scikit-learn or PyTorch name
 * them:
 *
 *   coef or coef_, intercept or intercept_   (1,W) or (W); (1) or one number
 *   mean[_], scale[_], with scaler_ before   of a StandardScaler, which is folded in
 *   weight, bias, with a prefix and a dot    (1,W) or (W), or (2,W): two logits, whose
 *                                            difference counts
 *   activations, scores                      (N,W), (N): kept for verifying
 *
 * A file that holds more than one layer is refused with their names. */
il_status il_direction_read_probe(il_directions *out, const char *path, il_text *said,
                                  il_error *err);
/* Control vectors from GGUF: tensors direction.N, of the general architecture
 * controlvector, in the order of their numbers. All are to be of one width. */
il_status il_direction_read_gguf(il_directions *out, const char *path, il_text *said,
                                 il_error *err);

/* The other way: one direction as coef (1,W) and intercept (1), or all of a control
 * vector as direction.LAYER, without biases. Layers below 1, or two of one layer, are
 * IL_ERR_INPUT. */
il_status il_direction_write_npz(const il_direction *d, const char *path,
                                 il_error *err);
il_status il_direction_write_safetensors(const il_direction *d, const char *path,
                                         il_error *err);
il_status il_direction_write_gguf(const il_direction *items, size_t count,
                                  const char *model, const char *path, il_error *err);

#endif
