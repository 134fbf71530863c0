/* Sweeps: the points of a grid, and what each sets. */
#ifndef IL_PIPELINE_SWEEP_H
#define IL_PIPELINE_SWEEP_H

#include "pipeline/resolve.h"

enum { IL_SWEEP_PATHS = 16, IL_SWEEP_POINTS = 4096 };

/* One path that a sweep sets, with all the values that it takes. */
typedef struct il_axis {
    const char *path;      /* from the root of the pipeline */
    const char *name;      /* its last keys, enough to tell it from the others */
    const il_node *values; /* a list */
    il_place place;
} il_axis;

typedef struct il_sweep {
    il_axis axes[IL_SWEEP_PATHS];
    size_t axis_count;
    /* [point][axis]: which of the axis's values */
    size_t (*points)[IL_SWEEP_PATHS];
    size_t point_count; /* 0: nothing is swept */
} il_sweep;

/* Reads `sweep: {grid, zip, exclude}`: every combination of the grid's values, and with
 * each of them the zipped lists side by side, less what an exclusion matches in all of
 * its paths. Lists of unequal lengths, a path twice, what a sweep may not set and
 * points beyond IL_SWEEP_POINTS are problems. `sweep` may be NULL. False when memory is
 * out. */
bool il_sweep_read(il_sweep *out, il_arena *arena, const il_node *sweep,
                   il_problems *problems);

/* What a point sets along an axis. */
static inline const il_node *il_sweep_value(const il_sweep *s, size_t point,
                                            size_t axis)
{
    return s->axes[axis].values->items[s->points[point][axis]].value;
}

/* "weight=1.5,lr=0.001": a point by the axes whose bit is set in `axes`, as part of a
 * folder's name. In the arena; "" without axes, NULL when memory is out. */
const char *il_sweep_label(il_arena *arena, const il_sweep *s, size_t point,
                           unsigned axes);

#endif
