/* What a run asks: see asked.h. */
#include "loop/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "loop/halt.h"
#include "loop/json.h"
#include "pipeline/endpoint.h"

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "plan.json", "out of memory");
}

/* No name and an empty one are the same: that of a stage without variants. */
static bool same(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool is_of(const json_t *entry, const char *stage, const char *variant)
{
    return same(json_string_value(json_object_get(entry, "stage")), stage) &&
           same(json_string_value(json_object_get(entry, "variant")), variant);
}

/* ---- what was asked before ------------------------------------------------------ */

static il_status read_before(json_t **out, il_run *run, il_error *err)
{
    char *path = il_path_join(il_run_folder(run), "plan.json");
    il_status status = path != NULL ? IL_OK : no_memory(err);

    *out = NULL;
    if (status == IL_OK && il_file_exists(path)) {
        status = il__json_read(path, out, err);
    }
    free(path);
    return status;
}

/* The entries of a list that are about none of the jobs. */
static json_t *others(const json_t *list, const il_jobs *jobs)
{
    json_t *kept = json_array();
    size_t i;
    json_t *entry;

    json_array_foreach((json_t *)list, i, entry)
    {
        bool mine = false;

        for (size_t k = 0; k < jobs->count && !mine; k++) {
            mine = is_of(entry, jobs->items[k].stage, jobs->items[k].variant);
        }
        if (!mine) {
            (void)json_array_append(kept, entry);
        }
    }
    return kept;
}

/* ---- arms ----------------------------------------------------------------------- */

/* How many ends a job may have, by the halts of its stages. */
static int64_t ends_of(const il_job *job)
{
    int64_t ends = 1;

    for (size_t c = 0; c < job->chain_count; c++) {
        const il_stage_spec *spec = job->chain[c].spec;

        for (size_t i = 0; i < spec->signal_count; i++) {
            const il_signal_spec *s = &spec->signals[i];

            if (s->channel == IL_CHANNEL_HALT && il_signal_acts(s)) {
                ends *= il_halt_ends(spec, &s->halt);
            }
        }
    }
    return ends;
}

static json_t *arm_json(const il_job *job)
{
    json_t *arm = json_pack("{s:s, s:s}", "stage", job->stage, "variant", job->variant);
    json_t *placebos = json_array();

    if (il_role_name(job->role) != NULL) {
        (void)json_object_set_new(arm, "role", json_string(il_role_name(job->role)));
    }
    if (job->twin != NULL) {
        (void)json_object_set_new(arm, "twin", json_string(job->twin));
    }
    for (size_t i = 0; i < job->placebo_count; i++) {
        (void)json_array_append_new(placebos, json_string(job->placebos[i]));
    }
    if (job->placebo_count > 0) {
        (void)json_object_set(arm, "placebos", placebos);
    }
    json_decref(placebos);
    if (job->scheduled != NULL) {
        (void)json_object_set_new(arm, "scheduled", json_string(job->scheduled));
    }
    if (job->without != NULL) {
        (void)json_object_set_new(arm, "without", json_string(job->without));
    }
    if (ends_of(job) > 1) {
        (void)json_object_set_new(arm, "ends", json_integer(ends_of(job)));
    }
    return arm;
}

static void add_arms(json_t *arms, const il_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const il_job *job = &jobs->items[i];
        bool known = false;

        for (size_t k = 0; k < json_array_size(arms) && !known; k++) {
            known = is_of(json_array_get(arms, k), job->stage, job->variant);
        }
        if (!known && job->role != IL_ROLE_NONE) {
            (void)json_array_append_new(arms, arm_json(job));
        }
    }
}

/* ---- what chooses --------------------------------------------------------------- */

/* Whether a metric is one of a declared detector's: "probe.auroc", "probe@split.tpr".
 */
static bool reads_detector(const il_pipeline *p, const char *metric)
{
    size_t size = strcspn(metric, ".@");

    for (size_t i = 0; i < p->detector_count; i++) {
        if (strlen(p->detectors[i].name) == size &&
            strncmp(p->detectors[i].name, metric, size) == 0) {
            return true;
        }
    }
    return false;
}

/* Adds a pick unless it is there already; takes it over. */
static void add_pick(json_t *picks, json_t *pick)
{
    for (size_t i = 0; i < json_array_size(picks); i++) {
        if (json_equal(json_array_get(picks, i), pick)) {
            json_decref(pick);
            return;
        }
    }
    (void)json_array_append_new(picks, pick);
}

/* Halts that act by a detector's health. */
static void add_halts(json_t *picks, const il_job_step *step, il_arena *arena)
{
    for (size_t i = 0; i < step->spec->signal_count; i++) {
        const il_signal_spec *s = &step->spec->signals[i];
        const char *line = s->channel == IL_CHANNEL_HALT && il_signal_acts(s)
                               ? il_halt_line(arena, &s->halt)
                               : NULL;

        if (line != NULL) {
            add_pick(picks,
                     json_pack("{s:s, s:s, s:s, s:s, s:I}", "what", "halt", "stage",
                               step->stage, "signal", s->name, "line", line, "ends",
                               (json_int_t)il_halt_ends(step->spec, &s->halt)));
        }
    }
}

/* Demands on a detector's score, halts by its health, and what a sweep tries. */
static void add_picks(json_t *picks, const il_jobs *jobs, il_arena *arena)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const il_job *job = &jobs->items[i];

        for (size_t c = 0; c < job->chain_count; c++) {
            const il_stage_spec *spec = job->chain[c].spec;

            add_halts(picks, &job->chain[c], arena);
            for (size_t k = 0; k < spec->requirement_count; k++) {
                const il_require_spec *q = &spec->requirements[k];

                if (reads_detector(job->pipeline, q->metric)) {
                    add_pick(picks, json_pack("{s:s, s:s, s:s, s:s}", "what", "require",
                                              "stage", job->chain[c].stage, "metric",
                                              q->metric, "bound", q->text));
                }
            }
        }
        for (size_t k = 0; k < job->point_count; k++) {
            add_pick(picks, json_pack("{s:s, s:s}", "what", "sweep", "path",
                                      job->point[k].path));
        }
    }
}

/* ---- the endpoint --------------------------------------------------------------- */

/* The endpoint of these jobs with its hash; NULL in *out where there is none. */
static il_status endpoint_json(json_t **out, const il_jobs *jobs, il_arena *arena,
                               il_error *err)
{
    il_endpoint_spec spec;
    const char *text;
    const char *hash;

    *out = NULL;
    if (!il_endpoint_of(&spec, jobs, arena)) {
        return no_memory(err);
    }
    if (spec.metric == NULL) {
        return IL_OK;
    }
    text = il_endpoint_text(&spec, arena);
    hash = text != NULL ? il_endpoint_hash(&spec, arena) : NULL;
    *out = hash != NULL ? json_loads(text, 0, NULL) : NULL;
    if (*out == NULL || json_object_set_new(*out, "hash", json_string(hash)) != 0) {
        return no_memory(err);
    }
    return IL_OK;
}

/* Keeps the endpoint of before beside the new one where they differ. */
static void settle_endpoint(json_t *plan, const json_t *before, json_t *now,
                            const char *name, il_log *log)
{
    json_t *was = json_object_get(before, "endpoint");
    json_t *earlier = json_object_get(before, "endpoints_before");
    bool changed = was != NULL && now != NULL && !json_equal(was, now);

    if (earlier != NULL || changed) {
        earlier = earlier != NULL ? json_copy(earlier) : json_array();
        if (changed) {
            (void)json_array_append(earlier, was);
            il_log_write(log, IL_LOG_WARN, name,
                         "the endpoint is %s now and was %s when the run began",
                         json_string_value(json_object_get(now, "metric")),
                         json_string_value(json_object_get(was, "metric")));
        }
        (void)json_object_set_new(plan, "endpoints_before", earlier);
    }
    if (now != NULL || was != NULL) {
        (void)json_object_set(plan, "endpoint", now != NULL ? now : was);
    }
}

/* ---- plan.json ------------------------------------------------------------------ */

/* How many steps each training stage makes, by STAGE or STAGE/VARIANT, beside those of
 * before. */
static json_t *steps_of(const json_t *before, const il_jobs *jobs)
{
    json_t *all = before != NULL ? json_copy((json_t *)before) : json_object();

    for (size_t i = 0; i < jobs->count; i++) {
        const il_job *job = &jobs->items[i];
        const il_stage_spec *stage = job->chain[job->chain_count - 1].spec;
        char name[512];
        int n = snprintf(name, sizeof name, "%s%s%s", job->stage,
                         job->variant[0] != '\0' ? "/" : "", job->variant);

        if (stage->train.given && n > 0 && (size_t)n < sizeof name) {
            (void)json_object_set_new(all, name,
                                      json_integer(il_train_length(&stage->train)));
        }
    }
    return all;
}

il_status il_asked_open(il_asked *a, il_run *run, const il_jobs *jobs, il_arena *arena,
                        il_log *log, il_error *err)
{
    json_t *before = NULL;
    json_t *endpoint = NULL;
    json_t *arms;
    json_t *picks;
    il_status status = read_before(&before, run, err);

    if (status == IL_OK) {
        status = endpoint_json(&endpoint, jobs, arena, err);
    }
    if (status == IL_OK) {
        arms = others(json_object_get(before, "arms"), jobs);
        picks = json_object_get(before, "picks");
        picks = picks != NULL ? json_copy(picks) : json_array();
        add_arms(arms, jobs);
        add_picks(picks, jobs, arena);
        a->plan =
            json_pack("{s:s, s:o, s:o, s:o}", "pipeline", jobs->items[0].pipeline->name,
                      "arms", arms, "picks", picks, "variants",
                      others(json_object_get(before, "variants"), jobs));
        status = a->plan != NULL ? IL_OK : no_memory(err);
    }
    if (status == IL_OK) {
        (void)json_object_set_new(a->plan, "steps",
                                  steps_of(json_object_get(before, "steps"), jobs));
        settle_endpoint(a->plan, before, endpoint, il_run_name(run), log);
        status = il_run_json(run, "plan.json", a->plan, err);
    }
    json_decref(endpoint);
    json_decref(before);
    return status;
}

void il_asked_close(il_asked *a)
{
    json_decref(a->plan);
    a->plan = NULL;
}

bool il_asked_has(const il_asked *a, const il_job *job)
{
    size_t i;
    json_t *entry;

    json_array_foreach(json_object_get(a->plan, "variants"), i, entry)
    {
        if (is_of(entry, job->stage, job->variant)) {
            return true;
        }
    }
    return false;
}

il_status il_asked_add(il_asked *a, il_run *run, json_t *entry, il_error *err)
{
    if (json_array_append_new(json_object_get(a->plan, "variants"), entry) != 0) {
        return no_memory(err);
    }
    return il_run_json(run, "plan.json", a->plan, err);
}
