/* What training promises, on a small GPT over the real data: exact routes, exact twins,
 * the same bits for any number of workers and with or without observers. */
#include "keep_ledger.h"
#include "trial.h"

enum { STEPS = 5 };

static const char *const small[] = {
    "model.params.width=16",     "model.params.heads=2",      "model.params.mlp=32",
    "stages.loop.train.batch=8", "stages.loop.train.lanes=4",
};

static void open_trial(trial *t, const char *variant, int workers,
                       const char *const *more, size_t count)
{
    trial_of of = {.path = "configs/liar/demo.yaml",
                   .stage = "loop",
                   .variant = variant,
                   .workers = workers};

    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        of.sets[of.set_count++] = small[i];
    }
    for (size_t i = 0; i < count; i++) {
        of.sets[of.set_count++] = more[i];
    }
    trial_open(t, &of);
}

/* Whether the probe reads parameter i. */
static bool read_by_probe(const trial *t, size_t i)
{
    return il_bits_has(t->trainer->terms->reads[0], i);
}

static void all_same(const trial *a, const trial *b)
{
    for (size_t i = 0; i < count_of(a); i++) {
        ck_assert_msg(same_tensor(a, i, weights(a), weights(b)), "%s differs",
                      a->world->model->store->items[i].name);
        ck_assert(same_tensor(a, i, a->trainer->m, b->trainer->m));
        ck_assert(same_tensor(a, i, a->trainer->v, b->trainer->v));
    }
}

START_TEST(two_workers_give_the_bits_of_one)
{
    static const char *const variants[] = {"monitor", "naive", "leaky",
                                           "placebo_shuffled", "shadow"};
    trial one;
    trial two;

    open_trial(&one, variants[_i], 1, NULL, 0);
    open_trial(&two, variants[_i], 2, NULL, 0);
    steps(&one, STEPS, false);
    steps(&two, STEPS, false);
    all_same(&one, &two);
    ck_assert(!same_tensor(&one, count_of(&one) - 1, weights(&one), one.start));
    close_trial(&one);
    close_trial(&two);
}
END_TEST

START_TEST(observing_changes_no_bit)
{
    trial plain;
    trial watched;
    kept k;

    open_trial(&plain, "naive", 2, NULL, 0);
    open_trial(&watched, "naive", 2, NULL, 0);
    keep_ledger(&k, watched.trainer, &watched.session.jobs.items[0], 1);
    steps(&plain, STEPS, false);
    for (int i = 0; i < STEPS; i++) {
        const il_ledger_entry *e = entry_of(&k, "pressure");

        steps(&watched, 1, true);
        ck_assert_int_eq(il_ledger_reader_of(k.ledger, e), 0);
        ck_assert_double_gt(il_ledger_read(k.ledger, e, 0).norm, 0.0);
        ck_assert_double_eq(il_ledger_rest(k.ledger, e, 0).norm, 0.0);
    }
    all_same(&plain, &watched);
    drop_ledger(&k);
    close_trial(&plain);
    close_trial(&watched);
}
END_TEST

START_TEST(a_pure_penalty_routed_downstream_changes_no_bit)
{
    static const char *const sets[] = {
        "stages.loop.signals.pressure.channel=loss",
        "stages.loop.signals.pressure.route={downstream: probe}"};
    trial twin;
    trial pressed;

    open_trial(&twin, "monitor", 1, NULL, 0);
    open_trial(&pressed, "monitor", 1, sets, 2);
    steps(&twin, STEPS, false);
    steps(&pressed, STEPS, false);
    all_same(&twin, &pressed);
    close_trial(&twin);
    close_trial(&pressed);
}
END_TEST

START_TEST(the_naive_penalty_moves_what_the_probe_reads)
{
    trial twin;
    trial naive;
    size_t moved = 0;

    open_trial(&twin, "monitor", 1, NULL, 0);
    open_trial(&naive, "naive", 1, NULL, 0);
    steps(&twin, STEPS, false);
    steps(&naive, STEPS, false);
    for (size_t i = 0; i < count_of(&twin); i++) {
        moved += read_by_probe(&twin, i) &&
                 !same_tensor(&twin, i, weights(&twin), weights(&naive));
    }
    ck_assert_uint_gt(moved, 0);
    close_trial(&twin);
    close_trial(&naive);
}
END_TEST

START_TEST(frozen_keeps_every_bit_that_the_probe_reads)
{
    size_t read = 0;
    size_t moved = 0;
    trial t;

    open_trial(&t, "frozen", 2, NULL, 0);
    steps(&t, STEPS, false);
    for (size_t i = 0; i < count_of(&t); i++) {
        if (read_by_probe(&t, i)) {
            read++;
            ck_assert_msg(same_tensor(&t, i, weights(&t), t.start), "%s moved",
                          t.world->model->store->items[i].name);
        } else {
            moved += !same_tensor(&t, i, weights(&t), t.start);
        }
    }
    ck_assert_uint_gt(read, 0);
    ck_assert_uint_eq(moved, count_of(&t) - read);
    close_trial(&t);
}
END_TEST

START_TEST(shadow_keeps_the_upstream_trajectory_of_the_monitor_twin)
{
    size_t differs = 0;
    trial twin;
    trial shadow;

    open_trial(&twin, "monitor", 1, NULL, 0);
    open_trial(&shadow, "shadow", 2, NULL, 0);
    for (int step = 0; step < STEPS; step++) {
        steps(&twin, 1, false);
        steps(&shadow, 1, false);
        for (size_t i = 0; i < count_of(&twin); i++) {
            if (read_by_probe(&twin, i)) {
                ck_assert_msg(same_tensor(&twin, i, weights(&twin), weights(&shadow)),
                              "step %d: %s differs", step + 1,
                              twin.world->model->store->items[i].name);
                ck_assert(same_tensor(&twin, i, twin.trainer->m, shadow.trainer->m));
                ck_assert(same_tensor(&twin, i, twin.trainer->v, shadow.trainer->v));
            } else {
                /* the shadow itself is the twin's downstream half */
                ck_assert(
                    same_tensor(&twin, i, weights(&twin), shadow.trainer->shadow));
                differs += !same_tensor(&twin, i, weights(&twin), weights(&shadow));
            }
        }
    }
    ck_assert_uint_gt(differs, 0);
    close_trial(&twin);
    close_trial(&shadow);
}
END_TEST

START_TEST(a_parameter_that_no_signal_routes_to_is_not_stepped)
{
    static const char *const sets[] = {"stages.loop.signals.language.route=[blocks.1]"};
    trial t;

    open_trial(&t, "monitor", 1, sets, 1);
    steps(&t, STEPS, false);
    for (size_t i = 0; i < count_of(&t); i++) {
        bool routed = strcmp(t.world->model->store->items[i].group, "blocks.1") == 0;

        ck_assert_msg(same_tensor(&t, i, weights(&t), t.start) != routed, "%s",
                      t.world->model->store->items[i].name);
    }
    close_trial(&t);
}
END_TEST

START_TEST(a_group_that_is_frozen_keeps_its_bits_and_moments_and_leaves_the_norm)
{
    const char *name = "blocks.1";
    il_place place = {0};
    il_names_spec groups = {.items = &name, .places = &place, .count = 1};
    size_t bytes;
    float *before[3];
    trial t;

    open_trial(&t, "monitor", 2, NULL, 0);
    steps(&t, 2, false);
    bytes = (size_t)t.world->model->store->total * sizeof(float);
    for (int k = 0; k < 3; k++) {
        const float *from[] = {weights(&t), t.trainer->m, t.trainer->v};

        before[k] = malloc(bytes);
        ck_assert_ptr_nonnull(before[k]);
        memcpy(before[k], from[k], bytes);
    }
    il_trainer_freeze(t.trainer, &groups);
    steps(&t, 2, false);
    for (size_t i = 0; i < count_of(&t); i++) {
        bool frozen = strcmp(t.world->model->store->items[i].group, name) == 0;

        ck_assert(same_tensor(&t, i, weights(&t), before[0]) == frozen);
        ck_assert(same_tensor(&t, i, t.trainer->m, before[1]) == frozen);
        ck_assert(same_tensor(&t, i, t.trainer->v, before[2]) == frozen);
    }
    ck_assert_double_gt(t.trainer->norm, 0.0);
    for (size_t i = 0; i < count_of(&t); i++) {
        name = t.world->model->store->items[i].group;
        il_trainer_freeze(t.trainer, &groups);
    }
    steps(&t, 1, false);
    ck_assert(t.trainer->norm == 0.0);
    for (int k = 0; k < 3; k++) {
        free(before[k]);
    }
    close_trial(&t);
}
END_TEST

/* ---- verdicts off the tape ------------------------------------------------------ */

static unsigned open_channels(const char *variant, const char *const *sets,
                              size_t count)
{
    trial t;
    il_plan *plan = NULL;
    il_error err = {0};
    const il_job *job;
    unsigned open = 0;

    open_trial(&t, variant, 1, sets, count);
    job = &t.session.jobs.items[0];
    ok(il_plan_make(&plan, t.trainer, &t.pressed, job->chain, job->chain_count, &err),
       &err);
    for (size_t i = 0; i < plan->verdict->pair_count; i++) {
        const il_verdict_pair *pair = &plan->verdict->pairs[i];

        if (strcmp(plan->flow.readers[pair->reader].name, "probe") == 0) {
            open = il_verdict_open(pair) & ~(unsigned)IL_DEMAND_SELECTION;
        }
    }
    il_plan_destroy(plan);
    close_trial(&t);
    return open;
}

START_TEST(verdicts_off_the_tape_are_those_of_the_table)
{
    static const char *const through[] = {
        "stages.loop.signals.honesty.gate={detector: probe, through: true}",
        "stages.loop.signals.honesty.route=all"};
    static const char *const credit[] = {"stages.loop.signals.honesty.route=all"};
    static const char *const constant[] = {
        "stages.loop.signals.honesty.gate={constant: 0.5}"};

    ck_assert_uint_eq(open_channels("monitor", NULL, 0), 0);
    ck_assert_uint_eq(open_channels("naive", NULL, 0),
                      IL_DEMAND_DIRECT | IL_DEMAND_RELAY | IL_DEMAND_STATE);
    ck_assert_uint_eq(open_channels("leaky", NULL, 0),
                      IL_DEMAND_RELAY | IL_DEMAND_STATE);
    ck_assert_uint_eq(open_channels("placebo_shuffled", NULL, 0),
                      IL_DEMAND_RELAY | IL_DEMAND_STATE);
    ck_assert_uint_eq(open_channels("leaky", through, 2),
                      IL_DEMAND_DIRECT | IL_DEMAND_CREDIT | IL_DEMAND_RELAY |
                          IL_DEMAND_STATE);
    ck_assert_uint_eq(open_channels("leaky", credit, 1),
                      IL_DEMAND_CREDIT | IL_DEMAND_RELAY | IL_DEMAND_STATE);
    ck_assert_uint_eq(open_channels("leaky", constant, 1), 0);
    ck_assert_uint_eq(open_channels("frozen", NULL, 0), 0);
    ck_assert_uint_eq(open_channels("shadow", NULL, 0), 0);
}
END_TEST

START_TEST(a_state_without_pressure_after_frozen_still_shows_what_was_pressed)
{
    trial t;
    il_plan *plan = NULL;
    il_error err = {0};
    const il_job *job;
    json_t *json;

    open_trial(&t, "frozen", 1, NULL, 0);
    job = &t.session.jobs.items[0];
    ok(il_plan_make(&plan, t.trainer, &t.pressed, job->chain, job->chain_count, &err),
       &err);
    il_plan_inherit(plan, t.trainer, &t.pressed);
    json = il_pressed_json(&t.pressed, t.world);
    ck_assert_uint_gt(json_array_size(json_object_get(json, "probe")), 0);
    json_decref(json);
    il_plan_destroy(plan);
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("trainer");
    TCase *tc = tcase_create("trainer");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, two_workers_give_the_bits_of_one, 0, 5);
    tcase_add_test(tc, observing_changes_no_bit);
    tcase_add_test(tc, a_pure_penalty_routed_downstream_changes_no_bit);
    tcase_add_test(tc, the_naive_penalty_moves_what_the_probe_reads);
    tcase_add_test(tc, frozen_keeps_every_bit_that_the_probe_reads);
    tcase_add_test(tc, shadow_keeps_the_upstream_trajectory_of_the_monitor_twin);
    tcase_add_test(tc, a_parameter_that_no_signal_routes_to_is_not_stepped);
    tcase_add_test(
        tc, a_group_that_is_frozen_keeps_its_bits_and_moments_and_leaves_the_norm);
    tcase_add_test(tc, verdicts_off_the_tape_are_those_of_the_table);
    tcase_add_test(tc,
                   a_state_without_pressure_after_frozen_still_shows_what_was_pressed);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
