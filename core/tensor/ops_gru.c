/* A gated recurrent unit (Cho et al. 2014) in the convention of cuDNN and PyTorch,
 * where the reset gate scales the hidden product of the candidate:
 *
 *     r = sigmoid(Wr x + br + Ur h + cr),  z = sigmoid(Wz x + bz + Uz h + cz)
 *     n = tanh(Wn x + bn + r (Un h + cn)),  h' = n + z (h - n)
 *
 * W x is one product over all positions. Only U h waits for the position before, on U
 * transposed once. Backward walks the positions for the gates' gradients alone; each
 * weight gradient is one product over all positions after that. */
#include "tensor/tape.h"

#include <string.h>
#include "tensor/kernels.h"

enum { X, W_INPUT, B_INPUT, W_HIDDEN, B_HIDDEN, BEFORE, INPUTS };

typedef struct gru_state {
    int64_t b, t, w;
    float *gates; /* (b,t,3w): r, z, n */
    float *nh;    /* (b,t,w): Un h + cn */
} gru_state;

/* out (w,3w) = the transpose of u (3w,w). */
static void transpose(float *out, const float *u, int64_t w)
{
    for (int64_t k = 0; k < w; k++) {
        for (int64_t j = 0; j < 3 * w; j++) {
            out[k * 3 * w + j] = u[j * w + k];
        }
    }
}

/* What position t takes as the state before it, and how many rows lie between two of
 * the batch; NULL for zeros. */
static const float *before(const gru_state *s, const float *out, const float *first,
                           int64_t t, int64_t *apart)
{
    *apart = t == 0 ? 1 : s->t;
    return t == 0 ? first : out + (t - 1) * s->w;
}

static void forward_gru(il_pass *p, const gru_state *s, float *out,
                        il_tensor *const *in)
{
    const il_blas *blas = il__of(p)->blas;
    const int64_t w = s->w;
    const int64_t inputs = in[W_INPUT]->shape[1];
    float *u = il__floats(p, 3 * w * w);
    float *hidden = il__floats(p, s->b * 3 * w);

    if (u == NULL || hidden == NULL) {
        return;
    }
    il_k_bias_rows(s->gates, il_f32(in[B_INPUT]), s->b * s->t, 3 * w);
    il_blas_gemm(blas, false, true, s->b * s->t, 3 * w, inputs, 1.0f, il_f32(in[X]),
                 inputs, il_f32(in[W_INPUT]), inputs, 1.0f, s->gates, 3 * w);
    if (s->t > 1) {
        transpose(u, il_f32(in[W_HIDDEN]), w);
    }
    for (int64_t t = 0; t < s->t; t++) {
        int64_t apart;
        const float *was = before(s, out, il_f32(in[BEFORE]), t, &apart);

        il_k_bias_rows(hidden, il_f32(in[B_HIDDEN]), s->b, 3 * w);
        if (was != NULL && s->t > 1) {
            il_blas_gemm(blas, false, false, s->b, 3 * w, w, 1.0f, was, apart * w, u,
                         3 * w, 1.0f, hidden, 3 * w);
        } else if (was != NULL) { /* once: not worth the transposing */
            il_blas_gemm(blas, false, true, s->b, 3 * w, w, 1.0f, was, apart * w,
                         il_f32(in[W_HIDDEN]), w, 1.0f, hidden, 3 * w);
        }
        il_k_gru_forward(out + t * w, s->gates + t * 3 * w, s->nh + t * w, hidden, was,
                         s->b, w, s->t, apart);
    }
}

/* Every position's state before it, (b,t,w). */
static void gather_before(float *to, const gru_state *s, const float *out,
                          const float *first)
{
    const size_t bytes = (size_t)s->w * sizeof *to;

    for (int64_t b = 0; b < s->b; b++) {
        float *row = to + b * s->t * s->w;

        if (first != NULL) {
            memcpy(row, first + b * s->w, bytes);
        } else {
            memset(row, 0, bytes);
        }
        memcpy(row + s->w, out + b * s->t * s->w, (size_t)(s->t - 1) * bytes);
    }
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

/* The gates' gradients of all positions, (b,t,3w) before the input's product and
 * before the hidden one, and what is left for the first state in dh (b,w). */
static void back_positions(il__back *k, const il__node *n, float *dinput,
                           float *dhidden, float *dh)
{
    const gru_state *s = n->state;
    const int64_t w = s->w;
    const float *dy = il__arrived(k, n->out);
    const float *u = il_f32(&n->in[W_HIDDEN]->pub);
    const float *first = n->in[BEFORE] != NULL ? il_f32(&n->in[BEFORE]->pub) : NULL;

    memset(dh, 0, (size_t)(s->b * w) * sizeof *dh);
    for (int64_t t = s->t - 1; t >= 0; t--) {
        int64_t apart;
        const float *was = before(s, il_f32(&n->out->pub), first, t, &apart);

        il_k_gru_backward(dinput + t * 3 * w, dhidden + t * 3 * w, dh, dy + t * w,
                          s->gates + t * 3 * w, s->nh + t * w, was, s->b, w, s->t,
                          apart);
        if (was != NULL) {
            il_blas_gemm(k->pass->blas, false, false, s->b, w, 3 * w, 1.0f,
                         dhidden + t * 3 * w, s->t * 3 * w, u, w, 1.0f, dh, w);
        }
    }
}

static void back_gru(il__back *k, il__node *n)
{
    const gru_state *s = n->state;
    const int64_t w = s->w;
    const int64_t rows = s->b * s->t;
    const il_tensor *x = &n->in[X]->pub;
    const int64_t inputs = il_width(x);
    float *dinput = il__scratch(k, rows * 3 * w);
    float *dhidden = il__scratch(k, rows * 3 * w);
    float *dh = il__scratch(k, s->b * w);
    float *was = il__scratch(k, rows * w);
    float beta;
    float *grad;

    if (!k->failed && rows > 0) {
        back_positions(k, n, dinput, dhidden, dh);
        gather_before(was, s, il_f32(&n->out->pub),
                      n->in[BEFORE] != NULL ? il_f32(&n->in[BEFORE]->pub) : NULL);
        grad = il__grad(k, n->in[X], &beta);
        if (grad != NULL) {
            il_blas_gemm(k->pass->blas, false, false, rows, inputs, 3 * w, 1.0f, dinput,
                         3 * w, il_f32(&n->in[W_INPUT]->pub), inputs, beta, grad,
                         inputs);
        }
        back_weights(k, n->in[W_INPUT], n->in[B_INPUT], dinput, il_f32(x), rows);
        back_weights(k, n->in[W_HIDDEN], n->in[B_HIDDEN], dhidden, was, rows);
        grad = il__grad_add(k, n->in[BEFORE]);
        if (grad != NULL) {
            il_k_axpy(grad, 1.0f, dh, s->b * w);
        }
    }
    il__release(k, dinput, rows * 3 * w);
    il__release(k, dhidden, rows * 3 * w);
    il__release(k, dh, s->b * w);
    il__release(k, was, rows * w);
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
    *s = (gru_state){.b = rows, .t = length, .w = w};
    s->gates = il__floats(p, rows * length * 3 * w);
    s->nh = il__floats(p, rows * length * w);
    if (s->gates == NULL || s->nh == NULL) {
        return il__empty(p);
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
