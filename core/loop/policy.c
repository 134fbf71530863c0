/* A policy's rows: see policy.h. */
#include "loop/policy.h"

#include <string.h>

/* ---- choices: the columns that may be drawn, (N,A) -> (N,K) --------------------- */

typedef struct choice {
    int64_t width;       /* A */
    int64_t count;       /* K */
    const int32_t *pick; /* (K) which columns they are */
} choice;

static void choose_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const choice *c = state;

    for (int64_t i = 0; i < il_rows(out); i++) {
        for (int64_t k = 0; k < c->count; k++) {
            il_f32(out)[i * c->count + k] = il_f32(in[0])[i * c->width + c->pick[k]];
        }
    }
}

static void choose_backward(const void *state, const il_tensor *const *in,
                            const il_tensor *out, const float *dout, float *const *din)
{
    const choice *c = state;

    (void)in;
    for (int64_t i = 0; din[0] != NULL && i < il_rows(out); i++) {
        for (int64_t k = 0; k < c->count; k++) {
            din[0][i * c->width + c->pick[k]] += dout[i * c->count + k];
        }
    }
}

static il_tensor *choices(il_pass *pass, il_tensor *logits, const uint8_t *allowed)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "policy choices",
                                 .forward = choose_forward,
                                 .backward = choose_backward};
    int64_t width = il_width(logits);
    choice *c;
    int32_t *pick;

    if (allowed == NULL || il_count(logits) == 0) {
        return logits;
    }
    c = il_pass_alloc(pass, sizeof *c);
    pick = il_pass_alloc(pass, ((size_t)width + 1) * sizeof *pick);
    if (c == NULL || pick == NULL) {
        return logits; /* the error sticks */
    }
    *c = (choice){.width = width, .pick = pick};
    for (int64_t a = 0; a < width; a++) {
        if (allowed[a] != 0) {
            pick[c->count++] = (int32_t)a;
        }
    }
    return il_custom_op(pass, &op, c, 1, &logits, IL_SHAPE(il_rows(logits), c->count));
}

/* An action's place among those that may be drawn, or -1. */
static int32_t place_of(int32_t action, int64_t width, const uint8_t *allowed)
{
    int32_t at = 0;

    if (action < 0 || action >= width) {
        return -1;
    }
    for (int32_t a = 0; allowed != NULL && a < action; a++) {
        at += allowed[a] != 0;
    }
    return allowed == NULL ? action : allowed[action] != 0 ? at : -1;
}

/* ---- the ops -------------------------------------------------------------------- */

il_tensor *il_policy_surprise(il_pass *pass, il_tensor *logits, const uint8_t *allowed,
                              const int32_t *actions)
{
    int64_t rows = il_rows(logits);
    int32_t *at = il_pass_alloc(pass, ((size_t)rows + 1) * sizeof *at);
    il_tensor targets = {.data = at,
                         .device_type = IL_DEVICE_CPU,
                         .dtype = {IL_CODE_INT, 32, 1},
                         .ndim = 1,
                         .shape = {rows}};

    for (int64_t i = 0; at != NULL && i < rows; i++) {
        at[i] = place_of(actions[i], il_width(logits), allowed);
        if (at[i] < 0) {
            il_pass_fail(pass, IL_ERR_INPUT,
                         "an action was taken that the policy may not draw");
        }
    }
    return il_cross_entropy(pass, choices(pass, logits, allowed), &targets);
}

il_tensor *il_policy_entropy(il_pass *pass, il_tensor *logits, const uint8_t *allowed)
{
    return il_entropy_rows(pass, choices(pass, logits, allowed));
}

il_tensor *il_policy_kl(il_pass *pass, il_tensor *logits, il_tensor *reference,
                        const uint8_t *allowed)
{
    return il_kl_rows(pass, choices(pass, logits, allowed),
                      choices(pass, reference, allowed));
}
