#include "detect/harvest.h"

#include <stdlib.h>
#include <string.h>
#include "detect/edit.h"
#include "detect/pattern.h"
#include "pipeline/batch.h"
#include "tensor/pass.h"

int64_t il_acts_site(const il_acts *acts, int64_t site)
{
    for (size_t i = 0; i < acts->site_count; i++) {
        if (acts->sites[i] == site) {
            return (int64_t)i;
        }
    }
    return -1;
}

/* ---- what the model is shown ---------------------------------------------------- */

static void *shown_add(il_batch *b, const char *name, il_type type, int32_t ndim,
                       const int64_t *shape)
{
    return il_batch_add(((il_shown *)b)->whole, name, type, ndim, shape);
}

static const il_tensor *shown_find(const il_batch *b, const char *name)
{
    const il_shown *s = (const il_shown *)b;
    const il_field *field = il_field_find(s->data, name);
    bool taught = field != NULL &&
                  (field->role == IL_FIELD_TARGET || field->role == IL_FIELD_WEIGHT);

    if (taught && s->targets) {
        return il_batch_find(s->whole, name);
    }
    if (field != NULL &&
        (taught || field->role == IL_FIELD_LABEL || field->role == IL_FIELD_REWARD)) {
        return NULL;
    }
    return il_batch_find(s->whole, name);
}

static int64_t shown_rows(const il_batch *b)
{
    return il_batch_rows(((const il_shown *)b)->whole);
}

static void shown_fail(il_batch *b, il_status code, const char *message)
{
    il_batch *whole = ((il_shown *)b)->whole;

    whole->api->fail(whole, code, message);
}

static const il_batch_api shown_api = {sizeof(il_batch_api), shown_add, shown_find,
                                       shown_rows, shown_fail};

il_shown il_shown_of(il_batch *batch, const il_instance *data)
{
    il_shown seen = {{&shown_api}, batch, data, false};

    return seen;
}

/* What a chunk leaves behind, in an arena of its own. */
typedef struct chunk {
    il_arena *arena;
    il_scored scored;
    float **gathered; /* [site] (n,W) */
    il_tally tally;
    il_error error;
} chunk;

/* A harvest under way. */
typedef struct harvest {
    const il_harvest *h;
    il_scored_fields fields;
    int32_t split;
    int64_t rows;
    int64_t length; /* T */
    int64_t *widths;
    float **data; /* [site] (B,T,W); not when gathered */
    chunk *chunks;
    int64_t chunk_count;
    il_pass **passes;   /* [worker] */
    il_batch **batches; /* [worker] */
    il_scope scope;
    bool logits;
} harvest;

static il_status harvest_fetch(harvest *v, int64_t index, int64_t rows, il_batch *batch,
                               il_error *err)
{
    const il_harvest *h = v->h;

    il_batch_reset(batch, rows);
    if (h->fetch != NULL) {
        IL_TRY(h->fetch(h->user, index, rows, batch, err));
    } else {
        IL_TRY(il_instance_dataset(h->data)->get(h->data->self, v->split, index, rows,
                                                 batch, err));
    }
    return il_batch_status(batch, err);
}

static il_status chunk_copy_field(chunk *c, il_scored *s, il_error *err)
{
    /* The batch is used again; what the rows borrow from it must not go with it. */
    if (s->lengths != NULL) {
        int32_t *lengths = il_arena_alloc(c->arena, (size_t)s->batch * sizeof *lengths);

        if (lengths == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
        }
        memcpy(lengths, s->lengths, (size_t)s->batch * sizeof *lengths);
        s->lengths = lengths;
    }
    if (s->inputs != NULL) {
        size_t bytes = (size_t)(s->batch * s->length) * sizeof *s->inputs;
        int32_t *inputs = il_arena_alloc(c->arena, bytes + 1);

        if (inputs == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
        }
        memcpy(inputs, s->inputs, bytes);
        s->inputs = inputs;
    }
    if (s->keys != NULL) {
        size_t bytes = (size_t)(s->batch * s->length);
        uint8_t *keys = il_arena_alloc(c->arena, bytes + 1);

        if (keys == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
        }
        memcpy(keys, s->keys, bytes);
        s->keys = keys;
    }
    return IL_OK;
}

/* Keeps what the pass gives at the i-th wanted site. */
static il_status chunk_keep(harvest *v, chunk *c, il_pass *pass, size_t i,
                            int64_t index, il_error *err)
{
    const il_harvest *h = v->h;
    const char *name = h->model->sites[h->sites[i]].name;
    const il_tensor *x = il_pass_site(pass, (int32_t)h->sites[i]);
    size_t width = (size_t)v->widths[i];
    int64_t positions = c->scored.batch * v->length;
    il_scored tokens;

    if (x == NULL) {
        return il_error_set(err, IL_ERR_INPUT, h->model->label,
                            "the forward pass never reached site '%s'", name);
    }
    if (!il_pattern_fits(x, positions, v->widths[i])) {
        return il_error_set(err, IL_ERR_SHAPE, h->model->label,
                            "site '%s' gave %lld rows of %lld, expected %lld of %lld",
                            name, (long long)il_rows(x), (long long)il_width(x),
                            (long long)positions, (long long)v->widths[i]);
    }
    if (!h->gathered) {
        float *to = v->data[i] + (size_t)(index * v->length) * width;

        for (int64_t n = 0; il_pattern_is(x) && n < positions; n++) {
            (void)il_pattern_row(x, n, v->widths[i], to + (size_t)n * width);
        }
        if (!il_pattern_is(x)) {
            memcpy(to, x->data, (size_t)positions * width * sizeof(float));
        }
        return IL_OK;
    }
    tokens = il_scored_tokens(&c->scored);
    c->gathered[i] =
        il_arena_alloc(c->arena, ((size_t)tokens.count * width + 1) * sizeof(float));
    if (c->gathered[i] == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    for (int64_t n = 0; n < tokens.count; n++) {
        float *to = c->gathered[i] + (size_t)n * width;
        const float *row = il_pattern_row(x, tokens.rows[n], v->widths[i], to);

        if (row != to) {
            memcpy(to, row, width * sizeof(float));
        }
    }
    return IL_OK;
}

static il_status chunk_run(harvest *v, int64_t number, il_pass *pass, il_batch *batch,
                           il_error *err)
{
    const il_harvest *h = v->h;
    chunk *c = &v->chunks[number];
    int64_t index = number * IL_HARVEST_CHUNK;
    int64_t left = v->rows - index;
    int64_t rows = left < IL_HARVEST_CHUNK ? left : IL_HARVEST_CHUNK;
    il_scored_fields fields = v->fields;
    il_shown seen = il_shown_of(batch, h->data);

    IL_TRY(harvest_fetch(v, index, rows, batch, err));
    fields.first_document += index;
    IL_TRY(il_scored_find(&c->scored, batch, &fields, c->arena, err));
    IL_TRY(chunk_copy_field(c, &c->scored, err));
    if (c->scored.length != v->length) {
        return il_error_set(err, IL_ERR_SHAPE, "data",
                            "rows have %lld positions here and %lld in the first chunk",
                            (long long)c->scored.length, (long long)v->length);
    }
    il_pass_begin(pass);
    il_pass_edits_clear(pass);
    IL_TRY(il_edits_bind(h->edits, pass, batch, &v->fields, c->arena, err));
    il_pass_enter(pass, &v->scope);
    il_instance_model(h->model)->forward(h->model->self, pass, &seen.batch);
    il_pass_leave(pass);
    IL_TRY(il_pass_status(pass, err));
    for (size_t i = 0; i < h->site_count; i++) {
        IL_TRY(chunk_keep(v, c, pass, i, index, err));
    }
    if (v->logits) {
        const il_tensor *logits = il_pass_output(pass, "logits");

        IL_TRY(il_pass_status(pass, err));
        if (logits != NULL) {
            il_instance_dataset(h->data)->metrics(h->data->self, batch, logits,
                                                  &c->tally.metrics);
        }
    }
    return IL_OK;
}

static void chunk_task(void *user, int task, int worker)
{
    harvest *v = user;
    il_error *err = &v->chunks[task].error;
    il_status status = chunk_run(v, task, v->passes[worker], v->batches[worker], err);

    /* A dataset may fail without a word. */
    if (status != IL_OK) {
        (void)il_error_set(err, status, "harvest", "rows from %d failed",
                           task * IL_HARVEST_CHUNK);
    }
}

/* Chunks are what workers share; fewer chunks than workers are read one after another,
 * by all of them. */
static void run_chunks(harvest *v)
{
    il_pool *pool = v->h->pool;

    if (v->chunk_count >= il_pool_workers(pool)) {
        il_pool_run(pool, (int)v->chunk_count, chunk_task, v);
        return;
    }
    il_pass_team(v->passes[0], pool);
    for (int64_t i = 0; i < v->chunk_count; i++) {
        chunk_task(v, (int)i, 0);
    }
    il_pass_team(v->passes[0], NULL);
}

/* Names, the split and how many rows; T from the first row. */
static il_status harvest_look(harvest *v, il_error *err)
{
    const il_harvest *h = v->h;
    int64_t rows = h->rows;
    int64_t have = rows;
    const il_tensor *input;

    v->fields = h->fields;
    if (v->fields.input == NULL) {
        v->fields.input = il_field_of_role(h->data, IL_FIELD_INPUT);
    }
    if (v->fields.unit == NULL) {
        v->fields.unit = il_field_of_role(h->data, IL_FIELD_UNIT);
    }
    if (v->fields.tokens == NULL) {
        v->fields.tokens = "all";
    }
    if (v->fields.input == NULL) {
        return il_error_set(err, IL_ERR_INPUT, "data",
                            "the data declares no field with the role of an input");
    }
    if (h->fetch == NULL) {
        v->split = il_split_find(h->data, h->split, &have);
        if (v->split < 0) {
            return il_error_set(err, IL_ERR_INPUT, "data", "there is no split '%s'",
                                h->split);
        }
        /* Without ids of its own, data at least never shares documents over splits. */
        v->fields.first_document += (int64_t)(v->split + 1) << 40;
    }
    v->rows = rows > 0 ? rows : have;
    if (v->rows < 1 || (have >= 0 && v->rows > have)) {
        return il_error_set(
            err, IL_ERR_INPUT, "data", "split '%s' has %lld rows, expected %s",
            h->split, (long long)have,
            rows > 0 ? "at least as many as are asked for" : "a number to read all of");
    }
    v->chunk_count = (v->rows + IL_HARVEST_CHUNK - 1) / IL_HARVEST_CHUNK;
    IL_TRY(harvest_fetch(v, 0, 1, v->batches[0], err));
    input = il_batch_find(v->batches[0], v->fields.input);
    if (input == NULL || input->ndim < 2 ||
        v->rows > INT32_MAX / (input->shape[1] > 0 ? input->shape[1] : 1)) {
        return il_error_set(err, IL_ERR_SHAPE, "data",
                            "split '%s': field '%s' is missing, has no positions or "
                            "too many",
                            h->split, v->fields.input);
    }
    v->length = input->shape[1];
    return IL_OK;
}

static il_status harvest_open(harvest *v, il_arena *arena, il_error *err)
{
    const il_harvest *h = v->h;
    int workers = il_pool_workers(h->pool);

    v->passes = il_arena_calloc(arena, (size_t)workers, sizeof *v->passes);
    v->batches = il_arena_calloc(arena, (size_t)workers, sizeof *v->batches);
    v->widths = il_arena_calloc(arena, h->site_count + 1, sizeof *v->widths);
    v->data = il_arena_calloc(arena, h->site_count + 1, sizeof *v->data);
    if (v->passes == NULL || v->batches == NULL || v->widths == NULL ||
        v->data == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    for (int w = 0; w < workers; w++) {
        IL_TRY(il_batch_create(&v->batches[w], err));
        IL_TRY(il_pass_create(&v->passes[w], h->blas, 1, err));
        for (size_t i = 0; i < h->site_count; i++) {
            IL_TRY(il_pass_site_flag(v->passes[w], (int32_t)h->sites[i], IL_SITE_READ,
                                     err));
        }
    }
    IL_TRY(harvest_look(v, err));
    v->chunks = il_arena_calloc(arena, (size_t)v->chunk_count, sizeof *v->chunks);
    if (v->chunks == NULL) {
        v->chunk_count = 0;
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    for (int64_t i = 0; i < v->chunk_count; i++) {
        chunk *c = &v->chunks[i];

        il_tally_open(&c->tally);
        c->arena = il_arena_create(1 << 16);
        c->gathered = c->arena == NULL ? NULL
                                       : il_arena_calloc(c->arena, h->site_count + 1,
                                                         sizeof *c->gathered);
        if (c->gathered == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
        }
    }
    for (size_t i = 0; i < h->site_count; i++) {
        v->widths[i] = h->model->sites[h->sites[i]].width;
        if (!h->gathered) {
            v->data[i] = il_arena_calloc(
                arena, (size_t)(v->rows * v->length) * (size_t)v->widths[i],
                sizeof(float));
            if (v->data[i] == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, "harvest",
                                    "out of memory for the activations of %lld rows",
                                    (long long)v->rows);
            }
        }
    }
    v->scope.label = h->model->label;
    v->scope.store = h->model->store;
    v->scope.values = h->values;
    v->scope.first_bit = -1;
    for (size_t i = 0; i < h->model->output_count; i++) {
        v->logits = v->logits || strcmp(h->model->outputs[i].name, "logits") == 0;
    }
    v->logits = v->logits && h->tally != NULL &&
                h->data->offer->component->kind == IL_KIND_DATASET &&
                IL_HAS(il_instance_dataset(h->data), metrics);
    return IL_OK;
}

/* Memory for the positions behind rows that are sequences. */
static il_status join_room(il_scored *all, size_t rows, size_t positions,
                           il_arena *arena, il_error *err)
{
    all->first = il_arena_calloc(arena, rows + 1, sizeof *all->first);
    all->tokens = il_arena_calloc(arena, positions + 1, sizeof *all->tokens);
    all->token_labels = il_arena_calloc(arena, positions + 1, 1);
    return all->first != NULL && all->tokens != NULL && all->token_labels != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
}

/* Adds a chunk's positions, its rows being those from `at` on. */
static void join_tokens(il_scored *all, const il_scored *c, int64_t at, int64_t token,
                        int32_t shift)
{
    for (int64_t k = 0; k <= c->count; k++) {
        all->first[at + k] = token + il_scored_first(c, k);
    }
    for (int64_t k = 0; k < il_scored_first(c, c->count); k++) {
        all->tokens[token + k] = c->tokens[k] + shift;
        all->token_labels[token + k] = c->token_labels != NULL ? c->token_labels[k] : 0;
    }
}

/* Joins the chunks in their order. */
static il_status harvest_join(harvest *v, il_acts *acts, il_error *err)
{
    const il_harvest *h = v->h;
    il_arena *arena = acts->arena;
    il_scored *all = &acts->rows;
    size_t total = 0;
    size_t positions = 0; /* of them all */
    int64_t at = 0;
    int64_t token = 0;
    int32_t *lengths = NULL;
    int32_t *inputs = NULL;
    uint8_t *keys = NULL;

    for (int64_t i = 0; i < v->chunk_count; i++) {
        const il_scored *c = &v->chunks[i].scored;

        total += (size_t)c->count;
        positions += (size_t)il_scored_first(c, c->count);
    }
    all->batch = v->rows;
    all->length = v->length;
    all->rows = il_arena_calloc(arena, total + 1, sizeof *all->rows);
    all->documents = il_arena_calloc(arena, total + 1, sizeof *all->documents);
    all->labels = il_arena_calloc(arena, total + 1, 1);
    lengths = il_arena_calloc(arena, (size_t)v->rows, sizeof *lengths);
    inputs = il_arena_calloc(arena, (size_t)(v->rows * v->length), sizeof *inputs);
    keys = il_arena_calloc(arena, (size_t)(v->rows * v->length), 1);
    if (all->rows == NULL || all->documents == NULL || all->labels == NULL ||
        lengths == NULL || inputs == NULL || keys == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    if (v->fields.pooled) {
        IL_TRY(join_room(all, total, positions, arena, err));
    }
    for (size_t s = 0; h->gathered && s < h->site_count; s++) {
        v->data[s] =
            il_arena_calloc(arena, positions * (size_t)v->widths[s] + 1, sizeof(float));
        if (v->data[s] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
        }
    }
    for (int64_t i = 0; i < v->chunk_count; i++) {
        const il_scored *c = &v->chunks[i].scored;
        int64_t first = i * IL_HARVEST_CHUNK;
        size_t n = (size_t)c->count;
        size_t tokens = (size_t)il_scored_first(c, c->count);

        for (int64_t k = 0; k < c->count; k++) {
            all->rows[at + k] = c->rows[k] + (int32_t)(first * v->length);
        }
        if (c->first != NULL) {
            join_tokens(all, c, at, token, (int32_t)(first * v->length));
        }
        memcpy(all->documents + at, c->documents, n * sizeof *c->documents);
        if (c->labels != NULL) {
            memcpy(all->labels + at, c->labels, n);
        }
        if (c->lengths != NULL) {
            memcpy(lengths + first, c->lengths, (size_t)c->batch * sizeof *lengths);
            all->lengths = lengths;
        }
        if (c->inputs != NULL) {
            memcpy(inputs + first * v->length, c->inputs,
                   (size_t)(c->batch * v->length) * sizeof *inputs);
            all->inputs = inputs;
        }
        if (c->keys != NULL) {
            memcpy(keys + first * v->length, c->keys, (size_t)(c->batch * v->length));
            all->keys = keys;
        }
        for (size_t s = 0; h->gathered && s < h->site_count; s++) {
            size_t width = (size_t)v->widths[s];

            memcpy(v->data[s] + (size_t)token * width, v->chunks[i].gathered[s],
                   tokens * width * sizeof(float));
        }
        at += c->count;
        token += (int64_t)tokens;
        if (h->tally != NULL) {
            il_tally_merge(h->tally, &v->chunks[i].tally);
        }
    }
    all->count = at;
    if (v->fields.label == NULL) {
        all->labels = NULL;
        all->token_labels = NULL;
    }
    return IL_OK;
}

static void harvest_close(harvest *v)
{
    for (int64_t i = 0; i < v->chunk_count && v->chunks != NULL; i++) {
        il_tally_close(&v->chunks[i].tally);
        il_arena_destroy(v->chunks[i].arena);
    }
    for (int w = 0; v->passes != NULL && w < il_pool_workers(v->h->pool); w++) {
        il_pass_destroy(v->passes[w]);
    }
    for (int w = 0; v->batches != NULL && w < il_pool_workers(v->h->pool); w++) {
        il_batch_destroy(v->batches[w]);
    }
}

il_status il_acts_harvest(il_acts **out, const il_harvest *h, il_error *err)
{
    harvest v = {.h = h, .split = -1};
    il_arena *arena = il_arena_create(1 << 20);
    il_acts *acts = arena != NULL ? il_arena_calloc(arena, 1, sizeof *acts) : NULL;
    int64_t *sites = NULL;
    il_status status;

    if (acts == NULL) {
        il_arena_destroy(arena);
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    acts->arena = arena;
    status = harvest_open(&v, arena, err);
    if (status != IL_OK) {
        goto out;
    }
    run_chunks(&v);
    for (int64_t i = 0; i < v.chunk_count && status == IL_OK; i++) {
        const il_error *e = &v.chunks[i].error;

        if (e->code != IL_OK) {
            status = il_error_set(err, e->code, e->where, "%s", e->message);
        }
    }
    if (status == IL_OK) {
        status = harvest_join(&v, acts, err);
    }
    if (status == IL_OK && h->tally != NULL && h->tally->failed != IL_OK) {
        status = il_error_set(err, h->tally->failed, "data",
                              "a metric's sum or weight is no finite number");
    }
    sites = il_arena_calloc(arena, h->site_count + 1, sizeof *sites);
    if (status == IL_OK && sites == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    if (status != IL_OK) {
        goto out;
    }
    for (size_t i = 0; i < h->site_count; i++) {
        sites[i] = h->sites[i];
    }
    acts->sites = sites;
    acts->site_count = h->site_count;
    acts->widths = v.widths;
    acts->data = (const float *const *)v.data;
    acts->gathered = h->gathered;
out:
    harvest_close(&v);
    if (status != IL_OK) {
        il_acts_destroy(acts);
        return status;
    }
    *out = acts;
    return IL_OK;
}

void il_acts_destroy(il_acts *acts)
{
    if (acts != NULL) {
        il_arena_destroy(acts->arena);
    }
}
