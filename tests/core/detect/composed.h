/* Detectors of detectors on the toy world: bundled components, made through the
 * registry, with weights that the test sets. */
#ifndef IL_TESTS_DETECT_COMPOSED_H
#define IL_TESTS_DETECT_COMPOSED_H

#include "support.h"
#include "detect/composite.h"
#include "pipeline/batch.h"

#include <stdio.h>

typedef struct composed {
    world w;
    il_log *notes;
    il_registry *registry;
    il_problems problems;
    il_arena *arena;
} composed;

static void composed_open(composed *c)
{
    char plugins[512];

    world_open(&c->w, 1);
    c->notes = il_log_create();
    c->arena = il_arena_create(1 << 14);
    c->problems = (il_problems){.arena = c->arena};
    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(plugins, sizeof plugins, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_int_eq(il_registry_create(&c->registry, c->notes, &c->w.err), IL_OK);
    ck_assert_int_eq(il_registry_add_folder(c->registry, plugins, true, &c->w.err),
                     IL_OK);
}

static void composed_close(composed *c)
{
    il_registry_destroy(c->registry);
    il_arena_destroy(c->arena);
    il_log_destroy(c->notes);
    world_close(&c->w);
}

/* Params as they stand in a pipeline: pairs "key", "value", NULL. */
static inline const il_node *params_of(il_arena *arena, const char *const *pairs)
{
    il_node *map = il_node_map(arena, (il_place){0});

    for (; pairs != NULL && *pairs != NULL; pairs += 2) {
        ck_assert(il_node_put(arena, map, pairs[0], (il_place){0},
                              il_node_scalar(arena, pairs[1], false, (il_place){0})));
    }
    return map;
}

/* A spec that scores the masked positions of the toy data. */
static il_detector_spec *spec_of(composed *c, const char *name, const char *use)
{
    il_detector_spec *s = il_arena_calloc(c->arena, 1, sizeof *s);

    *s = c->w.spec;
    s->name = name;
    s->label = "liar";
    s->component = (il_component_spec){.use = use, .range = ""};
    s->threshold = (il_threshold_spec){0};
    return s;
}

static il_detector *made(composed *c, const il_detector_spec *s,
                         il_detector *const *members)
{
    il_detector_input in = {.registry = c->registry,
                            .spec = s,
                            .model = &c->w.model,
                            .data = &c->w.data,
                            .members = members,
                            .seed = 1};
    il_detector *d = NULL;

    ck_assert_msg(il_detector_create(&d, &in, &c->problems, &c->w.err) == IL_OK,
                  "%s: %s", c->w.err.where, c->w.err.message);
    return d;
}

/* A linear probe at the site with weights of its own. */
static inline il_detector *probe_made(composed *c, const char *name, uint64_t key)
{
    il_detector *d = made(c, spec_of(c, name, "linear_probe"), NULL);
    il_rng r;

    il_rng_open(&r, key, 0, IL_RNG_PLUGIN, 0, 0);
    for (int64_t i = 0; i < d->instance->store->total; i++) {
        d->instance->store->values[i] = il_rng_normal(&r);
    }
    d->fitted = true;
    return d;
}

/* What reads detectors, by their names. */
static inline il_detector *of_made(composed *c, il_detector_spec *s, size_t count,
                                   il_detector *const *members)
{
    const char **names = il_arena_calloc(c->arena, count + 1, sizeof *names);
    il_place *places = il_arena_calloc(c->arena, count + 1, sizeof *places);

    for (size_t i = 0; i < count; i++) {
        names[i] = members[i]->spec->name;
        s->level = members[i]->spec->level >= s->level ? members[i]->spec->level + 1
                                                       : s->level;
    }
    s->of = (il_names_spec){count, names, places};
    return made(c, s, members);
}

/* Logits of a split. */
static inline int64_t logits_of(composed *c, const il_detector *d, const char *split,
                                float *out)
{
    il_harvest h = harvest_of(&c->w);
    il_acts *acts = NULL;
    int64_t n;

    ck_assert_msg(il_detector_harvest(&acts, d, &h, split, &c->w.err) == IL_OK, "%s",
                  c->w.err.message);
    n = acts->rows.count;
    ck_assert_msg(il_detector_logits(d, c->w.blas, acts, out, &c->w.err) == IL_OK, "%s",
                  c->w.err.message);
    il_acts_destroy(acts);
    return n;
}

/* Sum of coefficient times logit over three documents, under the model's weights as
 * they are; with `grad` also its derivative in the model's table. Coefficients are
 * fixed numbers of both signs. */
static double weighted(composed *c, const il_detector *d, float *grad)
{
    il_batch *batch = NULL;
    il_pass *pass = NULL;
    il_arena *arena = il_arena_create(1 << 14);
    il_scope scope = {.label = "model",
                      .store = c->w.model.store,
                      .values = c->w.values,
                      .first_bit = 0};
    il_scored rows;
    il_shown seen;
    il_tensor *x;
    il_tensor *logits;
    float seeds[64];
    const float *seed = seeds;
    double sum = 0;

    ck_assert_int_eq(il_batch_create(&batch, &c->w.err), IL_OK);
    il_batch_reset(batch, 3);
    ck_assert_int_eq(toy_get(NULL, 0, 7, 3, batch, &c->w.err), IL_OK);
    ck_assert_int_eq(il_detector_rows(d, batch, false, arena, &rows, &c->w.err), IL_OK);
    ck_assert_int_eq(
        il_pass_create(&pass, c->w.blas, c->w.model.store->count, &c->w.err), IL_OK);
    ck_assert_int_eq(il_pass_site_flag(pass, 0, IL_SITE_READ, &c->w.err), IL_OK);
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    seen = il_shown_of(batch, &c->w.data);
    toy_forward(NULL, pass, &seen.batch);
    il_pass_leave(pass);
    x = il_pass_site(pass, 0);
    logits = il_detector_score(d, pass, &rows, &x, false, -1);
    ck_assert_msg(il_pass_status(pass, &c->w.err) == IL_OK, "%s", c->w.err.message);
    ck_assert_int_eq(il_count(logits), rows.count);
    for (int64_t i = 0; i < rows.count; i++) {
        seeds[i] = (float)(i % 3) - 0.75f;
        sum += (double)seeds[i] * il_f32(logits)[i];
    }
    if (grad != NULL) {
        float *grads[2] = {grad, NULL};
        il_word route = 1;

        memset(grad, 0, VOCABULARY * WIDTH * sizeof *grad);
        ck_assert_int_eq(
            il_pass_backward(pass, 1, &logits, &seed, &route, grads, &c->w.err), IL_OK);
    }
    il_pass_destroy(pass);
    il_batch_destroy(batch);
    il_arena_destroy(arena);
    return sum;
}

/* The derivative against differences of the sum itself. */
static inline void gradient_holds(composed *c, const il_detector *d)
{
    float grad[VOCABULARY * WIDTH];
    float *table = (float *)c->w.values[0];
    double largest = 0;

    (void)weighted(c, d, grad);
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        const float kept = table[i];
        const float h = 1e-2f;
        double up;
        double down;

        table[i] = kept + h;
        up = weighted(c, d, NULL);
        table[i] = kept - h;
        down = weighted(c, d, NULL);
        table[i] = kept;
        ck_assert_msg(fabs((up - down) / (2 * h) - grad[i]) <
                          2e-3 * (1 + fabs((double)grad[i])),
                      "table[%d]: %g by differences, %g by the tape", i,
                      (up - down) / (2 * h), grad[i]);
        largest = fabs((double)grad[i]) > largest ? fabs((double)grad[i]) : largest;
    }
    ck_assert_double_gt(largest, 1e-2); /* something flowed */
}

#endif
