/* Shards as `interloop activations` writes them: which files, of what, and whether one
 * that is there is whole. */
#ifndef IL_TOOLS_ACTIVATIONS_H
#define IL_TOOLS_ACTIVATIONS_H

#include "detect/harvest.h"
#include "formats/array.h"

enum { IL_ACTIVATIONS_SITES = 64 };

/* The form of all shards. */
typedef struct il_activations_form {
    const char *folder;
    bool npy;       /* a file a column, not one a shard */
    il_dtype dtype; /* of activations */
    const il_harvest *harvest;
} il_activations_form;

/* Reads `--dtype` and `--format`, NULL for the usual. */
il_status il_activations_form_read(il_activations_form *f, const char *dtype,
                                   const char *format, il_error *err);
/* Writes shard `number`: what was harvested, with a document's id for each row. Each
 * file is written whole or not at all, and the one without which a shard is not there
 * last. */
il_status il_activations_write(const il_activations_form *f, int64_t number,
                               const il_acts *acts, const int64_t *ids, il_error *err);
/* Whether shard `number` is there, whole and of so many rows. Where its files are and
 * hold something else, `why` says what. */
bool il_activations_there(const il_activations_form *f, int64_t number, int64_t rows,
                          il_error *why);
/* Removes what a harvest that was killed left half written. */
il_status il_activations_tidy(const il_activations_form *f, il_error *err);

#endif
