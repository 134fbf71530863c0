/* What an audit measures once more under edits: those that it names, and the ablation
 * of a fresh linear reader's direction, which tells whether the model uses what the
 * reader finds. */
#include <math.h>
#include <string.h>
#include "audit/audit_private.h"
#include "detect/edit.h"
#include "detect/linear.h"
#include "episode/recorded.h"
#include "interloop/rng.h"
#include "pipeline/batch.h"

/* ---- whether a site can be edited ------------------------------------------------ */

static il_status check_on_rows(const il_audit_work *w, const il_site_edits *edits,
                               il_error *err)
{
    const il_instance *data = w->in->data;
    int64_t rows = 0;
    int32_t split = il_split_find(data, w->in->spec->splits.items[0], &rows);
    il_batch *batch = NULL;
    il_status status = il_batch_create(&batch, err);

    if (status == IL_OK) {
        il_batch_reset(batch, 1);
        status = il_instance_dataset(data)->get(data->self, split, 0, 1, batch, err);
    }
    if (status == IL_OK) {
        status = il_batch_status(batch, err);
    }
    if (status == IL_OK) {
        il_shown seen = il_shown_of(batch, data);

        status = il_edits_check(edits, w->in->model, w->in->values, &seen.batch,
                                w->in->blas, err);
    }
    il_batch_destroy(batch);
    return status;
}

static il_status check_on_episodes(const il_audit_work *w, const il_site_edits *edits,
                                   il_error *err)
{
    const il_rollout_spec *asked = &w->in->spec->rollouts;
    const il_rollout_spec one = {.policy =
                                     asked->policy != NULL ? asked->policy : "own",
                                 .episodes = 1,
                                 .place = w->in->spec->place};
    const il_rollout key = {.environment = w->in->environment,
                            .model = w->in->model,
                            .values = w->in->values,
                            .seed = w->in->seed,
                            .draw = IL_DRAW_SHOW};
    il_recorded *episodes = NULL;
    il_status status =
        il_recorded_draw(&episodes, &one, &key, w->in->blas, w->in->pool, err);

    if (status == IL_OK) {
        status = il_edits_check(edits, w->in->model, w->in->values,
                                il_recorded_chunk(episodes, 0, NULL), w->in->blas, err);
    }
    il_recorded_destroy(episodes);
    return status;
}

/* ---- measuring ------------------------------------------------------------------ */

/* Takes over what was measured, as PREFIX.METRIC, and the answers. The outcome is left
 * out: nothing of then is read under an edit. */
static il_status take_over(il_audit_work *w, const il_audit *under, const char *prefix,
                           il_error *err)
{
    const json_t *all = json_object_get(under->json, "metrics");

    for (size_t i = 0; i < under->count; i++) {
        const char *name = under->metrics[i].name;
        json_t *more = json_copy(json_object_get(all, name));

        if (strncmp(name, "outcome.", 8) == 0) {
            json_decref(more);
            continue;
        }
        json_object_del(more, "value");
        IL_TRY(il__audit_put(w, il_arena_printf(w->out->arena, "%s.%s", prefix, name),
                             under->metrics[i].value, more, err));
    }
    if (strncmp(prefix, "edit.", 5) == 0 &&
        json_object_get(under->json, "answers") != NULL) {
        json_object_set(w->answers_under, prefix + 5,
                        json_object_get(under->json, "answers"));
    }
    w->out->looks = under->looks;
    return IL_OK;
}

/* Audits once more under one edit; with `behaviour` what the model does alone, without
 * what detectors say of it. */
static il_status audit_under(il_audit_work *w, const char *prefix,
                             const il_site_edit *edit, float strength, bool behaviour,
                             il_error *err)
{
    const il_site_edits edits = {1, edit, &strength};
    il_audit_spec spec = *w->in->spec;
    il_audit_input in = *w->in;
    il_audited *now =
        il_arena_calloc(w->out->arena, in.detector_count + 1, sizeof *now);
    il_audit *under = NULL;
    il_status status;

    if (now == NULL || prefix == NULL) {
        return il__audit_no_memory(err);
    }
    for (size_t i = 0; i < in.detector_count; i++) {
        now[i].now = w->in->detectors[i].now;
    }
    spec.splits.count = spec.splits.count > 0 ? 1 : 0;
    spec.fresh.count = 0;
    spec.edit_count = 0;
    spec.against = NULL;
    in.spec = &spec;
    in.edits = &edits;
    in.detectors = now;
    in.looks = w->out->looks;
    if (behaviour) {
        in.detector_count = 0;
        in.whole = false;
        spec.reference.policy = NULL;
    }
    IL_TRY(il_audit_run(&under, &in, err));
    status = take_over(w, under, prefix, err);
    il_audit_destroy(under);
    return status;
}

/* Whether what comes back from the site counts; rows or episodes are what the audit
 * has. */
static il_status editable(const il_audit_work *w, const il_site_edit *edit,
                          il_error *err)
{
    const float strength = 1.0f;
    const il_site_edits edits = {1, edit, &strength};

    if (w->in->data != NULL && w->in->spec->splits.count > 0) {
        return check_on_rows(w, &edits, err);
    }
    return w->in->environment != NULL ? check_on_episodes(w, &edits, err) : IL_OK;
}

/* ---- edits by name --------------------------------------------------------------- */

il_status il__audit_edited(il_audit_work *w, il_error *err)
{
    for (size_t i = 0; w->in->whole && i < w->in->spec->edit_count; i++) {
        const il_audit_edit_spec *e = &w->in->spec->edits[i];
        const il_detector *d = NULL;
        il_editor editor;

        for (size_t k = 0; k < w->in->detector_count; k++) {
            if (strcmp(w->in->detectors[k].now->spec->name, e->detector) == 0) {
                d = w->in->detectors[k].now;
            }
        }
        if (d == NULL) {
            return il_error_set(err, IL_ERR_INPUT, "audit",
                                "edit '%s': detector '%s' has not been fitted yet",
                                e->name, e->detector);
        }
        il_editor_open(&editor, d, &e->edit, e->tokens);
        IL_TRY(editable(w, &editor.site, err));
        IL_TRY(audit_under(w, il_arena_printf(w->out->arena, "edit.%s", e->name),
                           &editor.site, (float)e->weight, false, err));
    }
    return IL_OK;
}

/* ---- causal use -------------------------------------------------------------------
 */

/* What is at a site regardless of any label: a direction drawn at random. */
static il_status random_direction(const il_audit_work *w, const il_detector *reader,
                                  const il_acts *acts, il_detector **out, il_error *err)
{
    il_param weight = {0};
    il_param bias = {0};
    il_rng r;

    IL_TRY(il_detector_copy(out, reader, w->in->registry, err));
    il_instance_detector((*out)->instance)
        ->linear((*out)->instance->self, &weight, &bias);
    il_rng_open(&r, w->in->seed, w->in->depth, IL_RNG_SCRAMBLE, 0, UINT64_MAX - 1);
    for (int64_t k = 0; k < reader->widths[0]; k++) {
        const il_store *store = (*out)->instance->store;

        store->values[store->items[weight.id].offset + k] = il_rng_normal(&r);
    }
    (*out)->mean[0] = NULL;
    (*out)->inv[0] = NULL;
    return il_detector_spread(*out, acts, err);
}

il_status il__audit_causal(il_audit_work *w, const il_detector *reader,
                           const il_acts *acts, il_error *err)
{
    static const il_edit_spec ablate = {
        .given = true, .kind = IL_EDIT_ABLATE, .to_middle = true};
    const char *prefix =
        il_arena_printf(w->out->arena, "%s.ablated", reader->spec->name);
    il_detector *floor = NULL;
    il_error why = {.code = IL_OK};
    il_editor editor;
    il_status status;

    if (!w->in->whole || w->in->edits != NULL || reader->site_count != 1 ||
        reader->member_count > 0 || reader->elsewhere != NULL ||
        !il_detector_linear(reader)) {
        return IL_OK;
    }
    il_editor_open(&editor, reader, &ablate, "all");
    status = editable(w, &editor.site, &why);
    if (prefix == NULL) {
        return il__audit_no_memory(err);
    }
    if (status == IL_ERR_INPUT) { /* the model shows the site and no more */
        json_object_set_new(w->unread, prefix,
                            json_sprintf("%s: %s", why.where, why.message));
        return IL_OK;
    }
    if (status != IL_OK) {
        return il_error_set(err, why.code, why.where, "%s", why.message);
    }
    IL_TRY(audit_under(w, prefix, &editor.site, 1.0f, true, err));
    if (w->floored) {
        return IL_OK;
    }
    w->floored = true;
    status = random_direction(w, reader, acts, &floor, err);
    if (status == IL_OK) {
        il_editor_open(&editor, floor, &ablate, "all");
        status = audit_under(w, "floor.ablated", &editor.site, 1.0f, true, err);
    }
    il_detector_destroy(floor);
    return status;
}
