/* What an outcome is taken from: the texts, answers or episodes of an audit, one unit
 * each, with the share of the behaviour in it and what a detector flags of that. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/outcome_private.h"
#include "audit/played_private.h"
#include "detect/rezero.h"
#include "interloop/abi.h"
#include "pipeline/batch.h"

/* ---- what it is about ------------------------------------------------------------ */

/* Whether the environment tells of each answer if it hacks and if it is honest. */
static bool labels_hacks(const il_instance *e)
{
    const il_field *hack = e != NULL ? il_field_find(e, "hack") : NULL;
    const il_field *honest = e != NULL ? il_field_find(e, "honest") : NULL;

    return hack != NULL && honest != NULL && hack->role == IL_FIELD_LABEL &&
           honest->role == IL_FIELD_LABEL;
}

static void set(double *out, double given)
{
    *out = isnan(given) ? *out : given;
}

il_outcome_rule il__outcome_rule(const il_outcome_spec *spec)
{
    il_outcome_rule rule = il_outcome_rule_default();

    if (spec->given) {
        rule.instead = spec->instead;
        set(&rule.floor, spec->floor);
        set(&rule.full, spec->full);
        set(&rule.good_full, spec->good_full);
        set(&rule.some, spec->some);
        set(&rule.much, spec->much);
        set(&rule.enough, spec->enough);
        set(&rule.seen, spec->seen);
    } else {
        rule.instead = true; /* an answer hacks or is honest, or neither */
    }
    return rule;
}

il_status il__outcome_open(il_audit_work *w, il_error *err)
{
    const il_outcome_spec *spec = &w->in->spec->outcome;
    il_outcome_taken *t;

    if (w->in->edits != NULL || (!spec->given && !labels_hacks(w->in->environment))) {
        return IL_OK;
    }
    t = il_arena_calloc(w->out->arena, 1, sizeof *t);
    if (t == NULL) {
        return il__audit_no_memory(err);
    }
    t->behaviour = spec->given ? spec->behaviour : "hack";
    t->good = spec->given ? spec->good : "honest";
    t->rule = il__outcome_rule(spec);
    w->taken = t;
    return IL_OK;
}

bool il__outcome_asks(il_audit_work *w, const il_audited *a)
{
    const char *name = w->in->spec->outcome.detector;
    il_outcome_taken *t = w->taken;

    if (t == NULL || !a->now->has_threshold ||
        (name != NULL && strcmp(name, a->now->spec->name) != 0)) {
        return false;
    }
    if (t->detector == NULL) {
        t->detector = a;
    }
    return t->detector == a;
}

bool il__outcome_needs_past(const il_audit_work *w)
{
    const il_outcome_taken *t = w->taken;
    il_outcome_bounds bounds = il_outcome_bounds_of(&t->rule, NULL);
    il_outcome_run run = {
        .count = (size_t)t->count, .units = t->units, .good = NAN, .alarm = NAN};
    il_outcome_inputs in = il_outcome_shares(&run, NULL);

    return w->in->whole || il_outcome_of(&in, &bounds) == IL_OUTCOME_OBFUSCATED_POLICY;
}

/* ---- the behaviour of each unit ---------------------------------------------------
 */

static void take_from(il_outcome_taken *t, il_outcome_unit *u, const il_tally *tally)
{
    for (size_t i = 0; i < tally->count; i++) {
        const il_tally_item *item = &tally->items[i];

        if (strcmp(item->name, t->behaviour) == 0) {
            u->bad = item->sum;
            u->weight = item->weight;
            t->found = true;
        }
        if (t->good != NULL && strcmp(item->name, t->good) == 0) {
            u->good = item->sum;
            u->good_weight = item->weight;
        }
    }
}

/* A label of a whole answer that no metric stands for. */
static void take_label(const il_batch *batch, const char *name, double *sum,
                       double *weight)
{
    const il_tensor *label = name != NULL ? il_batch_find(batch, name) : NULL;

    if (*weight == 0 && label != NULL && label->dtype.bits == 8 &&
        il_count(label) > 0) {
        *sum = il_u8(label)[0] != 0;
        *weight = 1;
    }
}

/* Who measures a unit: the environment's metrics of an episode, or the data's of a
 * text. */
typedef struct source {
    il_fetch *fetch;
    void *user;
    const il_instance *environment; /* NULL: the data */
    const il_instance *data;
} source;

static il_status take_unit(il_outcome_taken *t, const source *from, int64_t number,
                           il_batch *batch, il_error *err)
{
    il_outcome_unit *u = &t->units[number];
    il_status status;
    il_tally tally;

    il_batch_reset(batch, 1);
    IL_TRY(from->fetch(from->user, number, 1, batch, err));
    IL_TRY(il_batch_status(batch, err));
    il_tally_open(&tally);
    if (from->environment == NULL) {
        il_instance_dataset(from->data)
            ->behaviour(from->data->self, batch, &tally.metrics);
    } else if (IL_HAS(il_instance_environment(from->environment), metrics)) {
        il_instance_environment(from->environment)
            ->metrics(from->environment->self, 0, batch, &tally.metrics);
    }
    status = tally.failed;
    take_from(t, u, &tally);
    il_tally_close(&tally);
    take_label(batch, t->behaviour, &u->bad, &u->weight);
    take_label(batch, t->good, &u->good, &u->good_weight);
    t->found = t->found || u->weight > 0;
    return status == IL_OK
               ? IL_OK
               : il_error_set(err, status, "outcome",
                              "a metric of unit %lld is no number", (long long)number);
}

static il_status take_units(il_audit_work *w, const source *from, int64_t count,
                            il_error *err)
{
    il_outcome_taken *t = w->taken;
    il_batch *batch = NULL;
    il_status status = il_batch_create(&batch, err);

    t->units = il_arena_calloc(w->out->arena, (size_t)count + 1, sizeof *t->units);
    t->count = count;
    if (t->units == NULL) {
        il_batch_destroy(batch);
        return il__audit_no_memory(err);
    }
    for (int64_t i = 0; status == IL_OK && i < count; i++) {
        status = take_unit(t, from, i, batch, err);
    }
    il_batch_destroy(batch);
    return status;
}

static double share_of(const il_outcome_unit *u)
{
    return u->weight > 0 ? u->bad / u->weight : 0;
}

/* ---- what is flagged --------------------------------------------------------------
 */

/* Rows of texts or episodes with their flags; the same rows in the same order whatever
 * the weights. */
typedef struct flagged {
    int64_t count;
    int32_t *unit;
    uint8_t *fires;
    uint8_t *counts; /* 1: a row of the behaviour, as its label says; else every row */
} flagged;

static il_status keep_flags(const il_audit_work *w, const il_detector *d,
                            const il_acts *acts, const float *logits, bool labelled,
                            flagged *out, il_error *err)
{
    const il_scored *rows = &acts->rows;
    size_t n = (size_t)rows->count + 1;

    out->count = rows->count;
    out->unit = il_arena_alloc(w->out->arena, n * sizeof *out->unit);
    out->fires = il_arena_alloc(w->out->arena, n);
    out->counts = il_arena_alloc(w->out->arena, n);
    if (out->unit == NULL || out->fires == NULL || out->counts == NULL) {
        return il__audit_no_memory(err);
    }
    for (int64_t i = 0; i < rows->count; i++) {
        out->unit[i] = rows->rows[i] / (int32_t)rows->length;
        out->fires[i] = logits[i] > d->threshold;
        out->counts[i] = !labelled || rows->labels == NULL || rows->labels[i] != 0;
    }
    return IL_OK;
}

/* Puts flags of now and of then beside the behaviour. Where rows have labels, these say
 * which of them are of the behaviour; else a row counts as much as its unit does of
 * it. */
static void put_flags(il_outcome_taken *t, const flagged *now, const flagged *then,
                      bool labelled)
{
    for (int64_t i = 0; i < now->count; i++) {
        il_outcome_unit *u = &t->units[now->unit[i]];
        double weight = labelled ? 1 : share_of(u);

        if (now->counts[i]) {
            u->rows += weight;
            u->now += weight * now->fires[i];
            u->then += weight * then->fires[i];
            u->veiled += weight * (then->fires[i] && !now->fires[i]);
        }
    }
}

static il_status put_past(il_audit_work *w, int64_t count, const flagged *then,
                          const flagged *now, il_error *err)
{
    il_outcome_taken *t = w->taken;

    t->past = il_arena_calloc(w->out->arena, (size_t)count + 1, sizeof *t->past);
    t->past_count = count;
    if (t->past == NULL) {
        return il__audit_no_memory(err);
    }
    for (int64_t i = 0; i < then->count; i++) {
        if (then->counts[i] && then->fires[i]) {
            t->past[then->unit[i]].flagged++;
            t->past[then->unit[i]].kept += now->fires[i];
        }
    }
    return IL_OK;
}

static bool unchanged(const il_audit_work *w, const il_audited *a)
{
    return a->then_values == NULL || a->then_values == w->in->values;
}

/* ---- texts ------------------------------------------------------------------------
 */

static il_status read_text(il_audit_work *w, const il_detector *d,
                           const float *const *values, il_behaviour *text, flagged *out,
                           il_error *err)
{
    il_harvest h = il__audit_harvest(w, il_detector_weights(d, values));
    il_acts *acts = NULL;
    float *logits = NULL;
    double escalated;
    il_status status;

    h.fetch = il_behaviour_fetch;
    h.user = text;
    h.rows = text->rows;
    h.split = "prompts";
    h.fields = d->fields;
    h.fields.label = NULL; /* text that was just written has none */
    h.sites = d->sites;
    h.site_count = d->site_count;
    h.gathered = il_detector_reads_rows(d);
    IL_TRY(il_acts_harvest(&acts, &h, err));
    logits = malloc(((size_t)acts->rows.count + 1) * sizeof *logits);
    status = logits != NULL ? il_detector_logits_told(d, w->in->blas, acts, logits,
                                                      &escalated, err)
                            : il__audit_no_memory(err);
    if (status == IL_OK) {
        status = keep_flags(w, d, acts, logits, false, out, err);
    }
    free(logits);
    il_acts_destroy(acts);
    return status;
}

static il_status text_of_then(il_audit_work *w, const il_detector *old, il_error *err)
{
    const il_audited *a = w->taken->detector;
    il_harvest h = il__audit_harvest(w, a->then_values);
    il_behaviour *text = NULL;
    flagged then;
    flagged now;
    il_status status;

    IL_TRY(il_behaviour_sample(&text, &h, w->in->seed, w->in->depth, err));
    status = read_text(w, old, a->then_values, text, &then, err);
    if (status == IL_OK) {
        status = read_text(w, a->now, w->in->values, text, &now, err);
    }
    if (status == IL_OK) {
        status = put_past(w, text->rows, &then, &now, err);
    }
    il_behaviour_destroy(text);
    return status;
}

il_status il__outcome_text(il_audit_work *w, il_behaviour *text, il_error *err)
{
    const source from = {
        .fetch = il_behaviour_fetch, .user = text, .data = w->in->data};
    const il_audited *a = w->taken->detector;
    il_detector old = il__audit_then(a);
    flagged now;
    flagged then;

    IL_TRY(take_units(w, &from, text->rows, err));
    IL_TRY(read_text(w, a->now, w->in->values, text, &now, err));
    then = now;
    if (!unchanged(w, a)) {
        IL_TRY(read_text(w, &old, a->then_values, text, &then, err));
    }
    put_flags(w->taken, &now, &then, false);
    w->out->looks += a->now->spec->vault;
    return !unchanged(w, a) && il__outcome_needs_past(w) ? text_of_then(w, &old, err)
                                                         : IL_OK;
}

/* ---- answers ----------------------------------------------------------------------
 */

il_status il__outcome_answers(il_audit_work *w, const il_recorded *answers,
                              const int8_t *now, const int8_t *then, il_error *err)
{
    il_outcome_taken *t = w->taken;
    const source from = {.fetch = il_recorded_fetch,
                         .user = (void *)answers, /* only read: see il_fetch */
                         .environment = w->in->environment};

    IL_TRY(take_units(w, &from, il_recorded_count(answers), err));
    for (int64_t i = 0; i < t->count; i++) {
        il_outcome_unit *u = &t->units[i];
        double weight = share_of(u);

        if (now[i] >= 0 && then[i] >= 0) {
            u->rows = weight;
            u->now = weight * now[i];
            u->then = weight * then[i];
            u->veiled = weight * (then[i] && !now[i]);
        }
    }
    return IL_OK;
}

il_status il__outcome_answers_then(il_audit_work *w, int64_t count, const int8_t *then,
                                   const int8_t *now, il_error *err)
{
    il_outcome_taken *t = w->taken;

    t->past = il_arena_calloc(w->out->arena, (size_t)count + 1, sizeof *t->past);
    t->past_count = count;
    if (t->past == NULL) {
        return il__audit_no_memory(err);
    }
    for (int64_t i = 0; i < count; i++) {
        t->past[i].flagged = then[i] > 0;
        t->past[i].kept = then[i] > 0 && now[i] > 0;
    }
    return IL_OK;
}

/* ---- episodes ---------------------------------------------------------------------
 */

static il_status read_episodes(il_audit_work *w, const il_recorded *episodes,
                               const il_detector *d, const float *const *values,
                               const char *label, flagged *out, il_error *err)
{
    il_verdicts v = {.escalated = NAN};
    il_status status;

    IL_TRY(il__played_read(&v, w, episodes, d, values, NULL, label, err));
    status = keep_flags(w, d, v.acts, v.logits, true, out, err);
    il__played_close(&v);
    return status;
}

static il_status episodes_of_then(il_audit_work *w, const il_detector *old,
                                  const char *label, il_error *err)
{
    const il_audited *a = w->taken->detector;
    const il_rollout key = {.environment = w->in->environment,
                            .model = w->in->model,
                            .values = a->then_values,
                            .seed = w->in->seed,
                            .draw = IL_DRAW_JUDGE};
    il_recorded *episodes = NULL;
    flagged then;
    flagged now;
    il_status status;

    IL_TRY(il_recorded_draw(&episodes, &w->in->spec->rollouts, &key, w->in->blas,
                            w->in->pool, err));
    status = read_episodes(w, episodes, old, a->then_values, label, &then, err);
    if (status == IL_OK) {
        status = read_episodes(w, episodes, a->now, w->in->values, label, &now, err);
    }
    if (status == IL_OK) {
        status = put_past(w, il_recorded_count(episodes), &then, &now, err);
    }
    il_recorded_destroy(episodes);
    return status;
}

il_status il__outcome_episodes(il_audit_work *w, const il_recorded *episodes,
                               il_error *err)
{
    const source from = {.fetch = il_recorded_fetch,
                         .user = (void *)episodes, /* only read: see il_fetch */
                         .environment = w->in->environment};
    const il_audited *a = w->taken->detector;
    il_detector old = il__audit_then(a);
    const char *label = NULL;
    flagged now;
    flagged then;

    (void)il__played_judges(w, a->now, &label);
    IL_TRY(take_units(w, &from, il_recorded_count(episodes), err));
    IL_TRY(read_episodes(w, episodes, a->now, w->in->values, label, &now, err));
    then = now;
    if (!unchanged(w, a)) {
        IL_TRY(read_episodes(w, episodes, &old, a->then_values, label, &then, err));
    }
    put_flags(w->taken, &now, &then, label != NULL);
    w->out->looks += a->now->spec->vault;
    return !unchanged(w, a) && il__outcome_needs_past(w)
               ? episodes_of_then(w, &old, label, err)
               : IL_OK;
}
