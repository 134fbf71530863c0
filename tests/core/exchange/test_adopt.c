#define _XOPEN_SOURCE 700 /* realpath */
#include "detect/edit.h"
#include "exchange/verify.h"
#include "interloop/rng.h"
#include <check.h>
#include "support.h"

enum { ROWS = 9, WIDTH = 6, FEATURES = 14, K = 3 };

static il_registry *registry;
static const il_blas *blas;
static il_arena *arena;
static il_problems problems;

static void open_all(void)
{
    const char *build = getenv("IL_BUILD");
    char path[1024];
    char *whole;
    il_error err = {0};

    ck_assert_ptr_nonnull(build);
    (void)snprintf(path, sizeof path, "%s/plugins", build);
    whole = realpath(path, NULL);
    ck_assert_ptr_nonnull(whole);
    arena = il_arena_create(1 << 14);
    problems = (il_problems){.arena = arena};
    ck_assert_int_eq(il_registry_create(&registry, NULL, &err), IL_OK);
    ck_assert_msg(il_registry_add_folder(registry, whole, true, &err) == IL_OK, "%s",
                  err.message);
    ck_assert_msg(il_blas_open(&blas, false, &err) == IL_OK, "%s", err.message);
    free(whole);
    setup();
}

static void close_all(void)
{
    teardown();
    il_registry_destroy(registry);
    il_arena_destroy(arena);
}

static void fill(float *to, int64_t count, uint64_t stream, float scale)
{
    il_rng draws;

    il_rng_open(&draws, 3, 0, IL_RNG_INIT, stream, 0);
    for (int64_t i = 0; i < count; i++) {
        to[i] = scale * il_rng_normal(&draws);
    }
}

/* ---- out ------------------------------------------------------------------------ */

/* A detector of a pipeline's own words, as a training would leave it. */
typedef struct own {
    il_declared site;
    il_instance model;
    const char *sites[1];
    il_place places[1];
    il_detector_spec spec;
    il_detector *detector;
} own;

static void own_open(own *o, const char *use, const char *const (*params)[2],
                     size_t count)
{
    il_detector_input in = {
        .registry = registry, .spec = &o->spec, .model = &o->model, .seed = 1};
    il_error err = {0};

    memset(o, 0, sizeof *o);
    o->site = (il_declared){.name = "blocks.4.hook_resid_post", .width = WIDTH};
    o->model = (il_instance){.label = "no model", .sites = &o->site, .site_count = 1};
    o->sites[0] = o->site.name;
    o->spec.name = "own";
    o->spec.component.use = use;
    o->spec.component.range = "";
    o->spec.tokens = "all";
    o->spec.sites = (il_names_spec){.count = 1, .items = o->sites, .places = o->places};
    if (count > 0) {
        il_place place = {.file = "test"};
        il_node *map = il_node_map(arena, place);

        for (size_t i = 0; i < count; i++) {
            ck_assert(il_node_put(arena, map, params[i][0], place,
                                  il_node_scalar(arena, params[i][1], false, place)));
        }
        o->spec.component.params = map;
    }
    ck_assert_msg(il_detector_create(&o->detector, &in, &problems, &err) == IL_OK, "%s",
                  err.message);
    for (size_t i = 0; i < o->detector->instance->store->count; i++) {
        const il_stored *item = &o->detector->instance->store->items[i];

        fill(o->detector->instance->store->values + item->offset, item->count, i, 0.5f);
    }
    o->detector->fitted = true;
}

static float *value(const own *o, const char *name)
{
    const il_store *store = o->detector->instance->store;
    int64_t i = il_store_find(store, name);

    ck_assert_int_ge(i, 0);
    return store->values + store->items[i].offset;
}

static const char *const architectures[] = {"standard", "topk", "batchtopk", "jumprelu",
                                            "gated"};
static const char *const scalings[] = {"none", "expected_average", "constant_norm",
                                       "layer_norm"};

/* Every architecture under every scaling, whose factor is not 1 where there is one. */
START_TEST(what_an_sae_holds_is_described_as_it_computes)
{
    const char *params[][2] = {{"architecture", architectures[_i % 5]},
                               {"normalize", scalings[_i / 5]},
                               {"features", "14"},
                               {"k", "3"},
                               {"apply_b_dec", _i % 2 == 0 ? "true" : "false"}};
    own o;
    il_adopted run = {.detector = NULL};
    il_dictionary d = {.k = 0};
    il_error err = {0};
    float x[ROWS * WIDTH], y[2][ROWS * WIDTH], f[2][ROWS * FEATURES];

    own_open(&o, "sae", (const char *const(*)[2])params, 5);
    if (_i / 5 == 1) {
        *value(&o, "scale") = 1.7f;
    } else {
        *value(&o, "scale") = 1.0f;
    }
    if (_i % 5 == 2 || _i % 5 == 3) {
        for (int i = 0; i < FEATURES; i++) {
            value(&o, "threshold")[i] = fabsf(value(&o, "threshold")[i]);
        }
    }
    fill(x, ROWS * WIDTH, 99, 2);
    run.detector = o.detector;
    ck_assert_msg(il_adopted_run(&run, blas, ROWS, x, f[0], y[0], NULL, &err) == IL_OK,
                  "%s", err.message);
    ck_assert_msg(il_dictionary_of(&d, o.detector, NULL, &err) == IL_OK, "%s",
                  err.message);
    ck_assert_int_eq(il_dictionary_run(&d, ROWS, x, f[1], y[1], &err), IL_OK);
    near("features", f[1], f[0], ROWS * FEATURES, 1e-5);
    near("output", y[1], y[0], ROWS * WIDTH, 2e-5);
    ck_assert_str_eq(d.site, "blocks.4.hook_resid_post");
    il_dictionary_clear(&d);
    il_detector_destroy(o.detector);
}
END_TEST

START_TEST(a_scaled_probe_goes_out_with_its_scaling_folded_in)
{
    own o;
    il_direction d;
    il_error err = {0};
    float x[ROWS * WIDTH], want[ROWS], got[ROWS];
    float mean[WIDTH], inv[WIDTH], scaled[ROWS * WIDTH];

    own_open(&o, "linear_probe", NULL, 0);
    fill(x, ROWS * WIDTH, 99, 2);
    fill(mean, WIDTH, 98, 1);
    for (int c = 0; c < WIDTH; c++) {
        inv[c] = 0.5f + 0.25f * (float)c;
    }
    o.detector->mean[0] = mean;
    o.detector->inv[0] = inv;
    ck_assert_int_eq(il_direction_of(&d, o.detector, &err), IL_OK);
    ck_assert_int_eq(d.layer, 4);
    for (int n = 0; n < ROWS; n++) {
        double sum = d.bias;

        for (int c = 0; c < WIDTH; c++) {
            scaled[n * WIDTH + c] = (x[n * WIDTH + c] - mean[c]) * inv[c];
            sum += (double)d.weight[c] * x[n * WIDTH + c];
        }
        got[n] = (float)sum;
        want[n] = value(&o, "bias")[0];
        for (int c = 0; c < WIDTH; c++) {
            want[n] += value(&o, "weight")[c] * scaled[n * WIDTH + c];
        }
    }
    near("logits", got, want, ROWS, 1e-5);
    free(d.weight);
    il_detector_destroy(o.detector);
}
END_TEST

START_TEST(what_is_neither_is_refused)
{
    own o;
    il_direction d;
    il_dictionary sae = {.k = 0};
    il_error err = {0};

    own_open(&o, "mlp_probe", NULL, 0);
    ck_assert(!il_detector_is_dictionary(o.detector));
    ck_assert_int_eq(il_direction_of(&d, o.detector, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected a linear detector"));
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_dictionary_of(&sae, o.detector, NULL, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected a dictionary on one site"));
    il_detector_destroy(o.detector);
}
END_TEST

/* ---- in ------------------------------------------------------------------------- */

static il_adopt_input input(const char *use)
{
    return (il_adopt_input){.registry = registry,
                            .use = use,
                            .site = "blocks.2.hook_resid_post",
                            .convention = IL_CONVENTION,
                            .tokens = "all",
                            .model = "abc",
                            .feature = -1};
}

START_TEST(an_adopted_direction_scores_steers_and_is_loaded_again)
{
    float weight[3] = {3, 0, -4};
    const float x[6] = {1, 2, 3, -1, 0, 1};
    const il_direction d = {2, 3, weight, 0.5f};
    il_adopt_input in = input("linear_probe");
    il_adopted *a = NULL;
    il_saved *saved = NULL;
    il_error err = {0};
    float logits[2];
    const json_t *contract;

    in.origin = json_pack("{s:s}", "format", "probe");
    ck_assert_msg(il_adopt_direction(&a, &d, true, &in, &problems, &err) == IL_OK, "%s",
                  err.message);
    ck_assert_int_eq(il_adopted_run(a, blas, 2, x, NULL, NULL, logits, &err), IL_OK);
    ck_assert_float_eq(logits[0], -8.5f);
    ck_assert_float_eq(logits[1], -6.5f);
    ck_assert_double_eq(a->detector->apart, 5);
    ck_assert_msg(il_adopted_write(a, in_folder("d.safetensors"), &err) == IL_OK, "%s",
                  err.message);
    ck_assert_msg(il_saved_open(&saved, in_folder("d.safetensors"), &err) == IL_OK,
                  "%s", err.message);
    contract = saved->contract;
    ck_assert_str_eq(json_string_value(json_object_get(contract, "component")),
                     "interloop.linear_probe");
    ck_assert_str_eq(json_string_value(json_object_get(contract, "model")), "abc");
    ck_assert_str_eq(json_string_value(json_object_get(
                         json_object_get(contract, "origin"), "format")),
                     "probe");
    ck_assert_double_eq(json_number_value(json_object_get(contract, "apart")), 5);
    il_saved_close(saved);
    il_adopted_close(a);
    il_adopted_close(NULL);
    json_decref(in.origin);
}
END_TEST

/* One step between the classes adds the vector, as a control vector is meant. */
START_TEST(a_vector_that_steers_is_added_whole)
{
    float weight[3] = {3, 0, -4};
    const float x[6] = {1, 2, 3, -1, 0, 1};
    const float want[6] = {4, 2, -1, 2, 0, -3};
    const il_direction d = {2, 3, weight, 0};
    const il_edit_spec spec = {
        .given = true, .kind = IL_EDIT_STEER, .value = 1, .classes = true};
    const il_edit_at everywhere = {.strength = 1, .count = 2};
    il_adopt_input in = input("linear_probe");
    il_adopted *a = NULL;
    il_editor editor;
    il_pass *pass = NULL;
    il_tensor *y;
    il_error err = {0};

    ck_assert_int_eq(il_adopt_direction(&a, &d, true, &in, &problems, &err), IL_OK);
    il_editor_open(&editor, a->detector, &spec, NULL);
    ck_assert_int_eq(il_pass_create(&pass, blas, 1, &err), IL_OK);
    il_pass_begin(pass);
    y = editor.site.apply(editor.site.user, pass,
                          il_pass_borrow(pass, IL_SHAPE(2, 3), x), &everywhere);
    ck_assert_msg(il_pass_status(pass, &err) == IL_OK, "%s", err.message);
    near("steered", il_f32(y), want, 6, 1e-6);
    il_pass_destroy(pass);
    il_adopted_close(a);
}
END_TEST

/* A jumping dictionary of two features on two channels. */
static void small(il_dictionary *d, float *block)
{
    static const float values[] = {1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, -1, 2};

    memcpy(block, values, sizeof values);
    *d = (il_dictionary){.form = IL_DICTIONARY_JUMPRELU,
                         .width = 2,
                         .features = 2,
                         .encoder = block,
                         .encoder_bias = block + 4,
                         .decoder = block + 6,
                         .decoder_bias = block + 10,
                         .threshold = block + 12};
}

START_TEST(a_threshold_below_zero_still_keeps_negative_features_out)
{
    float block[14];
    const float x[4] = {-0.5f, 3, 1, 1};
    const float want[4] = {0, 3, 1, 0};
    il_adopt_input in = input("sae");
    il_dictionary d;
    il_adopted *a = NULL;
    il_error err = {0};
    float f[4], described[4];

    small(&d, block);
    ck_assert_msg(il_adopt_dictionary(&a, &d, &in, &problems, &err) == IL_OK, "%s",
                  err.message);
    ck_assert_int_eq(il_adopted_run(a, blas, 2, x, f, NULL, NULL, &err), IL_OK);
    ck_assert_int_eq(il_dictionary_run(&d, 2, x, described, NULL, &err), IL_OK);
    for (int i = 0; i < 4; i++) {
        ck_assert_float_eq(f[i], want[i]);
        ck_assert_float_eq(described[i], want[i]);
    }
    il_adopted_close(a);
}
END_TEST

START_TEST(one_feature_is_the_logit_and_one_that_is_not_there_is_refused)
{
    float block[14];
    const float x[2] = {1, 5};
    il_adopt_input in = input("sae");
    il_dictionary d;
    il_adopted *a = NULL;
    il_error err = {0};
    float logit = 0;

    small(&d, block);
    in.feature = 1;
    ck_assert_int_eq(il_adopt_dictionary(&a, &d, &in, &problems, &err), IL_OK);
    ck_assert_int_eq(il_adopted_run(a, blas, 1, x, NULL, NULL, &logit, &err), IL_OK);
    ck_assert_float_eq(logit, 5);
    il_adopted_close(a);
    a = NULL;
    in.feature = 2;
    ck_assert_int_eq(il_adopt_dictionary(&a, &d, &in, &problems, &err), IL_ERR_INPUT);
    ck_assert_ptr_null(a);
    ck_assert_ptr_nonnull(strstr(err.message, "expected one of the 2 features"));
}
END_TEST

enum { MANY = 1000 };

/* Features of 1000 rows of two, all of them active, in which the first `lost` are put
 * out: what il_verify says of them. */
static il_status verify_with(int lost, const float *wrong, il_text *said, il_error *err)
{
    float block[14];
    static float x[2 * MANY], f[2 * MANY];
    il_adopt_input in = input("sae");
    il_evidence e = {.from = "rows.npy",
                     .name = "rows.npy",
                     .count = MANY,
                     .rows = x,
                     .features = f,
                     .tolerance = 1e-3};
    il_dictionary d;
    il_adopted *a = NULL;
    il_status status;

    small(&d, block);
    for (int i = 0; i < 2 * MANY; i++) {
        x[i] = f[i] = 3 + (float)(i % 7);
    }
    for (int i = 0; i < lost; i++) {
        f[i] = 0;
    }
    if (wrong != NULL) {
        f[2 * MANY - 1] = *wrong;
    }
    ck_assert_int_eq(il_adopt_dictionary(&a, &d, &in, &problems, NULL), IL_OK);
    status = il_verify(a, blas, &e, said, err);
    il_adopted_close(a);
    return status;
}

START_TEST(a_feature_at_its_threshold_may_fall_on_either_side_but_not_many)
{
    const float wrong = 100;
    il_text said = {0};
    il_error err = {0};

    ck_assert_int_eq(verify_with(0, NULL, &said, &err), IL_OK);
    ck_assert_str_eq(said.data,
                     "verified: features on 1000 rows of rows.npy, off by 0 of their "
                     "norm\n");
    ck_assert_int_eq(verify_with(3, NULL, &said, &err), IL_OK);
    ck_assert_int_eq(verify_with(5, NULL, &said, &err), IL_ERR_INPUT);
    ck_assert_str_eq(err.where, "rows.npy");
    ck_assert_ptr_nonnull(strstr(err.message, "the features are not those expected"));
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(verify_with(0, &wrong, &said, &err), IL_ERR_INPUT);
    il_text_free(&said);
}
END_TEST

START_TEST(a_component_that_cannot_hold_it_is_refused)
{
    float block[14];
    float weight[2] = {1, 1};
    const il_direction direction = {-1, 2, weight, 0};
    il_adopt_input in = input("knn");
    il_dictionary d;
    il_adopted *a = NULL;
    il_error err = {0};

    small(&d, block);
    ck_assert_int_ne(il_adopt_dictionary(&a, &d, &in, &problems, &err), IL_OK);
    ck_assert_ptr_null(a);
    problems.count = 0;
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_adopt_direction(&a, &direction, false, &in, &problems, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected a linear detector"));
    memset(&err, 0, sizeof err);
    in.use = "no_such_thing";
    ck_assert_int_ne(il_adopt_direction(&a, &direction, false, &in, &problems, &err),
                     IL_OK);
    ck_assert_ptr_null(a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("adopt");
    TCase *t = tcase_create("adopt");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, open_all, close_all);
    tcase_add_loop_test(t, what_an_sae_holds_is_described_as_it_computes, 0, 20);
    tcase_add_test(t, a_scaled_probe_goes_out_with_its_scaling_folded_in);
    tcase_add_test(t, what_is_neither_is_refused);
    tcase_add_test(t, an_adopted_direction_scores_steers_and_is_loaded_again);
    tcase_add_test(t, a_vector_that_steers_is_added_whole);
    tcase_add_test(t, a_threshold_below_zero_still_keeps_negative_features_out);
    tcase_add_test(t, one_feature_is_the_logit_and_one_that_is_not_there_is_refused);
    tcase_add_test(t, a_feature_at_its_threshold_may_fall_on_either_side_but_not_many);
    tcase_add_test(t, a_component_that_cannot_hold_it_is_refused);
    suite_add_tcase(s, t);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
