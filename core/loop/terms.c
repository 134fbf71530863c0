/* Terms, resolved: names of losses, outputs, fields, detectors and rollouts; and the
 * terms that an algorithm adds. See terms.h. */
#include "loop/terms.h"

#include <stdlib.h>
#include <string.h>
#include "loop/scramble.h"

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

/* ---- edits ---------------------------------------------------------------------- */

il_status il_terms_edits(const il_terms *t, int kind, int64_t step, uint32_t lot,
                         il_arena *arena, il_site_edits *out, il_error *err)
{
    il_site_edit *items;
    float *strengths;

    *out = (il_site_edits){0};
    if (t->edit_count == 0 || (t->shadow >= 0 && kind == IL_PASS_FIRST)) {
        return IL_OK;
    }
    items = il_arena_calloc(arena, t->edit_count, sizeof *items);
    strengths = il_arena_calloc(arena, t->edit_count, sizeof *strengths);
    if (items == NULL || strengths == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, t->stage->name, "out of memory");
    }
    for (size_t i = 0; i < t->edit_count; i++) {
        const il_term_edit *e = &t->edits[i];
        double strength =
            il_term_weight(e->spec, step, il_train_length(&t->stage->train));

        if (e->lots != 0 && (e->lots >> lot & 1u) == 0) {
            continue;
        }
        if (t->scrambled == e->detector) { /* what a certificate puts in its place */
            il_rng r;

            il_rng_open(&r, t->world->seed, t->depth, IL_RNG_SCRAMBLE, (uint64_t)step,
                        UINT64_MAX - 1 - i);
            strength *= 1.0 + 4.0 * (double)il_rng_normal(&r);
        }
        items[out->count] = e->editor.site;
        if (!il__scramble_edit(t, i, arena, &items[out->count])) {
            return il_error_set(err, IL_ERR_MEMORY, t->stage->name, "out of memory");
        }
        strengths[out->count++] = (float)strength;
    }
    out->items = items;
    out->strengths = strengths;
    return IL_OK;
}

bool il_term_edited(const il_terms *t, const il_term *term, size_t edit, int kind)
{
    size_t bit = t->bits - t->edit_count + edit;

    return (term->v[kind] != NULL && il_bits_has(term->v[kind], bit)) ||
           (term->weigh_v != NULL && il_bits_has(term->weigh_v, bit));
}

/* ---- names ---------------------------------------------------------------------- */

/* Whether the rows have a field of that name and role; if not, a problem says so. */
static bool field_is(const il_terms *t, const char *name, il_field_role role,
                     il_place place, il_problems *problems)
{
    static const char *const roles[] = {"",       "an input", "a target", "a weight",
                                        "a mask", "a label",  "a unit",   "a reward"};
    const il_field *f = il_field_find(t->rows, name);
    const char *whose = t->rows == t->world->data ? "data" : "environment";

    if (f == NULL) {
        const char *known[64];
        size_t n = 0;
        int32_t count = 0;
        const il_field *all = il_instance_fields(t->rows, &count);

        for (int32_t i = 0; i < count && n < 64; i++) {
            if (all[i].role == role) {
                known[n++] = all[i].name;
            }
        }
        il_problem_add_nearest(problems, place, name, known, n,
                               "the %s has no field '%s'", whose, name);
        return false;
    }
    if (f->role != role) {
        il_problem_add(
            problems, place, "field '%s' of the %s is %s, expected %s", name, whose,
            f->role >= 1 && f->role <= 7 ? roles[f->role] : "of another kind",
            roles[role]);
        return false;
    }
    return true;
}

/* Whether the model declares an output; if not, a problem says so. */
static bool output_is(const il_terms *t, const char *name, il_place place,
                      il_problems *problems)
{
    const char *known[64];
    size_t n = 0;

    for (size_t i = 0; i < t->world->model->output_count && n < 64; i++) {
        known[n++] = t->world->model->outputs[i].name;
        if (strcmp(known[n - 1], name) == 0) {
            return true;
        }
    }
    il_problem_add_nearest(problems, place, name, known, n,
                           "the model has no output '%s'", name);
    return false;
}

static il_term_kind kind_of(const il_signal_spec *s)
{
    switch (s->source.kind) {
    case IL_SOURCE_LOSS:
        return IL_TERM_LOSS;
    case IL_SOURCE_DETECTOR:
        return s->channel != IL_CHANNEL_REWARD ? IL_TERM_DETECTOR
               : s->credit_sample              ? IL_TERM_LATENT
                                               : IL_TERM_REWARD;
    case IL_SOURCE_CROSS_ENTROPY:
        return IL_TERM_CROSS_ENTROPY;
    case IL_SOURCE_REWARD:
    case IL_SOURCE_LABEL:
        return IL_TERM_REWARD;
    case IL_SOURCE_ENTROPY:
        return IL_TERM_ENTROPY;
    default:
        return IL_TERM_KL;
    }
}

static void resolve_loss(const il_terms *t, il_term *term, il_problems *problems)
{
    const il_source_spec *s = &term->spec->source;
    const char *known[64];
    size_t n = 0;

    term->loss = il_world_loss(t->world, s->name);
    if (term->loss == NULL) {
        for (size_t i = 0; i < t->world->model->loss_count && n < 64; i++) {
            known[n++] = t->world->model->losses[i].name;
        }
        il_problem_add_nearest(
            problems, s->place, s->name, known, n,
            "'%s' is neither a detector nor a loss that the model gives", s->name);
    }
}

static void resolve_source(il_terms *t, il_term *term, il_problems *problems)
{
    const il_source_spec *s = &term->spec->source;

    if (s->kind >= IL_SOURCE_REWARD && t->stage->train.rollout_count == 0) {
        il_problem_add(
            problems, s->place,
            "this source needs an environment or a reference, which supervised "
            "training does not have; expected a loss of the model's, a detector or "
            "a cross_entropy");
        return;
    }
    switch (s->kind) {
    case IL_SOURCE_LOSS:
        resolve_loss(t, term, problems);
        break;
    case IL_SOURCE_DETECTOR:
        term->detector = il__terms_detector(t->world, s->name);
        break;
    case IL_SOURCE_CROSS_ENTROPY:
        /* What is wrong is reported. */
        (void)output_is(t, s->name, s->place, problems);
        (void)field_is(t, s->targets, IL_FIELD_TARGET, s->place, problems);
        if (s->mask != NULL) {
            (void)field_is(t, s->mask, IL_FIELD_MASK, s->place, problems);
        }
        break;
    case IL_SOURCE_REWARD:
    case IL_SOURCE_LABEL:
        if (field_is(t, s->name,
                     s->kind == IL_SOURCE_REWARD ? IL_FIELD_REWARD : IL_FIELD_LABEL,
                     s->place, problems)) {
            term->field = s->name;
        }
        break;
    case IL_SOURCE_ENTROPY:
        break;
    case IL_SOURCE_KL:
        term->reference = il_world_reference(t->world, s->name);
        break;
    }
}

/* The rollouts that a signal names, a bit each. */
static uint64_t lots_of(const il_train_spec *train, const il_names_spec *on)
{
    uint64_t lots = 0;

    for (size_t i = 0; i < on->count; i++) {
        for (size_t j = 0; j < train->rollout_count; j++) {
            if (strcmp(train->rollouts[j].name, on->items[i]) == 0) {
                lots |= (uint64_t)1 << j;
            }
        }
    }
    return lots;
}

/* Which rollouts a term runs on. */
static void resolve_lots(const il_terms *t, il_term *term, il_problems *problems)
{
    term->lots = lots_of(&t->stage->train, &term->spec->on);
    term->own = (term->lots & t->own) != 0;
    if ((term->kind == IL_TERM_REWARD || term->kind == IL_TERM_LATENT) &&
        term->trains && (term->lots & ~t->own) != 0) {
        il_problem_add(
            problems, term->spec->place,
            "a reward teaches the policy that acted: signal '%s' can only be "
            "on rollouts with `policy: own`",
            term->spec->name);
    }
}

static void check_channel(const il_terms *t, const il_term *term, il_problems *problems)
{
    const il_signal_spec *spec = term->spec;
    bool rollouts = t->stage->train.rollout_count > 0;

    if (spec->channel != IL_CHANNEL_LOSS && spec->channel != IL_CHANNEL_MONITOR &&
        (!rollouts || spec->channel != IL_CHANNEL_REWARD)) {
        il_problem_add(problems, spec->place,
                       "channel '%s' is not offered in %s, expected loss%s, edit, "
                       "data, halt or monitor",
                       il_channel_name(spec->channel),
                       rollouts ? "reinforcement" : "supervised training",
                       rollouts ? ", reward" : "");
    }
    /* Of a signal that edits elsewhere, and is watched here, they are the edit's. */
    if (spec->tokens != NULL && !spec->edit.given &&
        (term->detector < 0 ||
         strcmp(spec->tokens, t->world->detectors[term->detector]->spec->tokens) !=
             0)) {
        il_problem_add(problems, spec->place,
                       "a signal's `tokens` can only repeat those of its detector, "
                       "which scores its own; a cross_entropy has a mask");
    }
}

/* A sampled site's mean. */
static void resolve_latent(il_terms *t, const il_term *term, il_problems *problems)
{
    const il_sample_spec *sample = &t->stage->train.sample;

    if (term->kind == IL_TERM_LATENT && sample->mean != NULL) {
        t->mean_site = il_instance_site(t->world->model, sample->mean);
        if (t->mean_site < 0) {
            il_problem_add(problems, sample->place, "the model has no site '%s'",
                           sample->mean);
        }
    }
}

static void resolve_term(il_terms *t, il_term *term, const il_signal_spec *spec,
                         il_problems *problems)
{
    term->spec = spec;
    term->kind = kind_of(spec);
    term->channel = spec->channel;
    term->detector = -1;
    term->gate = -1;
    term->reference = -1;
    term->trains =
        spec->channel == IL_CHANNEL_LOSS || spec->channel == IL_CHANNEL_REWARD;
    resolve_source(t, term, problems);
    check_channel(t, term, problems);
    resolve_lots(t, term, problems);
    resolve_latent(t, term, problems);
    if (spec->gate.kind == IL_GATE_DETECTOR) {
        term->gate = il__terms_detector(t->world, spec->gate.name);
    } else if (spec->gate.kind == IL_GATE_LABEL) {
        (void)field_is(t, spec->gate.name, IL_FIELD_LABEL, spec->gate.place,
                       problems); /* reported */
    }
}

/* ---- reinforcement -------------------------------------------------------------- */

bool il__terms_rewarded(const il_term *term)
{
    return term->kind == IL_TERM_REWARD && term->trains;
}

/* A term that no signal of the pipeline's names, on the rollouts of what it serves. */
static il_status add_implicit(il_terms *t, il_term_kind kind, const char *name,
                              double weight, const il_term *serves,
                              il_problems *problems, il_error *err)
{
    il_signal_spec *spec = il_arena_calloc(t->arena, 1, sizeof *spec);
    il_term *term = &t->items[t->count];

    if (spec == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, name, "out of memory");
    }
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].spec->name, name) == 0) {
            il_problem_add(problems, t->items[i].spec->place,
                           "'%s' is what the algorithm's own term is called; give the "
                           "signal another name",
                           name);
        }
    }
    spec->name = name;
    spec->source.name = name;
    spec->source.place = t->stage->train.algorithm.place;
    spec->place = t->stage->train.algorithm.place;
    spec->channel = IL_CHANNEL_REWARD;
    spec->weight.from = weight;
    spec->weight.to = weight;
    spec->scale = 1;
    spec->route = serves->spec->route; /* for people: the union is the plan's */
    term->spec = spec;
    term->kind = kind;
    term->channel = IL_CHANNEL_REWARD;
    term->implicit = true;
    term->detector = -1;
    term->gate = -1;
    term->reference = -1;
    term->lots = serves->lots;
    term->own = true;
    term->trains = true;
    t->count++;
    return IL_OK;
}

/* The policy's output, who acts, and what may be drawn. */
static il_status resolve_policy(il_terms *t, il_error *err)
{
    const il_train_spec *train = &t->stage->train;
    const il_instance *env = t->world->environment;

    t->policy = "policy";
    for (size_t i = 0; i < train->rollout_count; i++) {
        if (strcmp(train->rollouts[i].policy, "own") == 0) {
            t->own |= (uint64_t)1 << i;
        }
    }
    if (train->rollout_count > 0 &&
        il_instance_environment(env)->form == IL_ENVIRONMENT_TEXT) {
        const il_instance *model = t->world->model;
        int64_t width = env->shape.vocabulary;
        uint8_t *allowed;

        /* As long as a row of logits: a model may know more tokens. */
        for (size_t i = 0; i < model->output_count; i++) {
            if (strcmp(model->outputs[i].name, "logits") == 0 &&
                model->outputs[i].width > width) {
                width = model->outputs[i].width;
            }
        }
        allowed = il_arena_calloc(t->arena, (size_t)width + 1, 1);
        if (allowed == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "terms", "out of memory");
        }
        t->policy = "logits";
        il_instance_environment(env)->allowed(env->self, allowed);
        t->allowed = allowed;
    }
    return IL_OK;
}

static void check_groups_of(const il_terms *t, uint64_t lots, il_problems *problems)
{
    const il_train_spec *train = &t->stage->train;

    for (size_t i = 0; i < train->rollout_count; i++) {
        if ((lots >> i & 1u) != 0 && train->rollouts[i].samples < 2) {
            il_problem_add(problems, train->rollouts[i].place,
                           "group_relative compares answers to one prompt: give "
                           "`prompts` and at least 2 `samples`");
        }
    }
}

/* What rewards need: outputs, and rollouts in common; and the terms that go with them.
 */
static il_status add_rewards(il_terms *t, il_problems *problems, il_error *err)
{
    const il_algorithm_spec *a = &t->stage->train.algorithm;
    const il_term *first = NULL;
    bool acts = false;

    for (size_t i = 0; i < t->count; i++) {
        const il_term *term = &t->items[i];

        acts = acts || term->kind == IL_TERM_REWARD || term->kind == IL_TERM_ENTROPY ||
               term->kind == IL_TERM_KL;
        if (!il__terms_rewarded(term)) {
            continue;
        }
        first = first != NULL ? first : term;
        if (term->lots != first->lots) {
            il_problem_add(
                problems, term->spec->place,
                "signals '%s' and '%s' are parts of one return: they must be "
                "`on` the same rollouts",
                first->spec->name, term->spec->name);
        }
    }
    if (acts) {
        (void)output_is(t, t->policy, t->stage->train.place, problems); /* reported */
    }
    if (first == NULL) {
        return IL_OK;
    }
    if (a->kind == IL_ALGORITHM_GROUP_RELATIVE) {
        check_groups_of(t, first->lots, problems);
        return IL_OK;
    }
    (void)output_is(t, "value", a->place, problems); /* reported */
    IL_TRY(add_implicit(t, IL_TERM_BASELINE, "baseline", 1.0, first, problems, err));
    return add_implicit(t, IL_TERM_VALUE, "value", a->value_weight, first, problems,
                        err);
}

/* An edit's rows, where episodes are played under it. */
static void check_edit_rows(const il_terms *t, const il_term_edit *e,
                            il_problems *problems)
{
    const char *tokens = e->editor.site.tokens;
    const il_instance *env = t->world->environment;

    if (strcmp(tokens, "all") == 0 ||
        !field_is(t, tokens, IL_FIELD_MASK, e->spec->place, problems)) {
        return;
    }
    if ((e->lots & t->own) != 0 &&
        il_instance_environment(env)->form == IL_ENVIRONMENT_TEXT) {
        il_problem_add(problems, e->spec->place,
                       "mask '%s' is not known while an answer is written: edit with "
                       "`tokens: all`",
                       tokens);
    }
}

static void resolve_edit(il_terms *t, const il_signal_spec *spec, il_problems *problems)
{
    il_term_edit *e = &t->edits[t->edit_count++];

    e->spec = spec;
    e->detector = il__terms_detector(t->world, spec->source.name);
    e->lots = lots_of(&t->stage->train, &spec->on);
    il_editor_check(t->world->detectors[e->detector], &spec->edit, problems);
    il_editor_open(&e->editor, t->world->detectors[e->detector], &spec->edit,
                   spec->tokens);
    e->editor.site.marker =
        (int64_t)(t->world->model->store->count + t->edit_count - 1);
    check_edit_rows(t, e, problems);
    if (t->stage->train.sample.site != NULL) {
        il_problem_add(problems, spec->place,
                       "a site is sampled in this stage, and what is recorded of it "
                       "would be edited twice: leave out `sample` or the edit");
    }
}

static void resolve_sift(il_terms *t, const il_signal_spec *spec)
{
    il_term_sift *s = &t->sifts[t->sift_count++];

    s->spec = spec;
    s->detector = il__terms_detector(t->world, spec->source.name);
    s->lots = lots_of(&t->stage->train, &spec->on);
}

/* ---- the vault ------------------------------------------------------------------- */

static il_status refuse(const il_terms *t, int64_t detector, const il_signal_spec *spec,
                        il_error *err)
{
    const il_detector *d = detector >= 0 ? t->world->detectors[detector] : NULL;

    return d != NULL && d->spec->vault
               ? il_error_set(err, IL_ERR_INPUT, spec->name,
                              "detector '%s' is in the vault: nothing may train on it",
                              d->spec->name)
               : IL_OK;
}

/* Whatever made the signals, none that has a part in training reads what the vault
 * holds. A reader of members in the vault is in it itself. */
static il_status check_vault(const il_terms *t, il_error *err)
{
    for (size_t i = 0; i < t->count; i++) {
        const il_term *term = &t->items[i];

        if (term->trains) {
            IL_TRY(refuse(t, term->detector, term->spec, err));
            IL_TRY(refuse(t, term->gate, term->spec, err));
        }
    }
    for (size_t i = 0; i < t->edit_count; i++) {
        IL_TRY(refuse(t, t->edits[i].detector, t->edits[i].spec, err));
    }
    for (size_t i = 0; i < t->sift_count; i++) {
        IL_TRY(refuse(t, t->sifts[i].detector, t->sifts[i].spec, err));
    }
    return IL_OK;
}

/* ---- making them ---------------------------------------------------------------- */

il_status il_terms_create(il_terms **out, il_world *world, const il_stage_spec *stage,
                          uint32_t depth, il_problems *problems, il_error *err)
{
    il_arena *arena = il_arena_create(16384);
    il_terms *t = arena != NULL ? il_arena_calloc(arena, 1, sizeof *t) : NULL;
    il_status status;

    if (t == NULL) {
        il_arena_destroy(arena);
        return il_error_set(err, IL_ERR_MEMORY, stage->name, "out of memory");
    }
    t->arena = arena;
    t->world = world;
    t->stage = stage;
    t->depth = depth;
    t->bits = world->model->store->count;
    for (size_t i = 0; i < stage->signal_count; i++) {
        t->bits += stage->signals[i].channel == IL_CHANNEL_EDIT;
    }
    t->words = il_bits_words(t->bits);
    t->scrambled = -1;
    t->mean_site = -1;
    t->shadow = il__terms_detector(world, stage->train.shadow);
    t->rows = il_world_rows(world, stage);
    t->items = il_arena_calloc(arena, stage->signal_count + 3, sizeof *t->items);
    t->edits = il_arena_calloc(arena, stage->signal_count + 1, sizeof *t->edits);
    t->sifts = il_arena_calloc(arena, stage->signal_count + 1, sizeof *t->sifts);
    t->below = il_arena_calloc(arena, t->words, sizeof *t->below);
    t->every = il_arena_calloc(arena, t->words, sizeof *t->every);
    t->reads = il_arena_calloc(arena, world->detector_count + 1, sizeof *t->reads);
    if (t->items == NULL || t->below == NULL || t->every == NULL || t->reads == NULL ||
        t->edits == NULL || t->sifts == NULL) {
        il_terms_destroy(t);
        return il_error_set(err, IL_ERR_MEMORY, stage->name, "out of memory");
    }
    for (size_t p = 0; p < world->model->store->count; p++) {
        il_bits_set(t->every, p);
    }
    status = resolve_policy(t, err);
    if (status == IL_OK) {
        for (size_t i = 0; i < stage->signal_count; i++) {
            const il_signal_spec *spec = &stage->signals[i];

            if (spec->channel == IL_CHANNEL_EDIT) {
                resolve_edit(t, spec, problems);
            } else if (spec->channel == IL_CHANNEL_DATA) {
                resolve_sift(t, spec);
            } else if (spec->channel != IL_CHANNEL_HALT) { /* the stage's to do */
                resolve_term(t, &t->items[t->count++], spec, problems);
            }
        }
        status = add_rewards(t, problems, err);
    }
    if (status == IL_OK) {
        status = il_problems_status(problems, err);
    }
    if (status == IL_OK) {
        status = check_vault(t, err);
    }
    if (status != IL_OK) {
        il_terms_destroy(t);
        return status;
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
