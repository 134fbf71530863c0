/* The figures of readings by class: their histograms, and what probabilities are worth.
 */
#include "report/charts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/conclusions.h"
#include "report/figure.h"

/* ---- histograms ----------------------------------------------------------------- */

/* The detector's histogram on the reference set, of an audit's `played` or `first`. */
static const json_t *histogram_of(const il__results *r, const il__result_row *row,
                                  const char *time)
{
    const json_t *set = json_object_get(json_object_get(row->audit, time), "ref");

    return json_object_get(json_object_get(set, "histograms"), r->detector);
}

static double count_rows(const json_t *bins)
{
    double sum = 0;

    for (size_t i = 0; i < json_array_size(bins); i++) {
        sum += json_number_value(json_array_get(bins, i));
    }
    return sum;
}

/* The outline of one class as steps; the range of bins that hold something grows. */
static void add_class(il__figure *f, il__plot *p, int64_t seed, const json_t *histogram,
                      const char *class, const char *time, il__hue hue, il__dash dash)
{
    enum { BINS = 256 };
    const json_t *bins = json_object_get(histogram, class);
    double from = il__number_of(histogram, "from");
    double width = il__number_of(histogram, "width");
    double rows = count_rows(bins);
    double x[2 * BINS];
    double y[2 * BINS];
    size_t count = json_array_size(bins) < BINS ? json_array_size(bins) : BINS;

    if (rows == 0 || !isfinite(from) || !isfinite(width)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        double share = json_number_value(json_array_get(bins, i)) / rows;

        x[2 * i] = from + width * (double)i;
        x[2 * i + 1] = from + width * (double)(i + 1);
        y[2 * i] = y[2 * i + 1] = share;
        if (share > 0) {
            il__csv_text(&f->csv, p->title);
            il__csv_integer(&f->csv, seed);
            il__csv_text(&f->csv, class);
            il__csv_text(&f->csv, time);
            il__csv_number(&f->csv, x[2 * i]);
            il__csv_number(&f->csv, share);
            il__csv_end(&f->csv);
        }
    }
    il__plot_line(p, x, y, 2 * count, hue, dash);
}

/* The logits that hold rows, over all histograms, and the tallest bin. */
static void reach(const json_t *histogram, double range[2], double *most)
{
    static const char *const classes[] = {"positive", "negative"};
    double from = il__number_of(histogram, "from");
    double width = il__number_of(histogram, "width");

    for (size_t c = 0; c < 2; c++) {
        const json_t *bins = json_object_get(histogram, classes[c]);
        double rows = count_rows(bins);

        for (size_t i = 0; i < json_array_size(bins) && rows > 0; i++) {
            double here = json_number_value(json_array_get(bins, i));

            if (here > 0) {
                range[0] = fmin(range[0], from + width * (double)i);
                range[1] = fmax(range[1], from + width * (double)(i + 1));
                *most = fmax(*most, here / rows);
            }
        }
    }
}

void il__chart_histograms(const il__results *r, il_text *html)
{
    static const char *const names[] = {"arm",  "seed",  "class", "time",
                                        "from", "share", NULL};
    static const char *const times[] = {"first", "played"};
    il__figure figure = {.id = "histograms",
                         .heading = "Readings by class on the reference set"};
    double range[2] = {INFINITY, -INFINITY};
    double most = 0;
    size_t panels = 0;

    if (r->detector == NULL) {
        return;
    }
    for (size_t i = 0; i < r->row_count; i++) {
        for (size_t t = 0; t < 2; t++) {
            reach(histogram_of(r, &r->rows[i], times[t]), range, &most);
        }
    }
    il__figure_columns(&figure, names);
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        il__plot p = {.title = arm->label,
                      .x = {range[0], range[1], "logit", false},
                      .y = {0, most, "share of the class", false},
                      .width = IL__PANEL_SMALL};

        if (histogram_of(r, arm->rows[0], "played") == NULL ||
            panels++ >= IL__PANELS_MAX || !(range[0] < range[1])) {
            continue;
        }
        for (size_t s = 0; s < arm->row_count; s++) {
            for (size_t t = 0; t < 2; t++) {
                const json_t *h = histogram_of(r, arm->rows[s], times[t]);
                il__dash dash = t == 0 ? IL__DOTTED : IL__SOLID;
                const char *when = t == 0 ? "first" : "last";

                add_class(&figure, &p, arm->rows[s]->seed, h, "negative", when,
                          IL__HUE_A, dash);
                add_class(&figure, &p, arm->rows[s]->seed, h, "positive", when,
                          IL__HUE_B, dash);
            }
        }
        il__figure_panel(&figure, &p);
    }
    il__figure_key_line(&figure, IL__HUE_A, IL__SOLID, "negatives, last audit");
    il__figure_key_line(&figure, IL__HUE_A, IL__DOTTED, "first audit");
    il__figure_key_line(&figure, IL__HUE_B, IL__SOLID, "positives, last audit");
    il__figure_key_line(&figure, IL__HUE_B, IL__DOTTED, "first audit");
    il__figure_end(&figure, "Shares of each class by logit, for each seed.", html);
}

/* ---- reliability ---------------------------------------------------------------- */

static const json_t *diagrams(const il__result_arm *arm, size_t seed)
{
    return json_object_get(arm->rows[seed]->audit, "reliability");
}

/* Whether a diagram is of a detector: under its name, or on one of its sets. */
static bool is_of(const char *key, const char *detector)
{
    size_t n = detector != NULL ? strlen(detector) : 0;

    return detector == NULL || (strncmp(key, detector, n) == 0 &&
                                (key[n] == '\0' || key[n] == '@' || key[n] == '.'));
}

static size_t count_diagrams(const il__results *r, const char *detector)
{
    size_t n = 0;

    for (size_t a = 0; a < r->arm_count; a++) {
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)diagrams(&r->arms[a], 0), key, value)
        {
            n += is_of(key, detector);
        }
    }
    return n;
}

/* A line through the bins that hold something, with a dot for each. */
static void add_bins(il__figure *f, il__plot *p, int64_t seed, const json_t *bins,
                     bool before)
{
    enum { BINS = 64 };
    double x[BINS];
    double y[BINS];
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(bins) && count < BINS; i++) {
        const json_t *bin = json_array_get(bins, i);
        double rows = json_number_value(json_array_get(bin, 0));
        char tip[64];

        if (rows == 0) {
            continue;
        }
        x[count] = json_number_value(json_array_get(bin, 1));
        y[count] = json_number_value(json_array_get(bin, 2));
        (void)snprintf(tip, sizeof tip, "seed %lld, %.0f rows", (long long)seed, rows);
        il__plot_mark(p, x[count], y[count], before ? IL__RING : IL__DISC,
                      before ? IL__HUE_B : IL__HUE_A, tip);
        il__csv_text(&f->csv, p->title);
        il__csv_integer(&f->csv, seed);
        il__csv_text(&f->csv, before ? "before" : "said");
        il__csv_number(&f->csv, rows);
        il__csv_number(&f->csv, x[count]);
        il__csv_number(&f->csv, y[count]);
        il__csv_end(&f->csv);
        count++;
    }
    il__plot_line(p, x, y, count, before ? IL__HUE_B : IL__HUE_A,
                  before ? IL__DASHED : IL__SOLID);
}

void il__chart_reliability(const il__results *r, il_text *html)
{
    static const char *const names[] = {"panel", "seed", "series", "rows",
                                        "said",  "true", NULL};
    static const double diagonal[] = {0, 1};
    const char *only = count_diagrams(r, NULL) > IL__PANELS_MAX ? r->detector : NULL;
    il__figure figure = {.id = "reliability",
                         .heading = "What probabilities are worth"};
    bool before = false;

    if (count_diagrams(r, only) > IL__PANELS_MAX) {
        return;
    }
    il__figure_columns(&figure, names);
    for (size_t a = 0; a < r->arm_count; a++) {
        const il__result_arm *arm = &r->arms[a];
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)diagrams(arm, 0), key, value)
        {
            char title[300];
            il__plot p = {.title = title,
                          .x = {0, 1, "probability said", false},
                          .y = {0, 1, "share that is true", false},
                          .width = IL__PANEL_SMALL};

            if (!is_of(key, only)) {
                continue;
            }
            (void)snprintf(title, sizeof title, "%s, %s", key, arm->label);
            il__plot_line(&p, diagonal, diagonal, 2, IL__HUE_MUTED, IL__DOTTED);
            for (size_t s = 0; s < arm->row_count; s++) {
                const json_t *own = json_object_get(diagrams(arm, s), key);

                before = before || json_object_get(own, "before") != NULL;
                add_bins(&figure, &p, arm->rows[s]->seed,
                         json_object_get(own, "before"), true);
                add_bins(&figure, &p, arm->rows[s]->seed, json_object_get(own, "said"),
                         false);
            }
            il__figure_panel(&figure, &p);
        }
    }
    il__figure_key(&figure, IL__DISC, IL__HUE_A, "as the pipeline uses them");
    if (before) {
        il__figure_key(&figure, IL__RING, IL__HUE_B, "before calibration (dashed)");
    }
    il__figure_end(
        &figure,
        "Rows in ten bins by probability: the share of them that is positive "
        "against their mean probability, for each seed. On the dotted line a "
        "probability means what it says.",
        html);
}
