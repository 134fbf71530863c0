/* Distances in a run's ledgers, by hand: from where a job started, and from its twin.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "loop/ledger_apart.h"
#include "loop/state.h"
#include "folder.h"
#include <check.h>

enum { ADDRESS = 64 };

/* An address of one letter. */
static const char *address(char letter, char out[ADDRESS + 1])
{
    memset(out, letter, ADDRESS);
    out[ADDRESS] = '\0';
    return out;
}

/* A state of two tensors of the model and one that is none of it. */
static void put_state(char letter, float x, float y0, float y1)
{
    const float first[1] = {x};
    const float second[2] = {y0, y1};
    const float moment[1] = {100 * x};
    const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    const il_safetensor tensors[] = {{"model.a", f32, 1, {1}, first, sizeof first},
                                     {"model.b", f32, 1, {2}, second, sizeof second},
                                     {"moment1.a", f32, 1, {1}, moment, sizeof moment}};
    char hex[ADDRESS + 1];
    char *path = il_state_folder(folder, address(letter, hex));
    il_error err = {0};

    ck_assert_ptr_nonnull(path);
    ck_assert_msg(il_state_write(path, IL_STATE_RESULT, tensors, 3, NULL, &err) ==
                      IL_OK,
                  "%s: %s", err.where, err.message);
    free(path);
}

static void add_row(il_run *run, const char *variant, uint64_t seed, char state,
                    const char *twin)
{
    char own[ADDRESS + 1];
    char parent[ADDRESS + 1];
    il_run_row row = {.stage = "loop",
                      .variant = variant,
                      .seed = seed,
                      .state = address(state, own),
                      .parent = address('a', parent),
                      .twin = twin};

    ck_assert_int_eq(il_run_row_set(run, &row, NULL), IL_OK);
}

static void put_ledger(const char *job)
{
    char path[128];

    (void)snprintf(path, sizeof path, "run/loop/%s", job);
    ck_assert_int_eq(il_folder_make(in_folder(path), NULL), IL_OK);
    (void)snprintf(path, sizeof path, "run/loop/%s/ledger.json", job);
    put(in_folder(path), "{\"every\": 1, \"readers\": {\"probe\": [\"b\"]}}");
}

static json_t *ledger_of(const char *job)
{
    char path[128];
    json_t *json;

    (void)snprintf(path, sizeof path, "run/loop/%s/ledger.json", job);
    json = json_load_file(in_folder(path), 0, NULL);
    ck_assert_ptr_nonnull(json);
    return json;
}

static double at(const json_t *json, const char *a, const char *b, const char *c,
                 const char *d)
{
    const char *const keys[] = {a, b, c, d};

    for (int i = 0; i < 4 && keys[i] != NULL; i++) {
        json = json_object_get(json, keys[i]);
    }
    ck_assert(json_is_number(json));
    return json_number_value(json);
}

START_TEST(distances_are_square_roots_of_sums_of_squares)
{
    il_run *run = NULL;
    json_t *json;
    il_error err = {0};

    put_state('a', 0, 0, 0);
    put_state('b', 1, 2, 2);
    put_state('c', 1, 5, -2);
    ck_assert_int_eq(il_run_open(&run, folder, "run", NULL), IL_OK);
    add_row(run, "pressed", 1, 'b', "plain");
    add_row(run, "plain", 1, 'c', NULL);
    put_ledger("pressed/seed-1");
    ck_assert_msg(il_ledger_apart(run, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    json = ledger_of("pressed/seed-1");
    ck_assert_double_eq(at(json, "moved", "distance", NULL, NULL), 3);
    ck_assert_double_eq_tol(at(json, "moved", "tensors", "b", NULL), sqrt(8), 1e-12);
    ck_assert_double_eq(at(json, "twin", "distance", NULL, NULL), 5);
    ck_assert_double_eq(at(json, "twin", "readers", "probe", "read"), 5);
    ck_assert_double_eq(at(json, "twin", "readers", "probe", "rest"), 0);
    ck_assert_double_eq(at(json, "moved", "readers", "probe", "rest"), 1);
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(json, "twin"), "variant")),
        "plain");
    ck_assert_double_eq(at(json, "every", NULL, NULL, NULL), 1); /* the rest stays */
    json_decref(json);
    /* Said again, it is the same. */
    ck_assert_int_eq(il_ledger_apart(run, NULL), IL_OK);
    json = ledger_of("pressed/seed-1");
    ck_assert_double_eq(at(json, "twin", "distance", NULL, NULL), 5);
    json_decref(json);
    il_run_close(run);
}
END_TEST

START_TEST(a_twin_of_another_seed_or_that_is_gone_is_none)
{
    static const char *const jobs[] = {"pressed/seed-1", "pressed/seed-2"};
    il_run *run = NULL;

    put_state('a', 0, 0, 0);
    put_state('b', 1, 2, 2);
    ck_assert_int_eq(il_run_open(&run, folder, "run", NULL), IL_OK);
    add_row(run, "pressed", 1, 'b', "plain");
    add_row(run, "plain", 3, 'b', NULL);
    add_row(run, "pressed", 2, 'b', "plain");
    add_row(run, "plain", 2, 'd', NULL); /* its state was dropped */
    put_ledger(jobs[0]);
    put_ledger(jobs[1]);
    ck_assert_int_eq(il_ledger_apart(run, NULL), IL_OK);
    for (int i = 0; i < 2; i++) {
        json_t *json = ledger_of(jobs[i]);

        ck_assert_ptr_nonnull(json_object_get(json, "moved"));
        ck_assert_ptr_null(json_object_get(json, "twin"));
        json_decref(json);
    }
    il_run_close(run);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ledger_apart");
    TCase *tc = tcase_create("ledger_apart");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, distances_are_square_roots_of_sums_of_squares);
    tcase_add_test(tc, a_twin_of_another_seed_or_that_is_gone_is_none);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
