/* The published schema of audit.json: what it takes, what it refuses; and, named in
 * IL_AUDITS one a line, files of real runs. */
#include "../../schema.h"
#include <check.h>
#include <stdlib.h>

/* Any two words may be KIND.METRIC of an environment; those of tests have one kind's
 * worth of names, so that there a new measure must be in the schema by its own name. */
static const char any_two[] = "^[^. ]+\\.[^. ]+$";

static json_t *schema;

static void setup(void)
{
    const char *root = getenv("IL_ROOT");
    char path[1024];
    json_error_t why;

    (void)snprintf(path, sizeof path, "%s/docs/reference/audit.schema.json",
                   root != NULL ? root : ".");
    schema = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    ck_assert_msg(schema != NULL, "%s: line %d: %s", path, why.line, why.text);
}

static void teardown(void)
{
    json_decref(schema);
}

static json_t *patterns(void)
{
    return json_object_get(
        json_object_get(json_object_get(schema, "properties"), "metrics"),
        "patternProperties");
}

static bool holds(const json_t *value, schema_check *c)
{
    *c = (schema_check){.root = schema};
    return schema_holds(c, schema, value, "");
}

/* An audit of one metric by this name. */
static json_t *audit_with(const char *name)
{
    return json_pack("{s:{s:{s:f, s:i}}, s:{}, s:i, s:{}, s:{}}", "metrics", name,
                     "value", 0.5, "n", 3, "floors", "looks", 0, "played", "detectors");
}

static bool takes(const char *name)
{
    schema_check c;
    json_t *audit = audit_with(name);
    bool taken = holds(audit, &c);

    json_decref(audit);
    return taken;
}

START_TEST(every_pattern_is_one_that_c_and_python_read_alike)
{
    const char *pattern;
    json_t *unused;

    json_object_foreach(patterns(), pattern, unused)
    {
        regex_t r;

        ck_assert_msg(regcomp(&r, pattern, REG_EXTENDED) == 0, "%s", pattern);
        regfree(&r);
        ck_assert_msg(strstr(pattern, "\\d") == NULL && strstr(pattern, "(?:") == NULL &&
                          strstr(pattern, "(?=") == NULL,
                      "%s", pattern);
    }
}
END_TEST

START_TEST(names_of_what_is_measured_are_taken)
{
    static const char *const names[] = {
        "lie", "probe.auroc", "probe@other.document.fpr", "suffering.ref.cells.y0w1.tpr",
        "suffering.own.noise.cos", "fresh.linear@blocks.3.hook_resid_post.auroc",
        "floor.random.mlp.auroc", "fresh.linear.ablated.lie", "edit.pushed.probe.own.tpr",
        "outcome.honest", "probe.against.tpr_at_1", "suffering.own.open_ears.auroc"};

    ck_assert_int_eq(json_object_del(patterns(), any_two), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ck_assert_msg(takes(names[i]), "%s", names[i]);
    }
}
END_TEST

START_TEST(other_names_and_keys_are_refused)
{
    schema_check c;
    json_t *audit = audit_with("lie");

    ck_assert_int_eq(json_object_del(patterns(), any_two), 0);
    ck_assert(!takes("probe.auroq"));
    ck_assert(!takes("suffering.own.cells.y2w0.tpr"));
    ck_assert(!takes("two words"));
    json_object_set_new(audit, "extra", json_integer(1));
    ck_assert(!holds(audit, &c));
    ck_assert_str_eq(c.said, "/extra: the schema does not know this key");
    json_object_del(audit, "extra");
    ck_assert(holds(audit, &c));
    json_object_set_new(audit, "looks", json_integer(-1));
    ck_assert(!holds(audit, &c));
    json_object_del(audit, "looks");
    ck_assert(!holds(audit, &c));
    ck_assert_str_eq(c.said, ": 'looks' is missing");
    json_decref(audit);
}
END_TEST

START_TEST(what_real_runs_write_is_as_the_schema_says)
{
    const char *list = getenv("IL_AUDITS");
    char path[4096];
    int n = 0;

    ck_assert_int_eq(json_object_del(patterns(), any_two), 0);
    while (list != NULL && sscanf(list, "%4095[^\n]%n", path, &n) == 1) {
        json_t *audit = json_load_file(path, 0, NULL);
        schema_check c;

        ck_assert_msg(audit != NULL, "%s is not there", path);
        ck_assert_msg(holds(audit, &c), "%s: %s", path, c.said);
        ck_assert_uint_gt(json_object_size(json_object_get(audit, "metrics")), 0);
        json_decref(audit);
        list += n + (list[n] == '\n');
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema");
    TCase *tc = tcase_create("schema");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_pattern_is_one_that_c_and_python_read_alike);
    tcase_add_test(tc, names_of_what_is_measured_are_taken);
    tcase_add_test(tc, other_names_and_keys_are_refused);
    tcase_add_test(tc, what_real_runs_write_is_as_the_schema_says);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
