/* The store of installed bundles, in a home that is made for each test. */
#define _XOPEN_SOURCE 700 /* mkdtemp, setenv */
#include "bundle/store.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "base/text.h"

static char home[64];
static il_secret_key key;
static il_public_key public_key;

/* "HOME/NAME", in one of four places in turn. */
static const char *in_home(const char *name)
{
    static char texts[4][160];
    static unsigned next;
    char *text = texts[next++ % 4];

    (void)snprintf(text, sizeof texts[0], "%s/%s", home, name);
    return text;
}

static void write_text(const char *path, const char *text)
{
    il_error err = {0};

    ck_assert_msg(il_file_write(path, text, strlen(text), &err) == IL_OK, "%s: %s",
                  err.where, err.message);
}

static void make_key(void)
{
    char *texts[2] = {NULL, NULL};
    size_t count = 0;
    il_error err = {0};

    ck_assert_int_eq(il_key_make(&texts[0], &texts[1], &err), IL_OK);
    ck_assert_int_eq(il_public_keys_read(texts[0], "key", &public_key, 1, &count, &err),
                     IL_OK);
    ck_assert_int_eq(il_secret_key_read(texts[1], "key", NULL, &key, &err), IL_OK);
    free(texts[0]);
    free(texts[1]);
}

static void open_home(void)
{
    strcpy(home, "/tmp/il_store_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
    ck_assert_int_eq(setenv("HOME", home, 1), 0);
    ck_assert_int_eq(unsetenv("XDG_DATA_HOME"), 0);
    ck_assert_int_eq(unsetenv("XDG_CONFIG_HOME"), 0);
    make_key();
}

static void close_home(void)
{
    il_error err = {0};

    (void)il_folder_remove(home, &err);
}

/* Packs the plugin lda under a name and opens the bundle. */
static void pack(il_bundle *out, const char *name)
{
    const char *build = getenv("IL_BUILD");
    char from[256];
    const char *library = in_home(name);
    const char *libraries[] = {library};
    const char *bundle = in_home("packed.ilb");
    il_bundle_recipe recipe = {.libraries = libraries, .library_count = 1, .key = &key};
    char *data = NULL;
    size_t size = 0;
    il_error err = {0};

    (void)snprintf(from, sizeof from, "%s/plugins/lda.so",
                   build != NULL ? build : "build");
    ck_assert_int_eq(il_file_read(from, 1 << 28, &data, &size, &err), IL_OK);
    ck_assert_int_eq(il_file_write(library, data, size, &err), IL_OK);
    free(data);
    ck_assert_msg(il_bundle_pack(bundle, &recipe, NULL, &err) == IL_OK, "%s: %s",
                  err.where, err.message);
    ck_assert_int_eq(il_bundle_open(out, bundle, &err), IL_OK);
}

static void install(const char *name)
{
    il_bundle b;
    il_error err = {0};

    pack(&b, name);
    ck_assert_msg(il_store_install(&b, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    il_bundle_close(&b);
}

/* The only bundle that is listed. */
static void expect_listed(const char *id, bool is_signed)
{
    json_t *list = NULL;
    const json_t *item;
    il_error err = {0};

    ck_assert_int_eq(il_store_list(&public_key, 1, &list, &err), IL_OK);
    ck_assert_uint_eq(json_array_size(list), 1);
    item = json_array_get(list, 0);
    ck_assert_str_eq(json_string_value(json_object_get(item, "id")), id);
    ck_assert_int_eq(json_is_string(json_object_get(item, "signer")), is_signed);
    ck_assert_int_eq(json_is_true(json_object_get(item, "changed")), !is_signed);
    json_decref(list);
}

/* ---- keys ----------------------------------------------------------------------- */

/* Texts of `count` keys that no other call gave. */
static void write_keys(const char *path, int count)
{
    static uint8_t number;
    il_text text = {0};

    number++;
    for (int i = 0; i < count; i++) {
        il_public_key k = {.id = {number, (uint8_t)(i & 255), (uint8_t)(i >> 8)}};

        il_public_key_write(&text, &k);
    }
    write_text(path, text.data);
    il_text_free(&text);
}

static size_t count_keys(void)
{
    il_public_key *keys = calloc(IL_MINISIGN_KEYS, sizeof *keys);
    size_t count = 0;
    il_error err = {0};

    ck_assert_msg(il_store_keys_read(keys, &count, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    free(keys);
    return count;
}

START_TEST(a_key_is_added_after_a_last_line_without_its_end)
{
    size_t added = 0;
    il_error err = {0};
    il_text text = {0};

    ck_assert_int_eq(il_folder_make(in_home(".config/interloop"), &err), IL_OK);
    il_public_key_write(&text, &public_key);
    text.data[text.size - 1] = '\0';
    write_text(in_home(".config/interloop/trusted_keys"), text.data);
    il_text_free(&text);
    write_keys(in_home("more.pub"), 1);
    ck_assert_int_eq(il_store_keys_add(in_home("more.pub"), &added, &err), IL_OK);
    ck_assert_uint_eq(added, 1);
    ck_assert_uint_eq(count_keys(), 2);
}
END_TEST

START_TEST(a_key_that_is_known_is_not_written_again)
{
    size_t added = 9;
    il_error err = {0};
    il_text text = {0};

    write_keys(in_home("one.pub"), 1);
    ck_assert_int_eq(il_store_keys_add(in_home("one.pub"), &added, &err), IL_OK);
    ck_assert_uint_eq(added, 1);
    for (int i = 0; i < 2; i++) { /* one that is new, twice in its file */
        il_public_key_write(&text, &public_key);
    }
    write_text(in_home("two.pub"), text.data);
    il_text_free(&text);
    ck_assert_int_eq(il_store_keys_add(in_home("two.pub"), &added, &err), IL_OK);
    ck_assert_uint_eq(added, 1);
    ck_assert_int_eq(il_store_keys_add(in_home("two.pub"), &added, &err), IL_OK);
    ck_assert_uint_eq(added, 0);
    ck_assert_uint_eq(count_keys(), 2);
}
END_TEST

START_TEST(more_keys_than_can_be_read_are_never_written)
{
    size_t added = 0;
    il_error err = {0};

    write_keys(in_home("many.pub"), 200);
    ck_assert_int_eq(il_store_keys_add(in_home("many.pub"), &added, &err), IL_OK);
    ck_assert_uint_eq(added, 200);
    write_keys(in_home("too_many.pub"), IL_MINISIGN_KEYS - 200 + 1);
    ck_assert_int_eq(il_store_keys_add(in_home("too_many.pub"), &added, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "would hold more than 256 keys"));
    ck_assert_uint_eq(count_keys(), 200);
}
END_TEST

START_TEST(a_text_without_lines_holds_no_secret_key)
{
    il_secret_key out;
    il_error err = {0};

    ck_assert_int_eq(il_secret_key_read("", "empty.key", NULL, &out, &err),
                     IL_ERR_INPUT);
    ck_assert_str_eq(err.message, "expected a minisign secret key");
}
END_TEST

/* ---- bundles -------------------------------------------------------------------- */

START_TEST(an_id_that_says_old_is_listed_like_any_other)
{
    install("mine.older.so");
    expect_listed("interloop.mine.older", true);
}
END_TEST

START_TEST(what_a_kill_left_half_done_is_mended_by_installing_again)
{
    install("mine.so");
    /* between the two renames */
    ck_assert_int_eq(
        rename(in_home(".local/share/interloop/bundles/interloop.mine"),
               in_home(".local/share/interloop/bundles/.interloop.mine.old")),
        0);
    install("mine.so");
    expect_listed("interloop.mine", true);
    ck_assert(
        !il_file_exists(in_home(".local/share/interloop/bundles/.interloop.mine.old")));
    /* before the plugin was put in its place */
    write_text(in_home(".local/share/interloop/plugins/interloop.mine.so"), "older");
    expect_listed("interloop.mine", false);
    install("mine.so");
    expect_listed("interloop.mine", true);
}
END_TEST

START_TEST(two_bundles_that_offer_one_component_are_not_installed)
{
    il_bundle b;
    il_error err = {0};

    install("mine.so");
    pack(&b, "yours.so");
    ck_assert_int_eq(il_store_install(&b, &err), IL_ERR_INPUT);
    ck_assert_str_eq(err.where, "interloop.yours");
    ck_assert_ptr_nonnull(strstr(
        err.message, "offers 'lda', and so does the installed bundle interloop.mine"));
    il_bundle_close(&b);
    expect_listed("interloop.mine", true);
    ck_assert(
        !il_file_exists(in_home(".local/share/interloop/plugins/interloop.yours.so")));
}
END_TEST

START_TEST(what_is_installed_has_its_version)
{
    char *version = il_store_version("interloop.mine");

    ck_assert_ptr_null(version);
    install("mine.so");
    version = il_store_version("interloop.mine");
    ck_assert_str_eq(version, "1.0.0");
    free(version);
}
END_TEST

START_TEST(without_a_home_nothing_is_installed_and_nothing_can_be)
{
    json_t *list = NULL;
    il_bundle b;
    il_error err = {0};

    pack(&b, "mine.so");
    ck_assert_int_eq(unsetenv("HOME"), 0);
    ck_assert_int_eq(setenv("XDG_DATA_HOME", "relative", 1), 0);
    ck_assert_int_eq(il_store_list(&public_key, 1, &list, &err), IL_OK);
    ck_assert_uint_eq(json_array_size(list), 0);
    ck_assert_int_eq(il_store_install(&b, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "neither HOME nor XDG_DATA_HOME"));
    json_decref(list);
    il_bundle_close(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tc = tcase_create("store");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, open_home, close_home);
    tcase_add_test(tc, a_key_is_added_after_a_last_line_without_its_end);
    tcase_add_test(tc, a_key_that_is_known_is_not_written_again);
    tcase_add_test(tc, more_keys_than_can_be_read_are_never_written);
    tcase_add_test(tc, a_text_without_lines_holds_no_secret_key);
    tcase_add_test(tc, an_id_that_says_old_is_listed_like_any_other);
    tcase_add_test(tc, what_a_kill_left_half_done_is_mended_by_installing_again);
    tcase_add_test(tc, two_bundles_that_offer_one_component_are_not_installed);
    tcase_add_test(tc, what_is_installed_has_its_version);
    tcase_add_test(tc, without_a_home_nothing_is_installed_and_nothing_can_be);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
