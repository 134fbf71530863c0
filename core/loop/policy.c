/* A policy's rows: see policy.h. */
#include "loop/policy.h"

#include <string.h>
#include "tensor/kernels.h"

/* What an op saves: the rows cut down to what may be drawn. */
typedef struct choice {
    int64_t rows;
    int64_t width;       /* A */
    int64_t count;       /* K: actions that may be drawn */
    const int32_t *pick; /* (K) which they are */
    const int32_t *at;   /* (N) surprise: the action's place among them */
    float *log_p;        /* (N,K) */
    float *p;            /* (N,K) */
    float *log_q;        /* (N,K) kl: the reference's */
} choice;

/* Log-probabilities (N,K) of logits (N,A). */
static void log_rows(const choice *c, const float *logits, float *out)
{
    for (int64_t i = 0; i < c->rows; i++) {
        for (int64_t k = 0; k < c->count; k++) {
            out[i * c->count + k] = logits[i * c->width + c->pick[k]];
        }
    }
    il_k_log_softmax_rows(out, out, c->rows, c->count);
}

static void read_rows(choice *c, const il_tensor *logits)
{
    log_rows(c, il_f32(logits), c->log_p);
    il_k_exp(c->p, c->log_p, c->rows * c->count);
}

/* The saved state of an op on these logits, or NULL: the error sticks. */
static choice *choose(il_pass *pass, const il_tensor *logits, const uint8_t *allowed)
{
    choice *c;
    int32_t *pick;
    int64_t n = 0;
    int64_t width = il_width(logits);
    int64_t rows;

    if (logits == NULL || logits->data == NULL) {
        return NULL;
    }
    rows = il_rows(logits);
    c = il_pass_alloc(pass, sizeof *c);
    pick = il_pass_alloc(pass, ((size_t)width + 1) * sizeof *pick);
    if (c == NULL || pick == NULL) {
        return NULL;
    }
    for (int64_t a = 0; a < width; a++) {
        if (allowed == NULL || allowed[a] != 0) {
            pick[n++] = (int32_t)a;
        }
    }
    memset(c, 0, sizeof *c);
    c->rows = rows;
    c->width = width;
    c->count = n;
    c->pick = pick;
    c->log_p = il_pass_alloc(pass, ((size_t)(rows * n) + 1) * sizeof *c->log_p);
    c->p = il_pass_alloc(pass, ((size_t)(rows * n) + 1) * sizeof *c->p);
    return c->log_p != NULL && c->p != NULL ? c : NULL;
}

/* ---- surprise: -log pi(a); d/dlogit_j = p_j - [j = a] --------------------------- */

static void surprise_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    choice *c = state;

    read_rows(c, in[0]);
    for (int64_t i = 0; i < c->rows; i++) {
        il_f32(out)[i] = -c->log_p[i * c->count + c->at[i]];
    }
}

static void surprise_backward(const void *state, const il_tensor *const *in,
                              const il_tensor *out, const float *dout,
                              float *const *din)
{
    const choice *c = state;

    (void)in;
    (void)out;
    for (int64_t i = 0; din[0] != NULL && i < c->rows; i++) {
        float *d = din[0] + i * c->width;
        const float *p = c->p + i * c->count;

        for (int64_t k = 0; k < c->count; k++) {
            d[c->pick[k]] += dout[i] * (p[k] - (k == c->at[i] ? 1.0f : 0.0f));
        }
    }
}

il_tensor *il_policy_surprise(il_pass *pass, il_tensor *logits, const uint8_t *allowed,
                              const int32_t *actions)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "policy surprise",
                                 .forward = surprise_forward,
                                 .backward = surprise_backward};
    choice *c = choose(pass, logits, allowed);
    int32_t *at;

    if (c == NULL ||
        (at = il_pass_alloc(pass, ((size_t)c->rows + 1) * sizeof *at)) == NULL) {
        return il_reshape(pass, logits, IL_SHAPE(-1)); /* the error sticks already */
    }
    for (int64_t i = 0; i < c->rows; i++) {
        int64_t k = 0;

        while (k < c->count && c->pick[k] != actions[i]) {
            k++;
        }
        if (k == c->count) {
            il_pass_fail(pass, IL_ERR_INPUT,
                         "an action was taken that the policy may not draw");
            k = 0;
        }
        at[i] = (int32_t)k;
    }
    c->at = at;
    return il_custom_op(pass, &op, c, 1, &logits, IL_SHAPE(c->rows));
}

/* ---- entropy: H = -sum p log p; d/dlogit_j = -p_j (log p_j + H) ----------------- */

static void entropy_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    choice *c = state;

    read_rows(c, in[0]);
    for (int64_t i = 0; i < c->rows; i++) {
        double sum = 0;

        for (int64_t k = i * c->count; k < (i + 1) * c->count; k++) {
            sum -= (double)c->p[k] * c->log_p[k];
        }
        il_f32(out)[i] = (float)sum;
    }
}

static void entropy_backward(const void *state, const il_tensor *const *in,
                             const il_tensor *out, const float *dout, float *const *din)
{
    const choice *c = state;

    (void)in;
    for (int64_t i = 0; din[0] != NULL && i < c->rows; i++) {
        float *d = din[0] + i * c->width;

        for (int64_t k = 0; k < c->count; k++) {
            int64_t at = i * c->count + k;

            d[c->pick[k]] -= dout[i] * c->p[at] * (c->log_p[at] + il_f32(out)[i]);
        }
    }
}

il_tensor *il_policy_entropy(il_pass *pass, il_tensor *logits, const uint8_t *allowed)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "policy entropy",
                                 .forward = entropy_forward,
                                 .backward = entropy_backward};
    choice *c = choose(pass, logits, allowed);

    return c != NULL ? il_custom_op(pass, &op, c, 1, &logits, IL_SHAPE(c->rows))
                     : il_reshape(pass, logits, IL_SHAPE(-1));
}

/* ---- KL = sum p (log p - log q); d/dlogit_j = p_j (log p_j - log q_j - KL) ------ */

static void kl_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    choice *c = state;

    read_rows(c, in[0]);
    log_rows(c, il_f32(in[1]), c->log_q);
    for (int64_t i = 0; i < c->rows; i++) {
        double sum = 0;

        for (int64_t k = i * c->count; k < (i + 1) * c->count; k++) {
            sum += (double)c->p[k] * ((double)c->log_p[k] - c->log_q[k]);
        }
        il_f32(out)[i] = (float)sum;
    }
}

static void kl_backward(const void *state, const il_tensor *const *in,
                        const il_tensor *out, const float *dout, float *const *din)
{
    const choice *c = state;

    (void)in;
    for (int64_t i = 0; din[0] != NULL && i < c->rows; i++) {
        float *d = din[0] + i * c->width;

        for (int64_t k = 0; k < c->count; k++) {
            int64_t at = i * c->count + k;

            d[c->pick[k]] +=
                dout[i] * c->p[at] * (c->log_p[at] - c->log_q[at] - il_f32(out)[i]);
        }
    }
}

il_tensor *il_policy_kl(il_pass *pass, il_tensor *logits, il_tensor *reference,
                        const uint8_t *allowed)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "policy kl",
                                 .forward = kl_forward,
                                 .backward = kl_backward};
    choice *c = choose(pass, logits, allowed);
    il_tensor *in[2] = {logits, reference};

    if (c == NULL ||
        (c->log_q = il_pass_alloc(pass, ((size_t)(c->rows * c->count) + 1) *
                                            sizeof *c->log_q)) == NULL) {
        return il_reshape(pass, logits, IL_SHAPE(-1));
    }
    if (il_count(reference) != il_count(logits)) {
        il_pass_fail(pass, IL_ERR_SHAPE,
                     "the reference's policy has another shape than the model's");
    }
    return il_custom_op(pass, &op, c, 2, in, IL_SHAPE(c->rows));
}
