/* The recurrent ops: against the formula in double, against differences, against each
 * other, and the ancestry of what they make. */
#include "core/tensor/check_grad.h"

static il_tensor *sequence(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_gru(p, x[0], x[1], x[2], x[3], x[4], c->inputs > 5 ? x[5] : NULL);
}

static il_tensor *cell(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    (void)c;
    return il_gru_cell(p, x[0], x[5], x[1], x[2], x[3], x[4]);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* w (.,n) row `row` times x, plus b. */
static double affine(const float *w, const float *b, const double *x, int64_t n,
                     int64_t row)
{
    double sum = b[row];

    for (int64_t i = 0; i < n; i++) {
        sum += (double)w[row * n + i] * x[i];
    }
    return sum;
}

/* One position of one row: h (H) goes on to the next state. */
static void twin_step(double *h, const float *const *x, const float *input,
                      int64_t inputs, int64_t width)
{
    double in[16];
    double next[16];

    for (int64_t i = 0; i < inputs; i++) {
        in[i] = input[i];
    }
    for (int64_t j = 0; j < width; j++) {
        double r = sigmoid(affine(x[1], x[2], in, inputs, j) +
                           affine(x[3], x[4], h, width, j));
        double z = sigmoid(affine(x[1], x[2], in, inputs, width + j) +
                           affine(x[3], x[4], h, width, width + j));
        double n = tanh(affine(x[1], x[2], in, inputs, 2 * width + j) +
                        r * affine(x[3], x[4], h, width, 2 * width + j));

        next[j] = (1.0 - z) * n + z * h[j];
    }
    memcpy(h, next, (size_t)width * sizeof *h);
}

static void sequence_twin(double *y, const float *const *x, const grad_case *c)
{
    const int64_t length = c->in[0].ndim == 3 ? c->in[0].shape[1] : 1;
    const int64_t inputs = c->in[1].shape[1];
    const int64_t width = c->in[3].shape[1];

    for (int64_t b = 0; b < grad_count(&c->in[0]) / inputs / length; b++) {
        double h[16] = {0};

        for (int64_t j = 0; c->inputs > 5 && j < width; j++) {
            h[j] = x[5][b * width + j];
        }
        for (int64_t t = 0; t < length; t++) {
            const int64_t at = b * length + t;

            twin_step(h, x, x[0] + at * inputs, inputs, width);
            memcpy(y + at * width, h, (size_t)width * sizeof *h);
        }
    }
}

static const grad_case cases[] = {
    {"gru", sequence, sequence_twin, 6,
     .in = {{3, {2, 4, 3}},
            {2, {12, 3}},
            {1, {12}},
            {2, {12, 4}},
            {1, {12}},
            {2, {2, 4}}}},
    {"gru from zeros", sequence, sequence_twin, 5,
     .in = {{3, {3, 3, 2}}, {2, {15, 2}}, {1, {15}}, {2, {15, 5}}, {1, {15}}}},
    {"gru of one position", sequence, sequence_twin, 6,
     .in = {{3, {3, 1, 2}}, {2, {9, 2}}, {1, {9}}, {2, {9, 3}}, {1, {9}}, {2, {3, 3}}}},
    {"gru_cell", cell, sequence_twin, 6,
     .in = {{2, {3, 4}}, {2, {9, 4}}, {1, {9}}, {2, {9, 3}}, {1, {9}}, {2, {3, 3}}}},
};

START_TEST(recurrences_agree_with_the_twin_and_with_differences)
{
    grad_check(&cases[_i]);
}
END_TEST

/* ---- one against the other ------------------------------------------------------ */

enum { B = 16, T = 33, I = 11, H = 32, PARAMS = 6 };

static const struct {
    const char *name;
    int32_t ndim;
    int64_t shape[3];
} parts[PARAMS] = {{"x", 3, {B, T, I}},      {"w_input", 2, {3 * H, I}},
                   {"b_input", 1, {3 * H}},  {"w_hidden", 2, {3 * H, H}},
                   {"b_hidden", 1, {3 * H}}, {"before", 2, {B, H}}};

typedef struct bench {
    il_pass *pass;
    il_store *store;
    const float *values[PARAMS];
    il_tensor *in[PARAMS];
    il_scope scope;
} bench;

static void bench_open(bench *k)
{
    ck_assert_int_eq(il_store_create(&k->store, NULL), IL_OK);
    for (int i = 0; i < PARAMS; i++) {
        ck_assert_int_eq(il_store_add(k->store, parts[i].name, "model", parts[i].ndim,
                                      parts[i].shape, IL_INIT_NORMAL(0.4), NULL),
                         IL_OK);
    }
    ck_assert_int_eq(il_store_fill(k->store, 3, NULL), IL_OK);
    for (int i = 0; i < PARAMS; i++) {
        k->values[i] = k->store->values + k->store->items[i].offset;
    }
    ck_assert_int_eq(il_pass_create(&k->pass, grad_blas(), PARAMS, NULL), IL_OK);
    k->scope = (il_scope){"case", k->store, k->values, 0};
    il_pass_begin(k->pass);
    il_pass_enter(k->pass, &k->scope);
    for (int i = 0; i < PARAMS; i++) {
        k->in[i] = il_use(k->pass, (il_param){i});
    }
}

static void bench_close(bench *k)
{
    il_pass_leave(k->pass);
    ck_assert_int_eq(il_pass_status(k->pass, NULL), IL_OK);
    il_pass_destroy(k->pass);
    il_store_destroy(k->store);
}

START_TEST(cell_after_cell_is_the_sequence_up_to_rounding)
{
    bench k;
    il_tensor *all;
    il_tensor *h;
    float apart = 0.0f;

    bench_open(&k);
    all = il_gru(k.pass, k.in[0], k.in[1], k.in[2], k.in[3], k.in[4], k.in[5]);
    h = k.in[5];
    for (int t = 0; t < T; t++) {
        int32_t rows[B];

        for (int b = 0; b < B; b++) {
            rows[b] = b * T + t;
        }
        h = il_gru_cell(k.pass, il_gather_rows(k.pass, k.in[0], B, rows), h, k.in[1],
                        k.in[2], k.in[3], k.in[4]);
        for (int i = 0; i < B * H; i++) {
            float want = il_f32(all)[(i / H * T + t) * H + i % H];

            apart = fmaxf(apart, fabsf(il_f32(h)[i] - want));
        }
    }
    ck_assert_msg(apart <= 2e-6f, "%g apart", (double)apart);
    bench_close(&k);
}
END_TEST

START_TEST(later_inputs_touch_no_bit_of_earlier_states)
{
    bench k;
    il_tensor *x;
    il_tensor *all;
    il_tensor *other;

    bench_open(&k);
    x = il_constant(k.pass, 3, parts[0].shape, il_f32(k.in[0]));
    for (int b = 0; b < B; b++) {
        il_f32(x)[(b * T + T - 1) * I] += 1.0f;
    }
    all = il_gru(k.pass, k.in[0], k.in[1], k.in[2], k.in[3], k.in[4], NULL);
    other = il_gru(k.pass, x, k.in[1], k.in[2], k.in[3], k.in[4], NULL);
    for (int b = 0; b < B; b++) {
        const float *a = il_f32(all) + b * T * H;
        const float *c = il_f32(other) + b * T * H;

        ck_assert_mem_eq(a, c, (size_t)((T - 1) * H) * sizeof *a);
        ck_assert_mem_ne(a + (T - 1) * H, c + (T - 1) * H, H * sizeof *a);
    }
    bench_close(&k);
}
END_TEST

START_TEST(states_descend_from_all_that_made_them_and_from_nothing_else)
{
    bench k;
    il_tensor *all;
    il_tensor *one;
    il_tensor *stopped;

    bench_open(&k);
    all = il_gru(k.pass, k.in[0], k.in[1], k.in[2], k.in[3], k.in[4], NULL);
    ck_assert_uint_eq(*il_tensor_g(all), 0x1f);
    ck_assert_uint_eq(*il_tensor_v(all), 0x1f);
    stopped = il_gru(k.pass, k.in[0], k.in[1], k.in[2], k.in[3], k.in[4],
                     il_detach(k.pass, k.in[5]));
    ck_assert_uint_eq(*il_tensor_g(stopped), 0x1f);
    ck_assert_uint_eq(*il_tensor_v(stopped), 0x3f);
    one = il_gru_cell(k.pass, il_slice(k.pass, il_detach(k.pass, k.in[5]), 0, I),
                      k.in[5], k.in[1], k.in[2], k.in[3], k.in[4]);
    ck_assert_uint_eq(*il_tensor_g(one), 0x3e);
    ck_assert_uint_eq(*il_tensor_v(one), 0x3e);
    bench_close(&k);
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_refused_with_all_of_them)
{
    bench k;
    il_error err = {0};

    bench_open(&k);
    (void)il_gru(k.pass, k.in[0], k.in[1], k.in[2], k.in[1], k.in[4], k.in[5]);
    il_pass_leave(k.pass);
    ck_assert_int_eq(il_pass_status(k.pass, &err), IL_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "w_hidden (3H,H)"));
    ck_assert_ptr_nonnull(strstr(err.message, "(16,33,11), (96,11)"));
    il_pass_destroy(k.pass);
    il_store_destroy(k.store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_gru");
    TCase *tests = tcase_create("ops_gru");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, recurrences_agree_with_the_twin_and_with_differences, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(tests, cell_after_cell_is_the_sequence_up_to_rounding);
    tcase_add_test(tests, later_inputs_touch_no_bit_of_earlier_states);
    tcase_add_test(tests, states_descend_from_all_that_made_them_and_from_nothing_else);
    tcase_add_test(tests, shapes_that_do_not_fit_are_refused_with_all_of_them);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
