/* The trainer: see trainer.h. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "loop/ledger.h"
#include "loop/scramble.h"
#include "loop/trainer_private.h"

typedef struct il_step_job {
    il_trainer *t;
    bool watch;
    bool prologue;
    int only;                      /* one pass alone; -1: all of them */
    il_error errors[IL_LANES_MAX]; /* by lane: the first lane's is reported */
    int owner[IL_LANES_MAX];       /* who fetched the lane */
    _Atomic bool claimed[IL_LANES_MAX];
} il_step_job;

/* ---- making one ----------------------------------------------------------------- */

void il_trainer_destroy(il_trainer *t)
{
    if (t == NULL) {
        return;
    }
    il__trainer_drop_batch(t);
    il__trainer_fit_close(t);
    for (int k = 0; k < IL_PASS_KINDS; k++) {
        if (t->lanes[k].count > 0) {
            il_lanes_close(&t->lanes[k]);
        }
        free(t->stepped[k]);
        free(t->bound[k]);
    }
    for (int i = 0; t->workers != NULL && i < t->worker_count; i++) {
        il_pass_destroy(t->workers[i].pass);
        il_pass_destroy(t->workers[i].aside);
        free(t->workers[i].grads);
        il_arena_destroy(t->workers[i].scratch);
    }
    for (size_t i = 0; t->terms != NULL && i < t->terms->count; i++) {
        free(t->terms->items[i].scramble);
        free(t->terms->items[i].apart);
        free((void *)t->terms->items[i].order);
    }
    free(t->workers);
    free(t->job);
    il_terms_destroy(t->terms);
    free(t->m);
    free(t->v);
    free(t->shadow);
    free(t->shadow_m);
    free(t->shadow_v);
    free(t->zero_grads);
    free(t->values);
    free(t->whole);
    free(t->frozen);
    free(t);
}

il_status il__trainer_no_memory(const il_trainer *t, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, t->stage->name, "out of memory");
}

/* Whether some term needs a reference's forward. */
static bool reads_aside(const il_trainer *t)
{
    for (size_t i = 0; i < t->terms->count; i++) {
        if (t->terms->items[i].kind == IL_TERM_KL) {
            return true;
        }
    }
    for (size_t d = 0; d < t->world->detector_count; d++) {
        if (t->world->detectors[d]->elsewhere != NULL) {
            return true;
        }
    }
    return false;
}

static il_status make_workers(il_trainer *t, il_error *err)
{
    const il_world *w = t->world;

    t->worker_count = il_pool_workers(w->host.pool);
    t->workers = calloc((size_t)t->worker_count, sizeof *t->workers);
    if (t->workers == NULL) {
        return il__trainer_no_memory(t, err);
    }
    for (int i = 0; i < t->worker_count; i++) {
        IL_TRY(il_pass_create(&t->workers[i].pass, w->host.blas, t->terms->bits, err));
        if (reads_aside(t)) {
            IL_TRY(il_pass_create(&t->workers[i].aside, w->host.blas,
                                  w->model->store->count, err));
        }
        t->workers[i].scratch = il_arena_create(1 << 16);
        t->workers[i].grads =
            calloc(w->model->store->count + 1, sizeof *t->workers[i].grads);
        if (t->workers[i].scratch == NULL || t->workers[i].grads == NULL) {
            return il__trainer_no_memory(t, err);
        }
    }
    return IL_OK;
}

/* The lanes of one kind of pass: gradients of the parameters that it steps. */
static il_status open_lanes(il_trainer *t, int kind, il_error *err)
{
    const il_store *store = t->world->model->store;
    il_lane_part *parts = calloc(store->count + 1, sizeof *parts);
    size_t n = 0;
    il_status status;

    if (parts == NULL) {
        return il__trainer_no_memory(t, err);
    }
    for (size_t p = 0; p < store->count; p++) {
        const il_stored *item = &store->items[p];

        if (t->stepped[kind][p]) {
            parts[n++] = (il_lane_part){item->offset, item->offset + item->count};
        }
    }
    /* Losses, and what they would change by with their detectors' zeros and fits. */
    status = il_lanes_open_parts(&t->lanes[kind], t->lane_count, store->total,
                                 2 * (int64_t)t->terms->count + t->fit_doubles, parts,
                                 n, err);
    free(parts);
    return status;
}

static il_status make_blocks(il_trainer *t, il_error *err)
{
    const il_store *store = t->world->model->store;
    bool shadow = t->terms->shadow >= 0;

    t->m = il_store_block(store);
    t->v = il_store_block(store);
    t->values = calloc(t->terms->count + 1, sizeof *t->values);
    t->whole = calloc(t->terms->count + 1, sizeof *t->whole);
    t->frozen = calloc(store->count + 1, sizeof *t->frozen);
    if (t->frozen == NULL || t->m == NULL || t->v == NULL || t->values == NULL ||
        t->whole == NULL) {
        return il__trainer_no_memory(t, err);
    }
    if (shadow) {
        t->shadow = il_store_block(store);
        t->shadow_m = il_store_block(store);
        t->shadow_v = il_store_block(store);
        if (t->shadow == NULL || t->shadow_m == NULL || t->shadow_v == NULL) {
            return il__trainer_no_memory(t, err);
        }
    }
    for (int k = 0; k < IL_PASS_KINDS; k++) {
        if (k == IL_PASS_SECOND && !shadow) {
            break;
        }
        t->stepped[k] = calloc(store->count + 1, sizeof *t->stepped[k]);
        t->bound[k] = calloc(store->count + 1, sizeof *t->bound[k]);
        if (t->stepped[k] == NULL || t->bound[k] == NULL) {
            return il__trainer_no_memory(t, err);
        }
        for (size_t p = 0; p < store->count; p++) {
            bool shaded =
                k == IL_PASS_FIRST && shadow && il_bits_has(t->terms->below, p);

            t->bound[k][p] =
                (shaded ? t->shadow : store->values) + store->items[p].offset;
            for (size_t i = 0; i < t->terms->count; i++) {
                const il_term *term = &t->terms->items[i];

                if (term->runs[k] && il_bits_has(term->updates[k], p)) {
                    t->stepped[k][p] = true;
                }
            }
        }
        IL_TRY(open_lanes(t, k, err));
    }
    return IL_OK;
}

/* Rows that a scrambled score may have, over the whole batch. */
static size_t most_rows(const il_trainer *t)
{
    const char *name = t->rollouts != NULL
                           ? "moves"
                           : il_field_of_role(t->terms->rows, IL_FIELD_INPUT);

    return (size_t)(t->batch * il_width(il_batch_find(t->micros[0].batch, name)));
}

static il_status make_scrambles(il_trainer *t, il_error *err)
{
    for (size_t i = 0; i < t->terms->count; i++) {
        il_term *term = &t->terms->items[i];

        if (term->trains && il__scramble_deals(term)) {
            size_t most = most_rows(t);

            term->scramble = calloc(most, sizeof *term->scramble);
            term->order = calloc(most, sizeof *term->order);
            if (term->scramble == NULL || term->order == NULL) {
                return il__trainer_no_memory(t, err);
            }
        }
        if (term->trains && il__scramble_levels(term)) {
            term->apart = calloc(most_rows(t), sizeof *term->apart);
            if (term->apart == NULL) {
                return il__trainer_no_memory(t, err);
            }
        }
    }
    return IL_OK;
}

/* Plans on the first micro-batch of the data, or of each rollout. */
static il_status plan(il_trainer *t, il_error *err)
{
    il_micro *micros[IL_ROLLOUTS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < t->micro_count && count < IL_ROLLOUTS_MAX; i++) {
        bool seen = false;

        for (size_t j = 0; j < count; j++) {
            seen = seen || micros[j]->lot == t->micros[i].lot;
        }
        if (!seen) {
            il_arena_reset(t->workers[0].scratch);
            IL_TRY(il__trainer_fetch(t, i, &t->workers[0], err));
            micros[count++] = &t->micros[i];
        }
    }
    return il_terms_plan(t->terms, &t->workers[0], micros, count, err);
}

static il_status make_all(il_trainer *t, il_problems *problems, il_error *err)
{
    IL_TRY(il_terms_create(&t->terms, t->world, t->stage, t->depth, problems, err));
    if (t->stage->train.rollout_count == 0) {
        t->split = il_split_find(t->world->data, "train", &t->split_rows);
        if (t->split < 0) {
            return il_error_set(err, IL_ERR_INPUT, t->stage->name,
                                "the data has no split 'train' to train on");
        }
    }
    IL_TRY(make_workers(t, err));
    IL_TRY(il__trainer_trust(t, err));
    IL_TRY(il__trainer_cut(t, err));
    IL_TRY(plan(t, err));
    IL_TRY(make_scrambles(t, err));
    IL_TRY(il__trainer_fit_open(t, err));
    IL_TRY(make_blocks(t, err));
    return il__trainer_check_groups(t, err);
}

il_status il_trainer_create(il_trainer **out, il_world *world,
                            const il_stage_spec *stage, uint32_t depth,
                            il_problems *problems, il_error *err)
{
    il_trainer *t = calloc(1, sizeof *t);
    il_status status;

    if (t == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, stage->name, "out of memory");
    }
    t->world = world;
    t->stage = stage;
    t->depth = depth;
    t->job = calloc(1, sizeof *t->job);
    if (t->job == NULL) {
        free(t);
        return il_error_set(err, IL_ERR_MEMORY, stage->name, "out of memory");
    }
    t->job->t = t;
    t->job->only = -1;
    status = make_all(t, problems, err);
    if (status != IL_OK) {
        il_trainer_destroy(t);
        return status;
    }
    *out = t;
    return IL_OK;
}

void il_trainer_start(il_trainer *t)
{
    if (t->shadow != NULL) {
        memcpy(t->shadow, t->world->model->store->values,
               (size_t)t->world->model->store->total * sizeof *t->shadow);
    }
    for (size_t i = 0; i < t->world->reference_count; i++) {
        if (il_reference_moves(&t->world->references[i])) {
            il_reference_start(&t->world->references[i], t->world->model->store);
        }
    }
}

void il_trainer_freeze(il_trainer *t, const il_names_spec *groups)
{
    const il_store *store = t->world->model->store;

    for (size_t p = 0; p < store->count; p++) {
        for (size_t i = 0; i < groups->count; i++) {
            t->frozen[p] |= strcmp(store->items[p].group, groups->items[i]) == 0;
        }
    }
}

int64_t il_trainer_taken(const il_trainer *t)
{
    const il_algorithm_spec *a = &t->stage->train.algorithm;

    return (t->step * (a->epochs > 1 ? a->epochs : 1) + t->epoch) * t->parts + t->turn;
}

const il_micro *il_trainer_micros(const il_trainer *t, size_t *count)
{
    *count = t->micro_count;
    return t->micros;
}

/* ---- a step --------------------------------------------------------------------- */

static void fetch_task(void *user, int lane, int worker)
{
    il_step_job *job = user;
    il_trainer *t = job->t;
    il_error *err = &job->errors[lane];
    il_terms_run run = {.kind = IL_PASS_FIRST,
                        .step = t->step,
                        .values = t->bound[IL_PASS_FIRST],
                        .watch = job->watch};

    job->owner[lane] = worker;
    il_arena_reset(t->workers[worker].scratch);
    for (size_t i = t->lane_first[lane]; i < t->lane_first[lane + 1]; i++) {
        if (il__trainer_fetch(t, i, &t->workers[worker], err) != IL_OK ||
            il_terms_measure(t->terms, &t->micros[i], t->workers[worker].scratch,
                             err) != IL_OK) {
            return;
        }
        if (t->rollouts != NULL) {
            il_arena_reset(t->workers[worker].scratch);
            if (il_terms_assess(t->terms, &t->workers[worker], &t->micros[i], &run,
                                err) != IL_OK) {
                return;
            }
        }
        if (t->terms->sift_count > 0 &&
            il_terms_score_examples(t->terms, &t->workers[worker], &t->micros[i], &run,
                                    err) != IL_OK) {
            return;
        }
    }
}

/* Weighs the examples of the batch just fetched, and measures it once more by what they
 * weigh. */
static il_status sift(il_trainer *t, il_error *err)
{
    if (t->terms->sift_count == 0) {
        return IL_OK;
    }
    IL_TRY(il_terms_sift(t->terms, t->micros, t->micro_count, err));
    for (size_t i = 0; i < t->micro_count; i++) {
        il_arena_reset(t->workers[0].scratch);
        IL_TRY(il_terms_measure(t->terms, &t->micros[i], t->workers[0].scratch, err));
    }
    return IL_OK;
}

static void run_lane(il_step_job *job, int lane, int worker, int kind, il_lane_sum *sum)
{
    il_trainer *t = job->t;
    const il_store *store = t->world->model->store;
    il_error *err = &job->errors[lane];
    float **grads = t->workers[worker].grads;
    il_terms_run run = {
        .kind = kind,
        .step = t->step,
        .values = t->bound[kind],
        .grads = grads,
        .sums = sum != NULL ? sum->sums : NULL,
        .slopes =
            sum != NULL && kind == IL_PASS_FIRST ? sum->sums + t->terms->count : NULL,
        .fits = sum != NULL && kind == IL_PASS_FIRST && t->fit_doubles > 0
                    ? sum->sums + 2 * t->terms->count
                    : NULL,
        .fit_at = t->fit_at,
        .watch = job->watch && kind == IL_PASS_FIRST,
        .prologue = job->prologue,
        .moments = t->rollouts != NULL ? &t->moments : NULL};

    for (size_t p = 0; sum != NULL && p < store->count; p++) {
        grads[p] = t->stepped[kind][p] ? sum->grads + store->items[p].offset : NULL;
    }
    for (size_t i = t->lane_first[lane]; i < t->lane_first[lane + 1]; i++) {
        if (il__trainer_takes(t, &t->micros[i]) &&
            il_terms_step(t->terms, &t->workers[worker], &t->micros[i], &run, err) !=
                IL_OK) {
            break;
        }
    }
}

/* A lane for a worker: of those that nobody has, one that it fetched, and the last of
 * these first. What it kept of that lane may still be in its cache, and sums do not
 * depend on who does which lane when. As many calls as lanes, so there is one. */
static int claim_lane(il_step_job *job, int worker)
{
    for (int any = 0; any < 2; any++) {
        for (int lane = job->t->lane_count - 1; lane >= 0; lane--) {
            if ((any || job->owner[lane] == worker) &&
                !atomic_exchange(&job->claimed[lane], true)) {
                return lane;
            }
        }
    }
    return 0;
}

static void lane_task(void *user, int task, int worker)
{
    il_step_job *job = user;
    il_trainer *t = job->t;
    int lane = claim_lane(job, worker);

    (void)task;
    if (job->prologue) {
        run_lane(job, lane, worker,
                 t->terms->shadow >= 0 ? IL_PASS_SECOND : IL_PASS_FIRST, NULL);
        return;
    }
    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        il_lane_sum *sum;

        if (job->only >= 0 && k != job->only) {
            continue;
        }
        sum = il_lanes_take(&t->lanes[k]);
        if (sum == NULL) {
            (void)il__trainer_no_memory(
                t, &job->errors[lane]); /* kept in the lane's record */
            return;
        }
        run_lane(job, lane, worker, k, sum);
        il_lanes_give(&t->lanes[k], lane, sum);
    }
}

static void run_lanes(il_step_job *job)
{
    il_pool *pool = job->t->world->host.pool;
    il_worker *first = &job->t->workers[0];

    for (int lane = 0; lane < job->t->lane_count; lane++) {
        atomic_store(&job->claimed[lane], false);
    }
    if (job->t->lane_count >= il_pool_workers(pool)) {
        il_pool_run(pool, job->t->lane_count, lane_task, job);
        return;
    }
    /* Too few for all workers: one lane after another, by all of them. */
    il_pass_team(first->pass, pool);
    for (int i = 0; i < job->t->lane_count; i++) {
        lane_task(job, i, 0);
    }
    il_pass_team(first->pass, NULL);
}

static il_status first_error(const il_step_job *job, il_error *err)
{
    for (int lane = 0; lane < job->t->lane_count; lane++) {
        if (job->errors[lane].code != IL_OK) {
            return il_error_set(err, job->errors[lane].code, job->errors[lane].where,
                                "%s", job->errors[lane].message);
        }
    }
    return IL_OK;
}

il_status il__trainer_run_pass(il_trainer *t, int kind, il_error *err)
{
    il_step_job *job = t->job;
    bool watch = job->watch;

    job->watch = false;
    job->only = kind;
    run_lanes(job);
    job->watch = watch;
    job->only = -1;
    return first_error(job, err);
}

/* Rows of a term in the present turn. */
static int64_t rows_of(const il_trainer *t, size_t i)
{
    int64_t n = 0;

    for (size_t j = 0; j < t->micro_count; j++) {
        n += il__trainer_takes(t, &t->micros[j]) ? t->micros[j].rows[i] : 0;
    }
    return n;
}

/* A keyed permutation of the rows whose values are dealt. */
static void shuffle(il_trainer *t, size_t i)
{
    il_term *term = &t->terms->items[i];
    int64_t n = rows_of(t, i);
    int64_t *order = (int64_t *)term->order;
    il_rng r;

    il_rng_open(&r, t->world->seed, t->depth, IL_RNG_SCRAMBLE, (uint64_t)t->step, i);
    for (int64_t j = 0; j < n; j++) {
        order[j] = j;
    }
    for (int64_t j = n - 1; j > 0; j--) {
        int64_t other = il_rng_below(&r, (uint32_t)(j + 1));
        int64_t kept = order[j];

        order[j] = order[other];
        order[other] = kept;
    }
}

static il_status run_prologue(il_trainer *t, il_step_job *job, il_error *err)
{
    bool any = false;

    for (size_t i = 0; i < t->terms->count; i++) {
        any = any || il__scramble_notes(&t->terms->items[i]);
    }
    if (!any) {
        return IL_OK;
    }
    job->prologue = true;
    run_lanes(job);
    job->prologue = false;
    IL_TRY(first_error(job, err));
    for (size_t i = 0; i < t->terms->count; i++) {
        il_term *term = &t->terms->items[i];

        if (term->scramble != NULL) {
            shuffle(t, i);
        }
        if (term->apart != NULL && !term->leveled) {
            il__scramble_level(term, rows_of(t, i));
        }
    }
    return IL_OK;
}

/* The gradients of a minibatch, or the whole batch, and a step along them. */
static il_status run_turn(il_trainer *t, il_step_job *job, il_error *err)
{
    bool stepped = t->epoch > 0 || t->turn > 0;
    il_status status = stepped ? il__trainer_rezero(t, err) : IL_OK;

    if (status == IL_OK && t->epoch > 0) {
        status = il__trainer_fit(t, t->step, false, err);
    }
    if (status == IL_OK) {
        status = run_prologue(t, job, err);
    }
    if (status == IL_OK) {
        run_lanes(job);
        status = first_error(job, err);
    }
    if (status == IL_OK) {
        status = il__trainer_check(t, err);
    }
    if (status == IL_OK) {
        status = il__trainer_zero_block(t, err);
    }
    if (status == IL_OK && t->ledger != NULL) {
        status = il__ledger_gradients(t->ledger, err);
    }
    if (status == IL_OK) {
        status = il__trainer_update(t, err);
    }
    if (status == IL_OK && t->ledger != NULL) {
        il__ledger_moved(t->ledger);
    }
    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        il_lanes_reset(&t->lanes[k]);
    }
    for (size_t i = 0; i < t->micro_count; i++) {
        t->micros[i].alive = false;
    }
    return status;
}

/* Deals the minibatches' order. */
static void deal(il_trainer *t)
{
    const uint64_t apart = (uint64_t)1 << 32; /* from the numbers of scrambled terms */
    il_rng r;

    il_rng_open(&r, t->world->seed, t->depth, IL_RNG_SCRAMBLE, (uint64_t)t->step,
                apart + (uint64_t)t->epoch);
    for (int64_t k = 0; k < t->parts; k++) {
        int64_t other = il_rng_below(&r, (uint32_t)(k + 1));

        t->order[k] = t->order[other];
        t->order[other] = k;
    }
}

static il_status run_epoch(il_trainer *t, il_step_job *job, il_error *err)
{
    il_status status = IL_OK;

    if (t->parts == 1) {
        return run_turn(t, job, err);
    }
    deal(t);
    for (t->turn = 0; status == IL_OK && t->turn < t->parts; t->turn++) {
        t->part = t->order[t->turn];
        il__trainer_measure(t);
        status = run_turn(t, job, err);
    }
    t->turn = 0;
    t->part = -1;
    il__trainer_measure(t); /* the whole again, for who looks at it */
    return status;
}

static void follow_model(il_trainer *t)
{
    for (size_t i = 0; i < t->world->reference_count; i++) {
        if (il_reference_moves(&t->world->references[i])) {
            il_reference_follow(&t->world->references[i], t->world->model->store);
        }
    }
}

il_status il_trainer_step(il_trainer *t, bool watch, il_error *err)
{
    int64_t epochs = t->stage->train.algorithm.epochs;
    il_step_job *job = t->job;
    il_status status;

    job->watch = watch;
    if (t->ledger != NULL) {
        il__ledger_begin(t->ledger);
    }
    for (int lane = 0; lane < t->lane_count; lane++) {
        job->errors[lane].code = IL_OK;
    }
    status = il__trainer_rezero(t, err);
    if (status == IL_OK) {
        status = il__trainer_fit(t, t->step, false, err);
    }
    if (status == IL_OK) {
        il_pool_run(t->world->host.pool, t->lane_count, fetch_task, job);
        status = first_error(job, err);
    }
    if (status == IL_OK) {
        status = sift(t, err);
    }
    if (status == IL_OK) {
        il__trainer_measure(t);
        for (size_t i = 0; i < t->terms->count; i++) {
            t->whole[i] = t->terms->items[i].normalizer;
        }
        status = t->rollouts != NULL ? il_terms_settle(t->terms, t->micros,
                                                       t->micro_count, &t->moments, err)
                                     : IL_OK;
    }
    do {
        status = status == IL_OK ? run_epoch(t, job, err) : status;
        job->watch = false; /* what is only watched is watched once */
        t->epoch++;
    } while (status == IL_OK && t->epoch < epochs);
    t->epoch = 0;
    if (status == IL_OK) {
        follow_model(t);
        t->step++;
    }
    return status;
}
