#include "loop/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"

enum { JSON_FILE_MAX = 256 << 20, NAME_BYTES_MAX = 200 };

il_status il__json_parse(const char *data, size_t size, const char *where, json_t **out,
                         il_error *err)
{
    json_error_t problem;
    json_t *json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &problem);

    if (json == NULL) {
        if (json_error_code(&problem) == json_error_out_of_memory) {
            return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        }
        return il_error_set(err, IL_ERR_INPUT, where, "line %d: %s", problem.line,
                            problem.text);
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return il_error_set(err, IL_ERR_INPUT, where, "expected a JSON object");
    }
    *out = json;
    return IL_OK;
}

il_status il__json_read(const char *path, json_t **out, il_error *err)
{
    char *data;
    size_t size;
    il_status status;

    IL_TRY(il_file_read(path, JSON_FILE_MAX, &data, &size, err));
    status = il__json_parse(data, size, path, out, err);
    free(data);
    return status;
}

il_status il__json_write(const char *path, const json_t *json, il_error *err)
{
    char *data = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    il_file_part parts[2] = {{data, 0}, {"\n", 1}};
    il_status status;

    if (data == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    parts[0].size = strlen(data);
    status = il_file_write_parts(path, parts, 2, err);
    free(data);
    return status;
}

void il__json_add_string(il_text *t, const char *value)
{
    json_t *string = json_string(value);
    char *quoted = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;

    if (quoted != NULL) {
        il_text_add(t, quoted);
    } else {
        t->failed = true;
    }
    free(quoted);
    json_decref(string);
}

void il__json_add_metrics(il_text *t, const il_metric *metrics, size_t count,
                          bool first)
{
    for (size_t i = 0; i < count; i++) {
        char number[32];

        if (!isfinite(metrics[i].value)) {
            continue;
        }
        if (!first) {
            il_text_add(t, ", ");
        }
        first = false;
        il__json_add_string(t, metrics[i].name);
        il_format_real(metrics[i].value, number);
        il_text_addf(t, ": %s", number);
    }
}

void il__json_add_seed(il_text *t, uint64_t seed)
{
    il_text_addf(t, seed <= INT64_MAX ? "%" PRIu64 : "\"%" PRIu64 "\"", seed);
}

json_t *il__json_seed(uint64_t seed)
{
    char digits[32];

    if (seed <= INT64_MAX) {
        return json_integer((json_int_t)seed);
    }
    (void)snprintf(digits, sizeof digits, "%" PRIu64, seed);
    return json_string(digits);
}

bool il__json_seed_read(const json_t *json, uint64_t *seed)
{
    if (json_is_string(json)) {
        return il_parse_uint(json_string_value(json), seed);
    }
    if (!json_is_integer(json) || json_integer_value(json) < 0) {
        return false;
    }
    *seed = (uint64_t)json_integer_value(json);
    return true;
}

il_status il__name_check(const char *what, const char *name, il_error *err)
{
    size_t length = strlen(name);
    const char *wrong = NULL;

    if (length == 0) {
        wrong = "is empty";
    } else if (length > NAME_BYTES_MAX) {
        wrong = "is longer than 200 bytes";
    } else if (name[0] == '.') {
        wrong = "begins with a dot";
    }
    for (size_t i = 0; i < length && wrong == NULL; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c == '/') {
            wrong = "has a slash in it";
        } else if (c < 0x20 || c == 0x7f) {
            wrong = "has a control character in it";
        }
    }
    if (wrong == NULL) {
        return IL_OK;
    }
    return il_error_set(err, IL_ERR_INPUT, what,
                        "expected a plain name for a folder, but it %s", wrong);
}

il_status il__text_write(const char *path, const il_text *text, il_error *err)
{
    if (text->failed) {
        return il_error_set(err, IL_ERR_MEMORY, path,
                            "out of memory, or a text that is no UTF-8");
    }
    return il_file_write(path, text->data != NULL ? text->data : "", text->size, err);
}
