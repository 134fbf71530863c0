/* The trainer's fits: detectors refitted `through_fit`, and the gradient through them.
 *
 * Such a probe is the optimum on its anchors under the weights of the step, so every
 * lane's loss hangs on what the model makes of these. As with a zero (trainer_zero.c)
 * the fit is taken once, before the lanes run; each lane adds up the derivative of its
 * loss with respect to weight and bias; and their sum goes back once, through the
 * optimum to the anchors' activations and from there through the model. The anchors are
 * cut into lanes like the batch, so that a fit has the same bits for any number of
 * workers. */
#include <stdlib.h>
#include <string.h>
#include "detect/fit.h"
#include "detect/linear.h"
#include "detect/pattern.h"
#include "detect/through.h"
#include "loop/trainer_private.h"
#include "pipeline/batch.h"

/* Some of the anchors: what one pass takes. */
typedef struct share {
    int64_t count;    /* documents */
    il_batch *batch;  /* fetched once */
    il_scored rows;   /* in the batch, labelled */
    int64_t row;      /* the place of the first among all anchors' rows */
    il_pass *pass;    /* keeps the tape of the fit; NULL: the forward is redone */
    il_tensor **acts; /* [site] (n,W), on that tape */
} share;

enum { SITES_MAX = 64 };

typedef struct il_anchors {
    il_detector *d;
    share *shares;
    size_t share_count;
    int lane_count;
    size_t *lane_first; /* [lanes + 1] */
    il_acts acts;       /* their rows and what the model makes of them */
    float **x;          /* [site] (N,W): the same, writable */
    float **seeds;      /* [site] (N,W) derivatives with respect to these */
    double *dx;         /* (N, all W) */
    bool told;          /* the detector has their ids */
    bool due;           /* it was fitted for the present step */
    float *held;        /* its parameters of before, for one who puts them back */
    il_arena *arena;
} il_anchors;

static void anchors_close(il_anchors *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->share_count; i++) {
        il_batch_destroy(a->shares[i].batch);
        il_pass_destroy(a->shares[i].pass);
    }
    il_arena_destroy(a->arena);
    free(a);
}

void il__trainer_fit_close(il_trainer *t)
{
    for (size_t d = 0; t->anchors != NULL && d < t->world->detector_count; d++) {
        anchors_close(t->anchors[d]);
    }
    free(t->anchors);
    free(t->fit_place);
    free(t->fit_at);
    if (t->fit_lanes.count > 0) {
        il_lanes_close(&t->fit_lanes);
    }
}

/* ---- anchors -------------------------------------------------------------------- */

/* How many documents, and of which split. */
static il_status find_split(const il_trainer *t, const il_detector *d, int32_t *split,
                            int64_t *rows, il_error *err)
{
    const il_refit_spec *refit = &d->spec->refit;
    const char *name = refit->split != NULL ? refit->split : d->spec->fit.draw.split;
    int64_t have = 0;

    if (t->world->data == NULL) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "refit 'through_fit' needs `data` with rows for anchors");
    }
    *split = il_split_find(t->world->data, name, &have);
    *rows = refit->rows > 0 ? refit->rows : have;
    if (*split < 0 || *rows < 1 || (have >= 0 && *rows > have)) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            *split < 0  ? "there is no split '%s' of anchors"
                            : *rows < 1 ? "split '%s' never ends: `rows` has to say "
                                          "how many are anchors"
                                        : "split '%s' has fewer rows than the anchors "
                                          "that `rows` asks for",
                            name);
    }
    return IL_OK;
}

static il_status open_share(const il_trainer *t, il_anchors *a, int32_t split,
                            int64_t first, int64_t count, il_error *err)
{
    const il_instance *data = t->world->data;
    const il_dataset_api *api = il_instance_dataset(data);
    share *s = &a->shares[a->share_count++];

    s->count = count;
    s->acts = il_arena_calloc(a->arena, a->d->site_count + 1, sizeof *s->acts);
    if (s->acts == NULL) {
        return il__trainer_no_memory(t, err);
    }
    IL_TRY(il_batch_create(&s->batch, err));
    il_batch_reset(s->batch, count);
    IL_TRY(api->get(data->self, split, first, count, s->batch, err));
    IL_TRY(il_batch_status(s->batch, err));
    IL_TRY(il_detector_rows(a->d, s->batch, true, a->arena, &s->rows, err));
    s->row = a->acts.rows.count;
    a->acts.rows.count += s->rows.count;
    /* As with episodes: who cuts lanes into micro-batches wants to save memory. */
    return t->stage->train.micro_batch > 0
               ? IL_OK
               : il_pass_create(&s->pass, t->world->host.blas,
                                t->world->model->store->count, err);
}

static il_status cut(const il_trainer *t, il_anchors *a, il_error *err)
{
    int32_t split = -1;
    int64_t rows = 0;

    IL_TRY(find_split(t, a->d, &split, &rows, err));
    a->lane_count = rows < t->lane_count ? (int)rows : t->lane_count;
    a->shares = il_arena_calloc(a->arena, (size_t)rows + 1, sizeof *a->shares);
    a->lane_first =
        il_arena_calloc(a->arena, (size_t)a->lane_count + 1, sizeof *a->lane_first);
    if (a->shares == NULL || a->lane_first == NULL) {
        return il__trainer_no_memory(t, err);
    }
    for (int64_t lane = 0; lane < a->lane_count; lane++) {
        int64_t from = rows * lane / a->lane_count;
        int64_t to = rows * (lane + 1) / a->lane_count;
        int64_t most = t->stage->train.micro_batch;

        most = most > 0 ? most : to - from;
        a->lane_first[lane] = a->share_count;
        for (int64_t at = from; at < to; at += most) {
            IL_TRY(open_share(t, a, split, at, to - at < most ? to - at : most, err));
        }
    }
    a->lane_first[a->lane_count] = a->share_count;
    return IL_OK;
}

/* Room for all their rows, with labels and ids. */
static il_status join(const il_trainer *t, il_anchors *a, il_error *err)
{
    il_scored *all = &a->acts.rows;
    size_t n = (size_t)all->count;
    size_t sites = a->d->site_count;

    all->labels = il_arena_calloc(a->arena, n + 1, 1);
    all->documents = il_arena_calloc(a->arena, n + 1, sizeof *all->documents);
    a->x = il_arena_calloc(a->arena, sites + 1, sizeof *a->x);
    a->seeds = il_arena_calloc(a->arena, sites + 1, sizeof *a->seeds);
    a->dx = il_arena_calloc(a->arena, n * (size_t)il_detector_width(a->d) + 1,
                            sizeof *a->dx);
    a->held = il_arena_calloc(a->arena, (size_t)a->d->instance->store->total + 1,
                              sizeof *a->held);
    if (all->labels == NULL || all->documents == NULL || a->x == NULL ||
        a->seeds == NULL || a->dx == NULL || a->held == NULL) {
        return il__trainer_no_memory(t, err);
    }
    for (size_t i = 0; i < sites; i++) {
        size_t room = n * (size_t)a->d->widths[i] + 1;

        a->x[i] = il_arena_calloc(a->arena, room, sizeof(float));
        a->seeds[i] = il_arena_calloc(a->arena, room, sizeof(float));
        if (a->x[i] == NULL || a->seeds[i] == NULL) {
            return il__trainer_no_memory(t, err);
        }
    }
    for (size_t i = 0; i < a->share_count; i++) {
        const share *s = &a->shares[i];

        memcpy(all->labels + s->row, s->rows.labels, (size_t)s->rows.count);
        memcpy(all->documents + s->row, s->rows.documents,
               (size_t)s->rows.count * sizeof *all->documents);
        all->batch += s->count;
        all->length = s->rows.length;
    }
    a->acts.site_count = sites;
    a->acts.sites = a->d->sites;
    a->acts.widths = a->d->widths;
    a->acts.data = (const float *const *)a->x;
    a->acts.gathered = true;
    return IL_OK;
}

static il_status anchors_open(il_trainer *t, size_t d, il_error *err)
{
    il_anchors *a = calloc(1, sizeof *a);

    t->anchors[d] = a;
    if (a == NULL || (a->arena = il_arena_create(1 << 14)) == NULL) {
        return il__trainer_no_memory(t, err);
    }
    a->d = t->world->detectors[d];
    if (a->d->site_count > SITES_MAX) {
        return il_error_set(err, IL_ERR_INPUT, a->d->spec->name,
                            "a detector reads %d sites at most", SITES_MAX);
    }
    IL_TRY(cut(t, a, err));
    return join(t, a, err);
}

/* ---- the fit -------------------------------------------------------------------- */

/* A task for each lane of the anchors. */
typedef struct fit_job {
    il_trainer *t;
    il_anchors *a;
    const il_word *route; /* NULL: forward alone */
    il_error errors[IL_LANES_MAX];
} fit_job;

/* The model on a share; its activations stand on the tape and in a->x. */
static il_status run_share(const il_trainer *t, il_anchors *a, share *s, il_pass *pass,
                           il_error *err)
{
    const il_world *w = t->world;
    il_scope scope = {.label = "model",
                      .store = w->model->store,
                      .values = w->values,
                      .first_bit = 0};
    il_shown seen = il_shown_of(s->batch, w->data);

    il_pass_begin(pass);
    il_pass_sites_clear(pass);
    for (size_t i = 0; i < a->d->site_count; i++) {
        IL_TRY(il_pass_site_flag(pass, (int32_t)a->d->sites[i], IL_SITE_READ, err));
    }
    il_pass_enter(pass, &scope);
    il_instance_model(w->model)->forward(w->model->self, pass, &seen.batch);
    il_pass_leave(pass);
    IL_TRY(il_pass_status(pass, err));
    for (size_t i = 0; i < a->d->site_count; i++) {
        il_tensor *x = il_pass_site(pass, (int32_t)a->d->sites[i]);
        int64_t width = a->d->widths[i];

        if (x == NULL) {
            return il_error_set(err, IL_ERR_INPUT, a->d->spec->name,
                                "the forward pass never reached site '%s'",
                                w->model->sites[a->d->sites[i]].name);
        }
        s->acts[i] = il_pattern_gather(pass, x, width, s->rows.count, s->rows.rows);
        IL_TRY(il_pass_status(pass, err));
        memcpy(a->x[i] + s->row * width, il_f32(s->acts[i]),
               (size_t)(s->rows.count * width) * sizeof(float));
    }
    return IL_OK;
}

static void fit_task(void *user, int lane, int worker)
{
    fit_job *job = user;
    il_trainer *t = job->t;
    il_anchors *a = job->a;
    il_error *err = &job->errors[lane];
    float **grads = t->workers[worker].grads;
    const il_store *store = t->world->model->store;
    il_lane_sum *sum = job->route != NULL ? il_lanes_take(&t->fit_lanes) : NULL;
    il_status status = IL_OK;

    if (job->route != NULL && sum == NULL) {
        (void)il__trainer_no_memory(t, err); /* kept in the lane's record */
        return;
    }
    for (size_t p = 0; sum != NULL && p < store->count; p++) {
        grads[p] =
            il_bits_has(job->route, p) ? sum->grads + store->items[p].offset : NULL;
    }
    for (size_t i = a->lane_first[lane]; i < a->lane_first[lane + 1] && status == IL_OK;
         i++) {
        share *s = &a->shares[i];
        il_pass *pass = s->pass != NULL ? s->pass : t->workers[worker].pass;
        const float *seeds[SITES_MAX];

        if (s->rows.count == 0) {
            continue;
        }
        if (sum == NULL || s->pass == NULL) {
            status = run_share(t, a, s, pass, err);
        }
        for (size_t k = 0; k < a->d->site_count; k++) {
            seeds[k] = a->seeds[k] + s->row * a->d->widths[k];
        }
        if (sum != NULL && status == IL_OK) {
            status = il_pass_backward(pass, a->d->site_count, s->acts, seeds,
                                      job->route, grads, err);
        }
    }
    if (sum != NULL) {
        il_lanes_give(&t->fit_lanes, lane, sum);
    }
}

static il_status run_lanes(il_trainer *t, il_anchors *a, const il_word *route,
                           il_error *err)
{
    fit_job job = {.t = t, .a = a, .route = route};

    il_pool_run(t->world->host.pool, a->lane_count, fit_task, &job);
    for (int lane = 0; lane < a->lane_count; lane++) {
        const il_error *e = &job.errors[lane];

        if (e->code != IL_OK) {
            return il_error_set(err, e->code, e->where, "%s", e->message);
        }
    }
    return IL_OK;
}

il_status il__trainer_fit(il_trainer *t, int64_t step, bool hold, il_error *err)
{
    const il_world *w = t->world;

    for (size_t d = 0; t->fit_doubles > 0 && d < w->detector_count; d++) {
        il_detector *det = w->detectors[d];
        const il_store *store = det->instance->store;
        il_fit fit = {.blas = w->host.blas, .seed = w->seed};
        il_anchors *a;

        if (!il_detector_through(det) || (!det->fitted && t->anchors[d] == NULL)) {
            continue;
        }
        if (t->anchors[d] == NULL) {
            IL_TRY(anchors_open(t, d, err));
        }
        a = t->anchors[d];
        a->due = det->fitted && step % det->spec->refit.every == 0;
        if (!a->due) {
            continue;
        }
        if (hold) {
            memcpy(a->held, store->values, (size_t)store->total * sizeof *a->held);
        }
        fit.start = a->told ? IL_FIT_AGAIN : IL_FIT_WARM;
        IL_TRY(run_lanes(t, a, NULL, err));
        IL_TRY(il_detector_fit(det, &a->acts, &fit, err));
        a->told = true;
    }
    for (size_t i = 0; t->fit_doubles > 0 && i < t->terms->count; i++) {
        int d = t->terms->items[i].detector;
        bool due = t->fit_place[i] >= 0 && t->anchors[d] != NULL && t->anchors[d]->due;

        t->fit_at[i] = due ? t->fit_place[i] : -1;
    }
    return IL_OK;
}

void il__trainer_fit_back(il_trainer *t)
{
    for (size_t d = 0; t->fit_doubles > 0 && d < t->world->detector_count; d++) {
        const il_anchors *a = t->anchors[d];

        if (a != NULL && a->due) {
            const il_store *store = a->d->instance->store;

            memcpy(store->values, a->held, (size_t)store->total * sizeof *a->held);
        }
    }
}

/* ---- its gradient --------------------------------------------------------------- */

/* Puts the derivative with respect to the rows where the backward takes it. */
static il_status seed(const il_trainer *t, il_anchors *a, const double *slope,
                      il_error *err)
{
    int64_t width = il_detector_width(a->d);
    int64_t at = 0;

    memset(a->dx, 0, (size_t)(a->acts.rows.count * width) * sizeof *a->dx);
    IL_TRY(il_detector_through_backward(a->d, t->world->host.blas, &a->acts, slope,
                                        a->dx, err));
    for (size_t i = 0; i < a->d->site_count; i++) {
        int64_t own = a->d->widths[i];

        for (int64_t r = 0; r < a->acts.rows.count; r++) {
            for (int64_t c = 0; c < own; c++) {
                a->seeds[i][r * own + c] = (float)a->dx[r * width + at + c];
            }
        }
        at += own;
    }
    return IL_OK;
}

/* Terms of one detector that update the same parameters share a backward. */
static il_status through_like(il_trainer *t, size_t first, const double *fits,
                              double *slope, bool *done, float *block, il_error *err)
{
    const il_term *term = &t->terms->items[first];
    const il_store *store = t->world->model->store;
    il_anchors *a = t->anchors[term->detector];
    int64_t width = il_detector_width(a->d);
    il_status status;

    memset(slope, 0, (size_t)(width + 1) * sizeof *slope);
    for (size_t i = first; i < t->terms->count; i++) {
        const il_term *other = &t->terms->items[i];

        if (t->fit_at[i] < 0 || other->detector != term->detector ||
            !other->runs[IL_PASS_FIRST] ||
            !il_bits_equal(other->updates[IL_PASS_FIRST], term->updates[IL_PASS_FIRST],
                           t->terms->words)) {
            continue;
        }
        done[i] = true;
        for (int64_t c = 0; c <= width; c++) {
            slope[c] += fits[t->fit_at[i] + c];
        }
    }
    status = seed(t, a, slope, err);
    t->fit_lanes.count = a->lane_count;
    if (status == IL_OK) {
        status = run_lanes(t, a, term->updates[IL_PASS_FIRST], err);
    }
    if (status == IL_OK) {
        il_lanes_finish(&t->fit_lanes, 0, store->total);
        for (int64_t i = 0; i < store->total; i++) {
            block[i] += t->fit_lanes.total->grads[i];
        }
    }
    il_lanes_reset(&t->fit_lanes);
    return status;
}

il_status il__trainer_through_fits(il_trainer *t, const double *fits, float *block,
                                   il_error *err)
{
    bool *done = calloc(t->terms->count + 1, sizeof *done);
    double *slope = malloc((size_t)(t->fit_doubles + 1) * sizeof *slope);
    il_status status =
        done != NULL && slope != NULL ? IL_OK : il__trainer_no_memory(t, err);

    for (size_t i = 0; status == IL_OK && i < t->terms->count; i++) {
        if (t->fit_doubles > 0 && t->fit_at[i] >= 0 &&
            t->terms->items[i].runs[IL_PASS_FIRST] && !done[i]) {
            status = through_like(t, i, fits, slope, done, block, err);
        }
    }
    free(done);
    free(slope);
    return status;
}

bool il__trainer_fits(const il_trainer *t)
{
    for (size_t i = 0; t->fit_doubles > 0 && i < t->terms->count; i++) {
        if (t->fit_at[i] >= 0 && t->terms->items[i].runs[IL_PASS_FIRST]) {
            return true;
        }
    }
    return false;
}

/* ---- made ready ----------------------------------------------------------------- */

static bool through(const il_trainer *t, int detector)
{
    return detector >= 0 && il_detector_through(t->world->detectors[detector]);
}

/* Whether a detector that it reads is. */
static bool through_member(const il_detector *d)
{
    for (size_t i = 0; i < d->member_count; i++) {
        if (il_detector_through(d->members[i]) || through_member(d->members[i])) {
            return true;
        }
    }
    return false;
}

/* What the derivative does not follow. */
static il_status check_term(const il_trainer *t, const il_term *term, il_error *err)
{
    const char *what = NULL;

    if (!term->trains) {
        return IL_OK;
    }
    if (term->kind == IL_TERM_DETECTOR &&
        through_member(t->world->detectors[term->detector])) {
        what = "as a member of one that is a loss";
    }
    if (through(t, term->gate) && term->spec->gate.through) {
        what = "as a gate open to the gradient";
    } else if (through(t, term->detector) && term->kind == IL_TERM_DETECTOR &&
               term->gate >= 0) {
        what = "under a gate that is a detector";
    } else if ((through(t, term->detector) || through(t, term->gate)) &&
               t->terms->shadow >= 0) {
        what = "beside `train.shadow`";
    }
    return what == NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_UNSUPPORTED, term->spec->name,
                              "a detector with refit 'through_fit' is not offered %s; "
                              "expected {every: N} or {fresh: N} there",
                              what);
}

il_status il__trainer_fit_open(il_trainer *t, il_error *err)
{
    const il_world *w = t->world;

    t->fit_place = calloc(t->terms->count + 1, sizeof *t->fit_place);
    t->fit_at = calloc(t->terms->count + 1, sizeof *t->fit_at);
    t->anchors = calloc(w->detector_count + 1, sizeof(void *));
    if (t->fit_place == NULL || t->fit_at == NULL || t->anchors == NULL) {
        return il__trainer_no_memory(t, err);
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        /* One that no term reads is refitted, too. */
        t->fit_doubles += through(t, (int)d);
    }
    for (size_t i = 0; i < t->terms->count; i++) {
        const il_term *term = &t->terms->items[i];

        IL_TRY(check_term(t, term, err));
        t->fit_place[i] = -1;
        t->fit_at[i] = -1;
        if (term->kind == IL_TERM_DETECTOR && term->trains &&
            through(t, term->detector)) {
            t->fit_place[i] = t->fit_doubles;
            t->fit_doubles += il_detector_width(w->detectors[term->detector]) + 1;
        }
    }
    return t->fit_doubles > 0 ? il_lanes_open(&t->fit_lanes, t->lane_count,
                                              w->model->store->total, 0, err)
                              : IL_OK;
}
