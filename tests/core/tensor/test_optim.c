/* Optimizers against the published formulas in double and by hand; schedules at their
 * corners. */
#include "tensor/optim.h"
#include "kernels_support.h"
#include <check.h>

enum { N = 67, STEPS = 50 };

/* One number's optimizer in double, written from the papers: Adam's algorithm 1 with
 * bias-corrected moments, AdamW's decoupled decay, SGD with heavy-ball momentum as
 * PyTorch defines it. */
static void twin_step(const il_optim *o, int64_t t, double lr, double *w, double g,
                      double *m, double *v)
{
    double beta1 = (double)o->beta1;
    double beta2 = (double)o->beta2;
    double decay = (double)o->weight_decay;

    if (o->kind == IL_OPTIM_SGD) {
        g += decay * *w;
        *m = t == 1 ? g : (double)o->momentum * *m + g;
        *w -= lr * *m;
        return;
    }
    if (o->kind == IL_OPTIM_ADAM) {
        g += decay * *w;
    } else {
        *w -= lr * decay * *w;
    }
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    *w -= lr * (*m / (1 - pow(beta1, (double)t))) /
          (sqrt(*v / (1 - pow(beta2, (double)t))) + (double)o->eps);
}

START_TEST(fifty_steps_agree_with_double_precision)
{
    static const il_optim optims[] = {
        {IL_OPTIM_ADAMW, 0.9f, 0.999f, 1e-8f, 0.1f, 0},
        {IL_OPTIM_ADAMW, 0.8f, 0.95f, 1e-6f, 0, 0},
        {IL_OPTIM_ADAM, 0.9f, 0.999f, 1e-8f, 0, 0},
        {IL_OPTIM_ADAM, 0.9f, 0.99f, 1e-8f, 0.05f, 0},
        {IL_OPTIM_SGD, 0, 0, 0, 0, 0},
        {IL_OPTIM_SGD, 0, 0, 0, 0.02f, 0.9f},
    };
    const float scale = 0.25f;
    const float lr = 0.01f;

    for (size_t k = 0; k < sizeof optims / sizeof optims[0]; k++) {
        float w[N];
        float m[N] = {0};
        float v[N] = {0};
        double twin_w[N];
        double twin_m[N] = {0};
        double twin_v[N] = {0};

        draw_floats(w, N, 1, -1, 1);
        for (int i = 0; i < N; i++) {
            twin_w[i] = (double)w[i];
        }
        for (int64_t t = 1; t <= STEPS; t++) {
            float g[N];

            draw_floats(g, N, (uint64_t)t, -3, 3);
            il_optim_step(&optims[k], t, lr, N, w, g, scale, m, v);
            for (int i = 0; i < N; i++) {
                twin_step(&optims[k], t, (double)lr, &twin_w[i],
                          (double)scale * (double)g[i], &twin_m[i], &twin_v[i]);
            }
        }
        for (int i = 0; i < N; i++) {
            ck_assert_msg(fabs((double)w[i] - twin_w[i]) < 3e-6,
                          "optimizer %zu, weight %d: %.9g, expected %.9g", k, i,
                          (double)w[i], twin_w[i]);
        }
    }
}
END_TEST

START_TEST(two_steps_of_each_match_numbers_worked_by_hand)
{
    const il_optim adamw = {IL_OPTIM_ADAMW, 0.9f, 0.999f, 1e-8f, 0.5f, 0};
    const il_optim adam = {IL_OPTIM_ADAM, 0.9f, 0.999f, 1e-8f, 0, 0};
    const il_optim sgd = {IL_OPTIM_SGD, 0, 0, 0, 0, 0.5f};
    const float g = 2;
    const float back = -2;
    float w = 1;
    float m = 0;
    float v = 0;

    /* the first corrected step has size lr whatever the gradient: 1 - 0.1 */
    il_optim_step(&adam, 1, 0.1f, 1, &w, &g, 1, &m, &v);
    ck_assert_float_eq_tol(w, 0.9f, 1e-6f);
    ck_assert_float_eq_tol(m, 0.2f, 1e-6f);
    ck_assert_float_eq_tol(v, 0.004f, 1e-7f);
    /* m = 0.9 * 0.2 - 0.1 * 2 = -0.02, over 1 - 0.81; v / (1 - 0.998001) = 4; so
     * w = 0.9 + 0.1 * 0.02 / 0.19 / 2 */
    il_optim_step(&adam, 2, 0.1f, 1, &w, &back, 1, &m, &v);
    ck_assert_float_eq_tol(w, 0.90526316f, 1e-6f);

    /* decay takes 0.1 * 0.5 of the weight, then the same step: 0.95 - 0.1 */
    w = 1;
    m = v = 0;
    il_optim_step(&adamw, 1, 0.1f, 1, &w, &g, 1, &m, &v);
    ck_assert_float_eq_tol(w, 0.85f, 1e-6f);

    /* 1 - 0.1 * 2, then m = 0.5 * 2 + 2 = 3: 0.8 - 0.3; what m held before step 1 is
     * not read */
    w = 1;
    m = 77;
    il_optim_step(&sgd, 1, 0.1f, 1, &w, &g, 1, &m, NULL);
    ck_assert_float_eq_tol(w, 0.8f, 1e-6f);
    il_optim_step(&sgd, 2, 0.1f, 1, &w, &g, 1, &m, NULL);
    ck_assert_float_eq_tol(w, 0.5f, 1e-6f);
}
END_TEST

START_TEST(a_step_has_the_same_bits_at_every_length)
{
    static const il_optim optims[] = {{IL_OPTIM_ADAMW, 0.9f, 0.999f, 1e-8f, 0.1f, 0},
                                      {IL_OPTIM_ADAM, 0.9f, 0.999f, 1e-8f, 0.1f, 0},
                                      {IL_OPTIM_SGD, 0, 0, 0, 0.1f, 0.9f}};
    float g[N];
    float start[N];

    draw_floats(g, N, 3, -1, 1);
    draw_floats(start, N, 4, 0, 1);
    for (size_t k = 0; k < sizeof optims / sizeof optims[0]; k++) {
        for (int n = 1; n <= N; n++) {
            float w[N];
            float m[N];
            float v[N];

            memcpy(w, start, sizeof w);
            memcpy(m, start, sizeof m);
            memcpy(v, start, sizeof v);
            il_optim_step(&optims[k], 2, 0.01f, n, w, g, 0.5f, m, v);
            for (int i = 0; i < n; i++) {
                float one_w = start[i];
                float one_m = start[i];
                float one_v = start[i];

                il_optim_step(&optims[k], 2, 0.01f, 1, &one_w, &g[i], 0.5f, &one_m,
                              &one_v);
                ck_assert_msg(same_bits(&one_w, &w[i], 1) &&
                                  same_bits(&one_m, &m[i], 1),
                              "optimizer %zu, n %d, weight %d", k, n, i);
            }
            for (int i = n; i < N; i++) {
                ck_assert_msg(same_bits(&w[i], &start[i], 1), "wrote past %d at %d", n,
                              i);
            }
        }
    }
}
END_TEST

START_TEST(a_nan_gradient_stays_in_its_weight)
{
    const il_optim adamw = {IL_OPTIM_ADAMW, 0.9f, 0.999f, 1e-8f, 0.1f, 0};
    float w[N];
    float g[N];
    float m[N] = {0};
    float v[N] = {0};

    draw_floats(w, N, 1, -1, 1);
    draw_floats(g, N, 2, -1, 1);
    g[13] = NAN;
    il_optim_step(&adamw, 1, 0.1f, N, w, g, 1, m, v);
    for (int i = 0; i < N; i++) {
        ck_assert_msg(!isnan(w[i]) == (i != 13), "weight %d is %g", i, (double)w[i]);
    }
}
END_TEST

START_TEST(schedules_pass_through_their_corners)
{
    const il_rate linear = {.shape = IL_RATE_LINEAR, .warmup = 10, .final = 0.1};
    const il_rate cosine = {.shape = IL_RATE_COSINE, .warmup = 10, .final = 0.2};
    const il_rate step = {.shape = IL_RATE_STEP, .warmup = 4, .at = 0.5, .factor = 0.1};
    const il_rate flat = {.shape = IL_RATE_CONSTANT, .warmup = 0};
    const struct {
        const il_rate *rate;
        int64_t step, steps;
        double want;
    } cases[] = {
        {&flat, 0, 100, 1},
        {&flat, 99, 100, 1},
        {&linear, 0, 111, 0.1},
        {&linear, 9, 111, 1},
        {&linear, 10, 111, 1},
        {&linear, 60, 111, 0.55},
        {&linear, 110, 111, 0.1},
        {&linear, 500, 111, 0.1},
        {&cosine, 4, 111, 0.5},
        {&cosine, 10, 111, 1},
        {&cosine, 60, 111, 0.6},
        {&cosine, 110, 111, 0.2},
        {&cosine, 35, 111, 0.2 + 0.4 * (1 + 0.70710678118654752)},
        {&step, 0, 100, 0.25},
        {&step, 3, 100, 1},
        {&step, 49, 100, 1},
        {&step, 50, 100, 0.1},
        {&step, 99, 100, 0.1},
        {&cosine, 10, 11, 0.2},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double got = il_rate_at(cases[i].rate, cases[i].step, cases[i].steps);

        ck_assert_msg(fabs(got - cases[i].want) < 1e-12, "case %zu: %.17g, expected %g",
                      i, got, cases[i].want);
    }
}
END_TEST

START_TEST(the_cosine_agrees_with_libm_between_its_corners)
{
    const il_rate cosine = {.shape = IL_RATE_COSINE, .warmup = 0, .final = 0};

    for (int64_t i = 0; i <= 1000; i++) {
        double want = (1 + cos(PI * (double)i / 1000)) / 2;

        ck_assert_msg(fabs(il_rate_at(&cosine, i, 1001) - want) < 1e-15, "step %d",
                      (int)i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optim");
    TCase *tests = tcase_create("optim");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, fifty_steps_agree_with_double_precision);
    tcase_add_test(tests, two_steps_of_each_match_numbers_worked_by_hand);
    tcase_add_test(tests, a_step_has_the_same_bits_at_every_length);
    tcase_add_test(tests, a_nan_gradient_stays_in_its_weight);
    tcase_add_test(tests, schedules_pass_through_their_corners);
    tcase_add_test(tests, the_cosine_agrees_with_libm_between_its_corners);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
