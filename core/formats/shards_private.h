/* What the two halves of the shards' reader share: which files there are, and what they
 * hold. */
#ifndef IL_FORMATS_SHARDS_PRIVATE_H
#define IL_FORMATS_SHARDS_PRIVATE_H

#include "base/arena.h"
#include "formats/shards.h"

enum { IL__SHARDS_FILES_MAX = 32768, IL__SHARDS_COLUMNS_MAX = 1024 };

/* A file of a shard. */
typedef struct il__shards_file {
    const char *path;
    const char *shard;  /* what {shard} stood for, "" for nothing */
    const char *column; /* .npy: its column; NULL: the names are within */
    size_t pattern;     /* the number of the pattern that it fits */
} il__shards_file;

/* All of them, in the order of their shards; everything lies in an arena. */
typedef struct il__shards_list {
    il__shards_file *files;
    size_t count;
    size_t *first; /* [shards+1]: the first file of each shard */
    size_t shards;
} il__shards_list;

bool il__shards_ends(const char *text, const char *end);
/* Finds the files of a path by a naming, or by the default. */
il_status il__shards_list_make(il__shards_list *out, il_arena *arena, const char *path,
                               const char *naming, il_error *err);

#endif
