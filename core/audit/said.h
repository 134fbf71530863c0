/* What an arm's claims come to, in one plain sentence. */
#ifndef IL_AUDIT_SAID_H
#define IL_AUDIT_SAID_H

#include "audit/claim.h"

/* How far a detector may fall and still count as alive, where nobody said. */
#define IL_SAID_MARGIN 0.1

/* "naive: lie fell by 0.31 (0.22 to 0.40) against monitor; probe.tpr fell by 0.62 (0.50
 * to 0.74), more than the margin of 0.1; three seeds, ..." What is not on record is
 * said to be missing. `metric` is the endpoint's and `behaviour` the one that it names;
 * either may be NULL. A new JSON string. */
json_t *il_said_of(const il_arm *arm, const il_claim *claims, size_t count,
                   const char *metric, const char *behaviour);

#endif
