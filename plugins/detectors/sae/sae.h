/* A sparse autoencoder: what its files share. */
#ifndef SAE_H
#define SAE_H

#include <interloop/plugin.h>

typedef enum architecture { /* in the order of the parameter's choices */
                            STANDARD,
                            TOPK,
                            BATCHTOPK,
                            JUMPRELU,
                            GATED
} architecture;

typedef enum normalize {
    NORMALIZE_NONE,
    EXPECTED_AVERAGE, /* one factor for all rows */
    CONSTANT_NORM,    /* each row to norm sqrt(width) */
    LAYER_NORM        /* each row to mean 0 and deviation 1 */
} normalize;

enum { PREFIXES_MAX = 16 };

typedef struct sae {
    architecture architecture;
    normalize normalize;
    bool applies_b_dec;
    bool scores_error;
    int64_t width;    /* of the sites, side by side */
    int64_t features; /* F */
    int64_t k;
    int64_t prefixes[PREFIXES_MAX]; /* ascending, the last is F */
    int prefix_count;
    float sparsity;
    int64_t warmup; /* steps until it is whole */
    float bandwidth;
    float first_threshold;
    float follow; /* how fast BatchTopK's threshold follows */
    float aux;
    int64_t aux_features;
    int64_t dead_after;
    int64_t read;
    float l2;
    /* id -1: not one of this architecture's */
    il_param w_enc, b_enc, w_dec, b_dec, threshold, b_gate, r_mag, b_mag;
    il_param scale, idle, readout, readout_bias;
} sae;

/* What an encoder gives: a sparse matrix or a dense one. */
typedef struct encoded {
    const il_sparse *sparse; /* NULL: dense */
    il_tensor *dense;        /* (N,F) */
    il_tensor *pre;          /* JumpReLU in training: what its threshold was held to */
    il_tensor *gate;         /* Gated in training: ReLU of what opens its gates */
} encoded;

/* ---- ops.c: rows in and out of their scale, and gates ---- */

/* (N,W) rows of the sites as the encoder takes them. */
il_tensor *sae_rows_in(const sae *s, il_pass *pass, il_tensor *x);
/* Reconstructions back to the units of x, the rows that they are of. */
il_tensor *sae_rows_out(const sae *s, il_pass *pass, il_tensor *y, il_tensor *x);
/* pre (N,F) where it is above threshold (F), else 0. With `bandwidth` above 0 the
 * threshold has the straight-through gradient of a rectangle that wide, otherwise
 * none. */
il_tensor *sae_above(il_pass *pass, il_tensor *pre, il_tensor *threshold,
                     float bandwidth);
/* How many of a row are above it, (N), with that gradient. */
il_tensor *sae_count_above(il_pass *pass, il_tensor *pre, il_tensor *threshold,
                           float bandwidth);
/* x (N,F) where open (N,F) is above 0, else 0; no gradient flows to `open`. */
il_tensor *sae_where_open(il_pass *pass, il_tensor *x, il_tensor *open);

/* ---- encode.c ---- */

/* The features of rows that are in the encoder's scale. */
encoded sae_encode(const sae *s, il_pass *pass, il_tensor *x, bool training);
/* (N,F) whatever form they have. */
il_tensor *sae_dense(il_pass *pass, const encoded *e);
/* Features [first,last) times the decoder's rows, without its bias: (N,W). */
il_tensor *sae_decode(const sae *s, il_pass *pass, const encoded *e, int64_t first,
                      int64_t last);

/* ---- train.c: slots of the same names ---- */

il_tensor *sae_loss(const void *self, il_pass *pass, const il_reading *r,
                    il_learning *l);
int64_t sae_note_count(const void *self);
il_status sae_start(const void *self, const il_fitting *f, il_error *err);
void sae_after_step(const void *self, const il_learning *l, float *const *values);

/* All sites side by side. */
static inline il_tensor *sae_joined(il_pass *pass, const il_reading *r)
{
    return r->sites == 1 ? r->acts[0] : il_concat(pass, r->sites, r->acts);
}

#endif
