/* A comparison as a page: for each metric a figure of what was measured and of the
 * differences, and a table of what they allow to be said. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/compare.h"
#include "report/conclusions.h"
#include "report/figure.h"
#include "report/html.h"
#include "report/page.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* The seeds of one line, spread around it. */
static void add_seeds(il__plot *p, const json_t *seeds, size_t line, const char *arm,
                      il__shape shape, il__hue hue)
{
    size_t count = json_object_size(seeds);
    size_t i = 0;
    const char *seed;
    json_t *value;

    json_object_foreach((json_t *)seeds, seed, value)
    {
        char tip[200];

        (void)snprintf(tip, sizeof tip, "%s, seed %s", arm, seed);
        il__plot_mark(p, json_number_value(value),
                      (double)line + il__plot_spread(i++, count), shape, hue, tip);
    }
}

/* Widens a range to hold the seeds. */
static void reach(const json_t *seeds, double range[2])
{
    const char *seed;
    json_t *value;

    json_object_foreach((json_t *)seeds, seed, value)
    {
        range[0] = fmin(range[0], json_number_value(value));
        range[1] = fmax(range[1], json_number_value(value));
    }
}

static void add_data(il__figure *f, const json_t *arm)
{
    const json_t *seeds = json_object_get(arm, "seeds");
    const json_t *paired = json_object_get(arm, "paired");
    const char *seed;
    json_t *value;

    json_object_foreach((json_t *)seeds, seed, value)
    {
        const json_t *difference = json_object_get(paired, seed);

        il__csv_text(&f->csv, text_of(arm, "run"));
        il__csv_text(&f->csv, text_of(arm, "arm"));
        il__csv_text(&f->csv, seed);
        il__csv_number(&f->csv, json_number_value(value));
        il__csv_text(&f->csv, text_of(arm, "against"));
        il__csv_number(&f->csv, json_is_number(difference)
                                    ? json_number_value(difference)
                                    : (double)NAN);
        il__csv_end(&f->csv);
    }
}

/* What was measured, a line an arm. */
static void add_values(il__figure *f, const json_t *arms, const char *metric,
                       const char **labels)
{
    size_t count = json_array_size(arms);
    double range[2] = {INFINITY, -INFINITY};
    il__plot p = {.title = "measured", .rows = labels, .row_count = count};

    p.x.label = metric;
    for (size_t i = 0; i < count; i++) {
        const json_t *arm = json_array_get(arms, i);

        labels[i] = text_of(arm, "arm");
        reach(json_object_get(arm, "seeds"), range);
        add_data(f, arm);
    }
    il__axis_fit(&p.x, range[0], range[1]);
    for (size_t i = 0; i < count; i++) {
        const json_t *arm = json_array_get(arms, i);

        add_seeds(&p, json_object_get(arm, "seeds"), i, labels[i], IL__DISC, IL__HUE_A);
        if (json_object_size(json_object_get(arm, "seeds")) > 1) {
            il__plot_mark(&p, il__number_of(arm, "mean"), (double)i, IL__TICK,
                          IL__HUE_INK, "mean over seeds");
        }
    }
    il_text_addf(&p.said, "%zu arms from top to bottom, a mark for each seed.", count);
    il__figure_panel(f, &p);
}

/* Differences, of the arms that have any, with Student's interval and the margin. */
static void add_differences(il__figure *f, const json_t *arms, const char *metric,
                            const char **labels)
{
    double most = 0;
    double margin = (double)NAN;
    char label[200];
    il__plot p = {.title = "differences", .rows = labels};

    (void)snprintf(label, sizeof label, "difference in %s", metric);
    p.x.label = label;
    for (size_t i = 0; i < json_array_size(arms); i++) {
        const json_t *arm = json_array_get(arms, i);
        const json_t *test = json_object_get(arm, "test");
        double range[2] = {0, 0};

        if (json_object_size(json_object_get(arm, "paired")) == 0) {
            continue;
        }
        reach(json_object_get(arm, "paired"), range);
        most = fmax(most, fmax(-range[0], range[1]));
        most = fmax(most, fmax(fabs(il__number_of(test, "low")),
                               fabs(il__number_of(test, "high"))));
        margin =
            fmax(margin, il__number_of(json_object_get(arm, "equivalence"), "margin"));
        labels[p.row_count++] = text_of(arm, "arm");
    }
    if (p.row_count == 0) {
        return;
    }
    most = fmax(most, margin);
    il__axis_fit(&p.x, most > 0 ? -most : -1, most > 0 ? most : 1);
    il__plot_rule(&p, 0, true, IL__SOLID);
    il__plot_rule(&p, -margin, true, IL__DASHED);
    il__plot_rule(&p, margin, true, IL__DASHED);
    for (size_t i = 0, line = 0; i < json_array_size(arms); i++) {
        const json_t *arm = json_array_get(arms, i);
        const json_t *paired = json_object_get(arm, "paired");
        const json_t *test = json_object_get(arm, "test");

        if (json_object_size(paired) == 0) {
            continue;
        }
        il__plot_interval(&p, il__number_of(test, "low"), il__number_of(test, "high"),
                          (double)line, false, IL__HUE_MUTED);
        add_seeds(&p, paired, line, text_of(arm, "arm"), IL__RING, IL__HUE_A);
        il__plot_mark(&p, il__number_of(arm, "paired_mean"), (double)line, IL__TICK,
                      IL__HUE_INK, "mean difference");
        line++;
    }
    il_text_addf(&p.said, "%zu differences from top to bottom, a mark for each seed.",
                 p.row_count);
    il__figure_panel(f, &p);
}

static void add_number(il_text *html, double value, int decimals, bool sign)
{
    if (!isfinite(value)) {
        il_text_add(html, "<td class=\"none\">&ndash;</td>");
        return;
    }
    il_text_add(html, sign && value > 0 ? "<td>+" : "<td>");
    il__number_text(html, value, decimals);
    il_text_add(html, "</td>");
}

/* No p is 0. */
static void add_p(il_text *html, double p)
{
    if (p < 0.0005) {
        il_text_add(html, "<td>&lt;0.001</td>");
    } else {
        add_number(html, p, 3, false);
    }
}

static void add_row(const json_t *arm, bool margin, il_text *html)
{
    const json_t *test = json_object_get(arm, "test");
    const json_t *within = json_object_get(arm, "equivalence");
    const json_t *seeds = json_object_get(arm, "seeds");
    const char *seed;
    json_t *value;
    size_t shown = 0;

    il_text_add(html, "<tr><th scope=\"row\">");
    il__html_text(html, text_of(arm, "arm"));
    il_text_add(html, "</th><td>");
    il__number_text(html, il__number_of(arm, "mean"), 3);
    il_text_add(html, "<small>");
    json_object_foreach((json_t *)seeds, seed, value)
    {
        il_text_add(html, shown++ > 0 ? " " : "");
        il__number_text(html, json_number_value(value), 2);
    }
    il_text_add(html, "</small></td>");
    add_number(html, il__number_of(arm, "iqm"), 3, false);
    il_text_add(html, "<td class=\"words\">");
    il__html_text(html, text_of(arm, "against"));
    il_text_add(html, "</td>");
    add_number(html, il__number_of(arm, "paired_mean"), 3, true);
    add_number(html, il__number_of(test, "low"), 3, true);
    add_number(html, il__number_of(test, "high"), 3, true);
    add_p(html, il__number_of(test, "flip_p"));
    add_p(html, il__number_of(test, "floor_p"));
    add_p(html, il__number_of(test, "t_p"));
    if (margin) {
        il_text_add(html, within == NULL ? "<td class=\"none\">&ndash;</td>"
                          : json_is_true(json_object_get(within, "shown"))
                              ? "<td class=\"words good\">&#10003; within</td>"
                              : "<td class=\"words\">not shown</td>");
    }
    il_text_add(html, "</tr>\n");
}

static void add_table(const json_t *arms, const char *metric, il_text *html)
{
    static const char *const heads[] = {"mean",       "interquartile mean", "against",
                                        "difference", "95% from",           "to",
                                        "p by signs", "its floor",          "p by t"};
    bool margin = false;

    for (size_t i = 0; i < json_array_size(arms); i++) {
        margin =
            margin || json_object_get(json_array_get(arms, i), "equivalence") != NULL;
    }
    il__table_begin(html, "numbers", "Differences");
    il_text_add(html, "<th scope=\"col\" class=\"words\">");
    il__html_text(html, metric);
    il_text_add(html, "</th>");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        il_text_addf(html, "<th scope=\"col\"%s>%s</th>",
                     i == 2 ? " class=\"words\"" : "", heads[i]);
    }
    il_text_add(html, margin ? "<th scope=\"col\" class=\"words\">margin</th>" : "");
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < json_array_size(arms); i++) {
        add_row(json_array_get(arms, i), margin, html);
    }
    il__table_end(html);
}

static void add_metric(const json_t *entry, size_t number, il_text *html)
{
    static const char *const names[] = {"run",     "arm",        "seed", "value",
                                        "against", "difference", NULL};
    const json_t *arms = json_object_get(entry, "arms");
    const char *metric = text_of(entry, "metric");
    const char **labels = calloc(json_array_size(arms) + 1, sizeof *labels);
    char id[32];
    il__figure figure = {.id = id};

    (void)snprintf(id, sizeof id, "metric-%zu", number + 1);
    if (labels == NULL) {
        html->failed = true;
        return;
    }
    il_text_add(html, "<section><h2>");
    il__html_text(html, metric);
    il_text_add(html, "</h2>\n");
    il__figure_columns(&figure, names);
    add_values(&figure, arms, metric, labels);
    add_differences(&figure, arms, metric, labels);
    il__figure_key(&figure, IL__DISC, IL__HUE_A, "a seed");
    il__figure_key(&figure, IL__RING, IL__HUE_A,
                   "a seed minus the same seed of the "
                   "other");
    il__figure_key(&figure, IL__TICK, IL__HUE_INK, "mean");
    il__figure_key_line(&figure, IL__HUE_MUTED, IL__SOLID, "95% interval of the mean");
    il__figure_end(&figure, NULL, html);
    add_table(arms, metric, html);
    il_text_add(html, "</section>\n");
    free(labels);
}

void il_compare_page(const json_t *compared, il_text *html)
{
    il__page_begin(html, "Arms compared",
                   "Student&rsquo;s intervals and sign flips over seeds; so few seeds "
                   "cannot give a p below its floor.",
                   NULL, 0);
    for (size_t m = 0; m < json_array_size(compared); m++) {
        add_metric(json_array_get(compared, m), m, html);
    }
    il__page_end(html);
}
