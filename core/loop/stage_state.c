/* Stages on disk: what a state holds, written and read. See stage.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/scramble.h"
#include "loop/stage_private.h"

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};

static il_status add_block(il_state_list *list, const il_store *store,
                           const char *prefix, const float *block, il_error *err)
{
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        const char *name = il_arena_printf(list->arena, "%s%s", prefix, item->name);

        if (name == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, prefix, "out of memory");
        }
        IL_TRY(il_state_add(list, name, f32, item->ndim, item->shape,
                            block + item->offset, err));
    }
    return IL_OK;
}

static il_status take_block(const il_state *state, const il_store *store,
                            const char *prefix, float *block, il_error *err)
{
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        char name[512];

        (void)snprintf(name, sizeof name, "%s%s", prefix, item->name);
        IL_TRY(il_state_take(state, name, f32, item->ndim, item->shape,
                             block + item->offset, err));
    }
    return IL_OK;
}

/* Whether every bit of a tensor is zero: what no step has moved. */
static bool is_still(const float *values, int64_t count)
{
    uint32_t any = 0;

    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        any |= bits;
    }
    return any == 0;
}

/* Moments; of those that are still, the names alone, in `still`: beside a checkpoint
 * whose adapters alone are trained they would be most of the file. */
static il_status add_moments(il_state_list *list, json_t *still, const il_store *store,
                             const char *prefix, const float *block, il_error *err)
{
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        const char *name = il_arena_printf(list->arena, "%s%s", prefix, item->name);

        if (name == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, prefix, "out of memory");
        }
        if (!is_still(block + item->offset, item->count)) {
            IL_TRY(il_state_add(list, name, f32, item->ndim, item->shape,
                                block + item->offset, err));
        } else if (json_object_set_new(still, name, json_true()) != 0) {
            return il_error_set(err, IL_ERR_MEMORY, prefix, "out of memory");
        }
    }
    return IL_OK;
}

/* The same back into a block that may hold others. */
static il_status take_moments(const il_state *state, const il_store *store,
                              const char *prefix, float *block, il_error *err)
{
    const json_t *still = json_object_get(state->json, "still");

    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        float *values = block + item->offset;
        char name[512];

        (void)snprintf(name, sizeof name, "%s%s", prefix, item->name);
        if (json_object_get(still, name) == NULL) {
            IL_TRY(
                il_state_take(state, name, f32, item->ndim, item->shape, values, err));
        } else if (!is_still(values, item->count)) {
            memset(values, 0, (size_t)item->count * sizeof *values);
        }
    }
    return IL_OK;
}

static il_status add_averages(il_state_list *list, const il_world *w, il_error *err)
{
    for (size_t i = 0; i < w->reference_count; i++) {
        const il_reference *r = &w->references[i];

        if (il_reference_moves(r)) {
            const char *prefix =
                il_arena_printf(list->arena, "reference.%s.", r->spec->name);

            if (prefix == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, r->spec->name, "out of memory");
            }
            IL_TRY(add_block(list, w->model->store, prefix, r->block, err));
        }
    }
    return IL_OK;
}

static il_status take_averages(const il_state *state, il_world *w, il_error *err)
{
    for (size_t i = 0; i < w->reference_count; i++) {
        il_reference *r = &w->references[i];
        char prefix[256];

        if (il_reference_moves(r)) {
            (void)snprintf(prefix, sizeof prefix, "reference.%s.", r->spec->name);
            IL_TRY(take_block(state, w->model->store, prefix, r->block, err));
            il_reference_filled(r, w->model->store);
        }
    }
    return IL_OK;
}

static il_status add_trainer(il_state_list *list, json_t *still, const il_trainer *t,
                             il_error *err)
{
    const il_store *store = t->world->model->store;

    IL_TRY(add_moments(list, still, store, "moment1.", t->m, err));
    IL_TRY(add_moments(list, still, store, "moment2.", t->v, err));
    if (t->shadow != NULL) {
        IL_TRY(add_block(list, store, "shadow.", t->shadow, err));
        IL_TRY(add_moments(list, still, store, "shadow_moment1.", t->shadow_m, err));
        IL_TRY(add_moments(list, still, store, "shadow_moment2.", t->shadow_v, err));
    }
    return IL_OK;
}

/* The lineage of weights; of a result with its own. */
static json_t *models_of(const il_stage_work *s, bool with_own)
{
    json_t *models = json_copy(s->models);
    char hash[IL_HASH_HEX];
    size_t n = json_array_size(models);

    il_stage_model(s->world, hash);
    if (with_own && (n == 0 || strcmp(json_string_value(json_array_get(models, n - 1)),
                                      hash) != 0)) {
        json_array_append_new(models, json_string(hash));
    }
    return models;
}

static il_status take_models(il_stage_work *s, const il_state *state, il_error *err)
{
    const json_t *models = json_object_get(state->json, "models");

    for (size_t i = 0; i < json_array_size(models); i++) {
        if (!json_is_string(json_array_get(models, i))) {
            models = NULL;
        }
    }
    if (!json_is_array(models)) {
        return il_error_set(err, IL_ERR_INPUT, state->path,
                            "models: expected a list of hashes");
    }
    json_array_clear(s->models);
    return json_array_extend(s->models, (json_t *)models) == 0
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, state->path, "out of memory");
}

il_status il__stage_write(il_stage_work *s, const char *name, const il_trainer *trainer,
                          il_error *err)
{
    il_world *w = s->world;
    il_state_list list = {.arena = il_arena_create(1 << 16)};
    json_t *json = json_object();
    json_t *contracts = json_object();
    json_t *still = json_object();
    bool checkpoint = strcmp(name, IL_STATE_RESULT) != 0;
    json_t *levels;
    il_status status = IL_OK;

    if (list.arena == NULL || json == NULL || contracts == NULL || still == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, name, "out of memory");
    }
    if (status == IL_OK) {
        status =
            add_block(&list, w->model->store, "model.", w->model->store->values, err);
    }
    for (size_t d = 0; status == IL_OK && d < w->detector_count; d++) {
        il_safetensor *items = NULL;
        size_t count = 0;

        if (!w->detectors[d]->fitted || w->detectors[d]->spec->from != NULL) {
            continue; /* nothing yet, or what its own file holds */
        }
        status = il_detector_state(w->detectors[d], checkpoint, list.arena, &items,
                                   &count, err);
        if (status == IL_OK) {
            status = il_state_add_all(&list, items, count, err);
        }
        json_object_set_new(contracts, w->detectors[d]->spec->name,
                            il_detector_contract(w->detectors[d]));
    }
    if (status == IL_OK && trainer != NULL && checkpoint) {
        status = add_averages(&list, w, err);
    }
    if (status == IL_OK && trainer != NULL) {
        /* The shadow is dropped with its stage; moments stay, for a stage that
         * continues them. */
        status = checkpoint || trainer->shadow == NULL
                     ? add_trainer(&list, still, trainer, err)
                     : add_moments(&list, still, w->model->store, "moment1.",
                                   trainer->m, err);
        if (status == IL_OK && !checkpoint && trainer->shadow != NULL) {
            status =
                add_moments(&list, still, w->model->store, "moment2.", trainer->v, err);
        }
    }
    if (status == IL_OK) {
        json_object_set(json, "contracts", contracts);
        if (json_object_size(still) > 0) {
            json_object_set(json, "still", still);
        }
        json_object_set_new(json, "pressed", il_pressed_json(&s->pressed, w));
        json_object_set_new(json, "taught", il_pressed_taught_json(&s->pressed, w));
        json_object_set(json, "fitted", s->fitted);
        json_object_set_new(json, "models", models_of(s, !checkpoint));
        json_object_set_new(json, "step",
                            json_integer(trainer != NULL ? trainer->step : 0));
        json_object_set_new(
            json, "optimizer_steps",
            json_integer(trainer != NULL ? trainer->before + il_trainer_taken(trainer)
                                         : 0));
        json_object_set_new(json, "looks", json_integer(s->looks));
        if (checkpoint && s->halts.count > 0) {
            json_object_set_new(json, "halts", il_halts_json(&s->halts));
        }
        levels =
            checkpoint && trainer != NULL ? il_scramble_json(trainer->terms) : NULL;
        if (levels != NULL) {
            json_object_set_new(json, "levels", levels);
        }
        status = il_state_write(s->folder, name, list.items, list.count, json, err);
    }
    json_decref(contracts);
    json_decref(still);
    json_decref(json);
    il_arena_destroy(list.arena);
    return status;
}

static il_status read_detectors(il_world *w, const il_state *state, il_error *err)
{
    const json_t *contracts = json_object_get(state->json, "contracts");

    /* What is read comes before what reads it. */
    for (size_t i = 0; i < (1 + IL_DETECTOR_LEVELS) * w->detector_count; i++) {
        il_detector *d = w->detectors[i % w->detector_count];
        const json_t *contract = json_object_get(contracts, d->spec->name);

        if (contract != NULL && d->spec->from == NULL &&
            d->spec->level == (int)(i / w->detector_count)) {
            IL_TRY(il_detector_restore(d, state->file, contract, err));
        }
    }
    return IL_OK;
}

static il_status read_trainer(const il_state *state, il_trainer *t, bool moments,
                              il_error *err)
{
    const il_store *store = t->world->model->store;

    if (moments) {
        IL_TRY(il_state_int(state, "optimizer_steps", &t->before, err));
        IL_TRY(take_moments(state, store, "moment1.", t->m, err));
        return take_moments(state, store, "moment2.", t->v, err);
    }
    IL_TRY(il_state_int(state, "step", &t->step, err));
    IL_TRY(il_state_int(state, "optimizer_steps", &t->before, err));
    t->before -= il_trainer_taken(t);
    IL_TRY(take_moments(state, store, "moment1.", t->m, err));
    IL_TRY(take_moments(state, store, "moment2.", t->v, err));
    IL_TRY(take_averages(state, t->world, err));
    IL_TRY(il_scramble_read(t->terms, json_object_get(state->json, "levels"), err));
    if (t->shadow != NULL) {
        IL_TRY(take_block(state, store, "shadow.", t->shadow, err));
        IL_TRY(take_moments(state, store, "shadow_moment1.", t->shadow_m, err));
        IL_TRY(take_moments(state, store, "shadow_moment2.", t->shadow_v, err));
    }
    return IL_OK;
}

il_status il__stage_read(il_stage_work *s, const char *folder, const char *name,
                         il_trainer *trainer, bool moments, il_error *err)
{
    il_world *w = s->world;
    il_state *state = NULL;
    il_status status = il_state_read(&state, folder, name, err);

    if (status == IL_OK) {
        status =
            take_block(state, w->model->store, "model.", w->model->store->values, err);
    }
    if (status == IL_OK) {
        status = read_detectors(w, state, err);
    }
    if (status == IL_OK && trainer != NULL) {
        status = read_trainer(state, trainer, moments, err);
    }
    if (status == IL_OK) {
        status =
            il_pressed_read(&s->pressed, w, json_object_get(state->json, "pressed"),
                            json_object_get(state->json, "taught"), err);
    }
    if (status == IL_OK) {
        (void)json_object_update(s->fitted, json_object_get(state->json, "fitted"));
        status = il_state_int(state, "looks", &s->looks, err);
    }
    if (status == IL_OK) {
        status = take_models(s, state, err);
    }
    if (status == IL_OK && s->halts.count > 0 &&
        strcmp(name, IL_STATE_CHECKPOINT) == 0) {
        status = il_halts_read(&s->halts, json_object_get(state->json, "halts"), err);
    }
    il_state_destroy(state);
    return status;
}

/* The weights that a stage of the chain left, into a reference. */
static il_status read_reference(il_stage_work *s, size_t of, il_reference *r,
                                il_error *err)
{
    const il_store *store = s->world->model->store;
    char address[IL_HASH_HEX];
    il_state *state = NULL;
    char *folder;
    il_status status;

    IL_TRY(il_stage_address(s->host, s->world, s->job, of, address, err));
    folder = il_state_folder(s->host->runs, address);
    if (folder == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, r->spec->name, "out of memory");
    }
    status = il_state_read(&state, folder, IL_STATE_RESULT, err);
    if (status == IL_OK) {
        status = take_block(state, store, "model.", r->block, err);
    }
    if (status == IL_OK) {
        il_reference_filled(r, store);
    }
    il_state_destroy(state);
    free(folder);
    return status;
}

il_status il__stage_references(il_stage_work *s, int64_t at, il_error *err)
{
    for (size_t i = 0; i < s->world->reference_count; i++) {
        il_reference *r = &s->world->references[i];

        for (int64_t k = 0; k <= at && !il_reference_moves(r); k++) {
            const il_job_step *step = &s->job->chain[k];
            const char *variant =
                r->spec->of_variant != NULL ? r->spec->of_variant : step->variant;

            if (strcmp(step->stage, r->spec->of_stage) == 0 &&
                strcmp(step->variant, variant) == 0) {
                IL_TRY(read_reference(s, (size_t)k, r, err));
            }
        }
    }
    return IL_OK;
}

il_status il__stage_reference(const il_stage_work *s, const char *name, il_error *err)
{
    int at = name != NULL ? il_world_reference(s->world, name) : -1;
    const il_reference *r = at >= 0 ? &s->world->references[at] : NULL;

    if (r == NULL || r->filled || il_reference_moves(r)) {
        return IL_OK;
    }
    return il_error_set(err, IL_ERR_INPUT, name,
                        "this reference is of stage '%s', which is no ancestor of '%s'",
                        r->spec->of_stage, s->spec->name);
}
