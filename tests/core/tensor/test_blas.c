#include "tensor/blas.h"
#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The library is loaded once a process, so these tests rest on Check's running each in
 * its own. */

static const il_blas *open_blas(bool portable)
{
    const il_blas *blas = NULL;
    il_error err = {0};

    ck_assert_msg(il_blas_open(&blas, portable, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    return blas;
}

static void compare(const il_blas *blas, bool ta, bool tb, int m, int n, int k,
                    float beta)
{
    int lda = (ta ? m : k) + 3;
    int ldb = (tb ? k : n) + 2;
    int ldc = n + 1;
    const int every = (int64_t)m * n * k > 1 << 24 ? 31 : 1; /* of a large one some */
    float *a = malloc((size_t)(lda * (ta ? k : m)) * sizeof *a);
    float *b = malloc((size_t)(ldb * (tb ? n : k)) * sizeof *b);
    float *c = malloc((size_t)(ldc * m) * sizeof *c);

    for (int i = 0; i < lda * (ta ? k : m); i++) {
        a[i] = (float)(i * 7 % 13) / 13.0f - 0.4f;
    }
    for (int i = 0; i < ldb * (tb ? n : k); i++) {
        b[i] = (float)(i * 5 % 11) / 11.0f - 0.6f;
    }
    for (int i = 0; i < ldc * m; i++) {
        c[i] = beta == 0.0f ? NAN : (float)(i % 3); /* beta 0 must not read */
    }
    il_blas_gemm(blas, ta, tb, m, n, k, 0.5f, a, lda, b, ldb, beta, c, ldc);
    for (int i = 0; i < m; i++) {
        for (int j = i % every; j < n; j += every) {
            double want = beta * ((i * ldc + j) % 3);

            for (int l = 0; l < k; l++) {
                want += 0.5 * a[ta ? l * lda + i : i * lda + l] *
                        b[tb ? j * ldb + l : l * ldb + j];
            }
            ck_assert_msg(fabs(c[i * ldc + j] - want) <= 1e-4, "(%d,%d,%d): %g for %g",
                          m, n, k, (double)c[i * ldc + j], want);
        }
    }
    free(a);
    free(b);
    free(c);
}

START_TEST(products_agree_with_three_loops)
{
    const il_blas *blas = open_blas(_i & 1);
    const int sizes[][3] = {{1, 1, 1},     {3, 5, 7},     {17, 33, 65},
                            {64, 48, 1},   {2, 3, 0},     {100, 16, 130},
                            {97, 131, 64}, {32, 79, 300}, {67, 1030, 1000}};

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int way = 0; way < 4; way++) {
            compare(blas, way & 1, way & 2, sizes[s][0], sizes[s][1], sizes[s][2],
                    0.0f);
            compare(blas, way & 1, way & 2, sizes[s][0], sizes[s][1], sizes[s][2],
                    1.0f);
        }
    }
    il_blas_gemm(blas, false, false, 0, 4, 4, 1.0f, NULL, 4, NULL, 4, 0.0f, NULL, 4);
}
END_TEST

/* What was there before is not read; a row alone may be made another way. */
START_TEST(a_linear_product_starts_from_its_bias)
{
    const il_blas *blas = open_blas(_i & 1);
    enum { M = 45, N = 51, K = 270 };
    float *a = malloc(sizeof(float) * M * K);
    float *b = malloc(sizeof(float) * K * N);
    float *c = malloc(sizeof(float) * M * N);
    float bias[N];

    for (int i = 0; i < M * K; i++) {
        a[i] = (float)(i * 7 % 13) / 13.0f - 0.4f;
    }
    for (int i = 0; i < K * N; i++) {
        b[i] = (float)(i * 5 % 11) / 11.0f - 0.6f;
    }
    for (int j = 0; j < N; j++) {
        bias[j] = (float)j - 20.0f;
    }
    for (int way = 0; way < 4; way++) {
        bool tb = way & 1;
        bool biased = way & 2;

        for (int rows = 0; rows <= M; rows += rows < 4 ? 1 : 41) {
            for (int i = 0; i < M * N; i++) {
                c[i] = NAN;
            }
            il_blas_linear(blas, NULL, tb, rows, N, K, a, K, b, tb ? K : N,
                           biased ? bias : NULL, c, N);
            for (int i = 0; i < M * N; i++) {
                double want = biased ? (double)bias[i % N] : 0.0;

                for (int l = 0; l < K; l++) {
                    want += (double)a[i / N * K + l] *
                            (double)b[tb ? i % N * K + l : l * N + i % N];
                }
                ck_assert_msg(
                    i < rows * N ? fabs((double)c[i] - want) <= 1e-3 : isnan(c[i]),
                    "%d rows, number %d: %g for %g", rows, i, (double)c[i], want);
            }
        }
    }
    free(a);
    free(b);
    free(c);
}
END_TEST

START_TEST(portable_runs_the_haswell_kernel)
{
    const il_blas *blas = open_blas(true);

    ck_assert_str_eq(il_blas_kernel(blas), "Haswell");
    ck_assert_ptr_nonnull(strstr(il_blas_version(blas), "OpenBLAS"));
}
END_TEST

START_TEST(the_environment_does_not_choose_the_kernel)
{
    ck_assert_int_eq(setenv("OPENBLAS_CORETYPE", "Nehalem", 1), 0);
    ck_assert_str_ne(il_blas_kernel(open_blas(false)), "Nehalem");
}
END_TEST

START_TEST(the_other_numerics_in_one_process_are_refused)
{
    const il_blas *blas = open_blas(false);
    const il_blas *other = NULL;
    il_error err = {0};

    ck_assert_ptr_eq(open_blas(false), blas);
    ck_assert_int_eq(il_blas_open(&other, true, &err), IL_ERR_UNSUPPORTED);
    ck_assert_ptr_null(other);
    ck_assert_ptr_nonnull(strstr(err.message, "portable"));
    ck_assert_ptr_nonnull(strstr(err.message, "native"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blas");
    TCase *tests = tcase_create("blas");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    srunner_set_fork_status(runner, CK_FORK);
    tcase_add_loop_test(tests, products_agree_with_three_loops, 0, 2);
    tcase_add_loop_test(tests, a_linear_product_starts_from_its_bias, 0, 2);
    tcase_add_test(tests, portable_runs_the_haswell_kernel);
    tcase_add_test(tests, the_environment_does_not_choose_the_kernel);
    tcase_add_test(tests, the_other_numerics_in_one_process_are_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
