/* What is looked at in a step that was made: activations for online refits, and the
 * ledger. Nothing here changes the training. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/fit.h"
#include "loop/trainer_private.h"
#include "tensor/optim.h"

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
        status = il__trainer_no_memory(t, err);
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
