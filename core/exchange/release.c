/* Detectors of ours as other people's formats put them. See adopt.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "detect/linear.h"
#include "exchange/adopt.h"

static il_status no_memory(const il_detector *d, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
}

static const char *param_text(const json_t *contract, const char *key)
{
    return json_string_value(json_object_get(json_object_get(contract, "params"), key));
}

/* A copy of a parameter of so many values; without one *out stays NULL where it may be
 * missing. */
static il_status copy(const il_detector *d, const char *name, int64_t count,
                      float **out, il_error *err)
{
    const il_store *store = d->instance->store;
    int64_t i = il_store_find(store, name);

    if (i < 0 || store->items[i].count != count) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->component.use,
                            "expected a parameter '%s' of %" PRId64
                            " values, as the shipped sae has",
                            name, count);
    }
    *out = malloc((size_t)count * sizeof **out);
    if (*out == NULL) {
        return no_memory(d, err);
    }
    memcpy(*out, store->values + store->items[i].offset, (size_t)count * sizeof **out);
    return IL_OK;
}

static il_status read_form(il_dictionary *out, const il_detector *d,
                           const json_t *params, il_error *err)
{
    static const struct {
        const char *name;
        il_dictionary_form form;
    } forms[] = {{"standard", IL_DICTIONARY_STANDARD},
                 {"topk", IL_DICTIONARY_TOPK},
                 {"jumprelu", IL_DICTIONARY_JUMPRELU},
                 {"batchtopk", IL_DICTIONARY_JUMPRELU},
                 {"gated", IL_DICTIONARY_GATED}};
    const char *name = param_text(params, "architecture");

    for (size_t i = 0; name != NULL && i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(name, forms[i].name) == 0) {
            out->form = forms[i].form;
            return IL_OK;
        }
    }
    return il_error_set(err, IL_ERR_INPUT, d->spec->component.use,
                        "architecture: expected standard, topk, batchtopk, jumprelu or "
                        "gated, got '%s'",
                        name != NULL ? name : "nothing");
}

static il_dictionary_scaling read_scaling(const json_t *contract)
{
    const char *name = param_text(contract, "normalize");

    return name != NULL && strcmp(name, "constant_norm") == 0 ? IL_DICTIONARY_RESCALED
           : name != NULL && strcmp(name, "layer_norm") == 0  ? IL_DICTIONARY_LAYER_NORM
                                                              : IL_DICTIONARY_PLAIN;
}

static il_status copy_all(il_dictionary *out, const il_detector *d, il_error *err)
{
    int64_t all = out->features * out->width;

    IL_TRY(copy(d, "W_enc", all, &out->encoder, err));
    IL_TRY(copy(d, "W_dec", all, &out->decoder, err));
    IL_TRY(copy(d, "b_dec", out->width, &out->decoder_bias, err));
    if (out->form == IL_DICTIONARY_GATED) {
        IL_TRY(copy(d, "b_gate", out->features, &out->gate_bias, err));
        IL_TRY(copy(d, "r_mag", out->features, &out->log_scale, err));
        return copy(d, "b_mag", out->features, &out->encoder_bias, err);
    }
    IL_TRY(copy(d, "b_enc", out->features, &out->encoder_bias, err));
    return out->form == IL_DICTIONARY_JUMPRELU
               ? copy(d, "threshold", out->features, &out->threshold, err)
               : IL_OK;
}

/* One factor for all rows, which formats fold into the weights. */
static il_status fold_scale(il_dictionary *out, const il_detector *d, il_error *err)
{
    float *scale = NULL;

    if (il_store_find(d->instance->store, "scale") < 0) {
        return IL_OK;
    }
    IL_TRY(copy(d, "scale", 1, &scale, err));
    if (*scale > 0 && *scale != 1) {
        il_dictionary_scale_input(out, *scale);
    }
    free(scale);
    return IL_OK;
}

static il_status read_all(il_dictionary *out, const il_detector *d,
                          const json_t *contract, il_error *err)
{
    const json_t *params = json_object_get(contract, "params");
    const json_t *origin = json_object_get(contract, "origin");
    const char *model = json_string_value(json_object_get(origin, "model"));

    out->width = d->widths[0];
    out->features = il_instance_detector(d->instance)->feature_width(d->instance->self);
    out->k = json_integer_value(json_object_get(params, "k"));
    out->centred = !json_is_false(json_object_get(params, "apply_b_dec"));
    out->scaling = read_scaling(contract);
    IL_TRY(read_form(out, d, contract, err));
    IL_TRY(copy_all(out, d, err));
    IL_TRY(fold_scale(out, d, err));
    out->site = strdup(d->spec->sites.items[0]);
    out->model = model != NULL ? strdup(model) : NULL;
    out->metadata = json_deep_copy(json_object_get(origin, "metadata"));
    return out->site != NULL ? IL_OK : no_memory(d, err);
}

il_status il_dictionary_of(il_dictionary *out, const il_detector *d,
                           const json_t *contract, il_error *err)
{
    il_dictionary all = {.k = 0};
    json_t *own = contract == NULL ? il_detector_contract(d) : NULL;
    il_status status;

    if (!il_detector_is_dictionary(d)) {
        json_decref(own);
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "expected a dictionary on one site, got %s on %zu",
                            d->spec->component.use, d->site_count);
    }
    status = read_all(&all, d, contract != NULL ? contract : own, err);
    json_decref(own);
    if (status != IL_OK) {
        il_dictionary_clear(&all);
        return status;
    }
    *out = all;
    return IL_OK;
}

/* "blocks.4.hook_resid_post" is of layer 4. */
static int64_t layer_of(const char *site)
{
    static const char blocks[] = "blocks.";
    char *end;
    long layer;

    if (strncmp(site, blocks, sizeof blocks - 1) != 0) {
        return -1;
    }
    layer = strtol(site + sizeof blocks - 1, &end, 10);
    return end != site + sizeof blocks - 1 && *end == '.' && layer >= 0 ? layer : -1;
}

il_status il_direction_of(il_direction *out, const il_detector *d, il_error *err)
{
    int64_t width = d->member_count == 0 ? il_detector_width(d) : 0;
    double *whole;
    float *weight;

    if (d->member_count > 0 || !il_detector_linear(d)) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "expected a linear detector on sites, got %s",
                            d->spec->component.use);
    }
    whole = malloc(((size_t)width + 1) * sizeof *whole);
    weight = malloc(((size_t)width + 1) * sizeof *weight);
    if (whole == NULL || weight == NULL) {
        free(whole);
        free(weight);
        return no_memory(d, err);
    }
    il_detector_direction(d, whole);
    for (int64_t c = 0; c < width; c++) {
        weight[c] = (float)whole[c];
    }
    *out = (il_direction){layer_of(d->spec->sites.items[0]), width, weight,
                          (float)whole[width]};
    free(whole);
    return IL_OK;
}
