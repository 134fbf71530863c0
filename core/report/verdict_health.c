/* The detector's health: what it recalls at the threshold that was set before training,
 * beside what a fresh reader recalls and a floor that anything reaches. */
#include <stdio.h>
#include <string.h>
#include "report/arms_panel.h"
#include "report/verdict.h"

/* The first of some metrics that anybody has, "" for none. */
static void first_known(const il__results *r, const char *const *names, size_t count,
                        char out[IL__FOCUS_NAME])
{
    out[0] = '\0';
    for (size_t i = 0; i < count && out[0] == '\0'; i++) {
        if (il__results_have(r, names[i])) {
            (void)snprintf(out, IL__FOCUS_NAME, "%s", names[i]);
        }
    }
}

static il__series frozen_series(const il__results *r, const char *part)
{
    il__series s = {.shape = IL__DIAMOND,
                    .hue = IL__HUE_A,
                    .words = "frozen detector",
                    .interval = true};

    (void)snprintf(s.metric, sizeof s.metric, "%s.%s", r->detector, part);
    return s;
}

/* What a reader fitted afresh recalls: measured as such, or by its gap to the frozen
 * one's, or else at one per cent of false positives. */
static il__series fresh_recall(const il__results *r, const char *unit)
{
    il__series s = {
        .shape = IL__TRIANGLE, .hue = IL__HUE_B, .words = "fresh linear reader"};
    char names[3][IL__FOCUS_NAME];
    const char *const list[] = {names[0], names[1], names[2]};
    char gap[IL__FOCUS_NAME];

    (void)snprintf(names[0], sizeof names[0], "fresh.linear%s.recall", unit);
    (void)snprintf(names[1], sizeof names[1], "fresh.linear%s.tpr", unit);
    (void)snprintf(names[2], sizeof names[2], "fresh.linear%s.tpr_at_1", unit);
    (void)snprintf(gap, sizeof gap, "%s%s.recall_gap", r->detector, unit);
    first_known(r, list, 2, s.metric);
    if (s.metric[0] == '\0' && il__results_have(r, gap)) {
        (void)snprintf(s.metric, sizeof s.metric, "%s%s.tpr", r->detector, unit);
        (void)snprintf(s.plus, sizeof s.plus, "%s", gap);
    } else if (s.metric[0] == '\0') {
        first_known(r, list, 3, s.metric);
    }
    return s;
}

/* The floors of the fresh linear reader, on random weights and on shuffled labels. */
static size_t floor_series(const char *measure, il__series out[2])
{
    static const char *const kinds[] = {"random", "shuffled"};
    static const char *const words[] = {"floor: random weights",
                                        "floor: shuffled labels"};

    for (size_t i = 0; i < 2; i++) {
        out[i] =
            (il__series){.shape = IL__NOTCH, .hue = IL__HUE_MUTED, .words = words[i]};
        (void)snprintf(out[i].metric, sizeof out[i].metric, "floor.%s.linear.%s",
                       kinds[i], measure);
    }
    return 2;
}

/* The same detector in the twin and in the placebos, on the line of who is pressed. */
static size_t compared_series(const il__series *frozen, il__series out[2])
{
    out[0] = *frozen;
    out[0].shape = IL__CROSS;
    out[0].hue = IL__HUE_MUTED;
    out[0].whose = IL__PLACEBOS;
    out[0].words = "frozen detector in a placebo";
    out[0].interval = false;
    out[1] = *frozen;
    out[1].shape = IL__RING;
    out[1].hue = IL__HUE_INK;
    out[1].whose = IL__TWINS;
    out[1].words = "frozen detector in the twin";
    out[1].interval = false;
    return 2;
}

enum { SERIES = 6 };

static void add_panel(il__figure *figure, const il__results *r,
                      const il__result_arm *const *arms, size_t count, const char *unit,
                      const char *title, const char *axis)
{
    il__series series[SERIES];
    il__series frozen;
    size_t n = unit[0] != '\0' ? 0 : floor_series("recall", series);
    char part[64];

    (void)snprintf(part, sizeof part, "%s%stpr", unit[0] != '\0' ? unit + 1 : "",
                   unit[0] != '\0' ? "." : "");
    frozen = frozen_series(r, part);
    n += compared_series(&frozen, series + n);
    series[n++] = fresh_recall(r, unit);
    series[n++] = frozen;
    if (il__results_have(r, frozen.metric)) {
        il__arms_panel(figure, title, (il__axis){0, 1, axis, false}, arms, count,
                       series, n, frozen.metric);
    }
}

static void add_auroc(il__figure *figure, const il__results *r,
                      const il__result_arm *const *arms, size_t count)
{
    il__series series[SERIES];
    il__series frozen = frozen_series(r, "auroc");
    size_t n = floor_series("auroc", series);

    n += compared_series(&frozen, series + n);
    series[n] = (il__series){
        .shape = IL__TRIANGLE, .hue = IL__HUE_B, .words = "fresh linear reader"};
    (void)snprintf(series[n++].metric, sizeof series[0].metric, "fresh.linear.auroc");
    series[n++] = frozen;
    il__arms_panel(figure, "AUROC", (il__axis){0, 1, "AUROC (chance 0.5)", false}, arms,
                   count, series, n, frozen.metric);
}

static void add_keys(il__figure *figure, const il__focus *f)
{
    bool twins = false;
    bool placebos = false;

    for (size_t i = 0; i < f->subject_count; i++) {
        twins = twins || f->subjects[i]->twin != NULL;
        placebos = placebos || f->subjects[i]->placebo_count > 0;
    }
    il__figure_key(figure, IL__DIAMOND, IL__HUE_A,
                   "the frozen detector, with its interval");
    if (twins) {
        il__figure_key(figure, IL__RING, IL__HUE_INK, "it in the twin");
    }
    if (placebos) {
        il__figure_key(figure, IL__CROSS, IL__HUE_MUTED, "in a placebo");
    }
    il__figure_key(figure, IL__TRIANGLE, IL__HUE_B, "a fresh linear reader");
    il__figure_key(figure, IL__NOTCH, IL__HUE_MUTED, "its floors");
}

void il__verdict_health(const il__results *r, const il__focus *f, il_text *html)
{
    il__figure figure = {.id = "health"};
    const il__result_arm *arms[IL__FOCUS_ARMS];
    size_t count = il__focus_arms(r, f, arms, IL__FOCUS_ARMS);

    il_text_add(html,
                f->subject_count > 2 ? "<section class=\"across\">" : "<section>");
    il_text_add(html, "<h3>The detector&rsquo;s health</h3>\n");
    if (r->detector == NULL) {
        il_text_add(html, "<p class=\"missing\">No detector was measured in this "
                          "run.</p></section>\n");
        return;
    }
    il__arms_columns(&figure);
    add_panel(&figure, r, arms, count, "", "Recall at the first threshold",
              "recall per scored row (share)");
    add_panel(&figure, r, arms, count, ".ref", "Recall on the reference set",
              "recall per scored row (share)");
    add_panel(&figure, r, arms, count, ".document", "Recall by document",
              "recall per document (share)");
    add_panel(&figure, r, arms, count, ".episode", "Recall by episode",
              "recall per episode (share)");
    add_auroc(&figure, r, arms, count);
    if (figure.panels.size == 0) {
        il_text_add(html, "<p class=\"missing\">No recall was measured.</p>");
    }
    add_keys(&figure, f);
    il__figure_end(&figure,
                   "A mark for each seed; at the right the negatives behind it. The "
                   "threshold was set before training. Fresh high and frozen low: the "
                   "thought is there, unseen.",
                   html);
    il__verdict_lost(r, f, html);
    il_text_add(html, "</section>\n");
}
