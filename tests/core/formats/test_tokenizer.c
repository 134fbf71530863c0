#include "base/files.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_regex.h"
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const families[] = {"gpt2",    "roberta", "neox",       "llama3",
                                       "qwen2",   "falcon",  "starcoder",  "llama2",
                                       "mistral", "bert",    "bert_cased", "mixture"};
enum { FAMILIES = sizeof families / sizeof families[0] };

static const char *fixture(const char *name, const char *end)
{
    static char path[512];
    const char *root = getenv("IL_ROOT");

    (void)snprintf(path, sizeof path, "%s/tests/fixtures/tokenizers/%s%s",
                   root != NULL ? root : ".", name, end);
    return path;
}

static il_tokenizer *family(const char *name)
{
    il_tokenizer *t = NULL;
    il_error err = {0};

    ck_assert_msg(il_tokenizer_open(&t, fixture(name, ".json"), &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    return t;
}

static void same_ids(const json_t *want, const il_encoding *e, const char *text)
{
    ck_assert_msg(json_array_size(want) == e->count, "'%s': %zu tokens, expected %zu",
                  text, e->count, json_array_size(want));
    for (size_t i = 0; i < e->count; i++) {
        ck_assert_msg(json_integer_value(json_array_get(want, i)) == e->ids[i],
                      "'%s': token %zu is %d", text, i, e->ids[i]);
    }
}

START_TEST(ids_spans_and_text_are_those_of_the_library)
{
    const char *name = families[_i];
    il_tokenizer *t = family(name);
    il_tokenizer_work *w = NULL;
    il_encoding e = {0};
    json_error_t why;
    json_t *rows = json_load_file(fixture(name, ".expected.json"), 0, &why);
    il_error err = {0};

    ck_assert_msg(rows != NULL, "%s", why.text);
    ck_assert_int_eq(il_tokenizer_work_create(&w, t, &err), IL_OK);
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *row = json_array_get(rows, k);
        const json_t *text = json_object_get(row, "text");
        const char *s = json_string_value(text);
        il_text back = {0};

        ck_assert_int_eq(
            il_tokenizer_encode(t, w, s, json_string_length(text), false, &e, &err),
            IL_OK);
        same_ids(json_object_get(row, "plain"), &e, s);
        ck_assert_int_eq(
            il_tokenizer_encode(t, w, s, json_string_length(text), true, &e, &err),
            IL_OK);
        same_ids(json_object_get(row, "ids"), &e, s);
        for (size_t i = 0; i < e.count; i++) {
            const json_t *span = json_array_get(json_object_get(row, "spans"), i);
            json_int_t first = json_integer_value(json_array_get(span, 0));
            json_int_t last = json_integer_value(json_array_get(span, 1));

            ck_assert_msg(
                first == last ? e.spans[i].first == e.spans[i].last
                              : first == e.spans[i].first && last == e.spans[i].last,
                "'%s': token %zu spans %u-%u", s, i, e.spans[i].first, e.spans[i].last);
        }
        ck_assert_int_eq(il_tokenizer_decode(t, e.ids, e.count, true, &back, &err),
                         IL_OK);
        ck_assert_str_eq(back.data != NULL ? back.data : "",
                         json_string_value(json_object_get(row, "decoded")));
        il_text_free(&back);
    }
    json_decref(rows);
    il_encoding_free(&e);
    il_tokenizer_work_destroy(w);
    il_tokenizer_close(t);
}
END_TEST

/* Small tokenizers that each turn on one part (parts.json, by make_parts.py). */
START_TEST(every_part_does_what_the_library_does)
{
    json_error_t why;
    json_t *cases = json_load_file(fixture("parts", ".json"), 0, &why);
    il_error err = {0};

    ck_assert_msg(cases != NULL, "%s", why.text);
    ck_assert_uint_ge(json_array_size(cases), 18);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const char *name = json_string_value(json_object_get(c, "name"));
        const json_t *rows = json_object_get(c, "rows");
        char *text = json_dumps(json_object_get(c, "tokenizer"), JSON_ENSURE_ASCII);
        il_tokenizer *t = NULL;
        il_tokenizer_work *w = NULL;
        il_encoding e = {0};

        ck_assert_msg(il_tokenizer_parse(&t, text, strlen(text), name, &err) == IL_OK,
                      "%s: %s", err.where, err.message);
        ck_assert_int_eq(il_tokenizer_work_create(&w, t, &err), IL_OK);
        for (size_t k = 0; k < json_array_size(rows); k++) {
            const json_t *row = json_array_get(rows, k);
            const char *said = json_string_value(json_object_get(row, "text"));

            ck_assert_int_eq(
                il_tokenizer_encode(t, w, said, strlen(said), true, &e, &err), IL_OK);
            same_ids(json_object_get(row, "ids"), &e, said);
            for (size_t n = 0; n < e.count; n++) {
                const json_t *span = json_array_get(json_object_get(row, "spans"), n);

                ck_assert_msg(
                    json_integer_value(json_array_get(span, 0)) == e.spans[n].first &&
                        json_integer_value(json_array_get(span, 1)) == e.spans[n].last,
                    "%s: '%s': token %zu spans %u-%u", name, said, n, e.spans[n].first,
                    e.spans[n].last);
            }
        }
        il_encoding_free(&e);
        il_tokenizer_work_destroy(w);
        il_tokenizer_close(t);
        free(text);
    }
    json_decref(cases);
}
END_TEST

START_TEST(broken_bytes_are_replaced_and_keep_their_spans)
{
    /* A character cut short, a byte that begins none, a surrogate. */
    static const char text[] = "a\xe2\x82"
                               "b\xff\xed\xa0\x80"
                               "c";
    il_tokenizer *t = family("gpt2");
    il_tokenizer_work *w = NULL;
    il_encoding e = {0};
    il_text back = {0};

    ck_assert_int_eq(il_tokenizer_work_create(&w, t, NULL), IL_OK);
    ck_assert_int_eq(il_tokenizer_encode(t, w, text, sizeof text - 1, false, &e, NULL),
                     IL_OK);
    ck_assert_int_eq(il_tokenizer_decode(t, e.ids, e.count, false, &back, NULL), IL_OK);
    ck_assert_str_eq(back.data, "a\xef\xbf\xbd"
                                "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                "\xef\xbf\xbd"
                                "c");
    for (size_t i = 0; i < e.count; i++) {
        ck_assert_uint_lt(e.spans[i].first, e.spans[i].last);
        ck_assert_uint_le(e.spans[i].last, sizeof text - 1);
    }
    ck_assert_uint_eq(e.spans[e.count - 1].first, sizeof text - 2);
    il_text_free(&back);
    il_encoding_free(&e);
    il_tokenizer_work_destroy(w);
    il_tokenizer_close(t);
}
END_TEST

START_TEST(the_cache_and_long_words_change_nothing)
{
    /* One long word is merged by a heap, its halves pair by pair: both have to find
     * what a fresh cache finds. */
    static const char letters[] = "helloworldlearnmodelsdetector";
    il_tokenizer *t = family("gpt2");
    il_tokenizer_work *old = NULL;
    char text[4096];
    uint32_t draw = 12345;

    ck_assert_int_eq(il_tokenizer_work_create(&old, t, NULL), IL_OK);
    for (int round = 0; round < 50; round++) {
        il_tokenizer_work *fresh = NULL;
        il_encoding a = {0};
        il_encoding b = {0};
        size_t size = (size_t)(1 + round * 80);

        for (size_t i = 0; i < size; i++) {
            draw = draw * 1664525 + 1013904223;
            text[i] = letters[(draw >> 16) % (sizeof letters - 1)];
        }
        ck_assert_int_eq(il_tokenizer_work_create(&fresh, t, NULL), IL_OK);
        ck_assert_int_eq(il_tokenizer_encode(t, old, text, size, false, &a, NULL),
                         IL_OK);
        ck_assert_int_eq(il_tokenizer_encode(t, old, text, size, false, &a, NULL),
                         IL_OK);
        ck_assert_int_eq(il_tokenizer_encode(t, fresh, text, size, false, &b, NULL),
                         IL_OK);
        ck_assert_uint_eq(a.count, b.count);
        ck_assert_mem_eq(a.ids, b.ids, a.count * sizeof *a.ids);
        il_encoding_free(&a);
        il_encoding_free(&b);
        il_tokenizer_work_destroy(fresh);
    }
    il_tokenizer_work_destroy(old);
    il_tokenizer_close(t);
}
END_TEST

/* ---- hostile files -------------------------------------------------------------- */

#define MODEL(vocab, merges)                                                           \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab "},\"merges\":[" merges "]}"
#define GOOD MODEL("\"a\":0,\"b\":1,\"ab\":2", "[\"a\",\"b\"]")

static const struct {
    const char *json;
    const char *says;
} wrong[] = {
    {"", "line 1"},
    {"[]", "expected a tokenizer.json"},
    {"{\"model\":", "line 1"},
    {"{\"a\":1,\"a\":2}", "duplicate"},
    {"{\"model\":3}", "expected an object"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "'Unigram': expected BPE"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", "expected tokens"},
    {"{" MODEL("\"a\":\"x\"", "") "}", "expected an id from 0"},
    {"{" MODEL("\"a\":-1", "") "}", "expected an id from 0"},
    {"{" MODEL("\"a\":99999999999", "") "}", "expected an id from 0"},
    {"{" MODEL("\"a\":16777216", "") "}", "expected an id from 0"},
    {"{" MODEL("\"a\":0,\"b\":0", "") "}", "id 0 is that of 'a' and of 'b'"},
    {"{" MODEL("\"a\":0,\"b\":1", "[\"a\",\"b\"]") "}", "names the token 'ab'"},
    {"{" MODEL("\"a\":0,\"b\":1", "[\"a\",\"c\"]") "}", "names the token 'c'"},
    {"{" MODEL("\"a\":0,\"\":1", "[\"\",\"a\"]") "}", "neither empty"},
    {"{" MODEL("\"a\":0,\"aa\":1", "\"a a\",\"a a\"") "}", "merges[0] once more"},
    {"{" MODEL("\"a\":0", "\"a\"") "}", "expected two tokens"},
    {"{" MODEL("\"a\":0", "7") "}", "expected two tokens"},
    {"{" GOOD ",\"normalizer\":{\"type\":\"Precompiled\"}}",
     "normalizer 'Precompiled'"},
    {"{" GOOD ",\"normalizer\":\"NFC\"}", "expected an object with its \"type\""},
    {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}", "'UnicodeScripts'"},
    {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
     "\"ByteLevel\"},{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":"
     "\"Isolated\"}]}}",
     "pre_tokenizer.pretokenizers[1]"},
    {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":"
     "\"(?<x>a)\\\\k<x>\"},\"behavior\":\"Isolated\"}}",
     "is not supported"},
    {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},"
     "\"behavior\":\"Isolated\"}}",
     "expected {\"Regex\""},
    {"{" GOOD ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},"
     "\"behavior\":\"Sideways\"}}",
     "expected Removed"},
    {"{" GOOD ",\"added_tokens\":[{\"id\":0,\"content\":\"b\"}]}", "is not the one"},
    {"{" GOOD ",\"added_tokens\":[{\"id\":0,\"content\":\"x\"}]}",
     "in vocab that of a"},
    {"{" GOOD ",\"added_tokens\":[{\"id\":9,\"content\":\"x\"},{\"id\":9,\"content\":"
     "\"y\"}]}",
     "stands there twice"},
    {"{" GOOD ",\"added_tokens\":[{\"id\":9,\"content\":\"x\",\"lstrip\":3}]}",
     "lstrip: expected true or false"},
    {"{" GOOD ",\"added_tokens\":[{\"id\":1e3,\"content\":\"x\"}]}", "whole number"},
    {"{" GOOD ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{"
     "\"SpecialToken\":{\"id\":\"x\"}}],\"special_tokens\":{}}}",
     "not in special_tokens"},
    {"{" GOOD ",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",99],"
     "\"cls\":[\"y\",0]}}",
     "expected the id of a token"},
    {"{" GOOD ",\"decoder\":{\"type\":\"CTC\"}}", "decoder 'CTC'"},
};

START_TEST(hostile_files_are_refused_with_the_reason)
{
    il_tokenizer *t = NULL;
    il_error err = {0};
    il_status status =
        il_tokenizer_parse(&t, wrong[_i].json, strlen(wrong[_i].json), "x.json", &err);

    ck_assert_msg(status == IL_ERR_INPUT || status == IL_ERR_UNSUPPORTED, "%s",
                  wrong[_i].json);
    ck_assert_ptr_null(t);
    ck_assert_msg(strstr(err.message, wrong[_i].says) != NULL ||
                      strstr(err.where, wrong[_i].says) != NULL,
                  "'%s: %s' does not say '%s'", err.where, err.message, wrong[_i].says);
    ck_assert_ptr_nonnull(strstr(err.where, "x.json"));
}
END_TEST

START_TEST(a_truncated_file_is_refused_wherever_it_ends)
{
    char *text = NULL;
    size_t size = 0;

    ck_assert_int_eq(
        il_file_read(fixture("bert", ".json"), 1 << 20, &text, &size, NULL), IL_OK);
    for (size_t n = 0; n < size - 1; n += 97) {
        il_tokenizer *t = NULL;

        ck_assert_int_eq(il_tokenizer_parse(&t, text, n, "x.json", NULL), IL_ERR_INPUT);
    }
    free(text);
}
END_TEST

/* Sequences within sequences, deeper than anybody means. */
START_TEST(deep_nesting_is_refused)
{
    static const char open[] = "{\"type\":\"Sequence\",\"normalizers\":[";
    il_text text = {0};
    il_tokenizer *t = NULL;
    il_error err = {0};

    il_text_add(&text, "{" GOOD ",\"normalizer\":");
    for (int i = 0; i < 500; i++) {
        il_text_add(&text, open);
    }
    for (int i = 0; i < 500; i++) {
        il_text_add(&text, "]}");
    }
    il_text_add(&text, "}");
    ck_assert_int_eq(il_tokenizer_parse(&t, text.data, text.size, "x.json", &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "deep"));
    il_text_free(&text);
}
END_TEST

/* A suffix as long as that falls back to a token a byte: more bytes than the text has.
 */
START_TEST(bytes_of_a_suffix_stay_within_the_text)
{
    enum { SUFFIX = 5000 };
    il_text json = {0};
    il_tokenizer *t = NULL;
    il_tokenizer_work *w = NULL;
    il_encoding e = {0};
    il_error err = {0};

    il_text_add(&json, "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,"
                       "\"vocab\":{\"<0x61>\":0,\"<0x62>\":1},\"merges\":[],"
                       "\"end_of_word_suffix\":\"");
    for (int i = 0; i < SUFFIX; i++) {
        il_text_add(&json, "b");
    }
    il_text_add(&json, "\"}}");
    ck_assert_msg(il_tokenizer_parse(&t, json.data, json.size, "x.json", &err) == IL_OK,
                  "%s", err.message);
    ck_assert_int_eq(il_tokenizer_work_create(&w, t, &err), IL_OK);
    ck_assert_int_eq(il_tokenizer_encode(t, w, "aa", 2, false, &e, &err), IL_OK);
    ck_assert_uint_eq(e.count, 2 + SUFFIX);
    for (size_t i = 0; i < e.count; i++) {
        ck_assert_int_eq(e.ids[i], i >= 2);
        ck_assert_uint_eq(e.spans[i].first, i > 0);
        ck_assert_uint_eq(e.spans[i].last, i > 0 ? 2 : 1);
    }
    il_encoding_free(&e);
    il_tokenizer_work_destroy(w);
    il_tokenizer_close(t);
    il_text_free(&json);
}
END_TEST

/* What has no bytes goes through every part without a place in memory. */
START_TEST(an_empty_text_is_what_is_put_around_it)
{
    static const char json[] =
        "{" GOOD ",\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"\"},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{"
        "\"SpecialToken\":{\"id\":\"a\"}},{\"Sequence\":{\"id\":\"A\"}}],"
        "\"special_tokens\":{\"a\":{\"id\":\"a\",\"ids\":[0],\"tokens\":[\"a\"]}}}}";
    il_tokenizer *t = NULL;
    il_tokenizer_work *w = NULL;
    il_encoding e = {0};
    il_error err = {0};

    ck_assert_msg(il_tokenizer_parse(&t, json, sizeof json - 1, "x.json", &err) ==
                      IL_OK,
                  "%s", err.message);
    ck_assert_int_eq(il_tokenizer_work_create(&w, t, &err), IL_OK);
    ck_assert_int_eq(il_tokenizer_encode(t, w, NULL, 0, true, &e, &err), IL_OK);
    ck_assert_uint_eq(e.count, 1);
    ck_assert_int_eq(e.ids[0], 0);
    ck_assert_int_eq(il_tokenizer_encode(t, w, "a", 1, true, &e, &err), IL_OK);
    ck_assert_uint_eq(e.count, 2);
    il_encoding_free(&e);
    il_tokenizer_work_destroy(w);
    il_tokenizer_close(t);
}
END_TEST

START_TEST(a_catastrophic_pattern_is_an_error_and_no_hang)
{
    static const char json[] =
        "{" GOOD ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":"
        "\"(?:a+)+$\"},\"behavior\":\"Isolated\"}}";
    il_tokenizer *t = NULL;
    il_tokenizer_work *w = NULL;
    il_encoding e = {0};
    il_error err = {0};
    char text[64];

    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 'b';
    ck_assert_int_eq(il_tokenizer_parse(&t, json, sizeof json - 1, "x.json", &err),
                     IL_OK);
    ck_assert_int_eq(il_tokenizer_work_create(&w, t, &err), IL_OK);
    ck_assert_int_eq(il_tokenizer_encode(t, w, text, sizeof text, false, &e, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "gave up"));
    il_encoding_free(&e);
    il_tokenizer_work_destroy(w);
    il_tokenizer_close(t);
}
END_TEST

START_TEST(what_ruby_and_pcre_read_differently_is_refused)
{
    static const char *const patterns[] = {
        "[a[b]]",  "[a&&b]",      "a{2}+", "\\Ga",    "\\1",   "(?~a)",
        "(*FAIL)", "[[:alpha:]]", "\\pL",  "\\x{zz}", "\\xff", "(?m:.)",
        "[a",      "\\",          "[]a]",  "(?#x)"};

    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        il_regex *r = NULL;
        il_error err = {0};

        ck_assert_msg(il__regex_create(&r, patterns[i], strlen(patterns[i]), "x",
                                       &err) == IL_ERR_UNSUPPORTED,
                      "%s", patterns[i]);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tokenizer");
    TCase *c = tcase_create("tokenizer");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(c, ids_spans_and_text_are_those_of_the_library, 0, FAMILIES);
    tcase_add_test(c, broken_bytes_are_replaced_and_keep_their_spans);
    tcase_add_test(c, the_cache_and_long_words_change_nothing);
    tcase_add_loop_test(c, hostile_files_are_refused_with_the_reason, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(c, a_truncated_file_is_refused_wherever_it_ends);
    tcase_add_test(c, deep_nesting_is_refused);
    tcase_add_test(c, every_part_does_what_the_library_does);
    tcase_add_test(c, bytes_of_a_suffix_stay_within_the_text);
    tcase_add_test(c, an_empty_text_is_what_is_put_around_it);
    tcase_add_test(c, a_catastrophic_pattern_is_an_error_and_no_hang);
    tcase_add_test(c, what_ruby_and_pcre_read_differently_is_refused);
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
