/* Collection of states that no run refers to. */
#ifndef IL_LOOP_GC_H
#define IL_LOOP_GC_H

#include <stdbool.h>
#include <stdint.h>
#include "interloop/status.h"

typedef struct il_gc_tally {
    int64_t kept;    /* states that a run refers to, and what they started from */
    int64_t locked;  /* left, since somebody computes them */
    int64_t dropped; /* removed, or to be removed */
    int64_t bytes;   /* of those dropped */
} il_gc_tally;

/* Removes every state under RUNS/.stages that no run's summary.json names, and that no
 * state which is kept started from; with `dry` it only counts. `visit` (or NULL) hears
 * of each that is dropped. A run that is going on, or a summary that cannot be read, is
 * an error, and nothing is removed: what it refers to is not known. */
il_status il_gc(const char *runs, bool dry,
                void (*visit)(void *user, const char *address, int64_t bytes),
                void *user, il_gc_tally *tally, il_error *err);

#endif
