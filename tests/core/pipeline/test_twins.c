/* Which jobs press, what is their twin and placebo, and what is scheduled for them. */
#define _XOPEN_SOURCE 700
#include "support.h"
#include "pipeline/endpoint.h"

static const char head[] =
    "interloop: 1\n"
    "name: small\n"
    "vars: {price: 1.5}\n"
    "model: {use: gpt}\n"
    "data: {use: rows}\n"
    "detectors:\n"
    "  probe: {use: linear_probe, site: a, fit: {split: s, label: l}, threshold: {split: "
    "c, fpr: 0.1}}\n"
    "  other: {use: linear_probe, site: a, fit: {split: s, label: l}}\n"
    "stages:\n"
    "  pretrain:\n"
    "    train: {steps: 5, batch: 4, optimizer: {use: adam, lr: 1e-3}}\n"
    "    signals: {language: {source: next, channel: loss, route: all}}\n"
    "  loop:\n"
    "    from: pretrain\n"
    "    train: {steps: 5, batch: 4, optimizer: {use: adam, lr: 1e-3}}\n"
    "    signals:\n"
    "      language: {source: next, channel: loss, route: all}\n"
    "      truth: {source: {cross_entropy: out, targets: t}, channel: monitor, gate: "
    "{detector: probe}, route: all}\n"
    "      evade: {source: probe, channel: monitor, weight: \"${var:price}\", route: "
    "all}\n";

static fixture f;
static il_jobs jobs;

static void list(const char *tail, const il_jobs_filter *filter, const char *part)
{
    char text[8192];
    il_error err = {0};

    (void)snprintf(text, sizeof text, "%s%s", head, tail);
    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "p.yaml", text), NULL, 0);
    ck_assert_ptr_nonnull(f.document);
    (void)il_jobs_list(&jobs, f.document, filter, &f.problems, &err);
    fixture_expect(&f, part);
}

/* "loop/naive loop/naive.twin ...": all jobs but the first stage's. */
static void expect_jobs(const char *names)
{
    il_text found = {0};

    il_text_add(&found, "");
    for (size_t i = 0; i < jobs.count; i++) {
        if (strcmp(jobs.items[i].stage, "pretrain") != 0) {
            il_text_addf(&found, "%s%s", found.size > 0 ? " " : "",
                         jobs.items[i].variant);
        }
    }
    ck_assert_str_eq(found.data, names);
    il_text_free(&found);
}

static const il_signal_spec *signal_of(const char *variant, const char *name)
{
    const il_job *job = job_of(&jobs, "loop", variant);
    const il_stage_spec *s = job->chain[job->chain_count - 1].spec;

    for (size_t i = 0; i < s->signal_count; i++) {
        if (strcmp(s->signals[i].name, name) == 0) {
            return &s->signals[i];
        }
    }
    ck_abort_msg("no signal %s", name);
    return NULL;
}

static const char *text_of(const char *variant)
{
    const il_job *job = job_of(&jobs, "loop", variant);

    return job->chain[job->chain_count - 1].text;
}

START_TEST(a_pressed_job_gets_a_twin_and_a_placebo_of_its_seed)
{
    list("    variants: {naive: {signals.evade.channel: loss, firewall: open}}\n"
         "sweep: {seeds: [3, 4]}\n",
         NULL, NULL);
    ck_assert_uint_eq(jobs.count, 2 + 2 * 3);
    for (size_t i = 2; i < jobs.count; i++) {
        const il_job *job = &jobs.items[i];

        ck_assert_uint_eq(job->seed, 3 + i % 2);
        ck_assert_str_eq(job->chain[0].text, jobs.items[0].chain[0].text);
    }
    ck_assert_int_eq(jobs.items[2].role, IL_ROLE_PRESSED);
    ck_assert_str_eq(jobs.items[2].twin, "naive.twin");
    ck_assert_uint_eq(jobs.items[2].placebo_count, 1);
    ck_assert_str_eq(jobs.items[2].placebos[0], "naive.placebo");
    ck_assert_ptr_null(jobs.items[2].without);
    ck_assert_str_eq(jobs.items[4].variant, "naive.twin");
    ck_assert_int_eq(jobs.items[4].role, IL_ROLE_TWIN);
    ck_assert_str_eq(jobs.items[4].scheduled, "naive");
    ck_assert_int_eq(jobs.items[6].role, IL_ROLE_PLACEBO);
    fixture_close(&f);
}
END_TEST

START_TEST(a_twin_monitors_what_pressed_and_keeps_the_rest)
{
    list("    variants: {naive: {signals.evade.channel: loss, train.steps: 9, "
         "firewall: open, require: {probe.auroc: \"> 0\"}}}\n",
         NULL, NULL);
    ck_assert_int_eq(signal_of("naive.twin", "evade")->channel, IL_CHANNEL_MONITOR);
    ck_assert_int_eq(signal_of("naive.twin", "language")->channel, IL_CHANNEL_LOSS);
    ck_assert_int_eq(job_of(&jobs, "loop", "naive.twin")->chain[1].spec->train.steps,
                     9);
    ck_assert_uint_eq(job_of(&jobs, "loop", "naive")->chain[1].spec->requirement_count,
                      1); /* asked of the pressed one alone */
    ck_assert_uint_eq(
        job_of(&jobs, "loop", "naive.twin")->chain[1].spec->requirement_count, 0);
    ck_assert_ptr_null(strstr(text_of("naive.twin"), "probe"));
    fixture_close(&f);
}
END_TEST

START_TEST(a_placebo_scrambles_by_channel_and_keeps_the_rest)
{
    list("    variants:\n"
         "      naive: {signals.evade.channel: loss, firewall: open}\n"
         "      gated: {signals.truth.channel: loss, signals.truth.gate.through: true, "
         "firewall: open}\n",
         NULL, NULL);
    ck_assert_int_eq(signal_of("naive.placebo", "evade")->scramble, IL_SCRAMBLE_NOISE);
    ck_assert_int_eq(signal_of("naive.placebo", "evade")->channel, IL_CHANNEL_LOSS);
    ck_assert(signal_of("naive.placebo", "evade")->weight.to == 1.5);
    ck_assert_int_eq(signal_of("gated.placebo", "truth")->gate.scramble,
                     IL_SCRAMBLE_ROWS);
    ck_assert(!signal_of("gated.placebo", "truth")->gate.through);
    ck_assert_str_ne(text_of("naive"), text_of("naive.placebo"));
    fixture_close(&f);
}
END_TEST

START_TEST(a_declared_variant_that_trains_alike_is_the_twin)
{
    list("    variants:\n"
         "      quiet: {}\n"
         "      naive: {signals.evade.channel: loss, firewall: open}\n"
         "      gated: {signals.truth.channel: loss, firewall: open}\n"
         "      dealt: {signals.truth: {source: {cross_entropy: out, targets: t}, "
         "channel: loss, gate: {detector: probe, scramble: rows}, route: all}, "
         "firewall: open}\n",
         NULL, NULL);
    expect_jobs("quiet naive gated dealt naive.placebo");
    ck_assert_str_eq(job_of(&jobs, "loop", "naive")->twin, "quiet");
    ck_assert_str_eq(job_of(&jobs, "loop", "gated")->twin, "quiet");
    ck_assert_str_eq(job_of(&jobs, "loop", "gated")->placebos[0], "dealt");
    ck_assert_int_eq(job_of(&jobs, "loop", "quiet")->role, IL_ROLE_TWIN);
    ck_assert_int_eq(job_of(&jobs, "loop", "dealt")->role, IL_ROLE_PLACEBO);
    fixture_close(&f);
}
END_TEST

START_TEST(what_a_variant_says_that_it_is_counts_before_what_trains_alike)
{
    list(
        "    variants:\n"
        "      quiet: {}\n"
        "      base: {train.steps: 7, twin_of: naive}\n"
        "      any: {train.steps: 6, twin_of: all}\n"
        "      naive: {signals.evade.channel: loss, firewall: open}\n"
        "      longer: {signals.evade.channel: loss, train.steps: 11, firewall: open}\n"
        "      fake: {train.steps: 8, placebo_of: naive}\n"
        "      fake2: {train.steps: 9, placebo_of: naive}\n",
        NULL, NULL);
    expect_jobs("quiet base any naive longer fake fake2 longer.placebo");
    ck_assert_str_eq(job_of(&jobs, "loop", "naive")->twin, "base");
    ck_assert_uint_eq(job_of(&jobs, "loop", "naive")->placebo_count, 2);
    ck_assert_str_eq(job_of(&jobs, "loop", "longer")->twin, "any");
    fixture_close(&f);
}
END_TEST

START_TEST(two_that_would_have_the_same_twin_share_it)
{
    list("    variants:\n"
         "      naive: {signals.evade.channel: loss, firewall: open}\n"
         "      gated: {signals.truth.channel: loss, firewall: open}\n",
         NULL, NULL);
    expect_jobs("naive gated naive.twin naive.placebo gated.placebo");
    ck_assert_str_eq(job_of(&jobs, "loop", "gated")->twin, "naive.twin");
    fixture_close(&f);
}
END_TEST

START_TEST(they_can_be_chosen_and_turned_off_and_then_it_is_said)
{
    list("    variants:\n"
         "      naive: {signals.evade.channel: loss, firewall: open}\n"
         "      bare: {signals.evade.channel: loss, train.steps: 7, firewall: open, "
         "twins: none}\n"
         "      dealt: {signals.evade.channel: loss, train.steps: 8, firewall: open, "
         "twins.placebo: rows}\n"
         "twins: {placebo: none}\n",
         NULL, NULL);
    expect_jobs("naive bare dealt naive.twin dealt.twin dealt.placebo");
    ck_assert_str_eq(job_of(&jobs, "loop", "naive")->without,
                     "placebo: turned off by `twins`");
    ck_assert_str_eq(job_of(&jobs, "loop", "bare")->without,
                     "twin: turned off by `twins`; placebo: turned off by `twins`");
    ck_assert_int_eq(signal_of("dealt.placebo", "evade")->scramble, IL_SCRAMBLE_ROWS);
    fixture_close(&f);
}
END_TEST

START_TEST(a_stage_without_variants_has_a_plain_twin)
{
    list("twins: {placebo: constant}\n", NULL, NULL);
    expect_jobs(""); /* nothing presses */
    fixture_close(&f);
    list("  last:\n"
         "    from: loop\n"
         "    train: {steps: 5, batch: 4, optimizer: {use: adam, lr: 1e-3}}\n"
         "    signals: {evade: {source: probe, channel: loss, route: all}}\n"
         "    firewall: open\n"
         "    twins: {placebo: constant}\n",
         NULL, NULL);
    expect_jobs("twin placebo");
    ck_assert_str_eq(job_of(&jobs, "last", "")->twin, "twin");
    ck_assert_int_eq(
        job_of(&jobs, "last", "placebo")->chain[2].spec->signals[0].scramble,
        IL_SCRAMBLE_CONSTANT);
    fixture_close(&f);
}
END_TEST

START_TEST(points_that_do_not_reach_a_twin_share_it)
{
    static const char *const variants[] = {"naive@price=1,steps=6", "naive.twin"};
    il_jobs_filter some = {.variants = variants, .variant_count = 2};

    list("    variants: {naive: {signals.evade.channel: loss, firewall: open}}\n"
         "sweep: {grid: {vars.price: [1, 2], stages.loop.train.steps: [5, 6]}}\n",
         NULL, NULL);
    expect_jobs("naive@price=1,steps=5 naive@price=1,steps=6 naive@price=2,steps=5 "
                "naive@price=2,steps=6 naive.twin@steps=5 "
                "naive.placebo@price=1,steps=5 naive.twin@steps=6 "
                "naive.placebo@price=1,steps=6 naive.placebo@price=2,steps=5 "
                "naive.placebo@price=2,steps=6");
    ck_assert_str_eq(job_of(&jobs, "loop", "naive@price=2,steps=6")->twin,
                     "naive.twin@steps=6");
    fixture_close(&f);
    list("    variants: {naive: {signals.evade.channel: loss, firewall: open}}\n"
         "sweep: {grid: {vars.price: [1, 2], stages.loop.train.steps: [5, 6]}}\n",
         &some, NULL);
    expect_jobs("naive@price=1,steps=6 naive.twin@steps=5 naive.twin@steps=6");
    fixture_close(&f);
}
END_TEST

START_TEST(named_variants_run_by_themselves_and_know_their_twins)
{
    static const char *const naive[] = {"naive"};
    static const char *const twin[] = {"naive.placebo"};
    static const char *const wrong[] = {"nave.twin"};
    static const char tail[] =
        "    variants:\n"
        "      quiet: {}\n"
        "      naive: {signals.evade.channel: loss, firewall: open}\n"
        "      broken: {train.steps: 8, signals.evade.source: nobody}\n";
    il_jobs_filter filter = {.variants = naive, .variant_count = 1};

    list(tail, &filter, NULL);
    expect_jobs("naive");
    ck_assert_str_eq(job_of(&jobs, "loop", "naive")->twin, "quiet");
    fixture_close(&f);
    filter.variants = twin;
    list(tail, &filter, NULL);
    expect_jobs("naive.placebo");
    fixture_close(&f);
    filter.variants = wrong;
    list(tail, &filter, "no variant 'nave.twin', did you mean 'naive'?");
    fixture_close(&f);
}
END_TEST

START_TEST(what_only_watches_is_not_pressed)
{
    list("    variants: {quiet: {}, labelled: {signals.truth: {source: {cross_entropy: "
         "out, targets: t}, channel: loss, gate: {label: l}, route: all}}}\n",
         NULL, NULL);
    expect_jobs("quiet labelled");
    ck_assert_int_eq(jobs.items[1].role, IL_ROLE_NONE);
    ck_assert_int_eq(jobs.items[2].role, IL_ROLE_NONE);
    fixture_close(&f);
}
END_TEST

START_TEST(the_endpoint_is_declared_or_that_of_the_first_that_presses)
{
    il_endpoint_spec e;
    const char *hash;

    list("    variants: {naive: {signals.evade.channel: loss, firewall: open}}\n", NULL,
         NULL);
    ck_assert(il_endpoint_of(&e, &jobs, f.arena));
    ck_assert_str_eq(il_endpoint_text(&e, f.arena),
                     "{\"declared\": false, \"metric\": \"probe.tpr\", \"stage\": "
                     "\"loop\", \"versus\": \"twin\", \"margin\": 0.1}");
    hash = il_endpoint_hash(&e, f.arena);
    ck_assert_uint_eq(strlen(hash), 64);
    e.margin = 0.2;
    ck_assert_str_ne(hash, il_endpoint_hash(&e, f.arena));
    fixture_close(&f);
    list(
        "    variants: {naive: {signals.evade.channel: loss, firewall: open}}\n"
        "endpoint: {metric: lie, stage: loop, variant: naive, versus: placebo, margin: "
        "0.05, behaviour: lie, tax: [acc]}\n",
        NULL, NULL);
    ck_assert(il_endpoint_of(&e, &jobs, f.arena));
    ck_assert_str_eq(il_endpoint_text(&e, f.arena),
                     "{\"declared\": true, \"metric\": \"lie\", \"stage\": \"loop\", "
                     "\"variant\": \"naive\", \"versus\": \"placebo\", \"margin\": "
                     "0.05, \"behaviour\": \"lie\", \"tax\": [\"acc\"]}");
    fixture_close(&f);
}
END_TEST

START_TEST(neither_twins_nor_an_endpoint_change_what_is_trained)
{
    char *plain;

    list("    variants: {naive: {signals.evade.channel: loss, firewall: open}}\n", NULL,
         NULL);
    plain = strdup(text_of("naive"));
    fixture_close(&f);
    list("    variants: {naive: {signals.evade.channel: loss, firewall: open}}\n"
         "twins: none\n"
         "endpoint: {metric: lie, stage: loop}\n",
         NULL, NULL);
    ck_assert_str_eq(text_of("naive"), plain);
    free(plain);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("twins");
    Suite *suite = suite_create("pipeline");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tc, a_pressed_job_gets_a_twin_and_a_placebo_of_its_seed);
    tcase_add_test(tc, a_twin_monitors_what_pressed_and_keeps_the_rest);
    tcase_add_test(tc, a_placebo_scrambles_by_channel_and_keeps_the_rest);
    tcase_add_test(tc, a_declared_variant_that_trains_alike_is_the_twin);
    tcase_add_test(tc, what_a_variant_says_that_it_is_counts_before_what_trains_alike);
    tcase_add_test(tc, two_that_would_have_the_same_twin_share_it);
    tcase_add_test(tc, they_can_be_chosen_and_turned_off_and_then_it_is_said);
    tcase_add_test(tc, a_stage_without_variants_has_a_plain_twin);
    tcase_add_test(tc, points_that_do_not_reach_a_twin_share_it);
    tcase_add_test(tc, named_variants_run_by_themselves_and_know_their_twins);
    tcase_add_test(tc, what_only_watches_is_not_pressed);
    tcase_add_test(tc, the_endpoint_is_declared_or_that_of_the_first_that_presses);
    tcase_add_test(tc, neither_twins_nor_an_endpoint_change_what_is_trained);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
