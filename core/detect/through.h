/* Refits that stay on the tape (`refit: {through_fit: N}`): what the rows that a linear
 * detector was fitted on do to its logits, by differentiating the optimum and not the
 * way there. The probe is a function of the representation; a model that is pressed
 * through it cannot move away from where it happens to point. */
#ifndef IL_DETECT_THROUGH_H
#define IL_DETECT_THROUGH_H

#include "detect/detector.h"
#include "detect/harvest.h"

/* Whether its pipeline asks for that. */
bool il_detector_through(const il_detector *d);
/* Problems with a spec that asks for it of a detector that cannot: one that is not
 * linear, whose fit is no exact optimum or cannot be differentiated, or whose logits
 * move by something else too. */
void il_detector_through_check(const il_detector *d, il_problems *problems);

/* The detector was last fitted on these labelled rows, and slope (W+1) is the
 * derivative of some loss with respect to its weights on channels as they are, sites
 * side by side, and its bias. Adds to dx (N,W) the derivative with respect to the rows.
 * In double, in a fixed order. */
il_status il_detector_through_backward(const il_detector *d, const il_blas *blas,
                                       const il_acts *acts, const double *slope,
                                       double *dx, il_error *err);

#endif
