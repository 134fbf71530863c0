/* The outcome over training: the likeliest class of each seed at every audit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/charts.h"
#include "report/figure.h"

static const char *const classes[] = {
    "honest", "mixed",     "blatant", "obfuscated_policy", "obfuscated_activations",
    "both",   "degenerate"};
static const char *const words[] = {
    "honest", "mixed",     "blatant", "obfuscated policy", "obfuscated activations",
    "both",   "degenerate"};
enum { CLASSES = sizeof classes / sizeof classes[0] };

/* The likeliest class at an audit, -1 where none was classed; how likely it is. */
static int likeliest(const il__audit_point *point, double *probability)
{
    int best = -1;

    *probability = 0;
    for (int c = 0; c < CLASSES; c++) {
        char metric[64];
        const json_t *value;

        (void)snprintf(metric, sizeof metric, "outcome.%s", classes[c]);
        value = json_object_get(point->metrics, metric);
        if (json_is_number(value) && json_number_value(value) > *probability) {
            *probability = json_number_value(value);
            best = c;
        }
    }
    return best;
}

/* One seed's way from class to class; whether it has more than one audit. */
static bool add_seed(il__figure *f, il__plot *p, const il__result_row *row, double at)
{
    double *x = calloc(row->point_count + 1, 2 * sizeof *x);
    double *y = x + row->point_count;
    size_t count = 0;

    if (x == NULL) {
        f->panels.failed = true;
        return false;
    }
    for (size_t i = 0; i < row->point_count; i++) {
        double probability;
        int class = likeliest(&row->points[i], &probability);

        if (class >= 0) {
            x[count] = (double)row->points[i].step;
            y[count++] = class + at;
            il__csv_text(&f->csv, p->title);
            il__csv_integer(&f->csv, row->seed);
            il__csv_integer(&f->csv, row->points[i].step);
            il__csv_text(&f->csv, classes[class]);
            il__csv_number(&f->csv, probability);
            il__csv_end(&f->csv);
        }
    }
    il__plot_line(p, x, y, count, IL__HUE_A, IL__SOLID);
    for (size_t i = 0; i < count; i++) {
        char tip[64];

        (void)snprintf(tip, sizeof tip, "seed %lld, step %.0f", (long long)row->seed,
                       x[i]);
        il__plot_mark(p, x[i], y[i], IL__DISC, IL__HUE_A, tip);
    }
    free(x);
    return count > 1;
}

void il__chart_outcome(const il__results *r, il_text *html)
{
    static const char *const names[] = {
        "arm", "seed", "step", "likeliest class", "probability", NULL};
    il__figure figure = {.id = "outcome-course",
                         .heading = "The outcome over training"};
    size_t panels = 0;

    il__figure_columns(&figure, names);
    for (size_t i = 0; i < r->arm_count && panels < IL__PANELS_MAX; i++) {
        const il__result_arm *arm = &r->arms[i];
        il__plot p = {.title = arm->label, .rows = words, .row_count = CLASSES};
        bool any = false;

        p.x = (il__axis){0, 1, "step", true};
        for (size_t s = 0; s < arm->row_count; s++) {
            size_t n = arm->rows[s]->point_count;

            if (n > 0) {
                p.x.to = fmax(p.x.to, (double)arm->rows[s]->points[n - 1].step);
            }
        }
        for (size_t s = 0; s < arm->row_count; s++) {
            any = add_seed(&figure, &p, arm->rows[s],
                           il__plot_spread(s, arm->row_count)) ||
                  any;
        }
        il_text_addf(&p.said, "Seven classes from top to bottom, a line for each seed "
                              "against steps.");
        if (any) {
            il__figure_panel(&figure, &p);
            panels++;
        } else {
            il_text_free(&p.marks);
            il_text_free(&p.said);
        }
    }
    il__figure_key(&figure, IL__DISC, IL__HUE_A, "a seed at an audit");
    il__figure_end(&figure,
                   "The class that most resamples of that audit give; how many stands "
                   "in the CSV.",
                   html);
}
