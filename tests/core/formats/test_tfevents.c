#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "formats/tfevents.h"

static char folder[64];
static char path[128];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-tfevents-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/events.out.tfevents", folder);
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* Opens the file from step `from` on, adds one point at each step of a range, closes
 * it. */
static void add_steps(int64_t from, int64_t first, int64_t last)
{
    il_tfevents *file = NULL;
    il_error err = {0};

    ck_assert_msg(il_tfevents_open(&file, path, from, 1.5, &err) == IL_OK, "%s",
                  err.message);
    for (int64_t step = first; step <= last; step++) {
        ck_assert_int_eq(
            il_tfevents_add(file, 2.5, step, "loss", (float)step / 2, &err), IL_OK);
    }
    ck_assert_int_eq(il_tfevents_close(file, &err), IL_OK);
}

static char *read_all(size_t *size)
{
    char *data = NULL;

    ck_assert_int_eq(il_file_read(path, 1 << 20, &data, size, NULL), IL_OK);
    return data;
}

/* The checksums were computed apart from this code, from the definition of CRC-32C. */
START_TEST(the_bytes_are_those_that_tensorboard_reads)
{
    static const unsigned char expected[] = {
        0x18, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa3, 0x7f, 0x4b, 0x22,
        0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x3f, 0x1a, 0x0d, 0x62,
        0x72, 0x61, 0x69, 0x6e, 0x2e, 0x45, 0x76, 0x65, 0x6e, 0x74, 0x3a, 0x32,
        0x2a, 0x28, 0x64, 0x6c, 0x1b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x1a, 0x0d, 0x9e, 0x13, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04,
        0x40, 0x10, 0xac, 0x02, 0x2a, 0x0d, 0x0a, 0x0b, 0x0a, 0x04, 0x6c, 0x6f,
        0x73, 0x73, 0x15, 0x00, 0x00, 0x16, 0x43, 0x92, 0x9f, 0x20, 0x19};
    size_t size;
    char *data;

    add_steps(INT64_MAX, 300, 300);
    data = read_all(&size);
    ck_assert_uint_eq(size, sizeof expected);
    ck_assert_mem_eq(data, expected, sizeof expected);
    free(data);
}
END_TEST

/* A histogram's event: the record's data by hand, field by field; its checksums are
 * made as those of scalars, which are held above. */
START_TEST(a_histogram_is_the_message_that_tensorboard_reads)
{
    static const unsigned char expected[] = {
        0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x40, /* wall_time 2.5 */
        0x10, 0x07,                                           /* step 7 */
        0x2a, 0x58,                                           /* summary */
        0x0a, 0x56,                                           /* value */
        0x0a, 0x01, 'w',                                      /* tag */
        0x2a, 0x51,                                           /* histo */
        0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0xbf, /* min -1 */
        0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, /* max 2 */
        0x19, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x40, /* num 3 */
        0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, /* sum 1 */
        0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14, 0x40, /* sum_squares 5 */
        0x32, 0x10,                                           /* bucket_limit 0, 2 */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x3a, 0x10, /* bucket 2, 1 */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f};
    const il_histogram h = {.min = -1,
                            .max = 2,
                            .num = 3,
                            .sum = 1,
                            .sum_squares = 5,
                            .count = 2,
                            .limits = {0, 2},
                            .counts = {2, 1}};
    const il_histogram none = {0};
    il_tfevents *file = NULL;
    size_t before;
    size_t size;
    char *data;

    add_steps(INT64_MAX, 1, 1);
    free(read_all(&before));
    ck_assert_int_eq(il_tfevents_open(&file, path, INT64_MAX, 0, NULL), IL_OK);
    ck_assert_int_eq(il_tfevents_add_histogram(file, 2.5, 7, "none", &none, NULL),
                     IL_OK);
    ck_assert_int_eq(il_tfevents_add_histogram(file, 2.5, 7, "w", &h, NULL), IL_OK);
    ck_assert_int_eq(il_tfevents_close(file, NULL), IL_OK);
    data = read_all(&size);
    ck_assert_uint_eq(size, before + 12 + sizeof expected + 4);
    ck_assert_mem_eq(data + before + 12, expected, sizeof expected);
    free(data);
}
END_TEST

START_TEST(a_file_is_taken_up_where_it_ended)
{
    size_t whole_size;
    size_t size;
    char *whole;
    char *data;

    add_steps(INT64_MAX, 0, 9);
    whole = read_all(&whole_size);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
    ck_assert_int_eq(il_folder_make(folder, NULL), IL_OK);
    add_steps(INT64_MAX, 0, 4);
    add_steps(INT64_MAX, 5, 9);
    data = read_all(&size);
    ck_assert_uint_eq(size, whole_size);
    ck_assert_mem_eq(data, whole, size);
    free(data);
    free(whole);
}
END_TEST

START_TEST(steps_that_will_be_run_again_are_dropped)
{
    size_t whole_size;
    size_t size;
    char *whole;
    char *data;

    add_steps(INT64_MAX, 0, 200);
    whole = read_all(&whole_size);
    add_steps(150, 150, 200);
    data = read_all(&size);
    ck_assert_uint_eq(size, whole_size);
    ck_assert_mem_eq(data, whole, size);
    free(data);
    free(whole);
}
END_TEST

START_TEST(a_tail_torn_anywhere_is_dropped)
{
    size_t before;
    size_t after;
    char *data;

    add_steps(INT64_MAX, 0, 2);
    free(read_all(&before));
    add_steps(INT64_MAX, 3, 3);
    data = read_all(&after);
    for (size_t cut = before; cut < after; cut++) {
        size_t size;
        char *again;

        ck_assert_int_eq(il_file_write(path, data, cut, NULL), IL_OK);
        add_steps(INT64_MAX, 3, 3);
        again = read_all(&size);
        ck_assert_uint_eq(size, after);
        ck_assert_mem_eq(again, data, after);
        free(again);
    }
    free(data);
}
END_TEST

START_TEST(an_opening_record_that_was_torn_is_written_anew)
{
    size_t whole_size;
    size_t size;
    char *whole;
    char *data;

    add_steps(INT64_MAX, 1, 0);
    whole = read_all(&whole_size);
    for (size_t cut = 0; cut < whole_size; cut++) {
        ck_assert_int_eq(il_file_write(path, whole, cut, NULL), IL_OK);
        add_steps(INT64_MAX, 1, 0);
        data = read_all(&size);
        ck_assert_uint_eq(size, whole_size);
        ck_assert_mem_eq(data, whole, size);
        free(data);
    }
    free(whole);
}
END_TEST

START_TEST(bytes_changed_in_a_record_drop_it_and_what_follows)
{
    size_t before;
    size_t size;
    size_t left;
    char *data;

    add_steps(INT64_MAX, 0, 2);
    free(read_all(&before));
    add_steps(INT64_MAX, 3, 5);
    data = read_all(&size);
    for (size_t at = before; at < before + (size - before) / 3; at++) {
        data[at] ^= 1;
        ck_assert_int_eq(il_file_write(path, data, size, NULL), IL_OK);
        data[at] ^= 1;
        add_steps(INT64_MAX, 1, 0);
        free(read_all(&left));
        ck_assert_uint_eq(left, before);
    }
    free(data);
}
END_TEST

START_TEST(a_file_of_another_kind_is_refused_and_left_alone)
{
    static const char text[] =
        "a text that somebody keeps here, and that is no event file at all";

    for (size_t length = 1; length < sizeof text; length++) {
        il_tfevents *file = NULL;
        il_error err = {0};
        size_t size;
        char *data;

        ck_assert_int_eq(il_file_write(path, text, length, NULL), IL_OK);
        ck_assert_int_eq(il_tfevents_open(&file, path, 0, 0, &err), IL_ERR_INPUT);
        ck_assert_ptr_null(file);
        data = read_all(&size);
        ck_assert_uint_eq(size, length);
        ck_assert_mem_eq(data, text, length);
        free(data);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tfevents");
    TCase *tests = tcase_create("tfevents");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_bytes_are_those_that_tensorboard_reads);
    tcase_add_test(tests, a_histogram_is_the_message_that_tensorboard_reads);
    tcase_add_test(tests, a_file_is_taken_up_where_it_ended);
    tcase_add_test(tests, steps_that_will_be_run_again_are_dropped);
    tcase_add_test(tests, a_tail_torn_anywhere_is_dropped);
    tcase_add_test(tests, an_opening_record_that_was_torn_is_written_anew);
    tcase_add_test(tests, bytes_changed_in_a_record_drop_it_and_what_follows);
    tcase_add_test(tests, a_file_of_another_kind_is_refused_and_left_alone);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
