#include "detect/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void tally_add(il_metrics *m, const char *name, double sum, double weight)
{
    il_tally *t = (il_tally *)m; /* metrics stands first */
    il_tally_item *item = NULL;

    if (strlen(name) >= sizeof item->name || !isfinite(sum) || !isfinite(weight)) {
        t->failed = IL_ERR_NUMERIC;
        return;
    }
    for (size_t i = 0; i < t->count && item == NULL; i++) {
        item = strcmp(t->items[i].name, name) == 0 ? &t->items[i] : NULL;
    }
    if (item == NULL && t->count == t->room) {
        size_t room = t->room > 0 ? 2 * t->room : 16;
        il_tally_item *items = realloc(t->items, room * sizeof *items);

        if (items == NULL) {
            t->failed = IL_ERR_MEMORY;
            return;
        }
        t->items = items;
        t->room = room;
    }
    if (item == NULL) {
        item = &t->items[t->count++];
        memset(item, 0, sizeof *item);
        strcpy(item->name, name);
    }
    item->sum += sum;
    item->weight += weight;
}

static const il_metrics_api tally_api = {sizeof(il_metrics_api), tally_add};

void il_tally_open(il_tally *t)
{
    memset(t, 0, sizeof *t);
    t->metrics.api = &tally_api;
}

void il_tally_close(il_tally *t)
{
    free(t->items);
    il_tally_open(t);
}

void il_tally_merge(il_tally *t, const il_tally *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const il_tally_item *item = &from->items[i];

        tally_add(&t->metrics, item->name, item->sum, item->weight);
    }
    if (from->failed != IL_OK) {
        t->failed = from->failed;
    }
}

double il_tally_value(const il_tally *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].name, name) == 0 && t->items[i].weight != 0) {
            return t->items[i].sum / t->items[i].weight;
        }
    }
    return NAN;
}
