/* Detectors of attention patterns: every score on a pattern that is written out, and
 * gradients against differences. */
#include "plugins/trial.h"

enum { B = 2, T = 5, KEYS = 6, H1 = 2, H2 = 1, HEADS = H1 + H2, ROWS = 4 };

/* Repeats: 7 stands at 0, 2 and 4 of the first row. */
static const int32_t tokens[B * T] = {7, 3, 7, 3, 7, 1, 1, 2, 4, 5};
static const uint8_t mask[B * T] = {1, 0, 1, 1, 0, 0, 1, 1, 0, 0};
static const int32_t at[ROWS] = {4, 2, 5, 8};

typedef struct scene {
    trial run;
    host source;
    part acts;
    host probe;
    part detector;
    float seed[ROWS];
    const int32_t *ids;
    const uint8_t *mask;
} scene;

/* A weight for every key up to the query, different ones, summing to 1. */
static void fill(float *x, int64_t heads, uint64_t salt)
{
    for (int i = 0; i < ROWS; i++) {
        for (int64_t h = 0; h < heads; h++) {
            float *w = x + (i * heads + h) * KEYS;
            float sum = 0.0f;

            noise(w, KEYS, salt + (uint64_t)(i * 10 + h), 1.5f);
            for (int s = 0; s < KEYS; s++) {
                w[s] = s <= at[i] % T ? expf(w[s]) : 0.0f;
                sum += w[s];
            }
            for (int s = 0; s < KEYS; s++) {
                w[s] /= sum;
            }
        }
    }
}

/* `params` are pairs of names and texts, ended by NULL. */
static void scene_make(scene *s, const char *name, const char *const *params,
                       int64_t heads)
{
    static const int64_t shapes[2][2] = {{ROWS, H1 * KEYS}, {ROWS, H2 * KEYS}};
    il_param id;

    memset(s, 0, sizeof *s);
    trial_open(&s->run);
    s->source.setup.api = &host_api;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(il_setup_param(&s->source.setup, &id, i ? "site1" : "site0", 2,
                                        shapes[i], IL_INIT_ZERO, NULL),
                         IL_OK);
    }
    part_open(&s->acts, &s->run, &s->source, "model", true);
    fill(s->acts.values[0], H1, 100);
    fill(s->acts.values[1], H2, 200);
    host_open(&s->probe, name, IL_KIND_DETECTOR);
    s->probe.read_widths[0] = H1 * KEYS;
    s->probe.read_widths[1] = H2 * KEYS;
    s->probe.read_heads[0] = heads;
    s->probe.read_heads[1] = H2;
    for (; *params != NULL; params += 2) {
        host_set(&s->probe, params[0], params[1]);
    }
    s->ids = tokens;
    s->mask = mask;
    noise(s->seed, ROWS, 20, 1.0f);
}

static const il_detector_api *api_of(const scene *s)
{
    return s->probe.component->api;
}

static void scene_open(scene *s, const char *name, const char *const *params)
{
    scene_make(s, name, params, H1);
    ck_assert_msg(api_of(s)->create(&s->probe.setup, &s->probe.self, &s->probe.err) ==
                      IL_OK,
                  "%s", s->probe.err.message);
    part_open(&s->detector, &s->run, &s->probe, "detector probe", true);
    for (size_t i = 0; i < s->detector.store->count; i++) {
        noise(s->detector.values[i], (size_t)s->detector.store->items[i].count, 10 + i,
              0.8f);
    }
}

static void scene_close(scene *s)
{
    part_close(&s->acts);
    part_close(&s->detector);
    il_pass_destroy(s->run.pass);
    free(s->probe.memory);
}

static il_tensor *scene_logits(scene *s)
{
    il_tensor *acts[2];
    il_tensor *logits;
    il_reading r = {.struct_size = sizeof r,
                    .sites = 2,
                    .acts = acts,
                    .batch = B,
                    .length = T,
                    .rows = at,
                    .inputs = s->ids,
                    .keys = s->mask};

    il_pass_begin(s->run.pass);
    il_pass_enter(s->run.pass, &s->acts.scope);
    for (int32_t i = 0; i < 2; i++) {
        acts[i] = il_use(s->run.pass, (il_param){i});
    }
    il_pass_leave(s->run.pass);
    il_pass_enter(s->run.pass, &s->detector.scope);
    logits = api_of(s)->score(s->probe.self, s->run.pass, &r);
    il_pass_leave(s->run.pass);
    return logits;
}

/* ---- what they compute ---------------------------------------------------------- */

/* A score of row i in head h, by its words. */
static double expected(const scene *s, const char *score, int i, int h)
{
    const float *w =
        h < H1 ? s->acts.values[0] + (i * H1 + h) * KEYS : s->acts.values[1] + i * KEYS;
    const int32_t *ids = tokens + at[i] / T * T;
    int t = at[i] % T;
    double sum = 0;

    for (int k = 0; k <= t; k++) {
        double p = (double)w[k];
        bool in = (strcmp(score, "first") == 0 && k == 0) ||
                  (strcmp(score, "self") == 0 && k == t) ||
                  (strcmp(score, "previous") == 0 && k == t - 1) ||
                  (strcmp(score, "keys") == 0 && mask[at[i] / T * T + k] != 0) ||
                  (strcmp(score, "duplicate") == 0 && k < t && ids[k] == ids[t]) ||
                  (strcmp(score, "induction") == 0 && k > 0 && ids[k - 1] == ids[t]);

        sum += in ? p : 0;
        if (strcmp(score, "entropy") == 0 && t > 0) {
            sum -= p * log(p) / log(t + 1.0);
        }
    }
    return sum;
}

static double odds(double share)
{
    return log(share + 1e-3) - log(1 - share + 1e-3);
}

static const char *const scores[] = {"entropy",   "first",     "self", "previous",
                                     "duplicate", "induction", "keys"};
enum { SCORES = 7 };

START_TEST(a_score_is_what_its_words_say)
{
    const char *name = scores[_i];
    const char *const one[] = {"score", name, "head", "2", NULL};
    const char *const mean[] = {"score", name, NULL};
    const char *const largest[] = {"score", name, "over", "max", "side", "low", NULL};
    const char *const *all[] = {one, mean, largest};

    for (int how = 0; how < 3; how++) {
        const float *logits;
        scene s;

        scene_open(&s, "attention_monitor", all[how]);
        logits = il_f32(scene_logits(&s));
        trial_check(&s.run);
        for (int i = 0; i < ROWS; i++) {
            double mean_of = 0;
            double most = 0;

            for (int h = 0; h < HEADS; h++) {
                mean_of += expected(&s, name, i, h) / HEADS;
                most = fmax(most, expected(&s, name, i, h));
            }
            ck_assert_double_eq_tol((double)logits[i],
                                    how == 0   ? odds(expected(&s, name, i, 2))
                                    : how == 1 ? odds(mean_of)
                                               : -odds(most),
                                    1e-4);
        }
        scene_close(&s);
    }
}
END_TEST

START_TEST(the_probe_weighs_every_score_of_every_head)
{
    static const char *const all[] = {"keys", "true", NULL};
    const float *logits;
    scene s;

    scene_open(&s, "pattern_probe", all);
    ck_assert_int_eq(s.detector.store->items[0].count, HEADS * SCORES);
    logits = il_f32(scene_logits(&s));
    trial_check(&s.run);
    for (int i = 0; i < ROWS; i++) {
        double sum = (double)s.detector.values[1][0];

        for (int h = 0; h < HEADS; h++) {
            for (int k = 0; k < SCORES; k++) {
                sum += (double)s.detector.values[0][h * SCORES + k] *
                       expected(&s, scores[k], i, h);
            }
        }
        ck_assert_double_eq_tol((double)logits[i], sum, 1e-5);
    }
    scene_close(&s);
}
END_TEST

/* ---- gradients ------------------------------------------------------------------- */

static double scene_loss(void *context)
{
    scene *s = context;
    const il_tensor *logits = scene_logits(s);
    double sum = 0;

    trial_check(&s->run);
    for (int i = 0; i < ROWS; i++) {
        sum += (double)s->seed[i] * (double)il_f32(logits)[i];
    }
    return sum;
}

static const char *const gradient_params[][7] = {
    {"score", "entropy", NULL},
    {"score", "entropy", "over", "max", "side", "low", NULL},
    {"score", "first", "head", "0", NULL},
    {"score", "previous", NULL},
    {"score", "induction", NULL},
    {NULL},
};

/* Weights that a pattern has no key for are left as they are: no gradient is there. */
START_TEST(gradients_to_the_pattern_are_slopes)
{
    const float step = 1e-3f;
    il_tensor *roots[1];
    const float *seeds[1];
    double largest = 0;
    double apart = 0;
    part *parts[2];
    scene s;

    scene_open(&s,
               gradient_params[_i][0] != NULL ? "attention_monitor" : "pattern_probe",
               gradient_params[_i]);
    roots[0] = scene_logits(&s);
    seeds[0] = s.seed;
    parts[0] = &s.acts;
    parts[1] = &s.detector;
    trial_backward(&s.run, parts, 2, 1, roots, seeds);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < s.acts.store->items[k].count; i++) {
            float *x = &s.acts.values[k][i];
            const float held = *x;
            double slope;

            if (held <= step || held >= 1.0f - step) { /* the end of its range */
                ck_assert(held > 0 || s.acts.grads[k][i] == 0);
                continue;
            }
            *x = held + step;
            slope = scene_loss(&s);
            *x = held - step;
            slope = (slope - scene_loss(&s)) / (2.0 * (double)step);
            *x = held;
            apart = fmax(apart, fabs(slope - (double)s.acts.grads[k][i]));
            largest = fmax(largest, fabs(slope));
        }
    }
    ck_assert_double_gt(largest, 1e-2);
    ck_assert_msg(apart < 5e-3 * largest, "%d: %g of %g", _i, apart, largest);
    scene_close(&s);
}
END_TEST

/* ---- what they say no to --------------------------------------------------------- */

static void refused(const char *name, const char *const *params, int64_t heads,
                    const char *says)
{
    scene s;

    scene_make(&s, name, params, heads);
    ck_assert_int_eq(api_of(&s)->create(&s.probe.setup, &s.probe.self, &s.probe.err),
                     IL_ERR_INPUT);
    ck_assert_msg(strstr(s.probe.err.message, says) != NULL, "%s", s.probe.err.message);
    part_close(&s.acts);
    il_pass_destroy(s.run.pass);
    free(s.probe.memory);
}

START_TEST(a_site_that_is_no_pattern_is_refused)
{
    static const char *const none[] = {NULL};

    refused("attention_monitor", none, 0, "hook_pattern");
    refused("pattern_probe", none, 0, "hook_pattern");
}
END_TEST

START_TEST(a_head_that_is_not_there_is_refused)
{
    static const char *const fourth[] = {"head", "3", NULL};

    refused("attention_monitor", fourth, H1, "3 heads");
}
END_TEST

START_TEST(scores_by_token_need_tokens)
{
    static const char *const without[] = {"tokens", "false", NULL};
    static const char *const none[] = {NULL};
    il_error err = {.code = IL_OK};
    scene s;

    scene_open(&s, "pattern_probe", none);
    s.ids = NULL;
    (void)scene_logits(&s);
    ck_assert_int_eq(il_pass_status(s.run.pass, &err), IL_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "tokens"));
    scene_close(&s);
    scene_open(&s, "pattern_probe", without);
    s.ids = NULL;
    (void)scene_logits(&s);
    trial_check(&s.run);
    scene_close(&s);
}
END_TEST

START_TEST(a_mask_that_is_not_named_is_asked_for)
{
    static const char *const keys[] = {"score", "keys", NULL};
    il_error err = {.code = IL_OK};
    scene s;

    scene_open(&s, "attention_monitor", keys);
    s.mask = NULL;
    (void)scene_logits(&s);
    ck_assert_int_eq(il_pass_status(s.run.pass, &err), IL_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(err.message, "`keys`"));
    scene_close(&s);
}
END_TEST

START_TEST(a_weight_that_is_no_number_shows_in_its_row_alone)
{
    const char *const params[] = {"score", scores[_i], "over", "max", NULL};
    const float *logits;
    scene s;

    scene_open(&s, "attention_monitor", params);
    for (int k = 0; k < KEYS; k++) {
        s.acts.values[0][k] = NAN;
    }
    logits = il_f32(scene_logits(&s));
    ck_assert(isnan(logits[0]));
    for (int i = 1; i < ROWS; i++) {
        ck_assert(!isnan(logits[i]));
    }
    scene_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patterns");
    TCase *tests = tcase_create("patterns");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, a_score_is_what_its_words_say, 0, SCORES);
    tcase_add_test(tests, the_probe_weighs_every_score_of_every_head);
    tcase_add_loop_test(tests, gradients_to_the_pattern_are_slopes, 0, 6);
    tcase_add_test(tests, a_site_that_is_no_pattern_is_refused);
    tcase_add_test(tests, a_head_that_is_not_there_is_refused);
    tcase_add_test(tests, scores_by_token_need_tokens);
    tcase_add_test(tests, a_mask_that_is_not_named_is_asked_for);
    tcase_add_loop_test(tests, a_weight_that_is_no_number_shows_in_its_row_alone, 0,
                        SCORES);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
