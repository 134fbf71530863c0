/* Few of many: the largest numbers of a product.
 *
 * A dictionary of thousands of features keeps some dozens a row. Finding them takes a
 * dense product, which is only as exact as its bound: whatever lies within that of the
 * k-th largest is a candidate, and candidates get one sum in our own order. So the
 * choice and the bits are those of that sum, whatever OpenBLAS does. */
#include <math.h>
#include <string.h>
#include "tensor/by_column.h"
#include "tensor/kernels.h"
#include "tensor/kernels_sparse.h"
#include "tensor/rough.h"
#include "tensor/tape.h"

enum { FOUND_FLOATS = 1 << 20 }; /* of the product that finds */

/* A search under way. */
typedef struct search {
    il_pass *p;
    int64_t rows, in, width; /* N, I, F */
    int64_t count;           /* to keep a row */
    bool over_all;           /* or of all rows together */
    int64_t most;            /* N * count */
    float least;             /* of theirs, so far */
    float *again;            /* (N * room), over all only */
    const float *x;          /* (N,I) */
    const float *norms;      /* (N): sqrt(1 + |x|^2) */
    const float *w, *b;
    const float *margin; /* (F): sqrt(b^2 + |w|^2) */
    float bound;         /* times norm times margin: how far a product is off */
    uint16_t *w_rough;   /* w packed for a rough product, or NULL */
    uint16_t *x_rough;   /* a stretch of x likewise */
    float *b_rough;      /* (wide) */
    float *moved;        /* (N): how far rounding moved a row, relative */
    float w_moved;       /* and the row of w that it moved most */
    int64_t wide;        /* from one row of the product to the next */
    bool broken;         /* a weight is no number */
    int64_t room;        /* candidates a row */
    int32_t *starts;     /* (N+1) of the candidates, then of what is kept */
    int32_t *columns;    /* (N * room) */
    float *values;       /* (N * room) */
    float *scratch;      /* (F) floats */
    int32_t *all;        /* (F) columns */
} search;

static bool is_broken(const search *s, int64_t row)
{
    return s->broken || !(s->norms[row] < 1e18f);
}

/* What, times a margin, a product of the row is off by at most. */
static float slack_of(const search *s, int64_t row)
{
    float bound = s->bound;

    if (s->w_rough != NULL) {
        float moved = s->moved[row];

        bound += moved + s->w_moved + moved * s->w_moved + (float)s->in * 0x1p-22f;
    }
    return bound * s->norms[row];
}

/* A row with a number that is none, of which nothing can be said. */
static int64_t keep_nan(const search *s, int32_t *columns, float *values)
{
    int64_t n = s->count < s->width ? s->count : s->width;

    for (int64_t i = 0; i < n; i++) {
        columns[i] = (int32_t)i;
        values[i] = NAN;
    }
    return n;
}

/* More candidates than there is room for, as where all numbers are equal: the row is
 * settled at once. */
static int64_t settle(const search *s, int64_t row, const float *found, int64_t count,
                      int32_t *columns)
{
    float *v = s->scratch;
    float *again = s->scratch + s->width;
    const int32_t zero = 0;
    int64_t n = il_k_top_candidates(s->all, found, s->margin, slack_of(s, row),
                                    s->width, count, s->width, v);

    for (int64_t i = 0; i < n; i++) {
        int64_t c = s->all[i];

        il_k_pick_dot(v + i, s->x + row * s->in, s->w + c * s->in, &zero, 1, s->in);
        v[i] += s->b != NULL ? s->b[c] : 0.0f;
    }
    n = il_k_top_keep(v, s->all, n, count, again);
    memcpy(columns, s->all, (size_t)n * sizeof *columns);
    return n;
}

/* The candidates of a row among all rows': what may be above the least that is surely
 * among the largest of the rows so far. Their lowest possible numbers in `values`. */
static int64_t find_over_all(const search *s, int64_t row, const float *a,
                             int32_t *columns, float *values)
{
    float slack = slack_of(s, row);
    int64_t got = il_k_candidates_above(columns, a, s->margin, slack, s->width,
                                        s->least, s->width);

    for (int64_t i = 0; i < got; i++) {
        values[i] = a[columns[i]] - s->margin[columns[i]] * slack;
    }
    return got;
}

/* Raises that least to what rows [0,end) have, and drops what cannot reach it. */
static void raise_least(search *s, int64_t end)
{
    int64_t n = 0;
    int32_t from = 0;
    int32_t to = 0;

    for (int64_t r = 0; r < end; r++) {
        for (int32_t m = s->starts[r]; m < s->starts[r + 1] && !is_broken(s, r); m++) {
            s->again[n++] = s->values[m];
        }
    }
    if (n <= s->most) {
        return;
    }
    s->least = fmaxf(s->least, il_k_largest(s->again, n, s->most));
    for (int64_t r = 0; r < end; r++) {
        int32_t stop = s->starts[r + 1];
        float twice = 2.0f * slack_of(s, r);

        for (int32_t m = from; m < stop; m++) {
            int32_t c = s->columns[m];
            float v = s->values[m];

            if (is_broken(s, r) || v + twice * s->margin[c] >= s->least) {
                s->columns[to] = c;
                s->values[to++] = v;
            }
        }
        from = stop;
        s->starts[r + 1] = to;
    }
}

/* The product of a stretch of rows, `wide` apart, by tiles or by OpenBLAS. */
static void multiply(const search *s, float *found, int64_t first, int64_t n)
{
    if (s->w_rough != NULL) {
        il_rough_pack_first(s->x_rough, s->moved + first, s->x + first * s->in, n,
                            s->in);
        il_rough_product(found, s->x_rough, s->w_rough, s->b_rough, n, s->width, s->in);
    } else {
        il_blas_linear(il__of(s->p)->blas, NULL, true, n, s->width, s->in,
                       s->x + first * s->in, s->in, s->w, s->in, s->b, found, s->wide);
    }
}

/* The candidates of row r, whose product is a. */
static int64_t find_row(const search *s, int64_t r, const float *a, int32_t *columns,
                        float *values)
{
    int64_t got;

    if (is_broken(s, r)) {
        return keep_nan(s, columns, values);
    }
    if (s->over_all) {
        return find_over_all(s, r, a, columns, values);
    }
    got = il_k_top_candidates(columns, a, s->margin, slack_of(s, r), s->width, s->count,
                              s->room, s->scratch);
    return got > s->room ? settle(s, r, a, s->count, columns) : got;
}

/* The candidates of all rows, by row. */
static bool find_candidates(search *s)
{
    int64_t chunk = FOUND_FLOATS / s->wide;
    float *found;
    int32_t total = 0;

    chunk = chunk < 64 ? 64 : chunk;
    chunk = chunk < s->rows ? chunk : s->rows;
    found = il__floats(s->p, il_rough_up(chunk) * s->wide);
    s->x_rough =
        s->w_rough != NULL
            ? il__bytes(s->p, (size_t)il_rough_size(chunk, s->in) * sizeof *s->x_rough)
            : NULL;
    if (found == NULL || (s->w_rough != NULL && s->x_rough == NULL)) {
        return false;
    }
    s->starts[0] = 0;
    for (int64_t first = 0; first < s->rows; first += chunk) {
        int64_t n = s->rows - first < chunk ? s->rows - first : chunk;

        multiply(s, found, first, n);
        for (int64_t r = first; r < first + n; r++) {
            total += (int32_t)find_row(s, r, found + (r - first) * s->wide,
                                       s->columns + total, s->values + total);
            s->starts[r + 1] = total;
        }
        if (s->over_all) {
            raise_least(s, first + n);
            total = s->starts[first + n];
        }
    }
    return true;
}

/* Each candidate's number, one sum in our order. */
static bool sum_candidates(search *s)
{
    il__by_column by;
    il__walk w;
    float out[IL__AT_ONCE];

    if (!il__sort_by_column(s->p, &by, s->rows, s->width, s->in, s->starts,
                            s->columns)) {
        return false;
    }
    w = il__walk_of(&by, 0, s->width);
    while (il__walk_next(&w)) {
        const float bias = s->b != NULL ? s->b[w.column] : 0.0f;

        il_k_pick_dot(out, s->w + w.column * s->in, s->x, w.rows, w.n, s->in);
        for (int64_t i = 0; i < w.n; i++) {
            s->values[w.entries[i]] = out[i] + bias;
        }
    }
    return true;
}

/* Of each row's candidates its largest, closed up. */
static void keep_by_row(search *s)
{
    int32_t from = 0;
    int32_t to = 0;

    for (int64_t r = 0; r < s->rows; r++) {
        int64_t n = s->starts[r + 1] - from;
        float *v = s->values + to;
        int32_t *c = s->columns + to;

        memmove(v, s->values + from, (size_t)n * sizeof *v);
        memmove(c, s->columns + from, (size_t)n * sizeof *c);
        from = s->starts[r + 1];
        n = is_broken(s, r) ? keep_nan(s, c, v)
                            : il_k_top_keep(v, c, n, s->count, s->scratch);
        to += (int32_t)n;
        s->starts[r + 1] = to;
    }
}

/* The same over all rows together: candidates hold at least the N * count largest. Ties
 * at the end go to the first rows and columns. */
static void keep_over_all(search *s)
{
    int64_t n = 0;
    float least = 0.0f;
    int64_t equal = 0;
    int32_t from = 0;
    int32_t to = 0;

    for (int64_t r = 0; r < s->rows; r++) {
        for (int32_t m = s->starts[r]; m < s->starts[r + 1] && !is_broken(s, r); m++) {
            s->again[n++] = s->values[m];
        }
    }
    if (n > s->most) {
        least = fmaxf(il_k_largest(s->again, n, s->most), 0.0f);
    }
    if (least > 0.0f) {
        equal = s->most;
        for (int64_t i = 0; i < n; i++) {
            equal -= s->again[i] > least;
        }
    }
    for (int64_t r = 0; r < s->rows; r++) {
        int32_t end = s->starts[r + 1];
        bool broken = is_broken(s, r);

        for (int32_t m = from; m < end; m++) {
            float v = broken ? NAN : s->values[m];

            if (broken || v > least || (v == least && equal-- > 0)) {
                s->values[to] = v;
                s->columns[to++] = s->columns[m];
            }
        }
        from = end;
        s->starts[r + 1] = to;
    }
}

static void back_top_linear(il__back *k, il__node *n)
{
    const il__sparse *s = n->state;
    const float *dv = il__arrived(k, n->out);
    const il_tensor *w = &n->in[2]->pub;
    int64_t in = w->shape[1];
    float *dx = il__grad_add(k, n->in[0]);
    float *dshift = il__grad_add(k, n->in[1]);
    float *dw = il__grad_add(k, n->in[2]);
    float *db = il__grad_add(k, n->in[3]);
    float *sums = dshift != NULL ? il__scratch(k, s->pub.width) : NULL;
    il__walk at = il__walk_of(&s->by, 0, s->pub.width);
    float v[IL__AT_ONCE];

    if (sums != NULL) {
        memset(sums, 0, (size_t)s->pub.width * sizeof *sums);
    }
    while (il__walk_next(&at)) {
        const float *row = il_f32(w) + at.column * in;
        float sum = 0.0f;

        il__pick(v, dv, &at);
        for (int64_t i = 0; i < at.n; i++) {
            sum += v[i];
        }
        if (dw != NULL) {
            il_k_pick_sum(dw + at.column * in, s->x, at.rows, v, at.n, in);
        }
        if (dx != NULL) {
            il_k_pick_spread(dx, row, at.rows, v, at.n, in);
        }
        if (db != NULL) {
            db[at.column] += sum;
        }
        if (sums != NULL) {
            sums[at.column] += sum;
        }
    }
    for (int64_t f = 0; dshift != NULL && sums != NULL && f < s->pub.width; f++) {
        if (sums[f] != 0.0f) {
            il_k_axpy(dshift, -sums[f], il_f32(w) + f * in, in);
        }
    }
    il__release(k, sums, s->pub.width);
}

/* Packs w where a rough product gains. False when memory is out. */
static bool open_rough(search *s)
{
    float *moved;

    s->wide = s->width;
    if (!il_rough_suits(s->width, s->in)) {
        return true;
    }
    s->wide = il_rough_up(s->width);
    s->w_rough =
        il__bytes(s->p, (size_t)il_rough_size(s->width, s->in) * sizeof *s->w_rough);
    s->b_rough = il__floats(s->p, s->wide);
    s->moved = il__floats(s->p, s->rows + 1);
    if (s->w_rough == NULL || s->b_rough == NULL || s->moved == NULL) {
        return false;
    }
    memset(s->b_rough, 0, (size_t)s->wide * sizeof *s->b_rough);
    if (s->b != NULL) {
        memcpy(s->b_rough, s->b, (size_t)s->width * sizeof *s->b_rough);
    }
    moved = s->scratch;
    il_rough_pack_second(s->w_rough, moved, s->w, s->width, s->in);
    for (int64_t f = 0; f < s->width; f++) {
        s->w_moved = fmaxf(s->w_moved, moved[f]);
    }
    return true;
}

static bool search_open(search *s, il_pass *p, const il_tensor *x,
                        const il_tensor *shift, const il_tensor *w, const il_tensor *b)
{
    float *centred;
    float *norms;
    float *margin;

    s->p = p;
    s->rows = il_rows(x);
    s->in = il_width(x);
    s->width = w->shape[0];
    s->w = il_f32(w);
    s->b = b != NULL ? il_f32(b) : NULL;
    /* Two sums of so many products, each within a rounding a term: Higham 2002, 3.1. */
    s->bound = (float)(2 * s->in + 8) * 0x1p-24f;
    centred = il__floats(p, s->rows * s->in + 1);
    norms = il__floats(p, s->rows + 1);
    margin = il__floats(p, s->width + 1);
    s->scratch = il__floats(p, 2 * s->width + 16);
    s->all = il__bytes(p, (size_t)(s->width + 1) * sizeof *s->all);
    s->starts = il__bytes(p, (size_t)(s->rows + 1) * sizeof *s->starts);
    s->columns = il__bytes(p, (size_t)(s->rows * s->room + 1) * sizeof *s->columns);
    s->values = il__floats(p, s->rows * s->room + 1);
    s->again = il__floats(p, s->over_all ? s->rows * s->room + 1 : 1);
    if (s->again == NULL || centred == NULL || norms == NULL || margin == NULL ||
        s->scratch == NULL || s->all == NULL || s->starts == NULL ||
        s->columns == NULL || s->values == NULL) {
        return false;
    }
    il_k_shift_norms(centred, norms, il_f32(x), shift != NULL ? il_f32(shift) : NULL,
                     s->rows, s->in);
    il_k_row_margins(margin, s->w, s->b, s->width, s->in);
    for (int64_t f = 0; f < s->width; f++) {
        /* beyond this a product could leave the range of floats */
        s->broken = s->broken || !(margin[f] < 1e18f);
    }
    s->x = centred;
    s->norms = norms;
    s->margin = margin;
    return open_rough(s);
}

const il_sparse *il__op_top_linear(il_pass *p, il_tensor *x, il_tensor *shift,
                                   il_tensor *w, il_tensor *b, int64_t count,
                                   bool over_all)
{
    il_tensor *in[] = {x, shift, w, b};
    il_tensor *given[] = {x, w, shift, b}; /* those that must be there first */
    search s = {.count = count};
    il__sparse *out;
    il__tensor *values;

    if (!il__ready(p, "top_linear", 2, 4, given)) {
        return NULL;
    }
    if (x->ndim < 1 || w->ndim != 2 || il_width(x) != w->shape[1] || w->shape[1] < 1 ||
        w->shape[0] < 1 || count < 1 ||
        (shift != NULL && (shift->ndim != 1 || shift->shape[0] != w->shape[1])) ||
        (b != NULL && (b->ndim != 1 || b->shape[0] != w->shape[0]))) {
        il__refuse(p, IL_ERR_SHAPE, "top_linear", 4, (const il_tensor *const *)in,
                   "expected x (...,I), shift (I) or none, w (F,I), b (F) or none, and "
                   "at least one to keep");
        return NULL;
    }
    count = count < w->shape[0] ? count : w->shape[0];
    s.count = count;
    s.over_all = over_all;
    s.most = il_rows(x) * count;
    /* Over all rows one row may hold what the others leave. */
    s.room = over_all || 4 * count + 64 > w->shape[0] ? w->shape[0] : 4 * count + 64;
    out = il__bytes(p, sizeof *out);
    if (out == NULL || !search_open(&s, p, x, shift, w, b) || !find_candidates(&s) ||
        !sum_candidates(&s)) {
        return NULL;
    }
    if (over_all) {
        keep_over_all(&s);
    } else {
        keep_by_row(&s);
    }
    out->x = s.x;
    out->pub = (il_sparse){.struct_size = sizeof out->pub,
                           .rows = s.rows,
                           .width = s.width,
                           .count = s.starts[s.rows],
                           .starts = s.starts,
                           .columns = s.columns};
    values = il__make(p, "top_linear", IL_SHAPE(out->pub.count), 4, in);
    if (values == NULL ||
        !il__sort_by_column(p, &out->by, s.rows, s.width, s.in, s.starts, s.columns)) {
        return NULL;
    }
    memcpy(values->pub.data, s.values, (size_t)out->pub.count * sizeof(float));
    out->pub.values = il__record(p, back_top_linear, out, values, NULL, 4, in);
    return &out->pub;
}
