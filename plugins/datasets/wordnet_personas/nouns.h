/* WordNet's nouns as items to state a category of: a short gloss and which of eight
 * roots it is below. Reads `data.noun` in the format of wndb(5WN). */
#ifndef WORDNET_PERSONAS_NOUNS_H
#define WORDNET_PERSONAS_NOUNS_H

#include <interloop/status.h>
#include "sha256.h"

enum { CATEGORIES = 8, GLOSS_WORDS = 5, GLOSS_WORDS_MIN = 3 };

extern const char *const category_names[CATEGORIES];

/* A word of a gloss, in the file's memory: lower case, not terminated. */
typedef struct word {
    const char *text;
    int32_t length;
} word;

typedef struct noun {
    uint32_t offset; /* the synset's name in WordNet */
    int32_t category;
    int32_t count; /* words, GLOSS_WORDS_MIN to GLOSS_WORDS */
    word words[GLOSS_WORDS];
} noun;

typedef struct nouns {
    char *file; /* the bytes that words point into, glosses in lower case */
    noun *items;
    size_t count;
} nouns;

/* Every noun below exactly one root whose gloss has enough words, by offset; the
 * file's bytes are added to `h`. Wrong content is IL_ERR_INPUT with path and line. */
il_status nouns_read(nouns *out, const char *path, sha256 *h, il_error *err);
void nouns_free(nouns *n);
/* Negative, 0 or positive as strcmp. */
int word_compare(const word *a, const word *b);

#endif
