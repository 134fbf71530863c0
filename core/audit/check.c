/* What can be said of an audit before anything is trained. See audit.h. */
#include <stdlib.h>
#include <string.h>
#include "audit/audit_private.h"

enum { NAMES_MAX = 256 };

static void check_sites(const il_names_spec *sites, const il_instance *model,
                        il_problems *problems)
{
    const char *names[NAMES_MAX];
    size_t n = 0;

    for (size_t i = 0; i < model->site_count && n < NAMES_MAX; i++) {
        names[n++] = model->sites[i].name;
    }
    for (size_t i = 0; i < sites->count; i++) {
        if (il_instance_site(model, sites->items[i]) < 0) {
            il_problem_add_nearest(problems, sites->places[i], sites->items[i], names,
                                   n, "the model has no site '%s'", sites->items[i]);
        }
    }
}

void il_audit_check(const il_audit_spec *spec, const il_instance *model,
                    const il_instance *data, il_problems *problems)
{
    for (size_t i = 0; i < spec->fresh.count; i++) {
        if (!il__audit_offers(spec->fresh.items[i])) {
            il_problem_add(problems, spec->fresh.places[i],
                           "fresh reader '%s' is not offered by this version, expected "
                           "linear, mean_difference, mlp, attention or mahalanobis",
                           spec->fresh.items[i]);
        }
    }
    check_sites(&spec->sites, model, problems);
    for (size_t i = 0; i < spec->splits.count; i++) {
        il_split_check(data, spec->splits.items[i], spec->splits.places[i], problems);
    }
    il_split_check(data, spec->anchors, spec->anchors_place, problems);
}
