/* A world small enough to know by heart, made by hand: data of one token a position, a
 * model whose one site is an embedding of it, and a linear detector on that. */
#ifndef IL_TESTS_DETECT_SUPPORT_H
#define IL_TESTS_DETECT_SUPPORT_H

#include "detect/fit.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { LENGTH = 5, VOCABULARY = 8, WIDTH = 3 };

/* ---- data: splits of 150 documents; rows 1 and 3 of each are scored, odd documents
 * lie --------- */

static const il_split toy_splits[] = {
    {"fit", 150, ""}, {"calib", 150, ""}, {"test", 150, ""}, {"again", 150, ""}};
static const il_field toy_fields[] = {
    {"tokens", IL_FIELD_INPUT, ""},  {"claims", IL_FIELD_MASK, ""},
    {"liar", IL_FIELD_LABEL, ""},    {"next", IL_FIELD_TARGET, ""},
    {"document", IL_FIELD_UNIT, ""},
};

static const il_split *toy_get_splits(const void *self, int32_t *count)
{
    (void)self;
    *count = 4;
    return toy_splits;
}

static const il_field *toy_get_fields(const void *self, int32_t *count)
{
    (void)self;
    *count = 5;
    return toy_fields;
}

/* The split "again" holds the documents of "fit" once more. */
static il_status toy_get(const void *self, int32_t split, int64_t index, int64_t rows,
                         il_batch *out, il_error *err)
{
    int32_t *tokens = il_batch_add(out, "tokens", IL_I32, IL_SHAPE(rows, LENGTH));
    uint8_t *claims = il_batch_add(out, "claims", IL_U8, IL_SHAPE(rows, LENGTH));
    uint8_t *liar = il_batch_add(out, "liar", IL_U8, IL_SHAPE(rows));
    int32_t *next = il_batch_add(out, "next", IL_I32, IL_SHAPE(rows, LENGTH));
    int64_t *document = il_batch_add(out, "document", IL_I64, IL_SHAPE(rows));

    (void)self;
    (void)err;
    for (int64_t b = 0; b < rows; b++) {
        int64_t id = (split == 3 ? 0 : split * 1000) + index + b;

        document[b] = id;
        liar[b] = id % 2;
        for (int64_t t = 0; t < LENGTH; t++) {
            il_rng rng;

            il_rng_open(&rng, 5, 0, IL_RNG_DATA, (uint64_t)t, (uint64_t)id);
            tokens[b * LENGTH + t] =
                (int32_t)il_rng_below(&rng, VOCABULARY - 2) + 2 * liar[b];
            claims[b * LENGTH + t] = t == 1 || t == 3;
            next[b * LENGTH + t] = 0;
        }
    }
    return IL_OK;
}

static void toy_metrics(const void *self, const il_batch *batch,
                        const il_tensor *logits, il_metrics *out)
{
    (void)self;
    il_metrics_add(out, "first_logit", il_f32(logits)[0], 1);
    il_metrics_add(out, "documents", (double)il_batch_rows(batch), 1);
}

static int64_t toy_prompt_rows(const void *self)
{
    (void)self;
    return 100;
}

/* Documents of their own, whose fourth token is to be drawn from 2, 3 and 4. */
static il_status toy_prompt(const void *self, int64_t index, int64_t rows,
                            il_batch *out, il_error *err)
{
    il_status status = toy_get(self, 9, index, rows, out, err);
    uint8_t *sample = il_batch_add(out, "sample", IL_U8, IL_SHAPE(rows, LENGTH));
    uint8_t *allowed = il_batch_add(out, "allowed", IL_U8, IL_SHAPE(rows, VOCABULARY));

    for (int64_t b = 0; b < rows; b++) {
        sample[b * LENGTH + 3] = 1;
        memset(allowed + b * VOCABULARY + 2, 1, 3);
    }
    return status;
}

static void toy_behaviour(const void *self, const il_batch *batch, il_metrics *out)
{
    const int32_t *tokens = il_i32(il_batch_find(batch, "tokens"));

    (void)self;
    for (int64_t b = 0; b < il_batch_rows(batch); b++) {
        int32_t drawn = tokens[b * LENGTH + 3];

        il_metrics_add(out, "outside", drawn < 2 || drawn > 4, 1);
        il_metrics_add(out, "drawn", drawn, 1);
    }
}

static const il_dataset_api toy_dataset = {.struct_size = sizeof(il_dataset_api),
                                           .splits = toy_get_splits,
                                           .fields = toy_get_fields,
                                           .get = toy_get,
                                           .prompt_rows = toy_prompt_rows,
                                           .prompt = toy_prompt,
                                           .metrics = toy_metrics,
                                           .behaviour = toy_behaviour};

/* ---- model: site "embed" = table[token]; logits = embed head^T; a second site, its
 * last residual stream, holds nothing but zeros ----------------------------------- */

static void toy_forward(const void *self, il_pass *pass, const il_batch *batch)
{
    const il_param table = {0};
    const il_param head = {1};
    const il_site site = {0};
    const il_site last = {1};
    il_tensor *x =
        il_embedding(pass, il_use(pass, table), il_batch_find(batch, "tokens"));

    (void)self;
    if (il_batch_find(batch, "liar") != NULL || il_batch_find(batch, "next") != NULL) {
        il_pass_fail(pass, IL_ERR_FIREWALL, "the model was shown a label or a target");
    }
    x = il_hook(pass, site, x);
    (void)il_hook(pass, last, il_sub(pass, x, x));
    il_output_linear(pass, "logits", x, il_use(pass, head), NULL);
}

static const il_model_api toy_model = {.struct_size = sizeof(il_model_api),
                                       .forward = toy_forward};

/* ---- detector: a logit from the channels ---------------------------------------- */

static il_tensor *toy_score(const void *self, il_pass *pass, const il_reading *r)
{
    const il_param weight = {0};
    const il_param bias = {1};

    (void)self;
    return il_linear(pass, r->acts[0], il_use(pass, weight), il_use(pass, bias));
}

static const il_recipe toy_recipe = {
    sizeof(il_recipe), "adam", 2000, 0.02f, 1e-2f, 0.0f, 1};
static const il_detector_api toy_detector = {.struct_size = sizeof(il_detector_api),
                                             .reads = IL_READS_ROWS,
                                             .recipe = &toy_recipe,
                                             .score = toy_score};

/* ---- the world ------------------------------------------------------------------ */

typedef struct world {
    il_instance model, data, probe;
    const float *values[2]; /* the model's */
    il_detector detector;
    il_detector_spec spec;
    const float *probe_values[2];
    float *mean[1], *inv[1];
    int64_t sites[1], widths[1];
    const char *site_names[1];
    il_place places[1];
    il_pool *pool;
    const il_blas *blas;
    il_error err;
} world;

static const il_component toy_components[] = {
    {sizeof(il_component), IL_KIND_MODEL, "model", "", &toy_model, IL_NO_PARAMS},
    {sizeof(il_component), IL_KIND_DATASET, "data", "", &toy_dataset, IL_NO_PARAMS},
    {sizeof(il_component), IL_KIND_DETECTOR, "probe", "", &toy_detector, IL_NO_PARAMS}};
static const il_offer toy_offers[] = {{&toy_components[0], NULL, "toy.model"},
                                      {&toy_components[1], NULL, "toy.data"},
                                      {&toy_components[2], NULL, "toy.probe"}};
static const il_declared toy_sites[] = {{"embed", WIDTH, NULL, 0},
                                        {"blocks.0.hook_resid_post", WIDTH, NULL, 0}};
static const il_declared toy_outputs[] = {{"logits", VOCABULARY, NULL, 0}};

static void world_open(world *w, int workers)
{
    memset(w, 0, sizeof *w);
    w->model = (il_instance){.offer = &toy_offers[0],
                             .label = "model",
                             .sites = toy_sites,
                             .site_count = 2,
                             .outputs = toy_outputs,
                             .output_count = 1};
    w->data = (il_instance){.offer = &toy_offers[1], .label = "data"};
    w->probe = (il_instance){
        .offer = &toy_offers[2], .label = "probe", .identity = "toy.probe"};
    ck_assert_int_eq(il_store_create(&w->model.store, &w->err), IL_OK);
    ck_assert_int_eq(il_store_create(&w->probe.store, &w->err), IL_OK);
    (void)il_store_add(w->model.store, "table", "model", IL_SHAPE(VOCABULARY, WIDTH),
                       IL_INIT_NORMAL(1), &w->err);
    (void)il_store_add(w->model.store, "head", "model", IL_SHAPE(VOCABULARY, WIDTH),
                       IL_INIT_NORMAL(1), &w->err);
    (void)il_store_add(w->probe.store, "weight", "probe", IL_SHAPE(1, WIDTH),
                       IL_INIT_ZERO, &w->err);
    (void)il_store_add(w->probe.store, "bias", "probe", IL_SHAPE(1), IL_INIT_ZERO,
                       &w->err);
    ck_assert_int_eq(il_store_fill(w->model.store, 4, &w->err), IL_OK);
    ck_assert_int_eq(il_store_fill(w->probe.store, 4, &w->err), IL_OK);
    for (int i = 0; i < 2; i++) {
        w->values[i] = w->model.store->values + w->model.store->items[i].offset;
        w->probe_values[i] = w->probe.store->values + w->probe.store->items[i].offset;
    }
    w->site_names[0] = "embed";
    w->widths[0] = WIDTH;
    w->spec = (il_detector_spec){
        .name = "probe",
        .sites = {1, w->site_names, w->places},
        .tokens = "claims",
        .fit = {.given = true,
                .draw = {.split = "fit"},
                .label = "liar",
                .lr = -1,
                .l2 = -1,
                .weight_decay = -1},
        .threshold = {.kind = IL_THRESHOLD_RATE, .fpr = 0.1, .unit = IL_UNIT_TOKEN}};
    w->detector = (il_detector){.spec = &w->spec,
                                .model = &w->model,
                                .instance = &w->probe,
                                .site_count = 1,
                                .sites = w->sites,
                                .widths = w->widths,
                                .values = w->probe_values,
                                .fields = {.input = "tokens",
                                           .tokens = "claims",
                                           .label = "liar",
                                           .unit = "document"},
                                .mean = w->mean,
                                .inv = w->inv,
                                .rate = NAN,
                                .arena = il_arena_create(1 << 12)};
    ck_assert_int_eq(il_pool_create(&w->pool, workers, &w->err), IL_OK);
    ck_assert_msg(il_blas_open(&w->blas, true, &w->err) == IL_OK, "%s", w->err.message);
}

static void world_close(world *w)
{
    il_pool_destroy(w->pool);
    il_store_destroy(w->model.store);
    il_store_destroy(w->probe.store);
    free(w->detector.m);
    free(w->detector.v);
    il_arena_destroy(w->detector.arena);
}

static il_harvest harvest_of(const world *w)
{
    il_harvest h = {.model = &w->model,
                    .values = w->values,
                    .data = &w->data,
                    .blas = w->blas,
                    .pool = w->pool};

    return h;
}

/* What the detector reads of a split; fails when that fails. */
static il_acts *acts_of_split(world *w, const char *split)
{
    il_harvest h = harvest_of(w);
    il_acts *acts = NULL;

    ck_assert_msg(il_detector_harvest(&acts, &w->detector, &h, split, &w->err) == IL_OK,
                  "%s: %s", w->err.where, w->err.message);
    return acts;
}

static inline void world_fit(world *w)
{
    il_fit fit = {.blas = w->blas, .start = IL_FIT_FRESH, .seed = 1};
    il_acts *acts = acts_of_split(w, "fit");

    ck_assert_msg(il_detector_fit(&w->detector, acts, &fit, &w->err) == IL_OK, "%s",
                  w->err.message);
    il_acts_destroy(acts);
}

#endif
