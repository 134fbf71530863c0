/* The gates of a GRU, forward and backward, for one position of every row. */
#include "tensor/kernels.h"
#include "tensor/kernels_math.h"

/* 1 + exp(-x), for x within 43 of 0: past that a gate is shut or open but for 2e-19,
 * and the product of two of these still has an inverse. */
IL_INLINE float shut(float x)
{
    float a = x < -43.0f ? 43.0f : -x;
    int32_t n;
    float p;

    a = a < -43.0f ? -43.0f : a;
    p = 1.0f + float_reduce(a, -0.0f, &n);
    return 1.0f + p * float_power_of_two(n);
}

/* Both gates' sigmoids from one division, which is what takes longest. */
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

        /* Two loops, for each is a chain of sums in which one waits for the other: of
         * short chains more are under way at once. */
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float r_shut = shut(r[j] + u[j] + bias[j]);
            float z_shut = shut(z[j] + u[w + j] + bias[w + j]);
            float both = 1.0f / (r_shut * z_shut);

            r[j] = z_shut * both;
            z[j] = r_shut * both;
        }
        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float product = u[2 * w + j] + c[j];
            float candidate = float_tanh(n[j] + bias[2 * w + j] + r[j] * product);

            kept[j] = product;
            n[j] = candidate;
            out[j] = candidate + z[j] * (was[j] - candidate);
        }
    }
}

IL_CLONES
void il_k_gru_backward(float *dinput, float *dhidden, float *dh, const float *dy,
                       const float *gates, const float *nh, const float *before,
                       int64_t rows, int64_t w, int64_t apart)
{
    for (int64_t i = 0; i < rows; i++) {
        int64_t one = i * w;
        int64_t three = 3 * one;
        int64_t far = apart * one;

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            float r = gates[three + j];
            float z = gates[three + w + j];
            float n = gates[three + 2 * w + j];
            float g = dh[one + j] + dy[far + j];
            float dn = g * (1.0f - z) * (1.0f - n * n);
            float dr = dn * nh[one + j] * (r * (1.0f - r));
            float dz = g * (before[one + j] - n) * (z * (1.0f - z));

            dinput[three + j] = dr;
            dhidden[three + j] = dr;
            dinput[three + w + j] = dz;
            dhidden[three + w + j] = dz;
            dinput[three + 2 * w + j] = dn;
            dhidden[three + 2 * w + j] = dn * r;
            dh[one + j] = g * z;
        }
    }
}
