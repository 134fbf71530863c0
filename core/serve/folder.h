/* The runs folder as it is served: the files that a path may name, and the index of
 * what there is. Nothing is found but by descending from the folder's descriptor, a
 * name at a time, following no link. */
#ifndef IL_SERVE_FOLDER_H
#define IL_SERVE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/text.h"
#include "interloop/status.h"

enum {
    IL_SERVED_DEPTH = 4,       /* RUN/STAGE/VARIANT/seed-N */
    IL_SERVED_ENTRIES = 131072, /* that one index looks at */
    IL_SERVED_TAG = 80
};

typedef struct il_served {
    int fd; /* a regular file; the caller closes it */
    int64_t size;
    char tag[IL_SERVED_TAG]; /* changes when the file does; with its quotes */
    const char *type;
    bool page; /* a report */
} il_served;

/* Opens what `path` ("RUN/summary.json", "RUN/STAGE/seed-1/audit.json") names below
 * `runs`. False when it names nothing that is served, for whatever reason: a file of
 * another name, a name with a dot in front, a link anywhere on the way, no file. */
bool il_served_open(int runs, const char *path, il_served *out);

/* Adds the index to `out`, JSON:
 *   {"runs": {NAME: {"changed": milliseconds since 1970, "sweep": bool,
 *                    "files": [NAME...], "jobs": {"STAGE/VARIANT/seed-N": [NAME...]}}},
 *    "whole": false when there was more than an index holds}
 * with all names sorted. What vanishes meanwhile is left out. */
il_status il_served_index(int runs, il_text *out, il_error *err);

#endif
