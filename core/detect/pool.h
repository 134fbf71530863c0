/* Pooling: the logits of a sequence's scored positions as one.
 *
 * All poolings but attention are means over positions that the logits themselves pick,
 * so their gradient goes to those positions, in the shares of the mean. Where two
 * positions tie for the largest, the first is taken. */
#ifndef IL_DETECT_POOL_H
#define IL_DETECT_POOL_H

#include "detect/scored.h"
#include "pipeline/pipeline.h"
#include "interloop/pass.h"

/* (n) logits of the positions behind `rows`, in their order -> (N), one a sequence.
 *
 *     mean              sum x_t / n
 *     max               max x_t
 *     last              x_n
 *     top_k_mean        the mean of the min(k,n) largest
 *     ema_max           max e_t,  e_1 = x_1,  e_t = decay e_t-1 + (1 - decay) x_t
 *     rolling_mean_max  the largest mean of min(window,n) positions in a row
 *     attention         sum a_t x_t,  a = softmax of `keys` (n) over the sequence
 *
 * Positions are counted among the scored ones alone: what lies between them does not
 * age an average. A sequence with a logit that is no number has none either. `keys` is
 * read for attention alone. Errors stick to the pass. */
il_tensor *il_pool_logits(il_pass *pass, const il_pool_spec *how, const il_scored *rows,
                          il_tensor *logits, il_tensor *keys);

#endif
