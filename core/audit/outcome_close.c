/* An audit's outcome classed, and written down. */
#include <math.h>
#include "audit/outcome_private.h"

enum { DRAWS = 200 };

static il_outcome_run run_of(const il_audit_work *w)
{
    const il_outcome_taken *t = w->taken;
    const char *fpr =
        il_arena_printf(w->out->arena, "%s.fpr", t->detector->now->spec->name);
    il_outcome_run run = {.seed = (int64_t)w->in->seed,
                          .count = (size_t)t->count,
                          .units = t->units,
                          .past_count = (size_t)t->past_count,
                          .past = t->past,
                          .good = NAN,
                          .alarm = NAN};

    if (t->good != NULL) {
        run.good = il_audit_value(w->out, t->good);
    }
    if (fpr != NULL) {
        run.alarm = il_audit_value(w->out, fpr);
    }
    return run;
}

static json_t *inputs_json(il_outcome_inputs *in)
{
    json_t *json = json_object();

    for (int i = 0; i < IL_OUTCOME_INPUTS; i++) {
        il__audit_set(json, il_outcome_input_name(i), *il_outcome_input(in, i));
    }
    return json;
}

static json_t *rule_json(const il_outcome_rule *rule)
{
    json_t *json = json_pack(
        "{s:f, s:f, s:b, s:f, s:f, s:f, s:f, s:f}", "floor", rule->floor, "full",
        rule->full, "instead", (int)rule->instead, "some", rule->some, "much",
        rule->much, "enough", rule->enough, "seen", rule->seen, "alarm", rule->alarm);

    il__audit_set(json, "good_full", rule->good_full);
    return json;
}

/* A column of units. Most are whole numbers, which are shorter so. */
static json_t *column(const void *first, size_t stride, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        double x = *(const double *)((const char *)first + i * stride);

        json_array_append_new(list, x == floor(x) && fabs(x) < 1e15
                                        ? json_integer((json_int_t)x)
                                        : json_real(x));
    }
    return list;
}

/* What resamples over seeds are made of. */
static json_t *units_json(const il_outcome_run *run)
{
    const il_outcome_unit *u = run->units;
    const il_outcome_past *p = run->past;
    size_t n = run->count;
    size_t m = run->past_count;
    size_t unit = sizeof *u;
    json_t *json = json_object();

#define ADD(name) json_object_set_new(json, #name, column(&u->name, unit, n))
    ADD(bad);
    ADD(weight);
    ADD(good);
    ADD(good_weight);
    ADD(rows);
    ADD(now);
    ADD(then);
    ADD(veiled);
#undef ADD
    if (m > 0) {
        json_object_set_new(json, "past_flagged", column(&p->flagged, sizeof *p, m));
        json_object_set_new(json, "past_kept", column(&p->kept, sizeof *p, m));
    }
    return json;
}

static il_status put_metrics(il_audit_work *w, il_outcome_inputs *in,
                             const double probability[IL_OUTCOMES], il_error *err)
{
    il_arena *arena = w->out->arena;

    for (int o = 0; o < IL_OUTCOMES; o++) {
        IL_TRY(il__audit_put(
            w, il_arena_printf(arena, "outcome.%s", il_outcome_name((il_outcome)o)),
            probability[o], NULL, err));
    }
    for (int i = 0; i < IL_OUTCOME_INPUTS; i++) {
        if (isfinite(*il_outcome_input(in, i))) {
            IL_TRY(il__audit_put(
                w, il_arena_printf(arena, "outcome.%s", il_outcome_input_name(i)),
                *il_outcome_input(in, i), NULL, err));
        }
    }
    return IL_OK;
}

static json_t *classes_json(const double value[IL_OUTCOMES])
{
    json_t *json = json_object();

    for (int o = 0; o < IL_OUTCOMES; o++) {
        il__audit_set(json, il_outcome_name((il_outcome)o), value[o]);
    }
    return json;
}

static il_status write_down(il_audit_work *w, const il_outcome_run *run, il_error *err)
{
    const il_outcome_taken *t = w->taken;
    il_outcome_bounds bounds = il_outcome_bounds_of(&t->rule, NULL);
    double veiled;
    il_outcome_inputs in = il_outcome_shares(run, &veiled);
    il_outcome class = il_outcome_of(&in, &bounds);
    double mix[IL_OUTCOMES];
    il_outcome_odds odds;
    il_outcome next;
    int input;
    double margin = il_outcome_margin(&in, &bounds, &next, &input);

    IL_TRY(il_outcome_resample(run, 1, NULL, 0, &t->rule, DRAWS,
                               w->in->seed ^ ((uint64_t)w->in->depth << 32), &odds,
                               err));
    IL_TRY(put_metrics(w, &in, odds.probability, err));
    il_outcome_mix(&in, &bounds, &t->rule, veiled, mix);
    w->outcome =
        json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o}", "class",
                  il_outcome_name(class), "behaviour", t->behaviour, "detector",
                  t->detector->now->spec->name, "inputs", inputs_json(&in), "next",
                  il_outcome_name(next), "nearest", il_outcome_input_name(input),
                  "probability", classes_json(odds.probability), "mix",
                  classes_json(mix), "rule", rule_json(&t->rule));
    if (w->outcome == NULL) {
        return il__audit_no_memory(err);
    }
    il__audit_set(w->outcome, "margin", margin);
    if (t->good != NULL) {
        json_object_set_new(w->outcome, "good", json_string(t->good));
    }
    if (w->in->whole) {
        json_object_set_new(w->outcome, "units", units_json(run));
    }
    w->out->outcome = il_outcome_name(class);
    return IL_OK;
}

il_status il__outcome_close(il_audit_work *w, il_error *err)
{
    il_outcome_taken *t = w->taken;
    il_outcome_run run;

    if (t == NULL || t->detector == NULL) {
        return IL_OK; /* none asked for, or no detector fitted yet that could tell */
    }
    if (t->count < 1 || !t->found) {
        il_log_write(w->in->log, IL_LOG_WARN, "outcome",
                     "no outcome: nothing that the model did here has the metric '%s'",
                     t->behaviour);
        return IL_OK;
    }
    run = run_of(w);
    if (t->good != NULL && isnan(run.good)) {
        il_outcome_inputs in = il_outcome_shares(&run, NULL);

        if (isnan(in.good)) {
            il_log_write(w->in->log, IL_LOG_WARN, "outcome",
                         "there is no metric '%s' here: nothing is called degenerate",
                         t->good);
        }
    }
    return write_down(w, &run, err);
}
