/* Detectors that are linear in what they read: their direction, and their exact fit. */
#ifndef IL_DETECT_LINEAR_H
#define IL_DETECT_LINEAR_H

#include "detect/detector.h"
#include "detect/harvest.h"

/* Whether the component says that it is linear. */
bool il_detector_linear(const il_detector *d);
/* Whether a method is one that solves for a linear detector's optimum. */
bool il_detector_solved(const char *method);
/* The penalty that its fit puts on the weights: the pipeline's, else the recipe's. */
double il_detector_l2(const il_detector *d);
/* Channels of all its inputs: sites, or what its members give. */
int64_t il_detector_width(const il_detector *d);
/* Its weights on unscaled channels, sites side by side, and last its bias on them:
 * `out` has room for il_detector_width + 1. Linear detectors alone. */
void il_detector_direction(const il_detector *d, double *out);
/* Cosine of the angle between the weights of two linear detectors of the same sites;
 * NaN when one has none. */
double il_detector_cosine(const il_detector *a, const il_detector *b);

/* Where the class means of labelled rows lie along its direction, in the sites' own
 * units: `apart` and `middle` of the detector; 0 where that has no direction. Linear
 * detectors alone. */
il_status il_detector_spread(il_detector *d, const il_acts *acts, il_error *err);

/* Solves for weight and bias on the scored rows as they are, unscaled, from the values
 * it has: by il_lbfgs_solve with `blas`, by il_irls_solve without (NULL). Its scaling
 * is dropped. A component that says it is linear and has no such parameters is
 * IL_ERR_INPUT. */
il_status il_detector_solve(il_detector *d, const il_acts *acts, const il_blas *blas,
                            double l2, int64_t iterations, il_error *err);

#endif
