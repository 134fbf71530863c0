/* Means, covariances and what is solved with them, for detectors that are fitted in
 * closed form. All in double, in a fixed order. Included by the plugins beside it:
 * static, so that each of them still needs nothing but libc and libm. */
#ifndef PLUGINS_DETECTORS_MOMENTS_H
#define PLUGINS_DETECTORS_MOMENTS_H

#include <interloop/plugin.h>
#include <math.h>
#include <stdlib.h>

/* Rows of an il_fitting: of one class, or of both. */
enum moments_class { MOMENTS_NEGATIVE = 0, MOMENTS_POSITIVE = 1, MOMENTS_BOTH = 2 };

static inline bool moments_in(const il_fitting *f, int64_t row, enum moments_class of)
{
    return of == MOMENTS_BOTH || f->labels[row] == (uint8_t)of;
}

static inline int64_t moments_count(const il_fitting *f, enum moments_class of)
{
    int64_t n = 0;

    for (int64_t i = 0; i < f->rows; i++) {
        n += moments_in(f, i, of);
    }
    return n;
}

/* (W) the mean of a class; returns its rows. */
static inline int64_t moments_mean(double *mean, const il_fitting *f,
                                   enum moments_class of)
{
    int64_t n = 0;

    memset(mean, 0, (size_t)f->width * sizeof *mean);
    for (int64_t i = 0; i < f->rows; i++) {
        for (int64_t c = 0; moments_in(f, i, of) && c < f->width; c++) {
            mean[c] += f->x[i * f->width + c];
        }
        n += moments_in(f, i, of);
    }
    for (int64_t c = 0; c < f->width; c++) {
        mean[c] /= (double)n;
    }
    return n;
}

/* The largest variance that a channel of n equal values can seem to have, from the
 * rounding of their mean: no more than that is none. */
static inline double moments_rounding(int64_t n, double mean)
{
    double off = 2.3e-16 * (double)n * fabs(mean);

    return off * off;
}

/* The lower half of sum over `count` rows of x x^T, added to `out` (W,W): four rows a
 * sweep, so that `out` goes through the cache a quarter as often. */
static inline void moments_outer(double *out, const double *x, int64_t count,
                                 int64_t width)
{
    const double *x0 = x;
    const double *x1 = x + width;
    const double *x2 = x + 2 * width;
    const double *x3 = x + 3 * width;

    if (count < 4) {
        for (int64_t r = 0; r < count; r++, x += width) {
            for (int64_t a = 0; a < width; a++) {
                for (int64_t b = 0; b <= a; b++) {
                    out[a * width + b] += x[a] * x[b];
                }
            }
        }
        return;
    }
    for (int64_t a = 0; a < width; a++) {
        double *row = out + a * width;

        for (int64_t b = 0; b <= a; b++) {
            row[b] += x0[a] * x0[b] + x1[a] * x1[b] + x2[a] * x2[b] + x3[a] * x3[b];
        }
    }
}

/* (W,W) the covariance of a class about `mean`, divided by its rows. `scale` (W), or
 * NULL for ones, multiplies the centred channels. The mean of |x|^4 over the rows,
 * which the shrinkage needs, goes to *fourth. False when memory is out. */
static inline bool moments_covariance(double *cov, double *fourth, const il_fitting *f,
                                      enum moments_class of, const double *mean,
                                      const double *scale)
{
    int64_t width = f->width;
    double *held = calloc((size_t)(4 * width) + 1, sizeof *held);
    int64_t waiting = 0;
    int64_t n = 0;

    if (held == NULL) {
        return false;
    }
    memset(cov, 0, (size_t)(width * width) * sizeof *cov);
    *fourth = 0;
    for (int64_t i = 0; i < f->rows; i++) {
        double *x = held + waiting * width;
        double square = 0;

        if (!moments_in(f, i, of)) {
            continue;
        }
        for (int64_t c = 0; c < width; c++) {
            x[c] = (f->x[i * width + c] - mean[c]) * (scale != NULL ? scale[c] : 1.0);
            square += x[c] * x[c];
        }
        *fourth += square * square;
        n++;
        if (++waiting == 4) {
            moments_outer(cov, held, waiting, width);
            waiting = 0;
        }
    }
    moments_outer(cov, held, waiting, width);
    for (int64_t a = 0; a < width; a++) {
        for (int64_t b = 0; b <= a; b++) {
            cov[a * width + b] /= (double)n;
            cov[b * width + a] = cov[a * width + b];
        }
    }
    for (int64_t c = 0; c < width; c++) {
        double s = scale != NULL ? scale[c] : 1.0;

        if (cov[c * width + c] <= s * s * moments_rounding(n, mean[c])) {
            cov[c * width + c] = 0; /* so that it is found singular */
        }
    }
    *fourth /= (double)n;
    free(held);
    return true;
}

static inline double moments_trace(const double *cov, int64_t width)
{
    double sum = 0;

    for (int64_t c = 0; c < width; c++) {
        sum += cov[c * width + c];
    }
    return sum;
}

/* How far to pull a covariance of n rows to a multiple of the identity so that its
 * expected squared error is least, 0 to 1 (Ledoit and Wolf 2004, section 3.3). `fourth`
 * is that of the same rows. */
static inline double moments_ledoit_wolf(const double *cov, double fourth, int64_t n,
                                         int64_t width)
{
    double level = moments_trace(cov, width) / (double)width;
    double norm = 0;
    double noise;
    double spread;

    for (int64_t k = 0; k < width * width; k++) {
        norm += cov[k] * cov[k];
    }
    noise = (fourth - norm) / ((double)n * (double)width);
    spread = norm / (double)width - level * level;
    noise = noise < spread ? noise : spread;
    return width > 1 && noise > 0 ? noise / spread : 0.0;
}

/* cov = (1 - amount) cov + amount trace(cov)/W I. */
static inline void moments_shrink(double *cov, double amount, int64_t width)
{
    double level = moments_trace(cov, width) / (double)width;

    for (int64_t k = 0; k < width * width; k++) {
        cov[k] *= 1.0 - amount;
    }
    for (int64_t c = 0; c < width; c++) {
        cov[c * width + c] += amount * level;
    }
}

/* ---- shrinkage as a pipeline names it ------------------------------------------- */

typedef enum moments_shrinkage {
    MOMENTS_LEDOIT_WOLF,
    MOMENTS_FIXED,
    MOMENTS_NONE
} moments_shrinkage;

#define MOMENTS_PARAMS                                                                 \
    IL_PARAM_CHOICE("shrinkage", "ledoit_wolf", moments_choices,                       \
                    "how a covariance is pulled to a multiple of the identity"),       \
        IL_PARAM_REAL("amount", "0.1", 0, 1, "",                                       \
                      "share of the identity where shrinkage is fixed")

IL_UNUSED static const char *const moments_choices[] = {"ledoit_wolf", "fixed", "none",
                                                        NULL};

static inline moments_shrinkage moments_shrinkage_of(const il_setup *s)
{
    const char *name = il_setup_text(s, "shrinkage");

    return strcmp(name, "fixed") == 0  ? MOMENTS_FIXED
           : strcmp(name, "none") == 0 ? MOMENTS_NONE
                                       : MOMENTS_LEDOIT_WOLF;
}

/* ---- solving -------------------------------------------------------------------- */

/* cov = L L^T, L below and on its diagonal. False when cov is not positive definite: a
 * pivot that lost all but the last four digits of its variance is rounding. */
static inline bool moments_cholesky(double *cov, int64_t width)
{
    for (int64_t a = 0; a < width; a++) {
        double own = cov[a * width + a];

        for (int64_t b = 0; b <= a; b++) {
            double left = cov[a * width + b];

            for (int64_t k = 0; k < b; k++) {
                left -= cov[a * width + k] * cov[b * width + k];
            }
            if (a == b && !(left > 1e-12 * own)) {
                return false;
            }
            cov[a * width + b] = a == b ? sqrt(left) : left / cov[b * width + b];
        }
    }
    return true;
}

/* x = (L L^T)^-1 x. */
static inline void moments_solve(double *x, const double *l, int64_t width)
{
    for (int64_t a = 0; a < width; a++) {
        for (int64_t k = 0; k < a; k++) {
            x[a] -= l[a * width + k] * x[k];
        }
        x[a] /= l[a * width + a];
    }
    for (int64_t a = width - 1; a >= 0; a--) {
        for (int64_t k = a + 1; k < width; k++) {
            x[a] -= l[k * width + a] * x[k];
        }
        x[a] /= l[a * width + a];
    }
}

/* out (W,W) = L^-1, zeros above its diagonal: it takes centred rows to rows whose
 * squared length is their squared Mahalanobis distance. */
static inline void moments_inverse(double *out, const double *l, int64_t width)
{
    memset(out, 0, (size_t)(width * width) * sizeof *out);
    for (int64_t c = 0; c < width; c++) {
        out[c * width + c] = 1.0 / l[c * width + c];
        for (int64_t a = c + 1; a < width; a++) {
            double sum = 0;

            for (int64_t k = c; k < a; k++) {
                sum += l[a * width + k] * out[k * width + c];
            }
            out[a * width + c] = -sum / l[a * width + a];
        }
    }
}

/* The error of a covariance of n rows that cannot be inverted. */
static inline il_status moments_singular(const char *where, int64_t n, int64_t width,
                                         moments_shrinkage by, il_error *err)
{
    return il_error_set(err, IL_ERR_NUMERIC, where,
                        "the covariance of %lld rows in %lld channels is singular: %s",
                        (long long)n, (long long)width,
                        by == MOMENTS_NONE
                            ? "give `shrinkage: ledoit_wolf`, or `shrinkage: fixed` "
                              "with an `amount`"
                            : "give `shrinkage: fixed` with a larger `amount`, or more "
                              "rows that differ");
}

static inline int64_t moments_width(const il_setup *s)
{
    int64_t width = 0;

    for (int32_t i = 0; i < il_setup_site_count(s); i++) {
        width += il_setup_site_width(s, i);
    }
    return width;
}

/* (N,width_i) of every site -> (N,W), side by side. [work] */
static inline il_tensor *moments_joined(il_pass *pass, const il_reading *r)
{
    return r->sites == 1 ? r->acts[0] : il_concat(pass, r->sites, r->acts);
}

#endif
