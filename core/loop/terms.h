/* Terms: a stage's signals as they run, on the tape, row by row.
 *
 * A term turns a signal into a tensor of rows and a coefficient for each, so that its
 * loss is their product's sum. Coefficients hold weight, row weights and the batch's
 * normalizer; the last is computed from data alone before any lane runs, and a gate
 * never enters it. Terms that update the same parameters share one backward. */
#ifndef IL_LOOP_TERMS_H
#define IL_LOOP_TERMS_H

#include "detect/harvest.h"
#include "loop/world.h"

/* The passes of a step. Without a shadow there is the first alone. With one, the first
 * binds the shadow downstream of the detector and trains what no detector enters; the
 * second binds the real downstream half behind a stop at the detector's sites. */
enum { IL_PASS_FIRST = 0, IL_PASS_SECOND = 1, IL_PASS_KINDS = 2 };

typedef struct il_term {
    const il_signal_spec *spec;
    const il_declared *loss;  /* source: a loss of the model's */
    int detector;             /* source: a detector's number, or -1 */
    int gate;                 /* gate: a detector's number, or -1 */
    bool trains;              /* on channel loss; else watched */
    bool runs[IL_PASS_KINDS]; /* whether it trains in that pass */
    il_word *route;           /* parameters its route names */
    /* by pass, once planned: */
    il_word *g[IL_PASS_KINDS];
    il_word *v[IL_PASS_KINDS];
    il_word *updates[IL_PASS_KINDS]; /* route and G */
    il_word *score_g; /* of the detector's score where it is differentiated */
    bool planned[IL_PASS_KINDS];
    /* of the step: */
    double normalizer;
    float *scramble;      /* gate values of the whole batch, for a scrambled gate */
    const int64_t *order; /* and who gets whose */
} il_term;

typedef struct il_terms {
    il_world *world;
    const il_stage_spec *stage;
    uint32_t depth;
    size_t words; /* of a bitset over the model's parameters */
    il_term *items;
    size_t count;
    int shadow;      /* the detector's number, or -1 */
    il_word *below;  /* parameters downstream of the shadow's detector */
    il_word **reads; /* [detector]: V at its sites */
    int scrambled;   /* certificate: whose score is replaced, or -1 */
    il_arena *arena;
} il_terms;

/* A micro-batch on its way. */
typedef struct il_micro {
    il_batch *batch;
    int64_t first;   /* its first example's place in the batch */
    double *weights; /* [term]: its part of the normalizer */
    int64_t *rows;   /* [term]: rows of the term */
    int64_t *offset; /* [term]: rows of the term in the micro-batches before */
} il_micro;

/* What a worker brings. */
typedef struct il_worker {
    il_pass *pass;
    il_arena *scratch;
} il_worker;

/* Resolves a stage's signals: names of losses, outputs, fields. Routes to what lies
 * downstream of a site need a tape: il_terms_plan. What is wrong is a problem at its
 * place. */
il_status il_terms_create(il_terms **out, il_world *world, const il_stage_spec *stage,
                          uint32_t depth, il_problems *problems, il_error *err);
void il_terms_destroy(il_terms *t); /* takes NULL */

/* Runs one micro-batch to learn the ancestries: routes, updates, what detectors read.
 */
il_status il_terms_plan(il_terms *t, il_worker *worker, il_micro *micro, il_error *err);

/* Fills the micro-batch's weights and rows from its data. */
il_status il_terms_measure(const il_terms *t, il_micro *micro, il_arena *scratch,
                           il_error *err);

typedef struct il_terms_run {
    int kind; /* IL_PASS_FIRST or IL_PASS_SECOND */
    int64_t step;
    const float *const *values; /* bound parameters */
    float *const *grads;        /* by parameter, added to */
    double *sums;               /* [term]: its loss, added to */
    bool watch;                 /* also the terms that are only watched */
    bool prologue;              /* only fill the scrambled gates */
} il_terms_run;

/* One forward and the backwards it asks for. Checks that the ancestries are those
 * planned. [work] */
il_status il_terms_step(il_terms *t, il_worker *worker, const il_micro *micro,
                        const il_terms_run *run, il_error *err);

/* The weight of a term at a step, scale included. */
double il_term_weight(const il_signal_spec *s, int64_t step, int64_t steps);

#endif
