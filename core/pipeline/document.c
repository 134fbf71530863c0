/* Documents: a file with all that it extends, and the command line's settings on top. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <stdlib.h>
#include <string.h>
#include "pipeline/composer.h"
#include "pipeline/resolve.h"

#define SET_PREFIX "--set "

static bool no_memory(il_problems *problems)
{
    problems->no_memory = true;
    return false;
}

/* --- extends --- */

typedef struct loader {
    il_arena *arena;
    il_problems *problems;
    const char *open[IL_EXTENDS_DEPTH + 1]; /* real paths of the files being read */
    int depth;
    int files;
    size_t nodes;
} loader;

static il_node *load(loader *l, const char *path, il_place from);

/* Refuses a file that is being read already, and one too many. */
static bool refuse_file(loader *l, const char *real, const char *path, il_place from)
{
    for (int i = 0; i < l->depth; i++) {
        if (strcmp(l->open[i], real) == 0) {
            il_problem_add(l->problems, from, "'%.200s' extends itself%s", path,
                           i + 1 < l->depth ? ", by way of the files between" : "");
            return true;
        }
    }
    if (l->depth >= IL_EXTENDS_DEPTH) {
        il_problem_add(l->problems, from, "more than %d files that extend each other",
                       IL_EXTENDS_DEPTH);
        return true;
    }
    if (++l->files > IL_EXTENDS_FILES) {
        il_problem_add(l->problems, from, "more than %d files for one pipeline",
                       IL_EXTENDS_FILES);
        return true;
    }
    return false;
}

/* What one entry of `extends` names, or NULL with a problem. */
static il_node *load_base(loader *l, const il_node *entry)
{
    const char *path;

    if (entry->kind != IL_NODE_SCALAR || entry->text[0] == '\0') {
        char found[64];

        il_problem_add(l->problems, entry->place, "expected a file, found %s",
                       il_node_describe(entry, found, sizeof found));
        return NULL;
    }
    path = il_place_path(l->arena, entry->place, entry->text);
    if (path == NULL) {
        (void)no_memory(l->problems);
        return NULL;
    }
    return load(l, path, entry->place);
}

/* All that a file extends, merged from left to right; NULL when none of it could be read. */
static il_node *load_bases(loader *l, const il_node *extends)
{
    il_node *under = NULL;

    if (extends->kind != IL_NODE_LIST) {
        return load_base(l, extends);
    }
    for (size_t i = 0; i < extends->count; i++) {
        il_node *base = load_base(l, extends->items[i].value);

        if (base == NULL) {
            continue; /* reported; the rest may hold problems, too */
        }
        under = il_merge(l->arena, &il_schema_pipeline, under, base);
        if (under == NULL) {
            (void)no_memory(l->problems);
            return NULL;
        }
    }
    return under;
}

/* The tree of a file without what it extends; NULL with a problem. */
static il_node *load_alone(loader *l, const char *path, il_place from)
{
    char *real = realpath(path, NULL);
    il_node *root;
    char found[64];

    if (real != NULL) {
        l->open[l->depth] = il_arena_strdup(l->arena, real);
        free(real);
        if (l->open[l->depth] == NULL) {
            (void)no_memory(l->problems);
            return NULL;
        }
        if (refuse_file(l, l->open[l->depth], path, from)) {
            return NULL;
        }
    } else if (from.line > 0) {
        il_problem_add(l->problems, from, "cannot read '%.200s'", path);
        return NULL;
    }
    root = il_compose_file(l->arena, path, l->problems);
    if (root == NULL) {
        return NULL;
    }
    if (root->kind != IL_NODE_MAP) {
        il_problem_add(l->problems, root->place, "expected a pipeline, found %s",
                       il_node_describe(root, found, sizeof found));
        return NULL;
    }
    l->nodes += il_node_size(root);
    if (l->nodes > IL_TREE_NODES) {
        il_problem_add(l->problems, from, "more than %d values in a pipeline",
                       IL_TREE_NODES);
        return NULL;
    }
    return root;
}

static il_node *load(loader *l, const char *path, il_place from)
{
    il_node *root = load_alone(l, path, from);
    const il_node *extends = il_node_get(root, "extends");
    il_node *under;

    if (extends == NULL) {
        return root;
    }
    l->depth++;
    under = load_bases(l, extends);
    l->depth--;
    (void)il_node_drop(root, "extends");
    root = il_merge(l->arena, &il_schema_pipeline, under, root);
    if (root == NULL) {
        (void)no_memory(l->problems);
    }
    return root;
}

/* --- settings --- */

/* Takes "path=value" apart, the value read as YAML; false with a problem. */
static bool read_setting(il_document *d, const char *set, il_setting *out,
                         il_problems *problems)
{
    const char *equals = strchr(set, '=');
    size_t size = equals != NULL ? (size_t)(equals - set) : 0;
    const char *file = il_arena_printf(d->arena, SET_PREFIX "%.200s", set);
    il_place place = {file, 1, 1};

    if (file == NULL) {
        return no_memory(problems);
    }
    if (size == 0 || strncmp(set, "extends", 7) == 0) {
        place.line = 0;
        il_problem_add(problems, place, "%s",
                       size == 0 ? "expected PATH=VALUE"
                                 : "`extends` belongs into a file");
        return false;
    }
    out->place = place;
    out->path = il_arena_printf(d->arena, "%.*s", (int)size, set);
    out->value = equals[1] == '\0' ? il_node_scalar(d->arena, "", true, place)
                                   : il_compose(d->arena, file, equals + 1,
                                                strlen(equals + 1), problems);
    if (out->path == NULL) {
        return no_memory(problems);
    }
    return out->value != NULL;
}

static void read_settings(il_document *d, const char *const *sets, size_t count,
                          il_problems *problems)
{
    d->settings = il_arena_calloc(d->arena, count + 1, sizeof *d->settings);
    if (d->settings == NULL) {
        (void)no_memory(problems);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_setting(d, sets[i], &d->settings[d->setting_count], problems)) {
            d->setting_count++;
        }
    }
}

void il_document_apply(il_document *document, il_node *root, il_arena *arena)
{
    for (size_t i = 0; i < document->setting_count; i++) {
        il_setting *s = &document->settings[i];
        il_problems ignored = {.arena = arena};

        if (il_override(arena, &il_schema_pipeline, root, s->path, s->value, s->place,
                        &ignored)) {
            s->applied = true;
        }
    }
}

void il_document_check_settings(il_document *document, il_problems *problems)
{
    for (size_t i = 0; i < document->setting_count; i++) {
        const il_setting *s = &document->settings[i];

        if (!s->applied) {
            (void)il_override(document->arena, &il_schema_pipeline, document->tree,
                              s->path, s->value, s->place, problems);
        }
    }
}

/* --- the document --- */

il_status il_document_load(il_document **out, const char *path, const char *const *sets,
                           size_t set_count, il_problems *problems, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_document *d = arena != NULL ? il_arena_calloc(arena, 1, sizeof *d) : NULL;
    loader l = {.arena = arena, .problems = problems};
    il_place nowhere = {NULL, 0, 0};

    *out = NULL;
    if (d == NULL) {
        il_arena_destroy(arena);
        (void)no_memory(problems);
        return il_problems_status(problems, err);
    }
    d->arena = arena;
    d->path = il_arena_strdup(arena, path);
    nowhere.file = d->path;
    d->tree = d->path != NULL ? load(&l, d->path, nowhere) : NULL;
    read_settings(d, sets, set_count, problems);
    if (d->tree == NULL) {
        il_document_destroy(d);
        if (!il_problems_any(problems)) {
            (void)no_memory(problems);
        }
        return il_problems_status(problems, err);
    }
    il_document_apply(d, d->tree, arena);
    *out = d;
    return IL_OK;
}

void il_document_destroy(il_document *document)
{
    if (document != NULL) {
        il_arena_destroy(document->arena);
    }
}

/* Writes a setting into one variant as its last word, under `key`. */
static bool pin(il_document *d, il_node *variant, const char *key, const il_setting *s)
{
    il_node *value = il_node_copy(d->arena, s->value);

    (void)il_node_drop(variant, key);
    return value != NULL && il_node_add(d->arena, variant, key, s->place, value);
}

/* A variant is laid over the file, and the command line over the variant: in a file, that takes an override at the
 * variant's end. Only where the setting has a place; `stage` is the variant's. */
static bool pin_settings(il_document *d, const il_node *root, const char *stage,
                         const char *name, il_node *variant)
{
    for (size_t i = 0; i < d->setting_count; i++) {
        const il_setting *s = &d->settings[i];
        il_problems ignored = {.arena = d->arena};
        il_node *trial = il_node_copy(d->arena, root);
        const char *head = il_arena_printf(d->arena, "stages.%s.", stage);
        const char *slashed = il_arena_printf(d->arena, "/%s", s->path);
        bool own;

        if (trial == NULL || head == NULL || slashed == NULL) {
            return false;
        }
        own = strncmp(s->path, head, strlen(head)) == 0;
        if (own && strncmp(s->path + strlen(head), "variants", 8) == 0) {
            continue;
        }
        il_variant_apply(d->arena, trial, stage, name, &ignored);
        if (!own && (strncmp(s->path, "sweep", 5) == 0 ||
                     strcmp(s->path, "seed") == 0 || strcmp(s->path, "name") == 0)) {
            continue; /* a variant may not say these */
        }
        if (il_override(d->arena, &il_schema_pipeline, trial, s->path, s->value,
                        s->place, &ignored) &&
            !pin(d, variant, own ? s->path + strlen(head) : slashed, s)) {
            return false;
        }
    }
    return true;
}

/* Does a variant change a variable? Its value can then not be written into what all variants share. */
static bool any_variant_sets_vars(const il_node *stages)
{
    for (size_t i = 0; stages != NULL && i < stages->count; i++) {
        const il_node *variants = il_node_get(stages->items[i].value, "variants");

        for (size_t j = 0; variants != NULL && j < variants->count; j++) {
            const il_node *variant = variants->items[j].value;

            for (size_t k = 0; variant->kind == IL_NODE_MAP && k < variant->count;
                 k++) {
                if (strncmp(variant->items[k].key, "/vars", 5) == 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

il_node *il_document_resolved(il_document *document, il_problems *problems)
{
    il_node *root = il_node_copy(document->arena, document->tree);
    const il_node *stages = il_node_get(root, "stages");

    if (root == NULL) {
        (void)no_memory(problems);
        return NULL;
    }
    for (size_t i = 0; stages != NULL && i < stages->count; i++) {
        const il_node *variants = il_node_get(stages->items[i].value, "variants");

        for (size_t j = 0; variants != NULL && j < variants->count; j++) {
            il_node *variant = variants->items[j].value;

            if (variant->kind == IL_NODE_MAP && stages->kind == IL_NODE_MAP &&
                variants->kind == IL_NODE_MAP &&
                !pin_settings(document, root, stages->items[i].key,
                              variants->items[j].key, variant)) {
                (void)no_memory(problems);
                return NULL;
            }
        }
    }
    il_document_check_settings(document, problems);
    if (any_variant_sets_vars(stages)) {
        il_substitute(document->arena, root, IL_SUBSTITUTE_ENV, problems);
    } else {
        il_substitute(document->arena, root, IL_SUBSTITUTE_AGAIN, problems);
        (void)il_node_drop(root, "vars");
    }
    il_paths_resolve(document->arena, root, problems);
    return root;
}
