/* What tokenizers ask of Unicode: UTF-8, classes of characters, lower case and the four
 * normalization forms, by utf8proc's tables. */
#ifndef IL_FORMATS_TOKENIZER_UNICODE_H
#define IL_FORMATS_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the character at `s`, 1 to 4, whose code goes to *code; or minus the
 * bytes of the longest piece that could have begun one, at least 1. `size` is at
 * least 1. */
int il__utf8_next(const char *s, size_t size, uint32_t *code);
/* The same for text that is known to be UTF-8. */
static inline int il__utf8_read(const char *s, uint32_t *code)
{
    const unsigned char *u = (const unsigned char *)s;

    if (u[0] < 0x80) {
        *code = u[0];
        return 1;
    }
    if (u[0] < 0xe0) {
        *code = (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
        return 2;
    }
    if (u[0] < 0xf0) {
        *code = (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 |
                (u[2] & 0x3f);
        return 3;
    }
    *code = (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3f) << 12 |
            (uint32_t)(u[2] & 0x3f) << 6 | (u[3] & 0x3f);
    return 4;
}
/* The bytes of the character that a first byte begins. */
static inline size_t il__utf8_length(char first)
{
    unsigned char u = (unsigned char)first;

    return u < 0x80 ? 1 : u < 0xe0 ? 2 : u < 0xf0 ? 3 : 4;
}
/* Writes a character, 1 to 4 bytes, and says how many. */
size_t il__utf8_write(uint32_t code, char out[4]);
/* Bytes from the start of `s` that are UTF-8. */
size_t il__utf8_whole(const char *s, size_t size);

bool il__is_space(uint32_t c);       /* White_Space */
bool il__is_numeric(uint32_t c);     /* Nd, Nl, No */
bool il__is_punctuation(uint32_t c); /* ASCII's, and P* as of Unicode 8 */
bool il__is_control(uint32_t c);     /* Cc, Cf, Co */
bool il__is_mark(uint32_t c);        /* M* */
bool il__is_printable(uint32_t c);   /* as Python's str.isprintable has it */
bool il__is_mark_nonspacing(uint32_t c);
bool il__is_chinese(uint32_t c); /* what BERT's normalizer sets apart */
/* Lower case, one character after the other: writes 1 or 2 codes and says how many. */
int il__lower(uint32_t c, uint32_t out[2]);
/* Upper case; 0 where it may be several codes. */
uint32_t il__upper(uint32_t c);

/* A character on its way to a normalization form: `change` is 0 where it stands for the
 * next character of the text, above 0 where it was added, minus n where it stands for n
 * more. */
typedef struct il_change {
    uint32_t code;
    int32_t change;
    uint32_t order; /* among the marks of a run, while it is sorted */
} il_change;
#define IL_DECOMPOSED_MAX 18 /* codes that one character may become */
/* Full decomposition of a character; `compatible` for NFKD and NFKC. */
int il__decompose(uint32_t c, bool compatible, il_change out[IL_DECOMPOSED_MAX]);
/* Puts decomposed characters into canonical order, in place. */
void il__reorder(il_change *text, size_t count);
/* Composes what is decomposed and in order, in place; returns how many are left. */
size_t il__compose(il_change *text, size_t count);

#endif
