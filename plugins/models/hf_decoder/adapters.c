/* Adapters of low rank (Hu et al. 2021): which there are, where they come from, and
 * what PEFT wants to know of them. */
#include "decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- which ---------------------------------------------------------------------- */

/* The rank, scale and targets of a folder of adapters. */
static il_status folder_read(const il_setup *s, lora *l, const char *folder,
                             il_error *err)
{
    static const char where[] = "adapter_config.json";
    /* Switches and settings by which PEFT makes other adapters than y += s B A x. */
    static const char *const unknown[] = {"use_dora",
                                          "lora_bias",
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
    IL_TRY(value_flag(&v, "use_rslora", false, &l->root, err));
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
        if (name == NULL || used + strlen(name) + 2 > sizeof l->listed) {
            return il_error_set(err, IL_ERR_INPUT, where,
                                "target_modules: expected a list of modules' names");
        }
        used +=
            (size_t)snprintf(l->listed + used, sizeof l->listed - used, "%s ", name);
    }
    if (count < 1) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "target_modules: expected a list of modules' names");
    }
    l->targets = l->listed;
    return IL_OK;
}

/* Takes the names apart; without any there is a single adapter, which has none. */
static il_status names_read(const char *list, loras *all, il_error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    all->count = list[0] == '\0';
    for (const char *at = list; *at != '\0';) {
        const size_t n = strcspn(at, " ,");

        if (n > 0 && (all->count == ADAPTERS_MAX || n >= sizeof all->items[0].name ||
                      strspn(at, plain) < n)) {
            return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                                "lora_names: expected at most %d names of letters, "
                                "digits, _ and -, got '%.80s'",
                                ADAPTERS_MAX, list);
        }
        if (n > 0) {
            memcpy(all->items[all->count++].name, at, n);
        }
        at += n + (at[n] != '\0');
    }
    for (size_t i = 0; i < all->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(all->items[i].name, all->items[k].name) == 0) {
                return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                                    "lora_names: '%s' stands there twice",
                                    all->items[i].name);
            }
        }
    }
    return IL_OK;
}

il_status adapters_read(const il_setup *s, const decoder *d, loras *all, il_error *err)
{
    const char *folder = il_setup_text(s, "adapter");
    const char *targets = il_setup_text(s, "lora_targets");
    const int64_t rank = il_setup_int(s, "lora_rank");

    if (folder[0] != '\0' && rank > 0) {
        return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                            "expected `adapter` or `lora_rank`, got both: the folder "
                            "has its own rank");
    }
    IL_TRY(names_read(il_setup_text(s, "lora_names"), all, err));
    if (folder[0] == '\0' && rank == 0 && all->items[0].name[0] != '\0') {
        return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                            "lora_names: expected lora_rank or adapter beside it");
    }
    for (size_t i = 0; i < all->count; i++) {
        lora *l = &all->items[i];
        char path[4096];

        l->rank = rank;
        l->alpha = il_setup_real(s, "lora_alpha");
        l->root = strcmp(il_setup_text(s, "lora_scale"), "root") == 0;
        l->targets = targets[0] != '\0'        ? targets
                     : d->fused == FUSED_NOT   ? "q_proj v_proj"
                     : d->fused == FUSED_PARTS ? "c_attn"
                                               : "query_key_value";
        if (folder[0] == '\0') {
            continue;
        }
        if (snprintf(path, sizeof path, "%s%s%s", folder, l->name[0] != '\0' ? "/" : "",
                     l->name) >= (int)sizeof path) {
            return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                                "adapter: the folder's name is too long");
        }
        IL_TRY(folder_read(s, l, path, err));
    }
    return IL_OK;
}

/* ---- their matrices ------------------------------------------------------------- */

/* Whether a list of names, by blanks or commas, has the last part of a module's. */
static bool targeted(const char *list, const char *module)
{
    const char *last = strrchr(module, '.');

    last = last != NULL ? last + 1 : module;
    while (*list != '\0') {
        const size_t n = strcspn(list, " ,");

        if (n > 0 && n == strlen(last) && memcmp(list, last, n) == 0) {
            return true;
        }
        list += n + (list[n] != '\0');
    }
    return false;
}

/* One matrix of an adapter: from a folder, or new. */
static il_status part_take(const il_setup *s, const lora *l, il_param *out,
                           const char *module, bool second, const int64_t *shape,
                           il_error *err)
{
    const char *part = second ? "lora_B" : "lora_A";
    char name[NAME_MAX_BYTES + 128];
    char stored[NAME_MAX_BYTES + 96];

    (void)snprintf(name, sizeof name, "%s.%s%s%s.weight", module, part,
                   l->name[0] != '\0' ? "." : "", l->name);
    (void)snprintf(stored, sizeof stored, "base_model.model.%s.%s.weight", module,
                   part);
    return l->from != NULL
               ? il_setup_param_from(s, out, name, l->from, stored, 2, shape, err)
               : il_setup_param(s, out, name, 2, shape,
                                second ? IL_INIT_ZERO
                                       : IL_INIT_UNIFORM(1.0 / sqrt((double)shape[1])),
                                err);
}

il_status adapters_take(const il_setup *s, loras *all, matrix *x, const char *module,
                        int64_t out, int64_t in, il_error *err)
{
    for (size_t i = 0; i < all->count; i++) {
        lora *l = &all->items[i];
        adapter *a = &x->lora[x->adapters];
        const int64_t shape_a[] = {l->rank, in};
        const int64_t shape_b[] = {out, l->rank};
        char group[80];

        if (l->rank == 0 || !targeted(l->targets, module)) {
            continue;
        }
        (void)snprintf(group, sizeof group, "lora%s%s", l->name[0] != '\0' ? "." : "",
                       l->name);
        il_setup_group(s, group);
        IL_TRY(part_take(s, l, &a->a, module, false, shape_a, err));
        IL_TRY(part_take(s, l, &a->b, module, true, shape_b, err));
        /* Kalajdzievski 2023: over the root, what is added does not fade with rank. */
        a->scale =
            (float)(l->alpha / (l->root ? sqrt((double)l->rank) : (double)l->rank));
        x->adapters++;
        l->adapted++;
    }
    return IL_OK;
}

il_status adapters_check(const decoder *d, const loras *all, const char *example,
                         il_error *err)
{
    for (size_t i = 0; i < all->count; i++) {
        const lora *l = &all->items[i];

        if (l->rank > 0 && l->adapted == 0) {
            return il_error_set(
                err, IL_ERR_INPUT, "hf_decoder",
                "lora_targets: no matrix of a %s is called one of '%.80s'; "
                "expected names like %s",
                d->kind, l->targets, example);
        }
        if (l->from != NULL && il_pretrained_tensor_count(l->from) != 2 * l->adapted) {
            return il_error_set(err, IL_ERR_INPUT, "hf_decoder",
                                "adapter: expected two tensors for each of %zu "
                                "matrices, got %zu tensors",
                                l->adapted, il_pretrained_tensor_count(l->from));
        }
    }
    return IL_OK;
}

/* ---- for PEFT ------------------------------------------------------------------- */

/* What PEFT wants to know of the adapters: plain words and numbers, nothing to escape.
 */
static il_status adapter_note(const il_setup *s, const decoder *d, const lora *l,
                              il_error *err)
{
    char targets[1024] = "";
    char text[2048];
    char key[96];
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
        "\"use_rslora\": %s, \"fan_in_fan_out\": %s, \"bias\": \"none\", \"lora_dropout\": 0.0, "
        "\"inference_mode\": true, \"base_model_name_or_path\": null}",
        (long long)l->rank, l->alpha, targets, l->root ? "true" : "false",
        d->fused == FUSED_PARTS ? "true" : "false");
    (void)snprintf(key, sizeof key, "adapter_config%s%s", l->name[0] != '\0' ? "." : "",
                   l->name);
    il_setup_note(s, key, text);
    return IL_OK;
}

il_status adapters_note(const il_setup *s, const decoder *d, const loras *all,
                        il_error *err)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i].rank > 0) {
            IL_TRY(adapter_note(s, d, &all->items[i], err));
        }
    }
    return IL_OK;
}
