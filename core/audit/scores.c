/* Scores: the declared detectors on the splits that judge. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/audit_private.h"

enum { DRAWS = 200 }; /* of documents, for intervals */

static il_status check_apart(const il_detector *d, const il_acts *acts,
                             const char *split, il_arena *arena, il_error *err)
{
    int64_t n = 0;
    int64_t shared = 0;
    int64_t *ids = il_documents_list(&acts->rows, arena, &n);

    if (ids == NULL) {
        return il__audit_no_memory(err);
    }
    if (il_documents_meet(n, ids, d->fit_ids.count, d->fit_ids.ids, &shared) ||
        il_documents_meet(n, ids, d->calibration_ids.count, d->calibration_ids.ids,
                          &shared)) {
        return il_error_set(
            err, IL_ERR_INPUT, d->spec->name,
            "document %lld of split '%s' would judge this detector, and it "
            "fitted or calibrated it",
            (long long)shared, split);
    }
    return IL_OK;
}

il_status il__audit_measure(const il_audit_work *w, const il_detector *d,
                            const il_acts *acts, il_measured *m, il_error *err)
{
    float *logits = malloc(((size_t)acts->rows.count + 1) * sizeof *logits);
    il_scores scores = {.count = acts->rows.count,
                        .logits = logits,
                        .labels = acts->rows.labels,
                        .documents = acts->rows.documents,
                        .has_threshold = d->has_threshold,
                        .threshold = d->threshold};
    il_status status;

    if (logits == NULL) {
        return il__audit_no_memory(err);
    }
    status = il_detector_logits(d, w->in->blas, acts, logits, err);
    if (status == IL_OK) {
        status = il_scores_measure(&scores, DRAWS, w->in->seed, w->in->depth, m, err);
    }
    free(logits);
    return status;
}

/* How far each class moved along the reader's own scale since then. */
static il_status put_shift(il_audit_work *w, const il_audited *a, const char *name,
                           const char *split, const il_measured *now, il_error *err)
{
    const il_detector *then = a->then != NULL ? a->then : a->now;
    il_harvest h = il__audit_harvest(w, a->then_values);
    il_acts *acts = NULL;
    il_measured before;
    il_status status;

    if (a->then_values == NULL || a->then_values == w->in->values) {
        return IL_OK;
    }
    status = il_detector_harvest(&acts, then, &h, split, err);
    if (status == IL_OK) {
        status = il__audit_measure(w, then, acts, &before, err);
    }
    il_acts_destroy(acts);
    if (status != IL_OK) {
        return status;
    }
    IL_TRY(il__audit_put(w, il_arena_printf(w->out->arena, "%s.shift_positive", name),
                         now->value[IL_MEASURE_POSITIVE] -
                             before.value[IL_MEASURE_POSITIVE],
                         NULL, err));
    return il__audit_put(
        w, il_arena_printf(w->out->arena, "%s.shift_negative", name),
        now->value[IL_MEASURE_NEGATIVE] - before.value[IL_MEASURE_NEGATIVE], NULL, err);
}

il_status il__audit_judge(il_audit_work *w, const il_audited *a, const char *split,
                          bool first, il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC,    IL_MEASURE_TPR,
                                       IL_MEASURE_FPR,      IL_MEASURE_MEAN,
                                       IL_MEASURE_DPRIME,   IL_MEASURE_TPR_AT_1,
                                       IL_MEASURE_POSITIVE, IL_MEASURE_NEGATIVE};
    const char *name =
        first ? a->now->spec->name
              : il_arena_printf(w->out->arena, "%s@%s", a->now->spec->name, split);
    il_harvest h = il__audit_harvest(w, w->in->values);
    il_acts *acts = NULL;
    il_measured m;
    il_status status = il_detector_harvest(&acts, a->now, &h, split, err);

    if (status == IL_OK) {
        status = check_apart(a->now, acts, split, w->out->arena, err);
    }
    if (status == IL_OK) {
        status = il__audit_measure(w, a->now, acts, &m, err);
    }
    for (size_t i = 0; status == IL_OK && i < sizeof shown / sizeof *shown; i++) {
        status = il__audit_put_measure(w, name, &m, shown[i], err);
    }
    if (status == IL_OK) {
        status = put_shift(w, a, name, split, &m, err);
    }
    il_acts_destroy(acts);
    w->out->looks += a->now->spec->vault;
    return status;
}
