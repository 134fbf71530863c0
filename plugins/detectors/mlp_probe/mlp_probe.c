/* One hidden ReLU layer, on the scored positions alone: what a linear probe misses
 * because it is there, but not along one direction. */
#include <interloop/plugin.h>
#include <math.h>

typedef struct probe {
    il_param w_in;  /* (H,W) */
    il_param b_in;  /* (H) */
    il_param w_out; /* (1,H) */
    il_param b_out; /* (1) */
} probe;

static const il_param_spec params[] = {
    IL_PARAM_INT("hidden", "64", 1, 65536, "channels", "width of the hidden layer")};

/* Every layer starts uniform within 1/sqrt(its inputs) of zero, biases too. [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);
    int64_t hidden = il_setup_int(s, "hidden");
    int64_t width = 0;
    double in;
    double out;

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "mlp_probe", "out of memory");
    }
    for (int32_t i = 0; i < il_setup_site_count(s); i++) {
        width += il_setup_site_width(s, i);
    }
    in = 1.0 / sqrt((double)width);
    out = 1.0 / sqrt((double)hidden);
    IL_TRY(il_setup_param(s, &p->w_in, "W_in", IL_SHAPE(hidden, width),
                          IL_INIT_UNIFORM(in), err));
    IL_TRY(il_setup_param(s, &p->b_in, "b_in", IL_SHAPE(hidden), IL_INIT_UNIFORM(in),
                          err));
    IL_TRY(il_setup_param(s, &p->w_out, "W_out", IL_SHAPE(1, hidden),
                          IL_INIT_UNIFORM(out), err));
    IL_TRY(
        il_setup_param(s, &p->b_out, "b_out", IL_SHAPE(1), IL_INIT_UNIFORM(out), err));
    *self = p;
    return IL_OK;
}

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;
    il_tensor *x = r->sites == 1 ? r->acts[0] : il_concat(pass, r->sites, r->acts);
    il_tensor *h = il_linear_act(pass, x, il_use(pass, p->w_in), il_use(pass, p->b_in),
                                 IL_ACT_RELU);

    return il_linear(pass, h, il_use(pass, p->w_out), il_use(pass, p->b_out));
}

static const il_recipe recipe = {.struct_size = sizeof(il_recipe),
                                 .method = "adamw",
                                 .steps = 300,
                                 .lr = 3e-3f,
                                 .l2 = 0.0f,
                                 .weight_decay = 1e-2f,
                                 .standardize = 1};

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .recipe = &recipe,
                                    .create = probe_create,
                                    .score = probe_score};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "probe with one hidden layer on the activations of one or more sites",
          IL_DETECTOR("mlp_probe", "one hidden ReLU layer", &api, IL_PARAMS(params)))
