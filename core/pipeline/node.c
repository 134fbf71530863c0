/* Building, finding and copying nodes; node_write.c turns them back into text. */
#include "pipeline/node.h"

#include <stdio.h>
#include <string.h>

static il_node *node_new(il_arena *arena, il_node_kind kind, il_place place)
{
    il_node *node = il_arena_calloc(arena, 1, sizeof *node);

    if (node == NULL) {
        return NULL;
    }
    node->kind = kind;
    node->place = place;
    return node;
}

il_node *il_node_scalar(il_arena *arena, const char *text, bool quoted, il_place place)
{
    il_node *node = node_new(arena, IL_NODE_SCALAR, place);

    if (node == NULL) {
        return NULL;
    }
    node->quoted = quoted;
    node->text = il_arena_strdup(arena, text);
    return node->text != NULL ? node : NULL;
}

il_node *il_node_map(il_arena *arena, il_place place)
{
    return node_new(arena, IL_NODE_MAP, place);
}

il_node *il_node_list(il_arena *arena, il_place place)
{
    return node_new(arena, IL_NODE_LIST, place);
}

bool il_node_add(il_arena *arena, il_node *node, const char *key, il_place key_place,
                 il_node *value)
{
    const char *kept = NULL;

    if (value == NULL) {
        return false;
    }
    if (node->count == node->room) {
        size_t room = node->room > 0 ? 2 * node->room : 4;
        il_node_item *items = il_arena_calloc(arena, room, sizeof *items);

        if (items == NULL) {
            return false;
        }
        if (node->count > 0) {
            memcpy(items, node->items, node->count * sizeof *items);
        }
        node->items = items;
        node->room = room;
    }
    if (key != NULL && (kept = il_arena_strdup(arena, key)) == NULL) {
        return false;
    }
    node->items[node->count].key = kept;
    node->items[node->count].place = key_place;
    node->items[node->count].value = value;
    node->count++;
    return true;
}

bool il_node_put(il_arena *arena, il_node *map, const char *key, il_place key_place,
                 il_node *value)
{
    il_node_item *item = il_node_item_of(map, key);

    if (value == NULL) {
        return false;
    }
    if (item == NULL) {
        return il_node_add(arena, map, key, key_place, value);
    }
    value->under = item->value;
    item->place = key_place;
    item->value = value;
    return true;
}

bool il_node_drop(il_node *map, const char *key)
{
    il_node_item *item = il_node_item_of(map, key);

    if (item == NULL) {
        return false;
    }
    memmove(item, item + 1,
            (size_t)(map->items + map->count - (item + 1)) * sizeof *item);
    map->count--;
    return true;
}

il_node_item *il_node_item_of(const il_node *map, const char *key)
{
    if (map == NULL || map->kind != IL_NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].key, key) == 0) {
            return &map->items[i];
        }
    }
    return NULL;
}

il_node *il_node_get(const il_node *map, const char *key)
{
    il_node_item *item = il_node_item_of(map, key);

    return item != NULL ? item->value : NULL;
}

/* The value under the first `size` bytes of `key`. */
static il_node *get_prefix(const il_node *map, const char *key, size_t size)
{
    if (map->kind != IL_NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        const char *have = map->items[i].key;

        if (strncmp(have, key, size) == 0 && have[size] == '\0') {
            return map->items[i].value;
        }
    }
    return NULL;
}

il_node *il_node_find(const il_node *root, const char *path)
{
    const il_node *node = root;

    while (node != NULL) {
        il_node *whole = il_node_get(node, path);
        const char *dot = strchr(path, '.');

        if (whole != NULL || dot == NULL) {
            return whole;
        }
        node = get_prefix(node, path, (size_t)(dot - path));
        path = dot + 1;
    }
    return NULL;
}

il_node *il_node_copy(il_arena *arena, const il_node *node)
{
    il_node *copy = il_arena_calloc(arena, 1, sizeof *copy);

    if (copy == NULL) {
        return NULL;
    }
    /* Texts and keys are never written to, so a copy in the same arena's lifetime
     * shares them. */
    *copy = *node;
    copy->items = NULL;
    copy->room = node->count;
    if (node->count == 0) {
        return copy;
    }
    copy->items = il_arena_calloc(arena, node->count, sizeof *copy->items);
    if (copy->items == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < node->count; i++) {
        copy->items[i] = node->items[i];
        copy->items[i].value = il_node_copy(arena, node->items[i].value);
        if (copy->items[i].value == NULL) {
            return NULL;
        }
    }
    return copy;
}

size_t il_node_size(const il_node *node)
{
    size_t size = 1;

    for (size_t i = 0; i < node->count; i++) {
        size += il_node_size(node->items[i].value);
    }
    return size;
}

bool il_node_equal(const il_node *a, const il_node *b)
{
    if (a->kind != b->kind || a->count != b->count) {
        return false;
    }
    if (a->kind == IL_NODE_SCALAR) {
        return strcmp(a->text, b->text) == 0;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == IL_NODE_MAP && strcmp(a->items[i].key, b->items[i].key) != 0) {
            return false;
        }
        if (!il_node_equal(a->items[i].value, b->items[i].value)) {
            return false;
        }
    }
    return true;
}

const char *il_node_describe(const il_node *node, char *buffer, size_t size)
{
    switch (node->kind) {
    case IL_NODE_MAP:
        return "a map";
    case IL_NODE_LIST:
        return "a list";
    case IL_NODE_SCALAR:
        break;
    }
    if (!node->quoted && node->text[0] == '\0') {
        return "nothing";
    }
    (void)snprintf(buffer, size, node->quoted ? "the string \"%.40s%s\"" : "'%.40s%s'",
                   node->text, strlen(node->text) > 40 ? "..." : "");
    return buffer;
}
