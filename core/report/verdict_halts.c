/* Stages that a detector's health ended, froze or raised an alarm in. */
#include <stdio.h>
#include <string.h>
#include "report/html.h"
#include "report/verdict.h"

/* The signal's part of "SIGNAL.fired"; 0 for another metric. */
static int signal_size(const char *metric)
{
    static const char end[] = ".fired";
    size_t size = strlen(metric);

    return size >= sizeof end && strcmp(metric + size - (sizeof end - 1), end) == 0
               ? (int)(size - (sizeof end - 1))
               : 0;
}

/* "guard of early fired at step 100 (seed 1), at step 50 (seed 2); the state of ... "
 */
static void add_halt(const il__result_arm *arm, const char *metric, int size,
                     il_text *html)
{
    char kept[IL__FOCUS_NAME];
    size_t shown = 0;

    (void)snprintf(kept, sizeof kept, "%.*s.kept", size, metric);
    for (size_t s = 0; s < arm->row_count; s++) {
        double step;

        if (!il__row_metric(arm->rows[s], metric, &step)) {
            continue;
        }
        if (shown++ == 0) {
            char name[IL__FOCUS_NAME];

            (void)snprintf(name, sizeof name, "%.*s", size, metric);
            il_text_add(html, "<p class=\"warning\"><b>");
            il__html_text(html, name);
            il_text_add(html, "</b> in ");
            il__html_text(html, arm->label);
            il_text_add(html, " fired ");
        }
        il_text_addf(html, "%sat step %.0f (seed %lld", shown > 1 ? ", " : "", step,
                     (long long)arm->rows[s]->seed);
        if (il__row_metric(arm->rows[s], kept, &step)) {
            il_text_addf(html, ", the state of step %.0f kept", step);
        }
        il_text_add(html, ")");
    }
    il_text_add(html, shown > 0 ? ".</p>\n" : "");
}

void il__verdict_halts(const il__results *r, il_text *html)
{
    for (size_t m = 0; m < r->metric_count; m++) {
        int size = signal_size(r->metrics[m]);

        for (size_t a = 0; size > 0 && a < r->arm_count; a++) {
            add_halt(&r->arms[a], r->metrics[m], size, html);
        }
    }
}
