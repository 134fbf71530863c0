/* Named arrays from a file, whichever of the formats that hold such it is in:
 * safetensors or NumPy's npz. What is asked of an array is checked here, once for all
 * formats, and refused with the file, the array, what was expected and what was found.
 */
#ifndef IL_EXCHANGE_ARRAYS_H
#define IL_EXCHANGE_ARRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "formats/array.h"

typedef struct il_arrays il_arrays; /* an open file */

/* Opens a file of either format, which its first bytes tell. */
il_status il_arrays_open(il_arrays **out, const char *path, il_error *err);
void il_arrays_close(il_arrays *b); /* takes NULL */

const char *il_arrays_path(const il_arrays *b);
size_t il_arrays_count(const il_arrays *b);
const char *il_arrays_name(const il_arrays *b, size_t i);
bool il_arrays_has(const il_arrays *b, const char *name);

/* An array as it is in the file; borrowed. One that is not there is IL_ERR_INPUT naming
 * what is. */
il_status il_arrays_array(il_arrays *b, const char *name, const il_array **out,
                          il_error *err);
/* An array of fractions of exactly this shape, as float32, malloc'ed for the caller to
 * free. IL_ERR_INPUT for another shape (a transposed one is called so), for whole
 * numbers or flags, and for values that are no finite numbers, with their place. */
il_status il_arrays_floats(il_arrays *b, const char *name, int32_t ndim,
                           const int64_t *shape, float **out, il_error *err);

/* The same of an array that is at hand; `name` and `path` go into errors. */
il_status il_array_take(const il_array *a, const char *path, const char *name,
                        int32_t ndim, const int64_t *shape, float **out, il_error *err);

#endif
