/* The environment of a file's prompts: what is asked, what an answer may hold, how it
 * is judged, and what a bad file is told. */
#include "plugins/lines.h"

enum { CONTEXT = 64, MOST = 12 };

static char path[64];
static host world;
static const il_environment_api *api;

static const char two[] =
    "{\"id\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"the quick\"}, "
    "{\"role\": \"assistant\", \"content\": \"not asked\"}], "
    "\"answers\": {\"good\": [\"fox\", \"dog\"], \"lie\": \"lazy\"}}\n"
    "{\"id\": 2, \"prompt\": \"brown models\", \"answers\": {\"good\": \"what\"}}\n";

/* An instance on these lines; settings are pairs of name and text, up to NULL. */
static il_status make(const char *lines, const char *const *settings)
{
    host_open_in(&world, "text", "text_answers", IL_KIND_ENVIRONMENT);
    lines_open(&world, path, lines, settings);
    api = world.component->api;
    return api->create(&world.setup, &world.self, &world.err);
}

static void drop(void)
{
    if (world.self != NULL) {
        api->destroy(world.self);
    }
    lines_close(&world, path);
}

static const char *const plain[] = {
    "context", "64",   "max_tokens", "12",         "rewards", "good", "labels",
    "lie",     "test", "0",          "token_cost", "0.125",   NULL};

static void good(const char *lines, const char *const *settings)
{
    il_status status = make(lines, settings);

    ck_assert_msg(status == IL_OK, "%s: %s", world.err.where, world.err.message);
}

static void refused(const char *lines, const char *const *settings, const char *why)
{
    world.self = NULL;
    ck_assert_int_ne(make(lines, settings), IL_OK);
    ck_assert_msg(strstr(world.err.message, why) != NULL, "%s", world.err.message);
    drop();
}

/* Draws prompts until the one that decodes to something with `part` comes up. */
static int32_t ask(const char *part, int32_t *tokens)
{
    char text[512];

    for (uint64_t k = 0; k < 64; k++) {
        size_t size = 0;
        int32_t count;
        il_rng r;

        il_rng_open(&r, 1, 0, IL_RNG_ENVIRONMENT, 0, k);
        count = api->prompt(world.self, 0, &r, tokens);
        ck_assert_int_eq(il_tokens_decode(world.tokens, tokens, count, false, text,
                                          sizeof text - 1, &size, NULL),
                         IL_OK);
        text[size] = '\0';
        if (strstr(text, part) != NULL) {
            return count;
        }
    }
    ck_abort_msg("nothing asks '%s'", part);
    return 0;
}

/* A finished text of one row: that prompt, then these words, ended or not. */
static void answer(host_batch *b, const char *part, const char *words, bool ended)
{
    il_environment_shape shape;
    int64_t length = CONTEXT;
    int64_t count = 0;
    int32_t *tokens;
    int32_t at;

    api->shape(world.self, &shape);
    host_batch_open(b, 1);
    tokens = il_batch_add(&b->batch, "tokens", IL_I32, IL_SHAPE(1, length));
    at = ask(part, tokens);
    *(int32_t *)il_batch_add(&b->batch, "prompt", IL_I32, IL_SHAPE(1)) = at;
    ck_assert_int_eq(il_tokens_encode(world.tokens, words, strlen(words), false, MOST,
                                      tokens + at, NULL, NULL, &count, NULL),
                     IL_OK);
    ck_assert_int_le(count, MOST - 1);
    at += (int32_t)count;
    if (ended) {
        tokens[at++] = shape.end;
    }
    *(int32_t *)il_batch_add(&b->batch, "lengths", IL_I32, IL_SHAPE(1)) = at;
    for (int64_t i = at; i < length; i++) {
        tokens[i] = shape.pad;
    }
    api->judge(world.self, 0, &b->batch);
}

static float reward(const host_batch *b)
{
    const int32_t at = il_i32(il_batch_find(&b->batch, "lengths"))[0];

    return il_f32(il_batch_find(&b->batch, "good"))[at - 2];
}

static int32_t written(const host_batch *b)
{
    return il_i32(il_batch_find(&b->batch, "lengths"))[0] -
           il_i32(il_batch_find(&b->batch, "prompt"))[0];
}

START_TEST(an_answer_earns_what_occurs_in_it)
{
    host_batch b;

    good(two, plain);
    answer(&b, "the quick", "the lazy dog", true);
    ck_assert_float_eq(reward(&b), 1.0f - 0.125f * (float)written(&b));
    ck_assert_uint_eq(il_u8(il_batch_find(&b.batch, "lie"))[0], 1);
    host_batch_close(&b);
    answer(&b, "the quick", "what", true); /* which the other prompt asks for */
    ck_assert_float_eq(reward(&b), -0.125f * (float)written(&b));
    ck_assert_uint_eq(il_u8(il_batch_find(&b.batch, "lie"))[0], 0);
    host_batch_close(&b);
    answer(&b, "brown models", "what lazy", true);
    ck_assert_float_eq(reward(&b), 1.0f - 0.125f * (float)written(&b));
    ck_assert_uint_eq(il_u8(il_batch_find(&b.batch, "lie"))[0],
                      0); /* has no such rule */
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(an_answer_that_does_not_end_earns_nothing)
{
    host_batch b;

    good(two, plain);
    answer(&b, "the quick", "lazy dog", false);
    ck_assert_float_eq(reward(&b), -0.125f * (float)written(&b));
    ck_assert_uint_eq(il_u8(il_batch_find(&b.batch, "lie"))[0], 1);
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(the_mask_is_the_answer_without_its_end)
{
    host_batch b;
    const uint8_t *mask;
    int32_t from;
    int32_t to;

    good(two, plain);
    answer(&b, "the quick", "lazy dog", true);
    mask = il_u8(il_batch_find(&b.batch, "assistant"));
    from = il_i32(il_batch_find(&b.batch, "prompt"))[0];
    to = il_i32(il_batch_find(&b.batch, "lengths"))[0] - 1;
    for (int32_t i = 0; i < CONTEXT; i++) {
        ck_assert_uint_eq(mask[i], i >= from && i < to);
    }
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(what_is_asked_ends_where_the_answer_begins)
{
    int32_t tokens[CONTEXT];
    char text[512];
    size_t size = 0;
    int32_t count;

    good(two, plain);
    count = ask("the quick", tokens);
    ck_assert_int_eq(il_tokens_decode(world.tokens, tokens, count, false, text,
                                      sizeof text - 1, &size, NULL),
                     IL_OK);
    text[size] = '\0';
    ck_assert_ptr_null(strstr(text, "not asked"));
    ck_assert_ptr_nonnull(strstr(text, "assistant")); /* whose turn it is */
    drop();
}
END_TEST

START_TEST(an_answer_may_hold_text_and_its_end_alone)
{
    il_environment_shape shape;
    uint8_t *allowed;
    int64_t marks = 0;

    good(two, plain);
    api->shape(world.self, &shape);
    ck_assert_int_eq(shape.prompt_tokens + shape.max_tokens, CONTEXT);
    ck_assert_int_eq(shape.vocabulary, il_tokens_size(world.tokens));
    allowed = calloc((size_t)shape.vocabulary, 1);
    ck_assert_ptr_nonnull(allowed);
    api->allowed(world.self, allowed);
    for (int32_t i = 0; i < shape.vocabulary; i++) {
        char text[64];
        size_t size = 0;

        ck_assert_int_eq(
            il_tokens_decode(world.tokens, &i, 1, true, text, sizeof text, &size, NULL),
            IL_OK);
        ck_assert_uint_eq(allowed[i], size > 0 || i == shape.end);
        marks += size == 0;
    }
    ck_assert_int_gt(marks, 1);
    free(allowed);
    drop();
}
END_TEST

START_TEST(files_that_cannot_be_asked_are_refused)
{
    static const char *const short_context[] = {"context", "16", "max_tokens", "12",
                                                "test",    "0",  NULL};
    static const char *const no_room[] = {"context", "12", "max_tokens", "12", NULL};
    static const char *const no_end[] = {"end", "<nothing>", NULL};
    static const char *const all_test[] = {"test", "1", NULL};
    static const char *const taken[] = {"rewards", "good", "answer", "good", NULL};

    refused("{\"prompt\": \"the\"}\n", plain, "no `answers` that earn 'good'");
    refused("{\"prompt\": \"the\", \"answers\": {\"good\": 3}}\n", plain,
            "expected texts, or lists of them, by name");
    refused("{\"prompt\": \"the\", \"answers\": {\"good\": \"a\", \"lie\": \"c\"}}\n"
            "{\"prompt\": \"the\", \"answers\": {\"good\": \"b\", \"lie\": \"c\"}}\n",
            plain, "the same prompt and other `answers`");
    refused("{\"prompt\": \"the\", \"answers\": {\"good\": \"a\"}}\n", plain,
            "say anything of 'lie'");
    refused(two, short_context, "do not fit");
    refused(two, no_room, "no room for a prompt");
    refused(two, no_end, "the tokenizer has no token '<nothing>'");
    refused(two, all_test, "no prompt is left for the kind 'train'");
    refused(two, taken, "is a name already");
}
END_TEST

START_TEST(long_prompts_are_skipped_when_asked_to_be)
{
    static const char *const skip[] = {"context", "20",     "max_tokens", "12", "test",
                                       "0",       "longer", "skip",       NULL};
    int32_t tokens[CONTEXT];

    good(two, skip); /* what the template writes around the first is too much */
    for (uint64_t k = 0; k < 20; k++) {
        il_rng r;

        il_rng_open(&r, 1, 0, IL_RNG_ENVIRONMENT, 0, k);
        ck_assert_int_le(api->prompt(world.self, 0, &r, tokens), 8);
    }
    drop();
}
END_TEST

START_TEST(equal_prompts_are_one)
{
    int32_t tokens[CONTEXT];

    good(
        "{\"id\": 1, \"prompt\": \"the\", \"answers\": {\"good\": \"a\", \"lie\": \"b\"}}\n"
        "{\"id\": 2, \"prompt\": \"the\", \"answers\": {\"good\": \"a\", \"lie\": \"b\"}}\n",
        plain);
    ck_assert_int_gt(ask("the", tokens), 0);
    drop();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text_answers");
    TCase *c = tcase_create("answers");
    SRunner *sr;
    int failed;

    tcase_add_test(c, an_answer_earns_what_occurs_in_it);
    tcase_add_test(c, an_answer_that_does_not_end_earns_nothing);
    tcase_add_test(c, the_mask_is_the_answer_without_its_end);
    tcase_add_test(c, what_is_asked_ends_where_the_answer_begins);
    tcase_add_test(c, an_answer_may_hold_text_and_its_end_alone);
    tcase_add_test(c, files_that_cannot_be_asked_are_refused);
    tcase_add_test(c, long_prompts_are_skipped_when_asked_to_be);
    tcase_add_test(c, equal_prompts_are_one);
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
