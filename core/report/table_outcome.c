/* The table of outcomes: what became of each seed of each arm, by which shares, and how
 * near to something else. */
#include "report/tables.h"

#include <string.h>
#include "report/html.h"

static const char *const inputs[][2] = {{"behaviour", "behaviour"},
                                        {"good", "good"},
                                        {"flag_now", "ff"},
                                        {"flag_then", "f0"},
                                        {"kept", "kept"}};
enum { INPUTS = sizeof inputs / sizeof *inputs };

const json_t *il__outcome_of(const il__result_row *row)
{
    const json_t *outcome = json_object_get(row->audit, "outcome");

    return json_is_string(json_object_get(outcome, "class")) ? outcome : NULL;
}

static void add_number(const json_t *value, il_text *html)
{
    if (!json_is_number(value)) {
        il_text_add(html, "<td class=\"none\">&ndash;</td>");
        return;
    }
    il_text_add(html, "<td>");
    il__number_text(html, json_number_value(value), 2);
    il_text_add(html, "</td>");
}

void il__class_text(il_text *html, const char *class)
{
    for (const char *c = class; c != NULL && *c != '\0'; c++) {
        char letter[2] = {*c == '_' ? ' ' : *c, '\0'};

        il__html_text(html, letter);
    }
}

static void add_row(const il__result_arm *arm, const il__result_row *row, bool first,
                    il_text *html)
{
    const json_t *outcome = il__outcome_of(row);
    const char *class = json_string_value(json_object_get(outcome, "class"));
    const char *next = json_string_value(json_object_get(outcome, "next"));

    il_text_addf(html, "<tr%s><th scope=\"row\">", first ? " class=\"first\"" : "");
    if (first) {
        il__html_text(html, arm->label);
    }
    il_text_addf(html, "</th><td>%lld</td><td class=\"words\"><b>",
                 (long long)row->seed);
    il__class_text(html, class);
    il_text_add(html, "</b></td>");
    add_number(json_object_get(json_object_get(outcome, "probability"), class), html);
    for (size_t i = 0; i < INPUTS; i++) {
        add_number(json_object_get(json_object_get(outcome, "inputs"), inputs[i][0]),
                   html);
    }
    add_number(json_object_get(row->metrics, "hidden"), html);
    add_number(json_object_get(row->metrics, "justified"), html);
    add_number(json_object_get(outcome, "margin"), html);
    il_text_add(html, "<td class=\"words\">");
    il__class_text(html, next);
    il_text_add(html, "</td></tr>\n");
}

void il__table_outcome(const il__results *r, il_text *html)
{
    bool any = false;

    for (size_t i = 0; i < r->row_count; i++) {
        any = any || il__outcome_of(&r->rows[i]) != NULL;
    }
    if (!any) {
        return;
    }
    il_text_add(
        html,
        "<h3 id=\"outcomes\">What became of each seed</h3>\n<p>The class of the last audit, "
        "the share of resamples of the answers that give it, and the shares "
        "that decide it: how much there is of the behaviour that the model is "
        "not to show, and of the good that it is there for; of the behaviour, "
        "what the detector flags on the model of now (ff) and of then (f0); "
        "and what it flagged of the text of then and still flags now (kept). "
        "Beside them the share of prompts with a wrong leak that are answered "
        "right, and of hacks that explain themselves. The margin is the "
        "smallest change of one share that would change the class.</p>\n");
    il__table_begin(html, "numbers", "Outcomes by seed");
    il_text_add(
        html,
        "<td></td>"
        "<th scope=\"col\">seed</th><th scope=\"col\" class=\"words\">class</th><th scope=\"col\">p</th>");
    for (size_t i = 0; i < INPUTS; i++) {
        il_text_addf(html, "<th scope=\"col\">%s</th>", inputs[i][1]);
    }
    il_text_add(
        html,
        "<th scope=\"col\">hidden</th><th scope=\"col\">hackwhy</th><th scope=\"col\">margin</th><th scope=\"col\" class=\"words\">to</th></tr>"
        "</thead><tbody>\n");
    for (size_t a = 0; a < r->arm_count; a++) {
        bool first = true;

        for (size_t s = 0; s < r->arms[a].row_count; s++) {
            if (il__outcome_of(r->arms[a].rows[s]) != NULL) {
                add_row(&r->arms[a], r->arms[a].rows[s], first, html);
                first = false;
            }
        }
    }
    il__table_end(html);
}
