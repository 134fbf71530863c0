/* Ops that are cut between workers: no bit of a forward or a backward knows how many
 * there were. */
#include "tensor/pass.h"
#include "interloop/rng.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Large enough that products are cut, and crooked. */
enum { B = 2, T = 150, HEADS = 8, GROUPS = 4, HEAD = 64, C = HEADS * HEAD, K = 256 };
enum { W_IN, W_KEYS, W_OUT, GAIN, BIAS, X, PARAMS };

typedef struct trial {
    il_store *store;
    const float *values[PARAMS];
    float *grads[PARAMS];
    float *out;
    float *pattern; /* NULL: nobody asks for it */
} trial;

static il_tensor *build(il_pass *p, il_tensor **pattern)
{
    static const float rates[] = {1.0f, 0.31f, 0.02f};
    il_tensor *x[PARAMS];
    il_tensor *turns;
    il_tensor *y;
    il_attention a = {
        .struct_size = sizeof a, .heads = HEADS, .window = 140, .pattern = pattern};

    for (int i = 0; i < PARAMS; i++) {
        x[i] = il_use(p, (il_param){i});
    }
    turns = il_rotary_table(p, 0, T, 3, rates, 1.0f);
    y = il_rms_norm(p, x[X], x[GAIN], 1e-5f);
    a.q = il_rotary(p, il_linear(p, y, x[W_IN], x[BIAS]), HEADS, turns);
    a.k = il_rotary(p, il_linear(p, y, x[W_KEYS], NULL), GROUPS, turns);
    a.v = il_linear(p, y, x[W_KEYS], NULL);
    y = il_add(p, x[X], il_attend(p, &a));
    y = il_layer_norm(p, y, x[GAIN], x[BIAS], 1e-5f);
    y = il_gated(p, il_linear_act(p, y, x[W_IN], NULL, IL_ACT_GELU), y, IL_ACT_SILU);
    return il_add(p, il_activate(p, il_matmul(p, y, x[W_OUT], false), IL_ACT_TANH),
                  x[BIAS]);
}

static void ok(il_status status, const il_error *err)
{
    ck_assert_msg(status == IL_OK, "%s: %s", err->where, err->message);
}

/* A forward and a backward by so many workers; 0: without a team. */
static void run(trial *t, const il_blas *blas, int workers, bool bits)
{
    const il_word route = (1u << PARAMS) - 1;
    il_scope scope = {"trial", t->store, t->values, bits ? 0 : -1};
    il_pool *pool = NULL;
    il_pass *pass = NULL;
    il_tensor *pattern = NULL;
    il_tensor *y;
    il_error err = {0};
    const float *seed = t->values[X];

    ok(il_pass_create(&pass, blas, PARAMS, &err), &err);
    if (workers > 0) {
        ok(il_pool_create(&pool, workers, &err), &err);
        il_pass_team(pass, pool);
    }
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    y = build(pass, t->pattern != NULL ? &pattern : NULL);
    il_pass_leave(pass);
    ok(il_pass_status(pass, &err), &err);
    memcpy(t->out, il_f32(y), sizeof(float) * B * T * C);
    if (t->pattern != NULL) {
        memcpy(t->pattern, il_f32(pattern), sizeof(float) * B * HEADS * T * T);
    }
    for (int i = 0; bits && i < PARAMS; i++) {
        memset(t->grads[i], 0, sizeof(float) * (size_t)t->store->items[i].count);
    }
    if (bits) {
        ok(il_pass_backward(pass, 1, &y, &seed, &route, t->grads, &err), &err);
    }
    il_pass_destroy(pass);
    il_pool_destroy(pool);
}

static void open_trial(trial *t)
{
    const int64_t shapes[PARAMS][3] = {{C, C}, {K, C}, {C, C}, {C}, {C}, {B, T, C}};
    const int32_t dims[PARAMS] = {2, 2, 2, 1, 1, 3};
    const char *const names[PARAMS] = {"in", "keys", "out", "gain", "bias", "x"};
    il_error err = {0};

    memset(t, 0, sizeof *t);
    ok(il_store_create(&t->store, &err), &err);
    for (int i = 0; i < PARAMS; i++) {
        const float most = i < GAIN ? 0.08f : 1.0f;

        ok(il_store_add(t->store, names[i], "all", dims[i], shapes[i],
                        IL_INIT_UNIFORM(most), &err),
           &err);
    }
    ok(il_store_fill(t->store, 1, &err), &err);
    for (int i = 0; i < PARAMS; i++) {
        t->values[i] = t->store->values + t->store->items[i].offset;
        t->grads[i] = malloc(sizeof(float) * (size_t)t->store->items[i].count);
    }
    t->out = malloc(sizeof(float) * B * T * C);
}

static void close_trial(trial *t)
{
    for (int i = 0; i < PARAMS; i++) {
        free(t->grads[i]);
    }
    free(t->out);
    free(t->pattern);
    il_store_destroy(t->store);
}

static const il_blas *open_blas(bool portable)
{
    const il_blas *blas = NULL;
    il_error err = {0};

    ok(il_blas_open(&blas, portable, &err), &err);
    return blas;
}

START_TEST(a_team_of_any_size_leaves_every_bit)
{
    const il_blas *blas = open_blas(_i & 1);
    trial alone;
    trial team;

    open_trial(&alone);
    open_trial(&team);
    run(&alone, blas, 0, true);
    for (int workers = 1; workers <= 3; workers++) {
        run(&team, blas, workers, true);
        ck_assert_int_eq(memcmp(alone.out, team.out, sizeof(float) * B * T * C), 0);
        for (int i = 0; i < PARAMS; i++) {
            ck_assert_msg(memcmp(alone.grads[i], team.grads[i],
                                 sizeof(float) * (size_t)alone.store->items[i].count) ==
                              0,
                          "the gradient of %s by %d workers",
                          alone.store->items[i].name, workers);
        }
    }
    close_trial(&alone);
    close_trial(&team);
}
END_TEST

START_TEST(attention_that_nobody_derives_has_the_same_bits)
{
    const il_blas *blas = open_blas(_i & 1);
    trial kept;
    trial passing;
    trial read;

    open_trial(&kept);
    open_trial(&passing);
    open_trial(&read);
    read.pattern = malloc(sizeof(float) * B * HEADS * T * T);
    run(&kept, blas, 0, true);
    run(&passing, blas, 2, false);
    run(&read, blas, 2, false);
    ck_assert_int_eq(memcmp(kept.out, passing.out, sizeof(float) * B * T * C), 0);
    ck_assert_int_eq(memcmp(kept.out, read.out, sizeof(float) * B * T * C), 0);
    for (int i = 0; i < T; i++) { /* a query's weights, and nothing it does not see */
        const float *row = read.pattern + i * T;
        double sum = 0.0;

        for (int j = 0; j < T; j++) {
            sum += (double)row[j];
            ck_assert(j <= i && j > i - 140 ? row[j] >= 0.0f : row[j] == 0.0f);
        }
        ck_assert_double_eq_tol(sum, 1.0, 1e-5);
    }
    close_trial(&kept);
    close_trial(&passing);
    close_trial(&read);
}
END_TEST

typedef struct marks {
    int64_t count, grain;
    int seen[4096]; /* by how many parts */
} marks;

static void mark(void *user, int64_t from, int64_t to, int worker)
{
    marks *m = user;

    ck_assert(worker >= 0 && worker < 3 && from <= to);
    ck_assert(from % m->grain == 0 && (to % m->grain == 0 || to == m->count));
    for (int64_t i = from; i < to; i++) {
        m->seen[i]++;
    }
}

START_TEST(parts_cover_everything_once)
{
    const int64_t counts[] = {0, 1, 2, 31, 32, 33, 4095};
    il_pool *pool = NULL;
    il_error err = {0};

    ok(il_pool_create(&pool, 3, &err), &err);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (int64_t grain = 1; grain < 50; grain += 16) {
            for (int team = 0; team < 2; team++) {
                marks m = {.count = counts[c], .grain = grain};

                il_team_share(team != 0 ? pool : NULL, m.count, grain, mark, &m);
                for (int64_t i = 0; i < 4096; i++) {
                    ck_assert_int_eq(m.seen[i], i < m.count);
                }
            }
        }
    }
    il_pool_destroy(pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("team");
    TCase *tests = tcase_create("team");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    srunner_set_fork_status(runner, CK_FORK); /* one kernel a process */
    tcase_add_loop_test(tests, a_team_of_any_size_leaves_every_bit, 0, 2);
    tcase_add_loop_test(tests, attention_that_nobody_derives_has_the_same_bits, 0, 2);
    tcase_add_test(tests, parts_cover_everything_once);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
