/* Causal attention, one (batch, head) at a time on the strided qkv (B,T,3C), after
 * Vaswani et al. 2017: P = softmax(Q K^T / sqrt(D)) on and below the diagonal, out = P
 * V, D = C / heads. */
#include "tensor/tape.h"

#include <math.h>
#include <string.h>
#include "tensor/cache.h"
#include "tensor/kernels.h"

typedef struct sizes {
    int64_t b, t, c;
    int64_t heads;
    int64_t d;      /* c / heads */
    float scale;    /* 1 / sqrt(d) */
    const float *p; /* (b,heads,t,t) */
} sizes;

/* Where the query of a batch and head begins in something laid out as qkv; key and
 * value lie c and 2c further. */
static int64_t head_at(const sizes *s, int64_t b, int64_t h)
{
    return b * s->t * 3 * s->c + h * s->d;
}

static int64_t out_at(const sizes *s, int64_t b, int64_t h)
{
    return b * s->t * s->c + h * s->d;
}

static void forward_head(const il_blas *blas, const sizes *s, float *out, float *p,
                         const float *q)
{
    int64_t row = 3 * s->c;

    il_blas_gemm(blas, false, true, s->t, s->t, s->d, 1.0f, q, row, q + s->c, row, 0.0f,
                 p, s->t);
    il_k_causal_softmax(p, s->t, s->scale);
    il_blas_gemm(blas, false, false, s->t, s->d, s->t, 1.0f, p, s->t, q + 2 * s->c, row,
                 0.0f, out, s->c);
}

/* dV = P^T dO, dP = dO V^T (+ what came to the pattern), dS = softmax'(dP), dQ = dS K,
 * dK = dS^T Q, the scale being in dS. `dout` and `dpattern` may each be NULL; ds (t,t)
 * is scratch. */
static void back_head(const il_blas *blas, const sizes *s, float *dq, float beta,
                      const float *dout, const float *dpattern, const float *p,
                      const float *q, float *ds)
{
    int64_t row = 3 * s->c;
    int64_t square = s->t * s->t;

    if (dout != NULL) {
        il_blas_gemm(blas, true, false, s->t, s->d, s->t, 1.0f, p, s->t, dout, s->c,
                     beta, dq + 2 * s->c, row);
        il_blas_gemm(blas, false, true, s->t, s->t, s->d, 1.0f, dout, s->c,
                     q + 2 * s->c, row, 0.0f, ds, s->t);
        if (dpattern != NULL) {
            il_k_axpy(ds, 1.0f, dpattern, square);
        }
    } else {
        memcpy(ds, dpattern, (size_t)square * sizeof *ds);
    }
    il_k_causal_softmax_backward(ds, p, s->t, s->scale);
    il_blas_gemm(blas, false, false, s->t, s->d, s->t, 1.0f, ds, s->t, q + s->c, row,
                 beta, dq, row);
    il_blas_gemm(blas, true, false, s->t, s->d, s->t, 1.0f, ds, s->t, q, row, beta,
                 dq + s->c, row);
}

static void back_attention(il__back *k, il__node *n)
{
    const sizes *s = n->state;
    const float *dout = il__arrived(k, n->out);
    const float *dpattern = il__arrived(k, n->also);
    const float *qkv = il_f32(&n->in[0]->pub);
    float beta;
    /* Without dout the values get nothing, so a new gradient must start from zeros. */
    float *dqkv = dout != NULL ? il__grad(k, n->in[0], &beta)
                               : (beta = 1.0f, il__grad_add(k, n->in[0]));
    float *ds = dqkv != NULL ? il__scratch(k, s->t * s->t) : NULL;

    if (ds == NULL) {
        return;
    }
    for (int64_t b = 0; b < s->b; b++) {
        for (int64_t h = 0; h < s->heads; h++) {
            int64_t at = (b * s->heads + h) * s->t * s->t;

            back_head(k->pass->blas, s, dqkv + head_at(s, b, h), beta,
                      dout != NULL ? dout + out_at(s, b, h) : NULL,
                      dpattern != NULL ? dpattern + at : NULL, s->p + at,
                      qkv + head_at(s, b, h), ds);
        }
    }
    il__release(k, ds, s->t * s->t);
}

il_tensor *il__op_causal_attention(il_pass *p, il_tensor *qkv, int32_t heads,
                                   il_tensor **pattern)
{
    il__tensor *out;
    il__tensor *prob;
    sizes *s;

    if (pattern != NULL) {
        *pattern = il__empty(p);
    }
    if (!il__ready(p, "causal_attention", 1, 1, &qkv)) {
        return il__empty(p);
    }
    if (qkv->ndim != 3 || heads < 1 || qkv->shape[2] < 1 ||
        qkv->shape[2] % (3 * (int64_t)heads) != 0) {
        return il__refuse(
            p, IL_ERR_SHAPE, "causal_attention", 1, (const il_tensor *const *)&qkv,
            "expected qkv (B,T,3C) with C a multiple of the %d heads", (int)heads);
    }
    s = il__bytes(p, sizeof *s);
    if (s == NULL) {
        return il__empty(p);
    }
    s->b = qkv->shape[0];
    s->t = qkv->shape[1];
    s->c = qkv->shape[2] / 3;
    s->heads = heads;
    s->d = s->c / heads;
    s->scale = 1.0f / sqrtf((float)s->d);
    out = il__make(p, "causal_attention", 3, (const int64_t[]){s->b, s->t, s->c}, 1,
                   &qkv);
    prob = out != NULL ? il__make(p, "causal_attention", 4,
                                  (const int64_t[]){s->b, heads, s->t, s->t}, 1, &qkv)
                       : NULL;
    if (prob == NULL) {
        return il__empty(p);
    }
    s->p = il_f32(&prob->pub);
    for (int64_t b = 0; b < s->b; b++) {
        for (int64_t h = 0; h < s->heads; h++) {
            forward_head(il__of(p)->blas, s, il_f32(&out->pub) + out_at(s, b, h),
                         il_f32(&prob->pub) + (b * s->heads + h) * s->t * s->t,
                         il_f32(qkv) + head_at(s, b, h));
        }
    }
    if (pattern != NULL) {
        *pattern = &prob->pub;
    }
    return il__record(p, back_attention, s, out, prob, 1, &qkv);
}

/* ---- with a cache --------------------------------------------------------------- */

/* Rows whose keys are written before the first of them is read again: what was stored
 * singly a moment ago is slow to load as a vector. */
enum { CACHE_ROWS = 8 };

/* New positions [at, at + t) of `rows` rows, and the caches of `length` positions that
 * take them, `apart` numbers from one row's to the next. */
typedef struct caching {
    const float *qkv;
    float *cache;
    int64_t rows, t, c, heads;
    int64_t at, length, apart;
    bool fused; /* in the order of tensor/cache.h, not in that of the kernels */
} caching;

static bool caching_of(il_pass *p, const char *op, il_tensor *qkv, int32_t heads,
                       int64_t at, int64_t length, float *cache, int64_t apart,
                       caching *out)
{
    caching k = {.cache = cache, .at = at, .length = length, .apart = apart};

    if (!il__ready(p, op, 1, 1, &qkv)) {
        return false;
    }
    if (qkv->ndim != 3 || heads < 1 || qkv->shape[2] < 1 ||
        qkv->shape[2] % (3 * (int64_t)heads) != 0) {
        (void)il__refuse(p, IL_ERR_SHAPE, op, 1, (const il_tensor *const *)&qkv,
                         "expected qkv (B,T,3C) with C a multiple of the %d heads",
                         (int)heads);
        return false;
    }
    k.qkv = il_f32(qkv);
    k.rows = qkv->shape[0];
    k.t = qkv->shape[1];
    k.c = qkv->shape[2] / 3;
    k.heads = heads;
    if (at < 0 || length < 0 || k.t > length - at || apart < 2 * k.c * length ||
        cache == NULL) {
        (void)il__refuse(p, IL_ERR_SHAPE, op, 1, (const il_tensor *const *)&qkv,
                         "positions from %lld do not fit a cache of %lld, %lld numbers "
                         "a row",
                         (long long)at, (long long)length, (long long)apart);
        return false;
    }
    k.fused = il_blas_fused(il__of(p)->blas) && il_cache_suits(k.c, heads, length);
    *out = k;
    return true;
}

static void caching_write(const caching *k, int64_t from, int64_t to)
{
    for (int64_t b = from; b < to; b++) {
        (k->fused ? il_cache_write : il_k_cache_write)(k->cache + b * k->apart,
                                                       k->qkv + b * k->t * 3 * k->c,
                                                       k->t, k->c, k->at, k->length);
    }
}

static void caching_attend(const caching *k, float *out, float *scores, int64_t from,
                           int64_t to)
{
    const int64_t row = k->t * k->c;
    const float scale = 1.0f / sqrtf((float)(k->c / k->heads));

    if (k->fused) {
        il_cache_attend(out + from * row, k->cache + from * k->apart, k->apart, scores,
                        k->qkv + from * 3 * row, to - from, k->t, k->c, k->heads, k->at,
                        k->length, scale);
        return;
    }
    for (int64_t b = from; b < to; b++) {
        il_k_cached_attention(out + b * row, k->cache + b * k->apart, scores,
                              k->qkv + b * 3 * row, k->t, k->c, k->heads, k->at,
                              k->length, scale);
    }
}

il_tensor *il__op_cached_attention(il_pass *p, il_tensor *qkv, int32_t heads,
                                   int64_t at, int64_t length, float *cache,
                                   int64_t apart)
{
    caching k;
    il__tensor *out;
    float *scores;

    if (!caching_of(p, "cached_attention", qkv, heads, at, length, cache, apart, &k)) {
        return il__empty(p);
    }
    out = il__make(p, "cached_attention", 3, (const int64_t[]){k.rows, k.t, k.c}, 1,
                   &qkv);
    scores = out != NULL
                 ? il__floats(p, (heads > IL_CACHE_WEIGHTS ? heads : IL_CACHE_WEIGHTS) *
                                     ((length + 15) / 16 * 16))
                 : NULL;
    if (scores == NULL) {
        return il__empty(p);
    }
    out->g = il__of(p)->zeros; /* the cache is memory, not a tensor */
    for (int64_t from = 0; from < k.rows; from += CACHE_ROWS) {
        const int64_t to = k.rows - from < CACHE_ROWS ? k.rows : from + CACHE_ROWS;

        caching_write(&k, from, to);
        caching_attend(&k, il_f32(&out->pub), scores, from, to);
    }
    return &out->pub;
}

void il__op_cached_positions(il_pass *p, il_tensor *qkv, int32_t heads, int64_t at,
                             int64_t length, float *cache, int64_t apart)
{
    caching k;

    if (caching_of(p, "cached_positions", qkv, heads, at, length, cache, apart, &k)) {
        caching_write(&k, 0, k.rows);
    }
}
