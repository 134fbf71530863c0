/* Activations and their derivatives. */
#include "tensor/kernels.h"
#include "tensor/kernels_math.h"

/* Both GELUs are 0 in floats left of here, and x right of its mirror image; beyond it
 * an infinite x would meet a zero. */
#define GELU_END 15.0f

/* sqrt(2 / pi) (x + 0.044715 x^3), the argument of the tanh form, and its slope. */
#define GELU_SCALE 0.797884561f
#define GELU_CUBE  0.044715f

IL_INLINE float gelu_clamp(float x)
{
    x = x < -GELU_END ? -GELU_END : x;
    return x > GELU_END ? GELU_END : x;
}

/* Left of here the sigmoid is 0 in floats; an infinite x would meet it. */
IL_INLINE float silu_clamp(float x)
{
    return x < -104.0f ? -104.0f : x;
}

/* With `act` a constant one case is left. */
IL_INLINE float act_value(il_act act, float x)
{
    float density;

    switch (act) {
    case IL_ACT_RELU:
        return x <= 0.0f ? 0.0f : x;
    case IL_ACT_TANH:
        return float_tanh(x);
    case IL_ACT_SIGMOID:
        return float_sigmoid(x);
    case IL_ACT_GELU:
        return (x < -GELU_END ? -GELU_END : x) * float_normal(x, &density);
    case IL_ACT_GELU_TANH:
        /* (1 + tanh u) / 2 is the sigmoid of 2 u, which keeps its digits in the left
         * tail, and is 0 or 1 long before the cube becomes infinite */
        return (x < -GELU_END ? -GELU_END : x) *
               float_sigmoid(2.0f * GELU_SCALE * (x + GELU_CUBE * (x * x * x)));
    case IL_ACT_SOFTPLUS:
        return float_softplus(x);
    case IL_ACT_EXP:
        return float_exp(x);
    case IL_ACT_SQUARE:
        return x * x;
    case IL_ACT_SILU:
        return silu_clamp(x) * float_sigmoid(x);
    default:
        return x;
    }
}

/* dy times the derivative; v is x or y, as il_k_act_keeps_x has it, and y is y. */
IL_INLINE float act_pull(il_act act, float dy, float v, float y)
{
    float density;
    float c;
    float s;

    switch (act) {
    case IL_ACT_RELU:
        return v <= 0.0f ? 0.0f : dy;
    case IL_ACT_TANH:
        return dy * (1.0f - v * v);
    case IL_ACT_SIGMOID:
        return dy * (v * (1.0f - v));
    case IL_ACT_GELU:
        s = float_normal(v, &density);
        return dy * (s + gelu_clamp(v) * density);
    case IL_ACT_GELU_TANH:
        /* s is y / x: a division in place of forward's exponential takes a quarter of
         * the time, for an error of 4e-6 at most. Near 0 it is a half, past the end 1.
         */
        c = gelu_clamp(v);
        s = float_abs(v) < 1e-20f ? 0.5f : y / v;
        s = v > GELU_END ? 1.0f : s;
        return dy * (s + c * (s * (1.0f - s)) *
                             (2.0f * GELU_SCALE * (1.0f + 3.0f * GELU_CUBE * (c * c))));
    case IL_ACT_SOFTPLUS:
        return dy * float_sigmoid(v);
    case IL_ACT_EXP:
        return dy * v;
    case IL_ACT_SQUARE:
        return dy * (2.0f * v);
    case IL_ACT_SILU:
        s = float_sigmoid(v);
        return dy * (s + y * (1.0f - s));
    default:
        return dy;
    }
}

/* One loop for each activation, each with `act` a constant. */
#define FOR_EACH_ACT(LOOP)                                                             \
    switch (act) {                                                                     \
        LOOP(IL_ACT_RELU)                                                              \
        LOOP(IL_ACT_TANH)                                                              \
        LOOP(IL_ACT_SIGMOID)                                                           \
        LOOP(IL_ACT_GELU)                                                              \
        LOOP(IL_ACT_GELU_TANH)                                                         \
        LOOP(IL_ACT_SOFTPLUS)                                                          \
        LOOP(IL_ACT_EXP)                                                               \
        LOOP(IL_ACT_SQUARE)                                                            \
        LOOP(IL_ACT_SILU)                                                              \
        LOOP(IL_ACT_NONE)                                                              \
    }

#define FORWARD(ACT)                                                                   \
    case ACT:                                                                          \
        IL_VECTOR                                                                      \
        for (int64_t i = 0; i < n; i++) {                                              \
            y[i] = act_value(ACT, x[i]);                                               \
        }                                                                              \
        break;

#define BACKWARD(ACT)                                                                  \
    case ACT:                                                                          \
        IL_VECTOR                                                                      \
        for (int64_t i = 0; i < n; i++) {                                              \
            dx[i] += act_pull(ACT, dy[i], v[i], y[i]);                                 \
        }                                                                              \
        break;

#define GRAD(ACT)                                                                      \
    case ACT:                                                                          \
        IL_VECTOR                                                                      \
        for (int64_t i = 0; i < n; i++) {                                              \
            dx[i] = act_pull(ACT, dy[i], v[i], y[i]);                                  \
        }                                                                              \
        break;

IL_INLINE bool keeps_x(il_act act)
{
    return act == IL_ACT_GELU || act == IL_ACT_GELU_TANH || act == IL_ACT_SOFTPLUS ||
           act == IL_ACT_SQUARE || act == IL_ACT_SILU;
}

bool il_k_act_keeps_x(il_act act)
{
    return keeps_x(act);
}

IL_CLONES
void il_k_act_forward(float *y, const float *x, int64_t n, il_act act)
{
    FOR_EACH_ACT(FORWARD);
}

IL_CLONES
static void act_add(float *dx, const float *dy, const float *v, const float *y,
                    int64_t n, il_act act)
{
    FOR_EACH_ACT(BACKWARD);
}

IL_CLONES
static void act_store(float *dx, const float *dy, const float *v, const float *y,
                      int64_t n, il_act act)
{
    FOR_EACH_ACT(GRAD);
}

#define GATED(ACT)                                                                     \
    case ACT:                                                                          \
        IL_VECTOR                                                                      \
        for (int64_t i = 0; i < n; i++) {                                              \
            y[i] = act_value(ACT, gate[i]) * x[i];                                     \
        }                                                                              \
        break;

#define GATED_BACKWARD(ACT)                                                            \
    case ACT:                                                                          \
        IL_VECTOR                                                                      \
        for (int64_t i = 0; i < n; i++) {                                              \
            float a = act_value(ACT, gate[i]);                                         \
                                                                                       \
            dx[i] = dy[i] * a;                                                         \
            dgate[i] = act_pull(ACT, dy[i] * x[i], keeps_x(ACT) ? gate[i] : a, a);     \
        }                                                                              \
        break;

IL_CLONES
void il_k_gated_forward(float *y, const float *gate, const float *x, int64_t n,
                        il_act act)
{
    FOR_EACH_ACT(GATED);
}

IL_CLONES
void il_k_gated_grad(float *dgate, float *dx, const float *dy, const float *gate,
                     const float *x, int64_t n, il_act act)
{
    FOR_EACH_ACT(GATED_BACKWARD);
}

void il_k_act_backward(float *dx, const float *dy, const float *x, const float *y,
                       int64_t n, il_act act)
{
    act_add(dx, dy, il_k_act_keeps_x(act) ? x : y, y, n, act);
}

void il_k_act_grad(float *dx, const float *dy, const float *x, const float *y,
                   int64_t n, il_act act)
{
    act_store(dx, dy, il_k_act_keeps_x(act) ? x : y, y, n, act);
}
