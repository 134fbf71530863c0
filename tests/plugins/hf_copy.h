/* Copies of the stored cases, to change and to spoil. */
#ifndef HF_COPY_H
#define HF_COPY_H

#include "plugins/hf.h"
#include "base/files.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char copy[64];

static il_status copy_one(void *user, const char *name, il_error *e)
{
    char *from = il_path_join(user, name);
    char *to = il_path_join(copy, name);
    char *data;
    size_t size;

    ck_assert_int_eq(il_file_read(from, 1 << 20, &data, &size, e), IL_OK);
    ck_assert_int_eq(il_file_write(to, data, size, e), IL_OK);
    free(data);
    free(from);
    free(to);
    return IL_OK;
}

static void copy_case(const char *name)
{
    char folder[600];

    strcpy(copy, "/tmp/interloop-hf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(copy));
    (void)snprintf(folder, sizeof folder, "%s/%s", fixtures(), name);
    ck_assert_int_eq(il_folder_list(folder, copy_one, folder, &err), IL_OK);
}

/* Puts `with` in the place of the first `what` of a file, zeros and all. */
static void change(const char *file, const char *what, const char *with)
{
    char *path = il_path_join(copy, file);
    const size_t n = strlen(what);
    char *data;
    size_t size;
    size_t at = 0;
    il_file_part parts[3];

    ck_assert_int_eq(il_file_read(path, 1 << 20, &data, &size, &err), IL_OK);
    while (at + n <= size && memcmp(data + at, what, n) != 0) {
        at++;
    }
    ck_assert_msg(at + n <= size, "%s has no %s", file, what);
    parts[0] = (il_file_part){data, at};
    parts[1] = (il_file_part){with, strlen(with)};
    parts[2] = (il_file_part){data + at + n, size - at - n};
    ck_assert_int_eq(il_file_write_parts(path, parts, 3, &err), IL_OK);
    free(data);
    free(path);
}

#endif
