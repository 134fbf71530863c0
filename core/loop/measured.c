/* Metrics and their detectors: see measured.h. */
#include "loop/measured.h"

#include <string.h>

static bool begins_with(const char *metric, const char *name)
{
    size_t n = strlen(name);

    return strncmp(metric, name, n) == 0 && metric[n] == '.';
}

bool il_metric_measures(const il_pipeline *p, const il_audit_spec *audit,
                        const char *metric, const char *detector)
{
    for (size_t d = 0; d < p->detector_count; d++) {
        const char *name = p->detectors[d].name;

        if (begins_with(metric, name) && il_pipeline_akin(p, name, detector)) {
            return true;
        }
    }
    for (size_t i = 0; begins_with(metric, "edit") && i < audit->edit_count; i++) {
        const il_audit_edit_spec *e = &audit->edits[i];
        const char *rest = metric + sizeof "edit";

        if (begins_with(rest, e->name)) {
            return il_pipeline_akin(p, e->detector, detector) ||
                   il_metric_measures(p, audit, rest + strlen(e->name) + 1, detector);
        }
    }
    return false;
}

bool il_halt_hangs_on(const il_pipeline *p, const il_stage_spec *stage,
                      const il_signal_spec *s, const char *detector)
{
    const il_halt_spec *h = &s->halt;

    return s->channel == IL_CHANNEL_HALT && il_signal_acts(s) &&
           (il_pipeline_akin(p, s->source.name, detector) ||
            il_metric_measures(p, &stage->audit, h->metric, detector) ||
            (h->minus != NULL &&
             il_metric_measures(p, &stage->audit, h->minus, detector)));
}
