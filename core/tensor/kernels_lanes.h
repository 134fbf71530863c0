/* The one order of a sum over a row: number i goes to lane i modulo 16, and the lanes
 * meet in a tree, 8 apart, then 4, 2 and 1. It is the order of the widest vectors,
 * spelled out, so that narrow ones and plain code give the same bits. */
#ifndef IL_TENSOR_KERNELS_LANES_H
#define IL_TENSOR_KERNELS_LANES_H

#include <math.h>
#include <stdint.h>
#include "base/compiler.h"

enum { LANES = 16 };

typedef float floats16 IL_SIDE_BY_SIDE(16);
typedef float floats8 IL_SIDE_BY_SIDE(8);
typedef float floats4 IL_SIDE_BY_SIDE(4);
typedef int32_t ints16 IL_SIDE_BY_SIDE(16);
typedef int32_t ints8 IL_SIDE_BY_SIDE(8);
typedef int32_t ints4 IL_SIDE_BY_SIDE(4);

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

/* The tree, in registers: a loop over it goes through memory at every level. */
IL_INLINE float lanes_sum(const float *lanes)
{
    const floats8 a = *(const floats8 *)lanes + *(const floats8 *)(lanes + 8);
    const float *half = (const float *)&a;
    const floats4 b = *(const floats4 *)half + *(const floats4 *)(half + 4);

    return (b[0] + b[2]) + (b[1] + b[3]);
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

/* No lane is ever -0, so what is not there may add 0. */
IL_INLINE float row_sum(const float *x, int64_t n)
{
    floats16 sum = {0};
    int64_t base = 0;

    for (; base + LANES <= n; base += LANES) {
        sum += *(const floats16 *)(x + base);
    }
    if (base < n) {
        floats16 rest = {0};

        for (int64_t i = base; i < n; i++) {
            rest[i - base] = x[i];
        }
        sum += rest;
    }
    return lanes_sum((const float *)&sum);
}

IL_INLINE float row_dot(const float *a, const float *b, int64_t n)
{
    float lanes[LANES] = {0};

    LANES_ADD(lanes, n, i, a[i] * b[i]);
    return lanes_sum(lanes);
}

/* Lane by lane the greater of `most` and x, vectors of n, `most` where x is NaN. Not a
 * function, for the sake of its arguments. */
#define LANES_RAISE(n, most, x)                                                        \
    do {                                                                               \
        const floats##n x_ = (x);                                                      \
        const ints##n more_ = (ints##n)(x_ > (most));                                  \
                                                                                       \
        (most) = (floats##n)((more_ & (ints##n)x_) | (~more_ & (ints##n)(most)));      \
    } while (0)

/* The greatest number of a row, NaN passed over; -inf when there is none. */
IL_INLINE float row_max(const float *x, int64_t n)
{
    floats16 most = (floats16){0} - INFINITY;
    const float *lanes = (const float *)&most;
    floats8 a;
    const float *half = (const float *)&a;
    floats4 b;
    float low;
    float high;
    int64_t base = 0;

    for (; base + LANES <= n; base += LANES) {
        LANES_RAISE(16, most, *(const floats16 *)(x + base));
    }
    if (base < n) {
        floats16 rest = (floats16){0} - INFINITY;

        for (int64_t i = base; i < n; i++) {
            rest[i - base] = x[i];
        }
        LANES_RAISE(16, most, rest);
    }
    a = *(const floats8 *)lanes;
    LANES_RAISE(8, a, *(const floats8 *)(lanes + 8));
    b = *(const floats4 *)half;
    LANES_RAISE(4, b, *(const floats4 *)(half + 4));
    low = b[2] > b[0] ? b[2] : b[0];
    high = b[3] > b[1] ? b[3] : b[1];
    return high > low ? high : low;
}

#endif
