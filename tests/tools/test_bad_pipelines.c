/* Bad pipelines, each with the whole text of its errors in a file beside it, and keys
 * that nobody knows in every map of every pipeline that ships. Errors are part of the
 * product: read what `make bless` changes as a diff. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "../../tools/config_new.c"
#include "../../tools/config_show.c"
#include "../../tools/plain.c"
#include "../../tools/verb_config.c"

#include <dirent.h>
#include "verb.h"

#define BAD "tests/fixtures/pipelines/bad"

enum { CASES = 128 };

static outcome o;
static char names[CASES][64];
static int name_count;

static void go_home(void)
{
    const char *root = getenv("IL_ROOT");

    if (root != NULL) {
        ck_assert_int_eq(chdir(root), 0);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The cases, without ".yaml". */
static void find_cases(void)
{
    const char *root = getenv("IL_ROOT");
    DIR *folder;
    struct dirent *entry;

    folder = root == NULL || chdir(root) == 0 ? opendir(BAD) : NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL && name_count < CASES) {
        size_t size = strlen(entry->d_name);

        if (size > 5 && size < 60 && strcmp(entry->d_name + size - 5, ".yaml") == 0) {
            (void)snprintf(names[name_count++], 64, "%.*s", (int)size - 5,
                           entry->d_name);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    qsort(names, (size_t)name_count, sizeof names[0], by_text);
}

static char shipped[CASES][128];
static int shipped_count;

static void find_shipped(void)
{
    DIR *configs = opendir("configs");
    struct dirent *entry;

    while (configs != NULL && (entry = readdir(configs)) != NULL) {
        char folder[64];
        DIR *inner;
        struct dirent *file;

        if (entry->d_name[0] == '.' || strlen(entry->d_name) > 50) {
            continue;
        }
        (void)snprintf(folder, sizeof folder, "configs/%.50s", entry->d_name);
        inner = opendir(folder);
        while (inner != NULL && (file = readdir(inner)) != NULL) {
            size_t size = strlen(file->d_name);

            if (size > 5 && size < 60 && shipped_count < CASES &&
                strcmp(file->d_name + size - 5, ".yaml") == 0) {
                (void)snprintf(shipped[shipped_count++], sizeof shipped[0],
                               "%.60s/%.60s", folder, file->d_name);
            }
        }
        if (inner != NULL) {
            closedir(inner);
        }
    }
    if (configs != NULL) {
        closedir(configs);
    }
    qsort(shipped, (size_t)shipped_count, sizeof shipped[0], by_text);
}

/* Text with every `from` left out; malloc'ed. */
static char *without(const char *text, const char *from)
{
    il_text out = {0};
    const char *hit;

    il_text_add(&out, "");
    while ((hit = strstr(text, from)) != NULL) {
        il_text_add_bytes(&out, text, (size_t)(hit - text));
        text = hit + strlen(from);
    }
    il_text_add(&out, text);
    return out.data;
}

START_TEST(a_bad_pipeline_gets_its_golden_errors)
{
    char path[160];
    char golden[160];
    char home[4096];
    char *got;
    char *want = NULL;
    size_t size;
    il_error err = {0};
    const char *words[] = {"config", "validate", path, plugins_word(false), NULL};

    ck_assert_ptr_nonnull(getcwd(home, sizeof home - 64));
    strcat(home, "/" BAD "/");
    (void)snprintf(path, sizeof path, BAD "/%s.yaml", names[_i]);
    (void)snprintf(golden, sizeof golden, BAD "/%s.txt", names[_i]);
    run_verb(il_verb_config, &o, words);
    ck_assert_int_eq(o.code, 2);
    ck_assert_str_eq(o.out, "");
    {
        const char *plugins = plugins_word(false) + strlen("--plugin-path=");
        char *no_plugins = without(o.err, plugins);
        char *no_home = without(no_plugins, home);

        got = without(no_home, BAD "/");
        free(no_plugins);
        free(no_home);
    }
    if (getenv("IL_BLESS") != NULL) {
        ck_assert_int_eq(il_file_write(golden, got, strlen(got), &err), IL_OK);
    }
    ck_assert_msg(il_file_read(golden, 1 << 16, &want, &size, &err) == IL_OK, "%s",
                  err.message);
    ck_assert_msg(strcmp(got, want) == 0, "%s: expected\n%sgot\n%s", path, want, got);
    ck_assert_ptr_nonnull(strstr(got, "error: "));
    free(want);
    free(got);
}
END_TEST

START_TEST(what_they_are_laid_over_is_good)
{
    const char *words[] = {"config", "validate", BAD "/good.base", plugins_word(false),
                           NULL};

    run_verb(il_verb_config, &o, words);
    ck_assert_msg(o.code == 0, "%s", o.err);
    ck_assert_int_ge(name_count, 60);
    ck_assert_int_ge(shipped_count, 9);
}
END_TEST

/* ---- a key that nobody knows, everywhere ---------------------------------------- */

/* How many maps of a tree the grammar says something of, those of a variant's overrides
 * and free-form ones left out. */
typedef struct survey {
    il_arena *arena;
    il_document *document;
    il_registry *registry;
    size_t asked;
} survey;

/* Whether a key that nobody knows, put into a map of the tree, is a problem. */
static void probe(survey *s, il_node *map, const char *path)
{
    il_problems problems = {.arena = s->arena};
    il_place place = {"probe", 1, 1};
    il_node *value = il_node_scalar(s->document->arena, "1", false, place);
    bool found = false;
    il_jobs jobs;

    ck_assert(il_node_add(s->document->arena, map, "qqq", place, value));
    il_jobs_check(&jobs, s->document, &problems);
    il_plugins_check(s->registry, &jobs, s->arena, &problems);
    for (size_t i = 0; i < problems.count; i++) {
        found = found || strstr(problems.kept[i].message, "qqq") != NULL;
    }
    ck_assert_msg(found, "'qqq' in '%s' is not noticed", path);
    ck_assert(il_node_drop(map, "qqq"));
    s->asked++;
}

static void walk(survey *s, il_node *node, const char *path)
{
    /* Maps whose keys are names or paths of the user's own. */
    static const char *const open[] = {"vars",   "variants", "require",    "detectors",
                                       "stages", "signals",  "references", "rollouts",
                                       "lr",     "grid",     "zip",        "edits",
                                       "exclude"};
    const char *last = strrchr(path, '.') != NULL ? strrchr(path, '.') + 1 : path;
    bool named = false;

    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        named = named || strcmp(last, open[i]) == 0;
    }
    if (node->kind == IL_NODE_MAP && !named) {
        probe(s, node, path);
    }
    if (strncmp(last, "x-", 2) == 0 || strcmp(last, "vars") == 0 ||
        strcmp(last, "require") == 0 || strcmp(last, "variants") == 0) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        char below[512];

        (void)snprintf(below, sizeof below, "%s%s%s", path, path[0] != '\0' ? "." : "",
                       node->items[i].key != NULL ? node->items[i].key : "[]");
        if (node->items[i].value->kind != IL_NODE_SCALAR) {
            walk(s, node->items[i].value, below);
        }
    }
}

START_TEST(an_unknown_key_is_noticed_in_every_map_of_every_shipped_pipeline)
{
    const char *sets[] = {plugins_word(true) + strlen("--set=")};
    il_config_options options = {
        .plugins = {plugins_word(false) + strlen("--plugin-path=")}, .plugin_count = 1};
    survey s = {.arena = il_arena_create(1 << 16)};
    il_problems problems = {.arena = s.arena};
    il_error err = {0};

    ck_assert_msg(
        il_document_load(&s.document, shipped[_i], sets, 1, &problems, &err) == IL_OK,
        "%s: %s", shipped[_i], err.message);
    s.registry = il_config_registry(&options, NULL, s.arena);
    ck_assert_ptr_nonnull(s.registry);
    walk(&s, s.document->tree, "");
    ck_assert_uint_gt(s.asked, 10);
    il_registry_destroy(s.registry);
    il_document_destroy(s.document);
    il_arena_destroy(s.arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad pipelines");
    TCase *tc = tcase_create("bad pipelines");
    SRunner *runner;
    int failed;

    find_cases();
    find_shipped();
    tcase_add_checked_fixture(tc, go_home, NULL);
    tcase_add_test(tc, what_they_are_laid_over_is_good);
    tcase_add_loop_test(tc, a_bad_pipeline_gets_its_golden_errors, 0, name_count);
    tcase_add_loop_test(
        tc, an_unknown_key_is_noticed_in_every_map_of_every_shipped_pipeline, 0,
        shipped_count);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
