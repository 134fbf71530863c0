/* Softmax over rows, whole or up to the diagonal, and its logarithm. */
#include "tensor/kernels.h"
#include "tensor/kernels_lanes.h"
#include "tensor/kernels_narrow.h"
#include "tensor/kernels_sum_exp.h"

IL_CLONES
void il_k_softmax_rows(float *y, const float *x, int64_t rows, int64_t w)
{
    for (int64_t r = 0; w <= LANES && r < rows; r += LANES) {
        const int64_t n = narrow_rows(rows - r);
        float max[LANES];
        float sum[LANES];
        narrow t;

        narrow_load(&t, x + r * w, n, w);
        narrow_softmax(&t, max, sum, w);
        narrow_store(y + r * w, &t, n, w);
    }
    if (w <= LANES) {
        return;
    }
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
    for (int64_t r = 0; w <= LANES && r < rows; r += LANES) {
        const int64_t n = narrow_rows(rows - r);
        float max[LANES];
        float log_sum[LANES];
        narrow t;

        narrow_load(&t, x + r * w, n, w);
        narrow_scale(max, log_sum, &t, w);
        for (int64_t j = 0; j < w; j++) {
            for (int i = 0; i < LANES; i++) {
                t.at[j][i] = t.at[j][i] - max[i] - log_sum[i];
            }
        }
        narrow_store(y + r * w, &t, n, w);
    }
    if (w <= LANES) {
        return;
    }
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

/* The first `n` of a row of t, filled up to whole vectors: with a rest of up to fifteen
 * numbers one by one, short rows would take twice the time. */
IL_INLINE int64_t whole_vectors(int64_t n, int64_t t)
{
    int64_t filled = (n + LANES - 1) / LANES * LANES;

    return filled < t ? filled : t;
}

IL_CLONES
void il_k_causal_softmax(float *p, int64_t t, float scale)
{
    for (int64_t i = 0; i < t; i++) {
        float *row = p + i * t;
        int64_t filled = whole_vectors(i + 1, t);

        for (int64_t j = i + 1; j < filled; j++) {
            row[j] = -INFINITY;
        }
        softmax_row(row, row, scale, filled);
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
        int64_t filled = whole_vectors(i + 1, t);
        float sum;

        for (int64_t j = i + 1; j < filled; j++) {
            d[j] = 0.0f;
        }
        sum = row_dot(d, row, filled);
        IL_VECTOR
        for (int64_t j = 0; j < filled; j++) {
            d[j] = scale * (row[j] * (d[j] - sum));
        }
        for (int64_t j = i + 1; j < t; j++) {
            d[j] = 0.0f; /* not minus zero, nor NaN */
        }
    }
}

/* The first key that query i sees. */
IL_INLINE int64_t first_key(int64_t i, int64_t window)
{
    return window > 0 && i + 1 > window ? i + 1 - window : 0;
}

IL_CLONES
void il_k_band_softmax(float *p, int64_t t, int64_t from, int64_t to, int64_t window,
                       float scale)
{
    const int64_t begin = first_key(from, window);

    for (int64_t i = from; i < to; i++) {
        float *row = p + (i - from) * t;
        const int64_t low = first_key(i, window);
        const int64_t filled = whole_vectors(i + 1 - low, to - low);

        for (int64_t j = i + 1; j < low + filled; j++) {
            row[j] = -INFINITY;
        }
        softmax_row(row + low, row + low, scale, filled);
        for (int64_t j = begin; j < low; j++) {
            row[j] = 0.0f;
        }
        for (int64_t j = i + 1; j < to; j++) {
            row[j] = 0.0f;
        }
    }
}

IL_CLONES
void il_k_band_softmax_backward(float *dp, const float *p, int64_t t, int64_t from,
                                int64_t to, int64_t window, float scale)
{
    const int64_t begin = first_key(from, window);

    for (int64_t i = from; i < to; i++) {
        float *d = dp + (i - from) * t;
        const float *row = p + (i - from) * t;
        const int64_t low = first_key(i, window);
        const float sum = row_dot(d + low, row + low, i + 1 - low);

        for (int64_t j = begin; j < low; j++) {
            d[j] = 0.0f;
        }
        IL_VECTOR
        for (int64_t j = low; j <= i; j++) {
            d[j] = scale * (row[j] * (d[j] - sum));
        }
        for (int64_t j = i + 1; j < to; j++) {
            d[j] = 0.0f;
        }
    }
}
