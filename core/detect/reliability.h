/* Whether probabilities mean what they say. */
#ifndef IL_DETECT_RELIABILITY_H
#define IL_DETECT_RELIABILITY_H

#include "detect/metrics.h"

/* Expected calibration error (Naeini et al. 2015): rows in `bins` equal bins by
 * probability, sigmoid(logit), and over the bins the mean distance of its share of
 * positives from its mean probability, each bin weighted by its rows. NaN without rows
 * or labels. */
double il_scores_ece(const il_scores *s, int bins);

/* Counts logits by class in equal bins from `from` on, `width` wide; the outermost take
 * what lies beyond. Each of `positive` and `negative` has `bins` counts, added to. */
void il_scores_histogram(const il_scores *s, double from, double width, int bins,
                         int64_t *positive, int64_t *negative);

#endif
