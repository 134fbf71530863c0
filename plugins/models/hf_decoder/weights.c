/* Parameters: under the names that they have in their folder, in groups by block, and
 * adapters beside those that are asked for. */
#include "decoder.h"

#include <stdio.h>
#include <string.h>

/* How an architecture names its tensors; a module of a block goes after `block` and the
 * block's number. NULL: it has none. */
typedef struct names {
    const char *kind;
    const char *embed, *positions, *final, *unembed;
    const char *block;
    const char *ln1, *ln2;
    const char *q, *k, *v, *o;
    const char *gate, *in, *out;
    const char *base; /* what tensors saved without a head are named without */
} names;

static const names gpt2 = {.kind = "gpt2",
                           .embed = "transformer.wte",
                           .positions = "transformer.wpe",
                           .final = "transformer.ln_f",
                           .unembed = "lm_head",
                           .block = "transformer.h",
                           .ln1 = "ln_1",
                           .ln2 = "ln_2",
                           .q = "attn.c_attn",
                           .o = "attn.c_proj",
                           .in = "mlp.c_fc",
                           .out = "mlp.c_proj",
                           .base = "transformer."};
static const names neox = {.kind = "gpt_neox",
                           .embed = "gpt_neox.embed_in",
                           .final = "gpt_neox.final_layer_norm",
                           .unembed = "embed_out",
                           .block = "gpt_neox.layers",
                           .ln1 = "input_layernorm",
                           .ln2 = "post_attention_layernorm",
                           .q = "attention.query_key_value",
                           .o = "attention.dense",
                           .in = "mlp.dense_h_to_4h",
                           .out = "mlp.dense_4h_to_h",
                           .base = "gpt_neox."};
static const names llama = {.kind = NULL,
                            .embed = "model.embed_tokens",
                            .final = "model.norm",
                            .unembed = "lm_head",
                            .block = "model.layers",
                            .ln1 = "input_layernorm",
                            .ln2 = "post_attention_layernorm",
                            .q = "self_attn.q_proj",
                            .k = "self_attn.k_proj",
                            .v = "self_attn.v_proj",
                            .o = "self_attn.o_proj",
                            .gate = "mlp.gate_proj",
                            .in = "mlp.up_proj",
                            .out = "mlp.down_proj",
                            .base = "model."};

typedef struct making {
    const il_setup *s;
    decoder *d;
    const il_pretrained *from;
    const names *names;
    loras *adapters;
    bool bare;    /* tensors lack the base's name in front */
    size_t taken; /* tensors of the folder */
} making;

/* The tensor of a canonical name, as this folder calls it. */
static const char *tensor_of(const making *m, const char *name)
{
    const size_t n = strlen(m->names->base);

    return m->bare && strncmp(name, m->names->base, n) == 0 ? name + n : name;
}

/* A parameter from the folder, under the tensor's canonical name. */
static il_status take(making *m, il_param *out, const char *module, const char *part,
                      int32_t ndim, const int64_t *shape, il_error *err)
{
    char name[NAME_MAX_BYTES + 64];

    (void)snprintf(name, sizeof name, "%s.%s", module, part);
    m->taken++;
    return il_setup_param_from(m->s, out, name, m->from, tensor_of(m, name), ndim,
                               shape, err);
}

static il_status norm_take(making *m, norm *n, const char *module, il_error *err)
{
    IL_TRY(take(m, &n->w, module, "weight", IL_SHAPE(m->d->width), err));
    return m->d->rms ? IL_OK
                     : take(m, &n->b, module, "bias", IL_SHAPE(m->d->width), err);
}

static il_status matrix_take(making *m, matrix *x, const char *group,
                             const char *module, int64_t out, int64_t in, bool biased,
                             il_error *err)
{
    x->turned = strcmp(m->d->kind, "gpt2") == 0;
    x->biased = biased;
    IL_TRY(take(m, &x->w, module, "weight",
                IL_SHAPE(x->turned ? in : out, x->turned ? out : in), err));
    if (biased) {
        IL_TRY(take(m, &x->b, module, "bias", IL_SHAPE(out), err));
    }
    IL_TRY(adapters_take(m->s, m->adapters, x, module, out, in, err));
    il_setup_group(m->s, group);
    return IL_OK;
}

static il_status block_take(making *m, int64_t n, il_error *err)
{
    const decoder *d = m->d;
    const int64_t c = d->width;
    const int64_t queries = d->heads * d->head;
    const int64_t keys = d->groups * d->head;
    block *b = &m->d->blocks[n];
    const struct {
        matrix *x;
        const char *name;
        int64_t out, in;
        bool biased;
    } matrices[] = {
        {&b->q, m->names->q, d->fused ? queries + 2 * keys : queries, c, d->qkv_biased},
        {&b->k, m->names->k, keys, c, d->qkv_biased},
        {&b->v, m->names->v, keys, c, d->qkv_biased},
        {&b->o, m->names->o, c, queries, d->o_biased},
        {&b->gate, m->names->gate, d->hidden, c, d->mlp_biased},
        {&b->in, m->names->in, d->hidden, c, d->mlp_biased},
        {&b->out, m->names->out, c, d->hidden, d->mlp_biased}};
    char group[64];
    char name[NAME_MAX_BYTES];

    (void)snprintf(group, sizeof group, "blocks.%lld", (long long)n);
    il_setup_group(m->s, group);
    (void)snprintf(name, sizeof name, "%s.%lld.%s", m->names->block, (long long)n,
                   m->names->ln1);
    IL_TRY(norm_take(m, &b->ln1, name, err));
    (void)snprintf(name, sizeof name, "%s.%lld.%s", m->names->block, (long long)n,
                   m->names->ln2);
    IL_TRY(norm_take(m, &b->ln2, name, err));
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        if (matrices[i].name != NULL) {
            (void)snprintf(name, sizeof name, "%s.%lld.%s", m->names->block,
                           (long long)n, matrices[i].name);
            IL_TRY(matrix_take(m, matrices[i].x, group, name, matrices[i].out,
                               matrices[i].in, matrices[i].biased, err));
        }
    }
    return IL_OK;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text);
    const size_t k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Masks and tables that some folders carry beside the weights, and the head of one that
 * is tied. */
static bool known_extra(const making *m, const char *name)
{
    static const char *const ends[] = {".attn.bias", ".attn.masked_bias",
                                       ".attention.bias", ".attention.masked_bias",
                                       ".rotary_emb.inv_freq"};
    char head[64];

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (ends_with(name, ends[i])) {
            return true;
        }
    }
    (void)snprintf(head, sizeof head, "%s.weight", m->names->unembed);
    return m->d->tied && strcmp(name, head) == 0;
}

/* Nothing stands in the folder that the configuration has no place for. */
static il_status check_rest(const making *m, il_error *err)
{
    size_t extra = 0;
    size_t count = il_pretrained_tensor_count(m->from);

    for (size_t i = 0; i < count; i++) {
        extra += known_extra(m, il_pretrained_tensor_name(m->from, i)) ? 1 : 0;
    }
    if (m->taken + extra != count) {
        return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                            "%zu of the folder's %zu tensors have no place in a %s of "
                            "%lld blocks; its config.json is another model's",
                            count - m->taken - extra, count, m->d->kind,
                            (long long)m->d->layers);
    }
    return IL_OK;
}

il_status decoder_weights(const il_setup *s, decoder *d, const il_pretrained *from,
                          loras *adapters, il_error *err)
{
    making m = {.s = s, .d = d, .from = from, .names = &llama, .adapters = adapters};
    char name[NAME_MAX_BYTES];
    int32_t ndim;
    int64_t shape[IL_DIMS_MAX];

    m.names = strcmp(d->kind, "gpt2") == 0 ? &gpt2 : m.names;
    m.names = strcmp(d->kind, "gpt_neox") == 0 ? &neox : m.names;
    (void)snprintf(name, sizeof name, "%s.weight", m.names->embed);
    m.bare =
        !il_pretrained_tensor_shape(from, name, &ndim, shape) &&
        il_pretrained_tensor_shape(from, name + strlen(m.names->base), &ndim, shape);
    il_setup_group(s, "embed");
    IL_TRY(take(&m, &d->w_e, m.names->embed, "weight",
                IL_SHAPE(d->vocabulary, d->width), err));
    if (d->learned) {
        IL_TRY(take(&m, &d->w_pos, m.names->positions, "weight",
                    IL_SHAPE(d->positions, d->width), err));
    }
    for (int64_t n = 0; n < d->layers; n++) {
        IL_TRY(block_take(&m, n, err));
    }
    il_setup_group(s, "unembed");
    IL_TRY(norm_take(&m, &d->ln_final, m.names->final, err));
    d->w_u = d->w_e;
    if (!d->tied) {
        IL_TRY(take(&m, &d->w_u, m.names->unembed, "weight",
                    IL_SHAPE(d->vocabulary, d->width), err));
    }
    IL_TRY(adapters_check(d, adapters, strrchr(m.names->q, '.') + 1, err));
    return check_rest(&m, err);
}
