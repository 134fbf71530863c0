/* Detectors that read several sites side by side: the same as one site that holds the
 * channels of all, whatever order they were harvested in, each site scaled by itself.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/fit.h"
#include <check.h>

enum { B = 60, T = 2, W1 = 5, W2 = 3, W = W1 + W2, OTHER = 4 };

static const struct {
    const char *use;
    const char *method;
    bool scaled; /* channel by channel, before the detector */
} cases[] = {
    {"linear_probe", NULL, true},
    {"linear_probe", "irls", false},
    {"linear_probe", "lbfgs", false},
    {"mean_difference", NULL, false},
    {"lda", NULL, false},
    {"mlp_probe", NULL, true},
    {"polynomial_probe", NULL, false},
    {"attention_probe", NULL, true},
    {"mahalanobis", NULL, false},
    {"relative_mahalanobis", NULL, false},
    {"knn", NULL, false},
};
enum { CASES = sizeof cases / sizeof *cases };

/* The third is nobody's. */
static const il_declared sites[] = {{"blocks.0.hook_resid_post", W1, NULL, 0},
                                    {"blocks.1.hook_resid_post", W2, NULL, 0},
                                    {"blocks.2.hook_resid_post", OTHER, NULL, 0},
                                    {"both", W, NULL, 0}};

typedef struct scene {
    il_log *log;
    il_registry *registry;
    il_arena *arena;
    il_problems problems;
    il_instance model;
    const il_blas *blas;
    float first[B * T * W1], second[B * T * W2], other[B * T * OTHER];
    float both[B * T * W];
    int32_t rows[B * T];
    uint8_t labels[B * T];
    int64_t documents[B * T];
    il_error err;
} scene;

static scene s;

/* The second site's channels are a thousand times those of the first. */
static void setup(void)
{
    char folder[512];
    il_rng r;

    memset(&s, 0, sizeof s);
    s.log = il_log_create();
    s.arena = il_arena_create(1 << 14);
    s.problems = (il_problems){.arena = s.arena};
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_int_eq(il_registry_create(&s.registry, s.log, &s.err), IL_OK);
    ck_assert_int_eq(il_registry_add_folder(s.registry, folder, true, &s.err), IL_OK);
    ck_assert_int_eq(il_blas_open(&s.blas, true, &s.err), IL_OK);
    s.model = (il_instance){.label = "model", .sites = sites, .site_count = 4};
    il_rng_open(&r, 6, 0, IL_RNG_PLUGIN, 0, 0);
    for (int at = 0; at < B * T; at++) {
        s.rows[at] = at;
        s.documents[at] = at / T;
        s.labels[at] = (uint8_t)(at / T % 3 == 0);
        for (int c = 0; c < W; c++) {
            bool wide = c >= W1;
            float x = il_rng_normal(&r) + (c == 1 || c == 6 ? (float)s.labels[at] : 0);

            x = wide ? 1000.0f * (x + 2.0f) : x;
            s.both[at * W + c] = x;
            if (wide) {
                s.second[at * W2 + c - W1] = x;
            } else {
                s.first[at * W1 + c] = x;
            }
        }
        for (int c = 0; c < OTHER; c++) {
            s.other[at * OTHER + c] = il_rng_normal(&r);
        }
    }
}

static void teardown(void)
{
    il_registry_destroy(s.registry);
    il_arena_destroy(s.arena);
    il_log_destroy(s.log);
}

/* A detector of the case on these sites, fitted to all positions; its logits. */
static il_detector *fitted(int at, size_t count, const char *const *names,
                           il_detector_spec *spec, il_place *places, float *logits)
{
    /* In another order than any detector here names them. */
    static const int64_t numbers[] = {2, 1, 3, 0};
    static const int64_t widths[] = {OTHER, W2, W, W1};
    const float *const data[] = {s.other, s.second, s.both, s.first};
    il_acts acts = {.rows = {.batch = B,
                             .length = T,
                             .count = B * T,
                             .rows = s.rows,
                             .labels = s.labels,
                             .documents = s.documents},
                    .site_count = 4,
                    .sites = numbers,
                    .widths = widths,
                    .data = data};
    il_detector_input in = {
        .registry = s.registry, .spec = spec, .model = &s.model, .seed = 1};
    il_fit fit = {.blas = s.blas, .start = IL_FIT_FRESH, .seed = 1};
    il_detector *d = NULL;
    const char **items = il_arena_calloc(s.arena, count, sizeof(const char *));

    memcpy(items, names, count * sizeof(const char *));
    *spec = (il_detector_spec){.name = "probe",
                               .component = {.use = cases[at].use, .range = ""},
                               .sites = {count, items, places},
                               .tokens = "all",
                               .context = IL_CONTEXT_PAST,
                               .label = "liar",
                               .fit = {.given = true,
                                       .draw = {.split = "fit"},
                                       .label = "liar",
                                       .method = cases[at].method,
                                       .lr = -1,
                                       .l2 = cases[at].method != NULL ? 0.01 : -1,
                                       .weight_decay = -1,
                                       .warmup = -1,
                                       .decay = -1}};
    ck_assert_msg(il_detector_create(&d, &in, &s.problems, &s.err) == IL_OK, "%s",
                  s.err.message);
    acts.gathered = il_detector_reads_rows(d);
    ck_assert_msg(il_detector_fit(d, &acts, &fit, &s.err) == IL_OK, "%s",
                  s.err.message);
    ck_assert_int_eq(il_detector_logits(d, s.blas, &acts, logits, &s.err), IL_OK);
    return d;
}

static const char *const two[] = {"blocks.0.hook_resid_post",
                                  "blocks.1.hook_resid_post"};
static const char *const turned[] = {"blocks.1.hook_resid_post",
                                     "blocks.0.hook_resid_post"};
static const char *const one[] = {"both"};

/* Largest difference, in units of the largest logit. */
static double apart(const float *a, const float *b)
{
    double most = 0;
    double largest = 0;

    for (int i = 0; i < B * T; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)a[i]));
    }
    ck_assert_double_gt(largest, 0);
    return most / largest;
}

START_TEST(two_sites_are_one_with_the_channels_of_both)
{
    float logits[2][B * T];
    il_detector_spec specs[2];
    il_place places[2] = {{0}};
    il_detector *a = fitted(_i, 2, two, &specs[0], places, logits[0]);
    il_detector *b = fitted(_i, 1, one, &specs[1], places, logits[1]);

    ck_assert_msg(apart(logits[0], logits[1]) < 1e-4, "%s: %g", cases[_i].use,
                  apart(logits[0], logits[1]));
    il_detector_destroy(a);
    il_detector_destroy(b);
}
END_TEST

/* Of those that are solved: what descends starts elsewhere, since draws have an order.
 */
START_TEST(their_order_does_not_matter_to_what_is_solved)
{
    float logits[2][B * T];
    il_detector_spec specs[2];
    il_place places[2] = {{0}};
    il_detector *a;
    il_detector *b;

    if (strcmp(cases[_i].use, "mlp_probe") == 0 ||
        strcmp(cases[_i].use, "polynomial_probe") == 0 ||
        strcmp(cases[_i].use, "attention_probe") == 0) {
        return;
    }
    a = fitted(_i, 2, two, &specs[0], places, logits[0]);
    b = fitted(_i, 2, turned, &specs[1], places, logits[1]);
    ck_assert_msg(apart(logits[0], logits[1]) < 1e-3, "%s: %g", cases[_i].use,
                  apart(logits[0], logits[1]));
    il_detector_destroy(a);
    il_detector_destroy(b);
}
END_TEST

START_TEST(each_channel_of_each_site_is_scaled_by_itself)
{
    float logits[B * T];
    il_detector_spec spec;
    il_place places[2] = {{0}};
    il_detector *d = fitted(_i, 2, turned, &spec, places, logits);

    if (!cases[_i].scaled) {
        ck_assert_ptr_null(d->mean[0]);
        ck_assert_ptr_null(d->mean[1]);
    }
    for (int c = 0; cases[_i].scaled && c < W; c++) {
        int site = c < W2 ? 0 : 1; /* the wide one comes first here */
        const float *x = site == 0 ? s.second + c : s.first + c - W2;
        int64_t width = site == 0 ? W2 : W1;
        double sum = 0;
        double squares = 0;

        for (int at = 0; at < B * T; at++) {
            sum += (double)x[at * width] / (B * T);
        }
        for (int at = 0; at < B * T; at++) {
            double off = (double)x[at * width] - sum;

            squares += off * off / (B * T);
        }
        c -= site == 1 ? W2 : 0;
        ck_assert_double_eq_tol((double)d->mean[site][c], sum, 1e-5 * fabs(sum) + 1e-6);
        ck_assert_double_eq_tol((double)d->inv[site][c] * sqrt(squares), 1.0, 1e-5);
        c += site == 1 ? W2 : 0;
    }
    il_detector_destroy(d);
}
END_TEST

/* What is scaled hears the small site beside the large one. */
START_TEST(a_loud_site_does_not_drown_a_quiet_one)
{
    float logits[2][B * T];
    il_detector_spec specs[2];
    il_place places[2] = {{0}};
    il_detector *a = fitted(0, 2, two, &specs[0], places, logits[0]);
    il_detector *b;

    for (int i = 0; i < B * T * W2; i++) {
        s.second[i] /= 1000.0f;
    }
    b = fitted(0, 2, two, &specs[1], places, logits[1]);
    ck_assert_double_lt(apart(logits[0], logits[1]), 1e-3);
    il_detector_destroy(a);
    il_detector_destroy(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sites");
    TCase *tests = tcase_create("sites");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, two_sites_are_one_with_the_channels_of_both, 0, CASES);
    tcase_add_loop_test(tests, their_order_does_not_matter_to_what_is_solved, 0, CASES);
    tcase_add_loop_test(tests, each_channel_of_each_site_is_scaled_by_itself, 0, CASES);
    tcase_add_test(tests, a_loud_site_does_not_drown_a_quiet_one);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
