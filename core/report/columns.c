/* Which metrics have a column, and what its head says. */
#include "report/tables.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_BEHAVIOUR = 4 };

size_t il__behaviour_metrics(const il__results *r, const char **names, size_t room)
{
    size_t count = 0;

    for (int first = 1; first >= 0; first--) {
        for (size_t i = 0; i < r->metric_count && count < room; i++) {
            bool lie = strcmp(r->metrics[i], "lie") == 0;

            if (strchr(r->metrics[i], '.') == NULL && lie == (first == 1)) {
                names[count++] = r->metrics[i];
            }
        }
    }
    return count;
}

static void add_column(il__column *columns, size_t *count, size_t room,
                       const char *metric, const char *head, int head_size)
{
    if (*count < room) {
        columns[*count].metric = metric;
        (void)snprintf(columns[*count].head, sizeof columns[0].head, "%.*s", head_size,
                       head);
        (*count)++;
    }
}

/* A fresh reader by the first three letters of its kind, and where it reads elsewhere
 * than the first detector by that site's block: "lin", "lin@3". */
static void add_fresh_column(il__column *columns, size_t *count, size_t room,
                             const char *metric)
{
    const char *kind = metric + strlen("fresh.");
    size_t size = strcspn(kind, ".@");
    const char *site = kind[size] == '@' ? kind + size + 1 : "";
    char head[24];

    site += strncmp(site, "blocks.", 7) == 0 ? 7 : 0;
    (void)snprintf(head, sizeof head, "%.*s%s%.*s", size < 3 ? (int)size : 3, kind,
                   site[0] != '\0' ? "@" : "", (int)strcspn(site, "."), site);
    add_column(columns, count, room, metric, head, 20);
}

/* The part of "DETECTOR.LAST" after the pressing detector's name, or NULL. */
static const char *own_part(const il__results *r, const char *metric)
{
    size_t size = r->detector != NULL ? strlen(r->detector) : 0;

    return size > 0 && strncmp(metric, r->detector, size) == 0 && metric[size] == '.'
               ? metric + size + 1
               : NULL;
}

/* The columns of a run over episodes: behaviour, then the pressing detector on the
 * agent's own episodes and on the reference set. */
static size_t episode_columns(const il__results *r, il__column *columns, size_t room)
{
    /* %s: the detector. */
    static const char *const parts[][2] = {{"%s.own.mean", "det"},
                                           {"%s.own.conceal", "conceal"},
                                           {"%s.own.auroc", "auroc"},
                                           {"fresh.linear.own.auroc", "lin"},
                                           {"%s.own.against.auroc", "against"},
                                           {"%s.own.tpr", "tpr"},
                                           {"%s.own.ece", "ece"},
                                           {"%s.ref.auroc", "ref auroc"},
                                           {"fresh.linear.ref.auroc", "ref lin"},
                                           {"%s.ref.auroc_gap", "ref gap"},
                                           {"%s.ref.recall_gap", "ref recall gap"},
                                           {"%s.ref.cos", "cos"}};
    const char *behaviour[TEXT_BEHAVIOUR];
    size_t behaviours = il__behaviour_metrics(r, behaviour, TEXT_BEHAVIOUR);
    size_t count = 0;

    for (size_t i = 0; i < behaviours; i++) {
        add_column(columns, &count, room, behaviour[i], behaviour[i], 20);
    }
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        for (size_t i = 0; i < r->metric_count; i++) {
            bool fits = parts[k][0][0] != '%'
                            ? strcmp(r->metrics[i], parts[k][0]) == 0
                            : own_part(r, r->metrics[i]) != NULL &&
                                  strcmp(own_part(r, r->metrics[i]),
                                         parts[k][0] + strlen("%s.")) == 0;

            if (fits) {
                add_column(columns, &count, room, r->metrics[i], parts[k][1], 20);
            }
        }
    }
    return count;
}

/* Whether the pressing detector was read on the agent's own episodes. */
static bool over_episodes(const il__results *r)
{
    for (size_t i = 0; i < r->metric_count; i++) {
        const char *part = own_part(r, r->metrics[i]);

        if (part != NULL && strcmp(part, "own.mean") == 0) {
            return true;
        }
    }
    return false;
}

size_t il__columns(const il__results *r, il__column *columns, size_t room)
{
    static const char *const own[][2] = {{"auroc", "det"},
                                         {"tpr", "tpr"},
                                         {"fpr", "fpr"},
                                         {"against.auroc", "against"},
                                         {"gap.auroc", "gap"}};
    static const char *const drift[][2] = {{"flag_now", "ff"}, {"flag_then", "f0"}};
    const char *behaviour[TEXT_BEHAVIOUR];
    size_t behaviours = il__behaviour_metrics(r, behaviour, TEXT_BEHAVIOUR);
    size_t count = 0;

    if (over_episodes(r)) {
        return episode_columns(r, columns, room);
    }
    for (size_t k = 0; k < sizeof own / sizeof own[0]; k++) {
        for (size_t i = 0; i < r->metric_count; i++) {
            const char *part = own_part(r, r->metrics[i]);

            if (part != NULL && strcmp(part, own[k][0]) == 0) {
                add_column(columns, &count, room, r->metrics[i], own[k][1], 20);
            }
        }
    }
    for (size_t i = 0; i < behaviours; i++) {
        add_column(columns, &count, room, behaviour[i], behaviour[i], 20);
    }
    for (size_t i = 0; i < r->metric_count; i++) {
        const char *end = strstr(r->metrics[i], ".auroc");

        if (strncmp(r->metrics[i], "fresh.", 6) == 0 && end != NULL && end[6] == '\0') {
            add_fresh_column(columns, &count, room, r->metrics[i]);
        }
    }
    for (size_t k = 0; k < sizeof drift / sizeof drift[0]; k++) {
        for (size_t i = 0; i < r->metric_count; i++) {
            const char *part = own_part(r, r->metrics[i]);

            if (part != NULL && strcmp(part, drift[k][0]) == 0) {
                add_column(columns, &count, room, r->metrics[i], drift[k][1], 20);
            }
        }
    }
    for (size_t i = 0; i < r->metric_count; i++) {
        const char *end = strstr(r->metrics[i], ".auroc");

        if (strncmp(r->metrics[i], "fresh.", 6) != 0 &&
            strncmp(r->metrics[i], "floor.", 6) != 0 &&
            own_part(r, r->metrics[i]) == NULL && end != NULL && end[6] == '\0' &&
            strcspn(r->metrics[i], ".") == (size_t)(end - r->metrics[i])) {
            int size = (int)(end - r->metrics[i]);

            add_column(columns, &count, room, r->metrics[i], r->metrics[i],
                       size < 20 ? size : 20);
        }
    }
    return count;
}
