/* TensorBoard event files read as they grow: the scalars that were written since the
 * last look. */
#ifndef IL_FORMATS_TFEVENTS_READ_H
#define IL_FORMATS_TFEVENTS_READ_H

#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

/* `tag` is not terminated. */
typedef void (*il_tfevents_visit)(void *user, int64_t step, const char *tag,
                                  size_t tag_size, double value);

/* Visits the scalars of the whole records from *at on, and moves *at behind them; a
 * record that is not whole yet waits for the next call. A file that is shorter than *at
 * was begun anew, and is read from its beginning. Checksums are left alone: what is
 * torn is short, and nothing is decided by what is read. Bytes that are no records are
 * IL_ERR_INPUT. */
il_status il_tfevents_read(const char *path, size_t *at, il_tfevents_visit visit,
                           void *user, il_error *err);

#endif
