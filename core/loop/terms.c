/* Terms, resolved: see terms.h. */
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

int il__terms_detector(const il_world *w, const char *name)
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
        term->detector = il__terms_detector(t->world, s->name);
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
        term->gate = il__terms_detector(t->world, spec->gate.name);
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
    t->shadow = il__terms_detector(world, stage->train.shadow);
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
