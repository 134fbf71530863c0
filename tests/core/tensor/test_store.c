#include "interloop/rng.h"
#include "tensor/store.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void add(il_store *s, const char *name, int32_t ndim, const int64_t *shape,
                il_init init)
{
    ck_assert_int_eq(il_store_add(s, name, "model", ndim, shape, init, NULL), IL_OK);
}

static const float *values(const il_store *s, const char *name)
{
    int64_t i = il_store_find(s, name);

    ck_assert_int_ge(i, 0);
    return s->values + s->items[i].offset;
}

START_TEST(tensors_start_on_lines_and_keep_their_numbers)
{
    il_store *s = NULL;
    char name[8];

    ck_assert_int_eq(il_store_create(&s, NULL), IL_OK);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        add(s, name, IL_SHAPE(i + 1, 3), IL_INIT_ONE);
    }
    ck_assert_uint_eq(s->count, 100);
    ck_assert_int_eq(il_store_find(s, "t77"), 77);
    ck_assert_int_eq(il_store_find(s, "t100"), -1);
    ck_assert_int_eq(il_store_fill(s, 1, NULL), IL_OK);
    ck_assert_uint_eq((uintptr_t)s->values % 64, 0);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(s->items[i].offset % 16, 0);
        ck_assert_int_eq(s->items[i].count, (i + 1) * 3);
        ck_assert(i == 0 ||
                  s->items[i].offset >= s->items[i - 1].offset + s->items[i - 1].count);
        for (int64_t j = 0; j < s->items[i].count; j++) {
            ck_assert(s->values[s->items[i].offset + j] == 1.0f);
        }
    }
    il_store_destroy(s);
    il_store_destroy(NULL);
}
END_TEST

START_TEST(the_start_of_a_tensor_depends_on_its_own_name_alone)
{
    il_store *a = NULL;
    il_store *b = NULL;
    const float *x;

    ck_assert_int_eq(il_store_create(&a, NULL), IL_OK);
    ck_assert_int_eq(il_store_create(&b, NULL), IL_OK);
    add(a, "w", IL_SHAPE(4, 5), IL_INIT_NORMAL(0.02));
    add(b, "other", IL_SHAPE(7), IL_INIT_UNIFORM(0.5));
    add(b, "w", IL_SHAPE(4, 5), IL_INIT_NORMAL(0.02));
    add(b, "w2", IL_SHAPE(4, 5), IL_INIT_NORMAL(0.02));
    ck_assert_int_eq(il_store_fill(a, 11, NULL), IL_OK);
    ck_assert_int_eq(il_store_fill(b, 11, NULL), IL_OK);
    ck_assert_mem_eq(values(a, "w"), values(b, "w"), 20 * sizeof(float));
    ck_assert_mem_ne(values(b, "w"), values(b, "w2"), 20 * sizeof(float));
    x = values(b, "other");
    for (int i = 0; i < 7; i++) {
        ck_assert(x[i] >= -0.5f && x[i] < 0.5f && x[i] != x[(i + 1) % 7]);
    }
    il_store_destroy(a);
    il_store_destroy(b);
}
END_TEST

START_TEST(normal_starts_have_the_deviation_asked_for_and_differ_by_seed)
{
    double sum = 0.0;
    double squares = 0.0;
    float first = 0.0f;

    for (uint64_t seed = 0; seed < 2; seed++) {
        il_store *s = NULL;

        ck_assert_int_eq(il_store_create(&s, NULL), IL_OK);
        add(s, "w", IL_SHAPE(100, 100), IL_INIT_NORMAL(0.5));
        ck_assert_int_eq(il_store_fill(s, seed, NULL), IL_OK);
        for (int i = 0; i < 10000; i++) {
            sum += s->values[i];
            squares += (double)s->values[i] * s->values[i];
        }
        ck_assert(seed == 0 || s->values[0] != first);
        first = s->values[0];
        il_store_destroy(s);
    }
    ck_assert(sum / 20000 < 0.02 && sum / 20000 > -0.02);
    ck_assert(squares / 20000 > 0.24 && squares / 20000 < 0.26);
}
END_TEST

START_TEST(what_a_store_cannot_hold_is_refused_by_name)
{
    il_store *s = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_store_create(&s, NULL), IL_OK);
    add(s, "w", IL_SHAPE(2), IL_INIT_ZERO);
    ck_assert_int_eq(il_store_add(s, "w", "g", IL_SHAPE(2), IL_INIT_ZERO, &err),
                     IL_ERR_INPUT);
    ck_assert_str_eq(err.where, "w");
    err = (il_error){0};
    ck_assert_int_eq(il_store_add(s, "x", "g", IL_SHAPE(2, 0), IL_INIT_ZERO, &err),
                     IL_ERR_SHAPE);
    ck_assert_str_eq(err.where, "x");
    ck_assert_int_eq(
        il_store_add(s, "y", "g", IL_SHAPE(65536, 32769), IL_INIT_ZERO, NULL),
        IL_ERR_SHAPE);
    ck_assert_int_eq(
        il_store_add(s, "z", "g", 0, (const int64_t[]){1}, IL_INIT_ZERO, NULL),
        IL_ERR_SHAPE);
    ck_assert_uint_eq(s->count, 1);
    ck_assert_int_eq(il_store_fill(s, 1, NULL), IL_OK);
    ck_assert_int_eq(il_store_add(s, "late", "g", IL_SHAPE(2), IL_INIT_ZERO, NULL),
                     IL_ERR_INPUT);
    il_store_destroy(s);
}
END_TEST

/* Parameters that start from a file may be changed each by itself, whatever the file.
 */
START_TEST(one_tensor_under_two_names_is_two_parameters)
{
    char path[] = "/tmp/interloop-store-XXXXXX";
    const float values[] = {7.0f, 1.0f, 2.0f, 3.0f, 8.0f, 4.0f};
    int fd = mkstemp(path);
    il_mapped map;
    il_store_source source = {.dtype = {IL_CODE_FLOAT, 32, 1}, .path = path};
    il_store *s = NULL;
    il_error err = {0};
    const float *a;
    float *b;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, values, sizeof values), sizeof values);
    (void)close(fd);
    ck_assert_int_eq(il_mapped_open(&map, path, &err), IL_OK);
    source.map = &map;
    source.data = (const float *)map.data + 1;
    ck_assert_int_eq(il_store_create(&s, &err), IL_OK);
    ck_assert_int_eq(il_store_add_from(s, "a", "g", IL_SHAPE(3), &source, &err), IL_OK);
    ck_assert_int_eq(il_store_add_from(s, "b", "g", IL_SHAPE(3), &source, &err), IL_OK);
    source.data = (const float *)map.data + 5;
    ck_assert_int_eq(il_store_add_from(s, "c", "g", IL_SHAPE(1), &source, &err), IL_OK);
    ck_assert_msg(il_store_fill(s, 1, &err) == IL_OK, "%s", err.message);
    a = s->values + s->items[0].offset;
    b = s->values + s->items[1].offset;
    ck_assert_mem_eq(a, values + 1, 3 * sizeof *values);
    ck_assert_mem_eq(b, values + 1, 3 * sizeof *values);
    ck_assert_float_eq(s->values[s->items[2].offset], 4.0f);
    b[0] = 9.0f;
    ck_assert_float_eq(a[0], 1.0f);
    il_store_destroy(s);
    il_mapped_close(&map);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* A floor to compare a checkpoint with: as large numbers as it has, and none of them.
 */
START_TEST(an_untaught_copy_has_the_files_mean_and_deviation_alone)
{
    enum { N = 4000 };
    float numbers[N];
    float ones[3] = {1.5f, 1.5f, 1.5f};
    uint16_t halves[N];
    il_store_source source = {.data = numbers, .dtype = {IL_CODE_FLOAT, 32, 1}};
    il_store *s = NULL;
    il_error err = {0};
    float *block;

    for (int i = 0; i < N; i++) {
        numbers[i] = 2.0f + (i % 2 == 0 ? 0.5f : -0.5f);
        halves[i] = i % 2 == 0 ? 0x4020 : 0x3fc0; /* the same in bf16 */
    }
    ck_assert_int_eq(il_store_create(&s, &err), IL_OK);
    ck_assert_int_eq(
        il_store_add(s, "drawn", "g", IL_SHAPE(N), IL_INIT_NORMAL(0.25f), &err), IL_OK);
    ck_assert_int_eq(il_store_add_from(s, "read", "g", IL_SHAPE(N), &source, &err),
                     IL_OK);
    source.data = halves;
    source.dtype = (il_dtype){IL_CODE_BFLOAT, 16, 1};
    ck_assert_int_eq(
        il_store_add_from(s, "half", "g", IL_SHAPE(10, N / 10), &source, &err), IL_OK);
    source.data = ones;
    source.dtype = (il_dtype){IL_CODE_FLOAT, 32, 1};
    ck_assert_int_eq(il_store_add_from(s, "gain", "g", IL_SHAPE(3), &source, &err),
                     IL_OK);
    ck_assert_int_eq(il_store_fill(s, 5, &err), IL_OK);
    block = il_store_block(s);
    il_store_draw(s, 5, block);
    ck_assert_mem_eq(block + s->items[0].offset, s->values + s->items[0].offset,
                     N * sizeof *block);
    for (int k = 1; k < 3; k++) {
        const float *v = block + s->items[k].offset;
        double mean = 0.0;
        double square = 0.0;

        for (int i = 0; i < N; i++) {
            mean += v[i] / N;
            square += v[i] * v[i] / N;
            ck_assert_float_ne(v[i], s->values[s->items[k].offset + i]);
        }
        ck_assert_double_eq_tol(mean, 2.0, 0.05);
        ck_assert_double_eq_tol(sqrt(square - mean * mean), 0.5, 0.05);
    }
    ck_assert_mem_eq(block + s->items[3].offset, ones, sizeof ones);
    free(block);
    il_store_destroy(s);
}
END_TEST

START_TEST(a_block_is_zeroed_and_as_large_as_the_values)
{
    il_store *s = NULL;
    float *block;

    ck_assert_int_eq(il_store_create(&s, NULL), IL_OK);
    add(s, "w", IL_SHAPE(5, 7), IL_INIT_ONE);
    ck_assert_int_eq(s->total, 48);
    block = il_store_block(s);
    ck_assert_uint_eq((uintptr_t)block % 64, 0);
    for (int64_t i = 0; i < s->total; i++) {
        ck_assert(block[i] == 0.0f);
    }
    free(block);
    il_store_destroy(s);
}
END_TEST

/* 20 MiB that take no room on the disk. */
START_TEST(a_large_file_lies_as_in_huge_pages)
{
    enum { SIZE = 20 << 20, FLOATS = SIZE / 4 };
    char path[] = "/tmp/interloop-store-XXXXXX";
    const float last = 2.5f;
    il_error err = {0};
    il_store *s = NULL;
    il_mapped map;
    il_store_source source = {.dtype = {IL_CODE_FLOAT, 32, 1}, .path = path};
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, &last, sizeof last, SIZE - (off_t)sizeof last),
                     sizeof last);
    (void)close(fd);
    ck_assert_int_eq(il_mapped_open(&map, path, &err), IL_OK);
    source.map = &map;
    source.data = map.data;
    ck_assert_int_eq(il_store_create(&s, &err), IL_OK);
    ck_assert_int_eq(
        il_store_add(s, "own", "g", 1, (const int64_t[]){3}, IL_INIT_ONE, &err), IL_OK);
    ck_assert_int_eq(
        il_store_add_from(s, "file", "g", 1, (const int64_t[]){FLOATS}, &source, &err),
        IL_OK);
    ck_assert_int_eq(
        il_store_add(s, "after", "g", 1, (const int64_t[]){3}, IL_INIT_ONE, &err),
        IL_OK);
    ck_assert_int_eq(il_store_fill(s, 1, &err), IL_OK);
    ck_assert_uint_eq((uintptr_t)(s->values + s->items[1].offset) % (2 << 20), 0);
    ck_assert(s->values[s->items[0].offset + 2] == 1.0f);
    ck_assert(s->values[s->items[1].offset] == 0.0f);
    ck_assert(s->values[s->items[1].offset + FLOATS - 1] == last);
    ck_assert(s->values[s->items[2].offset + 2] == 1.0f);
    s->values[s->items[1].offset] = 1.0f; /* a page of its own from here on */
    ck_assert(((const float *)map.data)[0] == 0.0f);
    il_store_destroy(s);
    il_mapped_close(&map);
    (void)unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tests = tcase_create("store");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, tensors_start_on_lines_and_keep_their_numbers);
    tcase_add_test(tests, the_start_of_a_tensor_depends_on_its_own_name_alone);
    tcase_add_test(tests,
                   normal_starts_have_the_deviation_asked_for_and_differ_by_seed);
    tcase_add_test(tests, what_a_store_cannot_hold_is_refused_by_name);
    tcase_add_test(tests, one_tensor_under_two_names_is_two_parameters);
    tcase_add_test(tests, an_untaught_copy_has_the_files_mean_and_deviation_alone);
    tcase_add_test(tests, a_block_is_zeroed_and_as_large_as_the_values);
    tcase_add_test(tests, a_large_file_lies_as_in_huge_pages);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
