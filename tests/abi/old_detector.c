/* A plugin of the first minor version: a detector with a closed fit. It is built with
 * the headers of then, kept beside it, and has to work with every later host of this
 * major. */
#include <interloop/plugin.h>

typedef struct probe {
    il_param weight;
    il_param bias;
    float sharpness;
} probe;

static const il_param_spec params[] = {
    IL_PARAM_REAL("sharpness", "1", 0.001, 1000, "",
                  "what the logits are multiplied by"),
};

static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    p->sharpness = (float)il_setup_real(s, "sharpness");
    IL_TRY(il_setup_param(s, &p->weight, "weight",
                          IL_SHAPE(1, il_setup_site_width(s, 0)), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    *self = p;
    return IL_OK;
}

static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;

    return il_affine(
        pass,
        il_linear(pass, r->acts[0], il_use(pass, p->weight), il_use(pass, p->bias)),
        p->sharpness, 0);
}

/* Along the difference of the class means, zero at their midpoint. */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    const probe *p = self;
    float *weight = f->values[p->weight.id];
    double bias = 0;
    double counts[2] = {0, 0};

    (void)err;
    for (int64_t n = 0; n < f->rows; n++) {
        counts[f->labels[n]] += 1;
    }
    for (int64_t c = 0; c < f->width; c++) {
        double means[2] = {0, 0};

        for (int64_t n = 0; n < f->rows; n++) {
            means[f->labels[n]] += f->x[n * f->width + c];
        }
        means[0] /= counts[0];
        means[1] /= counts[1];
        weight[c] = (float)(means[1] - means[0]);
        bias -= 0.5 * (means[1] * means[1] - means[0] * means[0]);
    }
    f->values[p->bias.id][0] = (float)bias;
    return IL_OK;
}

static const il_detector_api api = {
    .struct_size = sizeof api,
    .reads = IL_READS_ROWS,
    .create = probe_create,
    .score = probe_score,
    .fit = probe_fit,
};

IL_PLUGIN("old", "1.0.0", "MIT", "The Interloop authors",
          "a detector built with the headers of version 1.0",
          IL_DETECTOR("probe", "difference of means", &api, IL_PARAMS(params)))
