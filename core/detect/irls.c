#include "detect/irls.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Newton's method under way; D = W + 1, the bias last. */
typedef struct newton {
    const il_irls *in;
    int64_t dims;  /* D */
    double *slope; /* (D) */
    double *curve; /* (D,D), the lower triangle, then its Cholesky factor */
    double *step;  /* (D) */
    double *trial; /* (D) */
    double *row;   /* (D) a row of x, 1 at its end */
} newton;

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static const double *row_of(const newton *n, int64_t i)
{
    const float *x = n->in->x + i * n->in->width;

    for (int64_t c = 0; c < n->in->width; c++) {
        n->row[c] = x[c];
    }
    return n->row;
}

/* softplus(z) - y z, without overflow. */
static double row_loss(double z, bool positive)
{
    double away = positive ? -z : z;

    return (away > 0 ? away : 0) + log1p(exp(-fabs(away)));
}

static double loss(const newton *n, const double *w)
{
    double sum = 0;

    for (int64_t i = 0; i < n->in->rows; i++) {
        sum += row_loss(dot(row_of(n, i), w, n->dims), n->in->labels[i] != 0);
    }
    return sum / (double)n->in->rows + 0.5 * n->in->l2 * dot(w, w, n->in->width);
}

/* Slope and curvature at w. */
static void expand(newton *n, const double *w)
{
    int64_t dims = n->dims;
    double share = 1.0 / (double)n->in->rows;

    memset(n->slope, 0, (size_t)dims * sizeof *n->slope);
    memset(n->curve, 0, (size_t)(dims * dims) * sizeof *n->curve);
    for (int64_t i = 0; i < n->in->rows; i++) {
        const double *x = row_of(n, i);
        double p = 1.0 / (1.0 + exp(-dot(x, w, dims)));
        double off = (p - (n->in->labels[i] != 0)) * share;
        double weight = p * (1.0 - p) * share;

        for (int64_t a = 0; a < dims; a++) {
            double *curve = n->curve + a * dims;
            double scaled = weight * x[a];

            n->slope[a] += off * x[a];
            for (int64_t b = 0; b <= a; b++) {
                curve[b] += scaled * x[b];
            }
        }
    }
    for (int64_t a = 0; a < n->in->width; a++) {
        n->slope[a] += n->in->l2 * w[a];
        n->curve[a * dims + a] += n->in->l2;
    }
}

/* step = curve^-1 slope by Cholesky; false when the curvature is not positive. */
static bool solve(newton *n)
{
    int64_t dims = n->dims;
    double *c = n->curve;

    for (int64_t a = 0; a < dims; a++) {
        for (int64_t b = 0; b <= a; b++) {
            double left = c[a * dims + b] - dot(c + a * dims, c + b * dims, b);

            if (a == b && !(left > 0)) {
                return false;
            }
            c[a * dims + b] = a == b ? sqrt(left) : left / c[b * dims + b];
        }
    }
    for (int64_t a = 0; a < dims; a++) {
        n->step[a] = (n->slope[a] - dot(c + a * dims, n->step, a)) / c[a * dims + a];
    }
    for (int64_t a = dims - 1; a >= 0; a--) {
        for (int64_t b = a + 1; b < dims; b++) {
            n->step[a] -= c[b * dims + a] * n->step[b];
        }
        n->step[a] /= c[a * dims + a];
    }
    return true;
}

/* Newton's steps from w; what it can still gain is half the decrement. */
static il_status descend(newton *n, double *w, const char *where, il_error *err)
{
    int64_t most =
        n->in->iterations > 0 ? n->in->iterations : (int64_t)IL_IRLS_ITERATIONS;
    double now = loss(n, w);

    for (int64_t i = 0; i < most && isfinite(now); i++) {
        double share = 1.0;
        double next;

        expand(n, w);
        if (!solve(n)) {
            return il_error_set(err, IL_ERR_NUMERIC, where,
                                "the fit has no optimum: a plane separates the "
                                "classes, or channels repeat each other; give it "
                                "`l2`");
        }
        for (;;) {
            for (int64_t a = 0; a < n->dims; a++) {
                n->trial[a] = w[a] - share * n->step[a];
            }
            next = loss(n, n->trial);
            if (next <= now || share < 1e-6) {
                break;
            }
            share /= 2;
        }
        if (!(next <= now)) {
            break; /* rounding is all that is left */
        }
        memcpy(w, n->trial, (size_t)n->dims * sizeof *w);
        now = next;
        if (dot(n->slope, n->step, n->dims) < 1e-14) {
            break;
        }
    }
    if (!isfinite(now) || (n->in->l2 <= 0 && now < 1e-8)) {
        return il_error_set(err, IL_ERR_NUMERIC, where,
                            isfinite(now)
                                ? "the fit has no optimum: a plane separates the "
                                  "classes; give it `l2`"
                                : "the rows to fit hold a value that is no number");
    }
    return IL_OK;
}

static bool newton_open(newton *n, const il_irls *problem)
{
    size_t vector;

    n->in = problem;
    n->dims = problem->width + 1;
    vector = (size_t)n->dims * sizeof(double);
    n->slope = malloc(vector);
    n->curve = malloc(vector * (size_t)n->dims);
    n->step = malloc(vector);
    n->trial = malloc(vector);
    n->row = malloc(vector);
    if (n->row != NULL) {
        n->row[problem->width] = 1.0;
    }
    return n->slope != NULL && n->curve != NULL && n->step != NULL &&
           n->trial != NULL && n->row != NULL;
}

static void newton_close(newton *n)
{
    free(n->slope);
    free(n->curve);
    free(n->step);
    free(n->trial);
    free(n->row);
}

il_status il_irls_solve(const il_irls *problem, double *w, const char *where,
                        il_error *err)
{
    size_t vector = (size_t)(problem->width + 1) * sizeof(double);
    newton n = {.in = NULL};
    double *found = malloc(vector);
    il_status status = IL_OK;

    if (!newton_open(&n, problem) || found == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    } else {
        memcpy(found, w, vector);
        status = descend(&n, found, where, err);
    }
    if (status == IL_OK) {
        memcpy(w, found, vector);
    }
    newton_close(&n);
    free(found);
    return status;
}

/* ---- its derivative ------------------------------------------------------------- */

void il_irls_spread(const il_irls *problem, const double *w, const double *u,
                    double *dx)
{
    int64_t width = problem->width;
    double share = 1.0 / (double)problem->rows;

    for (int64_t i = 0; i < problem->rows; i++) {
        const float *x = problem->x + i * width;
        double z = w[width];
        double moved = u[width];
        double p;
        double off;

        for (int64_t c = 0; c < width; c++) {
            z += w[c] * x[c];
            moved += u[c] * x[c];
        }
        p = 1.0 / (1.0 + exp(-z));
        off = share * (p - (problem->labels[i] != 0));
        moved *= share * p * (1.0 - p);
        for (int64_t c = 0; c < width; c++) {
            dx[i * width + c] -= off * u[c] + moved * w[c];
        }
    }
}

il_status il_irls_backward(const il_irls *problem, const double *w, const double *slope,
                           double *dx, const char *where, il_error *err)
{
    newton n = {.in = NULL};
    il_status status = IL_OK;

    if (!newton_open(&n, problem)) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    } else {
        expand(&n, w);
        memcpy(n.slope, slope, (size_t)n.dims * sizeof *slope);
        if (solve(&n)) {
            il_irls_spread(problem, w, n.step, dx);
        } else {
            status = il_error_set(err, IL_ERR_NUMERIC, where,
                                  "the fit cannot be differentiated: its curvature is "
                                  "singular; give it more `l2`");
        }
    }
    newton_close(&n);
    return status;
}
