/* Histograms: see histogram.h. */
#include "formats/histogram.h"

#include <math.h>
#include <string.h>

void il_histogram_see(il_histogram *h, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double v = x[i];

        if (!isfinite(v)) {
            continue;
        }
        h->min = h->num == 0 || v < h->min ? v : h->min;
        h->max = h->num == 0 || v > h->max ? v : h->max;
        h->num += 1;
        h->sum += v;
        h->sum_squares += v * v;
    }
}

void il_histogram_cut(il_histogram *h)
{
    double width = (h->max - h->min) / IL_HISTOGRAM_BINS;

    h->count = h->num == 0 ? 0 : width > 0 ? IL_HISTOGRAM_BINS : 1;
    for (size_t b = 0; b < h->count; b++) {
        h->limits[b] = b + 1 < h->count ? h->min + (double)(b + 1) * width : h->max;
        h->counts[b] = 0;
    }
}

void il_histogram_add(il_histogram *h, const float *x, int64_t n)
{
    double scale = h->count > 1 ? (double)h->count / (h->max - h->min) : 0.0;

    for (int64_t i = 0; i < n && h->count > 0; i++) {
        double at = ((double)x[i] - h->min) * scale;

        if (isfinite(x[i])) {
            h->counts[at < (double)h->count ? (size_t)at : h->count - 1] += 1;
        }
    }
}

/* The bins that the last cell takes, where there are more than fit. */
static size_t cells_of(size_t bins)
{
    return (bins + IL_HISTOGRAM_BINS - 1) / IL_HISTOGRAM_BINS;
}

void il_histogram_of_bins(il_histogram *h, double from, double width, size_t bins,
                          const int64_t *counts)
{
    size_t first = 0;
    size_t end = bins;
    size_t each;

    memset(h, 0, sizeof *h);
    while (first < end && counts[first] == 0) {
        first++;
    }
    while (end > first && counts[end - 1] == 0) {
        end--;
    }
    if (first == end) {
        return;
    }
    each = cells_of(end - first);
    h->min = from + (double)first * width;
    h->max = from + (double)end * width;
    for (size_t b = first; b < end; b++) {
        double middle = from + ((double)b + 0.5) * width;
        double n = (double)counts[b];

        h->num += n;
        h->sum += n * middle;
        h->sum_squares += n * middle * middle;
        h->count = (b - first) / each + 1;
        h->limits[h->count - 1] = from + (double)(b + 1) * width;
        h->counts[h->count - 1] += n;
    }
}
