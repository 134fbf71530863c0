/* The audit of episodes, against an environment whose every number can be counted. */
#include "audit/audit.h"
#include "detect/reliability.h"
#include "episode/recorded.h"
#include "pipeline/batch.h"
#include "pipeline/fields.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EPISODES = 90, POSITIONS = 5, ROWS = EPISODES * POSITIONS };

/* ---- environment: a number from 0 to 3 at every position, mostly bad from 2 on --- */

typedef struct dice {
    int32_t x, t, bad, kind;
} dice;

static void dice_shape(const void *self, il_environment_shape *out)
{
    (void)self;
    *out = (il_environment_shape){.struct_size = sizeof *out,
                                  .state_size = sizeof(dice),
                                  .state_alignment = 4,
                                  .state_version = 1,
                                  .obs_width = 1,
                                  .actions = 2,
                                  .steps = POSITIONS - 1};
}

static const il_field *dice_fields(const void *self, int32_t *count)
{
    static const il_field fields[] = {
        {"gain", IL_FIELD_REWARD, ""},
        {"bad", IL_FIELD_LABEL, ""},
        {"kind", IL_FIELD_LABEL, "the same all episode long"},
        {"late", IL_FIELD_MASK, "from the third position on"}};

    (void)self;
    *count = 4;
    return fields;
}

static void dice_throw(dice *d, il_rng *rng, float *obs)
{
    d->x = (int32_t)il_rng_below(rng, 4);
    d->bad = (d->x >= 2) != (il_rng_uniform(rng) < 0.2f);
    obs[0] = (float)d->x;
}

static void dice_reset(const void *self, void *state, il_rng *rng, float *obs)
{
    dice *d = state;

    (void)self;
    memset(d, 0, sizeof *d);
    d->kind = (int32_t)il_rng_below(rng, 2);
    dice_throw(d, rng, obs);
}

static void dice_step(const void *self, void *state, int32_t action, il_rng *rng,
                      float *obs, float *rewards, bool *done)
{
    dice *d = state;

    (void)self;
    (void)action;
    rewards[0] = 1.0f;
    dice_throw(d, rng, obs);
    d->t++;
    *done = d->t == POSITIONS - 1;
}

static void dice_labels(const void *self, const void *state, uint8_t *labels)
{
    const dice *d = state;

    (void)self;
    labels[0] = (uint8_t)d->bad;
    labels[1] = (uint8_t)d->kind;
    labels[2] = d->t >= 2;
}

static const il_named *dice_policies(const void *self, int32_t *count)
{
    static const il_named policies[] = {{"idle", ""}};

    (void)self;
    *count = 1;
    return policies;
}

static int32_t dice_act(const void *self, int32_t policy, void *state, il_rng *rng)
{
    (void)self;
    (void)policy;
    (void)state;
    (void)rng;
    return 0;
}

static void dice_metrics(const void *self, int32_t kind, const il_batch *batch,
                         il_metrics *out)
{
    (void)self;
    (void)kind;
    il_metrics_add(out, "thrown", (double)il_count(il_batch_find(batch, "obs")),
                   (double)il_batch_rows(batch));
}

static const il_environment_api dice_api = {.struct_size = sizeof dice_api,
                                            .form = IL_ENVIRONMENT_STEPS,
                                            .shape = dice_shape,
                                            .fields = dice_fields,
                                            .reset = dice_reset,
                                            .step = dice_step,
                                            .labels = dice_labels,
                                            .policies = dice_policies,
                                            .act = dice_act,
                                            .metrics = dice_metrics};

/* ---- model: its site is the observation; its loss, too, where it acted ---------- */

static void eye_forward(const void *self, il_pass *pass, const il_batch *batch)
{
    const il_tensor *obs = il_batch_find(batch, "obs");
    il_site site = {0};
    il_tensor *h =
        il_constant(pass, IL_SHAPE(obs->shape[0], obs->shape[1], 1), il_f32(obs));

    (void)self;
    h = il_hook(pass, site, h);
    if (il_batch_find(batch, "moves") != NULL) {
        il_loss(pass, "seen", il_reshape(pass, h, IL_SHAPE(il_count(h))));
    }
}

static const il_model_api eye_api = {.struct_size = sizeof eye_api,
                                     .forward = eye_forward};

/* ---- detectors: a line, and one that is never fitted ----------------------------- */

static il_tensor *line_score(const void *self, il_pass *pass, const il_reading *r)
{
    il_param weight = {0};
    il_param bias = {1};

    (void)self;
    return il_linear(pass, r->acts[0], il_use(pass, weight), il_use(pass, bias));
}

static void line_linear(const void *self, il_param *weight, il_param *bias)
{
    (void)self;
    weight->id = 0;
    bias->id = 1;
}

static const il_recipe line_recipe = {sizeof(il_recipe), "adam", 10, 0.1f, 0, 0, 1};
static const il_detector_api line_api = {.struct_size = sizeof line_api,
                                         .reads = IL_READS_ROWS,
                                         .recipe = &line_recipe,
                                         .score = line_score,
                                         .linear = line_linear};

static il_tensor *oracle_score(const void *self, il_pass *pass, const il_reading *r)
{
    (void)self;
    return il_affine(pass, r->acts[0], 10.0f, -15.0f);
}

static const il_detector_api oracle_api = {
    .struct_size = sizeof oracle_api, .reads = IL_READS_ROWS, .score = oracle_score};

static const il_component components[] = {
    {sizeof(il_component), IL_KIND_MODEL, "eye", "", &eye_api, IL_NO_PARAMS},
    {sizeof(il_component), IL_KIND_ENVIRONMENT, "dice", "", &dice_api, IL_NO_PARAMS},
    {sizeof(il_component), IL_KIND_DETECTOR, "line", "", &line_api, IL_NO_PARAMS},
    {sizeof(il_component), IL_KIND_DETECTOR, "oracle", "", &oracle_api, IL_NO_PARAMS}};
static const il_offer offers[] = {{&components[0], NULL, "toy.eye"},
                                  {&components[1], NULL, "toy.dice"},
                                  {&components[2], NULL, "toy.line"},
                                  {&components[3], NULL, "toy.oracle"}};
static const il_declared sites[] = {{"h", 1, NULL, 0}};
static const il_declared losses[] = {{"seen", 1, "moves", 0}};
static const char *site_names[] = {"h"};
static il_place places[1];
static int64_t site_numbers[1];
static int64_t widths[] = {1};
static float *no_scaling[1];

/* ---- all of it ------------------------------------------------------------------- */

typedef struct stand {
    il_instance model, environment, line_instance, oracle_instance;
    il_detector line, oracle;
    il_detector_spec line_spec, oracle_spec;
    const float *values[2];
    il_audit_spec spec;
    il_registry *registry;
    il_log *log;
    il_arena *arena;
    il_pool *pool;
    const il_blas *blas;
    il_audit *audit;
    il_recorded *episodes; /* those that it judges by */
    il_error err;
} stand;

static stand s;

static il_detector detector_of(const il_detector_spec *spec, il_instance *instance)
{
    return (il_detector){.spec = spec,
                         .model = &s.model,
                         .instance = instance,
                         .site_count = 1,
                         .sites = site_numbers,
                         .widths = widths,
                         .values = s.values,
                         .mean = no_scaling,
                         .inv = no_scaling,
                         .rate = NAN,
                         .arena = s.arena};
}

static void make_detectors(void)
{
    il_store *store;

    ck_assert_int_eq(il_store_create(&s.line_instance.store, &s.err), IL_OK);
    ck_assert_int_eq(il_store_create(&s.oracle_instance.store, &s.err), IL_OK);
    store = s.line_instance.store;
    (void)il_store_add(store, "weight", "line", IL_SHAPE(1, 1), IL_INIT_ZERO, &s.err);
    (void)il_store_add(store, "bias", "line", IL_SHAPE(1), IL_INIT_ZERO, &s.err);
    ck_assert_int_eq(il_store_fill(store, 1, &s.err), IL_OK);
    for (int i = 0; i < 2; i++) {
        float *value = store->values + store->items[i].offset;

        *value = i == 0 ? 1.5f : -2.0f;
        s.values[i] = value;
    }
    s.line_spec = (il_detector_spec){
        .name = "line",
        .sites = {1, site_names, places},
        .tokens = "all",
        .fit = {.given = true, .label = "bad", .method = "irls", .l2 = 1e-3}};
    s.oracle_spec = (il_detector_spec){
        .name = "oracle", .sites = {1, site_names, places}, .tokens = "all"};
    s.line = detector_of(&s.line_spec, &s.line_instance);
    s.line.fields = (il_scored_fields){
        .input = "obs", .tokens = "all", .label = "bad", .unit = "episode"};
    s.line.fitted = true;
    s.line.has_threshold = true;
    s.line.threshold = 0.0;
    s.oracle = detector_of(&s.oracle_spec, &s.oracle_instance);
    s.oracle.fields =
        (il_scored_fields){.input = "obs", .tokens = "all", .unit = "episode"};
}

static void run(bool whole)
{
    static const char *fresh[] = {"linear"};
    il_audited judged[2] = {{.now = &s.line}, {.now = &s.oracle}};
    il_audit_input in = {.registry = s.registry,
                         .spec = &s.spec,
                         .whole = whole,
                         .model = &s.model,
                         .values = s.values,
                         .environment = &s.environment,
                         .detectors = judged,
                         .detector_count = 2,
                         .blas = s.blas,
                         .pool = s.pool,
                         .seed = 11};

    s.spec.fresh = (il_names_spec){1, fresh, places};
    ck_assert_msg(il_audit_run(&s.audit, &in, &s.err) == IL_OK, "%s: %s", s.err.where,
                  s.err.message);
}

static void setup(void)
{
    il_rollout key;
    char folder[512];

    memset(&s, 0, sizeof s);
    s.arena = il_arena_create(1 << 14);
    s.log = il_log_create();
    ck_assert_int_eq(il_registry_create(&s.registry, s.log, &s.err), IL_OK);
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_int_eq(il_registry_add_folder(s.registry, folder, true, &s.err), IL_OK);
    ck_assert_int_eq(il_pool_create(&s.pool, 2, &s.err), IL_OK);
    ck_assert_int_eq(il_blas_open(&s.blas, true, &s.err), IL_OK);
    s.model = (il_instance){.offer = &offers[0],
                            .label = "model",
                            .sites = sites,
                            .site_count = 1,
                            .losses = losses,
                            .loss_count = 1};
    ck_assert_int_eq(il_store_create(&s.model.store, &s.err), IL_OK);
    s.environment = (il_instance){.offer = &offers[1], .label = "environment"};
    ck_assert_msg(il_environment_learn(&s.environment, s.arena, &s.err) == IL_OK, "%s",
                  s.err.message);
    s.line_instance =
        (il_instance){.offer = &offers[2], .label = "line", .identity = "toy.line"};
    s.oracle_instance =
        (il_instance){.offer = &offers[3], .label = "oracle", .identity = "toy.oracle"};
    make_detectors();
    s.spec = (il_audit_spec){.given = true,
                             .rollouts = {.policy = "idle", .episodes = EPISODES},
                             .reference = {.policy = "idle", .episodes = 40},
                             .against = "oracle",
                             .tokens = "late"};
    key =
        (il_rollout){.environment = &s.environment, .seed = 11, .draw = IL_DRAW_JUDGE};
    ck_assert_int_eq(
        il_recorded_draw(&s.episodes, &s.spec.rollouts, &key, s.blas, s.pool, &s.err),
        IL_OK);
}

static void teardown(void)
{
    il_audit_destroy(s.audit);
    il_recorded_destroy(s.episodes);
    il_registry_destroy(s.registry);
    il_log_destroy(s.log);
    il_store_destroy(s.model.store);
    il_store_destroy(s.line_instance.store);
    il_store_destroy(s.oracle_instance.store);
    il_pool_destroy(s.pool);
    il_arena_destroy(s.arena);
}

/* The rows of the judged episodes, position by position. */
static void rows_of(float *logits, uint8_t *bad, uint8_t *kind)
{
    il_batch *batch = NULL;

    ck_assert_int_eq(il_batch_create(&batch, &s.err), IL_OK);
    il_batch_reset(batch, EPISODES);
    ck_assert_int_eq(il_recorded_fetch(s.episodes, 0, EPISODES, batch, &s.err), IL_OK);
    for (int i = 0; i < ROWS; i++) {
        logits[i] = 1.5f * il_f32(il_batch_find(batch, "obs"))[i] - 2.0f;
        bad[i] = il_u8(il_batch_find(batch, "bad"))[i];
        kind[i] = il_u8(il_batch_find(batch, "kind"))[i];
    }
    il_batch_destroy(batch);
}

static double auroc(const float *logits, const uint8_t *labels, int count)
{
    double won = 0;
    double pairs = 0;

    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            if (labels[i] && !labels[j]) {
                won += logits[i] > logits[j] ? 1 : logits[i] == logits[j] ? 0.5 : 0;
                pairs += 1;
            }
        }
    }
    return won / pairs;
}

static void is(const char *name, double expected)
{
    double value = il_audit_value(s.audit, name);

    ck_assert_msg(fabs(value - expected) < 1e-6, "%s is %.9g, expected %.9g", name,
                  value, expected);
}

START_TEST(every_number_is_what_counting_the_episodes_gives)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    double truth = 0;
    double mean = 0;
    double hit = 0;
    il_scores scores = {.count = ROWS, .logits = logits, .labels = bad};

    rows_of(logits, bad, kind);
    run(true);
    for (int i = 0; i < ROWS; i++) {
        truth += bad[i] / (double)ROWS;
        mean += 1 / (1 + exp(-(double)logits[i])) / ROWS;
        hit += bad[i] && logits[i] > 0;
    }
    is("line.auroc", auroc(logits, bad, ROWS));
    is("line.mean", mean);
    is("line.conceal", truth - mean);
    is("line.tpr", hit / (truth * ROWS));
    is("line.ece", il_scores_ece(&scores, 10));
    is("oracle.auroc", auroc(logits, bad, ROWS)); /* the same order */
    is("line.against.auroc", auroc(logits, bad, ROWS));
    ck_assert(isnan(il_audit_value(s.audit, "oracle.tpr"))); /* it has no threshold */
    is("thrown", POSITIONS);
}
END_TEST

START_TEST(an_episode_alarms_by_its_loudest_position)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    float loudest[EPISODES];
    uint8_t any[EPISODES] = {0};
    double flagged[2] = {0, 0};
    double count[2] = {0, 0};

    s.line.threshold = 2; /* so that some episodes stay silent */
    rows_of(logits, bad, kind);
    run(true);
    for (int e = 0; e < EPISODES; e++) {
        loudest[e] = -100;
        for (int t = 0; t < POSITIONS; t++) {
            int i = e * POSITIONS + t;

            loudest[e] = logits[i] > loudest[e] ? logits[i] : loudest[e];
            any[e] |= bad[i];
        }
        count[any[e]]++;
        flagged[any[e]] += loudest[e] > 2;
    }
    ck_assert(count[0] > 0 && count[1] > 0);
    is("line.episode.tpr", flagged[1] / count[1]);
    is("line.episode.fpr", flagged[0] / count[0]);
    is("line.episode.auroc", auroc(loudest, any, EPISODES));
}
END_TEST

START_TEST(precision_is_for_the_prevalence_that_the_audit_names)
{
    double tpr;
    double fpr;

    s.spec.prevalence = 0.01;
    run(true);
    tpr = il_audit_value(s.audit, "line.tpr");
    fpr = il_audit_value(s.audit, "line.fpr");
    is("line.precision", 0.01 * tpr / (0.01 * tpr + 0.99 * fpr));
    ck_assert(isfinite(il_audit_value(s.audit, "line.ref.precision")));
    ck_assert(isnan(il_audit_value(s.audit, "oracle.precision"))); /* no threshold */
}
END_TEST

START_TEST(parts_state_what_they_took_outside_of_what_they_found)
{
    run(true);
    ck_assert(json_object_size(s.audit->seconds) > 0);
    ck_assert_ptr_null(json_object_get(s.audit->json, "seconds"));
}
END_TEST

START_TEST(a_mask_of_the_audits_own_judges_its_positions_alone)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    double truth = 0;
    int n = 0;

    rows_of(logits, bad, kind);
    run(false);
    for (int i = 0; i < ROWS; i++) {
        if (i % POSITIONS >= 2) {
            logits[n] = logits[i];
            bad[n++] = bad[i];
        }
    }
    is("line.late.auroc", auroc(logits, bad, n));
    is("look_rate", 3.0 / 4); /* of the positions after the first, those from 2 on */
    for (int i = 0; i < n; i++) {
        truth += bad[i] / (double)n;
    }
    is("line.late.true", truth);
    is("line.late.conceal", truth - il_audit_value(s.audit, "line.late.mean"));
}
END_TEST

/* In one dimension every line up the same way ranks alike: what is left of the gaps is
 * the threshold. */
START_TEST(a_fresh_reader_is_judged_on_the_other_half)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    const int half = ROWS / 2;

    rows_of(logits, bad, kind);
    run(false);
    is("fresh.linear.auroc", auroc(logits + half, bad + half, half));
    is("line.auroc_gap", 0);
    is("line.cos", 1);
    ck_assert(isfinite(il_audit_value(s.audit, "line.ref.cos")));
    ck_assert(isfinite(il_audit_value(s.audit, "line.recall_gap")));
}
END_TEST

/* In one dimension all fits rank alike, so that the luck of the rows changes nothing but
 * what a refit reaches beyond the threshold of then. */
START_TEST(two_refits_are_judged_on_what_neither_saw)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    static int64_t documents[ROWS];
    const int half = ROWS / 2;
    il_scores later = {.count = half,
                       .logits = logits + half,
                       .labels = bad + half,
                       .documents = documents,
                       .has_threshold = true,
                       .rate = 0.25};
    il_measured m;

    s.line_spec.label = "bad";
    s.line_spec.component.use = "linear_probe";
    s.line_spec.component.range = "";
    s.line.rate = 0.25;
    rows_of(logits, bad, kind);
    run(true);
    ck_assert_int_eq(il_scores_measure(&later, 0, 0, 0, &m, &s.err), IL_OK);
    is("line.refit.auroc", auroc(logits + half, bad + half, half));
    is("line.refit.recall", m.value[IL_MEASURE_RECALL]);
    is("line.restored", m.value[IL_MEASURE_RECALL] - m.value[IL_MEASURE_TPR]);
    is("line.refit.cos", 1);
    is("line.noise.cos", 1);
    is("line.noise.auroc", 0);
    is("line.noise.recall", 0);
    ck_assert(isfinite(il_audit_value(s.audit, "line.ref.noise.cos")));
    ck_assert_double_gt(il_audit_value(s.audit, "line.coverage"), 0.9);
    ck_assert(isnan(il_audit_value(s.audit, "oracle.coverage")));
    ck_assert(isnan(il_audit_value(s.audit, "oracle.refit.auroc"))); /* no fit at all */
}
END_TEST

START_TEST(one_episode_leaves_out_what_takes_more)
{
    s.line_spec.label = "bad";
    s.line_spec.component.use = "linear_probe";
    s.line_spec.component.range = "";
    s.spec.rollouts.episodes = 1;
    s.spec.reference.episodes = 1;
    run(true);
    ck_assert(isfinite(il_audit_value(s.audit, "line.mean")));
    ck_assert(isnan(il_audit_value(s.audit, "fresh.linear.auroc")));
    ck_assert(isnan(il_audit_value(s.audit, "line.refit.auroc")));
    ck_assert(isnan(il_audit_value(s.audit, "line.noise.cos")));
    ck_assert(isnan(il_audit_value(s.audit, "line.episode.auroc"))); /* one class */
}
END_TEST

START_TEST(the_reference_is_other_episodes_under_its_own_name)
{
    run(false);
    ck_assert(isfinite(il_audit_value(s.audit, "line.ref.auroc")));
    ck_assert(il_audit_value(s.audit, "line.ref.mean") !=
              il_audit_value(s.audit, "line.mean"));
    ck_assert(isnan(il_audit_value(s.audit, "line.own.auroc"))); /* not the model's */
}
END_TEST

START_TEST(the_models_losses_are_means_by_their_weights)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    double sum = 0;

    rows_of(logits, bad, kind);
    run(false);
    for (int i = 0; i < ROWS; i++) {
        sum += i % POSITIONS < POSITIONS - 1 ? (logits[i] + 2.0) / 1.5 : 0;
    }
    is("seen", sum / (EPISODES * (POSITIONS - 1)));
}
END_TEST

static double at(const json_t *array, size_t i)
{
    return json_number_value(json_array_get(array, i));
}

START_TEST(profiles_are_means_by_position_and_by_what_an_episode_keeps)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    const json_t *profile;
    const json_t *by;

    rows_of(logits, bad, kind);
    run(false);
    profile = json_object_get(
        json_object_get(json_object_get(s.audit->json, "played"), "own"), "profile");
    by = json_object_get(profile, "by");
    ck_assert_uint_eq(json_object_size(by), 1); /* `bad` changes within episodes */
    for (int part = 0; part < 3; part++) {
        const json_t *p = part == 2 ? json_object_get(profile, "all")
                                    : json_object_get(json_object_get(by, "kind"),
                                                      part == 1 ? "1" : "0");
        const json_t *truth = json_object_get(json_object_get(p, "fields"), "bad");
        const json_t *reading = json_object_get(json_object_get(p, "readings"), "line");

        for (int t = 0; t < POSITIONS; t++) {
            double sums[2] = {0, 0};
            double n = 0;

            for (int e = 0; e < EPISODES; e++) {
                int i = e * POSITIONS + t;

                if (part == 2 || kind[i] == part) {
                    sums[0] += bad[i];
                    sums[1] += 1 / (1 + exp(-(double)logits[i]));
                    n += 1;
                }
            }
            ck_assert_double_eq_tol(at(truth, (size_t)t), sums[0] / n, 1e-9);
            ck_assert_double_eq_tol(at(reading, (size_t)t), sums[1] / n, 1e-6);
        }
    }
}
END_TEST

START_TEST(histograms_hold_every_row_by_class)
{
    static float logits[ROWS];
    static uint8_t bad[ROWS];
    static uint8_t kind[ROWS];
    const json_t *h;
    double sums[2] = {0, 0};
    int positives = 0;

    rows_of(logits, bad, kind);
    run(false);
    h = json_object_get(
        json_object_get(
            json_object_get(json_object_get(s.audit->json, "played"), "own"),
            "histograms"),
        "line");
    for (size_t b = 0; b < json_array_size(json_object_get(h, "positive")); b++) {
        sums[0] += at(json_object_get(h, "negative"), b);
        sums[1] += at(json_object_get(h, "positive"), b);
    }
    for (int i = 0; i < ROWS; i++) {
        positives += bad[i];
    }
    ck_assert_double_eq(sums[1], positives);
    ck_assert_double_eq(sums[0], ROWS - positives);
}
END_TEST

START_TEST(episodes_that_fitted_a_detector_cannot_judge_it)
{
    il_audited judged = {.now = &s.line};
    il_audit_input in = {.registry = s.registry,
                         .spec = &s.spec,
                         .model = &s.model,
                         .values = s.values,
                         .environment = &s.environment,
                         .detectors = &judged,
                         .detector_count = 1,
                         .blas = s.blas,
                         .pool = s.pool,
                         .seed = 11};
    il_rollout key = {.environment = &s.environment, .seed = 11, .draw = IL_DRAW_JUDGE};
    int64_t id = il_rollout_id(&key, 7);

    s.spec.against = NULL;
    s.line.fit_ids = (il_documents){1, &id};
    ck_assert_int_eq(il_audit_run(&s.audit, &in, &s.err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(s.err.message, "would judge this detector"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("played");
    TCase *tc = tcase_create("played");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_number_is_what_counting_the_episodes_gives);
    tcase_add_test(tc, an_episode_alarms_by_its_loudest_position);
    tcase_add_test(tc, precision_is_for_the_prevalence_that_the_audit_names);
    tcase_add_test(tc, parts_state_what_they_took_outside_of_what_they_found);
    tcase_add_test(tc, a_mask_of_the_audits_own_judges_its_positions_alone);
    tcase_add_test(tc, a_fresh_reader_is_judged_on_the_other_half);
    tcase_add_test(tc, two_refits_are_judged_on_what_neither_saw);
    tcase_add_test(tc, one_episode_leaves_out_what_takes_more);
    tcase_add_test(tc, the_reference_is_other_episodes_under_its_own_name);
    tcase_add_test(tc, the_models_losses_are_means_by_their_weights);
    tcase_add_test(tc, profiles_are_means_by_position_and_by_what_an_episode_keeps);
    tcase_add_test(tc, histograms_hold_every_row_by_class);
    tcase_add_test(tc, episodes_that_fitted_a_detector_cannot_judge_it);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
