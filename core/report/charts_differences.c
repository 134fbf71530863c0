/* Run minus twin and run minus placebo: what may be claimed, seed by seed. Means and
 * intervals are those of the run's claims; without claims there are seeds alone. */
#include "report/charts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/conclusions.h"
#include "report/figure.h"
#include "report/focus.h"

enum { LINES = 128, LABEL = 160 };

/* One line: a run and what it is compared with. */
typedef struct versus {
    const il__result_arm *run, *other;
    bool placebo;
    char label[LABEL];
} versus;

static size_t list_lines(const il__results *r, versus *out)
{
    size_t count = 0;

    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        size_t others = arm->placebo_count + (arm->twin != NULL);

        for (size_t k = 0; k < others && count < LINES; k++) {
            versus *v = &out[count++];

            v->run = arm;
            v->placebo = k >= (size_t)(arm->twin != NULL);
            v->other = v->placebo ? arm->placebos[k - (arm->twin != NULL)] : arm->twin;
            (void)snprintf(v->label, sizeof v->label, "%s \xe2\x88\x92 %s",
                           v->run->label, v->other->label);
        }
    }
    return count;
}

/* The claim of a line about a metric, or NULL. */
static const json_t *claim_of(const il__results *r, const versus *v, const char *metric)
{
    const json_t *entry = il__conclusion_of(r, v->run);
    const char *const parts[] = {"claims", "tax"};
    const char *name = v->other->variant != NULL ? v->other->variant : v->other->stage;

    for (size_t p = 0; p < 2; p++) {
        const json_t *claims = json_object_get(entry, parts[p]);

        for (size_t i = 0; i < json_array_size(claims); i++) {
            const json_t *c = json_array_get(claims, i);
            const char *m = json_string_value(json_object_get(c, "metric"));
            const char *a = json_string_value(json_object_get(c, "against"));

            if (m != NULL && a != NULL && strcmp(m, metric) == 0 &&
                strcmp(a, name) == 0) {
                return c;
            }
        }
    }
    return NULL;
}

static bool difference(const versus *v, size_t seed, const char *metric, double *out)
{
    const il__result_row *pair = il__arm_row(v->other, v->run->rows[seed]->seed);
    double a;
    double b;

    if (pair == NULL || !il__row_metric(v->run->rows[seed], metric, &a) ||
        !il__row_metric(pair, metric, &b)) {
        return false;
    }
    *out = a - b;
    return true;
}

static void add_line(il__figure *f, il__plot *p, const versus *v, size_t line,
                     const char *metric, const json_t *claim)
{
    il__hue hue = v->placebo ? IL__HUE_B : IL__HUE_A;
    double low = il__number_of(claim, "low");
    double high = il__number_of(claim, "high");

    il__plot_interval(p, low, high, (double)line, false, IL__HUE_MUTED);
    for (size_t s = 0; s < v->run->row_count; s++) {
        char tip[256];
        double value;

        if (!difference(v, s, metric, &value)) {
            continue;
        }
        (void)snprintf(tip, sizeof tip, "%s, seed %lld", v->label,
                       (long long)v->run->rows[s]->seed);
        il__plot_mark(p, value, (double)line + il__plot_spread(s, v->run->row_count),
                      v->placebo ? IL__CROSS : IL__RING, hue, tip);
        il__csv_text(&f->csv, metric);
        il__csv_text(&f->csv, v->run->label);
        il__csv_text(&f->csv, v->placebo ? "placebo" : "twin");
        il__csv_text(&f->csv, v->other->label);
        il__csv_integer(&f->csv, v->run->rows[s]->seed);
        il__csv_number(&f->csv, value);
        il__csv_number(&f->csv, il__number_of(claim, "mean"));
        il__csv_number(&f->csv, low);
        il__csv_number(&f->csv, high);
        il__csv_end(&f->csv);
    }
    il__plot_mark(p, il__number_of(claim, "mean"), (double)line, IL__TICK, IL__HUE_INK,
                  "mean over seeds");
}

static void add_panel(const il__results *r, il__figure *figure, const versus *lines,
                      size_t count, const char *metric)
{
    const json_t *endpoint = json_object_get(r->conclusions, "endpoint");
    const char *about = json_string_value(json_object_get(endpoint, "metric"));
    double margin = about != NULL && strcmp(about, metric) == 0
                        ? il__number_of(endpoint, "margin")
                        : (double)NAN;
    char label[256];
    const char *labels[LINES];
    const versus *shown[LINES];
    double most = isfinite(margin) ? margin : 0;
    il__plot p = {.title = metric, .rows = labels};

    (void)snprintf(label, sizeof label, "difference in %s", metric);
    p.x.label = label;
    for (size_t i = 0; i < count; i++) {
        const json_t *claim = claim_of(r, &lines[i], metric);
        bool any = false;

        for (size_t s = 0; s < lines[i].run->row_count; s++) {
            double value;

            if (difference(&lines[i], s, metric, &value)) {
                most = fmax(most, fabs(value));
                any = true;
            }
        }
        if (any) {
            most = fmax(most, fabs(il__number_of(claim, "low")));
            most = fmax(most, fabs(il__number_of(claim, "high")));
            labels[p.row_count] = lines[i].label;
            shown[p.row_count++] = &lines[i];
        }
    }
    if (p.row_count == 0) {
        return;
    }
    il__axis_fit(&p.x, most > 0 ? -most : -1, most > 0 ? most : 1);
    il__plot_rule(&p, 0, true, IL__SOLID);
    il__plot_rule(&p, -margin, true, IL__DASHED);
    il__plot_rule(&p, margin, true, IL__DASHED);
    for (size_t i = 0; i < p.row_count; i++) {
        add_line(figure, &p, shown[i], i, metric, claim_of(r, shown[i], metric));
    }
    il_text_addf(&p.said, "Differences by seed, %zu comparisons from top to bottom.",
                 p.row_count);
    il__figure_panel(figure, &p);
}

void il__chart_differences(const il__results *r, il_text *html)
{
    static const char *const names[] = {"metric",     "run",  "role", "against", "seed",
                                        "difference", "mean", "low",  "high",    NULL};
    static const char *const parts[] = {"auroc", "tpr"};
    il__figure figure = {.id = "differences",
                         .heading = "Run minus twin, run minus placebo"};
    const char *endpoint = json_string_value(
        json_object_get(json_object_get(r->conclusions, "endpoint"), "metric"));
    versus *lines = calloc(LINES, sizeof *lines);
    il__focus focus;
    size_t count;

    if (lines == NULL) {
        html->failed = true;
        return;
    }
    count = list_lines(r, lines);
    il__focus_of(r, &focus);
    il__figure_columns(&figure, names);
    if (endpoint != NULL) {
        add_panel(r, &figure, lines, count, endpoint);
    }
    for (size_t m = 0; m < 2 && r->detector != NULL; m++) {
        char metric[IL__FOCUS_NAME];

        (void)snprintf(metric, sizeof metric, "%s.%s", r->detector, parts[m]);
        if (endpoint == NULL || strcmp(endpoint, metric) != 0) {
            add_panel(r, &figure, lines, count, metric);
        }
    }
    if (focus.behaviour[0] != '\0' &&
        (endpoint == NULL || strcmp(endpoint, focus.behaviour) != 0)) {
        add_panel(r, &figure, lines, count, focus.behaviour);
    }
    il__figure_key(&figure, IL__RING, IL__HUE_A, "a seed minus its twin");
    il__figure_key(&figure, IL__CROSS, IL__HUE_B, "a seed minus its placebo");
    il__figure_key(&figure, IL__TICK, IL__HUE_INK, "mean");
    il__figure_key_line(&figure, IL__HUE_MUTED, IL__SOLID, "95% interval of the mean");
    il__figure_key_line(&figure, IL__HUE_MUTED, IL__DASHED, "margin");
    il__figure_end(&figure,
                   "Paired by seed. What may be claimed about the detector&rsquo;s own "
                   "information is run minus placebo.",
                   html);
    free(lines);
}
