/* The parts of a tokenizer, between its files: each kind of part has one that reads it
 * from the JSON and applies it. */
#ifndef IL_FORMATS_TOKENIZER_PRIVATE_H
#define IL_FORMATS_TOKENIZER_PRIVATE_H

#include <jansson.h>
#include "base/arena.h"
#include "base/hash.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_regex.h"
#include "formats/tokenizer_text.h"
#include "formats/tokenizer_vocabulary.h"

/* Text of the file, with its length: it may hold NUL. */
typedef struct il_words {
    const char *text;
    size_t size;
} il_words;

/* What is looked for in a text: a regular expression, or text as it stands. */
typedef struct il_pattern_text {
    il_regex *regex; /* NULL: `text` */
    il_words text;
} il_pattern_text;

typedef enum il_normalizer_kind {
    IL_NORMALIZE_NFC,
    IL_NORMALIZE_NFD,
    IL_NORMALIZE_NFKC,
    IL_NORMALIZE_NFKD,
    IL_NORMALIZE_LOWER,
    IL_NORMALIZE_STRIP,
    IL_NORMALIZE_ACCENTS,    /* drops every mark */
    IL_NORMALIZE_NONSPACING, /* drops Mn alone: BERT's */
    IL_NORMALIZE_REPLACE,
    IL_NORMALIZE_PREPEND,
    IL_NORMALIZE_CLEAN,   /* BERT's: drops control characters, spaces become ' ' */
    IL_NORMALIZE_CHINESE, /* BERT's: sets spaces around ideographs */
    IL_NORMALIZE_NMT,
    IL_NORMALIZE_BYTES /* spells bytes as GPT-2 does */
} il_normalizer_kind;

typedef struct il_normalizer {
    il_normalizer_kind kind;
    bool left, right;        /* STRIP */
    il_pattern_text pattern; /* REPLACE */
    il_words text;           /* REPLACE, PREPEND */
} il_normalizer;

typedef enum il_behaviour {
    IL_SPLIT_REMOVED,
    IL_SPLIT_ISOLATED,
    IL_SPLIT_PREVIOUS,
    IL_SPLIT_NEXT,
    IL_SPLIT_CONTIGUOUS
} il_behaviour;

typedef enum il_splitter_kind {
    IL_SPLITTER_PATTERN,
    IL_SPLITTER_SPACE, /* white space, removed */
    IL_SPLITTER_PUNCTUATION,
    IL_SPLITTER_NUMERIC,
    IL_SPLITTER_CHARACTER,
    IL_SPLITTER_BYTES,    /* spells bytes; nothing is cut */
    IL_SPLITTER_PREFIX,   /* a space before a piece that has none */
    IL_SPLITTER_METASPACE /* writes spaces as another character; nothing is cut */
} il_splitter_kind;

typedef struct il_splitter {
    il_splitter_kind kind;
    il_behaviour behaviour;
    bool invert; /* PATTERN: cuts at what does not match */
    il_pattern_text pattern;
    il_words character; /* CHARACTER, METASPACE */
    enum { IL_PREPEND_NEVER, IL_PREPEND_FIRST, IL_PREPEND_ALWAYS } prepend;
} il_splitter;

typedef struct il_added {
    il_words content;
    il_words normal; /* as the normalizer leaves it; what is looked for */
    int32_t id;
    bool single_word, left, right, normalized, special;
} il_added;

/* Added tokens of one sort, to be found in a text: the longest at the leftmost place.
 */
typedef struct il_trie il_trie;

typedef enum il_model_kind {
    IL_MODEL_BPE,
    IL_MODEL_WORDPIECE,
    IL_MODEL_WORDLEVEL
} il_model_kind;

typedef struct il_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    int32_t rank;
    int32_t made;
} il_merge;

typedef struct il_token_model {
    il_model_kind kind;
    il_vocabulary vocabulary;
    int32_t unknown; /* its id, or -1 */
    il_words prefix; /* of what continues a word */
    il_words suffix; /* of what ends one */
    bool fuse_unknown, byte_fallback, ignore_merges;
    il_merge *merges; /* BPE: a hash table, `merge_mask`+1 long */
    size_t merge_mask;
    int32_t byte_ids[256]; /* ids of bytes, as byte-level BPE spells them, or -1 */
    int32_t fallback[256]; /* ids of <0x00> and so on, or -1 */
    int64_t word_max;      /* WordPiece: characters */
} il_token_model;

typedef enum il_finisher_kind {
    IL_FINISH_TRIM,    /* takes spaces from spans */
    IL_FINISH_TEMPLATE /* puts tokens before and after */
} il_finisher_kind;

typedef struct il_finisher {
    il_finisher_kind kind;
    bool first_stays;      /* TRIM: the first token's space was put there */
    const int32_t *before; /* TEMPLATE */
    size_t before_count;
    const int32_t *after;
    size_t after_count;
} il_finisher;

typedef enum il_decoder_kind {
    IL_DECODE_BYTES,
    IL_DECODE_FALLBACK,
    IL_DECODE_FUSE,
    IL_DECODE_STRIP,
    IL_DECODE_REPLACE,
    IL_DECODE_METASPACE,
    IL_DECODE_WORDPIECE,
    IL_DECODE_SUFFIX
} il_decoder_kind;

typedef struct il_decoder {
    il_decoder_kind kind;
    il_pattern_text pattern; /* REPLACE */
    il_words
        text; /* REPLACE: by what; STRIP, METASPACE: the character; prefix, suffix */
    int64_t start, stop; /* STRIP */
    bool flag;           /* WORDPIECE: cleanup; METASPACE: the first space was added */
} il_decoder;

struct il_tokenizer {
    il_arena *arena;
    char *where;
    json_t *json; /* owns every text above; dropped once nothing refers to it */
    char hash[IL_HASH_HEX];
    il_text notes;
    il_normalizer *normalizers;
    size_t normalizer_count;
    il_splitter *splitters;
    size_t splitter_count;
    bool
        spelled; /* the last splitter spells bytes, and the model takes bytes instead */
    il_token_model model;
    il_finisher *finishers;
    size_t finisher_count;
    il_decoder *decoders;
    size_t decoder_count;
    bool decodes; /* there is a decoder; else tokens are joined by spaces */
    il_added *added;
    size_t added_count;
    il_trie *plain;      /* those looked for in the text as it came */
    il_trie *normalized; /* those looked for in what the normalizer made of it */
    il_regex *word;      /* one character of a word */
    il_regex **regexes;  /* every one that is owned */
    size_t regex_count;
    int64_t size;           /* one more than the largest id */
    const il_added **by_id; /* [size] */
};

/* Memory for what encoding keeps of words it has met. */
typedef struct il_symbol {
    int32_t id;
    uint32_t size; /* bytes */
    int32_t previous, next;
} il_symbol;

typedef struct il_token_word {
    uint64_t hash; /* 0: free */
    uint32_t key, size;
    uint32_t tokens, count;
} il_token_word;

typedef struct il_heap_item {
    int32_t rank, at, made;
} il_heap_item;

struct il_tokenizer_work {
    il_draft draft;
    il_regex_work *regex;
    il_encoding *out; /* of the call under way */
    struct {
        bool match;
        il_span span;
    } * parts; /* what a splitter found in a piece */
    size_t part_count, part_room;
    il_symbol *symbols;
    size_t symbol_count, symbol_room;
    il_heap_item *heap;
    size_t heap_count, heap_room;
    il_text word; /* a token to be looked up */
    il_token_word *words;
    size_t word_count;
    il_text keys;
    il_symbol *tokens;
    size_t token_count, token_room;
};

/* ---- reading -------------------------------------------------------------------- */

typedef struct il_token_reader {
    il_tokenizer *t;
    il_error *err;
    char place[192]; /* "normalizer.normalizers[2]" */
} il_token_reader;

/* Refuses what stands at the place: `what` says which key, and what was expected. */
il_status il__token_refuse(il_token_reader *r, il_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
il_status il__token_memory(il_token_reader *r);
/* Values of an object by key, checked for their type; absent or null leaves *out. */
il_status il__token_text(il_token_reader *r, const json_t *o, const char *key,
                         il_words *out);
il_status il__token_flag(il_token_reader *r, const json_t *o, const char *key,
                         bool *out);
il_status il__token_whole(il_token_reader *r, const json_t *o, const char *key,
                          int64_t least, int64_t most, int64_t *out);
/* {"String": ...} or {"Regex": ...}. */
il_status il__token_pattern(il_token_reader *r, const json_t *o, const char *key,
                            il_pattern_text *out);
il_status il__token_regex(il_token_reader *r, const char *pattern, il_regex **out);
/* The component's type; an object without one is refused. */
il_status il__token_type(il_token_reader *r, const json_t *o, const char **out);
/* Calls `one` for the component at `key`, or for each within its Sequences, in order;
 * `list` is what a Sequence calls its own. Null: for none. */
typedef il_status (*il_token_component)(il_token_reader *r, const json_t *o,
                                        const char *type);
il_status il__token_components(il_token_reader *r, const json_t *root, const char *key,
                               const char *list, il_token_component one);
/* A cleared item at the end of an array in the tokenizer's arena. */
void *il__token_item(il_token_reader *r, void *array, size_t *count, size_t size);

il_status il__token_read_normalizers(il_token_reader *r, const json_t *root);
il_status il__token_read_splitters(il_token_reader *r, const json_t *root);
il_status il__token_read_model(il_token_reader *r, const json_t *root);
il_status il__token_read_bpe(il_token_reader *r, const json_t *model);
il_status il__token_read_added(il_token_reader *r, const json_t *root);
il_status il__token_read_finishers(il_token_reader *r, const json_t *root);
il_status il__token_read_decoders(il_token_reader *r, const json_t *root);

/* ---- applying ------------------------------------------------------------------- */

il_status il__token_parts(il_tokenizer_work *w, bool match, uint32_t first,
                          uint32_t last, il_error *err);
/* Fills `parts` with what matches in a piece and what does not, in order. */
il_status il__token_find(il_tokenizer_work *w, const il_pattern_text *pattern,
                         const il_piece *p, il_error *err);
il_status il__token_normalize(const il_tokenizer *t, il_tokenizer_work *w,
                              il_error *err);
il_status il__token_split(const il_tokenizer *t, il_tokenizer_work *w, il_error *err);
/* Cuts added tokens out of the pieces. */
il_status il__token_cut_added(const il_tokenizer *t, il_tokenizer_work *w,
                              const il_trie *trie, il_error *err);
/* Adds a word's symbols to `symbols`; bytes are those of the text as it is now. */
il_status il__token_bpe(const il_tokenizer *t, il_tokenizer_work *w, const char *word,
                        uint32_t size, bool spelled, il_error *err);
il_status il__token_wordpiece(const il_tokenizer *t, il_tokenizer_work *w,
                              const char *word, uint32_t size, il_error *err);
il_status il__token_symbol(il_tokenizer_work *w, int32_t id, uint32_t size,
                           il_error *err);
il_status il__token_finish(const il_tokenizer *t, const char *text, bool special,
                           il_encoding *out, il_error *err);
il_status il__token_append(il_encoding *out, int32_t id, il_span span, bool special,
                           il_error *err);
void il__trie_destroy(il_trie *trie); /* takes NULL */

/* How GPT-2 spells a byte: a printable character of one or two bytes in UTF-8; and the
 * byte of such a character, or -1. */
uint32_t il__byte_spelled(unsigned char byte);
int il__byte_of(uint32_t code);

#endif
