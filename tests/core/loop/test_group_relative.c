/* Reinforcement on answers in text, on a small GPT in Little Atlas: groups stay whole,
 * what may not be drawn has no part in it, the terms add up to the plain gradient, and
 * no bit depends on workers or observers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/run.h"
#include "loop/trainer.h"
#include "folder.h"
#include <check.h>

enum { SETS = 16, SAMPLES = 4, PROMPTS = 5, TOKENS = 22 };

static const char pipeline[] =
    "interloop: 1\n"
    "name: small\n"
    "model: {use: gpt, params: {layers: 2, width: 16, heads: 2, context: 19,\n"
    "  tied: false}}\n"
    "data: {use: little_atlas_transcripts, params: {transcripts: 64}}\n"
    "environment: {use: little_atlas, params: {max_tokens: 12}}\n"
    "references: {lag: {moving_average: 0.5}}\n"
    "detectors:\n"
    "  deception: {use: linear_probe, site: blocks.0.hook_resid_post,\n"
    "    tokens: claim}\n"
    "firewall: open\n"
    "stages:\n"
    "  rl:\n"
    "    train:\n"
    "      updates: 8\n"
    "      rollouts: {own: {policy: own, prompts: 5, samples: 4}}\n"
    "      lanes: 3\n"
    "      algorithm: {use: group_relative, divide_by_std: false}\n"
    "      optimizer: {use: adamw, lr: 3e-4}\n"
    "      clip: [{groups: all, norm: 1.0}]\n"
    "    signals:\n"
    "      task: {source: {reward: task}, channel: reward, route: all}\n"
    "      lie: {source: deception, channel: reward, route: all}\n"
    "      kl: {source: {kl: lag}, channel: loss, weight: 0.05, route: all}\n";

typedef struct trial {
    il_session session;
    il_world *world;
    il_trainer *trainer;
    float *start; /* weights before */
} trial;

static void ok(il_status status, const il_error *err)
{
    ck_assert_msg(status == IL_OK, "%s: %s", err->where, err->message);
}

static il_status try_trial(trial *t, int workers, const char *const *more, size_t count,
                           il_error *err)
{
    const char *sets[SETS];
    char plugins[4096];
    il_run_options o = {
        .path = in_folder("small.yaml"), .sets = sets, .workers = workers};
    const il_job *job;
    il_host host;

    memset(t, 0, sizeof *t);
    put(o.path, pipeline);
    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(plugins, sizeof plugins, "plugins.path=[%s/plugins]",
                   getenv("IL_BUILD"));
    sets[o.set_count++] = plugins;
    for (size_t i = 0; i < count; i++) {
        sets[o.set_count++] = more[i];
    }
    IL_TRY(il_session_open(&t->session, &o, err));
    ck_assert_uint_eq(t->session.jobs.count, 1);
    job = &t->session.jobs.items[0];
    host = il_session_host(&t->session);
    IL_TRY(
        il_world_create(&t->world, &host, job->pipeline, 1, &t->session.problems, err));
    IL_TRY(il_store_fill(t->world->model->store, 1, err));
    for (int64_t i = 0; i < t->world->detectors[0]->instance->store->total; i++) {
        t->world->detectors[0]->instance->store->values[i] = (float)(i % 3) - 1.0f;
    }
    IL_TRY(il_trainer_create(&t->trainer, t->world, job->chain[0].spec, 0,
                             &t->session.problems, err));
    il_trainer_start(t->trainer);
    t->start = il_store_block(t->world->model->store);
    memcpy(t->start, t->world->model->store->values,
           (size_t)t->world->model->store->total * sizeof *t->start);
    return IL_OK;
}

static void open_trial(trial *t, int workers, const char *const *more, size_t count)
{
    il_error err = {0};

    ok(try_trial(t, workers, more, count, &err), &err);
}

static void close_trial(trial *t)
{
    il_trainer_destroy(t->trainer);
    il_world_destroy(t->world);
    il_session_close(&t->session);
    free(t->start);
}

static void steps(trial *t, int n, bool watch)
{
    il_error err = {0};

    for (int i = 0; i < n; i++) {
        ok(il_trainer_step(t->trainer, watch, &err), &err);
    }
}

static const il_store *store(const trial *t)
{
    return t->world->model->store;
}

START_TEST(neither_workers_nor_observers_change_a_bit)
{
    static const char *const sets[] = {
        "stages.rl.signals.seen={source: deception, channel: monitor}",
        "stages.rl.signals.truth={source: {label: deceptive}, channel: monitor}"};
    trial one;
    trial two;

    open_trial(&one, 1, NULL, 0);
    open_trial(&two, 2, sets, 2);
    steps(&one, 4, false);
    steps(&two, 4, true);
    ck_assert_mem_eq(store(&one)->values, store(&two)->values,
                     (size_t)store(&one)->total * sizeof(float));
    ck_assert_mem_ne(store(&one)->values, one.start,
                     (size_t)store(&one)->total * sizeof(float));
    close_trial(&one);
    close_trial(&two);
}
END_TEST

START_TEST(groups_stay_whole_however_lanes_are_cut)
{
    static const char *const cut[] = {"stages.rl.train.micro_batch=3"};
    trial t;
    int64_t at = 0;

    open_trial(&t, 1, cut, (size_t)_i);
    steps(&t, 1, false);
    ck_assert_int_eq(t.trainer->batch, PROMPTS * SAMPLES);
    ck_assert_uint_eq(t.trainer->micro_count, _i == 0 ? 3 : PROMPTS);
    for (size_t m = 0; m < t.trainer->micro_count; m++) {
        const il_micro *micro = &t.trainer->micros[m];
        size_t task = 0;

        ck_assert_int_eq(micro->first, at);
        ck_assert_int_eq(micro->count % SAMPLES, 0);
        at += micro->count;
        for (int64_t e = 0; e < micro->count; e += SAMPLES) {
            double sum = 0;

            for (int64_t k = e; k < e + SAMPLES; k++) {
                sum += micro->play.advantage[task][micro->play.first[k]];
            }
            ck_assert_double_eq_tol(sum, 0.0, 1e-9);
        }
    }
    ck_assert_int_eq(at, PROMPTS * SAMPLES);
    close_trial(&t);
}
END_TEST

/* ---- the plain gradient --------------------------------------------------------- */

/* An answer's return less its group's mean, times the sum of its log-probabilities,
 * worked out from the batch; added into `grads`. */
static void plain_gradient(const trial *t, const il_batch *batch, float **grads)
{
    const il_world *w = t->world;
    const il_environment_api *api = il_instance_environment(w->environment);
    const il_tensor *actions = il_batch_find(batch, "action");
    const il_tensor *task = il_batch_find(batch, "task");
    int64_t b = actions->shape[0];
    int64_t length = actions->shape[1];
    float *seeds = calloc((size_t)(b * length), sizeof *seeds);
    double *returns = calloc((size_t)b, sizeof *returns);
    const float *start[64];
    il_scope scope = {"model", w->model->store, start, 0};
    uint8_t allowed[TOKENS];
    float closed[TOKENS];
    il_pass *pass = NULL;
    il_tensor *root;
    const float *given = seeds;
    il_word all = ~(il_word)0;
    il_error err = {0};

    ck_assert_int_eq(w->environment->shape.vocabulary, TOKENS);
    ck_assert_uint_le(w->model->store->count, 64);
    api->allowed(w->environment->self, allowed);
    for (int a = 0; a < TOKENS; a++) {
        closed[a] = allowed[a] ? 0.0f : -1e9f;
    }
    for (size_t p = 0; p < w->model->store->count; p++) {
        start[p] = t->start + w->model->store->items[p].offset;
    }
    for (int64_t i = 0; i < b * length; i++) {
        returns[i / length] += il_f32(task)[i];
    }
    for (int64_t i = 0; i < b * length; i++) {
        int64_t first = i / length / SAMPLES * SAMPLES;
        double mean = 0;

        for (int64_t k = first; k < first + SAMPLES; k++) {
            mean += returns[k] / SAMPLES;
        }
        seeds[i] = (float)((returns[i / length] - mean) / (double)b);
    }
    ok(il_pass_create(&pass, w->host.blas, w->model->store->count, &err), &err);
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    il_instance_model(w->model)->forward(w->model->self, pass, batch);
    il_pass_leave(pass);
    root = il_add(pass, il_pass_output(pass, "logits"),
                  il_constant(pass, IL_SHAPE(TOKENS), closed));
    root = il_cross_entropy(pass, root, actions); /* no action: no row */
    ok(il_pass_backward(pass, 1, &root, &given, &all, grads, &err), &err);
    il_pass_destroy(pass);
    free(seeds);
    free(returns);
}

START_TEST(the_reward_term_is_the_plain_gradient)
{
    static const char *const plain[] = {"stages.rl.train.lanes=1",
                                        "stages.rl.train.clip=[]",
                                        "stages.rl.train.optimizer={use: sgd, lr: 1.0}",
                                        "stages.rl.signals.lie.channel=monitor",
                                        "stages.rl.signals.kl.channel=monitor"};
    trial t;
    float *grads[64];
    float *block;
    double off = 0;
    double norm = 0;

    open_trial(&t, 1, plain, sizeof plain / sizeof plain[0]);
    block = il_store_block(store(&t));
    memset(block, 0, (size_t)store(&t)->total * sizeof *block);
    for (size_t p = 0; p < store(&t)->count; p++) {
        grads[p] = block + store(&t)->items[p].offset;
    }
    steps(&t, 1, false);
    plain_gradient(&t, t.trainer->micros[0].batch, grads);
    for (int64_t i = 0; i < store(&t)->total; i++) {
        double step = (double)t.start[i] - store(&t)->values[i];

        off += (step - block[i]) * (step - block[i]);
        norm += (double)block[i] * block[i];
    }
    ck_assert_double_gt(norm, 0.0);
    ck_assert_msg(sqrt(off) <= 2e-4 * sqrt(norm), "off by %g of %g", sqrt(off),
                  sqrt(norm));
    free(block);
    close_trial(&t);
}
END_TEST

START_TEST(a_group_divided_by_its_spread_has_spread_1)
{
    static const char *const sets[] = {
        "stages.rl.train.algorithm={use: group_relative, divide_by_std: true}"};
    const il_play *play;
    trial t;
    int spread = 0;

    open_trial(&t, 1, sets, 1);
    steps(&t, 1, false);
    play = &t.trainer->micros[0].play;
    ck_assert_ptr_nonnull(play->scale);
    for (int64_t e = 0; e < play->episodes; e += SAMPLES) {
        double squares = 0;

        for (int64_t k = e; k < e + SAMPLES; k++) {
            double a = play->total[play->first[k]] * play->scale[play->first[k]];

            squares += a * a / SAMPLES;
        }
        ck_assert(squares < 1.0 + 1e-9);
        spread += squares > 0.99;
    }
    ck_assert_int_gt(spread, 0);
    close_trial(&t);
}
END_TEST

START_TEST(groups_of_one_are_refused)
{
    static const char *const sets[] = {
        "stages.rl.train.rollouts={own: {policy: own, prompts: 5, samples: 1}}"};
    trial t;
    il_error err = {0};

    ck_assert_int_eq(try_trial(&t, 1, sets, 1, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "at least 2 `samples`"));
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("group_relative");
    TCase *tc = tcase_create("group_relative");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, neither_workers_nor_observers_change_a_bit);
    tcase_add_loop_test(tc, groups_stay_whole_however_lanes_are_cut, 0, 2);
    tcase_add_test(tc, the_reward_term_is_the_plain_gradient);
    tcase_add_test(tc, a_group_divided_by_its_spread_has_spread_1);
    tcase_add_test(tc, groups_of_one_are_refused);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
