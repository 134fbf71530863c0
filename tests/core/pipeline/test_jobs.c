/* Which jobs a pipeline makes, what each is resolved to, and what shares a result. */
#define _XOPEN_SOURCE 700
#include "support.h"

/* A pipeline of the repository, loaded, with its jobs. */
static void open_file(fixture *f, const char *name, const char *const *sets,
                      size_t count, const il_jobs_filter *filter, il_jobs *jobs)
{
    char *path = il_path_join(repository(), name);
    il_error err = {0};

    fixture_open(f);
    fixture_load(f, path, sets, count);
    free(path);
    ck_assert_ptr_nonnull(f->document);
    (void)il_jobs_list(jobs, f->document, filter, &f->problems, &err);
    fixture_expect(f, NULL);
}

#define LIAR  "configs/liar/full.yaml"
#define LEVER "tests/fixtures/pipelines/far_lever.yaml"
#define ATLAS "tests/fixtures/pipelines/little_atlas.yaml"

/* The training text of a job's own stage. */
static const char *text_of(const il_jobs *jobs, const char *stage, const char *variant)
{
    const il_job *job = job_of(jobs, stage, variant);

    return job->chain[job->chain_count - 1].text;
}

START_TEST(liar_makes_a_job_for_each_stage_variant_and_seed)
{
    /* those of the demo, which it extends, and then its own */
    static const char *const variants[] = {
        "monitor",          "naive",        "gated_credit", "leaky",
        "placebo_shuffled", "frozen",       "shadow",       "gated_all",
        "placebo_constant", "placebo_label"};
    il_jobs jobs;
    fixture f;

    open_file(&f, LIAR, NULL, 0, NULL, &jobs);
    ck_assert_uint_eq(jobs.count, (1 + 1 + 10 + 5) * 3); /* and what is scheduled */
    ck_assert_str_eq(jobs.items[0].stage, "pretrain");
    ck_assert_uint_eq(jobs.items[0].seed, 1);
    ck_assert_uint_eq(jobs.items[1].seed, 2);
    ck_assert_str_eq(jobs.items[3].stage, "fitted");
    for (size_t i = 0; i < 10; i++) {
        const il_job *job = &jobs.items[6 + 3 * i];

        ck_assert_str_eq(job->stage, "loop");
        ck_assert_str_eq(job->variant, variants[i]);
        ck_assert_uint_eq(job->chain_count, 3);
        ck_assert_str_eq(job->chain[0].stage, "pretrain");
        ck_assert_str_eq(job->chain[1].stage, "fitted");
        ck_assert_ptr_eq(job->chain[2].spec, il_pipeline_stage(job->pipeline, "loop"));
    }
    fixture_close(&f);
}
END_TEST

START_TEST(liar_is_read_as_it_is_meant)
{
    const il_signal_spec *honesty;
    const il_detector_spec *auditor;
    const il_stage_spec *loop;
    const il_pipeline *p;
    il_jobs jobs;
    fixture f;

    ck_assert_int_eq(unsetenv("WORDNET"), 0);
    open_file(&f, LIAR, NULL, 0, NULL, &jobs);
    p = job_of(&jobs, "loop", "placebo_shuffled")->pipeline;
    ck_assert_str_eq(p->name, "liar");
    ck_assert_str_eq(p->model.use, "gpt");
    ck_assert_str_eq(p->model.range, "^1.0");
    ck_assert_str_eq(text_at(p->data.params, "root"), "/usr/share/wordnet");
    ck_assert_uint_eq(p->plugins.path.count, 1);
    ck_assert_int_eq(p->plugins.path.items[0][0], '/');
    auditor = il_pipeline_detector(p, "auditor");
    ck_assert_int_eq(auditor->context, IL_CONTEXT_PAST);
    ck_assert(auditor->vault);
    ck_assert_str_eq(auditor->sites.items[0], "blocks.2.hook_resid_post");
    ck_assert_int_eq(auditor->threshold.kind, IL_THRESHOLD_RATE);
    ck_assert(auditor->threshold.fpr == 0.05);
    ck_assert_int_eq(il_pipeline_detector(p, "probe")->context, IL_CONTEXT_SELF);
    loop = il_pipeline_stage(p, "loop");
    ck_assert_str_eq(loop->from, "fitted");
    ck_assert_int_eq(loop->train.steps, 200);
    ck_assert_int_eq(loop->train.lanes, 4);
    ck_assert(loop->train.optimizer.lr == 5e-4);
    ck_assert(loop->train.optimizer.eps == 1e-8);
    ck_assert_int_eq(loop->train.optimizer.schedule.warmup, 20);
    ck_assert(loop->train.clips[0].all);
    ck_assert_int_eq(loop->audit.every, 50);
    ck_assert_uint_eq(loop->audit.fresh.count, 3);
    ck_assert_str_eq(loop->placebo_of, "leaky");
    ck_assert_uint_eq(loop->firewall.closed, IL_DEMAND_DIRECT | IL_DEMAND_CREDIT);
    ck_assert_uint_eq(loop->signal_count, 3);
    honesty = &loop->signals[1];
    ck_assert_int_eq(honesty->source.kind, IL_SOURCE_CROSS_ENTROPY);
    ck_assert_str_eq(honesty->source.targets, "truth");
    ck_assert_int_eq(honesty->gate.kind, IL_GATE_DETECTOR);
    ck_assert(honesty->gate.scramble);
    ck_assert(!honesty->gate.through);
    ck_assert(honesty->weight.from == 3.0);
    ck_assert_int_eq(honesty->route.kind, IL_ROUTE_DOWNSTREAM);
    ck_assert(honesty->route.target_is_detector);
    ck_assert_int_eq(loop->signals[2].channel, IL_CHANNEL_MONITOR);
    ck_assert_uint_eq(il_pipeline_stage(p, "fitted")->requirement_count, 6);
    ck_assert_str_eq(il_pipeline_stage(p, "fitted")->requirements[5].metric,
                     "fresh.mlp.auroc");
    p = job_of(&jobs, "loop", "naive")->pipeline;
    ck_assert_uint_eq(il_pipeline_stage(p, "loop")->firewall.closed, IL_DEMAND_OPEN);
    ck_assert(il_pipeline_stage(p, "loop")->firewall.given);
    p = job_of(&jobs, "loop", "shadow")->pipeline;
    ck_assert_str_eq(il_pipeline_stage(p, "loop")->train.shadow, "probe");
    ck_assert_uint_eq(il_pipeline_stage(p, "loop")->firewall.closed, IL_DEMAND_SEALED);
    fixture_close(&f);
}
END_TEST

START_TEST(far_lever_and_little_atlas_are_read_as_they_are_meant)
{
    const il_stage_spec *s;
    const il_pipeline *p;
    il_jobs jobs;
    fixture f;

    open_file(&f, LEVER, NULL, 0, NULL, &jobs);
    ck_assert_uint_eq(jobs.count, (3 + 9) * 5);
    p = job_of(&jobs, "mode", "naive")->pipeline;
    s = il_pipeline_stage(p, "mode");
    ck_assert_uint_eq(s->signal_count, 5);
    ck_assert(s->signals[4].weight.from == 1.5);
    ck_assert(s->signals[4].scale == 0.1);
    ck_assert_int_eq(s->signals[3].source.kind, IL_SOURCE_ENTROPY);
    ck_assert(s->signals[3].weight.to == 0.02);
    ck_assert_int_eq(s->train.algorithm.kind, IL_ALGORITHM_A2C);
    ck_assert(s->train.algorithm.normalize_batch);
    ck_assert_uint_eq(s->train.optimizer.rate_count, 3);
    ck_assert_int_eq(s->audit.reference.episodes, 400);
    ck_assert_str_eq(s->audit.against, "ideal");
    p = job_of(&jobs, "mode", "brain_replay")->pipeline;
    s = il_pipeline_stage(p, "mode");
    ck_assert_uint_eq(s->train.rollout_count, 2);
    ck_assert_str_eq(s->train.rollouts[1].name, "explore");
    ck_assert_uint_eq(s->signals[0].on.count, 2);
    p = job_of(&jobs, "mode", "brain_refit")->pipeline;
    ck_assert_int_eq(p->detectors[0].refit.kind, IL_REFIT_EVERY);
    ck_assert_int_eq(p->detectors[0].refit.every, 25);
    ck_assert_uint_eq(p->detectors[0].refit.rollout_count, 2);
    ck_assert_int_eq(p->detectors[0].threshold.unit, IL_UNIT_STEP);
    p = job_of(&jobs, "mode", "brain_hard")->pipeline;
    ck_assert(il_pipeline_stage(p, "mode")->signals[2].has_trigger);
    p = job_of(&jobs, "mode", "oracle")->pipeline;
    ck_assert_int_eq(il_pipeline_stage(p, "mode")->signals[2].source.kind,
                     IL_SOURCE_LABEL);
    p = job_of(&jobs, "mode", "brain_offline")->pipeline;
    ck_assert_uint_eq(il_pipeline_stage(p, "mode")->firewall.closed,
                      IL_DEMAND_ISOLATED);
    fixture_close(&f);

    open_file(&f, ATLAS, NULL, 0, NULL, &jobs);
    ck_assert_uint_eq(jobs.count, (2 + 4) * 3);
    p = job_of(&jobs, "rl", "reward_cov")->pipeline;
    ck_assert_str_eq(p->references[0].of_stage, "fitted");
    ck_assert_str_eq(p->detectors[0].fit.draw.split, "probe_full");
    ck_assert_int_eq(p->detectors[0].threshold.kind, IL_THRESHOLD_LOGIT);
    ck_assert_int_eq(p->detectors[0].rezero.rows, 64);
    s = il_pipeline_stage(p, "rl");
    ck_assert_int_eq(s->signals[2].source.kind, IL_SOURCE_KL);
    ck_assert(!s->train.algorithm.divide_by_std);
    ck_assert_int_eq(s->train.rollouts[0].prompts, 8);
    fixture_close(&f);
}
END_TEST

START_TEST(variants_that_train_alike_share_their_text)
{
    il_jobs jobs;
    fixture f;
    const char *leaky;

    open_file(&f, LIAR, NULL, 0, NULL, &jobs);
    leaky = text_of(&jobs, "loop", "leaky");
    for (size_t i = 0; i < jobs.count; i++) {
        const il_job *job = &jobs.items[i];

        if (strcmp(job->stage, "loop") == 0) {
            /* Where they come from is the same for all, and no seed is in a text. */
            ck_assert_str_eq(job->chain[0].text, text_of(&jobs, "pretrain", ""));
            ck_assert_str_eq(job->chain[1].text, text_of(&jobs, "fitted", ""));
        }
    }
    ck_assert_str_ne(leaky, text_of(&jobs, "loop", "monitor"));
    ck_assert_str_ne(leaky, text_of(&jobs, "loop", "placebo_shuffled"));
    ck_assert_str_ne(leaky, text_of(&jobs, "loop", "frozen"));
    ck_assert_str_ne(leaky, text_of(&jobs, "loop", "shadow"));
    ck_assert_ptr_null(strstr(leaky, "leaky"));
    ck_assert_ptr_null(strstr(leaky, "auditor"));
    ck_assert_ptr_null(strstr(text_of(&jobs, "loop", "monitor"), "probe"));
    fixture_close(&f);
}
END_TEST

typedef struct share_case {
    const char *set;
    const char *stage;
    bool same; /* the stage's text is that without the setting */
} share_case;

static const share_case shares[] = {
    {"stages.loop.audit.every=7", "loop", true},
    {"stages.loop.ledger={every: 3}", "loop", true},
    {"stages.loop.firewall=open", "loop", true},
    {"stages.loop.signals.cut={source: probe, channel: edit, edit: ablate}", "loop",
     false},
    {"stages.loop.signals.cut={source: probe, channel: monitor, edit: ablate}", "loop",
     true},
    {"stages.loop.audit.edits={gone: {detector: probe, ablate: true}}", "loop", true},
    {"stages.fitted.require.lie='> 0'", "fitted", true},
    {"stages.loop.signals.pressure.weight=9", "loop", true},
    {"stages.loop.signals.pressure.channel=loss", "loop", false},
    {"stages.loop.signals.honesty.weight=9", "loop", false},
    {"stages.loop.signals.honesty.weight=3", "loop", true},
    {"stages.loop.signals.honesty.weight=3.0e0", "loop", true},
    {"stages.loop.signals.honesty.weight={from: 3, to: 3}", "loop", true},
    {"stages.loop.train.lanes=2", "loop", false},
    {"stages.loop.train.lanes=2", "fitted", true},
    {"stages.loop.train.micro_batch=4", "loop", false},
    {"stages.loop.train.optimizer.beta2=0.98", "loop", true},
    {"stages.loop.train.optimizer.eps=1e-8", "loop", true},
    {"stages.loop.train.optimizer.eps=1e-7", "loop", false},
    {"stages.loop.train.optimizer_state=fresh", "loop", true},
    {"stages.loop.train.optimizer_state=continue", "loop", false},
    {"detectors.auditor.vault=false", "fitted", true},
    {"detectors.auditor.params.heads=3", "fitted", false},
    {"detectors.auditor.params.heads=3", "loop", true},
    {"detectors.probe.tokens=all", "loop", false},
    {"detectors.probe.tokens=all", "pretrain", true},
    {"detectors.probe.refit={every: 5}", "loop", false},
    {"data.params.split_seed=1", "pretrain", false},
    {"model.use=interloop.gpt", "pretrain", true},
    {"model.use=gpt@^1.2", "pretrain", true},
    {"model.use=rnn", "pretrain", false},
    {"plugins.path=[/elsewhere]", "loop", true},
    {"name=other", "loop", true},
    {"numerics=portable", "loop", true},
};

START_TEST(only_what_decides_a_result_is_in_its_text)
{
    const share_case *c = &shares[_i];
    const char *variant = strcmp(c->stage, "loop") == 0 ? "leaky" : "";
    il_jobs jobs;
    il_jobs set_jobs;
    fixture f;
    fixture g;

    open_file(&f, LIAR, NULL, 0, NULL, &jobs);
    open_file(&g, LIAR, &c->set, 1, NULL, &set_jobs);
    ck_assert_int_eq(strcmp(text_of(&jobs, c->stage, variant),
                            text_of(&set_jobs, c->stage, variant)) == 0,
                     c->same);
    fixture_close(&f);
    fixture_close(&g);
}
END_TEST

START_TEST(the_command_line_wins_over_a_variant)
{
    static const char *const sets[] = {"stages.loop.signals.honesty.channel=loss",
                                       "stages.loop.train.steps=3", "seed=9",
                                       "stages.loop.twins=none"};
    const il_stage_spec *s;
    il_jobs jobs;
    fixture f;

    open_file(&f, LIAR, sets, 4, NULL, &jobs);
    ck_assert_uint_eq(jobs.count, 12); /* one seed: the one that was asked for */
    ck_assert_uint_eq(jobs.items[0].seed, 9);
    s = il_pipeline_stage(job_of(&jobs, "loop", "monitor")->pipeline, "loop");
    ck_assert_int_eq(s->signals[1].channel, IL_CHANNEL_LOSS);
    ck_assert_int_eq(s->train.steps, 3);
    fixture_close(&f);
}
END_TEST

START_TEST(a_filter_picks_stages_variants_and_seeds)
{
    static const char *const stages[] = {"loop"};
    static const char *const variants[] = {"frozen", "shadow"};
    static const char *const wrong[] = {"frozne"};
    static const uint64_t seeds[] = {7};
    il_jobs_filter filter = {stages, 1, variants, 2, seeds, 1};
    il_error err = {0};
    il_jobs jobs;
    fixture f;

    open_file(&f, LIAR, NULL, 0, &filter, &jobs);
    ck_assert_uint_eq(jobs.count, 2);
    ck_assert_uint_eq(jobs.items[1].seed, 7);
    ck_assert_str_eq(text_at(jobs.items[1].document, "seed"), "7");
    ck_assert_ptr_null(il_node_get(jobs.items[1].document, "sweep"));
    filter.variants = wrong;
    filter.variant_count = 1;
    ck_assert_int_eq(il_jobs_list(&jobs, f.document, &filter, &f.problems, &err),
                     IL_ERR_INPUT);
    ck_assert_uint_eq(jobs.count, 0);
    fixture_expect(&f,
                   "--variants: error: no variant 'frozne', did you mean 'frozen'?");
    fixture_close(&f);
}
END_TEST

static const char tree[] =
    "interloop: 1\nname: t\nmodel: {use: m}\nvars: {rate: 1}\n"
    "stages:\n"
    "  last:\n"
    "    from: mid/b\n"
    "    train: {steps: 1, batch: 4, optimizer: {use: sgd, lr: 1}}\n"
    "    variants:\n"
    "      same: {}\n"
    "      other: {from: mid/a, /stages.root.train.steps: 9}\n"
    "      late: {/model.params.width: 3}\n"
    "  mid:\n"
    "    from: root\n"
    "    train: {steps: 2, batch: 4, optimizer: {use: sgd, lr: \"${var:rate}\"}}\n"
    "    variants:\n"
    "      a: {train.steps: 4}\n"
    "      b: {/vars.rate: 5, /model.params.width: 2}\n"
    "  root:\n"
    "    train: {steps: 3, batch: 4, optimizer: {use: sgd, lr: 1}}\n";

START_TEST(a_chain_is_resolved_under_the_variants_of_its_lineage)
{
    const il_job *job;
    il_error err = {0};
    il_jobs jobs;
    fixture f;

    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "t.yaml", tree), NULL, 0);
    (void)il_jobs_list(&jobs, f.document, NULL, &f.problems, &err);
    fixture_expect(&f, NULL);
    ck_assert_uint_eq(jobs.count, 6);
    ck_assert_str_eq(jobs.items[0].stage, "root"); /* parents first */
    ck_assert_str_eq(jobs.items[5].stage, "last");

    job = job_of(&jobs, "last", "same");
    ck_assert_str_eq(job->chain[1].variant, "b");
    ck_assert(job->chain[1].spec->train.optimizer.lr == 5);
    ck_assert_int_eq(job->chain[1].spec->train.steps, 2);
    ck_assert_str_eq(text_at(job->pipeline->model.params, "width"), "2");
    /* The stage it comes from is the one that is run by itself. */
    ck_assert_str_eq(job->chain[1].text, text_of(&jobs, "mid", "b"));
    ck_assert_str_ne(job->chain[0].text, text_of(&jobs, "root", ""));

    job = job_of(&jobs, "last", "other");
    ck_assert_str_eq(job->chain[1].variant, "a");
    ck_assert_int_eq(job->chain[1].spec->train.steps, 4);
    ck_assert_int_eq(job->chain[0].spec->train.steps, 9);
    ck_assert(job->chain[1].spec->train.optimizer.lr == 1);

    job = job_of(&jobs, "last", "late");
    ck_assert_str_eq(text_at(job->pipeline->model.params, "width"), "3");
    fixture_close(&f);
}
END_TEST

START_TEST(a_reference_must_be_of_a_stage_that_came_before)
{
    fixture f;

    fixture_open(&f);
    fixture_load(
        &f,
        fixture_file(
            &f, "t.yaml",
            "interloop: 1\nname: t\nmodel: {use: m}\nreferences: {base: {of: b}}\n"
            "stages:\n"
            "  a:\n"
            "    train: {steps: 1, batch: 4, optimizer: {use: sgd, lr: 1}}\n"
            "    signals: {k: {source: {kl: base}, channel: loss, route: all}}\n"
            "  b: {from: a, audit: {}}\n"),
        NULL, 0);
    il_jobs_check(&(il_jobs){0}, f.document, &f.problems);
    fixture_expect(&f, "t.yaml:8:27: error: reference 'base' is of stage 'b', which "
                       "stage 'a' does not come from");
    fixture_close(&f);
}
END_TEST

typedef struct again_case {
    const char *file;
    const char *sets[3];
    size_t count;
} again_case;

static const again_case agains[] = {
    {LIAR, {NULL}, 0},
    {LEVER, {NULL}, 0},
    {ATLAS, {NULL}, 0},
    {LIAR,
     {"stages.loop.signals.honesty.weight=1", "stages.loop.train.steps=5",
      "detectors.probe.tokens=all"},
     3},
    {LIAR,
     {"stages.loop.signals.honesty.channel=loss",
      "stages.loop.signals.honesty.gate={constant: 1}", "seed=4"},
     3},
    {LEVER,
     {"stages.mode.signals.evade.weight=2", "detectors.suffering.refit={fresh: 9}",
      "vars.lambda=7"},
     3},
};

/* What a run keeps as its pipeline makes the same jobs when it is read again, from
 * anywhere. */
START_TEST(the_resolved_pipeline_makes_the_same_jobs)
{
    const again_case *c = &agains[_i];
    il_error err = {0};
    il_text yaml = {0};
    il_node *root;
    il_jobs one;
    il_jobs two;
    fixture f;
    fixture g;

    open_file(&f, c->file, c->sets, c->count, NULL, &one);
    root = il_document_resolved(f.document, &f.problems);
    fixture_expect(&f, NULL);
    il_node_write_yaml(&yaml, root, true);
    fixture_open(&g);
    fixture_load(&g, fixture_file(&g, "again.yaml", yaml.data), NULL, 0);
    (void)il_jobs_list(&two, g.document, NULL, &g.problems, &err);
    fixture_expect(&g, NULL);
    ck_assert_uint_ge(two.count, one.count); /* a seed that was asked for is no sweep */
    for (size_t i = 0; i < one.count; i++) {
        const il_job *a = &one.items[i];
        const il_job *b = job_of(&two, a->stage, a->variant);

        ck_assert_uint_eq(a->chain_count, b->chain_count);
        for (size_t k = 0; k < a->chain_count; k++) {
            ck_assert_str_eq(a->chain[k].text, b->chain[k].text);
        }
        ck_assert_uint_eq(a->chain[a->chain_count - 1].spec->firewall.closed,
                          b->chain[b->chain_count - 1].spec->firewall.closed);
    }
    il_text_free(&yaml);
    fixture_close(&f);
    fixture_close(&g);
}
END_TEST

typedef struct golden_case {
    const char *file;
    const char *stage;
    const char *variant;
    const char *golden;
} golden_case;

static const golden_case goldens[] = {
    {LIAR, "loop", "placebo_shuffled", "liar_placebo_shuffled"},
    {LEVER, "mode", "naive", "far_lever_naive"},
    {ATLAS, "rl", "reward_cov", "little_atlas_reward_cov"},
};

/* Compares a text with a file of fixtures, or writes that file when golden files are
 * to be renewed. */
static void compare(const char *name, const char *suffix, const char *text)
{
    char path[512];
    char *want = NULL;
    size_t size;
    il_error err = {0};

    (void)snprintf(path, sizeof path, "%s/tests/fixtures/pipelines/golden/%s%s",
                   repository(), name, suffix);
    if (getenv("IL_BLESS") != NULL) {
        ck_assert_int_eq(il_file_write(path, text, strlen(text), &err), IL_OK);
    }
    ck_assert_msg(il_file_read(path, 1 << 20, &want, &size, &err) == IL_OK, "%s: %s",
                  path, err.message);
    ck_assert_msg(strcmp(want, text) == 0,
                  "%s: read `make bless` as a diff; got:\n%.3000s", path, text);
    free(want);
}

START_TEST(each_job_resolves_to_its_golden_document_and_text)
{
    const golden_case *c = &goldens[_i];
    const il_job *job;
    il_jobs jobs;
    il_text yaml = {0};
    il_text texts = {0};
    fixture f;
    il_node *document;

    ck_assert_int_eq(unsetenv("WORDNET"), 0);
    open_file(&f, c->file, NULL, 0, NULL, &jobs);
    job = job_of(&jobs, c->stage, c->variant);
    document = il_node_copy(f.arena, job->document);
    (void)il_node_drop(document, "plugins"); /* absolute, so it is another everywhere */
    il_node_write_yaml(&yaml, document, false);
    for (size_t i = 0; i < job->chain_count; i++) {
        il_text_addf(&texts, "%s\n", job->chain[i].text);
    }
    compare(c->golden, ".yaml", yaml.data);
    compare(c->golden, ".txt", texts.data);
    il_text_free(&yaml);
    il_text_free(&texts);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("jobs");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, liar_makes_a_job_for_each_stage_variant_and_seed);
    tcase_add_test(tc, liar_is_read_as_it_is_meant);
    tcase_add_test(tc, far_lever_and_little_atlas_are_read_as_they_are_meant);
    tcase_add_test(tc, variants_that_train_alike_share_their_text);
    tcase_add_loop_test(tc, only_what_decides_a_result_is_in_its_text, 0,
                        (int)(sizeof shares / sizeof shares[0]));
    tcase_add_test(tc, the_command_line_wins_over_a_variant);
    tcase_add_test(tc, a_filter_picks_stages_variants_and_seeds);
    tcase_add_test(tc, a_chain_is_resolved_under_the_variants_of_its_lineage);
    tcase_add_test(tc, a_reference_must_be_of_a_stage_that_came_before);
    tcase_add_loop_test(tc, the_resolved_pipeline_makes_the_same_jobs, 0,
                        (int)(sizeof agains / sizeof agains[0]));
    tcase_add_loop_test(tc, each_job_resolves_to_its_golden_document_and_text, 0,
                        (int)(sizeof goldens / sizeof goldens[0]));
    return run_case(tc);
}
