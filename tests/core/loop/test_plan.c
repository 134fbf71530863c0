/* Plans of reinforcement, taken off a small Far Lever: which bits a reward may touch,
 * what goes on record, and that training keeps to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/plan.h"
#include "loop/run.h"
#include <check.h>

enum { UPDATES = 3 };

/* A stage's trainer over a world with drawn weights, and what was pressed before. */
typedef struct trial {
    il_session session;
    const il_job *job;
    il_world *world;
    il_trainer *trainer;
    il_pressed pressed;
    il_plan *plan;
} trial;

static void ok(il_status status, const il_error *err)
{
    ck_assert_msg(status == IL_OK, "%s: %s", err->where, err->message);
}

/* A probe that reads something, since nothing was fitted. */
static void fill_probes(il_world *w)
{
    for (size_t d = 0; d < w->detector_count; d++) {
        il_store *s = w->detectors[d]->instance->store;
        il_rng r;

        il_rng_open(&r, 7, 0, IL_RNG_PLUGIN, d, 0);
        for (int64_t i = 0; i < s->total; i++) {
            s->values[i] = il_rng_normal(&r);
        }
    }
}

/* Goes through the stages before it as `explain` does, on the weights as drawn. One
 * value of the pipeline may be set otherwise. */
static void open_path(trial *t, const char *path, const char *stage,
                      const char *variant, const char *set)
{
    const char *plugins = getenv("IL_BUILD");
    char folder[4096];
    const char *sets[] = {folder, set};
    uint64_t seed = 1;
    il_run_options o = {
        .path = path, .sets = sets, .set_count = set != NULL ? 2 : 1, .workers = 1};
    il_error err = {0};
    il_host host;

    memset(t, 0, sizeof *t);
    ck_assert_ptr_nonnull(plugins);
    (void)snprintf(folder, sizeof folder, "plugins.path=[%s/plugins]", plugins);
    o.filter = (il_jobs_filter){.stages = &stage,
                                .stage_count = 1,
                                .variants = &variant,
                                .variant_count = variant != NULL,
                                .seeds = &seed,
                                .seed_count = 1};
    ok(il_session_open(&t->session, &o, &err), &err);
    ck_assert_uint_eq(t->session.jobs.count, 1);
    t->job = &t->session.jobs.items[0];
    host = il_session_host(&t->session);
    ok(il_world_create(&t->world, &host, t->job->pipeline, 1, &t->session.problems,
                       &err),
       &err);
    ok(il_store_fill(t->world->model->store, 1, &err), &err);
    fill_probes(t->world);
    ok(il_pressed_create(&t->pressed, t->world, &err), &err);
    for (size_t c = 0; c < t->job->chain_count; c++) {
        const il_stage_spec *spec = t->job->chain[c].spec;

        if (!spec->train.given) {
            continue;
        }
        if (t->plan != NULL) {
            il_plan_inherit(t->plan, t->trainer, &t->pressed);
            il_plan_destroy(t->plan);
            il_trainer_destroy(t->trainer);
        }
        ok(il_trainer_create(&t->trainer, t->world, spec, (uint32_t)c,
                             &t->session.problems, &err),
           &err);
        ok(il_plan_make(&t->plan, t->trainer, &t->pressed, t->job->chain, c + 1, &err),
           &err);
    }
    il_trainer_start(t->trainer);
}

static void open_trial(trial *t, const char *stage, const char *variant)
{
    open_path(t, "tests/fixtures/firewall/far_lever.yaml", stage, variant, NULL);
}

static void close_trial(trial *t)
{
    il_plan_destroy(t->plan);
    il_trainer_destroy(t->trainer);
    il_pressed_free(&t->pressed);
    il_world_destroy(t->world);
    il_session_close(&t->session);
}

static bool in_group(const trial *t, size_t i, const char *group)
{
    return strcmp(t->world->model->store->items[i].group, group) == 0;
}

/* How many parameters of a group a set has. */
static size_t count_in(const trial *t, const il_word *set, const char *group)
{
    size_t n = 0;

    for (size_t i = 0; i < t->world->model->store->count; i++) {
        n += il_bits_has(set, i) && in_group(t, i, group);
    }
    return n;
}

static bool teaches_policy(const il_term *term)
{
    return term->trains &&
           (term->kind == IL_TERM_REWARD || term->kind == IL_TERM_BASELINE ||
            term->kind == IL_TERM_VALUE || term->kind == IL_TERM_ENTROPY);
}

static const il_verdict_pair *own_pair(const trial *t)
{
    const il_verdict_pair *pair =
        il_verdict_find(t->plan->verdict, "suffering", "suffering");

    ck_assert_ptr_nonnull(pair);
    return pair;
}

static const char *const spared[] = {"brain",        "brain_hard",   "brain_prec",
                                     "brain_ppo",    "brain_replay", "brain_refit",
                                     "brain_offline"};

START_TEST(no_reward_may_touch_a_parameter_of_the_belief_in_brain)
{
    trial t;
    size_t rewards = 0;

    open_trial(&t, "mode", spared[_i]);
    for (size_t i = 0; i < t.trainer->terms->count; i++) {
        const il_term *term = &t.trainer->terms->items[i];

        if (teaches_policy(term)) {
            rewards++;
            ck_assert_uint_gt(count_in(&t, term->g[IL_PASS_FIRST], "belief"), 0);
            ck_assert_uint_eq(count_in(&t, term->updates[IL_PASS_FIRST], "belief"), 0);
            ck_assert_uint_eq(count_in(&t, term->updates[IL_PASS_FIRST], "prediction"),
                              0);
        }
    }
    ck_assert_uint_eq(rewards, 5);
    ck_assert_uint_eq(il_verdict_open(own_pair(&t)) & IL_DEMAND_SEALED, 0);
    close_trial(&t);
}
END_TEST

START_TEST(every_reward_touches_all_of_the_belief_end_to_end)
{
    static const char *const variants[] = {"e2e", "naive"};
    trial t;

    open_trial(&t, "mode", variants[_i]);
    for (size_t i = 0; i < t.trainer->terms->count; i++) {
        const il_term *term = &t.trainer->terms->items[i];

        if (teaches_policy(term)) {
            ck_assert_uint_eq(count_in(&t, term->updates[IL_PASS_FIRST], "belief"),
                              count_in(&t, t.trainer->terms->reads[0], "belief"));
        }
    }
    close_trial(&t);
}
END_TEST

START_TEST(the_reading_marks_whatever_rewards_share)
{
    trial t;
    const il_flow *flow;
    size_t entered = 0;

    open_trial(&t, "mode", "brain");
    flow = &t.plan->flow;
    ck_assert_uint_eq(flow->source_count, 1);
    for (size_t s = 0; s < flow->signal_count; s++) {
        const il_flow_signal *signal = &flow->signals[s];
        bool reward = strcmp(signal->name, "task") == 0 ||
                      strcmp(signal->name, "compassion") == 0 ||
                      strcmp(signal->name, "baseline") == 0 ||
                      strcmp(signal->name, "value") == 0;

        ck_assert_uint_eq(signal->enters[0],
                          reward ? IL_ENTERS_CONSTANT : IL_ENTERS_NOT);
        entered += reward;
        if (reward) { /* advantages carry the value head and what the reading reads */
            ck_assert_uint_gt(count_in(&t, signal->v, "belief"), 0);
            ck_assert_uint_eq(count_in(&t, signal->v, "desire"),
                              strcmp(signal->name, "value") == 0 ? 4 : 8);
        }
        ck_assert_ptr_nonnull(signal->chosen_by);
    }
    ck_assert_uint_eq(entered, 4);
    close_trial(&t);
}
END_TEST

START_TEST(what_was_pressed_and_taught_goes_on_record)
{
    trial t;
    il_pressed read;
    il_error err = {0};
    json_t *changed, *taught;

    open_trial(&t, "mode", "brain");
    il_plan_inherit(t.plan, t.trainer, &t.pressed);
    ck_assert_uint_eq(count_in(&t, il_pressed_of(&t.pressed, 0), "belief"), 0);
    ck_assert_uint_eq(count_in(&t, il_pressed_of(&t.pressed, 0), "prediction"), 0);
    ck_assert_uint_eq(count_in(&t, il_pressed_of(&t.pressed, 0), "desire"), 8);
    ck_assert_uint_gt(count_in(&t, il_pressed_taught(&t.pressed, 0), "belief"), 0);
    ck_assert_uint_eq(count_in(&t, il_pressed_taught(&t.pressed, 0), "desire"), 0);
    changed = il_pressed_json(&t.pressed, t.world);
    taught = il_pressed_taught_json(&t.pressed, t.world);
    ok(il_pressed_create(&read, t.world, &err), &err);
    ok(il_pressed_read(&read, t.world, changed, taught, &err), &err);
    ck_assert_mem_eq(read.bits, t.pressed.bits,
                     2 * read.detectors * read.words * sizeof *read.bits);
    json_array_append_new(json_object_get(taught, "suffering"), json_string("gone"));
    ck_assert_int_eq(il_pressed_read(&read, t.world, changed, taught, &err),
                     IL_ERR_INPUT);
    il_pressed_free(&read);
    json_decref(changed);
    json_decref(taught);
    close_trial(&t);
}
END_TEST

START_TEST(a_policy_that_was_pressed_chooses_rows_in_a_stage_without_rewards)
{
    trial t;

    open_trial(&t, "after", NULL);
    ck_assert(!t.plan->flow.sources[0].presses);
    ck_assert_uint_eq(il_verdict_open(own_pair(&t)), IL_DEMAND_DATA | IL_DEMAND_INPUT);
    close_trial(&t);
}
END_TEST

START_TEST(a_belief_that_learned_from_chosen_rows_is_not_isolated_afterwards)
{
    trial t;

    open_trial(&t, "after_offline", NULL);
    ck_assert(!t.plan->flow.rollouts);
    ck_assert_uint_eq(il_verdict_open(own_pair(&t)), IL_DEMAND_DATA);
    ck_assert_ptr_nonnull(strstr(own_pair(&t)->cells[IL_FLOW_DATA].path,
                                 "[taught on rows chosen by suffering]"));
    close_trial(&t);
}
END_TEST

/* The first parameter of the belief or the prediction that differs after some updates
 * on the same episodes, or NULL. */
static const char *apart(const char *variant, const char *twin)
{
    trial a, b;
    il_error err = {0};
    const char *differs = NULL;
    const il_store *store;

    open_trial(&a, "mode", twin);
    open_trial(&b, "mode", variant);
    b.trainer->follow = a.trainer;
    for (int i = 0; i < UPDATES; i++) {
        ok(il_trainer_step(a.trainer, false, &err), &err);
        ok(il_trainer_step(b.trainer, false, &err), &err);
    }
    store = a.world->model->store;
    for (size_t i = 0; i < store->count && differs == NULL; i++) {
        int64_t at = store->items[i].offset;

        if (!in_group(&a, i, "desire") &&
            memcmp(store->values + at, b.world->model->store->values + at,
                   (size_t)store->items[i].count * sizeof(float)) != 0) {
            differs = strdup(store->items[i].name);
        }
    }
    close_trial(&a);
    close_trial(&b);
    return differs;
}

START_TEST(on_the_same_episodes_brain_leaves_the_bits_of_its_twin)
{
    static const char *const variants[] = {"brain", "brain_hard"};
    const char *name = apart(variants[_i], "task");

    ck_assert_msg(name == NULL, "%s differs", name);
}
END_TEST

START_TEST(on_the_same_episodes_credit_moves_the_belief)
{
    static const char *const variants[] = {"e2e", "naive", "task_only_to_belief"};
    char *name = (char *)apart(variants[_i], "task");

    ck_assert_ptr_nonnull(name);
    free(name);
}
END_TEST

/* What the row of the fresh readers reads. */
static const il_word *fresh_reads(const trial *t)
{
    const il_flow *flow = &t->plan->flow;

    for (size_t r = 0; r < flow->reader_count; r++) {
        if (strcmp(flow->readers[r].name, "fresh readers") == 0) {
            return flow->readers[r].reads;
        }
    }
    ck_abort_msg("there is no row of fresh readers");
    return NULL;
}

/* The detector reads the second of three blocks; fresh readers read there, too, and
 * where else the audit says or, unasked, the last block. */
START_TEST(the_row_of_fresh_readers_covers_every_site_that_they_read)
{
    static const char *const audits[] = {
        "stages.rl.audit={samples: 8, splits: [fixed_transcripts], fresh: [linear]}",
        "stages.rl.audit={samples: 8, splits: [fixed_transcripts], fresh: [linear], "
        "sites: [blocks.2.hook_resid_mid]}",
        "stages.rl.audit={samples: 8, splits: [fixed_transcripts], fresh: [linear], "
        "sites: []}"};
    static const size_t last[] = {12, 6, 0}; /* of its parameters: read, in all */
    trial t;

    open_path(&t, "tests/fixtures/firewall/little_atlas.yaml", "rl", "reward",
              audits[_i]);
    ck_assert_uint_eq(count_in(&t, t.trainer->terms->reads[0], "blocks.2"), 0);
    ck_assert_uint_eq(count_in(&t, fresh_reads(&t), "blocks.1"), 12);
    ck_assert_uint_eq(count_in(&t, fresh_reads(&t), "blocks.2"), last[_i]);
    close_trial(&t);
}
END_TEST

/* Episodes alone: where detectors read, and nowhere else. */
START_TEST(fresh_readers_of_episodes_read_where_detectors_do)
{
    trial t;

    open_trial(&t, "mode", "brain");
    ck_assert_mem_eq(fresh_reads(&t), t.trainer->terms->reads[0],
                     t.trainer->terms->words * sizeof(il_word));
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tests = tcase_create("plan");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, no_reward_may_touch_a_parameter_of_the_belief_in_brain,
                        0, sizeof spared / sizeof *spared);
    tcase_add_loop_test(tests, every_reward_touches_all_of_the_belief_end_to_end, 0, 2);
    tcase_add_test(tests, the_reading_marks_whatever_rewards_share);
    tcase_add_test(tests, what_was_pressed_and_taught_goes_on_record);
    tcase_add_test(tests,
                   a_policy_that_was_pressed_chooses_rows_in_a_stage_without_rewards);
    tcase_add_test(tests,
                   a_belief_that_learned_from_chosen_rows_is_not_isolated_afterwards);
    tcase_add_loop_test(tests, on_the_same_episodes_brain_leaves_the_bits_of_its_twin,
                        0, 2);
    tcase_add_loop_test(tests, on_the_same_episodes_credit_moves_the_belief, 0, 3);
    tcase_add_loop_test(
        tests, the_row_of_fresh_readers_covers_every_site_that_they_read, 0, 3);
    tcase_add_test(tests, fresh_readers_of_episodes_read_where_detectors_do);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
