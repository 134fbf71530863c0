/* Reliability: what share is true of what a detector says is true with some
 * probability. */
#include <math.h>
#include "audit/audit_private.h"
#include "detect/calibration.h"
#include "detect/reliability.h"

enum { BINS = 10 };

/* [[rows, mean probability, share that is true], ...], a bin each. */
static json_t *diagram(const il_scores *s)
{
    il_reliability bins[BINS];
    json_t *all = json_array();

    il_scores_reliability(s, BINS, bins);
    for (int b = 0; b < BINS; b++) {
        json_array_append_new(all, json_pack("[I, f, f]", (json_int_t)bins[b].count,
                                             bins[b].said, bins[b].true_share));
    }
    return all;
}

il_status il__audit_reliability(il_audit_work *w, const char *name, const il_scores *s,
                                double *ece, double *before, il_error *err)
{
    bool calibrated =
        s->calibration != NULL && s->calibration->kind != IL_CALIBRATION_NONE;
    il_scores plain = *s;
    json_t *json;

    *ece = il_scores_ece(s, BINS);
    *before = NAN;
    if (s->labels == NULL || s->count == 0) {
        return IL_OK;
    }
    json = json_object();
    if (json == NULL || name == NULL) {
        json_decref(json);
        return il__audit_no_memory(err);
    }
    plain.calibration = NULL;
    json_object_set_new(json, "said", diagram(s));
    if (calibrated) {
        *before = il_scores_ece(&plain, BINS);
        json_object_set_new(json, "before", diagram(&plain));
        json_object_set_new(json, "method",
                            json_string(il_calibration_name(s->calibration->kind)));
    }
    json_object_set_new(w->reliability, name, json);
    return IL_OK;
}
