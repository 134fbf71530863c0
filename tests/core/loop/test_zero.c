/* A re-zeroed detector in the loss, on a small GPT over the real data: what all rows
 * share gives no gradient, since it is taken off. */
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
    "detectors.probe.rezero={split: probe_calib, rows: 8}",
};
enum { SETS = sizeof sets / sizeof *sets };

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

static il_status try_trial(trial *t, int workers, bool rezeroed, const char *more,
                           il_error *err)
{
    const char *all[SETS + 2];
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
    for (size_t i = 0; i < SETS - (rezeroed ? 0 : 1); i++) {
        all[o.set_count++] = sets[i];
    }
    all[o.set_count++] = folder;
    if (more != NULL) {
        all[o.set_count++] = more;
    }
    o.filter = (il_jobs_filter){.stages = &stage,
                                .stage_count = 1,
                                .variants = &variant,
                                .variant_count = 1,
                                .seeds = &seed,
                                .seed_count = 1};
    ok(il_session_open(&t->session, &o, err), err);
    job = &t->session.jobs.items[0];
    host = il_session_host(&t->session);
    ok(il_world_create(&t->world, &host, job->pipeline, 1, &t->session.problems, err),
       err);
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

static void open_trial(trial *t, int workers, bool rezeroed)
{
    il_error err = {0};

    ok(try_trial(t, workers, rezeroed, NULL, &err), &err);
    ok(il_trainer_step(t->trainer, true, &err), &err);
}

static void close_trial(trial *t)
{
    il_trainer_destroy(t->trainer);
    il_world_destroy(t->world);
    il_session_close(&t->session);
    free(t->start);
}

/* The largest change of a parameter in the step. */
static double moved(const trial *t, const char *name)
{
    const il_store *s = t->world->model->store;
    double most = 0;

    for (size_t p = 0; p < s->count; p++) {
        for (int64_t i = 0;
             strcmp(s->items[p].name, name) == 0 && i < s->items[p].count; i++) {
            int64_t at = s->items[p].offset + i;

            most = fmax(most, fabs((double)s->values[at] - t->start[at]));
        }
    }
    return most;
}

/* The last bias before the site moves every logit alike: with the zero it gets nothing,
 * while what tells rows apart is still pressed. */
START_TEST(what_all_rows_share_is_not_pressed)
{
    trial plain;
    trial zeroed;

    open_trial(&plain, 1, false);
    open_trial(&zeroed, 1, true);
    ck_assert_double_gt(moved(&plain, "blocks.2.mlp.b_out"), 1e-3);
    ck_assert_double_lt(moved(&zeroed, "blocks.2.mlp.b_out"),
                        1e-4 * moved(&plain, "blocks.2.mlp.b_out"));
    ck_assert_double_gt(moved(&zeroed, "blocks.2.mlp.W_out"), 1e-6);
    ck_assert_double_gt(moved(&zeroed, "embed.W_E"), 1e-6);
    ck_assert_double_eq(moved(&zeroed, "unembed.W_U"), 0);
    close_trial(&plain);
    close_trial(&zeroed);
}
END_TEST

START_TEST(two_workers_give_the_bits_of_one)
{
    il_error err = {0};
    trial one;
    trial two;

    open_trial(&one, 1, true);
    open_trial(&two, 2, true);
    for (int i = 0; i < 3; i++) {
        ok(il_trainer_step(one.trainer, false, &err), &err);
        ok(il_trainer_step(two.trainer, false, &err), &err);
    }
    ck_assert_mem_eq(one.world->model->store->values, two.world->model->store->values,
                     (size_t)one.world->model->store->total * sizeof(float));
    ck_assert(one.world->detectors[0]->offset != 0);
    close_trial(&one);
    close_trial(&two);
}
END_TEST

/* There is one signal, and plain descent follows its gradient. */
START_TEST(the_ledger_counts_what_flows_through_the_zero)
{
    il_error err = {0};
    const il_store *s;
    trial t;
    kept k;

    ok(try_trial(&t, 2, true, NULL, &err), &err);
    keep_ledger(&k, t.trainer, &t.session.jobs.items[0], 1);
    ok(il_trainer_step(t.trainer, false, &err), &err);
    s = t.world->model->store;
    for (int64_t i = 0; i < s->total; i++) {
        double moved_by = (double)s->values[i] - t.start[i];

        ck_assert_double_eq_tol(moved_by, 0.01 * slope_of(k.ledger, 0, i),
                                1e-6 * (fabs(t.start[i]) + 1e-3));
    }
    ck_assert_double_gt(il_ledger_read(k.ledger, entry_of(&k, "pressure"), 0).norm, 0);
    ck_assert_double_eq(il_ledger_rest(k.ledger, entry_of(&k, "pressure"), 0).norm, 0);
    drop_ledger(&k);
    close_trial(&t);
}
END_TEST

START_TEST(a_gate_on_its_loss_is_refused)
{
    il_error err = {0};
    trial t;

    ck_assert_int_eq(try_trial(&t, 1, true,
                               "stages.loop.signals.pressure.gate={detector: probe}",
                               &err),
                     IL_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "re-zeroed"));
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("zero");
    TCase *tc = tcase_create("zero");
    SRunner *sr;
    int failed;

    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, what_all_rows_share_is_not_pressed);
    tcase_add_test(tc, two_workers_give_the_bits_of_one);
    tcase_add_test(tc, the_ledger_counts_what_flows_through_the_zero);
    tcase_add_test(tc, a_gate_on_its_loss_is_refused);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
