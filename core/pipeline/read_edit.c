/* Edits, of a signal and of an audit. */
#include <stdlib.h>
#include <string.h>
#include "pipeline/read.h"

static int by_number(const void *a, const void *b)
{
    const int32_t *x = a;
    const int32_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void read_features(il__reader *r, il_edit_spec *e, const il_node *list)
{
    int32_t *all;

    if (list == NULL || list->kind != IL_NODE_LIST) {
        return;
    }
    all = il__read_alloc(r, list->count, sizeof *all);
    for (size_t i = 0; all != NULL && i < list->count; i++) {
        const il_node *item = list->items[i].value;

        if (item->kind == IL_NODE_SCALAR) {
            all[e->feature_count++] = (int32_t)strtol(item->text, NULL, 10);
        }
    }
    if (all == NULL) {
        return;
    }
    qsort(all, e->feature_count, sizeof *all, by_number);
    for (size_t i = 1; i < e->feature_count; i++) {
        if (all[i] == all[i - 1]) {
            il_problem_add(r->problems, list->place, "feature %d a second time",
                           (int)all[i]);
        }
    }
    e->features = all;
}

il_edit_spec il__read_edit(il__reader *r, const il_node *node)
{
    static const struct {
        const char *key;
        il_edit_kind kind;
    } kinds[] = {{"ablate", IL_EDIT_ABLATE},
                 {"clamp", IL_EDIT_CLAMP},
                 {"steer", IL_EDIT_STEER},
                 {"splice", IL_EDIT_SPLICE}};
    static const char *const units[] = {"direction", "classes", NULL};
    static const char *const errors[] = {"dropped", "kept", NULL};
    static const char *const ends[] = {"zero", "middle", NULL};
    il_edit_spec e = {0};

    if (node == NULL) {
        return e;
    }
    e.place = node->place;
    if (node->kind == IL_NODE_SCALAR) {
        e.given = true;
        e.kind = strcmp(node->text, "splice") == 0 ? IL_EDIT_SPLICE : IL_EDIT_ABLATE;
        return e;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !e.given; i++) {
        const char *key = kinds[i].key;

        if (il_node_get(node, key) == NULL) {
            continue;
        }
        e.given = true;
        e.kind = kinds[i].kind;
        if (e.kind == IL_EDIT_CLAMP || e.kind == IL_EDIT_STEER) {
            e.value = il__read_real(node, key, 0);
        } else if (!il__read_flag(node, key, true)) {
            il_problem_add(r->problems, il__read_place(node, key),
                           "an edit that is not to be made is left out: expected `%s: "
                           "true`",
                           key);
        }
    }
    e.classes = il__read_choice(node, "unit", units, 0) == 1;
    e.to_middle = il__read_choice(node, "to", ends, 0) == 1;
    e.keep_error = il__read_choice(node, "error", errors, 0) == 1;
    read_features(r, &e, il_node_get(node, "features"));
    return e;
}

void il__read_audit_edits(il__reader *r, il_audit_spec *a, const il_node *map)
{
    if (map == NULL || map->kind != IL_NODE_MAP) {
        return;
    }
    a->edits = il__read_alloc(r, map->count, sizeof *a->edits);
    for (size_t i = 0; a->edits != NULL && i < map->count; i++) {
        const il_node *node = map->items[i].value;
        il_audit_edit_spec *e = &a->edits[a->edit_count];

        if (node->kind != IL_NODE_MAP) {
            continue;
        }
        a->edit_count++;
        e->name = map->items[i].key;
        e->place = node->place;
        e->detector = il__read_text(node, "detector", "");
        e->tokens = il__read_text(node, "tokens", NULL);
        e->weight = il__read_real(node, "weight", 1);
        e->edit = il__read_edit(r, node);
        (void)il__read_detector_named(r, e->detector, il__read_place(node, "detector"));
    }
}
