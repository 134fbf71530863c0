/* A file of documents: where each begins, and any one of them as tokens with what is
 * said of them. The file stays mapped; a document is read and tokenized when it is
 * asked for, so that a file may be larger than memory. */
#ifndef TEXT_CORPUS_H
#define TEXT_CORPUS_H

#include "interloop/plugin.h"

enum { NAMES_MAX = 24 };

/* What is known of a token, as bits; roles and labels have one each behind these. */
enum {
    TOKEN_TEXT = 1,   /* stands for bytes of the document */
    TOKEN_LEARN = 2,  /* is to be learned */
    TOKEN_BEGINS = 4, /* is the first of its document */
    TOKEN_SPAN = 8,   /* lies in some span */
    TOKEN_FOUND = 16, /* of text on its way: was written by the chat template */
    TOKEN_NAMES = 32  /* the first name's */
};

typedef enum format { FORMAT_JSONL, FORMAT_LINES, FORMAT_TEXT } format;

/* Names from a list with commas: roles first, then labels. */
typedef struct name {
    char text[48];
    bool role;
    bool learned; /* a role whose tokens are */
} name;

typedef struct place {
    uint64_t at; /* bytes of the file */
    uint64_t id; /* what it is told apart by */
    uint32_t size;
    uint32_t tokens;
} place;

typedef struct corpus {
    const il_tokens *tokens;
    const char *data;
    size_t size;
    const char *path;
    format format;
    bool special; /* with the tokens that the tokenizer puts around a text */
    int32_t end;  /* behind each document; -1: none */
    name names[NAMES_MAX];
    int name_count;
    bool all_learned;      /* no role was named */
    bool prompts;          /* a document is read up to its answer, which is asked for */
    const char *ignore;    /* keys that may be there besides, with commas */
    const char *variables; /* what the chat template is given besides: JSON, or "" */
    char date[16];         /* for the template, with its quotes, or "" */
    place *places;
    int64_t count;
} corpus;

/* A document as tokens, malloc'ed. */
typedef struct document {
    int32_t *ids;
    uint32_t *bits;
    int64_t count;
    uint32_t named; /* labels of which it says something */
} document;

/* Adds the names of a list; IL_ERR_INPUT with what is wrong with one. */
il_status corpus_names(corpus *c, const char *list, bool role, bool learned,
                       il_error *err);
/* Takes what the params `ignore`, `date` and `variables` say. */
il_status corpus_handed(corpus *c, const il_setup *s, il_error *err);
/* Maps the file and reads every document once, to know how long each is. */
il_status corpus_open(corpus *c, const char *path, il_error *err);
void corpus_close(corpus *c);
il_status document_read(const corpus *c, int64_t i, document *out, uint64_t *id,
                        il_error *err);
void document_free(document *d);
/* A hash of bytes that goes on from another. */
uint64_t corpus_hash(uint64_t from, const void *data, size_t size);

#endif
