/* The sparse probe: which channels it takes, and that its weights are the optimum of
 * the regression on them. */
#include "plugins/host.h"

#include <math.h>
#include <string.h>

enum { ROWS = 600, WIDTH = 12 };

typedef struct scene {
    host h;
    const il_detector_api *api;
    float *x;
    uint8_t labels[ROWS];
    float weight[WIDTH];
    float bias[1];
} scene;

/* Rows whose label depends on channels 2 and 7 together; 4 repeats 2, 9 is constant, 0
 * is seldom anything but 0. */
static void scene_open(scene *s, const char *channels)
{
    memset(s, 0, sizeof *s);
    host_open(&s->h, "sparse_probe", IL_KIND_DETECTOR);
    s->h.read_widths[0] = WIDTH;
    host_set(&s->h, "channels", channels);
    s->api = s->h.component->api;
    ck_assert_int_eq(s->api->create(&s->h.setup, &s->h.self, &s->h.err), IL_OK);
    s->x = calloc(ROWS * WIDTH, sizeof *s->x);
    for (int64_t i = 0; i < ROWS; i++) {
        float *row = s->x + i * WIDTH;
        il_rng r;

        il_rng_open(&r, 4, 0, IL_RNG_PLUGIN, 0, (uint64_t)i);
        for (int c = 0; c < WIDTH; c++) {
            row[c] = il_rng_normal(&r);
        }
        row[0] = row[0] > 2 ? row[0] : 0;
        row[4] = 3 * row[2] + 1;
        row[9] = 5;
        s->labels[i] = row[2] - 2 * row[7] + 0.7f * il_rng_normal(&r) > 0.5f;
    }
}

static void scene_close(scene *s)
{
    free(s->x);
    free(s->h.memory);
}

static il_status fit(scene *s)
{
    float *values[] = {s->weight, s->bias};
    il_fitting f = {.struct_size = sizeof f,
                    .rows = ROWS,
                    .width = WIDTH,
                    .x = s->x,
                    .labels = s->labels,
                    .values = values};

    return s->api->fit(s->h.self, &f, &s->h.err);
}

static int chosen(const scene *s)
{
    int n = 0;

    for (int c = 0; c < WIDTH; c++) {
        n += s->weight[c] != 0;
    }
    return n;
}

START_TEST(two_channels_that_matter_are_taken_and_none_twice)
{
    scene s;

    scene_open(&s, "2");
    ck_assert_int_eq(fit(&s), IL_OK);
    ck_assert_int_eq(chosen(&s), 2);
    ck_assert_float_lt(s.weight[7], 0);
    ck_assert(s.weight[2] > 0 || s.weight[4] > 0);
    scene_close(&s);
}
END_TEST

START_TEST(weights_are_the_optimum_on_what_was_taken)
{
    scene s;
    double slope[WIDTH] = {0};
    double bias = 0;

    scene_open(&s, "3");
    ck_assert_int_eq(fit(&s), IL_OK);
    ck_assert_int_eq(chosen(&s), 3);
    for (int64_t i = 0; i < ROWS; i++) {
        double z = s.bias[0];
        double off;

        for (int c = 0; c < WIDTH; c++) {
            z += (double)s.weight[c] * s.x[i * WIDTH + c];
        }
        off = 1 / (1 + exp(-z)) - s.labels[i];
        bias += off / ROWS;
        for (int c = 0; c < WIDTH; c++) {
            slope[c] += off * s.x[i * WIDTH + c] / ROWS;
        }
    }
    ck_assert_double_eq_tol(bias, 0, 1e-6);
    for (int c = 0; c < WIDTH; c++) {
        double mean = 0;
        double variance = 0;

        for (int64_t i = 0; i < ROWS; i++) {
            mean += s.x[i * WIDTH + c] / (double)ROWS;
        }
        for (int64_t i = 0; i < ROWS; i++) {
            variance += pow(s.x[i * WIDTH + c] - mean, 2) / ROWS;
        }
        if (s.weight[c] != 0) { /* its penalty is on channels of variance 1 */
            ck_assert_double_eq_tol(slope[c] + 0.001 * variance * s.weight[c], 0, 1e-6);
        }
    }
    scene_close(&s);
}
END_TEST

START_TEST(one_channel_is_the_best_by_its_auroc_with_that_sign)
{
    scene s;

    scene_open(&s, "1");
    ck_assert_int_eq(fit(&s), IL_OK);
    ck_assert_int_eq(chosen(&s), 1);
    ck_assert_float_lt(s.weight[7], 0);
    scene_close(&s);
}
END_TEST

START_TEST(more_channels_than_there_are_takes_those_that_move)
{
    scene s;

    scene_open(&s, "40");
    ck_assert_int_eq(fit(&s), IL_OK);
    ck_assert_float_eq(s.weight[9], 0);
    ck_assert_int_le(chosen(&s), WIDTH - 1);
    for (int c = 0; c < WIDTH; c++) {
        ck_assert(isfinite(s.weight[c]));
    }
    scene_close(&s);
}
END_TEST

START_TEST(channels_that_never_move_are_refused)
{
    scene s;

    scene_open(&s, "2");
    for (int k = 0; k < ROWS * WIDTH; k++) {
        s.x[k] = (float)(k % WIDTH);
    }
    ck_assert_int_eq(fit(&s), IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(
        strstr(s.h.err.message, "no channel tells the classes apart"));
    scene_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sparse probe");
    TCase *t = tcase_create("sparse probe");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, t);
    tcase_add_test(t, two_channels_that_matter_are_taken_and_none_twice);
    tcase_add_test(t, weights_are_the_optimum_on_what_was_taken);
    tcase_add_test(t, one_channel_is_the_best_by_its_auroc_with_that_sign);
    tcase_add_test(t, more_channels_than_there_are_takes_those_that_move);
    tcase_add_test(t, channels_that_never_move_are_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
