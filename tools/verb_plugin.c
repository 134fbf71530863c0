/* interloop plugin: what plugins there are, and writing into a file what it says of
 * itself. What else it does has files of its own, plugin_*.c. */
#define _GNU_SOURCE /* environ */
#include "verbs.h"
#include "plugin.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plain.h"
#include "base/files.h"
#include "base/text.h"
#include "plugin/loader.h"
#include "plugin/registry.h"

static const char usage[] =
    "usage: interloop plugin list [--plugin-path FOLDER]...\n"
    "       interloop plugin new KIND NAME [--folder FOLDER]\n"
    "       interloop plugin inspect FILE.so [--json] [--load]\n"
    "       interloop plugin check FILE.so [--json] [--seed N] [--only GROUP]\n"
    "                              [--seconds N] [--set NAME=VALUE]...\n"
    "       interloop plugin stamp FILE.so\n"
    "\n"
    "  list      every plugin file that is found: what it offers, or why it is refused\n"
    "  new       a folder with a plugin that works as it stands: KIND is model, dataset,\n"
    "            environment or detector, NAME is SPACE.NAME, or NAME in your_lab\n"
    "  inspect   the manifest of a file, without loading or running anything of it\n"
    "  check     whether a file is well behaved: each test in a process of its own\n"
    "  stamp     writes the manifest of a freshly linked file into it, by objcopy (the\n"
    "            variable OBJCOPY may name another one)\n"
    "\n"
    "  --plugin-path FOLDER   looks there first; may be given more than once\n"
    "  --folder FOLDER        where new writes; no file that is there is touched\n"
    "  --json                 the manifest, or the results, as JSON\n"
    "  --load                 also what loading adds, asked of another process\n"
    "  --seed N               of all that is drawn in a check; 1\n"
    "  --only GROUP           elf, load, entry, parameters, life, shapes, numerics, state,\n"
    "                         dataset or environment\n"
    "  --seconds N            how long one test may take; 20\n"
    "  --set NAME=VALUE       a parameter of the components that have one of that name\n"
    "\n"
    "Besides the command line's, folders are taken from INTERLOOP_PLUGIN_PATH, then the\n"
    "user's data folder (~/.local/share/interloop/plugins), then the installed one.\n"
    "\n"
    "Exit codes: 0 well, 1 failed, 2 wrong input.\n";

int il_plugin_wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop plugin: %s%s\n%s", what, detail, usage);
    return 2;
}

int il_plugin_complain(const il_error *err)
{
    il_put_error(err);
    switch (err->code) {
    case IL_OK:
        return 0;
    case IL_ERR_INPUT:
    case IL_ERR_SHAPE:
    case IL_ERR_UNSUPPORTED:
    case IL_ERR_FIREWALL:
        return 2;
    default:
        return 1;
    }
}

/* --- list ------------------------------------------------------------------------ */

static void print_files(const il_registry *r)
{
    for (size_t i = 0; i < il_registry_files(r); i++) {
        const il_plugin_file *f = il_registry_file(r, i);

        if (f->refused != NULL) {
            printf("%s  refused: %s\n", f->path, f->refused);
            continue;
        }
        printf("%s  %s %s  %s\n", f->path, f->space, f->version, f->entry->licence);
        for (size_t k = 0; k < il_registry_offers(r); k++) {
            const il_offer *o = il_registry_offer(r, k);

            if (o->file == f) {
                printf("  %-9s %-28s %s\n", il_kind_name(o->component->kind), o->id,
                       o->component->summary != NULL ? o->component->summary : "");
            }
        }
    }
    if (il_registry_files(r) == 0) {
        puts("no plugins found");
    }
}

/* The folder that a relative path on the command line means. */
static il_status add_given(il_registry *r, const char *folder, il_error *err)
{
    char *whole = realpath(folder, NULL);
    il_status status =
        whole != NULL
            ? il_registry_add_folder(r, whole, true, err)
            : il_error_set(err, IL_ERR_INPUT, folder,
                           "cannot open the folder of plugins: %s", strerror(errno));

    free(whole);
    return status;
}

static int list(int argc, char **argv)
{
    il_registry *r = NULL;
    il_error err = {0};
    il_status status = il_registry_create(&r, NULL, &err);
    int code = 0;

    for (int i = 1; i < argc && status == IL_OK; i++) {
        const char *folder = NULL;

        if (strncmp(argv[i], "--plugin-path=", 14) == 0) {
            folder = argv[i] + 14;
        } else if (strcmp(argv[i], "--plugin-path") == 0 && i + 1 < argc) {
            folder = argv[++i];
        }
        if (folder == NULL) {
            il_registry_destroy(r);
            return il_plugin_wrong("cannot use ", argv[i]);
        }
        status = add_given(r, folder, &err);
    }
    if (status == IL_OK) {
        status = il_registry_add_defaults(r, &err);
    }
    if (status == IL_OK) {
        print_files(r);
    } else {
        code = il_plugin_complain(&err);
    }
    il_registry_destroy(r);
    return code;
}

/* --- stamp ----------------------------------------------------------------------- */

/* Runs a program to its end. */
static il_status spawn(char *const *words, const char *path, il_error *err)
{
    pid_t child;
    int how = 0;
    int failed = posix_spawnp(&child, words[0], NULL, NULL, words, environ);

    if (failed != 0) {
        return il_error_set(err, IL_ERR_IO, path,
                            "cannot run %s: %s; binutils has it, and OBJCOPY may name "
                            "another one",
                            words[0], strerror(failed));
    }
    while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(how) || WEXITSTATUS(how) != 0) {
        return il_error_set(err, IL_ERR_IO, path, "%s failed (status %d)", words[0],
                            how);
    }
    return IL_OK;
}

/* Has objcopy write `to`: the file `from` with the manifest for its section. */
static il_status add_section(const char *from, const char *to, const char *manifest,
                             il_error *err)
{
    const char *objcopy = getenv("OBJCOPY");
    char adds[PATH_MAX + 64];
    char program[PATH_MAX];
    char *words[] = {program,
                     "--remove-section=.interloop",
                     "--add-section",
                     adds,
                     "--set-section-flags",
                     ".interloop=noload,readonly",
                     (char *)(uintptr_t)from,
                     (char *)(uintptr_t)to,
                     NULL};

    (void)snprintf(program, sizeof program, "%s",
                   objcopy != NULL && objcopy[0] != '\0' ? objcopy : "objcopy");
    (void)snprintf(adds, sizeof adds, ".interloop=%s", manifest);
    return spawn(words, from, err);
}

/* Writes beside the file and renames, so that it is there whole at any time. */
static il_status write_stamped(const char *path, const char *text, il_error *err)
{
    char manifest[PATH_MAX + 32];
    char stamped[PATH_MAX + 32];
    struct stat st;
    il_status status;

    (void)snprintf(manifest, sizeof manifest, "%s.manifest.%ld", path, (long)getpid());
    (void)snprintf(stamped, sizeof stamped, "%s.stamped.%ld", path, (long)getpid());
    status = il_file_write(manifest, text, strlen(text), err);
    if (status == IL_OK) {
        status = add_section(path, stamped, manifest, err);
    }
    if (status == IL_OK &&
        (stat(path, &st) != 0 || chmod(stamped, st.st_mode & 07777) != 0 ||
         rename(stamped, path) != 0)) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot replace it: %s",
                              strerror(errno));
    }
    (void)unlink(manifest);
    (void)unlink(stamped);
    return status;
}

static il_status write_manifest(const char *path, const il_plugin *entry, il_text *out,
                                il_error *err)
{
    char *manifest = NULL;

    IL_TRY(il_manifest_write(entry, path, &manifest, err));
    il_text_add(out, manifest);
    free(manifest);
    return IL_OK;
}

static il_status stamp_file(const char *path, il_error *err)
{
    char *text = NULL;
    il_error none = {0};
    il_image image;
    il_status status = il_plugin_ask(path, false, write_manifest, &text, err);

    if (status != IL_OK) {
        return status;
    }
    /* One that has this manifest already stays as it is. */
    if (il_image_read(&image, path, true, &none) != IL_OK ||
        strcmp(image.manifest.text, text) != 0) {
        status = write_stamped(path, text, err);
    }
    il_image_free(&image);
    free(text);
    return status;
}

static int stamp(int argc, char **argv)
{
    il_error err = {0};
    char *path;
    il_status status;

    if (argc != 2 || argv[1][0] == '-') {
        return il_plugin_wrong("expected one file", "");
    }
    path = realpath(argv[1], NULL);
    if (path == NULL) {
        (void)il_error_set(&err, IL_ERR_INPUT, argv[1], "cannot open: %s",
                           strerror(errno));
        return il_plugin_complain(&err);
    }
    status = stamp_file(path, &err);
    free(path);
    return status == IL_OK ? 0 : il_plugin_complain(&err);
}

int il_verb_plugin(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "--help") == 0 || (argc > 2 && strcmp(argv[2], "--help") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(verb, "list") == 0) {
        return list(argc - 1, argv + 1);
    }
    if (strcmp(verb, "new") == 0) {
        return il_plugin_new(argc - 1, argv + 1);
    }
    if (strcmp(verb, "inspect") == 0) {
        return il_plugin_inspect(argc - 1, argv + 1);
    }
    if (strcmp(verb, "check") == 0) {
        return il_plugin_check(argc - 1, argv + 1);
    }
    if (strcmp(verb, "stamp") == 0) {
        return stamp(argc - 1, argv + 1);
    }
    return il_plugin_wrong("expected list, new, inspect, check or stamp, found ",
                           verb[0] ? verb : "nothing");
}
