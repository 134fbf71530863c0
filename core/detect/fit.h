/* Fitting detectors: scaling, gradient descent on labelled activations, thresholds. */
#ifndef IL_DETECT_FIT_H
#define IL_DETECT_FIT_H

#include "detect/detector.h"
#include "base/log.h"
#include "detect/harvest.h"

typedef enum il_fit_start {
    IL_FIT_FRESH, /* new parameters from the seed, new scaling */
    IL_FIT_WARM,  /* its last parameters, its scaling kept */
    IL_FIT_AGAIN  /* the same, on rows whose ids it has already */
} il_fit_start;

typedef struct il_fit {
    const il_blas *blas;
    il_fit_start start;
    uint64_t seed;          /* of FRESH's parameters */
    const char *model_hash; /* of the weights behind the activations; NULL or kept when
                               it has one */
    int64_t steps;          /* overrides; 0: as the pipeline or the recipe says */
    double lr;
    il_pool *pool; /* for dictionaries: NULL: in the caller alone */
    il_log *log;   /* of their losses; NULL: nowhere */
    const struct il_dictionary_rounds
        *rounds; /* rows that follow those at hand (dictionary.h); NULL: none */
} il_fit;

/* Harvests what a detector reads, labelled, on `split` (NULL: its fit's own); h names
 * model, values, data, blas and pool, and the rest is filled in. */
il_status il_detector_harvest(il_acts **out, const il_detector *d, const il_harvest *h,
                              const char *split, il_error *err);

/* Fits on mean binary cross-entropy; method and numbers are the pipeline's where it
 * gives them and the component's recipe elsewhere. `adam` and `adamw` descend its
 * gradient over all rows, + l2 |w|^2 over tensors of two or more dimensions; `irls`
 * and `lbfgs` solve for a linear detector's optimum, + l2/2 |w|^2, on activations as
 * they are, the second faster on many rows;
 * `closed_form` is the component's own fit, the default where it has one (closed.h);
 * `dictionary` teaches one that learns without labels, its default (dictionary.h).
 * FRESH remembers the ids of these rows, WARM adds them. Activations need labels with
 * both classes, numbers, and rows that differ. On failure the detector is as it was.
 * One thread; different detectors at once. */
il_status il_detector_fit(il_detector *d, const il_acts *acts, const il_fit *fit,
                          il_error *err);
/* Continues with `steps` Adam steps at `lr` on these rows, scaling kept, moments kept
 * from call to call. */
il_status il_detector_online(il_detector *d, const il_blas *blas, const il_acts *acts,
                             int64_t steps, double lr, il_error *err);

/* Logits (N) of harvested rows, into `logits`. The acts hold at least its sites. They
 * are scored in chunks of IL_HARVEST_CHUNK documents, so that a document's logits have
 * the same bits however many others there are in whole chunks after it, and memory does
 * not grow with the rows. */
il_status il_detector_logits(const il_detector *d, const il_blas *blas,
                             const il_acts *acts, float *logits, il_error *err);
/* The same; of a detector that asks its members in turn also which share of the rows
 * asked for more than the first, NaN of any other. */
il_status il_detector_logits_told(const il_detector *d, const il_blas *blas,
                                  const il_acts *acts, float *logits, double *escalated,
                                  il_error *err);

/* Sets the threshold that its spec asks for from labelled rows of another split: for a
 * rate r on n negatives the (floor(r n)+1)-th largest of their logits, so that at most
 * r of them lie above. A unit `token` or `step` is a row; a `sequence` or `episode` is
 * a document without a positive row, with the largest of its logits. Documents that it
 * was fitted on are refused. `acts` may be NULL for a threshold given as a logit. */
il_status il_detector_calibrate(il_detector *d, const il_blas *blas,
                                const il_acts *acts, il_error *err);
/* Sets the calibration that its spec asks for from labelled rows of another split, by
 * its own rows: positions, or sequences where it pools. Documents that it was fitted on
 * are refused, as is what il_calibration_fit refuses. */
il_status il_detector_calibrate_odds(il_detector *d, const il_blas *blas,
                                     const il_acts *acts, il_error *err);

#endif
