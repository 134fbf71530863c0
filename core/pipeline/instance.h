/* Instances: components made from a pipeline's words, with all that they declared.
 *
 * Sits above plugins and typed params: finds the component, checks its params against
 * its table, runs `create` with a host-side il_setup, and keeps what was declared. */
#ifndef IL_PIPELINE_INSTANCE_H
#define IL_PIPELINE_INSTANCE_H

#include "plugin/registry.h"
#include "pipeline/params.h"
#include "pipeline/pipeline.h"
#include "formats/pretrained.h"
#include "pipeline/tensors.h"
#include "pipeline/tokens.h"
#include "tensor/store.h"

typedef struct il_declared { /* a site, output or loss */
    const char *name;
    int64_t width;       /* sites, outputs */
    const char *weights; /* losses: batch field, or NULL */
    int64_t heads;       /* sites: those of an attention pattern, whose width is that of
                            its rows; 0: it is none */
} il_declared;

/* Numbers that a dataset or an environment publishes for the model ("vocabulary",
 * "context", "observation", "actions"). */
typedef struct il_facts {
    struct {
        char name[64];
        int64_t value;
    } items[16];
    size_t count;
} il_facts;

typedef struct il_instance {
    const il_offer *offer;
    const char *label; /* "model", "data", "environment", or the detector's name */
    void *self;
    il_store *store; /* parameters, filled with their initial values */
    const il_declared *sites;
    size_t site_count;
    const il_declared *outputs;
    size_t output_count;
    const il_declared *losses;
    size_t loss_count;
    const il_param_value *params;
    size_t param_count;
    const char *identity; /* one line: id, version, plugin sha256, params as JSON; not
                             what files that params name hold */
    il_pretrained *opened[16]; /* the folders of weights that it took parameters from */
    size_t opened_count;
    il_tokens *tokenizers[4]; /* those that it opened */
    size_t tokenizer_count;
    il_tensors *tensors[4]; /* the shards of tensors that it opened */
    size_t tensors_count;
    const char *address; /* see il_instance_address */
    struct {
        const char *name;
        const char *text;
    } notes[4];
    size_t note_count;
    /* environments: their sizes, and every field of an episode, the host's first;
     * `own_fields` is the number of the first that the environment lists itself */
    il_environment_shape shape;
    const il_field *fields;
    int32_t field_count;
    int32_t own_fields;
    struct il_instance_host *host;
} il_instance;

/* For trying how a component bears want of memory: the call of the setup, counted from
 * 1, that finds none; 0 for never. `calls` counts them. */
typedef struct il_setup_fault {
    int64_t at;
    int64_t calls;
} il_setup_fault;

/* What `create` needs besides the words. */
typedef struct il_instance_input {
    const char *label;
    uint64_t seed;
    il_facts *facts;            /* read by models, written by the other two */
    const int64_t *site_widths; /* detectors: of the sites they read */
    const int64_t *site_heads;  /* and their heads; NULL: they are no patterns */
    int32_t site_count;
    /* detectors: of a last parameter "pool.query" (1,W), at zero, that the host adds
     * for what pools by attention; 0: none */
    int64_t query_width;
    il_log *log;
    bool bare;             /* leaves parameters without memory and values */
    il_setup_fault *fault; /* NULL for none; read and written by `create` alone */
} il_instance_input;

/* Makes an instance. Wrong params are added to `problems` (all of them) and give
 * IL_ERR_INPUT; other failures go to err with the component's place. */
il_status il_instance_create(il_instance **out, const il_registry *registry,
                             il_kind kind, const il_component_spec *spec,
                             const il_instance_input *in, il_problems *problems,
                             il_error *err);
/* The same from a component that is at hand; `spec->use` is not looked at. */
il_status il_instance_make(il_instance **out, const il_offer *offer,
                           const il_component_spec *spec, const il_instance_input *in,
                           il_problems *problems, il_error *err);
void il_instance_destroy(il_instance *i); /* takes NULL */
/* What a result depends on of an instance: its identity, and for each folder of weights
 * a hash of all that it holds, for each of shards what they are. Text that the instance
 * keeps. Not at once with another call for the instance: the first reads the folders of
 * weights through. */
il_status il_instance_address(il_instance *i, const char **out, il_error *err);
/* A text that it left for who writes it to other people's files, or NULL. */
const char *il_instance_note(const il_instance *i, const char *name);
int64_t il_instance_site(const il_instance *i,
                         const char *name); /* its number, or -1 */

static inline const il_model_api *il_instance_model(const il_instance *i)
{
    return (const il_model_api *)i->offer->component->api;
}
static inline const il_dataset_api *il_instance_dataset(const il_instance *i)
{
    return (const il_dataset_api *)i->offer->component->api;
}
static inline const il_environment_api *il_instance_environment(const il_instance *i)
{
    return (const il_environment_api *)i->offer->component->api;
}
static inline const il_detector_api *il_instance_detector(const il_instance *i)
{
    return (const il_detector_api *)i->offer->component->api;
}

#endif
