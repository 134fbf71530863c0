/* interloop watch: what the jobs of a run are at, as it goes on. */
#include "verbs.h"

#include <dirent.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/files.h"
#include "base/text.h"
#include "formats/tfevents_read.h"
#include "loop/record.h"

enum { DEPTH = 3, JOBS = 4096, LOOK_MS = 1000 };

static const char usage[] =
    "usage: interloop watch RUN_DIR [--once]\n"
    "\n"
    "  Shows each job of a run: its step, its losses and the AUROC of each detector, from\n"
    "  its metrics.jsonl and, until that is there, from its TensorBoard events, which grow\n"
    "  as it goes on. On a terminal one screen is kept up to date; else a line is printed\n"
    "  when a job has got further. Ends when it is interrupted.\n"
    "\n"
    "  --once   prints what there is, and ends\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input.\n";

/* A job's folder, and what was seen in it last. */
typedef struct job {
    char *name; /* STAGE/VARIANT/seed-N */
    char *folder;
    size_t at;               /* in its events */
    struct timespec changed; /* of its metrics.jsonl, when that was read */
    int64_t step;            /* -1 before the first */
    int64_t shown;
    bool done;
    bool shown_done;
    json_t *latest; /* name: value */
    int64_t steps;  /* that it is to make; 0: not known */
    int64_t first;  /* the step that it was seen at first, going on; -1: none */
    double since;   /* when that was, in seconds */
} job;

typedef struct watched {
    const char *folder;
    job *jobs; /* in the order of their names */
    size_t count;
} watched;

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop watch: %s%s\n%s", what, detail, usage);
    return 2;
}

static void watched_free(watched *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free(w->jobs[i].name);
        free(w->jobs[i].folder);
        json_decref(w->jobs[i].latest);
    }
    free(w->jobs);
}

/* --- what is there ---------------------------------------------------------------- */

/* Adds a job unless it is known; memory that is out shows as a job that is missing, and
 * the next look tries again. */
static void job_add(watched *w, const char *name, const char *folder)
{
    size_t i = w->count;
    job *grown;
    job made = {.step = -1, .shown = -1, .first = -1};

    for (size_t k = 0; k < w->count; k++) {
        if (strcmp(w->jobs[k].name, name) == 0) {
            return;
        }
    }
    if (w->count == JOBS) {
        return;
    }
    grown = realloc(w->jobs, (w->count + 1) * sizeof *grown);
    if (grown == NULL) {
        return;
    }
    w->jobs = grown;
    made.name = strdup(name);
    made.folder = strdup(folder);
    made.latest = json_object();
    if (made.name == NULL || made.folder == NULL || made.latest == NULL) {
        free(made.name);
        free(made.folder);
        json_decref(made.latest);
        return;
    }
    for (; i > 0 && strcmp(w->jobs[i - 1].name, name) > 0; i--) {
        w->jobs[i] = w->jobs[i - 1];
    }
    w->jobs[i] = made;
    w->count++;
}

static void jobs_find(watched *w, const char *folder, const char *path, int depth)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char below[1024];
        char *whole = NULL;
        struct stat st;
        int n = snprintf(below, sizeof below, "%s%s%s", path, *path != '\0' ? "/" : "",
                         entry->d_name);

        if (*entry->d_name != '.' && n > 0 && (size_t)n < sizeof below) {
            whole = il_path_join(folder, entry->d_name);
        }
        if (whole != NULL && lstat(whole, &st) == 0 && S_ISDIR(st.st_mode)) {
            if (strncmp(entry->d_name, "seed-", 5) == 0) {
                job_add(w, below, whole);
            } else if (depth < DEPTH) {
                jobs_find(w, whole, below, depth + 1);
            }
        }
        free(whole);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static void value_set(job *j, int64_t step, const char *name, size_t size, double value)
{
    char text[256];

    if (size < sizeof text) {
        memcpy(text, name, size);
        text[size] = '\0';
        /* a name that is no UTF-8, or a number that is not finite, is not shown */
        (void)json_object_set_new(j->latest, text, json_real(value));
    }
    j->step = step > j->step ? step : j->step;
}

static void event_seen(void *user, int64_t step, const char *tag, size_t size,
                       double value)
{
    value_set(user, step, tag, size, value);
}

static il_status line_seen(void *user, int64_t step, const json_t *line, il_error *err)
{
    const json_t *audit = json_object_get(line, "audit");
    const json_t *metrics = json_is_object(audit) ? audit : line;
    const char *name;
    json_t *value;

    (void)err;
    json_object_foreach((json_t *)metrics, name, value)
    {
        if (json_is_number(value) && strcmp(name, "step") != 0) {
            value_set(user, step, name, strlen(name), json_number_value(value));
        }
    }
    return IL_OK;
}

/* A run that resumes cuts its events and writes on, so that where we were may be in the
 * midst of a record by now: then the next look begins at the beginning. */
static il_status events_read(job *j, const char *path, il_error *err)
{
    bool began = j->at > 0;
    il_error now = {0};
    il_status status = il_tfevents_read(path, &j->at, event_seen, j, &now);

    if (status == IL_ERR_INPUT && began) {
        j->at = 0;
        return IL_OK;
    }
    return status == IL_OK ? IL_OK
                           : il_error_set(err, status, now.where, "%s", now.message);
}

/* Reads what is new of a job. A metrics.jsonl is put there when the job is done; one
 * that is older than the events is of an earlier time. */
static il_status job_read(job *j, il_error *err)
{
    char *metrics = il_path_join(j->folder, "metrics.jsonl");
    char *events = il_path_join(j->folder, "events.out.tfevents.interloop");
    il_status status = IL_OK;
    struct stat m = {0};
    struct stat e = {0};
    bool has_metrics;
    bool has_events;

    if (metrics == NULL || events == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, j->folder, "out of memory");
        goto out;
    }
    has_metrics = stat(metrics, &m) == 0;
    has_events = stat(events, &e) == 0;
    /* Both are finished at one time, give or take the writing. */
    j->done = has_metrics && (!has_events || e.st_mtim.tv_sec <= m.st_mtim.tv_sec + 2);
    if (j->done) {
        if (m.st_mtim.tv_sec != j->changed.tv_sec ||
            m.st_mtim.tv_nsec != j->changed.tv_nsec) {
            j->changed = m.st_mtim;
            j->step = -1;
            (void)json_object_clear(j->latest); /* it is an object */
            status = il_record_read(metrics, line_seen, j, err);
        }
    } else if (has_events) {
        if ((size_t)e.st_size < j->at) {
            j->at = 0;
        }
        if (j->at == 0) {
            j->step = -1;
            (void)json_object_clear(j->latest);
        }
        status = events_read(j, events, err);
    }
out:
    free(events);
    free(metrics);
    return status;
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* How many steps each job is to make, as plan.json has them; not there: unknown. */
static void take_steps(watched *w)
{
    char *path = il_path_join(w->folder, "plan.json");
    json_t *plan = path != NULL ? json_load_file(path, 0, NULL) : NULL;
    const json_t *steps = json_object_get(plan, "steps");

    for (size_t i = 0; i < w->count; i++) {
        job *j = &w->jobs[i];
        const char *seed = strrchr(j->name, '/');
        char *stage = seed != NULL ? strndup(j->name, (size_t)(seed - j->name)) : NULL;

        if (stage != NULL) {
            j->steps = json_integer_value(json_object_get(steps, stage));
        }
        free(stage);
    }
    json_decref(plan);
    free(path);
}

static il_status look(watched *w, il_error *err)
{
    size_t before = w->count;

    jobs_find(w, w->folder, "", 1);
    if (w->count > before) {
        take_steps(w);
    }
    for (size_t i = 0; i < w->count; i++) {
        job *j = &w->jobs[i];

        IL_TRY(job_read(j, err));
        if (j->done || j->step < 0) {
            j->first = -1;
        } else if (j->first < 0 || j->step < j->first) {
            j->first = j->step;
            j->since = seconds();
        }
    }
    return IL_OK;
}

/* --- how it is shown -------------------------------------------------------------- */

/* Adds a name from a file, without what a terminal would obey. */
static void add_name(il_text *t, const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)name[i];
        bool obeyed = c < 0x20 || c == 0x7f ||
                      (c == 0xc2 && i + 1 < size && (unsigned char)name[i + 1] < 0xa0);

        il_text_add_bytes(t, obeyed ? "?" : name + i, 1);
        i += obeyed && c == 0xc2;
    }
}

/* The part of a metric's name that says which detector's AUROC it is, or 0: "probe" and
 * over rollouts "suffering.own"; not its gaps, masks or fresh readers. */
static size_t auroc_of(const char *name)
{
    static const char end[] = ".auroc";
    size_t size = strlen(name);
    const char *dot = strchr(name, '.');

    if (size < sizeof end || strcmp(name + size - (sizeof end - 1), end) != 0) {
        return 0;
    }
    size -= sizeof end - 1;
    return dot == name + size ||
                   (dot + 4 == name + size &&
                    (strncmp(dot, ".own", 4) == 0 || strncmp(dot, ".ref", 4) == 0))
               ? size
               : 0;
}

/* Of a job that goes on: how far it is to go, and how long at the pace it was seen at.
 */
static void add_left(const job *j, il_text *t)
{
    double pace;

    if (j->done || j->steps < 1) {
        return;
    }
    il_text_addf(t, "/%lld", (long long)j->steps);
    if (j->first < 0 || j->step <= j->first || j->step > j->steps) {
        return;
    }
    pace = (double)(j->step - j->first) / (seconds() - j->since + 1e-9);
    il_text_addf(t, "  %.0f s left", (double)(j->steps - j->step) / pace);
}

static void job_line(const job *j, il_text *t)
{
    static const char loss[] = "loss.";
    const char *between = "  auroc ";
    const char *name;
    json_t *value;

    add_name(t, j->name, strlen(j->name));
    if (j->step < 0) {
        il_text_add(t, "  no metrics yet");
        return;
    }
    il_text_addf(t, "  %s %lld", j->done ? "done, step" : "step", (long long)j->step);
    add_left(j, t);
    json_object_foreach(j->latest, name, value)
    {
        if (strncmp(name, loss, sizeof loss - 1) == 0) {
            il_text_add(t, "  ");
            add_name(t, name, strlen(name));
            il_text_addf(t, " %.4g", json_real_value(value));
        }
    }
    json_object_foreach(j->latest, name, value)
    {
        size_t size = auroc_of(name);

        if (size > 0) {
            il_text_add(t, between);
            add_name(t, name, size);
            il_text_addf(t, " %.3f", json_real_value(value));
            between = ", ";
        }
    }
}

/* The last whole line of the run's log, for a screen; false when there is none. */
static bool last_line(const char *folder, il_text *t)
{
    char *path = il_path_join(folder, "log.txt");
    FILE *f = path != NULL ? fopen(path, "r") : NULL;
    char tail[4096];
    size_t size = 0;
    size_t start;

    free(path);
    if (f == NULL) {
        return false;
    }
    /* A shorter file is read whole. */
    if (fseek(f, -(long)sizeof tail, SEEK_END) != 0) {
        rewind(f);
    }
    size = fread(tail, 1, sizeof tail, f);
    (void)fclose(f); /* only read */
    while (size > 0 && tail[size - 1] != '\n') {
        size--;
    }
    while (size > 0 && tail[size - 1] == '\n') {
        size--;
    }
    start = size;
    while (start > 0 && tail[start - 1] != '\n') {
        start--;
    }
    add_name(t, tail + start, size - start);
    return size > start;
}

/* A line of a screen, cut to it. */
static void put_cut(const il_text *t, size_t columns)
{
    size_t cut = t->size < columns ? t->size : columns - 1;

    while (cut < t->size && cut > 0 && ((unsigned char)t->data[cut] & 0xc0) == 0x80) {
        cut--; /* not in the midst of a character */
    }
    printf("%.*s\033[K\n", (int)cut, t->data);
}

/* A screen anew from its upper left corner, each job cut to a line, and below them what
 * the log said last. */
static void show_screen(const watched *w)
{
    struct winsize size = {0};
    size_t rows = 24;
    size_t columns = 80;
    size_t shown;
    il_text log = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
        size.ws_col > 0) {
        rows = size.ws_row;
        columns = size.ws_col;
    }
    shown = w->count + 2 < rows ? w->count : rows - 3;
    shown = rows < 4 ? 0 : shown;
    fputs("\033[H", stdout);
    for (size_t i = 0; i < shown; i++) {
        il_text t = {0};

        job_line(&w->jobs[i], &t);
        if (t.data != NULL) {
            put_cut(&t, columns);
        }
        il_text_free(&t);
    }
    if (shown < w->count) {
        printf("and %zu more\033[K\n", w->count - shown);
    } else if (w->count == 0) {
        printf("no jobs yet\033[K\n");
    }
    if (rows >= 4 && last_line(w->folder, &log)) {
        put_cut(&log, columns);
    }
    il_text_free(&log);
    fputs("\033[J", stdout);
    (void)fflush(stdout); /* what cannot be shown now is shown anew in a second */
}

/* A line for each job that got further; false when nobody reads them. */
static bool show_lines(watched *w, bool all)
{
    for (size_t i = 0; i < w->count; i++) {
        job *j = &w->jobs[i];
        il_text t = {0};

        if (all || j->step != j->shown || j->done != j->shown_done) {
            j->shown = j->step;
            j->shown_done = j->done;
            job_line(j, &t);
            puts(t.data != NULL ? t.data : "");
            il_text_free(&t);
        }
    }
    return fflush(stdout) == 0;
}

static int watch(const char *folder, bool once)
{
    watched w = {.folder = folder};
    bool screen = !once && isatty(STDOUT_FILENO);
    const struct timespec pause = {LOOK_MS / 1000, LOOK_MS % 1000 * 1000000L};
    il_error err = {0};
    il_status status;

    if (screen) {
        fputs("\033[2J", stdout);
    }
    while ((status = look(&w, &err)) == IL_OK) {
        if (screen) {
            show_screen(&w);
        } else if (!show_lines(&w, once)) {
            status = il_error_set(&err, IL_ERR_IO, "output", "cannot write");
            break;
        }
        if (once) {
            break;
        }
        (void)nanosleep(&pause, NULL); /* a shorter one does no harm */
    }
    watched_free(&w);
    if (status != IL_OK) {
        fprintf(stderr, "%s: error: %s\n", err.where, err.message);
        return err.code == IL_ERR_INPUT ? 2 : 1;
    }
    return 0;
}

int il_verb_watch(int argc, char **argv)
{
    const char *folder = NULL;
    struct stat st;
    bool once = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--once") == 0) {
            once = true;
        } else if (argv[i][0] == '-') {
            return wrong("unknown option ", argv[i]);
        } else if (folder != NULL) {
            return wrong("one run folder at a time, not also ", argv[i]);
        } else {
            folder = argv[i];
        }
    }
    if (folder == NULL) {
        return wrong("which run folder?", "");
    }
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return wrong("expected the folder of a run, got ", folder);
    }
    return watch(folder, once);
}
