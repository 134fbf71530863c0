/* The endpoint: the one question that a run answers, settled before it begins. */
#ifndef IL_PIPELINE_ENDPOINT_H
#define IL_PIPELINE_ENDPOINT_H

#include "base/hash.h"
#include "pipeline/jobs.h"

/* What the pipeline declares; else, of the first job that presses, whether its detector
 * still finds at its threshold (or, without one, still tells apart) what its twin's
 * does; of an agent on the reference set, whose episodes no policy chooses. `metric` is
 * NULL where nothing presses. In the arena; false when memory is out. */
bool il_endpoint_of(il_endpoint_spec *out, const il_jobs *jobs, il_arena *arena);
/* The endpoint as one line of JSON, in one canonical form, and the hash of that: in the
 * arena, NULL when memory is out. */
const char *il_endpoint_text(const il_endpoint_spec *e, il_arena *arena);
const char *il_endpoint_hash(const il_endpoint_spec *e, il_arena *arena);

#endif
