/* What tests of a run's page share: a folder of their own, and the page of a run. */
#ifndef TESTS_CORE_REPORT_PAGES_H
#define TESTS_CORE_REPORT_PAGES_H

#include "base/files.h"
#include "report/report.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURE "tests/fixtures/run"

static char folder[] = "/tmp/interloop-test-XXXXXX";

static inline void setup(void)
{
    (void)strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

static inline void put(const char *name, const char *text)
{
    char *path = il_path_join(folder, name);
    char *parent = il_path_folder(path);

    ck_assert_int_eq(il_folder_make(parent, NULL), IL_OK);
    ck_assert_int_eq(il_file_write(path, text, strlen(text), NULL), IL_OK);
    free(parent);
    free(path);
}

/* The page of a run folder; the caller frees it. */
static inline char *page_of(const char *run)
{
    char *path = il_path_join(folder, "page.html");
    char *data;
    size_t size;
    il_error err = {0};

    ck_assert_msg(il_report_write(run, path, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    ck_assert_int_eq(il_file_read(path, (size_t)1 << 24, &data, &size, &err), IL_OK);
    free(path);
    return data;
}

static inline size_t count(const char *text, const char *word)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        n++;
    }
    return n;
}

static inline void assert_refused(const char *file, const char *words)
{
    il_error err = {0};
    char *path = il_path_join(folder, "report.html");

    ck_assert_int_eq(il_report_write(folder, NULL, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.where, file) != NULL, "where: %s", err.where);
    ck_assert_msg(strstr(err.message, words) != NULL, "message: %s", err.message);
    ck_assert(!il_file_exists(path));
    free(path);
}

#endif
