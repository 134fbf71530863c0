/* The loops under the tape: plain C over contiguous f32 rows, output first, then
 * inputs, then sizes.
 *
 * Three promises hold for every kernel. An element's bits do not depend on where it
 * stands in the array or on how long the array is, so a tail gives what a vector gives.
 * A sum has one order, fixed by its length: sixteen lanes by index modulo 16 and then a
 * tree of lanes, or rows in order in blocks of 64. NaN goes in and NaN comes out.
 * Exponentials and logarithms are polynomials of our own (kernels_math.h), so that the
 * math library of the machine has no say; square roots are correctly rounded
 * everywhere.
 *
 * `(+=)` marks an output that is added to. Arrays must not overlap unless a comment
 * says "in place": then the output may be exactly that input. (rows,w) is row-major
 * without gaps; a size of zero does nothing. Thread tag: [any]. */
#ifndef IL_TENSOR_KERNELS_H
#define IL_TENSOR_KERNELS_H

#include <stdbool.h>
#include <stdint.h>
#include "interloop/pass.h"

/* ---- elementwise functions, in place allowed: y, x (n) */

void il_k_exp(float *y, const float *x, int64_t n);
void il_k_log(float *y, const float *x, int64_t n);
void il_k_tanh(float *y, const float *x, int64_t n);
void il_k_sigmoid(float *y, const float *x, int64_t n);
/* log(1 + exp(x)), without overflow and with full accuracy where it is small. */
void il_k_softplus(float *y, const float *x, int64_t n);
/* The normal distribution function Phi(x) = (1 + erf(x / sqrt 2)) / 2; accurate in the
 * left tail too. */
void il_k_normal_cdf(float *y, const float *x, int64_t n);

/* ---- activations */

/* y (n) = act(x (n)); in place. */
void il_k_act_forward(float *y, const float *x, int64_t n, il_act act);
/* dx (+=) dy * act'(x); y is what forward gave. x is read only by the activations for
 * which il_k_act_keeps_x holds, so that the others may run forward in place and pass x
 * NULL here. */
void il_k_act_backward(float *dx, const float *dy, const float *x, const float *y,
                       int64_t n, il_act act);
/* The same, stored instead of added; in place on dy. */
void il_k_act_grad(float *dx, const float *dy, const float *x, const float *y,
                   int64_t n, il_act act);
/* Whether the derivative needs x: both GELUs, softplus, the square and SiLU. */
bool il_k_act_keeps_x(il_act act);
/* y (n) = act(gate) x, all (n); in place on either. */
void il_k_gated_forward(float *y, const float *gate, const float *x, int64_t n,
                        il_act act);
/* Both gradients, stored: dgate = dy x act'(gate), dx = dy act(gate). */
void il_k_gated_grad(float *dgate, float *dx, const float *dy, const float *gate,
                     const float *x, int64_t n, il_act act);

/* ---- arithmetic */

/* y (rows,w): every row is b (w); zeros when b is NULL. */
void il_k_bias_rows(float *y, const float *b, int64_t rows, int64_t w);
/* y (rows,w) = a (rows,w) op b (w), b again for every row; in place on a. Equal shapes
 * are one row of w = n, a single number is w = 1 with rows = n. */
void il_k_add(float *y, const float *a, const float *b, int64_t rows, int64_t w);
void il_k_sub(float *y, const float *a, const float *b, int64_t rows, int64_t w);
void il_k_mul(float *y, const float *a, const float *b, int64_t rows, int64_t w);
/* y (rows,w) (+=) a (rows,w) * b (w): the gradient of mul in its first factor. */
void il_k_mul_add(float *y, const float *a, const float *b, int64_t rows, int64_t w);
/* y (n) (+=) alpha x (n). */
void il_k_axpy(float *y, float alpha, const float *x, int64_t n);
/* The same in double, for sums over many rows. */
void il_k_axpy_double(double *y, double alpha, const float *x, int64_t n);
/* y (n) = scale x (n) + shift; in place. */
void il_k_affine(float *y, const float *x, float scale, float shift, int64_t n);
/* y (count,w) = the rows of x that `rows` names; the caller has checked the names. */
void il_k_gather_rows(float *y, const float *x, const int32_t *rows, int64_t count,
                      int64_t w);
/* The row rows[i] of dx (+=) row i of dy (count,w), i ascending; rows may repeat. */
void il_k_scatter_rows(float *dx, const float *dy, const int32_t *rows, int64_t count,
                       int64_t w);

/* y (n) = x (n), little-endian at any address, as floats: both are exact. */
void il_k_widen_f16(float *y, const void *x, int64_t n);
void il_k_widen_bf16(float *y, const void *x, int64_t n);

/* ---- sums */

/* Over n numbers, in double. */
double il_k_sum(const float *x, int64_t n);
double il_k_dot(const float *a, const float *b, int64_t n);
double il_k_dot_double(const double *a, const float *b, int64_t n);
/* y (rows) = sum over the row of x (rows,w); its gradient: dx (rows,w) (+=) dy (rows).
 */
void il_k_row_sum(float *y, const float *x, int64_t rows, int64_t w);
void il_k_row_spread(float *dx, const float *dy, int64_t rows, int64_t w);
/* db (w) (+=) the sum over rows of dy (rows,w): the gradient of a bias. */
void il_k_col_sum(float *db, const float *dy, int64_t rows, int64_t w);
/* db (w) (+=) alpha times that sum. */
void il_k_col_axpy(float *db, float alpha, const float *dy, int64_t rows, int64_t w);
/* db (w) (+=) the sum over rows of dy * a, both (rows,w): the gradient of mul in b. */
void il_k_col_dot(float *db, const float *dy, const float *a, int64_t rows, int64_t w);

/* ---- norms */

/* y (rows,w) = (x - mean) rstd gain + bias with rstd = 1 / sqrt(var + eps), var biased
 * (Ba et al. 2016); mean and rstd (rows) are kept for backward; gain and bias (w) or
 * NULL. In place. */
void il_k_layer_norm_forward(float *y, float *mean, float *rstd, const float *x,
                             const float *gain, const float *bias, int64_t rows,
                             int64_t w, float eps);
/* With h = (x - mean) rstd and g = dy gain: dx (+=) rstd (g - mean(g) - h mean(g h)),
 * dgain (+=) sum dy h, dbias (+=) sum dy. Any of the three outputs may be NULL. */
void il_k_layer_norm_backward(float *dx, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *mean, const float *rstd,
                              const float *gain, int64_t rows, int64_t w);
/* y (rows,w) = x rstd gain with rstd = 1 / sqrt(mean(x^2) + eps) (Zhang and Sennrich
 * 2019); rstd (rows) is kept; gain (w) or NULL. In place. */
void il_k_rms_norm_forward(float *y, float *rstd, const float *x, const float *gain,
                           int64_t rows, int64_t w, float eps);
/* With h = x rstd and g = dy gain: dx (+=) rstd (g - h mean(g h)), dgain (+=) sum dy h.
 * Either may be NULL. */
void il_k_rms_norm_backward(float *dx, float *dgain, const float *dy, const float *x,
                            const float *rstd, const float *gain, int64_t rows,
                            int64_t w);

/* ---- softmax */

/* y (rows,w) = softmax of each row of x; in place. A row with +inf, or of -inf alone,
 * is NaN. */
void il_k_softmax_rows(float *y, const float *x, int64_t rows, int64_t w);
/* dx (+=) y (dy - sum(dy y)). */
void il_k_softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                           int64_t w);
/* y (rows,w) = x - log sum exp x; in place. */
void il_k_log_softmax_rows(float *y, const float *x, int64_t rows, int64_t w);
/* dx (+=) dy - exp(y) sum(dy). */
void il_k_log_softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                               int64_t w);
/* p (t,t): scores in, probabilities out. Row i becomes softmax(scale p[i][0..i]), zeros
 * after it, whatever stood there. scale > 0. */
void il_k_causal_softmax(float *p, int64_t t, float scale);
/* dp (t,t): the gradient of the probabilities in, of the scores out: scale p (dp -
 * sum(dp p)), zeros above the diagonal, where dp is not read. */
void il_k_causal_softmax_backward(float *dp, const float *p, int64_t t, float scale);
/* The same for rows [from,to) of (t,t), the first of them at p, whose queries see
 * `window` keys, their own last, or all when it is 0: of each row what stands between
 * the first key that row `from` sees and column `to` is read and written, nothing else.
 */
void il_k_band_softmax(float *p, int64_t t, int64_t from, int64_t to, int64_t window,
                       float scale);
void il_k_band_softmax_backward(float *dp, const float *p, int64_t t, int64_t from,
                                int64_t to, int64_t window, float scale);
/* One row's new positions [at,at+t): their keys and values, of qkv (t,3c), go into
 * cache (2,c,length); at + t <= length. */
void il_k_cache_write(float *cache, const float *qkv, int64_t t, int64_t c, int64_t at,
                      int64_t length);
/* out (t,c) as causal attention of qkv (t,3c) gives them on top of what was before,
 * once the cache has them; scores (heads, length rounded up to 16) is scratch.
 * Whatever t is, a position gets the same bits. */
void il_k_cached_attention(float *out, const float *cache, float *scores,
                           const float *qkv, int64_t t, int64_t c, int64_t heads,
                           int64_t at, int64_t length, float scale);

/* The two with keys and values apart, k and v (t,groups*d), and q (t,heads*d), each
 * group read by heads/groups heads; a query sees `window` positions, or all when it is
 * 0. */
void il_k_cache_put(float *cache, const float *k, const float *v, int64_t t, int64_t c,
                    int64_t at, int64_t length);
void il_k_cache_attend(float *out, const float *cache, float *scores, const float *q,
                       int64_t t, int64_t d, int64_t heads, int64_t groups, int64_t at,
                       int64_t length, int64_t window, float scale);

/* ---- rotary positions */

/* table (count,2 pairs): scale cos((at+i) rates[k]), then the sines; the angle is
 * rounded to a float. */
void il_k_rotary_table(float *table, int64_t at, int64_t count, const float *rates,
                       int64_t pairs, float scale);
/* y (rows,t,heads,d) = x turned by the table (t,2 pairs): channel k < pairs with k +
 * pairs; the others stay. In place. */
void il_k_rotary_forward(float *y, const float *x, const float *table, int64_t rows,
                         int64_t t, int64_t heads, int64_t d, int64_t pairs);
/* dx (+=) dy turned back. */
void il_k_rotary_backward(float *dx, const float *dy, const float *table, int64_t rows,
                          int64_t t, int64_t heads, int64_t d, int64_t pairs);

/* ---- losses by row */

/* loss (rows) = log sum exp(logits) - logits[target]; prob (rows,v) = softmax of the
 * logits, or NULL; in place on the logits. A negative target gives loss 0 and a row of
 * zeros in prob. The caller has checked that no target reaches v. */
void il_k_cross_entropy_rows(float *loss, float *prob, const float *logits,
                             const int32_t *targets, int64_t rows, int64_t v);
/* dlogits (rows,v) = (prob - onehot(target)) drow (rows), zeros for a negative target;
 * in place on prob. */
void il_k_cross_entropy_grad(float *dlogits, const float *prob, const int32_t *targets,
                             const float *drow, int64_t rows, int64_t v);
/* The same, added: dlogits (+=). */
void il_k_cross_entropy_backward(float *dlogits, const float *prob,
                                 const int32_t *targets, const float *drow,
                                 int64_t rows, int64_t v);
/* loss (n) = softplus(x) - t x, by max(x,0) - t x + log(1 + exp(-|x|)); x are logits
 * (n), t targets (n). */
void il_k_bce_rows(float *loss, const float *x, const float *t, int64_t n);
/* dx (+=) dy (sigmoid(x) - t). */
void il_k_bce_backward(float *dx, const float *dy, const float *x, const float *t,
                       int64_t n);

/* ---- policies by row: a logit of -inf is a choice that is forbidden, with
 * probability and gradient 0; a row of nothing else is NaN */

/* y (rows) = -sum p log p, p = softmax of the row of x (rows,w); scale (rows,2) is kept
 * for backward. */
void il_k_entropy_rows(float *y, float *scale, const float *x, int64_t rows, int64_t w);
/* dx (+=) dy p (-log p - y). */
void il_k_entropy_backward(float *dx, const float *dy, const float *y,
                           const float *scale, const float *x, int64_t rows, int64_t w);
/* y (rows) = sum p (log p - log q), p = softmax of x, q = softmax of ref, both
 * (rows,w); +inf where q forbids what p allows; scale (rows,4) is kept. */
void il_k_kl_rows(float *y, float *scale, const float *x, const float *ref,
                  int64_t rows, int64_t w);
/* dx (+=) dy p (log p - log q - y). */
void il_k_kl_backward(float *dx, const float *dy, const float *y, const float *scale,
                      const float *x, const float *ref, int64_t rows, int64_t w);

/* ---- recurrence: one position of every row */

/* gates (rows,3w) holds W x and takes r, z, n; hidden (rows,3w) holds U before; bias
 * (4w) what is added to the three gates and, in its last part, to the third of hidden,
 * which nh (rows,w) takes. r = sigmoid(gates + hidden + bias), z likewise, n =
 * tanh(gates + bias + r nh), h (rows,w) = n + z (before - n). */
void il_k_gru_forward(float *h, float *gates, float *nh, const float *hidden,
                      const float *bias, const float *before, int64_t rows, int64_t w);
/* With g = dh + dy: dinput and dhidden (rows,3w) = the gradients of what forward had in
 * gates and in hidden, dh (rows,w) = g z, the part of before's that does not go through
 * U; in place on dh. Rows of dy lie `apart` times w numbers apart. */
void il_k_gru_backward(float *dinput, float *dhidden, float *dh, const float *dy,
                       const float *gates, const float *nh, const float *before,
                       int64_t rows, int64_t w, int64_t apart);

#endif
