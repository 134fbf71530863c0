/* Sparse autoencoders as other people's files describe them: one description for all
 * formats, with the options that change what an SAE computes as fields, and what is
 * mere habit of a format (which way a matrix lies, a scale that weights can take in)
 * settled when it is read.
 *
 * For a row x of W channels, F features f and the row's reconstruction y:
 *
 *   x' = scaled(x) - decoder_bias where `centred`
 *   h  = encoder x' + encoder_bias
 *   f  = relu(h) | relu of the k largest h | relu(h) where h > threshold
 *        | relu(exp(log_scale) (encoder x') + encoder_bias)
 *            where encoder x' + gate_bias > 0
 *   y  = unscaled(decoder' f + decoder_bias)
 *
 * (SAELens' definitions; Rajamanoharan et al. 2024 for gated and jumping ones, Gao et
 * al. 2024 for the k largest.) What is here computes in double and is meant for
 * checking: the detector is what runs. */
#ifndef IL_EXCHANGE_DICTIONARY_H
#define IL_EXCHANGE_DICTIONARY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "interloop/status.h"

typedef enum il_dictionary_form {
    IL_DICTIONARY_STANDARD, /* relu */
    IL_DICTIONARY_TOPK,
    IL_DICTIONARY_JUMPRELU,
    IL_DICTIONARY_GATED
} il_dictionary_form;

typedef enum il_dictionary_scaling {
    IL_DICTIONARY_PLAIN,
    IL_DICTIONARY_RESCALED,  /* x sqrt(W) / |x|, and back */
    IL_DICTIONARY_LAYER_NORM /* (x - mean) / (std + 1e-5), and times std + mean back;
                                std over W - 1 */
} il_dictionary_scaling;

typedef struct il_dictionary {
    il_dictionary_form form;
    il_dictionary_scaling scaling;
    int64_t width;    /* W */
    int64_t features; /* F */
    int64_t k;        /* of IL_DICTIONARY_TOPK */
    bool centred;
    float *encoder;      /* (F,W) */
    float *encoder_bias; /* (F) */
    float *decoder;      /* (F,W) */
    float *decoder_bias; /* (W) */
    float *threshold;    /* (F); of IL_DICTIONARY_JUMPRELU */
    float *gate_bias;    /* (F); this and the next of IL_DICTIONARY_GATED */
    float *log_scale;    /* (F) */
    char *site;          /* the format's name of where it reads; NULL: not said */
    char *model;         /* likewise */
    json_t *metadata;    /* what else the file says of its making; NULL: nothing */
} il_dictionary;

/* Frees what it holds; zero-initialize before use. */
void il_dictionary_clear(il_dictionary *d);

/* "standard", "topk", "jumprelu", "gated", as SAELens names them. */
const char *il_dictionary_form_name(il_dictionary_form form);
/* "none", "constant_norm_rescale", "layer_norm", likewise. */
const char *il_dictionary_scaling_name(il_dictionary_scaling scaling);

/* Folds a factor a feature into the two matrices, so that the features become `factor`
 * times what they were and the reconstruction stays: what an encoder that weighs its
 * features by the decoder's norms amounts to. A factor of 0 leaves the decoder's row.
 */
void il_dictionary_scale_features(il_dictionary *d, const double *factor);
/* The encoder from (W,F), as most formats lay it, into (F,W), in a block of its own;
 * frees the first. */
il_status il_dictionary_turn(il_dictionary *d, const char *where, il_error *err);
/* The norm of each decoder row, (F). */
void il_dictionary_norms(const il_dictionary *d, double *norms);
/* Folds in that the SAE was made for rows `scale` times as large as those that it will
 * read: features stay those of the scaled row, the reconstruction comes back in the
 * row's own units. */
void il_dictionary_scale_input(il_dictionary *d, double scale);

/* (N,W) rows -> (N,F) features and (N,W) reconstructions, either of which may be NULL.
 * IL_ERR_MEMORY alone. */
il_status il_dictionary_run(const il_dictionary *d, int64_t rows, const float *x,
                            float *features, float *output, il_error *err);

#endif
