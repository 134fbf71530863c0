/* Fits, and how they move with their rows, against PyTorch's autograd. */
#include "plugins/torch.h"
#include "detect/irls.h"
#include "detect/lbfgs.h"

enum { ROWS = 50, WIDTH = 6 };

static float x[ROWS * WIDTH];
static uint8_t labels[ROWS];
static double slope[WIDTH + 1];

static void take(const char *prefix, const char *name, void *out, size_t bytes)
{
    const il_safetensor *t = stored(prefix, name);

    ck_assert_uint_eq(t->bytes, bytes);
    memcpy(out, t->data, bytes);
}

static void setup(void)
{
    fixture_open("through_fit");
    take("", "x", x, sizeof x);
    take("", "labels", labels, sizeof labels);
    take("", "slope", slope, sizeof slope);
}

static void teardown(void)
{
    il_safetensors_close(fixture);
}

/* The largest difference, in units of the largest of theirs. */
static double off(const double *ours, const char *prefix, const char *name,
                  size_t count)
{
    double *theirs = calloc(count, sizeof *theirs);
    double largest = 0;
    double most = 0;

    take(prefix, name, theirs, count * sizeof *theirs);
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs(ours[i] - theirs[i]));
        largest = fmax(largest, fabs(theirs[i]));
    }
    free(theirs);
    ck_assert_double_gt(largest, 0);
    return most / largest;
}

START_TEST(a_logistic_optimum_moves_as_pytorch_says)
{
    il_irls problem = {ROWS, WIDTH, x, labels, 0.02, 0};
    const il_blas *blas = NULL;
    double found[WIDTH + 1] = {0};
    double dx[ROWS * WIDTH] = {0};
    il_error err = {.code = IL_OK};

    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(_i == 0 ? il_irls_solve(&problem, found, "test", &err)
                             : il_lbfgs_solve(&problem, blas, found, "test", &err),
                     IL_OK);
    ck_assert_double_lt(off(found, "logistic.", "fit", WIDTH + 1), 1e-6);
    ck_assert_int_eq(
        _i == 0 ? il_irls_backward(&problem, found, slope, dx, "test", &err)
                : il_lbfgs_backward(&problem, blas, found, slope, dx, "test", &err),
        IL_OK);
    ck_assert_double_lt(off(dx, "logistic.", "grad", ROWS * WIDTH), 1e-5);
}
END_TEST

static const struct {
    const char *name;
    const char *prefix;
    const char *params[5];
} cases[] = {
    {"mean_difference", "mean_difference.", {NULL}},
    {"lda", "lda.ledoit_wolf.", {NULL}},
    {"lda", "lda.fixed.", {"shrinkage", "fixed", "amount", "0.2", NULL}},
    {"lda", "lda.none.", {"shrinkage", "none", NULL}},
};

START_TEST(a_fit_in_closed_form_moves_as_pytorch_says)
{
    const double *slopes[2] = {slope, slope + WIDTH};
    const il_detector_api *api;
    double found[WIDTH + 1];
    double dx[ROWS * WIDTH] = {0};
    trial run;
    host h;
    part p;
    il_fitting rows = {.struct_size = sizeof rows,
                       .rows = ROWS,
                       .width = WIDTH,
                       .x = x,
                       .labels = labels};

    trial_open(&run);
    host_open(&h, cases[_i].name, IL_KIND_DETECTOR);
    h.read_widths[0] = WIDTH;
    for (int k = 0; cases[_i].params[k] != NULL; k += 2) {
        host_set(&h, cases[_i].params[k], cases[_i].params[k + 1]);
    }
    api = h.component->api;
    ck_assert_int_eq(api->create(&h.setup, &h.self, &h.err), IL_OK);
    part_open(&p, &run, &h, "detector", true);
    rows.values = p.values;
    ck_assert_msg(api->fit(h.self, &rows, &h.err) == IL_OK, "%s", h.err.message);
    for (int c = 0; c < WIDTH; c++) {
        found[c] = (double)p.values[0][c];
    }
    found[WIDTH] = (double)p.values[1][0];
    ck_assert_double_lt(off(found, cases[_i].prefix, "fit", WIDTH + 1), 1e-6);
    ck_assert_msg(api->fit_backward(h.self, &rows, slopes, dx, &h.err) == IL_OK, "%s",
                  h.err.message);
    ck_assert_double_lt(off(dx, cases[_i].prefix, "grad", ROWS * WIDTH), 1e-5);
    part_close(&p);
    il_pass_destroy(run.pass);
    free(h.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("through_fit");
    TCase *tests = tcase_create("through_fit");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_logistic_optimum_moves_as_pytorch_says, 0, 2);
    tcase_add_loop_test(tests, a_fit_in_closed_form_moves_as_pytorch_says, 0, 4);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
