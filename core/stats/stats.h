/* Statistics of runs: what a few seeds, and many rows inside each, allow to be said.
 *
 * Seeds are the unit of repetition: rows of one seed share a model and are no evidence
 * about another. Differences are taken seed by seed between runs that share all but
 * what is asked about. Everything is exact or keyed: equal input gives equal bits. */
#ifndef IL_STATS_STATS_H
#define IL_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

/* ---- one sample ----------------------------------------------------------------- */

typedef struct il_interval {
    double value, low, high;
} il_interval;

/* The mean with Student's interval at `level` (0.95); NaN bounds below two values. */
il_interval il_mean_interval(const double *values, size_t count, double level);
/* The mean of the middle half, quarters of values at its ends counted in part
 * (interquartile mean; Agarwal et al. 2021). `values` is sorted in place. */
double il_interquartile_mean(double *values, size_t count);

/* ---- paired differences --------------------------------------------------------- */

typedef struct il_paired_test {
    size_t count; /* pairs */
    double mean;
    double low, high; /* Student's interval of the mean */
    double t_p;       /* Student's t, two-sided; NaN below two pairs */
    double flip_p;    /* sign flips, two-sided */
    double floor_p;   /* the least that flip_p can be with so many pairs */
    bool exact;       /* every flip was counted; else that many were drawn */
} il_paired_test;

enum { IL_FLIPS_EXACT = 20, IL_FLIPS_DRAWN = 100000 };

/* Tests that the differences have mean 0. Sign flips are counted one by one up to
 * IL_FLIPS_EXACT pairs, beyond that drawn, keyed by `seed`. */
il_paired_test il_paired_test_of(const double *differences, size_t count, double level,
                                 uint64_t seed);

typedef struct il_equivalence {
    double p;   /* the larger of the two one-sided tests'; NaN below two pairs */
    bool shown; /* p below alpha: the mean lies within the margin on both sides */
} il_equivalence;

/* Two one-sided t tests that the mean lies above -margin and below +margin
 * (Schuirmann 1987). Where nothing differs at all, p is 0 for a margin above 0. */
il_equivalence il_equivalence_of(const double *differences, size_t count, double margin,
                                 double alpha);

/* Adjusts p-values for being `count` (Holm 1979), in place and in their order. A NaN
 * stays, and is not counted. */
void il_holm(double *p, size_t count);

/* ---- clusters ------------------------------------------------------------------- */

/* One row: its value, and whom it belongs to. */
typedef struct il_clustered {
    int64_t seed;     /* of the run */
    int64_t document; /* or episode, within the seed */
    double value;
    double weight; /* above 0 */
} il_clustered;

/* A weighted mean with a percentile interval by a bootstrap of two levels: seeds with
 * replacement, then documents within each. With one seed, of documents alone. `draws`
 * resamples, keyed by `key`. The rows are sorted in place. IL_ERR_INPUT without rows,
 * or for a weight or value that is none. */
il_status il_clustered_interval(il_clustered *rows, size_t count, int draws,
                                double level, uint64_t key, il_interval *out,
                                il_error *err);

/* ---- trajectories --------------------------------------------------------------- */

/* The step at which a series first went below `below` and stayed there for `stay`
 * points in a row; it does not count as back until a point is at `above` or more. -1
 * when it never did, or when it was back by the end and stayed back. NaN points count
 * neither way. */
int64_t il_first_below(const int64_t *steps, const double *values, size_t count,
                       double below, double above, size_t stay);

/* log2 of the number of alternatives that something was selected from; 0 for one. */
double il_selection_bits(uint64_t alternatives);

/* ---- distributions -------------------------------------------------------------- */

/* P(T <= t) of Student's distribution with `df` > 0 degrees of freedom. */
double il_student_cdf(double t, double df);
/* Its inverse, for 0 < p < 1. */
double il_student_quantile(double p, double df);

#endif
