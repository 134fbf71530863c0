/* Attention to a cache: see cache.h. */
#include "tensor/cache.h"

#include <string.h>
#include "base/compiler.h"

#if IL_HAS_AVX512

#include <immintrin.h>

/* Heads side by side, positions of a block, channels that lie side by side, and
 * channels of the widest head. */
enum { SIDE = 4, BLOCK = 16, PART = 4, DEEP = 128 };

bool il_cache_suits(int64_t c, int64_t heads, int64_t length)
{
    return c / heads % PART == 0 && c / heads <= DEEP && c * length >= BLOCK;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

IL_AVX512 void il_cache_write(float *cache, const float *qkv, int64_t t, int64_t c,
                              int64_t at, int64_t length)
{
    for (int64_t i = 0; i < t; i++) {
        const float *k = qkv + i * 3 * c + c;
        const float *v = k + c;
        const int64_t block = (at + i) / BLOCK * BLOCK;
        const int64_t wide = least(length - block, BLOCK);
        float *key = cache + block * c + (at + i - block) * PART;
        float *value = cache + c * length + (at + i) * c;

        for (int64_t j = 0; j < c; j += PART) {
            _mm_storeu_ps(key + j * wide, _mm_loadu_ps(k + j));
        }
        memcpy(value, v, (size_t)c * sizeof *value);
    }
}

/* One position and the four heads that it asks with at once; where there are fewer, the
 * last one again. */
typedef struct asking {
    const float *q; /* (c) */
    const float *keys;
    const float *values;
    float *out;     /* (c) */
    float *weights; /* blocks of (SIDE,BLOCK), then (BLOCK,SIDE) */
    int64_t c, d;   /* channels of a position, and of a head */
    int64_t n;      /* positions to attend to */
    int64_t length;
    int64_t at[SIDE]; /* a head's first channel */
    float scale;
} asking;

/* ---- scores --------------------------------------------------------------------- */

/* Position p of a block is number p % 4 * 4 + p / 4 of its scores, where the sums of
 * four parts come out. The numbers of the first n positions: */
static const uint16_t there[BLOCK + 1] = {
    0x0000, 0x0001, 0x0011, 0x0111, 0x1111, 0x1113, 0x1133, 0x1333, 0x3333,
    0x3337, 0x3377, 0x3777, 0x7777, 0x777f, 0x77ff, 0x7fff, 0xffff};

/* q k of the 4 * `quarters` first positions of a block; the others are zero. A constant
 * number of quarters, so that the sums are registers. What the last of them reads past
 * a narrow block is the cache's too. */
IL_INLINE IL_AVX512 __m512 make_scores(const float *q, const float *keys, int64_t d,
                                       int64_t wide, int quarters)
{
    __m512 sum[4];
    __m512d low;
    __m512d high;

    IL_UNROLL
    for (int i = 0; i < 4; i++) {
        sum[i] = _mm512_setzero_ps();
    }
    for (int64_t j = 0; j < d; j += PART, keys += PART * wide) {
        const __m512 part = _mm512_broadcast_f32x4(_mm_loadu_ps(q + j));

        IL_UNROLL
        for (int i = 0; i < quarters; i++) {
            sum[i] = _mm512_fmadd_ps(part, _mm512_loadu_ps(keys + i * BLOCK), sum[i]);
        }
    }
    low = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(sum[0], sum[1]),
                                         _mm512_unpackhi_ps(sum[0], sum[1])));
    high = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(sum[2], sum[3]),
                                          _mm512_unpackhi_ps(sum[2], sum[3])));
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
}

#define QUARTERS(N_)                                                                   \
    IL_UNROLL                                                                          \
    for (int h = 0; h < SIDE; h++) {                                                   \
        s[h] = make_scores(a->q + a->at[h], keys + a->at[h] * wide, a->d, wide, N_);   \
    }

/* The scores, (SIDE,BLOCK) a block, -inf for positions that are not there; in most
 * sixteen of each head, the greatest among them. */
IL_INLINE IL_AVX512 void score(const asking *a, __m512 most[SIDE])
{
    const __m512 none = _mm512_set1_ps(-__builtin_inff());

    IL_UNROLL
    for (int h = 0; h < SIDE; h++) {
        most[h] = none;
    }
    for (int64_t from = 0; from < a->n; from += BLOCK) {
        const int64_t count = least(a->n - from, BLOCK);
        const int64_t wide = least(a->length - from, BLOCK);
        const float *keys = a->keys + from * a->c;
        __m512 s[SIDE];

        if (count <= 4) {
            QUARTERS(1)
        } else if (count <= 8) {
            QUARTERS(2)
        } else if (count <= 12) {
            QUARTERS(3)
        } else {
            QUARTERS(4)
        }
        IL_UNROLL
        for (int h = 0; h < SIDE; h++) {
            s[h] = _mm512_mask_blend_ps(there[count], none, s[h]);
            _mm512_storeu_ps(a->weights + from * SIDE + h * BLOCK, s[h]);
            most[h] = _mm512_max_ps(s[h], most[h]);
        }
    }
}

/* ---- four heads at once --------------------------------------------------------- */

/* Each head's sixteen numbers become one, four times in its quarter of the result. */
#define MEET(op, x)                                                                    \
    do {                                                                               \
        const __m512 a_ = op(_mm512_shuffle_f32x4((x)[0], (x)[1], 0x44),               \
                             _mm512_shuffle_f32x4((x)[0], (x)[1], 0xee));              \
        const __m512 b_ = op(_mm512_shuffle_f32x4((x)[2], (x)[3], 0x44),               \
                             _mm512_shuffle_f32x4((x)[2], (x)[3], 0xee));              \
        __m512 all_ = op(_mm512_shuffle_f32x4(a_, b_, 0x88),                           \
                         _mm512_shuffle_f32x4(a_, b_, 0xdd));                          \
                                                                                       \
        all_ = op(all_, _mm512_shuffle_ps(all_, all_, 0x4e));                          \
        (x)[0] = op(all_, _mm512_shuffle_ps(all_, all_, 0xb1));                        \
    } while (0)

/* Each quarter of x[0] through a whole vector. */
IL_INLINE IL_AVX512 void spread(__m512 x[SIDE])
{
    const __m512 all = x[0];

    x[0] = _mm512_shuffle_f32x4(all, all, 0x00);
    x[1] = _mm512_shuffle_f32x4(all, all, 0x55);
    x[2] = _mm512_shuffle_f32x4(all, all, 0xaa);
    x[3] = _mm512_shuffle_f32x4(all, all, 0xff);
}

/* exp(x) for x <= 0 in fused steps, by the polynomial of float_exp; 2 ulp, and exp(-87)
 * for what is less: beside a weight of 1 it is nothing, and numbers below the normal
 * range are slow. NaN stays. */
IL_INLINE IL_AVX512 __m512 exp_down(__m512 x)
{
    const __m512 shift = _mm512_set1_ps(0x1.8p23f);
    __m512 k;
    __m512 r;
    __m512 q = _mm512_set1_ps(0.000198910799f);

    x = _mm512_max_ps(_mm512_set1_ps(-87.0f), x);
    k = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(0x1.715476p+0f), shift), shift);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0x1.63p-1f), x);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(-0x1.bd0106p-13f), r);
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.00139337312f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.00833331048f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.041666463f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.166666672f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(0.5f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(1.0f));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(q, k);
}

/* Four heads' numbers of sixteen positions, turned: the four of each position side by
 * side, which brings the positions into their order. */
IL_INLINE IL_AVX512 void turn(float *to, const __m512 e[SIDE])
{
    const __m512d low0 = _mm512_castps_pd(_mm512_unpacklo_ps(e[0], e[1]));
    const __m512d high0 = _mm512_castps_pd(_mm512_unpackhi_ps(e[0], e[1]));
    const __m512d low1 = _mm512_castps_pd(_mm512_unpacklo_ps(e[2], e[3]));
    const __m512d high1 = _mm512_castps_pd(_mm512_unpackhi_ps(e[2], e[3]));

    _mm512_storeu_ps(to, _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1)));
    _mm512_storeu_ps(to + 16, _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1)));
    _mm512_storeu_ps(to + 32, _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1)));
    _mm512_storeu_ps(to + 48, _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1)));
}

/* weights = exp(scale (scores - most)), (BLOCK,SIDE) a block; of positions that are not
 * there they are too small to count. Returns one over the four heads' sums, side by
 * side in every quarter. */
IL_INLINE IL_AVX512 __m512 weigh(const asking *a, __m512 most[SIDE])
{
    const __m512 scale = _mm512_set1_ps(a->scale);
    __m512 sum[SIDE];

    MEET(_mm512_max_ps, most);
    spread(most);
    IL_UNROLL
    for (int h = 0; h < SIDE; h++) {
        sum[h] = _mm512_setzero_ps();
    }
    for (int64_t from = 0; from < a->n; from += BLOCK) {
        float *p = a->weights + from * SIDE;
        __m512 e[SIDE];

        IL_UNROLL
        for (int h = 0; h < SIDE; h++) {
            e[h] = _mm512_sub_ps(_mm512_loadu_ps(p + h * BLOCK), most[h]);
            e[h] = exp_down(_mm512_mul_ps(scale, e[h]));
            sum[h] = _mm512_add_ps(sum[h], e[h]);
        }
        turn(p, e);
    }
    MEET(_mm512_add_ps, sum);
    return _mm512_permutexvar_ps(
        _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12),
        _mm512_div_ps(_mm512_set1_ps(1.0f), sum[0]));
}

/* Which of four heads each of 16 channels is of, the first of them `from` channels
 * after the first head's. */
IL_INLINE IL_AVX512 __m512i heads_of(int64_t from, int64_t d)
{
    const __m512i channel = _mm512_add_epi32(
        _mm512_set1_epi32((int)from),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m512i one = _mm512_set1_epi32(1);
    __m512i head = _mm512_setzero_si512();

    IL_UNROLL
    for (int h = 1; h < SIDE; h++) {
        head = _mm512_mask_add_epi32(
            head, _mm512_cmpge_epi32_mask(channel, _mm512_set1_epi32((int)(h * d))),
            head, one);
    }
    return head;
}

/* sum p[j] values[j] of `vectors` times 16 channels, over the sum of p. A constant
 * number of vectors; `last` are the channels of the last that there are. */
IL_INLINE IL_AVX512 void mix(const asking *a, int64_t from, const __m512i *head,
                             __m512 inverse, int vectors, __mmask16 last)
{
    const float *values = a->values + a->at[0] + from;
    float *out = a->out + a->at[0] + from;
    __m512 sum[SIDE];

    IL_UNROLL
    for (int v = 0; v < vectors; v++) {
        sum[v] = _mm512_setzero_ps();
    }
    for (int64_t j = 0; j < a->n; j++, values += a->c) {
        const __m512 p = _mm512_broadcast_f32x4(_mm_loadu_ps(a->weights + j * SIDE));

        IL_UNROLL
        for (int v = 0; v < vectors; v++) {
            const __m512 value = v + 1 < vectors
                                     ? _mm512_loadu_ps(values + v * BLOCK)
                                     : _mm512_maskz_loadu_ps(last, values + v * BLOCK);

            sum[v] = _mm512_fmadd_ps(_mm512_permutevar_ps(p, head[v]), value, sum[v]);
        }
    }
    IL_UNROLL
    for (int v = 0; v < vectors; v++) {
        const __m512 mean =
            _mm512_mul_ps(sum[v], _mm512_permutevar_ps(inverse, head[v]));

        if (v + 1 < vectors) {
            _mm512_storeu_ps(out + v * BLOCK, mean);
        } else {
            _mm512_mask_storeu_ps(out + v * BLOCK, last, mean);
        }
    }
}

/* All channels of the heads that there are, at most four. */
IL_INLINE IL_AVX512 void mix_all(const asking *a, const __m512i *head, __m512 inverse)
{
    const int64_t wide = least(a->c - a->at[0], SIDE * a->d);
    int64_t from = 0;

    for (; from + 3 * BLOCK <= wide; from += 3 * BLOCK, head += 3) {
        mix(a, from, head, inverse, 3, 0xffff);
    }
    for (; from < wide; from += BLOCK, head++) {
        mix(a, from, head, inverse, 1,
            (__mmask16)((1u << least(wide - from, BLOCK)) - 1));
    }
}

IL_AVX512 void il_cache_attend(float *out, const float *cache, int64_t apart,
                               float *weights, const float *qkv, int64_t rows,
                               int64_t t, int64_t c, int64_t heads, int64_t at,
                               int64_t length, float scale)
{
    asking a = {.q = qkv,
                .out = out,
                .weights = weights,
                .c = c,
                .d = c / heads,
                .length = length,
                .scale = scale};
    __m512i head[DEEP * SIDE / BLOCK];

    for (int64_t k = 0; k < a.d * SIDE; k += BLOCK) {
        head[k / BLOCK] = heads_of(k, a.d);
    }
    for (int64_t i = 0; i < rows * t; i++, a.q += 3 * c, a.out += c) {
        a.keys = cache + i / t * apart;
        a.values = a.keys + c * length;
        a.n = at + i % t + 1;
        for (int64_t first = 0; first < heads; first += SIDE) {
            __m512 most[SIDE];

            IL_UNROLL
            for (int h = 0; h < SIDE; h++) {
                a.at[h] = least(first + h, heads - 1) * a.d;
            }
            score(&a, most);
            mix_all(&a, head, weigh(&a, most));
        }
    }
}

#else

bool il_cache_suits(int64_t c, int64_t heads, int64_t length)
{
    (void)c;
    (void)heads;
    (void)length;
    return false;
}

void il_cache_write(float *cache, const float *qkv, int64_t t, int64_t c, int64_t at,
                    int64_t length)
{
    (void)cache;
    (void)qkv;
    (void)t;
    (void)c;
    (void)at;
    (void)length;
}

void il_cache_attend(float *out, const float *cache, int64_t apart, float *weights,
                     const float *qkv, int64_t rows, int64_t t, int64_t c,
                     int64_t heads, int64_t at, int64_t length, float scale)
{
    (void)out;
    (void)cache;
    (void)apart;
    (void)weights;
    (void)qkv;
    (void)rows;
    (void)t;
    (void)c;
    (void)heads;
    (void)at;
    (void)length;
    (void)scale;
}

#endif
