/* Attention of new positions to what a cache holds of the old ones. Keys lie in blocks
 * of 16 positions, channel by channel in each, so that scores of many positions are one
 * vector and a short text touches few lines; values lie position by position, so that a
 * head's sum is one. */
#include "tensor/kernels.h"
#include <string.h>
#include "tensor/kernels_sum_exp.h"

/* From LANES - i on: nothing to the first i numbers, -inf to the others. */
static const float beyond[2 * LANES] = {
    [LANES] = -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
    -INFINITY,           -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY,
    -INFINITY,           -INFINITY, -INFINITY, -INFINITY};

/* Positions of the block that begins at j. */
IL_INLINE int64_t block_width(int64_t j, int64_t length)
{
    return length - j < LANES ? length - j : LANES;
}

/* scores[j] = sum q[k] keys[k][j], k ascending, for a block of `wide` positions, `n` of
 * which are there; -inf for the others. A vector may reach past a narrow block: what
 * lies there is the cache's too. */
IL_INLINE void score_block(float *scores, const float *q, const float *keys, int64_t d,
                           int64_t n, int64_t wide)
{
    floats16 sum = {0};

    for (int64_t k = 0; k < d; k++) {
        sum += q[k] * *(const floats16 *)(keys + k * wide);
    }
    if (n < LANES) {
        sum += *(const floats16 *)(beyond + LANES - n);
    }
    *(floats16 *)scores = sum;
}

/* The same one by one: where a whole cache is smaller than a vector. */
IL_INLINE void score_few(float *scores, const float *q, const float *keys, int64_t d,
                         int64_t n, int64_t wide)
{
    for (int64_t j = 0; j < LANES; j++) {
        float sum = 0.0f;

        for (int64_t k = 0; k < d && j < n; k++) {
            sum += q[k] * keys[k * wide + j];
        }
        scores[j] = j < n ? sum : -INFINITY;
    }
}

/* Scores of the n positions that the keys of channels [first, first+d) are of. */
IL_INLINE void score(float *scores, const float *q, const float *keys, int64_t first,
                     int64_t d, int64_t c, int64_t n, int64_t length)
{
    if (c * length < LANES) {
        score_few(scores, q, keys + first * length, d, n, length);
        return;
    }
    for (int64_t j = 0; j < n; j += LANES) {
        const int64_t wide = block_width(j, length);

        score_block(scores + j, q, keys + j * c + first * wide, d, n - j, wide);
    }
}

/* out[k] = sum p[j] values[j][k], j ascending, from `k` on as far below d as blocks of
 * this width go. */
#define GATHER(type, out, p, values, k, d, n, c)                                       \
    for (; (k) + (int64_t)(sizeof(type) / sizeof(float)) <= (d);                       \
         (k) += (int64_t)(sizeof(type) / sizeof(float))) {                             \
        type sum_ = {0};                                                               \
                                                                                       \
        for (int64_t j_ = 0; j_ < (n); j_++) {                                         \
            sum_ += (p)[j_] * *(const type *)((values) + j_ * (c) + (k));              \
        }                                                                              \
        *(type *)((out) + (k)) = sum_;                                                 \
    }

IL_INLINE void gather(float *out, const float *p, const float *values, int64_t d,
                      int64_t n, int64_t c)
{
    int64_t k = 0;

    GATHER(floats16, out, p, values, k, d, n, c)
    GATHER(floats8, out, p, values, k, d, n, c)
    GATHER(floats4, out, p, values, k, d, n, c)
    for (; k < d; k++) {
        float sum = 0.0f;

        for (int64_t j = 0; j < n; j++) {
            sum += p[j] * values[j * c + k];
        }
        out[k] = sum;
    }
}

/* All of gather at once for heads a little narrower than a vector: each takes in some
 * of its neighbour's columns, which the neighbour writes after it. The last, where
 * nothing follows, takes some of the one before, and keeps them to itself. */
IL_INLINE void gather_narrow(float *out, const float *p, int64_t apart,
                             const float *values, int64_t d, int64_t heads, int64_t n)
{
    const int64_t c = heads * d;

    for (int64_t h = 0; h < heads; h++) {
        const int64_t from = h * d + LANES <= c ? h * d : c - LANES;
        const float *v = values + from;
        const float *weight = p + h * apart;
        floats16 sum = {0};

        for (int64_t j = 0; j < n; j++) {
            sum += weight[j] * *(const floats16 *)(v + j * c);
        }
        if (from == h * d) {
            *(floats16 *)(out + from) = sum;
        } else {
            float lanes[LANES];

            *(floats16 *)lanes = sum;
            for (int64_t k = 0; k < d; k++) {
                out[h * d + k] = lanes[h * d - from + k];
            }
        }
    }
}

/* Keys and values of position `at` go to their places. */
IL_INLINE void put(float *cache, const float *k, const float *v, int64_t c, int64_t at,
                   int64_t length)
{
    const int64_t block = at / LANES * LANES;
    const int64_t wide = block_width(block, length);
    float *key = cache + block * c + (at - block);

    for (int64_t j = 0; j < c; j++) {
        key[j * wide] = k[j];
    }
    memcpy(cache + c * length + at * c, v, (size_t)c * sizeof *v);
}

void il_k_cache_write(float *cache, const float *qkv, int64_t t, int64_t c, int64_t at,
                      int64_t length)
{
    for (int64_t i = 0; i < t; i++) {
        const float *k = qkv + i * 3 * c + c;

        put(cache, k, k + c, c, at + i, length);
    }
}

void il_k_cache_put(float *cache, const float *k, const float *v, int64_t t, int64_t c,
                    int64_t at, int64_t length)
{
    for (int64_t i = 0; i < t; i++) {
        put(cache, k + i * c, v + i * c, c, at + i, length);
    }
}

IL_CLONES
void il_k_cached_attention(float *out, const float *cache, float *scores,
                           const float *qkv, int64_t t, int64_t c, int64_t heads,
                           int64_t at, int64_t length, float scale)
{
    const int64_t d = c / heads;
    const float *keys = cache;
    const float *values = cache + c * length;

    for (int64_t i = 0; i < t; i++) {
        const int64_t n = at + i + 1;
        const int64_t wide = (n + LANES - 1) / LANES * LANES;

        /* Each step for all heads before the next: a head's own steps wait for each
         * other. */
        for (int64_t h = 0; h < heads; h++) {
            score(scores + h * wide, qkv + i * 3 * c + h * d, keys, h * d, d, c, n,
                  length);
        }
        for (int64_t h = 0; h < heads; h++) {
            softmax_row(scores + h * wide, scores + h * wide, scale, wide);
        }
        if (d > LANES / 2 && d < LANES && c >= LANES) {
            gather_narrow(out + i * c, scores, wide, values, d, heads, n);
            continue;
        }
        for (int64_t h = 0; h < heads; h++) {
            gather(out + i * c + h * d, scores + h * wide, values + h * d, d, n, c);
        }
    }
}

IL_CLONES
void il_k_cache_attend(float *out, const float *cache, float *scores, const float *q,
                       int64_t t, int64_t d, int64_t heads, int64_t groups, int64_t at,
                       int64_t length, int64_t window, float scale)
{
    const int64_t c = groups * d;
    const int64_t each = heads / groups;
    const float *values = cache + c * length;

    for (int64_t i = 0; i < t; i++) {
        const int64_t n = at + i + 1;
        const int64_t wide = (n + LANES - 1) / LANES * LANES;
        const int64_t low = window > 0 && n > window ? n - window : 0;

        for (int64_t h = 0; h < heads; h++) {
            score(scores + h * wide, q + (i * heads + h) * d, cache, h / each * d, d, c,
                  n, length);
            for (int64_t j = 0; j < low; j++) {
                scores[h * wide + j] = -INFINITY;
            }
        }
        for (int64_t h = 0; h < heads; h++) {
            softmax_row(scores + h * wide, scores + h * wide, scale, wide);
        }
        for (int64_t h = 0; h < heads; h++) {
            gather(out + (i * heads + h) * d, scores + h * wide + low,
                   values + low * c + h / each * d, d, n - low, c);
        }
    }
}
