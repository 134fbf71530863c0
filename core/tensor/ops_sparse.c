/* Products with the few numbers that were kept of each row (ops_top.c): they touch what
 * was kept alone. */
#include <math.h>
#include <string.h>
#include "tensor/by_column.h"
#include "tensor/kernels.h"
#include "tensor/kernels_sparse.h"
#include "tensor/tape.h"

typedef struct product {
    const il__sparse *s;
    int64_t first, last;
} product;

static void back_sparse_matmul(il__back *k, il__node *n)
{
    const product *op = n->state;
    const il_tensor *table = &n->in[1]->pub;
    const float *v = il_f32(&n->in[0]->pub);
    const float *dy = il__arrived(k, n->out);
    int64_t wide = table->shape[1];
    float *dv = il__grad_add(k, n->in[0]);
    float *dtable = il__grad_add(k, n->in[1]);
    il__walk at = il__walk_of(&op->s->by, op->first, op->last);
    float own[IL__AT_ONCE];
    float out[IL__AT_ONCE];

    while (il__walk_next(&at)) {
        const float *row = il_f32(table) + at.column * wide;
        float *to = dtable != NULL ? dtable + at.column * wide : NULL;

        il__pick(own, v, &at);
        if (dv != NULL && to != NULL) {
            il_k_pick_both(out, to, row, dy, at.rows, own, at.n, wide);
        } else if (dv != NULL) {
            il_k_pick_dot(out, row, dy, at.rows, at.n, wide);
        } else if (to != NULL) {
            il_k_pick_sum(to, dy, at.rows, own, at.n, wide);
        }
        for (int64_t i = 0; dv != NULL && i < at.n; i++) {
            dv[at.entries[i]] += out[i];
        }
    }
}

il_tensor *il__op_sparse_matmul(il_pass *p, const il_sparse *s, il_tensor *table,
                                int64_t first, int64_t last)
{
    il_tensor *in[] = {s != NULL ? s->values : NULL, table};
    product *op;
    il__tensor *y;
    il__walk at;
    float own[IL__AT_ONCE];
    int64_t wide;

    if (!il__ready(p, "sparse_matmul", 2, 2, in)) {
        return il__empty(p);
    }
    if (table->ndim != 2 || table->shape[0] != s->width || first < 0 || first > last ||
        last > s->width) {
        return il__refuse(
            p, IL_ERR_SHAPE, "sparse_matmul", 2, (const il_tensor *const *)in,
            "expected a table (%lld,W) and columns in it", (long long)s->width);
    }
    wide = table->shape[1];
    y = il__make(p, "sparse_matmul", IL_SHAPE(s->rows, wide), 2, in);
    op = il__bytes(p, sizeof *op);
    if (y == NULL || op == NULL) {
        return il__empty(p);
    }
    *op = (product){(const il__sparse *)s, first, last};
    memset(y->pub.data, 0, (size_t)(s->rows * wide) * sizeof(float));
    at = il__walk_of(&op->s->by, first, last);
    while (first < last && il__walk_next(&at)) {
        il__pick(own, il_f32(s->values), &at);
        il_k_pick_spread(il_f32(&y->pub), il_f32(table) + at.column * wide, at.rows,
                         own, at.n, wide);
    }
    return il__record(p, back_sparse_matmul, op, y, NULL, 2, in);
}

static void back_sparse_dense(il__back *k, il__node *n)
{
    const il__sparse *s = n->state;
    const float *dy = il__arrived(k, n->out);
    float *dv = il__grad_add(k, n->in[0]);

    for (int64_t r = 0; dv != NULL && r < s->pub.rows; r++) {
        for (int32_t m = s->pub.starts[r]; m < s->pub.starts[r + 1]; m++) {
            dv[m] += dy[r * s->pub.width + s->pub.columns[m]];
        }
    }
}

il_tensor *il__op_sparse_dense(il_pass *p, const il_sparse *s)
{
    il_tensor *in[] = {s != NULL ? s->values : NULL};
    il__tensor *y;
    float *to;
    const float *v;

    if (!il__ready(p, "sparse_dense", 1, 1, in)) {
        return il__empty(p);
    }
    y = il__make(p, "sparse_dense", IL_SHAPE(s->rows, s->width), 1, in);
    if (y == NULL) {
        return il__empty(p);
    }
    to = il_f32(&y->pub);
    v = il_f32(s->values);
    memset(to, 0, (size_t)(s->rows * s->width) * sizeof *to);
    for (int64_t r = 0; r < s->rows; r++) {
        bool broken = s->starts[r] < s->starts[r + 1] && isnan(v[s->starts[r]]);

        for (int64_t f = 0; broken && f < s->width; f++) {
            to[r * s->width + f] = NAN;
        }
        for (int32_t m = s->starts[r]; m < s->starts[r + 1]; m++) {
            to[r * s->width + s->columns[m]] = v[m];
        }
    }
    return il__record(p, back_sparse_dense, (void *)(uintptr_t)s, y, NULL, 1, in);
}
