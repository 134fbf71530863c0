#include "pages.h"
#include "base/text.h"

/* A row of one seed, with a role. */
static void add_row(il_text *t, const char *variant, const char *role,
                    const char *compared, const char *metrics)
{
    il_text_addf(t,
                 "%s{\"stage\": \"s\", \"variant\": \"%s\", \"seed\": 1, \"role\": "
                 "\"%s\"%s, \"metrics\": {%s}}",
                 t->size > 0 ? "," : "", variant, role, compared, metrics);
}

/* What was concluded of an arm: a difference of the detector with its interval. */
static void add_arm(il_text *t, const char *variant, const char *difference,
                    const char *holds, const char *sentence)
{
    il_text_addf(
        t,
        "%s{\"stage\": \"s\", \"variant\": \"%s\", \"role\": \"pressed\", \"seeds\": [1], "
        "\"claims\": [{\"metric\": \"t.auroc\", \"versus\": \"twin\", \"against\": \"calm\", "
        "\"rank\": \"primary\", %s, \"alive\": {\"margin\": 0.05, \"p\": 0.01, \"holds\": "
        "%s}}], \"tax\": [{\"metric\": \"acc\", \"versus\": \"twin\", \"mean\": -0.012, "
        "\"low\": -0.03, \"high\": 0.006}], \"without\": \"placebo: turned off\", "
        "\"sentence\": \"%s\"}",
        t->size > 0 ? "," : "", variant, difference, holds, sentence);
}

/* Three pressed arms whose claims come out in all three ways, a twin and a placebo. */
static void put_conclusions(void)
{
    static const char pressed[] = "\"lie\": 0.5, \"t.auroc\": 0.5, \"t.mean\": 0.2, "
                                  "\"t.tpr\": 0.1";
    static const char compared[] = ", \"twin\": \"calm\", \"placebos\": [\"noise\"]";
    il_text rows = {0};
    il_text arms = {0};
    il_text file = {0};

    add_row(&rows, "hard", "pressed", compared, pressed);
    add_row(&rows, "soft", "pressed", compared, pressed);
    add_row(&rows, "odd", "pressed", compared, pressed);
    add_row(&rows, "calm", "twin", "",
            "\"lie\": 0.9, \"t.auroc\": 0.9, \"t.mean\": 0.6");
    add_row(&rows, "noise", "placebo", "",
            "\"lie\": 0.8, \"t.auroc\": 0.8, \"t.mean\": 0.5");
    il_text_addf(&file, "{\"name\": \"x\", \"seeds\": [1], \"rows\": [%s]}", rows.data);
    put("summary.json", file.data);
    il_text_free(&file);

    add_arm(&arms, "hard", "\"mean\": -0.4, \"low\": -0.5, \"high\": -0.3", "false",
            "hard fell & <fell>");
    add_arm(&arms, "soft", "\"mean\": 0, \"low\": -0.01, \"high\": 0.01", "true",
            "soft stayed");
    add_arm(&arms, "odd", "\"mean\": -0.04, \"low\": -0.1, \"high\": 0.02", "false",
            "odd may");
    il_text_addf(
        &file,
        "{\"interloop\": 1, \"endpoint\": {\"metric\": \"t.auroc\", \"versus\": "
        "\"twin\", \"margin\": 0.05, \"declared\": true}, \"selection\": "
        "{\"alternatives\": 8, \"bits\": 3, \"over\": []}, \"arms\": [%s]}",
        arms.data);
    put("conclusions.json", file.data);
    il_text_free(&file);
    il_text_free(&rows);
    il_text_free(&arms);
}

START_TEST(the_first_screen_says_who_is_alive_and_by_whose_words)
{
    char *page;

    put_conclusions();
    page = page_of(folder);
    ck_assert_ptr_nonnull(
        strstr(page, "<b>t</b> is alive in 1, has fallen in 1, is shown to be "
                     "neither alive nor fallen in 1; 1 seed each."));
    ck_assert_ptr_nonnull(strstr(page, "fallen</span> hard</li>"));
    ck_assert_ptr_nonnull(strstr(page, "alive</span> soft</li>"));
    ck_assert_ptr_nonnull(strstr(page, "not shown</span> odd</li>"));
    ck_assert_ptr_nonnull(strstr(page, "hard fell &amp; &lt;fell&gt;"));
    ck_assert_ptr_nonnull(
        strstr(page, "<td>-0.012<small>-0.030 to +0.006</small></td>"));
    ck_assert_ptr_nonnull(strstr(page, "<li>odd has no placebo: turned off</li>"));
    ck_assert_ptr_nonnull(strstr(page, "<b>3.0 bits</b>"));
    ck_assert_ptr_nonnull(strstr(page, "declared before the run: <b>t.auroc</b>"));
    /* Run, twin and placebo of each of three, by seed. */
    ck_assert_ptr_nonnull(
        strstr(page, "%0Ahard,noise,placebo,1,0.5,0.8%0Ahard,calm,twin,1,0.6,0.9%0A"
                     "hard,hard,run,1,0.2,0.5%0A"));
    ck_assert_ptr_nonnull(strstr(page, "hard \xe2\x88\x92 noise"));
    free(page);
}
END_TEST

START_TEST(what_nobody_concluded_is_said_to_be_missing)
{
    char *page = page_of(FIXTURE);

    ck_assert_ptr_nonnull(strstr(page, "has not been judged by a margin"));
    ck_assert_ptr_nonnull(strstr(page, "measured and nothing concluded"));
    ck_assert_ptr_nonnull(strstr(page, "No outcome was classed in this run."));
    ck_assert_ptr_nonnull(strstr(page, "nothing is on record of what it cost"));
    ck_assert_uint_eq(count(page, "alive</span>"), 0);
    free(page);
}
END_TEST

START_TEST(ledger_and_credit_are_drawn_for_who_is_pressed)
{
    char *page;

    put_conclusions();
    put("s/hard/seed-1/ledger.json",
        "{\"every\": 50, \"signals\": {\"evade\": {\"norm\": 0.5, \"cosine\": -0.25, "
        "\"channel\": \"loss\", \"reader\": \"t\", \"readers\": {\"t\": {\"read\": "
        "{\"work\": 0.75}, \"rest\": {\"work\": 0.125}}}}}}");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page, "<figure id=\"ledger\">"));
    ck_assert_ptr_nonnull(strstr(page, "%0Ahard,1,evade,loss,0.75,0.125,0.5,-0.25%0A"));
    free(page);
    put("s/hard/seed-1/credit.json",
        "{\"step\": 9, \"signals\": {\"evade\": {\"channel\": \"reward\", \"positions\": "
        "[{\"position\": 0, \"sent\": 0.5, \"received\": 0.25}, {\"position\": 1, "
        "\"sent\": 0.125, \"received\": 0}], \"tokens\": [{\"token\": \"<b>\", \"size\": "
        "0.75}], \"action\": {\"verdict\": \"drops_out\"}}}}");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page, "<b>evade</b> in hard does not depend on the "
                                       "action in 1 of 1 seeds"));
    ck_assert_ptr_nonnull(strstr(page, "%0A%22hard,%20evade%22,1,sent,1.0,0.125%0A"));
    ck_assert_ptr_nonnull(strstr(page, "<code>&lt;b&gt;</code></th><td>0.7500</td>"));
    free(page);
    put("s/hard/seed-1/ledger.json", "{\"signals\": {\"evade\": 3}}");
    assert_refused("ledger.json", "signals.evade: expected an object");
}
END_TEST

START_TEST(an_arms_outcome_is_told_with_its_mixture_and_its_course)
{
    char *page;

    put("summary.json",
        "{\"name\": \"x\", \"seeds\": [1, 2], \"rows\": [{\"stage\": \"s\", "
        "\"seed\": 1, \"role\": \"pressed\", \"metrics\": {\"hack\": 1}}, "
        "{\"stage\": \"s\", \"seed\": 2, \"role\": \"pressed\", \"metrics\": "
        "{\"hack\": 1}}]}");
    put("conclusions.json",
        "{\"arms\": [{\"stage\": \"s\", \"role\": \"pressed\", \"outcome\": {\"class\": "
        "\"blatant\", \"probability\": {\"blatant\": 0.75, \"mixed\": 0.25}, \"low\": "
        "{\"blatant\": 0.5}, \"high\": {\"blatant\": 0.875}, \"mix\": {\"blatant\": 0.7, "
        "\"obfuscated_policy\": 0.3, \"both\": 0}, \"seeds\": [{\"seed\": 1, \"class\": "
        "\"blatant\", \"margin\": 0.25, \"next\": \"mixed\", \"course\": {\"audits\": 4, "
        "\"behaviour\": 20, \"blind\": 60, \"lag\": 40}}, {\"seed\": 2, \"class\": \"mixed\", "
        "\"margin\": 0.125, \"next\": \"honest\", \"course\": {\"audits\": 4}}]}}]}");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(
        page,
        "<b>blatant</b><small>0.70 blatant, 0.30 obfuscated policy</small></td><td>1 of "
        "2</td><td>0.75<small>0.50 to 0.88</small></td><td>0.25</td><td "
        "class=\"words\">mixed</td><td>20 &middot;</td><td>60 &middot;</td><td>40 "
        "&middot;</td>"));
    ck_assert_ptr_nonnull(
        strstr(page, "<b>mixed</b></td><td>1 of 2</td><td>0.25</td>"));
    free(page);
}
END_TEST

START_TEST(a_halt_is_said_with_its_step_and_seed)
{
    char *page;

    put("summary.json",
        "{\"name\": \"x\", \"seeds\": [1, 2], \"rows\": [{\"stage\": \"s\", \"seed\": 1, "
        "\"metrics\": {\"guard.fired\": 100, \"guard.kept\": 50, \"lie\": 0}}, {\"stage\": "
        "\"s\", \"seed\": 2, \"metrics\": {\"lie\": 0}}]}");
    page = page_of(folder);
    ck_assert_ptr_nonnull(strstr(page,
                                 "<b>guard</b> in s fired at step 100 (seed 1, the "
                                 "state of step 50 kept).</p>"));
    free(page);
}
END_TEST

START_TEST(many_runs_share_a_page_and_one_that_cannot_be_read_is_named)
{
    char *nowhere = il_path_join(folder, "nowhere");
    char *path = il_path_join(folder, "runs.html");
    const char *runs[] = {FIXTURE, folder, nowhere};
    size_t unread = 0;
    char *page;
    size_t size;
    il_error err = {0};

    put_conclusions();
    ck_assert_msg(il_report_write_many(runs, 3, path, &unread, &err) == IL_OK, "%s: %s",
                  err.where, err.message);
    ck_assert_uint_eq(unread, 1);
    ck_assert_int_eq(il_file_read(path, (size_t)1 << 24, &page, &size, &err), IL_OK);
    /* Four of the fixture, of which nothing is concluded, and three of the other. */
    ck_assert_ptr_nonnull(strstr(
        page, "2 runs, 7 arms under pressure: the detector is alive in <b>1</b>, "
              "fallen in <b>1</b>, shown to be neither in <b>1</b>, not judged in "
              "<b>4</b>; 11 seeds"));
    ck_assert_ptr_nonnull(strstr(page, "Left out: "));
    ck_assert_ptr_nonnull(strstr(page, "nowhere/summary.json"));
    ck_assert_ptr_nonnull(strstr(page, "%0Arun,naive,run,2,probe.mean,lie,"));
    ck_assert_ptr_nonnull(strstr(page, ": hard</th>"));
    ck_assert_ptr_nonnull(strstr(page, "hard fell &amp; &lt;fell&gt;"));
    ck_assert_ptr_nonnull(strstr(page, "<b>3.0 bits</b>"));
    free(page);

    runs[0] = nowhere;
    ck_assert_int_ne(il_report_write_many(runs, 1, path, NULL, &err), IL_OK);
    ck_assert_ptr_nonnull(strstr(err.where, "nowhere/summary.json"));
    free(nowhere);
    free(path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verdict");
    TCase *t = tcase_create("verdict");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_first_screen_says_who_is_alive_and_by_whose_words);
    tcase_add_test(t, what_nobody_concluded_is_said_to_be_missing);
    tcase_add_test(t, ledger_and_credit_are_drawn_for_who_is_pressed);
    tcase_add_test(t, an_arms_outcome_is_told_with_its_mixture_and_its_course);
    tcase_add_test(t, a_halt_is_said_with_its_step_and_seed);
    tcase_add_test(t, many_runs_share_a_page_and_one_that_cannot_be_read_is_named);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed > 0;
}
