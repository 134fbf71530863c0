#include "exchange/adopt.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/linear.h"
#include "interloop/abi.h"

enum { RUN_CHUNK = 256 }; /* rows a pass */

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* ---- a component for it --------------------------------------------------------- */

/* Text and numbers as a component's params; values of NULL are left out. */
typedef struct given {
    const char *key, *value;
} given;

static il_status set_params(il_adopted *a, const given *params, size_t count,
                            il_error *err)
{
    il_place place = {.file = "import"};
    il_node *map = il_node_map(a->arena, place);

    for (size_t i = 0; map != NULL && i < count; i++) {
        il_node *value = il_node_scalar(a->arena, params[i].value, false, place);

        if (value == NULL || !il_node_put(a->arena, map, params[i].key, place, value)) {
            map = NULL;
        }
    }
    if (map == NULL) {
        return no_memory("import", err);
    }
    a->spec.component.params = count > 0 ? map : NULL;
    return IL_OK;
}

/* The adopted thing with its spec, as yet without a detector. */
static il_status begin(il_adopted **out, const il_adopt_input *in, int64_t width,
                       il_error *err)
{
    il_adopted *a = calloc(1, sizeof *a);
    il_detector_spec *s;
    const char *dot = strrchr(in->use, '.');

    if (a == NULL || (a->arena = il_arena_create(1 << 14)) == NULL) {
        free(a);
        return no_memory("import", err);
    }
    s = &a->spec;
    s->name = il_arena_strdup(a->arena, dot != NULL ? dot + 1 : in->use);
    s->component.use = il_arena_strdup(a->arena, in->use);
    s->component.range = "";
    s->component.place = s->component.use_place = (il_place){.file = "import"};
    s->tokens = il_arena_strdup(a->arena, in->tokens);
    s->sites.items = il_arena_calloc(a->arena, 1, sizeof *s->sites.items);
    s->sites.places = il_arena_calloc(a->arena, 1, sizeof *s->sites.places);
    a->declared.name = il_arena_strdup(a->arena, in->site);
    if (s->name == NULL || s->component.use == NULL || s->tokens == NULL ||
        s->sites.items == NULL || s->sites.places == NULL || a->declared.name == NULL) {
        il_adopted_close(a);
        return no_memory("import", err);
    }
    s->sites.items[0] = a->declared.name;
    s->sites.count = 1;
    a->declared.width = width;
    a->model =
        (il_instance){.label = "no model", .sites = &a->declared, .site_count = 1};
    a->origin = json_incref(in->origin);
    *out = a;
    return IL_OK;
}

static il_status create(il_adopted *a, const il_adopt_input *in, il_problems *problems,
                        il_error *err)
{
    il_detector_input make = {.registry = in->registry,
                              .spec = &a->spec,
                              .model = &a->model,
                              .seed = 1,
                              .log = in->log};

    IL_TRY(il_detector_create(&a->detector, &make, problems, err));
    a->detector->convention = il_arena_strdup(a->arena, in->convention);
    (void)snprintf(a->detector->model_hash, sizeof a->detector->model_hash, "%s",
                   in->model);
    return a->detector->convention != NULL ? IL_OK : no_memory("import", err);
}

/* Where a parameter of the component lies, which is to have so many values. */
static il_status find(const il_detector *d, const char *name, int64_t count,
                      float **out, il_error *err)
{
    const il_store *store = d->instance->store;
    int64_t i = il_store_find(store, name);

    if (i < 0) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->component.use,
                            "this component has no parameter '%s': expected one that "
                            "names its parameters as the shipped sae does",
                            name);
    }
    if (store->items[i].count != count) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->component.use,
                            "its parameter '%s' has %" PRId64
                            " values, and the weights have %" PRId64,
                            name, store->items[i].count, count);
    }
    *out = store->values + store->items[i].offset;
    return IL_OK;
}

static il_status put(const il_detector *d, const char *name, const float *from,
                     int64_t count, il_error *err)
{
    float *to = NULL;

    IL_TRY(find(d, name, count, &to, err));
    memcpy(to, from, (size_t)count * sizeof *to);
    return IL_OK;
}

/* ---- dictionaries --------------------------------------------------------------- */

static bool has_slots(const il_detector *d)
{
    const il_detector_api *api = il_instance_detector(d->instance);

    return IL_HAS(api, features) && IL_HAS(api, feature_width) &&
           IL_HAS(api, reconstruct);
}

bool il_detector_is_dictionary(const il_detector *d)
{
    return d->member_count == 0 && d->site_count == 1 && has_slots(d);
}

/* The component's words for a scaling of rows. */
static const char *normalize_of(il_dictionary_scaling scaling)
{
    static const char *const names[] = {"none", "constant_norm", "layer_norm"};

    return names[scaling];
}

static il_status dictionary_params(il_adopted *a, const il_dictionary *d, il_error *err)
{
    char numbers[2][32];
    const given params[] = {{"architecture", il_dictionary_form_name(d->form)},
                            {"features", numbers[0]},
                            {"normalize", normalize_of(d->scaling)},
                            {"apply_b_dec", d->centred ? "true" : "false"},
                            {"k", numbers[1]}};
    size_t count = d->form == IL_DICTIONARY_TOPK ? 5 : 4;

    (void)snprintf(numbers[0], sizeof numbers[0], "%" PRId64, d->features);
    (void)snprintf(numbers[1], sizeof numbers[1], "%" PRId64, d->k);
    return set_params(a, params, count, err);
}

/* A threshold below 0 would let negative features through, where the formats have a
 * relu as well. */
static il_status put_threshold(const il_detector *det, const il_dictionary *d,
                               il_error *err)
{
    float *to = NULL;

    IL_TRY(find(det, "threshold", d->features, &to, err));
    for (int64_t f = 0; f < d->features; f++) {
        to[f] = d->threshold[f] > 0 ? d->threshold[f] : 0;
    }
    return IL_OK;
}

static il_status put_dictionary(const il_detector *det, const il_dictionary *d,
                                int64_t feature, il_error *err)
{
    int64_t all = d->features * d->width;
    float *readout = NULL;

    IL_TRY(put(det, "W_enc", d->encoder, all, err));
    IL_TRY(put(det, "W_dec", d->decoder, all, err));
    IL_TRY(put(det, "b_dec", d->decoder_bias, d->width, err));
    if (d->form == IL_DICTIONARY_GATED) {
        IL_TRY(put(det, "b_gate", d->gate_bias, d->features, err));
        IL_TRY(put(det, "r_mag", d->log_scale, d->features, err));
        IL_TRY(put(det, "b_mag", d->encoder_bias, d->features, err));
    } else {
        IL_TRY(put(det, "b_enc", d->encoder_bias, d->features, err));
    }
    if (d->form == IL_DICTIONARY_JUMPRELU) {
        IL_TRY(put_threshold(det, d, err));
    }
    if (feature >= d->features) {
        return il_error_set(err, IL_ERR_INPUT, "feature",
                            "expected one of the %" PRId64
                            " features, from 0 on, got %" PRId64,
                            d->features, feature);
    }
    if (feature >= 0) {
        IL_TRY(find(det, "readout", d->features, &readout, err));
        readout[feature] = 1;
    }
    return IL_OK;
}

il_status il_adopt_dictionary(il_adopted **out, const il_dictionary *d,
                              const il_adopt_input *in, il_problems *problems,
                              il_error *err)
{
    il_adopted *a = NULL;
    il_status status = begin(&a, in, d->width, err);

    if (status == IL_OK) {
        status = dictionary_params(a, d, err);
    }
    if (status == IL_OK) {
        status = create(a, in, problems, err);
    }
    if (status == IL_OK && !il_detector_is_dictionary(a->detector)) {
        status = il_error_set(err, IL_ERR_INPUT, in->use,
                              "expected a dictionary, whose features can be asked for");
    }
    if (status == IL_OK) {
        status = put_dictionary(a->detector, d, in->feature, err);
    }
    if (status != IL_OK) {
        il_adopted_close(a);
        return status;
    }
    a->detector->fitted = true;
    *out = a;
    return IL_OK;
}

/* ---- directions ----------------------------------------------------------------- */

static il_status put_direction(il_detector *det, const il_direction *d, bool steers,
                               il_error *err)
{
    const il_store *store = det->instance->store;
    il_param weight = {-1};
    il_param bias = {-1};
    double squares = 0;

    if (!il_detector_linear(det)) {
        return il_error_set(err, IL_ERR_INPUT, det->spec->component.use,
                            "expected a linear detector: one weight a channel and a "
                            "bias");
    }
    il_instance_detector(det->instance)->linear(det->instance->self, &weight, &bias);
    IL_TRY(put(det, store->items[weight.id].name, d->weight, d->width, err));
    IL_TRY(put(det, store->items[bias.id].name, &d->bias, 1, err));
    for (int64_t c = 0; c < d->width; c++) {
        squares += (double)d->weight[c] * d->weight[c];
    }
    det->apart = steers ? sqrt(squares) : 0;
    return IL_OK;
}

il_status il_adopt_direction(il_adopted **out, const il_direction *d, bool steers,
                             const il_adopt_input *in, il_problems *problems,
                             il_error *err)
{
    il_adopted *a = NULL;
    il_status status = begin(&a, in, d->width, err);

    if (status == IL_OK) {
        status = create(a, in, problems, err);
    }
    if (status == IL_OK) {
        status = put_direction(a->detector, d, steers, err);
    }
    if (status != IL_OK) {
        il_adopted_close(a);
        return status;
    }
    a->detector->fitted = true;
    *out = a;
    return IL_OK;
}

void il_adopted_close(il_adopted *a)
{
    if (a == NULL) {
        return;
    }
    il_detector_destroy(a->detector);
    json_decref(a->origin);
    il_arena_destroy(a->arena);
    free(a);
}

/* ---- asked ---------------------------------------------------------------------- */

static void take(float *to, const il_tensor *t, int64_t row, int64_t rows)
{
    int64_t width = t != NULL && rows > 0 ? il_count(t) / rows : 0;

    if (to != NULL && t != NULL) {
        memcpy(to + row * width, il_f32(t), (size_t)(rows * width) * sizeof *to);
    }
}

static il_status run_chunk(const il_detector *d, il_pass *pass, int64_t row,
                           int64_t rows, const float *x, float *features, float *output,
                           float *logits, il_error *err)
{
    const il_detector_api *api = il_instance_detector(d->instance);
    const void *self = d->instance->self;
    const il_scope scope = {d->spec->name, d->instance->store,
                            (const float *const *)d->values, -1};
    il_tensor *in =
        il_pass_borrow(pass, IL_SHAPE(rows, d->widths[0]), x + row * d->widths[0]);
    const il_reading r = {.struct_size = sizeof r,
                          .sites = 1,
                          .acts = &in,
                          .batch = rows,
                          .length = 1,
                          .context = IL_CONTEXT_SELF};
    il_tensor *f = NULL;
    il_tensor *y = NULL;
    il_tensor *z = NULL;

    il_pass_enter(pass, &scope);
    f = features != NULL ? api->features(self, pass, &r) : NULL;
    y = output != NULL ? api->reconstruct(self, pass, &r) : NULL;
    z = logits != NULL ? api->score(self, pass, &r) : NULL;
    il_pass_leave(pass);
    IL_TRY(il_pass_status(pass, err));
    take(features, f, row, rows);
    take(output, y, row, rows);
    take(logits, z, row, rows);
    return IL_OK;
}

il_status il_adopted_run(const il_adopted *a, const il_blas *blas, int64_t rows,
                         const float *x, float *features, float *output, float *logits,
                         il_error *err)
{
    il_pass *pass = NULL;
    il_status status = il_pass_create(&pass, blas, 0, err);

    for (int64_t row = 0; row < rows && status == IL_OK; row += RUN_CHUNK) {
        int64_t n = rows - row < RUN_CHUNK ? rows - row : RUN_CHUNK;

        il_pass_begin(pass);
        status = run_chunk(a->detector, pass, row, n, x, features, output, logits, err);
    }
    il_pass_destroy(pass);
    return status;
}

il_status il_adopted_write(const il_adopted *a, const char *path, il_error *err)
{
    const il_detector *d = a->detector;
    size_t prefix = strlen("detectors.") + strlen(d->spec->name) + 1;
    json_t *contract = il_detector_contract(d);
    il_safetensor *items = NULL;
    size_t count = 0;
    il_status status = contract != NULL
                           ? il_detector_state(d, false, a->arena, &items, &count, err)
                           : no_memory(path, err);

    for (size_t i = 0; status == IL_OK && i < count; i++) {
        items[i].name += prefix;
    }
    if (status == IL_OK && a->origin != NULL) {
        json_object_set(contract, "origin", a->origin);
    }
    if (status == IL_OK) {
        status = il_saved_write_parts(path, contract, items, count, err);
    }
    json_decref(contract);
    return status;
}
