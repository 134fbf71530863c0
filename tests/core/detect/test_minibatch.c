/* Fits that take a few rows a step: what is drawn, and where they end. */
#include "detect/descent.h"
#include "detect/minibatch.h"
#include "support.h"

static world w;
static il_error err;

static void setup(void)
{
    world_open(&w, 1);
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    world_close(&w);
}

/* The whole of a split: (B,T,W). */
static il_acts *whole_split(const char *split)
{
    il_harvest h = harvest_of(&w);
    il_acts *acts = NULL;

    h.split = split;
    h.fields = w.detector.fields;
    h.sites = w.sites;
    h.site_count = 1;
    ck_assert_int_eq(il_acts_harvest(&acts, &h, &w.err), IL_OK);
    return acts;
}

/* ---- what is drawn --------------------------------------------------------------- */

START_TEST(every_row_comes_once_before_any_comes_again)
{
    il_acts *acts = acts_of_split(&w, "test");
    int64_t n = acts->rows.count;
    int *seen = calloc((size_t)n, sizeof *seen);
    il_minibatch m;
    int64_t drawn = 0;

    ck_assert_int_eq(il_minibatch_open(&m, acts, 32, 5, &err), IL_OK);
    ck_assert_int_eq(m.units, n);
    for (int64_t step = 0; drawn < 3 * n; step++) {
        ck_assert_int_eq(il_minibatch_draw(&m, step, &err), IL_OK);
        ck_assert_int_eq(m.part.rows.count, 32);
        for (int64_t i = 0; i < 32 && drawn < 3 * n; i++, drawn++) {
            int64_t row = 0;

            while (acts->rows.rows[row] != m.part.rows.rows[i]) {
                row++;
            }
            ck_assert_int_eq(seen[row], drawn / n);
            seen[row]++;
            ck_assert_int_eq(m.part.rows.labels[i], acts->rows.labels[row]);
            ck_assert_mem_eq(m.part.data[0] + i * WIDTH, acts->data[0] + row * WIDTH,
                             WIDTH * sizeof(float));
        }
    }
    il_minibatch_close(&m);
    il_acts_destroy(acts);
    free(seen);
}
END_TEST

/* Documents come whole, under new numbers. */
START_TEST(documents_bring_all_their_rows_and_positions)
{
    il_acts *acts = whole_split("test");
    il_minibatch m;

    ck_assert_int_eq(il_minibatch_open(&m, acts, 7, 5, &err), IL_OK);
    ck_assert_int_eq(m.units, acts->rows.batch);
    for (int64_t step = 0; step < 30; step++) {
        ck_assert_int_eq(il_minibatch_draw(&m, step, &err), IL_OK);
        ck_assert_int_eq(m.part.rows.batch, 7);
        ck_assert_int_eq(m.part.rows.count, 14);
        for (int64_t j = 0; j < 7; j++) {
            const float *x = m.part.data[0] + j * LENGTH * WIDTH;
            int64_t b = 0;

            while (memcmp(m.part.rows.inputs + j * LENGTH,
                          acts->rows.inputs + b * LENGTH,
                          LENGTH * sizeof(int32_t)) != 0) {
                b++;
            }
            ck_assert_int_eq(m.part.rows.rows[2 * j], j * LENGTH + 1);
            ck_assert_int_eq(m.part.rows.rows[2 * j + 1], j * LENGTH + 3);
            ck_assert_int_eq(m.part.rows.labels[2 * j], acts->rows.labels[2 * b]);
            ck_assert_mem_eq(x, acts->data[0] + b * LENGTH * WIDTH,
                             LENGTH * WIDTH * sizeof(float));
        }
    }
    il_minibatch_close(&m);
    il_acts_destroy(acts);
}
END_TEST

/* A sequence is a row, with all its scored positions behind it. */
START_TEST(pooled_sequences_keep_their_positions)
{
    il_acts *acts;
    il_minibatch m;

    w.detector.fields.pooled = true;
    acts = acts_of_split(&w, "test");
    ck_assert_ptr_nonnull(acts->rows.first);
    ck_assert_int_eq(il_minibatch_open(&m, acts, 5, 5, &err), IL_OK);
    for (int64_t step = 0; step < 20; step++) {
        const il_scored *part = &m.part.rows;

        ck_assert_int_eq(il_minibatch_draw(&m, step, &err), IL_OK);
        ck_assert_int_eq(part->count, 5);
        for (int64_t i = 0; i < 5; i++) {
            int64_t row = 0;

            while (acts->rows.rows[row] != part->rows[i]) {
                row++;
            }
            ck_assert_int_eq(part->first[i + 1] - part->first[i],
                             acts->rows.first[row + 1] - acts->rows.first[row]);
            for (int64_t k = 0; k < part->first[i + 1] - part->first[i]; k++) {
                ck_assert_int_eq(part->tokens[part->first[i] + k],
                                 acts->rows.tokens[acts->rows.first[row] + k]);
                ck_assert_mem_eq(m.part.data[0] + (part->first[i] + k) * WIDTH,
                                 acts->data[0] + (acts->rows.first[row] + k) * WIDTH,
                                 WIDTH * sizeof(float));
            }
        }
    }
    il_minibatch_close(&m);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(a_batch_of_all_rows_draws_nothing)
{
    il_acts *acts = acts_of_split(&w, "test");
    il_minibatch m;

    ck_assert_int_eq(il_minibatch_open(&m, acts, acts->rows.count, 5, &err), IL_OK);
    ck_assert_int_eq(m.batch, 0);
    il_minibatch_close(&m);
    il_acts_destroy(acts);
}
END_TEST

/* ---- where fits end -------------------------------------------------------------- */

enum { NUMBERS = WIDTH + 1 };

static void fit_with(float *out, const char *method, int64_t batch, int64_t steps,
                     double lr, uint64_t seed)
{
    il_fit fit = {.blas = w.blas, .start = IL_FIT_FRESH, .seed = seed};
    il_acts *acts = acts_of_split(&w, "fit");

    w.spec.fit.method = method;
    w.spec.fit.batch = batch;
    w.spec.fit.steps = steps;
    w.spec.fit.lr = lr;
    ck_assert_msg(il_detector_fit(&w.detector, acts, &fit, &err) == IL_OK, "%s",
                  err.message);
    memcpy(out, w.probe.store->values, NUMBERS * sizeof *out);
    il_acts_destroy(acts);
}

static const struct {
    const char *method;
    double lr;
} methods[] = {{"adam", 0.02}, {"adamw", 0.02}, {"sgd", 0.05}};

/* Within one part in fifty of the largest weight. */
START_TEST(batches_end_where_all_rows_do)
{
    float all[NUMBERS];
    float some[NUMBERS];
    float largest = 0;

    fit_with(all, methods[_i].method, 0, 4000, methods[_i].lr, 1);
    fit_with(some, methods[_i].method, 32, 4000, methods[_i].lr, 1);
    for (int i = 0; i < NUMBERS; i++) {
        largest = fmaxf(largest, fabsf(all[i]));
    }
    for (int i = 0; i < NUMBERS; i++) {
        ck_assert_float_eq_tol(some[i], all[i], 0.02f * largest);
    }
    ck_assert_float_gt(largest, 0.1f);
}
END_TEST

START_TEST(the_seed_decides_the_order_and_nothing_else_does)
{
    float first[NUMBERS];
    float again[NUMBERS];
    float other[NUMBERS];

    fit_with(first, "adam", 32, 50, 0.02, 1);
    fit_with(again, "adam", 32, 50, 0.02, 1);
    fit_with(other, "adam", 32, 50, 0.02, 2);
    ck_assert_mem_eq(first, again, sizeof first);
    ck_assert_mem_ne(first, other, sizeof first);
}
END_TEST

/* ---- what makes no sense --------------------------------------------------------- */

static void check_says(const char *method, int64_t batch, const char *says)
{
    il_problems problems = {.arena = il_arena_create(4096)};

    w.spec.fit.method = method;
    w.spec.fit.batch = batch;
    il_detector_descent_check(&w.detector, &problems);
    if (says == NULL) {
        ck_assert(!il_problems_any(&problems));
    } else {
        ck_assert_uint_eq(problems.count, 1);
        ck_assert_ptr_nonnull(strstr(problems.kept[0].message, says));
    }
    il_arena_destroy(problems.arena);
}

START_TEST(an_exact_fit_has_no_batches_and_sgd_no_rate_of_its_own)
{
    check_says("adam", 32, NULL);
    check_says("irls", 0, NULL);
    check_says("irls", 32, "`batch`");
    check_says("lbfgs", 32, "`batch`");
    check_says("sgd", 0, "`lr`");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("minibatch");
    TCase *tc = tcase_create("minibatch");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_row_comes_once_before_any_comes_again);
    tcase_add_test(tc, documents_bring_all_their_rows_and_positions);
    tcase_add_test(tc, pooled_sequences_keep_their_positions);
    tcase_add_test(tc, a_batch_of_all_rows_draws_nothing);
    tcase_add_loop_test(tc, batches_end_where_all_rows_do, 0, 3);
    tcase_add_test(tc, the_seed_decides_the_order_and_nothing_else_does);
    tcase_add_test(tc, an_exact_fit_has_no_batches_and_sgd_no_rate_of_its_own);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
