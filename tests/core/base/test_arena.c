#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/compiler.h"

START_TEST(pieces_are_aligned_and_apart)
{
    il_arena *a = il_arena_create(256);
    char *pieces[64];

    for (size_t i = 0; i < 64; i++) {
        pieces[i] = il_arena_alloc(a, i * 7);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 64, 0);
        memset(pieces[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 64; i++) {
        for (size_t j = 0; j < i * 7; j++) {
            ck_assert_int_eq(pieces[i][j], (char)i);
        }
        ck_assert(i == 0 || pieces[i] != pieces[i - 1]);
    }
    il_arena_destroy(a);
}
END_TEST

START_TEST(the_same_work_after_a_reset_gets_the_same_memory)
{
    static const size_t sizes[] = {10, 5000, 100, 300, 9000, 1, 64, 2000};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    il_arena *a = il_arena_create(512);
    void *first[COUNT];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            void *p = il_arena_alloc(a, sizes[i]);

            if (round == 0) {
                first[i] = p;
            }
            ck_assert_ptr_eq(p, first[i]);
        }
        il_arena_reset(a);
    }
    il_arena_destroy(a);
}
END_TEST

START_TEST(restore_gives_back_what_came_after_the_mark_only)
{
    il_arena *a = il_arena_create(128);
    char *kept = il_arena_strdup(a, "kept");
    il_arena_mark mark = il_arena_save(a);
    void *after = il_arena_alloc(a, 64);

    for (int i = 0; i < 20; i++) {
        ck_assert_ptr_nonnull(il_arena_alloc(a, 100));
    }
    il_arena_restore(a, mark);
    ck_assert_str_eq(kept, "kept");
    ck_assert_ptr_eq(il_arena_alloc(a, 64), after);
    ck_assert_str_eq(kept, "kept");
    il_arena_destroy(a);
}
END_TEST

START_TEST(a_mark_of_the_empty_arena_restores_to_empty)
{
    il_arena *a = il_arena_create(128);
    il_arena_mark mark = il_arena_save(a);
    void *first = il_arena_alloc(a, 8);

    il_arena_restore(a, mark);
    ck_assert_ptr_eq(il_arena_alloc(a, 8), first);
    il_arena_destroy(a);
}
END_TEST

START_TEST(the_peak_is_the_most_in_use_at_once)
{
    il_arena *a = il_arena_create(64);

    ck_assert_ptr_nonnull(il_arena_alloc(a, 640));
    ck_assert_ptr_nonnull(il_arena_alloc(a, 64));
    il_arena_reset(a);
    ck_assert_ptr_nonnull(il_arena_alloc(a, 128));
    ck_assert_uint_eq(il_arena_peak(a), 704);
    il_arena_destroy(a);
}
END_TEST

START_TEST(sizes_that_do_not_fit_are_refused)
{
    il_arena *a = il_arena_create(64);

    ck_assert_ptr_null(il_arena_alloc(a, SIZE_MAX));
    ck_assert_ptr_null(il_arena_alloc(a, SIZE_MAX - 100));
    ck_assert_ptr_null(il_arena_calloc(a, SIZE_MAX / 2, 3));
    ck_assert_ptr_nonnull(il_arena_alloc(a, 64));
    il_arena_destroy(a);
}
END_TEST

START_TEST(calloc_clears_memory_that_was_used_before)
{
    il_arena *a = il_arena_create(64);
    char *p;

    memset(il_arena_alloc(a, 300), 0xff, 300);
    il_arena_reset(a);
    p = il_arena_calloc(a, 100, 3);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(p[i], 0);
    }
    il_arena_destroy(a);
}
END_TEST

START_TEST(printf_is_as_long_as_it_must_be)
{
    il_arena *a = il_arena_create(64);
    char *p = il_arena_printf(a, "%0500d-%s", 7, "end");

    ck_assert_uint_eq(strlen(p), 504);
    ck_assert_str_eq(p + 499, "7-end");
    il_arena_destroy(a);
    il_arena_destroy(NULL);
}
END_TEST

#if IL_POISONS
START_TEST(memory_given_back_and_gaps_are_known_to_the_sanitizer)
{
    il_arena *a = il_arena_create(128);
    char *first = il_arena_alloc(a, 10);
    il_arena_mark mark = il_arena_save(a);
    char *second = il_arena_alloc(a, 1000);

    ck_assert(!__asan_address_is_poisoned(first + 9));
    ck_assert(__asan_address_is_poisoned(first + 10));
    ck_assert(!__asan_address_is_poisoned(second + 999));
    il_arena_restore(a, mark);
    ck_assert(!__asan_address_is_poisoned(first + 9));
    ck_assert(__asan_address_is_poisoned(second));
    il_arena_reset(a);
    ck_assert(__asan_address_is_poisoned(first));
    il_arena_destroy(a);
}
END_TEST
#endif

/* A stack of pieces beside the arena's own books: whatever is taken, given back to a
 * mark and taken again, every piece that is still out keeps its bytes. */
START_TEST(pieces_that_are_out_keep_their_bytes_through_any_order_of_work)
{
    enum { PIECES = 400, MARKS = 40 };
    struct {
        unsigned char *data;
        size_t size;
    } out[PIECES];
    struct {
        il_arena_mark mark;
        size_t out;
    } marks[MARKS];
    uint64_t state = 7;
    il_arena *a = il_arena_create(700);
    size_t count = 0;
    size_t depth = 0;

    for (int round = 0; round < 20000; round++) {
        uint64_t draw =
            (state = state * 6364136223846793005u + 1442695040888963407u) >> 33;

        if (draw % 16 == 0 && depth < MARKS) {
            marks[depth].mark = il_arena_save(a);
            marks[depth++].out = count;
        } else if ((draw % 16 == 1 || count == PIECES) && depth > 0) {
            depth = draw / 16 % depth;
            il_arena_restore(a, marks[depth].mark);
            count = marks[depth].out;
            for (size_t i = 0; i < count; i++) {
                ck_assert_uint_eq(out[i].data[0], i % 251);
                ck_assert_uint_eq(out[i].data[out[i].size - 1], i % 251);
            }
        } else if (count < PIECES) {
            out[count].size = 1 + draw / 16 % (draw % 64 == 9 ? 5000 : 200);
            out[count].data = il_arena_alloc(a, out[count].size);
            memset(out[count].data, (int)(count % 251), out[count].size);
            count++;
        } else {
            il_arena_reset(a);
            count = 0;
        }
    }
    il_arena_destroy(a);
}
END_TEST

START_TEST(checked_sums_and_products_say_when_they_do_not_fit)
{
    size_t out = 1;

    ck_assert(il_mul_size(6, 7, &out));
    ck_assert_uint_eq(out, 42);
    ck_assert(!il_mul_size(SIZE_MAX / 2, 3, &out));
    ck_assert(!il_add_size(SIZE_MAX, 1, &out));
    ck_assert_uint_eq(out, 42);
    ck_assert(il_add_size(SIZE_MAX - 1, 1, &out));
    ck_assert_uint_eq(out, SIZE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arena");
    TCase *tests = tcase_create("arena");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, pieces_are_aligned_and_apart);
    tcase_add_test(tests, the_same_work_after_a_reset_gets_the_same_memory);
    tcase_add_test(tests, restore_gives_back_what_came_after_the_mark_only);
    tcase_add_test(tests, a_mark_of_the_empty_arena_restores_to_empty);
    tcase_add_test(tests, the_peak_is_the_most_in_use_at_once);
    tcase_add_test(tests, sizes_that_do_not_fit_are_refused);
    tcase_add_test(tests, calloc_clears_memory_that_was_used_before);
    tcase_add_test(tests, printf_is_as_long_as_it_must_be);
#if IL_POISONS
    tcase_add_test(tests, memory_given_back_and_gaps_are_known_to_the_sanitizer);
#endif
    tcase_add_test(tests,
                   pieces_that_are_out_keep_their_bytes_through_any_order_of_work);
    tcase_add_test(tests, checked_sums_and_products_say_when_they_do_not_fit);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
