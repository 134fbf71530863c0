/* The attention probe against PyTorch: logits at the scored positions and every
 * gradient, for each way of knowing positions. */
#include "plugins/torch.h"

enum { B = 3, T = 7, W = 5, HEADS = 3, DISTANCES = 4 };

static const char *const positions[] = {"none", "linear", "distance"};
static const char *const contexts[] = {"past", "all"};

typedef struct scene {
    trial run;
    host source;
    part acts;
    host probe;
    part detector;
    int32_t lengths[B];
    uint8_t scored[B * T];
    int32_t context;
} scene;

static void scene_open(scene *s, const char *position, int32_t context)
{
    const int64_t shape[3] = {B, T, W};
    const il_detector_api *api;
    float *x = stored_floats("", "x", B * T * W);
    il_param id;

    memset(s, 0, sizeof *s);
    trial_open(&s->run);
    s->source.setup.api = &host_api;
    ck_assert_int_eq(
        il_setup_param(&s->source.setup, &id, "x", 3, shape, IL_INIT_ZERO, NULL),
        IL_OK);
    part_open(&s->acts, &s->run, &s->source, "model", true);
    memcpy(s->acts.values[0], x, sizeof(float) * B * T * W);
    free(x);
    host_open(&s->probe, "attention_probe", IL_KIND_DETECTOR);
    s->probe.read_widths[0] = W;
    host_set(&s->probe, "heads", "3");
    host_set(&s->probe, "position", position);
    host_set(&s->probe, "distances", "4");
    api = s->probe.component->api;
    ck_assert_int_eq(api->create(&s->probe.setup, &s->probe.self, &s->probe.err),
                     IL_OK);
    part_open(&s->detector, &s->run, &s->probe, "detector probe", true);
    fixture_fill(&s->detector);
    for (int b = 0; b < B; b++) {
        s->lengths[b] = b == 1 ? T - 3 : T;
        for (int t = 0; t < s->lengths[b]; t++) {
            s->scored[b * T + t] = 1;
        }
    }
    s->context = context;
}

static void scene_close(scene *s)
{
    part_close(&s->acts);
    part_close(&s->detector);
    il_pass_destroy(s->run.pass);
    free(s->probe.memory);
}

static il_tensor *scene_score(scene *s)
{
    const il_detector_api *api = s->probe.component->api;
    il_tensor *acts[1];
    il_tensor *logits;
    il_reading r = {.struct_size = sizeof r,
                    .sites = 1,
                    .acts = acts,
                    .batch = B,
                    .length = T,
                    .lengths = s->lengths,
                    .scored = s->scored,
                    .context = s->context};

    il_pass_begin(s->run.pass);
    il_pass_enter(s->run.pass, &s->acts.scope);
    acts[0] = il_use(s->run.pass, (il_param){0});
    il_pass_leave(s->run.pass);
    il_pass_enter(s->run.pass, &s->detector.scope);
    logits = api->score(s->probe.self, s->run.pass, &r);
    il_pass_leave(s->run.pass);
    trial_check(&s->run);
    return logits;
}

START_TEST(logits_and_every_gradient_are_pytorchs)
{
    char prefix[64];
    float scores[B * T];
    part *parts[2];
    il_tensor *root;
    float *seed = stored_floats("", "seed", B * T);
    const float *seeds = seed;
    double worst;
    scene s;

    (void)snprintf(prefix, sizeof prefix, "%s.%s.", positions[_i / 2],
                   contexts[_i % 2]);
    scene_open(&s, positions[_i / 2], _i % 2 == 0 ? IL_CONTEXT_PAST : IL_CONTEXT_ALL);
    root = scene_score(&s);
    for (int i = 0; i < B * T; i++) {
        scores[i] = s.scored[i] != 0 ? il_f32(root)[i] : 0.0f;
    }
    worst = apart(scores, prefix, "logits", B * T);
    ck_assert_msg(worst < 1e-5, "%slogits: %g", prefix, worst);
    parts[0] = &s.acts;
    parts[1] = &s.detector;
    trial_backward(&s.run, parts, 2, 1, &root, &seeds);
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < parts[k]->store->count; i++) {
            const il_stored *item = &parts[k]->store->items[i];
            char name[64];

            (void)snprintf(name, sizeof name, "grad.%s", item->name);
            worst = apart(parts[k]->grads[i], prefix, name, item->count);
            ck_assert_msg(worst < 1e-5, "%s%s: %g", prefix, name, worst);
        }
    }
    free(seed);
    scene_close(&s);
}
END_TEST

/* A bias at zero, and slopes at zero, are attention that knows no positions. */
START_TEST(without_biases_positions_do_not_matter)
{
    float before[B * T];
    scene s;

    scene_open(&s, "none", IL_CONTEXT_PAST);
    memcpy(before, il_f32(scene_score(&s)), sizeof before);
    scene_close(&s);
    for (int k = 1; k < 3; k++) {
        const float *logits;

        scene_open(&s, positions[k], IL_CONTEXT_PAST);
        memset(s.detector.values[3], 0,
               (size_t)s.detector.store->items[3].count * sizeof(float));
        logits = il_f32(scene_score(&s));
        for (int i = 0; i < B * T; i++) {
            if (s.scored[i] != 0) {
                ck_assert_float_eq_tol(logits[i], before[i], 1e-5f);
            }
        }
        scene_close(&s);
    }
}
END_TEST

/* Nobody asks for logits at positions that are not scored: they cost nothing. */
START_TEST(distances_are_weighed_at_scored_positions_alone)
{
    float before[B * T];
    const float *logits;
    scene s;

    scene_open(&s, "distance", IL_CONTEXT_PAST);
    memcpy(before, il_f32(scene_score(&s)), sizeof before);
    s.scored[2] = 0;
    logits = il_f32(scene_score(&s));
    ck_assert_float_eq(logits[2], s.detector.values[2][0]);
    ck_assert_mem_eq(before + 3, logits + 3, 4 * sizeof(float));
    scene_close(&s);
}
END_TEST

static void setup(void)
{
    fixture_open("attention_probe");
}

static void teardown(void)
{
    il_safetensors_close(fixture);
}

int main(void)
{
    Suite *suite = suite_create("attention_probe");
    TCase *tests = tcase_create("attention_probe");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, logits_and_every_gradient_are_pytorchs, 0, 6);
    tcase_add_test(tests, without_biases_positions_do_not_matter);
    tcase_add_test(tests, distances_are_weighed_at_scored_positions_alone);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
