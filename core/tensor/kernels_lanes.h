/* The one order of a sum over a row: number i goes to lane i modulo 16, and the lanes
 * meet in a tree, 8 apart, then 4, 2 and 1. It is the order of the widest vectors,
 * spelled out, so that narrow ones and plain code give the same bits. */
#ifndef IL_TENSOR_KERNELS_LANES_H
#define IL_TENSOR_KERNELS_LANES_H

#include <math.h>
#include <stdint.h>
#include "base/compiler.h"

enum { LANES = 16 };

/* Adds `term`, an expression in the index i_, to the lanes for i_ from 0 to n. */
#define LANES_ADD(lanes, n, i_, term)                                                  \
    do {                                                                               \
        int64_t base_ = 0;                                                             \
                                                                                       \
        for (; base_ + LANES <= (n); base_ += LANES) {                                 \
            for (int lane_ = 0; lane_ < LANES; lane_++) {                              \
                int64_t i_ = base_ + lane_;                                            \
                                                                                       \
                (lanes)[lane_] += (term);                                              \
            }                                                                          \
        }                                                                              \
        for (int64_t i_ = base_; i_ < (n); i_++) {                                     \
            (lanes)[i_ - base_] += (term);                                             \
        }                                                                              \
    } while (0)

IL_INLINE float lanes_sum(float *lanes)
{
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            lanes[i] += lanes[i + width];
        }
    }
    return lanes[0];
}

IL_INLINE double lanes_sum_double(double *lanes)
{
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            lanes[i] += lanes[i + width];
        }
    }
    return lanes[0];
}

IL_INLINE float row_sum(const float *x, int64_t n)
{
    float lanes[LANES] = {0};

    LANES_ADD(lanes, n, i, x[i]);
    return lanes_sum(lanes);
}

IL_INLINE float row_dot(const float *a, const float *b, int64_t n)
{
    float lanes[LANES] = {0};

    LANES_ADD(lanes, n, i, a[i] * b[i]);
    return lanes_sum(lanes);
}

/* The greatest number of a row, NaN passed over; -inf when there is none. */
IL_INLINE float row_max(const float *x, int64_t n)
{
    float lanes[LANES];
    int64_t base = 0;

    for (int i = 0; i < LANES; i++) {
        lanes[i] = -INFINITY;
    }
    for (; base + LANES <= n; base += LANES) {
        for (int i = 0; i < LANES; i++) {
            lanes[i] = x[base + i] > lanes[i] ? x[base + i] : lanes[i];
        }
    }
    for (int64_t i = base; i < n; i++) {
        lanes[i - base] = x[i] > lanes[i - base] ? x[i] : lanes[i - base];
    }
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            lanes[i] = lanes[i + width] > lanes[i] ? lanes[i + width] : lanes[i];
        }
    }
    return lanes[0];
}

#endif
