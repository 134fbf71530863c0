/* Edits: what is left at the site, what the gradient is, and who is refused. */
#include "support.h"
#include "detect/edit.h"
#include "detect/linear.h"
#include "pipeline/batch.h"

static void toy_linear(const void *self, il_param *weight, il_param *bias)
{
    (void)self;
    weight->id = 0;
    bias->id = 1;
}

static const il_detector_api straight = {.struct_size = sizeof(il_detector_api),
                                         .reads = IL_READS_ROWS,
                                         .recipe = &toy_recipe,
                                         .score = toy_score,
                                         .linear = toy_linear};

/* A dictionary of twice as many features as channels: feature k and W + k are half of
 * channel k each, so that the whole gives every row back. */
static il_tensor *halves(const void *self, il_pass *pass, const il_reading *r)
{
    il_tensor *half = il_affine(pass, r->acts[0], 0.5f, 0.0f);
    il_tensor *parts[] = {half, half};

    (void)self;
    return il_concat(pass, 2, parts);
}

static int64_t halves_width(const void *self)
{
    (void)self;
    return 2 * WIDTH;
}

static il_tensor *halves_decode(const void *self, il_pass *pass, il_tensor *f)
{
    (void)self;
    return il_add(pass, il_slice(pass, f, 0, WIDTH), il_slice(pass, f, WIDTH, WIDTH));
}

static il_tensor *halves_reconstruct(const void *self, il_pass *pass,
                                     const il_reading *r)
{
    return halves_decode(self, pass, halves(self, pass, r));
}

static const il_detector_api dictionary = {.struct_size = sizeof(il_detector_api),
                                           .reads = IL_READS_ROWS,
                                           .score = toy_score,
                                           .features = halves,
                                           .feature_width = halves_width,
                                           .decode = halves_decode,
                                           .reconstruct = halves_reconstruct};

/* An edit of the component's own: everything becomes `value`, as it is scaled. */
static il_tensor *flatten(const void *self, il_pass *pass, il_tensor *x,
                          const il_edit *edit)
{
    (void)self;
    return il_affine(pass, x, 0.0f, edit->value);
}

static const il_detector_api own = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .score = toy_score,
                                    .edit = flatten};

/* ---- a forward under an edit ----------------------------------------------------- */

static world w;
static il_component component;
static il_offer offer;
static il_pass *pass;
static il_batch *batch;
static il_arena *arena;
static float scale_mean[WIDTH] = {0.5f, -1.0f, 2.0f};
static float scale_inv[WIDTH] = {2.0f, 0.5f, 1.25f};
static float plain_site[64][WIDTH];
static float plain_logits[64][VOCABULARY];

enum { ROWS = 4, ALL = ROWS * LENGTH };

static void become(const il_detector_api *api)
{
    component = toy_components[2];
    component.api = api;
    offer = (il_offer){&component, NULL, "toy.probe"};
    w.probe.offer = &offer;
}

/* One forward on four documents; edits of the detector bound, its mask obeyed. */
static void run(const il_editor *e, float strength, int64_t marker)
{
    const il_scope scope = {
        .label = "model", .store = w.model.store, .values = w.values, .first_bit = 0};
    const il_scored_fields names = {.input = "tokens"};
    il_site_edit item;
    il_shown seen = il_shown_of(batch, &w.data);

    il_pass_begin(pass);
    il_pass_sites_clear(pass);
    ck_assert_int_eq(il_pass_site_flag(pass, 0, IL_SITE_READ, &w.err), IL_OK);
    if (e != NULL) {
        item = e->site;
        item.marker = marker;
        const il_site_edits edits = {1, &item, &strength};

        ck_assert_int_eq(il_edits_bind(&edits, pass, batch, &names, arena, &w.err),
                         IL_OK);
    }
    il_pass_enter(pass, &scope);
    toy_forward(NULL, pass, &seen.batch);
    il_pass_leave(pass);
    (void)il_pass_output(pass, "logits");
    ck_assert_msg(il_pass_status(pass, &w.err) == IL_OK, "%s", w.err.message);
}

static const float *site(int64_t row)
{
    return il_f32(il_pass_site(pass, 0)) + row * WIDTH;
}

static const float *logits(int64_t row)
{
    return il_f32(il_pass_output(pass, "logits")) + row * VOCABULARY;
}

static void open_world(void)
{
    float *weight;

    world_open(&w, 1);
    become(&straight);
    weight = w.probe.store->values;
    weight[0] = 0.75f;
    weight[1] = -1.5f;
    weight[2] = 0.25f;
    w.mean[0] = scale_mean;
    w.inv[0] = scale_inv;
    arena = il_arena_create(1 << 14);
    ck_assert_int_eq(il_batch_create(&batch, &w.err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, w.blas, w.model.store->count + 1, &w.err),
                     IL_OK);
    il_batch_reset(batch, ROWS);
    ck_assert_int_eq(toy_get(NULL, 0, 0, ROWS, batch, &w.err), IL_OK);
    run(NULL, 0, -1);
    memcpy(plain_site, site(0), sizeof(float) * ALL * WIDTH);
    memcpy(plain_logits, logits(0), sizeof(float) * ALL * VOCABULARY);
}

static void close_world(void)
{
    il_pass_destroy(pass);
    il_batch_destroy(batch);
    il_arena_destroy(arena);
    world_close(&w);
}

/* The coordinate along the detector's direction in the site's own units. */
static double coordinate(const float *x)
{
    double direction[WIDTH + 1];
    double norm = 0;
    double c = 0;

    il_detector_direction(&w.detector, direction);
    for (int k = 0; k < WIDTH; k++) {
        norm += direction[k] * direction[k];
        c += direction[k] * (double)x[k];
    }
    return c / sqrt(norm);
}

/* How far a row has moved across the direction. */
static double across(const float *x, const float *before)
{
    double direction[WIDTH + 1];
    double norm = 0;
    double moved = coordinate(x) - coordinate(before);
    double sum = 0;

    il_detector_direction(&w.detector, direction);
    for (int k = 0; k < WIDTH; k++) {
        norm += direction[k] * direction[k];
    }
    for (int k = 0; k < WIDTH; k++) {
        double rest =
            (double)x[k] - (double)before[k] - moved * direction[k] / sqrt(norm);

        sum += rest * rest;
    }
    return sqrt(sum);
}

/* ---- along a direction ---------------------------------------------------------- */

START_TEST(an_ablated_coordinate_is_zero_at_the_site_and_nothing_else_has_moved)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_ABLATE};
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, "all");
    run(&e, 1.0f, -1);
    for (int64_t i = 0; i < ALL; i++) {
        ck_assert_double_le(fabs(coordinate(site(i))), 1e-6);
        ck_assert_double_gt(fabs(coordinate(plain_site[i])), 1e-3);
        ck_assert_double_le(across(site(i), plain_site[i]), 1e-6);
    }
    ck_assert_mem_ne(logits(0), plain_logits, sizeof(float) * ALL * VOCABULARY);
}
END_TEST

START_TEST(a_clamped_coordinate_is_the_value)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_CLAMP, .value = -1.75};
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, "all");
    run(&e, 1.0f, -1);
    for (int64_t i = 0; i < ALL; i++) {
        ck_assert_double_eq_tol(coordinate(site(i)), -1.75, 1e-6);
        ck_assert_double_le(across(site(i), plain_site[i]), 1e-6);
    }
}
END_TEST

START_TEST(steering_adds_units_or_distances_between_the_classes)
{
    il_edit_spec spec = {.given = true, .kind = IL_EDIT_STEER, .value = 2.0};
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, "all");
    run(&e, 0.5f, -1);
    for (int64_t i = 0; i < ALL; i++) {
        ck_assert_double_eq_tol(coordinate(site(i)), coordinate(plain_site[i]) + 1.0,
                                1e-6);
    }
    spec.classes = true;
    w.detector.apart = 0.25;
    run(&e, 1.0f, -1);
    for (int64_t i = 0; i < ALL; i++) {
        ck_assert_double_eq_tol(coordinate(site(i)), coordinate(plain_site[i]) + 0.5,
                                1e-6);
    }
}
END_TEST

START_TEST(ablating_to_the_middle_leaves_no_side)
{
    const il_edit_spec spec = {
        .given = true, .kind = IL_EDIT_ABLATE, .to_middle = true};
    il_editor e;

    w.detector.apart = 1;
    w.detector.middle = 0.375;
    il_editor_open(&e, &w.detector, &spec, "all");
    run(&e, 1.0f, -1);
    for (int64_t i = 0; i < ALL; i++) {
        ck_assert_double_eq_tol(coordinate(site(i)), 0.375, 1e-6);
    }
}
END_TEST

START_TEST(a_fit_knows_how_far_apart_the_classes_lie)
{
    double means[2] = {0, 0};
    double rows[2] = {0, 0};
    il_acts *acts;

    w.mean[0] = NULL;
    w.inv[0] = NULL;
    world_fit(&w);
    acts = acts_of_split(&w, "fit");
    for (int64_t i = 0; i < acts->rows.count; i++) {
        const float *x =
            acts->data[0] + (acts->gathered ? i : acts->rows.rows[i]) * WIDTH;
        int of = acts->rows.labels[i] != 0;

        means[of] += coordinate(x);
        rows[of]++;
    }
    ck_assert_double_gt(w.detector.apart, 0.1);
    ck_assert_double_eq_tol(w.detector.middle,
                            0.5 * (means[1] / rows[1] + means[0] / rows[0]), 1e-5);
    ck_assert_double_eq_tol(w.detector.apart, means[1] / rows[1] - means[0] / rows[0],
                            1e-5);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(only_the_rows_of_the_mask_are_edited)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_ABLATE};
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, NULL); /* the detector's: claims */
    run(&e, 1.0f, -1);
    for (int64_t i = 0; i < ALL; i++) {
        bool claim = i % LENGTH == 1 || i % LENGTH == 3;

        ck_assert_int_eq(memcmp(site(i), plain_site[i], sizeof plain_site[i]) != 0,
                         claim);
        ck_assert_int_eq(
            memcmp(logits(i), plain_logits[i], sizeof plain_logits[i]) != 0, claim);
    }
}
END_TEST

START_TEST(strength_zero_and_a_detector_without_direction_leave_every_bit)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_CLAMP, .value = 3};
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, "all");
    run(&e, 0.0f, -1);
    ck_assert_mem_eq(logits(0), plain_logits, sizeof(float) * ALL * VOCABULARY);
    memset(w.probe.store->values, 0, WIDTH * sizeof(float));
    run(&e, 1.0f, -1);
    ck_assert_mem_eq(logits(0), plain_logits, sizeof(float) * ALL * VOCABULARY);
}
END_TEST

/* ---- dictionaries, and edits of a component's own -------------------------------- */

START_TEST(splicing_in_what_gives_every_row_back_leaves_every_bit)
{
    il_edit_spec spec = {.given = true, .kind = IL_EDIT_SPLICE};
    il_editor e;

    become(&dictionary);
    w.mean[0] = NULL;
    il_editor_open(&e, &w.detector, &spec, "all");
    run(&e, 1.0f, -1);
    ck_assert_mem_eq(logits(0), plain_logits, sizeof(float) * ALL * VOCABULARY);
    spec.keep_error = true;
    run(&e, 1.0f, -1);
    ck_assert_mem_eq(logits(0), plain_logits, sizeof(float) * ALL * VOCABULARY);
}
END_TEST

START_TEST(a_features_own_part_is_taken_out_and_the_rest_stays)
{
    static const int32_t features[] = {1, WIDTH + 1, WIDTH + 2};
    il_edit_spec spec = {.given = true,
                         .kind = IL_EDIT_ABLATE,
                         .features = features,
                         .feature_count = 3};
    il_editor e;

    become(&dictionary);
    w.mean[0] = NULL;
    il_editor_open(&e, &w.detector, &spec, NULL);
    run(&e, 1.0f, -1);
    for (int64_t i = 0; i < ALL; i++) {
        bool claim = i % LENGTH == 1 || i % LENGTH == 3;

        ck_assert_float_eq(site(i)[0], plain_site[i][0]);
        ck_assert_float_eq_tol(site(i)[1], claim ? 0 : plain_site[i][1], 1e-6f);
        ck_assert_float_eq_tol(
            site(i)[2], claim ? 0.5f * plain_site[i][2] : plain_site[i][2], 1e-6f);
    }
    spec.kind = IL_EDIT_CLAMP;
    spec.value = 4;
    spec.feature_count = 1;
    run(&e, 1.0f, -1);
    ck_assert_float_eq_tol(site(1)[1], 4.0f + 0.5f * plain_site[1][1], 1e-6f);
}
END_TEST

START_TEST(a_components_own_edit_sees_and_gives_scaled_rows)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_CLAMP, .value = 2};
    il_editor e;

    become(&own);
    il_editor_open(&e, &w.detector, &spec, "all");
    run(&e, 1.0f, -1);
    for (int k = 0; k < WIDTH; k++) {
        ck_assert_float_eq_tol(site(3)[k], 2.0f / scale_inv[k] + scale_mean[k], 1e-6f);
    }
}
END_TEST

/* ---- gradients and ancestry ------------------------------------------------------ */

/* A sum over all logits with coefficients that tell them apart. */
static double weighed(float *seeds)
{
    double sum = 0;

    for (int64_t i = 0; i < ALL * VOCABULARY; i++) {
        seeds[i] = sinf(0.7f * (float)i);
        sum += (double)seeds[i] * (double)logits(0)[i];
    }
    return sum;
}

/* The table's gradient through the edited forward, against central differences. */
static void check_gradient(const il_editor *e, float strength)
{
    static float seeds[ALL * VOCABULARY];
    const float step = 1.0f / 64;
    il_word route[1] = {1};
    float grad[VOCABULARY * WIDTH] = {0};
    float *grads[2] = {grad, NULL};
    const float *with[1] = {seeds};
    float *table = w.model.store->values + w.model.store->items[0].offset;
    il_tensor *root;
    double off = 0;
    double size = 0;

    run(e, strength, -1);
    (void)weighed(seeds);
    root = il_pass_output(pass, "logits");
    ck_assert_int_eq(il_pass_backward(pass, 1, &root, with, route, grads, &w.err),
                     IL_OK);
    for (int k = 0; k < VOCABULARY * WIDTH; k++) {
        float kept = table[k];
        double up;
        double slope;

        table[k] = kept + step;
        run(e, strength, -1);
        up = weighed(seeds);
        table[k] = kept - step;
        run(e, strength, -1);
        slope = (up - weighed(seeds)) / (2.0 * (double)step);
        table[k] = kept;
        off += (slope - (double)grad[k]) * (slope - (double)grad[k]);
        size += slope * slope;
    }
    ck_assert_double_gt(size, 0);
    ck_assert_double_le(sqrt(off / size), 1e-3);
}

START_TEST(the_gradient_through_an_edit_is_its_derivative)
{
    static const int32_t features[] = {2};
    il_edit_spec spec = {.given = true, .value = 0.5};
    il_editor e;

    for (int kind = IL_EDIT_ABLATE; kind <= IL_EDIT_STEER; kind++) {
        spec.kind = (il_edit_kind)kind;
        il_editor_open(&e, &w.detector, &spec, "all");
        check_gradient(&e, 1.0f);
        il_editor_open(&e, &w.detector, &spec, NULL);
        check_gradient(&e, 0.75f);
    }
    become(&dictionary);
    w.mean[0] = NULL;
    spec.features = features;
    spec.feature_count = 1;
    for (int kind = IL_EDIT_ABLATE; kind <= IL_EDIT_SPLICE; kind++) {
        spec.kind = (il_edit_kind)kind;
        il_editor_open(&e, &w.detector, &spec, "all");
        check_gradient(&e, 1.0f);
        il_editor_open(&e, &w.detector, &spec, NULL);
        check_gradient(&e, 0.75f);
    }
    become(&own);
    spec.kind = IL_EDIT_CLAMP;
    w.mean[0] = scale_mean;
    il_editor_open(&e, &w.detector, &spec, NULL);
    check_gradient(&e, 0.75f);
}
END_TEST

START_TEST(what_depends_on_an_edited_site_bears_its_mark_at_any_strength)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_ABLATE};
    const size_t bit = w.model.store->count;
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, "all");
    for (int on = 0; on < 2; on++) {
        run(&e, (float)on, (int64_t)bit);
        ck_assert(il_bits_has(il_tensor_v(il_pass_output(pass, "logits")), bit));
        ck_assert(il_bits_has(il_tensor_v(il_pass_site(pass, 0)), bit));
        ck_assert(!il_bits_has(il_tensor_g(il_pass_site(pass, 0)), bit));
        ck_assert(il_bits_has(il_tensor_g(il_pass_site(pass, 0)), 0));
    }
    run(NULL, 0, -1);
    ck_assert(!il_bits_has(il_tensor_v(il_pass_output(pass, "logits")), bit));
}
END_TEST

START_TEST(a_harvest_under_an_edit_reads_what_the_model_goes_on_with)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_CLAMP, .value = 1};
    const float strength = 1.0f;
    il_harvest h = harvest_of(&w);
    il_acts *acts = NULL;
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, NULL);
    const il_site_edits edits = {1, &e.site, &strength};
    h.edits = &edits;
    ck_assert_int_eq(il_detector_harvest(&acts, &w.detector, &h, "test", &w.err),
                     IL_OK);
    for (int64_t i = 0; i < acts->rows.count; i++) {
        const float *x =
            acts->data[0] + (acts->gathered ? i : acts->rows.rows[i]) * WIDTH;

        ck_assert_double_eq_tol(coordinate(x), 1, 1e-6);
    }
    il_acts_destroy(acts);
}
END_TEST

/* ---- refusals -------------------------------------------------------------------- */

static void refused(const il_edit_spec *spec, const char *part)
{
    il_problems problems = {.arena = arena};

    il_editor_check(&w.detector, spec, &problems);
    if (part == NULL) {
        ck_assert_uint_eq(problems.count, 0);
        return;
    }
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_msg(strstr(problems.kept[0].message, part) != NULL, "%s",
                  problems.kept[0].message);
}

START_TEST(a_detector_that_cannot_make_an_edit_is_refused_by_name)
{
    static const int32_t features[] = {2 * WIDTH, 0};
    il_edit_spec spec = {.given = true, .kind = IL_EDIT_ABLATE};

    refused(&spec, NULL);
    spec.kind = IL_EDIT_SPLICE;
    refused(&spec, "no reconstruction");
    spec.kind = IL_EDIT_ABLATE;
    spec.features = features;
    spec.feature_count = 1;
    refused(&spec, "has no features");
    become(&dictionary);
    refused(&spec, "no feature 6, expected 0 to 5");
    spec.features = features + 1;
    spec.to_middle = true;
    refused(&spec, "for linear ones");
    spec.to_middle = false;
    spec.feature_count = 0;
    refused(&spec, "which of its features");
    become(&toy_detector);
    refused(&spec, "neither linear nor a dictionary");
    become(&own);
    refused(&spec, NULL);
    w.detector.site_count = 2;
    refused(&spec, "reads 2 sites");
    w.detector.site_count = 1;
    w.spec.on = "base";
    refused(&spec, "reads the reference 'base'");
}
END_TEST

START_TEST(where_classes_lie_has_to_be_known)
{
    const il_edit_spec spec = {
        .given = true, .kind = IL_EDIT_STEER, .value = 1, .classes = true};
    const il_edit_at at = {.strength = 1.0f};
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, "all");
    il_pass_begin(pass);
    (void)e.site.apply(e.site.user, pass, il_constant(pass, IL_SHAPE(2, WIDTH), NULL),
                       &at);
    ck_assert_int_eq(il_pass_status(pass, &w.err), IL_ERR_INPUT);
    ck_assert_msg(strstr(w.err.message, "not on record") != NULL, "%s", w.err.message);
}
END_TEST

START_TEST(a_site_that_the_model_only_shows_is_refused_by_name)
{
    const il_edit_spec spec = {.given = true, .kind = IL_EDIT_ABLATE};
    const float strength = 1.0f;
    il_shown seen = il_shown_of(batch, &w.data);
    il_editor e;

    il_editor_open(&e, &w.detector, &spec, "all");
    const il_site_edits edits = {1, &e.site, &strength};
    ck_assert_int_eq(
        il_edits_check(&edits, &w.model, w.values, &seen.batch, w.blas, &w.err), IL_OK);
    e.site.site = 1;
    ck_assert_int_eq(
        il_edits_check(&edits, &w.model, w.values, &seen.batch, w.blas, &w.err),
        IL_ERR_INPUT);
    ck_assert_str_eq(w.err.where, "blocks.0.hook_resid_post");
    ck_assert_msg(strstr(w.err.message, "cannot be edited") != NULL, "%s",
                  w.err.message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("edits");
    TCase *tests = tcase_create("edits");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, open_world, close_world);
    tcase_add_test(
        tests, an_ablated_coordinate_is_zero_at_the_site_and_nothing_else_has_moved);
    tcase_add_test(tests, a_clamped_coordinate_is_the_value);
    tcase_add_test(tests, steering_adds_units_or_distances_between_the_classes);
    tcase_add_test(tests, ablating_to_the_middle_leaves_no_side);
    tcase_add_test(tests, a_fit_knows_how_far_apart_the_classes_lie);
    tcase_add_test(tests, only_the_rows_of_the_mask_are_edited);
    tcase_add_test(tests,
                   strength_zero_and_a_detector_without_direction_leave_every_bit);
    tcase_add_test(tests, splicing_in_what_gives_every_row_back_leaves_every_bit);
    tcase_add_test(tests, a_features_own_part_is_taken_out_and_the_rest_stays);
    tcase_add_test(tests, a_components_own_edit_sees_and_gives_scaled_rows);
    tcase_add_test(tests, the_gradient_through_an_edit_is_its_derivative);
    tcase_add_test(tests,
                   what_depends_on_an_edited_site_bears_its_mark_at_any_strength);
    tcase_add_test(tests, a_harvest_under_an_edit_reads_what_the_model_goes_on_with);
    tcase_add_test(tests, a_detector_that_cannot_make_an_edit_is_refused_by_name);
    tcase_add_test(tests, where_classes_lie_has_to_be_known);
    tcase_add_test(tests, a_site_that_the_model_only_shows_is_refused_by_name);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
