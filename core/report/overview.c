#include "report/overview.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/version.h"
#include "report/html.h"
#include "report/page.h"
#include "report/tables.h"
#include "report/verdict.h"

/* ---- the sentence -----------------------------------------------------------------
 */

static void add_lead(const il__briefs *all, il_text *html)
{
    static const char *const words[] = {[IL__ALIVE_UNKNOWN] = "not judged",
                                        [IL__ALIVE_SHOWN] = "alive",
                                        [IL__ALIVE_FALLEN] = "fallen",
                                        [IL__ALIVE_OPEN] = "shown to be neither"};
    static const int order[] = {IL__ALIVE_SHOWN, IL__ALIVE_FALLEN, IL__ALIVE_OPEN,
                                IL__ALIVE_UNKNOWN};
    size_t counts[4] = {0};
    size_t seeds = 0;

    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i]->role == IL__BRIEF_PRESSED) {
            counts[all->items[i]->alive]++;
            seeds += all->items[i]->seed_count;
        }
    }
    il_text_addf(html, "<p class=\"lead\">%zu run%s, %zu arm%s under pressure",
                 all->run_count, all->run_count == 1 ? "" : "s", all->pressed,
                 all->pressed == 1 ? "" : "s");
    for (size_t k = 0, said = 0; k < 4; k++) {
        if (counts[order[k]] > 0) {
            il_text_addf(html, "%s%s in <b>%zu</b>",
                         said++ > 0 ? ", " : ": the detector is ", words[order[k]],
                         counts[order[k]]);
        }
    }
    il_text_addf(html, "; %zu seed%s of pressed arms in all.</p>\n", seeds,
                 seeds == 1 ? "" : "s");
    for (size_t i = 0; i < all->unread_count; i++) {
        il_text_add(html, "<p class=\"missing\">Left out: ");
        il__html_text(html, all->unread[i]);
        il_text_add(html, "</p>\n");
    }
}

/* ---- counts -----------------------------------------------------------------------
 */

static void add_count_row(const il__briefs *all, const char *name, int state,
                          il_text *html)
{
    il_text_addf(html, "<tr><th scope=\"row\">%s</th>", name);
    for (int c = 0; c < IL__CHANNELS; c++) {
        size_t n = 0;

        for (size_t i = 0; i < all->count; i++) {
            n += all->items[i]->role == IL__BRIEF_PRESSED &&
                 all->items[i]->channels[c] == state;
        }
        il_text_addf(html, "<td%s>%zu</td>",
                     state == IL__CHANNEL_OPEN && n > 0 ? " class=\"open\""
                     : n == 0                           ? " class=\"none\""
                                                        : "",
                     n);
    }
    il_text_add(html, "</tr>\n");
}

/* The eight channels of an arm and its certificate. */
static void add_channel_cells(const il__brief *b, il_text *html)
{
    static const char *const cells[] = {"<td class=\"none\">&ndash;</td>", "<td>closed",
                                        "<td class=\"none\">fresh</td>",
                                        "<td class=\"open\">open</td>"};

    for (int c = 0; c < IL__CHANNELS; c++) {
        il_text_add(html, cells[1 + b->channels[c]]);
        il_text_add(html, b->channels[c] == IL__CHANNEL_CLOSED ? "</td>" : "");
    }
    il_text_add(html, b->certified == 1   ? "<td class=\"closed\">held</td>"
                      : b->certified == 0 ? "<td class=\"open\">differed</td>"
                                          : "<td class=\"none\">&ndash;</td>");
}

/* Arm by arm, while there are few. */
static void add_channel_rows(const il__briefs *all, il_text *html)
{
    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];

        if (b->role != IL__BRIEF_PRESSED) {
            continue;
        }
        il_text_add(html, "<tr><th scope=\"row\">");
        il__html_text(html, b->label);
        il_text_add(html, b->lowered
                              ? "<small class=\"lowered\">demand lowered</small></th>"
                              : "</th>");
        add_channel_cells(b, html);
        il_text_add(html, "</tr>\n");
    }
}

static void add_channels(const il__briefs *all, il_text *html)
{
    bool few = all->pressed <= IL__OVERVIEW_APART;
    size_t certified[2] = {0, 0};
    size_t lowered = 0;

    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];

        if (b->role == IL__BRIEF_PRESSED) {
            certified[0] += b->certified == 0;
            certified[1] += b->certified == 1;
            lowered += b->lowered;
        }
    }
    il_text_add(html, "<section class=\"across\"><h3>Where scores can travel</h3>\n");
    il__table_begin(html, "channels", "Channels");
    il_text_add(html, "<th scope=\"col\">arms</th>");
    for (int c = 0; c < IL__CHANNELS; c++) {
        il_text_addf(html, "<th scope=\"col\">%s</th>", il__channel_names[c]);
    }
    il_text_add(html, few ? "<th scope=\"col\">certificate</th></tr></thead><tbody>\n"
                          : "</tr></thead><tbody>\n");
    if (few) {
        add_channel_rows(all, html);
    } else {
        add_count_row(all, "open", IL__CHANNEL_OPEN, html);
        add_count_row(all, "fresh only", IL__CHANNEL_FRESH, html);
        add_count_row(all, "closed", IL__CHANNEL_CLOSED, html);
    }
    il__table_end(html);
    il_text_addf(html,
                 "<p class=\"hint\">The worst of each pressed arm over its declared "
                 "detectors. %zu certificate%s held, %zu differed; the demand was "
                 "lowered by name in %zu arm%s.</p></section>\n",
                 certified[1], certified[1] == 1 ? "" : "s", certified[0], lowered,
                 lowered == 1 ? "" : "s");
}

static void add_outcomes(const il__briefs *all, il_text *html)
{
    enum { CLASSES = 8 };
    const char *classes[CLASSES];
    size_t counts[CLASSES] = {0};
    size_t count = 0;

    for (size_t i = 0; i < all->count; i++) {
        const char *class = all->items[i]->outcome;
        size_t k = 0;

        if (all->items[i]->role != IL__BRIEF_PRESSED || class == NULL) {
            continue;
        }
        while (k < count && strcmp(classes[k], class) != 0) {
            k++;
        }
        if (k < CLASSES) {
            classes[k] = class;
            counts[k]++;
            count += k == count;
        }
    }
    il_text_add(html,
                "<section class=\"across\"><h3>Outcomes, cost and selection</h3>\n");
    if (count == 0) {
        il_text_add(html, "<p class=\"missing\">No outcome was classed.</p>\n");
    } else {
        il__table_begin(html, "", "Outcomes");
        il_text_add(html, "<th scope=\"col\" class=\"words\">commonest class of an "
                          "arm</th><th scope=\"col\">arms</th></tr></thead><tbody>\n");
        for (size_t k = 0; k < count; k++) {
            il_text_add(html, "<tr><th scope=\"row\">");
            il__class_text(html, classes[k]);
            il_text_addf(html, "</th><td>%zu</td></tr>\n", counts[k]);
        }
        il__table_end(html);
    }
    if (isfinite(all->bits)) {
        il_text_add(html, "<p>The most that a run here was chosen by: <b>");
        il__number_text(html, all->bits, 1);
        il_text_add(html, " bits</b> of selection on record.</p>\n");
    } else {
        il_text_add(html, "<p class=\"missing\">Selection was not counted.</p>\n");
    }
    il_text_add(html, "<p class=\"hint\">Each arm&rsquo;s largest cost stands in the "
                      "table below.</p></section>\n");
}

/* ---- every arm --------------------------------------------------------------------
 */

/* A mean with its seeds below. */
static void add_value(const il__brief *b, il__brief_value value, il_text *html)
{
    double mean = il__brief_mean(b, value);

    if (!isfinite(mean)) {
        il_text_add(html, "<td class=\"none\">&ndash;</td>");
        return;
    }
    il_text_add(html, "<td>");
    il__number_text(html, mean, 3);
    if (b->seed_count > 1) {
        il_text_add(html, "<small>");
        for (size_t i = 0; i < b->seed_count; i++) {
            il_text_add(html, i > 0 ? " " : "");
            if (isfinite(b->seeds[i].value[value])) {
                il__number_text(html, b->seeds[i].value[value], 2);
            } else {
                il_text_add(html, "&middot;");
            }
        }
        il_text_add(html, "</small>");
    }
    il_text_add(html, "</td>");
}

static void add_pressed_cells(const il__brief *b, il_text *html)
{
    add_channel_cells(b, html);
    il_text_add(html, "<td class=\"words\">");
    if (b->outcome != NULL) {
        il__class_text(html, b->outcome);
        if (b->outcome_seeds > 0) {
            il_text_addf(html, "<small>%zu of %zu</small>", b->outcome_seeds,
                         b->seed_count);
        }
    }
    il_text_add(html, "</td><td class=\"words\">");
    if (b->cost != NULL) {
        il__html_text(html, b->cost);
        il_text_add(html, b->cost_mean > 0 ? " +" : " ");
        il__number_text(html, b->cost_mean, 3);
    }
    il_text_add(html, b->lowered ? "</td><td class=\"lowered\">lowered</td>"
                                 : "</td><td></td>");
}

static void add_arm(const il__brief *b, const il__brief *before, il_text *html)
{
    static const char *const names[] = {"", "twin", "placebo", ""};
    bool first = before == NULL || strcmp(before->run, b->run) != 0;

    il_text_add(html, first ? "<tr class=\"first\"><th scope=\"row\">"
                            : "<tr><th scope=\"row\">");
    il__html_text(html, b->label);
    il_text_add(html, "</th><td class=\"words\">");
    if (b->role == IL__BRIEF_PRESSED) {
        il__verdict_pill(html, b->alive);
    } else {
        il_text_add(html, names[b->role]);
    }
    il_text_add(html, "</td><td class=\"words\">");
    il__html_text(html, b->behaviour);
    il_text_add(html, "</td>");
    for (int v = 0; v < IL__BRIEF_VALUES; v++) {
        add_value(b, v, html);
    }
    if (b->role == IL__BRIEF_PRESSED) {
        add_pressed_cells(b, html);
    } else {
        il_text_addf(html, "<td class=\"none\" colspan=\"%d\"></td>", IL__CHANNELS + 4);
    }
    il_text_add(html, "</tr>\n");
}

static void add_arms(const il__briefs *all, il_text *html)
{
    static const char *const heads[] = {"behaviour", "measured", "reading", "recall",
                                        "fresh"};
    bool few = all->count <= 6 * IL__OVERVIEW_APART;

    il_text_add(html, "<section aria-labelledby=\"tables\"><h2 id=\"tables\">Every "
                      "arm</h2>\n<p class=\"hint\">Means over seeds, with each seed "
                      "below.</p>\n");
    if (!few) {
        il_text_addf(html, "<details><summary>%zu arms</summary>\n", all->count);
    }
    il__table_begin(html, "channels numbers", "Every arm");
    il_text_add(html, "<th scope=\"col\">run and arm</th><th scope=\"col\" "
                      "class=\"words\">detector</th>");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        il_text_addf(html, "<th scope=\"col\">%s</th>", heads[i]);
    }
    for (int c = 0; c < IL__CHANNELS; c++) {
        il_text_addf(html, "<th scope=\"col\">%s</th>", il__channel_names[c]);
    }
    il_text_add(html, "<th scope=\"col\">certificate</th><th scope=\"col\" "
                      "class=\"words\">outcome</th><th scope=\"col\" class=\"words\">"
                      "largest cost</th><th scope=\"col\">demand</th></tr></thead>"
                      "<tbody>\n");
    for (size_t i = 0; i < all->count; i++) {
        add_arm(all->items[i], i > 0 ? all->items[i - 1] : NULL, html);
    }
    il__table_end(html);
    il_text_add(html, few ? "" : "</details>\n");
    il_text_add(html, "</section>\n");
}

/* ---- the page ---------------------------------------------------------------------
 */

/* The arms side by side, while there are few. */
static void add_chips(const il__briefs *all, il_text *html)
{
    if (all->pressed == 0 || all->pressed > IL__OVERVIEW_APART) {
        return;
    }
    il_text_add(html, "<ul class=\"chips\">\n");
    for (size_t i = 0; i < all->count; i++) {
        if (all->items[i]->role == IL__BRIEF_PRESSED) {
            il_text_add(html, "<li>");
            il__verdict_pill(html, all->items[i]->alive);
            il_text_add(html, " ");
            il__html_text(html, all->items[i]->label);
            il_text_add(html, "</li>\n");
        }
    }
    il_text_add(html, "</ul>\n");
}

static void add_sentences(const il__briefs *all, il_text *html)
{
    size_t shown = 0;

    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];

        if (b->role != IL__BRIEF_PRESSED || b->sentence == NULL) {
            continue;
        }
        il_text_add(html, shown++ == 0 ? "<details><summary>Each in a sentence"
                                         "</summary>\n<ul class=\"verdicts\">\n"
                                       : "");
        il_text_add(html, "<li>");
        il__verdict_pill(html, b->alive);
        il_text_add(html, " <b>");
        il__html_text(html, b->run);
        il_text_add(html, "</b>: ");
        il__html_text(html, b->sentence);
        il_text_add(html, "</li>\n");
    }
    il_text_add(html, shown > 0 ? "</ul></details>\n" : "");
}

void il__overview(const il__briefs *all, il_text *html)
{
    static const il__page_part parts[] = {
        {"verdict", "Verdict"}, {"tables", "Every arm"}, {"provenance", "Provenance"}};

    il__page_begin(html, "Runs compared",
                   "Each run&rsquo;s own report has its figures in full.", parts,
                   sizeof parts / sizeof parts[0]);
    il_text_add(html, "<section id=\"verdict\" aria-label=\"Verdict\">\n");
    add_lead(all, html);
    add_chips(all, html);
    add_sentences(all, html);
    il_text_add(html, "<div class=\"cards\">\n");
    il__overview_figures(all, html);
    add_channels(all, html);
    add_outcomes(all, html);
    il_text_add(html, "</div></section>\n");
    add_arms(all, html);
    il_text_addf(html,
                 "<section aria-labelledby=\"provenance\"><h2 id=\"provenance\">"
                 "Provenance</h2>\n<p>Made by Interloop %s from the folders of %zu "
                 "runs; pipelines, plugins with their hashes and states stand in each "
                 "run&rsquo;s own report.</p></section>\n",
                 IL_VERSION, all->run_count);
    il__page_end(html);
}
