/* The indirect paths, and drift against the noise of a fit: a line for each arm. */
#include <stdio.h>
#include <string.h>
#include "report/arms_panel.h"
#include "report/charts.h"

enum { ARMS = 256, SERIES = 4 };

static size_t all_arms(const il__results *r, const il__result_arm **arms)
{
    size_t count = r->arm_count < ARMS ? r->arm_count : ARMS;

    for (size_t i = 0; i < count; i++) {
        arms[i] = &r->arms[i];
    }
    return count;
}

/* One mark of a panel: the metric of the detector, or by itself where that is NULL. */
static il__series mark(const char *detector, const char *part, il__shape shape,
                       il__hue hue, const char *words)
{
    il__series s = {.shape = shape, .hue = hue, .words = words};

    (void)snprintf(s.metric, sizeof s.metric, "%s%s%s",
                   detector != NULL ? detector : "", detector != NULL ? "." : "", part);
    return s;
}

static void add(il__figure *f, const il__results *r, const char *title,
                const char *axis, const il__series *series, size_t count)
{
    const il__result_arm *arms[ARMS];
    size_t arm_count = all_arms(r, arms);

    il__arms_panel(f, title, (il__axis){0, 0, axis, false}, arms, arm_count, series,
                   count, NULL);
}

void il__chart_paths(const il__results *r, il_text *html)
{
    il__figure figure = {.id = "paths", .heading = "Indirect paths"};
    il__series s[SERIES];

    if (r->detector == NULL) {
        return;
    }
    il__arms_columns(&figure);
    s[0] = mark(NULL, "look_rate", IL__DISC, IL__HUE_A, "look rate");
    add(&figure, r, "How often evidence is sought", "states that let it in (share)", s,
        1);
    s[0] = mark(r->detector, "own.true", IL__RING, IL__HUE_INK, "true rate");
    s[1] = mark(r->detector, "own.mean", IL__DISC, IL__HUE_A, "believed rate");
    if (il__results_have(r, s[0].metric)) {
        add(&figure, r, "Believed against true", "own steps (share)", s, 2);
    }
    s[0] = mark(r->detector, "own.against.auroc", IL__RING, IL__HUE_INK,
                "an observer that cannot be bettered");
    s[1] = mark(r->detector, "own.auroc", IL__DIAMOND, IL__HUE_A, "the detector");
    if (il__results_have(r, s[0].metric)) {
        add(&figure, r, "Information let in", "AUROC on own episodes", s, 2);
    }
    s[0] = mark(r->detector, "own.coverage", IL__DISC, IL__HUE_A, "own states covered");
    s[1] = mark(r->detector, "coverage", IL__DISC, IL__HUE_A, "own text covered");
    add(&figure, r, "Coverage of the anchors", "within 99% of the anchors (share)", s,
        il__results_have(r, s[0].metric) ? 1 : 2);
    il__figure_key(&figure, IL__DISC, IL__HUE_A, "the agent, or what is believed");
    il__figure_key(&figure, IL__RING, IL__HUE_INK, "the truth, or what could be known");
    il__figure_key(&figure, IL__DIAMOND, IL__HUE_A, "the detector");
    il__figure_end(&figure,
                   "A detector in the reward can be served by not looking, by letting "
                   "less in, or by going where it was never taught to read.",
                   html);
}

void il__chart_drift(const il__results *r, il_text *html)
{
    il__figure figure = {.id = "drift", .heading = "Drift against the noise of a fit"};
    il__series s[SERIES];

    if (r->detector == NULL) {
        return;
    }
    il__arms_columns(&figure);
    s[0] = mark(r->detector, "noise.cos", IL__RING, IL__HUE_INK, "two refits");
    s[1] = mark(r->detector, "refit.cos", IL__DIAMOND, IL__HUE_A, "refit and detector");
    add(&figure, r, "Directions", "cosine", s, 2);
    s[0] = mark(r->detector, "noise.recall", IL__RING, IL__HUE_INK, "two refits apart");
    s[1] = mark(r->detector, "restored", IL__DIAMOND, IL__HUE_A,
                "what a refit brings back");
    add(&figure, r, "Recall", "recall (share)", s, 2);
    il__figure_key(&figure, IL__DIAMOND, IL__HUE_A,
                   "the same recipe refitted, against "
                   "the detector");
    il__figure_key(&figure, IL__RING, IL__HUE_INK,
                   "two such refits on other rows, "
                   "against each other");
    il__figure_end(
        &figure, "A drift that is no larger than what other rows alone change is none.",
        html);
}
