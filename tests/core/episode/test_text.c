/* Episodes of text, played by a model whose logits are easy to say: what it is shown,
 * what is drawn, and that an episode depends on its key and number alone. */
#include "episode/episodes.h"
#include "pipeline/batch.h"
#include "pipeline/fields.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { V = 6, PAD = 4, END = 5, PROMPT_MAX = 4, ANSWER_MAX = 5, L = 9 };

/* ---- an environment: prompts of 1 to 4 tokens ----------------------------------- */

static const il_named kinds[] = {{"plain", ""}, {"same", "the same draws"}};
static const il_field extra[] = {{"score", IL_FIELD_REWARD, "1 for each token drawn"}};
static int32_t fault_length; /* 0: none; else what `prompt` says it wrote */
static int32_t fault_token;

static const il_named *env_prompts(const void *self, int32_t *count)
{
    (void)self;
    *count = 2;
    return kinds;
}

static int32_t env_prompt(const void *self, int32_t kind, il_rng *rng, int32_t *tokens)
{
    const int32_t length = 1 + (int32_t)il_rng_below(rng, PROMPT_MAX);

    (void)self;
    (void)kind;
    for (int32_t t = 0; t < length; t++) {
        tokens[t] = (int32_t)il_rng_below(rng, 4);
    }
    tokens[0] += fault_token;
    return fault_length != 0 ? fault_length : length;
}

static void env_allowed(const void *self, uint8_t *allowed)
{
    (void)self;
    for (int k = 0; k < V; k++) {
        allowed[k] = k != PAD && k != 3;
    }
}

static void env_judge(const void *self, int32_t kind, il_batch *batch)
{
    const int64_t rows = il_batch_rows(batch);
    float *score = il_batch_add(batch, "score", IL_F32, IL_SHAPE(rows, L));
    const int32_t *lengths = il_i32(il_batch_find(batch, "lengths"));
    const int32_t *prompt = il_i32(il_batch_find(batch, "prompt"));

    (void)self;
    (void)kind;
    for (int64_t b = 0; b < rows; b++) {
        score[b * L + lengths[b] - 2] = (float)(lengths[b] - prompt[b]);
    }
}

static const il_field *env_fields(const void *self, int32_t *count)
{
    (void)self;
    *count = 1;
    return extra;
}

static void env_shape(const void *self, il_environment_shape *out)
{
    (void)self;
    *out = (il_environment_shape){.struct_size = sizeof *out,
                                  .vocabulary = V,
                                  .prompt_tokens = PROMPT_MAX,
                                  .max_tokens = ANSWER_MAX,
                                  .pad = PAD,
                                  .end = END};
}

static const il_environment_api env_api = {.struct_size = sizeof(il_environment_api),
                                           .form = IL_ENVIRONMENT_TEXT,
                                           .shape = env_shape,
                                           .fields = env_fields,
                                           .prompts = env_prompts,
                                           .prompt = env_prompt,
                                           .allowed = env_allowed,
                                           .judge = env_judge};
static const il_component env_component = {.struct_size = sizeof(il_component),
                                           .kind = IL_KIND_ENVIRONMENT,
                                           .name = "words",
                                           .api = &env_api};
static const il_offer env_offer = {.component = &env_component, .id = "test.words"};

/* ---- a model: its carry is how much a row's tokens came to ---------------------- */

typedef enum habit {
    HABIT_SUM,   /* says the sum of everything before, modulo 3 */
    HABIT_FIXED, /* always the same logits, the forbidden tokens being likeliest */
    HABIT_NAN    /* is at a loss once the text has five tokens */
} habit;

static habit model_habit;
static int64_t shown; /* positions of prompts of four tokens */
static const float fixed[V] = {0.5f, -1.0f, 1.0f, 9.0f, 9.0f, -2.0f};

static int64_t model_carry(const void *self, int64_t length)
{
    (void)self;
    ck_assert_int_eq(length, L);
    return 1;
}

static void model_step(const void *self, il_pass *pass, const il_batch *batch,
                       int64_t at, int64_t length, float *carry)
{
    const il_tensor *tokens = il_batch_find(batch, "tokens");
    const int64_t rows = il_batch_rows(batch);
    const int64_t count = il_width(tokens);
    float *logits = il_pass_alloc(pass, (size_t)(rows * count * V) * sizeof *logits);

    (void)self;
    shown += at < PROMPT_MAX ? rows * count : 0;
    ck_assert_int_le(at + count, length);
    ck_assert_ptr_null(il_batch_find(batch, "score"));
    ck_assert_ptr_null(il_batch_find(batch, "lengths"));
    for (int64_t i = 0; i < rows * count; i++) {
        carry[i / count] += (float)il_i32(tokens)[i];
        for (int k = 0; k < V; k++) {
            float x = fixed[k];

            if (model_habit == HABIT_SUM) {
                x = k == (int)carry[i / count] % 3 ? 0.0f : -INFINITY;
            } else if (model_habit == HABIT_NAN && at + i % count >= 4) {
                x = NAN;
            }
            logits[i * V + k] = x;
        }
    }
    il_output(pass, "logits", il_constant(pass, IL_SHAPE(rows, count, V), logits));
}

static const il_model_api model_api = {.struct_size = sizeof(il_model_api),
                                       .carry_width = model_carry,
                                       .step = model_step};
static const il_component model_component = {.struct_size = sizeof(il_component),
                                             .kind = IL_KIND_MODEL,
                                             .name = "sums",
                                             .api = &model_api};
static const il_offer model_offer = {.component = &model_component, .id = "test.sums"};
static const il_declared model_output = {.name = "logits", .width = V};

/* ---- the table ------------------------------------------------------------------ */

static il_arena *arena;
static il_pass *pass;
static il_instance environment;
static il_instance model;
static il_rollout rollout;
static il_error err;
static const float *const no_values[1];

static void setup(void)
{
    const il_blas *blas = NULL;

    fault_length = 0;
    fault_token = 0;
    model_habit = HABIT_FIXED;
    err = (il_error){.code = IL_OK};
    arena = il_arena_create(1 << 14);
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, 0, &err), IL_OK);
    environment = (il_instance){.offer = &env_offer, .label = "environment"};
    ck_assert_msg(il_environment_learn(&environment, arena, &err) == IL_OK, "%s",
                  err.message);
    model = (il_instance){.offer = &model_offer,
                          .label = "model",
                          .outputs = &model_output,
                          .output_count = 1};
    ck_assert_int_eq(il_store_create(&model.store, &err), IL_OK);
    rollout = (il_rollout){.environment = &environment,
                           .model = &model,
                           .values = no_values,
                           .policy = -1,
                           .group = 1,
                           .sampled_site = -1,
                           .seed = 5,
                           .depth = 2};
}

static void teardown(void)
{
    il_store_destroy(model.store);
    il_pass_destroy(pass);
    il_arena_destroy(arena);
}

static il_batch *play(const il_rollout *r, int64_t first, int64_t rows)
{
    il_batch *b = NULL;

    ck_assert_int_eq(il_batch_create(&b, &err), IL_OK);
    ck_assert_msg(il_rollout_fill(r, first, rows, pass, arena, b, &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    return b;
}

static const int32_t *ints(const il_batch *b, const char *name)
{
    ck_assert_ptr_nonnull(il_batch_find(b, name));
    return il_i32(il_batch_find(b, name));
}

static void same_rows(const il_batch *a, int64_t i, const il_batch *b, int64_t k)
{
    ck_assert_mem_eq(ints(a, "tokens") + i * L, ints(b, "tokens") + k * L,
                     L * sizeof(int32_t));
}

START_TEST(fields_agree_with_the_text)
{
    il_batch *b = play(&rollout, 0, 64);
    bool ended_early = false;

    for (int64_t i = 0; i < 64; i++) {
        const int32_t *tokens = ints(b, "tokens") + i * L;
        const int32_t prompt = ints(b, "prompt")[i];
        const int32_t length = ints(b, "lengths")[i];

        ck_assert(length > prompt && length <= prompt + ANSWER_MAX);
        ck_assert(length == prompt + ANSWER_MAX || tokens[length - 1] == END);
        ended_early = ended_early || length < prompt + ANSWER_MAX;
        for (int t = 0; t < L; t++) {
            const bool acted = t + 1 >= prompt && t + 1 < length;

            ck_assert_int_eq(ints(b, "action")[i * L + t], acted ? tokens[t + 1] : -1);
            ck_assert_int_eq(il_u8(il_batch_find(b, "acted"))[i * L + t], acted);
            ck_assert_float_eq(il_f32(il_batch_find(b, "moves"))[i * L + t],
                               acted ? 1.0f : 0.0f);
            ck_assert(t < length || tokens[t] == PAD);
            ck_assert(t < prompt || t >= length - 1 || tokens[t] != END);
        }
        ck_assert_float_eq(il_f32(il_batch_find(b, "score"))[i * L + length - 2],
                           (float)(length - prompt));
        ck_assert_int_eq(il_i64(il_batch_find(b, "episode"))[i],
                         il_rollout_id(&rollout, i));
    }
    ck_assert(ended_early);
    il_batch_destroy(b);
}
END_TEST

/* Prompts of four lengths stand in one batch; every drawn token is the sum of all
 * before it, so the model saw each of them once and in order. */
START_TEST(the_model_sees_every_token_once_whatever_the_prompts_lengths)
{
    il_batch *b;

    model_habit = HABIT_SUM;
    b = play(&rollout, 0, 32);
    for (int64_t i = 0; i < 32; i++) {
        const int32_t *tokens = ints(b, "tokens") + i * L;
        int32_t sum = 0;

        for (int t = 0; t < ints(b, "lengths")[i]; t++) {
            ck_assert(t < ints(b, "prompt")[i] || tokens[t] == sum % 3);
            sum += tokens[t];
        }
    }
    il_batch_destroy(b);
}
END_TEST

START_TEST(an_episode_does_not_depend_on_what_is_played_with_it)
{
    il_batch *all = play(&rollout, 0, 16);
    il_batch *some = play(&rollout, 9, 3);

    for (int64_t i = 0; i < 3; i++) {
        same_rows(all, 9 + i, some, i);
    }
    il_batch_destroy(all);
    il_batch_destroy(some);
}
END_TEST

START_TEST(a_group_shares_its_prompt_and_not_its_answers)
{
    il_batch *b;
    int differ = 0;

    rollout.group = 4;
    b = play(&rollout, 4, 32);
    for (int64_t i = 0; i < 32; i++) {
        const int64_t lead = i / 4 * 4;

        ck_assert_int_eq(ints(b, "prompt")[i], ints(b, "prompt")[lead]);
        ck_assert_mem_eq(ints(b, "tokens") + i * L, ints(b, "tokens") + lead * L,
                         (size_t)ints(b, "prompt")[i] * sizeof(int32_t));
        differ += memcmp(ints(b, "tokens") + i * L, ints(b, "tokens") + lead * L,
                         L * sizeof(int32_t)) != 0;
    }
    ck_assert_int_gt(differ, 16);
    il_batch_destroy(b);
}
END_TEST

/* Prompts of four tokens, of which the first, the first two, ... may be another's too:
 * the model is shown a beginning once, and every answer still follows from all of its
 * own prompt. */
START_TEST(prompts_that_begin_alike_are_one_until_they_part)
{
    const int64_t rows = 32;
    il_batch *b;

    model_habit = HABIT_SUM;
    fault_length = PROMPT_MAX;
    rollout.group = _i == 0 ? 1 : rows;
    shown = 0;
    b = play(&rollout, 0, rows);
    if (_i == 0) {
        int32_t firsts = 0;

        for (int64_t i = 0; i < rows; i++) {
            firsts |= 1 << ints(b, "tokens")[i * L];
        }
        ck_assert_int_eq(firsts, 15);
        /* four beginnings of one token; of the others not all rows are their own */
        ck_assert_int_ge(shown, 4 + 3 * 16);
        ck_assert_int_lt(shown, 4 + 3 * rows);
    } else {
        ck_assert_int_eq(shown, PROMPT_MAX);
    }
    for (int64_t i = 0; i < rows; i++) {
        const int32_t *tokens = ints(b, "tokens") + i * L;
        int32_t sum = 0;

        for (int t = 0; t < ints(b, "lengths")[i]; t++) {
            ck_assert(t < PROMPT_MAX || tokens[t] == sum % 3);
            sum += tokens[t];
        }
    }
    il_batch_destroy(b);
}
END_TEST

START_TEST(a_group_may_begin_before_the_rows_that_are_asked_for)
{
    il_batch *all;
    il_batch *some;

    rollout.group = 4;
    all = play(&rollout, 0, 12);
    some = play(&rollout, 3, 6);
    for (int64_t i = 0; i < 6; i++) {
        same_rows(all, 3 + i, some, i);
    }
    il_batch_destroy(all);
    il_batch_destroy(some);
}
END_TEST

START_TEST(another_kind_of_prompt_meets_the_same_luck)
{
    il_batch *plain = play(&rollout, 0, 8);
    il_batch *other;

    rollout.prompt = il_rollout_prompt(&environment, "same");
    ck_assert_int_eq(rollout.prompt, 1);
    other = play(&rollout, 0, 8);
    for (int64_t i = 0; i < 8; i++) {
        same_rows(plain, i, other, i);
    }
    il_batch_destroy(plain);
    il_batch_destroy(other);
}
END_TEST

/* Seed, depth, draw, lot and update each give other episodes. */
START_TEST(every_part_of_the_key_counts)
{
    il_batch *b = play(&rollout, 0, 8);
    il_rollout keys[5];

    for (int k = 0; k < 5; k++) {
        il_batch *other;

        keys[k] = rollout;
        keys[k].seed += k == 0;
        keys[k].depth += k == 1;
        keys[k].draw = k == 2 ? IL_DRAW_JUDGE : IL_DRAW_TRAIN;
        keys[k].lot += k == 3;
        keys[k].step += k == 4;
        other = play(&keys[k], 0, 8);
        ck_assert_msg(memcmp(ints(b, "tokens"), ints(other, "tokens"),
                             8 * L * sizeof(int32_t)) != 0,
                      "part %d", k);
        il_batch_destroy(other);
    }
    il_batch_destroy(b);
}
END_TEST

/* First tokens of 4000 answers against the softmax over what is allowed, within four
 * standard errors, though what is forbidden had nearly all of the softmax. */
START_TEST(tokens_are_drawn_from_the_softmax_over_those_allowed)
{
    const int64_t n = 4000;
    il_batch *b = play(&rollout, 0, n);
    double seen[V] = {0};
    double sum = 0;

    for (int k = 0; k < V; k++) {
        sum += k != 3 && k != PAD ? exp((double)fixed[k]) : 0;
    }
    for (int64_t i = 0; i < n; i++) {
        seen[ints(b, "tokens")[i * L + ints(b, "prompt")[i]]]++;
    }
    for (int k = 0; k < V; k++) {
        const double p = k != 3 && k != PAD ? exp((double)fixed[k]) / sum : 0;

        ck_assert_msg(fabs(seen[k] / (double)n - p) <=
                          4 * sqrt(p * (1 - p) / (double)n),
                      "token %d: %g of %g", k, seen[k] / (double)n, p);
    }
    il_batch_destroy(b);
}
END_TEST

/* ---- what goes wrong ------------------------------------------------------------ */

static void refused(il_status code, const char *word)
{
    il_batch *b = NULL;

    ck_assert_int_eq(il_batch_create(&b, &err), IL_OK);
    ck_assert_int_eq(il_rollout_fill(&rollout, 0, 8, pass, arena, b, &err), code);
    ck_assert_ptr_nonnull(strstr(err.where, "test.words"));
    ck_assert_msg(strstr(err.message, word) != NULL, "%s", err.message);
    il_batch_destroy(b);
}

START_TEST(logits_that_are_no_numbers_are_named_with_their_place)
{
    model_habit = HABIT_NAN;
    refused(IL_ERR_NUMERIC, "position 5");
}
END_TEST

START_TEST(a_prompt_too_long_is_named)
{
    fault_length = PROMPT_MAX + 1;
    refused(IL_ERR_INPUT, "a prompt of 5 tokens");
}
END_TEST

START_TEST(a_prompt_with_a_token_that_is_none_is_named)
{
    fault_token = V;
    refused(IL_ERR_INPUT, "in its prompt");
}
END_TEST

START_TEST(a_kind_of_prompt_that_is_not_there_is_refused)
{
    rollout.prompt = 2;
    refused(IL_ERR_INPUT, "kind 2");
    ck_assert_int_eq(il_rollout_prompt(&environment, "none"), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tests = tcase_create("text");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, fields_agree_with_the_text);
    tcase_add_test(tests, the_model_sees_every_token_once_whatever_the_prompts_lengths);
    tcase_add_test(tests, an_episode_does_not_depend_on_what_is_played_with_it);
    tcase_add_test(tests, a_group_shares_its_prompt_and_not_its_answers);
    tcase_add_loop_test(tests, prompts_that_begin_alike_are_one_until_they_part, 0, 2);
    tcase_add_test(tests, a_group_may_begin_before_the_rows_that_are_asked_for);
    tcase_add_test(tests, another_kind_of_prompt_meets_the_same_luck);
    tcase_add_test(tests, every_part_of_the_key_counts);
    tcase_add_test(tests, tokens_are_drawn_from_the_softmax_over_those_allowed);
    tcase_add_test(tests, logits_that_are_no_numbers_are_named_with_their_place);
    tcase_add_test(tests, a_prompt_too_long_is_named);
    tcase_add_test(tests, a_prompt_with_a_token_that_is_none_is_named);
    tcase_add_test(tests, a_kind_of_prompt_that_is_not_there_is_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
