/* Whether probabilities mean what they say. */
#ifndef IL_DETECT_RELIABILITY_H
#define IL_DETECT_RELIABILITY_H

#include "detect/metrics.h"

/* Expected calibration error (Naeini et al. 2015): rows in `bins` equal bins by
 * probability and over the bins the mean distance of its share of
 * positives from its mean probability, each bin weighted by its rows. NaN without rows
 * or labels. */
double il_scores_ece(const il_scores *s, int bins);

/* Counts logits by class in equal bins from `from` on, `width` wide; the outermost take
 * what lies beyond. Each of `positive` and `negative` has `bins` counts, added to. */
void il_scores_histogram(const il_scores *s, double from, double width, int bins,
                         int64_t *positive, int64_t *negative);

/* A bin of a reliability diagram. */
typedef struct il_reliability {
    int64_t count;
    double said;       /* mean probability of its rows; 0 without any */
    double true_share; /* share of them that is positive */
} il_reliability;

/* The rows in `bins` equal bins by probability, into out[bins]. */
void il_scores_reliability(const il_scores *s, int bins, il_reliability *out);

#endif
