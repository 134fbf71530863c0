/* Fits by descent of the mean cross-entropy over labelled rows: over all of them each
 * step, or over a few that are drawn by key. */
#ifndef IL_DETECT_DESCENT_H
#define IL_DETECT_DESCENT_H

#include "detect/fit.h"

/* Whether a method is one of these: adam, adamw or sgd. */
bool il_fit_descends(const char *method);
/* Problems with a fit that names numbers which its method does not have. */
void il_detector_descent_check(const il_detector *d, il_problems *problems);

/* From the values that the detector has. With the fit's `batch` below the units there
 * are, each step takes so many: rows, or for readers of sequences documents, each once
 * before any comes again, in orders that the fit's seed draws; the rate then falls to
 * zero by half a cosine, since the gradient at the optimum of all rows is not zero on
 * some of them. Same bits wherever the BLAS gives the same. One thread. */
il_status il__detector_descend(il_detector *d, const il_acts *acts, const il_fit *fit,
                               const char *method, il_error *err);
/* What il_detector_online does, on what the component reads. */
il_status il__detector_descend_online(il_detector *d, const il_blas *blas,
                                      const il_acts *acts, int64_t steps, double lr,
                                      il_error *err);

#endif
