/* The endpoint: see endpoint.h. */
#include "pipeline/endpoint.h"

#include <string.h>

/* The detector that presses first in a stage, or NULL. */
static const il_detector_spec *presser(const il_pipeline *p, const il_stage_spec *s)
{
    for (size_t i = 0; i < s->signal_count; i++) {
        const il_signal_spec *g = &s->signals[i];

        if (il_signal_presses(g)) {
            return il_pipeline_detector(p, g->source.kind == IL_SOURCE_DETECTOR &&
                                                   g->scramble == IL_SCRAMBLE_NONE
                                               ? g->source.name
                                               : g->gate.name);
        }
    }
    return NULL;
}

bool il_endpoint_of(il_endpoint_spec *out, const il_jobs *jobs, il_arena *arena)
{
    *out = (il_endpoint_spec){.margin = IL_ENDPOINT_MARGIN};
    if (jobs->count > 0 && jobs->items[0].pipeline->endpoint.declared) {
        *out = jobs->items[0].pipeline->endpoint;
        return true;
    }
    for (size_t i = 0; i < jobs->count && out->metric == NULL; i++) {
        const il_job *job = &jobs->items[i];
        const il_detector_spec *d =
            job->role == IL_ROLE_PRESSED
                ? presser(job->pipeline, job->chain[job->chain_count - 1].spec)
                : NULL;

        if (d != NULL) {
            out->stage = job->stage;
            out->metric = il_arena_printf(
                arena, "%s.%s%s", d->name,
                job->chain[job->chain_count - 1].spec->audit.reference.policy != NULL
                    ? "ref."
                    : "",
                d->threshold.kind != IL_THRESHOLD_NONE ? "tpr" : "auroc");
            if (out->metric == NULL) {
                return false;
            }
        }
    }
    return true;
}

static void add(il_text *out, const char *key, const char *value)
{
    if (value != NULL) {
        il_text_addf(out, ", \"%s\": ", key);
        il_text_add_json(out, value);
    }
}

const char *il_endpoint_text(const il_endpoint_spec *e, il_arena *arena)
{
    il_text out = {0};
    char margin[32];
    const char *kept = NULL;

    il_format_real(e->margin, margin);
    il_text_addf(&out, "{\"declared\": %s", e->declared ? "true" : "false");
    add(&out, "metric", e->metric);
    add(&out, "stage", e->stage);
    add(&out, "variant", e->variant);
    add(&out, "versus", e->placebo ? "placebo" : "twin");
    il_text_addf(&out, ", \"margin\": %s", margin);
    add(&out, "behaviour", e->behaviour);
    for (size_t i = 0; i < e->tax.count; i++) {
        il_text_add(&out, i == 0 ? ", \"tax\": [" : ", ");
        il_text_add_json(&out, e->tax.items[i]);
    }
    il_text_add(&out, e->tax.count > 0 ? "]}" : "}");
    if (!out.failed) {
        kept = il_arena_strdup(arena, out.data);
    }
    il_text_free(&out);
    return kept;
}

const char *il_endpoint_hash(const il_endpoint_spec *e, il_arena *arena)
{
    const char *text = il_endpoint_text(e, arena);
    char hex[IL_HASH_HEX];

    if (text == NULL) {
        return NULL;
    }
    il_hash_bytes(text, strlen(text), hex);
    return il_arena_strdup(arena, hex);
}
