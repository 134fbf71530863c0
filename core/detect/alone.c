#include "detect/alone.h"

#include <stdlib.h>
#include <string.h>

static const char *text(const il_saved *s, const char *key)
{
    return json_string_value(json_object_get(s->contract, key));
}

static il_status no_memory(const il_saved *s, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, s->path, "out of memory");
}

static il_status read_pool(const il_saved *s, il_detector_spec *out, il_error *err)
{
    out->pool = text(s, "pool");
    out->pooled = out->pool != NULL;
    if (out->pooled && (!il_pool_from_words(out->pool, &out->pooling) ||
                        out->pooling.kind == IL_POOL_NONE)) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "it pools by '%s', which this version does not know",
                            out->pool);
    }
    return IL_OK;
}

static il_status read_context(const il_saved *s, il_detector_spec *out, il_error *err)
{
    const char *word = text(s, "context");

    for (int i = IL_CONTEXT_SELF; word != NULL && i <= IL_CONTEXT_ALL; i++) {
        if (strcmp(word, il_context_name((enum il_context)i)) == 0) {
            out->context = (enum il_context)i;
            return IL_OK;
        }
    }
    return word == NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, s->path,
                              "its context: expected self, past or all, got '%s'",
                              word);
}

il_status il_saved_spec(const il_saved *s, il_arena *arena, il_detector_spec *out,
                        il_error *err)
{
    const json_t *sites = json_object_get(s->contract, "sites");
    size_t n = json_array_size(sites);
    const char *tokens = text(s, "tokens");

    memset(out, 0, sizeof *out);
    out->name = "detector";
    out->from = s->path;
    out->from_place = (il_place){.file = s->path};
    out->component.use = text(s, "component");
    out->component.range = "";
    out->component.place = out->component.use_place = out->from_place;
    out->component.params = il_saved_params(s, arena);
    out->tokens = tokens != NULL ? tokens : "all";
    out->on = text(s, "on");
    if (json_array_size(json_object_get(s->contract, "of")) > 0) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "it reads other detectors, which are not in this file: "
                            "judge it in a pipeline that has them");
    }
    IL_TRY(read_pool(s, out, err));
    IL_TRY(read_context(s, out, err));
    out->sites.items = il_arena_calloc(arena, n + 1, sizeof *out->sites.items);
    out->sites.places = il_arena_calloc(arena, n + 1, sizeof *out->sites.places);
    if (out->sites.items == NULL || out->sites.places == NULL) {
        return no_memory(s, err);
    }
    out->sites.count = n;
    for (size_t i = 0; i < n; i++) {
        out->sites.items[i] = json_string_value(json_array_get(sites, i));
    }
    return IL_OK;
}

il_status il_saved_sites(const il_saved *s, il_arena *arena, il_instance *out,
                         il_error *err)
{
    const json_t *names = json_object_get(s->contract, "sites");
    const json_t *widths = json_object_get(s->contract, "widths");
    size_t n = json_array_size(names);
    il_declared *sites = il_arena_calloc(arena, n + 1, sizeof *sites);

    if (sites == NULL) {
        return no_memory(s, err);
    }
    if (json_array_size(widths) != n) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "its contract does not say how wide its sites are: "
                            "expected %zu widths, got %zu",
                            n, json_array_size(widths));
    }
    for (size_t i = 0; i < n; i++) {
        sites[i].name = json_string_value(json_array_get(names, i));
        sites[i].width = json_integer_value(json_array_get(widths, i));
        if (sites[i].width < 1) {
            return il_error_set(err, IL_ERR_INPUT, s->path,
                                "widths[%zu]: expected at least 1", i);
        }
    }
    *out = (il_instance){.label = "no model", .sites = sites, .site_count = n};
    return IL_OK;
}

static il_status open_file(il_alone *a, const il_registry *registry, const char *path,
                           il_log *log, il_problems *problems, il_error *err)
{
    il_detector_input in = {.registry = registry,
                            .spec = &a->spec,
                            .model = &a->sites,
                            .seed = 1,
                            .log = log};

    IL_TRY(il_saved_open(&a->saved, path, err));
    IL_TRY(il_saved_spec(a->saved, a->arena, &a->spec, err));
    IL_TRY(il_saved_sites(a->saved, a->arena, &a->sites, err));
    IL_TRY(il_detector_create(&a->detector, &in, problems, err));
    a->detector->convention = text(a->saved, "convention");
    a->detector->fields.label = text(a->saved, "label");
    return il_saved_load(a->detector, a->saved, problems, err);
}

static const char *kept(il_arena *arena, const char *words)
{
    return words != NULL ? il_arena_strdup(arena, words) : NULL;
}

/* The words as a spec and as sites, with text of their own. */
static il_status take_words(il_alone *a, const il_alone_words *w, il_error *err)
{
    const char *dot = strrchr(w->use, '.');
    il_detector_spec *s = &a->spec;
    size_t n = w->site_count;
    il_declared *sites = il_arena_calloc(a->arena, n + 1, sizeof *sites);

    s->name = kept(a->arena, w->name != NULL ? w->name
                             : dot != NULL   ? dot + 1
                                             : w->use);
    s->component.use = kept(a->arena, w->use);
    s->component.range = "";
    s->component.place = s->component.use_place = (il_place){.file = s->name};
    s->component.params = w->params != NULL ? il_node_copy(a->arena, w->params) : NULL;
    s->tokens = kept(a->arena, w->tokens != NULL ? w->tokens : "all");
    s->context = w->context;
    s->pool = kept(a->arena, w->pool);
    s->pooled = w->pool != NULL;
    s->fit = (il_fit_spec){.given = true,
                           .label = kept(a->arena, w->label),
                           .method = kept(a->arena, w->method),
                           .steps = w->steps,
                           .batch = w->batch,
                           .lr = w->lr,
                           .l2 = w->l2,
                           .weight_decay = -1,
                           .warmup = -1,
                           .decay = -1};
    if (w->fpr >= 0) {
        s->threshold = (il_threshold_spec){
            .kind = IL_THRESHOLD_RATE, .fpr = w->fpr, .unit = w->unit};
    }
    s->sites.items = il_arena_calloc(a->arena, n + 1, sizeof *s->sites.items);
    s->sites.places = il_arena_calloc(a->arena, n + 1, sizeof *s->sites.places);
    if (sites == NULL || s->sites.items == NULL || s->sites.places == NULL ||
        s->name == NULL || s->component.use == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, w->use, "out of memory");
    }
    s->sites.count = n;
    for (size_t i = 0; i < n; i++) {
        sites[i].name = s->sites.items[i] = kept(a->arena, w->sites[i]);
        sites[i].width = w->widths[i];
    }
    a->sites = (il_instance){.label = "no model", .sites = sites, .site_count = n};
    if (!il_pool_from_words(s->pool, &s->pooling) ||
        (s->pooled && s->pooling.kind == IL_POOL_NONE)) {
        return il_error_set(err, IL_ERR_INPUT, s->name,
                            "expected a pooling, such as max or 'ema_max, decay 0.9', "
                            "got '%s'",
                            s->pool);
    }
    return IL_OK;
}

static il_status make_new(il_alone *a, const il_registry *registry,
                          const il_alone_words *w, il_log *log, il_problems *problems,
                          il_error *err)
{
    il_detector_input in = {.registry = registry,
                            .spec = &a->spec,
                            .model = &a->sites,
                            .seed = w->seed,
                            .log = log};

    IL_TRY(take_words(a, w, err));
    IL_TRY(il_detector_create(&a->detector, &in, problems, err));
    a->detector->convention = kept(a->arena, w->convention);
    return IL_OK;
}

/* Opens `path`, or makes what the words say. */
static il_status bring(il_alone **out, const il_registry *registry, const char *path,
                       const il_alone_words *words, il_log *log, il_error *err)
{
    il_alone *a = calloc(1, sizeof *a);
    il_problems problems = {.arena = il_arena_create(4096)};
    il_status status;

    if (a == NULL || problems.arena == NULL ||
        (a->arena = il_arena_create(4096)) == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "detector", "out of memory");
    } else if (path != NULL) {
        status = open_file(a, registry, path, log, &problems, err);
    } else {
        status = make_new(a, registry, words, log, &problems, err);
    }
    if (status != IL_OK && il_problems_any(&problems)) {
        *err = (il_error){.code = IL_OK}; /* they say more than that there are some */
        status = il_problems_status(&problems, err);
    }
    if (problems.arena != NULL) {
        il_arena_destroy(problems.arena);
    }
    if (status != IL_OK) {
        il_alone_close(a);
        return status;
    }
    *out = a;
    return IL_OK;
}

il_status il_alone_open(il_alone **out, const il_registry *registry, const char *path,
                        il_log *log, il_error *err)
{
    return bring(out, registry, path, NULL, log, err);
}

il_status il_alone_new(il_alone **out, const il_registry *registry,
                       const il_alone_words *words, il_log *log, il_error *err)
{
    return bring(out, registry, NULL, words, log, err);
}

void il_alone_close(il_alone *a)
{
    if (a == NULL) {
        return;
    }
    il_detector_destroy(a->detector);
    il_saved_close(a->saved);
    if (a->arena != NULL) {
        il_arena_destroy(a->arena);
    }
    free(a);
}
