/* Cross-entropy, on logits that are there and on logits h w^T + b that are made a chunk
 * of rows at a time. */
#include "tensor/tape.h"

#include <string.h>
#include "tensor/kernels.h"

enum {
    CHUNK = 256, /* rows of logits at once */
    PROB_MAX =
        4 * 1 << 20 /* floats of probabilities kept; past it backward makes them anew */
};

/* The op name, targets and vocabulary checked; false with an error that sticks. */
static bool check_targets(il_pass *p, const char *op, const il_tensor *targets,
                          int64_t rows, int64_t v)
{
    if (!il__ready_ints(p, op, targets)) {
        return false;
    }
    if (il_count(targets) != rows) {
        il__refuse(p, IL_ERR_SHAPE, op, 1, &targets, "expected %lld targets, one a row",
                   (long long)rows);
        return false;
    }
    for (int64_t i = 0; i < rows; i++) {
        if (il_i32(targets)[i] >= v) {
            il__refuse(p, IL_ERR_INPUT, op, 1, &targets,
                       "target %lld is %d, expected below %lld", (long long)i,
                       (int)il_i32(targets)[i], (long long)v);
            return false;
        }
    }
    return true;
}

/* ---- on logits ------------------------------------------------------------------ */

typedef struct plain_state {
    const float *prob;
    const int32_t *targets;
} plain_state;

static void back_plain(il__back *k, il__node *n)
{
    const plain_state *s = n->state;
    const il_tensor *logits = &n->in[0]->pub;
    const float *drow = il__arrived(k, n->out);
    float beta;
    float *grad = il__grad(k, n->in[0], &beta);

    if (grad != NULL && beta == 0.0f) {
        il_k_cross_entropy_grad(grad, s->prob, s->targets, drow, il_rows(logits),
                                il_width(logits));
    } else if (grad != NULL) {
        il_k_cross_entropy_backward(grad, s->prob, s->targets, drow, il_rows(logits),
                                    il_width(logits));
    }
}

static void *copy_ints(il_pass *p, const int32_t *from, int64_t count)
{
    void *to = il__bytes(p, (size_t)count * sizeof *from);

    return to != NULL ? memcpy(to, from, (size_t)count * sizeof *from) : NULL;
}

il_tensor *il__op_cross_entropy(il_pass *p, il_tensor *logits, const il_tensor *targets)
{
    plain_state *s;
    il__tensor *y;
    float *prob;

    if (!il__ready(p, "cross_entropy", 1, 1, &logits)) {
        return il__empty(p);
    }
    if (logits->ndim < 1 || logits->shape[logits->ndim - 1] < 1) {
        return il__refuse(p, IL_ERR_SHAPE, "cross_entropy", 1,
                          (const il_tensor *const *)&logits, "expected logits (...,V)");
    }
    if (!check_targets(p, "cross_entropy", targets, il_rows(logits),
                       il_width(logits))) {
        return il__empty(p);
    }
    y = il__make(p, "cross_entropy", targets->ndim, targets->shape, 1, &logits);
    if (y == NULL) {
        return il__empty(p);
    }
    s = il__bytes(p, sizeof *s);
    prob = il__tracked(p, y) ? il__floats(p, il_count(logits)) : NULL;
    il_k_cross_entropy_rows(il_f32(&y->pub), prob, il_f32(logits), il_i32(targets),
                            il_rows(logits), il_width(logits));
    if (s != NULL) {
        s->prob = prob;
        s->targets = copy_ints(p, il_i32(targets), il_rows(logits));
    }
    return il__record(p, back_plain, s, y, NULL, 1, &logits);
}

/* ---- on h w^T + b --------------------------------------------------------------- */

/* Rows without a target take no part: the others are `rows` (count), in order. */
typedef struct fused_state {
    int64_t count;
    const int32_t *rows; /* NULL when they are all */
    int32_t *targets;    /* of those rows */
    float *prob;         /* (count,V), or NULL: to be made anew */
} fused_state;

/* The chunk's rows of h, (rows,C), gathered into `room` unless they lie together. */
static const float *chunk_of(const fused_state *s, float *room, const float *h,
                             int64_t first, int64_t rows, int64_t c)
{
    if (s->rows == NULL) {
        return h + first * c;
    }
    il_k_gather_rows(room, h, s->rows + first, rows, c);
    return room;
}

/* logits (rows,V) = h w^T + b. */
static void make_logits(const il__pass *p, float *logits, const float *h,
                        const il_tensor *w, const il_tensor *b, int64_t rows)
{
    int64_t v = w->shape[0];
    int64_t c = w->shape[1];

    il_blas_linear(p->blas, p->team, true, rows, v, c, h, c, il_f32(w), c,
                   b != NULL ? il_f32(b) : NULL, logits, v);
}

/* A chunk's dlogits (rows,V) from its row gradients. `logits` is scratch, `lost` for
 * the losses that come out again where the probabilities are made anew. */
static void make_dlogits(const il__pass *p, const il__node *n, float *logits,
                         const float *h, const float *drow, float *lost, int64_t first,
                         int64_t rows)
{
    const fused_state *s = n->state;
    const il_tensor *w = &n->in[1]->pub;
    int64_t v = w->shape[0];
    const float *prob = s->prob != NULL ? s->prob + first * v : logits;

    if (s->prob == NULL) {
        make_logits(p, logits, h, w, n->in[2] != NULL ? &n->in[2]->pub : NULL, rows);
        il_k_cross_entropy_rows(lost, logits, logits, s->targets + first, rows, v);
    }
    il_k_cross_entropy_grad(logits, prob, s->targets + first, drow, rows, v);
}

/* dh += dlogits w, dw += dlogits^T h, db += column sums, chunk by chunk. */
static void back_fused(il__back *k, il__node *n)
{
    const fused_state *s = n->state;
    const il_tensor *h = &n->in[0]->pub;
    const il_tensor *w = &n->in[1]->pub;
    const float *dy = il__arrived(k, n->out);
    int64_t v = w->shape[0];
    int64_t c = w->shape[1];
    float beta_h = 1.0f;
    float beta_w;
    /* Rows that take no part are written by nobody, and gathered ones are scattered by
     * adding. */
    float *dh =
        s->rows == NULL ? il__grad(k, n->in[0], &beta_h) : il__grad_add(k, n->in[0]);
    float *dw = il__grad(k, n->in[1], &beta_w);
    float *db = il__grad_add(k, n->in[2]);
    float *logits = il__scratch(k, CHUNK * v);
    float *drow = il__scratch(k, 2 * CHUNK);
    float *room = il__scratch(k, 2 * CHUNK * c);

    if (s->count == 0 && dw != NULL && beta_w == 0.0f) {
        memset(dw, 0, (size_t)(v * c) * sizeof *dw);
    }
    for (int64_t first = 0; first < s->count && !k->failed; first += CHUNK) {
        int64_t rows = s->count - first < CHUNK ? s->count - first : CHUNK;
        const float *hc = chunk_of(s, room, il_f32(h), first, rows, c);

        for (int64_t i = 0; i < rows; i++) {
            drow[i] = dy[s->rows != NULL ? s->rows[first + i] : first + i];
        }
        make_dlogits(k->pass, n, logits, hc, drow, drow + CHUNK, first, rows);
        if (dh != NULL && s->rows == NULL) {
            il_blas_gemm_by(k->pass->blas, k->pass->team, false, false, rows, c, v,
                            1.0f, logits, v, il_f32(w), c, beta_h, dh + first * c, c);
        } else if (dh != NULL) {
            float *made = room + CHUNK * c;

            il_blas_gemm_by(k->pass->blas, k->pass->team, false, false, rows, c, v,
                            1.0f, logits, v, il_f32(w), c, 0.0f, made, c);
            il_k_scatter_rows(dh, made, s->rows + first, rows, c);
        }
        if (dw != NULL) {
            il_blas_gemm_by(k->pass->blas, k->pass->team, true, false, v, c, rows, 1.0f,
                            logits, v, hc, c, first == 0 ? beta_w : 1.0f, dw, c);
        }
        if (db != NULL) {
            il_k_col_sum(db, logits, rows, v);
        }
    }
    il__release(k, logits, CHUNK * v);
    il__release(k, drow, 2 * CHUNK);
    il__release(k, room, 2 * CHUNK * c);
}

/* Lists the rows that have a target. NULL and a stuck error when memory is out. */
static fused_state *pick_rows(il_pass *p, const int32_t *targets, int64_t count)
{
    fused_state *s = il__bytes(p, sizeof *s);
    int32_t *rows = il__bytes(p, (size_t)count * sizeof *rows);

    if (s == NULL || rows == NULL) {
        return NULL;
    }
    s->count = 0;
    s->prob = NULL;
    s->targets = il__bytes(p, (size_t)count * sizeof *targets);
    if (s->targets == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        if (targets[i] >= 0) {
            s->targets[s->count] = targets[i];
            rows[s->count++] = (int32_t)i;
        }
    }
    s->rows = s->count < count ? rows : NULL;
    return s;
}

/* The losses of all rows, and the probabilities where they are kept. False when memory
 * is out. */
static bool forward_fused(il_pass *p, const fused_state *s, float *y, il_tensor *h,
                          il_tensor *w, il_tensor *b)
{
    il__pass *own = il__of(p);
    int64_t v = w->shape[0];
    int64_t c = w->shape[1];
    il_arena_mark mark = il_arena_save(own->arena);
    float *logits = il__floats(p, CHUNK * v);
    float *room = il__floats(p, CHUNK * c);
    float *lost = il__floats(p, CHUNK);

    memset(y, 0, (size_t)il_rows(h) * sizeof *y);
    for (int64_t first = 0; first < s->count && own->error.code == IL_OK;
         first += CHUNK) {
        int64_t rows = s->count - first < CHUNK ? s->count - first : CHUNK;
        const float *hc = chunk_of(s, room, il_f32(h), first, rows, c);

        make_logits(own, logits, hc, w, b, rows);
        il_k_cross_entropy_rows(lost, s->prob != NULL ? s->prob + first * v : NULL,
                                logits, s->targets + first, rows, v);
        for (int64_t i = 0; i < rows; i++) {
            y[s->rows != NULL ? s->rows[first + i] : first + i] = lost[i];
        }
    }
    il_arena_restore(own->arena, mark);
    return own->error.code == IL_OK && logits != NULL && room != NULL && lost != NULL;
}

il_tensor *il__op_cross_entropy_linear(il_pass *p, il_tensor *h, il_tensor *w,
                                       il_tensor *b, const il_tensor *targets)
{
    static const char op[] = "cross_entropy_linear";
    il_tensor *in[] = {h, w, b};
    fused_state *s;
    il__tensor *y;

    if (!il__ready(p, op, 2, 3, in)) {
        return il__empty(p);
    }
    if (h->ndim < 1 || w->ndim != 2 || il_count(w) == 0 || il_width(h) != w->shape[1] ||
        (b != NULL && (b->ndim != 1 || b->shape[0] != w->shape[0]))) {
        return il__refuse(p, IL_ERR_SHAPE, op, 3, (const il_tensor *const *)in,
                          "expected h (...,C), w (V,C), b (V) or none");
    }
    if (!check_targets(p, op, targets, il_rows(h), w->shape[0])) {
        return il__empty(p);
    }
    y = il__make(p, op, targets->ndim, targets->shape, 3, in);
    s = y != NULL ? pick_rows(p, il_i32(targets), il_rows(h)) : NULL;
    if (s == NULL) {
        return il__empty(p);
    }
    if (il__tracked(p, y) && s->count * w->shape[0] <= PROB_MAX) {
        s->prob = il__floats(p, s->count * w->shape[0]);
    }
    if (!forward_fused(p, s, il_f32(&y->pub), h, w, b)) {
        return il__empty(p);
    }
    return il__record(p, back_fused, s, y, NULL, 3, in);
}
