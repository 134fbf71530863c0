/* The exponentials of a row: as a softmax, and as their sum alone for what wants its
 * logarithm. */
#ifndef IL_TENSOR_KERNELS_SUM_EXP_H
#define IL_TENSOR_KERNELS_SUM_EXP_H

#include "tensor/kernels_lanes.h"
#include "tensor/kernels_math.h"

/* sum exp(x - max), for which no row of exponentials is kept; blocks are whole lanes,
 * so the order is that of one row. */
IL_INLINE float sum_exp(const float *x, float max, int64_t w)
{
    enum { BLOCK = 32 * LANES };
    float lanes[LANES] = {0};
    float e[BLOCK];

    for (int64_t start = 0; start < w; start += BLOCK) {
        int64_t n = w - start < BLOCK ? w - start : BLOCK;

        for (int64_t j = 0; j < n; j++) {
            e[j] = float_exp(x[start + j] - max);
        }
        LANES_ADD(lanes, n, j, e[j]);
    }
    return lanes_sum(lanes);
}

/* y[j] = exp(scale (x[j] - max)) / sum; the difference comes first, so that the
 * greatest number gives exactly 1 and nothing overflows. */
IL_INLINE void softmax_row(float *y, const float *x, float scale, int64_t w)
{
    float max = row_max(x, w);
    float inverse;
    int64_t base = 0;

    for (; base + LANES <= w; base += LANES) { /* of a width known at once */
        IL_VECTOR
        for (int64_t j = base; j < base + LANES; j++) {
            y[j] = float_exp(scale * (x[j] - max));
        }
    }
    for (int64_t j = base; j < w; j++) {
        y[j] = float_exp(scale * (x[j] - max));
    }
    inverse = 1.0f / row_sum(y, w);
    for (int64_t j = 0; j < w; j++) {
        y[j] *= inverse;
    }
}

#endif
