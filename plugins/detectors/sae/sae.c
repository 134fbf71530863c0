/* Sparse autoencoders: a detector that knows a row by the few features that it has. */
#include "sae.h"

#include <stdlib.h>
#include "../choosing.h"

/* "16,64": ascending prefixes of the dictionary; all of it is added at the end. */
static il_status read_prefixes(sae *s, const char *text, il_error *err)
{
    int64_t last = 0;

    while (*text != '\0') {
        char *end;
        long long n = strtoll(text, &end, 10);

        if (end == text || n <= last || n > s->features ||
            s->prefix_count == PREFIXES_MAX - 1 || (*end != '\0' && *end != ',')) {
            return il_error_set(err, IL_ERR_INPUT, "sae",
                                "prefixes '%s': expected at most %d ascending numbers "
                                "of features with commas between them, none above %lld",
                                text, PREFIXES_MAX - 1, (long long)s->features);
        }
        last = n;
        s->prefixes[s->prefix_count++] = last;
        text = *end == ',' ? end + 1 : end;
    }
    if (last < s->features) {
        s->prefixes[s->prefix_count++] = s->features;
    }
    return IL_OK;
}

static const char *const architectures[] = {"standard", "topk",  "batchtopk",
                                            "jumprelu", "gated", NULL};
static const char *const scales[] = {"none", "expected_average", "constant_norm",
                                     "layer_norm", NULL};
static const char *const logits[] = {"features", "error", NULL};

static int choice(const il_setup *s, const char *name, const char *const *choices)
{
    const char *text = il_setup_text(s, name);
    int i = 0;

    while (text != NULL && choices[i] != NULL && strcmp(text, choices[i]) != 0) {
        i++;
    }
    return text != NULL && choices[i] != NULL ? i : 0;
}

static il_status read_settings(sae *s, const il_setup *from, il_error *err)
{
    s->architecture = (architecture)choice(from, "architecture", architectures);
    s->normalize = (normalize)choice(from, "normalize", scales);
    s->scores_error = choice(from, "logit", logits) == 1;
    s->applies_b_dec = il_setup_flag(from, "apply_b_dec");
    s->features = il_setup_int(from, "features");
    s->k = il_setup_int(from, "k");
    s->sparsity = (float)il_setup_real(from, "sparsity");
    s->warmup = il_setup_int(from, "sparsity_warmup");
    s->bandwidth = (float)il_setup_real(from, "bandwidth");
    s->first_threshold = (float)il_setup_real(from, "first_threshold");
    s->follow = (float)il_setup_real(from, "threshold_rate");
    s->aux = (float)il_setup_real(from, "aux");
    s->aux_features = il_setup_int(from, "aux_features");
    s->dead_after = il_setup_int(from, "dead_after");
    s->read = il_setup_int(from, "read");
    s->l2 = (float)il_setup_real(from, "l2");
    for (int32_t i = 0; i < il_setup_site_count(from); i++) {
        s->width += il_setup_site_width(from, i);
    }
    if (s->aux_features == 0) {
        s->aux_features = s->width > 1 ? s->width / 2 : 1;
    }
    if ((s->architecture == TOPK || s->architecture == BATCHTOPK) &&
        s->k > s->features) {
        return il_error_set(err, IL_ERR_INPUT, "sae",
                            "k is %lld and there are %lld features: expected no more "
                            "than there are",
                            (long long)s->k, (long long)s->features);
    }
    return read_prefixes(s, il_setup_text(from, "prefixes"), err);
}

/* A parameter of (F), unless it is another architecture's. */
static il_status per_feature(const sae *s, const il_setup *to, il_param *param,
                             const char *name, bool has, float first, il_error *err)
{
    if (!has) {
        param->id = -1;
        return IL_OK;
    }
    return il_setup_param(to, param, name, IL_SHAPE(s->features),
                          il_init_make(IL_INIT_CONSTANT, first), err);
}

/* [setup] */
static il_status sae_create(const il_setup *setup, void **self, il_error *err)
{
    sae *s = il_setup_new(setup, sizeof *s);
    bool gated;
    bool jumps;

    if (s == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "sae", "out of memory");
    }
    IL_TRY(read_settings(s, setup, err));
    gated = s->architecture == GATED;
    jumps = s->architecture == JUMPRELU || s->architecture == BATCHTOPK;
    IL_TRY(il_setup_param(setup, &s->w_enc, "W_enc", IL_SHAPE(s->features, s->width),
                          IL_INIT_NORMAL(1.0 / sqrt((double)s->width)), err));
    IL_TRY(per_feature(s, setup, &s->b_enc, "b_enc", !gated, 0.0f, err));
    IL_TRY(il_setup_param(setup, &s->w_dec, "W_dec", IL_SHAPE(s->features, s->width),
                          IL_INIT_NORMAL(1.0 / sqrt((double)s->width)), err));
    IL_TRY(il_setup_param(setup, &s->b_dec, "b_dec", IL_SHAPE(s->width), IL_INIT_ZERO,
                          err));
    IL_TRY(per_feature(s, setup, &s->threshold, "threshold", jumps, 0.0f, err));
    IL_TRY(per_feature(s, setup, &s->b_gate, "b_gate", gated, 0.0f, err));
    IL_TRY(per_feature(s, setup, &s->r_mag, "r_mag", gated, 0.0f, err));
    IL_TRY(per_feature(s, setup, &s->b_mag, "b_mag", gated, 0.0f, err));
    IL_TRY(il_setup_param(setup, &s->scale, "scale", IL_SHAPE(1), IL_INIT_ONE, err));
    IL_TRY(per_feature(s, setup, &s->idle, "idle", true, 0.0f, err));
    IL_TRY(per_feature(s, setup, &s->readout, "readout", true, 0.0f, err));
    IL_TRY(il_setup_param(setup, &s->readout_bias, "readout_bias", IL_SHAPE(1),
                          IL_INIT_ZERO, err));
    *self = s;
    return IL_OK;
}

/* ---- reading it ---- */

static encoded encode_rows(const sae *s, il_pass *pass, const il_reading *r,
                           il_tensor **x)
{
    *x = sae_joined(pass, r);
    return sae_encode(s, pass, sae_rows_in(s, pass, *x), false);
}

static il_tensor *sae_features(const void *self, il_pass *pass, const il_reading *r)
{
    il_tensor *x;
    encoded e = encode_rows(self, pass, r, &x);

    return sae_dense(pass, &e);
}

static int64_t sae_feature_width(const void *self)
{
    const sae *s = self;

    return s->features;
}

static il_tensor *reconstructed(const sae *s, il_pass *pass, const encoded *e)
{
    return il_add(pass, sae_decode(s, pass, e, 0, s->features), il_use(pass, s->b_dec));
}

static il_tensor *sae_reconstruct(const void *self, il_pass *pass, const il_reading *r)
{
    const sae *s = self;
    il_tensor *x;
    encoded e = encode_rows(s, pass, r, &x);

    return sae_rows_out(s, pass, reconstructed(s, pass, &e), x);
}

static il_tensor *sae_decode_features(const void *self, il_pass *pass,
                                      il_tensor *features)
{
    const sae *s = self;
    encoded e = {.dense = features};

    if (s->normalize == CONSTANT_NORM || s->normalize == LAYER_NORM) {
        il_pass_fail(pass, IL_ERR_UNSUPPORTED,
                     "features of rows that are scaled one by one stand for nothing "
                     "without their row: expected normalize none or expected_average");
    }
    return sae_rows_out(s, pass, reconstructed(s, pass, &e), NULL);
}

/* Mean squared error a channel, in the encoder's scale. */
static il_tensor *score_error(const sae *s, il_pass *pass, const il_reading *r)
{
    il_tensor *x = sae_rows_in(s, pass, sae_joined(pass, r));
    encoded e = sae_encode(s, pass, x, false);
    il_tensor *off = il_sub(pass, x, reconstructed(s, pass, &e));

    off = il_row_sum(pass, il_activate(pass, off, IL_ACT_SQUARE));
    return il_affine(pass, off, 1.0f / (float)s->width, 0.0f);
}

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *sae_score(const void *self, il_pass *pass, const il_reading *r)
{
    const sae *s = self;
    il_tensor *by;
    il_tensor *x;
    il_tensor *logits_;
    encoded e;

    if (s->scores_error) {
        logits_ = score_error(s, pass, r);
        return il_reshape(pass, logits_, 2, (const int64_t[]){il_count(logits_), 1});
    }
    e = encode_rows(s, pass, r, &x);
    by = il_reshape(pass, il_use(pass, s->readout), 2,
                    (const int64_t[]){s->features, 1});
    logits_ = e.dense != NULL ? il_matmul(pass, e.dense, by, false)
                              : il_sparse_matmul(pass, e.sparse, by, 0, s->features);
    return il_add(pass, logits_, il_use(pass, s->readout_bias));
}

static bool sae_unit_rows(const void *self, il_param param)
{
    const sae *s = self;

    return param.id == s->w_dec.id;
}

/* f->x are features: the best of them, or the best few with a logistic regression. */
static il_status sae_read_out(const void *self, const il_fitting *f, il_error *err)
{
    const sae *s = self;

    return choosing_fit(f, s->read, s->l2, f->values[s->readout.id],
                        f->values[s->readout_bias.id], "sae", err);
}

/* ---- edits ---- */

/* Features (N,F) with some set or shifted: those that are named, or else those that the
 * logit reads. */
static il_tensor *edited_features(const sae *s, il_pass *pass, il_tensor *features,
                                  const il_edit *edit)
{
    const float *read = il_f32(il_use(pass, s->readout));
    float *keep = il_pass_alloc(pass, (size_t)s->features * sizeof *keep);
    float *put = il_pass_alloc(pass, (size_t)s->features * sizeof *put);
    int64_t count = 0;

    if (read == NULL || keep == NULL || put == NULL) {
        return features;
    }
    for (int64_t k = 0; k < s->features; k++) {
        bool named = edit->feature_count == 0 && !s->scores_error && read[k] != 0.0f;

        for (int32_t i = 0; i < edit->feature_count; i++) {
            named = named || edit->features[i] == k;
        }
        keep[k] = named && edit->kind != IL_EDIT_STEER ? 0.0f : 1.0f;
        put[k] = named && edit->kind != IL_EDIT_ABLATE ? edit->value : 0.0f;
        count += named;
    }
    if (count == 0 && s->scores_error) {
        il_pass_fail(pass, IL_ERR_INPUT,
                     "its logit reads no feature to edit; name some, as in `features: "
                     "[7]`");
    }
    features = il_mul(pass, features, il_constant(pass, 1, &s->features, keep));
    return il_add(pass, features, il_constant(pass, 1, &s->features, put));
}

/* Rows (N,W) with what features stand for changed and the rest as it was, or with the
 * reconstruction in their place. [work] */
static il_tensor *sae_edit(const void *self, il_pass *pass, il_tensor *x,
                           const il_edit *edit)
{
    const sae *s = self;
    const il_reading r = {.struct_size = sizeof r,
                          .sites = 1,
                          .acts = &x,
                          .batch = il_rows(x),
                          .length = 1};
    il_tensor *rows;
    encoded e = encode_rows(s, pass, &r, &rows);
    il_tensor *y = sae_rows_out(s, pass, reconstructed(s, pass, &e), rows);
    encoded changed = {.dense = NULL};

    if (edit->kind == IL_EDIT_SPLICE) {
        return edit->keep_error ? il_add(pass, y, il_detach(pass, il_sub(pass, x, y)))
                                : y;
    }
    if (edit->kind != IL_EDIT_ABLATE && edit->kind != IL_EDIT_CLAMP &&
        edit->kind != IL_EDIT_STEER) {
        il_pass_fail(pass, IL_ERR_UNSUPPORTED,
                     "sae: an edit of a kind it does not know");
        return x;
    }
    changed.dense = edited_features(s, pass, sae_dense(pass, &e), edit);
    return il_add(
        pass, x,
        il_sub(pass, sae_rows_out(s, pass, reconstructed(s, pass, &changed), rows), y));
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = sae_create,
                                    .score = sae_score,
                                    .features = sae_features,
                                    .feature_width = sae_feature_width,
                                    .loss = sae_loss,
                                    .note_count = sae_note_count,
                                    .start = sae_start,
                                    .unit_rows = sae_unit_rows,
                                    .after_step = sae_after_step,
                                    .reconstruct = sae_reconstruct,
                                    .decode = sae_decode_features,
                                    .edit = sae_edit,
                                    .read_out = sae_read_out};

static const il_param_spec params[] = {
    IL_PARAM_CHOICE("architecture", "topk", architectures,
                    "how the encoder decides which features a row has"),
    IL_PARAM_INT("features", "512", 1, 16777216, "", "size of the dictionary"),
    IL_PARAM_INT("k", "32", 1, 16777216, "features a row",
                 "topk, batchtopk: how many are active, the latter on average"),
    IL_PARAM_TEXT("prefixes", "", 0,
                  "matryoshka: parts of the dictionary that each reconstruct by "
                  "themselves, as \"64,256\""),
    IL_PARAM_CHOICE("normalize", "expected_average", scales,
                    "how rows are scaled before they are encoded"),
    IL_PARAM_FLAG("apply_b_dec", "true", "subtract b_dec from rows before encoding"),
    IL_PARAM_REAL("sparsity", "1", 0, 1e6, "",
                  "standard, gated: factor of the sum of activations; jumprelu: of "
                  "their number"),
    IL_PARAM_INT("sparsity_warmup", "0", 0, 1000000000, "steps",
                 "until that factor is whole"),
    IL_PARAM_REAL("bandwidth", "0.05", 1e-6, 1e6, "",
                  "jumprelu: width of the straight-through gradient"),
    IL_PARAM_REAL("first_threshold", "0.01", 0, 1e6, "",
                  "jumprelu: where thresholds start"),
    IL_PARAM_REAL("threshold_rate", "0.01", 0, 1, "",
                  "batchtopk: how fast its threshold follows the batches"),
    IL_PARAM_REAL("aux", "0.03125", 0, 1e6, "",
                  "factor of the loss by which dead features learn"),
    IL_PARAM_INT("aux_features", "0", 0, 16777216, "features a row",
                 "how many dead ones take part in it; 0: half the channels"),
    IL_PARAM_INT("dead_after", "200", 1, 1000000000, "steps",
                 "without a row that has it a feature is dead"),
    IL_PARAM_CHOICE("logit", "features", logits,
                    "what its logit is: of features chosen on labelled rows, or the "
                    "error of its reconstruction"),
    IL_PARAM_INT("read", "1", 1, 4096, "features", "how many its logit reads"),
    IL_PARAM_REAL("l2", "0.001", 0, 1e6, "", "penalty on the weights of more than one"),
};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "sparse autoencoder on the activations of one or more sites",
          IL_DETECTOR("sae", "features of a dictionary, and a logit from a few of them",
                      &api, params, sizeof params / sizeof params[0]))
