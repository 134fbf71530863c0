/* Detectors that are fitted in closed form: their scores against scikit-learn's, their
 * gradients against differences, and what they say to rows that determine no fit. */
#include "plugins/trial.h"
#include "formats/safetensors.h"

enum { ROWS = 240, FEW = 10, WIDTH = 12, FURTHER = 40, W1 = 7, W2 = WIDTH - W1 };

static il_safetensors *fixture;

/* tests/fixtures/sklearn/closed_form.safetensors, or what IL_SKLEARN_FIXTURE names. */
static void setup(void)
{
    const char *given = getenv("IL_SKLEARN_FIXTURE");
    char path[512];
    il_error err = {.code = IL_OK};

    ck_assert_ptr_nonnull(getenv("IL_ROOT"));
    (void)snprintf(path, sizeof path,
                   "%s/tests/fixtures/sklearn/closed_form.safetensors",
                   getenv("IL_ROOT"));
    ck_assert_msg(il_safetensors_open(&fixture, given != NULL ? given : path, &err) ==
                      IL_OK,
                  "%s", err.message);
}

static void teardown(void)
{
    il_safetensors_close(fixture);
}

static void stored(const char *name, void *out, size_t bytes)
{
    const il_safetensor *t = il_safetensors_find(fixture, name);

    ck_assert_msg(t != NULL, "no %s in the fixture", name);
    ck_assert_uint_eq(t->bytes, bytes);
    memcpy(out, t->data, bytes);
}

/* A detector over two sites, the rows that it is fitted on, and further rows, which are
 * parameters here so that gradients reach them. */
typedef struct scene {
    trial run;
    host source;
    part acts;
    host probe;
    part detector;
    float x[ROWS * WIDTH];
    uint8_t labels[ROWS];
    il_fitting rows;
    float seed[FURTHER];
} scene;

static const il_detector_api *api_of(const scene *s)
{
    return s->probe.component->api;
}

/* `params` are pairs of names and texts, ended by NULL. */
static void scene_open(scene *s, const char *name, const char *const *params)
{
    static const int64_t shapes[2][2] = {{FURTHER, W1}, {FURTHER, W2}};
    float further[FURTHER * WIDTH];
    il_param id;

    memset(s, 0, sizeof *s);
    trial_open(&s->run);
    s->source.setup.api = &host_api;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(il_setup_param(&s->source.setup, &id, i ? "site1" : "site0", 2,
                                        shapes[i], IL_INIT_ZERO, NULL),
                         IL_OK);
    }
    part_open(&s->acts, &s->run, &s->source, "model", true);
    host_open(&s->probe, name, IL_KIND_DETECTOR);
    s->probe.read_widths[0] = W1;
    s->probe.read_widths[1] = W2;
    for (; *params != NULL; params += 2) {
        host_set(&s->probe, params[0], params[1]);
    }
    ck_assert_msg(api_of(s)->create(&s->probe.setup, &s->probe.self, &s->probe.err) ==
                      IL_OK,
                  "%s", s->probe.err.message);
    part_open(&s->detector, &s->run, &s->probe, "detector probe", true);
    stored("x", s->x, sizeof s->x);
    stored("labels", s->labels, sizeof s->labels);
    stored("further", further, sizeof further);
    for (int i = 0; i < FURTHER; i++) {
        memcpy(s->acts.values[0] + i * W1, further + i * WIDTH, W1 * sizeof(float));
        memcpy(s->acts.values[1] + i * W2, further + i * WIDTH + W1,
               W2 * sizeof(float));
    }
    s->rows = (il_fitting){.struct_size = sizeof s->rows,
                           .rows = ROWS,
                           .width = WIDTH,
                           .x = s->x,
                           .labels = s->labels,
                           .values = s->detector.values};
    noise(s->seed, FURTHER, 20, 1.0f);
}

static void scene_close(scene *s)
{
    if (IL_HAS(api_of(s), destroy)) {
        api_of(s)->destroy(s->probe.self);
    }
    part_close(&s->acts);
    part_close(&s->detector);
    il_pass_destroy(s->run.pass);
    free(s->probe.memory);
}

static il_status scene_fit(scene *s)
{
    s->probe.err.code = IL_OK;
    return api_of(s)->fit(s->probe.self, &s->rows, &s->probe.err);
}

/* The logits (FURTHER,1) of a fresh pass. */
static il_tensor *scene_score(scene *s)
{
    il_tensor *acts[2];
    il_tensor *logits;
    il_reading r = {.struct_size = sizeof r, .sites = 2, .acts = acts};

    il_pass_begin(s->run.pass);
    il_pass_enter(s->run.pass, &s->acts.scope);
    for (int32_t i = 0; i < 2; i++) {
        acts[i] = il_use(s->run.pass, (il_param){i});
    }
    il_pass_leave(s->run.pass);
    il_pass_enter(s->run.pass, &s->detector.scope);
    logits = api_of(s)->score(s->probe.self, s->run.pass, &r);
    il_pass_leave(s->run.pass);
    trial_check(&s->run);
    return logits;
}

static double scene_loss(void *context)
{
    scene *s = context;
    const il_tensor *logits = scene_score(s);
    double sum = 0.0;

    for (int i = 0; i < FURTHER; i++) {
        sum += (double)s->seed[i] * (double)il_f32(logits)[i];
    }
    return sum;
}

/* ---- what they compute ---------------------------------------------------------- */

static const struct {
    const char *name;
    const char *variant; /* of the fixture's scores */
    const char *params[7];
} cases[] = {
    {"mean_difference", "mean_difference", {NULL}},
    {"lda", "lda.ledoit_wolf", {NULL}},
    {"lda", "lda.fixed", {"shrinkage", "fixed", "amount", "0.2", NULL}},
    {"lda", "lda.none", {"shrinkage", "none", NULL}},
    {"mahalanobis", "mahalanobis.ledoit_wolf", {NULL}},
    {"mahalanobis", "mahalanobis.fixed", {"shrinkage", "fixed", "amount", "0.2", NULL}},
    {"mahalanobis", "mahalanobis.none", {"shrinkage", "none", NULL}},
    {"relative_mahalanobis", "relative_mahalanobis.ledoit_wolf", {NULL}},
    {"relative_mahalanobis",
     "relative_mahalanobis.fixed",
     {"shrinkage", "fixed", "amount", "0.2", NULL}},
    {"relative_mahalanobis", "relative_mahalanobis.none", {"shrinkage", "none", NULL}},
    {"polynomial_probe", "logistic", {"order", "1", "l2", "0.01", NULL}},
    {"knn", "knn.normalized", {"k", "4", NULL}},
    {"knn", "knn.plain", {"k", "4", "normalize", "false", NULL}},
    {"polynomial_probe", NULL, {"order", "3", "rank", "3", NULL}},
};
enum { SLOPES = sizeof cases / sizeof cases[0], CASES = SLOPES - 1 };

/* Fits on all rows or on the first few of them, and compares the scores of further
 * rows, in units of the largest. */
START_TEST(scores_are_scikit_learns)
{
    bool few = _i >= CASES;
    int at = _i % CASES;
    float theirs[FURTHER];
    const il_tensor *ours;
    double largest = 0.0;
    double apart = 0.0;
    char full[128];
    scene s;

    (void)snprintf(full, sizeof full, "%s.%s", few ? "few" : "all", cases[at].variant);
    scene_open(&s, cases[at].name, cases[at].params);
    s.rows.rows = few ? FEW : ROWS;
    if (few && strstr(full, "none") != NULL) { /* no more rows than channels */
        ck_assert_int_eq(scene_fit(&s), IL_ERR_NUMERIC);
        ck_assert_ptr_nonnull(strstr(s.probe.err.message, "singular"));
        ck_assert_ptr_nonnull(strstr(s.probe.err.message, "ledoit_wolf"));
        scene_close(&s);
        return;
    }
    stored(full, theirs, sizeof theirs);
    ck_assert_msg(scene_fit(&s) == IL_OK, "%s", s.probe.err.message);
    ours = scene_score(&s);
    ck_assert_int_eq(il_rows(ours), FURTHER);
    ck_assert_int_eq(il_width(ours), 1);
    for (int i = 0; i < FURTHER; i++) {
        apart = fmax(apart, fabs((double)il_f32(ours)[i] - (double)theirs[i]));
        largest = fmax(largest, fabs((double)theirs[i]));
    }
    ck_assert_msg(apart < 1e-5 * largest, "%s: %g of %g", full, apart, largest);
    scene_close(&s);
}
END_TEST

/* The largest difference of a gradient from the slope, in units of a site's largest
 * gradient. The slope breaks where two anchors change places as the k-th nearest, so it
 * is that of either side or of both. */
static double slopes(scene *s, float step)
{
    double here = scene_loss(s);
    double worst = 0.0;

    for (int k = 0; k < 2; k++) {
        double apart = 0.0;
        double largest = 0.0;

        for (int64_t i = 0; i < s->acts.store->items[k].count; i++) {
            float *x = &s->acts.values[k][i];
            double gradient = (double)s->acts.grads[k][i];
            const float held = *x;
            double sides[2];

            for (int side = 0; side < 2; side++) {
                double wide;

                *x = side == 0 ? held + step : held - step;
                wide = (double)*x - (double)held;
                sides[side] = (scene_loss(s) - here) / wide - gradient;
                *x = held;
            }
            apart = fmax(apart, fmin(fabs(sides[0] + sides[1]) / 2,
                                     fmin(fabs(sides[0]), fabs(sides[1]))));
            largest = fmax(largest, fabs(gradient));
        }
        ck_assert_double_gt(largest, 1e-3);
        worst = fmax(worst, apart / largest);
    }
    return worst;
}

START_TEST(gradients_to_the_activations_are_slopes)
{
    scene s;
    part *parts[2];
    il_tensor *roots[1];
    const float *seeds[1];
    double worst;

    scene_open(&s, cases[_i].name, cases[_i].params);
    ck_assert_msg(scene_fit(&s) == IL_OK, "%s", s.probe.err.message);
    roots[0] = scene_score(&s);
    seeds[0] = s.seed;
    parts[0] = &s.acts;
    parts[1] = &s.detector;
    trial_backward(&s.run, parts, 2, 1, roots, seeds);
    worst = slopes(&s, 1e-2f);
    ck_assert_msg(worst < 5e-3, "%s, %d: %g", cases[_i].name, _i, worst);
    scene_close(&s);
}
END_TEST

/* <slopes, what the fit finds>. */
static double fit_loss(scene *s, const double *slopes)
{
    double sum = 0.0;

    ck_assert_msg(scene_fit(s) == IL_OK, "%s", s->probe.err.message);
    for (int c = 0; c <= WIDTH; c++) {
        sum += slopes[c] * (double)(c < WIDTH ? s->detector.values[0][c]
                                              : s->detector.values[1][0]);
    }
    return sum;
}

/* The first rows are few, so that the shrinkage has much to do. */
START_TEST(gradients_through_the_fit_are_slopes)
{
    static double dx[ROWS * WIDTH];
    double slopes[WIDTH + 1];
    const double *by_parameter[2] = {slopes, slopes + WIDTH};
    float drawn[WIDTH + 1];
    double largest = 0.0;
    double apart = 0.0;
    scene s;

    scene_open(&s, cases[_i / 2].name, cases[_i / 2].params);
    s.rows.rows = _i % 2 == 0 ? ROWS : 3 * FEW;
    noise(drawn, WIDTH + 1, 40, 1.0f);
    for (int c = 0; c <= WIDTH; c++) {
        slopes[c] = (double)drawn[c];
    }
    (void)fit_loss(&s, slopes);
    memset(dx, 0, sizeof dx);
    ck_assert(IL_HAS(api_of(&s), fit_backward));
    ck_assert_msg(api_of(&s)->fit_backward(s.probe.self, &s.rows, by_parameter, dx,
                                           &s.probe.err) == IL_OK,
                  "%s", s.probe.err.message);
    for (int64_t i = 0; i < s.rows.rows * WIDTH; i++) {
        float *x = &s.x[i];
        const float held = *x;
        double wide;
        double slope;

        *x = held + 0.02f;
        wide = (double)*x;
        slope = fit_loss(&s, slopes);
        *x = held - 0.02f;
        wide -= (double)*x;
        slope = (slope - fit_loss(&s, slopes)) / wide;
        *x = held;
        apart = fmax(apart, fabs(slope - dx[i]));
        largest = fmax(largest, fabs(dx[i]));
    }
    ck_assert_double_gt(largest, 1e-3);
    ck_assert_msg(apart < 2e-3 * largest, "%s, %d: %g of %g", cases[_i / 2].name, _i,
                  apart, largest);
    scene_close(&s);
}
END_TEST

START_TEST(linear_ones_name_the_weights_that_they_score_with)
{
    il_param weight = {-1};
    il_param bias = {-1};
    scene s;

    scene_open(&s, cases[_i].name, cases[_i].params);
    ck_assert(IL_HAS(api_of(&s), linear));
    api_of(&s)->linear(s.probe.self, &weight, &bias);
    ck_assert_str_eq(s.detector.store->items[weight.id].name, "weight");
    ck_assert_str_eq(s.detector.store->items[bias.id].name, "bias");
    scene_close(&s);
}
END_TEST

/* ---- rows that determine no fit ------------------------------------------------- */

/* A channel that never changes, and one that repeats another, have no inverse; shrunk
 * they do. */
START_TEST(a_dead_or_repeated_channel_needs_shrinkage)
{
    static const char *const none[] = {"shrinkage", "none", NULL};
    static const char *const shrunk[] = {NULL};
    static const char *const names[] = {"lda", "mahalanobis", "relative_mahalanobis"};
    const char *name = names[_i / 2];

    for (int pass = 0; pass < 2; pass++) {
        scene s;

        scene_open(&s, name, pass == 0 ? none : shrunk);
        for (int i = 0; i < ROWS; i++) {
            s.x[i * WIDTH + 3] = _i % 2 == 0 ? 0.1f : s.x[i * WIDTH + 8];
        }
        if (pass == 0) {
            ck_assert_int_eq(scene_fit(&s), IL_ERR_NUMERIC);
            ck_assert_ptr_nonnull(strstr(s.probe.err.message, "12 channels"));
            ck_assert_ptr_nonnull(strstr(s.probe.err.message, "`shrinkage"));
        } else {
            const il_tensor *logits;

            ck_assert_msg(scene_fit(&s) == IL_OK, "%s", s.probe.err.message);
            logits = scene_score(&s);
            for (int i = 0; i < FURTHER; i++) {
                ck_assert_float_finite(il_f32(logits)[i]);
            }
        }
        scene_close(&s);
    }
}
END_TEST

START_TEST(equal_class_means_leave_no_direction)
{
    static const char *const params[] = {NULL};
    scene s;

    scene_open(&s, "mean_difference", params);
    for (int i = 0; i < ROWS; i++) { /* each row stands once in either class */
        memcpy(s.x + i * WIDTH, s.x + i / 2 * 2 * WIDTH, WIDTH * sizeof(float));
        s.labels[i] = i % 2;
    }
    ck_assert_int_eq(scene_fit(&s), IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s.probe.err.message, "same mean"));
    scene_close(&s);
}
END_TEST

START_TEST(one_negative_row_has_no_distances)
{
    static const char *const params[] = {NULL};
    static const char *const names[] = {"mahalanobis", "relative_mahalanobis", "knn"};
    scene s;

    scene_open(&s, names[_i], params);
    memset(s.labels + 1, 1, ROWS - 1);
    s.labels[0] = 0;
    ck_assert_int_eq(scene_fit(&s), _i == 2 ? IL_ERR_INPUT : IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s.probe.err.message, "rows"));
    scene_close(&s);
}
END_TEST

/* ---- polynomials ---------------------------------------------------------------- */

/* Chance that a positive further row scores above a negative one, where a row is
 * positive when the product of its first `factors` channels is, less their means. */
static double products_told(int factors, const char *truncate)
{
    const char *const params[] = {"order", "3", "truncate", truncate, NULL};
    bool positive[FURTHER];
    const float *logits;
    double above = 0.0;
    double pairs = 0.0;
    scene s;

    scene_open(&s, "polynomial_probe", params);
    noise(s.x, ROWS * WIDTH, 30, 1.0f);
    noise(s.acts.values[0], FURTHER * W1, 31, 1.0f);
    noise(s.acts.values[1], FURTHER * W2, 32, 1.0f);
    for (int i = 0; i < ROWS + FURTHER; i++) {
        const float *x =
            i < ROWS ? s.x + i * WIDTH : s.acts.values[0] + (i - ROWS) * W1;
        float product = 1.0f;

        for (int c = 0; c < factors; c++) {
            product *= x[c];
        }
        if (i < ROWS) {
            s.labels[i] = product > 0;
        } else {
            positive[i - ROWS] = product > 0;
        }
    }
    ck_assert_msg(scene_fit(&s) == IL_OK, "%s", s.probe.err.message);
    logits = il_f32(scene_score(&s));
    for (int i = 0; i < FURTHER * FURTHER; i++) {
        if (positive[i / FURTHER] && !positive[i % FURTHER]) {
            above += logits[i / FURTHER] > logits[i % FURTHER];
            pairs++;
        }
    }
    scene_close(&s);
    return above / pairs;
}

START_TEST(each_order_tells_what_the_one_below_cannot)
{
    double first = products_told(2, "1");
    double second = products_told(2, "2");

    ck_assert_msg(first < 0.7, "%g", first);
    ck_assert_msg(second > 0.9, "%g", second);
    second = products_told(3, "2");
    ck_assert_msg(second < 0.7, "%g", second);
    first = products_told(3, "3");
    ck_assert_msg(first > second + 0.1, "%g after %g", first, second);
}
END_TEST

/* An order more is fitted on top: what is below keeps its bits. */
START_TEST(a_polynomial_cut_short_is_the_one_that_was_fitted_so_far)
{
    static const char *const cut[] = {"order", "3", "truncate", "2", NULL};
    static const char *const whole[] = {"order", "2", NULL};
    float logits[FURTHER];
    scene s;

    scene_open(&s, "polynomial_probe", cut);
    ck_assert_int_eq(scene_fit(&s), IL_OK);
    memcpy(logits, il_f32(scene_score(&s)), sizeof logits);
    scene_close(&s);
    scene_open(&s, "polynomial_probe", whole);
    ck_assert_int_eq(scene_fit(&s), IL_OK);
    ck_assert_mem_eq(logits, il_f32(scene_score(&s)), sizeof logits);
    scene_close(&s);
}
END_TEST

START_TEST(a_cut_above_the_order_is_refused)
{
    host h;

    host_open(&h, "polynomial_probe", IL_KIND_DETECTOR);
    h.read_widths[0] = WIDTH;
    host_set(&h, "truncate", "3");
    ck_assert_int_eq(
        ((const il_detector_api *)h.component->api)->create(&h.setup, &h.self, &h.err),
        IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(h.err.message, "order 2"));
    free(h.memory);
}
END_TEST

/* ---- neighbours ----------------------------------------------------------------- */

static const char *const eight[] = {"k",         "3",     "anchors", "8",
                                    "normalize", "false", NULL};

START_TEST(more_negatives_than_anchors_are_thinned_evenly)
{
    scene s;
    int64_t there = 0;
    int64_t seen = 0;
    int64_t kept = 0;

    scene_open(&s, "knn", eight);
    ck_assert_int_eq(scene_fit(&s), IL_OK);
    ck_assert_float_eq(s.detector.values[1][0], 8.0f);
    for (int i = 0; i < ROWS; i++) {
        there += s.labels[i] == 0;
    }
    for (int i = 0; i < ROWS; i++) {
        if (s.labels[i] == 0 && seen++ == kept * there / 8) {
            ck_assert_mem_eq(s.detector.values[0] + kept++ * WIDTH, s.x + i * WIDTH,
                             WIDTH * sizeof(float));
        }
    }
    ck_assert_int_eq(kept, 8);
    scene_close(&s);
}
END_TEST

START_TEST(a_zero_row_cannot_be_normalized)
{
    static const char *const params[] = {NULL};
    scene s;

    scene_open(&s, "knn", params);
    memset(s.x, 0, WIDTH * sizeof(float)); /* row 0 is negative */
    ck_assert_int_eq(scene_fit(&s), IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s.probe.err.message, "normalize: false"));
    scene_close(&s);
}
END_TEST

START_TEST(as_many_neighbours_as_anchors_are_refused)
{
    host h;

    host_open(&h, "knn", IL_KIND_DETECTOR);
    h.read_widths[0] = WIDTH;
    host_set(&h, "k", "8");
    host_set(&h, "anchors", "8");
    ck_assert_int_eq(
        ((const il_detector_api *)h.component->api)->create(&h.setup, &h.self, &h.err),
        IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(h.err.message, "8 anchors"));
    free(h.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("closed_form");
    TCase *tests = tcase_create("closed_form");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, scores_are_scikit_learns, 0, 2 * CASES);
    tcase_add_loop_test(tests, gradients_to_the_activations_are_slopes, 0, SLOPES);
    tcase_add_loop_test(tests, gradients_through_the_fit_are_slopes, 0, 8);
    tcase_add_loop_test(tests, linear_ones_name_the_weights_that_they_score_with, 0, 2);
    tcase_add_loop_test(tests, a_dead_or_repeated_channel_needs_shrinkage, 0, 6);
    tcase_add_test(tests, equal_class_means_leave_no_direction);
    tcase_add_loop_test(tests, one_negative_row_has_no_distances, 0, 3);
    tcase_add_test(tests, each_order_tells_what_the_one_below_cannot);
    tcase_add_test(tests, a_polynomial_cut_short_is_the_one_that_was_fitted_so_far);
    tcase_add_test(tests, a_cut_above_the_order_is_refused);
    tcase_add_test(tests, more_negatives_than_anchors_are_thinned_evenly);
    tcase_add_test(tests, a_zero_row_cannot_be_normalized);
    tcase_add_test(tests, as_many_neighbours_as_anchors_are_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
