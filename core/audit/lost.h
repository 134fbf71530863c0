/* What became of the recall that a detector lost: told apart by its twin, which trained
 * for as long without the pressure, and by a refit of its recipe on the model of now.
 *
 * Recall is at the threshold of then, on the same rows under the weights of then and of
 * now. Of the loss
 *
 *     stale   is what the twin lost as well: the model moved on, as any training would
 *             have it, and nothing hid
 *     gone    is what a refit does not bring back either: the model no longer holds it
 *             where the detector reads, or never showed it so well
 *     hidden  is the rest: lost under the pressure alone, and still to be read there
 *
 * in this order: what the twin explains is not counted again. */
#ifndef IL_AUDIT_LOST_H
#define IL_AUDIT_LOST_H

/* Recalls of one detector on one set of rows; NaN where one is not known. */
typedef struct il_recalls {
    double then;  /* at its threshold, under the weights of then */
    double now;   /* at its threshold, under those of now */
    double refit; /* of its recipe fitted anew, at the same rate of false positives */
} il_recalls;

/* In units of recall: lost = stale + gone + hidden. */
typedef struct il_lost {
    double lost;
    double stale, gone, hidden;
    double stale_share, hidden_share; /* of what was lost; NaN where nothing was */
} il_lost;

/* `twin_lost` is the twin's then less now, NaN without a twin: `stale` and `hidden` are
 * NaN then, as all is where a recall is not known. A refit that is not known, NaN,
 * leaves `gone` at 0 of a loss that the twin explains whole and NaN of any other. What
 * was gained is no loss: all is 0. */
il_lost il_lost_of(const il_recalls *pressed, double twin_lost);

#endif
