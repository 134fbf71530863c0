/* Typed reads of JSON objects: each says the file, the key, what was expected and what
 * stood there. A null counts as absent. */
#ifndef IL_REPORT_FIELDS_H
#define IL_REPORT_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "interloop/status.h"

/* Where an object stands: the file and the path of keys that leads to it ("rows[3]").
 */
typedef struct il__field_place {
    const char *file;
    const char *path; /* "" for the document itself */
} il__field_place;

/* A parsed file, which the caller owns; NULL in *document, and IL_OK, when an optional
 * file is not there. */
il_status il__field_read(const char *path, bool optional, json_t **document,
                         il_error *err);

/* The value of a key, with *value NULL when it is absent and `required` is not set. */
il_status il__field_string(il__field_place at, const json_t *object, const char *key,
                           bool required, const char **value, il_error *err);
il_status il__field_integer(il__field_place at, const json_t *object, const char *key,
                            int64_t *value, il_error *err);
il_status il__field_array(il__field_place at, const json_t *object, const char *key,
                          bool required, const json_t **value, il_error *err);
il_status il__field_object(il__field_place at, const json_t *object, const char *key,
                           bool required, const json_t **value, il_error *err);
/* Holds for an object whose every value is a number or null. */
il_status il__field_check_numbers(il__field_place at, const json_t *object,
                                  const char *key, il_error *err);
/* Holds for an array whose every item is a string. */
il_status il__field_check_strings(il__field_place at, const json_t *array,
                                  const char *key, il_error *err);
/* Holds for a JSON value of type object that stands at `at` itself. */
il_status il__field_check_object(il__field_place at, const json_t *value,
                                 il_error *err);
/* Holds when the key is absent or a truth value. */
il_status il__field_check_flag(il__field_place at, const json_t *object,
                               const char *key, il_error *err);

#endif
