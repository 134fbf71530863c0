/* Attention of new positions to what a cache holds of the old ones. Keys lie channel by
 * channel, so that scores of many positions are one vector; values position by
 * position, so that a head's sum is one. */
#include "tensor/kernels.h"
#include "tensor/kernels_sum_exp.h"

enum { BLOCK = 4 * LANES };

/* scores[j] = sum q[k] keys[k][j], k ascending, for j below n. */
IL_INLINE void score(float *scores, const float *q, const float *keys, int64_t d,
                     int64_t n, int64_t length)
{
    int64_t j = 0;

    for (; j + BLOCK <= n; j += BLOCK) {
        float sum[BLOCK] = {0};

        for (int64_t k = 0; k < d; k++) {
            const float *key = keys + k * length + j;

            for (int i = 0; i < BLOCK; i++) {
                sum[i] += q[k] * key[i];
            }
        }
        for (int i = 0; i < BLOCK; i++) {
            scores[j + i] = sum[i];
        }
    }
    for (int64_t i = j; i < n; i++) {
        scores[i] = 0.0f;
    }
    for (int64_t k = 0; k < d; k++) {
        const float *key = keys + k * length;

        IL_VECTOR
        for (int64_t i = j; i < n; i++) {
            scores[i] += q[k] * key[i];
        }
    }
}

/* out[k] = sum p[j] values[j][k], j ascending, for k below d. */
IL_INLINE void gather(float *out, const float *p, const float *values, int64_t d,
                      int64_t n, int64_t c)
{
    int64_t k = 0;

    for (; k + LANES <= d; k += LANES) {
        float sum[LANES] = {0};

        for (int64_t j = 0; j < n; j++) {
            const float *value = values + j * c + k;

            for (int i = 0; i < LANES; i++) {
                sum[i] += p[j] * value[i];
            }
        }
        for (int i = 0; i < LANES; i++) {
            out[k + i] = sum[i];
        }
    }
    for (int64_t i = k; i < d; i++) {
        out[i] = 0.0f;
    }
    for (int64_t j = 0; k < d && j < n; j++) {
        const float *value = values + j * c;

        for (int64_t i = k; i < d; i++) {
            out[i] += p[j] * value[i];
        }
    }
}

IL_CLONES
void il_k_cached_attention(float *out, float *cache, float *scores, const float *qkv,
                           int64_t t, int64_t c, int64_t heads, int64_t at,
                           int64_t length, float scale)
{
    const int64_t d = c / heads;
    float *keys = cache;
    float *values = cache + c * length;

    for (int64_t i = 0; i < t; i++) {
        const float *k = qkv + i * 3 * c + c;

        for (int64_t j = 0; j < c; j++) {
            keys[j * length + at + i] = k[j];
            values[(at + i) * c + j] = k[c + j];
        }
    }
    for (int64_t i = 0; i < t; i++) {
        const int64_t n = at + i + 1;

        for (int64_t h = 0; h < heads; h++) {
            score(scores, qkv + i * 3 * c + h * d, keys + h * d * length, d, n, length);
            softmax_row(scores, scores, scale, n);
            gather(out + i * c + h * d, scores, values + h * d, d, n, c);
        }
    }
}
