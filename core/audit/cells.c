/* Cells: what the model writes, and what the detectors say of it under the weights of
 * now and of then. */
#include <stdlib.h>
#include <string.h>
#include "audit/audit_private.h"
#include "audit/behaviour.h"

/* Share of the model's own text that a detector flags, read through one set of weights.
 */
static il_status flags(il_audit_work *w, const il_detector *d,
                       const float *const *values, il_behaviour *b, const char *name,
                       il_error *err)
{
    il_harvest h = il__audit_harvest(w, values);
    il_acts *acts = NULL;
    il_measured m;
    il_status status;

    h.fetch = il_behaviour_fetch;
    h.user = b;
    h.rows = b->rows;
    h.split = "prompts";
    h.fields = d->fields;
    h.fields.label = NULL; /* text that was just written has none */
    h.sites = d->sites;
    h.site_count = d->site_count;
    h.gathered = il_detector_reads_rows(d);
    status = il_acts_harvest(&acts, &h, err);
    if (status == IL_OK) {
        status = il__audit_measure(w, d, acts, &m, err);
    }
    il_acts_destroy(acts);
    if (status == IL_OK) {
        status = il__audit_put(
            w, il_arena_printf(w->out->arena, "%s.%s", d->spec->name, name),
            m.value[IL_MEASURE_FLAGGED], NULL, err);
    }
    return status;
}

il_status il__audit_cells(il_audit_work *w, il_error *err)
{
    il_harvest h = il__audit_harvest(w, w->in->values);
    il_behaviour *b = NULL;
    il_status status;

    if (!il_behaviour_asked(w->in->data)) {
        return IL_OK;
    }
    status = il_behaviour_sample(&b, &h, w->in->seed, w->in->depth, err);
    if (status == IL_OK) {
        status = il__audit_put_tally(w, &b->tally, err);
    }
    for (size_t i = 0; status == IL_OK && i < w->in->detector_count; i++) {
        const il_audited *a = &w->in->detectors[i];

        if (!a->now->has_threshold) {
            continue;
        }
        status = flags(w, a->now, w->in->values, b, "flag_now", err);
        if (status == IL_OK && a->then_values != NULL) {
            status = flags(w, a->then != NULL ? a->then : a->now, a->then_values, b,
                           "flag_then", err);
        }
    }
    il_behaviour_destroy(b);
    return status;
}
