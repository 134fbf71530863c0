/* Logistic regression against cases that can be solved by hand. */
#include "detect/irls.h"
#include "detect/lbfgs.h"
#include "detect/linear.h"
#include "support.h"

static void toy_linear(const void *self, il_param *weight, il_param *bias)
{
    (void)self;
    weight->id = 0;
    bias->id = 1;
}

static const il_detector_api linear_detector = {.struct_size = sizeof(il_detector_api),
                                                .reads = IL_READS_ROWS,
                                                .recipe = &toy_recipe,
                                                .score = toy_score,
                                                .linear = toy_linear};
static const il_component linear_component = {
    sizeof(il_component), IL_KIND_DETECTOR, "line", "", &linear_detector, IL_NO_PARAMS};
static const il_offer linear_offer = {&linear_component, NULL, "toy.line"};

static world w;
static il_error err;

static void setup(void)
{
    world_open(&w, 1);
    w.probe.offer = &linear_offer;
    w.spec.fit.method = "irls";
    w.spec.fit.l2 = 1e-2;
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    world_close(&w);
}

/* A table of two by two without a penalty: each column's log odds. */
START_TEST(a_table_of_counts_gives_its_log_odds)
{
    const float x[] = {0, 0, 0, 0, 1, 1, 1, 1, 1};
    const uint8_t labels[] = {1, 0, 0, 0, 1, 1, 1, 0, 0};
    il_irls problem = {9, 1, x, labels, 0, 0};
    double solved[2] = {0, 0};

    ck_assert_int_eq(il_irls_solve(&problem, solved, "test", &err), IL_OK);
    ck_assert_double_eq_tol(solved[1], log(1.0 / 3.0), 1e-9);
    ck_assert_double_eq_tol(solved[0], log(3.0 / 2.0) - log(1.0 / 3.0), 1e-9);
}
END_TEST

/* x = 1 is positive in 4 of 5 rows and x = -1 in 1 of 5: the bias is 0, and w = 1
 * solves sigmoid(w) - 0.8 + l2 w = 0 for this l2. */
START_TEST(half_the_penalty_on_the_squared_weight_is_added)
{
    const float x[] = {1, 1, 1, 1, 1, -1, -1, -1, -1, -1};
    const uint8_t labels[] = {1, 1, 1, 1, 0, 1, 0, 0, 0, 0};
    il_irls problem = {10, 1, x, labels, 0.8 - 1.0 / (1.0 + exp(-1.0)), 0};
    double solved[2] = {3, -2};

    ck_assert_int_eq(il_irls_solve(&problem, solved, "test", &err), IL_OK);
    ck_assert_double_eq_tol(solved[0], 1.0, 1e-7);
    ck_assert_double_eq_tol(solved[1], 0.0, 1e-7);
}
END_TEST

START_TEST(the_bias_is_not_penalized)
{
    const float x[] = {0, 0, 0, 0};
    const uint8_t labels[] = {1, 1, 1, 0};
    il_irls problem = {4, 1, x, labels, 100.0, 0};
    double solved[2] = {0, 0};

    ck_assert_int_eq(il_irls_solve(&problem, solved, "test", &err), IL_OK);
    ck_assert_double_eq_tol(solved[1], log(3.0), 1e-9);
    ck_assert_double_eq_tol(solved[0], 0.0, 1e-12);
}
END_TEST

/* Full Newton steps run away from here; halved ones arrive. */
START_TEST(a_start_far_off_arrives_too)
{
    const float x[] = {0, 0, 0, 0, 1, 1, 1, 1, 1};
    const uint8_t labels[] = {1, 0, 0, 0, 1, 1, 1, 0, 0};
    il_irls problem = {9, 1, x, labels, 1e-3, 100};
    double far[2] = {-6, 8};
    double near[2] = {0, 0};

    ck_assert_int_eq(il_irls_solve(&problem, near, "test", &err), IL_OK);
    ck_assert_int_eq(il_irls_solve(&problem, far, "test", &err), IL_OK);
    ck_assert_double_eq_tol(far[0], near[0], 1e-6);
    ck_assert_double_eq_tol(far[1], near[1], 1e-6);
}
END_TEST

START_TEST(separated_classes_need_a_penalty)
{
    const float x[] = {-2, -1, 1, 2};
    const uint8_t labels[] = {0, 0, 1, 1};
    il_irls problem = {4, 1, x, labels, 0, 0};
    double solved[2] = {0.5, 0.25};

    ck_assert_int_eq(il_irls_solve(&problem, solved, "test", &err), IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(err.message, "l2"));
    ck_assert_double_eq(solved[0], 0.5);
    problem.l2 = 0.1;
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_irls_solve(&problem, solved, "test", &err), IL_OK);
    ck_assert_double_gt(solved[0], 0.1);
}
END_TEST

/* <slope, optimum>, from zero. */
static double at_optimum(const il_irls *problem, const double *slope)
{
    double solved[4] = {0, 0, 0, 0};
    double sum = 0;

    ck_assert_int_eq(il_irls_solve(problem, solved, "test", &err), IL_OK);
    for (int i = 0; i < 4; i++) {
        sum += slope[i] * solved[i];
    }
    return sum;
}

START_TEST(the_optimum_moves_with_the_rows_as_its_derivative_says)
{
    enum { ROWS = 40 };
    const double slope[4] = {0.7, -1.1, 0.4, 0.9};
    double solved[4] = {0, 0, 0, 0};
    double dx[2][ROWS * 3];
    float x[ROWS * 3];
    uint8_t labels[ROWS];
    il_irls problem = {ROWS, 3, x, labels, 0.02, 0};
    il_rng r;

    il_rng_open(&r, 3, 0, IL_RNG_PLUGIN, 0, 0);
    for (int i = 0; i < ROWS; i++) {
        labels[i] = (uint8_t)(i % 3 == 0);
        for (int c = 0; c < 3; c++) {
            x[i * 3 + c] = il_rng_normal(&r) + (c == 1 ? (float)labels[i] : 0.0f);
        }
    }
    memset(dx, 0, sizeof dx);
    ck_assert_int_eq(il_irls_solve(&problem, solved, "test", &err), IL_OK);
    ck_assert_int_eq(il_irls_backward(&problem, solved, slope, dx[0], "test", &err),
                     IL_OK);
    ck_assert_int_eq(
        il_lbfgs_backward(&problem, w.blas, solved, slope, dx[1], "test", &err), IL_OK);
    for (int i = 0; i < ROWS * 3; i++) {
        const float held = x[i];
        double wide;
        double moved;

        x[i] = held + 1e-3f;
        wide = x[i];
        moved = at_optimum(&problem, slope);
        x[i] = held - 1e-3f;
        moved = (moved - at_optimum(&problem, slope)) / (wide - x[i]);
        x[i] = held;
        ck_assert_double_eq_tol(moved, dx[0][i], 1e-5);
        ck_assert_double_eq_tol(dx[1][i], dx[0][i], 1e-8);
    }
}
END_TEST

START_TEST(a_row_that_is_no_number_is_refused)
{
    const float x[] = {0, 1, NAN, 1};
    const uint8_t labels[] = {0, 0, 1, 1};
    il_irls problem = {4, 1, x, labels, 0.1, 0};
    double solved[2] = {0, 0};

    ck_assert_int_eq(il_irls_solve(&problem, solved, "test", &err), IL_ERR_NUMERIC);
}
END_TEST

/* At the optimum all derivatives vanish, on the activations as they are. */
START_TEST(a_linear_detector_is_fitted_to_its_optimum_unscaled)
{
    il_acts *acts = acts_of_split(&w, "fit");
    double slope[WIDTH + 1] = {0};
    double n = (double)acts->rows.count;

    world_fit(&w);
    ck_assert_ptr_null(w.mean[0]);
    for (int64_t i = 0; i < acts->rows.count; i++) {
        double logit = w.probe_values[1][0];

        for (int c = 0; c < WIDTH; c++) {
            logit += (double)w.probe_values[0][c] * acts->data[0][i * WIDTH + c];
        }
        for (int c = 0; c <= WIDTH; c++) {
            slope[c] += (1 / (1 + exp(-logit)) - acts->rows.labels[i]) *
                        (c < WIDTH ? acts->data[0][i * WIDTH + c] : 1) / n;
        }
    }
    for (int c = 0; c <= WIDTH; c++) {
        slope[c] += c < WIDTH ? 1e-2 * w.probe_values[0][c] : 0;
        ck_assert_double_eq_tol(slope[c], 0, 1e-7);
    }
    ck_assert_int_eq(w.detector.fit_ids.count, 150);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(lbfgs_finds_the_same_plane)
{
    float exact[WIDTH + 1];

    world_fit(&w);
    memcpy(exact, w.probe.store->values, sizeof exact);
    w.spec.fit.method = "lbfgs";
    world_fit(&w);
    ck_assert_ptr_null(w.mean[0]);
    ck_assert_float_ne(exact[0], 0.0f);
    for (int c = 0; c <= WIDTH; c++) {
        ck_assert_float_eq_tol(w.probe.store->values[c], exact[c], 1e-5f);
    }
}
END_TEST

START_TEST(a_warm_fit_adds_its_documents_and_finds_the_same_optimum)
{
    il_fit fit = {.blas = w.blas, .start = IL_FIT_WARM};
    il_acts *first = acts_of_split(&w, "fit");
    il_acts *second = acts_of_split(&w, "test");
    float fresh[WIDTH];

    world_fit(&w);
    memcpy(fresh, w.probe_values[0], sizeof fresh);
    ck_assert_int_eq(il_detector_fit(&w.detector, second, &fit, &err), IL_OK);
    ck_assert_int_eq(w.detector.fit_ids.count, 300);
    ck_assert_float_ne(fresh[0], w.probe_values[0][0]);
    ck_assert_int_eq(il_detector_fit(&w.detector, first, &fit, &err), IL_OK);
    ck_assert_int_eq(w.detector.fit_ids.count, 300);
    for (int c = 0; c < WIDTH; c++) {
        ck_assert_float_eq_tol(fresh[c], w.probe_values[0][c], 1e-5f);
    }
    il_acts_destroy(first);
    il_acts_destroy(second);
}
END_TEST

/* The same plane is the same direction, however the channels were scaled. */
START_TEST(directions_are_compared_without_their_scaling)
{
    world other;
    double direction[WIDTH + 1];

    world_open(&other, 1);
    other.probe.offer = &linear_offer;
    world_fit(&other); /* by Adam, on scaled channels */
    ck_assert_ptr_nonnull(other.mean[0]);
    il_detector_direction(&other.detector, direction);
    for (int c = 0; c < WIDTH; c++) {
        ck_assert_double_eq_tol(
            direction[c], other.probe_values[0][c] * (double)other.inv[0][c], 1e-12);
    }
    world_fit(&w);
    ck_assert_double_gt(il_detector_cosine(&w.detector, &other.detector), 0.9);
    ck_assert_double_eq_tol(il_detector_cosine(&w.detector, &w.detector), 1, 1e-12);
    world_close(&other);
}
END_TEST

START_TEST(a_detector_that_is_not_linear_cannot_be_solved_for)
{
    il_fit fit = {.blas = w.blas, .start = IL_FIT_FRESH};
    il_acts *acts = acts_of_split(&w, "fit");

    w.probe.offer = &toy_offers[2];
    ck_assert_int_eq(il_detector_fit(&w.detector, acts, &fit, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "linear"));
    ck_assert(!w.detector.fitted);
    il_acts_destroy(acts);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("irls");
    TCase *tc = tcase_create("irls");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_table_of_counts_gives_its_log_odds);
    tcase_add_test(tc, half_the_penalty_on_the_squared_weight_is_added);
    tcase_add_test(tc, the_optimum_moves_with_the_rows_as_its_derivative_says);
    tcase_add_test(tc, the_bias_is_not_penalized);
    tcase_add_test(tc, a_start_far_off_arrives_too);
    tcase_add_test(tc, separated_classes_need_a_penalty);
    tcase_add_test(tc, a_row_that_is_no_number_is_refused);
    tcase_add_test(tc, a_linear_detector_is_fitted_to_its_optimum_unscaled);
    tcase_add_test(tc, lbfgs_finds_the_same_plane);
    tcase_add_test(tc, a_warm_fit_adds_its_documents_and_finds_the_same_optimum);
    tcase_add_test(tc, directions_are_compared_without_their_scaling);
    tcase_add_test(tc, a_detector_that_is_not_linear_cannot_be_solved_for);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
