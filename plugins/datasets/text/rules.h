/* What an answer is judged by: of each name a list of texts, and it holds where one of
 * them occurs in the answer. */
#ifndef TEXT_RULES_H
#define TEXT_RULES_H

#include "corpus.h"
#include "json.h"

/* A prompt's texts: of each name in turn a list that ends with an empty one, each with
 * its size before it. */
typedef struct rules {
    char *texts;
    size_t size;
} rules;

void rules_free(rules *r);
/* Reads {"NAME": ["...", ...] or "...", ...} for these names in their order; a name
 * that `answers` does not have never holds. False: it is no such object, or memory is
 * out. */
bool rules_read(rules *out, const json *answers, const name *names, int count);
/* Of the first `count` names those that have a text, as bits. */
uint32_t rules_named(const rules *r, int count);
bool rules_equal(const rules *a, const rules *b);
/* Whether the rule of the name at `at` holds for a text. */
bool rules_hold(const rules *r, int at, const char *text, size_t size);

#endif
