/* The tables of the plan: channels by pair, what each signal may update, paths that
 * open, and certificates. */
#include <stdlib.h>
#include "report/channels.h"
#include "report/html.h"
#include "report/tables.h"

static void add_channel_heads(il_text *html)
{
    for (size_t c = 0; c < IL__CHANNELS; c++) {
        il_text_addf(html, "<th scope=\"col\">%s</th>", il__channel_names[c]);
    }
}

static void add_channel_cells(const json_t *pair, il_text *html)
{
    for (size_t c = 0; c < IL__CHANNELS; c++) {
        int open = il__channel_open(pair, il__channel_names[c]);

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
    il__table_begin(html, "channels", "Channels by pair");
    il_text_add(html, "<td></td>"
                      "<th scope=\"col\">source &rarr; reader</th>");
    add_channel_heads(html);
    il_text_add(html, "<th scope=\"col\">must be closed</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        const json_t *plan = json_array_get(r->plans, i);
        const json_t *pairs = json_object_get(plan, "pairs");

        if (json_array_size(pairs) == 0 && il__plan_variant(plan) == NULL) {
            continue;
        }
        for (size_t p = 0; p == 0 || p < json_array_size(pairs); p++) {
            const json_t *pair = json_array_get(pairs, p);

            il_text_add(html, p == 0 ? "<tr class=\"first\"><th scope=\"row\">"
                                     : "<tr><th scope=\"row\">");
            if (p == 0) {
                add_plan_name(plan, html);
            }
            il_text_add(html, "</th><td class=\"words\">");
            if (pair == NULL) {
                il_text_addf(
                    html,
                    "no detector presses</td><td class=\"none\" colspan=\"%d\">"
                    "&middot;</td>",
                    IL__CHANNELS);
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
    il__table_end(html);
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

/* What an edit, a halt or a filter does, behind its channel. */
static void add_deed(const json_t *signal, il_text *html)
{
    const json_t *halt = json_object_get(signal, "halt");
    const json_t *deeds[] = {
        json_object_get(signal, "edit"), json_object_get(signal, "sift"),
        json_object_get(halt, "line"), json_object_get(halt, "do")};

    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        if (deeds[i] != NULL) {
            il_text_add(html, i < 3 ? ": " : ", ");
            add_value(deeds[i], html);
        }
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
    il_text_add(html, "<h4>What each signal may update</h4>\n");
    il__table_begin(html, "channels", "What each signal may update");
    il_text_add(
        html,
        "<th scope=\"col\">signal</th><th scope=\"col\">channel</th><th scope=\"col\">"
        "source</th><th scope=\"col\">weight</th><th scope=\"col\">route</th>");
    for (size_t g = 0; g < json_array_size(groups); g++) {
        il_text_add(html, "<th scope=\"col\">");
        il__html_text(html, json_string_value(json_array_get(groups, g)));
        il_text_add(html, "</th>");
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t s = 0; s < json_array_size(signals); s++) {
        static const char *const keys[] = {"channel", "source", "weight", "route"};
        const json_t *signal = json_array_get(signals, s);
        const json_t *row = json_array_get(updates, s);

        il_text_add(html, "<tr><th scope=\"row\">");
        add_value(json_object_get(signal, "name"), html);
        il_text_add(html, "</th>");
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            il_text_add(html, "<td class=\"words\">");
            add_value(json_object_get(signal, keys[k]), html);
            if (k == 0) {
                add_deed(signal, html);
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
    il__table_end(html);
}

static void add_paths(const json_t *plan, il_text *html)
{
    const json_t *pairs = json_object_get(plan, "pairs");
    bool any = false;

    for (size_t p = 0; p < json_array_size(pairs); p++) {
        const json_t *pair = json_array_get(pairs, p);

        for (size_t c = 0; c < IL__CHANNELS; c++) {
            const json_t *channel = json_object_get(json_object_get(pair, "channels"),
                                                    il__channel_names[c]);

            if (il__channel_open(pair, il__channel_names[c]) != 1) {
                continue;
            }
            il_text_add(html,
                        any ? "" : "<h4>What is open, and by which path</h4><ul>\n");
            any = true;
            il_text_addf(html, "<li><b class=\"openword\">%s</b> ",
                         il__channel_names[c]);
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
