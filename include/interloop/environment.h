/* Kind `environment`: episodes that a policy acts in, or prompts that it answers.
 *
 * The core owns all memory of an episode and all of its luck: a state is plain bytes
 * without pointers, so that forking an episode is a copy, and every draw comes from the
 * il_rng that is handed in, opened by (seed, stage depth, IL_RNG_ENVIRONMENT, update,
 * episode). What the model may see are observations, actions and tokens; rewards and
 * labels are for training signals, fitting and judging, and never reach its forward
 * pass.
 *
 * Finished episodes come back as a batch of B episodes of L positions:
 *
 *   steps: "obs" (B,L,W) f32, "action" (B,L) i32 (the action taken at that position, -1
 *          where none was), L = steps + 1;
 *   text:  "tokens" (B,L) i32, padded with the pad token, "action" (B,L) i32 (the token
 *          drawn for the position after this one, -1 where none was);
 *   both:  "lengths" (B) i32 (where padding begins), "moves" (B,L) f32 (1 where an
 *          action was taken, else 0: a weight for losses that predict what followed),
 *          "acted" (B,L) u8 (the same as a mask), "episode" (B) i64, and every field
 *          that `fields` lists. */
#ifndef INTERLOOP_ENVIRONMENT_H
#define INTERLOOP_ENVIRONMENT_H

#include "interloop/batch.h"
#include "interloop/dataset.h"
#include "interloop/rng.h"
#include "interloop/setup.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum il_environment_form { /* values are ABI: append only */
                                   IL_ENVIRONMENT_STEPS = 1, /* act, observe, repeat */
                                   IL_ENVIRONMENT_TEXT =
                                       2 /* a prompt, an answer token by token, a
                                            verdict at the end */
} il_environment_form;

/* The sizes of an instance. What a form does not use is 0. */
typedef struct il_environment_shape {
    size_t struct_size;
    /* steps */
    int64_t state_size;      /* bytes of an episode's state */
    int64_t state_alignment; /* a power of two, at most 64 */
    int32_t state_version;   /* changes when the bytes change their meaning */
    int32_t obs_width;       /* W */
    int32_t actions;         /* actions are 0 .. actions-1 */
    int32_t steps; /* the most actions of an episode, which has ended by then */
    /* text */
    int32_t vocabulary;
    int32_t prompt_tokens; /* the most tokens of a prompt */
    int32_t max_tokens;    /* the most tokens of an answer */
    int32_t pad, end;      /* tokens */
} il_environment_shape;

typedef struct il_named {
    const char *name;
    const char *help;
} il_named;

typedef struct il_environment_api {
    size_t struct_size;
    il_environment_form form;
    /* [setup] Publishes the facts "observation" and "actions" (steps) or "vocabulary"
     * and "context" (text). An environment of steps may publish "observation_classes":
     * the first so many numbers of an observation are one choice, of which exactly one
     * is 1, and the others are 0 or 1 each; a model that predicts observations needs
     * it. Two instances with equal parameters and seed are equal. */
    il_status (*create)(const il_setup *s, void **self, il_error *err);
    void (*destroy)(void *self); /* may be NULL */
    /* [any] */
    void (*shape)(const void *self, il_environment_shape *out);
    /* [any] What it adds to the fields above: rewards (IL_FIELD_REWARD, (B,L) f32 at
     * the position of the action that earned them), labels ((B,L) or (B) u8, for steps
     * (B,L)), masks ((B,L) u8). At most 32, static for the instance. */
    const il_field *(*fields)(const void *self, int32_t *count);
    /* [any] 32 bytes that change whenever an episode could. */
    void (*fingerprint)(const void *self, uint8_t out[32]);

    /* ---- steps; NULL in a text environment ---- */

    /* [any] A new episode: fills the state and the first observation (W). */
    void (*reset)(const void *self, void *state, il_rng *rng, float *obs);
    /* [any] One action: changes the state, fills the next observation (W) and one
     * number for each reward that `fields` lists, in its order; true in *done ends the
     * episode. */
    void (*step)(const void *self, void *state, int32_t action, il_rng *rng, float *obs,
                 float *rewards, bool *done);
    /* [any] One 0 or 1 for each label and each mask that `fields` lists, in its order:
     * the truth about the state as it stands. Required where there are any. */
    void (*labels)(const void *self, const void *state, uint8_t *labels);
    /* [any] Behaviour policies by name; what they remember is part of the state. May be
     * NULL. Their draws come from a stream of their own (IL_RNG_SAMPLE), so that every
     * policy meets the same luck in `reset` and `step`. */
    const il_named *(*policies)(const void *self, int32_t *count);
    int32_t (*act)(const void *self, int32_t policy, void *state, il_rng *rng);

    /* ---- text; NULL in a steps environment ---- */

    /* [any] The kinds of prompt, the first being the one that is trained on. */
    const il_named *(*prompts)(const void *self, int32_t *count);
    /* [any] Writes a prompt of a kind, at most prompt_tokens, and returns its length.
     */
    int32_t (*prompt)(const void *self, int32_t kind, il_rng *rng, int32_t *tokens);
    /* [any] Which tokens an answer may hold: `allowed` is (vocabulary) u8. */
    void (*allowed)(const void *self, uint8_t *allowed);
    /* [any] Reads finished texts ("tokens", "lengths", "action", "acted", "prompt"
     * (B) i32: tokens of the prompt) and adds every field that `fields` lists. */
    void (*judge)(const void *self, int32_t kind, il_batch *batch);

    /* ---- what follows may be NULL ---- */

    /* [any] Metrics of finished episodes. `kind` is that of the prompt, 0 for steps. */
    void (*metrics)(const void *self, int32_t kind, const il_batch *batch,
                    il_metrics *out);
    /* [any] Writes one episode as text, NUL-terminated and cut to `size`; returns the
     * length it would need. */
    size_t (*text)(const void *self, const il_batch *batch, int64_t row, char *out,
                   size_t size);
} il_environment_api;

#ifdef __cplusplus
}
#endif

#endif
