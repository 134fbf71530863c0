/* Rows narrower than a vector take a way of their own. Their bits must be those of the
 * long way: of the same rows with forbidden numbers, -inf, or zeros after them, which
 * fill them up without adding anything. */
#include "tensor/kernels.h"
#include "kernels_support.h"
#include <check.h>

enum { ROWS = 37, MOST = 16, FULL = 40 };

typedef struct rows {
    int64_t w;
    float x[ROWS * MOST], x_full[ROWS * FULL];
    float ref[ROWS * MOST], ref_full[ROWS * FULL];
    float y[ROWS * MOST], y_full[ROWS * FULL];
    float sum[ROWS], sum_full[ROWS], scale[4 * ROWS], scale_full[4 * ROWS];
    float dy[ROWS];
    int32_t targets[ROWS];
} rows;

static void spread(float *full, const float *x, int64_t w, float fill)
{
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t j = 0; j < FULL; j++) {
            full[r * FULL + j] = j < w ? x[r * w + j] : fill;
        }
    }
}

/* Numbers of all sizes, zeros of both signs, NaN, infinities and forbidden choices. */
static void draw_rows(rows *d, int64_t w)
{
    memset(d, 0, sizeof *d);
    d->w = w;
    draw_floats(d->x, ROWS * w, 1 + (uint64_t)w, -9, 9);
    draw_floats(d->ref, ROWS * w, 40 + (uint64_t)w, -9, 9);
    draw_floats(d->dy, ROWS, 3, -1, 1);
    for (int64_t r = 0; r < ROWS; r++) {
        d->targets[r] = (int32_t)(r % 5 == 0 ? -1 : r % w);
    }
    d->x[3 * w] = d->ref[3 * w] = -INFINITY;
    d->x[5 * w + w - 1] = -0.0f;
    d->x[7 * w] = NAN;
    d->x[9 * w + w / 2] = INFINITY;
    d->ref[11 * w] = -INFINITY;
    d->x[13 * w] = 300.0f;
}

/* Whether every number of the narrow rows has the bits of the full ones; any NaN is
 * like any other. */
static void compare(const char *what, const rows *d)
{
    for (int64_t i = 0; i < ROWS * d->w; i++) {
        const float *a = &d->y[i];
        const float *b = &d->y_full[i / d->w * FULL + i % d->w];

        ck_assert_msg(same_bits(a, b, 1) || (isnan(*a) && isnan(*b)),
                      "%s: width %d, number %d: %a, not %a", what, (int)d->w, (int)i,
                      (double)*a, (double)*b);
    }
    for (int64_t r = 0; r < ROWS; r++) {
        ck_assert_msg(same_bits(d->sum + r, d->sum_full + r, 1) ||
                          (isnan(d->sum[r]) && isnan(d->sum_full[r])),
                      "%s: width %d, row %d: %a, not %a", what, (int)d->w, (int)r,
                      (double)d->sum[r], (double)d->sum_full[r]);
    }
}

START_TEST(narrow_rows_have_the_bits_of_rows_that_are_filled_up)
{
    static rows d;

    draw_rows(&d, _i);
    spread(d.x_full, d.x, d.w, 0.0f);
    il_k_row_sum(d.sum, d.x, ROWS, d.w);
    il_k_row_sum(d.sum_full, d.x_full, ROWS, FULL);
    compare("row_sum", &d);

    spread(d.x_full, d.x, d.w, -INFINITY);
    spread(d.ref_full, d.ref, d.w, -INFINITY);
    il_k_softmax_rows(d.y, d.x, ROWS, d.w);
    il_k_softmax_rows(d.y_full, d.x_full, ROWS, FULL);
    compare("softmax", &d);
    il_k_log_softmax_rows(d.y, d.x, ROWS, d.w);
    il_k_log_softmax_rows(d.y_full, d.x_full, ROWS, FULL);
    compare("log_softmax", &d);
    il_k_cross_entropy_rows(d.sum, d.y, d.x, d.targets, ROWS, d.w);
    il_k_cross_entropy_rows(d.sum_full, d.y_full, d.x_full, d.targets, ROWS, FULL);
    compare("cross_entropy", &d);
    il_k_cross_entropy_rows(d.sum, NULL, d.x, d.targets, ROWS, d.w);
    compare("cross_entropy without probabilities", &d);

    il_k_entropy_rows(d.sum, d.scale, d.x, ROWS, d.w);
    il_k_entropy_rows(d.sum_full, d.scale_full, d.x_full, ROWS, FULL);
    il_k_entropy_backward(d.y, d.dy, d.sum, d.scale, d.x, ROWS, d.w);
    il_k_entropy_backward(d.y_full, d.dy, d.sum_full, d.scale_full, d.x_full, ROWS,
                          FULL);
    compare("entropy", &d);
    il_k_kl_rows(d.sum, d.scale, d.x, d.ref, ROWS, d.w);
    il_k_kl_rows(d.sum_full, d.scale_full, d.x_full, d.ref_full, ROWS, FULL);
    il_k_kl_backward(d.y, d.dy, d.sum, d.scale, d.x, d.ref, ROWS, d.w);
    il_k_kl_backward(d.y_full, d.dy, d.sum_full, d.scale_full, d.x_full, d.ref_full,
                     ROWS, FULL);
    compare("kl", &d);
}
END_TEST

START_TEST(in_place_they_give_the_same)
{
    static rows d;

    draw_rows(&d, _i);
    il_k_cross_entropy_rows(d.sum, d.y, d.x, d.targets, ROWS, d.w);
    memcpy(d.y_full, d.x, sizeof d.x);
    il_k_cross_entropy_rows(d.sum_full, d.y_full, d.y_full, d.targets, ROWS, d.w);
    ck_assert(same_bits(d.y, d.y_full, ROWS * d.w));
    il_k_softmax_rows(d.y, d.x, ROWS, d.w);
    memcpy(d.y_full, d.x, sizeof d.x);
    il_k_softmax_rows(d.y_full, d.y_full, ROWS, d.w);
    ck_assert(same_bits(d.y, d.y_full, ROWS * d.w));
    il_k_log_softmax_rows(d.y, d.x, ROWS, d.w);
    memcpy(d.y_full, d.x, sizeof d.x);
    il_k_log_softmax_rows(d.y_full, d.y_full, ROWS, d.w);
    ck_assert(same_bits(d.y, d.y_full, ROWS * d.w));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels_narrow");
    TCase *tests = tcase_create("kernels_narrow");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, narrow_rows_have_the_bits_of_rows_that_are_filled_up, 1,
                        MOST + 1);
    tcase_add_loop_test(tests, in_place_they_give_the_same, 1, MOST + 1);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
