/* What a fitted detector's scores are worth, from data that did not fit it: its
 * threshold, and its probabilities. See fit.h. */
#include <stdlib.h>
#include "detect/fit.h"
#include "detect/metrics.h"

static il_status no_memory(const il_detector *d, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
}

/* Logits of the units that alarm and are negative; returns how many. */
static int64_t negatives(const il_detector *d, const il_acts *acts, const float *logits,
                         float *out)
{
    bool rows = d->spec->pooled || d->spec->threshold.unit == IL_UNIT_TOKEN ||
                d->spec->threshold.unit == IL_UNIT_STEP;
    int64_t n = 0;

    for (int64_t i = 0; i < acts->rows.count;) {
        int64_t end = i + 1;
        float most = logits[i];
        bool positive = acts->rows.labels[i] != 0;

        while (!rows && end < acts->rows.count &&
               acts->rows.documents[end] == acts->rows.documents[i]) {
            most = logits[end] > most ? logits[end] : most;
            positive = positive || acts->rows.labels[end] != 0;
            end++;
        }
        if (!positive) {
            out[n++] = most;
        }
        i = end;
    }
    return n;
}

/* Notes whose documents these are; none of them may have fitted the detector. */
static il_status set_apart(il_detector *d, const il_acts *acts, const char *what,
                           il_error *err)
{
    il_documents own = {0};
    il_documents all = {0};
    int64_t shared = 0;

    own.ids = il_documents_list(&acts->rows, d->arena, &own.count);
    if (own.ids == NULL) {
        return no_memory(d, err);
    }
    if (il_documents_meet(d->fit_ids.count, d->fit_ids.ids, own.count, own.ids,
                          &shared)) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "document %lld calibrates the %s and fitted the detector",
                            (long long)shared, what);
    }
    all.ids = il_documents_join(d->calibration_ids.count, d->calibration_ids.ids,
                                own.count, own.ids, d->arena, &all.count);
    if (all.ids == NULL) {
        return no_memory(d, err);
    }
    d->calibration_ids = all;
    return IL_OK;
}

static il_status check_labels(const il_detector *d, const il_acts *acts, il_error *err)
{
    return acts->rows.labels != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, d->spec->name,
                              "it is calibrated on labels, and neither its `fit` nor "
                              "`label` names any");
}

il_status il_detector_calibrate(il_detector *d, const il_blas *blas,
                                const il_acts *acts, il_error *err)
{
    const il_threshold_spec *spec = &d->spec->threshold;
    float *logits;
    il_status status;
    int64_t n;

    if (spec->kind != IL_THRESHOLD_RATE) {
        return IL_OK;
    }
    IL_TRY(check_labels(d, acts, err));
    IL_TRY(set_apart(d, acts, "threshold", err));
    logits = malloc(2 * (size_t)(acts->rows.count + 1) * sizeof *logits);
    if (logits == NULL) {
        return no_memory(d, err);
    }
    status = il_detector_logits(d, blas, acts, logits, err);
    if (status == IL_OK) {
        float *kept = logits + acts->rows.count;

        n = negatives(d, acts, logits, kept);
        if (n == 0) {
            status = il_error_set(err, IL_ERR_INPUT, d->spec->name,
                                  "no negative unit to calibrate a threshold on");
        } else {
            d->threshold = il_rate_threshold(n, kept, spec->fpr);
            d->has_threshold = true;
            d->rate = spec->fpr;
            d->unit = spec->unit;
            d->negatives = n;
        }
    }
    free(logits);
    return status;
}

il_status il_detector_calibrate_odds(il_detector *d, const il_blas *blas,
                                     const il_acts *acts, il_error *err)
{
    const il_calibrate_spec *spec = &d->spec->calibrate;
    il_calibration found = {.kind = IL_CALIBRATION_NONE};
    float *logits;
    il_status status;

    if (!spec->given) {
        return IL_OK;
    }
    IL_TRY(check_labels(d, acts, err));
    IL_TRY(set_apart(d, acts, "probabilities", err));
    logits = malloc(((size_t)acts->rows.count + 1) * sizeof *logits);
    if (logits == NULL) {
        return no_memory(d, err);
    }
    status = il_detector_logits(d, blas, acts, logits, err);
    if (status == IL_OK) {
        il_error why = {.code = IL_OK};

        status = il_calibration_fit(&found, il_calibration_kind_of(spec->method),
                                    acts->rows.count, logits, acts->rows.labels,
                                    d->arena, &why);
        if (status != IL_OK) {
            status = il_error_set(err, status, d->spec->name, "its %s: %s", why.where,
                                  why.message);
        }
    }
    free(logits);
    if (status == IL_OK) {
        d->calibration = found;
    }
    return status;
}
