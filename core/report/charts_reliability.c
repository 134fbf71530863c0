/* Reliability diagrams: what probabilities are worth, before and after calibration. */
#include <stdio.h>
#include <string.h>
#include "report/charts.h"
#include "report/panels.h"

enum { PANELS_MAX = 32, HEIGHT = 200 };

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

static size_t count(const il__results *r, const char *detector)
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

/* A block "said true rows" of the bins that hold something. */
static void write_bins(il_text *script, const char *block, const json_t *bins)
{
    il_text_addf(script, "$%s << EOD\n", block);
    for (size_t i = 0; i < json_array_size(bins); i++) {
        const json_t *bin = json_array_get(bins, i);

        if (json_number_value(json_array_get(bin, 0)) > 0) {
            il__plot_number(script, json_number_value(json_array_get(bin, 1)));
            il__plot_numberf(script, " ", json_number_value(json_array_get(bin, 2)),
                             "");
            il__plot_numberf(script, " ", json_number_value(json_array_get(bin, 0)),
                             "\n");
        }
    }
    il_text_add(script, "NaN NaN 0\nEOD\n");
}

static void write_panel(il_text *script, const il__result_arm *arm, const char *key)
{
    for (size_t s = 0; s < arm->row_count; s++) {
        const json_t *own = json_object_get(diagrams(arm, s), key);
        char block[32];

        (void)snprintf(block, sizeof block, "s%zu", s);
        write_bins(script, block, json_object_get(own, "said"));
        (void)snprintf(block, sizeof block, "b%zu", s);
        write_bins(script, block, json_object_get(own, "before"));
    }
    il_text_add(script, "plot x notitle with lines dt 3 lc rgb '#999999'");
    for (size_t s = 0; s < arm->row_count; s++) {
        il_text_addf(script,
                     ", $b%zu using 1:2 with linespoints dt 2 lw 1 pt 6 ps 0.4 lc rgb "
                     "'#D55E00'"
                     ", $s%zu using 1:2 with linespoints lw 1.5 pt 7 ps 0.5 lc rgb "
                     "'#0072B2'",
                     s, s);
    }
    /* How many rows stand behind each point, of the first seed. */
    il_text_add(script, ", $s0 using 1:2:(sprintf(\"%d\", $3)) with labels font \",8\" "
                        "offset 0,0.7 textcolor rgb '#555555' notitle\n");
}

il_status il__chart_reliability(const il__results *r, il_text *svg, il_error *err)
{
    const char *only = count(r, NULL) > PANELS_MAX ? r->detector : NULL;
    size_t panels = count(r, only);
    size_t done = 0;
    size_t lines = (panels + IL__COLUMNS - 1) / IL__COLUMNS;
    il_text script = {0};

    if (panels == 0 || panels > PANELS_MAX) {
        return IL_OK;
    }
    il__plot_begin(&script);
    il_text_add(&script, "set xrange [0:1]\nset yrange [0:1.08]\nset xtics 0.5\n"
                         "set ytics 0.5\n");
    for (size_t a = 0; a < r->arm_count; a++) {
        const il__result_arm *arm = &r->arms[a];
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)diagrams(arm, 0), key, value)
        {
            char title[300];

            if (is_of(key, only)) {
                (void)snprintf(title, sizeof title, "%s, %s", key, arm->label);
                il__plot_place(&script, done++, lines, title);
                write_panel(&script, arm, key);
            }
        }
    }
    il_text_add(&script, "unset multiplot\n");
    return il__plot_draw("reliability", HEIGHT * (int)lines, &script, svg, err);
}
