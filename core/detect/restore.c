/* Detectors taken back from what was kept: from a state, which holds all detectors of a
 * pipeline, or from a file of its own. See detector.h and saved.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/composite.h"
#include "detect/restore_private.h"

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype i64 = {IL_CODE_INT, 64, 1};

/* What a tensor is to be: `ndim` -1 leaves its shape open. */
typedef struct wanted {
    il_dtype dtype;
    int32_t ndim;
    const int64_t *shape;
} wanted;

static bool is_wanted(const il_safetensor *t, const wanted *w)
{
    return t->dtype.code == w->dtype.code && t->dtype.bits == w->dtype.bits &&
           (w->ndim < 0 ||
            (t->ndim == w->ndim &&
             memcmp(t->shape, w->shape, (size_t)w->ndim * sizeof *w->shape) == 0));
}

static il_status find(const il__kept *k, const char *part, const char *name, wanted w,
                      const il_safetensor **out, il_error *err)
{
    char full[512];
    const il_safetensor *t;

    (void)snprintf(full, sizeof full, "%s%s%s", k->prefix, part, name);
    t = il_safetensors_find(k->file, full);
    if (t == NULL) {
        return il_error_set(err, IL_ERR_INPUT, k->where, "it lacks the tensor '%s'",
                            full);
    }
    if (!is_wanted(t, &w)) {
        char shapes[2][96] = {"any shape", ""};
        char types[2][16];

        if (w.ndim >= 0) {
            (void)il_array_shape(w.ndim, w.shape, shapes[0]);
        }
        return il_error_set(err, IL_ERR_INPUT, k->where,
                            "tensor '%s': expected %s of %s, got %s of %s", full,
                            shapes[0], il_dtype_text(w.dtype, types[0]),
                            il_array_shape(t->ndim, t->shape, shapes[1]),
                            il_dtype_text(t->dtype, types[1]));
    }
    *out = t;
    return IL_OK;
}

/* A row of `count` numbers. */
static il_status find_row(const il__kept *k, const char *part, const char *name,
                          il_dtype dtype, int64_t count, const il_safetensor **out,
                          il_error *err)
{
    return find(k, part, name, (wanted){dtype, 1, &count}, out, err);
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
    float *values;       /* as the store's */
    float **mean, **inv; /* [input]; NULL: not scaled */
    il_documents fit, calibration;
    il_calibration truth;
    float *m, *v; /* of online refits, blocks of the heap, or NULL */
    int64_t steps;
} taken;

static il_status no_memory(const il__kept *k, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, k->where, "out of memory");
}

static il_status take_values(const il__kept *k, taken *out, il_error *err)
{
    const il_store *store = k->d->instance->store;

    out->values = il_store_block(store);
    if (out->values == NULL) {
        return no_memory(k, err);
    }
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        float *to = out->values + item->offset;
        const il_safetensor *t = NULL;

        IL_TRY(
            find(k, "", item->name, (wanted){f32, item->ndim, item->shape}, &t, err));
        memcpy(to, t->data, t->bytes);
        for (int64_t n = 0; k->stranger && n < item->count; n++) {
            if (!isfinite(to[n])) {
                return il_error_set(err, IL_ERR_INPUT, k->where,
                                    "tensor '%s%s': element %lld is no number",
                                    k->prefix, item->name, (long long)n);
            }
        }
    }
    return IL_OK;
}

static il_status take_ids(const il__kept *k, const char *name, il_documents *out,
                          il_error *err)
{
    const il_safetensor *t = NULL;
    char full[512];

    *out = (il_documents){0, NULL};
    (void)snprintf(full, sizeof full, "%sids.%s", k->prefix, name);
    if (il_safetensors_find(k->file, full) == NULL) {
        return IL_OK; /* none were kept */
    }
    IL_TRY(find(k, "ids.", name, (wanted){i64, -1, NULL}, &t, err));
    out->ids = kept(k->d, t);
    out->count = (int64_t)(t->bytes / sizeof(int64_t));
    return out->ids != NULL ? IL_OK : no_memory(k, err);
}

/* Its name in the file: that of the site where it was fitted. */
static il_status take_scaling(const il__kept *k, taken *out, il_error *err)
{
    const il_detector *d = k->d;
    const json_t *sites = json_object_get(k->contract, "sites");

    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        int64_t width = il_detector_input_width(d, i);
        const char *name =
            d->member_count == 0 ? json_string_value(json_array_get(sites, i)) : NULL;
        const il_safetensor *mean = NULL;
        const il_safetensor *inv = NULL;

        name = name != NULL ? name : il_detector_input_name(d, i);
        IL_TRY(find_row(k, "scaling.mean.", name, f32, width, &mean, err));
        IL_TRY(find_row(k, "scaling.inv.", name, f32, width, &inv, err));
        out->mean[i] = kept(d, mean);
        out->inv[i] = kept(d, inv);
        if (out->mean[i] == NULL || out->inv[i] == NULL) {
            return no_memory(k, err);
        }
    }
    return IL_OK;
}

static il_status take_moments(const il__kept *k, taken *out, il_error *err)
{
    const il_store *store = k->d->instance->store;
    const il_safetensor *t = NULL;
    char full[512];

    (void)snprintf(full, sizeof full, "%sonline.steps", k->prefix);
    if (il_safetensors_find(k->file, full) == NULL) {
        return IL_OK; /* none were kept: the next online refit starts afresh */
    }
    IL_TRY(find_row(k, "online.", "steps", i64, 1, &t, err));
    memcpy(&out->steps, t->data, sizeof out->steps);
    out->m = il_store_block(store);
    out->v = il_store_block(store);
    if (out->m == NULL || out->v == NULL) {
        return no_memory(k, err);
    }
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *item = &store->items[i];
        wanted w = {f32, item->ndim, item->shape};

        IL_TRY(find(k, "online.moment1.", item->name, w, &t, err));
        memcpy(out->m + item->offset, t->data, t->bytes);
        IL_TRY(find(k, "online.moment2.", item->name, w, &t, err));
        memcpy(out->v + item->offset, t->data, t->bytes);
    }
    return IL_OK;
}

static il_status take_calibration(const il__kept *k, il_calibration *out, il_error *err)
{
    const json_t *json = json_object_get(k->contract, "calibration");
    const char *method = json_string_value(json_object_get(json, "method"));
    const il_safetensor *t[2] = {NULL, NULL};
    float *corners[2] = {NULL, NULL};
    static const char *const tensors[] = {"logits", "probabilities"};

    *out = (il_calibration){.kind = il_calibration_kind_of(method)};
    out->slope = json_number_value(json_object_get(json, "slope"));
    out->shift = json_number_value(json_object_get(json, "shift"));
    out->rows = json_integer_value(json_object_get(json, "rows"));
    out->ece_before = json_number_value(json_object_get(json, "ece_before"));
    out->ece_after = json_number_value(json_object_get(json, "ece_after"));
    for (int i = 0; out->kind == IL_CALIBRATION_ISOTONIC && i < 2; i++) {
        IL_TRY(
            find(k, "calibration.", tensors[i], (wanted){f32, -1, NULL}, &t[i], err));
        corners[i] = kept(k->d, t[i]);
        out->count = (int64_t)(t[i]->bytes / sizeof(float));
        if (corners[i] == NULL) {
            return no_memory(k, err);
        }
    }
    if (t[0] != NULL && (t[0]->bytes != t[1]->bytes || out->count < 1)) {
        return il_error_set(err, IL_ERR_INPUT, k->where,
                            "'%scalibration' has %zu logits and %zu probabilities, "
                            "expected as many of both",
                            k->prefix, t[0]->bytes / sizeof(float),
                            t[1]->bytes / sizeof(float));
    }
    for (int64_t i = 0; i < out->count; i++) {
        bool rises = i == 0 || (corners[0][i] > corners[0][i - 1] &&
                                corners[1][i] >= corners[1][i - 1]);

        if (!rises || !isfinite(corners[0][i]) || !(corners[1][i] >= 0) ||
            !(corners[1][i] <= 1)) {
            return il_error_set(err, IL_ERR_INPUT, k->where,
                                "corner %lld of '%scalibration' does not rise, or is "
                                "no probability",
                                (long long)i, k->prefix);
        }
    }
    out->logits = corners[0];
    out->probabilities = corners[1];
    return IL_OK;
}

static il_status take(const il__kept *k, taken *out, il_error *err)
{
    const il_detector *d = k->d;
    size_t inputs = il_detector_input_count(d);
    const char *scaling = json_string_value(json_object_get(k->contract, "scaling"));

    out->mean = il_arena_calloc(d->arena, inputs + 1, sizeof *out->mean);
    out->inv = il_arena_calloc(d->arena, inputs + 1, sizeof *out->inv);
    if (out->mean == NULL || out->inv == NULL) {
        return no_memory(k, err);
    }
    IL_TRY(take_values(k, out, err));
    if (scaling != NULL && strcmp(scaling, IL_SCALING_STANDARD) == 0) {
        IL_TRY(take_scaling(k, out, err));
    }
    IL_TRY(take_calibration(k, &out->truth, err));
    IL_TRY(take_ids(k, "fit", &out->fit, err));
    IL_TRY(take_ids(k, "calibration", &out->calibration, err));
    return take_moments(k, out, err);
}

/* What a contract says beside its tensors. */
static void take_words(il_detector *d, const json_t *contract)
{
    const json_t *threshold = json_object_get(contract, "threshold");
    const json_t *rate = json_object_get(contract, "rate");
    const char *model = json_string_value(json_object_get(contract, "model"));
    const char *unit = json_string_value(json_object_get(contract, "unit"));

    d->has_threshold = json_is_number(threshold);
    d->threshold = json_number_value(threshold);
    d->rate = json_is_number(rate) ? json_number_value(rate) : NAN;
    for (int u = 0; unit != NULL && u < IL_UNITS; u++) {
        if (strcmp(unit, il_unit_name((il_unit)u)) == 0) {
            d->unit = (il_unit)u;
        }
    }
    d->negatives = json_integer_value(json_object_get(contract, "negatives"));
    d->apart = json_number_value(json_object_get(contract, "apart"));
    d->middle = json_number_value(json_object_get(contract, "middle"));
    d->zero = json_number_value(json_object_get(contract, "zero"));
    d->offset = 0; /* until the trusted rows are read again */
    (void)snprintf(d->model_hash, sizeof d->model_hash, "%s",
                   model != NULL ? model : "");
}

il_status il__detector_take(const il__kept *k, il_error *err)
{
    il_detector *d = k->d;
    const il_store *store = d->instance->store;
    taken all = {.values = NULL};
    il_status status = take(k, &all, err);

    if (status != IL_OK) {
        free(all.values);
        free(all.m);
        free(all.v);
        return status;
    }
    if (store->total > 0) { /* some have no parameters */
        memcpy(store->values, all.values, (size_t)store->total * sizeof *all.values);
    }
    free(all.values);
    memcpy(d->mean, all.mean, il_detector_input_count(d) * sizeof *d->mean);
    memcpy(d->inv, all.inv, il_detector_input_count(d) * sizeof *d->inv);
    d->fit_ids = all.fit;
    d->calibration_ids = all.calibration;
    d->calibration = all.truth;
    free(d->m);
    free(d->v);
    d->m = all.m;
    d->v = all.v;
    d->steps = all.steps;
    d->fitted = true;
    take_words(d, k->contract);
    return IL_OK;
}

il_status il_detector_restore(il_detector *d, const il_safetensors *file,
                              const json_t *contract, il_error *err)
{
    il_mismatches apart;
    char prefix[256];
    il__kept k = {d, file, contract, prefix, d->spec->name, false};

    il_contract_compare(d, contract, &apart);
    if (apart.count > 0) {
        return il_error_set(
            err, IL_ERR_INPUT, d->spec->name,
            "the detector was saved with another %s: expected '%s', got '%s'",
            apart.items[0].what, apart.items[0].expected, apart.items[0].got);
    }
    (void)snprintf(prefix, sizeof prefix, "detectors.%s.", d->spec->name);
    return il__detector_take(&k, err);
}

il_status il_detector_restore_all(il_detector *d, const il_safetensors *file,
                                  const json_t *contracts, il_error *err)
{
    const json_t *contract = json_object_get(contracts, d->spec->name);

    for (size_t i = 0; i < d->member_count; i++) {
        IL_TRY(il_detector_restore_all(d->members[i], file, contracts, err));
    }
    /* One that nothing was fitted in has no state. */
    return contract != NULL || d->member_count == 0
               ? il_detector_restore(d, file, contract, err)
               : IL_OK;
}
