#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/rng.h"

/* ---- Student's distribution ----------------------------------------------------- */

/* The continued fraction of the incomplete beta function, by Lentz's method (Press et
 * al., Numerical Recipes, 6.4). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1;
    double d = 1 - (a + b) * x / (a + 1);
    double h;

    d = 1 / (fabs(d) < tiny ? tiny : d);
    h = d;
    for (int m = 1; m <= 500; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;

        for (int half = 0; half < 2; half++) {
            double term = half == 0 ? even : odd;

            d = 1 + term * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + term / c;
            c = fabs(c) < tiny ? tiny : c;
            step = c * d;
            h *= step;
        }
        if (fabs(step - 1) < 1e-15) {
            break;
        }
    }
    return h;
}

/* The regularized incomplete beta function I_x(a,b). */
static double beta(double x, double a, double b)
{
    double front;

    if (x <= 0 || x >= 1) {
        return x <= 0 ? 0 : 1;
    }
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(x, a, b) / a
                                     : 1 - front * beta_fraction(1 - x, b, a) / b;
}

/* P(T > |t|), without taking it from 1. */
static double student_tail(double t, double df)
{
    return isinf(t) ? 0 : 0.5 * beta(df / (df + t * t), df / 2, 0.5);
}

double il_student_cdf(double t, double df)
{
    double tail = student_tail(t, df);

    return t > 0 ? 1 - tail : tail;
}

double il_student_quantile(double p, double df)
{
    double low = 0;
    double high = 1;
    double tail = p < 0.5 ? p : 1 - p;

    while (student_tail(high, df) > tail && high < 1e300) {
        high *= 2;
    }
    for (int i = 0; i < 200 && high - low > 1e-15 * high; i++) {
        double middle = 0.5 * (low + high);

        if (student_tail(middle, df) > tail) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return p < 0.5 ? -0.5 * (low + high) : 0.5 * (low + high);
}

/* ---- one sample ----------------------------------------------------------------- */

/* The mean, and its standard error in *error (NaN below two values). */
static double mean_error(const double *values, size_t count, double *error)
{
    double mean = 0;
    double square = 0;

    for (size_t i = 0; i < count; i++) {
        mean += values[i];
    }
    mean /= (double)count;
    for (size_t i = 0; i < count; i++) {
        square += (values[i] - mean) * (values[i] - mean);
    }
    *error =
        count > 1 ? sqrt(square / ((double)count - 1) / (double)count) : (double)NAN;
    return mean;
}

il_interval il_mean_interval(const double *values, size_t count, double level)
{
    il_interval out = {(double)NAN, (double)NAN, (double)NAN};
    double error;

    if (count == 0) {
        return out;
    }
    out.value = mean_error(values, count, &error);
    if (count > 1) {
        double reach = error * il_student_quantile(0.5 + level / 2, (double)count - 1);

        out.low = out.value - reach;
        out.high = out.value + reach;
    }
    return out;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double il_interquartile_mean(double *values, size_t count)
{
    double cut = (double)count / 4;
    double sum = 0;

    if (count == 0) {
        return (double)NAN;
    }
    qsort(values, count, sizeof *values, by_value);
    for (size_t i = 0; i < count; i++) {
        /* how much of [i, i+1) lies within the middle half */
        double from = (double)i > cut ? (double)i : cut;
        double to =
            (double)i + 1 < (double)count - cut ? (double)i + 1 : (double)count - cut;

        sum += to > from ? (to - from) * values[i] : 0;
    }
    return sum / ((double)count / 2);
}

/* ---- paired differences --------------------------------------------------------- */

/* Whether a flip is at least as far from 0 as what was seen, rounding aside. */
static bool as_far(double flipped, double seen, double scale)
{
    return fabs(flipped) >= fabs(seen) - 1e-12 * scale;
}

/* The share of sign flips whose sum is as far from 0 as the sum itself. */
static double flip_exactly(const double *d, size_t count, double sum, double scale)
{
    uint64_t all = (uint64_t)1 << count;
    uint64_t far = 0;

    for (uint64_t signs = 0; signs < all; signs++) {
        double flipped = 0;

        for (size_t i = 0; i < count; i++) {
            flipped += signs >> i & 1 ? -d[i] : d[i];
        }
        far += as_far(flipped, sum, scale);
    }
    return (double)far / (double)all;
}

/* The same of flips that are drawn; the sample itself counts as one (Phipson and Smyth
 * 2010). */
static double flip_drawn(const double *d, size_t count, double sum, double scale,
                         uint64_t seed)
{
    uint64_t far = 1;

    for (int draw = 0; draw < IL_FLIPS_DRAWN; draw++) {
        double flipped = 0;
        il_rng rng;

        il_rng_open(&rng, seed, 0, IL_RNG_BOOTSTRAP, (uint64_t)draw, 0);

        for (size_t i = 0; i < count; i++) {
            flipped += il_rng_uniform(&rng) < 0.5f ? -d[i] : d[i];
        }
        far += as_far(flipped, sum, scale);
    }
    return (double)far / (IL_FLIPS_DRAWN + 1);
}

il_paired_test il_paired_test_of(const double *d, size_t count, double level,
                                 uint64_t seed)
{
    il_paired_test out = {.count = count,
                          .mean = (double)NAN,
                          .low = (double)NAN,
                          .high = (double)NAN,
                          .t_p = (double)NAN,
                          .flip_p = (double)NAN,
                          .floor_p = (double)NAN};
    il_interval interval = il_mean_interval(d, count, level);
    double error;
    double sum = 0;
    double scale = 0;

    if (count == 0) {
        return out;
    }
    out.mean = mean_error(d, count, &error);
    out.low = interval.low;
    out.high = interval.high;
    if (count > 1) {
        /* Nothing differs: no evidence; all differ alike: all there can be. */
        out.t_p = error > 0 ? 2 * student_tail(out.mean / error, (double)count - 1)
                  : out.mean == 0.0 ? 1
                                    : 0;
    }
    for (size_t i = 0; i < count; i++) {
        sum += d[i];
        scale += fabs(d[i]);
    }
    out.exact = count <= IL_FLIPS_EXACT;
    out.flip_p = out.exact ? flip_exactly(d, count, sum, scale)
                           : flip_drawn(d, count, sum, scale, seed);
    out.floor_p = out.exact ? ldexp(1, 1 - (int)count) : 1.0 / (IL_FLIPS_DRAWN + 1);
    return out;
}

il_equivalence il_equivalence_of(const double *d, size_t count, double margin,
                                 double alpha)
{
    il_equivalence out = {(double)NAN, false};
    double error;
    double mean;
    double below;
    double above;

    if (count < 2) {
        return out;
    }
    mean = mean_error(d, count, &error);
    if (!(error > 0)) {
        out.p = fabs(mean) < margin ? 0 : 1;
    } else {
        below = il_student_cdf((mean - margin) / error, (double)count - 1);
        above = il_student_cdf(-(mean + margin) / error, (double)count - 1);
        out.p = below > above ? below : above;
    }
    out.shown = out.p < alpha;
    return out;
}

void il_holm(double *p, size_t count)
{
    size_t tests = 0;
    double floor = 0;
    bool *done = calloc(count + 1, sizeof *done);

    for (size_t i = 0; i < count; i++) {
        tests += !isnan(p[i]);
    }
    for (size_t k = 0; done != NULL && k < tests; k++) {
        size_t least = count;
        double adjusted;

        for (size_t i = 0; i < count; i++) {
            if (!done[i] && !isnan(p[i]) && (least == count || p[i] < p[least])) {
                least = i;
            }
        }
        adjusted = p[least] * (double)(tests - k);
        adjusted = adjusted < 1 ? adjusted : 1;
        floor = adjusted > floor ? adjusted : floor;
        p[least] = floor;
        done[least] = true;
    }
    /* Without memory nothing is claimed. */
    for (size_t i = 0; done == NULL && i < count; i++) {
        p[i] = isnan(p[i]) ? p[i] : 1;
    }
    free(done);
}

/* ---- clusters ------------------------------------------------------------------- */

static int by_cluster(const void *a, const void *b)
{
    const il_clustered *x = a;
    const il_clustered *y = b;

    if (x->seed != y->seed) {
        return x->seed < y->seed ? -1 : 1;
    }
    return (x->document > y->document) - (x->document < y->document);
}

/* Sums over a document, and where a seed's documents begin. */
typedef struct clusters {
    double *sums;
    double *weights;
    size_t *begins; /* [seed], and the end of the last */
    size_t documents;
    size_t seeds;
} clusters;

static bool gather(const il_clustered *rows, size_t count, clusters *c)
{
    c->sums = calloc(count, sizeof *c->sums);
    c->weights = calloc(count, sizeof *c->weights);
    c->begins = calloc(count + 1, sizeof *c->begins);
    if (c->sums == NULL || c->weights == NULL || c->begins == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool new_seed = i == 0 || rows[i].seed != rows[i - 1].seed;

        if (new_seed) {
            c->begins[c->seeds++] = c->documents;
        }
        if (new_seed || rows[i].document != rows[i - 1].document) {
            c->documents++;
        }
        c->sums[c->documents - 1] += rows[i].value * rows[i].weight;
        c->weights[c->documents - 1] += rows[i].weight;
    }
    c->begins[c->seeds] = c->documents;
    return true;
}

/* The weighted mean of one resample. */
static double resample(const clusters *c, uint64_t key, int draw)
{
    double sum = 0;
    double weight = 0;
    il_rng rng;

    il_rng_open(&rng, key, 1, IL_RNG_BOOTSTRAP, (uint64_t)draw, 0);
    for (size_t s = 0; s < c->seeds; s++) {
        size_t seed = c->seeds > 1 ? il_rng_below(&rng, (uint32_t)c->seeds) : 0;
        size_t begin = c->begins[seed];
        size_t size = c->begins[seed + 1] - begin;

        for (size_t i = 0; i < size; i++) {
            size_t document = begin + il_rng_below(&rng, (uint32_t)size);

            sum += c->sums[document];
            weight += c->weights[document];
        }
    }
    return sum / weight;
}

/* Linear between the two values beside the rank, as numpy has it. */
static double percentile(const double *sorted, int count, double share)
{
    double rank = share * (count - 1);
    int below = (int)rank;

    return below + 1 < count
               ? sorted[below] + (rank - below) * (sorted[below + 1] - sorted[below])
               : sorted[count - 1];
}

il_status il_clustered_interval(il_clustered *rows, size_t count, int draws,
                                double level, uint64_t key, il_interval *out,
                                il_error *err)
{
    clusters c = {0};
    double *means = calloc((size_t)draws + 1, sizeof *means);
    double sum = 0;
    double weight = 0;
    il_status status = IL_OK;

    for (size_t i = 0; i < count && status == IL_OK; i++) {
        if (!isfinite(rows[i].value) || !isfinite(rows[i].weight) ||
            rows[i].weight <= 0) {
            status = il_error_set(err, IL_ERR_INPUT, "bootstrap",
                                  "row %zu has value %g and weight %g: expected "
                                  "numbers, the weight above 0",
                                  i, rows[i].value, rows[i].weight);
        }
        sum += rows[i].value * rows[i].weight;
        weight += rows[i].weight;
    }
    if (status == IL_OK && (count == 0 || draws < 1)) {
        status = il_error_set(err, IL_ERR_INPUT, "bootstrap",
                              "expected rows and draws, got %zu and %d", count, draws);
    }
    if (status == IL_OK) {
        qsort(rows, count, sizeof *rows, by_cluster);
        status = means != NULL && gather(rows, count, &c)
                     ? IL_OK
                     : il_error_set(err, IL_ERR_MEMORY, "bootstrap", "out of memory");
    }
    for (int d = 0; status == IL_OK && d < draws; d++) {
        means[d] = resample(&c, key, d);
    }
    if (status == IL_OK) {
        qsort(means, (size_t)draws, sizeof *means, by_value);
        out->value = sum / weight;
        out->low = percentile(means, draws, 0.5 - level / 2);
        out->high = percentile(means, draws, 0.5 + level / 2);
    }
    free(c.sums);
    free(c.weights);
    free(c.begins);
    free(means);
    return status;
}

/* ---- trajectories --------------------------------------------------------------- */

int64_t il_first_below(const int64_t *steps, const double *values, size_t count,
                       double below, double above, size_t stay)
{
    int64_t first = -1;
    int64_t candidate = -1;
    size_t run = 0;
    size_t back = 0;

    for (size_t i = 0; i < count; i++) {
        if (isnan(values[i])) {
            continue;
        }
        if (values[i] < below) {
            candidate = run == 0 ? steps[i] : candidate;
            run++;
            back = 0;
            first = first < 0 && run >= stay ? candidate : first;
        } else if (values[i] >= above) {
            run = 0;
            back++;
            first = back >= stay ? -1 : first;
        }
    }
    return first;
}

double il_selection_bits(uint64_t alternatives)
{
    return alternatives > 1 ? log2((double)alternatives) : 0;
}
