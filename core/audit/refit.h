/* Refits: what a detector's own recipe gives on the model as it is now, and how much of
 * any difference is the luck of the rows it was fitted on.
 *
 * The recipe is fitted twice, on rows of different documents. How far the two lie apart
 * is the noise that a drift has to stand out from; what they reach is what could still
 * be read. Each has half of the rows, so that the noise is not made too small. */
#ifndef IL_AUDIT_REFIT_H
#define IL_AUDIT_REFIT_H

#include "audit/audit_private.h"

/* By index the two fits; NaN where one has no number. */
typedef struct il_refitted {
    bool done; /* else nothing below is set */
    il_measured measured[2];
    double cosine;   /* between the two, of linear detectors */
    double drift[2]; /* between each and the detector */
    double caught;   /* the detector's own TPR on the rows that judge them */
} il_refitted;

/* Whether a detector can be fitted anew: one that a label taught, here, on what the
 * model itself holds. */
bool il_refit_can(const il_detector *d);
/* Fits d's recipe on two sets of rows that it can read, which have both classes, and
 * judges both. A fit that its rows do not determine is noted under `name`, and `done`
 * stays false. */
il_status il_refit_twice(il_refitted *out, il_audit_work *w, const il_detector *d,
                         const il_acts *const fit[2], const il_acts *judged,
                         const char *name, il_error *err);

/* What is kept of it: names without the detector's, and values. */
enum { IL_REFIT_NUMBERS = 7 };
typedef struct il_refit_number {
    const char *name; /* "refit.auroc", "noise.auroc", ..., "restored" */
    double value;
} il_refit_number;
void il_refit_numbers(const il_refitted *r, il_refit_number out[IL_REFIT_NUMBERS]);

/* A detector of a split, on halves of what it was fitted on. */
il_status il__audit_refit(il_audit_work *w, const il_detector *d, const char *name,
                          const il_acts *judged, il_error *err);

#endif
