/* A folder of the test's own, made before each test and removed after it. */
#ifndef IL_TESTS_LOOP_FOLDER_H
#define IL_TESTS_LOOP_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include <check.h>

static char folder[64];

/* In memory where there is such a folder: the tests sync hundreds of files, and a busy
 * disk would make them wait for it. */
static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/dev/shm/il-loop-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        (void)snprintf(folder, sizeof folder, "/tmp/il-loop-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
    }
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* A path in the folder; valid for the next seven calls. */
static const char *in_folder(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* A file's contents; the caller frees them. */
static inline char *contents(const char *path, size_t *size)
{
    char *data;
    size_t bytes;
    il_error err = {0};

    ck_assert_msg(il_file_read(path, (size_t)1 << 30, &data, &bytes, &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    if (size != NULL) {
        *size = bytes;
    }
    return data;
}

static inline void put(const char *path, const char *data)
{
    ck_assert_int_eq(il_file_write(path, data, strlen(data), NULL), IL_OK);
}

#endif
