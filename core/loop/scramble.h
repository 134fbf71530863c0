/* Scrambling: placebos, made where a detector's score enters training.
 *
 * A placebo keeps the size of the pressure, the rows, the route and everything else,
 * and takes out what the score knows. What enters as a number is that of another row,
 * the same for all, or keyed noise. What enters with a direction, a gradient through
 * the score or an edit, keeps its size row by row and is turned: its channels are
 * permuted and their signs drawn, the same way for the whole stage, which keeps every
 * length. */
#ifndef IL_LOOP_SCRAMBLE_H
#define IL_LOOP_SCRAMBLE_H

#include "loop/terms_private.h"

/* What stands for a probability where it is the same for all. */
#define IL_SCRAMBLE_HALF 0.5f

/* Whether a term needs the values of its whole batch before any row gets another's. */
bool il__scramble_deals(const il_term *term);

/* Values (N) of a gate or of a term's own score, as the signal wants them scrambled: in
 * the prologue they are noted, and after it stand for those of other rows. What the
 * given ones depend on is what these depend on; no gradient passes. */
il_status il__scramble_values(const il_terms *t, size_t i, il_scramble how,
                              il_worker *worker, const il_micro *micro,
                              const il_terms_run *run, const il_term_rows *rows,
                              il_pass *pass, il_tensor **values, il_error *err);

/* The rows' tensor of a term that is a scrambled detector's loss: the score's gradient,
 * as large as other rows', a half, or its own but turned. */
il_status il__scramble_root(const il_terms *t, size_t i, il_worker *worker,
                            const il_micro *micro, const il_terms_run *run,
                            const il_term_rows *rows, il_forward *f, il_tensor **root,
                            il_error *err);

/* Probabilities of scored rows on their way into a reward, in place: those of other
 * rows of the micro-batch, a half, or noise. `which` tells apart what is not to get the
 * same noise. */
il_status il__scramble_rewards(const il_terms *t, const il_term *term,
                               const il_micro *micro, const il_terms_run *run,
                               const il_scored *rows, uint32_t which, float *p,
                               il_arena *arena, il_error *err);

/* The same edit with its displacement turned, in the arena; false when memory is out.
 */
bool il__scramble_edit(const il_terms *t, size_t edit, il_arena *arena,
                       il_site_edit *out);

#endif
