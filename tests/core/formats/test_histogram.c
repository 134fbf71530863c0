/* Histograms: every number in its bin, sums exact, and nothing that is no number. */
#include <math.h>
#include <stdio.h>
#include "formats/histogram.h"
#include <check.h>

START_TEST(numbers_that_come_in_pieces_fall_into_equal_bins)
{
    static const float first[] = {0.0f, 1.0f, 40.0f};
    static const float second[] = {39.5f, 20.25f};
    il_histogram h = {0};

    il_histogram_see(&h, first, 3);
    il_histogram_see(&h, second, 2);
    il_histogram_cut(&h);
    il_histogram_add(&h, first, 3);
    il_histogram_add(&h, second, 2);
    ck_assert_uint_eq(h.count, IL_HISTOGRAM_BINS);
    ck_assert_double_eq(h.min, 0);
    ck_assert_double_eq(h.max, 40);
    ck_assert_double_eq(h.num, 5);
    ck_assert_double_eq(h.sum, 100.75);
    ck_assert_double_eq(h.sum_squares, 1 + 1600 + 1560.25 + 410.0625);
    ck_assert_double_eq(h.limits[0], 1);
    ck_assert_double_eq(h.limits[39], 40);
    ck_assert_double_eq(h.counts[0], 1);
    ck_assert_double_eq(h.counts[1], 1); /* a limit belongs to the bin above */
    ck_assert_double_eq(h.counts[20], 1);
    ck_assert_double_eq(h.counts[39], 2); /* but for the last */
}
END_TEST

START_TEST(numbers_that_are_all_the_same_have_one_bin)
{
    static const float x[] = {2.5f, 2.5f, 2.5f};
    il_histogram h = {0};

    il_histogram_see(&h, x, 3);
    il_histogram_cut(&h);
    il_histogram_add(&h, x, 3);
    ck_assert_uint_eq(h.count, 1);
    ck_assert_double_eq(h.limits[0], 2.5);
    ck_assert_double_eq(h.counts[0], 3);
}
END_TEST

START_TEST(what_is_no_number_is_left_out_and_nothing_has_no_bins)
{
    static const float x[] = {NAN, 1.0f, INFINITY, 3.0f};
    il_histogram h = {0};
    il_histogram none = {0};
    double all = 0;

    il_histogram_see(&h, x, 4);
    il_histogram_cut(&h);
    il_histogram_add(&h, x, 4);
    for (size_t b = 0; b < h.count; b++) {
        all += h.counts[b];
    }
    ck_assert_double_eq(h.num, 2);
    ck_assert_double_eq(all, 2);
    ck_assert_double_eq(h.sum, 4);
    il_histogram_see(&none, x, 1);
    il_histogram_cut(&none);
    il_histogram_add(&none, x, 1);
    ck_assert_uint_eq(none.count, 0);
}
END_TEST

START_TEST(bins_that_are_counted_already_are_taken_over_without_their_empty_ends)
{
    static const int64_t counts[] = {0, 0, 3, 0, 1, 0};
    int64_t many[60] = {0};
    il_histogram h;
    double all = 0;

    il_histogram_of_bins(&h, -15, 0.5, 6, counts);
    ck_assert_uint_eq(h.count, 3);
    ck_assert_double_eq(h.min, -14);
    ck_assert_double_eq(h.max, -12.5);
    ck_assert_double_eq(h.num, 4);
    ck_assert_double_eq(h.sum, 3 * -13.75 - 12.75);
    ck_assert_double_eq(h.limits[0], -13.5);
    ck_assert_double_eq(h.counts[0], 3);
    ck_assert_double_eq(h.counts[1], 0);
    ck_assert_double_eq(h.counts[2], 1);
    for (int i = 0; i < 60; i++) {
        many[i] = i + 1;
    }
    il_histogram_of_bins(&h, 0, 1, 60, many);
    ck_assert_uint_eq(h.count, 30); /* two of them in each */
    ck_assert_double_eq(h.limits[29], 60);
    ck_assert_double_eq(h.counts[0], 3);
    for (size_t b = 0; b < h.count; b++) {
        all += h.counts[b];
    }
    ck_assert_double_eq(all, 1830);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("histogram");
    TCase *tc = tcase_create("histogram");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_test(tc, numbers_that_come_in_pieces_fall_into_equal_bins);
    tcase_add_test(tc, numbers_that_are_all_the_same_have_one_bin);
    tcase_add_test(tc, what_is_no_number_is_left_out_and_nothing_has_no_bins);
    tcase_add_test(
        tc, bins_that_are_counted_already_are_taken_over_without_their_empty_ends);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
