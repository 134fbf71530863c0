/* Layer norm and RMS norm. */
#include "tensor/kernels.h"
#include "tensor/kernels_columns.h"
#include "tensor/kernels_lanes.h"

/* y[j] = (x[j] - mean) rstd gain[j] + bias[j] */
IL_INLINE void norm_row(float *y, const float *x, float mean, float rstd,
                        const float *gain, const float *bias, int64_t w)
{
    if (gain != NULL && bias != NULL) {
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            y[j] = (x[j] - mean) * rstd * gain[j] + bias[j];
        }
    } else if (gain != NULL) {
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            y[j] = (x[j] - mean) * rstd * gain[j];
        }
    } else if (bias != NULL) {
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            y[j] = (x[j] - mean) * rstd + bias[j];
        }
    } else {
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            y[j] = (x[j] - mean) * rstd;
        }
    }
}

/* dx[j] (+=) rstd (g - mean(g) - h mean(g h)); RMS norm has no mean(g) and a mean of
 * zero. */
IL_INLINE void norm_row_backward(float *dx, const float *dy, const float *x, float mean,
                                 float rstd, const float *gain, int64_t w,
                                 bool centered)
{
    float g_lanes[LANES] = {0};
    float gh_lanes[LANES] = {0};
    float g_mean;
    float gh_mean;

    if (gain != NULL) {
        if (centered) {
            LANES_ADD(g_lanes, w, j, dy[j] * gain[j]);
        }
        LANES_ADD(gh_lanes, w, j, dy[j] * gain[j] * ((x[j] - mean) * rstd));
    } else {
        if (centered) {
            LANES_ADD(g_lanes, w, j, dy[j]);
        }
        LANES_ADD(gh_lanes, w, j, dy[j] * ((x[j] - mean) * rstd));
    }
    g_mean = lanes_sum(g_lanes) / (float)w;
    gh_mean = lanes_sum(gh_lanes) / (float)w;
    if (gain != NULL) {
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float h = (x[j] - mean) * rstd;

            dx[j] += rstd * (dy[j] * gain[j] - g_mean - h * gh_mean);
        }
    } else {
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float h = (x[j] - mean) * rstd;

            dx[j] += rstd * (dy[j] - g_mean - h * gh_mean);
        }
    }
}

IL_CLONES
void il_k_layer_norm_forward(float *y, float *mean, float *rstd, const float *x,
                             const float *gain, const float *bias, int64_t rows,
                             int64_t w, float eps)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = x + r * w;
        float lanes[LANES] = {0};
        float m = row_sum(in, w) / (float)w;

        LANES_ADD(lanes, w, j, (in[j] - m) * (in[j] - m));
        mean[r] = m;
        rstd[r] = 1.0f / sqrtf(lanes_sum(lanes) / (float)w + eps);
        norm_row(y + r * w, in, m, rstd[r], gain, bias, w);
    }
}

IL_CLONES
void il_k_layer_norm_backward(float *dx, float *dgain, float *dbias, const float *dy,
                              const float *x, const float *mean, const float *rstd,
                              const float *gain, int64_t rows, int64_t w)
{
    if (dx != NULL) {
        for (int64_t r = 0; r < rows; r++) {
            norm_row_backward(dx + r * w, dy + r * w, x + r * w, mean[r], rstd[r], gain,
                              w, true);
        }
    }
    if (dgain != NULL) {
        COLUMNS_ADD(dgain, 1.0f, rows, w, r, j,
                    dy[r * w + j] * ((x[r * w + j] - mean[r]) * rstd[r]))
    }
    if (dbias != NULL) {
        il_k_col_sum(dbias, dy, rows, w);
    }
}

IL_CLONES
void il_k_rms_norm_forward(float *y, float *rstd, const float *x, const float *gain,
                           int64_t rows, int64_t w, float eps)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *in = x + r * w;

        rstd[r] = 1.0f / sqrtf(row_dot(in, in, w) / (float)w + eps);
        norm_row(y + r * w, in, 0.0f, rstd[r], gain, NULL, w);
    }
}

IL_CLONES
void il_k_rms_norm_backward(float *dx, float *dgain, const float *dy, const float *x,
                            const float *rstd, const float *gain, int64_t rows,
                            int64_t w)
{
    if (dx != NULL) {
        for (int64_t r = 0; r < rows; r++) {
            norm_row_backward(dx + r * w, dy + r * w, x + r * w, 0.0f, rstd[r], gain, w,
                              false);
        }
    }
    if (dgain != NULL) {
        COLUMNS_ADD(dgain, 1.0f, rows, w, r, j,
                    dy[r * w + j] * (x[r * w + j] * rstd[r]))
    }
}
