/* The trainer's batch: cut into lanes and micro-batches, filled, and measured. */
#include <stdlib.h>
#include "loop/trainer_private.h"
#include "pipeline/batch.h"

void il__trainer_drop_batch(il_trainer *t)
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

/* Cuts the batch into lanes and lanes into micro-batches, by the pipeline's numbers
 * alone. */
il_status il__trainer_cut(il_trainer *t, il_error *err)
{
    const il_train_spec *spec = &t->stage->train;
    int64_t lanes = spec->lanes < spec->batch ? spec->lanes : spec->batch;
    size_t n = 0;

    t->lane_count = (int)lanes;
    t->micros = calloc((size_t)spec->batch + 1, sizeof *t->micros);
    t->lane_first = calloc((size_t)lanes + 1, sizeof *t->lane_first);
    if (t->micros == NULL || t->lane_first == NULL) {
        return il__trainer_no_memory(t, err);
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
                return il__trainer_no_memory(t, err);
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
il_status il__trainer_fetch(il_trainer *t, size_t i, il_error *err)
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

/* Normalizers and offsets over the whole batch, in its order. */
void il__trainer_measure(il_trainer *t)
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
