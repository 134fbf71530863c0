/* Elementwise functions and activations against libm in double, at the ends of the
 * range, and for bits that do not depend on where a number stands. */
#include "tensor/kernels.h"
#include "kernels_support.h"
#include <check.h>

typedef void kernel(float *y, const float *x, int64_t n);

/* ---- the double-precision twins */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}
static double normal_cdf(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}
static double gelu(double x)
{
    return x * normal_cdf(x);
}
static double gelu_slope(double x)
{
    return normal_cdf(x) + x * exp(-x * x / 2) / sqrt(2 * PI);
}
static double gelu_tanh(double x)
{
    return x * (1 + tanh(sqrt(2 / PI) * (x + 0.044715 * x * x * x))) / 2;
}
static double gelu_tanh_slope(double x)
{
    double t = tanh(sqrt(2 / PI) * (x + 0.044715 * x * x * x));

    return (1 + t) / 2 +
           x * (1 - t * t) / 2 * sqrt(2 / PI) * (1 + 3 * 0.044715 * x * x);
}
static double relu(double x)
{
    return x > 0 ? x : 0;
}
static double relu_slope(double x)
{
    return x > 0;
}
static double tanh_slope(double x)
{
    return 1 - tanh(x) * tanh(x);
}
static double sigmoid_slope(double x)
{
    return sigmoid(x) * sigmoid(-x);
}
static double silu(double x)
{
    return x / (1.0 + exp(-x));
}
static double silu_slope(double x)
{
    const double s = 1.0 / (1.0 + exp(-x));

    return s * (1.0 + x * (1.0 - s));
}

static double square(double x)
{
    return x * x;
}
static double square_slope(double x)
{
    return 2 * x;
}
static double same(double x)
{
    return x;
}
static double one(double x)
{
    (void)x;
    return 1;
}

static const struct {
    const char *name;
    kernel *run;
    double (*twin)(double);
    double lo, hi, ulps;
} functions[] = {
    {"exp", il_k_exp, exp, -105, 90, 1.5},
    {"exp", il_k_exp, exp, -1, 1, 1.5},
    {"log", il_k_log, log, 0.5, 2, 1.5},
    {"log", il_k_log, log, 1e-30, 1e30, 1.5},
    {"tanh", il_k_tanh, tanh, -12, 12, 3},
    {"tanh", il_k_tanh, tanh, -0.7, 0.7, 3},
    {"sigmoid", il_k_sigmoid, sigmoid, -105, 100, 3},
    {"softplus", il_k_softplus, softplus, -105, 100, 4},
    {"softplus", il_k_softplus, softplus, -3, 3, 4},
    {"normal_cdf", il_k_normal_cdf, normal_cdf, -14, 14, 6},
    {"normal_cdf", il_k_normal_cdf, normal_cdf, -3, 3, 6},
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

/* Absolute errors, since a derivative that crosses zero has no relative one. */
static const struct {
    const char *name;
    il_act act;
    double (*twin)(double);
    double (*slope)(double);
    double error, slope_error;
} acts[] = {
    {"none", IL_ACT_NONE, same, one, 0, 0},
    {"relu", IL_ACT_RELU, relu, relu_slope, 0, 0},
    {"tanh", IL_ACT_TANH, tanh, tanh_slope, 2e-7, 4e-7},
    {"sigmoid", IL_ACT_SIGMOID, sigmoid, sigmoid_slope, 2e-7, 2e-7},
    {"gelu", IL_ACT_GELU, gelu, gelu_slope, 6e-7, 4e-7},
    {"gelu_tanh", IL_ACT_GELU_TANH, gelu_tanh, gelu_tanh_slope, 6e-7, 4e-6},
    {"softplus", IL_ACT_SOFTPLUS, softplus, sigmoid, 6e-7, 2e-7},
    {"exp", IL_ACT_EXP, exp, exp, 4e-5, 4e-5},
    {"square", IL_ACT_SQUARE, square, square_slope, 3e-6, 0},
    {"SiLU", IL_ACT_SILU, silu, silu_slope, 3e-6, 1e-6},
};
enum { ACTS = sizeof acts / sizeof acts[0] };

START_TEST(functions_agree_with_double_precision)
{
    enum { N = 200000 };
    float *x = floats(N);
    float *y = floats(N);

    for (int f = 0; f < FUNCTIONS; f++) {
        double worst = 0;
        double at = 0;

        draw_floats(x, N, 7, functions[f].lo, functions[f].hi);
        /* a third of the numbers across all magnitudes */
        for (int64_t i = 0; i < N; i += 3) {
            float small = (float)(functions[f].hi * exp(-60.0 * (double)i / N));

            x[i] = functions[f].lo >= 0 || i % 2 == 0 ? small : -small;
            if ((double)x[i] < functions[f].lo) {
                x[i] = (float)functions[f].lo;
            }
        }
        functions[f].run(y, x, N);
        for (int64_t i = 0; i < N; i++) {
            double apart = ulps_apart(y[i], functions[f].twin((double)x[i]));

            if (!(apart <= worst)) {
                worst = apart;
                at = (double)x[i];
            }
        }
        ck_assert_msg(worst <= functions[f].ulps, "%s: %.2f ulp at %.9g, expected %g",
                      functions[f].name, worst, at, functions[f].ulps);
    }
    free(x);
    free(y);
}
END_TEST

START_TEST(functions_have_their_limits)
{
    static const float inf = INFINITY;
    static const struct {
        kernel *run;
        float x, y;
    } cases[] = {
        {il_k_exp, INFINITY, INFINITY},
        {il_k_exp, -INFINITY, 0},
        {il_k_exp, 88.73f, INFINITY},
        {il_k_exp, FLT_MAX, INFINITY},
        {il_k_exp, -FLT_MAX, 0},
        {il_k_exp, 0, 1},
        {il_k_exp, -0.0f, 1},
        {il_k_log, INFINITY, INFINITY},
        {il_k_log, 0, -INFINITY},
        {il_k_log, -0.0f, -INFINITY},
        {il_k_log, 1, 0},
        {il_k_tanh, INFINITY, 1},
        {il_k_tanh, -INFINITY, -1},
        {il_k_tanh, 1e-42f, 1e-42f},
        {il_k_sigmoid, INFINITY, 1},
        {il_k_sigmoid, -INFINITY, 0},
        {il_k_sigmoid, 0, 0.5f},
        {il_k_softplus, INFINITY, INFINITY},
        {il_k_softplus, -INFINITY, 0},
        {il_k_softplus, FLT_MAX, FLT_MAX},
        {il_k_normal_cdf, INFINITY, 1},
        {il_k_normal_cdf, -INFINITY, 0},
        {il_k_normal_cdf, 0, 0.5f},
    };
    float y;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cases[i].run(&y, &cases[i].x, 1);
        ck_assert_msg(y == cases[i].y, "case %zu: f(%g) is %g, expected %g", i,
                      (double)cases[i].x, (double)y, (double)cases[i].y);
    }
    il_k_log(&y, &(float){-1}, 1);
    ck_assert_msg(isnan(y), "log(-1) is %g", (double)y);
    il_k_log(&y, &(float){-inf}, 1);
    ck_assert_msg(isnan(y), "log(-inf) is %g", (double)y);
    il_k_tanh(&y, &(float){-0.0f}, 1);
    ck_assert(y == 0 && signbit(y));
}
END_TEST

START_TEST(nan_comes_out_of_every_function_and_slope)
{
    float x[20];
    float y[20];
    float slope[20];
    float ones[20];

    for (int i = 0; i < 20; i++) {
        x[i] = i % 7 == 3 ? NAN : 0.25f;
        ones[i] = 1;
    }
    for (int f = 0; f < FUNCTIONS; f++) {
        functions[f].run(y, x, 20);
        for (int i = 0; i < 20; i++) {
            ck_assert_msg(!isnan(x[i]) == !isnan(y[i]), "%s at %d: %g",
                          functions[f].name, i, (double)y[i]);
        }
    }
    for (int a = 0; a < ACTS; a++) {
        il_k_act_forward(y, x, 20, acts[a].act);
        il_k_act_grad(slope, ones, x, y, 20, acts[a].act);
        for (int i = 0; i < 20; i++) {
            ck_assert_msg(!isnan(x[i]) == !isnan(y[i]), "%s at %d: %g", acts[a].name, i,
                          (double)y[i]);
            /* the slope of these two is a constant on each side */
            if (acts[a].act != IL_ACT_NONE && acts[a].act != IL_ACT_RELU) {
                ck_assert_msg(!isnan(x[i]) == !isnan(slope[i]), "%s' at %d: %g",
                              acts[a].name, i, (double)slope[i]);
            }
        }
    }
}
END_TEST

START_TEST(activations_and_slopes_agree_with_double_precision)
{
    enum { N = 100000 };
    float *x = floats(N);
    float *y = floats(N);
    float *ones = floats(N);
    float *dx = floats(N);

    draw_floats(x, N, 11, -6, 6);
    for (int64_t i = 0; i < N; i++) {
        ones[i] = 1;
    }
    for (int a = 0; a < ACTS; a++) {
        memset(dx, 0, N * sizeof *dx);
        il_k_act_forward(y, x, N, acts[a].act);
        il_k_act_backward(dx, ones, x, y, N, acts[a].act);
        for (int64_t i = 0; i < N; i++) {
            double error = fabs((double)y[i] - acts[a].twin((double)x[i]));
            double slope_error = fabs((double)dx[i] - acts[a].slope((double)x[i]));

            ck_assert_msg(error <= acts[a].error, "%s(%.9g): off by %g", acts[a].name,
                          (double)x[i], error);
            ck_assert_msg(
                slope_error <= acts[a].error || slope_error <= acts[a].slope_error,
                "%s'(%.9g): off by %g", acts[a].name, (double)x[i], slope_error);
        }
    }
    free(x);
    free(y);
    free(ones);
    free(dx);
}
END_TEST

START_TEST(gelus_reach_their_limits_at_the_infinities)
{
    static const il_act gelus[] = {IL_ACT_GELU, IL_ACT_GELU_TANH};
    const float x[4] = {INFINITY, -INFINITY, 1e30f, -1e30f};
    const float ones[4] = {1, 1, 1, 1};
    float y[4];
    float slope[4];

    for (int k = 0; k < 2; k++) {
        il_k_act_forward(y, x, 4, gelus[k]);
        il_k_act_grad(slope, ones, x, y, 4, gelus[k]);
        ck_assert(isinf(y[0]) && y[0] > 0);
        ck_assert(y[1] == 0 && y[2] == 1e30f && y[3] == 0);
        ck_assert(slope[0] == 1 && slope[1] == 0 && slope[2] == 1 && slope[3] == 0);
    }
}
END_TEST

START_TEST(backward_adds_and_grad_stores_the_same)
{
    enum { N = 67 };
    float x[N];
    float y[N];
    float dy[N];
    float stored[N];
    float added[N];

    draw_floats(x, N, 1, -3, 3);
    draw_floats(dy, N, 2, -2, 2);
    for (int a = 0; a < ACTS; a++) {
        /* those that do not keep x may lose it */
        const float *kept = il_k_act_keeps_x(acts[a].act) ? x : NULL;

        il_k_act_forward(y, x, N, acts[a].act);
        il_k_act_grad(stored, dy, kept, y, N, acts[a].act);
        for (int i = 0; i < N; i++) {
            added[i] = 1;
        }
        il_k_act_backward(added, dy, kept, y, N, acts[a].act);
        for (int i = 0; i < N; i++) {
            ck_assert_msg(added[i] == 1 + stored[i], "%s at %d", acts[a].name, i);
        }
        memcpy(added, dy, sizeof added);
        il_k_act_grad(added, added, kept, y, N, acts[a].act);
        ck_assert_msg(same_bits(added, stored, N), "%s in place", acts[a].name);
    }
}
END_TEST

/* Every length from 1 to 67 at every start within a vector, against one number at a
 * time. */
START_TEST(bits_do_not_depend_on_length_or_place)
{
    enum { N = 67, START = 16 };
    float x[N + START];
    float y[N + START];
    float alone[N + START];
    float slope_alone[N + START];
    const float dy = 0.7f;
    float dys[N];

    draw_floats(x, N + START, 5, -8, 8);
    x[3] = -90;
    x[20] = 95;
    x[33] = 1e-41f;
    x[50] = INFINITY;
    for (int i = 0; i < N; i++) {
        dys[i] = dy;
    }
    for (int f = 0; f < FUNCTIONS + ACTS; f++) {
        il_act act = f < FUNCTIONS ? IL_ACT_NONE : acts[f - FUNCTIONS].act;

        for (int i = 0; i < N + START; i++) {
            if (f < FUNCTIONS) {
                functions[f].run(&alone[i], &x[i], 1);
                slope_alone[i] = 0;
            } else {
                il_k_act_forward(&alone[i], &x[i], 1, act);
                il_k_act_grad(&slope_alone[i], &dy, &x[i], &alone[i], 1, act);
            }
        }
        for (int n = 1; n <= N; n++) {
            for (int start = 0; start < START; start++) {
                if (f < FUNCTIONS) {
                    functions[f].run(y, x + start, n);
                } else {
                    il_k_act_forward(y, x + start, n, act);
                }
                ck_assert_msg(same_bits(y, alone + start, n),
                              "function %d, n %d, start %d", f, n, start);
                if (f >= FUNCTIONS) {
                    il_k_act_grad(y, dys, x + start, alone + start, n, act);
                    ck_assert_msg(same_bits(y, slope_alone + start, n),
                                  "slope %d, n %d, start %d", f, n, start);
                }
            }
        }
        memcpy(y, x, sizeof x);
        if (f < FUNCTIONS) {
            functions[f].run(y, y, N + START);
        } else {
            il_k_act_forward(y, y, N + START, act);
        }
        ck_assert_msg(same_bits(y, alone, N + START), "function %d in place", f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels_math");
    TCase *tests = tcase_create("kernels_math");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, functions_agree_with_double_precision);
    tcase_add_test(tests, functions_have_their_limits);
    tcase_add_test(tests, nan_comes_out_of_every_function_and_slope);
    tcase_add_test(tests, activations_and_slopes_agree_with_double_precision);
    tcase_add_test(tests, gelus_reach_their_limits_at_the_infinities);
    tcase_add_test(tests, backward_adds_and_grad_stores_the_same);
    tcase_add_test(tests, bits_do_not_depend_on_length_or_place);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
