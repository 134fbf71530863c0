/* Times what frozen detectors and the ledger add to training steps.
 *
 *   bench_ledger ROOT ROUNDS FOLDER      (the folder holds plugins)
 *
 * Liar's `leaky`, whose probe is a gate, against one with a constant gate and no
 * monitor; its `naive`, whose probe is a loss, and Far Lever's updates, whose probe is
 * a reward, against themselves without the ledger, since what a differentiated loss or
 * a reward costs is the training's own. An arm is run as a stage runs it: its monitors
 * at every tenth step, its ledger at the interval that it gets by default. Timed are
 * the three kinds of step, plain, with monitors and sampled, and they count as often as
 * a stage has them. One step of the one and one of the other take turns; of all rounds
 * the fastest of each kind counts, so that a busy neighbour spoils as little as it can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "loop/ledger.h"
#include "loop/run.h"

enum { WATCH_EVERY = 10, ARMS = 3, SETS = 4, ROUND = 10, SAMPLED = 5 };

enum { PLAIN, WATCHED, TAKEN, KINDS }; /* of steps */

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
    double best[KINDS];
} side;

static const struct {
    const char *name;
    const char *path; /* below ROOT */
    const char *stage;
    const char *variant; /* NULL: the stage has none */
    bool monitors;       /* without, too: but for the ledger both sides do the same */
    const char *without[SETS]; /* ends with NULL */
} arms[ARMS] = {
    {"Liar, leaky",
     "configs/liar/demo.yaml",
     "loop",
     "leaky",
     false,
     {"stages.loop.signals.honesty.gate={constant: 0.5}",
      "stages.loop.signals.honesty.route=[blocks.3, unembed]", NULL}},
    {"Liar, naive", "configs/liar/demo.yaml", "loop", "naive", true, {NULL}},
    {"Far Lever", "configs/far_lever/common.yaml", "mode", NULL, true, {NULL}},
};

/* Of the processor: with one worker that is what a step takes by itself. */
static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
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
static il_status make(side *s, int arm, const char *root, const char *folder,
                      bool whole, il_error *err)
{
    static const char *const none[] = {NULL};
    const char *const *sets = whole ? none : arms[arm].without;
    const char *stage = arms[arm].stage;
    const char *variant = arms[arm].variant;
    const char *all[SETS + 3];
    char plugins[4096];
    char path[4096];
    uint64_t seed = 1;
    il_run_options o = {.path = path, .sets = all, .workers = 1};
    const il_job *job;
    il_host host;

    (void)snprintf(path, sizeof path, "%s/%s", root, arms[arm].path);
    (void)snprintf(plugins, sizeof plugins, "plugins.path=[%s]", folder);
    all[o.set_count++] = plugins;
    all[o.set_count++] = "twins=none";
    for (; *sets != NULL; sets++) {
        all[o.set_count++] = *sets;
    }
    o.filter = (il_jobs_filter){.stages = &stage,
                                .stage_count = 1,
                                .variants = &variant,
                                .variant_count = variant != NULL,
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
    s->watches = whole || arms[arm].monitors;
    IL_TRY(il_trainer_create(&s->trainer, s->world, &s->stage,
                             (uint32_t)job->chain_count - 1, &s->session.problems,
                             err));
    IL_TRY(il_pressed_create(&s->pressed, s->world, err));
    IL_TRY(il_plan_make(&s->plan, s->trainer, &s->pressed, job->chain, job->chain_count,
                        err));
    IL_TRY(il_ledger_open(&s->ledger, s->trainer, s->plan, err));
    il_trainer_start(s->trainer);
    for (int k = 0; k < KINDS; k++) {
        s->best[k] = 1e9;
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

/* The step at a place of a round; without a ledger the sampled ones are plain. */
static il_status time_step(side *s, int at, il_error *err)
{
    bool watch = s->watches && (at + 1) % WATCH_EVERY == 0;
    double start = now();
    double took;
    int kind;

    IL_TRY(il_trainer_step(s->trainer, watch, err));
    took = now() - start;
    kind = watch ? WATCHED : il_ledger_sampled(s->ledger) ? TAKEN : PLAIN;
    s->best[kind] = took < s->best[kind] ? took : s->best[kind];
    return IL_OK;
}

/* The mean over a stage's steps, `every` being its ledger's interval. */
static double mean_of(const side *s, int64_t every)
{
    double looks = s->watches ? 1.0 / WATCH_EVERY : 0;
    double samples = s->ledger != NULL ? 1.0 / (double)every : 0;

    return (1 - looks - samples) * s->best[PLAIN] +
           (looks > 0 ? looks * s->best[WATCHED] : 0) +
           (samples > 0 ? samples * s->best[TAKEN] : 0);
}

static il_status measure(const char *name, side *with, side *without, bool same,
                         int rounds, il_error *err)
{
    int64_t every = with->ledger->every;
    double kept;
    double plain;

    with->ledger->every = SAMPLED; /* so as to time it oftener */
    /* A round before finds the memory of their own. */
    for (int i = 0; i < ROUND; i++) {
        IL_TRY(il_trainer_step(without->trainer, false, err));
        IL_TRY(il_trainer_step(with->trainer, false, err));
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < ROUND; i++) {
            /* Who goes first takes turns, too. */
            IL_TRY(time_step((round + i) % 2 == 0 ? without : with, i, err));
            IL_TRY(time_step((round + i) % 2 == 0 ? with : without, i, err));
        }
    }
    for (int k = PLAIN; same && k <= WATCHED; k++) {
        with->best[k] =
            with->best[k] < without->best[k] ? with->best[k] : without->best[k];
        without->best[k] = with->best[k];
    }
    kept = mean_of(with, every);
    plain = mean_of(without, every);
    printf(
        "  %-12s %7.2f ms a step, %.2f ms without: %.3f times; a sampled step %.2f ms, "
        "one in %lld\n",
        name, kept * 1e3, plain * 1e3, kept / plain, with->best[TAKEN] * 1e3,
        (long long)every);
    return IL_OK;
}

int main(int argc, char **argv)
{
    int rounds = argc > 3 ? atoi(argv[2]) : 0;
    side *sides = calloc(2, sizeof *sides);
    il_status status = IL_OK;
    il_error err = {0};

    if (rounds < 1 || sides == NULL) {
        fprintf(stderr, "usage: bench_ledger ROOT ROUNDS FOLDER\n");
        free(sides);
        return 2;
    }
    printf("frozen detectors and the ledger on steps and updates, one worker\n");
    for (int a = 0; a < ARMS && status == IL_OK; a++) {
        memset(sides, 0, 2 * sizeof *sides);
        status = make(&sides[0], a, argv[1], argv[3], true, &err);
        if (status == IL_OK) {
            status = make(&sides[1], a, argv[1], argv[3], false, &err);
        }
        if (status == IL_OK) {
            status = measure(arms[a].name, &sides[0], &sides[1], arms[a].monitors,
                             rounds, &err);
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
