/* A file's bytes, mapped for reading. */
#ifndef IL_BASE_MAPPED_H
#define IL_BASE_MAPPED_H

#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

/* While it is open the file may be replaced or removed, but not cut short in place. */
typedef struct il_mapped {
    const void *data; /* NULL for a file of no bytes */
    size_t size;
    uint64_t device, number; /* of the file, so that it is known again */
} il_mapped;

/* Maps a regular file. One that cannot be read is IL_ERR_IO, another kind of thing
 * IL_ERR_INPUT, both with the path; it never waits for a pipe's other end. */
il_status il_mapped_open(il_mapped *out, const char *path, il_error *err);
void il_mapped_close(il_mapped *m); /* takes one that was never opened, zeroed */
/* Lays the same file, writable and private to this process, over memory at `to`, which
 * begins a page and has room for its whole pages: nothing is read before somebody
 * looks, nothing copied before somebody writes, and the file never changes. A file that
 * took the name since is IL_ERR_IO. */
il_status il_mapped_over(const il_mapped *m, const char *path, void *to, il_error *err);

#endif
