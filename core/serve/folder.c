#include "serve/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct known {
    const char *name;
    const char *type;
    bool page;
} known;

/* All that is ever served. What came with a run is never let to be a script. */
static const known files[] = {
    {"report.html", "text/html; charset=utf-8", true},
    {"summary.json", "application/json", false},
    {"audit.json", "application/json", false},
    {"metrics.jsonl", "text/plain; charset=utf-8", false},
    {"log.txt", "text/plain; charset=utf-8", false},
};

static const known *known_find(const char *name)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (strcmp(name, files[i].name) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

static int folder_open(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int64_t changed_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

bool il_served_open(int runs, const char *path, il_served *out)
{
    int at = runs;
    bool found = false;

    for (int depth = 0; depth <= IL_SERVED_DEPTH; depth++) {
        const char *end = strchr(path, '/');
        size_t size = end != NULL ? (size_t)(end - path) : strlen(path);
        char name[256];
        int next;

        if (size == 0 || size >= sizeof name || *path == '.') {
            break;
        }
        memcpy(name, path, size);
        name[size] = '\0';
        if (end == NULL) {
            const known *k = depth > 0 ? known_find(name) : NULL;
            struct stat st;

            if (k == NULL) {
                break;
            }
            /* A pipe of that name must not make us wait. */
            out->fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
            if (out->fd < 0) {
                break;
            }
            if (fstat(out->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
                (void)close(out->fd);
                break;
            }
            out->size = st.st_size;
            out->type = k->type;
            out->page = k->page;
            (void)snprintf(
                out->tag, sizeof out->tag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"",
                (uint64_t)st.st_ino, (uint64_t)st.st_size, (uint64_t)changed_ns(&st));
            found = true;
            break;
        }
        next = folder_open(at, name);
        if (at != runs) {
            (void)close(at);
        }
        at = next;
        if (at < 0) {
            return false;
        }
        path = end + 1;
    }
    if (at != runs) {
        (void)close(at);
    }
    return found;
}

/* --- the index -------------------------------------------------------------------- */

typedef struct walk {
    json_t *jobs;
    int64_t changed; /* of the run, in nanoseconds */
    int budget;      /* entries that may still be looked at */
    bool failed;
} walk;

/* Whether the summary says that its rows are points of a sweep. It decides a word in a
 * list, so a look for the key is enough. */
static bool summary_has_points(int run)
{
    char data[65536];
    ssize_t size;
    int fd =
        openat(run, "summary.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    size = read(fd, data, sizeof data - 1);
    (void)close(fd);
    if (size <= 0) {
        return false;
    }
    data[size] = '\0';
    return strstr(data, "\n   \"point\": {") != NULL;
}

static void index_folder(walk *w, int folder, const char *path, int depth,
                         json_t *names);

/* A folder below a run's: its jobs, and itself when it is one. */
static void index_below(walk *w, int at, const char *path, const char *name, int depth)
{
    char below[1024];
    int length =
        snprintf(below, sizeof below, "%s%s%s", path, *path != '\0' ? "/" : "", name);
    int folder;
    json_t *names;

    if (length < 0 || (size_t)length >= sizeof below || depth >= IL_SERVED_DEPTH) {
        return;
    }
    folder = folder_open(at, name);
    if (folder < 0) {
        return; /* a link, or gone meanwhile */
    }
    names = json_array();
    index_folder(w, folder, below, depth, names);
    if (json_array_size(names) > 0 || strncmp(name, "seed-", 5) == 0) {
        /* a name that is no UTF-8 is left out here */
        (void)json_object_set(w->jobs, below, names);
    }
    json_decref(names);
}

/* Looks through `folder`, which it closes: the files that are served go to `names`. */
static void index_folder(walk *w, int folder, const char *path, int depth,
                         json_t *names)
{
    DIR *dir = fdopendir(folder);
    const struct dirent *entry;
    struct stat st;

    if (dir == NULL || names == NULL) {
        w->failed = true;
        (void)(dir != NULL ? closedir(dir) : close(folder));
        return;
    }
    while (w->budget > 0 && (entry = readdir(dir)) != NULL) {
        if (*entry->d_name == '.' ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        w->budget--;
        if (S_ISDIR(st.st_mode)) {
            index_below(w, dirfd(dir), path, entry->d_name, depth + 1);
        } else if (S_ISREG(st.st_mode)) {
            w->changed = changed_ns(&st) > w->changed ? changed_ns(&st) : w->changed;
            if (known_find(entry->d_name) != NULL &&
                json_array_append_new(names, json_string(entry->d_name)) != 0) {
                w->failed = true;
            }
        }
    }
    (void)closedir(dir);
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a),
                  json_string_value(*(json_t *const *)b));
}

/* A folder is read in no order; an index that did not change must not look new. */
static bool names_sort(json_t *names)
{
    json_t *sorted[sizeof files / sizeof files[0]];
    size_t count = json_array_size(names);

    if (count > sizeof sorted / sizeof sorted[0]) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = json_incref(json_array_get(names, i));
    }
    qsort(sorted, count, sizeof sorted[0], name_compare);
    for (size_t i = 0; i < count; i++) {
        (void)json_array_set_new(names, i, sorted[i]); /* in range, no allocation */
    }
    return true;
}

/* Adds one run to `all`; what is no run's folder is left out. */
static bool index_run(int runs, const char *name, json_t *all, int *budget)
{
    int folder = folder_open(runs, name);
    walk w = {json_object(), 0, *budget, false};
    json_t *names = json_array();
    json_t *jobs;
    const char *job;
    bool sweep;

    if (folder < 0 || w.jobs == NULL || names == NULL) {
        w.failed = folder >= 0;
        if (folder >= 0) {
            (void)close(folder);
        }
        goto out;
    }
    sweep = summary_has_points(folder);
    index_folder(&w, folder, "", 0, names);
    *budget = w.budget;
    w.failed = w.failed || !names_sort(names);
    json_object_foreach(w.jobs, job, jobs)
    {
        w.failed = w.failed || !names_sort(jobs);
    }
    if (!w.failed && (json_array_size(names) > 0 || json_object_size(w.jobs) > 0)) {
        json_t *run = json_pack("{s:I, s:b, s:O, s:O}", "changed",
                                (json_int_t)(w.changed / 1000000), "sweep", (int)sweep,
                                "files", names, "jobs", w.jobs);

        w.failed = run == NULL;
        /* a name that is no UTF-8 cannot stand in JSON, and is left out */
        (void)json_object_set_new(all, name, run);
    }
out:
    json_decref(names);
    json_decref(w.jobs);
    return !w.failed;
}

il_status il_served_index(int runs, il_text *out, il_error *err)
{
    int fd = openat(runs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    json_t *all = json_object();
    json_t *index = NULL;
    const struct dirent *entry;
    char *text = NULL;
    int budget = IL_SERVED_ENTRIES;
    bool good = all != NULL;

    if (dir == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        json_decref(all);
        return il_error_set(err, IL_ERR_IO, "the runs folder", "cannot be read");
    }
    while (good && budget > 0 && (entry = readdir(dir)) != NULL) {
        if (*entry->d_name != '.') {
            budget--;
            good = index_run(runs, entry->d_name, all, &budget);
        }
    }
    (void)closedir(dir);
    if (good) {
        index = json_pack("{s:O, s:b}", "runs", all, "whole", budget > 0);
        text = index != NULL ? json_dumps(index, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    }
    if (text != NULL) {
        il_text_add(out, text);
    }
    good = text != NULL && !out->failed;
    free(text);
    json_decref(index);
    json_decref(all);
    return good ? IL_OK
                : il_error_set(err, IL_ERR_MEMORY, "the index", "out of memory");
}
