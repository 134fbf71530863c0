#include "detect/descent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/composite.h"
#include "detect/linear.h"
#include "detect/logits_private.h"
#include "detect/minibatch.h"
#include "tensor/optim.h"

bool il_fit_descends(const char *method)
{
    return strcmp(method, "adam") == 0 || strcmp(method, "adamw") == 0 ||
           strcmp(method, "sgd") == 0;
}

void il_detector_descent_check(const il_detector *d, il_problems *problems)
{
    const il_fit_spec *fit = &d->spec->fit;

    if (!fit->given || fit->method == NULL) {
        return;
    }
    if (il_detector_solved(fit->method) && fit->batch > 0) {
        il_problem_add(problems, fit->place,
                       "method '%s' solves for all rows at once and has no `batch`; "
                       "adam, adamw and sgd take some a step",
                       fit->method);
    }
    if (strcmp(fit->method, "sgd") == 0 && fit->lr < 0) {
        il_problem_add(problems, fit->place,
                       "method 'sgd' needs an `lr`: the one that the detector states "
                       "is Adam's");
    }
}

typedef struct descent {
    il_detector *d;
    const il_detector
        *reader; /* d itself, or d without its scaling where acts are scaled */
    const il_acts *acts;
    il_pass *pass;
    il_optim optim;
    int64_t steps;
    float lr;
    float l2;
    float *grads;
    float **by_bit;
    il_word *route;
    float *targets;
    float *seeds;
    float *m, *v;
    int64_t before; /* steps taken earlier with these moments */
    il_minibatch draw;
} descent;

static il_status no_memory(const il_detector *d, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
}

static void descent_close(descent *g)
{
    il_minibatch_close(&g->draw);
    il_pass_destroy(g->pass);
    free(g->grads);
    free(g->by_bit);
    free(g->route);
    free(g->targets);
    free(g->seeds);
}

/* Labels of the rows of a step, and each row's share of its mean. */
static void set_targets(descent *g)
{
    int64_t n = g->acts->rows.count;

    for (int64_t i = 0; i < n; i++) {
        g->targets[i] = (float)g->acts->rows.labels[i];
        g->seeds[i] = (float)(1.0 / (double)n);
    }
}

static il_status descent_open(descent *g, const il_blas *blas, il_error *err)
{
    const il_store *store = g->d->instance->store;
    size_t n = (size_t)g->acts->rows.count;

    g->grads = il_store_block(store);
    g->by_bit = calloc(store->count + 1, sizeof *g->by_bit);
    g->route = calloc(il_bits_words(store->count) + 1, sizeof *g->route);
    g->targets = calloc(n + 1, sizeof *g->targets);
    g->seeds = calloc(n + 1, sizeof *g->seeds);
    if (g->grads == NULL || g->by_bit == NULL || g->route == NULL ||
        g->targets == NULL || g->seeds == NULL) {
        return no_memory(g->d, err);
    }
    for (size_t i = 0; i < store->count; i++) {
        g->by_bit[i] = g->grads + store->items[i].offset;
        il_bits_set(g->route, i);
    }
    set_targets(g);
    return il_pass_create(&g->pass, blas, store->count, err);
}

/* The rows of a step, counted from 1, and its rate. */
static il_status next_rows(descent *g, int64_t step, float *lr, il_error *err)
{
    const il_rate falling = {.shape = IL_RATE_COSINE};

    *lr = g->lr;
    if (g->draw.batch == 0) {
        return IL_OK;
    }
    *lr = (float)((double)g->lr * il_rate_at(&falling, step - 1, g->steps));
    IL_TRY(il_minibatch_draw(&g->draw, step - 1, err));
    g->acts = &g->draw.part;
    set_targets(g);
    return IL_OK;
}

static il_status descend(descent *g, il_error *err)
{
    const il_store *store = g->d->instance->store;

    for (int64_t step = 1; step <= g->steps; step++) {
        il_tensor *logits = NULL;
        il_tensor *loss;
        const float *seeds = g->seeds;
        float lr;

        IL_TRY(next_rows(g, step, &lr, err));
        il_pass_begin(g->pass);
        memset(g->grads, 0, (size_t)store->total * sizeof *g->grads);
        IL_TRY(il__detector_forward(g->reader, g->pass, g->acts, 0, &logits, err));
        loss = il_bce_logits(
            g->pass, logits,
            il_pass_borrow(g->pass, IL_SHAPE(g->acts->rows.count), g->targets));
        IL_TRY(il_pass_status(g->pass, err));
        IL_TRY(il_pass_backward(g->pass, 1, &loss, &seeds, g->route, g->by_bit, err));
        for (size_t i = 0; i < store->count; i++) {
            const il_stored *item = &store->items[i];
            float *w = store->values + item->offset;

            for (int64_t k = 0; item->ndim >= 2 && g->l2 > 0 && k < item->count; k++) {
                g->by_bit[i][k] += 2.0f * g->l2 * w[k];
            }
            il_optim_step(&g->optim, g->before + step, lr, item->count, w, g->by_bit[i],
                          1.0f, g->m + item->offset, g->v + item->offset);
        }
    }
    for (int64_t k = 0; k < store->total; k++) {
        if (!isfinite(store->values[k])) {
            return il_error_set(err, IL_ERR_NUMERIC, g->d->spec->name,
                                "fitting gave a parameter that is no number");
        }
    }
    return IL_OK;
}

/* Activations scaled once, so that no step of a fit has to: the same values by the same
 * arithmetic. */
typedef struct prescaled {
    il_arena *arena;
    il_acts acts;
    il_detector reader; /* the detector, scaling nothing */
} prescaled;

static il_status prescale(prescaled *p, const il_detector *d, const il_acts *acts,
                          il_error *err)
{
    int64_t rows = acts->gathered ? il_scored_first(&acts->rows, acts->rows.count)
                                  : acts->rows.batch * acts->rows.length;
    const float **data;

    p->arena = il_arena_create(1 << 16);
    if (p->arena == NULL) {
        return no_memory(d, err);
    }
    p->acts = *acts;
    p->acts.arena = NULL;
    p->reader = *d;
    p->reader.mean =
        il_arena_calloc(p->arena, il_detector_input_count(d) + 1, sizeof(float *));
    data = il_arena_calloc(p->arena, acts->site_count + 1, sizeof *data);
    if (p->reader.mean == NULL || data == NULL) {
        return no_memory(d, err);
    }
    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        int64_t at = acts->inputs ? (int64_t)i : il_acts_site(acts, d->sites[i]);
        int64_t width = il_detector_input_width(d, i);
        float *out =
            at < 0
                ? NULL
                : il_arena_alloc(p->arena, ((size_t)(rows * width) + 1) * sizeof *out);

        if (at < 0) {
            return il_error_set(err, IL_ERR_INTERNAL, d->spec->name,
                                "the harvest lacks a site of this detector");
        }
        if (out == NULL) {
            return no_memory(d, err);
        }
        for (int64_t k = 0; k < rows * width; k++) {
            float x = acts->data[at][k];

            out[k] = d->mean[i] == NULL
                         ? x
                         : (x - d->mean[i][k % width]) * d->inv[i][k % width];
        }
        data[at] = out;
    }
    p->acts.data = data;
    return IL_OK;
}

il_status il__detector_descend(il_detector *d, const il_acts *acts, const il_fit *fit,
                               const char *method, il_error *err)
{
    const il_recipe *recipe = il_instance_detector(d->instance)->recipe;
    const il_fit_spec *spec = &d->spec->fit;
    const il_store *store = d->instance->store;
    prescaled p = {.arena = NULL};
    descent g = {.d = d, .reader = &p.reader, .acts = &p.acts};
    il_status status = prescale(&p, d, acts, err);

    g.optim =
        (il_optim){.kind = strcmp(method, "adamw") == 0  ? IL_OPTIM_ADAMW
                           : strcmp(method, "adam") == 0 ? IL_OPTIM_ADAM
                                                         : IL_OPTIM_SGD,
                   .momentum = 0.9f, /* of sgd */
                   .beta1 = 0.9f,
                   .beta2 = 0.999f,
                   .eps = 1e-8f,
                   .weight_decay = spec->weight_decay >= 0 ? (float)spec->weight_decay
                                                           : recipe->weight_decay};
    g.steps = fit->steps > 0    ? fit->steps
              : spec->steps > 0 ? spec->steps
                                : recipe->steps;
    g.lr = (float)(fit->lr > 0 ? fit->lr : spec->lr > 0 ? spec->lr : recipe->lr);
    g.l2 = spec->l2 >= 0 ? (float)spec->l2 : recipe->l2;
    if (!spec->given) {
        g.optim.weight_decay = recipe->weight_decay;
        g.l2 = recipe->l2;
    }
    g.m = il_store_block(store);
    g.v = il_store_block(store);
    if (status == IL_OK) {
        status = il_minibatch_open(&g.draw, &p.acts, spec->given ? spec->batch : 0,
                                   fit->seed, err);
    }
    if (status == IL_OK) {
        status = g.m != NULL && g.v != NULL ? descent_open(&g, fit->blas, err)
                                            : no_memory(d, err);
    }
    if (status == IL_OK) {
        status = descend(&g, err);
    }
    descent_close(&g);
    il_arena_destroy(p.arena);
    free(g.m);
    free(g.v);
    return status;
}

il_status il__detector_descend_online(il_detector *d, const il_blas *blas,
                                      const il_acts *acts, int64_t steps, double lr,
                                      il_error *err)
{
    const il_store *store = d->instance->store;
    descent g = {
        .d = d,
        .reader = d,
        .acts = acts,
        .steps = steps,
        .lr = (float)lr,
        .optim = {.kind = IL_OPTIM_ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f},
        .before = d->steps};
    il_status status;

    if (acts->rows.labels == NULL) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "an online refit needs labels");
    }
    if (acts->rows.count == 0) {
        return IL_OK; /* nothing was scored; a batch of one class still teaches */
    }
    d->m = d->m != NULL ? d->m : il_store_block(store);
    d->v = d->v != NULL ? d->v : il_store_block(store);
    if (d->m == NULL || d->v == NULL) {
        return no_memory(d, err);
    }
    g.m = d->m;
    g.v = d->v;
    status = descent_open(&g, blas, err);
    if (status == IL_OK) {
        status = descend(&g, err);
    }
    descent_close(&g);
    if (status == IL_OK) {
        d->steps += steps;
    }
    return status;
}
