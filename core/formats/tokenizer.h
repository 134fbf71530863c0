/* Tokenizers: text to token ids and back, as a `tokenizer.json` describes it.
 *
 * The file is the one that the `tokenizers` library writes: a normalizer, a
 * pre-tokenizer, a model (BPE, WordPiece or WordLevel), a post-processor, a decoder and
 * added tokens. What stands in it is followed exactly or refused by name; nothing is
 * guessed. A tokenizer is constant once it is open and may be shared by threads; what
 * encoding needs besides (a cache of words, memory for matches) is a thread's own. */
#ifndef IL_FORMATS_TOKENIZER_H
#define IL_FORMATS_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/text.h"
#include "interloop/status.h"

#define IL_TOKENIZER_FILE_MAX ((size_t)256 * 1024 * 1024)
#define IL_TOKENIZER_TEXT_MAX ((size_t)1 << 30) /* bytes encoded at once */

typedef struct il_tokenizer il_tokenizer;
typedef struct il_tokenizer_work il_tokenizer_work; /* of one thread at a time */

/* Bytes [first,last) of a text. */
typedef struct il_span {
    uint32_t first;
    uint32_t last;
} il_span;

/* What a text became; zero-initialize it, use it again and again. */
typedef struct il_encoding {
    int32_t *ids;
    il_span *spans;   /* in bytes of the text as it was handed over */
    uint8_t *special; /* 1: stands for no bytes, the post-processor put it there */
    size_t count;
    size_t room;
} il_encoding;
void il_encoding_free(il_encoding *e); /* leaves it empty */

/* Opens `path`: a tokenizer.json, or a folder that holds one. Anything wrong with it is
 * IL_ERR_INPUT, a part of another kind than those known here IL_ERR_UNSUPPORTED, both
 * with the place in the file. */
il_status il_tokenizer_open(il_tokenizer **out, const char *path, il_error *err);
/* The same from text in memory; `where` goes into errors. */
il_status il_tokenizer_parse(il_tokenizer **out, const char *json, size_t size,
                             const char *where, il_error *err);
void il_tokenizer_close(il_tokenizer *t); /* takes NULL */

/* What of the file was left aside, one sentence a line ("truncation ..."), or "". */
const char *il_tokenizer_notes(const il_tokenizer *t);
/* One more than the largest id; ids between may be free. */
int64_t il_tokenizer_size(const il_tokenizer *t);
/* The token of an id as the file spells it (of an added token, as the normalizer
 * leaves it: so does the library), its length in *size; NULL for none. Lives
 * as long as the tokenizer. */
const char *il_tokenizer_token(const il_tokenizer *t, int32_t id, size_t *size);
/* The id of such a spelling, or -1. */
int32_t il_tokenizer_find(const il_tokenizer *t, const char *token, size_t size);
/* Whether the id is that of a special token. */
bool il_tokenizer_special(const il_tokenizer *t, int32_t id);
/* SHA-256 of the file's bytes. */
const char *il_tokenizer_hash(const il_tokenizer *t);

il_status il_tokenizer_work_create(il_tokenizer_work **out, const il_tokenizer *t,
                                   il_error *err);
void il_tokenizer_work_destroy(il_tokenizer_work *w); /* takes NULL */

/* The tokens of `size` bytes, with the post-processor's where `special`. Bytes that are
 * no UTF-8 become U+FFFD, one for each longest piece that could have begun a character:
 * what Python's bytes.decode(errors='replace') hands to a tokenizer. Their spans are
 * those of the broken bytes. The word cache changes nothing but the time it takes. */
il_status il_tokenizer_encode(const il_tokenizer *t, il_tokenizer_work *w,
                              const char *text, size_t size, bool special,
                              il_encoding *out, il_error *err);
/* Adds the text of `count` ids to `out`; `skip` leaves special tokens out. An id that
 * no token has is left out. Bytes that end up as no UTF-8 become U+FFFD. */
il_status il_tokenizer_decode(const il_tokenizer *t, const int32_t *ids, size_t count,
                              bool skip, il_text *out, il_error *err);

#endif
