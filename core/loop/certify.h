/* Certificates: does non-interference hold on this run, to the bit?
 *
 * A stage is trained twice from the same parent's state, once with a detector's score
 * and once with keyed noise added to it wherever it enters training, rewards included.
 * What the readers read (parameters and their moments) is compared at every step.
 *
 * Rows of a dataset are the same for both. Episodes are not, as soon as one policy has
 * learned something else: live, that is the channel `data` at work, and the first step
 * at which they differ is named; recorded, both are given the episodes of the run as it
 * is, so that only gradients can differ. Refits in between are left out: what is
 * certified is what a reader reads.
 *
 * Where signals halt the stage, both are audited and halted as the stage would be; in
 * the second, what hangs on the scrambled detector is decided by keyed coins. */
#ifndef IL_LOOP_CERTIFY_H
#define IL_LOOP_CERTIFY_H

#include "loop/stage.h"

typedef struct il_certificate {
    const char
        *source;   /* the detector that was scrambled; NULL: nothing presses here */
    bool recorded; /* both had the episodes of the run as it is */
    bool held;
    /* The verdict, for every declared reader: direct, credit, relay and state are
     * closed, and `data` too where a failure came with other data. */
    bool closed;
    /* What halted the stage after those steps: its own readings, or the coins in their
     * place. What ends one of the two ends the comparison. */
    bool halted, halted_scrambled;
    int64_t steps;    /* compared */
    int64_t step;     /* first that differs, from 1 */
    char tensor[256]; /* and where */
    int64_t
        data_step;  /* first at which the episodes differ, from 1; 0: they never do */
    char data[128]; /* of which rollout, and in what field: "own, action" */
    char hash[IL_HASH_HEX]; /* of the protected state at the end, of the run as it is */
} il_certificate;

/* Certifies the last stage of a job against each source in turn; `out` has room for one
 * a detector. Parents are computed when they are not there. */
il_status il_certify(const il_stage_host *host, const il_host *shared,
                     const il_job *job, bool recorded, il_certificate *out,
                     size_t *count, il_problems *problems, il_error *err);

#endif
