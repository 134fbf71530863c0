/* Some of harvested rows at a time, for fits that take a few a step. */
#ifndef IL_DETECT_MINIBATCH_H
#define IL_DETECT_MINIBATCH_H

#include "detect/detector.h"
#include "detect/harvest.h"

/* What is drawn: a row, or where the acts hold sequences a document with a scored
 * position. */
typedef struct il_minibatch {
    const il_acts *all; /* borrowed */
    int64_t units;
    int64_t batch; /* units a step */
    uint64_t seed;
    int64_t epoch;  /* whose order stands in `order`; -1: none */
    int64_t *order; /* (units) */
    int64_t *from;  /* (units+1): the first row of each */
    il_acts part;   /* what was drawn last; its own memory, in the arena */
    float **data;   /* [site] */
    il_arena *arena;
} il_minibatch;

/* batch 0, or no fewer than there are units: m->batch is then 0, and nothing is to be
 * drawn. */
il_status il_minibatch_open(il_minibatch *m, const il_acts *acts, int64_t batch,
                            uint64_t seed, il_error *err);
void il_minibatch_close(il_minibatch *m);
/* Fills m->part with the units of a step, counted from 0: labels, activations, and
 * where sequences are pooled their positions; no ids of documents. */
il_status il_minibatch_draw(il_minibatch *m, int64_t step, il_error *err);

#endif
