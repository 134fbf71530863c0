/* Whether a detector that names a weight and a bias is the product that it promises. */
#include "check/check_private.h"

#include <math.h>

/* weight . x + bias at one position, x being the channels of all sites side by side. */
static double expected_at(const il__run *r, const il_instance *i, int32_t sites,
                          const float *weight, float bias, int64_t position)
{
    double sum = (double)bias;

    for (int32_t s = 0; s < sites; s++) {
        const float *x = r->values[i->store->count + (size_t)s];

        for (int64_t k = 0; k < IL__SITE_WIDTH; k++) {
            sum += (double)weight[s * IL__SITE_WIDTH + k] *
                   (double)x[position * IL__SITE_WIDTH + k];
        }
    }
    return sum;
}

/* The numbers of a parameter by its handle, which must be so many. */
static const float *values_of(const il__run *r, const il_instance *i, il_param p,
                              int64_t count)
{
    return p.id >= 0 && (size_t)p.id < i->store->count && r->counts[p.id] == count
               ? r->values[p.id]
               : NULL;
}

il_status il__linear_as_said(il__trial *t, il_error *err)
{
    const il__act act = {.rows = IL__CHECK_ROWS, .length = IL__CHECK_LENGTH};
    il_param handles[2] = {{-1}, {-1}};
    const float *weight;
    const float *bias;
    il_instance *i = NULL;
    il__run r;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    if (!IL_HAS(il_instance_detector(i), linear)) {
        return il__skip(t, "it does not say that it is linear");
    }
    il_instance_detector(i)->linear(i->self, &handles[0], &handles[1]);
    /* Parameters start where they like, at zero too: moved, so that they count. */
    for (int64_t k = 0; k < i->store->total; k++) {
        i->store->values[k] += 0.25f + 0.125f * (float)(k % 5);
    }
    IL_TRY(il__run_open(&r, t, i, &act, err));
    weight = values_of(&r, i, handles[0], (int64_t)t->sites * IL__SITE_WIDTH);
    bias = values_of(&r, i, handles[1], 1);
    if (weight == NULL || bias == NULL) {
        return il__found(err, "its linear names no weight of the sites' width, or no "
                              "bias of one number");
    }
    IL_TRY(il__run_forward(&r, false, err));
    for (int64_t k = 0; k < il_count(r.roots[0]); k++) {
        double says = (double)il_f32(r.roots[0])[k];
        double is = expected_at(&r, i, t->sites, weight, *bias, k);

        if (!(fabs(says - is) <= 1e-4 + 1e-4 * fabs(is))) {
            return il__found(err,
                             "its logit is %g where weight . x + bias is %g: name only "
                             "what is linear",
                             says, is);
        }
    }
    return IL_OK;
}
