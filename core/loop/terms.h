/* Terms: a stage's signals as they run, on the tape, row by row.
 *
 * A term turns a signal into a tensor of rows and a coefficient for each, so that its
 * loss is their product's sum. Coefficients hold weight, row weights and the batch's
 * normalizer; the last is computed from data alone before any lane runs, and a gate
 * never enters it. Terms that update the same parameters share one backward.
 *
 * Where a stage trains on rollouts, the episodes are assessed first: what the policy's
 * actions brought, signal by signal. Rewards enter as coefficients of -log pi(action).
 * With equal routes the reward terms and the implicit `baseline` add up to exactly the
 * policy gradient of the summed rewards. */
#ifndef IL_LOOP_TERMS_H
#define IL_LOOP_TERMS_H

#include "detect/edit.h"
#include "detect/harvest.h"
#include "loop/world.h"
#include "pipeline/fields.h"

/* The passes of a step. Without a shadow there is the first alone. With one, the first
 * binds the shadow downstream of the detector and trains what no detector enters; the
 * second binds the real downstream half behind a stop at the detector's sites. */
enum { IL_PASS_FIRST = 0, IL_PASS_SECOND = 1, IL_PASS_KINDS = 2 };

/* What a term is made of. */
typedef enum il_term_kind {
    IL_TERM_LOSS,          /* a loss the model gives */
    IL_TERM_DETECTOR,      /* softplus of a detector's logits */
    IL_TERM_CROSS_ENTROPY, /* of a named output */
    IL_TERM_REWARD,        /* -log pi(action), times what the signal's own reward (the
                              environment's, a detector's, a label's) made of it */
    IL_TERM_BASELINE,      /* -log pi(action), times the rest of the advantage: values
                              and mean. Implicit */
    IL_TERM_VALUE,         /* the value's squared error. Implicit */
    IL_TERM_ENTROPY,       /* minus the policy's entropy */
    IL_TERM_KL,            /* the policy's divergence from a reference */
    IL_TERM_LATENT         /* -log density of a sampled site, times what the sample made
                              of a detector's probability */
} il_term_kind;

typedef struct il_term {
    const il_signal_spec *spec; /* of an implicit term: made up, with its name */
    il_term_kind kind;
    il_channel channel;       /* of an implicit term: reward, as of those it serves */
    bool implicit;            /* counts as a part of every reward term that trains */
    const il_declared *loss;  /* LOSS */
    int detector;             /* whose score it reads, in whatever channel, or -1 */
    int gate;                 /* gate: a detector's number, or -1 */
    const char *field;        /* REWARD: the reward or label it reads, or NULL */
    int reference;            /* KL: the reference's number in the world, or -1 */
    uint64_t lots;            /* the rollouts it runs on, a bit each; 0: rows of data */
    bool own;                 /* some of those were played by the model's own policy */
    bool trains;              /* on channel loss or reward; else watched */
    bool runs[IL_PASS_KINDS]; /* whether it trains in that pass */
    il_word *route;           /* parameters its route names */
    /* by pass, once planned: */
    il_word *g[IL_PASS_KINDS];
    il_word *v[IL_PASS_KINDS];
    il_word *updates[IL_PASS_KINDS]; /* route and G */
    il_word *score_g; /* of the detector's score where it is differentiated */
    il_word *weigh_v; /* what the rows' coefficients depend on, where no derivative
                         flows: advantages, value targets, ratios */
    bool planned[IL_PASS_KINDS];
    /* of the step: */
    double normalizer;
    float *scramble;      /* values of the whole batch that are dealt to other rows */
    const int64_t *order; /* and who gets whose */
    float *apart;         /* how far a turned detector reads from itself, likewise */
    float level;          /* what brings it to where the other stood at first */
    bool leveled;         /* that is known */
} il_term;

/* A signal that edits: it has no rows and no gradient, and stands in the passes of the
 * stage. What depends on the site that it edits bears its bit in V, after those of the
 * model's parameters. */
typedef struct il_term_edit {
    const il_signal_spec *spec;
    il_editor editor;
    int detector;
    uint64_t lots;                  /* the rollouts it stands in, a bit each; 0: rows of
                                       data */
    il_word *site_g[IL_PASS_KINDS]; /* once planned: G at the site */
} il_term_edit;

/* A signal that chooses among the examples of a batch, or weighs them: it has no rows
 * of its own, and multiplies those of all that trains on these examples. */
typedef struct il_term_sift {
    const il_signal_spec *spec;
    int detector;
    uint64_t lots; /* the rollouts whose episodes it sifts, a bit each; 0: rows of data
                    */
    /* of the step: */
    double kept;    /* the sum of its weights ... */
    int64_t scored; /* ... over the examples that have a score */
} il_term_sift;

/* What one mean and one spread make of an update's advantages. */
typedef struct il_moments {
    double mean;
    double scale;
    int64_t rows;
} il_moments;

typedef struct il_terms {
    il_world *world;
    const il_stage_spec *stage;
    const il_instance *rows; /* whose fields are named: data's or environment's */
    uint32_t depth;
    size_t bits;    /* the model's parameters and, after them, the edits */
    size_t words;   /* of a bitset over those */
    il_term *items; /* the stage's signals in their order, then implicit ones */
    size_t count;
    il_term_edit *edits;
    size_t edit_count;
    il_term_sift *sifts;
    size_t sift_count;
    int shadow;         /* the detector's number, or -1 */
    il_word *every;     /* all parameters */
    il_word *below;     /* parameters downstream of the shadow's detector */
    il_word **reads;    /* [detector]: V at its sites */
    bool *probed;       /* [site]: fresh readers of the stage's audit read it */
    il_word *probed_v;  /* V at those */
    uint64_t own;       /* the rollouts that the model's own policy plays, a bit each */
    il_word *acts_v;    /* V of the policy: what chooses the actions of those */
    const char *policy; /* the output that acts: "policy" or "logits" */
    const uint8_t *allowed; /* tokens an answer may hold; NULL: every action */
    int64_t mean_site;      /* LATENT: what samples are drawn around, or -1 */
    int scrambled;          /* certificate: whose score is replaced, or -1 */
    bool planning;          /* ancestries are being learned: every site is read */
    il_arena *arena;
} il_terms;

/* What was made of the episodes of a micro-batch, before any gradient. Rows are those
 * where an action was taken, N of them. In the micro-batch's arena. */
typedef struct il_play {
    bool assessed;
    int64_t episodes;
    int64_t length;     /* positions of an episode */
    int64_t count;      /* N */
    int32_t *rows;      /* (N) flat positions, ascending */
    int32_t *actions;   /* (N) */
    int64_t *first;     /* [episodes+1]: an episode's rows */
    double **advantage; /* [term]: (N) the part a reward term owns, before its scale;
                           NULL for other terms */
    double **rewards;   /* [term]: (N) what it is made of, each with its weight */
    double *returns;    /* [term]: its source summed over rows, as it was read */
    double *baseline;   /* (N) the part of the values; NULL without them */
    double *total;      /* (N) the sum of all parts that train */
    double *scale;      /* (N) what divides by the spread, group by group; NULL: the
                           whole batch has one */
    float *target;      /* (N) for the values */
    float *surprise;    /* (N) -log pi when it was played */
} il_play;

/* What a forward pass left for the terms. */
typedef struct il_forward {
    il_pass *pass;
    il_pass *aside; /* the worker's */
    il_arena *arena;
    struct il_micro_scores *scores; /* [detector] */
    il_tensor *policy;              /* (N,A) at the acted rows, once asked for */
    il_tensor *surprise;            /* (N) -log pi(action), likewise */
} il_forward;

/* A micro-batch on its way. */
typedef struct il_micro {
    il_batch *batch; /* its own, or that of a trainer that is followed */
    il_batch *own;
    int64_t first;   /* its first example's place in the batch, or in its rollout */
    int64_t count;   /* examples */
    uint32_t lot;    /* the rollout its episodes belong to */
    int64_t place;   /* its first example's place among those of all rollouts */
    int64_t part;    /* the minibatch that it belongs to; 0 where there is one */
    double *weights; /* [term]: its part of the normalizer */
    int64_t *rows;   /* [term]: rows of the term */
    int64_t *offset; /* [term]: rows of the term in the micro-batches before */
    /* where signals sift, else NULL: */
    double *scores; /* [sift][count]: an example's mean probability; -1: it has none */
    float *share;   /* [count]: what an example weighs in all that trains on it */
    bool sifted;    /* the shares are those of the present batch */
    /* of rollouts alone: */
    il_arena *arena; /* for one update */
    il_pass *pass;   /* keeps the tape between assessment and backward; NULL: redone */
    bool alive;      /* it holds the tape of the present weights */
    il_forward forward;
    il_play play;
    double *readings; /* [2*detector]: sum of its probabilities, and rows */
} il_micro;

/* What a worker brings. */
typedef struct il_worker {
    il_pass *pass;
    il_pass *aside; /* for references; NULL where there is none */
    float **grads;  /* by parameter: where a lane's gradients go */
    il_arena *scratch;
} il_worker;

typedef struct il_terms_run {
    int kind; /* IL_PASS_FIRST or IL_PASS_SECOND */
    int64_t step;
    const float *const *values; /* bound parameters */
    float *const *grads;        /* by parameter, added to */
    double *sums;               /* [term]: its loss, added to */
    double *slopes; /* [term]: derivative of its loss with respect to the offset of its
                       re-zeroed detector, added to; NULL: not wanted */
    double *fits;   /* derivatives with respect to weight and bias of a detector that is
                       refitted through its fit, added to; NULL: not wanted */
    const int64_t *fit_at;     /* [term]: where its own stands there, or -1 */
    bool watch;                /* also the terms that are only watched */
    bool prologue;             /* only note the values that are dealt */
    const il_moments *moments; /* of the update's advantages; NULL: they stand raw */
} il_terms_run;

/* Resolves a stage's signals: names of losses, outputs, fields. Routes to what lies
 * downstream of a site need a tape: il_terms_plan. What is wrong is a problem at its
 * place. */
il_status il_terms_create(il_terms **out, il_world *world, const il_stage_spec *stage,
                          uint32_t depth, il_problems *problems, il_error *err);
void il_terms_destroy(il_terms *t); /* takes NULL */

/* Learns the ancestries from one micro-batch of each rollout, or of the data: routes,
 * updates, what detectors read. */
il_status il_terms_plan(il_terms *t, il_worker *worker, il_micro *const *micros,
                        size_t count, il_error *err);

/* Scores the micro-batch's examples by every signal that sifts it, under the present
 * weights. Of episodes that were assessed just now on the worker's pass. [work] */
il_status il_terms_score_examples(il_terms *t, il_worker *worker, il_micro *micro,
                                  const il_terms_run *run, il_error *err);
/* From the scores of the whole batch to its examples' shares, in the order of the
 * micro-batches. */
il_status il_terms_sift(il_terms *t, il_micro *micros, size_t count, il_error *err);
/* Multiplies what `n` rows of a term weigh by their examples' shares; rows are flat
 * positions of examples of `length`. */
void il_terms_weigh(const il_term *term, const il_micro *micro, const int32_t *rows,
                    int64_t n, int64_t length, float *weights);

/* Fills the micro-batch's weights and rows from its data, and its examples' shares. */
il_status il_terms_measure(const il_terms *t, il_micro *micro, il_arena *scratch,
                           il_error *err);

/* A forward over episodes just played, and what it makes of them: micro->play. The tape
 * stays where the micro-batch has a pass of its own. [work] */
il_status il_terms_assess(il_terms *t, il_worker *worker, il_micro *micro,
                          const il_terms_run *run, il_error *err);
/* Mean and spread of the whole batch's advantages, in the order of the micro-batches.
 * An advantage that is no number is IL_ERR_NUMERIC. */
il_status il_terms_settle(const il_terms *t, const il_micro *micros, size_t count,
                          il_moments *out, il_error *err);

/* One forward, unless its tape was kept, and the backwards it asks for. Checks that the
 * ancestries are those planned. [work] */
il_status il_terms_step(il_terms *t, il_worker *worker, il_micro *micro,
                        const il_terms_run *run, il_error *err);

/* The weight of a term at a step, scale included. */
double il_term_weight(const il_signal_spec *s, int64_t step, int64_t steps);
/* The edits that stand in a pass on a rollout's episodes (or the data's rows, for lot 0
 * of that) at a step: in the arena. With a shadow the first pass has none, so that what
 * is trained upstream does not know them. */
il_status il_terms_edits(const il_terms *t, int kind, int64_t step, uint32_t lot,
                         il_arena *arena, il_site_edits *out, il_error *err);
/* Whether what an edit hands back at its site has a part in a term, in its value or in
 * its coefficients; once planned. */
bool il_term_edited(const il_terms *t, const il_term *term, size_t edit, int kind);
/* Whether a term reads the episodes of a rollout (or the data, for lot 0 of that). */
static inline bool il_term_on(const il_term *term, uint32_t lot)
{
    return term->lots == 0 || (term->lots >> lot & 1u) != 0;
}

#endif
