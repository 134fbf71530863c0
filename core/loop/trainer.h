/* The trainer: the steps of one stage, lane by lane, with the same bits for any number
 * of workers.
 *
 * A step draws the batch, measures it (normalizers from data alone), runs the lanes,
 * adds their gradients in a fixed tree, clips and steps the parameters that some signal
 * may update, and leaves every other bit as it was. An update of reinforcement is such
 * a step: its batch are episodes that each lane plays and assesses, and their
 * advantages are settled over the whole of it before the gradients. */
#ifndef IL_LOOP_TRAINER_H
#define IL_LOOP_TRAINER_H

#include "loop/lanes.h"
#include "detect/tally.h"
#include "episode/episodes.h"
#include "loop/terms.h"

typedef struct il_trainer {
    il_world *world;
    const il_stage_spec *stage;
    uint32_t depth;
    il_terms *terms;
    il_worker *workers;
    int worker_count;
    int lane_count;
    il_micro *micros; /* in the order of the batch */
    size_t micro_count;
    size_t *lane_first;      /* [lanes + 1]: its micro-batches */
    int64_t batch;           /* examples of a step: rows, or episodes of all rollouts */
    il_rollout *rollouts;    /* in the order of the stage's; NULL for rows of data */
    int64_t *lot_first;      /* [rollouts]: its first episode's place among all */
    il_moments moments;      /* of the last update's advantages */
    struct il_step_job *job; /* what the tasks of a step are handed */
    struct il_ledger *ledger; /* borrowed; NULL: none is kept */
    int epoch;                /* of the update, with an algorithm that takes several */
    int64_t parts;            /* minibatches of an epoch, a step each; 1 without */
    int64_t turn;             /* the present step's place in its epoch ... */
    int64_t part;             /* ... and whose it is; -1: the whole batch's */
    int64_t *order;           /* [parts]: whose turn it is, dealt anew each epoch */
    double *whole;            /* [term]: its normalizer over the whole batch */
    /* Not its own episodes: those of this trainer's last update, which has the same
     * stage. For certificates on recorded episodes; borrowed. */
    const struct il_trainer *follow;
    int32_t split;      /* of the data: "train" */
    int64_t split_rows; /* -1: a stream */
    il_lanes lanes[IL_PASS_KINDS];
    bool *stepped[IL_PASS_KINDS]; /* by parameter */
    bool *frozen; /* by parameter: a halt has said that it is stepped no more */
    const float **bound[IL_PASS_KINDS];  /* values by parameter */
    float *m, *v;                        /* moments, the store's layout */
    float *shadow, *shadow_m, *shadow_v; /* NULL without a shadow */
    float *zero_grads; /* what flows through zeros, once needed: the store's layout */
    bool zeroing;      /* of the present step: it holds something */
    /* Detectors refitted through their fit: by detector, NULL before their first one.
     */
    struct il_anchors **anchors;
    il_lanes fit_lanes;  /* what flows through them */
    int64_t fit_doubles; /* room for the terms' derivatives, 0: there are none */
    int64_t *fit_place;  /* [term]: where its derivative stands in that, or -1 */
    int64_t *fit_at;     /* the same for those whose fit is of the present step */
    int64_t step;        /* steps of this stage that are done */
    int64_t before;      /* optimizer steps of earlier stages, when continued */
    double *values;      /* [term]: its mean loss at the last step, unweighted */
    double norm; /* gradient norm before clipping, over all stepped parameters */
} il_trainer;

/* Makes the trainer and plans its routes. The model's live weights are those it will
 * train. */
il_status il_trainer_create(il_trainer **out, il_world *world,
                            const il_stage_spec *stage, uint32_t depth,
                            il_problems *problems, il_error *err);
void il_trainer_destroy(il_trainer *t); /* takes NULL */
/* Copies the live weights into the shadow; call once they are loaded. */
void il_trainer_start(il_trainer *t);
/* From here on the groups' parameters keep their bits and their moments, and have no
 * part in the norms of clip groups. */
void il_trainer_freeze(il_trainer *t, const il_names_spec *groups);
/* One step; with `watch` the watched signals are evaluated, too. A loss that is no
 * number is IL_ERR_NUMERIC, and nothing has been stepped. */
il_status il_trainer_step(il_trainer *t, bool watch, il_error *err);
/* Optimizer steps that the stage has taken. */
int64_t il_trainer_taken(const il_trainer *t);
/* What the update just made is on record for, beside its losses: of each rollout that
 * the model's own policy played the environment's metrics (`own.task`), of each reward
 * its mean over episodes (`return.NAME`), of each detector that was read its mean
 * probability (`reading.NAME`), and the policy's `entropy` where a signal names it. Of
 * any batch, what signals on channel data left of it (`NAME.kept`, the mean weight). A
 * step without `watch` leaves out what only watched signals read. */
il_status il_trainer_notes(const il_trainer *t, il_tally *out, il_error *err);
/* The batch of the step just made, for online refits. */
const il_micro *il_trainer_micros(const il_trainer *t, size_t *count);
/* What a detector reads in the batch of the step just made, labelled, under the present
 * weights. */
il_status il_trainer_acts(il_trainer *t, const il_detector *d, il_acts **out,
                          il_error *err);

#endif
