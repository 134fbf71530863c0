/* The trainer's update: gradients checked, clipped group by group, and stepped. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/trainer_private.h"
#include "tensor/optim.h"

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

/* Below this many numbers a worker has done them all before another is awake. */
enum { FEW = 1 << 16 };

/* Runs a task for each parameter. */
static void each_parameter(const il_trainer *t, il_task *task, void *user)
{
    const il_store *store = t->world->model->store;

    if (store->total > FEW) {
        il_pool_run(t->world->host.pool, (int)store->count, task, user);
        return;
    }
    for (int p = 0; p < (int)store->count; p++) {
        task(user, p, 0);
    }
}

typedef struct gather_job {
    il_trainer *t;
    int kind;
    double *squares; /* by parameter */
} gather_job;

/* Makes a parameter's gradient whole and, while it is in the cache, measures it. */
static void gather_task(void *user, int p, int worker)
{
    const gather_job *job = user;
    il_lanes *lanes = &job->t->lanes[job->kind];
    const il_stored *item = &job->t->world->model->store->items[p];

    (void)worker; /* parameters are disjoint; nobody needs scratch */
    job->squares[p] = 0;
    if (job->t->stepped[job->kind][p] && !job->t->frozen[p]) {
        il_lanes_finish(lanes, item->offset, item->count);
        if (job->kind == IL_PASS_FIRST && job->t->zeroing) {
            const float *through = job->t->zero_grads + item->offset;

            for (int64_t i = 0; i < item->count; i++) {
                lanes->total->grads[item->offset + i] += through[i];
            }
        }
        job->squares[p] =
            il_sum_squares(item->count, lanes->total->grads + item->offset);
    }
}

/* Factors on the gradients, by parameter, from the sums of their squares: each clip
 * group's norm over the stepped parameters of this pass, in the store's order. Returns
 * the norm over all. */
static double clip_factors(const il_trainer *t, const double *squares, float *factor)
{
    const il_store *store = t->world->model->store;
    const il_train_spec *spec = &t->stage->train;
    double all = 0;

    for (size_t p = 0; p < store->count; p++) {
        factor[p] = 1.0f;
        all += squares[p];
    }
    for (size_t c = 0; c < spec->clip_count; c++) {
        double sum = 0;
        double norm;

        for (size_t p = 0; p < store->count; p++) {
            if (clip_has(&spec->clips[c], store->items[p].group)) {
                sum += squares[p];
            }
        }
        norm = sqrt(sum);
        for (size_t p = 0; norm > spec->clips[c].norm && p < store->count; p++) {
            if (clip_has(&spec->clips[c], store->items[p].group)) {
                factor[p] *= (float)(spec->clips[c].norm / (norm + 1e-6));
            }
        }
    }
    return sqrt(all);
}

static bool model_has(const il_store *store, const char *group)
{
    for (size_t p = 0; p < store->count; p++) {
        if (strcmp(store->items[p].group, group) == 0) {
            return true;
        }
    }
    return false;
}

static il_status unknown_group(const char *group, const il_place *place, il_error *err)
{
    char where[IL_ERROR_WHERE_MAX];

    (void)snprintf(where, sizeof where, "%s:%d:%d", place->file, (int)place->line,
                   (int)place->column);
    return il_error_set(err, IL_ERR_INPUT, where,
                        "the model has no parameter group '%s'", group);
}

il_status il__trainer_check_groups(const il_trainer *t, il_error *err)
{
    const il_store *store = t->world->model->store;
    const il_train_spec *train = &t->stage->train;
    const il_optimizer_spec *o = &train->optimizer;

    for (size_t i = 0; i < o->rate_count; i++) {
        if (!model_has(store, o->rates[i].group)) {
            return unknown_group(o->rates[i].group, &o->rates[i].place, err);
        }
    }
    for (size_t c = 0; c < train->clip_count; c++) {
        const il_names_spec *names = &train->clips[c].groups;

        for (size_t i = 0; !train->clips[c].all && i < names->count; i++) {
            if (!model_has(store, names->items[i])) {
                return unknown_group(names->items[i], &names->places[i], err);
            }
        }
    }
    for (size_t i = 0; i < t->stage->signal_count; i++) {
        const il_names_spec *names = &t->stage->signals[i].halt.freeze;

        for (size_t k = 0; k < names->count; k++) {
            if (!model_has(store, names->items[k])) {
                return unknown_group(names->items[k], &names->places[k], err);
            }
        }
    }
    for (size_t p = 0; o->rate_count > 0 && p < store->count; p++) {
        bool stepped =
            t->stepped[IL_PASS_FIRST][p] ||
            (t->stepped[IL_PASS_SECOND] != NULL && t->stepped[IL_PASS_SECOND][p]);
        bool rated = false;

        for (size_t i = 0; i < o->rate_count; i++) {
            rated = rated || strcmp(o->rates[i].group, store->items[p].group) == 0;
        }
        if (stepped && !rated) {
            return il_error_set(err, IL_ERR_INPUT, t->stage->name,
                                "parameter '%s' is trained, and its group '%s' has no "
                                "learning rate under `lr`",
                                store->items[p].name, store->items[p].group);
        }
    }
    return IL_OK;
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
    if (t->stepped[job->kind][p] && !t->frozen[p]) {
        il_optim_step(
            &job->optim, t->before + il_trainer_taken(t) + 1,
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

    return il_rate_at(&rate, t->step, il_train_length(&t->stage->train));
}

il_status il__trainer_check(il_trainer *t, il_error *err)
{
    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        for (size_t i = 0; i < t->terms->count; i++) {
            const il_term *term = &t->terms->items[i];
            double value = t->lanes[k].total->sums[i];

            /* Of several epochs the first is on record: of its minibatches the mean. */
            if (t->epoch == 0 &&
                (term->runs[k] || (k == IL_PASS_FIRST && !term->trains))) {
                double share = t->parts > 1 ? term->normalizer / t->whole[i] : 1.0;

                t->values[i] = (t->turn > 0 ? t->values[i] : 0.0) + share * value;
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

/* Every pass is measured before the first parameter is stepped. */
static il_status measure_gradients(il_trainer *t, double *squares, float *const *factor,
                                   il_error *err)
{
    double sum = 0;

    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        gather_job job = {.t = t, .kind = k, .squares = squares};
        double norm;

        each_parameter(t, gather_task, &job);
        norm = clip_factors(t, squares, factor[k]);
        if (!isfinite(norm)) {
            return il_error_set(err, IL_ERR_NUMERIC, t->stage->name,
                                "the gradient is not finite at step %lld",
                                (long long)t->step);
        }
        sum += norm * norm;
    }
    t->norm = sqrt(sum);
    return IL_OK;
}

il_status il__trainer_update(il_trainer *t, il_error *err)
{
    size_t count = t->world->model->store->count;
    double *squares = malloc((count + 1) * sizeof *squares);
    float *factors = malloc((count + 1) * IL_PASS_KINDS * sizeof *factors);
    float *factor[IL_PASS_KINDS] = {factors, factors != NULL ? factors + count : NULL};
    il_status status = squares != NULL && factors != NULL
                           ? measure_gradients(t, squares, factor, err)
                           : il__trainer_no_memory(t, err);

    for (int k = 0; status == IL_OK && k < IL_PASS_KINDS && t->lanes[k].count > 0;
         k++) {
        update_job job = {.t = t,
                          .kind = k,
                          .grads = t->lanes[k].total->grads,
                          .factor = factor[k],
                          .optim = optim_of(&t->stage->train.optimizer),
                          .schedule = schedule_of(t)};

        each_parameter(t, update_task, &job);
    }
    free(squares);
    free(factors);
    return status;
}
