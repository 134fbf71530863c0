#define _XOPEN_SOURCE 700 /* realpath */
#include "plugin/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/files.h"
#include "base/text.h"
#include "plugin/loader.h"
#include "plugin/version.h"

#define HOME_SPACE "interloop"

enum { PATH_ROOM = 4096 };

struct il_registry {
    il_arena *arena; /* files, offers and their texts */
    il_log *log;
    il_plugin_file **files;
    size_t file_count;
    il_offer **offers; /* each stays where it is: instances point to it */
    size_t offer_count;
    il_trust trust;
    bool own; /* what is added lies in a folder that came with this program */
};

const char *il_kind_name(il_kind kind)
{
    switch (kind) {
    case IL_KIND_MODEL:
        return "model";
    case IL_KIND_DATASET:
        return "dataset";
    case IL_KIND_ENVIRONMENT:
        return "environment";
    case IL_KIND_DETECTOR:
        return "detector";
    }
    return "component of an unknown kind";
}

il_status il_registry_create(il_registry **out, il_log *log, il_error *err)
{
    il_registry *r = calloc(1, sizeof *r);

    if (r != NULL) {
        r->arena = il_arena_create(1 << 14);
        r->log = log;
    }
    if (r == NULL || r->arena == NULL) {
        free(r);
        return il_error_set(err, IL_ERR_MEMORY, "plugins", "out of memory");
    }
    *out = r;
    return IL_OK;
}

void il_registry_destroy(il_registry *r)
{
    if (r != NULL) {
        il_trust_free(&r->trust);
        free(r->files);
        free(r->offers);
        il_arena_destroy(r->arena);
        free(r);
    }
}

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "plugins", "out of memory");
}

static const il_offer *offer_of(const il_registry *r, il_kind kind, const char *id)
{
    for (size_t i = 0; i < r->offer_count; i++) {
        if (r->offers[i]->component->kind == kind &&
            strcmp(r->offers[i]->id, id) == 0) {
            return r->offers[i];
        }
    }
    return NULL;
}

/* Offers each component of a usable file. */
static il_status add_offers(il_registry *r, const il_plugin_file *file, il_error *err)
{
    const il_plugin *p = file->entry;
    il_offer **grown =
        realloc(r->offers, (r->offer_count + p->component_count) * sizeof *r->offers);

    if (grown == NULL) {
        return no_memory(err);
    }
    r->offers = grown;
    for (size_t i = 0; i < p->component_count; i++) {
        const il_component *c = &p->components[i];
        const char *id = il_arena_printf(r->arena, "%s.%s", p->space, c->name);
        il_offer *offer = il_arena_calloc(r->arena, 1, sizeof *offer);
        const il_offer *other;

        if (id == NULL || offer == NULL) {
            return no_memory(err);
        }
        other = offer_of(r, c->kind, id);
        if (other != NULL) {
            return il_error_set(err, IL_ERR_INPUT, file->path,
                                "offers the %s '%s', and so does %s: remove one of the "
                                "two files",
                                il_kind_name(c->kind), id, other->file->path);
        }
        *offer = (il_offer){c, file, id};
        r->offers[r->offer_count++] = offer;
    }
    return IL_OK;
}

static const char *keep(il_registry *r, const char *text, bool *good)
{
    const char *copy = text != NULL ? il_arena_strdup(r->arena, text) : NULL;

    *good = *good && (text == NULL || copy != NULL);
    return copy;
}

static il_status check_trust(const il_registry *r, const char *sha256, const char *path,
                             il_error *err)
{
    const il_trust *t = &r->trust;

    if (t->mode == IL_TRUST_ANY || il_trust_has(t, sha256) ||
        (t->mode == IL_TRUST_SIGNED && r->own)) {
        return IL_OK;
    }
    return t->mode == IL_TRUST_LOCKED
               ? il_error_set(err, IL_ERR_INPUT, path,
                              "it is not in the lock %s (its SHA-256 is %s)",
                              t->source != NULL ? t->source : "", sha256)
               : il_error_set(err, IL_ERR_INPUT, path,
                              "it is of no bundle that a trusted key signed: "
                              "interloop bundle install puts such a one in place");
}

/* Judges and loads one file; what is refused is kept with its reason. */
static il_status add_file(il_registry *r, const char *path, il_error *err)
{
    il_plugin_file *file = il_arena_calloc(r->arena, 1, sizeof *file);
    il_plugin_file **grown = realloc(r->files, (r->file_count + 1) * sizeof *r->files);
    il_error why = {0};
    il_image image;
    bool good = true;

    if (grown != NULL) {
        r->files = grown;
    }
    if (file == NULL || grown == NULL) {
        return no_memory(err);
    }
    if (il_image_read(&image, path, true, &why) == IL_OK &&
        check_trust(r, image.sha256, path, &why) == IL_OK) {
        (void)il_image_load(&image, path, &file->entry, &why);
    }
    file->path = keep(r, path, &good);
    file->space = keep(r, image.manifest.space, &good);
    file->version = keep(r, image.manifest.version, &good);
    file->manifest = keep(r, image.manifest.text, &good);
    memcpy(file->sha256, image.sha256, sizeof file->sha256);
    if (file->entry == NULL) {
        file->refused = keep(r, why.message, &good);
        il_log_write(r->log, IL_LOG_WARN, "plugin", "%s refused: %s", path,
                     why.message);
    } else {
        il_log_write(r->log, IL_LOG_DEBUG, "plugin", "%s: %s %s", path, file->space,
                     file->version);
    }
    il_image_free(&image);
    if (!good || why.code == IL_ERR_MEMORY) {
        return no_memory(err);
    }
    r->files[r->file_count++] = file;
    return file->entry != NULL ? add_offers(r, file, err) : IL_OK;
}

/* What the visit of a folder's entries needs. */
typedef struct visit {
    il_registry *registry;
    const char *folder;
} visit;

static il_status visit_file(void *user, const char *name, il_error *err)
{
    visit *v = user;
    size_t size = strlen(name);
    il_status status = IL_OK;
    char *path;

    if (size <= 3 || strcmp(name + size - 3, ".so") != 0 || name[0] == '.') {
        return IL_OK;
    }
    path = il_path_join(v->folder, name);
    if (path == NULL) {
        return no_memory(err);
    }
    /* Folders are real paths and no file is a link, so equal files have equal paths. */
    for (size_t i = 0; i < v->registry->file_count; i++) {
        if (strcmp(v->registry->files[i]->path, path) == 0) {
            free(path);
            return IL_OK;
        }
    }
    status = add_file(v->registry, path, err);
    free(path);
    return status;
}

void il_registry_trust(il_registry *r, il_trust *trust)
{
    il_trust_free(&r->trust);
    r->trust = *trust;
    memset(trust, 0, sizeof *trust);
}

/* The folders of the plugins that came with this program, by number: beside an
 * installed one and beside one that was just built; malloc'ed, NULL for a number too
 * many and where it cannot be told. */
static char *own_folder(size_t number)
{
    static const char *const beside[] = {"../lib/interloop/plugins", "plugins"};
    char self[PATH_ROOM];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    char *folder;
    char *path;

    if (number >= sizeof beside / sizeof beside[0] || size <= 0) {
        return NULL;
    }
    self[size] = '\0';
    folder = il_path_folder(self);
    path = folder != NULL ? il_path_join(folder, beside[number]) : NULL;
    free(folder);
    return path;
}

static bool is_own(const char *real)
{
    bool own = false;

    for (size_t i = 0; i < 2 && !own; i++) {
        char *path = own_folder(i);
        char *other = path != NULL ? realpath(path, NULL) : NULL;

        own = other != NULL && strcmp(other, real) == 0;
        free(other);
        free(path);
    }
    return own;
}

il_status il_registry_add_folder(il_registry *r, const char *folder, bool must,
                                 il_error *err)
{
    il_status status;
    char *real;
    visit v;

    if (folder[0] != '/') {
        return il_error_set(err, IL_ERR_INPUT, folder,
                            "expected an absolute folder of plugins, found '%s'",
                            folder);
    }
    real = realpath(folder, NULL);
    if (real == NULL) {
        if (!must && (errno == ENOENT || errno == ENOTDIR)) {
            return IL_OK;
        }
        return il_error_set(err, IL_ERR_INPUT, folder,
                            "cannot open the folder of plugins: %s", strerror(errno));
    }
    v = (visit){r, real};
    r->own = is_own(real);
    status = il_folder_check(real, err);
    if (status == IL_OK) {
        status = il_folder_list(real, visit_file, &v, err);
    }
    free(real);
    return status;
}

/* INTERLOOP_PLUGIN_PATH: absolute folders joined by ':'. */
static il_status add_environment(il_registry *r, il_error *err)
{
    const char *all = getenv("INTERLOOP_PLUGIN_PATH");
    il_status status = IL_OK;

    while (all != NULL && *all != '\0' && status == IL_OK) {
        size_t size = strcspn(all, ":");
        char folder[PATH_ROOM];

        if (size >= sizeof folder) {
            return il_error_set(err, IL_ERR_INPUT, "INTERLOOP_PLUGIN_PATH",
                                "a folder in it is longer than %d bytes",
                                PATH_ROOM - 1);
        }
        if (size > 0) {
            memcpy(folder, all, size);
            folder[size] = '\0';
            status = il_registry_add_folder(r, folder, false, err);
        }
        all += size + (all[size] == ':');
    }
    return status;
}

/* The user's: $XDG_DATA_HOME/interloop/plugins, in ~/.local/share by default. */
static il_status add_user(il_registry *r, il_error *err)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    char folder[PATH_ROOM];
    int size = 0;

    if (data != NULL && data[0] == '/') {
        size = snprintf(folder, sizeof folder, "%s/interloop/plugins", data);
    } else if (home != NULL && home[0] == '/') {
        size =
            snprintf(folder, sizeof folder, "%s/.local/share/interloop/plugins", home);
    }
    return size > 0 && (size_t)size < sizeof folder
               ? il_registry_add_folder(r, folder, false, err)
               : IL_OK;
}

/* Those that came with this program. */
static il_status add_installed(il_registry *r, il_error *err)
{
    il_status status = IL_OK;

    for (size_t i = 0; i < 2 && status == IL_OK; i++) {
        char *path = own_folder(i);

        status = path != NULL ? il_registry_add_folder(r, path, false, err) : IL_OK;
        free(path);
    }
    return status;
}

il_status il_registry_add_defaults(il_registry *r, il_error *err)
{
    IL_TRY(add_environment(r, err));
    IL_TRY(add_user(r, err));
    return add_installed(r, err);
}

/* Refused files that might have offered the id: those of its namespace, and those whose
 * namespace was never read. */
static void mention_refused(const il_registry *r, const char *id, il_text *out)
{
    size_t named = 0;
    size_t left = 0;

    for (size_t i = 0; i < r->file_count; i++) {
        const il_plugin_file *f = r->files[i];
        size_t size = f->space != NULL ? strlen(f->space) : 0;

        if (f->refused == NULL ||
            (size > 0 && (strncmp(id, f->space, size) != 0 || id[size] != '.'))) {
            continue;
        }
        if (named == 2) {
            left++;
            continue;
        }
        named++;
        il_text_addf(out, "; refused: %s: %s", f->path, f->refused);
    }
    if (left > 0) {
        il_text_addf(out, "; and %zu more refused", left);
    }
}

/* The message for an id that nobody offers as this kind. */
static il_status not_found(const il_registry *r, il_kind kind, const char *id,
                           il_error *err)
{
    const char **ids = calloc(r->offer_count + 1, sizeof *ids);
    const il_offer *other = NULL;
    const char *nearest;
    il_text text = {0};
    size_t count = 0;

    if (ids == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < r->offer_count; i++) {
        if (r->offers[i]->component->kind == kind) {
            ids[count++] = r->offers[i]->id;
        } else if (strcmp(r->offers[i]->id, id) == 0) {
            other = r->offers[i];
        }
    }
    nearest = il_nearest(id, ids, count);
    if (other != NULL) {
        il_text_addf(&text, "'%s' is a %s, expected a %s", id,
                     il_kind_name(other->component->kind), il_kind_name(kind));
    } else {
        il_text_addf(&text, "no plugin offers the %s '%s'", il_kind_name(kind), id);
    }
    if (nearest != NULL) {
        il_text_addf(&text, ", did you mean '%s'?", nearest);
    } else if (count == 0) {
        il_text_addf(&text, "; there is no %s on offer (%zu plugin files found)",
                     il_kind_name(kind), r->file_count);
    }
    for (size_t i = 0; nearest == NULL && i < count && i < 8; i++) {
        il_text_addf(&text, "%s%s", i == 0 ? "; on offer: " : ", ", ids[i]);
    }
    mention_refused(r, id, &text);
    (void)il_error_set(err, text.failed ? IL_ERR_MEMORY : IL_ERR_INPUT, id, "%s",
                       text.failed ? "out of memory" : text.data);
    free(ids);
    il_text_free(&text);
    return IL_ERR_INPUT;
}

il_status il_registry_find(const il_registry *r, il_kind kind, const char *id,
                           const char *range, const il_offer **out, il_error *err)
{
    char whole[256];
    const il_offer *offer;
    bool known;

    if (snprintf(whole, sizeof whole, "%s%s",
                 strchr(id, '.') != NULL ? "" : HOME_SPACE ".",
                 id) >= (int)sizeof whole) {
        return il_error_set(err, IL_ERR_INPUT, "", "'%.40s...' is too long for an id",
                            id);
    }
    offer = offer_of(r, kind, whole);
    if (offer == NULL) {
        return not_found(r, kind, whole, err);
    }
    if (!il_version_in(offer->file->version, range != NULL ? range : "", &known)) {
        return known
                   ? il_error_set(err, IL_ERR_INPUT, whole,
                                  "expected version %s, found %s in %s", range,
                                  offer->file->version, offer->file->path)
                   : il_error_set(err, IL_ERR_INPUT, whole,
                                  "expected a version like 1.0.3, ^1.0, ~1.2 or >=1.2, "
                                  "found '%s'",
                                  range);
    }
    *out = offer;
    return IL_OK;
}

size_t il_registry_files(const il_registry *r)
{
    return r->file_count;
}

const il_plugin_file *il_registry_file(const il_registry *r, size_t i)
{
    return r->files[i];
}

size_t il_registry_offers(const il_registry *r)
{
    return r->offer_count;
}

const il_offer *il_registry_offer(const il_registry *r, size_t i)
{
    return r->offers[i];
}
