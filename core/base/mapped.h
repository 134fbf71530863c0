/* A file's bytes, mapped for reading. */
#ifndef IL_BASE_MAPPED_H
#define IL_BASE_MAPPED_H

#include <stddef.h>
#include "interloop/status.h"

/* While it is open the file may be replaced or removed, but not cut short in place. */
typedef struct il_mapped {
    const void *data; /* NULL for a file of no bytes */
    size_t size;
} il_mapped;

/* Maps a regular file. One that cannot be read is IL_ERR_IO, another kind of thing
 * IL_ERR_INPUT, both with the path; it never waits for a pipe's other end. */
il_status il_mapped_open(il_mapped *out, const char *path, il_error *err);
void il_mapped_close(il_mapped *m); /* takes one that was never opened, zeroed */

#endif
