/* Entries of a chat template's lists by their order: sorted, told apart, the first. */
#include "formats/chat_run.h"

/* What entries are told apart and put in order by: an attribute, without case. */
static il_chat_value sort_key(il_chat_run *r, const il_chat_value *v,
                              const il_chat_value *path, bool exact)
{
    il_chat_value key = path != NULL && path->is != IL_CHAT_IS_NONE
                            ? il__chat_attribute(r, v, path)
                            : *v;

    return key.is == IL_CHAT_IS_TEXT && !exact ? il__chat_cased(r, &key, IL_CHAT_LOWER)
                                               : key;
}

/* Entries in the order of their keys, those alike in their own; in place. */
static void order(il_chat_run *r, il_chat_value *items, il_chat_value *keys,
                  size_t count, bool reverse)
{
    for (size_t i = 1; i < count && il__chat_work(r, 0); i++) {
        il_chat_value item = items[i];
        il_chat_value key = keys[i];
        size_t k = i;

        for (; k > 0 && il__chat_work(r, 0); k--) {
            int which = il__chat_compare(r, &keys[k - 1], &key);

            if (reverse ? which >= 0 : which <= 0) {
                break;
            }
            items[k] = items[k - 1];
            keys[k] = keys[k - 1];
        }
        items[k] = item;
        keys[k] = key;
    }
}

il_chat_value il__chat_sorted(il_chat_run *r, const il_chat_value *list,
                              const il_chat_value *path, bool exact, bool reverse)
{
    il_chat_value *items;
    il_chat_value *keys;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_LIST, list->size, &items);
    il_chat_value by = il__chat_many(r, IL_CHAT_IS_LIST, list->size, &keys);

    (void)by;
    for (size_t i = 0; r->status == IL_OK && i < list->size; i++) {
        items[i] = list->items[i];
        keys[i] = sort_key(r, &items[i], path, exact);
    }
    if (r->status == IL_OK) {
        order(r, items, keys, list->size, reverse);
    }
    return out;
}

il_chat_value il__chat_unique(il_chat_run *r, const il_chat_value *v,
                              const il_chat_value *path, bool exact)
{
    il_chat_value list = il__chat_list(r, v);
    il_chat_value *items;
    il_chat_value *keys;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_ONCE, list.size, &items);
    il_chat_value seen = il__chat_many(r, IL_CHAT_IS_LIST, list.size, &keys);
    size_t n = 0;

    for (size_t i = 0; r->status == IL_OK && i < list.size; i++) {
        il_chat_value key = sort_key(r, &list.items[i], path, exact);

        seen.size = n;
        if (!il__chat_in(r, &key, &seen)) {
            items[n] = list.items[i];
            keys[n++] = key;
        }
    }
    out.size = n;
    return out;
}

il_chat_value il__chat_extreme(il_chat_run *r, const il_chat_value *v,
                               const il_chat_value *path, bool exact, int sign)
{
    il_chat_value list = il__chat_list(r, v);
    il_chat_value best = il__chat_undefined;
    il_chat_value best_key = il__chat_undefined;

    for (size_t i = 0; r->status == IL_OK && i < list.size; i++) {
        il_chat_value key = sort_key(r, &list.items[i], path, exact);

        if (i == 0 || il__chat_compare(r, &key, &best_key) * sign > 0) {
            best = list.items[i];
            best_key = key;
        }
    }
    return best;
}
