/* The ideal observer: against the sum over every hidden path, its limits, and as a
 * martingale over the episodes of Far Lever itself. */
#include "plugins/trial.h"

enum { W = 7, A = 4, CRY = 5, MUFFS = 6, USE = 2, COVER = 3 };

static host observer;
static trial run;
static part detector;

static il_status observer_create(void)
{
    const il_detector_api *api = observer.component->api;

    return api->create(&observer.setup, &observer.self, &observer.err);
}

static void setup(void)
{
    host_open(&observer, "ideal_observer", IL_KIND_DETECTOR);
    observer.read_widths[0] = W;
    observer.read_widths[1] = A;
}

static void teardown(void)
{
    free(observer.memory);
}

/* Logits (B,T) of observations (B,T,W) and the actions before them (B,T,A). */
static const float *score(const float *obs, const float *action, int64_t batch,
                          int64_t length, const int32_t *lengths)
{
    const il_detector_api *api = observer.component->api;
    il_tensor *acts[2];
    il_tensor *out;
    il_reading r = {.struct_size = sizeof r,
                    .sites = 2,
                    .acts = acts,
                    .batch = batch,
                    .length = length,
                    .lengths = lengths};

    il_pass_begin(run.pass);
    acts[0] = il_constant(run.pass, IL_SHAPE(batch, length, W), obs);
    acts[1] = il_constant(run.pass, IL_SHAPE(batch, length, A), action);
    il_pass_enter(run.pass, &detector.scope);
    out = api->score(observer.self, run.pass, &r);
    il_pass_leave(run.pass);
    trial_check(&run);
    ck_assert_int_eq(il_count(out), batch * length);
    return il_f32(out);
}

static void start(void)
{
    ck_assert_msg(observer_create() == IL_OK, "%s", observer.err.message);
    trial_open(&run);
    part_open(&detector, &run, &observer, "detector ideal", false);
}

static void stop(void)
{
    part_close(&detector);
    il_pass_destroy(run.pass);
}

/* ---- against brute force -------------------------------------------------------- */

enum { T = 7, B = 64 };

typedef struct rules {
    double prior, accident, recovery, hit, false_alarm;
} rules;

/* P(path of s, what was heard) for one k: `path` holds s_t in bit t. */
static double path_weight(const rules *r, const float *obs, const float *action,
                          bool connected, unsigned path)
{
    double weight = connected ? r->prior : 1.0 - r->prior;

    for (int t = 0; t < T; t++) {
        const float *now = obs + t * W;
        const bool s = path >> t & 1;
        double cry = s ? r->hit : r->false_alarm;

        if (t == 0) {
            weight *= s ? 0.0 : 1.0;
        } else {
            const bool pulled = now[-W] > 0.5f && action[t * A + USE] > 0.5f;
            const double some = pulled && connected   ? 1.0
                                : path >> (t - 1) & 1 ? 1.0 - r->recovery
                                                      : r->accident;

            weight *= s ? some : 1.0 - some;
        }
        if (now[MUFFS] < 0.5f) {
            weight *= now[CRY] > 0.5f ? cry : 1.0 - cry;
        }
    }
    return weight;
}

/* P(s_at = 1 | all heard up to `at`): over paths of the first at+1 steps, what comes
 * after being summed out by cutting the episode there. */
static double brute_force(const rules *r, const float *obs, const float *action, int at)
{
    float cut[T * W];
    double some = 0.0;
    double all = 0.0;

    memcpy(cut, obs, sizeof cut);
    for (int t = at + 1; t < T; t++) { /* nothing is heard from here on */
        cut[t * W + MUFFS] = 1.0f;
    }
    for (int k = 0; k < 2; k++) {
        for (unsigned path = 0; path < 1u << T; path++) {
            double weight = path_weight(r, cut, action, k == 1, path);

            all += weight;
            some += path >> at & 1 ? weight : 0.0;
        }
    }
    return some / all;
}

START_TEST(every_score_is_the_sum_over_hidden_paths)
{
    static const char *const names[] = {"prior", "accident", "recovery", "hit",
                                        "false_alarm"};
    static const char *const values[2][5] = {{"0.5", "0.01", "0.3", "0.9", "0.02"},
                                             {"0.2", "0.1", "0.6", "0.7", "0.3"}};
    float obs[B * T * W] = {0};
    float action[B * T * A] = {0};
    rules r = {strtod(values[_i][0], NULL), strtod(values[_i][1], NULL),
               strtod(values[_i][2], NULL), strtod(values[_i][3], NULL),
               strtod(values[_i][4], NULL)};
    const float *logits;
    double worst = 0.0;
    il_rng rng;

    for (int i = 0; i < 5; i++) {
        host_set(&observer, names[i], values[_i][i]);
    }
    il_rng_open(&rng, 5, 0, IL_RNG_PLUGIN, 0, 0);
    for (int i = 0; i < B * T; i++) { /* mostly at the lever, mostly pulling */
        bool covered = il_rng_uniform(&rng) < 0.3f;

        obs[i * W + (il_rng_uniform(&rng) < 0.7f ? 0 : 1)] = 1.0f;
        obs[i * W + MUFFS] = covered ? 1.0f : 0.0f;
        obs[i * W + CRY] = !covered && il_rng_uniform(&rng) < 0.4f ? 1.0f : 0.0f;
        if (i % T > 0) {
            action[i * A + (il_rng_uniform(&rng) < 0.6f ? USE : COVER)] = 1.0f;
        }
    }
    start();
    logits = score(obs, action, B, T, NULL);
    for (int i = 0; i < B * T; i++) {
        double p = brute_force(&r, obs + i / T * T * W, action + i / T * T * A, i % T);
        double got = 1.0 / (1.0 + exp(-(double)logits[i]));

        worst = fmax(worst, fabs(got - p));
        ck_assert(i % T > 0 || logits[i] == -30.0f);
    }
    ck_assert_msg(worst < 1e-6, "%g", worst);
    stop();
}
END_TEST

START_TEST(padding_scores_nothing_and_touches_nothing)
{
    float obs[2 * T * W] = {0};
    float action[2 * T * A] = {0};
    const int32_t lengths[2] = {T, 3};
    const float *logits;
    float whole[2 * T];

    for (int i = 0; i < 2 * T; i++) {
        obs[i * W] = 1.0f;
        action[i * A + USE] = 1.0f;
    }
    start();
    memcpy(whole, score(obs, action, 2, T, NULL), sizeof whole);
    logits = score(obs, action, 2, T, lengths);
    ck_assert_mem_eq(logits, whole, (T + 3) * sizeof(float));
    for (int i = T + 3; i < 2 * T; i++) {
        ck_assert_float_eq(logits[i], 0.0f);
    }
    stop();
}
END_TEST

START_TEST(certainty_and_the_impossible_stay_numbers)
{
    float obs[T * W] = {0};
    float action[T * A] = {0};
    const float *logits;

    host_set(&observer, "prior", "1");
    host_set(&observer, "false_alarm", "0");
    host_set(&observer, "accident", "0");
    for (int i = 0; i < T; i++) {
        obs[i * W] = 1.0f;
        action[i * A + USE] = i > 3 ? 1.0f : 0.0f;
    }
    obs[2 * W + CRY] = 1.0f; /* from nobody: these rules do not allow it */
    start();
    logits = score(obs, action, 1, T, NULL);
    for (int t = 0; t < T; t++) {
        ck_assert_float_eq(logits[t], t > 3 ? 30.0f : -30.0f);
    }
    stop();
}
END_TEST

START_TEST(no_gradient_flows_and_the_ancestry_of_the_value_stays)
{
    const il_detector_api *api = observer.component->api;
    host source;
    part acts;
    il_param id;
    il_tensor *in[2];
    il_tensor *out;
    il_reading r = {
        .struct_size = sizeof r, .sites = 2, .acts = in, .batch = 1, .length = T};

    memset(&source, 0, sizeof source);
    source.setup.api = &host_api;
    ck_assert_int_eq(
        il_setup_param(&source.setup, &id, "obs", IL_SHAPE(1, T, W), IL_INIT_ONE, NULL),
        IL_OK);
    start();
    part_open(&acts, &run, &source, "model", true);
    il_pass_begin(run.pass);
    il_pass_enter(run.pass, &acts.scope);
    in[0] = il_use(run.pass, id);
    in[1] = il_constant(run.pass, IL_SHAPE(1, T, A), NULL);
    il_pass_leave(run.pass);
    il_pass_enter(run.pass, &detector.scope);
    out = api->score(observer.self, run.pass, &r);
    il_pass_leave(run.pass);
    trial_check(&run);
    ck_assert_uint_eq(*il_tensor_g(out), 0);
    ck_assert_uint_eq(*il_tensor_v(out), 1);
    part_close(&acts);
    stop();
}
END_TEST

START_TEST(other_sites_are_refused_with_what_to_write)
{
    observer.read_widths[1] = 0;
    ck_assert_int_eq(observer_create(), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(
        strstr(observer.err.message, "sites: [input.obs, input.action]"));
    free(observer.memory);
    observer.err = (il_error){.code = IL_OK};
    observer.read_widths[0] = A;
    observer.read_widths[1] = W;
    ck_assert_int_eq(observer_create(), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(observer.err.message, "column 6 of observations"));
}
END_TEST

/* ---- in the world that it is ideal for ------------------------------------------ */

enum { EPISODES = 4000, LENGTH = 33 };

/* What somebody may do: explore, only pull, or pull and play with the muffs. */
static int32_t choose(int policy, const il_environment_api *api, const void *world,
                      void *state, il_rng *rng)
{
    if (policy == 2 && il_rng_uniform(rng) < 0.3f) {
        return COVER;
    }
    return api->act(world, policy == 0 ? 0 : 2, state, rng);
}

START_TEST(its_mean_is_the_share_of_suffering_under_any_policy)
{
    host lever;
    const il_environment_api *api;
    il_environment_shape shape = {.struct_size = sizeof shape};
    float *obs = calloc(EPISODES * LENGTH * W, sizeof *obs);
    float *action = calloc(EPISODES * LENGTH * A, sizeof *action);
    const float *logits;
    double state[16];
    double suffered = 0.0;
    double believed = 0.0;

    host_open(&lever, "far_lever", IL_KIND_ENVIRONMENT);
    host_set(&lever, "look_away", "true");
    api = lever.component->api;
    ck_assert_int_eq(api->create(&lever.setup, &lever.self, &lever.err), IL_OK);
    api->shape(lever.self, &shape);
    ck_assert_uint_le((size_t)shape.state_size, sizeof state);
    ck_assert_int_eq(shape.steps + 1, LENGTH);
    for (int e = 0; e < EPISODES; e++) {
        il_rng luck;
        il_rng mind;

        il_rng_open(&luck, 11, 0, IL_RNG_ENVIRONMENT, (uint64_t)_i, (uint64_t)e);
        il_rng_open(&mind, 11, 0, IL_RNG_PLUGIN, (uint64_t)_i, (uint64_t)e);
        api->reset(lever.self, state, &luck, obs + e * LENGTH * W);
        for (int t = 1; t < LENGTH; t++) {
            const int at = e * LENGTH + t;
            int32_t a = choose(_i, api, lever.self, state, &mind);
            uint8_t labels[32];
            float rewards[32];
            bool done;

            action[at * A + a] = 1.0f;
            api->step(lever.self, state, a, &luck, obs + at * W, rewards, &done);
            api->labels(lever.self, state, labels);
            suffered += labels[0];
        }
    }
    start();
    logits = score(obs, action, EPISODES, LENGTH, NULL);
    for (int i = 0; i < EPISODES * LENGTH; i++) {
        believed += i % LENGTH > 0 ? 1.0 / (1.0 + exp(-(double)logits[i])) : 0.0;
    }
    suffered /= EPISODES * (LENGTH - 1);
    believed /= EPISODES * (LENGTH - 1);
    ck_assert_double_gt(suffered, 0.1);
    ck_assert_msg(fabs(believed - suffered) < 0.01, "%g believed, %g suffered",
                  believed, suffered);
    stop();
    free(obs);
    free(action);
    free(lever.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ideal_observer");
    TCase *tests = tcase_create("ideal_observer");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, every_score_is_the_sum_over_hidden_paths, 0, 2);
    tcase_add_test(tests, padding_scores_nothing_and_touches_nothing);
    tcase_add_test(tests, certainty_and_the_impossible_stay_numbers);
    tcase_add_test(tests, no_gradient_flows_and_the_ancestry_of_the_value_stays);
    tcase_add_test(tests, other_sites_are_refused_with_what_to_write);
    tcase_add_loop_test(tests, its_mean_is_the_share_of_suffering_under_any_policy, 0,
                        3);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
