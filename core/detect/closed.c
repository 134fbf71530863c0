/* Fits in closed form: see closed.h. */
#include "detect/closed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/composite.h"
#include "detect/linear.h"
#include "detect/logits_private.h"
#include "interloop/abi.h"

bool il_detector_closed(const il_detector *d)
{
    return IL_HAS(il_instance_detector(d->instance), fit);
}

void il_detector_closed_check(const il_detector *d, il_problems *problems)
{
    const il_fit_spec *fit = &d->spec->fit;
    const char *id = d->instance->offer->id;
    bool named = fit->method != NULL && strcmp(fit->method, IL_CLOSED_FORM) == 0;

    if (named && !il_detector_closed(d)) {
        il_problem_add(problems, fit->place,
                       "method '" IL_CLOSED_FORM "' is for detectors that solve for "
                       "their own fit, and %s does not",
                       id);
    }
    if (!il_detector_closed(d) || (fit->method != NULL && !named)) {
        return;
    }
    if (fit->given && (fit->steps > 0 || fit->batch > 0 || fit->lr >= 0 ||
                       fit->l2 >= 0 || fit->weight_decay >= 0)) {
        il_problem_add(problems, fit->place,
                       "%s is fitted in closed form, which has no steps, batch, lr, "
                       "l2 or weight_decay: what it can be told are its own params",
                       id);
    }
    if (d->spec->refit.kind == IL_REFIT_ONLINE) {
        il_problem_add(problems, d->spec->refit.place,
                       "refit 'online' descends a gradient, and %s is fitted in closed "
                       "form: expected {every: N} or {fresh: N}",
                       id);
    }
}

static il_status check_found(const il_detector *d, il_error *err)
{
    const il_store *store = d->instance->store;

    for (size_t i = 0; i < store->count; i++) {
        const float *values = store->values + store->items[i].offset;

        for (int64_t k = 0; k < store->items[i].count; k++) {
            if (!isfinite(values[k])) {
                return il_error_set(err, IL_ERR_NUMERIC, d->spec->name,
                                    "fitting gave '%s' a value that is no number",
                                    store->items[i].name);
            }
        }
    }
    return IL_OK;
}

/* The component's fit, with whose it was in front of what it says. */
static il_status fit_self(const il_detector *d, const il_fitting *f, il_error *err)
{
    il_error why = {.code = IL_OK};
    il_status status =
        il_instance_detector(d->instance)->fit(d->instance->self, f, &why);

    return status == IL_OK
               ? IL_OK
               : il_error_set(err, status, d->spec->name, "%s: %s",
                              d->instance->offer->id,
                              why.code != IL_OK ? why.message
                                                : "its fit failed and gave no reason");
}

il_status il_detector_fit_closed(il_detector *d, const il_acts *acts, il_error *err)
{
    const il_store *store = d->instance->store;
    size_t rows = (size_t)acts->rows.count;
    float *x = il__detector_gather(d, acts, err);
    uint8_t *labels = malloc(rows + 1);
    float **values = calloc(store->count + 1, sizeof *values);
    il_fitting f = {.struct_size = sizeof f,
                    .rows = acts->rows.count,
                    .width = il_detector_width(d),
                    .x = x,
                    .labels = labels,
                    .values = values};
    il_status status = IL_OK;

    if (x == NULL || labels == NULL || values == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < rows; i++) {
        labels[i] = acts->rows.labels[i] != 0;
    }
    for (size_t i = 0; i < store->count; i++) {
        values[i] = store->values + store->items[i].offset;
    }
    status = fit_self(d, &f, err);
    if (status == IL_OK) {
        status = check_found(d, err);
    }
    for (size_t i = 0; status == IL_OK && i < il_detector_input_count(d); i++) {
        d->mean[i] = NULL;
        d->inv[i] = NULL;
    }
out:
    free(x);
    free(labels);
    free(values);
    return status;
}
