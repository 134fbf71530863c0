/* Behaviour against what the detector reads, with a panel for each pressed arm. */
#include <math.h>
#include <stdio.h>
#include "report/figure.h"
#include "report/html.h"
#include "report/verdict.h"

/* The dots of one arm, and a thread from the seeds of another to its own. */
static void add_arm(il__figure *figure, il__plot *p, const il__focus *f,
                    const il__result_arm *arm, const il__result_arm *from,
                    il__shape shape, il__hue hue, const char *role, const char *panel)
{
    for (size_t s = 0; s < arm->row_count; s++) {
        const il__result_row *other =
            from != NULL ? il__arm_row(from, arm->rows[s]->seed) : NULL;
        double x[2];
        double y[2];
        char tip[160];

        if (!il__row_metric(arm->rows[s], f->reading, &x[1]) ||
            !il__row_metric(arm->rows[s], f->behaviour, &y[1])) {
            continue;
        }
        if (other != NULL && il__row_metric(other, f->reading, &x[0]) &&
            il__row_metric(other, f->behaviour, &y[0])) {
            il__plot_line(p, x, y, 2, IL__HUE_MUTED, IL__DOTTED);
        }
        (void)snprintf(tip, sizeof tip, "%s, seed %lld", arm->label,
                       (long long)arm->rows[s]->seed);
        il__plot_mark(p, x[1], y[1], shape, hue, tip);
        il__csv_text(&figure->csv, panel);
        il__csv_text(&figure->csv, arm->label);
        il__csv_text(&figure->csv, role);
        il__csv_integer(&figure->csv, arm->rows[s]->seed);
        il__csv_number(&figure->csv, x[1]);
        il__csv_number(&figure->csv, y[1]);
        il__csv_end(&figure->csv);
    }
}

/* How far a metric reaches over all rows. */
static void fit_axis(const il__results *r, const char *metric, il__axis *axis)
{
    double low = INFINITY;
    double high = -INFINITY;

    for (size_t i = 0; i < r->row_count; i++) {
        double value;

        if (il__row_metric(&r->rows[i], metric, &value)) {
            low = fmin(low, value);
            high = fmax(high, value);
        }
    }
    il__axis_fit(axis, low, high);
}

/* A subject with its twin and its placebos, or all arms where `arm` is NULL. */
static void add_panel(const il__results *r, const il__focus *f, il__figure *figure,
                      const il__result_arm *arm, il__plot *p)
{
    for (size_t k = 0; arm != NULL && k < arm->placebo_count; k++) {
        add_arm(figure, p, f, arm->placebos[k], NULL, IL__CROSS, IL__HUE_B, "placebo",
                arm->label);
    }
    if (arm != NULL && arm->twin != NULL) {
        add_arm(figure, p, f, arm->twin, NULL, IL__RING, IL__HUE_INK, "twin",
                arm->label);
    }
    if (arm != NULL) {
        add_arm(figure, p, f, arm, arm->twin, IL__DISC, IL__HUE_A, "run", arm->label);
    }
    for (size_t k = 0; arm == NULL && k < r->arm_count; k++) {
        add_arm(figure, p, f, &r->arms[k], NULL, IL__DISC, IL__HUE_A, "", p->title);
    }
    il__figure_panel(figure, p);
}

static void add_keys(il__figure *figure, const il__focus *f)
{
    size_t twins = 0;
    size_t placebos = 0;

    for (size_t i = 0; i < f->subject_count; i++) {
        twins += f->subjects[i]->twin != NULL;
        placebos += f->subjects[i]->placebo_count;
    }
    il__figure_key(figure, IL__DISC, IL__HUE_A,
                   f->subject_count > 0 ? "a seed under pressure" : "a seed");
    if (twins > 0) {
        il__figure_key(figure, IL__RING, IL__HUE_INK, "its twin without pressure");
    }
    if (placebos > 0) {
        il__figure_key(figure, IL__CROSS, IL__HUE_B, "a placebo");
    }
}

void il__verdict_behaviour(const il__results *r, const il__focus *f, il_text *html)
{
    il__figure figure = {.id = "behaviour-against-reading"};
    const char *names[] = {"panel",    "arm",        "role", "seed",
                           f->reading, f->behaviour, NULL};
    char words[2][256];
    il__axis axes[2] = {{.label = words[0]}, {.label = words[1]}};
    il_text caption = {0};
    size_t panels = f->subject_count > 0 ? f->subject_count : 1;

    il_text_add(html,
                f->subject_count > 2 ? "<section class=\"across\">" : "<section>");
    il_text_add(html, "<h3>Behaviour and what the detector reads</h3>\n");
    if (f->behaviour[0] == '\0' || f->reading[0] == '\0') {
        il_text_add(html, "<p class=\"missing\">Not measured in this run: a behaviour "
                          "and a detector&rsquo;s mean reading.</p></section>\n");
        return;
    }
    il__metric_words(r, f->reading, words[0], sizeof words[0]);
    il__metric_words(r, f->behaviour, words[1], sizeof words[1]);
    fit_axis(r, f->reading, &axes[0]);
    fit_axis(r, f->behaviour, &axes[1]);
    il__figure_columns(&figure, names);
    for (size_t i = 0; i < panels; i++) {
        const il__result_arm *arm = f->subject_count > 0 ? f->subjects[i] : NULL;
        il__plot p = {.title = arm != NULL ? arm->label : "all arms",
                      .x = axes[0],
                      .y = axes[1],
                      .width = panels > 2 ? IL__PANEL_SMALL : IL__PANEL_WIDE};

        if (p.width == IL__PANEL_SMALL) { /* the words stand below, once */
            p.x.label = "reading";
            p.y.label = f->behaviour;
        }
        il_text_addf(&p.said, "%s up, %s to the right.", words[1], words[0]);
        add_panel(r, f, &figure, arm, &p);
    }
    add_keys(&figure, f);
    il_text_add(&caption, "Up: ");
    il__html_text(&caption, words[1]);
    il_text_add(&caption, ". Right: ");
    il__html_text(&caption, words[0]);
    il_text_add(&caption, ". Dotted: from a seed&rsquo;s twin to the seed.");
    html->failed = html->failed || caption.failed;
    il__figure_end(&figure, caption.data, html);
    il_text_free(&caption);
    il_text_add(html, "</section>\n");
}
