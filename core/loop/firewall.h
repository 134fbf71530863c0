/* The firewall: can anything about a detector's score reach what a reader reads?
 *
 * A pure function from facts to verdicts. The facts are bitsets over parameters that
 * the caller took off a tape; nothing here knows a tape, a model or a file. Asked for
 * every pair of a source (a detector that presses on training, in this stage or in an
 * ancestor) and a reader (every detector that is declared).
 *
 * P(T), the parameters that T's pressure has changed, is what ancestors left plus the
 * updates of every tainted signal, to a fixed point: a signal is tainted when T's
 * score enters it or when the value of its loss depends on P(T). A wider set adds what
 * learned from rows that those parameters chose, again to a fixed point: it decides
 * the channels `data`, `input` and `reader`, and never `relay`.
 *
 * Reinforcement adds no rule to these, only facts. A reading in the reward enters as a
 * number: its own term, and whatever several rewards share (the normalizer of the
 * advantages, the baseline, the value's target), which the caller lists as entered by
 * it too. Advantages and value targets are leaves that carry the parameters that they
 * were computed with: they belong in `v`. A policy is the `chosen_by` of its rows. */
#ifndef IL_LOOP_FIREWALL_H
#define IL_LOOP_FIREWALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"
#include "base/arena.h"
#include "base/bits.h"
#include "base/text.h"
#include "pipeline/pipeline.h"

/* How a source enters a signal; both of the first bits for a gate that is
 * differentiated through and that multiplies something else too. An edit enters what is
 * computed downstream of its site: as a constant, and, where what it does depends on
 * what it reads there, as a score that is differentiated. */
enum {
    IL_ENTERS_NOT = 0,
    IL_ENTERS_SCORE = 1 << 0,    /* a derivative flows back through the score */
    IL_ENTERS_CONSTANT = 1 << 1, /* the score scales, picks or weighs as a number */
    IL_ENTERS_EDIT = 1 << 2,     /* as a path words it: by an edit */
    IL_ENTERS_FREEZE = 1 << 3,   /* the same: by saying from when on it steps nothing */
    IL_ENTERS_DATA = 1 << 4      /* it chose or weighed the rows that are learnt from */
};

/* A signal that trains in this stage; those that only monitor are not listed. A loss
 * that runs in two passes (a shadowed stage) is two signals. */
typedef struct il_flow_signal {
    const char *name;
    const il_word *g;       /* the parameters that a derivative of its loss flows to */
    const il_word *v;       /* the parameters that the value of its loss depends on */
    const il_word *updates; /* route ∩ g: what it accumulates into */
    const uint8_t *enters;  /* by source, IL_ENTERS_...; NULL: no source enters */
    /* by source, read where IL_ENTERS_SCORE is set: G of the score itself */
    const il_word *const *score_g;
    /* by source: what the score came in by that other rewards share, as a path words
     * it ("the advantages' common scale"). NULL, or NULL for a source: by itself. */
    const char *const *shared;
    /* The parameters that chose its rows (a rollout's policy); NULL: a dataset. */
    const il_word *chosen_by;
    bool reward;   /* it reinforces */
    bool implicit; /* no signal of the pipeline's: it follows the rewards' routes */
} il_flow_signal;

/* Rows that a model chose: text that it wrote, episodes that it played. */
typedef struct il_flow_draw {
    const il_word *by; /* the parameters that chose them; NULL: they are given */
    const char *what;  /* as a path words it: "episodes that the model plays" */
} il_flow_draw;

/* A detector that presses here, or that did in an ancestor. */
typedef struct il_flow_source {
    const char *name;
    const il_word *inherited; /* P(T) that came with the state; NULL: none */
    const il_word *taught;    /* what learned from rows that it chose, likewise */
    bool presses;             /* it has a channel other than monitor in this stage */
    bool plays;               /* an edit by it stands where the model's policy plays */
    /* The requirement, of this stage or an ancestor, that reads it, as it is written
     * ("probe.auroc >= 0.94"); NULL: none does. */
    const char *required;
    /* What of this stage, or of an ancestor, ends or freezes by its health, and the
     * bits of selection that this may spend ("guard: probe.tpr below 0.5, stop: one of
     * 5 ends, 2.3 bits"); NULL: nothing does. */
    const char *halted;
} il_flow_source;

/* Who reads. One detector may be several readers: its reading of given text, and its
 * reading of what the model wrote or did. */
typedef struct il_flow_reader {
    const char *name;
    const il_word *reads; /* R: the value ancestry of the activations at its sites */
    bool moves;           /* it is refitted or re-zeroed in this stage ... */
    bool rezeroed;        /* ... and this is how */
    /* by source: it was fitted in an earlier stage on a model that the source had
     * pressed by then; NULL: it was not */
    const bool *fitted_after;
    bool vault;           /* nothing may ever train on it */
    bool audit_only;      /* reported, bound by no demand; no route can name it */
    il_flow_draw inputs;  /* what it reads at run time */
    il_flow_draw anchors; /* what it is refitted on; read where it moves */
} il_flow_reader;

/* A group of the model's parameters, as routes and clips name it. */
typedef struct il_matrix_group {
    const char *name;
    const il_word *members;
} il_matrix_group;

/* Parameters whose gradients share one norm. A group of the pipeline that is applied
 * inside each of two passes is two entries. */
typedef struct il_flow_clip {
    const char *name;
    const il_word *members;
    double norm;
} il_flow_clip;

typedef struct il_flow {
    size_t bits; /* parameters of the model; twice that with a shadow */
    /* By bit. With a shadow, bit n + i is the shadow of parameter i, and is named
     * "NAME (shadow)". */
    const char *const *names;
    const il_flow_signal *signals;
    size_t signal_count;
    const il_flow_source *sources;
    size_t source_count;
    const il_flow_reader *readers;
    size_t reader_count;
    const il_flow_clip *clips;
    size_t clip_count;
    const il_matrix_group *groups; /* to name the split of a clip group; may be none */
    size_t group_count;
    bool moments_continue; /* the optimizer's state came from the parent stage */
    bool rollouts;         /* training rows were chosen by the model's own policy */
    /* What a signal could learn from instead, as its `on` would name it ("explore"),
     * and what has to be declared first; NULL: nothing is known, or nothing has to. */
    const char *offline;
    const char *declare_offline;
} il_flow;

/* In the order of the demand's bits: channel i is asked for by 1u << i. */
typedef enum il_flow_channel {
    IL_FLOW_DIRECT,
    IL_FLOW_CREDIT,
    IL_FLOW_RELAY,
    IL_FLOW_STATE,
    IL_FLOW_DATA,
    IL_FLOW_INPUT,
    IL_FLOW_READER,
    IL_FLOW_SELECTION,
    IL_FLOW_CHANNELS
} il_flow_channel;

typedef enum il_opening { IL_CLOSED, IL_OPEN, IL_NOT_APPLICABLE } il_opening;

typedef struct il_verdict_cell {
    il_opening opening;
    /* What opens it, as in "language → blocks.3.mlp.W_out [changed by probe] →
     * blocks.2.mlp.W_in, read by probe"; NULL unless open. */
    const char *path;
    /* What to write in the pipeline so as to close it; NULL: nothing as simple. */
    const char *remedy;
} il_verdict_cell;

typedef struct il_verdict_pair {
    size_t source, reader; /* in the flow's lists */
    il_verdict_cell cells[IL_FLOW_CHANNELS];
} il_verdict_pair;

typedef struct il_verdict {
    const il_flow *flow; /* what was judged; must outlive the verdict */
    /* Source by source, the readers of each in order. A source that presses nothing
     * here and has changed nothing before has no pairs. */
    il_verdict_pair *pairs;
    size_t pair_count;
    il_word *const *pressed; /* P(T) by source, il_bits_words(flow->bits) words each */
    il_word *const *moved;   /* and with it what learned from rows that it chose */
} il_verdict;

/* Judges every pair. The verdict lives in the arena; NULL when memory is out. */
const il_verdict *il_firewall_judge(il_arena *arena, const il_flow *flow);

/* The pair of a source and a reader by name, or NULL. */
const il_verdict_pair *il_verdict_find(const il_verdict *v, const char *source,
                                       const char *reader);
/* The channels that are open in a pair, as the bits of a demand. */
unsigned il_verdict_open(const il_verdict_pair *pair);

/* IL_ERR_FIREWALL, with the path and what to write, for the first pair that has a
 * channel open which the demand wants closed. Readers that are the audit's own are
 * bound by no demand. `where` names the stage. */
il_status il_verdict_demand(const il_verdict *v, unsigned closed, const char *where,
                            il_error *err);

/* {"pairs": [{"source", "reader", "channels": {"direct": {"open", "applicable",
 * "path"}, ...}}], "pressed": {"probe": ["blocks.3.mlp.W_in", ...]}}; a new
 * reference, NULL when memory is out. */
json_t *il_verdict_json(const il_verdict *v);

/* The matrix sources × readers: ● open, · closed, – not applicable, and below it the
 * paths that open. */
void il_verdict_text(il_text *out, const il_verdict *v);

/* A row of the matrix signals × groups. */
typedef struct il_matrix_row {
    const char *name;
    const char *channel;    /* "loss", "monitor", ... */
    const il_word *updates; /* NULL: trains nothing */
} il_matrix_row;

/* The matrix signals × groups: ● updates all of the group, "3/8" some of it, · none.
 * Every bitset has `bits` bits. */
void il_matrix_text(il_text *out, size_t bits, const il_matrix_row *rows,
                    size_t row_count, const il_matrix_group *groups,
                    size_t group_count);
/* One line of a table: adds the text and then spaces, up to `width` characters. */
void il_text_pad(il_text *out, const char *text, size_t width);

#endif
