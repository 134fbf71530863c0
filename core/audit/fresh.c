/* Fresh readers: what could still be read from the model, by readers fitted from
 * scratch, with two floors beside it: the same on random weights, and on labels dealt
 * anew. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/audit_private.h"
#include "audit/places.h"

/* Where a reader reads: the first detector's own sites, or one site beyond them. */
typedef struct where {
    const char *suffix; /* of the metric's name: "" or "@SITE" */
    il_names_spec sites;
} where;

/* All places of an audit, the first detector's own first. */
typedef struct places {
    where *items;
    size_t count;
    int64_t *sites; /* numbers of all of them together */
    size_t site_count;
    size_t own_count; /* how many of those the first detector reads */
} places;

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

/* The same activations with labels of their own, and with the scored rows alone when
 * `gathered`. Leans on `acts`, which outlives it. */
static il_status copy_of(il_acts **out, const il_acts *acts, bool gathered,
                         il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_acts *own = arena != NULL ? il_arena_calloc(arena, 1, sizeof *own) : NULL;
    const float **data =
        own != NULL ? il_arena_calloc(arena, acts->site_count + 1, sizeof *data) : NULL;
    il_scored tokens = il_scored_tokens(&acts->rows);
    size_t rows = (size_t)acts->rows.count;
    size_t n = (size_t)tokens.count;
    uint8_t *labels = data != NULL ? il_arena_calloc(arena, rows + n + 1, 1) : NULL;
    bool failed = labels == NULL;

    for (size_t i = 0; !failed && gathered && i < acts->site_count; i++) {
        size_t width = (size_t)acts->widths[i];
        float *x = il_arena_alloc(arena, (n * width + 1) * sizeof *x);

        failed = x == NULL;
        for (size_t r = 0; !failed && r < n; r++) {
            memcpy(x + r * width, acts->data[i] + (size_t)tokens.rows[r] * width,
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
    if (gathered) {
        own->data = data;
        own->gathered = true;
    }
    if (acts->rows.labels != NULL) {
        memcpy(labels, acts->rows.labels, rows);
        own->rows.labels = labels;
    }
    if (acts->rows.token_labels != NULL) {
        memcpy(labels + rows, acts->rows.token_labels, n);
        own->rows.token_labels = labels + rows;
    }
    *out = own;
    return IL_OK;
}

/* One harvest in both forms: out[1], the scored rows, leans on out[0]. */
static il_status harvest_for(il_audit_work *w, const il_detector *like, const places *p,
                             bool own_sites, const float *const *values,
                             const char *split, il_acts *out[2], il_error *err)
{
    il_harvest h = il__audit_harvest(w, values);

    h.split = split;
    h.fields = like->fields;
    h.sites = p->sites;
    h.site_count = own_sites ? p->own_count : p->site_count;
    IL_TRY(il_acts_harvest(&out[0], &h, err));
    return copy_of(&out[1], out[0], true, err);
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
        for (int64_t k = il_scored_first(&acts->rows, i);
             acts->rows.token_labels != NULL && k < il_scored_first(&acts->rows, i + 1);
             k++) {
            acts->rows.token_labels[k] = acts->rows.labels[i];
        }
    }
    return IL_OK;
}

static il_status make_task(fresh_task *t, const il_audit_work *w,
                           const il_detector *like, const where *at, int kind,
                           il_acts *anchors[2], il_acts *judged[2], il_error *err)
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
    t->spec.name = il_arena_printf(w->out->arena, "fresh.%s%s",
                                   il__audit_readers[kind].name, at->suffix);
    t->spec.component.use = il__audit_readers[kind].component;
    t->spec.component.range = "";
    t->spec.component.place = like->spec->place;
    t->spec.component.use_place = like->spec->place;
    t->spec.sites = at->sites;
    t->spec.tokens = like->spec->tokens;
    t->spec.context = il__audit_readers[kind].context;
    t->spec.fit.label = like->spec->label;
    il__audit_pool_like(&t->spec, like->spec);
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
        if (strcmp(w->in->spec->fresh.items[i], il__audit_readers[kind].name) == 0) {
            return true;
        }
    }
    return false;
}

il_status il__audit_random_values(const il_audit_work *w, const float ***out,
                                  il_error *err)
{
    const il_store *store = w->in->model->store;
    const float **values =
        il_arena_calloc(w->out->arena, store->count + 1, sizeof *values);
    float *block =
        il_arena_calloc(w->out->arena, (size_t)store->total + 1, sizeof *block);

    if (values == NULL || block == NULL) {
        return il__audit_no_memory(err);
    }
    for (size_t i = 0; i < store->count; i++) {
        values[i] = block + store->items[i].offset;
    }
    /* Another seed than any that the sweep is likely to use. */
    il_store_draw(store, w->in->seed ^ 0x5eedf1005eedf100u, block);
    *out = values;
    return IL_OK;
}

typedef enum reading { FRESH, RANDOM, SHUFFLED, READINGS } reading;

static const char *const floors[] = {"", "random", "shuffled"};

/* A reader's metric, without the measure. */
static const char *full_name(const il_audit_work *w, const fresh_task *t, reading which)
{
    return which == FRESH ? t->spec.name
                          : il_arena_printf(w->out->arena, "floor.%s.%s", floors[which],
                                            il__audit_readers[t->kind].name);
}

static il_status put_fresh(il_audit_work *w, const fresh_task *t, reading which,
                           il_error *err)
{
    const char *kind = il__audit_readers[t->kind].name;
    double value = t->measured.value[IL_MEASURE_AUROC];

    if (which == FRESH) {
        static const il_measure shown[] = {IL_MEASURE_AUROC, IL_MEASURE_TPR_AT_1,
                                           IL_MEASURE_RECALL, IL_MEASURE_DPRIME};

        w->out->looks++;
        for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
            IL_TRY(il__audit_put_measure(w, t->spec.name, &t->measured, shown[i], err));
        }
        return IL_OK;
    }
    il__audit_set_floor(w, floors[which], kind, value);
    return il__audit_put(
        w, il_arena_printf(w->out->arena, "floor.%s.%s.auroc", floors[which], kind),
        value, NULL, err);
}

/* ---- places --------------------------------------------------------------------- */

static il_status add_place(const il_audit_work *w, places *p, const char *site,
                           il_error *err)
{
    int64_t number = il_instance_site(w->in->model, site);
    where *at = &p->items[p->count];
    const char **items = il_arena_calloc(w->out->arena, 1, sizeof *items);
    il_place *place = il_arena_calloc(w->out->arena, 1, sizeof *place);

    if (number < 0) {
        return il_error_set(err, IL_ERR_INPUT, "audit", "the model has no site '%s'",
                            site);
    }
    if (p->own_count == 1 && p->sites[0] == number) {
        return IL_OK; /* read there already, under the plain name */
    }
    at->suffix = il_arena_printf(w->out->arena, "@%s", site);
    if (items == NULL || place == NULL || at->suffix == NULL) {
        return il__audit_no_memory(err);
    }
    items[0] = site;
    at->sites = (il_names_spec){1, items, place};
    p->count++;
    for (size_t i = 0; i < p->site_count; i++) {
        if (p->sites[i] == number) {
            return IL_OK; /* one of several that the first detector reads together */
        }
    }
    p->sites[p->site_count++] = number;
    return IL_OK;
}

static il_status find_places(const il_audit_work *w, const il_detector *like, places *p,
                             il_error *err)
{
    const il_audit_spec *spec = w->in->spec;
    il_arena *arena = w->out->arena;
    size_t room = w->in->model->site_count + spec->sites.count + 1;
    const char **further = il_arena_calloc(arena, room, sizeof *further);
    const il_detector **all =
        il_arena_calloc(arena, w->in->detector_count + 1, sizeof *all);
    size_t count;

    p->items = il_arena_calloc(arena, room + 1, sizeof *p->items);
    p->sites = il_arena_calloc(arena, room + like->site_count, sizeof *p->sites);
    if (p->items == NULL || p->sites == NULL || further == NULL || all == NULL) {
        return il__audit_no_memory(err);
    }
    p->items[p->count++] = (where){"", like->spec->sites};
    memcpy(p->sites, like->sites, like->site_count * sizeof *p->sites);
    p->own_count = p->site_count = like->site_count;
    if (!w->in->whole) {
        return IL_OK;
    }
    for (size_t d = 0; d < w->in->detector_count; d++) {
        all[d] = w->in->detectors[d].now;
    }
    count =
        il_audit_further(spec, w->in->model, like, w->in->detector_count, all, further);
    for (size_t i = 0; i < count; i++) {
        IL_TRY(add_place(w, p, further[i], err));
    }
    return IL_OK;
}

/* ---- all of them ---------------------------------------------------------------- */

/* The harvests and fits of an audit's readers. */
typedef struct zoo {
    places at;
    il_acts *fit[READINGS][2]; /* [reading][scored rows alone] */
    il_acts *judged[READINGS][2];
    fresh_task *tasks;
    reading *of; /* [task] */
    int count;
} zoo;

static il_status harvest_reading(il_audit_work *w, zoo *z, const il_detector *like,
                                 reading r, const char *anchors, const char *split,
                                 il_error *err)
{
    const float *const *values = w->in->values;
    const float **random = NULL;

    if (r == SHUFFLED) {
        for (int g = 0; g < 2; g++) {
            IL_TRY(copy_of(&z->fit[r][g], z->fit[FRESH][g], false, err));
            IL_TRY(shuffle_labels(w, z->fit[r][g], err));
            IL_TRY(copy_of(&z->judged[r][g], z->judged[FRESH][g], false, err));
        }
        return IL_OK;
    }
    if (r == RANDOM) {
        IL_TRY(il__audit_random_values(w, &random, err));
        values = random;
    }
    IL_TRY(harvest_for(w, like, &z->at, r == RANDOM, values, anchors, z->fit[r], err));
    IL_TRY(harvest_for(w, like, &z->at, r == RANDOM, values, split, z->judged[r], err));
    return r == FRESH ? check_anchors(w, z->fit[r][0], z->judged[r][0], split, err)
                      : IL_OK;
}

static il_status make_tasks(il_audit_work *w, zoo *z, const il_detector *like,
                            reading r, il_error *err)
{
    size_t count = r == FRESH ? z->at.count : 1;

    for (size_t p = 0; p < count; p++) {
        for (int k = 0; k < IL_AUDIT_READERS; k++) {
            if (wanted(w, k)) {
                z->of[z->count] = r;
                IL_TRY(make_task(&z->tasks[z->count++], w, like, &z->at.items[p], k,
                                 z->fit[r], z->judged[r], err));
            }
        }
    }
    return IL_OK;
}

static il_status fit_all(il_audit_work *w, zoo *z, il_error *err)
{
    il_pool_run(w->in->pool, z->count, fresh_fit, z->tasks);
    for (int i = 0; i < z->count; i++) {
        const fresh_task *t = &z->tasks[i];

        IL_TRY(t->err.code == IL_OK
                   ? put_fresh(w, t, z->of[i], err)
                   : il__audit_unread(w, full_name(w, t, z->of[i]), &t->err, err));
    }
    return IL_OK;
}

/* Whether the model uses what linear readers find where the first detector reads. */
static il_status try_use(il_audit_work *w, const zoo *z, il_error *err)
{
    for (int i = 0; i < z->count; i++) {
        const fresh_task *t = &z->tasks[i];

        if (z->of[i] == FRESH && strchr(t->spec.name, '@') == NULL &&
            t->err.code == IL_OK) {
            IL_TRY(il__audit_causal(w, t->detector, t->anchors, err));
        }
    }
    return IL_OK;
}

static void zoo_close(zoo *z)
{
    for (int i = 0; z->tasks != NULL && i < z->count; i++) {
        il_detector_destroy(z->tasks[i].detector);
    }
    for (int r = 0; r < READINGS; r++) {
        for (int g = 0; g < 2; g++) {
            il_acts_destroy(z->fit[r][g]);
            il_acts_destroy(z->judged[r][g]);
        }
    }
    free(z->tasks);
    free(z->of);
}

il_status il__audit_fresh(il_audit_work *w, const il_detector *like, const char *split,
                          il_error *err)
{
    const char *anchors = w->in->spec->anchors != NULL ? w->in->spec->anchors
                                                       : like->spec->fit.draw.split;
    reading readings = w->in->whole ? READINGS : FRESH + 1;
    zoo z = {.count = 0};
    il_status status;

    if (anchors == NULL) {
        return il_error_set(err, IL_ERR_INPUT, "audit",
                            "no split says what fresh readers are fitted on: give "
                            "`anchors`");
    }
    status = find_places(w, like, &z.at, err);
    if (status == IL_OK) {
        size_t room = IL_AUDIT_READERS * (z.at.count + READINGS);

        z.tasks = calloc(room, sizeof *z.tasks);
        z.of = calloc(room, sizeof *z.of);
        status = z.tasks != NULL && z.of != NULL ? IL_OK : il__audit_no_memory(err);
    }
    for (reading r = FRESH; status == IL_OK && r < readings; r++) {
        status = harvest_reading(w, &z, like, r, anchors, split, err);
        if (status == IL_OK) {
            status = make_tasks(w, &z, like, r, err);
        }
    }
    if (status == IL_OK) {
        status = fit_all(w, &z, err);
    }
    if (status == IL_OK) {
        status = try_use(w, &z, err);
    }
    zoo_close(&z);
    return status;
}
