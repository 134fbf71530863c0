/* Rows that are picked: see kernels_sparse.h. Four of them go by at once, so that the
 * sums do not wait for each other. */
#include "tensor/kernels_sparse.h"

#include "tensor/kernels_lanes.h"

enum { AT_ONCE = 4 };

/* `rest` numbers from x, zeros after them. */
IL_INLINE void load_rest(floats16 *to, const float *x, int64_t rest)
{
    *to = (floats16){0};
    for (int64_t i = 0; i < rest; i++) {
        (*to)[i] = x[i];
    }
}

/* `count` is a constant, so that the sums are registers. */
IL_INLINE void dots(float *out, const float *t, const float *const *x, int count,
                    int64_t w)
{
    floats16 sum[AT_ONCE];
    int64_t base = 0;

    IL_UNROLL
    for (int i = 0; i < count; i++) {
        sum[i] = (floats16){0};
    }
    for (; base + LANES <= w; base += LANES) {
        const floats16 b = *(const floats16 *)(t + base);

        IL_UNROLL
        for (int i = 0; i < count; i++) {
            sum[i] += *(const floats16 *)(x[i] + base) * b;
        }
    }
    if (base < w) {
        floats16 b;

        load_rest(&b, t + base, w - base);
        IL_UNROLL
        for (int i = 0; i < count; i++) {
            floats16 a;

            load_rest(&a, x[i] + base, w - base);
            sum[i] += a * b;
        }
    }
    IL_UNROLL
    for (int i = 0; i < count; i++) {
        out[i] = lanes_sum((const float *)&sum[i]);
    }
}

IL_CLONES
void il_k_pick_dot(float *out, const float *t, const float *x, const int32_t *rows,
                   int64_t n, int64_t w)
{
    int64_t i = 0;

    for (; i + AT_ONCE <= n; i += AT_ONCE) {
        const float *four[AT_ONCE] = {x + rows[i] * w, x + rows[i + 1] * w,
                                      x + rows[i + 2] * w, x + rows[i + 3] * w};

        dots(out + i, t, four, AT_ONCE, w);
    }
    for (; i < n; i++) {
        const float *one = x + rows[i] * w;

        dots(out + i, t, &one, 1, w);
    }
}

IL_CLONES
void il_k_pick_spread(float *y, const float *t, const int32_t *rows, const float *v,
                      int64_t n, int64_t w)
{
    for (int64_t i = 0; i < n; i++) {
        float *restrict to = y + rows[i] * w;
        const float alpha = v[i];

        IL_VECTOR
        for (int64_t c = 0; c < w; c++) {
            to[c] += alpha * t[c];
        }
    }
}

/* sum (+=) the `count` rows, one after the other in each element. */
IL_INLINE void add_rows(float *restrict sum, const float *const *x, const float *v,
                        int count, int64_t w)
{
    IL_VECTOR
    for (int64_t c = 0; c < w; c++) {
        float s = sum[c];

        IL_UNROLL
        for (int i = 0; i < count; i++) {
            s += v[i] * x[i][c];
        }
        sum[c] = s;
    }
}

IL_CLONES
void il_k_pick_sum(float *sum, const float *x, const int32_t *rows, const float *v,
                   int64_t n, int64_t w)
{
    int64_t i = 0;

    for (; i + AT_ONCE <= n; i += AT_ONCE) {
        const float *four[AT_ONCE] = {x + rows[i] * w, x + rows[i + 1] * w,
                                      x + rows[i + 2] * w, x + rows[i + 3] * w};
        const float of[AT_ONCE] = {v[i], v[i + 1], v[i + 2], v[i + 3]};

        add_rows(sum, four, of, AT_ONCE, w);
    }
    for (; i < n; i++) {
        const float *one = x + rows[i] * w;

        add_rows(sum, &one, v + i, 1, w);
    }
}

/* Both in registers: the rows are loaded once. */
IL_INLINE void dots_and_sum(float *out, float *restrict sum, const float *t,
                            const float *const *x, const float *v, int count, int64_t w)
{
    floats16 dot[AT_ONCE];
    int64_t base = 0;

    IL_UNROLL
    for (int i = 0; i < count; i++) {
        dot[i] = (floats16){0};
    }
    for (; base + LANES <= w; base += LANES) {
        const floats16 b = *(const floats16 *)(t + base);
        floats16 s = *(const floats16 *)(sum + base);

        IL_UNROLL
        for (int i = 0; i < count; i++) {
            const floats16 a = *(const floats16 *)(x[i] + base);

            dot[i] += a * b;
            s += a * v[i];
        }
        *(floats16 *)(sum + base) = s;
    }
    if (base < w) {
        floats16 b;

        load_rest(&b, t + base, w - base);
        IL_UNROLL
        for (int i = 0; i < count; i++) {
            floats16 a;

            load_rest(&a, x[i] + base, w - base);
            dot[i] += a * b;
            for (int64_t c = base; c < w; c++) {
                sum[c] += a[c - base] * v[i];
            }
        }
    }
    IL_UNROLL
    for (int i = 0; i < count; i++) {
        out[i] = lanes_sum((const float *)&dot[i]);
    }
}

IL_CLONES
void il_k_pick_both(float *out, float *sum, const float *t, const float *x,
                    const int32_t *rows, const float *v, int64_t n, int64_t w)
{
    int64_t i = 0;

    for (; i + AT_ONCE <= n; i += AT_ONCE) {
        const float *four[AT_ONCE] = {x + rows[i] * w, x + rows[i + 1] * w,
                                      x + rows[i + 2] * w, x + rows[i + 3] * w};
        const float of[AT_ONCE] = {v[i], v[i + 1], v[i + 2], v[i + 3]};

        dots_and_sum(out + i, sum, t, four, of, AT_ONCE, w);
    }
    for (; i < n; i++) {
        const float *one = x + rows[i] * w;

        dots_and_sum(out + i, sum, t, &one, v + i, 1, w);
    }
}

IL_CLONES
void il_k_shift_norms(float *y, float *norms, const float *x, const float *b,
                      int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * w;
        float *to = y + r * w;
        double lanes[LANES] = {0};

        for (int64_t c = 0; b != NULL && c < w; c++) {
            to[c] = from[c] - b[c];
        }
        for (int64_t c = 0; b == NULL && c < w; c++) {
            to[c] = from[c];
        }
        LANES_ADD(lanes, w, i, (double)to[i] * (double)to[i]);
        norms[r] = (float)sqrt(1.0 + lanes_sum_double(lanes));
    }
}

IL_CLONES
void il_k_row_margins(float *margins, const float *w, const float *b, int64_t rows,
                      int64_t wide)
{
    for (int64_t r = 0; r < rows; r++) {
        const float *row = w + r * wide;
        double lanes[LANES] = {0};
        double bias = b != NULL ? (double)b[r] : 0.0;

        LANES_ADD(lanes, wide, i, (double)row[i] * (double)row[i]);
        margins[r] = (float)sqrt(bias * bias + lanes_sum_double(lanes));
    }
}
