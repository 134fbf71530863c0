/* Decoders from folders of Hugging Face's: GPT-2, GPT-NeoX and Pythia, Llama, Mistral,
 * Qwen2 and what is built like them, with adapters of low rank beside their matrices.
 */
#include "decoder.h"

#include <stdio.h>
#include <string.h>

static const char *const scales[] = {"rank", "root", NULL};

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
    IL_PARAM_CHOICE("lora_scale", "rank", scales,
                    "whether alpha is divided by the rank or by its root"),
    IL_PARAM_TEXT(
        "lora_names", "", 0,
        "names of several adapters, by blanks, each with the group lora.NAME; "
        "empty: a single one, in the group lora"),
    IL_PARAM_TEXT(
        "adapter", "", IL_PARAM_PATH,
        "a folder of adapters to start from, as PEFT saves them: rank, alpha "
        "and targets are its own; of named ones, the folder of their folders")};

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
    loras *adapters = il_setup_new(s, sizeof *adapters);

    if (d == NULL || adapters == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "hf_decoder", "out of memory");
    }
    IL_TRY(il_setup_pretrained(s, &from, il_setup_text(s, "folder"), "config.json",
                               "model", err));
    IL_TRY(decoder_configure(d, from, err));
    IL_TRY(fit_data(s, d, err));
    IL_TRY(adapters_read(s, d, adapters, err));
    d->blocks = il_setup_new(s, (size_t)d->layers * sizeof(block));
    if (d->blocks == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "hf_decoder", "out of memory");
    }
    for (int64_t n = 0; n < d->layers; n++) {
        d->blocks[n].window = d->windows[n];
    }
    IL_TRY(decoder_weights(s, d, from, adapters, err));
    IL_TRY(adapters_note(s, d, adapters, err));
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
