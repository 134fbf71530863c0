/* The functions of kernels_math.h over arrays. */
#include "tensor/kernels.h"
#include "tensor/kernels_math.h"

IL_CLONES
void il_k_exp(float *y, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] = float_exp(x[i]);
    }
}

IL_CLONES
void il_k_log(float *y, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] = float_log(x[i]);
    }
}

IL_CLONES
void il_k_tanh(float *y, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] = float_tanh(x[i]);
    }
}

IL_CLONES
void il_k_sigmoid(float *y, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] = float_sigmoid(x[i]);
    }
}

IL_CLONES
void il_k_softplus(float *y, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        y[i] = float_softplus(x[i]);
    }
}

IL_CLONES
void il_k_normal_cdf(float *y, const float *x, int64_t n)
{
    IL_VECTOR
    for (int64_t i = 0; i < n; i++) {
        float density;

        y[i] = float_normal(x[i], &density);
    }
}
