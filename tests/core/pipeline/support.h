/* What the tests of the pipeline share: folders with files in them, and documents
 * loaded from text. */
#ifndef IL_TESTS_PIPELINE_SUPPORT_H
#define IL_TESTS_PIPELINE_SUPPORT_H

#include "base/files.h"
#include "pipeline/jobs.h"

/* After the project's headers: it has a macro named `fail`. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A pipeline that is loaded, its problems, and its folder, which goes with it. */
typedef struct fixture {
    il_arena *arena;
    il_problems problems;
    il_document *document;
    char folder[64];
    char *printed;
} fixture;

IL_UNUSED static void fixture_open(fixture *f)
{
    memset(f, 0, sizeof *f);
    f->arena = il_arena_create(1 << 14);
    f->problems.arena = f->arena;
    strcpy(f->folder, "/tmp/il_pipeline_XXXXXX");
    ck_assert_ptr_nonnull(f->arena);
    ck_assert_ptr_nonnull(mkdtemp(f->folder));
}

IL_UNUSED static const char *fixture_file(fixture *f, const char *name,
                                          const char *text)
{
    char *path = il_path_join(f->folder, name);
    const char *kept = il_arena_strdup(f->arena, path);
    il_error err = {0};

    ck_assert_int_eq(il_file_write(path, text, strlen(text), &err), IL_OK);
    free(path);
    return kept;
}

IL_UNUSED static void fixture_load(fixture *f, const char *path,
                                   const char *const *sets, size_t count)
{
    il_error err = {0};

    (void)il_document_load(&f->document, path, sets, count, &f->problems, &err);
}

/* The problems as printed, the folder's name left out. */
IL_UNUSED static const char *fixture_problems(fixture *f)
{
    il_text all = {0};
    il_text out = {0};
    char head[80];
    const char *p;
    const char *hit;

    il_text_add(&all, "");
    il_problems_write(&f->problems, &all);
    (void)snprintf(head, sizeof head, "%s/", f->folder);
    il_text_add(&out, "");
    for (p = all.data; (hit = strstr(p, head)) != NULL; p = hit + strlen(head)) {
        il_text_add_bytes(&out, p, (size_t)(hit - p));
    }
    il_text_add(&out, p);
    free(f->printed);
    f->printed = out.data;
    il_text_free(&all);
    return f->printed;
}

/* Fails unless the printed problems hold `part`; NULL: unless there are none. */
#define fixture_expect(f, part)                                                        \
    do {                                                                               \
        const char *printed_ = fixture_problems(f);                                    \
        const char *part_ = (part);                                                    \
        ck_assert_msg(                                                                 \
            part_ == NULL ? printed_[0] == '\0' : strstr(printed_, part_) != NULL,     \
            "expected '%s', got:\n%.2000s", part_ ? part_ : "no problem", printed_);   \
    } while (0)

IL_UNUSED static void fixture_close(fixture *f)
{
    il_error err = {0};

    il_document_destroy(f->document);
    free(f->printed);
    il_arena_destroy(f->arena);
    (void)il_folder_remove(f->folder, &err);
}

/* The scalar at a path of the document's tree; "" when there is none. */
IL_UNUSED static const char *text_at(const il_node *root, const char *path)
{
    const il_node *node = il_node_find(root, path);

    return node != NULL && node->kind == IL_NODE_SCALAR ? node->text : "";
}

/* The job of a stage and variant; fails when there is none. */
IL_UNUSED static const il_job *job_of(const il_jobs *jobs, const char *stage,
                                      const char *variant)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (strcmp(jobs->items[i].stage, stage) == 0 &&
            strcmp(jobs->items[i].variant, variant) == 0) {
            return &jobs->items[i];
        }
    }
    ck_abort_msg("no job %s/%s among %zu", stage, variant, jobs->count);
    return NULL;
}

IL_UNUSED static const char *repository(void)
{
    const char *root = getenv("IL_ROOT");

    return root != NULL ? root : ".";
}

/* Runs a suite of one case; the exit code. */
IL_UNUSED static int run_case(TCase *tc)
{
    Suite *suite = suite_create("pipeline");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
