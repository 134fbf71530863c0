/* Probabilities from scores: held against scikit-learn, refused where there is nothing
 * to calibrate on, kept with the detector. */
#include "composed.h"
#include "base/files.h"
#include "detect/reliability.h"

static il_arena *arena;
static il_error err;

static void setup(void)
{
    arena = il_arena_create(1 << 14);
    err = (il_error){0};
}

static void teardown(void)
{
    il_arena_destroy(arena);
}

static const il_calibration_kind kinds[] = {
    IL_CALIBRATION_PLATT, IL_CALIBRATION_TEMPERATURE, IL_CALIBRATION_ISOTONIC};

START_TEST(each_method_agrees_with_scikit_learn)
{
    const char *method = il_calibration_name(kinds[_i]);
    il_safetensors *file = NULL;
    const il_safetensor *z;
    const il_safetensor *f;
    const il_safetensor *expected;
    il_calibration c;
    char path[512];

    ck_assert_ptr_nonnull(getenv("IL_ROOT"));
    (void)snprintf(path, sizeof path,
                   "%s/tests/fixtures/sklearn/calibration.safetensors",
                   getenv("IL_ROOT"));
    ck_assert_msg(il_safetensors_open(&file, path, &err) == IL_OK, "%s", err.message);
    z = il_safetensors_find(file, "logits");
    f = il_safetensors_find(file, "further");
    expected = il_safetensors_find(file, method);
    ck_assert_ptr_nonnull(expected);
    ck_assert_msg(il_calibration_fit(&c, kinds[_i], (int64_t)(z->bytes / sizeof(float)),
                                     z->data, il_safetensors_find(file, "labels")->data,
                                     arena, &err) == IL_OK,
                  "%s", err.message);
    ck_assert_int_eq(c.rows, 400);
    for (size_t i = 0; i < f->bytes / sizeof(float); i++) {
        double p = il_calibration_probability(&c, ((const float *)f->data)[i]);

        ck_assert_double_eq_tol(p, ((const float *)expected->data)[i], 1e-5);
    }
    il_safetensors_close(file);
}
END_TEST

START_TEST(isotonic_is_the_mean_of_what_is_pooled_and_ties_have_one_value)
{
    static const float z[] = {3, 1, 1, 2, 5, 4, 6, 7, 8, 9};
    static const uint8_t y[] = {0, 1, 0, 0, 1, 1, 0, 1, 1, 1};
    il_calibration c;

    /* By score: (1: 1,0) (2: 0) (3: 0) pool to 1/4; (4: 1) (5: 1) (6: 0) to 2/3. */
    ck_assert_int_eq(
        il_calibration_fit(&c, IL_CALIBRATION_ISOTONIC, 10, z, y, arena, &err), IL_OK);
    ck_assert_double_eq_tol(il_calibration_probability(&c, 1), 0.25, 1e-7);
    ck_assert_double_eq_tol(il_calibration_probability(&c, 3), 0.25, 1e-7);
    ck_assert_double_eq_tol(il_calibration_probability(&c, 5), 2.0 / 3, 1e-7);
    ck_assert_double_eq_tol(il_calibration_probability(&c, 3.5), 11.0 / 24, 1e-7);
    ck_assert_double_eq_tol(il_calibration_probability(&c, -100), 0.25, 1e-7);
    ck_assert_double_eq_tol(il_calibration_probability(&c, 100), 1, 1e-7);
    ck_assert(isnan(il_calibration_probability(&c, NAN)));
}
END_TEST

START_TEST(scores_that_part_the_classes_cleanly_give_a_finite_slope)
{
    float z[20];
    uint8_t y[20];
    il_calibration c;

    for (int i = 0; i < 20; i++) {
        z[i] = (float)i - 9.5f;
        y[i] = i >= 10;
    }
    ck_assert_int_eq(il_calibration_fit(&c, kinds[_i], 20, z, y, arena, &err), IL_OK);
    ck_assert(isfinite(c.slope));
    ck_assert_double_lt(c.slope, 20);
    ck_assert_double_gt(il_calibration_probability(&c, 9), 0.95);
}
END_TEST

START_TEST(what_cannot_be_calibrated_on_is_refused)
{
    float z[20];
    uint8_t y[20];
    il_calibration c = {.slope = 7};

    for (int i = 0; i < 20; i++) {
        z[i] = (float)i;
        y[i] = i % 2;
    }
#define REFUSED(n_, kind_, code_, says_)                                               \
    do {                                                                               \
        err = (il_error){0};                                                           \
        ck_assert_int_eq(il_calibration_fit(&c, kind_, n_, z, y, arena, &err), code_); \
        ck_assert_msg(strstr(err.message, says_) != NULL, "%s", err.message);          \
        ck_assert_double_eq(c.slope, 7);                                               \
    } while (0)
    REFUSED(9, IL_CALIBRATION_PLATT, IL_ERR_INPUT, "at least 10 rows");
    memset(y, 1, sizeof y);
    REFUSED(20, IL_CALIBRATION_ISOTONIC, IL_ERR_INPUT, "of both classes");
    y[3] = 0;
    z[4] = NAN;
    REFUSED(20, IL_CALIBRATION_PLATT, IL_ERR_NUMERIC, "row 4 is no number");
    for (int i = 0; i < 20; i++) {
        z[i] = -1.5f;
    }
    REFUSED(20, IL_CALIBRATION_ISOTONIC, IL_ERR_NUMERIC, "all 20 scores are -1.5");
    for (int i = 0; i < 20; i++) {
        z[i] = (float)(i - 10);
        y[i] = i < 10;
    }
    REFUSED(20, IL_CALIBRATION_TEMPERATURE, IL_ERR_NUMERIC, "wrong way round");
}
END_TEST

START_TEST(calibrating_lowers_the_error_that_it_reports)
{
    static float z[2000];
    static uint8_t y[2000];
    il_scores s = {.count = 2000, .logits = z, .labels = y};
    il_reliability bins[10];
    il_calibration c;
    int64_t rows = 0;

    for (int i = 0; i < 2000; i++) {
        il_rng r;

        il_rng_open(&r, 9, 0, IL_RNG_DATA, 0, (uint64_t)i);
        z[i] = 6.0f * il_rng_normal(&r); /* four times too sure */
        y[i] = il_rng_below(&r, 1000000) < 1e6 / (1 + exp(-z[i] / 4));
    }
    ck_assert_int_eq(il_calibration_fit(&c, kinds[_i], 2000, z, y, arena, &err), IL_OK);
    ck_assert_double_eq_tol(c.ece_before, il_scores_ece(&s, 10), 1e-12);
    s.calibration = &c;
    ck_assert_double_eq_tol(c.ece_after, il_scores_ece(&s, 10), 1e-12);
    ck_assert_double_gt(c.ece_before, 0.1);
    ck_assert_double_lt(c.ece_after, 0.04);
    il_scores_reliability(&s, 10, bins);
    for (int b = 0; b < 10; b++) {
        rows += bins[b].count;
        ck_assert_double_eq_tol(bins[b].said, bins[b].true_share, 0.12);
        ck_assert(bins[b].count == 0 || (bins[b].said >= 0.1 * b - 1e-9 &&
                                         bins[b].said <= 0.1 * (b + 1) + 1e-9));
    }
    ck_assert_int_eq(rows, 2000);
}
END_TEST

/* ---- detectors ------------------------------------------------------------------ */

static const char *const methods[] = {"platt", "temperature", "isotonic"};

static il_detector *calibrated(composed *c, const char *method)
{
    il_detector_spec *s = spec_of(c, "probe", "linear_probe");
    il_fit fit = {.blas = c->w.blas, .start = IL_FIT_FRESH, .seed = 1};
    il_harvest h = harvest_of(&c->w);
    il_acts *acts = NULL;
    il_detector *d;

    s->calibrate = (il_calibrate_spec){.given = true, .method = method};
    d = made(c, s, NULL);
    ck_assert_int_eq(il_detector_harvest(&acts, d, &h, "fit", &c->w.err), IL_OK);
    ck_assert_int_eq(il_detector_fit(d, acts, &fit, &c->w.err), IL_OK);
    il_acts_destroy(acts);
    ck_assert_int_eq(il_detector_harvest(&acts, d, &h, "calib", &c->w.err), IL_OK);
    ck_assert_msg(il_detector_calibrate_odds(d, c->w.blas, acts, &c->w.err) == IL_OK,
                  "%s", c->w.err.message);
    il_acts_destroy(acts);
    ck_assert_int_eq(d->calibration_ids.count, 150);
    return d;
}

static void save(const il_detector *d, const char *path, json_t **contract)
{
    il_safetensor *items = NULL;
    size_t count = 0;

    ck_assert_int_eq(il_detector_state(d, false, arena, &items, &count, &err), IL_OK);
    ck_assert_int_eq(il_safetensors_write(path, items, count, NULL, 0, &err), IL_OK);
    *contract = il_detector_contract(d);
}

START_TEST(a_calibration_is_kept_copied_and_restored)
{
    static char folder[] = "/tmp/interloop-test-XXXXXX";
    il_safetensors *file = NULL;
    il_detector *copy = NULL;
    il_detector *other;
    il_detector *d;
    json_t *contract = NULL;
    json_t *again;
    composed c;
    char *path;

    (void)strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = il_path_join(folder, "state.safetensors");
    composed_open(&c);
    d = calibrated(&c, methods[_i]);
    save(d, path, &contract);
    ck_assert_int_eq(il_safetensors_open(&file, path, &err), IL_OK);
    ck_assert_int_eq(il_detector_copy(&copy, d, c.registry, &err), IL_OK);
    other = made(&c, d->spec, NULL);
    ck_assert_msg(il_detector_restore(other, file, contract, &err) == IL_OK, "%s",
                  err.message);
    for (double z = -5; z < 5; z += 0.3) {
        double p = il_calibration_probability(&d->calibration, z);

        ck_assert_double_eq(p, il_calibration_probability(&copy->calibration, z));
        ck_assert_double_eq(p, il_calibration_probability(&other->calibration, z));
        ck_assert_double_ne(p, 1 / (1 + exp(-z)));
    }
    again = il_detector_contract(other);
    ck_assert(json_equal(again, contract));
    json_decref(again);
    il_detector_destroy(other);

    /* A detector that is to have another one, or none, does not take it. */
    ((il_detector_spec *)d->spec)->calibrate.method = methods[(_i + 1) % 3];
    ck_assert_int_eq(il_detector_restore(d, file, contract, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "another calibration: expected '"));
    ((il_detector_spec *)d->spec)->calibrate = (il_calibrate_spec){0};
    err = (il_error){0};
    ck_assert_int_eq(il_detector_restore(d, file, contract, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected 'nothing', got '"));
    json_decref(contract);
    il_safetensors_close(file);
    free(path);
    il_detector_destroy(copy);
    il_detector_destroy(d);
    composed_close(&c);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}
END_TEST

START_TEST(what_fitted_a_detector_does_not_calibrate_it)
{
    il_acts *acts = NULL;
    il_detector *d;
    il_harvest h;
    composed c;

    composed_open(&c);
    d = calibrated(&c, "platt");
    h = harvest_of(&c.w);
    ck_assert_int_eq(il_detector_harvest(&acts, d, &h, "again", &err), IL_OK);
    ck_assert_int_eq(il_detector_calibrate_odds(d, c.w.blas, acts, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(
        strstr(err.message, "document 0 calibrates the probabilities and fitted"));
    il_acts_destroy(acts);
    il_detector_destroy(d);
    composed_close(&c);
}
END_TEST

START_TEST(what_reads_a_calibrated_detector_reads_its_calibrated_log_odds)
{
    il_detector *member;
    il_detector *all;
    il_detector_spec *s;
    float a[300];
    float z[300];
    composed c;

    composed_open(&c);
    member = calibrated(&c, methods[_i]);
    s = spec_of(&c, "all", "ensemble");
    s->fit = (il_fit_spec){0};
    all = of_made(&c, s, 1, &member);
    (void)logits_of(&c, member, "test", a);
    (void)logits_of(&c, all, "test", z);
    for (int i = 0; i < 300; i++) {
        double p = il_calibration_probability(&member->calibration, a[i]);

        ck_assert_double_eq_tol(1 / (1 + exp(-z[i])), p, 1e-5);
    }
    gradient_holds(&c, all);
    il_detector_destroy(all);
    il_detector_destroy(member);
    composed_close(&c);
}
END_TEST

/* Probabilities as a tensor, of one logit vector that is a parameter. */
static void on_a_pass(const il_calibration *c, const float *z, int64_t n, float *p,
                      float *grad)
{
    const il_blas *blas = NULL;
    il_store *store = NULL;
    il_pass *pass = NULL;
    const float *values[] = {z};
    il_scope scope = {.label = "test", .values = values, .first_bit = 0};
    float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    const float *seed = ones;
    float *grads[] = {grad};
    il_word route = 1;
    il_tensor *y;

    ck_assert_int_eq(il_store_create(&store, &err), IL_OK);
    (void)il_store_add(store, "z", "z", IL_SHAPE(n), IL_INIT_ZERO, &err);
    scope.store = store;
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, 1, &err), IL_OK);
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    y = il_calibration_sigmoid(c, pass, il_use(pass, (il_param){0}));
    il_pass_leave(pass);
    ck_assert_int_eq(il_pass_status(pass, &err), IL_OK);
    memcpy(p, il_f32(y), (size_t)n * sizeof *p);
    ck_assert_uint_eq(il_tensor_v(y)[0], 1); /* it remembers what it depends on */
    memset(grad, 0, (size_t)n * sizeof *grad);
    ck_assert_int_eq(il_pass_backward(pass, 1, &y, &seed, &route, grads, &err), IL_OK);
    il_pass_destroy(pass);
    il_store_destroy(store);
}

START_TEST(on_a_tape_probabilities_are_the_same_and_differentiable_but_for_steps)
{
    static const float corners[] = {-1, 0, 1, 2};
    static const float steps[] = {0.1f, 0.1f, 0.6f, 0.9f};
    const il_calibration c = {.kind = kinds[_i],
                              .slope = 0.7,
                              .shift = kinds[_i] == IL_CALIBRATION_PLATT ? -0.4 : 0,
                              .count = 4,
                              .logits = corners,
                              .probabilities = steps};
    static const float z[8] = {-3, -1, -0.3f, 0, 0.4f, 1.1f, 2, 5};
    float p[8];
    float grad[8];

    on_a_pass(&c, z, 8, p, grad);
    for (int i = 0; i < 8; i++) {
        double up = il_calibration_probability(&c, z[i] + 1e-4);
        double down = il_calibration_probability(&c, z[i] - 1e-4);

        ck_assert_double_eq_tol(p[i], il_calibration_probability(&c, z[i]), 1e-6);
        ck_assert_double_eq_tol(
            grad[i], kinds[_i] == IL_CALIBRATION_ISOTONIC ? 0 : (up - down) / 2e-4,
            1e-4);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calibration");
    TCase *tc = tcase_create("calibration");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, each_method_agrees_with_scikit_learn, 0, 3);
    tcase_add_test(tc, isotonic_is_the_mean_of_what_is_pooled_and_ties_have_one_value);
    tcase_add_loop_test(tc, scores_that_part_the_classes_cleanly_give_a_finite_slope, 0,
                        2);
    tcase_add_test(tc, what_cannot_be_calibrated_on_is_refused);
    tcase_add_loop_test(tc, calibrating_lowers_the_error_that_it_reports, 0, 3);
    tcase_add_loop_test(tc, a_calibration_is_kept_copied_and_restored, 0, 3);
    tcase_add_test(tc, what_fitted_a_detector_does_not_calibrate_it);
    tcase_add_loop_test(
        tc, what_reads_a_calibrated_detector_reads_its_calibrated_log_odds, 0, 2);
    tcase_add_loop_test(
        tc, on_a_tape_probabilities_are_the_same_and_differentiable_but_for_steps, 0,
        3);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
