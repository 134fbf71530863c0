/* Ops over the last dimension, and the sums. */
#include "tensor/tape.h"

#include "tensor/kernels.h"

/* ---- softmax -------------------------------------------------------------------- */

static void back_softmax(il__back *k, il__node *n)
{
    const il_tensor *y = &n->out->pub;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_softmax_backward(dx, il__arrived(k, n->out), il_f32(y), il_rows(y),
                              il_width(y));
    }
}

static void back_log_softmax(il__back *k, il__node *n)
{
    const il_tensor *y = &n->out->pub;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_log_softmax_backward(dx, il__arrived(k, n->out), il_f32(y), il_rows(y),
                                  il_width(y));
    }
}

typedef void rows_kernel(float *y, const float *x, int64_t rows, int64_t w);

static il_tensor *by_rows(il_pass *p, const char *op, rows_kernel *kernel,
                          il__backward *backward, il_tensor *x)
{
    il__tensor *y;

    if (!il__ready(p, op, 1, 1, &x)) {
        return il__empty(p);
    }
    if (x->ndim < 1) {
        return il__refuse(p, IL_ERR_SHAPE, op, 1, (const il_tensor *const *)&x,
                          "expected x (...,W)");
    }
    y = il__make(p, op, x->ndim, x->shape, 1, &x);
    if (y == NULL) {
        return il__empty(p);
    }
    kernel(il_f32(&y->pub), il_f32(x), il_rows(x), il_width(x));
    return il__record(p, backward, NULL, y, NULL, 1, &x);
}

il_tensor *il__op_softmax(il_pass *p, il_tensor *x)
{
    return by_rows(p, "softmax", il_k_softmax_rows, back_softmax, x);
}

il_tensor *il__op_log_softmax(il_pass *p, il_tensor *x)
{
    return by_rows(p, "log_softmax", il_k_log_softmax_rows, back_log_softmax, x);
}

/* ---- norms ---------------------------------------------------------------------- */

/* One number a row of each, kept for the backward. */
typedef struct norm_state {
    float *mean; /* NULL for rms */
    float *rstd;
} norm_state;

static void back_layer_norm(il__back *k, il__node *n)
{
    const norm_state *s = n->state;
    const il_tensor *x = &n->in[0]->pub;
    const float *gain = n->in[1] != NULL ? il_f32(&n->in[1]->pub) : NULL;
    float *dx = il__grad_add(k, n->in[0]);
    float *dgain = il__grad_add(k, n->in[1]);
    float *dbias = il__grad_add(k, n->in[2]);

    if (dx != NULL || dgain != NULL || dbias != NULL) {
        il_k_layer_norm_backward(dx, dgain, dbias, il__arrived(k, n->out), il_f32(x),
                                 s->mean, s->rstd, gain, il_rows(x), il_width(x));
    }
}

static void back_rms_norm(il__back *k, il__node *n)
{
    const norm_state *s = n->state;
    const il_tensor *x = &n->in[0]->pub;
    const float *gain = n->in[1] != NULL ? il_f32(&n->in[1]->pub) : NULL;
    float *dx = il__grad_add(k, n->in[0]);
    float *dgain = il__grad_add(k, n->in[1]);

    if (dx != NULL || dgain != NULL) {
        il_k_rms_norm_backward(dx, dgain, il__arrived(k, n->out), il_f32(x), s->rstd,
                               gain, il_rows(x), il_width(x));
    }
}

/* Whether a gain or bias lies over the last dimension of x, or is not given. */
static bool over_width(const il_tensor *x, const il_tensor *t)
{
    return t == NULL || (t->ndim == 1 && t->shape[0] == il_width(x));
}

static norm_state *make_norm_state(il_pass *p, int64_t rows, bool mean)
{
    norm_state *s = il__bytes(p, sizeof *s);

    if (s == NULL) {
        return NULL;
    }
    s->mean = mean ? il__floats(p, rows) : NULL;
    s->rstd = il__floats(p, rows);
    return s->rstd != NULL && (!mean || s->mean != NULL) ? s : NULL;
}

typedef struct norming {
    float *y;
    const norm_state *kept;
    const float *x, *gain, *bias;
    int64_t w;
    float eps;
} norming;

static void norm_part(void *user, int64_t from, int64_t to, int worker)
{
    const norming *n = user;
    const norm_state *s = n->kept;
    float *y = n->y + from * n->w;
    const float *x = n->x + from * n->w;

    (void)worker;
    if (s->mean != NULL) {
        il_k_layer_norm_forward(y, s->mean + from, s->rstd + from, x, n->gain, n->bias,
                                to - from, n->w, n->eps);
    } else {
        il_k_rms_norm_forward(y, s->rstd + from, x, n->gain, to - from, n->w, n->eps);
    }
}

static void norm_forward(il_pass *p, il__tensor *y, const norm_state *s,
                         const il_tensor *x, const il_tensor *gain,
                         const il_tensor *bias, float eps)
{
    norming n = {.y = il_f32(&y->pub),
                 .kept = s,
                 .x = il_f32(x),
                 .gain = il_f32(gain),
                 .bias = il_f32(bias),
                 .w = il_width(x),
                 .eps = eps};

    il_team_share(il__of(p)->team, il_rows(x), il_team_rows(n.w), norm_part, &n);
}

il_tensor *il__op_layer_norm(il_pass *p, il_tensor *x, il_tensor *gain, il_tensor *bias,
                             float eps)
{
    il_tensor *in[] = {x, gain, bias};
    il__tensor *y;
    norm_state *s;

    if (!il__ready(p, "layer_norm", 1, 3, in)) {
        return il__empty(p);
    }
    if (x->ndim < 1 || !over_width(x, gain) || !over_width(x, bias)) {
        return il__refuse(p, IL_ERR_SHAPE, "layer_norm", 3,
                          (const il_tensor *const *)in,
                          "expected x (...,W), gain and bias (W) or none");
    }
    y = il__make(p, "layer_norm", x->ndim, x->shape, 3, in);
    s = y != NULL ? make_norm_state(p, il_rows(x), true) : NULL;
    if (s == NULL) {
        return il__empty(p);
    }
    norm_forward(p, y, s, x, gain, bias, eps);
    return il__record(p, back_layer_norm, s, y, NULL, 3, in);
}

il_tensor *il__op_rms_norm(il_pass *p, il_tensor *x, il_tensor *gain, float eps)
{
    il_tensor *in[] = {x, gain};
    il__tensor *y;
    norm_state *s;

    if (!il__ready(p, "rms_norm", 1, 2, in)) {
        return il__empty(p);
    }
    if (x->ndim < 1 || !over_width(x, gain)) {
        return il__refuse(p, IL_ERR_SHAPE, "rms_norm", 2, (const il_tensor *const *)in,
                          "expected x (...,W), gain (W) or none");
    }
    y = il__make(p, "rms_norm", x->ndim, x->shape, 2, in);
    s = y != NULL ? make_norm_state(p, il_rows(x), false) : NULL;
    if (s == NULL) {
        return il__empty(p);
    }
    norm_forward(p, y, s, x, gain, NULL, eps);
    return il__record(p, back_rms_norm, s, y, NULL, 2, in);
}

/* ---- sums ----------------------------------------------------------------------- */

static void back_sum(il__back *k, il__node *n)
{
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_row_spread(dx, il__arrived(k, n->out), 1, il_count(&n->in[0]->pub));
    }
}

static void back_mean(il__back *k, il__node *n)
{
    int64_t count = il_count(&n->in[0]->pub);
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL && count > 0) {
        float each = *il__arrived(k, n->out) / (float)count;

        il_k_row_spread(dx, &each, 1, count);
    }
}

static void back_row_sum(il__back *k, il__node *n)
{
    const il_tensor *x = &n->in[0]->pub;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_row_spread(dx, il__arrived(k, n->out), il_rows(x), il_width(x));
    }
}

il_tensor *il__op_sum(il_pass *p, il_tensor *x)
{
    il__tensor *y;

    if (!il__ready(p, "sum", 1, 1, &x)) {
        return il__empty(p);
    }
    y = il__make(p, "sum", 1, (const int64_t[]){1}, 1, &x);
    if (y == NULL) {
        return il__empty(p);
    }
    *il_f32(&y->pub) = (float)il_k_sum(il_f32(x), il_count(x));
    return il__record(p, back_sum, NULL, y, NULL, 1, &x);
}

il_tensor *il__op_mean(il_pass *p, il_tensor *x)
{
    il__tensor *y;
    int64_t count;

    if (!il__ready(p, "mean", 1, 1, &x)) {
        return il__empty(p);
    }
    y = il__make(p, "mean", 1, (const int64_t[]){1}, 1, &x);
    if (y == NULL) {
        return il__empty(p);
    }
    count = il_count(x);
    *il_f32(&y->pub) =
        count > 0 ? (float)(il_k_sum(il_f32(x), count) / (double)count) : 0.0f;
    return il__record(p, back_mean, NULL, y, NULL, 1, &x);
}

il_tensor *il__op_row_sum(il_pass *p, il_tensor *x)
{
    il__tensor *y;

    if (!il__ready(p, "row_sum", 1, 1, &x)) {
        return il__empty(p);
    }
    if (x->ndim < 1) {
        return il__refuse(p, IL_ERR_SHAPE, "row_sum", 1, (const il_tensor *const *)&x,
                          "expected x (...,W)");
    }
    y = il__make(p, "row_sum", x->ndim - 1, x->shape, 1, &x);
    if (y == NULL) {
        return il__empty(p);
    }
    il_k_row_sum(il_f32(&y->pub), il_f32(x), il_rows(x), il_width(x));
    return il__record(p, back_row_sum, NULL, y, NULL, 1, &x);
}
