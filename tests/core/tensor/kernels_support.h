/* What the kernel tests share: numbers to feed, and how far two numbers are apart. */
#ifndef TESTS_KERNELS_SUPPORT_H
#define TESTS_KERNELS_SUPPORT_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

/* The next number of a fixed stream, uniform in [lo,hi). */
static inline double draw(uint64_t *state, double lo, double hi)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return lo + (hi - lo) * (double)(*state >> 40) / 16777216.0;
}

static inline void draw_floats(float *x, int64_t n, uint64_t seed, double lo, double hi)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)draw(&seed, lo, hi);
    }
}

static inline float *floats(int64_t n)
{
    float *x = calloc((size_t)n, sizeof *x);

    if (x == NULL) {
        abort();
    }
    return x;
}

/* |got - want| in units of the last place of want as a float; infinities must agree. */
static inline double ulps_apart(float got, double want)
{
    int exponent;
    double unit;

    if (isnan(got) || isnan(want)) {
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    }
    if (isinf(got) || fabs(want) > (double)FLT_MAX) {
        return isinf(got) && fabs(want) > (double)FLT_MAX && (got > 0) == (want > 0)
                   ? 0
                   : INFINITY;
    }
    (void)frexp(want, &exponent);
    unit = want == 0 ? 0x1p-149 : ldexp(1, exponent - 24);
    return fabs((double)got - want) / (unit < 0x1p-149 ? 0x1p-149 : unit);
}

static inline int same_bits(const float *a, const float *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

#endif
