/* interloop plugin: what plugins there are, what a file says of itself, and writing
 * that into it. */
#define _GNU_SOURCE /* environ */
#include "verbs.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/files.h"
#include "base/text.h"
#include "plugin/loader.h"
#include "plugin/registry.h"

static const char usage[] =
    "usage: interloop plugin list [--plugin-path FOLDER]...\n"
    "       interloop plugin inspect FILE.so [--json]\n"
    "       interloop plugin stamp FILE.so\n"
    "\n"
    "  list      every plugin file that is found: what it offers, or why it is refused\n"
    "  inspect   the manifest of a file, without loading or running anything of it\n"
    "  stamp     writes the manifest of a freshly linked file into it, by objcopy (the\n"
    "            variable OBJCOPY may name another one)\n"
    "\n"
    "  --plugin-path FOLDER   looks there first; may be given more than once\n"
    "  --json                 the manifest as it stands in the file\n"
    "\n"
    "Besides the command line's, folders are taken from INTERLOOP_PLUGIN_PATH, then the\n"
    "user's data folder (~/.local/share/interloop/plugins), then the installed one.\n"
    "\n"
    "Exit codes: 0 well, 1 failed, 2 wrong input.\n";

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop plugin: %s%s\n%s", what, detail, usage);
    return 2;
}

/* The exit code of an error, after saying it. */
static int complain(const il_error *err)
{
    fprintf(stderr, "%s%serror: %s\n", err->where, err->where[0] != '\0' ? ": " : "",
            err->message);
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
            return wrong("cannot use ", argv[i]);
        }
        status = add_given(r, folder, &err);
    }
    if (status == IL_OK) {
        status = il_registry_add_defaults(r, &err);
    }
    if (status == IL_OK) {
        print_files(r);
    } else {
        code = complain(&err);
    }
    il_registry_destroy(r);
    return code;
}

/* --- inspect --------------------------------------------------------------------- */

/* Text that a stranger may have written goes to a terminal only without control
 * bytes. */
static const char *printable(const char *text)
{
    for (const char *p = text; p != NULL && *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return "(not printable)";
        }
    }
    return text != NULL ? text : "";
}

static const char *text_of(const json_t *o, const char *key)
{
    return printable(json_string_value(json_object_get(o, key)));
}

/* The text of a bound as in "1"; nothing when there is none. */
static const char *bound(const json_t *o, const char *key, char out[32])
{
    const json_t *value = json_object_get(o, key);

    out[0] = '\0';
    if (json_is_number(value) && strcmp(text_of(o, "type"), "int") == 0) {
        (void)snprintf(out, 32, "%.0f", json_number_value(value));
    } else if (json_is_number(value)) {
        il_format_real(json_number_value(value), out);
    }
    return out;
}

static void print_param(const json_t *p)
{
    const json_t *initial = json_object_get(p, "default");
    const json_t *choices = json_object_get(p, "choices");
    char low[32];
    char high[32];

    printf("    %-20s %-6s %s%s", text_of(p, "name"), text_of(p, "type"),
           json_is_string(initial) ? "default " : "required",
           json_is_string(initial) ? text_of(p, "default") : "");
    if (text_of(p, "unit")[0] != '\0') {
        printf(" %s", text_of(p, "unit"));
    }
    if (bound(p, "min", low)[0] != '\0' || bound(p, "max", high)[0] != '\0') {
        (void)bound(p, "max", high);
        printf(", from %s to %s", low[0] ? low : "anything",
               high[0] ? high : "anything");
    }
    for (size_t i = 0; i < json_array_size(choices); i++) {
        printf("%s%s", i == 0 ? ", one of " : " | ",
               printable(json_string_value(json_array_get(choices, i))));
    }
    printf("\n      %s\n", text_of(p, "help"));
}

static void print_manifest(const char *path, const il_image *image, const json_t *m)
{
    const json_t *components = json_object_get(m, "components");

    printf("%s\n  namespace %s, version %s, licence %s\n  by %s\n  %s\n"
           "  ABI %u.%u, needs a host of %u.%u or newer\n  SHA-256 %s\n",
           path, text_of(m, "space"), text_of(m, "version"), text_of(m, "licence"),
           text_of(m, "author"), text_of(m, "summary"), image->prefix.abi_major,
           image->prefix.abi_minor, image->prefix.abi_major,
           image->prefix.host_minor_min, image->sha256);
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        const json_t *params = json_object_get(c, "params");

        printf("\n  %s %s.%s: %s\n", text_of(c, "kind"), text_of(m, "space"),
               text_of(c, "name"), text_of(c, "summary"));
        for (size_t k = 0; k < json_array_size(params); k++) {
            print_param(json_array_get(params, k));
        }
    }
}

static int inspect(int argc, char **argv)
{
    const char *path = NULL;
    bool as_json = false;
    il_error err = {0};
    il_image image;
    json_t *m;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            as_json = true;
        } else if (argv[i][0] != '-' && path == NULL) {
            path = argv[i];
        } else {
            return wrong("cannot use ", argv[i]);
        }
    }
    if (path == NULL) {
        return wrong("expected a file", "");
    }
    if (il_image_read(&image, path, true, &err) != IL_OK) {
        il_image_free(&image);
        return complain(&err);
    }
    if (as_json) {
        puts(image.manifest.text);
    } else {
        m = json_loads(image.manifest.text, 0, NULL);
        print_manifest(path, &image, m);
        json_decref(m);
    }
    il_image_free(&image);
    return 0;
}

/* --- stamp ----------------------------------------------------------------------- */

enum { STAMP_SECONDS = 60, ANSWER_MAX = IL_MANIFEST_MAX };

/* In the child: loads the plugin, writes its manifest, or the error as "!...", and
 * ends. */
static void describe_self(const char *path, int to)
{
    const il_plugin *entry = NULL;
    il_error err = {0};
    il_text answer = {0};
    char *manifest = NULL;
    il_image image;
    size_t done = 0;

    (void)alarm(STAMP_SECONDS);
    if (il_image_read(&image, path, false, &err) == IL_OK &&
        il_image_load(&image, path, &entry, &err) == IL_OK &&
        il_manifest_write(entry, path, &manifest, &err) == IL_OK) {
        il_text_add(&answer, manifest);
    } else {
        il_text_addf(&answer, "!%s", err.message);
    }
    while (!answer.failed && done < answer.size) {
        ssize_t put = write(to, answer.data + done, answer.size - done);

        if (put <= 0) {
            break;
        }
        done += (size_t)put;
    }
    free(manifest);
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

/* The manifest of a plugin, malloc'ed. It runs the plugin's constructors, so another
 * process does that. */
static il_status ask(const char *path, char **manifest, il_error *err)
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
        describe_self(path, ends[1]);
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
    *manifest = answer.data;
    return IL_OK;
}

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

static il_status stamp_file(const char *path, il_error *err)
{
    char *text = NULL;
    il_error none = {0};
    il_image image;
    il_status status = ask(path, &text, err);

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
        return wrong("expected one file", "");
    }
    path = realpath(argv[1], NULL);
    if (path == NULL) {
        (void)il_error_set(&err, IL_ERR_INPUT, argv[1], "cannot open: %s",
                           strerror(errno));
        return complain(&err);
    }
    status = stamp_file(path, &err);
    free(path);
    return status == IL_OK ? 0 : complain(&err);
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
    if (strcmp(verb, "inspect") == 0) {
        return inspect(argc - 1, argv + 1);
    }
    if (strcmp(verb, "stamp") == 0) {
        return stamp(argc - 1, argv + 1);
    }
    return wrong("expected list, inspect or stamp, found ", verb[0] ? verb : "nothing");
}
