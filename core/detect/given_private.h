/* The arrays that activations from elsewhere are read from, one at a time. */
#ifndef IL_DETECT_GIVEN_PRIVATE_H
#define IL_DETECT_GIVEN_PRIVATE_H

#include "detect/given.h"
#include "formats/npy.h"
#include "formats/safetensors.h"

/* One array with the file that holds it. */
typedef struct il__given_file {
    char *path;         /* before the # */
    const char *tensor; /* after it, or NULL */
    il_npy npy;
    il_safetensors *file;
    il_shards *shards;
    bool borrowed;  /* the shards are those of the activations */
    size_t column;  /* of the shards */
    il_array array; /* of shards the shape alone */
    char where[IL_ERROR_WHERE_MAX];
} il__given_file;

il_status il__given_starved(il_error *err);
/* Opens a file or folder; the array of an .npy is found with it. To be closed in any
 * case. */
il_status il__given_open(il__given_file *o, const char *path, const char *naming,
                         il_error *err);
void il__given_close(il__given_file *o);
/* Finds the tensor of that name in a file or in all shards. */
il_status il__given_take(il__given_file *o, const char *name, il_error *err);
/* The array's values, malloc'ed. */
il_status il__given_floats(const il__given_file *o, float **out, il_error *err);
il_status il__given_wholes(const il__given_file *o, int64_t **out, il_error *err);
il_status il__given_flags(const il__given_file *o, uint8_t **out, il_error *err);

#endif
