#include "exchange/weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "exchange/arrays.h"
#include "exchange/settings.h"
#include "formats/npz.h"

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* ---- sparsify ------------------------------------------------------------------- */

/* Options that make another thing of it. */
static il_status refuse_options(const il_settings *c, il_error *err)
{
    static const struct {
        const char *key, *why;
    } options[] = {{"transcode", "it reads one site and gives another"},
                   {"skip_connection", "it adds a linear map of its input"},
                   {"embed_skip", "it adds a map of the embeddings"},
                   {"gram_lookup", "it subtracts a table of n-grams"},
                   {"signed", "its features may be negative"}};
    const char *activation = NULL;

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        bool on = false;

        IL_TRY(il_settings_flag(c, options[i].key, false, &on, err));
        if (on) {
            return il_error_set(err, IL_ERR_INPUT, c->path,
                                "%s: no sparse autoencoder on one site: %s",
                                options[i].key, options[i].why);
        }
    }
    IL_TRY(il_settings_text(c, "activation", "topk", &activation, err));
    if (strcmp(activation, "topk") != 0) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "activation: expected topk, got '%.64s'", activation);
    }
    return IL_OK;
}

static il_status read_sizes(const il_settings *c, il_dictionary *d, il_error *err)
{
    int64_t factor = 0;

    IL_TRY(il_settings_whole(c, "d_in", 1, -1, &d->width, err));
    IL_TRY(il_settings_whole(c, "num_latents", 0, 0, &d->features, err));
    if (d->features == 0) { /* then the factor says how many */
        IL_TRY(il_settings_whole(c, "expansion_factor", 1, -1, &factor, err));
        d->features = d->width * factor;
    }
    IL_TRY(il_settings_whole(c, "k", 1, -1, &d->k, err));
    if (d->k > d->features) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "k: expected 1 to %" PRId64 ", the latents, got %" PRId64,
                            d->features, d->k);
    }
    return refuse_options(c, err);
}

/* "model.layers.5" is the residual stream after block 5, "layers.5.mlp" what its MLP
 * gives. NULL for another name, and when memory is out. */
static char *site_of_folder(const char *folder)
{
    const char *at = strstr(folder, "layers.");
    il_text site = {0};
    char *end;
    long layer;

    if (at == NULL) {
        size_t n = strlen(folder);
        static const char embed[] = "embed_tokens";

        return n >= sizeof embed - 1 &&
                       strcmp(folder + n - (sizeof embed - 1), embed) == 0
                   ? strdup("hook_embed")
                   : NULL;
    }
    layer = strtol(at + strlen("layers."), &end, 10);
    if (end == at + strlen("layers.") || layer < 0) {
        return NULL;
    }
    if (*end == '\0' || *end == '/') {
        il_text_addf(&site, "blocks.%ld.hook_resid_post", layer);
    } else if (strcmp(end, ".mlp") == 0) {
        il_text_addf(&site, "blocks.%ld.hook_mlp_out", layer);
    }
    if (site.failed) {
        il_text_free(&site);
        return NULL;
    }
    return site.data;
}

static il_status read_sparsify(il_dictionary *d, const char *path, il_error *err)
{
    const int64_t shape[] = {d->features, d->width};
    il_arrays *b = NULL;
    il_status status = il_arrays_open(&b, path, err);

    if (status == IL_OK) {
        status = il_arrays_floats(b, "encoder.weight", 2, shape, &d->encoder, err);
    }
    if (status == IL_OK) {
        status = il_arrays_floats(b, "encoder.bias", 1, shape, &d->encoder_bias, err);
    }
    if (status == IL_OK) {
        status = il_arrays_floats(b, "W_dec", 2, shape, &d->decoder, err);
    }
    if (status == IL_OK) {
        status = il_arrays_floats(b, "b_dec", 1, shape + 1, &d->decoder_bias, err);
    }
    il_arrays_close(b);
    return status;
}

il_status il_sparsify_read(il_dictionary *out, const char *folder, il_text *said,
                           il_error *err)
{
    char *config = il_path_join(folder, "cfg.json");
    char *weights = il_path_join(folder, "sae.safetensors");
    il_settings c = {NULL, NULL};
    il_dictionary d = {.form = IL_DICTIONARY_TOPK, .centred = true};
    il_status status =
        config != NULL && weights != NULL ? IL_OK : no_memory(folder, err);

    if (status == IL_OK) {
        status = il_settings_open(&c, config, err);
    }
    if (status == IL_OK) {
        status = read_sizes(&c, &d, err);
    }
    if (status == IL_OK) {
        status = read_sparsify(&d, weights, err);
    }
    if (status == IL_OK) {
        d.site = site_of_folder(folder);
        d.metadata = json_deep_copy(c.json);
        il_text_addf(said,
                     "sparsify folder: topk of k %" PRId64 ", %" PRId64
                     " channels, %" PRId64 " features\n",
                     d.k, d.width, d.features);
        if (d.site != NULL) {
            il_text_addf(said, "its name says that it reads %s\n", d.site);
        }
        *out = d;
        memset(&d, 0, sizeof d);
    }
    il_dictionary_clear(&d);
    il_settings_close(&c);
    free(weights);
    free(config);
    return status;
}

/* ---- Gemma Scope ---------------------------------------------------------------- */

static il_status read_scope(il_dictionary *d, il_arrays *b, il_error *err)
{
    const char *encoder = il_arrays_has(b, "w_enc") ? "w_enc" : "W_enc";
    const char *decoder = il_arrays_has(b, "w_dec") ? "w_dec" : "W_dec";
    const char *path = il_arrays_path(b);
    const il_array *a = NULL;
    char shape[96];
    int64_t in[2];
    int64_t out[2];

    if (il_arrays_has(b, "affine_skip_connection")) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor 'affine_skip_connection': no sparse autoencoder on "
                            "one site: it adds a linear map of its input");
    }
    IL_TRY(il_arrays_array(b, encoder, &a, err));
    if (a->ndim != 2 || il_array_count(a) == 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor '%s': expected shape (W, F), got %s", encoder,
                            il_array_shape(a->ndim, a->shape, shape));
    }
    d->width = in[0] = out[1] = a->shape[0];
    d->features = in[1] = out[0] = a->shape[1];
    /* The biases know which of the two is which, where the encoder lies wrong. */
    IL_TRY(il_arrays_floats(b, "b_dec", 1, in, &d->decoder_bias, err));
    IL_TRY(il_arrays_floats(b, "b_enc", 1, out, &d->encoder_bias, err));
    IL_TRY(il_arrays_floats(b, "threshold", 1, out, &d->threshold, err));
    IL_TRY(il_arrays_floats(b, decoder, 2, out, &d->decoder, err));
    IL_TRY(il_arrays_floats(b, encoder, 2, in, &d->encoder, err));
    return il_dictionary_turn(d, path, err);
}

il_status il_gemma_scope_read(il_dictionary *out, const char *path, il_text *said,
                              il_error *err)
{
    il_dictionary d = {.form = IL_DICTIONARY_JUMPRELU};
    il_arrays *b = NULL;
    il_status status = il_arrays_open(&b, path, err);

    if (status == IL_OK) {
        status = read_scope(&d, b, err);
    }
    il_arrays_close(b);
    if (status != IL_OK) {
        il_dictionary_clear(&d);
        return status;
    }
    il_text_addf(said,
                 "Gemma Scope's parameters: jumprelu, %" PRId64 " channels, %" PRId64
                 " features\n",
                 d.width, d.features);
    *out = d;
    return IL_OK;
}

il_status il_gemma_scope_write(const il_dictionary *d, const char *path, il_error *err)
{
    const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    size_t row = (size_t)d->width * sizeof(float);
    size_t column = (size_t)d->features * sizeof(float);
    size_t all = (size_t)d->features * row;
    float *turned;
    float *bias;
    il_status status;

    if (d->form != IL_DICTIONARY_JUMPRELU || d->scaling != IL_DICTIONARY_PLAIN) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "params.npz can say jumprelu without a scaling of rows "
                            "alone, got %s with %s: export to saelens",
                            il_dictionary_form_name(d->form),
                            il_dictionary_scaling_name(d->scaling));
    }
    turned = malloc(all);
    bias = malloc(column);
    status = turned != NULL && bias != NULL ? IL_OK : no_memory(path, err);
    for (int64_t f = 0; status == IL_OK && f < d->features; f++) {
        double sum = d->encoder_bias[f];

        for (int64_t c = 0; c < d->width; c++) {
            turned[c * d->features + f] = d->encoder[f * d->width + c];
            /* The format does not centre: the bias takes that in. */
            sum -= d->centred
                       ? (double)d->encoder[f * d->width + c] * d->decoder_bias[c]
                       : 0.0;
        }
        bias[f] = (float)sum;
    }
    if (status == IL_OK) {
        const il_npz_source arrays[] = {
            {"W_enc", {f32, 2, {d->width, d->features}, turned, all}},
            {"W_dec", {f32, 2, {d->features, d->width}, d->decoder, all}},
            {"b_enc", {f32, 1, {d->features}, bias, column}},
            {"b_dec", {f32, 1, {d->width}, d->decoder_bias, row}},
            {"threshold", {f32, 1, {d->features}, d->threshold, column}}};

        status = il_npz_write(path, arrays, 5, err);
    }
    free(bias);
    free(turned);
    return status;
}
