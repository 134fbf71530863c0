/* Optimizers and schedules, one tensor at a time.
 *
 * AdamW (Loshchilov and Hutter 2019) decays weights by lr * weight_decay; Adam (Kingma
 * and Ba 2015) and SGD with momentum add it to the gradient. All arithmetic f32,
 * PyTorch's formulas; whoever calls decides which tensors are stepped. */
#ifndef IL_TENSOR_OPTIM_H
#define IL_TENSOR_OPTIM_H

#include <stdint.h>

typedef enum il_optim_kind {
    IL_OPTIM_ADAMW,
    IL_OPTIM_ADAM,
    IL_OPTIM_SGD
} il_optim_kind;

typedef struct il_optim {
    il_optim_kind kind;
    float beta1, beta2, eps, weight_decay, momentum;
} il_optim;

/* Steps w (n) with gradient scale*g (n); m, v (n) are the moments (v unused by SGD); t
 * counts steps from 1. */
void il_optim_step(const il_optim *o, int64_t t, float lr, int64_t n, float *w,
                   const float *g, float scale, float *m, float *v);

typedef enum il_schedule_shape {
    IL_RATE_CONSTANT,
    IL_RATE_LINEAR,
    IL_RATE_COSINE,
    IL_RATE_STEP
} il_schedule_shape;

typedef struct il_rate {
    il_schedule_shape shape;
    int64_t warmup;    /* steps: the factor is (step+1)/warmup before it is over */
    double final;      /* LINEAR, COSINE: the factor at the last step */
    double at, factor; /* STEP */
} il_rate;

/* The factor on the learning rate at `step` (from 0) of `steps`. Cosine runs from the
 * end of warm-up to the last step. */
double il_rate_at(const il_rate *r, int64_t step, int64_t steps);

/* Sum of squares of n floats in double, in a fixed order. */
double il_sum_squares(int64_t n, const float *x);

#endif
