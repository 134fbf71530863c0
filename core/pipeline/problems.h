/* Problems: all that is wrong with a pipeline's files, collected so that it is
 * reported at once.
 *
 * A checker adds what it finds and goes on; who asked for the checks then prints the
 * problems in the order of the files, or turns the first into an il_error. */
#ifndef IL_PIPELINE_PROBLEMS_H
#define IL_PIPELINE_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>
#include "interloop/status.h"
#include "base/arena.h"
#include "base/text.h"
#include "pipeline/node.h"

/* More than this many are counted but not kept. */
#define IL_PROBLEMS_KEPT 100

typedef struct il_problem {
    il_place place;
    const char *message;
    size_t order; /* of being found, for a stable sort */
} il_problem;

/* Zero-initialize but for the arena, which outlives it. */
typedef struct il_problems {
    il_arena *arena;
    il_problem kept[IL_PROBLEMS_KEPT];
    size_t count;   /* kept */
    size_t left;    /* found beyond those */
    bool no_memory; /* sticks */
} il_problems;

/* Adds one, unless the same message stands at the same place already: the jobs of a
 * pipeline share most of their text, and share its errors. */
void il_problem_add(il_problems *p, il_place place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ", did you mean 'x'?" or ", expected one of a, b or c" after it,
 * from the candidates. */
void il_problem_add_nearest(il_problems *p, il_place place, const char *word,
                            const char *const *candidates, size_t count,
                            const char *fmt, ...) __attribute__((format(printf, 6, 7)));

static inline bool il_problems_any(const il_problems *p)
{
    return p->count > 0 || p->no_memory;
}

/* Every problem as a line "file:line:column: error: message", by file, line and
 * column. */
void il_problems_write(il_problems *p, il_text *out);
/* IL_OK when there is none; else IL_ERR_INPUT with the first (and how many more), or
 * IL_ERR_MEMORY. */
il_status il_problems_status(il_problems *p, il_error *err);

#endif
