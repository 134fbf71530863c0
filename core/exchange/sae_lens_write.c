/* The writer: weights as SAELens lays them out, then a configuration of version 6. */
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "exchange/sae_lens.h"
#include "formats/safetensors.h"

/* The version whose form is written: below 6 SAELens reads the flat one. */
static const char version[] = "6.0.0";

/* SAELens' own keys, and what the dictionary says of its making. A value of null is one
 * that SAELens allows and nobody knows. */
static json_t *configuration(const il_dictionary *d)
{
    json_t *about =
        json_is_object(d->metadata) ? json_deep_copy(d->metadata) : json_object();
    json_t *json = json_pack(
        "{s:s, s:I, s:I, s:s, s:s, s:b, s:s, s:s}", "architecture",
        il_dictionary_form_name(d->form), "d_in", (json_int_t)d->width, "d_sae",
        (json_int_t)d->features, "dtype", "float32", "device", "cpu",
        "apply_b_dec_to_input", d->centred, "normalize_activations",
        il_dictionary_scaling_name(d->scaling), "reshape_activations", "none");

    if (json == NULL || about == NULL) {
        json_decref(json);
        json_decref(about);
        return NULL;
    }
    if (d->form == IL_DICTIONARY_TOPK) {
        json_object_set_new(json, "k", json_integer(d->k));
        json_object_set_new(json, "rescale_acts_by_decoder_norm", json_false());
    }
    json_object_set_new(about, "sae_lens_version", json_string(version));
    if (d->site != NULL) {
        json_object_set_new(about, "hook_name", json_string(d->site));
    }
    if (d->model != NULL) {
        json_object_set_new(about, "model_name", json_string(d->model));
    }
    json_object_set_new(json, "metadata", about);
    return json;
}

static il_safetensor tensor(const char *name, const float *data, int32_t ndim,
                            int64_t rows, int64_t columns)
{
    size_t count = (size_t)(rows * (ndim == 2 ? columns : 1));
    il_safetensor t = {name, {IL_CODE_FLOAT, 32, 1}, ndim, {rows, columns},
                       data, count * sizeof(float)};

    return t;
}

static il_status write_weights(const il_dictionary *d, const char *path, il_error *err)
{
    size_t bytes = (size_t)(d->width * d->features) * sizeof(float);
    float *turned = malloc(bytes);
    il_safetensor all[6];
    size_t n = 0;
    il_status status;

    if (turned == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    for (int64_t c = 0; c < d->width; c++) {
        for (int64_t f = 0; f < d->features; f++) {
            turned[c * d->features + f] = d->encoder[f * d->width + c];
        }
    }
    all[n++] = tensor("W_enc", turned, 2, d->width, d->features);
    all[n++] = tensor("W_dec", d->decoder, 2, d->features, d->width);
    all[n++] = tensor("b_dec", d->decoder_bias, 1, d->width, 0);
    if (d->form == IL_DICTIONARY_GATED) {
        all[n++] = tensor("b_gate", d->gate_bias, 1, d->features, 0);
        all[n++] = tensor("b_mag", d->encoder_bias, 1, d->features, 0);
        all[n++] = tensor("r_mag", d->log_scale, 1, d->features, 0);
    } else {
        all[n++] = tensor("b_enc", d->encoder_bias, 1, d->features, 0);
    }
    if (d->form == IL_DICTIONARY_JUMPRELU) {
        all[n++] = tensor("threshold", d->threshold, 1, d->features, 0);
    }
    status = il_safetensors_write(path, all, n, NULL, 0, err);
    free(turned);
    return status;
}

il_status il_sae_lens_write(const il_dictionary *d, const char *folder, il_error *err)
{
    char *config = il_path_join(folder, "cfg.json");
    char *weights = il_path_join(folder, "sae_weights.safetensors");
    json_t *json = configuration(d);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(1)) : NULL;
    il_status status = IL_OK;

    if (config == NULL || weights == NULL || text == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, folder, "out of memory");
        goto out;
    }
    if (il_file_exists(config)) {
        status = il_error_set(err, IL_ERR_INPUT, config,
                              "is there already: name a folder that holds none");
        goto out;
    }
    status = il_folder_make(folder, err);
    if (status == IL_OK) {
        status = write_weights(d, weights, err);
    }
    if (status == IL_OK) {
        status = il_file_write(config, text, strlen(text), err);
    }
out:
    free(text);
    json_decref(json);
    free(weights);
    free(config);
    return status;
}
