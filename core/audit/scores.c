/* Scores: the declared detectors on the splits that judge. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/played_private.h"
#include "audit/refit.h"
#include "detect/quality.h"

enum { DRAWS = 200 }; /* of documents, for intervals */

const il_measure il__audit_shown[IL_AUDIT_SHOWN] = {
    IL_MEASURE_AUROC,    IL_MEASURE_TPR,      IL_MEASURE_FPR,    IL_MEASURE_MEAN,
    IL_MEASURE_DPRIME,   IL_MEASURE_TPR_AT_1, IL_MEASURE_RECALL, IL_MEASURE_POSITIVE,
    IL_MEASURE_NEGATIVE, IL_MEASURE_PRECISION};
const il_measure il__audit_shown_whole[IL_AUDIT_SHOWN_WHOLE] = {
    IL_MEASURE_AUROC, IL_MEASURE_TPR, IL_MEASURE_FPR, IL_MEASURE_TPR_AT_1,
    IL_MEASURE_PRECISION};

il_scores il__audit_scores(const il_audit_work *w, const il_detector *d,
                           const il_scored *rows, const float *logits)
{
    return (il_scores){.count = rows->count,
                       .logits = logits,
                       .labels = rows->labels,
                       .documents = rows->documents,
                       .has_threshold = d->has_threshold,
                       .threshold = d->threshold,
                       .calibration = &d->calibration,
                       .rate = d->has_threshold && d->rate > 0 ? d->rate : w->rate,
                       .prevalence = w->in->spec->prevalence};
}

il_status il__audit_measure_whole(const il_audit_work *w, const il_scores *s, int draws,
                                  il_measured *m, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 14);
    il_scores by;
    il_status status = arena != NULL ? il_scores_by_document(s, arena, &by, err)
                                     : il__audit_no_memory(err);

    memset(m, 0, sizeof *m);
    if (status == IL_OK && by.count < s->count) {
        status = il_scores_measure(&by, draws, w->in->seed, w->in->depth, m, err);
    }
    il_arena_destroy(arena);
    return status;
}

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

/* A detector's scores of rows; what they borrow lives as long as the rows, their logits
 * are the caller's to free. */
static il_status score_told(const il_audit_work *w, const il_detector *d,
                            const il_acts *acts, float **logits, il_scores *out,
                            double *escalated, il_error *err)
{
    *logits = malloc(((size_t)acts->rows.count + 1) * sizeof **logits);
    if (*logits == NULL) {
        return il__audit_no_memory(err);
    }
    IL_TRY(il_detector_logits_told(d, w->in->blas, acts, *logits, escalated, err));
    *out = il__audit_scores(w, d, &acts->rows, *logits);
    return IL_OK;
}

static il_status score(const il_audit_work *w, const il_detector *d,
                       const il_acts *acts, float **logits, il_scores *out,
                       il_error *err)
{
    double escalated;

    return score_told(w, d, acts, logits, out, &escalated, err);
}

il_status il__audit_measure(const il_audit_work *w, const il_detector *d,
                            const il_acts *acts, il_measured *m, il_error *err)
{
    float *logits = NULL;
    il_scores scores;
    il_status status = score(w, d, acts, &logits, &scores, err);

    if (status == IL_OK) {
        status = il_scores_measure(&scores, DRAWS, w->in->seed, w->in->depth, m, err);
    }
    free(logits);
    return status;
}

/* What whole documents say, under NAME.document.MEASURE. */
static il_status put_documents(il_audit_work *w, const char *name, const il_scores *s,
                               il_error *err)
{
    const char *whole = il_arena_printf(w->out->arena, "%s.document", name);
    il_measured m;

    if (whole == NULL) {
        return il__audit_no_memory(err);
    }
    IL_TRY(il__audit_measure_whole(w, s, DRAWS, &m, err));
    for (size_t i = 0; m.rows > 0 && i < IL_AUDIT_SHOWN_WHOLE; i++) {
        if (isfinite(m.value[il__audit_shown_whole[i]])) {
            IL_TRY(il__audit_put_measure(w, whole, &m, il__audit_shown_whole[i], err));
        }
    }
    return IL_OK;
}

/* A declared detector's measures, and whether its probabilities mean what they say. */
static il_status measure_named(il_audit_work *w, const il_detector *d,
                               const il_acts *acts, const char *name, il_measured *m,
                               il_error *err)
{
    float *logits = NULL;
    double escalated = NAN;
    double ece = NAN;
    double before = NAN;
    il_scores scores;
    il_status status = score_told(w, d, acts, &logits, &scores, &escalated, err);

    if (status == IL_OK) {
        status = il_scores_measure(&scores, DRAWS, w->in->seed, w->in->depth, m, err);
    }
    if (status == IL_OK) {
        status = put_documents(w, name, &scores, err);
    }
    if (status == IL_OK && scores.labels != NULL) {
        json_object_set_new(w->histograms, name, il__played_histogram(&scores));
    }
    if (status == IL_OK) {
        status = il__audit_reliability(w, name, &scores, &ece, &before, err);
    }
    if (status == IL_OK && isfinite(escalated)) {
        status = il__audit_put(w, il_arena_printf(w->out->arena, "%s.escalated", name),
                               escalated, NULL, err);
    }
    if (status == IL_OK && isfinite(ece)) {
        status = il__audit_put(w, il_arena_printf(w->out->arena, "%s.ece", name), ece,
                               NULL, err);
    }
    if (status == IL_OK && isfinite(before)) {
        status = il__audit_put(w, il_arena_printf(w->out->arena, "%s.ece_before", name),
                               before, NULL, err);
    }
    free(logits);
    return status;
}

/* How far each class moved along the reader's own scale since then. */
static il_status put_shift(il_audit_work *w, const il_audited *a, const char *name,
                           const char *split, const il_measured *now, il_error *err)
{
    il_detector then = il__audit_then(a);
    il_harvest h = il__audit_harvest(w, a->then_values);
    il_acts *acts = NULL;
    il_measured before;
    il_status status;

    if (a->then_values == NULL || a->then_values == w->in->values) {
        return IL_OK;
    }
    status = il_detector_harvest(&acts, &then, &h, split, err);
    if (status == IL_OK) {
        status = il__audit_measure(w, &then, acts, &before, err);
    }
    il_acts_destroy(acts);
    if (status != IL_OK) {
        return status;
    }
    if (isfinite(before.value[IL_MEASURE_TPR])) {
        IL_TRY(il__audit_put(w, il_arena_printf(w->out->arena, "%s.lost", name),
                             before.value[IL_MEASURE_TPR] - now->value[IL_MEASURE_TPR],
                             NULL, err));
    }
    IL_TRY(il__audit_put(w, il_arena_printf(w->out->arena, "%s.shift_positive", name),
                         now->value[IL_MEASURE_POSITIVE] -
                             before.value[IL_MEASURE_POSITIVE],
                         NULL, err));
    return il__audit_put(
        w, il_arena_printf(w->out->arena, "%s.shift_negative", name),
        now->value[IL_MEASURE_NEGATIVE] - before.value[IL_MEASURE_NEGATIVE], NULL, err);
}

/* ---- against -------------------------------------------------------------------- */

/* How far a reader's AUROC lies above the named one's, on rows of both. */
static il_status put_gap(il_audit_work *w, const char *name, const il_scores *own,
                         const il_scores *named, il_error *err)
{
    il_difference gap;
    json_t *more;

    IL_TRY(il_scores_compare(own, named, IL_MEASURE_AUROC, DRAWS, w->in->seed,
                             w->in->depth, &gap, err));
    more = json_object();
    if (more == NULL) {
        return il__audit_no_memory(err);
    }
    il__audit_set(more, "low", gap.low);
    il__audit_set(more, "high", gap.high);
    return il__audit_put(w, il_arena_printf(w->out->arena, "%s.gap.auroc", name),
                         gap.value, more, err);
}

/* The rows that `like` scores, with what `d` reads there. */
static il_status harvest_as(const il_audit_work *w, const il_detector *d,
                            const il_detector *like, const char *split, il_acts **out,
                            il_error *err)
{
    il_harvest h = il__audit_harvest(w, il_detector_weights(d, w->in->values));

    h.split = split;
    h.fields = like->fields;
    h.fields.keys = d->fields.keys;
    h.sites = d->sites;
    h.site_count = d->site_count;
    h.gathered = il_detector_reads_rows(d);
    return il_acts_harvest(out, &h, err);
}

/* The named detector on the same rows: what one might hope for there. */
static il_status put_against(il_audit_work *w, const il_audited *a, const char *name,
                             const char *split, const il_acts *acts, il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR, IL_MEASURE_FPR,
                                       IL_MEASURE_TPR_AT_1};
    const il_detector *d = w->against;
    const char *beside = il_arena_printf(w->out->arena, "%s.against", name);
    il_acts *same = NULL;
    float *logits[2] = {NULL, NULL};
    il_scores scores[2];
    il_measured m;
    il_status status;

    if (d == NULL || d == a->now) {
        return IL_OK;
    }
    if (beside == NULL) {
        return il__audit_no_memory(err);
    }
    status = harvest_as(w, d, a->now, split, &same, err);
    if (status == IL_OK) {
        status = check_apart(d, same, split, w->out->arena, err);
    }
    if (status == IL_OK) {
        status = score(w, a->now, acts, &logits[0], &scores[0], err);
    }
    if (status == IL_OK) {
        status = score(w, d, same, &logits[1], &scores[1], err);
    }
    if (status == IL_OK) {
        status =
            il_scores_measure(&scores[1], DRAWS, w->in->seed, w->in->depth, &m, err);
    }
    for (size_t i = 0; status == IL_OK && i < sizeof shown / sizeof *shown; i++) {
        status = il__audit_put_measure(w, beside, &m, shown[i], err);
    }
    if (status == IL_OK) {
        status = put_gap(w, name, &scores[0], &scores[1], err);
    }
    free(logits[0]);
    free(logits[1]);
    il_acts_destroy(same);
    w->out->looks += d->spec->vault;
    return status;
}

/* ---- one detector --------------------------------------------------------------- */

enum { RECOVERED_DOCUMENTS = 256 };

/* How good a dictionary is, beside what its logit says: NAME.fvu, .l0, .dead, and what
 * the model's own loss makes of its reconstruction, NAME.ce_spliced and .ce_recovered,
 * unless the model is edited anyway. */
static il_status put_quality(il_audit_work *w, const il_detector *d, const char *name,
                             const char *split, const il_acts *acts, il_error *err)
{
    il_arena *arena = w->out->arena;
    il_harvest h = il__audit_harvest(w, w->in->values);
    il_quality q;
    il_recovered r;

    if (!il_detector_has_quality(d)) {
        return IL_OK;
    }
    IL_TRY(il_detector_quality(d, w->in->blas, acts, &q, err));
    IL_TRY(il__audit_put(w, il_arena_printf(arena, "%s.fvu", name), q.fvu, NULL, err));
    IL_TRY(il__audit_put(w, il_arena_printf(arena, "%s.l0", name), q.l0, NULL, err));
    IL_TRY(
        il__audit_put(w, il_arena_printf(arena, "%s.dead", name), q.dead, NULL, err));
    if (w->in->edits != NULL) {
        return IL_OK;
    }
    h.split = split;
    IL_TRY(il_detector_recovered(d, &h, RECOVERED_DOCUMENTS, &r, err));
    IL_TRY(il__audit_put(w, il_arena_printf(arena, "%s.ce_clean", name), r.clean, NULL,
                         err));
    IL_TRY(il__audit_put(w, il_arena_printf(arena, "%s.ce_spliced", name), r.spliced,
                         NULL, err));
    return il__audit_put(w, il_arena_printf(arena, "%s.ce_recovered", name), r.share,
                         NULL, err);
}

il_status il__audit_judge(il_audit_work *w, const il_audited *a, const char *split,
                          bool first, il_error *err)
{
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
        status = measure_named(w, a->now, acts, name, &m, err);
    }
    for (size_t i = 0; status == IL_OK && i < IL_AUDIT_SHOWN; i++) {
        status = il__audit_put_measure(w, name, &m, il__audit_shown[i], err);
    }
    if (status == IL_OK) {
        status = put_shift(w, a, name, split, &m, err);
    }
    if (status == IL_OK && first) {
        il__audit_spent(w, "scores");
        status = il__audit_refit(w, a->now, name, acts, err);
        il__audit_spent(w, "refits");
    }
    if (status == IL_OK) {
        status = put_quality(w, a->now, name, split, acts, err);
    }
    if (status == IL_OK) {
        status = put_against(w, a, name, split, acts, err);
    }
    il_acts_destroy(acts);
    w->out->looks += a->now->spec->vault;
    return status;
}
