/* The host's batches: the fields that a dataset filled, in an arena of their own. */
#ifndef IL_PIPELINE_BATCH_H
#define IL_PIPELINE_BATCH_H

#include "interloop/batch.h"

/* An empty batch; reused by il_batch_reset, which keeps its memory. */
il_status il_batch_create(il_batch **out, il_error *err);
void il_batch_destroy(il_batch *b); /* takes NULL */
void il_batch_reset(il_batch *b, int64_t rows);
/* The failure that a dataset left behind (a name twice, wrong rows), or IL_OK. */
il_status il_batch_status(const il_batch *b, il_error *err);

#endif
