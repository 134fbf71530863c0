/* The audit: see audit.h. */
#include "audit/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/behaviour.h"

enum { DRAWS = 200, READERS = 3 };

/* A reader of the audit's own: bundled components by their plain names. */
typedef struct reader_kind {
    const char *name;
    const char *component;
    enum il_context context;
} reader_kind;

static const reader_kind kinds[READERS] = {
    {"linear", "linear_probe", IL_CONTEXT_SELF},
    {"mlp", "mlp_probe", IL_CONTEXT_SELF},
    {"attention", "attention_probe", IL_CONTEXT_PAST},
};

/* What is known while an audit runs. */
typedef struct work {
    const il_audit_input *in;
    il_audit *out;
    size_t room;
    json_t *metrics;
    json_t *floors;
} work;

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "audit", "out of memory");
}

static il_harvest harvest_of(const work *w, const float *const *values)
{
    il_harvest h = {.model = w->in->model,
                    .values = values,
                    .data = w->in->data,
                    .blas = w->in->blas,
                    .pool = w->in->pool};

    return h;
}

static il_status put(work *w, const char *name, double value, json_t *more,
                     il_error *err)
{
    il_audit *out = w->out;

    if (out->count == w->room) {
        size_t room = w->room == 0 ? 64 : 2 * w->room;
        il_audit_metric *grown = il_arena_alloc(out->arena, room * sizeof *grown);

        if (grown == NULL) {
            json_decref(more);
            return no_memory(err);
        }
        if (out->count > 0) {
            memcpy(grown, out->metrics, out->count * sizeof *grown);
        }
        out->metrics = grown;
        w->room = room;
    }
    out->metrics[out->count].name = il_arena_strdup(out->arena, name);
    out->metrics[out->count].value = value;
    if (out->metrics[out->count++].name == NULL) {
        json_decref(more);
        return no_memory(err);
    }
    if (isfinite(value)) {
        json_t *entry = more != NULL ? more : json_object();

        json_object_set_new(entry, "value", json_real(value));
        json_object_set_new(w->metrics, name, entry);
    } else {
        json_decref(more);
    }
    return IL_OK;
}

static void set_finite(json_t *object, const char *key, double value)
{
    if (isfinite(value)) {
        json_object_set_new(object, key, json_real(value));
    }
}

static il_status put_measure(work *w, const char *reader, const il_measured *m,
                             il_measure which, il_error *err)
{
    json_t *more = json_object();
    const char *name =
        il_arena_printf(w->out->arena, "%s.%s", reader, il_measure_name(which));

    if (more == NULL || name == NULL) {
        json_decref(more);
        return no_memory(err);
    }
    set_finite(more, "low", m->low[which]);
    set_finite(more, "high", m->high[which]);
    json_object_set_new(more, "n", json_integer(m->rows));
    json_object_set_new(more, "positives", json_integer(m->positives));
    json_object_set_new(more, "negatives", json_integer(m->negatives));
    json_object_set_new(more, "documents", json_integer(m->documents));
    return put(w, name, m->value[which], more, err);
}

/* ---- the declared detectors ----------------------------------------------------- */

static il_status check_apart(const il_detector *d, const il_acts *acts,
                             const char *split, il_arena *arena, il_error *err)
{
    int64_t n = 0;
    int64_t shared = 0;
    int64_t *ids = il_documents_list(&acts->rows, arena, &n);

    if (ids == NULL) {
        return no_memory(err);
    }
    if (il_documents_meet(n, ids, d->fit_ids.count, d->fit_ids.ids, &shared) ||
        il_documents_meet(n, ids, d->calibration_ids.count, d->calibration_ids.ids,
                          &shared)) {
        return il_error_set(
            err, IL_ERR_INPUT, d->spec->name,
            "document %lld of split '%s' would judge this detector, and it "
            "fitted or calibrated it",
            (long long)shared, split);
    }
    return IL_OK;
}

static il_status measure(work *w, const il_detector *d, const il_acts *acts,
                         il_measured *m, il_error *err)
{
    float *logits = malloc(((size_t)acts->rows.count + 1) * sizeof *logits);
    il_scores scores = {.count = acts->rows.count,
                        .logits = logits,
                        .labels = acts->rows.labels,
                        .documents = acts->rows.documents,
                        .has_threshold = d->has_threshold,
                        .threshold = d->threshold};
    il_status status;

    if (logits == NULL) {
        return no_memory(err);
    }
    status = il_detector_logits(d, w->in->blas, acts, logits, err);
    if (status == IL_OK) {
        status = il_scores_measure(&scores, DRAWS, w->in->seed, w->in->depth, m, err);
    }
    free(logits);
    return status;
}

/* How far each class moved along the reader's own scale since then. */
static il_status put_shift(work *w, const il_audited *a, const char *name,
                           const char *split, const il_measured *now, il_error *err)
{
    const il_detector *then = a->then != NULL ? a->then : a->now;
    il_harvest h = harvest_of(w, a->then_values);
    il_acts *acts = NULL;
    il_measured before;
    il_status status;

    if (a->then_values == NULL || a->then_values == w->in->values) {
        return IL_OK;
    }
    status = il_detector_harvest(&acts, then, &h, split, err);
    if (status == IL_OK) {
        status = measure(w, then, acts, &before, err);
    }
    il_acts_destroy(acts);
    if (status != IL_OK) {
        return status;
    }
    IL_TRY(put(w, il_arena_printf(w->out->arena, "%s.shift_positive", name),
               now->value[IL_MEASURE_POSITIVE] - before.value[IL_MEASURE_POSITIVE],
               NULL, err));
    return put(w, il_arena_printf(w->out->arena, "%s.shift_negative", name),
               now->value[IL_MEASURE_NEGATIVE] - before.value[IL_MEASURE_NEGATIVE],
               NULL, err);
}

static il_status judge(work *w, const il_audited *a, const char *split, bool first,
                       il_error *err)
{
    static const il_measure shown[] = {IL_MEASURE_AUROC,    IL_MEASURE_TPR,
                                       IL_MEASURE_FPR,      IL_MEASURE_MEAN,
                                       IL_MEASURE_DPRIME,   IL_MEASURE_TPR_AT_1,
                                       IL_MEASURE_POSITIVE, IL_MEASURE_NEGATIVE};
    const char *name =
        first ? a->now->spec->name
              : il_arena_printf(w->out->arena, "%s@%s", a->now->spec->name, split);
    il_harvest h = harvest_of(w, w->in->values);
    il_acts *acts = NULL;
    il_measured m;
    il_status status = il_detector_harvest(&acts, a->now, &h, split, err);

    if (status == IL_OK) {
        status = check_apart(a->now, acts, split, w->out->arena, err);
    }
    if (status == IL_OK) {
        status = measure(w, a->now, acts, &m, err);
    }
    for (size_t i = 0; status == IL_OK && i < sizeof shown / sizeof *shown; i++) {
        status = put_measure(w, name, &m, shown[i], err);
    }
    if (status == IL_OK) {
        status = put_shift(w, a, name, split, &m, err);
    }
    il_acts_destroy(acts);
    w->out->looks += a->now->spec->vault;
    return status;
}

/* ---- fresh readers -------------------------------------------------------------- */

/* One fit: a kind of reader on one pair of harvests. */
typedef struct fresh_task {
    const work *w;
    int kind;
    il_detector_spec spec;
    il_detector *detector;
    const il_acts *anchors;
    const il_acts *judged;
    il_measured measured;
    il_error err;
} fresh_task;

static void fresh_fit(void *user, int number, int worker)
{
    fresh_task *t = (fresh_task *)user + number;
    il_fit fit = {
        .blas = t->w->in->blas, .start = IL_FIT_FRESH, .seed = t->w->in->seed};
    float *logits = malloc(((size_t)t->judged->rows.count + 1) * sizeof *logits);
    il_scores scores = {.count = t->judged->rows.count,
                        .logits = logits,
                        .labels = t->judged->rows.labels,
                        .documents = t->judged->rows.documents};

    (void)worker; /* a fit brings its own pass */
    if (logits == NULL) {
        (void)no_memory(&t->err); /* kept with the task */
    } else if (il_detector_fit(t->detector, t->anchors, &fit, &t->err) == IL_OK &&
               il_detector_logits(t->detector, t->w->in->blas, t->judged, logits,
                                  &t->err) == IL_OK) {
        (void)il_scores_measure(&scores, DRAWS, t->w->in->seed, t->w->in->depth,
                                &t->measured, &t->err); /* kept with the task */
    }
    free(logits);
}

/* The scored rows alone of activations that were kept everywhere. */
static il_status gathered_of(il_acts **out, const il_acts *acts, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_acts *own = arena != NULL ? il_arena_calloc(arena, 1, sizeof *own) : NULL;
    const float **data =
        own != NULL ? il_arena_calloc(arena, acts->site_count + 1, sizeof *data) : NULL;
    size_t rows = (size_t)acts->rows.count;
    uint8_t *labels = data != NULL ? il_arena_calloc(arena, rows + 1, 1) : NULL;
    bool failed = labels == NULL;

    for (size_t i = 0; !failed && i < acts->site_count; i++) {
        size_t width = (size_t)acts->widths[i];
        float *x = il_arena_alloc(arena, (rows * width + 1) * sizeof *x);

        failed = x == NULL;
        for (size_t r = 0; !failed && r < rows; r++) {
            memcpy(x + r * width, acts->data[i] + (size_t)acts->rows.rows[r] * width,
                   width * sizeof *x);
        }
        data[i] = x;
    }
    if (failed) {
        il_arena_destroy(arena);
        return no_memory(err);
    }
    *own = *acts;
    own->arena = arena;
    own->data = data;
    own->gathered = true;
    /* Labels of its own: a floor shuffles them. */
    if (acts->rows.labels != NULL) {
        memcpy(labels, acts->rows.labels, rows);
        own->rows.labels = labels;
    }
    *out = own;
    return IL_OK;
}

/* One harvest in both forms: out[1], the scored rows, leans on out[0]. */
static il_status harvest_for(work *w, const il_detector *like,
                             const float *const *values, const char *split,
                             il_acts *out[2], il_error *err)
{
    il_harvest h = harvest_of(w, values);

    h.split = split;
    h.fields = like->fields;
    h.sites = like->sites;
    h.site_count = like->site_count;
    IL_TRY(il_acts_harvest(&out[0], &h, err));
    return gathered_of(&out[1], out[0], err);
}

/* Refuses to judge readers on what they are fitted on. */
static il_status check_anchors(const work *w, const il_acts *anchors,
                               const il_acts *judged, const char *split, il_error *err)
{
    int64_t n = 0;
    int64_t m = 0;
    int64_t shared = 0;
    int64_t *a = il_documents_list(&anchors->rows, w->out->arena, &n);
    int64_t *b = il_documents_list(&judged->rows, w->out->arena, &m);

    if (a == NULL || b == NULL) {
        return no_memory(err);
    }
    if (il_documents_meet(n, a, m, b, &shared)) {
        return il_error_set(err, IL_ERR_INPUT, "audit",
                            "document %lld of split '%s' would judge fresh readers, "
                            "and it is one of their anchors",
                            (long long)shared, split);
    }
    return IL_OK;
}

/* Labels of whole documents dealt anew: what a reader finds by chance. */
static il_status shuffle_labels(const work *w, il_acts *acts, il_error *err)
{
    int64_t n = 0;
    int64_t *ids = il_documents_list(&acts->rows, acts->arena, &n);
    uint8_t *labels = il_arena_calloc(acts->arena, (size_t)n + 1, 1);
    il_rng r;

    if (ids == NULL || labels == NULL) {
        return no_memory(err);
    }
    for (int64_t i = 0; i < acts->rows.count; i++) {
        const int64_t *at = bsearch(&acts->rows.documents[i], ids, (size_t)n,
                                    sizeof *ids, il_documents_compare);

        labels[at - ids] = acts->rows.labels[i];
    }
    il_rng_open(&r, w->in->seed, w->in->depth, IL_RNG_SCRAMBLE, 0, UINT64_MAX);
    for (int64_t j = n - 1; j > 0; j--) {
        int64_t other = il_rng_below(&r, (uint32_t)(j + 1));
        uint8_t kept = labels[j];

        labels[j] = labels[other];
        labels[other] = kept;
    }
    for (int64_t i = 0; i < acts->rows.count; i++) {
        const int64_t *at = bsearch(&acts->rows.documents[i], ids, (size_t)n,
                                    sizeof *ids, il_documents_compare);

        acts->rows.labels[i] = labels[at - ids];
    }
    return IL_OK;
}

static il_status make_task(fresh_task *t, const work *w, const il_detector *like,
                           int kind, il_acts *anchors[2], il_acts *judged[2],
                           il_error *err)
{
    il_problems problems = {.arena = il_arena_create(4096)};
    il_detector_input in = {.registry = w->in->registry,
                            .spec = &t->spec,
                            .model = w->in->model,
                            .data = w->in->data,
                            .seed = w->in->seed};
    il_status status;

    memset(&t->spec, 0, sizeof t->spec);
    t->w = w;
    t->kind = kind;
    t->spec.name = il_arena_printf(w->out->arena, "fresh.%s", kinds[kind].name);
    t->spec.component.use = kinds[kind].component;
    t->spec.component.range = "";
    t->spec.component.place = like->spec->place;
    t->spec.component.use_place = like->spec->place;
    t->spec.sites = like->spec->sites;
    t->spec.tokens = like->spec->tokens;
    t->spec.context = kinds[kind].context;
    t->spec.fit.label = like->spec->fit.label;
    t->spec.place = like->spec->place;
    status = problems.arena != NULL
                 ? il_detector_create(&t->detector, &in, &problems, err)
                 : no_memory(err);
    il_arena_destroy(problems.arena);
    if (status == IL_OK) {
        bool rows = il_detector_reads_rows(t->detector);

        t->detector->fields = like->fields;
        t->anchors = anchors[rows];
        t->judged = judged[rows];
    }
    return status;
}

static bool wanted(const work *w, int kind)
{
    for (size_t i = 0; i < w->in->spec->fresh.count; i++) {
        if (strcmp(w->in->spec->fresh.items[i], kinds[kind].name) == 0) {
            return true;
        }
    }
    return false;
}

/* Random weights of the same shapes, in the arena. */
static il_status random_values(const work *w, const float ***out, il_error *err)
{
    const il_store *store = w->in->model->store;
    il_store *other = NULL;
    const float **values =
        il_arena_calloc(w->out->arena, store->count + 1, sizeof *values);
    float *block =
        il_arena_calloc(w->out->arena, (size_t)store->total + 1, sizeof *block);
    il_status status =
        values != NULL && block != NULL ? il_store_create(&other, err) : no_memory(err);

    for (size_t i = 0; status == IL_OK && i < store->count; i++) {
        const il_stored *s = &store->items[i];

        status =
            il_store_add(other, s->name, s->group, s->ndim, s->shape, s->init, err);
        values[i] = block + s->offset;
    }
    if (status == IL_OK) {
        /* Another seed than any that the sweep is likely to use. */
        status = il_store_fill(other, w->in->seed ^ 0x5eedf1005eedf100u, err);
    }
    if (status == IL_OK) {
        memcpy(block, other->values, (size_t)store->total * sizeof *block);
        *out = values;
    }
    il_store_destroy(other);
    return status;
}

typedef enum reading { FRESH, RANDOM, SHUFFLED, READINGS } reading;

static il_status put_fresh(work *w, const fresh_task *t, reading which, il_error *err)
{
    static const char *const floors[] = {"", "random", "shuffled"};
    const char *kind = kinds[t->kind].name;
    json_t *floor;

    if (which == FRESH) {
        return put_measure(w, t->spec.name, &t->measured, IL_MEASURE_AUROC, err);
    }
    floor = json_object_get(w->floors, floors[which]);
    if (floor == NULL) {
        floor = json_object();
        json_object_set_new(w->floors, floors[which], floor);
    }
    set_finite(floor, kind, t->measured.value[IL_MEASURE_AUROC]);
    return put(w,
               il_arena_printf(w->out->arena, "floor.%s.%s.auroc", floors[which], kind),
               t->measured.value[IL_MEASURE_AUROC], NULL, err);
}

static il_status read_fresh(work *w, const il_detector *like, const char *split,
                            il_error *err)
{
    const char *anchors = w->in->spec->anchors != NULL ? w->in->spec->anchors
                                                       : like->spec->fit.draw.split;
    il_acts *fit[READINGS][2] = {{NULL}};
    il_acts *judged[READINGS][2] = {{NULL}};
    fresh_task *tasks = calloc(READINGS * READERS, sizeof *tasks);
    reading of[READINGS * READERS];
    const float **random = NULL;
    int readings = w->in->floors ? READINGS : 1;
    int count = 0;
    il_status status = tasks != NULL ? IL_OK : no_memory(err);

    for (int r = 0; status == IL_OK && r < readings; r++) {
        const float *const *values = w->in->values;

        if (r == RANDOM) {
            status = random_values(w, &random, err);
            values = random;
        }
        if (status == IL_OK) {
            status = harvest_for(w, like, values, anchors, fit[r], err);
        }
        if (status == IL_OK) {
            status = harvest_for(w, like, values, split, judged[r], err);
        }
        if (status == IL_OK && r == FRESH) {
            status = check_anchors(w, fit[r][0], judged[r][0], split, err);
        }
        for (int g = 0; status == IL_OK && r == SHUFFLED && g < 2; g++) {
            status = shuffle_labels(w, fit[r][g], err);
        }
        for (int k = 0; status == IL_OK && k < READERS; k++) {
            if (wanted(w, k)) {
                of[count] = (reading)r;
                status = make_task(&tasks[count++], w, like, k, fit[r], judged[r], err);
            }
        }
    }
    if (status == IL_OK) {
        il_pool_run(w->in->pool, count, fresh_fit, tasks);
    }
    for (int i = 0; status == IL_OK && i < count; i++) {
        status = tasks[i].err.code != IL_OK
                     ? il_error_set(err, tasks[i].err.code, tasks[i].err.where, "%s",
                                    tasks[i].err.message)
                     : put_fresh(w, &tasks[i], of[i], err);
    }
    for (int i = 0; tasks != NULL && i < count; i++) {
        il_detector_destroy(tasks[i].detector);
    }
    for (int r = 0; r < READINGS; r++) {
        for (int g = 0; g < 2; g++) {
            il_acts_destroy(fit[r][g]);
            il_acts_destroy(judged[r][g]);
        }
    }
    free(tasks);
    return status;
}

/* ---- behaviour ------------------------------------------------------------------ */

static il_status put_tally(work *w, const il_tally *t, il_error *err)
{
    IL_TRY(t->failed);
    for (size_t i = 0; i < t->count; i++) {
        IL_TRY(
            put(w, t->items[i].name, il_tally_value(t, t->items[i].name), NULL, err));
    }
    return IL_OK;
}

/* The data's metrics of the model's outputs on a split. */
static il_status model_metrics(work *w, const il_detector *like, const char *split,
                               il_error *err)
{
    il_tally tally;
    il_harvest h = harvest_of(w, w->in->values);
    il_acts *acts = NULL;
    il_status status;

    il_tally_open(&tally);
    h.split = split;
    h.tally = &tally;
    h.fields.tokens = like != NULL ? like->fields.tokens : "all";
    h.fields.unit = like != NULL ? like->fields.unit : NULL;
    status = il_acts_harvest(&acts, &h, err);
    if (status == IL_OK) {
        status = put_tally(w, &tally, err);
    }
    il_acts_destroy(acts);
    il_tally_close(&tally);
    return status;
}

/* Share of the model's own text that a detector flags, read through one set of weights.
 */
static il_status flags(work *w, const il_detector *d, const float *const *values,
                       il_behaviour *b, const char *name, il_error *err)
{
    il_harvest h = harvest_of(w, values);
    il_acts *acts = NULL;
    il_measured m;
    il_status status;

    h.fetch = il_behaviour_fetch;
    h.user = b;
    h.rows = b->rows;
    h.split = "prompts";
    h.fields = d->fields;
    h.fields.label = NULL; /* text that was just written has none */
    h.sites = d->sites;
    h.site_count = d->site_count;
    h.gathered = il_detector_reads_rows(d);
    status = il_acts_harvest(&acts, &h, err);
    if (status == IL_OK) {
        status = measure(w, d, acts, &m, err);
    }
    il_acts_destroy(acts);
    if (status == IL_OK) {
        status = put(w, il_arena_printf(w->out->arena, "%s.%s", d->spec->name, name),
                     m.value[IL_MEASURE_FLAGGED], NULL, err);
    }
    return status;
}

static il_status read_behaviour(work *w, il_error *err)
{
    il_harvest h = harvest_of(w, w->in->values);
    il_behaviour *b = NULL;
    il_status status;

    if (!il_behaviour_asked(w->in->data)) {
        return IL_OK;
    }
    status = il_behaviour_sample(&b, &h, w->in->seed, w->in->depth, err);
    if (status == IL_OK) {
        status = put_tally(w, &b->tally, err);
    }
    for (size_t i = 0; status == IL_OK && i < w->in->detector_count; i++) {
        const il_audited *a = &w->in->detectors[i];

        if (!a->now->has_threshold) {
            continue;
        }
        status = flags(w, a->now, w->in->values, b, "flag_now", err);
        if (status == IL_OK && a->then_values != NULL) {
            status = flags(w, a->then != NULL ? a->then : a->now, a->then_values, b,
                           "flag_then", err);
        }
    }
    il_behaviour_destroy(b);
    return status;
}

/* ---- all of it ------------------------------------------------------------------ */

static il_status audit_split(work *w, const char *split, bool first, il_error *err)
{
    const il_detector *like =
        w->in->detector_count > 0 ? w->in->detectors[0].now : NULL;

    for (size_t i = 0; i < w->in->detector_count; i++) {
        IL_TRY(judge(w, &w->in->detectors[i], split, first, err));
    }
    if (!first) {
        return IL_OK;
    }
    IL_TRY(model_metrics(w, like, split, err));
    if (like != NULL && w->in->spec->fresh.count > 0) {
        IL_TRY(read_fresh(w, like, split, err));
    }
    return IL_OK;
}

static il_status check_fresh(const work *w, il_error *err)
{
    for (size_t i = 0; i < w->in->spec->fresh.count; i++) {
        bool known = false;

        for (int k = 0; k < READERS && !known; k++) {
            known = strcmp(w->in->spec->fresh.items[i], kinds[k].name) == 0;
        }
        if (!known) {
            return il_error_set(
                err, IL_ERR_UNSUPPORTED, "audit",
                "fresh reader '%s' is not offered, expected linear, mlp or "
                "attention",
                w->in->spec->fresh.items[i]);
        }
    }
    return IL_OK;
}

static il_status run(work *w, il_error *err)
{
    IL_TRY(check_fresh(w, err));
    for (size_t i = 0; i < w->in->spec->splits.count; i++) {
        IL_TRY(audit_split(w, w->in->spec->splits.items[i], i == 0, err));
    }
    return read_behaviour(w, err);
}

il_status il_audit_run(il_audit **out, const il_audit_input *in, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_audit *audit = arena != NULL ? il_arena_calloc(arena, 1, sizeof *audit) : NULL;
    work w = {
        .in = in, .out = audit, .metrics = json_object(), .floors = json_object()};
    il_status status;

    if (audit == NULL || w.metrics == NULL || w.floors == NULL) {
        json_decref(w.metrics);
        json_decref(w.floors);
        il_arena_destroy(arena);
        return no_memory(err);
    }
    audit->arena = arena;
    audit->looks = in->looks;
    status = run(&w, err);
    audit->json = json_pack("{s:o, s:o, s:I}", "metrics", w.metrics, "floors", w.floors,
                            "looks", (json_int_t)audit->looks);
    if (status == IL_OK && audit->json == NULL) {
        status = no_memory(err);
    }
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
