/* Lineages: which stages lead to one, and the document that they make together. */
#include <stdio.h>
#include <string.h>
#include "pipeline/jobs_private.h"

bool il__jobs_no_memory(il__lister *l)
{
    l->problems->no_memory = true;
    return false;
}

size_t il__jobs_keys(const il_node *map, const char **keys, size_t room)
{
    size_t count = 0;

    for (; il__jobs_is_map(map) && count < map->count && count < room; count++) {
        keys[count] = map->items[count].key;
    }
    return count;
}

const il_node *il__jobs_variants(const il__lister *l, const char *stage)
{
    const il_node *variants = il_node_get(il_node_get(l->stages, stage), "variants");

    return il__jobs_is_map(variants) && variants->count > 0 ? variants : NULL;
}

/* --- documents --- */

/* Sets one axis of the sweep to a value; a path without a place here may have one in
 * another lineage. */
void il__jobs_lay_axis(il__lister *l, il_node *root, size_t axis, const il_node *value)
{
    il_problems ignored = {.arena = l->arena};

    if (il_override(l->arena, &il_schema_pipeline, root, l->sweep.axes[axis].path,
                    value, value->place, &ignored)) {
        l->axis_placed[axis] = true;
    }
}

/* A copy of the file's tree with the variants of a lineage, root first, the sweep's
 * point, and the command line on top. */
il_node *il__jobs_lay(il__lister *l, const il__link *lineage, size_t count,
                      il_problems *problems)
{
    il_node *root = il_node_copy(l->arena, l->document->tree);

    if (root == NULL) {
        (void)il__jobs_no_memory(l);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        il_variant_apply(l->arena, root, lineage[i].stage, lineage[i].variant,
                         problems);
    }
    for (size_t a = 0; a < l->sweep.axis_count; a++) {
        if (l->axes & (1u << a)) {
            il__jobs_lay_axis(l, root, a, il_sweep_value(&l->sweep, l->point, a));
        }
    }
    il_document_apply(l->document, root);
    return root;
}

/* --- lineages --- */

enum { FROM_MAX = 160 };

/* What a link of a lineage starts from, under its variant and the point; false for a
 * root, or a shape that the schema reports. The tree that tells is let go again. */
static bool from_of(il__lister *l, const il__link *at, char text[FROM_MAX],
                    il_place *place)
{
    il_arena_mark mark = il_arena_save(l->arena);
    il_problems ignored = {.arena = l->arena};
    il_node *root = il__jobs_lay(l, at, 1, &ignored);
    const il_node *from;
    bool found;

    if (root != NULL) {
        il_substitute(l->arena, root, IL_SUBSTITUTE_ALL, &ignored);
    }
    from = il_node_get(il_node_get(il_node_get(root, "stages"), at->stage), "from");
    found = from != NULL && from->kind == IL_NODE_SCALAR && from->text[0] != '\0';
    if (found) {
        (void)snprintf(text, FROM_MAX, "%s", from->text);
        *place = from->place;
    }
    il_arena_restore(l->arena, mark);
    return found;
}

/* Adds what a stage starts from to a lineage whose last link is that stage, leaf
 * first. False when there is nothing more to add; *bad is set when that is a
 * problem. */
static bool extend_lineage(il__lister *l, il__link *lineage, size_t *count, bool *bad)
{
    const il__link *at = &lineage[*count - 1];
    char from[FROM_MAX];
    il_place place;
    const char *keys[64];
    const char *slash;
    char *name;

    if (!from_of(l, at, from, &place)) {
        *bad = l->problems->no_memory;
        return false;
    }
    slash = strchr(from, '/');
    name = il_arena_printf(
        l->arena, "%.*s", (int)(slash != NULL ? slash - from : (ptrdiff_t)strlen(from)),
        from);
    *bad = true;
    if (name == NULL) {
        return il__jobs_no_memory(l);
    }
    if (!il__jobs_is_map(il_node_get(l->stages, name))) {
        il_problem_add_nearest(l->problems, place, name, keys,
                               il__jobs_keys(l->stages, keys, 64), "no stage '%.60s'",
                               name);
        return false;
    }
    if (slash == NULL && il__jobs_variants(l, name) != NULL) {
        il_problem_add(l->problems, place,
                       "stage '%s' is run as its variants alone: say from which, as in "
                       "'%s/%s'",
                       name, name, il__jobs_variants(l, name)->items[0].key);
        return false;
    }
    if (slash != NULL && il_node_get(il__jobs_variants(l, name), slash + 1) == NULL) {
        il_problem_add_nearest(l->problems, place, slash + 1, keys,
                               il__jobs_keys(il__jobs_variants(l, name), keys, 64),
                               "no variant '%.60s' of stage '%s'", slash + 1, name);
        return false;
    }
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(lineage[i].stage, name) == 0) {
            il_problem_add(l->problems, place, "stage '%s' starts from itself%s%s",
                           name, *count > 1 ? " by way of " : "",
                           *count > 1 ? lineage[*count - 1].stage : "");
            return false;
        }
    }
    if (*count == IL__LINEAGE_MAX) {
        il_problem_add(l->problems, place, "more than %d stages in a row",
                       IL__LINEAGE_MAX);
        return false;
    }
    lineage[*count].stage = name;
    lineage[*count].variant =
        slash != NULL ? il_arena_strdup(l->arena, slash + 1) : NULL;
    (*count)++;
    *bad = false;
    return true;
}

/* The lineage of a stage under a variant, root first; 0 with a problem. */
size_t il__jobs_lineage(il__lister *l, il__link leaf, il__link lineage[IL__LINEAGE_MAX])
{
    size_t count = 1;
    bool bad = false;

    lineage[0] = leaf;
    while (extend_lineage(l, lineage, &count, &bad)) {
    }
    if (bad) {
        return 0;
    }
    for (size_t i = 0; i < count / 2; i++) {
        il__link other = lineage[i];

        lineage[i] = lineage[count - 1 - i];
        lineage[count - 1 - i] = other;
    }
    return count;
}

/* --- the document of one job --- */

/* Keeps what one job needs: its own lineage's stages, no variants, no sweep, its
 * seed. */
bool il__jobs_narrow(il__lister *l, il_node *root, const il__link *lineage,
                     size_t count, uint64_t seed)
{
    il_node *stages = il_node_get(root, "stages");
    const il_node *old = il_node_get(root, "seed");
    il_place place = old != NULL ? old->place : root->place;
    char *text = il_arena_printf(l->arena, "%llu", (unsigned long long)seed);
    il_node *value = text != NULL ? il_node_scalar(l->arena, text, false, place) : NULL;
    size_t kept = 0;

    for (size_t i = 0; i < stages->count; i++) {
        bool wanted = false;

        for (size_t j = 0; j < count; j++) {
            wanted = wanted || strcmp(lineage[j].stage, stages->items[i].key) == 0;
        }
        if (wanted) {
            (void)il_node_drop(stages->items[i].value, "variants");
            stages->items[kept++] = stages->items[i];
        }
    }
    stages->count = kept;
    (void)il_node_drop(root, "sweep");
    (void)il_node_drop(root, "vars");
    if (!il_node_put(l->arena, root, "seed", place, value)) {
        return il__jobs_no_memory(l);
    }
    return true;
}
