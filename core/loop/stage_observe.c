/* Stages observed: audits. See stage.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/audit.h"
#include "base/files.h"
#include "loop/stage_private.h"

static const char first_audit[] = "audit_first.json";

/* ---- auditing ------------------------------------------------------------------- */

/* The model's weights in a state, in the stage's arena. */
static il_status then_weights(il_stage_work *s, const il_state *state,
                              const float ***out, il_error *err)
{
    static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    const il_store *store = s->world->model->store;
    float *block = il_arena_calloc(s->arena, (size_t)store->total, sizeof *block);
    const float **values = il_arena_calloc(s->arena, store->count + 1, sizeof *values);

    if (block == NULL || values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, s->label, "out of memory");
    }
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        const char *tensor = il_arena_printf(s->arena, "model.%s", item->name);

        values[i] = block + item->offset;
        IL_TRY(il_state_take(state, tensor, f32, item->ndim, item->shape,
                             block + item->offset, err));
    }
    *out = values;
    return IL_OK;
}

/* The weights of then, which detectors of one stage share, and so its text; and the
 * detector of then where it may have moved. */
static il_status then_read(il_stage_work *s, il_stage_then *t, const il_detector *d,
                           il_error *err)
{
    const char *name = d->spec->name;
    char *folder = il_state_folder(s->host->runs, t->address);
    il_state *state = NULL;
    il_status status = folder != NULL
                           ? il_state_read(&state, folder, IL_STATE_RESULT, err)
                           : il_error_set(err, IL_ERR_MEMORY, name, "out of memory");

    for (size_t i = 0; i < s->world->detector_count && t->values == NULL; i++) {
        const il_stage_then *other = &s->then[i];

        if (other->values != NULL && strcmp(other->address, t->address) == 0) {
            t->values = other->values;
        }
    }
    if (status == IL_OK && t->values == NULL) {
        status = then_weights(s, state, &t->values, err);
    }
    if (status == IL_OK && il_detector_moves(d)) {
        status = il_detector_copy(&t->detector, d, s->host->host.registry, err);
    }
    if (status == IL_OK && t->detector != NULL) {
        status = il_detector_restore_all(
            t->detector, state->file, json_object_get(state->json, "contracts"), err);
    }
    il_state_destroy(state);
    free(folder);
    return status;
}

/* What a detector's scores are compared with: the stage that fitted it first. Where
 * that is this one, the weights of now, and no detector of then. */
static il_status then_of(il_stage_work *s, size_t number, il_audited *out,
                         il_error *err)
{
    il_world *w = s->world;
    const il_detector *d = w->detectors[number];
    const char *address = json_string_value(json_object_get(s->fitted, d->spec->name));
    il_stage_then *t;

    out->then_values = w->values;
    if (address == NULL || strcmp(address, s->address) == 0) {
        return IL_OK;
    }
    if (s->then == NULL) {
        s->then = il_arena_calloc(s->arena, w->detector_count + 1, sizeof *s->then);
    }
    if (s->then == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, s->label, "out of memory");
    }
    t = &s->then[number];
    if (t->values == NULL) {
        t->address = il_arena_strdup(s->arena, address);
        if (t->address == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, s->label, "out of memory");
        }
        IL_TRY(then_read(s, t, d, err));
    }
    out->then = t->detector;
    out->then_values = t->values;
    return IL_OK;
}

void il__stage_then_close(il_stage_work *s)
{
    for (size_t i = 0; s->then != NULL && i < s->world->detector_count; i++) {
        il_detector_destroy(s->then[i].detector);
    }
    s->then = NULL;
}

static il_status keep_metrics(il_stage_work *s, const il_audit *audit, int64_t step,
                              il_error *err)
{
    s->metrics = il_arena_calloc(s->arena, audit->count + 1, sizeof *s->metrics);
    if (s->metrics == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "audit", "out of memory");
    }
    for (size_t i = 0; i < audit->count; i++) {
        s->metrics[i].name = il_arena_strdup(s->arena, audit->metrics[i].name);
        s->metrics[i].value = audit->metrics[i].value;
        if (s->metrics[i].name == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "audit", "out of memory");
        }
    }
    s->metric_count = audit->count;
    json_decref(s->audit);
    s->audit = json_incref(audit->json);
    s->looks = audit->looks;
    json_decref(s->audit_time);
    s->audit_time =
        json_pack("{s:I, s:O}", "step", (json_int_t)step, "seconds", audit->seconds);
    return s->audit_time != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, "audit", "out of memory");
}

/* What a figure of before and after needs of a training stage's first audit is kept
 * beside the record, since its last one may come after a restart. */
static il_status keep_first(il_stage_work *s, il_error *err)
{
    json_t *played = json_object_get(s->audit, "played");

    return json_object_size(played) > 0
               ? il_record_json(s->record, first_audit, played, err)
               : IL_OK;
}

static void take_first(il_stage_work *s)
{
    char *path = il_path_join(s->record_folder, first_audit);
    json_t *played = path != NULL ? json_load_file(path, 0, NULL) : NULL;

    if (played != NULL) {
        json_object_set_new(s->audit, "first", played);
    }
    free(path);
}

/* Whether a line of the log has room for a metric: behaviour, and of a reader under its
 * plain name how well it ranks and what it catches. The rest is in audit.json. */
static bool is_logged(const char *name)
{
    const char *rest = strncmp(name, "fresh.", 6) == 0 ? name + 6 : name;
    const char *dot = strchr(rest, '.');

    return dot == NULL || strcmp(dot, ".auroc") == 0 || strcmp(dot, ".tpr") == 0;
}

static void log_audit(const il_stage_work *s, int64_t step)
{
    il_text line = {0};
    double seconds = 0;
    const char *part;
    json_t *took;

    json_object_foreach(json_object_get(s->audit_time, "seconds"), part, took)
    {
        seconds += json_number_value(took);
    }
    for (size_t i = 0; i < s->metric_count; i++) {
        const char *name = s->metrics[i].name;

        if (is_logged(name) && isfinite(s->metrics[i].value)) {
            il_text_addf(&line, "  %s %.3f", name, s->metrics[i].value);
        }
    }
    il_log_write(s->host->host.log, IL_LOG_INFO, s->label,
                 "audit at step %lld, %.1f s:%s", (long long)step, seconds,
                 line.data != NULL ? line.data : "");
    il_text_free(&line);
    json_object_foreach(json_object_get(s->audit_time, "seconds"), part, took)
    {
        il_text_addf(&line, "  %s %.2f s", part, json_number_value(took));
    }
    il_log_write(s->host->host.log, IL_LOG_DEBUG, s->label, "the audit took%s",
                 line.data != NULL ? line.data : "");
    il_text_free(&line);
}

il_status il__stage_audit(il_stage_work *s, int64_t step, bool last, il_error *err)
{
    il_world *w = s->world;
    il_audit_spec spec = s->spec->audit;
    il_audited *audited =
        il_arena_calloc(s->arena, w->detector_count + 1, sizeof *audited);
    il_audit_input in = {.registry = w->host.registry,
                         .spec = &spec,
                         .model = w->model,
                         .values = w->values,
                         .data = w->data,
                         .environment = w->environment,
                         .detectors = audited,
                         .blas = w->host.blas,
                         .pool = w->host.pool,
                         .log = w->host.log,
                         .seed = w->seed,
                         .depth = (uint32_t)s->at,
                         .whole = last,
                         .looks = s->looks};
    il_audit *audit = NULL;
    il_status status;

    if (audited == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "audit", "out of memory");
    }
    if (step == 0 && !last) {
        spec.fresh.count =
            0; /* fresh readers of the parent's weights stand in its own audit */
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        if (il_detector_ready(w->detectors[d])) {
            IL_TRY(then_of(s, d, &audited[in.detector_count], err));
            audited[in.detector_count++].now = w->detectors[d];
        }
    }
    status = il__stage_rezero(s, err);
    if (status == IL_OK) {
        status = il_audit_run(&audit, &in, err);
    }
    if (status == IL_OK) {
        status = keep_metrics(s, audit, step, err);
    }
    il_audit_destroy(audit);
    if (status == IL_OK && step == 0 && !last && s->record != NULL) {
        status = keep_first(s, err);
    }
    if (status == IL_OK && last && s->spec->train.given) {
        take_first(s);
    }
    if (status == IL_OK) {
        log_audit(s, step);
    }
    return status;
}
