/* Components made from a pipeline's words: what is declared, and what a create that
 * goes wrong leads to. */
#include "pipeline/instance.h"
#include "../plugin/support.h"
#include "pipeline/batch.h"
#include "pipeline/composer.h"

static char folder[64];
static il_registry *registry;
static il_arena *arena;
static il_problems problems;
static il_facts facts;
static il_error err;
static const int64_t widths[] = {6};
static char logged[256];

/* The plugin is built once; every test loads it in its own process. */
static void build_plugin(void)
{
    folder_make(folder);
    build(folder, "three", "three", "");
    stamp(folder, "three");
}

static void drop_plugin(void)
{
    folder_drop(folder);
}

static void open_registry(void)
{
    registry = registry_of(folder);
    arena = il_arena_create(1 << 12);
    problems = (il_problems){.arena = arena};
    facts = (il_facts){0};
    err = (il_error){0};
}

static void close_registry(void)
{
    il_registry_destroy(registry);
    il_arena_destroy(arena);
}

static void sink(void *user, il_log_level level, const char *component,
                 const char *line)
{
    (void)user;
    (void)level;
    (void)snprintf(logged, sizeof logged, "%s|%s", component, line);
}

static il_status make(il_instance **out, il_kind kind, const char *use,
                      const char *yaml, il_log *log)
{
    il_place place = {"p.yaml", 4, 2};
    il_component_spec spec = {.use = use, .range = "^1.2", .place = place};
    il_instance_input in = {.label = "label", .seed = 5, .facts = &facts, .log = log};

    spec.use_place = (il_place){"p.yaml", 5, 7};
    if (yaml != NULL) {
        spec.params = il_compose(arena, "p.yaml", yaml, strlen(yaml), &problems);
    }
    if (kind == IL_KIND_DETECTOR) {
        in.site_widths = widths;
        in.site_count = 1;
    }
    return il_instance_create(out, registry, kind, &spec, &in, &problems, &err);
}

START_TEST(a_model_keeps_what_it_declares)
{
    il_log *log = il_log_create();
    il_instance *i = NULL;

    ck_assert_int_eq(il_log_add(log, IL_LOG_INFO, sink, NULL), 0);
    facts.count = 1;
    strcpy(facts.items[0].name, "vocabulary");
    facts.items[0].value = 10;
    ck_assert_msg(
        make(&i, IL_KIND_MODEL, "three.net", "{width: 3, note: hello}", log) == IL_OK,
        "%s", err.message);
    ck_assert_str_eq(i->label, "label");
    ck_assert_uint_eq(i->store->count, 2);
    ck_assert_str_eq(i->store->items[0].name, "weight");
    ck_assert_str_eq(i->store->items[0].group, "model");
    ck_assert_str_eq(i->store->items[1].group, "head");
    ck_assert_int_eq(i->store->items[0].shape[0], 11);
    ck_assert(i->store->values[i->store->items[0].offset] != 0.0f);
    ck_assert(i->store->values[i->store->items[1].offset] == 1.0f);
    ck_assert_uint_eq(i->site_count, 2);
    ck_assert_int_eq(il_instance_site(i, "second"), 1);
    ck_assert_int_eq(i->sites[1].width, 6);
    ck_assert_int_eq(il_instance_site(i, "third"), -1);
    ck_assert_str_eq(i->outputs[0].name, "logits");
    ck_assert_int_eq(i->outputs[0].width, 11);
    ck_assert_str_eq(i->losses[0].name, "belief");
    ck_assert_str_eq(i->losses[0].weights, "weights");
    ck_assert_str_eq(logged, "label|hello");
    il_instance_destroy(i);
    il_log_destroy(log);
}
END_TEST

START_TEST(the_identity_says_what_the_instance_was_made_of)
{
    il_instance *i = NULL;
    char expected[512];

    ck_assert_int_eq(make(&i, IL_KIND_MODEL, "three.net", "{width: 3}", NULL), IL_OK);
    (void)snprintf(expected, sizeof expected,
                   "three.net 1.2.3 %s {\"width\":3,\"scale\":0.5,\"tied\":true,"
                   "\"note\":\"none\",\"mode\":\"plain\"}",
                   il_registry_file(registry, 0)->sha256);
    ck_assert_str_eq(i->identity, expected);
    il_instance_destroy(i);
}
END_TEST

START_TEST(a_dataset_publishes_facts_and_fills_batches)
{
    il_instance *i = NULL;
    il_batch *b = NULL;
    const il_tensor *t;

    ck_assert_int_eq(make(&i, IL_KIND_DATASET, "three.rows", NULL, NULL), IL_OK);
    ck_assert_uint_eq(facts.count, 2);
    ck_assert_str_eq(facts.items[1].name, "context");
    ck_assert_int_eq(facts.items[1].value, 5);
    ck_assert_int_eq(il_batch_create(&b, &err), IL_OK);
    il_batch_reset(b, 2);
    ck_assert_int_eq(il_instance_dataset(i)->get(i->self, 0, 7, 2, b, &err), IL_OK);
    ck_assert_int_eq(il_batch_status(b, &err), IL_OK);
    t = il_batch_find(b, "tokens");
    ck_assert_int_eq(il_i32(t)[9], 16);
    il_batch_destroy(b);
    il_instance_destroy(i);
    /* Another one that says the same is no contradiction, one that says otherwise
     * is. */
    ck_assert_int_eq(make(&i, IL_KIND_DATASET, "three.rows", NULL, NULL), IL_OK);
    il_instance_destroy(i);
    facts.items[0].value = 11;
    ck_assert_int_eq(make(&i, IL_KIND_DATASET, "three.rows", NULL, NULL), IL_ERR_INPUT);
    expect_in(err.message, "'vocabulary' as 10, and it is 11 already");
}
END_TEST

START_TEST(a_detector_is_told_its_sites)
{
    il_instance *i = NULL;

    ck_assert_int_eq(make(&i, IL_KIND_DETECTOR, "three.probe", NULL, NULL), IL_OK);
    ck_assert_int_eq(i->store->items[0].shape[1], 6);
    ck_assert_ptr_nonnull(il_instance_detector(i)->score);
    il_instance_destroy(i);
}
END_TEST

START_TEST(all_wrong_params_become_problems)
{
    il_instance *i = NULL;
    il_text text = {0};

    ck_assert_int_eq(
        make(&i, IL_KIND_MODEL, "three.net", "{width: 65, depth: 2}", NULL),
        IL_ERR_INPUT);
    ck_assert_ptr_null(i);
    ck_assert_uint_eq(problems.count, 2);
    il_problems_write(&problems, &text);
    expect_in(text.data, "p.yaml:1:9: error: ");
    expect_in(text.data, "found '65'");
    expect_in(text.data, "model 'three.net' has no parameter 'depth'");
    il_text_free(&text);
}
END_TEST

START_TEST(a_component_that_is_not_there_is_told_with_its_line)
{
    il_instance *i = NULL;

    ck_assert_int_eq(make(&i, IL_KIND_MODEL, "three.nut", NULL, NULL), IL_ERR_INPUT);
    ck_assert_str_eq(err.where, "p.yaml:5:7");
    expect_in(err.message, "did you mean 'three.net'?");
}
END_TEST

typedef struct failing {
    il_kind kind;
    const char *use;
    const char *params;
    il_status code;
    const char *message;
} failing;

static const failing failures[] = {
    {IL_KIND_MODEL, "three.net", "{mode: late}", IL_ERR_SHAPE,
     "model 'three.net' 1.2.3: net: width 4 is no good"},
    {IL_KIND_MODEL, "three.net", "{mode: silent}", IL_ERR_IO,
     "create failed without a reason"},
    {IL_KIND_MODEL, "three.net", "{mode: twice}", IL_ERR_INPUT,
     "site 'first' is declared twice"},
    {IL_KIND_MODEL, "three.net", "{mode: param}", IL_ERR_INPUT, "parameter 'bias': "},
    {IL_KIND_MODEL, "three.net", "{mode: unknown}", IL_ERR_INTERNAL,
     "asks for the parameter 'depth', which its table does not have"},
    {IL_KIND_MODEL, "three.net", "{mode: mistyped}", IL_ERR_INTERNAL,
     "asks for the parameter 'width' as another type"},
    {IL_KIND_MODEL, "three.net", "{mode: nothing}", IL_ERR_INTERNAL,
     "create gave no instance"},
    {IL_KIND_MODEL, "three.net", "{mode: publish}", IL_ERR_UNSUPPORTED,
     "only a dataset or an environment may"},
    {IL_KIND_DETECTOR, "three.probe", "{fault: site}", IL_ERR_INPUT,
     "asks for site 1, and it reads 1"},
    {IL_KIND_DETECTOR, "three.probe", "{fault: declare}", IL_ERR_UNSUPPORTED,
     "a site is for models to declare"},
};

START_TEST(a_failed_create_leaves_nothing_and_says_why)
{
    const failing *f = &failures[_i];
    il_instance *i = NULL;

    ck_assert_int_eq(make(&i, f->kind, f->use, f->params, NULL), f->code);
    ck_assert_ptr_null(i);
    ck_assert_str_eq(err.where, "p.yaml:5:7");
    expect_in(err.message, f->message);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("instance");

    tcase_add_unchecked_fixture(tc, build_plugin, drop_plugin);
    tcase_add_checked_fixture(tc, open_registry, close_registry);
    tcase_add_test(tc, a_model_keeps_what_it_declares);
    tcase_add_test(tc, the_identity_says_what_the_instance_was_made_of);
    tcase_add_test(tc, a_dataset_publishes_facts_and_fills_batches);
    tcase_add_test(tc, a_detector_is_told_its_sites);
    tcase_add_test(tc, all_wrong_params_become_problems);
    tcase_add_test(tc, a_component_that_is_not_there_is_told_with_its_line);
    tcase_add_loop_test(tc, a_failed_create_leaves_nothing_and_says_why, 0,
                        (int)(sizeof failures / sizeof failures[0]));
    return run_plugin_case(tc);
}
