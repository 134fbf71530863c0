/* Detectors that read detectors. */
#include "composed.h"
#include "base/files.h"

static composed c;
static il_detector *one;
static il_detector *two;

static void setup(void)
{
    composed_open(&c);
    one = probe_made(&c, "one", 11);
    two = probe_made(&c, "two", 12);
}

static void teardown(void)
{
    il_detector_destroy(one);
    il_detector_destroy(two);
    composed_close(&c);
}

static il_detector *ensemble(const char *name, const char *combine, const char *scale)
{
    const char *const pairs[] = {"combine", combine, "scale", scale, NULL};
    il_detector_spec *s = spec_of(&c, name, "ensemble");
    il_detector *members[] = {one, two};

    s->fit = (il_fit_spec){0};
    s->component.params = params_of(c.arena, pairs);
    return of_made(&c, s, 2, members);
}

static const char *const ways[][2] = {{"mean", "logit"},
                                      {"mean", "probability"},
                                      {"max", "logit"},
                                      {"max", "probability"}};

/* What an ensemble is to give of two logits, the long way. */
static double twin(int way, double a, double b)
{
    double p = 0.5 * (1 / (1 + exp(-a)) + 1 / (1 + exp(-b)));

    return way == 0 ? 0.5 * (a + b) : way == 1 ? log(p / (1 - p)) : a > b ? a : b;
}

START_TEST(an_ensemble_gives_what_its_members_give_together)
{
    il_detector *both = ensemble("both", ways[_i][0], ways[_i][1]);
    float a[300];
    float b[300];
    float z[300];

    ck_assert_int_eq(logits_of(&c, one, "test", a), 300);
    ck_assert_int_eq(logits_of(&c, two, "test", b), 300);
    ck_assert(il_detector_ready(both));
    ck_assert_int_eq(logits_of(&c, both, "test", z), 300);
    for (int i = 0; i < 300; i++) {
        ck_assert_double_eq_tol(z[i], twin(_i, a[i], b[i]), 1e-4);
    }
    il_detector_destroy(both);
}
END_TEST

START_TEST(gradients_flow_through_the_members_to_the_model)
{
    il_detector *both = ensemble("both", ways[_i][0], ways[_i][1]);

    gradient_holds(&c, both);
    il_detector_destroy(both);
}
END_TEST

START_TEST(a_probe_of_probes_is_fitted_to_what_they_give_and_learns_to_weigh_them)
{
    il_detector *members[] = {one, two};
    il_detector *weighed =
        of_made(&c, spec_of(&c, "weighed", "linear_probe"), 2, members);
    il_fit fit = {.blas = c.w.blas, .start = IL_FIT_FRESH, .seed = 1};
    il_harvest h = harvest_of(&c.w);
    il_acts *acts = NULL;
    float a[300];
    float b[300];
    float z[300];
    const float *v = weighed->instance->store->values;
    const il_stored *bias = &weighed->instance->store->items[1];

    ck_assert(!il_detector_ready(weighed));
    ck_assert_int_eq(il_detector_harvest(&acts, weighed, &h, "fit", &c.w.err), IL_OK);
    ck_assert_msg(il_detector_fit(weighed, acts, &fit, &c.w.err) == IL_OK, "%s",
                  c.w.err.message);
    ck_assert_int_eq(weighed->instance->store->items[0].count, 2);
    (void)logits_of(&c, one, "test", a);
    (void)logits_of(&c, two, "test", b);
    (void)logits_of(&c, weighed, "test", z);
    for (int i = 0; i < 300; i++) {
        double x = (a[i] - weighed->mean[0][0]) * weighed->inv[0][0];
        double y = (b[i] - weighed->mean[1][0]) * weighed->inv[1][0];

        ck_assert_double_eq_tol(z[i], x * v[0] + y * v[1] + v[bias->offset], 1e-3);
    }
    ck_assert_float_ne(v[0], 0.0f);
    gradient_holds(&c, weighed);
    il_acts_destroy(acts);
    il_detector_destroy(weighed);
}
END_TEST

START_TEST(a_member_that_was_not_fitted_makes_what_reads_it_unready)
{
    il_detector *both = ensemble("both", "mean", "logit");

    one->fitted = false;
    ck_assert(!il_detector_ready(both));
    one->fitted = true;
    ck_assert(il_detector_ready(both));
    il_detector_destroy(both);
}
END_TEST

START_TEST(a_copy_keeps_the_members_of_then)
{
    il_detector *both = ensemble("both", "mean", "logit");
    il_detector *then = NULL;
    float before[300];
    float after[300];

    (void)logits_of(&c, both, "test", before);
    ck_assert_int_eq(il_detector_copy(&then, both, c.registry, &c.w.err), IL_OK);
    one->instance->store->values[0] += 1.0f; /* as a refit would */
    (void)logits_of(&c, both, "test", after);
    ck_assert_mem_ne(before, after, sizeof before);
    (void)logits_of(&c, then, "test", after);
    ck_assert_mem_eq(before, after, sizeof before);
    il_detector_destroy(then);
    il_detector_destroy(both);
}
END_TEST

START_TEST(what_reads_a_detector_is_restored_only_beside_the_one_that_it_was_saved_with)
{
    static char folder[] = "/tmp/interloop-test-XXXXXX";
    il_detector *both = ensemble("both", "mean", "logit");
    il_arena *arena = il_arena_create(1 << 12);
    il_safetensors *file = NULL;
    il_safetensor *items = NULL;
    size_t count = 0;
    json_t *contract;
    json_t *other;
    char *path;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = il_path_join(folder, "state.safetensors");
    both->fitted = true;
    ck_assert_int_eq(il_detector_state(both, false, arena, &items, &count, &c.w.err),
                     IL_OK);
    ck_assert_int_eq(il_safetensors_write(path, items, count, NULL, 0, &c.w.err),
                     IL_OK);
    ck_assert_int_eq(il_safetensors_open(&file, path, &c.w.err), IL_OK);
    contract = il_detector_contract(both);
    ck_assert_str_eq(
        json_string_value(json_object_get(
            json_array_get(json_object_get(contract, "of"), 1), "detector")),
        "two");
    ck_assert_int_eq(il_detector_restore(both, file, contract, &c.w.err), IL_OK);

    other = json_deep_copy(contract);
    json_object_set_new(json_array_get(json_object_get(other, "of"), 0), "detector",
                        json_string("three"));
    ck_assert_int_eq(il_detector_restore(both, file, other, &c.w.err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(
        strstr(c.w.err.message, "another member: expected 'one', got 'three'"));
    json_decref(other);

    two->instance->store->values[0] += 1.0f;
    c.w.err = (il_error){0};
    ck_assert_int_eq(il_detector_restore(both, file, contract, &c.w.err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(
        strstr(c.w.err.message, "another member: expected 'two of hash"));
    json_decref(contract);
    il_safetensors_close(file);
    free(path);
    il_arena_destroy(arena);
    il_detector_destroy(both);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("composite");
    TCase *tc = tcase_create("composite");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, an_ensemble_gives_what_its_members_give_together, 0, 4);
    tcase_add_loop_test(tc, gradients_flow_through_the_members_to_the_model, 0, 4);
    tcase_add_test(
        tc, a_probe_of_probes_is_fitted_to_what_they_give_and_learns_to_weigh_them);
    tcase_add_test(tc, a_member_that_was_not_fitted_makes_what_reads_it_unready);
    tcase_add_test(tc, a_copy_keeps_the_members_of_then);
    tcase_add_test(
        tc,
        what_reads_a_detector_is_restored_only_beside_the_one_that_it_was_saved_with);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
