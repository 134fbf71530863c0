#include "detect/through.h"

#include <stdlib.h>
#include <string.h>
#include "detect/closed.h"
#include "detect/irls.h"
#include "detect/lbfgs.h"
#include "detect/linear.h"
#include "detect/logits_private.h"
#include "interloop/abi.h"

bool il_detector_through(const il_detector *d)
{
    return d->spec->refit.kind == IL_REFIT_THROUGH;
}

/* Whether its fit is the component's own. */
static bool own_fit(const il_detector *d)
{
    const char *method = d->spec->fit.method;

    return il_detector_closed(d) &&
           (method == NULL || strcmp(method, IL_CLOSED_FORM) == 0);
}

/* Why it cannot be, or NULL. */
static const char *fit_lacks(const il_detector *d)
{
    const char *method = d->spec->fit.method;

    if (!il_detector_linear(d) || !il_detector_reads_rows(d)) {
        return "is for detectors that are linear in rows, and this one does not say "
               "that it is";
    }
    if (own_fit(d)) {
        return IL_HAS(il_instance_detector(d->instance), fit_backward)
                   ? NULL
                   : "needs a fit that can be differentiated, and this detector's own "
                     "cannot be";
    }
    if (method == NULL || !il_detector_solved(method)) {
        return "needs a fit that ends at its optimum: give `fit` the method irls or "
               "lbfgs";
    }
    return il_detector_l2(d) > 0 ? NULL : "needs a fit with `l2` above 0";
}

void il_detector_through_check(const il_detector *d, il_problems *problems)
{
    const il_detector_spec *s = d->spec;
    const char *lacks;

    if (!il_detector_through(d)) {
        return;
    }
    lacks = s->on != NULL ? "differentiates the model's own activations, and this "
                            "detector reads a reference"
            : s->rezero.split != NULL
                ? "and `rezero` both move the detector with the model"
            : d->member_count > 0
                ? "differentiates activations, and this detector reads detectors"
            : s->pool != NULL ? "scores rows one by one, and this detector pools them"
            : s->refit.rollout_count > 0 ||
                    (s->refit.split == NULL && s->fit.draw.split == NULL)
                ? "needs rows of data for anchors: give `refit` a split"
                : fit_lacks(d);
    if (lacks != NULL) {
        il_problem_add(problems, s->refit.place,
                       "refit 'through_fit' %s: expected that, or {every: N} or "
                       "{fresh: N} (%s)",
                       lacks, d->instance->offer->id);
    }
}

/* By the component. */
static il_status own_backward(const il_detector *d, const float *x,
                              const uint8_t *labels, int64_t rows, const double *slope,
                              double *dx, il_error *err)
{
    const il_detector_api *api = il_instance_detector(d->instance);
    const il_store *store = d->instance->store;
    float **values = calloc(store->count + 1, sizeof *values);
    const double **slopes = calloc(store->count + 1, sizeof *slopes);
    il_fitting f = {.struct_size = sizeof f,
                    .rows = rows,
                    .width = il_detector_width(d),
                    .x = x,
                    .labels = labels,
                    .values = values};
    il_error why = {.code = IL_OK};
    il_param weight = {-1};
    il_param bias = {-1};
    il_status status = IL_OK;

    if (values == NULL || slopes == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < store->count; i++) {
        values[i] = store->values + store->items[i].offset;
    }
    api->linear(d->instance->self, &weight, &bias);
    slopes[weight.id] = slope;
    slopes[bias.id] = slope + f.width;
    status = api->fit_backward(d->instance->self, &f, slopes, dx, &why);
    if (status != IL_OK) {
        status =
            il_error_set(err, status, d->spec->name, "%s: %s", d->instance->offer->id,
                         why.code != IL_OK ? why.message
                                           : "its fit could not be "
                                             "differentiated and gave no reason");
    }
out:
    free(values);
    free(slopes);
    return status;
}

static il_status solved_backward(const il_detector *d, const il_blas *blas,
                                 const float *x, const uint8_t *labels, int64_t rows,
                                 const double *slope, double *dx, il_error *err)
{
    il_irls problem = {.rows = rows,
                       .width = il_detector_width(d),
                       .x = x,
                       .labels = labels,
                       .l2 = il_detector_l2(d)};
    double *w = malloc((size_t)(problem.width + 1) * sizeof *w);
    il_status status;

    if (w == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    il_detector_direction(d, w);
    status = strcmp(d->spec->fit.method, "lbfgs") == 0
                 ? il_lbfgs_backward(&problem, blas, w, slope, dx, d->spec->name, err)
                 : il_irls_backward(&problem, w, slope, dx, d->spec->name, err);
    free(w);
    return status;
}

il_status il_detector_through_backward(const il_detector *d, const il_blas *blas,
                                       const il_acts *acts, const double *slope,
                                       double *dx, il_error *err)
{
    int64_t rows = acts->rows.count;
    float *x = il__detector_gather(d, acts, err);
    uint8_t *labels = malloc((size_t)rows + 1);
    il_status status;

    if (x == NULL || labels == NULL) {
        free(x);
        free(labels);
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    for (int64_t i = 0; i < rows; i++) {
        labels[i] = acts->rows.labels[i] != 0;
    }
    status = own_fit(d) ? own_backward(d, x, labels, rows, slope, dx, err)
                        : solved_backward(d, blas, x, labels, rows, slope, dx, err);
    free(x);
    free(labels);
    return status;
}
