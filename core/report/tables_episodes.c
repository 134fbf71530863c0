/* The tables of runs with episodes. */
#include "report/tables.h"

#include <math.h>
#include <string.h>
#include "report/html.h"

enum { SIDE_MAX = 8 };

/* A reward signal of a detector: from whom, and the logit or probability above which it
 * counts in full; NaN for the graded reading. */
typedef struct pressing {
    const char *source;
    double above;
} pressing;

/* False for an arm in which the detector presses in another way, too. */
static bool pressing_of(const il__result_arm *arm, pressing *out)
{
    const json_t *signals = json_object_get(arm->plan, "signals");
    size_t rewards = 0;
    size_t others = 0;

    for (size_t i = 0; i < json_array_size(signals); i++) {
        const json_t *s = json_array_get(signals, i);
        const char *channel = json_string_value(json_object_get(s, "channel"));
        const json_t *above = json_object_get(s, "trigger");

        if (channel == NULL || strcmp(channel, "monitor") == 0 ||
            !json_is_true(json_object_get(s, "detector"))) {
            continue;
        }
        if (strcmp(channel, "reward") == 0) {
            out->source = json_string_value(json_object_get(s, "source"));
            out->above = json_is_number(above) ? json_number_value(above) : NAN;
            rewards += out->source != NULL;
        } else {
            others++;
        }
    }
    return rewards == 1 && others == 0;
}

static bool same_trigger(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static const il__result_arm *find_cell(const il__results *r, const char *source,
                                       double above)
{
    for (size_t i = 0; i < r->arm_count; i++) {
        pressing p;

        if (pressing_of(&r->arms[i], &p) && strcmp(p.source, source) == 0 &&
            same_trigger(p.above, above)) {
            return &r->arms[i];
        }
    }
    return NULL;
}

/* "brain: harm 0.48 muffed 0.47", with each seed behind. */
static void add_cell(const il__results *r, const il__result_arm *arm, il_text *html)
{
    const char *names[16];
    size_t count = il__behaviour_metrics(r, names, 16);

    if (arm == NULL) {
        il_text_add(html, "<td class=\"none\">not run</td>");
        return;
    }
    il_text_add(html, "<td class=\"words\"><b>");
    il__html_text(html, arm->label);
    il_text_add(html, "</b>");
    for (size_t m = 0; m < count; m++) {
        double sum = 0;
        size_t n = 0;
        bool share = true;
        il_text seeds = {0};

        for (size_t s = 0; s < arm->row_count; s++) {
            double value;

            if (il__row_metric(arm->rows[s], names[m], &value)) {
                share = share && value >= 0 && value <= 1;
                sum += value;
                n++;
                il_text_add(&seeds, " ");
                il__number_text(&seeds, value, 2);
            }
        }
        if (n > 0 && share) {
            il_text_add(html, "<br>");
            il__html_text(html, names[m]);
            il_text_add(html, " ");
            il__number_text(html, sum / (double)n, 2);
            il_text_addf(html, "<small>%s</small>", seeds.data);
        }
        html->failed = html->failed || seeds.failed;
        il_text_free(&seeds);
    }
    il_text_add(html, "</td>");
}

void il__table_triggers(const il__results *r, il_text *html)
{
    const char *sources[SIDE_MAX];
    double triggers[SIDE_MAX];
    size_t source_count = 0;
    size_t trigger_count = 0;

    for (size_t i = 0; i < r->arm_count; i++) {
        pressing p;
        size_t s = 0;
        size_t t = 0;

        if (!pressing_of(&r->arms[i], &p)) {
            continue;
        }
        while (s < source_count && strcmp(sources[s], p.source) != 0) {
            s++;
        }
        while (t < trigger_count && !same_trigger(triggers[t], p.above)) {
            t++;
        }
        if (s == source_count && s < SIDE_MAX) {
            sources[source_count++] = p.source;
        }
        if (t == trigger_count && t < SIDE_MAX) {
            triggers[trigger_count++] = p.above;
        }
    }
    if (trigger_count < 2) {
        return;
    }
    il_text_add(html, "<h3>Whose belief, and what triggers</h3>\n");
    il__table_begin(html, "", "Belief by trigger");
    il_text_add(html, "<td></td>");
    for (size_t t = 0; t < trigger_count; t++) {
        il_text_add(html, "<th scope=\"col\">");
        if (isnan(triggers[t])) {
            il_text_add(html, "graded");
        } else {
            il_text_add(html, "above ");
            il__number_text(html, triggers[t], 2);
        }
        il_text_add(html, "</th>");
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t s = 0; s < source_count; s++) {
        il_text_add(html, "<tr><th scope=\"row\">");
        il__html_text(html, sources[s]);
        il_text_add(html, "</th>");
        for (size_t t = 0; t < trigger_count; t++) {
            add_cell(r, find_cell(r, sources[s], triggers[t]), html);
        }
        il_text_add(html, "</tr>\n");
    }
    il__table_end(html);
    il_text_add(html, "<p class=\"hint\">Means over seeds, and each "
                      "seed.</p>\n");
}
