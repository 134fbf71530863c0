/* What a plugin may not change in the process that it is loaded into, looked at from
 * outside of it. */
#define _GNU_SOURCE /* environ, NSIG */
#include "check/check_private.h"

#include <dirent.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void look_rounding(il_text *out)
{
    il_text_addf(out, "%d", fegetround());
}

static void look_signals(il_text *out)
{
    sigset_t mask;

    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int s = 1; s < NSIG; s++) {
        struct sigaction a;

        if (sigaction(s, NULL, &a) == 0) {
            il_text_addf(out, "%d %p %d %d\n", s, (void *)(uintptr_t)a.sa_handler,
                         a.sa_flags, sigismember(&mask, s));
        }
    }
}

static void look_locale(il_text *out)
{
    il_text_add(out, setlocale(LC_ALL, NULL));
}

static void look_folder(il_text *out)
{
    char folder[4096];
    mode_t mask = umask(0);

    (void)umask(mask);
    il_text_addf(out, "%s %o",
                 getcwd(folder, sizeof folder) != NULL ? folder : "(none)",
                 (unsigned)mask);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The entries of a folder of /proc, sorted, with what they link to. */
static void look_entries(il_text *out, const char *path, bool links)
{
    enum { MANY = 512 };
    static const char skip[] = ".";
    char(*names)[32] = calloc(MANY, sizeof *names);
    DIR *d = opendir(path);
    struct dirent *e;
    size_t count = 0;

    while (names != NULL && d != NULL && (e = readdir(d)) != NULL && count < MANY) {
        if (e->d_name[0] != skip[0] && (!links || atoi(e->d_name) != dirfd(d))) {
            (void)snprintf(names[count++], sizeof *names, "%.31s", e->d_name);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    qsort(names, count, sizeof *names, by_text);
    for (size_t i = 0; i < count; i++) {
        char from[64];
        char to[256] = "";

        (void)snprintf(from, sizeof from, "%s/%s", path, names[i]);
        if (links && readlink(from, to, sizeof to - 1) < 0) {
            to[0] = '\0';
        }
        il_text_addf(out, "%s %s\n", links ? names[i] : "a thread", to);
    }
    free(names);
}

static void look_descriptors(il_text *out)
{
    look_entries(out, "/proc/self/fd", true);
}

static void look_threads(il_text *out)
{
    look_entries(out, "/proc/self/task", false);
}

static void look_environment(il_text *out)
{
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        il_text_addf(out, "%s\n", *e);
    }
}

static void look_limits(il_text *out)
{
    static const int kinds[] = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_NOFILE, RLIMIT_STACK};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct rlimit l;

        if (getrlimit(kinds[i], &l) == 0) {
            il_text_addf(out, "%llu %llu\n", (unsigned long long)l.rlim_cur,
                         (unsigned long long)l.rlim_max);
        }
    }
}

static void look_children(il_text *out)
{
    char path[64];
    char line[256];
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        il_text_add(out, line);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

static const struct {
    const char *name;
    void (*look)(il_text *out);
} aspects[IL__ASPECTS] = {
    {"the floating-point environment", look_rounding},
    {"the signal handlers and the signal mask", look_signals},
    {"the locale", look_locale},
    {"the working folder and the umask", look_folder},
    {"the open descriptors", look_descriptors},
    {"the number of threads", look_threads},
    {"the environment variables", look_environment},
    {"the resource limits", look_limits},
    {"the child processes", look_children},
};

void il__process_look(il__process *p)
{
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < IL__ASPECTS; i++) {
        il_text_add(&p->aspects[i], "");
        aspects[i].look(&p->aspects[i]);
    }
}

/* The first line that differs, cut short. */
static void first_difference(const char *a, const char *b, char *was, char *is,
                             size_t size)
{
    while (*a != '\0' && *b != '\0') {
        size_t left = strcspn(a, "\n");
        size_t right = strcspn(b, "\n");

        if (left != right || memcmp(a, b, left) != 0) {
            break;
        }
        a += left + (a[left] == '\n');
        b += right + (b[right] == '\n');
    }
    (void)snprintf(was, size, "%.*s", (int)strcspn(a, "\n"), a);
    (void)snprintf(is, size, "%.*s", (int)strcspn(b, "\n"), b);
}

il_status il__process_same(const il__process *before, const il__process *after,
                           il_error *err)
{
    for (size_t i = 0; i < IL__ASPECTS; i++) {
        const char *a = before->aspects[i].data != NULL ? before->aspects[i].data : "";
        const char *b = after->aspects[i].data != NULL ? after->aspects[i].data : "";
        char was[96];
        char is[96];

        if (strcmp(a, b) != 0) {
            first_difference(a, b, was, is, sizeof was);
            return il__found(err, "it changes %s: from '%s' to '%s'", aspects[i].name,
                             was, is);
        }
    }
    return IL_OK;
}
