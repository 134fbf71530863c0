/* Reading the schema's table: checks, children and keys. */
#include "pipeline/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* No map of the grammar has more keys; a component's table may, and is checked
 * elsewhere. */
#define KEYS_MAX 64

bool il_is_name(const char *text)
{
    size_t size = strlen(text);

    return size > 0 && size <= 64 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
                        "0123456789-") == size &&
           (isalpha((unsigned char)text[0]) || text[0] == '_');
}

const il_schema *il_schema_pick(const il_schema *schema, const il_node *node)
{
    if (schema->kind != IL_SCHEMA_EITHER) {
        return schema;
    }
    for (size_t i = 0; schema->options[i] != NULL; i++) {
        il_node_kind kind;

        switch (schema->options[i]->kind) {
        case IL_SCHEMA_MAP:
        case IL_SCHEMA_NAMED:
        case IL_SCHEMA_USE:
        case IL_SCHEMA_CASES:
            kind = IL_NODE_MAP;
            break;
        case IL_SCHEMA_LIST:
            kind = IL_NODE_LIST;
            break;
        default:
            kind = IL_NODE_SCALAR;
        }
        if (kind == node->kind) {
            return schema->options[i];
        }
    }
    return NULL;
}

/* The case of a USE or CASES map, or NULL when it does not say. */
static const il_schema_case *pick_case(const il_schema *schema, const il_node *map)
{
    const il_node *use = il_node_get(map, "use");

    for (size_t i = 0; i < schema->case_count; i++) {
        const il_schema_case *c = &schema->cases[i];

        if (schema->kind == IL_SCHEMA_USE) {
            if (use != NULL && use->kind == IL_NODE_SCALAR &&
                strcmp(use->text, c->name) == 0) {
                return c;
            }
        } else if (il_node_get(map, c->name) != NULL) {
            return c;
        }
    }
    return NULL;
}

static const il_schema_field *find_field(const il_schema_field *fields, size_t count,
                                         const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].key, key) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

static const il_schema use_word = {.kind = IL_SCHEMA_TEXT, .what = "a word"};
static const il_schema anything = {.kind = IL_SCHEMA_ANY, .what = "anything"};

const il_schema_field *il_schema_field_of(const il_schema *schema, const il_node *map,
                                          const char *key)
{
    const il_schema_field *field = NULL;
    const il_schema_case *c;

    switch (schema->kind) {
    case IL_SCHEMA_MAP:
        return find_field(schema->fields, schema->field_count, key);
    case IL_SCHEMA_USE:
    case IL_SCHEMA_CASES:
        c = pick_case(schema, map);
        /* Which case it is may be said by what is still to come: any case's key will
         * do then. */
        for (size_t i = 0; field == NULL && i < schema->case_count; i++) {
            if (c == NULL || c == &schema->cases[i]) {
                field = find_field(schema->cases[i].fields,
                                   schema->cases[i].field_count, key);
            }
        }
        return field;
    case IL_SCHEMA_EITHER:
        for (size_t i = 0; field == NULL && schema->options[i] != NULL; i++) {
            field = il_schema_field_of(schema->options[i], map, key);
        }
        return field;
    default:
        return NULL;
    }
}

const il_schema *il_schema_child(const il_schema *schema, const il_node *map,
                                 const char *key, unsigned *flags)
{
    const il_schema_field *field = il_schema_field_of(schema, map, key);

    *flags = field != NULL ? field->flags : 0;
    if (field != NULL) {
        return field->type;
    }
    switch (schema->kind) {
    case IL_SCHEMA_ANY:
        return &anything;
    case IL_SCHEMA_NAMED:
        *flags = schema->whole ? IL_FIELD_WHOLE : 0;
        return schema->element;
    case IL_SCHEMA_MAP:
        return schema == &il_schema_pipeline && strncmp(key, "x-", 2) == 0 ? &anything
                                                                           : NULL;
    case IL_SCHEMA_USE:
        return strcmp(key, "use") == 0 ? &use_word : NULL;
    case IL_SCHEMA_EITHER:
        for (size_t i = 0; schema->options[i] != NULL; i++) {
            const il_schema *child =
                il_schema_child(schema->options[i], map, key, flags);

            if (child != NULL) {
                return child;
            }
        }
        return NULL;
    default:
        return NULL;
    }
}

static size_t add_keys(const il_schema_field *fields, size_t count, const char **keys,
                       size_t used, size_t room)
{
    for (size_t i = 0; i < count && used < room; i++) {
        keys[used++] = fields[i].key;
    }
    return used;
}

size_t il_schema_keys(const il_schema *schema, const il_node *map, const char **keys,
                      size_t room)
{
    const il_schema_case *c;
    size_t used = 0;

    switch (schema->kind) {
    case IL_SCHEMA_MAP:
        return add_keys(schema->fields, schema->field_count, keys, 0, room);
    case IL_SCHEMA_USE:
    case IL_SCHEMA_CASES:
        if (schema->kind == IL_SCHEMA_USE && room > 0) {
            keys[used++] = "use";
        }
        c = pick_case(schema, map);
        if (c != NULL) {
            return add_keys(c->fields, c->field_count, keys, used, room);
        }
        for (size_t i = 0;
             schema->kind == IL_SCHEMA_CASES && i < schema->case_count && used < room;
             i++) {
            keys[used++] = schema->cases[i].name;
        }
        return used;
    case IL_SCHEMA_NAMED:
        for (size_t i = 0; map != NULL && i < map->count && used < room; i++) {
            keys[used++] = map->items[i].key;
        }
        return used;
    case IL_SCHEMA_EITHER:
        for (size_t i = 0; schema->options[i] != NULL && used == 0; i++) {
            used = il_schema_keys(schema->options[i], map, keys, room);
        }
        return used;
    default:
        return 0;
    }
}

/* --- scalars --- */

static bool expected(const il_node *node, const char *what, il_problems *problems)
{
    char found[64];

    if (node->kind == IL_NODE_SCALAR && strstr(node->text, "${") != NULL &&
        problems->count > 0) {
        return false; /* it could not be resolved, which was reported */
    }
    il_problem_add(problems, node->place, "expected %s, found %s", what,
                   il_node_describe(node, found, sizeof found));
    return false;
}

/* A scalar that may be read as a number or flag; says why not when it is quoted. */
static bool is_unquoted(const il_node *node, const char *what, il_problems *problems)
{
    char found[64];

    if (node->kind != IL_NODE_SCALAR) {
        return expected(node, what, problems);
    }
    if (node->quoted && strstr(node->text, "${") != NULL && problems->count > 0) {
        return false;
    }
    if (node->quoted) {
        il_problem_add(problems, node->place,
                       "expected %s, found %s; quotes make it a string", what,
                       il_node_describe(node, found, sizeof found));
        return false;
    }
    return true;
}

bool il_node_int(const il_node *node, double min, double max, int64_t *value,
                 const char *what, il_problems *problems)
{
    int64_t parsed;

    if (!is_unquoted(node, what, problems)) {
        return false;
    }
    if (!il_parse_int(node->text, &parsed) || (double)parsed < min ||
        (double)parsed > max) {
        return expected(node, what, problems);
    }
    *value = parsed;
    return true;
}

bool il_node_real(const il_node *node, const il_schema *range, double *value,
                  il_problems *problems)
{
    double parsed;

    if (!is_unquoted(node, range->what, problems)) {
        return false;
    }
    if (!il_parse_real(node->text, &parsed) || parsed < range->min ||
        parsed > range->max || (range->open_min && parsed == range->min) ||
        (range->open_max && parsed == range->max)) {
        return expected(node, range->what, problems);
    }
    *value = parsed;
    return true;
}

bool il_node_flag(const il_node *node, bool *value, il_problems *problems)
{
    if (!is_unquoted(node, "true or false", problems)) {
        return false;
    }
    if (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0) {
        return expected(node, "true or false", problems);
    }
    *value = node->text[0] == 't';
    return true;
}

static void check_choice(const il_schema *schema, const il_node *node,
                         il_problems *problems)
{
    char found[64];
    size_t count = 0;

    if (node->kind != IL_NODE_SCALAR) {
        (void)expected(node, schema->what, problems);
        return;
    }
    while (schema->choices[count] != NULL) {
        if (strcmp(node->text, schema->choices[count]) == 0) {
            return;
        }
        count++;
    }
    il_problem_add_nearest(problems, node->place, node->text, schema->choices, count,
                           "%s is not %s", il_node_describe(node, found, sizeof found),
                           schema->what);
}

static void check_comparison(const il_schema *schema, const il_node *node,
                             il_problems *problems)
{
    const char *p;
    double bound;

    if (node->kind != IL_NODE_SCALAR) {
        (void)expected(node, schema->what, problems);
        return;
    }
    p = node->text;
    if (*p != '<' && *p != '>') {
        (void)expected(node, schema->what, problems);
        return;
    }
    p += p[1] == '=' ? 2 : 1;
    p += strspn(p, " ");
    if (!il_parse_real(p, &bound)) {
        (void)expected(node, schema->what, problems);
    }
}

static void check_text(const il_schema *schema, const il_node *node,
                       il_problems *problems)
{
    char found[64];

    if (node->kind != IL_NODE_SCALAR || node->text[0] == '\0') {
        (void)expected(node, schema->what, problems);
    } else if (schema->kind == IL_SCHEMA_NAME && !il_is_name(node->text)) {
        il_problem_add(problems, node->place,
                       "%s is not a name: letters, digits, '_' and '-', at most 64, a "
                       "letter first",
                       il_node_describe(node, found, sizeof found));
    }
}

/* --- maps and lists --- */

/* The keys of a map against its fields; `schema` gives the names for suggestions. */
static void check_fields(const il_schema *schema, const il_schema_field *fields,
                         size_t count, const il_node *map, il_problems *problems)
{
    const char *one[4] = {NULL};
    size_t one_count = 0;
    const char *given = NULL; /* the last of those that is there */

    for (size_t i = 0; i < count; i++) {
        const il_node *value = il_node_get(map, fields[i].key);

        if (value == NULL && (fields[i].flags & IL_FIELD_REQUIRED)) {
            il_problem_add(problems, map->place, "%s needs `%s`: %s", schema->what,
                           fields[i].key, fields[i].help);
        }
        if (fields[i].flags & IL_FIELD_ONE && one_count < 4) {
            one[one_count++] = fields[i].key;
            if (value != NULL && given != NULL) {
                il_problem_add(problems, il_node_item_of(map, fields[i].key)->place,
                               "`%s` beside `%s`: %s has one of the two", fields[i].key,
                               given, schema->what);
            }
            given = value != NULL ? fields[i].key : given;
        }
        if (value != NULL) {
            il_schema_check(fields[i].type, value, problems);
        }
    }
    if (one_count > 0 && given == NULL) {
        il_problem_add(problems, map->place, "%s needs `%s`%s%s%s or `%s`",
                       schema->what, one[0], one_count > 2 ? ", `" : "",
                       one_count > 2 ? one[1] : "", one_count > 2 ? "`" : "",
                       one[one_count - 1]);
    }
}

static void check_keys(const il_schema *schema, const il_node *map,
                       il_problems *problems)
{
    const char *keys[KEYS_MAX];
    size_t count = il_schema_keys(schema, map, keys, KEYS_MAX);
    unsigned flags;

    for (size_t i = 0; i < map->count; i++) {
        if (il_schema_child(schema, map, map->items[i].key, &flags) == NULL) {
            il_problem_add_nearest(problems, map->items[i].place, map->items[i].key,
                                   keys, count, "unknown key '%.60s' in %s",
                                   map->items[i].key, schema->what);
        }
    }
}

static void check_named(const il_schema *schema, const il_node *map,
                        il_problems *problems)
{
    if (map->count < schema->least) {
        il_problem_add(problems, map->place, "expected %s with at least %zu, found %zu",
                       schema->what, schema->least, map->count);
    }
    for (size_t i = 0; i < map->count; i++) {
        if (!schema->any_key && !il_is_name(map->items[i].key)) {
            il_problem_add(problems, map->items[i].place,
                           "'%.80s' is not a name: letters, digits, '_' and '-', at "
                           "most 64, a letter first",
                           map->items[i].key);
        }
        il_schema_check(schema->element, map->items[i].value, problems);
    }
}

static void check_cases(const il_schema *schema, const il_node *map,
                        il_problems *problems)
{
    const il_schema_case *c = pick_case(schema, map);
    const il_node *use = il_node_get(map, "use");
    const char *cases[16];
    char found[64];

    for (size_t i = 0; i < schema->case_count; i++) {
        cases[i] = schema->cases[i].name;
    }
    if (c != NULL) {
        check_keys(schema, map, problems);
        check_fields(schema, c->fields, c->field_count, map, problems);
    } else if (schema->kind == IL_SCHEMA_USE && use == NULL) {
        il_problem_add_nearest(problems, map->place, "", cases, schema->case_count,
                               "%s needs `use`", schema->what);
    } else if (schema->kind == IL_SCHEMA_USE) {
        il_problem_add_nearest(
            problems, use->place, use->kind == IL_NODE_SCALAR ? use->text : "", cases,
            schema->case_count, "%s is not %s",
            il_node_describe(use, found, sizeof found), schema->what);
    } else if (map->count == 1) {
        il_problem_add_nearest(problems, map->items[0].place, map->items[0].key, cases,
                               schema->case_count, "unknown key '%.60s' in %s",
                               map->items[0].key, schema->what);
    } else {
        il_problem_add_nearest(problems, map->place, "", cases, schema->case_count,
                               "%s needs a key that says which it is", schema->what);
    }
}

static void check_list(const il_schema *schema, const il_node *list,
                       il_problems *problems)
{
    if (list->count < schema->least) {
        il_problem_add(problems, list->place, "expected %s, found an empty one",
                       schema->what);
    }
    for (size_t i = 0; i < list->count; i++) {
        il_schema_check(schema->element, list->items[i].value, problems);
    }
}

void il_schema_check(const il_schema *schema, const il_node *node,
                     il_problems *problems)
{
    const il_schema *picked = il_schema_pick(schema, node);
    int64_t integer;
    double real;
    bool truth;
    il_schema scalar;

    if (picked == NULL) {
        (void)expected(node, schema->what, problems);
        return;
    }
    if (schema->kind == IL_SCHEMA_EITHER && node->kind == IL_NODE_SCALAR) {
        scalar = *picked;
        scalar.what = schema->what; /* a message names all that may stand here */
        picked = &scalar;
    }
    switch (picked->kind) {
    case IL_SCHEMA_ANY:
        return;
    case IL_SCHEMA_TEXT:
    case IL_SCHEMA_NAME:
        check_text(picked, node, problems);
        return;
    case IL_SCHEMA_INT:
        (void)il_node_int(node, picked->min, picked->max, &integer, picked->what,
                          problems);
        return;
    case IL_SCHEMA_REAL:
        (void)il_node_real(node, picked, &real, problems);
        return;
    case IL_SCHEMA_FLAG:
        (void)il_node_flag(node, &truth, problems);
        return;
    case IL_SCHEMA_CHOICE:
        check_choice(picked, node, problems);
        return;
    case IL_SCHEMA_COMPARISON:
        check_comparison(picked, node, problems);
        return;
    case IL_SCHEMA_EITHER:
        return; /* options are never alternatives themselves */
    case IL_SCHEMA_LIST:
        if (node->kind == IL_NODE_LIST) {
            check_list(picked, node, problems);
            return;
        }
        break;
    case IL_SCHEMA_NAMED:
    case IL_SCHEMA_MAP:
    case IL_SCHEMA_USE:
    case IL_SCHEMA_CASES:
        if (node->kind != IL_NODE_MAP) {
            break;
        }
        if (picked->kind == IL_SCHEMA_NAMED) {
            check_named(picked, node, problems);
        } else if (picked->kind == IL_SCHEMA_MAP) {
            check_keys(picked, node, problems);
            check_fields(picked, picked->fields, picked->field_count, node, problems);
        } else {
            check_cases(picked, node, problems);
        }
        return;
    }
    (void)expected(node, picked->what, problems);
}
