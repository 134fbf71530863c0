/* Cells: what the model writes, and what the detectors say of it.
 *
 * A score psi(y, w) is of a text y read under weights w. With y0 and w0 of then, y1 and
 * w1 of now, the four cells part what changed in the text from what changed in the
 * reading of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/audit_private.h"
#include "audit/behaviour.h"
#include "audit/coverage.h"
#include "audit/outcome_private.h"
#include "audit/refit.h"
#include "pipeline/batch.h"

enum { DRAWS = 200 }; /* of documents, for intervals */

/* The text of then, sampled once for detectors with the same weights of then. */
typedef struct text_then {
    const float *const *values;
    il_behaviour *text;
} text_then;

il_status il__audit_put_cell(il_audit_work *w, const il_detector *d, const char *cell,
                             const il_measured *m, const il_measured *ranked,
                             il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR,
                                       IL_MEASURE_FPR};
    const char *name = il_arena_printf(w->out->arena, "%s.%s", d->spec->name, cell);

    if (name == NULL) {
        return il__audit_no_memory(err);
    }
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        if (isfinite(ranked->value[shown[i]])) {
            IL_TRY(il__audit_put_measure(w, name, ranked, shown[i], err));
        }
    }
    return isfinite(m->value[IL_MEASURE_MEAN])
               ? il__audit_put_measure(w, name, m, IL_MEASURE_MEAN, err)
               : IL_OK;
}

il_status il__audit_covered(il_audit_work *w, const il_detector *d, const char *name,
                            const il_acts *judged, il_error *err)
{
    il_harvest h = il__audit_harvest(w, w->in->values);
    il_acts *taught = NULL;
    double covered = NAN;
    il_status status;

    if (!w->in->whole || w->in->edits != NULL || w->in->data == NULL ||
        d->spec->fit.draw.split == NULL || !il_refit_can(d)) {
        return IL_OK;
    }
    IL_TRY(il_detector_harvest(&taught, d, &h, NULL, err));
    status = il_coverage(taught, judged, 0.99, &covered, err);
    il_acts_destroy(taught);
    if (status != IL_OK || !isfinite(covered)) {
        return status;
    }
    return il__audit_put(w, il_arena_printf(w->out->arena, "%s.coverage", name),
                         covered, NULL, err);
}

/* The label that a text's prompts come with: who speaks may be known before a word is
 * written. NULL where they have none. */
static const char *label_of(const il_detector *d, il_behaviour *text)
{
    il_batch *batch = NULL;
    il_error err = {.code = IL_OK};
    const char *label = d->fields.label;
    bool has = false;

    if (label != NULL && il_batch_create(&batch, &err) == IL_OK) {
        il_batch_reset(batch, 1);
        has = il_behaviour_fetch(text, 0, 1, batch, &err) == IL_OK &&
              il_batch_find(batch, label) != NULL;
    }
    il_batch_destroy(batch);
    return has ? label : NULL;
}

/* A detector's word on a text. */
typedef struct cell {
    il_measured text;
    /* The same beside the negatives of the first split where the text has none: a model
     * that is asked to lie writes nothing else. Else `text`. */
    il_measured ranked;
} cell;

static il_status score(const il_audit_work *w, const il_detector *d,
                       const il_acts *acts, float **logits, il_scores *out,
                       il_error *err)
{
    *logits = calloc((size_t)acts->rows.count + 1, sizeof **logits);
    if (*logits == NULL) {
        return il__audit_no_memory(err);
    }
    IL_TRY(il_detector_logits(d, w->in->blas, acts, *logits, err));
    *out = il__audit_scores(w, d, &acts->rows, *logits);
    return IL_OK;
}

/* Negatives of the first split, read by a detector under some weights; in the arena. */
typedef struct negatives {
    bool there;
    int64_t count;
    float *logits;
    int64_t *documents;
} negatives;

static il_status keep_negatives(const il_audit_work *w, const il_scores *all,
                                negatives *out, il_error *err)
{
    size_t room = (size_t)all->count + 1;

    out->logits = il_arena_calloc(w->out->arena, room, sizeof *out->logits);
    out->documents = il_arena_calloc(w->out->arena, room, sizeof *out->documents);
    if (out->logits == NULL || out->documents == NULL) {
        return il__audit_no_memory(err);
    }
    for (int64_t i = 0; all->labels != NULL && i < all->count; i++) {
        if (all->labels[i] == 0) {
            out->logits[out->count] = all->logits[i];
            out->documents[out->count++] = all->documents[i];
        }
    }
    out->there = true;
    return IL_OK;
}

static il_status find_negatives(const il_audit_work *w, const il_detector *d,
                                const float *const *values, negatives *out,
                                il_error *err)
{
    il_harvest h = il__audit_harvest(w, values);
    il_acts *acts = NULL;
    float *logits = NULL;
    il_scores all;
    il_status status;

    if (out->there) {
        return IL_OK;
    }
    status = il_detector_harvest(&acts, d, &h, w->in->spec->splits.items[0], err);
    if (status == IL_OK) {
        status = score(w, d, acts, &logits, &all, err);
    }
    if (status == IL_OK) {
        status = keep_negatives(w, &all, out, err);
    }
    free(logits);
    il_acts_destroy(acts);
    return status;
}

/* Measures a text that is all positive beside the negatives of the first split, read
 * under the same weights: in a whole audit. */
static il_status rank(const il_audit_work *w, const il_detector *d,
                      const float *const *values, const il_scores *text,
                      negatives *beside, cell *out, il_error *err)
{
    il_arena *arena = w->out->arena;
    il_scores both = *text;
    size_t n = (size_t)text->count;
    size_t room;
    float *logits;
    uint8_t *labels;
    int64_t *documents;

    out->ranked = out->text;
    if (!w->in->whole || out->text.positives == 0 || out->text.negatives > 0 ||
        w->in->spec->splits.count == 0) {
        return IL_OK;
    }
    IL_TRY(find_negatives(w, d, values, beside, err));
    room = n + (size_t)beside->count + 1;
    logits = il_arena_calloc(arena, room, sizeof *logits);
    labels = il_arena_calloc(arena, room, 1);
    documents = il_arena_calloc(arena, room, sizeof *documents);
    if (logits == NULL || labels == NULL || documents == NULL) {
        return il__audit_no_memory(err);
    }
    memcpy(logits, text->logits, n * sizeof *logits);
    memcpy(labels, text->labels, n);
    memcpy(documents, text->documents, n * sizeof *documents);
    memcpy(logits + n, beside->logits, (size_t)beside->count * sizeof *logits);
    memcpy(documents + n, beside->documents, (size_t)beside->count * sizeof *documents);
    both.count += beside->count;
    both.logits = logits;
    both.labels = labels;
    both.documents = documents;
    return il_scores_measure(&both, DRAWS, w->in->seed, w->in->depth, &out->ranked,
                             err);
}

/* A detector's measures on a text, read under some weights; of now the coverage too,
 * where that is wanted. */
static il_status read_text(il_audit_work *w, const il_detector *d,
                           const float *const *values, il_behaviour *text, bool covers,
                           negatives *beside, cell *out, il_error *err)
{
    il_harvest h = il__audit_harvest(w, il_detector_weights(d, values));
    il_acts *acts = NULL;
    float *logits = NULL;
    il_scores scores;
    il_status status;

    h.fetch = il_behaviour_fetch;
    h.user = text;
    h.rows = text->rows;
    h.split = "prompts";
    h.fields = d->fields;
    h.fields.label = label_of(d, text);
    h.sites = d->sites;
    h.site_count = d->site_count;
    h.gathered = il_detector_reads_rows(d);
    status = il_acts_harvest(&acts, &h, err);
    if (status == IL_OK) {
        status = score(w, d, acts, &logits, &scores, err);
    }
    if (status == IL_OK) {
        status = il_scores_measure(&scores, DRAWS, w->in->seed, w->in->depth,
                                   &out->text, err);
    }
    if (status == IL_OK) {
        status = rank(w, d, values, &scores, beside, out, err);
    }
    if (status == IL_OK && covers) {
        status = il__audit_covered(w, d, d->spec->name, acts, err);
    }
    free(logits);
    il_acts_destroy(acts);
    return status;
}

static il_status put_flagged(il_audit_work *w, const il_detector *d, const char *name,
                             const il_measured *m, il_error *err)
{
    return il__audit_put_as(
        w, il_arena_printf(w->out->arena, "%s.%s", d->spec->name, name), m,
        IL_MEASURE_FLAGGED, err);
}

/* Draws keyed as those of the text of now: the same prompts meet the same luck. */
static il_status sample_then(const il_audit_work *w, text_then *then,
                             const float *const *values, il_error *err)
{
    il_harvest h = il__audit_harvest(w, values);
    il_behaviour *text = NULL;

    if (then->text != NULL && then->values == values) {
        return IL_OK;
    }
    IL_TRY(il_behaviour_sample(&text, &h, w->in->seed, w->in->depth, err));
    il_behaviour_destroy(then->text);
    then->text = text;
    then->values = values;
    return IL_OK;
}

/* The row of one detector. Where nothing has changed since then, all cells are one. */
static il_status put_cells(il_audit_work *w, const il_audited *a, il_behaviour *now,
                           text_then *then, il_error *err)
{
    il_detector old = il__audit_then(a);
    bool same = a->then == NULL && a->then_values == w->in->values;
    cell all[2][2];                                             /* [text][weights] */
    negatives beside[2] = {{.there = false}, {.there = false}}; /* [weights] */

    IL_TRY(read_text(w, a->now, w->in->values, now, true, &beside[1], &all[1][1], err));
    IL_TRY(put_flagged(w, a->now, "flag_now", &all[1][1].text, err));
    if (a->then_values == NULL) {
        return IL_OK;
    }
    all[0][0] = all[0][1] = all[1][0] = all[1][1];
    if (!same) {
        IL_TRY(read_text(w, &old, a->then_values, now, false, &beside[0], &all[1][0],
                         err));
    }
    IL_TRY(put_flagged(w, a->now, "flag_then", &all[1][0].text, err));
    if (!w->in->whole) {
        return IL_OK;
    }
    if (!same) {
        IL_TRY(sample_then(w, then, a->then_values, err));
        IL_TRY(read_text(w, &old, a->then_values, then->text, false, &beside[0],
                         &all[0][0], err));
        IL_TRY(read_text(w, a->now, w->in->values, then->text, false, &beside[1],
                         &all[0][1], err));
    }
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"cells.y0w0", "cells.y0w1", "cells.y1w0",
                                            "cells.y1w1"};

        const cell *c = &all[i / 2][i % 2];

        IL_TRY(put_flagged(w, a->now, names[i], &c->text, err));
        IL_TRY(il__audit_put_cell(w, a->now, names[i], &c->text, &c->ranked, err));
    }
    return IL_OK;
}

il_status il__audit_cells(il_audit_work *w, il_error *err)
{
    il_harvest h = il__audit_harvest(w, w->in->values);
    il_behaviour *now = NULL;
    text_then then = {NULL, NULL};
    il_status status;

    if (!il_behaviour_asked(w->in->data)) {
        return IL_OK;
    }
    status = il_behaviour_sample(&now, &h, w->in->seed, w->in->depth, err);
    if (status == IL_OK) {
        status = il__audit_put_tally(w, &now->tally, err);
    }
    for (size_t i = 0; status == IL_OK && i < w->in->detector_count; i++) {
        const il_audited *a = &w->in->detectors[i];

        if (a->now->has_threshold) {
            status = put_cells(w, a, now, &then, err);
        }
        /* An environment's answers or episodes come first. */
        if (status == IL_OK && il__outcome_asks(w, a) && w->taken->count == 0) {
            status = il__outcome_text(w, now, err);
        }
    }
    il_behaviour_destroy(now);
    il_behaviour_destroy(then.text);
    return status;
}
