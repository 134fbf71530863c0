/* A matrix's transpose with AVX-512, as products want it that multiply by it: for the
 * files of this folder that are compiled for such a processor. */
#ifndef IL_TENSOR_TURN_H
#define IL_TENSOR_TURN_H

#include "base/compiler.h"

#if IL_HAS_AVX512

#include <immintrin.h>
#include <stdint.h>

/* to (k,16) of rows `apart` = the transpose of b (n,k), n and k up to 16; zeros for the
 * columns that lack. Pairs, fours, then the four quarters. */
IL_INLINE IL_AVX512 void il__turn_square(float *to, int64_t apart, const float *b,
                                         int64_t ldb, int64_t n, int64_t k)
{
    const __mmask16 there = (__mmask16)((1u << k) - 1);
    __m512 x[16];
    __m512 y[16];

    IL_UNROLL
    for (int i = 0; i < 16; i++) {
        x[i] = i < n ? _mm512_maskz_loadu_ps(there, b + i * ldb) : _mm512_setzero_ps();
    }
    IL_UNROLL
    for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    IL_UNROLL
    for (int i = 0; i < 16; i += 4) {
        IL_UNROLL
        for (int j = 0; j < 2; j++) {
            __m512d low = _mm512_castps_pd(y[i + j]);
            __m512d high = _mm512_castps_pd(y[i + j + 2]);

            x[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            x[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    }
    IL_UNROLL
    for (int i = 0; i < 4; i++) {
        __m512 even0 = _mm512_shuffle_f32x4(x[i], x[i + 4], 0x88);
        __m512 even1 = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0x88);
        __m512 odd0 = _mm512_shuffle_f32x4(x[i], x[i + 4], 0xdd);
        __m512 odd1 = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0xdd);

        y[i] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        y[i + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        y[i + 8] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
        y[i + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
    }
    IL_UNROLL
    for (int l = 0; l < 16; l++) {
        if (l < k) {
            _mm512_storeu_ps(to + l * apart, y[l]);
        }
    }
}

/* to (k, whole vectors of n) = the transpose of b (n,k). */
IL_AVX512 static inline void il_turn(float *to, int64_t apart, const float *b,
                                     int64_t ldb, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j += 16) {
        for (int64_t l = 0; l < k; l += 16) {
            il__turn_square(to + l * apart + j, apart, b + j * ldb + l, ldb,
                            n - j < 16 ? n - j : 16, k - l < 16 ? k - l : 16);
        }
    }
}

#endif
#endif
