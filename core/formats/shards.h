/* Shards: arrays in many files, row after row, as one column each. Activations that
 * somebody harvested lie so: a folder of .safetensors files that hold the same tensors,
 * or of .npy files whose names tell shard and column.
 *
 * Every file is mapped and checked when the shards are opened, and only what is read of
 * them is ever copied, so that together they may be larger than memory. Columns that
 * do not fit from shard to shard are no error before somebody asks for one: folders
 * hold what nobody needs, too. [any] throughout. */
#ifndef IL_FORMATS_SHARDS_H
#define IL_FORMATS_SHARDS_H

#include <jansson.h>
#include "base/hash.h"
#include "formats/array.h"

/* Metadata of a safetensors file: what its arrays are, as JSON. */
#define IL_SHARDS_KEY "interloop.activations"
/* Before a site's name, of its column. */
#define IL_SHARDS_ACTS "acts."

typedef struct il_shards il_shards;

typedef struct il_shards_column {
    const char *name;
    il_dtype dtype;
    int32_t ndim;               /* 1 or more */
    int64_t shape[IL_DIMS_MAX]; /* shape[0]: rows of all shards */
} il_shards_column;

/* Opens a folder, or one file that is a shard by itself. `naming` tells which files of
 * the folder are shards, as patterns with commas: "{shard}.safetensors",
 * "{shard}.{name}.npy", "acts_{shard}.npy, labels_{shard}.npy", "train-{shard}.npy";
 * beside {name}, {shard} stands for digits. A column of .npy files has the name that
 * {name} stands for, or what is left of the file's name without {shard}. Shards come in
 * the order of their names, numbers in them by value.
 *
 * NULL or "": the folder's .safetensors files, or else its .npy files, NNN.NAME.npy
 * where some are called so and NAME.npy otherwise. Where an index.json of `interloop
 * activations` says how many shards there are, there are these and no others. Anything
 * wrong is IL_ERR_INPUT with the file; arrays in Fortran order, which would have to be
 * copied, are refused. */
il_status il_shards_open(il_shards **out, const char *path, const char *naming,
                         il_error *err);
void il_shards_close(il_shards *s); /* takes NULL */

/* The index's object, or that of the first file's metadata, or NULL: what they are. */
const json_t *il_shards_about(const il_shards *s);
size_t il_shards_count(const il_shards *s); /* shards */

/* Columns, by name. */
size_t il_shards_columns(const il_shards *s);
const char *il_shards_name(const il_shards *s, size_t column);
bool il_shards_has(const il_shards *s, const char *name);
/* What a column is; IL_ERR_INPUT where a shard lacks it, or has it with another type or
 * shape than the first. */
il_status il_shards_find(const il_shards *s, const char *name, size_t *column,
                         il_shards_column *out, il_error *err);
/* Whether both have as many rows in every shard, as what belongs together has. */
il_status il_shards_agree(const il_shards *s, size_t a, size_t b, il_error *err);

/* Rows [first, first+rows) of a column as found, into `out`, which has room for them;
 * what may be changed by that is as for il_array_floats and its kin. */
il_status il_shards_floats(const il_shards *s, size_t number, int64_t first,
                           int64_t rows, float *out, il_error *err);
il_status il_shards_wholes(const il_shards *s, size_t number, int64_t first,
                           int64_t rows, int64_t *out, il_error *err);
il_status il_shards_flags(const il_shards *s, size_t number, int64_t first,
                          int64_t rows, uint8_t *out, il_error *err);

/* A hash over what they are: with `rows` over the bytes of all files, which reads them
 * through, otherwise over the columns' types and shapes. */
il_status il_shards_hash(const il_shards *s, bool rows, char hex[IL_HASH_HEX],
                         il_error *err);

#endif
