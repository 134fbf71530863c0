/* The runner: enumerates tests, gives each a process, and says what became of it. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, strsignal */
#include "check/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "check/check_private.h"
#include "plugin/entry.h"

static const il__group *const groups[] = {
    &il__group_elf,         &il__group_load,  &il__group_entry,
    &il__group_parameters,  &il__group_life,  &il__group_shapes,
    &il__group_numerics,    &il__group_state, &il__group_dataset,
    &il__group_environment,
};

enum { GROUPS = sizeof groups / sizeof groups[0], WORD_MAX = 256 };

const char *il_check_group(size_t number)
{
    return number < GROUPS ? groups[number]->name : NULL;
}

/* What a test's process leaves behind, in memory that both see. */
typedef struct remains {
    bool done;
    il_check_verdict verdict;
    char note[IL__NOTE_MAX];
    char detail[IL_CHECK_DETAIL_MAX];
} remains;

/* One test: a row of a group, of the file, a component, or a value of one. */
typedef struct plan {
    const il__group *group;
    const il__row *row;
    int32_t component; /* -1 for the file */
    char owner[WORD_MAX];
    char argument[WORD_MAX]; /* "" for none */
} plan;

typedef struct runner {
    const il_check_options *o;
    il_check_tally *tally;
    remains *left;
    size_t number;
    bool stopped; /* a vital test failed */
} runner;

void il__note(il__trial *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(t->note, IL__NOTE_MAX, fmt, args);
    va_end(args);
}

il_status il__skip(il__trial *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(t->skipped, sizeof t->skipped, fmt, args);
    va_end(args);
    return IL_OK;
}

double il__now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- in the test's process --------------------------------------------------------
 */

/* Loads what the test needs and runs it. */
static il_status try(il__trial *t, const plan *p, il_error *err)
{
    if (p->group->loads) {
        IL_TRY(il_image_read(&t->image, t->o->path, true, err));
        IL_TRY(il_image_open(&t->image, t->o->path, &t->handle, &t->entry, err));
        if (p->component >= 0) {
            t->component = &t->entry->components[p->component];
        }
    }
    t->argument = p->argument[0] != '\0' ? p->argument : NULL;
    return p->row->run(t, err);
}

static void run_and_end(const runner *r, const plan *p, int output)
{
    il__trial t = {.o = r->o, .note = r->left->note};
    const struct rlimit none = {0, 0};
    il_error err = {0};
    il_status status;
    int nothing = open("/dev/null", O_RDONLY);

    (void)setpgid(0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)dup2(nothing, 0);
    (void)dup2(output, 1);
    (void)dup2(output, 2);
    (void)close(nothing);
    (void)close(output);
    status = try(&t, p, &err);
    (void)fflush(stdout); /* what the plugin said counts */
    r->left->verdict = status != IL_OK        ? IL_CHECK_FAILED
                       : t.skipped[0] != '\0' ? IL_CHECK_SKIPPED
                                              : IL_CHECK_PASSED;
    (void)snprintf(r->left->detail, sizeof r->left->detail, "%.200s%s%.600s",
                   status != IL_OK ? err.where : "",
                   status != IL_OK && err.where[0] != '\0' ? ": " : "",
                   status != IL_OK ? err.message : t.skipped);
    if (status != IL_OK && err.code == IL_OK) {
        (void)snprintf(r->left->detail, sizeof r->left->detail,
                       "failed with code %d and no reason", (int)status);
    }
    r->left->done = true;
    _exit(0);
}

/* ---- in the host's ----------------------------------------------------------------
 */

/* Waits until the test's end of the pipe is closed, at most so long. */
static bool wait_for(int fd, double seconds)
{
    const double end = il__now() + seconds;
    char byte;

    for (;;) {
        double left = end - il__now();
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (left <= 0) {
            return false;
        }
        if (poll(&p, 1, (int)(left * 1000) + 1) > 0 && read(fd, &byte, 1) <= 0) {
            return true;
        }
    }
}

/* The last line or so of what the test printed, in place of control bytes spaces. */
static size_t read_tail(int fd, char *out, size_t size)
{
    off_t whole = lseek(fd, 0, SEEK_END);
    off_t from = whole > (off_t)size - 1 ? whole - (off_t)size + 1 : 0;
    ssize_t got;

    (void)lseek(fd, from, SEEK_SET);
    got = read(fd, out, size - 1);
    got = got > 0 ? got : 0;
    out[got] = '\0';
    for (ssize_t i = 0; i < got; i++) {
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f) {
            out[i] = ' ';
        }
    }
    return (size_t)whole;
}

/* Turns how the process ended into a verdict, where the test itself gave none. */
static void judge_end(runner *r, int how, bool late, int output)
{
    remains *l = r->left;
    char said[400];
    size_t printed = read_tail(output, said, sizeof said);

    if (late) {
        (void)snprintf(l->detail, sizeof l->detail, "not done after %g s, %s%s",
                       r->o->seconds, l->note[0] != '\0' ? "in: " : "and ended",
                       l->note);
        l->verdict = IL_CHECK_FAILED;
    } else if (!l->done) {
        (void)snprintf(l->detail, sizeof l->detail, "%s %d%s%s%s%s%s%s",
                       WIFSIGNALED(how) ? "ended with signal" : "left by exit with",
                       WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how),
                       WIFSIGNALED(how) ? " (" : "",
                       WIFSIGNALED(how) ? strsignal(WTERMSIG(how)) : "",
                       WIFSIGNALED(how) ? ")" : "", l->note[0] != '\0' ? ", in: " : "",
                       l->note, printed > 0 ? "; printed: " : "");
        if (printed > 0) {
            size_t used = strlen(l->detail);

            (void)snprintf(l->detail + used, sizeof l->detail - used, "%s", said);
        }
        l->verdict = IL_CHECK_FAILED;
    } else if (printed > 0 && l->verdict == IL_CHECK_PASSED) {
        (void)snprintf(l->detail, sizeof l->detail,
                       "it printed, which is the host's alone: %s", said);
        l->verdict = IL_CHECK_FAILED;
    }
}

static il_status run_child(runner *r, const plan *p, il_error *err)
{
    FILE *output = tmpfile();
    int ends[2] = {-1, -1};
    int how = 0;
    bool late;
    pid_t child;

    if (output == NULL || pipe(ends) != 0) {
        return il_error_set(err, IL_ERR_IO, "", "cannot open a file for a test: %s",
                            strerror(errno));
    }
    memset(r->left, 0, sizeof *r->left);
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        run_and_end(r, p, fileno(output));
    }
    (void)close(ends[1]);
    if (child < 0) {
        (void)close(ends[0]);
        (void)fclose(output);
        return il_error_set(err, IL_ERR_IO, "", "cannot start a process: %s",
                            strerror(errno));
    }
    (void)setpgid(child, child);
    late = !wait_for(ends[0], r->o->seconds);
    (void)kill(-child, SIGKILL); /* also what a plugin may have started */
    while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    (void)close(ends[0]);
    judge_end(r, how, late && !r->left->done, fileno(output));
    (void)fclose(output);
    return IL_OK;
}

static il_status run_plan(runner *r, const plan *p, il_error *err)
{
    il_check_result result = {.group = p->group->name, .component = p->owner};
    char name[2 * WORD_MAX];
    double start = il__now();

    IL_TRY(run_child(r, p, err));
    (void)snprintf(name, sizeof name, "%s%s%s", p->argument,
                   p->argument[0] != '\0' ? ": " : "", p->row->name);
    result.number = ++r->number;
    result.name = name;
    result.verdict = r->left->verdict;
    result.detail = r->left->detail;
    result.seconds = il__now() - start;
    r->tally->passed += result.verdict == IL_CHECK_PASSED;
    r->tally->failed += result.verdict == IL_CHECK_FAILED;
    r->tally->skipped += result.verdict == IL_CHECK_SKIPPED;
    if (result.verdict == IL_CHECK_FAILED && p->row->scope & IL__VITAL) {
        r->stopped = true;
    }
    r->o->report(r->o->user, &result);
    return IL_OK;
}

/* ---- which tests there are --------------------------------------------------------
 */

/* Every value that a parameter is tried with, a line each: "component name=value". */
static void list_values(const il_plugin *entry, FILE *to)
{
    for (size_t c = 0; c < entry->component_count; c++) {
        const il_component *of = &entry->components[c];

        fprintf(to, "C %zu %d %s\n", c, (int)of->kind, of->name);
        for (size_t i = 0; i < of->param_count; i++) {
            const il_param_spec *p = &of->params[i];
            char low[32];
            char high[32];

            if (p->type == IL_PARAM_TYPE_FLAG) {
                fprintf(to, "V %zu %s=false\nV %zu %s=true\n", c, p->name, c, p->name);
            } else if (p->type == IL_PARAM_TYPE_CHOICE) {
                for (size_t k = 0; p->choices[k] != NULL; k++) {
                    fprintf(to, "V %zu %s=%s\n", c, p->name, p->choices[k]);
                }
            } else if (p->type == IL_PARAM_TYPE_INT) {
                fprintf(to, "V %zu %s=%.0f\nV %zu %s=%.0f\n", c, p->name, p->min, c,
                        p->name, p->max);
            } else if (p->type == IL_PARAM_TYPE_REAL) {
                il_format_real(p->min, low);
                il_format_real(p->max, high);
                fprintf(to, "V %zu %s=%s\nV %zu %s=%s\n", c, p->name, low, c, p->name,
                        high);
            }
        }
    }
}

/* What a good plugin offers, asked in another process, as the text of above. */
static il_status take_census(const runner *r, FILE *to, il_error *err)
{
    int how = 0;
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        const il_plugin *entry = NULL;
        il_error why = {0};
        il_image image;

        int nothing = open("/dev/null", O_RDWR);

        (void)dup2(nothing, 1);
        (void)dup2(nothing, 2);
        (void)alarm((unsigned)r->o->seconds + 1);
        if (il_image_read(&image, r->o->path, true, &why) == IL_OK &&
            il_image_load(&image, r->o->path, &entry, &why) == IL_OK) {
            list_values(entry, to);
        } else {
            fprintf(to, "!%s\n", why.message);
        }
        (void)fflush(to);
        _exit(0);
    }
    while (child > 0 && waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || !WIFEXITED(how)) {
        return il_error_set(err, child < 0 ? IL_ERR_IO : IL_ERR_INPUT, r->o->path,
                            "cannot ask it what it offers: loading it ended a process");
    }
    rewind(to);
    return IL_OK;
}

/* Runs what a line of the census asks for of one group. */
static il_status run_line(runner *r, const il__group *g, char *line, plan *p,
                          il_error *err)
{
    char *end = line + strcspn(line, "\n");
    unsigned kind = 0;
    int used = 0;
    unsigned scope;

    *end = '\0';
    if (sscanf(line, "C %d %u %n", (int *)&p->component, &kind, &used) == 2 &&
        used > 0) {
        (void)snprintf(p->owner, sizeof p->owner, "%s %s", il_kind_name((il_kind)kind),
                       line + used);
        p->argument[0] = '\0';
        scope = IL__OF(kind);
    } else if (sscanf(line, "V %d %n", (int *)&p->component, &used) == 1 && used > 0) {
        (void)snprintf(p->argument, sizeof p->argument, "%s", line + used);
        scope = IL__VALUE;
    } else {
        return il_error_set(err, IL_ERR_INPUT, r->o->path, "%s",
                            line[0] == '!' ? line + 1 : "cannot be asked what it has");
    }
    for (size_t i = 0; i < g->count && !r->stopped; i++) {
        if (g->rows[i].scope & scope) {
            p->row = &g->rows[i];
            IL_TRY(run_plan(r, p, err));
        }
    }
    return IL_OK;
}

/* The tests of a group: of the file first, then component by component. */
static il_status run_group(runner *r, const il__group *g, FILE *census, il_error *err)
{
    plan p = {.group = g, .component = -1};
    char line[2 * WORD_MAX];

    for (size_t i = 0; i < g->count && !r->stopped; i++) {
        if (g->rows[i].scope & IL__FILE) {
            p.row = &g->rows[i];
            IL_TRY(run_plan(r, &p, err));
        }
    }
    rewind(census);
    while (!r->stopped && fgets(line, sizeof line, census) != NULL) {
        IL_TRY(run_line(r, g, line, &p, err));
    }
    return IL_OK;
}

static il_status run_groups(runner *r, FILE *census, il_error *err)
{
    bool counted = false;

    for (size_t i = 0; i < GROUPS && !r->stopped; i++) {
        const il__group *g = groups[i];
        /* The first three are of the file, and say whether the rest can be asked. */
        bool parts =
            g != &il__group_elf && g != &il__group_load && g != &il__group_entry;

        if (r->o->only != NULL && strcmp(r->o->only, g->name) != 0) {
            continue;
        }
        if (parts && !counted) {
            IL_TRY(take_census(r, census, err));
            counted = true;
        }
        IL_TRY(run_group(r, g, census, err));
    }
    return IL_OK;
}

il_status il_check_run(const il_check_options *o, il_check_tally *tally, il_error *err)
{
    runner r = {.o = o, .tally = tally};
    FILE *census;
    il_status status;
    bool known = o->only == NULL;

    memset(tally, 0, sizeof *tally);
    for (size_t i = 0; i < GROUPS; i++) {
        known = known || strcmp(o->only, groups[i]->name) == 0;
    }
    if (!known) {
        return il_error_set(err, IL_ERR_INPUT, "", "there is no group '%s'", o->only);
    }
    if (access(o->path, R_OK) != 0) {
        return il_error_set(err, IL_ERR_INPUT, o->path, "cannot open: %s",
                            strerror(errno));
    }
    r.left = mmap(NULL, sizeof *r.left, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    census = tmpfile();
    if (r.left == MAP_FAILED || census == NULL) {
        if (census != NULL) {
            (void)fclose(census);
        }
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    status = run_groups(&r, census, err);
    (void)fclose(census);
    (void)munmap(r.left, sizeof *r.left);
    return status;
}
