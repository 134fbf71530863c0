/* A document on its way to tokens: its text, and what is said of each byte of it. */
#ifndef TEXT_DRAFT_H
#define TEXT_DRAFT_H

#include "corpus.h"

typedef struct draft {
    char *text;     /* malloc'ed; NULL: the file's own bytes */
    uint32_t *bits; /* one a byte */
    size_t size;
    uint32_t all;   /* of every token that stands for bytes */
    uint32_t named; /* labels of which something is said */
    bool special;   /* the tokenizer puts its own tokens around */
} draft;

/* Reads a document's line of JSON. Whatever is wrong with it, a key that nobody knows
 * included, is IL_ERR_INPUT with the line. */
il_status draft_read(const corpus *c, const place *p, draft *d, uint64_t *id,
                     il_error *err);
void draft_free(draft *d);

/* An error about a document, with its line in the file. */
il_status document_wrong(const corpus *c, const place *p, const char *what,
                         il_error *err);

#endif
