/* Comparing arms and runs, from summaries written here. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "report/compare.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"

static char folder[] = "/tmp/il_compare_XXXXXX";
static char runs[2][64];

static void put(const char *path, const char *text)
{
    il_error err = {0};

    ck_assert_int_eq(il_file_write(path, text, strlen(text), &err), IL_OK);
}

#define ROW(variant, seed, lie)                                                        \
    "{\"stage\": \"loop\", \"variant\": \"" variant "\", \"seed\": " #seed             \
    ", \"metrics\": {\"lie\": " #lie "}}"

static void open_runs(void)
{
    il_error err = {0};
    char path[128];

    strcpy(folder, "/tmp/il_compare_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        (void)snprintf(runs[i], sizeof runs[i], "%s/%d", folder, i);
        ck_assert_int_eq(il_folder_make(runs[i], &err), IL_OK);
    }
    (void)snprintf(path, sizeof path, "%s/summary.json", runs[0]);
    put(path,
        "{\"name\": \"liar\", \"seeds\": [1, 2], \"rows\": [\n" ROW("monitor", 1, 0.5) ",\n" ROW(
            "monitor", 2,
            0.75) ",\n" ROW("naive", 1,
                            0.25) ",\n" ROW("naive", 2,
                                            0.25) ",\n" ROW("naive@w=2", 1,
                                                            0.125) ",\n" ROW("naive@w=2",
                                                                             3,
                                                                             1.0) "]}");
    (void)snprintf(path, sizeof path, "%s/summary.json", runs[1]);
    put(path,
        "{\"name\": \"liar\", \"seeds\": [2], \"rows\": [\n" ROW("naive", 2, 1.0) "]}");
}

static void close_runs(void)
{
    il_error err = {0};

    (void)il_folder_remove(folder, &err);
}

static const json_t *arm_of(const json_t *compared, size_t number)
{
    return json_array_get(json_object_get(json_array_get(compared, 0), "arms"), number);
}

static double at(const json_t *arm, const char *part, const char *key)
{
    const json_t *value = json_object_get(json_object_get(arm, part), key);

    ck_assert(json_is_number(value));
    return json_number_value(value);
}

START_TEST(each_arm_is_paired_with_its_twin_seed_by_seed)
{
    const char *folders[] = {runs[0]};
    il_comparison c = {.runs = folders, .run_count = 1, .margin = 0.1};
    json_t *compared = NULL;
    il_text text = {0};
    il_error err = {0};

    ck_assert_int_eq(il_compare(&c, &compared, &err), IL_OK);
    ck_assert_uint_eq(json_array_size(compared), 1);
    ck_assert_double_eq(at(arm_of(compared, 1), "paired", "2"), -0.5);
    ck_assert_double_eq(
        json_number_value(json_object_get(arm_of(compared, 1), "paired_mean")), -0.375);
    /* A point's twin is the arm without it; of seed 3 there is no twin. */
    ck_assert_double_eq(at(arm_of(compared, 2), "paired", "1"), -0.375);
    ck_assert_uint_eq(json_object_size(json_object_get(arm_of(compared, 2), "paired")),
                      1);
    ck_assert_double_eq(at(arm_of(compared, 2), "seeds", "3"), 1.0);
    ck_assert_ptr_null(json_object_get(arm_of(compared, 0), "paired"));
    /* Differences -.25 and -.5: two seeds can show no less than one half. */
    {
        const json_t *test = json_object_get(arm_of(compared, 1), "test");
        const json_t *within = json_object_get(arm_of(compared, 1), "equivalence");

        ck_assert_double_eq(json_number_value(json_object_get(test, "flip_p")), 0.5);
        ck_assert_double_eq(json_number_value(json_object_get(test, "floor_p")), 0.5);
        ck_assert(json_is_false(json_object_get(within, "shown")));
    }
    ck_assert_ptr_null(json_object_get(arm_of(compared, 2), "test"));
    il_compare_write(compared, &text);
    ck_assert_ptr_nonnull(strstr(text.data,
                                 "p 0.5 by sign flips (so many seeds can give "
                                 "no less)"));
    ck_assert_ptr_nonnull(strstr(text.data, "not shown to lie within 0.1"));
    ck_assert_ptr_nonnull(strstr(text.data, "   seed 1   seed 2   seed 3     mean\n"));
    ck_assert_ptr_nonnull(strstr(text.data, "less monitor"));
    ck_assert_ptr_nonnull(strstr(text.data, "  -0.250   -0.500        -   -0.375\n"));
    il_text_free(&text);
    json_decref(compared);
}
END_TEST

START_TEST(arms_of_several_runs_are_compared_with_the_one_that_is_named)
{
    const char *folders[] = {runs[0], runs[1]};
    const char *metrics[] = {"lie"};
    char against[80];
    il_comparison c = {.runs = folders,
                       .run_count = 2,
                       .metrics = metrics,
                       .metric_count = 1,
                       .against = against};
    json_t *compared = NULL;
    il_error err = {0};

    (void)snprintf(against, sizeof against, "%s:naive", runs[0]);
    ck_assert_int_eq(il_compare(&c, &compared, &err), IL_OK);
    ck_assert_uint_eq(
        json_array_size(json_object_get(json_array_get(compared, 0), "arms")), 4);
    ck_assert_double_eq(at(arm_of(compared, 3), "paired", "2"), 0.75);
    json_decref(compared);
}
END_TEST

START_TEST(a_comparison_is_a_page_with_its_data)
{
    const char *folders[] = {runs[0]};
    il_comparison c = {.runs = folders, .run_count = 1, .margin = 0.1};
    json_t *compared = NULL;
    il_text page = {0};
    il_error err = {0};

    ck_assert_int_eq(il_compare(&c, &compared, &err), IL_OK);
    il_compare_page(compared, &page);
    ck_assert(!page.failed);
    ck_assert_ptr_nonnull(strstr(page.data, "<h2>lie</h2>"));
    ck_assert_ptr_nonnull(strstr(page.data, "%0Aliar,naive,2,0.25,monitor,-0.5%0A"));
    /* Of seed 3 there is nothing to compare with. */
    ck_assert_ptr_nonnull(strstr(page.data, "naive@w=2,3,1.0,monitor,%22%22%0A"));
    ck_assert_ptr_nonnull(strstr(page.data, "<td class=\"words\">not shown</td>"));
    ck_assert_ptr_null(strstr(page.data, "<script"));
    il_text_free(&page);
    json_decref(compared);
}
END_TEST

START_TEST(what_nobody_has_is_refused)
{
    const char *folders[] = {runs[0]};
    const char *metrics[] = {"lies"};
    il_comparison c = {
        .runs = folders, .run_count = 1, .metrics = metrics, .metric_count = 1};
    json_t *compared = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_compare(&c, &compared, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'lies'"));
    ck_assert_ptr_null(compared);
    c.metric_count = 0;
    c.against = "nobody";
    ck_assert_int_eq(il_compare(&c, &compared, &err), IL_ERR_INPUT);
    folders[0] = "/nowhere";
    ck_assert_int_eq(il_compare(&c, &compared, &err), IL_ERR_IO);
}
END_TEST

START_TEST(a_path_that_no_json_can_hold_is_refused)
{
    char other[96];
    const char *folders[] = {runs[0], other};
    il_comparison c = {.runs = folders, .run_count = 2, .against = "naive"};
    json_t *compared = NULL;
    il_error err = {0};

    (void)snprintf(other, sizeof other, "%s/\xff", folder);
    ck_assert_int_eq(rename(runs[1], other), 0);
    ck_assert_int_eq(il_compare(&c, &compared, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "no UTF-8"));
    ck_assert_ptr_null(compared);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare");
    TCase *tc = tcase_create("compare");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, open_runs, close_runs);
    tcase_add_test(tc, each_arm_is_paired_with_its_twin_seed_by_seed);
    tcase_add_test(tc, arms_of_several_runs_are_compared_with_the_one_that_is_named);
    tcase_add_test(tc, a_comparison_is_a_page_with_its_data);
    tcase_add_test(tc, what_nobody_has_is_refused);
    tcase_add_test(tc, a_path_that_no_json_can_hold_is_refused);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
