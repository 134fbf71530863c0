/* Logistic regression on many rows: L-BFGS (Liu and Nocedal 1989) in the metric of a
 * Hessian that a few of the rows give, one pass over the data an iteration. */
#ifndef IL_DETECT_LBFGS_H
#define IL_DETECT_LBFGS_H

#include "detect/irls.h"
#include "tensor/blas.h"

enum { IL_LBFGS_ITERATIONS = 200 };

/* Minimizes what il_irls_solve does, from the same start, to the same optimum up to the
 * rounding of sums; 0 iterations: IL_LBFGS_ITERATIONS. l2 <= 0 is
 * IL_ERR_INPUT, since nothing would then end a fit to classes that a plane separates;
 * rows that are no numbers are IL_ERR_NUMERIC. w is set on success only. Same bits
 * wherever the BLAS gives the same. */
il_status il_lbfgs_solve(const il_irls *problem, const il_blas *blas, double *w,
                         const char *where, il_error *err);

/* What il_irls_backward does, without its matrix: conjugate gradients in the same
 * metric, one pass over the data an iteration. */
il_status il_lbfgs_backward(const il_irls *problem, const il_blas *blas,
                            const double *w, const double *slope, double *dx,
                            const char *where, il_error *err);

#endif
