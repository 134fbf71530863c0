/* Where the pressure went: the work that each signal did along the run, on what the
 * detector reads and on the rest. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/arms_panel.h"
#include "report/charts.h"
#include "report/conclusions.h"

enum { SIGNALS = 24 };

static const json_t *signals_of(const il__result_row *row)
{
    return json_object_get(row->ledger, "signals");
}

/* What a signal did as the detector's reading sees it, or as its own reader does. */
static const json_t *part_of(const il__results *r, const json_t *signal,
                             const char *part)
{
    const json_t *readers = json_object_get(signal, "readers");
    const char *own = json_string_value(json_object_get(signal, "reader"));
    const json_t *of = json_object_get(readers, own != NULL ? own : r->detector);

    return json_object_get(of, part);
}

/* The names of an arm's signals, in the order of the first seed that has them. */
static size_t list_signals(const il__result_arm *arm, const char **out)
{
    size_t count = 0;

    for (size_t s = 0; s < arm->row_count; s++) {
        const char *name;
        json_t *signal;

        json_object_foreach((json_t *)signals_of(arm->rows[s]), name, signal)
        {
            bool known = false;

            for (size_t k = 0; k < count; k++) {
                known = known || strcmp(out[k], name) == 0;
            }
            if (!known && count < SIGNALS) {
                out[count++] = name;
            }
        }
    }
    return count;
}

static void add_data(il__figure *f, const il__result_arm *arm, int64_t seed,
                     const char *name, const json_t *signal, double read, double rest)
{
    il__csv_text(&f->csv, arm->label);
    il__csv_integer(&f->csv, seed);
    il__csv_text(&f->csv, name);
    il__csv_text(&f->csv, json_string_value(json_object_get(signal, "channel")));
    il__csv_number(&f->csv, read);
    il__csv_number(&f->csv, rest);
    il__csv_number(&f->csv, il__number_of(signal, "norm"));
    il__csv_number(&f->csv, il__number_of(signal, "cosine"));
    il__csv_end(&f->csv);
}

static void add_marks(il__figure *f, il__plot *p, const il__results *r,
                      const il__result_arm *arm, const char *name, size_t line)
{
    static const char *const parts[] = {"rest", "read"};
    static const il__shape shapes[] = {IL__TRIANGLE, IL__DIAMOND};
    static const il__hue hues[] = {IL__HUE_B, IL__HUE_A};

    for (size_t s = 0; s < arm->row_count; s++) {
        const json_t *signal = json_object_get(signals_of(arm->rows[s]), name);
        double work[2];

        for (size_t k = 0; k < 2; k++) {
            char tip[200];

            work[k] = il__number_of(part_of(r, signal, parts[k]), "work");
            (void)snprintf(tip, sizeof tip, "%s, seed %lld: on %s", name,
                           (long long)arm->rows[s]->seed,
                           k == 0 ? "the rest" : "what is read");
            il__plot_mark(p, work[k], (double)line + il__plot_spread(s, arm->row_count),
                          shapes[k], hues[k], tip);
        }
        if (signal != NULL) {
            add_data(f, arm, arm->rows[s]->seed, name, signal, work[1], work[0]);
        }
    }
}

static void add_arm(il__figure *f, const il__results *r, const il__result_arm *arm)
{
    const char *names[SIGNALS];
    double range[2] = {0, 0};
    il__plot p = {.title = arm->label, .rows = names};

    p.x.label = "work along the run (the signal's own units)";
    p.row_count = list_signals(arm, names);
    if (p.row_count == 0) {
        return;
    }
    for (size_t i = 0; i < p.row_count; i++) {
        for (size_t s = 0; s < arm->row_count; s++) {
            const json_t *signal = json_object_get(signals_of(arm->rows[s]), names[i]);
            double read = il__number_of(part_of(r, signal, "read"), "work");
            double rest = il__number_of(part_of(r, signal, "rest"), "work");

            range[0] = fmin(range[0], fmin(read, rest));
            range[1] = fmax(range[1], fmax(read, rest));
        }
    }
    il__axis_fit(&p.x, range[0], range[1]);
    il__plot_rule(&p, 0, true, IL__SOLID);
    for (size_t i = 0; i < p.row_count; i++) {
        add_marks(f, &p, r, arm, names[i], i);
    }
    il_text_addf(&p.said, "%zu signals from top to bottom, two marks for each seed.",
                 p.row_count);
    il__figure_panel(f, &p);
}

void il__chart_ledger(const il__results *r, il_text *html)
{
    static const char *const names[] = {
        "arm",          "seed",          "signal",           "channel", "work on read",
        "work on rest", "gradient norm", "cosine with task", NULL};
    il__figure figure = {.id = "ledger", .heading = "Where the pressure went"};
    size_t panels = 0;

    if (r->detector == NULL) {
        return;
    }
    il__figure_columns(&figure, names);
    for (size_t i = 0; i < r->arm_count && panels < IL__PANELS_MAX; i++) {
        if (r->arms[i].pressed) {
            add_arm(&figure, r, &r->arms[i]);
            panels++;
        }
    }
    il__figure_key(&figure, IL__DIAMOND, IL__HUE_A, "on what the detector reads");
    il__figure_key(&figure, IL__TRIANGLE, IL__HUE_B, "on the rest");
    il__figure_end(
        &figure,
        "For each signal that a detector enters, how far following its "
        "gradient took it: &minus;&int;&nbsp;g&middot;d&theta; along the run, a "
        "pair of marks for each seed. To the right the run moved the way that "
        "the signal asks for.",
        html);
}
