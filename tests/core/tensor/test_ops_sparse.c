#include "core/tensor/check_grad.h"
#include "core/tensor/kernels_support.h"
#include "tensor/kernels_sparse.h"

/* Cases keep `arg` of the 7 features. Their biases are drawn further apart than the
 * products reach, so that differences never change what is kept. */
enum { FEATURES = 7 };

static const float apart[FEATURES] = {20, -30, 60, 10, -10, 40, 30};

static il_tensor *wide_bias(il_pass *p, il_tensor *b)
{
    return il_add(p, b, il_constant(p, IL_SHAPE(FEATURES), apart));
}

static const il_sparse *top(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_top_linear(p, x[0], x[1], x[2], wide_bias(p, x[3]), c->arg,
                         c->name[0] == 'b');
}

static il_tensor *dense(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_sparse_dense(p, top(p, x, c));
}

static int64_t rows(const grad_case *c)
{
    return grad_count(&c->in[0]) / c->in[0].shape[c->in[0].ndim - 1];
}

/* The dense matrix, by sorting: row by row or all rows together. */
static void dense_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t n = rows(c);
    int64_t width = c->in[2].shape[1];
    int64_t group = c->name[0] == 'b' ? n * FEATURES : FEATURES;
    int64_t keep = c->name[0] == 'b' ? n * c->arg : c->arg;

    for (int64_t i = 0; i < n * FEATURES; i++) {
        y[i] = x[3][i % FEATURES] + (double)apart[i % FEATURES];
        for (int64_t j = 0; j < width; j++) {
            y[i] += ((double)x[0][i / FEATURES * width + j] - x[1][j]) *
                    x[2][i % FEATURES * width + j];
        }
    }
    for (int64_t first = 0; first < n * FEATURES; first += group) {
        double *copy = malloc((size_t)group * sizeof *copy);

        memcpy(copy, y + first, (size_t)group * sizeof *copy);
        for (int64_t i = 0; i < group; i++) {
            int64_t above = 0;

            for (int64_t j = 0; j < group; j++) {
                above += copy[j] > copy[i] || (copy[j] == copy[i] && j < i);
            }
            if (above >= keep || copy[i] <= 0) {
                y[first + i] = 0;
            }
        }
        free(copy);
    }
}

/* Columns [1,6) of it times a table, which is input 4. */
static il_tensor *decoded(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_sparse_matmul(p, top(p, x, c), x[4], 1, 6);
}

static void decoded_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t n = rows(c);
    int64_t width = c->in[4].shape[1];
    double *kept = calloc((size_t)(n * FEATURES), sizeof *kept);

    dense_twin(kept, x, c);
    for (int64_t i = 0; i < n * width; i++) {
        y[i] = 0;
        for (int64_t f = 1; f < 6; f++) {
            y[i] += kept[i / width * FEATURES + f] * x[4][f * width + i % width];
        }
    }
    free(kept);
}

#define ENCODER(n, i)                                                                  \
    {                                                                                  \
        {2, {n, i}}, {1, {i}}, {2, {FEATURES, i}},                                     \
        {                                                                              \
            1,                                                                         \
            {                                                                          \
                FEATURES                                                               \
            }                                                                          \
        }                                                                              \
    }
#define WITH_TABLE(n, i, w)                                                            \
    {                                                                                  \
        {2, {n, i}}, {1, {i}}, {2, {FEATURES, i}}, {1, {FEATURES}},                    \
        {                                                                              \
            2,                                                                         \
            {                                                                          \
                FEATURES, w                                                            \
            }                                                                          \
        }                                                                              \
    }

static const grad_case cases[] = {
    {"two of a row", dense, dense_twin, 4, ENCODER(5, 3), .arg = 2},
    {"all above 0", dense, dense_twin, 4, ENCODER(3, 17), .arg = FEATURES},
    {"both rows' six", dense, dense_twin, 4, ENCODER(2, 3), .arg = 3},
    {"decoded", decoded, decoded_twin, 5, WITH_TABLE(5, 3, 4), .arg = 3},
    {"decoded (19)", decoded, decoded_twin, 5, WITH_TABLE(9, 2, 19), .arg = 4},
    {"batch's, decoded", decoded, decoded_twin, 5, WITH_TABLE(5, 3, 4), .arg = 2},
};

START_TEST(sparse_products_agree_with_loops_and_differences)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        grad_check(&cases[i]);
    }
}
END_TEST

/* One forward of many features, for choices that a small case does not meet. */
typedef struct big {
    int64_t n, in, f;
    float *x, *w, *b;
    il_pass *pass;
} big;

static void big_open(big *g, int64_t n, int64_t in, int64_t f)
{
    il_error err = {0};

    *g = (big){n, in, f, floats(n * in), floats(f * in), floats(f), NULL};
    draw_floats(g->x, n * in, 1, -1, 1);
    draw_floats(g->w, f * in, 2, -1, 1);
    draw_floats(g->b, f, 3, -1, 1);
    ck_assert_int_eq(il_pass_create(&g->pass, grad_blas(), 0, &err), IL_OK);
}

static void big_close(big *g)
{
    il_pass_destroy(g->pass);
    free(g->x);
    free(g->w);
    free(g->b);
}

static const il_sparse *big_top(big *g, int64_t k, bool over_all)
{
    il_error err = {0};
    const il_sparse *s;

    il_pass_begin(g->pass);
    s = il_top_linear(g->pass, il_pass_borrow(g->pass, IL_SHAPE(g->n, g->in), g->x),
                      NULL, il_pass_borrow(g->pass, IL_SHAPE(g->f, g->in), g->w),
                      il_pass_borrow(g->pass, IL_SHAPE(g->f), g->b), k, over_all);
    ck_assert_msg(il_pass_status(g->pass, &err) == IL_OK, "%s", err.message);
    return s;
}

static float number(const big *g, int64_t row, int64_t f)
{
    const int32_t at = (int32_t)row;
    float dot;

    il_k_pick_dot(&dot, g->w + f * g->in, g->x, &at, 1, g->in);
    return dot + g->b[f];
}

/* Whether exactly the numbers above `least` and enough of those equal to it are kept.
 */
static void check_row(const big *g, const il_sparse *s, int64_t r, int64_t k)
{
    int64_t next = s->starts[r];
    int64_t kept = 0;

    for (int64_t f = 0; f < g->f; f++) {
        float v = number(g, r, f);
        int64_t before = 0;

        for (int64_t o = 0; o < g->f; o++) {
            float w = number(g, r, o);

            before += w > v || (w == v && o < f);
        }
        if (before < k && v > 0) {
            ck_assert_int_lt(next, s->starts[r + 1]);
            ck_assert_int_eq(s->columns[next], f);
            ck_assert(memcmp(il_f32(s->values) + next, &v, sizeof v) == 0);
            next++;
            kept++;
        }
    }
    ck_assert_int_eq(s->starts[r + 1] - s->starts[r], kept);
}

START_TEST(what_is_kept_of_many_is_exactly_the_largest)
{
    static const int64_t kept[] = {1, 8, 40, 300};

    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        big g;

        big_open(&g, 70, 33, 515);
        /* features that stand twice tie in every row */
        memcpy(g.w + 100 * g.in, g.w + 400 * g.in, 20 * (size_t)g.in * sizeof(float));
        memcpy(g.b + 100, g.b + 400, 20 * sizeof(float));
        for (int64_t r = 0; r < g.n; r += 23) {
            check_row(&g, big_top(&g, kept[i], false), r, kept[i]);
        }
        big_close(&g);
    }
}
END_TEST

START_TEST(over_all_rows_the_largest_of_all_are_kept)
{
    big g;
    const il_sparse *s;
    float *all = floats(70 * 515);
    float least;
    int64_t n = 0;

    big_open(&g, 70, 33, 515);
    for (int64_t i = 0; i < g.n * g.f; i++) {
        all[i] = number(&g, i / g.f, i % g.f);
    }
    least = il_k_largest(all, g.n * g.f, 70 * 5);
    s = big_top(&g, 5, true);
    ck_assert_int_eq(s->count, 70 * 5);
    for (int64_t r = 0; r < g.n; r++) {
        for (int64_t f = 0; f < g.f; f++) {
            if (number(&g, r, f) >= least) {
                ck_assert_int_eq(s->columns[n], f);
                n++;
            }
        }
        ck_assert_int_eq(s->starts[r + 1], n);
    }
    free(all);
    big_close(&g);
}
END_TEST

START_TEST(equal_numbers_are_kept_in_their_order)
{
    big g;
    const il_sparse *s;

    big_open(&g, 3, 4, 900);
    for (int64_t f = 0; f < g.f; f++) {
        memcpy(g.w + f * g.in, g.w, (size_t)g.in * sizeof(float));
        g.b[f] = 10;
    }
    s = big_top(&g, 6, false);
    for (int i = 0; i < 18; i++) {
        ck_assert_int_eq(s->columns[i], i % 6);
    }
    s = big_top(&g, 6, true); /* the row with the greatest number has room for all */
    ck_assert_int_eq(s->count, 18);
    big_close(&g);
}
END_TEST

START_TEST(rows_of_zeros_and_of_negatives_keep_nothing)
{
    big g;
    const il_sparse *s;

    big_open(&g, 2, 4, 64);
    memset(g.x, 0, (size_t)g.in * sizeof(float));
    for (int64_t f = 0; f < g.f; f++) {
        g.b[f] = f % 2 == 0 ? 0.0f : -1.0f;
    }
    s = big_top(&g, 6, false);
    ck_assert_int_eq(s->starts[1], 0);
    big_close(&g);
}
END_TEST

START_TEST(a_number_that_is_none_stays_in_its_row)
{
    big g;
    const il_sparse *s;
    il_tensor *y;

    big_open(&g, 3, 4, 64);
    g.x[g.in] = NAN;
    for (int over_all = 0; over_all < 2; over_all++) {
        s = big_top(&g, 2, over_all != 0);
        y = il_sparse_dense(g.pass, s);
        for (int64_t i = 0; i < 3 * g.f; i++) {
            ck_assert_int_eq(isnan(il_f32(y)[i]) != 0, i / g.f == 1);
        }
    }
    big_close(&g);
}
END_TEST

START_TEST(a_rows_bits_do_not_depend_on_its_company)
{
    big g;
    const il_sparse *s;
    float bits[16];
    int32_t columns[16];
    int64_t n;

    big_open(&g, 70, 33, 515);
    s = big_top(&g, 16, false);
    n = s->starts[8] - s->starts[7];
    memcpy(bits, il_f32(s->values) + s->starts[7], (size_t)n * sizeof(float));
    memcpy(columns, s->columns + s->starts[7], (size_t)n * sizeof *columns);
    memmove(g.x, g.x + 7 * g.in, (size_t)g.in * sizeof(float));
    g.n = 1;
    s = big_top(&g, 16, false);
    ck_assert_int_eq(s->count, n);
    ck_assert(same_bits(bits, il_f32(s->values), n));
    ck_assert_mem_eq(columns, s->columns, (size_t)n * sizeof *columns);
    big_close(&g);
}
END_TEST

START_TEST(shapes_that_do_not_fit_stick_an_error)
{
    big g;
    il_error err = {0};
    il_tensor *x;
    il_tensor *w;
    const il_sparse *s;

    big_open(&g, 3, 4, 64);
    s = big_top(&g, 2, false);
    x = il_pass_borrow(g.pass, IL_SHAPE(g.n, g.in), g.x);
    w = il_pass_borrow(g.pass, IL_SHAPE(g.in, g.f), g.w);
    (void)il_sparse_matmul(g.pass, s, w, 0, 4); /* a table of the wrong height */
    ck_assert_int_eq(il_pass_status(g.pass, &err), IL_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "sparse_matmul"));
    il_pass_begin(g.pass);
    err = (il_error){0};
    x = il_pass_borrow(g.pass, IL_SHAPE(g.n, g.in), g.x);
    w = il_pass_borrow(g.pass, IL_SHAPE(g.in, g.f), g.w);
    s = il_top_linear(g.pass, x, NULL, w, NULL, 2, false);
    ck_assert_ptr_null(s);
    ck_assert_ptr_nonnull(il_sparse_dense(g.pass, s)); /* which bears it */
    ck_assert_int_eq(il_pass_status(g.pass, &err), IL_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "top_linear"));
    big_close(&g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sparse ops");
    TCase *t = tcase_create("sparse ops");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, t);
    tcase_add_test(t, sparse_products_agree_with_loops_and_differences);
    tcase_add_test(t, what_is_kept_of_many_is_exactly_the_largest);
    tcase_add_test(t, over_all_rows_the_largest_of_all_are_kept);
    tcase_add_test(t, equal_numbers_are_kept_in_their_order);
    tcase_add_test(t, rows_of_zeros_and_of_negatives_keep_nothing);
    tcase_add_test(t, a_number_that_is_none_stays_in_its_row);
    tcase_add_test(t, a_rows_bits_do_not_depend_on_its_company);
    tcase_add_test(t, shapes_that_do_not_fit_stick_an_error);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
