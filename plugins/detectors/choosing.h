/* A few of many channels, chosen on labelled rows, and a logistic regression on them.
 * All in double, in a fixed order. Included by the plugins beside it: static, so that
 * each of them still needs nothing but libc and libm. */
#ifndef PLUGINS_DETECTORS_CHOOSING_H
#define PLUGINS_DETECTORS_CHOOSING_H

#include <interloop/plugin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct choosing_value {
    float x;
    uint8_t label;
} choosing_value;

static inline int choosing_compare(const void *a, const void *b)
{
    float x = ((const choosing_value *)a)->x;
    float y = ((const choosing_value *)b)->x;

    return (x > y) - (x < y);
}

/* The chance that a positive row has more of channel c than a negative one, ties half;
 * `sorted` has room for all rows. */
static inline double choosing_auroc(const il_fitting *f, int64_t c,
                                    choosing_value *sorted)
{
    double below = 0; /* negatives */
    double wins = 0;
    double positives = 0;

    for (int64_t i = 0; i < f->rows; i++) {
        sorted[i] = (choosing_value){f->x[i * f->width + c], f->labels[i]};
        positives += f->labels[i];
    }
    qsort(sorted, (size_t)f->rows, sizeof *sorted, choosing_compare);
    for (int64_t i = 0; i < f->rows;) {
        double here[2] = {0, 0};
        int64_t end = i;

        for (; end < f->rows && sorted[end].x == sorted[i].x; end++) {
            here[sorted[end].label]++;
        }
        wins += here[1] * (below + 0.5 * here[0]);
        below += here[0];
        i = end;
    }
    return wins / (positives * ((double)f->rows - positives));
}

/* A logistic regression under way, on channels that are centred and scaled. */
typedef struct choosing_work {
    const il_fitting *f;
    int64_t most;
    int64_t count;     /* chosen so far */
    int64_t *chosen;   /* [most] */
    double *mean, *by; /* [most] */
    double *w;         /* [most + 1], the bias last */
    double *step;      /* [most + 1] */
    double *hessian;   /* [(most + 1)^2] */
    double *row;       /* [most + 1] */
    double *residual;  /* [rows]: label - p */
    double *weight;    /* [rows]: p (1 - p) */
    double *sums;      /* [3][width] */
    choosing_value *sorted;
    double l2;
} choosing_work;

static inline void choosing_close(choosing_work *k)
{
    free(k->chosen);
    free(k->mean);
    free(k->residual);
    free(k->sums);
    free(k->sorted);
}

static inline bool choosing_open(choosing_work *k)
{
    size_t m = (size_t)k->most + 1;
    size_t n = (size_t)k->f->rows;

    k->chosen = calloc(m, sizeof *k->chosen);
    k->mean = calloc(5 * m + m * m, sizeof *k->mean);
    k->residual = calloc(2 * n, sizeof *k->residual);
    k->sums = calloc(3 * (size_t)k->f->width, sizeof *k->sums);
    k->sorted = calloc(n, sizeof *k->sorted);
    if (k->chosen == NULL || k->mean == NULL || k->residual == NULL ||
        k->sums == NULL || k->sorted == NULL) {
        return false;
    }
    k->by = k->mean + m;
    k->w = k->by + m;
    k->step = k->w + m;
    k->row = k->step + m;
    k->hessian = k->row + m;
    k->weight = k->residual + n;
    return true;
}

/* Solves hessian step = step by Cholesky, in place; false where it is singular. */
static inline bool choosing_solve(choosing_work *k, int64_t m)
{
    double *a = k->hessian;

    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double s = a[i * m + j];

            for (int64_t c = 0; c < j; c++) {
                s -= a[i * m + c] * a[j * m + c];
            }
            if (i == j && !(s > 0)) {
                return false;
            }
            a[i * m + j] = i == j ? sqrt(s) : s / a[j * m + j];
        }
    }
    for (int64_t i = 0; i < m; i++) {
        for (int64_t c = 0; c < i; c++) {
            k->step[i] -= a[i * m + c] * k->step[c];
        }
        k->step[i] /= a[i * m + i];
    }
    for (int64_t i = m - 1; i >= 0; i--) {
        for (int64_t c = i + 1; c < m; c++) {
            k->step[i] -= a[c * m + i] * k->step[c];
        }
        k->step[i] /= a[i * m + i];
    }
    return true;
}

/* Mean cross-entropy + l2/2 |w|^2 of k->w moved by `share` of the step, with residuals
 * and weights where the caller goes on from there. */
static inline double choosing_loss(choosing_work *k, double share)
{
    const il_fitting *f = k->f;
    int64_t m = k->count;
    double loss = 0;
    double squares = 0;

    for (int64_t i = 0; i < f->rows; i++) {
        double z = k->w[m] + share * k->step[m];
        double p;

        for (int64_t j = 0; j < m; j++) {
            z += (k->w[j] + share * k->step[j]) *
                 ((double)f->x[i * f->width + k->chosen[j]] - k->mean[j]) * k->by[j];
        }
        p = 1.0 / (1.0 + exp(-z));
        loss += (z > 0 ? z : 0) + log1p(exp(-fabs(z))) - (f->labels[i] ? z : 0);
        k->residual[i] = (double)f->labels[i] - p;
        k->weight[i] = p * (1.0 - p);
    }
    for (int64_t j = 0; j < m; j++) {
        double w = k->w[j] + share * k->step[j];

        squares += w * w;
    }
    return loss / (double)f->rows + 0.5 * k->l2 * squares;
}

/* Newton's method with halved steps, from the weights that there are. */
static inline void choosing_newton(choosing_work *k, int iterations)
{
    const il_fitting *f = k->f;
    int64_t m = k->count + 1;
    double n = (double)f->rows;
    double loss;

    /* the bias lies after the last that is chosen */
    memset(k->step, 0, (size_t)m * sizeof *k->step);
    loss = choosing_loss(k, 0);
    for (int it = 0; it < iterations; it++) {
        double share = 1;
        double next;

        memset(k->hessian, 0, (size_t)(m * m) * sizeof *k->hessian);
        for (int64_t j = 0; j < m; j++) {
            k->step[j] = j < m - 1 ? -k->l2 * k->w[j] : 0;
            k->hessian[j * m + j] = j < m - 1 ? k->l2 : 0;
        }
        for (int64_t i = 0; i < f->rows; i++) {
            for (int64_t j = 0; j < m - 1; j++) {
                k->row[j] =
                    ((double)f->x[i * f->width + k->chosen[j]] - k->mean[j]) * k->by[j];
            }
            k->row[m - 1] = 1;
            for (int64_t j = 0; j < m; j++) {
                k->step[j] += k->residual[i] * k->row[j] / n;
                for (int64_t c = 0; c <= j; c++) {
                    k->hessian[j * m + c] += k->weight[i] * k->row[j] * k->row[c] / n;
                }
            }
        }
        if (!choosing_solve(k, m)) {
            memset(k->step, 0, (size_t)m * sizeof *k->step);
            (void)choosing_loss(k, 0);
            return;
        }
        next = choosing_loss(k, share);
        while (!(next <= loss) && share > 1e-6) {
            share *= 0.5;
            next = choosing_loss(k, share);
        }
        if (!(next <= loss)) {
            memset(k->step, 0, (size_t)m * sizeof *k->step);
            (void)choosing_loss(k, 0);
            return;
        }
        for (int64_t j = 0; j < m; j++) {
            k->w[j] += share * k->step[j];
        }
        memset(k->step, 0, (size_t)m * sizeof *k->step);
        if (loss - next < 1e-12 * (1 + fabs(loss))) {
            return;
        }
        loss = next;
    }
}

/* Takes a channel in; false where it is the same in all rows. */
static inline bool choosing_add(choosing_work *k, int64_t c)
{
    const il_fitting *f = k->f;
    int64_t at = k->count;
    double mean = 0;
    double squares = 0;

    for (int64_t i = 0; i < f->rows; i++) {
        mean += (double)f->x[i * f->width + c];
    }
    mean /= (double)f->rows;
    for (int64_t i = 0; i < f->rows; i++) {
        double d = (double)f->x[i * f->width + c] - mean;

        squares += d * d;
    }
    squares /= (double)f->rows;
    if (!(squares > 1e-12 * mean * mean) || !(squares > 0)) {
        return false;
    }
    k->chosen[at] = c;
    k->mean[at] = mean;
    k->by[at] = 1.0 / sqrt(squares);
    k->w[at + 1] = k->w[at];
    k->w[at] = 0;
    k->count++;
    return true;
}

/* The channel that is not in yet and whose weight, let go from 0, would do most: that
 * of the largest score statistic (Rao 1948), the bias allowed for. -1: none does. */
static inline int64_t choosing_next(choosing_work *k)
{
    const il_fitting *f = k->f;
    double *u = k->sums;
    double *wx = u + f->width;
    double *wxx = wx + f->width;
    double total = 0;
    double most = 0;
    int64_t best = -1;

    memset(u, 0, 3 * (size_t)f->width * sizeof *u);
    for (int64_t i = 0; i < f->rows; i++) {
        const float *x = f->x + i * f->width;
        double r = k->residual[i];
        double w = k->weight[i];

        total += w;
        for (int64_t c = 0; c < f->width; c++) {
            double v = (double)x[c];

            u[c] += r * v;
            wx[c] += w * v;
            wxx[c] += w * v * v;
        }
    }
    for (int64_t j = 0; j < k->count; j++) {
        u[k->chosen[j]] = 0;
    }
    for (int64_t c = 0; c < f->width; c++) {
        double spread = total > 0 ? wxx[c] - wx[c] * wx[c] / total : 0;
        double gain = spread > 1e-9 * wxx[c] ? u[c] * u[c] / spread : 0;

        if (gain > most) {
            most = gain;
            best = c;
        }
    }
    return best;
}

/* The channel whose AUROC is furthest from a half; *above: whether it is larger. */
static inline int64_t choosing_single(choosing_work *k, bool *above)
{
    double most = -1;
    int64_t best = 0;

    for (int64_t c = 0; c < k->f->width; c++) {
        double a = choosing_auroc(k->f, c, k->sorted);

        if (fabs(a - 0.5) > most) {
            most = fabs(a - 0.5);
            best = c;
            *above = a >= 0.5;
        }
    }
    return best;
}

/* One channel by its AUROC, its sign fixed by it; or `count` of them one by one, each
 * the one that helps those before it most, with the regression fitted anew in between.
 * Writes weight (W), 0 where a channel is not read, and one number into bias. */
static inline il_status choosing_fit(const il_fitting *f, int64_t count, double l2,
                                     float *weight, float *bias, const char *who,
                                     il_error *err)
{
    choosing_work k = {.f = f, .most = count < f->width ? count : f->width, .l2 = l2};
    bool above = true;
    double shift;
    il_status status = IL_OK;

    memset(weight, 0, (size_t)f->width * sizeof *weight);
    if (!choosing_open(&k)) {
        choosing_close(&k);
        return il_error_set(err, IL_ERR_MEMORY, who, "out of memory");
    }
    choosing_newton(&k, 8); /* the bias alone */
    while (k.count < k.most) {
        int64_t c = count == 1 ? choosing_single(&k, &above) : choosing_next(&k);

        if (c < 0 || !choosing_add(&k, c)) {
            break;
        }
        choosing_newton(&k, k.count < k.most ? 4 : 50);
    }
    if (k.count == 0) {
        status = il_error_set(err, IL_ERR_NUMERIC, who,
                              "no channel tells the classes apart: all are constant on "
                              "the labelled rows");
    } else {
        choosing_newton(&k, 50);
        if (count == 1 && (k.w[0] > 0) != above) {
            k.w[0] = above ? 1.0 : -1.0;
        }
    }
    shift = k.w[k.count];
    for (int64_t j = 0; status == IL_OK && j < k.count; j++) {
        weight[k.chosen[j]] = (float)(k.w[j] * k.by[j]);
        shift -= k.w[j] * k.by[j] * k.mean[j];
    }
    bias[0] = (float)shift;
    choosing_close(&k);
    return status;
}

#endif
