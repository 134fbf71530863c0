/* SAELens' folders: cfg.json beside sae_weights.safetensors. Read in the nested form
 * of version 6 and in the flat one before it; written in that of version 6. */
#ifndef IL_EXCHANGE_SAE_LENS_H
#define IL_EXCHANGE_SAE_LENS_H

#include "base/text.h"
#include "exchange/dictionary.h"

/* Reads a folder; zero-initialize *out. What the reader settled by itself goes line by
 * line into `said`. An architecture that is no SAE on one site, or one that is not
 * known, is IL_ERR_INPUT by its name; so are options and tensors that do not go
 * together, with what was expected and found. Nothing is left in *out then. */
il_status il_sae_lens_read(il_dictionary *out, const char *folder, il_text *said,
                           il_error *err);

/* Writes a folder, making it where there is none. The weights come first and the
 * configuration last, each all or nothing. IL_ERR_INPUT for a folder that holds another
 * cfg.json. */
il_status il_sae_lens_write(const il_dictionary *d, const char *folder, il_error *err);

#endif
