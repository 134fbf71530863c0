/* Measures of scores against their definitions, written out by brute force. */
#include "detect/metrics.h"
#include "detect/tally.h"
#include "interloop/rng.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { ROWS = 240, PER_DOCUMENT = 4 };

static float logits[ROWS];
static uint8_t labels[ROWS];
static int64_t documents[ROWS];
static il_scores scores;
static il_error err;

/* Scores of few distinct values, so that many tie; documents of four rows, not in
 * order. */
static void draw_scores(void)
{
    il_rng rng;

    il_rng_open(&rng, 11, 0, IL_RNG_PLUGIN, 0, 0);
    for (int i = 0; i < ROWS; i++) {
        documents[i] = 1000 - i / PER_DOCUMENT;
        labels[i] = (i / PER_DOCUMENT) % 2;
        logits[i] = (float)il_rng_below(&rng, 9) / 4.0f + 0.5f * (float)labels[i];
    }
    scores = (il_scores){.count = ROWS,
                         .logits = logits,
                         .labels = labels,
                         .documents = documents,
                         .has_threshold = true,
                         .threshold = 1.25};
    err = (il_error){0};
}

static il_measured measured_of(int draws)
{
    il_measured m;

    ck_assert_int_eq(il_scores_measure(&scores, draws, 3, 0, &m, &err), IL_OK);
    return m;
}

static double brute_auroc(void)
{
    double pairs = 0;
    double won = 0;

    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < ROWS; j++) {
            if (labels[i] == 1 && labels[j] == 0) {
                pairs += 1;
                won += logits[i] > logits[j] ? 1 : logits[i] == logits[j] ? 0.5 : 0;
            }
        }
    }
    return won / pairs;
}

START_TEST(auroc_counts_pairs_and_ties_half)
{
    il_measured m = measured_of(0);

    ck_assert_double_eq_tol(m.value[IL_MEASURE_AUROC], brute_auroc(), 1e-12);
    ck_assert_int_eq(m.positives, ROWS / 2);
    ck_assert_int_eq(m.negatives, ROWS / 2);
    ck_assert_int_eq(m.documents, ROWS / PER_DOCUMENT);
}
END_TEST

START_TEST(a_flipped_sign_gives_the_auroc_from_the_other_end)
{
    double before = measured_of(0).value[IL_MEASURE_AUROC];

    for (int i = 0; i < ROWS; i++) {
        logits[i] = -logits[i];
    }
    ck_assert_double_eq_tol(measured_of(0).value[IL_MEASURE_AUROC], 1 - before, 1e-12);
}
END_TEST

START_TEST(rates_count_what_lies_above_the_threshold)
{
    double above[2] = {0, 0};
    double mean = 0;
    il_measured m = measured_of(0);

    for (int i = 0; i < ROWS; i++) {
        above[labels[i]] += logits[i] > 1.25;
        mean += 1 / (1 + exp(-(double)logits[i]));
    }
    ck_assert_double_eq_tol(m.value[IL_MEASURE_TPR], above[1] / (ROWS / 2), 1e-12);
    ck_assert_double_eq_tol(m.value[IL_MEASURE_FPR], above[0] / (ROWS / 2), 1e-12);
    ck_assert_double_eq_tol(m.value[IL_MEASURE_FLAGGED], (above[0] + above[1]) / ROWS,
                            1e-12);
    ck_assert_double_eq_tol(m.value[IL_MEASURE_MEAN], mean / ROWS, 1e-12);
}
END_TEST

START_TEST(dprime_is_the_distance_in_standard_deviations)
{
    double mean[2] = {0, 0};
    double square[2] = {0, 0};
    il_measured m = measured_of(0);
    const double half = ROWS / 2;

    for (int i = 0; i < ROWS; i++) {
        mean[labels[i]] += logits[i] / half;
    }
    for (int i = 0; i < ROWS; i++) {
        square[labels[i]] += pow(logits[i] - mean[labels[i]], 2) / half;
    }
    ck_assert_double_eq_tol(m.value[IL_MEASURE_POSITIVE], mean[1], 1e-9);
    ck_assert_double_eq_tol(m.value[IL_MEASURE_NEGATIVE], mean[0], 1e-9);
    ck_assert_double_eq_tol(m.value[IL_MEASURE_DPRIME],
                            (mean[1] - mean[0]) / sqrt((square[0] + square[1]) / 2),
                            1e-9);
}
END_TEST

START_TEST(recall_at_one_percent_lets_no_more_negatives_through)
{
    double best = 0;
    il_measured m = measured_of(0);

    /* Every threshold there is; those that pass at most 1 of the 120 negatives. */
    for (int k = 0; k < ROWS; k++) {
        int above[2] = {0, 0};

        for (int i = 0; i < ROWS; i++) {
            above[labels[i]] += logits[i] > logits[k];
        }
        if (above[0] <= 1 && above[1] / (double)(ROWS / 2) > best) {
            best = above[1] / (double)(ROWS / 2);
        }
    }
    ck_assert_double_eq_tol(m.value[IL_MEASURE_TPR_AT_1], best, 1e-12);
}
END_TEST

START_TEST(recall_is_taken_at_the_rate_that_is_named)
{
    ck_assert(isnan(measured_of(0).value[IL_MEASURE_RECALL]));
    scores.rate = 0.01;
    ck_assert(measured_of(0).value[IL_MEASURE_RECALL] ==
              measured_of(0).value[IL_MEASURE_TPR_AT_1]);
    scores.rate = 1;
    ck_assert(measured_of(0).value[IL_MEASURE_RECALL] == 1);
}
END_TEST

START_TEST(precision_counts_false_alarms_at_the_prevalence_of_use)
{
    il_measured m;
    double tpr;
    double fpr;

    ck_assert(isnan(measured_of(0).value[IL_MEASURE_PRECISION]));
    scores.prevalence = 0.001;
    m = measured_of(200);
    tpr = m.value[IL_MEASURE_TPR];
    fpr = m.value[IL_MEASURE_FPR];
    ck_assert_double_eq_tol(m.value[IL_MEASURE_PRECISION],
                            0.001 * tpr / (0.001 * tpr + 0.999 * fpr), 1e-12);
    ck_assert_double_eq_tol(m.low[IL_MEASURE_PRECISION],
                            il_precision(0.001, m.low[IL_MEASURE_TPR],
                                         m.high[IL_MEASURE_FPR]),
                            1e-12);
    ck_assert_double_lt(m.low[IL_MEASURE_PRECISION], m.value[IL_MEASURE_PRECISION]);
    /* At the prevalence of the rows themselves it is the plain one. */
    ck_assert_double_eq_tol(il_precision(0.5, 0.8, 0.2), 0.8, 1e-12);
    ck_assert(isnan(il_precision(0.5, 0, 0)));
}
END_TEST

START_TEST(no_false_alarm_among_few_documents_is_no_proof_of_none)
{
    il_measured m;

    scores.threshold = 100;
    scores.prevalence = 0.5;
    m = measured_of(50);
    ck_assert_int_eq(m.negative_documents, 30);
    ck_assert_int_eq(m.positive_documents, 30);
    ck_assert(m.value[IL_MEASURE_FPR] == 0 && m.low[IL_MEASURE_FPR] == 0);
    /* 30 in a row without one still come up 1 time in 40 at 11.6%. */
    ck_assert_double_eq_tol(pow(1 - m.high[IL_MEASURE_FPR], 30), 0.025, 1e-12);
    ck_assert_double_eq_tol(m.high[IL_MEASURE_FPR], 0.1157, 1e-4);
    scores.threshold = -100;
    m = measured_of(50);
    ck_assert(m.value[IL_MEASURE_TPR] == 1 && m.high[IL_MEASURE_TPR] == 1);
    ck_assert_double_eq_tol(m.low[IL_MEASURE_TPR], 1 - 0.1157, 1e-4);
    ck_assert_double_lt(m.low[IL_MEASURE_PRECISION], 0.5);
}
END_TEST

START_TEST(one_document_has_numbers_and_no_interval)
{
    il_measured m;

    for (int i = 0; i < ROWS; i++) {
        documents[i] = 7;
    }
    m = measured_of(50);
    ck_assert(isfinite(m.value[IL_MEASURE_AUROC]));
    for (int i = 0; i < IL_MEASURES; i++) {
        ck_assert(isnan(m.low[i]) && isnan(m.high[i]));
    }
}
END_TEST

START_TEST(a_document_scores_as_its_loudest_row_and_is_positive_with_one)
{
    static float z[] = {1, 5, -2, 0, 3, 3};
    static uint8_t y[] = {0, 0, 1, 0, 0, 0};
    static int64_t of[] = {9, 4, 9, 4, 2, 9};
    il_arena *arena = il_arena_create(1 << 10);
    il_scores rows = {.count = 6, .logits = z, .labels = y, .documents = of};
    il_scores by;

    ck_assert_int_eq(il_scores_by_document(&rows, arena, &by, &err), IL_OK);
    ck_assert_int_eq(by.count, 3);
    for (int i = 0; i < 3; i++) {
        static const int64_t ids[] = {2, 4, 9};
        static const float loudest[] = {3, 5, 3};

        ck_assert_int_eq(by.documents[i], ids[i]);
        ck_assert_float_eq(by.logits[i], loudest[i]);
        ck_assert_int_eq(by.labels[i], i == 2);
    }
    rows.labels = NULL;
    rows.count = 0;
    ck_assert_int_eq(il_scores_by_document(&rows, arena, &by, &err), IL_OK);
    ck_assert_int_eq(by.count, 0);
    ck_assert_ptr_null(by.labels);
    il_arena_destroy(arena);
}
END_TEST

START_TEST(a_missing_class_leaves_numbers_out)
{
    il_measured m;

    for (int i = 0; i < ROWS; i++) {
        labels[i] = 0;
    }
    m = measured_of(20);
    ck_assert(isnan(m.value[IL_MEASURE_AUROC]));
    ck_assert(isnan(m.value[IL_MEASURE_TPR]));
    ck_assert(isnan(m.low[IL_MEASURE_AUROC]));
    ck_assert(!isnan(m.value[IL_MEASURE_FPR]));
    scores.has_threshold = false;
    m = measured_of(0);
    ck_assert(isnan(m.value[IL_MEASURE_FPR]));
}
END_TEST

START_TEST(intervals_enclose_and_come_again)
{
    il_measured a = measured_of(200);
    il_measured b = measured_of(200);

    for (int i = 0; i < IL_MEASURES; i++) {
        if (i == IL_MEASURE_RECALL || i == IL_MEASURE_PRECISION) {
            continue; /* no rate and no prevalence were named */
        }
        ck_assert_double_le(a.low[i], a.value[i]);
        ck_assert_double_ge(a.high[i], a.value[i]);
        ck_assert(a.low[i] == b.low[i] && a.high[i] == b.high[i]);
    }
    ck_assert_double_lt(a.low[IL_MEASURE_AUROC], a.high[IL_MEASURE_AUROC]);
}
END_TEST

START_TEST(rows_of_one_document_count_as_one_draw)
{
    double apart;
    double together;

    /* Within a document all rows agree, so that rows drawn one by one would look far
     * surer. */
    for (int i = 0; i < ROWS; i++) {
        logits[i] = logits[i - i % PER_DOCUMENT];
    }
    together = measured_of(200).high[IL_MEASURE_AUROC] -
               measured_of(200).low[IL_MEASURE_AUROC];
    for (int i = 0; i < ROWS; i++) {
        documents[i] = i;
    }
    apart = measured_of(200).high[IL_MEASURE_AUROC] -
            measured_of(200).low[IL_MEASURE_AUROC];
    ck_assert_double_gt(together, 1.4 * apart);
}
END_TEST

START_TEST(a_difference_is_paired_over_the_same_draws)
{
    float raised[ROWS];
    float other[ROWS];
    il_scores b = scores;
    il_difference d;
    il_measured m = measured_of(100);
    il_measured n;

    /* Another order-preserving scale: in every resample the same AUROC. */
    for (int i = 0; i < ROWS; i++) {
        raised[i] = 3 * logits[i] + 1;
        other[i] = i % 3 ? logits[i] : 0.0f;
    }
    b.logits = raised;
    ck_assert_int_eq(
        il_scores_compare(&scores, &b, IL_MEASURE_AUROC, 100, 3, 0, &d, &err), IL_OK);
    ck_assert(d.value == 0 && d.low == 0 && d.high == 0);
    ck_assert_double_gt(m.high[IL_MEASURE_AUROC] - m.low[IL_MEASURE_AUROC], 0.01);
    b.logits = other;
    ck_assert_int_eq(il_scores_measure(&b, 0, 3, 0, &n, &err), IL_OK);
    ck_assert_int_eq(
        il_scores_compare(&scores, &b, IL_MEASURE_AUROC, 100, 3, 0, &d, &err), IL_OK);
    ck_assert(d.value == m.value[IL_MEASURE_AUROC] - n.value[IL_MEASURE_AUROC]);
    ck_assert_double_le(d.low, d.value);
    ck_assert_double_ge(d.high, d.value);
    ck_assert_double_gt(d.high, d.low);
}
END_TEST

START_TEST(readers_of_different_rows_are_not_compared)
{
    il_scores b = scores;
    il_difference d;

    b.count--;
    ck_assert_int_eq(
        il_scores_compare(&scores, &b, IL_MEASURE_AUROC, 0, 3, 0, &d, &err),
        IL_ERR_INTERNAL);
}
END_TEST

START_TEST(a_logit_that_is_no_number_is_refused)
{
    il_measured m;

    logits[7] = NAN;
    ck_assert_int_eq(il_scores_measure(&scores, 0, 3, 0, &m, &err), IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(err.message, "row 7"));
}
END_TEST

START_TEST(a_threshold_lets_through_the_share_it_promises)
{
    float values[100];

    for (int i = 0; i < 100; i++) {
        values[i] = (float)((i * 37) % 100);
    }
    ck_assert_float_eq(il_rate_threshold(100, values, 0.05), 94.0f);
    ck_assert_float_eq(il_rate_threshold(100, values, 0.0), 99.0f);
    ck_assert_float_eq(il_rate_threshold(100, values, 0.059), 94.0f);
    ck_assert_float_eq(il_rate_threshold(100, values, 1.0), 0.0f);
    ck_assert_float_eq(il_rate_threshold(1, values, 0.5), 0.0f);
}
END_TEST

START_TEST(tallies_pool_sums_over_weights)
{
    il_tally a;
    il_tally b;

    il_tally_open(&a);
    il_tally_open(&b);
    il_metrics_add(&a.metrics, "lie", 3, 4);
    il_metrics_add(&b.metrics, "lie", 0, 8);
    il_metrics_add(&b.metrics, "acc", 1, 2);
    il_tally_merge(&a, &b);
    ck_assert_double_eq_tol(il_tally_value(&a, "lie"), 0.25, 1e-15);
    ck_assert_double_eq_tol(il_tally_value(&a, "acc"), 0.5, 1e-15);
    ck_assert(isnan(il_tally_value(&a, "nothing")));
    ck_assert_int_eq(a.failed, IL_OK);
    il_metrics_add(&a.metrics, "lie", NAN, 1);
    ck_assert_int_ne(a.failed, IL_OK);
    il_tally_close(&a);
    il_tally_close(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tc = tcase_create("metrics");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, draw_scores, NULL);
    tcase_add_test(tc, auroc_counts_pairs_and_ties_half);
    tcase_add_test(tc, a_flipped_sign_gives_the_auroc_from_the_other_end);
    tcase_add_test(tc, rates_count_what_lies_above_the_threshold);
    tcase_add_test(tc, dprime_is_the_distance_in_standard_deviations);
    tcase_add_test(tc, recall_at_one_percent_lets_no_more_negatives_through);
    tcase_add_test(tc, recall_is_taken_at_the_rate_that_is_named);
    tcase_add_test(tc, precision_counts_false_alarms_at_the_prevalence_of_use);
    tcase_add_test(tc, no_false_alarm_among_few_documents_is_no_proof_of_none);
    tcase_add_test(tc, one_document_has_numbers_and_no_interval);
    tcase_add_test(tc, a_document_scores_as_its_loudest_row_and_is_positive_with_one);
    tcase_add_test(tc, a_missing_class_leaves_numbers_out);
    tcase_add_test(tc, intervals_enclose_and_come_again);
    tcase_add_test(tc, rows_of_one_document_count_as_one_draw);
    tcase_add_test(tc, a_difference_is_paired_over_the_same_draws);
    tcase_add_test(tc, readers_of_different_rows_are_not_compared);
    tcase_add_test(tc, a_logit_that_is_no_number_is_refused);
    tcase_add_test(tc, a_threshold_lets_through_the_share_it_promises);
    tcase_add_test(tc, tallies_pool_sums_over_weights);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
