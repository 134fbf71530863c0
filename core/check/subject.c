/* Instances for trials: the world that a component is made in, and its values. */
#include "check/check_private.h"

#include <string.h>

/* What the rows or episodes around a model say, small enough for quick trials. */
enum { VOCABULARY = 11, OBSERVATION = 6, CLASSES = 4, ACTIONS = 3 };

static void publish(il_facts *f, const char *name, int64_t value)
{
    (void)snprintf(f->items[f->count].name, sizeof f->items[0].name, "%s", name);
    f->items[f->count++].value = value;
}

static void publish_world(il_facts *f, il__world world)
{
    memset(f, 0, sizeof *f);
    if (world != IL__WORLD_STEPS) {
        publish(f, "vocabulary", VOCABULARY);
        publish(f, "context", IL__CHECK_LENGTH);
    }
    if (world != IL__WORLD_TEXT) {
        publish(f, "observation", OBSERVATION);
        publish(f, "observation_classes", CLASSES);
        publish(f, "actions", ACTIONS);
    }
}

/* Puts "name=value" under its name when the component has the parameter. */
static void put_value(const il_component *c, il_arena *arena, il_node *map,
                      const char *given)
{
    static const il_place place = {"--set", 1, 1};
    const char *equal = strchr(given, '=');

    for (size_t i = 0; equal != NULL && i < c->param_count; i++) {
        const char *name = c->params[i].name;

        if (strlen(name) == (size_t)(equal - given) &&
            memcmp(name, given, strlen(name)) == 0) {
            (void)il_node_put(arena, map, name, place,
                              il_node_scalar(arena, equal + 1,
                                             c->params[i].type == IL_PARAM_TYPE_TEXT,
                                             place));
        }
    }
}

/* The values given on the command line, then the trial's own over them. */
static il_node *values_of(const il__trial *t, il_arena *arena)
{
    static const il_place place = {"--set", 1, 1};
    il_node *map = il_node_map(arena, place);

    for (size_t i = 0; map != NULL && i < t->o->given_count; i++) {
        put_value(t->component, arena, map, t->o->given[i]);
    }
    if (map != NULL && t->argument != NULL) {
        put_value(t->component, arena, map, t->argument);
    }
    return map;
}

/* A required parameter that nobody gave, or NULL. */
static const char *missing(const il_component *c, const il_node *values)
{
    for (size_t i = 0; i < c->param_count; i++) {
        if (c->params[i].flags & IL_PARAM_REQUIRED &&
            il_node_get(values, c->params[i].name) == NULL) {
            return c->params[i].name;
        }
    }
    return NULL;
}

/* What stands in for the file in a registry. */
static void make_offer(il__trial *t)
{
    (void)snprintf(t->id, sizeof t->id, "%s.%s", t->entry->space, t->component->name);
    t->file.path = t->o->path;
    memcpy(t->file.sha256, t->image.sha256, sizeof t->file.sha256);
    t->file.entry = t->entry;
    t->file.space = t->entry->space;
    t->file.version = t->entry->version;
    t->file.manifest = t->image.manifest.text;
    t->offer = (il_offer){.component = t->component, .file = &t->file, .id = t->id};
}

/* One try, in one world or with so many sites, patterns of so many heads or none. */
static il_status make_in(il__trial *t, const il__making *how, const il_node *values,
                         il_arena *arena, il__world world, int32_t sites, int64_t heads,
                         il_instance **out, il_error *err)
{
    const int64_t each[IL__SITES_MAX] = {heads, heads, heads};
    static const int64_t widths[IL__SITES_MAX] = {IL__SITE_WIDTH, IL__SITE_WIDTH,
                                                  IL__SITE_WIDTH};
    il_component_spec spec = {.use = t->id, .range = "", .params = values};
    il_instance_input in = {.label = il_kind_name(t->component->kind),
                            .seed = how->seed,
                            .facts = &t->facts,
                            .site_widths = widths,
                            .site_heads = each,
                            .site_count = sites,
                            .bare = how->bare,
                            .fault = how->fault};
    il_problems problems = {.arena = arena};
    il_error why = {0};
    il_status status;

    if (t->component->kind == IL_KIND_MODEL) {
        publish_world(&t->facts, world);
    } else {
        memset(&t->facts, 0, sizeof t->facts);
    }
    status = il_instance_make(out, &t->offer, &spec, &in, &problems, &why);
    if (status != IL_OK && il_problems_any(&problems)) {
        return il_problems_status(&problems, err);
    }
    if (status != IL_OK) {
        return il_error_set(err, status, why.where, "%s", why.message);
    }
    t->world = world;
    t->sites = sites;
    t->heads = heads;
    return IL_OK;
}

il_status il__subject(il__trial *t, const il__making *how, il_instance **out,
                      il_error *err)
{
    il_arena *arena = il_arena_create(1 << 13);
    il_node *values = arena != NULL ? values_of(t, arena) : NULL;
    il_status status = IL_OK;
    const char *wants;
    bool counted = how->fault != NULL;

    *out = NULL;
    if (values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    if (t->offer.component == NULL) {
        make_offer(t);
    }
    wants = missing(t->component, values);
    if (wants != NULL) {
        return il__skip(t, "it needs the parameter '%s': give one by --set %s=VALUE",
                        wants, wants);
    }
    /* With a fault, the world is the one that was found without. */
    if (counted || t->component->kind == IL_KIND_DATASET ||
        t->component->kind == IL_KIND_ENVIRONMENT) {
        status = make_in(t, how, values, arena, t->world, t->sites, t->heads, out, err);
    } else {
        il_error first = {0};
        bool model = t->component->kind == IL_KIND_MODEL;
        /* Detectors: of activations, then of attention patterns. */
        int tries = model ? IL__WORLDS : 2 * IL__SITES_MAX;

        for (int k = 0; k < tries && *out == NULL; k++) {
            status =
                make_in(t, how, values, arena, (il__world)(model ? k : 0),
                        k % IL__SITES_MAX + 1,
                        !model && k >= IL__SITES_MAX ? IL__SITE_HEADS : 0, out, &first);
        }
        if (*out == NULL) {
            status = il_error_set(err, first.code, first.where, "%s", first.message);
        }
    }
    il_arena_destroy(arena);
    return status;
}

il_status il__subject_plain(il__trial *t, il_instance **out, il_error *err)
{
    const il__making how = {.seed = t->o->seed};

    return il__subject(t, &how, out, err);
}
