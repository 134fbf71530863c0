#include "report/arms_panel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/conclusions.h"
#include "report/html.h"

bool il__series_value(const il__series *s, const il__result_row *row, double *value)
{
    double more = 0;

    if (!il__row_metric(row, s->metric, value) ||
        (s->plus[0] != '\0' && !il__row_metric(row, s->plus, &more))) {
        return false;
    }
    *value += more;
    return true;
}

void il__arms_columns(il__figure *f)
{
    static const char *const names[] = {"panel", "arm", "stage", "seed",      "series",
                                        "value", "low", "high",  "negatives", NULL};

    il__figure_columns(f, names);
}

static const json_t *measured(const il__result_row *row, const char *metric)
{
    return json_object_get(json_object_get(row->audit, "metrics"), metric);
}

/* One seed's mark, its interval, and its line of the CSV. */
static void add_mark(il__figure *f, il__plot *p, const il__result_arm *arm,
                     const il__result_row *row, double value, double at,
                     const il__series *s)
{
    const json_t *more = s->plus[0] == '\0' ? measured(row, s->metric) : NULL;
    double low = il__number_of(more, "low");
    double high = il__number_of(more, "high");
    il_text tip = {0};

    il_text_addf(&tip, "%s, seed %lld, %s: ", arm->label, (long long)row->seed,
                 s->words);
    il__number_text(&tip, value, 3);
    if (isfinite(low) && isfinite(high)) {
        il_text_add(&tip, " [");
        il__number_text(&tip, low, 3);
        il_text_add(&tip, ", ");
        il__number_text(&tip, high, 3);
        il_text_add(&tip, "]");
    }
    if (s->interval) {
        il__plot_interval(p, low, high, at, false, s->hue);
    }
    il__plot_mark(p, value, at, s->shape, s->hue, tip.data);
    p->marks.failed = p->marks.failed || tip.failed;
    il_text_free(&tip);

    il__csv_text(&f->csv, p->title);
    il__csv_text(&f->csv, arm->label);
    il__csv_text(&f->csv, arm->stage);
    il__csv_integer(&f->csv, row->seed);
    il__csv_text(&f->csv, s->words);
    il__csv_number(&f->csv, value);
    il__csv_number(&f->csv, low);
    il__csv_number(&f->csv, high);
    il__csv_number(&f->csv, il__number_of(more, "negatives"));
    il__csv_end(&f->csv);
}

/* The k-th arm whose seeds a series marks on a line; NULL when there are no more. */
static const il__result_arm *arm_of(const il__series *s, const il__result_arm *line,
                                    size_t k)
{
    if (s->whose == IL__PLACEBOS) {
        return k < line->placebo_count ? line->placebos[k] : NULL;
    }
    return k > 0 ? NULL : s->whose == IL__TWINS ? line->twin : line;
}

/* The seeds of one arm on a line, and their mean where that is asked for. */
static void add_seeds(il__figure *f, il__plot *p, const il__result_arm *arm,
                      size_t line, const il__series *s)
{
    double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < arm->row_count; i++) {
        /* A floor is a line, not a dot. */
        double at = (double)line +
                    (s->shape == IL__NOTCH ? 0 : il__plot_spread(i, arm->row_count));
        double value;

        if (il__series_value(s, arm->rows[i], &value)) {
            add_mark(f, p, arm, arm->rows[i], value, at, s);
            sum += value;
            n++;
        }
    }
    if (s->mean && n > 1) {
        il__plot_mark(p, sum / (double)n, (double)line, IL__TICK, IL__HUE_INK,
                      "mean over seeds");
    }
}

static void add_line(il__figure *f, il__plot *p, const il__result_arm *line, size_t at,
                     const il__series *series, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        const il__result_arm *arm;

        for (size_t i = 0; (arm = arm_of(&series[k], line, i)) != NULL; i++) {
            add_seeds(f, p, arm, at, &series[k]);
        }
    }
}

/* Whether a line has a value of some series; the range grows to hold them. */
static bool reach(const il__result_arm *line, const il__series *series, size_t count,
                  double range[2])
{
    bool any = false;

    for (size_t k = 0; k < count; k++) {
        const il__result_arm *arm;

        for (size_t j = 0; (arm = arm_of(&series[k], line, j)) != NULL; j++) {
            for (size_t i = 0; i < arm->row_count; i++) {
                double value;

                if (il__series_value(&series[k], arm->rows[i], &value) &&
                    isfinite(value)) {
                    range[0] = fmin(range[0], value);
                    range[1] = fmax(range[1], value);
                    any = true;
                }
            }
        }
    }
    return any;
}

/* "n 1560", the least over the arm's seeds; NULL where nobody counted. */
static const char *count_negatives(const il__result_arm *arm, const char *metric,
                                   char out[32])
{
    double least = INFINITY;

    for (size_t i = 0; i < arm->row_count; i++) {
        least = fmin(least, il__number_of(measured(arm->rows[i], metric), "negatives"));
    }
    if (!isfinite(least)) {
        return NULL;
    }
    (void)snprintf(out, 32, "%.0f", least);
    return out;
}

void il__arms_panel(il__figure *f, const char *title, il__axis axis,
                    const il__result_arm *const *arms, size_t arm_count,
                    const il__series *series, size_t series_count,
                    const char *negatives)
{
    il__plot p = {.title = title, .x = axis};
    const char **labels = calloc(arm_count + 1, sizeof *labels);
    const char **notes = calloc(arm_count + 1, sizeof *notes);
    const il__result_arm **shown = calloc(arm_count + 1, sizeof *shown);
    char(*texts)[32] = calloc(arm_count + 1, sizeof *texts);
    double range[2] = {INFINITY, -INFINITY};
    bool counted = false;

    f->panels.failed = f->panels.failed || labels == NULL || notes == NULL ||
                       shown == NULL || texts == NULL;
    for (size_t i = 0; !f->panels.failed && i < arm_count; i++) {
        if (!reach(arms[i], series, series_count, range)) {
            continue;
        }
        shown[p.row_count] = arms[i];
        labels[p.row_count] = arms[i]->label;
        if (negatives != NULL) {
            notes[p.row_count] =
                count_negatives(arms[i], negatives, texts[p.row_count]);
            counted = counted || notes[p.row_count] != NULL;
        }
        p.row_count++;
    }
    if (p.row_count > 0) {
        if (axis.from == axis.to) {
            il__axis_fit(&p.x, range[0], range[1]);
        }
        p.rows = labels;
        p.notes = counted ? notes : NULL;
        p.notes_name = "negatives";
        il_text_addf(&p.said, "%s, %zu arms from top to bottom, a mark for each seed.",
                     axis.label != NULL ? axis.label : title, p.row_count);
        for (size_t i = 0; i < p.row_count; i++) {
            add_line(f, &p, shown[i], i, series, series_count);
        }
        il__figure_panel(f, &p);
    }
    free(labels);
    free(notes);
    free(shown);
    free(texts);
}
