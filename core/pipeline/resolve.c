/* The merge rule, overrides by path, and where paths start from. document.c reads
 * the files, substitute.c resolves ${...}. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "pipeline/resolve.h"

#include <stdlib.h>
#include <string.h>
#include "base/files.h"

/* --- paths --- */

#define SET_PREFIX "--set "

/* A path without "." and ".." where it exists, and absolute where the working
 * directory can be told. */
static const char *absolute(il_arena *arena, const char *path)
{
    char *real = realpath(path, NULL);
    char *here = real == NULL && path[0] != '/' ? realpath(".", NULL) : NULL;
    char *joined = here != NULL ? il_path_join(here, path) : NULL;
    const char *kept = il_arena_strdup(arena, real != NULL     ? real
                                              : joined != NULL ? joined
                                                               : path);

    free(real);
    free(here);
    free(joined);
    return kept;
}

const char *il_place_folder(il_arena *arena, il_place place)
{
    bool from_file =
        place.file != NULL && strncmp(place.file, SET_PREFIX, strlen(SET_PREFIX)) != 0;
    char *folder = from_file ? il_path_folder(place.file) : il_path_folder(".");
    const char *kept = folder != NULL ? absolute(arena, folder) : NULL;

    free(folder);
    return kept;
}

const char *il_place_path(il_arena *arena, il_place place, const char *path)
{
    const char *folder;
    char *joined;
    const char *kept;

    if (path[0] == '/') {
        return il_arena_strdup(arena, path);
    }
    folder = il_place_folder(arena, place);
    joined = folder != NULL ? il_path_join(folder, path) : NULL;
    kept = joined != NULL ? absolute(arena, joined) : NULL;
    free(joined);
    return kept;
}

/* --- the merge rule --- */

il_node *il_merge(il_arena *arena, const il_schema *schema, il_node *under,
                  il_node *over)
{
    if (under == NULL) {
        return over;
    }
    if (under->kind != IL_NODE_MAP || over->kind != IL_NODE_MAP ||
        il_node_get(over, "use") != NULL) {
        over->under = under;
        return over;
    }
    for (size_t i = 0; i < over->count; i++) {
        const il_node_item *item = &over->items[i];
        il_node_item *have = il_node_item_of(under, item->key);
        unsigned flags = 0;
        const il_schema *child =
            schema != NULL ? il_schema_child(schema, under, item->key, &flags) : NULL;

        if (have == NULL) {
            if (!il_node_add(arena, under, item->key, item->place, item->value)) {
                return NULL;
            }
        } else if (flags & IL_FIELD_WHOLE) {
            item->value->under = have->value;
            have->value = item->value;
            have->place = item->place;
        } else {
            have->value = il_merge(arena, child, have->value, item->value);
            have->place = item->place;
            if (have->value == NULL) {
                return NULL;
            }
        }
    }
    return under;
}

/* --- overrides --- */

typedef struct override {
    il_arena *arena;
    const char *path; /* the whole of it, for messages */
    const il_node *value;
    il_place place;
    il_problems *problems;
} override;

static bool no_memory(il_problems *problems)
{
    problems->no_memory = true;
    return false;
}

static bool refuse_key(const override *o, const il_schema *schema, const il_node *map,
                       const char *key)
{
    const char *keys[64];
    size_t count = il_schema_keys(schema, map, keys, 64);

    il_problem_add_nearest(o->problems, o->place, key, keys, count,
                           "no '%.60s' in %s (in the path '%.200s')", key, schema->what,
                           o->path);
    return false;
}

/* Puts the value under the last key of the path. */
static bool put_last(const override *o, const il_schema *child, unsigned flags,
                     il_node *map, const char *key)
{
    il_node *value = il_node_copy(o->arena, o->value);
    il_node_item *have = il_node_item_of(map, key);

    if (value == NULL) {
        return no_memory(o->problems);
    }
    if (have == NULL) {
        return il_node_add(o->arena, map, key, o->place, value) ||
               no_memory(o->problems);
    }
    if (!(flags & IL_FIELD_WHOLE)) {
        value = il_merge(o->arena, child, have->value, value);
        if (value == NULL) {
            return no_memory(o->problems);
        }
    } else {
        value->under = have->value;
    }
    have->value = value;
    have->place = o->place;
    return true;
}

bool il_override(il_arena *arena, const il_schema *schema, il_node *root,
                 const char *path, const il_node *value, il_place place,
                 il_problems *problems)
{
    override o = {arena, path, value, place, problems};
    const char *rest = path;
    il_node *map = root;

    for (;;) {
        const il_schema *picked = il_schema_pick(schema, map);
        /* Keys that may hold dots take the rest of the path whole: metrics, a
         * variant's own paths. */
        bool literal = picked != NULL && picked->kind == IL_SCHEMA_NAMED &&
                       picked->any_key && picked->element->kind != IL_SCHEMA_ANY;
        size_t size = literal ? strlen(rest) : strcspn(rest, ".");
        const il_schema *child;
        il_node *next;
        unsigned flags;
        char *key;

        if (picked == NULL || map->kind != IL_NODE_MAP) {
            il_problem_add(problems, place,
                           "the path '%.200s' goes through %s, which is not a map",
                           path, map->kind == IL_NODE_LIST ? "a list" : "a scalar");
            return false;
        }
        if (size == 0) {
            il_problem_add(problems, place, "'%.200s' is not a path: a key is missing",
                           path);
            return false;
        }
        key = il_arena_printf(arena, "%.*s", (int)size, rest);
        if (key == NULL) {
            return no_memory(problems);
        }
        child = il_schema_child(picked, map, key, &flags);
        if (child == NULL) {
            return refuse_key(&o, picked, map, key);
        }
        if (rest[size] == '\0') {
            return put_last(&o, child, flags, map, key);
        }
        next = il_node_get(map, key);
        if (next == NULL && picked->kind == IL_SCHEMA_NAMED &&
            picked->element->kind != IL_SCHEMA_ANY) {
            return refuse_key(&o, picked, map, key);
        }
        if (next == NULL) {
            next = il_node_map(arena, place);
            if (!il_node_add(arena, map, key, place, next)) {
                return no_memory(problems);
            }
        }
        map = next;
        schema = child;
        rest += size + 1;
    }
}

/* --- variants and paths --- */

/* Whether a variant may change what the path leads to: not what says which jobs
 * there are. */
static bool may_change(const char *path, bool from_root)
{
    static const char *const closed[] = {"sweep", "extends", "seed", "name",
                                         "interloop"};
    size_t size = strcspn(path, ".");

    if (!from_root) {
        return size != strlen("variants") || strncmp(path, "variants", size) != 0;
    }
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        if (size == strlen(closed[i]) && strncmp(path, closed[i], size) == 0) {
            return false;
        }
    }
    return true;
}

bool il_variant_may(const char *path)
{
    return may_change(path, true);
}

void il_variant_apply(il_arena *arena, il_node *root, const char *stage,
                      const char *variant, il_problems *problems)
{
    il_node *base = il_node_get(il_node_get(root, "stages"), stage);
    const il_node *overrides = NULL;

    if (variant != NULL && variant[0] != '\0') {
        overrides = il_node_get(il_node_get(base, "variants"), variant);
    }
    if (overrides == NULL || overrides->kind != IL_NODE_MAP) {
        return; /* another shape is the schema's to report */
    }
    for (size_t i = 0; i < overrides->count; i++) {
        const il_node_item *item = &overrides->items[i];
        bool from_root = item->key[0] == '/';
        const char *path = item->key + from_root;

        if (!may_change(path, from_root)) {
            il_problem_add(problems, item->place, "a variant may not change '%.60s'",
                           item->key);
            continue;
        }
        (void)il_override(arena, from_root ? &il_schema_pipeline : &il_schema_stage,
                          from_root ? root : base, path, item->value, item->place,
                          problems);
    }
}

static bool resolve_path(il_arena *arena, il_node *item, il_problems *problems)
{
    const char *text;

    if (item == NULL || item->kind != IL_NODE_SCALAR) {
        return true;
    }
    text = il_place_path(arena, item->place, item->text);
    if (text == NULL) {
        (void)no_memory(problems);
        return false;
    }
    item->text = text;
    return true;
}

void il_paths_resolve(il_arena *arena, il_node *root, il_problems *problems)
{
    const il_node *path = il_node_find(root, "plugins.path");
    const il_node *detectors = il_node_get(root, "detectors");
    il_node *lock = il_node_find(root, "plugins.lock");

    for (size_t i = 0; path != NULL && path->kind == IL_NODE_LIST && i < path->count;
         i++) {
        if (!resolve_path(arena, path->items[i].value, problems)) {
            return;
        }
    }
    for (size_t i = 0;
         detectors != NULL && detectors->kind == IL_NODE_MAP && i < detectors->count;
         i++) {
        il_node *from = il_node_get(detectors->items[i].value, "from");

        if (!resolve_path(arena, from, problems)) {
            return;
        }
    }
    if (lock != NULL) {
        (void)resolve_path(arena, lock, problems);
    }
}
