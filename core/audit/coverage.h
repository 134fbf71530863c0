/* Coverage: whether a reader is asked about activations like those it was taught on.
 *
 * The reference rows of one half of the documents give a mean and a covariance, those
 * of the other half the distance (Mahalanobis 1936) that all but a share of them stay
 * within; what is judged is covered where it stays within that too. Since the distance
 * is set on rows that shaped nothing, as many of the reference's own would be covered
 * whatever their distribution (split conformal prediction; Vovk, Gammerman and Shafer
 * 2005). For whether a reader can be trusted on what a model does the distance of its
 * activations is used as in Lee et al. 2018. */
#ifndef IL_AUDIT_COVERAGE_H
#define IL_AUDIT_COVERAGE_H

#include "detect/harvest.h"

enum {
    IL_COVERAGE_WIDTH = 1024, /* channels at most, of all sites together */
    IL_COVERAGE_ROWS = 8192   /* of each; of more, evenly spaced ones */
};

/* The share of the judged positions that lie where a share `level` of the reference's
 * do; NaN where that cannot be told: fewer than 2 positions in either half, no judged
 * one, more channels than IL_COVERAGE_WIDTH, or activations that never change. Both
 * hold the same sites. In double, in a fixed order. */
il_status il_coverage(const il_acts *reference, const il_acts *judged, double level,
                      double *out, il_error *err);

#endif
