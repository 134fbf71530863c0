#include "folder.h"
#include <math.h>
#include "loop/record.h"
#include <check.h>

/* Adds lines of these steps, with a metric that depends on the step. */
static void add(il_record *r, int64_t first, int64_t last)
{
    for (int64_t step = first; step <= last; step++) {
        il_metric metrics[3] = {{"probe.auroc", 1.0 / (double)(step + 1)},
                                {"lie", (double)NAN},
                                {"acc", (double)step}};

        ck_assert_int_eq(il_record_add(r, step, metrics, 3, NULL), IL_OK);
    }
}

static il_record *opened(int64_t step)
{
    il_record *r;
    il_error err = {0};

    ck_assert_msg(il_record_open(&r, in_folder("r"), step, &err) == IL_OK, "%s: %s",
                  err.where, err.message);
    return r;
}

START_TEST(lines_hold_the_finite_metrics_in_their_order)
{
    il_record *r = opened(-1);
    char *text;

    add(r, 0, 1);
    il_record_close(r);
    text = contents(in_folder("r/metrics.jsonl"), NULL);
    ck_assert_str_eq(text, "{\"step\": 0, \"probe.auroc\": 1.0, \"acc\": 0.0}\n"
                           "{\"step\": 1, \"probe.auroc\": 0.5, \"acc\": 1.0}\n");
    free(text);
}
END_TEST

START_TEST(a_record_that_was_cut_anywhere_and_resumed_has_the_same_bytes)
{
    il_record *r = opened(-1);
    size_t size;
    size_t kept;
    char *whole;
    char *text;

    add(r, 0, 4);
    il_record_close(r);
    kept = strlen(text = contents(in_folder("r/metrics.jsonl"), NULL));
    free(text);
    r = opened(4);
    add(r, 5, 9);
    il_record_close(r);
    whole = contents(in_folder("r/metrics.jsonl"), &size);
    /* From the checkpoint's step on, whatever was written after its sync. */
    for (size_t cut = kept; cut <= size; cut++) {
        ck_assert_int_eq(il_file_write(in_folder("r/metrics.jsonl"), whole, cut, NULL),
                         IL_OK);
        r = opened(4);
        add(r, 5, 9);
        il_record_close(r);
        text = contents(in_folder("r/metrics.jsonl"), NULL);
        ck_assert_str_eq(text, whole);
        free(text);
    }
    free(whole);
}
END_TEST

START_TEST(a_record_begun_anew_is_empty)
{
    il_record *r = opened(-1);
    size_t size;

    add(r, 0, 4);
    il_record_close(r);
    il_record_close(opened(-1));
    free(contents(in_folder("r/metrics.jsonl"), &size));
    ck_assert_uint_eq(size, 0);
}
END_TEST

START_TEST(steps_that_go_down_and_a_metric_named_step_are_refused)
{
    il_record *r = opened(-1);
    il_metric named = {"step", 1};
    size_t before;
    size_t after;

    add(r, 3, 3);
    free(contents(in_folder("r/metrics.jsonl"), &before));
    ck_assert_int_eq(il_record_add(r, 2, NULL, 0, NULL), IL_ERR_INPUT);
    ck_assert_int_eq(il_record_add(r, 4, &named, 1, NULL), IL_ERR_INPUT);
    free(contents(in_folder("r/metrics.jsonl"), &after));
    ck_assert_uint_eq(before, after);
    ck_assert_int_eq(il_record_add(r, 3, NULL, 0, NULL), IL_OK);
    il_record_close(r);
}
END_TEST

START_TEST(a_finished_record_gives_its_metrics_until_it_is_opened_again)
{
    static const double value = 0.1 + 0.2;
    il_metric metrics[2] = {{"probe.auroc", value}, {"lie", (double)INFINITY}};
    il_record *r = opened(-1);
    json_t *json = NULL;

    ck_assert_int_eq(il_record_finished(in_folder("r"), &json, NULL), IL_OK);
    ck_assert_ptr_null(json);
    ck_assert_int_eq(il_record_finish(r, metrics, 2, NULL), IL_OK);
    il_record_close(r);
    ck_assert_int_eq(il_record_finished(in_folder("r"), &json, NULL), IL_OK);
    ck_assert_uint_eq(json_object_size(json), 1);
    ck_assert(json_real_value(json_object_get(json, "probe.auroc")) == value);
    json_decref(json);
    il_record_close(opened(-1));
    ck_assert_int_eq(il_record_finished(in_folder("r"), &json, NULL), IL_OK);
    ck_assert_ptr_null(json);
}
END_TEST

START_TEST(records_of_different_keys_lie_apart)
{
    char *one = il_record_folder(folder, "audit: 1");
    char *two = il_record_folder(folder, "audit: 2");
    char *hostile = il_record_folder(folder, "../../..");

    ck_assert_str_ne(one, two);
    ck_assert_ptr_null(strstr(hostile, ".."));
    free(one);
    free(two);
    free(hostile);
}
END_TEST

static il_status steps_sum(void *user, int64_t step, const json_t *line, il_error *err)
{
    (void)err;
    ck_assert(json_is_object(line));
    *(int64_t *)user += step;
    return IL_OK;
}

START_TEST(reading_leaves_out_a_torn_line_and_refuses_a_wrong_one_by_its_number)
{
    int64_t sum = 0;
    il_error err = {0};

    put(in_folder("m"), "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 4");
    ck_assert_int_eq(il_record_read(in_folder("m"), steps_sum, &sum, NULL), IL_OK);
    ck_assert_int_eq(sum, 3);
    put(in_folder("m"), "{\"step\": 1}\n{\"step\": \"2\"}\n{\"step\": 4}\n");
    ck_assert_int_eq(il_record_read(in_folder("m"), steps_sum, &sum, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "line 2"));
}
END_TEST

START_TEST(files_of_a_record_have_plain_names)
{
    il_record *r = opened(-1);
    json_t *json = json_object();

    ck_assert_int_eq(il_record_json(r, "audit.json", json, NULL), IL_OK);
    ck_assert(il_file_exists(in_folder("r/audit.json")));
    ck_assert_int_eq(il_record_json(r, "../audit.json", json, NULL), IL_ERR_INPUT);
    ck_assert_int_eq(il_record_json(r, "", json, NULL), IL_ERR_INPUT);
    json_decref(json);
    il_record_close(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *tests = tcase_create("record");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, lines_hold_the_finite_metrics_in_their_order);
    tcase_add_test(tests,
                   a_record_that_was_cut_anywhere_and_resumed_has_the_same_bytes);
    tcase_add_test(tests, a_record_begun_anew_is_empty);
    tcase_add_test(tests, steps_that_go_down_and_a_metric_named_step_are_refused);
    tcase_add_test(tests, a_finished_record_gives_its_metrics_until_it_is_opened_again);
    tcase_add_test(tests, records_of_different_keys_lie_apart);
    tcase_add_test(
        tests, reading_leaves_out_a_torn_line_and_refuses_a_wrong_one_by_its_number);
    tcase_add_test(tests, files_of_a_record_have_plain_names);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
