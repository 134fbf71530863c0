/* Typing a component's params by its table. */
#include "pipeline/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "pipeline/resolve.h"
#include "pipeline/schema.h"

/* "a whole number from 1 to 8 (tokens)", into a buffer of the caller's. */
static void describe(const il_param_spec *spec, char *out, size_t size)
{
    char low[32];
    char high[32];
    const char *what = spec->type == IL_PARAM_TYPE_INT ? "a whole number" : "a number";

    il_format_real(spec->min, low);
    il_format_real(spec->max, high);
    if (spec->type == IL_PARAM_TYPE_INT) {
        (void)snprintf(low, sizeof low, "%.0f", spec->min);
        (void)snprintf(high, sizeof high, "%.0f", spec->max);
    }
    /* Bounds so wide that nobody set them only make a message long. */
    if (!(fabs(spec->min) < 1e15) && !(fabs(spec->max) < 1e15)) {
        (void)snprintf(out, size, "%s", what);
    } else if (!(fabs(spec->max) < 1e15)) {
        (void)snprintf(out, size, "%s of at least %s", what, low);
    } else {
        (void)snprintf(out, size, "%s from %s to %s", what, low, high);
    }
    if (spec->unit != NULL && spec->unit[0] != '\0') {
        size_t used = strlen(out);

        (void)snprintf(out + used, size - used, " (%s)", spec->unit);
    }
}

static bool read_text(il_arena *arena, const il_param_spec *spec, const il_node *node,
                      il_param_value *value, il_problems *problems)
{
    char found[64];

    if (node->kind != IL_NODE_SCALAR ||
        (!node->quoted && node->text[0] == '\0' && node->place.line > 0)) {
        il_problem_add(problems, node->place, "expected text for `%s`, found %s",
                       spec->name, il_node_describe(node, found, sizeof found));
        return false;
    }
    value->text = spec->flags & IL_PARAM_PATH && node->text[0] != '\0'
                      ? il_place_path(arena, node->place, node->text)
                      : il_arena_strdup(arena, node->text);
    if (value->text == NULL) {
        problems->no_memory = true;
        return false;
    }
    return true;
}

static bool read_choice(const il_param_spec *spec, const il_node *node,
                        il_param_value *value, il_problems *problems)
{
    char found[64];
    size_t count = 0;

    for (; node->kind == IL_NODE_SCALAR && spec->choices[count] != NULL; count++) {
        if (strcmp(node->text, spec->choices[count]) == 0) {
            value->text = spec->choices[count];
            return true;
        }
    }
    il_problem_add_nearest(problems, node->place,
                           node->kind == IL_NODE_SCALAR ? node->text : "",
                           spec->choices, count, "%s is no value of `%s`",
                           il_node_describe(node, found, sizeof found), spec->name);
    return false;
}

static bool read_value(il_arena *arena, const il_param_spec *spec, const il_node *node,
                       il_param_value *value, il_problems *problems)
{
    char what[128];
    il_schema range = {.kind = IL_SCHEMA_REAL, .min = spec->min, .max = spec->max};

    switch (spec->type) {
    case IL_PARAM_TYPE_INT:
        describe(spec, what, sizeof what);
        return il_node_int(node, spec->min, spec->max, &value->integer, what, problems);
    case IL_PARAM_TYPE_REAL:
        describe(spec, what, sizeof what);
        range.what = what;
        return il_node_real(node, &range, &value->real, problems);
    case IL_PARAM_TYPE_FLAG:
        return il_node_flag(node, &value->flag, problems);
    case IL_PARAM_TYPE_TEXT:
        return read_text(arena, spec, node, value, problems);
    case IL_PARAM_TYPE_CHOICE:
        return read_choice(spec, node, value, problems);
    }
    il_problem_add(problems, node->place,
                   "`%s` has a type that this host does not know", spec->name);
    return false;
}

static bool refuse_unknown(const il_node *params, const char *owner,
                           const il_param_spec *specs, size_t count,
                           il_problems *problems)
{
    const char **names = calloc(count + 1, sizeof(const char *));
    bool good = true;

    if (names == NULL) {
        problems->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = specs[i].name;
    }
    for (size_t i = 0; i < params->count; i++) {
        bool known = false;

        for (size_t j = 0; j < count; j++) {
            known = known || strcmp(names[j], params->items[i].key) == 0;
        }
        if (!known) {
            il_problem_add_nearest(
                problems, params->items[i].place, params->items[i].key, names, count,
                "%s has no parameter '%.60s'", owner, params->items[i].key);
            good = false;
        }
    }
    free(names);
    return good;
}

bool il_params_check(il_arena *arena, const il_node *params, const char *owner,
                     il_place place, const il_param_spec *specs, size_t count,
                     il_param_value *values, il_problems *problems)
{
    il_node initial = {.kind = IL_NODE_SCALAR};
    bool good = true;

    if (params != NULL && params->kind != IL_NODE_MAP) {
        char found[64];

        il_problem_add(problems, params->place,
                       "expected a map of parameters, found %s",
                       il_node_describe(params, found, sizeof found));
        return false;
    }
    if (params != NULL) {
        good = refuse_unknown(params, owner, specs, count, problems);
        place = params->place;
    }
    for (size_t i = 0; i < count; i++) {
        const il_node *node = il_node_get(params, specs[i].name);

        memset(&values[i], 0, sizeof values[i]);
        values[i].spec = &specs[i];
        values[i].given = node != NULL;
        values[i].place = node != NULL ? node->place : place;
        if (node == NULL &&
            (specs[i].flags & IL_PARAM_REQUIRED || specs[i].initial == NULL)) {
            il_problem_add(problems, place, "%s needs the parameter `%s`: %s", owner,
                           specs[i].name, specs[i].help != NULL ? specs[i].help : "");
            good = false;
            continue;
        }
        if (node == NULL) {
            initial.text = specs[i].initial; /* the table's, so line 0 */
            node = &initial;
        }
        good = read_value(arena, &specs[i], node, &values[i], problems) && good;
    }
    return good;
}

const il_param_value *il_param_value_find(const il_param_value *values, size_t count,
                                          const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(values[i].spec->name, name) == 0) {
            return &values[i];
        }
    }
    return NULL;
}

void il_param_values_write(il_text *out, const il_param_value *values, size_t count)
{
    const char *separator = "";
    char number[32];

    il_text_add(out, "{");
    for (size_t i = 0; i < count; i++) {
        const il_param_value *v = &values[i];

        if (v->spec->flags & IL_PARAM_SECRET) {
            continue;
        }
        il_text_add(out, separator);
        separator = ",";
        il_text_add_json(out, v->spec->name);
        il_text_add(out, ":");
        switch (v->spec->type) {
        case IL_PARAM_TYPE_INT:
            il_text_addf(out, "%lld", (long long)v->integer);
            break;
        case IL_PARAM_TYPE_REAL:
            il_format_real(v->real, number);
            il_text_add(out, number);
            break;
        case IL_PARAM_TYPE_FLAG:
            il_text_add(out, v->flag ? "true" : "false");
            break;
        default:
            il_text_add_json(out, v->text != NULL ? v->text : "");
        }
    }
    il_text_add(out, "}");
}
