/* Where a pipeline's plugins are: see plugins.h. */
#include "pipeline/plugins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bundle/store.h"
#include "pipeline/params.h"

/* The hashes that signed bundles vouch for. */
static il_status read_signed(il_trust *trust, il_error *err)
{
    il_public_key *keys = calloc(IL_MINISIGN_KEYS, sizeof *keys);
    json_t *list = NULL;
    size_t count = 0;
    il_status status =
        keys != NULL ? il_store_keys_read(keys, &count, err)
                     : il_error_set(err, IL_ERR_MEMORY, "plugins", "out of memory");

    if (status == IL_OK) {
        status = il_store_list(keys, count, &list, err);
    }
    for (size_t i = 0; status == IL_OK && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (json_is_string(json_object_get(item, "signer")) &&
            !il_trust_add(trust, json_string_value(json_object_get(item, "sha256")))) {
            status = il_error_set(err, IL_ERR_MEMORY, "plugins", "out of memory");
        }
    }
    json_decref(list);
    free(keys);
    return status;
}

static il_status read_trust(const il_plugins_spec *spec, il_trust *trust, il_error *err)
{
    trust->mode = spec->trust;
    if (spec->trust == IL_TRUST_SIGNED) {
        return read_signed(trust, err);
    }
    if (spec->trust == IL_TRUST_LOCKED && spec->lock == NULL) {
        return il_error_set(err, IL_ERR_INPUT, "plugins",
                            "`trust: locked` needs `lock`");
    }
    if (spec->trust == IL_TRUST_LOCKED) {
        trust->source = strdup(spec->lock);
        return trust->source != NULL
                   ? il_trust_read_lock(trust, spec->lock, err)
                   : il_error_set(err, IL_ERR_MEMORY, "plugins", "out of memory");
    }
    return IL_OK;
}

il_status il_plugins_find(il_registry **out, const char *const *folders, size_t count,
                          const il_plugins_spec *spec, il_log *log, il_error *err)
{
    il_trust trust = {0};
    il_status status;

    IL_TRY(il_registry_create(out, log, err));
    if (spec != NULL) {
        status = read_trust(spec, &trust, err);
        if (status == IL_OK) {
            il_registry_trust(*out, &trust);
        }
        il_trust_free(&trust);
        IL_TRY(status);
    }
    for (size_t i = 0; i < count; i++) {
        IL_TRY(il_registry_add_folder(*out, folders[i], true, err));
    }
    for (size_t i = 0; spec != NULL && i < spec->path.count; i++) {
        IL_TRY(il_registry_add_folder(*out, spec->path.items[i], false, err));
    }
    return il_registry_add_defaults(*out, err);
}

typedef struct checker {
    const il_registry *registry;
    il_arena *arena;
    il_problems *problems;
} checker;

static void check_component(const checker *c, il_kind kind,
                            const il_component_spec *spec)
{
    const il_offer *offer = NULL;
    il_param_value *values;
    il_error why = {0};
    char owner[320];

    if (spec->use == NULL) {
        return;
    }
    if (il_registry_find(c->registry, kind, spec->use, spec->range, &offer, &why) !=
        IL_OK) {
        il_problem_add(c->problems,
                       spec->use_place.line > 0 ? spec->use_place : spec->place, "%s",
                       why.message);
        return;
    }
    values =
        il_arena_calloc(c->arena, offer->component->param_count + 1, sizeof *values);
    if (values == NULL) {
        c->problems->no_memory = true;
        return;
    }
    (void)snprintf(owner, sizeof owner, "%s '%s'", il_kind_name(kind), offer->id);
    (void)il_params_check(c->arena, spec->params, owner, spec->place,
                          offer->component->params, offer->component->param_count,
                          values, c->problems);
}

void il_plugins_check(const il_registry *registry, const il_jobs *jobs, il_arena *arena,
                      il_problems *problems)
{
    checker c = {registry, arena, problems};

    for (size_t i = 0; i < jobs->count; i++) {
        const il_pipeline *p = jobs->items[i].pipeline;

        check_component(&c, IL_KIND_MODEL, &p->model);
        check_component(&c, IL_KIND_DATASET, &p->data);
        check_component(&c, IL_KIND_ENVIRONMENT, &p->environment);
        for (size_t d = 0; d < p->detector_count; d++) {
            check_component(&c, IL_KIND_DETECTOR, &p->detectors[d].component);
        }
    }
}
