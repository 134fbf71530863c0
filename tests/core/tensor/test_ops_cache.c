/* Attention with a cache: what the whole sequence gives, the same bits however it is
 * cut, and nothing to differentiate. */
#include "core/tensor/check_grad.h"

enum { B = 3, T = 83, CUTS = 4 };

typedef struct scene {
    il_pass *pass;
    il_store *store;
    const float *values[1];
    il_scope scope;
    int64_t c;
    int32_t heads;
    float *cache;
} scene;

/* Widths of a head with and without a rest of the widest vectors, and of parts of four
 * channels; heads that come in fours, and others. */
static const struct {
    int64_t c;
    int32_t heads;
} sizes[] = {{40, 2}, {32, 2}, {6, 3},  {96, 1}, {34, 2},
             {55, 5}, {48, 4}, {72, 6}, {20, 5}, {140, 1}};

static void scene_open(scene *s, int64_t c, int32_t heads)
{
    *s = (scene){.c = c, .heads = heads};
    ck_assert_int_eq(il_store_create(&s->store, NULL), IL_OK);
    ck_assert_int_eq(il_store_add(s->store, "qkv", "model", IL_SHAPE(B, T, 3 * c),
                                  IL_INIT_NORMAL(1), NULL),
                     IL_OK);
    ck_assert_int_eq(il_store_fill(s->store, 3, NULL), IL_OK);
    s->values[0] = s->store->values;
    ck_assert_int_eq(il_pass_create(&s->pass, grad_blas(), 1, NULL), IL_OK);
    s->scope = (il_scope){"case", s->store, s->values, 0};
    s->cache = calloc((size_t)(B * 2 * c * T), sizeof *s->cache);
    ck_assert_ptr_nonnull(s->cache);
    il_pass_begin(s->pass);
}

static void scene_close(scene *s)
{
    free(s->cache);
    il_pass_destroy(s->pass);
    il_store_destroy(s->store);
}

/* Positions [at,at+length) into out (B,T,c). */
static void attend(scene *s, float *out, int64_t at, int64_t length)
{
    const size_t row = (size_t)(3 * s->c) * sizeof(float);
    il_tensor *qkv = il_constant(s->pass, IL_SHAPE(B, length, 3 * s->c), NULL);
    il_tensor *y;

    for (int64_t b = 0; b < B; b++) {
        memcpy(il_f32(qkv) + b * length * 3 * s->c,
               s->values[0] + (b * T + at) * 3 * s->c, (size_t)length * row);
    }
    y = il_cached_attention(s->pass, qkv, s->heads, at, T, s->cache, 2 * s->c * T);
    ck_assert_int_eq(il_pass_status(s->pass, NULL), IL_OK);
    for (int64_t b = 0; b < B; b++) {
        memcpy(out + (b * T + at) * s->c, il_f32(y) + b * length * s->c,
               (size_t)(length * s->c) * sizeof *out);
    }
}

START_TEST(a_cache_gives_what_the_whole_gives_and_the_same_bits_however_cut)
{
    static const int64_t steps[CUTS] = {1, 7, 64, T};
    scene s;
    float *out[CUTS];
    float *want;
    il_tensor *x;
    float apart = 0.0f;

    scene_open(&s, sizes[_i].c, sizes[_i].heads);
    x = il_constant(s.pass, IL_SHAPE(B, T, 3 * s.c), s.values[0]);
    want = il_f32(il_causal_attention(s.pass, x, s.heads, NULL));
    for (int k = 0; k < CUTS; k++) {
        out[k] = malloc((size_t)(B * T * s.c) * sizeof(float));
        for (int64_t at = 0; at < T; at += steps[k]) {
            attend(&s, out[k], at, T - at < steps[k] ? T - at : steps[k]);
        }
        ck_assert_mem_eq(out[k], out[0], (size_t)(B * T * s.c) * sizeof(float));
    }
    for (int64_t i = 0; i < B * T * s.c; i++) {
        apart = fmaxf(apart, fabsf(out[0][i] - want[i]));
    }
    ck_assert_msg(apart <= 2e-6f, "%g apart", (double)apart);
    for (int k = 0; k < CUTS; k++) {
        free(out[k]);
    }
    scene_close(&s);
}
END_TEST

/* What a prompt leaves in the cache where nobody reads what it attends to. */
START_TEST(positions_that_are_only_kept_leave_the_bits_of_those_that_attend)
{
    const size_t bytes = (size_t)(B * 2 * sizes[_i].c * T) * sizeof(float);
    scene s;
    float *out;
    float *attended;
    il_tensor *x;

    scene_open(&s, sizes[_i].c, sizes[_i].heads);
    out = malloc((size_t)(B * T * s.c) * sizeof *out);
    attended = malloc(bytes);
    ck_assert(out != NULL && attended != NULL);
    attend(&s, out, 0, T);
    memcpy(attended, s.cache, bytes);
    memset(s.cache, 0, bytes);
    x = il_constant(s.pass, IL_SHAPE(B, T, 3 * s.c), s.values[0]);
    il_cached_positions(s.pass, x, s.heads, 0, T, s.cache, 2 * s.c * T);
    ck_assert_int_eq(il_pass_status(s.pass, NULL), IL_OK);
    ck_assert_mem_eq(s.cache, attended, bytes);
    free(out);
    free(attended);
    scene_close(&s);
}
END_TEST

START_TEST(no_gradient_flows_but_the_ancestry_of_the_value_stays)
{
    scene s;
    il_tensor *y;

    scene_open(&s, 6, 3);
    il_pass_enter(s.pass, &s.scope);
    y = il_cached_attention(s.pass, il_use(s.pass, (il_param){0}), 3, 0, T, s.cache,
                            2 * 6 * T);
    il_pass_leave(s.pass);
    ck_assert_uint_eq(*il_tensor_g(y), 0);
    ck_assert_uint_eq(*il_tensor_v(y), 1);
    ck_assert_uint_eq(il_pass_nodes(s.pass), 0);
    scene_close(&s);
}
END_TEST

START_TEST(what_does_not_fit_the_cache_is_refused)
{
    scene s;
    il_tensor *x;
    il_error err = {0};

    scene_open(&s, 6, 3);
    x = il_constant(s.pass, IL_SHAPE(B, 2, 18), NULL);
    (void)il_cached_attention(s.pass, x, 3, T - _i, T, s.cache, 12 * T - (_i == 2));
    ck_assert_int_eq(il_pass_status(s.pass, &err), IL_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "cache of 83"));
    scene_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_cache");
    TCase *tests = tcase_create("ops_cache");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(
        tests, a_cache_gives_what_the_whole_gives_and_the_same_bits_however_cut, 0,
        sizeof sizes / sizeof sizes[0]);
    tcase_add_loop_test(
        tests, positions_that_are_only_kept_leave_the_bits_of_those_that_attend, 0,
        sizeof sizes / sizeof sizes[0]);
    tcase_add_test(tests, no_gradient_flows_but_the_ancestry_of_the_value_stays);
    tcase_add_loop_test(tests, what_does_not_fit_the_cache_is_refused, 0, 3);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
