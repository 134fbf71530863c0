/* Harvests: a model run over many rows, its activations at sites kept for reading.
 *
 * Rows go through in chunks of a fixed size, whatever the number of workers, and every
 * chunk writes to its own part, so a harvest has the same bits with any pool. */
#ifndef IL_DETECT_HARVEST_H
#define IL_DETECT_HARVEST_H

#include "base/threads.h"
#include "detect/scored.h"
#include "detect/tally.h"
#include "pipeline/fields.h"
#include "tensor/blas.h"
#include "tensor/pass.h"

enum { IL_HARVEST_CHUNK = 64 }; /* documents */

/* Activations with their scored rows. The loop may fill one of its own to refit on. */
typedef struct il_acts {
    il_scored rows;
    size_t site_count;
    const int64_t *sites;     /* numbers in the model */
    const int64_t *widths;    /* W of each */
    const float *const *data; /* [site] (B,T,W), or (N,W) when gathered */
    bool gathered;
    /* The data are what a component reads, input by input, in place of sites: what a
     * composite's members gave (composite.h). */
    bool inputs;
    il_arena *arena; /* of all that; NULL in one that was filled by hand */
} il_acts;

/* Where rows come from: fills `batch` with rows [index, index+rows). [work], at once
 * for different batches */
typedef il_status il_fetch(void *user, int64_t index, int64_t rows, il_batch *batch,
                           il_error *err);

typedef struct il_harvest {
    const il_instance *model;
    const float *const *values; /* the model's, by parameter number */
    const il_instance *data;
    const il_blas *blas;
    il_pool *pool;
    const char *split; /* of the data; with `fetch` a name for messages */
    il_fetch *fetch;   /* NULL: the data's own split */
    void *user;
    int64_t rows; /* 0: all of the split */
    il_scored_fields
        fields; /* which rows are scored; input NULL: the data's first input */
    const int64_t *sites;
    size_t site_count;
    bool gathered;              /* keep the scored rows alone */
    const il_site_edits *edits; /* NULL: none */
    il_tally
        *tally; /* not NULL: the data's metrics of the model's "logits" are added */
} il_harvest;

il_status il_acts_harvest(il_acts **out, const il_harvest *h, il_error *err);
void il_acts_destroy(il_acts *acts); /* takes NULL */
/* The place of a model's site among those kept, or -1. */
int64_t il_acts_site(const il_acts *acts, int64_t site);

/* What a model is shown of a batch: no targets, weights, labels or rewards. So it
 * spends nothing on losses that nobody asked for, and no label can reach it. */
typedef struct il_shown {
    il_batch batch; /* first: what forward is handed */
    il_batch *whole;
    const il_instance *data;
    bool targets; /* with targets and weights, for who asks for losses: never labels */
} il_shown;
il_shown il_shown_of(il_batch *batch, const il_instance *data);

#endif
