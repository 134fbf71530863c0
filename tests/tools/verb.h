/* Calling a verb as the command calls it, with what it printed. */
#ifndef IL_TESTS_VERB_H
#define IL_TESTS_VERB_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"

typedef struct outcome {
    int code;
    char out[1 << 19];
    char err[1 << 14];
} outcome;

static void slurp(const char *path, char *text, size_t room)
{
    il_error err = {0};
    char *data = NULL;
    size_t size = 0;

    ck_assert_int_eq(il_file_read(path, room - 1, &data, &size, &err), IL_OK);
    memcpy(text, data, size + 1);
    free(data);
}

/* The plugins that were built with this program, and no others. */
static const char *plugins_word(bool set)
{
    static char words[2][4200];
    const char *build = getenv("IL_BUILD");
    char real[4096];

    ck_assert_ptr_nonnull(realpath(build != NULL ? build : "build", real));
    (void)snprintf(words[set], sizeof words[set],
                   set ? "--set=plugins.path=[%s/plugins]" : "--plugin-path=%s/plugins",
                   real);
    return words[set];
}

/* Runs the verb with its output in files; `words` end in NULL. */
static void run_verb(int (*verb)(int argc, char **argv), outcome *o,
                     const char *const *words)
{
    char folder[] = "/tmp/il_verb_XXXXXX";
    char paths[2][64];
    int saved[2];
    char *argv[16];
    int argc = 0;
    il_error err = {0};

    for (; words[argc] != NULL; argc++) {
        argv[argc] = strdup(words[argc]);
    }
    argv[argc] = NULL;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        int fd;

        (void)snprintf(paths[i], sizeof paths[i], "%s/%d", folder, i);
        fflush(i == 0 ? stdout : stderr);
        saved[i] = dup(i + 1);
        fd = open(paths[i], O_WRONLY | O_CREAT, 0600);
        ck_assert_int_ge(dup2(fd, i + 1), 0);
        close(fd);
    }
    o->code = verb(argc, argv);
    for (int i = 0; i < 2; i++) {
        fflush(i == 0 ? stdout : stderr);
        ck_assert_int_ge(dup2(saved[i], i + 1), 0);
        close(saved[i]);
    }
    slurp(paths[0], o->out, sizeof o->out);
    slurp(paths[1], o->err, sizeof o->err);
    (void)il_folder_remove(folder, &err);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
}

#endif
