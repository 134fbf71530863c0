#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/files.h"
#include "base/text.h"

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-files-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* A path in the test's folder, in one of four buffers that take turns. */
static const char *in_folder(const char *name)
{
    static char paths[4][160];
    static int turn;
    char *path = paths[turn++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void ck_contents(const char *path, const char *expected)
{
    char *data = NULL;
    size_t size = 0;
    il_error err = {0};

    ck_assert_msg(il_file_read(path, 1 << 20, &data, &size, &err) == IL_OK, "%s",
                  err.message);
    ck_assert_uint_eq(size, strlen(expected));
    ck_assert_str_eq(data, expected);
    free(data);
}

static il_status join_name(void *user, const char *name, il_error *err)
{
    il_text *t = user;

    il_text_addf(t, "%s ", name);
    return strcmp(name, "stop") == 0 ? il_error_set(err, IL_ERR_INPUT, name, "stopped")
                                     : IL_OK;
}

START_TEST(what_is_written_replaces_what_was_there)
{
    static const il_file_part parts[] = {{"ab", 2}, {"", 0}, {"cde", 3}};

    ck_assert_int_eq(il_file_write(in_folder("f"), "the first", 9, NULL), IL_OK);
    ck_contents(in_folder("f"), "the first");
    ck_assert_int_eq(il_file_write(in_folder("f"), "", 0, NULL), IL_OK);
    ck_contents(in_folder("f"), "");
    ck_assert_int_eq(il_file_write_parts(in_folder("f"), parts, 3, NULL), IL_OK);
    ck_contents(in_folder("f"), "abcde");
}
END_TEST

START_TEST(a_write_leaves_no_temporary_file)
{
    il_text names = {0};
    il_error err = {0};

    ck_assert_int_eq(il_file_write(in_folder("f"), "x", 1, NULL), IL_OK);
    /* The rename fails, since a folder stands where the file should go. */
    ck_assert_int_eq(il_folder_make(in_folder("g"), NULL), IL_OK);
    ck_assert_int_eq(il_file_write(in_folder("g"), "x", 1, &err), IL_ERR_IO);
    ck_assert_str_eq(err.where, in_folder("g"));
    ck_assert_int_eq(il_folder_list(folder, join_name, &names, NULL), IL_OK);
    ck_assert_str_eq(names.data, "f g ");
    il_text_free(&names);
}
END_TEST

START_TEST(a_new_file_has_the_mode_that_the_umask_leaves)
{
    struct stat info;
    mode_t old = umask(027);

    ck_assert_int_eq(il_file_write(in_folder("f"), "x", 1, NULL), IL_OK);
    (void)umask(old);
    ck_assert_int_eq(stat(in_folder("f"), &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0640);
}
END_TEST

START_TEST(a_write_into_a_folder_that_is_not_there_names_the_path)
{
    il_error err = {0};

    ck_assert_int_eq(il_file_write(in_folder("no/f"), "x", 1, &err), IL_ERR_IO);
    ck_assert_str_eq(err.where, in_folder("no/f"));
    ck_assert_ptr_nonnull(strstr(err.message, "No such file"));
}
END_TEST

START_TEST(a_read_keeps_its_limit_and_wants_a_regular_file)
{
    char *data = NULL;
    size_t size = 7;
    il_error err = {0};

    ck_assert_int_eq(il_file_write(in_folder("f"), "12345", 5, NULL), IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("f"), 4, &data, &size, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "at most 4 bytes, got 5"));
    err = (il_error){0};
    ck_assert_int_eq(il_file_read(folder, 99, &data, &size, &err), IL_ERR_INPUT);
    err = (il_error){0};
    ck_assert_int_eq(mkfifo(in_folder("pipe"), 0600), 0);
    ck_assert_int_eq(il_file_read(in_folder("pipe"), 99, &data, &size, &err),
                     IL_ERR_INPUT);
    err = (il_error){0};
    ck_assert_int_eq(il_file_read(in_folder("no"), 99, &data, &size, &err), IL_ERR_IO);
    ck_assert_ptr_null(data);
    ck_assert_uint_eq(size, 7);
    ck_assert_int_eq(il_file_read(in_folder("f"), 5, &data, &size, NULL), IL_OK);
    free(data);
}
END_TEST

START_TEST(appended_records_follow_each_other)
{
    ck_assert_int_eq(il_file_append(in_folder("f"), "one\n", 4, NULL), IL_OK);
    ck_assert_int_eq(il_file_append(in_folder("f"), "two\n", 4, NULL), IL_OK);
    ck_contents(in_folder("f"), "one\ntwo\n");
}
END_TEST

START_TEST(folders_are_made_with_their_parents)
{
    il_error err = {0};

    ck_assert_int_eq(il_folder_make(in_folder("a//b/c/"), NULL), IL_OK);
    ck_assert(il_file_exists(in_folder("a/b/c")));
    ck_assert_int_eq(il_folder_make(in_folder("a/b/c"), NULL), IL_OK);
    ck_assert_int_eq(il_file_write(in_folder("a/f"), "x", 1, NULL), IL_OK);
    ck_assert_int_eq(il_folder_make(in_folder("a/f/d"), &err), IL_ERR_IO);
    err = (il_error){0};
    ck_assert_int_eq(il_folder_make(in_folder("a/f"), &err), IL_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "Not a directory"));
}
END_TEST

START_TEST(a_removed_folder_takes_all_in_it_and_nothing_behind_links)
{
    ck_assert_int_eq(il_folder_make(in_folder("keep"), NULL), IL_OK);
    ck_assert_int_eq(il_file_write(in_folder("keep/f"), "kept", 4, NULL), IL_OK);
    ck_assert_int_eq(il_folder_make(in_folder("gone/a/b"), NULL), IL_OK);
    ck_assert_int_eq(il_file_write(in_folder("gone/a/f"), "x", 1, NULL), IL_OK);
    ck_assert_int_eq(symlink(in_folder("keep"), in_folder("gone/a/link")), 0);
    ck_assert_int_eq(symlink("nowhere", in_folder("gone/dangling")), 0);
    ck_assert_int_eq(il_folder_remove(in_folder("gone"), NULL), IL_OK);
    ck_assert(!il_file_exists(in_folder("gone")));
    ck_contents(in_folder("keep/f"), "kept");
    ck_assert_int_eq(il_folder_remove(in_folder("gone"), NULL), IL_OK);
    /* A link to a folder is no folder. */
    ck_assert_int_eq(symlink(in_folder("keep"), in_folder("link")), 0);
    ck_assert_int_ne(il_folder_remove(in_folder("link"), NULL), IL_OK);
    ck_contents(in_folder("keep/f"), "kept");
}
END_TEST

START_TEST(entries_are_listed_in_order_until_one_stops_it)
{
    static const char *const made[] = {"b", "stop", "a10", "a2", "z", ".hidden"};
    il_text names = {0};
    il_error err = {0};

    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        ck_assert_int_eq(il_file_write(in_folder(made[i]), "", 0, NULL), IL_OK);
    }
    ck_assert_int_eq(il_folder_list(folder, join_name, &names, &err), IL_ERR_INPUT);
    ck_assert_str_eq(names.data, ".hidden a10 a2 b stop ");
    ck_assert_str_eq(err.message, "stopped");
    il_text_free(&names);
    err = (il_error){0};
    ck_assert_int_eq(il_folder_list(in_folder("no"), join_name, &names, &err),
                     IL_ERR_IO);
}
END_TEST

START_TEST(paths_are_joined_and_parted)
{
    static const struct {
        const char *folder;
        const char *name;
        const char *joined;
    } joins[] = {{"a", "b", "a/b"},        {"a/", "b", "a/b"},
                 {"a", "/b", "/b"},        {"/", "b", "/b"},
                 {"", "b", "b"},           {"a/b", "c/d", "a/b/c/d"},
                 {"../a", "..", "../a/.."}};
    static const char *const parts[][2] = {
        {"a/b", "a"},  {"a", "."},         {"/a", "/"}, {"/", "/"},    {"a/b/", "a"},
        {"a//b", "a"}, {"/a/b/c", "/a/b"}, {"", "."},   {"../x", ".."}};

    for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++) {
        char *path = il_path_join(joins[i].folder, joins[i].name);

        ck_assert_str_eq(path, joins[i].joined);
        free(path);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char *path = il_path_folder(parts[i][0]);

        ck_assert_str_eq(path, parts[i][1]);
        free(path);
    }
}
END_TEST

START_TEST(a_lock_excludes_others_until_it_is_let_go)
{
    il_error err = {0};
    int first = -1;
    int second = -1;

    ck_assert_int_eq(il_file_lock(in_folder("lock"), false, &first, NULL), IL_OK);
    ck_assert_int_eq(il_file_lock(in_folder("lock"), false, &second, &err), IL_ERR_IO);
    ck_assert_int_eq(second, -1);
    ck_assert_ptr_nonnull(strstr(err.message, "held"));
    il_file_unlock(first);
    ck_assert_int_eq(il_file_lock(in_folder("lock"), true, &second, NULL), IL_OK);
    il_file_unlock(second);
}
END_TEST

START_TEST(a_lock_goes_with_its_process)
{
    int fd = -1;
    int status = 1;
    pid_t child = fork();

    if (child == 0) {
        _exit(il_file_lock(in_folder("lock"), false, &fd, NULL) == IL_OK ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(il_file_lock(in_folder("lock"), false, &fd, NULL), IL_OK);
    il_file_unlock(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files");
    TCase *tests = tcase_create("files");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_written_replaces_what_was_there);
    tcase_add_test(tests, a_write_leaves_no_temporary_file);
    tcase_add_test(tests, a_new_file_has_the_mode_that_the_umask_leaves);
    tcase_add_test(tests, a_write_into_a_folder_that_is_not_there_names_the_path);
    tcase_add_test(tests, a_read_keeps_its_limit_and_wants_a_regular_file);
    tcase_add_test(tests, appended_records_follow_each_other);
    tcase_add_test(tests, folders_are_made_with_their_parents);
    tcase_add_test(tests, a_removed_folder_takes_all_in_it_and_nothing_behind_links);
    tcase_add_test(tests, entries_are_listed_in_order_until_one_stops_it);
    tcase_add_test(tests, paths_are_joined_and_parted);
    tcase_add_test(tests, a_lock_excludes_others_until_it_is_let_go);
    tcase_add_test(tests, a_lock_goes_with_its_process);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
