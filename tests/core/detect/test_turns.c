/* Members asked in turn: the same scores as when all are asked, from fewer of them. */
#include "composed.h"

static composed c;

static void setup(void)
{
    composed_open(&c);
}

static void teardown(void)
{
    composed_close(&c);
}

/* What is asked, in one place for a component that counts. */
static int64_t rows_scored;

static il_tensor *counting_score(const void *self, il_pass *pass, const il_reading *r)
{
    rows_scored += il_rows(r->acts[0]);
    return toy_score(self, pass, r);
}

static const il_detector_api counting = {.struct_size = sizeof(il_detector_api),
                                         .reads = IL_READS_ROWS,
                                         .recipe = &toy_recipe,
                                         .score = counting_score};
static const il_component counting_component = {
    sizeof(il_component), IL_KIND_DETECTOR, "probe", "", &counting, IL_NO_PARAMS};
static const il_offer counting_offer = {&counting_component, NULL, "toy.counting"};

/* A probe that counts the rows that it is asked for. */
static il_detector *dear(const char *name)
{
    il_detector *d = probe_made(&c, name, 21);

    d->instance->offer = &counting_offer;
    return d;
}

static il_detector *cascade(il_detector *const *members, size_t count,
                            const char *combine, const il_pool_spec *pooling)
{
    const char *const pairs[] = {"low",   "-0.8",    "high",  "0.8", "scale",
                                 "logit", "combine", combine, NULL};
    il_detector_spec *s = spec_of(&c, "staged", "cascade");

    s->fit = (il_fit_spec){0};
    s->component.params = params_of(c.arena, pairs);
    s->pooled = pooling != NULL || members[0]->spec->pooled;
    s->pooling = pooling != NULL ? *pooling : (il_pool_spec){.kind = IL_POOL_NONE};
    return of_made(&c, s, count, members);
}

static bool unsure(double z)
{
    return z > -0.8 && z < 0.8;
}

static const char *const combinations[] = {"last", "mean"};

START_TEST(a_cascade_asks_on_until_it_is_sure_and_computes_no_more)
{
    bool mean = _i == 1;
    il_detector *members[] = {probe_made(&c, "quick", 20), dear("slow"),
                              probe_made(&c, "slowest", 22)};
    il_detector *staged = cascade(members, 3, combinations[_i], NULL);
    il_harvest h = harvest_of(&c.w);
    il_acts *acts = NULL;
    float z[3][300];
    float got[300];
    double escalated;
    int64_t asked = 0;

    for (int m = 0; m < 3; m++) {
        (void)logits_of(&c, members[m], "test", z[m]);
    }
    rows_scored = 0;
    ck_assert_int_eq(il_detector_harvest(&acts, staged, &h, "test", &c.w.err), IL_OK);
    ck_assert_int_eq(
        il_detector_logits_told(staged, c.w.blas, acts, got, &escalated, &c.w.err),
        IL_OK);
    for (int i = 0; i < 300; i++) {
        double expected = z[0][i];
        double sum = z[0][i];

        if (unsure(expected)) {
            asked++;
            sum += z[1][i];
            expected = mean ? sum / 2 : z[1][i];
            if (unsure(expected)) {
                expected = mean ? (sum + z[2][i]) / 3 : z[2][i];
            }
        }
        ck_assert_double_eq_tol(got[i], expected, 1e-5);
    }
    ck_assert_int_gt(asked, 20);
    ck_assert_int_lt(asked, 280);
    ck_assert_int_eq(rows_scored, asked);
    ck_assert_double_eq_tol(escalated, (double)asked / 300, 1e-12);
    gradient_holds(&c, staged);
    il_acts_destroy(acts);
    il_detector_destroy(staged);
    for (int m = 0; m < 3; m++) {
        il_detector_destroy(members[m]);
    }
}
END_TEST

static const il_pool_spec means = {.kind = IL_POOL_MEAN};

/* A member that reads sequences, made to stand behind a quick one. */
static il_detector *sequences(const il_pool_spec *pooling)
{
    il_detector_spec *s = spec_of(&c, "reader", "attention_probe");
    il_detector *d;
    il_rng r;

    s->context = IL_CONTEXT_PAST;
    s->pooled = pooling != NULL;
    s->pooling = pooling != NULL ? *pooling : s->pooling;
    d = made(&c, s, NULL);
    il_rng_open(&r, 31, 0, IL_RNG_PLUGIN, 0, 0);
    for (int64_t i = 0; i < d->instance->store->total; i++) {
        d->instance->store->values[i] = il_rng_normal(&r);
    }
    d->fitted = true;
    return d;
}

/* Against all members on one tape: by positions, pooled together, pooled apart. */
START_TEST(what_is_asked_in_turn_scores_as_what_is_asked_at_once)
{
    il_detector *members[2];
    il_detector *staged;
    il_harvest h = harvest_of(&c.w);
    il_acts *acts = NULL;
    il_pass *pass = NULL;
    il_tensor *x;
    il_tensor *all;
    float got[300];

    members[0] = probe_made(&c, "quick", 20);
    if (_i == 2) {
        ((il_detector_spec *)members[0]->spec)->pooled = true;
        ((il_detector_spec *)members[0]->spec)->pooling = means;
        members[0]->fields.pooled = true;
    }
    members[1] = sequences(_i == 2 ? &means : NULL);
    staged = cascade(members, 2, "last", _i == 1 ? &means : NULL);
    ck_assert_int_eq(il_detector_harvest(&acts, staged, &h, "test", &c.w.err), IL_OK);
    ck_assert_int_eq(acts->rows.count, _i == 0 ? 300 : 150);
    ck_assert_msg(il_detector_logits(staged, c.w.blas, acts, got, &c.w.err) == IL_OK,
                  "%s", c.w.err.message);
    ck_assert_int_eq(il_pass_create(&pass, c.w.blas, 0, &c.w.err), IL_OK);
    il_pass_begin(pass);
    x = il_pass_borrow(pass, IL_SHAPE(acts->rows.batch, acts->rows.length, WIDTH),
                       acts->data[0]);
    all = il_detector_score(staged, pass, &acts->rows, &x, false, -1);
    ck_assert_msg(il_pass_status(pass, &c.w.err) == IL_OK, "%s", c.w.err.message);
    ck_assert_int_eq(il_count(all), acts->rows.count);
    for (int64_t i = 0; i < acts->rows.count; i++) {
        ck_assert_double_eq_tol(got[i], il_f32(all)[i], 1e-5);
    }
    il_pass_destroy(pass);
    il_acts_destroy(acts);
    il_detector_destroy(staged);
    il_detector_destroy(members[0]);
    il_detector_destroy(members[1]);
}
END_TEST

START_TEST(a_cascade_that_is_always_sure_asks_nobody)
{
    const char *const pairs[] = {"low", "0.5", "high", "0.500001", NULL};
    il_detector *members[] = {probe_made(&c, "quick", 20), dear("slow")};
    il_detector_spec *s = spec_of(&c, "staged", "cascade");
    il_harvest h = harvest_of(&c.w);
    il_acts *acts = NULL;
    il_detector *staged;
    float got[300];
    float first[300];
    double escalated = 1;

    s->fit = (il_fit_spec){0};
    s->component.params = params_of(c.arena, pairs);
    staged = of_made(&c, s, 2, members);
    rows_scored = 0;
    ck_assert_int_eq(il_detector_harvest(&acts, staged, &h, "test", &c.w.err), IL_OK);
    ck_assert_int_eq(
        il_detector_logits_told(staged, c.w.blas, acts, got, &escalated, &c.w.err),
        IL_OK);
    ck_assert_double_eq(escalated, 0);
    ck_assert_int_eq(rows_scored, 0);
    (void)logits_of(&c, members[0], "test", first);
    ck_assert_mem_eq(got, first, sizeof got);
    il_acts_destroy(acts);
    il_detector_destroy(staged);
    il_detector_destroy(members[0]);
    il_detector_destroy(members[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turns");
    TCase *tc = tcase_create("turns");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_cascade_asks_on_until_it_is_sure_and_computes_no_more, 0,
                        2);
    tcase_add_loop_test(tc, what_is_asked_in_turn_scores_as_what_is_asked_at_once, 0,
                        3);
    tcase_add_test(tc, a_cascade_that_is_always_sure_asks_nobody);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
