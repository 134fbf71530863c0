/* Attention patterns brought into rows: where every weight lands, and where its
 * gradient goes. */
#include "detect/pattern.h"
#include "tensor/pass.h"
#include <stdlib.h>
#include <string.h>
#include <check.h>

enum { B = 2, H = 3, T = 4, KEYS = 5, WIDTH = H * KEYS, COUNT = B * H * T * T };

static il_store *store;
static il_pass *pass;
static const float *values[1];
static il_error err;

/* A parameter stands for the pattern, so that gradients reach it. */
static void setup(void)
{
    const il_blas *blas = NULL;

    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_store_create(&store, &err), IL_OK);
    ck_assert_int_eq(il_store_add(store, "pattern", "model", IL_SHAPE(B, H, T, T),
                                  IL_INIT_ZERO, &err),
                     IL_OK);
    ck_assert_int_eq(il_store_fill(store, 1, &err), IL_OK);
    for (int64_t i = 0; i < COUNT; i++) {
        store->values[i] = (float)i + 1.0f;
    }
    values[0] = store->values;
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, 1, &err), IL_OK);
    il_pass_begin(pass);
}

static void teardown(void)
{
    il_pass_destroy(pass);
    il_store_destroy(store);
}

static il_tensor *pattern(void)
{
    il_scope scope = {"model", store, values, 0};
    il_tensor *x;

    il_pass_enter(pass, &scope);
    x = il_use(pass, (il_param){0});
    il_pass_leave(pass);
    return x;
}

static float weight(int64_t row, int64_t h, int64_t s)
{
    return s < T ? store->values[((row / T * H + h) * T + row % T) * T + s] : 0.0f;
}

START_TEST(a_row_holds_its_query_head_by_head)
{
    const int32_t rows[] = {6, 1, 6};
    float into[WIDTH];
    il_tensor *x = pattern();
    il_tensor *y = il_pattern_gather(pass, x, WIDTH, 3, rows);
    il_tensor *all = il_pattern_gather(pass, x, WIDTH, 0, NULL);

    ck_assert_int_eq(il_pass_status(pass, &err), IL_OK);
    ck_assert_int_eq(il_rows(y), 3);
    ck_assert_int_eq(all->shape[0], B);
    ck_assert_int_eq(all->shape[1], T);
    for (int64_t i = 0; i < 3; i++) {
        for (int64_t c = 0; c < WIDTH; c++) {
            float is = weight(rows[i], c / KEYS, c % KEYS);

            ck_assert_float_eq(il_f32(y)[i * WIDTH + c], is);
            ck_assert_float_eq(il_f32(all)[rows[i] * WIDTH + c], is);
        }
        ck_assert_mem_eq(il_pattern_row(x, rows[i], WIDTH, into), il_f32(y) + i * WIDTH,
                         sizeof into);
    }
}
END_TEST

START_TEST(a_gradient_goes_back_to_where_its_weight_stood)
{
    const int32_t rows[] = {6, 1, 6};
    float seeds[3 * WIDTH];
    float *grads[1] = {il_store_block(store)};
    const float *seed = seeds;
    il_word route[1] = {1};
    il_tensor *y = il_pattern_gather(pass, pattern(), WIDTH, 3, rows);

    for (int i = 0; i < 3 * WIDTH; i++) {
        seeds[i] = (float)(i + 1);
    }
    ck_assert_int_eq(il_pass_backward(pass, 1, &y, &seed, route, grads, &err), IL_OK);
    for (int64_t i = 0; i < COUNT; i++) {
        int64_t s = i % T;
        int64_t row = i / (H * T * T) * T + i / T % T;
        int64_t h = i / (T * T) % H;
        float sum = 0;

        for (int k = 0; k < 3; k++) {
            sum += rows[k] == row ? seeds[k * WIDTH + h * KEYS + s] : 0.0f;
        }
        ck_assert_float_eq(grads[0][i], sum);
    }
    free(grads[0]);
}
END_TEST

START_TEST(more_keys_than_the_site_declares_are_an_error)
{
    const int32_t rows[] = {0};

    (void)il_pattern_gather(pass, pattern(), H * (T - 1), 1, rows);
    ck_assert_int_eq(il_pass_status(pass, &err), IL_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "declares"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pattern");
    TCase *tests = tcase_create("pattern");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_row_holds_its_query_head_by_head);
    tcase_add_test(tests, a_gradient_goes_back_to_where_its_weight_stood);
    tcase_add_test(tests, more_keys_than_the_site_declares_are_an_error);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
