/* Decoders from folders of Hugging Face's: GPT-2, GPT-NeoX and Pythia, Llama, Mistral,
 * Qwen2 and what is built like them, with adapters of low rank beside their matrices.
 */
#include "decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const il_param_spec params[] = {
    IL_PARAM_TEXT("folder", NULL, IL_PARAM_PATH | IL_PARAM_REQUIRED,
                  "the folder of the model: config.json and safetensors files"),
    IL_PARAM_INT("context", "0", 0, 268435456, "tokens",
                 "the longest sequence; 0 takes what the data publishes, or else all "
                 "that the folder allows"),
    IL_PARAM_INT(
        "lora_rank", "0", 0, 65536, "",
        "rank of new adapters beside the matrices of lora_targets; 0 for none"),
    IL_PARAM_REAL("lora_alpha", "16", 0, 1e6, "",
                  "what adapters add is scaled by this over their rank"),
    IL_PARAM_TEXT(
        "lora_targets", "", 0,
        "which matrices have adapters: last parts of their modules' names, by "
        "blanks; empty takes those that make queries and values"),
    IL_PARAM_TEXT("adapter", "", IL_PARAM_PATH,
                  "a folder of adapters to start from, as PEFT saves them: rank, alpha "
                  "and targets are its own")};

/* ---- adapters ------------------------------------------------------------------- */

/* The rank, scale and targets of a folder of adapters. */
static il_status adapter_read(const il_setup *s, lora *l, char targets[512],
                              const char *folder, il_error *err)
{
    static const char where[] = "adapter_config.json";
    /* Switches and settings by which PEFT makes other adapters than y += s B A x. */
    static const char *const unknown[] = {"use_dora",
                                          "lora_bias",
                                          "use_rslora",
                                          "rank_pattern",
                                          "alpha_pattern",
                                          "modules_to_save",
                                          "layer_replication",
                                          "use_qalora",
                                          "target_parameters",
                                          "alora_invocation_tokens",
                                          "trainable_token_indices"};
    static const char *const taken[] = {"pissa", "olora", "corda", "loftq"};
    values v = {.file = where};
    const char *type;
    char got[64];
    int64_t count;
    size_t used = 0;

    IL_TRY(il_setup_pretrained(s, &l->from, folder, where, "adapter_model", err));
    v.from = l->from;
    type = il_pretrained_text(l->from, "peft_type");
    if (type == NULL || strcmp(type, "LORA") != 0) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, where,
                            "peft_type: expected LORA, got %s",
                            value_shown(&v, "peft_type", got));
    }
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        IL_TRY(value_empty(&v, unknown[i], err));
    }
    /* These begin by taking what they hold out of the folder's own matrices. */
    type = il_pretrained_text(l->from, "init_lora_weights");
    for (size_t i = 0; type != NULL && i < sizeof taken / sizeof taken[0]; i++) {
        if (strncmp(type, taken[i], strlen(taken[i])) == 0) {
            return il_error_set(err, IL_ERR_UNSUPPORTED, where,
                                "init_lora_weights: '%.40s' changes the weights beside "
                                "the adapters, which is not known here; PEFT can save "
                                "them as plain ones",
                                type);
        }
    }
    type = il_pretrained_text(l->from, "bias");
    if (il_pretrained_has(l->from, "bias") &&
        (type == NULL || strcmp(type, "none") != 0)) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, where,
                            "bias: expected none, got %s",
                            value_shown(&v, "bias", got));
    }
    IL_TRY(value_size(&v, "r", 0, 65536, &l->rank, err));
    if (!il_pretrained_real(l->from, "lora_alpha", &l->alpha) ||
        !(fabs(l->alpha) <= 1e6)) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "lora_alpha: expected a number within 1e6 of 0, got %s",
                            value_shown(&v, "lora_alpha", got));
    }
    count = il_pretrained_count(l->from, "target_modules");
    for (int64_t i = 0; i < count; i++) {
        char path[64];
        const char *name;
        const char *last;

        (void)snprintf(path, sizeof path, "target_modules.%lld", (long long)i);
        name = il_pretrained_text(l->from, path);
        last = name != NULL ? strrchr(name, '.') : NULL;
        name = last != NULL ? last + 1 : name;
        if (name == NULL || used + strlen(name) + 2 > 512) {
            return il_error_set(err, IL_ERR_INPUT, where,
                                "target_modules: expected a list of modules' names");
        }
        used += (size_t)snprintf(targets + used, 512 - used, "%s ", name);
    }
    if (count < 1) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "target_modules: expected a list of modules' names");
    }
    l->targets = targets;
    return IL_OK;
}

static il_status adapters_read(const il_setup *s, const decoder *d, lora *l,
                               char targets[512], il_error *err)
{
    const char *folder = il_setup_text(s, "adapter");

    l->rank = il_setup_int(s, "lora_rank");
    l->alpha = il_setup_real(s, "lora_alpha");
    l->targets = il_setup_text(s, "lora_targets");
    if (folder[0] != '\0' && l->rank > 0) {
        return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                            "expected `adapter` or `lora_rank`, got both: the folder "
                            "has its own rank");
    }
    if (folder[0] != '\0') {
        return adapter_read(s, l, targets, folder, err);
    }
    if (l->targets[0] == '\0') {
        l->targets = d->fused == FUSED_NOT     ? "q_proj v_proj"
                     : d->fused == FUSED_PARTS ? "c_attn"
                                               : "query_key_value";
    }
    return IL_OK;
}

/* What PEFT wants to know of the adapters: plain words and numbers, nothing to escape.
 */
static il_status adapters_note(const il_setup *s, const decoder *d, const lora *l,
                               il_error *err)
{
    char targets[1024] = "";
    char text[2048];
    size_t used = 0;

    for (const char *at = l->targets; *at != '\0';) {
        const size_t n = strcspn(at, " ,");

        if (n > 0 && strcspn(at, "\"\\") < n) {
            return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                                "lora_targets: expected names of modules");
        }
        if (n > 0 && used + n + 8 < sizeof targets) {
            used += (size_t)snprintf(targets + used, sizeof targets - used,
                                     "%s\"%.*s\"", used > 0 ? ", " : "", (int)n, at);
        }
        at += n + (at[n] != '\0');
    }
    (void)snprintf(
        text, sizeof text,
        "{\"peft_type\": \"LORA\", \"task_type\": \"CAUSAL_LM\", \"r\": %lld, "
        "\"lora_alpha\": %.17g, \"target_modules\": [%s], "
        "\"fan_in_fan_out\": %s, \"bias\": \"none\", \"lora_dropout\": 0.0, "
        "\"inference_mode\": true, \"base_model_name_or_path\": null}",
        (long long)l->rank, l->alpha, targets,
        d->fused == FUSED_PARTS ? "true" : "false");
    il_setup_note(s, "adapter_config", text);
    return IL_OK;
}

/* ---- create --------------------------------------------------------------------- */

/* In the order in which a forward pass meets them. */
static il_status block_sites(const il_setup *s, const decoder *d, block *b, int64_t n,
                             il_error *err)
{
    const int64_t c = d->width;
    const int64_t queries = d->heads * d->head;
    const int64_t keys = d->groups * d->head;
    const struct {
        il_site *site;
        const char *name;
        int64_t width; /* 0: the pattern */
        bool there;
    } sites[] = {{&b->resid_pre, "hook_resid_pre", c, true},
                 {&b->normalized1, "ln1.hook_normalized", c, true},
                 {&b->site_q, "attn.hook_q", queries, true},
                 {&b->site_k, "attn.hook_k", keys, true},
                 {&b->site_v, "attn.hook_v", keys, true},
                 {&b->rot_q, "attn.hook_rot_q", queries, !d->learned},
                 {&b->rot_k, "attn.hook_rot_k", keys, !d->learned},
                 {&b->pattern, "attn.hook_pattern", 0, true},
                 {&b->z, "attn.hook_z", queries, true},
                 {&b->attn_out, "hook_attn_out", c, true},
                 {&b->resid_mid, "hook_resid_mid", c, !d->parallel},
                 {&b->normalized2, "ln2.hook_normalized", c, true},
                 {&b->pre, "mlp.hook_pre", d->hidden, true},
                 {&b->pre_linear, "mlp.hook_pre_linear", d->hidden, d->gated},
                 {&b->post, "mlp.hook_post", d->hidden, true},
                 {&b->mlp_out, "hook_mlp_out", c, true},
                 {&b->resid_post, "hook_resid_post", c, true}};
    char name[64];

    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        if (!sites[i].there) {
            sites[i].site->id = -1;
            continue;
        }
        (void)snprintf(name, sizeof name, "blocks.%lld.%s", (long long)n,
                       sites[i].name);
        IL_TRY(sites[i].width > 0
                   ? il_setup_add_site(s, sites[i].site, name, sites[i].width, err)
                   : il_setup_add_pattern(s, sites[i].site, name, d->heads, d->context,
                                          err));
    }
    return IL_OK;
}

static il_status declare(const il_setup *s, decoder *d, il_error *err)
{
    IL_TRY(il_setup_add_site(s, &d->embed, "hook_embed", d->width, err));
    if (d->learned) {
        IL_TRY(il_setup_add_site(s, &d->pos_embed, "hook_pos_embed", d->width, err));
    }
    for (int64_t n = 0; n < d->layers; n++) {
        IL_TRY(block_sites(s, d, &d->blocks[n], n, err));
    }
    IL_TRY(il_setup_add_site(s, &d->normalized, "ln_final.hook_normalized", d->width,
                             err));
    IL_TRY(il_setup_output(s, "logits", d->vocabulary, err));
    return il_setup_loss(s, "next_token", "weights", err);
}

/* The context and the vocabulary, the folder's against the data's. */
static il_status fit_data(const il_setup *s, decoder *d, il_error *err)
{
    int64_t vocabulary;

    d->context = il_setup_int(s, "context");
    if (d->context == 0 && !il_setup_fact(s, "context", &d->context)) {
        d->context = d->positions;
    }
    if (d->context < 1 || d->context > d->positions) {
        return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                            "sequences of %lld tokens, but the folder's model has %lld "
                            "positions",
                            (long long)d->context, (long long)d->positions);
    }
    if (il_setup_fact(s, "vocabulary", &vocabulary) && vocabulary > d->vocabulary) {
        return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                            "the data has %lld tokens, but the folder's model knows "
                            "%lld",
                            (long long)vocabulary, (long long)d->vocabulary);
    }
    return IL_OK;
}

/* [setup] */
static il_status hf_create(const il_setup *s, void **self, il_error *err)
{
    decoder *d = il_setup_new(s, sizeof *d);
    const il_pretrained *from = NULL;
    lora adapters = {.rank = 0};
    char targets[512] = "";

    if (d == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "hf_decoder", "out of memory");
    }
    IL_TRY(il_setup_pretrained(s, &from, il_setup_text(s, "folder"), "config.json",
                               "model", err));
    IL_TRY(decoder_configure(d, from, err));
    IL_TRY(fit_data(s, d, err));
    IL_TRY(adapters_read(s, d, &adapters, targets, err));
    d->blocks = il_setup_new(s, (size_t)d->layers * sizeof(block));
    if (d->blocks == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "hf_decoder", "out of memory");
    }
    for (int64_t n = 0; n < d->layers; n++) {
        d->blocks[n].window = d->windows[n];
    }
    IL_TRY(decoder_weights(s, d, from, &adapters, err));
    if (adapters.rank > 0) {
        IL_TRY(adapters_note(s, d, &adapters, err));
    }
    IL_TRY(declare(s, d, err));
    *self = d;
    return IL_OK;
}

static const il_model_api api = {.struct_size = sizeof(il_model_api),
                                 .create = hf_create,
                                 .forward = decoder_forward,
                                 .carry_width = decoder_carry_width,
                                 .step = decoder_step};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "decoders from folders of Hugging Face's",
          IL_MODEL("hf_decoder", "a decoder with the weights of a folder", &api,
                   IL_PARAMS(params)))
