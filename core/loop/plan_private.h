/* What the files of the plan share. */
#ifndef IL_LOOP_PLAN_PRIVATE_H
#define IL_LOOP_PLAN_PRIVATE_H

#include "loop/plan.h"

/* Fills the flow, but for the groups. */
il_status il__plan_facts(il_plan *plan, const il_trainer *t, const il_pressed *pressed,
                         const il_job_step *chain, size_t chain_count, il_error *err);

#endif
