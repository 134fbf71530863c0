#include "folder.h"
#include "loop/gc.h"
#include "loop/rundir.h"
#include "loop/state.h"
#include <check.h>

/* The address of a state by one letter. */
static const char *address(char letter)
{
    static char addresses[8][IL_HASH_HEX];
    static int next;
    char *out = addresses[next++ % 8];

    memset(out, letter, IL_HASH_HEX - 1);
    out[IL_HASH_HEX - 1] = '\0';
    return out;
}

/* Makes the state of a letter that a run began, with a parent ('\0': none). */
static void state_make(char letter, char parent, const char *run, const char *pair)
{
    char *path = il_state_folder(folder, address(letter));
    il_state_key key = {.text = "t", .parent = parent != '\0' ? address(parent) : NULL};

    ck_assert_int_eq(il_state_lineage(path, &key, run, "s", NULL), IL_OK);
    ck_assert_int_eq(il_state_write(path, pair, NULL, 0, NULL, NULL), IL_OK);
    free(path);
}

static bool there(char letter)
{
    char *path = il_state_folder(folder, address(letter));
    bool exists = il_file_exists(path);

    free(path);
    return exists;
}

/* A run whose summary names these states. */
static void run_make(const char *name, const char *letters)
{
    il_run *r;

    ck_assert_int_eq(il_run_open(&r, folder, name, NULL), IL_OK);
    for (uint64_t i = 0; letters[i] != '\0'; i++) {
        il_run_row row = {
            .stage = "s", .variant = "", .seed = i, .state = address(letters[i])};

        ck_assert_int_eq(il_run_row_set(r, &row, NULL), IL_OK);
    }
    ck_assert_int_eq(il_run_summary(r, NULL), IL_OK);
    il_run_close(r);
}

static void address_seen(void *user, const char *name, int64_t bytes)
{
    char *letters = user;
    size_t length = strlen(letters);

    ck_assert_int_gt(bytes, 0);
    letters[length] = name[0];
    letters[length + 1] = '\0';
}

/* a <- b <- c, and d <- e; a run names c. */
static void sample_make(void)
{
    run_make("run", "c");
    state_make('a', '\0', "gone", IL_STATE_RESULT);
    state_make('b', 'a', "gone", IL_STATE_RESULT);
    state_make('c', 'b', "run", IL_STATE_RESULT);
    state_make('d', '\0', "run", IL_STATE_RESULT);
    state_make('e', 'd', "gone", IL_STATE_CHECKPOINT);
}

START_TEST(what_a_run_names_and_its_ancestors_stay_and_the_rest_goes)
{
    il_gc_tally tally;
    char seen[16] = "";

    sample_make();
    ck_assert_int_eq(il_gc(folder, false, address_seen, seen, &tally, NULL), IL_OK);
    ck_assert_str_eq(seen, "de");
    ck_assert(there('a') && there('b') && there('c') && !there('d') && !there('e'));
    ck_assert_int_eq(tally.kept, 3);
    ck_assert_int_eq(tally.dropped, 2);
    ck_assert_int_eq(tally.locked, 0);
    ck_assert_int_gt(tally.bytes, 0);
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert_int_eq(tally.dropped, 0);
    ck_assert_int_eq(tally.kept, 3);
}
END_TEST

START_TEST(a_dry_run_says_the_same_and_removes_nothing)
{
    il_gc_tally tally;
    char seen[16] = "";

    sample_make();
    ck_assert_int_eq(il_gc(folder, true, address_seen, seen, &tally, NULL), IL_OK);
    ck_assert_str_eq(seen, "de");
    ck_assert_int_eq(tally.dropped, 2);
    ck_assert(there('d') && there('e'));
}
END_TEST

START_TEST(what_is_being_computed_stays_with_its_ancestors)
{
    il_gc_tally tally;
    int fd;

    sample_make();
    ck_assert_int_eq(il_state_lock(folder, address('e'), false, &fd, NULL), IL_OK);
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert(there('d') && there('e'));
    ck_assert_int_eq(tally.locked, 1);
    ck_assert_int_eq(tally.dropped, 0);
    il_file_unlock(fd);
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert(!there('d') && !there('e'));
}
END_TEST

START_TEST(what_an_interrupted_run_has_begun_stays_while_the_run_does)
{
    il_gc_tally tally;

    sample_make();
    state_make('f', 'd', "run", IL_STATE_CHECKPOINT);
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert(there('f') && there('d') && !there('e'));
    ck_assert_int_eq(il_folder_remove(in_folder("run"), NULL), IL_OK);
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert_int_eq(tally.kept, 0);
    ck_assert(!there('f') && !there('a'));
}
END_TEST

START_TEST(nothing_goes_while_a_run_is_going_on)
{
    il_gc_tally tally;
    il_error err = {0};
    il_run *r;

    sample_make();
    ck_assert_int_eq(il_run_open(&r, folder, "other", NULL), IL_OK);
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, &err), IL_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.where, "other"));
    ck_assert(there('d') && there('e'));
    il_run_close(r);
}
END_TEST

START_TEST(nothing_goes_while_a_summary_or_a_lineage_cannot_be_read)
{
    il_gc_tally tally;
    il_error err = {0};
    char name[128];

    sample_make();
    run_make("other", "");
    put(in_folder("other/summary.json"), "{\"rows\": [");
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.where, "other/summary.json"));
    put(in_folder("other/summary.json"), "{\"rows\": 3}");
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_ERR_INPUT);
    run_make("other", "");
    (void)snprintf(name, sizeof name, ".stages/%s/lineage.json", address('c'));
    put(in_folder(name), "{");
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_ERR_INPUT);
    ck_assert(there('d') && there('e'));
}
END_TEST

START_TEST(a_lineage_that_leads_in_a_circle_ends)
{
    il_gc_tally tally;

    run_make("run", "a");
    state_make('a', 'b', "run", IL_STATE_RESULT);
    state_make('b', 'c', "run", IL_STATE_RESULT);
    state_make('c', 'b', "run", IL_STATE_RESULT);
    state_make('d', 'd', "run", IL_STATE_RESULT);
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert_int_eq(tally.kept, 3);
    ck_assert_int_eq(tally.dropped, 1);
}
END_TEST

START_TEST(what_is_not_named_as_a_state_is_let_be)
{
    static const char *const names[] = {
        ".stages/notes", ".stages/..a/x",
        ".stages/GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG"};
    il_gc_tally tally;

    sample_make();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(il_folder_make(in_folder(names[i]), NULL), IL_OK);
    }
    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert_int_eq(tally.dropped, 2);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert(il_file_exists(in_folder(names[i])));
    }
}
END_TEST

START_TEST(a_folder_without_states_has_nothing_to_collect)
{
    il_gc_tally tally;

    ck_assert_int_eq(il_gc(folder, false, NULL, NULL, &tally, NULL), IL_OK);
    ck_assert_int_eq(tally.kept + tally.dropped + tally.locked, 0);
    ck_assert(!il_file_exists(in_folder(".stages")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gc");
    TCase *tests = tcase_create("gc");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_a_run_names_and_its_ancestors_stay_and_the_rest_goes);
    tcase_add_test(tests, a_dry_run_says_the_same_and_removes_nothing);
    tcase_add_test(tests, what_is_being_computed_stays_with_its_ancestors);
    tcase_add_test(tests, what_an_interrupted_run_has_begun_stays_while_the_run_does);
    tcase_add_test(tests, nothing_goes_while_a_run_is_going_on);
    tcase_add_test(tests, nothing_goes_while_a_summary_or_a_lineage_cannot_be_read);
    tcase_add_test(tests, a_lineage_that_leads_in_a_circle_ends);
    tcase_add_test(tests, what_is_not_named_as_a_state_is_let_be);
    tcase_add_test(tests, a_folder_without_states_has_nothing_to_collect);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
