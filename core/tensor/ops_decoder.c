/* What decoders since GPT-2 are made of: rotary positions, and attention whose heads
 * share keys and values and may see no further back than a window.
 *
 * Attention goes head by head in blocks of queries: of the scores (t,t) only what some
 * query of the block sees is computed. */
#include "tensor/tape.h"

#include <math.h>
#include <string.h>
#include "tensor/kernels.h"

/* ---- rotary positions ----------------------------------------------------------- */

il_tensor *il__op_rotary_table(il_pass *p, int64_t at, int64_t count, int32_t pairs,
                               const float *rates, float scale)
{
    il__tensor *table;

    if (!il__ready(p, "rotary_table", 0, 0, NULL)) {
        return il__empty(p);
    }
    if (at < 0 || count < 0 || pairs < 1 || rates == NULL) {
        return il__refuse(p, IL_ERR_SHAPE, "rotary_table", 0, NULL,
                          "expected positions and rates, got %lld from %lld with %d",
                          (long long)count, (long long)at, (int)pairs);
    }
    table = il__make(p, "rotary_table", 2, (const int64_t[]){count, 2 * (int64_t)pairs},
                     0, NULL);
    if (table == NULL) {
        return il__empty(p);
    }
    il_k_rotary_table(il_f32(&table->pub), at, count, rates, pairs, scale);
    return &table->pub;
}

typedef struct turning {
    int64_t rows, t, heads, d, pairs;
} turning;

static void back_rotary(il__back *k, il__node *n)
{
    const turning *s = n->state;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_rotary_backward(dx, il__arrived(k, n->out), il_f32(&n->in[1]->pub),
                             s->rows, s->t, s->heads, s->d, s->pairs);
    }
}

typedef struct rotating {
    float *y;
    const float *x, *table;
    turning s;
} rotating;

/* Positions of all rows, one after the other. */
static void rotary_part(void *user, int64_t from, int64_t to, int worker)
{
    const rotating *r = user;
    const turning *s = &r->s;
    const int64_t wide = s->heads * s->d;

    (void)worker;
    while (from < to) {
        const int64_t at = from % s->t;
        const int64_t n = to - from < s->t - at ? to - from : s->t - at;

        il_k_rotary_forward(r->y + from * wide, r->x + from * wide,
                            r->table + at * 2 * s->pairs, 1, n, s->heads, s->d,
                            s->pairs);
        from += n;
    }
}

il_tensor *il__op_rotary(il_pass *p, il_tensor *x, int32_t heads, il_tensor *table)
{
    il_tensor *in[] = {x, table};
    rotating r;
    il__tensor *y;
    turning *s;

    if (!il__ready(p, "rotary", 2, 2, in)) {
        return il__empty(p);
    }
    if (x->ndim != 3 || heads < 1 || x->shape[2] % heads != 0 || table->ndim != 2 ||
        table->shape[0] != x->shape[1] || table->shape[1] % 2 != 0 ||
        table->shape[1] > x->shape[2] / heads) {
        return il__refuse(p, IL_ERR_SHAPE, "rotary", 2, (const il_tensor *const *)in,
                          "expected x (B,T,%d heads of D), table (T,R) with R even and "
                          "at most D",
                          (int)heads);
    }
    y = il__make(p, "rotary", 3, x->shape, 2, in);
    s = y != NULL ? il__bytes(p, sizeof *s) : NULL;
    if (s == NULL) {
        return il__empty(p);
    }
    s->rows = x->shape[0];
    s->t = x->shape[1];
    s->heads = heads;
    s->d = x->shape[2] / heads;
    s->pairs = table->shape[1] / 2;
    r.y = il_f32(&y->pub);
    r.x = il_f32(x);
    r.table = il_f32(table);
    r.s = *s;
    il_team_share(il__of(p)->team, s->rows * s->t, il_team_rows(x->shape[2]),
                  rotary_part, &r);
    return il__record(p, back_rotary, s, y, NULL, 2, in);
}

/* ---- attention ------------------------------------------------------------------ */

enum { BLOCK = 128 }; /* queries whose scores are computed together */

typedef struct sizes {
    int64_t b, t;
    int64_t heads, groups, d;
    int64_t window;
    float scale;
    const float *p; /* (b,heads,t,t), or NULL: kept for nobody */
} sizes;

/* One head's part of each tensor; rows of queries and outputs lie heads*d apart, those
 * of keys and values groups*d. */
typedef struct head {
    int64_t q;
    int64_t k;
    int64_t p;
} head;

static head head_at(const sizes *s, int64_t b, int64_t h)
{
    const int64_t group = h / (s->heads / s->groups);

    return (head){.q = (b * s->t * s->heads + h) * s->d,
                  .k = (b * s->t * s->groups + group) * s->d,
                  .p = (b * s->heads + h) * s->t * s->t};
}

/* A block of queries [from,to) and the keys [first,to) that some of them see. */
typedef struct block {
    int64_t from, to, first;
} block;

static block block_at(const sizes *s, int64_t from)
{
    block k = {.from = from, .to = s->t - from < BLOCK ? s->t : from + BLOCK};

    k.first = s->window > 0 && from + 1 > s->window ? from + 1 - s->window : 0;
    return k;
}

/* `p` is where the block's first row of probabilities goes. */
static void forward_block(const il_blas *blas, const sizes *s, const block *k,
                          float *out, float *p, const float *q, const float *key,
                          const float *value)
{
    const int64_t wide = s->heads * s->d;
    const int64_t narrow = s->groups * s->d;
    float *scores = p + k->first;

    il_blas_gemm(blas, false, true, k->to - k->from, k->to - k->first, s->d, 1.0f,
                 q + k->from * wide, wide, key + k->first * narrow, narrow, 0.0f,
                 scores, s->t);
    il_k_band_softmax(p, s->t, k->from, k->to, s->window, s->scale);
    il_blas_gemm(blas, false, false, k->to - k->from, s->d, k->to - k->first, 1.0f,
                 scores, s->t, value + k->first * narrow, narrow, 0.0f,
                 out + k->from * wide, wide);
}

/* Outside the blocks a pattern that somebody reads is zero. */
static void clear_unseen(const sizes *s, const block *k, float *p)
{
    for (int64_t i = 0; i < k->to - k->from; i++) {
        memset(p + i * s->t, 0, (size_t)k->first * sizeof *p);
        memset(p + i * s->t + k->to, 0, (size_t)(s->t - k->to) * sizeof *p);
    }
}

/* dV += P^T dO, dP = dO V^T (+ what came to the pattern), dS = softmax'(dP), dQ += dS
 * K, dK += dS^T Q, the scale being in dS. `dout`, `dpattern` and each gradient may be
 * NULL; ds (BLOCK,t) is scratch. */
typedef struct pulled {
    float *dq, *dk, *dv;
    const float *dout, *dpattern;
    const float *q, *k, *v, *p;
    float *ds;
} pulled;

static void back_block(const il_blas *blas, const sizes *s, const block *k,
                       const pulled *x)
{
    const int64_t wide = s->heads * s->d;
    const int64_t narrow = s->groups * s->d;
    const int64_t m = k->to - k->from;
    const int64_t n = k->to - k->first;
    const int64_t corner = k->from * s->t + k->first;
    const float *dout = x->dout != NULL ? x->dout + k->from * wide : NULL;
    float *ds = x->ds + k->first;

    if (dout != NULL && x->dv != NULL) {
        il_blas_gemm(blas, true, false, n, s->d, m, 1.0f, x->p + corner, s->t, dout,
                     wide, 1.0f, x->dv + k->first * narrow, narrow);
    }
    if (x->dq == NULL && x->dk == NULL) {
        return;
    }
    if (dout != NULL) {
        il_blas_gemm(blas, false, true, m, n, s->d, 1.0f, dout, wide,
                     x->v + k->first * narrow, narrow, 0.0f, ds, s->t);
    }
    for (int64_t i = 0; x->dpattern != NULL && i < m; i++) {
        const float *from = x->dpattern + corner + i * s->t;

        if (dout != NULL) {
            il_k_axpy(ds + i * s->t, 1.0f, from, n);
        } else {
            memcpy(ds + i * s->t, from, (size_t)n * sizeof *ds);
        }
    }
    il_k_band_softmax_backward(x->ds, x->p + k->from * s->t, s->t, k->from, k->to,
                               s->window, s->scale);
    if (x->dq != NULL) {
        il_blas_gemm(blas, false, false, m, s->d, n, 1.0f, ds, s->t,
                     x->k + k->first * narrow, narrow, 1.0f, x->dq + k->from * wide,
                     wide);
    }
    if (x->dk != NULL) {
        il_blas_gemm(blas, true, false, n, s->d, m, 1.0f, ds, s->t,
                     x->q + k->from * wide, wide, 1.0f, x->dk + k->first * narrow,
                     narrow);
    }
}

static float *offset(float *x, int64_t by)
{
    return x != NULL ? x + by : NULL;
}

static const float *offset_const(const float *x, int64_t by)
{
    return x != NULL ? x + by : NULL;
}

/* A backward, as its parts see it. */
typedef struct attention_back {
    const il_blas *blas;
    const sizes *s;
    pulled whole; /* of all heads */
} attention_back;

/* Heads that share keys and values add to the same gradients, so they are one part. */
static void back_part(void *user, int64_t from, int64_t to, int worker)
{
    const attention_back *a = user;
    const sizes *s = a->s;
    const pulled *w = &a->whole;
    const int64_t shared = s->heads / s->groups;

    for (int64_t i = from * shared; i < to * shared; i++) {
        const head at = head_at(s, i / s->heads, i % s->heads);
        const pulled x = {.dq = offset(w->dq, at.q),
                          .dk = offset(w->dk, at.k),
                          .dv = offset(w->dv, at.k),
                          .dout = offset_const(w->dout, at.q),
                          .dpattern = offset_const(w->dpattern, at.p),
                          .q = w->q + at.q,
                          .k = w->k + at.k,
                          .v = w->v + at.k,
                          .p = s->p + at.p,
                          .ds = w->ds + worker * BLOCK * s->t};

        for (int64_t first = 0; first < s->t; first += BLOCK) {
            const block part = block_at(s, first);

            back_block(a->blas, s, &part, &x);
        }
    }
}

static void back_attention(il__back *k, il__node *n)
{
    const sizes *s = n->state;
    const float *dout = il__arrived(k, n->out);
    const int64_t room = il_team_workers(k->pass->team) * BLOCK * s->t;
    attention_back a = {.blas = k->pass->blas,
                        .s = s,
                        .whole = {.dq = il__grad_add(k, n->in[0]),
                                  .dk = il__grad_add(k, n->in[1]),
                                  .dv = dout != NULL ? il__grad_add(k, n->in[2]) : NULL,
                                  .dout = dout,
                                  .dpattern = il__arrived(k, n->also),
                                  .q = il_f32(&n->in[0]->pub),
                                  .k = il_f32(&n->in[1]->pub),
                                  .v = il_f32(&n->in[2]->pub),
                                  .ds = il__scratch(k, room)}};

    if (a.whole.ds != NULL) {
        il_team_share(k->pass->team, s->b * s->groups, 1, back_part, &a);
    }
    il__release(k, a.whole.ds, room);
}

/* Whether shapes fit each other; an error sticks when they do not. */
static bool attention_sizes(il_pass *p, const il_attention *a, sizes *s)
{
    il_tensor *in[] = {a->q, a->k, a->v};
    const int64_t d = a->heads > 0 && a->q->ndim == 3 && a->q->shape[2] % a->heads == 0
                          ? a->q->shape[2] / a->heads
                          : 0;

    memset(s, 0, sizeof *s);
    if (d < 1 || a->k->ndim != 3 || !il__same_shape(a->k, a->v) ||
        a->k->shape[0] != a->q->shape[0] || a->k->shape[1] != a->q->shape[1] ||
        a->k->shape[2] < d || a->k->shape[2] % d != 0 ||
        a->heads % (a->k->shape[2] / d) != 0 || a->window < 0) {
        (void)il__refuse(p, IL_ERR_SHAPE, "attention", 3, (const il_tensor *const *)in,
                         "expected q (B,T,%d heads of D), k and v (B,T,G*D) with G "
                         "dividing the heads",
                         (int)a->heads);
        return false;
    }
    s->b = a->q->shape[0];
    s->t = a->q->shape[1];
    s->heads = a->heads;
    s->d = d;
    s->groups = a->k->shape[2] / d;
    s->window = a->window;
    s->scale = a->scale > 0.0f ? a->scale : 1.0f / sqrtf((float)d);
    return true;
}

/* A forward, as its parts see it. */
typedef struct attention_forward {
    const il_blas *blas;
    const sizes *s;
    float *out, *p;
    float *scores; /* (workers,BLOCK,t) where no probabilities are kept */
    const float *q, *k, *v;
    bool read; /* somebody reads them, so what no query sees is zero */
} attention_forward;

static int64_t blocks_of(const sizes *s)
{
    return (s->t + BLOCK - 1) / BLOCK;
}

/* Blocks of all heads, one after the other. */
static void forward_part(void *user, int64_t from, int64_t to, int worker)
{
    const attention_forward *a = user;
    const sizes *s = a->s;
    const int64_t blocks = blocks_of(s);

    for (int64_t i = from; i < to; i++) {
        const block part = block_at(s, i % blocks * BLOCK);
        const head at = head_at(s, i / blocks / s->heads, i / blocks % s->heads);
        float *p = a->scores != NULL ? a->scores + worker * BLOCK * s->t
                                     : a->p + at.p + part.from * s->t;

        forward_block(a->blas, s, &part, a->out + at.q, p, a->q + at.q, a->k + at.k,
                      a->v + at.k);
        if (a->read) {
            clear_unseen(s, &part, p);
        }
    }
}

static il_tensor *attend_whole(il_pass *p, const il_attention *a, const sizes *given)
{
    il__pass *own = il__of(p);
    il_tensor *in[] = {a->q, a->k, a->v};
    sizes *s = il__bytes(p, sizeof *s);
    il__tensor *out =
        s != NULL ? il__make(p, "attention", 3, a->q->shape, 3, in) : NULL;
    il__tensor *prob = NULL;
    attention_forward f = {.blas = own->blas,
                           .s = s,
                           .q = il_f32(a->q),
                           .k = il_f32(a->k),
                           .v = il_f32(a->v),
                           .read = a->pattern != NULL};
    il_arena_mark mark;

    if (out == NULL) {
        return il__empty(p);
    }
    *s = *given;
    f.out = il_f32(&out->pub);
    if (a->pattern != NULL || il__tracked(p, out)) {
        prob = il__make(p, "attention", 4,
                        (const int64_t[]){s->b, s->heads, s->t, s->t}, 3, in);
        f.p = prob != NULL ? il_f32(&prob->pub) : NULL;
        s->p = f.p;
    }
    mark = il_arena_save(own->arena);
    if (prob == NULL) {
        f.scores = il__floats(p, il_team_workers(own->team) * BLOCK * s->t);
    }
    if (own->error.code != IL_OK) {
        return il__empty(p);
    }
    il_team_share(own->team, s->b * s->heads * blocks_of(s), 1, forward_part, &f);
    il_arena_restore(own->arena, mark);
    if (a->pattern != NULL) {
        *a->pattern = &prob->pub;
    }
    return il__record(p, back_attention, s, out, prob, 3, in);
}

static il_tensor *attend_cached(il_pass *p, const il_attention *a, const sizes *s)
{
    il_tensor *in[] = {a->q, a->k, a->v};
    const int64_t c = s->groups * s->d;
    il__tensor *out;
    float *scores;

    if (a->at < 0 || a->length < 0 || s->t > a->length - a->at ||
        a->apart < 2 * c * a->length || a->pattern != NULL) {
        return il__refuse(
            p, IL_ERR_SHAPE, "attention", 3, (const il_tensor *const *)in,
            "positions from %lld do not fit a cache of %lld, %lld numbers "
            "a row, without a pattern",
            (long long)a->at, (long long)a->length, (long long)a->apart);
    }
    out = il__make(p, "attention", 3, a->q->shape, 3, in);
    scores =
        out != NULL ? il__floats(p, s->heads * ((a->length + 15) / 16 * 16)) : NULL;
    if (scores == NULL) {
        return il__empty(p);
    }
    out->g = il__of(p)->zeros; /* the cache is memory, not a tensor */
    for (int64_t b = 0; b < s->b; b++) {
        float *cache = a->cache + b * a->apart;

        il_k_cache_put(cache, il_f32(a->k) + b * s->t * c, il_f32(a->v) + b * s->t * c,
                       s->t, c, a->at, a->length);
        il_k_cache_attend(il_f32(&out->pub) + b * s->t * s->heads * s->d, cache, scores,
                          il_f32(a->q) + b * s->t * s->heads * s->d, s->t, s->d,
                          s->heads, s->groups, a->at, a->length, s->window, s->scale);
    }
    return &out->pub;
}

il_tensor *il__op_attention(il_pass *p, const il_attention *a)
{
    il_tensor *in[] = {a->q, a->k, a->v};
    sizes s;

    if (a->pattern != NULL) {
        *a->pattern = il__empty(p);
    }
    if (!il__ready(p, "attention", 3, 3, in) || !attention_sizes(p, a, &s)) {
        return il__empty(p);
    }
    return a->cache != NULL ? attend_cached(p, a, &s) : attend_whole(p, a, &s);
}
