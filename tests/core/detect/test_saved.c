/* A detector in a file of its own, and every way in which such a file can be wrong. */
#include "support.h"
#include "base/files.h"
#include "detect/saved.h"

static world w;
static char folder[] = "/tmp/interloop-test-XXXXXX";
static char *path;

static void setup(void)
{
    il_acts *acts;

    (void)strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = il_path_join(folder, "probe.safetensors");
    world_open(&w, 1);
    world_fit(&w);
    acts = acts_of_split(&w, "calib");
    ck_assert_int_eq(il_detector_calibrate(&w.detector, w.blas, acts, &w.err), IL_OK);
    il_acts_destroy(acts);
    ck_assert_int_eq(il_saved_write(&w.detector, path, &w.err), IL_OK);
}

static void teardown(void)
{
    free(path);
    world_close(&w);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* Loads the file into the detector of a second world; what went wrong is in `says`. */
static il_status load(world *two, char says[IL_ERROR_MESSAGE_MAX])
{
    il_problems problems = {.arena = il_arena_create(1 << 14)};
    il_error err = {.code = IL_OK};
    il_saved *saved = NULL;
    il_status status = il_saved_open(&saved, path, &err);

    two->spec.from = path;
    if (status == IL_OK) {
        status = il_saved_load(&two->detector, saved, &problems, &err);
    }
    (void)snprintf(says, IL_ERROR_MESSAGE_MAX, "%s", err.message);
    il_saved_close(saved);
    il_arena_destroy(problems.arena);
    return status;
}

/* Writes the file again with one thing changed; NULL leaves it. */
static void rewrite(const char *contract, void (*change)(il_safetensor *t))
{
    il_safetensors *file = NULL;
    il_safetensor items[16];
    il_safetensors_pair pair = {IL_SAVED_KEY, contract};
    char *other = il_path_join(folder, "other.safetensors");
    size_t n = 0;

    ck_assert_int_eq(il_safetensors_open(&file, path, NULL), IL_OK);
    if (contract == NULL) {
        pair.value = il_safetensors_metadata_get(file, IL_SAVED_KEY);
    }
    for (size_t i = 0; i < il_safetensors_count(file); i++) {
        items[n] = *il_safetensors_at(file, i);
        if (change != NULL) {
            change(&items[n]);
        }
        n += items[n].name != NULL;
    }
    ck_assert_int_eq(il_safetensors_write(other, items, n, &pair, 1, NULL), IL_OK);
    il_safetensors_close(file);
    ck_assert_int_eq(rename(other, path), 0);
    free(other);
}

START_TEST(a_saved_detector_scores_as_it_did)
{
    il_acts *acts = acts_of_split(&w, "test");
    char says[IL_ERROR_MESSAGE_MAX];
    float a[300];
    float b[300];
    world two;

    world_open(&two, 1);
    ck_assert_msg(load(&two, says) == IL_OK, "%s", says);
    ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, acts, a, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(&two.detector, two.blas, acts, b, &two.err),
                     IL_OK);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert(two.detector.threshold == w.detector.threshold);
    ck_assert_uint_eq(strlen(two.detector.source), IL_HASH_HEX - 1);
    ck_assert_uint_eq(two.detector.accepted_count, 0);
    il_acts_destroy(acts);
    world_close(&two);
}
END_TEST

static void transpose(il_safetensor *t)
{
    if (strcmp(t->name, "weight") == 0) {
        int64_t held = t->shape[0];

        ck_assert_int_eq(t->ndim, 2);
        t->shape[0] = t->shape[1];
        t->shape[1] = held;
    }
}

static void blind(il_safetensor *t)
{
    static const float none[WIDTH] = {0, NAN, 0};

    if (strcmp(t->name, "weight") == 0) {
        t->data = none;
    }
}

static void drop(il_safetensor *t)
{
    if (strcmp(t->name, "bias") == 0) {
        t->name = NULL;
    }
}

static void unscale(il_safetensor *t)
{
    if (strcmp(t->name, "scaling.inv.embed") == 0) {
        t->name = NULL;
    }
}

static const struct {
    void (*change)(il_safetensor *t);
    const char *says;
} wrongs[] = {
    {transpose, "tensor 'weight': expected (1, 3) of float32, got (3, 1)"},
    {blind, "tensor 'weight': element 1 is no number"},
    {drop, "it lacks the tensor 'bias'"},
    {unscale, "it lacks the tensor 'scaling.inv.embed'"},
};

START_TEST(a_tensor_that_does_not_fit_is_named_and_changes_nothing)
{
    char says[IL_ERROR_MESSAGE_MAX];
    world two;

    rewrite(NULL, wrongs[_i].change);
    world_open(&two, 1);
    two.probe.store->values[0] = 0.25f;
    ck_assert_int_eq(load(&two, says), IL_ERR_INPUT);
    ck_assert_msg(strstr(says, wrongs[_i].says) != NULL, "'%s' lacks '%s'", says,
                  wrongs[_i].says);
    ck_assert(!two.detector.fitted);
    ck_assert(two.probe.store->values[0] == 0.25f);
    world_close(&two);
}
END_TEST

static const struct {
    const char *contract;
    const char *says;
} contracts[] = {
    {"", "expected an object of JSON"},
    {"[1]", "expected an object of JSON"},
    {"{\"component\": \"toy.probe\"}", "expected a component and a list of sites"},
    {"{\"component\": \"toy.probe\", \"sites\": []}", "a list of sites"},
    {"{\"component\": 1, \"sites\": [\"embed\"]}", "expected a component"},
    {"{\"component\": \"toy.probe\", \"sites\": [\"embed\", 7]}", "sites[1]"},
    {"{\"component\": \"a\", \"component\": \"b\", \"sites\": [\"embed\"]}",
     "expected an object of JSON"},
};

START_TEST(a_contract_that_is_none_is_refused)
{
    char says[IL_ERROR_MESSAGE_MAX];
    world two;

    rewrite(contracts[_i].contract, NULL);
    world_open(&two, 1);
    ck_assert_int_eq(load(&two, says), IL_ERR_INPUT);
    ck_assert_msg(strstr(says, contracts[_i].says) != NULL, "'%s' lacks '%s'", says,
                  contracts[_i].says);
    world_close(&two);
}
END_TEST

START_TEST(a_file_that_holds_no_detector_is_refused)
{
    il_saved *saved = NULL;
    il_error err = {.code = IL_OK};

    ck_assert_int_eq(il_safetensors_write(path, NULL, 0, NULL, 0, NULL), IL_OK);
    ck_assert_int_eq(il_saved_open(&saved, path, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected a saved detector"));
}
END_TEST

START_TEST(a_difference_is_refused_or_taken_by_name)
{
    il_accept_spec accept = {.what = "tokens", .why = "asked for"};
    char says[IL_ERROR_MESSAGE_MAX];
    json_t *contract;
    world two;

    world_open(&two, 1);
    two.spec.tokens = "all";
    ck_assert_int_eq(load(&two, says), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(says, "another tokens: expected 'all'"));
    ck_assert_ptr_nonnull(strstr(says, "--accept probe.tokens"));
    two.spec.accept = &accept;
    two.spec.accept_count = 1;
    ck_assert_msg(load(&two, says) == IL_OK, "%s", says);
    ck_assert_uint_eq(two.detector.accepted_count, 1);
    contract = il_detector_contract(&two.detector);
    ck_assert_str_eq(
        json_string_value(json_object_get(
            json_array_get(json_object_get(contract, "accepted"), 0), "got")),
        "claims");
    json_decref(contract);
    world_close(&two);
}
END_TEST

START_TEST(a_descendant_of_its_model_is_no_other_model)
{
    il_accept_spec accept = {.what = "model", .why = "asked for"};
    json_t *line = json_pack("[s, s]", "aa", "bb");
    il_error err = {.code = IL_OK};

    (void)strcpy(w.detector.model_hash, "aa");
    ck_assert_int_eq(il_detector_descends(&w.detector, line, &err), IL_OK);
    (void)strcpy(w.detector.model_hash, "cc");
    ck_assert_int_eq(il_detector_descends(&w.detector, line, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected the weights bb"));
    w.detector.model_hash[0] = '\0';
    ck_assert_int_eq(il_detector_descends(&w.detector, line, NULL), IL_ERR_INPUT);
    w.spec.accept = &accept;
    w.spec.accept_count = 1;
    ck_assert_int_eq(il_detector_descends(&w.detector, line, NULL), IL_OK);
    ck_assert_int_eq(il_detector_descends(&w.detector, line, NULL), IL_OK);
    ck_assert_uint_eq(w.detector.accepted_count, 1);
    json_decref(line);
}
END_TEST

START_TEST(what_was_never_fitted_is_not_saved)
{
    il_error err = {.code = IL_OK};
    world two;

    world_open(&two, 1);
    ck_assert_int_eq(il_saved_write(&two.detector, path, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "has not been fitted"));
    world_close(&two);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("saved");
    TCase *tc = tcase_create("saved");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_saved_detector_scores_as_it_did);
    tcase_add_loop_test(tc, a_tensor_that_does_not_fit_is_named_and_changes_nothing, 0,
                        (int)(sizeof wrongs / sizeof wrongs[0]));
    tcase_add_loop_test(tc, a_contract_that_is_none_is_refused, 0,
                        (int)(sizeof contracts / sizeof contracts[0]));
    tcase_add_test(tc, a_file_that_holds_no_detector_is_refused);
    tcase_add_test(tc, a_difference_is_refused_or_taken_by_name);
    tcase_add_test(tc, a_descendant_of_its_model_is_no_other_model);
    tcase_add_test(tc, what_was_never_fitted_is_not_saved);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
