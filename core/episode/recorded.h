/* Recorded episodes: played once and kept, to be read any number of times.
 *
 * Fits, thresholds and audits read the same episodes through several detectors and
 * weights; playing them anew for each would cost most of the time. Episodes are played
 * in chunks of a fixed size, whatever the number of workers, so a recording has the
 * same bits with any pool. */
#ifndef IL_EPISODE_RECORDED_H
#define IL_EPISODE_RECORDED_H

#include "base/threads.h"
#include "episode/episodes.h"

enum { IL_RECORDED_CHUNK = 64 }; /* episodes */

typedef struct il_recorded il_recorded;

/* Plays `episodes` episodes of a rollout, from number 0 on. */
il_status il_recorded_play(il_recorded **out, const il_rollout *r, int64_t episodes,
                           const il_blas *blas, il_pool *pool, il_error *err);
/* Plays what a pipeline asks for: `episodes` of a policy (`own` is the model's), or
 * `samples` answers to each of `prompts` prompts. `key` gives environment, model,
 * values, prompt, seed, depth, draw, lot and step. A policy that the environment does
 * not name is IL_ERR_INPUT. */
il_status il_recorded_draw(il_recorded **out, const il_rollout_spec *spec,
                           const il_rollout *key, const il_blas *blas, il_pool *pool,
                           il_error *err);
/* Adds the episodes of `more` behind those of r, and destroys `more`, which may be
 * NULL. Both are of one environment. On failure both are as they were. */
il_status il_recorded_append(il_recorded *r, il_recorded *more, il_error *err);
void il_recorded_destroy(il_recorded *r); /* takes NULL */

int64_t il_recorded_count(const il_recorded *r);
const il_instance *il_recorded_environment(const il_recorded *r);
/* Chunks, for a reader that needs whole batches: `first` is the number of its first
 * episode. */
size_t il_recorded_chunks(const il_recorded *r);
il_batch *il_recorded_chunk(const il_recorded *r, size_t chunk, int64_t *first);

/* Copies episodes [index, index+rows) into a batch of `rows` rows, every field; `user`
 * is the il_recorded: see il_fetch. [work] */
il_status il_recorded_fetch(void *user, int64_t index, int64_t rows, il_batch *batch,
                            il_error *err);

#endif
