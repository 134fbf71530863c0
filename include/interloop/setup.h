/* Setup: the host object that a component's `create` gets. It hands over the configured
 * values and takes what the component declares: parameters, buffers, sites, outputs,
 * losses.
 *
 * Everything a component keeps is a named tensor registered here, so that saving,
 * loading, optimizing, counting and routing are the core's business and the same for
 * all. [setup] throughout: one thread. */
#ifndef INTERLOOP_SETUP_H
#define INTERLOOP_SETUP_H

#include <stdbool.h>
#include "interloop/abi.h"
#include "interloop/pretrained.h"
#include "interloop/status.h"
#include "interloop/tensor.h"
#include "interloop/tensors.h"
#include "interloop/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Handles; valid with the component that registered them. */
typedef struct il_param {
    int32_t id;
} il_param;
typedef struct il_site {
    int32_t id;
} il_site;

/* How a parameter starts. Normal draws come from the stream (seed, 0, IL_RNG_INIT, hash
 * of the name, row). */
typedef enum il_init_kind {
    IL_INIT_CONSTANT,
    IL_INIT_GAUSS,
    IL_INIT_RANGE
} il_init_kind;
typedef struct il_init {
    il_init_kind kind;
    float a; /* the constant; the standard deviation; half the width of the range about
                0 */
} il_init;

static inline il_init il_init_make(il_init_kind kind, float a)
{
    il_init i;

    i.kind = kind;
    i.a = a;
    return i;
}
#define IL_INIT_ZERO         il_init_make(IL_INIT_CONSTANT, 0.0f)
#define IL_INIT_ONE          il_init_make(IL_INIT_CONSTANT, 1.0f)
#define IL_INIT_NORMAL(std)  il_init_make(IL_INIT_GAUSS, (float)(std))
#define IL_INIT_UNIFORM(lim) il_init_make(IL_INIT_RANGE, (float)(lim))

typedef struct il_setup il_setup;

typedef struct il_setup_api {
    size_t struct_size;
    void *(*new_instance)(const il_setup *s, size_t bytes);
    int64_t (*get_int)(const il_setup *s, const char *name);
    double (*get_real)(const il_setup *s, const char *name);
    bool (*get_flag)(const il_setup *s, const char *name);
    const char *(*get_text)(const il_setup *s, const char *name);
    uint64_t (*seed)(const il_setup *s);
    bool (*fact)(const il_setup *s, const char *name, int64_t *value);
    void (*publish)(const il_setup *s, const char *name, int64_t value);
    void (*group)(const il_setup *s, const char *name);
    il_status (*param)(const il_setup *s, il_param *out, const char *name, int32_t ndim,
                       const int64_t *shape, il_init init, il_error *err);
    il_status (*site)(const il_setup *s, il_site *out, const char *name, int64_t width,
                      il_error *err);
    il_status (*output)(const il_setup *s, const char *name, int64_t width,
                        il_error *err);
    il_status (*loss)(const il_setup *s, const char *name, const char *weights,
                      il_error *err);
    int32_t (*site_count)(const il_setup *s);
    int64_t (*site_width)(const il_setup *s, int32_t index);
    void (*log)(const il_setup *s, const char *line);
    il_status (*pattern)(const il_setup *s, il_site *out, const char *name,
                         int64_t heads, int64_t keys, il_error *err);
    int64_t (*site_heads)(const il_setup *s, int32_t index);
    il_status (*pretrained)(const il_setup *s, const il_pretrained **out,
                            const char *folder, const char *config, const char *weights,
                            il_error *err);
    il_status (*param_from)(const il_setup *s, il_param *out, const char *name,
                            const il_pretrained *from, const char *tensor, int32_t ndim,
                            const int64_t *shape, il_error *err);
    void (*note)(const il_setup *s, const char *name, const char *text);
    il_status (*tokenizer)(const il_setup *s, const il_tokens **out, const char *path,
                           il_error *err);
    il_status (*tensors)(const il_setup *s, const il_tensors **out, const char *path,
                         const char *naming, il_error *err);
} il_setup_api;

struct il_setup {
    const il_setup_api *api;
};

/* Cleared memory for the instance, owned by the host and released after `destroy`; what
 * the instance allocates besides is its own to free there. NULL when memory is out. */
static inline void *il_setup_new(const il_setup *s, size_t bytes)
{
    return s->api->new_instance(s, bytes);
}

/* Configured values by the name in the component's table, already checked against it.
 * Text lives as long as the instance. Asking for a name or a type that the table does
 * not have fails the create with a message. */
static inline int64_t il_setup_int(const il_setup *s, const char *name)
{
    return s->api->get_int(s, name);
}
static inline double il_setup_real(const il_setup *s, const char *name)
{
    return s->api->get_real(s, name);
}
static inline bool il_setup_flag(const il_setup *s, const char *name)
{
    return s->api->get_flag(s, name);
}
static inline const char *il_setup_text(const il_setup *s, const char *name)
{
    return s->api->get_text(s, name);
}

/* The run's seed. */
static inline uint64_t il_setup_seed(const il_setup *s)
{
    return s->api->seed(s);
}

/* Facts pass numbers to the model: a dataset publishes "vocabulary" (tokens) and
 * "context" (tokens a row), an environment of steps "observation" (its width) and
 * "actions" (how many), a model asks. False when nobody published it. */
static inline bool il_setup_fact(const il_setup *s, const char *name, int64_t *value)
{
    return s->api->fact(s, name, value);
}
static inline void il_setup_publish(const il_setup *s, const char *name, int64_t value)
{
    s->api->publish(s, name, value);
}

/* Parameters registered from here on belong to this group ("blocks.3", "belief").
 * Before the first call, to the group "model". */
static inline void il_setup_group(const il_setup *s, const char *name)
{
    s->api->group(s, name);
}

/* Registers a trainable f32 tensor; names are unique in the component. */
static inline il_status
il_setup_param(const il_setup *s, il_param *out, const char *name, int32_t ndim,
               const int64_t *shape, il_init init, il_error *err)
{
    return s->api->param(s, out, name, ndim, shape, init, err);
}

/* Models: opens a folder of weights: its configuration, FOLDER/`config`, and the
 * tensors of FOLDER/`weights`.safetensors or of the files that its index lists. All of
 * it is checked; what is opened is part of what a result's address is made of. The host
 * keeps it; it answers until `create` returns. */
static inline il_status
il_setup_pretrained(const il_setup *s, const il_pretrained **out, const char *folder,
                    const char *config, const char *weights, il_error *err)
{
    return s->api->pretrained(s, out, folder, config, weights, err);
}

/* The same as il_setup_param for one that starts from the tensor of that name, whose
 * shape must be this one; f16 and bf16 become f32, exactly, and f32 is not copied where
 * its file allows. */
static inline il_status il_setup_param_from(const il_setup *s, il_param *out,
                                            const char *name, const il_pretrained *from,
                                            const char *tensor, int32_t ndim,
                                            const int64_t *shape, il_error *err)
{
    return s->api->param_from(s, out, name, from, tensor, ndim, shape, err);
}

/* Models: leaves a text with the instance for who writes it to other people's files:
 * "adapter_config" is the JSON that goes beside its adapters; "model", of a model
 * without parameters, the hash of the weights that it stands for. A name said twice is
 * the later text. */
static inline void il_setup_note(const il_setup *s, const char *name, const char *text)
{
    s->api->note(s, name, text);
}

/* Models: registers a point of the forward pass, of shape (B,T,width), under its
 * TransformerLens name. */
static inline il_status il_setup_add_site(const il_setup *s, il_site *out,
                                          const char *name, int64_t width,
                                          il_error *err)
{
    return s->api->site(s, out, name, width, err);
}

/* Models: the same for an attention pattern, (B,heads,T,T), T at most `keys`. What
 * reads it gets a row a query, (N,heads*keys): head by head, how the query weighs each
 * key, 0 for keys that are not there. */
static inline il_status il_setup_add_pattern(const il_setup *s, il_site *out,
                                             const char *name, int64_t heads,
                                             int64_t keys, il_error *err)
{
    return s->api->pattern(s, out, name, heads, keys, err);
}

/* Models: declares a named output of shape (B,T,width). */
static inline il_status il_setup_output(const il_setup *s, const char *name,
                                        int64_t width, il_error *err)
{
    return s->api->output(s, name, width, err);
}

/* Models: declares a named loss, given in forward as one number a row of (B,T).
 * `weights` is the batch field of shape (B,T), f32, that weighs the rows, or NULL for
 * all ones; the core divides by its sum over the batch. */
static inline il_status il_setup_loss(const il_setup *s, const char *name,
                                      const char *weights, il_error *err)
{
    return s->api->loss(s, name, weights, err);
}

/* Detectors: how many sites it reads, and the width of each. */
static inline int32_t il_setup_site_count(const il_setup *s)
{
    return s->api->site_count(s);
}
static inline int64_t il_setup_site_width(const il_setup *s, int32_t index)
{
    return s->api->site_width(s, index);
}

/* Of an attention pattern its heads, each as wide as the site's width divided by them;
 * 0 of any other site. */
static inline int64_t il_setup_site_heads(const il_setup *s, int32_t index)
{
    return s->api->site_heads(s, index);
}

/* Datasets and environments: opens a tokenizer.json, or the folder that holds one with
 * its chat template. Valid as long as the instance. A host that has no tokenizers gives
 * IL_ERR_UNSUPPORTED. */
static inline il_status il_setup_tokenizer(const il_setup *s, const il_tokens **out,
                                           const char *path, il_error *err)
{
    if (!IL_HAS(s->api, tokenizer)) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "", "this host has no tokenizers");
    }
    return s->api->tokenizer(s, out, path, err);
}

/* Datasets, environments and models: opens a folder of tensors in .safetensors or .npy
 * files, or one such file. `naming` says which files are shards, "{shard}.safetensors",
 * "{shard}.{name}.npy"; NULL or "" is the usual (docs/activations.md). Valid as long as
 * the instance; what a model opens is part of what a result's address is made of. A
 * host that reads no files gives IL_ERR_UNSUPPORTED. */
static inline il_status il_setup_tensors(const il_setup *s, const il_tensors **out,
                                         const char *path, const char *naming,
                                         il_error *err)
{
    if (!IL_HAS(s->api, tensors)) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "",
                            "this host reads no files of tensors");
    }
    return s->api->tensors(s, out, path, naming, err);
}

/* A line for the run's log. */
static inline void il_setup_log(const il_setup *s, const char *line)
{
    s->api->log(s, line);
}

#ifdef __cplusplus
}
#endif

#endif
