/* Detectors: an instance that scores activations, with its scaling, its threshold and
 * its contract.
 *
 * The component turns scaled activations into logits; everything else about a detector
 * is here, the same for all. A logit above the threshold is a flag. */
#ifndef IL_DETECT_DETECTOR_H
#define IL_DETECT_DETECTOR_H

#include <jansson.h>
#include "base/hash.h"
#include "detect/calibration.h"
#include "detect/contract.h"
#include "detect/scored.h"
#include "formats/safetensors.h"
#include "pipeline/instance.h"
#include "tensor/pass.h"

/* A list of document ids, ascending. */
typedef struct il_documents {
    int64_t count;
    int64_t *ids;
} il_documents;

enum { IL_DETECTOR_SITES_MAX = 64 };

typedef struct il_detector {
    const il_detector_spec *spec; /* borrowed, like the instances below */
    const il_instance *model;
    il_instance *instance;
    size_t site_count;
    int64_t *sites;  /* numbers in the model */
    int64_t *widths; /* of each */
    int64_t *heads;  /* of each that is an attention pattern; 0 */
    /* The detectors that it reads (composite.h), borrowed unless it is a copy; none:
     * it reads its sites. What a component reads, a member's or a site's activations,
     * is called an input here. */
    size_t member_count;
    struct il_detector **members;
    int64_t *member_widths; /* of each: its features, or 1 for its logit */
    size_t **member_sites;  /* [member][its site]: the place among `sites` */
    bool owns_members;
    /* By parameter number: the values in use, which are those of the instance's own
     * store. */
    const float **values;
    il_scored_fields
        fields;   /* how to find its rows in a batch; label is that of its fit */
    float **mean; /* [input] (W) of the fitting rows; NULL: not scaled */
    float **inv;  /* [input] (W) 1 / standard deviation */
    bool fitted;
    bool has_threshold;
    double threshold; /* of the logit; t0's, whatever refits follow */
    double rate; /* the false-positive rate it was set for; NaN: given as a logit */
    /* Of a linear one: how far apart the class means of its fitting rows lie along its
     * direction, in the site's units, and what is half way; 0: not known. */
    double apart, middle;
    il_unit unit;         /* that alarms */
    int64_t negatives; /* units behind it */
    /* What makes probabilities of its logits; t0's, as the threshold. Thresholds, and
     * the loss that trains against it, are of the logit itself. */
    il_calibration calibration;
    il_documents fit_ids; /* what it was fitted and calibrated on */
    il_documents calibration_ids;
    char model_hash[IL_HASH_HEX]; /* of the weights it was first fitted on; "" before */
    il_component_spec component;  /* what it was made from; its params are borrowed */
    const char *convention;       /* of its sites' names; NULL: IL_CONVENTION */
    /* It came from a file of its own (saved.h): the hash of that; "" otherwise. */
    char source[IL_HASH_HEX];
    il_accepted *accepted; /* where that did not match, and was taken all the same */
    size_t accepted_count;
    /* Re-zeroing (rezero.h): the trusted rows, their mean logit under the weights that
     * it was last fitted on, and what it has moved by since. */
    struct il_trusted *trusted;
    double zero;
    float offset;
    float *m, *v; /* online refits: moments, and steps taken */
    int64_t steps;
    uint64_t seed;
    /* The weights whose activations it reads, by the model's parameter number: those of
     * a reference, borrowed; NULL: those of whoever asks it. */
    const float *const *elsewhere;
    il_arena *arena;
} il_detector;

/* What making a detector needs. `data` may be NULL where no rows are to be found by
 * name. */
typedef struct il_detector_input {
    const il_registry *registry;
    const il_detector_spec *spec;
    const il_instance *model;
    const il_instance *data;
    il_detector *const *members;        /* in the order of the spec's `of`; borrowed */
    const il_component_spec *component; /* in the place of the spec's; NULL: that */
    uint64_t seed;
    il_log *log;
} il_detector_input;

/* Makes a detector, not yet fitted. A site that the model does not have, a mask or
 * label that the data does not have, and options that this version does not offer are
 * problems at their places (IL_ERR_INPUT). */
il_status il_detector_create(il_detector **out, const il_detector_input *in,
                             il_problems *problems, il_error *err);
void il_detector_destroy(il_detector *d); /* takes NULL */

/* Whether it can be asked: it has been fitted, or there is nothing to fit, and so it is
 * with all that it reads. */
bool il_detector_ready(const il_detector *d);
/* Under which weights the model has to run for it, where those in question are
 * `values`.
 */
static inline const float *const *il_detector_weights(const il_detector *d,
                                                      const float *const *values)
{
    return d->elsewhere != NULL ? d->elsewhere : values;
}

/* Its scored rows of a batch. With `labelled`, rows carry the label that its fit names,
 * or its own `label` when that is not NULL. */
il_status il_detector_rows(const il_detector *d, const il_batch *batch, bool labelled,
                           il_arena *arena, il_scored *out, il_error *err);

/* Logits (N) at the scored rows, less its offset, on the tape, differentiable in the
 * activations.
 * acts[i], of site i, is (B,T,W), or (N,W) already when `gathered` (for detectors that
 * read rows). first_bit is that of the detector's own parameters in the pass; -1: they
 * are constants. Errors stick to the pass. [work] */
il_tensor *il_detector_score(const il_detector *d, il_pass *pass, const il_scored *rows,
                             il_tensor *const *acts, bool gathered, int64_t first_bit);
/* Whether it reads scored rows alone: its component, and those of its members. */
bool il_detector_reads_rows(const il_detector *d);
/* Whether it may change while a stage trains: it is refitted, or a member is. */
bool il_detector_moves(const il_detector *d);

/* Its state as tensors "detectors.NAME...", in the arena, data borrowed from the
 * detector; with `moments` also those of its online refits, for a checkpoint. */
il_status il_detector_state(const il_detector *d, bool moments, il_arena *arena,
                            il_safetensor **items, size_t *count, il_error *err);
/* Its contract: component with params, sites and the convention of their names, tokens,
 * context, pooling, scaling, threshold with rate, unit and number of negatives, hashes
 * of the ids, the model's hash, what was accepted of another. NULL when memory is out;
 * the caller decrefs it. */
json_t *il_detector_contract(const il_detector *d);
/* What it was accepted with, a list of {what, expected, got, why}; as above. */
json_t *il_detector_accepted(const il_detector *d);
/* Takes its state from a file whose contract is given. A contract that does not match
 * what this detector was made from, or a tensor that is missing or misshapen, is
 * IL_ERR_INPUT naming the difference, and changes nothing. Online refits go on where
 * the file says, or start afresh. */
il_status il_detector_restore(il_detector *d, const il_safetensors *file,
                              const json_t *contract, il_error *err);
/* Its own and before it its members' state, each by its contract in `contracts`. */
il_status il_detector_restore_all(il_detector *d, const il_safetensors *file,
                                  const json_t *contracts, il_error *err);
/* A second detector with the same contents, for the scores of then beside those of now,
 * with members of its own. The moments of online refits are left out: it is to be read,
 * not refitted. */
il_status il_detector_copy(il_detector **out, const il_detector *d,
                           const il_registry *registry, il_error *err);

#endif
