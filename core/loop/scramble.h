/* Scrambling: placebos, made where a detector's score enters training.
 *
 * A placebo keeps the pressure, its rows, its route and everything else, and takes out
 * what the score knows. What enters as a number is that of another row, the same for
 * all, or keyed noise. What enters with a direction is turned: channels are permuted
 * and their signs drawn, the same way for the whole stage, which keeps every length. An
 * edit moves each row as far as before; a loss is that of the same detector on turned
 * activations, brought at the stage's first step to the level at which the detector
 * itself stands, so that it begins as strong and yields as it is obeyed. */
#ifndef IL_LOOP_SCRAMBLE_H
#define IL_LOOP_SCRAMBLE_H

#include <jansson.h>
#include "loop/terms_private.h"

/* What stands for a probability where it is the same for all. */
#define IL_SCRAMBLE_HALF 0.5f

/* Whether a term needs the values of its whole batch before any row gets another's. */
bool il__scramble_deals(const il_term *term);
/* Whether it is a turned detector's loss, which has a level to find. */
bool il__scramble_levels(const il_term *term);
/* Whether the next prologue is to note its values. */
bool il__scramble_notes(const il_term *term);
/* Sets the level from the rows that the prologue noted. */
void il__scramble_level(il_term *term, int64_t count);
/* The levels go with a checkpoint: NULL where there are none; and back, `json` NULL for
 * none. */
json_t *il_scramble_json(const il_terms *t);
il_status il_scramble_read(il_terms *t, const json_t *json, il_error *err);

/* Values (N) of a gate or of a term's own score, as the signal wants them scrambled: in
 * the prologue they are noted, and after it stand for those of other rows. What the
 * given ones depend on is what these depend on; no gradient passes. */
il_status il__scramble_values(const il_terms *t, size_t i, il_scramble how,
                              il_worker *worker, const il_micro *micro,
                              const il_terms_run *run, const il_term_rows *rows,
                              il_pass *pass, il_tensor **values, il_error *err);

/* The rows' tensor of a term that is a scrambled detector's loss: the gradient of its
 * score as large as other rows' or a half, or the loss of the turned detector. */
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
