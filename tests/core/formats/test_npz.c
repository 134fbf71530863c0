#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "formats/npz.h"
#include "formats/zip.h"

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-npz-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* A path in the test's folder; valid until the next call. */
static const char *in_folder(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *fixture(const char *name)
{
    static char path[512];
    const char *root = getenv("IL_ROOT");
    const char *made = getenv("IL_EXCHANGE_FIXTURES");

    (void)snprintf(path, sizeof path, "%s%s/%s",
                   made != NULL   ? made
                   : root != NULL ? root
                                  : ".",
                   made != NULL ? "" : "/tests/fixtures/exchange", name);
    return path;
}

static const il_array *array(il_npz *npz, const char *name)
{
    const il_array *a = NULL;
    il_error err = {0};
    size_t i = 0;

    ck_assert_msg(il_npz_find(npz, name, &i), "no array '%s'", name);
    ck_assert_str_eq(il_npz_name(npz, i), name);
    ck_assert_msg(il_npz_array(npz, i, &a, &err) == IL_OK, "%s", err.message);
    return a;
}

START_TEST(what_numpy_writes_is_read_stored_and_deflated)
{
    il_npz *stored = NULL;
    il_npz *packed = NULL;
    il_error err = {0};
    size_t i;
    int32_t turned[6];
    int64_t count;

    ck_assert_msg(il_npz_open(&stored, fixture("arrays.npz"), &err) == IL_OK, "%s",
                  err.message);
    ck_assert_msg(il_npz_open(&packed, fixture("packed.npz"), &err) == IL_OK, "%s",
                  err.message);
    ck_assert_uint_eq(il_npz_count(stored), 4);
    ck_assert_uint_eq(il_npz_count(packed), 4);
    ck_assert(!il_npz_find(stored, "coef.npy", &i));
    for (i = 0; i < 4; i++) {
        const il_array *a = array(stored, il_npz_name(stored, i));
        const il_array *b = array(packed, il_npz_name(stored, i));

        ck_assert_int_eq(a->ndim, b->ndim);
        ck_assert_uint_eq(a->bytes, b->bytes);
        ck_assert_mem_eq(a->data, b->data, a->bytes);
    }
    ck_assert_int_eq(array(packed, "coef")->shape[1], 12);
    ck_assert_int_eq(array(packed, "scale")->dtype.bits, 64);
    memcpy(turned, array(packed, "turned")->data, sizeof turned);
    for (int32_t k = 0; k < 6; k++) {
        ck_assert_int_eq(turned[k], k);
    }
    ck_assert_int_eq(array(packed, "count")->ndim, 0);
    memcpy(&count, array(packed, "count")->data, sizeof count);
    ck_assert_int_eq(count, 3);
    il_npz_close(stored);
    il_npz_close(packed);
    il_npz_close(NULL);
}
END_TEST

START_TEST(what_was_written_is_read_back)
{
    static const float six[6] = {0, 1, 2, 3, 4, 5};
    const il_npz_source arrays[] = {
        {"W_enc", {{IL_CODE_FLOAT, 32, 1}, 2, {2, 3}, six, sizeof six}},
        {"none", {{IL_CODE_FLOAT, 32, 1}, 2, {0, 3}, NULL, 0}}};
    il_npz *npz = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_npz_write(in_folder("file"), arrays, 2, &err), IL_OK);
    ck_assert_msg(il_npz_open(&npz, in_folder("file"), &err) == IL_OK, "%s",
                  err.message);
    ck_assert_int_eq(array(npz, "W_enc")->shape[0], 2);
    ck_assert_mem_eq(array(npz, "W_enc")->data, six, sizeof six);
    ck_assert_uint_eq(array(npz, "none")->bytes, 0);
    il_npz_close(npz);
}
END_TEST

START_TEST(a_member_that_is_no_array_is_refused)
{
    const il_zip_source members[] = {{"a.txt", "x", 1, NULL, 0}};
    il_npz *npz = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_zip_write(in_folder("file"), members, 1, NULL), IL_OK);
    ck_assert_int_eq(il_npz_open(&npz, in_folder("file"), &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'a.txt': expected arrays alone"));
}
END_TEST

START_TEST(a_broken_array_is_named_with_its_member)
{
    const il_zip_source members[] = {{"a.npy", "no array", 8, NULL, 0}};
    il_npz *npz = NULL;
    const il_array *a = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_zip_write(in_folder("file"), members, 1, NULL), IL_OK);
    ck_assert_int_eq(il_npz_open(&npz, in_folder("file"), NULL), IL_OK);
    ck_assert_int_eq(il_npz_array(npz, 0, &a, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.where, "a.npy"));
    il_npz_close(npz);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("npz");
    TCase *t = tcase_create("npz");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_numpy_writes_is_read_stored_and_deflated);
    tcase_add_test(t, what_was_written_is_read_back);
    tcase_add_test(t, a_member_that_is_no_array_is_refused);
    tcase_add_test(t, a_broken_array_is_named_with_its_member);
    suite_add_tcase(s, t);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
