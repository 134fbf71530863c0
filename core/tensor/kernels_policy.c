/* What a policy's logits say by row: their entropy, and how far they are from a
 * reference's. The logarithm of a probability is (x - max) - log sum exp(x - max), in
 * that order, so that the size of the logits costs it no digits; both parts are kept
 * as a row's scale. */
#include "tensor/kernels.h"
#include "tensor/kernels_lanes.h"
#include "tensor/kernels_sum_exp.h"

enum { TERMS = 32 * LANES }; /* whole lanes, so the order is that of one row */

/* p x, without the 0 times infinity of a logit that is -inf. */
IL_INLINE float times(float p, float x)
{
    return p == 0.0f ? 0.0f : p * x;
}

IL_INLINE void row_scale(float scale[2], const float *x, int64_t w)
{
    scale[0] = row_max(x, w);
    scale[1] = float_log(sum_exp(x, scale[0], w));
}

IL_INLINE float log_prob(float x, const float scale[2])
{
    return (x - scale[0]) - scale[1];
}

IL_CLONES
void il_k_entropy_rows(float *y, float *scale, const float *x, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = x + r * w;
        float own[2];
        float lanes[LANES] = {0};
        float terms[TERMS];

        row_scale(own, in, w);
        for (int64_t start = 0; start < w; start += TERMS) {
            const int64_t n = w - start < TERMS ? w - start : TERMS;

            for (int64_t j = 0; j < n; j++) {
                float l = log_prob(in[start + j], own);

                terms[j] = times(float_exp(l), -l);
            }
            LANES_ADD(lanes, n, j, terms[j]);
        }
        y[r] = lanes_sum(lanes);
        scale[2 * r] = own[0];
        scale[2 * r + 1] = own[1];
    }
}

IL_CLONES
void il_k_entropy_backward(float *dx, const float *dy, const float *y,
                           const float *scale, const float *x, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        float *out = dx + r * w;
        const float *in = x + r * w;
        const float own[2] = {scale[2 * r], scale[2 * r + 1]};
        const float d = dy[r];
        const float h = y[r];

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float l = log_prob(in[j], own);

            out[j] += d * times(float_exp(l), -l - h);
        }
    }
}

IL_CLONES
void il_k_kl_rows(float *y, float *scale, const float *x, const float *ref,
                  int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = x + r * w;
        const float *base = ref + r * w;
        float own[2];
        float other[2];
        float lanes[LANES] = {0};
        float terms[TERMS];

        row_scale(own, in, w);
        row_scale(other, base, w);
        for (int64_t start = 0; start < w; start += TERMS) {
            const int64_t n = w - start < TERMS ? w - start : TERMS;

            for (int64_t j = 0; j < n; j++) {
                float l = log_prob(in[start + j], own);

                terms[j] = times(float_exp(l), l - log_prob(base[start + j], other));
            }
            LANES_ADD(lanes, n, j, terms[j]);
        }
        y[r] = lanes_sum(lanes);
        scale[4 * r] = own[0];
        scale[4 * r + 1] = own[1];
        scale[4 * r + 2] = other[0];
        scale[4 * r + 3] = other[1];
    }
}

IL_CLONES
void il_k_kl_backward(float *dx, const float *dy, const float *y, const float *scale,
                      const float *x, const float *ref, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        float *out = dx + r * w;
        const float *in = x + r * w;
        const float *base = ref + r * w;
        const float own[2] = {scale[4 * r], scale[4 * r + 1]};
        const float other[2] = {scale[4 * r + 2], scale[4 * r + 3]};
        const float d = dy[r];
        const float kl = y[r];

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float l = log_prob(in[j], own);

            out[j] += d * times(float_exp(l), l - log_prob(base[j], other) - kl);
        }
    }
}
