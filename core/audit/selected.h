/* Selection: among how many alternatives a run's result was one.
 *
 * Whoever runs many variants, points of a sweep and pipelines and shows the best has
 * chosen, whether a detector's score did it or a person. All runs on record in the
 * folder count: every pressed arm that measured the same at a stage of the same name,
 * each result once, wherever it stands, and one that a halt may have ended at any of
 * its audits as often as it has ends. Seeds repeat and are no alternatives. */
#ifndef IL_AUDIT_SELECTED_H
#define IL_AUDIT_SELECTED_H

#include <jansson.h>
#include "interloop/status.h"

/* {alternatives, bits, over: [{what, ...}]} for the run in FOLDER and those beside it.
 * `stage` NULL: every stage; `metric` NULL: any. A neighbour that cannot be read is
 * left out and named. The caller decrefs *out. */
il_status il_selected(json_t **out, const char *folder, const char *stage,
                      const char *metric, il_error *err);

#endif
