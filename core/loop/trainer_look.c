/* What is looked at in a step that was made: activations for online refits, and what an
 * update is on record for. Nothing here changes the training. */
#include <math.h>
#include <stdio.h>
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

    if (t->rollouts != NULL) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, d->spec->name,
                            "refit 'online' needs rows of data to train on, and this "
                            "stage trains on rollouts; expected every or fresh");
    }
    if (t->split_rows >= 0) {
        return il_error_set(
            err, IL_ERR_UNSUPPORTED, d->spec->name,
            "refit 'online' needs a stream to train on; the split 'train' of "
            "this data ends");
    }
    return il_detector_harvest(out, d, &h, "train", err);
}

/* ---- notes of an update --------------------------------------------------------- */

static void note(il_tally *out, const char *prefix, const char *name, double sum,
                 double weight)
{
    char full[256]; /* the tally refuses what is longer than its own */

    (void)snprintf(full, sizeof full, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
                   name);
    il_metrics_add(&out->metrics, full, sum, weight);
}

/* The environment's metrics of a rollout that the model played. */
static il_status note_episodes(const il_trainer *t, uint32_t lot, il_tally *out,
                               il_error *err)
{
    const il_instance *env = t->world->environment;
    const il_environment_api *api = il_instance_environment(env);
    const char *name = t->stage->train.rollouts[lot].name;
    il_status status;
    il_tally all;

    if (!IL_HAS(api, metrics)) {
        return IL_OK;
    }
    il_tally_open(&all);
    for (size_t i = 0; i < t->micro_count; i++) {
        if (t->micros[i].lot == lot) {
            api->metrics(env->self, 0, t->micros[i].batch, &all.metrics);
        }
    }
    for (size_t i = 0; i < all.count; i++) {
        note(out, name, all.items[i].name, all.items[i].sum, all.items[i].weight);
    }
    status = all.failed == IL_OK
                 ? IL_OK
                 : il_error_set(err, all.failed, env->label,
                                "a metric of the episodes has a bad name or is no "
                                "number");
    il_tally_close(&all);
    return status;
}

static void note_term(const il_trainer *t, size_t i, il_tally *out)
{
    const il_term *term = &t->terms->items[i];
    double sum = 0;
    double episodes = 0;

    if (term->kind == IL_TERM_ENTROPY) {
        note(out, "", "entropy", -t->values[i], 1.0);
    }
    if (term->kind != IL_TERM_REWARD) {
        return;
    }
    for (size_t m = 0; m < t->micro_count; m++) {
        if (il_term_on(term, t->micros[m].lot)) {
            sum += t->micros[m].play.returns[i];
            episodes += (double)t->micros[m].play.episodes;
        }
    }
    note(out, "return", term->spec->name, sum, episodes);
}

il_status il_trainer_notes(const il_trainer *t, il_tally *out, il_error *err)
{
    const il_world *w = t->world;

    for (size_t i = 0; i < t->terms->sift_count; i++) {
        const il_term_sift *s = &t->terms->sifts[i];

        if (s->scored > 0) {
            note(out, s->spec->name, "kept", s->kept, (double)s->scored);
        }
    }
    if (t->rollouts == NULL) {
        return IL_OK;
    }
    for (size_t lot = 0; lot < t->stage->train.rollout_count; lot++) {
        if ((t->terms->own >> lot & 1u) != 0) {
            IL_TRY(note_episodes(t, (uint32_t)lot, out, err));
        }
    }
    for (size_t i = 0; i < t->terms->count; i++) {
        note_term(t, i, out);
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        double sum = 0;
        double rows = 0;

        for (size_t m = 0; m < t->micro_count; m++) {
            if ((t->terms->own >> t->micros[m].lot & 1u) != 0) {
                sum += t->micros[m].readings[2 * d];
                rows += t->micros[m].readings[2 * d + 1];
            }
        }
        if (rows > 0) {
            note(out, "reading", w->detectors[d]->spec->name, sum, rows);
        }
    }
    return out->failed == IL_OK
               ? IL_OK
               : il_error_set(err, out->failed, t->stage->name, "notes of an update");
}
