#include "exchange/settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "formats/safetensors_private.h"

enum { CONFIG_MAX = 4 << 20 };

il_status il_settings_open(il_settings *out, const char *path, il_error *err)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t why;

    out->path = strdup(path);
    if (out->path == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    IL_TRY(il_file_read(path, CONFIG_MAX, &text, &size, err));
    out->json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (out->json == NULL) {
        char shown[64];

        return il_error_set(err, IL_ERR_INPUT, path, "line %d, column %d: %s", why.line,
                            why.column, il__safetensor_show(why.text, shown));
    }
    if (!json_is_object(out->json)) {
        return il_error_set(err, IL_ERR_INPUT, path, "expected a JSON object");
    }
    return IL_OK;
}

void il_settings_close(il_settings *c)
{
    json_decref(c->json);
    free(c->path);
    memset(c, 0, sizeof *c);
}

const json_t *il_settings_get(const il_settings *c, const char *key)
{
    const json_t *value = json_object_get(c->json, key);

    return json_is_null(value) ? NULL : value;
}

const char *il_settings_show(const json_t *value, char out[64])
{
    char *text =
        value != NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

    il__safetensor_show(text != NULL ? text : "nothing", out);
    free(text);
    return out;
}

static il_status refuse(const il_settings *c, const char *key, const char *expected,
                        il_error *err)
{
    char shown[64];

    return il_error_set(err, IL_ERR_INPUT, c->path, "%s: expected %s, got %s", key,
                        expected, il_settings_show(il_settings_get(c, key), shown));
}

il_status il_settings_text(const il_settings *c, const char *key, const char *fallback,
                           const char **out, il_error *err)
{
    const json_t *value = il_settings_get(c, key);

    if (value != NULL && !json_is_string(value)) {
        return refuse(c, key, "text", err);
    }
    *out = value != NULL ? json_string_value(value) : fallback;
    return IL_OK;
}

il_status il_settings_flag(const il_settings *c, const char *key, bool fallback,
                           bool *out, il_error *err)
{
    const json_t *value = il_settings_get(c, key);

    if (value != NULL && !json_is_boolean(value)) {
        return refuse(c, key, "true or false", err);
    }
    *out = value != NULL ? json_is_true(value) : fallback;
    return IL_OK;
}

il_status il_settings_whole(const il_settings *c, const char *key, int64_t least,
                            int64_t fallback, int64_t *out, il_error *err)
{
    const json_t *value = il_settings_get(c, key);
    json_int_t got = json_integer_value(value);

    if (value == NULL && fallback >= 0) {
        *out = fallback;
        return IL_OK;
    }
    if (!json_is_integer(value) || got < least || got > INT32_MAX) {
        char expected[64];

        (void)snprintf(expected, sizeof expected, "a whole number from %" PRId64 " on",
                       least);
        return refuse(c, key, expected, err);
    }
    *out = got;
    return IL_OK;
}
