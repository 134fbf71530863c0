/* ${env:NAME}, ${env:NAME:-default} and ${var:NAME} in a parsed tree.
 *
 * They are looked for in scalars alone, after parsing, so that what they bring can
 * never be taken for structure. Variables may use the environment but not each
 * other: there is no recursion to bound. */
#include <stdlib.h>
#include <string.h>
#include "pipeline/composer.h"
#include "pipeline/resolve.h"

typedef struct substitution {
    il_arena *arena;
    const il_node *vars; /* NULL while the variables themselves are resolved */
    il_problems *problems;
    il_substitute_mode mode;
    size_t nodes; /* brought in so far */
    size_t bytes;
    bool stopped;
} substitution;

/* Adds a text from outside, where a ${ in it is no reference of ours. */
static void add_foreign(const substitution *s, il_text *out, const char *text)
{
    const char *dollar;

    while (s->mode != IL_SUBSTITUTE_ALL && (dollar = strstr(text, "${")) != NULL) {
        il_text_add_bytes(out, text, (size_t)(dollar - text));
        il_text_add(out, "$${");
        text = dollar + 2;
    }
    il_text_add(out, text);
}

/* One ${...}: its parts and its length. */
typedef struct reference {
    char kind[8];
    char name[128];
    char *fallback; /* in the arena; NULL for none */
    size_t size;
} reference;

static void stop(substitution *s)
{
    s->problems->no_memory = true;
    s->stopped = true;
}

/* Takes the ${...} at p apart; false with a problem when it is none. */
static bool parse(substitution *s, const il_node *node, const char *p, reference *r)
{
    const char *end = strchr(p, '}');
    const char *colon = strchr(p, ':');
    size_t kind;
    size_t name;

    memset(r, 0, sizeof *r);
    if (end == NULL) {
        il_problem_add(s->problems, node->place, "'%.60s' has no '}'", p);
        return false;
    }
    r->size = (size_t)(end - p) + 1;
    kind = colon != NULL && colon < end ? (size_t)(colon - p) - 2 : 0;
    if (kind != 3 || (memcmp(p + 2, "env", 3) != 0 && memcmp(p + 2, "var", 3) != 0)) {
        il_problem_add(
            s->problems, node->place,
            "expected ${env:NAME}, ${env:NAME:-default} or ${var:NAME}, found "
            "'%.*s'; write $${ for a plain ${",
            (int)(r->size > 60 ? 60 : r->size), p);
        return false;
    }
    memcpy(r->kind, p + 2, 3);
    name = strcspn(colon + 1, ":}");
    if (name == 0 || name >= sizeof r->name) {
        il_problem_add(s->problems, node->place, "'%.*s' names nothing",
                       (int)(r->size > 60 ? 60 : r->size), p);
        return false;
    }
    memcpy(r->name, colon + 1, name);
    colon += 1 + name;
    if (*colon == '}') {
        return true;
    }
    if (r->kind[0] == 'v' || colon[1] != '-') {
        il_problem_add(s->problems, node->place, "'%.*s' is not understood: %s",
                       (int)(r->size > 60 ? 60 : r->size), p,
                       r->kind[0] == 'v' ? "a variable has no default here"
                                         : "a default begins with ':-'");
        return false;
    }
    r->fallback = il_arena_printf(s->arena, "%.*s", (int)(end - colon - 2), colon + 2);
    if (r->fallback == NULL) {
        stop(s);
        return false;
    }
    return true;
}

/* The text of an environment variable, or NULL with a problem. */
static const char *env_text(substitution *s, const il_node *node, const reference *r)
{
    const char *value = getenv(r->name);

    if (value == NULL || value[0] == '\0') {
        value = r->fallback != NULL ? r->fallback : value;
    }
    if (value == NULL) {
        il_problem_add(s->problems, node->place,
                       "the environment has no %s; set it, or write ${env:%s:-default}",
                       r->name, r->name);
    } else if (!il_compose_takes(value)) {
        il_problem_add(s->problems, node->place,
                       "the environment's %s holds bytes that are no printable UTF-8",
                       r->name);
        value = NULL;
    }
    return value;
}

/* A variable, or NULL with a problem. */
static const il_node *var_node(substitution *s, const il_node *node, const reference *r)
{
    const char *names[64];
    const il_node *value;
    size_t count = 0;

    if (s->vars == NULL) {
        il_problem_add(s->problems, node->place,
                       "'${var:%s}' in a variable: variables do not use each other",
                       r->name);
        return NULL;
    }
    value = il_node_find(s->vars, r->name);
    if (value == NULL) {
        for (; count < s->vars->count && count < 64; count++) {
            names[count] = s->vars->items[count].key;
        }
        il_problem_add_nearest(s->problems, node->place, r->name, names, count,
                               "no variable '%s' under `vars`", r->name);
    }
    return value;
}

/* Counts what a replacement brings; false with a problem when it is too much. */
static bool spend(substitution *s, const il_node *node, size_t nodes, size_t bytes)
{
    s->nodes += nodes;
    s->bytes += bytes;
    if (bytes > IL_TEXT_BYTES || s->bytes > IL_TREE_BYTES || s->nodes > IL_TREE_NODES) {
        il_problem_add(s->problems, node->place,
                       "the pipeline grows too large by what ${...} brings in");
        s->stopped = true;
        return false;
    }
    return true;
}

/* A scalar that is one ${...} and nothing else: a variable keeps its kind and type, the
 * environment's text is typed by the schema like text that stands in the file. */
static il_node *replace_whole(substitution *s, il_node *node, const reference *r)
{
    il_node *copy;

    if (r->kind[0] == 'e') {
        const char *value = env_text(s, node, r);

        il_text out = {0};

        if (value == NULL || !spend(s, node, 0, strlen(value))) {
            return node;
        }
        add_foreign(s, &out, value);
        copy =
            out.failed ? NULL : il_node_scalar(s->arena, out.data, false, node->place);
        il_text_free(&out);
    } else {
        const il_node *value = var_node(s, node, r);

        if (value == NULL ||
            !spend(s, node, il_node_size(value),
                   value->kind == IL_NODE_SCALAR ? strlen(value->text) : 0)) {
            return node;
        }
        copy = il_node_copy(s->arena, value);
    }
    if (copy == NULL) {
        stop(s);
        return node;
    }
    copy->place = node->place;
    copy->under = node->under;
    return copy;
}

/* Adds what a ${...} inside a longer text stands for. */
static bool add_part(substitution *s, const il_node *node, const reference *r,
                     il_text *out)
{
    const il_node *value;
    const char *text;
    char found[64];

    if (r->kind[0] == 'e') {
        text = env_text(s, node, r);
        if (text == NULL) {
            return false;
        }
        add_foreign(s, out, text);
        return true;
    }
    value = var_node(s, node, r);
    if (value == NULL) {
        return false;
    }
    if (value->kind != IL_NODE_SCALAR) {
        il_problem_add(s->problems, node->place,
                       "'${var:%s}' inside a text is %s; a map or list stands alone",
                       r->name, il_node_describe(value, found, sizeof found));
        return false;
    }
    il_text_add(out, value->text);
    return true;
}

static il_node *substitute_scalar(substitution *s, il_node *node)
{
    const char *p = node->text;
    const char *dollar;
    il_text out = {0};
    il_node *result = node;
    bool good = true;

    if (strstr(p, "${") == NULL) {
        return node;
    }
    while (good && (dollar = strstr(p, "${")) != NULL) {
        reference r;

        if (dollar > p && dollar[-1] == '$') {
            il_text_add_bytes(&out, p, (size_t)(dollar - p) - 1);
            il_text_add(&out, s->mode == IL_SUBSTITUTE_ALL ? "${" : "$${");
            p = dollar + 2;
            continue;
        }
        if (!parse(s, node, dollar, &r)) {
            good = false;
            break;
        }
        if (s->mode == IL_SUBSTITUTE_ENV && r.kind[0] == 'v') {
            il_text_add_bytes(&out, p, (size_t)(dollar - p) + r.size);
            p = dollar + r.size;
            continue;
        }
        if (dollar == node->text && dollar[r.size] == '\0') {
            il_text_free(&out);
            return replace_whole(s, node, &r);
        }
        il_text_add_bytes(&out, p, (size_t)(dollar - p));
        good = add_part(s, node, &r, &out) && out.size <= IL_TEXT_BYTES;
        p = dollar + r.size;
    }
    if (good || out.size > IL_TEXT_BYTES) {
        il_text_add(&out, p);
        good = !out.failed && spend(s, node, 0, out.size);
    }
    if (out.failed) {
        stop(s);
    } else if (good) {
        result = il_node_scalar(s->arena, out.data, true, node->place);
        if (result == NULL) {
            stop(s);
            result = node;
        }
        result->under = node->under;
    }
    il_text_free(&out);
    return result;
}

static void substitute_in(substitution *s, il_node *node, bool top)
{
    for (size_t i = 0; i < node->count && !s->stopped; i++) {
        il_node_item *item = &node->items[i];

        if (top &&
            (strncmp(item->key, "x-", 2) == 0 || strcmp(item->key, "vars") == 0)) {
            continue;
        }
        if (item->value->kind == IL_NODE_SCALAR) {
            item->value = substitute_scalar(s, item->value);
        } else {
            substitute_in(s, item->value, false);
        }
    }
}

void il_substitute(il_arena *arena, il_node *root, il_substitute_mode mode,
                   il_problems *problems)
{
    substitution s = {.arena = arena, .problems = problems, .mode = mode};
    il_node *vars = il_node_get(root, "vars");
    static const il_node none = {.kind = IL_NODE_MAP};

    if (root->kind != IL_NODE_MAP) {
        return;
    }
    if (vars != NULL && vars->kind == IL_NODE_MAP) {
        substitute_in(&s, vars, false);
    }
    s.vars = vars != NULL && vars->kind == IL_NODE_MAP ? vars : &none;
    substitute_in(&s, root, true);
}
