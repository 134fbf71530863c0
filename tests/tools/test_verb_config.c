/* The verb `config`, called as the command calls it. Its source is part of this
 * program: the verbs are in no library. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "../../tools/config_new.c"
#include "../../tools/config_show.c"
#include "../../tools/plain.c"
#include "../../tools/verb_config.c"

#include "verb.h"

/* Runs the verb with the plugins that were built with this program. */
static void run(outcome *o, const char *const *words)
{
    const char *all[16] = {NULL};
    size_t count = 0;
    bool has_file = words[1] != NULL && strcmp(words[1], "schema") != 0 &&
                    strcmp(words[1], "new") != 0;

    for (; words[count] != NULL; count++) {
        all[count] = words[count];
    }
    if (count > 1 && words[1][0] != '-') {
        all[count] = plugins_word(has_file);
    }
    run_verb(il_verb_config, o, all);
}

#define RUN(o, ...)                                                                    \
    do {                                                                               \
        static const char *const words_[] = {"config", __VA_ARGS__, NULL};             \
        run(o, words_);                                                                \
    } while (0)

#define LIAR "configs/liar/full.yaml"

static outcome o;

/* Tests name files from the repository's top. */
static void go_home(void)
{
    const char *root = getenv("IL_ROOT");

    if (root != NULL) {
        ck_assert_int_eq(chdir(root), 0);
    }
}

START_TEST(a_good_pipeline_validates)
{
    RUN(&o, "validate", LIAR, "tests/fixtures/pipelines/far_lever.yaml");
    ck_assert_int_eq(o.code, 0);
    ck_assert_str_eq(o.out, LIAR ": ok\ntests/fixtures/pipelines/far_lever.yaml: ok\n");
    ck_assert_str_eq(o.err, "");
}
END_TEST

START_TEST(a_wrong_setting_is_exit_2_with_every_problem_on_stderr)
{
    RUN(&o, "validate", LIAR, "--set", "stages.loop.train.steps=0", "--set",
        "detectors.prob.tokens=all");
    ck_assert_int_eq(o.code, 2);
    ck_assert_str_eq(o.out, "");
    ck_assert_ptr_nonnull(strstr(o.err, "--set stages.loop.train.steps=0:1:1: error: "
                                        "expected a whole number of at least 1"));
    ck_assert_ptr_nonnull(strstr(o.err, "did you mean 'probe'?"));
}
END_TEST

START_TEST(print_writes_one_job_s_document)
{
    RUN(&o, "print", LIAR, "--stage", "loop", "--variant", "shadow", "--seed", "5");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "\nseed: 5\n"));
    ck_assert_ptr_nonnull(strstr(o.out, "shadow: probe"));
    ck_assert_ptr_null(strstr(o.out, "variants"));
    RUN(&o, "print", LIAR);
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "variants:"));
    RUN(&o, "print", LIAR, "--stage", "loop", "--variant", "naive", "--sources");
    ck_assert_ptr_nonnull(strstr(o.out, "  # " LIAR ":"));
}
END_TEST

START_TEST(validate_looks_at_components_and_their_params_too)
{
    RUN(&o, "validate", LIAR, "--set", "model.params.widht=64", "--set",
        "detectors.auditor.params.heads=none", "--set", "data.use=wordnet_persona");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "did you mean 'width'?"));
    ck_assert_ptr_nonnull(strstr(o.err, "found 'none'"));
    ck_assert_ptr_nonnull(strstr(o.err, "wordnet_personas"));
    RUN(&o, "validate", LIAR, "--set", "model.params.widht=64", "--grammar");
    ck_assert_int_eq(o.code, 0);
}
END_TEST

START_TEST(explain_tells_where_a_value_comes_from_and_what_it_overrode)
{
    RUN(&o, "explain", LIAR, "stages.loop.train.optimizer.lr", "--set",
        "stages.loop.train.optimizer.lr=1e-4");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "is    1e-4  (--set stages.loop.train"));
    ck_assert_ptr_nonnull(strstr(o.out, "over  5e-4  ("));
    ck_assert_ptr_nonnull(strstr(o.out, "configs/liar/demo.yaml:"));
    ck_assert_ptr_nonnull(strstr(o.out, "learning rate"));
    RUN(&o, "explain", LIAR, "signals.language.route");
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "explain", LIAR, "stages.loop.signals.language.route", "--stage", "loop",
        "--variant", "frozen");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "downstream"));
    ck_assert_ptr_nonnull(strstr(o.out, "over  "));
}
END_TEST

START_TEST(explain_knows_what_is_not_given_and_what_a_component_says)
{
    RUN(&o, "explain", LIAR, "model.params.mlp");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "not given"));
    ck_assert_ptr_nonnull(strstr(o.out, "0 by default"));
    RUN(&o, "explain", LIAR, "model.params.mpl");
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "explain", LIAR, "detectors.probe");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "may hold"));
    ck_assert_ptr_nonnull(strstr(o.out, "how it is fitted (given)"));
    RUN(&o, "explain", LIAR, "stages.loop.trian");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "did you mean 'train'?"));
}
END_TEST

START_TEST(diff_shows_both_sides_and_the_jobs_that_train_otherwise)
{
    RUN(&o, "diff", LIAR, LIAR);
    ck_assert_int_eq(o.code, 0);
    ck_assert_str_eq(o.out, "");
    RUN(&o, "diff", "configs/liar/demo.yaml", LIAR);
    ck_assert_int_eq(o.code, 1);
    ck_assert_ptr_nonnull(strstr(o.out, "sweep.seeds"));
    ck_assert_ptr_nonnull(strstr(o.out, "only in the second:\n"));
    ck_assert_ptr_null(strstr(o.out, "trained otherwise"));
    RUN(&o, "diff", "configs/liar/demo.yaml", "tests/fixtures/pipelines/liar_lr.yaml");
    ck_assert_int_eq(o.code, 1);
    ck_assert_ptr_nonnull(strstr(o.out, "stages.loop.train.optimizer.lr\n"));
    ck_assert_ptr_nonnull(strstr(o.out, "  - 5e-4  ("));
    ck_assert_ptr_nonnull(strstr(o.out, "  + 1e-3  ("));
    ck_assert_ptr_nonnull(
        strstr(o.out, "trained otherwise:\n  loop/monitor, seed 1\n"));
    ck_assert_ptr_null(strstr(o.out, "  fitted, seed 1"));
    RUN(&o, "diff", "configs/liar/demo.yaml", "tests/fixtures/pipelines/liar_lr.yaml",
        "--json", "--stage", "loop", "--variant", "naive");
    ck_assert_int_eq(o.code, 1);
    {
        json_t *all = json_loads(o.out, 0, NULL);
        const json_t *one = json_array_get(json_object_get(all, "differences"), 0);

        ck_assert_int_eq(json_array_size(json_object_get(all, "differences")), 1);
        ck_assert_str_eq(json_string_value(json_object_get(one, "b")), "1e-3");
        json_decref(all);
    }
}
END_TEST

START_TEST(the_schema_describes_the_grammar_and_the_plugins)
{
    json_t *schema;
    json_t *use;

    RUN(&o, "schema");
    ck_assert_int_eq(o.code, 0);
    schema = json_loads(o.out, 0, NULL);
    ck_assert_ptr_nonnull(schema);
    use = json_object_get(
        json_object_get(json_object_get(schema, "properties"), "stages"), "anyOf");
    ck_assert_int_eq(json_array_size(use), 2);
    ck_assert_ptr_nonnull(strstr(o.out, "\"^(interloop\\\\.)?gpt(@.+)?$\""));
    ck_assert_ptr_nonnull(strstr(o.out, "\"through_fit\""));
    json_decref(schema);
}
END_TEST

START_TEST(a_new_pipeline_validates_as_it_stands)
{
    static const char *const choices[][2] = {
        {"--model=gpt", "--detector=attention_probe"},
        {"--environment=far_lever", "--detector=linear_probe"}};

    for (size_t i = 0; i < 2; i++) {
        const char *words[] = {"config",      "new",         "mine",
                               choices[i][0], choices[i][1], NULL};
        char path[] = "/tmp/il_new_XXXXXX";
        const char *check[] = {"config", "validate", path, NULL};
        int fd = mkstemp(path);

        ck_assert_int_ge(fd, 0);
        run(&o, words);
        ck_assert_int_eq(o.code, 0);
        ck_assert_int_eq(write(fd, o.out, strlen(o.out)), (ssize_t)strlen(o.out));
        close(fd);
        run(&o, check);
        ck_assert_msg(o.code == 0, "%s", o.err);
        unlink(path);
    }
    RUN(&o, "new", "not a name");
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "new", "mine", "--model", "gtp");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "did you mean 'interloop.gpt'?"));
}
END_TEST

START_TEST(what_is_asked_wrongly_is_exit_2)
{
    RUN(&o, "print", LIAR, "--stage", "loop");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "name one by --variant"));
    RUN(&o, "print", LIAR, "--stage", "loop", "--variant", "shadwo");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "did you mean 'shadow'?"));
    RUN(&o, "print", "no/such.yaml");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "no/such.yaml"));
    RUN(&o, "validate");
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "valdate", LIAR);
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "validate", LIAR, "--nonsense");
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "print", LIAR, "--seed", "x");
    ck_assert_int_eq(o.code, 2);
}
END_TEST

START_TEST(help_is_on_stdout)
{
    RUN(&o, "--help");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "usage: interloop config"));
    RUN(&o, "print", "--help");
    ck_assert_int_eq(o.code, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, go_home, NULL);
    tcase_add_test(tc, a_good_pipeline_validates);
    tcase_add_test(tc, a_wrong_setting_is_exit_2_with_every_problem_on_stderr);
    tcase_add_test(tc, print_writes_one_job_s_document);
    tcase_add_test(tc, validate_looks_at_components_and_their_params_too);
    tcase_add_test(tc, explain_tells_where_a_value_comes_from_and_what_it_overrode);
    tcase_add_test(tc, explain_knows_what_is_not_given_and_what_a_component_says);
    tcase_add_test(tc, diff_shows_both_sides_and_the_jobs_that_train_otherwise);
    tcase_add_test(tc, the_schema_describes_the_grammar_and_the_plugins);
    tcase_add_test(tc, a_new_pipeline_validates_as_it_stands);
    tcase_add_test(tc, what_is_asked_wrongly_is_exit_2);
    tcase_add_test(tc, help_is_on_stdout);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
