/* A detector that is refitted through its fit, in the loss of a small GPT over the real
 * data: the gradient is that of what a probe fitted anew to the moved weights would
 * say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/run.h"
#include "keep_ledger.h"
#include <check.h>

/* A trainer with nothing but the probe's penalty, by plain gradient descent. */
typedef struct trial {
    il_session session;
    il_world *world;
    il_trainer *trainer;
    float *start; /* weights before */
} trial;

static const char *const sets[] = {
    "model.params.width=16",
    "model.params.heads=2",
    "model.params.mlp=32",
    "stages.loop.train.batch=8",
    "stages.loop.train.lanes=4",
    "stages.loop.train.clip=[]",
    "stages.loop.train.optimizer={use: sgd, lr: 0.01}",
    "stages.loop.signals.language.channel=monitor",
};
enum { SETS = sizeof sets / sizeof *sets, MORE = 8 };
static const float LR = 0.01f;

/* Who presses, and how it is fitted. */
static const struct {
    const char *use;
    const char *fit;
} probes[] = {
    {"detectors.probe.use=linear_probe",
     "detectors.probe.fit={split: probe_train, label: deceiver, method: irls, l2: 0.01}"},
    {"detectors.probe.use=linear_probe",
     "detectors.probe.fit={split: probe_train, label: deceiver, method: lbfgs, l2: "
     "0.01}"},
    {"detectors.probe.use=mean_difference",
     "detectors.probe.fit={split: probe_train, label: deceiver}"},
    {"detectors.probe.use=lda",
     "detectors.probe.fit={split: probe_train, label: deceiver}"},
};
enum { PROBES = sizeof probes / sizeof *probes };
static const char fresh[] =
    "detectors.probe.refit={through_fit: 1, split: probe_train, rows: 24}";

static void ok(il_status status, const il_error *err)
{
    ck_assert_msg(status == IL_OK, "%s: %s", err->where, err->message);
}

/* A probe that reads something: weights drawn by key, since nothing was fitted. */
static void fill_probe(il_detector *d)
{
    il_store *s = d->instance->store;
    il_rng r;

    il_rng_open(&r, 7, 0, IL_RNG_PLUGIN, 0, 0);
    for (int64_t i = 0; i < s->total; i++) {
        s->values[i] = il_rng_normal(&r);
    }
    d->fitted = true;
}

/* `more` ends with NULL. */
static il_status try_trial(trial *t, int workers, int probe, const char *refit,
                           const char *const *more, il_error *err)
{
    const char *all[SETS + MORE];
    const char *stage = "loop";
    const char *variant = "naive";
    char folder[4096];
    uint64_t seed = 1;
    il_run_options o = {
        .path = "configs/liar/demo.yaml", .sets = all, .workers = workers};
    il_host host;
    const il_job *job;

    memset(t, 0, sizeof *t);
    (void)snprintf(folder, sizeof folder, "plugins.path=[%s/plugins]",
                   getenv("IL_BUILD"));
    for (size_t i = 0; i < SETS; i++) {
        all[o.set_count++] = sets[i];
    }
    all[o.set_count++] = folder;
    all[o.set_count++] = probes[probe].use;
    all[o.set_count++] = probes[probe].fit;
    all[o.set_count++] = refit;
    for (; more != NULL && *more != NULL; more++) {
        all[o.set_count++] = *more;
    }
    o.filter = (il_jobs_filter){.stages = &stage,
                                .stage_count = 1,
                                .variants = &variant,
                                .variant_count = 1,
                                .seeds = &seed,
                                .seed_count = 1};
    IL_TRY(il_session_open(&t->session, &o, err));
    job = &t->session.jobs.items[0];
    host = il_session_host(&t->session);
    IL_TRY(
        il_world_create(&t->world, &host, job->pipeline, 1, &t->session.problems, err));
    ok(il_store_fill(t->world->model->store, 1, err), err);
    fill_probe(t->world->detectors[0]);
    IL_TRY(
        il_trainer_create(&t->trainer, t->world, job->chain[job->chain_count - 1].spec,
                          (uint32_t)(job->chain_count - 1), &t->session.problems, err));
    il_trainer_start(t->trainer);
    t->start = il_store_block(t->world->model->store);
    memcpy(t->start, t->world->model->store->values,
           (size_t)t->world->model->store->total * sizeof *t->start);
    return IL_OK;
}

static void open_trial(trial *t, int workers, int probe, const char *refit,
                       const char *const *more)
{
    il_error err = {0};

    ok(try_trial(t, workers, probe, refit, more, &err), &err);
}

static void step(trial *t)
{
    il_error err = {0};

    ok(il_trainer_step(t->trainer, true, &err), &err);
}

static void close_trial(trial *t)
{
    il_trainer_destroy(t->trainer);
    il_world_destroy(t->world);
    il_session_close(&t->session);
    free(t->start);
}

/* The pressure's loss under weights that are moved by `share` of `along`, the probe
 * fitted to them. */
static double loss_at(int probe, const float *along, double share)
{
    trial t;
    double loss = NAN;

    open_trial(&t, 1, probe, fresh, NULL);
    for (int64_t i = 0; i < t.world->model->store->total; i++) {
        t.world->model->store->values[i] += (float)(share * along[i]);
    }
    step(&t);
    for (size_t i = 0; i < t.trainer->terms->count; i++) {
        if (strcmp(t.trainer->terms->items[i].spec->name, "pressure") == 0) {
            loss = t.trainer->values[i];
        }
    }
    close_trial(&t);
    return loss;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        sum += (double)a[i] * b[i];
    }
    return sum;
}

/* The weights' change in a step of plain descent is the gradient. Along its part that
 * flows through the fit, the loss changes by what that part says, which is far from
 * what the score alone would. */
START_TEST(the_gradient_follows_the_probe)
{
    trial whole;
    trial held;
    float *all;
    float *part;
    double size;
    double slope;
    int64_t n;

    open_trial(&whole, 1, _i, fresh, NULL);
    step(&whole);
    /* The same probe, and constant: fitted before the first step, not in the second. */
    open_trial(&held, 1, _i,
               "detectors.probe.refit={through_fit: 2, split: probe_train, rows: 24}",
               NULL);
    step(&held);
    n = held.world->model->store->total;
    memcpy(held.world->model->store->values, held.start, (size_t)n * sizeof(float));
    held.trainer->step = 0; /* the same batch, and the probe as it was found */
    held.world->detectors[0]->fitted = false;
    step(&held);
    all = il_store_block(whole.world->model->store);
    part = il_store_block(whole.world->model->store);
    for (int64_t i = 0; i < n; i++) {
        float through = whole.start[i] - whole.world->model->store->values[i];
        float score = held.start[i] - held.world->model->store->values[i];

        all[i] = through / LR;
        part[i] = (through - score) / LR;
    }
    size = sqrt(dot(part, part, n));
    ck_assert_double_gt(size, 1e-3);
    slope = (loss_at(_i, part, 2e-3 / size) - loss_at(_i, part, -2e-3 / size)) / 4e-3;
    ck_assert_msg(fabs(slope - dot(all, part, n) / size) < 0.02 * size,
                  "%d: %g, the gradient says %g, of which through the fit %g", _i,
                  slope, dot(all, part, n) / size, size);
    free(all);
    free(part);
    close_trial(&whole);
    close_trial(&held);
}
END_TEST

/* Tapes that are kept, and forwards that are redone. */
START_TEST(two_workers_give_the_bits_of_one)
{
    static const char *const cut[] = {"stages.loop.train.micro_batch=1", NULL};
    trial one;
    trial two;

    open_trial(&one, 1, _i, fresh, _i % 2 == 0 ? NULL : cut);
    open_trial(&two, 2, _i, fresh, _i % 2 == 0 ? NULL : cut);
    for (int i = 0; i < 3; i++) {
        step(&one);
        step(&two);
    }
    ck_assert_mem_eq(one.world->model->store->values, two.world->model->store->values,
                     (size_t)one.world->model->store->total * sizeof(float));
    ck_assert_mem_eq(one.world->detectors[0]->instance->store->values,
                     two.world->detectors[0]->instance->store->values,
                     (size_t)one.world->detectors[0]->instance->store->total *
                         sizeof(float));
    close_trial(&one);
    close_trial(&two);
}
END_TEST

/* There is one signal, and plain descent follows its gradient. */
START_TEST(the_ledger_counts_what_flows_through_the_fit_and_moves_nothing)
{
    const il_store *s;
    trial plain;
    trial t;
    kept k;

    open_trial(&plain, 1, 0, fresh, NULL);
    open_trial(&t, 2, 0, fresh, NULL);
    keep_ledger(&k, t.trainer, &t.session.jobs.items[0], 1);
    step(&plain);
    step(&t);
    s = t.world->model->store;
    ck_assert_mem_eq(s->values, plain.world->model->store->values,
                     (size_t)s->total * sizeof(float));
    ck_assert_mem_eq(t.world->detectors[0]->instance->store->values,
                     plain.world->detectors[0]->instance->store->values,
                     (size_t)t.world->detectors[0]->instance->store->total *
                         sizeof(float));
    for (int64_t i = 0; i < s->total; i++) {
        double moved_by = (double)s->values[i] - t.start[i];

        ck_assert_double_eq_tol(moved_by, LR * slope_of(k.ledger, 0, i),
                                1e-6 * (fabs(t.start[i]) + 1e-3));
    }
    ck_assert_double_gt(il_ledger_read(k.ledger, entry_of(&k, "pressure"), 0).norm, 0);
    ck_assert_double_eq(il_ledger_rest(k.ledger, entry_of(&k, "pressure"), 0).norm, 0);
    drop_ledger(&k);
    close_trial(&plain);
    close_trial(&t);
}
END_TEST

/* Between two fits the probe is a constant. */
START_TEST(a_fit_every_other_step_leaves_the_steps_between_alone)
{
    trial t;
    float probe[64];
    size_t bytes;

    open_trial(&t, 1, 0,
               "detectors.probe.refit={through_fit: 2, split: probe_train, rows: 24}",
               NULL);
    bytes = (size_t)t.world->detectors[0]->instance->store->total * sizeof(float);
    step(&t);
    memcpy(probe, t.world->detectors[0]->instance->store->values, bytes);
    step(&t);
    ck_assert_mem_eq(probe, t.world->detectors[0]->instance->store->values, bytes);
    step(&t);
    ck_assert_mem_ne(probe, t.world->detectors[0]->instance->store->values, bytes);
    close_trial(&t);
}
END_TEST

/* ---- what it cannot follow ------------------------------------------------------- */

static const struct {
    const char *set;
    const char *also;
    const char *says;
} refusals[] = {
    {"detectors.probe.fit.method=adam", NULL, "irls"},
    {"detectors.probe.fit={split: probe_train, label: deceiver, method: irls, l2: 0}",
     NULL, "l2"},
    {"detectors.probe.use=mlp_probe",
     "detectors.probe.fit={split: probe_train, label: deceiver}", "linear"},
    {"detectors.probe.use=mahalanobis",
     "detectors.probe.fit={split: probe_train, label: deceiver}", "linear"},
    {"detectors.probe.rezero={split: probe_calib, rows: 8}", NULL, "rezero"},
    {"detectors.probe.refit={through_fit: 1, split: probe_train, rows: 100000000}",
     NULL, "fewer rows"},
    {"stages.loop.signals.pressure.gate={detector: auditor}",
     "detectors.auditor.vault=false", "gate"},
};
enum { REFUSALS = sizeof refusals / sizeof *refusals };

START_TEST(what_cannot_be_followed_is_refused_with_what_can)
{
    const char *const more[] = {refusals[_i].set, refusals[_i].also, NULL};
    il_error err = {0};
    bool said = false;
    il_status status;
    trial t;

    status = try_trial(&t, 1, 0, fresh, more, &err);
    if (status == IL_OK) {
        status = il_trainer_step(t.trainer, false, &err);
    }
    ck_assert_int_ne(status, IL_OK);
    said = strstr(err.message, refusals[_i].says) != NULL;
    for (size_t i = 0; i < t.session.problems.count; i++) {
        said = said ||
               (strstr(t.session.problems.kept[i].message, refusals[_i].says) != NULL &&
                strstr(t.session.problems.kept[i].message, "every: N"));
    }
    ck_assert_msg(said, "%d: %s", _i, err.message);
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("through");
    TCase *tc = tcase_create("through");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, the_gradient_follows_the_probe, 0, PROBES);
    tcase_add_loop_test(tc, two_workers_give_the_bits_of_one, 0, PROBES);
    tcase_add_test(tc, the_ledger_counts_what_flows_through_the_fit_and_moves_nothing);
    tcase_add_test(tc, a_fit_every_other_step_leaves_the_steps_between_alone);
    tcase_add_loop_test(tc, what_cannot_be_followed_is_refused_with_what_can, 0,
                        REFUSALS);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
