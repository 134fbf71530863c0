#include "plugin/manifest.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/registry.h"

static const char *const type_names[] = {"", "int", "real", "flag", "text", "choice"};

static json_t *flags_json(unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *name;
    } known[] = {
        {IL_PARAM_REQUIRED, "required"},
        {IL_PARAM_SECRET, "secret"},
        {IL_PARAM_DEPRECATED, "deprecated"},
        {IL_PARAM_PATH, "path"},
    };
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (flags & known[i].flag) {
            (void)json_array_append_new(list, json_string(known[i].name));
        }
    }
    return list;
}

/* `value` is stolen; a NULL one makes `*good` false. */
static void put(json_t *object, const char *key, json_t *value, bool *good)
{
    if (value == NULL || json_object_set_new(object, key, value) != 0) {
        *good = false;
    }
}

/* Bounds that nobody set have no JSON; they are left out. */
static void put_bound(json_t *object, const char *key, double value, bool *good)
{
    if (isfinite(value)) {
        put(object, key, json_real(value), good);
    }
}

static json_t *param_json(const il_param_spec *p, bool *good)
{
    json_t *o = json_object();

    put(o, "name", json_string(p->name), good);
    put(o, "type", json_string(type_names[p->type]), good);
    put(o, "unit", json_string(p->unit), good);
    put(o, "default", p->initial != NULL ? json_string(p->initial) : json_null(), good);
    if (p->type == IL_PARAM_TYPE_INT || p->type == IL_PARAM_TYPE_REAL) {
        put_bound(o, "min", p->min, good);
        put_bound(o, "max", p->max, good);
    }
    if (p->type == IL_PARAM_TYPE_CHOICE) {
        json_t *choices = json_array();

        for (size_t i = 0; p->choices[i] != NULL; i++) {
            if (json_array_append_new(choices, json_string(p->choices[i])) != 0) {
                *good = false;
            }
        }
        put(o, "choices", choices, good);
    }
    put(o, "flags", flags_json(p->flags), good);
    put(o, "help", json_string(p->help), good);
    return o;
}

static json_t *component_json(const il_component *c, bool *good)
{
    json_t *o = json_object();
    json_t *params = json_array();

    put(o, "kind", json_string(il_kind_name(c->kind)), good);
    put(o, "name", json_string(c->name), good);
    put(o, "summary", json_string(c->summary != NULL ? c->summary : ""), good);
    for (size_t i = 0; i < c->param_count; i++) {
        if (json_array_append_new(params, param_json(&c->params[i], good)) != 0) {
            *good = false;
        }
    }
    put(o, "params", params, good);
    return o;
}

/* NULL when a text is not UTF-8 or memory is out. */
static json_t *entry_json(const il_plugin *e)
{
    bool good = true;
    json_t *o = json_object();
    json_t *components = json_array();

    put(o, "schema", json_integer(IL_MANIFEST_SCHEMA), &good);
    put(o, "space", json_string(e->space), &good);
    put(o, "version", json_string(e->version), &good);
    put(o, "licence", json_string(e->licence), &good);
    put(o, "author", json_string(e->author), &good);
    put(o, "summary", json_string(e->summary), &good);
    put(o, "abi",
        json_pack("{s:i,s:i,s:i}", "major", e->prefix.abi_major, "minor",
                  e->prefix.abi_minor, "host_minor_min", e->prefix.host_minor_min),
        &good);
    for (size_t i = 0; i < e->component_count; i++) {
        if (json_array_append_new(components,
                                  component_json(&e->components[i], &good)) != 0) {
            good = false;
        }
    }
    put(o, "components", components, &good);
    if (!good) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static il_status not_json(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, where,
                        "its entry cannot be written as a manifest: expected every "
                        "text to be UTF-8");
}

il_status il_manifest_write(const il_plugin *entry, const char *where, char **text,
                            il_error *err)
{
    json_t *o = entry_json(entry);
    char *out =
        o != NULL ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;

    json_decref(o);
    if (out == NULL) {
        return not_json(where, err);
    }
    *text = out;
    return IL_OK;
}

static char *copy_text(const char *text, size_t size)
{
    char *copy = malloc(size + 1);

    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

static il_status check_abi(const json_t *o, const il_plugin_prefix *p,
                           const char *where, il_error *err)
{
    int major = -1;
    int minor = -1;
    int least = -1;

    if (json_unpack((json_t *)o, "{s:{s:i,s:i,s:i}}", "abi", "major", &major, "minor",
                    &minor, "host_minor_min", &least) != 0 ||
        major != p->abi_major || minor != p->abi_minor || least != p->host_minor_min) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "its manifest disagrees with its code: ABI %d.%d (host "
                            "minor %d) in the manifest, %u.%u (host minor %u) in the "
                            "code; stamp it again",
                            major, minor, least, p->abi_major, p->abi_minor,
                            p->host_minor_min);
    }
    return IL_OK;
}

il_status il_manifest_read(il_manifest *out, const char *text, size_t size,
                           const il_plugin_prefix *prefix, const char *where,
                           il_error *err)
{
    il_status status;
    const char *space = NULL;
    const char *version = NULL;
    int schema = -1;
    json_error_t at;
    json_t *o;

    memset(out, 0, sizeof *out);
    if (size > IL_MANIFEST_MAX) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "its manifest has %zu bytes, expected at most %d", size,
                            IL_MANIFEST_MAX);
    }
    o = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    if (o == NULL) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "its manifest is no JSON (%s); stamp it again", at.text);
    }
    if (json_unpack(o, "{s:i}", "schema", &schema) != 0 ||
        schema != IL_MANIFEST_SCHEMA) {
        status =
            il_error_set(err, IL_ERR_INPUT, where,
                         "its manifest has schema %d, this host reads %d; stamp it "
                         "again",
                         schema, IL_MANIFEST_SCHEMA);
    } else if (json_unpack(o, "{s:s,s:s}", "space", &space, "version", &version) != 0) {
        status = il_error_set(err, IL_ERR_INPUT, where,
                              "its manifest has no `space` or no `version`; stamp it "
                              "again");
    } else {
        status = check_abi(o, prefix, where, err);
    }
    if (status == IL_OK) {
        out->text = copy_text(text, size);
        out->space = copy_text(space, strlen(space));
        out->version = copy_text(version, strlen(version));
        if (out->text == NULL || out->space == NULL || out->version == NULL) {
            il_manifest_free(out);
            status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
        }
    }
    json_decref(o);
    return status;
}

void il_manifest_free(il_manifest *m)
{
    free(m->text);
    free(m->space);
    free(m->version);
    memset(m, 0, sizeof *m);
}

il_status il_manifest_agrees(const char *text, const il_plugin *entry,
                             const char *where, il_error *err)
{
    il_status status = IL_OK;
    json_t *said = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *is = entry_json(entry);
    const char *key;
    json_t *value;

    if (is == NULL) {
        json_decref(said);
        return not_json(where, err);
    }
    /* The first key that differs, in the order of the entry. */
    json_object_foreach(is, key, value)
    {
        json_t *other = json_object_get(said, key);

        if (status == IL_OK && !json_equal(value, other)) {
            const char *a = json_string_value(other);
            const char *b = json_string_value(value);

            status = il_error_set(
                err, IL_ERR_INPUT, where,
                "its manifest disagrees with its code on `%s`%s%s%s%s; "
                "stamp it again",
                key, a && b ? ": " : "", a && b ? a : "",
                a && b ? " in the manifest, in the code " : "", a && b ? b : "");
        }
    }
    if (status == IL_OK && json_object_size(said) != json_object_size(is)) {
        status = il_error_set(err, IL_ERR_INPUT, where,
                              "its manifest says more than its code; stamp it again");
    }
    json_decref(said);
    json_decref(is);
    return status;
}
