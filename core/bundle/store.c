#include "bundle/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/arena.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/text.h"

enum { TEXT_LIMIT = 4 << 20, KEYS_LIMIT = 1 << 16 };

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "bundles", "out of memory");
}

static il_status no_home(il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, "bundles",
                        "there is neither HOME nor XDG_DATA_HOME: where should they "
                        "lie?");
}

/* The folder that a variable names, or one under the home. */
static char *user_folder(const char *variable, const char *otherwise)
{
    const char *set = getenv(variable);
    const char *home = getenv("HOME");
    char *base;
    char *folder;

    if (set != NULL && set[0] == '/') {
        return il_path_join(set, "interloop");
    }
    if (home == NULL || home[0] != '/') {
        return NULL;
    }
    base = il_path_join(home, otherwise);
    folder = base != NULL ? il_path_join(base, "interloop") : NULL;
    free(base);
    return folder;
}

char *il_store_data(void)
{
    return user_folder("XDG_DATA_HOME", ".local/share");
}

char *il_store_keys(void)
{
    char *folder = user_folder("XDG_CONFIG_HOME", ".config");
    char *path = folder != NULL ? il_path_join(folder, "trusted_keys") : NULL;

    free(folder);
    return path;
}

/* ---- keys ----------------------------------------------------------------------- */

static il_status read_keys(const char *path, il_public_key *keys, size_t *count,
                           il_error *err)
{
    char *text = NULL;
    size_t size = 0;
    il_status status;

    IL_TRY(il_file_read(path, KEYS_LIMIT, &text, &size, err));
    status = il_public_keys_read(text, path, keys, IL_MINISIGN_KEYS, count, err);
    free(text);
    return status;
}

il_status il_store_keys_read(il_public_key *keys, size_t *count, il_error *err)
{
    char *path = il_store_keys();
    il_status status = IL_OK;

    *count = 0;
    if (path != NULL && il_file_exists(path)) {
        struct stat st;

        status = stat(path, &st) == 0 && (st.st_mode & S_IWOTH)
                     ? il_error_set(err, IL_ERR_INPUT, path,
                                    "everybody may write to the trusted keys: chmod "
                                    "o-w them")
                     : read_keys(path, keys, count, err);
    }
    free(path);
    return status;
}

static bool knows(const il_public_key *keys, size_t count, const il_public_key *key)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&keys[i], key, sizeof *key) == 0) {
            return true;
        }
    }
    return false;
}

il_status il_store_keys_add(const char *from, size_t *added, il_error *err)
{
    il_public_key *keys = calloc(2 * IL_MINISIGN_KEYS, sizeof *keys);
    il_public_key *fresh = keys != NULL ? keys + IL_MINISIGN_KEYS : NULL;
    char *path = il_store_keys();
    char *folder = path != NULL ? il_path_folder(path) : NULL;
    char *old = NULL;
    char *text = NULL;
    size_t size = 0;
    size_t count = 0;
    size_t fresh_count = 0;
    il_text out = {0};
    il_status status = keys == NULL   ? no_memory(err)
                       : path == NULL ? no_home(err)
                                      : IL_OK;

    *added = 0;
    if (status == IL_OK) {
        status = il_store_keys_read(keys, &count, err);
    }
    if (status == IL_OK) {
        status = read_keys(from, fresh, &fresh_count, err);
    }
    if (status == IL_OK && fresh_count == 0) {
        status = il_error_set(err, IL_ERR_INPUT, from, "holds no key");
    }
    for (size_t i = 0; status == IL_OK && i < fresh_count; i++) {
        *added += !knows(keys, count, &fresh[i]);
    }
    if (status == IL_OK && *added > 0) {
        if (il_file_exists(path)) {
            status = il_file_read(path, KEYS_LIMIT, &old, &size, err);
        }
        if (status == IL_OK) {
            status = il_file_read(from, KEYS_LIMIT, &text, &size, err);
        }
        if (status == IL_OK) {
            il_text_add(&out, old != NULL ? old : "");
            il_text_add(&out, text);
            status = out.failed ? no_memory(err) : il_folder_make(folder, err);
        }
        if (status == IL_OK) {
            status = il_file_write(path, out.data, out.size, err);
        }
    }
    il_text_free(&out);
    free(text);
    free(old);
    free(folder);
    free(path);
    free(keys);
    return status;
}

/* ---- installing ----------------------------------------------------------------- */

/* What a store is asked about; paths in the arena. */
typedef struct store {
    il_arena *arena;
    const char *plugins;
    const char *bundles;
} store;

static il_status store_open(store *s, il_error *err)
{
    char *data = il_store_data();

    memset(s, 0, sizeof *s);
    if (data == NULL) {
        return no_home(err);
    }
    s->arena = il_arena_create(1 << 12);
    s->plugins =
        s->arena != NULL ? il_arena_printf(s->arena, "%s/plugins", data) : NULL;
    s->bundles =
        s->arena != NULL ? il_arena_printf(s->arena, "%s/bundles", data) : NULL;
    free(data);
    return s->plugins != NULL && s->bundles != NULL ? IL_OK : no_memory(err);
}

/* Writes a member under a folder, with the folders that its name asks for. */
static il_status write_member(const store *s, const il_bundle *b, const char *folder,
                              const char *name, il_error *err)
{
    const char *path = il_arena_printf(s->arena, "%s/%s", folder, name);
    const void *data;
    size_t size;
    char *parent;
    il_status status;

    if (path == NULL) {
        return no_memory(err);
    }
    IL_TRY(il_bundle_file_data(b, name, &data, &size, err));
    parent = il_path_folder(path);
    if (parent == NULL) {
        return no_memory(err);
    }
    status = il_folder_make(parent, err);
    free(parent);
    return status == IL_OK ? il_file_write(path, data, size, err) : status;
}

/* Puts a folder that is complete in the place of another. */
static il_status swap_folder(const store *s, const char *fresh, const char *place,
                             il_error *err)
{
    const char *old = il_arena_printf(s->arena, "%s.old", place);

    if (old == NULL) {
        return no_memory(err);
    }
    IL_TRY(il_folder_remove(old, err));
    if (rename(place, old) != 0 && errno != ENOENT) {
        return il_error_set(err, IL_ERR_IO, place, "cannot move it away: %s",
                            strerror(errno));
    }
    if (rename(fresh, place) != 0) {
        return il_error_set(err, IL_ERR_IO, place, "cannot put it there: %s",
                            strerror(errno));
    }
    return il_folder_remove(old, err);
}

static il_status install(const store *s, const il_bundle *b, il_error *err)
{
    const char *library = il_bundle_library(b);
    const char *place = il_arena_printf(s->arena, "%s/%s", s->bundles, b->id);
    const char *fresh = il_arena_printf(s->arena, "%s/.%s.new", s->bundles, b->id);
    const char *plugin = il_arena_printf(s->arena, "%s/%s.so", s->plugins, b->id);
    const void *data;
    size_t size;

    if (place == NULL || fresh == NULL || plugin == NULL) {
        return no_memory(err);
    }
    if (library == NULL) {
        return il_error_set(err, IL_ERR_INPUT, b->id,
                            "has no plugin for this machine (%s)", il_bundle_target());
    }
    if (il_file_exists(plugin) && !il_file_exists(place)) {
        return il_error_set(err, IL_ERR_INPUT, plugin,
                            "is there already and came from no bundle: move it away "
                            "first");
    }
    IL_TRY(il_folder_make(s->plugins, err));
    IL_TRY(il_folder_remove(fresh, err));
    IL_TRY(il_folder_make(fresh, err));
    for (size_t i = 0; i < il_zip_count(b->zip); i++) {
        IL_TRY(write_member(s, b, fresh, il_zip_at(b->zip, i)->name, err));
    }
    IL_TRY(il_bundle_file_data(b, library, &data, &size, err));
    IL_TRY(swap_folder(s, fresh, place, err));
    return il_file_write(plugin, data, size, err);
}

il_status il_store_install(const il_bundle *b, il_error *err)
{
    store s;
    il_status status = store_open(&s, err);

    if (status == IL_OK) {
        status = install(&s, b, err);
    }
    il_arena_destroy(s.arena);
    return status;
}

/* ---- listing -------------------------------------------------------------------- */

typedef struct lister {
    const store *store;
    const il_public_key *keys;
    size_t count;
    json_t *out;
} lister;

/* The sums of an installed bundle and who signed them; malloc'ed text or NULL. */
static char *read_sums(const lister *l, const char *folder, const char *id,
                       const char *version, const il_public_key **signer)
{
    const char *sums_path = il_arena_printf(l->store->arena, "%s/SHA256SUMS", folder);
    const char *path =
        il_arena_printf(l->store->arena, "%s/SHA256SUMS.minisig", folder);
    char expected[IL_MINISIGN_COMMENT];
    il_signature signature;
    il_error ignored = {0};
    char *sums = NULL;
    char *text = NULL;
    size_t size = 0;
    size_t text_size = 0;

    *signer = NULL;
    if (sums_path == NULL || path == NULL ||
        il_file_read(sums_path, TEXT_LIMIT, &sums, &size, &ignored) != IL_OK) {
        return NULL;
    }
    (void)snprintf(expected, sizeof expected, "interloop bundle %s %s", id, version);
    if (il_file_exists(path) &&
        il_file_read(path, TEXT_LIMIT, &text, &text_size, &ignored) == IL_OK &&
        il_signature_read(text, path, &signature, &ignored) == IL_OK &&
        strcmp(signature.comment, expected) == 0) {
        for (size_t i = 0; i < l->count && *signer == NULL; i++) {
            if (il_signature_good(&signature, &l->keys[i], sums, size)) {
                *signer = &l->keys[i];
            }
        }
    }
    free(text);
    return sums;
}

/* Whether the sums list a library of that hash. */
static bool lists(const char *sums, const char *hash)
{
    char sha256[65];
    char name[IL_BUNDLE_NAME + 1];
    bool good;

    while (il_sums_next(&sums, sha256, name, &good)) {
        if (good && strncmp(name, "lib/", 4) == 0 && strcmp(sha256, hash) == 0) {
            return true;
        }
    }
    return false;
}

static const char *text_in(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text != NULL ? text : "";
}

static il_status list_one(void *user, const char *id, il_error *err)
{
    lister *l = user;
    const char *folder =
        il_arena_printf(l->store->arena, "%s/%s", l->store->bundles, id);
    const char *path = il_arena_printf(l->store->arena, "%s/bundle.json",
                                       folder != NULL ? folder : "");
    const char *plugin =
        il_arena_printf(l->store->arena, "%s/%s.so", l->store->plugins, id);
    const il_public_key *signer = NULL;
    char sha256[IL_HASH_HEX] = "";
    il_error ignored = {0};
    char name[17] = "";
    json_t *about;
    json_t *item;
    char *sums;
    bool whole;

    if (id[0] == '.' || strstr(id, ".old") != NULL) {
        return IL_OK;
    }
    if (folder == NULL || path == NULL || plugin == NULL) {
        return no_memory(err);
    }
    about = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    sums = read_sums(l, folder, id, text_in(about, "version"), &signer);
    whole = about != NULL && sums != NULL &&
            il_hash_file(plugin, sha256, &ignored) == IL_OK && lists(sums, sha256);
    if (signer != NULL) {
        il_key_name(signer->id, name);
    }
    item = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "id", id, "version",
                     text_in(about, "version"), "licence",
                     text_in(json_object_get(about, "plugin"), "licence"), "summary",
                     text_in(json_object_get(about, "plugin"), "summary"), "sha256",
                     sha256, "changed", !whole);
    (void)json_object_set_new(
        item, "signer", whole && signer != NULL ? json_string(name) : json_null());
    (void)json_array_append_new(l->out, item);
    free(sums);
    json_decref(about);
    return IL_OK;
}

il_status il_store_list(const il_public_key *keys, size_t count, json_t **out,
                        il_error *err)
{
    store s;
    lister l = {&s, keys, count, json_array()};
    il_status status = store_open(&s, err);

    if (status == IL_OK && il_file_exists(s.bundles)) {
        status = il_folder_list(s.bundles, list_one, &l, err);
    }
    il_arena_destroy(s.arena);
    if (status != IL_OK) {
        json_decref(l.out);
        l.out = NULL;
    }
    *out = l.out;
    return status;
}
