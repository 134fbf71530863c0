/* Fresh readers of played episodes: fitted on the first half of a set's episodes,
 * judged on the second, with the detector's own score there beside them, and two
 * floors: the same on random weights, and on labels dealt anew over the episodes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/halves.h"
#include "audit/places.h"
#include "audit/played_private.h"
#include "detect/linear.h"

/* A reader of the audit's own where d reads, or at another site; a linear one is fitted
 * the way d is. */
static il_status make_reader(il_detector **out, const il_audit_work *w,
                             const il_detector *d, const il_audit_reader *kind,
                             const char *site, il_error *err)
{
    il_problems problems = {.arena = il_arena_create(4096)};
    il_detector_spec *spec = il_arena_calloc(w->out->arena, 1, sizeof *spec);
    il_detector_input in = {.registry = w->in->registry,
                            .spec = spec,
                            .model = w->in->model,
                            .seed = w->in->seed};
    const char *method = d->spec->fit.method;
    il_status status;

    if (problems.arena == NULL || spec == NULL) {
        il_arena_destroy(problems.arena);
        return il__audit_no_memory(err);
    }
    spec->name = il_arena_printf(w->out->arena, "fresh.%s%s%s", kind->name,
                                 site != NULL ? "@" : "", site != NULL ? site : "");
    spec->component.use = kind->component;
    spec->component.range = "";
    spec->component.place = d->spec->place;
    spec->component.use_place = d->spec->place;
    spec->sites = d->spec->sites;
    if (site != NULL) {
        const char **items = il_arena_calloc(w->out->arena, 1, sizeof *items);
        il_place *place = il_arena_calloc(w->out->arena, 1, sizeof *place);

        if (items == NULL || place == NULL) {
            il_arena_destroy(problems.arena);
            return il__audit_no_memory(err);
        }
        items[0] = site;
        spec->sites = (il_names_spec){1, items, place};
    }
    spec->tokens = d->spec->tokens;
    spec->context = kind->context;
    spec->fit.label = d->spec->label;
    il__audit_pool_like(spec, d->spec);
    spec->place = d->spec->place;
    if (kind == &il__audit_readers[0] && method != NULL && il_detector_solved(method)) {
        spec->fit = d->spec->fit;
    }
    status = il_detector_create(out, &in, &problems, err);
    il_arena_destroy(problems.arena);
    return status;
}

/* Measures of a detector on part of its rows. */
static il_status measure_part(const il_audit_work *w, const il_detector *d,
                              const il_part *p, il_measured *m, il_error *err)
{
    float *logits = malloc(((size_t)p->acts.rows.count + 1) * sizeof *logits);
    il_status status = logits != NULL
                           ? il_detector_logits(d, w->in->blas, &p->acts, logits, err)
                           : il__audit_no_memory(err);

    if (status == IL_OK) {
        il_scores s = il__audit_scores(w, d, &p->acts.rows, logits);

        status = il__played_measure(w, &s, m, err);
    }
    free(logits);
    return status;
}

/* The detector's loss against a fresh linear reader of the same half. */
static il_status put_gaps(il_audit_work *w, const il_played *set, const il_detector *d,
                          const il_detector *fresh, const il_part *judged,
                          const il_measured *m, il_error *err)
{
    const char *name = d->spec->name;
    il_measured own;

    IL_TRY(measure_part(w, d, judged, &own, err));
    IL_TRY(il__played_put(w, set, name, "auroc_gap",
                          m->value[IL_MEASURE_AUROC] - own.value[IL_MEASURE_AUROC],
                          NULL, err));
    IL_TRY(il__played_put(w, set, name, "recall_gap",
                          m->value[IL_MEASURE_TPR_AT_1] - own.value[IL_MEASURE_TPR],
                          NULL, err));
    return il_detector_linear(d) && il_detector_linear(fresh)
               ? il__played_put(w, set, name, "cos", il_detector_cosine(d, fresh), NULL,
                                err)
               : IL_OK;
}

/* One reader, where d reads (`site` NULL) or elsewhere. */
static il_status read_one(il_audit_work *w, const il_played *set, const il_detector *d,
                          const il_verdicts *v, const il_audit_reader *kind,
                          const char *site, bool first, il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR_AT_1,
                                       IL_MEASURE_RECALL, IL_MEASURE_DPRIME};
    il_fit fit = {.blas = w->in->blas, .start = IL_FIT_FRESH, .seed = w->in->seed};
    il_verdicts other = {.escalated = NAN};
    il_detector *reader = NULL;
    il_error why = {.code = IL_OK};
    il_part halves[2];
    il_measured m;
    int64_t half;
    const il_acts *acts = v->acts;
    il_status status = make_reader(&reader, w, d, kind, site, err);

    if (status == IL_OK &&
        (site != NULL || il_detector_reads_rows(reader) != acts->gathered)) {
        /* It reads elsewhere, or the same in another form. */
        reader->fields = d->fields;
        status = il__played_read(&other, w, set->episodes, reader, w->in->values, NULL,
                                 d->fields.label, err);
        acts = other.acts;
    }
    if (status != IL_OK || acts->site_count > IL_PART_SITES) {
        goto out;
    }
    half = il_part_row(acts, 0.5);
    il_part_cut(&halves[0], acts, 0, half);
    il_part_cut(&halves[1], acts, half, acts->rows.count - half);
    if (!halves[0].both || !halves[1].both) {
        goto out; /* a policy under which nothing or everything is positive */
    }
    if (il_detector_fit(reader, &halves[0].acts, &fit, &why) != IL_OK) {
        status = il__audit_unread(
            w, il_arena_printf(w->out->arena, "%s.%s", reader->spec->name, set->name),
            &why, err);
        goto out;
    }
    if (status == IL_OK) {
        status = measure_part(w, reader, &halves[1], &m, err);
    }
    w->out->looks++;
    for (size_t i = 0; status == IL_OK && first && i < sizeof shown / sizeof *shown;
         i++) {
        status = il__played_put_measure(w, set, reader->spec->name, NULL, &m, shown[i],
                                        err);
    }
    if (status == IL_OK && first && set->primary && site == NULL) {
        status = il__audit_causal(w, reader, &halves[0].acts, err);
    }
    if (status == IL_OK && kind == &il__audit_readers[0] && acts == v->acts) {
        status = put_gaps(w, set, d, reader, &halves[1], &m, err);
    }
out:
    il__played_close(&other);
    il_detector_destroy(reader);
    return status;
}

/* ---- floors --------------------------------------------------------------------- */

typedef enum floor_of { FLOOR_RANDOM, FLOOR_SHUFFLED, FLOORS } floor_of;

static const char *const floor_names[FLOORS] = {"random", "shuffled"};

/* Where a row is an episode, its positions have its label. */
static il_status deal_positions(il_part *p, il_arena *arena, il_error *err)
{
    il_scored *rows = &p->acts.rows;
    size_t n = (size_t)il_scored_first(rows, rows->count);

    if (rows->first == NULL) {
        return IL_OK;
    }
    rows->token_labels = il_arena_calloc(arena, n + 1, 1);
    if (rows->token_labels == NULL) {
        return il__audit_no_memory(err);
    }
    for (int64_t i = 0; i < rows->count; i++) {
        for (int64_t k = il_scored_first(rows, i); k < il_scored_first(rows, i + 1);
             k++) {
            rows->token_labels[k] = rows->labels[i];
        }
    }
    return IL_OK;
}

/* Labels of whole episodes dealt anew among those that have rows: row by row the other
 * episode's, from its first again where that has fewer. */
static il_status deal_labels(const il_audit_work *w, il_part *p, il_error *err)
{
    il_arena *arena = w->out->arena;
    const il_scored *rows = &p->acts.rows;
    size_t n = (size_t)rows->count;
    int64_t *first = il_arena_calloc(arena, n + 1, sizeof *first); /* by episode */
    int64_t *donor = il_arena_calloc(arena, n + 1, sizeof *donor);
    uint8_t *labels = il_arena_calloc(arena, n + 1, 1);
    int64_t count = 0;
    il_rng r;

    if (first == NULL || donor == NULL || labels == NULL) {
        return il__audit_no_memory(err);
    }
    for (int64_t i = 0; i < rows->count; i++) {
        if (i == 0 ||
            rows->rows[i] / rows->length != rows->rows[i - 1] / rows->length) {
            first[count++] = i;
        }
    }
    first[count] = rows->count;
    il_rng_open(&r, w->in->seed, w->in->depth, IL_RNG_SCRAMBLE, 1, UINT64_MAX);
    for (int64_t k = 0; k < count; k++) {
        int64_t other = il_rng_below(&r, (uint32_t)(k + 1));

        donor[k] = donor[other];
        donor[other] = k;
    }
    for (int64_t k = 0; k < count; k++) {
        int64_t from = first[donor[k]];
        int64_t there = first[donor[k] + 1] - from;

        for (int64_t i = first[k]; i < first[k + 1]; i++) {
            labels[i] = rows->labels[from + (i - first[k]) % there];
        }
    }
    p->acts.rows.labels = labels;
    return deal_positions(p, arena, err);
}

/* One reader's floor. `acts` are the detector's, in the form that the reader takes. */
static il_status judge_floor(il_audit_work *w, const il_played *set,
                             il_detector *reader, const char *kind, const il_acts *acts,
                             floor_of which, il_error *err)
{
    il_fit fit = {.blas = w->in->blas, .start = IL_FIT_FRESH, .seed = w->in->seed};
    const char *name =
        il_arena_printf(w->out->arena, "floor.%s.%s", floor_names[which], kind);
    il_error why = {.code = IL_OK};
    il_part halves[2];
    il_measured m;
    int64_t half = il_part_row(acts, 0.5);

    il_part_cut(&halves[0], acts, 0, half);
    il_part_cut(&halves[1], acts, half, acts->rows.count - half);
    if (!halves[0].both || !halves[1].both) {
        return IL_OK;
    }
    if (which == FLOOR_SHUFFLED) {
        IL_TRY(deal_labels(w, &halves[0], err));
    }
    if (il_detector_fit(reader, &halves[0].acts, &fit, &why) != IL_OK) {
        return il__audit_unread(
            w, il_arena_printf(w->out->arena, "%s.%s", name, set->name), &why, err);
    }
    IL_TRY(measure_part(w, reader, &halves[1], &m, err));
    if (set->primary) {
        il__audit_set_floor(w, floor_names[which], kind, m.value[IL_MEASURE_AUROC]);
    }
    return il__played_put(w, set, name, "auroc", m.value[IL_MEASURE_AUROC], NULL, err);
}

static il_status read_floor(il_audit_work *w, const il_played *set,
                            const il_detector *d, const il_verdicts *v,
                            const il_audit_reader *kind, floor_of which, il_error *err)
{
    const float *const *values = w->in->values;
    il_verdicts other = {.escalated = NAN};
    il_detector *reader = NULL;
    const float **random = NULL;
    il_status status = make_reader(&reader, w, d, kind, NULL, err);

    if (status == IL_OK && which == FLOOR_RANDOM) {
        status = il__audit_random_values(w, &random, err);
        values = random;
    }
    if (status == IL_OK && (which == FLOOR_RANDOM ||
                            il_detector_reads_rows(reader) != v->acts->gathered)) {
        reader->fields = d->fields;
        status = il__played_read(&other, w, set->episodes, reader, values, NULL,
                                 d->fields.label, err);
    }
    if (status == IL_OK && v->acts->site_count <= IL_PART_SITES) {
        status = judge_floor(w, set, reader, kind->name,
                             other.acts != NULL ? other.acts : v->acts, which, err);
    }
    il__played_close(&other);
    il_detector_destroy(reader);
    return status;
}

/* ---- all of them ---------------------------------------------------------------- */

/* One kind of reader at the further sites, in a whole audit. */
static il_status read_further(il_audit_work *w, const il_played *set,
                              const il_detector *d, const il_verdicts *v,
                              const il_audit_reader *kind, il_error *err)
{
    const il_instance *model = w->in->model;
    size_t room = model->site_count + w->in->spec->sites.count + 1;
    const char **sites = il_arena_calloc(w->out->arena, room, sizeof *sites);
    const il_detector **all =
        il_arena_calloc(w->out->arena, w->in->detector_count + 1, sizeof *all);
    size_t count;

    if (sites == NULL || all == NULL) {
        return il__audit_no_memory(err);
    }
    for (size_t i = 0; i < w->in->detector_count; i++) {
        all[i] = w->in->detectors[i].now;
    }
    count = il_audit_further(w->in->spec, model, d, w->in->detector_count, all, sites);
    for (size_t i = 0; i < count; i++) {
        int64_t number = il_instance_site(model, sites[i]);

        if (number < 0) {
            return il_error_set(err, IL_ERR_INPUT, "audit", "the model has no site '%s'",
                                sites[i]);
        }
        if (d->site_count != 1 || d->sites[0] != number) {
            IL_TRY(read_one(w, set, d, v, kind, sites[i], true, err));
        }
    }
    return IL_OK;
}

il_status il__played_fresh(il_audit_work *w, const il_played *set, const il_detector *d,
                           const il_verdicts *v, bool first, il_error *err)
{
    const il_names_spec *wanted = &w->in->spec->fresh;

    for (size_t i = 0; i < wanted->count; i++) {
        for (int k = 0; k < IL_AUDIT_READERS; k++) {
            /* Beside further detectors a linear reader is enough: for their gaps. */
            const il_audit_reader *kind = &il__audit_readers[k];

            if (strcmp(wanted->items[i], kind->name) != 0 || (!first && k > 0)) {
                continue;
            }
            IL_TRY(read_one(w, set, d, v, kind, NULL, first, err));
            if (first && w->in->whole) {
                IL_TRY(read_further(w, set, d, v, kind, err));
            }
            for (int f = 0; first && w->in->whole && f < FLOORS; f++) {
                IL_TRY(read_floor(w, set, d, v, kind, (floor_of)f, err));
            }
        }
    }
    return IL_OK;
}
