/* The composer: YAML text to nodes, over libyaml's events.
 *
 * It takes the part of YAML that a pipeline needs and refuses the rest by name:
 * duplicate keys, anchors and aliases, merge keys, explicit tags, directives, a
 * second document, keys that are no scalars, text that is not UTF-8, and anything
 * beyond the limits below. What it refuses it reports, and goes on where it can. */
#ifndef IL_PIPELINE_COMPOSER_H
#define IL_PIPELINE_COMPOSER_H

#include <stdbool.h>
#include <stddef.h>
#include "interloop/status.h"
#include "base/arena.h"
#include "pipeline/node.h"
#include "pipeline/problems.h"

enum {
    IL_COMPOSE_BYTES = 1 << 20, /* of a file */
    IL_COMPOSE_DEPTH = 32,      /* of maps and lists inside each other */
    IL_COMPOSE_NODES = 10000
};

/* The tree of a text. NULL when a problem left nothing to look at; a tree may come
 * with problems too. `file`, the name that places carry, is copied. */
il_node *il_compose(il_arena *arena, const char *file, const char *text, size_t size,
                    il_problems *problems);

/* The tree of a file, whose places name it as `path`. What cannot be read is a
 * problem, too. */
il_node *il_compose_file(il_arena *arena, const char *path, il_problems *problems);

/* Whether a pipeline may hold the text: UTF-8 without control characters. */
bool il_compose_takes(const char *text);

#endif
