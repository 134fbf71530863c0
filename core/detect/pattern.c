#include "detect/pattern.h"

#include <string.h>

bool il_pattern_fits(const il_tensor *x, int64_t rows, int64_t width)
{
    if (!il_pattern_is(x)) {
        return il_width(x) == width && il_rows(x) == rows;
    }
    return x->shape[0] * x->shape[2] == rows && x->shape[2] == x->shape[3] &&
           x->shape[1] > 0 && width % x->shape[1] == 0 &&
           x->shape[3] <= width / x->shape[1];
}

/* Where a query's weights in head h begin. */
static int64_t place(const il_tensor *x, int64_t row, int64_t h)
{
    int64_t t = x->shape[2];

    return ((row / t * x->shape[1] + h) * t + row % t) * t;
}

static void copy_row(float *out, const il_tensor *x, int64_t row, int64_t width)
{
    int64_t heads = x->shape[1];
    int64_t t = x->shape[2];
    int64_t keys = width / heads;

    for (int64_t h = 0; h < heads; h++) {
        memcpy(out + h * keys, il_f32(x) + place(x, row, h), (size_t)t * sizeof *out);
        memset(out + h * keys + t, 0, (size_t)(keys - t) * sizeof *out);
    }
}

const float *il_pattern_row(const il_tensor *x, int64_t row, int64_t width, float *into)
{
    if (!il_pattern_is(x)) {
        return il_f32(x) + row * width;
    }
    copy_row(into, x, row, width);
    return into;
}

/* ---- on the tape ---------------------------------------------------------------- */

typedef struct gather {
    int64_t width;
    int64_t count;
    const int32_t *rows; /* NULL: all */
} gather;

static void gather_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const gather *g = state;

    for (int64_t i = 0; i < g->count; i++) {
        copy_row(il_f32(out) + i * g->width, in[0], g->rows != NULL ? g->rows[i] : i,
                 g->width);
    }
}

static void gather_backward(const void *state, const il_tensor *const *in,
                            const il_tensor *out, const float *dout, float *const *din)
{
    const gather *g = state;
    int64_t heads = in[0]->shape[1];
    int64_t t = in[0]->shape[2];
    int64_t keys = g->width / heads;

    (void)out;
    for (int64_t i = 0; din[0] != NULL && i < g->count; i++) {
        int64_t row = g->rows != NULL ? g->rows[i] : i;

        for (int64_t h = 0; h < heads; h++) {
            float *to = din[0] + place(in[0], row, h);
            const float *from = dout + i * g->width + h * keys;

            for (int64_t s = 0; s < t; s++) {
                to[s] += from[s];
            }
        }
    }
}

static const il_custom gather_op = {sizeof(il_custom), "pattern_rows", gather_forward,
                                    gather_backward};

il_tensor *il_pattern_gather(il_pass *pass, il_tensor *x, int64_t width, int64_t count,
                             const int32_t *rows)
{
    gather *g;
    int32_t *copy;
    int64_t whole;

    if (!il_pattern_is(x)) {
        return il_gather_rows(pass, x, count, rows);
    }
    whole = x->shape[0] * x->shape[2];
    if (!il_pattern_fits(x, whole, width)) {
        il_pass_fail(pass, IL_ERR_SHAPE,
                     "an attention pattern has more keys or other heads than its site "
                     "declares");
        return NULL;
    }
    g = il_pass_alloc(pass, sizeof *g);
    copy =
        rows != NULL ? il_pass_alloc(pass, ((size_t)count + 1) * sizeof *copy) : NULL;
    if (g == NULL || (rows != NULL && copy == NULL)) {
        return NULL;
    }
    if (rows != NULL) {
        memcpy(copy, rows, (size_t)count * sizeof *copy);
    }
    *g = (gather){.width = width, .count = rows != NULL ? count : whole, .rows = copy};
    return rows != NULL
               ? il_custom_op(pass, &gather_op, g, 1, &x, IL_SHAPE(count, width))
               : il_custom_op(pass, &gather_op, g, 1, &x,
                              IL_SHAPE(x->shape[0], x->shape[2], width));
}
