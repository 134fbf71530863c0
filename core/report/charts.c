/* The figures with a line for each arm. */
#include "report/charts.h"

#include <stdio.h>
#include <string.h>
#include "report/arms_panel.h"
#include "report/tables.h"

enum { ARMS = 256, METRICS = 8 };

static size_t all_arms(const il__results *r, const il__result_arm **arms)
{
    size_t count = r->arm_count < ARMS ? r->arm_count : ARMS;

    for (size_t i = 0; i < count; i++) {
        arms[i] = &r->arms[i];
    }
    return count;
}

void il__chart_behaviour(const il__results *r, il_text *html)
{
    il__figure figure = {.id = "behaviour", .heading = "Behaviour"};
    const il__result_arm *arms[ARMS];
    const char *metrics[METRICS];
    size_t arm_count = all_arms(r, arms);
    size_t count = il__behaviour_metrics(r, metrics, METRICS);

    il__arms_columns(&figure);
    for (size_t m = 0; m < count; m++) {
        il__series seeds = {.shape = IL__DISC,
                            .hue = IL__HUE_A,
                            .words = metrics[m],
                            .interval = true,
                            .mean = true};
        char words[256];

        (void)snprintf(seeds.metric, sizeof seeds.metric, "%s", metrics[m]);
        il__metric_words(r, metrics[m], words, sizeof words);
        il__arms_panel(&figure, metrics[m], (il__axis){0, 0, words, false}, arms,
                       arm_count, &seeds, 1, NULL);
    }
    il__figure_key(&figure, IL__DISC, IL__HUE_A, "one seed");
    il__figure_key(&figure, IL__TICK, IL__HUE_INK, "mean over seeds");
    il__figure_end(&figure, NULL, html);
}

static const struct {
    const char *name;
    il__shape shape;
    il__hue hue;
    const char *words;
} readers[] = {{"linear", IL__TRIANGLE, IL__HUE_B, "fresh linear"},
               {"mlp", IL__BOX, IL__HUE_C, "fresh MLP"},
               {"attention", IL__PLUS, IL__HUE_D, "fresh attention"},
               {"mean_difference", IL__DOWN, IL__HUE_B, "fresh mean difference"},
               {"mahalanobis", IL__RING, IL__HUE_C, "fresh Mahalanobis"}};
enum { READERS = sizeof readers / sizeof readers[0] };

/* The readers that a run has at a site ("" for the detector's own, else "@SITE"). */
static void add_readers(const il__results *r, il__figure *figure, const char *site,
                        const char *title)
{
    static const char *const floors[] = {"random", "shuffled"};
    const il__result_arm *arms[ARMS];
    size_t arm_count = all_arms(r, arms);
    il__series series[READERS + 3];
    size_t count = 0;

    for (size_t k = 0; k < 2 && *site == '\0'; k++) {
        il__series *s = &series[count];

        *s = (il__series){.shape = IL__NOTCH,
                          .hue = IL__HUE_MUTED,
                          .words = k == 0 ? "floor: random weights"
                                          : "floor: shuffled labels"};
        (void)snprintf(s->metric, sizeof s->metric, "floor.%s.linear.auroc", floors[k]);
        count += il__results_have(r, s->metric);
    }
    for (size_t k = 0; k < READERS; k++) {
        il__series *s = &series[count];

        *s = (il__series){.shape = readers[k].shape,
                          .hue = readers[k].hue,
                          .words = readers[k].words};
        (void)snprintf(s->metric, sizeof s->metric, "fresh.%s%.150s.auroc",
                       readers[k].name, site);
        count += il__results_have(r, s->metric);
    }
    if (count > 0) {
        il__series *s = &series[count++];

        *s = (il__series){.shape = IL__DIAMOND,
                          .hue = IL__HUE_A,
                          .words = "frozen detector",
                          .interval = true};
        (void)snprintf(s->metric, sizeof s->metric, "%s.auroc", r->detector);
        il__arms_panel(figure, title, (il__axis){0, 1, "AUROC (chance 0.5)", false},
                       arms, arm_count, series, count, NULL);
    }
}

void il__chart_readers(const il__results *r, il_text *html)
{
    enum { SITES = 8 };
    il__figure figure = {.id = "readers",
                         .heading = "The frozen detector against fresh readers"};
    char sites[SITES][160];
    size_t count = 0;

    if (r->detector == NULL) {
        return;
    }
    il__arms_columns(&figure);
    add_readers(r, &figure, "", "at the detector's site");
    for (size_t i = 0; i < r->metric_count; i++) {
        const char *at = strchr(r->metrics[i], '@');
        const char *end = strstr(r->metrics[i], ".auroc");
        char site[160];
        size_t k = 0;

        if (strncmp(r->metrics[i], "fresh.", 6) != 0 || at == NULL || end == NULL ||
            end < at || end - at >= (long)sizeof site) {
            continue;
        }
        (void)snprintf(site, sizeof site, "%.*s", (int)(end - at), at);
        if (strlen(site) > 4 && strcmp(site + strlen(site) - 4, ".own") == 0) {
            continue; /* the same numbers stand under the site's plain name */
        }
        while (k < count && strcmp(sites[k], site) != 0) {
            k++;
        }
        if (k == count && count < SITES) {
            (void)snprintf(sites[count++], sizeof sites[0], "%s", site);
        }
    }
    for (size_t k = 0; k < count; k++) {
        add_readers(r, &figure, sites[k], sites[k]);
    }
    il__figure_key(&figure, IL__DIAMOND, IL__HUE_A, "frozen detector");
    for (size_t k = 0; k < READERS; k++) {
        char metric[64];

        (void)snprintf(metric, sizeof metric, "fresh.%s.auroc", readers[k].name);
        if (il__results_have(r, metric)) {
            il__figure_key(&figure, readers[k].shape, readers[k].hue, readers[k].words);
        }
    }
    il__figure_key(&figure, IL__NOTCH, IL__HUE_MUTED, "floors of the linear one");
    il__figure_end(&figure,
                   "Fresh readers that stay high where the frozen detector falls mean "
                   "that the thought is still there, unseen.",
                   html);
}

void il__chart_recall(const il__results *r, il_text *html)
{
    static const char *const sets[] = {"own", "ref"};
    static const char *const titles[] = {"on its own episodes", "on the reference set"};
    il__figure figure = {.id = "recall", .heading = "Recall at the first threshold"};
    const il__result_arm *arms[ARMS];
    size_t arm_count = all_arms(r, arms);

    if (r->detector == NULL) {
        return;
    }
    il__arms_columns(&figure);
    for (size_t k = 0; k < 2; k++) {
        il__series series[2] = {
            {.shape = IL__TRIANGLE, .hue = IL__HUE_B, .words = "fresh reader"},
            {.shape = IL__DIAMOND,
             .hue = IL__HUE_A,
             .words = "frozen detector",
             .interval = true}};

        for (size_t i = 0; i < 2; i++) {
            (void)snprintf(series[i].metric, sizeof series[i].metric, "%s.%s.tpr",
                           r->detector, sets[k]);
        }
        (void)snprintf(series[0].plus, sizeof series[0].plus, "%s.%s.recall_gap",
                       r->detector, sets[k]);
        il__arms_panel(&figure, titles[k], (il__axis){0, 1, "recall (share)", false},
                       arms, arm_count, series, 2, series[1].metric);
    }
    il__figure_key(&figure, IL__DIAMOND, IL__HUE_A, "the frozen detector");
    il__figure_key(&figure, IL__TRIANGLE, IL__HUE_B,
                   "a fresh reader at 1% false positives");
    il__figure_end(&figure, "At the right the negatives behind it.", html);
}
