/* The figures of runs with episodes: recall at the threshold, the price of a reading,
 * and what became of the readings of each class. */
#include "report/charts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "report/gnuplot.h"
#include "report/panels.h"

/* ---- recall --------------------------------------------------------------------- */

/* The marks of a metric on an arm's line, one a seed; whether there were any. */
static bool mark_arm(il__panel *p, const il__result_arm *arm, size_t line,
                     const il__derived *d, int point, int colour)
{
    bool any = false;

    for (size_t s = 0; s < arm->row_count; s++) {
        double value;

        if (il__derived_value(d, arm->rows[s]->metrics, &value)) {
            il__panel_mark(p, value, (double)line + il__panel_spread(s, arm->row_count),
                           point, 0.85, colour);
            any = true;
        }
    }
    return any;
}

il_status il__chart_recall(const il__results *r, const char *detector, il_text *svg,
                           il_error *err)
{
    static const char *const sets[] = {"own", "ref"};
    static const char *const titles[] = {"recall on its own episodes",
                                         "recall on the reference set"};
    il__panel panels[2] = {{{0}, 0, 1, {NAN, NAN, NAN}, {0}},
                           {{0}, 0, 1, {NAN, NAN, NAN}, {0}}};
    const char *labels[256];
    size_t lines = 0;

    for (size_t i = 0; i < r->arm_count && lines < 256; i++) {
        bool any = false;

        for (size_t k = 0; k < 2; k++) {
            char tpr[32];
            char gap[32];
            il__derived frozen;
            il__derived fresh;

            (void)snprintf(tpr, sizeof tpr, "%s.tpr", sets[k]);
            (void)snprintf(gap, sizeof gap, "%s.recall_gap", sets[k]);
            (void)snprintf(panels[k].title, sizeof panels[k].title, "%s", titles[k]);
            frozen = il__derived_of(detector, tpr, NULL);
            fresh = il__derived_of(detector, tpr, gap);
            any |= mark_arm(&panels[k], &r->arms[i], lines, &fresh, IL__TRIANGLE,
                            IL__ORANGE);
            any |= mark_arm(&panels[k], &r->arms[i], lines, &frozen, IL__DIAMOND,
                            IL__BLUE);
        }
        if (any) {
            labels[lines++] = r->arms[i].label;
        }
    }
    if (lines == 0) {
        return IL_OK;
    }
    return il__panels_draw("recall", panels, 2, labels, lines, svg, err);
}
