/* Dictionaries in other forms than SAELens': EleutherAI's sparsify and Gemma Scope. */
#ifndef IL_EXCHANGE_WEIGHTS_H
#define IL_EXCHANGE_WEIGHTS_H

#include "base/text.h"
#include "exchange/dictionary.h"

/* A folder of sparsify: cfg.json (d_in, k, num_latents or expansion_factor) beside
 * sae.safetensors (encoder.weight (F,W), encoder.bias, W_dec (F,W), b_dec).
 * Transcoders, skip connections and groupmax are refused by name. The folder's name
 * says where it reads ("layers.5"). */
il_status il_sparsify_read(il_dictionary *out, const char *folder, il_text *said,
                           il_error *err);

/* Gemma Scope's params.npz, or the same tensors in safetensors: W_enc (W,F), W_dec
 * (F,W), b_enc, b_dec, threshold, in capitals or not; a jumping SAE whose input is not
 * centred. */
il_status il_gemma_scope_read(il_dictionary *out, const char *path, il_text *said,
                              il_error *err);
/* Writes such an .npz. IL_ERR_INPUT for a form that it cannot say. */
il_status il_gemma_scope_write(const il_dictionary *d, const char *path, il_error *err);

#endif
