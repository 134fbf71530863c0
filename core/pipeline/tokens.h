/* Tokenizers as plugins see them: a tokenizer, its chat template, and what encoding
 * needs for each worker that asks at once. */
#ifndef IL_PIPELINE_TOKENS_H
#define IL_PIPELINE_TOKENS_H

#include "interloop/tokens.h"

/* Opens a tokenizer.json, or the folder that holds one. A template beside it
 * (chat_template.jinja, or in tokenizer_config.json) is read when a conversation is
 * first asked for. */
il_status il_tokens_open(il_tokens **out, const char *path, il_error *err);
void il_tokens_close(il_tokens *t); /* takes NULL */

#endif
