/* Logistic regression solved exactly: Newton's method, each step of which is a weighted
 * least squares problem (Hastie, Tibshirani and Friedman 2009, section 4.4.1). */
#ifndef IL_DETECT_IRLS_H
#define IL_DETECT_IRLS_H

#include <stdint.h>
#include "interloop/status.h"

enum { IL_IRLS_ITERATIONS = 30 };

typedef struct il_irls {
    int64_t rows;          /* N */
    int64_t width;         /* W */
    const float *x;        /* (N,W) */
    const uint8_t *labels; /* (N) 0 or not */
    double l2;             /* on the weights alone, never on the bias */
    int64_t iterations;    /* at most; 0: IL_IRLS_ITERATIONS */
} il_irls;

/* Minimizes the mean over rows of softplus(z) - y z, + l2/2 |w|^2, z = w.x + b, from
 * w[0..W-1] and b = w[W] as they come in; in double, in a fixed order. A step that
 * would raise the loss is halved. Ends when a step changes nothing that matters or
 * after the last iteration. Classes that a plane separates have no optimum at l2 = 0:
 * IL_ERR_NUMERIC, as for rows that are no numbers; w is then as it was. */
il_status il_irls_solve(const il_irls *problem, double *w, const char *where,
                        il_error *err);

/* The optimum as a function of the rows, differentiated: w is what il_irls_solve found,
 * slope (W+1) the derivative of some loss with respect to it, and the derivative of
 * that loss with respect to the rows is added to dx (N,W). With H the curvature at the
 * optimum and u = H^-1 slope, since its slope there is zero whatever the rows are,
 *
 *     dx_i = -1/N ((p_i - y_i) u_w + p_i (1 - p_i) (u_w . x_i + u_b) w)
 *
 * In double, in a fixed order. IL_ERR_NUMERIC where the curvature is singular. */
il_status il_irls_backward(const il_irls *problem, const double *w, const double *slope,
                           double *dx, const char *where, il_error *err);
/* The last step of that, u being given. */
void il_irls_spread(const il_irls *problem, const double *w, const double *u,
                    double *dx);

#endif
