/* What a detector says of labelled rows, measured and printed. See detector.h. */
#include "detector.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "detect/reliability.h"

enum { BINS = 10, DRAWS = 1000, ROUNDS = 3 };

il_status il_detector_judge(il_detector_judged *out, const il_detector *d,
                            const il_blas *blas, const il_acts *acts, uint64_t seed,
                            il_error *err)
{
    float *logits = malloc(((size_t)acts->rows.count + 1) * sizeof *logits);
    il_scores s = {.count = acts->rows.count,
                   .logits = logits,
                   .labels = acts->rows.labels,
                   .documents = acts->rows.documents,
                   .has_threshold = d->has_threshold,
                   .threshold = d->threshold,
                   .calibration = &d->calibration};
    double since = il_detector_clock();
    il_status status = logits != NULL ? il_detector_logits(d, blas, acts, logits, err)
                                      : il_error_set(err, IL_ERR_MEMORY, d->spec->name,
                                                     "out of memory");

    out->seconds = il_detector_clock() - since;
    for (int64_t i = 0; status == IL_OK && i < s.count; i++) {
        if (!isfinite(logits[i])) {
            status = il_error_set(err, IL_ERR_NUMERIC, d->spec->name,
                                  "row %" PRId64 ": its logit is no number", i);
        }
    }
    s.calibration = &d->calibration;
    if (status == IL_OK) {
        status = il_scores_measure(&s, DRAWS, seed, 0, &out->measured, err);
        out->ece = il_scores_ece(&s, BINS);
        s.calibration = NULL;
        out->raw = il_scores_ece(&s, BINS);
    }
    free(logits);
    return status;
}

static void put(json_t *json, const char *name, double value)
{
    if (isfinite(value)) {
        json_object_set_new(json, name, json_real(value));
    }
}

json_t *il_detector_judged_json(const il_detector *d, const il_detector_judged *j)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR_AT_1,
                                       IL_MEASURE_TPR, IL_MEASURE_FPR,
                                       IL_MEASURE_DPRIME};
    const il_measured *m = &j->measured;
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I}", "rows", (json_int_t)m->rows, "positives",
                  (json_int_t)m->positives, "negatives", (json_int_t)m->negatives,
                  "documents", (json_int_t)m->documents);

    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const char *name = il_measure_name(shown[i]);

        put(json, name, m->value[shown[i]]);
        if (isfinite(m->low[shown[i]])) {
            json_t *interval = json_pack("[f, f]", m->low[shown[i]], m->high[shown[i]]);
            char key[64];

            (void)snprintf(key, sizeof key, "%s_interval", name);
            json_object_set_new(json, key, interval);
        }
    }
    put(json, "ece", j->ece);
    if (d->calibration.kind != IL_CALIBRATION_NONE) {
        put(json, "ece_before", j->raw);
        json_object_set_new(json, "calibration",
                            json_string(il_calibration_name(d->calibration.kind)));
    }
    put(json, "score_seconds", j->seconds);
    if (d->has_threshold) {
        put(json, "threshold", d->threshold);
        put(json, "rate", d->rate);
        json_object_set_new(json, "threshold_negatives",
                            json_integer((json_int_t)d->negatives));
    }
    return json;
}

static void line(const il_measured *m, il_measure which, const char *what,
                 const char *behind)
{
    if (!isfinite(m->value[which])) {
        return;
    }
    printf("  %-26s %.4f", what, m->value[which]);
    if (isfinite(m->low[which])) {
        printf("  [%.4f, %.4f]", m->low[which], m->high[which]);
    }
    printf("  %s\n", behind);
}

void il_detector_judged_print(const il_detector *d, const il_detector_judged *j)
{
    const il_measured *m = &j->measured;
    char behind[128];

    printf("%s on %" PRId64 " rows of %" PRId64 " documents, %" PRId64
           " positive, %" PRId64 " negative\n",
           d->instance->offer->id, m->rows, m->documents, m->positives, m->negatives);
    (void)snprintf(behind, sizeof behind, "%" PRId64 " against %" PRId64, m->positives,
                   m->negatives);
    line(m, IL_MEASURE_AUROC, "AUROC", behind);
    (void)snprintf(behind, sizeof behind,
                   "%" PRId64 " positives, above all but %" PRId64 " of %" PRId64
                   " negatives",
                   m->positives, m->negatives / 100, m->negatives);
    line(m, IL_MEASURE_TPR_AT_1, "TPR at 1% FPR", behind);
    if (d->has_threshold) {
        if (isfinite(d->rate)) {
            (void)snprintf(behind, sizeof behind,
                           "threshold %.4f, for an FPR of %.4g on %" PRId64
                           " other negatives",
                           d->threshold, d->rate, d->negatives);
        } else {
            (void)snprintf(behind, sizeof behind, "threshold %.4f", d->threshold);
        }
        line(m, IL_MEASURE_TPR, "recall at its threshold", behind);
        line(m, IL_MEASURE_FPR, "FPR at its threshold", "");
    } else {
        puts("  it has no threshold");
    }
    if (isfinite(j->ece)) {
        printf("  %-26s %.4f  %d bins, %" PRId64 " rows", "ECE", j->ece, BINS, m->rows);
        if (d->calibration.kind != IL_CALIBRATION_NONE) {
            printf("; %.4f before %s", j->raw,
                   il_calibration_name(d->calibration.kind));
        }
        putchar('\n');
    }
}

void il_detector_print_json(json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));

    if (text != NULL) {
        puts(text);
    }
    free(text);
    json_decref(json);
}
