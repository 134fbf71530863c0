/* Losses by row: cross-entropy on logits and its binary form. */
#include "tensor/kernels.h"
#include "tensor/kernels_narrow.h"
#include "tensor/kernels_sum_exp.h"

/* Up to LANES rows of up to LANES logits. */
IL_INLINE void narrow_cross_entropy(float *loss, float *prob, const float *logits,
                                    const int32_t *targets, int64_t rows, int64_t v)
{
    float at_target[LANES] = {0};
    float max[LANES];
    float sum[LANES];
    narrow t;

    for (int64_t r = 0; r < rows; r++) {
        at_target[r] = targets[r] < 0 ? 0.0f : logits[r * v + targets[r]];
    }
    narrow_load(&t, logits, rows, v);
    narrow_softmax(&t, max, sum, v);
    for (int r = 0; r < LANES; r++) {
        sum[r] = float_log(sum[r]) - (at_target[r] - max[r]);
    }
    if (prob != NULL) {
        narrow_store(prob, &t, rows, v);
    }
    for (int64_t r = 0; r < rows; r++) {
        loss[r] = targets[r] < 0 ? 0.0f : sum[r];
        for (int64_t j = 0; prob != NULL && targets[r] < 0 && j < v; j++) {
            prob[r * v + j] = 0.0f;
        }
    }
}

IL_CLONES
void il_k_cross_entropy_rows(float *loss, float *prob, const float *logits,
                             const int32_t *targets, int64_t rows, int64_t v)
{
    for (int64_t r = 0; v <= LANES && r < rows; r += LANES) {
        narrow_cross_entropy(loss + r, prob != NULL ? prob + r * v : NULL,
                             logits + r * v, targets + r, narrow_rows(rows - r), v);
    }
    if (v <= LANES) {
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        const float *in = logits + r * v;
        float *p = prob != NULL ? prob + r * v : NULL;
        float max;
        float at_target;
        float sum;

        if (targets[r] < 0) {
            loss[r] = 0.0f;
            for (int64_t j = 0; p != NULL && j < v; j++) {
                p[j] = 0.0f;
            }
            continue;
        }
        max = row_max(in, v);
        at_target = in[targets[r]];
        if (p == NULL) {
            sum = sum_exp(in, max, v);
        } else {
            float inverse;

            IL_VECTOR
            for (int64_t j = 0; j < v; j++) {
                p[j] = float_exp(in[j] - max);
            }
            sum = row_sum(p, v);
            inverse = 1.0f / sum;
            for (int64_t j = 0; j < v; j++) {
                p[j] *= inverse;
            }
        }
        loss[r] = float_log(sum) - (at_target - max);
    }
}

IL_CLONES
void il_k_cross_entropy_grad(float *dlogits, const float *prob, const int32_t *targets,
                             const float *drow, int64_t rows, int64_t v)
{
    for (int64_t r = 0; r < rows; r++) {
        float *out = dlogits + r * v;
        const float *p = prob + r * v;
        int32_t target = targets[r];
        float d = target < 0 ? 0.0f : drow[r];
        float at_target = target < 0 ? 0.0f : p[target];

        if (target < 0) {
            for (int64_t j = 0; j < v; j++) {
                out[j] = 0.0f;
            }
            continue;
        }
        IL_VECTOR
        for (int64_t j = 0; j < v; j++) {
            out[j] = p[j] * d;
        }
        out[target] = (at_target - 1.0f) * d;
    }
}

IL_CLONES
void il_k_cross_entropy_backward(float *dlogits, const float *prob,
                                 const int32_t *targets, const float *drow,
                                 int64_t rows, int64_t v)
{
    for (int64_t r = 0; r < rows; r++) {
        float *out = dlogits + r * v;
        const float *p = prob + r * v;
        int32_t target = targets[r];
        float d = drow[r];
        float before;

        if (target < 0) {
            continue;
        }
        before = out[target];
        IL_VECTOR
        for (int64_t j = 0; j < v; j++) {
            out[j] += p[j] * d;
        }
        out[target] = before + (p[target] - 1.0f) * d;
    }
}

IL_CLONES
void il_k_bce_rows(float *loss, const float *x, const float *t, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float tail = float_log1p_unit(float_exp(-float_abs(x[i])));

        loss[i] = ((x[i] < 0.0f ? 0.0f : x[i]) - t[i] * x[i]) + tail;
    }
}

IL_CLONES
void il_k_bce_backward(float *dx, const float *dy, const float *x, const float *t,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        dx[i] += dy[i] * (float_sigmoid(x[i]) - t[i]);
    }
}
