/* Fresh readers: what could still be read from the model, by readers fitted from
 * scratch, with two floors beside it: the same on random weights, and on labels dealt
 * anew. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/audit_private.h"

enum { READERS = 3 };

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

/* One fit: a kind of reader on one pair of harvests. */
typedef struct fresh_task {
    const il_audit_work *w;
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

    (void)worker; /* a fit brings its own pass */
    if (il_detector_fit(t->detector, t->anchors, &fit, &t->err) == IL_OK) {
        /* What fails is kept with the task. */
        (void)il__audit_measure(t->w, t->detector, t->judged, &t->measured, &t->err);
    }
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
        return il__audit_no_memory(err);
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
static il_status harvest_for(il_audit_work *w, const il_detector *like,
                             const float *const *values, const char *split,
                             il_acts *out[2], il_error *err)
{
    il_harvest h = il__audit_harvest(w, values);

    h.split = split;
    h.fields = like->fields;
    h.sites = like->sites;
    h.site_count = like->site_count;
    IL_TRY(il_acts_harvest(&out[0], &h, err));
    return gathered_of(&out[1], out[0], err);
}

/* Refuses to judge readers on what they are fitted on. */
static il_status check_anchors(const il_audit_work *w, const il_acts *anchors,
                               const il_acts *judged, const char *split, il_error *err)
{
    int64_t n = 0;
    int64_t m = 0;
    int64_t shared = 0;
    int64_t *a = il_documents_list(&anchors->rows, w->out->arena, &n);
    int64_t *b = il_documents_list(&judged->rows, w->out->arena, &m);

    if (a == NULL || b == NULL) {
        return il__audit_no_memory(err);
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
static il_status shuffle_labels(const il_audit_work *w, il_acts *acts, il_error *err)
{
    int64_t n = 0;
    int64_t *ids = il_documents_list(&acts->rows, acts->arena, &n);
    uint8_t *labels = il_arena_calloc(acts->arena, (size_t)n + 1, 1);
    il_rng r;

    if (ids == NULL || labels == NULL) {
        return il__audit_no_memory(err);
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

static il_status make_task(fresh_task *t, const il_audit_work *w,
                           const il_detector *like, int kind, il_acts *anchors[2],
                           il_acts *judged[2], il_error *err)
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
                 : il__audit_no_memory(err);
    il_arena_destroy(problems.arena);
    if (status == IL_OK) {
        bool rows = il_detector_reads_rows(t->detector);

        t->detector->fields = like->fields;
        t->anchors = anchors[rows];
        t->judged = judged[rows];
    }
    return status;
}

static bool wanted(const il_audit_work *w, int kind)
{
    for (size_t i = 0; i < w->in->spec->fresh.count; i++) {
        if (strcmp(w->in->spec->fresh.items[i], kinds[kind].name) == 0) {
            return true;
        }
    }
    return false;
}

/* Random weights of the same shapes, in the arena. */
static il_status random_values(const il_audit_work *w, const float ***out,
                               il_error *err)
{
    const il_store *store = w->in->model->store;
    il_store *other = NULL;
    const float **values =
        il_arena_calloc(w->out->arena, store->count + 1, sizeof *values);
    float *block =
        il_arena_calloc(w->out->arena, (size_t)store->total + 1, sizeof *block);
    il_status status = values != NULL && block != NULL ? il_store_create(&other, err)
                                                       : il__audit_no_memory(err);

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

static il_status put_fresh(il_audit_work *w, const fresh_task *t, reading which,
                           il_error *err)
{
    static const char *const floors[] = {"", "random", "shuffled"};
    const char *kind = kinds[t->kind].name;
    json_t *floor;

    if (which == FRESH) {
        return il__audit_put_measure(w, t->spec.name, &t->measured, IL_MEASURE_AUROC,
                                     err);
    }
    floor = json_object_get(w->floors, floors[which]);
    if (floor == NULL) {
        floor = json_object();
        json_object_set_new(w->floors, floors[which], floor);
    }
    il__audit_set(floor, kind, t->measured.value[IL_MEASURE_AUROC]);
    return il__audit_put(
        w, il_arena_printf(w->out->arena, "floor.%s.%s.auroc", floors[which], kind),
        t->measured.value[IL_MEASURE_AUROC], NULL, err);
}

il_status il__audit_fresh(il_audit_work *w, const il_detector *like, const char *split,
                          il_error *err)
{
    const char *anchors = w->in->spec->anchors != NULL ? w->in->spec->anchors
                                                       : like->spec->fit.draw.split;
    il_acts *fit[READINGS][2] = {{NULL}};
    il_acts *judged[READINGS][2] = {{NULL}};
    fresh_task *tasks = calloc(READINGS * READERS, sizeof *tasks);
    reading of[READINGS * READERS];
    const float **random = NULL;
    int readings = w->in->whole ? READINGS : 1;
    int count = 0;
    il_status status = tasks != NULL ? IL_OK : il__audit_no_memory(err);

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

il_status il__audit_check_fresh(const il_audit_spec *spec, il_error *err)
{
    for (size_t i = 0; i < spec->fresh.count; i++) {
        bool known = false;

        for (int k = 0; k < READERS && !known; k++) {
            known = strcmp(spec->fresh.items[i], kinds[k].name) == 0;
        }
        if (!known) {
            return il_error_set(
                err, IL_ERR_UNSUPPORTED, "audit",
                "fresh reader '%s' is not offered, expected linear, mlp or "
                "attention",
                spec->fresh.items[i]);
        }
    }
    return IL_OK;
}
