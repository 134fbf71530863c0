/* Panels: see panels.h. */
#include "report/panels.h"

#include <math.h>
#include "report/gnuplot.h"

enum { LABELS = 170 };

il__derived il__derived_of(const char *detector, const char *a, const char *b)
{
    il__derived d;

    (void)snprintf(d.a, sizeof d.a, "%s.%s", detector, a);
    (void)snprintf(d.b, sizeof d.b, "%s%s%s", b != NULL ? detector : "",
                   b != NULL ? "." : "", b != NULL ? b : "");
    return d;
}

bool il__derived_value(const il__derived *d, const json_t *metrics, double *value)
{
    const json_t *a = json_object_get(metrics, d->a);
    const json_t *b = d->b[0] != '\0' ? json_object_get(metrics, d->b) : NULL;

    if (!json_is_number(a) || (d->b[0] != '\0' && !json_is_number(b))) {
        return false;
    }
    *value = json_number_value(a) + json_number_value(b);
    return true;
}

void il__plot_number(il_text *t, double value)
{
    char text[32];

    il_format_real(value, text);
    il_text_add(t, text);
}

void il__plot_numberf(il_text *t, const char *before, double value, const char *after)
{
    il_text_add(t, before);
    il__plot_number(t, value);
    il_text_add(t, after);
}

il_status il__plot_draw(const char *name, int height, il_text *script, il_text *svg,
                        il_error *err)
{
    il_status status =
        script->failed
            ? il_error_set(err, IL_ERR_MEMORY, "report", "out of memory")
            : il__gnuplot_draw(name, IL__PLOT_WIDTH, height, script->data, svg, err);

    il_text_free(script);
    return status;
}

void il__plot_begin(il_text *script)
{
    il_text_add(script, "set tics nomirror scale 0.5 textcolor rgb '#555555'\n"
                        "set border 3 lc rgb '#bbbbbb'\n"
                        "set grid xtics lc rgb '#eeeeee' lt 1\n"
                        "unset key\n"
                        "set multiplot\n");
}

void il__plot_place(il_text *script, size_t n, size_t lines, const char *title)
{
    double high = 1.0 / (double)lines;
    double left = (double)(n % IL__COLUMNS) / IL__COLUMNS;
    double top = 1 - high * (double)(n / IL__COLUMNS);

    il__plot_numberf(script, "set lmargin at screen ", left + 0.045, "\n");
    il__plot_numberf(script, "set rmargin at screen ", left + 1.0 / IL__COLUMNS - 0.012,
                     "\n");
    il__plot_numberf(script, "set tmargin at screen ", top - 0.15 * high, "\n");
    il__plot_numberf(script, "set bmargin at screen ", top - 0.87 * high, "\n");
    il_text_add(script, "set title \"");
    il__gnuplot_label(script, title);
    il_text_add(script, "\" offset 0,-0.6 textcolor rgb '#222222'\n");
}

void il__panel_mark(il__panel *p, double x, double y, int point, double size,
                    int colour)
{
    il__plot_number(&p->marks, x);
    il__plot_numberf(&p->marks, " ", y, "");
    il__plot_numberf(&p->marks, " ", size, "");
    il_text_addf(&p->marks, " %d %d\n", point, colour);
}

double il__panel_spread(size_t i, size_t n)
{
    double step = n > 1 ? fmin(0.16, 0.5 / (double)(n - 1)) : 0;

    return ((double)i - 0.5 * (double)(n - 1)) * step;
}

il_status il__panels_draw(const char *name, il__panel *panels, size_t count,
                          const char *const *labels, size_t label_count, il_text *svg,
                          il_error *err)
{
    int height = 70 + 26 * (int)label_count;
    double left = (double)LABELS / IL__PLOT_WIDTH;
    double wide = (1 - left) / (double)count;
    il_text script = {0};

    il__plot_begin(&script);
    il__plot_numberf(&script, "set yrange [", (double)label_count - 0.4, ":-0.6]\n");
    il__plot_numberf(&script, "set tmargin at screen ", 1 - 34.0 / height, "\n");
    il__plot_numberf(&script, "set bmargin at screen ", 30.0 / height, "\n");
    for (size_t i = 0; i < count; i++) {
        il__panel *p = &panels[i];

        il_text_addf(&script, "$m%zu << EOD\n", i);
        il_text_add(&script, p->marks.data != NULL ? p->marks.data : "");
        il_text_addf(&script, "NaN 0 1 7 0\nEOD\nset title \"");
        il__gnuplot_label(&script, p->title);
        il_text_add(&script, "\" offset 0,-0.5 textcolor rgb '#222222'\n");
        il__plot_numberf(&script, "set lmargin at screen ",
                         left + wide * (double)i + 0.006, "\n");
        il__plot_numberf(&script, "set rmargin at screen ",
                         left + wide * (double)(i + 1) - 0.018, "\n");
        il__plot_numberf(&script, "set xrange [", p->from, "");
        il__plot_numberf(&script, ":", p->to, "]\n");
        il__plot_numberf(&script, "set xtics ", (p->to - p->from) / (count > 3 ? 2 : 4),
                         "\n");
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
                il__plot_numberf(&script, "set arrow from ", p->lines[l], ", graph 0");
                il__plot_numberf(&script, " to ", p->lines[l], ", graph 1 nohead ");
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
    return il__plot_draw(name, height, &script, svg, err);
}

void il__panel_fit(il__panel *p, double low, double high)
{
    p->from = 0;
    p->to = 1;
    if (low < 0 || high > 1) {
        double step = pow(10, floor(log10(fmax(high - low, 1e-9))));

        p->from = floor(low / step) * step;
        p->to = fmax(ceil(high / step) * step, p->from + step);
    }
}
