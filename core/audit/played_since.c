/* Episodes since then: what each detector said of them under the weights that it was
 * first fitted on, beside what it says now.
 *
 * With psi(y, w) for episodes y read under weights w, 0 for then and 1 for now: from
 * y1w0 to y1w1 only the reading changes, from y0w0 to y1w0 only the behaviour. Episodes
 * of then meet the luck of those of now. */
#include <string.h>
#include "audit/played_private.h"

/* A detector's measures of some episodes under some weights. */
static il_status measure(const il_audit_work *w, const il_recorded *episodes,
                         const il_detector *d, const float *const *values,
                         const char *label, il_measured *m, il_error *err)
{
    il_verdicts v = {.escalated = 0};
    il_status status =
        il__played_read(&v, w, episodes, d, values, NULL, label, err);

    if (status == IL_OK) {
        status = il__played_measure(w, &v.scores, m, err);
    }
    il__played_close(&v);
    return status;
}

/* Plays the set once for detectors that share the weights of then. */
static il_status play_past(const il_audit_work *w, il_played *set,
                           const float *const *values, il_error *err)
{
    il_rollout key = *set->key;
    il_recorded *past = NULL;

    if (set->past != NULL && set->past_values == values) {
        return IL_OK;
    }
    key.values = values;
    key.edits = NULL;
    IL_TRY(il_recorded_draw(&past, set->spec, &key, w->in->blas, w->in->pool, err));
    il_recorded_destroy(set->past);
    set->past = past;
    set->past_values = values;
    return IL_OK;
}

static il_status put_cell(il_audit_work *w, const il_played *set, const char *name,
                          const char *cell, const il_measured *m, il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR, IL_MEASURE_FPR,
                                       IL_MEASURE_MEAN};

    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        IL_TRY(il__played_put_measure(w, set, name, cell, m, shown[i], err));
    }
    return IL_OK;
}

il_status il__played_since(il_audit_work *w, il_played *set, const il_audited *a,
                           const char *label, const il_measured *now, il_error *err)
{
    const char *name = a->now->spec->name;
    bool own = strcmp(set->spec->policy, "own") == 0;
    bool same = a->then == NULL && a->then_values == w->in->values;
    il_detector old = il__audit_then(a);
    il_measured cell[2][2]; /* [episodes][weights] */

    if (a->then_values == NULL) {
        return IL_OK;
    }
    cell[0][0] = cell[0][1] = cell[1][0] = cell[1][1] = *now;
    if (!same) {
        IL_TRY(measure(w, set->episodes, &old, a->then_values, label, &cell[1][0],
                       err));
        IL_TRY(il__played_put(w, set, name, "lost",
                              cell[1][0].value[IL_MEASURE_TPR] -
                                  now->value[IL_MEASURE_TPR],
                              NULL, err));
        IL_TRY(il__played_put(w, set, name, "shift_positive",
                              now->value[IL_MEASURE_POSITIVE] -
                                  cell[1][0].value[IL_MEASURE_POSITIVE],
                              NULL, err));
        IL_TRY(il__played_put(w, set, name, "shift_negative",
                              now->value[IL_MEASURE_NEGATIVE] -
                                  cell[1][0].value[IL_MEASURE_NEGATIVE],
                              NULL, err));
    }
    if (!w->in->whole) {
        return IL_OK;
    }
    if (!own) {
        IL_TRY(put_cell(w, set, name, "cells.y0w0", &cell[1][0], err));
        return put_cell(w, set, name, "cells.y0w1", &cell[1][1], err);
    }
    if (!same) {
        IL_TRY(play_past(w, set, a->then_values, err));
        IL_TRY(measure(w, set->past, &old, a->then_values, label, &cell[0][0], err));
        IL_TRY(measure(w, set->past, a->now, w->in->values, label, &cell[0][1], err));
    }
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"cells.y0w0", "cells.y0w1", "cells.y1w0",
                                            "cells.y1w1"};

        IL_TRY(put_cell(w, set, name, names[i], &cell[i / 2][i % 2], err));
    }
    return IL_OK;
}
