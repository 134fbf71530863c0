/* All but the first figure are made of one kind of panel: arms from top to bottom, a
 * number from left to right, a mark for each seed. Colours are those of Okabe and Ito,
 * told apart with any eyes. */
#include "report/charts.h"

#include <math.h>
#include <string.h>
#include "report/gnuplot.h"
#include "report/tables.h"

enum {
    BLUE = 0x0072B2,
    ORANGE = 0xD55E00,
    GREEN = 0x009E73,
    PURPLE = 0xAA4499,
    BLACK = 0x222222,
    GREY = 0x999999
};
/* gnuplot's point types. */
enum { BOX = 5, DISC = 7, TRIANGLE = 9, DIAMOND = 13 };

enum { WIDTH = 1080, LABELS = 170, PANELS_MAX = 6 };

static void number(il_text *t, double value)
{
    char text[32];

    il_format_real(value, text);
    il_text_add(t, text);
}

static void numberf(il_text *t, const char *before, double value, const char *after)
{
    il_text_add(t, before);
    number(t, value);
    il_text_add(t, after);
}

static il_status draw(const char *name, int height, il_text *script, il_text *svg,
                      il_error *err)
{
    il_status status =
        script->failed ? il_error_set(err, IL_ERR_MEMORY, "report", "out of memory")
                       : il__gnuplot_draw(name, WIDTH, height, script->data, svg, err);

    il_text_free(script);
    return status;
}

/* The parts of a script that every figure begins with. */
static void begin(il_text *script)
{
    il_text_add(script, "set tics nomirror scale 0.5 textcolor rgb '#555555'\n"
                        "set border 3 lc rgb '#bbbbbb'\n"
                        "set grid xtics lc rgb '#eeeeee' lt 1\n"
                        "unset key\n"
                        "set multiplot\n");
}

/* --- against step ---------------------------------------------------------------- */

static bool has_series(const il__result_arm *arm, const char *metric)
{
    for (size_t i = 0; i < arm->row_count; i++) {
        size_t found = 0;

        for (size_t p = 0; p < arm->rows[i]->point_count; p++) {
            found += json_is_number(
                json_object_get(arm->rows[i]->points[p].metrics, metric));
        }
        if (found > 1) {
            return true;
        }
    }
    return false;
}

/* A block of data "step value" for each seed; returns how many were written. */
static size_t write_series(il_text *script, const il__result_arm *arm,
                           const char *metric, const char *prefix)
{
    for (size_t i = 0; i < arm->row_count; i++) {
        const il__result_row *row = arm->rows[i];

        il_text_addf(script, "$%s%zu << EOD\n", prefix, i);
        for (size_t p = 0; p < row->point_count; p++) {
            const json_t *value = json_object_get(row->points[p].metrics, metric);

            if (json_is_number(value)) {
                il_text_addf(script, "%lld ", (long long)row->points[p].step);
                number(script, json_number_value(value));
                il_text_add(script, "\n");
            }
        }
        /* gnuplot refuses a block without a line; a missing one draws nothing. */
        il_text_add(script, "0 NaN\nEOD\n");
    }
    return arm->row_count;
}

il_status il__chart_trajectories(const il__results *r, const char *detector,
                                 il_text *svg, il_error *err)
{
    enum { COLUMNS = 4, PANEL_HEIGHT = 190 };
    char auroc[256];
    char tpr[256];
    size_t panels = 0;
    size_t done = 0;
    il_text script = {0};

    (void)snprintf(auroc, sizeof auroc, "%s.auroc", detector);
    (void)snprintf(tpr, sizeof tpr, "%s.tpr", detector);
    for (size_t i = 0; i < r->arm_count; i++) {
        panels += has_series(&r->arms[i], auroc);
    }
    if (panels == 0) {
        return IL_OK;
    }
    size_t lines = (panels + COLUMNS - 1) / COLUMNS;
    double high = 1.0 / (double)lines;
    double wide = 1.0 / COLUMNS;
    begin(&script);
    il_text_add(&script, "set yrange [0:1.03]\nset ytics 0,0.25,1\nset grid ytics\n"
                         "set format y '%.2f'\nset xtics autofreq\n");
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        double left = wide * (double)(done % COLUMNS);
        double top = 1 - high * (double)(done / COLUMNS);

        if (!has_series(arm, auroc)) {
            continue;
        }
        numberf(&script, "set lmargin at screen ", left + 0.045, "\n");
        numberf(&script, "set rmargin at screen ", left + wide - 0.012, "\n");
        numberf(&script, "set tmargin at screen ", top - 0.17 * high, "\n");
        numberf(&script, "set bmargin at screen ", top - 0.86 * high, "\n");
        il_text_add(&script, "set title \"");
        il__gnuplot_label(&script, arm->label);
        il_text_add(&script, "\" offset 0,-0.6 textcolor rgb '#222222'\n");
        (void)write_series(&script, arm, auroc, "a");
        (void)write_series(&script, arm, tpr, "t");
        il_text_add(&script, "plot 0.5 with lines lc rgb '#cccccc' dt 3");
        for (size_t s = 0; s < arm->row_count; s++) {
            static const int points[] = {DISC, TRIANGLE, BOX, DIAMOND};
            int point = points[s % 4];

            il_text_addf(&script,
                         ", $t%zu using 1:2 with linespoints lw 1.6 dt 2 pt %d ps 0.4 "
                         "lc rgb '#D55E00'"
                         ", $a%zu using 1:2 with linespoints lw 2 pt %d ps 0.5 "
                         "lc rgb '#0072B2'",
                         s, point, s, point);
        }
        il_text_add(&script, "\n");
        done++;
    }
    il_text_add(&script, "unset multiplot\n");
    char name[32];
    (void)snprintf(name, sizeof name, "t%u",
                   (unsigned)(strlen(svg->data ? svg->data : "")));
    return draw(name, PANEL_HEIGHT * (int)lines, &script, svg, err);
}

/* --- panels of marks ------------------------------------------------------------- */

typedef struct panel {
    char title[300];
    double from;
    double to;
    double lines[3]; /* upright lines: at zero or at a floor; NAN for none */
    il_text marks;   /* "x y point size colour", a mark a line */
} panel;

static void mark(panel *p, double x, double y, int point, double size, int colour)
{
    number(&p->marks, x);
    numberf(&p->marks, " ", y, "");
    numberf(&p->marks, " ", size, "");
    il_text_addf(&p->marks, " %d %d\n", point, colour);
}

/* The height of seed i of n around its arm's line, so that equal values stay apart. */
static double spread(size_t i, size_t n)
{
    double step = n > 1 ? fmin(0.16, 0.5 / (double)(n - 1)) : 0;

    return ((double)i - 0.5 * (double)(n - 1)) * step;
}

/* Panels side by side, with the labels of the lines, first on top, left of the first.
 */
static il_status draw_panels(const char *name, panel *panels, size_t count,
                             const char *const *labels, size_t label_count,
                             il_text *svg, il_error *err)
{
    int height = 70 + 26 * (int)label_count;
    double left = (double)LABELS / WIDTH;
    double wide = (1 - left) / (double)count;
    il_text script = {0};

    begin(&script);
    numberf(&script, "set yrange [", (double)label_count - 0.4, ":-0.6]\n");
    numberf(&script, "set tmargin at screen ", 1 - 34.0 / height, "\n");
    numberf(&script, "set bmargin at screen ", 30.0 / height, "\n");
    for (size_t i = 0; i < count; i++) {
        panel *p = &panels[i];

        il_text_addf(&script, "$m%zu << EOD\n", i);
        il_text_add(&script, p->marks.data != NULL ? p->marks.data : "");
        il_text_addf(&script, "NaN 0 1 7 0\nEOD\nset title \"");
        il__gnuplot_label(&script, p->title);
        il_text_add(&script, "\" offset 0,-0.5 textcolor rgb '#222222'\n");
        numberf(&script, "set lmargin at screen ", left + wide * (double)i + 0.006,
                "\n");
        numberf(&script, "set rmargin at screen ",
                left + wide * (double)(i + 1) - 0.018, "\n");
        numberf(&script, "set xrange [", p->from, "");
        numberf(&script, ":", p->to, "]\n");
        numberf(&script, "set xtics ", (p->to - p->from) / (count > 3 ? 2 : 4), "\n");
        il_text_add(&script, "set format x '%g'\nset ytics scale 0 (");
        for (size_t l = 0; l < label_count; l++) {
            il_text_add(&script, l > 0 ? ", \"" : "\"");
            if (i == 0) {
                il__gnuplot_label(&script, labels[l]);
            }
            il_text_addf(&script, "\" %zu", l);
        }
        il_text_add(&script, ")\nset grid ytics\n");
        il_text_add(&script, "unset arrow\n");
        for (size_t l = 0; l < 3; l++) {
            if (!isnan(p->lines[l])) {
                numberf(&script, "set arrow from ", p->lines[l], ", graph 0");
                numberf(&script, " to ", p->lines[l], ", graph 1 nohead ");
                il_text_addf(&script, "lw 1.2 lc rgb '#777777' dt %zu\n", l + 1);
            }
        }
        il_text_addf(&script,
                     "plot $m%zu using 1:2:3:4:5 with points ps variable pt variable "
                     "lc rgb variable\n",
                     i);
        script.failed = script.failed || p->marks.failed;
        il_text_free(&p->marks);
    }
    il_text_add(&script, "unset multiplot\n");
    return draw(name, height, &script, svg, err);
}

/* An axis that holds the values: 0 to 1 where they lie there, else from and to as
 * needed. */
static void fit_axis(panel *p, double low, double high)
{
    p->from = 0;
    p->to = 1;
    if (low < 0 || high > 1) {
        double step = pow(10, floor(log10(fmax(high - low, 1e-9))));

        p->from = floor(low / step) * step;
        p->to = fmax(ceil(high / step) * step, p->from + step);
    }
}

il_status il__chart_behaviour(const il__results *r, il_text *svg, il_error *err)
{
    panel panels[PANELS_MAX] = {{{0}, 0, 0, {0}, {0}}};
    const char *labels[256];
    const char *metrics[PANELS_MAX];
    size_t arms = r->arm_count < 256 ? r->arm_count : 256;
    size_t count = il__behaviour_metrics(r, metrics, PANELS_MAX);

    if (count == 0) {
        return IL_OK;
    }
    for (size_t i = 0; i < arms; i++) {
        labels[i] = r->arms[i].label;
    }
    for (size_t m = 0; m < count; m++) {
        panel *p = &panels[m];
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
                mark(p, value, (double)i + spread(s, arm->row_count), DISC, 0.75, BLUE);
                low = fmin(low, value);
                high = fmax(high, value);
                sum += value;
                n++;
            }
            if (n > 1) {
                mark(p, sum / (double)n, (double)i, 2, 0.9, BLACK);
            }
        }
        fit_axis(p, low, high);
    }
    return draw_panels("behaviour", panels, count, labels, arms, svg, err);
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
    static const int points[] = {TRIANGLE, BOX, DISC};
    static const int colours[] = {ORANGE, GREEN, PURPLE};
    panel p = {"AUROC", 0, 1, {NAN, NAN, NAN}, {0}};
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
            double y = (double)count + spread(s, arm->row_count);
            double value;

            for (size_t k = 0; k < 3; k++) {
                char metric[64];

                (void)snprintf(metric, sizeof metric, "fresh.%s.auroc", readers[k]);
                if (il__row_metric(arm->rows[s], metric, &value)) {
                    mark(&p, value, y, points[k], 0.7, colours[k]);
                    any = true;
                }
            }
            if (il__row_metric(arm->rows[s], frozen, &value)) {
                mark(&p, value, y, DIAMOND, 1.0, BLUE);
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
    return draw_panels("readers", &p, 1, labels, count, svg, err);
}

/* The marks of run minus other for one metric on one line; whether there were any. */
static bool mark_difference(panel *p, const char *metric, const il__result_arm *run,
                            const il__result_arm *other, double line, int colour)
{
    bool any = false;

    for (size_t s = 0; s < run->row_count; s++) {
        const il__result_row *pair = il__arm_row(other, run->rows[s]->seed);
        double a;
        double b;

        if (pair != NULL && il__row_metric(run->rows[s], metric, &a) &&
            il__row_metric(pair, metric, &b)) {
            mark(p, a - b, line + spread(s, run->row_count),
                 colour == BLUE ? DISC : DIAMOND, colour == BLUE ? 0.75 : 0.95, colour);
            any = true;
        }
    }
    return any;
}

il_status il__chart_differences(const il__results *r, il_text *svg, il_error *err)
{
    enum { LINES_MAX = 128 };
    panel panels[3] = {{{0}, 0, 0, {0}, {0}}};
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
                                       k == 0 ? BLUE : ORANGE);
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
    return draw_panels("differences", panels, metrics, labels, lines, svg, err);
}
