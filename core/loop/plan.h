/* The plan of a stage: the facts that the firewall judges, taken off the trainer's
 * tape, and the verdict. */
#ifndef IL_LOOP_PLAN_H
#define IL_LOOP_PLAN_H

#include "loop/explain.h"
#include "loop/firewall.h"
#include "loop/pressed.h"
#include "loop/trainer.h"

typedef struct il_plan {
    il_arena *arena;
    il_flow flow;
    /* [term]: what the flow says of it in a pass; NULL where it does not run */
    const il_flow_signal **facts[IL_PASS_KINDS];
    const il_verdict *verdict;
    il_matrix_row *rows;
    size_t row_count; /* terms, then edits, then halts */
    il_explain_edit *edits;
    size_t edit_count;
    il_explain_halt *halts;
    size_t halt_count;
    il_matrix_group *groups;
    size_t group_count;
    unsigned demand;
    bool lowered; /* the demand was lowered by name */
} il_plan;

/* Judges what a trainer is about to do, coming from `pressed`. `chain` gives the
 * requirements of the stages so far. */
il_status il_plan_make(il_plan **out, const il_trainer *t, const il_pressed *pressed,
                       const il_job_step *chain, size_t chain_count, il_error *err);
void il_plan_destroy(il_plan *p); /* takes NULL */
/* Adds to `pressed` what this stage presses, and what learns from rows that it chose.
 */
void il_plan_inherit(const il_plan *p, const il_trainer *t, il_pressed *pressed);
/* The entry of plan.json for a variant. */
json_t *il_plan_json(const il_plan *p, const il_trainer *t, const char *stage,
                     const char *variant);

#endif
