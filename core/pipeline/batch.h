/* The host's batches: the fields that a dataset filled, in an arena of their own. */
#ifndef IL_PIPELINE_BATCH_H
#define IL_PIPELINE_BATCH_H

#include "interloop/batch.h"

/* An empty batch; reused by il_batch_reset, which keeps its memory. */
il_status il_batch_create(il_batch **out, il_error *err);
void il_batch_destroy(il_batch *b); /* takes NULL */
void il_batch_reset(il_batch *b, int64_t rows);
/* Makes `to` hold the very fields of `from`; what it held is gone. */
il_status il_batch_copy(il_batch *to, const il_batch *from, il_error *err);
/* The first field of `a` that `b` lacks or holds with other bits, else the first that
 * only `b` has; NULL when they are equal. Lives as long as its batch. */
const char *il_batch_difference(const il_batch *a, const il_batch *b);
/* The failure that a dataset left behind (a name twice, wrong rows), or IL_OK. */
il_status il_batch_status(const il_batch *b, il_error *err);
/* Its fields in the order in which they were added; *name is the batch's. */
size_t il_batch_fields(const il_batch *b);
const il_tensor *il_batch_field(const il_batch *b, size_t field, const char **name);

#endif
