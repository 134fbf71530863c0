/* The loops under sparse matrices: a few rows of many, each met with one row of a
 * table, which stays in the first cache meanwhile. Promises as in kernels.h. */
#ifndef IL_TENSOR_KERNELS_SPARSE_H
#define IL_TENSOR_KERNELS_SPARSE_H

#include <stdint.h>

/* In all four x and y are (N,w), `rows` (n) names rows of them, and t and sum are
 * (w). */

/* out (n) = the products of t with the rows named. Each is a sum of sixteen lanes by
 * index modulo 16 and then their tree, as row_dot in kernels_lanes.h has it. */
void il_k_pick_dot(float *out, const float *t, const float *x, const int32_t *rows,
                   int64_t n, int64_t w);
/* y[rows[i]] (+=) v[i] t, i ascending; no row twice. */
void il_k_pick_spread(float *y, const float *t, const int32_t *rows, const float *v,
                      int64_t n, int64_t w);
/* sum (+=) v[i] x[rows[i]], i ascending. */
void il_k_pick_sum(float *sum, const float *x, const int32_t *rows, const float *v,
                   int64_t n, int64_t w);
/* pick_dot and pick_sum in one sweep over x. */
void il_k_pick_both(float *out, float *sum, const float *t, const float *x,
                    const int32_t *rows, const float *v, int64_t n, int64_t w);

/* y (rows,w) = x (rows,w) - b (w), and norms (rows) = sqrt(1 + |y|^2). */
void il_k_shift_norms(float *y, float *norms, const float *x, const float *b,
                      int64_t rows, int64_t w);
/* margins (rows) = sqrt(b^2 + |w|^2), w (rows,wide), b (rows) or NULL. */
void il_k_row_margins(float *margins, const float *w, const float *b, int64_t rows,
                      int64_t wide);

/* ---- the largest of a row ---- */

/* The k-th largest of x (n), 1 <= k <= n, none of them NaN; may reorder x. */
float il_k_largest(float *x, int64_t n, int64_t k);
/* Columns whose a (n) plus `slack` times margin (n) is above 0 and at least `least`,
 * ascending. Returns how many there are, and writes the first `room` of them. */
int64_t il_k_candidates_above(int32_t *columns, const float *a, const float *margin,
                              float slack, int64_t n, float least, int64_t room);
/* Columns that may hold one of the k largest numbers of a row, ascending, where a (n)
 * is off by `slack` times margin (n) at most, and only numbers above 0 count. Returns
 * how many there are, and writes the first `room` of them; scratch (n). */
int64_t il_k_top_candidates(int32_t *columns, const float *a, const float *margin,
                            float slack, int64_t n, int64_t k, int64_t room,
                            float *scratch);
/* Of the numbers v (n) at columns (n), ascending, moves the k largest that are above 0
 * to the front, in their order; of equal ones the first. Returns how many there are;
 * scratch (n). */
int64_t il_k_top_keep(float *v, int32_t *columns, int64_t n, int64_t k, float *scratch);

#endif
