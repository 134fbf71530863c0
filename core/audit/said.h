/* What an arm's claims come to, in one plain sentence. */
#ifndef IL_AUDIT_SAID_H
#define IL_AUDIT_SAID_H

#include "audit/claim.h"

/* How far a detector may fall and still count as alive, where nobody said. */
#define IL_SAID_MARGIN 0.1

/* "naive against its twin monitor: lie fell by 0.31 (95% -0.40 to -0.22); probe.tpr
 * fell by 0.62, ... beyond the margin of 0.1: it is not what it was; 3 seeds, ..." What
 * is not on record is said to be missing. `metric` is the endpoint's, `behaviour` the
 * one that it names, and `without` what the plan says that the arm lacks; each may be
 * NULL. A new JSON string. */
json_t *il_said_of(const il_arm *arm, const il_claim *claims, size_t count,
                   const char *metric, const char *behaviour, const char *without);

#endif
