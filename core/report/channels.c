#include "report/channels.h"

#include <string.h>

const char *const il__channel_names[IL__CHANNELS] = {
    "direct", "credit", "relay", "state", "data", "input", "reader", "selection"};

int il__channel_open(const json_t *pair, const char *channel)
{
    const json_t *cell = json_object_get(json_object_get(pair, "channels"), channel);
    const json_t *open = json_object_get(cell, "open");

    if (!json_is_boolean(open) || json_is_false(json_object_get(cell, "applicable"))) {
        return -1;
    }
    return json_is_true(open);
}

static bool same(const json_t *pair, const char *key, const char *name)
{
    const char *text = json_string_value(json_object_get(pair, key));

    return text != NULL && name != NULL && strcmp(text, name) == 0;
}

static bool reads_itself(const json_t *pair)
{
    return same(pair, "reader", json_string_value(json_object_get(pair, "source")));
}

static int state_of(const json_t *pair, const char *channel)
{
    int open = il__channel_open(pair, channel);

    return open < 0                                ? IL__CHANNEL_NONE
           : open == 0                             ? IL__CHANNEL_CLOSED
           : same(pair, "reader", "fresh readers") ? IL__CHANNEL_FRESH
                                                   : IL__CHANNEL_OPEN;
}

il__channels_worst il__channels_worst_of(const json_t *plan)
{
    const json_t *pairs = json_object_get(plan, "pairs");
    il__channels_worst worst = {.first = -1};

    for (int c = 0; c < IL__CHANNELS; c++) {
        worst.state[c] = IL__CHANNEL_NONE;
        for (size_t p = 0; p < json_array_size(pairs); p++) {
            const json_t *pair = json_array_get(pairs, p);
            int state = state_of(pair, il__channel_names[c]);
            bool worse = state > worst.state[c] ||
                         (state == worst.state[c] && reads_itself(pair));

            if (worse && state >= IL__CHANNEL_FRESH) {
                worst.pair[c] = pair;
            }
            worst.state[c] = state > worst.state[c] ? state : worst.state[c];
        }
        if (worst.state[c] == IL__CHANNEL_OPEN && worst.first < 0) {
            worst.first = c;
        }
    }
    return worst;
}

int il__certified(const il__results *r, const il__result_arm *arm, const json_t **which)
{
    int held = -1;

    *which = NULL;

    for (size_t i = 0; i < json_array_size(r->certificates); i++) {
        const json_t *c = json_array_get(r->certificates, i);
        const char *stage = json_string_value(json_object_get(c, "stage"));
        const char *variant = il__plan_variant(c);

        if (strcmp(stage, arm->stage) != 0 ||
            (variant == NULL || arm->variant == NULL
                 ? variant != arm->variant
                 : strcmp(variant, arm->variant) != 0)) {
            continue;
        }
        if (!json_is_true(json_object_get(c, "held"))) {
            *which = c;
            return 0;
        }
        *which = *which == NULL ? c : *which;
        held = 1;
    }
    return held;
}
