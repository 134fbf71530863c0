/* Exponentials and their kin for one float, without a branch, so that a loop over them
 * becomes vectors.
 *
 * Polynomials were interpolated at Chebyshev nodes; the errors stated are relative, in
 * ulps of the result, and held by tests. Every function keeps NaN and gives its limits
 * at the infinities. The order of operations is the value: nothing here may be
 * contracted or reassociated. */
#ifndef IL_TENSOR_KERNELS_MATH_H
#define IL_TENSOR_KERNELS_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/compiler.h"

IL_INLINE uint32_t float_bits(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

IL_INLINE float float_of_bits(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |x| by clearing the sign, and the sign of s on |x|. */
IL_INLINE float float_abs(float x)
{
    return float_of_bits(float_bits(x) & 0x7fffffffu);
}
IL_INLINE float float_sign(float x, float s)
{
    return float_of_bits((float_bits(x) & 0x7fffffffu) | (float_bits(s) & 0x80000000u));
}

/* 2^n for n in [-126,127]; anything else is some float. */
IL_INLINE float float_power_of_two(int32_t n)
{
    return float_of_bits(((uint32_t)n + 127u) << 23);
}

/* x + low = n ln 2 + r with |r| <= ln 2 / 2: returns exp(r) - 1, and n. A sum with 1.5
 * * 2^23 rounds to the nearest integer and leaves it in the low bits; ln 2 is in two
 * parts, the first of 9 bits, so that n times it is exact. */
IL_INLINE float float_reduce(float x, float low, int32_t *n)
{
    float t = (x + low) * 0x1.715476p+0f + 0x1.8p23f;
    float k = t - 0x1.8p23f;
    float r = ((x - k * 0x1.63p-1f) - k * -0x1.bd0106p-13f) + low;
    float q = 0.000198910799f;

    *n = (int32_t)(float_bits(t) - 0x4b400000u);
    q = q * r + 0.00139337312f;
    q = q * r + 0.00833331048f;
    q = q * r + 0.041666463f;
    q = q * r + 0.166666672f;
    q = q * r + 0.5f;
    return r + r * r * q;
}

/* exp(x + low) for x in [-120,120] and |low| much smaller than |x|. The power of two
 * goes on in two halves, so that results below the normal range are rounded once and
 * those above become infinite. */
IL_INLINE float float_exp_pair(float x, float low)
{
    int32_t n;
    float p = 1.0f + float_reduce(x, low, &n);

    return p * float_power_of_two(n >> 1) * float_power_of_two(n - (n >> 1));
}

/* 2 ulp. */
IL_INLINE float float_exp(float x)
{
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    return float_exp_pair(x, -0.0f); /* which adds nothing, so that nobody adds it */
}

/* 2 atanh(s) / s for s^2 = z: the odd series of log((1 + s) / (1 - s)), to z = 1/9. */
IL_INLINE float float_atanh_series(float z)
{
    float q = 2.0f / 15.0f;

    q = q * z + 2.0f / 13.0f;
    q = q * z + 2.0f / 11.0f;
    q = q * z + 2.0f / 9.0f;
    q = q * z + 2.0f / 7.0f;
    q = q * z + 2.0f / 5.0f;
    q = q * z + 2.0f / 3.0f;
    return q * z;
}

/* log(1 + u) for u in [0,1]; 3 ulp. */
IL_INLINE float float_log1p_unit(float u)
{
    float s = u / (2.0f + u);

    return 2.0f * s + s * float_atanh_series(s * s);
}

/* Natural logarithm, of numbers below the normal range too; 3 ulp. */
IL_INLINE float float_log(float x)
{
    uint32_t small = x < 0x1p-126f;
    uint32_t bits = float_bits(small ? x * 0x1p24f : x);
    /* m in [sqrt(1/2), sqrt 2) times 2^e */
    int32_t e = (int32_t)(bits - 0x3f3504f3u) >> 23;
    float m = float_of_bits(bits - ((uint32_t)e << 23)) - 1.0f;
    float s = m / (2.0f + m);
    float k = (float)(e - (small ? 24 : 0));
    /* log m = m - s (m - series): m itself is exact, so only the correction is rounded
     */
    float low = s * (m - float_atanh_series(s * s));
    float y = k * 0x1.63p-1f + (m - (low - k * -0x1.bd0106p-13f));

    y = x == INFINITY ? x : y;
    return x > 0.0f ? y : (x == 0.0f ? -INFINITY : NAN);
}

/* -(exp(-2|x|) - 1) / (exp(-2|x|) + 1) with x's sign; 3 ulp. */
IL_INLINE float float_tanh(float x)
{
    float a = -2.0f * float_abs(x);
    float scale;
    float e;
    float p;
    int32_t n;

    a = a < -40.0f ? -40.0f : a;
    p = float_reduce(a, -0.0f, &n);
    scale = float_power_of_two(n);
    e = scale * p + (scale - 1.0f);
    return float_sign(e / (2.0f + e), x);
}

/* float_exp of x <= 0, bit for bit: with no power above 1 to reach, one half of the
 * power can be a constant. */
IL_INLINE float float_exp_down(float x)
{
    int32_t n;
    float p;

    x = x < -104.0f ? -104.0f : x;
    p = 1.0f + float_reduce(x, -0.0f, &n);
    return p * float_power_of_two(n + 64) * 0x1p-64f;
}

/* 1 / (1 + exp(-x)); 4 ulp in the left tail too. */
IL_INLINE float float_sigmoid(float x)
{
    float e = float_exp_down(float_of_bits(float_bits(x) | 0x80000000u));

    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* log(1 + exp(x)) = max(x,0) + log(1 + exp(-|x|)); 4 ulp. */
IL_INLINE float float_softplus(float x)
{
    float tail = float_log1p_unit(float_exp(-float_abs(x)));

    return (x < 0.0f ? 0.0f : x) + tail;
}

/* The normal distribution at x: returns Phi(x), and exp(-x^2/2) / sqrt(2 pi) in
 * *density. With a = |x| the tail Phi(-a) is exp(-a^2/2) R(u) / (a + K), u = (a - K) /
 * (a + K), R a polynomial for a up to 15, past which floats have no more to say. a^2 is
 * taken in two exact parts, or its rounding would show in the tail. 6 ulp. */
IL_INLINE float float_normal(float x, float *density)
{
    const float K = 2.75f;
    float a = float_abs(x);
    float high;
    float e;
    float s;
    float u;
    float q = 3.39200451e-05f;

    a = a > 15.0f ? 15.0f : a;
    high = float_of_bits(float_bits(a) & 0xfffff000u);
    e = float_exp_pair(-0.5f * high * high, -0.5f * (a - high) * (a + high));
    s = 1.0f / (a + K);
    u = (a - K) * s;
    q = q * u + -2.86670765e-05f;
    q = q * u + -0.000445127429f;
    q = q * u + -0.000295434496f;
    q = q * u + 0.0024977345f;
    q = q * u + 0.00320679485f;
    q = q * u + -0.0164435469f;
    q = q * u + -0.0165653285f;
    q = q * u + 0.1823342f;
    q = q * u + -0.474354148f;
    q = q * u + 0.718986034f;
    *density = 0.398942280f * e;
    e = e * (q * s);
    return x < 0.0f ? e : 1.0f - e;
}

#endif
