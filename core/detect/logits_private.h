/* One forward of a detector over harvested rows, for fits and for logits. */
#ifndef IL_DETECT_LOGITS_PRIVATE_H
#define IL_DETECT_LOGITS_PRIVATE_H

#include "detect/fit.h"

/* The kept activations of its component's i-th input, or NULL. */
const float *il__detector_acts(const il_detector *d, const il_acts *acts, size_t i);
/* The scored rows, unscaled, all inputs side by side: (N,W). The caller frees it; NULL
 * and an error otherwise. */
float *il__detector_gather(const il_detector *d, const il_acts *acts, il_error *err);
/* il_detector_score from what the component reads, sites or members, at hand. */
il_tensor *il__detector_score_inputs(const il_detector *d, il_pass *pass,
                                     const il_scored *rows, il_tensor *const *inputs,
                                     bool gathered, int64_t first_bit);
/* The features (N,F) of a detector that has them; its parameters are constants. */
il_tensor *il__detector_features(const il_detector *d, il_pass *pass,
                                 const il_scored *rows, il_tensor *const *acts,
                                 bool gathered);
/* The rows as its features give them back, (N,W), likewise. */
il_tensor *il__detector_reconstruct(const il_detector *d, il_pass *pass,
                                    const il_scored *rows, il_tensor *const *acts,
                                    bool gathered);
/* Kept activations of its sites as tensors of the pass. */
il_status il__detector_borrow(const il_detector *d, il_pass *pass, const il_acts *acts,
                              il_tensor **x, il_error *err);
/* Walks a harvest in chunks of IL_HARVEST_CHUNK documents, in a pass of its own: `part`
 * is of the documents from `first`, its scored rows begin at `row`. Chunks without a
 * scored row are left out. */
typedef il_status il_chunk_step(void *user, il_pass *pass, const il_acts *part,
                                int64_t first, int64_t row, il_error *err);
il_status il__detector_chunks(const il_detector *d, const il_blas *blas,
                              const il_acts *acts, il_chunk_step *step, void *user,
                              il_error *err);
/* Whether the component asks its members in turn, and each gives one logit. */
bool il__detector_in_turn(const il_detector *d);
/* What such a component reads, (N,1) each, off the tape: a member is computed on the
 * rows alone that ask for it. asked[member] grows by how many these are. */
il_status il__detector_turns(const il_detector *d, il_pass *pass, const il_acts *acts,
                             il_tensor **inputs, int64_t *asked, il_error *err);
/* Rows of sequences as rows that a fit without gradient can read: by pool `last` the
 * last position of each; by `mean`, where the component is linear, the mean of its
 * activations, whose logit is the mean logit; by any other every position with the
 * label of its own. *arena holds what is new, and is the caller's. */
il_status il__detector_flatten(il_acts *out, il_arena **arena, const il_detector *d,
                               const il_acts *acts, il_error *err);
/* Logits (N) of all scored rows at once, on the pass; first_bit as in
 * il_detector_score. */
il_status il__detector_forward(const il_detector *d, il_pass *pass, const il_acts *acts,
                               int64_t first_bit, il_tensor **logits, il_error *err);

#endif
