/* Fleets: several jobs of a run at once, each in a process of its own.
 *
 * The processes compute results and records into the store, where addresses and locks
 * keep them apart; the caller, who holds the run's folder, publishes a job as soon as
 * it has ended. A process that dies takes one job with it. No bit depends on how many
 * there are. */
#ifndef IL_LOOP_FLEET_H
#define IL_LOOP_FLEET_H

#include "loop/run.h"

enum { IL_FLEET_MAX = 256 };

typedef struct il_fleet il_fleet;

/* What became of a job. */
typedef struct il_fleet_end {
    size_t job; /* its number in the session */
    il_status status;
    bool left;   /* not begun: what it starts from has failed */
    bool cached; /* nothing had to be computed */
    double seconds;
    il_error error;
} il_fleet_end;

/* Starts `processes` processes with `workers` workers each, which take the session's
 * jobs, parents before children. The session's own workers must be at rest meanwhile.
 * Session and host are borrowed until the fleet is destroyed. */
il_status il_fleet_start(il_fleet **out, il_session *session, const il_stage_host *host,
                         int processes, int workers, il_error *err);
/* Waits for the next job in the session's order to end; false when none is left, or
 * when it never will. What is published is then in the same order as without a fleet.
 * Once the host's stop is set, processes are told to stop and jobs that were not begun
 * never end. */
bool il_fleet_next(il_fleet *f, il_fleet_end *end);
/* Stops what still runs, at its next checkpoint, and waits for it; takes NULL. */
void il_fleet_destroy(il_fleet *f);

#endif
