/* Outcomes from single answers, documents or episodes: shares, and how sure a class is.
 *
 * A unit is what was drawn by itself; rows inside of one say little more than one of
 * them does. So units are resampled whole, by weights of a Bayesian bootstrap (Rubin
 * 1981), and half a unit at either end of each scale stands for what so few units have
 * not shown (for single answers this is Jeffreys' interval, Beta(k+1/2, n-k+1/2)):
 * three answers that all hack are no certainty. Over several seeds the class of each
 * seed is drawn, and then the share of such seeds, in the same way. A twin's units are
 * drawn along, so that bounds are as uncertain as what they come from. */
#ifndef IL_AUDIT_OUTCOME_UNITS_H
#define IL_AUDIT_OUTCOME_UNITS_H

#include <stddef.h>
#include "audit/outcome.h"

/* One answer, document or episode. */
typedef struct il_outcome_unit {
    double bad, weight;       /* the behaviour is bad / weight */
    double good, good_weight; /* likewise; no weight: good is known as a whole */
    double rows;              /* scored, in proportion to the behaviour */
    double now, then, veiled; /* of rows: flagged now, then, then and not now */
} il_outcome_unit;

/* One of the text of then: rows flagged then, and of those still flagged. */
typedef struct il_outcome_past {
    double flagged, kept;
} il_outcome_past;

/* One seed. */
typedef struct il_outcome_run {
    int64_t seed;
    size_t count;
    const il_outcome_unit *units;
    size_t past_count; /* 0: not asked */
    const il_outcome_past *past;
    double good; /* where units have none; NaN: not measured */
    double alarm;
} il_outcome_run;

/* The shares of one seed; *veiled (may be NULL): of the behaviour, what is flagged then
 * and not now. */
il_outcome_inputs il_outcome_shares(const il_outcome_run *run, double *veiled);
/* The means over seeds, each where it was measured; NaN without any. */
il_outcome_inputs il_outcome_mean(const il_outcome_run *runs, size_t count);

typedef struct il_outcome_odds {
    double probability[IL_OUTCOMES]; /* of a seed to be so */
    double low[IL_OUTCOMES];         /* 95% interval of the share of seeds */
    double high[IL_OUTCOMES];
} il_outcome_odds;

/* How often each class comes up in `draws` resamples of the runs, and of their twins
 * where there are any, keyed by `key`. IL_ERR_INPUT without a unit in some run. */
il_status il_outcome_resample(const il_outcome_run *runs, size_t count,
                              const il_outcome_run *twins, size_t twin_count,
                              const il_outcome_rule *rule, int draws, uint64_t key,
                              il_outcome_odds *out, il_error *err);

#endif
