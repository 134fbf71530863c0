/* Stages: one node of an experiment's tree brought from its parent's state to its own.
 *
 * A result is found by its address, or made: trained or fitted from the parent's state,
 * observed on the way, checkpointed, and written once. A stage killed at any moment
 * goes on from its last checkpoint to the same bits. */
#ifndef IL_LOOP_STAGE_H
#define IL_LOOP_STAGE_H

#include <signal.h>
#include "loop/plan.h"
#include "episode/episodes.h"
#include "loop/record.h"
#include "loop/rundir.h"
#include "loop/state.h"

/* What all stages of a run share. */
/* How far a stage has come: told every few steps, by the thread that trains. What it
 * points to lives until the call returns. */
typedef struct il_progress {
    const char *label; /* "loop/naive seed 1" */
    int64_t step, steps;
    double rate; /* steps a second since the stage began, or went on */
    double left; /* seconds */
    const il_metric *losses;
    size_t loss_count;
    const il_metric *health; /* D.auroc and D.tpr as the last audit had them */
    size_t health_count;
} il_progress;
typedef void il_progress_fn(void *user, const il_progress *p);

typedef struct il_stage_host {
    il_host host;
    const char *runs; /* folder that holds .stages */
    const char *run_name;
    const char *numerics;              /* of addresses */
    const volatile sig_atomic_t *stop; /* set from outside: checkpoint and leave */
    int64_t checkpoint_every;          /* steps; 0: 50 */
    il_progress_fn *progress;          /* NULL: nobody listens */
    void *progress_user;
} il_stage_host;

typedef struct il_stage_result {
    char address[IL_HASH_HEX];
    char parent[IL_HASH_HEX]; /* "" at the root */
    json_t *metrics;          /* of the final audit, an object */
    char *record;             /* folder of the record */
    bool cached;              /* nothing had to be computed */
} il_stage_result;

/* The address of chain[at], whose instances are the world's. */
il_status il_stage_address(const il_stage_host *host, const il_world *w,
                           const il_job *job, size_t at, char hex[IL_HASH_HEX],
                           il_error *err);
/* Loads the state of chain[at] into the world: weights, detectors, what pressure has
 * changed, references to stages so far. at -1: the start. */
il_status il_stage_load(const il_stage_host *host, il_world *w, const il_job *job,
                        int64_t at, il_pressed *pressed, il_error *err);
/* Brings chain[at] about, its parents first. `folder` of the job may be NULL. */
il_status il_stage_ensure(const il_stage_host *host, il_world *w, const il_job *job,
                          size_t at, il_run_job *folder, il_stage_result *out,
                          il_problems *problems, il_error *err);
/* Rows of a split or of episodes as a detector of the world reads them, labelled, under
 * the weights that the world holds; `rows` 0: all of the split. Draws for one purpose
 * are the same wherever they are named. */
il_status il_stage_rows(il_acts **out, const il_world *w, const il_detector *d,
                        const il_draw_spec *draw, il_draw purpose, int64_t rows,
                        il_error *err);
/* Fits a detector of the world from scratch, under the weights that the world holds and
 * on the rows that its spec names, and sets its threshold, as a stage that names it
 * would. *seconds is the processor time of the fit itself, harvests left out. */
il_status il_stage_fit_alone(const il_stage_host *host, il_world *w, const il_job *job,
                             il_detector *d, double *seconds, il_error *err);
/* The halts of chain[at] while it is trained by somebody else: audits where the stage
 * would make them, nothing on record, and what fires done to the trainer. Its parent's
 * state is in the world. */
typedef struct il_stage_guard il_stage_guard;
il_status il_stage_guard_open(il_stage_guard **out, const il_stage_host *host,
                              il_world *w, const il_job *job, size_t at, il_error *err);
/* Judges at the trainer's step, if the stage would. What hangs on the detector
 * `scrambled` is decided by keyed coins in place of its readings; NULL: nothing. */
il_status il_stage_guard_look(il_stage_guard *g, il_trainer *t, const char *scrambled,
                              il_error *err);
/* Whether the stage has been stopped. */
bool il_stage_guard_ended(const il_stage_guard *g);
void il_stage_guard_close(il_stage_guard *g); /* takes NULL */
/* The hashes of the weights that chain[at] left and of those that it came from, a list
 * for the caller to let go of. */
il_status il_stage_models(const il_stage_host *host, const il_world *w,
                          const il_job *job, int64_t at, json_t **out, il_error *err);
/* The hash of the model's weights as they are. */
void il_stage_model(const il_world *w, char hex[IL_HASH_HEX]);
void il_stage_result_free(il_stage_result *r);
/* Whether a stage's requirements hold for its metrics; IL_ERR_REQUIRE names each that
 * does not. */
il_status il_stage_require(const il_stage_spec *stage, const json_t *metrics,
                           il_error *err);

#endif
