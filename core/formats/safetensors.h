/* Safetensors files: a length, a JSON header that names tensors, their bytes back to
 * back.
 *
 * The reader treats every file as hostile: nothing is handed out before all of the
 * header has been checked against itself and against the size of the file. The writer
 * is deterministic: the same tensors and metadata give the same bytes, in whatever
 * order they come. */
#ifndef IL_FORMATS_SAFETENSORS_H
#define IL_FORMATS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"
#include "interloop/tensor.h"
#include "base/mapped.h"
#include "formats/array.h"

typedef struct il_safetensors il_safetensors; /* an open file */

/* One tensor, read from a file or to be written to one. `dtype` is one of DLPack's that
 * have a name here: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL. */
typedef struct il_safetensor {
    const char *name;
    il_dtype dtype;
    int32_t ndim; /* 0 for a scalar */
    int64_t shape[IL_DIMS_MAX];
    /* Row-major, little-endian. In a file of ours aligned to its element's size; in one
     * from elsewhere perhaps not, so copy it out with memcpy. */
    const void *data;
    size_t bytes;
} il_safetensor;

typedef struct il_safetensors_pair {
    const char *key;
    const char *value;
} il_safetensors_pair;

#define IL_SAFETENSORS_HEADER_MAX ((size_t)100 * 1000 * 1000)

/* Opens and checks a file. What it hands out is borrowed from *out, which maps the
 * file: while it is open the file may be replaced or removed, but not cut short in
 * place. Anything wrong with the contents is IL_ERR_INPUT with the path and the tensor.
 */
il_status il_safetensors_open(il_safetensors **out, const char *path, il_error *err);
void il_safetensors_close(il_safetensors *file); /* takes NULL */

/* The file's bytes, all of them. */
const il_mapped *il_safetensors_map(const il_safetensors *file);

/* Tensors in the order of their bytes in the file. `find` gives NULL for an unknown
 * name. */
size_t il_safetensors_count(const il_safetensors *file);
const il_safetensor *il_safetensors_at(const il_safetensors *file, size_t i);
const il_safetensor *il_safetensors_find(const il_safetensors *file, const char *name);

/* The file's metadata, in the order of the file; `get` gives NULL for an unknown key.
 */
size_t il_safetensors_metadata_count(const il_safetensors *file);
il_safetensors_pair il_safetensors_metadata_at(const il_safetensors *file, size_t i);
const char *il_safetensors_metadata_get(const il_safetensors *file, const char *key);

/* Replaces `path`, all or nothing. Tensors are written with the widest elements first,
 * then by name, metadata by key. A repeated name or key, text that is no UTF-8, a dtype
 * without a name, or `bytes` that do not fit the shape are IL_ERR_INPUT, and nothing is
 * written. */
il_status il_safetensors_write(const char *path, const il_safetensor *tensors,
                               size_t count, const il_safetensors_pair *metadata,
                               size_t pairs, il_error *err);

/* A tensor's values, for what reads any file's (array.h). */
static inline il_array il_safetensor_array(const il_safetensor *t)
{
    il_array a = {
        .dtype = t->dtype, .ndim = t->ndim, .data = t->data, .bytes = t->bytes};

    memcpy(a.shape, t->shape, sizeof a.shape);
    return a;
}

/* "F32" and so on; NULL when the dtype has no name in the format. */
const char *il_safetensors_dtype_name(il_dtype dtype);

#endif
