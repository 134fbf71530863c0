/* Calibration error and histograms against cases worked by hand. */
#include "detect/reliability.h"

#include <check.h>
#include <math.h>

static float logit(double p)
{
    return (float)log(p / (1 - p));
}

/* Two bins in use: at 0.25 a half is positive, at 0.75 all are. */
START_TEST(the_error_is_the_mean_distance_of_truth_from_probability)
{
    const float logits[] = {logit(0.25), logit(0.25), logit(0.75), logit(0.75)};
    const uint8_t labels[] = {1, 0, 1, 1};
    const int64_t documents[] = {0, 1, 2, 3};
    il_scores s = {
        .count = 4, .logits = logits, .labels = labels, .documents = documents};

    ck_assert_double_eq_tol(il_scores_ece(&s, 10), 0.25, 1e-6);
    /* In one bin the two errors add up: 3/4 are positive, the mean is 1/2. */
    ck_assert_double_eq_tol(il_scores_ece(&s, 1), 0.25, 1e-6);
}
END_TEST

START_TEST(errors_of_opposite_sign_meet_in_one_bin_alone)
{
    const float logits[] = {logit(0.05), logit(0.95)};
    const uint8_t labels[] = {1, 0};
    il_scores s = {.count = 2, .logits = logits, .labels = labels};

    ck_assert_double_eq_tol(il_scores_ece(&s, 10), 0.95, 1e-6);
    ck_assert_double_eq_tol(il_scores_ece(&s, 1), 0.0, 1e-6);
}
END_TEST

START_TEST(without_rows_or_labels_there_is_no_error_to_tell)
{
    const float logits[] = {0};
    il_scores s = {.count = 1, .logits = logits};

    ck_assert(isnan(il_scores_ece(&s, 10)));
    s.count = 0;
    ck_assert(isnan(il_scores_ece(&s, 10)));
}
END_TEST

START_TEST(certain_rows_fall_into_the_last_bin)
{
    const float logits[] = {200.0f, -200.0f};
    const uint8_t labels[] = {1, 0};
    il_scores s = {.count = 2, .logits = logits, .labels = labels};

    ck_assert_double_eq_tol(il_scores_ece(&s, 10), 0.0, 1e-12);
}
END_TEST

START_TEST(a_histogram_counts_by_class_and_keeps_what_lies_beyond)
{
    const float logits[] = {-9.0f, -1.0f, -0.5f, 0.0f, 0.99f, 1.0f, 40.0f};
    const uint8_t labels[] = {0, 0, 0, 1, 1, 1, 1};
    il_scores s = {.count = 7, .logits = logits, .labels = labels};
    int64_t positive[4] = {0};
    int64_t negative[4] = {0};

    il_scores_histogram(&s, -1.0, 0.5, 4, positive, negative);
    ck_assert_int_eq(negative[0], 2);
    ck_assert_int_eq(negative[1], 1);
    ck_assert_int_eq(positive[2], 1);
    ck_assert_int_eq(positive[3], 3);
    ck_assert_int_eq(negative[2] + negative[3] + positive[0] + positive[1], 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reliability");
    TCase *tc = tcase_create("reliability");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, the_error_is_the_mean_distance_of_truth_from_probability);
    tcase_add_test(tc, errors_of_opposite_sign_meet_in_one_bin_alone);
    tcase_add_test(tc, without_rows_or_labels_there_is_no_error_to_tell);
    tcase_add_test(tc, certain_rows_fall_into_the_last_bin);
    tcase_add_test(tc, a_histogram_counts_by_class_and_keeps_what_lies_beyond);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
