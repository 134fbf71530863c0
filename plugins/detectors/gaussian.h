/* A Gaussian fitted to rows, and the squared Mahalanobis distance to it: what the
 * readers of anomalies beside this file share. */
#ifndef PLUGINS_DETECTORS_GAUSSIAN_H
#define PLUGINS_DETECTORS_GAUSSIAN_H

#include "moments.h"

/* Parameters of a detector. */
typedef struct gaussian {
    il_param center; /* (W) */
    il_param whiten; /* (W,W) L^-1, where the covariance is L L^T */
} gaussian;

/* Its logit: a distance less its mean over the negative rows, over its standard
 * deviation there, so that 0 is a common negative and 1 a deviation further out. */
typedef struct gaussian_unit {
    il_param offset; /* (1) minus the mean */
    il_param scale;  /* (1) over the deviation */
} gaussian_unit;

static inline il_status gaussian_declare(gaussian *g, const il_setup *s,
                                         const char *center, const char *whiten,
                                         il_error *err)
{
    int64_t width = moments_width(s);

    IL_TRY(il_setup_param(s, &g->center, center, IL_SHAPE(width), IL_INIT_ZERO, err));
    return il_setup_param(s, &g->whiten, whiten, IL_SHAPE(width, width), IL_INIT_ZERO,
                          err);
}

static inline il_status gaussian_unit_declare(gaussian_unit *u, const il_setup *s,
                                              il_error *err)
{
    IL_TRY(il_setup_param(s, &u->offset, "offset", IL_SHAPE(1), IL_INIT_ZERO, err));
    return il_setup_param(s, &u->scale, "scale", IL_SHAPE(1), IL_INIT_ONE, err);
}

/* Fits it to a class: the mean, and the covariance shrunk. Adds `sign` times every
 * row's squared distance to `distance` (N). [work] */
static inline il_status gaussian_fit(const gaussian *g, const il_fitting *f,
                                     enum moments_class of, moments_shrinkage by,
                                     double amount, double sign, double *distance,
                                     const char *where, il_error *err)
{
    int64_t width = f->width;
    size_t cells = (size_t)(width * width);
    double *mean = malloc((size_t)(3 * width) * sizeof *mean + 1);
    double *cov = malloc(2 * cells * sizeof *cov + 1);
    il_status status = IL_OK;
    double fourth = 0;
    int64_t n;

    if (mean == NULL || cov == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        goto out;
    }
    n = moments_mean(mean, f, of);
    if (!moments_covariance(cov, &fourth, f, of, mean, NULL)) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        goto out;
    }
    if (by != MOMENTS_NONE) {
        moments_shrink(cov,
                       by == MOMENTS_FIXED ? amount
                                           : moments_ledoit_wolf(cov, fourth, n, width),
                       width);
    }
    if (!moments_cholesky(cov, width)) {
        status = moments_singular(where, n, width, by, err);
        goto out;
    }
    moments_inverse(cov + cells, cov, width);
    for (int64_t c = 0; c < width; c++) {
        f->values[g->center.id][c] = (float)mean[c];
    }
    for (size_t k = 0; k < cells; k++) {
        f->values[g->whiten.id][k] = (float)cov[cells + k];
    }
    for (int64_t i = 0; i < f->rows; i++) {
        double *away = mean + width;

        for (int64_t c = 0; c < width; c++) {
            away[c] = f->x[i * width + c] - mean[c];
        }
        for (int64_t a = 0; a < width; a++) {
            double z = 0;

            for (int64_t b = 0; b <= a; b++) {
                z += cov[cells + (size_t)(a * width + b)] * away[b];
            }
            distance[i] += sign * z * z;
        }
    }
out:
    free(mean);
    free(cov);
    return status;
}

/* Sets the unit from the distances (N) of all rows; negatives that lie all equally far
 * are refused. */
static inline il_status gaussian_unit_fit(const gaussian_unit *u, const il_fitting *f,
                                          const double *distance, const char *where,
                                          il_error *err)
{
    int64_t n = moments_count(f, MOMENTS_NEGATIVE);
    double mean = 0;
    double squares = 0;
    double largest = 0;

    for (int64_t i = 0; i < f->rows; i++) {
        if (f->labels[i] == 0) {
            mean += distance[i] / (double)n;
            largest = fmax(largest, fabs(distance[i]));
        }
    }
    for (int64_t i = 0; i < f->rows; i++) {
        double away = distance[i] - mean;

        squares += f->labels[i] == 0 ? away * away / (double)n : 0;
    }
    if (!(sqrt(squares) > 1e-9 * largest)) {
        return il_error_set(err, IL_ERR_NUMERIC, where,
                            "all %lld negative rows lie equally far, which leaves the "
                            "distance no unit: give more rows that differ",
                            (long long)n);
    }
    f->values[u->offset.id][0] = (float)-mean;
    f->values[u->scale.id][0] = (float)(1.0 / sqrt(squares));
    return IL_OK;
}

/* x (N,W) -> (N): |L^-1 (x - center)|^2. [work] */
static inline il_tensor *gaussian_distance(const gaussian *g, il_pass *pass,
                                           il_tensor *x)
{
    il_tensor *away = il_sub(pass, x, il_use(pass, g->center));

    away = il_linear_act(pass, away, il_use(pass, g->whiten), NULL, IL_ACT_SQUARE);
    return il_row_sum(pass, away);
}

/* distance (N) -> (N,1) logits. [work] */
static inline il_tensor *gaussian_logits(const gaussian_unit *u, il_pass *pass,
                                         il_tensor *distance)
{
    il_tensor *y = il_add(pass, distance, il_use(pass, u->offset));

    y = il_mul(pass, y, il_use(pass, u->scale));
    return il_reshape(pass, y, IL_SHAPE(il_rows(y) * il_width(y), 1));
}

#endif
