/* Products of small matrices: see panels.h. */
#include "tensor/panels.h"

#include "base/compiler.h"

#if IL_HAS_AVX512

#include <immintrin.h>
#include "tensor/turn.h"

/* A panel of 48 KiB, the first cache of the processors that this is for. Eight rows by
 * three vectors take 24 of 32 registers. */
enum { VECTOR = 16, TALL = 8, VECTORS = 3, WIDE = VECTORS * VECTOR, DEEP = 256 };

/* Beyond this many multiplications, what OpenBLAS does in advance pays. What is not
 * transposed it multiplies where it lies, as fast if not faster; a single row or column
 * is a product of another kind. */
static const double MOST = 1 << 24;

bool il_panels_suit(bool tb, int64_t m, int64_t n, int64_t k)
{
    return (tb || m < 32) && m > 1 && n > 1 &&
           (double)m * (double)n * (double)k <= MOST;
}

typedef struct tile {
    const float *a;
    int64_t row, step; /* from one row of op(a) to the next, and from one k */
    const float *b;
    int64_t ldb;
    int64_t deep;
    float alpha, beta;
    const float *bias;
    float *c;
    int64_t ldc;
    __mmask16 last; /* the numbers of the last vector that there are */
} tile;

/* `tall` rows of `vectors` vectors; both constants, so that the sums are registers. */
IL_INLINE IL_AVX512 void make_tile(const tile *t, int tall, int vectors)
{
    __m512 sum[TALL][VECTORS];
    const float *a = t->a;
    const float *b = t->b;

    IL_UNROLL
    for (int i = 0; i < tall; i++) {
        IL_UNROLL
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = _mm512_setzero_ps();
        }
    }
    for (int64_t l = 0; l < t->deep; l++, a += t->step, b += t->ldb) {
        __m512 right[VECTORS];

        IL_UNROLL
        for (int v = 0; v < vectors; v++) {
            right[v] = v + 1 < vectors ? _mm512_loadu_ps(b + v * VECTOR)
                                       : _mm512_maskz_loadu_ps(t->last, b + v * VECTOR);
        }
        IL_UNROLL
        for (int i = 0; i < tall; i++) {
            __m512 left = _mm512_set1_ps(a[i * t->row]);

            IL_UNROLL
            for (int v = 0; v < vectors; v++) {
                sum[i][v] = _mm512_fmadd_ps(left, right[v], sum[i][v]);
            }
        }
    }
    IL_UNROLL
    for (int i = 0; i < tall; i++) {
        IL_UNROLL
        for (int v = 0; v < vectors; v++) {
            __mmask16 there = v + 1 < vectors ? 0xffff : t->last;
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

#define TILE(TALL_, VECTORS_)                                                          \
    case TALL_ * 4 + VECTORS_:                                                         \
        make_tile(t, TALL_, VECTORS_);                                                 \
        break;
#define TILES(VECTORS_)                                                                \
    TILE(8, VECTORS_)                                                                  \
    TILE(7, VECTORS_)                                                                  \
    TILE(6, VECTORS_)                                                                  \
    TILE(5, VECTORS_)                                                                  \
    TILE(4, VECTORS_)                                                                  \
    TILE(3, VECTORS_) TILE(2, VECTORS_) TILE(1, VECTORS_)

IL_AVX512 static void choose_tile(const tile *t, int tall, int vectors)
{
    switch (tall * 4 + vectors) {
        TILES(1)
        TILES(2)
        TILES(3)
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* All rows of a panel: op(b)'s columns from j, and of k what the tile has. */
static void make_rows(tile *t, int64_t m, int vectors)
{
    for (int64_t i = 0; i < m;) {
        int64_t left = m - i;
        /* nine are five and four: few sums at once wait for each other */
        int tall = (int)(left == 9 || left == 10 ? 5 : least(left, TALL));

        choose_tile(t, tall, vectors);
        t->a += tall * t->row;
        t->c += tall * t->ldc;
        i += tall;
    }
}

void il_panels_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb,
                    float beta, const float *bias, float *c, int64_t ldc)
{
    _Alignas(64) float panel[WIDE * DEEP];

    for (int64_t j = 0; j < n;) {
        int64_t left = (n - j + VECTOR - 1) / VECTOR;
        /* four vectors are two and two: one alone is slow */
        int vectors = (int)(left == 4 ? 2 : least(left, VECTORS));
        int64_t wide = least(n - j, vectors * VECTOR);
        int64_t tail = wide - (vectors - 1) * VECTOR;

        for (int64_t l = 0; l < k; l += DEEP) {
            tile t = {.a = ta ? a + l * lda : a + l,
                      .row = ta ? 1 : lda,
                      .step = ta ? lda : 1,
                      .b = tb ? panel : b + l * ldb + j,
                      .ldb = tb ? vectors * VECTOR : ldb,
                      .deep = least(k - l, DEEP),
                      .alpha = alpha,
                      .beta = l == 0 ? beta : 1.0f,
                      .bias = bias != NULL && l == 0 ? bias + j : NULL,
                      .c = c + j,
                      .ldc = ldc,
                      .last = (__mmask16)((1u << tail) - 1)};

            if (tb) {
                il_turn(panel, t.ldb, b + j * ldb + l, ldb, wide, t.deep);
            }
            make_rows(&t, m, vectors);
        }
        j += wide;
    }
}

#else

bool il_panels_suit(bool tb, int64_t m, int64_t n, int64_t k)
{
    (void)tb;
    (void)m;
    (void)n;
    (void)k;
    return false;
}

void il_panels_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb,
                    float beta, const float *bias, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            float was = bias != NULL ? bias[j] : 0.0f;
            float sum = 0;

            for (int64_t l = 0; l < k; l++) {
                sum += (ta ? a[l * lda + i] : a[i * lda + l]) *
                       (tb ? b[j * ldb + l] : b[l * ldb + j]);
            }
            was = beta != 0.0f ? beta * c[i * ldc + j] : was;
            c[i * ldc + j] = alpha * sum + was;
        }
    }
}

#endif
