/* A linear probe that reads a few of many channels, chosen on labelled rows. */
#include "../choosing.h"

typedef struct probe {
    il_param weight; /* (1,W), 0 where a channel is not read */
    il_param bias;   /* (1) */
    int64_t channels;
    double l2;
} probe;

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);
    int64_t width = 0;

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "sparse_probe", "out of memory");
    }
    p->channels = il_setup_int(s, "channels");
    p->l2 = il_setup_real(s, "l2");
    for (int32_t i = 0; i < il_setup_site_count(s); i++) {
        width += il_setup_site_width(s, i);
    }
    IL_TRY(
        il_setup_param(s, &p->weight, "weight", IL_SHAPE(1, width), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    *self = p;
    return IL_OK;
}

/* [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    const probe *p = self;

    return choosing_fit(f, p->channels, p->l2, f->values[p->weight.id],
                        f->values[p->bias.id], "sparse_probe", err);
}

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;
    il_tensor *x = r->sites == 1 ? r->acts[0] : il_concat(pass, r->sites, r->acts);

    return il_linear(pass, x, il_use(pass, p->weight), il_use(pass, p->bias));
}

static void probe_linear(const void *self, il_param *weight, il_param *bias)
{
    const probe *p = self;

    *weight = p->weight;
    *bias = p->bias;
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = probe_create,
                                    .score = probe_score,
                                    .linear = probe_linear,
                                    .fit = probe_fit};

static const il_param_spec params[] = {
    IL_PARAM_INT("channels", "8", 1, 4096, "channels", "how many it reads"),
    IL_PARAM_REAL("l2", "0.001", 0, 1e6, "",
                  "half of it times the squared weights, of channels brought to "
                  "variance 1, is added to the loss"),
};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "logistic probe on a few channels or features, chosen on labelled rows",
          IL_DETECTOR("sparse_probe", "a few channels that tell the classes apart",
                      &api, params, sizeof params / sizeof params[0]))
