/* Detectors saved, taken back and copied. */
#include "support.h"
#include "base/files.h"

static world w;
static char folder[] = "/tmp/interloop-test-XXXXXX";
static il_safetensors *file;
static json_t *contract;

/* A fitted and calibrated detector in a file, and a second world whose detector knows
 * nothing yet. */
static void save(void)
{
    il_acts *acts = acts_of_split(&w, "calib");
    il_arena *arena = il_arena_create(1 << 14);
    char *path = il_path_join(folder, "state.safetensors");
    il_safetensor *items = NULL;
    size_t count = 0;

    world_fit(&w);
    ck_assert_int_eq(il_detector_calibrate(&w.detector, w.blas, acts, &w.err), IL_OK);
    ck_assert_int_eq(
        il_detector_state(&w.detector, true, arena, &items, &count, &w.err), IL_OK);
    ck_assert_int_eq(il_safetensors_write(path, items, count, NULL, 0, &w.err), IL_OK);
    ck_assert_int_eq(il_safetensors_open(&file, path, &w.err), IL_OK);
    ck_assert_ptr_nonnull(contract = il_detector_contract(&w.detector));
    free(path);
    il_arena_destroy(arena);
    il_acts_destroy(acts);
}

static void setup(void)
{
    (void)strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    world_open(&w, 1);
    save();
}

static void teardown(void)
{
    il_safetensors_close(file);
    json_decref(contract);
    world_close(&w);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* The test split's logits. */
static void score(world *from, float logits[300])
{
    il_acts *acts = acts_of_split(from, "test");

    ck_assert_int_eq(
        il_detector_logits(&from->detector, from->blas, acts, logits, &from->err),
        IL_OK);
    il_acts_destroy(acts);
}

START_TEST(a_restored_detector_is_the_one_that_was_saved)
{
    world two;
    float a[300];
    float b[300];
    json_t *again;

    world_open(&two, 1);
    ck_assert_msg(il_detector_restore(&two.detector, file, contract, &two.err) == IL_OK,
                  "%s", two.err.message);
    score(&w, a);
    score(&two, b);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert(two.detector.fitted);
    ck_assert(two.detector.threshold == w.detector.threshold);
    ck_assert_int_eq(two.detector.fit_ids.count, 150);
    ck_assert_int_eq(two.detector.calibration_ids.ids[149],
                     w.detector.calibration_ids.ids[149]);
    again = il_detector_contract(&two.detector);
    ck_assert(json_equal(again, contract));
    json_decref(again);
    world_close(&two);
}
END_TEST

/* What is changed in the contract, to what, and what the refusal says. */
typedef struct change {
    const char *key;
    const char *json;
    const char *says;
} change;

static const change changes[] = {
    {"component", "\"toy.other\"",
     "another component: expected 'toy.probe', got 'toy.o"},
    {"convention", "\"fairseq\"", "another convention"},
    {"tokens", "\"all\"", "another tokens: expected 'claims', got 'all'"},
    {"context", "\"past\"", "another context: expected 'self', got 'past'"},
    {"sites", "[\"embd\"]", "another site: expected 'embed', got 'embd'"},
    {"sites", "[\"embed\", \"embed\"]",
     "another number of sites: expected '1', got '2'"},
    {"sites", "3", "another number of sites: expected '1', got '0'"},
    {"tokens", "null", "got 'nothing'"},
    {"scaling", "\"whitened\"",
     "another scaling: expected 'none or standardized', got 'whitened'"},
    {"pool", "\"max\"", "another pool: expected 'nothing', got 'max'"},
    {"rate", "0.05", "another rate: expected '0.1', got '0.05'"},
    {"unit", "\"sequence\"", "another unit: expected 'token', got 'sequence'"},
};

START_TEST(a_contract_that_does_not_match_is_refused_and_changes_nothing)
{
    world two;
    const float before = 0.25f;

    world_open(&two, 1);
    two.probe.store->values[0] = before;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        json_t *other = json_deep_copy(contract);
        il_error err = {0};

        json_object_set_new(other, changes[i].key,
                            json_loads(changes[i].json, JSON_DECODE_ANY, NULL));
        ck_assert_int_eq(il_detector_restore(&two.detector, file, other, &err),
                         IL_ERR_INPUT);
        ck_assert_msg(strstr(err.message, changes[i].says) != NULL, "%s: %s",
                      changes[i].key, err.message);
        ck_assert_str_eq(err.where, "probe");
        ck_assert(!two.detector.fitted && !two.detector.has_threshold);
        ck_assert_ptr_null(two.mean[0]);
        ck_assert(two.probe.store->values[0] == before);
        json_decref(other);
    }
    world_close(&two);
}
END_TEST

START_TEST(a_file_that_lacks_a_tensor_changes_nothing)
{
    static const char *const lost[] = {"detectors.probe.bias",
                                       "detectors.probe.scaling.inv.embed"};
    const float before = 0.25f;

    for (size_t k = 0; k < 2; k++) {
        char *path = il_path_join(folder, "cut.safetensors");
        il_safetensor items[16];
        il_safetensors *cut = NULL;
        il_error err = {0};
        size_t n = 0;
        world two;

        for (size_t i = 0; i < il_safetensors_count(file); i++) {
            const il_safetensor *t = il_safetensors_at(file, i);

            if (strcmp(t->name, lost[k]) != 0) {
                items[n++] = *t;
            }
        }
        ck_assert_uint_eq(n, il_safetensors_count(file) - 1);
        ck_assert_int_eq(il_safetensors_write(path, items, n, NULL, 0, &err), IL_OK);
        ck_assert_int_eq(il_safetensors_open(&cut, path, &err), IL_OK);
        world_open(&two, 1);
        two.probe.store->values[0] = before;
        ck_assert_int_eq(il_detector_restore(&two.detector, cut, contract, &err),
                         IL_ERR_INPUT);
        ck_assert_str_eq(err.where, "probe");
        ck_assert_ptr_nonnull(strstr(err.message, lost[k]));
        ck_assert(!two.detector.fitted);
        ck_assert(two.probe.store->values[0] == before);
        ck_assert_ptr_null(two.mean[0]);
        world_close(&two);
        il_safetensors_close(cut);
        free(path);
    }
}
END_TEST

START_TEST(online_refits_go_on_from_a_checkpoint_and_start_afresh_without)
{
    il_acts *acts = acts_of_split(&w, "test");
    il_arena *arena = il_arena_create(1 << 14);
    char *path = il_path_join(folder, "online.safetensors");
    float ends[3][WIDTH];

    ck_assert_int_eq(il_detector_online(&w.detector, w.blas, acts, 3, 0.01, &w.err),
                     IL_OK);
    for (int moments = 0; moments < 2; moments++) {
        il_safetensors *half = NULL;
        il_safetensor *items = NULL;
        size_t count = 0;
        world two;

        ck_assert_int_eq(
            il_detector_state(&w.detector, moments == 1, arena, &items, &count, &w.err),
            IL_OK);
        ck_assert_int_eq(il_safetensors_write(path, items, count, NULL, 0, &w.err),
                         IL_OK);
        ck_assert_int_eq(il_safetensors_open(&half, path, &w.err), IL_OK);
        world_open(&two, 1);
        /* It has been refitted online itself: none of that may stay. */
        world_fit(&two);
        ck_assert_int_eq(
            il_detector_online(&two.detector, two.blas, acts, 5, 0.01, &two.err),
            IL_OK);
        ck_assert_msg(il_detector_restore(&two.detector, half, contract, &two.err) ==
                          IL_OK,
                      "%s: %s", two.err.where, two.err.message);
        ck_assert_int_eq(two.detector.steps, moments == 1 ? 3 : 0);
        ck_assert_int_eq(
            il_detector_online(&two.detector, two.blas, acts, 3, 0.01, &two.err),
            IL_OK);
        memcpy(ends[moments], two.probe_values[0], sizeof ends[0]);
        il_safetensors_close(half);
        world_close(&two);
    }
    ck_assert_int_eq(il_detector_online(&w.detector, w.blas, acts, 3, 0.01, &w.err),
                     IL_OK);
    memcpy(ends[2], w.probe_values[0], sizeof ends[0]);
    ck_assert_mem_eq(ends[1], ends[2], sizeof ends[0]);
    ck_assert_mem_ne(ends[0], ends[2], sizeof ends[0]);
    free(path);
    il_arena_destroy(arena);
    il_acts_destroy(acts);
}
END_TEST

/* ---- copies --------------------------------------------------------------------- */

/* A component that ships, as the toy's place: a copy is made through the registry. */
START_TEST(a_copy_scores_alike_and_stays_when_the_original_is_refitted)
{
    il_log *notes = il_log_create();
    il_registry *registry = NULL;
    il_problems problems = {.arena = il_arena_create(4096)};
    il_detector_input in = {
        .spec = &w.spec, .model = &w.model, .data = &w.data, .seed = 1};
    il_fit fit = {.blas = w.blas, .start = IL_FIT_FRESH, .seed = 1, .steps = 20};
    il_acts *acts[3] = {acts_of_split(&w, "fit"), acts_of_split(&w, "calib"),
                        acts_of_split(&w, "test")};
    il_detector *d = NULL;
    il_detector *copy = NULL;
    float a[300];
    float b[300];
    json_t *contracts[2];
    char plugins[512];

    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(plugins, sizeof plugins, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_int_eq(il_registry_create(&registry, notes, &w.err), IL_OK);
    ck_assert_int_eq(il_registry_add_folder(registry, plugins, true, &w.err), IL_OK);
    in.registry = registry;
    w.spec.component = (il_component_spec){.use = "linear_probe", .range = ""};
    ck_assert_msg(il_detector_create(&d, &in, &problems, &w.err) == IL_OK, "%s",
                  w.err.message);
    ck_assert_int_eq(il_detector_fit(d, acts[0], &fit, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_calibrate(d, w.blas, acts[1], &w.err), IL_OK);
    ck_assert_msg(il_detector_copy(&copy, d, registry, &w.err) == IL_OK, "%s",
                  w.err.message);
    contracts[0] = il_detector_contract(d);
    contracts[1] = il_detector_contract(copy);
    ck_assert(json_equal(contracts[0], contracts[1]));
    ck_assert_int_eq(il_detector_logits(d, w.blas, acts[2], a, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(copy, w.blas, acts[2], b, &w.err), IL_OK);
    ck_assert_mem_eq(a, b, sizeof a);
    /* Refitted on other rows, with other scaling. */
    ck_assert_int_eq(il_detector_fit(d, acts[1], &fit, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(d, w.blas, acts[2], b, &w.err), IL_OK);
    ck_assert_mem_ne(a, b, sizeof a);
    ck_assert_int_eq(il_detector_logits(copy, w.blas, acts[2], b, &w.err), IL_OK);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_int_eq(copy->fit_ids.ids[0], 0);
    json_decref(contracts[0]);
    json_decref(contracts[1]);
    il_detector_destroy(d);
    il_detector_destroy(copy);
    for (int i = 0; i < 3; i++) {
        il_acts_destroy(acts[i]);
    }
    il_arena_destroy(problems.arena);
    il_registry_destroy(registry);
    il_log_destroy(notes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract");
    TCase *tc = tcase_create("contract");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_restored_detector_is_the_one_that_was_saved);
    tcase_add_test(tc, a_contract_that_does_not_match_is_refused_and_changes_nothing);
    tcase_add_test(tc, a_file_that_lacks_a_tensor_changes_nothing);
    tcase_add_test(tc, online_refits_go_on_from_a_checkpoint_and_start_afresh_without);
    tcase_add_test(tc, a_copy_scores_alike_and_stays_when_the_original_is_refitted);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
