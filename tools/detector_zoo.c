/* interloop detector zoo: every detector of a pipeline fitted and judged on the same
 * activations, a line for each seed. See detector.h. */
#include "detector.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "tensor/blas.h"

static const char usage[] =
    "usage: interloop detector zoo PIPELINE --stage NAME [OPTION]...\n"
    "\n"
    "  Fits every detector of the pipeline on the activations of the model that the stage starts\n"
    "  from, sets its threshold on other rows, and judges it on the rows of the stage's audit,\n"
    "  held apart by id. One table: a line for each detector and seed, nothing averaged.\n"
    "  What the stage starts from is trained first where it has not been yet.\n"
    "\n"
    "  --detector NAME     only this one; may be given more than once. Those that it reads are\n"
    "                      fitted with it\n"
    "  --seed N            only this seed; may be given more than once\n"
    "  --out FILE          also writes the results there, as JSON\n"
    "  --json              prints JSON instead of the table\n"
    "  --set PATH=VALUE, --plugin-path DIR, --runs DIR, --workers N   as for interloop run\n"
    "\n"
    "  Fit and score times are processor time on this machine: of the fit without its harvest,\n"
    "  and of scoring the rows that judge, per row.\n";

/* One detector under one seed. */
typedef struct entry {
    const char *name, *component;
    il_text sites;
    uint64_t seed;
    bool fits;       /* there is something to fit */
    bool judged_too; /* it says something of a label: a dictionary does not */
    bool has_threshold, calibrated;
    double seconds;
    il_detector_judged judged;
    json_t *json;
    il_error failure; /* code IL_OK: none */
} entry;

typedef struct zoo {
    il_detector_cli *c;
    il_session *s;
    entry *entries;
    size_t count;
    const char *judge; /* where the rows that judge come from, for people */
} zoo;

/* Whether it is asked for, or is read by one that is. */
static bool needed(const zoo *z, const il_world *w, const il_detector *d)
{
    bool needs = il_detector_wanted(z->c, d->spec->name);

    for (size_t i = 0; i < w->detector_count && !needs; i++) {
        needs = il_detector_wanted(z->c, w->detectors[i]->spec->name) &&
                il_pipeline_composed(w->pipeline, w->detectors[i]->spec, d->spec->name);
    }
    return needs;
}

static void describe(entry *e, const il_detector *d)
{
    const il_names_spec *reads = d->spec->of.count > 0 ? &d->spec->of : &d->spec->sites;

    for (size_t i = 0; i < reads->count; i++) {
        il_text_addf(&e->sites, "%s%s", i > 0 ? " " : "", reads->items[i]);
    }
    if (e->failure.code == IL_OK && !e->judged_too) {
        e->json = json_pack("{s:f}", "fit_seconds", e->seconds);
    } else if (e->failure.code == IL_OK) {
        json_t *sites = json_array();

        for (size_t i = 0; i < reads->count; i++) {
            json_array_append_new(sites, json_string(reads->items[i]));
        }
        e->json = il_detector_judged_json(d, &e->judged);
        json_object_set_new(e->json, d->spec->of.count > 0 ? "of" : "sites", sites);
        if (e->fits) {
            json_object_set_new(e->json, "fit_seconds", json_real(e->seconds));
        }
        json_object_set_new(
            e->json, "score_us",
            json_real(1e6 * e->judged.seconds / (double)e->judged.measured.rows));
    } else {
        e->json = json_pack("{s:s}", "failed", e->failure.message);
    }
    json_object_set_new(e->json, "detector", json_string(e->name));
    json_object_set_new(e->json, "component", json_string(e->component));
    json_object_set_new(e->json, "seed", json_integer((json_int_t)e->seed));
}

/* Fits and judges one; what goes wrong is the entry's own. */
static void try(zoo *z, const il_stage_host *host, il_world *w, const il_job *job,
                il_detector *d)
{
    const il_stage_spec *stage = job->chain[job->chain_count - 1].spec;
    entry *e = &z->entries[z->count];
    il_status status = IL_OK;

    memset(e, 0, sizeof *e);
    e->name = d->spec->name;
    e->component = strrchr(d->instance->offer->id, '.');
    e->component = e->component != NULL ? e->component + 1 : d->instance->offer->id;
    e->seed = w->seed;
    e->fits = d->spec->fit.given;
    if (d->spec->from == NULL && (e->fits || d->spec->of.count > 0 ||
                                  d->spec->threshold.kind == IL_THRESHOLD_RATE)) {
        status = il_stage_fit_alone(host, w, job, d, &e->seconds, &e->failure);
    }
    e->judged_too = !e->fits || d->fields.label != NULL;
    if (status == IL_OK && e->judged_too && il_detector_wanted(z->c, d->spec->name)) {
        status = il_detector_judge_stage(&e->judged, w, stage, NULL, d, &z->judge,
                                         &e->failure);
    }
    e->has_threshold = d->has_threshold;
    e->calibrated = d->calibration.kind != IL_CALIBRATION_NONE;
    if (status != IL_OK || il_detector_wanted(z->c, d->spec->name)) {
        describe(e, d);
        z->count++;
    }
    if (status != IL_OK) {
        fprintf(stderr, "%s, seed %llu: %s%s%s\n", e->name, (unsigned long long)e->seed,
                e->failure.where, e->failure.where[0] != '\0' ? ": " : "",
                e->failure.message);
    }
}

/* All detectors under one seed, what is read before what reads it. */
static il_status visit(zoo *z, const il_job *job, il_error *err)
{
    il_stage_host host = il_detector_stage_host(z->s, z->c);
    const il_stage_spec *stage = job->chain[job->chain_count - 1].spec;
    int64_t at = (int64_t)job->chain_count - (stage->train.given ? 1 : 2);
    il_stage_result result = {0};
    il_detector_stage look = {.job = job, .spec = stage};
    il_draw_spec draw;
    il_draw purpose;
    il_status status =
        il_detector_judge_draw(stage, NULL, &draw, &purpose, &z->judge, err);

    if (status == IL_OK) {
        status = il_world_create(&look.world, &host.host, job->pipeline, job->seed,
                                 &z->s->problems, err);
    }
    if (status == IL_OK) {
        status = il_detector_names_check(&look, z->c, err);
    }
    if (status == IL_OK && at >= 0) {
        status = il_stage_ensure(&host, look.world, job, (size_t)at, NULL, &result,
                                 &z->s->problems, err);
    }
    il_stage_result_free(&result);
    if (status == IL_OK) {
        status = il_stage_load(&host, look.world, job, at, NULL, err);
    }
    for (int level = 0; status == IL_OK && level <= IL_DETECTOR_LEVELS; level++) {
        for (size_t i = 0; i < look.world->detector_count; i++) {
            il_detector *d = look.world->detectors[i];

            if (d->spec->level == level && needed(z, look.world, d)) {
                try(z, &host, look.world, job, d);
            }
        }
    }
    il_world_destroy(look.world);
    return status;
}

/* ---- what is shown -------------------------------------------------------------- */

static void cell(double value, const char *format)
{
    if (isfinite(value)) {
        printf(format, value);
    } else {
        printf("       -");
    }
}

static void print_entry(const entry *e, int width, int component)
{
    const double *v = e->judged.measured.value;

    printf("%-*s  %-*s %4llu ", width, e->name, component, e->component,
           (unsigned long long)e->seed);
    if (e->failure.code != IL_OK) {
        printf(" failed: %s\n", e->failure.message);
        return;
    }
    if (!e->judged_too) {
        printf("  %-48s  %6.3f            %s\n", "(features, read by others)",
               e->seconds, e->sites.data != NULL ? e->sites.data : "");
        return;
    }
    cell(v[IL_MEASURE_AUROC], "  %6.4f");
    cell(v[IL_MEASURE_TPR_AT_1], "  %6.4f");
    cell(e->has_threshold ? v[IL_MEASURE_TPR] : NAN, "  %6.4f");
    cell(e->has_threshold ? v[IL_MEASURE_FPR] : NAN, "  %6.4f");
    cell(e->judged.raw, "  %6.4f");
    cell(e->calibrated ? e->judged.ece : NAN, "  %6.4f");
    cell(e->fits ? e->seconds : NAN, "  %6.3f");
    printf("  %8.3f  %s\n", 1e6 * e->judged.seconds / (double)e->judged.measured.rows,
           e->sites.data != NULL ? e->sites.data : "");
}

/* Where a detector stands in the table: with its other seeds, at the first of them. */
static size_t rank(const zoo *z, size_t i)
{
    size_t first = 0;

    while (strcmp(z->entries[first].name, z->entries[i].name) != 0) {
        first++;
    }
    return first;
}

static void print_table(const zoo *z)
{
    const il_measured *rows = NULL;
    int width = 8;
    int component = 9;

    for (size_t i = 0; i < z->count; i++) {
        const entry *e = &z->entries[i];
        int name = (int)strlen(e->name);
        int kind = (int)strlen(e->component);

        width = name > width ? name : width;
        component = kind > component ? kind : component;
        rows = e->failure.code == IL_OK && e->judged_too && rows == NULL
                   ? &e->judged.measured
                   : rows;
    }
    if (rows != NULL) {
        printf("judged on %s: %" PRId64 " rows of %" PRId64 " documents, %" PRId64
               " positive, %" PRId64 " negative (of the first line)\n\n",
               z->judge, rows->rows, rows->documents, rows->positives, rows->negatives);
    }
    printf("%-*s  %-*s seed    AUROC  TPR@1%%  recall     FPR     ECE   after   fit s  "
           "score us  reads\n",
           width, "detector", component, "component");
    for (size_t at = 0; at < z->count; at++) {
        for (size_t i = 0; i < z->count; i++) {
            if (rank(z, i) == at) {
                print_entry(&z->entries[i], width, component);
            }
        }
    }
    printf(
        "\nrecall and FPR are at each detector's own threshold, set on other rows; ECE is "
        "of the logit's sigmoid, and after calibration; score is a row's\n");
}

static json_t *zoo_json(const zoo *z)
{
    json_t *rows = json_array();
    size_t failed = 0;

    for (size_t i = 0; i < z->count; i++) {
        json_array_append(rows, z->entries[i].json);
        failed += z->entries[i].failure.code != IL_OK;
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "pipeline",
                     z->s->jobs.items[0].pipeline->name, "stage",
                     z->s->jobs.items[0].stage, "judged_on", z->judge, "kernel",
                     il_blas_kernel(z->s->blas), "failed", (json_int_t)failed, "rows",
                     rows);
}

static il_status write_json(const zoo *z, il_error *err)
{
    json_t *json = zoo_json(z);
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    il_status status =
        text != NULL ? il_file_write(z->c->out, text, strlen(text), err)
                     : il_error_set(err, IL_ERR_MEMORY, z->c->out, "out of memory");

    free(text);
    json_decref(json);
    return status;
}

/* Every seed of the one stage and variant. */
static il_status visit_all(zoo *z, il_error *err)
{
    const il_jobs *jobs = &z->s->jobs;

    z->entries = calloc(jobs->count * (jobs->items[0].pipeline->detector_count + 1),
                        sizeof *z->entries);
    if (z->entries == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "zoo", "out of memory");
    }
    for (size_t i = 0; i < jobs->count; i++) {
        if (strcmp(jobs->items[i].stage, jobs->items[0].stage) != 0 ||
            strcmp(jobs->items[i].variant, jobs->items[0].variant) != 0) {
            return il_error_set(err, IL_ERR_INPUT, z->c->cli.run.path,
                                "expected one stage and variant: name one by --stage "
                                "and --variant");
        }
    }
    for (size_t i = 0; i < jobs->count; i++) {
        IL_TRY(visit(z, &jobs->items[i], err));
    }
    return IL_OK;
}

int il_detector_zoo_verb(int argc, char **argv)
{
    il_detector_cli c;
    il_session s = {0};
    il_error err = {0};
    zoo z = {.c = &c, .s = &s, .judge = ""};
    bool failed = false;
    int code = il_detector_parse(&c, argc, argv, usage);
    il_status status;

    if (code >= 0) {
        return code;
    }
    if (c.cli.run.path == NULL || c.cli.run.filter.stage_count != 1) {
        return il_detector_wrong(usage, "expected a pipeline and one --stage", "");
    }
    status = il_detector_session_open(&s, &c, usage, &err);
    if (status == IL_OK) {
        status = visit_all(&z, &err);
    }
    if (status == IL_OK && c.json) {
        il_detector_print_json(zoo_json(&z));
    } else if (status == IL_OK) {
        print_table(&z);
    }
    if (status == IL_OK && c.out != NULL) {
        status = write_json(&z, &err);
    }
    for (size_t i = 0; i < z.count; i++) {
        failed = failed || z.entries[i].failure.code != IL_OK;
        json_decref(z.entries[i].json);
        il_text_free(&z.entries[i].sites);
    }
    code = status != IL_OK ? il_cli_fail(&s, status, &err) : failed;
    free(z.entries);
    il_detector_session_close(&s, &c);
    return code;
}
