#include "detect/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/calibration.h"
#include "interloop/rng.h"

static const char *const measure_names[IL_MEASURES] = {
    "auroc",    "tpr",      "fpr",     "mean",   "tpr_at_1", "dprime",
    "positive", "negative", "flagged", "recall", "precision"};

double il_precision(double prevalence, double tpr, double fpr)
{
    double hits = prevalence * tpr;
    double all = hits + (1 - prevalence) * fpr;

    return all > 0 ? hits / all : NAN;
}

const char *il_measure_name(il_measure m)
{
    return measure_names[m];
}

/* A row on its way through the sort: by logit, and by place where logits tie. */
typedef struct ranked {
    float logit;
    int64_t row;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a;
    const ranked *y = b;

    if (x->logit != y->logit) {
        return x->logit < y->logit ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row;
}

static int compare_id(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int compare_float(const void *a, const void *b)
{
    const float *x = a;
    const float *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int compare_double(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return *x < *y ? -1 : *x > *y;
}

float il_rate_threshold(int64_t n, float *values, double rate)
{
    int64_t above = (int64_t)floor(rate * (double)n);

    qsort(values, (size_t)n, sizeof *values, compare_float);
    /* With rate 1 everything may lie above: the smallest value still flags no more. */
    return values[above < n ? n - 1 - above : 0];
}

/* What a measurement works on: rows by ascending logit, how often each document was
 * drawn, and the place of each row's document among the documents. */
typedef struct work {
    const il_scores *s;
    ranked *order;     /* (N) */
    int32_t *document; /* (N) */
    int64_t *times;    /* (documents) */
    int64_t documents;
} work;

static bool work_positive(const work *w, int64_t row)
{
    return w->s->labels[row] != 0;
}

/* Moments of one class, every row counted as often as its document. */
typedef struct moments {
    double n, sum, square, flagged;
} moments;

static void work_moments(const work *w, moments c[2], double *probability)
{
    const il_scores *s = w->s;
    double mean[2] = {0, 0};

    memset(c, 0, 2 * sizeof *c);
    *probability = 0;
    for (int64_t i = 0; i < s->count; i++) {
        double k = (double)w->times[w->document[i]];
        int which = s->labels != NULL && work_positive(w, i);
        double x = s->logits[i];

        c[which].n += k;
        c[which].sum += k * x;
        c[which].flagged += s->has_threshold && x > s->threshold ? k : 0;
        *probability += k * il_calibration_probability(s->calibration, x);
    }
    for (int which = 0; which < 2; which++) {
        mean[which] = c[which].sum / c[which].n;
    }
    /* The second sweep keeps small variances from drowning in large means. */
    for (int64_t i = 0; i < s->count; i++) {
        int which = s->labels != NULL && work_positive(w, i);
        double away = s->logits[i] - mean[which];

        c[which].square += (double)w->times[w->document[i]] * away * away;
    }
}

/* Counts pairs by walking up the logits; ties make half a pair (Mann and Whitney 1947).
 */
static double work_auroc(const work *w, double positives, double negatives)
{
    const il_scores *s = w->s;
    double below = 0;
    double pairs = 0;
    int64_t i = 0;

    while (i < s->count) {
        double tied[2] = {0, 0};
        float logit = w->order[i].logit;

        for (; i < s->count && w->order[i].logit == logit; i++) {
            int64_t row = w->order[i].row;

            tied[work_positive(w, row)] += (double)w->times[w->document[row]];
        }
        pairs += tied[1] * (below + 0.5 * tied[0]);
        below += tied[0];
    }
    return pairs / (positives * negatives);
}

/* Walks down the logits until more than that share of the negatives would lie above. */
static double work_tpr_at(const work *w, double rate, double positives,
                          double negatives)
{
    double room = floor(rate * negatives);
    double found = 0;
    int64_t i = w->s->count;

    while (i > 0) {
        double tied[2] = {0, 0};
        float logit = w->order[i - 1].logit;

        for (; i > 0 && w->order[i - 1].logit == logit; i--) {
            int64_t row = w->order[i - 1].row;

            tied[work_positive(w, row)] += (double)w->times[w->document[row]];
        }
        room -= tied[0];
        if (room < 0) {
            break;
        }
        found += tied[1];
    }
    return found / positives;
}

static void work_measure(const work *w, double value[IL_MEASURES])
{
    const il_scores *s = w->s;
    double probability;
    moments c[2];
    double all;

    for (int m = 0; m < IL_MEASURES; m++) {
        value[m] = NAN;
    }
    work_moments(w, c, &probability);
    all = c[0].n + c[1].n;
    if (all > 0) {
        value[IL_MEASURE_MEAN] = probability / all;
        if (s->has_threshold) {
            value[IL_MEASURE_FLAGGED] = (c[0].flagged + c[1].flagged) / all;
        }
    }
    if (s->labels == NULL) {
        return;
    }
    if (c[1].n > 0) {
        value[IL_MEASURE_POSITIVE] = c[1].sum / c[1].n;
        value[IL_MEASURE_TPR] = s->has_threshold ? c[1].flagged / c[1].n : NAN;
    }
    if (c[0].n > 0) {
        value[IL_MEASURE_NEGATIVE] = c[0].sum / c[0].n;
        value[IL_MEASURE_FPR] = s->has_threshold ? c[0].flagged / c[0].n : NAN;
    }
    if (c[0].n > 0 && c[1].n > 0) {
        double spread = sqrt((c[0].square / c[0].n + c[1].square / c[1].n) / 2);
        double apart = value[IL_MEASURE_POSITIVE] - value[IL_MEASURE_NEGATIVE];

        value[IL_MEASURE_AUROC] = work_auroc(w, c[1].n, c[0].n);
        value[IL_MEASURE_TPR_AT_1] = work_tpr_at(w, 0.01, c[1].n, c[0].n);
        value[IL_MEASURE_RECALL] =
            s->rate > 0 ? work_tpr_at(w, s->rate, c[1].n, c[0].n) : NAN;
        value[IL_MEASURE_PRECISION] =
            s->prevalence > 0 ? il_precision(s->prevalence, value[IL_MEASURE_TPR],
                                             value[IL_MEASURE_FPR])
                              : NAN;
        value[IL_MEASURE_DPRIME] = spread > 0 ? apart / spread : NAN;
    }
}

/* Between the two nearest of the sorted values. */
static double quantile(int64_t n, const double *sorted, double q)
{
    double at = q * (double)(n - 1);
    int64_t low = (int64_t)floor(at);
    int64_t high = low + 1 < n ? low + 1 : low;

    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

static void work_draw(work *w, uint64_t seed, uint32_t depth, int draw)
{
    il_rng rng;

    memset(w->times, 0, (size_t)w->documents * sizeof *w->times);
    il_rng_open(&rng, seed, depth, IL_RNG_BOOTSTRAP, (uint64_t)draw, 0);
    for (int64_t i = 0; i < w->documents; i++) {
        w->times[il_rng_below(&rng, (uint32_t)w->documents)]++;
    }
}

/* drawn is (IL_MEASURES, draws); draws in which a class is missing are left out. */
static void work_intervals(work *w, int draws, uint64_t seed, uint32_t depth,
                           double *drawn, il_measured *out)
{
    int64_t have[IL_MEASURES] = {0};

    for (int draw = 0; draw < draws; draw++) {
        double value[IL_MEASURES];

        work_draw(w, seed, depth, draw);
        work_measure(w, value);
        for (int m = 0; m < IL_MEASURES; m++) {
            if (!isnan(value[m])) {
                drawn[(size_t)m * (size_t)draws + (size_t)have[m]++] = value[m];
            }
        }
    }
    for (int m = 0; m < IL_MEASURES; m++) {
        double *sorted = drawn + (size_t)m * (size_t)draws;

        if (have[m] > 0 && !isnan(out->value[m])) {
            qsort(sorted, (size_t)have[m], sizeof *sorted, compare_double);
            out->low[m] = quantile(have[m], sorted, 0.025);
            out->high[m] = quantile(have[m], sorted, 0.975);
        }
    }
}

/* Sorts rows by logit and numbers their documents. */
static il_status work_open(work *w, const il_scores *s, il_error *err)
{
    size_t n = s->count > 0 ? (size_t)s->count : 1;
    int64_t *ids = malloc(n * sizeof *ids);

    memset(w, 0, sizeof *w);
    w->s = s;
    w->order = malloc(n * sizeof *w->order);
    w->document = malloc(n * sizeof *w->document);
    if (ids == NULL || w->order == NULL || w->document == NULL) {
        free(ids);
        return il_error_set(err, IL_ERR_MEMORY, "metrics", "out of memory");
    }
    for (int64_t i = 0; i < s->count; i++) {
        if (!isfinite(s->logits[i])) {
            free(ids);
            return il_error_set(err, IL_ERR_NUMERIC, "metrics",
                                "the logit of row %lld is not a finite number",
                                (long long)i);
        }
        w->order[i].logit = s->logits[i];
        w->order[i].row = i;
        ids[i] = s->documents[i];
    }
    qsort(w->order, (size_t)s->count, sizeof *w->order, compare_ranked);
    qsort(ids, (size_t)s->count, sizeof *ids, compare_id);
    for (int64_t i = 0; i < s->count; i++) {
        if (i == 0 || ids[i] != ids[w->documents - 1]) {
            ids[w->documents++] = ids[i];
        }
    }
    for (int64_t i = 0; i < s->count; i++) {
        const int64_t *found = bsearch(&s->documents[i], ids, (size_t)w->documents,
                                       sizeof *ids, compare_id);

        w->document[i] = (int32_t)(found - ids);
    }
    free(ids);
    w->times = calloc((size_t)w->documents + 1, sizeof *w->times);
    if (w->times == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "metrics", "out of memory");
    }
    return IL_OK;
}

static void work_close(work *w)
{
    free(w->times);
    free(w->document);
    free(w->order);
}

/* How many documents have a row of each class. */
static void work_classes(const work *w, il_measured *out)
{
    const il_scores *s = w->s;

    for (int64_t i = 0; s->labels != NULL && i < s->count; i++) {
        int64_t *seen = &w->times[w->document[i]]; /* 1 as set; + 2, 4 a class */

        *seen |= s->labels[i] != 0 ? 2 : 4;
    }
    for (int64_t i = 0; i < w->documents; i++) {
        out->positive_documents += (w->times[i] & 2) != 0;
        out->negative_documents += (w->times[i] & 4) != 0;
        w->times[i] = 1;
    }
}

/* The interval of a rate over `documents` where resampling them could not move it: from
 * one document there is none to move, and 0 and 1 stay what they are. */
static void widen(il_measured *m, il_measure which, int64_t documents)
{
    double value = m->value[which];

    if (isnan(value) || documents < 1) {
        return;
    }
    if (value == 0 || value == 1) {
        double far = pow(0.025, 1.0 / (double)documents);

        m->low[which] = value == 1 ? far : 0;
        m->high[which] = value == 0 ? 1 - far : 1;
    } else if (documents < 2) {
        m->low[which] = m->high[which] = NAN;
    }
}

static void finish_intervals(il_measured *m, double prevalence)
{
    static const il_measure of_rows[] = {IL_MEASURE_MEAN,   IL_MEASURE_AUROC,
                                         IL_MEASURE_TPR_AT_1, IL_MEASURE_DPRIME,
                                         IL_MEASURE_RECALL, IL_MEASURE_FLAGGED};

    if (m->positive_documents < 2) {
        m->low[IL_MEASURE_POSITIVE] = m->high[IL_MEASURE_POSITIVE] = NAN;
    }
    if (m->negative_documents < 2) {
        m->low[IL_MEASURE_NEGATIVE] = m->high[IL_MEASURE_NEGATIVE] = NAN;
    }
    for (size_t i = 0; m->documents < 2 && i < sizeof of_rows / sizeof *of_rows; i++) {
        m->low[of_rows[i]] = m->high[of_rows[i]] = NAN;
    }
    widen(m, IL_MEASURE_TPR, m->positive_documents);
    widen(m, IL_MEASURE_FPR, m->negative_documents);
    widen(m, IL_MEASURE_FLAGGED, m->documents);
    m->low[IL_MEASURE_PRECISION] =
        il_precision(prevalence, m->low[IL_MEASURE_TPR], m->high[IL_MEASURE_FPR]);
    m->high[IL_MEASURE_PRECISION] =
        il_precision(prevalence, m->high[IL_MEASURE_TPR], m->low[IL_MEASURE_FPR]);
}

static void work_all_once(work *w)
{
    for (int64_t i = 0; i < w->documents; i++) {
        w->times[i] = 1;
    }
}

il_status il_scores_measure(const il_scores *s, int draws, uint64_t seed,
                            uint32_t depth, il_measured *out, il_error *err)
{
    il_measured measured;
    double *drawn = NULL;
    il_status status;
    work w;

    memset(&measured, 0, sizeof measured);
    status = work_open(&w, s, err);
    if (status != IL_OK) {
        goto out;
    }
    work_all_once(&w);
    measured.rows = s->count;
    measured.documents = w.documents;
    for (int64_t i = 0; s->labels != NULL && i < s->count; i++) {
        measured.positives += s->labels[i] != 0;
        measured.negatives += s->labels[i] == 0;
    }
    work_measure(&w, measured.value);
    for (int m = 0; m < IL_MEASURES; m++) {
        measured.low[m] = NAN;
        measured.high[m] = NAN;
    }
    if (draws > 0 && w.documents > 0) {
        drawn = malloc((size_t)draws * IL_MEASURES * sizeof *drawn);
        if (drawn == NULL) {
            status = il_error_set(err, IL_ERR_MEMORY, "metrics", "out of memory");
            goto out;
        }
        work_classes(&w, &measured);
        work_intervals(&w, draws, seed, depth, drawn, &measured);
        finish_intervals(&measured, s->prevalence);
    }
    *out = measured;
out:
    free(drawn);
    work_close(&w);
    return status;
}

il_status il_scores_by_document(const il_scores *s, il_arena *arena, il_scores *out,
                                il_error *err)
{
    size_t n = (size_t)s->count;
    float *logits = il_arena_calloc(arena, n + 1, sizeof *logits);
    uint8_t *labels = il_arena_calloc(arena, n + 1, 1);
    int64_t *documents = il_arena_calloc(arena, n + 1, sizeof *documents);
    work w;
    il_status status;

    if (logits == NULL || labels == NULL || documents == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "metrics", "out of memory");
    }
    status = work_open(&w, s, err);
    for (int64_t i = 0; status == IL_OK && i < s->count; i++) {
        int32_t at = w.document[i];

        logits[at] = w.times[at]++ == 0 || s->logits[i] > logits[at] ? s->logits[i]
                                                                     : logits[at];
        labels[at] |= s->labels != NULL && s->labels[i] != 0;
        documents[at] = s->documents[i];
    }
    if (status == IL_OK) {
        *out = *s;
        out->count = w.documents;
        out->logits = logits;
        out->labels = s->labels != NULL ? labels : NULL;
        out->documents = documents;
    }
    work_close(&w);
    return status;
}

il_status il_scores_compare(const il_scores *a, const il_scores *b, il_measure which,
                            int draws, uint64_t seed, uint32_t depth,
                            il_difference *out, il_error *err)
{
    double *drawn = malloc(((size_t)draws + 1) * sizeof *drawn);
    il_difference d = {NAN, NAN, NAN};
    double value[2][IL_MEASURES];
    work w[2] = {{.s = NULL}};
    int64_t have = 0;
    il_status status =
        drawn != NULL ? work_open(&w[0], a, err)
                      : il_error_set(err, IL_ERR_MEMORY, "metrics", "out of memory");

    if (status == IL_OK) {
        status = work_open(&w[1], b, err);
    }
    if (status == IL_OK && (a->count != b->count || w[0].documents != w[1].documents)) {
        status = il_error_set(err, IL_ERR_INTERNAL, "metrics",
                              "two readers are compared on different rows");
    }
    if (status != IL_OK) {
        goto out;
    }
    for (int i = 0; i < 2; i++) {
        work_all_once(&w[i]);
        work_measure(&w[i], value[i]);
    }
    d.value = value[0][which] - value[1][which];
    for (int draw = 0; draw < draws && w[0].documents > 0; draw++) {
        for (int i = 0; i < 2; i++) {
            work_draw(&w[i], seed, depth, draw);
            work_measure(&w[i], value[i]);
        }
        if (!isnan(value[0][which] - value[1][which])) {
            drawn[have++] = value[0][which] - value[1][which];
        }
    }
    if (have > 0 && !isnan(d.value)) {
        qsort(drawn, (size_t)have, sizeof *drawn, compare_double);
        d.low = quantile(have, drawn, 0.025);
        d.high = quantile(have, drawn, 0.975);
    }
    *out = d;
out:
    free(drawn);
    work_close(&w[0]);
    work_close(&w[1]);
    return status;
}
