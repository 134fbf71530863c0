#include "loop/gc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/files.h"
#include "loop/json.h"
#include "loop/state.h"

/* A state in the store. */
typedef struct stored {
    char address[IL_HASH_HEX];
    bool kept;
    bool locked;
} stored;

typedef struct collection {
    const char *runs;
    char *store;
    stored *states; /* sorted by address */
    size_t count;
    size_t room;
} collection;

static il_status out_of_memory(il_error *err, const char *where)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

static int stored_compare(const void *a, const void *b)
{
    return strcmp(((const stored *)a)->address, ((const stored *)b)->address);
}

/* The state of an address, or NULL when the store has none (or it is no address). */
static stored *state_find(const collection *c, const char *address)
{
    stored key = {{0}, false, false};

    if (address == NULL || strlen(address) != IL_HASH_HEX - 1 || c->count == 0) {
        return NULL;
    }
    memcpy(key.address, address, IL_HASH_HEX);
    return bsearch(&key, c->states, c->count, sizeof key, stored_compare);
}

/* Adds a folder of the store that is named as an address; anything else is not ours to
 * remove. */
static il_status state_seen(void *user, const char *name, il_error *err)
{
    collection *c = user;
    char *path;
    struct stat info;
    bool folder;

    if (strlen(name) != IL_HASH_HEX - 1 ||
        strspn(name, "0123456789abcdef") != IL_HASH_HEX - 1) {
        return IL_OK;
    }
    path = il_path_join(c->store, name);
    if (path == NULL) {
        return out_of_memory(err, c->store);
    }
    folder = lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
    free(path);
    if (!folder) {
        return IL_OK;
    }
    if (c->count == c->room) {
        size_t room = 2 * c->room + 64;
        stored *grown = realloc(c->states, room * sizeof *grown);

        if (grown == NULL) {
            return out_of_memory(err, c->store);
        }
        c->states = grown;
        c->room = room;
    }
    memset(&c->states[c->count], 0, sizeof c->states[0]);
    memcpy(c->states[c->count++].address, name, IL_HASH_HEX);
    return IL_OK;
}

/* Keeps what a summary names. */
static il_status summary_keep(collection *c, const char *path, il_error *err)
{
    json_t *json = NULL;
    const json_t *rows;
    il_status status = IL_OK;

    IL_TRY(il__json_read(path, &json, err));
    rows = json_object_get(json, "rows");
    if (!json_is_array(rows)) {
        status = il_error_set(err, IL_ERR_INPUT, path, "expected a list of rows");
    }
    for (size_t i = 0; status == IL_OK && i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        stored *state = state_find(c, json_string_value(json_object_get(row, "state")));
        stored *parent =
            state_find(c, json_string_value(json_object_get(row, "parent")));

        if (state != NULL) {
            state->kept = true;
        }
        if (parent != NULL) {
            parent->kept = true;
        }
    }
    json_decref(json);
    return status;
}

/* Whether somebody holds the lock. One that is not there is nobody's, and is not made.
 */
static il_status lock_held(const char *path, bool *held, il_error *err)
{
    il_error problem = {0};
    int fd;

    *held = false;
    if (!il_file_exists(path)) {
        return IL_OK;
    }
    if (il_file_lock(path, false, &fd, &problem) == IL_OK) {
        il_file_unlock(fd);
        return IL_OK;
    }
    if (problem.code != IL_ERR_IO) {
        return il_error_set(err, problem.code, problem.where, "%s", problem.message);
    }
    *held = true;
    return IL_OK;
}

/* Keeps what the run of a folder refers to. */
static il_status run_seen(void *user, const char *name, il_error *err)
{
    collection *c = user;
    char *folder = name[0] != '.' ? il_path_join(c->runs, name) : NULL;
    char *lock = folder != NULL ? il_path_join(folder, ".lock") : NULL;
    char *summary = folder != NULL ? il_path_join(folder, "summary.json") : NULL;
    bool held = false;
    il_status status = IL_OK;

    if (name[0] == '.') {
        return IL_OK;
    }
    if (lock == NULL || summary == NULL) {
        status = out_of_memory(err, c->runs);
        goto out;
    }
    status = lock_held(lock, &held, err);
    if (status == IL_OK && held) {
        status = il_error_set(err, IL_ERR_IO, folder,
                              "this run is going on, and what it needs is not known: "
                              "try again when it has ended");
    }
    if (status == IL_OK && il_file_exists(summary)) {
        status = summary_keep(c, summary, err);
    }
out:
    free(summary);
    free(lock);
    free(folder);
    return status;
}

/* The lineage of a state; *json is NULL when it has none. */
static il_status lineage_read(const collection *c, const stored *state, json_t **json,
                              il_error *err)
{
    char *folder = il_path_join(c->store, state->address);
    char *path = folder != NULL ? il_path_join(folder, "lineage.json") : NULL;
    il_status status = path != NULL ? IL_OK : out_of_memory(err, c->store);

    *json = NULL;
    if (status == IL_OK && il_file_exists(path)) {
        status = il__json_read(path, json, err);
    }
    free(path);
    free(folder);
    return status;
}

/* Marks a state that is being computed, and keeps one that was begun by a run which is
 * still there: it will resume. */
static il_status state_probe(collection *c, stored *state, il_error *err)
{
    char *folder = il_path_join(c->store, state->address);
    size_t room = folder != NULL ? strlen(folder) + 8 : 0;
    char *path = folder != NULL ? malloc(room) : NULL;
    char *run = NULL;
    json_t *lineage = NULL;
    il_status status = path != NULL ? IL_OK : out_of_memory(err, c->store);

    if (status != IL_OK) {
        goto out;
    }
    (void)snprintf(path, room, "%s.lock", folder);
    status = lock_held(path, &state->locked, err);
    if (status != IL_OK || il_state_exists(folder, IL_STATE_RESULT)) {
        goto out;
    }
    status = lineage_read(c, state, &lineage, err);
    if (status == IL_OK) {
        const char *name = json_string_value(json_object_get(lineage, "run"));

        if (name != NULL && il__name_check(c->store, name, NULL) == IL_OK) {
            run = il_path_join(c->runs, name);
            state->kept = state->kept || (run != NULL && il_file_exists(run));
        }
    }
out:
    json_decref(lineage);
    free(run);
    free(path);
    free(folder);
    return status;
}

/* Keeps all that a state started from, root last. */
static il_status ancestors_keep(const collection *c, const stored *state, il_error *err)
{
    while (state != NULL) {
        json_t *lineage;
        stored *parent;

        IL_TRY(lineage_read(c, state, &lineage, err));
        parent = state_find(c, json_string_value(json_object_get(lineage, "parent")));
        json_decref(lineage);
        /* One that is kept already has a walk of its own. */
        if (parent == NULL || parent->kept) {
            break;
        }
        parent->kept = true;
        state = parent;
    }
    return IL_OK;
}

/* The bytes of all in a folder. */
typedef struct measure {
    const char *folder;
    int64_t bytes;
} measure;

static il_status entry_measure(void *user, const char *name, il_error *err)
{
    measure *m = user;
    char *path = il_path_join(m->folder, name);
    struct stat info = {0};
    il_status status = IL_OK;

    if (path == NULL) {
        return out_of_memory(err, m->folder);
    }
    if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        measure below = {path, 0};

        status = il_folder_list(path, entry_measure, &below, err);
        m->bytes += below.bytes;
    } else if (S_ISREG(info.st_mode)) {
        m->bytes += (int64_t)info.st_size;
    }
    free(path);
    return status;
}

/* Removes a state under its lock; *dropped is false when somebody else holds it. */
static il_status state_drop(const collection *c, const char *folder,
                            const char *address, bool *dropped, il_error *err)
{
    il_error problem = {0};
    il_status status;
    char path[IL_HASH_HEX + 8];
    char *lock;
    int fd;

    *dropped = false;
    if (il_state_lock(c->runs, address, false, &fd, &problem) != IL_OK) {
        return problem.code == IL_ERR_IO
                   ? IL_OK
                   : il_error_set(err, problem.code, problem.where, "%s",
                                  problem.message);
    }
    /* First what says that it is whole: a removal cut short leaves nothing to trust. */
    status = il_state_remove(folder, IL_STATE_RESULT, err);
    if (status == IL_OK) {
        status = il_state_remove(folder, IL_STATE_CHECKPOINT, err);
    }
    if (status == IL_OK) {
        status = il_folder_remove(folder, err);
    }
    *dropped = status == IL_OK;
    (void)snprintf(path, sizeof path, "%s.lock", address);
    lock = il_path_join(c->store, path);
    if (lock != NULL) {
        (void)unlink(lock); /* an empty file; who waits for it takes a new one */
    }
    free(lock);
    il_file_unlock(fd);
    return status;
}

/* Counts or removes one state that nothing refers to. */
static il_status state_collect(const collection *c, const stored *state, bool dry,
                               int64_t *bytes, bool *dropped, il_error *err)
{
    char *folder = il_path_join(c->store, state->address);
    measure m = {folder, 0};
    il_status status = folder != NULL ? il_folder_list(folder, entry_measure, &m, err)
                                      : out_of_memory(err, c->store);

    *dropped = dry;
    if (status == IL_OK && !dry) {
        status = state_drop(c, folder, state->address, dropped, err);
    }
    *bytes = m.bytes;
    free(folder);
    return status;
}

/* Marks all that is to stay. */
static il_status mark(collection *c, il_error *err)
{
    IL_TRY(il_folder_list(c->store, state_seen, c, err));
    IL_TRY(il_folder_list(c->runs, run_seen, c, err));
    for (size_t i = 0; i < c->count; i++) {
        IL_TRY(state_probe(c, &c->states[i], err));
    }
    for (size_t i = 0; i < c->count; i++) {
        if (c->states[i].kept || c->states[i].locked) {
            IL_TRY(ancestors_keep(c, &c->states[i], err));
        }
    }
    return IL_OK;
}

il_status il_gc(const char *runs, bool dry,
                void (*visit)(void *user, const char *address, int64_t bytes),
                void *user, il_gc_tally *tally, il_error *err)
{
    collection c = {.runs = runs, .store = il_state_store(runs)};
    il_gc_tally counted = {0};
    char *gate = c.store != NULL ? il_path_join(c.store, "gate.lock") : NULL;
    int fd = -1;
    il_status status = gate != NULL ? IL_OK : out_of_memory(err, runs);

    if (status != IL_OK || !il_file_exists(c.store)) {
        goto out;
    }
    status = il_file_lock(gate, true, &fd, err);
    if (status == IL_OK) {
        status = mark(&c, err);
    }
    for (size_t i = 0; status == IL_OK && i < c.count; i++) {
        const stored *state = &c.states[i];
        int64_t bytes = 0;
        bool dropped = false;

        if (state->kept && !state->locked) {
            counted.kept++;
            continue;
        }
        if (!state->locked) {
            status = state_collect(&c, state, dry, &bytes, &dropped, err);
        }
        if (status == IL_OK && !dropped) {
            counted.locked++;
        } else if (status == IL_OK) {
            counted.dropped++;
            counted.bytes += bytes;
            if (visit != NULL) {
                visit(user, state->address, bytes);
            }
        }
    }
out:
    if (fd >= 0) {
        il_file_unlock(fd);
    }
    if (status == IL_OK) {
        *tally = counted;
    }
    free(c.states);
    free(gate);
    free(c.store);
    return status;
}
