/* Chat templates: conversations as the text that a model was trained on.
 *
 * A template is written in Jinja. What is read here is what the plain ones need: text,
 * {{ expressions }}, if and for over messages, set of names, comments, white space
 * control, string operations and tests. Anything else is refused by name, with its
 * line, when the template is read; it never does a bit less than it says. */
#ifndef IL_FORMATS_CHAT_H
#define IL_FORMATS_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"
#include "interloop/tokens.h"

typedef struct il_chat il_chat; /* constant */

/* What a conversation became; zero-initialize it. */
typedef struct il_chat_text {
    char *data;
    int32_t *turns; /* of each byte the turn whose content it is, or -1 */
    size_t size;
    size_t room;
} il_chat_text;
void il_chat_text_free(il_chat_text *text);

/* Reads a template. `bos` and `eos` are the texts of the special tokens, NULL for none.
 */
il_status il_chat_parse(il_chat **out, const char *source, size_t size,
                        const char *where, const char *bos, const char *eos,
                        il_error *err);
void il_chat_free(il_chat *chat); /* takes NULL */
const char *il_chat_source(const il_chat *chat);

/* Writes a conversation, `prompt` being add_generation_prompt. A template that raises
 * (an unexpected role) is IL_ERR_INPUT with what it says. */
il_status il_chat_render(const il_chat *chat, const il_turn *turns, size_t count,
                         bool prompt, il_chat_text *out, il_error *err);

#endif
