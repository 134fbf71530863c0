/* Episodes written down: for people as text, for programs as lines of JSON. */
#ifndef IL_EPISODE_WRITTEN_H
#define IL_EPISODE_WRITTEN_H

#include "base/text.h"
#include "episode/episodes.h"

/* One finished episode as one line of JSON: {"episode": N, "length": L, FIELD: ...},
 * every field that has values of its own, cut to the episode's length. A field of (B)
 * is a number, of (B,L) a list, of (B,L,W) a list of lists. */
void il_episode_json(il_text *out, const il_instance *environment,
                     const il_batch *batch, int64_t row, int64_t number);
/* The episode as the environment tells it, or where it does not, a table of positions:
 * what was seen, done and earned, and the labels. */
void il_episode_text(il_text *out, const il_instance *environment,
                     const il_batch *batch, int64_t row);

#endif
