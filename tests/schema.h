/* A validator of JSON by a schema, for tests: as much of JSON Schema 2020-12 as the
 * published schemas use. A keyword that it does not know is a failure of its own, so
 * that no schema is checked by half. */
#ifndef IL_TESTS_SCHEMA_H
#define IL_TESTS_SCHEMA_H

#include <jansson.h>
#include <regex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct schema_check {
    const json_t *root;
    char said[1024]; /* the first thing that is wrong; "" for none */
} schema_check;

static bool schema_wrong(schema_check *c, const char *at, const char *fmt, ...)
{
    va_list args;
    int n;

    if (c->said[0] == '\0') {
        n = snprintf(c->said, sizeof c->said, "%s: ", at);
        va_start(args, fmt);
        (void)vsnprintf(c->said + n, sizeof c->said - (size_t)n, fmt, args);
        va_end(args);
    }
    return false;
}

static bool schema_is(const json_t *value, const char *type)
{
    return strcmp(type, "object") == 0    ? json_is_object(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
           : strcmp(type, "string") == 0  ? json_is_string(value)
           : strcmp(type, "integer") == 0 ? json_is_integer(value)
           : strcmp(type, "number") == 0  ? json_is_number(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
                                          : json_is_null(value);
}

static bool schema_matches(const char *pattern, const char *text)
{
    regex_t r;
    bool matches = false;

    if (regcomp(&r, pattern, REG_EXTENDED | REG_NOSUB) == 0) {
        matches = regexec(&r, text, 0, NULL, 0) == 0;
        regfree(&r);
    }
    return matches;
}

static bool schema_holds(schema_check *c, const json_t *schema, const json_t *value,
                         const char *at);

static bool schema_object(schema_check *c, const json_t *schema, const json_t *value,
                          const char *at)
{
    const json_t *named = json_object_get(schema, "properties");
    const json_t *patterns = json_object_get(schema, "patternProperties");
    const json_t *rest = json_object_get(schema, "additionalProperties");
    size_t i;
    json_t *name;
    const char *key;
    json_t *item;

    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        if (json_object_get(value, json_string_value(name)) == NULL) {
            return schema_wrong(c, at, "'%s' is missing", json_string_value(name));
        }
    }
    json_object_foreach((json_t *)value, key, item)
    {
        const json_t *own = json_object_get(named, key);
        const char *pattern;
        json_t *by;
        char path[512];
        bool known = own != NULL;

        (void)snprintf(path, sizeof path, "%.200s/%.200s", at, key);
        if (own != NULL && !schema_holds(c, own, item, path)) {
            return false;
        }
        json_object_foreach((json_t *)patterns, pattern, by)
        {
            if (schema_matches(pattern, key)) {
                known = true;
                if (!schema_holds(c, by, item, path)) {
                    return false;
                }
            }
        }
        if (!known && json_is_false(rest)) {
            return schema_wrong(c, path, "the schema does not know this key");
        }
        if (!known && json_is_object(rest) && !schema_holds(c, rest, item, path)) {
            return false;
        }
    }
    return true;
}

static bool schema_array(schema_check *c, const json_t *schema, const json_t *value,
                         const char *at)
{
    const json_t *least = json_object_get(schema, "minItems");
    const json_t *most = json_object_get(schema, "maxItems");
    const json_t *items = json_object_get(schema, "items");
    json_int_t count = (json_int_t)json_array_size(value);
    size_t i;
    json_t *item;

    if ((least != NULL && count < json_integer_value(least)) ||
        (most != NULL && count > json_integer_value(most))) {
        return schema_wrong(c, at, "has %lld items", (long long)count);
    }
    json_array_foreach(value, i, item)
    {
        if (items != NULL && !schema_holds(c, items, item, at)) {
            return false;
        }
    }
    return true;
}

static bool schema_value(schema_check *c, const json_t *schema, const json_t *value,
                         const char *at)
{
    const json_t *type = json_object_get(schema, "type");
    const json_t *choices = json_object_get(schema, "enum");
    const json_t *least = json_object_get(schema, "minimum");
    const json_t *above = json_object_get(schema, "exclusiveMinimum");
    const json_t *most = json_object_get(schema, "maximum");
    bool fits = type == NULL || json_is_array(type);
    bool listed = choices == NULL;
    double x = json_number_value(value);
    size_t i;
    json_t *one;

    if (json_is_string(type)) {
        fits = schema_is(value, json_string_value(type));
    } else if (type != NULL) {
        fits = false;
        json_array_foreach(type, i, one)
        {
            fits = fits || schema_is(value, json_string_value(one));
        }
    }
    if (!fits) {
        return schema_wrong(c, at, "is of another type");
    }
    json_array_foreach(choices, i, one)
    {
        listed = listed || json_equal(one, value);
    }
    one = json_object_get(schema, "const");
    if (!listed || (one != NULL && !json_equal(one, value))) {
        return schema_wrong(c, at, "is none of the values that are allowed");
    }
    if (json_is_number(value) && ((least != NULL && x < json_number_value(least)) ||
                                  (above != NULL && x <= json_number_value(above)) ||
                                  (most != NULL && x > json_number_value(most)))) {
        return schema_wrong(c, at, "%g is out of range", x);
    }
    return true;
}

static bool schema_knows(schema_check *c, const json_t *schema, const char *at)
{
    static const char words[] =
        "|$schema|$defs|$ref|title|description|type|required|properties|"
        "patternProperties|additionalProperties|items|minItems|maxItems|enum|const|"
        "minimum|exclusiveMinimum|maximum|oneOf|";
    const char *word;
    json_t *unused;

    json_object_foreach((json_t *)schema, word, unused)
    {
        char quoted[128];

        (void)snprintf(quoted, sizeof quoted, "|%.100s|", word);
        if (strstr(words, quoted) == NULL) {
            return schema_wrong(c, at, "this check does not know '%s'", word);
        }
    }
    return true;
}

/* Whether the value is as the schema says; else c->said says what is not. */
static bool schema_holds(schema_check *c, const json_t *schema, const json_t *value,
                         const char *at)
{
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    const json_t *either = json_object_get(schema, "oneOf");
    size_t i;
    json_t *one;
    int holds = 0;

    if (!schema_knows(c, schema, at)) {
        return false;
    }
    if (ref != NULL) {
        const json_t *def = strncmp(ref, "#/$defs/", 8) == 0
                                ? json_object_get(json_object_get(c->root, "$defs"),
                                                  ref + 8)
                                : NULL;

        if (def == NULL) {
            return schema_wrong(c, at, "the schema has no '%s'", ref);
        }
        if (!schema_holds(c, def, value, at)) {
            return false;
        }
    }
    json_array_foreach(either, i, one)
    {
        schema_check own = {.root = c->root};

        holds += schema_holds(&own, one, value, at);
    }
    if (either != NULL && holds != 1) {
        return schema_wrong(c, at, "fits %d of the forms that it may have", holds);
    }
    return schema_value(c, schema, value, at) &&
           (!json_is_object(value) || schema_object(c, schema, value, at)) &&
           (!json_is_array(value) || schema_array(c, schema, value, at));
}

#endif
