/* Shards of tensors as plugins see them. */
#ifndef IL_PIPELINE_TENSORS_H
#define IL_PIPELINE_TENSORS_H

#include "interloop/tensors.h"

/* Opens a folder or a file as il_shards_open does. Without `rows` it says what there is
 * and gives none: a model's rows come by the batch, where it is known what chose them.
 */
il_status il_tensors_open(il_tensors **out, const char *path, const char *naming,
                          bool rows, il_error *err);
void il_tensors_close(il_tensors *t); /* takes NULL */

#endif
