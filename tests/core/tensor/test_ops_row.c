#include "core/tensor/check_grad.h"

static int64_t width(const grad_case *c)
{
    return c->in[0].shape[c->in[0].ndim - 1];
}

static int64_t rows(const grad_case *c)
{
    return grad_count(&c->in[0]) / width(c);
}

/* ---- softmax ---- */

static il_tensor *softmax(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return c->arg ? il_log_softmax(p, x[0]) : il_softmax(p, x[0]);
}

static void softmax_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t w = width(c);

    for (int64_t r = 0; r < rows(c); r++) {
        double sum = 0.0;

        for (int64_t i = 0; i < w; i++) {
            sum += exp(x[0][r * w + i]);
        }
        for (int64_t i = 0; i < w; i++) {
            y[r * w + i] =
                c->arg ? x[0][r * w + i] - log(sum) : exp(x[0][r * w + i]) / sum;
        }
    }
}

static const grad_case softmaxes[] = {
    {"softmax", softmax, softmax_twin, 1, {{2, {4, 5}}}, .arg = 0},
    {"softmax (2,3,17)", softmax, softmax_twin, 1, {{3, {2, 3, 17}}}, .arg = 0},
    {"softmax of one", softmax, softmax_twin, 1, {{2, {3, 1}}}, .arg = 0},
    {"log_softmax", softmax, softmax_twin, 1, {{2, {4, 5}}}, .arg = 1},
    {"log_softmax (33)", softmax, softmax_twin, 1, {{1, {33}}}, .arg = 1},
};

/* ---- norms: arg has bit 0 for a gain, bit 1 for a bias ---- */

static il_tensor *layer_norm(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    il_tensor *gain = c->arg & 1 ? x[1] : NULL;
    il_tensor *bias = c->arg & 2 ? x[c->inputs - 1] : NULL;

    return il_layer_norm(p, x[0], gain, bias, 1e-5f);
}

static void layer_norm_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t w = width(c);

    for (int64_t r = 0; r < rows(c); r++) {
        const float *row = x[0] + r * w;
        double mean = 0.0;
        double var = 0.0;

        for (int64_t i = 0; i < w; i++) {
            mean += row[i] / (double)w;
        }
        for (int64_t i = 0; i < w; i++) {
            var += (row[i] - mean) * (row[i] - mean) / (double)w;
        }
        for (int64_t i = 0; i < w; i++) {
            double v = (row[i] - mean) / sqrt(var + 1e-5f);

            v *= c->arg & 1 ? x[1][i] : 1.0;
            y[r * w + i] = v + (c->arg & 2 ? x[c->inputs - 1][i] : 0.0);
        }
    }
}

static il_tensor *rms_norm(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_rms_norm(p, x[0], c->arg ? x[1] : NULL, 1e-5f);
}

static void rms_norm_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t w = width(c);

    for (int64_t r = 0; r < rows(c); r++) {
        double square = 0.0;

        for (int64_t i = 0; i < w; i++) {
            square += (double)x[0][r * w + i] * x[0][r * w + i] / (double)w;
        }
        for (int64_t i = 0; i < w; i++) {
            y[r * w + i] =
                x[0][r * w + i] / sqrt(square + 1e-5f) * (c->arg ? x[1][i] : 1.0);
        }
    }
}

static const grad_case norms[] = {
    {"layer_norm",
     layer_norm,
     layer_norm_twin,
     3,
     {{2, {4, 6}}, {1, {6}}, {1, {6}}},
     .arg = 3},
    {"layer_norm (2,3,17)",
     layer_norm,
     layer_norm_twin,
     3,
     {{3, {2, 3, 17}}, {1, {17}}, {1, {17}}},
     .arg = 3},
    {"layer_norm without bias",
     layer_norm,
     layer_norm_twin,
     2,
     {{2, {70, 5}}, {1, {5}}},
     .arg = 1},
    {"layer_norm without gain",
     layer_norm,
     layer_norm_twin,
     2,
     {{2, {3, 5}}, {1, {5}}},
     .arg = 2},
    {"layer_norm bare", layer_norm, layer_norm_twin, 1, {{1, {9}}}, .arg = 0},
    {"rms_norm", rms_norm, rms_norm_twin, 2, {{2, {4, 6}}, {1, {6}}}, .arg = 1},
    {"rms_norm (2,2,17)",
     rms_norm,
     rms_norm_twin,
     2,
     {{3, {2, 2, 17}}, {1, {17}}},
     .arg = 1},
    {"rms_norm bare", rms_norm, rms_norm_twin, 1, {{2, {3, 5}}}, .arg = 0},
};

/* ---- sums ---- */

static il_tensor *add_up(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return c->arg == 0   ? il_sum(p, x[0])
           : c->arg == 1 ? il_mean(p, x[0])
                         : il_row_sum(p, x[0]);
}

static void add_up_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t n = grad_count(&c->in[0]);

    for (int64_t i = 0; i < n; i++) {
        y[c->arg == 2 ? i / width(c) : 0] += x[0][i] / (c->arg == 1 ? (double)n : 1.0);
    }
}

static const grad_case sums[] = {
    {"sum", add_up, add_up_twin, 1, {{2, {5, 7}}}, .arg = 0},
    {"sum (1)", add_up, add_up_twin, 1, {{1, {1}}}, .arg = 0},
    {"mean", add_up, add_up_twin, 1, {{3, {2, 3, 7}}}, .arg = 1},
    {"row_sum", add_up, add_up_twin, 1, {{3, {2, 3, 17}}}, .arg = 2},
    {"row_sum (9)", add_up, add_up_twin, 1, {{1, {9}}}, .arg = 2},
};

/* ---- attention: the pattern is one more output, so there are cases with it, without
 * it, and of it alone ---- */

enum { OUT, OUT_AND_PATTERN, PATTERN };

static il_tensor *attention(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    il_tensor *pattern = NULL;
    il_tensor *y;
    int which = c->arg / 100;

    y = il_causal_attention(p, x[0], c->arg % 100, which == OUT ? NULL : &pattern);
    if (which == OUT) {
        return y;
    }
    pattern = il_reshape(p, pattern, IL_SHAPE(il_count(pattern)));
    if (which == PATTERN) {
        return pattern;
    }
    return il_concat(p, 2,
                     (il_tensor *[]){il_reshape(p, y, IL_SHAPE(il_count(y))), pattern});
}

static void attention_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t heads = c->arg % 100;
    int64_t batch = c->in[0].shape[0];
    int64_t t = c->in[0].shape[1];
    int64_t wide = c->in[0].shape[2] / 3;
    int64_t d = wide / heads;
    int which = c->arg / 100;
    double *pattern = y + (which == OUT_AND_PATTERN ? batch * t * wide : 0);
    double *p = calloc((size_t)t, sizeof *p);

    for (int64_t i = 0; i < batch * heads * t; i++) {
        int64_t b = i / t / heads;
        int64_t h = i / t % heads;
        int64_t at = i % t;
        const float *q = x[0] + (b * t + at) * 3 * wide + h * d;
        double sum = 0.0;

        for (int64_t j = 0; j <= at; j++) {
            const float *k = x[0] + (b * t + j) * 3 * wide + wide + h * d;
            double dot = 0.0;

            for (int64_t l = 0; l < d; l++) {
                dot += (double)q[l] * k[l];
            }
            p[j] = exp(dot / sqrt((double)d));
            sum += p[j];
        }
        for (int64_t j = 0; j <= at; j++) {
            const float *v = x[0] + (b * t + j) * 3 * wide + 2 * wide + h * d;

            if (which != OUT) {
                pattern[i * t + j] = p[j] / sum;
            }
            for (int64_t l = 0; l < d && which != PATTERN; l++) {
                y[(b * t + at) * wide + h * d + l] += p[j] / sum * v[l];
            }
        }
    }
    free(p);
}

static const grad_case attentions[] = {
    {"attention", attention, attention_twin, 1, {{3, {2, 5, 12}}}, .arg = 2},
    {"attention of one head", attention, attention_twin, 1, {{3, {1, 7, 9}}}, .arg = 1},
    {"attention of one token",
     attention,
     attention_twin,
     1,
     {{3, {3, 1, 6}}},
     .arg = 2},
    {"attention, 17 tokens", attention, attention_twin, 1, {{3, {1, 17, 6}}}, .arg = 1},
    {"attention and pattern",
     attention,
     attention_twin,
     1,
     {{3, {2, 4, 12}}},
     .arg = 102},
    {"pattern alone", attention, attention_twin, 1, {{3, {2, 4, 12}}}, .arg = 202},
};

START_TEST(softmaxes_agree_with_the_twin_and_with_differences)
{
    grad_check(&softmaxes[_i]);
}
END_TEST

START_TEST(norms_agree_with_the_twin_and_with_differences)
{
    grad_check(&norms[_i]);
}
END_TEST

START_TEST(sums_agree_with_the_twin_and_with_differences)
{
    grad_check(&sums[_i]);
}
END_TEST

START_TEST(attention_agrees_with_the_twin_and_with_differences)
{
    grad_check(&attentions[_i]);
}
END_TEST

START_TEST(attention_ignores_the_future_to_the_bit)
{
    enum { T = 9, C = 8 };
    float qkv[2][T * 3 * C];
    il_pass *p = NULL;
    il_tensor *y[2];

    grad_draw(qkv[0], T * 3 * C, 1, 0.0f, false);
    memcpy(qkv[1], qkv[0], sizeof qkv[0]);
    for (int i = 6 * 3 * C; i < T * 3 * C; i++) {
        qkv[1][i] += 3.0f;
    }
    ck_assert_int_eq(il_pass_create(&p, grad_blas(), 0, NULL), IL_OK);
    for (int i = 0; i < 2; i++) {
        il_tensor *x = il_pass_borrow(p, IL_SHAPE(1, T, 3 * C), qkv[i]);

        y[i] = il_causal_attention(p, x, 2, NULL);
    }
    ck_assert_int_eq(memcmp(y[0]->data, y[1]->data, 6 * C * sizeof(float)), 0);
    ck_assert_int_ne(memcmp(y[0]->data, y[1]->data, T * C * sizeof(float)), 0);
    il_pass_destroy(p);
}
END_TEST

START_TEST(the_mean_and_the_sum_of_none_are_0)
{
    float none = 5.0f;
    il_pass *p = NULL;
    il_tensor *x;

    ck_assert_int_eq(il_pass_create(&p, grad_blas(), 0, NULL), IL_OK);
    x = il_constant(p, IL_SHAPE(0, 3), &none);
    ck_assert(*il_f32(il_mean(p, x)) == 0.0f);
    ck_assert(*il_f32(il_sum(p, x)) == 0.0f);
    ck_assert_int_eq(il_pass_status(p, NULL), IL_OK);
    il_pass_destroy(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_row");
    TCase *tests = tcase_create("ops_row");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, softmaxes_agree_with_the_twin_and_with_differences, 0,
                        sizeof softmaxes / sizeof softmaxes[0]);
    tcase_add_loop_test(tests, norms_agree_with_the_twin_and_with_differences, 0,
                        sizeof norms / sizeof norms[0]);
    tcase_add_loop_test(tests, sums_agree_with_the_twin_and_with_differences, 0,
                        sizeof sums / sizeof sums[0]);
    tcase_add_loop_test(tests, attention_agrees_with_the_twin_and_with_differences, 0,
                        sizeof attentions / sizeof attentions[0]);
    tcase_add_test(tests, attention_ignores_the_future_to_the_bit);
    tcase_add_test(tests, the_mean_and_the_sum_of_none_are_0);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
