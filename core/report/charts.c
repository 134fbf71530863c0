/* All but the first figure are made of one kind of panel: arms from top to bottom, a
 * number from left to right, a mark for each seed. */
#include "report/charts.h"

#include <math.h>
#include <string.h>
#include "report/gnuplot.h"
#include "report/panels.h"
#include "report/tables.h"

il_status il__chart_behaviour(const il__results *r, il_text *svg, il_error *err)
{
    il__panel panels[IL__PANELS_MAX] = {{{0}, 0, 0, {0}, {0}}};
    const char *labels[256];
    const char *metrics[IL__PANELS_MAX];
    size_t arms = r->arm_count < 256 ? r->arm_count : 256;
    size_t count = il__behaviour_metrics(r, metrics, IL__PANELS_MAX);

    if (count == 0) {
        return IL_OK;
    }
    for (size_t i = 0; i < arms; i++) {
        labels[i] = r->arms[i].label;
    }
    for (size_t m = 0; m < count; m++) {
        il__panel *p = &panels[m];
        double low = INFINITY;
        double high = -INFINITY;

        (void)snprintf(p->title, sizeof p->title, "%s", metrics[m]);
        p->lines[0] = p->lines[1] = p->lines[2] = NAN;
        for (size_t i = 0; i < arms; i++) {
            const il__result_arm *arm = &r->arms[i];
            double sum = 0;
            size_t n = 0;

            for (size_t s = 0; s < arm->row_count; s++) {
                double value;

                if (!il__row_metric(arm->rows[s], metrics[m], &value)) {
                    continue;
                }
                il__panel_mark(p, value,
                               (double)i + il__panel_spread(s, arm->row_count),
                               IL__DISC, 0.75, IL__BLUE);
                low = fmin(low, value);
                high = fmax(high, value);
                sum += value;
                n++;
            }
            if (n > 1) {
                il__panel_mark(p, sum / (double)n, (double)i, 2, 0.9, IL__BLACK);
            }
        }
        il__panel_fit(p, low, high);
    }
    return il__panels_draw("behaviour", panels, count, labels, arms, svg, err);
}

/* The highest floor of one kind over all rows and readers; NAN when none was measured.
 */
static double highest_floor(const il__results *r, const char *kind)
{
    double highest = NAN;

    for (size_t i = 0; i < r->row_count; i++) {
        const json_t *floors =
            json_object_get(json_object_get(r->rows[i].audit, "floors"), kind);
        const char *name;
        json_t *value;

        json_object_foreach((json_t *)floors, name, value)
        {
            if (json_is_number(value)) {
                highest = fmax(highest, json_number_value(value));
            }
        }
    }
    return highest;
}

il_status il__chart_readers(const il__results *r, il_text *svg, il_error *err)
{
    static const char *const readers[] = {"linear", "mlp", "attention"};
    static const int points[] = {IL__TRIANGLE, IL__BOX, IL__DISC};
    static const int colours[] = {IL__ORANGE, IL__GREEN, IL__PURPLE};
    il__panel p = {"AUROC", 0, 1, {NAN, NAN, NAN}, {0}};
    const char *labels[256];
    char frozen[256];
    size_t count = 0;

    if (r->detector == NULL) {
        return IL_OK;
    }
    (void)snprintf(frozen, sizeof frozen, "%s.auroc", r->detector);
    for (size_t i = 0; i < r->arm_count && count < 256; i++) {
        const il__result_arm *arm = &r->arms[i];
        bool any = false;

        for (size_t s = 0; s < arm->row_count; s++) {
            double y = (double)count + il__panel_spread(s, arm->row_count);
            double value;

            for (size_t k = 0; k < 3; k++) {
                char metric[64];

                (void)snprintf(metric, sizeof metric, "fresh.%s.auroc", readers[k]);
                if (il__row_metric(arm->rows[s], metric, &value)) {
                    il__panel_mark(&p, value, y, points[k], 0.7, colours[k]);
                    any = true;
                }
            }
            if (il__row_metric(arm->rows[s], frozen, &value)) {
                il__panel_mark(&p, value, y, IL__DIAMOND, 1.0, IL__BLUE);
                any = true;
            }
        }
        if (any) {
            labels[count++] = arm->label;
        }
    }
    if (count == 0) {
        return IL_OK;
    }
    p.lines[1] = highest_floor(r, "random");
    p.lines[2] = highest_floor(r, "shuffled");
    return il__panels_draw("readers", &p, 1, labels, count, svg, err);
}

/* An axis about zero that reaches as far, to a round number. */
static void widen(il__panel *p, double most)
{
    if (most > p->to) {
        double step = 0.5 * pow(10, floor(log10(most)));

        p->to = step * ceil(most / step);
        p->from = -p->to;
    }
}

/* The marks of run minus other for one metric on one line; whether there were any. */
static bool mark_difference(il__panel *p, const char *metric, const il__result_arm *run,
                            const il__result_arm *other, double line, int colour)
{
    bool any = false;

    for (size_t s = 0; s < run->row_count; s++) {
        const il__result_row *pair = il__arm_row(other, run->rows[s]->seed);
        double a;
        double b;

        if (pair != NULL && il__row_metric(run->rows[s], metric, &a) &&
            il__row_metric(pair, metric, &b)) {
            widen(p, fabs(a - b));
            il__panel_mark(p, a - b, line + il__panel_spread(s, run->row_count),
                           colour == IL__BLUE ? IL__DISC : IL__DIAMOND,
                           colour == IL__BLUE ? 0.75 : 0.95, colour);
            any = true;
        }
    }
    return any;
}

il_status il__chart_differences(const il__results *r, il_text *svg, il_error *err)
{
    enum { LINES_MAX = 128 };
    il__panel panels[3] = {{{0}, 0, 0, {0}, {0}}};
    char names[3][256] = {{0}};
    char texts[LINES_MAX][128];
    const char *labels[LINES_MAX];
    const char *behaviour[1];
    size_t metrics = 0;
    size_t lines = 0;

    if (r->detector != NULL) {
        (void)snprintf(names[0], sizeof names[0], "%s.auroc", r->detector);
        (void)snprintf(names[1], sizeof names[1], "%s.tpr", r->detector);
        metrics = 2;
    }
    if (il__behaviour_metrics(r, behaviour, 1) == 1) {
        (void)snprintf(names[metrics++], sizeof names[0], "%s", behaviour[0]);
    }
    for (size_t m = 0; m < metrics; m++) {
        (void)snprintf(panels[m].title, sizeof panels[m].title, "%.255s, difference",
                       names[m]);
        panels[m].from = -1;
        panels[m].to = 1;
        panels[m].lines[0] = 0;
        panels[m].lines[1] = panels[m].lines[2] = NAN;
    }
    /* A placebo names its run; the difference is still run minus placebo. */
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        const il__result_arm *pair[2] = {arm->twin, arm->placebo};

        for (size_t k = 0; k < 2; k++) {
            const il__result_arm *run = k == 0 ? arm : pair[1];
            const il__result_arm *other = k == 0 ? pair[0] : arm;
            bool any = false;

            if (pair[k] == NULL || lines == LINES_MAX) {
                continue;
            }
            for (size_t m = 0; m < metrics; m++) {
                any |= mark_difference(&panels[m], names[m], run, other, (double)lines,
                                       k == 0 ? IL__BLUE : IL__ORANGE);
            }
            if (any) {
                (void)snprintf(texts[lines], sizeof texts[lines], "%s - %s", run->label,
                               other->label);
                labels[lines] = texts[lines];
                lines++;
            }
        }
    }
    if (lines == 0) {
        for (size_t m = 0; m < metrics; m++) {
            il_text_free(&panels[m].marks);
        }
        return IL_OK;
    }
    return il__panels_draw("differences", panels, metrics, labels, lines, svg, err);
}
