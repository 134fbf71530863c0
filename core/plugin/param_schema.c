#include "plugin/param_schema.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text != NULL ? text : "";
}

static bool has_flag(const json_t *param, const char *flag)
{
    const json_t *flags = json_object_get(param, "flags");

    for (size_t i = 0; i < json_array_size(flags); i++) {
        if (strcmp(json_string_value(json_array_get(flags, i)), flag) == 0) {
            return true;
        }
    }
    return false;
}

json_t *il_schema_number(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

static json_t *default_json(const char *type, const char *text)
{
    double number;

    if (strcmp(type, "int") == 0 || strcmp(type, "real") == 0) {
        return il_parse_real(text, &number) ? il_schema_number(number)
                                            : json_string(text);
    }
    return strcmp(type, "flag") == 0 ? json_boolean(strcmp(text, "true") == 0)
                                     : json_string(text);
}

json_t *il_param_schema(const json_t *param)
{
    static const struct {
        const char *ours;
        const char *theirs;
    } types[] = {{"int", "integer"},
                 {"real", "number"},
                 {"flag", "boolean"},
                 {"text", "string"}};
    static const char *const bounds[][2] = {{"min", "minimum"}, {"max", "maximum"}};
    const char *type = text_of(param, "type");
    const char *unit = text_of(param, "unit");
    const json_t *initial = json_object_get(param, "default");
    json_t *o = json_object();

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(type, types[i].ours) == 0) {
            (void)json_object_set_new(o, "type", json_string(types[i].theirs));
        }
    }
    if (strcmp(type, "choice") == 0) {
        (void)json_object_set(o, "enum", json_object_get(param, "choices"));
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *bound = json_object_get(param, bounds[i][0]);

        if (json_is_number(bound)) {
            (void)json_object_set_new(o, bounds[i][1],
                                      il_schema_number(json_number_value(bound)));
        }
    }
    if (json_is_string(initial)) {
        (void)json_object_set_new(o, "default",
                                  default_json(type, json_string_value(initial)));
    }
    if (has_flag(param, "deprecated")) {
        (void)json_object_set_new(o, "deprecated", json_true());
    }
    (void)json_object_set_new(
        o, "description",
        json_sprintf("%s%s%s%s%s", text_of(param, "help"), unit[0] != '\0' ? " (" : "",
                     unit, unit[0] != '\0' ? ")" : "",
                     has_flag(param, "required") ? "; required" : ""));
    return o;
}

json_t *il_manifest_schemas(const json_t *manifest)
{
    const json_t *components = json_object_get(manifest, "components");
    json_t *all = json_object();

    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        const json_t *params = json_object_get(c, "params");
        json_t *properties = json_object();
        json_t *required = json_array();
        char id[256];

        for (size_t k = 0; k < json_array_size(params); k++) {
            const json_t *p = json_array_get(params, k);

            (void)json_object_set_new(properties, text_of(p, "name"),
                                      il_param_schema(p));
            if (has_flag(p, "required")) {
                (void)json_array_append(required, json_object_get(p, "name"));
            }
        }
        (void)snprintf(id, sizeof id, "%s.%s", text_of(manifest, "space"),
                       text_of(c, "name"));
        (void)json_object_set_new(
            all, id,
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "$schema",
                      "https://json-schema.org/draft/2020-12/schema", "description",
                      text_of(c, "summary"), "type", "object", "properties", properties,
                      "required", required, "additionalProperties", 0));
    }
    return all;
}
