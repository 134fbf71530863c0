/* Episodes: an environment played by a policy, into a batch.
 *
 * Which luck an episode meets depends on what it is drawn for and on its number alone:
 * never on the worker, on the rows of the call that fill it, or on the policy. So all
 * variants of a seed meet the same luck, and an evaluation compares like with like. A
 * model's episodes do depend, in their last bits, on how many rows are stepped at once
 * (a product's rows do): callers keep that number fixed. */
#ifndef IL_EPISODE_EPISODES_H
#define IL_EPISODE_EPISODES_H

#include "base/arena.h"
#include "pipeline/instance.h"
#include "tensor/pass.h"

/* What episodes are drawn for. Draws for one purpose never meet those for another. */
typedef enum il_draw { /* part of addresses and keys: append only */
                       IL_DRAW_TRAIN = 0,
                       IL_DRAW_FIT = 1,
                       IL_DRAW_CALIBRATE = 2,
                       IL_DRAW_REFERENCE = 3,
                       IL_DRAW_JUDGE = 4,
                       IL_DRAW_REFIT = 5,
                       IL_DRAW_ANCHORS = 6,
                       IL_DRAW_SHOW = 7
} il_draw;

typedef struct il_rollout {
    const il_instance *environment;
    /* The model's own policy: its step and carry, sampled from its output "policy"
     * (steps) or "logits" (text). NULL with a named policy. */
    const il_instance *model;
    const float *const *values; /* the model's, by parameter number */
    int32_t policy;             /* the environment's named policy; -1: the model's */
    int32_t prompt;             /* text: the kind of prompt */
    int64_t group;              /* text: consecutive episodes that share a prompt; 1 */
    /* A site whose value is sampled: the policy goes on with mu + std * normal, and the
     * batch gets the field "sampled" (B,L,W) f32 that holds it. -1: none. */
    int64_t sampled_site;
    float sampled_std;
    /* What is done to the model's activations while it acts. A mask that edits wait for
     * has to be known then: of an environment of steps any of its own, of text none. */
    const il_site_edits *edits;
    /* the key */
    uint64_t seed;
    uint32_t depth; /* of the stage; 0 for what is the same wherever it is named */
    il_draw draw;
    uint32_t lot;  /* which of a stage's named rollouts */
    uint64_t step; /* the update */
} il_rollout;

/* Positions of a finished episode, L. */
int64_t il_rollout_length(const il_instance *environment);
/* A named policy's number, or -1. */
int32_t il_rollout_policy(const il_instance *environment, const char *name);
/* The kind of prompt of that name, or -1. */
int32_t il_rollout_prompt(const il_instance *environment, const char *name);

/* Plays episodes [first, first+rows) into the batch, which is reset: every field that
 * environment.h names. An action out of range, a reward or observation that is no
 * number, or a policy whose logits are no numbers is IL_ERR_NUMERIC or IL_ERR_INPUT
 * naming environment, episode and position. [work], one call a pass at a time. */
il_status il_rollout_fill(const il_rollout *r, int64_t first, int64_t rows,
                          il_pass *pass, il_arena *scratch, il_batch *out,
                          il_error *err);

/* The id of an episode in the field "episode": tells draws, updates and lots apart. */
int64_t il_rollout_id(const il_rollout *r, int64_t episode);

#endif
