/* Logistic probe on what every head's attention looks like: entropy and the weights of
 * some positions, a weight each. */
#include "../patterns.h"

typedef struct probe {
    int64_t heads[PATTERNS_SITES];
    unsigned scores;
    il_param weight; /* (1, heads * scores) */
    il_param bias;   /* (1) */
} probe;

static const il_param_spec params[] = {
    IL_PARAM_FLAG("tokens", "true",
                  "ask for duplicate and induction too, for models that read tokens"),
    IL_PARAM_FLAG("keys", "false",
                  "ask for the weight of the positions that the detector's `keys` "
                  "name, too")};

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);
    int64_t total = 0;

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "pattern_probe", "out of memory");
    }
    IL_TRY(patterns_heads(s, "pattern_probe", p->heads, &total, err));
    p->scores = (1u << PATTERNS_SCORES) - 1u;
    if (!il_setup_flag(s, "keys")) {
        p->scores &= ~(1u << PATTERNS_KEYS);
    }
    if (!il_setup_flag(s, "tokens")) {
        p->scores &= ~(1u << PATTERNS_DUPLICATE | 1u << PATTERNS_INDUCTION);
    }
    IL_TRY(il_setup_param(s, &p->weight, "weight",
                          IL_SHAPE(1, total * patterns_count(p->scores)), IL_INIT_ZERO,
                          err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    *self = p;
    return IL_OK;
}

/* (N,heads*keys) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;

    return il_linear(pass, patterns_measure(pass, r, p->heads, p->scores),
                     il_use(pass, p->weight), il_use(pass, p->bias));
}

/* Scores are shares, mostly small ones, hence the rate. */
static const il_recipe recipe = {.struct_size = sizeof(il_recipe),
                                 .method = "adam",
                                 .steps = 400,
                                 .lr = 0.1f,
                                 .l2 = 1e-4f,
                                 .weight_decay = 0.0f,
                                 .standardize = 0};

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .recipe = &recipe,
                                    .create = probe_create,
                                    .score = probe_score};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "logistic probe on what attention patterns look like",
          IL_DETECTOR("pattern_probe", "weights on entropy and mass of every head",
                      &api, IL_PARAMS(params)))
