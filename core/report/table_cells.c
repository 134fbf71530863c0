/* The table of the four cells: did the text change, or the reading of it? */
#include "report/tables.h"

#include <stdio.h>
#include <string.h>
#include "report/html.h"

static const char *const cells[] = {"y0w0", "y1w0", "y0w1", "y1w1"};
enum { CELLS = sizeof cells / sizeof *cells };

/* The detector's part of "DETECTOR.cells.y0w0"; 0 for another metric. */
static int detector_size(const char *metric)
{
    static const char end[] = ".cells.y0w0";
    size_t size = strlen(metric);

    return size >= sizeof end && strcmp(metric + size - (sizeof end - 1), end) == 0
               ? (int)(size - (sizeof end - 1))
               : 0;
}

static bool arm_has(const il__result_arm *arm, const char *metric)
{
    bool has = false;
    double value;

    for (size_t s = 0; s < arm->row_count; s++) {
        has = has || il__row_metric(arm->rows[s], metric, &value);
    }
    return has;
}

static void add_row(const il__result_arm *arm, const char *detector, int size,
                    bool first, il_text *html)
{
    char name[256];

    (void)snprintf(name, sizeof name, "%.*s", size, detector);
    il_text_addf(html, "<tr%s><th scope=\"row\">", first ? " class=\"first\"" : "");
    if (first) {
        il__html_text(html, arm->label);
    }
    il_text_add(html, "</th><td class=\"words\">");
    il__html_text(html, name);
    il_text_add(html, "</td>");
    for (size_t c = 0; c < CELLS; c++) {
        char metric[300];

        (void)snprintf(metric, sizeof metric, "%s.cells.%s", name, cells[c]);
        il__table_cell(arm, metric, html);
    }
    il_text_add(html, "</tr>\n");
}

void il__table_cells(const il__results *r, il_text *html)
{
    bool any = false;

    for (size_t i = 0; i < r->metric_count; i++) {
        any = any || detector_size(r->metrics[i]) > 0;
    }
    if (!any) {
        return;
    }
    il_text_add(
        html,
        "<h3>The text, or the reading of it</h3>\n<p>Share of the model's own text that "
        "a detector flags: text that the model wrote then (y0) and writes now (y1), read "
        "under its weights of then (w0) and of now (w1). From y0w0, y1w0 moves with the "
        "text alone and y0w1 with the weights alone.</p>\n");
    il__table_begin(html, "numbers", "The four cells");
    il_text_add(html, "<td></td><td></td>");
    for (size_t c = 0; c < CELLS; c++) {
        il_text_addf(html, "<th scope=\"col\">%s</th>", cells[c]);
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t a = 0; a < r->arm_count; a++) {
        bool first = true;

        for (size_t i = 0; i < r->metric_count; i++) {
            int size = detector_size(r->metrics[i]);

            if (size > 0 && arm_has(&r->arms[a], r->metrics[i])) {
                add_row(&r->arms[a], r->metrics[i], size, first, html);
                first = false;
            }
        }
    }
    il__table_end(html);
}
