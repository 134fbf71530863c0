/* What the files of the trainer share. */
#ifndef IL_LOOP_TRAINER_PRIVATE_H
#define IL_LOOP_TRAINER_PRIVATE_H

#include "loop/trainer.h"

il_status il__trainer_no_memory(const il_trainer *t, il_error *err);

/* Cuts the batch into lanes and lanes into micro-batches, by the pipeline's numbers
 * alone. Of rollouts every lane gets its share of each, and groups stay whole. */
il_status il__trainer_cut(il_trainer *t, il_error *err);
/* Fills a micro-batch for the present step. */
il_status il__trainer_fetch(il_trainer *t, size_t micro, il_worker *worker,
                            il_error *err);
/* Normalizers and offsets over the present minibatch, or the whole batch, in its
 * order. */
void il__trainer_measure(il_trainer *t);
/* Whether the present step takes this micro-batch. */
bool il__trainer_takes(const il_trainer *t, const il_micro *micro);
void il__trainer_drop_batch(il_trainer *t);

/* Whether every stepped parameter's group has a learning rate, where they are given
 * group by group, and whether groups that rates and clips name are the model's. */
il_status il__trainer_check_groups(const il_trainer *t, il_error *err);
/* Takes the terms' losses from the lanes' sums; one that is no number is
 * IL_ERR_NUMERIC naming its signal. */
il_status il__trainer_check(il_trainer *t, il_error *err);
/* Fetches the trusted rows of re-zeroed detectors. Such a detector's loss under a gate,
 * and a gate on it that the gradient passes, are IL_ERR_UNSUPPORTED. */
il_status il__trainer_trust(il_trainer *t, il_error *err);
/* Takes every zero at the present weights. */
il_status il__trainer_rezero(il_trainer *t, il_error *err);
/* Adds into grads[parameter] what flows through the zeros, slopes[term] being the
 * derivative of the term's loss with respect to its detector's. The weights are still
 * those of the last il__trainer_rezero. */
il_status il__trainer_through_zero(il_trainer *t, const double *slopes,
                                   float *const *grads, il_error *err);
/* The same from the lanes' sums into a block that the update adds to theirs. */
il_status il__trainer_zero_block(il_trainer *t, il_error *err);
/* Room for the derivatives through fits; the lanes are cut. IL_ERR_UNSUPPORTED where a
 * signal uses such a detector in a way that is not differentiated. */
il_status il__trainer_fit_open(il_trainer *t, il_error *err);
void il__trainer_fit_close(il_trainer *t);
/* Refits the detectors that are due at `step` at the present weights; with `hold` their
 * parameters of before are kept for il__trainer_fit_back. */
il_status il__trainer_fit(il_trainer *t, int64_t step, bool hold, il_error *err);
void il__trainer_fit_back(il_trainer *t);
/* Whether a term's gradient flows through a fit of the present step. */
bool il__trainer_fits(const il_trainer *t);
/* Adds into block (the store's layout) what flows through these fits; fits[place] are
 * the derivatives of the terms' losses with respect to weights and bias. The weights
 * are still those of the fit. */
il_status il__trainer_through_fits(il_trainer *t, const double *fits, float *block,
                                   il_error *err);

/* The lanes in one pass alone, on the batch of the step and with the terms that run
 * there now; nothing is watched. Their sum is in t->lanes[kind]. */
il_status il__trainer_run_pass(il_trainer *t, int kind, il_error *err);

/* Clips and steps by the lanes' gradients; when they are not finite, nothing is
 * stepped. */
il_status il__trainer_update(il_trainer *t, il_error *err);

#endif
