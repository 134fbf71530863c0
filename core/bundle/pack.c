/* Making bundles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/hash.h"
#include "base/files.h"
#include "base/text.h"
#include "bundle/bundle_private.h"
#include "plugin/param_schema.h"

enum { FILE_LIMIT = 512 << 20 };

typedef struct packing {
    il_arena *arena;
    il_zip_source *members; /* data malloc'ed */
    size_t count;
    json_t *plugin; /* the first library's manifest */
    json_t *libraries;
    const char *id;
    const char *version;
} packing;

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "bundle", "out of memory");
}

/* Adds a member; takes `data`, which was malloc'ed, in any case. */
static il_status add(packing *p, const char *name, char *data, size_t size,
                     il_error *err)
{
    il_status status = il__bundle_name_check("bundle", name, err);
    const char *kept = il_arena_strdup(p->arena, name);

    if (status == IL_OK && (kept == NULL || data == NULL)) {
        status = no_memory(err);
    }
    if (status == IL_OK && p->count + 2 >= IL_BUNDLE_FILES) {
        status = il_error_set(err, IL_ERR_INPUT, "bundle", "more than %d files",
                              IL_BUNDLE_FILES);
    }
    if (status != IL_OK) {
        free(data);
        return status;
    }
    p->members[p->count].name = kept;
    p->members[p->count].data = data;
    p->members[p->count++].data_bytes = size;
    return IL_OK;
}

static il_status add_json(packing *p, const char *name, json_t *json, il_error *err)
{
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(1)) : NULL;

    json_decref(json);
    if (text == NULL) {
        return no_memory(err);
    }
    return add(p, name, text, strlen(text), err);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* The first library says who the bundle is. */
static il_status take_id(packing *p, const char *path, il_error *err)
{
    const char *space = json_string_value(json_object_get(p->plugin, "space"));
    const char *stem = last_part(path);
    size_t size = strlen(stem);

    p->version = json_string_value(json_object_get(p->plugin, "version"));
    if (size <= 3 || strcmp(stem + size - 3, ".so") != 0) {
        return il_error_set(err, IL_ERR_INPUT, path, "expected a file NAME.so");
    }
    p->id = il_arena_printf(p->arena, "%s.%.*s", space, (int)(size - 3), stem);
    return p->id != NULL && p->version != NULL ? IL_OK : no_memory(err);
}

static il_status add_library(packing *p, const char *path, il_error *err)
{
    const char *target;
    json_t *manifest = NULL;
    char *data = NULL;
    size_t size = 0;
    char *name;
    il_status status;

    IL_TRY(il_file_read(path, FILE_LIMIT, &data, &size, err));
    target = il__bundle_target_of(data, size);
    status = target != NULL
                 ? il__bundle_library_check(data, size, path, p->plugin, &manifest, err)
                 : il_error_set(err, IL_ERR_INPUT, path,
                                "is for no machine that bundles know");
    if (status == IL_OK && p->plugin == NULL) {
        p->plugin = manifest;
        status = take_id(p, path, err);
    } else {
        json_decref(manifest);
    }
    name = status == IL_OK
               ? il_arena_printf(p->arena, "lib/%s/%s", target, last_part(path))
               : NULL;
    if (status == IL_OK &&
        (name == NULL ||
         json_array_append_new(p->libraries, json_pack("{s:s, s:s}", "target", target,
                                                       "path", name)) != 0)) {
        status = no_memory(err);
    }
    if (status != IL_OK) {
        free(data);
        return status;
    }
    return add(p, name, data, size, err);
}

static il_status add_about(packing *p, il_error *err)
{
    json_t *about = json_pack("{s:i, s:s, s:s, s:O, s:O}", "format", IL_BUNDLE_FORMAT,
                              "id", p->id, "version", p->version, "libraries",
                              p->libraries, "plugin", p->plugin);

    IL_TRY(add_json(p, "bundle.json", about, err));
    return add_json(p, "schema.json", il_manifest_schemas(p->plugin), err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const il_zip_source *)a)->name, ((const il_zip_source *)b)->name);
}

static il_status add_sums(packing *p, char **sums, il_error *err)
{
    il_text text = {0};

    qsort(p->members, p->count, sizeof *p->members, by_name);
    for (size_t i = 0; i < p->count; i++) {
        char sha256[IL_HASH_HEX];

        il_hash_bytes(p->members[i].data, p->members[i].data_bytes, sha256);
        il_text_addf(&text, "%s  %s\n", sha256, p->members[i].name);
    }
    *sums = text.failed ? NULL : strdup(text.data);
    if (*sums == NULL) {
        il_text_free(&text);
        return no_memory(err);
    }
    return add(p, "SHA256SUMS", text.data, text.size, err);
}

static il_status add_signature(packing *p, const il_bundle_recipe *recipe,
                               const char *sums, il_error *err)
{
    char comment[IL_MINISIGN_COMMENT];
    char *text = NULL;

    if (recipe->signature != NULL) {
        text = strdup(recipe->signature);
    } else if (recipe->key != NULL) {
        (void)snprintf(comment, sizeof comment, "interloop bundle %s %s", p->id,
                       p->version);
        IL_TRY(
            il_signature_write(recipe->key, sums, strlen(sums), comment, &text, err));
    } else {
        return IL_OK;
    }
    return add(p, "SHA256SUMS.minisig", text, text != NULL ? strlen(text) : 0, err);
}

static il_status fill(packing *p, const il_bundle_recipe *recipe, char **sums,
                      il_error *err)
{
    for (size_t i = 0; i < recipe->library_count; i++) {
        IL_TRY(add_library(p, recipe->libraries[i], err));
    }
    if (p->plugin == NULL) {
        return il_error_set(err, IL_ERR_INPUT, "bundle", "expected a plugin to pack");
    }
    for (size_t i = 0; i < recipe->file_count; i++) {
        char *data = NULL;
        size_t size = 0;

        IL_TRY(il_file_read(recipe->files[i].path, FILE_LIMIT, &data, &size, err));
        IL_TRY(add(p, recipe->files[i].name, data, size, err));
    }
    IL_TRY(add_about(p, err));
    IL_TRY(add_sums(p, sums, err));
    return add_signature(p, recipe, *sums, err);
}

/* Writes beside the place and moves it there once it has been found good. */
static il_status write_checked(const packing *p, const char *path, il_error *err)
{
    char *part = il_arena_printf(p->arena, "%s.part", path);
    il_bundle bundle;
    il_status status;

    if (part == NULL) {
        return no_memory(err);
    }
    IL_TRY(il_zip_write(part, p->members, p->count, err));
    status = il_bundle_open(&bundle, part, err);
    if (status == IL_OK) {
        il_bundle_close(&bundle);
        if (rename(part, path) != 0) {
            status = il_error_set(err, IL_ERR_IO, path, "cannot be put in its place");
        }
    }
    if (status != IL_OK) {
        (void)unlink(part); /* what is left of it is of no use */
    }
    return status;
}

il_status il_bundle_pack(const char *path, const il_bundle_recipe *recipe, char **sums,
                         il_error *err)
{
    packing p = {.arena = il_arena_create(1 << 12), .libraries = json_array()};
    char *text = NULL;
    il_status status;

    p.members = p.arena != NULL
                    ? il_arena_calloc(p.arena, IL_BUNDLE_FILES, sizeof *p.members)
                    : NULL;
    status = p.members != NULL && p.libraries != NULL ? fill(&p, recipe, &text, err)
                                                      : no_memory(err);
    if (status == IL_OK) {
        status = write_checked(&p, path, err);
    }
    for (size_t i = 0; i < p.count; i++) {
        free((void *)(uintptr_t)p.members[i].data);
    }
    if (status == IL_OK && sums != NULL) {
        *sums = text;
    } else {
        free(text);
    }
    json_decref(p.plugin);
    json_decref(p.libraries);
    il_arena_destroy(p.arena);
    return status;
}
