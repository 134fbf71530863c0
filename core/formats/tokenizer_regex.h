/* Regular expressions of tokenizers: written for Oniguruma in Ruby's syntax, run by
 * PCRE2. What the two read differently is translated, what cannot be is refused by
 * name. A match that takes too many steps is an error, never a hang. */
#ifndef IL_FORMATS_TOKENIZER_REGEX_H
#define IL_FORMATS_TOKENIZER_REGEX_H

#include "base/text.h"
#include "formats/tokenizer.h"

typedef struct il_regex il_regex;           /* constant; shared by threads */
typedef struct il_regex_work il_regex_work; /* one thread's memory for matches */

/* `where` goes into errors. A pattern that is not UTF-8, is longer than 64 kB, or says
 * what has no translation is IL_ERR_UNSUPPORTED with the place in the pattern. */
il_status il__regex_create(il_regex **out, const char *pattern, size_t size,
                           const char *where, il_error *err);
void il__regex_destroy(il_regex *r); /* takes NULL */

il_status il__regex_work_create(il_regex_work **out, il_error *err);
void il__regex_work_destroy(il_regex_work *w); /* takes NULL */

/* The first match at or after `from` in `size` bytes of UTF-8. *found says whether
 * there is one, *span where. */
il_status il__regex_find(const il_regex *r, il_regex_work *w, const char *text,
                         size_t size, size_t from, bool *found, il_span *span,
                         il_error *err);

/* The pattern in PCRE2's words, for tests: added to `out`. */
il_status il__regex_translate(const char *pattern, size_t size, const char *where,
                              il_text *out, il_error *err);

#endif
