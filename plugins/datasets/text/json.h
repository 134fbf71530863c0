/* A line of JSON, read in place: enough to find an object's members and to unquote
 * strings. What is no JSON is told by its byte. */
#ifndef TEXT_JSON_H
#define TEXT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value within the line. */
typedef struct json {
    const char *at;
    const char *end;
} json;

/* Checks that the whole line is one value; false with the byte that is wrong. */
bool json_check(const char *line, size_t size, size_t *wrong);
/* All that follow are of checked values. Members of an object and entries of a list in
 * turn: *next begins NULL; false after the last. */
bool json_member(const json *object, const char **next, json *key, json *value);
bool json_entry(const json *list, const char **next, json *value);
/* The member of that name; false where there is none or it is null. */
bool json_find(const json *object, const char *name, json *value);
bool json_is(const json *v, char first); /* '"', '{', '[' */
/* A string's text as UTF-8 into `out`, which has room for v->end - v->at bytes; its
 * size. Half of a surrogate pair becomes U+FFFD. */
size_t json_text(const json *v, char *out);
bool json_whole(const json *v, int64_t *out); /* false: no whole number */
/* true, false and numbers: whether it is set; false where it is none of them. */
bool json_set(const json *v, bool *out);

#endif
