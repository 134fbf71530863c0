/* A gated recurrent unit (Cho et al. 2014) in the convention of cuDNN and PyTorch,
 * where the reset gate scales the hidden product of the candidate:
 *
 *     r = sigmoid(Wr x + br + Ur h + cr),  z = sigmoid(Wz x + bz + Uz h + cz)
 *     n = tanh(Wn x + bn + r (Un h + cn)),  h' = n + z (h - n)
 *
 * W x is one product over all positions. Only U h waits for the position before, on U
 * transposed once. Backward walks the positions for the gates' gradients alone; each
 * weight gradient is one product over all positions after that. Inside, rows lie
 * position by position, so that what one step of the recurrence touches lies together.
 */
#include "tensor/tape.h"

#include <string.h>
#include "tensor/kernels.h"

enum { X, W_INPUT, B_INPUT, W_HIDDEN, B_HIDDEN, BEFORE, INPUTS };

typedef struct gru_state {
    int64_t b, t, w;
    const float *x; /* (t,b,inputs) */
    float *gates;   /* (t,b,3w): r, z, n */
    float *nh;      /* (t,b,w): Un h + cn */
    float *states;  /* (t+1,b,w), the first being what was before */
} gru_state;

/* to (m,n,w) = from (n,m,w) with its rows in the other order. */
static void swap_rows(float *to, const float *from, int64_t m, int64_t n, int64_t w)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            memcpy(to + (i * n + j) * w, from + (j * m + i) * w,
                   (size_t)w * sizeof *to);
        }
    }
}

/* out (w,3w) = the transpose of u (3w,w). */
static void transpose(float *out, const float *u, int64_t w)
{
    for (int64_t k = 0; k < w; k++) {
        for (int64_t j = 0; j < 3 * w; j++) {
            out[k * 3 * w + j] = u[j * w + k];
        }
    }
}

/* hidden (b,3w) = was (b,w) u^T with u (3w,w), or its transpose where it pays. */
static void hidden_product(const il_blas *blas, const gru_state *s, float *hidden,
                           const float *was, const float *u, bool transposed)
{
    il_blas_gemm(blas, false, !transposed, s->b, 3 * s->w, s->w, 1.0f, was, s->w, u,
                 transposed ? 3 * s->w : s->w, 0.0f, hidden, 3 * s->w);
}

/* What the gates add, (4w): of r and z both biases at once, of n the input's, and the
 * hidden one's apart, since r scales it. */
static void join_biases(float *out, const float *b, const float *c, int64_t w)
{
    for (int64_t j = 0; j < 2 * w; j++) {
        out[j] = b[j] + c[j];
    }
    memcpy(out + 2 * w, b + 2 * w, (size_t)w * sizeof *out);
    memcpy(out + 3 * w, c + 2 * w, (size_t)w * sizeof *out);
}

static void forward_gru(il_pass *p, const gru_state *s, float *out,
                        il_tensor *const *in)
{
    const il_blas *blas = il__of(p)->blas;
    const int64_t w = s->w;
    const int64_t row = s->b * w;
    const int64_t inputs = in[W_INPUT]->shape[1];
    const float *kept = il__turned_of(p, in[W_HIDDEN]);
    const float *input = il__turned_of(p, in[W_INPUT]);
    /* one product alone is not worth the transposing */
    const bool many = s->t > 1 && kept == NULL;
    float *hidden = il__floats(p, 3 * row);
    float *bias = il__floats(p, 4 * w);
    float *turned = many ? il__floats(p, 3 * w * w) : NULL;
    const float *u = kept != NULL ? kept : many ? turned : il_f32(in[W_HIDDEN]);

    if (u == NULL || hidden == NULL || bias == NULL) {
        return;
    }
    join_biases(bias, il_f32(in[B_INPUT]), il_f32(in[B_HIDDEN]), w);
    il_blas_linear(blas, NULL, input == NULL, s->b * s->t, 3 * w, inputs, s->x, inputs,
                   input != NULL ? input : il_f32(in[W_INPUT]),
                   input != NULL ? 3 * w : inputs, NULL, s->gates, 3 * w);
    if (many) {
        transpose(turned, il_f32(in[W_HIDDEN]), w);
    }
    if (in[BEFORE] != NULL) {
        memcpy(s->states, il_f32(in[BEFORE]), (size_t)row * sizeof *out);
    } else {
        memset(s->states, 0, (size_t)row * sizeof *out);
    }
    for (int64_t t = 0; t < s->t; t++) {
        float *was = s->states + t * row;

        if (t > 0 || in[BEFORE] != NULL) {
            hidden_product(blas, s, hidden, was, u, many || kept != NULL);
        } else {
            memset(hidden, 0, (size_t)(3 * row) * sizeof *hidden);
        }
        il_k_gru_forward(was + row, s->gates + t * 3 * row, s->nh + t * row, hidden,
                         bias, was, s->b, w);
    }
    swap_rows(out, s->states + row, s->b, s->t, w);
}

/* A bias, its weights and what they are multiplied with: db += column sums of d, dw +=
 * d^T x, d (rows,3w), x (rows,k). */
static void back_weights(il__back *k, il__tensor *weight, il__tensor *bias,
                         const float *d, const float *x, int64_t rows)
{
    const int64_t out = weight->pub.shape[0];
    const int64_t in = weight->pub.shape[1];
    float beta;
    float *grad = il__grad(k, weight, &beta);

    if (grad != NULL) {
        il_blas_gemm(k->pass->blas, true, false, out, in, rows, 1.0f, d, out, x, in,
                     beta, grad, in);
    }
    grad = il__grad_add(k, bias);
    if (grad != NULL) {
        il_k_col_sum(grad, d, rows, out);
    }
}

/* The gates' gradients of all positions, (t,b,3w) before the input's product and
 * before the hidden one, and what is left for the first state in dh (b,w). */
static void back_positions(il__back *k, const il__node *n, float *dinput,
                           float *dhidden, float *dh)
{
    const gru_state *s = n->state;
    const int64_t w = s->w;
    const int64_t row = s->b * w;
    const float *dy = il__arrived(k, n->out);
    const float *u = il_f32(&n->in[W_HIDDEN]->pub);

    memset(dh, 0, (size_t)row * sizeof *dh);
    for (int64_t t = s->t - 1; t >= 0; t--) {
        float *du = dhidden + t * 3 * row;

        il_k_gru_backward(dinput + t * 3 * row, du, dh, dy + t * w,
                          s->gates + t * 3 * row, s->nh + t * row, s->states + t * row,
                          s->b, w, s->t);
        if (t > 0 || n->in[BEFORE] != NULL) {
            il_blas_gemm(k->pass->blas, false, false, s->b, w, 3 * w, 1.0f, du, 3 * w,
                         u, w, 1.0f, dh, w);
        }
    }
}

/* dx (b,t,inputs) += dinput W. */
static void back_inputs(il__back *k, const il__node *n, const float *dinput)
{
    const gru_state *s = n->state;
    const int64_t rows = s->b * s->t;
    const int64_t inputs = n->in[W_INPUT]->pub.shape[1];
    float *grad = il__grad_add(k, n->in[X]);
    float *dx = grad != NULL ? il__scratch(k, 2 * rows * inputs) : NULL;

    if (dx == NULL) {
        return;
    }
    il_blas_gemm(k->pass->blas, false, false, rows, inputs, 3 * s->w, 1.0f, dinput,
                 3 * s->w, il_f32(&n->in[W_INPUT]->pub), inputs, 0.0f, dx, inputs);
    swap_rows(dx + rows * inputs, dx, s->b, s->t, inputs);
    il_k_axpy(grad, 1.0f, dx + rows * inputs, rows * inputs);
    il__release(k, dx, 2 * rows * inputs);
}

static void back_gru(il__back *k, il__node *n)
{
    const gru_state *s = n->state;
    const int64_t rows = s->b * s->t;
    float *dinput = il__scratch(k, rows * 3 * s->w);
    float *dhidden = il__scratch(k, rows * 3 * s->w);
    float *dh = il__scratch(k, s->b * s->w);
    float *grad;

    if (!k->failed) {
        back_positions(k, n, dinput, dhidden, dh);
        back_inputs(k, n, dinput);
        back_weights(k, n->in[W_INPUT], n->in[B_INPUT], dinput, s->x, rows);
        back_weights(k, n->in[W_HIDDEN], n->in[B_HIDDEN], dhidden, s->states, rows);
        grad = il__grad_add(k, n->in[BEFORE]);
        if (grad != NULL) {
            il_k_axpy(grad, 1.0f, dh, s->b * s->w);
        }
    }
    il__release(k, dinput, rows * 3 * s->w);
    il__release(k, dhidden, rows * 3 * s->w);
    il__release(k, dh, s->b * s->w);
}

/* Whether the four parameters fit inputs of that width and one another. */
static bool parameters_fit(il_tensor *const *in)
{
    const il_tensor *wi = in[W_INPUT];
    const il_tensor *wh = in[W_HIDDEN];
    int64_t gates;

    if (wi->ndim != 2 || wh->ndim != 2) {
        return false;
    }
    gates = 3 * wh->shape[1];
    return gates > 0 && wi->shape[1] == il_width(in[X]) && wi->shape[0] == gates &&
           wh->shape[0] == gates && in[B_INPUT]->ndim == 1 &&
           in[B_INPUT]->shape[0] == gates && in[B_HIDDEN]->ndim == 1 &&
           in[B_HIDDEN]->shape[0] == gates;
}

/* Both ops, once the shapes are known to fit: `rows` sequences of `length`. */
static il_tensor *run(il_pass *p, const char *op, il_tensor *const *in, int64_t rows,
                      int64_t length)
{
    const int64_t w = in[W_HIDDEN]->shape[1];
    int64_t shape[IL_DIMS_MAX];
    gru_state *s = il__bytes(p, sizeof *s);
    il__tensor *y;

    memcpy(shape, in[X]->shape, sizeof shape);
    shape[in[X]->ndim - 1] = w;
    y = il__make(p, op, in[X]->ndim, shape, INPUTS, in);
    if (s == NULL || y == NULL) {
        return il__empty(p);
    }
    *s = (gru_state){.b = rows, .t = length, .w = w, .x = il_f32(in[X])};
    s->gates = il__floats(p, rows * length * 3 * w);
    s->nh = il__floats(p, rows * length * w);
    s->states = il__floats(p, rows * (length + 1) * w);
    if (s->gates == NULL || s->nh == NULL || s->states == NULL) {
        return il__empty(p);
    }
    if (length > 1) {
        float *x = il__floats(p, il_count(in[X]));

        if (x == NULL) {
            return il__empty(p);
        }
        swap_rows(x, il_f32(in[X]), length, rows, il_width(in[X]));
        s->x = x;
    }
    forward_gru(p, s, il_f32(&y->pub), in);
    return il__record(p, back_gru, s, y, NULL, INPUTS, in);
}

il_tensor *il__op_gru(il_pass *p, il_tensor *x, il_tensor *w_input, il_tensor *b_input,
                      il_tensor *w_hidden, il_tensor *b_hidden, il_tensor *before)
{
    il_tensor *in[INPUTS] = {x, w_input, b_input, w_hidden, b_hidden, before};

    if (!il__ready(p, "gru", BEFORE, INPUTS, in)) {
        return il__empty(p);
    }
    if (x->ndim != 3 || !parameters_fit(in) ||
        (before != NULL && (before->ndim != 2 || before->shape[0] != x->shape[0] ||
                            before->shape[1] != w_hidden->shape[1]))) {
        return il__refuse(p, IL_ERR_SHAPE, "gru", INPUTS, (const il_tensor *const *)in,
                          "expected x (B,T,I), w_input (3H,I), b_input (3H), w_hidden "
                          "(3H,H), b_hidden (3H), before (B,H) or none");
    }
    return run(p, "gru", in, x->shape[0], x->shape[1]);
}

il_tensor *il__op_gru_cell(il_pass *p, il_tensor *x, il_tensor *before,
                           il_tensor *w_input, il_tensor *b_input, il_tensor *w_hidden,
                           il_tensor *b_hidden)
{
    il_tensor *in[INPUTS] = {x, w_input, b_input, w_hidden, b_hidden, before};

    if (!il__ready(p, "gru_cell", INPUTS, INPUTS, in)) {
        return il__empty(p);
    }
    if (x->ndim < 1 || before->ndim < 1 || !parameters_fit(in) ||
        il_width(before) != w_hidden->shape[1] || il_rows(before) != il_rows(x)) {
        return il__refuse(p, IL_ERR_SHAPE, "gru_cell", INPUTS,
                          (const il_tensor *const *)in,
                          "expected x (...,I), w_input (3H,I), b_input (3H), w_hidden "
                          "(3H,H), b_hidden (3H), before (...,H)");
    }
    return run(p, "gru_cell", in, il_rows(x), 1);
}
