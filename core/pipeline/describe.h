/* What stands at a path, what may stand there, and where two pipelines differ. */
#ifndef IL_PIPELINE_DESCRIBE_H
#define IL_PIPELINE_DESCRIBE_H

#include "pipeline/node.h"
#include "pipeline/problems.h"
#include "pipeline/schema.h"

typedef struct il_description {
    const il_schema *type; /* IL_SCHEMA_ANY where the grammar leaves it open */
    const char *help;      /* NULL for names and values of the user's own */
    const char *key;       /* the path's last */
    const il_node *map;    /* what holds it, or would; NULL when that is not there */
    const il_node *value;  /* NULL: nothing stands there */
    /* The component whose parameter or parameters it is, NULL for anything else. */
    const il_node *component;
    bool is_param; /* one parameter of it, named by `key` */
} il_description;

/* Follows a dotted path through a tree and the grammar. A path that the grammar does
 * not have is a problem at `place` with the nearest spelling, and false; one that it
 * has may still lead to nothing. */
bool il_describe_path(il_description *out, const il_node *root, const char *path,
                      il_place place, il_problems *problems);

/* Called for each difference, in the order of `a` and then of what only `b` has: `path`
 * is dotted and lives until it returns; either value is NULL where there is none. */
typedef void il_difference_visitor(const char *path, const il_node *a, const il_node *b,
                                   void *user);

/* Every smallest part in which two trees differ: scalars, lists, and values under keys
 * that one of them lacks. The order of keys, quotes and places do not count. Returns
 * how many; `arena` holds the paths. */
size_t il_node_differences(il_arena *arena, const il_node *a, const il_node *b,
                           il_difference_visitor *visit, void *user);

#endif
