/* The dataset of text: packing, splits, roles, labels by span, and what a bad file is
 * told. */
#include "plugins/lines.h"

static char path[64];
static host data;
static const il_dataset_api *api;

/* An instance on these lines; settings are pairs of name and text, up to NULL. */
static il_status make(const char *lines, const char *const *settings)
{
    host_open(&data, "text", IL_KIND_DATASET);
    lines_open(&data, path, lines, settings);
    api = data.component->api;
    return api->create(&data.setup, &data.self, &data.err);
}

static void drop(void)
{
    if (data.self != NULL) {
        api->destroy(data.self);
    }
    lines_close(&data, path);
}

static void good(const char *lines, const char *const *settings)
{
    il_status status = make(lines, settings);

    ck_assert_msg(status == IL_OK, "%s: %s", data.err.where, data.err.message);
}

static void get(host_batch *b, int32_t split, int64_t index, int64_t rows)
{
    host_batch_open(b, rows);
    ck_assert_int_eq(api->get(data.self, split, index, rows, &b->batch, &data.err),
                     IL_OK);
}

static const uint8_t *bytes(const host_batch *b, const char *name)
{
    return il_u8(il_batch_find(&b->batch, name));
}

/* The text of the tokens of row 0 where a mask holds. */
static const char *masked(const host_batch *b, const char *mask, int64_t context)
{
    static char out[512];
    const int32_t *tokens = il_i32(il_batch_find(&b->batch, "tokens"));
    const uint8_t *m = bytes(b, mask);
    size_t length = 0;

    for (int64_t i = 0; i < context; i++) {
        size_t size = 0;

        if (m[i]) {
            ck_assert_int_eq(il_tokens_decode(data.tokens, &tokens[i], 1, false,
                                              out + length, sizeof out - length, &size,
                                              NULL),
                             IL_OK);
            length += size;
        }
    }
    out[length] = '\0';
    return out;
}

START_TEST(rows_hold_documents_one_behind_the_other)
{
    static const char *const set[] = {
        "val",   "0",   "test",          "0",       "context", "8", "format",
        "lines", "end", "<|endoftext|>", "special", "false",   NULL};
    host_batch b;
    int32_t count;
    int64_t rows;
    int64_t ends = 0;
    int64_t begins = 0;
    int32_t end;

    good("the quick brown fox\nx\nmodels learn what detectors read\n", set);
    end = il_tokens_find(data.tokens, "<|endoftext|>");
    rows = api->splits(data.self, &count)[0].rows;
    ck_assert_int_eq(api->splits(data.self, &count)[1].rows, 0);
    ck_assert_int_gt(rows, 1);
    get(&b, 0, 0, rows);
    for (int64_t i = 0; i < rows * 8; i++) {
        int32_t token = il_i32(il_batch_find(&b.batch, "tokens"))[i];
        int32_t next = il_i32(il_batch_find(&b.batch, "next"))[i];
        float weight = il_f32(il_batch_find(&b.batch, "weights"))[i];

        ends += token == end && ends < 3;
        begins += bytes(&b, "begins")[i];
        /* Nothing is to be learned behind a document's end, everything within it. */
        ck_assert_int_eq(next == -1, token == end);
        ck_assert(weight == (next == -1 ? 0.0f : 1.0f));
        if (next >= 0 && i + 1 < rows * 8) {
            ck_assert_int_eq(il_i32(il_batch_find(&b.batch, "tokens"))[i + 1], next);
        }
    }
    ck_assert_int_eq(begins, 3);
    ck_assert_int_eq(ends, 3);
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(unpacked_documents_begin_their_own_rows)
{
    static const char *const set[] = {"val", "0",      "test",  "0", "context",
                                      "64",  "packed", "false", NULL};
    host_batch b;
    int32_t count;

    good("{\"text\": \"the quick\"}\n{\"text\": \"brown\"}\n", set);
    ck_assert_int_eq(api->splits(data.self, &count)[0].rows, 2);
    get(&b, 0, 0, 2);
    ck_assert_uint_eq(bytes(&b, "begins")[0], 1);
    ck_assert_uint_eq(bytes(&b, "begins")[64], 1);
    ck_assert_str_eq(masked(&b, "text", 64), "the quick");
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(labels_hold_on_the_tokens_of_their_spans)
{
    static const char *const set[] = {"val", "0",      "test",     "0", "context",
                                      "64",  "labels", "lie, odd", NULL};
    host_batch b;

    /* Characters, not bytes: before the span stand two of several bytes each. */
    good(
        "{\"text\": \"\\u65e5\\ud83d\\ude42 says xyz now\", \"labels\": {\"odd\": true}, "
        "\"spans\": [{\"start\": 8, \"end\": 11, \"label\": \"lie\"}]}\n",
        set);
    get(&b, 0, 0, 1);
    ck_assert_ptr_nonnull(strstr(masked(&b, "lie", 64), "xyz"));
    ck_assert_ptr_null(strstr(masked(&b, "lie", 64), "now"));
    ck_assert_ptr_null(strstr(masked(&b, "lie", 64), "says"));
    ck_assert_mem_eq(bytes(&b, "lie"), bytes(&b, "spans"), 64);
    ck_assert_mem_eq(bytes(&b, "odd"), bytes(&b, "text"), 64);
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(spans_may_come_in_any_order)
{
    static const char *const set[] = {"val", "0", "test", "0", "context", "64", NULL};
    host_batch b;

    good("{\"text\": \"\\u65e5\\ud83d\\ude42 says xyz now \\u2602q end\", "
         "\"spans\": [{\"start\": 19, \"end\": 22}, {\"start\": 8, \"end\": 11}, "
         "{\"start\": 17, \"end\": 18}, {\"start\": 22, \"end\": 22}]}\n",
         set);
    get(&b, 0, 0, 1);
    ck_assert_ptr_nonnull(strstr(masked(&b, "spans", 64), "xyz"));
    ck_assert_ptr_nonnull(strstr(masked(&b, "spans", 64), "end"));
    ck_assert_ptr_nonnull(strstr(masked(&b, "spans", 64), "q"));
    ck_assert_ptr_null(strstr(masked(&b, "spans", 64), "now"));
    ck_assert_ptr_null(strstr(masked(&b, "spans", 64), "says"));
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(only_the_turns_of_learned_roles_are_learned)
{
    static const char *const set[] = {
        "val",       "0",     "test", "0",      "context", "64", "learn",
        "assistant", "roles", "user", "labels", "lie",     NULL};
    host_batch b;
    const int32_t *next;
    const float *weights;
    int32_t end;
    bool ended = false;

    good("{\"messages\": [{\"role\": \"user\", \"content\": \"who\"}, {\"role\": "
         "\"assistant\", \"content\": \"me\", \"labels\": {\"lie\": 1}}]}\n",
         set);
    get(&b, 0, 0, 1);
    ck_assert_str_eq(masked(&b, "user", 64), "who");
    ck_assert_str_eq(masked(&b, "assistant", 64), "me");
    ck_assert_str_eq(masked(&b, "lie", 64), "me");
    next = il_i32(il_batch_find(&b.batch, "next"));
    weights = il_f32(il_batch_find(&b.batch, "weights"));
    end = il_tokens_find(data.tokens, "<|im_end|>");
    for (int i = 0; i + 1 < 64; i++) {
        if (weights[i] > 0.0f) {
            bool own = bytes(&b, "assistant")[i + 1];

            ck_assert(own || next[i] == end);
            ended = ended || !own;
        } else {
            ck_assert(next[i] == -1 || !bytes(&b, "assistant")[i + 1]);
        }
    }
    ck_assert(ended);
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(a_document_stays_in_its_split)
{
    static const char *const set[] = {"val",    "0.5",   "test", "0",
                                      "packed", "false", NULL};
    char lines[4096] = "";
    int64_t ids[2][32];
    int64_t rows[2];

    for (int i = 0; i < 30; i++) {
        size_t n = strlen(lines);

        (void)snprintf(lines + n, sizeof lines - n, "{\"id\": %d, \"text\": \"fox\"}\n",
                       i);
    }
    good(lines, set);
    for (int32_t s = 0; s < 2; s++) {
        host_batch b;
        int32_t count;

        rows[s] = api->splits(data.self, &count)[s].rows;
        ck_assert_int_gt(rows[s], 5);
        get(&b, s, 0, rows[s]);
        memcpy(ids[s], il_i64(il_batch_find(&b.batch, "document")),
               (size_t)rows[s] * sizeof ids[s][0]);
        host_batch_close(&b);
    }
    ck_assert_int_eq(rows[0] + rows[1], 30);
    for (int64_t i = 0; i < rows[0]; i++) {
        for (int64_t k = 0; k < rows[1]; k++) {
            ck_assert_int_ne(ids[0][i], ids[1][k]);
        }
    }
    drop();
}
END_TEST

/* Characters of a message's own content, through the template; what is said of one
 * message is not found in another that says the same. */
START_TEST(spans_of_messages_hold_on_the_tokens_that_say_them)
{
    static const char *const set[] = {"val", "0",      "test", "0", "context",
                                      "96",  "labels", "lie",  NULL};
    host_batch b;

    good(
        "{\"messages\": [{\"role\": \"user\", \"content\": \"\\u65e5\\ud83d\\ude42 says xyz now\"}, "
        "{\"role\": \"assistant\", \"content\": \"\\u65e5\\ud83d\\ude42 says xyz now\", "
        "\"spans\": [{\"start\": 8, \"end\": 11, \"label\": \"lie\"}]}]}\n",
        set);
    get(&b, 0, 0, 1);
    ck_assert_str_eq(masked(&b, "lie", 96), " xyz");
    ck_assert_mem_eq(bytes(&b, "lie"), bytes(&b, "spans"), 96);
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(spans_of_parts_count_through_them)
{
    static const char *const set[] = {"val", "0", "test", "0", "context", "96", NULL};
    host_batch b;

    good(
        "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
        "\"never read\"}, {\"type\": \"text\", \"text\": \" brown fox\"}], "
        "\"spans\": [{\"start\": 11, \"end\": 16}]}]}\n",
        set);
    get(&b, 0, 0, 1);
    ck_assert_ptr_nonnull(strstr(masked(&b, "spans", 96), "brown"));
    ck_assert_ptr_null(strstr(masked(&b, "spans", 96), "read"));
    ck_assert_ptr_null(strstr(masked(&b, "spans", 96), "fox"));
    host_batch_close(&b);
    drop();
}
END_TEST

static const struct {
    const char *lines;
    const char *says;
} bad[] = {
    {"{\"text\": \"a\"}\n{\"text\": \"a\n", "line 2: no JSON at its byte 11"},
    {"[1, 2]\n", "expected an object with text or messages"},
    {"{\"text\": 3}\n", "expected an object with text or messages"},
    {"{\"text\": \"a\", \"spans\": [{\"start\": 0, \"end\": 9}]}\n", "behind the text"},
    {"{\"text\": \"a\", \"spans\": [{\"start\": 1, \"end\": 0}]}\n", "start and end"},
    {"{\"text\": \"a\", \"spans\": [{\"start\": 0, \"end\": 1, \"lable\": \"x\"}]}\n",
     "spans: the key 'lable' means nothing here"},
    {"{\"text\": \"a\", \"labels\": {\"lie\": \"yes\"}}\n", "expected 0, 1, true or"},
    {"{\"text\": \"a\"}\n\n{\"text\": \"a\", \"span\": []}\n",
     "line 3: a document: the key 'span' means nothing here"},
    {"{\"text\": \"a\", \"text\": \"b\"}\n", "the key 'text' twice"},
    {"{\"messages\": [{\"role\": \"user\"}]}\n", "expected role and content"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": 3}]}\n", "a list of parts"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"weight\": 1}]}\n",
     "messages: the key 'weight' means nothing here"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"spans\": []}\n",
     "within the message"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\", "
     "\"spans\": [{\"start\": 0, \"end\": 2}]}]}\n",
     "behind the text"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", "
     "\"content\": \"b \", \"spans\": [{\"start\": 0, \"end\": 2}]}]}\n",
     "line 1: spans: one of message 1 holds text that the chat template does not"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}\n",
     "line 1: chat template, line 1: the conversation is no JSON"},
};

static const struct {
    const char *lines;
    const char *name;
    const char *value;
    const char *says; /* NULL: it is well */
} settings[] = {
    {"{\"text\": \"a\", \"source\": 1, \"url\": {}}\n", "ignore", "url, source", NULL},
    {"{\"text\": \"a\", \"source\": 1, \"url\": {}}\n", "ignore", "*", NULL},
    {"{\"text\": \"a\", \"source\": 1, \"url\": {}}\n", "ignore", "url", "'source'"},
    {"{\"text\": \"a\"}\n", "labels", "lie", "no document says anything of 'lie'"},
    {"{\"text\": \"a\", \"labels\": {\"lie\": 0}}\n", "labels", "lie", NULL},
    {"{\"text\": \"a\"}\n", "variables", "[1]", "expected a JSON object"},
    {"{\"text\": \"a\"}\n", "variables", "{\"a\": 1", "expected a JSON object"},
    {"{\"text\": \"a\"}\n", "date", "26 July of 2024", "expected one like"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", "date",
     "2024-13-01", "date: expected text like"},
    {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", "date",
     "2024-07-26", NULL},
};

START_TEST(settings_say_what_a_document_may_hold)
{
    const char *const set[] = {
        "val", "0", "test", "0", settings[_i].name, settings[_i].value, NULL};
    il_status status = make(settings[_i].lines, set);

    ck_assert_int_eq(status, settings[_i].says == NULL ? IL_OK : IL_ERR_INPUT);
    if (settings[_i].says != NULL) {
        ck_assert_msg(strstr(data.err.message, settings[_i].says) != NULL, "'%s'",
                      data.err.message);
    }
    drop();
}
END_TEST

/* The template's own words for what it is given, and what it makes of it. */
START_TEST(the_template_is_given_what_the_document_brings)
{
    static const char *const set[] = {
        "val",     "0",  "test",      "0",
        "context", "96", "variables", "{\"you\": \"brown fox\"}",
        NULL};
    host_batch b;

    good("{\"messages\": [{\"role\": \"user\", \"content\": \"read\"}], "
         "\"chat_template_kwargs\": {\"end\": \" never\"}}\n",
         set);
    get(&b, 0, 0, 1);
    ck_assert_ptr_nonnull(strstr(masked(&b, "text", 96), "brown fox"));
    ck_assert_ptr_nonnull(strstr(masked(&b, "text", 96), "read never"));
    host_batch_close(&b);
    drop();
}
END_TEST

START_TEST(a_bad_document_is_refused_with_its_place)
{
    static const char *const set[] = {"val", "0", "test", "0", NULL};

    ck_assert_int_eq(make(bad[_i].lines, set), IL_ERR_INPUT);
    ck_assert_msg(strstr(data.err.message, bad[_i].says) != NULL, "'%s'",
                  data.err.message);
    drop();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text");
    TCase *c = tcase_create("text");
    SRunner *sr;
    int failed;

    tcase_add_test(c, rows_hold_documents_one_behind_the_other);
    tcase_add_test(c, unpacked_documents_begin_their_own_rows);
    tcase_add_test(c, labels_hold_on_the_tokens_of_their_spans);
    tcase_add_test(c, spans_may_come_in_any_order);
    tcase_add_test(c, only_the_turns_of_learned_roles_are_learned);
    tcase_add_test(c, a_document_stays_in_its_split);
    tcase_add_test(c, spans_of_messages_hold_on_the_tokens_that_say_them);
    tcase_add_test(c, spans_of_parts_count_through_them);
    tcase_add_test(c, the_template_is_given_what_the_document_brings);
    tcase_add_loop_test(c, settings_say_what_a_document_may_hold, 0,
                        (int)(sizeof settings / sizeof settings[0]));
    tcase_add_loop_test(c, a_bad_document_is_refused_with_its_place, 0,
                        (int)(sizeof bad / sizeof bad[0]));
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
