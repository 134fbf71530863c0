/* Entropy and divergence of policies: against the formula in double, against
 * differences, with choices that are forbidden, and one row like another. */
#include "core/tensor/check_grad.h"

static double log_softmax(const float *x, int64_t v, int64_t at)
{
    double sum = 0.0;

    for (int64_t i = 0; i < v; i++) {
        sum += exp((double)x[i] - x[at]);
    }
    return -log(sum);
}

static il_tensor *entropy(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    (void)c;
    return il_entropy_rows(p, x[0]);
}

static void entropy_twin(double *y, const float *const *x, const grad_case *c)
{
    const int64_t v = c->in[0].shape[c->in[0].ndim - 1];

    for (int64_t r = 0; r < grad_count(&c->in[0]) / v; r++) {
        for (int64_t i = 0; i < v; i++) {
            double l = log_softmax(x[0] + r * v, v, i);

            y[r] -= exp(l) * l;
        }
    }
}

/* Constants of grad_case lie in [0,1]; far from even enough. */
static il_tensor *kl(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_kl_rows(p, x[0], il_affine(p, x[1], (float)c->arg, 0.0f));
}

static void kl_twin(double *y, const float *const *x, const grad_case *c)
{
    const int64_t v = c->in[0].shape[c->in[0].ndim - 1];
    float q[64];

    for (int64_t r = 0; r < grad_count(&c->in[0]) / v; r++) {
        for (int64_t i = 0; i < v; i++) {
            q[i] = x[1][r * v + i] * (float)c->arg;
        }
        for (int64_t i = 0; i < v; i++) {
            double l = log_softmax(x[0] + r * v, v, i);

            y[r] += exp(l) * (l - log_softmax(q, v, i));
        }
    }
}

static const grad_case cases[] = {
    {"entropy_rows", entropy, entropy_twin, 1, .in = {{3, {2, 3, 4}}}},
    {"entropy_rows (1,1)", entropy, entropy_twin, 1, .in = {{2, {1, 1}}}},
    {"entropy_rows (2,37)", entropy, entropy_twin, 1, .in = {{2, {2, 37}}}},
    {"kl_rows", kl, kl_twin, 2, .in = {{3, {2, 3, 4}}, {3, {2, 3, 4}}}, 3, .fixed = 1},
    {"kl_rows (2,37)", kl, kl_twin, 2, .in = {{2, {2, 37}}, {2, {2, 37}}}, 2,
     .fixed = 1},
};

START_TEST(policies_agree_with_the_twin_and_with_differences)
{
    grad_check(&cases[_i]);
}
END_TEST

/* ---- a store of logits ---------------------------------------------------------- */

typedef struct scene {
    il_pass *pass;
    il_store *store;
    float *values[2];
    il_scope scope;
    il_tensor *x;
    il_tensor *ref;
    int64_t rows, v;
} scene;

static void scene_open(scene *s, int64_t rows, int64_t v)
{
    *s = (scene){.rows = rows, .v = v};
    ck_assert_int_eq(il_store_create(&s->store, NULL), IL_OK);
    ck_assert_int_eq(il_store_add(s->store, "x", "model", IL_SHAPE(rows, v),
                                  IL_INIT_NORMAL(2), NULL),
                     IL_OK);
    ck_assert_int_eq(il_store_add(s->store, "ref", "model", IL_SHAPE(rows, v),
                                  IL_INIT_NORMAL(2), NULL),
                     IL_OK);
    ck_assert_int_eq(il_store_fill(s->store, 3, NULL), IL_OK);
    for (int i = 0; i < 2; i++) {
        s->values[i] = s->store->values + s->store->items[i].offset;
    }
    ck_assert_int_eq(il_pass_create(&s->pass, grad_blas(), 2, NULL), IL_OK);
    s->scope = (il_scope){"case", s->store, (const float *const *)s->values, 0};
}

static void scene_begin(scene *s)
{
    il_pass_begin(s->pass);
    il_pass_enter(s->pass, &s->scope);
    s->x = il_use(s->pass, (il_param){0});
    s->ref = il_use(s->pass, (il_param){1});
    il_pass_leave(s->pass);
}

static void scene_close(scene *s)
{
    il_pass_destroy(s->pass);
    il_store_destroy(s->store);
}

/* d(sum y)/dx into `dx`, zeros before. */
static void gradient(scene *s, il_tensor *y, float *dx)
{
    float *ones = malloc((size_t)il_count(y) * sizeof *ones);
    float *grads[2] = {dx, NULL};
    const il_word route = 1;

    for (int64_t i = 0; i < il_count(y); i++) {
        ones[i] = 1.0f;
    }
    memset(dx, 0, (size_t)(s->rows * s->v) * sizeof *dx);
    ck_assert_int_eq(
        il_pass_backward(s->pass, 1, &y, (const float *[]){ones}, &route, grads, NULL),
        IL_OK);
    free(ones);
}

/* Row 0 with its odd logits at -inf must be what a row of the even ones alone is. */
START_TEST(forbidden_choices_are_as_if_they_were_not_there)
{
    enum { V = 20 };
    scene full;
    scene half;
    float dx[V];
    float dh[V / 2];

    scene_open(&full, 1, V);
    scene_open(&half, 1, V / 2);
    for (int i = 0; i < V; i++) {
        if (i % 2 == 1) {
            full.values[0][i] = full.values[1][i] = -INFINITY;
        } else {
            half.values[0][i / 2] = full.values[0][i];
            half.values[1][i / 2] = full.values[1][i];
        }
    }
    for (int op = 0; op < 2; op++) {
        il_tensor *y;
        il_tensor *want;

        scene_begin(&full);
        scene_begin(&half);
        y = op ? il_kl_rows(full.pass, full.x, full.ref)
               : il_entropy_rows(full.pass, full.x);
        want = op ? il_kl_rows(half.pass, half.x, half.ref)
                  : il_entropy_rows(half.pass, half.x);
        ck_assert_float_gt(*il_f32(y), 0.1f);
        ck_assert(fabsf(*il_f32(y) - *il_f32(want)) < 2e-6f);
        gradient(&full, y, dx);
        gradient(&half, want, dh);
        for (int i = 0; i < V; i++) {
            ck_assert(i % 2 == 1 ? dx[i] == 0.0f : fabsf(dx[i] - dh[i / 2]) < 2e-6f);
        }
    }
    scene_close(&full);
    scene_close(&half);
}
END_TEST

START_TEST(a_policy_off_the_references_ground_is_infinitely_far)
{
    scene s;

    scene_open(&s, 1, 4);
    s.values[1][2] = -INFINITY;
    scene_begin(&s);
    ck_assert_float_eq(*il_f32(il_kl_rows(s.pass, s.x, s.ref)), INFINITY);
    scene_close(&s);
}
END_TEST

/* Logits of any size cost no digits: all moved up by a power of two, which f32 holds
 * exactly for logits of few digits. */
START_TEST(divergence_from_itself_is_zero_however_large_the_logits)
{
    scene s;

    scene_open(&s, 1, 8);
    for (int i = 0; i < 8; i++) {
        s.values[0][i] = 0.25f * (float)i + 8192.0f;
        s.values[1][i] = 0.25f * (float)i;
    }
    scene_begin(&s);
    ck_assert_float_eq(*il_f32(il_kl_rows(s.pass, s.x, s.ref)), 0.0f);
    scene_close(&s);
}
END_TEST

START_TEST(a_rows_bits_depend_on_that_row_alone)
{
    enum { ROWS = 9, V = 43 };
    scene s;
    float dx[2][ROWS * V];
    float y[2][ROWS];

    scene_open(&s, ROWS, V);
    for (int op = 0; op < 2; op++) {
        for (int turn = 0; turn < 2; turn++) {
            il_tensor *out;

            for (int r = 0; turn == 1 && r < ROWS; r++) { /* every row as the third */
                memcpy(s.values[0] + r * V, s.values[0] + 2 * V, V * sizeof(float));
                memcpy(s.values[1] + r * V, s.values[1] + 2 * V, V * sizeof(float));
            }
            scene_begin(&s);
            out = op ? il_kl_rows(s.pass, s.x, s.ref) : il_entropy_rows(s.pass, s.x);
            memcpy(y[turn], il_f32(out), sizeof y[turn]);
            gradient(&s, out, dx[turn]);
        }
        for (int r = 0; r < ROWS; r++) {
            ck_assert(y[1][r] == y[0][2]);
            ck_assert_mem_eq(dx[1] + r * V, dx[0] + 2 * V, V * sizeof(float));
        }
        ck_assert_int_eq(il_store_fill(s.store, 4, NULL), IL_OK);
    }
    scene_close(&s);
}
END_TEST

START_TEST(the_reference_is_remembered_and_gets_nothing)
{
    scene s;
    il_tensor *y;
    float dx[12];
    float dref[12] = {0};
    float *grads[2] = {dx, dref};
    const float ones[3] = {1, 1, 1};
    const il_word route = 3;

    scene_open(&s, 3, 4);
    scene_begin(&s);
    y = il_kl_rows(s.pass, s.x, s.ref);
    ck_assert_uint_eq(*il_tensor_g(y), 1);
    ck_assert_uint_eq(*il_tensor_v(y), 3);
    ck_assert_int_eq(
        il_pass_backward(s.pass, 1, &y, (const float *[]){ones}, &route, grads, NULL),
        IL_OK);
    for (int i = 0; i < 12; i++) {
        ck_assert_float_eq(dref[i], 0.0f);
    }
    ck_assert_uint_eq(*il_tensor_g(il_entropy_rows(s.pass, s.x)), 1);
    scene_close(&s);
}
END_TEST

START_TEST(a_row_of_forbidden_choices_alone_is_no_number)
{
    scene s;

    scene_open(&s, 2, 3);
    for (int i = 0; i < 3; i++) {
        s.values[0][i] = -INFINITY;
    }
    scene_begin(&s);
    ck_assert(isnan(il_f32(il_entropy_rows(s.pass, s.x))[0]));
    ck_assert(isnan(il_f32(il_kl_rows(s.pass, s.x, s.ref))[0]));
    ck_assert(!isnan(il_f32(il_entropy_rows(s.pass, s.x))[1]));
    scene_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_policy");
    TCase *tests = tcase_create("ops_policy");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, policies_agree_with_the_twin_and_with_differences, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(tests, forbidden_choices_are_as_if_they_were_not_there);
    tcase_add_test(tests, a_policy_off_the_references_ground_is_infinitely_far);
    tcase_add_test(tests, divergence_from_itself_is_zero_however_large_the_logits);
    tcase_add_test(tests, a_rows_bits_depend_on_that_row_alone);
    tcase_add_test(tests, the_reference_is_remembered_and_gets_nothing);
    tcase_add_test(tests, a_row_of_forbidden_choices_alone_is_no_number);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
