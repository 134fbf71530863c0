/* The order of the page: the verdict on the first screen, then figures, then tables,
 * then where it all comes from. */
#include "report/report.h"

#include <stdlib.h>
#include "base/files.h"
#include "report/charts.h"
#include "report/credit.h"
#include "report/html.h"
#include "report/overview.h"
#include "report/page.h"
#include "report/provenance.h"
#include "report/results.h"
#include "report/tables.h"
#include "report/verdict.h"

static void add_figures(const il__results *r, il_text *html)
{
    il_text_add(html, "<section aria-labelledby=\"figures\"><h2 id=\"figures\">"
                      "Figures</h2>\n<p class=\"hint\">Point at a mark for its seed; "
                      "the numbers of each figure are one click away.</p>\n");
    il__chart_behaviour(r, html);
    il__chart_differences(r, html);
    il__chart_readers(r, html);
    il__chart_recall(r, html);
    il__chart_drift(r, html);
    il__chart_paths(r, html);
    il__chart_outcome(r, html);
    il__chart_ledger(r, html);
    il__chart_credit(r, html);
    il__chart_trajectories(r, html);
    il__chart_readings(r, html);
    il__chart_prices(r, html);
    il__chart_histograms(r, html);
    il__chart_reliability(r, html);
    il__chart_courses(r, html);
    il_text_add(html, "</section>\n");
}

static void add_tables(const il__results *r, il_text *html)
{
    il_text_add(html,
                "<section aria-labelledby=\"tables\"><h2 id=\"tables\">Tables</h2>\n"
                "<h3>What was measured</h3>\n<p>Means over seeds, with each seed in "
                "small print. Point at a number for its interval.</p>\n");
    il__table_metrics(r, html);
    il__table_all(r, html);
    il__table_outcome(r, html);
    il__table_cells(r, html);
    il__table_triggers(r, html);
    il__table_answers(r, html);
    il__table_credit(r, html);
    if (json_array_size(r->plans) > 0) {
        il_text_add(html,
                    "<h3 id=\"channels\">Where the pressure can go</h3>\n<p>Each line "
                    "is one detector that presses and one reader; the channels are "
                    "computed from the tape, not declared.</p>\n");
        il__table_channels(r, html);
    }
    if (json_array_size(r->certificates) > 0) {
        il_text_add(html, "<h3>Certificates</h3>\n");
        il__table_certificates(r, html);
    }
    if (json_array_size(r->plans) > 0) {
        il_text_add(html, "<h3>Plan by variant</h3>\n");
        for (size_t i = 0; i < json_array_size(r->plans); i++) {
            il__table_plan(json_array_get(r->plans, i), html);
        }
    }
    il_text_add(html, "</section>\n");
}

/* "seeds 1, 2, 3 · numerics native · kernel Haswell" */
static void add_facts(const il__results *r, il_text *facts)
{
    size_t seeds = json_array_size(r->seeds);

    il_text_addf(facts, "%zu seed%s", seeds, seeds == 1 ? "" : "s");
    for (size_t i = 0; i < seeds; i++) {
        il_text_addf(facts, "%s%lld", i == 0 ? ": " : ", ",
                     (long long)json_integer_value(json_array_get(r->seeds, i)));
    }
    if (r->numerics != NULL) {
        il_text_add(facts, " &middot; numerics ");
        il__html_text(facts, r->numerics);
    }
    if (r->kernel != NULL) {
        il_text_add(facts, " &middot; kernel ");
        il__html_text(facts, r->kernel);
    }
}

static void add_page(const il__results *r, il_text *html)
{
    static const il__page_part parts[] = {{"verdict", "Verdict"},
                                          {"figures", "Figures"},
                                          {"tables", "Tables"},
                                          {"provenance", "Provenance"}};
    il_text facts = {0};

    add_facts(r, &facts);
    il__page_begin(html, r->name, facts.data, parts, sizeof parts / sizeof parts[0]);
    html->failed = html->failed || facts.failed;
    il_text_free(&facts);
    il__verdict(r, html);
    add_figures(r, html);
    add_tables(r, html);
    il__provenance(r, html);
    il__page_end(html);
}

il_status il_report_write(const char *run_dir, const char *out_path, il_error *err)
{
    il__results results;
    il_text html = {0};
    char *path = NULL;
    il_status status;

    IL_TRY(il__results_read(run_dir, IL__RESULTS_WHOLE, &results, err));
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

il_status il_report_write_many(const char *const *runs, size_t count,
                               const char *out_path, size_t *unread, il_error *err)
{
    il__briefs all;
    il_text html = {0};
    il_status status;

    IL_TRY(il__briefs_read(runs, count, &all, err));
    il__overview(&all, &html);
    status = html.failed ? il_error_set(err, IL_ERR_MEMORY, out_path, "out of memory")
                         : il_file_write(out_path, html.data, html.size, err);
    if (unread != NULL) {
        *unread = all.unread_count;
    }
    il_text_free(&html);
    il__briefs_free(&all);
    return status;
}

il_status il_report_table(const char *run_dir, il_text *out, il_error *err)
{
    il__results results;

    IL_TRY(il__results_read(run_dir, IL__RESULTS_SUMMARY, &results, err));
    il__table_text(&results, out);
    il__results_free(&results);
    return out->failed ? il_error_set(err, IL_ERR_MEMORY, run_dir, "out of memory")
                       : IL_OK;
}
