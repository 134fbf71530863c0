/* A policy's rows on the tape: logits over actions or tokens, of which only some may be
 * drawn. What may not be drawn has no probability and no gradient.
 *
 * Each op takes logits (N,A) and the actions that may be drawn, `allowed` (A) bytes, or
 * NULL for all. */
#ifndef IL_LOOP_POLICY_H
#define IL_LOOP_POLICY_H

#include "interloop/pass.h"

/* -log pi(action), (N). An action that may not be drawn, or does not exist, is an error
 * that sticks to the pass. The list is copied. [work] */
il_tensor *il_policy_surprise(il_pass *pass, il_tensor *logits, const uint8_t *allowed,
                              const int32_t *actions);
/* The entropy of each row, (N). [work] */
il_tensor *il_policy_entropy(il_pass *pass, il_tensor *logits, const uint8_t *allowed);
/* KL(pi || reference) of each row, (N); the reference's logits (N,A) get no gradient.
 * [work] */
il_tensor *il_policy_kl(il_pass *pass, il_tensor *logits, il_tensor *reference,
                        const uint8_t *allowed);

#endif
