/* Softmax over rows, whole or up to the diagonal, and its logarithm. */
#include "tensor/kernels.h"
#include "tensor/kernels_lanes.h"
#include "tensor/kernels_sum_exp.h"

IL_CLONES
void il_k_softmax_rows(float *y, const float *x, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        softmax_row(y + r * w, x + r * w, 1.0f, w);
    }
}

IL_CLONES
void il_k_softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                           int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        float *out = dx + r * w;
        const float *d = dy + r * w;
        const float *p = y + r * w;
        float sum = row_dot(d, p, w);

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            out[j] += p[j] * (d[j] - sum);
        }
    }
}

IL_CLONES
void il_k_log_softmax_rows(float *y, const float *x, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        float *out = y + r * w;
        const float *in = x + r * w;
        float max = row_max(in, w);
        float log_sum = float_log(sum_exp(in, max, w));

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            out[j] = in[j] - max - log_sum;
        }
    }
}

IL_CLONES
void il_k_log_softmax_backward(float *dx, const float *dy, const float *y, int64_t rows,
                               int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        float *out = dx + r * w;
        const float *d = dy + r * w;
        const float *log_p = y + r * w;
        float sum = row_sum(d, w);

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            out[j] += d[j] - float_exp(log_p[j]) * sum;
        }
    }
}

IL_CLONES
void il_k_causal_softmax(float *p, int64_t t, float scale)
{
    for (int64_t i = 0; i < t; i++) {
        float *row = p + i * t;

        softmax_row(row, row, scale, i + 1);
        for (int64_t j = i + 1; j < t; j++) {
            row[j] = 0.0f;
        }
    }
}

IL_CLONES
void il_k_causal_softmax_backward(float *dp, const float *p, int64_t t, float scale)
{
    for (int64_t i = 0; i < t; i++) {
        float *d = dp + i * t;
        const float *row = p + i * t;
        float sum = row_dot(d, row, i + 1);

        IL_VECTOR
        for (int64_t j = 0; j <= i; j++) {
            d[j] = scale * (row[j] * (d[j] - sum));
        }
        for (int64_t j = i + 1; j < t; j++) {
            d[j] = 0.0f;
        }
    }
}
