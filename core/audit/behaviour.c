/* Behaviour: see behaviour.h. */
#include "audit/behaviour.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/abi.h"
#include "detect/edit.h"
#include "pipeline/batch.h"
#include "tensor/pass.h"

typedef struct sample_job {
    const il_harvest *h;
    il_behaviour *b;
    uint64_t seed;
    uint32_t depth;
    il_pass **passes;
    il_batch **batches;
    il_arena **arenas; /* [worker] */
    il_tally *tallies; /* [chunk] */
    il_error *errors;  /* [chunk] */
} sample_job;

bool il_behaviour_asked(const il_instance *data)
{
    const il_dataset_api *api = il_instance_dataset(data);

    return IL_HAS(api, prompt) && IL_HAS(api, prompt_rows) && IL_HAS(api, behaviour) &&
           api->prompt_rows(data->self) > 0;
}

static il_status prompt(const il_instance *data, int64_t index, int64_t rows,
                        il_batch *batch, il_error *err)
{
    il_batch_reset(batch, rows);
    IL_TRY(il_instance_dataset(data)->prompt(data->self, index, rows, batch, err));
    return il_batch_status(batch, err);
}

/* One token from the softmax of a row's logits over what is allowed. */
static int32_t draw(const float *logits, const uint8_t *allowed, int64_t vocabulary,
                    il_rng *r)
{
    float most = -INFINITY;
    double sum = 0;
    double at;
    int32_t last = 0;

    for (int64_t k = 0; k < vocabulary; k++) {
        if (allowed[k] && logits[k] > most) {
            most = logits[k];
        }
    }
    for (int64_t k = 0; k < vocabulary; k++) {
        sum += allowed[k] ? exp((double)logits[k] - most) : 0.0;
    }
    at = il_rng_uniform(r) * sum;
    for (int64_t k = 0; k < vocabulary; k++) {
        if (allowed[k]) {
            last = (int32_t)k;
            at -= exp((double)logits[k] - most);
            if (at < 0) {
                break;
            }
        }
    }
    return last;
}

static bool any_at(const uint8_t *sample, int64_t rows, int64_t length, int64_t t)
{
    for (int64_t b = 0; b < rows; b++) {
        if (sample[b * length + t]) {
            return true;
        }
    }
    return false;
}

/* Fills position t of every row that asks for it. */
static il_status fill_position(sample_job *job, int worker, il_batch *batch,
                               int64_t first, int64_t t, il_error *err)
{
    const il_harvest *h = job->h;
    il_pass *pass = job->passes[worker];
    const il_tensor *tokens =
        il_batch_find(batch, il_field_of_role(h->data, IL_FIELD_INPUT));
    const uint8_t *sample = il_u8(il_batch_find(batch, "sample"));
    const il_tensor *allowed = il_batch_find(batch, "allowed");
    int64_t length = il_width(tokens);
    il_scope scope = {.label = "model",
                      .store = h->model->store,
                      .values = h->values,
                      .first_bit = -1};
    const il_scored_fields fields = {.input =
                                         il_field_of_role(h->data, IL_FIELD_INPUT)};
    il_shown seen = il_shown_of(batch, h->data);
    const il_tensor *logits;

    il_arena_reset(job->arenas[worker]);
    il_pass_begin(pass);
    il_pass_sites_clear(pass);
    IL_TRY(il_edits_bind(h->edits, pass, batch, &fields, job->arenas[worker], err));
    il_pass_enter(pass, &scope);
    il_instance_model(h->model)->forward(h->model->self, pass, &seen.batch);
    il_pass_leave(pass);
    logits = il_pass_output(pass, "logits");
    IL_TRY(il_pass_status(pass, err));
    if (logits == NULL || il_width(logits) != il_width(allowed)) {
        return il_error_set(
            err, IL_ERR_SHAPE, "behaviour",
            "the data allows tokens of a vocabulary of %lld, the model's logits "
            "have %lld",
            (long long)il_width(allowed), (long long)il_width(logits));
    }
    for (int64_t b = 0; b < il_batch_rows(batch); b++) {
        int64_t v = il_width(logits);
        il_rng r;

        if (sample[b * length + t]) {
            il_rng_open(&r, job->seed, job->depth, IL_RNG_SAMPLE, (uint64_t)t,
                        (uint64_t)(first + b));
            il_i32(tokens)[b * length + t] =
                draw(il_f32(logits) + (b * length + t - 1) * v, il_u8(allowed) + b * v,
                     v, &r);
        }
    }
    return IL_OK;
}

static il_status sample_chunk(sample_job *job, int number, int worker, il_error *err)
{
    const il_harvest *h = job->h;
    int64_t first = (int64_t)number * IL_HARVEST_CHUNK;
    int64_t left = job->b->rows - first;
    int64_t rows = left < IL_HARVEST_CHUNK ? left : IL_HARVEST_CHUNK;
    il_batch *batch = job->batches[worker];
    const il_tensor *tokens;
    const il_tensor *sample;
    int64_t length;

    IL_TRY(prompt(h->data, first, rows, batch, err));
    tokens = il_batch_find(batch, il_field_of_role(h->data, IL_FIELD_INPUT));
    sample = il_batch_find(batch, "sample");
    if (tokens == NULL || sample == NULL || il_batch_find(batch, "allowed") == NULL ||
        il_count(sample) != il_count(tokens) || il_width(tokens) != job->b->length) {
        return il_error_set(
            err, IL_ERR_SHAPE, "behaviour",
            "prompts need fields tokens and sample of (B,T), and allowed of (B,V)");
    }
    length = il_width(tokens);
    for (int64_t t = 1; t < length; t++) {
        if (any_at(il_u8(sample), rows, length, t)) {
            IL_TRY(fill_position(job, worker, batch, first, t, err));
        }
    }
    memcpy(job->b->tokens + first * length, il_i32(tokens),
           (size_t)(rows * length) * sizeof(int32_t));
    il_instance_dataset(h->data)->behaviour(h->data->self, batch,
                                            &job->tallies[number].metrics);
    return IL_OK;
}

static void sample_task(void *user, int number, int worker)
{
    sample_job *job = user;

    (void)sample_chunk(job, number, worker,
                       &job->errors[number]); /* kept with the chunk */
}

static il_status measure(il_behaviour *b, il_error *err)
{
    il_batch *batch = NULL;
    il_status status = il_batch_create(&batch, err);

    if (status == IL_OK) {
        status = prompt(b->data, 0, 1, batch, err);
    }
    if (status == IL_OK) {
        const il_tensor *tokens =
            il_batch_find(batch, il_field_of_role(b->data, IL_FIELD_INPUT));

        b->length = il_width(tokens);
        b->tokens =
            il_arena_calloc(b->arena, (size_t)(b->rows * b->length), sizeof *b->tokens);
        if (tokens == NULL || b->tokens == NULL) {
            status = il_error_set(err, IL_ERR_MEMORY, "behaviour", "out of memory");
        }
    }
    il_batch_destroy(batch);
    return status;
}

static il_status run(sample_job *job, int chunks, il_error *err)
{
    int workers = il_pool_workers(job->h->pool);

    for (int i = 0; i < chunks; i++) {
        il_tally_open(&job->tallies[i]);
    }
    for (int i = 0; i < workers; i++) {
        IL_TRY(il_pass_create(&job->passes[i], job->h->blas, 0, err));
        IL_TRY(il_batch_create(&job->batches[i], err));
        job->arenas[i] = il_arena_create(1 << 12);
        if (job->arenas[i] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "behaviour", "out of memory");
        }
    }
    il_pool_run(job->h->pool, chunks, sample_task, job);
    for (int i = 0; i < chunks; i++) {
        const il_error *e = &job->errors[i];

        if (e->code != IL_OK) {
            return il_error_set(err, e->code, e->where, "%s", e->message);
        }
        il_tally_merge(&job->b->tally, &job->tallies[i]);
    }
    return IL_OK;
}

il_status il_behaviour_sample(il_behaviour **out, const il_harvest *h, uint64_t seed,
                              uint32_t depth, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_behaviour *b = arena != NULL ? il_arena_calloc(arena, 1, sizeof *b) : NULL;
    sample_job job = {.h = h, .b = b, .seed = seed, .depth = depth};
    int workers = il_pool_workers(h->pool);
    int chunks;
    il_status status;

    if (b == NULL) {
        il_arena_destroy(arena);
        return il_error_set(err, IL_ERR_MEMORY, "behaviour", "out of memory");
    }
    b->arena = arena;
    b->data = h->data;
    b->rows = il_instance_dataset(h->data)->prompt_rows(h->data->self);
    il_tally_open(&b->tally);
    chunks = (int)((b->rows + IL_HARVEST_CHUNK - 1) / IL_HARVEST_CHUNK);
    job.passes = il_arena_calloc(arena, (size_t)workers, sizeof *job.passes);
    job.batches = il_arena_calloc(arena, (size_t)workers, sizeof *job.batches);
    job.arenas = il_arena_calloc(arena, (size_t)workers, sizeof *job.arenas);
    job.tallies = il_arena_calloc(arena, (size_t)chunks + 1, sizeof *job.tallies);
    job.errors = il_arena_calloc(arena, (size_t)chunks + 1, sizeof *job.errors);
    status = job.passes != NULL && job.batches != NULL && job.tallies != NULL &&
                     job.errors != NULL && job.arenas != NULL
                 ? measure(b, err)
                 : il_error_set(err, IL_ERR_MEMORY, "behaviour", "out of memory");
    if (status == IL_OK) {
        status = run(&job, chunks, err);
    }
    for (int i = 0; job.tallies != NULL && i < chunks; i++) {
        il_tally_close(&job.tallies[i]);
    }
    for (int i = 0; i < workers; i++) {
        il_pass_destroy(job.passes != NULL ? job.passes[i] : NULL);
        il_batch_destroy(job.batches != NULL ? job.batches[i] : NULL);
        il_arena_destroy(job.arenas != NULL ? job.arenas[i] : NULL);
    }
    if (status != IL_OK) {
        il_behaviour_destroy(b);
        return status;
    }
    *out = b;
    return IL_OK;
}

void il_behaviour_destroy(il_behaviour *b)
{
    if (b != NULL) {
        il_tally_close(&b->tally);
        il_arena_destroy(b->arena);
    }
}

il_status il_behaviour_fetch(void *user, int64_t index, int64_t rows, il_batch *batch,
                             il_error *err)
{
    const il_behaviour *b = user;
    const il_tensor *tokens;

    IL_TRY(
        il_instance_dataset(b->data)->prompt(b->data->self, index, rows, batch, err));
    tokens = il_batch_find(batch, il_field_of_role(b->data, IL_FIELD_INPUT));
    memcpy(il_i32(tokens), b->tokens + index * b->length,
           (size_t)(rows * b->length) * sizeof(int32_t));
    return IL_OK;
}
