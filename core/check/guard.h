/* Memory whose every wrong use is noticed: pages that end where the data ends, and
 * batches of them. */
#ifndef IL_CHECK_GUARD_H
#define IL_CHECK_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include "interloop/batch.h"

/* Cleared memory that ends, up to `align` (a power of two), where a page begins that
 * nobody may touch; what lies before it holds a pattern. NULL when memory is out. */
void *il_guard_alloc(size_t bytes, size_t align);
void il_guard_free(void *data, size_t bytes, size_t align); /* takes NULL */
/* Whether the pattern before and behind it still stands. */
bool il_guard_holds(const void *data, size_t bytes, size_t align);
/* From here on writing to it ends the process. */
void il_guard_seal(void *data, size_t bytes);

/* An empty batch whose fields are such memory. */
il_batch *il_guard_batch(int64_t rows);
void il_guard_batch_destroy(il_batch *b); /* takes NULL */
/* Its failure, or a field past whose edge was written. */
il_status il_guard_batch_status(const il_batch *b, il_error *err);
/* From here on its fields can be read alone. */
void il_guard_batch_seal(il_batch *b);
size_t il_guard_batch_count(const il_batch *b);
const il_tensor *il_guard_batch_field(const il_batch *b, size_t field,
                                      const char **name);

#endif
