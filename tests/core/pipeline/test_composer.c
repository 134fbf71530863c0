/* What the composer takes, and what it refuses and how it says so. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "pipeline/composer.h"

typedef struct text_case {
    const char *text;
    const char *problems; /* a part of what is printed; NULL when it must be taken */
} text_case;

/* The printed problems of a text, malloc'ed; *tree says whether one came back. */
static char *problems_of(const char *text, size_t size)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_problems problems = {.arena = arena};
    il_text out = {0};

    ck_assert_ptr_nonnull(arena);
    (void)il_compose(arena, "p.yaml", text, size, &problems);
    il_text_add(&out, "");
    il_problems_write(&problems, &out);
    ck_assert(!out.failed);
    il_arena_destroy(arena);
    return out.data;
}

static void expect(const char *name, const char *text, size_t size, const char *part)
{
    char *got = problems_of(text, size);

    if (part == NULL) {
        ck_assert_msg(got[0] == '\0', "%s: expected no problem, got:\n%.2000s", name,
                      got);
    } else {
        ck_assert_msg(strstr(got, part) != NULL, "%s: expected '%s', got:\n%.2000s",
                      name, part, got);
    }
    free(got);
}

static const text_case cases[] = {
    {"a: 1\nb: [x, {c: d}]\n", NULL},
    {"a: no # a comment\n", NULL},
    {"\xef\xbb\xbf"
     "a: 1\n",
     NULL},
    {"a: \"\\u00e4 \xc3\xa4\"\n", NULL},
    {"%YAML 1.1\n---\na: 1\n...\n", NULL},
    {"a: 1\nb: 2\na: 3\n",
     "p.yaml:3:1: error: the key 'a' a second time; it stands in line 1 already"},
    {"a: {b: 1, c: 2, b: 3}\n", "p.yaml:1:17: error: the key 'b' a second time"},
    {"a: 1\n\"a\": 2\n", "p.yaml:2:1: error: the key 'a' a second time"},
    {"a: 1\nb: 2\na: 3\na: 4\n", "p.yaml:4:1: error: the key 'a' a second time; it "
                                 "stands in line 1"},
    {"a: &x 1\n", "p.yaml:1:4: error: an anchor, '&x'"},
    {"a: &x {b: 1}\nc: *x\n", "p.yaml:2:4: error: an alias, '*x'"},
    {"a: &x [1]\n", "p.yaml:1:4: error: an anchor"},
    {"*x : 1\n", "p.yaml:1:1: error: an alias"},
    {"a: {<<: {b: 1}}\n", "p.yaml:1:5: error: a merge key"},
    {"a: !!int 1\n", "p.yaml:1:4: error: a tag, 'tag:yaml.org,2002:int'"},
    {"a: !x {b: 1}\n", "p.yaml:1:4: error: a tag, '!x'"},
    {"a: !x [b]\n", "p.yaml:1:4: error: a tag, '!x'"},
    {"%TAG ! tag:example.org:\n---\na: 1\n", "error: a %TAG directive"},
    {"a: 1\n---\nb: 2\n", "p.yaml:2:1: error: a second document"},
    {"[1, 2]: 3\n", "p.yaml:1:1: error: a list as a key"},
    {"? {a: 1}\n: 2\n", "p.yaml:1:3: error: a map as a key"},
    {"\"\": 2\n", "p.yaml:1:1: error: an empty key"},
    {"", "p.yaml:1:1: error: the file holds no document"},
    {"# nothing but words\n", "error: the file holds no document"},
    {"---\n...\n", "error: the file holds no document"},
    {"~", NULL}, /* a document, if an odd one: the schema refuses it */
    {"a:\n\tb: 1\n", "p.yaml:2:1: error: a tab may not indent"},
    {"a: [1, 2\nb: 3\n", "p.yaml:2:"},
    {"a: \"x\n", "error: found unexpected end of stream"},
    {"a: b: c\n", "p.yaml:1:5: error: mapping values are not allowed"},
    {"a: }\n", "p.yaml:1:4: error: "},
    {"a: 1\n  b: 2\n", "p.yaml:2:"},
    {"a: \xff\n", "p.yaml:1:4: error: byte 0xff is not UTF-8"},
    {"ok: 1\na: \xc3\n", "p.yaml:2:4: error: byte 0xc3 is not UTF-8"},
    {"a: \xc0\xaf\n", "error: byte 0xc0 is not UTF-8"},
    {"a: \xed\xa0\x80\n", "error: byte 0xed is not UTF-8"},
    {"a: \xf5\x80\x80\x80\n", "error: byte 0xf5 is not UTF-8"},
    {"\xff\xfe"
     "a",
     "p.yaml:1:1: error: byte 0xff is not UTF-8"},
    {"a: \x1b[1m\n", "p.yaml:1:4: error: byte 0x1b, a control character"},
    {"\x7f"
     "ELF\x02",
     "p.yaml:1:1: error: byte 0x7f, a control character"},
    {"a: \"x\\0y\"\n", "p.yaml:1:4: error: a string with a NUL inside"},
    {"a: &b *c\n", "error: "},
    {"a: 1\na: 2\nb: &x 1\nc: !t 2\n", "p.yaml:4:4: error: a tag"},
};

START_TEST(each_text_is_taken_or_refused_with_its_place)
{
    expect("case", cases[_i].text, strlen(cases[_i].text), cases[_i].problems);
}
END_TEST

START_TEST(a_nul_byte_is_refused)
{
    expect("nul", "a: 1\0b", 6, "p.yaml:1:5: error: byte 0x00, a control character");
}
END_TEST

START_TEST(all_refusals_of_a_file_come_at_once_in_its_order)
{
    const char *text = "c: !t 2\na: 1\na: 2\nb: &x 1\n";
    char *got = problems_of(text, strlen(text));
    const char *first = strstr(got, "p.yaml:1:4");
    const char *second = strstr(got, "p.yaml:3:1");
    const char *third = strstr(got, "p.yaml:4:4");

    ck_assert(first != NULL && second != NULL && third != NULL);
    ck_assert(first < second && second < third);
    free(got);
}
END_TEST

START_TEST(an_alias_bomb_is_refused_and_never_expanded)
{
    il_text text = {0};

    il_text_add(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 40; i++) {
        il_text_addf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++) {
            il_text_addf(&text, "%s*a%d", j > 0 ? ", " : "", i - 1);
        }
        il_text_add(&text, "]\n");
    }
    expect("bomb", text.data, text.size, "p.yaml:2:10: error: an alias, '*a0'");
    il_text_free(&text);
}
END_TEST

static void nest(il_text *text, int depth)
{
    for (int i = 0; i < depth; i++) {
        il_text_add(text, "[");
    }
    for (int i = 0; i < depth; i++) {
        il_text_add(text, "]");
    }
}

START_TEST(thirty_two_levels_are_taken_and_one_more_is_refused)
{
    il_text good = {0};
    il_text bad = {0};
    il_text absurd = {0};

    nest(&good, 32);
    nest(&bad, 33);
    nest(&absurd, 200000);
    expect("32", good.data, good.size, NULL);
    expect("33", bad.data, bad.size, "p.yaml:1:33: error: more than 32 maps and lists");
    expect("200000", absurd.data, absurd.size, "more than 32 maps and lists");
    il_text_free(&good);
    il_text_free(&bad);
    il_text_free(&absurd);
}
END_TEST

/* A list of `count` - 1 scalars, which with the list itself makes `count` values. */
static void list_of(il_text *text, int count)
{
    il_text_add(text, "[x");
    for (int i = 2; i < count; i++) {
        il_text_add(text, ",x");
    }
    il_text_add(text, "]");
}

START_TEST(ten_thousand_values_are_taken_and_one_more_is_refused)
{
    il_text good = {0};
    il_text bad = {0};

    list_of(&good, 10000);
    list_of(&bad, 10001);
    expect("10000", good.data, good.size, NULL);
    expect("10001", bad.data, bad.size, "error: more than 10000 values in one file");
    il_text_free(&good);
    il_text_free(&bad);
}
END_TEST

START_TEST(more_than_a_mebibyte_is_refused)
{
    il_text text = {0};

    il_text_add(&text, "a: 1\n#");
    while (text.size < (1 << 20)) {
        il_text_add(&text, "................................");
    }
    expect("size", text.data, text.size, "p.yaml: error: ");
    il_text_free(&text);
}
END_TEST

START_TEST(what_is_no_regular_file_is_a_problem_that_names_it)
{
    il_arena *arena = il_arena_create(4096);
    il_problems problems = {.arena = arena};
    il_text out = {0};

    ck_assert_ptr_null(il_compose_file(arena, "/", &problems));
    ck_assert_ptr_null(il_compose_file(arena, "/no/such.yaml", &problems));
    ck_assert_uint_eq(problems.count, 2);
    il_problems_write(&problems, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "/no/such.yaml: error: "));
    il_text_free(&out);
    il_arena_destroy(arena);
}
END_TEST

START_TEST(places_quotes_and_order_are_kept)
{
    const char *text = "z: 1\na:\n  - 'no'\n  - no\n  - |\n    x\n";
    il_arena *arena = il_arena_create(4096);
    il_problems problems = {.arena = arena};
    il_node *root = il_compose(arena, "p.yaml", text, strlen(text), &problems);
    il_node *list = il_node_get(root, "a");

    ck_assert_uint_eq(problems.count, 0);
    ck_assert_str_eq(root->items[0].key, "z");
    ck_assert_int_eq(root->items[1].place.line, 2);
    ck_assert_uint_eq(list->count, 3);
    ck_assert(list->items[0].value->quoted);
    ck_assert(!list->items[1].value->quoted);
    ck_assert(list->items[2].value->quoted);
    ck_assert_int_eq(list->items[1].value->place.line, 4);
    ck_assert_int_eq(list->items[1].value->place.column, 5);
    ck_assert_str_eq(list->items[1].value->place.file, "p.yaml");
    il_arena_destroy(arena);
}
END_TEST

static const char *const written[] = {
    "a: 1\n",
    "a: [1, x, 'no', \"- x\", '#', ': ', '', {b: {c: [d, [e]]}}]\n",
    "a:\nb: {}\nc: []\nd: ''\n",
    "\"a b\": 1\n'#': 2\n'-': 3\n'? ': 4\n\"x\\ny\": |\n  two\n  lines\n",
    "a: \"\\u2028 \\u0085 \\ufeff \\t \\r \\x1b \xc3\xa4 \xf0\x9f\x98\x80\"\n",
    "a: '\"quoted\" and \\ back'\nb: \"it's \\\"both\\\"\"\n",
    "a:\n  - b:\n      - {c: {d: {e: {f: g}}}}\n      - - - x\n",
    "a: two words\nb: -1.5e-3\nc: x>= 3\nd: a, b\ne: \"${env:X:-}\"\n",
    "- 1\n- [2, 3]\n- {a: b}\n",
    "just one\n",
};

START_TEST(what_is_written_reads_back_as_the_same_tree)
{
    il_arena *arena = il_arena_create(1 << 14);
    il_problems problems = {.arena = arena};
    il_node *tree;
    il_node *again;
    il_text yaml = {0};
    il_text one = {0};
    il_text two = {0};

    tree = il_compose(arena, "p.yaml", written[_i], strlen(written[_i]), &problems);
    ck_assert_ptr_nonnull(tree);
    il_node_write_yaml(&yaml, tree, false);
    again = il_compose(arena, "again.yaml", yaml.data, yaml.size, &problems);
    ck_assert_msg(problems.count == 0 && again != NULL, "wrote:\n%s", yaml.data);
    ck_assert_msg(il_node_equal(tree, again), "wrote:\n%s", yaml.data);
    il_node_write_canonical(&one, tree);
    il_node_write_canonical(&two, again);
    ck_assert_str_eq(one.data, two.data);
    il_text_free(&yaml);
    il_text_free(&one);
    il_text_free(&two);
    il_arena_destroy(arena);
}
END_TEST

START_TEST(canonical_text_sorts_keys_and_keeps_lists)
{
    const char *text = "b: [2, 1]\na: {d: \"x\\\"\", c: 1.0}\n";
    il_arena *arena = il_arena_create(4096);
    il_problems problems = {.arena = arena};
    il_text out = {0};

    il_node_write_canonical(&out,
                            il_compose(arena, "p.yaml", text, strlen(text), &problems));
    ck_assert_str_eq(out.data,
                     "{\"a\":{\"c\":\"1.0\",\"d\":\"x\\\"\"},\"b\":[\"2\",\"1\"]}");
    il_text_free(&out);
    il_arena_destroy(arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("composer");
    TCase *tc = tcase_create("composer");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tc, each_text_is_taken_or_refused_with_its_place, 0,
                        (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(tc, a_nul_byte_is_refused);
    tcase_add_test(tc, all_refusals_of_a_file_come_at_once_in_its_order);
    tcase_add_test(tc, an_alias_bomb_is_refused_and_never_expanded);
    tcase_add_test(tc, thirty_two_levels_are_taken_and_one_more_is_refused);
    tcase_add_test(tc, ten_thousand_values_are_taken_and_one_more_is_refused);
    tcase_add_test(tc, more_than_a_mebibyte_is_refused);
    tcase_add_test(tc, what_is_no_regular_file_is_a_problem_that_names_it);
    tcase_add_test(tc, places_quotes_and_order_are_kept);
    tcase_add_loop_test(tc, what_is_written_reads_back_as_the_same_tree, 0,
                        (int)(sizeof written / sizeof written[0]));
    tcase_add_test(tc, canonical_text_sorts_keys_and_keeps_lists);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
