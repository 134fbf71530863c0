/* What the tests of exchange share: a folder of the test's own, the fixtures, and
 * comparing numbers. Included after <check.h>. */
#ifndef IL_TESTS_EXCHANGE_SUPPORT_H
#define IL_TESTS_EXCHANGE_SUPPORT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "exchange/arrays.h"

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-exchange-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* A path in the test's folder; valid until the fourth next call. */
static inline const char *in_folder(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* A path among the fixtures, which IL_EXCHANGE_FIXTURES may name elsewhere; valid until
 * the fourth next call. */
static inline const char *fixture(const char *name)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    const char *root = getenv("IL_ROOT");
    const char *made = getenv("IL_EXCHANGE_FIXTURES");

    if (made != NULL) {
        (void)snprintf(path, sizeof paths[0], "%s/%s", made, name);
    } else {
        (void)snprintf(path, sizeof paths[0], "%s/tests/fixtures/exchange/%s",
                       root != NULL ? root : ".", name);
    }
    return path;
}

/* All values of an array of a file, for the caller to free; its first size in *rows. */
static inline float *numbers(const char *path, const char *name, int64_t *rows)
{
    il_arrays *b = NULL;
    const il_array *a = NULL;
    il_error err = {0};
    float *out = NULL;

    ck_assert_msg(il_arrays_open(&b, path, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    ck_assert_msg(il_arrays_array(b, name, &a, &err) == IL_OK, "%s", err.message);
    ck_assert_int_eq(il_array_floats(&out, a, path, &err), IL_OK);
    if (rows != NULL) {
        *rows = a->ndim > 0 ? a->shape[0] : 1;
    }
    il_arrays_close(b);
    return out;
}

/* Each value within `tolerance` of the other, relative to the largest of `want`. */
static inline void near(const char *what, const float *got, const float *want,
                        int64_t count, double tolerance)
{
    double largest = 0;

    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(want[i]));
    }
    for (int64_t i = 0; i < count; i++) {
        ck_assert_msg(fabs((double)got[i] - want[i]) <= tolerance * largest,
                      "%s: element %lld is %.9g, expected %.9g", what, (long long)i,
                      got[i], want[i]);
    }
}

static inline void write_text(const char *path, const char *text)
{
    ck_assert_int_eq(il_file_write(path, text, strlen(text), NULL), IL_OK);
}

#endif
