/* Plans: see plan.h. */
#include "loop/plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- what pressure has changed -------------------------------------------------- */

il_status il_pressed_create(il_pressed *p, const il_world *w, il_error *err)
{
    p->detectors = w->detector_count;
    p->words = il_bits_words(w->model->store->count);
    p->bits = calloc(p->detectors * p->words + 1, sizeof *p->bits);
    return p->bits != NULL ? IL_OK
                           : il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
}

void il_pressed_free(il_pressed *p)
{
    free(p->bits);
    p->bits = NULL;
}

il_word *il_pressed_of(const il_pressed *p, size_t detector)
{
    return p->bits + detector * p->words;
}

json_t *il_pressed_json(const il_pressed *p, const il_world *w)
{
    json_t *all = json_object();

    for (size_t d = 0; d < p->detectors; d++) {
        json_t *names = json_array();

        for (size_t i = 0; i < w->model->store->count; i++) {
            if (il_bits_has(il_pressed_of(p, d), i)) {
                json_array_append_new(names,
                                      json_string(w->model->store->items[i].name));
            }
        }
        if (json_array_size(names) > 0) {
            json_object_set(all, w->detectors[d]->spec->name, names);
        }
        json_decref(names);
    }
    return all;
}

il_status il_pressed_read(il_pressed *p, const il_world *w, const json_t *json,
                          il_error *err)
{
    const char *detector;
    json_t *names;

    json_object_foreach((json_t *)json, detector, names)
    {
        size_t i;
        json_t *name;
        size_t d = 0;

        while (d < p->detectors && strcmp(w->detectors[d]->spec->name, detector) != 0) {
            d++;
        }
        json_array_foreach(names, i, name)
        {
            int64_t at = json_is_string(name)
                             ? il_store_find(w->model->store, json_string_value(name))
                             : -1;

            if (at < 0) {
                return il_error_set(
                    err, IL_ERR_INPUT, detector,
                    "the state says that this detector's pressure changed a "
                    "parameter that the model does not have");
            }
            if (d < p->detectors) {
                il_bits_set(il_pressed_of(p, d), (size_t)at);
            }
        }
    }
    return IL_OK;
}

/* ---- facts ---------------------------------------------------------------------- */

typedef struct facts {
    il_plan *plan;
    const il_trainer *t;
    size_t n;          /* parameters */
    size_t words;      /* of the flow's universe */
    size_t *source_of; /* [source]: its detector */
} facts;

/* A set of parameters in the flow's universe: in the first of two passes what is
 * downstream is the shadow's. */
static il_word *lift(const facts *f, const il_word *set, int kind)
{
    il_word *out = il_arena_calloc(f->plan->arena, f->words, sizeof *out);
    bool shadow = f->t->terms->shadow >= 0 && kind == IL_PASS_FIRST;

    for (size_t i = 0; out != NULL && i < f->n; i++) {
        if (il_bits_has(set, i)) {
            il_bits_set(out,
                        shadow && il_bits_has(f->t->terms->below, i) ? f->n + i : i);
        }
    }
    return out;
}

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
}

static il_status add_names(facts *f, il_error *err)
{
    const il_store *store = f->t->world->model->store;
    const char **names =
        il_arena_calloc(f->plan->arena, f->plan->flow.bits + 1, sizeof *names);

    if (names == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < f->n; i++) {
        names[i] = store->items[i].name;
        if (f->plan->flow.bits > f->n) {
            names[f->n + i] = il_arena_printf(f->plan->arena, "%s (shadow)", names[i]);
        }
    }
    f->plan->flow.names = names;
    return IL_OK;
}

static bool enters(const il_term *term, size_t detector)
{
    return term->trains &&
           (term->detector == (int)detector || term->gate == (int)detector);
}

static const char *requirement(facts *f, const char *detector, const il_job_step *chain,
                               size_t chain_count)
{
    size_t n = strlen(detector);

    for (size_t s = 0; s < chain_count; s++) {
        for (size_t i = 0; i < chain[s].spec->requirement_count; i++) {
            const il_require_spec *r = &chain[s].spec->requirements[i];

            if (strncmp(r->metric, detector, n) == 0 && r->metric[n] == '.') {
                return il_arena_printf(f->plan->arena, "%s %s", r->metric, r->text);
            }
        }
    }
    return NULL;
}

static il_status add_sources(facts *f, const il_pressed *pressed,
                             const il_job_step *chain, size_t chain_count,
                             il_error *err)
{
    const il_world *w = f->t->world;
    il_flow_source *sources =
        il_arena_calloc(f->plan->arena, w->detector_count + 1, sizeof *sources);
    size_t count = 0;

    f->source_of =
        il_arena_calloc(f->plan->arena, w->detector_count + 1, sizeof *f->source_of);
    if (sources == NULL || f->source_of == NULL) {
        return no_memory(err);
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        bool presses = false;

        for (size_t i = 0; i < f->t->terms->count; i++) {
            presses = presses || enters(&f->t->terms->items[i], d);
        }
        if (presses || il_bits_any(il_pressed_of(pressed, d), pressed->words)) {
            il_flow_source *s = &sources[count];

            s->name = w->detectors[d]->spec->name;
            s->inherited = lift(f, il_pressed_of(pressed, d), IL_PASS_SECOND);
            s->presses = presses;
            s->required = requirement(f, s->name, chain, chain_count);
            f->source_of[count++] = d;
        }
    }
    f->plan->flow.sources = sources;
    f->plan->flow.source_count = count;
    return IL_OK;
}

static il_status add_signal(facts *f, il_flow_signal *s, const il_term *term, int kind,
                            il_error *err)
{
    size_t sources = f->plan->flow.source_count;
    uint8_t *how = il_arena_calloc(f->plan->arena, sources + 1, sizeof *how);
    const il_word **score = il_arena_calloc(f->plan->arena, sources + 1, sizeof *score);

    if (how == NULL || score == NULL) {
        return no_memory(err);
    }
    s->name =
        kind == IL_PASS_FIRST && f->t->terms->shadow >= 0
            ? il_arena_printf(f->plan->arena, "%s (shadow pass)", term->spec->name)
            : term->spec->name;
    s->g = lift(f, term->g[kind], kind);
    s->v = lift(f, term->v[kind], kind);
    s->updates = lift(f, term->updates[kind], kind);
    for (size_t j = 0; j < sources; j++) {
        int d = (int)f->source_of[j];

        score[j] = lift(f, term->score_g, kind);
        if (term->detector == d) {
            how[j] |= IL_ENTERS_SCORE;
        }
        if (term->gate == d) {
            how[j] |= (uint8_t)(IL_ENTERS_CONSTANT |
                                (term->spec->gate.through ? IL_ENTERS_SCORE : 0));
        }
    }
    s->enters = how;
    s->score_g = score;
    return IL_OK;
}

static il_status add_signals(facts *f, il_error *err)
{
    const il_terms *terms = f->t->terms;
    il_flow_signal *signals =
        il_arena_calloc(f->plan->arena, 2 * terms->count + 1, sizeof *signals);
    size_t count = 0;

    if (signals == NULL) {
        return no_memory(err);
    }
    for (int kind = 0; kind < IL_PASS_KINDS; kind++) {
        for (size_t i = 0; i < terms->count; i++) {
            if (terms->items[i].runs[kind]) {
                IL_TRY(add_signal(f, &signals[count], &terms->items[i], kind, err));
                count++;
            }
        }
    }
    f->plan->flow.signals = signals;
    f->plan->flow.signal_count = count;
    return IL_OK;
}

/* Every parameter of the real model. */
static il_word *all_of(const facts *f)
{
    il_word *out = il_arena_calloc(f->plan->arena, f->words, sizeof *out);

    for (size_t i = 0; out != NULL && i < f->n; i++) {
        il_bits_set(out, i);
    }
    return out;
}

static il_status add_readers(facts *f, il_error *err)
{
    const il_world *w = f->t->world;
    const il_audit_spec *audit = &f->t->stage->audit;
    bool samples =
        audit->given && w->data != NULL && IL_HAS(il_instance_dataset(w->data), prompt);
    il_flow_reader *readers =
        il_arena_calloc(f->plan->arena, 3 * w->detector_count + 1, sizeof *readers);
    size_t count = 0;

    if (readers == NULL) {
        return no_memory(err);
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        il_flow_reader *r = &readers[count++];

        r->name = w->detectors[d]->spec->name;
        r->reads = lift(f, f->t->terms->reads[d], IL_PASS_SECOND);
        r->rezeroed = w->detectors[d]->spec->refit.kind == IL_REFIT_FROZEN &&
                      w->detectors[d]->spec->rezero.split != NULL;
        r->moves = r->rezeroed || w->detectors[d]->spec->refit.kind != IL_REFIT_FROZEN;
        r->vault = w->detectors[d]->spec->vault;
    }
    for (size_t d = 0; samples && d < w->detector_count; d++) {
        il_flow_reader *r = &readers[count++];

        *r = readers[d];
        r->name =
            il_arena_printf(f->plan->arena, "%s on sampled text", readers[d].name);
        r->audit_only = true;
        r->inputs = (il_flow_draw){all_of(f), "text that the model writes"};
    }
    if (audit->given && audit->fresh.count > 0 && w->detector_count > 0) {
        il_flow_reader *r = &readers[count++];

        *r = readers[0];
        r->name = "fresh readers";
        r->moves = false;
        r->vault = false;
        r->audit_only = true;
    }
    f->plan->flow.readers = readers;
    f->plan->flow.reader_count = count;
    return IL_OK;
}

static bool clip_has(const il_clip_spec *clip, const char *group)
{
    for (size_t i = 0; i < clip->groups.count; i++) {
        if (strcmp(clip->groups.items[i], group) == 0) {
            return true;
        }
    }
    return clip->all;
}

static il_status add_clips(facts *f, il_error *err)
{
    const il_train_spec *spec = &f->t->stage->train;
    const il_store *store = f->t->world->model->store;
    il_flow_clip *clips =
        il_arena_calloc(f->plan->arena, 2 * spec->clip_count + 1, sizeof *clips);
    il_word *members =
        il_arena_calloc(f->plan->arena, il_bits_words(f->n), sizeof *members);
    int kinds = f->t->terms->shadow >= 0 ? 2 : 1;
    size_t count = 0;

    if (clips == NULL || members == NULL) {
        return no_memory(err);
    }
    for (size_t c = 0; c < spec->clip_count; c++) {
        for (int kind = 0; kind < kinds; kind++) {
            il_bits_clear(members, il_bits_words(f->n));
            for (size_t p = 0; p < f->n; p++) {
                if (clip_has(&spec->clips[c], store->items[p].group) &&
                    f->t->stepped[kind][p]) {
                    il_bits_set(members, p);
                }
            }
            clips[count].name =
                spec->clips[c].all ? "all" : spec->clips[c].groups.items[0];
            clips[count++].members = lift(f, members, kind);
        }
    }
    f->plan->flow.clips = clips;
    f->plan->flow.clip_count = count;
    return IL_OK;
}

/* ---- matrices ------------------------------------------------------------------- */

static il_status add_matrix(facts *f, il_error *err)
{
    const il_terms *terms = f->t->terms;
    const il_store *store = f->t->world->model->store;
    il_plan *plan = f->plan;
    size_t words = il_bits_words(f->n);

    plan->rows = il_arena_calloc(plan->arena, terms->count + 1, sizeof *plan->rows);
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
                il_bits_or(set, terms->items[i].updates[kind], words);
            }
        }
        plan->rows[i].name = terms->items[i].spec->name;
        plan->rows[i].channel = il_channel_name(terms->items[i].spec->channel);
        plan->rows[i].updates = il_bits_any(set, words) ? set : NULL;
    }
    plan->row_count = terms->count;
    for (size_t p = 0; p < f->n; p++) {
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

static il_status fill(facts *f, const il_pressed *pressed, const il_job_step *chain,
                      size_t chain_count, il_error *err)
{
    IL_TRY(add_names(f, err));
    IL_TRY(add_sources(f, pressed, chain, chain_count, err));
    IL_TRY(add_signals(f, err));
    IL_TRY(add_readers(f, err));
    IL_TRY(add_clips(f, err));
    IL_TRY(add_matrix(f, err));
    if (f->plan->flow.bits ==
        f->n) { /* with a shadow the groups have no members there */
        f->plan->flow.groups = f->plan->groups;
        f->plan->flow.group_count = f->plan->group_count;
    }
    f->plan->verdict = il_firewall_judge(f->plan->arena, &f->plan->flow);
    return f->plan->verdict != NULL ? IL_OK : no_memory(err);
}

il_status il_plan_make(il_plan **out, const il_trainer *t, const il_pressed *pressed,
                       const il_job_step *chain, size_t chain_count, il_error *err)
{
    il_arena *arena = il_arena_create(16384);
    il_plan *plan = arena != NULL ? il_arena_calloc(arena, 1, sizeof *plan) : NULL;
    facts f = {.plan = plan, .t = t};
    const il_demand_spec *demand = &t->stage->firewall;
    il_status status;

    if (plan == NULL) {
        il_arena_destroy(arena);
        return no_memory(err);
    }
    plan->arena = arena;
    f.n = t->world->model->store->count;
    plan->flow.bits = t->terms->shadow >= 0 ? 2 * f.n : f.n;
    plan->flow.moments_continue = t->stage->train.continue_optimizer;
    plan->demand = demand->given ? demand->closed : IL_DEMAND_SEALED;
    plan->lowered = (plan->demand & IL_DEMAND_SEALED) != IL_DEMAND_SEALED;
    f.words = il_bits_words(plan->flow.bits);
    status = fill(&f, pressed, chain, chain_count, err);
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
        const il_signal_spec *s = t->terms->items[i].spec;
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
    json_object_set_new(out, "signals", signals);
    json_object_set_new(out, "groups", groups);
    json_object_set_new(out, "updates", updates);
    return out;
}
