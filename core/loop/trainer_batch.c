/* The trainer's batch: cut into lanes and micro-batches, filled, and measured. */
#include <stdlib.h>
#include <string.h>
#include "loop/trainer_private.h"
#include "pipeline/batch.h"

void il__trainer_drop_batch(il_trainer *t)
{
    for (size_t i = 0; t->micros != NULL && i < t->micro_count; i++) {
        il_micro *micro = &t->micros[i];

        il_batch_destroy(micro->own);
        il_pass_destroy(micro->pass);
        il_arena_destroy(micro->arena);
        free(micro->weights);
        free(micro->rows);
        free(micro->offset);
        free(micro->readings);
        free(micro->scores);
        free(micro->share);
    }
    free(t->micros);
    free(t->lane_first);
    free(t->rollouts);
    free(t->lot_first);
    free(t->order);
}

/* ---- rollouts ------------------------------------------------------------------- */

static int64_t group_of(const il_rollout_spec *r)
{
    return r->samples > 0 ? r->samples : 1;
}

static int64_t episodes_of(const il_rollout_spec *r)
{
    return r->samples > 0 ? r->prompts * r->samples : r->episodes;
}

/* The policy that plays a rollout. */
static il_status open_rollout(il_trainer *t, size_t lot, il_error *err)
{
    const il_rollout_spec *spec = &t->stage->train.rollouts[lot];
    const il_sample_spec *sample = &t->stage->train.sample;
    il_world *w = t->world;
    il_rollout *r = &t->rollouts[lot];
    bool own = strcmp(spec->policy, "own") == 0;

    r->environment = w->environment;
    r->policy = -1;
    r->sampled_site = -1;
    r->group = group_of(spec);
    r->seed = w->seed;
    r->depth = t->depth;
    r->draw = IL_DRAW_TRAIN;
    r->lot = (uint32_t)lot;
    if (episodes_of(spec) < 1) {
        return il_error_set(err, IL_ERR_INPUT, spec->name,
                            "these rollouts say neither how many `episodes` nor how "
                            "many `prompts` and `samples`");
    }
    if (own) {
        r->model = w->model;
        r->values = w->values;
        if (sample->site != NULL) {
            r->sampled_site = il_instance_site(w->model, sample->site);
            r->sampled_std = (float)sample->std;
            if (r->sampled_site < 0) {
                return il_error_set(err, IL_ERR_INPUT, sample->site,
                                    "the model has no site of this name to sample");
            }
        }
        return IL_OK;
    }
    r->policy = il_rollout_policy(w->environment, spec->policy);
    return r->policy >= 0
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, spec->name,
                              "the environment names no policy '%s'", spec->policy);
}

static il_status open_rollouts(il_trainer *t, int64_t *groups, il_error *err)
{
    const il_train_spec *spec = &t->stage->train;

    t->rollouts = calloc(spec->rollout_count, sizeof *t->rollouts);
    t->lot_first = calloc(spec->rollout_count, sizeof *t->lot_first);
    if (t->rollouts == NULL || t->lot_first == NULL) {
        return il__trainer_no_memory(t, err);
    }
    for (size_t lot = 0; lot < spec->rollout_count; lot++) {
        const il_rollout_spec *r = &spec->rollouts[lot];

        IL_TRY(open_rollout(t, lot, err));
        t->lot_first[lot] = t->batch;
        t->batch += episodes_of(r);
        if (episodes_of(r) / group_of(r) > *groups) {
            *groups = episodes_of(r) / group_of(r);
        }
    }
    return IL_OK;
}

/* ---- cutting -------------------------------------------------------------------- */

static il_status open_micro(il_trainer *t, uint32_t lot, int64_t part, int64_t first,
                            int64_t count, il_error *err)
{
    il_micro *micro = &t->micros[t->micro_count++];
    size_t terms = t->terms->count;

    micro->lot = lot;
    micro->part = part;
    micro->first = first;
    micro->count = count;
    micro->place = first + (t->lot_first != NULL ? t->lot_first[lot] : 0);
    IL_TRY(il_batch_create(&micro->own, err));
    micro->batch = micro->own;
    micro->weights = calloc(terms + 1, sizeof *micro->weights);
    micro->rows = calloc(terms + 1, sizeof *micro->rows);
    micro->offset = calloc(terms + 1, sizeof *micro->offset);
    if (micro->weights == NULL || micro->rows == NULL || micro->offset == NULL) {
        return il__trainer_no_memory(t, err);
    }
    if (t->terms->sift_count > 0) {
        micro->share = calloc((size_t)count + 1, sizeof *micro->share);
        micro->scores =
            calloc((size_t)count * t->terms->sift_count + 1, sizeof *micro->scores);
        if (micro->share == NULL || micro->scores == NULL) {
            return il__trainer_no_memory(t, err);
        }
    }
    if (t->rollouts == NULL) {
        return IL_OK;
    }
    micro->arena = il_arena_create(1 << 16);
    micro->readings = calloc(2 * t->world->detector_count + 1, sizeof *micro->readings);
    if (micro->arena == NULL || micro->readings == NULL) {
        return il__trainer_no_memory(t, err);
    }
    /* Who cuts lanes into micro-batches wants to save memory: no tape is kept then. */
    return t->stage->train.micro_batch > 0
               ? IL_OK
               : il_pass_create(&micro->pass, t->world->host.blas, t->terms->bits, err);
}

/* Examples [from,to), which are of one minibatch. */
static il_status cut_part(il_trainer *t, uint32_t lot, int64_t part, int64_t from,
                          int64_t to, int64_t group, il_error *err)
{
    int64_t most = t->stage->train.micro_batch;

    most = most > 0 ? (most + group - 1) / group * group : to - from;
    for (int64_t at = from; at < to; at += most) {
        IL_TRY(open_micro(t, lot, part, at, to - at < most ? to - at : most, err));
    }
    return IL_OK;
}

/* A lane's share of `total` examples in groups of `group`: of every minibatch a part.
 */
static il_status cut_lane(il_trainer *t, uint32_t lot, int64_t total, int64_t group,
                          int64_t lane, il_error *err)
{
    int64_t groups = total / group;
    int64_t from = groups * lane / t->lane_count;
    int64_t share = groups * (lane + 1) / t->lane_count - from;

    for (int64_t k = 0; k < t->parts; k++) {
        IL_TRY(cut_part(t, lot, k, (from + share * k / t->parts) * group,
                        (from + share * (k + 1) / t->parts) * group, group, err));
    }
    return IL_OK;
}

il_status il__trainer_cut(il_trainer *t, il_error *err)
{
    const il_train_spec *spec = &t->stage->train;
    int64_t groups = 0;

    if (spec->rollout_count > 0) {
        IL_TRY(open_rollouts(t, &groups, err));
    } else {
        t->batch = spec->batch;
        groups = spec->batch;
    }
    t->parts = spec->algorithm.minibatches > 1 ? spec->algorithm.minibatches : 1;
    t->part = -1;
    t->order = calloc((size_t)t->parts, sizeof *t->order);
    t->lane_count = (int)(spec->lanes < groups ? spec->lanes : groups);
    t->micros = calloc((size_t)t->batch + 1, sizeof *t->micros);
    t->lane_first = calloc((size_t)t->lane_count + 1, sizeof *t->lane_first);
    if (t->micros == NULL || t->lane_first == NULL || t->order == NULL) {
        return il__trainer_no_memory(t, err);
    }
    for (int64_t lane = 0; lane < t->lane_count; lane++) {
        t->lane_first[lane] = t->micro_count;
        if (t->rollouts == NULL) {
            IL_TRY(cut_lane(t, 0, spec->batch, 1, lane, err));
        }
        for (size_t lot = 0; t->rollouts != NULL && lot < spec->rollout_count; lot++) {
            IL_TRY(cut_lane(t, (uint32_t)lot, episodes_of(&spec->rollouts[lot]),
                            group_of(&spec->rollouts[lot]), lane, err));
        }
    }
    t->lane_first[t->lane_count] = t->micro_count;
    return IL_OK;
}

/* ---- filling -------------------------------------------------------------------- */

/* Rows of a micro-batch for the present step. A stream counts on for ever, each stage's
 * depth in a range of its own; a finite split is drawn from with replacement, keyed. */
static il_status fetch_rows(il_trainer *t, il_micro *micro, il_error *err)
{
    const il_dataset_api *api = il_instance_dataset(t->world->data);
    int64_t rows = micro->count;
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

/* Episodes for the present update, played now or taken from who plays them. */
static il_status fetch_episodes(il_trainer *t, size_t i, il_worker *worker,
                                il_error *err)
{
    il_micro *micro = &t->micros[i];
    il_rollout r = t->rollouts[micro->lot];
    il_site_edits edits;

    il_arena_reset(micro->arena);
    memset(&micro->play, 0, sizeof micro->play);
    memset(micro->readings, 0, 2 * t->world->detector_count * sizeof *micro->readings);
    micro->alive = false;
    if (t->follow != NULL) {
        micro->batch = t->follow->micros[i].batch;
        return IL_OK;
    }
    r.step = (uint64_t)t->step;
    IL_TRY(il_terms_edits(t->terms, IL_PASS_FIRST, t->step, micro->lot, micro->arena,
                          &edits, err));
    r.edits = &edits;
    return il_rollout_fill(&r, micro->first, micro->count, worker->pass,
                           worker->scratch, micro->batch, err);
}

il_status il__trainer_fetch(il_trainer *t, size_t i, il_worker *worker, il_error *err)
{
    return t->rollouts != NULL ? fetch_episodes(t, i, worker, err)
                               : fetch_rows(t, &t->micros[i], err);
}

bool il__trainer_takes(const il_trainer *t, const il_micro *micro)
{
    return t->part < 0 || micro->part == t->part;
}

void il__trainer_measure(il_trainer *t)
{
    for (size_t i = 0; i < t->terms->count; i++) {
        double sum = 0;
        int64_t rows = 0;

        for (size_t j = 0; j < t->micro_count; j++) {
            if (il__trainer_takes(t, &t->micros[j])) {
                sum += t->micros[j].weights[i];
                t->micros[j].offset[i] = rows;
                rows += t->micros[j].rows[i];
            }
        }
        t->terms->items[i].normalizer = sum > 0 ? sum : 1.0;
    }
}
