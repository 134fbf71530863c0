/* Detectors kept: their tensors and the contract that says what they were fitted for.
 * See detector.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "detect/detector.h"

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype i64 = {IL_CODE_INT, 64, 1};

static void ids_hash(const il_documents *ids, char hex[IL_HASH_HEX])
{
    il_hash_bytes(ids->count > 0 ? (const void *)ids->ids : "",
                  (size_t)ids->count * sizeof(int64_t), hex);
}

json_t *il_detector_contract(const il_detector *d)
{
    const il_detector_spec *s = d->spec;
    json_t *sites = json_array();
    json_t *json;
    char fit[IL_HASH_HEX];
    char calibration[IL_HASH_HEX];

    for (size_t i = 0; i < d->site_count; i++) {
        json_array_append_new(sites, json_string(s->sites.items[i]));
    }
    ids_hash(&d->fit_ids, fit);
    ids_hash(&d->calibration_ids, calibration);
    json = json_pack(
        "{s:s, s:o, s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:I}", "component",
        d->instance->offer->id, "sites", sites, "convention", "TransformerLens",
        "tokens", s->tokens, "context", il_context_name(s->context), "standardized",
        d->site_count > 0 && d->mean[0] != NULL, "model", d->model_hash, "fit_ids", fit,
        "calibration_ids", calibration, "negatives", (json_int_t)d->negatives);
    if (json != NULL && s->on != NULL) {
        json_object_set_new(json, "on", json_string(s->on));
    }
    if (json != NULL && d->has_threshold) {
        json_object_set_new(json, "threshold", json_real(d->threshold));
        json_object_set_new(json, "unit", json_string(il_unit_name(s->threshold.unit)));
        if (isfinite(d->rate)) {
            json_object_set_new(json, "rate", json_real(d->rate));
        }
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
    il_safetensor *all =
        il_arena_calloc(arena, 3 * store->count + 2 * d->site_count + 4, sizeof *all);
    size_t n = 0;

    if (all == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    for (size_t i = 0; i < store->count; i++) {
        IL_TRY(add(&all[n++], arena, d, "", store->items[i].name, store->items[i].ndim,
                   store->items[i].shape, store->values + store->items[i].offset, err));
    }
    for (size_t i = 0; i < d->site_count; i++) {
        if (d->mean[i] != NULL) {
            const char *name = d->spec->sites.items[i];

            IL_TRY(add(&all[n++], arena, d, "scaling.mean.", name, 1, &d->widths[i],
                       d->mean[i], err));
            IL_TRY(add(&all[n++], arena, d, "scaling.inv.", name, 1, &d->widths[i],
                       d->inv[i], err));
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
    if (moments) {
        IL_TRY(add_moments(d, arena, all, &n, err));
    }
    *items = all;
    *count = n;
    return IL_OK;
}

/* ---- and taken back ------------------------------------------------------------- */

static il_status text_is(const il_detector *d, const json_t *contract, const char *key,
                         const char *expected, il_error *err)
{
    const char *got = json_string_value(json_object_get(contract, key));

    if (got == NULL || strcmp(got, expected) != 0) {
        return il_error_set(
            err, IL_ERR_INPUT, d->spec->name,
            "the detector was saved with another %s: expected '%s', got '%s'", key,
            expected, got != NULL ? got : "nothing");
    }
    return IL_OK;
}

/* A zero is only good for the rows that it was taken on. */
static il_status check_zero(const il_detector *d, const json_t *contract, il_error *err)
{
    const il_rezero_spec *spec = &d->spec->rezero;
    json_int_t rows = json_integer_value(json_object_get(contract, "trusted_rows"));

    if (spec->split == NULL) {
        return IL_OK;
    }
    IL_TRY(text_is(d, contract, "trusted", spec->split, err));
    if (rows != spec->rows || !json_is_real(json_object_get(contract, "zero"))) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "the detector was saved with its zero on %lld trusted "
                            "rows, expected %lld",
                            (long long)rows, (long long)spec->rows);
    }
    return IL_OK;
}

/* The rate and the unit that a threshold was set for; one that is given as a logit
 * binds nothing. */
static il_status check_threshold(const il_detector *d, const json_t *contract,
                                 il_error *err)
{
    const il_threshold_spec *spec = &d->spec->threshold;
    const json_t *rate = json_object_get(contract, "rate");

    if (spec->kind != IL_THRESHOLD_RATE || rate == NULL) {
        return IL_OK;
    }
    if (json_number_value(rate) != spec->fpr) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "the detector's threshold was set for another rate: "
                            "expected %g, got %g",
                            spec->fpr, json_number_value(rate));
    }
    return text_is(d, contract, "unit", il_unit_name(spec->unit), err);
}

static il_status check_contract(const il_detector *d, const json_t *contract,
                                il_error *err)
{
    const json_t *sites = json_object_get(contract, "sites");

    IL_TRY(text_is(d, contract, "component", d->instance->offer->id, err));
    IL_TRY(text_is(d, contract, "convention", "TransformerLens", err));
    IL_TRY(text_is(d, contract, "tokens", d->spec->tokens, err));
    IL_TRY(text_is(d, contract, "context", il_context_name(d->spec->context), err));
    if (d->spec->on != NULL || json_object_get(contract, "on") != NULL) {
        IL_TRY(text_is(d, contract, "on", d->spec->on != NULL ? d->spec->on : "", err));
    }
    if (json_array_size(sites) != d->site_count) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "the detector was saved for %zu sites, expected %zu",
                            json_array_size(sites), d->site_count);
    }
    for (size_t i = 0; i < d->site_count; i++) {
        const char *got = json_string_value(json_array_get(sites, i));

        if (got == NULL || strcmp(got, d->spec->sites.items[i]) != 0) {
            return il_error_set(
                err, IL_ERR_INPUT, d->spec->name,
                "the detector was saved for another site: expected '%s', got "
                "'%s'",
                d->spec->sites.items[i], got != NULL ? got : "nothing");
        }
    }
    IL_TRY(check_threshold(d, contract, err));
    return check_zero(d, contract, err);
}

static il_status find(const il_detector *d, const il_safetensors *file,
                      const char *part, const char *name, il_dtype dtype, int64_t count,
                      const il_safetensor **out, il_error *err)
{
    char full[512];
    const il_safetensor *t;
    size_t bytes = (size_t)count * dtype.bits / 8;

    (void)snprintf(full, sizeof full, "detectors.%s.%s%s", d->spec->name, part, name);
    t = il_safetensors_find(file, full);
    if (t == NULL || t->dtype.code != dtype.code || t->dtype.bits != dtype.bits ||
        (count >= 0 && t->bytes != bytes)) {
        return il_error_set(
            err, IL_ERR_INPUT, full,
            t == NULL ? "the state lacks this tensor"
                      : "the state has this tensor with another type or shape");
    }
    *out = t;
    return IL_OK;
}

/* Ids are optional: *out is NULL without any. */
static il_status find_ids(const il_detector *d, const il_safetensors *file,
                          const char *name, const il_safetensor **out, il_error *err)
{
    char full[512];

    *out = NULL;
    (void)snprintf(full, sizeof full, "detectors.%s.ids.%s", d->spec->name, name);
    return il_safetensors_find(file, full) != NULL
               ? find(d, file, "ids.", name, i64, -1, out, err)
               : IL_OK;
}

/* Memory for `t`'s bytes, filled; never NULL but when memory is out. */
static void *kept(const il_detector *d, const il_safetensor *t)
{
    void *out = il_arena_alloc(d->arena, t->bytes + 1);

    if (out != NULL) {
        memcpy(out, t->data, t->bytes);
    }
    return out;
}

/* All that a restored detector takes over, found and copied before any of it counts. */
typedef struct taken {
    float **mean, **inv; /* [site]; NULL: not scaled */
    il_documents fit, calibration;
    float *m, *v; /* of online refits, blocks of the heap, or NULL */
    int64_t steps;
} taken;

static il_status take_ids(const il_detector *d, const il_safetensors *file,
                          const char *name, il_documents *out, il_error *err)
{
    const il_safetensor *t = NULL;

    *out = (il_documents){0, NULL};
    IL_TRY(find_ids(d, file, name, &t, err));
    if (t == NULL) {
        return IL_OK;
    }
    out->ids = kept(d, t);
    out->count = (int64_t)(t->bytes / sizeof(int64_t));
    return out->ids != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
}

static il_status take_scaling(const il_detector *d, const il_safetensors *file,
                              taken *out, il_error *err)
{
    for (size_t i = 0; i < d->site_count; i++) {
        const char *name = d->spec->sites.items[i];
        const il_safetensor *mean = NULL;
        const il_safetensor *inv = NULL;

        IL_TRY(find(d, file, "scaling.mean.", name, f32, d->widths[i], &mean, err));
        IL_TRY(find(d, file, "scaling.inv.", name, f32, d->widths[i], &inv, err));
        out->mean[i] = kept(d, mean);
        out->inv[i] = kept(d, inv);
        if (out->mean[i] == NULL || out->inv[i] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        }
    }
    return IL_OK;
}

static il_status take_moments(const il_detector *d, const il_safetensors *file,
                              taken *out, il_error *err)
{
    const il_store *store = d->instance->store;
    const il_safetensor *t = NULL;
    char full[512];

    (void)snprintf(full, sizeof full, "detectors.%s.online.steps", d->spec->name);
    if (il_safetensors_find(file, full) == NULL) {
        return IL_OK; /* none were kept: the next online refit starts afresh */
    }
    IL_TRY(find(d, file, "online.", "steps", i64, 1, &t, err));
    memcpy(&out->steps, t->data, sizeof out->steps);
    out->m = il_store_block(store);
    out->v = il_store_block(store);
    if (out->m == NULL || out->v == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];

        IL_TRY(find(d, file, "online.moment1.", item->name, f32, item->count, &t, err));
        memcpy(out->m + item->offset, t->data, t->bytes);
        IL_TRY(find(d, file, "online.moment2.", item->name, f32, item->count, &t, err));
        memcpy(out->v + item->offset, t->data, t->bytes);
    }
    return IL_OK;
}

static il_status take(const il_detector *d, const il_safetensors *file,
                      const json_t *contract, taken *out, il_error *err)
{
    const il_store *store = d->instance->store;
    const il_safetensor *t = NULL;

    IL_TRY(check_contract(d, contract, err));
    out->mean = il_arena_calloc(d->arena, d->site_count + 1, sizeof *out->mean);
    out->inv = il_arena_calloc(d->arena, d->site_count + 1, sizeof *out->inv);
    if (out->mean == NULL || out->inv == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    for (size_t i = 0; i < store->count; i++) {
        IL_TRY(find(d, file, "", store->items[i].name, f32, store->items[i].count, &t,
                    err));
    }
    if (json_is_true(json_object_get(contract, "standardized"))) {
        IL_TRY(take_scaling(d, file, out, err));
    }
    IL_TRY(take_ids(d, file, "fit", &out->fit, err));
    IL_TRY(take_ids(d, file, "calibration", &out->calibration, err));
    return take_moments(d, file, out, err);
}

il_status il_detector_restore(il_detector *d, const il_safetensors *file,
                              const json_t *contract, il_error *err)
{
    const il_store *store = d->instance->store;
    const json_t *threshold = json_object_get(contract, "threshold");
    const json_t *rate = json_object_get(contract, "rate");
    const char *model = json_string_value(json_object_get(contract, "model"));
    const il_safetensor *t = NULL;
    taken all = {.m = NULL};
    il_status status = take(d, file, contract, &all, err);

    if (status != IL_OK) {
        free(all.m);
        free(all.v);
        return status;
    }
    for (size_t i = 0; i < store->count; i++) {
        IL_TRY(find(d, file, "", store->items[i].name, f32, store->items[i].count, &t,
                    err));
        memcpy(store->values + store->items[i].offset, t->data, t->bytes);
    }
    memcpy(d->mean, all.mean, d->site_count * sizeof *d->mean);
    memcpy(d->inv, all.inv, d->site_count * sizeof *d->inv);
    d->fit_ids = all.fit;
    d->calibration_ids = all.calibration;
    free(d->m);
    free(d->v);
    d->m = all.m;
    d->v = all.v;
    d->steps = all.steps;
    d->fitted = true;
    d->has_threshold = json_is_number(threshold);
    d->threshold = json_number_value(threshold);
    d->rate = json_is_number(rate) ? json_number_value(rate) : NAN;
    d->negatives = json_integer_value(json_object_get(contract, "negatives"));
    d->zero = json_number_value(json_object_get(contract, "zero"));
    d->offset = 0; /* until the trusted rows are read again */
    (void)snprintf(d->model_hash, sizeof d->model_hash, "%s",
                   model != NULL ? model : "");
    return IL_OK;
}
