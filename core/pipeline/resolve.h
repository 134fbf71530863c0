/* Resolving: from a file to one tree, through `extends`, `--set` and ${...}.
 *
 * Later wins: what `extends` names, from left to right; the file; a variant; the
 * sweep's point; the command line. Maps merge, everything else replaces, and what
 * the schema calls a choice (a source, a gate, a route, anything whose new map says
 * `use`) is replaced whole. */
#ifndef IL_PIPELINE_RESOLVE_H
#define IL_PIPELINE_RESOLVE_H

#include <stddef.h>
#include "interloop/status.h"
#include "base/arena.h"
#include "pipeline/node.h"
#include "pipeline/problems.h"
#include "pipeline/schema.h"

enum {
    IL_EXTENDS_DEPTH = 8,    /* files that extend each other in a row */
    IL_EXTENDS_FILES = 64,   /* files read for one pipeline */
    IL_TEXT_BYTES = 1 << 16, /* of one scalar after ${...} */
    IL_TREE_NODES = 50000,   /* of a pipeline after `extends` and ${...} */
    IL_TREE_BYTES = 4 << 20
};

/* One `--set path=value`. */
typedef struct il_setting {
    const char *path;
    const il_node *value;
    il_place place;
    bool applied; /* it had a place to go, in the file or in some job */
} il_setting;

/* A file with all that it extends, and the command line's settings. */
typedef struct il_document {
    il_arena *arena; /* of everything here; destroyed with the document */
    const char *path;
    il_node *tree; /* merged; variants, ${...} and most settings are yet to come */
    il_setting *settings;
    size_t setting_count;
} il_document;

/* Reads a pipeline. `sets` are "path=value" texts. NULL in *out when nothing could
 * be read; problems tell why, and may come with a document too. */
il_status il_document_load(il_document **out, const char *path, const char *const *sets,
                           size_t set_count, il_problems *problems, il_error *err);
void il_document_destroy(il_document *document); /* takes NULL */
/* Lays the settings over a tree, in silence: one that has no place there may have
 * one in another variant. */
void il_document_apply(il_document *document, il_node *root);
/* Adds a problem for each setting that never had a place. */
void il_document_check_settings(il_document *document, il_problems *problems);

/* A copy of the tree to keep or to show: ${...} and paths resolved, the settings
 * laid over the variants, too, so that reading it again from anywhere gives the same
 * jobs. NULL when memory is out. */
il_node *il_document_resolved(il_document *document, il_problems *problems);

/* Lays a variant's overrides over the document it stands in; `variant` NULL or ""
 * does nothing. */
void il_variant_apply(il_arena *arena, il_node *root, const char *stage,
                      const char *variant, il_problems *problems);
/* Whether a variant may override what a path from the root leads to. */
bool il_variant_may(const char *path);
/* Makes the paths of a tree absolute: those of plugins, and of detectors' files. */
void il_paths_resolve(il_arena *arena, il_node *root, il_problems *problems);

/* `over` on top of `under` by the merge rule; the nodes of `over` become part of the
 * result. NULL when memory is out. */
il_node *il_merge(il_arena *arena, const il_schema *schema, il_node *under,
                  il_node *over);

/* Puts `value` at a dotted path by the merge rule. A path that cannot be is a
 * problem at `place`, and false. `value` is copied. */
bool il_override(il_arena *arena, const il_schema *schema, il_node *root,
                 const char *path, const il_node *value, il_place place,
                 il_problems *problems);

typedef enum il_substitute_mode {
    IL_SUBSTITUTE_ALL,
    IL_SUBSTITUTE_AGAIN, /* for a text that is read again: $${ stays as it is */
    IL_SUBSTITUTE_ENV    /* the same, and variables stay, too */
} il_substitute_mode;

/* Replaces every ${env:NAME}, ${env:NAME:-default} and ${var:NAME} in the tree, in
 * place, but for the keys under `x-`; $${ becomes ${. A scalar that is nothing but
 * ${var:NAME} becomes a copy of that variable. */
void il_substitute(il_arena *arena, il_node *root, il_substitute_mode mode,
                   il_problems *problems);

/* The folder that relative paths at a place start from, in the arena: that of its
 * file, absolute. NULL when memory is out. */
const char *il_place_folder(il_arena *arena, il_place place);
/* `path` made absolute by that folder. */
const char *il_place_path(il_arena *arena, il_place place, const char *path);

#endif
