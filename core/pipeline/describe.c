/* Paths into a pipeline: see describe.h. */
#include "pipeline/describe.h"

#include <string.h>

static bool refuse(const il_schema *schema, const il_node *map, const char *path,
                   const char *key, il_place place, il_problems *problems)
{
    const char *keys[64];
    size_t count = il_schema_keys(schema, map, keys, 64);

    il_problem_add_nearest(problems, place, key, keys, count,
                           "no '%.60s' in %s (in the path '%.200s')", key, schema->what,
                           path);
    return false;
}

/* Whether the rest of a path is one key of a map of the user's own names. */
static bool takes_whole(const il_schema *schema, const il_node *map, const char *rest)
{
    return schema->kind == IL_SCHEMA_NAMED && schema->any_key &&
           (schema->element->kind != IL_SCHEMA_ANY || il_node_get(map, rest) != NULL);
}

bool il_describe_path(il_description *out, const il_node *root, const char *path,
                      il_place place, il_problems *problems)
{
    const il_schema *schema = &il_schema_pipeline;
    const il_node *map = root;
    const char *rest = path;

    memset(out, 0, sizeof *out);
    for (;;) {
        const il_schema *picked = map != NULL ? il_schema_pick(schema, map) : schema;
        bool whole = picked != NULL && takes_whole(picked, map, rest);
        size_t size = whole ? strlen(rest) : strcspn(rest, ".");
        const il_schema_field *field;
        unsigned flags;
        char key[128];

        if (picked == NULL) {
            picked = schema;
        }
        if (size == 0 || size >= sizeof key) {
            il_problem_add(problems, place, "'%.200s' is not a path: %s", path,
                           size == 0 ? "a key is missing" : "a key is too long");
            return false;
        }
        memcpy(key, rest, size);
        key[size] = '\0';
        field = il_schema_field_of(picked, map, key);
        schema = il_schema_child(picked, map, key, &flags);
        if (schema == NULL) {
            return refuse(picked, map, path, key, place, problems);
        }
        if (strcmp(key, "params") == 0 && il_node_get(map, "use") != NULL) {
            out->component = map;
        }
        if (rest[size] == '\0') {
            out->type = schema;
            out->help = field != NULL ? field->help : NULL;
            out->key = rest;
            out->map = map;
            out->value = il_node_get(map, key);
            out->is_param = out->component != NULL && map != out->component;
            return true;
        }
        map = il_node_get(map, key);
        rest += size + 1;
    }
}

typedef struct comparison {
    il_arena *arena;
    il_difference_visitor *visit;
    void *user;
    size_t count;
} comparison;

static void tell(comparison *c, const char *path, const il_node *a, const il_node *b)
{
    c->visit(path, a, b, c->user);
    c->count++;
}

static void compare_trees(comparison *c, const char *path, const il_node *a,
                          const il_node *b)
{
    const char *dot = path[0] != '\0' ? "." : "";

    if (a->kind != IL_NODE_MAP || b->kind != IL_NODE_MAP) {
        if (!il_node_equal(a, b)) {
            tell(c, path, a, b);
        }
        return;
    }
    for (size_t i = 0; i < a->count + b->count; i++) {
        bool first = i < a->count;
        const il_node_item *item = first ? &a->items[i] : &b->items[i - a->count];
        const il_node *other = il_node_get(first ? b : a, item->key);
        const char *below;

        if (!first && other != NULL) {
            continue;
        }
        below = il_arena_printf(c->arena, "%s%s%s", path, dot, item->key);
        if (below == NULL) {
            return;
        }
        if (other != NULL) {
            compare_trees(c, below, item->value, other);
        } else {
            tell(c, below, first ? item->value : NULL, first ? NULL : item->value);
        }
    }
}

size_t il_node_differences(il_arena *arena, const il_node *a, const il_node *b,
                           il_difference_visitor *visit, void *user)
{
    comparison c = {arena, visit, user, 0};

    compare_trees(&c, "", a, b);
    return c.count;
}
