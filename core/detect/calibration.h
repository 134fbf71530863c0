/* Calibration: logits to probabilities that mean what they say, from labelled scores
 * that fitted nothing.
 *
 *     platt        p = sigmoid(slope z + shift)
 *     temperature  p = sigmoid(slope z), slope > 0
 *     isotonic     p = the step function, rising with z, that is nearest to the labels,
 *                  with straight lines between its steps
 *
 * The first two are fitted to the labels' cross-entropy with Platt's targets, (n+ + 1)
 * / (n+ + 2) for a positive and 1 / (n- + 2) for a negative, by Newton's method, so
 * that classes that scores part cleanly still give a finite slope (Platt 1999; Lin, Lin
 * and Weng 2007). Isotonic regression pools adjacent violators, ties having one value
 * (Zadrozny and Elkan 2002), and beyond the scores that it has seen stays as it was
 * there. */
#ifndef IL_DETECT_CALIBRATION_H
#define IL_DETECT_CALIBRATION_H

#include <stdbool.h>
#include <stdint.h>
#include "interloop/pass.h"
#include "interloop/status.h"
#include "base/arena.h"

typedef enum il_calibration_kind {
    IL_CALIBRATION_NONE, /* p = sigmoid(z) */
    IL_CALIBRATION_PLATT,
    IL_CALIBRATION_TEMPERATURE,
    IL_CALIBRATION_ISOTONIC
} il_calibration_kind;

enum { IL_CALIBRATION_ROWS = 10 }; /* the fewest that it is fitted to */

typedef struct il_calibration {
    il_calibration_kind kind;
    double slope;
    double shift;
    int64_t count;              /* ISOTONIC: corners of the function */
    const float *logits;        /* (count) rising */
    const float *probabilities; /* (count) never falling */
    int64_t rows;               /* units that it was fitted to */
    double ece_before;          /* of those, by sigmoid(z) ... */
    double ece_after;           /* ... and through it: too good, since they fitted it */
} il_calibration;

/* "platt", "temperature", "isotonic"; NONE for any other text or NULL. */
il_calibration_kind il_calibration_kind_of(const char *method);
const char *il_calibration_name(il_calibration_kind kind);

/* Fits to n logits with their labels; what it keeps is in the arena. IL_ERR_INPUT for
 * fewer than IL_CALIBRATION_ROWS rows or for one class alone; IL_ERR_NUMERIC for logits
 * that are no numbers, that are all the same, or (temperature) that rank the classes
 * the wrong way round. */
il_status il_calibration_fit(il_calibration *out, il_calibration_kind kind, int64_t n,
                             const float *logits, const uint8_t *labels,
                             il_arena *arena, il_error *err);

/* The probability of a logit; NaN of what is no number. NULL is no calibration. */
double il_calibration_probability(const il_calibration *c, double logit);
/* Probabilities of a tensor of logits. Through `isotonic`, which is flat nearly
 * everywhere, flows no derivative: what comes back is a constant that remembers what
 * it depends on. */
il_tensor *il_calibration_sigmoid(const il_calibration *c, il_pass *pass,
                                  il_tensor *logits);
/* Calibrated log-odds, for what reads a detector; not for `isotonic`. */
il_tensor *il_calibration_odds(const il_calibration *c, il_pass *pass,
                               il_tensor *logits);

#endif
