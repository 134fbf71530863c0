#include "report/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/html.h"

enum { COLUMNS_MAX = 24 };

/* --- columns --------------------------------------------------------------------- */

/* The mean over the seeds that have the metric; how many those are. */
static size_t arm_mean(const il__result_arm *arm, const char *metric, double *mean)
{
    double sum = 0;
    size_t n = 0;

    for (size_t s = 0; s < arm->row_count; s++) {
        double value;

        if (il__row_metric(arm->rows[s], metric, &value)) {
            sum += value;
            n++;
        }
    }
    *mean = n > 0 ? sum / (double)n : 0;
    return n;
}

/* --- metrics --------------------------------------------------------------------- */

/* "seed 1: 0.942 [0.930, 0.951], n 3000" for the tip of a cell. */
static void add_interval(const il__result_row *row, const char *metric, double value,
                         il_text *html)
{
    const json_t *audit =
        json_object_get(json_object_get(row->audit, "metrics"), metric);
    const json_t *low = json_object_get(audit, "low");
    const json_t *high = json_object_get(audit, "high");
    const json_t *n = json_object_get(audit, "n");

    il_text_addf(html, "seed %lld: ", (long long)row->seed);
    il__number_text(html, value, 3);
    if (json_is_number(low) && json_is_number(high)) {
        il_text_add(html, " [");
        il__number_text(html, json_number_value(low), 3);
        il_text_add(html, ", ");
        il__number_text(html, json_number_value(high), 3);
        il_text_add(html, "]");
    }
    if (json_is_integer(n)) {
        il_text_addf(html, ", n %lld", (long long)json_integer_value(n));
    }
    il_text_add(html, "&#10;");
}

void il__table_cell(const il__result_arm *arm, const char *metric, il_text *html)
{
    double mean;
    double value;

    if (arm_mean(arm, metric, &mean) == 0) {
        il_text_add(html, "<td class=\"none\">&middot;</td>");
        return;
    }
    il_text_add(html, "<td title=\"");
    for (size_t s = 0; s < arm->row_count; s++) {
        if (il__row_metric(arm->rows[s], metric, &value)) {
            add_interval(arm->rows[s], metric, value, html);
        }
    }
    il_text_add(html, "\">");
    il__number_text(html, mean, 3);
    if (arm->row_count > 1) {
        il_text_add(html, "<small>");
        for (size_t s = 0; s < arm->row_count; s++) {
            il_text_add(html, s > 0 ? " " : "");
            if (il__row_metric(arm->rows[s], metric, &value)) {
                il__number_text(html, value, 2);
            } else {
                il_text_add(html, "&middot;");
            }
        }
        il_text_add(html, "</small>");
    }
    il_text_add(html, "</td>");
}

void il__table_metrics(const il__results *r, il_text *html)
{
    il__column columns[COLUMNS_MAX];
    size_t count = il__columns(r, columns, COLUMNS_MAX);

    if (count == 0) {
        return;
    }
    il__table_begin(html, "numbers", "Metrics");
    il_text_add(html, "<td></td>");
    for (size_t c = 0; c < count; c++) {
        il_text_add(html, "<th scope=\"col\" title=\"");
        il__html_text(html, columns[c].metric);
        il_text_add(html, "\">");
        il__html_text(html, columns[c].head);
        il_text_add(html, "</th>");
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];

        il_text_addf(html, "<tr%s><th scope=\"row\">",
                     arm->variant == NULL ? " class=\"base\"" : "");
        il__html_text(html, arm->label);
        if (arm->placebo != NULL) {
            il_text_add(html, "<small>placebo of ");
            il__html_text(html, arm->placebo->label);
            il_text_add(html, "</small>");
        }
        il_text_add(html, "</th>");
        for (size_t c = 0; c < count; c++) {
            il__table_cell(arm, columns[c].metric, html);
        }
        il_text_add(html, "</tr>\n");
    }
    il__table_end(html);
    il_text_add(html, "<p class=\"hint keys\">");
    for (size_t c = 0; c < count; c++) {
        if (strcmp(columns[c].head, columns[c].metric) != 0) {
            il_text_add(html, "<span><b>");
            il__html_text(html, columns[c].head);
            il_text_add(html, "</b> ");
            il__html_text(html, columns[c].metric);
            il_text_add(html, "</span> ");
        }
    }
    il_text_add(html, "</p>\n");
}

void il__text_padded(il_text *out, const char *text, size_t width, bool right)
{
    size_t size = 0;

    for (const char *c = text; *c != '\0'; c++) {
        size += ((unsigned char)*c & 0xC0) != 0x80;
    }
    for (size_t i = size; right && i < width; i++) {
        il_text_add(out, " ");
    }
    for (const char *c = text; *c != '\0'; c++) {
        /* A terminal obeys control characters; a name has no business to command it. */
        il_text_add_bytes(out, (unsigned char)*c < 0x20 || *c == 0x7f ? "?" : c, 1);
    }
    for (size_t i = size; !right && i < width; i++) {
        il_text_add(out, " ");
    }
}

static void add_number_padded(il_text *out, bool known, double value, size_t width)
{
    il_text number = {0};

    if (known) {
        il__number_text(&number, value, 3);
    } else {
        il_text_add(&number, "-");
    }
    out->failed = out->failed || number.failed;
    if (number.data != NULL) {
        il__text_padded(out, number.data, width, true);
    }
    il_text_free(&number);
}

void il__table_text(const il__results *r, il_text *out)
{
    il__column columns[COLUMNS_MAX];
    size_t count = il__columns(r, columns, COLUMNS_MAX);
    size_t first = 8;

    for (size_t i = 0; i < r->arm_count; i++) {
        size_t size = strlen(r->arms[i].label);

        first = size > first ? size : first;
    }
    il__text_padded(out, "", first, false);
    il_text_add(out, "  seed");
    for (size_t c = 0; c < count; c++) {
        size_t width = strlen(columns[c].head) + 2;

        il__text_padded(out, columns[c].head, width < 8 ? 8 : width, true);
    }
    il_text_add(out, "\n");
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        size_t lines = arm->row_count + (arm->row_count > 1);

        for (size_t s = 0; s < lines; s++) {
            il__text_padded(out, s == 0 ? arm->label : "", first, false);
            if (s < arm->row_count) {
                il_text_addf(out, "%6lld", (long long)arm->rows[s]->seed);
            } else {
                il_text_add(out, "  mean");
            }
            for (size_t c = 0; c < count; c++) {
                size_t width = strlen(columns[c].head) + 2;
                double value = 0;
                bool known =
                    s < arm->row_count
                        ? il__row_metric(arm->rows[s], columns[c].metric, &value)
                        : arm_mean(arm, columns[c].metric, &value) > 0;

                add_number_padded(out, known, value, width < 8 ? 8 : width);
            }
            il_text_add(out, "\n");
        }
    }
    for (size_t c = 0, shown = 0; c < count; c++) {
        if (strcmp(columns[c].head, columns[c].metric) != 0) {
            il_text_add(out, shown++ == 0 ? "" : ", ");
            il__text_padded(out, columns[c].head, 0, false);
            il_text_add(out, " = ");
            il__text_padded(out, columns[c].metric, 0, false);
        }
    }
    il_text_add(out, "\n");
}
