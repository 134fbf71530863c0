/* Conclusions: what a run allows to be said, from what it left.
 *
 * For every arm that pressed, the differences from its twin and its placebos over the
 * seeds, with their tests; what the pressure cost otherwise; among how many
 * alternatives it was one; and one plain sentence. Computed from summary.json,
 * plan.json and the runs beside it alone, so that it can be made anew at any time. */
#ifndef IL_AUDIT_CONCLUDE_H
#define IL_AUDIT_CONCLUDE_H

#include <jansson.h>
#include "interloop/status.h"

/* The conclusions of a run folder, as docs/reference/conclusions.schema.json has them;
 * the caller decrefs *out. */
il_status il_conclude(json_t **out, const char *folder, il_error *err);
/* The same into FOLDER/conclusions.json, all or nothing. */
il_status il_conclude_write(const char *folder, il_error *err);

#endif
