/* Detectors kept: their tensors and the contract that says what they were fitted for.
 * See detector.h; restore.c takes them back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "detect/composite.h"
#include "detect/detector.h"
#include "pipeline/params.h"

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype i64 = {IL_CODE_INT, 64, 1};

static void ids_hash(const il_documents *ids, char hex[IL_HASH_HEX])
{
    il_hash_bytes(ids->count > 0 ? (const void *)ids->ids : "",
                  (size_t)ids->count * sizeof(int64_t), hex);
}

/* Its params with defaults filled in, for who has the file alone. */
static json_t *params_of(const il_detector *d)
{
    il_text text = {0};
    json_t *params;

    il_param_values_write(&text, d->instance->params, d->instance->param_count);
    params = text.failed || text.data == NULL ? NULL : json_loads(text.data, 0, NULL);
    il_text_free(&text);
    return params != NULL ? params : json_object();
}

static json_t *calibration_json(const il_calibration *c)
{
    return json_pack("{s:s, s:f, s:f, s:I, s:f, s:f}", "method",
                     il_calibration_name(c->kind), "slope", c->slope, "shift", c->shift,
                     "rows", (json_int_t)c->rows, "ece_before", c->ece_before,
                     "ece_after", c->ece_after);
}

/* The detectors that it reads, each with a hash of what it was. */
static json_t *members_json(const il_detector *d)
{
    json_t *all = json_array();

    for (size_t i = 0; i < d->member_count; i++) {
        char hash[IL_HASH_HEX];

        il_detector_hash(d->members[i], hash);
        json_array_append_new(all, json_pack("{s:s, s:s}", "detector",
                                             d->members[i]->spec->name, "hash", hash));
    }
    return all;
}

json_t *il_detector_accepted(const il_detector *d)
{
    json_t *all = json_array();

    for (size_t i = 0; i < d->accepted_count; i++) {
        const il_accepted *a = &d->accepted[i];

        json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:s}", "what",
                                             a->mismatch.what, "expected",
                                             a->mismatch.expected, "got",
                                             a->mismatch.got, "why", a->why));
    }
    return all;
}

json_t *il_detector_contract(const il_detector *d)
{
    const il_detector_spec *s = d->spec;
    json_t *sites = json_array();
    json_t *widths = json_array();
    json_t *json;
    bool scaled = il_detector_input_count(d) > 0 && d->mean[0] != NULL;
    char fit[IL_HASH_HEX];
    char calibration[IL_HASH_HEX];

    for (size_t i = 0; i < d->site_count; i++) {
        json_array_append_new(sites, json_string(s->sites.items[i]));
        json_array_append_new(widths, json_integer((json_int_t)d->widths[i]));
    }
    ids_hash(&d->fit_ids, fit);
    ids_hash(&d->calibration_ids, calibration);
    json = json_pack("{s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}",
                     "component", d->instance->offer->id, "params", params_of(d),
                     "sites", sites, "widths", widths, "convention",
                     d->convention != NULL ? d->convention : IL_CONVENTION, "tokens",
                     s->tokens, "context", il_context_name(s->context), "scaling",
                     scaled ? IL_SCALING_STANDARD : IL_SCALING_NONE, "model",
                     d->model_hash, "fit_ids", fit, "calibration_ids", calibration,
                     "negatives", (json_int_t)d->negatives);
    if (json != NULL && d->member_count > 0) {
        json_object_set_new(json, "of", members_json(d));
    }
    if (json != NULL && s->on != NULL) {
        json_object_set_new(json, "on", json_string(s->on));
    }
    if (json != NULL && s->keys != NULL) {
        json_object_set_new(json, "keys", json_string(s->keys));
    }
    if (json != NULL && s->pool != NULL) {
        json_object_set_new(json, "pool", json_string(s->pool));
    }
    if (json != NULL && d->fields.label != NULL) {
        json_object_set_new(json, "label", json_string(d->fields.label));
    }
    if (json != NULL && d->accepted_count > 0) {
        json_object_set_new(json, "accepted", il_detector_accepted(d));
    }
    if (json != NULL && d->has_threshold) {
        json_object_set_new(json, "threshold", json_real(d->threshold));
        json_object_set_new(json, "unit", json_string(il_unit_name(d->unit)));
        if (isfinite(d->rate)) {
            json_object_set_new(json, "rate", json_real(d->rate));
        }
    }
    if (json != NULL && d->apart != 0) {
        json_object_set_new(json, "apart", json_real(d->apart));
        json_object_set_new(json, "middle", json_real(d->middle));
    }
    if (json != NULL && d->calibration.kind != IL_CALIBRATION_NONE) {
        json_object_set_new(json, "calibration", calibration_json(&d->calibration));
    }
    if (json != NULL && s->rezero.split != NULL) {
        json_object_set_new(json, "zero", json_real(d->zero));
        json_object_set_new(json, "trusted", json_string(s->rezero.split));
        json_object_set_new(json, "trusted_rows", json_integer(s->rezero.rows));
    }
    return json;
}

static il_status add(il_safetensor *item, il_arena *arena, const il_detector *d,
                     const char *part, const char *name, int32_t ndim,
                     const int64_t *shape, const float *data, il_error *err)
{
    int64_t n = 1;

    item->name = il_arena_printf(arena, "detectors.%s.%s%s", d->spec->name, part, name);
    if (item->name == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    item->dtype = f32;
    item->ndim = ndim;
    for (int32_t i = 0; i < ndim; i++) {
        item->shape[i] = shape[i];
        n *= shape[i];
    }
    item->data = data;
    item->bytes = (size_t)n * sizeof(float);
    return IL_OK;
}

/* Moments and steps of online refits, if there are any. */
static il_status add_moments(const il_detector *d, il_arena *arena, il_safetensor *all,
                             size_t *n, il_error *err)
{
    const il_store *store = d->instance->store;
    const float *const blocks[] = {d->m, d->v};
    static const char *const parts[] = {"online.moment1.", "online.moment2."};
    static const int64_t one = 1;

    if (d->m == NULL || d->v == NULL) {
        return IL_OK;
    }
    for (size_t i = 0; i < 2 * store->count; i++) {
        const il_stored *item = &store->items[i / 2];

        IL_TRY(add(&all[(*n)++], arena, d, parts[i % 2], item->name, item->ndim,
                   item->shape, blocks[i % 2] + item->offset, err));
    }
    IL_TRY(add(&all[*n], arena, d, "online.", "steps", 1, &one,
               (const float *)(const void *)&d->steps, err));
    all[*n].dtype = i64;
    all[(*n)++].bytes = sizeof d->steps;
    return IL_OK;
}

il_status il_detector_state(const il_detector *d, bool moments, il_arena *arena,
                            il_safetensor **items, size_t *count, il_error *err)
{
    const il_store *store = d->instance->store;
    il_safetensor *all = il_arena_calloc(
        arena, 3 * store->count + 2 * il_detector_input_count(d) + 6, sizeof *all);
    size_t n = 0;

    if (all == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    for (size_t i = 0; i < store->count; i++) {
        IL_TRY(add(&all[n++], arena, d, "", store->items[i].name, store->items[i].ndim,
                   store->items[i].shape, store->values + store->items[i].offset, err));
    }
    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        if (d->mean[i] != NULL) {
            const char *name = il_detector_input_name(d, i);
            int64_t width = il_detector_input_width(d, i);

            IL_TRY(add(&all[n++], arena, d, "scaling.mean.", name, 1, &width,
                       d->mean[i], err));
            IL_TRY(add(&all[n++], arena, d, "scaling.inv.", name, 1, &width, d->inv[i],
                       err));
        }
    }
    for (int k = 0; k < 2; k++) {
        const il_documents *ids = k == 0 ? &d->fit_ids : &d->calibration_ids;

        if (ids->count > 0) {
            IL_TRY(add(&all[n], arena, d, "ids.", k == 0 ? "fit" : "calibration", 1,
                       &ids->count, (const float *)(const void *)ids->ids, err));
            all[n].dtype = i64;
            all[n++].bytes = (size_t)ids->count * sizeof(int64_t);
        }
    }
    if (d->calibration.count > 0) {
        const il_calibration *c = &d->calibration;

        IL_TRY(add(&all[n++], arena, d, "calibration.", "logits", 1, &c->count,
                   c->logits, err));
        IL_TRY(add(&all[n++], arena, d, "calibration.", "probabilities", 1, &c->count,
                   c->probabilities, err));
    }
    if (moments) {
        IL_TRY(add_moments(d, arena, all, &n, err));
    }
    *items = all;
    *count = n;
    return IL_OK;
}
