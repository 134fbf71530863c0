/* What reinforcement promises, on a small Far Lever: exact routes, parts that add up to
 * the plain policy gradient, the same bits for any number of workers, with and without
 * observers, and from a checkpoint. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/run.h"
#include "loop/trainer.h"
#include "folder.h"
#include "keep_ledger.h"
#include <check.h>

enum { STEPS = 4, SETS = 16 };

static const char pipeline[] =
    "interloop: 1\n"
    "name: small\n"
    "model: {use: belief_desire, params: {hidden: 8, prediction_hidden: 8,\n"
    "  policy_hidden: 8, value_hidden: 8}}\n"
    "environment: {use: far_lever, params: {look_away: true, steps: 9}}\n"
    "references: {lag: {moving_average: 0.5}, start: {of: before}}\n"
    "detectors:\n"
    "  suffering: {use: linear_probe, site: belief.hook_state, tokens: all}\n"
    "  distant: {use: linear_probe, site: belief.hook_state, tokens: all,\n"
    "    on: start}\n"
    "firewall: open\n"
    "stages:\n"
    "  before:\n"
    "    train:\n"
    "      updates: 1\n"
    "      rollouts: {explore: {policy: exploratory, episodes: 4}}\n"
    "      optimizer: {use: adam, lr: 1e-3}\n"
    "    signals:\n"
    "      prediction: {source: prediction, channel: loss, route: all}\n"
    "  mode:\n"
    "    from: before\n"
    "    train:\n"
    "      updates: 8\n"
    "      rollouts: {own: {policy: own, episodes: 12}}\n"
    "      lanes: 3\n"
    "      algorithm: {use: a2c, gamma: 0.9, lambda: 0.8, reward_scale: 0.1,\n"
    "        normalize: batch, value_weight: 0.5}\n"
    "      optimizer: {use: adam, lr: {belief: 1e-3, prediction: 1e-3, desire: 2e-3}}\n"
    "      clip: [{groups: [belief, prediction], norm: 1.0},\n"
    "        {groups: [desire], norm: 1.0}]\n"
    "    signals:\n"
    "      prediction: {source: prediction, channel: loss,\n"
    "        route: [belief, prediction]}\n"
    "      task: {source: {reward: task}, channel: reward, route: [desire]}\n"
    "      compassion: {source: suffering, channel: reward, weight: 1.5,\n"
    "        route: [desire]}\n"
    "      entropy: {source: entropy, channel: loss, weight: {from: 0.1, to: 0.02},\n"
    "        route: [desire]}\n"
    "    variants:\n"
    "      brain: {}\n"
    "      trigger: {signals.compassion.trigger: {above: 0.5}}\n"
    "      replay: {train.rollouts.explore: {policy: exploratory, episodes: 5},\n"
    "        signals.prediction.on: [own, explore]}\n"
    "      naive: {signals.task.route: all, signals.compassion.route: all,\n"
    "        signals.entropy.route: all, signals.evade: {source: suffering,\n"
    "        channel: loss, weight: 1.5, scale: 0.1, tokens: all, route: [belief]}}\n"
    "      e2e: {signals.task.route: all, signals.compassion.route: all,\n"
    "        signals.entropy.route: all}\n"
    "      afar: {signals.compassion.source: distant, signals.compassion.route: all,\n"
    "        signals.evade: {source: distant, channel: loss, route: all}}\n"
    "      ppo: {train.algorithm: {use: ppo, gamma: 0.9, lambda: 0.8,\n"
    "        reward_scale: 0.1, normalize: batch, epochs: 3}}\n"
    "      parts: {train.algorithm: {use: ppo, gamma: 0.9, lambda: 0.8,\n"
    "        reward_scale: 0.1, normalize: batch, epochs: 2, minibatches: 4}}\n"
    "      kl: {signals.kl: {source: {kl: lag}, channel: loss, route: [desire]}}\n"
    "      latent: {train.sample: {site: belief.hook_state, mean: belief.hook_mean,\n"
    "        std: 0.1}, signals.credit: {source: suffering, channel: reward,\n"
    "        weight: 1.5, credit: sample, route: [belief]}}\n";

/* A stage in training, kept open for looking at. */
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

/* A probe that reads something: weights drawn by key, since nothing was fitted. */
static void fill_probes(il_world *w)
{
    for (size_t d = 0; d < w->detector_count; d++) {
        il_store *s = w->detectors[d]->instance->store;
        il_rng r;

        il_rng_open(&r, 7, 0, IL_RNG_PLUGIN, d, 0);
        for (int64_t i = 0; i < s->total; i++) {
            s->values[i] = 3.0f * il_rng_normal(&r);
        }
    }
}

static il_status try_trial(trial *t, const char *variant, int workers,
                           const char *const *more, size_t count, il_error *err)
{
    const char *sets[SETS];
    const char *stage = "mode";
    char plugins[4096];
    il_run_options o = {
        .path = in_folder("small.yaml"), .sets = sets, .workers = workers};
    uint64_t seed = 1;
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
    o.filter = (il_jobs_filter){.stages = &stage,
                                .stage_count = 1,
                                .variants = &variant,
                                .variant_count = 1,
                                .seeds = &seed,
                                .seed_count = 1};
    IL_TRY(il_session_open(&t->session, &o, err));
    ck_assert_uint_eq(t->session.jobs.count, 1);
    job = &t->session.jobs.items[0];
    host = il_session_host(&t->session);
    IL_TRY(
        il_world_create(&t->world, &host, job->pipeline, 1, &t->session.problems, err));
    IL_TRY(il_store_fill(t->world->model->store, 1, err));
    fill_probes(t->world);
    IL_TRY(il_trainer_create(&t->trainer, t->world,
                             job->chain[job->chain_count - 1].spec, 0,
                             &t->session.problems, err));
    il_trainer_start(t->trainer);
    /* The reference to another stage is the model as it is now. */
    il_reference_start(&t->world->references[1], t->world->model->store);
    t->start = il_store_block(t->world->model->store);
    memcpy(t->start, t->world->model->store->values,
           (size_t)t->world->model->store->total * sizeof *t->start);
    return IL_OK;
}

static void open_trial(trial *t, const char *variant, int workers,
                       const char *const *more, size_t count)
{
    il_error err = {0};

    ok(try_trial(t, variant, workers, more, count, &err), &err);
}

static void steps(trial *t, int n, bool watch)
{
    il_error err = {0};

    for (int i = 0; i < n; i++) {
        ok(il_trainer_step(t->trainer, watch, &err), &err);
    }
}

static void close_trial(trial *t)
{
    il_trainer_destroy(t->trainer);
    il_world_destroy(t->world);
    il_session_close(&t->session);
    free(t->start);
}

static const il_store *store(const trial *t)
{
    return t->world->model->store;
}

static bool same_tensor(const trial *t, size_t i, const float *a, const float *b)
{
    const il_stored *s = &store(t)->items[i];

    return memcmp(a + s->offset, b + s->offset, (size_t)s->count * sizeof(float)) == 0;
}

static bool in_group(const trial *t, size_t i, const char *group)
{
    return strcmp(store(t)->items[i].group, group) == 0;
}

static size_t moved(const trial *t, const char *group)
{
    size_t n = 0;

    for (size_t i = 0; i < store(t)->count; i++) {
        n += in_group(t, i, group) && !same_tensor(t, i, store(t)->values, t->start);
    }
    return n;
}

static void all_same(const trial *a, const trial *b)
{
    for (size_t i = 0; i < store(a)->count; i++) {
        ck_assert_msg(same_tensor(a, i, store(a)->values, store(b)->values),
                      "%s differs", store(a)->items[i].name);
        ck_assert(same_tensor(a, i, a->trainer->m, b->trainer->m));
        ck_assert(same_tensor(a, i, a->trainer->v, b->trainer->v));
    }
}

static size_t term_named(const trial *t, const char *name)
{
    const il_terms *terms = t->trainer->terms;
    size_t i = 0;

    while (i < terms->count && strcmp(terms->items[i].spec->name, name) != 0) {
        i++;
    }
    ck_assert_msg(i < terms->count, "no term %s", name);
    return i;
}

/* ---- the same bits -------------------------------------------------------------- */

static const char *const variants[] = {"afar", "brain", "trigger", "replay", "naive",
                                       "e2e",  "ppo",   "kl",      "latent", "parts"};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

START_TEST(two_workers_give_the_bits_of_one)
{
    trial one;
    trial two;

    open_trial(&one, variants[_i], 1, NULL, 0);
    open_trial(&two, variants[_i], 2, NULL, 0);
    steps(&one, STEPS, false);
    steps(&two, STEPS, false);
    all_same(&one, &two);
    ck_assert_uint_gt(moved(&one, "desire"), 0);
    close_trial(&one);
    close_trial(&two);
}
END_TEST

START_TEST(observing_changes_no_bit)
{
    static const char *const sets[] = {
        "stages.mode.signals.seen={source: suffering, channel: monitor}",
        "stages.mode.signals.truth={source: {label: suffering}, channel: monitor}"};
    trial plain;
    trial watched;
    il_tally notes;
    kept k;
    il_error err = {0};

    open_trial(&plain, variants[_i], 2, NULL, 0);
    open_trial(&watched, variants[_i], 1, sets, 2);
    keep_ledger(&k, watched.trainer, &watched.session.jobs.items[0], 2);
    steps(&plain, STEPS, false);
    for (int i = 0; i < STEPS; i++) {
        steps(&watched, 1, true);
        il_tally_open(&notes);
        ok(il_trainer_notes(watched.trainer, &notes, &err), &err);
        ck_assert(il_tally_value(&notes, "reading.suffering") > 0.0);
        ck_assert(!isnan(il_tally_value(&notes, "return.truth")));
        il_tally_close(&notes);
        ck_assert(il_ledger_sampled(k.ledger) == (i % 2 == 0));
    }
    all_same(&plain, &watched);
    drop_ledger(&k);
    close_trial(&plain);
    close_trial(&watched);
}
END_TEST

START_TEST(a_lane_cut_into_micro_batches_assesses_the_same_episodes)
{
    static const char *const sets[] = {"stages.mode.train.micro_batch=2"};
    trial t;
    il_tally notes;
    il_error err = {0};

    /* Other rows a product, so other low bits; and no tape is kept. */
    open_trial(&t, "brain", 2, sets, 1);
    ck_assert_uint_eq(t.trainer->micro_count, 6);
    ck_assert_ptr_null(t.trainer->micros[0].pass);
    steps(&t, 1, true);
    il_tally_open(&notes);
    ok(il_trainer_notes(t.trainer, &notes, &err), &err);
    ck_assert(il_tally_value(&notes, "own.task") >= 0.0);
    il_tally_close(&notes);
    close_trial(&t);
}
END_TEST

/* ---- routes --------------------------------------------------------------------- */

/* The prediction off, so that beliefs move by what rewards and entropy do alone. */
static const char *const no_prediction[] = {
    "stages.mode.signals.prediction.channel=monitor"};

START_TEST(rewards_routed_to_desire_leave_every_bit_of_belief)
{
    static const char *const sealed[] = {"brain", "trigger", "kl", "ppo"};
    trial t;

    open_trial(&t, sealed[_i], 2, no_prediction, 1);
    steps(&t, STEPS, false);
    ck_assert_uint_eq(moved(&t, "belief"), 0);
    ck_assert_uint_eq(moved(&t, "prediction"), 0);
    ck_assert_uint_gt(moved(&t, "desire"), 0);
    close_trial(&t);
}
END_TEST

START_TEST(rewards_routed_everywhere_move_belief)
{
    static const char *const open[] = {"naive", "e2e", "latent"};
    trial t;

    open_trial(&t, open[_i], 2, no_prediction, 1);
    steps(&t, STEPS, false);
    ck_assert_uint_eq(moved(&t, "belief"), 4);
    ck_assert_uint_eq(moved(&t, "prediction"), 0);
    close_trial(&t);
}
END_TEST

START_TEST(the_ledger_finds_no_pressure_of_rewards_on_what_the_probe_reads)
{
    /* All of them: they share the advantages' scale, a baseline and values. */
    static const char *const names[] = {"task", "compassion", "baseline", "value"};
    trial t;
    kept k;

    open_trial(&t, _i == 0 ? "brain" : "e2e", 1, NULL, 0);
    keep_ledger(&k, t.trainer, &t.session.jobs.items[0], 1);
    steps(&t, 1, false);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const il_ledger_entry *e = entry_of(&k, names[i]);
        double belief = 0;
        int r = il_ledger_reader_of(k.ledger, e);

        ck_assert_int_ge(r, 0);
        ck_assert_str_eq(k.ledger->readers[r].name, "suffering");
        ck_assert(e->own == (strcmp(names[i], "compassion") == 0));
        for (size_t p = 0; p < store(&t)->count; p++) {
            belief += in_group(&t, p, "belief") && il_bits_has(e->updates, p);
        }
        ck_assert_double_eq(belief, _i == 0 ? 0.0 : 4.0);
        ck_assert_double_gt(il_ledger_rest(k.ledger, e, (size_t)r).norm, 0.0);
        ck_assert((il_ledger_read(k.ledger, e, (size_t)r).norm > 0.0) == (_i != 0));
    }
    ck_assert_ptr_null(il_ledger_find(k.ledger, "prediction"));
    ck_assert_double_gt(il_ledger_all(k.ledger, entry_of(&k, IL_LEDGER_UNTAINTED)).norm,
                        0.0);
    drop_ledger(&k);
    close_trial(&t);
}
END_TEST

START_TEST(terms_say_what_they_are)
{
    trial t;
    const il_terms *terms;
    const il_term *term;

    open_trial(&t, "replay", 1, NULL, 0);
    terms = t.trainer->terms;
    ck_assert_uint_eq(terms->count, 6);
    term = &terms->items[term_named(&t, "compassion")];
    ck_assert_int_eq(term->kind, IL_TERM_REWARD);
    ck_assert_int_eq(term->channel, IL_CHANNEL_REWARD);
    ck_assert_int_eq(term->detector, 0);
    ck_assert_uint_eq(term->lots, 1);
    ck_assert(term->own && term->trains && !term->implicit);
    term = &terms->items[term_named(&t, "prediction")];
    ck_assert_uint_eq(term->lots, 3);
    term = &terms->items[term_named(&t, "baseline")];
    ck_assert_int_eq(term->kind, IL_TERM_BASELINE);
    ck_assert(term->implicit && term->own);
    ck_assert_uint_eq(terms->own, 1);
    /* The spread that all rewards share depends on what the probe reads. */
    term = &terms->items[term_named(&t, "task")];
    for (size_t p = 0; p < store(&t)->count; p++) {
        bool belief = in_group(&t, p, "belief");
        bool policy = strncmp(store(&t)->items[p].name, "policy", 6) == 0;

        ck_assert(il_bits_has(terms->acts_v, p) == (belief || policy));
        ck_assert(!belief || il_bits_has(term->weigh_v, p));
        ck_assert(!belief || !il_bits_has(term->updates[0], p));
    }
    close_trial(&t);
}
END_TEST

/* ---- the plain policy gradient -------------------------------------------------- */

/* Everything of one update worked out again: one lane, plain descent by 1, no clipping,
 * so that weights change by minus the gradient. */
static const char *const plain[] = {"stages.mode.train.lanes=1",
                                    "stages.mode.train.clip=[]",
                                    "stages.mode.train.optimizer={use: sgd, lr: 1.0}",
                                    "stages.mode.signals.prediction.channel=monitor",
                                    "stages.mode.signals.entropy.channel=monitor"};

/* The advantage by its definition, a double sum, from the reward of the signals
 * together. */
static double advantage_at(const double *r, const double *v, int64_t n, int64_t t)
{
    double sum = 0;

    for (int64_t k = t; k < n; k++) {
        double next = k + 1 < n ? v[k + 1] : 0.0;

        sum += pow(0.9 * 0.8, (double)(k - t)) * (r[k] + 0.9 * next - v[k]);
    }
    return sum;
}

/* A2C's gradient on a batch under the weights `values`, added into `grads`. */
static void plain_gradient(const trial *t, const il_batch *batch, float **grads)
{
    const il_world *w = t->world;
    const il_tensor *obs = il_batch_find(batch, "obs");
    const il_tensor *actions = il_batch_find(batch, "action");
    const il_tensor *task = il_batch_find(batch, "task");
    int64_t b = obs->shape[0];
    int64_t length = obs->shape[1];
    int64_t n = length - 1;
    double(*a)[9] = calloc((size_t)b, sizeof *a);
    double(*v)[9] = calloc((size_t)b, sizeof *v);
    float *policy = calloc((size_t)(b * length), sizeof *policy);
    float *value = calloc((size_t)(b * length), sizeof *value);
    float *target = calloc((size_t)(b * length), sizeof *target);
    const il_store *fitted = w->detectors[0]->instance->store;
    const float *probe = fitted->values + fitted->items[0].offset; /* (1,8) */
    float bias = fitted->values[fitted->items[1].offset];
    const float *start[64];
    il_scope scope = {"model", w->model->store, start, 0};
    il_pass *pass = NULL;
    il_tensor *state;
    il_tensor *roots[2];
    const float *seeds[2] = {policy, value};
    il_word all = ~(il_word)0;
    double mean = 0;
    double spread = 0;
    il_error err = {0};

    for (size_t p = 0; p < w->model->store->count; p++) {
        start[p] = t->start + w->model->store->items[p].offset;
    }
    ok(il_pass_create(&pass, w->host.blas, w->model->store->count, &err), &err);
    ok(il_pass_site_flag(pass, (int32_t)w->detectors[0]->sites[0], IL_SITE_READ, &err),
       &err);
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    il_instance_model(w->model)->forward(w->model->self, pass, batch);
    il_pass_leave(pass);
    state = il_pass_site(pass, (int32_t)w->detectors[0]->sites[0]);
    for (int64_t e = 0; e < b; e++) {
        double r[9];

        for (int64_t k = 0; k < n; k++) {
            double logit = bias;

            for (int j = 0; j < 8; j++) {
                logit += (double)probe[j] * il_f32(state)[(e * length + k + 1) * 8 + j];
            }
            r[k] = 0.1 * (il_f32(task)[e * length + k] - 1.5 / (1.0 + exp(-logit)));
            v[e][k] = il_f32(il_pass_output(pass, "value"))[e * length + k];
        }
        for (int64_t k = 0; k < n; k++) {
            a[e][k] = advantage_at(r, v[e], n, k);
            mean += a[e][k] / (double)(b * n);
        }
    }
    for (int64_t i = 0; i < b * n; i++) {
        double d = a[i / n][i % n] - mean;

        spread += d * d / (double)(b * n);
    }
    for (int64_t i = 0; i < b * n; i++) {
        int64_t at = i / n * length + i % n;

        policy[at] =
            (float)((a[i / n][i % n] - mean) / (sqrt(spread) + 1e-6) / (double)(b * n));
        value[at] = 0.5f / (float)(b * n);
        target[at] = (float)(a[i / n][i % n] + v[i / n][i % n]);
    }
    roots[0] = il_cross_entropy(pass, il_pass_output(pass, "policy"), actions);
    roots[1] = il_activate(
        pass,
        il_sub(pass,
               il_reshape(pass, il_pass_output(pass, "value"), IL_SHAPE(b, length)),
               il_constant(pass, IL_SHAPE(b, length), target)),
        IL_ACT_SQUARE);
    ok(il_pass_backward(pass, 2, roots, seeds, &all, grads, &err), &err);
    il_pass_destroy(pass);
    free(a);
    free(v);
    free(policy);
    free(value);
    free(target);
}

START_TEST(with_equal_routes_the_terms_are_the_plain_policy_gradient)
{
    trial t;
    float *grads[64];
    float *block;

    open_trial(&t, "e2e", 1, plain, sizeof plain / sizeof plain[0]);
    block = il_store_block(store(&t));
    memset(block, 0, (size_t)store(&t)->total * sizeof *block);
    for (size_t p = 0; p < store(&t)->count; p++) {
        grads[p] = block + store(&t)->items[p].offset;
    }
    steps(&t, 1, false);
    ck_assert_uint_eq(t.trainer->micro_count, 1);
    plain_gradient(&t, t.trainer->micros[0].batch, grads);
    for (size_t p = 0; p < store(&t)->count; p++) {
        const il_stored *s = &store(&t)->items[p];
        double off = 0;
        double norm = 0;

        for (int64_t i = s->offset; i < s->offset + s->count; i++) {
            double step = (double)t.start[i] - store(&t)->values[i];

            off += (step - block[i]) * (step - block[i]);
            norm += (double)block[i] * block[i];
        }
        ck_assert_msg((norm > 0) == !in_group(&t, p, "prediction"), "%s", s->name);
        ck_assert_msg(sqrt(off) <= 2e-4 * sqrt(norm) + 1e-7, "%s: off by %g of %g",
                      s->name, sqrt(off), sqrt(norm));
    }
    free(block);
    close_trial(&t);
}
END_TEST

START_TEST(ppo_takes_the_step_of_a2c_first_and_then_more)
{
    static const char *const once[] = {"stages.mode.train.algorithm.epochs=1"};
    trial a2c;
    trial first;
    trial more;

    open_trial(&a2c, "brain", 1, NULL, 0);
    open_trial(&first, "ppo", 1, once, 1);
    open_trial(&more, "ppo", 1, NULL, 0);
    steps(&a2c, 1, false);
    steps(&first, 1, false);
    steps(&more, 1, false);
    all_same(&a2c, &first);
    ck_assert_int_eq(il_trainer_taken(first.trainer), 1);
    ck_assert_int_eq(il_trainer_taken(more.trainer), 3);
    ck_assert(!same_tensor(&more, store(&more)->count - 1, store(&more)->values,
                           store(&a2c)->values));
    close_trial(&a2c);
    close_trial(&first);
    close_trial(&more);
}
END_TEST

START_TEST(every_lane_has_a_part_of_every_minibatch)
{
    trial t;
    int64_t episodes[3][4] = {{0}};

    open_trial(&t, "parts", 1, NULL, 0);
    ck_assert_int_eq(t.trainer->lane_count, 3);
    for (int lane = 0; lane < 3; lane++) {
        for (size_t m = t.trainer->lane_first[lane];
             m < t.trainer->lane_first[lane + 1]; m++) {
            const il_micro *micro = &t.trainer->micros[m];

            ck_assert(micro->part >= 0 && micro->part < 4);
            episodes[lane][micro->part] += micro->count;
        }
    }
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(episodes[i / 4][i % 4], 1);
    }
    close_trial(&t);
}
END_TEST

START_TEST(minibatches_take_their_turns_in_an_order_dealt_anew)
{
    trial t;
    int64_t seen[8][4];
    int different = 0;

    open_trial(&t, "parts", 1, NULL, 0);
    for (int i = 0; i < 8; i++) {
        int64_t sum = 0;

        steps(&t, 1, false);
        ck_assert_int_eq(il_trainer_taken(t.trainer), 8 * (i + 1));
        memcpy(seen[i], t.trainer->order, sizeof seen[i]);
        for (int k = 0; k < 4; k++) {
            sum += (int64_t)1 << 4 * seen[i][k];
        }
        ck_assert_int_eq(sum, 0x1111);
        different += memcmp(seen[i], seen[0], sizeof seen[i]) != 0;
    }
    ck_assert_int_gt(different, 0);
    close_trial(&t);
}
END_TEST

/* With steps so small that the weights hardly move between them, equal minibatches take
 * together as many times the whole batch's step as there are of them; and what is on
 * record is the whole batch's loss. */
START_TEST(minibatches_add_up_to_the_whole_batch)
{
    static const char *const small[] = {
        "stages.mode.train.clip=[]", "stages.mode.train.optimizer={use: sgd, lr: 1e-3}",
        "stages.mode.train.algorithm.epochs=1",
        "stages.mode.train.algorithm.minibatches=1"};
    trial whole;
    trial parts;

    open_trial(&whole, "parts", 1, small, 4);
    open_trial(&parts, "parts", 1, small, 3);
    steps(&whole, 1, false);
    steps(&parts, 1, false);
    ck_assert_uint_eq(whole.trainer->micro_count, 3);
    for (size_t p = 0; p < store(&whole)->count; p++) {
        const il_stored *s = &store(&whole)->items[p];
        double off = 0;
        double norm = 0;

        for (int64_t i = s->offset; i < s->offset + s->count; i++) {
            double once = (double)store(&whole)->values[i] - whole.start[i];
            double four = (double)store(&parts)->values[i] - parts.start[i];

            off += (four - 4 * once) * (four - 4 * once);
            norm += 16 * once * once;
        }
        ck_assert_msg(norm > 0 && sqrt(off) <= 2e-2 * sqrt(norm), "%s: off by %g of %g",
                      s->name, sqrt(off), sqrt(norm));
    }
    for (size_t i = 0; i < whole.trainer->terms->count; i++) {
        double value = whole.trainer->values[i];

        ck_assert_double_eq_tol(parts.trainer->values[i], value,
                                1e-2 * fabs(value) + 1e-3);
    }
    close_trial(&whole);
    close_trial(&parts);
}
END_TEST

/* ---- rewards -------------------------------------------------------------------- */

START_TEST(returns_on_record_are_those_of_the_episodes)
{
    trial t;
    il_tally notes;
    il_error err = {0};
    double task = 0;
    double episodes = 0;

    open_trial(&t, "brain", 1, NULL, 0);
    steps(&t, 1, true);
    il_tally_open(&notes);
    ok(il_trainer_notes(t.trainer, &notes, &err), &err);
    for (size_t m = 0; m < t.trainer->micro_count; m++) {
        const il_tensor *r = il_batch_find(t.trainer->micros[m].batch, "task");

        for (int64_t i = 0; i < il_count(r); i++) {
            task += il_f32(r)[i];
        }
        episodes += (double)r->shape[0];
    }
    ck_assert_double_eq(episodes, 12.0);
    ck_assert_double_eq_tol(il_tally_value(&notes, "return.task"), task / episodes,
                            1e-9);
    ck_assert_double_eq_tol(il_tally_value(&notes, "own.task"), task / episodes, 1e-6);
    ck_assert_double_gt(il_tally_value(&notes, "entropy"), 1.0);
    il_tally_close(&notes);
    close_trial(&t);
}
END_TEST

START_TEST(an_average_starts_at_the_model_and_follows_it)
{
    trial t;
    size_t kl;

    open_trial(&t, "kl", 1, NULL, 0);
    kl = term_named(&t, "kl");
    steps(&t, 1, true);
    ck_assert_double_eq(t.trainer->values[kl], 0.0);
    for (int64_t i = 0; i < store(&t)->total; i++) {
        ck_assert(t.world->references[0].block[i] ==
                  0.5f * t.start[i] + 0.5f * store(&t)->values[i]);
    }
    steps(&t, 1, true);
    ck_assert_double_gt(t.trainer->values[kl], 0.0);
    close_trial(&t);
}
END_TEST

/* Mean probability of a probe on the last update's episodes, read under the weights of
 * the start. */
static double reading_of_the_start(const trial *t, size_t d)
{
    const il_world *w = t->world;
    const il_store *fitted = w->detectors[d]->instance->store;
    const float *probe = fitted->values + fitted->items[0].offset; /* (1,8) */
    float bias = fitted->values[fitted->items[1].offset];
    const float *start[64];
    il_scope scope = {"model", w->model->store, start, -1};
    il_pass *pass = NULL;
    double sum = 0;
    double rows = 0;
    il_error err = {0};

    for (size_t p = 0; p < w->model->store->count; p++) {
        start[p] = t->start + w->model->store->items[p].offset;
    }
    ok(il_pass_create(&pass, w->host.blas, w->model->store->count, &err), &err);
    ok(il_pass_site_flag(pass, (int32_t)w->detectors[d]->sites[0], IL_SITE_READ, &err),
       &err);
    for (size_t m = 0; m < t->trainer->micro_count; m++) {
        const il_tensor *state;

        il_pass_begin(pass);
        il_pass_enter(pass, &scope);
        il_instance_model(w->model)->forward(w->model->self, pass,
                                             t->trainer->micros[m].batch);
        il_pass_leave(pass);
        state = il_pass_site(pass, (int32_t)w->detectors[d]->sites[0]);
        for (int64_t i = 0; i < il_rows(state); i++) {
            double logit = bias;

            for (int j = 0; j < 8; j++) {
                logit += (double)probe[j] * il_f32(state)[i * 8 + j];
            }
            sum += 1.0 / (1.0 + exp(-logit));
            rows += 1.0;
        }
    }
    il_pass_destroy(pass);
    return sum / rows;
}

START_TEST(a_detector_on_a_reference_reads_that_and_presses_by_reward_alone)
{
    trial t;
    il_tally notes;
    il_error err = {0};
    const il_term *term;

    open_trial(&t, "afar", 2, NULL, 0);
    term = &t.trainer->terms->items[term_named(&t, "evade")];
    ck_assert(!il_bits_any(term->g[0], t.trainer->terms->words));
    ck_assert(!term->runs[0]);
    ck_assert(t.trainer->terms->items[term_named(&t, "compassion")].runs[0]);
    steps(&t, 3, true);
    il_tally_open(&notes);
    ok(il_trainer_notes(t.trainer, &notes, &err), &err);
    ck_assert_uint_eq(moved(&t, "belief"), 4);
    ck_assert_double_eq_tol(il_tally_value(&notes, "reading.distant"),
                            reading_of_the_start(&t, 1), 1e-6);
    il_tally_close(&notes);
    close_trial(&t);
}
END_TEST

START_TEST(what_cannot_be_rewarded_is_refused_at_its_place)
{
    static const struct {
        const char *set;
        const char *says;
    } wrong[] = {
        {"stages.mode.signals.task.source={reward: taks}", "has no field 'taks'"},
        {"stages.mode.signals.task.source={label: task}", "is a reward, expected a "
                                                          "label"},
        {"stages.mode.signals.task.on=[explore]", "the policy that acted"},
        {"stages.mode.signals.value={source: entropy, channel: monitor}",
         "the algorithm's own term"},
        {"stages.mode.signals.compassion.tokens=moves", "can only repeat"},
    };
    trial t;
    il_error err = {0};
    il_text said = {0};

    ck_assert_int_eq(try_trial(&t, "replay", 1, &wrong[_i].set, 1, &err), IL_ERR_INPUT);
    il_problems_write(&t.session.problems, &said);
    ck_assert_msg(said.data != NULL && strstr(said.data, wrong[_i].says) != NULL,
                  "%s: %s", wrong[_i].set, said.data != NULL ? said.data : err.message);
    il_text_free(&said);
    close_trial(&t);
}
END_TEST

START_TEST(groups_without_a_rate_and_groups_that_are_not_are_refused)
{
    static const char *const sets[] = {
        "stages.mode.train.optimizer={use: adam, lr: {belief: 1e-3, desire: 1e-3}}",
        "stages.mode.train.optimizer={use: adam, lr: {belieff: 1e-3}}",
        "stages.mode.train.clip=[{groups: [desires], norm: 1.0}]"};
    static const char *const says[] = {"'prediction' has no learning rate",
                                       "no parameter group 'belieff'",
                                       "no parameter group 'desires'"};
    trial t;
    il_error err = {0};

    ck_assert_int_eq(try_trial(&t, "brain", 1, &sets[_i], 1, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, says[_i]) != NULL, "%s", err.message);
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reinforce");
    TCase *tc = tcase_create("reinforce");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, two_workers_give_the_bits_of_one, 0, VARIANTS);
    tcase_add_loop_test(tc, observing_changes_no_bit, 0, VARIANTS);
    tcase_add_test(tc, a_lane_cut_into_micro_batches_assesses_the_same_episodes);
    tcase_add_loop_test(tc, rewards_routed_to_desire_leave_every_bit_of_belief, 0, 4);
    tcase_add_loop_test(tc, rewards_routed_everywhere_move_belief, 0, 3);
    tcase_add_loop_test(
        tc, the_ledger_finds_no_pressure_of_rewards_on_what_the_probe_reads, 0, 2);
    tcase_add_test(tc, terms_say_what_they_are);
    tcase_add_test(tc, with_equal_routes_the_terms_are_the_plain_policy_gradient);
    tcase_add_test(tc, ppo_takes_the_step_of_a2c_first_and_then_more);
    tcase_add_test(tc, every_lane_has_a_part_of_every_minibatch);
    tcase_add_test(tc, minibatches_take_their_turns_in_an_order_dealt_anew);
    tcase_add_test(tc, minibatches_add_up_to_the_whole_batch);
    tcase_add_test(tc, returns_on_record_are_those_of_the_episodes);
    tcase_add_test(tc,
                   a_detector_on_a_reference_reads_that_and_presses_by_reward_alone);
    tcase_add_test(tc, an_average_starts_at_the_model_and_follows_it);
    tcase_add_loop_test(tc, what_cannot_be_rewarded_is_refused_at_its_place, 0, 5);
    tcase_add_loop_test(tc, groups_without_a_rate_and_groups_that_are_not_are_refused,
                        0, 3);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
