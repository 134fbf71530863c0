/* From the grammar's table and the components' tables to a JSON Schema. */
#include "pipeline/schema_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "plugin/param_schema.h"
#include "pipeline/schema.h"

/* A ${...} may stand for any value. */
#define SUBSTITUTION "#/$defs/substitution"

typedef struct writer {
    const il_registry *registry;
    const il_schema *detector; /* the one map of the grammar that is a component with
                                  keys of its own */
} writer;

static json_t *write_schema(const writer *w, const il_schema *s);

static json_t *reference(const char *to)
{
    return json_pack("{s:s}", "$ref", to);
}

static json_t *or_substitution(json_t *schema)
{
    return json_pack("{s:[o,o]}", "anyOf", schema, reference(SUBSTITUTION));
}

static void set_bounds(json_t *o, double min, double max, bool open_min, bool open_max)
{
    if (isfinite(min)) {
        (void)json_object_set_new(o, open_min ? "exclusiveMinimum" : "minimum",
                                  il_schema_number(min));
    }
    if (isfinite(max)) {
        (void)json_object_set_new(o, open_max ? "exclusiveMaximum" : "maximum",
                                  il_schema_number(max));
    }
}

static json_t *choice_json(const char *const *choices)
{
    json_t *words = json_array();

    for (size_t i = 0; choices[i] != NULL; i++) {
        (void)json_array_append_new(words, json_string(choices[i]));
    }
    return json_pack("{s:o}", "enum", words);
}

/* ---- components ----------------------------------------------------------------- */

/* The params of an offer, from its plugin's manifest. */
static json_t *params_json(const il_offer *offer)
{
    json_t *manifest = json_loads(offer->file->manifest, 0, NULL);
    json_t *schemas = il_manifest_schemas(manifest);
    json_t *schema = json_object_get(schemas, offer->id);
    const char *name;
    json_t *property;
    json_t *out = json_object();
    json_t *properties = json_object();

    json_object_foreach(json_object_get(schema, "properties"), name, property)
    {
        (void)json_object_set_new(properties, name,
                                  or_substitution(json_incref(property)));
    }
    (void)json_object_set_new(out, "type", json_string("object"));
    (void)json_object_set_new(out, "properties", properties);
    (void)json_object_set_new(out, "additionalProperties", json_false());
    json_decref(schemas);
    json_decref(manifest);
    return or_substitution(out);
}

/* Escapes the dots of an id for a regular expression. */
static void escape(il_text *out, const char *id)
{
    for (const char *p = id; *p != '\0'; p++) {
        il_text_addf(out, *p == '.' ? "\\%c" : "%c", *p);
    }
}

/* What `use` may say for an offer: its id, without the house's namespace too, and with
 * a range of versions. */
static char *use_pattern(const il_offer *offer)
{
    static const char house[] = "interloop.";
    size_t size = sizeof house - 1;
    il_text t = {0};

    il_text_add(&t, "^");
    if (strncmp(offer->id, house, size) == 0) {
        il_text_add(&t, "(interloop\\.)?");
        escape(&t, offer->id + size);
    } else {
        escape(&t, offer->id);
    }
    il_text_add(&t, "(@.+)?$");
    if (t.failed) {
        il_text_free(&t);
    }
    return t.data;
}

/* Gives a map with `use` and `params` what the offers of a kind say of them. */
static void add_offers(const writer *w, json_t *o, il_kind kind)
{
    json_t *names = json_array();
    json_t *cases = json_array();
    json_t *use;

    for (size_t i = 0; i < il_registry_offers(w->registry); i++) {
        const il_offer *offer = il_registry_offer(w->registry, i);
        const char *bare =
            strncmp(offer->id, "interloop.", 10) == 0 ? offer->id + 10 : offer->id;
        char *pattern;

        if (offer->component->kind != kind || (pattern = use_pattern(offer)) == NULL) {
            continue;
        }
        (void)json_array_append_new(names, json_pack("{s:s, s:s*}", "const", bare,
                                                     "description",
                                                     offer->component->summary));
        (void)json_array_append_new(
            cases, json_pack("{s:{s:[s], s:{s:{s:s}}}, s:{s:{s:o}}}", "if", "required",
                             "use", "properties", "use", "pattern", pattern, "then",
                             "properties", "params", params_json(offer)));
        free(pattern);
    }
    /* Others may be on offer where the pipeline is run. */
    (void)json_array_append_new(names, json_pack("{s:s}", "type", "string"));
    use = json_pack("{s:o}", "anyOf", names);
    (void)json_object_set_new(json_object_get(o, "properties"), "use", use);
    (void)json_object_set_new(o, "allOf", cases);
}

/* ---- maps ----------------------------------------------------------------------- */

static json_t *fields_json(const writer *w, const il_schema_field *fields, size_t count)
{
    json_t *properties = json_object();

    for (size_t i = 0; i < count; i++) {
        json_t *type = write_schema(w, fields[i].type);

        (void)json_object_set_new(type, "description", json_string(fields[i].help));
        (void)json_object_set_new(properties, fields[i].key, type);
    }
    return properties;
}

static json_t *map_json(const writer *w, const il_schema_field *fields, size_t count)
{
    return json_pack("{s:s, s:o, s:b}", "type", "object", "properties",
                     fields_json(w, fields, count), "additionalProperties", 0);
}

/* A tagged choice is never merged, so what a case requires is required here. */
static json_t *cases_json(const writer *w, const il_schema *s)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->case_count; i++) {
        const il_schema_case *c = &s->cases[i];
        json_t *o = map_json(w, c->fields, c->field_count);
        json_t *required = json_array();

        if (s->kind == IL_SCHEMA_USE) {
            (void)json_object_set_new(json_object_get(o, "properties"), "use",
                                      json_pack("{s:s}", "const", c->name));
            (void)json_array_append_new(required, json_string("use"));
        }
        for (size_t k = 0; k < c->field_count; k++) {
            if (c->fields[k].flags & IL_FIELD_REQUIRED) {
                (void)json_array_append_new(required, json_string(c->fields[k].key));
            }
        }
        (void)json_object_set_new(o, "required", required);
        (void)json_array_append_new(all, o);
    }
    return json_pack("{s:o}", "anyOf", all);
}

static json_t *named_json(const writer *w, const il_schema *s)
{
    json_t *element = write_schema(w, s->element);

    if (s->any_key) {
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                         element);
    }
    return json_pack("{s:s, s:{s:o}, s:b}", "type", "object", "patternProperties",
                     "^[A-Za-z_][A-Za-z0-9_-]{0,63}$", element, "additionalProperties",
                     0);
}

static json_t *either_json(const writer *w, const il_schema *s)
{
    json_t *all = json_array();

    for (size_t i = 0; s->options[i] != NULL; i++) {
        (void)json_array_append_new(all, write_schema(w, s->options[i]));
    }
    return json_pack("{s:o}", "anyOf", all);
}

/* ---- the whole ------------------------------------------------------------------ */

static json_t *bare_schema(const writer *w, const il_schema *s)
{
    json_t *o;

    switch (s->kind) {
    case IL_SCHEMA_ANY:
        return json_object();
    case IL_SCHEMA_TEXT:
        return json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean");
    case IL_SCHEMA_NAME:
        return json_pack("{s:s, s:s}", "type", "string", "pattern",
                         "^[A-Za-z_][A-Za-z0-9_-]{0,63}$");
    case IL_SCHEMA_INT:
    case IL_SCHEMA_REAL:
        o = json_pack("{s:s}", "type", s->kind == IL_SCHEMA_INT ? "integer" : "number");
        set_bounds(o, s->min, s->max, s->open_min, s->open_max);
        return o;
    case IL_SCHEMA_FLAG:
        return json_pack("{s:s}", "type", "boolean");
    case IL_SCHEMA_CHOICE:
        return choice_json(s->choices);
    case IL_SCHEMA_COMPARISON:
        return json_pack("{s:s, s:s}", "type", "string", "pattern",
                         "^[<>]=? *[-+.0-9]");
    case IL_SCHEMA_LIST:
        return json_pack("{s:s, s:o, s:i}", "type", "array", "items",
                         write_schema(w, s->element), "minItems", (int)s->least);
    case IL_SCHEMA_NAMED:
        return named_json(w, s);
    case IL_SCHEMA_MAP:
        o = map_json(w, s->fields, s->field_count);
        if (s == w->detector) {
            add_offers(w, o, IL_KIND_DETECTOR);
        }
        return o;
    case IL_SCHEMA_USE:
    case IL_SCHEMA_CASES:
        return cases_json(w, s);
    case IL_SCHEMA_EITHER:
        return either_json(w, s);
    }
    return json_object();
}

static json_t *write_schema(const writer *w, const il_schema *s)
{
    return s->kind == IL_SCHEMA_ANY ? json_object()
                                    : or_substitution(bare_schema(w, s));
}

/* The map below "anyOf" that or_substitution wrote. */
static json_t *inner(const json_t *o)
{
    return json_array_get(json_object_get(o, "anyOf"), 0);
}

json_t *il_schema_json(const il_registry *registry)
{
    static const struct {
        const char *key;
        il_kind kind;
    } components[] = {{"model", IL_KIND_MODEL},
                      {"data", IL_KIND_DATASET},
                      {"environment", IL_KIND_ENVIRONMENT}};
    unsigned flags;
    const il_schema *detectors =
        il_schema_child(&il_schema_pipeline, NULL, "detectors", &flags);
    writer w = {registry, detectors->element};
    json_t *top =
        map_json(&w, il_schema_pipeline.fields, il_schema_pipeline.field_count);
    json_t *properties = json_object_get(top, "properties");
    json_t *required = json_array();

    for (size_t i = 0; i < il_schema_pipeline.field_count; i++) {
        if (il_schema_pipeline.fields[i].flags & IL_FIELD_REQUIRED) {
            (void)json_array_append_new(required,
                                        json_string(il_schema_pipeline.fields[i].key));
        }
    }
    for (size_t i = 0; i < sizeof components / sizeof components[0]; i++) {
        add_offers(&w, inner(json_object_get(properties, components[i].key)),
                   components[i].kind);
    }
    (void)json_object_set_new(
        top, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    (void)json_object_set_new(top, "title", json_string("an Interloop pipeline"));
    (void)json_object_set_new(top, "patternProperties", json_pack("{s:{}}", "^x-"));
    (void)json_object_set_new(top, "if", json_pack("{s:[s]}", "required", "extends"));
    (void)json_object_set_new(top, "else", json_pack("{s:o}", "required", required));
    (void)json_object_set_new(
        top, "$defs",
        json_pack("{s:{s:s, s:s, s:s}}", "substitution", "type", "string", "pattern",
                  "\\$\\{(env|var):", "description",
                  "${var:NAME}, ${env:NAME} or ${env:NAME:-default}"));
    return top;
}
