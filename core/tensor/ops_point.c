/* Elementwise ops, and those of two tensors where the second may be spread over the
 * first. */
#include "tensor/tape.h"

#include <string.h>
#include "tensor/kernels.h"

bool il__known_act(il_pass *p, const char *op, il_act act)
{
    if (act >= IL_ACT_NONE && act <= IL_ACT_SILU) {
        return true;
    }
    il__refuse(p, IL_ERR_UNSUPPORTED, op, 0, NULL,
               "this host has no activation of number %d; update it", (int)act);
    return false;
}

typedef struct activation {
    float *y;
    const float *x;
    il_act act;
} activation;

static void activate_part(void *user, int64_t from, int64_t to, int worker)
{
    const activation *a = user;

    (void)worker;
    il_k_act_forward(a->y + from, a->x + from, to - from, a->act);
}

void il__activate(il_pool *team, float *y, const float *x, int64_t count, il_act act)
{
    activation a = {.y = y, .x = x, .act = act};

    il_team_share(team, count, il_team_rows(1), activate_part, &a);
}

static void back_activate(il__back *k, il__node *n)
{
    const il_act *act = n->state;
    const float *dy = il__arrived(k, n->out);
    int64_t count = il_count(&n->out->pub);
    const float *x = il_f32(&n->in[0]->pub);
    const float *y = il_f32(&n->out->pub);
    float beta;
    float *dx = il__grad(k, n->in[0], &beta);

    if (dx != NULL && beta == 0.0f) {
        il_k_act_grad(dx, dy, x, y, count, *act);
    } else if (dx != NULL) {
        il_k_act_backward(dx, dy, x, y, count, *act);
    }
}

il_tensor *il__op_activate(il_pass *p, il_tensor *x, il_act act)
{
    il__tensor *y;
    il_act *state;

    if (!il__ready(p, "activate", 1, 1, &x) || !il__known_act(p, "activate", act)) {
        return il__empty(p);
    }
    if (act == IL_ACT_NONE) {
        return x;
    }
    y = il__make(p, "activate", x->ndim, x->shape, 1, &x);
    state = y != NULL ? il__bytes(p, sizeof *state) : NULL;
    if (state == NULL) {
        return il__empty(p);
    }
    *state = act;
    il__activate(il__of(p)->team, il_f32(&y->pub), il_f32(x), il_count(x), act);
    return il__record(p, back_activate, state, y, NULL, 1, &x);
}

/* ---- act(gate) x ---------------------------------------------------------------- */

typedef struct gating {
    float *y, *dgate, *dx; /* the last two backwards */
    const float *gate, *x, *dy;
    il_act act;
} gating;

static void gated_part(void *user, int64_t from, int64_t to, int worker)
{
    const gating *g = user;

    (void)worker;
    if (g->dy != NULL) {
        il_k_gated_grad(g->dgate + from, g->dx + from, g->dy + from, g->gate + from,
                        g->x + from, to - from, g->act);
    } else {
        il_k_gated_forward(g->y + from, g->gate + from, g->x + from, to - from, g->act);
    }
}

static void back_gated(il__back *k, il__node *n)
{
    const il_act *act = n->state;
    const int64_t count = il_count(&n->out->pub);
    float *dgate = il__scratch(k, count);
    float *dx = dgate != NULL ? il__scratch(k, count) : NULL;
    float *grad;

    if (dx != NULL) {
        gating g = {.dgate = dgate,
                    .dx = dx,
                    .dy = il__arrived(k, n->out),
                    .gate = il_f32(&n->in[0]->pub),
                    .x = il_f32(&n->in[1]->pub),
                    .act = *act};

        il_team_share(k->pass->team, count, il_team_rows(1), gated_part, &g);
        grad = il__grad_add(k, n->in[0]);
        if (grad != NULL) {
            il_k_axpy(grad, 1.0f, dgate, count);
        }
        grad = il__grad_add(k, n->in[1]);
        if (grad != NULL) {
            il_k_axpy(grad, 1.0f, dx, count);
        }
    }
    il__release(k, dx, count);
    il__release(k, dgate, count);
}

il_tensor *il__op_gated(il_pass *p, il_tensor *gate, il_tensor *x, il_act act)
{
    il_tensor *in[] = {gate, x};
    gating g = {.act = act};
    il__tensor *y;
    il_act *state;

    if (!il__ready(p, "gated", 2, 2, in) || !il__known_act(p, "gated", act)) {
        return il__empty(p);
    }
    if (!il__same_shape(gate, x)) {
        return il__refuse(p, IL_ERR_SHAPE, "gated", 2, (const il_tensor *const *)in,
                          "expected two of one shape");
    }
    y = il__make(p, "gated", x->ndim, x->shape, 2, in);
    state = y != NULL ? il__bytes(p, sizeof *state) : NULL;
    if (state == NULL) {
        return il__empty(p);
    }
    *state = act;
    g.y = il_f32(&y->pub);
    g.gate = il_f32(gate);
    g.x = il_f32(x);
    il_team_share(il__of(p)->team, il_count(x), il_team_rows(1), gated_part, &g);
    return il__record(p, back_gated, state, y, NULL, 2, in);
}

/* ---- a op b --------------------------------------------------------------------- */

/* How b lies over a: as rows of w, (rows,w) over (w). */
typedef struct spread {
    int64_t rows;
    int64_t w;
} spread;

/* Whether b's shape is a's, a's without leading dimensions, or one element. */
static bool fits(const il_tensor *a, const il_tensor *b, spread *s)
{
    int64_t count = il_count(a);

    s->w = il_count(b);
    s->rows = s->w > 0 ? count / s->w : 0;
    if (s->w == 1) {
        return true;
    }
    if (b->ndim > a->ndim) {
        return false;
    }
    for (int32_t i = 1; i <= b->ndim; i++) {
        if (b->shape[b->ndim - i] != a->shape[a->ndim - i]) {
            return false;
        }
    }
    return true;
}

/* dx += alpha dy, or dx = alpha dy where nothing had arrived. */
static void pass_on(il__back *k, il__tensor *x, float alpha, const float *dy)
{
    int64_t n = x != NULL ? il_count(&x->pub) : 0;
    float beta;
    float *dx = il__grad(k, x, &beta);

    if (dx == NULL) {
        return;
    }
    if (beta == 0.0f && alpha == 1.0f) {
        memcpy(dx, dy, (size_t)n * sizeof *dx);
    } else if (beta == 0.0f) {
        il_k_affine(dx, dy, alpha, 0.0f, n);
    } else {
        il_k_axpy(dx, alpha, dy, n);
    }
}

/* What comes to b through a sum: alpha times dy, summed over the rows it was spread to.
 */
static void gather_b(il__back *k, il__node *n, float alpha)
{
    const spread *s = n->state;
    const float *dy = il__arrived(k, n->out);

    if (s->rows == 1) {
        pass_on(k, n->in[1], alpha, dy);
    } else {
        float *db = il__grad_add(k, n->in[1]);

        if (db != NULL && s->w == 1) {
            *db += alpha * (float)il_k_sum(dy, s->rows);
        } else if (db != NULL) {
            il_k_col_axpy(db, alpha, dy, s->rows, s->w);
        }
    }
}

/* What one input is given last may be handed on without a copy. */
static void back_add(il__back *k, il__node *n)
{
    const spread *s = n->state;

    pass_on(k, n->in[0], 1.0f, il__arrived(k, n->out));
    if (s->rows != 1 || !il__hand_on(k, n->in[1], n->out)) {
        gather_b(k, n, 1.0f);
    }
}

static void back_sub(il__back *k, il__node *n)
{
    gather_b(k, n, -1.0f);
    if (!il__hand_on(k, n->in[0], n->out)) {
        pass_on(k, n->in[0], 1.0f, il__arrived(k, n->out));
    }
}

static void back_mul(il__back *k, il__node *n)
{
    const spread *s = n->state;
    const float *dy = il__arrived(k, n->out);
    const float *a = il_f32(&n->in[0]->pub);
    const float *b = il_f32(&n->in[1]->pub);
    float beta;
    float *da = il__grad(k, n->in[0], &beta);
    float *db;

    if (da != NULL && beta == 0.0f) {
        il_k_mul(da, dy, b, s->rows, s->w);
    } else if (da != NULL) {
        il_k_mul_add(da, dy, b, s->rows, s->w);
    }
    db = il__grad_add(k, n->in[1]);
    if (db != NULL && s->w == 1) {
        *db += (float)il_k_dot(dy, a, s->rows);
    } else if (db != NULL) {
        il_k_col_dot(db, dy, a, s->rows, s->w);
    }
}

typedef void two_kernel(float *y, const float *a, const float *b, int64_t rows,
                        int64_t w);

typedef struct pairing {
    two_kernel *kernel;
    float *y;
    const float *a, *b;
    spread s;
} pairing;

/* Parts of the rows, or of the only row. */
static void two_part(void *user, int64_t from, int64_t to, int worker)
{
    const pairing *t = user;

    (void)worker;
    if (t->s.rows == 1) {
        t->kernel(t->y + from, t->a + from, t->b + from, 1, to - from);
    } else {
        t->kernel(t->y + from * t->s.w, t->a + from * t->s.w, t->b, to - from, t->s.w);
    }
}

static il_tensor *two(il_pass *p, const char *op, two_kernel *kernel,
                      il__backward *backward, il_tensor *a, il_tensor *b)
{
    il_tensor *in[] = {a, b};
    pairing t = {.kernel = kernel};
    spread *state;
    il__tensor *y;
    bool alone;

    if (!il__ready(p, op, 2, 2, in)) {
        return il__empty(p);
    }
    if (!fits(a, b, &t.s)) {
        return il__refuse(p, IL_ERR_SHAPE, op, 2, (const il_tensor *const *)in,
                          "expected b as a, or as a without leading dimensions, or of "
                          "one element");
    }
    y = il__make(p, op, a->ndim, a->shape, 2, in);
    state = y != NULL ? il__bytes(p, sizeof *state) : NULL;
    if (state == NULL) {
        return il__empty(p);
    }
    *state = t.s;
    t.y = il_f32(&y->pub);
    t.a = il_f32(a);
    t.b = il_f32(b);
    alone = t.s.rows == 1;
    il_team_share(il__of(p)->team, alone ? t.s.w : t.s.rows,
                  il_team_rows(alone ? 1 : t.s.w), two_part, &t);
    return il__record(p, backward, state, y, NULL, 2, in);
}

il_tensor *il__op_add(il_pass *p, il_tensor *a, il_tensor *b)
{
    return two(p, "add", il_k_add, back_add, a, b);
}

il_tensor *il__op_sub(il_pass *p, il_tensor *a, il_tensor *b)
{
    return two(p, "sub", il_k_sub, back_sub, a, b);
}

il_tensor *il__op_mul(il_pass *p, il_tensor *a, il_tensor *b)
{
    return two(p, "mul", il_k_mul, back_mul, a, b);
}

/* ---- affine, binary cross-entropy ----------------------------------------------- */

static void back_affine(il__back *k, il__node *n)
{
    const float *scale = n->state;

    pass_on(k, n->in[0], *scale, il__arrived(k, n->out));
}

il_tensor *il__op_affine(il_pass *p, il_tensor *x, float scale, float shift)
{
    il__tensor *y;
    float *state;

    if (!il__ready(p, "affine", 1, 1, &x)) {
        return il__empty(p);
    }
    y = il__make(p, "affine", x->ndim, x->shape, 1, &x);
    state = y != NULL ? il__floats(p, 1) : NULL;
    if (state == NULL) {
        return il__empty(p);
    }
    *state = scale;
    il_k_affine(il_f32(&y->pub), il_f32(x), scale, shift, il_count(x));
    return il__record(p, back_affine, state, y, NULL, 1, &x);
}

static void back_bce(il__back *k, il__node *n)
{
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_bce_backward(dx, il__arrived(k, n->out), il_f32(&n->in[0]->pub), n->state,
                          il_count(&n->out->pub));
    }
}

il_tensor *il__op_bce_logits(il_pass *p, il_tensor *logits, il_tensor *targets)
{
    il_tensor *in[] = {logits, targets};
    il__tensor *y;

    if (!il__ready(p, "bce_logits", 2, 2, in)) {
        return il__empty(p);
    }
    if (il_count(logits) != il_count(targets)) {
        return il__refuse(p, IL_ERR_SHAPE, "bce_logits", 2,
                          (const il_tensor *const *)in,
                          "expected as many targets as logits");
    }
    for (int64_t i = 0; i < il_count(targets); i++) {
        if (!(il_f32(targets)[i] >= 0.0f && il_f32(targets)[i] <= 1.0f)) {
            return il__refuse(p, IL_ERR_INPUT, "bce_logits", 2,
                              (const il_tensor *const *)in,
                              "target %lld is %g, expected one in [0,1]", (long long)i,
                              (double)il_f32(targets)[i]);
        }
    }
    y = il__make(p, "bce_logits", logits->ndim, logits->shape, 2, in);
    if (y == NULL) {
        return il__empty(p);
    }
    /* A gradient flows to the logits alone; both are what the value depends on. */
    y->g = il__t(logits)->g;
    il_k_bce_rows(il_f32(&y->pub), il_f32(logits), il_f32(targets), il_count(logits));
    return il__record(p, back_bce, targets->data, y, NULL, 1, in);
}
