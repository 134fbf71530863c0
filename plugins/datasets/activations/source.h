/* One folder of shards as rows: which of its tensors are what. */
#ifndef ACTIVATIONS_SOURCE_H
#define ACTIVATIONS_SOURCE_H

#include "../../harvest.h"

enum { LABELS_MAX = 16 };

/* What is wanted of every folder, by name. */
typedef struct wanted {
    const char *files, *sites;
    const char *tokens, *mask, *ids, *lengths; /* tensors; "": none */
    harvest_name labels[LABELS_MAX];
    int32_t label_count;
} wanted;

/* A tensor beside the activations; column -1: there is none. */
typedef struct beside {
    int64_t column;
    bool wide; /* one value a position, not one a row */
} beside;

typedef struct source {
    const il_tensors *tensors;
    int64_t rows, length;
    harvest_site sites[HARVEST_SITES];
    int32_t site_count;
    beside tokens, mask, ids, lengths, labels[LABELS_MAX];
} source;

/* Opens a folder and finds what is wanted. The names that nobody was asked for, the
 * usual ones, may be absent; `labels` is filled where none is named and one is there.
 */
il_status source_open(source *out, const il_setup *s, const char *folder, wanted *w,
                      il_error *err);
/* Ids of rows [first, first+rows), for documents that have none by their number from
 * `base` on. */
il_status source_ids(const source *s, int64_t base, int64_t first, int64_t rows,
                     int64_t *out, il_error *err);
/* One value a position, from one a row where the tensor has no more. */
il_status source_flags(const source *s, const beside *b, int64_t first, int64_t rows,
                       uint8_t *out, il_error *err);

#endif
