/* GGUF files, versions 2 and 3, little-endian: typed key-value pairs, named tensors,
 * their bytes at aligned places.
 *
 * The reader treats every file as hostile: nothing is handed out before every length,
 * count and place has been checked against the file. It knows the element types that
 * vectors come in; a tensor of another type is listed, and its values are refused. */
#ifndef IL_FORMATS_GGUF_H
#define IL_FORMATS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"
#include "interloop/tensor.h"

typedef struct il_gguf il_gguf; /* an open file */

typedef struct il_gguf_tensor {
    const char *name;
    uint32_t type;    /* the format's number: 0 is float32 */
    int32_t ndim;     /* 1 to 4 */
    int64_t shape[4]; /* outermost first, as everywhere here; the file has it turned */
    const void *data; /* NULL for a type that is not known here */
    size_t bytes;
} il_gguf_tensor;

/* Opens and checks a file. What it hands out is borrowed from *out, which maps the
 * file. Anything wrong with the contents is IL_ERR_INPUT with the path and the place.
 */
il_status il_gguf_open(il_gguf **out, const char *path, il_error *err);
void il_gguf_close(il_gguf *file); /* takes NULL */

/* Tensors in the order of the file. `find` gives NULL for an unknown name. */
size_t il_gguf_count(const il_gguf *file);
const il_gguf_tensor *il_gguf_at(const il_gguf *file, size_t i);
const il_gguf_tensor *il_gguf_find(const il_gguf *file, const char *name);
int64_t il_gguf_elements(const il_gguf_tensor *t);
/* All its values, malloc'ed for the caller to free. Types float32, float16, bfloat16,
 * float64 and Q8_0; another, or a float64 that float32 cannot hold, is IL_ERR_INPUT. */
il_status il_gguf_floats(const il_gguf *file, const il_gguf_tensor *t, float **out,
                         il_error *err);

/* The value of a key: NULL or false when it is not there or of another kind. */
const char *il_gguf_text(const il_gguf *file, const char *key);
bool il_gguf_whole(const il_gguf *file, const char *key, int64_t *value);

/* One pair to be written: text, or where that is NULL a whole number (uint32). */
typedef struct il_gguf_pair {
    const char *key;
    const char *text;
    uint32_t whole;
} il_gguf_pair;

/* One vector of float32 to be written. */
typedef struct il_gguf_vector {
    const char *name;
    int64_t count;
    const float *data;
} il_gguf_vector;

/* Replaces `path`, all or nothing, by a file of version 3; pairs and vectors as they
 * come. Names and keys that repeat are IL_ERR_INPUT, and nothing is written. */
il_status il_gguf_write(const char *path, const il_gguf_pair *pairs, size_t pair_count,
                        const il_gguf_vector *vectors, size_t count, il_error *err);

#endif
