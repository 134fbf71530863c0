/* Half-width floats made whole. */
#include "tensor/kernels.h"

#include <string.h>
#include "tensor/kernels_math.h"

IL_INLINE uint32_t half_at(const unsigned char *x, int64_t i)
{
    return (uint32_t)x[2 * i] | (uint32_t)x[2 * i + 1] << 8;
}

/* The exponent moves up by 112. What has none is a whole number of 2^-24; infinity and
 * NaN keep an exponent of ones. */
IL_INLINE float widen_half(uint32_t h)
{
    const uint32_t sign = (h & 0x8000u) << 16;
    const uint32_t rest = (h & 0x7fffu) << 13;
    const uint32_t normal = rest + (112u << 23);
    const uint32_t top = rest | 0x7f800000u;
    const uint32_t small = float_bits((float)(int32_t)(h & 0x7fffu) * 0x1p-24f);
    uint32_t bits = (h & 0x7c00u) == 0x7c00u ? top : normal;

    bits = (h & 0x7c00u) == 0 ? small : bits;
    return float_of_bits(sign | bits);
}

IL_CLONES
void il_k_widen_f16(float *y, const void *x, int64_t n)
{
    const unsigned char *bytes = x;

    for (int64_t i = 0; i < n; i++) {
        y[i] = widen_half(half_at(bytes, i));
    }
}

IL_CLONES
void il_k_widen_bf16(float *y, const void *x, int64_t n)
{
    const unsigned char *bytes = x;

    for (int64_t i = 0; i < n; i++) {
        y[i] = float_of_bits(half_at(bytes, i) << 16);
    }
}
