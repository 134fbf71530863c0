/* What a run asks, written before anything of it runs: plan.json.
 *
 * It holds the endpoint with its hash, what every arm is to the others, what lets a
 * measure choose between results, and, as the jobs come by, the plan of each variant.
 * A run that goes on keeps what earlier ones planned; an endpoint that is not the one
 * of before is kept beside the new one, and said. */
#ifndef IL_LOOP_ASKED_H
#define IL_LOOP_ASKED_H

#include <jansson.h>
#include "base/log.h"
#include "loop/rundir.h"
#include "pipeline/jobs.h"

typedef struct il_asked {
    json_t *plan; /* plan.json; NULL before it is opened */
} il_asked;

/* Reads what the run asked before, adds what these jobs ask, and writes it. */
il_status il_asked_open(il_asked *a, il_run *run, const il_jobs *jobs, il_arena *arena,
                        il_log *log, il_error *err);
void il_asked_close(il_asked *a);
/* Whether a variant's plan is there, made by this run. */
bool il_asked_has(const il_asked *a, const il_job *job);
/* Adds one, in the place of what an earlier run planned for it, and writes it all. The
 * entry is taken over. */
il_status il_asked_add(il_asked *a, il_run *run, json_t *entry, il_error *err);

#endif
