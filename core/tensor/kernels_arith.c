/* Arithmetic on rows. A second operand of one number is taken out of the loop, since a
 * row of one element would leave nothing to make vectors of. */
#include "tensor/kernels.h"
#include "base/compiler.h"
#include <string.h>

IL_CLONES
void il_k_bias_rows(float *y, const float *b, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < w; j++) {
            y[r * w + j] = b != NULL ? b[j] : 0.0f;
        }
    }
}

#define ROWS(name, operation)                                                          \
    IL_CLONES                                                                          \
    void name(float *y, const float *a, const float *b, int64_t rows, int64_t w)       \
    {                                                                                  \
        if (w == 1) {                                                                  \
            float other = rows > 0 ? b[0] : 0.0f;                                      \
                                                                                       \
            IL_VECTOR                                                                  \
            for (int64_t i = 0; i < rows; i++) {                                       \
                y[i] operation(a[i], other);                                           \
            }                                                                          \
            return;                                                                    \
        }                                                                              \
        for (int64_t r = 0; r < rows; r++) {                                           \
            float *out = y + r * w;                                                    \
            const float *in = a + r * w;                                               \
                                                                                       \
            IL_VECTOR                                                                  \
            for (int64_t j = 0; j < w; j++) {                                          \
                out[j] operation(in[j], b[j]);                                         \
            }                                                                          \
        }                                                                              \
    }

#define SET_SUM(p, q)        = (p) + (q)
#define SET_DIFFERENCE(p, q) = (p) - (q)
#define SET_PRODUCT(p, q)    = (p) * (q)
#define ADD_PRODUCT(p, q)    += (p) * (q)

ROWS(il_k_add, SET_SUM)
ROWS(il_k_sub, SET_DIFFERENCE)
ROWS(il_k_mul, SET_PRODUCT)
ROWS(il_k_mul_add, ADD_PRODUCT)

IL_CLONES
void il_k_axpy(float *y, float alpha, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] += alpha * x[i];
    }
}

IL_CLONES
void il_k_axpy_double(double *y, double alpha, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] += alpha * (double)x[i];
    }
}

IL_CLONES
void il_k_affine(float *y, const float *x, float scale, float shift, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] = scale * x[i] + shift;
    }
}

void il_k_gather_rows(float *y, const float *x, const int32_t *rows, int64_t count,
                      int64_t w)
{
    for (int64_t i = 0; i < count && w > 0; i++) {
        memcpy(y + i * w, x + rows[i] * w, (size_t)w * sizeof *y);
    }
}

IL_CLONES
void il_k_scatter_rows(float *dx, const float *dy, const int32_t *rows, int64_t count,
                       int64_t w)
{
    for (int64_t i = 0; i < count; i++) {
        float *to = dx + rows[i] * w;
        const float *from = dy + i * w;

        IL_VECTOR
        for (int64_t j = 0; j < w; j++) {
            to[j] += from[j];
        }
    }
}
