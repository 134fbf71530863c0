#include "detect/reliability.h"

#include <math.h>
#include <string.h>
#include "detect/calibration.h"

static int bin_of(double x, int bins)
{
    return x != x || x < 0 ? 0 : x >= bins ? bins - 1 : (int)x;
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
            double p = il_calibration_probability(s->calibration, s->logits[i]);

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

void il_scores_reliability(const il_scores *s, int bins, il_reliability *out)
{
    memset(out, 0, (size_t)bins * sizeof *out);
    for (int64_t i = 0; s->labels != NULL && i < s->count; i++) {
        double p = il_calibration_probability(s->calibration, s->logits[i]);
        il_reliability *b = &out[bin_of(p * bins, bins)];

        b->count++;
        b->said += p;
        b->true_share += s->labels[i] != 0;
    }
    for (int b = 0; b < bins; b++) {
        out[b].said /= out[b].count > 0 ? (double)out[b].count : 1.0;
        out[b].true_share /= out[b].count > 0 ? (double)out[b].count : 1.0;
    }
}
