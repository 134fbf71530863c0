/* Halts: what a stage does when what its audits measure crosses a line.
 *
 * The rule alone: readings in, decisions out, and a record of both that goes with a
 * checkpoint. Who takes the readings, and what ending or freezing means, is the
 * stage's business (stage_halt.c). Nothing here draws or measures anything, so that
 * the same readings give the same decisions. */
#ifndef IL_LOOP_HALT_H
#define IL_LOOP_HALT_H

#include <jansson.h>
#include "base/arena.h"
#include "pipeline/pipeline.h"

/* One signal on channel halt. */
typedef struct il_halt {
    const il_signal_spec *spec;
    bool ill;       /* crossed the line, and has not come back over `until` since */
    int64_t in_row; /* audits in a row that found it so */
    bool raised;    /* it fired, and has not been healthy since; a freeze: for good */
    int64_t first;  /* step of the audit at which it fired first; -1: never */
    int64_t times;
    int64_t looks; /* audits that measured it */
    double value;  /* its last reading; NaN before the first */
    double best;   /* its best reading yet; NaN before the first */
    int64_t kept;  /* step of the state that is kept for it; -1: none */
} il_halt;

typedef struct il_halts {
    il_halt *items; /* in the order of the stage's signals */
    size_t count;
} il_halts;

/* The halts of a stage, in the arena. */
il_status il_halts_open(il_halts *out, const il_stage_spec *stage, il_arena *arena,
                        il_error *err);
/* Whether one of them may end the stage with an earlier state than its last. */
bool il_halts_go_back(const il_halts *h);

/* Bits of what a reading leads to. */
enum {
    IL_HALT_FIRES = 1u << 0, /* do now what it is there for */
    IL_HALT_KEEP = 1u << 1   /* the present state is the one to go back to */
};
/* Judges the reading of the audit at `step`; NaN is none, and leaves all as it was. */
unsigned il_halt_judge(il_halt *h, double reading, int64_t step);

/* "probe.tpr", or "fresh.linear.auroc minus probe.auroc". */
const char *il_halt_reading(il_arena *arena, const il_halt_spec *h);
/* "probe.tpr below 0.5 for 2 audits"; NULL when memory is out. */
const char *il_halt_line(il_arena *arena, const il_halt_spec *h);
/* "stop, the state of before", "alarm", "freeze desire". */
const char *il_halt_deed(il_arena *arena, const il_halt_spec *h);
/* How many ends a stage may have by one of its halts: the audits at which it could fire
 * first, and that it never does. Their log2 are the bits of selection that it spends.
 */
int64_t il_halt_ends(const il_stage_spec *stage, const il_halt_spec *h);

/* [{"signal", "reading", "line", "do", "keep", "ends", "bits", "looks", "value",
 * "fired": null or the first step, "times", "kept"}]: for audit.json. */
json_t *il_halts_report(const il_halts *h, const il_stage_spec *stage, il_arena *arena);
/* What goes with a checkpoint, and back. */
json_t *il_halts_json(const il_halts *h);
il_status il_halts_read(il_halts *h, const json_t *json, il_error *err);

#endif
