/* Text helpers: a growing string, numbers without the locale, the nearest known
 * spelling. */
#ifndef IL_BASE_TEXT_H
#define IL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string that grows; zero-initialize it. `failed` sticks when memory is out. */
typedef struct il_text {
    char *data; /* NUL-terminated, or NULL while empty */
    size_t size;
    size_t room;
    bool failed;
} il_text;

void il_text_add(il_text *t, const char *piece);
void il_text_add_bytes(il_text *t, const char *piece, size_t size);
void il_text_addf(il_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void il_text_free(il_text *t);

/* Whole-string parses; false when the text is not exactly one number in range. */
bool il_parse_int(const char *text, int64_t *value);
bool il_parse_uint(const char *text, uint64_t *value);
bool il_parse_real(const char *text, double *value); /* finite only */
/* The shortest decimal text that reads back as the same double ("0.05", "1e-08", "3.0"
 * for whole numbers). */
void il_format_real(double value, char out[32]);
void il_format_real32(float value, char out[32]);

/* The candidate nearest to `word` by edit distance with transpositions, or NULL when
 * none is within a third of its length (at least 1, at most 3 edits). */
const char *il_nearest(const char *word, const char *const *candidates, size_t count);

#endif
