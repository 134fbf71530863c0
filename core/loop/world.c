/* Worlds: see world.h. */
#include "loop/world_private.h"

#include <stdlib.h>
#include <string.h>
#include "audit/audit.h"
#include "detect/saved.h"

il_detector *il_world_detector(const il_world *w, const char *name)
{
    for (size_t i = 0; i < w->detector_count; i++) {
        if (strcmp(w->detectors[i]->spec->name, name) == 0) {
            return w->detectors[i];
        }
    }
    return NULL;
}

const il_declared *il_world_loss(const il_world *w, const char *name)
{
    for (size_t i = 0; i < w->model->loss_count; i++) {
        if (strcmp(w->model->losses[i].name, name) == 0) {
            return &w->model->losses[i];
        }
    }
    return NULL;
}

const il_instance *il_world_rows(const il_world *w, const il_stage_spec *stage)
{
    bool rollouts = stage != NULL && stage->train.rollout_count > 0;

    return w->data == NULL || (rollouts && w->environment != NULL) ? w->environment
                                                                   : w->data;
}

json_t *il_world_accepted(const il_world *w)
{
    json_t *all = json_array();

    for (size_t d = 0; d < w->detector_count; d++) {
        json_t *own = il_detector_accepted(w->detectors[d]);

        for (size_t i = 0; i < json_array_size(own); i++) {
            json_t *entry = json_array_get(own, i);

            json_object_set_new(entry, "detector",
                                json_string(w->detectors[d]->spec->name));
            json_array_append(all, entry);
        }
        json_decref(own);
    }
    return all;
}

int il_world_reference(const il_world *w, const char *name)
{
    for (size_t i = 0; i < w->reference_count; i++) {
        if (strcmp(w->references[i].spec->name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

void il_world_destroy(il_world *w)
{
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < w->detector_count; i++) {
        il_detector_destroy(w->detectors[i]);
    }
    free(w->detectors);
    for (size_t i = 0; i < w->reference_count; i++) {
        il_reference_close(&w->references[i]);
    }
    free(w->references);
    free(w->values);
    il_instance_destroy(w->model);
    il_instance_destroy(w->environment);
    il_instance_destroy(w->data);
    free(w);
}

static il_status make_detector(il_world *w, size_t i, il_problems *problems,
                               il_error *err)
{
    const il_detector_spec *spec = &w->pipeline->detectors[i];
    bool plays = spec->fit.draw.rollouts.policy != NULL;
    il_detector **members = calloc(spec->of.count + 1, sizeof(il_detector *));
    il_detector_input in = {.registry = w->host.registry,
                            .spec = spec,
                            .model = w->model,
                            .data = plays && w->environment != NULL
                                        ? w->environment
                                        : il_world_rows(w, NULL),
                            .members = members,
                            .seed = w->seed,
                            .log = w->host.log};
    il_status status;

    if (members == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, spec->name, "out of memory");
    }
    for (size_t k = 0; k < spec->of.count; k++) {
        members[k] = w->detectors[il_pipeline_detector(w->pipeline, spec->of.items[k]) -
                                  w->pipeline->detectors];
    }
    status = spec->from != NULL
                 ? il_saved_make(&w->detectors[i], &in, problems, err)
                 : il_detector_create(&w->detectors[i], &in, problems, err);
    if (status == IL_OK && spec->on != NULL) {
        int of = il_world_reference(w, spec->on);

        w->detectors[i]->elsewhere = of >= 0 ? w->references[of].values : NULL;
    }
    free(members);
    return status;
}

/* In the pipeline's order, but each made after those that it reads. */
static il_status make_detectors(il_world *w, il_problems *problems, il_error *err)
{
    const il_pipeline *p = w->pipeline;

    w->detectors = calloc(p->detector_count + 1, sizeof *w->detectors);
    if (w->detectors == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "detectors", "out of memory");
    }
    w->detector_count = p->detector_count;
    for (int level = 0; level <= IL_DETECTOR_LEVELS; level++) {
        for (size_t i = 0; i < p->detector_count; i++) {
            if (p->detectors[i].level == level) {
                IL_TRY(make_detector(w, i, problems, err));
            }
        }
    }
    return IL_OK;
}

static il_status make_references(il_world *w, il_error *err)
{
    const il_pipeline *p = w->pipeline;

    w->references = calloc(p->reference_count + 1, sizeof *w->references);
    if (w->references == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "references", "out of memory");
    }
    for (size_t i = 0; i < p->reference_count; i++) {
        IL_TRY(il_reference_open(&w->references[i], &p->references[i], w->model->store,
                                 err));
        w->reference_count++;
    }
    return IL_OK;
}

/* Whether there is what the stages train on. */
static il_status check_stages(const il_pipeline *p, il_problems *problems,
                              il_error *err)
{
    if (p->data.use == NULL && p->environment.use == NULL) {
        return il_error_set(err, IL_ERR_INPUT, p->name,
                            "there is neither `data` nor an `environment` to learn "
                            "from");
    }
    for (size_t i = 0; i < p->stage_count; i++) {
        const il_train_spec *t = &p->stages[i].train;

        if (t->given && t->rollout_count > 0 && p->environment.use == NULL) {
            il_problem_add(problems, t->place,
                           "it trains on rollouts, and there is no `environment`");
        } else if (t->given && t->rollout_count == 0 && p->data.use == NULL) {
            il_problem_add(problems, t->place,
                           "it trains on rows, and there is no `data`");
        }
    }
    return il_problems_status(problems, err);
}

static il_status make_all(il_world *w, il_problems *problems, il_error *err)
{
    const il_pipeline *p = w->pipeline;
    il_instance_input in = {
        .label = "data", .seed = w->seed, .facts = &w->facts, .log = w->host.log};

    IL_TRY(check_stages(p, problems, err));
    if (p->data.use != NULL) {
        IL_TRY(il_instance_create(&w->data, w->host.registry, IL_KIND_DATASET, &p->data,
                                  &in, problems, err));
    }
    in.label = "environment";
    if (p->environment.use != NULL) {
        IL_TRY(il_instance_create(&w->environment, w->host.registry,
                                  IL_KIND_ENVIRONMENT, &p->environment, &in, problems,
                                  err));
    }
    in.label = "model";
    IL_TRY(il_instance_create(&w->model, w->host.registry, IL_KIND_MODEL, &p->model,
                              &in, problems, err));
    w->values = calloc(w->model->store->count + 1, sizeof *w->values);
    if (w->values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "model", "out of memory");
    }
    for (size_t i = 0; i < w->model->store->count; i++) {
        w->values[i] = w->model->store->values + w->model->store->items[i].offset;
    }
    IL_TRY(make_references(w, err));
    IL_TRY(make_detectors(w, problems, err));
    for (size_t i = 0; i < p->stage_count; i++) {
        if (p->stages[i].audit.given) {
            il_audit_check(&p->stages[i].audit, w->model, w->data, problems);
        }
    }
    il__world_check(w, problems);
    return il_problems_status(problems, err);
}

il_status il_world_create(il_world **out, const il_host *host,
                          const il_pipeline *pipeline, uint64_t seed,
                          il_problems *problems, il_error *err)
{
    il_world *w = calloc(1, sizeof *w);
    il_status status;

    if (w == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "world", "out of memory");
    }
    w->host = *host;
    w->pipeline = pipeline;
    w->seed = seed;
    status = make_all(w, problems, err);
    if (status != IL_OK) {
        il_world_destroy(w);
        return status;
    }
    *out = w;
    return IL_OK;
}
