/* A claim: one metric of an arm less that of another, over the seeds that both have.
 *
 * What is claimed of a pressed run is never its own number but this difference: the
 * other arm shares seed and earlier stages, and lacks the pressure or its information.
 */
#ifndef IL_AUDIT_CLAIM_H
#define IL_AUDIT_CLAIM_H

#include <jansson.h>
#include "audit/arms.h"
#include "stats/stats.h"

typedef struct il_claim {
    const char *metric;
    const char *versus; /* "twin" or "placebo" */
    bool primary;
    bool health; /* of a detector: whether it is alive is asked too */
    const il_arm *arm;
    const il_arm *against;
    size_t count; /* seeds that both have */
    const uint64_t *seeds;
    const double *run;
    const double *other;
    const double *difference;
    il_paired_test test;
    il_interval resampled; /* of seeds, by a bootstrap; NaN bounds below two */
    double iqm;            /* of the differences; NaN without any */
    double margin;
    il_equivalence within; /* the margin */
    double p_holm;         /* test.t_p, corrected for the claims of its rank */
} il_claim;

/* Fills a claim about `metric`; one without a seed that both arms have has count 0. */
il_status il_claim_make(il_claim *out, const il_arm *arm, const il_arm *against,
                        const char *versus, const char *metric, double margin,
                        il_arena *arena, il_error *err);
/* Corrects all claims of one rank together. False when memory is out. */
bool il_claims_correct(il_claim *claims, size_t count, bool primary);
/* A new object; numbers that there are not are null. */
json_t *il_claim_json(const il_claim *claim);

#endif
