/* Dictionaries taught: see dictionary.h. */
#include "detect/dictionary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/abi.h"
#include "interloop/rng.h"
#include "tensor/kernels.h"
#include "tensor/optim.h"

enum {
    STRIP_FLOATS = 1 << 14, /* of a parameter that one task steps */
    LOG_LINES = 20
};

/* ---- the order of rows ---------------------------------------------------------- */

/* A permutation of [0,n) that needs no memory: a Feistel network on the smallest even
 * number of bits that holds n, walked until it comes back below n (Black and Rogaway
 * 2002, "Ciphers with arbitrary finite domains"). One for each time through the rows.
 */
typedef struct order {
    uint64_t seed;
    int64_t n;
    int half; /* bits */
    int64_t epoch;
    uint32_t keys[4];
} order;

static void order_open(order *o, uint64_t seed, int64_t n)
{
    *o = (order){.seed = seed, .n = n, .half = 1, .epoch = -1};
    while (o->half < 31 && (INT64_C(1) << 2 * o->half) < n) {
        o->half++;
    }
}

static int64_t order_row(order *o, int64_t place)
{
    const uint32_t mask = (UINT32_C(1) << o->half) - 1;
    uint64_t at = (uint64_t)(place % o->n);

    if (o->epoch != place / o->n) {
        il_rng rng;

        o->epoch = place / o->n;
        il_rng_open(&rng, o->seed, 0, IL_RNG_FIT, (uint64_t)o->epoch, 0);
        for (int i = 0; i < 4; i++) {
            o->keys[i] = il_rng_u32(&rng);
        }
    }
    do {
        uint32_t left = (uint32_t)(at >> o->half);
        uint32_t right = (uint32_t)at & mask;

        for (int i = 0; i < 4; i++) {
            uint64_t mixed = il_rng_mix_(o->keys[i], right);
            uint32_t next = left ^ ((uint32_t)(mixed >> 32) & mask);

            left = right;
            right = next;
        }
        at = (uint64_t)left << o->half | right;
    } while (at >= (uint64_t)o->n);
    return (int64_t)at;
}

void il_dictionary_order(uint64_t seed, int64_t rows, int64_t first, int64_t count,
                         int64_t *out)
{
    order o;

    order_open(&o, seed, rows);
    for (int64_t i = 0; i < count; i++) {
        out[i] = order_row(&o, first + i);
    }
}

/* ---- a fit under way ------------------------------------------------------------ */

/* A part of the batch, with all that a task needs for it. */
typedef struct lane {
    il_pass *pass;
    order order;
    int64_t first, count; /* of the batch */
    float *x;             /* (count,W) */
    float **inputs;       /* [input] (count,W_i) where there are several */
    float *grads;         /* of the store's layout, all zeros between steps */
    float **by_bit;
    float *notes;
    float *seeds;
    double loss;
    il_word *touched; /* parameters that a derivative flows to */
    il_error error;
} lane;

/* A stretch of rows of a parameter. */
typedef struct strip {
    int64_t item;
    int64_t first, count;
} strip;

typedef struct learning {
    il_instance *instance;
    const il_detector_api *api;
    const il_dictionary_fit *fit;
    const float *x;
    int64_t rows, width;
    const int64_t *widths;
    size_t inputs;
    int64_t steps, batch, warmup;
    double lr, decay;
    int lane_count;
    lane *lanes;
    const float **values; /* by parameter number */
    float **writable;
    bool *unit;
    float *m, *v;
    strip *strips;
    int strip_count;
    float *sums; /* [worker][STRIP_FLOATS], of their gradients */
    int64_t sums_apart;
    il_word *route;
    int64_t step;
    int64_t round, round_start; /* and the step that it began with */
    float rate;
    int64_t note_count;
    float *notes;
    il_optim optim;
} learning;

static il_status no_memory(const learning *g, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, g->instance->label, "out of memory");
}

static int workers_of(const learning *g)
{
    return g->fit->pool != NULL ? il_pool_workers(g->fit->pool) : 1;
}

static void run(const learning *g, int count, il_task *task)
{
    if (g->fit->pool != NULL) {
        il_pool_run(g->fit->pool, count, task, (void *)(uintptr_t)g);
        return;
    }
    for (int i = 0; i < count; i++) {
        task((void *)(uintptr_t)g, i, 0);
    }
}

static void lane_close(lane *l)
{
    il_pass_destroy(l->pass);
    free(l->x);
    free(l->inputs);
    free(l->grads);
    free(l->by_bit);
    free(l->notes);
    free(l->seeds);
    free(l->touched);
}

static void learning_close(learning *g)
{
    for (int i = 0; g->lanes != NULL && i < g->lane_count; i++) {
        lane_close(&g->lanes[i]);
    }
    free(g->lanes);
    free(g->values);
    free(g->writable);
    free(g->unit);
    free(g->m);
    free(g->v);
    free(g->strips);
    free(g->sums);
    free(g->route);
    free(g->notes);
}

static il_status lane_open(const learning *g, int number, il_error *err)
{
    const il_store *store = g->instance->store;
    lane *l = &g->lanes[number];

    l->first = g->batch * number / g->lane_count;
    l->count = g->batch * (number + 1) / g->lane_count - l->first;
    order_open(&l->order, g->fit->seed, g->rows);
    l->x = malloc((size_t)(l->count * g->width + 1) * sizeof *l->x);
    l->inputs = calloc(g->inputs + 1, sizeof *l->inputs);
    l->grads = il_store_block(store);
    l->by_bit = calloc(store->count + 1, sizeof *l->by_bit);
    l->notes = calloc((size_t)g->note_count + 1, sizeof *l->notes);
    l->seeds = malloc((size_t)(l->count + 1) * sizeof *l->seeds);
    l->touched = calloc(il_bits_words(store->count) + 1, sizeof *l->touched);
    if (l->x == NULL || l->inputs == NULL || l->grads == NULL || l->by_bit == NULL ||
        l->notes == NULL || l->seeds == NULL || l->touched == NULL) {
        return no_memory(g, err);
    }
    for (size_t i = 0; i < store->count; i++) {
        l->by_bit[i] = l->grads + store->items[i].offset;
    }
    for (int64_t i = 0; i < l->count; i++) {
        l->seeds[i] = (float)(1.0 / (double)g->batch);
    }
    return il_pass_create(&l->pass, g->fit->blas, store->count, err);
}

/* Parameters in strips of whole rows. */
static il_status strips_open(learning *g, il_error *err)
{
    const il_store *store = g->instance->store;
    size_t room = 1;

    for (size_t i = 0; i < store->count; i++) {
        room += (size_t)(store->items[i].count / STRIP_FLOATS * 2 + 2);
        room += g->unit[i] ? (size_t)store->items[i].shape[0] : 0;
    }
    g->strips = calloc(room, sizeof *g->strips);
    if (g->strips == NULL) {
        return no_memory(g, err);
    }
    g->sums_apart = STRIP_FLOATS;
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        int64_t wide = g->unit[i] ? item->shape[1] : 1;
        int64_t most = STRIP_FLOATS / wide > 0 ? STRIP_FLOATS / wide * wide : wide;

        g->sums_apart = most > g->sums_apart ? most : g->sums_apart;
        for (int64_t at = 0; at < item->count; at += most) {
            int64_t left = item->count - at;

            g->strips[g->strip_count++] =
                (strip){(int64_t)i, at, left < most ? left : most};
        }
    }
    g->sums = malloc((size_t)(workers_of(g) * g->sums_apart) * sizeof *g->sums);
    return g->sums != NULL ? IL_OK : no_memory(g, err);
}

static il_status learning_open(learning *g, il_error *err)
{
    const il_store *store = g->instance->store;
    const il_dictionary_fit *fit = g->fit;
    void *self = g->instance->self;

    g->steps = fit->steps > 0 ? fit->steps : 1000;
    g->batch = fit->batch > 0 ? fit->batch : 2048;
    g->batch = g->batch < g->rows ? g->batch : g->rows;
    g->lr = fit->lr > 0 ? fit->lr : 1e-3;
    g->warmup = fit->warmup >= 0 ? fit->warmup : g->steps / 20;
    g->decay = fit->decay >= 0 ? fit->decay : 0.2;
    g->lane_count = fit->lanes > 0 ? (int)fit->lanes : 2;
    g->lane_count = g->lane_count < g->batch ? g->lane_count : (int)g->batch;
    g->note_count = IL_HAS(g->api, note_count) ? g->api->note_count(self) : 0;
    g->optim =
        (il_optim){.kind = IL_OPTIM_ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    g->lanes = calloc((size_t)g->lane_count + 1, sizeof *g->lanes);
    g->values = calloc(store->count + 1, sizeof *g->values);
    g->writable = calloc(store->count + 1, sizeof *g->writable);
    g->unit = calloc(store->count + 1, sizeof *g->unit);
    g->m = il_store_block(store);
    g->v = il_store_block(store);
    g->route = calloc(il_bits_words(store->count) + 1, sizeof *g->route);
    g->notes = calloc((size_t)g->note_count + 1, sizeof *g->notes);
    if (g->lanes == NULL || g->values == NULL || g->writable == NULL ||
        g->unit == NULL || g->m == NULL || g->v == NULL || g->route == NULL ||
        g->notes == NULL) {
        return no_memory(g, err);
    }
    for (size_t i = 0; i < store->count; i++) {
        g->writable[i] = store->values + store->items[i].offset;
        g->values[i] = g->writable[i];
        g->unit[i] = store->items[i].ndim == 2 && IL_HAS(g->api, unit_rows) &&
                     g->api->unit_rows(self, (il_param){(int32_t)i});
        il_bits_set(g->route, i);
    }
    for (int i = 0; i < g->lane_count; i++) {
        IL_TRY(lane_open(g, i, err));
    }
    return strips_open(g, err);
}

/* ---- a step --------------------------------------------------------------------- */

/* The rows of a lane's part, each input's by themselves. */
static void lane_gather(const learning *g, lane *l, il_tensor **acts)
{
    float *to = l->x;
    int64_t from = 0;

    for (size_t i = 0; i < g->inputs; i++) {
        l->inputs[i] = to;
        to += l->count * g->widths[i];
    }
    for (int64_t r = 0; r < l->count; r++) {
        int64_t row =
            order_row(&l->order, (g->step - g->round_start) * g->batch + l->first + r);

        from = row * g->width;
        for (size_t i = 0; i < g->inputs; i++) {
            memcpy(l->inputs[i] + r * g->widths[i], g->x + from,
                   (size_t)g->widths[i] * sizeof *to);
            from += g->widths[i];
        }
    }
    for (size_t i = 0; i < g->inputs; i++) {
        acts[i] =
            il_pass_borrow(l->pass, IL_SHAPE(l->count, g->widths[i]), l->inputs[i]);
    }
}

static il_status lane_run(const learning *g, lane *l)
{
    const il_store *store = g->instance->store;
    il_scope scope = {.label = g->instance->label,
                      .store = store,
                      .values = g->values,
                      .first_bit = 0};
    il_learning tell = {.struct_size = sizeof tell,
                        .step = g->step,
                        .steps = g->steps,
                        .rows = g->batch,
                        .lr = g->rate,
                        .notes = l->notes};
    il_reading reading = {.struct_size = sizeof reading,
                          .sites = (int32_t)g->inputs,
                          .batch = l->count,
                          .length = 1};
    const float *seeds = l->seeds;
    il_tensor **acts;
    il_tensor *rows;

    memset(l->notes, 0, (size_t)g->note_count * sizeof *l->notes);
    il_pass_begin(l->pass);
    acts = il_pass_alloc(l->pass, (g->inputs + 1) * sizeof(il_tensor *));
    if (acts == NULL) {
        return il_pass_status(l->pass, &l->error);
    }
    lane_gather(g, l, acts);
    reading.acts = acts;
    il_pass_enter(l->pass, &scope);
    rows = g->api->loss(g->instance->self, l->pass, &reading, &tell);
    il_pass_leave(l->pass);
    IL_TRY(il_pass_status(l->pass, &l->error));
    if (rows == NULL || il_count(rows) != l->count) {
        return il_error_set(&l->error, IL_ERR_SHAPE, g->instance->label,
                            "its loss gave %lld numbers for %lld rows",
                            rows != NULL ? (long long)il_count(rows) : 0,
                            (long long)l->count);
    }
    l->loss = il_k_sum(il_f32(rows), l->count);
    il_bits_copy(l->touched, il_tensor_g(rows), il_pass_words(l->pass));
    return il_pass_backward(l->pass, 1, &rows, &seeds, g->route, l->by_bit, &l->error);
}

static void lane_task(void *user, int task, int worker)
{
    const learning *g = user;

    (void)worker;
    (void)lane_run(g, &g->lanes[task]); /* what went wrong stays in its error */
}

/* What lies along the rows w is taken from g. */
static void take_parallel(float *g, const float *w, int64_t rows, int64_t wide)
{
    for (int64_t r = 0; r < rows; r++) {
        float along = (float)-il_k_dot(g + r * wide, w + r * wide, wide);

        il_k_axpy(g + r * wide, along, w + r * wide, wide);
    }
}

/* Rows of norm 1; what is 0 stays. */
static void set_norms(float *w, int64_t rows, int64_t wide)
{
    for (int64_t r = 0; r < rows; r++) {
        double norm = il_k_dot(w + r * wide, w + r * wide, wide);

        if (norm > 0) {
            il_k_affine(w + r * wide, w + r * wide, (float)(1.0 / sqrt(norm)), 0.0f,
                        wide);
        }
    }
}

/* Adds the lanes' gradients of a strip in their order, leaves zeros, and steps it. */
static void strip_task(void *user, int task, int worker)
{
    const learning *g = user;
    const strip *s = &g->strips[task];
    const il_stored *item = &g->instance->store->items[s->item];
    int64_t wide = g->unit[s->item] ? item->shape[1] : 1;
    int64_t at = item->offset + s->first;
    float *w = g->instance->store->values + at;
    float *sum = g->sums + worker * g->sums_apart;
    bool touched = false;

    for (int i = 0; i < g->lane_count; i++) {
        touched = touched || il_bits_has(g->lanes[i].touched, (size_t)s->item);
    }
    if (!touched) {
        return;
    }
    if (g->lane_count == 1) {
        memcpy(sum, g->lanes[0].grads + at, (size_t)s->count * sizeof *sum);
    }
    for (int i = 1; i < g->lane_count; i++) {
        il_k_add(sum, i == 1 ? g->lanes[0].grads + at : sum, g->lanes[i].grads + at, 1,
                 s->count);
    }
    for (int i = 0; i < g->lane_count; i++) {
        memset(g->lanes[i].grads + at, 0, (size_t)s->count * sizeof *sum);
    }
    if (g->unit[s->item]) {
        take_parallel(sum, w, s->count / wide, wide);
    }
    il_optim_step(&g->optim, g->step + 1, g->rate, s->count, w, sum, 1.0f, g->m + at,
                  g->v + at);
    if (g->unit[s->item]) {
        set_norms(w, s->count / wide, wide);
    }
}

static float rate_at(const learning *g, int64_t step)
{
    double ending = g->decay * (double)g->steps;
    double left = (double)(g->steps - step);
    double rate = g->lr;

    if (step < g->warmup) {
        rate *= (double)(step + 1) / (double)g->warmup;
    }
    return (float)(left < ending ? rate * left / ending : rate);
}

/* One step; its mean loss. */
static il_status take_step(learning *g, double *loss, il_error *err)
{
    il_learning tell = {.struct_size = sizeof tell,
                        .step = g->step,
                        .steps = g->steps,
                        .rows = g->batch,
                        .notes = g->notes};

    g->rate = rate_at(g, g->step);
    tell.lr = g->rate;
    run(g, g->lane_count, lane_task);
    *loss = 0;
    memset(g->notes, 0, (size_t)g->note_count * sizeof *g->notes);
    for (int i = 0; i < g->lane_count; i++) {
        const lane *l = &g->lanes[i];

        if (l->error.code != IL_OK) {
            return il_error_set(err, l->error.code, l->error.where, "%s",
                                l->error.message);
        }
        *loss += l->loss;
        for (int64_t k = 0; k < g->note_count; k++) {
            g->notes[k] += l->notes[k];
        }
    }
    *loss /= (double)g->batch;
    if (!isfinite(*loss)) {
        return il_error_set(err, IL_ERR_NUMERIC, g->instance->label,
                            "its loss is no number at step %lld: give a smaller lr or "
                            "a longer warmup",
                            (long long)g->step);
    }
    run(g, g->strip_count, strip_task);
    if (IL_HAS(g->api, after_step)) {
        g->api->after_step(g->instance->self, &tell, g->writable);
    }
    return IL_OK;
}

/* ---- around the steps ----------------------------------------------------------- */

static il_status check_values(const learning *g, il_error *err)
{
    bool moves = false;

    if (g->rows < 1) {
        return il_error_set(err, IL_ERR_INPUT, g->instance->label,
                            "there is no row to learn from");
    }
    for (int64_t i = 0; i < g->rows * g->width; i++) {
        if (!isfinite(g->x[i])) {
            return il_error_set(err, IL_ERR_NUMERIC, g->instance->label,
                                "row %lld to fit holds a value that is no number, in "
                                "channel %lld",
                                (long long)(i / g->width), (long long)(i % g->width));
        }
        moves = moves || g->x[i] != g->x[i % g->width];
    }
    return moves || g->rows == 1
               ? IL_OK
               : il_error_set(err, IL_ERR_NUMERIC, g->instance->label,
                              "the activations are constant: all %lld rows to fit "
                              "are the same",
                              (long long)g->rows);
}

static il_status start(const learning *g, il_error *err)
{
    const il_store *store = g->instance->store;
    il_fitting f = {.struct_size = sizeof f,
                    .rows = g->rows,
                    .width = g->width,
                    .x = g->x,
                    .values = g->writable};

    if (IL_HAS(g->api, start)) {
        il_error why = {.code = IL_OK};
        il_status status = g->api->start(g->instance->self, &f, &why);

        if (status != IL_OK) {
            return il_error_set(
                err, status, g->instance->label, "%s: %s", g->instance->offer->id,
                why.code != IL_OK ? why.message : "its start gave no reason");
        }
    }
    for (size_t i = 0; i < store->count; i++) {
        if (g->unit[i]) {
            set_norms(g->writable[i], store->items[i].shape[0],
                      store->items[i].shape[1]);
        }
    }
    return IL_OK;
}

/* Turns to the rows of the round that this step belongs to. */
static il_status turn_to_round(learning *g, il_error *err)
{
    const il_dictionary_fit *fit = g->fit;
    int64_t round =
        fit->more != NULL && fit->rounds > 1 ? g->step * fit->rounds / g->steps : 0;

    if (round == g->round) {
        return IL_OK;
    }
    IL_TRY(fit->more(fit->user, round, &g->x, &g->rows, err));
    IL_TRY(check_values(g, err));
    g->round = round;
    g->round_start = g->step;
    for (int i = 0; i < g->lane_count; i++) {
        order_open(&g->lanes[i].order, il_rng_mix_(fit->seed, (uint64_t)round),
                   g->rows);
    }
    return IL_OK;
}

static il_status learn(learning *g, il_dictionary_fitted *out, il_error *err)
{
    int64_t every = g->steps / LOG_LINES > 0 ? g->steps / LOG_LINES : 1;

    for (g->step = 0; g->step < g->steps; g->step++) {
        double loss = 0;

        IL_TRY(turn_to_round(g, err));
        IL_TRY(take_step(g, &loss, err));
        out->first_loss = g->step == 0 ? loss : out->first_loss;
        out->last_loss = loss;
        if (out->losses != NULL) {
            out->losses[g->step] = loss;
        }
        if (g->fit->told != NULL) {
            g->fit->told(g->fit->listener, g->step, loss);
        }
        if (g->step % every == 0 || g->step == g->steps - 1) {
            il_log_write(g->fit->log, IL_LOG_INFO, g->instance->label,
                         "step %lld of %lld, loss %.6g, lr %.3g",
                         (long long)g->step + 1, (long long)g->steps, loss,
                         (double)g->rate);
        }
    }
    for (int64_t k = 0; k < g->instance->store->total; k++) {
        if (!isfinite(g->instance->store->values[k])) {
            return il_error_set(err, IL_ERR_NUMERIC, g->instance->label,
                                "fitting gave a parameter that is no number");
        }
    }
    out->steps = g->steps;
    return IL_OK;
}

static learning learning_of(il_instance *instance, const float *x, int64_t rows,
                            const int64_t *widths, size_t inputs,
                            const il_dictionary_fit *fit)
{
    learning g = {.instance = instance,
                  .api = il_instance_detector(instance),
                  .fit = fit,
                  .x = x,
                  .rows = rows,
                  .widths = widths,
                  .inputs = inputs};

    for (size_t i = 0; i < inputs; i++) {
        g.width += widths[i];
    }
    return g;
}

il_status il_dictionary_start(il_instance *instance, const float *x, int64_t rows,
                              const int64_t *widths, size_t inputs, il_error *err)
{
    const il_dictionary_fit fit = {.batch = 1};
    learning g = learning_of(instance, x, rows, widths, inputs, &fit);
    il_status status = check_values(&g, err);

    if (status == IL_OK) {
        status = learning_open(&g, err);
    }
    if (status == IL_OK) {
        status = start(&g, err);
    }
    learning_close(&g);
    return status;
}

il_status il_dictionary_learn(il_instance *instance, const float *x, int64_t rows,
                              const int64_t *widths, size_t inputs,
                              const il_dictionary_fit *fit, il_dictionary_fitted *out,
                              il_error *err)
{
    learning g = learning_of(instance, x, rows, widths, inputs, fit);
    il_status status = check_values(&g, err);

    if (status == IL_OK) {
        status = learning_open(&g, err);
    }
    if (status == IL_OK && !fit->warm) {
        status = start(&g, err);
    }
    if (status == IL_OK) {
        status = learn(&g, out, err);
    }
    learning_close(&g);
    return status;
}
