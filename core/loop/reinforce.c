/* Reinforcement: the terms that teach the policy, on the tape. See terms.h for the idea
 * and assess.c for their coefficients. */
#include <math.h>
#include <string.h>
#include "loop/advantage.h"
#include "loop/policy.h"
#include "loop/scramble.h"

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* ---- the policy's rows ---------------------------------------------------------- */

/* A named output at some rows, (N,W): multiplied out there alone, unless they are so
 * many that copying what is multiplied takes longer than multiplying the rest, too. */
static il_tensor *output_rows(il_pass *pass, const char *name, int64_t count,
                              const int32_t *rows)
{
    il_tensor *h = NULL;
    il_tensor *w = NULL;
    il_tensor *b = NULL;

    if (il_pass_output_head(pass, name, &h, &w, &b) &&
        (count < il_rows(h) / 8 * 7 || w->shape[0] > il_width(h))) {
        return il_linear(pass, il_gather_rows(pass, h, count, rows), w, b);
    }
    h = il_pass_output(pass, name);
    if (h == NULL) {
        il_pass_fail(pass, IL_ERR_INPUT,
                     "the model did not hand over an output that a signal reads");
        return NULL;
    }
    return il_gather_rows(pass, h, count, rows);
}

static il_tensor *policy_of(const il_terms *t, const il_play *play, il_forward *f)
{
    if (f->policy == NULL) {
        f->policy = output_rows(f->pass, t->policy, play->count, play->rows);
    }
    return f->policy;
}

il_tensor *il__policy_surprise(const il_terms *t, const il_play *play, il_forward *f)
{
    if (f->surprise == NULL) {
        f->surprise = il_policy_surprise(f->pass, policy_of(t, play, f), t->allowed,
                                         play->actions);
    }
    return f->surprise;
}

/* ---- roots ---------------------------------------------------------------------- */

/* What the clipped objective multiplies a row's gradient by; 1 without it. */
static double ratio_at(const il_terms *t, const il_play *play, const il_forward *f,
                       const il_moments *moments, int64_t n)
{
    double advantage;
    double ratio;

    if (play->surprise == NULL) {
        return 1.0;
    }
    advantage = (play->total[n] - moments->mean) * moments->scale;
    ratio = exp((double)play->surprise[n] - (double)il_f32(f->surprise)[n]);
    return il_advantage_clipped(advantage, ratio, t->stage->train.algorithm.clip);
}

static void advantage_seeds(const il_terms *t, size_t i, const il_micro *micro,
                            const il_forward *f, const il_moments *given, float *seeds)
{
    static const il_moments raw = {.mean = 0, .scale = 1};
    const il_moments *moments = given != NULL ? given : &raw;
    const il_play *play = &micro->play;
    const il_term *term = &t->items[i];

    for (int64_t n = 0; n < play->count; n++) {
        double part = term->kind == IL_TERM_BASELINE ? play->baseline[n] - moments->mean
                                                     : play->advantage[i][n];
        double scale = play->scale != NULL ? play->scale[n] : moments->scale;

        seeds[n] =
            (float)(part * scale * ratio_at(t, play, f, moments, n) / term->normalizer);
    }
}

static il_tensor *value_error(const il_play *play, il_pass *pass)
{
    il_tensor *v = output_rows(pass, "value", play->count, play->rows);
    il_tensor *d = il_sub(pass, il_reshape(pass, v, IL_SHAPE(play->count)),
                          il_constant(pass, IL_SHAPE(play->count), play->target));

    return il_activate(pass, d, IL_ACT_SQUARE);
}

/* The policy's divergence from a reference, whose forward runs aside. */
static il_status divergence(const il_terms *t, const il_term *term, il_worker *worker,
                            const il_micro *micro, il_forward *f, il_tensor **out,
                            il_error *err)
{
    const il_world *w = t->world;
    const il_reference *r = &w->references[term->reference];
    const il_play *play = &micro->play;
    il_pass *aside = worker->aside;
    il_scope scope = {.label = r->spec->name,
                      .store = w->model->store,
                      .values = r->values,
                      .first_bit = -1};
    il_tensor *logits;

    il_pass_begin(aside);
    il_pass_sites_clear(aside);
    il_pass_enter(aside, &scope);
    il_instance_model(w->model)->forward(w->model->self, aside, micro->batch);
    logits = output_rows(aside, t->policy, play->count, play->rows);
    il_pass_leave(aside);
    IL_TRY(il_pass_status(aside, err));
    /* A moving reference is made of what the parameters were. */
    *out = il_policy_kl(f->pass, policy_of(t, play, f),
                        il_pass_leaf(f->pass, IL_SHAPE(play->count, il_width(logits)),
                                     il_f32(logits),
                                     il_reference_moves(r) ? t->every : NULL),
                        t->allowed);
    return IL_OK;
}

/* A tensor's values, apart from the tape; NULL when memory is out. */
static float *copy_of(const il_tensor *x, il_arena *arena)
{
    float *out = il_arena_alloc(arena, ((size_t)il_count(x) + 1) * sizeof *out);

    if (out != NULL) {
        memcpy(out, il_f32(x), (size_t)il_count(x) * sizeof *out);
    }
    return out;
}

/* A sampled site: -log density of the sample up to a constant, and what drawing it
 * instead of its mean did to the detector's probability. */
static il_status latent(const il_terms *t, const il_term *term, il_worker *worker,
                        const il_micro *micro, const il_terms_run *run, il_forward *f,
                        il_tensor **root, float **seeds, il_error *err)
{
    const il_train_spec *train = &t->stage->train;
    const il_detector *det = t->world->detectors[term->detector];
    const il_micro_scores *s = &f->scores[term->detector];
    const il_tensor *drawn = il_batch_find(micro->batch, "sampled");
    il_tensor *mean = il_pass_site(f->pass, (int32_t)t->mean_site);
    float spread = (float)(0.5 / (train->sample.std * train->sample.std));
    il_tensor *at_sample;
    il_tensor *at_mean;
    il_tensor *off;
    float *sample;
    float *around;

    IL_TRY(il__terms_score(t, term->detector, micro, run, f, err));
    if (s->rows.count == 0) {
        return IL_OK;
    }
    if (drawn == NULL || mean == NULL || il_count(drawn) != il_count(mean)) {
        return il_error_set(err, IL_ERR_INPUT, train->sample.site,
                            "the episodes hold no samples of this site around '%s'",
                            train->sample.mean);
    }
    off = il_sub(f->pass, mean,
                 il_pass_borrow(f->pass, mean->ndim, mean->shape, il_f32(drawn)));
    off = il_gather_rows(f->pass, off, s->rows.count, s->rows.rows);
    *root = il_affine(f->pass,
                      il_row_sum(f->pass, il_activate(f->pass, off, IL_ACT_SQUARE)),
                      spread, 0.0f);
    mean = il_detach(f->pass, mean);
    at_mean = il_calibration_sigmoid(
        &det->calibration, f->pass,
        il_detector_score(det, f->pass, &s->rows, &mean, false, -1));
    at_sample = il_calibration_sigmoid(&det->calibration, f->pass,
                                       il_detach(f->pass, s->logits));
    *seeds =
        il_arena_alloc(worker->scratch, ((size_t)s->rows.count + 1) * sizeof **seeds);
    IL_TRY(il_pass_status(f->pass, err));
    if (*seeds == NULL) {
        return no_memory(term->spec->name, err);
    }
    sample = copy_of(at_sample, worker->scratch);
    around = copy_of(at_mean, worker->scratch);
    if (sample == NULL || around == NULL) {
        return no_memory(term->spec->name, err);
    }
    IL_TRY(il__scramble_rewards(t, term, micro, run, &s->rows, 0, sample,
                                worker->scratch, err));
    IL_TRY(il__scramble_rewards(t, term, micro, run, &s->rows, 1, around,
                                worker->scratch, err));
    for (int64_t i = 0; i < s->rows.count; i++) {
        double gain = il__reinforce_triggered(term->spec, sample[i]) -
                      il__reinforce_triggered(term->spec, around[i]);

        (*seeds)[i] = (float)(-train->algorithm.reward_scale * gain / term->normalizer);
    }
    il_terms_weigh(term, micro, s->rows.rows, s->rows.count, s->rows.length, *seeds);
    return IL_OK;
}

il_status il__reinforce_root(const il_terms *t, size_t i, il_worker *worker,
                             const il_micro *micro, const il_terms_run *run,
                             il_forward *f, il_tensor **root, float **seeds,
                             il_error *err)
{
    const il_term *term = &t->items[i];
    const il_play *play = &micro->play;
    float sign = term->kind == IL_TERM_ENTROPY ? -1.0f : 1.0f;

    if (term->kind == IL_TERM_LATENT) {
        return latent(t, term, worker, micro, run, f, root, seeds, err);
    }
    if (play->count == 0) {
        return IL_OK;
    }
    *seeds =
        il_arena_alloc(worker->scratch, ((size_t)play->count + 1) * sizeof **seeds);
    if (*seeds == NULL) {
        return no_memory(term->spec->name, err);
    }
    for (int64_t n = 0; n < play->count; n++) {
        (*seeds)[n] = sign * (float)(1.0 / term->normalizer);
    }
    switch (term->kind) {
    case IL_TERM_VALUE:
        *root = value_error(play, f->pass);
        break;
    case IL_TERM_ENTROPY:
        *root = il_policy_entropy(f->pass, policy_of(t, play, f), t->allowed);
        break;
    case IL_TERM_KL:
        IL_TRY(divergence(t, term, worker, micro, f, root, err));
        break;
    default:
        *root = il__policy_surprise(t, play, f);
        if (!il_pass_failed(f->pass)) {
            advantage_seeds(t, i, micro, f, run->moments, *seeds);
        }
    }
    il_terms_weigh(term, micro, play->rows, play->count, play->length, *seeds);
    return IL_OK;
}
