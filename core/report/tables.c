#include "report/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/html.h"

enum { COLUMNS_MAX = 24 };

static const char *const channels[] = {"direct", "credit", "relay",  "state",
                                       "data",   "input",  "reader", "selection"};
enum { CHANNEL_COUNT = sizeof channels / sizeof channels[0] };

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
    il_text_add(html,
                "<div class=\"wide\"><table class=\"numbers\"><thead><tr><th></th>");
    for (size_t c = 0; c < count; c++) {
        il_text_add(html, "<th title=\"");
        il__html_text(html, columns[c].metric);
        il_text_add(html, "\">");
        il__html_text(html, columns[c].head);
        il_text_add(html, "</th>");
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];

        il_text_addf(html, "<tr%s><th>", arm->variant == NULL ? " class=\"base\"" : "");
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
    il_text_add(html, "</tbody></table></div>\n<p class=\"key\">");
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

/* --- channels -------------------------------------------------------------------- */

/* 1 open, 0 closed, -1 not applicable. */
static int channel_open(const json_t *pair, const char *channel)
{
    const json_t *cell = json_object_get(json_object_get(pair, "channels"), channel);
    const json_t *open = json_object_get(cell, "open");

    if (!json_is_boolean(open) || json_is_false(json_object_get(cell, "applicable"))) {
        return -1;
    }
    return json_is_true(open);
}

static void add_channel_heads(il_text *html)
{
    for (size_t c = 0; c < CHANNEL_COUNT; c++) {
        il_text_addf(html, "<th>%s</th>", channels[c]);
    }
}

static void add_channel_cells(const json_t *pair, il_text *html)
{
    for (size_t c = 0; c < CHANNEL_COUNT; c++) {
        int open = channel_open(pair, channels[c]);

        il_text_add(html, open == 1   ? "<td class=\"open\">open</td>"
                          : open == 0 ? "<td class=\"closed\">closed</td>"
                                      : "<td class=\"none\">&middot;</td>");
    }
}

static void add_demand(const json_t *plan, il_text *html)
{
    const json_t *demand = json_object_get(plan, "demand");

    il_text_add(html, "<td class=\"words\">");
    if (json_is_string(demand)) {
        il__html_text(html, json_string_value(demand));
    } else if (json_array_size(demand) == 0) {
        il_text_add(html, "nothing");
    }
    for (size_t i = 0; i < json_array_size(demand); i++) {
        il_text_add(html, i > 0 ? ", " : "");
        il__html_text(html, json_string_value(json_array_get(demand, i)));
    }
    if (json_is_true(json_object_get(plan, "lowered"))) {
        il_text_add(html, " <b class=\"lowered\">lowered</b>");
    }
    il_text_add(html, "</td>");
}

static void add_plan_name(const json_t *plan, il_text *html)
{
    const char *variant = il__plan_variant(plan);

    il__html_text(html, variant != NULL
                            ? variant
                            : json_string_value(json_object_get(plan, "stage")));
}

void il__table_channels(const il__results *r, il_text *html)
{
    if (json_array_size(r->plans) == 0) {
        return;
    }
    il_text_add(html,
                "<div class=\"wide\"><table class=\"channels\"><thead><tr><th></th>"
                "<th>source &rarr; reader</th>");
    add_channel_heads(html);
    il_text_add(html, "<th>must be closed</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        const json_t *plan = json_array_get(r->plans, i);
        const json_t *pairs = json_object_get(plan, "pairs");

        if (json_array_size(pairs) == 0 && il__plan_variant(plan) == NULL) {
            continue;
        }
        for (size_t p = 0; p == 0 || p < json_array_size(pairs); p++) {
            const json_t *pair = json_array_get(pairs, p);

            il_text_add(html, p == 0 ? "<tr class=\"first\"><th>" : "<tr><th>");
            if (p == 0) {
                add_plan_name(plan, html);
            }
            il_text_add(html, "</th><td class=\"words\">");
            if (pair == NULL) {
                il_text_addf(
                    html,
                    "no detector presses</td><td class=\"none\" colspan=\"%d\">"
                    "&middot;</td>",
                    CHANNEL_COUNT);
            } else {
                il__html_text(html, json_string_value(json_object_get(pair, "source")));
                il_text_add(html, " &rarr; ");
                il__html_text(html, json_string_value(json_object_get(pair, "reader")));
                il_text_add(html, "</td>");
                add_channel_cells(pair, html);
            }
            if (p == 0) {
                add_demand(plan, html);
            } else {
                il_text_add(html, "<td></td>");
            }
            il_text_add(html, "</tr>\n");
        }
    }
    il_text_add(html, "</tbody></table></div>\n");
}

/* --- one plan -------------------------------------------------------------------- */

/* A value that may be text or a number, as the plan wrote it. */
static void add_value(const json_t *value, il_text *html)
{
    if (json_is_string(value)) {
        il__html_text(html, json_string_value(value));
    } else if (json_is_number(value)) {
        char number[32];

        il_format_real(json_number_value(value), number);
        il__html_text(html, number);
    } else if (value != NULL && !json_is_null(value)) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

        il__html_text(html, text);
        /* jansson allocates with malloc unless told otherwise, and nothing tells it. */
        free(text);
    }
}

static void add_signals(const json_t *plan, il_text *html)
{
    const json_t *signals = json_object_get(plan, "signals");
    const json_t *groups = json_object_get(plan, "groups");
    const json_t *updates = json_object_get(plan, "updates");

    if (json_array_size(signals) == 0) {
        return;
    }
    il_text_add(html,
                "<h4>What each signal may update</h4><div class=\"wide\"><table "
                "class=\"channels\"><thead><tr><th>signal</th><th>channel</th><th>"
                "source</th><th>weight</th><th>route</th>");
    for (size_t g = 0; g < json_array_size(groups); g++) {
        il_text_add(html, "<th>");
        il__html_text(html, json_string_value(json_array_get(groups, g)));
        il_text_add(html, "</th>");
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t s = 0; s < json_array_size(signals); s++) {
        static const char *const keys[] = {"channel", "source", "weight", "route"};
        const json_t *signal = json_array_get(signals, s);
        const json_t *row = json_array_get(updates, s);

        il_text_add(html, "<tr><th>");
        add_value(json_object_get(signal, "name"), html);
        il_text_add(html, "</th>");
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            il_text_add(html, "<td class=\"words\">");
            add_value(json_object_get(signal, keys[k]), html);
            if (k == 0 && json_object_get(signal, "edit") != NULL) {
                il_text_add(html, ": ");
                add_value(json_object_get(signal, "edit"), html);
            }
            il_text_add(html, "</td>");
        }
        for (size_t g = 0; g < json_array_size(groups); g++) {
            const json_t *cell = json_array_get(row, g);
            bool on = json_is_true(cell) || json_number_value(cell) != 0;

            il_text_add(html, on ? "<td class=\"moves\">moves</td>"
                                 : "<td class=\"none\">&middot;</td>");
        }
        il_text_add(html, "</tr>\n");
    }
    il_text_add(html, "</tbody></table></div>\n");
}

static void add_paths(const json_t *plan, il_text *html)
{
    const json_t *pairs = json_object_get(plan, "pairs");
    bool any = false;

    for (size_t p = 0; p < json_array_size(pairs); p++) {
        const json_t *pair = json_array_get(pairs, p);

        for (size_t c = 0; c < CHANNEL_COUNT; c++) {
            const json_t *channel =
                json_object_get(json_object_get(pair, "channels"), channels[c]);

            if (channel_open(pair, channels[c]) != 1) {
                continue;
            }
            il_text_add(html,
                        any ? "" : "<h4>What is open, and by which path</h4><ul>\n");
            any = true;
            il_text_addf(html, "<li><b class=\"openword\">%s</b> ", channels[c]);
            add_value(json_object_get(pair, "source"), html);
            il_text_add(html, " &rarr; ");
            add_value(json_object_get(pair, "reader"), html);
            il_text_add(html, ": <code>");
            add_value(json_object_get(channel, "path"), html);
            il_text_add(html, "</code></li>\n");
        }
    }
    if (any) {
        il_text_add(html, "</ul>\n");
    }
}

static void add_pressed(const json_t *plan, il_text *html)
{
    const char *source;
    json_t *list;

    json_object_foreach(json_object_get(plan, "pressed"), source, list)
    {
        il_text_addf(html,
                     "<p><b>%zu parameter tensors</b> have been changed under the "
                     "pressure of ",
                     json_array_size(list));
        il__html_text(html, source);
        for (size_t i = 0; i < json_array_size(list); i++) {
            il_text_add(html, i == 0 ? ": <code>" : ", ");
            il__html_text(html, json_string_value(json_array_get(list, i)));
        }
        il_text_add(html, json_array_size(list) > 0 ? "</code></p>\n" : "</p>\n");
    }
}

void il__table_plan(const json_t *plan, il_text *html)
{
    il_text_add(html, "<details><summary>");
    add_plan_name(plan, html);
    il_text_add(html, "</summary>\n");
    add_signals(plan, html);
    add_paths(plan, html);
    add_pressed(plan, html);
    il_text_add(html, "</details>\n");
}

/* --- certificates ---------------------------------------------------------------- */

void il__table_certificates(const il__results *r, il_text *html)
{
    if (json_array_size(r->certificates) == 0) {
        return;
    }
    il_text_add(html, "<ul class=\"certificates\">\n");
    for (size_t i = 0; i < json_array_size(r->certificates); i++) {
        const json_t *c = json_array_get(r->certificates, i);
        bool held = json_is_true(json_object_get(c, "held"));

        il_text_addf(html, "<li><b class=\"%s\">%s</b> ",
                     held ? "closedword" : "openword", held ? "held" : "differed");
        add_plan_name(c, html);
        il_text_addf(html, ", seed %lld: ",
                     (long long)json_integer_value(json_object_get(c, "seed")));
        if (json_is_true(json_object_get(c, "recorded"))) {
            il_text_add(html, "on the same recorded episodes, ");
        }
        if (held) {
            il_text_add(html,
                        "scrambling the score changed no bit of what is protected");
            if (json_is_integer(json_object_get(c, "steps"))) {
                il_text_addf(
                    html, " in %lld steps",
                    (long long)json_integer_value(json_object_get(c, "steps")));
            }
        } else {
            il_text_add(html, "scrambling the score first changed <code>");
            add_value(json_object_get(c, "tensor"), html);
            il_text_add(html, "</code>");
            if (json_is_integer(json_object_get(c, "step"))) {
                il_text_addf(html, " at step %lld",
                             (long long)json_integer_value(json_object_get(c, "step")));
            }
        }
        if (json_is_integer(json_object_get(c, "data_step"))) {
            il_text_addf(
                html, "; the episodes differ from update %lld on (<code>",
                (long long)json_integer_value(json_object_get(c, "data_step")));
            add_value(json_object_get(c, "data"), html);
            il_text_add(html, "</code>)");
        }
        il_text_add(html, "</li>\n");
    }
    il_text_add(html, "</ul>\n");
}
