/* What the files of the terms share. */
#ifndef IL_LOOP_TERMS_PRIVATE_H
#define IL_LOOP_TERMS_PRIVATE_H

#include "loop/terms.h"

/* A detector's scores in this micro-batch, made when first asked for. */
typedef struct il_micro_scores {
    il_scored rows;
    il_tensor *logits; /* (N), or NULL: not asked for, or no row */
    bool found;
} il_micro_scores;

/* Rows of a term in a batch, from its data alone: flat positions, ascending, with their
 * weights. */
typedef struct il_term_rows {
    int64_t count;
    int32_t *rows;
    float *weights;
    int64_t length;
} il_term_rows;

/* A detector's number by its name, or -1; the name may be NULL. */
int il__terms_detector(const il_world *w, const char *name);
/* Whether a term is a reward that trains the policy's actions. */
bool il__terms_rewarded(const il_term *term);
/* A detector's rows of a batch; while planning at least one, since some rollouts hold
 * none of its tokens. */
il_status il__terms_detector_rows(const il_terms *t, int d, const il_batch *batch,
                                  il_arena *arena, il_scored *out, il_error *err);
/* A term's rows of a batch. */
il_status il__term_rows(const il_terms *t, const il_term *term, const il_batch *batch,
                        il_arena *arena, il_term_rows *out, il_error *err);

/* Runs the model's forward on f->pass. */
il_status il__terms_forward(const il_terms *t, const il_micro *micro,
                            const il_terms_run *run, il_forward *f, il_error *err);
/* The forward of a micro-batch: the one that was kept, or a new one on the worker's
 * pass. Episodes that were not assessed yet are. */
il_status il__terms_open(il_terms *t, il_worker *worker, il_micro *micro,
                         const il_terms_run *run, il_forward **out, il_error *err);
/* What a detector reads: activations at its sites, or what a reference makes of the
 * same rows. */
il_status il__terms_acts(const il_terms *t, int d, const il_micro *micro, il_forward *f,
                         il_tensor **acts, il_error *err);
/* Fills f->scores[d]. */
il_status il__terms_score(const il_terms *t, int d, const il_micro *micro,
                          const il_terms_run *run, il_forward *f, il_error *err);

/* The rows of a term and their coefficients; NULL in *root when the micro-batch has
 * none. */
il_status il__term_root(const il_terms *t, size_t i, il_worker *worker,
                        const il_micro *micro, const il_terms_run *run, il_forward *f,
                        il_tensor **root, float **seeds, il_error *err);
/* The same for the kinds from IL_TERM_REWARD on. */
il_status il__reinforce_root(const il_terms *t, size_t i, il_worker *worker,
                             const il_micro *micro, const il_terms_run *run,
                             il_forward *f, il_tensor **root, float **seeds,
                             il_error *err);

/* What a score counts for as a reward: itself, or 1 above the signal's trigger. */
double il__reinforce_triggered(const il_signal_spec *s, double p);
/* -log pi(action) at the acted rows, made when first asked for. */
il_tensor *il__policy_surprise(const il_terms *t, const il_play *play, il_forward *f);

#endif
