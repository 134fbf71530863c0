/* A vocabulary: tokens to ids and back. */
#ifndef IL_FORMATS_TOKENIZER_VOCABULARY_H
#define IL_FORMATS_TOKENIZER_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IL_VOCABULARY_MAX ((int64_t)1 << 24) /* ids below it */

typedef struct il_token_name {
    const char *text; /* NULL: no token has the id */
    uint32_t size;
} il_token_name;

/* Zero-initialize it. Text is borrowed. */
typedef struct il_vocabulary {
    il_token_name *names; /* by id */
    int64_t size;         /* one more than the largest id */
    int32_t *table;       /* a hash table of ids, -1 for free, `mask`+1 long */
    size_t mask;
} il_vocabulary;

/* Room for `count` tokens with ids below `size`; false when memory is out. */
bool il__vocabulary_open(il_vocabulary *v, size_t count, int64_t size);
void il__vocabulary_free(il_vocabulary *v);
/* Adds a token; the id that stands in its way (its own when that is taken, another when
 * the token is there), or -1 when it was added. */
int32_t il__vocabulary_add(il_vocabulary *v, const char *text, size_t size, int32_t id);
/* The id of a token, or -1. */
int32_t il__vocabulary_find(const il_vocabulary *v, const char *text, size_t size);
/* A hash of bytes, never 0. */
uint64_t il__token_hash(const char *text, size_t size);

#endif
