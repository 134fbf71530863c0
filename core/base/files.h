/* Files: whole reads with a limit, atomic writes (temporary file, fsync, rename, fsync
 * of the folder), folders, locks. Every failure names the path and the system's reason.
 */
#ifndef IL_BASE_FILES_H
#define IL_BASE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

/* Reads a whole regular file of at most `limit` bytes. *data is malloc'ed,
 * NUL-terminated beyond its *size bytes; the caller frees it. */
il_status il_file_read(const char *path, size_t limit, char **data, size_t *size,
                       il_error *err);
/* Replaces `path` by `size` bytes, all or nothing. */
il_status il_file_write(const char *path, const void *data, size_t size, il_error *err);
/* The same for pieces that lie apart, written one after the other. */
typedef struct il_file_part {
    const void *data;
    size_t size;
} il_file_part;
il_status il_file_write_parts(const char *path, const il_file_part *parts, size_t count,
                              il_error *err);
/* Appends one record with a single write(2); not atomic over a crash, so readers drop a
 * torn tail. */
il_status il_file_append(const char *path, const void *data, size_t size,
                         il_error *err);
bool il_file_exists(const char *path);
/* Creates the folder and its parents; one that is there is no error. */
il_status il_folder_make(const char *path, il_error *err);
/* Removes a folder and all in it; one that is not there is no error. Never follows
 * links. */
il_status il_folder_remove(const char *path, il_error *err);
/* Calls `visit` for each entry name, sorted, "." and ".." left out. */
il_status
il_folder_list(const char *path,
               il_status (*visit)(void *user, const char *name, il_error *err),
               void *user, il_error *err);
/* "a/b" malloc'ed; NULL when memory is out. A `name` that begins with '/' stands alone.
 */
char *il_path_join(const char *folder, const char *name);
/* The folder part of a path, malloc'ed ("." when there is none). */
char *il_path_folder(const char *path);

/* An advisory lock on a file that it creates; waits when `wait`, else IL_ERR_IO when
 * held. The lock goes with the process. */
il_status il_file_lock(const char *path, bool wait, int *fd, il_error *err);
void il_file_unlock(int fd);

#endif
