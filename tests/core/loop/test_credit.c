/* The credit map: every number of it by hand, whether rewards depend on the action
 * where the answer is known, and that looking changes nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/credit.h"
#include "folder.h"
#include "small_trial.h"
#include <check.h>

/* ---- whether it depends on the action ------------------------------------------- */

enum { POSITIONS = 20, EACH = 30, ROWS = POSITIONS * EACH };

/* Rows at which two actions were taken as often, with a value each. */
typedef struct told {
    int32_t positions[ROWS];
    int32_t actions[ROWS];
    double values[ROWS];
} told;

static void tell(told *t, double by_position, double by_action, double noise)
{
    il_rng r;

    il_rng_open(&r, 3, 0, IL_RNG_SAMPLE, 0, 0);
    for (int i = 0; i < ROWS; i++) {
        t->positions[i] = i / EACH;
        t->actions[i] = i % EACH >= EACH / 2;
        t->values[i] = by_position * (t->positions[i] % 3) + by_action * t->actions[i] +
                       noise * il_rng_normal(&r);
    }
}

static il_credit_action ask(told *t, int64_t count)
{
    il_credit_rows rows = {.count = count,
                           .positions = t->positions,
                           .actions = t->actions,
                           .values = t->values};
    il_credit_action out;

    ck_assert(il_credit_depends(&rows, 1, 0, &out));
    return out;
}

START_TEST(a_value_that_the_action_decides_is_all_the_action_s)
{
    told t;
    il_credit_action a;

    tell(&t, 1.0, 2.0, 0.0);
    a = ask(&t, ROWS);
    ck_assert_int_eq(a.verdict, IL_CREDIT_DEPENDS);
    ck_assert_int_eq(a.compared, ROWS);
    ck_assert_double_eq_tol(a.share, 1.0, 1e-9);
    ck_assert_double_eq_tol(a.variance, 1.0, 1e-9); /* half 0, half 2 */
    ck_assert_double_eq(a.p, 1.0 / 200);
}
END_TEST

START_TEST(a_value_of_the_position_alone_drops_out)
{
    told t;

    tell(&t, 5.0, 0.0, 0.0);
    ck_assert_int_eq(ask(&t, ROWS).verdict, IL_CREDIT_DROPS_OUT);
}
END_TEST

START_TEST(a_value_that_the_action_has_no_part_in_is_not_found_to_depend)
{
    told t;
    il_credit_action a;

    tell(&t, 5.0, 0.0, 1.0);
    a = ask(&t, ROWS);
    ck_assert_int_eq(a.verdict, IL_CREDIT_NONE_FOUND);
    ck_assert_double_gt(a.p, 0.05);
    ck_assert_double_lt(a.share, 0.03);
    ck_assert_double_lt(a.least, 0.05);
}
END_TEST

START_TEST(a_part_in_it_is_found_beneath_noise)
{
    told t;
    il_credit_action a;

    tell(&t, 5.0, 1.0, 1.0);
    a = ask(&t, ROWS);
    ck_assert_int_eq(a.verdict, IL_CREDIT_DEPENDS);
    /* A quarter of a variance of one and a quarter. */
    ck_assert_double_eq_tol(a.share, 0.2, 0.06);
}
END_TEST

START_TEST(too_few_rows_tell_nothing)
{
    told t;
    il_credit_action a;

    tell(&t, 0.0, 0.0, 1.0);
    a = ask(&t, EACH / 2); /* one action alone */
    ck_assert_int_eq(a.verdict, IL_CREDIT_UNDETERMINED);
    ck_assert_int_eq(a.compared, 0);
    ck_assert(isnan(a.share));
    a = ask(&t, EACH); /* a difference of a twentieth would be lost in these */
    ck_assert_int_eq(a.verdict, IL_CREDIT_UNDETERMINED);
    ck_assert_double_gt(a.least, 0.05);
}
END_TEST

/* ---- maps ----------------------------------------------------------------------- */

static json_t *map_of(trial *t)
{
    json_t *map = NULL;
    il_error err = {0};

    ok(il_credit_map(t->trainer, &map, &err), &err);
    return map;
}

static const json_t *signal_of(const json_t *map, const char *name)
{
    const json_t *s = json_object_get(json_object_get(map, "signals"), name);

    ck_assert_msg(json_is_object(s), "no signal '%s'", name);
    return s;
}

static double number(const json_t *o, const char *key)
{
    ck_assert_msg(json_is_number(json_object_get(o, key)), "no number '%s'", key);
    return json_number_value(json_object_get(o, key));
}

/* A gate weighs a row by weight * p / rows; a loss of softplus has the derivative
 * weight * p / rows: both are told by the readings. */
START_TEST(losses_and_gates_credit_by_what_they_read)
{
    bool gated = _i == 0;
    double weight = gated ? 3.0 : 1.0;
    double rows = 0;
    double sum = 0;
    const json_t *positions;
    const json_t *fields;
    const json_t *p;
    size_t i;
    json_t *map;
    trial t;

    open_trial(&t, gated ? "leaky" : "naive", 1, 0, NULL);
    step(&t);
    map = map_of(&t);
    positions =
        json_object_get(signal_of(map, gated ? "honesty" : "pressure"), "positions");
    json_array_foreach(positions, i, p)
    {
        rows += number(p, "rows");
    }
    ck_assert_double_gt(rows, 0);
    json_array_foreach(positions, i, p)
    {
        double expected = weight * number(p, "reading") * number(p, "rows") / rows;

        ck_assert_double_gt(number(p, "reading"), 0);
        ck_assert_double_eq_tol(number(p, "credit"), expected, 1e-5 * expected);
        ck_assert_double_eq_tol(number(p, "size"), expected, 1e-5 * expected);
        sum += number(p, "credit");
    }
    fields = json_object_get(signal_of(map, gated ? "honesty" : "pressure"), "fields");
    /* Claims are what the probe scores, and deceivers part them. */
    p = json_object_get(fields, "claims");
    ck_assert_double_eq_tol(number(json_object_get(p, "set"), "credit"), sum,
                            1e-9 * sum);
    ck_assert_double_eq(number(json_object_get(p, "unset"), "rows"), 0);
    p = json_object_get(fields, "deceiver");
    ck_assert_double_eq_tol(number(json_object_get(p, "set"), "credit") +
                                number(json_object_get(p, "unset"), "credit"),
                            sum, 1e-9 * sum);
    ck_assert_ptr_null(json_object_get(json_object_get(map, "signals"), "language"));
    json_decref(map);
    close_trial(&t);
}
END_TEST

/* What each reward sends back, from the episodes' own rewards. */
START_TEST(rewards_send_credit_to_the_actions_before_them)
{
    const double scale = 0.1;
    const double decay = 0.9 * 0.8;
    double sent[16] = {0};
    double received[16] = {0};
    const json_t *p;
    size_t at;
    json_t *map;
    trial t;
    double rows = 0;

    open_trial(&t, "a2c", 2, 0, NULL);
    step(&t);
    for (size_t m = 0; m < t.trainer->micro_count; m++) {
        rows += (double)t.trainer->micros[m].play.count;
    }
    for (size_t m = 0; m < t.trainer->micro_count; m++) {
        const il_play *play = &t.trainer->micros[m].play;
        const il_tensor *field = il_batch_find(t.trainer->micros[m].batch, "task");

        for (int64_t e = 0; e < play->episodes; e++) {
            for (int64_t n = play->first[e]; n < play->first[e + 1]; n++) {
                double r = scale * il_f32(field)[play->rows[n]];

                for (int64_t k = play->first[e]; k <= n; k++) {
                    double part = r * pow(decay, (double)(n - k)) *
                                  t.trainer->moments.scale / rows;

                    sent[play->rows[n] % play->length] += part;
                    received[play->rows[k] % play->length] += part;
                }
            }
        }
    }
    map = map_of(&t);
    json_array_foreach(json_object_get(signal_of(map, "task"), "positions"), at, p)
    {
        size_t position = (size_t)number(p, "position");

        ck_assert_double_eq_tol(number(p, "sent"), sent[position], 1e-9);
        ck_assert_double_eq_tol(number(p, "received"), received[position], 1e-9);
    }
    ck_assert_uint_gt(at, 3);
    json_decref(map);
    close_trial(&t);
}
END_TEST

/* A probe that says the same of everything rewards every action alike. */
START_TEST(a_reading_that_never_changes_drops_out_as_a_reward)
{
    static const char *const variants[] = {"a2c", "group"};
    const json_t *action;
    json_t *map;
    il_store *s;
    trial t;

    open_trial(&t, variants[_i], 1, 0, NULL);
    s = t.world->detectors[0]->instance->store;
    memset(s->values, 0, (size_t)s->total * sizeof *s->values);
    step(&t);
    map = map_of(&t);
    action = json_object_get(signal_of(map, "compassion"), "action");
    ck_assert_str_eq(json_string_value(json_object_get(action, "verdict")),
                     "drops_out");
    action = json_object_get(signal_of(map, "task"), "action");
    ck_assert_str_ne(json_string_value(json_object_get(action, "verdict")),
                     "drops_out");
    json_decref(map);
    close_trial(&t);
}
END_TEST

START_TEST(looking_changes_no_bit)
{
    static const char *const variants[] = {"leaky", "naive", "shadow",
                                           "a2c",   "group", "ppo"};
    trial plain;
    trial t;

    open_trial(&plain, variants[_i], 1, 0, NULL);
    open_trial(&t, variants[_i], 2, 0, NULL);
    for (int i = 0; i < 3; i++) {
        step(&plain);
        step(&t);
        json_decref(map_of(&t));
    }
    ck_assert_mem_eq(store(&plain)->values, store(&t)->values,
                     (size_t)store(&t)->total * sizeof(float));
    close_trial(&plain);
    close_trial(&t);
}
END_TEST

START_TEST(before_the_first_step_there_is_no_map)
{
    trial t;

    open_trial(&t, "leaky", 1, 0, NULL);
    ck_assert_ptr_null(map_of(&t));
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("credit");
    TCase *tc = tcase_create("credit");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, a_value_that_the_action_decides_is_all_the_action_s);
    tcase_add_test(tc, a_value_of_the_position_alone_drops_out);
    tcase_add_test(tc, a_value_that_the_action_has_no_part_in_is_not_found_to_depend);
    tcase_add_test(tc, a_part_in_it_is_found_beneath_noise);
    tcase_add_test(tc, too_few_rows_tell_nothing);
    tcase_add_loop_test(tc, losses_and_gates_credit_by_what_they_read, 0, 2);
    tcase_add_test(tc, rewards_send_credit_to_the_actions_before_them);
    tcase_add_loop_test(tc, a_reading_that_never_changes_drops_out_as_a_reward, 0, 2);
    tcase_add_loop_test(tc, looking_changes_no_bit, 0, 6);
    tcase_add_test(tc, before_the_first_step_there_is_no_map);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
