/* Products of large matrices: see packed.h. */
#include "tensor/packed.h"

#include "base/compiler.h"
#include "tensor/panels.h"

#if IL_HAS_AVX512

#include <immintrin.h>
#include <string.h>
#include "tensor/turn.h"

/* Fourteen rows by two vectors take 28 of 32 registers; a strip is 32 KiB of 48, a
 * block 512 KiB of the second cache. */
enum {
    VECTOR = 16,
    TALL = IL_PACKED_ROWS,
    WIDE = IL_PACKED_COLUMNS,
    DEEP = 256, /* as panels.c has it: it decides the sums */
    STEP = 16,  /* from one k to the next in a block whose matrix is transposed */
    ROWS = 512
};

typedef struct tile {
    const float *a; /* of a block: row i and k at i DEEP + k, or i + k STEP */
    const float *b; /* of a strip */
    int64_t deep;
    float alpha, beta;
    const float *bias;
    float *c;
    int64_t ldc;
    __mmask16 first, last; /* the numbers of each vector that there are */
} tile;

/* `tall` rows by a strip; all but the tile are constants, so that the sums are
 * registers. */
IL_INLINE IL_AVX512 void make_tile(const tile *t, int tall, int64_t row, int64_t step)
{
    __m512 sum[TALL][2];
    const float *a = t->a;
    const float *b = t->b;

    IL_UNROLL
    for (int i = 0; i < tall; i++) {
        sum[i][0] = _mm512_setzero_ps();
        sum[i][1] = _mm512_setzero_ps();
    }
    IL_UNROLL
    for (int i = 0; i < tall; i++) {
        __builtin_prefetch(t->c + i * t->ldc, 1, 3);
        __builtin_prefetch(t->c + i * t->ldc + WIDE - 1, 1, 3);
    }
    for (int64_t l = 0; l < t->deep; l++, a += step, b += WIDE) {
        const __m512 right0 = _mm512_load_ps(b);
        const __m512 right1 = _mm512_load_ps(b + VECTOR);

        IL_UNROLL
        for (int i = 0; i < tall; i++) {
            const __m512 left = _mm512_set1_ps(a[i * row]);

            sum[i][0] = _mm512_fmadd_ps(left, right0, sum[i][0]);
            sum[i][1] = _mm512_fmadd_ps(left, right1, sum[i][1]);
        }
    }
    IL_UNROLL
    for (int i = 0; i < tall; i++) {
        IL_UNROLL
        for (int v = 0; v < 2; v++) {
            const __mmask16 there = v == 0 ? t->first : t->last;
            float *c = t->c + i * t->ldc + v * VECTOR;
            __m512 was = _mm512_setzero_ps();

            if (t->beta != 0.0f) {
                was = _mm512_mul_ps(_mm512_set1_ps(t->beta),
                                    _mm512_maskz_loadu_ps(there, c));
            } else if (t->bias != NULL) {
                was = _mm512_maskz_loadu_ps(there, t->bias + v * VECTOR);
            }
            _mm512_mask_storeu_ps(
                c, there, _mm512_fmadd_ps(_mm512_set1_ps(t->alpha), sum[i][v], was));
        }
    }
}

#define TILE(TALL_)                                                                    \
    case 2 * (TALL_):                                                                  \
        make_tile(t, TALL_, DEEP, 1);                                                  \
        break;                                                                         \
    case 2 * (TALL_) + 1:                                                              \
        make_tile(t, TALL_, 1, STEP);                                                  \
        break;

IL_AVX512 static void choose_tile(const tile *t, int tall, bool turned)
{
    switch (2 * tall + turned) {
        TILE(1)
        TILE(2)
        TILE(3)
        TILE(4)
        TILE(5)
        TILE(6)
        TILE(7)
        TILE(8)
        TILE(9)
        TILE(10)
        TILE(11)
        TILE(12)
        TILE(13)
        TILE(14)
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The heights of a block's tiles differ by one at most. */
static int64_t tile_row(int64_t rows, int64_t tiles, int64_t i)
{
    return rows * i / tiles;
}

/* Rows of op(a), `deep` of k. */
static void pack_block(float *to, bool ta, const float *a, int64_t lda, int64_t rows,
                       int64_t deep)
{
    const int64_t tiles = (rows + TALL - 1) / TALL;

    for (int64_t i = 0; !ta && i < rows; i++) {
        memcpy(to + i * DEEP, a + i * lda, (size_t)deep * sizeof *to);
    }
    for (int64_t i = 0; ta && i < tiles; i++) {
        const int64_t from = tile_row(rows, tiles, i);
        const int64_t tall = tile_row(rows, tiles, i + 1) - from;

        for (int64_t l = 0; l < deep; l++) {
            memcpy(to + (i * DEEP + l) * STEP, a + l * lda + from,
                   (size_t)tall * sizeof *to);
        }
    }
}

/* op(b)'s `wide` columns from b on, `deep` of k. What is beyond them is multiplied too
 * and goes nowhere, so it only has to be numbers. */
static void pack_strip(float *to, bool tb, const float *b, int64_t ldb, int64_t wide,
                       int64_t deep)
{
    if (wide < WIDE) {
        memset(to, 0, (size_t)(deep * WIDE) * sizeof *to);
    }
    if (tb) {
        il_turn(to, WIDE, b, ldb, wide, deep);
        return;
    }
    for (int64_t l = 0; l < deep; l++) {
        memcpy(to + l * WIDE, b + l * ldb, (size_t)wide * sizeof *to);
    }
}

/* A part of the strip that is packed next comes into the second cache meanwhile. */
static void fetch(bool tb, const float *b, int64_t ldb, int64_t wide, int64_t deep,
                  int64_t part, int64_t parts)
{
    const int64_t rows = tb ? wide : deep;
    const int64_t columns = tb ? deep : wide;

    for (int64_t i = rows * part / parts; i < rows * (part + 1) / parts; i++) {
        for (int64_t j = 0; j < columns; j += VECTOR) {
            __builtin_prefetch(b + i * ldb + j, 0, 2);
        }
    }
}

static __mmask16 mask_of(int64_t count)
{
    return (__mmask16)(count >= VECTOR ? 0xffff : count > 0 ? (1u << count) - 1 : 0);
}

bool il_packed_suit(int64_t m, int64_t n, int64_t k)
{
    return m >= TALL && n >= VECTOR && (double)m * (double)n * (double)k >= 1 << 26;
}

void il_packed_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb,
                    float beta, const float *bias, float *c, int64_t ldc)
{
    _Alignas(64) float block[(ROWS / TALL + 1) * STEP * DEEP];
    _Alignas(64) float strip[WIDE * DEEP];

    for (int64_t l = 0; l < k; l += DEEP) {
        const int64_t deep = least(k - l, DEEP);
        const float *right = tb ? b + l : b + l * ldb;
        const int64_t apart = tb ? ldb : 1;

        for (int64_t i = 0; i < m; i += ROWS) {
            const int64_t rows = least(m - i, ROWS);
            const int64_t tiles = (rows + TALL - 1) / TALL;

            pack_block(block, ta, ta ? a + l * lda + i : a + i * lda + l, lda, rows,
                       deep);
            for (int64_t j = 0; j < n; j += WIDE) {
                const int64_t wide = least(n - j, WIDE);
                const int64_t next = least(n - j - wide, WIDE);
                tile t = {.b = strip,
                          .deep = deep,
                          .alpha = alpha,
                          .beta = l == 0 ? beta : 1.0f,
                          .bias = bias != NULL && l == 0 ? bias + j : NULL,
                          .ldc = ldc,
                          .first = mask_of(wide),
                          .last = mask_of(wide - VECTOR)};

                pack_strip(strip, tb, right + j * apart, ldb, wide, deep);
                for (int64_t x = 0; x < tiles; x++) {
                    const int64_t from = tile_row(rows, tiles, x);

                    t.a = ta ? block + x * DEEP * STEP : block + from * DEEP;
                    t.c = c + (i + from) * ldc + j;
                    choose_tile(&t, (int)(tile_row(rows, tiles, x + 1) - from), ta);
                    fetch(tb, right + (j + wide) * apart, ldb, next, deep, x, tiles);
                }
            }
        }
    }
}

#else

bool il_packed_suit(int64_t m, int64_t n, int64_t k)
{
    (void)m;
    (void)n;
    (void)k;
    return false;
}

void il_packed_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb,
                    float beta, const float *bias, float *c, int64_t ldc)
{
    il_panels_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, bias, c, ldc);
}

#endif
