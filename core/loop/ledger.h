/* The ledger: how much pressure each signal that a detector enters has spent on each
 * parameter tensor.
 *
 * On sampled steps the gradient of every such signal is taken by itself, in a backward
 * of its own at the weights of the step and on its batch, and those of all other
 * signals together in one more. The lanes are the trainer's, so that any number of
 * workers gives the same bits, and nothing that training reads is written: neither the
 * ledger nor its interval changes a bit of the result.
 *
 * With g a gradient and D the change that the step made to a tensor, the ledger holds
 *   norm    |g|
 *   cosine  g.T / (|g| |T|), T the sum over the other signals of the pass that no
 *           detector is the source or the gate of
 *   work    -g.D, what of the loss the step took off by way of this tensor
 * and of an update of several optimizer steps the root mean square of the norms, the
 * cosine over all of them, and the sum of the work. */
#ifndef IL_LOOP_LEDGER_H
#define IL_LOOP_LEDGER_H

#include "loop/plan.h"
#include "loop/trainer.h"

/* What tells the signals apart that no detector enters, taken together. */
#define IL_LEDGER_UNTAINTED "(untainted)"

/* A signal in one pass, or all that no detector enters in one. */
typedef struct il_ledger_entry {
    const char *name;            /* as the firewall names it */
    const il_term *term;         /* NULL: untainted */
    const il_flow_signal *facts; /* NULL: untainted */
    int kind;                    /* the pass */
    bool own;                    /* a detector is its source or its gate */
    const il_word *updates;      /* the parameters that it may update */
    float *gradient;             /* of the optimizer step at hand, the store's layout */
    const float **tasks;         /* those whose sum is T */
    size_t task_count;
    /* Sums over the optimizer steps of the sampled step, by parameter: */
    double *squares; /* |g|^2 */
    double *dots;    /* g.T */
    double *others;  /* |T|^2 */
    double *work;    /* -g.D */
} il_ledger_entry;

/* The detectors, and the audit's fresh readers, by what they read. */
typedef struct il_ledger_reader {
    const char *name;
    const il_word *reads; /* in the flow's universe */
} il_ledger_reader;

typedef struct il_ledger {
    il_arena *arena;
    il_trainer *trainer; /* borrowed, as is the plan */
    const il_plan *plan;
    int64_t every; /* steps between two samples; the first step is one */
    bool chosen;   /* by us, and not by the pipeline */
    bool sampling; /* the step at hand is a sample, or was when it is done */
    int64_t turns; /* optimizer steps that it has taken so far */
    size_t bits;   /* parameters of the model */
    il_ledger_entry *entries;
    size_t count;
    il_ledger_reader *readers;
    size_t reader_count;
    float *before[IL_PASS_KINDS]; /* weights before the optimizer step */
    bool (*runs)[IL_PASS_KINDS];  /* [term]: which passes it has in training */
} il_ledger;

/* A few numbers of an entry over some of its parameters. */
typedef struct il_ledger_sum {
    double norm;
    double cosine; /* NaN where one of the two gradients is zero */
    double work;
} il_ledger_sum;

/* Opens the ledger that a stage asks for, or that it gets because a detector presses,
 * and hands it to the trainer; *out is NULL where there is none to keep. The trainer
 * is planned. */
il_status il_ledger_open(il_ledger **out, il_trainer *t, const il_plan *plan,
                         il_error *err);
/* Takes it from the trainer again. Takes NULL. */
void il_ledger_close(il_ledger *l);

/* Whether the step just made was a sample. */
bool il_ledger_sampled(const il_ledger *l);
/* The entry of that name, or NULL. */
const il_ledger_entry *il_ledger_find(const il_ledger *l, const char *name);
/* Over all parameters of an entry, or those that reader `r` reads, or the rest. */
il_ledger_sum il_ledger_all(const il_ledger *l, const il_ledger_entry *e);
il_ledger_sum il_ledger_read(const il_ledger *l, const il_ledger_entry *e, size_t r);
il_ledger_sum il_ledger_rest(const il_ledger *l, const il_ledger_entry *e, size_t r);
/* Of one parameter. */
il_ledger_sum il_ledger_tensor(const il_ledger *l, const il_ledger_entry *e, size_t p);
/* What a parameter is called in an entry's pass: a shadow has names of its own. */
const char *il_ledger_name(const il_ledger *l, const il_ledger_entry *e, size_t p);
/* The reader that an entry's own numbers are split by: the detector that is its source
 * or gate, else the first that enters it; -1 for the untainted. */
int il_ledger_reader_of(const il_ledger *l, const il_ledger_entry *e);

/* ---- the trainer's side --------------------------------------------------------- */

/* At the start of a step. */
void il__ledger_begin(il_ledger *l);
/* Between the gradients of an optimizer step and their use. */
il_status il__ledger_gradients(il_ledger *l, il_error *err);
/* After the weights have moved. */
void il__ledger_moved(il_ledger *l);

#endif
