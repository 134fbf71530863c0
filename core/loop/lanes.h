/* Lane sums: gradients of lanes added in a fixed binary tree, as they come.
 *
 * Which worker finishes which lane when is left to chance; which sums are added to
 * which is not: lane 2i with lane 2i+1, those pairs again in pairs, an odd one going up
 * alone. Addition of two numbers commutes to the bit, so either buffer may take the
 * sum, and at most one buffer a worker and one a level are alive at once. */
#ifndef IL_LOOP_LANES_H
#define IL_LOOP_LANES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "interloop/status.h"

enum { IL_LANES_MAX = 64, IL_LANE_LEVELS = 8 };

/* What a lane leaves: one block of gradients and a few sums in double. */
typedef struct il_lane_sum {
    float *grads;             /* (floats) */
    double *sums;             /* (doubles) */
    struct il_lane_sum *next; /* in the list of free ones */
} il_lane_sum;

/* Floats [first,last) of a block. */
typedef struct il_lane_part {
    int64_t first;
    int64_t last;
} il_lane_part;

typedef struct il_lanes {
    pthread_mutex_t lock;
    int64_t floats;
    il_lane_part *parts; /* what lanes write of a block; the rest is never touched */
    size_t part_count;
    int64_t doubles;
    int count;
    il_lane_sum *spare;
    il_lane_sum *waiting[IL_LANE_LEVELS][IL_LANES_MAX];
    il_lane_sum *total; /* of all lanes, once the last is in and all is finished */
    il_lane_sum *rest;  /* what its gradients still lack; NULL with one lane */
} il_lanes;

il_status il_lanes_open(il_lanes *l, int count, int64_t floats, int64_t doubles,
                        il_error *err);
/* The same, where lanes write only `parts` of a block, which are copied: what lies
 * between takes neither time nor memory. */
il_status il_lanes_open_parts(il_lanes *l, int count, int64_t floats, int64_t doubles,
                              const il_lane_part *parts, size_t part_count,
                              il_error *err);
void il_lanes_close(il_lanes *l);
/* A buffer of zeros for a lane; NULL when memory is out. [any] */
il_lane_sum *il_lanes_take(il_lanes *l);
/* Hands a lane's buffer in; the last one in finishes the tree, but for the gradients of
 * its root. [any] */
void il_lanes_give(il_lanes *l, int lane, il_lane_sum *sum);
/* Adds the gradients `from` to `from + count` of the root, which are the last of the
 * total to be whole; each once, by any worker: several share in what would else be one
 * worker's. [any] */
void il_lanes_finish(il_lanes *l, int64_t from, int64_t count);
/* Puts the total (and, after a failure, whatever waits) back for the next step. */
void il_lanes_reset(il_lanes *l);

#endif
