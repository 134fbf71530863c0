/* Places: see places.h. */
#include "audit/places.h"

#include <string.h>

const il_detector *il_audit_taught(size_t count, const il_detector *const *detectors)
{
    for (size_t i = 0; i < count; i++) {
        if (detectors[i]->fields.label != NULL) {
            return detectors[i];
        }
    }
    return NULL;
}

/* The name of the model's last residual stream, or NULL. */
static const char *last_residual(const il_instance *model)
{
    static const char end[] = "hook_resid_post";

    for (size_t i = model->site_count; i-- > 0;) {
        const char *name = model->sites[i].name;
        size_t size = strlen(name);

        if (size >= sizeof end - 1 &&
            strcmp(name + size - (sizeof end - 1), end) == 0) {
            return name;
        }
    }
    return NULL;
}

static size_t add(const char **out, size_t have, const char *name)
{
    for (size_t i = 0; i < have; i++) {
        if (strcmp(out[i], name) == 0) {
            return have;
        }
    }
    out[have] = name;
    return have + 1;
}

size_t il_audit_further(const il_audit_spec *spec, const il_instance *model,
                        const il_detector *like, size_t count,
                        const il_detector *const *detectors, const char **out)
{
    const char *last = last_residual(model);
    size_t n = 0;

    for (size_t i = 0; i < spec->sites.count; i++) {
        n = add(out, n, spec->sites.items[i]);
    }
    if (spec->sites_given) {
        return n;
    }
    for (size_t d = 0; d < count; d++) {
        const il_names_spec *sites = &detectors[d]->spec->sites;

        for (size_t i = 0; detectors[d] != like && i < sites->count; i++) {
            n = add(out, n, sites->items[i]);
        }
    }
    return last != NULL ? add(out, n, last) : n;
}

static void mark_own(const il_detector *d, bool *by_site)
{
    for (size_t i = 0; i < d->site_count; i++) {
        by_site[d->sites[i]] = true;
    }
}

bool *il_audit_read_sites(const il_audit_spec *spec, const il_instance *model,
                          size_t count, const il_detector *const *detectors,
                          il_arena *arena)
{
    const il_detector *like = il_audit_taught(count, detectors);
    bool plays = spec->rollouts.policy != NULL || spec->reference.policy != NULL;
    bool *by_site = il_arena_calloc(arena, model->site_count + 1, sizeof *by_site);
    const char **further = il_arena_calloc(
        arena, model->site_count + spec->sites.count + 1, sizeof *further);
    size_t n;

    if (by_site == NULL || further == NULL) {
        return NULL;
    }
    if (spec->fresh.count == 0 || like == NULL) {
        return by_site;
    }
    for (size_t d = 0; d < count; d++) {
        if (detectors[d] == like || (plays && detectors[d]->fields.label != NULL)) {
            mark_own(detectors[d], by_site);
        }
    }
    n = spec->splits.count > 0 || plays
            ? il_audit_further(spec, model, like, count, detectors, further)
            : 0;
    for (size_t i = 0; i < n; i++) {
        int64_t number = il_instance_site(model, further[i]);

        if (number >= 0) {
            by_site[number] = true;
        }
    }
    return by_site;
}
