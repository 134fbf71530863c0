/* What tests of training share: one stage of a pipeline of the repository, opened with
 * weights and detectors drawn by key, and kept open for looking at. */
#ifndef IL_TESTS_LOOP_TRIAL_H
#define IL_TESTS_LOOP_TRIAL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/certify.h"
#include "loop/run.h"
/* After the project's headers: it has a macro named `fail`. */
#include <check.h>

enum { TRIAL_SETS = 24 };

typedef struct trial {
    il_session session;
    il_world *world;
    il_trainer *trainer;
    il_pressed pressed;
    float *start; /* weights before */
} trial;

/* Which stage, under which variant, of which file, and with what set. */
typedef struct trial_of {
    const char *path;
    const char *stage;
    const char *variant;
    int workers;
    const char *sets[TRIAL_SETS - 1];
    size_t set_count;
} trial_of;

IL_UNUSED static void ok(il_status status, const il_error *err)
{
    ck_assert_msg(status == IL_OK, "%s: %s", err->where, err->message);
}

/* A probe that reads something: weights drawn by key, since nothing was fitted. */
IL_UNUSED static void fill_probes(il_world *w)
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

IL_UNUSED static void trial_open(trial *t, const trial_of *of)
{
    const char *sets[TRIAL_SETS];
    const char *plugins = getenv("IL_BUILD");
    char folder[4096];
    il_run_options o = {.path = of->path, .sets = sets, .workers = of->workers};
    uint64_t seed = 1;
    il_error err = {0};
    il_host host;
    const il_job *job;
    size_t last;

    memset(t, 0, sizeof *t);
    ck_assert_ptr_nonnull(plugins);
    (void)snprintf(folder, sizeof folder, "plugins.path=[%s/plugins]", plugins);
    sets[o.set_count++] = folder;
    for (size_t i = 0; i < of->set_count; i++) {
        sets[o.set_count++] = of->sets[i];
    }
    o.filter = (il_jobs_filter){.stages = &of->stage,
                                .stage_count = 1,
                                .variants = &of->variant,
                                .variant_count = 1,
                                .seeds = &seed,
                                .seed_count = 1};
    ok(il_session_open(&t->session, &o, &err), &err);
    ck_assert_uint_eq(t->session.jobs.count, 1);
    job = &t->session.jobs.items[0];
    last = job->chain_count - 1;
    host = il_session_host(&t->session);
    ok(il_world_create(&t->world, &host, job->pipeline, 1, &t->session.problems, &err),
       &err);
    ok(il_store_fill(t->world->model->store, 1, &err), &err);
    fill_probes(t->world);
    ok(il_trainer_create(&t->trainer, t->world, job->chain[last].spec, (uint32_t)last,
                         &t->session.problems, &err),
       &err);
    ok(il_pressed_create(&t->pressed, t->world, &err), &err);
    il_trainer_start(t->trainer);
    t->start = il_store_block(t->world->model->store);
    memcpy(t->start, t->world->model->store->values,
           (size_t)t->world->model->store->total * sizeof *t->start);
}

IL_UNUSED static void steps(trial *t, int n, bool watch)
{
    il_error err = {0};

    for (int i = 0; i < n; i++) {
        ok(il_trainer_step(t->trainer, watch, &err), &err);
    }
}

IL_UNUSED static void close_trial(trial *t)
{
    il_trainer_destroy(t->trainer);
    il_pressed_free(&t->pressed);
    il_world_destroy(t->world);
    il_session_close(&t->session);
    free(t->start);
}

IL_UNUSED static bool same_tensor(const trial *t, size_t i, const float *a,
                                  const float *b)
{
    const il_stored *s = &t->world->model->store->items[i];

    return memcmp(a + s->offset, b + s->offset, (size_t)s->count * sizeof(float)) == 0;
}

IL_UNUSED static const float *weights(const trial *t)
{
    return t->world->model->store->values;
}

IL_UNUSED static size_t count_of(const trial *t)
{
    return t->world->model->store->count;
}

#endif
