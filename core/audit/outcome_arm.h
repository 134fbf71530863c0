/* The outcome of an arm: the classes of its seeds beside those of its twin, how sure
 * they are, and when they came about. */
#ifndef IL_AUDIT_OUTCOME_ARM_H
#define IL_AUDIT_OUTCOME_ARM_H

#include "audit/arms.h"
#include "audit/outcome.h"

/* When a series of audits went wrong; -1: never, or it was right again by the end. */
typedef struct il_outcome_course {
    int64_t behaviour; /* the first step with much of the behaviour */
    int64_t unseen;    /* at which the detector no longer flags it */
    int64_t blind;     /* at which its recall is below half of what it first was */
} il_outcome_course;

/* From `count` audits. It is back where the behaviour is little again, or where half
 * the way from the bound to the level is regained. From five audits on a crossing has
 * to last for two of them. NaN counts neither way. */
il_outcome_course il_outcome_course_of(const int64_t *steps, const double *behaviour,
                                       const double *flag_now, const double *recall,
                                       size_t count, const il_outcome_bounds *bounds);

/* What conclusions.json has of an arm under "outcome", from the audits in the run's
 * folder; `twin` may be NULL. NULL where no seed's audit has an outcome with its units,
 * or memory is out. */
json_t *il_outcome_arm(const char *folder, const il_arm *arm, const il_arm *twin);

#endif
