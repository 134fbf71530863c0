/* Coverage: see coverage.h. */
#include "audit/coverage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/halves.h"
#include "detect/metrics.h"

/* A little of the mean variance is added to every channel's own, so that channels which
 * go together leave a covariance that can be solved. */
static const double RIDGE = 1e-3;

/* Positions [first, end) of harvested ones, every `stride`th. */
typedef struct rows {
    const il_acts *acts;
    il_scored tokens;
    int64_t first, end, stride;
    int64_t width;
} rows;

static rows rows_of(const il_acts *acts, int64_t first, int64_t end)
{
    rows r = {.acts = acts,
              .tokens = il_scored_tokens(&acts->rows),
              .first = first,
              .end = end,
              .stride = 1};

    r.stride += (end - first) / (IL_COVERAGE_ROWS + 1);
    for (size_t i = 0; i < acts->site_count; i++) {
        r.width += acts->widths[i];
    }
    return r;
}

/* The channels of one position, sites side by side, less `mean`. */
static void take(const rows *r, int64_t row, const double *mean, double *x)
{
    int64_t at = r->acts->gathered ? row : r->tokens.rows[row];
    int64_t k = 0;

    for (size_t i = 0; i < r->acts->site_count; i++) {
        const float *from = r->acts->data[i] + at * r->acts->widths[i];

        for (int64_t c = 0; c < r->acts->widths[i]; c++, k++) {
            x[k] = (double)from[c] - mean[k];
        }
    }
}

/* Mean (W) and the lower half of the ridged covariance (W,W); how many rows there were.
 */
static int64_t moments(const rows *r, double *mean, double *cov, double *x)
{
    int64_t w = r->width;
    int64_t n = 0;
    double trace = 0;

    for (int64_t i = r->first; i < r->end; i += r->stride, n++) {
        take(r, i, mean, x); /* mean is still 0 */
        for (int64_t k = 0; k < w; k++) {
            cov[k] += x[k];
        }
    }
    for (int64_t k = 0; k < w; k++) {
        mean[k] = n > 0 ? cov[k] / (double)n : 0;
        cov[k] = 0;
    }
    for (int64_t i = r->first; i < r->end; i += r->stride) {
        take(r, i, mean, x);
        for (int64_t a = 0; a < w; a++) {
            for (int64_t b = 0; b <= a; b++) {
                cov[a * w + b] += x[a] * x[b];
            }
        }
    }
    for (int64_t k = 0; k < w; k++) {
        trace += cov[k * w + k];
    }
    for (int64_t k = 0; k < w; k++) {
        cov[k * w + k] += RIDGE * trace / (double)w;
    }
    return n;
}

/* The Cholesky factor in place; false where a pivot is none. */
static bool factor(double *a, int64_t w)
{
    for (int64_t j = 0; j < w; j++) {
        double pivot = a[j * w + j];

        for (int64_t k = 0; k < j; k++) {
            pivot -= a[j * w + k] * a[j * w + k];
        }
        if (!(pivot > 0) || !isfinite(pivot)) {
            return false;
        }
        a[j * w + j] = sqrt(pivot);
        for (int64_t i = j + 1; i < w; i++) {
            double sum = a[i * w + j];

            for (int64_t k = 0; k < j; k++) {
                sum -= a[i * w + k] * a[j * w + k];
            }
            a[i * w + j] = sum / a[j * w + j];
        }
    }
    return true;
}

/* The squared distance of x, which is overwritten. */
static double distance(const double *factored, int64_t w, double *x)
{
    double sum = 0;

    for (int64_t i = 0; i < w; i++) {
        for (int64_t k = 0; k < i; k++) {
            x[i] -= factored[i * w + k] * x[k];
        }
        x[i] /= factored[i * w + i];
        sum += x[i] * x[i];
    }
    return sum;
}

/* Distances of all rows, into `out`; how many. */
static int64_t distances(const rows *r, const double *mean, const double *factored,
                         double *x, float *out)
{
    int64_t n = 0;

    for (int64_t i = r->first; i < r->end; i += r->stride) {
        take(r, i, mean, x);
        out[n++] = (float)distance(factored, r->width, x);
    }
    return n;
}

/* The first position of the later half of the documents. */
static int64_t half_of(const il_acts *acts)
{
    return il_scored_first(&acts->rows, il_part_row(acts, 0.5));
}

il_status il_coverage(const il_acts *reference, const il_acts *judged, double level,
                      double *out, il_error *err)
{
    int64_t half = half_of(reference);
    int64_t total = il_scored_first(&reference->rows, reference->rows.count);
    rows shape = rows_of(reference, 0, half);
    rows hold = rows_of(reference, half, total);
    rows asked =
        rows_of(judged, 0, il_scored_first(&judged->rows, judged->rows.count));
    size_t w = (size_t)shape.width;
    double *block;
    float *d;
    int64_t within = 0;

    *out = NAN;
    if (half < 2 || total - half < 2 || asked.end < 1 || w < 1 ||
        w > IL_COVERAGE_WIDTH || asked.width != shape.width) {
        return IL_OK;
    }
    block = calloc(w * w + 2 * w, sizeof *block);
    d = malloc((2 * IL_COVERAGE_ROWS + 2) * sizeof *d);
    if (block == NULL || d == NULL) {
        free(block);
        free(d);
        return il_error_set(err, IL_ERR_MEMORY, "audit", "out of memory");
    }
    (void)moments(&shape, block + w * w, block, block + w * w + w);
    if (factor(block, shape.width)) {
        int64_t n =
            distances(&hold, block + w * w, block, block + w * w + w, d);
        float edge = il_rate_threshold(n, d, 1 - level);

        n = distances(&asked, block + w * w, block, block + w * w + w, d);
        for (int64_t i = 0; i < n; i++) {
            within += d[i] <= edge;
        }
        *out = (double)within / (double)n;
    }
    free(block);
    free(d);
    return IL_OK;
}
