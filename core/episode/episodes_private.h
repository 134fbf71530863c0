/* Between the files of core/episode: the two forms of an environment, each in its own
 * file, and what they share. */
#ifndef IL_EPISODE_EPISODES_PRIVATE_H
#define IL_EPISODE_EPISODES_PRIVATE_H

#include "episode/episodes.h"

/* What a stream of an episode is for, apart from the environment's own. */
typedef enum il__luck {
    IL__LUCK_ENVIRONMENT, /* reset, step, prompts */
    IL__LUCK_POLICY,      /* actions and tokens drawn */
    IL__LUCK_LATENT       /* a sampled site */
} il__luck;

/* Opens the stream of one episode (or, for prompts, of one group of them). */
void il__rollout_luck(const il_rollout *r, il__luck what, int64_t episode, il_rng *out);

/* An error about an environment at an episode's position (-1: at none): names the
 * environment, and returns the code. */
il_status il__rollout_fault(const il_rollout *r, il_status code, int64_t episode,
                            int64_t position, il_error *err, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* The two forms; `out` has been reset to `rows` rows, "episode" is in it. Scratch is
 * given back by the caller. */
il_status il__rollout_steps(const il_rollout *r, int64_t first, int64_t rows,
                            il_pass *pass, il_arena *scratch, il_batch *out,
                            il_error *err);
il_status il__rollout_text(const il_rollout *r, int64_t first, int64_t rows,
                           il_pass *pass, il_arena *scratch, il_batch *out,
                           il_error *err);

#endif
