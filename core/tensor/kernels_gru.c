/* The gates of a GRU, forward and backward, for one position of every row. */
#include "tensor/kernels.h"
#include "tensor/kernels_math.h"

IL_CLONES
void il_k_gru_forward(float *h, float *gates, float *nh, const float *hidden,
                      const float *before, int64_t rows, int64_t w, int64_t apart,
                      int64_t before_apart)
{
    for (int64_t i = 0; i < rows; i++) {
        float *out = h + i * apart * w;
        float *r = gates + i * apart * 3 * w;
        float *z = r + w;
        float *n = z + w;
        float *kept = nh + i * apart * w;
        const float *u = hidden + i * 3 * w;
        const float *was = before != NULL ? before + i * before_apart * w : NULL;

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            r[j] = float_sigmoid(r[j] + u[j]);
            z[j] = float_sigmoid(z[j] + u[w + j]);
            kept[j] = u[2 * w + j];
            n[j] = float_tanh(n[j] + r[j] * kept[j]);
        }
        if (was == NULL) {
            for (int64_t j = 0; j < w; j++) {
                out[j] = n[j] + z[j] * (0.0f - n[j]);
            }
            continue;
        }
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            out[j] = n[j] + z[j] * (was[j] - n[j]);
        }
    }
}

IL_CLONES
void il_k_gru_backward(float *dinput, float *dhidden, float *dh, const float *dy,
                       const float *gates, const float *nh, const float *before,
                       int64_t rows, int64_t w, int64_t apart, int64_t before_apart)
{
    for (int64_t i = 0; i < rows; i++) {
        float *di = dinput + i * apart * 3 * w;
        float *du = dhidden + i * apart * 3 * w;
        float *d = dh + i * w;
        const float *arrived = dy + i * apart * w;
        const float *r = gates + i * apart * 3 * w;
        const float *z = r + w;
        const float *n = z + w;
        const float *kept = nh + i * apart * w;
        const float *was = before != NULL ? before + i * before_apart * w : NULL;

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float g = d[j] + arrived[j];
            float at = was != NULL ? was[j] : 0.0f;
            float dn = g * (1.0f - z[j]) * (1.0f - n[j] * n[j]);

            di[j] = dn * kept[j] * (r[j] * (1.0f - r[j]));
            di[w + j] = g * (at - n[j]) * (z[j] * (1.0f - z[j]));
            di[2 * w + j] = dn;
            du[j] = di[j];
            du[w + j] = di[w + j];
            du[2 * w + j] = dn * r[j];
            d[j] = g * z[j];
        }
    }
}
