/* Guarded memory: what the validator's findings rest on. */
#include "check/guard.h"

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Tests that end by a signal want the signal, and no sanitizer's report of it. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0";
}
const char *__tsan_default_options(void)
{
    return "handle_segv=0";
}
#endif

START_TEST(memory_is_cleared_aligned_and_ends_where_its_page_ends)
{
    static const size_t sizes[] = {1, 4, 60, 4096, 5000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *data = il_guard_alloc(sizes[i], 1);

        ck_assert_ptr_nonnull(data);
        ck_assert_uint_eq(((uintptr_t)data + sizes[i]) % 4096, 0);
        for (size_t k = 0; k < sizes[i]; k++) {
            ck_assert_uint_eq(data[k], 0);
        }
        ck_assert(il_guard_holds(data, sizes[i], 1));
        il_guard_free(data, sizes[i], 1);
    }
    for (size_t align = 2; align <= 64; align *= 2) {
        void *data = il_guard_alloc(3, align);

        ck_assert_uint_eq((uintptr_t)data % align, 0);
        il_guard_free(data, 3, align);
    }
}
END_TEST

START_TEST(a_byte_before_or_in_the_gap_behind_is_noticed)
{
    unsigned char *data = il_guard_alloc(10, 1);
    unsigned char *gap = il_guard_alloc(10, 16);

    data[-1] ^= 1;
    ck_assert(!il_guard_holds(data, 10, 1));
    data[-1] ^= 1;
    ck_assert(il_guard_holds(data, 10, 1));
    gap[10] ^= 1;
    ck_assert(!il_guard_holds(gap, 10, 16));
}
END_TEST

START_TEST(a_byte_past_the_page_ends_the_process)
{
    volatile unsigned char *data = il_guard_alloc(10, 1);

    data[10] = 1;
}
END_TEST

START_TEST(writing_to_sealed_memory_ends_the_process)
{
    volatile unsigned char *data = il_guard_alloc(10, 1);

    il_guard_seal((void *)(uintptr_t)data, 10);
    ck_assert_uint_eq(data[3], 0);
    data[3] = 1;
}
END_TEST

START_TEST(a_batch_refuses_a_name_twice_and_other_rows)
{
    il_batch *b = il_guard_batch(3);
    il_error err = {0};

    ck_assert_ptr_nonnull(il_batch_add(b, "tokens", IL_I32, IL_SHAPE(3, 5)));
    ck_assert_int_eq(il_guard_batch_status(b, &err), IL_OK);
    ck_assert_ptr_null(il_batch_add(b, "tokens", IL_I32, IL_SHAPE(3, 5)));
    ck_assert_int_eq(il_guard_batch_status(b, &err), IL_ERR_INPUT);
    il_guard_batch_destroy(b);

    b = il_guard_batch(3);
    ck_assert_ptr_null(il_batch_add(b, "odd", IL_U8, IL_SHAPE(4)));
    il_guard_batch_destroy(b);
}
END_TEST

START_TEST(a_batch_names_the_field_whose_edge_was_written)
{
    il_batch *b = il_guard_batch(2);
    il_error err = {0};
    uint8_t *odd = il_batch_add(b, "odd", IL_U8, IL_SHAPE(2));

    odd[-1] = 0;
    ck_assert_int_eq(il_guard_batch_status(b, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'odd'"));
    il_guard_batch_destroy(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *tc = tcase_create("guard");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, memory_is_cleared_aligned_and_ends_where_its_page_ends);
    tcase_add_test(tc, a_byte_before_or_in_the_gap_behind_is_noticed);
    tcase_add_test_raise_signal(tc, a_byte_past_the_page_ends_the_process, SIGSEGV);
    tcase_add_test_raise_signal(tc, writing_to_sealed_memory_ends_the_process, SIGSEGV);
    tcase_add_test(tc, a_batch_refuses_a_name_twice_and_other_rows);
    tcase_add_test(tc, a_batch_names_the_field_whose_edge_was_written);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
