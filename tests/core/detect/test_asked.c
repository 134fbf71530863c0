/* Detectors asked by a host with an autograd of its own, and a saved detector by
 * itself. */
#include "composed.h"
#include "base/files.h"
#include "detect/alone.h"
#include "detect/asked.h"

#include <pthread.h>

enum { BATCH = 4, STEPS = 6, NUMBERS = BATCH * STEPS * WIDTH };

static composed c;
static float acts[NUMBERS];
static uint8_t mask[BATCH * STEPS];
static const int32_t lengths[BATCH] = {6, 4, 0, 1};

static void setup(void)
{
    il_rng r;

    composed_open(&c);
    il_rng_open(&r, 9, 0, IL_RNG_PLUGIN, 0, 0);
    for (int i = 0; i < NUMBERS; i++) {
        acts[i] = il_rng_normal(&r);
    }
    for (int i = 0; i < BATCH * STEPS; i++) {
        mask[i] = i % 3 != 1;
    }
}

static void teardown(void)
{
    composed_close(&c);
}

static il_detector *drawn(const char *use, const char *pool, enum il_context context)
{
    il_detector_spec *s = spec_of(&c, "asked", use);
    il_detector *d;
    il_rng r;

    s->context = context;
    s->pooled = pool != NULL;
    ck_assert(il_pool_from_words(pool, &s->pooling));
    s->pool = pool;
    d = made(&c, s, NULL);
    il_rng_open(&r, 3, 0, IL_RNG_PLUGIN, 0, 0);
    for (int64_t i = 0; i < d->instance->store->total; i++) {
        d->instance->store->values[i] = 0.5f * il_rng_normal(&r);
    }
    d->fitted = true;
    return d;
}

static il_asking *asking_of(const il_detector *d)
{
    il_asking *a = NULL;

    ck_assert_int_eq(il_asking_create(&a, d, c.w.blas, &c.w.err), IL_OK);
    return a;
}

static il_question question(const float *const *x)
{
    return (il_question){
        .batch = BATCH, .length = STEPS, .acts = x, .mask = mask, .lengths = lengths};
}

/* Coefficients of both signs, and the sum of the logits under them. */
static double weighted_answer(const il_answer *w, float *seed)
{
    int64_t n;
    const float *z = il_answer_logits(w, &n);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        seed[i] = (float)(i % 3) - 0.75f;
        sum += (double)seed[i] * z[i];
    }
    return sum;
}

static const struct {
    const char *use, *pool;
    enum il_context context;
} kinds[] = {
    {"linear_probe", NULL, IL_CONTEXT_SELF},
    {"mlp_probe", NULL, IL_CONTEXT_SELF},
    {"polynomial_probe", NULL, IL_CONTEXT_SELF},
    {"attention_probe", NULL, IL_CONTEXT_PAST},
    {"linear_probe", "mean", IL_CONTEXT_SELF},
    {"linear_probe", "max", IL_CONTEXT_SELF},
    {"mlp_probe", "last", IL_CONTEXT_SELF},
    {"attention_probe", "ema_max, decay 0.9", IL_CONTEXT_PAST},
};

START_TEST(derivatives_are_those_of_the_logits)
{
    il_detector *d = drawn(kinds[_i].use, kinds[_i].pool, kinds[_i].context);
    il_asking *a = asking_of(d);
    float x[NUMBERS];
    float grad[NUMBERS];
    float *grads[1] = {grad};
    float seed[BATCH * STEPS];
    float again[BATCH * STEPS];
    const float *read[1] = {x};
    il_question q = question(read);
    il_answer *w = NULL;
    double largest = 0;
    int64_t n;

    memcpy(x, acts, sizeof x);
    ck_assert_msg(il_ask(&w, a, &q, &c.w.err) == IL_OK, "%s", c.w.err.message);
    (void)il_answer_logits(w, &n);
    ck_assert_int_eq(n, kinds[_i].pool != NULL ? 3 : 8);
    (void)weighted_answer(w, seed);
    memset(grad, 0x7f, sizeof grad); /* what was there does not count */
    ck_assert_int_eq(il_answer_backward(w, seed, grads, &c.w.err), IL_OK);
    for (int i = 0; i < NUMBERS; i++) {
        const float h = 1e-3f; /* a kink of the MLP lies within more */
        il_answer *near = NULL;
        double up;
        double down;

        x[i] = acts[i] + h;
        ck_assert_int_eq(il_ask(&near, a, &q, &c.w.err), IL_OK);
        up = weighted_answer(near, again);
        il_answer_release(near);
        x[i] = acts[i] - h;
        ck_assert_int_eq(il_ask(&near, a, &q, &c.w.err), IL_OK);
        down = weighted_answer(near, again);
        il_answer_release(near);
        x[i] = acts[i];
        ck_assert_double_eq_tol(grad[i], (up - down) / (2 * h), 5e-3);
        largest = fmax(largest, fabs(grad[i]));
    }
    ck_assert_double_gt(largest, 0.05);
    /* Padding is not read. */
    for (int i = (2 * STEPS) * WIDTH; i < 3 * STEPS * WIDTH; i++) {
        ck_assert(grad[i] == 0);
    }
    il_answer_release(w);
    il_asking_destroy(a);
    il_detector_destroy(d);
}
END_TEST

START_TEST(rows_are_scored_as_a_harvest_of_them)
{
    il_detector *d = drawn("mlp_probe", NULL, IL_CONTEXT_SELF);
    il_asking *a = asking_of(d);
    il_harvest h = harvest_of(&c.w);
    il_acts *kept = NULL;
    float z[300];
    const float *x[1];
    il_question q;
    il_answer *w = NULL;
    int64_t n;

    ck_assert_int_eq(il_detector_harvest(&kept, d, &h, "test", &c.w.err), IL_OK);
    ck_assert(kept->gathered);
    ck_assert_int_eq(il_detector_logits(d, c.w.blas, kept, z, &c.w.err), IL_OK);
    x[0] = kept->data[0];
    q = (il_question){.batch = kept->rows.count, .length = 1, .acts = x};
    ck_assert_int_eq(il_ask(&w, a, &q, &c.w.err), IL_OK);
    for (int i = 0; i < 300; i++) {
        ck_assert_double_eq_tol(il_answer_logits(w, &n)[i], z[i], 1e-5);
    }
    ck_assert_int_eq(n, 300);
    il_answer_release(w);
    il_acts_destroy(kept);
    il_asking_destroy(a);
    il_detector_destroy(d);
}
END_TEST

START_TEST(a_question_of_nothing_has_no_answer_and_no_slope)
{
    static const uint8_t none[BATCH * STEPS];
    il_detector *d = drawn("linear_probe", _i == 0 ? NULL : "max", IL_CONTEXT_SELF);
    il_asking *a = asking_of(d);
    const float *x[1] = {acts};
    float grad[NUMBERS];
    float *grads[1] = {grad};
    il_question q = question(x);
    il_answer *w = NULL;
    int64_t n = -1;

    q.mask = none;
    ck_assert_int_eq(il_ask(&w, a, &q, &c.w.err), IL_OK);
    (void)il_answer_logits(w, &n);
    ck_assert_int_eq(n, 0);
    memset(grad, 0x7f, sizeof grad); /* what was there does not count */
    ck_assert_int_eq(il_answer_backward(w, acts, grads, &c.w.err), IL_OK);
    for (int i = 0; i < NUMBERS; i++) {
        ck_assert(grad[i] == 0);
    }
    il_answer_release(w);
    il_asking_destroy(a);
    il_detector_destroy(d);
}
END_TEST

START_TEST(shapes_that_cannot_be_are_refused)
{
    static const int32_t longer[BATCH] = {6, 7, 0, 1};
    il_detector *d = drawn("linear_probe", NULL, IL_CONTEXT_SELF);
    il_asking *a = asking_of(d);
    const float *x[1] = {acts};
    il_question q = question(x);
    il_answer *w = NULL;

    q.lengths = longer;
    ck_assert_int_eq(il_ask(&w, a, &q, &c.w.err), IL_ERR_SHAPE);
    ck_assert_str_eq(c.w.err.message, "lengths[1]: expected 0 to 6, got 7");
    q = (il_question){.batch = 0, .length = 1, .acts = x};
    ck_assert_int_eq(il_ask(&w, a, &q, &c.w.err), IL_ERR_SHAPE);
    q = (il_question){.batch = INT64_MAX / 2, .length = 3, .acts = x};
    ck_assert_int_eq(il_ask(&w, a, &q, &c.w.err), IL_ERR_SHAPE);
    ck_assert_ptr_null(w);
    il_asking_destroy(a);
    d->fitted = false;
    ck_assert_int_eq(il_asking_create(&a, d, c.w.blas, &c.w.err), IL_ERR_INPUT);
    il_detector_destroy(d);
}
END_TEST

typedef struct asker {
    il_asking *a;
    float z[BATCH * STEPS];
    float grad[NUMBERS];
} asker;

static void *ask_often(void *user)
{
    asker *k = user;
    const float *x[1] = {acts};
    float *grads[1] = {k->grad};
    float seed[BATCH * STEPS];
    il_question q = question(x);

    for (int i = 0; i < 200; i++) {
        il_error err;
        il_answer *w = NULL;
        int64_t n;

        if (il_ask(&w, k->a, &q, &err) != IL_OK) {
            return k;
        }
        (void)weighted_answer(w, seed);
        if (il_answer_backward(w, seed, grads, &err) != IL_OK) {
            return k;
        }
        memcpy(k->z, il_answer_logits(w, &n), 8 * sizeof(float));
        il_answer_release(w);
    }
    return NULL;
}

START_TEST(threads_that_ask_at_once_hear_the_same_bits)
{
    il_detector *d = drawn("mlp_probe", NULL, IL_CONTEXT_SELF);
    il_asking *a = asking_of(d);
    asker askers[4] = {{.a = a}, {.a = a}, {.a = a}, {.a = a}};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;

        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
        ck_assert_mem_eq(askers[i].z, askers[0].z, 8 * sizeof(float));
        ck_assert_mem_eq(askers[i].grad, askers[0].grad, sizeof askers[0].grad);
    }
    il_asking_destroy(a);
    il_detector_destroy(d);
}
END_TEST

START_TEST(a_saved_detector_needs_nothing_but_its_file)
{
    char folder[] = "/tmp/interloop-test-XXXXXX";
    char *path;
    il_detector *d = drawn(kinds[_i].use, kinds[_i].pool, kinds[_i].context);
    il_asking *before = asking_of(d);
    il_asking *after = NULL;
    il_alone *alone = NULL;
    const float *x[1] = {acts};
    il_question q = question(x);
    il_answer *w[2] = {NULL, NULL};
    int64_t n[2];

    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = il_path_join(folder, "d.safetensors");
    ck_assert_int_eq(il_saved_write(d, path, &c.w.err), IL_OK);
    ck_assert_msg(il_alone_open(&alone, c.registry, path, NULL, &c.w.err) == IL_OK,
                  "%s: %s", c.w.err.where, c.w.err.message);
    after = asking_of(alone->detector);
    ck_assert_int_eq(il_ask(&w[0], before, &q, &c.w.err), IL_OK);
    ck_assert_int_eq(il_ask(&w[1], after, &q, &c.w.err), IL_OK);
    (void)il_answer_logits(w[0], &n[0]);
    ck_assert_mem_eq(il_answer_logits(w[0], &n[0]), il_answer_logits(w[1], &n[1]),
                     (size_t)n[0] * sizeof(float));
    ck_assert_int_eq(n[0], n[1]);
    il_answer_release(w[0]);
    il_answer_release(w[1]);
    il_asking_destroy(before);
    il_asking_destroy(after);
    il_alone_close(alone);
    il_detector_destroy(d);
    free(path);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}
END_TEST

static const struct {
    const char *contract, *says;
} contracts[] = {
    {"{\"component\":\"nobody.probe\",\"sites\":[\"s\"],\"widths\":[3]}",
     "nobody.probe"},
    {"{\"component\":\"linear_probe\",\"sites\":[\"s\"]}", "expected 1 widths, got 0"},
    {"{\"component\":\"linear_probe\",\"sites\":[\"s\"],\"widths\":[0]}",
     "widths[0]: expected at least 1"},
    {"{\"component\":\"linear_probe\",\"sites\":[\"s\"],\"widths\":[3],"
     "\"pool\":\"most\"}",
     "it pools by 'most'"},
    {"{\"component\":\"linear_probe\",\"sites\":[\"s\"],\"widths\":[3],"
     "\"context\":\"future\"}",
     "expected self, past or all, got 'future'"},
    {"{\"component\":\"linear_probe\",\"sites\":[\"s\"],\"widths\":[3],"
     "\"of\":[\"x\"]}",
     "reads other detectors"},
};

START_TEST(a_file_that_cannot_stand_alone_says_why)
{
    char folder[] = "/tmp/interloop-test-XXXXXX";
    static const float one = 1;
    const il_safetensor item = {.name = "bias",
                                .dtype = {IL_CODE_FLOAT, 32, 1},
                                .ndim = 1,
                                .shape = {1},
                                .data = &one,
                                .bytes = sizeof one};
    il_safetensors_pair pair = {IL_SAVED_KEY, contracts[_i].contract};
    il_alone *alone = NULL;
    char *path;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = il_path_join(folder, "d.safetensors");
    ck_assert_int_eq(il_safetensors_write(path, &item, 1, &pair, 1, &c.w.err), IL_OK);
    ck_assert_int_eq(il_alone_open(&alone, c.registry, path, NULL, &c.w.err),
                     IL_ERR_INPUT);
    ck_assert_msg(strstr(c.w.err.message, contracts[_i].says) != NULL, "%s",
                  c.w.err.message);
    ck_assert_ptr_null(alone);
    free(path);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}
END_TEST

int main(void)
{
    const int kind_count = (int)(sizeof kinds / sizeof kinds[0]);
    Suite *suite = suite_create("asked");
    TCase *tc = tcase_create("asked");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, derivatives_are_those_of_the_logits, 0, kind_count);
    tcase_add_test(tc, rows_are_scored_as_a_harvest_of_them);
    tcase_add_loop_test(tc, a_question_of_nothing_has_no_answer_and_no_slope, 0, 2);
    tcase_add_test(tc, shapes_that_cannot_be_are_refused);
    tcase_add_test(tc, threads_that_ask_at_once_hear_the_same_bits);
    tcase_add_loop_test(tc, a_saved_detector_needs_nothing_but_its_file, 0, kind_count);
    tcase_add_loop_test(tc, a_file_that_cannot_stand_alone_says_why, 0,
                        (int)(sizeof contracts / sizeof contracts[0]));
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
