/* What became of a detector's recall, by hand. */
#include "audit/lost.h"
#include <check.h>
#include <math.h>

static il_lost of(double then, double now, double refit, double twin)
{
    const il_recalls pressed = {then, now, refit};

    return il_lost_of(&pressed, twin);
}

static void is(il_lost l, double stale, double gone, double hidden)
{
    ck_assert_double_eq_tol(l.stale, stale, 1e-12);
    ck_assert_double_eq_tol(l.gone, gone, 1e-12);
    ck_assert_double_eq_tol(l.hidden, hidden, 1e-12);
    ck_assert_double_eq_tol(l.stale + l.gone + l.hidden, l.lost, 1e-12);
}

START_TEST(what_a_refit_reads_and_the_twin_kept_is_hidden)
{
    il_lost l = of(0.9, 0.0, 0.9, 0.0);

    is(l, 0, 0, 0.9);
    ck_assert(l.hidden_share == 1 && l.stale_share == 0);
}
END_TEST

START_TEST(what_the_twin_lost_as_well_is_stale)
{
    is(of(0.9, 0.5, 0.9, 0.4), 0.4, 0, 0);
    is(of(0.9, 0.5, 0.9, 0.1), 0.1, 0, 0.3);
    is(of(0.9, 0.5, 0.9, 0.7), 0.4, 0, 0); /* no more than was lost */
    is(of(0.9, 0.5, 0.9, -0.2), 0, 0, 0.4);
    ck_assert_double_eq_tol(of(0.9, 0.5, 0.9, 0.1).stale_share, 0.25, 1e-12);
}
END_TEST

START_TEST(what_no_refit_brings_back_is_gone)
{
    is(of(0.9, 0.1, 0.1, 0.0), 0, 0.8, 0);
    is(of(0.9, 0.1, 0.6, 0.2), 0.2, 0.3, 0.3);
    is(of(0.9, 0.1, 0.95, 0.0), 0, 0, 0.8);
    is(of(0.9, 0.1, 0.0, 0.3), 0.3, 0.5, 0); /* the twin first */
}
END_TEST

START_TEST(where_nothing_was_lost_there_is_nothing_to_share)
{
    il_lost l = of(0.5, 0.7, 0.9, 0.1);

    is(l, 0, 0, 0);
    ck_assert(l.lost == 0 && isnan(l.stale_share) && isnan(l.hidden_share));
}
END_TEST

START_TEST(without_a_twin_or_a_refit_no_more_is_said_than_is_known)
{
    il_lost l = of(0.9, 0.4, 0.9, NAN);

    ck_assert_double_eq_tol(l.lost, 0.5, 1e-12);
    ck_assert(isnan(l.stale) && isnan(l.gone) && isnan(l.hidden));
    l = of(0.9, 0.4, NAN, 0.2);
    ck_assert_double_eq_tol(l.stale, 0.2, 1e-12);
    ck_assert(isnan(l.gone) && isnan(l.hidden));
    is(of(0.9, 0.4, NAN, 0.5), 0.5, 0, 0);
    ck_assert(isnan(of(NAN, 0.4, 0.9, 0.1).lost));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lost");
    TCase *tc = tcase_create("lost");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, what_a_refit_reads_and_the_twin_kept_is_hidden);
    tcase_add_test(tc, what_the_twin_lost_as_well_is_stale);
    tcase_add_test(tc, what_no_refit_brings_back_is_gone);
    tcase_add_test(tc, where_nothing_was_lost_there_is_nothing_to_share);
    tcase_add_test(tc, without_a_twin_or_a_refit_no_more_is_said_than_is_known);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
