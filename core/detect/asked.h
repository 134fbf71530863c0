/* Questions to a detector from a host that has an autograd of its own: logits of
 * activations, kept as a tape until the host has asked for their derivatives.
 *
 * The activations are borrowed from question to release. Safe from several threads at
 * once for one asking; each answer belongs to one thread at a time. */
#ifndef IL_DETECT_ASKED_H
#define IL_DETECT_ASKED_H

#include "detect/detector.h"

typedef struct il_asking il_asking; /* a detector with its spare passes */
typedef struct il_answer il_answer; /* logits, and the tape that they came from */

/* Activations with what may be read of them. */
typedef struct il_question {
    int64_t batch;            /* B */
    int64_t length;           /* T; 1: acts are rows (B,W) */
    const float *const *acts; /* by the detector's sites, (B,T,W) */
    const uint8_t *mask;      /* (B,T): which are scored; NULL: all */
    const int32_t *lengths;   /* (B): where padding begins; NULL: nowhere */
    const int32_t *tokens;    /* (B,T): what the model read; NULL: not known */
} il_question;

/* Whether a position is scored: the mask has it, and it is no padding. */
static inline bool il_question_scores(const il_question *q, int64_t b, int64_t t)
{
    return (q->mask == NULL || q->mask[b * q->length + t] != 0) &&
           (q->lengths == NULL || t < q->lengths[b]);
}

/* Borrows the detector, which is ready and frozen while it is asked. */
il_status il_asking_create(il_asking **out, const il_detector *d, const il_blas *blas,
                           il_error *err);
void il_asking_destroy(il_asking *a); /* takes NULL; after every release */

/* Asks. Shapes that the detector does not read are IL_ERR_SHAPE; a question of which
 * nothing is scored has no logits. */
il_status il_ask(il_answer **out, il_asking *a, const il_question *q, il_error *err);
/* A logit for each scored position, in the order of (B,T); for a detector that pools,
 * one for each sequence with any. Theirs until release. */
const float *il_answer_logits(const il_answer *a, int64_t *count);
/* grads[i] (B,T,W) becomes the derivative of sum_n seed_n logit_n in acts[i]; NULL:
 * nobody asks. May run several times. */
il_status il_answer_backward(il_answer *a, const float *seed, float *const *grads,
                             il_error *err);
void il_answer_release(il_answer *a); /* takes NULL */

#endif
