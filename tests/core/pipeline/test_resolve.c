/* What wins over what: extends, the file, variants, settings, ${...}. */
#define _XOPEN_SOURCE 700
#include "support.h"

#define HEAD "interloop: 1\nname: t\n"

START_TEST(maps_merge_and_the_file_wins_over_what_it_extends)
{
    fixture f;
    const char *path;

    fixture_open(&f);
    fixture_file(&f, "a.yaml", "vars: {x: 1, y: 1, z: 1}\nseed: 3\n");
    fixture_file(&f, "b.yaml", "vars: {y: 2, z: 2}\n");
    path = fixture_file(&f, "c.yaml", "extends: [a.yaml, b.yaml]\nvars: {z: 3}\n" HEAD);
    fixture_load(&f, path, NULL, 0);
    fixture_expect(&f, NULL);
    ck_assert_str_eq(text_at(f.document->tree, "vars.x"), "1");
    ck_assert_str_eq(text_at(f.document->tree, "vars.y"), "2");
    ck_assert_str_eq(text_at(f.document->tree, "vars.z"), "3");
    ck_assert_str_eq(text_at(f.document->tree, "seed"), "3");
    ck_assert_ptr_null(il_node_get(f.document->tree, "extends"));
    fixture_close(&f);
}
END_TEST

START_TEST(an_overridden_value_remembers_both_places)
{
    fixture f;
    const char *path;
    const il_node *seed;

    fixture_open(&f);
    fixture_file(&f, "a.yaml", "name: x\nseed: 3\n");
    path = fixture_file(&f, "b.yaml", "extends: a.yaml\nseed: 4\n");
    fixture_load(&f, path, NULL, 0);
    seed = il_node_get(f.document->tree, "seed");
    ck_assert_int_eq(seed->place.line, 2);
    ck_assert_ptr_nonnull(strstr(seed->place.file, "b.yaml"));
    ck_assert_int_eq(seed->under->place.line, 2);
    ck_assert_ptr_nonnull(strstr(seed->under->place.file, "a.yaml"));
    fixture_close(&f);
}
END_TEST

START_TEST(choices_are_replaced_whole_and_other_maps_merge)
{
    static const char base[] =
        "detectors:\n"
        "  d: {use: a, site: s, fit: {split: x, label: y, lr: 1}, threshold: {fpr: 0.1, "
        "split: z}}\n"
        "stages:\n"
        "  s:\n"
        "    train: {steps: 1, optimizer: {use: adam, lr: 1, schedule: {use: cosine, "
        "warmup: 3}}}\n"
        "    signals: {g: {source: {cross_entropy: a, targets: b}, channel: loss, "
        "weight: {from: 1, to: 2}, route: {downstream: d}, gate: {detector: d}}}\n";
    static const char over[] =
        "extends: a.yaml\n"
        "detectors: {d: {fit: {lr: 2}, threshold: {logit: 0}}}\n"
        "stages: {s: {train: {optimizer: {schedule: {use: constant}}}, signals: {g: "
        "{source: {reward: r}, weight: {to: 5}, route: {upstream: d}, gate: {constant: "
        "1}}}}}\n";
    fixture f;
    const il_node *t;

    fixture_open(&f);
    fixture_file(&f, "a.yaml", base);
    fixture_load(&f, fixture_file(&f, "b.yaml", over), NULL, 0);
    fixture_expect(&f, NULL);
    t = f.document->tree;
    ck_assert_str_eq(text_at(t, "detectors.d.fit.lr"), "2");
    ck_assert_str_eq(text_at(t, "detectors.d.fit.split"), "x");
    ck_assert_ptr_null(il_node_find(t, "detectors.d.threshold.fpr"));
    ck_assert_str_eq(text_at(t, "stages.s.train.optimizer.lr"), "1");
    ck_assert_ptr_null(il_node_find(t, "stages.s.train.optimizer.schedule.warmup"));
    ck_assert_ptr_null(il_node_find(t, "stages.s.signals.g.source.cross_entropy"));
    ck_assert_ptr_null(il_node_find(t, "stages.s.signals.g.weight.from"));
    ck_assert_ptr_null(il_node_find(t, "stages.s.signals.g.route.downstream"));
    ck_assert_ptr_null(il_node_find(t, "stages.s.signals.g.gate.detector"));
    ck_assert_str_eq(text_at(t, "stages.s.signals.g.channel"), "loss");
    fixture_close(&f);
}
END_TEST

START_TEST(a_map_that_says_use_replaces_the_one_before)
{
    fixture f;

    fixture_open(&f);
    fixture_file(&f, "a.yaml", "model: {use: gpt, params: {layers: 2}}\n");
    fixture_load(&f, fixture_file(&f, "b.yaml", "extends: a.yaml\nmodel: {use: rnn}\n"),
                 NULL, 0);
    ck_assert_str_eq(text_at(f.document->tree, "model.use"), "rnn");
    ck_assert_ptr_null(il_node_find(f.document->tree, "model.params"));
    fixture_close(&f);
}
END_TEST

START_TEST(files_that_extend_each_other_are_refused)
{
    fixture f;
    const char *path;

    fixture_open(&f);
    fixture_file(&f, "a.yaml", "extends: b.yaml\n");
    path = fixture_file(&f, "b.yaml", "name: x\nextends: a.yaml\n");
    fixture_load(&f, path, NULL, 0);
    fixture_expect(&f, "a.yaml:1:10: error: ");
    fixture_expect(&f, "extends itself");
    fixture_close(&f);
}
END_TEST

START_TEST(a_tree_of_files_is_bounded)
{
    fixture f;
    char name[96];
    char text[256];

    fixture_open(&f);
    for (int i = 0; i < 7; i++) {
        (void)snprintf(name, sizeof name, "f%d.yaml", i);
        (void)snprintf(text, sizeof text,
                       "extends: [f%d.yaml, f%d.yaml, f%d.yaml, f%d.yaml]\n", i + 1,
                       i + 1, i + 1, i + 1);
        (void)fixture_file(&f, name, text);
    }
    (void)fixture_file(&f, "f7.yaml", "name: x\n");
    (void)snprintf(name, sizeof name, "%s/f0.yaml", f.folder);
    fixture_load(&f, name, NULL, 0);
    fixture_expect(&f, "more than 64 files for one pipeline");
    fixture_close(&f);
}
END_TEST

START_TEST(a_base_that_is_missing_is_named_where_it_is_asked_for)
{
    fixture f;

    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "a.yaml", "name: x\nextends: [no.yaml]\n"), NULL,
                 0);
    fixture_expect(&f, "a.yaml:2:11: error: cannot read 'no.yaml'");
    fixture_close(&f);
}
END_TEST

typedef struct set_case {
    const char *set;
    const char *path; /* what to look at, or NULL */
    const char *text; /* what must stand there, or what the problems must hold */
} set_case;

static const set_case sets[] = {
    {"seed=7", "seed", "7"},
    {"stages.s.signals.g.weight=0.5", "stages.s.signals.g.weight", "0.5"},
    {"stages.s.signals.g.weight={from: 1, to: 2}", "stages.s.signals.g.weight.to", "2"},
    {"stages.s.train.steps=9", "stages.s.train.steps", "9"},
    {"stages.s.audit.every=2", "stages.s.audit.every", "2"},
    {"stages.s.require.d.auroc=>0.5", NULL, "error: "},
    {"stages.s.require.d.auroc='> 0.5'", "stages.s.require.d.auroc", "> 0.5"},
    {"stages.s.variants.v.signals.g.weight=3", "stages.s.variants.v.signals.g.weight",
     "3"},
    {"name=\"a=b\"", "name", "a=b"},
    {"vars.new=1", "vars.new", "1"},
    {"stage.s.train.steps=9", NULL,
     "no 'stage' in a pipeline (in the path "
     "'stage.s.train.steps'), did you mean 'stages'?"},
    {"stages.x.train.steps=9", NULL, "no 'x' in a map of stages"},
    {"stages.s.signals.gg.weight=9", NULL,
     "no 'gg' in a map of signals (in the path 'stages.s.signals.gg.weight'), did you "
     "mean 'g'?"},
    {"stages.s.trian.steps=9", NULL, "did you mean 'train'?"},
    {"seed.x=9", NULL, "goes through a scalar"},
    {"seed", NULL, "--set seed: error: expected PATH=VALUE"},
    {"=3", NULL, "error: expected PATH=VALUE"},
    {"stages..x=3", NULL, "a key is missing"},
    {"extends=x.yaml", NULL, "`extends` belongs into a file"},
    {"seed=[1", NULL, "did not find expected"},
    {"seed=*a", NULL, "error: an alias"},
};

START_TEST(each_setting_lands_or_is_refused)
{
    const set_case *c = &sets[_i];
    fixture f;

    fixture_open(&f);
    fixture_load(&f,
                 fixture_file(&f, "a.yaml",
                              HEAD "seed: 1\nstages:\n  s:\n    train: {steps: 1}\n"
                                   "    signals: {g: {source: x, weight: 1}}\n"
                                   "    variants: {v: {}}\n"),
                 &c->set, 1);
    ck_assert_ptr_nonnull(f.document);
    il_document_apply(f.document, f.document->tree);
    il_document_check_settings(f.document, &f.problems);
    if (c->path == NULL) {
        fixture_expect(&f, c->text);
    } else {
        fixture_expect(&f, NULL);
        ck_assert_str_eq(text_at(f.document->tree, c->path), c->text);
    }
    fixture_close(&f);
}
END_TEST

typedef struct sub_case {
    const char *yaml; /* the value of `name` */
    const char *text; /* what it becomes, or what the problems must hold */
    bool good;
    bool quoted;
} sub_case;

static const sub_case subs[] = {
    {"${env:IL_TEST_SET}", "from outside", true, false},
    {"'${env:IL_TEST_SET}'", "from outside", true, false},
    {"a/${env:IL_TEST_SET}/b", "a/from outside/b", true, true},
    {"${env:IL_TEST_NONE:-x y}", "x y", true, false},
    {"'${env:IL_TEST_NONE:-}'", "", true, false},
    {"${var:number}", "1.5", true, false},
    {"\"${var:number}\"", "1.5", true, false},
    {"${var:string}", "2", true, true},
    {"${var:deep.er}", "3", true, false},
    {"x${var:number}", "x1.5", true, true},
    {"${var:from_env}", "from outside", true, false},
    {"$${var:number}", "${var:number}", true, true},
    {"a $${ b", "a ${ b", true, true},
    {"no dollar", "no dollar", true, false},
    {"$x {y}", "$x {y}", true, false},
    {"${env:IL_TEST_BRACES}", "${var:number}", true, false},
    {"${env:IL_TEST_NONE}", "the environment has no IL_TEST_NONE", false, false},
    {"${env:IL_TEST_BAD}", "holds bytes that are no printable UTF-8", false, false},
    {"${var:numbr}", "no variable 'numbr' under `vars`, did you mean 'number'?", false,
     false},
    {"${number}", "expected ${env:NAME}, ${env:NAME:-default} or ${var:NAME}", false,
     false},
    {"${ENV:X}", "expected ${env:NAME}", false, false},
    {"${env:}", "names nothing", false, false},
    {"'${var:number:-3}'", "a variable has no default here", false, false},
    {"${env:X-3:y}", "a default begins with ':-'", false, false},
    {"a ${var:list}", "a map or list stands alone", false, false},
    {"'${var:x'", "has no '}'", false, false},
    {"${var:twice}", "variables do not use each other", false, false},
};

START_TEST(each_reference_becomes_its_value_or_a_problem)
{
    const sub_case *c = &subs[_i];
    const il_node *name;
    char yaml[512];
    fixture f;

    (void)snprintf(yaml, sizeof yaml,
                   "x-note: ${never:looked at}\nname: %s\n"
                   "vars:\n  number: 1.5\n  string: '2'\n  deep: {er: 3}\n  list: [1]\n"
                   "  from_env: ${env:IL_TEST_SET}\n%s",
                   c->yaml, strstr(c->yaml, "twice") ? "  twice: ${var:number}\n" : "");
    ck_assert_int_eq(setenv("IL_TEST_SET", "from outside", 1), 0);
    ck_assert_int_eq(setenv("IL_TEST_BAD", "\xff\x01", 1), 0);
    ck_assert_int_eq(setenv("IL_TEST_BRACES", "${var:number}", 1), 0);
    ck_assert_int_eq(unsetenv("IL_TEST_NONE"), 0);
    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "a.yaml", yaml), NULL, 0);
    ck_assert_ptr_nonnull(f.document);
    il_substitute(f.arena, f.document->tree, IL_SUBSTITUTE_ALL, &f.problems);
    if (c->good) {
        fixture_expect(&f, NULL);
        name = il_node_get(f.document->tree, "name");
        ck_assert_str_eq(name->text, c->text);
        ck_assert_int_eq(name->quoted, c->quoted);
    } else {
        fixture_expect(&f, c->text);
        fixture_expect(&f, "a.yaml:");
    }
    fixture_close(&f);
}
END_TEST

START_TEST(a_variable_may_be_a_map_or_a_list)
{
    fixture f;

    fixture_open(&f);
    fixture_load(&f,
                 fixture_file(&f, "a.yaml",
                              "vars: {p: {layers: 2}}\nmodel: {params: ${var:p}}\n"),
                 NULL, 0);
    fixture_expect(&f, "error: "); /* a brace inside a flow map needs quotes */
    fixture_close(&f);
    fixture_open(&f);
    fixture_load(
        &f,
        fixture_file(&f, "a.yaml",
                     "vars: {p: {layers: 2}}\nmodel: {params: \"${var:p}\"}\n"),
        NULL, 0);
    il_substitute(f.arena, f.document->tree, IL_SUBSTITUTE_ALL, &f.problems);
    fixture_expect(&f, NULL);
    ck_assert_str_eq(text_at(f.document->tree, "model.params.layers"), "2");
    fixture_close(&f);
}
END_TEST

START_TEST(references_cannot_blow_a_pipeline_up)
{
    il_text yaml = {0};
    fixture f;

    il_text_add(&yaml, "vars:\n  big: [");
    for (int i = 0; i < 4000; i++) {
        il_text_add(&yaml, "x,");
    }
    il_text_add(&yaml, "x]\nx: [");
    for (int i = 0; i < 4000; i++) {
        il_text_add(&yaml, "\"${var:big}\",");
    }
    il_text_add(&yaml, "y]\n");
    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "a.yaml", yaml.data), NULL, 0);
    il_substitute(f.arena, f.document->tree, IL_SUBSTITUTE_ALL, &f.problems);
    fixture_expect(&f, "grows too large");
    fixture_close(&f);
    il_text_free(&yaml);

    il_text_add(&yaml, "vars: {big: ");
    for (int i = 0; i < 60000; i++) {
        il_text_add(&yaml, "x");
    }
    il_text_add(&yaml, "}\nx: \"");
    for (int i = 0; i < 5000; i++) {
        il_text_add(&yaml, "${var:big}");
    }
    il_text_add(&yaml, "\"\n");
    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "a.yaml", yaml.data), NULL, 0);
    il_substitute(f.arena, f.document->tree, IL_SUBSTITUTE_ALL, &f.problems);
    fixture_expect(&f, "grows too large");
    fixture_close(&f);
    il_text_free(&yaml);
}
END_TEST

START_TEST(plugin_folders_are_relative_to_the_file_that_names_them)
{
    fixture f;
    il_error err = {0};
    char *sub;
    il_node *root;
    char expected[128];
    const char *path;

    fixture_open(&f);
    sub = il_path_join(f.folder, "sub");
    ck_assert_int_eq(il_folder_make(sub, &err), IL_OK);
    free(sub);
    fixture_file(&f, "sub/a.yaml", "plugins: {path: [here, /abs]}\n");
    path = fixture_file(&f, "b.yaml", "extends: sub/a.yaml\n" HEAD);
    fixture_load(&f, path, NULL, 0);
    root = il_document_resolved(f.document, &f.problems);
    fixture_expect(&f, NULL);
    (void)snprintf(expected, sizeof expected, "%s/sub/here", f.folder);
    ck_assert_str_eq(il_node_find(root, "plugins.path")->items[0].value->text,
                     expected);
    ck_assert_str_eq(il_node_find(root, "plugins.path")->items[1].value->text, "/abs");
    fixture_close(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("resolve");

    tcase_add_test(tc, maps_merge_and_the_file_wins_over_what_it_extends);
    tcase_add_test(tc, an_overridden_value_remembers_both_places);
    tcase_add_test(tc, choices_are_replaced_whole_and_other_maps_merge);
    tcase_add_test(tc, a_map_that_says_use_replaces_the_one_before);
    tcase_add_test(tc, files_that_extend_each_other_are_refused);
    tcase_add_test(tc, a_tree_of_files_is_bounded);
    tcase_add_test(tc, a_base_that_is_missing_is_named_where_it_is_asked_for);
    tcase_add_loop_test(tc, each_setting_lands_or_is_refused, 0,
                        (int)(sizeof sets / sizeof sets[0]));
    tcase_add_loop_test(tc, each_reference_becomes_its_value_or_a_problem, 0,
                        (int)(sizeof subs / sizeof subs[0]));
    tcase_add_test(tc, a_variable_may_be_a_map_or_a_list);
    tcase_add_test(tc, references_cannot_blow_a_pipeline_up);
    tcase_add_test(tc, plugin_folders_are_relative_to_the_file_that_names_them);
    return run_case(tc);
}
