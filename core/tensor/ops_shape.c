/* Ops that move elements: embedding, gather, concat, slice, reshape, detach; and the
 * author's own. */
#include "tensor/tape.h"

#include <string.h>
#include "interloop/abi.h"
#include "tensor/kernels.h"

/* ---- rows by number ------------------------------------------------------------- */

static void back_rows(il__back *k, il__node *n)
{
    const il_tensor *y = &n->out->pub;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_scatter_rows(dx, il__arrived(k, n->out), n->state, il_rows(y),
                          il_width(y));
    }
}

/* y (ndim of shape) = rows of x (N,W); the list is copied, since the backward reads it.
 */
static il_tensor *pick(il_pass *p, const char *op, il_tensor *x, int64_t count,
                       const int32_t *rows, int32_t ndim, const int64_t *shape)
{
    il__tensor *y;
    int32_t *list;

    for (int64_t i = 0; i < count; i++) {
        if (rows[i] < 0 || rows[i] >= il_rows(x)) {
            return il__refuse(p, IL_ERR_INPUT, op, 1, (const il_tensor *const *)&x,
                              "number %lld is %d, expected one in [0,%lld)",
                              (long long)i, (int)rows[i], (long long)il_rows(x));
        }
    }
    y = il__make(p, op, ndim, shape, 1, &x);
    list = y != NULL ? il__bytes(p, (size_t)count * sizeof *list) : NULL;
    if (list == NULL) {
        return il__empty(p);
    }
    if (count > 0) {
        memcpy(list, rows, (size_t)count * sizeof *list);
        il_k_gather_rows(il_f32(&y->pub), il_f32(x), list, count, il_width(x));
    }
    return il__record(p, back_rows, list, y, NULL, 1, &x);
}

il_tensor *il__op_embedding(il_pass *p, il_tensor *table, const il_tensor *ids)
{
    const il_tensor *in[] = {table, ids};
    int64_t shape[IL_DIMS_MAX];

    if (!il__ready(p, "embedding", 1, 1, &table) ||
        !il__ready_ints(p, "embedding", ids)) {
        return il__empty(p);
    }
    if (table->ndim != 2 || ids->ndim >= IL_DIMS_MAX) {
        return il__refuse(p, IL_ERR_SHAPE, "embedding", 2, in,
                          "expected a table (V,C) and ids of at most %d dimensions",
                          IL_DIMS_MAX - 1);
    }
    memcpy(shape, ids->shape, sizeof shape);
    shape[ids->ndim] = table->shape[1];
    return pick(p, "embedding", table, il_count(ids), il_i32(ids), ids->ndim + 1,
                shape);
}

/* Whether a list names every row in its place: then nothing need be copied. */
static bool all_rows(const il_tensor *x, int64_t count, const int32_t *rows)
{
    if (count == 0 || count != il_rows(x)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        if (rows[i] != i) {
            return false;
        }
    }
    return true;
}

il_tensor *il__op_gather_rows(il_pass *p, il_tensor *x, int64_t count,
                              const int32_t *rows)
{
    if (!il__ready(p, "gather_rows", 1, 1, &x)) {
        return il__empty(p);
    }
    if (x->ndim < 1 || count < 0 || (count > 0 && rows == NULL)) {
        return il__refuse(p, IL_ERR_SHAPE, "gather_rows", 1,
                          (const il_tensor *const *)&x,
                          "expected x (...,W) and a list of rows, got %lld of them",
                          (long long)count);
    }
    if (all_rows(x, count, rows)) {
        return il__op_reshape(p, x, 2, (const int64_t[]){count, il_width(x)});
    }
    return pick(p, "gather_rows", x, count, rows, 2,
                (const int64_t[]){count, il_width(x)});
}

/* ---- columns -------------------------------------------------------------------- */

/* to (rows,w) = columns of from, each with its own distance between rows. */
static void copy_columns(float *to, int64_t to_row, const float *from, int64_t from_row,
                         int64_t rows, int64_t w)
{
    for (int64_t i = 0; i < rows; i++) {
        memcpy(to + i * to_row, from + i * from_row, (size_t)w * sizeof *to);
    }
}

static void add_columns(float *to, int64_t to_row, const float *from, int64_t from_row,
                        int64_t rows, int64_t w)
{
    for (int64_t i = 0; i < rows; i++) {
        il_k_axpy(to + i * to_row, 1.0f, from + i * from_row, w);
    }
}

static void back_concat(il__back *k, il__node *n)
{
    const float *dy = il__arrived(k, n->out);
    int64_t rows = il_rows(&n->out->pub);
    int64_t row = il_width(&n->out->pub);

    for (int32_t i = 0; i < n->count; i++) {
        int64_t w = il_width(&n->in[i]->pub);
        float beta;
        float *dx = il__grad(k, n->in[i], &beta);

        if (dx != NULL && beta == 0.0f) {
            copy_columns(dx, w, dy, row, rows, w);
        } else if (dx != NULL) {
            add_columns(dx, w, dy, row, rows, w);
        }
        dy += w;
    }
}

il_tensor *il__op_concat(il_pass *p, int32_t count, il_tensor *const *parts)
{
    const il_tensor *const *shown = (const il_tensor *const *)parts;
    int64_t shape[IL_DIMS_MAX];
    int64_t width = 0;
    il__tensor *y;
    float *to;

    if (il__of(p)->error.code == IL_OK && count < 1) {
        il__refuse(p, IL_ERR_SHAPE, "concat", 0, NULL, "expected at least one part");
    }
    if (!il__ready(p, "concat", count, count, parts)) {
        return il__empty(p);
    }
    for (int32_t i = 0; i < count; i++) {
        const il_tensor *x = parts[i];

        if (x->ndim < 1 || x->ndim != parts[0]->ndim ||
            memcmp(x->shape, parts[0]->shape,
                   (size_t)(x->ndim - 1) * sizeof x->shape[0]) != 0) {
            return il__refuse(p, IL_ERR_SHAPE, "concat", count, shown,
                              "expected equal leading dimensions");
        }
        width += il_width(x);
    }
    memcpy(shape, parts[0]->shape, sizeof shape);
    shape[parts[0]->ndim - 1] = width;
    y = il__make(p, "concat", parts[0]->ndim, shape, count, parts);
    if (y == NULL) {
        return il__empty(p);
    }
    to = il_f32(&y->pub);
    for (int32_t i = 0; i < count; i++) {
        int64_t w = il_width(parts[i]);

        copy_columns(to, width, il_f32(parts[i]), w, il_rows(&y->pub), w);
        to += w;
    }
    return il__record(p, back_concat, NULL, y, NULL, count, parts);
}

static void back_slice(il__back *k, il__node *n)
{
    const int64_t *start = n->state;
    const il_tensor *y = &n->out->pub;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        add_columns(dx + *start, il_width(&n->in[0]->pub), il__arrived(k, n->out),
                    il_width(y), il_rows(y), il_width(y));
    }
}

il_tensor *il__op_slice(il_pass *p, il_tensor *x, int64_t start, int64_t width)
{
    int64_t shape[IL_DIMS_MAX];
    il__tensor *y;
    int64_t *state;

    if (!il__ready(p, "slice", 1, 1, &x)) {
        return il__empty(p);
    }
    if (x->ndim < 1 || start < 0 || width < 0 || start > il_width(x) ||
        width > il_width(x) - start) {
        return il__refuse(p, IL_ERR_SHAPE, "slice", 1, (const il_tensor *const *)&x,
                          "expected columns of x (...,W), asked for [%lld,%lld)",
                          (long long)start, (long long)start + (long long)width);
    }
    memcpy(shape, x->shape, sizeof shape);
    shape[x->ndim - 1] = width;
    y = il__make(p, "slice", x->ndim, shape, 1, &x);
    state = y != NULL ? il__bytes(p, sizeof *state) : NULL;
    if (state == NULL) {
        return il__empty(p);
    }
    *state = start;
    copy_columns(il_f32(&y->pub), width, il_f32(x) + start, il_width(x),
                 il_rows(&y->pub), width);
    return il__record(p, back_slice, state, y, NULL, 1, &x);
}

/* ---- the same elements ---------------------------------------------------------- */

/* No node: the view shares the gradient of what it views, element for element. */
il_tensor *il__op_reshape(il_pass *p, il_tensor *x, int32_t ndim, const int64_t *shape)
{
    il__tensor *y;
    int64_t count = 1;

    if (!il__ready(p, "reshape", 1, 1, &x)) {
        return il__empty(p);
    }
    for (int32_t i = 0; i < ndim && i < IL_DIMS_MAX; i++) {
        /* A product that leaves the range of counts cannot match, so it may stay where
         * it left. */
        if (shape[i] < 0 || count > INT32_MAX) {
            count = -1;
            break;
        }
        count = shape[i] > INT32_MAX ? -1 : count * shape[i];
    }
    if (ndim < 0 || ndim > IL_DIMS_MAX || count != il_count(x)) {
        return il__refuse(p, IL_ERR_SHAPE, "reshape", 1, (const il_tensor *const *)&x,
                          "expected a shape of %lld elements in at most %d dimensions",
                          (long long)il_count(x), IL_DIMS_MAX);
    }
    y = il__alias(p, il__t(x));
    if (y == NULL) {
        return il__empty(p);
    }
    y->base = il__t(x)->base;
    y->pub.ndim = ndim;
    memset(y->pub.shape, 0, sizeof y->pub.shape);
    if (ndim > 0) {
        memcpy(y->pub.shape, shape, (size_t)ndim * sizeof *shape);
    }
    return &y->pub;
}

il_tensor *il__op_detach(il_pass *p, il_tensor *x)
{
    il__tensor *y;

    if (!il__ready(p, "detach", 1, 1, &x)) {
        return il__empty(p);
    }
    y = il__alias(p, il__t(x));
    if (y == NULL) {
        return il__empty(p);
    }
    y->g = il__of(p)->zeros;
    return &y->pub;
}

/* ---- the author's own ----------------------------------------------------------- */

typedef struct custom_state {
    const il_custom *op;
    void *state;
} custom_state;

static void back_custom(il__back *k, il__node *n)
{
    const custom_state *s = n->state;
    const il_tensor *in[IL_CUSTOM_INPUTS_MAX] = {0};
    float *din[IL_CUSTOM_INPUTS_MAX] = {0};
    bool wanted = false;

    for (int32_t i = 0; i < n->count; i++) {
        in[i] = n->in[i] != NULL ? &n->in[i]->pub : NULL;
        din[i] = il__grad_add(k, n->in[i]);
        wanted = wanted || din[i] != NULL;
    }
    if (wanted && !k->failed) {
        s->op->backward(s->state, in, &n->out->pub, il__arrived(k, n->out), din);
    }
}

il_tensor *il__op_custom(il_pass *p, const il_custom *op, void *state, int32_t count,
                         il_tensor *const *in, int32_t ndim, const int64_t *shape)
{
    const il_tensor *given[IL_CUSTOM_INPUTS_MAX] = {0};
    const char *name;
    custom_state *s;
    il__tensor *y;

    if (il__of(p)->error.code != IL_OK) {
        return il__empty(p);
    }
    if (op == NULL || !IL_HAS(op, name) || !IL_HAS(op, forward) ||
        !IL_HAS(op, backward)) {
        return il__refuse(p, IL_ERR_INPUT, "custom", 0, NULL,
                          "expected a name, a forward and a backward; set struct_size");
    }
    name = op->name;
    if (count < 0 || count > IL_CUSTOM_INPUTS_MAX) {
        return il__refuse(p, IL_ERR_INPUT, name, 0, NULL,
                          "expected at most %d inputs, got %d", IL_CUSTOM_INPUTS_MAX,
                          (int)count);
    }
    if (!il__ready(p, name, 0, count, in)) {
        return il__empty(p);
    }
    y = il__make(p, name, ndim, shape, count, in);
    s = y != NULL ? il__bytes(p, sizeof *s) : NULL;
    if (s == NULL) {
        return il__empty(p);
    }
    s->op = op;
    s->state = state;
    for (int32_t i = 0; i < count; i++) {
        given[i] = in[i];
    }
    op->forward(state, given, &y->pub);
    return il__record(p, back_custom, s, y, NULL, count, in);
}
