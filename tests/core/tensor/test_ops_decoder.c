/* What decoders since GPT-2 are made of: rotary positions, gated layers, attention of
 * grouped heads in a window, whole and step by step. */
#include "check_grad.h"

/* ---- rotary positions ----------------------------------------------------------- */

static const float rates[] = {1.0f, 0.31f, 0.02f};

static il_tensor *rotary(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_rotary(p, x[0], c->arg,
                     il_rotary_table(p, 5, c->in[0].shape[1], 3, rates, 1.5f));
}

static void rotary_twin(double *y, const float *const *x, const grad_case *c)
{
    const int64_t d = c->in[0].shape[2] / c->arg;
    const int64_t t = c->in[0].shape[1];

    for (int64_t i = 0; i < c->in[0].shape[0] * t * c->arg; i++) {
        const double at = 5.0 + (double)(i / c->arg % t);
        const float *in = x[0] + i * d;

        for (int64_t k = 0; k < d; k++) {
            const double angle = k < 6 ? at * (double)rates[k % 3] : 0.0;
            const double other = k < 3 ? -(double)in[k + 3] : k < 6 ? in[k - 3] : 0.0;

            y[i * d + k] =
                k < 6 ? 1.5 * (in[k] * cos(angle) + other * sin(angle)) : (double)in[k];
        }
    }
}

static il_tensor *gated(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_gated(p, x[0], x[1], (il_act)c->arg);
}

static double act_twin(int act, double x)
{
    return act == IL_ACT_SILU        ? x / (1.0 + exp(-x))
           : act == IL_ACT_GELU      ? x * 0.5 * erfc(-x / sqrt(2.0))
           : act == IL_ACT_GELU_TANH ? x / (1.0 + exp(-2.0 * sqrt(2.0 / acos(-1.0)) *
                                                      (x + 0.044715 * x * x * x)))
                                     : fmax(x, 0.0);
}

static void gated_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        y[i] = act_twin(c->arg, x[0][i]) * x[1][i];
    }
}

static il_tensor *activated(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    return il_activate(p, x[0], (il_act)c->arg);
}

static void activated_twin(double *y, const float *const *x, const grad_case *c)
{
    for (int64_t i = 0; i < grad_count(&c->in[0]); i++) {
        y[i] = act_twin(c->arg, x[0][i]);
    }
}

/* ---- attention: arg is heads, 100 times the window, 10000 times what is given ---- */

enum { OUT, OUT_AND_PATTERN, PATTERN };

static il_tensor *attend(il_pass *p, il_tensor *const *x, const grad_case *c)
{
    const int which = c->arg / 10000;
    il_tensor *pattern = NULL;
    il_attention a = {.struct_size = sizeof a,
                      .q = x[0],
                      .k = x[1],
                      .v = x[2],
                      .heads = c->arg % 100,
                      .window = c->arg / 100 % 100,
                      .pattern = which == OUT ? NULL : &pattern};
    il_tensor *y = il_attend(p, &a);

    if (which == OUT) {
        return y;
    }
    pattern = il_reshape(p, pattern, IL_SHAPE(il_count(pattern)));
    return which == PATTERN
               ? pattern
               : il_concat(
                     p, 2,
                     (il_tensor *[]){il_reshape(p, y, IL_SHAPE(il_count(y))), pattern});
}

static void attend_twin(double *y, const float *const *x, const grad_case *c)
{
    const int which = c->arg / 10000;
    const int64_t heads = c->arg % 100;
    const int64_t window = c->arg / 100 % 100;
    const int64_t t = c->in[0].shape[1];
    const int64_t wide = c->in[0].shape[2];
    const int64_t narrow = c->in[1].shape[2];
    const int64_t d = wide / heads;
    const int64_t each = heads / (narrow / d);
    double *pattern = y + (which == OUT_AND_PATTERN ? c->in[0].shape[0] * t * wide : 0);
    double *p = calloc((size_t)t, sizeof *p);

    for (int64_t i = 0; i < c->in[0].shape[0] * heads * t; i++) {
        const int64_t b = i / t / heads;
        const int64_t h = i / t % heads;
        const int64_t at = i % t;
        const int64_t low = window > 0 && at + 1 > window ? at + 1 - window : 0;
        double sum = 0.0;

        for (int64_t j = low; j <= at; j++) {
            double dot = 0.0;

            for (int64_t l = 0; l < d; l++) {
                dot += (double)x[0][(b * t + at) * wide + h * d + l] *
                       x[1][(b * t + j) * narrow + h / each * d + l];
            }
            p[j] = exp(dot / sqrt((double)d));
            sum += p[j];
        }
        for (int64_t j = low; j <= at; j++) {
            if (which != OUT) {
                pattern[i * t + j] = p[j] / sum;
            }
            for (int64_t l = 0; l < d && which != PATTERN; l++) {
                y[(b * t + at) * wide + h * d + l] +=
                    p[j] / sum * x[2][(b * t + j) * narrow + h / each * d + l];
            }
        }
    }
    free(p);
}

#define ATTENTION(name_, b, t, wide, narrow, arg_)                                     \
    {                                                                                  \
        .name = name_, .build = attend, .twin = attend_twin, .inputs = 3,              \
        .in = {{3, {b, t, wide}}, {3, {b, t, narrow}}, {3, {b, t, narrow}}},           \
        .arg = arg_                                                                    \
    }

static const grad_case ops[] = {
    {.name = "rotary",
     .build = rotary,
     .twin = rotary_twin,
     .inputs = 1,
     .in = {{3, {2, 4, 16}}},
     .arg = 2},
    {.name = "rotary of whole heads",
     .build = rotary,
     .twin = rotary_twin,
     .inputs = 1,
     .in = {{3, {1, 5, 18}}},
     .arg = 3},
    {.name = "SiLU",
     .build = activated,
     .twin = activated_twin,
     .inputs = 1,
     .in = {{2, {3, 21}}},
     .arg = IL_ACT_SILU},
    {.name = "SwiGLU",
     .build = gated,
     .twin = gated_twin,
     .inputs = 2,
     .in = {{2, {3, 21}}, {2, {3, 21}}},
     .arg = IL_ACT_SILU},
    {.name = "GEGLU",
     .build = gated,
     .twin = gated_twin,
     .inputs = 2,
     .in = {{2, {3, 21}}, {2, {3, 21}}},
     .arg = IL_ACT_GELU},
    {.name = "GEGLU by tanh",
     .build = gated,
     .twin = gated_twin,
     .inputs = 2,
     .in = {{2, {2, 9}}, {2, {2, 9}}},
     .arg = IL_ACT_GELU_TANH},
    {.name = "ReGLU",
     .build = gated,
     .twin = gated_twin,
     .inputs = 2,
     .in = {{2, {2, 9}}, {2, {2, 9}}},
     .away = 0.1f,
     .arg = IL_ACT_RELU},
    ATTENTION("attention, one group a head", 2, 5, 12, 12, 3),
    ATTENTION("attention, two heads a group", 2, 5, 16, 8, 4),
    ATTENTION("attention, one group", 1, 7, 12, 3, 4),
    ATTENTION("attention in a window", 2, 7, 8, 4, 302),
    ATTENTION("attention in a window of one", 1, 4, 8, 4, 102),
    ATTENTION("attention and pattern", 2, 4, 8, 4, 10302),
    ATTENTION("pattern alone", 2, 4, 8, 4, 20002),
};

START_TEST(ops_agree_with_the_twin_and_with_differences)
{
    grad_check(&ops[_i]);
}
END_TEST

/* ---- bits and steps ------------------------------------------------------------- */

static il_pass *pass;

static void setup(void)
{
    il_error err = {0};

    ck_assert_int_eq(il_pass_create(&pass, grad_blas(), 1, &err), IL_OK);
    il_pass_begin(pass);
}

static void teardown(void)
{
    il_pass_destroy(pass);
}

static il_tensor *drawn(int64_t b, int64_t t, int64_t w, uint64_t stream)
{
    float *x = malloc((size_t)(b * t * w) * sizeof *x);
    il_tensor *out;

    grad_draw(x, b * t * w, stream, 0.0f, false);
    out = il_constant(pass, 3, (const int64_t[]){b, t, w}, x);
    free(x);
    return out;
}

static void check_pass(void)
{
    il_error err = {0};

    ck_assert_msg(il_pass_status(pass, &err) == IL_OK, "%s", err.message);
}

/* Past a block of queries, where the blocks meet and the window begins. */
START_TEST(long_sequences_are_what_their_twin_says)
{
    const int64_t t = 300;
    const grad_case c = {.name = "long",
                         .in = {{3, {1, t, 8}}, {3, {1, t, 4}}, {3, {1, t, 4}}},
                         .arg = _i == 0 ? 2 : 2 + 100 * 70};
    il_tensor *x[] = {drawn(1, t, 8, 1), drawn(1, t, 4, 2), drawn(1, t, 4, 3)};
    const float *in[] = {il_f32(x[0]), il_f32(x[1]), il_f32(x[2])};
    double *want = calloc((size_t)t * 8, sizeof *want);
    const float *got = il_f32(attend(pass, x, &c));

    check_pass();
    attend_twin(want, in, &c);
    for (int64_t i = 0; i < t * 8; i++) {
        ck_assert_double_eq_tol((double)got[i], want[i], 1e-5);
    }
    free(want);
}
END_TEST

START_TEST(what_is_not_seen_changes_no_bit)
{
    const int64_t t = 150;
    const int64_t window = 20;
    il_attention a = {.struct_size = sizeof a, .heads = 2, .window = window};
    float *first;
    int64_t changed = 0;

    a.q = drawn(1, t, 8, 1);
    a.k = drawn(1, t, 4, 2);
    a.v = drawn(1, t, 4, 3);
    first = il_f32(il_attend(pass, &a));
    for (int64_t i = 0; i < 4; i++) { /* of position 100 */
        il_f32(a.k)[100 * 4 + i] += 3.0f;
        il_f32(a.v)[100 * 4 + i] += 3.0f;
    }
    {
        const float *second = il_f32(il_attend(pass, &a));

        check_pass();
        for (int64_t i = 0; i < t * 8; i++) {
            const bool sees = i / 8 >= 100 && i / 8 < 100 + window;

            changed += sees;
            ck_assert_msg(sees || memcmp(&first[i], &second[i], sizeof first[i]) == 0,
                          "position %lld", (long long)(i / 8));
        }
    }
    ck_assert_int_eq(changed, window * 8);
}
END_TEST

/* heads, groups, channels of a head, window */
static const int64_t steps[][4] = {
    {4, 4, 12, 0}, {4, 2, 12, 0}, {6, 1, 5, 0}, {4, 2, 16, 7}, {2, 2, 3, 4}};

START_TEST(step_by_step_gives_what_all_at_once_gives)
{
    enum { ROWS = 2, LENGTH = 37 };
    const int64_t *s = steps[_i];
    const int64_t wide = s[0] * s[2];
    const int64_t narrow = s[1] * s[2];
    const int64_t apart = 2 * narrow * LENGTH + 3;
    float *cache = calloc((size_t)(ROWS * apart), sizeof *cache);
    il_attention a = {.struct_size = sizeof a, .heads = (int32_t)s[0], .window = s[3]};
    il_tensor *x[] = {drawn(ROWS, LENGTH, wide, 4), drawn(ROWS, LENGTH, narrow, 5),
                      drawn(ROWS, LENGTH, narrow, 6)};
    const float *want;

    a.q = x[0];
    a.k = x[1];
    a.v = x[2];
    want = il_f32(il_attend(pass, &a));
    a.cache = cache;
    a.length = LENGTH;
    a.apart = apart;
    for (a.at = 0; a.at < LENGTH;) {
        const int64_t n = a.at == 0 ? 9 : 1;
        const int64_t widths[] = {wide, narrow, narrow};
        il_tensor **to[] = {&a.q, &a.k, &a.v};
        const float *got;

        for (int i = 0; i < 3; i++) {
            *to[i] = il_constant(pass, 3, (const int64_t[]){ROWS, n, widths[i]}, NULL);
            for (int64_t r = 0; r < ROWS; r++) {
                memcpy(il_f32(*to[i]) + r * n * widths[i],
                       il_f32(x[i]) + (r * LENGTH + a.at) * widths[i],
                       (size_t)(n * widths[i]) * sizeof(float));
            }
        }
        got = il_f32(il_attend(pass, &a));
        check_pass();
        for (int64_t r = 0; r < ROWS; r++) {
            for (int64_t i = 0; i < n * wide; i++) {
                ck_assert_float_eq_tol(got[r * n * wide + i],
                                       want[(r * LENGTH + a.at) * wide + i], 1e-5f);
            }
        }
        a.at += n;
    }
    free(cache);
}
END_TEST

START_TEST(tables_are_exact_far_out)
{
    const float far[] = {1.0f, 0.7f, 1e-4f};

    for (int64_t at = 1; at < ((int64_t)1 << 20); at = at * 3 + 1) {
        const il_tensor *t = il_rotary_table(pass, at, 2, 3, far, 1.0f);

        check_pass();
        for (int64_t i = 0; i < 2; i++) {
            for (int64_t k = 0; k < 3; k++) {
                const double angle = (double)(far[k] * (float)(at + i));

                ck_assert_float_eq_tol(il_f32(t)[i * 6 + k], (float)cos(angle), 1e-7f);
                ck_assert_float_eq_tol(il_f32(t)[i * 6 + 3 + k], (float)sin(angle),
                                       1e-7f);
            }
        }
    }
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_refused)
{
    il_attention a = {.struct_size = sizeof a, .heads = 2};
    il_error err = {0};
    float cache[64];

    a.q = drawn(1, 3, 8, 1);
    a.k = drawn(1, 3, _i == 0 ? 6 : 4, 2);
    a.v = drawn(1, _i == 1 ? 4 : 3, _i == 0 ? 6 : 4, 3);
    a.heads = _i == 2 ? 3 : 2;
    if (_i == 3) {
        a.cache = cache;
        a.length = 2;
        a.apart = 64;
    }
    if (_i == 4) {
        (void)il_rotary(pass, a.q, 2, il_rotary_table(pass, 0, 3, 3, rates, 1.0f));
    } else {
        (void)il_attend(pass, &a);
    }
    ck_assert_int_eq(il_pass_status(pass, &err), IL_ERR_SHAPE);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ops of decoders");
    TCase *t = tcase_create("ops");

    tcase_add_loop_test(t, ops_agree_with_the_twin_and_with_differences, 0,
                        sizeof ops / sizeof ops[0]);
    suite_add_tcase(s, t);
    t = tcase_create("attention");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, long_sequences_are_what_their_twin_says, 0, 2);
    tcase_add_test(t, what_is_not_seen_changes_no_bit);
    tcase_add_loop_test(t, step_by_step_gives_what_all_at_once_gives, 0,
                        sizeof steps / sizeof steps[0]);
    tcase_add_test(t, tables_are_exact_far_out);
    tcase_add_loop_test(t, shapes_that_do_not_fit_are_refused, 0, 5);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *sr = srunner_create(suite());
    int failed;

    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
