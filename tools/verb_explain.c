/* interloop explain: what a pipeline is made of and what each pressure can reach,
 * before anything runs. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/explain.h"
#include "loop/plan.h"
#include "session.h"

static const char usage[] =
    "usage: interloop explain PIPELINE [OPTION]...\n"
    "\n"
    "  Prints components and versions, sites with who reads them, and for every stage and\n"
    "  variant which parameters each signal may update and through which channels each\n"
    "  detector's pressure can reach what a reader reads. Nothing is trained or written.\n"
    "  Exit code 2 when a stage asks for a channel to be closed that is open.\n"
    "\n";

/* The page's facts about one pipeline. */
typedef struct page {
    il_arena *arena;
    il_explain explain;
    il_text refusals; /* a line for each stage and variant that would be refused */
    bool named;       /* variants were asked for by their names */
} page;

static void add_component(page *p, const il_instance *i)
{
    il_explain_component *c =
        (il_explain_component *)&p->explain.components[p->explain.component_count++];

    c->label = i->label;
    c->id = i->offer->id;
    c->version = i->offer->file->version;
    c->sha256 = i->offer->file->sha256;
}

static const char *readers_of(page *p, const il_world *w, int64_t site)
{
    const char *readers = NULL;

    for (size_t d = 0; d < w->detector_count; d++) {
        for (size_t s = 0; s < w->detectors[d]->site_count; s++) {
            if (w->detectors[d]->sites[s] == site) {
                const char *name = w->detectors[d]->spec->name;

                readers = readers == NULL
                              ? name
                              : il_arena_printf(p->arena, "%s, %s", readers, name);
            }
        }
    }
    return readers;
}

/* Detectors from files that differ from what they were made for. */
static void add_accepted(il_text *out, const il_world *w)
{
    for (size_t d = 0; d < w->detector_count; d++) {
        const il_detector *detector = w->detectors[d];

        if (detector->spec->from != NULL) {
            il_text_addf(out, "\n%s comes from %s, sha256 %.12s\n",
                         detector->spec->name, detector->spec->from, detector->source);
        }
        for (size_t i = 0; i < detector->accepted_count; i++) {
            const il_accepted *a = &detector->accepted[i];

            il_text_addf(
                out, "  made for another %s: here %s, in its contract %s (%s)\n",
                a->mismatch.what, a->mismatch.expected, a->mismatch.got, a->why);
        }
    }
}

/* What is between a detector's sites and its score: other detectors, a pooling, a
 * calibration. */
static void add_ways(il_text *out, const il_world *w)
{
    bool any = false;

    for (size_t d = 0; d < w->detector_count; d++) {
        const il_detector_spec *s = w->detectors[d]->spec;
        const char *separator = " reads ";

        if (s->of.count == 0 && s->pool == NULL && !s->calibrate.given) {
            continue;
        }
        il_text_addf(out, "\n%s", s->name);
        any = true;
        for (size_t i = 0; i < s->of.count; i++) {
            il_text_addf(out, "%s%s", separator, s->of.items[i]);
            separator = ", ";
        }
        separator = s->of.count > 0 ? ", " : " ";
        if (s->pool != NULL) {
            il_text_addf(out, "%sgives one score a sequence (%s)", separator, s->pool);
            separator = ", ";
        }
        if (s->calibrate.given) {
            il_text_addf(out, "%sis calibrated by %s", separator, s->calibrate.method);
        }
    }
    il_text_add(out, any ? "\n" : "");
}

/* Components, and the sites that somebody reads. */
static il_status add_parts(page *p, const il_world *w, il_error *err)
{
    p->explain.components =
        il_arena_calloc(p->arena, w->detector_count + 4, sizeof *p->explain.components);
    p->explain.sites =
        il_arena_calloc(p->arena, w->model->site_count + 1, sizeof *p->explain.sites);
    if (p->explain.components == NULL || p->explain.sites == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "explain", "out of memory");
    }
    add_component(p, w->model);
    if (w->data != NULL) {
        add_component(p, w->data);
    }
    if (w->environment != NULL) {
        add_component(p, w->environment);
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        add_component(p, w->detectors[d]->instance);
    }
    for (size_t s = 0; s < w->model->site_count; s++) {
        const char *readers = readers_of(p, w, (int64_t)s);

        if (readers != NULL) {
            il_explain_site *site =
                (il_explain_site *)&p->explain.sites[p->explain.site_count++];

            site->name = w->model->sites[s].name;
            site->shape = il_arena_printf(p->arena, "(B,T,%lld)",
                                          (long long)w->model->sites[s].width);
            site->readers = readers;
        }
    }
    return IL_OK;
}

/* "64 episodes of own, 32 episodes of exploratory", or prompts and answers. */
static void add_rollouts(il_text *out, const il_train_spec *train)
{
    for (size_t i = 0; i < train->rollout_count; i++) {
        const il_rollout_spec *r = &train->rollouts[i];

        il_text_add(out, i == 0 ? "" : " and ");
        if (r->prompts > 0) {
            il_text_addf(out, "%lld x %lld answers", (long long)r->prompts,
                         (long long)(r->samples > 0 ? r->samples : 1));
        } else {
            il_text_addf(out, "%lld episodes", (long long)r->episodes);
        }
        il_text_addf(out, " (%s: %s)", r->name, r->policy);
    }
}

static const char *what_it_does(page *p, const il_stage_spec *stage)
{
    const il_train_spec *train = &stage->train;
    il_text text = {0};
    const char *kept;

    if (train->given && train->updates > 0) {
        il_text_addf(&text, "%lld updates of ", (long long)train->updates);
        add_rollouts(&text, train);
        il_text_addf(&text, " in %lld lanes", (long long)train->lanes);
    } else if (train->given) {
        il_text_addf(
            &text, "%lld steps of %lld rows in %lld lanes%s", (long long)train->steps,
            (long long)train->batch, (long long)train->lanes,
            train->shadow != NULL ? ", upstream of the detector by a shadow" : "");
    }
    for (size_t i = 0; i < stage->fit.count; i++) {
        il_text_addf(&text, "%s%s", i == 0 ? "fits " : ", ", stage->fit.items[i]);
    }
    kept = il_arena_strdup(p->arena, text.data != NULL ? text.data : "looks");
    il_text_free(&text);
    return kept;
}

/* "stage" or "stage/variant"; NULL for a stage that starts from a new model. */
static const char *start_of(page *p, const il_stage_spec *stage)
{
    return stage->from == NULL || stage->from_variant == NULL
               ? stage->from
               : il_arena_printf(p->arena, "%s/%s", stage->from, stage->from_variant);
}

/* Judges the last stage of a job; what its ancestors press is worked out the same way,
 * on fresh weights. */
/* What a job is compared with, or whom it is scheduled for; NULL for neither. */
static const char *company_of(page *p, const il_job *job)
{
    static const char *const as[] = {
        "", "", "twin of %s: the same without the pressure",
        "placebo of %s: the same with what the score knows taken out"};
    il_text text = {0};
    const char *kept;

    if (job->scheduled != NULL) {
        il_text_add(&text, "scheduled as the ");
        il_text_addf(&text, as[job->role], /* both hold one %s */
                     job->scheduled[0] != '\0' ? job->scheduled : job->stage);
    } else if (job->role == IL_ROLE_PRESSED) {
        il_text_addf(&text, "compared with %s%s", job->twin != NULL ? "its twin " : "",
                     job->twin != NULL ? job->twin : "no twin");
        for (size_t i = 0; i < job->placebo_count; i++) {
            il_text_addf(&text, "%s%s", i == 0 ? " and its placebo " : ", ",
                         job->placebos[i]);
        }
        il_text_addf(&text, "%s%s", job->without != NULL ? "; without its " : "",
                     job->without != NULL ? job->without : "");
    }
    kept = text.size > 0 ? il_arena_strdup(p->arena, text.data) : NULL;
    il_text_free(&text);
    return kept;
}

static il_status explain_job(page *p, il_session *s, const il_job *job, il_text *out,
                             il_error *err)
{
    il_host shared = il_session_host(s);
    il_world *w = NULL;
    il_pressed pressed = {0};
    const il_job_step *last = &job->chain[job->chain_count - 1];
    il_explain_stage stage = {.stage = job->stage,
                              .variant = job->variant,
                              .from = start_of(p, last->spec),
                              .does = what_it_does(p, last->spec),
                              .company = company_of(p, job)};
    il_status status =
        il_world_create(&w, &shared, job->pipeline, job->seed, &s->problems, err);

    if (status == IL_OK) {
        status = il_pressed_create(&pressed, w, err);
    }
    if (status == IL_OK && p->explain.component_count == 0) {
        status = add_parts(p, w, err);
        if (status == IL_OK) {
            il_explain_parts_text(out, &p->explain);
            add_ways(out, w);
            add_accepted(out, w);
        }
    }
    for (size_t c = 0; status == IL_OK && c < job->chain_count; c++) {
        il_trainer *t = NULL;
        il_plan *plan = NULL;
        bool shown = c + 1 == job->chain_count;

        if (job->chain[c].spec->train.given) {
            status = il_trainer_create(&t, w, job->chain[c].spec, (uint32_t)c,
                                       &s->problems, err);
            if (status == IL_OK) {
                status = il_plan_make(&plan, t, &pressed, job->chain, c + 1, err);
            }
            if (status == IL_OK) {
                il_plan_inherit(plan, t, &pressed);
                stage.rows = plan->rows;
                stage.row_count = plan->row_count;
                stage.edits = plan->edits;
                stage.edit_count = plan->edit_count;
                stage.halts = plan->halts;
                stage.halt_count = plan->halt_count;
                stage.groups = plan->groups;
                stage.group_count = plan->group_count;
                stage.bits = w->model->store->count;
                stage.verdict = plan->verdict;
                stage.demand = plan->demand;
                stage.lowered = plan->lowered;
            }
        }
        if (status == IL_OK && shown) {
            const char *label =
                job->variant[0] == '\0'
                    ? job->stage
                    : il_arena_printf(p->arena, "%s/%s", job->stage, job->variant);
            il_error refusal = {0};

            /* Of what is scheduled only what it is, unless it was asked for. */
            if (plan == NULL || (job->scheduled != NULL && !p->named)) {
                stage.rows = NULL;
                stage.row_count = 0;
                stage.edit_count = 0;
                stage.halt_count = 0;
                stage.verdict = NULL;
            }
            il_explain_stage_text(out, &stage);
            if (plan != NULL && il_verdict_demand(plan->verdict, plan->demand, label,
                                                  &refusal) != IL_OK) {
                il_text_addf(&p->refusals, "%s: error: %s\n", refusal.where,
                             refusal.message);
            }
        }
        il_plan_destroy(plan);
        il_trainer_destroy(t);
    }
    il_pressed_free(&pressed);
    il_world_destroy(w);
    return status;
}

/* Variants are judged once: no seed changes a verdict. */
static il_status explain_all(page *p, il_session *s, il_error *err)
{
    p->explain.pipeline = s->jobs.items[0].pipeline->name;
    p->explain.numerics = s->numerics;
    for (size_t i = 0; i < s->jobs.count; i++) {
        il_text out = {0};
        il_status status;

        if (s->jobs.items[i].seed != s->jobs.items[0].seed) {
            continue;
        }
        status = explain_job(p, s, &s->jobs.items[i], &out, err);
        if (out.data != NULL) {
            fputs(out.data, stdout);
            putchar('\n');
        }
        il_text_free(&out);
        IL_TRY(status);
    }
    return IL_OK;
}

int il_verb_explain(int argc, char **argv)
{
    il_cli cli;
    il_session session = {0};
    il_error err = {0};
    page p = {.arena = il_arena_create(1 << 14)};
    int code = il_cli_parse(&cli, argc, argv, usage);
    il_status status;

    if (code < 0) {
        p.named = cli.run.filter.variant_count > 0;
        status = p.arena != NULL
                     ? il_session_open(&session, &cli.run, &err)
                     : il_error_set(&err, IL_ERR_MEMORY, "explain", "out of memory");
        if (status == IL_OK) {
            status = explain_all(&p, &session, &err);
        }
        code = status != IL_OK       ? il_cli_fail(&session, status, &err)
               : p.refusals.size > 0 ? 2
                                     : 0;
        /* After the page, where it is seen, and on a stream of its own. */
        fflush(stdout);
        fputs(p.refusals.data != NULL ? p.refusals.data : "", stderr);
        il_text_free(&p.refusals);
        il_session_close(&session);
    }
    il_arena_destroy(p.arena);
    return code;
}
