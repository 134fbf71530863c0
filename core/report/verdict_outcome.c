/* What became of each pressed arm: the class, how sure it is and how near to the next.
 * Classes of seeds that differ are all named. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/html.h"
#include "report/tables.h"
#include "report/verdict.h"

/* The probability that a class has: by name, or the one number there is. */
static double probability_of(const json_t *outcome, const char *class)
{
    const json_t *p = json_object_get(outcome, "probability");

    return json_is_number(p) ? json_number_value(p) : il__number_of(p, class);
}

static void add_number(il_text *html, double value)
{
    il_text_add(html, isfinite(value) ? "<td>" : "<td class=\"none\">");
    if (isfinite(value)) {
        il__number_text(html, value, 2);
    } else {
        il_text_add(html, "&ndash;");
    }
    il_text_add(html, "</td>");
}

/* One class of an arm: the seeds that have it, and the least of their numbers. */
typedef struct tally {
    const char *class;
    const char *next; /* of the seed with the smallest margin */
    size_t seeds;
    double probability, margin;
} tally;

enum { CLASSES = 8 };

static size_t count_classes(const il__result_arm *arm, tally out[CLASSES])
{
    size_t count = 0;

    for (size_t s = 0; s < arm->row_count; s++) {
        const json_t *outcome = il__outcome_of(arm->rows[s]);
        const char *class = json_string_value(json_object_get(outcome, "class"));
        double margin = il__number_of(outcome, "margin");
        size_t k = 0;

        if (outcome == NULL) {
            continue;
        }
        while (k < count && strcmp(out[k].class, class) != 0) {
            k++;
        }
        if (k == CLASSES) {
            continue; /* there are seven, so that none is lost */
        }
        if (k == count) {
            out[count++] = (tally){class, NULL, 0, INFINITY, INFINITY};
        }
        out[k].seeds++;
        out[k].probability = fmin(out[k].probability, probability_of(outcome, class));
        if (margin < out[k].margin) {
            out[k].margin = margin;
            out[k].next = json_string_value(json_object_get(outcome, "next"));
        }
    }
    return count;
}

static void add_arm(const il__result_arm *arm, const json_t *entry, il_text *html)
{
    const json_t *outcome = json_object_get(entry, "outcome");
    const char *whole = json_string_value(json_object_get(outcome, "class"));
    tally tallies[CLASSES];
    size_t count = count_classes(arm, tallies);

    for (size_t k = 0; k < (count > 0 ? count : 1); k++) {
        const char *class = count > 0 ? tallies[k].class : NULL;

        il_text_add(html, k == 0 ? "<tr class=\"first\"><th scope=\"row\">"
                                 : "<tr><th scope=\"row\"><span class=\"hush\">");
        il__html_text(html, arm->label);
        il_text_add(html, k == 0 ? "</th>" : "</span></th>");
        if (class == NULL && whole == NULL) {
            il_text_add(html, "<td class=\"words none\" colspan=\"5\">not "
                              "classed</td></tr>\n");
            return;
        }
        il_text_add(html, "<td class=\"words\"><b>");
        il__class_text(html, class != NULL ? class : whole);
        il_text_add(html, "</b></td>");
        if (class != NULL) {
            il_text_addf(html, "<td>%zu of %zu</td>", tallies[k].seeds, arm->row_count);
        } else {
            il_text_add(html, "<td class=\"none\">&ndash;</td>");
        }
        add_number(html, class != NULL && whole == NULL
                             ? tallies[k].probability
                             : probability_of(outcome, class != NULL ? class : whole));
        add_number(html, class != NULL ? tallies[k].margin
                                       : il__number_of(outcome, "margin"));
        il_text_add(html, "<td class=\"words\">");
        il__class_text(html, class != NULL
                                 ? tallies[k].next
                                 : json_string_value(json_object_get(outcome, "next")));
        il_text_add(html, "</td></tr>\n");
    }
}

void il__verdict_outcome(const il__results *r, const il__focus *f, il_text *html)
{
    bool any = false;

    for (size_t i = 0; i < f->subject_count; i++) {
        const json_t *entry = il__conclusion_of(r, f->subjects[i]);

        any = any || json_object_size(json_object_get(entry, "outcome")) > 0;
        for (size_t s = 0; s < f->subjects[i]->row_count; s++) {
            any = any || il__outcome_of(f->subjects[i]->rows[s]) != NULL;
        }
    }
    il_text_add(html, "<section><h3>The outcome</h3>\n");
    if (!any) {
        il_text_add(html, "<p class=\"missing\">No outcome was classed in this run. "
                          "A pipeline names the behaviour in its "
                          "<code>audit</code>.</p></section>\n");
        return;
    }
    il__table_begin(html, "", "Outcomes");
    il_text_add(
        html, "<th scope=\"col\" class=\"words\">arm</th><th "
              "scope=\"col\" class=\"words\">class</th><th scope=\"col\">seeds</th><th "
              "scope=\"col\">probability</th><th scope=\"col\">margin</th><th "
              "scope=\"col\" class=\"words\">next to it</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < f->subject_count; i++) {
        add_arm(f->subjects[i], il__conclusion_of(r, f->subjects[i]), html);
    }
    il__table_end(html);
    il_text_add(html, "<p class=\"hint\">The smallest "
                      "probability and margin over seeds; <a href=\"#outcomes\">every "
                      "seed</a> stands below.</p></section>\n");
}
