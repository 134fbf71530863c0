/* Between the files that audit played episodes. */
#ifndef IL_AUDIT_PLAYED_PRIVATE_H
#define IL_AUDIT_PLAYED_PRIVATE_H

#include "audit/audit_private.h"
#include "detect/reliability.h"
#include "episode/recorded.h"

/* A set of episodes that detectors are judged on. */
typedef struct il_played {
    const char *name; /* "own", "ref", or "" where neither fits */
    bool primary;     /* its numbers also stand under plain names */
    il_recorded *episodes;
    json_t *json; /* what audit.json holds of it */
    const il_rollout_spec *spec;
    const il_rollout *key; /* what they were drawn by */
    /* The same played by the weights of then, with those; NULL: not played yet. */
    il_recorded *past;
    const float *const *past_values;
} il_played;

/* What one detector says of a set: its rows, and a logit for each. */
typedef struct il_verdicts {
    il_acts *acts;
    float *logits;
    il_scores scores; /* of all rows, over the same arrays */
    double escalated; /* of members asked in turn; NaN of others */
} il_verdicts;

/* Keeps a number as READER.SET.NAME and, of the primary set, as READER.NAME; `more`,
 * taken over, goes beside it. NaN is left out. */
il_status il__played_put(il_audit_work *w, const il_played *set, const char *reader,
                         const char *name, double value, json_t *more, il_error *err);
/* One measure, with its interval. */
il_status il__played_put_measure(il_audit_work *w, const il_played *set,
                                 const char *reader, const char *part,
                                 const il_measured *m, il_measure which, il_error *err);

/* Reads the set through a detector at some weights; `tokens` NULL: its own mask,
 * `label` NULL: no labels. */
il_status il__played_read(il_verdicts *out, const il_audit_work *w,
                          const il_recorded *episodes, const il_detector *d,
                          const float *const *values, const char *tokens,
                          const char *label, il_error *err);
void il__played_close(il_verdicts *v);
/* Its measures, with intervals when the audit is a whole one. */
il_status il__played_measure(const il_audit_work *w, const il_scores *s,
                             il_measured *out, il_error *err);
/* Whether the environment has what this detector needs to be judged: its mask, and the
 * label, which is its fit's or, where it has none, that of the first that has. */
bool il__played_judges(const il_audit_work *w, const il_detector *d,
                       const char **label);

/* How far each class has moved along a detector's own scale since it was first fitted,
 * as shift_positive and shift_negative, on the same episodes under both weights; in a
 * whole audit the four cells too, as cells.y0w0.MEASURE and so on: the episodes of then
 * and of now under the weights of then and of now. Of episodes by a policy that is not
 * the model's, which stay the same, the first two. `now` is what the detector says now,
 * measured. */
il_status il__played_since(il_audit_work *w, il_played *set, const il_audited *a,
                           const char *label, const il_measured *now, il_error *err);

/* Readers fitted anew on half of the set and judged on the other half, with the gap to
 * the detector beside them; `first`: they also stand under their own names, in a whole
 * audit with their floors. */
il_status il__played_fresh(il_audit_work *w, const il_played *set, const il_detector *d,
                           const il_verdicts *v, bool first, il_error *err);

/* The set position by position: means of the environment's labels and masks, and of the
 * readings of `count` detectors. */
json_t *il__played_profile(const il_played *set, size_t count,
                           const il_detector *const *detectors,
                           const il_verdicts *verdicts);
/* A detector's logits by class. */
json_t *il__played_histogram(const il_scores *s);

#endif
