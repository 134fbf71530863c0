#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "base/hash.h"

/* FIPS 180-2's own examples. */
START_TEST(bulk_is_blake2b)
{
    char hex[IL_HASH_HEX];

    il_hash_bulk(NULL, 0, hex);
    ck_assert_str_eq(
        hex, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    il_hash_bulk("abc", 3, hex);
    ck_assert_str_eq(
        hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}
END_TEST

START_TEST(bytes_hash_as_the_standard_says)
{
    static const char *const cases[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    char hex[IL_HASH_HEX];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        il_hash_bytes(cases[i][0], strlen(cases[i][0]), hex);
        ck_assert_str_eq(hex, cases[i][1]);
    }
    il_hash_bytes(NULL, 0, hex);
    ck_assert_str_eq(hex, cases[0][1]);
}
END_TEST

START_TEST(a_file_hashes_as_its_bytes)
{
    char folder[] = "/tmp/il-hash-XXXXXX";
    char path[64];
    char expected[IL_HASH_HEX];
    char hex[IL_HASH_HEX];
    char *data = malloc(100000);
    il_error err = {0};

    for (int i = 0; i < 100000; i++) {
        data[i] = (char)(i * 31);
    }
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/f", folder);
    ck_assert_int_eq(il_file_write(path, data, 100000, NULL), IL_OK);
    il_hash_bytes(data, 100000, expected);
    ck_assert_int_eq(il_hash_file(path, hex, NULL), IL_OK);
    ck_assert_str_eq(hex, expected);
    ck_assert_int_eq(il_hash_file(folder, hex, &err), IL_ERR_IO);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
    free(data);
}
END_TEST

static void hash_of(const char *const *parts, size_t count, char hex[IL_HASH_HEX])
{
    il_hash *h = il_hash_create();

    for (size_t i = 0; i < count; i++) {
        il_hash_text(h, parts[i]);
    }
    il_hash_done(h, hex);
}

START_TEST(no_two_lists_of_parts_run_together)
{
    static const struct {
        const char *parts[3];
        size_t count;
    } lists[] = {{{NULL}, 0},      {{""}, 1},        {{"", ""}, 2},
                 {{"abc"}, 1},     {{"ab", "c"}, 2}, {{"a", "bc"}, 2},
                 {{"abc", ""}, 2}, {{"", "abc"}, 2}, {{"a", "b", "c"}, 3}};
    enum { COUNT = sizeof lists / sizeof lists[0] };
    char hex[COUNT][IL_HASH_HEX];

    for (size_t i = 0; i < COUNT; i++) {
        hash_of(lists[i].parts, lists[i].count, hex[i]);
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(hex[i], hex[j]);
        }
    }
}
END_TEST

START_TEST(a_text_that_is_null_counts_as_empty)
{
    static const char *const none[] = {NULL};
    static const char *const empty[] = {""};
    char a[IL_HASH_HEX];
    char b[IL_HASH_HEX];

    hash_of(none, 1, a);
    hash_of(empty, 1, b);
    ck_assert_str_eq(a, b);
    /* SHA-256 of eight zero bytes: the length of nothing. */
    ck_assert_str_eq(
        a, "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hash");
    TCase *tests = tcase_create("hash");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, bulk_is_blake2b);
    tcase_add_test(tests, bytes_hash_as_the_standard_says);
    tcase_add_test(tests, a_file_hashes_as_its_bytes);
    tcase_add_test(tests, no_two_lists_of_parts_run_together);
    tcase_add_test(tests, a_text_that_is_null_counts_as_empty);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
