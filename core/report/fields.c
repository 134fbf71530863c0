#include "report/fields.h"

#include <stdlib.h>
#include <string.h>
#include "base/files.h"

enum { FILE_LIMIT = 64 << 20 };

static const char *type_name(const json_t *value)
{
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a truth value";
    default:
        return "nothing";
    }
}

static il_status mismatch(il__field_place at, const char *key, const char *expected,
                          const json_t *got, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, at.file, "%s%s%s: expected %s, got %s",
                        at.path, *at.path != '\0' && *key != '\0' ? "." : "", key,
                        expected, type_name(got));
}

il_status il__field_read(const char *path, bool optional, json_t **document,
                         il_error *err)
{
    json_error_t why;
    char *data = NULL;
    size_t size;

    *document = NULL;
    if (optional && !il_file_exists(path)) {
        return IL_OK;
    }
    IL_TRY(il_file_read(path, FILE_LIMIT, &data, &size, err));
    *document = json_loadb(data, size, JSON_REJECT_DUPLICATES, &why);
    free(data);
    if (*document == NULL) {
        return il_error_set(err, IL_ERR_INPUT, path, "line %d: %s", why.line, why.text);
    }
    return IL_OK;
}

/* The value of a key, nulls as NULL; an error when it must be there and is not. */
static il_status find(il__field_place at, const json_t *object, const char *key,
                      bool required, const char *expected, const json_t **value,
                      il_error *err)
{
    *value = json_object_get(object, key);
    if (*value != NULL && json_is_null(*value)) {
        *value = NULL;
    }
    if (*value == NULL && required) {
        return mismatch(at, key, expected, NULL, err);
    }
    return IL_OK;
}

il_status il__field_string(il__field_place at, const json_t *object, const char *key,
                           bool required, const char **value, il_error *err)
{
    const json_t *found;

    IL_TRY(find(at, object, key, required, "a string", &found, err));
    if (found != NULL && !json_is_string(found)) {
        return mismatch(at, key, "a string", found, err);
    }
    *value = found != NULL ? json_string_value(found) : NULL;
    return IL_OK;
}

il_status il__field_integer(il__field_place at, const json_t *object, const char *key,
                            int64_t *value, il_error *err)
{
    const json_t *found;

    IL_TRY(find(at, object, key, true, "an integer", &found, err));
    if (!json_is_integer(found)) {
        return mismatch(at, key, "an integer", found, err);
    }
    *value = json_integer_value(found);
    return IL_OK;
}

il_status il__field_array(il__field_place at, const json_t *object, const char *key,
                          bool required, const json_t **value, il_error *err)
{
    const json_t *found;

    IL_TRY(find(at, object, key, required, "an array", &found, err));
    if (found != NULL && !json_is_array(found)) {
        return mismatch(at, key, "an array", found, err);
    }
    *value = found;
    return IL_OK;
}

il_status il__field_object(il__field_place at, const json_t *object, const char *key,
                           bool required, const json_t **value, il_error *err)
{
    const json_t *found;

    IL_TRY(find(at, object, key, required, "an object", &found, err));
    if (found != NULL && !json_is_object(found)) {
        return mismatch(at, key, "an object", found, err);
    }
    *value = found;
    return IL_OK;
}

il_status il__field_check_numbers(il__field_place at, const json_t *object,
                                  const char *key, il_error *err)
{
    const char *name;
    json_t *value;

    /* jansson's loop macro takes no const object and changes nothing. */
    json_object_foreach((json_t *)object, name, value)
    {
        if (!json_is_number(value) && !json_is_null(value)) {
            char path[200];

            (void)snprintf(path, sizeof path, "%s%s%s", at.path,
                           *at.path != '\0' ? "." : "", key);
            at.path = path;
            return mismatch(at, name, "a number", value, err);
        }
    }
    return IL_OK;
}

il_status il__field_check_strings(il__field_place at, const json_t *array,
                                  const char *key, il_error *err)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);

        if (!json_is_string(item)) {
            return mismatch(at, key, "an array of strings", item, err);
        }
    }
    return IL_OK;
}

il_status il__field_check_object(il__field_place at, const json_t *value, il_error *err)
{
    return json_is_object(value) ? IL_OK : mismatch(at, "", "an object", value, err);
}

il_status il__field_check_flag(il__field_place at, const json_t *object,
                               const char *key, il_error *err)
{
    const json_t *found;

    IL_TRY(find(at, object, key, false, "", &found, err));
    if (found != NULL && !json_is_boolean(found)) {
        return mismatch(at, key, "a truth value", found, err);
    }
    return IL_OK;
}
