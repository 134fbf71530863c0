/* A tokenizer, as the host opened it from a tokenizer.json: text to token ids with the
 * bytes that they stand for, and back; conversations as its chat template writes them.
 *
 * Taken by il_setup_tokenizer (setup.h), valid as long as the instance. [any]
 * throughout: several workers may encode at once. */
#ifndef INTERLOOP_TOKENS_H
#define INTERLOOP_TOKENS_H

#include <stdbool.h>
#include "interloop/abi.h"
#include "interloop/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct il_tokens il_tokens;

/* A message of a conversation; text is UTF-8. */
typedef struct il_turn {
    const char *role;
    const char *content;
    size_t role_size;
    size_t content_size;
} il_turn;

typedef struct il_tokens_api {
    size_t struct_size;
    int64_t (*size)(const il_tokens *t);
    int32_t (*find)(const il_tokens *t, const char *token, size_t size);
    const char *(*hash)(const il_tokens *t);
    il_status (*encode)(const il_tokens *t, const char *text, size_t size, bool special,
                        int64_t room, int32_t *ids, uint32_t *firsts, uint32_t *lasts,
                        int64_t *count, il_error *err);
    il_status (*decode)(const il_tokens *t, const int32_t *ids, int64_t count,
                        bool skip, char *out, size_t room, size_t *size, il_error *err);
    il_status (*chat)(const il_tokens *t, const il_turn *turns, int64_t count,
                      bool prompt, size_t room, char *out, int32_t *turn_of,
                      size_t *size, il_error *err);
    il_status (*conversation)(const il_tokens *t, const char *json, size_t json_size,
                              bool prompt, size_t room, char *out, int32_t *turn_of,
                              int32_t *place_of, size_t *size, il_error *err);
} il_tokens_api;

struct il_tokens {
    const il_tokens_api *api;
};

/* One more than the largest id. */
static inline int64_t il_tokens_size(const il_tokens *t)
{
    return t->api->size(t);
}

/* The id of a token as the file spells it ("<|endoftext|>"), or -1. */
static inline int32_t il_tokens_find(const il_tokens *t, const char *token)
{
    return t->api->find(t, token, strlen(token));
}

/* SHA-256 of the tokenizer's file as hex, and of its chat template: for fingerprints.
 */
static inline const char *il_tokens_hash(const il_tokens *t)
{
    return t->api->hash(t);
}

/* The tokens of a text, with those that the tokenizer puts around one where `special`.
 * Writes at most `room` of them, with bytes [first,last) of each in the text, and how
 * many there are to *count. `firsts` and `lasts` may be NULL. */
static inline il_status il_tokens_encode(const il_tokens *t, const char *text,
                                         size_t size, bool special, int64_t room,
                                         int32_t *ids, uint32_t *firsts,
                                         uint32_t *lasts, int64_t *count, il_error *err)
{
    return t->api->encode(t, text, size, special, room, ids, firsts, lasts, count, err);
}

/* The text of tokens, special ones left out where `skip`: at most `room` bytes, without
 * a NUL; *size is how many there are. */
static inline il_status il_tokens_decode(const il_tokens *t, const int32_t *ids,
                                         int64_t count, bool skip, char *out,
                                         size_t room, size_t *size, il_error *err)
{
    return t->api->decode(t, ids, count, skip, out, room, size, err);
}

/* A conversation as the chat template writes it, with the beginning of an answer where
 * `prompt`: at most `room` bytes; *size is how many there are. `turn_of` is of each
 * byte the number of the turn whose content it is, or -1. IL_ERR_UNSUPPORTED where
 * there is no template, or one that says what is not known here. */
static inline il_status
il_tokens_chat(const il_tokens *t, const il_turn *turns, int64_t count, bool prompt,
               size_t room, char *out, int32_t *turn_of, size_t *size, il_error *err)
{
    return t->api->chat(t, turns, count, prompt, room, out, turn_of, size, err);
}

/* The same of a conversation as JSON: a list of messages, or an object with `messages`,
 * whose other members the template finds by name (`tools`), but for `date`, text like
 * 2024-07-26 for templates that ask for today's. `place_of` is of each byte which byte
 * of its turn's content it is, or -1 for none of that; content may be a list of parts,
 * whose texts count as one behind the other. Both arrays may be NULL. A host
 * without it gives IL_ERR_UNSUPPORTED. */
static inline il_status
il_tokens_conversation(const il_tokens *t, const char *json, size_t json_size,
                       bool prompt, size_t room, char *out, int32_t *turn_of,
                       int32_t *place_of, size_t *size, il_error *err)
{
    if (!IL_HAS(t->api, conversation)) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "",
                            "this host reads no conversations as JSON");
    }
    return t->api->conversation(t, json, json_size, prompt, room, out, turn_of,
                                place_of, size, err);
}

#ifdef __cplusplus
}
#endif

#endif
