/* What became of each pressed arm: the class, how sure it is and how near to the next,
 * what it is a mixture of, and when it came about. Classes of seeds that differ are all
 * named. They are those that were concluded, beside the twin; where nothing was, those
 * of the audits. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/html.h"
#include "report/tables.h"
#include "report/verdict.h"

enum { CLASSES = 8, COURSE = 3 };

/* An arm's outcomes: one as a whole, which may be NULL, and one for each of its seeds.
 */
typedef struct told {
    const il__result_arm *arm;
    const json_t *whole;
    const json_t *seeds; /* of the whole, or NULL: then the audits tell */
} told;

static told told_of(const il__results *r, const il__result_arm *arm)
{
    const json_t *whole = json_object_get(il__conclusion_of(r, arm), "outcome");
    const json_t *seeds = json_object_get(whole, "seeds");

    if (!json_is_string(json_object_get(whole, "class"))) {
        whole = NULL;
    }
    return (told){
        .arm = arm, .whole = whole, .seeds = json_array_size(seeds) > 0 ? seeds : NULL};
}

static size_t count_seeds(const told *t)
{
    return t->seeds != NULL ? json_array_size(t->seeds) : t->arm->row_count;
}

/* NULL where the seed was not classed. */
static const json_t *seed_of(const told *t, size_t i)
{
    const json_t *outcome = t->seeds != NULL ? json_array_get(t->seeds, i)
                                             : il__outcome_of(t->arm->rows[i]);

    return json_is_string(json_object_get(outcome, "class")) ? outcome : NULL;
}

/* ---- classes ----------------------------------------------------------------------
 */

/* One class of an arm: the seeds that have it, and the least of their numbers. */
typedef struct tally {
    const char *class;
    const char *next; /* of the seed with the smallest margin */
    size_t seeds;
    double probability, margin;
} tally;

static size_t count_classes(const told *t, tally out[CLASSES])
{
    size_t count = 0;

    for (size_t s = 0; s < count_seeds(t); s++) {
        const json_t *outcome = seed_of(t, s);
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
        out[k].probability =
            fmin(out[k].probability,
                 il__number_of(json_object_get(outcome, "probability"), class));
        if (margin < out[k].margin) {
            out[k].margin = margin;
            out[k].next = json_string_value(json_object_get(outcome, "next"));
        }
    }
    return count;
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

/* The share of seeds that is likely to be so, with its interval; else the least
 * probability that a seed's audit has. */
static void add_probability(const told *t, const tally *k, il_text *html)
{
    double value = il__number_of(json_object_get(t->whole, "probability"), k->class);
    double low = il__number_of(json_object_get(t->whole, "low"), k->class);
    double high = il__number_of(json_object_get(t->whole, "high"), k->class);

    if (!isfinite(value)) {
        add_number(html, k->probability);
        return;
    }
    il_text_add(html, "<td>");
    il__number_text(html, value, 2);
    if (isfinite(low) && isfinite(high)) {
        il_text_add(html, "<small>");
        il__number_text(html, low, 2);
        il_text_add(html, " to ");
        il__number_text(html, high, 2);
        il_text_add(html, "</small>");
    }
    il_text_add(html, "</td>");
}

/* "0.62 obfuscated policy, 0.30 blatant" where it is more than one thing. */
static void add_mixture(const told *t, il_text *html)
{
    const json_t *mix = json_object_get(t->whole, "mix");
    const char *class;
    json_t *share;
    size_t parts = 0;

    json_object_foreach((json_t *)mix, class, share)
    {
        parts += json_number_value(share) >= 0.05;
    }
    if (parts < 2) {
        return;
    }
    il_text_add(html, "<small>");
    parts = 0;
    json_object_foreach((json_t *)mix, class, share)
    {
        if (json_number_value(share) >= 0.05) {
            il_text_add(html, parts++ > 0 ? ", " : "");
            il__number_text(html, json_number_value(share), 2);
            il_text_add(html, " ");
            il__class_text(html, class);
        }
    }
    il_text_add(html, "</small>");
}

/* When it came about, a number for each seed. */
static void add_course(const told *t, il_text *html)
{
    static const char *const keys[COURSE] = {"behaviour", "blind", "lag"};

    for (size_t k = 0; k < COURSE; k++) {
        il_text_add(html, "<td>");
        for (size_t s = 0; s < count_seeds(t); s++) {
            double step =
                il__number_of(json_object_get(seed_of(t, s), "course"), keys[k]);

            il_text_add(html, s > 0 ? " " : "");
            if (isfinite(step)) {
                il__number_text(html, step, 0);
            } else {
                il_text_add(html, "&middot;");
            }
        }
        il_text_add(html, "</td>");
    }
}

static void add_arm(const told *t, bool course, il_text *html)
{
    tally tallies[CLASSES];
    size_t count = count_classes(t, tallies);

    for (size_t k = 0; k < (count > 0 ? count : 1); k++) {
        il_text_add(html, k == 0 ? "<tr class=\"first\"><th scope=\"row\">"
                                 : "<tr><th scope=\"row\"><span class=\"hush\">");
        il__html_text(html, t->arm->label);
        il_text_add(html, k == 0 ? "</th>" : "</span></th>");
        if (count == 0) {
            il_text_addf(html,
                         "<td class=\"words none\" colspan=\"%d\">not classed</td>",
                         course ? 5 + COURSE : 5);
        } else {
            il_text_add(html, "<td class=\"words\"><b>");
            il__class_text(html, tallies[k].class);
            il_text_add(html, "</b>");
            if (k == 0) {
                add_mixture(t, html);
            }
            il_text_addf(html, "</td><td>%zu of %zu</td>", tallies[k].seeds,
                         count_seeds(t));
            add_probability(t, &tallies[k], html);
            add_number(html, tallies[k].margin);
            il_text_add(html, "<td class=\"words\">");
            il__class_text(html, tallies[k].next);
            il_text_add(html, "</td>");
            if (course && k == 0) {
                add_course(t, html);
            } else if (course) {
                il_text_addf(html, "<td colspan=\"%d\"></td>", COURSE);
            }
        }
        il_text_add(html, "</tr>\n");
    }
}

void il__verdict_outcome(const il__results *r, const il__focus *f, il_text *html)
{
    size_t classed = 0;
    size_t courses = 0;

    for (size_t i = 0; i < f->subject_count; i++) {
        told t = told_of(r, f->subjects[i]);

        for (size_t s = 0; s < count_seeds(&t); s++) {
            classed += seed_of(&t, s) != NULL;
            courses += json_object_size(json_object_get(seed_of(&t, s), "course")) > 1;
        }
    }
    il_text_add(html, courses > 0 ? "<section class=\"across\">" : "<section>");
    il_text_add(html, "<h3>The outcome</h3>\n");
    if (classed == 0) {
        il_text_add(html, "<p class=\"missing\">No outcome was classed in this run. "
                          "A pipeline names the behaviour in its "
                          "<code>audit</code>.</p></section>\n");
        return;
    }
    il__table_begin(html, "", "Outcomes");
    il_text_add(html, "<th scope=\"col\" class=\"words\">arm</th><th scope=\"col\" "
                      "class=\"words\">class</th><th scope=\"col\">seeds</th><th "
                      "scope=\"col\">probability</th><th scope=\"col\">margin</th><th "
                      "scope=\"col\" class=\"words\">next to it</th>");
    il_text_add(html, courses > 0 ? "<th scope=\"col\">behaves so from step</th><th "
                                    "scope=\"col\">blind from step</th><th "
                                    "scope=\"col\">lag</th>"
                                  : "");
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < f->subject_count; i++) {
        told t = told_of(r, f->subjects[i]);

        add_arm(&t, courses > 0, html);
    }
    il__table_end(html);
    il_text_add(html,
                "<p class=\"hint\">The smallest margin over seeds, and of the "
                "steps one for each seed, a dot where it never came; <a "
                "href=\"#outcomes\">every seed</a> stands below.</p></section>\n");
}
