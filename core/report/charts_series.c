/* The figures over steps: a panel for each arm, two lines for each seed. */
#include "report/charts.h"

#include <stdlib.h>
#include <string.h>
#include "report/gnuplot.h"
#include "report/panels.h"

/* One of the two lines. */
typedef struct series {
    il__derived value;
    const char *block; /* one letter, for the names of its data */
    const char *look;  /* gnuplot's words for the line */
} series;

/* A seed's block of data "step value". */
static void write_points(il_text *script, const series *s, size_t seed,
                         const il__result_row *row)
{
    il_text_addf(script, "$%s%zu << EOD\n", s->block, seed);
    for (size_t p = 0; p < row->point_count; p++) {
        double value;

        if (il__derived_value(&s->value, row->points[p].metrics, &value)) {
            il_text_addf(script, "%lld ", (long long)row->points[p].step);
            il__plot_number(script, value);
            il_text_add(script, "\n");
        }
    }
    /* gnuplot refuses a block without a line; a missing value draws nothing. */
    il_text_add(script, "0 NaN\nEOD\n");
}

/* Whether some seed has more than one point. */
static bool has_points(const il__result_arm *arm, const series *s)
{
    for (size_t i = 0; i < arm->row_count; i++) {
        size_t count = 0;
        double value;

        for (size_t p = 0; p < arm->rows[i]->point_count; p++) {
            count +=
                il__derived_value(&s->value, arm->rows[i]->points[p].metrics, &value);
        }
        if (count > 1) {
            return true;
        }
    }
    return false;
}

/* The panels of all arms that have the first series; `axis` sets up the vertical one,
 * `ground` is drawn below the lines. */
static il_status draw_grid(const il__results *r, const char *name, const char *axis,
                           const char *ground, const series *first,
                           const series *second, il_text *svg, il_error *err)
{
    enum { COLUMNS = 4, PANEL_HEIGHT = 190 };
    static const int points[] = {IL__DISC, IL__TRIANGLE, IL__BOX, IL__DIAMOND};
    size_t panels = 0;
    size_t done = 0;
    il_text script = {0};

    for (size_t i = 0; i < r->arm_count; i++) {
        panels += has_points(&r->arms[i], first);
    }
    if (panels == 0) {
        return IL_OK;
    }
    size_t lines = (panels + COLUMNS - 1) / COLUMNS;
    double high = 1.0 / (double)lines;
    double wide = 1.0 / COLUMNS;
    il__plot_begin(&script);
    il_text_add(&script, axis);
    il_text_add(&script, "set grid ytics\nset xtics autofreq\n");
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        double left = wide * (double)(done % COLUMNS);
        double top = 1 - high * (double)(done / COLUMNS);

        if (!has_points(arm, first)) {
            continue;
        }
        il__plot_numberf(&script, "set lmargin at screen ", left + 0.045, "\n");
        il__plot_numberf(&script, "set rmargin at screen ", left + wide - 0.012, "\n");
        il__plot_numberf(&script, "set tmargin at screen ", top - 0.17 * high, "\n");
        il__plot_numberf(&script, "set bmargin at screen ", top - 0.86 * high, "\n");
        il_text_add(&script, "set title \"");
        il__gnuplot_label(&script, arm->label);
        il_text_add(&script, "\" offset 0,-0.6 textcolor rgb '#222222'\n");
        for (size_t s = 0; s < arm->row_count; s++) {
            write_points(&script, second, s, arm->rows[s]);
            write_points(&script, first, s, arm->rows[s]);
        }
        il_text_addf(&script, "plot %s", ground);
        for (size_t s = 0; s < arm->row_count; s++) {
            int point = points[s % 4];

            il_text_addf(&script,
                         ", $%s%zu using 1:2 with linespoints pt %d ps 0.4 %s"
                         ", $%s%zu using 1:2 with linespoints pt %d ps 0.4 %s",
                         second->block, s, point, second->look, first->block, s, point,
                         first->look);
        }
        il_text_add(&script, "\n");
        done++;
    }
    il_text_add(&script, "unset multiplot\n");
    return il__plot_draw(name, PANEL_HEIGHT * (int)lines, &script, svg, err);
}

il_status il__chart_trajectories(const il__results *r, const char *detector,
                                 il_text *svg, il_error *err)
{
    series auroc = {il__derived_of(detector, "auroc", NULL), "a",
                    "lw 2 lc rgb '#0072B2'"};
    series tpr = {il__derived_of(detector, "tpr", NULL), "t",
                  "lw 1.6 dt 2 lc rgb '#D55E00'"};

    return draw_grid(r, "trajectories",
                     "set yrange [0:1.03]\nset ytics 0,0.25,1\nset format y '%.2f'\n",
                     "0.5 with lines lc rgb '#cccccc' dt 3", &auroc, &tpr, svg, err);
}

il_status il__chart_readings(const il__results *r, const char *detector, il_text *svg,
                             il_error *err)
{
    series reading = {il__derived_of(detector, "own.mean", NULL), "r",
                      "lw 2 lc rgb '#0072B2'"};
    series truth = {il__derived_of(detector, "own.mean", "own.conceal"), "h",
                    "lw 2 lc rgb '#D55E00'"};

    return draw_grid(r, "readings",
                     "set yrange [0:0.62]\nset ytics 0,0.2,0.6\nset format y '%.1f'\n",
                     "0 with lines lc rgb '#eeeeee'", &truth, &reading, svg, err);
}
