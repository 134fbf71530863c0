/* A detector on activations from files: made from the command line's words, or opened
 * with the contract that it was saved with. See detector.h. */
#include "detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "detector", "out of memory");
}

static const char *about_text(const il_given *g, const char *key)
{
    return json_string_value(json_object_get(g->about, key));
}

/* ---- a new one ------------------------------------------------------------------ */

/* NAME=VALUE pairs as a component's params. */
static il_status read_params(il_detector_bench *b, const il_detector_cli *c,
                             il_error *err)
{
    il_arena *arena = b->desk->arena;
    il_place place = {.file = "--set"};
    il_node *map = il_node_map(arena, place);

    if (map == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < c->cli.run.set_count; i++) {
        const char *pair = c->cli.sets[i];
        const char *equals = strchr(pair, '=');
        char *key;
        il_node *value;

        if (equals == NULL || equals == pair) {
            return il_error_set(err, IL_ERR_INPUT, pair,
                                "--set: expected NAME=VALUE, a parameter of %s",
                                c->use);
        }
        key = il_arena_printf(arena, "%.*s", (int)(equals - pair), pair);
        value = il_node_scalar(arena, equals + 1, false, place);
        if (key == NULL || value == NULL ||
            !il_node_put(arena, map, key, place, value)) {
            return no_memory(err);
        }
    }
    b->spec.component.params = map->count > 0 ? map : NULL;
    return IL_OK;
}

static il_status read_word(const char *text, const char *option, int count,
                           const char *(*name)(int), int *out, il_error *err)
{
    il_text list = {0};
    il_status status;

    for (int i = 0; i < count; i++) {
        if (strcmp(text, name(i)) == 0) {
            il_text_free(&list);
            *out = i;
            return IL_OK;
        }
        il_text_addf(&list, "%s%s",
                     i == 0          ? ""
                     : i + 1 < count ? ", "
                                     : " or ",
                     name(i));
    }
    status = il_error_set(err, IL_ERR_INPUT, option, "expected %s, got '%s'",
                          list.data != NULL ? list.data : "", text);
    il_text_free(&list);
    return status;
}

static const char *context_name(int i)
{
    return il_context_name((enum il_context)i);
}

static const char *unit_name(int i)
{
    return il_unit_name((il_unit)i);
}

/* The sites by which the activations go. */
static il_status name_sites(il_detector_bench *b, il_error *err)
{
    size_t n = b->given->model.site_count;
    il_names_spec *sites = &b->spec.sites;

    sites->items = il_arena_calloc(b->desk->arena, n + 1, sizeof *sites->items);
    sites->places = il_arena_calloc(b->desk->arena, n + 1, sizeof *sites->places);
    if (sites->items == NULL || sites->places == NULL) {
        return no_memory(err);
    }
    sites->count = n;
    for (size_t i = 0; i < n; i++) {
        sites->items[i] = b->given->model.sites[i].name;
    }
    return IL_OK;
}

/* A pooling in words, such as "ema_max, decay 0.9". */
static il_status read_pool(il_detector_bench *b, const char *words, const char *where,
                           il_error *err)
{
    il_detector_spec *s = &b->spec;

    if (words == NULL) {
        return IL_OK;
    }
    if (!il_pool_from_words(words, &s->pooling) || s->pooling.kind == IL_POOL_NONE) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "expected a pooling, such as max or 'ema_max, decay 0.9', "
                            "got '%s'",
                            words);
    }
    s->pool = words;
    s->pooled = true;
    return IL_OK;
}

il_status il_detector_bench_pool(const il_detector_bench *b, il_acts *acts,
                                 il_error *err)
{
    if (!b->spec.pooled || acts->rows.first != NULL) {
        return IL_OK;
    }
    if (acts->rows.length == 1) {
        return il_error_set(err, IL_ERR_SHAPE, "activations",
                            "a detector that pools reads sequences: expected "
                            "activations of shape (B,T,W), got rows");
    }
    return il_scored_gather(&acts->rows, b->given->arena, err);
}

static il_status new_spec(il_detector_bench *b, const il_detector_cli *c, il_error *err)
{
    il_detector_spec *s = &b->spec;
    const char *tokens = about_text(b->given, "tokens");
    const char *label = about_text(b->given, "label");
    const char *colon = strrchr(c->use, '.');
    int word = 0;

    s->name = colon != NULL ? colon + 1 : c->use;
    s->component.use = c->use;
    s->component.range = "";
    s->component.place = s->component.use_place = (il_place){.file = "--use"};
    s->tokens = c->tokens != NULL ? c->tokens : tokens != NULL ? tokens : "all";
    s->fit = (il_fit_spec){.given = true,
                           .label = b->given->acts.rows.labels == NULL ? NULL
                                    : label != NULL                    ? label
                                                                       : "labels",
                           .method = c->method,
                           .steps = c->steps,
                           .batch = c->batch,
                           .lr = c->lr,
                           .l2 = c->l2,
                           .weight_decay = -1};
    IL_TRY(read_pool(b, c->pool, "--pool", err));
    if (c->context != NULL) {
        IL_TRY(read_word(c->context, "--context", 3, context_name, &word, err));
        s->context = (enum il_context)word;
    }
    if (c->fpr >= 0) {
        s->threshold.kind = IL_THRESHOLD_RATE;
        s->threshold.fpr = c->fpr;
        s->threshold.unit = IL_UNIT_TOKEN;
        if (c->unit != NULL) {
            IL_TRY(read_word(c->unit, "--unit", 4, unit_name, &word, err));
            s->threshold.unit = (il_unit)word;
        }
    }
    IL_TRY(name_sites(b, err));
    return read_params(b, c, err);
}

static il_status make(il_detector_bench *b, uint64_t seed, il_error *err)
{
    il_detector_input in = {.registry = b->desk->registry,
                            .spec = &b->spec,
                            .model = &b->given->model,
                            .seed = seed,
                            .log = b->desk->log};

    return il_detector_create(&b->detector, &in, &b->desk->problems, err);
}

static il_given_input input_of(const il_detector_cli *c)
{
    return (il_given_input){.acts = c->acts,
                            .count = c->acts_count,
                            .names = c->site_count > 0 ? c->sites : NULL,
                            .name_count = c->site_count,
                            .labels = c->labels,
                            .ids = c->ids,
                            .mask = c->mask,
                            .lengths = c->lengths,
                            .naming = c->files};
}

il_status il_detector_bench_new(il_detector_bench *b, il_detector_desk *desk,
                                const il_detector_cli *c, il_error *err)
{
    il_given_input in = input_of(c);
    const char *convention;

    memset(b, 0, sizeof *b);
    b->desk = desk;
    IL_TRY(il_given_read(&b->given, &in, err));
    IL_TRY(new_spec(b, c, err));
    IL_TRY(make(b, c->cli.run.filter.seed_count > 0 ? c->cli.seeds[0] : 1, err));
    convention =
        c->convention != NULL ? c->convention : about_text(b->given, "convention");
    /* Sites that nobody named follow no convention. */
    b->detector->convention = convention != NULL   ? convention
                              : c->site_count == 0 ? "none"
                                                   : IL_CONVENTION;
    return IL_OK;
}

/* ---- a saved one ---------------------------------------------------------------- */

static const char *contract_text(const il_detector_bench *b, const char *key)
{
    return json_string_value(json_object_get(b->saved->contract, key));
}

bool il_detector_accepts(const il_detector_cli *c, const char *what)
{
    for (size_t i = 0; i < c->accept_count; i++) {
        const char *word = strrchr(c->accept[i], '.');

        if (strcmp(word != NULL ? word + 1 : c->accept[i], what) == 0) {
            return true;
        }
    }
    return false;
}

/* What the activations say of themselves against the contract. */
static il_status compare(il_detector_bench *b, const il_detector_cli *c, il_error *err)
{
    static const char *const keys[] = {"convention", "tokens"};
    const char *model = contract_text(b, "model");
    const json_t *models = json_object_get(b->given->about, "models");
    bool descends = false;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *got = about_text(b->given, keys[i]);
        const char *expected = contract_text(b, keys[i]);

        if (got != NULL && expected != NULL && strcmp(got, expected) != 0 &&
            !il_detector_accepts(c, keys[i])) {
            return il_error_set(err, IL_ERR_INPUT, b->saved->path,
                                "the detector was saved with another %s: the "
                                "activations have '%s', it has '%s'; --accept %s takes "
                                "it all the same",
                                keys[i], got, expected, keys[i]);
        }
    }
    for (size_t i = 0; i < json_array_size(models); i++) {
        const char *hash = json_string_value(json_array_get(models, i));

        descends =
            descends || (hash != NULL && model != NULL && strcmp(hash, model) == 0);
    }
    if (models != NULL && !descends && !il_detector_accepts(c, "model")) {
        return il_error_set(err, IL_ERR_INPUT, b->saved->path,
                            "the detector was fitted on another model: the activations "
                            "are of none that descends from %.12s; --accept model "
                            "takes it all the same",
                            model != NULL && model[0] != '\0' ? model : "no model");
    }
    return IL_OK;
}

/* Gives the activations the contract's names where they have none of their own. */
static il_status match_sites(il_detector_bench *b, const il_detector_cli *c,
                             il_error *err)
{
    il_instance *model = &b->given->model;
    const il_names_spec *wanted = &b->spec.sites;
    bool named = b->given->about != NULL || c->site_count > 0;
    il_declared *sites;

    for (size_t i = 0; i < wanted->count; i++) {
        if (il_instance_site(model, wanted->items[i]) >= 0) {
            continue;
        }
        if (model->site_count != wanted->count ||
            (named && !il_detector_accepts(c, "site"))) {
            return il_error_set(err, IL_ERR_INPUT, b->saved->path,
                                "the detector was saved for another site: it reads "
                                "'%s' (site %zu of %zu), the activations have '%s' "
                                "(%zu); --accept site takes as many others in their "
                                "order",
                                wanted->items[i], i + 1, wanted->count,
                                model->sites[0].name, model->site_count);
        }
        sites = il_arena_calloc(b->given->arena, wanted->count + 1, sizeof *sites);
        if (sites == NULL) {
            return no_memory(err);
        }
        for (size_t k = 0; k < wanted->count; k++) {
            sites[k] = model->sites[k];
            sites[k].name = wanted->items[k];
        }
        model->sites = sites;
        return IL_OK;
    }
    return IL_OK;
}

il_status il_detector_bench_load(il_detector_bench *b, il_detector_desk *desk,
                                 const il_detector_cli *c, il_error *err)
{
    il_given_input in = input_of(c);
    il_detector_input make_in = {
        .registry = desk->registry, .spec = &b->spec, .seed = 1, .log = desk->log};

    memset(b, 0, sizeof *b);
    b->desk = desk;
    IL_TRY(il_saved_open(&b->saved, c->cli.run.path, err));
    IL_TRY(il_saved_spec(b->saved, desk->arena, &b->spec, err));
    if (c->acts_count > 0) {
        IL_TRY(il_given_read(&b->given, &in, err));
        IL_TRY(match_sites(b, c, err));
        IL_TRY(compare(b, c, err));
        make_in.model = &b->given->model;
    } else {
        IL_TRY(il_saved_sites(b->saved, desk->arena, &b->bare, err));
        make_in.model = &b->bare;
    }
    IL_TRY(il_detector_create(&b->detector, &make_in, &desk->problems, err));
    b->detector->convention = contract_text(b, "convention");
    b->detector->fields.label = contract_text(b, "label");
    if (b->given != NULL) {
        IL_TRY(il_detector_bench_pool(b, &b->given->acts, err));
    }
    return il_saved_load(b->detector, b->saved, &desk->problems, err);
}

void il_detector_bench_close(il_detector_bench *b)
{
    il_detector_destroy(b->detector);
    il_saved_close(b->saved);
    il_given_close(b->given);
    memset(b, 0, sizeof *b);
}
