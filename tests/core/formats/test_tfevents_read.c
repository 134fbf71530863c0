#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "formats/tfevents.h"
#include "formats/tfevents_read.h"

static char folder[64];
static char path[128];

typedef struct seen {
    size_t count;
    int64_t step; /* the last */
    double value;
} seen;

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-tfread-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/events.out.tfevents", folder);
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* Writes on from step `first`, dropping what is there of it, up to `last`. */
static void add_steps(int64_t first, int64_t last)
{
    il_tfevents *file = NULL;

    ck_assert_int_eq(il_tfevents_open(&file, path, first, 1.5, NULL), IL_OK);
    for (int64_t step = first; step <= last; step++) {
        ck_assert_int_eq(
            il_tfevents_add(file, 2.5, step, "loss", (float)step / 2, NULL), IL_OK);
    }
    ck_assert_int_eq(il_tfevents_close(file, NULL), IL_OK);
}

static void note(void *user, int64_t step, const char *tag, size_t size, double value)
{
    seen *s = user;

    ck_assert_uint_eq(size, 4);
    ck_assert_mem_eq(tag, "loss", 4);
    s->count++;
    s->step = step;
    s->value = value;
}

START_TEST(what_was_added_since_the_last_look_is_visited)
{
    seen s = {0};
    size_t at = 0;

    add_steps(0, 9);
    ck_assert_int_eq(il_tfevents_read(path, &at, note, &s, NULL), IL_OK);
    ck_assert_uint_eq(s.count, 10);
    ck_assert_int_eq(s.step, 9);
    ck_assert_double_eq(s.value, 4.5);
    ck_assert_int_eq(il_tfevents_read(path, &at, note, &s, NULL), IL_OK);
    ck_assert_uint_eq(s.count, 10);
    add_steps(10, 300);
    ck_assert_int_eq(il_tfevents_read(path, &at, note, &s, NULL), IL_OK);
    ck_assert_uint_eq(s.count, 301);
    ck_assert_int_eq(s.step, 300);
}
END_TEST

START_TEST(a_file_that_grows_a_byte_at_a_time_is_read_as_far_as_it_is_whole)
{
    seen s = {0};
    char *data = NULL;
    size_t size;
    size_t at = 0;

    add_steps(0, 5);
    ck_assert_int_eq(il_file_read(path, 1 << 20, &data, &size, NULL), IL_OK);
    ck_assert_int_eq(truncate(path, 0), 0);
    for (size_t i = 0; i < size; i++) {
        size_t before = s.count;

        ck_assert_int_eq(il_file_append(path, data + i, 1, NULL), IL_OK);
        ck_assert_int_eq(il_tfevents_read(path, &at, note, &s, NULL), IL_OK);
        ck_assert_uint_le(at, i + 1);
        ck_assert_uint_le(s.count, before + 1);
    }
    ck_assert_uint_eq(at, size);
    ck_assert_uint_eq(s.count, 6);
    ck_assert_int_eq(s.step, 5);
    free(data);
}
END_TEST

START_TEST(a_file_begun_anew_is_read_from_its_beginning)
{
    seen s = {0};
    size_t at = 0;

    add_steps(0, 50);
    ck_assert_int_eq(il_tfevents_read(path, &at, note, &s, NULL), IL_OK);
    add_steps(3, 4);
    s = (seen){0};
    ck_assert_int_eq(il_tfevents_read(path, &at, note, &s, NULL), IL_OK);
    ck_assert_uint_eq(s.count, 5);
    ck_assert_int_eq(s.step, 4);
}
END_TEST

static void touch(void *user, int64_t step, const char *tag, size_t size, double value)
{
    unsigned *sum = user;

    (void)step;
    (void)value;
    for (size_t i = 0; i < size; i++) {
        *sum += (unsigned char)tag[i];
    }
}

START_TEST(changed_bytes_are_survived)
{
    char *data = NULL;
    size_t size;
    unsigned sum = 0;

    add_steps(0, 2);
    ck_assert_int_eq(il_file_read(path, 1 << 20, &data, &size, NULL), IL_OK);
    for (size_t i = 0; i < size; i++) {
        FILE *file = fopen(path, "r+b");
        size_t at = 0;

        ck_assert_ptr_nonnull(file);
        data[i] ^= (char)0xff;
        ck_assert_uint_eq(fwrite(data, 1, size, file), size);
        ck_assert_int_eq(fclose(file), 0);
        data[i] ^= (char)0xff;
        /* what it visits may be anything, so long as it lies in what was read */
        (void)il_tfevents_read(path, &at, touch, &sum, NULL);
        ck_assert_uint_le(at, size);
    }
    free(data);
}
END_TEST

START_TEST(other_bytes_are_an_input_error)
{
    il_error err = {0};
    size_t at = 0;

    ck_assert_int_eq(il_file_write(path, "this is no event file, it is text", 33, NULL),
                     IL_OK);
    ck_assert_int_eq(il_tfevents_read(path, &at, note, &(seen){0}, &err), IL_ERR_INPUT);
    ck_assert_str_eq(err.where, path);
    ck_assert_int_eq(il_tfevents_read("/nonexistent", &at, note, &(seen){0}, NULL),
                     IL_ERR_IO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tfevents_read");
    TCase *tests = tcase_create("tfevents_read");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_added_since_the_last_look_is_visited);
    tcase_add_test(tests,
                   a_file_that_grows_a_byte_at_a_time_is_read_as_far_as_it_is_whole);
    tcase_add_test(tests, a_file_begun_anew_is_read_from_its_beginning);
    tcase_add_test(tests, changed_bytes_are_survived);
    tcase_add_test(tests, other_bytes_are_an_input_error);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
