/* The bundled detectors: what they compute against formulas written out, and their
 * gradients, to parameters and to activations, against differences. */
#include "plugins/trial.h"

enum { B = 3, T = 6, W1 = 4, W2 = 3 };

/* Activations as a model would hand them over: two sites that are parameters here,
 * so that gradients reach them, and one probe. */
typedef struct scene {
    trial run;
    host source;
    part acts;
    host probe;
    part detector;
    bool sequences;
    int32_t context;
    int32_t lengths[B];
    float seed[B * T];
} scene;

static void scene_open(scene *s, const char *name, int32_t context)
{
    const int64_t shapes[2][3] = {{B, T, W1}, {B, T, W2}};
    const il_detector_api *api;
    il_param id;

    memset(s, 0, sizeof *s);
    trial_open(&s->run);
    s->source.setup.api = &host_api;
    ck_assert_int_eq(il_setup_param(&s->source.setup, &id, "site0", 3, shapes[0],
                                    IL_INIT_ZERO, NULL),
                     IL_OK);
    ck_assert_int_eq(il_setup_param(&s->source.setup, &id, "site1", 3, shapes[1],
                                    IL_INIT_ZERO, NULL),
                     IL_OK);
    part_open(&s->acts, &s->run, &s->source, "model", true);
    host_open(&s->probe, name, IL_KIND_DETECTOR);
    s->probe.read_widths[0] = W1;
    s->probe.read_widths[1] = W2;
    if (strcmp(name, "mlp_probe") == 0) {
        host_set(&s->probe, "hidden", "5");
    }
    api = s->probe.component->api;
    ck_assert_int_eq(api->create(&s->probe.setup, &s->probe.self, &s->probe.err),
                     IL_OK);
    part_open(&s->detector, &s->run, &s->probe, "detector probe", true);
    s->sequences = api->reads == IL_READS_SEQUENCES;
    s->context = context;
    for (size_t i = 0; i < 2; i++) {
        noise(s->acts.values[i], (size_t)s->acts.store->items[i].count, i, 1.5f);
    }
    for (size_t i = 0; i < s->detector.store->count; i++) {
        noise(s->detector.values[i], (size_t)s->detector.store->items[i].count, 10 + i,
              0.8f);
    }
    for (int b = 0; b < B; b++) {
        s->lengths[b] = b == 1 ? T - 2 : T;
    }
    noise(s->seed, B * T, 20, 1.0f);
    for (int b = 0; b < B; b++) { /* nobody asks for logits at padding */
        for (int t = s->lengths[b]; t < T; t++) {
            s->seed[b * T + t] = 0.0f;
        }
    }
}

static void scene_close(scene *s)
{
    part_close(&s->acts);
    part_close(&s->detector);
    il_pass_destroy(s->run.pass);
    free(s->probe.memory);
}

/* The logits of a fresh pass: (B*T,1) of a reader of rows, (B,T) of one of
 * sequences. */
static il_tensor *scene_score(scene *s)
{
    const il_detector_api *api = s->probe.component->api;
    uint8_t scored[B * T];
    il_tensor *acts[2];
    il_tensor *logits;
    il_reading r = {.struct_size = sizeof r,
                    .sites = 2,
                    .acts = acts,
                    .batch = B,
                    .length = T,
                    .lengths = s->lengths,
                    .scored = scored,
                    .context = s->context};

    memset(scored, 1, sizeof scored);
    il_pass_begin(s->run.pass);
    il_pass_enter(s->run.pass, &s->acts.scope);
    for (int32_t i = 0; i < 2; i++) {
        acts[i] = il_use(s->run.pass, (il_param){i});
        if (!s->sequences) {
            acts[i] = il_reshape(s->run.pass, acts[i], IL_SHAPE(B * T, i ? W2 : W1));
        }
    }
    il_pass_leave(s->run.pass);
    il_pass_enter(s->run.pass, &s->detector.scope);
    logits = api->score(s->probe.self, s->run.pass, &r);
    il_pass_leave(s->run.pass);
    trial_check(&s->run);
    return logits;
}

static double scene_loss(void *context)
{
    scene *s = context;
    const il_tensor *logits = scene_score(s);
    double sum = 0.0;

    for (int i = 0; i < B * T; i++) {
        sum += (double)s->seed[i] * (double)il_f32(logits)[i];
    }
    return sum;
}

/* x_s . w over both sites, w being a row of a (H,W1+W2) parameter. */
static double dot(const scene *s, int64_t position, const float *w)
{
    double sum = 0.0;

    for (int i = 0; i < W1; i++) {
        sum += (double)s->acts.values[0][position * W1 + i] * (double)w[i];
    }
    for (int i = 0; i < W2; i++) {
        sum += (double)s->acts.values[1][position * W2 + i] * (double)w[W1 + i];
    }
    return sum;
}

/* The attention probe's logit at (b,t), with the softmax written out. */
static double attended(const scene *s, int64_t b, int64_t t)
{
    int64_t first = s->context == IL_CONTEXT_SELF ? t : 0;
    int64_t last = s->context == IL_CONTEXT_ALL ? s->lengths[b] - 1 : t;
    double logit = (double)s->detector.values[2][0];

    for (int h = 0; h < 2; h++) {
        const float *query = s->detector.values[0] + h * (W1 + W2);
        const float *value = s->detector.values[1] + h * (W1 + W2);
        double largest = -INFINITY;
        double total = 0.0;
        double sum = 0.0;

        for (int64_t i = first; i <= last; i++) {
            largest = fmax(largest, dot(s, b * T + i, query));
        }
        for (int64_t i = first; i <= last; i++) {
            double e = exp(dot(s, b * T + i, query) - largest);

            total += e;
            sum += e * dot(s, b * T + i, value);
        }
        logit += sum / total;
    }
    return logit;
}

static const int32_t contexts[] = {IL_CONTEXT_SELF, IL_CONTEXT_PAST, IL_CONTEXT_ALL};

static void attention_check(scene *s, double tolerance)
{
    const il_tensor *logits = scene_score(s);

    ck_assert_int_eq(logits->ndim, 2);
    for (int b = 0; b < B; b++) {
        for (int t = 0; t < s->lengths[b]; t++) {
            ck_assert_double_eq_tol((double)il_f32(logits)[b * T + t],
                                    attended(s, b, t), tolerance);
        }
    }
}

START_TEST(the_attention_probe_is_a_softmax_over_what_may_be_read)
{
    scene s;

    scene_open(&s, "attention_probe", contexts[_i]);
    attention_check(&s, 1e-5);
    scene_close(&s);
}
END_TEST

/* Keys hundreds apart, the largest first, in the middle or last: exp of the
 * difference is 0 in one direction and past every float in the other. */
START_TEST(keys_hundreds_apart_do_no_harm)
{
    scene s;
    part *parts[2];
    il_tensor *roots[1];
    const float *seeds[1];

    scene_open(&s, "attention_probe", contexts[_i / 3]);
    for (int t = 0; t < B * T; t++) {
        s.acts.values[0][t * W1] = t % T == _i % 3 * 2 ? 400.0f : -400.0f + (float)t;
    }
    attention_check(&s, 2e-3);
    roots[0] = scene_score(&s);
    seeds[0] = s.seed;
    parts[0] = &s.acts;
    parts[1] = &s.detector;
    trial_backward(&s.run, parts, 2, 1, roots, seeds);
    for (size_t p = 0; p < 2; p++) {
        for (size_t k = 0; k < parts[p]->store->count; k++) {
            for (int64_t i = 0; i < parts[p]->store->items[k].count; i++) {
                ck_assert_float_finite(parts[p]->grads[k][i]);
            }
        }
    }
    scene_close(&s);
}
END_TEST

/* Past what a position may read, and at padding, activations may be anything. */
START_TEST(what_may_not_be_read_changes_no_logit)
{
    scene s;
    float before[B * T];
    const il_tensor *logits;

    scene_open(&s, "attention_probe", IL_CONTEXT_PAST);
    memcpy(before, il_f32(scene_score(&s)), sizeof before);
    for (int i = 0; i < W1; i++) {
        s.acts.values[0][(0 * T + 4) * W1 + i] = 1e6f;     /* later than position 3 */
        s.acts.values[0][(1 * T + T - 1) * W1 + i] = 1e6f; /* padding */
    }
    logits = scene_score(&s);
    ck_assert_mem_eq(before, il_f32(logits), 4 * sizeof(float));
    ck_assert_float_ne(before[4], il_f32(logits)[4]);
    ck_assert_mem_eq(before + T, il_f32(logits) + T, (T - 2) * sizeof(float));
    scene_close(&s);
}
END_TEST

static const char *const probes[] = {"linear_probe", "mlp_probe", "attention_probe",
                                     "attention_probe", "attention_probe"};

START_TEST(gradients_are_slopes_in_parameters_and_activations)
{
    scene s;
    part *parts[2];
    il_tensor *roots[1];
    const float *seeds[1];
    double worst;

    scene_open(&s, probes[_i], _i < 2 ? IL_CONTEXT_SELF : contexts[_i - 2]);
    roots[0] = scene_score(&s);
    seeds[0] = s.seed;
    parts[0] = &s.acts;
    parts[1] = &s.detector;
    trial_backward(&s.run, parts, 2, 1, roots, seeds);
    worst = differences(&s.acts, scene_loss, &s, 2e-3f);
    ck_assert_msg(worst < 5e-3, "activations: %g", worst);
    if (_i == 2) { /* a softmax over one position leaves the queries nothing to do */
        for (int64_t i = 0; i < s.detector.store->items[0].count; i++) {
            ck_assert_float_eq(s.detector.grads[0][i], 0.0f);
        }
    } else {
        worst = differences(&s.detector, scene_loss, &s, 2e-3f);
        ck_assert_msg(worst < 5e-3, "parameters: %g", worst);
    }
    scene_close(&s);
}
END_TEST

START_TEST(the_linear_probe_is_a_weighted_sum_over_both_sites)
{
    scene s;
    const il_tensor *logits;

    scene_open(&s, "linear_probe", IL_CONTEXT_SELF);
    logits = scene_score(&s);
    ck_assert_int_eq(il_rows(logits), B * T);
    ck_assert_int_eq(il_width(logits), 1);
    for (int i = 0; i < B * T; i++) {
        ck_assert_double_eq_tol(
            (double)il_f32(logits)[i],
            dot(&s, i, s.detector.values[0]) + (double)s.detector.values[1][0], 1e-5);
    }
    scene_close(&s);
}
END_TEST

START_TEST(recipes_are_those_of_the_experiment)
{
    static const struct {
        const char *name;
        il_recipe recipe;
    } cases[] = {
        {"linear_probe", {sizeof(il_recipe), "adam", 300, 0.05f, 1e-3f, 0.0f, 1}},
        {"mlp_probe", {sizeof(il_recipe), "adamw", 300, 3e-3f, 0.0f, 1e-2f, 1}},
        {"attention_probe", {sizeof(il_recipe), "adamw", 150, 0.02f, 0.0f, 1e-3f, 1}}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const il_recipe *ours;
        const il_recipe *expected = &cases[i].recipe;
        host h;

        host_open(&h, cases[i].name, IL_KIND_DETECTOR);
        ours = ((const il_detector_api *)h.component->api)->recipe;
        ck_assert_str_eq(ours->method, expected->method);
        ck_assert_int_eq(ours->steps, expected->steps);
        ck_assert_float_eq(ours->lr, expected->lr);
        ck_assert_float_eq(ours->l2, expected->l2);
        ck_assert_float_eq(ours->weight_decay, expected->weight_decay);
        ck_assert_int_eq(ours->standardize, expected->standardize);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probes");
    TCase *tests = tcase_create("probes");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, the_attention_probe_is_a_softmax_over_what_may_be_read,
                        0, 3);
    tcase_add_loop_test(tests, keys_hundreds_apart_do_no_harm, 0, 9);
    tcase_add_test(tests, what_may_not_be_read_changes_no_logit);
    tcase_add_loop_test(tests, gradients_are_slopes_in_parameters_and_activations, 0,
                        5);
    tcase_add_test(tests, the_linear_probe_is_a_weighted_sum_over_both_sites);
    tcase_add_test(tests, recipes_are_those_of_the_experiment);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
