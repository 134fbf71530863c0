/* The trainer: see trainer.h. */
#include "loop/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/fit.h"
#include "pipeline/batch.h"
#include "tensor/optim.h"

/* ---- making one ----------------------------------------------------------------- */

static void micros_destroy(il_trainer *t)
{
    for (size_t i = 0; t->micros != NULL && i < t->micro_count; i++) {
        il_batch_destroy(t->micros[i].batch);
        free(t->micros[i].weights);
        free(t->micros[i].rows);
        free(t->micros[i].offset);
    }
    free(t->micros);
    free(t->lane_first);
}

void il_trainer_destroy(il_trainer *t)
{
    if (t == NULL) {
        return;
    }
    micros_destroy(t);
    for (int k = 0; k < IL_PASS_KINDS; k++) {
        if (t->lanes[k].count > 0) {
            il_lanes_close(&t->lanes[k]);
        }
        free(t->stepped[k]);
        free(t->bound[k]);
    }
    for (int i = 0; t->workers != NULL && i < t->worker_count; i++) {
        il_pass_destroy(t->workers[i].pass);
        il_arena_destroy(t->workers[i].scratch);
    }
    for (size_t i = 0; t->terms != NULL && i < t->terms->count; i++) {
        free(t->terms->items[i].scramble);
        free((void *)t->terms->items[i].order);
    }
    free(t->workers);
    il_terms_destroy(t->terms);
    free(t->m);
    free(t->v);
    free(t->shadow);
    free(t->shadow_m);
    free(t->shadow_v);
    free(t->values);
    free(t);
}

static il_status no_memory(const il_trainer *t, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, t->stage->name, "out of memory");
}

/* Cuts the batch into lanes and lanes into micro-batches, by the pipeline's numbers
 * alone. */
static il_status cut_batch(il_trainer *t, il_error *err)
{
    const il_train_spec *spec = &t->stage->train;
    int64_t lanes = spec->lanes < spec->batch ? spec->lanes : spec->batch;
    size_t n = 0;

    t->lane_count = (int)lanes;
    t->micros = calloc((size_t)spec->batch + 1, sizeof *t->micros);
    t->lane_first = calloc((size_t)lanes + 1, sizeof *t->lane_first);
    if (t->micros == NULL || t->lane_first == NULL) {
        return no_memory(t, err);
    }
    for (int64_t lane = 0; lane < lanes; lane++) {
        int64_t from = spec->batch * lane / lanes;
        int64_t to = spec->batch * (lane + 1) / lanes;
        int64_t most = spec->micro_batch > 0 ? spec->micro_batch : to - from;

        t->lane_first[lane] = n;
        for (int64_t at = from; at < to; at += most) {
            il_micro *micro = &t->micros[n++];
            int64_t rows = to - at < most ? to - at : most;

            micro->first = at;
            t->micro_count = n;
            IL_TRY(il_batch_create(&micro->batch, err));
            il_batch_reset(micro->batch, rows);
            micro->weights = calloc(t->terms->count + 1, sizeof *micro->weights);
            micro->rows = calloc(t->terms->count + 1, sizeof *micro->rows);
            micro->offset = calloc(t->terms->count + 1, sizeof *micro->offset);
            if (micro->weights == NULL || micro->rows == NULL ||
                micro->offset == NULL) {
                return no_memory(t, err);
            }
        }
    }
    t->lane_first[lanes] = n;
    return IL_OK;
}

static int64_t micro_rows(const il_trainer *t, size_t i)
{
    int64_t end =
        i + 1 < t->micro_count ? t->micros[i + 1].first : t->stage->train.batch;

    return end - t->micros[i].first;
}

/* Rows of a micro-batch for the present step. A stream counts on for ever, each stage's
 * depth in a range of its own; a finite split is drawn from with replacement, keyed. */
static il_status fetch(il_trainer *t, size_t i, il_error *err)
{
    il_micro *micro = &t->micros[i];
    const il_dataset_api *api = il_instance_dataset(t->world->data);
    int64_t rows = micro_rows(t, i);
    int64_t index = t->step * t->stage->train.batch + micro->first;

    if (t->split_rows < 0) {
        index += (int64_t)t->depth << 40;
    } else {
        il_rng r;

        il_rng_open(&r, t->world->seed, t->depth, IL_RNG_DATA, (uint64_t)t->step,
                    (uint64_t)micro->first);
        index = t->split_rows > rows
                    ? (int64_t)il_rng_below(&r, (uint32_t)(t->split_rows - rows + 1))
                    : 0;
        rows = rows < t->split_rows ? rows : t->split_rows;
    }
    il_batch_reset(micro->batch, rows);
    IL_TRY(api->get(t->world->data->self, t->split, index, rows, micro->batch, err));
    return il_batch_status(micro->batch, err);
}

static il_status make_workers(il_trainer *t, il_error *err)
{
    t->worker_count = il_pool_workers(t->world->host.pool);
    t->workers = calloc((size_t)t->worker_count, sizeof *t->workers);
    if (t->workers == NULL) {
        return no_memory(t, err);
    }
    for (int i = 0; i < t->worker_count; i++) {
        IL_TRY(il_pass_create(&t->workers[i].pass, t->world->host.blas,
                              t->world->model->store->count, err));
        t->workers[i].scratch = il_arena_create(1 << 16);
        if (t->workers[i].scratch == NULL) {
            return no_memory(t, err);
        }
    }
    return IL_OK;
}

static il_status make_blocks(il_trainer *t, il_error *err)
{
    const il_store *store = t->world->model->store;
    bool shadow = t->terms->shadow >= 0;

    t->m = il_store_block(store);
    t->v = il_store_block(store);
    t->values = calloc(t->terms->count + 1, sizeof *t->values);
    if (t->m == NULL || t->v == NULL || t->values == NULL) {
        return no_memory(t, err);
    }
    if (shadow) {
        t->shadow = il_store_block(store);
        t->shadow_m = il_store_block(store);
        t->shadow_v = il_store_block(store);
        if (t->shadow == NULL || t->shadow_m == NULL || t->shadow_v == NULL) {
            return no_memory(t, err);
        }
    }
    for (int k = 0; k < IL_PASS_KINDS; k++) {
        if (k == IL_PASS_SECOND && !shadow) {
            break;
        }
        t->stepped[k] = calloc(store->count + 1, sizeof *t->stepped[k]);
        t->bound[k] = calloc(store->count + 1, sizeof *t->bound[k]);
        if (t->stepped[k] == NULL || t->bound[k] == NULL) {
            return no_memory(t, err);
        }
        IL_TRY(il_lanes_open(&t->lanes[k], t->lane_count, store->total,
                             (int64_t)t->terms->count, err));
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
    }
    return IL_OK;
}

static il_status make_scrambles(il_trainer *t, il_error *err)
{
    for (size_t i = 0; i < t->terms->count; i++) {
        il_term *term = &t->terms->items[i];

        if (term->gate >= 0 && term->spec->gate.scramble && term->trains) {
            const il_tensor *tokens = il_batch_find(
                t->micros[0].batch, il_field_of_role(t->world->data, IL_FIELD_INPUT));
            size_t most = (size_t)(t->stage->train.batch * il_width(tokens));

            term->scramble = calloc(most, sizeof *term->scramble);
            term->order = calloc(most, sizeof *term->order);
            if (term->scramble == NULL || term->order == NULL) {
                return no_memory(t, err);
            }
        }
    }
    return IL_OK;
}

static il_status make_all(il_trainer *t, il_problems *problems, il_error *err)
{
    IL_TRY(il_terms_create(&t->terms, t->world, t->stage, t->depth, problems, err));
    t->split = il_split_find(t->world->data, "train", &t->split_rows);
    if (t->split < 0) {
        return il_error_set(err, IL_ERR_INPUT, t->stage->name,
                            "the data has no split 'train' to train on");
    }
    IL_TRY(make_workers(t, err));
    IL_TRY(cut_batch(t, err));
    IL_TRY(fetch(t, 0, err));
    IL_TRY(il_terms_plan(t->terms, &t->workers[0], &t->micros[0], err));
    IL_TRY(make_scrambles(t, err));
    return make_blocks(t, err);
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
}

const il_micro *il_trainer_micros(const il_trainer *t, size_t *count)
{
    *count = t->micro_count;
    return t->micros;
}

/* ---- a step --------------------------------------------------------------------- */

typedef struct step_job {
    il_trainer *t;
    bool watch;
    bool prologue;
    il_error errors[IL_LANES_MAX]; /* by lane: the first lane's is reported */
} step_job;

static void fetch_task(void *user, int lane, int worker)
{
    step_job *job = user;
    il_trainer *t = job->t;
    il_error *err = &job->errors[lane];

    il_arena_reset(t->workers[worker].scratch);
    for (size_t i = t->lane_first[lane]; i < t->lane_first[lane + 1]; i++) {
        if (fetch(t, i, err) != IL_OK ||
            il_terms_measure(t->terms, &t->micros[i], t->workers[worker].scratch,
                             err) != IL_OK) {
            return;
        }
    }
}

static void run_lane(step_job *job, int lane, int worker, int kind, il_lane_sum *sum)
{
    il_trainer *t = job->t;
    const il_store *store = t->world->model->store;
    il_error *err = &job->errors[lane];
    float **grads = calloc(store->count + 1, sizeof *grads);
    il_terms_run run = {.kind = kind,
                        .step = t->step,
                        .values = t->bound[kind],
                        .grads = grads,
                        .sums = sum != NULL ? sum->sums : NULL,
                        .watch = job->watch && kind == IL_PASS_FIRST,
                        .prologue = job->prologue};

    if (grads == NULL) {
        (void)no_memory(t, err); /* kept in the lane's record */
        return;
    }
    for (size_t p = 0; sum != NULL && p < store->count; p++) {
        grads[p] = t->stepped[kind][p] ? sum->grads + store->items[p].offset : NULL;
    }
    for (size_t i = t->lane_first[lane]; i < t->lane_first[lane + 1]; i++) {
        if (il_terms_step(t->terms, &t->workers[worker], &t->micros[i], &run, err) !=
            IL_OK) {
            break;
        }
    }
    free(grads);
}

static void lane_task(void *user, int lane, int worker)
{
    step_job *job = user;
    il_trainer *t = job->t;

    if (job->prologue) {
        run_lane(job, lane, worker,
                 t->terms->shadow >= 0 ? IL_PASS_SECOND : IL_PASS_FIRST, NULL);
        return;
    }
    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        il_lane_sum *sum = il_lanes_take(&t->lanes[k]);

        if (sum == NULL) {
            (void)no_memory(t, &job->errors[lane]); /* kept in the lane's record */
            return;
        }
        run_lane(job, lane, worker, k, sum);
        il_lanes_give(&t->lanes[k], lane, sum);
    }
}

static il_status first_error(const step_job *job, il_error *err)
{
    for (int lane = 0; lane < job->t->lane_count; lane++) {
        if (job->errors[lane].code != IL_OK) {
            return il_error_set(err, job->errors[lane].code, job->errors[lane].where,
                                "%s", job->errors[lane].message);
        }
    }
    return IL_OK;
}

/* Normalizers and offsets over the whole batch, in its order. */
static void measure_batch(il_trainer *t)
{
    for (size_t i = 0; i < t->terms->count; i++) {
        double sum = 0;
        int64_t rows = 0;

        for (size_t j = 0; j < t->micro_count; j++) {
            sum += t->micros[j].weights[i];
            t->micros[j].offset[i] = rows;
            rows += t->micros[j].rows[i];
        }
        t->terms->items[i].normalizer = sum > 0 ? sum : 1.0;
    }
}

/* A keyed permutation of a scrambled gate's rows. */
static void shuffle(il_trainer *t, size_t i)
{
    il_term *term = &t->terms->items[i];
    const il_micro *last = &t->micros[t->micro_count - 1];
    int64_t n = last->offset[i] + last->rows[i];
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

static il_status run_prologue(il_trainer *t, step_job *job, il_error *err)
{
    bool any = false;

    for (size_t i = 0; i < t->terms->count; i++) {
        any = any || t->terms->items[i].scramble != NULL;
    }
    if (!any) {
        return IL_OK;
    }
    job->prologue = true;
    il_pool_run(t->world->host.pool, t->lane_count, lane_task, job);
    job->prologue = false;
    IL_TRY(first_error(job, err));
    for (size_t i = 0; i < t->terms->count; i++) {
        if (t->terms->items[i].scramble != NULL) {
            shuffle(t, i);
        }
    }
    return IL_OK;
}

/* ---- clipping and stepping ------------------------------------------------------ */

static bool clip_has(const il_clip_spec *clip, const char *group)
{
    if (clip->all) {
        return true;
    }
    for (size_t i = 0; i < clip->groups.count; i++) {
        if (strcmp(clip->groups.items[i], group) == 0) {
            return true;
        }
    }
    return false;
}

/* Factors on the gradients, by parameter: each clip group's norm over the stepped
 * parameters of this pass, in the store's order. */
static double clip_factors(const il_trainer *t, int kind, const float *grads,
                           float *factor)
{
    const il_store *store = t->world->model->store;
    const il_train_spec *spec = &t->stage->train;
    double all = 0;

    for (size_t p = 0; p < store->count; p++) {
        factor[p] = 1.0f;
        if (t->stepped[kind][p]) {
            all +=
                il_sum_squares(store->items[p].count, grads + store->items[p].offset);
        }
    }
    for (size_t c = 0; c < spec->clip_count; c++) {
        double sum = 0;
        double norm;

        for (size_t p = 0; p < store->count; p++) {
            if (t->stepped[kind][p] &&
                clip_has(&spec->clips[c], store->items[p].group)) {
                sum += il_sum_squares(store->items[p].count,
                                      grads + store->items[p].offset);
            }
        }
        norm = sqrt(sum);
        for (size_t p = 0; norm > spec->clips[c].norm && p < store->count; p++) {
            if (t->stepped[kind][p] &&
                clip_has(&spec->clips[c], store->items[p].group)) {
                factor[p] *= (float)(spec->clips[c].norm / (norm + 1e-6));
            }
        }
    }
    return sqrt(all);
}

static double rate_of(const il_optimizer_spec *o, const char *group)
{
    for (size_t i = 0; i < o->rate_count; i++) {
        if (strcmp(o->rates[i].group, group) == 0) {
            return o->rates[i].lr;
        }
    }
    return o->lr;
}

typedef struct update_job {
    il_trainer *t;
    int kind;
    const float *grads;
    const float *factor;
    il_optim optim;
    double schedule;
} update_job;

static void update_task(void *user, int p, int worker)
{
    const update_job *job = user;
    il_trainer *t = job->t;
    const il_stored *item = &t->world->model->store->items[p];
    bool shaded = job->kind == IL_PASS_FIRST && t->shadow != NULL &&
                  il_bits_has(t->terms->below, (size_t)p);
    float *w = (shaded ? t->shadow : t->world->model->store->values) + item->offset;
    float *m = (shaded ? t->shadow_m : t->m) + item->offset;
    float *v = (shaded ? t->shadow_v : t->v) + item->offset;

    (void)worker; /* parameters are disjoint; nobody needs scratch */
    if (t->stepped[job->kind][p]) {
        il_optim_step(
            &job->optim, t->before + t->step + 1,
            (float)(rate_of(&t->stage->train.optimizer, item->group) * job->schedule),
            item->count, w, job->grads + item->offset, job->factor[p], m, v);
    }
}

static il_optim optim_of(const il_optimizer_spec *o)
{
    il_optim optim = {.kind = o->kind == IL_OPTIMIZER_ADAMW  ? IL_OPTIM_ADAMW
                              : o->kind == IL_OPTIMIZER_ADAM ? IL_OPTIM_ADAM
                                                             : IL_OPTIM_SGD,
                      .beta1 = (float)o->beta1,
                      .beta2 = (float)o->beta2,
                      .eps = (float)o->eps,
                      .weight_decay = (float)o->weight_decay,
                      .momentum = (float)o->momentum};

    return optim;
}

static double schedule_of(const il_trainer *t)
{
    const il_schedule_spec *s = &t->stage->train.optimizer.schedule;
    il_rate rate = {.shape = s->kind == IL_SCHEDULE_LINEAR   ? IL_RATE_LINEAR
                             : s->kind == IL_SCHEDULE_COSINE ? IL_RATE_COSINE
                             : s->kind == IL_SCHEDULE_STEP   ? IL_RATE_STEP
                                                             : IL_RATE_CONSTANT,
                    .warmup = s->warmup,
                    .final = s->final,
                    .at = s->at,
                    .factor = s->factor};

    return il_rate_at(&rate, t->step, t->stage->train.steps);
}

static il_status check_numbers(il_trainer *t, il_error *err)
{
    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        for (size_t i = 0; i < t->terms->count; i++) {
            const il_term *term = &t->terms->items[i];
            double value = t->lanes[k].total->sums[i];

            if (term->runs[k] || (k == IL_PASS_FIRST && !term->trains)) {
                t->values[i] = value;
            }
            if (!isfinite(value)) {
                return il_error_set(err, IL_ERR_NUMERIC, term->spec->name,
                                    "the loss is %s at step %lld of stage '%s'",
                                    isnan(value) ? "not a number" : "infinite",
                                    (long long)t->step, t->stage->name);
            }
        }
    }
    return IL_OK;
}

static il_status update(il_trainer *t, il_error *err)
{
    size_t count = t->world->model->store->count;
    float *factor[IL_PASS_KINDS] = {NULL, NULL};
    il_status status = IL_OK;
    double squares = 0;

    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0 && status == IL_OK;
         k++) {
        double norm;

        factor[k] = malloc((count + 1) * sizeof *factor[k]);
        if (factor[k] == NULL) {
            status = no_memory(t, err);
            break;
        }
        norm = clip_factors(t, k, t->lanes[k].total->grads, factor[k]);
        if (!isfinite(norm)) {
            status = il_error_set(err, IL_ERR_NUMERIC, t->stage->name,
                                  "the gradient is not finite at step %lld",
                                  (long long)t->step);
        }
        squares += norm * norm;
    }
    for (int k = 0; status == IL_OK && k < IL_PASS_KINDS && t->lanes[k].count > 0;
         k++) {
        update_job job = {.t = t,
                          .kind = k,
                          .grads = t->lanes[k].total->grads,
                          .factor = factor[k],
                          .optim = optim_of(&t->stage->train.optimizer),
                          .schedule = schedule_of(t)};

        il_pool_run(t->world->host.pool, (int)count, update_task, &job);
    }
    t->norm = sqrt(squares);
    free(factor[0]);
    free(factor[1]);
    return status;
}

il_status il_trainer_step(il_trainer *t, bool watch, il_error *err)
{
    step_job *job = calloc(1, sizeof *job);
    il_status status;

    if (job == NULL) {
        return no_memory(t, err);
    }
    job->t = t;
    job->watch = watch;
    il_pool_run(t->world->host.pool, t->lane_count, fetch_task, job);
    status = first_error(job, err);
    if (status == IL_OK) {
        measure_batch(t);
        status = run_prologue(t, job, err);
    }
    if (status == IL_OK) {
        il_pool_run(t->world->host.pool, t->lane_count, lane_task, job);
        status = first_error(job, err);
    }
    if (status == IL_OK) {
        status = check_numbers(t, err);
    }
    if (status == IL_OK) {
        status = update(t, err);
    }
    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        il_lanes_reset(&t->lanes[k]);
    }
    free(job);
    if (status == IL_OK) {
        t->step++;
    }
    return status;
}

/* ---- online refits -------------------------------------------------------------- */

static il_status fetch_again(void *user, int64_t index, int64_t rows, il_batch *batch,
                             il_error *err)
{
    const il_trainer *t = user;
    const il_dataset_api *api = il_instance_dataset(t->world->data);
    int64_t first = (t->step - 1) * t->stage->train.batch + ((int64_t)t->depth << 40);

    return api->get(t->world->data->self, t->split, first + index, rows, batch, err);
}

il_status il_trainer_acts(il_trainer *t, const il_detector *d, il_acts **out,
                          il_error *err)
{
    il_harvest h = {.model = t->world->model,
                    .values = t->world->values,
                    .data = t->world->data,
                    .blas = t->world->host.blas,
                    .pool = t->world->host.pool,
                    .fetch = fetch_again,
                    .user = t,
                    .rows = t->stage->train.batch};

    if (t->split_rows >= 0) {
        return il_error_set(
            err, IL_ERR_UNSUPPORTED, d->spec->name,
            "refit 'online' needs a stream to train on; the split 'train' of "
            "this data ends");
    }
    return il_detector_harvest(out, d, &h, "train", err);
}

/* ---- the ledger ----------------------------------------------------------------- */

il_status il_trainer_ledger(il_trainer *t, double *norms, il_error *err)
{
    const il_store *store = t->world->model->store;
    float *block = il_store_block(store);
    float **grads = calloc(store->count + 1, sizeof *grads);
    bool(*kept)[IL_PASS_KINDS] = calloc(t->terms->count + 1, sizeof *kept);
    il_status status = IL_OK;

    if (block == NULL || grads == NULL || kept == NULL) {
        status = no_memory(t, err);
    }
    for (size_t i = 0; status == IL_OK && i < t->terms->count; i++) {
        memcpy(kept[i], t->terms->items[i].runs, sizeof kept[i]);
    }
    for (size_t i = 0; status == IL_OK && i < t->terms->count; i++) {
        const il_term *term = &t->terms->items[i];
        int d = term->detector >= 0 ? term->detector : term->gate;
        double part[2] = {0, 0};

        memset(block, 0, (size_t)store->total * sizeof *block);
        for (size_t j = 0; j < t->terms->count; j++) {
            for (int k = 0; k < IL_PASS_KINDS; k++) {
                t->terms->items[j].runs[k] = j == i && kept[j][k];
            }
        }
        for (int k = 0; k < IL_PASS_KINDS && status == IL_OK; k++) {
            il_terms_run run = {
                .kind = k, .step = t->step, .values = t->bound[k], .grads = grads};

            if (!kept[i][k]) {
                continue;
            }
            for (size_t p = 0; p < store->count; p++) {
                grads[p] = block + store->items[p].offset;
            }
            for (size_t j = 0; j < t->micro_count && status == IL_OK; j++) {
                status =
                    il_terms_step(t->terms, &t->workers[0], &t->micros[j], &run, err);
            }
        }
        for (size_t p = 0; p < store->count; p++) {
            bool read = d >= 0 && il_bits_has(t->terms->reads[d], p);

            part[read ? 0 : 1] +=
                il_sum_squares(store->items[p].count, block + store->items[p].offset);
        }
        norms[2 * i] = sqrt(part[0]);
        norms[2 * i + 1] = sqrt(part[1]);
    }
    for (size_t i = 0; kept != NULL && status != IL_ERR_MEMORY && i < t->terms->count;
         i++) {
        memcpy(t->terms->items[i].runs, kept[i], sizeof kept[i]);
    }
    free(block);
    free(grads);
    free(kept);
    return status;
}
