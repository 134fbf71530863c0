/* A model of weights from a folder, written as such a folder again, so that
 * `transformers` loads it; and its adapters as PEFT's. */
#ifndef IL_EXCHANGE_FOLDER_H
#define IL_EXCHANGE_FOLDER_H

#include "pipeline/instance.h"

typedef enum il_folder_what {
    IL_FOLDER_MODEL,   /* all but adapters; refused where there are some */
    IL_FOLDER_MERGED,  /* adapters added to the matrices that they are beside */
    IL_FOLDER_ADAPTERS /* the adapters alone */
} il_folder_what;

/* Writes the weights that the model's store holds. `dtype`: f32, f16 or bf16, to
 * nearest; the configuration says it too. Where they are more than `shard_bytes`, above
 * 0, they become files of at most so much, or of a single larger tensor, with an index;
 * adapters are one file always. What else the folder held for text
 * (tokenizers, templates, settings of generation) goes along. A model that came from no
 * folder, a folder that is there already, and a number that f16 cannot hold are
 * IL_ERR_INPUT; whatever fails, nothing stands at `folder`. */
il_status il_folder_write(const il_instance *model, const char *folder,
                          il_folder_what what, il_dtype dtype, size_t shard_bytes,
                          il_error *err);

#endif
