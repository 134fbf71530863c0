/* The plugin entry: one data symbol that says who this is and what it offers.
 *
 * A plugin is a shared object that exports `il_plugin_entry` and nothing else, and
 * needs nothing but libc and libm: every service of the core comes as a table of
 * functions in the object it is handed. It starts no thread, prints nothing, installs
 * no handler and never exits. The first 32 bytes of the entry are frozen for ever; the
 * host reads them from the file before it loads anything. */
#ifndef INTERLOOP_PLUGIN_H
#define INTERLOOP_PLUGIN_H

#include "interloop/abi.h"
#include "interloop/batch.h"
#include "interloop/dataset.h"
#include "interloop/detector.h"
#include "interloop/environment.h"
#include "interloop/model.h"
#include "interloop/params.h"
#include "interloop/pass.h"
#include "interloop/pretrained.h"
#include "interloop/rng.h"
#include "interloop/setup.h"
#include "interloop/status.h"
#include "interloop/tensor.h"
#include "interloop/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Kinds of component. Values are ABI: append only. */
typedef enum il_kind {
    IL_KIND_MODEL = 1,
    IL_KIND_DATASET = 2,
    IL_KIND_ENVIRONMENT = 3,
    IL_KIND_DETECTOR = 4
} il_kind;

typedef struct il_component {
    size_t struct_size;
    il_kind kind;
    const char *name;    /* within the plugin's namespace: "linear_probe" */
    const char *summary; /* one line, may be NULL */
    const void
        *api; /* il_model_api, il_dataset_api, il_environment_api, il_detector_api */
    const il_param_spec *params;
    size_t param_count;
} il_component;

#define IL_PLUGIN_MAGIC "ILPLUGIN" /* 8 bytes, without the NUL */

/* The frozen part: 32 bytes, little-endian, free of relocations. */
typedef struct il_plugin_prefix {
    char magic[8];
    uint16_t abi_major;
    uint16_t abi_minor;      /* of the headers it was built with */
    uint16_t host_minor_min; /* the oldest host minor it accepts */
    uint16_t reserved0;      /* 0 */
    uint32_t entry_size;     /* sizeof(il_plugin) */
    uint32_t
        fork; /* 0 here; whoever changes this ABI apart from us takes another number */
    uint64_t reserved1; /* 0 */
} il_plugin_prefix;

typedef struct il_plugin {
    il_plugin_prefix prefix;
    const char *space;   /* namespace: "interloop", "your_lab" */
    const char *version; /* semantic version */
    const char *licence; /* SPDX identifier */
    const char *author;
    const char *summary;
    const il_component *components;
    size_t component_count;
} il_plugin;

#if defined(__GNUC__)
#define IL_EXPORT __attribute__((visibility("default"), used))
#else
#define IL_EXPORT
#endif

#define IL_NO_PARAMS     NULL, 0
#define IL_PARAMS(table) table, sizeof(table) / sizeof((table)[0])

/* Components, for IL_PLUGIN: name, summary, vtable, IL_PARAMS(table) or IL_NO_PARAMS.
 */
#define IL_MODEL(name, summary, api, ...)                                              \
    {                                                                                  \
        sizeof(il_component), IL_KIND_MODEL, name, summary, api, __VA_ARGS__           \
    }
#define IL_DATASET(name, summary, api, ...)                                            \
    {                                                                                  \
        sizeof(il_component), IL_KIND_DATASET, name, summary, api, __VA_ARGS__         \
    }
#define IL_ENVIRONMENT(name, summary, api, ...)                                        \
    {                                                                                  \
        sizeof(il_component), IL_KIND_ENVIRONMENT, name, summary, api, __VA_ARGS__     \
    }
#define IL_DETECTOR(name, summary, api, ...)                                           \
    {                                                                                  \
        sizeof(il_component), IL_KIND_DETECTOR, name, summary, api, __VA_ARGS__        \
    }

/* Defines the entry: namespace, version, SPDX licence, author, summary, then
 * components. */
#define IL_PLUGIN(space_, version_, licence_, author_, summary_, ...)                  \
    static const il_component il_plugin_components_[] = {__VA_ARGS__};                 \
    extern const il_plugin il_plugin_entry;                                            \
    IL_EXPORT const il_plugin il_plugin_entry = {                                      \
        {{'I', 'L', 'P', 'L', 'U', 'G', 'I', 'N'},                                     \
         IL_ABI_MAJOR,                                                                 \
         IL_ABI_MINOR,                                                                 \
         IL_ABI_MINOR_HOST,                                                            \
         0,                                                                            \
         (uint32_t)sizeof(il_plugin),                                                  \
         0,                                                                            \
         0},                                                                           \
        space_,                                                                        \
        version_,                                                                      \
        licence_,                                                                      \
        author_,                                                                       \
        summary_,                                                                      \
        il_plugin_components_,                                                         \
        sizeof il_plugin_components_ / sizeof il_plugin_components_[0]};

#ifdef __cplusplus
}
#endif

#endif
