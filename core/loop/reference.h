/* References: copies of the model's weights that a KL term compares the policy with, or
 * whose activations a detector reads: those a stage of the lineage left, or a moving
 * average of the weights in training. */
#ifndef IL_LOOP_REFERENCE_H
#define IL_LOOP_REFERENCE_H

#include "pipeline/pipeline.h"
#include "tensor/store.h"

typedef struct il_reference {
    const il_reference_spec *spec; /* borrowed */
    float *block;                  /* the store's layout */
    const float **values; /* by parameter number; the model's own until it is filled */
    bool filled;
} il_reference;

/* Makes one that stands for the model itself, for plans that only look at shapes. */
il_status il_reference_open(il_reference *r, const il_reference_spec *spec,
                            const il_store *model, il_error *err);
void il_reference_close(il_reference *r);
/* Its values are the block's from now on; the caller has filled that. */
void il_reference_filled(il_reference *r, const il_store *model);
/* Fills a moving average with the model's weights. */
void il_reference_start(il_reference *r, const il_store *model);
/* One step of a moving average: r = decay r + (1 - decay) w. */
void il_reference_follow(il_reference *r, const il_store *model);
/* Whether it is a moving average. */
static inline bool il_reference_moves(const il_reference *r)
{
    return r->spec->of_stage == NULL;
}

#endif
