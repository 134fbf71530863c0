/* Advantages against numbers worked out by hand, and that their parts add up. */
#include "loop/advantage.h"
#include <check.h>
#include <math.h>
#include <string.h>

#define NEAR(a, b) ck_assert_msg(fabs((a) - (b)) < 1e-12, "%.15g, not %.15g", (a), (b))

START_TEST(gae_is_the_case_worked_out_by_hand)
{
    const double rewards[] = {1, 0, 2};
    const double values[] = {0.5, 1, 0.25};
    double a[3];

    /* d = (1 + .5*1 - .5, 0 + .5*.25 - 1, 2 - .25) = (1, -.875, 1.75); gl = .25 */
    il_advantage_gae(3, rewards, values, 0.5, 0.5, a);
    NEAR(a[2], 1.75);
    NEAR(a[1], -0.875 + 0.25 * 1.75);
    NEAR(a[0], 1.0 + 0.25 * (-0.875 + 0.25 * 1.75));
}
END_TEST

START_TEST(with_lambda_1_gae_is_the_discounted_return_less_the_value)
{
    const double rewards[] = {1, 2, 4, 8};
    const double values[] = {3, -1, 5, 0.5};
    double a[4];

    il_advantage_gae(4, rewards, values, 0.5, 1.0, a);
    NEAR(a[0], 1 + 1 + 1 + 1 - 3.0);
    NEAR(a[1], 2 + 2 + 2 + 1.0);
    NEAR(a[3], 8 - 0.5);
}
END_TEST

START_TEST(the_parts_of_two_rewards_and_the_values_add_up_to_the_whole)
{
    const double one[] = {1, 0, -2, 0.5, 3};
    const double two[] = {-0.3, 0.7, 0, 0, -5};
    const double values[] = {0.1, 0.9, -0.4, 2, 1};
    double both[5], whole[5], a[5], b[5], base[5];

    for (int i = 0; i < 5; i++) {
        both[i] = one[i] + two[i];
    }
    il_advantage_gae(5, both, values, 0.95, 0.9, whole);
    il_advantage_gae(5, one, NULL, 0.95, 0.9, a);
    il_advantage_gae(5, two, NULL, 0.95, 0.9, b);
    il_advantage_gae(5, NULL, values, 0.95, 0.9, base);
    for (int i = 0; i < 5; i++) {
        NEAR(a[i] + b[i] + base[i], whole[i]);
        ck_assert_double_gt(fabs(base[i]), 1e-3);
    }
}
END_TEST

START_TEST(an_episode_of_no_action_has_no_advantage)
{
    double a = 7;

    il_advantage_gae(0, NULL, NULL, 0.9, 0.9, &a);
    ck_assert(a == 7);
}
END_TEST

START_TEST(one_mean_and_one_spread_are_those_of_all_arrays)
{
    const double first[] = {1, 2, 3};
    const double second[] = {6};
    double sum = 0;
    double squares = 0;

    il_advantage_sum(3, first, &sum);
    il_advantage_sum(1, second, &sum);
    NEAR(sum, 12.0);
    il_advantage_squares(3, first, 3.0, &squares);
    il_advantage_squares(1, second, 3.0, &squares);
    NEAR(squares, 14.0);
    NEAR(il_advantage_scale(squares, 4), 1.0 / (sqrt(3.5) + 1e-6));
    NEAR(il_advantage_scale(0, 4), 1e6);
}
END_TEST

START_TEST(a_group_is_compared_with_its_own_mean)
{
    const double returns[] = {1, 3, 10, 10};
    double a[4];

    il_advantage_group(4, 2, returns, a);
    NEAR(a[0], -1.0);
    NEAR(a[1], 1.0);
    NEAR(a[2], 0.0);
    NEAR(a[3], 0.0);
}
END_TEST

START_TEST(the_clipped_objective_is_flat_only_on_the_side_it_is_pushed_to)
{
    NEAR(il_advantage_clipped(1, 1.1, 0.2), 1.1);
    NEAR(il_advantage_clipped(1, 1.3, 0.2), 0.0);
    NEAR(il_advantage_clipped(1, 0.5, 0.2), 0.5);
    NEAR(il_advantage_clipped(-1, 0.5, 0.2), 0.0);
    NEAR(il_advantage_clipped(-1, 1.3, 0.2), 1.3);
    NEAR(il_advantage_clipped(0, 9.0, 0.2), 9.0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("advantage");
    TCase *tc = tcase_create("advantage");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_test(tc, gae_is_the_case_worked_out_by_hand);
    tcase_add_test(tc, with_lambda_1_gae_is_the_discounted_return_less_the_value);
    tcase_add_test(tc, the_parts_of_two_rewards_and_the_values_add_up_to_the_whole);
    tcase_add_test(tc, an_episode_of_no_action_has_no_advantage);
    tcase_add_test(tc, one_mean_and_one_spread_are_those_of_all_arrays);
    tcase_add_test(tc, a_group_is_compared_with_its_own_mean);
    tcase_add_test(tc, the_clipped_objective_is_flat_only_on_the_side_it_is_pushed_to);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
