#include "core/tensor/check_grad.h"

/* ---- two tensors, elementwise: arg 0 adds, 1 subtracts, 2 multiplies ---- */

static il_tensor *two(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return c->arg == 0   ? il_add(p, x[0], x[1])
           : c->arg == 1 ? il_sub(p, x[0], x[1])
                         : il_mul(p, x[0], x[1]);
}

static void two_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t w = grad_count(&c->in[1]);

    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        double a = x[0][i];
        double b = x[1][i % w];

        y[i] = c->arg == 0 ? a + b : c->arg == 1 ? a - b : a * b;
    }
}

static const grad_shape spreads[][2] = {
    {{2, {4, 5}}, {2, {4, 5}}},    {{3, {2, 3, 7}}, {1, {7}}},
    {{3, {2, 3, 7}}, {2, {3, 7}}}, {{2, {5, 3}}, {1, {1}}},
    {{1, {1}}, {1, {1}}},          {{2, {70, 17}}, {1, {17}}},
    {{2, {4, 1}}, {1, {1}}},
};
enum { SPREADS = sizeof spreads / sizeof spreads[0] };

static il_tensor *square_by_mul(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    (void)c;
    return il_mul(p, x[0], x[0]);
}

static void square_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        y[i] = (double)x[0][i] * x[0][i];
    }
}

static il_tensor *affine(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    (void)c;
    return il_affine(p, x[0], -1.5f, 0.25f);
}

static void affine_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        y[i] = -1.5 * x[0][i] + 0.25;
    }
}

/* ---- rows and columns ---- */

static const int32_t ids[] = {2, 0, 2, 4, 1, 2};

static il_tensor *embedding(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    il_tensor t = grad_ints(c);

    return il_embedding(p, x[0], &t);
}

static il_tensor *gather(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_gather_rows(p, x[0], c->arg, c->ints);
}

static void rows_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t w = c->in[0].shape[c->in[0].ndim - 1];

    for (int64_t i = 0; i < c->arg * w; i++) {
        y[i] = x[0][c->ints[i / w] * w + i % w];
    }
}

static il_tensor *slice(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_slice(p, x[0], c->arg, 3);
}

static void slice_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t w = c->in[0].shape[c->in[0].ndim - 1];

    for (int64_t i = 0; i < grad_count(&c->in[0]) / w * 3; i++) {
        y[i] = x[0][i / 3 * w + c->arg + i % 3];
    }
}

static il_tensor *concat(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_concat(p, c->inputs, x);
}

static void concat_twin(double *y, const float *const *x, const grad_case *c)
{
    int64_t rows = grad_count(&c->in[0]) / c->in[0].shape[c->in[0].ndim - 1];

    for (int64_t r = 0; r < rows; r++) {
        for (int i = 0; i < c->inputs; i++) {
            int64_t w = c->in[i].shape[c->in[i].ndim - 1];

            for (int64_t j = 0; j < w; j++) {
                *y++ = x[i][r * w + j];
            }
        }
    }
}

static il_tensor *reshape(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    (void)c;
    /* One view multiplied with a view of a view: all three share one gradient. */
    return il_mul(p, il_reshape(p, x[0], IL_SHAPE(3, 4)),
                  il_reshape(p, il_reshape(p, x[0], IL_SHAPE(12)), IL_SHAPE(3, 4)));
}

static const grad_case cases[] = {
    {"mul of one tensor by itself",
     square_by_mul,
     square_twin,
     1,
     {{2, {3, 5}}},
     .arg = 0},
    {"affine", affine, affine_twin, 1, {{3, {2, 3, 5}}}, .arg = 0},
    {"embedding",
     embedding,
     rows_twin,
     1,
     {{2, {5, 3}}},
     .arg = 6,
     .ints = ids,
     .ints_are = {2, {2, 3}}},
    {"embedding (1)",
     embedding,
     rows_twin,
     1,
     {{2, {5, 17}}},
     .arg = 1,
     .ints = ids,
     .ints_are = {1, {1}}},
    {"gather_rows", gather, rows_twin, 1, {{3, {2, 3, 4}}}, .arg = 6, .ints = ids},
    {"slice", slice, slice_twin, 1, {{3, {2, 3, 7}}}, .arg = 2},
    {"slice at the start", slice, slice_twin, 1, {{1, {3}}}, .arg = 0},
    {"concat",
     concat,
     concat_twin,
     3,
     {{3, {2, 3, 4}}, {3, {2, 3, 1}}, {3, {2, 3, 2}}},
     .arg = 0},
    {"concat of one", concat, concat_twin, 1, {{1, {5}}}, .arg = 0},
    {"reshape", reshape, square_twin, 1, {{2, {6, 2}}}, .arg = 0},
};

/* ---- an op of the author's own: y = k a b elementwise, k in the state ---- */

static void product_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    for (int64_t i = 0; i < il_count(out); i++) {
        il_f32(out)[i] = *(float *)state * il_f32(in[0])[i] * il_f32(in[1])[i];
    }
}

static void product_backward(const void *state, const il_tensor *const *in,
                             const il_tensor *out, const float *dout, float *const *din)
{
    float k = *(const float *)state;

    for (int64_t i = 0; i < il_count(out); i++) {
        if (din[0] != NULL) {
            din[0][i] += k * dout[i] * il_f32(in[1])[i];
        }
        if (din[1] != NULL) {
            din[1][i] += k * dout[i] * il_f32(in[0])[i];
        }
    }
}

static const il_custom product = {sizeof product, "product", product_forward,
                                  product_backward};

static il_tensor *custom(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    float *k = il_pass_alloc(p, sizeof *k);

    *k = 1.5f;
    return il_custom_op(p, &product, k, 2, x, c->in[0].ndim, c->in[0].shape);
}

static void custom_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        y[i] = 1.5 * x[0][i] * x[1][i];
    }
}

START_TEST(sums_differences_and_products_agree_with_the_twin_and_with_differences)
{
    grad_case c = {"add, sub, mul", two, two_twin, 2, {{0, {0}}}, .arg = _i / SPREADS};

    c.in[0] = spreads[_i % SPREADS][0];
    c.in[1] = spreads[_i % SPREADS][1];
    grad_check(&c);
}
END_TEST

START_TEST(ops_that_move_elements_agree_with_the_twin_and_with_differences)
{
    grad_check(&cases[_i]);
}
END_TEST

START_TEST(a_custom_op_agrees_with_the_twin_and_with_differences)
{
    grad_case c = {"custom", custom, custom_twin, 2, {{2, {3, 5}}, {2, {3, 5}}},
                   .arg = 0};

    grad_check(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_shape");
    TCase *tests = tcase_create("ops_shape");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(
        tests, sums_differences_and_products_agree_with_the_twin_and_with_differences,
        0, 3 * SPREADS);
    tcase_add_loop_test(tests,
                        ops_that_move_elements_agree_with_the_twin_and_with_differences,
                        0, sizeof cases / sizeof cases[0]);
    tcase_add_test(tests, a_custom_op_agrees_with_the_twin_and_with_differences);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
