/* Where states lie: their addresses, the store's folders and locks, and their lineage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/files.h"
#include "loop/json.h"
#include "loop/state.h"

static il_status out_of_memory(il_error *err, const char *where)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The plugins' identities, sorted; malloc'ed, and NULL when memory is out. */
static const char **plugins_sorted(const il_state_key *key)
{
    const char **sorted = malloc((key->plugin_count + 1) * sizeof *sorted);

    if (sorted != NULL && key->plugin_count > 0) {
        memcpy(sorted, key->plugins, key->plugin_count * sizeof *sorted);
        qsort(sorted, key->plugin_count, sizeof *sorted, text_compare);
    }
    return sorted;
}

il_status il_state_address(const il_state_key *key, char hex[IL_HASH_HEX],
                           il_error *err)
{
    const char **plugins = plugins_sorted(key);
    il_hash *hash = plugins != NULL ? il_hash_create() : NULL;
    char number[32];

    if (hash == NULL) {
        free(plugins);
        return out_of_memory(err, "state");
    }
    il_hash_text(hash, "interloop state 1");
    il_hash_text(hash, key->text);
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)key->seed);
    il_hash_text(hash, number);
    (void)snprintf(number, sizeof number, "%lu", (unsigned long)key->depth);
    il_hash_text(hash, number);
    il_hash_text(hash, key->parent);
    /* The count keeps a plugin's identity from passing for the data's fingerprint. */
    (void)snprintf(number, sizeof number, "%zu", key->plugin_count);
    il_hash_text(hash, number);
    for (size_t i = 0; i < key->plugin_count; i++) {
        il_hash_text(hash, plugins[i]);
    }
    il_hash_text(hash, key->data);
    il_hash_text(hash, key->numerics);
    il_hash_done(hash, hex);
    free(plugins);
    return IL_OK;
}

char *il_state_store(const char *runs)
{
    return il_path_join(runs, ".stages");
}

char *il_state_folder(const char *runs, const char *address)
{
    char *store = il_state_store(runs);
    char *folder = store != NULL ? il_path_join(store, address) : NULL;

    free(store);
    return folder;
}

bool il__hash_valid(const char *text)
{
    return strlen(text) == IL_HASH_HEX - 1 &&
           strspn(text, "0123456789abcdef") == IL_HASH_HEX - 1;
}

/* Whether `path` still is the file that `fd` has open. */
static bool same_file(int fd, const char *path)
{
    struct stat opened;
    struct stat named;

    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

il_status il_state_lock(const char *runs, const char *address, bool wait, int *fd,
                        il_error *err)
{
    char name[IL_HASH_HEX + 8];
    char *store = il_state_store(runs);
    char *path = NULL;
    il_status status;
    int lock;

    if (store == NULL) {
        return out_of_memory(err, runs);
    }
    if (!il__hash_valid(address)) {
        status =
            il_error_set(err, IL_ERR_INPUT, store,
                         "expected an address of 64 hex digits, got '%.80s'", address);
        goto out;
    }
    (void)snprintf(name, sizeof name, "%s.lock", address);
    path = il_path_join(store, name);
    if (path == NULL) {
        status = out_of_memory(err, runs);
        goto out;
    }
    status = il_folder_make(store, err);
    while (status == IL_OK) {
        status = il_file_lock(path, wait, &lock, err);
        if (status == IL_OK && same_file(lock, path)) {
            *fd = lock;
            break;
        }
        if (status == IL_OK) {
            il_file_unlock(lock); /* gc removed it while we waited: take the new one */
        }
    }
out:
    free(path);
    free(store);
    return status;
}

/* The lineage as JSON; NULL when memory is out. */
static json_t *lineage_json(const il_state_key *key, const char *run, const char *stage)
{
    const char **sorted = plugins_sorted(key);
    json_t *plugins = json_array();
    char hash[IL_HASH_HEX];
    bool failed = sorted == NULL || plugins == NULL;

    for (size_t i = 0; !failed && i < key->plugin_count; i++) {
        failed = json_array_append_new(plugins, json_string(sorted[i])) != 0;
    }
    free(sorted);
    if (failed) {
        json_decref(plugins);
        return NULL;
    }
    il_hash_bytes(key->text, strlen(key->text), hash);
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:s?, s:o, s:s?, s:s?}", "run", run,
                     "stage", stage, "text_sha256", hash, "seed",
                     il__json_seed(key->seed), "depth", (json_int_t)key->depth,
                     "parent", key->parent, "plugins", plugins, "data", key->data,
                     "numerics", key->numerics);
}

il_status il_state_lineage(const char *folder, const il_state_key *key, const char *run,
                           const char *stage, il_error *err)
{
    char *path = il_path_join(folder, "lineage.json");
    json_t *json = NULL;
    il_status status;

    if (path == NULL) {
        return out_of_memory(err, folder);
    }
    if (il_file_exists(path)) {
        free(path);
        return IL_OK;
    }
    status = il_folder_make(folder, err);
    if (status == IL_OK) {
        json = lineage_json(key, run, stage);
        status =
            json != NULL ? il__json_write(path, json, err) : out_of_memory(err, path);
    }
    json_decref(json);
    free(path);
    return status;
}
