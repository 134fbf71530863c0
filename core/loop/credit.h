/* The credit map: what each reading of a detector presses on, place by place, in the
 * batch of the step just made.
 *
 * A detector as a loss credits a position with the derivative of the weighted loss with
 * respect to its logit there; a gate with the weight that the gated loss has there. A
 * reward's reading at the position that follows an action enters the advantages of that
 * action and of those before it: `sent` is what it adds to all of them together, and
 * `received` what an action gets from all readings that follow it, both as the factor
 * on -log pi that they become.
 *
 * A reward that does not depend on the action drops out of the policy gradient in
 * expectation, whatever its size: all that it adds is noise. Whether that is so is
 * asked of the very advantages of the update: whether they differ between actions taken
 * at the same position (or between answers to the same prompt), against the same
 * advantages dealt anew among them. */
#ifndef IL_LOOP_CREDIT_H
#define IL_LOOP_CREDIT_H

#include "loop/trainer.h"

/* Rows of advantages: whose episode's, where, and after which action. */
typedef struct il_credit_rows {
    int64_t count;
    int32_t *positions; /* ascending */
    int32_t *actions;   /* ascending within a position */
    double *values;
} il_credit_rows;

/* What is known of a term's dependence on the action. */
typedef enum il_credit_verdict {
    IL_CREDIT_DEPENDS,     /* it was found to */
    IL_CREDIT_NONE_FOUND,  /* it differs, but not with the action as far as is seen */
    IL_CREDIT_DROPS_OUT,   /* it is the same whatever is done */
    IL_CREDIT_UNDETERMINED /* too few actions to choose from, or taken twice */
} il_credit_verdict;

typedef struct il_credit_action {
    il_credit_verdict verdict;
    int64_t rows;
    int64_t compared; /* rows at positions where several actions were taken */
    double variance;  /* about the mean of their position */
    double share;     /* of that, which the action explains, free of bias; NaN */
    double p;         /* chance of as much among values dealt anew; NaN */
    double least;     /* a share below this arises by chance oftener than once in
                         twenty; NaN */
} il_credit_action;

/* Whether values differ with the action, position by position; `key` for the deals.
 * Sorts nothing: rows come sorted. False when memory is out. */
bool il_credit_depends(const il_credit_rows *rows, uint64_t seed, uint64_t key,
                       il_credit_action *out);
const char *il_credit_verdict_name(il_credit_verdict v);

/* The map of every signal that a detector or a label presses by, of the step just made;
 * NULL where there is none. Training does not change. A new reference:
 *
 *   {"step", "signals": {NAME: {"channel", "source" | "gate", "positions":
 * [{"position", "rows", "reading", "credit" | "sent", "received", "size"}], "fields":
 * {FIELD: {"role", "set": {...}, "unset": {...}}}, "tokens": [{"token", ...}],
 * "action": {...}}}} */
il_status il_credit_map(il_trainer *t, json_t **out, il_error *err);

#endif
