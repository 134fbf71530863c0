/* Logistic regression on many rows: to the optimum that Newton's method finds, and
 * scikit-learn. */
#include "detect/lbfgs.h"
#include "formats/safetensors.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/rng.h"
#include "tensor/blas.h"

enum { ROWS = 3000, CHANNELS = 9 };

static const il_blas *blas;
static il_error err;
static float x[ROWS * CHANNELS];
static uint8_t labels[ROWS];

/* Channels of scales 1000 apart, two of them nearly the same, off the origin. */
static void setup(void)
{
    il_rng r;

    memset(&err, 0, sizeof err);
    ck_assert_msg(il_blas_open(&blas, true, &err) == IL_OK, "%s", err.message);
    il_rng_open(&r, 3, 0, IL_RNG_DATA, 0, 0);
    for (int i = 0; i < ROWS; i++) {
        double z = 0.4;

        for (int c = 0; c < CHANNELS; c++) {
            double unit = 2.0 * (double)il_rng_uniform(&r) - 1.0;

            z += c % 2 ? unit : -unit;
            x[i * CHANNELS + c] = (float)((unit + 0.5) * pow(10, c % 4 - 2));
        }
        x[i * CHANNELS + 8] = 1.01f * x[i * CHANNELS + 4] + 1e-3f * x[i * CHANNELS];
        labels[i] = 1.0 / (1.0 + exp(-2 * z)) > (double)il_rng_uniform(&r);
    }
}

static double loss_at(const il_irls *p, const double *w)
{
    double sum = 0;

    for (int64_t i = 0; i < p->rows; i++) {
        double z = w[p->width];

        for (int64_t c = 0; c < p->width; c++) {
            z += w[c] * (double)p->x[i * p->width + c];
        }
        z = p->labels[i] != 0 ? -z : z;
        sum += (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
    }
    sum /= (double)p->rows;
    for (int64_t c = 0; c < p->width; c++) {
        sum += 0.5 * p->l2 * w[c] * w[c];
    }
    return sum;
}

START_TEST(it_arrives_where_newtons_method_does)
{
    static const double penalties[] = {1e-6, 1e-3, 1.0};
    il_irls problem = {ROWS, CHANNELS, x, labels, penalties[_i], 0};
    double newton[CHANNELS + 1] = {0};
    double ours[CHANNELS + 1] = {0};

    ck_assert_int_eq(il_irls_solve(&problem, newton, "test", &err), IL_OK);
    ck_assert_msg(il_lbfgs_solve(&problem, blas, ours, "test", &err) == IL_OK, "%s",
                  err.message);
    ck_assert_double_eq_tol(loss_at(&problem, ours), loss_at(&problem, newton), 1e-9);
    for (int c = 0; c < 4; c++) { /* those that no other channel can stand in for */
        ck_assert_double_eq_tol(ours[c], newton[c], 1e-3 * fabs(newton[c]) + 1e-4);
    }
}
END_TEST

START_TEST(a_start_far_off_arrives_too)
{
    il_irls problem = {ROWS, CHANNELS, x, labels, 1e-3, 0};
    double near[CHANNELS + 1] = {0};
    double far[CHANNELS + 1] = {30, -20, 10, -5, 3, 2, 1, 0, -3, 8};

    ck_assert_int_eq(il_lbfgs_solve(&problem, blas, near, "test", &err), IL_OK);
    ck_assert_int_eq(il_lbfgs_solve(&problem, blas, far, "test", &err), IL_OK);
    ck_assert_double_eq_tol(loss_at(&problem, far), loss_at(&problem, near), 1e-9);
}
END_TEST

START_TEST(few_iterations_stop_short)
{
    il_irls problem = {ROWS, CHANNELS, x, labels, 1e-6, 1};
    double one[CHANNELS + 1] = {0};
    double all[CHANNELS + 1] = {0};

    ck_assert_int_eq(il_lbfgs_solve(&problem, blas, one, "test", &err), IL_OK);
    problem.iterations = 0;
    ck_assert_int_eq(il_lbfgs_solve(&problem, blas, all, "test", &err), IL_OK);
    ck_assert_double_gt(loss_at(&problem, one), loss_at(&problem, all) + 1e-6);
    ck_assert_double_lt(loss_at(&problem, one), log(2));
}
END_TEST

START_TEST(without_a_penalty_it_is_refused)
{
    il_irls problem = {ROWS, CHANNELS, x, labels, 0, 0};
    double w[CHANNELS + 1] = {0.5};

    ck_assert_int_eq(il_lbfgs_solve(&problem, blas, w, "test", &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "l2"));
    ck_assert_double_eq(w[0], 0.5);
}
END_TEST

START_TEST(a_row_that_is_no_number_is_refused)
{
    il_irls problem = {ROWS, CHANNELS, x, labels, 1e-3, 0};
    double w[CHANNELS + 1] = {0.5};

    x[2000 * CHANNELS + 3] = _i == 0 ? NAN : INFINITY;
    ck_assert_int_eq(il_lbfgs_solve(&problem, blas, w, "test", &err), IL_ERR_NUMERIC);
    ck_assert_double_eq(w[0], 0.5);
}
END_TEST

/* The rows and scores of tests/fixtures/sklearn/make_closed_form.py. */
START_TEST(scores_are_scikit_learns)
{
    enum { N = 240, W = 12, FURTHER = 40 };
    il_safetensors *file = NULL;
    const il_safetensor *t[4];
    static const char *const names[] = {"x", "labels", "further", "all.irls"};
    double w[W + 1] = {0};
    double largest = 0;
    double apart = 0;
    float rows[N * W];
    float further[FURTHER * W];
    float theirs[FURTHER];
    uint8_t classes[N];
    il_irls problem = {N, W, rows, classes, 0.01, 0};
    char path[512];

    ck_assert_ptr_nonnull(getenv("IL_ROOT"));
    (void)snprintf(path, sizeof path,
                   "%s/tests/fixtures/sklearn/closed_form.safetensors",
                   getenv("IL_ROOT"));
    ck_assert_msg(il_safetensors_open(&file, path, &err) == IL_OK, "%s", err.message);
    for (int k = 0; k < 4; k++) {
        t[k] = il_safetensors_find(file, names[k]);
        ck_assert_msg(t[k] != NULL, "no %s in the fixture", names[k]);
    }
    memcpy(rows, t[0]->data, sizeof rows);
    memcpy(classes, t[1]->data, sizeof classes);
    memcpy(further, t[2]->data, sizeof further);
    memcpy(theirs, t[3]->data, sizeof theirs);
    ck_assert_int_eq(_i == 0 ? il_lbfgs_solve(&problem, blas, w, "test", &err)
                             : il_irls_solve(&problem, w, "test", &err),
                     IL_OK);
    for (int i = 0; i < FURTHER; i++) {
        double z = w[W];

        for (int c = 0; c < W; c++) {
            z += w[c] * (double)further[i * W + c];
        }
        apart = fmax(apart, fabs(z - (double)theirs[i]));
        largest = fmax(largest, fabs((double)theirs[i]));
    }
    ck_assert_msg(apart < 1e-5 * largest, "%g of %g", apart, largest);
    il_safetensors_close(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lbfgs");
    TCase *tc = tcase_create("lbfgs");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, it_arrives_where_newtons_method_does, 0, 3);
    tcase_add_test(tc, a_start_far_off_arrives_too);
    tcase_add_test(tc, few_iterations_stop_short);
    tcase_add_test(tc, without_a_penalty_it_is_refused);
    tcase_add_loop_test(tc, a_row_that_is_no_number_is_refused, 0, 2);
    tcase_add_loop_test(tc, scores_are_scikit_learns, 0, 2);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
