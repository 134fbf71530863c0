/* A store: the named trainable tensors of one component, views into one block.
 *
 * A parameter's number in its store is its handle's id and, in a training pass, its
 * bit in the ancestries. Other blocks of the same layout (gradients, moments, a
 * shadow) are plain arrays of `total` floats read with the same offsets. */
#ifndef IL_TENSOR_STORE_H
#define IL_TENSOR_STORE_H

#include "interloop/setup.h"
#include "interloop/status.h"
#include "base/arena.h"
#include "base/mapped.h"

/* Where a tensor starts from instead of drawn values: little-endian numbers of f32, f16
 * or bf16, as many as its shape has. */
typedef struct il_store_source {
    const void *data; /* borrowed until the store is filled; NULL: drawn */
    il_dtype dtype;
    /* Not NULL: `data` is part of this file, whose floats are to be worked on where
     * they are mapped. Files of one store are told apart by this address. */
    const il_mapped *map;
    const char *path;
} il_store_source;

/* A file that lies in the block as it is, from a page of it on. */
typedef struct il_store_file {
    il_mapped map;
    const il_mapped *same; /* the source's */
    const char *path;
    int64_t first; /* float of the block */
} il_store_file;

typedef struct il_stored {
    const char *name;
    const char *group;
    int32_t ndim;
    int64_t shape[IL_DIMS_MAX];
    int64_t count;
    int64_t offset; /* floats from the start of a block; each starts a 64-byte line,
                       but those that lie as in their file */
    il_init init;
    il_store_source source;
} il_stored;

typedef struct il_store {
    il_arena *arena; /* names and rows */
    il_stored *items;
    size_t count;
    int64_t total; /* floats in a block, padding included */
    float *values; /* the component's own block; NULL before il_store_fill */
    il_store_file *files;
    size_t file_count;
    size_t mapped; /* bytes of `values`, where files lie in it; 0: it is the heap's */
} il_store;

il_status il_store_create(il_store **out, il_error *err);
void il_store_destroy(il_store *s); /* takes NULL */
/* Adds a tensor. Its number is the count before. Refuses a name that is there, a
 * dimension below 1, and more than 2^31 elements. */
il_status il_store_add(il_store *s, const char *name, const char *group, int32_t ndim,
                       const int64_t *shape, il_init init, il_error *err);
/* The same for one whose values come from a source; an element type that is none of
 * the three is IL_ERR_INPUT. */
il_status il_store_add_from(il_store *s, const char *name, const char *group,
                            int32_t ndim, const int64_t *shape,
                            const il_store_source *source, il_error *err);
/* Allocates the block, takes what has a source from there, and draws the initial values
 * from (seed, 0, IL_RNG_INIT, hash of the name, row), so that a tensor's start depends
 * on its own name alone. */
il_status il_store_fill(il_store *s, uint64_t seed, il_error *err);
/* The values of an untaught component into a block of the store's layout, zeroed: drawn
 * as by il_store_fill, and what has a source drawn with its mean and deviation. */
void il_store_draw(const il_store *s, uint64_t seed, float *block);
/* The number of the tensor of that name, or -1. */
int64_t il_store_find(const il_store *s, const char *name);
/* A zeroed, 64-byte aligned block of the store's layout; free() releases it. NULL
 * when memory is out. */
float *il_store_block(const il_store *s);

#endif
