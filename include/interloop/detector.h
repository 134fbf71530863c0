/* Kind `detector`: reads activations at sites, gives a logit a row. */
#ifndef INTERLOOP_DETECTOR_H
#define INTERLOOP_DETECTOR_H

#include <stdbool.h>
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
    /* (N): where each row stands, b*T+t; NULL where that is not known. Rows only. */
    const int32_t *rows;
    /* (B,T): the tokens that the model read; NULL where it read no tokens. */
    const int32_t *inputs;
    /* (B,T): 1 where the mask that the pipeline names as the detector's `keys` holds;
     * NULL where it names none. */
    const uint8_t *keys;
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

/* A step of a fit without labels (slot `loss`): what it is, and where it leaves what
 * its end needs to know. */
typedef struct il_learning {
    size_t struct_size;
    int64_t step;  /* from 0 */
    int64_t steps; /* of the whole fit */
    int64_t rows;  /* of the whole batch, however many parts it is cut into */
    float lr;      /* this step's */
    /* `note_count` numbers that the step adds up. Each part of the batch has its own,
     * cleared before its `loss`, which adds to them; the host adds the parts up in a
     * fixed order and hands the sums to `after_step`. */
    float *notes;
} il_learning;

/* What is done to activations at a detector's site while the model runs. */
typedef enum il_edit_kind {                     /* values are ABI: append only */
                            IL_EDIT_ABLATE = 1, /* what it reads is taken out */
                            IL_EDIT_CLAMP = 2,  /* what it reads becomes `value` */
                            IL_EDIT_STEER = 3,  /* `value` is added to it */
                            IL_EDIT_SPLICE = 4  /* its account of them in their place */
} il_edit_kind;

typedef struct il_edit {
    size_t struct_size;
    il_edit_kind kind;
    float value;             /* CLAMP, STEER */
    int32_t feature_count;   /* 0: none are named */
    const int32_t *features; /* ascending; of a dictionary */
    bool keep_error; /* SPLICE: what the account leaves out is added, as a constant */
} il_edit;

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

    /* Dictionaries: detectors that describe a row by features, few of which are active
     * at once (sparse autoencoders and their kin). All read rows. Other detectors may
     * read the features (`of`), edits may be written in them. */

    /* [work] The features of each row, (N,feature_width): 0 where one is not active.
     * Written in ops, like `score`. */
    il_tensor *(*features)(const void *self, il_pass *pass, const il_reading *r);
    /* [any] How many there are; set together with `features`. */
    int64_t (*feature_width)(const void *self);
    /* [work] The loss of a fit without labels (method `dictionary`, the default of a
     * detector that has this slot): one number a row, (N), which the host averages over
     * the batch and descends by Adam. It is asked for a part of the batch at a time,
     * several at once, each with its own pass and notes; the parts do not depend on how
     * many workers there are. */
    il_tensor *(*loss)(const void *self, il_pass *pass, const il_reading *r,
                       il_learning *l);
    /* [any] How many notes a step takes; NULL: none. */
    int64_t (*note_count)(const void *self);
    /* [work] Once before the first step of a fit from scratch: sets, from rows of the
     * fit (their labels are NULL), what depends on data, such as a mean and a scale.
     * Parameters come in as they were initialized; errors as in `fit`. */
    il_status (*start)(const void *self, const il_fitting *f, il_error *err);
    /* [any] Whether the rows of a parameter of two dimensions have norm 1. The host
     * then takes from each row's gradient the part along the row before a step, and
     * divides the row by its norm after it and after `start`; what is 0 stays. */
    bool (*unit_rows)(const void *self, il_param param);
    /* [work] Ends a step, after the optimizer: what no gradient decides, such as counts
     * of use, thresholds that follow the data and bounds. `values` as in il_fitting;
     * l->notes are the sums over the batch. */
    void (*after_step)(const void *self, const il_learning *l, float *const *values);
    /* [work] The rows as their features give them back, (N,W) in the sites' own units,
     * all sites side by side: equal to `decode` of `features`, up to rounding. */
    il_tensor *(*reconstruct)(const void *self, il_pass *pass, const il_reading *r);
    /* [work] What features (N,feature_width) stand for, (N,W). A sum over features plus
     * a constant, so that a change of the features is a change along their
     * directions. */
    il_tensor *(*decode)(const void *self, il_pass *pass, il_tensor *features);

    /* [work] An edit of the detector's own: rows (N,W) of its one site, scaled as for
     * `score`, -> what the model is to go on with, (N,W), scaled likewise. A row
     * depends on that row alone. In ops, differentiable in x; a kind that it does not
     * know is il_pass_fail with IL_ERR_UNSUPPORTED. Without it the core edits along the
     * direction of what is `linear`, and by `features`, `decode` and `reconstruct`. */
    il_tensor *(*edit)(const void *self, il_pass *pass, il_tensor *x,
                       const il_edit *edit);

    /* [work] After a dictionary's fit, where a label was given: sets the parameters by
     * which `score` reads the features. f->x are the features of the labelled rows,
     * (rows,feature_width), and f->values hold what the fit found; otherwise as
     * `fit`. */
    il_status (*read_out)(const void *self, const il_fitting *f, il_error *err);

    /* [work] as `fit`. The fit, differentiated: lets a pipeline refit the detector
     * `through_fit`, so that a loss on its logits also follows what the rows to fit do
     * to its parameters. `f` is that of a fit which succeeded, f->values what it found;
     * slopes[i] is the derivative of some loss with respect to each number of parameter
     * i, NULL for none. Adds to dx (N,W) the derivative of that loss with respect to
     * f->x. For components that name `linear`. */
    il_status (*fit_backward)(const void *self, const il_fitting *f,
                              const double *const *slopes, double *dx, il_error *err);

    /* [any] For a detector that reads other detectors in turn, a row at a time: whether
     * a row asks for the next of them, given the logits of the first `read` (>= 1).
     * Where nothing is differentiated the host then computes a member only on the rows
     * that ask for it, and hands `score` 0 in the place of the others, which must not
     * count. The answer depends on nothing else. */
    bool (*asks)(const void *self, int32_t read, const float *logits);
} il_detector_api;

#ifdef __cplusplus
}
#endif

#endif
