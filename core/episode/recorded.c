#include "episode/recorded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pipeline/batch.h"

typedef struct chunk {
    il_batch *batch;
    int64_t first; /* episode */
    int64_t rows;
} chunk;

struct il_recorded {
    const il_instance *environment;
    chunk *chunks;
    size_t count;
    int64_t episodes;
};

/* Playing, chunk by chunk. */
typedef struct play {
    const il_rollout *rollout;
    il_recorded *out;
    il_pass **passes;   /* [worker] */
    il_arena **scratch; /* [worker] */
    il_error *errors;   /* [chunk] */
} play;

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "episodes", "out of memory");
}

static void play_chunk(void *user, int task, int worker)
{
    play *p = user;
    chunk *c = &p->out->chunks[task];
    il_error *err = &p->errors[task];

    /* What fails is kept with the chunk. */
    if (il_rollout_fill(p->rollout, c->first, c->rows, p->passes[worker],
                        p->scratch[worker], c->batch, err) == IL_OK) {
        (void)il_batch_status(c->batch, err);
    }
    il_arena_reset(p->scratch[worker]);
}

static il_status play_all(play *p, const il_blas *blas, il_pool *pool, il_error *err)
{
    int workers = il_pool_workers(pool);

    for (int i = 0; i < workers; i++) {
        IL_TRY(il_pass_create(&p->passes[i], blas, 0, err));
        p->scratch[i] = il_arena_create(1 << 16);
        if (p->scratch[i] == NULL) {
            return no_memory(err);
        }
    }
    il_pool_run(pool, (int)p->out->count, play_chunk, p);
    for (size_t i = 0; i < p->out->count; i++) {
        const il_error *e = &p->errors[i];

        if (e->code != IL_OK) {
            return il_error_set(err, e->code, e->where, "%s", e->message);
        }
    }
    return IL_OK;
}

static il_status make(il_recorded *r, int64_t episodes, il_error *err)
{
    size_t count = (size_t)((episodes + IL_RECORDED_CHUNK - 1) / IL_RECORDED_CHUNK);

    r->chunks = calloc(count + 1, sizeof *r->chunks);
    if (r->chunks == NULL) {
        return no_memory(err);
    }
    for (; r->count < count; r->count++) {
        chunk *c = &r->chunks[r->count];
        int64_t left;

        c->first = (int64_t)r->count * IL_RECORDED_CHUNK;
        left = episodes - c->first;
        c->rows = left < IL_RECORDED_CHUNK ? left : IL_RECORDED_CHUNK;
        IL_TRY(il_batch_create(&c->batch, err));
    }
    r->episodes = episodes;
    return IL_OK;
}

il_status il_recorded_play(il_recorded **out, const il_rollout *rollout,
                           int64_t episodes, const il_blas *blas, il_pool *pool,
                           il_error *err)
{
    int workers = il_pool_workers(pool);
    il_recorded *r = calloc(1, sizeof *r);
    play p = {.rollout = rollout, .out = r};
    il_status status;

    if (r == NULL) {
        return no_memory(err);
    }
    r->environment = rollout->environment;
    status = make(r, episodes, err);
    p.passes = calloc((size_t)workers, sizeof(il_pass *));
    p.scratch = calloc((size_t)workers, sizeof(il_arena *));
    p.errors = calloc(r->count + 1, sizeof *p.errors);
    if (status == IL_OK) {
        status = p.passes != NULL && p.scratch != NULL && p.errors != NULL
                     ? play_all(&p, blas, pool, err)
                     : no_memory(err);
    }
    for (int i = 0; i < workers; i++) {
        il_pass_destroy(p.passes != NULL ? p.passes[i] : NULL);
        il_arena_destroy(p.scratch != NULL ? p.scratch[i] : NULL);
    }
    free(p.passes);
    free(p.scratch);
    free(p.errors);
    if (status != IL_OK) {
        il_recorded_destroy(r);
        return status;
    }
    *out = r;
    return IL_OK;
}

il_status il_recorded_draw(il_recorded **out, const il_rollout_spec *spec,
                           const il_rollout *key, const il_blas *blas, il_pool *pool,
                           il_error *err)
{
    il_rollout r = *key;
    int64_t episodes = spec->episodes;
    char at[IL_ERROR_WHERE_MAX];

    (void)snprintf(at, sizeof at, "%s:%d:%d",
                   spec->place.file != NULL ? spec->place.file : "rollouts",
                   spec->place.line, spec->place.column);
    if (r.environment == NULL) {
        return il_error_set(err, IL_ERR_INPUT, at,
                            "rollouts are asked for, and there is no `environment`");
    }
    r.policy = -1;
    r.sampled_site = -1;
    r.group = 1;
    if (strcmp(spec->policy, "own") != 0) {
        r.policy = il_rollout_policy(r.environment, spec->policy);
        r.model = NULL;
        r.values = NULL;
        if (r.policy < 0) {
            return il_error_set(err, IL_ERR_INPUT, at,
                                "%s has no policy '%s', expected own or one that it "
                                "names",
                                r.environment->offer->id, spec->policy);
        }
    }
    if (spec->prompts > 0) {
        r.group = spec->samples > 0 ? spec->samples : 1;
        episodes = spec->prompts * r.group;
    }
    if (episodes < 1) {
        return il_error_set(err, IL_ERR_INPUT, at,
                            "rollouts say neither how many `episodes` nor how many "
                            "`prompts`");
    }
    return il_recorded_play(out, &r, episodes, blas, pool, err);
}

il_status il_recorded_append(il_recorded *r, il_recorded *more, il_error *err)
{
    chunk *grown;

    if (more == NULL) {
        return IL_OK;
    }
    if (more->environment != r->environment) {
        return il_error_set(err, IL_ERR_INTERNAL, "episodes",
                            "recordings of two environments cannot be one");
    }
    grown = realloc(r->chunks, (r->count + more->count + 1) * sizeof *grown);
    if (grown == NULL) {
        return no_memory(err);
    }
    r->chunks = grown;
    for (size_t i = 0; i < more->count; i++) {
        r->chunks[r->count + i] = more->chunks[i];
        r->chunks[r->count + i].first += r->episodes;
    }
    r->count += more->count;
    r->episodes += more->episodes;
    free(more->chunks);
    free(more);
    return IL_OK;
}

void il_recorded_destroy(il_recorded *r)
{
    for (size_t i = 0; r != NULL && i < r->count; i++) {
        il_batch_destroy(r->chunks[i].batch);
    }
    if (r != NULL) {
        free(r->chunks);
        free(r);
    }
}

int64_t il_recorded_count(const il_recorded *r)
{
    return r->episodes;
}

const il_instance *il_recorded_environment(const il_recorded *r)
{
    return r->environment;
}

size_t il_recorded_chunks(const il_recorded *r)
{
    return r->count;
}

il_batch *il_recorded_chunk(const il_recorded *r, size_t number, int64_t *first)
{
    if (first != NULL) {
        *first = r->chunks[number].first;
    }
    return r->chunks[number].batch;
}

/* ---- read ----------------------------------------------------------------------- */

static il_type type_of(const il_tensor *t)
{
    if (t->dtype.code == IL_CODE_FLOAT) {
        return IL_F32;
    }
    return t->dtype.bits == 8 ? IL_U8 : t->dtype.bits == 64 ? IL_I64 : IL_I32;
}

/* Bytes of one row of a field. */
static size_t row_bytes(const il_tensor *t)
{
    size_t bytes = t->dtype.bits / 8u;

    for (int32_t i = 1; i < t->ndim; i++) {
        bytes *= (size_t)t->shape[i];
    }
    return bytes;
}

/* Rows [from, from+rows) of a chunk to row `to` on of one field. */
static il_status copy_field(const chunk *c, int64_t from, int64_t rows, il_batch *batch,
                            int64_t to, const char *name, const il_tensor *field,
                            il_error *err)
{
    const il_tensor *out = il_batch_find(batch, name);
    size_t bytes = row_bytes(field);

    if (out == NULL && to == 0) {
        int64_t shape[IL_DIMS_MAX];

        memcpy(shape, field->shape, (size_t)field->ndim * sizeof *shape);
        shape[0] = il_batch_rows(batch);
        (void)il_batch_add(batch, name, type_of(field), field->ndim, shape);
        IL_TRY(il_batch_status(batch, err));
        out = il_batch_find(batch, name);
    }
    if (out == NULL || row_bytes(out) != bytes) {
        return il_error_set(err, IL_ERR_SHAPE, "episodes",
                            "field '%s' is not the same in episodes %lld to %lld as in "
                            "those before",
                            name, (long long)(c->first + from),
                            (long long)(c->first + from + rows - 1));
    }
    memcpy((char *)out->data + (size_t)to * bytes,
           (const char *)field->data + (size_t)from * bytes, (size_t)rows * bytes);
    return IL_OK;
}

il_status il_recorded_fetch(void *user, int64_t index, int64_t rows, il_batch *batch,
                            il_error *err)
{
    const il_recorded *r = user;
    int64_t done = 0;

    if (index < 0 || rows < 1 || index + rows > r->episodes) {
        return il_error_set(err, IL_ERR_INTERNAL, "episodes",
                            "episodes %lld to %lld of %lld were asked for",
                            (long long)index, (long long)(index + rows - 1),
                            (long long)r->episodes);
    }
    for (size_t i = 0; i < r->count && done < rows; i++) {
        const chunk *c = &r->chunks[i];
        int64_t from = index + done - c->first;
        int64_t take = c->rows - from < rows - done ? c->rows - from : rows - done;

        if (from < 0 || from >= c->rows) {
            continue;
        }
        for (size_t f = 0; f < il_batch_fields(c->batch); f++) {
            const char *name = NULL;
            const il_tensor *field = il_batch_field(c->batch, f, &name);

            IL_TRY(copy_field(c, from, take, batch, done, name, field, err));
        }
        done += take;
    }
    return IL_OK;
}
