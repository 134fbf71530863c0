/* What a policy's logits say by row: their entropy, and how far they are from a
 * reference's. The logarithm of a probability is (x - max) - log sum exp(x - max), in
 * that order, so that the size of the logits costs it no digits; both parts are kept
 * as a row's scale. */
#include "tensor/kernels.h"
#include "tensor/kernels_lanes.h"
#include "tensor/kernels_narrow.h"
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

/* Up to LANES rows of up to LANES logits; with `ref` their divergence, else entropy. */
IL_INLINE void narrow_policy(float *y, float *scale, const float *x, const float *ref,
                             int64_t rows, int64_t w)
{
    const int64_t kept = ref != NULL ? 4 : 2;
    float own[2][LANES];
    float other[2][LANES] = {{0}};
    float sum[LANES];
    narrow t;
    narrow q;

    narrow_load(&t, x, rows, w);
    narrow_scale(own[0], own[1], &t, w);
    if (ref != NULL) {
        narrow_load(&q, ref, rows, w);
        narrow_scale(other[0], other[1], &q, w);
    }
    for (int64_t j = 0; j < w; j++) {
        for (int r = 0; r < LANES; r++) {
            float l = (t.at[j][r] - own[0][r]) - own[1][r];
            float term =
                ref != NULL ? l - ((q.at[j][r] - other[0][r]) - other[1][r]) : -l;

            t.at[j][r] = times(float_exp(l), term);
        }
    }
    narrow_sum(sum, &t, w);
    for (int64_t r = 0; r < rows; r++) {
        y[r] = sum[r];
        for (int64_t i = 0; i < kept; i++) {
            scale[kept * r + i] = i < 2 ? own[i][r] : other[i - 2][r];
        }
    }
}

/* dx (+=) dy p (term - y), for the same rows. */
IL_INLINE void narrow_policy_backward(float *dx, const float *dy, const float *y,
                                      const float *scale, const float *x,
                                      const float *ref, int64_t rows, int64_t w)
{
    const int64_t kept = ref != NULL ? 4 : 2;
    float s[4][LANES] = {{0}};
    float d[LANES] = {0};
    float mean[LANES] = {0};
    narrow t;
    narrow q;

    for (int64_t r = 0; r < rows; r++) {
        d[r] = dy[r];
        mean[r] = y[r];
        for (int64_t i = 0; i < kept; i++) {
            s[i][r] = scale[kept * r + i];
        }
    }
    narrow_load(&t, x, rows, w);
    if (ref != NULL) {
        narrow_load(&q, ref, rows, w);
    }
    for (int64_t j = 0; j < w; j++) {
        for (int r = 0; r < LANES; r++) {
            float l = (t.at[j][r] - s[0][r]) - s[1][r];
            float term = ref != NULL ? l - ((q.at[j][r] - s[2][r]) - s[3][r]) : -l;

            t.at[j][r] = d[r] * times(float_exp(l), term - mean[r]);
        }
    }
    narrow_add(dx, &t, rows, w);
}

IL_CLONES
void il_k_entropy_rows(float *y, float *scale, const float *x, int64_t rows, int64_t w)
{
    for (int64_t r = 0; w <= LANES && r < rows; r += LANES) {
        narrow_policy(y + r, scale + 2 * r, x + r * w, NULL, narrow_rows(rows - r), w);
    }
    if (w <= LANES) {
        return;
    }
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
    for (int64_t r = 0; w <= LANES && r < rows; r += LANES) {
        narrow_policy_backward(dx + r * w, dy + r, y + r, scale + 2 * r, x + r * w,
                               NULL, narrow_rows(rows - r), w);
    }
    if (w <= LANES) {
        return;
    }
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
    for (int64_t r = 0; w <= LANES && r < rows; r += LANES) {
        narrow_policy(y + r, scale + 4 * r, x + r * w, ref + r * w,
                      narrow_rows(rows - r), w);
    }
    if (w <= LANES) {
        return;
    }
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
    for (int64_t r = 0; w <= LANES && r < rows; r += LANES) {
        narrow_policy_backward(dx + r * w, dy + r, y + r, scale + 4 * r, x + r * w,
                               ref + r * w, narrow_rows(rows - r), w);
    }
    if (w <= LANES) {
        return;
    }
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
