#include "base/files.h"
#include "formats/chat.h"
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const templates[] = {"chatml", "inst",     "headers",
                                        "turns",  "language", "words"};
enum { TEMPLATES = sizeof templates / sizeof templates[0] };

static const char *fixture(const char *name, const char *end)
{
    static char path[512];
    const char *root = getenv("IL_ROOT");

    (void)snprintf(path, sizeof path, "%s/tests/fixtures/tokenizers/chat/%s%s",
                   root != NULL ? root : ".", name, end);
    return path;
}

static il_chat *chat_of(const char *source)
{
    il_chat *chat = NULL;
    il_error err = {0};

    ck_assert_msg(
        il_chat_parse(&chat, source, strlen(source), "x", "<s>", "</s>", &err) == IL_OK,
        "%s", err.message);
    return chat;
}

/* Whether messages have a role and text and no more, as turns; those of `out`. */
static bool plain_turns(const json_t *given, il_turn out[16])
{
    const json_t *messages = json_object_get(given, "messages");

    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        const json_t *content = json_object_get(m, "content");

        if (json_object_size(m) != 2 || !json_is_string(content)) {
            return false;
        }
        out[i].role = json_string_value(json_object_get(m, "role"));
        out[i].content = json_string_value(content);
        out[i].role_size = strlen(out[i].role);
        out[i].content_size = strlen(out[i].content);
    }
    return json_object_size(given) == 2; /* and a date, which turns cannot say */
}

/* What was written is what is expected of a row, or refused. */
static void expect(const json_t *row, size_t k, il_status status, il_chat_text *text,
                   const il_error *err)
{
    const char *want = json_string_value(json_object_get(row, "text"));

    if (want == NULL) {
        const char *says = json_string_value(json_object_get(row, "refuses"));

        ck_assert_int_eq(status, IL_ERR_INPUT);
        ck_assert_msg(strstr(err->message, says) != NULL ||
                          strstr(err->message, "undefined") != NULL,
                      "row %zu: '%s' lacks '%s'", k, err->message, says);
    } else {
        size_t same = 0;

        ck_assert_msg(status == IL_OK, "row %zu: %s", k, err->message);
        while (same < text->size && text->data[same] == want[same]) {
            same++;
        }
        ck_assert_msg(text->size == strlen(want) && same == text->size,
                      "row %zu: from '%.*s' on, expected '%.80s'", k,
                      (int)(text->size - same < 80 ? text->size - same : 80),
                      text->data + same, want + same);
    }
    il_chat_text_free(text);
}

START_TEST(conversations_are_written_as_jinja_writes_them)
{
    char *source = NULL;
    size_t size = 0;
    json_t *rows = json_load_file(fixture(templates[_i], ".expected.json"), 0, NULL);
    il_chat *chat;

    ck_assert_int_eq(
        il_file_read(fixture(templates[_i], ".jinja"), 1 << 20, &source, &size, NULL),
        IL_OK);
    ck_assert_ptr_nonnull(rows);
    ck_assert_uint_gt(json_array_size(rows), 10);
    chat = chat_of(source);
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *row = json_array_get(rows, k);
        const json_t *given = json_object_get(row, "given");
        char *json = json_dumps(given, 0);
        bool prompt = json_is_true(json_object_get(row, "prompt"));
        il_turn turns[16] = {{.role = NULL}};
        il_chat_text text = {0};
        il_error err = {0};

        expect(row, k,
               il_chat_render_json(chat, json, strlen(json), prompt, &text, &err),
               &text, &err);
        if (plain_turns(given, turns) && strstr(source, "strftime_now") == NULL) {
            expect(row, k,
                   il_chat_render(chat, turns,
                                  json_array_size(json_object_get(given, "messages")),
                                  prompt, &text, &err),
                   &text, &err);
        }
        free(json);
    }
    json_decref(rows);
    free(source);
    il_chat_free(chat);
}
END_TEST

START_TEST(each_byte_knows_whose_content_it_is)
{
    il_chat *chat =
        chat_of("{% for m in messages %}{{ m.role + ': ' + m.content.strip() "
                "+ '\\n' }}{% endfor %}");
    const il_turn turns[] = {{"user", " hi ", 4, 4}, {"assistant", "you", 9, 3}};
    il_chat_text text = {0};
    static const char whose[] = "......00............111.";

    ck_assert_int_eq(il_chat_render(chat, turns, 2, false, &text, NULL), IL_OK);
    ck_assert_uint_eq(text.size, strlen("user: hi\nassistant: you\n"));
    for (size_t i = 0; i < text.size; i++) {
        ck_assert_int_eq(text.turns[i], whose[i] == '.' ? -1 : whose[i] - '0');
    }
    il_chat_text_free(&text);
    il_chat_free(chat);
}
END_TEST

/* Through trimming, cutting, replacing, quoting and macros; of parts, what the text of
 * all of them counts to. Reasons are their turn's, with no place. */
START_TEST(each_byte_knows_which_of_its_turn_it_is)
{
    static const char json[] =
        "[{\"role\": \"a\", \"content\": \" x\\\"y-z \", \"thinking\": \"why\"}, {\"role\": \"b\", "
        "\"content\": [{\"type\": \"text\", \"text\": \"pq\"}, {\"type\": \"text\", \"text\": "
        "\"r\\u00e9\"}]}]";
    static const char source[] =
        "{% macro f(x) %}<{{ x }}>{% endmacro %}{% set m = messages %}"
        "{{ f(m[0].content.strip().split('-')[1]) }}{{ m[0].content|tojson }}"
        "{{ m[0].content|replace('x', '..')|upper|trim }}{{ m[0].reasoning_content }}"
        "{% for p in m[1].content %}{{ p.type ~ p.text }}{% endfor %}";
    static const char want[] = "<z>\" x\\\"y-z \"..\"Y-Zwhytextpqtextr\xc3\xa9";
    static const char whose[] = ".0..00000000...0000000....11....111";
    static const char which[] = ".5..01223456...2345.......01....234";
    il_chat *chat = chat_of(source);
    il_chat_text text = {0};
    il_error err = {0};

    ck_assert_msg(
        il_chat_render_json(chat, json, sizeof json - 1, false, &text, &err) == IL_OK,
        "%s", err.message);
    ck_assert_uint_eq(text.size, sizeof want - 1);
    ck_assert_mem_eq(text.data, want, text.size);
    for (size_t i = 0; i < text.size; i++) {
        ck_assert_int_eq(text.turns[i], whose[i] == '.' ? -1 : whose[i] - '0');
        ck_assert_int_eq(text.places[i], which[i] == '.' ? -1 : which[i] - '0');
    }
    il_chat_text_free(&text);
    il_chat_free(chat);
}
END_TEST

static const struct {
    const char *source;
    const char *says;
} unread[] = {
    {"\n\n{% include 'x' %}", "line 3: the block 'include'"},
    {"{% macro f() %}", "the template ends without 'endmacro'"},
    {"{% if true %}", "the template ends without 'endif'"},
    {"{% if true %}{% else %}", "the template ends without 'endif'"},
    {"{% for m in messages %}", "the template ends without 'endfor'"},
    {"{% for m in messages recursive %}", "'recursive'"},
    {"{% raw %}", "the template ends without 'endraw'"},
    {"{{ 'a", "a string without its end"},
    {"{{ a", "a tag without its end"},
    {"{# a", "a comment without its end"},
    {"{{ }}", "expected a value before the end"},
    {"{{ 'a' b }}", "expected the tag's end at 'b'"},
    {"{{ (1] }}", "nothing is open for ']'"},
    {"{{ a.b(*c) }}", "arguments by '*'"},
    {"{{ a ? b }}", "cannot be read here: '? b }}'"},
    {"{{ '\\ud83d' }}", "in a string, '\\u'"},
    {"{% break %}", "outside of a loop, 'break'"},
    {"{% for x in y %}{% macro f() %}{% continue %}", "outside of a loop, 'continue'"},
    {"{% set 3 = x %}", "expected a name at '3'"},
    {"{% macro f(a=1, b) %}", "no default of the parameter 'b'"},
};

START_TEST(what_cannot_be_read_is_refused_with_its_line)
{
    il_chat *chat = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_chat_parse(&chat, unread[_i].source, strlen(unread[_i].source),
                                   "x", NULL, NULL, &err),
                     IL_ERR_UNSUPPORTED);
    ck_assert_ptr_null(chat);
    ck_assert_msg(strstr(err.message, unread[_i].says) != NULL, "'%s' lacks '%s'",
                  err.message, unread[_i].says);
}
END_TEST

static const struct {
    const char *source;
    il_status status;
    const char *says;
} unrun[] = {
    {"\n{{ 'a'|wordwrap }}", IL_ERR_UNSUPPORTED, "line 2: the filter 'wordwrap'"},
    {"{{ 'a' is fancy }}", IL_ERR_UNSUPPORTED, "the test 'fancy'"},
    {"{{ lipsum() }}", IL_ERR_UNSUPPORTED, "the function 'lipsum'"},
    {"{{ nothing() }}", IL_ERR_INPUT, "'nothing' is undefined"},
    {"{{ nothing.at.all }}", IL_ERR_INPUT, "'nothing' is undefined and has no 'at'"},
    {"{{ 'a' + nothing }}", IL_ERR_INPUT, "'nothing' is undefined"},
    {"{{ 'a' + 1 }}", IL_ERR_INPUT, "text and a number"},
    {"{{ 1 // 0 }}", IL_ERR_INPUT, "division by zero"},
    {"{{ 9223372036854775807 + 1 }}", IL_ERR_UNSUPPORTED, "beyond 64 bits"},
    {"{{ messages.append(1) }}", IL_ERR_INPUT, "may not"},
    {"{% set a, b = [1] %}", IL_ERR_INPUT, "1 values for other than"},
    {"{% set x = 1 %}{% set x.y = 2 %}", IL_ERR_INPUT, "no namespace"},
    {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", IL_ERR_INPUT,
     "unexpected argument"},
    {"{{ strftime_now('%Y') }}", IL_ERR_INPUT, "asks for today's date"},
    {"{{ {}|tojson(colour=1) }}", IL_ERR_INPUT, "unexpected argument 'colour'"},
    {"{{ nothing|tojson }}", IL_ERR_INPUT, "undefined is nothing that JSON has"},
    {"{{ 'a' < 1 }}", IL_ERR_INPUT, "no order of text and a number"},
    {"{{ range(1000000) }}", IL_ERR_INPUT, "more than 100000"},
    /* what would never end, or fill the machine */
    {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", IL_ERR_INPUT, "too deep"},
    {"{{ 'ab' * 100000000000 }}", IL_ERR_INPUT, "too much memory"},
    {"{% set x = range(99999) %}{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}",
     IL_ERR_INPUT, "too many steps"},
    {"{% set ns = namespace(s='xy') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s "
     "%}{% endfor %}",
     IL_ERR_INPUT, "too much memory"},
    {"{% set ns = namespace(s=[]) %}{% for a in range(5000) %}{% set ns.s = [ns.s] "
     "%}{% endfor %}{{ ns.s }}",
     IL_ERR_INPUT, "too deep"},
    {"{% set ns = namespace(s=[1]) %}{% for a in range(60) %}{% set ns.s = [ns.s, ns.s] "
     "%}{% endfor %}{{ ns.s == ns.s[0] }}{{ ns.s|tojson }}",
     IL_ERR_INPUT, "too m"},
    {"{% set ns = namespace(s=[1]) %}{% for a in range(60) %}{% set ns.s = [ns.s, ns.s] "
     "%}{% endfor %}{{ ns.s }}",
     IL_ERR_INPUT, "too m"},
};

START_TEST(what_goes_wrong_is_refused_with_its_line)
{
    il_chat *chat = chat_of(unrun[_i].source);
    const il_turn turn = {"user", "hi", 4, 2};
    il_chat_text text = {0};
    il_error err = {0};

    ck_assert_int_eq(il_chat_render(chat, &turn, 1, false, &text, &err),
                     unrun[_i].status);
    ck_assert_msg(strstr(err.message, unrun[_i].says) != NULL, "'%s' lacks '%s'",
                  err.message, unrun[_i].says);
    il_chat_text_free(&text);
    il_chat_free(chat);
}
END_TEST

/* Cut characters would be read past their end. */
START_TEST(a_template_that_is_no_utf8_is_refused)
{
    static const char source[] = "{{ ['\xe2'|list] }}";
    il_chat *chat = NULL;
    il_error err = {0};

    ck_assert_int_eq(
        il_chat_parse(&chat, source, sizeof source - 1, "x", NULL, NULL, &err),
        IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "no UTF-8"));
}
END_TEST

START_TEST(deep_nesting_is_refused)
{
    char source[4096];
    il_chat *chat = NULL;
    il_error err = {0};

    memset(source, '(', sizeof source);
    memcpy(source, "{{", 2);
    memcpy(source + sizeof source - 2, "}}", 2);
    ck_assert_int_eq(il_chat_parse(&chat, source, sizeof source, "x", NULL, NULL, &err),
                     IL_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "too deep"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chat");
    TCase *c = tcase_create("chat");
    SRunner *sr;
    int failed;

    tcase_add_loop_test(c, conversations_are_written_as_jinja_writes_them, 0,
                        TEMPLATES);
    tcase_add_test(c, each_byte_knows_whose_content_it_is);
    tcase_add_test(c, each_byte_knows_which_of_its_turn_it_is);
    tcase_add_loop_test(c, what_cannot_be_read_is_refused_with_its_line, 0,
                        (int)(sizeof unread / sizeof unread[0]));
    tcase_add_loop_test(c, what_goes_wrong_is_refused_with_its_line, 0,
                        (int)(sizeof unrun / sizeof unrun[0]));
    tcase_add_test(c, a_template_that_is_no_utf8_is_refused);
    tcase_add_test(c, deep_nesting_is_refused);
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
