/* Every detector that is fitted on labelled rows, on rows that tell it nothing or too
 * little: an error that says what is wrong and leaves it as it was, or a fit whose
 * scores are numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/fit.h"
#include "pipeline/composer.h"
#include <check.h>

enum { B = 40, T = 3, W = 8, HEADS = 2, SCORED = 2 };

static const struct {
    const char *use;
    const char *method; /* NULL: its own */
    int site;
    const char *params;
} cases[] = {
    {"linear_probe", NULL, 0, "{}"},
    {"linear_probe", "irls", 0, "{}"},
    {"linear_probe", "lbfgs", 0, "{}"},
    {"linear_probe", "adam", 0, "{}"},
    {"mean_difference", NULL, 0, "{}"},
    {"lda", NULL, 0, "{}"},
    {"lda", "irls", 0, "{}"},
    {"mlp_probe", NULL, 0, "{hidden: 8}"},
    {"polynomial_probe", NULL, 0, "{steps: 20}"},
    {"attention_probe", NULL, 0, "{}"},
    {"attention_probe", NULL, 0, "{position: distance}"},
    {"mahalanobis", NULL, 0, "{}"},
    {"relative_mahalanobis", NULL, 0, "{}"},
    {"knn", NULL, 0, "{k: 4}"},
    {"pattern_probe", NULL, 1, "{}"},
    {"linear_probe", "irls", 1, "{}"},
};
enum { CASES = sizeof cases / sizeof *cases };

static const il_declared sites[] = {{"blocks.0.hook_resid_post", W, NULL, 0},
                                    {"blocks.0.attn.hook_pattern", W, NULL, HEADS}};

typedef struct scene {
    il_log *log;
    il_registry *registry;
    il_arena *arena;
    il_problems problems;
    il_instance model;
    il_detector_spec spec;
    const char *site;
    il_place place;
    il_detector *d;
    const il_blas *blas;
    /* What it is fitted on: all positions, and the scored ones gathered. */
    float all[B * T * W];
    float gathered[B * W];
    int32_t rows[B], inputs[B * T];
    uint8_t labels[B];
    int64_t documents[B];
    const float *data[1];
    il_acts acts;
    il_error err;
} scene;

/* Classes that a plane tells apart only in part; of a pattern site the weights on the
 * keys, which sum to 1 in each head. */
static void fill(scene *s, int site)
{
    il_rng r;

    il_rng_open(&r, 5, 0, IL_RNG_PLUGIN, 0, 0);
    for (int b = 0; b < B; b++) {
        s->labels[b] = (uint8_t)(b % 3 == 0);
        s->documents[b] = b;
        s->rows[b] = b * T + SCORED;
        for (int i = 0; i < T * W; i++) {
            s->all[b * T * W + i] =
                il_rng_normal(&r) + (i % W == 1 ? (float)s->labels[b] : 0.0f);
        }
        for (int t = 0; t < T; t++) {
            s->inputs[b * T + t] = (int32_t)il_rng_below(&r, 3);
        }
        for (int h = 0; site == 1 && h < T * HEADS; h++) {
            float *w = s->all + b * T * W + h * (W / HEADS);
            float sum = 0;

            for (int k = 0; k < W / HEADS; k++) {
                w[k] = k <= h / HEADS ? expf(w[k]) : 0.0f;
                sum += w[k];
            }
            for (int k = 0; k < W / HEADS; k++) {
                w[k] /= sum;
            }
        }
    }
}

/* After changes to s->all. */
static void gather(scene *s)
{
    for (int b = 0; b < B; b++) {
        memcpy(s->gathered + b * W, s->all + s->rows[b] * W, W * sizeof(float));
    }
}

static void scene_open(scene *s, int at)
{
    char folder[512];
    char text[128];
    il_detector_input in = {.spec = &s->spec, .model = &s->model, .seed = 1};
    const il_node *params;

    memset(s, 0, sizeof *s);
    s->log = il_log_create();
    s->arena = il_arena_create(1 << 14);
    s->problems = (il_problems){.arena = s->arena};
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_int_eq(il_registry_create(&s->registry, s->log, &s->err), IL_OK);
    ck_assert_int_eq(il_registry_add_folder(s->registry, folder, true, &s->err), IL_OK);
    ck_assert_int_eq(il_blas_open(&s->blas, true, &s->err), IL_OK);
    s->model = (il_instance){.label = "model", .sites = sites, .site_count = 2};
    s->site = sites[cases[at].site].name;
    (void)snprintf(text, sizeof text, "params: %s\n", cases[at].params);
    params = il_compose(s->arena, "test", text, strlen(text), &s->problems);
    ck_assert_ptr_nonnull(params);
    s->spec = (il_detector_spec){.name = "probe",
                                 .component = {.use = cases[at].use,
                                               .range = "",
                                               .params = il_node_get(params, "params")},
                                 .sites = {1, &s->site, &s->place},
                                 .tokens = "all",
                                 .context = IL_CONTEXT_PAST,
                                 .label = "liar",
                                 .fit = {.given = true,
                                         .draw = {.split = "fit"},
                                         .label = "liar",
                                         .method = cases[at].method,
                                         .lr = -1,
                                         .l2 = -1,
                                         .weight_decay = -1,
                                         .warmup = -1,
                                         .decay = -1}};
    if (cases[at].method != NULL && strcmp(cases[at].method, "adam") != 0) {
        s->spec.fit.l2 = 0.01;
    }
    in.registry = s->registry;
    ck_assert_msg(il_detector_create(&s->d, &in, &s->problems, &s->err) == IL_OK,
                  "%s: %s", cases[at].use, s->err.message);
    fill(s, cases[at].site);
    gather(s);
    s->acts.rows = (il_scored){.batch = B,
                               .length = T,
                               .count = B,
                               .rows = s->rows,
                               .labels = s->labels,
                               .documents = s->documents,
                               .inputs = s->inputs};
    s->acts.site_count = 1;
    s->acts.sites = s->d->sites;
    s->acts.widths = s->d->widths;
    s->acts.gathered = il_detector_reads_rows(s->d);
    s->data[0] = s->acts.gathered ? s->gathered : s->all;
    s->acts.data = s->data;
}

static void scene_close(scene *s)
{
    il_detector_destroy(s->d);
    il_registry_destroy(s->registry);
    il_arena_destroy(s->arena);
    il_log_destroy(s->log);
}

static il_status scene_fit(scene *s)
{
    il_fit fit = {.blas = s->blas, .start = IL_FIT_FRESH, .seed = 1};

    memset(&s->err, 0, sizeof s->err);
    return il_detector_fit(s->d, &s->acts, &fit, &s->err);
}

/* The fit fails so, saying that, and the detector is as it was. */
static void refused(scene *s, il_status status, const char *says)
{
    const il_store *store = s->d->instance->store;
    size_t bytes = (size_t)store->total * sizeof(float);
    float *before = malloc(bytes + 1);

    memcpy(before, store->values, bytes);
    ck_assert_int_eq(scene_fit(s), status);
    ck_assert_msg(strstr(s->err.message, says) != NULL, "%s", s->err.message);
    ck_assert_str_eq(s->err.where, "probe");
    ck_assert(!s->d->fitted);
    ck_assert_mem_eq(before, store->values, bytes);
    free(before);
}

/* The fit goes well, and what it scores are numbers. */
static void fitted(scene *s)
{
    float logits[B];

    ck_assert_msg(scene_fit(s) == IL_OK, "%s", s->err.message);
    ck_assert_int_eq(il_detector_logits(s->d, s->blas, &s->acts, logits, &s->err),
                     IL_OK);
    for (int64_t i = 0; i < s->acts.rows.count; i++) {
        ck_assert_float_finite(logits[i]);
    }
}

START_TEST(rows_that_tell_something_are_fitted)
{
    scene s;

    scene_open(&s, _i);
    fitted(&s);
    scene_close(&s);
}
END_TEST

START_TEST(a_value_that_is_no_number_is_named_with_its_place)
{
    scene s;

    scene_open(&s, _i / 2);
    s.all[s.rows[7] * W + 1] = _i % 2 == 0 ? NAN : INFINITY;
    gather(&s);
    refused(&s, IL_ERR_NUMERIC, "row 7 to fit");
    ck_assert_ptr_nonnull(strstr(s.err.message, "channel 1"));
    scene_close(&s);
}
END_TEST

START_TEST(rows_that_are_all_the_same_are_refused)
{
    scene s;

    scene_open(&s, _i);
    for (int at = 1; at < B * T; at++) {
        memcpy(s.all + at * W, s.all, W * sizeof(float));
    }
    gather(&s);
    refused(&s, IL_ERR_NUMERIC, "constant");
    scene_close(&s);
}
END_TEST

START_TEST(one_class_is_refused_with_how_many_there_are)
{
    scene s;

    scene_open(&s, _i / 2);
    memset(s.labels, _i % 2, sizeof s.labels);
    refused(&s, IL_ERR_INPUT, _i % 2 == 0 ? "0 of 40 positive" : "40 of 40 positive");
    scene_close(&s);
}
END_TEST

/* By default, which shrinks or penalizes, they have a fit. */
START_TEST(dead_and_repeated_channels_are_borne)
{
    scene s;

    scene_open(&s, _i);
    for (int at = 0; cases[_i].site == 0 && at < B * T; at++) {
        s.all[at * W + 3] = 0.25f;
        s.all[at * W + 5] = s.all[at * W + 2];
    }
    gather(&s);
    fitted(&s);
    scene_close(&s);
}
END_TEST

/* Two rows determine little: what still fits gives numbers, what does not says why. */
START_TEST(two_rows_are_fitted_or_refused_with_a_reason)
{
    scene s;

    scene_open(&s, _i);
    s.acts.rows.count = 2;
    s.acts.rows.batch = 2;
    if (scene_fit(&s) == IL_OK) {
        fitted(&s);
    } else {
        ck_assert_uint_gt(strlen(s.err.message), 10);
        ck_assert_str_eq(s.err.where, "probe");
    }
    scene_close(&s);
}
END_TEST

/* What only attention reads is not looked through beforehand; the fit notices. */
START_TEST(a_position_that_is_only_read_cannot_spoil_a_fit_in_silence)
{
    scene s;

    scene_open(&s, 9);
    ck_assert(!s.acts.gathered);
    s.all[(4 * T + 0) * W + 2] = NAN;
    refused(&s, IL_ERR_NUMERIC, "no number");
    scene_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad_rows");
    TCase *tests = tcase_create("bad_rows");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, rows_that_tell_something_are_fitted, 0, CASES);
    tcase_add_loop_test(tests, a_value_that_is_no_number_is_named_with_its_place, 0,
                        2 * CASES);
    tcase_add_loop_test(tests, rows_that_are_all_the_same_are_refused, 0, CASES);
    tcase_add_loop_test(tests, one_class_is_refused_with_how_many_there_are, 0,
                        2 * CASES);
    tcase_add_loop_test(tests, dead_and_repeated_channels_are_borne, 0, CASES);
    tcase_add_loop_test(tests, two_rows_are_fitted_or_refused_with_a_reason, 0, CASES);
    tcase_add_test(tests, a_position_that_is_only_read_cannot_spoil_a_fit_in_silence);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
