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

/* A detector's number by its name, or -1; the name may be NULL. */
int il__terms_detector(const il_world *w, const char *name);
/* Runs the model's forward; *scores is one record a detector, in the worker's scratch.
 */
il_status il__terms_forward(const il_terms *t, il_worker *worker, const il_micro *micro,
                            const il_terms_run *run, il_micro_scores **scores,
                            il_error *err);
/* The rows of a term and their coefficients; NULL in *root when the micro-batch has
 * none. */
il_status il__term_root(const il_terms *t, size_t i, il_worker *worker,
                        const il_micro *micro, const il_terms_run *run,
                        il_micro_scores *scores, il_tensor **root, float **seeds,
                        il_error *err);

#endif
