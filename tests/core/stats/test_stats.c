/* Statistics against scipy (tests/fixtures/scipy/make_stats.py), against their own
 * definitions, and on what has no answer. */
#include "stats/stats.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "formats/safetensors.h"

static il_safetensors *file;

static void open_file(void)
{
    const char *root = getenv("IL_ROOT");
    char path[4096];
    il_error err = {0};

    (void)snprintf(path, sizeof path, "%s/tests/fixtures/scipy/stats.safetensors",
                   root != NULL ? root : ".");
    ck_assert_msg(il_safetensors_open(&file, path, &err) == IL_OK, "%s", err.message);
}

static void close_file(void)
{
    il_safetensors_close(file);
}

static const double *numbers(const char *name, size_t *count)
{
    const il_safetensor *t = il_safetensors_find(file, name);

    ck_assert_msg(t != NULL, "no '%s'", name);
    *count = (size_t)t->shape[0];
    return t->data;
}

static void near(double got, double want, double tolerance)
{
    ck_assert_msg(fabs(got - want) <= tolerance * (1 + fabs(want)),
                  "got %.17g, want %.17g", got, want);
}

START_TEST(students_distribution_is_scipy_s)
{
    size_t count;
    const double *t = numbers("cdf.t", &count);
    const double *df = numbers("cdf.df", &count);
    const double *p = numbers("cdf.p", &count);
    const double *q;
    const double *want;
    static const double dfs[] = {1, 3, 50};

    for (size_t i = 0; i < count; i++) {
        near(il_student_cdf(t[i], df[i]), p[i], 1e-12);
    }
    q = numbers("quantile.p", &count);
    want = numbers("quantile.t", &(size_t){0});
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < 3; k++) {
            near(il_student_quantile(q[i], dfs[k]), want[3 * i + k], 1e-9);
        }
    }
}
END_TEST

START_TEST(paired_tests_are_scipy_s)
{
    static const size_t sizes[] = {2, 3, 5, 8, 12};

    for (size_t s = 0; s < 5; s++) {
        for (int k = 0; k < 4; k++) {
            char name[32];
            size_t count;
            const double *d;
            const double *want;
            il_paired_test test;

            (void)snprintf(name, sizeof name, "d.%zu.%d", sizes[s], k);
            d = numbers(name, &count);
            (void)snprintf(name, sizeof name, "want.%zu.%d", sizes[s], k);
            want = numbers(name, &(size_t){0});
            test = il_paired_test_of(d, count, 0.95, 1);
            ck_assert_uint_eq(test.count, sizes[s]);
            ck_assert(test.exact);
            near(test.t_p, want[0], 1e-10);
            near(test.low, want[1], 1e-9);
            near(test.high, want[2], 1e-9);
            near(test.flip_p, want[3], 1e-12);
            near(test.floor_p, pow(0.5, (double)sizes[s] - 1), 1e-15);
            ck_assert(test.flip_p >= test.floor_p);
            near(il_equivalence_of(d, count, 0.3, 0.05).p, want[4], 1e-10);
        }
    }
}
END_TEST

START_TEST(three_seeds_cannot_show_more_than_their_floor)
{
    static const double d[] = {1.0, 1.1, 0.9};
    il_paired_test test = il_paired_test_of(d, 3, 0.95, 1);

    ck_assert_double_eq(test.flip_p, 0.25);
    ck_assert_double_eq(test.floor_p, 0.25);
    ck_assert(test.t_p < 0.01); /* what a t test would have one believe */
}
END_TEST

START_TEST(drawn_flips_agree_with_counted_ones_and_repeat)
{
    double d[24];
    il_paired_test a;
    il_paired_test b;

    for (size_t i = 0; i < 24; i++) {
        d[i] = 0.1 + sin((double)i * 1.7);
    }
    a = il_paired_test_of(d, 20, 0.95, 7);
    ck_assert(a.exact);
    b = il_paired_test_of(d, 24, 0.95, 7);
    ck_assert(!b.exact);
    /* Student's is close for so many, and so are flips. */
    ck_assert_double_le(fabs(b.flip_p - b.t_p), 0.02);
    ck_assert_double_eq(b.flip_p, il_paired_test_of(d, 24, 0.95, 7).flip_p);
    near(b.floor_p, 1.0 / 100001, 1e-12);
}
END_TEST

START_TEST(what_nobody_can_tell_is_no_number)
{
    static const double one[] = {0.5};
    static const double same[] = {0.5, 0.5, 0.5};
    static const double none[] = {0, 0, 0};
    il_paired_test test = il_paired_test_of(one, 1, 0.95, 1);

    ck_assert(isnan(test.t_p) && isnan(test.low));
    ck_assert_double_eq(test.flip_p, 1);
    ck_assert(isnan(il_equivalence_of(one, 1, 1, 0.05).p));
    ck_assert(!il_equivalence_of(one, 1, 1, 0.05).shown);
    ck_assert(isnan(il_paired_test_of(one, 0, 0.95, 1).mean));
    ck_assert(isnan(il_mean_interval(one, 0, 0.95).value));
    ck_assert(isnan(il_interquartile_mean(NULL, 0)));
    ck_assert_double_eq(il_paired_test_of(same, 3, 0.95, 1).t_p, 0);
    ck_assert_double_eq(il_paired_test_of(none, 3, 0.95, 1).t_p, 1);
    ck_assert_double_eq(il_paired_test_of(none, 3, 0.95, 1).flip_p, 1);
    ck_assert(il_equivalence_of(none, 3, 0.01, 0.05).shown);
    ck_assert(!il_equivalence_of(same, 3, 0.01, 0.05).shown);
}
END_TEST

START_TEST(holm_and_the_interquartile_mean_are_scipy_s)
{
    size_t count;
    const double *p = numbers("holm.p", &count);
    const double *want = numbers("holm.want", &count);
    const double *values;
    double mine[16];

    memcpy(mine, p, count * sizeof *mine);
    il_holm(mine, count);
    for (size_t i = 0; i < count; i++) {
        near(mine[i], want[i], 1e-12);
    }
    mine[0] = 0.04;
    mine[1] = (double)NAN;
    mine[2] = 0.01;
    il_holm(mine, 3);
    ck_assert_double_eq(mine[0], 0.04);
    ck_assert(isnan(mine[1]));
    ck_assert_double_eq(mine[2], 0.02);
    values = numbers("iqm.values", &count);
    memcpy(mine, values, count * sizeof *mine);
    near(il_interquartile_mean(mine, count), numbers("iqm.want", &(size_t){0})[0], 1e-12);
    /* Quarters of a value: of 0, 1, 10 the middle half is 0.75 to 2.25. */
    memcpy(mine, (double[]){10, 0, 1}, 3 * sizeof *mine);
    near(il_interquartile_mean(mine, 3), (0.25 * 0 + 1 + 0.25 * 10) / 1.5, 1e-12);
}
END_TEST

/* Rows of `seeds` seeds that differ by much more than the rows inside them. */
static size_t make_rows(il_clustered *rows, int seeds, int documents, int each)
{
    size_t n = 0;

    for (int s = 0; s < seeds; s++) {
        for (int d = 0; d < documents; d++) {
            for (int k = 0; k < each; k++) {
                rows[n].seed = s;
                rows[n].document = d;
                rows[n].weight = 1;
                rows[n++].value = s + 0.1 * sin(17.0 * d + s) + 0.001 * k;
            }
        }
    }
    return n;
}

START_TEST(intervals_are_as_wide_as_seeds_differ)
{
    static il_clustered rows[4 * 50 * 5];
    il_error err = {0};
    il_interval all;
    il_interval one;
    il_interval again;
    size_t count = make_rows(rows, 4, 50, 5);

    ck_assert_int_eq(il_clustered_interval(rows, count, 2000, 0.95, 3, &all, &err),
                     IL_OK);
    near(all.value, 1.5, 0.02);
    /* Seeds are 0, 1, 2, 3: the mean of four drawn has a standard deviation of .559. */
    ck_assert(all.high - all.low > 1.5 && all.high - all.low < 3);
    count = make_rows(rows, 4, 50, 5);
    ck_assert_int_eq(il_clustered_interval(rows, count, 2000, 0.95, 3, &again, &err),
                     IL_OK);
    ck_assert_double_eq(all.low, again.low);
    ck_assert_double_eq(all.high, again.high);
    count = make_rows(rows, 1, 50, 5);
    ck_assert_int_eq(il_clustered_interval(rows, count, 2000, 0.95, 3, &one, &err),
                     IL_OK);
    /* 50 documents of standard deviation .07: four errors are .04 wide. */
    ck_assert(one.high - one.low > 0.02 && one.high - one.low < 0.06);
    ck_assert(one.low < one.value && one.value < one.high);
}
END_TEST

START_TEST(rows_of_a_document_are_no_evidence_of_their_own)
{
    static il_clustered few[20];
    static il_clustered many[20 * 50];
    il_error err = {0};
    il_interval a;
    il_interval b;

    for (size_t i = 0; i < 20; i++) {
        few[i] = (il_clustered){0, (int64_t)i, sin(3.0 * (double)i), 1};
        for (size_t k = 0; k < 50; k++) {
            many[50 * i + k] = few[i];
        }
    }
    ck_assert_int_eq(il_clustered_interval(few, 20, 1000, 0.95, 1, &a, &err), IL_OK);
    ck_assert_int_eq(il_clustered_interval(many, 1000, 1000, 0.95, 1, &b, &err), IL_OK);
    near(a.low, b.low, 1e-9);
    near(a.high, b.high, 1e-9);
}
END_TEST

START_TEST(rows_that_are_no_numbers_are_refused)
{
    il_clustered rows[2] = {{0, 0, 1, 1}, {0, 1, (double)NAN, 1}};
    il_interval out;
    il_error err = {0};

    ck_assert_int_eq(il_clustered_interval(rows, 2, 10, 0.95, 1, &out, &err),
                     IL_ERR_INPUT);
    rows[1].value = 1;
    rows[1].weight = 0;
    ck_assert_int_eq(il_clustered_interval(rows, 2, 10, 0.95, 1, &out, &err),
                     IL_ERR_INPUT);
    ck_assert_int_eq(il_clustered_interval(rows, 0, 10, 0.95, 1, &out, &err),
                     IL_ERR_INPUT);
}
END_TEST

START_TEST(blindness_begins_where_it_stays)
{
    static const int64_t steps[] = {0, 10, 20, 30, 40, 50, 60, 70};
    static const double once[] = {1, .4, 1, .4, .4, .6, .4, .4};
    static const double back[] = {1, .4, .4, 1, 1, 1, 1, 1};
    static const double gap[] = {1, .4, (double)NAN, .4, .6, .4, .4, .4};

    /* .6 is between: neither blind nor back. */
    ck_assert_int_eq(il_first_below(steps, once, 8, 0.5, 0.8, 2), 30);
    ck_assert_int_eq(il_first_below(steps, once, 8, 0.5, 0.8, 1), 30);
    ck_assert_int_eq(il_first_below(steps, back, 8, 0.5, 0.8, 2), -1);
    ck_assert_int_eq(il_first_below(steps, gap, 8, 0.5, 0.8, 2), 10);
    ck_assert_int_eq(il_first_below(steps, once, 0, 0.5, 0.8, 2), -1);
    ck_assert_double_eq(il_selection_bits(1), 0);
    ck_assert_double_eq(il_selection_bits(8), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stats");
    TCase *tc = tcase_create("stats");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, open_file, close_file);
    tcase_add_test(tc, students_distribution_is_scipy_s);
    tcase_add_test(tc, paired_tests_are_scipy_s);
    tcase_add_test(tc, three_seeds_cannot_show_more_than_their_floor);
    tcase_add_test(tc, drawn_flips_agree_with_counted_ones_and_repeat);
    tcase_add_test(tc, what_nobody_can_tell_is_no_number);
    tcase_add_test(tc, holm_and_the_interquartile_mean_are_scipy_s);
    tcase_add_test(tc, intervals_are_as_wide_as_seeds_differ);
    tcase_add_test(tc, rows_of_a_document_are_no_evidence_of_their_own);
    tcase_add_test(tc, rows_that_are_no_numbers_are_refused);
    tcase_add_test(tc, blindness_begins_where_it_stays);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
