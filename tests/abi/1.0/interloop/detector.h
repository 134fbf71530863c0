/* Kind `detector`: reads activations at sites, gives a logit a row. */
#ifndef INTERLOOP_DETECTOR_H
#define INTERLOOP_DETECTOR_H

#include "interloop/pass.h"
#include "interloop/setup.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum il_reads {
    IL_READS_ROWS = 1, /* acts[i] is (N,width_i): the scored positions alone */
    IL_READS_SEQUENCES =
        2 /* acts[i] is (B,T,width_i), with what may be read and what is to be scored */
} il_reads;

/* What a detector is given. Activations come scaled as the detector was fitted (see
 * il_recipe.standardize). */
typedef struct il_reading {
    size_t struct_size;
    int32_t sites;
    il_tensor *const *acts; /* [sites] */
    int64_t batch;          /* B */
    int64_t length;         /* T */
    const int32_t
        *lengths; /* (B): positions at and past it are padding; sequences only */
    const uint8_t *scored; /* (B,T): 1 where a logit is asked for; sequences only */
    int32_t context; /* what position t may read: one of il_context; sequences only */
} il_reading;

enum il_context { IL_CONTEXT_SELF = 0, IL_CONTEXT_PAST = 1, IL_CONTEXT_ALL = 2 };

/* How the core fits a detector by gradient when the pipeline does not say otherwise:
 * full-batch binary cross-entropy, mean over rows. Numbers that a pipeline's `fit` may
 * override by name. */
typedef struct il_recipe {
    size_t struct_size;
    const char *method; /* "adam" or "adamw" */
    int32_t steps;
    float lr;
    float l2;            /* + l2 |w|^2 over parameters of two or more dimensions */
    float weight_decay;  /* AdamW's */
    int32_t standardize; /* 1: each channel to mean 0, variance 1 on the fitting rows,
                            before the detector */
} il_recipe;

/* What a fit in closed form is given, and where it puts what it finds. */
typedef struct il_fitting {
    size_t struct_size;
    int64_t rows;   /* N: the scored positions of the fitting data */
    int64_t width;  /* W: channels of all its sites, side by side in their order */
    const float *x; /* (N,W), unscaled; finite, and not all rows the same */
    const uint8_t *labels; /* (N), each 0 or 1; both occur */
    /* By il_param.id, flat: the detector's own parameters. They come in with what they
     * held, initial values or an earlier fit's, and every one is to be written. */
    float *const *values;
} il_fitting;

typedef struct il_detector_api {
    size_t struct_size;
    il_reads reads;
    const il_recipe *recipe; /* NULL: not fitted by gradient */
    /* [setup] il_setup_site_count and _site_width tell what it reads. */
    il_status (*create)(const il_setup *s, void **self, il_error *err);
    void (*destroy)(void *self); /* may be NULL */
    /* [work] Logits: rows (N,1); sequences (B,T), of which only the scored positions
     * are used. Written in ops, so that gradients flow to the activations and to the
     * detector's parameters. Errors stick to the pass. */
    il_tensor *(*score)(const void *self, il_pass *pass, const il_reading *r);

    /* ---- what follows may be NULL ---- */

    /* [any] For a component whose logit is weight . x + bias, x being the channels of
     * all its sites side by side: names the two parameters, of W and of one number. The
     * core may then solve its fit exactly (method `irls`) and compare its direction
     * with another's. */
    void (*linear)(const void *self, il_param *weight, il_param *bias);
    /* [work] never twice at once for one instance; different instances at once. Fits in
     * closed form (method `closed_form`), from rows that the host harvested and has
     * looked through; for detectors that read rows. Set, it is how the core fits the
     * detector unless a pipeline names another method, and activations are then never
     * scaled for it. All of `f` is borrowed until it returns, scratch is the
     * component's own to allocate and free; equal rows and values must give equal bits.
     * IL_ERR_NUMERIC, with a message that says what to do, where the rows do not
     * determine the fit (a singular covariance), IL_ERR_INPUT where they are too few.
     * A parameter that comes back as no number is an error of the fit, and after a
     * failure the host puts the parameters back as they were. */
    il_status (*fit)(const void *self, const il_fitting *f, il_error *err);
} il_detector_api;

#ifdef __cplusplus
}
#endif

#endif
