/* Re-zeroing on a world small enough to check by hand. */
#include "detect/rezero.h"
#include "support.h"

enum { TRUSTED = 12 };

static world w;

static void setup(void)
{
    il_detector *d = &w.detector;

    world_open(&w, 1);
    w.spec.rezero = (il_rezero_spec){.split = "calib", .rows = TRUSTED};
    world_fit(&w);
    ck_assert_int_eq(il_detector_trust(d, &w.data, w.blas, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_rezero(d, w.values, true, &w.err), IL_OK);
}

static void teardown(void)
{
    il__trusted_destroy(w.detector.trusted);
    world_close(&w);
}

/* The mean logit of the trusted rows, read by the ordinary way. */
static double trusted_mean(void)
{
    il_acts *acts = acts_of_split(&w, "calib");
    il_detector raw = il_detector_unmoved(&w.detector);
    static float logits[300];
    double sum = 0;

    ck_assert_int_eq(il_detector_logits(&raw, w.blas, acts, logits, &w.err), IL_OK);
    for (int i = 0; i < 2 * TRUSTED; i++) {
        sum += logits[i];
    }
    il_acts_destroy(acts);
    return sum / (2 * TRUSTED);
}

static void logits_of(const char *split, float *logits)
{
    il_acts *acts = acts_of_split(&w, split);

    ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, acts, logits, &w.err),
                     IL_OK);
    il_acts_destroy(acts);
}

START_TEST(where_it_was_fitted_nothing_moves)
{
    float before[300];
    float after[300];

    logits_of("test", before);
    ck_assert_double_eq_tol(w.detector.zero, trusted_mean(), 1e-5);
    ck_assert_int_eq(il_detector_rezero(&w.detector, w.values, false, &w.err), IL_OK);
    ck_assert_float_eq(w.detector.offset, 0.0f);
    logits_of("test", after);
    ck_assert_mem_eq(before, after, sizeof before);
}
END_TEST

/* Every embedding moves by the same amount: all logits move, and are put back. */
START_TEST(a_drift_that_all_rows_share_is_taken_off)
{
    float *table = w.model.store->values;
    float before[300];
    float after[300];

    logits_of("test", before);
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        table[i] += 0.5f;
    }
    logits_of("test", after);
    ck_assert(fabsf(after[0] - before[0]) > 0.01f);
    ck_assert_int_eq(il_detector_rezero(&w.detector, w.values, false, &w.err), IL_OK);
    logits_of("test", after);
    for (int i = 0; i < 300; i++) {
        ck_assert_float_eq_tol(after[i], before[i], 1e-4f);
    }
    ck_assert_double_eq_tol(w.detector.offset, trusted_mean() - w.detector.zero, 1e-5);
}
END_TEST

START_TEST(the_gradient_through_the_zero_is_that_of_differences)
{
    il_store *store = w.model.store;
    il_word route[1] = {3};
    float *grads[2];
    float *block = il_store_block(store);
    double slope = -0.7;

    grads[0] = block + store->items[0].offset;
    grads[1] = block + store->items[1].offset;
    ck_assert_int_eq(il_detector_rezero(&w.detector, w.values, false, &w.err), IL_OK);
    ck_assert_int_eq(
        il_detector_rezero_backward(&w.detector, slope, route, grads, &w.err), IL_OK);
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        float kept = store->values[i];
        double high;
        double low;

        store->values[i] = kept + 0.05f;
        high = trusted_mean();
        store->values[i] = kept - 0.05f;
        low = trusted_mean();
        store->values[i] = kept;
        ck_assert_double_eq_tol(grads[0][i], slope * (high - low) / 0.1, 1e-4);
    }
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        ck_assert_float_eq(grads[1][i], 0.0f); /* the head is not read */
    }
    free(block);
}
END_TEST

START_TEST(parameters_off_the_route_get_nothing_from_the_zero)
{
    il_store *store = w.model.store;
    il_word route[1] = {2};
    float *block = il_store_block(store);
    float *grads[2] = {block, block + store->items[1].offset};

    ck_assert_int_eq(il_detector_rezero(&w.detector, w.values, false, &w.err), IL_OK);
    ck_assert_int_eq(
        il_detector_rezero_backward(&w.detector, 1.0, route, grads, &w.err), IL_OK);
    for (int64_t i = 0; i < store->total; i++) {
        ck_assert_float_eq(block[i], 0.0f);
    }
    free(block);
}
END_TEST

START_TEST(the_contract_keeps_the_zero_and_its_rows)
{
    json_t *contract = il_detector_contract(&w.detector);

    ck_assert_double_eq(json_real_value(json_object_get(contract, "zero")),
                        w.detector.zero);
    ck_assert_str_eq(json_string_value(json_object_get(contract, "trusted")), "calib");
    ck_assert_int_eq(json_integer_value(json_object_get(contract, "trusted_rows")),
                     TRUSTED);
    json_decref(contract);
}
END_TEST

START_TEST(a_split_that_is_too_small_cannot_be_trusted)
{
    world small;

    world_open(&small, 1);
    small.spec.rezero = (il_rezero_spec){.split = "calib", .rows = 151};
    ck_assert_int_eq(
        il_detector_trust(&small.detector, &small.data, small.blas, &small.err),
        IL_ERR_INPUT);
    ck_assert_ptr_null(small.detector.trusted);
    world_close(&small);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rezero");
    TCase *tc = tcase_create("rezero");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, where_it_was_fitted_nothing_moves);
    tcase_add_test(tc, a_drift_that_all_rows_share_is_taken_off);
    tcase_add_test(tc, the_gradient_through_the_zero_is_that_of_differences);
    tcase_add_test(tc, parameters_off_the_route_get_nothing_from_the_zero);
    tcase_add_test(tc, the_contract_keeps_the_zero_and_its_rows);
    tcase_add_test(tc, a_split_that_is_too_small_cannot_be_trusted);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
