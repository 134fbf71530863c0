/* JSON as the files of a run need it: read with the place of what is wrong, and written
 * with the shortest numbers that read back equal. Between the files of the loop. */
#ifndef IL_LOOP_JSON_H
#define IL_LOOP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>
#include "base/text.h"
#include "interloop/status.h"
#include "loop/record.h"

/* Reads an object; anything else is IL_ERR_INPUT at path:line. The caller decrefs it.
 */
il_status il__json_read(const char *path, json_t **out, il_error *err);
/* Parses an object; `where` is for messages. */
il_status il__json_parse(const char *data, size_t size, const char *where, json_t **out,
                         il_error *err);
/* Writes it with a newline at the end, all or nothing. */
il_status il__json_write(const char *path, const json_t *json, il_error *err);

/* Adds a quoted string; `failed` sticks to the text when it is no UTF-8. */
void il__json_add_string(il_text *t, const char *value);
/* Adds `, "name": value` for each finite metric, the first without what stands before
 * it when `first`. */
void il__json_add_metrics(il_text *t, const il_metric *metrics, size_t count,
                          bool first);

/* A seed, as a number while JSON's integers reach, then as digits in a string. */
void il__json_add_seed(il_text *t, uint64_t seed);
json_t *il__json_seed(uint64_t seed);
bool il__json_seed_read(const json_t *json, uint64_t *seed);

/* Whether `name` may name a file or folder of ours: not empty, at most 200 bytes, no
 * slash, no control characters, no dot in front. IL_ERR_INPUT says what it is not. */
il_status il__name_check(const char *what, const char *name, il_error *err);

/* Whether a text is a SHA-256 in lower-case hex, as addresses are. */
bool il__hash_valid(const char *text);

/* The end of a text that was built: IL_ERR_MEMORY when that failed. */
il_status il__text_write(const char *path, const il_text *text, il_error *err);

#endif
