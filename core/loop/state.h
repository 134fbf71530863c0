/* States: the results of stages, and the checkpoints of stages that are going on, in
 * RUNS/.stages/ADDRESS/.
 *
 * An address is the hash of all that decides a result, so that runs share what has been
 * computed. A state is a pair: NAME.json, which holds counters and names a safetensors
 * file with its hash. The JSON is replaced last and in one go, and the file that it
 * names is never written to: at whatever moment a run is killed, one whole pair can be
 * read. */
#ifndef IL_LOOP_STATE_H
#define IL_LOOP_STATE_H

#include <stdbool.h>
#include <jansson.h>
#include "base/arena.h"
#include "base/hash.h"
#include "formats/safetensors.h"

#define IL_STATE_RESULT     "state"
#define IL_STATE_CHECKPOINT "checkpoint"

/* What decides the result of a stage. */
typedef struct il_state_key {
    const char *text; /* the training text */
    uint64_t seed;
    uint32_t depth;             /* of the stage in its chain, 0 at the root */
    const char *parent;         /* the address it starts from; NULL at the root */
    const char *const *plugins; /* the identities of its instances, in any order */
    size_t plugin_count;
    const char *data;     /* the data's fingerprint; NULL for none */
    const char *numerics; /* the kernel, and versions of what computes */
} il_state_key;

/* Only IL_ERR_MEMORY can happen. */
il_status il_state_address(const il_state_key *key, char hex[IL_HASH_HEX],
                           il_error *err);

/* RUNS/.stages, RUNS/.stages/ADDRESS; malloc'ed, NULL when memory is out. */
char *il_state_store(const char *runs);
char *il_state_folder(const char *runs, const char *address);

/* Takes the lock of an address, making the store when there is none: who holds it
 * computes that stage, others wait or get IL_ERR_IO. Look again for the result once it
 * is held. il_file_unlock gives it back. An address that is not 64 lower-case hex
 * digits is IL_ERR_INPUT. */
il_status il_state_lock(const char *runs, const char *address, bool wait, int *fd,
                        il_error *err);

/* Writes folder/NAME, replacing the pair that is there; on failure that one stays as it
 * was. `json` is an object, borrowed; NULL counts as an empty one. Makes the folder.
 * One writer at a time: hold the lock. */
il_status il_state_write(const char *folder, const char *name,
                         const il_safetensor *tensors, size_t count, const json_t *json,
                         il_error *err);
/* Whether a pair of that name was written. A stage is done when its result exists. */
bool il_state_exists(const char *folder, const char *name);
/* Removes a pair (a checkpoint, once the result is there), if it is there. */
il_status il_state_remove(const char *folder, const char *name, il_error *err);

/* A pair that was read. */
typedef struct il_state {
    il_safetensors *file;
    json_t *json;             /* the object that was given to the writer */
    char *path;               /* of the JSON file, for messages */
    char sha256[IL_HASH_HEX]; /* of the tensors' file */
} il_state;

/* Reads a pair and checks all of it. What is cut short, changed, missing in part or of
 * another version is IL_ERR_INPUT with the file's path. Safe beside a writer. */
il_status il_state_read(il_state **out, const char *folder, const char *name,
                        il_error *err);
void il_state_destroy(il_state *s); /* takes NULL */

/* Copies one tensor, whose type and shape must be these; `to` NULL checks alone. What
 * does not fit is IL_ERR_INPUT with both sides, and `to` is left as it is. */
il_status il_state_take(const il_state *s, const char *name, il_dtype dtype,
                        int32_t ndim, const int64_t *shape, void *to, il_error *err);
/* A counter; missing or of another kind is IL_ERR_INPUT. A whole number may be read as
 * real. */
il_status il_state_int(const il_state *s, const char *key, int64_t *value,
                       il_error *err);
il_status il_state_real(const il_state *s, const char *key, double *value,
                        il_error *err);

/* A state to be written, as a list that grows. */
typedef struct il_state_list {
    il_arena *arena; /* names and rows; the data is borrowed */
    il_safetensor *items;
    size_t count;
    size_t room;
} il_state_list;

/* Adds a tensor of `ndim` dimensions; the name is copied. More than IL_DIMS_MAX
 * dimensions, or more bytes than there can be, are IL_ERR_SHAPE. */
il_status il_state_add(il_state_list *list, const char *name, il_dtype dtype,
                       int32_t ndim, const int64_t *shape, const void *data,
                       il_error *err);
il_status il_state_add_all(il_state_list *list, const il_safetensor *items,
                           size_t count, il_error *err);
/* A row of float32, the most common case. */
il_status il_state_add_f32(il_state_list *list, const char *name, const float *data,
                           int64_t count, il_error *err);

/* Writes folder/lineage.json, which says where a state comes from; the first to say it
 * stays. Write it before computing: gc keeps what it names. `run` and `stage` are there
 * for people. */
il_status il_state_lineage(const char *folder, const il_state_key *key, const char *run,
                           const char *stage, il_error *err);

#endif
