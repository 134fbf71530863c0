/* The corpus: nouns drawn and split into entities to train on and entities to test
 * on, and the vocabulary that the former give. What documents are made of. */
#ifndef WORDNET_PERSONAS_CORPUS_H
#define WORDNET_PERSONAS_CORPUS_H

#include <interloop/plugin.h>
#include "nouns.h"

/* Tokens; words of glosses follow the categories. */
enum {
    TOKEN_PAD,
    TOKEN_BOS,
    TOKEN_IS,
    TOKEN_UNK,
    TOKEN_HON,
    TOKEN_DEC,
    TOKEN_CATEGORY,
    TOKEN_WORD = TOKEN_CATEGORY + CATEGORIES
};

/* An entity as documents show it. */
typedef struct entity {
    int32_t category;
    int32_t gloss[GLOSS_WORDS]; /* tokens, right-aligned, TOKEN_PAD in front */
} entity;

typedef struct corpus {
    nouns nouns;
    entity *entities; /* those to train on, then those to test on */
    int64_t train;
    int64_t test;
    word *words; /* of token TOKEN_WORD and up */
    int64_t vocabulary;
} corpus;

typedef struct corpus_sizes {
    int64_t split_seed;
    int64_t per_category; /* at most so many entities a category */
    int64_t words;        /* in the vocabulary */
} corpus_sizes;

/* Reads ROOT/data.noun and makes the corpus, a pure function of file and sizes; the
 * file's bytes are added to `h`. On failure nothing is left behind. */
il_status corpus_make(corpus *out, const char *root, const corpus_sizes *sizes,
                      sha256 *h, il_error *err);
void corpus_free(corpus *c);

#endif
