/* The bundled model on the bundled task: what it draws step by step, out of what it
 * carries, is what its whole forward pass over the finished text would have drawn. */
#include "episode/episodes_private.h"
#include "pipeline/batch.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { ROWS = 48, GROUP = 6, L = 19, V = 22 };

/* What two orders of summing the same products may differ by, in a log-probability. */
static const double tolerance = 1e-5;

static il_log *notes;
static il_registry *registry;
static il_arena *arena;
static il_instance *environment;
static il_instance *model;
static const float **values;
static il_pass *pass;
static il_error err;

/* Edits that reach what is cached: the first block's values, and what passes from block
 * to block, which the later keys and values are made of. */
static il_tensor *bend(const void *user, il_pass *p, il_tensor *x, const il_edit_at *at)
{
    (void)user;
    return il_affine(p, x, 1.0f - 1.5f * at->strength, 0.5f);
}

static il_site_edit bends[2] = {
    {.tokens = "all", .marker = -1, .apply = bend},
    {.tokens = "all", .marker = -1, .apply = bend},
};
static const float strengths[2] = {1.0f, 0.75f};
static const il_site_edits edits = {2, bends, strengths};

static il_instance *make(il_kind kind, const char *use, il_facts *facts)
{
    il_problems problems = {.arena = arena};
    const il_component_spec spec = {.use = use, .range = ""};
    const il_instance_input in = {
        .label = use, .seed = 3, .facts = facts, .log = notes};
    il_instance *out = NULL;

    ck_assert_msg(
        il_instance_create(&out, registry, kind, &spec, &in, &problems, &err) == IL_OK,
        "%s: %s", err.where, err.message);
    return out;
}

/* Weights ten times as wide as a fresh model's, so that its logits differ. */
static void setup(void)
{
    char folder[512];
    const il_blas *blas = NULL;
    il_facts facts = {.count = 0};

    err = (il_error){.code = IL_OK};
    notes = il_log_create();
    arena = il_arena_create(1 << 14);
    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_int_eq(il_registry_create(&registry, notes, &err), IL_OK);
    ck_assert_msg(il_registry_add_folder(registry, folder, true, &err) == IL_OK, "%s",
                  err.message);
    environment = make(IL_KIND_ENVIRONMENT, "little_atlas", &facts);
    model = make(IL_KIND_MODEL, "gpt", &facts);
    values = calloc(model->store->count, sizeof *values);
    for (size_t i = 0; i < model->store->count; i++) {
        const il_stored *s = &model->store->items[i];

        for (int64_t k = 0; s->ndim == 2 && k < s->count; k++) {
            model->store->values[s->offset + k] *= 10.0f;
        }
        values[i] = model->store->values + s->offset;
    }
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, 0, &err), IL_OK);
    bends[0].site = (int32_t)il_instance_site(model, "blocks.0.attn.hook_v");
    bends[1].site = (int32_t)il_instance_site(model, "blocks.1.hook_resid_post");
}

static void teardown(void)
{
    il_pass_destroy(pass);
    free(values);
    il_instance_destroy(model);
    il_instance_destroy(environment);
    il_registry_destroy(registry);
    il_arena_destroy(arena);
    il_log_destroy(notes);
}

static il_rollout rollout_make(void)
{
    return (il_rollout){.environment = environment,
                        .model = model,
                        .values = values,
                        .policy = -1,
                        .group = GROUP,
                        .sampled_site = -1,
                        .seed = 11};
}

/* Runs the model's step over the finished text, position by position, and its forward
 * over all of it; (B,L,V) each. */
static void both_ways(const il_rollout *r, const il_batch *text, float *stepped,
                      float *whole)
{
    const il_model_api *api = il_instance_model(model);
    const il_scope scope = {"model", model->store, values, -1};
    float *carry =
        calloc(ROWS * (size_t)api->carry_width(model->self, L), sizeof *carry);
    il_batch *one = NULL;

    ck_assert_int_eq(il_batch_create(&one, &err), IL_OK);
    il_pass_sites_clear(pass);
    ck_assert_int_eq(il_pass_edit_all(pass, r->edits, &err), IL_OK);
    for (int64_t t = 0; t < L; t++) {
        int32_t *tokens;

        il_batch_reset(one, ROWS);
        tokens = il_batch_add(one, "tokens", IL_I32, IL_SHAPE(ROWS, 1));
        for (int64_t b = 0; b < ROWS; b++) {
            tokens[b] = il_i32(il_batch_find(text, "tokens"))[b * L + t];
        }
        il_pass_begin(pass);
        il_pass_enter(pass, &scope);
        api->step(model->self, pass, one, t, L, carry);
        il_pass_leave(pass);
        ck_assert_int_eq(il_pass_status(pass, &err), IL_OK);
        for (int64_t b = 0; b < ROWS; b++) {
            memcpy(stepped + (b * L + t) * V,
                   il_f32(il_pass_output(pass, "logits")) + b * V, V * sizeof(float));
        }
    }
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    api->forward(model->self, pass, text);
    il_pass_leave(pass);
    ck_assert_int_eq(il_pass_status(pass, &err), IL_OK);
    memcpy(whole, il_f32(il_pass_output(pass, "logits")), sizeof(float) * ROWS * L * V);
    il_batch_destroy(one);
    free(carry);
}

/* log softmax over what may be drawn, at one token. */
static double log_probability(const float *logits, const uint8_t *allowed,
                              int32_t token)
{
    double sum = 0;

    for (int k = 0; k < V; k++) {
        sum += allowed[k] ? exp((double)logits[k]) : 0;
    }
    return (double)logits[token] - log(sum);
}

/* Tried as it is, and under edits. */
START_TEST(log_probabilities_from_the_cache_are_those_of_the_whole)
{
    il_rollout r = rollout_make();
    float *stepped = calloc(2 * ROWS * L * V, sizeof *stepped);
    float *whole = stepped + ROWS * L * V;
    uint8_t allowed[V];
    double worst = 0;
    il_batch *text = NULL;

    r.edits = _i == 1 ? &edits : NULL;
    ck_assert_int_eq(il_batch_create(&text, &err), IL_OK);
    ck_assert_msg(il_rollout_fill(&r, 0, ROWS, pass, arena, text, &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    il_instance_environment(environment)->allowed(environment->self, allowed);
    both_ways(&r, text, stepped, whole);
    for (int64_t i = 0; i < ROWS * L; i++) {
        const int32_t action = il_i32(il_batch_find(text, "action"))[i];

        if (action >= 0) {
            worst = fmax(worst, fabs(log_probability(stepped + i * V, allowed, action) -
                                     log_probability(whole + i * V, allowed, action)));
        }
    }
    ck_assert_msg(worst > 0 && worst <= tolerance, "off by %g", worst);
    il_batch_destroy(text);
    free(stepped);
}
END_TEST

/* The token that the luck of an episode picks by the whole pass's logits. */
static int32_t pick(const float *logits, const uint8_t *allowed, il_rng *luck)
{
    const uint64_t high = il_rng_u32(luck) >> 5;
    const uint64_t low = il_rng_u32(luck) >> 6;
    double left = (double)(high << 26 | low) * 0x1p-53;

    for (int32_t k = 0; k < V; k++) {
        left -= allowed[k] ? exp(log_probability(logits, allowed, k)) : 0;
        if (left < 0) {
            return k;
        }
    }
    return -1;
}

START_TEST(what_is_drawn_from_the_cache_is_what_the_whole_would_draw)
{
    il_rollout r = rollout_make();
    float *stepped = calloc(2 * ROWS * L * V, sizeof *stepped);
    float *whole = stepped + ROWS * L * V;
    uint8_t allowed[V];
    il_batch *text = NULL;

    r.edits = _i == 1 ? &edits : NULL;
    ck_assert_int_eq(il_batch_create(&text, &err), IL_OK);
    ck_assert_msg(il_rollout_fill(&r, 6, ROWS, pass, arena, text, &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    il_instance_environment(environment)->allowed(environment->self, allowed);
    both_ways(&r, text, stepped, whole);
    for (int64_t b = 0; b < ROWS; b++) {
        il_rng luck;

        il__rollout_luck(&r, IL__LUCK_POLICY, 6 + b, &luck);
        for (int64_t i = b * L; i < (b + 1) * L; i++) {
            const int32_t action = il_i32(il_batch_find(text, "action"))[i];

            if (action >= 0) {
                ck_assert_int_eq(pick(whole + i * V, allowed, &luck), action);
            }
        }
    }
    il_batch_destroy(text);
    free(stepped);
}
END_TEST

START_TEST(an_edit_of_strength_zero_draws_the_same_and_another_does_not)
{
    static const float none[2] = {0, 0};
    static const il_site_edits idle = {2, bends, none};
    const il_site_edits *const tried[] = {NULL, &idle, &edits};
    il_rollout r = rollout_make();
    il_batch *text[3] = {NULL};

    for (int i = 0; i < 3; i++) {
        r.edits = tried[i];
        ck_assert_int_eq(il_batch_create(&text[i], &err), IL_OK);
        ck_assert_int_eq(il_rollout_fill(&r, 0, ROWS, pass, arena, text[i], &err),
                         IL_OK);
    }
    ck_assert_ptr_null(il_batch_difference(text[0], text[1]));
    ck_assert_ptr_nonnull(il_batch_difference(text[0], text[2]));
    for (int i = 0; i < 3; i++) {
        il_batch_destroy(text[i]);
    }
}
END_TEST

START_TEST(an_edit_that_waits_for_a_mask_is_refused_while_an_answer_is_written)
{
    static const il_site_edit waits = {
        .site = 2, .tokens = "language", .marker = -1, .apply = bend};
    static const il_site_edits wait = {1, &waits, strengths};
    il_rollout r = rollout_make();
    il_batch *text = NULL;

    r.edits = &wait;
    ck_assert_int_eq(il_batch_create(&text, &err), IL_OK);
    ck_assert_int_eq(il_rollout_fill(&r, 0, ROWS, pass, arena, text, &err),
                     IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, "mask 'language', which is not known") != NULL,
                  "%s", err.message);
    il_batch_destroy(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text_cache");
    TCase *tests = tcase_create("text_cache");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, log_probabilities_from_the_cache_are_those_of_the_whole,
                        0, 2);
    tcase_add_loop_test(
        tests, what_is_drawn_from_the_cache_is_what_the_whole_would_draw, 0, 2);
    tcase_add_test(tests, an_edit_of_strength_zero_draws_the_same_and_another_does_not);
    tcase_add_test(tests,
                   an_edit_that_waits_for_a_mask_is_refused_while_an_answer_is_written);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
