/* The trainer's zeros: re-zeroed detectors kept at the weights of the step, and the
 * gradient through them.
 *
 * A zero is a mean over trusted rows that every lane's loss hangs on. So it is taken
 * once before the lanes run; each lane adds up the derivative of its loss with respect
 * to it; and their sum, tree-summed like all else, goes back through the trusted rows
 * once. See detect/rezero.h. */
#include <stdlib.h>
#include <string.h>
#include "detect/rezero.h"
#include "loop/trainer_private.h"

static bool rezeroed(const il_trainer *t, int detector)
{
    return detector >= 0 && t->world->detectors[detector]->spec->rezero.split != NULL;
}

il_status il__trainer_trust(il_trainer *t, il_error *err)
{
    const il_world *w = t->world;

    for (size_t i = 0; i < t->terms->count; i++) {
        const il_term *term = &t->terms->items[i];
        bool gated = term->kind == IL_TERM_DETECTOR && term->gate >= 0 &&
                     rezeroed(t, term->detector);
        bool through = rezeroed(t, term->gate) && term->spec->gate.through;

        if (term->trains && term->gate >= 0 && term->spec->gate.through &&
            w->detectors[term->gate]->calibration.kind == IL_CALIBRATION_ISOTONIC) {
            return il_error_set(err, IL_ERR_UNSUPPORTED, term->spec->name,
                                "a gate open to the gradient of probabilities that "
                                "rise in steps is not offered: expected platt or "
                                "temperature");
        }
        if (term->trains && (gated || through)) {
            return il_error_set(err, IL_ERR_UNSUPPORTED, term->spec->name,
                                "%s a re-zeroed detector is not offered: its zero is "
                                "differentiated as a loss by itself alone",
                                gated ? "gating" : "a gate open to the gradient of");
        }
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        if (il_detector_ready(w->detectors[d])) {
            IL_TRY(il_detector_trust(w->detectors[d], w->data, w->host.blas, err));
        }
    }
    return IL_OK;
}

il_status il__trainer_rezero(il_trainer *t, il_error *err)
{
    const il_world *w = t->world;

    for (size_t d = 0; d < w->detector_count; d++) {
        IL_TRY(il_detector_rezero(w->detectors[d], w->values, false, err));
    }
    return IL_OK;
}

il_status il__trainer_through_zero(il_trainer *t, const double *slopes,
                                   float *const *grads, il_error *err)
{
    for (size_t i = 0; i < t->terms->count; i++) {
        const il_term *term = &t->terms->items[i];

        if (term->runs[IL_PASS_FIRST] && slopes[i] != 0) {
            IL_TRY(il_detector_rezero_backward(t->world->detectors[term->detector],
                                               slopes[i], term->updates[IL_PASS_FIRST],
                                               grads, err));
        }
    }
    return IL_OK;
}

il_status il__trainer_zero_block(il_trainer *t, il_error *err)
{
    const il_store *store = t->world->model->store;
    const double *slopes = t->lanes[IL_PASS_FIRST].total->sums + t->terms->count;
    float **grads;
    const double *fits = slopes + t->terms->count;
    bool any = il__trainer_fits(t);
    il_status status;

    t->zeroing = false;
    for (size_t i = 0; i < t->terms->count; i++) {
        any = any || slopes[i] != 0;
    }
    if (!any) {
        return IL_OK;
    }
    if (t->zero_grads == NULL) {
        t->zero_grads = il_store_block(store);
    }
    grads = calloc(store->count + 1, sizeof *grads);
    if (t->zero_grads == NULL || grads == NULL) {
        free(grads);
        return il__trainer_no_memory(t, err);
    }
    memset(t->zero_grads, 0, (size_t)store->total * sizeof *t->zero_grads);
    for (size_t p = 0; p < store->count; p++) {
        grads[p] = t->zero_grads + store->items[p].offset;
    }
    status = il__trainer_through_zero(t, slopes, grads, err);
    free(grads);
    if (status == IL_OK) {
        status = il__trainer_through_fits(t, fits, t->zero_grads, err);
    }
    t->zeroing = status == IL_OK;
    return status;
}
