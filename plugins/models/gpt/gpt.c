/* A pre-LN GPT (Radford et al. 2019): learned positions, biases everywhere but in
 * the unembedding, sites under TransformerLens' names. One parameter group a block,
 * so that a route or a freeze can say "above block 2"; the head is untied by
 * default, since a tied matrix lies on both sides of every tap. */
#include <interloop/plugin.h>
#include <math.h>
#include <stdio.h>

#define LAYERS_MAX 256
#define NORM_EPS   1e-5f

typedef struct norm {
    il_param w; /* (C) */
    il_param b; /* (C) */
} norm;

typedef struct block {
    norm ln1;
    il_param w_qkv; /* (3C,C) */
    il_param b_qkv; /* (3C) */
    il_param w_o;   /* (C,C) */
    il_param b_o;   /* (C) */
    norm ln2;
    il_param w_in;  /* (M,C) */
    il_param b_in;  /* (M) */
    il_param w_out; /* (C,M) */
    il_param b_out; /* (C) */

    il_site resid_pre;
    il_site normalized1;
    il_site q;
    il_site k;
    il_site v;
    il_site pattern;
    il_site z;
    il_site attn_out;
    il_site resid_mid;
    il_site normalized2;
    il_site mlp_pre;
    il_site mlp_post;
    il_site mlp_out;
    il_site resid_post;
} block;

typedef struct gpt {
    int64_t layers;
    int64_t width;
    int64_t heads;
    int64_t context;
    il_act act;
    bool tied;
    il_param w_e;   /* (V,C) */
    il_param w_pos; /* (context,C) */
    il_param w_u;   /* (V,C); the embedding's when tied */
    norm ln_final;
    il_site embed;
    il_site pos_embed;
    il_site normalized;
    block blocks[]; /* [layers] */
} gpt;

static const char *const activations[] = {"gelu_tanh", "gelu", NULL};

static const il_param_spec params[] = {
    IL_PARAM_INT("layers", "4", 1, LAYERS_MAX, "blocks", "how many blocks"),
    IL_PARAM_INT("width", "64", 1, 65536, "channels", "width of the residual stream"),
    IL_PARAM_INT("heads", "4", 1, 1024, "heads", "attention heads; divides width"),
    IL_PARAM_INT("context", "0", 0, 1048576, "tokens",
                 "the longest sequence; 0 takes what the data publishes"),
    IL_PARAM_INT("mlp", "0", 0, 1048576, "channels",
                 "width of the hidden layer of a block; 0 for four times width"),
    IL_PARAM_FLAG("tied", "false",
                  "whether the unembedding is the embedding: it then lies on both "
                  "sides of every detector's tap"),
    IL_PARAM_CHOICE("activation", "gelu_tanh", activations,
                    "of the hidden layer: GELU in its tanh form, or with erf")};

/* ---- create --------------------------------------------------------------------- */

/* Where a component of block `n` is: "blocks.N.part". Valid until the buffer is used
 * again. */
static const char *in_block(char name[64], int64_t n, const char *part)
{
    (void)snprintf(name, 64, "blocks.%lld.%s", (long long)n, part);
    return name;
}

/* A gain of ones and a bias of zeros. */
static il_status norm_declare(const il_setup *s, norm *out, const char *prefix,
                              int64_t width, il_error *err)
{
    char name[80];

    (void)snprintf(name, sizeof name, "%s.w", prefix);
    IL_TRY(il_setup_param(s, &out->w, name, IL_SHAPE(width), IL_INIT_ONE, err));
    (void)snprintf(name, sizeof name, "%s.b", prefix);
    return il_setup_param(s, &out->b, name, IL_SHAPE(width), IL_INIT_ZERO, err);
}

static il_status block_params(const il_setup *s, block *b, int64_t n, int64_t layers,
                              int64_t c, int64_t mlp, il_error *err)
{
    /* What adds to the residual stream starts smaller, so that its sum over blocks
     * does not grow. */
    const il_init narrow = IL_INIT_NORMAL(0.02 / sqrt(2.0 * (double)layers));
    const il_init wide = IL_INIT_NORMAL(0.02);
    char name[64];

    (void)snprintf(name, sizeof name, "blocks.%lld", (long long)n);
    il_setup_group(s, name);
    IL_TRY(norm_declare(s, &b->ln1, in_block(name, n, "ln1"), c, err));
    IL_TRY(il_setup_param(s, &b->w_qkv, in_block(name, n, "attn.W_QKV"),
                          IL_SHAPE(3 * c, c), wide, err));
    IL_TRY(il_setup_param(s, &b->b_qkv, in_block(name, n, "attn.b_QKV"),
                          IL_SHAPE(3 * c), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &b->w_o, in_block(name, n, "attn.W_O"), IL_SHAPE(c, c),
                          narrow, err));
    IL_TRY(il_setup_param(s, &b->b_o, in_block(name, n, "attn.b_O"), IL_SHAPE(c),
                          IL_INIT_ZERO, err));
    IL_TRY(norm_declare(s, &b->ln2, in_block(name, n, "ln2"), c, err));
    IL_TRY(il_setup_param(s, &b->w_in, in_block(name, n, "mlp.W_in"), IL_SHAPE(mlp, c),
                          wide, err));
    IL_TRY(il_setup_param(s, &b->b_in, in_block(name, n, "mlp.b_in"), IL_SHAPE(mlp),
                          IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &b->w_out, in_block(name, n, "mlp.W_out"),
                          IL_SHAPE(c, mlp), narrow, err));
    return il_setup_param(s, &b->b_out, in_block(name, n, "mlp.b_out"), IL_SHAPE(c),
                          IL_INIT_ZERO, err);
}

/* In the order in which a forward pass meets them. */
static il_status block_sites(const il_setup *s, block *b, int64_t n, int64_t c,
                             int64_t mlp, int64_t heads, int64_t context, il_error *err)
{
    const struct {
        il_site *site;
        const char *name;
        int64_t width;
    } sites[] = {{&b->resid_pre, "hook_resid_pre", c},
                 {&b->normalized1, "ln1.hook_normalized", c},
                 {&b->q, "attn.hook_q", c},
                 {&b->k, "attn.hook_k", c},
                 {&b->v, "attn.hook_v", c},
                 {&b->pattern, "attn.hook_pattern", 0}, /* by heads and keys */
                 {&b->z, "attn.hook_z", c},
                 {&b->attn_out, "hook_attn_out", c},
                 {&b->resid_mid, "hook_resid_mid", c},
                 {&b->normalized2, "ln2.hook_normalized", c},
                 {&b->mlp_pre, "mlp.hook_pre", mlp},
                 {&b->mlp_post, "mlp.hook_post", mlp},
                 {&b->mlp_out, "hook_mlp_out", c},
                 {&b->resid_post, "hook_resid_post", c}};
    char name[64];

    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        in_block(name, n, sites[i].name);
        IL_TRY(sites[i].width > 0
                   ? il_setup_add_site(s, sites[i].site, name, sites[i].width, err)
                   : il_setup_add_pattern(s, sites[i].site, name, heads, context, err));
    }
    return IL_OK;
}

/* The sizes, from the params and the data's facts. */
static il_status sizes_read(const il_setup *s, gpt *g, int64_t *vocabulary,
                            int64_t *mlp, il_error *err)
{
    g->width = il_setup_int(s, "width");
    g->heads = il_setup_int(s, "heads");
    g->context = il_setup_int(s, "context");
    g->tied = il_setup_flag(s, "tied");
    g->act = strcmp(il_setup_text(s, "activation"), "gelu") == 0 ? IL_ACT_GELU
                                                                 : IL_ACT_GELU_TANH;
    *mlp = il_setup_int(s, "mlp");
    if (*mlp == 0) {
        *mlp = 4 * g->width;
    }
    if (g->width % g->heads != 0) {
        return il_error_set(err, IL_ERR_INPUT, "gpt",
                            "heads must divide width, got %lld heads and width %lld",
                            (long long)g->heads, (long long)g->width);
    }
    if (!il_setup_fact(s, "vocabulary", vocabulary) || *vocabulary < 1) {
        return il_error_set(err, IL_ERR_INPUT, "gpt",
                            "the data publishes no vocabulary; expected a dataset of "
                            "tokens");
    }
    if (g->context == 0 &&
        (!il_setup_fact(s, "context", &g->context) || g->context < 1)) {
        return il_error_set(err, IL_ERR_INPUT, "gpt",
                            "the data publishes no context; set params.context");
    }
    return IL_OK;
}

/* [setup] */
static il_status gpt_create(const il_setup *s, void **self, il_error *err)
{
    const int64_t layers = il_setup_int(s, "layers");
    gpt *g = il_setup_new(s, sizeof *g + (size_t)layers * sizeof(block));
    int64_t vocabulary;
    int64_t mlp;

    if (g == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "gpt", "out of memory");
    }
    g->layers = layers;
    IL_TRY(sizes_read(s, g, &vocabulary, &mlp, err));

    il_setup_group(s, "embed");
    IL_TRY(il_setup_param(s, &g->w_e, "embed.W_E", IL_SHAPE(vocabulary, g->width),
                          IL_INIT_NORMAL(0.02), err));
    IL_TRY(il_setup_param(s, &g->w_pos, "pos_embed.W_pos",
                          IL_SHAPE(g->context, g->width), IL_INIT_NORMAL(0.02), err));
    for (int64_t n = 0; n < layers; n++) {
        IL_TRY(block_params(s, &g->blocks[n], n, layers, g->width, mlp, err));
    }
    il_setup_group(s, "unembed");
    IL_TRY(norm_declare(s, &g->ln_final, "ln_final", g->width, err));
    g->w_u = g->w_e;
    if (!g->tied) {
        IL_TRY(il_setup_param(s, &g->w_u, "unembed.W_U", IL_SHAPE(vocabulary, g->width),
                              IL_INIT_NORMAL(0.02), err));
    }

    IL_TRY(il_setup_add_site(s, &g->embed, "hook_embed", g->width, err));
    IL_TRY(il_setup_add_site(s, &g->pos_embed, "hook_pos_embed", g->width, err));
    for (int64_t n = 0; n < layers; n++) {
        IL_TRY(
            block_sites(s, &g->blocks[n], n, g->width, mlp, g->heads, g->context, err));
    }
    IL_TRY(il_setup_add_site(s, &g->normalized, "ln_final.hook_normalized", g->width,
                             err));
    IL_TRY(il_setup_output(s, "logits", vocabulary, err));
    IL_TRY(il_setup_loss(s, "next_token", "weights", err));
    *self = g;
    return IL_OK;
}

/* ---- forward -------------------------------------------------------------------- */

static il_tensor *norm_forward(il_pass *pass, const norm *n, il_site site, il_tensor *x)
{
    return il_hook(
        pass, site,
        il_layer_norm(pass, x, il_use(pass, n->w), il_use(pass, n->b), NORM_EPS));
}

/* Queries, keys and values (B,T,3C) as three sites, only where somebody reads one of
 * them: the slices put together again are the same numbers. */
static il_tensor *qkv_hook(il_pass *pass, const block *b, int64_t c, il_tensor *qkv)
{
    il_tensor *parts[3];

    if (!il_hook_wanted(pass, b->q) && !il_hook_wanted(pass, b->k) &&
        !il_hook_wanted(pass, b->v)) {
        return qkv;
    }
    parts[0] = il_hook(pass, b->q, il_slice(pass, qkv, 0, c));
    parts[1] = il_hook(pass, b->k, il_slice(pass, qkv, c, c));
    parts[2] = il_hook(pass, b->v, il_slice(pass, qkv, 2 * c, c));
    return il_concat(pass, 3, parts);
}

/* What earlier positions left when the model acts step by step: for each block their
 * keys and values, `apart` numbers from one row's to the next. */
typedef struct past {
    float *cache;
    int64_t apart;
    int64_t at; /* how many positions there are */
    int64_t length;
} past;

/* Numbers that a block keeps of a row. */
static int64_t cache_size(const gpt *g, int64_t length)
{
    return 2 * g->width * length;
}

static il_tensor *qkv_forward(il_pass *pass, const gpt *g, const block *b, il_tensor *x)
{
    return qkv_hook(pass, b, g->width,
                    il_linear(pass, x, il_use(pass, b->w_qkv), il_use(pass, b->b_qkv)));
}

/* What the block has of earlier positions. */
static float *block_cache(const gpt *g, const block *b, const past *before)
{
    return before->cache + (b - g->blocks) * cache_size(g, before->length);
}

/* (B,T,C) -> (B,T,C), the values that attention mixes. `before` is NULL where all
 * positions are there. */
static il_tensor *attention_mix(il_pass *pass, const gpt *g, const block *b,
                                const past *before, il_tensor *x)
{
    il_tensor *qkv = qkv_forward(pass, g, b, x);
    il_tensor *pattern = NULL;
    bool wanted = before == NULL && il_hook_wanted(pass, b->pattern);
    il_tensor *z;

    if (before != NULL) {
        z = il_cached_attention(pass, qkv, (int32_t)g->heads, before->at,
                                before->length, block_cache(g, b, before),
                                before->apart);
    } else {
        z = il_causal_attention(pass, qkv, (int32_t)g->heads, wanted ? &pattern : NULL);
    }
    if (wanted) {
        (void)il_hook(pass, b->pattern, pattern); /* read, never put back */
    }
    return il_hook(pass, b->z, z);
}

/* (B,T,C) -> (B,T,C), what attention adds to the residual stream. */
static il_tensor *attention_forward(il_pass *pass, const gpt *g, const block *b,
                                    const past *before, il_tensor *x)
{
    il_tensor *z = attention_mix(pass, g, b, before, x);

    return il_hook(pass, b->attn_out,
                   il_linear(pass, z, il_use(pass, b->w_o), il_use(pass, b->b_o)));
}

/* (B,T,C) -> (B,T,C), what the hidden layer adds to the residual stream. */
static il_tensor *mlp_forward(il_pass *pass, const gpt *g, const block *b, il_tensor *x)
{
    il_tensor *w = il_use(pass, b->w_in);
    il_tensor *bias = il_use(pass, b->b_in);
    il_tensor *h;

    if (il_hook_wanted(pass, b->mlp_pre)) {
        h = il_activate(pass, il_hook(pass, b->mlp_pre, il_linear(pass, x, w, bias)),
                        g->act);
    } else {
        h = il_linear_act(pass, x, w, bias, g->act);
    }
    h = il_hook(pass, b->mlp_post, h);
    return il_hook(pass, b->mlp_out,
                   il_linear(pass, h, il_use(pass, b->w_out), il_use(pass, b->b_out)));
}

static il_tensor *block_forward(il_pass *pass, const gpt *g, const block *b,
                                const past *before, il_tensor *x)
{
    x = il_hook(pass, b->resid_pre, x);
    x = il_add(pass, x,
               attention_forward(pass, g, b, before,
                                 norm_forward(pass, &b->ln1, b->normalized1, x)));
    x = il_hook(pass, b->resid_mid, x);
    x = il_add(pass, x,
               mlp_forward(pass, g, b, norm_forward(pass, &b->ln2, b->normalized2, x)));
    return il_hook(pass, b->resid_post, x);
}

/* The embeddings of positions from `first`, (B,T,C): a row for every token, so that
 * they are a site like the others. */
static il_tensor *positions(il_pass *pass, const gpt *g, int64_t rows, int64_t length,
                            int64_t first)
{
    int32_t *at = il_pass_alloc(pass, (size_t)(rows * length) * sizeof *at);

    for (int64_t i = 0; at != NULL && i < rows * length; i++) {
        at[i] = (int32_t)(first + i % length);
    }
    return il_reshape(pass,
                      il_gather_rows(pass, il_use(pass, g->w_pos), rows * length, at),
                      IL_SHAPE(rows, length, g->width));
}

/* Whether the batch's tokens fit after the `at` that went before; the pass fails with
 * what was expected when they do not. */
static bool tokens_check(il_pass *pass, const gpt *g, const il_tensor *tokens,
                         int64_t at)
{
    char message[160];

    if (tokens == NULL || tokens->ndim != 2 || tokens->dtype.code != IL_CODE_INT ||
        tokens->dtype.bits != 32) {
        il_pass_fail(pass, IL_ERR_INPUT,
                     "gpt: expected a batch field \"tokens\", (B,T) of 32-bit "
                     "integers");
        return false;
    }
    if (tokens->shape[1] > g->context - at) {
        (void)snprintf(message, sizeof message,
                       "gpt: sequences of %lld tokens, but params.context is %lld",
                       (long long)(at + tokens->shape[1]), (long long)g->context);
        il_pass_fail(pass, IL_ERR_SHAPE, message);
        return false;
    }
    return true;
}

/* Whether anybody reads what follows from the last block's keys and values. */
static bool after_wanted(il_pass *pass, const gpt *g)
{
    const block *b = &g->blocks[g->layers - 1];

    return il_output_wanted(pass, "logits") || il_hook_wanted(pass, b->pattern) ||
           il_hook_wanted(pass, b->z) || il_hook_wanted(pass, b->attn_out) ||
           il_hook_wanted(pass, b->resid_mid) || il_hook_wanted(pass, b->normalized2) ||
           il_hook_wanted(pass, b->mlp_pre) || il_hook_wanted(pass, b->mlp_post) ||
           il_hook_wanted(pass, b->mlp_out) || il_hook_wanted(pass, b->resid_post) ||
           il_hook_wanted(pass, g->normalized);
}

/* tokens (B,T) -> the final norm's (B,T,C), logits handed over; NULL where the tokens
 * do not fit, and in a step whose logits nobody reads, which ends with what the last
 * block is to remember. */
static il_tensor *stream_forward(il_pass *pass, const gpt *g, const il_tensor *tokens,
                                 const past *before)
{
    const int64_t at = before != NULL ? before->at : 0;
    const int64_t whole = g->layers - (before != NULL && !after_wanted(pass, g));
    const block *last;
    il_tensor *place;
    il_tensor *x;

    if (!tokens_check(pass, g, tokens, at)) {
        return NULL;
    }
    x = il_hook(pass, g->embed, il_embedding(pass, il_use(pass, g->w_e), tokens));
    place = il_hook(pass, g->pos_embed,
                    positions(pass, g, tokens->shape[0], tokens->shape[1], at));
    x = il_add(pass, x, place);
    for (int64_t n = 0; n < whole; n++) {
        x = block_forward(pass, g, &g->blocks[n], before, x);
    }
    if (whole < g->layers) {
        last = &g->blocks[whole];
        x = il_hook(pass, last->resid_pre, x);
        x = qkv_forward(pass, g, last,
                        norm_forward(pass, &last->ln1, last->normalized1, x));
        il_cached_positions(pass, x, (int32_t)g->heads, before->at, before->length,
                            block_cache(g, last, before), before->apart);
        return NULL;
    }
    x = norm_forward(pass, &g->ln_final, g->normalized, x);
    il_output_linear(pass, "logits", x, il_use(pass, g->w_u), NULL);
    return x;
}

/* tokens (B,T) -> logits (B,T,V), and the loss of each next token where the batch
 * has them. [work] */
static void gpt_forward(const void *self, il_pass *pass, const il_batch *batch)
{
    const gpt *g = self;
    const il_tensor *next = il_batch_find(batch, "next");
    il_tensor *x = stream_forward(pass, g, il_batch_find(batch, "tokens"), NULL);

    if (x != NULL && next != NULL) {
        il_loss(pass, "next_token",
                il_cross_entropy_linear(pass, x, il_use(pass, g->w_u), NULL, next));
    }
}

/* Every block's keys and values. [any] */
static int64_t gpt_carry_width(const void *self, int64_t length)
{
    const gpt *g = self;

    return g->layers * cache_size(g, length);
}

/* [work] */
static void gpt_step(const void *self, il_pass *pass, const il_batch *batch, int64_t at,
                     int64_t length, float *carry)
{
    const gpt *g = self;
    const past before = {.cache = carry,
                         .apart = gpt_carry_width(g, length),
                         .at = at,
                         .length = length};

    (void)stream_forward(pass, g, il_batch_find(batch, "tokens"), &before);
}

static const il_model_api api = {.struct_size = sizeof(il_model_api),
                                 .create = gpt_create,
                                 .forward = gpt_forward,
                                 .carry_width = gpt_carry_width,
                                 .step = gpt_step};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "a GPT whose every activation has a name",
          IL_MODEL("gpt", "pre-LN transformer over tokens", &api, IL_PARAMS(params)))
