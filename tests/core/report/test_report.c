#include "pages.h"
#include "report/html.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(the_page_names_every_variant_and_shows_every_seed)
{
    static const char *const names[] = {
        "monitor", "naive", "leaky", "placebo_shuffled", "frozen", "shadow", "fitted"};
    char *page = page_of(FIXTURE);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char cell[64];

        (void)snprintf(cell, sizeof cell, "<th scope=\"row\">%s<", names[i]);
        ck_assert_msg(strstr(page, cell) != NULL, "%s is missing", names[i]);
    }
    /* Seeds 1 and 2 of naive's detector, as the fixture has them, behind their mean. */
    ck_assert_ptr_nonnull(strstr(page, "seed 1: 0.444 ["));
    ck_assert_ptr_nonnull(strstr(page, "seed 2: 0.456 ["));
    ck_assert_ptr_nonnull(strstr(page, "<small>0.44 0.46</small>"));
    free(page);
}
END_TEST

START_TEST(the_four_cells_stand_in_a_table_of_their_own)
{
    static const char head[] =
        "<th scope=\"col\">y0w0</th><th scope=\"col\">y1w0</th><th scope=\"col\">y0w1</th>"
        "<th scope=\"col\">y1w1</th></tr></thead><tbody>\n";
    char *page = page_of(FIXTURE);
    const char *row = strstr(page, head);

    ck_assert_ptr_nonnull(row);
    row = strstr(row, "<th scope=\"row\">naive</th><td class=\"words\">probe</td>");
    ck_assert_ptr_nonnull(row);
    /* Of naive the text is flagged as before, under the weights of then alone. */
    ck_assert_ptr_nonnull(row = strstr(row, "seed 1: 0.894 ["));
    ck_assert_ptr_nonnull(row = strstr(row, "seed 1: 0.884 ["));
    ck_assert_ptr_nonnull(row = strstr(row, "seed 1: 0.014 ["));
    ck_assert_ptr_nonnull(row = strstr(row, "seed 1: 0.000 ["));
    free(page);

    put("summary.json", "{\"name\":\"x\",\"rows\":[{\"stage\":\"a\",\"seed\":1,"
                        "\"metrics\":{\"p.auroc\":0.9,\".cells.y0w0\":1}}]}");
    page = page_of(folder);
    ck_assert_ptr_null(strstr(page, ">y0w0</th>"));
    free(page);
}
END_TEST

START_TEST(the_page_is_closed_where_it_opens_and_loads_nothing)
{
    static const char *const tags[] = {"table", "tbody", "tr",      "ul",  "li",
                                       "div",   "p",     "details", "svg", "figure"};
    char *page = page_of(FIXTURE);

    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        char open[3][32];
        char close[32];

        (void)snprintf(open[0], sizeof open[0], "<%s>", tags[i]);
        (void)snprintf(open[1], sizeof open[1], "<%s ", tags[i]);
        (void)snprintf(open[2], sizeof open[2], "<%s\n", tags[i]);
        (void)snprintf(close, sizeof close, "</%s>", tags[i]);
        ck_assert_uint_eq(count(page, open[0]) + count(page, open[1]) +
                              count(page, open[2]),
                          count(page, close));
    }
    ck_assert_ptr_null(strstr(page, "<script"));
    ck_assert_uint_eq(count(page, "<link"), 1);
    ck_assert_ptr_nonnull(strstr(page, "<link rel=\"icon\" href=\"data:,\">"));
    ck_assert_ptr_null(strstr(page, "src="));
    ck_assert_ptr_null(strstr(page, "http"));
    ck_assert_ptr_null(strstr(page, "@import"));
    free(page);
}
END_TEST

START_TEST(open_channels_lowered_demands_and_certificates_are_shown)
{
    char *page = page_of(FIXTURE);

    ck_assert_ptr_nonnull(strstr(page, "By name in:</b> naive, leaky"));
    ck_assert_ptr_nonnull(strstr(page, "language -&gt; blocks.3.mlp.W_out"));
    ck_assert_ptr_nonnull(strstr(page, "<td class=\"open\">open</td>"));
    ck_assert_ptr_nonnull(strstr(page, "changed no bit of what is protected in 200"));
    ck_assert_ptr_nonnull(strstr(page, "first changed <code>blocks.2.mlp.W_in"));
    free(page);
}
END_TEST

START_TEST(hostile_names_stay_text)
{
    char *page;

    put("summary.json",
        "{\"name\":\"<script>alert(1)</script>\",\"seeds\":[1],"
        "\"verdict\":\"\\\"><img src=x>\",\"rows\":[{\"stage\":\"<b>'`id`\\\"\","
        "\"seed\":1,\"metrics\":{\"lie<i>\":0.5,\"p.auroc\":0.9}}]}");
    put("plan.json",
        "{\"variants\":[{\"stage\":\"<b>\",\"signals\":[{\"name\":\"<u>x\"}],"
        "\"groups\":[\"<s>\"],\"updates\":[[1]]}]}");
    page = page_of(folder);
    ck_assert_ptr_null(strstr(page, "<script"));
    ck_assert_ptr_null(strstr(page, "<img"));
    ck_assert_ptr_null(strstr(page, "<u>x"));
    ck_assert_ptr_null(strstr(page, "<s>"));
    ck_assert_ptr_null(strstr(page, "lie<i>"));
    ck_assert_ptr_nonnull(strstr(page, "&lt;script&gt;alert(1)"));
    free(page);
}
END_TEST

/* Every link within the page has its target, and every table's heads their scope. */
START_TEST(links_within_the_page_lead_somewhere)
{
    char *page = page_of(FIXTURE);

    for (const char *at = page; (at = strstr(at, "href=\"#")) != NULL; at++) {
        char target[80];

        (void)snprintf(target, sizeof target, "id=\"%.*s\"", (int)strcspn(at + 7, "\""),
                       at + 7);
        ck_assert_msg(strstr(page, target) != NULL, "%s is missing", target);
    }
    ck_assert_uint_eq(count(page, "<th>"), 0);
    ck_assert_uint_eq(count(page, "<svg class=\"panel\" role=\"img\""),
                      count(page, "<svg class=\"panel\""));
    ck_assert_uint_eq(count(page, "<svg class=\"panel\""), count(page, "</desc>"));
    free(page);
}
END_TEST

START_TEST(a_figures_data_is_a_link_to_a_table_of_every_seed)
{
    char *page = page_of(FIXTURE);
    const char *link = strstr(page, "download=\"differences.csv\"");

    ck_assert_ptr_nonnull(link);
    ck_assert_ptr_nonnull(strstr(
        link, "href=\"data:text/csv;charset=utf-8,metric,run,role,against,seed,"));
    ck_assert_ptr_nonnull(strstr(link, "%0Aprobe.auroc,naive,twin,monitor,2,-0."));
    free(page);
}
END_TEST

START_TEST(wrong_types_are_refused_with_file_and_key)
{
    static const char *const bad[][4] = {
        {"summary.json", "[]", "summary.json", "expected an object"},
        {"summary.json", "{\"name\":3,\"rows\":[]}", "summary.json",
         "name: expected a string, got an integer"},
        {"summary.json", "{\"name\":\"x\"}", "summary.json",
         "rows: expected an array, got nothing"},
        {"summary.json", "{\"name\":\"x\",\"rows\":[{\"stage\":\"a\",\"seed\":\"1\"}]}",
         "summary.json", "rows[0].seed: expected an integer, got a string"},
        {"summary.json",
         "{\"name\":\"x\",\"rows\":[{\"stage\":\"a\",\"seed\":1,\"metrics\":{\"lie\":\"0\"}}]}",
         "summary.json", "rows[0].metrics.lie: expected a number, got a string"},
        {"summary.json", "{\"name\":\"x\",\"rows\":[{\"stage\":\"../a\",\"seed\":1}]}",
         "summary.json", "cannot be the name"},
        {"summary.json", "{\"name\":\"x\",\"rows\":[}", "summary.json", "line 1"},
        {"plan.json", "{\"variants\":{}}", "plan.json",
         "variants: expected an array, got an object"},
        {"plan.json",
         "{\"variants\":[{\"stage\":\"a\",\"signals\":[{\"name\":\"s\"}],"
         "\"groups\":[\"g\"],\"updates\":[[1,1]]}]}",
         "plan.json", "variants[0].updates"},
        {"plan.json",
         "{\"variants\":[{\"stage\":\"a\",\"pairs\":[{\"source\":\"p\",\"reader\":\"p\","
         "\"channels\":{\"direct\":{\"open\":\"yes\"}}}]}]}",
         "plan.json", "open: expected a truth value"},
        {"a/seed-1/metrics.jsonl", "{\"step\":1,\"audit\":{\"p.auroc\":[]}}\n",
         "metrics.jsonl", "line 1.audit.p.auroc: expected a number, got an array"},
        {"a/seed-1/audit.json", "{\"metrics\":{\"p.auroc\":0.5}}", "audit.json",
         "metrics.p.auroc: expected an object"},
        {"certificates.json", "{}", "certificates.json", "expected an array"},
        {"conclusions.json", "[]", "conclusions.json", "expected an object"},
        {"conclusions.json", "{\"arms\":[{\"stage\":1}]}", "conclusions.json",
         "arms[0].stage: expected a string"},
        {"conclusions.json", "{\"arms\":[{\"stage\":\"a\",\"claims\":[{}]}]}",
         "conclusions.json", "arms[0].metric: expected a string"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *path = il_path_join(folder, bad[i][0]);

        put("summary.json", "{\"name\":\"x\",\"rows\":[{\"stage\":\"a\",\"seed\":1}]}");
        put(bad[i][0], bad[i][1]);
        assert_refused(bad[i][2], bad[i][3]);
        ck_assert_int_eq(unlink(path), 0);
        free(path);
    }
}
END_TEST

/* The label of a pair as the figure of differences writes it. */
START_TEST(who_calls_itself_a_twin_is_taken_from_the_others)
{
    char *page;

    put("summary.json",
        "{\"name\": \"x\", \"seeds\": [1], \"rows\": ["
        "{\"stage\": \"s\", \"variant\": \"calm\", \"seed\": 1, \"metrics\": "
        "{\"t.auroc\": 0.9}},"
        "{\"stage\": \"s\", \"variant\": \"near\", \"seed\": 1, \"metrics\": "
        "{\"t.auroc\": 0.7}},"
        "{\"stage\": \"s\", \"variant\": \"hard\", \"seed\": 1, \"metrics\": "
        "{\"t.auroc\": 0.5}},"
        "{\"stage\": \"s\", \"variant\": \"soft\", \"seed\": 1, \"metrics\": "
        "{\"t.auroc\": 0.6}}]}");
    put("plan.json", "{\"variants\": ["
                     "{\"stage\": \"s\", \"variant\": \"calm\", \"twin_of\": \"all\"},"
                     "{\"stage\": \"s\", \"variant\": \"near\", \"twin_of\": \"soft\"},"
                     "{\"stage\": \"s\", \"variant\": \"hard\"},"
                     "{\"stage\": \"s\", \"variant\": \"soft\"}]}");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page, "hard \xe2\x88\x92 calm"));
    ck_assert_ptr_nonnull(strstr(page, "near \xe2\x88\x92 calm"));
    ck_assert_ptr_nonnull(strstr(page, "soft \xe2\x88\x92 near"));
    ck_assert_ptr_null(strstr(page, "calm \xe2\x88\x92 "));
    ck_assert_ptr_null(strstr(page, "soft \xe2\x88\x92 calm"));
    free(page);
}
END_TEST

/* A run over episodes: three prices of one family, and a trigger. */
static void put_episodes(void)
{
    static const char *const arms[][3] = {{"soft_1", "1.0", "null"},
                                          {"soft_2", "2.0", "null"},
                                          {"soft_3", "3.0", "null"},
                                          {"hard", "1.0", "0.75"}};
    char summary[4096] = "{\"name\": \"x\", \"seeds\": [1], \"rows\": [";
    char plan[4096] = "{\"variants\": [";

    for (size_t i = 0; i < 4; i++) {
        char one[512];
        char path[64];

        (void)snprintf(one, sizeof one,
                       "%s{\"stage\": \"s\", \"variant\": \"%s\", \"seed\": 1, "
                       "\"metrics\": {\"t.own.mean\": 0.2, \"t.own.tpr\": 0.4, "
                       "\"t.own.recall_gap\": 0.5, \"harm\": 0.%zu, \"task\": 20}}",
                       i > 0 ? "," : "", arms[i][0], i + 1);
        (void)strcat(summary, one);
        (void)snprintf(
            one, sizeof one,
            "%s{\"stage\": \"s\", \"variant\": \"%s\", \"signals\": [{\"name\": "
            "\"p\", \"channel\": \"reward\", \"source\": \"t\", \"detector\": true, "
            "\"weight\": %s, \"trigger\": %s}], \"groups\": [], \"updates\": [[]], "
            "\"pairs\": [{\"source\": \"t\", \"reader\": \"t\", \"channels\": {}}]}",
            i > 0 ? "," : "", arms[i][0], arms[i][1], arms[i][2]);
        (void)strcat(plan, one);
        (void)snprintf(path, sizeof path, "s/%s/seed-1/metrics.jsonl", arms[i][0]);
        put(path, "{\"step\": 0, \"t.own.mean\": 0.4, \"t.own.conceal\": 0.0}\n"
                  "{\"step\": 100, \"t.own.mean\": 0.2, \"t.own.conceal\": 0.1}\n");
    }
    put("summary.json", strcat(summary, "]}"));
    put("plan.json", strcat(plan, "]}"));
}

START_TEST(episodes_have_figures_of_their_own)
{
    char *page;

    put_episodes();
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page, "What is true and what is read"));
    ck_assert_ptr_nonnull(strstr(page, "Recall at the first threshold"));
    ck_assert_ptr_nonnull(strstr(page, "The price of a reading"));
    /* The first graded arm and the one above 0.75; a return of 20 is no share. */
    ck_assert_ptr_nonnull(
        strstr(page, "<th scope=\"col\">graded</th><th scope=\"col\">above 0.75</th>"));
    ck_assert_ptr_nonnull(
        strstr(page, "<b>soft_1</b><br>harm 0.10<small> 0.10</small>"));
    ck_assert_ptr_nonnull(strstr(page, "<b>hard</b><br>harm 0.40<small> 0.40</small>"));
    ck_assert_ptr_null(strstr(page, "<br>task"));
    free(page);

    page = page_of(FIXTURE);
    ck_assert_ptr_null(strstr(page, "What is true and what is read"));
    ck_assert_ptr_null(strstr(page, "The price of a reading"));
    ck_assert_ptr_null(strstr(page, "what triggers"));
    free(page);
}
END_TEST

START_TEST(every_seeds_outcome_stands_with_what_decides_it)
{
    char *page;

    put("summary.json",
        "{\"name\": \"x\", \"rows\": [{\"stage\": \"rl\", \"variant\": \"loss\", "
        "\"seed\": 4, \"outcome\": \"obfuscated_activations\", \"metrics\": "
        "{\"hack\": 0.97, \"hidden\": 0.061, \"d.auroc\": 0.5}}, {\"stage\": "
        "\"rl\", \"variant\": \"none\", \"seed\": 4, \"metrics\": {\"hack\": 0.5}}]}");
    put("rl/loss/seed-4/audit.json",
        "{\"metrics\": {}, \"outcome\": {\"class\": \"obfuscated_activations\", "
        "\"inputs\": {\"behaviour\": 0.97, \"good\": 0.013, \"flag_now\": 0.04, "
        "\"flag_then\": 0.89, \"kept\": 0.12}, \"margin\": 0.39, \"next\": \"obfuscated_policy\", "
        "\"probability\": {\"obfuscated_activations\": 0.991}}}");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page, "What became of each seed"));
    ck_assert_ptr_nonnull(strstr(page,
                                 "<b>obfuscated activations</b></td><td>0.99</td>"
                                 "<td>0.97</td><td>0.01</td><td>0.04</td><td>0.89</td>"
                                 "<td>0.12</td><td>0.06</td>"));
    ck_assert_ptr_nonnull(
        strstr(page, "<td>0.39</td><td class=\"words\">obfuscated policy</td>"));
    ck_assert_uint_eq(count(page, "<td>4</td>"), 3); /* and two states */
    free(page);

    page = page_of(FIXTURE);
    ck_assert_ptr_null(strstr(page, "What became of each seed"));
    free(page);
}
END_TEST

START_TEST(a_torn_last_line_is_left_out)
{
    char *page;

    put("summary.json", "{\"name\":\"x\",\"rows\":[{\"stage\":\"a\",\"seed\":1,"
                        "\"metrics\":{\"p.auroc\":0.9}}]}");
    put("a/seed-1/metrics.jsonl", "{\"step\":1,\"audit\":{\"p.auroc\":0.9}}\n"
                                  "{\"step\":2,\"audit\":{\"p.auroc\":0.9}}\n{\"ste");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page, "The detector over training"));
    free(page);
}
END_TEST

START_TEST(numbers_beside_the_step_are_drawn_too)
{
    char *page;

    put("summary.json", "{\"name\":\"x\",\"rows\":[{\"stage\":\"a\",\"seed\":1,"
                        "\"metrics\":{\"p.auroc\":0.9}}]}");
    put("a/seed-1/metrics.jsonl", "{\"step\":0,\"p.auroc\":0.9}\n"
                                  "{\"step\":1,\"loss.language\":2.5}\n"
                                  "{\"step\":1,\"p.auroc\":0.8}\n");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page, "The detector over training"));
    free(page);
}
END_TEST

START_TEST(a_folder_that_is_no_run_is_refused)
{
    il_error err = {0};

    ck_assert_int_ne(il_report_write(folder, NULL, &err), IL_OK);
    ck_assert_ptr_nonnull(strstr(err.where, "summary.json"));
}
END_TEST

START_TEST(the_text_table_takes_its_columns_from_what_was_measured)
{
    il_text table = {0};
    il_error err = {0};

    ck_assert_int_eq(il_report_table(FIXTURE, &table, &err), IL_OK);
    ck_assert_ptr_nonnull(strstr(table.data, "det = probe.auroc"));
    ck_assert_ptr_nonnull(strstr(table.data, "ff = probe.flag_now"));
    ck_assert_ptr_nonnull(strstr(table.data, "  mean"));
    il_text_free(&table);

    /* An empty variant is none. */
    put("summary.json",
        "{\"name\":\"x\",\"rows\":[{\"stage\":\"a\",\"variant\":\"\",\"seed\":7,"
        "\"metrics\":{\"spy.auroc\":0.25,\"harm\":0.5,\"spy.gap.auroc\":-0.5,"
        "\"fresh.linear@blocks.3.hook_resid_post.auroc\":1}}]}");
    ck_assert_int_eq(il_report_table(folder, &table, &err), IL_OK);
    ck_assert_str_eq(
        table.data,
        "          seed     det     gap    harm   lin@3\n"
        "a            7   0.250  -0.500   0.500   1.000\n"
        "det = spy.auroc, gap = spy.gap.auroc, lin@3 = fresh.linear@blocks.3.hook_resid_post"
        ".auroc\n");
    il_text_free(&table);
}
END_TEST

START_TEST(numbers_are_rounded_without_the_locale)
{
    il_text t = {0};

    il__number_text(&t, 0.9996, 3);
    il_text_add(&t, " ");
    il__number_text(&t, -0.0001, 3);
    il_text_add(&t, " ");
    il__number_text(&t, -12.5, 1);
    ck_assert_str_eq(t.data, "1.000 0.000 -12.5");
    il_text_free(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report");
    TCase *t = tcase_create("report");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_page_names_every_variant_and_shows_every_seed);
    tcase_add_test(t, the_four_cells_stand_in_a_table_of_their_own);
    tcase_add_test(t, the_page_is_closed_where_it_opens_and_loads_nothing);
    tcase_add_test(t, open_channels_lowered_demands_and_certificates_are_shown);
    tcase_add_test(t, hostile_names_stay_text);
    tcase_add_test(t, links_within_the_page_lead_somewhere);
    tcase_add_test(t, a_figures_data_is_a_link_to_a_table_of_every_seed);
    tcase_add_test(t, wrong_types_are_refused_with_file_and_key);
    tcase_add_test(t, who_calls_itself_a_twin_is_taken_from_the_others);
    tcase_add_test(t, episodes_have_figures_of_their_own);
    tcase_add_test(t, every_seeds_outcome_stands_with_what_decides_it);
    tcase_add_test(t, a_torn_last_line_is_left_out);
    tcase_add_test(t, numbers_beside_the_step_are_drawn_too);
    tcase_add_test(t, a_folder_that_is_no_run_is_refused);
    tcase_add_test(t, the_text_table_takes_its_columns_from_what_was_measured);
    tcase_add_test(t, numbers_are_rounded_without_the_locale);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed > 0;
}
