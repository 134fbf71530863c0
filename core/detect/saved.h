/* A detector in a file of its own: safetensors whose tensors are its parameters by
 * name, its scaling and its ids, and whose metadata holds its contract. What one lab
 * saves another can load, where the contract fits. */
#ifndef IL_DETECT_SAVED_H
#define IL_DETECT_SAVED_H

#include "detect/detector.h"

#define IL_SAVED_KEY "interloop.detector" /* of the metadata: the contract as JSON */

typedef struct il_saved {
    il_safetensors *file;
    json_t *contract;
    char *path;
    char sha256[IL_HASH_HEX]; /* of the file */
} il_saved;

/* Opens a file that holds a detector. One that is none, and a contract without a
 * component or sites, are IL_ERR_INPUT. */
il_status il_saved_open(il_saved **out, const char *path, il_error *err);
void il_saved_close(il_saved *s); /* takes NULL */

/* Writes a fitted detector, all or nothing; its ids of fitting and calibrating go with
 * it, the moments of online refits do not. */
il_status il_saved_write(const il_detector *d, const char *path, il_error *err);
/* The same with tensors that come from elsewhere, named as the component names its
 * parameters, and with a contract that the caller made. */
il_status il_saved_write_parts(const char *path, const json_t *contract,
                               const il_safetensor *items, size_t count, il_error *err);

/* The contract's params as a pipeline would write them, in the arena; NULL without any
 * or when memory is out. */
il_node *il_saved_params(const il_saved *s, il_arena *arena);

/* Makes the detector of a spec that names a file (`from`) and loads it, with the file's
 * params where the spec has none, and with its label where the data has one of that
 * name. What is wrong with the file, or differs, is a problem at `from`. */
il_status il_saved_make(il_detector **out, const il_detector_input *in,
                        il_problems *problems, il_error *err);
/* Takes it over into a detector that was made for it. A difference that the spec does
 * not accept is a problem at `from`, as is a tensor that does not fit (IL_ERR_INPUT);
 * what it does accept is kept with the detector. */
il_status il_saved_load(il_detector *d, const il_saved *s, il_problems *problems,
                        il_error *err);
/* Whether the weights that it was fitted on are among those, hashes of the model that
 * is at hand and of all that it was trained from; a difference that the spec does not
 * accept is IL_ERR_INPUT. */
il_status il_detector_descends(il_detector *d, const json_t *hashes, il_error *err);

#endif
