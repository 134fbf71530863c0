/* What the files of the stages share. */
#ifndef IL_LOOP_STAGE_PRIVATE_H
#define IL_LOOP_STAGE_PRIVATE_H

#include "loop/halt.h"
#include "loop/stage.h"

/* A detector, and the model's weights, as when it was first fitted. */
typedef struct il_stage_then {
    const char *address;   /* of the stage that fitted it */
    const float **values;  /* in the stage's arena; NULL: not looked up yet */
    il_detector *detector; /* NULL: it has not changed since; destroyed with the work */
} il_stage_then;

/* A stage on its way. */
typedef struct il_stage_work {
    const il_stage_host *host;
    il_world *world;
    const il_job *job;
    size_t at;
    const il_stage_spec *spec;
    const char *label; /* "loop/naive seed 1", for the log */
    char address[IL_HASH_HEX];
    char *folder; /* of the state */
    char *record_folder;
    il_pressed pressed;
    json_t *models; /* hashes of the weights it starts from and of those before them */
    json_t *fitted; /* detector -> address of the stage that fitted it first */
    il_record *record;
    struct il_ledger *ledger; /* while it trains; NULL: none is kept */
    il_run_job *out;
    struct il_stage_then *then; /* by detector; filled by audits */
    il_metric *metrics;         /* of the last audit; names in the arena */
    size_t metric_count;
    json_t *audit;
    json_t *audit_time; /* seconds of the last audit, by part */
    int64_t looks;
    double fit_seconds; /* of the last fit of a detector */
    il_halts halts;
    int64_t judged;       /* step of the last audit that they were judged at; -1 */
    const il_halt *ended; /* what ended the stage before its time; NULL: nothing */
    int64_t ended_at;     /* and at which step */
    il_arena *arena;
} il_stage_work;

/* Opens a stage of the job and closes it; its folders need not be there. */
il_status il__stage_open(il_stage_work *s, const il_stage_host *host, il_world *w,
                         const il_job *job, size_t at, il_error *err);
void il__stage_close(il_stage_work *s);
/* The state as tensors and counters; `trainer` may be NULL. */
il_status il__stage_write(il_stage_work *s, const char *name, const il_trainer *trainer,
                          il_error *err);
/* Takes weights and detectors from a pair; with a trainer also its optimizer and
 * shadow, and its step. */
il_status il__stage_read(il_stage_work *s, const char *folder, const char *name,
                         il_trainer *trainer, bool moments, il_error *err);
/* The parent's state into the world, and its moments into a trainer that continues
 * them. */
il_status il__stage_parent(il_stage_work *s, il_trainer *t, il_error *err);
/* Trains from the parent's state, or from the last checkpoint, to the result. */
il_status il__stage_train(il_stage_work *s, il_problems *problems, il_error *err);
/* Audits at `step`, and notes what was measured. */
il_status il__stage_look(il_stage_work *s, int64_t step, bool last, il_error *err);
/* Notes metrics at a step, in the record and in the job's events. */
il_status il__stage_note(il_stage_work *s, int64_t step, const il_metric *metrics,
                         size_t count, il_error *err);
/* Judges the stage's halts by the audit just made; with `last`, alarms alone. What
 * fires is done: a freeze on the trainer, a stop by setting s->ended, with the state
 * that it keeps in the world and the trainer. */
il_status il__stage_halt(il_stage_work *s, il_trainer *t, int64_t step, bool last,
                         il_error *err);
/* What a halt reads in the last audit, NaN where that measured none. A metric that no
 * audit measures is IL_ERR_INPUT, but at step 0: fresh readers come later. */
il_status il__stage_reading(const il_stage_work *s, const il_halt *h, int64_t step,
                            double *out, il_error *err);
/* Freezes again what was frozen when the checkpoint was written. */
void il__stage_refreeze(const il_stage_work *s, il_trainer *t);
/* Adds what became of the halts to the last audit's metrics and json. */
il_status il__stage_halted(il_stage_work *s, int64_t step, il_error *err);
/* Removes the states that halts kept. */
il_status il__stage_unkeep(const il_stage_work *s, il_error *err);
/* Histograms of weights and of the ledger's gradients, on a step that it sampled. */
il_status il__stage_ledger_histograms(il_stage_work *s, const il_trainer *t,
                                      il_error *err);
/* Those of the logits by class that the last audit met. */
il_status il__stage_audit_histograms(il_stage_work *s, int64_t step, il_error *err);
/* Fills the references that name stages of the chain up to `at`. */
il_status il__stage_references(il_stage_work *s, int64_t at, il_error *err);
/* Whether a reference holds weights; its name may be NULL. */
il_status il__stage_reference(const il_stage_work *s, const char *name, il_error *err);
/* Audits at `step`; the last one wholly. Keeps metrics and json in `s`. */
il_status il__stage_audit(il_stage_work *s, int64_t step, bool last, il_error *err);
/* Lets go of what audits looked up. */
void il__stage_then_close(il_stage_work *s);
/* Fits a detector on the rows that its spec names, and the first time sets its
 * threshold on others. */
il_status il__stage_fit(il_stage_work *s, const il_detector_spec *spec, bool fresh,
                        il_error *err);
/* Fits it again after `step`, as its `refit` says. One that names episodes sets the
 * threshold anew, on as many further ones. */
il_status il__stage_refit(il_stage_work *s, il_detector *d, int64_t step,
                          il_error *err);
/* Moves every re-zeroed detector's zero to the weights of now. */
il_status il__stage_rezero(il_stage_work *s, il_error *err);

#endif
