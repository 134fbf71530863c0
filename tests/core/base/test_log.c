#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/text.h"

static void keep_line(void *user, il_log_level level, const char *component,
                      const char *line)
{
    il_text_addf(user, "%d %s: %s\n", (int)level, component, line);
}

START_TEST(a_sink_gets_the_lines_at_or_above_its_level)
{
    il_log *log = il_log_create();
    il_text all = {0};
    il_text warnings = {0};

    ck_assert_int_eq(il_log_add(log, IL_LOG_DEBUG, keep_line, &all), 0);
    ck_assert_int_eq(il_log_add(log, IL_LOG_WARN, keep_line, &warnings), 0);
    il_log_write(log, IL_LOG_DEBUG, "loop", "step %d", 1);
    il_log_write(log, IL_LOG_WARN, "plugin", "%s", "refused");
    il_log_write(log, IL_LOG_ERROR, "loop", "stop");
    ck_assert_str_eq(all.data, "0 loop: step 1\n2 plugin: refused\n3 loop: stop\n");
    ck_assert_str_eq(warnings.data, "2 plugin: refused\n3 loop: stop\n");
    il_text_free(&all);
    il_text_free(&warnings);
    il_log_destroy(log);
}
END_TEST

START_TEST(a_long_line_arrives_whole)
{
    il_log *log = il_log_create();
    il_text kept = {0};

    ck_assert_int_eq(il_log_add(log, IL_LOG_INFO, keep_line, &kept), 0);
    il_log_write(log, IL_LOG_INFO, "c", "%05000d|", 7);
    ck_assert_uint_eq(kept.size, strlen("1 c: ") + 5001 + 1);
    ck_assert_str_eq(kept.data + kept.size - 4, "07|\n");
    il_text_free(&kept);
    il_log_destroy(log);
}
END_TEST

START_TEST(there_is_room_for_four_sinks)
{
    il_log *log = il_log_create();
    il_text kept = {0};

    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(il_log_add(log, IL_LOG_INFO, keep_line, &kept), 0);
    }
    ck_assert_int_eq(il_log_add(log, IL_LOG_INFO, keep_line, &kept), -1);
    il_log_write(log, IL_LOG_INFO, "c", "x");
    ck_assert_str_eq(kept.data, "1 c: x\n1 c: x\n1 c: x\n1 c: x\n");
    il_text_free(&kept);
    il_log_destroy(log);
}
END_TEST

START_TEST(no_log_takes_lines_and_loses_them)
{
    il_log_write(NULL, IL_LOG_ERROR, "c", "x");
    il_log_destroy(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, a_sink_gets_the_lines_at_or_above_its_level);
    tcase_add_test(tests, a_long_line_arrives_whole);
    tcase_add_test(tests, there_is_room_for_four_sinks);
    tcase_add_test(tests, no_log_takes_lines_and_loses_them);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
