/* The bits of every kernel over fixed inputs, as one number each. The numbers hold for
 * every compiler, level of optimization and width of vectors: one that changes changes
 * every run's results, and must say so. With IL_BLESS set the table is printed instead.
 */
#include "tensor/kernels.h"
#include "tensor/optim.h"
#include "kernels_support.h"
#include <check.h>
#include <stdio.h>

enum { ROWS = 70, WIDE = 141, N = ROWS * WIDE, T = 99 };

typedef struct data {
    float x[N], dy[N], y[N], z[N], w[N];
    float gain[WIDE], bias[WIDE], mean[ROWS], rstd[ROWS];
    int32_t targets[ROWS];
} data;

/* FNV-1a over the bytes, low byte first, as all machines with our vectors have them. */
static uint64_t hash(uint64_t h, const float *x, int64_t n)
{
    const unsigned char *bytes = (const unsigned char *)x;

    for (size_t i = 0; i < (size_t)n * sizeof *x; i++) {
        h = (h ^ bytes[i]) * 0x100000001b3u;
    }
    return h;
}
static const uint64_t START = 0xcbf29ce484222325u;

static uint64_t math(data *d)
{
    uint64_t h = START;

    il_k_exp(d->y, d->x, N);
    h = hash(h, d->y, N);
    il_k_log(d->z, d->y, N);
    h = hash(h, d->z, N);
    il_k_normal_cdf(d->y, d->x, N);
    return hash(h, d->y, N);
}

static uint64_t acts(data *d)
{
    uint64_t h = START;

    for (int act = IL_ACT_NONE; act <= IL_ACT_SQUARE; act++) {
        il_k_act_forward(d->y, d->x, N, (il_act)act);
        h = hash(h, d->y, N);
        il_k_act_grad(d->z, d->dy, d->x, d->y, N, (il_act)act);
        h = hash(h, d->z, N);
    }
    return h;
}

static uint64_t sums(data *d)
{
    float s[2] = {(float)il_k_sum(d->x, N), (float)il_k_dot(d->x, d->dy, N)};
    uint64_t h = hash(START, s, 2);

    memset(d->z, 0, sizeof d->z);
    il_k_row_sum(d->z, d->x, ROWS, WIDE);
    il_k_col_sum(d->z, d->x, ROWS, WIDE);
    il_k_col_dot(d->z, d->dy, d->x, ROWS, WIDE);
    return hash(h, d->z, WIDE);
}

static uint64_t norms(data *d)
{
    uint64_t h = START;

    memset(d->z, 0, sizeof d->z);
    il_k_layer_norm_forward(d->y, d->mean, d->rstd, d->x, d->gain, d->bias, ROWS, WIDE,
                            1e-5f);
    h = hash(h, d->y, N);
    il_k_layer_norm_backward(d->z, d->w, NULL, d->dy, d->x, d->mean, d->rstd, d->gain,
                             ROWS, WIDE);
    il_k_rms_norm_forward(d->y, d->rstd, d->x, d->gain, ROWS, WIDE, 1e-5f);
    h = hash(h, d->y, N);
    il_k_rms_norm_backward(d->z, d->w, d->dy, d->x, d->rstd, d->gain, ROWS, WIDE);
    return hash(hash(h, d->z, N), d->w, WIDE);
}

static uint64_t softmaxes(data *d)
{
    uint64_t h = START;

    memset(d->z, 0, sizeof d->z);
    il_k_softmax_rows(d->y, d->x, ROWS, WIDE);
    il_k_softmax_backward(d->z, d->dy, d->y, ROWS, WIDE);
    il_k_log_softmax_rows(d->y, d->x, ROWS, WIDE);
    il_k_log_softmax_backward(d->z, d->dy, d->y, ROWS, WIDE);
    h = hash(hash(h, d->y, N), d->z, N);
    memcpy(d->y, d->x, sizeof d->y);
    memcpy(d->z, d->dy, sizeof d->z);
    il_k_causal_softmax(d->y, T, 0.3f);
    il_k_causal_softmax_backward(d->z, d->y, T, 0.3f);
    return hash(hash(h, d->y, T * T), d->z, T * T);
}

/* x as 70 positions of 47 channels, one at a time and then the rest; y as the cache. */
static uint64_t attention(data *d)
{
    const int64_t c = WIDE / 3;
    float scores[(ROWS + 15) / 16 * 16];

    memset(d->z, 0, sizeof d->z);
    for (int64_t at = 0; at <= 9; at++) {
        const int64_t t = at < 9 ? 1 : ROWS - 9;

        il_k_cache_write(d->y, d->x + at * WIDE, t, c, at, ROWS);
        il_k_cached_attention(d->z + at * c, d->y, scores, d->x + at * WIDE, t, c, 1,
                              at, ROWS, 0.3f);
    }
    return hash(hash(START, d->z, ROWS * c), d->y, 2 * ROWS * c);
}

static uint64_t losses(data *d)
{
    uint64_t h = START;

    memset(d->z, 0, sizeof d->z);
    il_k_cross_entropy_rows(d->mean, d->y, d->x, d->targets, ROWS, WIDE);
    il_k_cross_entropy_backward(d->z, d->y, d->targets, d->dy, ROWS, WIDE);
    h = hash(hash(h, d->mean, ROWS), d->z, N);
    il_k_bce_rows(d->y, d->x, d->dy, N);
    il_k_bce_backward(d->z, d->x, d->x, d->dy, N);
    return hash(hash(h, d->y, N), d->z, N);
}

static uint64_t policies(data *d)
{
    uint64_t h = START;
    float scale[4 * ROWS];

    memset(d->z, 0, sizeof d->z);
    il_k_entropy_rows(d->mean, scale, d->x, ROWS, WIDE);
    il_k_entropy_backward(d->z, d->dy, d->mean, scale, d->x, ROWS, WIDE);
    h = hash(hash(h, d->mean, ROWS), d->z, N);
    il_k_kl_rows(d->mean, scale, d->x, d->dy, ROWS, WIDE);
    il_k_kl_backward(d->z, d->dy, d->mean, scale, d->x, d->dy, ROWS, WIDE);
    return hash(hash(h, d->mean, ROWS), d->z, N);
}

/* x as the gates, dy as the hidden product of 47 channels. */
static uint64_t recurrences(data *d)
{
    uint64_t h = START;

    memcpy(d->y, d->x, sizeof d->y);
    il_k_gru_forward(d->z, d->y, d->w, d->dy, d->x + N / 2, d->x, ROWS, WIDE / 3);
    h = hash(hash(h, d->y, N), d->z, N / 3);
    il_k_gru_backward(d->w + N / 3, d->z, d->x, d->dy, d->y, d->w, d->x + N / 2,
                      ROWS / 2, WIDE / 3, 2);
    return hash(hash(h, d->w, N / 3 + N / 2), d->z, N / 2);
}

static uint64_t optimizers(data *d)
{
    const il_optim kinds[] = {{IL_OPTIM_ADAMW, 0.9f, 0.999f, 1e-8f, 0.1f, 0},
                              {IL_OPTIM_ADAM, 0.9f, 0.999f, 1e-8f, 0.1f, 0},
                              {IL_OPTIM_SGD, 0, 0, 0, 0.1f, 0.9f}};
    uint64_t h = START;

    for (int k = 0; k < 3; k++) {
        memset(d->y, 0, sizeof d->y);
        memset(d->z, 0, sizeof d->z);
        for (int64_t t = 1; t <= 5; t++) {
            il_optim_step(&kinds[k], t, 0.01f, N, d->w, d->dy, 0.3f, d->y, d->z);
        }
        h = hash(h, d->w, N);
    }
    return h;
}

static const struct {
    const char *name;
    uint64_t (*run)(data *d);
    uint64_t want;
} cases[] = {
    {"math", math, 0xcbcb229facd860b2},
    {"acts", acts, 0x2893c6ba0174599b},
    {"sums", sums, 0x3ae17792bfa0ecf3},
    {"norms", norms, 0x98c4e34ed789a036},
    {"softmaxes", softmaxes, 0xb82fb82e11183fe6},
    {"attention", attention, 0x7ec528aa158652bd},
    {"losses", losses, 0x5e86f0d48e52ebe6},
    {"policies", policies, 0x6d0d80d931e130df},
    {"recurrences", recurrences, 0xbac667f08d1d6cb1},
    {"optimizers", optimizers, 0x8f474c8efcb23fb5},
};
enum { CASES = sizeof cases / sizeof cases[0] };

START_TEST(bits_are_those_of_every_machine)
{
    for (int c = 0; c < CASES; c++) {
        data *d = calloc(1, sizeof *d);
        uint64_t got;

        ck_assert_ptr_nonnull(d);
        draw_floats(d->x, N, 1, -8, 8);
        draw_floats(d->dy, N, 2, -1, 1);
        draw_floats(d->w, N, 3, -1, 1);
        draw_floats(d->gain, WIDE, 4, 0, 2);
        draw_floats(d->bias, WIDE, 5, -1, 1);
        for (int r = 0; r < ROWS; r++) {
            d->targets[r] = r * 3 % WIDE - (r % 5 == 0 ? WIDE : 0);
        }
        got = cases[c].run(d);
        free(d);
        if (getenv("IL_BLESS") != NULL) {
            printf("    {\"%s\", %s, 0x%016llx},\n", cases[c].name, cases[c].name,
                   (unsigned long long)got);
            continue;
        }
        ck_assert_msg(got == cases[c].want, "%s: 0x%016llx, expected 0x%016llx",
                      cases[c].name, (unsigned long long)got,
                      (unsigned long long)cases[c].want);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels_bits");
    TCase *tests = tcase_create("kernels_bits");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, bits_are_those_of_every_machine);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
