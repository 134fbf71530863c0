/* Histograms of numbers, in the form that TensorBoard takes: bins with their upper
 * limits, and the sums that mean and deviation come from.
 *
 * Numbers may come in several pieces, each handed over twice: once to il_histogram_see,
 * which finds the range, and once, after il_histogram_cut, to il_histogram_add. */
#ifndef IL_FORMATS_HISTOGRAM_H
#define IL_FORMATS_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { IL_HISTOGRAM_BINS = 40 };

typedef struct il_histogram {
    double min, max;
    double num; /* how many */
    double sum;
    double sum_squares;
    size_t count;                     /* bins in use */
    double limits[IL_HISTOGRAM_BINS]; /* upper, ascending; the last is max or above */
    double counts[IL_HISTOGRAM_BINS];
} il_histogram;

/* Takes numbers into range and sums; those that are not finite are left out. A
 * histogram begins as zeros. */
void il_histogram_see(il_histogram *h, const float *x, int64_t n);
/* Cuts the range into equal bins; one alone where all numbers are the same. */
void il_histogram_cut(il_histogram *h);
void il_histogram_add(il_histogram *h, const float *x, int64_t n);
/* From counts of `bins` equal bins, `width` wide from `from`, whose numbers count as
 * their middles; empty bins outside are left out. `bins` at most 1024. */
void il_histogram_of_bins(il_histogram *h, double from, double width, size_t bins,
                          const int64_t *counts);

#endif
