/* NumPy's .npz files: zip archives of .npy members, stored (savez) or deflated
 * (savez_compressed). Every check of both formats applies. */
#ifndef IL_FORMATS_NPZ_H
#define IL_FORMATS_NPZ_H

#include <stdbool.h>
#include <stddef.h>
#include "formats/array.h"

typedef struct il_npz il_npz; /* an open file */

/* Opens a file; every member is to be named NAME.npy. Errors are as those of the two
 * formats, with the path and the member. */
il_status il_npz_open(il_npz **out, const char *path, il_error *err);
void il_npz_close(il_npz *npz); /* takes NULL */

/* Arrays in the order of the file, named without ".npy"; `find` is false for an unknown
 * name. */
size_t il_npz_count(const il_npz *npz);
const char *il_npz_name(const il_npz *npz, size_t i);
bool il_npz_find(const il_npz *npz, const char *name, size_t *i);
/* An array, unpacked and checked at the first call and kept while the file is open. */
il_status il_npz_array(il_npz *npz, size_t i, const il_array **out, il_error *err);

/* One array to be written. */
typedef struct il_npz_source {
    const char *name;
    il_array array;
} il_npz_source;

/* Replaces `path`, all or nothing, by stored members in the order given: equal arrays
 * give equal bytes. Errors as in il_zip_write and il_npy_write. */
il_status il_npz_write(const char *path, const il_npz_source *arrays, size_t count,
                       il_error *err);

#endif
