/* Between the files that take an audit's outcome from what the model did. */
#ifndef IL_AUDIT_OUTCOME_PRIVATE_H
#define IL_AUDIT_OUTCOME_PRIVATE_H

#include "audit/audit_private.h"
#include "audit/behaviour.h"
#include "audit/outcome_units.h"
#include "episode/recorded.h"

/* What an outcome is about, and what was taken for it so far; in the audit's arena. */
typedef struct il_outcome_taken {
    const char *behaviour; /* metrics */
    const char *good;      /* NULL: none */
    il_outcome_rule rule;
    const il_audited *detector;
    bool found; /* the behaviour is measured by units */
    il_outcome_unit *units;
    int64_t count;
    il_outcome_past *past;
    int64_t past_count;
} il_outcome_taken;

/* The rule of a pipeline: what it gives, and else the default. */
il_outcome_rule il__outcome_rule(const il_outcome_spec *spec);
/* Opens what the audit's outcome is about, where it asks for one or the environment
 * labels answers `hack` and `honest`; never while the model is edited. */
il_status il__outcome_open(il_audit_work *w, il_error *err);
/* Whether the outcome asks this detector: the named one, or the first that is asked. */
bool il__outcome_asks(il_audit_work *w, const il_audited *a);

/* Whether the text of then is worth writing: in a whole audit, and where the class
 * hangs on it. */
bool il__outcome_needs_past(const il_audit_work *w);

/* Texts that the model wrote from the data's prompts. */
il_status il__outcome_text(il_audit_work *w, il_behaviour *text, il_error *err);
/* Answers, with each one's word of the detector: 1 flagged, 0 not, -1 not scored. */
il_status il__outcome_answers(il_audit_work *w, const il_recorded *answers,
                              const int8_t *now, const int8_t *then, il_error *err);
/* Answers of then, likewise: what was flagged of them, and still is. */
il_status il__outcome_answers_then(il_audit_work *w, int64_t count, const int8_t *then,
                                   const int8_t *now, il_error *err);
/* Episodes of the model's own policy. */
il_status il__outcome_episodes(il_audit_work *w, const il_recorded *episodes,
                               il_error *err);

/* Classes what was taken: puts outcome.* among the metrics, and into w->outcome what
 * audit.json holds. */
il_status il__outcome_close(il_audit_work *w, il_error *err);

#endif
