/* Detectors made from other people's weights: a component is created as a pipeline
 * would create it, its parameters take the weights, and it is kept as one that was
 * fitted elsewhere. And the other way: what a detector of ours holds, as other people's
 * formats put it. */
#ifndef IL_EXCHANGE_ADOPT_H
#define IL_EXCHANGE_ADOPT_H

#include "detect/saved.h"
#include "exchange/dictionary.h"
#include "exchange/direction.h"

typedef struct il_adopt_input {
    const il_registry *registry;
    const char *use;        /* the component's id, as in a pipeline */
    const char *site;       /* what it reads */
    const char *convention; /* of the site's name */
    const char *tokens;     /* the mask it is scored at, in words; "all" */
    const char *model;      /* hash of the weights it was made for; "" when not known */
    int64_t feature;        /* of a dictionary: what its logit reads; -1: nothing */
    json_t *origin;         /* where it comes from, for the file; borrowed */
    il_log *log;
} il_adopt_input;

typedef struct il_adopted {
    il_detector *detector;
    /* ---- private ---- */
    il_arena *arena;
    il_detector_spec spec;
    il_instance model; /* stands for the model: it has that site alone */
    il_declared declared;
    json_t *origin;
} il_adopted;

/* Makes a detector of a dictionary: the component has to have the slots of one, and
 * SAELens' names for its parameters and params. What it cannot hold is IL_ERR_INPUT. */
il_status il_adopt_dictionary(il_adopted **out, const il_dictionary *d,
                              const il_adopt_input *in, il_problems *problems,
                              il_error *err);
/* The same of a direction; the component has to be linear. With `steers` its length is
 * kept as what one step of an edit is. */
il_status il_adopt_direction(il_adopted **out, const il_direction *d, bool steers,
                             const il_adopt_input *in, il_problems *problems,
                             il_error *err);
void il_adopted_close(il_adopted *a); /* takes NULL */

/* What the detector itself makes of (N,W) rows: (N,F) features, (N,W) reconstructions
 * and (N) logits, each of which may be NULL; the first two of a dictionary alone. */
il_status il_adopted_run(const il_adopted *a, const il_blas *blas, int64_t rows,
                         const float *x, float *features, float *output, float *logits,
                         il_error *err);

/* Writes the detector's file, all or nothing: as il_saved_write, with the origin in its
 * contract. */
il_status il_adopted_write(const il_adopted *a, const char *path, il_error *err);

/* ---- and out again -------------------------------------------------------------- */

/* Whether it has what il_dictionary_of takes: a dictionary's slots on one site. */
bool il_detector_is_dictionary(const il_detector *d);
/* The weights of a detector of ours; zero-initialize *out. `contract` may hold an
 * origin, whose metadata come along; NULL: none. A detector that is no dictionary, or a
 * component whose parameters have other names, is IL_ERR_INPUT. */
il_status il_dictionary_of(il_dictionary *out, const il_detector *d,
                           const json_t *contract, il_error *err);
/* The same of a linear detector, its scaling folded in; `out->weight` is malloc'ed. The
 * layer is the site's where its name has one ("blocks.4."), else -1. */
il_status il_direction_of(il_direction *out, const il_detector *d, il_error *err);

#endif
