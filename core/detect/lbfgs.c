/* See lbfgs.h. */
#include "detect/lbfgs.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "tensor/kernels.h"

enum {
    MEMORY = 8,        /* pairs of steps and changes of slope */
    SAMPLE_LEAST = 512 /* rows behind the metric, at least; and sixteen a channel */
};

/* A minimization under way; D = W + 1, the bias last. */
typedef struct search {
    const il_irls *in;
    int64_t dims;      /* D */
    double *metric;    /* (D,D), below and on its diagonal: a Cholesky factor */
    double *w, *slope; /* (D) */
    double *next, *next_slope;
    double *step;           /* (D) */
    double *moved[MEMORY];  /* (D) each: changes of w, oldest overwritten first */
    double *turned[MEMORY]; /* and of the slope */
    double curve[MEMORY];   /* moved . turned */
    int64_t pairs;          /* kept so far, all told */
} search;

static double dot(const double *a, const double *b, int64_t n)
{
    double sum[4] = {0, 0, 0, 0};
    int64_t i = 0;

    for (; i + 4 <= n; i += 4) {
        for (int k = 0; k < 4; k++) {
            sum[k] += a[i + k] * b[i + k];
        }
    }
    for (; i < n; i++) {
        sum[0] += a[i] * b[i];
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* The loss at w, and its slope: every row is read once, for its logit and at once for
 * its share of the slope, which is still in the cache. */
static double evaluate(const search *s, const double *w, double *slope)
{
    int64_t width = s->in->width;
    double share = 1.0 / (double)s->in->rows;
    double loss = 0;

    memset(slope, 0, (size_t)s->dims * sizeof *slope);
    for (int64_t i = 0; i < s->in->rows; i++) {
        const float *x = s->in->x + i * width;
        double z = il_k_dot_double(w, x, width) + w[width];
        bool positive = s->in->labels[i] != 0;
        double away = positive ? -z : z;
        double e = exp(-fabs(away)); /* one exp for loss and slope */
        double off = (away > 0 ? share : share * e) / (1.0 + e);

        loss += (away > 0 ? away : 0) + log1p(e);
        off = positive ? -off : off;
        slope[width] += off;
        il_k_axpy_double(slope, off, x, width);
    }
    for (int64_t c = 0; c < width; c++) {
        slope[c] += s->in->l2 * w[c];
    }
    return loss * share + 0.5 * s->in->l2 * dot(w, w, width);
}

/* ---- the metric ----------------------------------------------------------------- */

/* The curvature that evenly spaced rows give at w, with a little on its diagonal, as a
 * Cholesky factor. Only the path depends on it, never the optimum, so f32 will do. */
static bool set_metric(search *s, const il_blas *blas)
{
    int64_t dims = s->dims;
    int64_t width = s->in->width;
    int64_t sample = 16 * dims > SAMPLE_LEAST ? 16 * dims : SAMPLE_LEAST;
    double trace = 0;
    float *rows;
    float *curve;

    sample = sample < s->in->rows ? sample : s->in->rows;
    rows = malloc((size_t)(sample * dims) * sizeof *rows);
    curve = malloc((size_t)(dims * dims) * sizeof *curve);
    if (rows == NULL || curve == NULL) {
        free(rows);
        free(curve);
        return false;
    }
    for (int64_t k = 0; k < sample; k++) {
        const float *x = s->in->x + k * s->in->rows / sample * width;
        double z = il_k_dot_double(s->w, x, width) + s->w[width];
        double p = 1.0 / (1.0 + exp(-z));
        /* A row that is sure of itself here may not be at the optimum. */
        float root = (float)sqrt(fmax(p * (1.0 - p), 1e-3) / (double)sample);

        for (int64_t c = 0; c < width; c++) {
            rows[k * dims + c] = root * x[c];
        }
        rows[k * dims + width] = root;
    }
    il_blas_gemm(blas, true, false, dims, dims, sample, 1.0f, rows, dims, rows, dims,
                 0.0f, curve, dims);
    for (int64_t a = 0; a < dims; a++) {
        trace += curve[a * dims + a] / (double)dims;
    }
    for (int64_t a = 0; a < dims; a++) {
        double *row = s->metric + a * dims;

        for (int64_t b = 0; b <= a; b++) {
            double left = curve[a * dims + b] - dot(row, s->metric + b * dims, b);

            if (a == b) { /* whatever rounding left of it */
                left += a < width ? s->in->l2 : 0;
                row[b] = sqrt(fmax(left, 1e-5 * trace + 1e-12));
            } else {
                row[b] = left / s->metric[b * dims + b];
            }
        }
    }
    free(rows);
    free(curve);
    return true;
}

/* x = metric^-1 x. */
static void divide(const search *s, double *x)
{
    int64_t dims = s->dims;
    const double *l = s->metric;

    for (int64_t a = 0; a < dims; a++) {
        x[a] = (x[a] - dot(l + a * dims, x, a)) / l[a * dims + a];
    }
    for (int64_t a = dims - 1; a >= 0; a--) {
        x[a] /= l[a * dims + a];
        for (int64_t b = 0; b < a; b++) {
            x[b] -= l[a * dims + b] * x[a];
        }
    }
}

/* ---- steps ---------------------------------------------------------------------- */

/* step = H slope, by the two loops over the pairs kept. */
static void set_step(search *s)
{
    int64_t kept = s->pairs < MEMORY ? s->pairs : MEMORY;
    double along[MEMORY];

    memcpy(s->step, s->slope, (size_t)s->dims * sizeof *s->step);
    for (int64_t n = s->pairs; n-- > s->pairs - kept;) {
        int64_t k = n % MEMORY;

        along[k] = dot(s->moved[k], s->step, s->dims) / s->curve[k];
        for (int64_t c = 0; c < s->dims; c++) {
            s->step[c] -= along[k] * s->turned[k][c];
        }
    }
    divide(s, s->step);
    for (int64_t n = s->pairs - kept; n < s->pairs; n++) {
        int64_t k = n % MEMORY;
        double back = dot(s->turned[k], s->step, s->dims) / s->curve[k];

        for (int64_t c = 0; c < s->dims; c++) {
            s->step[c] += (along[k] - back) * s->moved[k][c];
        }
    }
}

/* Keeps what the step from w to next taught of the curvature. */
static void keep_pair(search *s)
{
    int64_t k = s->pairs % MEMORY;

    for (int64_t c = 0; c < s->dims; c++) {
        s->moved[k][c] = s->next[c] - s->w[c];
        s->turned[k][c] = s->next_slope[c] - s->slope[c];
    }
    s->curve[k] = dot(s->moved[k], s->turned[k], s->dims);
    s->pairs += s->curve[k] > 0;
}

static il_status descend(search *s, const char *where, il_error *err)
{
    int64_t most =
        s->in->iterations > 0 ? s->in->iterations : (int64_t)IL_LBFGS_ITERATIONS;
    double now = evaluate(s, s->w, s->slope);

    for (int64_t i = 0; i < most && isfinite(now); i++) {
        double noise = 1e-15 * (1.0 + now); /* of the loss: its rounding */
        double share = 1.0;
        double next = now;
        double gain;
        double *swap;

        set_step(s);
        gain = dot(s->slope, s->step, s->dims);
        if (!(gain > 1e-14 * (1.0 + now))) {
            break;
        }
        for (; share > 1e-6; share /= 2) {
            for (int64_t c = 0; c < s->dims; c++) {
                s->next[c] = s->w[c] - share * s->step[c];
            }
            next = evaluate(s, s->next, s->next_slope);
            if (next <= now - 1e-4 * share * gain + noise) {
                break;
            }
        }
        if (!(next < now)) {
            break; /* rounding is all that is left */
        }
        keep_pair(s);
        now = next;
        swap = s->w;
        s->w = s->next;
        s->next = swap;
        swap = s->slope;
        s->slope = s->next_slope;
        s->next_slope = swap;
    }
    return isfinite(now)
               ? IL_OK
               : il_error_set(err, IL_ERR_NUMERIC, where,
                              "the rows to fit hold a value that is no number");
}

static il_status check_penalty(const il_irls *problem, const char *where, il_error *err)
{
    return problem->l2 > 0 ? IL_OK
                           : il_error_set(err, IL_ERR_INPUT, where,
                                          "fit method 'lbfgs' needs an `l2` above 0; "
                                          "'irls' does not");
}

il_status il_lbfgs_solve(const il_irls *problem, const il_blas *blas, double *w,
                         const char *where, il_error *err)
{
    int64_t dims = problem->width + 1;
    size_t vectors = 5 + 2 * MEMORY;
    double *block = malloc((vectors + (size_t)dims) * (size_t)dims * sizeof *block);
    search s = {.in = problem, .dims = dims};
    il_status status = IL_OK;
    double **const parts[] = {&s.w, &s.slope, &s.next, &s.next_slope, &s.step};

    status = check_penalty(problem, where, err);
    if (status != IL_OK) {
        goto out;
    }
    if (block == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        goto out;
    }
    for (int64_t k = 0; k < 5; k++) {
        *parts[k] = block + k * dims;
    }
    for (int64_t k = 0; k < MEMORY; k++) {
        s.moved[k] = block + (5 + 2 * k) * dims;
        s.turned[k] = block + (6 + 2 * k) * dims;
    }
    s.metric = block + (int64_t)vectors * dims;
    memcpy(s.w, w, (size_t)dims * sizeof *w);
    if (!set_metric(&s, blas)) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        goto out;
    }
    status = descend(&s, where, err);
    if (status == IL_OK) {
        memcpy(w, s.w, (size_t)dims * sizeof *w);
    }
out:
    free(block);
    return status;
}

/* ---- its derivative ------------------------------------------------------------- */

/* out = H v, the curvature of row i being pull[i]. */
static void bend(const search *s, const double *pull, const double *v, double *out)
{
    int64_t width = s->in->width;

    memset(out, 0, (size_t)s->dims * sizeof *out);
    for (int64_t i = 0; i < s->in->rows; i++) {
        const float *x = s->in->x + i * width;
        double along = pull[i] * (il_k_dot_double(v, x, width) + v[width]);

        out[width] += along;
        il_k_axpy_double(out, along, x, width);
    }
    for (int64_t c = 0; c < width; c++) {
        out[c] += s->in->l2 * v[c];
    }
}

/* u = H^-1 slope. s->slope holds what is left of the slope, s->next that in the metric,
 * s->step the direction and s->next_slope what H makes of it. */
static bool set_inverse(search *s, const double *pull, const double *slope, double *u)
{
    int64_t dims = s->dims;
    double least = 0;
    double size;

    memset(u, 0, (size_t)dims * sizeof *u);
    memcpy(s->slope, slope, (size_t)dims * sizeof *slope);
    memcpy(s->next, slope, (size_t)dims * sizeof *slope);
    divide(s, s->next);
    memcpy(s->step, s->next, (size_t)dims * sizeof *s->step);
    size = dot(s->slope, s->next, dims);
    least = 1e-24 * size;
    for (int64_t i = 0; i < 20 * dims && size > least; i++) {
        double curve;
        double share;
        double before = size;

        bend(s, pull, s->step, s->next_slope);
        curve = dot(s->step, s->next_slope, dims);
        if (!(curve > 0)) {
            return false;
        }
        share = size / curve;
        for (int64_t c = 0; c < dims; c++) {
            u[c] += share * s->step[c];
            s->slope[c] -= share * s->next_slope[c];
        }
        memcpy(s->next, s->slope, (size_t)dims * sizeof *s->next);
        divide(s, s->next);
        size = dot(s->slope, s->next, dims);
        for (int64_t c = 0; c < dims; c++) {
            s->step[c] = s->next[c] + size / before * s->step[c];
        }
    }
    return isfinite(size);
}

il_status il_lbfgs_backward(const il_irls *problem, const il_blas *blas,
                            const double *w, const double *slope, double *dx,
                            const char *where, il_error *err)
{
    int64_t dims = problem->width + 1;
    double *block = calloc((6 + (size_t)dims) * (size_t)dims, sizeof *block);
    double *pull = malloc((size_t)problem->rows * sizeof *pull);
    search s = {.in = problem, .dims = dims};
    double *u = block;
    double **const parts[] = {&s.w, &s.slope, &s.next, &s.next_slope, &s.step};
    il_status status = check_penalty(problem, where, err);

    if (status != IL_OK) {
        goto out;
    }
    if (block == NULL || pull == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        goto out;
    }
    for (int64_t k = 0; k < 5; k++) {
        *parts[k] = block + (k + 1) * dims;
    }
    s.metric = block + 6 * dims;
    memcpy(s.w, w, (size_t)dims * sizeof *w);
    if (!set_metric(&s, blas)) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        goto out;
    }
    for (int64_t i = 0; i < problem->rows; i++) {
        double z = il_k_dot_double(w, problem->x + i * problem->width, problem->width) +
                   w[problem->width];
        double p = 1.0 / (1.0 + exp(-z));

        pull[i] = p * (1.0 - p) / (double)problem->rows;
    }
    if (set_inverse(&s, pull, slope, u)) {
        il_irls_spread(problem, w, u, dx);
    } else {
        status = il_error_set(err, IL_ERR_NUMERIC, where,
                              "the fit cannot be differentiated: its curvature is "
                              "singular; give it more `l2`");
    }
out:
    free(block);
    free(pull);
    return status;
}
