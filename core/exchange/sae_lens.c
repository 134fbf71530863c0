/* The reader. The configuration is read first and says which tensors there have to be
 * and of what shape; then come the tensors; last, what the configuration says that the
 * weights can take in is folded into them. */
#include "exchange/sae_lens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "exchange/arrays.h"
#include "exchange/settings.h"

/* All that cfg.json says of what is computed. */
typedef struct facts {
    il_dictionary_form form;
    il_dictionary_scaling scaling;
    const char *architecture;
    int64_t width, features, k;
    bool centred;
    bool by_norm;     /* features are weighed by the norms of the decoder's rows */
    bool in_training; /* a checkpoint: its threshold is one number for all features */
    bool unscaled;    /* asks for a scale of the input that it does not name */
} facts;

/* What SAELens writes that is no SAE on one site as it is understood here. */
static const struct {
    const char *name, *why;
} others[] = {
    {"transcoder", "it reads one site and gives another"},
    {"skip_transcoder", "it reads one site and gives another"},
    {"jumprelu_transcoder", "it reads one site and gives another"},
    {"jumprelu_skip_transcoder", "it reads one site and gives another"},
    {"abstopk", "its features may be negative"},
    {"temporal", "its features depend on the rows before"},
    {"matching_pursuit", "its features come from a pursuit, not from one product"},
};

static const struct {
    const char *name;
    il_dictionary_form form;
    bool in_training;
} architectures[] = {
    {"standard", IL_DICTIONARY_STANDARD, false},
    {"gated", IL_DICTIONARY_GATED, false},
    {"jumprelu", IL_DICTIONARY_JUMPRELU, false},
    {"topk", IL_DICTIONARY_TOPK, false},
    {"batchtopk", IL_DICTIONARY_JUMPRELU, true},
    {"matryoshka_batchtopk", IL_DICTIONARY_JUMPRELU, true},
};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

/* Version 6 says its version, at the top or among the metadata; without one, or with
 * one below 6, SAELens reads the flat form. */
static bool is_flat(const il_settings *c)
{
    const json_t *version = il_settings_get(c, "sae_lens_version");

    if (!json_is_string(version)) {
        version = json_object_get(il_settings_get(c, "metadata"), "sae_lens_version");
    }
    return !json_is_string(version) || strtol(json_string_value(version), NULL, 10) < 6;
}

static il_status read_architecture(const il_settings *c, bool flat, facts *f,
                                   il_error *err)
{
    const char *names[ARCHITECTURES];
    const char *near;

    IL_TRY(il_settings_text(c, "architecture", flat ? "standard" : NULL,
                            &f->architecture, err));
    if (f->architecture == NULL) {
        return il_error_set(err, IL_ERR_INPUT, c->path, "architecture: missing");
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(f->architecture, others[i].name) == 0) {
            return il_error_set(
                err, IL_ERR_INPUT, c->path,
                "architecture '%s' is no sparse autoencoder on one site: %s",
                others[i].name, others[i].why);
        }
    }
    for (size_t i = 0; i < ARCHITECTURES; i++) {
        names[i] = architectures[i].name;
        if (strcmp(f->architecture, names[i]) == 0) {
            f->form = architectures[i].form;
            f->in_training = architectures[i].in_training;
            return IL_OK;
        }
    }
    near = il_nearest(f->architecture, names, ARCHITECTURES);
    return il_error_set(err, IL_ERR_INPUT, c->path,
                        "architecture: expected standard, gated, jumprelu, topk, "
                        "batchtopk or matryoshka_batchtopk, got '%.64s'%s%s%s",
                        f->architecture, near != NULL ? "; did you mean '" : "",
                        near != NULL ? near : "", near != NULL ? "'?" : "");
}

/* The flat form gave the k largest as an activation function of the standard
 * architecture. */
static il_status read_activation(const il_settings *c, facts *f, il_error *err)
{
    const char *key = il_settings_get(c, "activation_fn_str") != NULL
                          ? "activation_fn_str"
                          : "activation_fn";
    const json_t *kwargs = il_settings_get(c, "activation_fn_kwargs");
    const json_t *k = json_object_get(kwargs, "k");
    const char *name;

    IL_TRY(il_settings_text(c, key, "relu", &name, err));
    if (strcmp(name, "topk") == 0 && json_is_integer(k)) {
        if (json_is_true(json_object_get(kwargs, "signed"))) {
            return il_error_set(err, IL_ERR_INPUT, c->path,
                                "activation_fn_kwargs: signed: features may be "
                                "negative, which no detector here has");
        }
        f->form = IL_DICTIONARY_TOPK;
        f->k = json_integer_value(k);
        return IL_OK;
    }
    if (strcmp(name, "relu") != 0) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "%s: expected relu, or topk with its k in "
                            "activation_fn_kwargs, got '%.64s'",
                            key, name);
    }
    return IL_OK;
}

static il_status read_scaling(const il_settings *c, facts *f, il_text *said,
                              il_error *err)
{
    const json_t *value = il_settings_get(c, "normalize_activations");
    const char *name = json_string_value(value);

    if (json_is_boolean(value)) { /* the first form of the key */
        name = json_is_true(value) ? "expected_average_only_in" : "none";
    }
    if (value == NULL || (name != NULL && strcmp(name, "none") == 0)) {
        return IL_OK;
    }
    if (name != NULL && strcmp(name, "expected_average_only_in") == 0) {
        f->unscaled = true;
    } else if (name != NULL && strcmp(name, "layer_norm") == 0) {
        f->scaling = IL_DICTIONARY_LAYER_NORM;
    } else if (name != NULL && strcmp(name, "constant_norm_rescale") == 0) {
        f->scaling = IL_DICTIONARY_RESCALED;
    } else if (name != NULL && strcmp(name, "covariance_whitening") == 0) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "normalize_activations: the whitening has not been folded "
                            "into the weights: save the SAE for inference first");
    } else {
        char shown[64];

        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "normalize_activations: expected none, "
                            "expected_average_only_in, constant_norm_rescale or "
                            "layer_norm, got %s",
                            il_settings_show(value, shown));
    }
    il_text_addf(said, "activations are scaled row by row: %s\n", name);
    return IL_OK;
}

static il_status read_facts(const il_settings *c, facts *f, il_text *said,
                            il_error *err)
{
    bool flat = is_flat(c);

    IL_TRY(read_architecture(c, flat, f, err));
    IL_TRY(il_settings_whole(c, "d_in", 1, -1, &f->width, err));
    IL_TRY(il_settings_whole(c, "d_sae", 1, -1, &f->features, err));
    IL_TRY(il_settings_flag(c, "apply_b_dec_to_input", true, &f->centred, err));
    il_text_addf(said,
                 "SAELens folder, %s configuration: %s, %" PRId64 " channels, %" PRId64
                 " features\n",
                 flat ? "the flat" : "version 6's", f->architecture, f->width,
                 f->features);
    IL_TRY(read_scaling(c, f, said, err));
    if (flat && f->form == IL_DICTIONARY_STANDARD) {
        IL_TRY(read_activation(c, f, err));
    } else if (f->form == IL_DICTIONARY_TOPK) {
        IL_TRY(il_settings_whole(c, "k", 1, -1, &f->k, err));
    }
    if (f->form == IL_DICTIONARY_TOPK && (f->k < 1 || f->k > f->features)) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "k: expected 1 to %" PRId64 ", the features, got %" PRId64,
                            f->features, f->k);
    }
    /* Checkpoints of a training weigh by default, saved SAEs do not. */
    return il_settings_flag(c, "rescale_acts_by_decoder_norm", f->in_training,
                            &f->by_norm, err);
}

/* The one threshold of a checkpoint, for each feature. */
static il_status read_shared_threshold(il_dictionary *d, il_arrays *b, il_error *err)
{
    float *one = NULL;

    IL_TRY(il_arrays_floats(b, "topk_threshold", 0, NULL, &one, err));
    d->threshold = malloc((size_t)d->features * sizeof *d->threshold);
    for (int64_t f = 0; d->threshold != NULL && f < d->features; f++) {
        d->threshold[f] = *one;
    }
    free(one);
    return d->threshold != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, il_arrays_path(b), "out of memory");
}

static il_status read_tensors(il_dictionary *d, const facts *f, il_arrays *b,
                              il_error *err)
{
    const int64_t in[] = {f->width, f->features};
    const int64_t out[] = {f->features, f->width};

    IL_TRY(il_arrays_floats(b, "W_enc", 2, in, &d->encoder, err));
    IL_TRY(il_dictionary_turn(d, il_arrays_path(b), err));
    IL_TRY(il_arrays_floats(b, "W_dec", 2, out, &d->decoder, err));
    IL_TRY(il_arrays_floats(b, "b_dec", 1, &f->width, &d->decoder_bias, err));
    if (f->form == IL_DICTIONARY_GATED) {
        IL_TRY(il_arrays_floats(b, "b_gate", 1, out, &d->gate_bias, err));
        IL_TRY(il_arrays_floats(b, "b_mag", 1, out, &d->encoder_bias, err));
        return il_arrays_floats(b, "r_mag", 1, out, &d->log_scale, err);
    }
    IL_TRY(il_arrays_floats(b, "b_enc", 1, out, &d->encoder_bias, err));
    if (f->in_training) {
        return read_shared_threshold(d, b, err);
    }
    return f->form == IL_DICTIONARY_JUMPRELU
               ? il_arrays_floats(b, "threshold", 1, out, &d->threshold, err)
               : IL_OK;
}

static il_status fold_norms(il_dictionary *d, il_error *err)
{
    double *norms = malloc((size_t)d->features * sizeof *norms);

    if (norms == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "dictionary", "out of memory");
    }
    il_dictionary_norms(d, norms);
    /* A checkpoint's threshold is already in the units of the weighed features. */
    if (d->form == IL_DICTIONARY_JUMPRELU) {
        for (int64_t f = 0; f < d->features; f++) {
            d->threshold[f] =
                norms[f] != 0 ? (float)(d->threshold[f] / norms[f]) : d->threshold[f];
        }
    }
    il_dictionary_scale_features(d, norms);
    free(norms);
    return IL_OK;
}

/* Factors on the features before they are decoded, from a fine-tuning: the decoder
 * takes them in. */
static il_status fold_finetuning(il_dictionary *d, il_arrays *b, il_text *said,
                                 il_error *err)
{
    static const char *const names[] = {"finetuning_scaling_factor", "scaling_factor"};
    const char *name = NULL;
    float *factor = NULL;

    for (size_t i = 0; i < 2 && name == NULL; i++) {
        name = il_arrays_has(b, names[i]) ? names[i] : NULL;
    }
    if (name == NULL) {
        return IL_OK;
    }
    IL_TRY(il_arrays_floats(b, name, 1, &d->features, &factor, err));
    for (int64_t f = 0; f < d->features; f++) {
        for (int64_t c = 0; c < d->width; c++) {
            d->decoder[f * d->width + c] *= factor[f];
        }
    }
    free(factor);
    il_text_addf(said, "%s is folded into the decoder\n", name);
    return IL_OK;
}

/* The factor of expected_average_only_in stands in a file of its own beside a
 * checkpoint; without one the SAE is taken as it is, as SAELens takes it. */
static il_status fold_scale(il_dictionary *d, const char *folder, il_text *said,
                            il_error *err)
{
    char *path = il_path_join(folder, "activation_scaler.json");
    il_settings c = {NULL, NULL};
    il_status status = IL_OK;
    double scale;

    if (path == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, folder, "out of memory");
    }
    if (!il_file_exists(path)) {
        il_text_add(said, "normalize_activations is expected_average_only_in and no "
                          "factor is given: taken as folded into the weights\n");
        free(path);
        return IL_OK;
    }
    status = il_settings_open(&c, path, err);
    scale = json_number_value(il_settings_get(&c, "scaling_factor"));
    if (status == IL_OK && scale > 0) {
        il_dictionary_scale_input(d, scale);
        il_text_addf(said, "the activations' factor %g is folded into the weights\n",
                     scale);
    } else if (status == IL_OK) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "scaling_factor: expected a number above 0");
    }
    il_settings_close(&c);
    free(path);
    return status;
}

static char *copied(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

/* Where it reads and what else is known of its making. */
static void read_about(il_dictionary *d, const il_settings *c, il_text *said)
{
    const json_t *about = il_settings_get(c, "metadata");
    const json_t *site;

    if (!json_is_object(about)) {
        about = c->json;
    }
    site = json_object_get(about, "hook_name");
    if (!json_is_string(site)) {
        site = json_object_get(about, "hook_point");
    }
    d->site = copied(json_string_value(site));
    d->model = copied(json_string_value(json_object_get(about, "model_name")));
    d->metadata = json_deep_copy(about);
    if (d->site != NULL) {
        il_text_addf(said, "it says that it reads %.128s%s%.128s\n", d->site,
                     d->model != NULL ? " of " : "", d->model != NULL ? d->model : "");
    }
    if (json_is_integer(json_object_get(about, "hook_head_index"))) {
        il_text_addf(
            said, "it reads head %lld alone\n",
            (long long)json_integer_value(json_object_get(about, "hook_head_index")));
    }
}

static il_status read_weights(il_dictionary *d, const facts *f, const char *folder,
                              const char *path, il_text *said, il_error *err)
{
    il_arrays *b = NULL;
    il_status status = il_arrays_open(&b, path, err);

    d->form = f->form;
    d->scaling = f->scaling;
    d->width = f->width;
    d->features = f->features;
    d->k = f->k;
    d->centred = f->centred;
    if (status == IL_OK) {
        status = read_tensors(d, f, b, err);
    }
    if (status == IL_OK) {
        status = fold_finetuning(d, b, said, err);
    }
    if (status == IL_OK && f->by_norm) {
        status = fold_norms(d, err);
        il_text_add(said, "the decoder's norms are folded into the encoder\n");
    }
    if (status == IL_OK && f->unscaled) {
        status = fold_scale(d, folder, said, err);
    }
    il_arrays_close(b);
    return status;
}

il_status il_sae_lens_read(il_dictionary *out, const char *folder, il_text *said,
                           il_error *err)
{
    char *config = il_path_join(folder, "cfg.json");
    char *weights = il_path_join(folder, "sae_weights.safetensors");
    il_settings c = {NULL, NULL};
    il_dictionary d = {.site = NULL};
    facts f = {.k = 0};
    il_status status = IL_OK;

    if (config == NULL || weights == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, folder, "out of memory");
        goto out;
    }
    status = il_settings_open(&c, config, err);
    if (status == IL_OK) {
        status = read_facts(&c, &f, said, err);
    }
    if (status == IL_OK) {
        status = read_weights(&d, &f, folder, weights, said, err);
    }
    if (status == IL_OK) {
        read_about(&d, &c, said);
        *out = d;
        memset(&d, 0, sizeof d);
    }
out:
    il_dictionary_clear(&d);
    il_settings_close(&c);
    free(weights);
    free(config);
    return status;
}
