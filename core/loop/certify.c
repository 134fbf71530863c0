/* Certificates: see certify.h. */
#include "loop/certify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pipeline/batch.h"

/* One of the two runs. */
typedef struct side {
    il_world *world;
    il_trainer *trainer;
    il_pressed pressed;
    il_stage_guard *guard; /* NULL: nothing halts the stage */
} side;

static void side_close(side *s)
{
    il_trainer_destroy(s->trainer);
    il_stage_guard_close(s->guard);
    il_pressed_free(&s->pressed);
    il_world_destroy(s->world);
}

static bool halts(const il_stage_spec *stage)
{
    for (size_t i = 0; i < stage->signal_count; i++) {
        if (stage->signals[i].channel == IL_CHANNEL_HALT &&
            il_signal_acts(&stage->signals[i])) {
            return true;
        }
    }
    return false;
}

static il_status side_open(side *s, const il_stage_host *host, const il_host *shared,
                           const il_job *job, il_problems *problems, il_error *err)
{
    const il_job_step *last = &job->chain[job->chain_count - 1];

    IL_TRY(il_world_create(&s->world, shared, job->pipeline, job->seed, problems, err));
    IL_TRY(il_pressed_create(&s->pressed, s->world, err));
    IL_TRY(il_stage_load(host, s->world, job, (int64_t)job->chain_count - 2,
                         &s->pressed, err));
    if (halts(last->spec)) {
        IL_TRY(il_stage_guard_open(&s->guard, host, s->world, job, job->chain_count - 1,
                                   err));
    }
    IL_TRY(il_trainer_create(&s->trainer, s->world, last->spec,
                             (uint32_t)job->chain_count - 1, problems, err));
    il_trainer_start(s->trainer);
    return IL_OK;
}

/* What every declared reader reads: parameters of the model, and of references those
 * that detectors read there instead. */
typedef struct protected_set {
    il_word *model;
    il_word **references; /* [reference] */
} protected_set;

/* The first parameter of a reference that differs, or NULL. */
static const char *reference_difference(const side *a, const side *b,
                                        const protected_set *set)
{
    const il_store *store = a->world->model->store;

    for (size_t r = 0; r < a->world->reference_count; r++) {
        for (size_t i = 0; i < store->count; i++) {
            if (il_bits_has(set->references[r], i) &&
                memcmp(a->world->references[r].values[i],
                       b->world->references[r].values[i],
                       (size_t)store->items[i].count * sizeof(float)) != 0) {
                return store->items[i].name;
            }
        }
    }
    return NULL;
}

/* The first protected tensor whose weights or moments differ, or NULL. */
static const char *difference(const side *a, const side *b, const protected_set *set)
{
    const il_store *store = a->world->model->store;

    for (size_t i = 0; i < store->count; i++) {
        int64_t at = store->items[i].offset;
        size_t bytes = (size_t)store->items[i].count * sizeof(float);

        if (il_bits_has(set->model, i) &&
            (memcmp(a->world->model->store->values + at,
                    b->world->model->store->values + at, bytes) != 0 ||
             memcmp(a->trainer->m + at, b->trainer->m + at, bytes) != 0 ||
             memcmp(a->trainer->v + at, b->trainer->v + at, bytes) != 0)) {
            return store->items[i].name;
        }
    }
    return reference_difference(a, b, set);
}

static void state_hash(const side *s, const protected_set *set, char hex[IL_HASH_HEX])
{
    const il_store *store = s->world->model->store;
    il_hash *h = il_hash_create();

    hex[0] = '\0';
    if (h == NULL) {
        return;
    }
    for (size_t i = 0; i < store->count; i++) {
        size_t bytes = (size_t)store->items[i].count * sizeof(float);

        if (il_bits_has(set->model, i)) {
            il_hash_part(h, store->values + store->items[i].offset, bytes);
            il_hash_part(h, s->trainer->m + store->items[i].offset, bytes);
            il_hash_part(h, s->trainer->v + store->items[i].offset, bytes);
        }
        for (size_t r = 0; r < s->world->reference_count; r++) {
            if (il_bits_has(set->references[r], i)) {
                il_hash_part(h, s->world->references[r].values[i], bytes);
            }
        }
    }
    il_hash_done(h, hex);
}

/* Notes the first field of the step's episodes that differs, if one does. */
static void compare_data(const side *a, const side *b, il_certificate *c)
{
    const il_train_spec *train = &a->trainer->stage->train;
    const il_micro *left = NULL;
    const il_micro *right = NULL;
    size_t count = 0;

    left = il_trainer_micros(a->trainer, &count);
    right = il_trainer_micros(b->trainer, &count);
    for (size_t i = 0; i < count && c->data_step == 0; i++) {
        const char *field = il_batch_difference(left[i].batch, right[i].batch);

        if (field != NULL) {
            c->data_step = c->steps;
            (void)snprintf(c->data, sizeof c->data, "%s%s%s",
                           train->rollout_count > 0 ? train->rollouts[left[i].lot].name
                                                    : "",
                           train->rollout_count > 0 ? ", " : "", field);
        }
    }
}

/* Lets the stage's halts judge both sides, and notes the first stop. True in *ended:
 * there is nothing more to compare. */
static il_status halt(side *a, side *b, il_certificate *c, bool *ended, il_error *err)
{
    if (a->guard == NULL) {
        return IL_OK;
    }
    IL_TRY(il_stage_guard_look(a->guard, a->trainer, NULL, err));
    IL_TRY(il_stage_guard_look(b->guard, b->trainer, c->source, err));
    c->halted = il_stage_guard_ended(a->guard);
    c->halted_scrambled = il_stage_guard_ended(b->guard);
    *ended = c->halted || c->halted_scrambled;
    return IL_OK;
}

static il_status compare(side *a, side *b, const protected_set *set, il_certificate *c,
                         il_error *err)
{
    int64_t steps = il_train_length(&a->trainer->stage->train);

    bool ended = false;

    c->held = true;
    IL_TRY(halt(a, b, c, &ended, err));
    for (c->steps = 0; c->steps < steps && !ended;) {
        const char *tensor;

        IL_TRY(il_trainer_step(a->trainer, false, err));
        IL_TRY(il_trainer_step(b->trainer, false, err));
        c->steps++;
        compare_data(a, b, c);
        tensor = difference(a, b, set);
        if (tensor != NULL) {
            c->held = false;
            c->step = c->steps;
            (void)snprintf(c->tensor, sizeof c->tensor, "%s", tensor);
            break;
        }
        if (c->steps < steps) {
            IL_TRY(halt(a, b, c, &ended, err));
        }
    }
    state_hash(a, set, c->hash);
    return IL_OK;
}

/* In an arena of its own. */
static il_status protect(const side *s, il_arena *arena, protected_set *out,
                         il_error *err)
{
    const il_world *w = s->world;
    const il_terms *t = s->trainer->terms;

    out->model = il_arena_calloc(arena, t->words + 1, sizeof(il_word));
    out->references =
        il_arena_calloc(arena, w->reference_count + 1, sizeof *out->references);
    for (size_t r = 0; out->references != NULL && r < w->reference_count; r++) {
        out->references[r] = il_arena_calloc(arena, t->words + 1, sizeof(il_word));
        out->model = out->references[r] != NULL ? out->model : NULL;
    }
    if (out->model == NULL || out->references == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "certify", "out of memory");
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        const char *on = w->detectors[d]->spec->on;

        il_bits_or(on == NULL ? out->model : out->references[il_world_reference(w, on)],
                   t->reads[d], t->words);
    }
    return IL_OK;
}

/* Whether the verdict closes all of `channels` from a source to every reader that a
 * demand binds. */
static bool closed_for(const il_plan *plan, const char *source, unsigned channels)
{
    for (size_t i = 0; i < plan->verdict->pair_count; i++) {
        const il_verdict_pair *pair = &plan->verdict->pairs[i];

        if (strcmp(plan->flow.sources[pair->source].name, source) == 0 &&
            !plan->flow.readers[pair->reader].audit_only &&
            (il_verdict_open(pair) & channels) != 0) {
            return false;
        }
    }
    return true;
}

static int detector_at(const il_world *w, const char *name)
{
    for (size_t d = 0; d < w->detector_count; d++) {
        if (strcmp(w->detectors[d]->spec->name, name) == 0) {
            return (int)d;
        }
    }
    return -1;
}

static il_status certify_source(const il_stage_host *host, const il_host *shared,
                                const il_job *job, const il_plan *plan, size_t source,
                                bool recorded, il_certificate *c, il_problems *problems,
                                il_error *err)
{
    side a = {0};
    side b = {0};
    il_status status = side_open(&a, host, shared, job, problems, err);
    il_arena *arena = il_arena_create(1 << 12);
    protected_set set = {.model = NULL};

    if (status == IL_OK) {
        status = side_open(&b, host, shared, job, problems, err);
    }
    if (status == IL_OK) {
        status = arena != NULL
                     ? protect(&a, arena, &set, err)
                     : il_error_set(err, IL_ERR_MEMORY, "certify", "out of memory");
    }
    if (status == IL_OK) {
        c->source = plan->flow.sources[source].name;
        c->recorded = recorded && plan->flow.rollouts;
        b.trainer->terms->scrambled = detector_at(b.world, c->source);
        b.trainer->follow = c->recorded ? a.trainer : NULL;
        status = compare(&a, &b, &set, c, err);
        c->closed = closed_for(plan, c->source,
                               !c->held && c->data_step != 0 ? IL_DEMAND_ISOLATED
                                                             : IL_DEMAND_SEALED);
    }
    il_arena_destroy(arena);
    side_close(&a);
    side_close(&b);
    return status;
}

static const char *detector_name(const il_job *job, const char *name)
{
    return il_pipeline_detector(job->pipeline, name)->name;
}

il_status il_certify(const il_stage_host *host, const il_host *shared,
                     const il_job *job, bool recorded, il_certificate *out,
                     size_t *count, il_problems *problems, il_error *err)
{
    const il_stage_spec *stage = job->chain[job->chain_count - 1].spec;
    side probe = {0};
    il_plan *plan = NULL;
    il_status status = IL_OK;

    *count = 0;
    if (!stage->train.given) {
        return il_error_set(err, IL_ERR_INPUT, stage->name,
                            "only a stage that trains can be certified");
    }
    if (job->chain_count > 1) {
        il_stage_result parent = {0};
        il_world *w = NULL;

        status = il_world_create(&w, shared, job->pipeline, job->seed, problems, err);
        if (status == IL_OK) {
            status = il_stage_ensure(host, w, job, job->chain_count - 2, NULL, &parent,
                                     problems, err);
        }
        il_stage_result_free(&parent);
        il_world_destroy(w);
    }
    if (status == IL_OK) {
        status = side_open(&probe, host, shared, job, problems, err);
    }
    if (status == IL_OK) {
        status = il_plan_make(&plan, probe.trainer, &probe.pressed, job->chain,
                              job->chain_count, err);
    }
    for (size_t i = 0; status == IL_OK && i < plan->flow.source_count; i++) {
        if (plan->flow.sources[i].presses) {
            memset(&out[*count], 0, sizeof *out);
            status = certify_source(host, shared, job, plan, i, recorded, &out[*count],
                                    problems, err);
            if (status == IL_OK) {
                out[*count].source = detector_name(job, plan->flow.sources[i].name);
                (*count)++;
            }
        }
    }
    il_plan_destroy(plan);
    side_close(&probe);
    return status;
}
