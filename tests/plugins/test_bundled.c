/* What ships, by the words of a pipeline: every plugin's example makes an instance
 * of it through the registry, with its params checked against its table. */
#include "pipeline/instance.h"
#include "pipeline/composer.h"
#include <check.h>
#include <stdlib.h>

static il_log *notes;
static il_registry *registry;
static il_arena *arena;
static il_problems problems;
static il_facts facts;
static il_error err;

static void setup(void)
{
    char folder[512];

    notes = il_log_create();
    arena = il_arena_create(1 << 14);
    problems = (il_problems){.arena = arena};
    facts = (il_facts){.count = 0};
    err = (il_error){.code = IL_OK};
    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    ck_assert_ptr_nonnull(getenv("IL_ROOT"));
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_int_eq(il_registry_create(&registry, notes, &err), IL_OK);
    ck_assert_msg(il_registry_add_folder(registry, folder, true, &err) == IL_OK, "%s",
                  err.message);
}

static void teardown(void)
{
    il_registry_destroy(registry);
    il_arena_destroy(arena);
    il_log_destroy(notes);
}

static void facts_set(const char *name, int64_t value)
{
    (void)snprintf(facts.items[facts.count].name, sizeof facts.items[0].name, "%s",
                   name);
    facts.items[facts.count++].value = value;
}

/* The instance that `at` in the plugin's example.yaml asks for; its `root`, a text
 * with a variable in it, is left to the default. */
static il_instance *example_make(const char *folder, il_kind kind, const char *at)
{
    static const int64_t widths[] = {64, 64};
    static const int64_t heads[2] = {4, 4};
    char path[512];
    char use[64];
    il_component_spec spec = {.range = "^1.0"};
    il_instance_input in = {.label = "example", .seed = 1, .facts = &facts};
    il_instance *out = NULL;
    const il_node *node;
    const il_node *tree;
    il_text said = {0};

    (void)snprintf(path, sizeof path, "%s/plugins/%s/example.yaml", getenv("IL_ROOT"),
                   folder);
    tree = il_compose_file(arena, path, &problems);
    ck_assert_ptr_nonnull(tree);
    node = il_node_find(tree, at);
    ck_assert_msg(node != NULL, "no %s in %s", at, path);
    (void)snprintf(use, sizeof use, "%s", il_node_get(node, "use")->text);
    ck_assert_str_eq(use + strcspn(use, "@"), "@^1.0");
    use[strcspn(use, "@")] = '\0';
    spec.use = use;
    spec.params = kind == IL_KIND_DATASET ? NULL : il_node_get(node, "params");
    in.log = notes;
    if (kind == IL_KIND_DETECTOR) {
        in.site_widths = widths;
        in.site_heads = strstr(folder, "attention_monitor") != NULL ||
                                strstr(folder, "pattern_probe") != NULL
                            ? heads
                            : NULL;
        in.site_count =
            il_node_get(node, "site") != NULL ? 1 : 2; /* sites, or detectors */
    }
    if (il_instance_create(&out, registry, kind, &spec, &in, &problems, &err) !=
        IL_OK) {
        il_problems_write(&problems, &said);
        ck_abort_msg("%s: %s: %s%s", folder, err.where, err.message,
                     said.data != NULL ? said.data : "");
    }
    ck_assert(!il_problems_any(&problems));
    return out;
}

START_TEST(the_examples_data_gives_the_model_its_sizes)
{
    il_instance *data =
        example_make("datasets/wordnet_personas", IL_KIND_DATASET, "data");
    il_instance *model = example_make("models/gpt", IL_KIND_MODEL, "model");
    size_t floats = 0;

    ck_assert_uint_eq(facts.count, 2);
    ck_assert_int_ge(il_instance_site(model, "blocks.2.hook_resid_post"), 0);
    for (size_t i = 0; i < model->store->count; i++) {
        floats += (size_t)model->store->items[i].count;
    }
    ck_assert_uint_eq(floats, 332608); /* the experiment's third of a million */
    il_instance_destroy(model);
    il_instance_destroy(data);
}
END_TEST

START_TEST(an_environments_facts_give_the_agent_its_sizes)
{
    static const struct {
        const char *group;
        size_t floats;
    } groups[] = {{"belief", 96 * 11 + 96 + 96 * 32 + 96},
                  {"prediction", 32 * 36 + 32 + 7 * 32 + 7},
                  {"desire", 2 * (32 * 32 + 32) + 4 * 32 + 4 + 32 + 1}};
    il_instance *model;

    facts_set("observation", 7);
    facts_set("observation_classes", 5);
    facts_set("actions", 4);
    model = example_make("models/belief_desire", IL_KIND_MODEL, "model");
    for (size_t g = 0; g < 3; g++) {
        size_t floats = 0;

        for (size_t i = 0; i < model->store->count; i++) {
            if (strcmp(model->store->items[i].group, groups[g].group) == 0) {
                floats += (size_t)model->store->items[i].count;
            }
        }
        ck_assert_uint_eq(floats, groups[g].floats);
    }
    il_instance_destroy(model);
}
END_TEST

/* A normal start with the deviations that the model states: over 65,000 draws for
 * the embedding. */
START_TEST(a_model_starts_with_the_spread_it_states)
{
    static const struct {
        const char *name;
        double deviation;
    } cases[] = {{"embed.W_E", 0.02},
                 {"unembed.W_U", 0.02},
                 {"blocks.1.mlp.W_in", 0.02},
                 {"blocks.1.mlp.W_out", 0.00707107},
                 {"blocks.3.attn.W_O", 0.00707107}};
    il_instance *model;

    facts_set("vocabulary", 1014);
    facts_set("context", 43);
    model = example_make("models/gpt", IL_KIND_MODEL, "model");
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int64_t at = il_store_find(model->store, cases[k].name);
        const il_stored *s;
        double squares = 0.0;

        ck_assert_int_ge(at, 0);
        s = &model->store->items[at];
        for (int64_t i = 0; i < s->count; i++) {
            double x = (double)model->store->values[s->offset + i];

            squares += x * x;
        }
        squares /= (double)s->count * cases[k].deviation * cases[k].deviation;
        ck_assert_msg(squares > 0.9 && squares < 1.1, "%s: %g", s->name, squares);
    }
    il_instance_destroy(model);
}
END_TEST

static const char *const environments[] = {"environments/far_lever",
                                           "environments/little_atlas"};

START_TEST(the_examples_environments_can_be_made)
{
    il_instance *e = example_make(environments[_i], IL_KIND_ENVIRONMENT, "environment");

    ck_assert_int_gt(e->field_count, e->own_fields);
    ck_assert_uint_ge(facts.count, 2);
    il_instance_destroy(e);
}
END_TEST

static const struct {
    const char *folder;
    const char *at;
    size_t floats;
} probes[] = {
    {"detectors/linear_probe", "detectors.probe", 65},
    {"detectors/mlp_probe", "detectors.probe", 64 * 64 + 64 + 64 + 1},
    {"detectors/attention_probe", "detectors.auditor", 2 * 64 * 2 + 1},
    {"detectors/mean_difference", "detectors.probe", 65},
    {"detectors/lda", "detectors.probe", 65},
    {"detectors/mahalanobis", "detectors.probe", 64 + 64 * 64 + 2},
    {"detectors/relative_mahalanobis", "detectors.probe", 2 * (64 + 64 * 64) + 2},
    {"detectors/polynomial_probe", "detectors.probe", 64 + 64 + 1 + 64 + 8 * 64 + 8},
    {"detectors/knn", "detectors.probe", 512 * 64 + 1 + 2},
    {"detectors/attention_monitor", "detectors.induction", 0},
    {"detectors/pattern_probe", "detectors.heads", 2 * 4 * 6 + 1},
    {"detectors/ensemble", "detectors.both", 0},
    {"detectors/cascade", "detectors.staged", 0},
    {"detectors/ideal_observer", "detectors.ideal", 0}};

START_TEST(the_examples_detectors_have_the_parameters_they_state)
{
    il_instance *probe =
        example_make(probes[_i].folder, IL_KIND_DETECTOR, probes[_i].at);
    size_t floats = 0;

    for (size_t i = 0; i < probe->store->count; i++) {
        floats += (size_t)probe->store->items[i].count;
    }
    ck_assert_uint_eq(floats, probes[_i].floats);
    il_instance_destroy(probe);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bundled");
    TCase *tests = tcase_create("bundled");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_examples_data_gives_the_model_its_sizes);
    tcase_add_test(tests, an_environments_facts_give_the_agent_its_sizes);
    tcase_add_loop_test(tests, the_examples_environments_can_be_made, 0, 2);
    tcase_add_test(tests, a_model_starts_with_the_spread_it_states);
    tcase_add_loop_test(tests, the_examples_detectors_have_the_parameters_they_state, 0,
                        (int)(sizeof probes / sizeof probes[0]));
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
