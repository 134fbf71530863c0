/* The audit: see audit.h. */
#include "audit/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "audit/audit_private.h"
#include "audit/outcome_private.h"
#include "audit/places.h"
#include "detect/rezero.h"

il_status il__audit_no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "audit", "out of memory");
}

static double now_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void il__audit_spent(il_audit_work *w, const char *part)
{
    double now = now_seconds();
    double before = json_number_value(json_object_get(w->out->seconds, part));

    if (now - w->since > 1e-4) { /* else there was nothing of that part */
        json_object_set_new(w->out->seconds, part, json_real(before + now - w->since));
        w->since = now;
    }
}

il_harvest il__audit_harvest(const il_audit_work *w, const float *const *values)
{
    il_harvest h = {.model = w->in->model,
                    .values = values,
                    .data = w->in->data,
                    .blas = w->in->blas,
                    .pool = w->in->pool,
                    .edits = values == w->in->values ? w->in->edits : NULL};

    return h;
}

il_detector il__audit_then(const il_audited *a)
{
    return a->then != NULL ? *a->then : il_detector_unmoved(a->now);
}

il_status il__audit_put(il_audit_work *w, const char *name, double value, json_t *more,
                        il_error *err)
{
    il_audit *out = w->out;

    if (out->count == w->room) {
        size_t room = w->room == 0 ? 64 : 2 * w->room;
        il_audit_metric *grown = il_arena_alloc(out->arena, room * sizeof *grown);

        if (grown == NULL) {
            json_decref(more);
            return il__audit_no_memory(err);
        }
        if (out->count > 0) {
            memcpy(grown, out->metrics, out->count * sizeof *grown);
        }
        out->metrics = grown;
        w->room = room;
    }
    out->metrics[out->count].name =
        name != NULL ? il_arena_strdup(out->arena, name) : NULL;
    out->metrics[out->count].value = value;
    if (out->metrics[out->count].name == NULL) {
        json_decref(more);
        return il__audit_no_memory(err);
    }
    out->count++;
    if (isfinite(value)) {
        json_t *entry = more != NULL ? more : json_object();

        json_object_set_new(entry, "value", json_real(value));
        json_object_set_new(w->metrics, name, entry);
    } else {
        json_decref(more);
    }
    return IL_OK;
}

void il__audit_set(json_t *object, const char *key, double value)
{
    if (isfinite(value)) {
        json_object_set_new(object, key, json_real(value));
    }
}

json_t *il__audit_more(const il_measured *m, il_measure which)
{
    json_t *more = json_object();

    if (more == NULL) {
        return NULL;
    }
    il__audit_set(more, "low", m->low[which]);
    il__audit_set(more, "high", m->high[which]);
    json_object_set_new(more, "n", json_integer(m->rows));
    json_object_set_new(more, "positives", json_integer(m->positives));
    json_object_set_new(more, "negatives", json_integer(m->negatives));
    json_object_set_new(more, "documents", json_integer(m->documents));
    return more;
}

il_status il__audit_put_as(il_audit_work *w, const char *name, const il_measured *m,
                           il_measure which, il_error *err)
{
    json_t *more = il__audit_more(m, which);

    return more != NULL ? il__audit_put(w, name, m->value[which], more, err)
                        : il__audit_no_memory(err);
}

il_status il__audit_put_measure(il_audit_work *w, const char *reader,
                                const il_measured *m, il_measure which, il_error *err)
{
    return il__audit_put_as(
        w, il_arena_printf(w->out->arena, "%s.%s", reader, il_measure_name(which)), m,
        which, err);
}

void il__audit_set_floor(il_audit_work *w, const char *which, const char *kind,
                         double value)
{
    json_t *floor = json_object_get(w->floors, which);

    if (floor == NULL) {
        floor = json_object();
        json_object_set_new(w->floors, which, floor);
    }
    if (json_object_get(floor, kind) == NULL) {
        il__audit_set(floor, kind, value);
    }
}

il_status il__audit_put_tally(il_audit_work *w, const il_tally *t, il_error *err)
{
    IL_TRY(t->failed);
    for (size_t i = 0; i < t->count; i++) {
        IL_TRY(il__audit_put(w, t->items[i].name, il_tally_value(t, t->items[i].name),
                             NULL, err));
    }
    return IL_OK;
}

/* The data's metrics of the model's outputs on a split. */
static il_status model_metrics(il_audit_work *w, const il_detector *like,
                               const char *split, il_error *err)
{
    il_tally tally;
    il_harvest h = il__audit_harvest(w, w->in->values);
    il_acts *acts = NULL;
    il_status status;

    il_tally_open(&tally);
    h.split = split;
    h.tally = &tally;
    h.fields.tokens = like != NULL ? like->fields.tokens : "all";
    h.fields.unit = like != NULL ? like->fields.unit : NULL;
    status = il_acts_harvest(&acts, &h, err);
    if (status == IL_OK) {
        status = il__audit_put_tally(w, &tally, err);
    }
    il_acts_destroy(acts);
    il_tally_close(&tally);
    return status;
}

/* Which detector fresh readers are fitted like; NULL: none. */
static const il_detector *taught_of(const il_audit_work *w)
{
    for (size_t i = 0; i < w->in->detector_count; i++) {
        const il_detector *d = w->in->detectors[i].now;

        if (il_audit_taught(1, &d) != NULL) {
            return d;
        }
    }
    return NULL;
}

static il_status audit_split(il_audit_work *w, const char *split, bool first,
                             il_error *err)
{
    const il_detector *like =
        w->in->detector_count > 0 ? w->in->detectors[0].now : NULL;
    const il_detector *taught = taught_of(w);

    for (size_t i = 0; i < w->in->detector_count; i++) {
        IL_TRY(il__audit_judge(w, &w->in->detectors[i], split, first, err));
    }
    il__audit_spent(w, "scores");
    if (!first) {
        return IL_OK;
    }
    IL_TRY(model_metrics(w, like, split, err));
    il__audit_spent(w, "metrics");
    if (taught != NULL && w->in->spec->fresh.count > 0) {
        IL_TRY(il__audit_fresh(w, taught, split, err));
        il__audit_spent(w, "fresh");
    }
    return IL_OK;
}

static il_status find_against(il_audit_work *w, il_error *err)
{
    const char *name = w->in->spec->against;

    for (size_t i = 0; name != NULL && i < w->in->detector_count; i++) {
        if (strcmp(w->in->detectors[i].now->spec->name, name) == 0) {
            w->against = w->in->detectors[i].now;
        }
    }
    return name == NULL || w->against != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, "audit",
                              "detector '%s', which the others are compared with, has "
                              "not been fitted yet",
                              name);
}

/* Under which name a detector's rates are those of the unit that alarms. */
static json_t *alarm_of(const il_detector *d)
{
    const char *name = d->spec->name;
    bool row = d->spec->pooled || d->unit == IL_UNIT_TOKEN || d->unit == IL_UNIT_STEP;

    return row ? json_string(name)
               : json_sprintf("%s.%s", name,
                              d->unit == IL_UNIT_EPISODE ? "episode" : "document");
}

/* At what each detector alarms, and by which unit. */
static json_t *alarms(const il_audit_input *in)
{
    json_t *all = json_object();

    for (size_t i = 0; i < in->detector_count; i++) {
        const il_detector *d = in->detectors[i].now;
        json_t *one = json_object();

        json_object_set_new(one, "vault", json_boolean(d->spec->vault));
        if (d->has_threshold) {
            il__audit_set(one, "threshold", d->threshold);
            il__audit_set(one, "rate", d->rate);
            json_object_set_new(one, "unit", json_string(il_unit_name(d->unit)));
            json_object_set_new(one, "negatives", json_integer(d->negatives));
            json_object_set_new(one, "alarm", alarm_of(d));
        }
        json_object_set_new(all, d->spec->name, one);
    }
    return all;
}

static il_status run(il_audit_work *w, il_error *err)
{
    IL_TRY(find_against(w, err));
    IL_TRY(il__outcome_open(w, err));
    for (size_t i = 0; i < w->in->spec->splits.count; i++) {
        IL_TRY(audit_split(w, w->in->spec->splits.items[i], i == 0, err));
    }
    IL_TRY(il__audit_played(w, err));
    IL_TRY(il__audit_answers(w, err));
    il__audit_spent(w, "answers");
    IL_TRY(il__audit_edited(w, err));
    il__audit_spent(w, "edits");
    if (w->in->data != NULL) {
        IL_TRY(il__audit_cells(w, err));
        il__audit_spent(w, "text");
    }
    return il__outcome_close(w, err);
}

/* The false positives that readers without a threshold are asked for: those that the
 * first detector with a rate of its own allows. */
static double rate_of(const il_audit_input *in)
{
    for (size_t i = 0; i < in->detector_count; i++) {
        const il_detector *d = in->detectors[i].now;

        if (d->has_threshold && d->rate > 0) {
            return d->rate;
        }
    }
    return 0.01;
}

static void close_work(il_audit_work *w)
{
    json_decref(w->metrics);
    json_decref(w->floors);
    json_decref(w->played);
    json_decref(w->unread);
    json_decref(w->reliability);
    json_decref(w->histograms);
    json_decref(w->detectors);
    json_decref(w->outcome);
    json_decref(w->answers);
    json_decref(w->answers_under);
}

/* What audit.json holds; NULL when memory is out. */
static json_t *gather(const il_audit_work *w)
{
    json_t *json = json_pack("{s:O, s:O, s:I, s:O, s:O}", "metrics", w->metrics,
                             "floors", w->floors, "looks", (json_int_t)w->out->looks,
                             "played", w->played, "detectors", w->detectors);
    const struct {
        const char *name;
        json_t *part;
    } further[] = {{"unread", w->unread},
                   {"reliability", w->reliability},
                   {"histograms", w->histograms},
                   {"answers", w->answers},
                   {"answers_under", w->answers_under}};

    for (size_t i = 0; json != NULL && i < sizeof further / sizeof *further; i++) {
        if (json_object_size(further[i].part) > 0) {
            json_object_set(json, further[i].name, further[i].part);
        }
    }
    if (json != NULL && w->outcome != NULL) {
        json_object_set(json, "outcome", w->outcome);
    }
    return json;
}

il_status il_audit_run(il_audit **out, const il_audit_input *in, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_audit *audit = arena != NULL ? il_arena_calloc(arena, 1, sizeof *audit) : NULL;
    il_audit_work w = {.in = in,
                       .out = audit,
                       .metrics = json_object(),
                       .floors = json_object(),
                       .played = json_object(),
                       .unread = json_object(),
                       .reliability = json_object(),
                       .histograms = json_object(),
                       .answers = json_object(),
                       .answers_under = json_object(),
                       .detectors = alarms(in),
                       .rate = rate_of(in),
                       .since = now_seconds()};
    il_status status;

    if (audit == NULL) {
        close_work(&w);
        il_arena_destroy(arena);
        return il__audit_no_memory(err);
    }
    audit->arena = arena;
    audit->looks = in->looks;
    audit->seconds = json_object();
    status = w.metrics != NULL && w.floors != NULL && w.played != NULL &&
                     w.unread != NULL && w.reliability != NULL &&
                     w.histograms != NULL && w.detectors != NULL && w.answers != NULL &&
                     w.answers_under != NULL && audit->seconds != NULL
                 ? run(&w, err)
                 : il__audit_no_memory(err);
    if (status == IL_OK) {
        audit->json = gather(&w);
        status = audit->json != NULL ? IL_OK : il__audit_no_memory(err);
    }
    close_work(&w);
    if (status != IL_OK) {
        il_audit_destroy(audit);
        return status;
    }
    *out = audit;
    return IL_OK;
}

void il_audit_destroy(il_audit *a)
{
    if (a != NULL) {
        json_decref(a->json);
        json_decref(a->seconds);
        il_arena_destroy(a->arena);
    }
}

double il_audit_value(const il_audit *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->metrics[i].name, name) == 0) {
            return a->metrics[i].value;
        }
    }
    return NAN;
}
