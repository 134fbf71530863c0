/* Asking a plugin something in another process: loading one runs its constructors. */
#include "plugin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plugin/loader.h"

enum { ASK_SECONDS = 60, ANSWER_MAX = IL_MANIFEST_MAX };

/* In the child: loads the plugin, writes the answer, or the error as "!...", and
 * ends. */
static void answer_and_end(const char *path, bool stamped, il_plugin_question *question,
                           int to)
{
    const il_plugin *entry = NULL;
    il_error err = {0};
    il_text answer = {0};
    il_image image;
    size_t done = 0;

    (void)alarm(ASK_SECONDS);
    if (il_image_read(&image, path, stamped, &err) != IL_OK ||
        il_image_load(&image, path, &entry, &err) != IL_OK ||
        question(path, entry, &answer, &err) != IL_OK) {
        il_text_free(&answer);
        memset(&answer, 0, sizeof answer);
        il_text_addf(&answer, "!%s", err.message);
    }
    while (!answer.failed && done < answer.size) {
        ssize_t put = write(to, answer.data + done, answer.size - done);

        if (put <= 0) {
            break;
        }
        done += (size_t)put;
    }
    il_image_free(&image);
    il_text_free(&answer);
    _exit(0);
}

/* Everything that can be read from `fd`. */
static void drain(int fd, il_text *out)
{
    char piece[4096];
    ssize_t got;

    while ((got = read(fd, piece, sizeof piece)) != 0) {
        if (got > 0 && out->size < ANSWER_MAX) {
            il_text_add_bytes(out, piece, (size_t)got);
        } else if (got < 0 && errno != EINTR) {
            break;
        }
    }
}

il_status il_plugin_ask(const char *path, bool stamped, il_plugin_question *question,
                        char **text, il_error *err)
{
    il_text answer = {0};
    int ends[2];
    int how = 0;
    pid_t child;

    if (pipe(ends) != 0) {
        return il_error_set(err, IL_ERR_IO, path, "cannot open a pipe: %s",
                            strerror(errno));
    }
    child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        answer_and_end(path, stamped, question, ends[1]);
    }
    (void)close(ends[1]);
    if (child < 0) {
        (void)close(ends[0]);
        return il_error_set(err, IL_ERR_IO, path, "cannot start a process: %s",
                            strerror(errno));
    }
    drain(ends[0], &answer);
    (void)close(ends[0]);
    while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(how)) {
        il_text_free(&answer);
        return il_error_set(err, IL_ERR_INPUT, path,
                            "loading it ended with signal %d (%s)", WTERMSIG(how),
                            strsignal(WTERMSIG(how)));
    }
    if (answer.failed || answer.size == 0 || answer.data[0] == '!') {
        il_status status = il_error_set(err, IL_ERR_INPUT, path, "%s",
                                        answer.size > 1 ? answer.data + 1
                                                        : "loading it gave no answer");

        il_text_free(&answer);
        return status;
    }
    *text = answer.data;
    return IL_OK;
}
