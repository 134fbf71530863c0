#include "report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/files.h"

extern char **environ;

enum { SVG_LIMIT = 16 << 20, PATH_ROOM = 512 };

void il__gnuplot_label(il_text *script, const char *label)
{
    for (const char *c = label; *c != '\0'; c++) {
        bool plain = (unsigned char)*c >= 0x80 || (*c >= 'a' && *c <= 'z') ||
                     (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     strchr("._+-/ ()=,", *c) != NULL;

        il_text_add_bytes(script, plain ? c : "_", 1);
    }
}

/* Runs gnuplot on the script of the folder, its complaints in the file `said`. */
static il_status run(const char *script, const char *said, il_error *err)
{
    char *argv[] = {(char *)"gnuplot", (char *)"-d", (char *)script, NULL};
    posix_spawn_file_actions_t actions;
    int status = 0;
    int failed;
    pid_t child;

    if (posix_spawn_file_actions_init(&actions) != 0) {
        return il_error_set(err, IL_ERR_MEMORY, "gnuplot", "out of memory");
    }
    failed =
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) != 0 ||
        posix_spawn_file_actions_addopen(&actions, 2, said,
                                         O_WRONLY | O_CREAT | O_TRUNC, 0600) != 0;
    if (!failed) {
        failed = posix_spawnp(&child, "gnuplot", &actions, NULL, argv, environ);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    if (failed) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "gnuplot",
                            "cannot be run: %s; install gnuplot to see the figures",
                            strerror(failed));
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return il_error_set(err, IL_ERR_IO, "gnuplot", "%s", strerror(errno));
        }
    }
    if (status != 0) {
        char *words = NULL;
        size_t size = 0;

        /* Without its words the status alone has to do. */
        (void)il_file_read(said, SVG_LIMIT, &words, &size, NULL);
        (void)il_error_set(err, IL_ERR_UNSUPPORTED, "gnuplot", "failed: %.300s",
                           words != NULL ? words : "it said nothing");
        free(words);
        return IL_ERR_UNSUPPORTED;
    }
    return IL_OK;
}

/* The part of the file from <svg to </svg>. */
static il_status take_svg(const char *path, il_text *svg, il_error *err)
{
    char *data = NULL;
    char *from;
    char *to;
    size_t size;
    il_status status = IL_OK;

    IL_TRY(il_file_read(path, SVG_LIMIT, &data, &size, err));
    from = strstr(data, "<svg");
    to = from != NULL ? strstr(from, "</svg>") : NULL;
    if (to == NULL) {
        status = il_error_set(err, IL_ERR_UNSUPPORTED, "gnuplot", "drew no picture");
    } else {
        il_text_add_bytes(svg, from, (size_t)(to - from) + strlen("</svg>"));
    }
    free(data);
    return status;
}

il_status il__gnuplot_draw(const char *name, int width, int height, const char *script,
                           il_text *svg, il_error *err)
{
    const char *base = getenv("TMPDIR");
    char folder[PATH_ROOM];
    char path[3][PATH_ROOM + 16];
    il_text text = {0};
    il_status status;

    /* The folder's name stands in the script, so a strange one is not used. */
    if (base == NULL || *base != '/' || strlen(base) > 400 || strpbrk(base, "'\"\\`")) {
        base = "/tmp";
    }
    (void)snprintf(folder, sizeof folder, "%s/interloop-report-XXXXXX", base);
    if (mkdtemp(folder) == NULL) {
        return il_error_set(err, IL_ERR_IO, folder, "%s", strerror(errno));
    }
    (void)snprintf(path[0], sizeof path[0], "%s/script", folder);
    (void)snprintf(path[1], sizeof path[1], "%s/said", folder);
    (void)snprintf(path[2], sizeof path[2], "%s/svg", folder);
    il_text_addf(&text,
                 "set encoding utf8\n"
                 "set terminal svg size %d,%d dynamic noenhanced font 'sans-serif,12' "
                 "name '%s' background 'white'\n"
                 "set output '%s'\n%s\nunset output\n",
                 width, height, name, path[2], script);
    status = text.failed ? il_error_set(err, IL_ERR_MEMORY, "gnuplot", "out of memory")
                         : il_file_write(path[0], text.data, text.size, err);
    if (status == IL_OK) {
        status = run(path[0], path[1], err);
    }
    if (status == IL_OK) {
        status = take_svg(path[2], svg, err);
    }
    il_text_free(&text);
    /* What is left in the temporary folder harms nothing. */
    (void)il_folder_remove(folder, NULL);
    return status;
}
