/* Matrix products. Row-major throughout: x (N,I), w (O,I), y (N,O). */
#include "tensor/tape.h"

#include <string.h>
#include "tensor/kernels.h"

/* The shape of x with another last dimension. */
static void shape_with_width(int64_t out[IL_DIMS_MAX], const il_tensor *x, int64_t w)
{
    memcpy(out, x->shape, sizeof x->shape);
    out[x->ndim - 1] = w;
}

/* y = x w^T + b. */
static void forward_linear(il_pass *p, float *y, const il_tensor *x, const il_tensor *w,
                           const il_tensor *b)
{
    int64_t rows = il_rows(x);
    int64_t in = w->shape[1];
    int64_t out = w->shape[0];

    const float *turned = il__turned_of(p, w);

    il_blas_linear(il__of(p)->blas, il__of(p)->team, turned == NULL, rows, out, in,
                   il_f32(x), in, turned != NULL ? turned : il_f32(w),
                   turned != NULL ? out : in, b != NULL ? il_f32(b) : NULL, y, out);
}

/* dx += dy w, dw += dy^T x, db += column sums of dy. */
static void backward_linear(il__back *k, const il__node *n, const float *dy)
{
    il__tensor *x = n->in[0];
    il__tensor *w = n->in[1];
    const il_blas *blas = k->pass->blas;
    il_pool *team = k->pass->team;
    int64_t rows = il_rows(&x->pub);
    int64_t in = w->pub.shape[1];
    int64_t out = w->pub.shape[0];
    float beta;
    float *grad = il__grad(k, x, &beta);

    if (grad != NULL) {
        il_blas_gemm_by(blas, team, false, false, rows, in, out, 1.0f, dy, out,
                        il_f32(&w->pub), in, beta, grad, in);
    }
    grad = il__grad(k, w, &beta);
    if (grad != NULL) {
        il_blas_gemm_by(blas, team, true, false, out, in, rows, 1.0f, dy, out,
                        il_f32(&x->pub), in, beta, grad, in);
    }
    grad = il__grad_add(k, n->in[2]);
    if (grad != NULL) {
        il_k_col_sum(grad, dy, rows, out);
    }
}

static void back_linear(il__back *k, il__node *n)
{
    backward_linear(k, n, il__arrived(k, n->out));
}

typedef struct act_state {
    il_act act;
    const float
        *before; /* the sums before the activation, where its slope needs them */
} act_state;

static void back_linear_act(il__back *k, il__node *n)
{
    const act_state *s = n->state;
    int64_t count = il_count(&n->out->pub);
    float *dy = il__scratch(k, count);

    if (dy != NULL) {
        il_k_act_grad(dy, il__arrived(k, n->out), s->before, il_f32(&n->out->pub),
                      count, s->act);
        backward_linear(k, n, dy);
    }
    il__release(k, dy, count);
}

il_tensor *il__op_linear(il_pass *p, il_tensor *x, il_tensor *w, il_tensor *b,
                         il_act act)
{
    il_tensor *in[] = {x, w, b};
    int64_t shape[IL_DIMS_MAX];
    il__tensor *y;
    act_state *s;
    float *before;

    if (!il__ready(p, "linear", 2, 3, in)) {
        return il__empty(p);
    }
    if (x->ndim < 1 || w->ndim != 2 || il_width(x) != w->shape[1] ||
        (b != NULL && (b->ndim != 1 || b->shape[0] != w->shape[0]))) {
        return il__refuse(p, IL_ERR_SHAPE, "linear", 3, (const il_tensor *const *)in,
                          "expected x (...,I), w (O,I), b (O) or none");
    }
    if (!il__known_act(p, "linear", act)) {
        return il__empty(p);
    }
    shape_with_width(shape, x, w->shape[0]);
    y = il__make(p, "linear", x->ndim, shape, 3, in);
    if (y == NULL) {
        return il__empty(p);
    }
    if (act == IL_ACT_NONE) {
        forward_linear(p, il_f32(&y->pub), x, w, b);
        return il__record(p, back_linear, NULL, y, NULL, 3, in);
    }
    s = il__bytes(p, sizeof *s);
    before = il_f32(&y->pub);
    if (il_k_act_keeps_x(act) && il__tracked(p, y)) {
        before = il__floats(p, il_count(&y->pub));
    }
    if (s == NULL || before == NULL) {
        return il__empty(p);
    }
    forward_linear(p, before, x, w, b);
    il__activate(il__of(p)->team, il_f32(&y->pub), before, il_count(&y->pub), act);
    s->act = act;
    s->before = before != il_f32(&y->pub) ? before : NULL;
    return il__record(p, back_linear_act, s, y, NULL, 3, in);
}

/* y = a b: da = dy b^T, db = a^T dy; with b transposed da = dy b, db = dy^T a. */
static void back_matmul(il__back *k, il__node *n)
{
    const float *dy = il__arrived(k, n->out);
    const il_blas *blas = k->pass->blas;
    il_pool *team = k->pass->team;
    il__tensor *a = n->in[0];
    il__tensor *b = n->in[1];
    bool transposed = n->state != NULL;
    int64_t rows = il_rows(&n->out->pub);
    int64_t inner = il_width(&a->pub);
    int64_t cols = il_width(&n->out->pub);
    float beta;
    float *grad = il__grad(k, a, &beta);

    if (grad != NULL) {
        il_blas_gemm_by(blas, team, false, !transposed, rows, inner, cols, 1.0f, dy,
                        cols, il_f32(&b->pub), il_width(&b->pub), beta, grad, inner);
    }
    grad = il__grad(k, b, &beta);
    if (grad != NULL && transposed) {
        il_blas_gemm_by(blas, team, true, false, cols, inner, rows, 1.0f, dy, cols,
                        il_f32(&a->pub), inner, beta, grad, inner);
    } else if (grad != NULL) {
        il_blas_gemm_by(blas, team, true, false, inner, cols, rows, 1.0f,
                        il_f32(&a->pub), inner, dy, cols, beta, grad, cols);
    }
}

il_tensor *il__op_matmul(il_pass *p, il_tensor *a, il_tensor *b, bool transpose_b)
{
    il_tensor *in[] = {a, b};
    int64_t shape[IL_DIMS_MAX];
    int64_t cols;
    il__tensor *y;

    if (!il__ready(p, "matmul", 2, 2, in)) {
        return il__empty(p);
    }
    if (a->ndim < 1 || b->ndim != 2 || il_width(a) != b->shape[transpose_b ? 1 : 0]) {
        return il__refuse(p, IL_ERR_SHAPE, "matmul", 2, (const il_tensor *const *)in,
                          transpose_b ? "expected a (...,K), b (N,K)"
                                      : "expected a (...,K), b (K,N)");
    }
    cols = b->shape[transpose_b ? 0 : 1];
    shape_with_width(shape, a, cols);
    y = il__make(p, "matmul", a->ndim, shape, 2, in);
    if (y == NULL) {
        return il__empty(p);
    }
    il_blas_gemm_by(il__of(p)->blas, il__of(p)->team, false, transpose_b, il_rows(a),
                    cols, il_width(a), 1.0f, il_f32(a), il_width(a), il_f32(b),
                    il_width(b), 0.0f, il_f32(&y->pub), cols);
    /* The state says only whether b was transposed: any address does. */
    return il__record(p, back_matmul, transpose_b ? (void *)y : NULL, y, NULL, 2, in);
}
