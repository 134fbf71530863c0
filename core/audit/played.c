/* Played episodes: detectors judged on what the model's own policy leads to, and on
 * episodes that stay the same whatever the model does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/coverage.h"
#include "audit/halves.h"
#include "audit/outcome_private.h"
#include "audit/played_private.h"
#include "audit/refit.h"
#include "detect/edit.h"
#include "interloop/abi.h"

enum { DRAWS = 200 };

il_status il__played_put(il_audit_work *w, const il_played *set, const char *reader,
                         const char *name, double value, json_t *more, il_error *err)
{
    il_arena *arena = w->out->arena;

    if (!isfinite(value)) {
        json_decref(more);
        return IL_OK;
    }
    if (set->name[0] != '\0') {
        IL_TRY(il__audit_put(
            w, il_arena_printf(arena, "%s.%s.%s", reader, set->name, name), value,
            more != NULL ? json_copy(more) : NULL, err));
    }
    if (set->primary) {
        return il__audit_put(w, il_arena_printf(arena, "%s.%s", reader, name), value,
                             more, err);
    }
    json_decref(more);
    return IL_OK;
}

il_status il__played_put_measure(il_audit_work *w, const il_played *set,
                                 const char *reader, const char *part,
                                 const il_measured *m, il_measure which, il_error *err)
{
    json_t *more = il__audit_more(m, which);
    const char *name = part != NULL ? il_arena_printf(w->out->arena, "%s.%s", part,
                                                      il_measure_name(which))
                                    : il_measure_name(which);

    if (more == NULL || name == NULL) {
        json_decref(more);
        return il__audit_no_memory(err);
    }
    return il__played_put(w, set, reader, name, m->value[which], more, err);
}

/* ---- reading -------------------------------------------------------------------- */

il_status il__played_read(il_verdicts *out, const il_audit_work *w,
                          const il_recorded *episodes, const il_detector *d,
                          const float *const *values, const char *tokens,
                          const char *label, il_error *err)
{
    il_harvest h = il__audit_harvest(w, il_detector_weights(d, values));
    il_verdicts v = {.escalated = NAN};
    il_status status;

    h.data = il_recorded_environment(episodes);
    h.fetch = il_recorded_fetch;
    h.user = (void *)episodes; /* only read: see il_fetch */
    h.rows = il_recorded_count(episodes);
    h.split = "episodes";
    h.fields = (il_scored_fields){.tokens = tokens != NULL ? tokens : d->fields.tokens,
                                  .label = label,
                                  .keys = d->fields.keys,
                                  .pooled = d->fields.pooled};
    h.sites = d->sites;
    h.site_count = d->site_count;
    h.gathered = il_detector_reads_rows(d);
    IL_TRY(il_acts_harvest(&v.acts, &h, err));
    v.logits = malloc(((size_t)v.acts->rows.count + 1) * sizeof *v.logits);
    status = v.logits != NULL ? il_detector_logits_told(d, w->in->blas, v.acts,
                                                        v.logits, &v.escalated, err)
                              : il__audit_no_memory(err);
    if (status != IL_OK) {
        il__played_close(&v);
        return status;
    }
    v.scores = il__audit_scores(w, d, &v.acts->rows, v.logits);
    *out = v;
    return IL_OK;
}

void il__played_close(il_verdicts *v)
{
    il_acts_destroy(v->acts);
    free(v->logits);
    memset(v, 0, sizeof *v);
}

il_status il__played_measure(const il_audit_work *w, const il_scores *s,
                             il_measured *out, il_error *err)
{
    return il_scores_measure(s, w->in->whole ? DRAWS : 0, w->in->seed, w->in->depth,
                             out, err);
}

bool il__played_judges(const il_audit_work *w, const il_detector *d, const char **label)
{
    const il_instance *e = w->in->environment;

    *label = d->fields.label;
    for (size_t i = 0; *label == NULL && i < w->in->detector_count; i++) {
        *label = w->in->detectors[i].now->fields.label;
    }
    return *label != NULL && il_field_find(e, *label) != NULL &&
           (strcmp(d->fields.tokens, "all") == 0 ||
            il_field_find(e, d->fields.tokens) != NULL);
}

/* ---- one detector --------------------------------------------------------------- */

static il_status check_apart(const il_audit_work *w, const il_detector *d,
                             const il_acts *acts, il_error *err)
{
    int64_t n = 0;
    int64_t shared = 0;
    int64_t *ids = il_documents_list(&acts->rows, w->out->arena, &n);

    if (ids == NULL) {
        return il__audit_no_memory(err);
    }
    if (il_documents_meet(n, ids, d->fit_ids.count, d->fit_ids.ids, &shared) ||
        il_documents_meet(n, ids, d->calibration_ids.count, d->calibration_ids.ids,
                          &shared)) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "episode %lld would judge this detector, and it fitted or "
                            "calibrated it",
                            (long long)shared);
    }
    return IL_OK;
}

/* Believed against true where evidence was let in. */
static il_status judge_belief(il_audit_work *w, const il_played *set,
                              const il_detector *d, const char *part,
                              const il_verdicts *v, const il_measured *m, il_error *err)
{
    il_arena *arena = w->out->arena;
    double truth = m->rows > 0 ? (double)m->positives / (double)m->rows : NAN;
    double said = m->value[IL_MEASURE_MEAN];
    const struct {
        const char *name;
        double value;
    } all[] = {{"true", truth},
               {"conceal", truth - said},
               {"ece", il_scores_ece(&v->scores, 10)}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        IL_TRY(il__played_put(w, set, d->spec->name,
                              il_arena_printf(arena, "%s.%s", part, all[i].name),
                              all[i].value, NULL, err));
    }
    return IL_OK;
}

/* On the positions of the audit's own mask, where there is one. */
static il_status judge_part(il_audit_work *w, const il_played *set,
                            const il_detector *d, const char *label, il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR, IL_MEASURE_FPR,
                                       IL_MEASURE_MEAN, IL_MEASURE_TPR_AT_1};
    const char *part = w->in->spec->tokens;
    il_verdicts v = {.escalated = NAN};
    il_measured m;
    il_status status;

    if (part == NULL || strcmp(d->fields.tokens, "all") != 0) {
        return IL_OK;
    }
    status = il__played_read(&v, w, set->episodes, d, w->in->values, part, label, err);
    if (status == IL_OK) {
        status = il__played_measure(w, &v.scores, &m, err);
    }
    for (size_t i = 0; status == IL_OK && i < sizeof shown / sizeof *shown; i++) {
        status = il__played_put_measure(w, set, d->spec->name, part, &m, shown[i], err);
    }
    if (status == IL_OK) {
        status = judge_belief(w, set, d, part, &v, &m, err);
    }
    il__played_close(&v);
    return status;
}

static il_status judge(il_audit_work *w, const il_played *set, const il_detector *d,
                       const il_verdicts *v, il_measured *m, il_error *err)
{
    const char *name = d->spec->name;
    il_measured whole;
    double truth;
    double ece = NAN;
    double before = NAN;

    IL_TRY(check_apart(w, d, v->acts, err));
    IL_TRY(il__played_measure(w, &v->scores, m, err));
    for (size_t i = 0; i < IL_AUDIT_SHOWN; i++) {
        IL_TRY(il__played_put_measure(w, set, name, NULL, m, il__audit_shown[i], err));
    }
    IL_TRY(il__audit_measure_whole(w, &v->scores, w->in->whole ? DRAWS : 0, &whole,
                                   err));
    for (size_t i = 0; whole.rows > 0 && i < IL_AUDIT_SHOWN_WHOLE; i++) {
        IL_TRY(il__played_put_measure(w, set, name, "episode", &whole,
                                      il__audit_shown_whole[i], err));
    }
    truth = m->rows > 0 ? (double)m->positives / (double)m->rows : NAN;
    IL_TRY(il__played_put(w, set, name, "true", truth, NULL, err));
    IL_TRY(il__played_put(w, set, name, "conceal", truth - m->value[IL_MEASURE_MEAN],
                          NULL, err));
    IL_TRY(il__audit_reliability(
        w, il_arena_printf(w->out->arena, "%s.%s", name, set->name), &v->scores, &ece,
        &before, err));
    IL_TRY(il__played_put(w, set, name, "escalated", v->escalated, NULL, err));
    IL_TRY(il__played_put(w, set, name, "ece", ece, NULL, err));
    return il__played_put(w, set, name, "ece_before", before, NULL, err);
}

/* ---- one set -------------------------------------------------------------------- */

/* What all detectors say of a set. */
typedef struct panel {
    size_t count;
    const il_detector **detectors;
    il_verdicts *verdicts;
    il_measured *measured;
} panel;

/* The named detector beside every other, and the difference of the two where they are
 * asked about the same positions. */
static il_status put_against(il_audit_work *w, const il_played *set, const panel *p,
                             il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR, IL_MEASURE_FPR,
                                       IL_MEASURE_TPR_AT_1};
    size_t best = 0;

    while (best < p->count && p->detectors[best] != w->against) {
        best++;
    }
    for (size_t i = 0; best < p->count && i < p->count; i++) {
        const il_scores *own = &p->verdicts[i].scores;
        const il_scores *named = &p->verdicts[best].scores;
        il_difference gap;
        json_t *more;

        if (i == best) {
            continue;
        }
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++) {
            IL_TRY(il__played_put_measure(w, set, p->detectors[i]->spec->name,
                                          "against", &p->measured[best], shown[k],
                                          err));
        }
        if (own->count != named->count) {
            continue;
        }
        IL_TRY(il_scores_compare(own, named, IL_MEASURE_AUROC,
                                 w->in->whole ? DRAWS : 0, w->in->seed, w->in->depth,
                                 &gap, err));
        more = json_object();
        if (more == NULL) {
            return il__audit_no_memory(err);
        }
        il__audit_set(more, "low", gap.low);
        il__audit_set(more, "high", gap.high);
        IL_TRY(il__played_put(w, set, p->detectors[i]->spec->name, "gap.auroc",
                              gap.value, more, err));
    }
    return IL_OK;
}

/* A detector's recipe on two quarters of the set, judged on the other half. */
static il_status refit(il_audit_work *w, const il_played *set, const il_detector *d,
                       const il_verdicts *v, il_error *err)
{
    const il_acts *acts = v->acts;
    int64_t first = il_part_row(acts, 0.25);
    int64_t half = il_part_row(acts, 0.5);
    il_refit_number numbers[IL_REFIT_NUMBERS];
    il_refitted r = {.done = false};
    il_part parts[3];
    const il_acts *const fit[] = {&parts[0].acts, &parts[1].acts};

    if (!w->in->whole || w->in->edits != NULL || !il_refit_can(d)) {
        return IL_OK;
    }
    il_part_cut(&parts[0], acts, 0, first);
    il_part_cut(&parts[1], acts, first, half - first);
    il_part_cut(&parts[2], acts, half, acts->rows.count - half);
    if (parts[0].both && parts[1].both && parts[2].both) {
        IL_TRY(il_refit_twice(&r, w, d, fit, &parts[2].acts,
                              il_arena_printf(w->out->arena, "%s.%s.refit",
                                              d->spec->name, set->name),
                              err));
    }
    if (!r.done) {
        return IL_OK;
    }
    il_refit_numbers(&r, numbers);
    for (int i = 0; i < IL_REFIT_NUMBERS; i++) {
        IL_TRY(il__played_put(w, set, d->spec->name, numbers[i].name, numbers[i].value,
                              NULL, err));
    }
    return IL_OK;
}

static il_status judge_all(il_audit_work *w, il_played *set, panel *p, il_error *err)
{
    json_t *histograms = json_object();
    const il_detector *first = NULL;

    json_object_set_new(set->json, "histograms", histograms);
    for (size_t i = 0; i < w->in->detector_count; i++) {
        const il_detector *d = w->in->detectors[i].now;
        il_verdicts *v = &p->verdicts[p->count];
        il_measured *m = &p->measured[p->count];
        const char *label = NULL;

        if (!il__played_judges(w, d, &label)) {
            continue;
        }
        IL_TRY(
            il__played_read(v, w, set->episodes, d, w->in->values, NULL, label, err));
        p->detectors[p->count++] = d;
        IL_TRY(judge(w, set, d, v, m, err));
        IL_TRY(judge_part(w, set, d, label, err));
        IL_TRY(il__played_since(w, set, &w->in->detectors[i], label, m, err));
        il__audit_spent(w, "episodes");
        json_object_set_new(histograms, d->spec->name,
                            il__played_histogram(&v->scores));
        if (d->fields.label != NULL && w->in->spec->fresh.count > 0) {
            IL_TRY(il__played_fresh(w, set, d, v, first == NULL, err));
            first = first != NULL ? first : d;
            il__audit_spent(w, "fresh");
        }
        IL_TRY(refit(w, set, d, v, err));
        il__audit_spent(w, "refits");
        if (set->primary && il__outcome_asks(w, &w->in->detectors[i])) {
            IL_TRY(il__outcome_episodes(w, set->episodes, err));
        }
        w->out->looks += d->spec->vault;
    }
    IL_TRY(put_against(w, set, p, err));
    json_object_set_new(set->json, "profile",
                        il__played_profile(set, p->count, p->detectors, p->verdicts));
    return IL_OK;
}

/* How often evidence was sought: the share of states after an action that lie in the
 * audit's mask, since the first state is nobody's doing. As SET.look_rate. */
static il_status put_look_rate(il_audit_work *w, const il_played *set, il_error *err)
{
    double looked = 0;
    double states = 0;

    for (size_t i = 0; i < il_recorded_chunks(set->episodes); i++) {
        const il_batch *batch = il_recorded_chunk(set->episodes, i, NULL);
        const il_tensor *mask = il_batch_find(batch, w->in->spec->tokens);
        const il_tensor *lengths = il_batch_find(batch, "lengths");
        int64_t width = mask != NULL && mask->ndim == 2 ? mask->shape[1] : 0;

        for (int64_t b = 0; width > 1 && b < il_batch_rows(batch); b++) {
            int64_t end = lengths != NULL ? il_i32(lengths)[b] : width;

            for (int64_t t = 1; t < end; t++) {
                looked += il_u8(mask)[b * width + t] != 0;
                states++;
            }
        }
    }
    if (states == 0) {
        return IL_OK;
    }
    if (set->name[0] != '\0') {
        IL_TRY(il__audit_put(
            w, il_arena_printf(w->out->arena, "%s.look_rate", set->name),
            looked / states, NULL, err));
    }
    return set->primary ? il__audit_put(w, "look_rate", looked / states, NULL, err)
                        : IL_OK;
}

/* The environment's own metrics of the episodes. */
static il_status put_metrics(il_audit_work *w, const il_played *set, il_error *err)
{
    const il_instance *e = w->in->environment;
    const il_environment_api *api = il_instance_environment(e);
    il_tally tally;
    il_status status;

    if (!IL_HAS(api, metrics)) {
        return IL_OK;
    }
    il_tally_open(&tally);
    for (size_t i = 0; i < il_recorded_chunks(set->episodes); i++) {
        api->metrics(e->self, 0, il_recorded_chunk(set->episodes, i, NULL),
                     &tally.metrics);
    }
    status = il__audit_put_tally(w, &tally, err);
    il_tally_close(&tally);
    return status;
}

/* Adds a chunk's weighted losses, by the model's number of each. */
static il_status add_losses(const il_audit_work *w, il_pass *pass, il_batch *batch,
                            double *sums, double *weights, il_error *err)
{
    const il_instance *model = w->in->model;
    const il_scored_fields names = {
        .input = il_field_of_role(w->in->environment, IL_FIELD_INPUT)};
    il_scope scope = {.label = model->label,
                      .store = model->store,
                      .values = w->in->values,
                      .first_bit = -1};

    il_pass_begin(pass);
    il_pass_edits_clear(pass);
    IL_TRY(il_edits_bind(w->in->edits, pass, batch, &names, w->out->arena, err));
    il_pass_enter(pass, &scope);
    il_instance_model(model)->forward(model->self, pass, batch);
    il_pass_leave(pass);
    IL_TRY(il_pass_status(pass, err));
    for (size_t i = 0; i < model->loss_count; i++) {
        const il_tensor *rows = il_pass_loss(pass, model->losses[i].name);
        const il_tensor *weight = model->losses[i].weights != NULL
                                      ? il_batch_find(batch, model->losses[i].weights)
                                      : NULL;

        for (int64_t k = 0; rows != NULL && k < il_count(rows); k++) {
            double share = weight != NULL ? il_f32(weight)[k] : 1.0;

            sums[i] += share * il_f32(rows)[k];
            weights[i] += share;
        }
    }
    return IL_OK;
}

/* Mean of each loss that the model declares, under the loss's name. */
static il_status put_losses(il_audit_work *w, const il_played *set, il_error *err)
{
    const il_instance *model = w->in->model;
    double *sums =
        il_arena_calloc(w->out->arena, 2 * model->loss_count + 1, sizeof *sums);
    il_pass *pass = NULL;
    il_status status = sums != NULL ? il_pass_create(&pass, w->in->blas, 0, err)
                                    : il__audit_no_memory(err);

    for (size_t i = 0; status == IL_OK && i < il_recorded_chunks(set->episodes); i++) {
        status = add_losses(w, pass, il_recorded_chunk(set->episodes, i, NULL), sums,
                            sums + model->loss_count, err);
    }
    il_pass_destroy(pass);
    for (size_t i = 0; status == IL_OK && i < model->loss_count; i++) {
        if (sums[model->loss_count + i] > 0) {
            status = il__audit_put(w, model->losses[i].name,
                                   sums[i] / sums[model->loss_count + i], NULL, err);
        }
    }
    return status;
}

static il_status read_set(il_audit_work *w, il_played *set, il_error *err)
{
    il_arena *arena = w->out->arena;
    size_t n = w->in->detector_count + 1;
    panel p = {.detectors = il_arena_calloc(arena, n, sizeof *p.detectors),
               .verdicts = il_arena_calloc(arena, n, sizeof *p.verdicts),
               .measured = il_arena_calloc(arena, n, sizeof *p.measured)};
    il_status status = p.detectors != NULL && p.verdicts != NULL && p.measured != NULL
                           ? IL_OK
                           : il__audit_no_memory(err);

    if (status == IL_OK && set->primary) {
        status = put_metrics(w, set, err);
    }
    if (status == IL_OK && set->primary) {
        status = put_losses(w, set, err);
    }
    if (status == IL_OK && w->in->spec->tokens != NULL) {
        status = put_look_rate(w, set, err);
    }
    if (status == IL_OK) {
        status = judge_all(w, set, &p, err);
    }
    /* A reading that failed left nothing: il__played_read. */
    for (size_t i = 0; i < p.count; i++) {
        il__played_close(&p.verdicts[i]);
    }
    return status;
}

/* Whether taught detectors are asked about activations like those of the reference. */
static il_status put_coverage(il_audit_work *w, const il_played *own,
                              const il_played *reference, il_error *err)
{
    for (size_t i = 0; i < w->in->detector_count; i++) {
        const il_detector *d = w->in->detectors[i].now;
        il_verdicts v[2] = {{.escalated = NAN}, {.escalated = NAN}};
        double covered = NAN;
        il_status status;

        if (!il_refit_can(d)) {
            continue;
        }
        status = il__played_read(&v[0], w, own->episodes, d, w->in->values, NULL, NULL,
                                 err);
        if (status == IL_OK) {
            status = il__played_read(&v[1], w, reference->episodes, d, w->in->values,
                                     NULL, NULL, err);
        }
        if (status == IL_OK) {
            status = il_coverage(v[1].acts, v[0].acts, 0.99, &covered, err);
        }
        if (status == IL_OK) {
            status = il__played_put(w, own, d->spec->name, "coverage", covered, NULL,
                                    err);
        }
        il__played_close(&v[0]);
        il__played_close(&v[1]);
        IL_TRY(status);
    }
    return IL_OK;
}

static il_status play_and_read(il_audit_work *w, il_played *set, const il_rollout *key,
                               il_error *err)
{
    IL_TRY(il_recorded_draw(&set->episodes, set->spec, key, w->in->blas, w->in->pool,
                            err));
    return read_set(w, set, err);
}

il_status il__audit_played(il_audit_work *w, il_error *err)
{
    const il_audit_spec *spec = w->in->spec;
    const il_rollout_spec *specs[] = {&spec->rollouts, &spec->reference};
    il_rollout key[2];
    il_played set[2] = {{.primary = true}, {.primary = false}};
    il_status status = IL_OK;

    for (int i = 0; status == IL_OK && i < 2; i++) {
        /* The same luck at every audit of every stage: what differs is the model. */
        key[i] = (il_rollout){.environment = w->in->environment,
                              .model = w->in->model,
                              .values = w->in->values,
                              .edits = w->in->edits,
                              .seed = w->in->seed,
                              .draw = i == 0 ? IL_DRAW_JUDGE : IL_DRAW_REFERENCE};
        if (specs[i]->policy == NULL) {
            continue;
        }
        set[i].spec = specs[i];
        set[i].key = &key[i];
        set[i].json = json_object();
        set[i].name = i == 1 ? "ref" : strcmp(specs[i]->policy, "own") == 0 ? "own" : "";
        json_object_set_new(w->played, i == 1 ? "ref" : "own", set[i].json);
        status = play_and_read(w, &set[i], &key[i], err);
        il__audit_spent(w, "episodes");
    }
    if (status == IL_OK && w->in->whole && w->in->edits == NULL &&
        set[0].episodes != NULL && set[1].episodes != NULL) {
        status = put_coverage(w, &set[0], &set[1], err);
        il__audit_spent(w, "coverage");
    }
    for (int i = 0; i < 2; i++) {
        il_recorded_destroy(set[i].episodes);
        il_recorded_destroy(set[i].past);
    }
    return status;
}
