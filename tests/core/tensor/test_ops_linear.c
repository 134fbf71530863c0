#include "core/tensor/check_grad.h"

static double act(double x, int kind)
{
    switch (kind) {
    case IL_ACT_RELU:
        return x > 0 ? x : 0;
    case IL_ACT_TANH:
        return tanh(x);
    case IL_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case IL_ACT_GELU:
        return 0.5 * x * erfc(-x / sqrt(2.0));
    case IL_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case IL_ACT_SOFTPLUS:
        return log1p(exp(-fabs(x))) + (x > 0 ? x : 0);
    case IL_ACT_EXP:
        return exp(x);
    case IL_ACT_SQUARE:
        return x * x;
    default:
        return x;
    }
}

static il_tensor *linear(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_linear_act(p, x[0], x[1], c->inputs > 2 ? x[2] : NULL, (il_act)c->arg);
}

static void linear_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t in = c->in[1].shape[1];
    int64_t out = c->in[1].shape[0];

    for (int64_t n = 0; n < grad_count(&c->in[0]) / in; n++) {
        for (int64_t o = 0; o < out; o++) {
            double sum = c->inputs > 2 ? x[2][o] : 0.0;

            for (int64_t i = 0; i < in; i++) {
                sum += (double)x[0][n * in + i] * x[1][o * in + i];
            }
            y[n * out + o] = act(sum, c->arg);
        }
    }
}

/* The rectifier's sums have one term, of factors away from 0, so that no difference
 * spans its kink. */
static const grad_case linears[] = {
    {"linear", linear, linear_twin, 3, {{2, {5, 7}}, {2, {3, 7}}, {1, {3}}}, .arg = 0},
    {"linear (2,3,4)",
     linear,
     linear_twin,
     3,
     {{3, {2, 3, 4}}, {2, {5, 4}}, {1, {5}}},
     .arg = 0},
    {"linear of one row",
     linear,
     linear_twin,
     3,
     {{1, {6}}, {2, {4, 6}}, {1, {4}}},
     .arg = 0},
    {"linear without bias",
     linear,
     linear_twin,
     2,
     {{2, {33, 17}}, {2, {9, 17}}},
     .arg = 0},
    {"linear relu",
     linear,
     linear_twin,
     2,
     {{2, {5, 1}}, {2, {4, 1}}},
     .arg = IL_ACT_RELU,
     .away = 0.5f},
    {"linear tanh",
     linear,
     linear_twin,
     3,
     {{2, {5, 3}}, {2, {4, 3}}, {1, {4}}},
     .arg = IL_ACT_TANH},
    {"linear sigmoid",
     linear,
     linear_twin,
     3,
     {{2, {5, 3}}, {2, {4, 3}}, {1, {4}}},
     .arg = IL_ACT_SIGMOID},
    {"linear gelu",
     linear,
     linear_twin,
     3,
     {{2, {5, 3}}, {2, {4, 3}}, {1, {4}}},
     .arg = IL_ACT_GELU},
    {"linear gelu_tanh",
     linear,
     linear_twin,
     3,
     {{2, {5, 3}}, {2, {4, 3}}, {1, {4}}},
     .arg = IL_ACT_GELU_TANH},
    {"linear softplus",
     linear,
     linear_twin,
     3,
     {{2, {5, 3}}, {2, {4, 3}}, {1, {4}}},
     .arg = IL_ACT_SOFTPLUS},
    {"linear exp",
     linear,
     linear_twin,
     3,
     {{2, {3, 2}}, {2, {3, 2}}, {1, {3}}},
     .arg = IL_ACT_EXP},
    {"linear square",
     linear,
     linear_twin,
     3,
     {{2, {5, 3}}, {2, {4, 3}}, {1, {4}}},
     .arg = IL_ACT_SQUARE},
};

static il_tensor *matmul(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_matmul(p, x[0], x[1], c->arg != 0);
}

static void matmul_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t inner = c->in[0].shape[c->in[0].ndim - 1];
    int64_t cols = c->in[1].shape[c->arg ? 0 : 1];

    for (int64_t n = 0; n < grad_count(&c->in[0]) / inner; n++) {
        for (int64_t j = 0; j < cols; j++) {
            for (int64_t i = 0; i < inner; i++) {
                y[n * cols + j] += (double)x[0][n * inner + i] *
                                   x[1][c->arg ? j * inner + i : i * cols + j];
            }
        }
    }
}

static const grad_case matmuls[] = {
    {"matmul", matmul, matmul_twin, 2, {{2, {4, 3}}, {2, {3, 5}}}, .arg = 0},
    {"matmul (2,3,4)", matmul, matmul_twin, 2, {{3, {2, 3, 4}}, {2, {4, 1}}}, .arg = 0},
    {"matmul transposed", matmul, matmul_twin, 2, {{2, {4, 3}}, {2, {5, 3}}}, .arg = 1},
    {"matmul of a row transposed",
     matmul,
     matmul_twin,
     2,
     {{1, {17}}, {2, {9, 17}}},
     .arg = 1},
};

static il_tensor *activate(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_activate(p, x[0], (il_act)c->arg);
}

static void activate_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        y[i] = act(x[0][i], c->arg);
    }
}

START_TEST(linear_and_its_gradients_agree_with_the_twin_and_with_differences)
{
    grad_check(&linears[_i]);
}
END_TEST

START_TEST(matmul_and_its_gradients_agree_with_the_twin_and_with_differences)
{
    grad_check(&matmuls[_i]);
}
END_TEST

/* Gradients that are handed on, added to and used again: x + tanh(x w^T + b) and x -
 * x^2 / 8, three times over. */
static il_tensor *stack(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    il_tensor *h = x[0];

    (void)c;
    for (int i = 0; i < 3; i++) {
        h = il_add(p, h, il_linear_act(p, h, x[1], x[2], IL_ACT_TANH));
        h = il_sub(p, h, il_affine(p, il_mul(p, h, h), 0.125f, 0.0f));
        h = il_reshape(p, il_add(p, il_reshape(p, h, IL_SHAPE(12)), x[3]),
                       IL_SHAPE(4, 3));
    }
    return h;
}

static void stack_twin(double *y, const float *const *x, const grad_case *c)
{
    (void)c;
    for (int i = 0; i < 12; i++) {
        y[i] = x[0][i];
    }
    for (int layer = 0; layer < 3; layer++) {
        double before[12];

        memcpy(before, y, sizeof before);
        for (int i = 0; i < 12; i++) {
            double sum = x[2][i % 3];

            for (int j = 0; j < 3; j++) {
                sum += before[i / 3 * 3 + j] * x[1][i % 3 * 3 + j];
            }
            y[i] = before[i] + tanh(sum);
            y[i] = y[i] - y[i] * y[i] / 8 + x[3][i];
        }
    }
}

START_TEST(a_stack_with_residuals_agrees_with_the_twin_and_with_differences)
{
    grad_case c = {
        "stack", stack, stack_twin, 4, {{2, {4, 3}}, {2, {3, 3}}, {1, {3}}, {1, {12}}},
        .arg = 0};

    grad_check(&c);
}
END_TEST

START_TEST(every_activation_agrees_with_the_twin_and_with_differences)
{
    grad_case odd = {"activate (37)", activate,  activate_twin, 1,
                     {{1, {37}}},     .arg = _i, .away = 0.1f};
    grad_case even = {"activate (2,3,8)", activate,  activate_twin, 1,
                      {{3, {2, 3, 8}}},   .arg = _i, .away = 0.1f};

    grad_check(&odd);
    grad_check(&even);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_linear");
    TCase *tests = tcase_create("ops_linear");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(
        tests, linear_and_its_gradients_agree_with_the_twin_and_with_differences, 0,
        sizeof linears / sizeof linears[0]);
    tcase_add_loop_test(
        tests, matmul_and_its_gradients_agree_with_the_twin_and_with_differences, 0,
        sizeof matmuls / sizeof matmuls[0]);
    tcase_add_loop_test(tests,
                        every_activation_agrees_with_the_twin_and_with_differences, 0,
                        IL_ACT_SQUARE + 1);
    tcase_add_test(tests,
                   a_stack_with_residuals_agrees_with_the_twin_and_with_differences);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
