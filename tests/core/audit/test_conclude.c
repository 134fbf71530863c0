/* Conclusions: numbers against those worked out by hand, few seeds, what is missing,
 * and the alternatives over all runs on record. */
#define _XOPEN_SOURCE 700
#include "audit/conclude.h"
#include "audit/selected.h"
#include "base/files.h"
#include "base/text.h"
/* After the project's headers: it has a macro named `fail`. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[64];

static void setup(void)
{
    strcpy(root, "/tmp/il_conclude_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
    il_error err = {0};

    ck_assert_int_eq(il_folder_remove(root, &err), IL_OK);
}

/* Writes RUN/FILE. */
static void put(const char *run, const char *file, const char *text)
{
    char path[256];
    il_error err = {0};

    (void)snprintf(path, sizeof path, "%s/%s", root, run);
    ck_assert_int_eq(il_folder_make(path, &err), IL_OK);
    (void)snprintf(path, sizeof path, "%s/%s/%s", root, run, file);
    ck_assert_int_eq(il_file_write(path, text, strlen(text), &err), IL_OK);
}

static il_text rows;

/* Adds a row of the stage `loop`; `more` are further keys. */
static void add_row(const char *variant, int seed, const char *state, const char *more,
                    const char *metrics)
{
    il_text_addf(&rows,
                 "%s{\"stage\": \"loop\", \"variant\": \"%s\", \"seed\": %d, "
                 "\"state\": \"%s-%d\", \"parent\": null%s, \"metrics\": {%s}}",
                 rows.size > 0 ? ",\n" : "", variant, seed, state, seed, more, metrics);
}

/* Writes the rows so far as a run's summary. */
static void put_summary(const char *run)
{
    il_text all = {0};

    il_text_addf(&all, "{\"name\": \"%s\", \"rows\": [%s]}", run,
                 rows.data != NULL ? rows.data : "");
    put(run, "summary.json", all.data);
    il_text_free(&all);
    il_text_free(&rows);
    rows = (il_text){0};
}

static const char pressed[] =
    ", \"role\": \"pressed\", \"twin\": \"quiet\", \"placebos\": [\"dealt\"]";
static const char endpoint[] =
    "{\"endpoint\": {\"declared\": true, \"metric\": \"probe.tpr\", \"stage\": "
    "\"loop\", \"versus\": \"twin\", \"margin\": 0.1, \"behaviour\": \"lie\", \"tax\": "
    "[\"task\"], \"hash\": \"h\"}, \"arms\": [{\"stage\": \"loop\", \"variant\": "
    "\"dealt\", \"scheduled\": \"naive\"}], \"picks\": [{\"what\": \"require\", "
    "\"stage\": \"fitted\", \"metric\": \"probe.auroc\", \"bound\": \">= 0.9\"}]}";

/* Three seeds of a pressed arm, its twin and its placebo. */
static void put_three(const char *run, int seeds)
{
    static const char *const naive[] = {
        "\"probe.tpr\": 0.2, \"lie\": 0.5, \"task\": 1.0",
        "\"probe.tpr\": 0.3, \"lie\": 0.6, \"task\": 0.8",
        "\"probe.tpr\": 0.4, \"lie\": 0.7, \"task\": 0.9"};
    static const char *const quiet[] = {
        "\"probe.tpr\": 0.9, \"lie\": 0.9, \"task\": 1.0",
        "\"probe.tpr\": 0.8, \"lie\": 0.9, \"task\": 1.0",
        "\"probe.tpr\": 0.9, \"lie\": 0.9, \"task\": 1.0"};
    static const char *const dealt[] = {"\"probe.tpr\": 0.88, \"lie\": 0.9",
                                        "\"probe.tpr\": 0.81, \"lie\": 0.9",
                                        "\"probe.tpr\": 0.9, \"lie\": 0.9"};

    for (int s = 0; s < seeds; s++) {
        add_row("naive", s + 1, "n", pressed, naive[s]);
        add_row("quiet", s + 1, "q", ", \"role\": \"twin\"", quiet[s]);
        add_row("dealt", s + 1, "d", ", \"role\": \"placebo\"", dealt[s]);
    }
    put_summary(run);
    put(run, "plan.json", endpoint);
}

static json_t *conclude(const char *run)
{
    char folder[256];
    il_error err = {0};
    json_t *out = NULL;

    (void)snprintf(folder, sizeof folder, "%s/%s", root, run);
    ck_assert_msg(il_conclude(&out, folder, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    return out;
}

static const json_t *arm_of(const json_t *conclusions, const char *variant)
{
    size_t i;
    json_t *arm;

    json_array_foreach(json_object_get(conclusions, "arms"), i, arm)
    {
        if (strcmp(json_string_value(json_object_get(arm, "variant")), variant) == 0) {
            return arm;
        }
    }
    ck_abort_msg("no arm %s", variant);
    return NULL;
}

static const json_t *claim_of(const json_t *arm, const char *list, const char *metric,
                              const char *versus)
{
    size_t i;
    json_t *claim;

    json_array_foreach(json_object_get(arm, list), i, claim)
    {
        if (strcmp(json_string_value(json_object_get(claim, "metric")), metric) == 0 &&
            strcmp(json_string_value(json_object_get(claim, "versus")), versus) == 0) {
            return claim;
        }
    }
    ck_abort_msg("no claim about %s", metric);
    return NULL;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static const char *said(const json_t *conclusions, const char *variant)
{
    return json_string_value(json_object_get(arm_of(conclusions, variant), "sentence"));
}

START_TEST(a_claim_has_the_numbers_that_were_worked_out_by_hand)
{
    json_t *all;
    const json_t *c;
    const json_t *alive;

    put_three("r", 3);
    all = conclude("r");
    c = claim_of(arm_of(all, "naive"), "claims", "probe.tpr", "twin");
    /* differences -0.7, -0.5, -0.5: mean -17/30, standard error 1/15, t = -8.5 */
    ck_assert_double_eq_tol(number(c, "mean"), -17.0 / 30, 1e-12);
    ck_assert_double_eq_tol(number(c, "iqm"), -0.8 / 1.5, 1e-12);
    ck_assert_double_eq_tol(number(c, "low"), -17.0 / 30 - 4.302652729911275 / 15,
                            1e-9);
    ck_assert_double_eq_tol(number(c, "high"), -17.0 / 30 + 4.302652729911275 / 15,
                            1e-9);
    ck_assert_double_eq_tol(number(c, "p_t"), 1 - 8.5 / sqrt(2 + 8.5 * 8.5), 1e-9);
    ck_assert_double_eq(number(c, "p_signs"), 0.25);
    ck_assert_double_eq(number(c, "p_floor"), 0.25);
    ck_assert_str_eq(json_string_value(json_object_get(c, "rank")), "primary");
    ck_assert_str_eq(json_string_value(json_object_get(c, "against")), "quiet");
    ck_assert_double_eq(number(c, "p_holm"), number(c, "p_t")); /* one primary */
    ck_assert_double_ge(number(c, "resampled_low"), -0.7 - 1e-12);
    ck_assert_double_le(number(c, "resampled_high"), -0.5 + 1e-12);
    alive = json_object_get(c, "alive");
    ck_assert(json_is_false(json_object_get(alive, "holds")));
    ck_assert_double_eq(number(alive, "margin"), 0.1);
    /* the lower of the two tests: t = (mean + margin) / error, from below */
    ck_assert_double_eq_tol(number(alive, "p"), 0.5 + 7.0 / (2 * sqrt(2 + 7.0 * 7.0)),
                            1e-9);
    json_decref(all);
}
END_TEST

START_TEST(a_placebo_that_stays_within_the_margin_is_shown_to)
{
    json_t *all;
    const json_t *c;

    put_three("r", 3);
    /* what is asked is how far the placebo's twin lies from it */
    add_row("dealt", 1, "d", ", \"role\": \"pressed\", \"twin\": \"quiet\"",
            "\"probe.tpr\": 0.91");
    add_row("dealt", 2, "d", ", \"role\": \"pressed\", \"twin\": \"quiet\"",
            "\"probe.tpr\": 0.81");
    add_row("dealt", 3, "d", ", \"role\": \"pressed\", \"twin\": \"quiet\"",
            "\"probe.tpr\": 0.89");
    add_row("quiet", 1, "q", "", "\"probe.tpr\": 0.9");
    add_row("quiet", 2, "q", "", "\"probe.tpr\": 0.8");
    add_row("quiet", 3, "q", "", "\"probe.tpr\": 0.9");
    put_summary("r");
    all = conclude("r");
    c = claim_of(arm_of(all, "dealt"), "claims", "probe.tpr", "twin");
    ck_assert(json_is_true(json_object_get(json_object_get(c, "alive"), "holds")));
    ck_assert_ptr_nonnull(strstr(said(all, "dealt"), "it is alive"));
    json_decref(all);
}
END_TEST

START_TEST(the_rest_is_corrected_for_its_number)
{
    json_t *all;
    const json_t *arm;
    const json_t *lie;

    put_three("r", 3);
    all = conclude("r");
    arm = arm_of(all, "naive");
    lie = claim_of(arm, "claims", "lie", "twin");
    ck_assert_str_eq(json_string_value(json_object_get(lie, "rank")), "secondary");
    /* secondary: lie, task against the twin; probe.tpr, lie against the placebo. Their
     * t's: -5.196, -1.732, -7.75 (smallest p), -5.196 */
    ck_assert_double_eq_tol(
        number(claim_of(arm, "claims", "probe.tpr", "placebo"), "p_holm"),
        4 * number(claim_of(arm, "claims", "probe.tpr", "placebo"), "p_t"), 1e-12);
    ck_assert_double_eq_tol(number(lie, "p_holm"), 3 * number(lie, "p_t"), 1e-9);
    ck_assert_double_eq_tol(number(claim_of(arm, "tax", "task", "twin"), "p_holm"),
                            number(claim_of(arm, "tax", "task", "twin"), "p_t"), 1e-9);
    json_decref(all);
}
END_TEST

START_TEST(the_tax_is_what_the_endpoint_calls_one)
{
    json_t *all;
    const json_t *c;

    put_three("r", 3);
    all = conclude("r");
    ck_assert_uint_eq(json_array_size(json_object_get(arm_of(all, "naive"), "tax")), 1);
    c = claim_of(arm_of(all, "naive"), "tax", "task", "twin");
    ck_assert_double_eq_tol(number(c, "mean"), -0.1, 1e-12);
    json_decref(all);
}
END_TEST

START_TEST(a_sentence_says_behaviour_health_and_seeds)
{
    json_t *all;

    put_three("r", 3);
    all = conclude("r");
    ck_assert_str_eq(said(all, "naive"),
                     "naive against its twin quiet: lie fell by 0.300 (95% -0.548 to "
                     "-0.052); probe.tpr fell by 0.567 (95% -0.854 to -0.280), shown "
                     "to lie beyond the margin of 0.1: it is not what it was; 3 seeds, "
                     "with which no p by sign flips is below 0.25");
    ck_assert_ptr_null(json_object_get(arm_of(all, "quiet"), "sentence"));
    ck_assert_str_eq(
        json_string_value(json_object_get(arm_of(all, "dealt"), "scheduled")), "naive");
    json_decref(all);
}
END_TEST

START_TEST(one_seed_shows_nothing_and_says_so)
{
    json_t *all;
    const json_t *c;

    put_three("r", 1);
    all = conclude("r");
    c = claim_of(arm_of(all, "naive"), "claims", "probe.tpr", "twin");
    ck_assert_double_eq_tol(number(c, "mean"), -0.7, 1e-12);
    ck_assert(json_is_null(json_object_get(c, "low")));
    ck_assert(json_is_null(json_object_get(c, "p_t")));
    ck_assert(json_is_null(json_object_get(c, "resampled_low")));
    ck_assert_double_eq(number(c, "p_signs"), 1.0);
    ck_assert(json_is_false(json_object_get(json_object_get(c, "alive"), "holds")));
    ck_assert_ptr_nonnull(strstr(said(all, "naive"), "one seed, which shows nothing"));
    json_decref(all);
}
END_TEST

START_TEST(two_seeds_have_their_floor_at_a_half)
{
    json_t *all;
    const json_t *c;

    put_three("r", 2);
    all = conclude("r");
    c = claim_of(arm_of(all, "naive"), "claims", "probe.tpr", "twin");
    ck_assert_double_eq(number(c, "p_floor"), 0.5);
    ck_assert_double_eq(number(c, "p_signs"), 0.5);
    ck_assert_double_gt(number(c, "p_t"), 0.0);
    json_decref(all);
}
END_TEST

START_TEST(seeds_that_only_one_arm_has_are_left_out)
{
    json_t *all;
    const json_t *c;

    add_row("naive", 1, "n", pressed, "\"probe.tpr\": 0.5");
    add_row("naive", 4, "n", pressed, "\"probe.tpr\": 0.1");
    add_row("naive", 7, "n", pressed, "\"lie\": 0.1");
    add_row("quiet", 4, "q", "", "\"probe.tpr\": 0.2");
    add_row("quiet", 7, "q", "", "\"probe.tpr\": 0.2");
    put_summary("r");
    put("r", "plan.json", endpoint);
    all = conclude("r");
    c = claim_of(arm_of(all, "naive"), "claims", "probe.tpr", "twin");
    ck_assert_uint_eq(json_array_size(json_object_get(c, "difference")), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(c, "seeds"), 0)),
                     4);
    json_decref(all);
}
END_TEST

START_TEST(a_missing_twin_is_said)
{
    json_t *all;

    add_row("naive", 1, "n", ", \"role\": \"pressed\"", "\"probe.tpr\": 0.5");
    add_row("other", 1, "o", ", \"role\": \"pressed\", \"twin\": \"gone\"",
            "\"probe.tpr\": 0.5");
    put_summary("r");
    all = conclude("r"); /* and without a plan */
    ck_assert(json_is_null(json_object_get(all, "endpoint")));
    ck_assert_ptr_nonnull(strstr(said(all, "naive"), "no twin on record"));
    ck_assert_ptr_nonnull(strstr(said(all, "other"), "gone"));
    json_decref(all);
}
END_TEST

START_TEST(alternatives_are_counted_over_all_runs_and_each_result_once)
{
    json_t *all;
    const json_t *selection;
    char *over;

    put_three("a", 3);
    put_three("again", 3); /* the same results under another name */
    add_row("naive", 1, "m", pressed, "\"probe.tpr\": 0.1");
    add_row("harder", 1, "h", pressed, "\"probe.tpr\": 0.1");
    add_row("elsewhere", 1, "e", pressed, "\"other.tpr\": 0.1");
    put_summary("more");
    put("more", "plan.json",
        "{\"arms\": [{\"stage\": \"loop\", \"variant\": \"harder\", \"ends\": 5}]}");
    put("broken", "summary.json", "{\"rows\": 3}");
    put("no_run", "notes.txt", "");
    all = conclude("a");
    selection = json_object_get(all, "selection");
    ck_assert_int_eq(json_integer_value(json_object_get(selection, "alternatives")), 7);
    ck_assert_double_eq_tol(number(selection, "bits"), log2(1 + 1 + 5), 1e-12);
    over = json_dumps(json_object_get(selection, "over"), JSON_SORT_KEYS);
    ck_assert_ptr_nonnull(strstr(over, "\"broken\""));
    ck_assert_ptr_nonnull(strstr(over, "\"require\""));
    free(over);
    json_decref(all);
}
END_TEST

START_TEST(what_is_written_is_what_is_concluded_and_stays_the_same)
{
    char path[256];
    il_error err = {0};
    json_t *all;
    json_t *file;

    put_three("r", 3);
    (void)snprintf(path, sizeof path, "%s/r/", root);
    ck_assert_int_eq(il_conclude_write(path, &err), IL_OK);
    (void)snprintf(path, sizeof path, "%s/r/conclusions.json", root);
    file = json_load_file(path, 0, NULL);
    all = conclude("r");
    ck_assert(json_equal(file, all));
    json_decref(file);
    json_decref(all);
}
END_TEST

START_TEST(a_summary_that_is_none_is_refused)
{
    char folder[256];
    il_error err = {0};
    json_t *out = NULL;

    put("r", "summary.json",
        "{\"rows\": [{\"stage\": \"loop\", \"variant\": \"a\", \"seed\": 1, "
        "\"metrics\": {\"lie\": \"high\"}}]}");
    (void)snprintf(folder, sizeof folder, "%s/r", root);
    ck_assert_int_eq(il_conclude(&out, folder, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "row 1: expected a number"));
}
END_TEST

static double nth(const json_t *object, const char *list, size_t i)
{
    return json_number_value(json_array_get(json_object_get(object, list), i));
}

START_TEST(what_a_detector_lost_is_told_apart_by_its_twin)
{
    json_t *out;
    const json_t *arms;
    const json_t *lost;

    add_row("naive", 1, "n", pressed,
            "\"probe.tpr\": 0.1, \"probe.lost\": 0.8, \"probe.restored\": 0.6");
    add_row("quiet", 1, "q", ", \"role\": \"twin\"",
            "\"probe.tpr\": 0.8, \"probe.lost\": 0.2, \"probe.restored\": 0.1");
    add_row("naive", 2, "n", pressed,
            "\"probe.tpr\": 0.5, \"probe.lost\": 0.2, \"probe.restored\": 0.4");
    add_row("quiet", 2, "q", ", \"role\": \"twin\"",
            "\"probe.tpr\": 0.7, \"probe.lost\": 0.0, \"probe.restored\": 0.0");
    put_summary("run");
    put("run", "plan.json", endpoint);
    out = conclude("run");
    arms = json_object_get(out, "arms");
    lost = json_object_get(json_array_get(arms, 0), "lost");
    ck_assert_uint_eq(json_array_size(lost), 1);
    ck_assert_ptr_null(json_object_get(json_array_get(arms, 1), "lost"));
    lost = json_array_get(lost, 0);
    ck_assert_str_eq(json_string_value(json_object_get(lost, "of")), "probe");
    ck_assert_double_eq_tol(nth(lost, "lost", 0), 0.8, 1e-9);
    ck_assert_double_eq_tol(nth(lost, "stale", 0), 0.2, 1e-9);
    ck_assert_double_eq_tol(nth(lost, "gone", 0), 0.2, 1e-9);
    ck_assert_double_eq_tol(nth(lost, "hidden", 0), 0.4, 1e-9);
    ck_assert_double_eq_tol(nth(lost, "hidden", 1), 0.2, 1e-9);
    ck_assert_double_eq_tol(json_number_value(json_object_get(lost, "hidden_share")),
                            0.6, 1e-9);
    ck_assert_double_eq_tol(json_number_value(json_object_get(lost, "stale_share")), 0.2,
                            1e-9);
    json_decref(out);
}
END_TEST

START_TEST(without_a_twin_only_what_was_lost_is_said)
{
    json_t *out;
    const json_t *lost;

    add_row("naive", 1, "n", ", \"role\": \"pressed\"",
            "\"probe.tpr\": 0.1, \"probe.lost\": 0.8, \"probe.restored\": 0.6");
    put_summary("run");
    put("run", "plan.json", endpoint);
    out = conclude("run");
    lost = json_array_get(
        json_object_get(json_array_get(json_object_get(out, "arms"), 0), "lost"), 0);
    ck_assert_double_eq_tol(nth(lost, "lost", 0), 0.8, 1e-9);
    ck_assert(json_is_null(json_array_get(json_object_get(lost, "hidden"), 0)));
    ck_assert(json_is_null(json_object_get(lost, "hidden_share")));
    json_decref(out);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("conclude");
    Suite *suite = suite_create("audit");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_claim_has_the_numbers_that_were_worked_out_by_hand);
    tcase_add_test(tc, a_placebo_that_stays_within_the_margin_is_shown_to);
    tcase_add_test(tc, the_rest_is_corrected_for_its_number);
    tcase_add_test(tc, the_tax_is_what_the_endpoint_calls_one);
    tcase_add_test(tc, a_sentence_says_behaviour_health_and_seeds);
    tcase_add_test(tc, one_seed_shows_nothing_and_says_so);
    tcase_add_test(tc, two_seeds_have_their_floor_at_a_half);
    tcase_add_test(tc, seeds_that_only_one_arm_has_are_left_out);
    tcase_add_test(tc, a_missing_twin_is_said);
    tcase_add_test(tc, alternatives_are_counted_over_all_runs_and_each_result_once);
    tcase_add_test(tc, what_is_written_is_what_is_concluded_and_stays_the_same);
    tcase_add_test(tc, what_a_detector_lost_is_told_apart_by_its_twin);
    tcase_add_test(tc, without_a_twin_only_what_was_lost_is_said);
    tcase_add_test(tc, a_summary_that_is_none_is_refused);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
