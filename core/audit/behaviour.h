/* Behaviour: what a model writes when it is asked.
 *
 * The data gives prompts with positions to fill; the core draws them one after the
 * other from the model's logits among the allowed tokens. A draw is keyed by (seed,
 * depth, IL_RNG_SAMPLE, position, row): the same prompt meets the same luck in every
 * audit, so that what differs is the model. */
#ifndef IL_AUDIT_BEHAVIOUR_H
#define IL_AUDIT_BEHAVIOUR_H

#include "detect/harvest.h"

typedef struct il_behaviour {
    int64_t rows;
    int64_t length;  /* T */
    int32_t *tokens; /* (rows,T), finished */
    il_tally tally;  /* the data's behaviour metrics */
    il_arena *arena;
    const il_instance *data;
} il_behaviour;

/* Whether the data asks for behaviour at all. */
bool il_behaviour_asked(const il_instance *data);
/* Draws the text of every prompt. h gives model, values, data, blas, pool. */
il_status il_behaviour_sample(il_behaviour **out, const il_harvest *h, uint64_t seed,
                              uint32_t depth, il_error *err);
void il_behaviour_destroy(il_behaviour *b); /* takes NULL */
/* An il_fetch over the finished text, for harvests; `user` is the il_behaviour. */
il_status il_behaviour_fetch(void *user, int64_t index, int64_t rows, il_batch *batch,
                             il_error *err);

#endif
