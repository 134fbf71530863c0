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
#include "bundle/bundle_private.h"

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

/* Writes what the file of keys holds, and then the text of new ones. */
static il_status append_keys(const char *path, const char *fresh, il_error *err)
{
    char *folder = il_path_folder(path);
    char *old = NULL;
    size_t size = 0;
    il_text out = {0};
    il_status status = folder != NULL ? il_folder_make(folder, err) : no_memory(err);

    if (status == IL_OK && il_file_exists(path)) {
        status = il_file_read(path, KEYS_LIMIT, &old, &size, err);
    }
    if (status == IL_OK) {
        il_text_add(&out, old != NULL ? old : "");
        /* An editor may have left the last line without its end. */
        il_text_add(&out, out.size > 0 && out.data[out.size - 1] != '\n' ? "\n" : "");
        il_text_add(&out, fresh);
        status = out.failed ? no_memory(err) : IL_OK;
    }
    if (status == IL_OK && out.size > KEYS_LIMIT) {
        status = il_error_set(err, IL_ERR_INPUT, path, "would have more than %d bytes",
                              KEYS_LIMIT);
    }
    if (status == IL_OK) {
        status = il_file_write(path, out.data, out.size, err);
    }
    il_text_free(&out);
    free(old);
    free(folder);
    return status;
}

il_status il_store_keys_add(const char *from, size_t *added, il_error *err)
{
    il_public_key *keys = calloc(2 * IL_MINISIGN_KEYS, sizeof *keys);
    il_public_key *fresh = keys != NULL ? keys + IL_MINISIGN_KEYS : NULL;
    char *path = il_store_keys();
    size_t count = 0;
    size_t known;
    size_t fresh_count = 0;
    il_text text = {0};
    il_status status = keys == NULL   ? no_memory(err)
                       : path == NULL ? no_home(err)
                                      : IL_OK;

    *added = 0;
    if (status == IL_OK) {
        status = il_store_keys_read(keys, &count, err);
    }
    known = count;
    if (status == IL_OK) {
        status = read_keys(from, fresh, &fresh_count, err);
    }
    if (status == IL_OK && fresh_count == 0) {
        status = il_error_set(err, IL_ERR_INPUT, from, "holds no key");
    }
    for (size_t i = 0; status == IL_OK && i < fresh_count; i++) {
        if (knows(keys, count, &fresh[i])) {
            continue;
        }
        if (count == IL_MINISIGN_KEYS) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "would hold more than %d keys", IL_MINISIGN_KEYS);
            break;
        }
        keys[count++] = fresh[i];
        il_public_key_write(&text, &fresh[i]);
    }
    if (status == IL_OK && text.failed) {
        status = no_memory(err);
    }
    if (status == IL_OK && text.size > 0) {
        status = append_keys(path, text.data, err);
    }
    if (status == IL_OK) {
        *added = count - known;
    }
    il_text_free(&text);
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

/* Puts a folder that is complete in the place of another, which lies at `old` for the
 * moment in between. */
static il_status swap_folder(const char *fresh, const char *place, const char *old,
                             il_error *err)
{
    IL_TRY(il_folder_remove(old, err));
    if (rename(place, old) != 0 && errno != ENOENT) {
        return il_error_set(err, IL_ERR_IO, place, "cannot move it away: %s",
                            strerror(errno));
    }
    if (rename(fresh, place) != 0) {
        il_status status = il_error_set(err, IL_ERR_IO, place,
                                        "cannot put it there: %s", strerror(errno));

        (void)rename(old, place); /* there may have been none */
        return status;
    }
    return il_folder_remove(old, err);
}

/* What is compared with each installed bundle. */
typedef struct rival {
    const store *store;
    const il_bundle *bundle;
} rival;

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key)) != 0;
}

/* Refuses a bundle that offers what another one offers: two such files would keep every
 * plugin from being found. */
static il_status check_rival(void *user, const char *id, il_error *err)
{
    const rival *r = user;
    const char *path =
        il_arena_printf(r->store->arena, "%s/%s/bundle.json", r->store->bundles, id);
    const json_t *plugin = json_object_get(r->bundle->about, "plugin");
    const json_t *components = json_object_get(plugin, "components");
    il_status status = IL_OK;
    const json_t *other;
    json_t *about;

    if (id[0] == '.' || strcmp(id, r->bundle->id) == 0) {
        return IL_OK;
    }
    if (path == NULL) {
        return no_memory(err);
    }
    about = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    other = json_object_get(about, "plugin");
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *mine = json_array_get(components, i);
        const json_t *theirs = json_object_get(other, "components");

        for (size_t k = 0; k < json_array_size(theirs) && status == IL_OK; k++) {
            const json_t *its = json_array_get(theirs, k);
            const char *name = json_string_value(json_object_get(its, "name"));

            if (name != NULL && same_text(plugin, other, "space") &&
                same_text(mine, its, "kind") && same_text(mine, its, "name")) {
                status = il_error_set(err, IL_ERR_INPUT, r->bundle->id,
                                      "offers '%s', and so does the installed bundle "
                                      "%s: remove %s/%s.so and %s/%s first",
                                      name, id, r->store->plugins, id,
                                      r->store->bundles, id);
            }
        }
    }
    json_decref(about);
    return status;
}

/* With the store's lock held. */
static il_status install(const store *s, const il_bundle *b, il_error *err)
{
    const char *library = il_bundle_library(b);
    const char *place = il_arena_printf(s->arena, "%s/%s", s->bundles, b->id);
    const char *fresh = il_arena_printf(s->arena, "%s/.%s.new", s->bundles, b->id);
    const char *old = il_arena_printf(s->arena, "%s/.%s.old", s->bundles, b->id);
    const char *plugin = il_arena_printf(s->arena, "%s/%s.so", s->plugins, b->id);
    rival r = {s, b};
    const void *data;
    size_t size;

    if (place == NULL || fresh == NULL || old == NULL || plugin == NULL) {
        return no_memory(err);
    }
    if (library == NULL) {
        return il_error_set(err, IL_ERR_INPUT, b->id,
                            "has no plugin for this machine (%s)", il_bundle_target());
    }
    if (il_file_exists(plugin) && !il_file_exists(place) && !il_file_exists(old)) {
        return il_error_set(err, IL_ERR_INPUT, plugin,
                            "is there already and came from no bundle: move it away "
                            "first");
    }
    IL_TRY(il_folder_list(s->bundles, check_rival, &r, err));
    IL_TRY(il_folder_make(s->plugins, err));
    IL_TRY(il_folder_remove(fresh, err));
    IL_TRY(il_folder_make(fresh, err));
    for (size_t i = 0; i < il_zip_count(b->zip); i++) {
        IL_TRY(write_member(s, b, fresh, il_zip_at(b->zip, i)->name, err));
    }
    IL_TRY(il_bundle_file_data(b, library, &data, &size, err));
    IL_TRY(swap_folder(fresh, place, old, err));
    return il_file_write(plugin, data, size, err);
}

/* Two that install at once go one after the other. */
static il_status install_alone(const store *s, const il_bundle *b, il_error *err)
{
    const char *lock = il_arena_printf(s->arena, "%s/.lock", s->bundles);
    il_status status;
    int fd;

    if (lock == NULL) {
        return no_memory(err);
    }
    IL_TRY(il_folder_make(s->bundles, err));
    IL_TRY(il_file_lock(lock, true, &fd, err));
    status = install(s, b, err);
    il_file_unlock(fd);
    return status;
}

il_status il_store_install(const il_bundle *b, il_error *err)
{
    store s;
    il_status status = store_open(&s, err);

    if (status == IL_OK) {
        status = install_alone(&s, b, err);
    }
    il_arena_destroy(s.arena);
    return status;
}

char *il_store_version(const char *id)
{
    char *data = il_store_data();
    il_text path = {0};
    json_t *about;
    const char *version;
    char *copy;

    il_text_addf(&path, "%s/bundles/%s/bundle.json", data != NULL ? data : "", id);
    about = data != NULL && !path.failed
                ? json_load_file(path.data, JSON_REJECT_DUPLICATES, NULL)
                : NULL;
    version = json_string_value(json_object_get(about, "version"));
    copy = version != NULL ? strdup(version) : NULL;
    json_decref(about);
    il_text_free(&path);
    free(data);
    return copy;
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

    if (!il__bundle_id_good(id)) { /* the lock, and what a kill left half done */
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
    free(sums);
    json_decref(about);
    if (json_object_set_new(item, "signer",
                            whole && signer != NULL ? json_string(name)
                                                    : json_null()) != 0 ||
        json_array_append(l->out, item) != 0) {
        json_decref(item);
        return no_memory(err);
    }
    json_decref(item);
    return IL_OK;
}

il_status il_store_list(const il_public_key *keys, size_t count, json_t **out,
                        il_error *err)
{
    char *data = il_store_data();
    store s = {0};
    lister l = {&s, keys, count, json_array()};
    il_status status = l.out != NULL ? IL_OK : no_memory(err);

    if (status == IL_OK && data != NULL) { /* without a home, nothing is installed */
        status = store_open(&s, err);
        if (status == IL_OK && il_file_exists(s.bundles)) {
            status = il_folder_list(s.bundles, list_one, &l, err);
        }
    }
    free(data);
    il_arena_destroy(s.arena);
    if (status != IL_OK) {
        json_decref(l.out);
        l.out = NULL;
    }
    *out = l.out;
    return status;
}
