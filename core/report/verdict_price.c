/* What it cost, among how many it was chosen, and what was let pass. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/html.h"
#include "report/tables.h"
#include "report/verdict.h"

static void add_signed(il_text *html, double value)
{
    il_text_add(html, value > 0 ? "+" : "");
    il__number_text(html, value, 3);
}

enum { COSTS = 8 };

/* The metrics that any subject's tax is about, but for the behaviour itself. */
static size_t list_costs(const il__results *r, const il__focus *f, const char **out)
{
    size_t count = 0;

    for (size_t i = 0; i < f->subject_count; i++) {
        const json_t *tax =
            json_object_get(il__conclusion_of(r, f->subjects[i]), "tax");

        for (size_t k = 0; k < json_array_size(tax); k++) {
            const char *metric =
                json_string_value(json_object_get(json_array_get(tax, k), "metric"));
            bool known = metric == NULL || strcmp(metric, f->behaviour) == 0;

            for (size_t m = 0; m < count; m++) {
                known = known || strcmp(out[m], metric) == 0;
            }
            if (!known && count < COSTS) {
                out[count++] = metric;
            }
        }
    }
    return count;
}

/* "-0.012", and "-0.030 to +0.006" below it. */
static void add_cost(const json_t *claim, il_text *html)
{
    double mean = il__number_of(claim, "mean");
    double low = il__number_of(claim, "low");
    double high = il__number_of(claim, "high");

    if (!isfinite(mean)) {
        il_text_add(html, "<td class=\"none\">&ndash;</td>");
        return;
    }
    il_text_add(html, "<td>");
    add_signed(html, mean);
    if (isfinite(low) && isfinite(high)) {
        il_text_add(html, "<small>");
        add_signed(html, low);
        il_text_add(html, " to ");
        add_signed(html, high);
        il_text_add(html, "</small>");
    }
    il_text_add(html, "</td>");
}

static void add_tax(const il__results *r, const il__focus *f, il_text *html)
{
    const char *costs[COSTS];
    size_t count = list_costs(r, f, costs);

    il_text_add(html, "<h4>Capability tax</h4>\n");
    if (count == 0) {
        il_text_add(html, "<p class=\"missing\">Not claimed: nothing is on record of "
                          "what it cost.</p>\n");
        return;
    }
    il__table_begin(html, "", "Capability tax");
    il_text_add(html, "<th scope=\"col\" class=\"words\">arm</th>");
    for (size_t m = 0; m < count; m++) {
        il_text_add(html, "<th scope=\"col\">");
        il__html_text(html, costs[m]);
        il_text_add(html, "</th>");
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < f->subject_count; i++) {
        const json_t *entry = il__conclusion_of(r, f->subjects[i]);

        il_text_add(html, "<tr><th scope=\"row\">");
        il__html_text(html, f->subjects[i]->label);
        il_text_add(html, "</th>");
        for (size_t m = 0; m < count; m++) {
            add_cost(il__claim_of(entry, costs[m], "twin"), html);
        }
        il_text_add(html, "</tr>\n");
    }
    il__table_end(html);
    il_text_add(html, "<p class=\"hint\">Run minus twin: mean over seeds, and its 95% "
                      "interval.</p>\n");
}

static void add_selection(const il__results *r, il_text *html)
{
    const json_t *selection = json_object_get(r->conclusions, "selection");
    double alternatives = il__number_of(selection, "alternatives");
    double bits = il__number_of(selection, "bits");

    il_text_add(html, "<h4>Selection</h4>\n");
    if (!isfinite(bits) || !isfinite(alternatives)) {
        il_text_add(html, "<p class=\"missing\">Not counted.</p>\n");
        return;
    }
    il_text_addf(html, "<p>One of %.0f alternatives on record: <b>", alternatives);
    il__number_text(html, bits, 1);
    il_text_add(html, " bits</b> of choice stand behind what is shown.</p>\n");
}

/* "The primary claim: probe.auroc against the twin, margin 0.05; in the plan as 3fa9…"
 */
static void add_endpoint(const il__results *r, il_text *html)
{
    const json_t *endpoint = json_object_get(r->conclusions, "endpoint");
    const char *metric = json_string_value(json_object_get(endpoint, "metric"));
    const char *versus = json_string_value(json_object_get(endpoint, "versus"));
    const char *hash = json_string_value(json_object_get(endpoint, "hash"));
    double margin = il__number_of(endpoint, "margin");

    if (metric == NULL) {
        return;
    }
    il_text_add(html, "<p>Primary endpoint, ");
    il_text_add(html, json_is_true(json_object_get(endpoint, "declared"))
                          ? "declared before the run: <b>"
                          : "taken by default: <b>");
    il__html_text(html, metric);
    il_text_add(html, "</b>");
    if (versus != NULL) {
        il_text_add(html, " against the ");
        il__html_text(html, versus);
    }
    if (isfinite(margin)) {
        il_text_add(html, ", margin ");
        il__number_text(html, margin, 3);
    }
    if (hash != NULL) {
        il_text_add(html, " <code>");
        for (size_t i = 0; hash[i] != '\0' && i < 12; i++) {
            char letter[2] = {hash[i], '\0'};

            il__html_text(html, letter);
        }
        il_text_add(html, "</code>");
    }
    il_text_add(html, ".</p>\n");
}

/* Arms that have nothing to be compared with, and why. */
static void add_without(const il__results *r, const il__focus *f, il_text *html)
{
    size_t shown = 0;

    for (size_t i = 0; i < f->subject_count; i++) {
        const char *why = json_string_value(
            json_object_get(il__conclusion_of(r, f->subjects[i]), "without"));

        if (why != NULL) {
            il_text_add(html, shown++ == 0 ? "<h4>Compared with less</h4>\n<ul>" : "");
            il_text_add(html, "<li>");
            il__html_text(html, f->subjects[i]->label);
            il_text_add(html, " has no ");
            il__html_text(html, why);
            il_text_add(html, "</li>");
        }
    }
    il_text_add(html, shown > 0 ? "</ul>\n" : "");
}

static void add_lowered(const il__results *r, il_text *html)
{
    size_t shown = 0;

    il_text_add(html, "<h4>Demands that were lowered</h4>\n<p>");
    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        const json_t *plan = json_array_get(r->plans, i);
        const char *variant = il__plan_variant(plan);

        if (!json_is_true(json_object_get(plan, "lowered"))) {
            continue;
        }
        il_text_add(html, shown++ > 0 ? ", " : "<b class=\"lowered\">By name in:</b> ");
        il__html_text(html, variant != NULL
                                ? variant
                                : json_string_value(json_object_get(plan, "stage")));
    }
    il_text_add(html, shown > 0          ? ".</p>\n"
                      : r->plans != NULL ? "None.</p>\n"
                                         : "No plan is on record.</p>\n");
    il__accepted(r, html);
}

void il__verdict_price(const il__results *r, const il__focus *f, il_text *html)
{
    il_text_add(html, "<section><h3>What it cost, and what was let pass</h3>\n");
    if (f->subject_count > 0) {
        add_tax(r, f, html);
        add_selection(r, html);
        add_endpoint(r, html);
        add_without(r, f, html);
    }
    add_lowered(r, html);
    il_text_add(html, "</section>\n");
}
