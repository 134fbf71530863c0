/* The figures of runs with episodes: recall at the threshold, the price of a reading,
 * and what became of the readings of each class. */
#include "report/charts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "report/gnuplot.h"
#include "report/panels.h"
#include "report/tables.h"

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

/* ---- the price ------------------------------------------------------------------ */

/* The reward signal through which a detector presses in an arm, or NULL. */
static const json_t *reward_of(const il__result_arm *arm, const char *detector)
{
    const json_t *signals = json_object_get(arm->plan, "signals");

    for (size_t i = 0; i < json_array_size(signals); i++) {
        const json_t *s = json_array_get(signals, i);
        const char *source = json_string_value(json_object_get(s, "source"));
        const char *channel = json_string_value(json_object_get(s, "channel"));

        if (source != NULL && channel != NULL && strcmp(channel, "reward") == 0 &&
            strcmp(source, detector) == 0) {
            return s;
        }
    }
    return NULL;
}

/* The length of an arm's name without the number at its end: "brain_1_5" is of the
 * family "brain". */
static size_t family_of(const il__result_arm *arm)
{
    size_t n = strlen(arm->label);

    while (n > 0 && strchr("0123456789_.", arm->label[n - 1]) != NULL) {
        n--;
    }
    return n;
}

static bool same_family(const il__result_arm *a, const il__result_arm *b)
{
    size_t n = family_of(a);

    return n == family_of(b) && strncmp(a->label, b->label, n) == 0;
}

/* How many prices a family was run at. */
static size_t prices_of(const il__results *r, const il__result_arm *first,
                        const char *detector)
{
    double seen[64];
    size_t count = 0;

    for (size_t i = 0; i < r->arm_count && count < 64; i++) {
        const json_t *s = reward_of(&r->arms[i], detector);
        double price = json_number_value(json_object_get(s, "weight"));
        size_t k = 0;

        if (s == NULL || !same_family(first, &r->arms[i])) {
            continue;
        }
        while (k < count && seen[k] != price) {
            k++;
        }
        seen[k] = price;
        count += k == count;
    }
    return count;
}

/* Whether every value of a metric is a share. */
static bool is_share(const il__results *r, const char *metric)
{
    for (size_t i = 0; i < r->row_count; i++) {
        double value;

        if (il__row_metric(&r->rows[i], metric, &value) && (value < 0 || value > 1)) {
            return false;
        }
    }
    return true;
}

/* A family's panel: price from left to right, a mark for each seed, a line through the
 * means. */
static void add_price_panel(il_text *script, const il__results *r,
                            const il__result_arm *first, const char *detector,
                            const il__derived *values, size_t count)
{
    static const int colours[] = {IL__BLUE, IL__ORANGE, IL__GREEN, IL__PURPLE};
    static const int points[] = {IL__DISC, IL__TRIANGLE, IL__BOX, IL__DIAMOND};

    for (size_t v = 0; v < count; v++) {
        il_text means = {0};

        il_text_addf(script, "$p%zu << EOD\n", v);
        for (size_t i = 0; i < r->arm_count; i++) {
            const il__result_arm *arm = &r->arms[i];
            const json_t *s = reward_of(arm, detector);
            double price = json_number_value(json_object_get(s, "weight"));
            double sum = 0;
            size_t n = 0;

            for (size_t k = 0;
                 s != NULL && same_family(first, arm) && k < arm->row_count; k++) {
                double value;

                if (il__derived_value(&values[v], arm->rows[k]->metrics, &value)) {
                    il__plot_number(script, price);
                    il__plot_numberf(script, " ", value, "\n");
                    sum += value;
                    n++;
                }
            }
            if (n > 0) {
                il__plot_number(&means, price);
                il__plot_numberf(&means, " ", sum / (double)n, "\n");
            }
        }
        il_text_addf(script, "0 NaN\nEOD\n$q%zu << EOD\n%s0 NaN\nEOD\n", v,
                     means.data != NULL ? means.data : "");
        script->failed = script->failed || means.failed;
        il_text_free(&means);
    }
    il_text_add(script, "plot NaN notitle");
    for (size_t v = 0; v < count; v++) {
        il_text_addf(script,
                     ", $q%zu using 1:2 smooth unique with lines lw 1.4 lc rgb '#%06x'"
                     ", $p%zu using 1:2 with points pt %d ps 0.6 lc rgb '#%06x'",
                     v, (unsigned)colours[v], v, points[v], (unsigned)colours[v]);
    }
    il_text_add(script, "\n");
}

il_status il__chart_prices(const il__results *r, const char *detector, il_text *svg,
                           il_error *err)
{
    enum { FAMILIES_MAX = 8, HEIGHT = 260 };
    const il__result_arm *families[FAMILIES_MAX];
    const char *behaviour[16];
    il__derived values[4];
    size_t value_count = 1;
    size_t count = 0;
    size_t known = il__behaviour_metrics(r, behaviour, 16);
    il_text script = {0};

    values[0] = il__derived_of(detector, "own.mean", NULL);
    for (size_t m = 0; m < known && value_count < 4; m++) {
        if (is_share(r, behaviour[m])) {
            (void)snprintf(values[value_count].a, sizeof values[0].a, "%s",
                           behaviour[m]);
            values[value_count++].b[0] = '\0';
        }
    }
    for (size_t i = 0; i < r->arm_count && count < FAMILIES_MAX; i++) {
        bool new = reward_of(&r->arms[i], detector) != NULL;

        for (size_t f = 0; f < count; f++) {
            new = new && !same_family(families[f], &r->arms[i]);
        }
        if (new &&prices_of(r, &r->arms[i], detector) > 2) {
            families[count++] = &r->arms[i];
        }
    }
    if (count == 0) {
        return IL_OK;
    }
    il__plot_begin(&script);
    il_text_add(&script, "set yrange [0:1.03]\nset ytics 0,0.25,1\nset grid ytics\n"
                         "set format y '%.2f'\nset xtics autofreq\n"
                         "set offsets 0.1, 0.1, 0, 0\n");
    for (size_t f = 0; f < count; f++) {
        double left = (double)f / (double)count;
        double right = (double)(f + 1) / (double)count;

        il__plot_numberf(&script, "set lmargin at screen ", left + 0.045, "\n");
        il__plot_numberf(&script, "set rmargin at screen ", right - 0.012, "\n");
        il__plot_numberf(&script, "set tmargin at screen ", 0.86, "\n");
        il__plot_numberf(&script, "set bmargin at screen ", 0.12, "\n");
        il_text_addf(&script, "set title \"");
        {
            char name[128];

            (void)snprintf(name, sizeof name, "%.*s", (int)family_of(families[f]),
                           families[f]->label);
            il__gnuplot_label(&script, name);
        }
        il_text_add(&script, "\" offset 0,-0.6 textcolor rgb '#222222'\n");
        add_price_panel(&script, r, families[f], detector, values, value_count);
    }
    il_text_add(&script, "unset multiplot\n");
    return il__plot_draw("prices", HEIGHT, &script, svg, err);
}
