/* What a pressed arm's detectors lost, seed by seed, told apart by its twin. */
#ifndef IL_AUDIT_ARM_LOST_H
#define IL_AUDIT_ARM_LOST_H

#include <jansson.h>
#include "audit/arms.h"

/* A new list, an object for every detector and set of which the arm's rows say what was
 * lost (`of`: "probe", "suffering.ref"): by seed, in units of recall, what was lost and
 * how much of it is stale, gone and hidden (lost.h), with the shares of the first and
 * the last in what all seeds lost together. Without a twin only what was lost. NULL
 * when memory is out. */
json_t *il_arm_lost(const il_arm *arm, const il_arm *twin);

#endif
