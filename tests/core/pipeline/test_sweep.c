/* Which jobs a sweep makes: points, exclusions, names, and what points share. */
#define _XOPEN_SOURCE 700
#include "support.h"

static const char plain[] =
    "interloop: 1\n"
    "name: small\n"
    "vars: {price: 1.5}\n"
    "model: {use: gpt}\n"
    "data: {use: rows}\n"
    "detectors:\n"
    "  probe: {use: linear_probe, site: a, fit: {split: s, label: l}}\n"
    "stages:\n"
    "  pretrain:\n"
    "    train: {steps: 5, batch: 4, optimizer: {use: adam, lr: 1e-3}}\n"
    "    signals: {language: {source: next, channel: loss, route: all}}\n"
    "  loop:\n"
    "    from: pretrain\n"
    "    train: {steps: 5, batch: 4, optimizer: {use: adam, lr: 1e-3}}\n"
    "    signals: {language: {source: next, channel: loss, route: all}}\n"
    "    variants:\n"
    "      plain: {}\n"
    "      pressed:\n"
    "        signals: {pressure: {source: probe, channel: loss, weight: "
    "\"${var:price}\", route: all}}\n";

static fixture f;
static il_jobs jobs;

/* Lists the jobs of the plain pipeline with a sweep; `part` as of fixture_expect. */
static void list(const char *sweep, const il_jobs_filter *filter, const char *part)
{
    char text[4096];
    il_error err = {0};

    (void)snprintf(text, sizeof text, "%ssweep:\n%stwins: none\n", plain, sweep);
    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "p.yaml", text), NULL, 0);
    ck_assert_ptr_nonnull(f.document);
    (void)il_jobs_list(&jobs, f.document, filter, &f.problems, &err);
    fixture_expect(&f, part);
}

static void expect_names(const char *const *names, size_t count)
{
    ck_assert_uint_eq(jobs.count, count);
    for (size_t i = 0; i < count; i++) {
        char name[256];

        (void)snprintf(name, sizeof name, "%s/%s", jobs.items[i].stage,
                       jobs.items[i].variant);
        ck_assert_str_eq(name, names[i]);
    }
}

START_TEST(a_point_names_only_the_jobs_that_it_reaches)
{
    static const char *const names[] = {
        "pretrain/", "loop/plain", "loop/pressed@price=1", "loop/pressed@price=1.5",
        "loop/pressed@price=2"};

    list("  grid: {vars.price: [1, 1.5, 2]}\n", NULL, NULL);
    expect_names(names, 5);
    ck_assert_uint_eq(jobs.items[0].point_count, 0);
    ck_assert_uint_eq(jobs.items[4].point_count, 1);
    ck_assert_str_eq(jobs.items[4].point[0].path, "vars.price");
    ck_assert_str_eq(jobs.items[4].point[0].value->text, "2");
    ck_assert_str_eq(
        text_at(jobs.items[4].document, "stages.loop.signals.pressure.weight"), "2");
    ck_assert_str_eq(jobs.items[4].chain[0].label, "");
    ck_assert_str_eq(jobs.items[4].chain[1].variant, "pressed");
    fixture_close(&f);
}
END_TEST

START_TEST(a_point_of_a_parent_is_one_of_its_children_and_shares_what_is_equal)
{
    static const char *const names[] = {
        "pretrain/lr=0.001",   "pretrain/lr=0.002",     "loop/plain@lr=0.001",
        "loop/plain@lr=0.002", "loop/pressed@lr=0.001", "loop/pressed@lr=0.002"};

    list("  grid: {stages.pretrain.train.optimizer.lr: [0.001, 0.002]}\n", NULL, NULL);
    expect_names(names, 6);
    ck_assert_str_eq(jobs.items[3].chain[0].label, "lr=0.002");
    ck_assert_str_eq(jobs.items[3].chain[0].text, jobs.items[1].chain[0].text);
    ck_assert_str_ne(jobs.items[3].chain[0].text, jobs.items[0].chain[0].text);
    fixture_close(&f);
}
END_TEST

START_TEST(grids_multiply_zips_go_side_by_side_and_exclusions_leave_out)
{
    il_jobs_filter pressed = {.stages = (const char *const[]){"loop"},
                              .stage_count = 1,
                              .variants = (const char *const[]){"pressed"},
                              .variant_count = 1};
    static const char *const names[] = {"loop/pressed@price=1,steps=10,batch=8",
                                        "loop/pressed@price=1,steps=20,batch=4",
                                        "loop/pressed@price=2,steps=20,batch=4"};

    list("  grid: {vars.price: [1, 2]}\n"
         "  zip: {stages.loop.train.steps: [10, 20], stages.loop.train.batch: [8, 4]}\n"
         "  exclude: {dear: {vars.price: [2, 3], stages.loop.train.steps: 10}}\n",
         &pressed, NULL);
    expect_names(names, 3);
    ck_assert_int_eq(jobs.items[0].chain[1].spec->train.steps, 10);
    ck_assert_int_eq(jobs.items[0].chain[1].spec->train.batch, 8);
    fixture_close(&f);
}
END_TEST

START_TEST(axes_with_one_last_key_are_told_apart_by_more_of_their_paths)
{
    il_jobs_filter plain_only = {.variants = (const char *const[]){"plain"},
                                 .variant_count = 1,
                                 .stages = (const char *const[]){"loop"},
                                 .stage_count = 1};

    list(
        "  grid: {stages.pretrain.train.steps: [1, 2], stages.loop.train.steps: [1]}\n",
        &plain_only, NULL);
    ck_assert_uint_eq(jobs.count, 2);
    ck_assert_str_eq(jobs.items[0].variant,
                     "plain@pretrain.train.steps=1,loop.train.steps=1");
    fixture_close(&f);
}
END_TEST

START_TEST(a_filter_may_name_one_point)
{
    il_jobs_filter one = {.variants = (const char *const[]){"pressed@price=2"},
                          .variant_count = 1,
                          .stages = (const char *const[]){"loop"},
                          .stage_count = 1};
    static const char *const names[] = {"loop/pressed@price=2"};

    list("  grid: {vars.price: [1, 2]}\n", &one, NULL);
    expect_names(names, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(a_setting_of_the_command_line_is_laid_over_every_point)
{
    static const char *const sets[] = {"vars.price=7"};
    char text[4096];
    il_error err = {0};

    (void)snprintf(text, sizeof text,
                   "%ssweep: {grid: {vars.price: [1, 2]}}\ntwins: none\n", plain);
    fixture_open(&f);
    fixture_load(&f, fixture_file(&f, "p.yaml", text), sets, 1);
    ck_assert_int_eq(il_jobs_list(&jobs, f.document, NULL, &f.problems, &err), IL_OK);
    ck_assert_uint_eq(jobs.count, 3);
    ck_assert_str_eq(jobs.items[2].variant, "pressed");
    ck_assert_str_eq(
        text_at(jobs.items[2].document, "stages.loop.signals.pressure.weight"), "7");
    fixture_close(&f);
}
END_TEST

START_TEST(a_resolved_pipeline_sweeps_the_same)
{
    il_text yaml = {0};
    il_error err = {0};
    fixture again;
    il_jobs same;

    list("  grid: {vars.price: [1, 2]}\n", NULL, NULL);
    il_node_write_yaml(&yaml, il_document_resolved(f.document, &f.problems), false);
    fixture_open(&again);
    fixture_load(&again, fixture_file(&again, "again.yaml", yaml.data), NULL, 0);
    ck_assert_int_eq(il_jobs_list(&same, again.document, NULL, &again.problems, &err),
                     IL_OK);
    ck_assert_uint_eq(same.count, jobs.count);
    for (size_t i = 0; i < same.count; i++) {
        const il_job *a = &jobs.items[i];
        const il_job *b = &same.items[i];

        ck_assert_str_eq(a->variant, b->variant);
        ck_assert_str_eq(a->chain[a->chain_count - 1].text,
                         b->chain[b->chain_count - 1].text);
    }
    il_text_free(&yaml);
    fixture_close(&again);
    fixture_close(&f);
}
END_TEST

typedef struct bad {
    const char *sweep;
    const char *problem;
} bad;

static const bad bads[] = {
    {"  grid: {vars.price: []}\n", "p.yaml:21:22: error: expected a list of values"},
    {"  grid: {vars.price: 3}\n", "p.yaml:21:22: error: expected a list of values"},
    {"  gird: {vars.price: [3]}\n", "did you mean 'grid'?"},
    {"  grid: {vars.price: [1, 2, 1]}\n",
     "p.yaml:21:29: error: the value '1' a second time"},
    {"  grid: {vars.price: [1]}\n  zip: {vars.price: [1]}\n",
     "p.yaml:22:9: error: the path 'vars.price' a second time"},
    {"  zip: {vars.price: [1], model.params.width: [1, 2]}\n",
     "zipped lists are equally long: expected 1 values as for 'vars.price', found 2"},
    {"  grid: {seed: [1, 2]}\n", "a sweep may not set 'seed'"},
    {"  grid: {stages.loop.variants.pressed.train.steps: [1, 2]}\n",
     "a sweep may not set 'stages.loop.variants.pressed.train.steps'"},
    {"  grid: {stages.loop.train.stpes: [1, 2]}\n", "did you mean 'steps'?"},
    {"  grid: {stages.loop.signals.presure.weight: [1, 2]}\n",
     "no 'presure' in a map of signals"},
    {"  grid: {stages.loop.train.steps: [5, ten]}\n",
     "p.yaml:21:39: error: expected a whole number of at least 1, found 'ten'"},
    {"  grid: {stages.loop.train.steps: ['', ten]}\n",
     "expected a whole number of at least 1, found 'ten'"},
    {"  grid: {vars.price: [1, 2]}\n  exclude: {all: {vars.price: [1, 2]}}\n",
     "every point of the sweep is excluded"},
    {"  grid: {vars.price: [1, 2]}\n  exclude: {x: {vars.prise: 1}}\n",
     "p.yaml:22:17: error: 'vars.prise' is not swept, did you mean 'vars.price'?"},
    {"  grid: {vars.a: [1,2,3,4,5,6,7,8,9], vars.b: [1,2,3,4,5,6,7,8,9], vars.c: "
     "[1,2,3,4,5,6,7,8,9], vars.d: [1,2,3,4,5,6,7,8,9]}\n",
     "more than 4096 points in a sweep"},
};

START_TEST(what_is_wrong_with_a_sweep_is_told_at_its_place)
{
    list(bads[_i].sweep, NULL, bads[_i].problem);
    ck_assert_uint_eq(jobs.count, 0);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("sweep");

    tcase_add_test(tc, a_point_names_only_the_jobs_that_it_reaches);
    tcase_add_test(tc,
                   a_point_of_a_parent_is_one_of_its_children_and_shares_what_is_equal);
    tcase_add_test(tc, grids_multiply_zips_go_side_by_side_and_exclusions_leave_out);
    tcase_add_test(tc, axes_with_one_last_key_are_told_apart_by_more_of_their_paths);
    tcase_add_test(tc, a_filter_may_name_one_point);
    tcase_add_test(tc, a_setting_of_the_command_line_is_laid_over_every_point);
    tcase_add_test(tc, a_resolved_pipeline_sweeps_the_same);
    tcase_add_loop_test(tc, what_is_wrong_with_a_sweep_is_told_at_its_place, 0,
                        (int)(sizeof bads / sizeof bads[0]));
    return run_case(tc);
}
