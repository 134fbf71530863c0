/* What an entry may not say of itself, one broken thing at a time. */
#include "plugin/entry.h"
#include "support.h"

static il_status create(const il_setup *s, void **self, il_error *err)
{
    (void)s;
    (void)self;
    (void)err;
    return IL_OK;
}

static il_tensor *score(const void *self, il_pass *pass, const il_reading *r)
{
    (void)self;
    (void)pass;
    (void)r;
    return NULL;
}

static void shape(const void *self, il_environment_shape *out)
{
    (void)self;
    (void)out;
}

static const il_field *fields(const void *self, int32_t *count)
{
    (void)self;
    *count = 0;
    return NULL;
}

static void fingerprint(const void *self, uint8_t out[32])
{
    (void)self;
    (void)out;
}

static void start(const void *self, void *state, il_rng *rng, float *obs)
{
    (void)self;
    (void)state;
    (void)rng;
    (void)obs;
}

static void step(const void *self, void *state, int32_t action, il_rng *rng, float *obs,
                 float *rewards, bool *done)
{
    (void)self;
    (void)state;
    (void)action;
    (void)rng;
    (void)obs;
    (void)rewards;
    (void)done;
}

static int32_t act(const void *self, int32_t policy, void *state, il_rng *rng)
{
    (void)self;
    (void)policy;
    (void)state;
    (void)rng;
    return 0;
}

static il_status fit(const void *self, const il_fitting *f, il_error *err)
{
    (void)self;
    (void)f;
    (void)err;
    return IL_OK;
}

static il_tensor *decode(const void *self, il_pass *pass, il_tensor *features)
{
    (void)self;
    (void)pass;
    return features;
}

static il_tensor *edit(const void *self, il_pass *pass, il_tensor *x, const il_edit *e)
{
    (void)self;
    (void)pass;
    (void)e;
    return x;
}

static void forward(const void *self, il_pass *pass, const il_batch *batch)
{
    (void)self;
    (void)pass;
    (void)batch;
}

/* A valid entry and all that it points to, to be broken. */
static const char *choices[] = {"a", "b", NULL};
static il_param_spec params[3];
static il_recipe recipe;
static il_detector_api detector;
static il_model_api model;
static il_dataset_api dataset;
static il_environment_api environment;
static il_component components[2];
static il_plugin plugin;

static void reset(void)
{
    const il_param_spec fresh[] = {
        IL_PARAM_INT("count", "3", 1, 9, "", "how many"),
        IL_PARAM_CHOICE("mode", "a", choices, "how"),
        IL_PARAM_TEXT("file", NULL, IL_PARAM_REQUIRED, "what"),
    };

    memcpy(params, fresh, sizeof params);
    recipe = (il_recipe){sizeof recipe, "adam", 10, 0.1f, 0, 0, 1};
    detector = (il_detector_api){.struct_size = sizeof detector,
                                 .reads = IL_READS_ROWS,
                                 .recipe = &recipe,
                                 .create = create,
                                 .score = score};
    model = (il_model_api){
        .struct_size = sizeof model, .create = create, .forward = forward};
    dataset = (il_dataset_api){.struct_size = sizeof dataset, .create = create};
    environment = (il_environment_api){.struct_size = sizeof environment,
                                       .form = IL_ENVIRONMENT_STEPS,
                                       .create = create,
                                       .shape = shape,
                                       .fields = fields,
                                       .fingerprint = fingerprint,
                                       .reset = start,
                                       .step = step};
    components[0] = (il_component)IL_DETECTOR("probe", NULL, &detector, params, 3);
    components[1] = (il_component)IL_MODEL("net", "a net", &model, IL_NO_PARAMS);
    plugin = (il_plugin){{{'I', 'L', 'P', 'L', 'U', 'G', 'I', 'N'},
                          IL_ABI_MAJOR,
                          IL_ABI_MINOR,
                          0,
                          0,
                          sizeof plugin,
                          0,
                          0},
                         "lab",
                         "1.0.0",
                         "MIT",
                         "somebody",
                         "for tests",
                         components,
                         2};
}

#define REFUSED(change, part)                                                          \
    do {                                                                               \
        il_error err_ = {0};                                                           \
        reset();                                                                       \
        change;                                                                        \
        ck_assert_int_eq(il_entry_check(&plugin, "x.so", &err_), IL_ERR_INPUT);        \
        ck_assert_str_eq(err_.where, "x.so");                                          \
        expect_in(err_.message, part);                                                 \
    } while (0)

START_TEST(a_valid_entry_passes)
{
    il_error err = {0};

    reset();
    ck_assert_msg(il_entry_check(&plugin, "x.so", &err) == IL_OK, "%s", err.message);
    detector.recipe = NULL;
    ck_assert_int_eq(il_entry_check(&plugin, "x.so", &err), IL_OK);
    ck_assert_int_eq(il_prefix_check(&plugin.prefix, "x.so", &err), IL_OK);
}
END_TEST

START_TEST(a_newer_minor_passes_when_it_accepts_this_host)
{
    il_error err = {0};

    reset();
    plugin.prefix.abi_minor = 9;
    plugin.prefix.entry_size += 8;
    ck_assert_int_eq(il_prefix_check(&plugin.prefix, "x.so", &err), IL_OK);
}
END_TEST

START_TEST(texts_that_are_absent_or_misshapen_are_refused)
{
    REFUSED(plugin.space = NULL, "namespace");
    REFUSED(plugin.space = "My.Lab", "namespace");
    REFUSED(plugin.version = NULL, "version like");
    REFUSED(plugin.version = "1.0", "version like");
    REFUSED(plugin.licence = NULL, "a licence");
    REFUSED(plugin.author = NULL, "an author");
    REFUSED(plugin.summary = NULL, "a summary");
    REFUSED(components[0].name = NULL, "'(no name)': expected a name");
    REFUSED(components[0].name = "Probe", "'Probe': expected a name");
}
END_TEST

START_TEST(components_that_cannot_be_used_are_refused)
{
    REFUSED(plugin.component_count = 0, "offers no component");
    REFUSED(plugin.components = NULL, "offers no component");
    REFUSED(components[0].struct_size = 8, "other headers");
    REFUSED(components[0].api = NULL, "no table of functions");
    REFUSED(components[0].kind = (il_kind)99, "its kind is none");
    REFUSED(components[1] = components[0], "two components of a kind");
    REFUSED(model.forward = NULL, "needs `create` and `forward`");
    REFUSED(model.struct_size = 8, "needs `create` and `forward`");
    REFUSED(detector.score = NULL, "needs `create` and `score`");
    REFUSED(detector.reads = (il_reads)5, "neither rows nor sequences");
    REFUSED((detector.reads = IL_READS_SEQUENCES, detector.fit = fit),
            "`fit` is for a detector that reads rows");
    REFUSED((detector.reads = IL_READS_SEQUENCES, detector.reconstruct = score),
            "are for a detector that reads rows");
    REFUSED(detector.features = score, "both `features` and `feature_width`");
    REFUSED(detector.decode = decode, "`decode` is of features");
    REFUSED((detector.reads = IL_READS_SEQUENCES, detector.edit = edit),
            "`edit` is for a detector that reads rows");
    REFUSED(recipe.method = "sgd", "recipe's method");
    REFUSED(recipe.method = NULL, "recipe's method");
    REFUSED(recipe.steps = 0, "numbers that cannot be");
    REFUSED((components[0].kind = IL_KIND_DATASET, components[0].api = &dataset),
            "a dataset needs");
}
END_TEST

#define REFUSED_ENVIRONMENT(change, part)                                              \
    REFUSED((components[1] = (il_component)IL_ENVIRONMENT("net", NULL, &environment,   \
                                                          IL_NO_PARAMS),               \
             change),                                                                  \
            part)

START_TEST(environments_need_the_slots_of_their_form)
{
    il_error err = {0};

    reset();
    components[1] =
        (il_component)IL_ENVIRONMENT("net", NULL, &environment, IL_NO_PARAMS);
    ck_assert_msg(il_entry_check(&plugin, "x.so", &err) == IL_OK, "%s", err.message);
    REFUSED_ENVIRONMENT(environment.create = NULL, "needs `create`, `shape`");
    REFUSED_ENVIRONMENT(environment.shape = NULL, "needs `create`, `shape`");
    REFUSED_ENVIRONMENT(environment.fields = NULL, "needs `create`, `shape`");
    REFUSED_ENVIRONMENT(environment.fingerprint = NULL, "needs `create`, `shape`");
    REFUSED_ENVIRONMENT(environment.reset = NULL, "needs `reset` and `step`");
    REFUSED_ENVIRONMENT(environment.step = NULL, "needs `reset` and `step`");
    REFUSED_ENVIRONMENT(environment.act = act, "both `policies` and `act`");
    REFUSED_ENVIRONMENT(environment.form = IL_ENVIRONMENT_TEXT,
                        "needs `prompts`, `prompt`, `allowed` and `judge`");
    REFUSED_ENVIRONMENT(environment.form = (il_environment_form)7,
                        "neither steps nor text");
}
END_TEST

START_TEST(tables_of_parameters_that_contradict_themselves_are_refused)
{
    REFUSED(components[0].params = NULL, "no table of them");
    REFUSED(params[0].struct_size = 8, "other headers");
    REFUSED(params[1].name = "count", "stands twice");
    REFUSED(params[0].name = NULL, "'(no name)': expected a name");
    REFUSED(params[0].unit = NULL, "expected a unit");
    REFUSED(params[0].help = "", "a line of help");
    REFUSED(params[0].type = (il_param_type)77, "its type is none");
    REFUSED(params[1].choices = NULL, "expected choices");
    REFUSED(params[0].min = 10, "lower bound is above");
    REFUSED(params[0].initial = NULL, "expected a default");
    REFUSED(params[2].initial = "x", "is required and has a default");
    REFUSED(params[0].initial = "10", "its default is no value");
    REFUSED(params[0].initial = "2.5", "its default is no value");
    REFUSED(params[1].initial = "c", "its default is no value");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("entry");

    tcase_add_test(tc, a_valid_entry_passes);
    tcase_add_test(tc, a_newer_minor_passes_when_it_accepts_this_host);
    tcase_add_test(tc, texts_that_are_absent_or_misshapen_are_refused);
    tcase_add_test(tc, components_that_cannot_be_used_are_refused);
    tcase_add_test(tc, environments_need_the_slots_of_their_form);
    tcase_add_test(tc, tables_of_parameters_that_contradict_themselves_are_refused);
    return run_plugin_case(tc);
}
