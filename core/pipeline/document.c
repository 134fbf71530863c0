/* Documents: a file with all that it extends, and the command line's settings on
 * top. */
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

/* All that a file extends, merged from left to right; NULL when none of it could be
 * read. */
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

/* Does a setting say which variants there are, or what is in one? Those come before
 * the jobs. */
static bool sets_variants(const il_setting *s)
{
    const char *stage = strncmp(s->path, "stages", 6) == 0 ? s->path + 6 : NULL;
    const char *rest = stage != NULL && *stage == '.' ? strchr(stage + 1, '.') : NULL;

    return stage != NULL && (rest == NULL || strncmp(rest + 1, "variants", 8) == 0);
}

static bool apply(il_document *document, il_setting *s, il_node *root)
{
    il_problems ignored = {.arena = document->arena};

    if (!il_override(document->arena, &il_schema_pipeline, root, s->path, s->value,
                     s->place, &ignored)) {
        return false;
    }
    s->applied = true;
    return true;
}

void il_document_apply(il_document *document, il_node *root)
{
    for (size_t i = 0; i < document->setting_count; i++) {
        if (!sets_variants(&document->settings[i])) {
            (void)apply(document, &document->settings[i], root);
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
    for (size_t i = 0; i < d->setting_count; i++) {
        if (sets_variants(&d->settings[i])) {
            (void)apply(d, &d->settings[i], d->tree);
        }
    }
    *out = d;
    return IL_OK;
}

void il_document_destroy(il_document *document)
{
    if (document != NULL) {
        il_arena_destroy(document->arena);
    }
}

/* Calls `visit` for every variant of a tree; false as soon as that returns false. */
typedef bool variant_visitor(il_document *d, il_node *root, const char *stage,
                             const char *name, il_node *variant, void *user);

static bool each_variant(il_document *d, il_node *root, variant_visitor *visit,
                         void *user)
{
    const il_node *stages = il_node_get(root, "stages");

    for (size_t i = 0; stages != NULL && i < stages->count; i++) {
        const il_node *variants = il_node_get(stages->items[i].value, "variants");

        for (size_t j = 0;
             variants != NULL && variants->kind == IL_NODE_MAP && j < variants->count;
             j++) {
            if (variants->items[j].value->kind == IL_NODE_MAP &&
                !visit(d, root, stages->items[i].key, variants->items[j].key,
                       variants->items[j].value, user)) {
                return false;
            }
        }
    }
    return true;
}

/* The problems of laying a variant over a copy of the tree, after `before` and
 * before `after` are set, either NULL. */
static size_t trial_problems(il_document *d, const il_node *root, const char *stage,
                             const char *name, il_setting *before, il_setting *after)
{
    il_arena_mark mark = il_arena_save(d->arena);
    il_problems found = {.arena = d->arena};
    il_node *trial = il_node_copy(d->arena, root);
    size_t count = 1;

    if (trial != NULL && (before == NULL || apply(d, before, trial))) {
        il_variant_apply(d->arena, trial, stage, name, &found);
        count = found.count + found.left + found.no_memory;
        if (after != NULL && !apply(d, after, trial)) {
            count++;
        }
    }
    il_arena_restore(d->arena, mark);
    return count;
}

/* False when a setting in the file itself would be in the way of a variant: its pin
 * will do. */
static bool leaves_room(il_document *d, il_node *root, const char *stage,
                        const char *name, il_node *variant, void *user)
{
    (void)variant;
    return trial_problems(d, root, stage, name, user, NULL) <=
           trial_problems(d, root, stage, name, NULL, NULL);
}

/* Writes a setting into one variant as its last word, where it has a place in it. A
 * variant is laid over the file, and the command line over the variant: this is how
 * a file says that. */
static bool pin(il_document *d, il_node *root, const char *stage, const char *name,
                il_node *variant, void *user)
{
    il_setting *s = user;
    const char *head = il_arena_printf(d->arena, "stages.%s.", stage);
    const char *key = il_arena_printf(d->arena, "/%s", s->path);
    il_node *value = il_node_copy(d->arena, s->value);

    if (head == NULL || key == NULL || value == NULL) {
        return false;
    }
    if (strncmp(s->path, head, strlen(head)) == 0) {
        key = s->path + strlen(head);
    } else if (!il_variant_may(s->path)) {
        return true; /* not a variant's to say, so the file's word is the last */
    }
    if (trial_problems(d, root, stage, name, NULL, s) >
        trial_problems(d, root, stage, name, NULL, NULL)) {
        return true;
    }
    (void)il_node_drop(variant, key);
    return il_node_add(d->arena, variant, key, s->place, value);
}

/* Whether the sweep sets a variable. */
static bool sweeps_vars(const il_node *root)
{
    static const char *const parts[] = {"sweep.grid", "sweep.zip"};

    for (size_t p = 0; p < 2; p++) {
        const il_node *axes = il_node_find(root, parts[p]);

        for (size_t i = 0; axes != NULL && i < axes->count; i++) {
            if (axes->kind == IL_NODE_MAP &&
                strncmp(axes->items[i].key, "vars.", 5) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* False when a variant changes a variable, whose value can then not be written into
 * what all share. */
static bool leaves_vars(il_document *d, il_node *root, const char *stage,
                        const char *name, il_node *variant, void *user)
{
    (void)d;
    (void)root;
    (void)stage;
    (void)name;
    (void)user;
    for (size_t i = 0; i < variant->count; i++) {
        if (strncmp(variant->items[i].key, "/vars", 5) == 0) {
            return false;
        }
    }
    return true;
}

il_node *il_document_resolved(il_document *document, il_problems *problems)
{
    il_node *root = il_node_copy(document->arena, document->tree);

    for (size_t i = 0; root != NULL && i < document->setting_count; i++) {
        il_setting *s = &document->settings[i];

        if (sets_variants(s)) {
            continue; /* in the tree already */
        }
        if (!each_variant(document, root, pin, s)) {
            root = NULL;
        } else if (each_variant(document, root, leaves_room, s)) {
            (void)apply(document, s, root);
        }
    }
    if (root == NULL) {
        (void)no_memory(problems);
        return NULL;
    }
    il_document_check_settings(document, problems);
    if (!sweeps_vars(root) && each_variant(document, root, leaves_vars, NULL)) {
        il_substitute(document->arena, root, IL_SUBSTITUTE_AGAIN, problems);
        (void)il_node_drop(root, "vars");
    } else {
        il_substitute(document->arena, root, IL_SUBSTITUTE_ENV, problems);
    }
    il_paths_resolve(document->arena, root, problems);
    return root;
}
