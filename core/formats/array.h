/* Arrays from files: dense, row-major, little-endian, of any element type that the
 * formats here know, and their values as the types that are computed with. */
#ifndef IL_FORMATS_ARRAY_H
#define IL_FORMATS_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"
#include "interloop/tensor.h"

/* DLPack's code for booleans, which tensor.h has no use for. */
#define IL_CODE_BOOL 6

typedef struct il_array {
    il_dtype dtype;
    int32_t ndim; /* 0 for a scalar */
    int64_t shape[IL_DIMS_MAX];
    const void *data; /* perhaps not aligned to its elements: read it by memcpy */
    size_t bytes;
} il_array;

/* The bytes that a dtype and a shape ask for; false when a size is negative or they do
 * not fit 64 bits. A shape with a zero holds nothing, however large the rest of it. */
bool il_array_size(il_dtype dtype, int32_t ndim, const int64_t *shape, size_t *bytes);
/* Elements: 1 of a scalar. The array's shape has been checked. */
int64_t il_array_count(const il_array *a);
/* "(3, 4)" into `out`, cut where it does not fit; returns `out`. */
const char *il_array_shape(int32_t ndim, const int64_t *shape, char out[96]);
/* "float32", "bool", "bfloat16". */
const char *il_dtype_text(il_dtype dtype, char out[16]);

/* All values, malloc'ed for the caller to free; `where` goes into the error. What would
 * change more than by rounding a fraction is IL_ERR_INPUT with the element's number: a
 * finite number that float32 cannot hold, a whole one beyond 2^24, for `wholes` a
 * fraction or more than 63 bits. Numbers that are none pass as float32's. */
il_status il_array_floats(float **out, const il_array *a, const char *where,
                          il_error *err);
il_status il_array_wholes(int64_t **out, const il_array *a, const char *where,
                          il_error *err);
/* Each 0 or 1, whatever type they come in; anything else is IL_ERR_INPUT. */
il_status il_array_flags(uint8_t **out, const il_array *a, const char *where,
                         il_error *err);
/* The same into memory of the caller's, with room for all of them. */
il_status il_array_floats_to(float *out, const il_array *a, const char *where,
                             il_error *err);
il_status il_array_wholes_to(int64_t *out, const il_array *a, const char *where,
                             il_error *err);
il_status il_array_flags_to(uint8_t *out, const il_array *a, const char *where,
                            il_error *err);

/* float32 as float16 or bfloat16, to the nearest, of two the even one. A finite number
 * that the type does not hold is IL_ERR_INPUT with its place. */
il_status il_array_narrow(uint16_t *out, const float *values, int64_t n, il_dtype type,
                          const char *where, il_error *err);

#endif
