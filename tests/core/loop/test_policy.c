/* The policy's ops against twins in double and against differences, with every action
 * allowed and with only some. */
#include "loop/policy.h"
#include "../tensor/check_grad.h"

enum { ACTIONS = 5 };

static const uint8_t some[ACTIONS] = {1, 0, 1, 1, 0};
static const int32_t taken[] = {0, 3, 2, 2, 0, 3, 0};

static const uint8_t *allowed(const grad_case *c)
{
    return c->arg != 0 ? some : NULL;
}

/* Probabilities of one row, 0 for what may not be drawn. */
static void row(const grad_case *c, const float *x, double *p)
{
    const uint8_t *may = allowed(c);
    double sum = 0;

    for (int a = 0; a < ACTIONS; a++) {
        p[a] = may == NULL || may[a] ? exp((double)x[a]) : 0.0;
        sum += p[a];
    }
    for (int a = 0; a < ACTIONS; a++) {
        p[a] /= sum;
    }
}

static il_tensor *surprise(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_policy_surprise(p, x[0], allowed(c), taken);
}

static void surprise_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int i = 0; i < c->in[0].shape[0]; i++) {
        double p[ACTIONS];

        row(c, x[0] + i * ACTIONS, p);
        y[i] = -log(p[taken[i]]);
    }
}

static il_tensor *entropy(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_policy_entropy(p, x[0], allowed(c));
}

static void entropy_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int i = 0; i < c->in[0].shape[0]; i++) {
        double p[ACTIONS];

        row(c, x[0] + i * ACTIONS, p);
        y[i] = 0;
        for (int a = 0; a < ACTIONS; a++) {
            y[i] -= p[a] > 0 ? p[a] * log(p[a]) : 0.0;
        }
    }
}

static il_tensor *kl(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_policy_kl(p, x[0], x[1], allowed(c));
}

static void kl_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int i = 0; i < c->in[0].shape[0]; i++) {
        double p[ACTIONS];
        double q[ACTIONS];

        row(c, x[0] + i * ACTIONS, p);
        row(c, x[1] + i * ACTIONS, q);
        y[i] = 0;
        for (int a = 0; a < ACTIONS; a++) {
            y[i] += p[a] > 0 ? p[a] * log(p[a] / q[a]) : 0.0;
        }
    }
}

static const grad_case cases[] = {
    {"surprise", surprise, surprise_twin, 1, {{2, {7, ACTIONS}}}, .arg = 0},
    {"masked surprise", surprise, surprise_twin, 1, {{2, {7, ACTIONS}}}, .arg = 1},
    {"entropy", entropy, entropy_twin, 1, {{2, {4, ACTIONS}}}, .arg = 0},
    {"masked entropy", entropy, entropy_twin, 1, {{2, {4, ACTIONS}}}, .arg = 1},
    {"kl",
     kl,
     kl_twin,
     2,
     {{2, {6, ACTIONS}}, {2, {6, ACTIONS}}},
     .arg = 0,
     .fixed = 1},
    {"masked kl",
     kl,
     kl_twin,
     2,
     {{2, {6, ACTIONS}}, {2, {6, ACTIONS}}},
     .arg = 1,
     .fixed = 1},
};

START_TEST(ops_agree_with_the_twin_and_with_differences)
{
    grad_check(&cases[_i]);
}
END_TEST

static il_tensor *logits(il_pass *p, float at)
{
    const float x[ACTIONS] = {at, 1, -2, 0.5f, 3};

    return il_constant(p, IL_SHAPE(1, ACTIONS), x);
}

START_TEST(an_action_that_may_not_be_drawn_is_an_error)
{
    static const int32_t none[] = {1};
    il_pass *p = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_pass_create(&p, grad_blas(), 0, NULL), IL_OK);
    (void)il_policy_surprise(p, logits(p, 0), some, none);
    ck_assert_int_eq(il_pass_status(p, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "may not draw"));
    il_pass_destroy(p);
}
END_TEST

START_TEST(a_policy_is_at_no_distance_from_itself_and_nan_stays)
{
    il_pass *p = NULL;

    ck_assert_int_eq(il_pass_create(&p, grad_blas(), 0, NULL), IL_OK);
    ck_assert(*il_f32(il_policy_kl(p, logits(p, 4), logits(p, 4), some)) == 0.0f);
    ck_assert(isnan(*il_f32(il_policy_entropy(p, logits(p, NAN), some))));
    ck_assert(isnan(*il_f32(il_policy_kl(p, logits(p, NAN), logits(p, 4), NULL))));
    il_pass_destroy(p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy");
    TCase *tc = tcase_create("policy");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, ops_agree_with_the_twin_and_with_differences, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(tc, an_action_that_may_not_be_drawn_is_an_error);
    tcase_add_test(tc, a_policy_is_at_no_distance_from_itself_and_nan_stays);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
