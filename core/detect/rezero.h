/* Re-zeroing: a detector's logits less what the mean logit of its trusted rows has
 * moved by since it was fitted.
 *
 * A model that drifts carries every logit with it. Rows that are known to be clean say
 * by how much: logit <- logit - [their mean under the weights of now - their mean under
 * the weights that it was fitted on]. The offset is the detector's, so monitors, audits
 * and rewards all see it. Where a logit is differentiated the gradient has to flow
 * through that mean too (else training pushes all logits the same way for ever, and
 * they are always put back): the rows' own pass is kept, and takes the derivative with
 * respect to the offset once. */
#ifndef IL_DETECT_REZERO_H
#define IL_DETECT_REZERO_H

#include "detect/detector.h"

/* Fetches the trusted rows, the first ones of their split; once. Nothing where the
 * detector is not re-zeroed. [setup] */
il_status il_detector_trust(il_detector *d, const il_instance *data,
                            const il_blas *blas, il_error *err);
/* Sets the offset for these weights of the model, by parameter number; with `baseline`
 * they become those that it was fitted on, and the offset 0. Nothing where the detector
 * has no trusted rows. [setup] */
il_status il_detector_rezero(il_detector *d, const float *const *values, bool baseline,
                             il_error *err);
/* Adds slope * d(mean of the trusted logits)/d(parameter) into grads[parameter] for the
 * parameters of `route`, at the weights of the last il_detector_rezero, which must not
 * have changed since. A loss whose derivative with respect to the logits of its rows is
 * g has slope -sum g. [setup] */
il_status il_detector_rezero_backward(il_detector *d, double slope,
                                      const il_word *route, float *const *grads,
                                      il_error *err);
/* The detector as it reads the model that it was fitted on: offset 0. Borrows all of
 * d's. */
il_detector il_detector_unmoved(const il_detector *d);

void il__trusted_destroy(struct il_trusted *t); /* takes NULL; il_detector_destroy's */

#endif
