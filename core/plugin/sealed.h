/* Sealed copies: bytes in memory that nobody can change any more, with a descriptor by
 * which they can be loaded. What was hashed is then what is loaded, whatever becomes of
 * the file. */
#ifndef IL_PLUGIN_SEALED_H
#define IL_PLUGIN_SEALED_H

#include <stddef.h>
#include "interloop/status.h"

/* Puts a copy of the bytes behind *fd, closed on exec, and seals it against writing,
 * growing and shrinking. `where` names the file in messages and, by its last part, in
 * the process's map. IL_ERR_UNSUPPORTED where the system has no such files, or forbids
 * running what is in them. */
il_status il_sealed_copy(const void *data, size_t size, const char *where, int *fd,
                         il_error *err);

#endif
