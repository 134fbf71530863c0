/* Stages: see stage.h. */
#include "loop/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "detect/saved.h"
#include "loop/stage_private.h"

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* ---- addresses ------------------------------------------------------------------ */

static bool names_has(const il_names_spec *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool takes_part_itself(const il_stage_spec *stage, const il_detector_spec *d)
{
    bool part =
        names_has(&stage->fit, d->name) ||
        (stage->train.shadow != NULL && strcmp(stage->train.shadow, d->name) == 0);

    for (size_t i = 0; i < stage->signal_count && !part; i++) {
        const il_signal_spec *s = &stage->signals[i];

        part =
            il_signal_acts(s) &&
            (s->channel == IL_CHANNEL_HALT ||
             (s->source.kind == IL_SOURCE_DETECTOR &&
              strcmp(s->source.name, d->name) == 0) ||
             (s->gate.kind == IL_GATE_DETECTOR && strcmp(s->gate.name, d->name) == 0));
    }
    return part;
}

/* Whether a detector's plugin has a part in a stage's result, itself or through a
 * detector that reads it. */
static bool takes_part(const il_pipeline *p, const il_stage_spec *stage,
                       const il_detector_spec *d)
{
    bool part = takes_part_itself(stage, d);

    for (size_t i = 0; i < p->detector_count && !part; i++) {
        part = takes_part_itself(stage, &p->detectors[i]) &&
               il_pipeline_composed(p, &p->detectors[i], d->name);
    }
    return part;
}

/* The instances that have a part in a stage's result, by identity, and the files that
 * detectors came from; `out` has room for two a detector and three more. */
static il_status identities(const il_world *w, const il_stage_spec *stage,
                            const char **out, size_t *count, il_error *err)
{
    size_t n = 0;

    if (w->data != NULL) {
        out[n++] = w->data->identity;
    }
    if (w->environment != NULL) {
        out[n++] = w->environment->identity;
    }
    IL_TRY(il_instance_address(w->model, &out[n++], err));
    for (size_t d = 0; d < w->detector_count; d++) {
        if (takes_part(w->pipeline, stage, w->detectors[d]->spec)) {
            out[n++] = w->detectors[d]->instance->identity;
            if (w->detectors[d]->source[0] != '\0') {
                out[n++] = w->detectors[d]->source;
            }
        }
    }
    *count = n;
    return IL_OK;
}

/* What the rows and episodes depend on: the data's fingerprint or the environment's, or
 * a hash of the two. */
static il_status fingerprint(const il_world *w, char hex[IL_HASH_HEX])
{
    uint8_t bytes[64];

    if (w->data != NULL) {
        il_instance_dataset(w->data)->fingerprint(w->data->self, bytes);
    }
    if (w->environment != NULL) {
        il_instance_environment(w->environment)
            ->fingerprint(w->environment->self, bytes + (w->data != NULL ? 32 : 0));
    }
    if (w->data != NULL && w->environment != NULL) {
        il_hash_bytes(bytes, sizeof bytes, hex);
        return IL_OK;
    }
    for (int i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    return IL_OK;
}

il_status il_stage_address(const il_stage_host *host, const il_world *w,
                           const il_job *job, size_t at, char hex[IL_HASH_HEX],
                           il_error *err)
{
    char data[IL_HASH_HEX];
    char parent[IL_HASH_HEX];
    const char **plugins = calloc(2 * w->detector_count + 3, sizeof *plugins);
    il_status status = IL_OK;

    if (plugins == NULL) {
        return no_memory(job->stage, err);
    }
    (void)fingerprint(w, data); /* cannot fail */
    for (size_t i = 0; i <= at && status == IL_OK; i++) {
        il_state_key key = {.text = job->chain[i].text,
                            .seed = job->seed,
                            .depth = (uint32_t)i,
                            .parent = i > 0 ? parent : NULL,
                            .plugins = plugins,
                            .data = data,
                            .numerics = host->numerics};

        status = identities(w, job->chain[i].spec, plugins, &key.plugin_count, err);
        if (status == IL_OK) {
            status = il_state_address(&key, hex, err);
        }
        if (status == IL_OK) {
            memcpy(parent, hex, IL_HASH_HEX);
        }
    }
    free(plugins);
    return status;
}

/* ---- work ----------------------------------------------------------------------- */

void il__stage_close(il_stage_work *s)
{
    il_record_close(s->record);
    il__stage_then_close(s);
    json_decref(s->fitted);
    json_decref(s->models);
    json_decref(s->audit);
    json_decref(s->audit_time);
    free(s->folder);
    free(s->record_folder);
    il_pressed_free(&s->pressed);
    il_arena_destroy(s->arena);
}

/* Whether detectors have a part in what a stage shows of itself: through an audit, or
 * through a signal, be it only watched. */
static bool shows_detectors(const il_stage_spec *stage)
{
    bool shows = stage->audit.given;

    for (size_t i = 0; i < stage->signal_count && !shows; i++) {
        shows = stage->signals[i].source.kind == IL_SOURCE_DETECTOR ||
                stage->signals[i].gate.kind == IL_GATE_DETECTOR;
    }
    return shows;
}

/* The record's key is all that observes: the stage as it is written, which holds audit,
 * ledger and watched signals, and the detectors where they show. */
static char *record_folder(const il_stage_work *s)
{
    const il_node *document = s->job->document;
    const il_node *stages = il_node_get(document, "stages");
    const il_node *parts[] = {
        stages != NULL ? il_node_get(stages, s->spec->name) : NULL,
        shows_detectors(s->spec) ? il_node_get(document, "detectors") : NULL};
    il_text key = {0};
    char *folder;

    for (size_t i = 0; i < 2; i++) {
        if (parts[i] != NULL) {
            il_node_write_canonical(&key, parts[i]);
        }
        il_text_add(&key, ";");
    }
    for (size_t d = 0; parts[1] != NULL && d < s->world->detector_count; d++) {
        il_text_add(&key, s->world->detectors[d]->source); /* what its file holds */
    }
    folder = key.failed ? NULL : il_record_folder(s->folder, key.data);
    il_text_free(&key);
    return folder;
}

il_status il__stage_open(il_stage_work *s, const il_stage_host *host, il_world *w,
                         const il_job *job, size_t at, il_error *err)
{
    const il_job_step *step = &job->chain[at];

    memset(s, 0, sizeof *s);
    s->host = host;
    s->world = w;
    s->job = job;
    s->at = at;
    s->spec = step->spec;
    s->arena = il_arena_create(1 << 16);
    s->fitted = json_object();
    s->models = json_array();
    if (s->arena == NULL || s->fitted == NULL || s->models == NULL) {
        return no_memory(step->stage, err);
    }
    s->label = il_arena_printf(s->arena, "%s%s%s seed %llu", step->stage,
                               step->label[0] != '\0' ? "/" : "", step->label,
                               (unsigned long long)job->seed);
    s->judged = -1;
    IL_TRY(il_halts_open(&s->halts, s->spec, s->arena, err));
    IL_TRY(il_pressed_create(&s->pressed, w, err));
    IL_TRY(il_stage_address(host, w, job, at, s->address, err));
    s->folder = il_state_folder(host->runs, s->address);
    s->record_folder = s->folder != NULL ? record_folder(s) : NULL;
    return s->folder != NULL && s->record_folder != NULL && s->label != NULL
               ? IL_OK
               : no_memory(step->stage, err);
}

/* Weights and detectors as they are before the first stage. */
static il_status start_afresh(il_world *w, il_error *err)
{
    return il_store_fill(w->model->store, w->seed, err);
}

il_status il__stage_parent(il_stage_work *s, il_trainer *t, il_error *err)
{
    char parent[IL_HASH_HEX];
    char *folder;
    il_status status;

    if (s->at == 0) {
        char hash[IL_HASH_HEX];

        IL_TRY(start_afresh(s->world, err));
        il_stage_model(s->world, hash);
        json_array_append_new(s->models, json_string(hash));
        return IL_OK;
    }
    IL_TRY(il_stage_address(s->host, s->world, s->job, s->at - 1, parent, err));
    folder = il_state_folder(s->host->runs, parent);
    if (folder == NULL) {
        return no_memory(s->label, err);
    }
    status = il__stage_read(s, folder, IL_STATE_RESULT,
                            s->spec->train.continue_optimizer ? t : NULL, true, err);
    free(folder);
    return status == IL_OK ? il__stage_references(s, (int64_t)s->at - 1, err) : status;
}

il_status il_stage_load(const il_stage_host *host, il_world *w, const il_job *job,
                        int64_t at, il_pressed *pressed, il_error *err)
{
    il_stage_work s;
    il_status status;

    if (at < 0) {
        return start_afresh(w, err);
    }
    status = il__stage_open(&s, host, w, job, (size_t)at, err);
    if (status == IL_OK) {
        status = il__stage_read(&s, s.folder, IL_STATE_RESULT, NULL, false, err);
    }
    if (status == IL_OK) {
        status = il__stage_references(&s, at, err);
    }
    if (status == IL_OK && pressed != NULL) {
        il_pressed_copy(pressed, &s.pressed);
    }
    il__stage_close(&s);
    return status;
}

/* ---- detectors from files ------------------------------------------------------- */

il_status il_stage_models(const il_stage_host *host, const il_world *w,
                          const il_job *job, int64_t at, json_t **out, il_error *err)
{
    char address[IL_HASH_HEX];
    il_state *state = NULL;
    char *folder;
    il_status status;

    IL_TRY(il_stage_address(host, w, job, (size_t)at, address, err));
    folder = il_state_folder(host->runs, address);
    if (folder == NULL) {
        return no_memory(job->stage, err);
    }
    status = il_state_read(&state, folder, IL_STATE_RESULT, err);
    if (status == IL_OK) {
        *out = json_incref(json_object_get(state->json, "models"));
    }
    il_state_destroy(state);
    free(folder);
    return status;
}

/* The lineage of the weights that the stage starts from. */
static il_status start_models(il_stage_work *s, json_t **out, il_error *err)
{
    char hash[IL_HASH_HEX];

    if (s->at > 0) {
        return il_stage_models(s->host, s->world, s->job, (int64_t)s->at - 1, out, err);
    }
    IL_TRY(start_afresh(s->world, err));
    il_stage_model(s->world, hash);
    *out = json_pack("[s]", hash);
    return IL_OK;
}

/* Whether every detector from a file that has a part here, or is audited, was fitted on
 * a model that this one descends from. */
static il_status check_models(il_stage_work *s, il_error *err)
{
    json_t *models = NULL;
    il_status status = IL_OK;

    for (size_t d = 0; status == IL_OK && d < s->world->detector_count; d++) {
        il_detector *detector = s->world->detectors[d];

        if (detector->spec->from == NULL ||
            !(shows_detectors(s->spec) ||
              takes_part(s->world->pipeline, s->spec, detector->spec))) {
            continue;
        }
        if (models == NULL) {
            status = start_models(s, &models, err);
        }
        if (status == IL_OK) {
            status = il_detector_descends(detector, models, err);
        }
    }
    json_decref(models);
    return status;
}

/* ---- bringing one about --------------------------------------------------------- */

/* A stage that fits detectors, or only looks. */
static il_status fit(il_stage_work *s, il_error *err)
{
    IL_TRY(il__stage_parent(s, NULL, err));
    IL_TRY(il_record_open(&s->record, s->record_folder, -1, err));
    /* What is read is fitted before what reads it, however they are listed. */
    for (size_t i = 0; i < (1 + IL_DETECTOR_LEVELS) * s->spec->fit.count; i++) {
        const il_detector *d =
            il_world_detector(s->world, s->spec->fit.items[i % s->spec->fit.count]);

        if (d->spec->level != (int)(i / s->spec->fit.count)) {
            continue;
        }
        il_log_write(s->host->host.log, IL_LOG_INFO, s->label, "fits %s",
                     d->spec->name);
        IL_TRY(il__stage_fit(s, d->spec, true, err));
        json_object_set_new(s->fitted, d->spec->name, json_string(s->address));
    }
    if (s->spec->audit.given) {
        IL_TRY(il__stage_look(s, 0, true, err));
    }
    return il__stage_write(s, IL_STATE_RESULT, NULL, err);
}

static il_status write_lineage(const il_stage_work *s, const char *parent,
                               il_error *err)
{
    const char **plugins =
        il_arena_calloc(s->arena, 2 * s->world->detector_count + 3, sizeof *plugins);
    char data[IL_HASH_HEX];
    il_state_key key = {.text = s->job->chain[s->at].text,
                        .seed = s->job->seed,
                        .depth = (uint32_t)s->at,
                        .parent = parent[0] != '\0' ? parent : NULL,
                        .plugins = plugins,
                        .data = data,
                        .numerics = s->host->numerics};

    if (plugins == NULL) {
        return no_memory(s->label, err);
    }
    IL_TRY(identities(s->world, s->spec, plugins, &key.plugin_count, err));
    (void)fingerprint(s->world, data); /* cannot fail */
    return il_state_lineage(s->folder, &key, s->host->run_name, s->label, err);
}

/* A stage that only fits or looks, whose result is there and was observed in another
 * way: it is looked at again, and nothing is fitted. The look counts as one more. */
static il_status look_again(il_stage_work *s, il_error *err)
{
    il_log_write(s->host->host.log, IL_LOG_INFO, s->label, "was there, looks again");
    IL_TRY(il__stage_read(s, s->folder, IL_STATE_RESULT, NULL, false, err));
    IL_TRY(il__stage_references(s, (int64_t)s->at, err));
    IL_TRY(il_record_open(&s->record, s->record_folder, -1, err));
    return s->spec->audit.given ? il__stage_look(s, 0, true, err) : IL_OK;
}

static il_status compute(il_stage_work *s, const char *parent, il_problems *problems,
                         il_error *err)
{
    bool there = il_state_exists(s->folder, IL_STATE_RESULT);
    il_status status;

    if (s->spec->train.given) {
        /* What was seen on the way cannot be had from the end: trained once more. */
        IL_TRY(write_lineage(s, parent, err));
        status = il__stage_train(s, problems, err);
    } else if (there) {
        status = look_again(s, err);
    } else {
        IL_TRY(write_lineage(s, parent, err));
        status = fit(s, err);
    }
    if (status != IL_OK) {
        return status;
    }
    if (s->audit != NULL) {
        IL_TRY(il_record_json(s->record, "audit.json", s->audit, err));
        IL_TRY(il_record_json(s->record, "audit_time.json", s->audit_time, err));
    }
    IL_TRY(il_record_finish(s->record, s->metrics, s->metric_count, err));
    IL_TRY(il__stage_unkeep(s, err));
    return il_state_remove(s->folder, IL_STATE_CHECKPOINT, err);
}

il_status il_stage_ensure(const il_stage_host *host, il_world *w, const il_job *job,
                          size_t at, il_run_job *folder, il_stage_result *out,
                          il_problems *problems, il_error *err)
{
    il_stage_result before = {0};
    il_stage_work s;
    il_status status;
    int lock = -1;

    memset(out, 0, sizeof *out);
    if (at > 0) {
        status = il_stage_ensure(host, w, job, at - 1, NULL, &before, problems, err);
        memcpy(out->parent, before.address, IL_HASH_HEX);
        il_stage_result_free(&before);
        if (status != IL_OK) {
            return status;
        }
    }
    status = il__stage_open(&s, host, w, job, at, err);
    s.out = folder;
    if (status == IL_OK) {
        memcpy(out->address, s.address, IL_HASH_HEX);
        status = check_models(&s, err);
    }
    if (status == IL_OK) {
        status = il_state_lock(host->runs, s.address, true, &lock, err);
    }
    if (status == IL_OK) {
        out->record = strdup(s.record_folder);
        status = il_record_finished(out->record, &out->metrics, err);
        out->cached =
            out->metrics != NULL && il_state_exists(s.folder, IL_STATE_RESULT);
    }
    if (status == IL_OK && !out->cached) {
        json_decref(out->metrics);
        out->metrics = NULL;
        status = compute(&s, out->parent, problems, err);
        if (status == IL_OK) {
            status = il_record_finished(out->record, &out->metrics, err);
        }
    }
    if (lock >= 0) {
        il_file_unlock(lock);
    }
    il__stage_close(&s);
    return status;
}

void il_stage_result_free(il_stage_result *r)
{
    json_decref(r->metrics);
    free(r->record);
    memset(r, 0, sizeof *r);
}

/* ---- requirements --------------------------------------------------------------- */

static bool holds(const il_require_spec *r, double value)
{
    switch (r->compare) {
    case IL_COMPARE_LESS:
        return value < r->bound;
    case IL_COMPARE_LESS_EQUAL:
        return value <= r->bound;
    case IL_COMPARE_GREATER:
        return value > r->bound;
    default:
        return value >= r->bound;
    }
}

il_status il_stage_require(const il_stage_spec *stage, const json_t *metrics,
                           il_error *err)
{
    il_text missed = {0};
    il_status status = IL_OK;

    for (size_t i = 0; i < stage->requirement_count; i++) {
        const il_require_spec *r = &stage->requirements[i];
        const json_t *value = json_object_get(metrics, r->metric);

        if (!json_is_number(value)) {
            il_text_addf(&missed, "%s%s was not measured, expected %s",
                         missed.size ? "; " : "", r->metric, r->text);
        } else if (!holds(r, json_number_value(value))) {
            il_text_addf(&missed, "%s%s is %.4g, expected %s", missed.size ? "; " : "",
                         r->metric, json_number_value(value), r->text);
        }
    }
    if (missed.size > 0) {
        status = il_error_set(err, IL_ERR_REQUIRE, stage->name, "%s", missed.data);
    }
    il_text_free(&missed);
    return status;
}
