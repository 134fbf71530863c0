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

/* The first protected tensor whose weights or moments differ, or NULL. */
static const char *difference(const side *a, const side *b, const il_word *protected)
{
    const il_store *store = a->world->model->store;

    for (size_t i = 0; i < store->count; i++) {
        int64_t at = store->items[i].offset;
        size_t bytes = (size_t)store->items[i].count * sizeof(float);

        if (il_bits_has(protected, i) &&
            (memcmp(a->world->model->store->values + at,
                    b->world->model->store->values + at, bytes) != 0 ||
             memcmp(a->trainer->m + at, b->trainer->m + at, bytes) != 0 ||
             memcmp(a->trainer->v + at, b->trainer->v + at, bytes) != 0)) {
            return store->items[i].name;
        }
    }
    return NULL;
}

static void state_hash(const side *s, const il_word *protected, char hex[IL_HASH_HEX])
{
    const il_store *store = s->world->model->store;
    il_hash *h = il_hash_create();

    hex[0] = '\0';
    if (h == NULL) {
        return;
    }
    for (size_t i = 0; i < store->count; i++) {
        size_t bytes = (size_t)store->items[i].count * sizeof(float);

        if (il_bits_has(protected, i)) {
            il_hash_part(h, store->values + store->items[i].offset, bytes);
            il_hash_part(h, s->trainer->m + store->items[i].offset, bytes);
            il_hash_part(h, s->trainer->v + store->items[i].offset, bytes);
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

static il_status compare(side *a, side *b, const il_word *protected, il_certificate *c,
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
        tensor = difference(a, b, protected);
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
    state_hash(a, protected, c->hash);
    return IL_OK;
}

/* What every declared reader reads. */
static void protect(const il_trainer *t, il_word *out)
{
    for (size_t d = 0; d < t->world->detector_count; d++) {
        il_bits_or(out, t->terms->reads[d], t->terms->words);
    }
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
    il_word *protected = NULL;

    if (status == IL_OK) {
        status = side_open(&b, host, shared, job, problems, err);
    }
    if (status == IL_OK) {
        protected = calloc(a.trainer->terms->words + 1, sizeof *protected);
        status = protected != NULL
                     ? IL_OK
                     : il_error_set(err, IL_ERR_MEMORY, "certify", "out of memory");
    }
    if (status == IL_OK) {
        c->source = plan->flow.sources[source].name;
        c->recorded = recorded && plan->flow.rollouts;
        b.trainer->terms->scrambled = detector_at(b.world, c->source);
        b.trainer->follow = c->recorded ? a.trainer : NULL;
        protect(a.trainer, protected);
        status = compare(&a, &b, protected, c, err);
        c->closed = closed_for(plan, c->source,
                               !c->held && c->data_step != 0 ? IL_DEMAND_ISOLATED
                                                             : IL_DEMAND_SEALED);
    }
    free(protected);
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
