#include "core/tensor/check_grad.h"

static const int32_t targets[] = {2, -1, 0, 4, -1, 1};

static il_tensor *plain(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    il_tensor t = grad_ints(c);

    return il_cross_entropy(p, x[0], &t);
}

static il_tensor *fused(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    il_tensor t = grad_ints(c);

    return il_cross_entropy_linear(p, x[0], x[1], c->inputs > 2 ? x[2] : NULL, &t);
}

/* -log softmax at the target of the logits (v) that `logit` gives. */
static double entropy(const double *logits, int64_t v, int32_t target)
{
    double sum = 0.0;

    for (int64_t i = 0; i < v; i++) {
        sum += exp(logits[i]);
    }
    return target < 0 ? 0.0 : log(sum) - logits[target];
}

static void plain_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t v = c->in[0].shape[c->in[0].ndim - 1];
    double logits[64];

    for (int64_t r = 0; r < grad_count(&c->in[0]) / v; r++) {
        for (int64_t i = 0; i < v; i++) {
            logits[i] = x[0][r * v + i];
        }
        y[r] = entropy(logits, v, c->ints[r]);
    }
}

static void fused_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t v = c->in[1].shape[0];
    int64_t w = c->in[1].shape[1];
    double logits[64];

    for (int64_t r = 0; r < grad_count(&c->in[0]) / w; r++) {
        for (int64_t i = 0; i < v; i++) {
            logits[i] = c->inputs > 2 ? x[2][i] : 0.0;
            for (int64_t j = 0; j < w; j++) {
                logits[i] += (double)x[0][r * w + j] * x[1][i * w + j];
            }
        }
        y[r] = entropy(logits, v, c->ints[r]);
    }
}

static il_tensor *bce(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    (void)c;
    return il_bce_logits(p, x[0], x[1]);
}

static void bce_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        double p = 1.0 / (1.0 + exp(-(double)x[0][i]));

        y[i] = -(x[1][i] * log(p) + (1.0 - x[1][i]) * log(1.0 - p));
    }
}

static const int32_t all_there[] = {1, 0, 3, 2, 4, 4};
static const int32_t none_there[] = {-1, -1, -1};

static const grad_case cases[] = {
    {"cross_entropy",
     plain,
     plain_twin,
     1,
     {{3, {2, 3, 5}}},
     .ints = targets,
     .ints_are = {2, {2, 3}}},
    {"cross_entropy (1,17)",
     plain,
     plain_twin,
     1,
     {{2, {1, 17}}},
     .ints = targets,
     .ints_are = {1, {1}}},
    {"cross_entropy_linear",
     fused,
     fused_twin,
     3,
     {{3, {2, 3, 4}}, {2, {5, 4}}, {1, {5}}},
     .ints = targets,
     .ints_are = {2, {2, 3}}},
    {"cross_entropy_linear of all rows",
     fused,
     fused_twin,
     3,
     {{3, {2, 3, 4}}, {2, {5, 4}}, {1, {5}}},
     .ints = all_there,
     .ints_are = {2, {2, 3}}},
    {"cross_entropy_linear without bias",
     fused,
     fused_twin,
     2,
     {{2, {6, 3}}, {2, {7, 3}}},
     .ints = targets,
     .ints_are = {1, {6}}},
    {"cross_entropy_linear of no row",
     fused,
     fused_twin,
     3,
     {{2, {3, 4}}, {2, {5, 4}}, {1, {5}}},
     .ints = none_there,
     .ints_are = {1, {3}}},
    {"bce_logits", bce, bce_twin, 2, {{2, {4, 9}}, {2, {4, 9}}}, .fixed = 1},
    {"bce_logits (1)", bce, bce_twin, 2, {{1, {1}}, {2, {1, 1}}}, .fixed = 1},
};

START_TEST(entropies_agree_with_the_twin_and_with_differences)
{
    grad_check(&cases[_i]);
}
END_TEST

/* Losses and gradients of the fused op and of linear followed by the plain one, for
 * rows that fill several chunks. With V = 9000 the probabilities of 520 rows are past
 * what is kept, so they are made anew. */
static void compare_with_two_ops(int64_t n, int64_t v, int every)
{
    enum { C = 5 };
    float *h = malloc((size_t)(n * C) * sizeof *h);
    float *w = malloc((size_t)(v * C) * sizeof *w);
    float *b = malloc((size_t)v * sizeof *b);
    float *seed = malloc((size_t)n * sizeof *seed);
    int32_t *at = malloc((size_t)n * sizeof *at);
    float *grads[2][3];
    il_tensor *y[2];
    il_store *store = NULL;
    il_pass *p = NULL;
    const float *values[3] = {h, w, b};
    const int64_t counts[3] = {n * C, v * C, v};
    il_word route = 7;
    il_tensor ints = {at, IL_DEVICE_CPU, 0, {IL_CODE_INT, 32, 1}, 1, {n}};
    il_scope scope = {"case", NULL, values, 0};

    ck_assert_int_eq(il_store_create(&store, NULL), IL_OK);
    ck_assert_int_eq(
        il_store_add(store, "h", "model", IL_SHAPE(n, C), IL_INIT_ZERO, NULL), IL_OK);
    ck_assert_int_eq(
        il_store_add(store, "w", "model", IL_SHAPE(v, C), IL_INIT_ZERO, NULL), IL_OK);
    ck_assert_int_eq(il_store_add(store, "b", "model", IL_SHAPE(v), IL_INIT_ZERO, NULL),
                     IL_OK);
    scope.store = store;
    grad_draw(h, n * C, 1, 0.0f, false);
    grad_draw(w, v * C, 2, 0.0f, false);
    grad_draw(b, v, 3, 0.0f, false);
    grad_draw(seed, n, 4, 0.0f, false);
    for (int64_t i = 0; i < n; i++) {
        at[i] = i % every == 0 ? (int32_t)(i * 7 % v) : every == 1 ? 0 : -1;
    }
    ck_assert_int_eq(il_pass_create(&p, grad_blas(), 3, NULL), IL_OK);
    il_pass_enter(p, &scope);
    for (int i = 0; i < 2; i++) {
        il_tensor *x[3];

        for (int j = 0; j < 3; j++) {
            x[j] = il_use(p, (il_param){j});
            grads[i][j] = calloc((size_t)counts[j], sizeof(float));
        }
        y[i] = i == 0 ? il_cross_entropy_linear(p, x[0], x[1], x[2], &ints)
                      : il_cross_entropy(p, il_linear(p, x[0], x[1], x[2]), &ints);
        ck_assert_int_eq(il_pass_backward(p, 1, &y[i], (const float *[]){seed}, &route,
                                          grads[i], NULL),
                         IL_OK);
    }
    for (int64_t i = 0; i < n; i++) {
        ck_assert(fabsf(il_f32(y[0])[i] - il_f32(y[1])[i]) <= 1e-5f);
    }
    for (int j = 0; j < 3; j++) {
        double off = 0.0;
        double norm = 0.0;

        for (int64_t i = 0; i < counts[j]; i++) {
            off += pow((double)grads[0][j][i] - grads[1][j][i], 2);
            norm += pow(grads[1][j][i], 2);
        }
        ck_assert_msg(sqrt(off) <= 1e-5 * sqrt(norm) && norm > 0, "input %d: %g of %g",
                      j, sqrt(off), sqrt(norm));
        free(grads[0][j]);
        free(grads[1][j]);
    }
    il_pass_destroy(p);
    il_store_destroy(store);
    free(h);
    free(w);
    free(b);
    free(seed);
    free(at);
}

START_TEST(the_fused_op_agrees_with_linear_and_cross_entropy_over_chunks)
{
    compare_with_two_ops(600, 11, 1);
    compare_with_two_ops(900, 11, 3);
}
END_TEST

START_TEST(the_fused_op_agrees_where_probabilities_are_not_kept)
{
    compare_with_two_ops(520, 9000, 1);
    compare_with_two_ops(1040, 9000, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_entropy");
    TCase *tests = tcase_create("ops_entropy");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, entropies_agree_with_the_twin_and_with_differences, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(tests,
                   the_fused_op_agrees_with_linear_and_cross_entropy_over_chunks);
    tcase_add_test(tests, the_fused_op_agrees_where_probabilities_are_not_kept);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
