#include "report/credit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/charts.h"
#include "report/conclusions.h"
#include "report/figure.h"
#include "report/html.h"

enum { SIGNALS = 16, TOKENS = 32 };

static const json_t *signal_of(const il__result_row *row, const char *name)
{
    return json_object_get(json_object_get(row->credit, "signals"), name);
}

/* The names of an arm's signals, in the order of the first seed that has them. */
static size_t list_signals(const il__result_arm *arm, const char **out)
{
    size_t count = 0;

    for (size_t s = 0; s < arm->row_count; s++) {
        const char *name;
        json_t *signal;

        json_object_foreach(json_object_get(arm->rows[s]->credit, "signals"), name,
                            signal)
        {
            bool known = false;

            for (size_t k = 0; k < count; k++) {
                known = known || strcmp(out[k], name) == 0;
            }
            if (!known && count < SIGNALS) {
                out[count++] = name;
            }
        }
    }
    return count;
}

/* ---- by position ------------------------------------------------------------------
 */

static const struct {
    const char *key, *words;
    il__hue hue;
    il__dash dash;
} curves[] = {{"credit", "credit", IL__HUE_A, IL__SOLID},
              {"sent", "sent to the actions before", IL__HUE_B, IL__DASHED},
              {"received", "received by the action", IL__HUE_A, IL__SOLID}};
enum { CURVES = sizeof curves / sizeof curves[0] };

/* One line; the range of the panel grows when `p` is NULL, else it is drawn. */
static bool add_curve(il__figure *f, il__plot *p, const il__result_row *row,
                      const json_t *signal, size_t which, double range[3])
{
    const json_t *positions = json_object_get(signal, "positions");
    size_t count = json_array_size(positions);
    double *x = calloc(count + 1, 2 * sizeof *x);
    double *y = x + count;
    bool any = false;

    if (x == NULL) {
        f->panels.failed = true;
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *at = json_array_get(positions, i);

        x[i] = il__number_of(at, "position");
        y[i] = il__number_of(at, curves[which].key);
        range[0] = fmin(range[0], y[i]);
        range[1] = fmax(range[1], y[i]);
        range[2] = fmax(range[2], x[i]);
        any = any || isfinite(y[i]);
        if (p != NULL && isfinite(y[i])) {
            il__csv_text(&f->csv, p->title);
            il__csv_integer(&f->csv, row->seed);
            il__csv_text(&f->csv, curves[which].key);
            il__csv_number(&f->csv, x[i]);
            il__csv_number(&f->csv, y[i]);
            il__csv_end(&f->csv);
        }
    }
    if (p != NULL && any) {
        il__plot_line(p, x, y, count, curves[which].hue, curves[which].dash);
    }
    free(x);
    return any;
}

/* A signal's panel; which curves it has is added to `drawn`. */
static bool add_panel(il__figure *f, const il__result_arm *arm, const char *name,
                      bool drawn[CURVES])
{
    double range[3] = {0, 0, 1};
    char title[200];
    il__plot p = {.title = title, .width = IL__PANEL_SMALL};
    bool any = false;

    (void)snprintf(title, sizeof title, "%s, %s", arm->label, name);
    for (size_t s = 0; s < arm->row_count; s++) {
        for (size_t c = 0; c < CURVES; c++) {
            any = add_curve(f, NULL, arm->rows[s], signal_of(arm->rows[s], name), c,
                            range) ||
                  any;
        }
    }
    if (!any) {
        return false;
    }
    p.x = (il__axis){0, range[2], "position", true};
    p.y = (il__axis){range[0], range[1] > range[0] ? range[1] : range[0] + 1, "credit",
                     false};
    for (size_t c = 0; c < CURVES; c++) {
        for (size_t s = 0; s < arm->row_count; s++) {
            drawn[c] = add_curve(f, &p, arm->rows[s], signal_of(arm->rows[s], name), c,
                                 range) ||
                       drawn[c];
        }
    }
    il__figure_panel(f, &p);
    return true;
}

void il__chart_credit(const il__results *r, il_text *html)
{
    static const char *const names[] = {"panel",    "seed",  "series",
                                        "position", "value", NULL};
    il__figure figure = {.id = "credit", .heading = "Which positions are credited"};
    bool drawn[CURVES] = {false};
    size_t panels = 0;

    il__figure_columns(&figure, names);
    for (size_t i = 0; i < r->arm_count; i++) {
        const char *signals[SIGNALS];
        size_t count = r->arms[i].pressed ? list_signals(&r->arms[i], signals) : 0;

        for (size_t k = 0; k < count && panels < IL__PANELS_MAX; k++) {
            panels += add_panel(&figure, &r->arms[i], signals[k], drawn);
        }
    }
    for (size_t c = 0; c < CURVES; c++) {
        if (drawn[c]) {
            il__figure_key_line(&figure, curves[c].hue, curves[c].dash,
                                curves[c].words);
        }
    }
    il__figure_end(
        &figure,
        "What each reading presses on in the last step of training, a line "
        "for each seed. Of a reward: what a reading adds to the advantages of "
        "all actions before it, and what an action gets from all readings "
        "after it.",
        html);
}

/* ---- by token ---------------------------------------------------------------------
 */

/* A token's entry in one seed, or NULL. */
static const json_t *token_of(const il__result_row *row, const char *signal,
                              const json_t *token)
{
    const json_t *tokens = json_object_get(signal_of(row, signal), "tokens");

    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const json_t *entry = json_array_get(tokens, i);

        if (json_equal(json_object_get(entry, "token"), token)) {
            return entry;
        }
    }
    return NULL;
}

static void add_tokens(const il__result_arm *arm, const char *name, il_text *html)
{
    const json_t *list[TOKENS];
    size_t count = 0;

    for (size_t s = 0; s < arm->row_count; s++) {
        const json_t *tokens = json_object_get(signal_of(arm->rows[s], name), "tokens");

        for (size_t i = 0; i < json_array_size(tokens) && count < TOKENS; i++) {
            const json_t *token = json_object_get(json_array_get(tokens, i), "token");
            bool known = token == NULL;

            for (size_t k = 0; k < count; k++) {
                known = known || json_equal(list[k], token);
            }
            if (!known) {
                list[count++] = token;
            }
        }
    }
    if (count == 0) {
        return;
    }
    il_text_add(html, "<details><summary>");
    il__html_text(html, arm->label);
    il_text_add(html, ", ");
    il__html_text(html, name);
    il_text_add(html, "</summary>\n");
    il__table_begin(html, "numbers", "Credit by token");
    il_text_add(html, "<th scope=\"col\" class=\"words\">token</th>");
    for (size_t s = 0; s < arm->row_count; s++) {
        il_text_addf(html, "<th scope=\"col\">seed %lld</th>",
                     (long long)arm->rows[s]->seed);
    }
    il_text_add(html, "</tr></thead><tbody>\n");
    for (size_t k = 0; k < count; k++) {
        il_text_add(html, "<tr><th scope=\"row\">");
        if (json_is_string(list[k])) {
            il_text_add(html, "<code>");
            il__html_text(html, json_string_value(list[k]));
            il_text_add(html, "</code>");
        } else {
            il_text_addf(html, "%lld", (long long)json_integer_value(list[k]));
        }
        il_text_add(html, "</th>");
        for (size_t s = 0; s < arm->row_count; s++) {
            double size = il__number_of(token_of(arm->rows[s], name, list[k]), "size");

            il_text_add(html, isfinite(size) ? "<td>" : "<td class=\"none\">&ndash;");
            if (isfinite(size)) {
                il__number_text(html, size, 4);
            }
            il_text_add(html, "</td>");
        }
        il_text_add(html, "</tr>\n");
    }
    il__table_end(html);
    il_text_add(html, "</details>\n");
}

void il__table_credit(const il__results *r, il_text *html)
{
    il_text tables = {0};

    for (size_t i = 0; i < r->arm_count; i++) {
        const char *signals[SIGNALS];
        size_t count = r->arms[i].pressed ? list_signals(&r->arms[i], signals) : 0;

        for (size_t k = 0; k < count; k++) {
            add_tokens(&r->arms[i], signals[k], &tables);
        }
    }
    if (tables.size > 0) {
        il_text_add(html,
                    "<h3>Which tokens are credited</h3>\n<p>The size of the credit "
                    "that falls on each token in the last step of training, the "
                    "largest first.</p>\n");
        il_text_add_bytes(html, tables.data, tables.size);
    }
    html->failed = html->failed || tables.failed;
    il_text_free(&tables);
}

/* ---- rewards that no action can earn ----------------------------------------------
 */

/* What stands out: it drops out in some seed, or no seed shows that it does not. */
static void add_warning(const il__result_arm *arm, const char *name, size_t dropped,
                        size_t unseen, il_text *html)
{
    if (dropped == 0 && unseen < arm->row_count) {
        return;
    }
    il_text_add(html, "<p class=\"warning\"><b>");
    il__html_text(html, name);
    il_text_add(html, "</b> in ");
    il__html_text(html, arm->label);
    if (dropped > 0) {
        il_text_addf(html,
                     " does not depend on the action in %zu of %zu seeds: it drops out "
                     "in expectation, and adds noise alone.",
                     dropped, arm->row_count);
    } else {
        il_text_addf(html,
                     ": in none of %zu seed%s was it found to depend on the action, as "
                     "far as the last step of training shows.",
                     arm->row_count, arm->row_count == 1 ? "" : "s");
    }
    il_text_add(html, "</p>\n");
}

void il__credit_warnings(const il__results *r, il_text *html)
{
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        const char *signals[SIGNALS];
        size_t count = arm->pressed ? list_signals(arm, signals) : 0;

        for (size_t k = 0; k < count; k++) {
            size_t dropped = 0;
            size_t unseen = 0;

            for (size_t s = 0; s < arm->row_count; s++) {
                const char *verdict = json_string_value(json_object_get(
                    json_object_get(signal_of(arm->rows[s], signals[k]), "action"),
                    "verdict"));

                dropped += verdict != NULL && strcmp(verdict, "drops_out") == 0;
                unseen += verdict != NULL && strcmp(verdict, "none_found") == 0;
            }
            add_warning(arm, signals[k], dropped, unseen, html);
        }
    }
}
