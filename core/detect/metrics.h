/* What a set of logits with labels says: plain functions of arrays, with intervals by
 * document. */
#ifndef IL_DETECT_METRICS_H
#define IL_DETECT_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include "interloop/status.h"
#include "base/arena.h"

/* Rows with a logit, a label and the document they stand in. */
typedef struct il_scores {
    int64_t count;
    const float *logits;
    const uint8_t *labels; /* NULL: unknown */
    const int64_t *documents;
    bool has_threshold;
    double threshold;
    const struct il_calibration *calibration; /* of probabilities; NULL: sigmoid */
    double rate;       /* of false positives, for `recall`; 0: none was named */
    double prevalence; /* of positives in use, for `precision`; 0: not known */
} il_scores;

/* The numbers, by index; NaN where a class or the threshold is missing. */
typedef enum il_measure {
    IL_MEASURE_AUROC,    /* chance that a positive scores above a negative, ties half */
    IL_MEASURE_TPR,      /* share of positives above the threshold */
    IL_MEASURE_FPR,      /* share of negatives above it */
    IL_MEASURE_MEAN,     /* mean probability */
    IL_MEASURE_TPR_AT_1, /* TPR above the (floor(n/100)+1)-th largest of the n negatives
                          */
    IL_MEASURE_DPRIME,   /* difference of the classes' means over the root of their mean
                            variance */
    IL_MEASURE_POSITIVE, /* mean logit of the positives */
    IL_MEASURE_NEGATIVE, /* and of the negatives */
    IL_MEASURE_FLAGGED,  /* share of all rows above the threshold */
    IL_MEASURE_RECALL,   /* TPR above the (floor(rate n)+1)-th largest of the n negatives
                          */
    IL_MEASURE_PRECISION, /* share of what is flagged that is positive, where a share
                             `prevalence` of all is: p TPR / (p TPR + (1 - p) FPR) */
    IL_MEASURES
} il_measure;

typedef struct il_measured {
    double value[IL_MEASURES];
    /* The 95% percentile interval; NaN without one, as of what a single document says.
     * Of a rate that is 0 or 1 in every resample the far end is the exact binomial one
     * over the documents behind it (Clopper and Pearson 1934), so that no rate of 0 looks
     * certain. A precision's ends are those of its two rates. */
    double low[IL_MEASURES];
    double high[IL_MEASURES];
    int64_t rows, positives, negatives, documents;
    int64_t positive_documents, negative_documents; /* with a row of that class */
} il_measured;

/* "auroc", "tpr", ... */
const char *il_measure_name(il_measure m);

/* All measures; with draws > 0 also intervals from that many resamples of whole
 * documents, keyed by (seed, depth). */
il_status il_scores_measure(const il_scores *s, int draws, uint64_t seed,
                            uint32_t depth, il_measured *out, il_error *err);

/* The same scores with a row for each document: positive where one of its rows is, with
 * the largest of their logits, since a document alarms where any of its rows does. The
 * arrays lie in the arena. */
il_status il_scores_by_document(const il_scores *s, il_arena *arena, il_scores *out,
                                il_error *err);

/* p TPR / (p TPR + (1 - p) FPR); NaN where nothing is flagged. */
double il_precision(double prevalence, double tpr, double fpr);

/* A difference of two numbers with its 95% percentile interval; NaN where a part is. */
typedef struct il_difference {
    double value, low, high;
} il_difference;

/* One measure of `a` minus that of `b`, two readers' scores of the same rows: the
 * interval comes from resamples that both share. */
il_status il_scores_compare(const il_scores *a, const il_scores *b, il_measure which,
                            int draws, uint64_t seed, uint32_t depth,
                            il_difference *out, il_error *err);

/* The smallest of the values that at most floor(rate n) of the n values lie above; n >=
 * 1, 0 <= rate <= 1. Sorts `values`. */
float il_rate_threshold(int64_t n, float *values, double rate);

#endif
