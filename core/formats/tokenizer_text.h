/* A text on its way to tokens: characters as they are now, of each the bytes that it
 * came from, and the pieces that the text is cut into.
 *
 * As long as nothing has changed a character, the text is the caller's own and nothing
 * is copied. A step either cuts pieces (the list of them is written anew) or rewrites
 * them (the text is written anew, piece by piece). */
#ifndef IL_FORMATS_TOKENIZER_TEXT_H
#define IL_FORMATS_TOKENIZER_TEXT_H

#include "formats/tokenizer.h"
#include "formats/tokenizer_unicode.h"

typedef struct il_piece {
    uint32_t first; /* bytes [first,last) of the text as it is now */
    uint32_t last;
    uint32_t origin; /* where it began in the text as it was handed over */
    int32_t id;      /* of an added token; -1: to be cut up and looked up */
} il_piece;

typedef struct il_pieces {
    il_piece *at;
    size_t count;
    size_t room;
} il_pieces;

typedef struct il_letters {
    char *text;
    il_span *spans; /* one a byte */
    size_t size;
    size_t room;
} il_letters;

typedef struct il_draft {
    const char *text;
    const il_span *spans; /* NULL: the text is as it was handed over */
    size_t size;
    bool ascii;     /* every byte of it */
    bool spelled;   /* pieces stand for their bytes, as byte-level BPE spells them */
    il_pieces now;  /* the pieces, in order, without gaps but where some was removed */
    il_pieces next; /* what a step writes */
    il_letters own[2]; /* the text when it is no longer the caller's */
    int turn;          /* which of them is written next */
    il_change *changes;
    size_t change_room;
    bool failed; /* out of memory; sticks until the next text */
} il_draft;

void il__draft_free(il_draft *d);
/* A text as one piece; broken bytes are replaced (tokenizer.h). */
void il__draft_begin(il_draft *d, const char *text, size_t size);

/* Cutting: pieces are added to `next` in order, then take the place of `now`. */
void il__cut(il_draft *d, uint32_t first, uint32_t last, int32_t id);
void il__keep(il_draft *d, const il_piece *p);
void il__cut_done(il_draft *d);

/* Rewriting: il__rewrite_begin, then for each piece in order il__rewrite_piece and what
 * it is to become, then il__rewrite_done. A piece that becomes nothing is dropped. */
void il__rewrite_begin(il_draft *d);
void il__rewrite_piece(il_draft *d, const il_piece *p);
void il__rewrite_done(il_draft *d);
/* Adds bytes that all stand for the same span; or those of a piece as they are. */
void il__put(il_draft *d, const char *bytes, size_t size, il_span span);
void il__put_code(il_draft *d, uint32_t code, il_span span);
void il__put_same(il_draft *d, uint32_t first, uint32_t last);
/* Adds what `count` characters of a piece became (tokenizer_unicode.h). `skipped`
 * characters at its beginning were dropped. */
void il__put_changes(il_draft *d, const il_piece *p, const il_change *changes,
                     size_t count);
/* Room for so many changes, or NULL. */
il_change *il__changes(il_draft *d, size_t count);

/* Where the character that a byte belongs to came from. */
il_span il__span_at(const il_draft *d, uint32_t byte);
/* Where bytes [first,last) came from; last > first. */
static inline il_span il__span_of(const il_draft *d, uint32_t first, uint32_t last)
{
    il_span s = {il__span_at(d, first).first, il__span_at(d, last - 1).last};

    return s;
}

#endif
