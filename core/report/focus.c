#include "report/focus.h"

#include <stdio.h>
#include <string.h>
#include "report/conclusions.h"
#include "report/tables.h"

static void name_behaviour(const il__results *r, il__focus *out)
{
    static const char *const known[] = {"lie", "hack", "harm"};
    const char *names[64];
    size_t count = il__behaviour_metrics(r, names, 64);
    const char *declared = json_string_value(
        json_object_get(json_object_get(r->conclusions, "endpoint"), "behaviour"));

    if (declared != NULL && il__results_have(r, declared)) {
        (void)snprintf(out->behaviour, sizeof out->behaviour, "%s", declared);
    }
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        if (out->behaviour[0] == '\0' && il__results_have(r, known[k])) {
            (void)snprintf(out->behaviour, sizeof out->behaviour, "%s", known[k]);
        }
    }
    if (out->behaviour[0] == '\0' && count > 0) {
        (void)snprintf(out->behaviour, sizeof out->behaviour, "%s", names[0]);
    }
}

/* DETECTOR.part where somebody measured it. */
static void name_part(const il__results *r, const char *part, char out[IL__FOCUS_NAME])
{
    if (r->detector == NULL) {
        return;
    }
    (void)snprintf(out, IL__FOCUS_NAME, "%s.%s", r->detector, part);
    if (!il__results_have(r, out)) {
        out[0] = '\0';
    }
}

void il__focus_of(const il__results *r, il__focus *out)
{
    const char *endpoint = json_string_value(
        json_object_get(json_object_get(r->conclusions, "endpoint"), "metric"));

    *out = (il__focus){.subject_count = 0};
    for (size_t i = 0; i < r->arm_count; i++) {
        if (!r->arms[i].pressed) {
            continue;
        }
        if (out->subject_count < IL__FOCUS_ARMS) {
            out->subjects[out->subject_count++] = &r->arms[i];
        } else {
            out->left_out++;
        }
    }
    name_behaviour(r, out);
    name_part(r, "mean", out->reading);
    name_part(r, "tpr", out->recall);
    /* Where recall is the endpoint, it is that one: on the reference set, say. */
    if (endpoint != NULL && strlen(endpoint) > 4 &&
        strcmp(endpoint + strlen(endpoint) - 4, ".tpr") == 0 &&
        il__results_have(r, endpoint)) {
        (void)snprintf(out->recall, sizeof out->recall, "%s", endpoint);
    }
}

size_t il__focus_arms(const il__results *r, const il__focus *f,
                      const il__result_arm **arms, size_t room)
{
    size_t all = f->subject_count > 0 ? f->subject_count : r->arm_count;
    size_t count = 0;

    for (; count < all && count < room; count++) {
        arms[count] = f->subject_count > 0 ? f->subjects[count] : &r->arms[count];
    }
    return count;
}

/* Whether a metric was measured, and never outside 0 to 1. */
static bool is_share(const il__results *r, const char *metric)
{
    bool any = false;

    for (size_t i = 0; i < r->row_count; i++) {
        double value;

        if (il__row_metric(&r->rows[i], metric, &value)) {
            if (value < 0 || value > 1) {
                return false;
            }
            any = true;
        }
    }
    return any;
}

void il__metric_words(const il__results *r, const char *metric, char *out, size_t room)
{
    static const char *const words[][2] = {
        {".mean", "mean reading of %.*s (probability)"},
        {".auroc", "AUROC of %.*s"},
        {".document.tpr", "recall of %.*s at its first threshold, per document"},
        {".tpr", "recall of %.*s at its first threshold (share)"},
        {".fpr", "false positives of %.*s (share)"},
        {".flag_now", "own text that %.*s flags now (share)"},
        {".flag_then", "own text that %.*s flagged then (share)"}};
    size_t size = strlen(metric);

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t end = strlen(words[i][0]);

        if (size > end && strcmp(metric + size - end, words[i][0]) == 0) {
            (void)snprintf(out, room, words[i][1], (int)(size - end), metric);
            return;
        }
    }
    (void)snprintf(out, room, "%s%s", metric, is_share(r, metric) ? " (share)" : "");
}
