#include "loop/lanes.h"
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { FLOATS = 37, DOUBLES = 2, MOST = 9 };

static float grad_of(int lane, int i)
{
    return (float)(lane * 31 + i * 7 + 1) / (float)(3 + lane * lane + i);
}

static double sum_of(int lane, int i)
{
    return 1.0 / (lane * 5 + i + 3);
}

/* The tree as lanes.h has it, one number at a time: lane 2i with 2i + 1, then pairs. */
static float tree(int count, int i)
{
    float v[MOST];

    for (int lane = 0; lane < count; lane++) {
        v[lane] = grad_of(lane, i);
    }
    for (; count > 1; count = (count + 1) / 2) {
        for (int j = 0; 2 * j < count; j++) {
            v[j] = 2 * j + 1 < count ? v[2 * j] + v[2 * j + 1] : v[2 * j];
        }
    }
    return v[0];
}

static void give(il_lanes *l, int lane)
{
    il_lane_sum *s = il_lanes_take(l);

    ck_assert_ptr_nonnull(s);
    for (int i = 0; i < FLOATS; i++) {
        ck_assert_msg(s->grads[i] == 0.0f, "lane %d starts with %g", lane,
                      (double)s->grads[i]);
        s->grads[i] = grad_of(lane, i);
    }
    for (int i = 0; i < DOUBLES; i++) {
        ck_assert(s->sums[i] == 0.0);
        s->sums[i] = sum_of(lane, i);
    }
    il_lanes_give(l, lane, s);
}

static void open_lanes(il_lanes *l, int count)
{
    il_error err = {0};

    ck_assert_int_eq(il_lanes_open(l, count, FLOATS, DOUBLES, &err), IL_OK);
}

START_TEST(lanes_are_summed_in_one_tree_in_whatever_order_they_come)
{
    for (int count = 1; count <= MOST; count++) {
        il_lanes l;

        open_lanes(&l, count);
        for (int step = 1; step <= 8; step++) {
            /* another start and another stride each time */
            int stride = step % count == 0 ? 1 : step % count;
            bool given[MOST] = {false};

            for (int n = 0; n < count; n++) {
                int lane = (step + n * stride) % count;

                while (given[lane]) {
                    lane = (lane + 1) % count;
                }
                given[lane] = true;
                ck_assert_ptr_null(l.total);
                give(&l, lane);
            }
            ck_assert_ptr_nonnull(l.total);
            il_lanes_finish(&l, 20, FLOATS - 20); /* in shares, the last one first */
            il_lanes_finish(&l, 0, 20);
            for (int i = 0; i < FLOATS; i++) {
                float want = tree(count, i);

                ck_assert_msg(memcmp(&l.total->grads[i], &want, sizeof want) == 0,
                              "%d lanes, order %d, number %d", count, step, i);
            }
            il_lanes_reset(&l);
        }
        il_lanes_close(&l);
    }
}
END_TEST

START_TEST(sums_are_whole_with_the_last_lane)
{
    il_lanes l;

    open_lanes(&l, 5);
    for (int lane = 4; lane >= 0; lane--) {
        give(&l, lane);
    }
    for (int i = 0; i < DOUBLES; i++) {
        double want = ((sum_of(0, i) + sum_of(1, i)) + (sum_of(2, i) + sum_of(3, i))) +
                      sum_of(4, i);

        ck_assert(l.total->sums[i] == want);
    }
    il_lanes_close(&l);
}
END_TEST

START_TEST(a_step_that_failed_leaves_nothing_behind)
{
    il_lanes l;

    open_lanes(&l, 4);
    give(&l, 0);
    give(&l, 3);
    il_lanes_reset(&l); /* lanes 1 and 2 never came */
    ck_assert_ptr_null(l.total);
    for (int lane = 0; lane < 4; lane++) {
        give(&l, lane);
    }
    il_lanes_finish(&l, 0, FLOATS);
    for (int i = 0; i < FLOATS; i++) {
        ck_assert(l.total->grads[i] == tree(4, i));
    }
    il_lanes_close(&l);
}
END_TEST

/* What lanes never write, a frozen checkpoint say, costs them nothing: it is neither
 * cleared nor added, so what somebody else left there stays. */
START_TEST(only_what_lanes_write_is_cleared_and_added)
{
    const il_lane_part parts[] = {{3, 9}, {20, 21}, {30, FLOATS}};
    il_lanes l;
    il_error err = {0};

    ck_assert_int_eq(il_lanes_open_parts(&l, 5, FLOATS, 0, parts, 3, &err), IL_OK);
    for (int step = 0; step < 3; step++) {
        for (int lane = 0; lane < 5; lane++) {
            il_lane_sum *s = il_lanes_take(&l);

            ck_assert_ptr_nonnull(s);
            for (size_t k = 0; k < 3; k++) {
                for (int64_t i = parts[k].first; i < parts[k].last; i++) {
                    ck_assert_float_eq(s->grads[i], 0.0f);
                    s->grads[i] = grad_of(lane, (int)i);
                }
            }
            s->grads[10] = 7.0f;
            il_lanes_give(&l, lane, s);
        }
        for (size_t k = 0; k < 3; k++) {
            il_lanes_finish(&l, parts[k].first, parts[k].last - parts[k].first);
            for (int64_t i = parts[k].first; i < parts[k].last; i++) {
                ck_assert_float_eq(l.total->grads[i], tree(5, (int)i));
            }
        }
        ck_assert_float_eq(l.total->grads[10], 7.0f);
        il_lanes_reset(&l);
    }
    il_lanes_close(&l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lanes");
    TCase *tests = tcase_create("lanes");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, only_what_lanes_write_is_cleared_and_added);
    tcase_add_test(tests, lanes_are_summed_in_one_tree_in_whatever_order_they_come);
    tcase_add_test(tests, sums_are_whole_with_the_last_lane);
    tcase_add_test(tests, a_step_that_failed_leaves_nothing_behind);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
