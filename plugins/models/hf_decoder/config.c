/* Configurations: what each architecture calls its sizes, and what it leaves open. */
#include "decoder.h"

#include <stdio.h>
#include <string.h>

static il_status act_of(const values *v, const char *name, const char *initial,
                        il_act *act, il_error *err)
{
    static const struct {
        const char *name;
        il_act act;
    } known[] = {
        {"gelu", IL_ACT_GELU},           {"gelu_python", IL_ACT_GELU},
        {"gelu_new", IL_ACT_GELU_TANH},  {"gelu_pytorch_tanh", IL_ACT_GELU_TANH},
        {"gelu_fast", IL_ACT_GELU_TANH}, {"silu", IL_ACT_SILU},
        {"swish", IL_ACT_SILU},          {"relu", IL_ACT_RELU}};
    const char *text = il_pretrained_text(v->from, name);
    char got[64];

    text = text == NULL && !il_pretrained_has(v->from, name) ? initial : text;
    for (size_t i = 0; text != NULL && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, text) == 0) {
            *act = known[i].act;
            return IL_OK;
        }
    }
    return il_error_set(err, IL_ERR_UNSUPPORTED, v->file,
                        "%s: expected gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, "
                        "silu or relu, got %s",
                        name, value_shown(v, name, got));
}

/* ---- architectures -------------------------------------------------------------- */

enum { SIZE_MAX_CHANNELS = 1 << 20, SIZE_MAX_TOKENS = 1 << 28 };

/* What all have, under the names that most use. */
static il_status read_common(decoder *d, const values *v, il_error *err)
{
    IL_TRY(value_size(v, "num_hidden_layers", 0, LAYERS_MAX, &d->layers, err));
    IL_TRY(value_size(v, "hidden_size", 0, SIZE_MAX_CHANNELS, &d->width, err));
    IL_TRY(value_size(v, "num_attention_heads", 0, 4096, &d->heads, err));
    IL_TRY(value_size(v, "intermediate_size", 0, SIZE_MAX_CHANNELS, &d->hidden, err));
    return value_size(v, "max_position_embeddings", 2048, SIZE_MAX_TOKENS,
                      &d->positions, err);
}

static il_status divide_heads(decoder *d, const values *v, const char *width,
                              il_error *err)
{
    if (d->width % d->heads != 0) {
        return il_error_set(err, IL_ERR_INPUT, v->file,
                            "%s: expected a multiple of the %lld heads, got %lld",
                            width, (long long)d->heads, (long long)d->width);
    }
    d->head = d->width / d->heads;
    d->groups = d->heads;
    return IL_OK;
}

static il_status read_gpt2(decoder *d, const values *v, il_error *err)
{
    double eps;

    IL_TRY(value_size(v, "n_layer", 0, LAYERS_MAX, &d->layers, err));
    IL_TRY(value_size(v, "n_embd", 0, SIZE_MAX_CHANNELS, &d->width, err));
    IL_TRY(value_size(v, "n_head", 0, 4096, &d->heads, err));
    IL_TRY(
        value_size(v, "n_inner", 4 * d->width, 4 * SIZE_MAX_CHANNELS, &d->hidden, err));
    IL_TRY(value_size(v, "n_positions", 1024, SIZE_MAX_TOKENS, &d->positions, err));
    IL_TRY(act_of(v, "activation_function", "gelu_new", &d->act, err));
    IL_TRY(value_real(v, "layer_norm_epsilon", 1e-5, &eps, err));
    IL_TRY(value_flag(v, "tie_word_embeddings", true, &d->tied, err));
    IL_TRY(value_must_be(v, "scale_attn_weights", true, err));
    IL_TRY(value_must_be(v, "scale_attn_by_inverse_layer_idx", false, err));
    IL_TRY(value_must_be(v, "add_cross_attention", false, err));
    IL_TRY(divide_heads(d, v, "n_embd", err));
    d->eps = (float)eps;
    d->fused = FUSED_PARTS;
    d->learned = true;
    d->qkv_biased = d->o_biased = d->mlp_biased = true;
    return IL_OK;
}

static il_status read_neox(decoder *d, const values *v, il_error *err)
{
    double eps;
    double part;
    double base;

    IL_TRY(read_common(d, v, err));
    IL_TRY(act_of(v, "hidden_act", "gelu", &d->act, err));
    IL_TRY(value_real(v, "layer_norm_eps", 1e-5, &eps, err));
    IL_TRY(value_real(v, "rotary_pct", 0.25, &part, err));
    IL_TRY(value_real(v, "rotary_emb_base", 10000.0, &base, err));
    IL_TRY(value_flag(v, "use_parallel_residual", true, &d->parallel, err));
    IL_TRY(value_flag(v, "tie_word_embeddings", false, &d->tied, err));
    IL_TRY(value_flag(v, "attention_bias", true, &d->qkv_biased, err));
    IL_TRY(divide_heads(d, v, "hidden_size", err));
    d->eps = (float)eps;
    d->fused = FUSED_BY_HEAD;
    d->o_biased = d->qkv_biased;
    d->mlp_biased = true;
    return decoder_turns(d, v, part, base, err);
}

/* Which blocks see a window alone: a list says so, or the first `full` do not. */
static il_status read_windows(decoder *d, const values *v, int64_t full, il_error *err)
{
    int64_t window = 0;
    char path[64];
    char got[64];

    if (!il_pretrained_has(v->from, "sliding_window")) {
        return IL_OK;
    }
    IL_TRY(value_size(v, "sliding_window", 0, SIZE_MAX_TOKENS, &window, err));
    for (int64_t n = 0; n < d->layers; n++) {
        d->windows[n] = n >= full ? window : 0;
    }
    for (int64_t n = 0; il_pretrained_has(v->from, "layer_types") && n < d->layers;
         n++) {
        const char *type;

        (void)snprintf(path, sizeof path, "layer_types.%lld", (long long)n);
        type = il_pretrained_text(v->from, path);
        if (type == NULL || (strcmp(type, "full_attention") != 0 &&
                             strcmp(type, "sliding_attention") != 0)) {
            return il_error_set(err, IL_ERR_UNSUPPORTED, v->file,
                                "%s: expected full_attention or sliding_attention, "
                                "got %s",
                                path, value_shown(v, path, got));
        }
        d->windows[n] = strcmp(type, "sliding_attention") == 0 ? window : 0;
    }
    return IL_OK;
}

/* Llama and what differs from it in biases and windows alone. */
static il_status read_llama(decoder *d, const values *v, il_error *err)
{
    const bool qwen = strcmp(d->kind, "qwen2") == 0;
    double eps;
    double base;
    int64_t full = 0;
    bool windows = strcmp(d->kind, "mistral") == 0;
    char got[64];

    IL_TRY(read_common(d, v, err));
    IL_TRY(value_size(v, "num_key_value_heads", d->heads, 4096, &d->groups, err));
    if (d->heads % d->groups != 0) {
        return il_error_set(
            err, IL_ERR_INPUT, v->file,
            "num_key_value_heads: expected a divisor of the %lld heads, "
            "got %lld",
            (long long)d->heads, (long long)d->groups);
    }
    if (il_pretrained_has(v->from, "head_dim")) {
        IL_TRY(value_size(v, "head_dim", 0, 65536, &d->head, err));
    } else {
        const int64_t groups = d->groups;

        IL_TRY(divide_heads(d, v, "hidden_size", err));
        d->groups = groups;
    }
    IL_TRY(act_of(v, "hidden_act", "silu", &d->act, err));
    IL_TRY(value_real(v, "rms_norm_eps", 1e-6, &eps, err));
    IL_TRY(value_real(v, "rope_theta", 10000.0, &base, err));
    IL_TRY(value_flag(v, "tie_word_embeddings", false, &d->tied, err));
    if (qwen) {
        d->qkv_biased = true;
        IL_TRY(value_flag(v, "use_sliding_window", false, &windows, err));
        full = 28;
        if (!il_pretrained_int(v->from, "max_window_layers", &full) &&
            il_pretrained_has(v->from, "max_window_layers")) {
            return il_error_set(err, IL_ERR_INPUT, v->file,
                                "max_window_layers: expected a whole number, got %s",
                                value_shown(v, "max_window_layers", got));
        }
    } else if (strcmp(d->kind, "llama") == 0) {
        IL_TRY(value_flag(v, "attention_bias", false, &d->qkv_biased, err));
        IL_TRY(value_flag(v, "mlp_bias", false, &d->mlp_biased, err));
        d->o_biased = d->qkv_biased;
    }
    if (windows) {
        IL_TRY(read_windows(d, v, full, err));
    }
    d->eps = (float)eps;
    d->rms = true;
    d->gated = true;
    return decoder_turns(d, v, 1.0, base, err);
}

il_status decoder_configure(decoder *d, const il_pretrained *from, il_error *err)
{
    static const struct {
        const char *kind;
        il_status (*read)(decoder *d, const values *v, il_error *err);
    } known[] = {{"gpt2", read_gpt2},
                 {"gpt_neox", read_neox},
                 {"llama", read_llama},
                 {"mistral", read_llama},
                 {"qwen2", read_llama}};
    const values v = {.from = from, .file = "config.json"};
    const char *type = il_pretrained_text(from, "model_type");
    char got[64];

    for (size_t i = 0; type != NULL && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].kind, type) != 0) {
            continue;
        }
        d->kind = known[i].kind;
        IL_TRY(value_size(&v, "vocab_size", 0, 1 << 24, &d->vocabulary, err));
        IL_TRY(value_must_be(&v, "is_encoder_decoder", false, err));
        IL_TRY(value_empty(&v, "quantization_config", err));
        IL_TRY(known[i].read(d, &v, err));
        if (!(d->eps > 0.0f) || !(d->eps <= 1.0f)) {
            return il_error_set(err, IL_ERR_INPUT, v.file,
                                "the norms' epsilon: expected a number above 0 and at "
                                "most 1, got %g",
                                (double)d->eps);
        }
        return IL_OK;
    }
    return il_error_set(err, IL_ERR_UNSUPPORTED, v.file,
                        "model_type: expected gpt2, gpt_neox, llama, mistral or qwen2, "
                        "got %s",
                        value_shown(&v, "model_type", got));
}
