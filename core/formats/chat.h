/* Chat templates: conversations as the text that a model was trained on.
 *
 * A template is written in Jinja and run as `transformers` runs it: the same white
 * space control, filters, tests and methods, on the same values. What cannot be read is
 * refused with its line when the template is read; what Jinja knows and this does not
 * is refused by name and line when it is reached. A template is given steps, memory and
 * depth, and refused where it takes more; it never does a bit less than it says. */
#ifndef IL_FORMATS_CHAT_H
#define IL_FORMATS_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"
#include "interloop/tokens.h"

typedef struct il_chat il_chat; /* constant once it is read */

/* What a conversation became; zero-initialize it. */
typedef struct il_chat_text {
    char *data;
    int32_t *turns;  /* of each byte the turn whose content it is, or -1 */
    int32_t *places; /* and which byte of that content, or -1 */
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
/* Gives templates one more name for a text ("pad_token"); before the first rendering.
 */
il_status il_chat_name(il_chat *chat, const char *name, const char *text,
                       il_error *err);

/* Writes a conversation, `prompt` being add_generation_prompt. A template that raises
 * (an unexpected role), or that goes wrong as Jinja would, is IL_ERR_INPUT with what it
 * says. */
il_status il_chat_render(const il_chat *chat, const il_turn *turns, size_t count,
                         bool prompt, il_chat_text *out, il_error *err);

/* The same of a conversation as JSON: a list of messages, or an object with `messages`,
 * whose other members are handed to the template by name (`tools`, `documents`,
 * `enable_thinking`), but for `date`: "2024-07-26", which is what strftime_now goes by.
 * Content may be a list of parts, whose texts count as one behind the other. A string
 * that reasons (`reasoning_content`, `thinking`) or calls tools is its turn's too, with
 * no place. */
il_status il_chat_render_json(const il_chat *chat, const char *json, size_t size,
                              bool prompt, il_chat_text *out, il_error *err);

#endif
