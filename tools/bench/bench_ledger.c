/* Times what frozen detectors and the ledger add to the training steps of Liar.
 *
 *   bench_ledger PIPELINE ROUNDS FOLDER      (the folder holds plugins)
 *
 * Two arms, each against itself without: `leaky`, whose probe is a gate, against a gate
 * that is a constant; and `naive`, whose probe is a loss, against none. An arm is run
 * as a stage runs it: its monitors at every tenth step, its ledger at the interval that
 * it gets by default. One step of the one and one of the other take turns, over as many
 * steps as lie between two samples of the ledger; of all rounds the fastest of each
 * step counts, so that a busy neighbour spoils as little as it can. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "loop/ledger.h"
#include "loop/run.h"

enum { WATCH_EVERY = 10, ARMS = 2, SETS = 4, MOST = 1000 };

/* A stage ready to train. */
typedef struct side {
    il_session session;
    il_world *world;
    il_trainer *trainer;
    il_pressed pressed;
    il_plan *plan;
    il_ledger *ledger; /* NULL: none is kept */
    il_stage_spec stage;
    bool watches;
    double best[MOST]; /* by step of a round */
} side;

static const struct {
    const char *name;
    const char *variant;
    bool monitors;             /* without, too */
    const char *without[SETS]; /* ends with NULL */
} arms[ARMS] = {
    {"leaky",
     "leaky",
     false,
     {"stages.loop.signals.honesty.gate={constant: 0.5}",
      "stages.loop.signals.honesty.route=[blocks.3, unembed]", NULL}},
    {"naive", "naive", true, {NULL}},
};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A probe that reads something; what it says does not matter to the clock. */
static void fill_probes(il_world *w)
{
    for (size_t d = 0; d < w->detector_count; d++) {
        il_store *s = w->detectors[d]->instance->store;
        il_rng r;

        il_rng_open(&r, 7, 0, IL_RNG_PLUGIN, d, 0);
        for (int64_t i = 0; i < s->total; i++) {
            s->values[i] = 0.1f * il_rng_normal(&r);
        }
    }
}

/* Makes one side of an arm: as it is, or without. */
static il_status make(side *s, const char *path, const char *folder,
                      const char *variant, const char *const *sets, bool whole,
                      il_error *err)
{
    const char *all[SETS + 2];
    const char *stage = "loop";
    char plugins[4096];
    uint64_t seed = 1;
    il_run_options o = {.path = path, .sets = all, .workers = 1};
    const il_job *job;
    il_host host;

    (void)snprintf(plugins, sizeof plugins, "plugins.path=[%s]", folder);
    all[o.set_count++] = plugins;
    for (; *sets != NULL; sets++) {
        all[o.set_count++] = *sets;
    }
    o.filter = (il_jobs_filter){.stages = &stage,
                                .stage_count = 1,
                                .variants = &variant,
                                .variant_count = 1,
                                .seeds = &seed,
                                .seed_count = 1};
    IL_TRY(il_session_open(&s->session, &o, err));
    job = &s->session.jobs.items[0];
    host = il_session_host(&s->session);
    IL_TRY(
        il_world_create(&s->world, &host, job->pipeline, 1, &s->session.problems, err));
    IL_TRY(il_store_fill(s->world->model->store, 1, err));
    fill_probes(s->world);
    s->stage = *job->chain[job->chain_count - 1].spec;
    s->stage.ledger_every = whole ? -1 : 0;
    s->watches = whole;
    IL_TRY(il_trainer_create(&s->trainer, s->world, &s->stage,
                             (uint32_t)job->chain_count - 1, &s->session.problems,
                             err));
    IL_TRY(il_pressed_create(&s->pressed, s->world, err));
    IL_TRY(il_plan_make(&s->plan, s->trainer, &s->pressed, job->chain, job->chain_count,
                        err));
    IL_TRY(il_ledger_open(&s->ledger, s->trainer, s->plan, err));
    il_trainer_start(s->trainer);
    for (int i = 0; i < MOST; i++) {
        s->best[i] = 1e9;
    }
    return IL_OK;
}

static void unmake(side *s)
{
    il_ledger_close(s->ledger);
    il_plan_destroy(s->plan);
    il_pressed_free(&s->pressed);
    il_trainer_destroy(s->trainer);
    il_world_destroy(s->world);
    il_session_close(&s->session);
}

static il_status time_step(side *s, int at, il_error *err)
{
    double start = now();
    double took;

    IL_TRY(il_trainer_step(s->trainer, s->watches && (at + 1) % WATCH_EVERY == 0, err));
    took = now() - start;
    s->best[at] = took < s->best[at] ? took : s->best[at];
    return IL_OK;
}

static double sum_of(const side *s, int steps)
{
    double sum = 0;

    for (int i = 0; i < steps; i++) {
        sum += s->best[i];
    }
    return sum;
}

static il_status measure(const char *name, side *with, side *without, int rounds,
                         il_error *err)
{
    int steps = (int)with->ledger->every;
    double sampled;
    double plain;

    /* One before the first sample finds the memory of its own. */
    IL_TRY(il_trainer_step(without->trainer, false, err));
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < steps; i++) {
            /* Who goes first takes turns, too. */
            IL_TRY(time_step((round + i) % 2 == 0 ? without : with, i, err));
            IL_TRY(time_step((round + i) % 2 == 0 ? with : without, i, err));
        }
    }
    plain = sum_of(without, steps) / steps;
    sampled = sum_of(with, steps) / steps;
    printf(
        "  %-8s %8.2f ms a step, %.2f ms without: %.3f times; a sampled step %.2f ms, "
        "one in %d\n",
        name, sampled * 1e3, plain * 1e3, sampled / plain, with->best[0] * 1e3, steps);
    return IL_OK;
}

int main(int argc, char **argv)
{
    int rounds = argc > 3 ? atoi(argv[2]) : 0;
    side *sides = calloc(2, sizeof *sides);
    il_status status = IL_OK;
    il_error err = {0};

    if (rounds < 1 || sides == NULL) {
        fprintf(stderr, "usage: bench_ledger PIPELINE ROUNDS FOLDER\n");
        free(sides);
        return 2;
    }
    printf("frozen detectors and the ledger on Liar's steps, one worker\n");
    for (int a = 0; a < ARMS && status == IL_OK; a++) {
        static const char *const none[] = {NULL};

        memset(sides, 0, 2 * sizeof *sides);
        status = make(&sides[0], argv[1], argv[3], arms[a].name, none, true, &err);
        if (status == IL_OK) {
            status = make(&sides[1], argv[1], argv[3], arms[a].variant, arms[a].without,
                          false, &err);
            sides[1].watches = arms[a].monitors;
        }
        if (status == IL_OK) {
            status = measure(arms[a].name, &sides[0], &sides[1], rounds, &err);
        }
        unmake(&sides[0]);
        unmake(&sides[1]);
    }
    if (status != IL_OK) {
        fprintf(stderr, "bench_ledger: %s: %s\n", err.where, err.message);
    }
    free(sides);
    return status == IL_OK ? 0 : 1;
}
