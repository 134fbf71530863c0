#include "report/briefs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "report/results_private.h"
#include "report/tables.h"

/* With no more runs than this, audits are read too, for outcomes and intervals. */
enum { AUDITED = 64 };

/* What a fresh linear reader recalls where `recall` was measured, by whichever of its
 * names it has; NaN for none. */
static double fresh_recall(const il__results *r, const char *recall,
                           const il__result_row *row)
{
    static const char *const ends[] = {"recall", "tpr_at_1"};
    size_t name = r->detector != NULL ? strlen(r->detector) : 0;
    size_t size = strlen(recall);
    char metric[IL__FOCUS_NAME + 32];
    double value;
    double gap;

    if (size < name + 4 || strncmp(recall, r->detector, name) != 0) {
        return (double)NAN;
    }
    /* ".ref" of "DETECTOR.ref.tpr" */
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(metric, sizeof metric, "fresh.linear%.*s.%s",
                       (int)(size - name - 4), recall + name, ends[i]);
        if (il__row_metric(row, metric, &value)) {
            return value;
        }
    }
    (void)snprintf(metric, sizeof metric, "%.*s.recall_gap", (int)(size - 4), recall);
    return il__row_metric(row, recall, &value) && il__row_metric(row, metric, &gap)
               ? value + gap
               : (double)NAN;
}

static double seed_value(const il__results *r, const il__focus *f,
                         const il__result_row *row, il__brief_value which)
{
    const char *const names[] = {[IL__BRIEF_BEHAVIOUR] = f->behaviour,
                                 [IL__BRIEF_READING] = f->reading,
                                 [IL__BRIEF_RECALL] = f->recall};
    double value;

    if (which == IL__BRIEF_FRESH) {
        return fresh_recall(r, f->recall, row);
    }
    return il__row_metric(row, names[which], &value) ? value : (double)NAN;
}

/* The class of the whole arm where that was concluded, else the one that most of its
 * seeds' audits have; and how many seeds are so. */
static void brief_outcome(const il__result_arm *arm, const json_t *entry,
                          il_arena *arena, il__brief *b)
{
    const json_t *whole = json_object_get(entry, "outcome");
    const json_t *seeds = json_object_get(whole, "seeds");
    const char *best = json_string_value(json_object_get(whole, "class"));

    for (size_t i = 0; best != NULL && i < json_array_size(seeds); i++) {
        const char *class =
            json_string_value(json_object_get(json_array_get(seeds, i), "class"));

        b->outcome_seeds += class != NULL && strcmp(class, best) == 0;
    }
    for (size_t i = 0; best == NULL && i < arm->row_count; i++) {
        const char *class =
            json_string_value(json_object_get(il__outcome_of(arm->rows[i]), "class"));
        size_t same = 0;

        for (size_t k = 0; class != NULL && k < arm->row_count; k++) {
            const char *other = json_string_value(
                json_object_get(il__outcome_of(arm->rows[k]), "class"));

            same += other != NULL && strcmp(other, class) == 0;
        }
        if (same > b->outcome_seeds) {
            b->outcome_seeds = same;
            b->outcome = class;
        }
    }
    best = best != NULL ? best : b->outcome;
    b->outcome = best != NULL ? il_arena_strdup(arena, best) : NULL;
}

static void brief_cost(const json_t *entry, const char *behaviour, il_arena *arena,
                       il__brief *b)
{
    const json_t *tax = json_object_get(entry, "tax");
    double most = -1;
    const char *best = NULL;

    for (size_t i = 0; i < json_array_size(tax); i++) {
        const json_t *claim = json_array_get(tax, i);
        const char *metric = json_string_value(json_object_get(claim, "metric"));
        double mean = il__number_of(claim, "mean");

        if (metric != NULL && strcmp(metric, behaviour) != 0 && fabs(mean) > most) {
            most = fabs(mean);
            best = metric;
            b->cost_mean = mean;
        }
    }
    b->cost = best != NULL ? il_arena_strdup(arena, best) : NULL;
}

static il__brief *make_brief(il__briefs *all, const il__results *r, const il__focus *f,
                             const char *run, const il__result_arm *arm)
{
    const json_t *entry = il__conclusion_of(r, arm);
    const char *sentence = json_string_value(json_object_get(entry, "sentence"));
    il__channels_worst worst = il__channels_worst_of(arm->plan);
    const json_t *certificate;
    il__brief *b = il_arena_calloc(all->arena, 1, sizeof *b);
    il__brief_seed *seeds =
        il_arena_calloc(all->arena, arm->row_count + 1, sizeof *seeds);

    if (b == NULL || seeds == NULL) {
        return NULL;
    }
    *b = (il__brief){.run = run,
                     .arm = il_arena_strdup(all->arena, arm->label),
                     .label = il_arena_printf(all->arena, "%s: %s", run, arm->label),
                     .behaviour = il_arena_strdup(all->arena, f->behaviour),
                     .reading = il_arena_strdup(all->arena, f->reading),
                     .role = IL__BRIEF_OTHER,
                     .seeds = seeds,
                     .seed_count = arm->row_count,
                     .certified = il__certified(r, arm, &certificate),
                     .lowered = json_is_true(json_object_get(arm->plan, "lowered"))};
    for (size_t i = 0; i < arm->row_count; i++) {
        seeds[i].seed = arm->rows[i]->seed;
        for (int v = 0; v < IL__BRIEF_VALUES; v++) {
            seeds[i].value[v] = seed_value(r, f, arm->rows[i], v);
        }
    }
    memcpy(b->channels, worst.state, sizeof b->channels);
    if (arm->pressed) {
        b->role = IL__BRIEF_PRESSED;
        b->alive = il__alive_of(il__claim_alive(r, entry));
        b->sentence = sentence != NULL ? il_arena_strdup(all->arena, sentence) : NULL;
        brief_outcome(arm, entry, all->arena, b);
        brief_cost(entry, f->behaviour, all->arena, b);
    }
    return b->arm == NULL || b->label == NULL || b->behaviour == NULL ||
                   b->reading == NULL
               ? NULL
               : b;
}

static bool add_brief(il__briefs *all, il__brief *b)
{
    if (all->count == all->room) {
        size_t room = 2 * all->room + 64;
        il__brief **items = realloc(all->items, room * sizeof *items);

        if (items == NULL) {
            return false;
        }
        all->items = items;
        all->room = room;
    }
    all->items[all->count++] = b;
    return true;
}

/* Twins and placebos of a run whose arms are the last `r->arm_count` briefs. */
static il_status link_briefs(il__briefs *all, const il__results *r, il_error *err)
{
    il__brief **own = all->items + (all->count - r->arm_count);

    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];

        if (!arm->pressed) {
            continue;
        }
        all->pressed++;
        own[i]->placebos = il_arena_calloc(all->arena, arm->placebo_count + 1,
                                           sizeof *own[i]->placebos);
        if (own[i]->placebos == NULL) {
            return il__results_no_memory("report", err);
        }
        if (arm->twin != NULL) {
            own[i]->twin = own[arm->twin - r->arms];
            own[arm->twin - r->arms]->role = IL__BRIEF_TWIN;
        }
        for (size_t k = 0; k < arm->placebo_count; k++) {
            il__brief *placebo = own[arm->placebos[k] - r->arms];

            placebo->role = IL__BRIEF_PLACEBO;
            own[i]->placebos[own[i]->placebo_count++] = placebo;
        }
    }
    return IL_OK;
}

/* The last part of a path, whatever slashes it ends in. */
static const char *last_name(il_arena *arena, const char *path)
{
    size_t end = strlen(path);
    size_t from;

    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    for (from = end; from > 0 && path[from - 1] != '/'; from--) {
    }
    return il_arena_printf(arena, "%.*s", (int)(end - from), path + from);
}

static il_status add_run(il__briefs *all, const char *folder, const il__results *r,
                         il_error *err)
{
    /* Its folder tells a run from others; runs of one pipeline share their name. */
    const char *run = last_name(all->arena, folder);
    double bits = il__number_of(json_object_get(r->conclusions, "selection"), "bits");
    il__focus f;

    il__focus_of(r, &f);
    all->run_count++;
    all->bits = isnan(all->bits) || bits > all->bits ? bits : all->bits;
    for (size_t i = 0; run != NULL && i < r->arm_count; i++) {
        il__brief *b = make_brief(all, r, &f, run, &r->arms[i]);

        if (b == NULL || !add_brief(all, b)) {
            return il__results_no_memory("report", err);
        }
    }
    return run != NULL ? link_briefs(all, r, err) : il__results_no_memory(folder, err);
}

il_status il__briefs_read(const char *const *runs, size_t count, il__briefs *out,
                          il_error *err)
{
    il__results_depth depth =
        count > AUDITED ? IL__RESULTS_SUMMARY : IL__RESULTS_AUDITS;
    il_status status = IL_OK;

    *out = (il__briefs){.arena = il_arena_create((size_t)1 << 18), .bits = (double)NAN};
    out->unread = out->arena != NULL
                      ? il_arena_calloc(out->arena, count + 1, sizeof *out->unread)
                      : NULL;
    if (out->unread == NULL) {
        status = il__results_no_memory("report", err);
    }
    for (size_t i = 0; status == IL_OK && i < count; i++) {
        il_error why = {0};
        il__results r;

        if (il__results_read(runs[i], depth, &r, &why) != IL_OK) {
            out->unread[out->unread_count] =
                il_arena_printf(out->arena, "%s: %s", why.where, why.message);
            status = out->unread[out->unread_count++] != NULL
                         ? IL_OK
                         : il__results_no_memory(runs[i], err);
            if (out->unread_count == count && status == IL_OK) {
                status = il_error_set(err, why.code, why.where, "%s", why.message);
            }
            continue;
        }
        status = add_run(out, runs[i], &r, err);
        il__results_free(&r);
    }
    if (status != IL_OK) {
        il__briefs_free(out);
    }
    return status;
}

void il__briefs_free(il__briefs *b)
{
    free(b->items);
    il_arena_destroy(b->arena);
    *b = (il__briefs){0};
}

double il__brief_mean(const il__brief *b, il__brief_value value)
{
    double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < b->seed_count; i++) {
        if (isfinite(b->seeds[i].value[value])) {
            sum += b->seeds[i].value[value];
            n++;
        }
    }
    return n > 0 ? sum / (double)n : (double)NAN;
}
