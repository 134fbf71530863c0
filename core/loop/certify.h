/* Certificates: does non-interference hold on this run, to the bit?
 *
 * A stage is trained twice from the same parent's state on the same data, once with a
 * detector's score and once with keyed noise added to it wherever it enters training.
 * What the readers read (parameters and their moments) is compared at every step. */
#ifndef IL_LOOP_CERTIFY_H
#define IL_LOOP_CERTIFY_H

#include "loop/stage.h"

typedef struct il_certificate {
    const char
        *source; /* the detector that was scrambled; NULL: nothing presses here */
    bool held;
    bool closed; /* the verdict said that direct, credit, relay and state are closed to
                    every reader */
    int64_t steps;          /* compared */
    int64_t step;           /* first that differs, from 1 */
    char tensor[256];       /* and where */
    char hash[IL_HASH_HEX]; /* of the protected state at the end, of the run as it is */
} il_certificate;

/* Certifies the last stage of a job against each source in turn; `out` has room for one
 * a detector. Parents are computed when they are not there. */
il_status il_certify(const il_stage_host *host, const il_host *shared,
                     const il_job *job, il_certificate *out, size_t *count,
                     il_problems *problems, il_error *err);

#endif
