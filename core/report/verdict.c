/* The order of the first screen is the order of the questions: see verdict.h. */
#include "report/verdict.h"

#include <math.h>
#include <string.h>
#include "report/credit.h"
#include "report/figure.h"
#include "report/html.h"

void il__verdict_pill(il_text *html, il__alive alive)
{
    static const char *const pills[] = {
        [IL__ALIVE_UNKNOWN] = "<span class=\"pill unsure\">not judged</span>",
        [IL__ALIVE_SHOWN] = "<span class=\"pill good\">&#10003; alive</span>",
        [IL__ALIVE_FALLEN] = "<span class=\"pill bad\">&#10007; fallen</span>",
        [IL__ALIVE_OPEN] = "<span class=\"pill unsure\">? not shown</span>"};

    il_text_add(html, pills[alive]);
}

/* ---- sentences ------------------------------------------------------------------ */

/* What was measured of an arm, where nobody has concluded anything: means over seeds,
 * which are no claim. */
static void add_measured(const il__result_arm *arm, const char *metric, il_text *html)
{
    double sum = 0;
    size_t n = 0;

    for (size_t s = 0; s < arm->row_count && *metric != '\0'; s++) {
        double value;

        if (il__row_metric(arm->rows[s], metric, &value)) {
            sum += value;
            n++;
        }
    }
    if (n > 0) {
        il__html_text(html, metric);
        il_text_add(html, " ");
        il__number_text(html, sum / (double)n, 2);
    }
}

static void add_sentence(const il__results *r, const il__focus *f,
                         const il__result_arm *arm, il_text *html)
{
    const json_t *entry = il__conclusion_of(r, arm);
    const char *sentence = json_string_value(json_object_get(entry, "sentence"));

    if (sentence != NULL) {
        il__html_text(html, sentence);
        return;
    }
    il_text_add(html, "<b>");
    il__html_text(html, arm->label);
    il_text_add(html, "</b>, measured and nothing concluded: ");
    add_measured(arm, f->behaviour, html);
    if (arm->twin != NULL) {
        il_text_add(html, ", in its twin ");
        add_measured(arm->twin, f->behaviour, html);
    }
    if (f->recall[0] != '\0') {
        il_text_add(html, "; ");
        add_measured(arm, f->recall, html);
        if (arm->twin != NULL) {
            il_text_add(html, ", in its twin ");
            add_measured(arm->twin, f->recall, html);
        }
    }
    il_text_addf(html, "; %zu seed%s.", arm->row_count, arm->row_count == 1 ? "" : "s");
}

/* How a behaviour changed, by the interval of a claim's mean. */
static void count_changes(const il__results *r, const il__focus *f, il_text *html)
{
    size_t fell = 0;
    size_t rose = 0;
    size_t claimed = 0;

    for (size_t i = 0; i < f->subject_count; i++) {
        const json_t *claim =
            il__claim_of(il__conclusion_of(r, f->subjects[i]), f->behaviour, "twin");

        claimed += claim != NULL;
        fell += il__number_of(claim, "high") < 0;
        rose += il__number_of(claim, "low") > 0;
    }
    if (claimed > 0) {
        const size_t counts[] = {fell, rose, claimed - fell - rose};
        static const char *const words[] = {"fell against the twin", "rose",
                                            "is not shown to have moved"};

        il__html_text(html, f->behaviour);
        for (size_t k = 0, said = 0; k < 3; k++) {
            if (counts[k] > 0) {
                il_text_addf(html, "%s %s in %zu", said++ > 0 ? "," : "", words[k],
                             counts[k]);
            }
        }
        il_text_add(html, "; ");
    }
}

/* One sentence over many arms, by counting theirs. */
static void add_count(const il__results *r, const il__focus *f, il_text *html)
{
    size_t counts[4] = {0};
    size_t least = SIZE_MAX;
    size_t most = 0;

    for (size_t i = 0; i < f->subject_count; i++) {
        const il__result_arm *arm = f->subjects[i];

        counts[il__alive_of(il__claim_alive(r, il__conclusion_of(r, arm)))]++;
        least = arm->row_count < least ? arm->row_count : least;
        most = arm->row_count > most ? arm->row_count : most;
    }
    il_text_addf(
        html, "<p class=\"lead\">Under pressure in %zu variants: ", f->subject_count);
    count_changes(r, f, html);
    il_text_add(html, "<b>");
    il__html_text(html, r->detector != NULL ? r->detector : "the detector");
    il_text_add(html, "</b> ");
    if (counts[IL__ALIVE_UNKNOWN] == f->subject_count) {
        il_text_add(html, "has not been judged by a margin");
    } else {
        static const char *const words[] = {
            [IL__ALIVE_UNKNOWN] = "has not been judged",
            [IL__ALIVE_SHOWN] = "is alive",
            [IL__ALIVE_FALLEN] = "has fallen",
            [IL__ALIVE_OPEN] = "is shown to be neither alive nor fallen"};
        static const int order[] = {IL__ALIVE_SHOWN, IL__ALIVE_FALLEN, IL__ALIVE_OPEN,
                                    IL__ALIVE_UNKNOWN};

        for (size_t k = 0, said = 0; k < 4; k++) {
            if (counts[order[k]] > 0) {
                il_text_addf(html, "%s%s in %zu", said++ > 0 ? ", " : "",
                             words[order[k]], counts[order[k]]);
            }
        }
    }
    if (least == most) {
        il_text_addf(html, "; %zu seed%s each.</p>\n", most, most == 1 ? "" : "s");
    } else {
        il_text_addf(html, "; %zu to %zu seeds each.</p>\n", least, most);
    }
}

/* The arms of many side by side, and a sentence for each behind a click. */
static void add_chips(const il__results *r, const il__focus *f, il_text *html)
{
    il_text_add(html, "<ul class=\"chips\">\n");
    for (size_t i = 0; i < f->subject_count; i++) {
        const il__result_arm *arm = f->subjects[i];

        il_text_add(html, "<li>");
        il__verdict_pill(html,
                         il__alive_of(il__claim_alive(r, il__conclusion_of(r, arm))));
        il_text_add(html, " ");
        il__html_text(html, arm->label);
        il_text_add(html, "</li>\n");
    }
    il_text_add(html, "</ul>\n<details><summary>Each in a sentence</summary>\n<ul "
                      "class=\"verdicts\">\n");
    for (size_t i = 0; i < f->subject_count; i++) {
        il_text_add(html, "<li>");
        add_sentence(r, f, f->subjects[i], html);
        il_text_add(html, "</li>\n");
    }
    il_text_add(html, "</ul></details>\n");
    if (f->left_out > 0) {
        il_text_addf(html, "<p class=\"hint\">%zu more are in the tables below.</p>\n",
                     f->left_out);
    }
}

void il__verdict_sentences(const il__results *r, const il__focus *f, il_text *html)
{
    if (f->subject_count == 0) {
        il_text_addf(
            html,
            "<p class=\"lead\">No detector presses on anything here: what "
            "follows was measured under monitoring alone, on %zu seed%s.</p>\n",
            json_array_size(r->seeds), json_array_size(r->seeds) == 1 ? "" : "s");
        return;
    }
    if (f->subject_count == 1) {
        const il__result_arm *arm = f->subjects[0];

        il_text_add(html, "<p class=\"lead\">");
        il__verdict_pill(html,
                         il__alive_of(il__claim_alive(r, il__conclusion_of(r, arm))));
        il_text_add(html, " ");
        add_sentence(r, f, arm, html);
        il_text_add(html, "</p>\n");
        return;
    }
    add_count(r, f, html);
    add_chips(r, f, html);
}

/* ---- behaviour against reading -------------------------------------------------- */

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

void il__verdict_behaviour(const il__results *r, const il__focus *f, il_text *html)
{
    static const char *const roles[] = {"run", "twin", "placebo"};
    il__figure figure = {.id = "behaviour-against-reading"};
    const char *names[] = {"panel",    "arm",        "role", "seed",
                           f->reading, f->behaviour, NULL};
    char words[2][256];
    il__axis axes[2] = {{.label = words[0]}, {.label = words[1]}};
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
        for (size_t k = 0; arm != NULL && k < arm->placebo_count; k++) {
            add_arm(&figure, &p, f, arm->placebos[k], NULL, IL__CROSS, IL__HUE_B,
                    roles[2], arm->label);
        }
        if (arm != NULL && arm->twin != NULL) {
            add_arm(&figure, &p, f, arm->twin, NULL, IL__RING, IL__HUE_INK, roles[1],
                    arm->label);
        }
        if (arm != NULL) {
            add_arm(&figure, &p, f, arm, arm->twin, IL__DISC, IL__HUE_A, roles[0],
                    arm->label);
        }
        for (size_t k = 0; arm == NULL && k < r->arm_count; k++) {
            add_arm(&figure, &p, f, &r->arms[k], NULL, IL__DISC, IL__HUE_A, "",
                    p.title);
        }
        il__figure_panel(&figure, &p);
    }
    il__figure_key(&figure, IL__DISC, IL__HUE_A,
                   f->subject_count > 0 ? "a seed under pressure" : "a seed");
    for (size_t i = 0, twins = 0, placebos = 0; i < f->subject_count; i++) {
        if (f->subjects[i]->twin != NULL && twins++ == 0) {
            il__figure_key(&figure, IL__RING, IL__HUE_INK, "its twin without pressure");
        }
        if (f->subjects[i]->placebo_count > 0 && placebos++ == 0) {
            il__figure_key(&figure, IL__CROSS, IL__HUE_B, "a placebo");
        }
    }
    {
        il_text caption = {0};

        il_text_add(&caption, "Up: ");
        il__html_text(&caption, words[1]);
        il_text_add(&caption, ". Right: ");
        il__html_text(&caption, words[0]);
        il_text_add(&caption, ". Dotted: from a seed&rsquo;s twin to the seed.");
        html->failed = html->failed || caption.failed;
        il__figure_end(&figure, caption.data, html);
        il_text_free(&caption);
    }
    il_text_add(html, "</section>\n");
}

void il__verdict(const il__results *r, il_text *html)
{
    il__focus f;

    il__focus_of(r, &f);
    il_text_add(html, "<section id=\"verdict\" aria-label=\"Verdict\">\n");
    il__verdict_sentences(r, &f, html);
    il__verdict_halts(r, html);
    il__credit_warnings(r, html);
    il_text_add(html, "<div class=\"cards\">\n");
    il__verdict_behaviour(r, &f, html);
    il__verdict_health(r, &f, html);
    il__verdict_channels(r, &f, html);
    il__verdict_outcome(r, &f, html);
    il__verdict_price(r, &f, html);
    il_text_add(html, "</div></section>\n");
}
