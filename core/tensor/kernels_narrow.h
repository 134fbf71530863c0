/* Rows narrower than a vector, such as an agent's few actions: sixteen of them at once,
 * turned so that a vector holds one number of each. Maxima and sums take the numbers of
 * a row in the order of kernels_lanes.h, so the bits are those of a row by itself. */
#ifndef IL_TENSOR_KERNELS_NARROW_H
#define IL_TENSOR_KERNELS_NARROW_H

#include "tensor/kernels_lanes.h"
#include "tensor/kernels_math.h"

/* Number j of row r. */
typedef struct narrow {
    float at[LANES][LANES];
} narrow;

/* How many rows a turn takes of those left; narrow_load makes the others zeros. */
IL_INLINE int64_t narrow_rows(int64_t left)
{
    return left < LANES ? left : LANES;
}

IL_INLINE void narrow_load(narrow *t, const float *x, int64_t rows, int64_t w)
{
    for (int64_t j = 0; j < w; j++) {
        for (int64_t r = 0; r < LANES; r++) {
            t->at[j][r] = r < rows ? x[r * w + j] : 0.0f;
        }
    }
}

IL_INLINE void narrow_store(float *y, const narrow *t, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < w; j++) {
            y[r * w + j] = t->at[j][r];
        }
    }
}

IL_INLINE void narrow_add(float *y, const narrow *t, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < w; j++) {
            y[r * w + j] += t->at[j][r];
        }
    }
}

IL_INLINE void narrow_max(float max[LANES], const narrow *t, int64_t w)
{
    for (int r = 0; r < LANES; r++) {
        max[r] = -INFINITY;
    }
    for (int64_t j = 0; j < w; j++) {
        for (int r = 0; r < LANES; r++) {
            max[r] = t->at[j][r] > max[r] ? t->at[j][r] : max[r];
        }
    }
}

/* The sums of rows, in the tree of lanes_sum; what the tree would add of lanes past w
 * is zero. */
IL_INLINE void narrow_sum(float sum[LANES], const narrow *t, int64_t w)
{
    narrow s;

    for (int64_t j = 0; j < w; j++) {
        for (int r = 0; r < LANES; r++) {
            s.at[j][r] = 0.0f + t->at[j][r]; /* lanes start at 0, which drops a -0 */
        }
    }
    for (int64_t half = LANES / 2; half > 0; half /= 2) {
        for (int64_t j = 0; j < half && j + half < w; j++) {
            for (int r = 0; r < LANES; r++) {
                s.at[j][r] += s.at[j + half][r];
            }
        }
        w = w < half ? w : half;
    }
    for (int r = 0; r < LANES; r++) {
        sum[r] = s.at[0][r];
    }
}

/* e = exp(t - max). */
IL_INLINE void narrow_exp(narrow *e, const narrow *t, const float max[LANES], int64_t w)
{
    for (int64_t j = 0; j < w; j++) {
        for (int r = 0; r < LANES; r++) {
            e->at[j][r] = float_exp(t->at[j][r] - max[r]);
        }
    }
}

/* The logarithm of sum exp(t - max), both of every row. */
IL_INLINE void narrow_scale(float max[LANES], float log_sum[LANES], const narrow *t,
                            int64_t w)
{
    narrow e;
    float sum[LANES];

    narrow_max(max, t, w);
    narrow_exp(&e, t, max, w);
    narrow_sum(sum, &e, w);
    for (int r = 0; r < LANES; r++) {
        log_sum[r] = float_log(sum[r]);
    }
}

/* t = softmax(t); the sums that the exponentials were divided by. */
IL_INLINE void narrow_softmax(narrow *t, float max[LANES], float sum[LANES], int64_t w)
{
    float inverse[LANES];

    narrow_max(max, t, w);
    narrow_exp(t, t, max, w);
    narrow_sum(sum, t, w);
    for (int r = 0; r < LANES; r++) {
        inverse[r] = 1.0f / sum[r];
    }
    for (int64_t j = 0; j < w; j++) {
        for (int r = 0; r < LANES; r++) {
            t->at[j][r] *= inverse[r];
        }
    }
}

#endif
