/* Where a pipeline's plugins are: see plugins.h. */
#include "pipeline/plugins.h"

#include <stdio.h>
#include "pipeline/params.h"

il_status il_plugins_find(il_registry **out, const char *const *folders, size_t count,
                          const il_names_spec *path, il_log *log, il_error *err)
{
    IL_TRY(il_registry_create(out, log, err));
    for (size_t i = 0; i < count; i++) {
        IL_TRY(il_registry_add_folder(*out, folders[i], true, err));
    }
    for (size_t i = 0; path != NULL && i < path->count; i++) {
        IL_TRY(il_registry_add_folder(*out, path->items[i], false, err));
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
