/* Runs: see run.h. */
#include "loop/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/files.h"
#include "interloop/abi.h"
#include "loop/asked.h"
#include "loop/fleet.h"
#include "loop/ledger_apart.h"
#include "pipeline/plugins.h"

/* ---- the session ---------------------------------------------------------------- */

/* Our own executable, so that a result made by other code has another address. */
static il_status own_hash(char hex[IL_HASH_HEX], il_error *err)
{
    return il_hash_file("/proc/self/exe", hex, err);
}

il_status il_session_open(il_session *s, const il_run_options *o, il_error *err)
{
    char own[IL_HASH_HEX];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int share = o->jobs > 1 ? (int)(processors / o->jobs) : (int)processors;
    int workers = o->workers > 0 ? o->workers : share > 0 ? share : 1;
    il_text numerics = {0};
    bool portable;

    memset(s, 0, sizeof *s);
    s->log = o->log;
    s->arena = il_arena_create(1 << 14);
    if (s->arena == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, o->path, "out of memory");
    }
    s->problems.arena = s->arena;
    IL_TRY(il_document_load(&s->document, o->path, o->sets, o->set_count, &s->problems,
                            err));
    IL_TRY(il_problems_status(&s->problems, err));
    IL_TRY(il_jobs_list(&s->jobs, s->document, &o->filter, &s->problems, err));
    if (s->jobs.count == 0) {
        return il_error_set(err, IL_ERR_INPUT, o->path,
                            "nothing to run: no stage, variant or "
                            "seed is left after the choices made");
    }
    IL_TRY(il_plugins_find(&s->registry, o->plugin_path, o->plugin_path_count,
                           &s->jobs.items[0].pipeline->plugins, s->log, err));
    portable = s->jobs.items[0].pipeline->numerics == IL_NUMERICS_PORTABLE;
    IL_TRY(il_blas_open(&s->blas, portable, err));
    IL_TRY(own_hash(own, err));
    il_text_addf(&numerics, "%s; %s; interloop %s", il_blas_kernel(s->blas),
                 il_blas_version(s->blas), own);
    if (numerics.failed) {
        il_text_free(&numerics);
        return il_error_set(err, IL_ERR_MEMORY, o->path, "out of memory");
    }
    s->numerics = numerics.data;
    return il_pool_create(&s->pool, workers, err);
}

void il_session_close(il_session *s)
{
    il_pool_destroy(s->pool);
    il_registry_destroy(s->registry);
    il_document_destroy(s->document);
    il_arena_destroy(s->arena);
    free(s->numerics);
    memset(s, 0, sizeof *s);
}

il_host il_session_host(const il_session *s)
{
    il_host host = {
        .registry = s->registry, .blas = s->blas, .pool = s->pool, .log = s->log};

    return host;
}

/* ---- what a run leaves ---------------------------------------------------------- */

static il_status write_pipeline(il_session *s, il_run *run, il_error *err)
{
    il_node *resolved = il_document_resolved(s->document, &s->problems);
    il_text text = {0};
    il_status status;

    if (resolved == NULL) {
        return il_problems_status(&s->problems, err);
    }
    il_node_write_yaml(&text, resolved, false);
    status = text.failed
                 ? il_error_set(err, IL_ERR_MEMORY, "pipeline.yaml", "out of memory")
                 : il_run_text(run, "pipeline.yaml", text.data, err);
    il_text_free(&text);
    return status;
}

static il_status write_plugins(il_session *s, il_run *run, il_error *err)
{
    size_t count = il_registry_offers(s->registry);
    il_run_plugin *plugins = calloc(count + 1, sizeof *plugins);
    il_status status;
    size_t n = 0;

    if (plugins == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "plugins.lock", "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        const il_offer *offer = il_registry_offer(s->registry, i);

        if (offer->file->entry != NULL) {
            plugins[n].id = offer->id;
            plugins[n].version = offer->file->version;
            plugins[n].sha256 = offer->file->sha256;
            plugins[n].abi_major = offer->file->entry->prefix.abi_major;
            plugins[n++].abi_minor = offer->file->entry->prefix.abi_minor;
        }
    }
    status = il_run_plugins(run, plugins, n, err);
    free(plugins);
    return status;
}

static il_status describe(il_session *s, il_run *run, il_error *err)
{
    uint64_t *seeds = calloc(s->jobs.count, sizeof *seeds);
    il_run_about about = {.seeds = seeds,
                          .numerics = s->jobs.items[0].pipeline->numerics ==
                                              IL_NUMERICS_PORTABLE
                                          ? "portable"
                                          : "native",
                          .kernel = il_blas_kernel(s->blas)};
    il_status status;

    if (seeds == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "summary", "out of memory");
    }
    for (size_t i = 0; i < s->jobs.count; i++) {
        size_t j = 0;

        while (j < about.seed_count && seeds[j] != s->jobs.items[i].seed) {
            j++;
        }
        if (j == about.seed_count) {
            seeds[about.seed_count++] = s->jobs.items[i].seed;
        }
    }
    status = il_run_describe(run, &about, err);
    free(seeds);
    return status;
}

/* ---- jobs ----------------------------------------------------------------------- */

typedef struct runner {
    il_session *session;
    const il_run_options *options;
    il_run *run;
    il_asked asked;
    bool *failed; /* [job] */
} runner;

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* No name and an empty one are the same: that of a stage without variants. */
static bool same(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* Whether a job failed that this one starts from. */
static bool orphaned(const runner *r, const il_job *job)
{
    for (size_t i = 0; i < r->session->jobs.count; i++) {
        const il_job *other = &r->session->jobs.items[i];

        for (size_t c = 0;
             r->failed[i] && other->seed == job->seed && c + 1 < job->chain_count;
             c++) {
            if (same(other->stage, job->chain[c].stage) &&
                same(other->variant, job->chain[c].label)) {
                return true;
            }
        }
    }
    return false;
}

/* What the stage's last audit holds, which the caller decrefs; NULL without one. */
static json_t *audit_of(const il_stage_result *result)
{
    char *path =
        result->record != NULL ? il_path_join(result->record, "audit.json") : NULL;
    json_t *audit = path != NULL ? json_load_file(path, 0, NULL) : NULL;

    free(path);
    return audit;
}

/* What the sweep set for a job, as JSON; malloc'ed, NULL for nothing. */
static char *point_of(const il_job *job)
{
    il_text text = {0};

    for (size_t i = 0; i < job->point_count; i++) {
        il_text_add(&text, i == 0 ? "{" : ", ");
        il_text_add_json(&text, job->point[i].path);
        il_text_add(&text, ": ");
        il_node_write_canonical(&text, job->point[i].value);
    }
    if (job->point_count > 0) {
        il_text_add(&text, "}");
    }
    if (text.failed) {
        il_text_free(&text);
    }
    return text.data;
}

/* The placebos of a job, as JSON; malloc'ed, NULL for none. */
static char *placebos_of(const il_job *job)
{
    il_text text = {0};

    for (size_t i = 0; i < job->placebo_count; i++) {
        il_text_add(&text, i == 0 ? "[" : ", ");
        il_text_add_json(&text, job->placebos[i]);
    }
    if (job->placebo_count > 0) {
        il_text_add(&text, "]");
    }
    if (text.failed) {
        il_text_free(&text);
    }
    return text.data;
}

/* What detectors from files were taken with, as text for the summary; NULL for none. */
static char *accepted_of(const il_world *w)
{
    json_t *all = il_world_accepted(w);
    char *text = json_array_size(all) > 0 ? json_dumps(all, JSON_SORT_KEYS) : NULL;

    json_decref(all);
    return text;
}

static il_status add_row(runner *r, const il_world *w, const il_job *job,
                         const il_stage_result *result, il_error *err)
{
    size_t count = json_object_size(result->metrics);
    il_metric *metrics = calloc(count + 1, sizeof *metrics);
    il_run_row row = {.stage = job->stage,
                      .variant = job->variant,
                      .seed = job->seed,
                      .state = result->address,
                      .parent = result->parent[0] != '\0' ? result->parent : NULL,
                      .metrics = metrics};
    json_t *audit = audit_of(result);
    char *point = point_of(job);
    char *accepted = accepted_of(w);
    char *placebos = placebos_of(job);
    const char *name;
    json_t *value;
    il_status status;

    row.point = point;
    row.accepted = accepted;
    row.role = il_role_name(job->role);
    row.twin = job->twin;
    row.placebos = placebos;
    row.outcome =
        json_string_value(json_object_get(json_object_get(audit, "outcome"), "class"));
    if (metrics == NULL || (job->point_count > 0 && point == NULL) ||
        (job->placebo_count > 0 && placebos == NULL)) {
        json_decref(audit);
        free(metrics);
        free(point);
        free(accepted);
        free(placebos);
        return il_error_set(err, IL_ERR_MEMORY, "summary", "out of memory");
    }
    json_object_foreach(result->metrics, name, value)
    {
        if (json_is_number(value)) {
            metrics[row.metric_count].name = name;
            metrics[row.metric_count++].value = json_number_value(value);
        }
    }
    status = il_run_row_set(r->run, &row, err);
    json_decref(audit);
    free(point);
    free(accepted);
    free(placebos);
    free(metrics);
    return status == IL_OK ? il_run_summary(r->run, err) : status;
}

/* The plan of a training job goes into plan.json once for all seeds. */
static il_status add_plan(runner *r, il_world *w, const il_job *job,
                          const il_stage_host *host, il_error *err)
{
    const il_job_step *last = &job->chain[job->chain_count - 1];
    il_trainer *t = NULL;
    il_plan *plan = NULL;
    il_pressed pressed = {0};
    il_status status;

    if (!last->spec->train.given || il_asked_has(&r->asked, job)) {
        return IL_OK;
    }
    status = il_pressed_create(&pressed, w, err);
    if (status == IL_OK) {
        status =
            il_stage_load(host, w, job, (int64_t)job->chain_count - 2, &pressed, err);
    }
    if (status == IL_OK) {
        status = il_trainer_create(&t, w, last->spec, (uint32_t)job->chain_count - 1,
                                   &r->session->problems, err);
    }
    if (status == IL_OK) {
        status = il_plan_make(&plan, t, &pressed, job->chain, job->chain_count, err);
    }
    if (status == IL_OK) {
        status = il_asked_add(&r->asked, r->run,
                              il_plan_json(plan, t, job->stage, job->variant), err);
    }
    il_plan_destroy(plan);
    il_trainer_destroy(t);
    il_pressed_free(&pressed);
    return status;
}

/* Brings a job about and puts what it left into the run's folder. `end` tells what it
 * took where it was computed already, by a fleet, or is NULL. */
static il_status run_job(runner *r, const il_job *job, const il_stage_host *host,
                         const il_fleet_end *end, il_error *err)
{
    il_host shared = il_session_host(r->session);
    size_t last = job->chain_count - 1;
    il_world *w = NULL;
    il_run_job *folder = NULL;
    il_stage_result result = {0};
    double since = seconds();
    il_status status;

    if (end != NULL) {
        shared.log = NULL; /* what instances have to say was said where they worked */
    }
    status = il_world_create(&w, &shared, job->pipeline, job->seed,
                             &r->session->problems, err);

    if (status == IL_OK) {
        status =
            il_run_job_open(&folder, r->run, job->stage, job->variant, job->seed, err);
    }
    if (status == IL_OK) {
        status = il_stage_ensure(host, w, job, last, folder, &result,
                                 &r->session->problems, err);
    }
    if (status == IL_OK) {
        status = add_plan(r, w, job, host, err);
    }
    if (status == IL_OK) {
        status =
            il_run_job_publish(folder, result.address, result.record, seconds(), err);
    }
    if (status == IL_OK) {
        status = add_row(r, w, job, &result, err);
    }
    if (status == IL_OK) {
        il_log_write(r->session->log, IL_LOG_INFO, job->stage,
                     "%s%sseed %llu %s, %.1f s", job->variant,
                     job->variant[0] != '\0' ? " " : "", (unsigned long long)job->seed,
                     (end != NULL ? end->cached : result.cached) ? "was there" : "done",
                     end != NULL ? end->seconds : seconds() - since);
        status = il_stage_require(job->chain[last].spec, result.metrics, err);
    }
    if (folder != NULL) {
        il_status closed = il_run_job_close(folder, err);

        status = status != IL_OK ? status : closed;
    }
    il_stage_result_free(&result);
    il_world_destroy(w);
    return status;
}

/* Judges a job's training stages one after the other, on fresh weights: what is open is
 * known before anything is trained. */
static il_status judge_job(runner *r, const il_job *job, il_error *err)
{
    il_host shared = il_session_host(r->session);
    il_pressed pressed = {0};
    il_world *w = NULL;
    il_status status;

    shared.log = NULL; /* what instances have to say they say again when the job runs */
    status = il_world_create(&w, &shared, job->pipeline, job->seed,
                             &r->session->problems, err);
    if (status == IL_OK) {
        status = il_pressed_create(&pressed, w, err);
    }
    for (size_t c = 0; status == IL_OK && c < job->chain_count; c++) {
        il_trainer *t = NULL;
        il_plan *plan = NULL;
        const char *where = job->variant[0] != '\0' ? job->variant : job->stage;

        if (!job->chain[c].spec->train.given) {
            continue;
        }
        status = il_trainer_create(&t, w, job->chain[c].spec, (uint32_t)c,
                                   &r->session->problems, err);
        if (status == IL_OK) {
            status = il_plan_make(&plan, t, &pressed, job->chain, c + 1, err);
        }
        if (status == IL_OK) {
            status = il_verdict_demand(plan->verdict, plan->demand, where, err);
        }
        if (status == IL_OK) {
            il_plan_inherit(plan, t, &pressed);
        }
        il_plan_destroy(plan);
        il_trainer_destroy(t);
    }
    il_pressed_free(&pressed);
    il_world_destroy(w);
    return status;
}

/* No seed changes a verdict, so the first seed's jobs stand for all. */
static il_status judge_jobs(runner *r, il_error *err)
{
    for (size_t i = 0; i < r->session->jobs.count; i++) {
        const il_job *job = &r->session->jobs.items[i];

        if (job->seed == r->session->jobs.items[0].seed &&
            job->chain[job->chain_count - 1].spec->train.given) {
            IL_TRY(judge_job(r, job, err));
        }
    }
    return IL_OK;
}

/* Notes that a job failed; true when no other is to be begun. */
static bool note_failure(runner *r, size_t number, il_status status,
                         const il_error *failure, il_status *first, il_error *err)
{
    const il_job *job = &r->session->jobs.items[number];

    r->failed[number] = true;
    il_log_write(r->session->log, IL_LOG_ERROR, job->stage, "%s%sseed %llu: %s%s%s",
                 job->variant, job->variant[0] != '\0' ? " " : "",
                 (unsigned long long)job->seed, failure->where,
                 failure->where[0] != '\0' ? ": " : "", failure->message);
    if (*first == IL_OK) {
        *first = il_error_set(err, status, failure->where, "%s", failure->message);
    }
    return status == IL_ERR_INTERRUPTED || status == IL_ERR_MEMORY ||
           status == IL_ERR_IO;
}

/* Leaves a job out whose parent failed. */
static bool leave_out(runner *r, size_t number)
{
    const il_job *job = &r->session->jobs.items[number];

    if (!orphaned(r, job)) {
        return false;
    }
    r->failed[number] = true;
    il_log_write(r->session->log, IL_LOG_WARN, job->stage,
                 "%s%sseed %llu left out: a stage that it starts from failed",
                 job->variant, job->variant[0] != '\0' ? " " : "",
                 (unsigned long long)job->seed);
    return true;
}

static il_status run_in_turn(runner *r, const il_stage_host *host, il_error *err)
{
    il_status first = IL_OK;

    for (size_t i = 0; i < r->session->jobs.count; i++) {
        il_error failure = {0};
        il_status status;

        if (leave_out(r, i)) {
            continue;
        }
        status = run_job(r, &r->session->jobs.items[i], host, NULL, &failure);
        if (status != IL_OK && note_failure(r, i, status, &failure, &first, err)) {
            break;
        }
    }
    return first;
}

static il_status run_at_once(runner *r, const il_stage_host *host, il_error *err)
{
    il_status first = IL_OK;
    il_fleet *fleet = NULL;
    il_fleet_end end;
    size_t told = 0;

    IL_TRY(il_fleet_start(&fleet, r->session, host, r->options->jobs,
                          il_pool_workers(r->session->pool), err));
    while (il_fleet_next(fleet, &end)) {
        il_error failure = end.error;
        il_status status = end.status;

        told++;
        if (end.left) {
            (void)leave_out(r, end.job); /* its parent's failure was noted before */
            continue;
        }
        if (status == IL_OK) {
            status = run_job(r, &r->session->jobs.items[end.job], host, &end, &failure);
        }
        if (status != IL_OK &&
            note_failure(r, end.job, status, &failure, &first, err)) {
            break;
        }
    }
    il_fleet_destroy(fleet);
    if (first == IL_OK && host->stop != NULL && *host->stop) {
        return il_error_set(err, IL_ERR_INTERRUPTED, il_run_name(r->run),
                            "told to stop; the same command goes on");
    }
    if (first == IL_OK && told < r->session->jobs.count) {
        return il_error_set(err, IL_ERR_INTERNAL, il_run_name(r->run),
                            "its processes ended before its jobs: %zu of %zu are done",
                            told, r->session->jobs.count);
    }
    return first;
}

static il_status run_jobs(runner *r, il_error *err)
{
    il_stage_host host = {.host = il_session_host(r->session),
                          .runs = r->options->runs,
                          .run_name = il_run_name(r->run),
                          .numerics = r->session->numerics,
                          .stop = r->options->stop,
                          .progress = r->options->progress,
                          .progress_user = r->options->progress_user};

    return r->options->jobs > 1 ? run_at_once(r, &host, err)
                                : run_in_turn(r, &host, err);
}

il_status il_run_all(il_session *s, const il_run_options *o, char **folder,
                     il_error *err)
{
    runner r = {.session = s, .options = o};
    const char *name = o->name != NULL ? o->name : s->jobs.items[0].pipeline->name;
    il_status status = IL_OK;

    r.failed = calloc(s->jobs.count + 1, sizeof *r.failed);
    if (r.failed == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, name, "out of memory");
    }
    if (status == IL_OK) {
        status = judge_jobs(&r, err);
    }
    if (status == IL_OK) {
        status = il_run_open(&r.run, o->runs, name, err);
    }
    if (status == IL_OK) {
        *folder = strdup(il_run_folder(r.run));
        if (s->log != NULL) {
            /* no room: no log.txt */
            (void)il_log_add(s->log, IL_LOG_INFO, il_run_log, r.run);
        }
        status = write_pipeline(s, r.run, err);
    }
    if (status == IL_OK) {
        status = write_plugins(s, r.run, err);
    }
    if (status == IL_OK) {
        status = describe(s, r.run, err);
    }
    if (status == IL_OK) {
        status = il_run_rows_load(r.run, err);
    }
    if (status == IL_OK) {
        status = il_asked_open(&r.asked, r.run, &s->jobs, s->arena, s->log, err);
    }
    if (status == IL_OK) {
        status = run_jobs(&r, err);
    }
    if (status == IL_OK) {
        status = il_ledger_apart(r.run, err);
    }
    if (r.run != NULL && s->log != NULL) {
        il_log_remove(s->log, il_run_log, r.run);
    }
    il_asked_close(&r.asked);
    free(r.failed);
    il_run_close(r.run);
    return status;
}
