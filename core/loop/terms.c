/* Terms, resolved and planned: see terms.h. */
#include "loop/terms.h"

#include <stdlib.h>
#include <string.h>
#include "loop/terms_private.h"

double il_term_weight(const il_signal_spec *s, int64_t step, int64_t steps)
{
    int64_t over = s->weight.over > 0 ? s->weight.over : steps;
    double share = over > 1 ? (double)step / (double)(over - 1) : 1.0;

    if (s->weight.from == s->weight.to) {
        return s->weight.to * s->scale;
    }
    share = share > 1.0 ? 1.0 : share;
    return (s->weight.from + (s->weight.to - s->weight.from) * share) * s->scale;
}

static int detector_number(const il_world *w, const char *name)
{
    for (size_t i = 0; name != NULL && i < w->detector_count; i++) {
        if (strcmp(w->detectors[i]->spec->name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static bool field_is(const il_terms *t, const char *name, il_field_role role,
                     il_place place, il_problems *problems)
{
    const il_field *f = il_field_find(t->world->data, name);
    static const char *const roles[] = {"",       "an input", "a target", "a weight",
                                        "a mask", "a label",  "a unit"};

    if (f == NULL) {
        const char *known[64];
        size_t n = 0;
        int32_t count = 0;
        const il_dataset_api *api = il_instance_dataset(t->world->data);
        const il_field *all = api->fields(t->world->data->self, &count);

        for (int32_t i = 0; i < count && n < 64; i++) {
            if (all[i].role == role) {
                known[n++] = all[i].name;
            }
        }
        il_problem_add_nearest(problems, place, name, known, n,
                               "the data has no field '%s'", name);
        return false;
    }
    if (f->role != role) {
        il_problem_add(
            problems, place, "field '%s' of the data is %s, expected %s", name,
            f->role >= 1 && f->role <= 6 ? roles[f->role] : "of another kind",
            roles[role]);
        return false;
    }
    return true;
}

static void resolve_source(il_terms *t, il_term *term, il_problems *problems)
{
    const il_source_spec *s = &term->spec->source;
    const char *known[64];
    size_t n = 0;

    switch (s->kind) {
    case IL_SOURCE_LOSS:
        term->loss = il_world_loss(t->world, s->name);
        if (term->loss == NULL) {
            for (size_t i = 0; i < t->world->model->loss_count && n < 64; i++) {
                known[n++] = t->world->model->losses[i].name;
            }
            il_problem_add_nearest(
                problems, s->place, s->name, known, n,
                "'%s' is neither a detector nor a loss that the model gives", s->name);
        }
        break;
    case IL_SOURCE_DETECTOR:
        term->detector = detector_number(t->world, s->name);
        break;
    case IL_SOURCE_CROSS_ENTROPY:
        for (size_t i = 0; i < t->world->model->output_count && n < 64; i++) {
            known[n++] = t->world->model->outputs[i].name;
        }
        for (size_t i = 0; i < n; i++) {
            if (strcmp(known[i], s->name) == 0) {
                n = 0;
            }
        }
        if (n > 0 || t->world->model->output_count == 0) {
            il_problem_add_nearest(problems, s->place, s->name, known, n,
                                   "the model has no output '%s'", s->name);
        }
        (void)field_is(t, s->targets, IL_FIELD_TARGET, s->place,
                       problems); /* reported */
        if (s->mask != NULL) {
            (void)field_is(t, s->mask, IL_FIELD_MASK, s->place,
                           problems); /* reported */
        }
        break;
    default:
        il_problem_add(
            problems, s->place,
            "this source needs an environment or a reference, which supervised "
            "training does not have; expected a loss of the model's, a detector or "
            "a cross_entropy");
    }
}

static void resolve_term(il_terms *t, il_term *term, const il_signal_spec *spec,
                         il_problems *problems)
{
    term->spec = spec;
    term->detector = -1;
    term->gate = -1;
    term->trains = spec->channel == IL_CHANNEL_LOSS;
    if (spec->channel != IL_CHANNEL_LOSS && spec->channel != IL_CHANNEL_MONITOR) {
        il_problem_add(
            problems, spec->place,
            "channel '%s' is not offered in supervised training, expected loss or "
            "monitor",
            il_channel_name(spec->channel));
    }
    resolve_source(t, term, problems);
    if (spec->gate.kind == IL_GATE_DETECTOR) {
        term->gate = detector_number(t->world, spec->gate.name);
    } else if (spec->gate.kind == IL_GATE_LABEL) {
        (void)field_is(t, spec->gate.name, IL_FIELD_LABEL, spec->gate.place,
                       problems); /* reported */
    }
    if (spec->tokens != NULL) {
        il_problem_add(problems, spec->place,
                       "'tokens' of a signal is not offered in supervised training; a "
                       "detector scores its own tokens, a cross_entropy has a mask");
    }
}

il_status il_terms_create(il_terms **out, il_world *world, const il_stage_spec *stage,
                          uint32_t depth, il_problems *problems, il_error *err)
{
    il_arena *arena = il_arena_create(16384);
    il_terms *t = arena != NULL ? il_arena_calloc(arena, 1, sizeof *t) : NULL;

    if (t == NULL) {
        il_arena_destroy(arena);
        return il_error_set(err, IL_ERR_MEMORY, stage->name, "out of memory");
    }
    t->arena = arena;
    t->world = world;
    t->stage = stage;
    t->depth = depth;
    t->words = il_bits_words(world->model->store->count);
    t->scrambled = -1;
    t->shadow = detector_number(world, stage->train.shadow);
    t->count = stage->signal_count;
    t->items = il_arena_calloc(arena, t->count + 1, sizeof *t->items);
    t->below = il_arena_calloc(arena, t->words, sizeof *t->below);
    t->reads = il_arena_calloc(arena, world->detector_count + 1, sizeof *t->reads);
    if (t->items == NULL || t->below == NULL || t->reads == NULL) {
        il_terms_destroy(t);
        return il_error_set(err, IL_ERR_MEMORY, stage->name, "out of memory");
    }
    for (size_t i = 0; i < t->count; i++) {
        resolve_term(t, &t->items[i], &stage->signals[i], problems);
    }
    if (il_problems_any(problems)) {
        il_terms_destroy(t);
        return il_problems_status(problems, err);
    }
    *out = t;
    return IL_OK;
}

void il_terms_destroy(il_terms *t)
{
    if (t != NULL) {
        il_arena_destroy(t->arena);
    }
}

/* ---- planning: one tape to learn who depends on what ---------------------------- */

static il_word *words_new(il_terms *t)
{
    return il_arena_calloc(t->arena, t->words, sizeof(il_word));
}

/* V at the sites that a route's target names. */
static il_status target_reads(il_terms *t, const il_pass *pass, const il_route_spec *r,
                              il_word *out, il_error *err)
{
    if (r->target_is_detector) {
        int d = detector_number(t->world, r->target);

        il_bits_copy(out, t->reads[d], t->words);
        return IL_OK;
    }
    for (size_t i = 0; i < t->world->model->site_count; i++) {
        if (strcmp(t->world->model->sites[i].name, r->target) == 0) {
            il_tensor *x = il_pass_site(pass, (int32_t)i);

            if (x == NULL) {
                return il_error_set(err, IL_ERR_INPUT, r->target,
                                    "the forward pass never came by this site");
            }
            il_bits_copy(out, il_tensor_v(x), t->words);
            return IL_OK;
        }
    }
    return il_error_set(err, IL_ERR_INPUT, r->target,
                        "a route names this, which is neither a detector nor a site");
}

static bool in_groups(const il_names_spec *groups, const char *group)
{
    for (size_t i = 0; i < groups->count; i++) {
        if (strcmp(groups->items[i], group) == 0) {
            return true;
        }
    }
    return false;
}

static il_status check_groups(const il_terms *t, const il_names_spec *groups,
                              il_error *err)
{
    const il_store *store = t->world->model->store;

    for (size_t i = 0; i < groups->count; i++) {
        bool found = false;

        for (size_t p = 0; p < store->count && !found; p++) {
            found = strcmp(store->items[p].group, groups->items[i]) == 0;
        }
        if (!found) {
            const il_place *at = &groups->places[i];
            char where[IL_ERROR_WHERE_MAX];

            (void)snprintf(where, sizeof where, "%s:%d:%d", at->file, (int)at->line,
                           (int)at->column);
            return il_error_set(err, IL_ERR_INPUT, where,
                                "the model has no parameter group '%s'",
                                groups->items[i]);
        }
    }
    return IL_OK;
}

static il_status fill_route(il_terms *t, const il_pass *pass, il_term *term,
                            il_error *err)
{
    const il_route_spec *r = &term->spec->route;
    const il_store *store = t->world->model->store;
    il_word *reads = words_new(t);

    if (reads == NULL || term->route == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, term->spec->name, "out of memory");
    }
    if (r->kind == IL_ROUTE_DOWNSTREAM || r->kind == IL_ROUTE_UPSTREAM) {
        IL_TRY(target_reads(t, pass, r, reads, err));
    }
    IL_TRY(check_groups(t, &r->groups, err));
    for (size_t i = 0; i < store->count; i++) {
        bool in = r->kind == IL_ROUTE_ALL ||
                  (r->kind == IL_ROUTE_GROUPS &&
                   in_groups(&r->groups, store->items[i].group)) ||
                  (r->kind == IL_ROUTE_UPSTREAM && il_bits_has(reads, i)) ||
                  (r->kind == IL_ROUTE_DOWNSTREAM && !il_bits_has(reads, i));

        if (in) {
            il_bits_set(term->route, i);
        }
    }
    return IL_OK;
}

static il_status allocate_plan(il_terms *t, il_error *err)
{
    for (size_t i = 0; i < t->count; i++) {
        il_term *term = &t->items[i];

        term->route = words_new(t);
        term->score_g = words_new(t);
        for (int k = 0; k < IL_PASS_KINDS; k++) {
            term->g[k] = words_new(t);
            term->v[k] = words_new(t);
            term->updates[k] = words_new(t);
            if (term->g[k] == NULL || term->v[k] == NULL || term->updates[k] == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
            }
        }
        if (term->route == NULL || term->score_g == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
        }
    }
    for (size_t d = 0; d < t->world->detector_count; d++) {
        t->reads[d] = words_new(t);
        if (t->reads[d] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
        }
    }
    return IL_OK;
}

/* What each detector reads, and which sites the pass must keep for that. */
static il_status plan_reads(il_terms *t, const il_pass *pass, il_error *err)
{
    for (size_t d = 0; d < t->world->detector_count; d++) {
        const il_detector *det = t->world->detectors[d];

        for (size_t i = 0; i < det->site_count; i++) {
            il_tensor *x = il_pass_site(pass, (int32_t)det->sites[i]);

            if (x == NULL) {
                return il_error_set(
                    err, IL_ERR_INPUT, det->spec->sites.items[i],
                    "the model declares this site but its forward pass never "
                    "comes by");
            }
            il_bits_or(t->reads[d], il_tensor_v(x), t->words);
        }
    }
    return IL_OK;
}

static il_status plan_pass(il_terms *t, il_worker *worker, il_micro *micro, int kind,
                           il_error *err)
{
    il_terms_run run = {.kind = kind, .values = t->world->values, .watch = true};
    il_tensor **roots = NULL;
    il_micro_scores *scores = NULL;

    IL_TRY(il__terms_forward(t, worker, micro, &run, &scores, err));
    if (kind == IL_PASS_FIRST) {
        IL_TRY(plan_reads(t, worker->pass, err));
        if (t->shadow >= 0) {
            for (size_t p = 0; p < t->world->model->store->count; p++) {
                if (!il_bits_has(t->reads[t->shadow], p)) {
                    il_bits_set(t->below, p);
                }
            }
        }
    }
    roots = il_arena_calloc(worker->scratch, t->count + 1, sizeof *roots);
    if (roots == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
    }
    for (size_t i = 0; i < t->count; i++) {
        il_term *term = &t->items[i];
        float *seeds = NULL;

        if (kind == IL_PASS_FIRST) {
            IL_TRY(fill_route(t, worker->pass, term, err));
        }
        term->normalizer = term->normalizer > 0 ? term->normalizer : 1.0;
        IL_TRY(il__term_root(t, (size_t)i, worker, micro, &run, scores, &roots[i],
                             &seeds, err));
        IL_TRY(il_pass_status(worker->pass, err));
        if (roots[i] == NULL) {
            return il_error_set(err, IL_ERR_INPUT, term->spec->name,
                                "the first micro-batch has no row for this signal");
        }
        il_bits_copy(term->g[kind], il_tensor_g(roots[i]), t->words);
        il_bits_copy(term->v[kind], il_tensor_v(roots[i]), t->words);
        il_bits_copy(term->updates[kind], term->g[kind], t->words);
        il_bits_and(term->updates[kind], term->route, t->words);
        if (kind == IL_PASS_FIRST) {
            int d = term->detector >= 0 ? term->detector : term->gate;

            if (d >= 0 && (term->detector >= 0 || term->spec->gate.through)) {
                il_bits_copy(term->score_g, il_tensor_g(scores[d].logits), t->words);
            }
        } else {
            il_bits_and(term->updates[kind], t->below, t->words);
        }
        term->planned[kind] = true;
    }
    return IL_OK;
}

il_status il_terms_plan(il_terms *t, il_worker *worker, il_micro *micro, il_error *err)
{
    IL_TRY(allocate_plan(t, err));
    il_arena_reset(worker->scratch);
    IL_TRY(il_terms_measure(t, micro, worker->scratch, err));
    IL_TRY(plan_pass(t, worker, micro, IL_PASS_FIRST, err));
    if (t->shadow >= 0) {
        IL_TRY(plan_pass(t, worker, micro, IL_PASS_SECOND, err));
    }
    for (size_t i = 0; i < t->count; i++) {
        il_term *term = &t->items[i];
        bool entered = term->detector >= 0 || term->gate >= 0;

        term->runs[IL_PASS_FIRST] =
            term->trains && il_bits_any(term->updates[IL_PASS_FIRST], t->words) &&
            (t->shadow < 0 || !entered);
        term->runs[IL_PASS_SECOND] =
            term->trains && t->shadow >= 0 &&
            il_bits_any(term->updates[IL_PASS_SECOND], t->words);
    }
    return IL_OK;
}
