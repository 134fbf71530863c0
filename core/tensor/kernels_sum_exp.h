/* The sum of exponentials of a row, for what wants its logarithm alone. */
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

#endif
