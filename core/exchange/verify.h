/* Whether a detector that was made from other people's weights computes what it is to:
 * on rows that came with the weights or that the user has. */
#ifndef IL_EXCHANGE_VERIFY_H
#define IL_EXCHANGE_VERIFY_H

#include "base/text.h"
#include "exchange/adopt.h"

/* Rows, and what they are to give; what is not known is NULL. */
typedef struct il_evidence {
    const char *from;      /* where the rows come from, for errors */
    const char *name;      /* the same for what is said and kept: no path */
    int64_t count;         /* N */
    const float *rows;     /* (N,W) */
    const float *features; /* (N,F) */
    const float *output;   /* (N,W) */
    const float *scores;   /* (N) */
    /* What the norm of the difference may be, as a share of the norm of what is
     * expected. */
    double tolerance;
    bool lenient; /* takes a dictionary that reconstructs worse than the mean does */
} il_evidence;

#define IL_VERIFY_TOLERANCE 1e-3

/* Holds the adopted detector against the evidence and says, line by line, what was
 * verified, with the errors that were measured. Of a dictionary whose rows come without
 * anything to expect, the reconstruction is measured: the share of variance that it
 * leaves and how many features a row has. IL_ERR_INPUT where it is off, naming what,
 * how far and how far it may be. */
il_status il_verify(const il_adopted *a, const il_blas *blas, const il_evidence *e,
                    il_text *said, il_error *err);

/* Holds the component against the description of the weights that it took over, on rows
 * of noise: a component that computes something else is IL_ERR_INPUT. */
il_status il_verify_component(const il_adopted *a, const il_dictionary *d,
                              const il_blas *blas, il_text *said, il_error *err);

/* Reads rows of `width` channels: (N,W), or (B,T,W) of which every position is one.
 * `path` is an .npy file, or an .npz or safetensors file with #NAME after it where it
 * holds more than one array. `width` 0: any, which comes back in *width; one dimension
 * counts as rows of width 1. */
il_status il_rows_read(const char *path, int64_t *width, float **out, int64_t *count,
                       il_error *err);

#endif
