/* A detector in one file: a linear probe on activations that were first brought to
 * one length, so that it reads the direction of an activation and not its size. */
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

/* Declares one weight a channel of the site that is read, and a bias. [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);
    int64_t width = il_setup_site_width(s, 0);

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    p->sharpness = (float)il_setup_real(s, "sharpness");
    IL_TRY(
        il_setup_param(s, &p->weight, "weight", IL_SHAPE(1, width), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    *self = p;
    return IL_OK;
}

/* (N,width) activations -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;
    il_tensor *x = il_rms_norm(pass, r->acts[0], NULL, 1e-5f);
    il_tensor *logits =
        il_linear(pass, x, il_use(pass, p->weight), il_use(pass, p->bias));

    return il_affine(pass, logits, p->sharpness, 0.0f);
}

static const il_recipe recipe = {sizeof recipe, "adamw", 500, 0.01f, 0.0f, 0.01f, 1};

static const il_detector_api api = {
    .struct_size = sizeof api,
    .reads = IL_READS_ROWS,
    .recipe = &recipe,
    .create = probe_create,
    .score = probe_score,
};

IL_PLUGIN("your_lab", "1.0.0", "MIT", "Your name",
          "probes that ignore an activation's size",
          IL_DETECTOR("scaled_probe", "a linear probe on normalized activations", &api,
                      IL_PARAMS(params)))
