/* What a metric is of: the detectors that it says something about, by its name. */
#ifndef IL_LOOP_MEASURED_H
#define IL_LOOP_MEASURED_H

#include "pipeline/pipeline.h"

/* Whether a metric of an audit is of a detector that is akin to this one: what that
 * says, or anything measured under an edit by it. */
bool il_metric_measures(const il_pipeline *p, const il_audit_spec *audit,
                        const char *metric, const char *detector);
/* Whether a signal is a halt that acts, and by what this detector says: it is the
 * halt's source, or what the halt reads is of it. */
bool il_halt_hangs_on(const il_pipeline *p, const il_stage_spec *stage,
                      const il_signal_spec *s, const char *detector);

#endif
