/* Reading other people's JSON configurations: values of one kind, or an error that
 * names the file, the key, what was expected and what is there. */
#ifndef IL_EXCHANGE_SETTINGS_H
#define IL_EXCHANGE_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "interloop/status.h"

typedef struct il_settings {
    json_t *json; /* an object */
    char *path;
} il_settings;

/* Reads a file that holds one JSON object of at most 4 MiB; zero-initialize *out, close
 * it in any case. No JSON, a key that repeats, or another kind of value is
 * IL_ERR_INPUT with line and column. */
il_status il_settings_open(il_settings *out, const char *path, il_error *err);
void il_settings_close(il_settings *c);

/* NULL for a key that is missing or null. */
const json_t *il_settings_get(const il_settings *c, const char *key);
/* `fallback` where the key is missing or null. */
il_status il_settings_text(const il_settings *c, const char *key, const char *fallback,
                           const char **out, il_error *err);
il_status il_settings_flag(const il_settings *c, const char *key, bool fallback,
                           bool *out, il_error *err);
/* From `least` to 2^31 - 1; a negative `fallback` means that the key has to be there.
 */
il_status il_settings_whole(const il_settings *c, const char *key, int64_t least,
                            int64_t fallback, int64_t *out, il_error *err);

/* What stands there, for a message: cut and cleaned. Returns `out`. */
const char *il_settings_show(const json_t *value, char out[64]);

#endif
