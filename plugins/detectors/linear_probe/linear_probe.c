/* Logistic probe: one weight a channel and a bias, on the scored positions alone. */
#include <interloop/plugin.h>

typedef struct probe {
    il_param weight; /* (1,W): W channels, the sites' side by side */
    il_param bias;   /* (1) */
} probe;

/* Starts at zero: the fit is convex, so it needs no draw. [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);
    int64_t width = 0;

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "linear_probe", "out of memory");
    }
    for (int32_t i = 0; i < il_setup_site_count(s); i++) {
        width += il_setup_site_width(s, i);
    }
    IL_TRY(
        il_setup_param(s, &p->weight, "weight", IL_SHAPE(1, width), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    *self = p;
    return IL_OK;
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

static const il_recipe recipe = {.struct_size = sizeof(il_recipe),
                                 .method = "adam",
                                 .steps = 300,
                                 .lr = 0.05f,
                                 .l2 = 1e-3f,
                                 .weight_decay = 0.0f,
                                 .standardize = 1};

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .recipe = &recipe,
                                    .create = probe_create,
                                    .score = probe_score,
                                    .linear = probe_linear};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "logistic probe on the activations of one or more sites",
          IL_DETECTOR("linear_probe", "one weight a channel and a bias", &api,
                      IL_NO_PARAMS))
