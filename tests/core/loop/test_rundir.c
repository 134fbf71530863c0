#include "folder.h"
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>
#include "loop/rundir.h"
#include "loop/state.h"
#include <check.h>

static const char address[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static il_run *opened(const char *name)
{
    il_run *r;
    il_error err = {0};

    ck_assert_msg(il_run_open(&r, folder, name, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    return r;
}

static void row_set(il_run *r, const char *stage, uint64_t seed, double value)
{
    il_metric metrics[2] = {{"probe.auroc", value}, {"lie", (double)NAN}};
    il_run_row row = {.stage = stage,
                      .variant = "",
                      .seed = seed,
                      .state = address,
                      .metrics = metrics,
                      .metric_count = 2,
                      .point = "{\"vars.price\": \"1.5\"}"};

    ck_assert_int_eq(il_run_row_set(r, &row, NULL), IL_OK);
}

static json_t *summary(const char *path)
{
    json_error_t problem;
    json_t *json = json_load_file(in_folder(path), 0, &problem);

    ck_assert_msg(json != NULL, "%s", problem.text);
    return json;
}

START_TEST(a_run_that_is_going_on_is_not_opened_twice)
{
    il_run *r = opened("a");
    il_run *other;

    ck_assert_int_eq(il_run_open(&other, folder, "a", NULL), IL_ERR_IO);
    il_run_close(opened("b"));
    il_run_close(r);
    il_run_close(opened("a"));
}
END_TEST

START_TEST(hostile_names_are_refused_and_make_nothing)
{
    char huge[300];
    const char *const names[] = {"",    ".",    "..",        "../x", "/etc",
                                 "a/b", ".dot", "new\nline", "a/..", huge};
    il_run *r = opened("run");
    struct stat before;
    struct stat after;

    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    ck_assert_int_eq(stat(il_run_folder(r), &before), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        il_run_job *job;
        il_run *other;

        ck_assert_int_eq(il_run_open(&other, folder, names[i], NULL), IL_ERR_INPUT);
        ck_assert_int_eq(il_run_job_open(&job, r, names[i], "", 1, NULL), IL_ERR_INPUT);
        ck_assert_int_eq(il_run_text(r, names[i], "", NULL), IL_ERR_INPUT);
        if (names[i][0] != '\0') {
            ck_assert_int_eq(il_run_job_open(&job, r, "s", names[i], 1, NULL),
                             IL_ERR_INPUT);
        }
    }
    ck_assert_int_eq(stat(il_run_folder(r), &after), 0);
    ck_assert_uint_eq(before.st_nlink, after.st_nlink);
    il_run_close(r);
}
END_TEST

START_TEST(a_rows_outcome_is_written_and_read_back)
{
    il_metric metric = {"hack", 0.5};
    il_run_row row = {.stage = "rl",
                      .variant = "loss",
                      .seed = 3,
                      .state = "abc",
                      .metrics = &metric,
                      .metric_count = 1,
                      .outcome = "mixed"};
    il_run *r = opened("classed");
    json_t *json;
    json_t *rows;

    ck_assert_int_eq(il_run_row_set(r, &row, NULL), IL_OK);
    row.seed = 4;
    row.outcome = NULL;
    ck_assert_int_eq(il_run_row_set(r, &row, NULL), IL_OK);
    ck_assert_int_eq(il_run_summary(r, NULL), IL_OK);
    il_run_close(r);
    r = opened("classed");
    ck_assert_int_eq(il_run_rows_load(r, NULL), IL_OK);
    ck_assert_int_eq(il_run_summary(r, NULL), IL_OK);
    json = summary("classed/summary.json");
    rows = json_object_get(json, "rows");
    ck_assert_str_eq(
        json_string_value(json_object_get(json_array_get(rows, 0), "outcome")),
        "mixed");
    ck_assert_ptr_null(json_object_get(json_array_get(rows, 1), "outcome"));
    json_decref(json);
    il_run_close(r);
}
END_TEST

START_TEST(a_summary_reads_back_equal_and_leaves_out_what_is_not_finite)
{
    static const double values[] = {0.1 + 0.2, 1e-308, -0.0, 123456789.0, 1e300};
    static const uint64_t seeds[] = {0, UINT64_MAX};
    il_run_about about = {seeds, 2, "native", "scalar"};
    il_run *r = opened("run");
    json_t *json;
    json_t *rows;

    ck_assert_int_eq(il_run_describe(r, &about, NULL), IL_OK);
    for (size_t i = 0; i < 5; i++) {
        row_set(r, "st\"age", i == 4 ? UINT64_MAX : i, values[i]);
    }
    ck_assert_int_eq(il_run_summary(r, NULL), IL_OK);
    json = summary("run/summary.json");
    ck_assert_str_eq(json_string_value(json_object_get(json, "name")), "run");
    ck_assert_str_eq(json_string_value(json_object_get(json, "kernel")), "scalar");
    ck_assert_uint_eq(json_array_size(json_object_get(json, "seeds")), 2);
    rows = json_object_get(json, "rows");
    ck_assert_uint_eq(json_array_size(rows), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *metrics = json_object_get(row, "metrics");
        double value = json_number_value(json_object_get(metrics, "probe.auroc"));

        ck_assert_uint_eq(json_object_size(metrics), 1);
        ck_assert_mem_eq(&value, &values[i], sizeof value);
        ck_assert(json_is_null(json_object_get(row, "parent")));
        ck_assert_str_eq(json_string_value(json_object_get(row, "stage")), "st\"age");
        ck_assert_str_eq(json_string_value(json_object_get(row, "state")), address);
        ck_assert_str_eq(json_string_value(json_object_get(
                             json_object_get(row, "point"), "vars.price")),
                         "1.5");
    }
    json_decref(json);
    il_run_close(r);
}
END_TEST

START_TEST(a_row_of_the_same_job_is_replaced_in_its_place)
{
    il_run *r = opened("run");
    json_t *json;
    const json_t *rows;

    row_set(r, "a", 1, 0.5);
    row_set(r, "b", 1, 0.5);
    row_set(r, "a", 1, 0.75);
    ck_assert_int_eq(il_run_summary(r, NULL), IL_OK);
    json = summary("run/summary.json");
    rows = json_object_get(json, "rows");
    ck_assert_uint_eq(json_array_size(rows), 2);
    ck_assert(json_real_value(
                  json_object_get(json_object_get(json_array_get(rows, 0), "metrics"),
                                  "probe.auroc")) == 0.75);
    json_decref(json);
    il_run_close(r);
}
END_TEST

START_TEST(rows_that_were_loaded_are_written_again_to_the_byte)
{
    il_run *r = opened("run");
    char *before;
    char *after;

    ck_assert_int_eq(il_run_rows_load(r, NULL), IL_OK); /* nothing there yet */
    for (uint64_t seed = 0; seed < 40; seed++) {
        row_set(r, "a", seed, 1.0 / (double)(seed + 3));
    }
    row_set(r, "a", UINT64_MAX, 0.5);
    ck_assert_int_eq(il_run_summary(r, NULL), IL_OK);
    il_run_close(r);
    before = contents(in_folder("run/summary.json"), NULL);
    r = opened("run");
    ck_assert_int_eq(il_run_rows_load(r, NULL), IL_OK);
    ck_assert_int_eq(il_run_summary(r, NULL), IL_OK);
    il_run_close(r);
    after = contents(in_folder("run/summary.json"), NULL);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
}
END_TEST

START_TEST(a_summary_that_is_wrong_is_refused_and_left_as_it_is)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"rows\": [1]}",
        "{\"rows\": [{\"stage\": \"a\"}]}",
        "{\"rows\": [{\"stage\": \"a\", \"variant\": \"\", \"seed\": -1, \"state\": "
        "\"\", \"metrics\": {}}]}",
        "{\"rows\": [{\"stage\": \"a\", \"variant\": \"\", \"seed\": 1, \"state\": "
        "\"\", \"metrics\": {\"x\": \"y\"}}]}"};
    il_run *r = opened("run");

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char *after;
        il_error err = {0};

        put(in_folder("run/summary.json"), wrong[i]);
        ck_assert_int_eq(il_run_rows_load(r, &err), IL_ERR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.where, "summary.json"));
        after = contents(in_folder("run/summary.json"), NULL);
        ck_assert_str_eq(after, wrong[i]);
        free(after);
    }
    il_run_close(r);
}
END_TEST

START_TEST(plugins_are_locked_in_one_order)
{
    static const il_run_plugin plugins[2] = {{"z.b", "1.0.0", "ff", 1, 2},
                                             {"a.b", "2.0.0", "ee", 1, 0}};
    il_run *r = opened("run");
    char *text;

    ck_assert_int_eq(il_run_plugins(r, plugins, 2, NULL), IL_OK);
    text = contents(in_folder("run/plugins.lock"), NULL);
    ck_assert_str_eq(text, "{\"id\": \"a.b\", \"version\": \"2.0.0\", \"sha256\": "
                           "\"ee\", \"abi\": \"1.0\"}\n"
                           "{\"id\": \"z.b\", \"version\": \"1.0.0\", \"sha256\": "
                           "\"ff\", \"abi\": \"1.2\"}\n");
    free(text);
    il_run_close(r);
}
END_TEST

START_TEST(the_log_grows_by_lines)
{
    il_run *r = opened("run");
    il_log *log = il_log_create();
    char *text;

    ck_assert_int_eq(il_log_add(log, IL_LOG_INFO, il_run_log, r), 0);
    il_log_write(log, IL_LOG_INFO, "loop", "step %d", 1);
    il_log_write(log, IL_LOG_DEBUG, "loop", "unseen");
    il_log_write(log, IL_LOG_WARN, "audit", "late");
    text = contents(in_folder("run/log.txt"), NULL);
    ck_assert_str_eq(text, "info loop: step 1\nwarn audit: late\n");
    free(text);
    il_log_destroy(log);
    il_run_close(r);
}
END_TEST

/* A state with a record of three lines; the record's folder, which the caller frees. */
static char *record_make(void)
{
    char *state = il_state_folder(folder, address);
    char *path = il_record_folder(state, "key");
    json_t *audit = json_pack("{s:i}", "looks", 1);
    il_record *record;

    ck_assert_int_eq(il_state_write(state, IL_STATE_RESULT, NULL, 0, NULL, NULL),
                     IL_OK);
    ck_assert_int_eq(il_record_open(&record, path, -1, NULL), IL_OK);
    for (int i = 0; i < 3; i++) {
        il_metric metric = {"loss", i};

        ck_assert_int_eq(il_record_add(record, i, &metric, 1, NULL), IL_OK);
    }
    ck_assert_int_eq(il_record_json(record, "audit.json", audit, NULL), IL_OK);
    json_decref(audit);
    il_record_close(record);
    free(state);
    return path;
}

START_TEST(a_job_shows_its_record_its_events_and_its_state)
{
    static const char *const variants[2] = {"", "v"};
    il_run *r = opened("run");
    char *record = record_make();

    for (int i = 0; i < 4; i++) { /* each twice: a second time changes nothing */
        const char *variant = variants[i % 2];
        il_run_job *job;
        char path[512];
        char *text;
        size_t size;

        ck_assert_int_eq(il_run_job_open(&job, r, "fit", variant, 7, NULL), IL_OK);
        ck_assert_int_eq(il_run_job_publish(job, address, record, 1.0, NULL), IL_OK);
        (void)snprintf(path, sizeof path, "%s/state/state.json",
                       il_run_job_folder(job));
        ck_assert_msg(il_file_exists(path), "%s", path);
        (void)snprintf(path, sizeof path, "%s/audit.json", il_run_job_folder(job));
        ck_assert(il_file_exists(path));
        (void)snprintf(path, sizeof path, "%s/metrics.jsonl", il_run_job_folder(job));
        text = contents(path, NULL);
        ck_assert_ptr_nonnull(strstr(text, "{\"step\": 2, \"loss\": 2.0}\n"));
        free(text);
        (void)snprintf(path, sizeof path, "%s/events.out.tfevents.interloop",
                       il_run_job_folder(job));
        free(contents(path, &size));
        ck_assert_uint_gt(size, 100);
        ck_assert_int_eq(il_run_job_close(job, NULL), IL_OK);
    }
    ck_assert(il_file_exists(in_folder("run/fit/seed-7/metrics.jsonl")));
    ck_assert(il_file_exists(in_folder("run/fit/v/seed-7/metrics.jsonl")));
    free(record);
    il_run_close(r);
}
END_TEST

START_TEST(points_of_a_run_that_resumes_are_those_of_one_that_did_not_stop)
{
    static const int64_t first[] = {3, 2}; /* the second one resumes at step 2 */
    il_run *r = opened("run");
    char *texts[2];
    size_t sizes[2];

    for (int i = 0; i < 2; i++) {
        const char *stage = i == 0 ? "whole" : "stopped";
        char path[512];
        il_run_job *job;

        for (int attempt = 0; attempt < 2; attempt++) {
            ck_assert_int_eq(il_run_job_open(&job, r, stage, NULL, 1, NULL), IL_OK);
            for (int64_t step = attempt == 0 ? 0 : first[i];
                 step < (attempt == 0 ? 3 : 5); step++) {
                il_metric metric = {"loss", (double)step};

                ck_assert_int_eq(il_run_job_point(job, 1, step, &metric, 1, NULL),
                                 IL_OK);
            }
            (void)snprintf(path, sizeof path, "%s/events.out.tfevents.interloop",
                           il_run_job_folder(job));
            ck_assert_int_eq(il_run_job_close(job, NULL), IL_OK);
        }
        texts[i] = contents(path, &sizes[i]);
    }
    ck_assert_uint_eq(sizes[0], sizes[1]);
    ck_assert_mem_eq(texts[0], texts[1], sizes[0]);
    free(texts[0]);
    free(texts[1]);
    il_run_close(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rundir");
    TCase *tests = tcase_create("rundir");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_run_that_is_going_on_is_not_opened_twice);
    tcase_add_test(tests, hostile_names_are_refused_and_make_nothing);
    tcase_add_test(tests, a_rows_outcome_is_written_and_read_back);
    tcase_add_test(tests, a_summary_reads_back_equal_and_leaves_out_what_is_not_finite);
    tcase_add_test(tests, a_row_of_the_same_job_is_replaced_in_its_place);
    tcase_add_test(tests, rows_that_were_loaded_are_written_again_to_the_byte);
    tcase_add_test(tests, a_summary_that_is_wrong_is_refused_and_left_as_it_is);
    tcase_add_test(tests, plugins_are_locked_in_one_order);
    tcase_add_test(tests, the_log_grows_by_lines);
    tcase_add_test(tests, a_job_shows_its_record_its_events_and_its_state);
    tcase_add_test(tests,
                   points_of_a_run_that_resumes_are_those_of_one_that_did_not_stop);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
