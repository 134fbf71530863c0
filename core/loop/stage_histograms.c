/* Stages shown as histograms, in the record and for TensorBoard: on sampled steps of
 * the ledger the weights and the gradients of the signals that a detector enters, group
 * by group; at audits each detector's logits by class. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "loop/ledger.h"
#include "loop/stage_private.h"

enum { BINS_MAX = 1024 };

static double now_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static il_status note(il_stage_work *s, int64_t step, const char *tag,
                      const il_histogram *h, il_error *err)
{
    IL_TRY(il_record_histogram(s->record, step, tag, h, err));
    return s->out != NULL
               ? il_run_job_histogram(s->out, now_seconds(), step, tag, h, err)
               : IL_OK;
}

/* ---- the ledger's --------------------------------------------------------------- */

/* Those of a group's parameters that a set has (NULL: all), in one histogram. */
static void group_histogram(il_histogram *h, const il_store *store, const char *group,
                            const il_word *set, const float *block)
{
    memset(h, 0, sizeof *h);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t p = 0; p < store->count; p++) {
            const il_stored *item = &store->items[p];

            if (strcmp(item->group, group) != 0 ||
                (set != NULL && !il_bits_has(set, p))) {
                continue;
            }
            if (pass == 0) {
                il_histogram_see(h, block + item->offset, item->count);
            } else {
                il_histogram_add(h, block + item->offset, item->count);
            }
        }
        if (pass == 0) {
            il_histogram_cut(h);
        }
    }
}

static bool group_first(const il_store *store, size_t p)
{
    for (size_t i = 0; i < p; i++) {
        if (strcmp(store->items[i].group, store->items[p].group) == 0) {
            return false;
        }
    }
    return true;
}

il_status il__stage_ledger_histograms(il_stage_work *s, const il_trainer *t,
                                      il_error *err)
{
    const il_store *store = t->world->model->store;
    const il_ledger *l = s->ledger;
    char tag[512];
    il_histogram h;

    for (size_t p = 0; p < store->count; p++) {
        const char *group = store->items[p].group;

        if (!group_first(store, p)) {
            continue;
        }
        (void)snprintf(tag, sizeof tag, "weights/%s", group);
        group_histogram(&h, store, group, NULL, store->values);
        IL_TRY(note(s, t->step, tag, &h, err));
        for (size_t i = 0; i < l->count; i++) {
            const il_ledger_entry *e = &l->entries[i];

            if (e->term != NULL) {
                (void)snprintf(tag, sizeof tag, "gradient.%s/%s", e->name, group);
                group_histogram(&h, store, group, e->updates, e->gradient);
                IL_TRY(note(s, t->step, tag, &h, err));
            }
        }
    }
    return IL_OK;
}

/* ---- an audit's ----------------------------------------------------------------- */

/* {"from", "width", "positive": [...], "negative": [...]} */
static il_status note_classes(il_stage_work *s, int64_t step, const char *detector,
                              const char *set, const json_t *json, il_error *err)
{
    static const char *const classes[] = {"positive", "negative"};

    for (int k = 0; k < 2; k++) {
        const json_t *bins = json_object_get(json, classes[k]);
        int64_t counts[BINS_MAX];
        size_t n = json_array_size(bins);
        il_histogram h;
        char tag[512];

        for (size_t b = 0; b < n && b < BINS_MAX; b++) {
            counts[b] = json_integer_value(json_array_get(bins, b));
        }
        il_histogram_of_bins(&h, json_number_value(json_object_get(json, "from")),
                             json_number_value(json_object_get(json, "width")),
                             n < BINS_MAX ? n : BINS_MAX, counts);
        (void)snprintf(tag, sizeof tag, "logits.%s%s%s/%s", detector,
                       set[0] != '\0' ? "." : "", set, classes[k]);
        IL_TRY(note(s, step, tag, &h, err));
    }
    return IL_OK;
}

il_status il__stage_audit_histograms(il_stage_work *s, int64_t step, il_error *err)
{
    json_t *judged = json_object_get(s->audit, "histograms");
    json_t *played = json_object_get(s->audit, "played");
    const char *name;
    const char *set;
    json_t *json;
    json_t *of;

    json_object_foreach(judged, name, json)
    {
        IL_TRY(note_classes(s, step, name, "", json, err));
    }
    json_object_foreach(played, set, of)
    {
        json_object_foreach(json_object_get(of, "histograms"), name, json)
        {
            IL_TRY(note_classes(s, step, name, set, json, err));
        }
    }
    return IL_OK;
}
