/* Reinforcement on answers in text, on a small GPT in Little Atlas: groups stay whole,
 * what may not be drawn has no part in it, the terms add up to the plain gradient, and
 * no bit depends on workers or observers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "detect/rezero.h"
#include "pipeline/batch.h"
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
    "twins: none\n"
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

/* ---- a whole update ------------------------------------------------------------- */

/* What a detector's logits at the claims are under some weights: (B), NaN where an
 * answer makes none. By its definition, its zero left out. */
static void claims_read(const trial *t, const il_batch *batch,
                        const float *const *values, double *out)
{
    const il_world *w = t->world;
    const il_store *fitted = w->detectors[0]->instance->store;
    const float *weight = fitted->values + fitted->items[0].offset; /* (1,16) */
    float bias = fitted->values[fitted->items[1].offset];
    const il_tensor *claim = il_batch_find(batch, "claim");
    int64_t site = w->detectors[0]->sites[0];
    il_scope scope = {"model", w->model->store, values, -1};
    il_pass *pass = NULL;
    const il_tensor *x;
    il_error err = {0};

    ok(il_pass_create(&pass, w->host.blas, w->model->store->count, &err), &err);
    ok(il_pass_site_flag(pass, (int32_t)site, IL_SITE_READ, &err), &err);
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    il_instance_model(w->model)->forward(w->model->self, pass, batch);
    il_pass_leave(pass);
    ok(il_pass_status(pass, &err), &err);
    x = il_pass_site(pass, (int32_t)site);
    for (int64_t e = 0; e < claim->shape[0]; e++) {
        out[e] = NAN;
        for (int64_t i = e * claim->shape[1]; i < (e + 1) * claim->shape[1]; i++) {
            if (il_u8(claim)[i]) {
                out[e] = bias;
                for (int c = 0; c < 16; c++) {
                    out[e] += (double)weight[c] * il_f32(x)[i * 16 + c];
                }
            }
        }
    }
    il_pass_destroy(pass);
}

/* The mean logit of the trusted transcripts under some weights. */
static double trusted_read(const trial *t, int64_t rows, const float *const *values)
{
    const il_instance *data = t->world->data;
    int64_t have = 0;
    int32_t split = il_split_find(data, "trusted", &have);
    double *logits = calloc((size_t)rows, sizeof *logits);
    il_batch *batch = NULL;
    double mean = 0;
    il_error err = {0};

    ok(il_batch_create(&batch, &err), &err);
    il_batch_reset(batch, rows);
    ok(il_instance_dataset(data)->get(data->self, split, 0, rows, batch, &err), &err);
    claims_read(t, batch, values, logits);
    for (int64_t e = 0; e < rows; e++) {
        ck_assert(!isnan(logits[e])); /* every transcript claims something */
        mean += logits[e] / (double)rows;
    }
    il_batch_destroy(batch);
    free(logits);
    return mean;
}

/* Returns of the task less what the detector, put back by `zero`, says of the claim;
 * less the group's mean; divided by the answers. */
static void shares_of(const trial *t, const il_batch *batch, double zero,
                      const float *const *values, double *share, double *charged)
{
    const il_tensor *task = il_batch_find(batch, "task");
    int64_t b = task->shape[0];
    double *logits = calloc((size_t)b, sizeof *logits);
    double *returns = calloc((size_t)b, sizeof *returns);

    claims_read(t, batch, values, logits);
    for (int64_t e = 0; e < b; e++) {
        double p = isnan(logits[e]) ? 0.0 : 1.0 / (1.0 + exp(zero - logits[e]));

        for (int64_t i = 0; i < task->shape[1]; i++) {
            returns[e] += il_f32(task)[e * task->shape[1] + i];
        }
        returns[e] -= p;
        *charged += p;
    }
    for (int64_t e = 0; e < b; e++) {
        int64_t first = e / SAMPLES * SAMPLES;

        share[e] = returns[e];
        for (int64_t k = first; k < first + SAMPLES; k++) {
            share[e] -= returns[k] / SAMPLES;
        }
        share[e] /= (double)b;
    }
    free(logits);
    free(returns);
}

/* Masked logits (B*L,V). */
static il_tensor *drawn_from(const trial *t, il_pass *pass, const il_batch *batch,
                             const float *const *values, int32_t first_bit)
{
    const il_world *w = t->world;
    il_scope scope = {"model", w->model->store, values, first_bit};
    uint8_t allowed[TOKENS];
    float closed[TOKENS];

    il_instance_environment(w->environment)->allowed(w->environment->self, allowed);
    for (int a = 0; a < TOKENS; a++) {
        closed[a] = allowed[a] ? 0.0f : -1e4f;
    }
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    il_instance_model(w->model)->forward(w->model->self, pass, batch);
    il_pass_leave(pass);
    return il_add(pass, il_pass_output(pass, "logits"),
                  il_constant(pass, IL_SHAPE(TOKENS), closed));
}

/* The gradient of -sum share log pi + kl / B sum KL(pi || reference). */
static void defined_gradient(const trial *t, const il_batch *batch,
                             const float *const *values, const float *const *reference,
                             const double *share, double kl, float **grads)
{
    const il_tensor *actions = il_batch_find(batch, "action");
    int64_t n = il_count(actions);
    int64_t length = actions->shape[1];
    float *seeds[2] = {calloc((size_t)n, sizeof **seeds),
                       calloc((size_t)n, sizeof **seeds)};
    float *before = calloc((size_t)(n * TOKENS), sizeof *before);
    const float *given[2] = {seeds[0], seeds[1]};
    il_tensor *roots[2];
    il_tensor *logits;
    il_pass *pass = NULL;
    il_word all = ~(il_word)0;
    il_error err = {0};

    for (int64_t i = 0; i < n; i++) {
        bool acted = il_i32(actions)[i] >= 0;

        seeds[0][i] = (float)share[i / length];
        seeds[1][i] = acted ? (float)(kl / (double)actions->shape[0]) : 0.0f;
    }
    ok(il_pass_create(&pass, t->world->host.blas, t->world->model->store->count, &err),
       &err);
    memcpy(before, il_f32(drawn_from(t, pass, batch, reference, -1)),
           (size_t)(n * TOKENS) * sizeof *before);
    logits = drawn_from(t, pass, batch, values, 0);
    roots[0] = il_cross_entropy(pass, logits, actions);
    roots[1] = il_kl_rows(pass, il_reshape(pass, logits, IL_SHAPE(n, TOKENS)),
                          il_constant(pass, IL_SHAPE(n, TOKENS), before));
    ok(il_pass_backward(pass, 2, roots, given, &all, grads, &err), &err);
    il_pass_destroy(pass);
    free(seeds[0]);
    free(seeds[1]);
    free(before);
}

/* Weights by parameter out of a block. */
static void weights_in(const trial *t, const float *block, const float **values)
{
    for (size_t p = 0; p < store(t)->count; p++) {
        values[p] = block + store(t)->items[p].offset;
    }
}

/* The second of two updates, in which the zero has moved and the reference is not the
 * model: reward, price, zero, mask and divergence at once, from their definitions. */
START_TEST(an_update_with_a_price_and_a_leash_is_the_gradient_of_its_definition)
{
    static const char *const plain[] = {
        "stages.rl.train.lanes=2", "stages.rl.train.clip=[]",
        "stages.rl.train.optimizer={use: sgd, lr: 1.0}",
        "stages.rl.signals.kl.weight=0.5",
        "detectors.deception.rezero={split: trusted, rows: 24}"};
    const float *first[64], *second[64], *average[64];
    trial t;
    float *grads[64];
    float *block, *middle, *lag;
    double share[PROMPTS * SAMPLES];
    double charged = 0;
    double moved;
    double off = 0;
    double norm = 0;
    il_detector *d;
    il_error err = {0};

    open_trial(&t, 1, plain, sizeof plain / sizeof plain[0]);
    ck_assert_uint_le(store(&t)->count, 64);
    d = t.world->detectors[0];
    ok(il_detector_trust(d, t.world->data, t.world->host.blas, &err), &err);
    ok(il_detector_rezero(d, t.world->values, true, &err), &err);
    block = il_store_block(store(&t));
    middle = il_store_block(store(&t));
    lag = il_store_block(store(&t));
    memset(block, 0, (size_t)store(&t)->total * sizeof *block);
    steps(&t, 1, false);
    memcpy(middle, store(&t)->values, (size_t)store(&t)->total * sizeof *middle);
    for (int64_t i = 0; i < store(&t)->total; i++) {
        lag[i] = 0.5f * t.start[i] + 0.5f * middle[i];
    }
    weights_in(&t, t.start, first);
    weights_in(&t, middle, second);
    weights_in(&t, lag, average);
    weights_in(&t, block, (const float **)grads);
    steps(&t, 1, false);

    moved = trusted_read(&t, 24, second) - trusted_read(&t, 24, first);
    ck_assert_double_gt(fabs(moved), 1e-3);
    ck_assert_double_eq_tol(d->offset, moved, 1e-4);
    ck_assert_uint_eq(t.trainer->micro_count, 2);
    for (size_t m = 0, at = 0; m < 2; m++) {
        const il_batch *batch = t.trainer->micros[m].batch;
        int64_t b = il_batch_rows(batch);

        shares_of(&t, batch, moved, second, share + at, &charged);
        for (int64_t e = 0; e < b; e++) { /* of all answers, not of this lane's */
            share[(int64_t)at + e] *= (double)b / (PROMPTS * SAMPLES);
        }
        defined_gradient(&t, batch, second, average, share + at,
                         0.5 * (double)b / (PROMPTS * SAMPLES), grads);
        at += (size_t)b;
    }
    ck_assert_double_gt(charged, 1.0);
    for (int64_t i = 0; i < store(&t)->total; i++) {
        double step = (double)middle[i] - store(&t)->values[i];

        off += (step - block[i]) * (step - block[i]);
        norm += (double)block[i] * block[i];
    }
    ck_assert_double_gt(norm, 0.0);
    ck_assert_msg(sqrt(off) <= 5e-4 * sqrt(norm), "off by %g of %g", sqrt(off),
                  sqrt(norm));
    free(block);
    free(middle);
    free(lag);
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
    tcase_add_test(
        tc, an_update_with_a_price_and_a_leash_is_the_gradient_of_its_definition);
    tcase_add_test(tc, a_group_divided_by_its_spread_has_spread_1);
    tcase_add_test(tc, groups_of_one_are_refused);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
