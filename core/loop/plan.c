/* Plans: see plan.h. */
#include <string.h>
#include "loop/halt.h"
#include "loop/plan_private.h"

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
}

/* ---- matrices ------------------------------------------------------------------- */

/* Whether a signal has no rows of its own and no place in a pass: it halts or sifts. */
static bool rules(const il_signal_spec *s)
{
    return s->channel == IL_CHANNEL_HALT || s->channel == IL_CHANNEL_DATA;
}

/* "examples that probe scores below 0.5 are kept". */
static const char *what_sift(il_arena *arena, const il_signal_spec *s)
{
    static const char *const kept[] = {"below", "above", "lowest", "highest"};
    const char *d = s->source.name;
    char value[32];

    il_format_real(s->sift.value, value);
    switch (s->sift.kind) {
    case IL_SIFT_BELOW:
    case IL_SIFT_ABOVE:
        return il_arena_printf(arena, "examples that %s scores %s %s are kept", d,
                               kept[s->sift.kind], value);
    case IL_SIFT_LOWEST:
    case IL_SIFT_HIGHEST:
        return il_arena_printf(arena, "the %s of a batch that %s scores %s are kept",
                               value, d, kept[s->sift.kind]);
    case IL_SIFT_COMPLEMENT:
        return il_arena_printf(arena, "examples weigh 1 - p, p by %s", d);
    default:
        return il_arena_printf(arena, "examples weigh exp(-p / %s), p by %s", value, d);
    }
}

/* Rows and groups; their sets are as wide as the flow's. */
static il_status add_matrix(il_plan *plan, const il_trainer *t, il_error *err)
{
    const il_terms *terms = t->terms;
    const il_store *store = t->world->model->store;
    size_t words = il_bits_words(plan->flow.bits);

    plan->rows = il_arena_calloc(
        plan->arena, terms->count + terms->edit_count + t->stage->signal_count + 1,
        sizeof *plan->rows);
    plan->groups = il_arena_calloc(plan->arena, store->count + 1, sizeof *plan->groups);
    if (plan->rows == NULL || plan->groups == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < terms->count; i++) {
        il_word *set = il_arena_calloc(plan->arena, words, sizeof *set);

        if (set == NULL) {
            return no_memory(err);
        }
        for (int kind = 0; kind < IL_PASS_KINDS; kind++) {
            if (terms->items[i].runs[kind]) {
                il_bits_or(set, terms->items[i].updates[kind],
                           il_bits_words(store->count));
            }
        }
        plan->rows[i].name = terms->items[i].spec->name;
        plan->rows[i].channel = il_channel_name(terms->items[i].channel);
        plan->rows[i].updates = il_bits_any(set, words) ? set : NULL;
    }
    for (size_t i = 0; i < terms->edit_count; i++) {
        plan->rows[terms->count + i].name = terms->edits[i].spec->name;
        plan->rows[terms->count + i].channel = il_channel_name(IL_CHANNEL_EDIT);
    }
    plan->row_count = terms->count + terms->edit_count;
    for (size_t i = 0; i < t->stage->signal_count; i++) {
        if (rules(&t->stage->signals[i])) {
            plan->rows[plan->row_count].name = t->stage->signals[i].name;
            plan->rows[plan->row_count++].channel =
                il_channel_name(t->stage->signals[i].channel);
        }
    }
    for (size_t p = 0; p < store->count; p++) {
        size_t g = 0;

        while (g < plan->group_count &&
               strcmp(plan->groups[g].name, store->items[p].group) != 0) {
            g++;
        }
        if (g == plan->group_count) {
            plan->groups[g].name = store->items[p].group;
            plan->groups[g].members =
                il_arena_calloc(plan->arena, words, sizeof(il_word));
            if (plan->groups[g].members == NULL) {
                return no_memory(err);
            }
            plan->group_count++;
        }
        il_bits_set((il_word *)plan->groups[g].members, p);
    }
    return IL_OK;
}

/* "steer 2 class distances, features 3 7". */
static const char *what_edit(il_arena *arena, const il_edit_spec *e)
{
    static const char *const kinds[] = {"", "ablate", "clamp to ", "steer ", "splice"};
    il_text text = {0};
    char value[32];
    const char *kept;

    il_text_add(&text, kinds[e->kind]);
    if (e->kind == IL_EDIT_CLAMP || e->kind == IL_EDIT_STEER) {
        il_format_real(e->value, value);
        il_text_addf(&text, "%s%s", value, e->classes ? " class distances" : "");
    }
    if (e->to_middle) {
        il_text_add(&text, " to the middle");
    }
    if (e->keep_error) {
        il_text_add(&text, ", its error kept");
    }
    for (size_t i = 0; i < e->feature_count; i++) {
        il_text_addf(&text, "%s%d", i == 0 ? ", features " : " ", (int)e->features[i]);
    }
    kept = text.failed ? NULL : il_arena_strdup(arena, text.data);
    il_text_free(&text);
    return kept;
}

static const char *strength_of(il_arena *arena, const il_signal_spec *s, int64_t steps)
{
    char from[32];
    char to[32];

    il_format_real(s->weight.from * s->scale, from);
    il_format_real(s->weight.to * s->scale, to);
    return s->weight.from == s->weight.to
               ? il_arena_strdup(arena, to)
               : il_arena_printf(
                     arena, "%s to %s over %lld", from, to,
                     (long long)(s->weight.over > 0 ? s->weight.over : steps));
}

static il_status add_edits(il_plan *plan, const il_trainer *t, il_error *err)
{
    const il_terms *terms = t->terms;

    plan->edits =
        il_arena_calloc(plan->arena, terms->edit_count + 1, sizeof *plan->edits);
    for (size_t i = 0; plan->edits != NULL && i < terms->edit_count; i++) {
        const il_term_edit *e = &terms->edits[i];
        il_explain_edit *out = &plan->edits[plan->edit_count++];

        out->name = e->spec->name;
        out->what = what_edit(plan->arena, &e->spec->edit);
        out->detector = e->spec->source.name;
        out->site = t->world->model->sites[e->editor.site.site].name;
        out->tokens = e->editor.site.tokens;
        out->strength =
            strength_of(plan->arena, e->spec, il_train_length(&t->stage->train));
        if (out->what == NULL || out->strength == NULL) {
            return no_memory(err);
        }
    }
    return plan->edits != NULL ? IL_OK : no_memory(err);
}

static il_status add_halts(il_plan *plan, const il_trainer *t, il_error *err)
{
    const il_stage_spec *stage = t->stage;

    plan->halts =
        il_arena_calloc(plan->arena, stage->signal_count + 1, sizeof *plan->halts);
    for (size_t i = 0; plan->halts != NULL && i < stage->signal_count; i++) {
        const il_signal_spec *s = &stage->signals[i];
        il_explain_halt *out = &plan->halts[plan->halt_count];

        if (!rules(s)) {
            continue;
        }
        plan->halt_count++;
        out->spec = s;
        out->name = s->name;
        if (s->channel == IL_CHANNEL_DATA) {
            out->line = what_sift(plan->arena, s);
            if (out->line == NULL) {
                return no_memory(err);
            }
            continue;
        }
        out->line = il_halt_line(plan->arena, &s->halt);
        out->deed = il_halt_deed(plan->arena, &s->halt);
        out->ends = il_halt_ends(stage, &s->halt);
        if (out->line == NULL || out->deed == NULL) {
            return no_memory(err);
        }
    }
    return plan->halts != NULL ? IL_OK : no_memory(err);
}

static il_status judge(il_plan *plan, const il_trainer *t, il_error *err)
{
    if (t->terms->shadow < 0) { /* with one the groups have no members there */
        plan->flow.groups = plan->groups;
        plan->flow.group_count = plan->group_count;
    }
    plan->verdict = il_firewall_judge(plan->arena, &plan->flow);
    return plan->verdict != NULL ? IL_OK : no_memory(err);
}

il_status il_plan_make(il_plan **out, const il_trainer *t, const il_pressed *pressed,
                       const il_job_step *chain, size_t chain_count, il_error *err)
{
    il_arena *arena = il_arena_create(16384);
    il_plan *plan = arena != NULL ? il_arena_calloc(arena, 1, sizeof *plan) : NULL;
    const il_demand_spec *demand = &t->stage->firewall;
    il_status status;

    if (plan == NULL) {
        il_arena_destroy(arena);
        return no_memory(err);
    }
    plan->arena = arena;
    plan->demand = demand->given ? demand->closed : IL_DEMAND_SEALED;
    plan->lowered = (plan->demand & IL_DEMAND_SEALED) != IL_DEMAND_SEALED;
    status = il__plan_facts(plan, t, pressed, chain, chain_count, err);
    if (status == IL_OK) {
        status = add_matrix(plan, t, err);
    }
    if (status == IL_OK) {
        status = add_edits(plan, t, err);
    }
    if (status == IL_OK) {
        status = add_halts(plan, t, err);
    }
    if (status == IL_OK) {
        status = judge(plan, t, err);
    }
    if (status != IL_OK) {
        il_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return IL_OK;
}

void il_plan_destroy(il_plan *p)
{
    if (p != NULL) {
        il_arena_destroy(p->arena);
    }
}

void il_plan_inherit(const il_plan *p, const il_trainer *t, il_pressed *pressed)
{
    for (size_t s = 0; s < p->flow.source_count; s++) {
        il_detector *d = il_world_detector(t->world, p->flow.sources[s].name);
        size_t at = 0;

        while (t->world->detectors[at] != d) {
            at++;
        }
        for (size_t i = 0; i < t->world->model->store->count; i++) {
            if (il_bits_has(p->verdict->pressed[s], i)) {
                il_bits_set(il_pressed_of(pressed, at), i);
            } else if (il_bits_has(p->verdict->moved[s], i)) {
                il_bits_set(il_pressed_taught(pressed, at), i);
            }
        }
    }
}

json_t *il_plan_json(const il_plan *p, const il_trainer *t, const char *stage,
                     const char *variant)
{
    static const char *const channels[] = {"direct", "credit", "relay",  "state",
                                           "data",   "input",  "reader", "selection"};
    static const char *const routes[] = {"all", "none", "groups", "downstream",
                                         "upstream"};
    json_t *out = il_verdict_json(p->verdict);
    json_t *demand = json_array();
    json_t *signals = json_array();
    json_t *groups = json_array();
    json_t *updates = json_array();

    for (size_t c = 0; c < IL_FLOW_CHANNELS; c++) {
        if (p->demand >> c & 1u) {
            json_array_append_new(demand, json_string(channels[c]));
        }
    }
    for (size_t g = 0; g < p->group_count; g++) {
        json_array_append_new(groups, json_string(p->groups[g].name));
    }
    for (size_t i = 0; i < p->row_count; i++) {
        const il_terms *terms = t->terms;
        const il_explain_halt *halt =
            i < terms->count + terms->edit_count
                ? NULL
                : &p->halts[i - terms->count - terms->edit_count];
        const il_signal_spec *s = halt != NULL ? halt->spec
                                  : i < terms->count
                                      ? terms->items[i].spec
                                      : terms->edits[i - terms->count].spec;
        json_t *row = json_array();

        json_array_append_new(
            signals,
            json_pack("{s:s, s:s, s:s, s:b, s:s, s:f, s:o}", "name", s->name, "channel",
                      p->rows[i].channel, "source",
                      s->source.name != NULL ? s->source.name : "", "detector",
                      s->source.kind == IL_SOURCE_DETECTOR, "route",
                      routes[s->route.kind], "weight", s->weight.to * s->scale,
                      "trigger",
                      s->has_trigger ? json_real(s->trigger_above) : json_null()));
        if (halt != NULL && halt->deed == NULL) {
            json_object_set_new(json_array_get(signals, i), "sift",
                                json_string(halt->line));
        } else if (halt != NULL) {
            json_object_set_new(json_array_get(signals, i), "halt",
                                json_pack("{s:s, s:s, s:I}", "line", halt->line, "do",
                                          halt->deed, "ends", (json_int_t)halt->ends));
        } else if (i >= terms->count) {
            json_object_set_new(json_array_get(signals, i), "edit",
                                json_string(p->edits[i - terms->count].what));
        }
        for (size_t g = 0; g < p->group_count; g++) {
            bool any = p->rows[i].updates != NULL &&
                       il_bits_meet(p->rows[i].updates, p->groups[g].members,
                                    il_bits_words(t->world->model->store->count));

            json_array_append_new(row, json_integer(any));
        }
        json_array_append_new(updates, row);
    }
    json_object_set_new(out, "stage", json_string(stage));
    json_object_set_new(out, "variant",
                        variant[0] != '\0' ? json_string(variant) : json_null());
    json_object_set_new(out, "twin_of",
                        t->stage->twin_of ? json_string(t->stage->twin_of)
                                          : json_null());
    json_object_set_new(out, "placebo_of",
                        t->stage->placebo_of ? json_string(t->stage->placebo_of)
                                             : json_null());
    json_object_set_new(out, "demand", demand);
    json_object_set_new(out, "lowered", json_boolean(p->lowered));
    json_object_set_new(out, "accepted", il_world_accepted(t->world));
    json_object_set_new(out, "signals", signals);
    json_object_set_new(out, "groups", groups);
    json_object_set_new(out, "updates", updates);
    return out;
}
