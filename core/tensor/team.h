/* The work of one op, cut between the workers of a pool.
 *
 * Lanes are what workers usually share out, so an op runs alone. Where there are fewer
 * lanes than workers, as with one long prompt, a pass may be given the pool, and then
 * its large ops are cut by rows, columns or heads. How many parts there are depends on
 * the workers; no number does, since each is made wholly within one part and in an
 * order of its own. */
#ifndef IL_TENSOR_TEAM_H
#define IL_TENSOR_TEAM_H

#include <stdint.h>
#include "base/threads.h"

/* Makes [from,to) of something, both ends multiples of its grain or the last. Called by
 * several threads at once, for parts that do not meet; `worker` is below
 * il_team_workers and tells whose scratch may be used. */
typedef void il_share(void *user, int64_t from, int64_t to, int worker);

/* Calls `part` for parts that cover [0,count); all at once where there is no team, or
 * one of a single worker. */
void il_team_share(il_pool *team, int64_t count, int64_t grain, il_share *part,
                   void *user);
int il_team_workers(const il_pool *team); /* 1 for NULL */
/* The grain of rows of `width` numbers that are gone through once. */
int64_t il_team_rows(int64_t width);

#endif
