/* Answers: what the model writes when an environment of text asks it, prompt kind by
 * prompt kind, and whether detectors flag the lies among them, now and under the
 * weights of then. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/answers_told.h"
#include "audit/outcome_private.h"
#include "audit/played_private.h"
#include "detect/rezero.h"
#include "interloop/abi.h"

/* How many answers to each kind of prompt are kept as text. */
enum { TOLD = 8 };

/* One text of the model's, and a detector's word on it. */
typedef struct flags {
    double share;     /* flagged, of the positive rows; NaN without one */
    int8_t *episodes; /* by episode: 1 a row is flagged, 0 none is, -1 none is scored */
    il_measured measured;
} flags;

static il_status play(il_recorded **out, const il_audit_work *w, int32_t kind,
                      const float *const *values, il_error *err)
{
    il_rollout_spec spec = {
        .policy = "own", .episodes = w->in->spec->samples, .place = w->in->spec->place};
    /* The same luck for every kind of prompt, every audit and every weights. */
    il_rollout key = {.environment = w->in->environment,
                      .model = w->in->model,
                      .values = values,
                      .edits = values == w->in->values ? w->in->edits : NULL,
                      .prompt = kind,
                      .seed = w->in->seed,
                      .draw = IL_DRAW_JUDGE};

    return il_recorded_draw(out, &spec, &key, w->in->blas, w->in->pool, err);
}

/* The environment's metrics of one kind. The first kind's stand under their own names,
 * and so do those of others that it does not have; the rest as KIND.NAME. */
static il_status put_metrics(il_audit_work *w, int32_t kind, const char *kind_name,
                             const il_recorded *answers, il_error *err)
{
    const il_instance *e = w->in->environment;
    const il_environment_api *api = il_instance_environment(e);
    il_status status = IL_OK;
    il_tally tally;

    if (!IL_HAS(api, metrics)) {
        return IL_OK;
    }
    il_tally_open(&tally);
    for (size_t i = 0; i < il_recorded_chunks(answers); i++) {
        api->metrics(e->self, kind, il_recorded_chunk(answers, i, NULL),
                     &tally.metrics);
    }
    status = tally.failed;
    for (size_t i = 0; status == IL_OK && i < tally.count; i++) {
        const char *name = tally.items[i].name;
        bool taken = kind > 0 && json_object_get(w->metrics, name) != NULL;

        status = il__audit_put(
            w, taken ? il_arena_printf(w->out->arena, "%s.%s", kind_name, name) : name,
            il_tally_value(&tally, name), NULL, err);
    }
    il_tally_close(&tally);
    return status;
}

/* ---- flags ---------------------------------------------------------------------- */

static il_status flag(flags *out, const il_audit_work *w, const il_recorded *answers,
                      const il_detector *d, const float *const *values,
                      const char *label, il_error *err)
{
    int64_t count = il_recorded_count(answers);
    il_verdicts v = {.escalated = NAN};
    int64_t positives = 0;
    int64_t flagged = 0;
    il_status status;

    out->episodes = il_arena_alloc(w->out->arena, (size_t)count + 1);
    if (out->episodes == NULL) {
        return il__audit_no_memory(err);
    }
    memset(out->episodes, -1, (size_t)count);
    IL_TRY(il__played_read(&v, w, answers, d, values, NULL, label, err));
    for (int64_t i = 0; i < v.scores.count; i++) {
        int8_t *episode = &out->episodes[v.acts->rows.rows[i] / v.acts->rows.length];
        int8_t fires = v.logits[i] > d->threshold;

        *episode = fires > *episode ? fires : *episode;
        positives += v.scores.labels[i] != 0;
        flagged += v.scores.labels[i] != 0 && fires;
    }
    out->share = positives > 0 ? (double)flagged / (double)positives : NAN;
    status = il__played_measure(w, &v.scores, &out->measured, err);
    il__played_close(&v);
    return status;
}

static il_status put_flag(il_audit_work *w, const il_detector *d, const char *name,
                          double share, il_error *err)
{
    return isfinite(share)
               ? il__audit_put(
                     w, il_arena_printf(w->out->arena, "%s.%s", d->spec->name, name),
                     share, NULL, err)
               : IL_OK;
}

/* The text of then under the weights of then and of now: the first two cells. */
static il_status read_past(il_audit_work *w, const il_audited *a, const char *label,
                           flags cell[2], il_error *err)
{
    il_detector old = il_detector_unmoved(a->then != NULL ? a->then : a->now);
    il_recorded *answers = NULL;
    il_status status = play(&answers, w, 0, a->then_values, err);

    if (status == IL_OK) {
        status = flag(&cell[0], w, answers, &old, a->then_values, label, err);
    }
    if (status == IL_OK) {
        status = flag(&cell[1], w, answers, a->now, w->in->values, label, err);
    }
    il_recorded_destroy(answers);
    return status;
}

static il_status put_cells(il_audit_work *w, const il_detector *d, const flags cell[2],
                           const flags *y1w0, const flags *y1w1, il_error *err)
{
    const flags *all[] = {&cell[0], &cell[1], y1w0, y1w1};

    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"cells.y0w0", "cells.y0w1", "cells.y1w0",
                                            "cells.y1w1"};

        IL_TRY(put_flag(w, d, names[i], all[i]->share, err));
        IL_TRY(il__audit_put_cell(w, d, names[i], &all[i]->measured, &all[i]->measured,
                                  err));
    }
    return IL_OK;
}

static bool unchanged(const il_audit_work *w, const il_audited *a)
{
    return a->then_values == NULL || a->then_values == w->in->values;
}

static il_status read_answers(il_audit_work *w, const il_recorded *answers,
                              const il_audited *a, const char *label, flags *now,
                              flags *then, il_error *err)
{
    il_detector raw = il_detector_unmoved(a->now);
    il_detector old = il_detector_unmoved(a->then != NULL ? a->then : a->now);

    IL_TRY(flag(now, w, answers, a->now, w->in->values, label, err));
    *then = *now;
    if (!unchanged(w, a)) {
        IL_TRY(flag(then, w, answers, &old, a->then_values, label, err));
    }
    IL_TRY(put_flag(w, a->now, "flag_now", now->share, err));
    IL_TRY(put_flag(w, a->now, "flag_then", then->share, err));
    if (a->now->trusted != NULL) {
        flags unzeroed;

        IL_TRY(flag(&unzeroed, w, answers, &raw, w->in->values, label, err));
        IL_TRY(put_flag(w, a->now, "flag_raw", unzeroed.share, err));
    }
    w->out->looks += a->now->spec->vault;
    return IL_OK;
}

/* ---- all of it ------------------------------------------------------------------ */

/* Whether the answers are like what taught the detector. */
static il_status cover(il_audit_work *w, const il_recorded *answers,
                       const il_detector *d, il_error *err)
{
    il_verdicts v = {.escalated = NAN};
    il_status status =
        il__played_read(&v, w, answers, d, w->in->values, NULL, NULL, err);

    if (status == IL_OK) {
        status = il__audit_covered(w, d, d->spec->name, v.acts, err);
    }
    il__played_close(&v);
    return status;
}

/* Keeps the first of a kind's answers as text. */
static il_status keep_told(il_audit_work *w, const char *kind,
                           const il_recorded *answers, il_error *err)
{
    il_error why = {.code = IL_OK};
    json_t *told = il_answers_told(answers, TOLD, &why);

    if (told == NULL) { /* this environment tells nothing */
        return why.code == IL_OK
                   ? IL_OK
                   : il_error_set(err, why.code, why.where, "%s", why.message);
    }
    return json_object_set_new(w->answers, kind, told) == 0 ? IL_OK
                                                            : il__audit_no_memory(err);
}

/* One detector's flags. The text of then, which has to be written first, is for whole
 * audits and where an outcome hangs on it. */
static il_status read_one(il_audit_work *w, const il_recorded *answers,
                          const il_audited *a, const char *label, il_error *err)
{
    int64_t count = il_recorded_count(answers);
    bool classes = il__outcome_asks(w, a);
    bool past = w->in->whole;
    flags cell[2];
    flags now;
    flags then;

    IL_TRY(read_answers(w, answers, a, label, &now, &then, err));
    if (classes) {
        IL_TRY(il__outcome_answers(w, answers, now.episodes, then.episodes, err));
        past = past || il__outcome_needs_past(w);
    }
    cell[0] = cell[1] = now;
    if (past && !unchanged(w, a)) {
        IL_TRY(read_past(w, a, label, cell, err));
        if (classes) {
            IL_TRY(il__outcome_answers_then(w, count, cell[0].episodes,
                                            cell[1].episodes, err));
        }
    }
    if (w->in->whole) {
        IL_TRY(cover(w, answers, a->now, err));
    }
    if (w->in->whole && a->then_values != NULL) {
        IL_TRY(put_cells(w, a->now, cell, &then, &now, err));
    }
    return IL_OK;
}

static il_status read_first(il_audit_work *w, const il_recorded *answers, il_error *err)
{
    for (size_t i = 0; i < w->in->detector_count; i++) {
        const il_audited *a = &w->in->detectors[i];
        const char *label = NULL;

        if (a->now->trusted != NULL) {
            IL_TRY(put_flag(w, a->now, "shift_zero", a->now->offset, err));
        }
        if (a->now->has_threshold && il__played_judges(w, a->now, &label)) {
            IL_TRY(read_one(w, answers, a, label, err));
        }
    }
    return IL_OK;
}

il_status il__audit_answers(il_audit_work *w, il_error *err)
{
    const il_instance *e = w->in->environment;
    const il_named *kinds;
    int32_t count = 0;

    if (e == NULL || w->in->spec->samples < 1 ||
        il_instance_environment(e)->form != IL_ENVIRONMENT_TEXT) {
        return IL_OK;
    }
    kinds = il_instance_environment(e)->prompts(e->self, &count);
    for (int32_t k = 0; k < count; k++) {
        il_recorded *answers = NULL;
        il_status status = play(&answers, w, k, w->in->values, err);

        if (status == IL_OK) {
            status = put_metrics(w, k, kinds[k].name, answers, err);
        }
        if (status == IL_OK && w->in->whole) {
            status = keep_told(w, kinds[k].name, answers, err);
        }
        if (status == IL_OK && k == 0) {
            status = read_first(w, answers, err);
        }
        il_recorded_destroy(answers);
        IL_TRY(status);
    }
    return IL_OK;
}
