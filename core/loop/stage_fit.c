/* Stages that fit: detectors fitted, calibrated and refitted, on splits or on episodes.
 * See stage.h. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "detect/dictionary.h"
#include "detect/fit.h"
#include "detect/rezero.h"
#include "episode/recorded.h"
#include "loop/stage_private.h"

/* Refits tell the episodes that set the threshold from those that fit by this. */
enum { LOT_CALIBRATES = 128 };

static il_harvest harvest_of(const il_world *w, const il_instance *rows)
{
    il_harvest h = {.model = w->model,
                    .values = w->values,
                    .data = rows,
                    .blas = w->host.blas,
                    .pool = w->host.pool};

    return h;
}

/* Draws for a fit or a threshold are the same wherever they are named: depth 0. */
static il_rollout rollout_of(const il_world *w, il_draw draw)
{
    il_rollout r = {.environment = w->environment,
                    .model = w->model,
                    .values = w->values,
                    .seed = w->seed,
                    .draw = draw};

    return r;
}

void il_stage_model(const il_world *w, char hex[IL_HASH_HEX])
{
    const char *said = il_instance_note(w->model, "model");

    /* Without parameters of its own it stands for the model that its rows are of. */
    if (w->model->store->count == 0 && said != NULL &&
        strspn(said, "0123456789abcdef") == IL_HASH_HEX - 1 &&
        strlen(said) == IL_HASH_HEX - 1) {
        memcpy(hex, said, IL_HASH_HEX);
        return;
    }
    il_hash_bytes(w->model->store->values,
                  (size_t)w->model->store->total * sizeof(float), hex);
}

/* What a detector reads of recorded episodes, which it takes over. */
static il_status harvest_recorded(il_acts **out, const il_world *w,
                                  const il_detector *d, il_recorded *episodes,
                                  il_error *err)
{
    il_harvest h = harvest_of(w, w->environment);
    il_status status;

    h.fetch = il_recorded_fetch;
    h.user = episodes;
    h.rows = il_recorded_count(episodes);
    status = il_detector_harvest(out, d, &h, "episodes", err);
    il_recorded_destroy(episodes);
    return status;
}

il_status il_stage_rows(il_acts **out, const il_world *w, const il_detector *d,
                        const il_draw_spec *draw, il_draw purpose, int64_t rows,
                        il_error *err)
{
    il_rollout key = rollout_of(w, purpose);
    il_harvest h = harvest_of(w, w->data);
    il_recorded *episodes = NULL;

    if (draw->rollouts.policy != NULL) {
        IL_TRY(il_recorded_draw(&episodes, &draw->rollouts, &key, w->host.blas,
                                w->host.pool, err));
        return harvest_recorded(out, w, d, episodes, err);
    }
    if (w->data == NULL) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "it is to read a split, and there is no `data`");
    }
    h.rows = rows;
    return il_detector_harvest(out, d, &h, draw->split, err);
}

/* The episodes of a refit: of each policy as many as it says, `lot` telling the two
 * purposes apart. */
static il_status harvest_shares(il_acts **out, const il_stage_work *s,
                                const il_detector *d, int64_t step, uint32_t lot,
                                il_error *err)
{
    const il_world *w = s->world;
    const il_refit_spec *refit = &d->spec->refit;
    il_recorded *all = NULL;
    il_status status = IL_OK;

    for (size_t i = 0; status == IL_OK && i < refit->rollout_count; i++) {
        il_rollout_spec spec = {.policy = refit->rollouts[i].policy,
                                .episodes = refit->rollouts[i].episodes,
                                .place = refit->place};
        il_rollout key = rollout_of(w, IL_DRAW_REFIT);
        il_recorded *part = NULL;

        key.depth = (uint32_t)s->at;
        key.step = (uint64_t)step;
        key.lot = lot + (uint32_t)i;
        status = il_recorded_draw(&part, &spec, &key, w->host.blas, w->host.pool, err);
        if (status == IL_OK && all == NULL) {
            all = part;
        } else if (status == IL_OK) {
            status = il_recorded_append(all, part, err);
        }
    }
    if (status != IL_OK) {
        il_recorded_destroy(all);
        return status;
    }
    return harvest_recorded(out, w, d, all, err);
}

/* A split that is harvested some documents at a time, for a dictionary that is not to
 * hold all of its rows. */
typedef struct held {
    const il_world *w;
    const il_detector *d;
    const char *split;
    int32_t number;
    int64_t size;
    int64_t hold;
    int64_t first; /* of those at hand */
} held;

static il_status held_fetch(void *user, int64_t index, int64_t rows, il_batch *batch,
                            il_error *err)
{
    const held *h = user;
    const il_instance *data = h->w->data;

    return il_instance_dataset(data)->get(data->self, h->number, h->first + index, rows,
                                          batch, err);
}

static il_status held_more(void *user, int64_t round, il_acts **out, il_error *err)
{
    held *h = user;
    il_harvest harvest = harvest_of(h->w, h->w->data);

    h->first = round * h->hold;
    harvest.fetch = held_fetch;
    harvest.user = h;
    harvest.rows = h->size - h->first < h->hold ? h->size - h->first : h->hold;
    return il_detector_harvest(out, h->d, &harvest, h->split, err);
}

static il_status held_open(held *h, const il_world *w, const il_detector *d,
                           const char *split, il_error *err)
{
    *h = (held){.w = w, .d = d, .split = split, .hold = d->spec->fit.hold};
    h->number = w->data != NULL ? il_split_find(w->data, split, &h->size) : -1;
    return h->number >= 0 && h->size > 0
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, d->spec->name,
                              "`hold` is for a split of `data` that has an end");
}

/* Fits d to the rows and, where it is re-zeroed, takes the zero of these weights. */
static il_status fit_rows(const il_world *w, il_detector *d, const il_acts *acts,
                          il_fit_start start, const il_dictionary_rounds *rounds,
                          il_error *err)
{
    char hash[IL_HASH_HEX];
    il_fit fit = {.blas = w->host.blas,
                  .start = start,
                  .seed = w->seed,
                  .model_hash = hash,
                  .pool = w->host.pool,
                  .log = w->host.log,
                  .rounds = rounds};

    il_stage_model(w, hash);
    d->offset = 0; /* what is fitted is the logit itself */
    IL_TRY(il_detector_fit(d, acts, &fit, err));
    IL_TRY(il_detector_trust(d, w->data, w->host.blas, err));
    return il_detector_rezero(d, w->values, true, err);
}

/* A detector that only reads others is as it is to be once they are fitted. */
static il_status settle(const il_world *w, il_detector *d, il_error *err)
{
    if (!il_detector_ready(d)) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "it has no `fit` that says on what, and it or a detector "
                            "that it reads has to be fitted");
    }
    il_stage_model(w, d->model_hash);
    d->fitted = true;
    IL_TRY(il_detector_trust(d, w->data, w->host.blas, err));
    return il_detector_rezero(d, w->values, true, err);
}

/* Seconds of processor time, for differences: what a busy neighbour does not change. */
static double seconds_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

il_status il__stage_fit(il_stage_work *s, const il_detector_spec *spec, bool fresh,
                        il_error *err)
{
    const il_world *w = s->world;
    il_detector *d = il_world_detector(w, spec->name);
    bool first = !d->fitted;
    il_draw_spec draw = spec->fit.draw;
    il_acts *acts = NULL;
    held parts;
    il_dictionary_rounds rounds = {1, held_more, &parts};
    bool in_parts = spec->fit.given && spec->fit.hold > 0;
    double since;
    il_status status;

    IL_TRY(il__stage_reference(s, spec->on, err));
    if (!first && spec->refit.split != NULL) {
        draw = (il_draw_spec){.split = spec->refit.split};
    }
    if (in_parts) {
        IL_TRY(held_open(&parts, w, d, draw.split, err));
        rounds.count = (parts.size + parts.hold - 1) / parts.hold;
        status = held_more(&parts, 0, &acts, err);
    } else if (spec->fit.given) {
        status = il_stage_rows(&acts, w, d, &draw, IL_DRAW_FIT,
                               first ? 0 : spec->refit.rows, err);
    } else {
        status = settle(w, d, err); /* it has nothing to learn, only a threshold */
    }
    since = seconds_now();
    if (status == IL_OK && spec->fit.given) {
        status = fit_rows(w, d, acts, fresh || first ? IL_FIT_FRESH : IL_FIT_WARM,
                          in_parts ? &rounds : NULL, err);
    }
    s->fit_seconds = seconds_now() - since;
    il_acts_destroy(acts);
    acts = NULL;
    /* The threshold is t0's, and so are probabilities: a refit on a split leaves them.
     */
    if (status == IL_OK && first && spec->calibrate.given) {
        status = il_stage_rows(&acts, w, d, &spec->calibrate.draw, IL_DRAW_CALIBRATE, 0,
                               err);
    }
    if (status == IL_OK && first && spec->calibrate.given) {
        status = il_detector_calibrate_odds(d, w->host.blas, acts, err);
    }
    il_acts_destroy(acts);
    acts = NULL;
    if (status == IL_OK && first && spec->threshold.kind == IL_THRESHOLD_RATE) {
        status = il_stage_rows(&acts, w, d, &spec->threshold.draw, IL_DRAW_CALIBRATE, 0,
                               err);
    }
    if (status == IL_OK && first && spec->threshold.kind != IL_THRESHOLD_NONE) {
        status = il_detector_calibrate(d, w->host.blas, acts, err);
    }
    il_acts_destroy(acts);
    return status;
}

il_status il_stage_fit_alone(const il_stage_host *host, il_world *w, const il_job *job,
                             il_detector *d, double *seconds, il_error *err)
{
    size_t at = job->chain_count - 1;
    il_stage_work s = {.host = host,
                       .world = w,
                       .job = job,
                       .at = at,
                       .spec = job->chain[at].spec,
                       .label = job->stage};

    d->fitted = false; /* whatever an earlier stage has made of it */
    d->model_hash[0] = '\0';
    IL_TRY(il__stage_fit(&s, d->spec, true, err));
    *seconds = s.fit_seconds;
    return IL_OK;
}

il_status il__stage_refit(il_stage_work *s, il_detector *d, int64_t step, il_error *err)
{
    const il_refit_spec *refit = &d->spec->refit;
    bool fresh = refit->kind == IL_REFIT_FRESH;
    il_acts *acts = NULL;
    il_status status;

    if (refit->rollout_count == 0) {
        return il__stage_fit(s, d->spec, fresh, err);
    }
    status = harvest_shares(&acts, s, d, step, 0, err);
    if (status == IL_OK) {
        status =
            fit_rows(s->world, d, acts, fresh ? IL_FIT_FRESH : IL_FIT_WARM, NULL, err);
    }
    il_acts_destroy(acts);
    acts = NULL;
    d->calibration_ids.count = 0;
    if (status == IL_OK &&
        (d->spec->threshold.kind == IL_THRESHOLD_RATE || d->spec->calibrate.given)) {
        status = harvest_shares(&acts, s, d, step, LOT_CALIBRATES, err);
    }
    if (status == IL_OK && d->spec->calibrate.given) {
        status = il_detector_calibrate_odds(d, s->world->host.blas, acts, err);
    }
    if (status == IL_OK && d->spec->threshold.kind == IL_THRESHOLD_RATE) {
        status = il_detector_calibrate(d, s->world->host.blas, acts, err);
    }
    il_acts_destroy(acts);
    return status;
}

il_status il__stage_rezero(il_stage_work *s, il_error *err)
{
    const il_world *w = s->world;

    for (size_t i = 0; i < w->detector_count; i++) {
        if (w->detectors[i]->fitted) {
            IL_TRY(il_detector_trust(w->detectors[i], w->data, w->host.blas, err));
            IL_TRY(il_detector_rezero(w->detectors[i], w->values, false, err));
        }
    }
    return IL_OK;
}
