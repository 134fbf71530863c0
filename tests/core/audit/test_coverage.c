/* Coverage, on rows whose distances can be told by hand. */
#include "audit/coverage.h"
#include <check.h>
#include <math.h>
#include <string.h>

enum { DOCUMENTS = 100, PER = 4, ROWS = DOCUMENTS * PER };

static il_error err;

/* Rows of one channel or two, four a document. */
typedef struct sample {
    il_acts acts;
    int32_t rows[ROWS];
    int64_t documents[ROWS];
    float x[2 * ROWS];
    const float *data[1];
    int64_t width[1];
} sample;

static void sample_open(sample *s, int64_t width)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < ROWS; i++) {
        s->rows[i] = i;
        s->documents[i] = i / PER;
    }
    s->data[0] = s->x;
    s->width[0] = width;
    s->acts = (il_acts){.rows = {.batch = DOCUMENTS,
                                 .length = PER,
                                 .count = ROWS,
                                 .rows = s->rows,
                                 .documents = s->documents},
                        .site_count = 1,
                        .widths = s->width,
                        .data = s->data,
                        .gathered = true};
}

static double covered(const sample *reference, const sample *judged, double level)
{
    double out = -1;

    ck_assert_int_eq(il_coverage(&reference->acts, &judged->acts, level, &out, &err),
                     IL_OK);
    return out;
}

/* From -100 to 99 in each half of the documents, so about 0. */
static void fill_line(sample *s)
{
    for (int i = 0; i < ROWS; i++) {
        s->x[i] = (float)(i % (ROWS / 2) - ROWS / 4);
    }
}

START_TEST(rows_further_out_than_all_but_the_share_are_not_covered)
{
    static sample reference;
    static sample judged;

    sample_open(&reference, 1);
    sample_open(&judged, 1);
    fill_line(&reference);
    /* 20 of the 200 held out may lie outside at 0.9: the 10 at each end. */
    for (int i = 0; i < ROWS; i++) {
        judged.x[i] = i < ROWS / 4 ? 89.0f : i < ROWS / 2 ? 91.0f : -200.0f;
    }
    ck_assert_double_eq_tol(covered(&reference, &judged, 0.9), 0.25, 1e-12);
    ck_assert_double_eq_tol(covered(&reference, &judged, 0.99), 0.5, 1e-12);
}
END_TEST

START_TEST(the_reference_covers_itself_at_its_level)
{
    static sample reference;

    sample_open(&reference, 1);
    fill_line(&reference);
    ck_assert_double_eq_tol(covered(&reference, &reference, 0.9), 0.9, 0.011);
}
END_TEST

START_TEST(what_goes_against_how_channels_go_together_is_outside)
{
    static sample reference;
    static sample along;
    static sample across;

    sample_open(&reference, 2);
    sample_open(&along, 2);
    sample_open(&across, 2);
    for (int i = 0; i < ROWS; i++) {
        float t = (float)(i % 40 - 20);

        reference.x[2 * i] = t + (float)(i % 3);
        reference.x[2 * i + 1] = t - (float)(i % 3);
        along.x[2 * i] = along.x[2 * i + 1] = 15.0f;
        across.x[2 * i] = 15.0f;
        across.x[2 * i + 1] = -15.0f;
    }
    ck_assert(covered(&reference, &along, 0.99) == 1);
    ck_assert(covered(&reference, &across, 0.99) == 0);
}
END_TEST

START_TEST(where_it_cannot_be_told_there_is_no_number)
{
    static sample reference;
    static sample judged;

    sample_open(&reference, 1);
    sample_open(&judged, 1);
    ck_assert(isnan(covered(&reference, &judged, 0.99))); /* all the same */
    fill_line(&reference);
    judged.acts.rows.count = 0;
    ck_assert(isnan(covered(&reference, &judged, 0.99)));
    judged.acts.rows.count = ROWS;
    reference.acts.rows.batch = 1; /* one document has no second half */
    reference.acts.rows.count = PER;
    ck_assert(isnan(covered(&reference, &judged, 0.99)));
}
END_TEST

START_TEST(rows_that_were_not_gathered_are_found_where_they_stand)
{
    static sample reference;
    static sample judged;

    sample_open(&reference, 1);
    sample_open(&judged, 1);
    fill_line(&reference);
    for (int i = 0; i < ROWS; i++) {
        judged.x[i] = i % 2 ? 0.0f : 1000.0f;
    }
    judged.acts.gathered = false; /* of which every second one is scored */
    judged.acts.rows.count = ROWS / 2;
    for (int i = 0; i < ROWS / 2; i++) {
        judged.rows[i] = 2 * i + 1;
    }
    ck_assert(covered(&reference, &judged, 0.99) == 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("coverage");
    TCase *tc = tcase_create("coverage");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, rows_further_out_than_all_but_the_share_are_not_covered);
    tcase_add_test(tc, the_reference_covers_itself_at_its_level);
    tcase_add_test(tc, what_goes_against_how_channels_go_together_is_outside);
    tcase_add_test(tc, where_it_cannot_be_told_there_is_no_number);
    tcase_add_test(tc, rows_that_were_not_gathered_are_found_where_they_stand);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
