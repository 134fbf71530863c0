/* The order of the page is the order of the questions: was the firewall what was asked
 * for, what came of it in numbers, how it went over time, and through which paths. */
#include "report/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "report/charts.h"
#include "report/html.h"
#include "report/results.h"
#include "report/tables.h"

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light}\n"
    "body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;color:#222;"
    "background:#fff;max-width:1120px;margin:0 auto;padding:2rem 1.25rem 4rem}\n"
    "h1{font-size:1.75rem;margin:0}h2{font-size:1.2rem;margin:2.4rem 0 .5rem;"
    "padding-top:.7rem;border-top:1px solid #e2e2e2}h3{font-size:1rem;margin:1.4rem 0 .2rem}"
    "h4{font-size:.9rem;margin:1rem 0 .3rem}\n"
    "p{margin:.4rem 0;max-width:62rem}.facts,.key{color:#666;font-size:.85rem}"
    ".key span{margin-right:.9rem;white-space:nowrap}\n"
    ".banner{border-left:4px solid #0072B2;background:#f1f6fa;padding:.6rem .9rem;"
    "margin:1rem 0}.banner.low{border-color:#D55E00;background:#fdf4ee}\n"
    "table{border-collapse:collapse;font-size:.82rem}.wide{overflow-x:auto}\n"
    "th,td{padding:.26rem .55rem;border-bottom:1px solid #ececec;vertical-align:top}\n"
    "thead th{font-weight:600;color:#555;border-bottom:1px solid #bbb;text-align:right}\n"
    "tbody th{text-align:left;font-weight:600;white-space:nowrap}"
    "td{text-align:right;font-variant-numeric:tabular-nums}\n"
    "small{display:block;color:#888;font-size:.72rem;font-weight:400;white-space:nowrap}\n"
    ".base{background:#f8f8f8}td.words{text-align:left}.none{color:#bbb}\n"
    ".channels th,.channels td{text-align:center}.channels tbody th,.channels .words"
    "{text-align:left}.channels tr.first>*{border-top:1px solid #ccc}\n"
    ".open{background:#fbe3d6;color:#9a3f00;font-weight:600}.closed{color:#4c7a94}"
    ".moves{background:#dcebf5;color:#00507d}\n"
    ".openword,.lowered{color:#b34a00}.closedword{color:#00679f}\n"
    "svg{display:block;width:100%;height:auto;margin:.4rem 0}"
    "svg text{font-family:system-ui,sans-serif}\n"
    ".missing{border:1px dashed #bbb;color:#777;padding:1rem}"
    "figure{margin:0 0 1rem}figcaption{color:#555;font-size:.85rem}\n"
    "i.k{display:inline-block;width:.75em;height:.75em;border-radius:50%;"
    "margin-right:.3em}details{border-bottom:1px solid #ececec;padding:.3rem 0}"
    "summary{cursor:pointer;font-weight:600}code{font-size:.82rem;overflow-wrap:anywhere}\n"
    "@media print{details{break-inside:avoid}body{padding:0}}\n"
    "</style>\n";

#define KEY(colour, words)                                                             \
    "<i class=\"k\" style=\"background:" colour "\"></i>" words " &ensp; "

typedef il_status chart(const il__results *r, il_text *svg, il_error *err);

/* Figures about the detector that presses; none without one. */
#define ABOUT_DETECTOR(name)                                                           \
    static il_status name(const il__results *r, il_text *svg, il_error *err)           \
    {                                                                                  \
        return r->detector != NULL ? il__##name(r, r->detector, svg, err) : IL_OK;     \
    }
ABOUT_DETECTOR(chart_trajectories)
ABOUT_DETECTOR(chart_readings)
ABOUT_DETECTOR(chart_recall)
ABOUT_DETECTOR(chart_prices)
ABOUT_DETECTOR(chart_histograms)
ABOUT_DETECTOR(chart_courses)

/* One figure with its heading and caption; nothing where nothing was measured. */
static void add_figure(const il__results *r, chart *draw, const char *heading,
                       const char *caption, il_text *html)
{
    il_error err = {0};
    il_text svg = {0};
    il_status status = draw(r, &svg, &err);

    if (status != IL_OK || svg.size > 0) {
        il_text_addf(html, "<h3>%s</h3>\n<figure>", heading);
        if (status != IL_OK) {
            il_text_add(html, "<p class=\"missing\">This figure could not be drawn: ");
            il__html_text(html, err.where);
            il_text_add(html, " ");
            il__html_text(html, err.message);
            il_text_add(html, "</p>");
        } else {
            il_text_add_bytes(html, svg.data, svg.size);
        }
        il_text_addf(html, "<figcaption>%s</figcaption></figure>\n", caption);
    }
    html->failed = html->failed || svg.failed;
    il_text_free(&svg);
}

/* Whether a pair has one of the first four channels open, those that `sealed` closes.
 */
static bool pair_leaks(const json_t *pair)
{
    static const char *const sealed[] = {"direct", "credit", "relay", "state"};
    bool leaks = false;

    for (size_t c = 0; c < sizeof sealed / sizeof sealed[0]; c++) {
        const json_t *cell =
            json_object_get(json_object_get(pair, "channels"), sealed[c]);

        leaks |= json_is_true(json_object_get(cell, "open"));
    }
    return leaks;
}

/* One sentence on all plans, for a run that states no verdict of its own. */
static void add_verdict(const il__results *r, il_text *html)
{
    size_t pressed = 0;
    size_t closed = 0;

    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        const json_t *pairs = json_object_get(json_array_get(r->plans, i), "pairs");
        bool leaks = false;

        for (size_t p = 0; p < json_array_size(pairs); p++) {
            leaks |= pair_leaks(json_array_get(pairs, p));
        }
        pressed += json_array_size(pairs) > 0;
        closed += json_array_size(pairs) > 0 && !leaks;
    }
    il_text_addf(
        html,
        "<p><b>Firewall:</b> a detector presses in %zu of %zu stages and "
        "variants; in %zu of those, direct, credit, relay and state are closed "
        "for every reader.</p>",
        pressed, json_array_size(r->plans), closed);
}

/* How many stages or variants run with less closed than the pipeline asks by itself. */
static size_t count_lowered(const il__results *r)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        count += json_is_true(json_object_get(json_array_get(r->plans, i), "lowered"));
    }
    return count;
}

/* Whether an earlier row, or entry of this one, says the same. */
static bool said_before(const il__results *r, size_t row, size_t entry)
{
    const json_t *same = json_array_get(r->rows[row].accepted, entry);

    for (size_t i = 0; i <= row; i++) {
        const json_t *all = r->rows[i].accepted;

        for (size_t k = 0; k < json_array_size(all) && (i < row || k < entry); k++) {
            if (json_equal(json_array_get(all, k), same)) {
                return true;
            }
        }
    }
    return false;
}

/* Detectors from files whose contracts differ from what they are used for. */
static void add_accepted(const il__results *r, il_text *html)
{
    static const struct {
        const char *before, *key;
    } parts[] = {{"<li>detector ", "detector"},
                 {" was made for another ", "what"},
                 {": here ", "expected"},
                 {", in its contract ", "got"},
                 {". Taken all the same: ", "why"}};
    size_t shown = 0;

    for (size_t i = 0; i < r->row_count; i++) {
        for (size_t k = 0; k < json_array_size(r->rows[i].accepted); k++) {
            const json_t *entry = json_array_get(r->rows[i].accepted, k);

            if (said_before(r, i, k)) {
                continue;
            }
            il_text_add(html, shown++ == 0
                                  ? "<p><b class=\"lowered\">Contracts that do not "
                                    "match:</b></p><ul>"
                                  : "");
            for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
                il_text_add(html, parts[p].before);
                il__html_text(html,
                              json_string_value(json_object_get(entry, parts[p].key)));
            }
            il_text_add(html, "</li>");
        }
    }
    il_text_add(html, shown > 0 ? "</ul>\n" : "");
}

static void add_top(const il__results *r, il_text *html)
{
    size_t lowered = count_lowered(r);

    il_text_add(html, "<header><h1>");
    il__html_text(html, r->name);
    il_text_add(html, "</h1>\n<p class=\"facts\">");
    il_text_addf(html, "%zu seed%s", json_array_size(r->seeds),
                 json_array_size(r->seeds) == 1 ? "" : "s");
    for (size_t i = 0; i < json_array_size(r->seeds); i++) {
        il_text_addf(html, "%s%lld", i == 0 ? ": " : ", ",
                     (long long)json_integer_value(json_array_get(r->seeds, i)));
    }
    if (r->numerics != NULL) {
        il_text_add(html, " &middot; numerics ");
        il__html_text(html, r->numerics);
    }
    if (r->kernel != NULL) {
        il_text_add(html, " &middot; kernel ");
        il__html_text(html, r->kernel);
    }
    il_text_addf(html, "</p></header>\n<div class=\"banner%s\">",
                 lowered ? " low" : "");
    if (r->verdict != NULL) {
        il_text_add(html, "<p><b>Firewall:</b> ");
        il__html_text(html, r->verdict);
        il_text_add(html, "</p>");
    } else if (json_array_size(r->plans) == 0) {
        il_text_add(html, "<p><b>Firewall:</b> no plan is on record for this run.</p>");
    } else {
        add_verdict(r, html);
    }
    if (lowered > 0) {
        il_text_add(html, "<p><b class=\"lowered\">Demand lowered by name in:</b> ");
        for (size_t i = 0, shown = 0; i < json_array_size(r->plans); i++) {
            const json_t *plan = json_array_get(r->plans, i);
            const char *variant = il__plan_variant(plan);

            if (json_is_true(json_object_get(plan, "lowered"))) {
                il_text_add(html, shown++ > 0 ? ", " : "");
                il__html_text(html,
                              variant != NULL
                                  ? variant
                                  : json_string_value(json_object_get(plan, "stage")));
            }
        }
        il_text_add(html, "</p>");
    }
    add_accepted(r, html);
    il_text_add(html, "<p>A verdict is about where a score can travel, never about a "
                      "detector's health: read it with the measurements below.</p>"
                      "</div>\n");
}

static void add_page(const il__results *r, il_text *html)
{
    il_text_add(html,
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    il__html_text(html, r->name);
    il_text_add(html, " &middot; Interloop</title>\n");
    il_text_add(html, style);
    il_text_add(html, "</head><body>\n");
    add_top(r, html);

    il_text_add(html,
                "<h2>What came of it</h2>\n<p>Means over seeds, with each seed in "
                "small print. Point at a number for its interval.</p>\n");
    il__table_metrics(r, html);
    il__table_outcome(r, html);
    il__table_cells(r, html);
    add_figure(r, il__chart_behaviour, "Behaviour",
               KEY("#0072B2", "one seed") "&nbsp; &times; mean over seeds.", html);
    add_figure(
        r, il__chart_readers, "The frozen detector against fresh readers",
        KEY("#0072B2", "frozen detector (diamond)") KEY("#D55E00", "fresh linear")
            KEY("#009E73", "fresh MLP") KEY(
                "#AA4499",
                "fresh attention") "Upright lines: the highest floor of those readers, dashed on a randomly "
                                   "initialized model, dotted on shuffled labels. Fresh readers that stay high "
                                   "where the frozen one falls mean that the thought is still there, unseen.",
        html);
    add_figure(
        r, il__chart_differences, "Run minus twin, run minus placebo",
        KEY("#0072B2", "minus the twin without pressure") KEY(
            "#D55E00",
            "minus the placebo (diamond)") "Paired by seed. What may be claimed about the detector's own information "
                                           "is run minus placebo.",
        html);
    add_figure(r, chart_readings, "What is true and what is read",
               KEY("#D55E00", "share of steps at which the label is true") KEY(
                   "#0072B2", "mean reading") "On the agent's own episodes, a line for "
                                              "each seed, against updates.",
               html);
    add_figure(r, chart_recall, "Recall at the first threshold",
               KEY("#0072B2", "the frozen detector (diamond)")
                   KEY("#D55E00",
                       "a fresh reader at 1% false positives") "A mark for each seed.",
               html);
    add_figure(
        r, chart_prices, "The price of a reading",
        KEY("#0072B2", "mean reading") "then in orange, green and purple the "
                                       "behaviours that are shares, in the table's "
                                       "order. Marks are seeds, lines join means; from "
                                       "left to right the weight of the reading.",
        html);
    il__table_triggers(r, html);
    add_figure(
        r, chart_histograms, "Readings by class on the reference set",
        KEY("#0072B2", "negatives")
            KEY("#D55E00", "positives") "Shares of each class by logit: dotted at the "
                                        "first audit, drawn through at the last, for "
                                        "each seed.",
        html);
    add_figure(
        r, il__chart_reliability, "What probabilities are worth",
        KEY("#0072B2", "as the pipeline uses them") KEY(
            "#D55E00",
            "before calibration (dashed)") "Rows in ten bins by probability: the share "
                                           "of them that is positive against their mean "
                                           "probability, with how many they are in the "
                                           "first seed. On the dotted line a "
                                           "probability means what it says.",
        html);
    add_figure(
        r, chart_courses, "The course of an episode",
        "Means at each position over the agent's own episodes (those in which the "
        "first label that never changes within an episode is true), for each seed.",
        html);
    add_figure(
        r, chart_trajectories, "The detector over training",
        KEY("#0072B2", "AUROC (solid)") KEY(
            "#D55E00",
            "true positives at the first threshold (dashed)") "One line for each seed; dotted grey is chance.",
        html);

    if (json_array_size(r->plans) > 0) {
        il_text_add(html,
                    "<h2>Where the pressure can go</h2>\n<p>Each line is one "
                    "detector that presses and one reader; the channels are computed "
                    "from the tape, not declared.</p>\n");
        il__table_channels(r, html);
    }
    if (json_array_size(r->certificates) > 0) {
        il_text_add(html, "<h3>Certificates</h3>\n");
        il__table_certificates(r, html);
    }
    if (json_array_size(r->plans) > 0) {
        il_text_add(html, "<h2>Plan by variant</h2>\n");
        for (size_t i = 0; i < json_array_size(r->plans); i++) {
            il__table_plan(json_array_get(r->plans, i), html);
        }
    }
    il_text_add(html, "</body></html>\n");
}

il_status il_report_write(const char *run_dir, const char *out_path, il_error *err)
{
    il__results results;
    il_text html = {0};
    char *path = NULL;
    il_status status;

    IL_TRY(il__results_read(run_dir, &results, err));
    add_page(&results, &html);
    path = out_path == NULL ? il_path_join(run_dir, "report.html") : NULL;
    if (html.failed || (out_path == NULL && path == NULL)) {
        status = il_error_set(err, IL_ERR_MEMORY, run_dir, "out of memory");
    } else {
        status = il_file_write(out_path != NULL ? out_path : path, html.data, html.size,
                               err);
    }
    free(path);
    il_text_free(&html);
    il__results_free(&results);
    return status;
}

il_status il_report_table(const char *run_dir, il_text *out, il_error *err)
{
    il__results results;

    IL_TRY(il__results_read(run_dir, &results, err));
    il__table_text(&results, out);
    il__results_free(&results);
    return out->failed ? il_error_set(err, IL_ERR_MEMORY, run_dir, "out of memory")
                       : IL_OK;
}
