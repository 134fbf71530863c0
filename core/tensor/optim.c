/* Optimizers and schedules. What depends on the step alone is computed in double, once
 * a call. */
#include "tensor/optim.h"
#include "base/compiler.h"
#include <math.h>

/* b^t by squaring: products are the same everywhere, pow() need not be. */
static double power(double b, int64_t t)
{
    double result = 1.0;

    for (; t > 0; t /= 2) {
        result = t % 2 != 0 ? result * b : result;
        b *= b;
    }
    return result;
}

/* m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
 * w -= lr m / (1 - beta1^t) / (sqrt(v) / sqrt(1 - beta2^t) + eps). */
IL_CLONES
static void step_adam(const il_optim *o, int64_t t, float lr, int64_t n,
                      float *restrict w, const float *restrict g, float scale,
                      float *restrict m, float *restrict v)
{
    double beta1 = (double)o->beta1;
    double beta2 = (double)o->beta2;
    float rest1 = (float)(1.0 - beta1);
    float rest2 = (float)(1.0 - beta2);
    float rate = (float)((double)lr / (1.0 - power(beta1, t)));
    float root = (float)sqrt(1.0 - power(beta2, t));
    float keep = o->kind == IL_OPTIM_ADAMW
                     ? (float)(1.0 - (double)lr * (double)o->weight_decay)
                     : 1.0f;
    float pull = o->kind == IL_OPTIM_ADAMW ? 0.0f : o->weight_decay;
    float b2 = o->beta2;
    float eps = o->eps;

    if (pull != 0.0f) {
        for (int64_t i = 0; i < n; i++) {
            float d = scale * g[i] + pull * w[i];

            m[i] += rest1 * (d - m[i]);
            v[i] = b2 * v[i] + rest2 * d * d;
            w[i] -= rate * m[i] / (sqrtf(v[i]) / root + eps);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float d = scale * g[i];

        m[i] += rest1 * (d - m[i]);
        v[i] = b2 * v[i] + rest2 * d * d;
        w[i] = keep * w[i] - rate * m[i] / (sqrtf(v[i]) / root + eps);
    }
}

/* m = momentum m + g, w -= lr m; the first step takes m = g, whatever m held. */
IL_CLONES
static void step_sgd(const il_optim *o, int64_t t, float lr, int64_t n,
                     float *restrict w, const float *restrict g, float scale,
                     float *restrict m)
{
    float pull = o->weight_decay;
    float momentum = o->momentum;

    if (momentum == 0.0f) {
        for (int64_t i = 0; i < n; i++) {
            w[i] -= lr * (scale * g[i] + pull * w[i]);
        }
    } else if (t <= 1) {
        for (int64_t i = 0; i < n; i++) {
            m[i] = scale * g[i] + pull * w[i];
            w[i] -= lr * m[i];
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            m[i] = momentum * m[i] + (scale * g[i] + pull * w[i]);
            w[i] -= lr * m[i];
        }
    }
}

void il_optim_step(const il_optim *o, int64_t t, float lr, int64_t n, float *w,
                   const float *g, float scale, float *m, float *v)
{
    if (o->kind == IL_OPTIM_SGD) {
        step_sgd(o, t, lr, n, w, g, scale, m);
    } else {
        step_adam(o, t, lr, n, w, g, scale, m, v);
    }
}

/* cos(pi p) for p in [0,1], exact at both ends, by the series of the sine to pi / 4:
 * again no word of the math library in what a run computes. */
static double cos_pi(double p)
{
    const double pi = 3.14159265358979323846;
    double sign = p > 0.5 ? -1.0 : 1.0;
    double a = pi * (p > 0.5 ? 1.0 - p : p) / 2.0;
    double term = a;
    double sine = a;

    for (int k = 1; k <= 9; k++) {
        term *= -a * a / (2.0 * k * (2.0 * k + 1.0));
        sine += term;
    }
    return sign * (1.0 - 2.0 * sine * sine);
}

double il_rate_at(const il_rate *r, int64_t step, int64_t steps)
{
    int64_t span = steps - 1 - r->warmup;
    double progress;

    if (step < r->warmup) {
        return (double)(step + 1) / (double)r->warmup;
    }
    progress = span > 0 ? (double)(step - r->warmup) / (double)span : 1.0;
    progress = progress > 1.0 ? 1.0 : progress;
    switch (r->shape) {
    case IL_RATE_LINEAR:
        return 1.0 + (r->final - 1.0) * progress;
    case IL_RATE_COSINE:
        return r->final + (1.0 - r->final) * 0.5 * (1.0 + cos_pi(progress));
    case IL_RATE_STEP:
        return (double)step < r->at * (double)steps ? 1.0 : r->factor;
    case IL_RATE_CONSTANT:
        break;
    }
    return 1.0;
}
