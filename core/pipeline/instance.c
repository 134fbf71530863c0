/* Instances: made, asked for what they are, destroyed. What a component calls while it
 * is made is in instance_setup.c. */
#include "pipeline/instance_private.h"

#include <stdlib.h>
#include <string.h>
#include "pipeline/fields.h"

typedef struct il_instance_host host;

static void destroy_self(const il_component *c, void *self)
{
    void (*destroy)(void *) = NULL;

    if (c->kind == IL_KIND_MODEL && IL_HAS((const il_model_api *)c->api, destroy)) {
        destroy = ((const il_model_api *)c->api)->destroy;
    } else if (c->kind == IL_KIND_DATASET) {
        destroy = ((const il_dataset_api *)c->api)->destroy;
    } else if (c->kind == IL_KIND_ENVIRONMENT &&
               IL_HAS((const il_environment_api *)c->api, destroy)) {
        destroy = ((const il_environment_api *)c->api)->destroy;
    } else if (c->kind == IL_KIND_DETECTOR &&
               IL_HAS((const il_detector_api *)c->api, destroy)) {
        destroy = ((const il_detector_api *)c->api)->destroy;
    }
    if (destroy != NULL && self != NULL) {
        destroy(self);
    }
}

static il_status call_create(const il_component *c, const il_setup *s, void **self,
                             il_error *err)
{
    switch (c->kind) {
    case IL_KIND_MODEL:
        return ((const il_model_api *)c->api)->create(s, self, err);
    case IL_KIND_DATASET:
        return ((const il_dataset_api *)c->api)->create(s, self, err);
    case IL_KIND_DETECTOR:
        return ((const il_detector_api *)c->api)->create(s, self, err);
    case IL_KIND_ENVIRONMENT:
        return ((const il_environment_api *)c->api)->create(s, self, err);
    }
    return il_error_set(err, IL_ERR_UNSUPPORTED, "",
                        "cannot make a component of kind %d", (int)c->kind);
}

/* Runs `create`, and takes its failures and those of the slots for one. */
static il_status run_create(il_instance *i, il_error *err)
{
    const il_component *c = i->offer->component;
    host *h = i->host;
    void *self = NULL;
    il_status status;

    h->creating = true;
    status = call_create(c, &h->setup, &self, err);
    h->creating = false;
    if (status != IL_OK) {
        /* It left nothing; whether it also said why is another matter. */
        return il_error_set(err, status, "", "%s",
                            h->failure.code != IL_OK
                                ? h->failure.message
                                : "create failed without a reason");
    }
    if (h->failure.code == IL_OK && self == NULL) {
        (void)il_error_set(&h->failure, IL_ERR_INTERNAL, "", "create gave no instance");
    }
    if (h->failure.code != IL_OK) {
        destroy_self(c, self);
        return il_error_set(err, h->failure.code, "", "%s", h->failure.message);
    }
    i->self = self;
    return IL_OK;
}

/* One line: id, version, the file's hash, and the params with all defaults. */
static il_status write_identity(il_instance *i, il_error *err)
{
    il_text text = {0};
    il_status status = IL_OK;

    il_text_addf(&text, "%s %s %s ", i->offer->id, i->offer->file->version,
                 i->offer->file->sha256);
    il_param_values_write(&text, i->params, i->param_count);
    i->identity = text.failed ? NULL : il_arena_strdup(i->host->arena, text.data);
    if (i->identity == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    il_text_free(&text);
    return status;
}

/* An instance with its host, store and texts, before params and `create`. */
static il_status prepare(il_instance **out, const il_instance_input *in,
                         const il_offer *offer, il_error *err)
{
    il_instance *i = calloc(1, sizeof *i);
    host *h = calloc(1, sizeof *h);
    int64_t *widths;
    int64_t *heads;

    if (i == NULL || h == NULL || (h->arena = il_arena_create(1 << 13)) == NULL) {
        free(i);
        free(h);
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    *out = i; /* from here on il_instance_destroy releases it all */
    i->offer = offer;
    i->host = h;
    i->label = il_arena_strdup(h->arena, in->label);
    h->setup.api = &il__setup_api;
    h->instance = i;
    h->facts = in->facts;
    h->log = in->log;
    h->seed = in->seed;
    h->group = "model";
    h->site_count = in->site_count;
    h->fault = in->fault;
    widths = il_arena_calloc(h->arena, (size_t)in->site_count + 1, sizeof *widths);
    heads = il_arena_calloc(h->arena, (size_t)in->site_count + 1, sizeof *heads);
    if (i->label == NULL || widths == NULL || heads == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    if (in->site_count > 0) {
        memcpy(widths, in->site_widths, (size_t)in->site_count * sizeof *widths);
    }
    if (in->site_count > 0 && in->site_heads != NULL) {
        memcpy(heads, in->site_heads, (size_t)in->site_count * sizeof *heads);
    }
    h->site_widths = widths;
    h->site_heads = heads;
    return il_store_create(&i->store, err);
}

static il_status check_params(il_instance *i, const il_component_spec *spec,
                              il_problems *problems, il_error *err)
{
    const il_component *c = i->offer->component;
    il_param_value *values =
        il_arena_calloc(i->host->arena, c->param_count + 1, sizeof *values);
    char owner[320];

    if (values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    i->params = values;
    i->param_count = c->param_count;
    (void)snprintf(owner, sizeof owner, "%s '%s'", il_kind_name(c->kind), i->offer->id);
    if (!il_params_check(i->host->arena, spec->params, owner, spec->place, c->params,
                         c->param_count, values, problems)) {
        return il_error_set(err, problems->no_memory ? IL_ERR_MEMORY : IL_ERR_INPUT, "",
                            "its params are wrong");
    }
    for (size_t p = 0; p < c->param_count; p++) {
        if (values[p].given && (values[p].spec->flags & IL_PARAM_DEPRECATED)) {
            il_log_write(i->host->log, IL_LOG_WARN, i->label,
                         "%s:%d: parameter `%s` is deprecated: %s",
                         values[p].place.file != NULL ? values[p].place.file : "",
                         values[p].place.line, values[p].spec->name,
                         values[p].spec->help);
        }
    }
    return IL_OK;
}

static void publish_lists(il_instance *i)
{
    host *h = i->host;

    i->sites = h->lists[IL__SITES];
    i->site_count = h->counts[IL__SITES];
    i->outputs = h->lists[IL__OUTPUTS];
    i->output_count = h->counts[IL__OUTPUTS];
    i->losses = h->lists[IL__LOSSES];
    i->loss_count = h->counts[IL__LOSSES];
}

static void place_text(il_place place, char *out, size_t size)
{
    if (place.line > 0) {
        (void)snprintf(out, size, "%s:%d:%d", place.file != NULL ? place.file : "",
                       place.line, place.column);
    } else {
        (void)snprintf(out, size, "%s", place.file != NULL ? place.file : "");
    }
}

il_status il_instance_make(il_instance **out, const il_offer *offer,
                           const il_component_spec *spec, const il_instance_input *in,
                           il_problems *problems, il_error *err)
{
    il_instance *i = NULL;
    il_error why = {0};
    char where[IL_ERROR_WHERE_MAX];
    il_status status = prepare(&i, in, offer, &why);

    place_text(spec->use_place.line > 0 ? spec->use_place : spec->place, where,
               sizeof where);
    if (status == IL_OK) {
        status = check_params(i, spec, problems, &why);
    }
    if (status == IL_OK) {
        status = write_identity(i, &why);
    }
    if (status == IL_OK) {
        status = run_create(i, &why);
    }
    if (status == IL_OK && offer->component->kind == IL_KIND_ENVIRONMENT) {
        status = il_environment_learn(i, i->host->arena, &why);
    }
    if (status == IL_OK && in->query_width > 0) {
        status = il_store_add(i->store, "pool.query", in->label,
                              IL_SHAPE(1, in->query_width), IL_INIT_ZERO, &why);
    }
    if (status == IL_OK && i->store->count > 0 && !in->bare) {
        status = il_store_fill(i->store, in->seed, &why);
    }
    if (status != IL_OK) {
        il_instance_destroy(i);
        return il_error_set(err, status, where, "%s '%s' %s: %s%s%s",
                            il_kind_name(offer->component->kind), offer->id,
                            offer->file->version, why.where,
                            why.where[0] != '\0' ? ": " : "", why.message);
    }
    i->host->fault = NULL; /* the caller's, and perhaps gone by now */
    publish_lists(i);
    *out = i;
    return IL_OK;
}

il_status il_instance_create(il_instance **out, const il_registry *registry,
                             il_kind kind, const il_component_spec *spec,
                             const il_instance_input *in, il_problems *problems,
                             il_error *err)
{
    const il_offer *offer = NULL;
    il_error why = {0};
    char where[IL_ERROR_WHERE_MAX];
    il_status status =
        il_registry_find(registry, kind, spec->use, spec->range, &offer, &why);

    if (status != IL_OK) {
        place_text(spec->use_place.line > 0 ? spec->use_place : spec->place, where,
                   sizeof where);
        return il_error_set(err, status, where, "%s", why.message);
    }
    return il_instance_make(out, offer, spec, in, problems, err);
}

void il_instance_destroy(il_instance *i)
{
    if (i != NULL) {
        destroy_self(i->offer->component, i->self);
        il_store_destroy(i->store);
        for (size_t k = 0; k < i->opened_count; k++) {
            il_pretrained_close(i->opened[k]);
        }
        for (size_t k = 0; k < i->tokenizer_count; k++) {
            il_tokens_close(i->tokenizers[k]);
        }
        for (size_t k = 0; k < i->tensors_count; k++) {
            il_tensors_close(i->tensors[k]);
        }
        il_arena_destroy(i->host->arena);
        free(i->host);
        free(i);
    }
}

il_status il_instance_address(il_instance *i, const char **out, il_error *err)
{
    /* A dataset's fingerprint speaks of its own. */
    size_t tensors = i->offer->component->kind == IL_KIND_MODEL ? i->tensors_count : 0;

    if (i->opened_count + tensors > 0 && i->address == NULL) {
        il_text text = {0};
        il_status status = IL_OK;

        il_text_add(&text, i->identity);
        for (size_t k = 0; k < i->opened_count && status == IL_OK; k++) {
            char hex[IL_HASH_HEX];

            status = il_pretrained_hash(i->opened[k], hex, err);
            il_text_addf(&text, " %s", hex);
        }
        for (size_t k = 0; k < tensors; k++) {
            il_text_addf(&text, " %s", il_tensors_hash(i->tensors[k]));
        }
        if (status == IL_OK && !text.failed) {
            i->address = il_arena_strdup(i->host->arena, text.data);
        }
        il_text_free(&text);
        if (i->address == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, i->label, "out of memory");
        }
    }
    *out = i->address != NULL ? i->address : i->identity;
    return IL_OK;
}

const char *il_instance_note(const il_instance *i, const char *name)
{
    for (size_t k = 0; k < i->note_count; k++) {
        if (strcmp(i->notes[k].name, name) == 0) {
            return i->notes[k].text;
        }
    }
    return NULL;
}

int64_t il_instance_site(const il_instance *i, const char *name)
{
    for (size_t s = 0; s < i->site_count; s++) {
        if (strcmp(i->sites[s].name, name) == 0) {
            return (int64_t)s;
        }
    }
    return -1;
}
