/* Group entry: what a plugin says of itself, in its entry and in its manifest. */
#include "check/check_private.h"

#include <stdlib.h>
#include <string.h>
#include "plugin/entry.h"

static il_status holds(il__trial *t, il_error *err)
{
    IL_TRY(il_prefix_check(&t->entry->prefix, t->o->path, err));
    return il_entry_check(t->entry, t->o->path, err);
}

static il_status agrees(il__trial *t, il_error *err)
{
    IL_TRY(holds(t, err));
    return il_manifest_agrees(t->image.manifest.text, t->entry, t->o->path, err);
}

static il_status is_told(il__trial *t, il_error *err)
{
    IL_TRY(holds(t, err));
    if (t->entry->author[0] == '\0' || t->entry->licence[0] == '\0' ||
        t->entry->summary[0] == '\0') {
        return il__found(err, "its author, licence or summary is empty");
    }
    for (size_t i = 0; i < t->entry->component_count; i++) {
        if (t->entry->components[i].summary == NULL ||
            t->entry->components[i].summary[0] == '\0') {
            return il__found(err, "component '%s' has no summary",
                             t->entry->components[i].name);
        }
    }
    return IL_OK;
}

static size_t api_size(const il_component *c)
{
    switch (c->kind) {
    case IL_KIND_MODEL:
        return sizeof(il_model_api);
    case IL_KIND_DATASET:
        return sizeof(il_dataset_api);
    case IL_KIND_ENVIRONMENT:
        return sizeof(il_environment_api);
    case IL_KIND_DETECTOR:
        return sizeof(il_detector_api);
    }
    return 0;
}

/* Tables grow at their end: one that is larger than this host's came from newer
 * headers, which the prefix then has to say. */
static il_status has_its_sizes(il__trial *t, il_error *err)
{
    IL_TRY(holds(t, err));
    for (size_t i = 0; i < t->entry->component_count; i++) {
        const il_component *c = &t->entry->components[i];
        size_t says = *(const size_t *)c->api;

        if (says % sizeof(void *) != 0 ||
            (says > api_size(c) && t->entry->prefix.abi_minor <= IL_ABI_MINOR)) {
            return il__found(
                err,
                "component '%s': its table says it has %zu bytes, expected "
                "at most %zu: begin it with .struct_size = sizeof api",
                c->name, says, api_size(c));
        }
    }
    return IL_OK;
}

static const il__row rows[] = {
    {"its entry can be used", IL__FILE | IL__VITAL, holds},
    {"its manifest says what its entry says", IL__FILE | IL__VITAL, agrees},
    {"its tables have the sizes of its headers", IL__FILE, has_its_sizes},
    {"it and each component say what they are", IL__FILE, is_told},
};

const il__group il__group_entry = {"entry", rows, sizeof rows / sizeof rows[0], true};
