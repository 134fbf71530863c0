/* The order of the first screen is the order of the questions: see verdict.h. */
#include "report/verdict.h"

#include <string.h>
#include "report/credit.h"
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
        il_text_add(html, most == 1 ? "cannot be judged by one seed"
                                    : "has not been judged by a margin");
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
