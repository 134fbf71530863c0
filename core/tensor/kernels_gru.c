/* The gates of a GRU, forward and backward, for one position of every row. */
#include "tensor/kernels.h"
#include "tensor/kernels_math.h"

IL_CLONES
void il_k_gru_forward(float *h, float *gates, float *nh, const float *hidden,
                      const float *bias, const float *before, int64_t rows, int64_t w)
{
    const float *c = bias + 3 * w;

    for (int64_t i = 0; i < rows; i++) {
        float *out = h + i * w;
        float *r = gates + i * 3 * w;
        float *z = r + w;
        float *n = z + w;
        float *kept = nh + i * w;
        const float *u = hidden + i * 3 * w;
        const float *was = before + i * w;

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            r[j] = float_sigmoid(r[j] + u[j] + bias[j]);
            z[j] = float_sigmoid(z[j] + u[w + j] + bias[w + j]);
            kept[j] = u[2 * w + j] + c[j];
            n[j] = float_tanh(n[j] + bias[2 * w + j] + r[j] * kept[j]);
            out[j] = n[j] + z[j] * (was[j] - n[j]);
        }
    }
}

IL_CLONES
void il_k_gru_backward(float *dinput, float *dhidden, float *dh, const float *dy,
                       const float *gates, const float *nh, const float *before,
                       int64_t rows, int64_t w, int64_t apart)
{
    for (int64_t i = 0; i < rows; i++) {
        float *di = dinput + i * 3 * w;
        float *du = dhidden + i * 3 * w;
        float *d = dh + i * w;
        const float *arrived = dy + i * apart * w;
        const float *r = gates + i * 3 * w;
        const float *z = r + w;
        const float *n = z + w;
        const float *kept = nh + i * w;
        const float *was = before + i * w;

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float g = d[j] + arrived[j];
            float dn = g * (1.0f - z[j]) * (1.0f - n[j] * n[j]);
            float dr = dn * kept[j] * (r[j] * (1.0f - r[j]));
            float dz = g * (was[j] - n[j]) * (z[j] * (1.0f - z[j]));

            di[j] = dr;
            du[j] = dr;
            di[w + j] = dz;
            du[w + j] = dz;
            di[2 * w + j] = dn;
            du[2 * w + j] = dn * r[j];
            d[j] = g * z[j];
        }
    }
}
