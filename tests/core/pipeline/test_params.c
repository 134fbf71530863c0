/* A component's params against its table. */
#include "pipeline/params.h"
#include "support.h"
#include "pipeline/composer.h"

static const char *const modes[] = {"fast", "slow", NULL};
static const il_param_spec specs[] = {
    IL_PARAM_INT("heads", "4", 1, 64, "heads", "attention heads"),
    IL_PARAM_REAL("rate", "0.5", 0, 1, "", "a rate"),
    IL_PARAM_FLAG("tied", "true", "whether tied"),
    IL_PARAM_TEXT("root", "", IL_PARAM_PATH, "a folder"),
    IL_PARAM_CHOICE("mode", "fast", modes, "how"),
};
static const il_param_spec needed[] = {
    IL_PARAM_TEXT("file", NULL, IL_PARAM_REQUIRED, "the file to read"),
    IL_PARAM_TEXT("token", "none", IL_PARAM_SECRET, "a secret"),
};
enum { COUNT = sizeof specs / sizeof specs[0] };

static bool check(fixture *f, const char *yaml, const il_param_spec *table,
                  size_t count, il_param_value *values)
{
    il_place place = {"use.yaml", 9, 9};
    il_node *node = yaml != NULL ? il_compose(f->arena, "dir/p.yaml", yaml,
                                              strlen(yaml), &f->problems)
                                 : NULL;

    return il_params_check(f->arena, node, "model 'm'", place, table, count, values,
                           &f->problems);
}

START_TEST(defaults_fill_what_is_left_out)
{
    il_param_value v[COUNT];
    il_text text = {0};
    fixture f;

    fixture_open(&f);
    ck_assert(check(&f, NULL, specs, COUNT, v));
    ck_assert_int_eq(v[0].integer, 4);
    ck_assert(v[1].real == 0.5);
    ck_assert(v[2].flag);
    ck_assert_str_eq(v[3].text, "");
    ck_assert_str_eq(v[4].text, "fast");
    ck_assert(!v[0].given);
    il_param_values_write(&text, v, COUNT);
    ck_assert_str_eq(text.data, "{\"heads\":4,\"rate\":0.5,\"tied\":true,\"root\":\"\","
                                "\"mode\":\"fast\"}");
    il_text_free(&text);
    fixture_close(&f);
}
END_TEST

START_TEST(given_values_are_typed_by_the_table)
{
    il_param_value v[COUNT];
    fixture f;

    fixture_open(&f);
    ck_assert(check(&f, "{heads: 8, rate: 1e-3, tied: false, root: /x, mode: slow}",
                    specs, COUNT, v));
    ck_assert_int_eq(il_param_value_find(v, COUNT, "heads")->integer, 8);
    ck_assert(v[1].real == 1e-3);
    ck_assert(!v[2].flag && v[2].given);
    ck_assert_str_eq(v[3].text, "/x");
    ck_assert_str_eq(v[4].text, "slow");
    ck_assert_ptr_null(il_param_value_find(v, COUNT, "none"));
    fixture_close(&f);
}
END_TEST

START_TEST(a_path_is_relative_to_its_file)
{
    il_param_value v[COUNT];
    fixture f;

    fixture_open(&f);
    ck_assert(check(&f, "{root: data/x}", specs, COUNT, v));
    ck_assert_int_eq(v[3].text[0], '/');
    ck_assert_ptr_nonnull(strstr(v[3].text, "dir/data/x"));
    fixture_close(&f);
}
END_TEST

typedef struct bad_case {
    const char *yaml;
    const char *problem;
} bad_case;

static const bad_case bad[] = {
    {"{head: 8}", "dir/p.yaml:1:2: error: model 'm' has no parameter 'head', did you "
                  "mean 'heads'?"},
    {"{zzzzzz: 8}", "expected heads, rate, tied, root or mode"},
    {"{heads: 0}", "expected a whole number from 1 to 64 (heads), found '0'"},
    {"{heads: 65}", "found '65'"},
    {"{heads: 2.5}", "found '2.5'"},
    {"{heads: '2'}", "quotes make it a string"},
    {"{heads: [2]}", "found a list"},
    {"{heads: }", "found nothing"},
    {"{rate: 1.1}", "expected a number from 0.0 to 1.0, found '1.1'"},
    {"{rate: nan}", "found 'nan'"},
    {"{tied: yes}", "expected true or false, found 'yes'"},
    {"{root: {a: b}}", "expected text for `root`, found a map"},
    {"{mode: fats}", "did you mean 'fast'?"},
    {"{mode: [a]}", "a list is no value of `mode`"},
    {"[1]", "expected a map of parameters, found a list"},
};

START_TEST(each_bad_value_is_refused_with_what_would_do)
{
    il_param_value v[COUNT];
    fixture f;

    fixture_open(&f);
    ck_assert(!check(&f, bad[_i].yaml, specs, COUNT, v));
    fixture_expect(&f, bad[_i].problem);
    fixture_close(&f);
}
END_TEST

START_TEST(a_required_one_is_asked_for_where_the_component_is_used)
{
    il_param_value v[2];
    il_text text = {0};
    fixture f;

    fixture_open(&f);
    ck_assert(!check(&f, NULL, needed, 2, v));
    fixture_expect(&f, "use.yaml:9:9: error: model 'm' needs the parameter `file`: the "
                       "file to read");
    fixture_close(&f);
    fixture_open(&f);
    ck_assert(check(&f, "{file: a, token: hush}", needed, 2, v));
    il_param_values_write(&text, v, 2);
    ck_assert_str_eq(text.data, "{\"file\":\"a\"}");
    il_text_free(&text);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("params");

    tcase_add_test(tc, defaults_fill_what_is_left_out);
    tcase_add_test(tc, given_values_are_typed_by_the_table);
    tcase_add_test(tc, a_path_is_relative_to_its_file);
    tcase_add_loop_test(tc, each_bad_value_is_refused_with_what_would_do, 0,
                        (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tc, a_required_one_is_asked_for_where_the_component_is_used);
    return run_case(tc);
}
