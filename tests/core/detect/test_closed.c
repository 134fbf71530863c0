/* Fits in closed form, from the host's side: what a component is given, and what is
 * made of what it says. */
#include "detect/closed.h"
#include "support.h"

static world w;
static il_error err;
static int calls;
static bool fails; /* what the component does */
static bool spoils;

/* The positives' mean as weights, and how many rows there were as bias. */
static il_status toy_fit(const void *self, const il_fitting *f, il_error *e)
{
    int64_t positives = 0;

    (void)self;
    calls++;
    ck_assert_uint_eq(f->struct_size, sizeof *f);
    ck_assert_int_eq(f->width, WIDTH);
    memset(f->values[0], 0, WIDTH * sizeof(float));
    for (int64_t i = 0; i < f->rows; i++) {
        ck_assert_int_le(f->labels[i], 1);
        positives += f->labels[i];
        for (int c = 0; f->labels[i] != 0 && c < WIDTH; c++) {
            f->values[0][c] += f->x[i * WIDTH + c];
        }
    }
    for (int c = 0; c < WIDTH; c++) {
        f->values[0][c] /= (float)positives;
    }
    f->values[1][0] = spoils ? NAN : (float)f->rows;
    return fails ? il_error_set(e, IL_ERR_INPUT, "toy", "it is a bad day") : IL_OK;
}

static const il_detector_api closed = {.struct_size = sizeof(il_detector_api),
                                       .reads = IL_READS_ROWS,
                                       .score = toy_score,
                                       .fit = toy_fit};
static const il_detector_api both = {.struct_size = sizeof(il_detector_api),
                                     .reads = IL_READS_ROWS,
                                     .recipe = &toy_recipe,
                                     .score = toy_score,
                                     .fit = toy_fit};
/* As an older plugin has it, whose table ends before the slot. */
static const il_detector_api older = {.struct_size = offsetof(il_detector_api, fit),
                                      .reads = IL_READS_ROWS,
                                      .recipe = &toy_recipe,
                                      .score = toy_score,
                                      .fit = toy_fit};
static const il_component components[] = {
    {sizeof(il_component), IL_KIND_DETECTOR, "closed", "", &closed, IL_NO_PARAMS},
    {sizeof(il_component), IL_KIND_DETECTOR, "both", "", &both, IL_NO_PARAMS},
    {sizeof(il_component), IL_KIND_DETECTOR, "older", "", &older, IL_NO_PARAMS}};
static const il_offer offers[] = {{&components[0], NULL, "toy.closed"},
                                  {&components[1], NULL, "toy.both"},
                                  {&components[2], NULL, "toy.older"}};

static void setup(void)
{
    world_open(&w, 1);
    w.probe.offer = &offers[0];
    memset(&err, 0, sizeof err);
    calls = 0;
    fails = false;
    spoils = false;
}

static void teardown(void)
{
    world_close(&w);
}

/* A fit on `acts` that is to fail with `part` in its message and to leave everything
 * as it was. */
static void refused(const il_acts *acts, il_status code, const char *part)
{
    il_fit fit = {.blas = w.blas, .start = IL_FIT_FRESH};
    float before[WIDTH + 1];

    memcpy(before, w.probe.store->values, sizeof before);
    ck_assert_int_eq(il_detector_fit(&w.detector, acts, &fit, &err), code);
    ck_assert_msg(strstr(err.message, part) != NULL, "%s", err.message);
    ck_assert_str_eq(err.where, "probe");
    ck_assert(!w.detector.fitted);
    ck_assert_mem_eq(before, w.probe.store->values, sizeof before);
}

START_TEST(it_is_the_way_to_fit_a_component_that_has_it)
{
    il_acts *acts = acts_of_split(&w, "fit");
    double mean[WIDTH] = {0};

    w.probe.offer = &offers[_i];
    ck_assert(il_detector_closed(&w.detector));
    ck_assert(!il_detector_ready(&w.detector));
    world_fit(&w);
    ck_assert_int_eq(calls, 1);
    ck_assert(il_detector_ready(&w.detector));
    ck_assert_float_eq(w.probe_values[1][0], 300.0f);
    for (int64_t i = 0; i < acts->rows.count; i++) {
        for (int c = 0; acts->rows.labels[i] != 0 && c < WIDTH; c++) {
            mean[c] += (double)acts->data[0][i * WIDTH + c] / 150;
        }
    }
    for (int c = 0; c < WIDTH; c++) {
        ck_assert_double_eq_tol((double)w.probe_values[0][c], mean[c], 1e-5);
    }
    ck_assert_ptr_null(w.mean[0]); /* activations are scored as they are */
    ck_assert_int_eq(w.detector.fit_ids.count, 150);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(a_pipeline_may_name_another_way)
{
    w.probe.offer = &offers[1];
    w.spec.fit.method = "adam";
    world_fit(&w);
    ck_assert_int_eq(calls, 0);
    ck_assert_ptr_nonnull(w.mean[0]);
    w.spec.fit.method = "closed_form";
    world_fit(&w);
    ck_assert_int_eq(calls, 1);
    ck_assert_ptr_null(w.mean[0]);
}
END_TEST

START_TEST(a_table_that_ends_before_the_slot_has_no_closed_form)
{
    il_acts *acts = acts_of_split(&w, "fit");

    w.probe.offer = &offers[2];
    ck_assert(!il_detector_closed(&w.detector));
    world_fit(&w); /* by its recipe */
    ck_assert_int_eq(calls, 0);
    w.detector.fitted = false;
    w.spec.fit.method = "closed_form";
    refused(acts, IL_ERR_INPUT, "toy.older does not");
    il_acts_destroy(acts);
}
END_TEST

START_TEST(values_that_are_no_numbers_are_refused_before_the_fit)
{
    il_acts *acts = acts_of_split(&w, "fit");

    ((float *)(uintptr_t)acts->data[0])[7 * WIDTH + 2] = _i == 0 ? NAN : -INFINITY;
    refused(acts, IL_ERR_NUMERIC,
            "row 7 to fit holds a value that is no number, in "
            "channel 2");
    ck_assert_int_eq(calls, 0);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(constant_activations_are_refused_before_the_fit)
{
    il_acts *acts = acts_of_split(&w, "fit");
    float *x = (float *)(uintptr_t)acts->data[0];

    for (int64_t i = 0; i < acts->rows.count * WIDTH; i++) {
        x[i] = (float)(i % WIDTH);
    }
    refused(acts, IL_ERR_NUMERIC, "constant: all 300 rows");
    ck_assert_int_eq(calls, 0);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(one_class_is_refused_before_the_fit)
{
    il_acts *acts = acts_of_split(&w, "fit");

    memset((void *)(uintptr_t)acts->rows.labels, 0, (size_t)acts->rows.count);
    refused(acts, IL_ERR_INPUT, "both classes, got 0 of 300 positive");
    ck_assert_int_eq(calls, 0);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(what_a_component_refuses_is_told_with_its_name)
{
    il_acts *acts = acts_of_split(&w, "fit");

    fails = true;
    refused(acts, IL_ERR_INPUT, "toy.closed: it is a bad day");
    il_acts_destroy(acts);
}
END_TEST

START_TEST(a_parameter_that_is_no_number_is_an_error_of_the_fit)
{
    il_acts *acts = acts_of_split(&w, "fit");

    spoils = true;
    refused(acts, IL_ERR_NUMERIC, "gave 'bias' a value that is no number");
    il_acts_destroy(acts);
}
END_TEST

/* The problems of a spec, as text; free it. */
static il_text problems_of(void)
{
    il_problems problems = {.arena = il_arena_create(4096)};
    il_text said = {0};

    il_detector_closed_check(&w.detector, &problems);
    il_problems_write(&problems, &said);
    il_arena_destroy(problems.arena);
    return said;
}

START_TEST(what_a_closed_form_has_no_use_for_is_a_problem)
{
    il_text said = problems_of();

    ck_assert_msg(said.data == NULL || said.data[0] == '\0', "%s", said.data);
    il_text_free(&said);
    switch (_i) {
    case 0:
        w.spec.fit.steps = 10;
        break;
    case 1:
        w.spec.fit.lr = 0.1;
        break;
    case 2:
        w.spec.fit.l2 = 0;
        break;
    case 3:
        w.spec.fit.weight_decay = 0.1;
        break;
    case 4:
        w.spec.fit.batch = 8;
        break;
    default:
        w.spec.refit.kind = IL_REFIT_ONLINE;
        break;
    }
    said = problems_of();
    ck_assert_ptr_nonnull(said.data);
    ck_assert_ptr_nonnull(strstr(said.data, "toy.closed is fitted in closed form"));
    il_text_free(&said);
    w.probe.offer = &offers[1];
    w.spec.fit.method = "adam"; /* has a use for all of them */
    said = problems_of();
    ck_assert_msg(said.data == NULL || said.data[0] == '\0', "%s", said.data);
    il_text_free(&said);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("closed");
    TCase *tc = tcase_create("closed");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, it_is_the_way_to_fit_a_component_that_has_it, 0, 2);
    tcase_add_test(tc, a_pipeline_may_name_another_way);
    tcase_add_test(tc, a_table_that_ends_before_the_slot_has_no_closed_form);
    tcase_add_loop_test(tc, values_that_are_no_numbers_are_refused_before_the_fit, 0,
                        2);
    tcase_add_test(tc, constant_activations_are_refused_before_the_fit);
    tcase_add_test(tc, one_class_is_refused_before_the_fit);
    tcase_add_test(tc, what_a_component_refuses_is_told_with_its_name);
    tcase_add_test(tc, a_parameter_that_is_no_number_is_an_error_of_the_fit);
    tcase_add_loop_test(tc, what_a_closed_form_has_no_use_for_is_a_problem, 0, 6);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
