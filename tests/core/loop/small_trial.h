/* Stages in training, kept open for looking at: variants of a small Liar over the real
 * data, by plain descent, and of a small Far Lever by three algorithms. The ledger is
 * kept as the test asks. */
#ifndef IL_TESTS_SMALL_TRIAL_H
#define IL_TESTS_SMALL_TRIAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/run.h"
#include "folder.h"
#include "keep_ledger.h"

enum { TRIAL_SETS = 24 };

/* A trained stage, kept open for looking at. */
typedef struct trial {
    il_session session;
    il_world *world;
    il_trainer *trainer;
    kept kept;
} trial;

static const char *const small[] = {
    "model.params.width=16",     "model.params.heads=2",
    "model.params.mlp=32",       "stages.loop.train.batch=8",
    "stages.loop.train.lanes=4", "stages.loop.train.optimizer={use: sgd, lr: 0.01}",
    "stages.loop.train.clip=[]",
};

static const char lever[] =
    "interloop: 1\n"
    "name: small\n"
    "model: {use: belief_desire, params: {hidden: 8, prediction_hidden: 8,\n"
    "  policy_hidden: 8, value_hidden: 8}}\n"
    "environment: {use: far_lever, params: {look_away: true, steps: 9}}\n"
    "detectors:\n"
    "  suffering: {use: linear_probe, site: belief.hook_state, tokens: all}\n"
    "firewall: open\n"
    "stages:\n"
    "  loop:\n"
    "    train:\n"
    "      updates: 8\n"
    "      rollouts: {own: {policy: own, episodes: 12}}\n"
    "      lanes: 3\n"
    "      algorithm: {use: a2c, gamma: 0.9, lambda: 0.8, reward_scale: 0.1,\n"
    "        normalize: batch, value_weight: 0.5}\n"
    "      optimizer: {use: sgd, lr: 0.01}\n"
    "    signals:\n"
    "      prediction: {source: prediction, channel: loss,\n"
    "        route: [belief, prediction]}\n"
    "      task: {source: {reward: task}, channel: reward, route: all}\n"
    "      compassion: {source: suffering, channel: reward, weight: 1.5, route: all}\n"
    "      entropy: {source: entropy, channel: loss, weight: 0.1, route: [desire]}\n"
    "    variants:\n"
    "      a2c: {}\n"
    "      ppo: {train.algorithm: {use: ppo, gamma: 0.9, lambda: 0.8,\n"
    "        reward_scale: 0.1, normalize: batch, epochs: 2, minibatches: 2}}\n"
    "      group: {train.rollouts.own: {policy: own, prompts: 3, samples: 4},\n"
    "        train.algorithm: {use: group_relative, reward_scale: 0.1}}\n";

static inline void ok(il_status status, const il_error *err)
{
    ck_assert_msg(status == IL_OK, "%s: %s", err->where, err->message);
}

/* A probe that reads something: weights drawn by key, since nothing was fitted. */
static inline void fill_probes(il_world *w)
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

static inline const il_job *job_of(const trial *t)
{
    return &t->session.jobs.items[0];
}

/* A variant of Liar, or of the small Far Lever where it has one of that name. `more`
 * ends with NULL. */
static inline void open_trial(trial *t, const char *variant, int workers, int64_t every,
                              const char *const *more)
{
    bool far = strcmp(variant, "a2c") == 0 || strcmp(variant, "ppo") == 0 ||
               strcmp(variant, "group") == 0;
    const char *sets[TRIAL_SETS];
    const char *stage = "loop";
    char plugins[4096];
    il_run_options o = {
        .path = "configs/liar/demo.yaml", .sets = sets, .workers = workers};
    uint64_t seed = 1;
    il_error err = {0};
    il_host host;
    size_t last;

    memset(t, 0, sizeof *t);
    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(plugins, sizeof plugins, "plugins.path=[%s/plugins]",
                   getenv("IL_BUILD"));
    sets[o.set_count++] = plugins;
    if (far) {
        o.path = in_folder("lever.yaml");
        put(o.path, lever);
    }
    for (size_t i = 0; !far && i < sizeof small / sizeof *small; i++) {
        sets[o.set_count++] = small[i];
    }
    for (; more != NULL && *more != NULL; more++) {
        sets[o.set_count++] = *more;
    }
    o.filter = (il_jobs_filter){.stages = &stage,
                                .stage_count = 1,
                                .variants = &variant,
                                .variant_count = 1,
                                .seeds = &seed,
                                .seed_count = 1};
    ok(il_session_open(&t->session, &o, &err), &err);
    host = il_session_host(&t->session);
    ok(il_world_create(&t->world, &host, job_of(t)->pipeline, 1, &t->session.problems,
                       &err),
       &err);
    ok(il_store_fill(t->world->model->store, 1, &err), &err);
    fill_probes(t->world);
    last = job_of(t)->chain_count - 1;
    ok(il_trainer_create(&t->trainer, t->world, job_of(t)->chain[last].spec,
                         (uint32_t)last, &t->session.problems, &err),
       &err);
    il_trainer_start(t->trainer);
    keep_ledger(&t->kept, t->trainer, job_of(t), every);
}

static inline void close_trial(trial *t)
{
    drop_ledger(&t->kept);
    il_trainer_destroy(t->trainer);
    il_world_destroy(t->world);
    il_session_close(&t->session);
}

static inline void step(trial *t)
{
    il_error err = {0};

    ok(il_trainer_step(t->trainer, false, &err), &err);
}

static inline const il_store *store(const trial *t)
{
    return t->world->model->store;
}

#endif
