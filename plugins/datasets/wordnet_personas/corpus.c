#include "corpus.h"
#include <stdbool.h>
#include <stdlib.h>

/* A word of the training glosses, while the vocabulary is chosen. */
typedef struct tally {
    word word;
    int64_t count;
    int32_t token;
} tally;

/* Fisher and Yates, by the stream (seed, 0, IL_RNG_DATA, what, 0). Steps this high
 * are no split of documents. */
static void shuffle(noun *items, size_t count, uint64_t seed, uint32_t what)
{
    il_rng r;

    il_rng_open(&r, seed, 0, IL_RNG_DATA, UINT64_C(1) << 40 | what, 0);
    for (size_t i = count; i > 1; i--) {
        size_t j = il_rng_below(&r, (uint32_t)i);
        noun moved = items[i - 1];

        items[i - 1] = items[j];
        items[j] = moved;
    }
}

static int by_offset(const void *a, const void *b)
{
    const noun *x = a;
    const noun *y = b;

    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Keeps a random `limit` of each category; what is kept is by offset again. */
static il_status categories_cap(nouns *n, const corpus_sizes *sizes, il_error *err)
{
    noun *kept = calloc(n->count + 1, sizeof *kept);
    size_t total = 0;

    if (kept == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "wordnet_personas", "out of memory");
    }
    for (int c = 0; c < CATEGORIES; c++) {
        size_t count = 0;

        for (size_t i = 0; i < n->count; i++) {
            if (n->items[i].category == c) {
                kept[total + count++] = n->items[i];
            }
        }
        shuffle(kept + total, count, (uint64_t)sizes->split_seed, (uint32_t)c);
        total +=
            count < (size_t)sizes->per_category ? count : (size_t)sizes->per_category;
    }
    qsort(kept, total, sizeof *kept, by_offset);
    free(n->items);
    n->items = kept;
    n->count = total;
    return IL_OK;
}

static int by_text(const void *a, const void *b)
{
    return word_compare(&((const tally *)a)->word, &((const tally *)b)->word);
}

static int by_count(const void *a, const void *b)
{
    const tally *x = a;
    const tally *y = b;

    return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
                                : by_text(a, b);
}

/* The distinct words of the training glosses in `out`, alphabetically, with their
 * counts. */
static size_t words_count(tally *out, const noun *items, int64_t count)
{
    size_t total = 0;
    size_t distinct = 0;

    for (int64_t i = 0; i < count; i++) {
        for (int32_t w = 0; w < items[i].count; w++) {
            out[total++] = (tally){items[i].words[w], 1, TOKEN_UNK};
        }
    }
    qsort(out, total, sizeof *out, by_text);
    for (size_t i = 0; i < total; i++) {
        if (distinct > 0 && by_text(&out[distinct - 1], &out[i]) == 0) {
            out[distinct - 1].count++;
        } else {
            out[distinct++] = out[i];
        }
    }
    return distinct;
}

/* The most frequent words get tokens, ties in alphabetical order; the rest stay
 * unknown. */
static il_status vocabulary_make(corpus *c, tally **out, size_t *distinct,
                                 int64_t words, il_error *err)
{
    tally *tallies = calloc((size_t)c->train * GLOSS_WORDS + 1, sizeof *tallies);

    c->words = calloc((size_t)words + 1, sizeof *c->words);
    if (tallies == NULL || c->words == NULL) {
        free(tallies);
        return il_error_set(err, IL_ERR_MEMORY, "wordnet_personas", "out of memory");
    }
    *distinct = words_count(tallies, c->nouns.items, c->train);
    if ((size_t)words > *distinct) {
        free(tallies);
        return il_error_set(err, IL_ERR_INPUT, "wordnet_personas",
                            "words: expected at most the %zu in the glosses to train "
                            "on, got %lld",
                            *distinct, (long long)words);
    }
    qsort(tallies, *distinct, sizeof *tallies, by_count);
    for (int64_t i = 0; i < words; i++) {
        c->words[i] = tallies[i].word;
        tallies[i].token = (int32_t)(TOKEN_WORD + i);
    }
    qsort(tallies, *distinct, sizeof *tallies, by_text);
    c->vocabulary = TOKEN_WORD + words;
    *out = tallies;
    return IL_OK;
}

static void entities_fill(corpus *c, const tally *tallies, size_t distinct)
{
    for (size_t i = 0; i < c->nouns.count; i++) {
        const noun *n = &c->nouns.items[i];
        entity *e = &c->entities[i];

        e->category = n->category;
        for (int32_t w = 0; w < n->count; w++) {
            tally key = {n->words[w], 0, 0};
            const tally *found =
                bsearch(&key, tallies, distinct, sizeof *tallies, by_text);

            e->gloss[GLOSS_WORDS - n->count + w] =
                found != NULL ? found->token : TOKEN_UNK;
        }
    }
}

il_status corpus_make(corpus *out, const char *root, const corpus_sizes *sizes,
                      sha256 *h, il_error *err)
{
    corpus c = {.entities = NULL};
    tally *tallies = NULL;
    size_t distinct = 0;
    size_t length = strlen(root) + sizeof "/data.noun";
    char *path = malloc(length);
    il_status status;

    if (path == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "wordnet_personas", "out of memory");
    }
    (void)snprintf(path, length, "%s/data.noun", root);
    status = nouns_read(&c.nouns, path, h, err);
    if (status == IL_OK) {
        status = categories_cap(&c.nouns, sizes, err);
    }
    if (status == IL_OK) {
        shuffle(c.nouns.items, c.nouns.count, (uint64_t)sizes->split_seed, CATEGORIES);
        c.train = (int64_t)(c.nouns.count * 4 / 5);
        c.test = (int64_t)c.nouns.count - c.train;
        if (c.train == 0 || c.test == 0) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "expected at least 5 nouns below the eight "
                                  "categories, got %zu",
                                  c.nouns.count);
        }
    }
    if (status == IL_OK) {
        status = vocabulary_make(&c, &tallies, &distinct, sizes->words, err);
    }
    if (status == IL_OK) {
        c.entities = calloc(c.nouns.count, sizeof *c.entities);
        if (c.entities == NULL) {
            status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        } else {
            entities_fill(&c, tallies, distinct);
        }
    }
    free(tallies);
    free(path);
    if (status != IL_OK) {
        corpus_free(&c);
        return status;
    }
    *out = c;
    return IL_OK;
}

void corpus_free(corpus *c)
{
    free(c->entities);
    free(c->words);
    nouns_free(&c->nouns);
    c->entities = NULL;
    c->words = NULL;
}
