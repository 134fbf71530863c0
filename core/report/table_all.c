/* Every metric that anybody measured: what no figure has a place for is not hidden. */
#include "report/csv.h"
#include "report/html.h"
#include "report/tables.h"

/* More arms than this make a table that nobody reads; the CSV has them all. */
enum { ARMS = 24 };

/* A line for each arm and seed, a column for each metric. */
static void add_csv(const il__results *r, il_text *html)
{
    il_text csv = {0};

    il__csv_text(&csv, "stage");
    il__csv_text(&csv, "variant");
    il__csv_text(&csv, "seed");
    for (size_t m = 0; m < r->metric_count; m++) {
        il__csv_text(&csv, r->metrics[m]);
    }
    il__csv_end(&csv);
    for (size_t i = 0; i < r->row_count; i++) {
        const il__result_row *row = &r->rows[i];

        if (json_object_size(row->metrics) == 0) {
            continue;
        }
        il__csv_text(&csv, row->stage);
        il__csv_text(&csv, row->variant);
        il__csv_integer(&csv, row->seed);
        for (size_t m = 0; m < r->metric_count; m++) {
            double value;

            if (il__row_metric(row, r->metrics[m], &value)) {
                il__csv_number(&csv, value);
            } else {
                il__csv_text(&csv, NULL);
            }
        }
        il__csv_end(&csv);
    }
    il_text_add(html, "<p class=\"hint\">All of it, by seed: ");
    il__csv_link(html, "metrics", &csv);
    il_text_add(html, "</p>\n");
    il_text_free(&csv);
}

void il__table_all(const il__results *r, il_text *html)
{
    if (r->metric_count == 0) {
        return;
    }
    if (r->arm_count <= ARMS) {
        il_text_addf(html, "<details><summary>All %zu metrics</summary>\n",
                     r->metric_count);
        il__table_begin(html, "numbers", "All metrics");
        il_text_add(html, "<td></td>");
        for (size_t a = 0; a < r->arm_count; a++) {
            il_text_add(html, "<th scope=\"col\">");
            il__html_text(html, r->arms[a].label);
            il_text_add(html, "</th>");
        }
        il_text_add(html, "</tr></thead><tbody>\n");
        for (size_t m = 0; m < r->metric_count; m++) {
            il_text_add(html, "<tr><th scope=\"row\">");
            il__html_text(html, r->metrics[m]);
            il_text_add(html, "</th>");
            for (size_t a = 0; a < r->arm_count; a++) {
                il__table_cell(&r->arms[a], r->metrics[m], html);
            }
            il_text_add(html, "</tr>\n");
        }
        il__table_end(html);
        il_text_add(html, "</details>\n");
    }
    add_csv(r, html);
}
