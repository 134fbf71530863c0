/* Harvests, fits and thresholds on a world small enough to check by hand. */
#include "support.h"

static world w;

static void setup(void)
{
    world_open(&w, 1);
}

static void teardown(void)
{
    world_close(&w);
}

START_TEST(a_harvest_holds_the_scored_rows_with_labels_and_documents)
{
    il_acts *acts = acts_of_split(&w, "test");

    ck_assert_int_eq(acts->rows.count, 300);
    for (int64_t i = 0; i < acts->rows.count; i++) {
        ck_assert_int_eq(acts->rows.rows[i], i / 2 * LENGTH + (i % 2 ? 3 : 1));
        ck_assert_int_eq(acts->rows.documents[i], 2000 + i / 2);
        ck_assert_int_eq(acts->rows.labels[i], i / 2 % 2);
    }
    il_acts_destroy(acts);
}
END_TEST

START_TEST(scored_rows_alone_are_the_same_as_rows_of_the_whole)
{
    il_harvest h = harvest_of(&w);
    il_acts *rows = acts_of_split(&w, "test");
    il_acts *whole = NULL;

    h.split = "test";
    h.fields = w.detector.fields;
    h.sites = w.sites;
    h.site_count = 1;
    ck_assert_int_eq(il_acts_harvest(&whole, &h, &w.err), IL_OK);
    for (int64_t i = 0; i < rows->rows.count; i++) {
        ck_assert_mem_eq(rows->data[0] + i * WIDTH,
                         whole->data[0] + rows->rows.rows[i] * WIDTH,
                         WIDTH * sizeof(float));
    }
    il_acts_destroy(rows);
    il_acts_destroy(whole);
}
END_TEST

START_TEST(two_workers_harvest_the_bits_of_one)
{
    world two;
    il_tally tallies[2];
    il_acts *acts[2] = {NULL};

    world_open(&two, 2);
    for (int i = 0; i < 2; i++) {
        il_harvest h = harvest_of(i == 0 ? &w : &two);

        il_tally_open(&tallies[i]);
        h.split = "test";
        h.fields = w.detector.fields;
        h.sites = w.sites;
        h.site_count = 1;
        h.tally = &tallies[i];
        ck_assert_int_eq(il_acts_harvest(&acts[i], &h, &w.err), IL_OK);
    }
    ck_assert_mem_eq(acts[0]->data[0], acts[1]->data[0],
                     150 * LENGTH * WIDTH * sizeof(float));
    ck_assert(il_tally_value(&tallies[0], "first_logit") ==
              il_tally_value(&tallies[1], "first_logit"));
    /* 150 documents in chunks of 64. */
    ck_assert_double_eq_tol(il_tally_value(&tallies[0], "documents"), 50, 1e-12);
    for (int i = 0; i < 2; i++) {
        il_acts_destroy(acts[i]);
        il_tally_close(&tallies[i]);
    }
    world_close(&two);
}
END_TEST

START_TEST(an_unknown_split_is_refused)
{
    il_harvest h = harvest_of(&w);
    il_acts *acts = NULL;

    ck_assert_int_eq(il_detector_harvest(&acts, &w.detector, &h, "tset", &w.err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(w.err.message, "tset"));
}
END_TEST

/* At the optimum of mean cross-entropy + l2 |w|^2 on standardized rows all derivatives
 * vanish. */
START_TEST(a_fit_reaches_the_optimum_of_its_loss)
{
    il_acts *acts = acts_of_split(&w, "fit");
    double slope[WIDTH + 1] = {0};
    double n = (double)acts->rows.count;

    world_fit(&w);
    for (int64_t i = 0; i < acts->rows.count; i++) {
        double logit = w.probe_values[1][0];
        double x[WIDTH];

        for (int c = 0; c < WIDTH; c++) {
            x[c] = (acts->data[0][i * WIDTH + c] - w.mean[0][c]) * w.inv[0][c];
            logit += w.probe_values[0][c] * x[c];
        }
        for (int c = 0; c <= WIDTH; c++) {
            slope[c] += (1 / (1 + exp(-logit)) - acts->rows.labels[i]) *
                        (c < WIDTH ? x[c] : 1) / n;
        }
    }
    for (int c = 0; c < WIDTH; c++) {
        slope[c] += 2 * 1e-2 * w.probe_values[0][c];
        ck_assert_float_ne(w.probe_values[0][c], 0.0f);
    }
    for (int c = 0; c <= WIDTH; c++) {
        ck_assert_double_eq_tol(slope[c], 0, 2e-4);
    }
    ck_assert(w.detector.fitted);
    ck_assert_int_eq(w.detector.fit_ids.count, 150);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(scaling_gives_the_fitting_rows_mean_zero_and_variance_one)
{
    il_acts *acts = acts_of_split(&w, "fit");

    world_fit(&w);
    for (int c = 0; c < WIDTH; c++) {
        double sum = 0;
        double square = 0;

        for (int64_t i = 0; i < acts->rows.count; i++) {
            double x = (acts->data[0][i * WIDTH + c] - w.mean[0][c]) * w.inv[0][c];

            sum += x;
            square += x * x;
        }
        ck_assert_double_eq_tol(sum / (double)acts->rows.count, 0, 1e-5);
        ck_assert_double_eq_tol(square / (double)acts->rows.count, 1, 1e-5);
    }
    il_acts_destroy(acts);
}
END_TEST

START_TEST(one_class_cannot_be_fitted_and_changes_nothing)
{
    il_fit fit = {.blas = w.blas, .start = IL_FIT_FRESH, .seed = 1};
    il_acts *acts = acts_of_split(&w, "fit");
    float before[WIDTH];

    world_fit(&w);
    memcpy(before, w.probe_values[0], sizeof before);
    memset(acts->rows.labels, 0, (size_t)acts->rows.count);
    ck_assert_int_eq(il_detector_fit(&w.detector, acts, &fit, &w.err), IL_ERR_INPUT);
    ck_assert_mem_eq(before, w.probe_values[0], sizeof before);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(a_fit_that_fails_leaves_the_detector_as_it_was)
{
    il_fit fit = {.blas = w.blas, .start = IL_FIT_FRESH, .seed = 1, .steps = 3};
    il_acts *acts = acts_of_split(&w, "test");
    float before[WIDTH];
    float mean[WIDTH];

    world_fit(&w);
    memcpy(before, w.probe_values[0], sizeof before);
    memcpy(mean, w.mean[0], sizeof mean);
    ((float *)acts->data[0])[4] = NAN;
    ck_assert_int_ne(il_detector_fit(&w.detector, acts, &fit, &w.err), IL_OK);
    ck_assert_mem_eq(before, w.probe_values[0], sizeof before);
    ck_assert_mem_eq(mean, w.mean[0], sizeof mean);
    ck_assert_int_eq(w.detector.fit_ids.ids[0], 0);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(a_threshold_flags_no_more_negatives_than_its_rate)
{
    il_acts *acts = acts_of_split(&w, "calib");
    float logits[300];
    int above = 0;
    int not_below = 0;

    world_fit(&w);
    ck_assert_int_eq(il_detector_calibrate(&w.detector, w.blas, acts, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, acts, logits, &w.err),
                     IL_OK);
    for (int i = 0; i < 300; i++) {
        above += !acts->rows.labels[i] && logits[i] > w.detector.threshold;
        not_below += !acts->rows.labels[i] && logits[i] >= w.detector.threshold;
    }
    ck_assert_int_eq(w.detector.negatives, 150);
    ck_assert_int_le(above, 15);
    ck_assert_int_gt(not_below, 15);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(a_unit_of_sequences_takes_each_documents_largest_logit)
{
    il_acts *acts = acts_of_split(&w, "calib");
    double by_token;

    world_fit(&w);
    (void)il_detector_calibrate(&w.detector, w.blas, acts, &w.err);
    by_token = w.detector.threshold;
    w.spec.threshold.unit = IL_UNIT_SEQUENCE;
    ck_assert_int_eq(il_detector_calibrate(&w.detector, w.blas, acts, &w.err), IL_OK);
    ck_assert_int_eq(w.detector.negatives, 75);
    ck_assert_double_ge(w.detector.threshold, by_token);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(documents_of_the_fit_cannot_set_the_threshold)
{
    il_acts *acts = acts_of_split(&w, "again");

    world_fit(&w);
    ck_assert_int_eq(il_detector_calibrate(&w.detector, w.blas, acts, &w.err),
                     IL_ERR_INPUT);
    ck_assert(!w.detector.has_threshold);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(online_steps_go_on_where_they_stopped)
{
    world two;
    il_acts *acts = acts_of_split(&w, "test");

    world_open(&two, 1);
    world_fit(&w);
    world_fit(&two);
    ck_assert_int_eq(il_detector_online(&w.detector, w.blas, acts, 6, 0.01, &w.err),
                     IL_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            il_detector_online(&two.detector, two.blas, acts, 3, 0.01, &two.err),
            IL_OK);
    }
    ck_assert_mem_eq(w.probe_values[0], two.probe_values[0], WIDTH * sizeof(float));
    ck_assert_int_eq(two.detector.steps, 6);
    il_acts_destroy(acts);
    world_close(&two);
}
END_TEST

START_TEST(a_batch_of_one_class_is_an_online_lesson_too)
{
    il_acts *acts = acts_of_split(&w, "test");

    world_fit(&w);
    memset(acts->rows.labels, 1, (size_t)acts->rows.count);
    ck_assert_int_eq(il_detector_online(&w.detector, w.blas, acts, 2, 0.01, &w.err),
                     IL_OK);
    il_acts_destroy(acts);
}
END_TEST

/* The most documents that one call was handed. */
static int64_t most_documents;

static il_tensor *counting_score(const void *self, il_pass *pass, const il_reading *r)
{
    most_documents = r->batch > most_documents ? r->batch : most_documents;
    return toy_score(self, pass, r);
}

START_TEST(documents_are_scored_in_chunks_to_the_same_bits)
{
    static const il_detector_api counting = {.struct_size = sizeof counting,
                                             .reads = IL_READS_ROWS,
                                             .recipe = &toy_recipe,
                                             .score = counting_score};
    il_component component = toy_components[2];
    il_offer offer = {&component, NULL, "toy.probe"};
    il_acts *all = acts_of_split(&w, "test");
    float logits[300];
    float again[2 * IL_HARVEST_CHUNK];

    world_fit(&w);
    component.api = &counting;
    w.probe.offer = &offer;
    most_documents = 0;
    ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, all, logits, &w.err),
                     IL_OK);
    ck_assert_int_eq(most_documents, IL_HARVEST_CHUNK);
    /* The first documents alone, read from whole documents and not from their scored
     * rows. */
    for (int gathered = 0; gathered < 2; gathered++) {
        il_harvest h = harvest_of(&w);
        il_acts *some = NULL;

        h.split = "test";
        h.rows = IL_HARVEST_CHUNK;
        h.fields = w.detector.fields;
        h.sites = w.sites;
        h.site_count = 1;
        h.gathered = gathered == 1;
        ck_assert_int_eq(il_acts_harvest(&some, &h, &w.err), IL_OK);
        ck_assert_int_eq(some->rows.count, 2 * IL_HARVEST_CHUNK);
        ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, some, again, &w.err),
                         IL_OK);
        ck_assert_mem_eq(again, logits, sizeof again);
        il_acts_destroy(some);
    }
    il_acts_destroy(all);
}
END_TEST

/* Rows of the second and third chunk are their own and not the first's. */
START_TEST(every_chunk_scores_its_own_rows)
{
    il_harvest h = harvest_of(&w);
    il_acts *rows = acts_of_split(&w, "test");
    il_acts *whole = NULL;
    float a[300];
    float b[300];

    world_fit(&w);
    h.split = "test";
    h.fields = w.detector.fields;
    h.sites = w.sites;
    h.site_count = 1;
    ck_assert_int_eq(il_acts_harvest(&whole, &h, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, rows, a, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, whole, b, &w.err), IL_OK);
    ck_assert_mem_eq(a, b, sizeof a);
    for (int64_t i = 0; i < 300; i++) {
        double logit = w.probe_values[1][0];

        for (int c = 0; c < WIDTH; c++) {
            logit += w.probe_values[0][c] * w.inv[0][c] *
                     (rows->data[0][i * WIDTH + c] - w.mean[0][c]);
        }
        ck_assert_double_eq_tol(a[i], logit, 1e-4);
    }
    il_acts_destroy(rows);
    il_acts_destroy(whole);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fit");
    TCase *tc = tcase_create("fit");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_harvest_holds_the_scored_rows_with_labels_and_documents);
    tcase_add_test(tc, scored_rows_alone_are_the_same_as_rows_of_the_whole);
    tcase_add_test(tc, two_workers_harvest_the_bits_of_one);
    tcase_add_test(tc, an_unknown_split_is_refused);
    tcase_add_test(tc, a_fit_reaches_the_optimum_of_its_loss);
    tcase_add_test(tc, scaling_gives_the_fitting_rows_mean_zero_and_variance_one);
    tcase_add_test(tc, one_class_cannot_be_fitted_and_changes_nothing);
    tcase_add_test(tc, a_fit_that_fails_leaves_the_detector_as_it_was);
    tcase_add_test(tc, a_threshold_flags_no_more_negatives_than_its_rate);
    tcase_add_test(tc, a_unit_of_sequences_takes_each_documents_largest_logit);
    tcase_add_test(tc, documents_of_the_fit_cannot_set_the_threshold);
    tcase_add_test(tc, online_steps_go_on_where_they_stopped);
    tcase_add_test(tc, a_batch_of_one_class_is_an_online_lesson_too);
    tcase_add_test(tc, documents_are_scored_in_chunks_to_the_same_bits);
    tcase_add_test(tc, every_chunk_scores_its_own_rows);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
