/* Sparse autoencoders: losses, gradients, features and reconstructions as PyTorch has
 * them, gradients in the activations against differences, and what their steps do
 * besides. */
#include "plugins/torch.h"

enum { ROWS = 12, WIDTH = 5, FEATURES = 16 };

typedef struct variant {
    const char *name; /* in the fixture */
    const char *architecture;
    const char *normalize;
    const char *prefixes;
    int dead[4]; /* and one more than the last */
    int dead_count;
    int64_t step; /* of a warm-up of 4 */
} variant;

static const variant variants[] = {
    {"standard", "standard", "none", "", {0}, 0, 9},
    {"topk", "topk", "none", "", {0}, 0, 9},
    {"batchtopk", "batchtopk", "none", "", {0}, 0, 9},
    {"jumprelu", "jumprelu", "none", "", {0}, 0, 9},
    {"gated", "gated", "none", "", {0}, 0, 9},
    {"standard.dead", "standard", "expected_average", "4,9", {1, 4, 7, 13}, 4, 1},
    {"topk.dead", "topk", "expected_average", "4,9", {1, 4, 7, 13}, 4, 1},
    {"batchtopk.dead", "batchtopk", "expected_average", "4,9", {1, 4, 7, 13}, 4, 1},
    {"jumprelu.dead", "jumprelu", "expected_average", "4,9", {1, 4, 7, 13}, 4, 1},
    {"gated.dead", "gated", "expected_average", "4,9", {1, 4, 7, 13}, 4, 1},
    {"one_dead", "topk", "none", "", {6}, 1, 9},
    {"constant_norm", "topk", "constant_norm", "", {0}, 0, 9},
    {"layer_norm", "topk", "layer_norm", "", {0}, 0, 9},
};

/* Rows that are a parameter here, so that gradients reach them, and one autoencoder. */
typedef struct scene {
    trial run;
    host source;
    part rows;
    host dictionary;
    part weights;
    const il_detector_api *api;
    float notes[FEATURES + 1];
} scene;

static void scene_open(scene *s, const variant *v)
{
    il_param id;

    memset(s, 0, sizeof *s);
    fixture_open("sae");
    trial_open(&s->run);
    s->source.setup.api = &host_api;
    ck_assert_int_eq(il_setup_param(&s->source.setup, &id, "x", 2,
                                    (const int64_t[]){ROWS, WIDTH}, IL_INIT_ZERO, NULL),
                     IL_OK);
    part_open(&s->rows, &s->run, &s->source, "model", true);
    host_open(&s->dictionary, "sae", IL_KIND_DETECTOR);
    s->dictionary.read_widths[0] = WIDTH;
    host_set(&s->dictionary, "architecture", v->architecture);
    host_set(&s->dictionary, "normalize", v->normalize);
    host_set(&s->dictionary, "prefixes", v->prefixes);
    host_set(&s->dictionary, "features", "16");
    host_set(&s->dictionary, "k", "3");
    host_set(&s->dictionary, "sparsity", "0.3");
    host_set(&s->dictionary, "sparsity_warmup", "4");
    host_set(&s->dictionary, "bandwidth", "0.4");
    host_set(&s->dictionary, "aux", "0.5");
    s->api = s->dictionary.component->api;
    ck_assert_msg(s->api->create(&s->dictionary.setup, &s->dictionary.self,
                                 &s->dictionary.err) == IL_OK,
                  "%s", s->dictionary.err.message);
    part_open(&s->weights, &s->run, &s->dictionary, "detector sae", true);
    memcpy(s->rows.values[0], stored("", "x")->data, sizeof(float) * ROWS * WIDTH);
    for (size_t i = 0; i < s->weights.store->count; i++) {
        const il_stored *item = &s->weights.store->items[i];

        if (strncmp(item->name, "readout", 7) != 0) {
            float *from = stored_floats("", item->name, item->count);

            memcpy(s->weights.values[i], from, (size_t)item->count * sizeof *from);
            free(from);
        }
    }
    for (int i = 0; i < v->dead_count; i++) {
        s->weights.values[il_store_find(s->weights.store, "idle")][v->dead[i]] = 200;
    }
}

static void scene_close(scene *s)
{
    part_close(&s->rows);
    part_close(&s->weights);
    il_pass_destroy(s->run.pass);
    free(s->dictionary.memory);
    il_safetensors_close(fixture);
}

/* A fresh pass with the rows as they are; `reading` is filled. */
static void begin(scene *s, il_reading *reading, il_tensor **x)
{
    il_pass_begin(s->run.pass);
    il_pass_enter(s->run.pass, &s->rows.scope);
    *x = il_use(s->run.pass, (il_param){0});
    il_pass_leave(s->run.pass);
    *reading = (il_reading){.struct_size = sizeof *reading, .sites = 1, .acts = x};
    il_pass_enter(s->run.pass, &s->weights.scope);
}

static il_tensor *finish(scene *s, il_tensor *y)
{
    il_pass_leave(s->run.pass);
    trial_check(&s->run);
    return y;
}

static il_tensor *loss_of(scene *s, const variant *v)
{
    il_reading reading;
    il_tensor *x;
    il_learning l = {.struct_size = sizeof l,
                     .step = v->step,
                     .steps = 10,
                     .rows = ROWS,
                     .notes = s->notes};

    memset(s->notes, 0, sizeof s->notes);
    begin(s, &reading, &x);
    return finish(s, s->api->loss(s->dictionary.self, s->run.pass, &reading, &l));
}

/* What a slot of one form gives of the rows as they are. */
typedef il_tensor *slot(const void *self, il_pass *pass, const il_reading *r);

static il_tensor *given_by(scene *s, slot *of)
{
    il_reading reading;
    il_tensor *x;

    begin(s, &reading, &x);
    return finish(s, of(s->dictionary.self, s->run.pass, &reading));
}

START_TEST(losses_and_gradients_are_those_of_pytorch)
{
    const variant *v = &variants[_i];
    scene s;
    part *parts[] = {&s.rows, &s.weights};
    float seeds[ROWS];
    const float *seed = seeds;
    char prefix[64];
    il_tensor *rows;

    scene_open(&s, v);
    rows = loss_of(&s, v);
    ck_assert_double_lt(apart(il_f32(rows), v->name, ".loss", ROWS), 1e-5);
    for (int i = 0; i < ROWS; i++) {
        seeds[i] = 1.0f / ROWS;
    }
    trial_backward(&s.run, parts, 2, 1, &rows, &seed);
    (void)snprintf(prefix, sizeof prefix, "%s.grad.", v->name);
    for (size_t i = 0; i < s.weights.store->count; i++) {
        const il_stored *item = &s.weights.store->items[i];
        char full[96];

        (void)snprintf(full, sizeof full, "%s%s", prefix, item->name);
        if (il_safetensors_find(fixture, full) != NULL) {
            double off = apart(s.weights.grads[i], prefix, item->name, item->count);

            ck_assert_msg(off < 1e-5, "%s: off by %g", full, off);
        } else {
            for (int64_t k = 0; k < item->count; k++) {
                ck_assert_msg(s.weights.grads[i][k] == 0.0f, "%s has a gradient", full);
            }
        }
    }
    scene_close(&s);
}
END_TEST

START_TEST(features_and_reconstructions_are_those_of_pytorch)
{
    const variant *v = &variants[_i];
    scene s;
    il_tensor *f;
    il_tensor *y;
    bool by_row = strcmp(v->normalize, "constant_norm") == 0 ||
                  strcmp(v->normalize, "layer_norm") == 0;

    scene_open(&s, v);
    ck_assert_int_eq(s.api->feature_width(s.dictionary.self), FEATURES);
    f = given_by(&s, s.api->features);
    ck_assert_double_lt(apart(il_f32(f), v->name, ".features", ROWS * FEATURES), 1e-5);
    if (!by_row) {
        il_pass_enter(s.run.pass, &s.weights.scope);
        y = finish(&s, s.api->decode(s.dictionary.self, s.run.pass, f));
        ck_assert_double_lt(apart(il_f32(y), v->name, ".reconstruct", ROWS * WIDTH),
                            1e-5);
    }
    y = given_by(&s, s.api->reconstruct);
    ck_assert_double_lt(apart(il_f32(y), v->name, ".reconstruct", ROWS * WIDTH), 1e-5);
    scene_close(&s);
}
END_TEST

/* The derivative in the rows of a weighted sum of what a slot gives. */
static void check_rows_gradient(scene *s, const char *what, slot *of)
{
    il_tensor *y = given_by(s, of);
    int64_t n = il_count(y);
    float *seeds = malloc((size_t)n * sizeof *seeds);
    const float *seed = seeds;
    part *parts[] = {&s->rows, &s->weights};
    float kept[ROWS * WIDTH];

    noise(seeds, (size_t)n, 3, 1.0f);
    trial_backward(&s->run, parts, 2, 1, &y, &seed);
    memcpy(kept, s->rows.grads[0], sizeof kept);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        float *at = s->rows.values[0] + i;
        const float was = *at;
        const float h = 1e-3f;
        double sum[2] = {0, 0};

        for (int side = 0; side < 2; side++) {
            *at = was + (side == 0 ? h : -h);
            y = given_by(s, of);
            for (int64_t k = 0; k < n; k++) {
                sum[side] += (double)seeds[k] * il_f32(y)[k];
            }
        }
        *at = was;
        ck_assert_msg(fabs((sum[0] - sum[1]) / (2 * h) - kept[i]) <
                          1e-2 * (1 + fabs((double)kept[i])),
                      "%s, x[%d]: %g by differences, %g by the tape", what, i,
                      (sum[0] - sum[1]) / (2 * h), (double)kept[i]);
    }
    free(seeds);
}

START_TEST(gradients_reach_the_activations)
{
    const variant *v = &variants[_i];
    scene s;

    scene_open(&s, v);
    noise(s.weights.values[il_store_find(s.weights.store, "readout")], FEATURES, 4, 1);
    check_rows_gradient(&s, "features", s.api->features);
    check_rows_gradient(&s, "reconstruct", s.api->reconstruct);
    check_rows_gradient(&s, "score", s.api->score);
    scene_close(&s);
}
END_TEST

START_TEST(a_step_ends_with_counts_of_idleness_and_a_threshold_that_follows)
{
    scene s;
    il_learning l = {.struct_size = sizeof l, .step = 0, .notes = s.notes};
    float *idle;
    float *threshold;
    float least;

    scene_open(&s, &variants[2]);
    idle = s.weights.values[il_store_find(s.weights.store, "idle")];
    threshold = s.weights.values[il_store_find(s.weights.store, "threshold")];
    (void)loss_of(&s, &variants[2]);
    least = s.notes[FEATURES];
    ck_assert_float_gt(least, 0.0f);
    s.notes[3] = 0;
    s.notes[4] = 2;
    idle[3] = 7;
    idle[4] = 7;
    s.api->after_step(s.dictionary.self, &l, s.weights.values);
    ck_assert_float_eq(idle[3], 8);
    ck_assert_float_eq(idle[4], 0);
    ck_assert_float_eq(threshold[5], least);
    l.step = 1;
    s.notes[FEATURES] = least + 1;
    s.api->after_step(s.dictionary.self, &l, s.weights.values);
    ck_assert_float_eq_tol(threshold[5], least + 0.01f, 1e-5);
    scene_close(&s);
}
END_TEST

START_TEST(what_cannot_be_is_refused_with_a_reason)
{
    static const struct {
        const char *name, *value, *part;
    } wrong[] = {
        {"k", "17", "k is 17 and there are 16 features"},
        {"prefixes", "9,4", "ascending"},
        {"prefixes", "4,99", "none above 16"},
        {"prefixes", "four", "expected at most"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        host h;

        memset(&h, 0, sizeof h);
        host_open(&h, "sae", IL_KIND_DETECTOR);
        h.read_widths[0] = WIDTH;
        host_set(&h, "features", "16");
        host_set(&h, "k", "3");
        host_set(&h, wrong[i].name, wrong[i].value);
        ck_assert_int_eq(((const il_detector_api *)h.component->api)
                             ->create(&h.setup, &h.self, &h.err),
                         IL_ERR_INPUT);
        ck_assert_msg(strstr(h.err.message, wrong[i].part) != NULL, "%s",
                      h.err.message);
        free(h.memory);
    }
}
END_TEST

int main(void)
{
    const int count = sizeof variants / sizeof variants[0];
    Suite *suite = suite_create("sae");
    TCase *t = tcase_create("sae");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, losses_and_gradients_are_those_of_pytorch, 0, count);
    tcase_add_loop_test(t, features_and_reconstructions_are_those_of_pytorch, 0, count);
    tcase_add_loop_test(t, gradients_reach_the_activations, 0, count);
    tcase_add_test(t, a_step_ends_with_counts_of_idleness_and_a_threshold_that_follows);
    tcase_add_test(t, what_cannot_be_is_refused_with_a_reason);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
