/* The getters, and the small parts that several places of the grammar hold. */
#include "pipeline/read.h"

#include <string.h>

void *il__read_alloc(il__reader *r, size_t count, size_t size)
{
    void *memory = il_arena_calloc(r->arena, count > 0 ? count : 1, size);

    if (memory == NULL) {
        r->problems->no_memory = true;
    }
    return memory;
}

static const il_node *scalar(const il_node *map, const char *key)
{
    const il_node *node = il_node_get(map, key);

    return node != NULL && node->kind == IL_NODE_SCALAR ? node : NULL;
}

const char *il__read_text(const il_node *map, const char *key, const char *initial)
{
    const il_node *node = scalar(map, key);

    return node != NULL && node->text[0] != '\0' ? node->text : initial;
}

int64_t il__read_int(const il_node *map, const char *key, int64_t initial)
{
    const il_node *node = scalar(map, key);
    int64_t value;

    return node != NULL && il_parse_int(node->text, &value) ? value : initial;
}

double il__read_real(const il_node *map, const char *key, double initial)
{
    const il_node *node = scalar(map, key);
    double value;

    return node != NULL && il_parse_real(node->text, &value) ? value : initial;
}

bool il__read_flag(const il_node *map, const char *key, bool initial)
{
    const il_node *node = scalar(map, key);

    return node != NULL ? strcmp(node->text, "true") == 0 : initial;
}

int il__read_choice(const il_node *map, const char *key, const char *const *words,
                    int initial)
{
    const il_node *node = scalar(map, key);

    for (int i = 0; node != NULL && words[i] != NULL; i++) {
        if (strcmp(node->text, words[i]) == 0) {
            return i;
        }
    }
    return initial;
}

il_place il__read_place(const il_node *map, const char *key)
{
    const il_node *node = il_node_get(map, key);

    return node != NULL ? node->place : map->place;
}

il_names_spec il__read_names(il__reader *r, const il_node *list)
{
    il_names_spec names = {0};

    if (list == NULL || list->kind != IL_NODE_LIST) {
        return names;
    }
    names.items = il__read_alloc(r, list->count, sizeof *names.items);
    names.places = il__read_alloc(r, list->count, sizeof *names.places);
    if (names.items == NULL || names.places == NULL) {
        return names;
    }
    for (size_t i = 0; i < list->count; i++) {
        const il_node *item = list->items[i].value;

        if (item->kind != IL_NODE_SCALAR) {
            continue;
        }
        for (size_t j = 0; j < names.count; j++) {
            if (strcmp(names.items[j], item->text) == 0) {
                il_problem_add(r->problems, item->place, "'%.60s' a second time",
                               item->text);
            }
        }
        names.items[names.count] = item->text;
        names.places[names.count] = item->place;
        names.count++;
    }
    return names;
}

il_component_spec il__read_component(il__reader *r, const il_node *node)
{
    il_component_spec c = {.range = ""};
    const char *use;
    const char *at;

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return c;
    }
    c.place = node->place;
    c.use_place = il__read_place(node, "use");
    c.params = il_node_get(node, "params");
    if (c.params != NULL && c.params->kind != IL_NODE_MAP) {
        c.params = NULL;
    }
    use = il__read_text(node, "use", NULL);
    if (use == NULL) {
        return c;
    }
    c.use = use;
    at = strchr(use, '@');
    if (at != NULL) {
        c.use = il_arena_printf(r->arena, "%.*s", (int)(at - use), use);
        c.range = at + 1;
        if (c.use == NULL) {
            r->problems->no_memory = true;
        } else if (c.use[0] == '\0' || c.range[0] == '\0') {
            il_problem_add(r->problems, c.use_place,
                           "expected an id, or id@range, found '%.60s'", use);
        }
    }
    return c;
}

il_rollout_spec il__read_rollout(const il_node *node, const char *name)
{
    il_rollout_spec rollout = {0};

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return rollout;
    }
    rollout.name = name;
    rollout.policy = il__read_text(node, "policy", NULL);
    rollout.episodes = il__read_int(node, "episodes", 0);
    rollout.prompts = il__read_int(node, "prompts", 0);
    rollout.samples = il__read_int(node, "samples", 0);
    rollout.place = node->place;
    return rollout;
}

il_draw_spec il__read_draw(const il_node *map)
{
    il_draw_spec draw = {0};

    draw.split = il__read_text(map, "split", NULL);
    draw.rollouts = il__read_rollout(il_node_get(map, "rollouts"), NULL);
    return draw;
}

/* The keys of a map, for suggestions. */
static size_t keys_of(const il_node *map, const char **keys, size_t room)
{
    size_t count = 0;

    for (; map != NULL && count < map->count && count < room; count++) {
        keys[count] = map->items[count].key;
    }
    return count;
}

void il__read_stage_name(il__reader *r, const il_node *node, const char **stage,
                         const char **variant)
{
    const il_node *variants;
    const char *keys[64];
    const char *slash;
    const char *name;

    *stage = NULL;
    *variant = NULL;
    if (node == NULL || node->kind != IL_NODE_SCALAR || node->text[0] == '\0') {
        return;
    }
    slash = strchr(node->text, '/');
    name = slash == NULL ? node->text
                         : il_arena_printf(r->arena, "%.*s", (int)(slash - node->text),
                                           node->text);
    if (name == NULL) {
        r->problems->no_memory = true;
        return;
    }
    if (il_node_get(r->stages_known, name) == NULL) {
        il_problem_add_nearest(r->problems, node->place, name, keys,
                               keys_of(r->stages_known, keys, 64), "no stage '%.60s'",
                               name);
        return;
    }
    variants = il_node_get(il_node_get(r->stages_known, name), "variants");
    if (slash != NULL && il_node_get(variants, slash + 1) == NULL) {
        il_problem_add_nearest(r->problems, node->place, slash + 1, keys,
                               keys_of(variants, keys, 64),
                               "no variant '%.60s' of stage '%s'", slash + 1, name);
        return;
    }
    *stage = name;
    *variant = slash != NULL ? slash + 1 : NULL;
}

const il_detector_spec *il__read_detector_named(il__reader *r, const char *name,
                                                il_place place)
{
    const il_detector_spec *d = il_pipeline_detector(r->pipeline, name);
    const char *names[64];
    size_t count = 0;

    if (d == NULL) {
        for (; count < r->pipeline->detector_count && count < 64; count++) {
            names[count] = r->pipeline->detectors[count].name;
        }
        il_problem_add_nearest(r->problems, place, name, names, count,
                               "no detector '%.60s'", name);
    }
    return d;
}

il_demand_spec il__read_demand(const il_node *node)
{
    il_demand_spec demand = {.closed = IL_DEMAND_SEALED};

    if (node == NULL) {
        return demand;
    }
    demand.given = true;
    demand.place = node->place;
    if (node->kind == IL_NODE_SCALAR) {
        if (strcmp(node->text, "isolated") == 0) {
            demand.closed = IL_DEMAND_ISOLATED;
        } else if (strcmp(node->text, "open") == 0) {
            demand.closed = IL_DEMAND_OPEN;
        }
        return demand;
    }
    demand.closed = 0;
    for (size_t i = 0; i < node->count && node->kind == IL_NODE_LIST; i++) {
        for (unsigned bit = 1; bit <= IL_DEMAND_SELECTION; bit <<= 1) {
            const il_node *item = node->items[i].value;

            if (item->kind == IL_NODE_SCALAR &&
                strcmp(item->text, il_demand_name(bit)) == 0) {
                demand.closed |= bit;
            }
        }
    }
    return demand;
}
