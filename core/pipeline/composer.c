/* A recursive descent over libyaml's events; depth is bounded, so the C stack is,
 * too. */
#include "pipeline/composer.h"

#include <stdlib.h>
#include <yaml.h>
#include "base/files.h"

typedef struct composer {
    il_arena *arena;
    il_problems *problems;
    const char *file;
    yaml_parser_t parser;
    int depth;
    size_t nodes;
    bool stopped; /* a problem after which nothing more is worth reading */
} composer;

static il_place place_of(const composer *c, yaml_mark_t mark)
{
    il_place place = {c->file, (int)mark.line + 1, (int)mark.column + 1};

    return place;
}

/* The length of the UTF-8 sequence at p, or 0 when it is none that YAML lets stand
 * raw. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80   ? 1
                  : p[0] < 0xc2 ? 0
                  : p[0] < 0xe0 ? 2
                  : p[0] < 0xf0 ? 3
                                : 4;
    unsigned code;

    if (size == 0 || size > left || p[0] > 0xf4) {
        return 0;
    }
    if (size == 1) {
        return p[0] == '\t' || p[0] == '\n' || p[0] == '\r' ||
                       (p[0] >= 0x20 && p[0] != 0x7f)
                   ? 1
                   : 0;
    }
    code = p[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ||
        (code >= 0x80 && code <= 0x9f) || code == 0xfffe || code == 0xffff) {
        return 0;
    }
    return size;
}

/* libyaml reports bad bytes without a line, so they are looked for before it sees
 * them. */
static bool check_bytes(composer *c, const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    il_place place = {c->file, 1, 1};

    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(p + i, size - i);

        if (length == 0) {
            il_problem_add(c->problems, place,
                           p[i] < 0x80 ? "byte 0x%02x, a control character, may not "
                                         "stand in a pipeline; is this a text file?"
                                       : "byte 0x%02x is not UTF-8",
                           p[i]);
            return false;
        }
        if (p[i] == '\n') {
            place.line++;
            place.column = 1;
        } else {
            place.column++;
        }
        i += length;
    }
    return true;
}

bool il_compose_takes(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t size = strlen(text);

    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(p + i, size - i);

        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

static void stop_at_syntax(composer *c)
{
    const yaml_parser_t *p = &c->parser;
    il_place place = place_of(c, p->problem_mark);
    const char *what = p->problem != NULL ? p->problem : "the text cannot be read";

    c->stopped = true;
    if (p->error == YAML_MEMORY_ERROR) {
        c->problems->no_memory = true;
    } else if (strstr(what, "cannot start any token") != NULL &&
               p->buffer.pointer != NULL && *p->buffer.pointer == '\t') {
        il_problem_add(c->problems, place, "a tab may not indent; write spaces");
    } else if (p->context != NULL &&
               p->context_mark.line + 1 != p->problem_mark.line + 1) {
        il_problem_add(c->problems, place, "%s, %s that began in line %zu", what,
                       p->context, p->context_mark.line + 1);
    } else if (p->context != NULL) {
        il_problem_add(c->problems, place, "%s, %s", what, p->context);
    } else {
        il_problem_add(c->problems, place, "%s", what);
    }
}

/* The next event; false once stopped. The caller deletes it. */
static bool next(composer *c, yaml_event_t *event)
{
    if (c->stopped) {
        return false;
    }
    if (!yaml_parser_parse(&c->parser, event)) {
        stop_at_syntax(c);
        return false;
    }
    return true;
}

static il_node *no_memory(composer *c)
{
    c->problems->no_memory = true;
    c->stopped = true;
    return NULL;
}

static void refuse_extras(composer *c, il_place place, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor != NULL) {
        il_problem_add(c->problems, place,
                       "an anchor, '&%.40s': anchors and aliases are not taken; give "
                       "the value a name under `vars` and write ${var:NAME}",
                       (const char *)anchor);
    }
    if (tag != NULL) {
        il_problem_add(c->problems, place,
                       "a tag, '%.40s': types come from the schema, so leave it out",
                       (const char *)tag);
    }
}

/* Counts a node in; false when that is one too many. */
static bool count_node(composer *c, il_place place)
{
    if (++c->nodes > IL_COMPOSE_NODES) {
        il_problem_add(c->problems, place, "more than %d values in one file",
                       IL_COMPOSE_NODES);
        c->stopped = true;
        return false;
    }
    return true;
}

static il_node *compose_scalar(composer *c, const yaml_event_t *event)
{
    il_place place = place_of(c, event->start_mark);
    const char *text = (const char *)event->data.scalar.value;
    il_node *node;

    refuse_extras(c, place, event->data.scalar.anchor, event->data.scalar.tag);
    if (strlen(text) != event->data.scalar.length) {
        il_problem_add(c->problems, place, "a string with a NUL inside");
    }
    node = il_node_scalar(c->arena, text,
                          event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, place);
    return node != NULL ? node : no_memory(c);
}

static il_node *compose_node(composer *c, const yaml_event_t *event);

static bool enter(composer *c, il_place place)
{
    if (++c->depth > IL_COMPOSE_DEPTH) {
        il_problem_add(c->problems, place, "more than %d maps and lists in each other",
                       IL_COMPOSE_DEPTH);
        c->stopped = true;
        return false;
    }
    return true;
}

static il_node *compose_list(composer *c, il_place place)
{
    il_node *list = il_node_list(c->arena, place);
    yaml_event_t event;

    if (list == NULL) {
        return no_memory(c);
    }
    if (!enter(c, place)) {
        return list;
    }
    while (next(c, &event)) {
        il_node *item;

        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        item = compose_node(c, &event);
        yaml_event_delete(&event);
        if (item != NULL && !il_node_add(c->arena, list, NULL, item->place, item)) {
            return no_memory(c);
        }
    }
    c->depth--;
    return list;
}

static int by_key_then_place(const void *a, const void *b)
{
    const il_node_item *const *x = a;
    const il_node_item *const *y = b;
    int order = strcmp((*x)->key, (*y)->key);

    if (order != 0) {
        return order;
    }
    return *x < *y ? -1 : *x > *y;
}

/* Sorting finds duplicates in a map of ten thousand keys without comparing all
 * pairs. */
static void refuse_duplicates(composer *c, il_node *map)
{
    const il_node_item **order;
    size_t kept = 0;

    if (map->count < 2) {
        return;
    }
    order = malloc(map->count * sizeof(const il_node_item *));
    if (order == NULL) {
        (void)no_memory(c);
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        order[i] = &map->items[i];
    }
    qsort(order, map->count, sizeof(const il_node_item *), by_key_then_place);
    for (size_t i = 1; i < map->count; i++) {
        if (strcmp(order[i]->key, order[kept]->key) != 0) {
            kept = i;
            continue;
        }
        il_problem_add(c->problems, order[i]->place,
                       "the key '%.60s' a second time; it stands in line %d already",
                       order[i]->key, order[kept]->place.line);
    }
    free(order);
}

/* The key of an entry, or NULL with a problem; a key that is no scalar is read over. */
static il_node *compose_key(composer *c, const yaml_event_t *event)
{
    il_place place = place_of(c, event->start_mark);
    il_node *key = compose_node(c, event);

    if (key == NULL) {
        return NULL;
    }
    if (key->kind != IL_NODE_SCALAR) {
        il_problem_add(c->problems, place, "%s as a key; a key is a word",
                       key->kind == IL_NODE_MAP ? "a map" : "a list");
        return NULL;
    }
    if (event->type == YAML_ALIAS_EVENT) {
        return NULL; /* reported where it was composed */
    }
    if (key->text[0] == '\0') {
        il_problem_add(c->problems, place, "an empty key");
        return NULL;
    }
    if (!key->quoted && strcmp(key->text, "<<") == 0) {
        il_problem_add(c->problems, place,
                       "a merge key, '<<': it is not taken; put what is shared into a "
                       "file of its own and name it under `extends`");
        return NULL;
    }
    return key;
}

static il_node *compose_map(composer *c, il_place place)
{
    il_node *map = il_node_map(c->arena, place);
    yaml_event_t event;

    if (map == NULL) {
        return no_memory(c);
    }
    if (!enter(c, place)) {
        return map;
    }
    while (next(c, &event)) {
        il_node *key;
        il_node *value;

        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        key = compose_key(c, &event);
        yaml_event_delete(&event);
        if (!next(c, &event)) {
            break;
        }
        value = compose_node(c, &event);
        yaml_event_delete(&event);
        if (key != NULL && value != NULL &&
            !il_node_add(c->arena, map, key->text, key->place, value)) {
            return no_memory(c);
        }
    }
    c->depth--;
    refuse_duplicates(c, map);
    return map;
}

static il_node *compose_node(composer *c, const yaml_event_t *event)
{
    il_place place = place_of(c, event->start_mark);

    if (!count_node(c, place)) {
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return compose_scalar(c, event);
    case YAML_SEQUENCE_START_EVENT:
        refuse_extras(c, place, event->data.sequence_start.anchor,
                      event->data.sequence_start.tag);
        return compose_list(c, place);
    case YAML_MAPPING_START_EVENT:
        refuse_extras(c, place, event->data.mapping_start.anchor,
                      event->data.mapping_start.tag);
        return compose_map(c, place);
    case YAML_ALIAS_EVENT: {
        il_node *node;

        il_problem_add(
            c->problems, place,
            "an alias, '*%.40s': anchors and aliases are not taken; give the "
            "value a name under `vars` and write ${var:NAME}",
            (const char *)event->data.alias.anchor);
        node = il_node_scalar(c->arena, "", false, place);
        return node != NULL ? node : no_memory(c);
    }
    default:
        return NULL; /* no other event begins a node */
    }
}

/* From the start of the stream to its end; the first document's root. */
static il_node *compose_stream(composer *c)
{
    il_node *root = NULL;
    yaml_event_t event;
    bool ended = false;
    int documents = 0;

    while (!ended && next(c, &event)) {
        il_place place = place_of(c, event.start_mark);

        if (event.type == YAML_DOCUMENT_START_EVENT) {
            if (event.data.document_start.tag_directives.start !=
                event.data.document_start.tag_directives.end) {
                il_problem_add(c->problems, place,
                               "a %%TAG directive: types come from the schema");
            }
            if (++documents == 2) {
                il_problem_add(c->problems, place,
                               "a second document; a pipeline is one");
                c->stopped = true;
            }
        } else if (event.type == YAML_STREAM_END_EVENT) {
            ended = true;
        } else if (event.type != YAML_STREAM_START_EVENT &&
                   event.type != YAML_DOCUMENT_END_EVENT) {
            root = compose_node(c, &event);
        }
        yaml_event_delete(&event);
    }
    if (ended && (root == NULL || (root->kind == IL_NODE_SCALAR && !root->quoted &&
                                   root->text[0] == '\0'))) {
        il_place place = {c->file, 1, 1};

        il_problem_add(c->problems, place, "the file holds no document");
        return NULL;
    }
    return root;
}

il_node *il_compose(il_arena *arena, const char *file, const char *text, size_t size,
                    il_problems *problems)
{
    composer c = {.arena = arena, .problems = problems};
    il_node *root;

    c.file = il_arena_strdup(arena, file);
    if (c.file == NULL) {
        return no_memory(&c);
    }
    if (size > IL_COMPOSE_BYTES) {
        il_place place = {c.file, 0, 0};

        il_problem_add(problems, place, "%zu bytes; a pipeline holds at most %d", size,
                       IL_COMPOSE_BYTES);
        return NULL;
    }
    if (!check_bytes(&c, text, size)) {
        return NULL;
    }
    if (!yaml_parser_initialize(&c.parser)) {
        return no_memory(&c);
    }
    yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&c.parser, (const unsigned char *)text, size);
    root = compose_stream(&c);
    yaml_parser_delete(&c.parser);
    return root;
}

il_node *il_compose_file(il_arena *arena, const char *path, il_problems *problems)
{
    il_place place = {NULL, 0, 0};
    il_error err = {0};
    char *data = NULL;
    size_t size = 0;
    il_node *root;

    if (il_file_read(path, IL_COMPOSE_BYTES, &data, &size, &err) != IL_OK) {
        place.file = il_arena_strdup(arena, path);
        if (err.code == IL_ERR_MEMORY || place.file == NULL) {
            problems->no_memory = true;
            return NULL;
        }
        il_problem_add(problems, place, "%s", err.message);
        return NULL;
    }
    root = il_compose(arena, path, data, size, problems);
    free(data);
    return root;
}
