#include "detect/saved.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "detect/restore_private.h"
#include "pipeline/fields.h"

/* ---- written -------------------------------------------------------------------- */

il_status il_saved_write_parts(const char *path, const json_t *contract,
                               const il_safetensor *items, size_t count, il_error *err)
{
    char *text = json_dumps(contract, JSON_COMPACT | JSON_SORT_KEYS);
    il_safetensors_pair pair = {IL_SAVED_KEY, text};
    il_status status = text != NULL
                           ? il_safetensors_write(path, items, count, &pair, 1, err)
                           : il_error_set(err, IL_ERR_MEMORY, path, "out of memory");

    free(text);
    return status;
}

il_status il_saved_write(const il_detector *d, const char *path, il_error *err)
{
    size_t prefix = strlen("detectors.") + strlen(d->spec->name) + 1;
    il_arena *arena = il_arena_create(1 << 14);
    json_t *contract = il_detector_contract(d);
    il_safetensor *items = NULL;
    size_t count = 0;
    il_status status =
        arena != NULL && contract != NULL
            ? il_detector_state(d, false, arena, &items, &count, err)
            : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");

    for (size_t i = 0; status == IL_OK && i < count; i++) {
        items[i].name += prefix;
    }
    if (status == IL_OK && d->member_count > 0) {
        status = il_error_set(err, IL_ERR_UNSUPPORTED, d->spec->name,
                              "it reads other detectors, which a file of one cannot "
                              "hold: save '%s' and the others that it reads",
                              d->spec->of.items[0]);
    }
    if (status == IL_OK && !d->fitted) {
        status = il_error_set(err, IL_ERR_INPUT, d->spec->name,
                              "it has not been fitted: there is nothing to save");
    }
    if (status == IL_OK) {
        status = il_saved_write_parts(path, contract, items, count, err);
    }
    json_decref(contract);
    il_arena_destroy(arena);
    return status;
}

/* ---- opened --------------------------------------------------------------------- */

static il_status read_contract(il_saved *s, il_error *err)
{
    const char *text = il_safetensors_metadata_get(s->file, IL_SAVED_KEY);
    const json_t *sites;
    json_error_t why;

    if (text == NULL) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "expected a saved detector, whose metadata have "
                            "'" IL_SAVED_KEY "': for files of other programs see "
                            "interloop detector import");
    }
    s->contract = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(s->contract)) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            IL_SAVED_KEY ": expected an object of JSON");
    }
    sites = json_object_get(s->contract, "sites");
    if (!json_is_string(json_object_get(s->contract, "component")) ||
        json_array_size(sites) == 0) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            IL_SAVED_KEY ": expected a component and a list of sites");
    }
    for (size_t i = 0; i < json_array_size(sites); i++) {
        if (!json_is_string(json_array_get(sites, i))) {
            return il_error_set(err, IL_ERR_INPUT, s->path,
                                IL_SAVED_KEY ": sites[%zu]: expected a name", i);
        }
    }
    return IL_OK;
}

il_status il_saved_open(il_saved **out, const char *path, il_error *err)
{
    il_saved *s = calloc(1, sizeof *s);
    il_status status = IL_OK;

    if (s == NULL || (s->path = strdup(path)) == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    if (status == IL_OK) {
        status = il_safetensors_open(&s->file, path, err);
    }
    if (status == IL_OK) {
        status = il_hash_file(path, s->sha256, err);
    }
    if (status == IL_OK) {
        status = read_contract(s, err);
    }
    if (status != IL_OK) {
        il_saved_close(s);
        return status;
    }
    *out = s;
    return IL_OK;
}

void il_saved_close(il_saved *s)
{
    if (s == NULL) {
        return;
    }
    il_safetensors_close(s->file);
    json_decref(s->contract);
    free(s->path);
    free(s);
}

/* One param as a scalar of YAML; NULL for what is none. */
static il_node *param_node(il_arena *arena, const json_t *value, il_place place)
{
    char number[32];

    if (json_is_string(value)) {
        return il_node_scalar(arena, json_string_value(value), true, place);
    }
    if (json_is_boolean(value)) {
        return il_node_scalar(arena, json_is_true(value) ? "true" : "false", false,
                              place);
    }
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof number, "%lld",
                       (long long)json_integer_value(value));
        return il_node_scalar(arena, number, false, place);
    }
    if (json_is_real(value)) {
        il_format_real(json_real_value(value), number);
        return il_node_scalar(arena, number, false, place);
    }
    return NULL;
}

il_node *il_saved_params(const il_saved *s, il_arena *arena)
{
    json_t *params = json_object_get(s->contract, "params");
    il_place place = {.file = il_arena_strdup(arena, s->path)};
    il_node *map = json_object_size(params) > 0 ? il_node_map(arena, place) : NULL;
    const char *key;
    json_t *value;

    if (map == NULL) {
        return NULL;
    }
    json_object_foreach(params, key, value)
    {
        il_node *scalar = param_node(arena, value, place);

        if (scalar != NULL && !il_node_add(arena, map, key, place, scalar)) {
            return NULL;
        }
    }
    return map;
}

/* ---- loaded --------------------------------------------------------------------- */

static const il_accept_spec *accept_of(const il_detector_spec *spec, const char *what)
{
    for (size_t i = 0; i < spec->accept_count; i++) {
        if (strcmp(spec->accept[i].what, what) == 0 && il_mismatch_may(what)) {
            return &spec->accept[i];
        }
    }
    return NULL;
}

static il_status note_accepted(il_detector *d, const il_mismatch *m,
                               const il_accept_spec *by, il_error *err)
{
    if (d->accepted == NULL) {
        d->accepted = il_arena_calloc(d->arena, IL_MISMATCHES_MAX, sizeof *d->accepted);
        if (d->accepted == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        }
    }
    for (size_t i = 0; i < d->accepted_count; i++) {
        if (strcmp(d->accepted[i].mismatch.what, m->what) == 0 &&
            strcmp(d->accepted[i].mismatch.expected, m->expected) == 0) {
            return IL_OK; /* a later stage meets the same model */
        }
    }
    if (d->accepted_count < IL_MISMATCHES_MAX) {
        d->accepted[d->accepted_count++] = (il_accepted){*m, by->why};
    }
    return IL_OK;
}

static il_status check(il_detector *d, const il_saved *s, il_problems *problems,
                       il_error *err)
{
    il_mismatches apart;

    il_contract_compare(d, s->contract, &apart);
    for (size_t i = 0; i < apart.count; i++) {
        const il_mismatch *m = &apart.items[i];
        const il_accept_spec *by = accept_of(d->spec, m->what);

        if (by != NULL) {
            IL_TRY(note_accepted(d, m, by, err));
        } else if (il_mismatch_may(m->what)) {
            il_problem_add(problems, d->spec->from_place,
                           "detector '%s' was saved with another %s: expected '%s', "
                           "%s has '%s'; --accept %s.%s takes it all the same",
                           d->spec->name, m->what, m->expected, s->path, m->got,
                           d->spec->name, m->what);
        } else {
            il_problem_add(problems, d->spec->from_place,
                           "detector '%s' was saved with another %s: expected '%s', "
                           "%s has '%s'",
                           d->spec->name, m->what, m->expected, s->path, m->got);
        }
    }
    return il_problems_status(problems, err);
}

il_status il_saved_load(il_detector *d, const il_saved *s, il_problems *problems,
                        il_error *err)
{
    il__kept k = {.d = d,
                  .file = s->file,
                  .contract = s->contract,
                  .prefix = "",
                  .where = s->path,
                  .stranger = true};
    il_error why = {.code = IL_OK};
    il_status status;

    IL_TRY(check(d, s, problems, err));
    status = il__detector_take(&k, &why);
    if (status == IL_ERR_INPUT) {
        il_problem_add(problems, d->spec->from_place, "detector '%s': %s: %s",
                       d->spec->name, why.where, why.message);
    }
    if (status != IL_OK) {
        return il_error_set(err, status, why.where, "%s", why.message);
    }
    memcpy(d->source, s->sha256, sizeof d->source);
    if (d->spec->threshold.kind == IL_THRESHOLD_LOGIT) {
        d->has_threshold = true; /* the pipeline's own */
        d->threshold = d->spec->threshold.logit;
        d->rate = NAN;
    }
    return IL_OK;
}

il_status il_saved_make(il_detector **out, const il_detector_input *in,
                        il_problems *problems, il_error *err)
{
    const il_detector_spec *spec = in->spec;
    il_component_spec component = spec->component;
    il_detector_input with = *in;
    il_error why = {.code = IL_OK};
    il_detector *d = NULL;
    il_saved *saved = NULL;
    il_status status = il_saved_open(&saved, spec->from, &why);
    const char *label;

    if (status != IL_OK) {
        il_problem_add(problems, spec->from_place, "%s: %s", why.where, why.message);
        return il_problems_status(problems, err);
    }
    if (component.params == NULL) {
        component.params = il_saved_params(saved, problems->arena);
    }
    with.component = &component;
    status = il_detector_create(&d, &with, problems, err);
    if (status == IL_OK) {
        status = il_saved_load(d, saved, problems, err);
    }
    if (status == IL_OK) {
        label = json_string_value(json_object_get(saved->contract, "label"));
        if (label != NULL && in->data != NULL &&
            il_field_find(in->data, label) != NULL) {
            d->fields.label = il_arena_strdup(d->arena, label);
        }
        *out = d;
    } else {
        il_detector_destroy(d);
    }
    il_saved_close(saved);
    return status;
}

il_status il_detector_descends(il_detector *d, const json_t *hashes, il_error *err)
{
    const char *own = d->model_hash[0] != '\0' ? d->model_hash : "no model";
    const char *last =
        json_string_value(json_array_get(hashes, json_array_size(hashes) - 1));
    const il_accept_spec *by = accept_of(d->spec, "model");
    il_mismatches apart = {.count = 0};

    for (size_t i = 0; i < json_array_size(hashes); i++) {
        const char *hash = json_string_value(json_array_get(hashes, i));

        if (hash != NULL && strcmp(hash, own) == 0) {
            return IL_OK;
        }
    }
    il_mismatch_add(&apart, "model", last != NULL ? last : "nothing", own);
    if (by != NULL) {
        return note_accepted(d, &apart.items[0], by, err);
    }
    return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                        "the detector was fitted on another model: expected the "
                        "weights %.12s here or some that they were trained from, got "
                        "%.12s; --accept %s.model takes it all the same",
                        apart.items[0].expected, own, d->spec->name);
}
