/* Components that read a file of lines with the tokenizer of tests/fixtures/text. */
#ifndef TESTS_PLUGINS_LINES_H
#define TESTS_PLUGINS_LINES_H

#include "plugins/host.h"
#include <stdio.h>
#include <unistd.h>

/* Writes the lines to a new file, whose name goes to `path`, and tells an open host of
 * it, of the tokenizer, and of settings: pairs of name and text, up to NULL. Names stay
 * the host's until lines_close. */
static inline void lines_open(host *h, char path[64], const char *lines,
                              const char *const *settings)
{
    static char tokenizer[512];
    const char *root = getenv("IL_ROOT");
    FILE *f;
    int fd;

    (void)snprintf(path, 64, "/tmp/il-lines-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    f = fdopen(fd, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(lines, 1, strlen(lines), f), strlen(lines));
    ck_assert_int_eq(fclose(f), 0);
    (void)snprintf(tokenizer, sizeof tokenizer, "%s/tests/fixtures/text/chat",
                   root != NULL ? root : ".");
    host_set(h, "file", path);
    host_set(h, "tokenizer", tokenizer);
    for (; settings[0] != NULL; settings += 2) {
        host_set(h, settings[0], settings[1]);
    }
}

/* What the host took for the component, which is gone, and the file. */
static inline void lines_close(host *h, const char *path)
{
    free(h->memory);
    il_tokens_close(h->tokens);
    (void)unlink(path);
}

#endif
