#include "detect/reliability.h"

#include <math.h>

static int bin_of(double x, int bins)
{
    return x < 0 ? 0 : x >= bins ? bins - 1 : (int)x;
}

double il_scores_ece(const il_scores *s, int bins)
{
    double error = 0;

    if (s->count < 1 || s->labels == NULL || bins < 1) {
        return NAN;
    }
    for (int b = 0; b < bins; b++) {
        double apart = 0;

        for (int64_t i = 0; i < s->count; i++) {
            double p = 1.0 / (1.0 + exp(-(double)s->logits[i]));

            apart += bin_of(p * bins, bins) == b ? (s->labels[i] != 0) - p : 0.0;
        }
        error += fabs(apart);
    }
    return error / (double)s->count;
}

void il_scores_histogram(const il_scores *s, double from, double width, int bins,
                         int64_t *positive, int64_t *negative)
{
    for (int64_t i = 0; i < s->count; i++) {
        int bin = bin_of(floor((s->logits[i] - from) / width), bins);

        if (s->labels != NULL && s->labels[i] != 0) {
            positive[bin]++;
        } else {
            negative[bin]++;
        }
    }
}
