/* Rough products: no number is further off than the bound says, odd sizes and biases
 * included. Passes without looking where the processor has no tiles. */
#include "core/tensor/kernels_support.h"
#include "tensor/rough.h"

#include <check.h>
#include <stdio.h>

typedef struct size {
    int64_t rows, width, in;
} size;

static const size sizes[] = {{1, 256, 32}, {33, 300, 70}, {64, 512, 513}};

START_TEST(no_number_is_further_off_than_the_bound)
{
    const size *s = &sizes[_i];
    float *x = floats(s->rows * s->in);
    float *w = floats(s->width * s->in);
    float *b = floats(il_rough_up(s->width));
    float *y = floats(il_rough_up(s->rows) * il_rough_up(s->width));
    float *moved[2] = {floats(s->rows), floats(s->width)};
    uint16_t *px = calloc((size_t)il_rough_size(s->rows, s->in), sizeof *px);
    uint16_t *pw = calloc((size_t)il_rough_size(s->width, s->in), sizeof *pw);
    double most = 0;

    draw_floats(x, s->rows * s->in, 1, -1, 1);
    draw_floats(w, s->width * s->in, 2, -1, 1);
    draw_floats(b, s->width, 3, -1, 1);
    if (il_rough_suits(s->width, s->in)) {
        il_rough_pack_first(px, moved[0], x, s->rows, s->in);
        il_rough_pack_second(pw, moved[1], w, s->width, s->in);
        il_rough_product(y, px, pw, b, s->rows, s->width, s->in);
        for (int64_t i = 0; i < s->rows * s->width; i++) {
            const float *a = x + i / s->width * s->in;
            const float *c = w + i % s->width * s->in;
            double exact = b[i % s->width];
            double norms[2] = {0, 0};
            double off;
            double bound;

            for (int64_t k = 0; k < s->in; k++) {
                exact += (double)a[k] * c[k];
                norms[0] += (double)a[k] * a[k];
                norms[1] += (double)c[k] * c[k];
            }
            off = fabs(exact - y[i / s->width * il_rough_up(s->width) + i % s->width]);
            off /= sqrt(norms[0] * norms[1]);
            bound = (1.0 + moved[0][i / s->width]) * (1.0 + moved[1][i % s->width]) -
                    1.0 + (double)s->in * 0x1p-22;
            ck_assert_double_le(off, bound);
            ck_assert_float_le(moved[0][i / s->width], IL_ROUGH_MOVED);
            ck_assert_float_le(moved[1][i % s->width], IL_ROUGH_MOVED);
            most = fmax(most, off);
        }
        ck_assert_double_gt(most, 0); /* it is rough */
    }
    free(x);
    free(w);
    free(b);
    free(y);
    free(moved[0]);
    free(moved[1]);
    free(px);
    free(pw);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rough");
    TCase *t = tcase_create("rough");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, no_number_is_further_off_than_the_bound, 0,
                        (int)(sizeof sizes / sizeof sizes[0]));
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
