/* Nodes: the tree of a YAML document, before anything gives its scalars a type.
 *
 * Every node keeps the place it was written at and the node whose place it has taken:
 * a message can then always point at a line, and `config explain` can say where a value
 * comes from and what it overrode. Nodes live in an arena and are never freed one by
 * one. */
#ifndef IL_PIPELINE_NODE_H
#define IL_PIPELINE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/text.h"

typedef enum il_node_kind { IL_NODE_SCALAR, IL_NODE_MAP, IL_NODE_LIST } il_node_kind;

/* Where something was written; lines and columns count from 1. `line` 0: nowhere in
 * particular. */
typedef struct il_place {
    const char *file;
    int line;
    int column;
} il_place;

typedef struct il_node il_node;

/* An item of a list (key NULL) or of a map. */
typedef struct il_node_item {
    const char *key;
    il_place place; /* of the key */
    il_node *value;
} il_node_item;

struct il_node {
    il_node_kind kind;
    /* SCALAR: written in quotes or as a block, so a string whatever it looks like */
    bool quoted;
    const char *text; /* SCALAR: NUL-terminated */
    il_place place;
    /* the value this one replaced, which may have replaced another; NULL: none */
    const il_node *under;
    il_node_item *items; /* MAP, LIST: in the order written */
    size_t count;
    size_t room;
};

/* New nodes at a place; NULL when memory is out. `text` is copied. */
il_node *il_node_scalar(il_arena *arena, const char *text, bool quoted, il_place place);
il_node *il_node_map(il_arena *arena, il_place place);
il_node *il_node_list(il_arena *arena, il_place place);

/* Adds at the end without looking for the key; false when memory is out. `key` is
 * copied. */
bool il_node_add(il_arena *arena, il_node *node, const char *key, il_place key_place,
                 il_node *value);
/* Puts `value` under `key`: in the place of what is there, remembering that, or at
 * the end. */
bool il_node_put(il_arena *arena, il_node *map, const char *key, il_place key_place,
                 il_node *value);
/* Takes a key out of a map, keeping the order of the rest; false when it is not
 * there. */
bool il_node_drop(il_node *map, const char *key);

/* The value under a key; NULL when `map` is NULL, no map, or has no such key. */
il_node *il_node_get(const il_node *map, const char *key);
il_node_item *il_node_item_of(const il_node *map, const char *key);

/* The value at a dotted path ("stages.loop.signals.honesty.weight"), or NULL. Where
 * the whole rest of a path is a key, it is taken as that key, so that keys which
 * hold dots themselves can be reached. */
il_node *il_node_find(const il_node *root, const char *path);

/* A copy of the whole tree; NULL when memory is out. */
il_node *il_node_copy(il_arena *arena, const il_node *node);
/* The number of nodes in the tree. */
size_t il_node_size(const il_node *node);
/* Same kinds, keys in the same order, texts; quotes and places do not count. */
bool il_node_equal(const il_node *a, const il_node *b);

/* "a map", "a list", "the text \"x\"", "nothing": what a message says was found, in a
 * buffer of the caller's. */
const char *il_node_describe(const il_node *node, char *buffer, size_t size);

/* One line of JSON with sorted keys and every scalar a string: equal trees give
 * equal text. */
void il_node_write_canonical(il_text *out, const il_node *node);
/* YAML that reads back as the same tree. `notes` adds, as a comment, where an
 * overridden value comes from. */
void il_node_write_yaml(il_text *out, const il_node *node, bool notes);

/* A JSON string, quotes and all. */
void il_text_add_json(il_text *out, const char *text);

#endif
