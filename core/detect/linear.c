#include "detect/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/composite.h"
#include "detect/irls.h"
#include "detect/lbfgs.h"
#include "detect/logits_private.h"
#include "interloop/abi.h"

bool il_detector_linear(const il_detector *d)
{
    return IL_HAS(il_instance_detector(d->instance), linear);
}

bool il_detector_solved(const char *method)
{
    return strcmp(method, "irls") == 0 || strcmp(method, "lbfgs") == 0;
}

double il_detector_l2(const il_detector *d)
{
    const il_recipe *recipe = il_instance_detector(d->instance)->recipe;
    const il_fit_spec *spec = &d->spec->fit;

    return spec->given && spec->l2 >= 0 ? spec->l2
           : recipe != NULL             ? (double)recipe->l2
                                        : 0.0;
}

int64_t il_detector_width(const il_detector *d)
{
    int64_t width = 0;

    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        width += il_detector_input_width(d, i);
    }
    return width;
}

/* Where weight and bias lie in the store. */
static il_status find(const il_detector *d, float **weight, float **bias, il_error *err)
{
    const il_store *store = d->instance->store;
    il_param w = {-1};
    il_param b = {-1};

    il_instance_detector(d->instance)->linear(d->instance->self, &w, &b);
    if (w.id < 0 || (size_t)w.id >= store->count || b.id < 0 ||
        (size_t)b.id >= store->count ||
        store->items[w.id].count != il_detector_width(d) ||
        store->items[b.id].count != 1) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "the component says that it is linear, and names no weight "
                            "of %lld and bias of one number",
                            (long long)il_detector_width(d));
    }
    *weight = store->values + store->items[w.id].offset;
    *bias = store->values + store->items[b.id].offset;
    return IL_OK;
}

void il_detector_direction(const il_detector *d, double *out)
{
    int64_t width = il_detector_width(d);
    float *weight = NULL;
    float *bias = NULL;
    int64_t at = 0;

    if (find(d, &weight, &bias, NULL) != IL_OK) {
        for (int64_t c = 0; c <= width; c++) {
            out[c] = NAN;
        }
        return;
    }
    out[width] = *bias;
    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        for (int64_t c = 0; c < il_detector_input_width(d, i); c++, at++) {
            bool scaled = d->mean[i] != NULL;

            out[at] = weight[at] * (scaled ? (double)d->inv[i][c] : 1.0);
            out[width] -= scaled ? out[at] * d->mean[i][c] : 0.0;
        }
    }
}

double il_detector_cosine(const il_detector *a, const il_detector *b)
{
    int64_t width = il_detector_width(a);
    double *both = malloc(2 * (size_t)(width + 1) * sizeof *both);
    double aa = 0;
    double bb = 0;
    double ab = 0;

    if (both == NULL || il_detector_width(b) != width ||
        a->member_count != b->member_count) {
        free(both);
        return NAN;
    }
    il_detector_direction(a, both);
    il_detector_direction(b, both + width + 1);
    for (int64_t c = 0; c < width; c++) {
        double x = both[c];
        double y = both[width + 1 + c];

        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    free(both);
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : NAN;
}

il_status il_detector_spread(il_detector *d, const il_acts *acts, il_error *err)
{
    int64_t width = il_detector_width(d);
    double *w = calloc((size_t)width + 1, sizeof *w);
    float *x = il__detector_gather(d, acts, err);
    double sums[2] = {0, 0};
    double rows[2] = {0, 0};
    double norm = 0;

    if (w == NULL || x == NULL) {
        free(w);
        free(x);
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    il_detector_direction(d, w);
    for (int64_t c = 0; c < width; c++) {
        norm += w[c] * w[c];
    }
    for (int64_t r = 0; r < acts->rows.count; r++) {
        int of = acts->rows.labels[r] != 0;

        for (int64_t c = 0; c < width; c++) {
            sums[of] += w[c] * x[r * width + c];
        }
        rows[of]++;
    }
    for (int i = 0; i < 2; i++) {
        sums[i] = norm > 0 && rows[i] > 0 ? sums[i] / (rows[i] * sqrt(norm)) : 0.0;
        sums[i] = isfinite(sums[i]) ? sums[i] : 0.0;
    }
    d->apart = sums[1] - sums[0];
    d->middle = 0.5 * (sums[0] + sums[1]);
    free(w);
    free(x);
    return IL_OK;
}

il_status il_detector_solve(il_detector *d, const il_acts *acts, const il_blas *blas,
                            double l2, int64_t iterations, il_error *err)
{
    int64_t width = il_detector_width(d);
    il_irls problem = {.rows = acts->rows.count,
                       .width = width,
                       .labels = acts->rows.labels,
                       .l2 = l2,
                       .iterations = iterations};
    float *weight = NULL;
    float *bias = NULL;
    float *x = NULL;
    double *w = NULL;
    il_status status;

    IL_TRY(find(d, &weight, &bias, err));
    x = il__detector_gather(d, acts, err);
    w = calloc((size_t)width + 1, sizeof *w);
    if (x == NULL || w == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        goto out;
    }
    il_detector_direction(d, w); /* the same plane, without the scaling */
    problem.x = x;
    status = blas != NULL ? il_lbfgs_solve(&problem, blas, w, d->spec->name, err)
                          : il_irls_solve(&problem, w, d->spec->name, err);
    if (status == IL_OK) {
        for (int64_t c = 0; c < width; c++) {
            weight[c] = (float)w[c];
        }
        *bias = (float)w[width];
        for (size_t i = 0; i < il_detector_input_count(d); i++) {
            d->mean[i] = NULL;
            d->inv[i] = NULL;
        }
    }
out:
    free(x);
    free(w);
    return status;
}
