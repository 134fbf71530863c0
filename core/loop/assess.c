/* Assessment: what came of episodes, signal by signal, before any gradient. A reward
 * term's part of the advantages is made of its own rewards alone; the values' part is
 * the baseline's. See advantage.h. */
#include <math.h>
#include <string.h>
#include "loop/advantage.h"
#include "loop/scramble.h"
#include "tensor/kernels.h"

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* ---- rewards -------------------------------------------------------------------- */

double il__reinforce_triggered(const il_signal_spec *s, double p)
{
    return !s->has_trigger ? p : p > s->trigger_above ? 1.0 : 0.0;
}

/* A signal's detector's probabilities by flat position (B*L), 0 where it scores
 * nothing, scrambled where that is asked for; NULL with an error when memory is out. */
static il_status readings_of(const il_terms *t, const il_term *term,
                             const il_micro *micro, const il_terms_run *run,
                             il_forward *f, float **out, il_error *err)
{
    const il_play *play = &micro->play;
    int d = term->detector;
    const il_micro_scores *s = &f->scores[d];
    float *p;

    IL_TRY(il__terms_score(t, d, micro, run, f, err));
    *out = il_arena_calloc(micro->arena, (size_t)(play->episodes * play->length) + 1,
                           sizeof **out);
    p = il_arena_alloc(micro->arena, ((size_t)s->rows.count + 1) * sizeof *p);
    if (*out == NULL || p == NULL) {
        return no_memory("assessment", err);
    }
    if (s->rows.count > 0) {
        const il_calibration *c = &t->world->detectors[d]->calibration;

        il_k_sigmoid(p, il_f32(s->logits), s->rows.count);
        for (int64_t i = 0; c->kind != IL_CALIBRATION_NONE && i < s->rows.count; i++) {
            p[i] = (float)il_calibration_probability(c, il_f32(s->logits)[i]);
        }
    }
    IL_TRY(
        il__scramble_rewards(t, term, micro, run, &s->rows, 0, p, micro->arena, err));
    for (int64_t i = 0; i < s->rows.count; i++) {
        (*out)[s->rows.rows[i]] = p[i];
    }
    return IL_OK;
}

/* A field (B,L) or (B) of the batch, of 32-bit floats or bytes. */
static il_status field_of(const il_batch *batch, const char *name, const char *signal,
                          const il_tensor **out, il_error *err)
{
    *out = il_batch_find(batch, name);
    return *out != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, signal,
                              "the episodes have no field '%s', which the environment "
                              "lists",
                              name);
}

/* What a signal's source is worth at each acted row, unweighted. Scores and labels are
 * those of the position after the action: of what it led to. A label of a whole episode
 * counts at its last action. */
static il_status source_rows(const il_terms *t, const il_term *term,
                             const il_micro *micro, const il_terms_run *run,
                             il_forward *f, double *out, il_error *err)
{
    const il_signal_spec *spec = term->spec;
    const il_play *play = &micro->play;
    const il_tensor *field = NULL;
    float *p = NULL;

    if (term->detector >= 0) {
        IL_TRY(readings_of(t, term, micro, run, f, &p, err));
    } else {
        IL_TRY(field_of(micro->batch, term->field, spec->name, &field, err));
    }
    for (int64_t e = 0; e < play->episodes; e++) {
        for (int64_t n = play->first[e]; n < play->first[e + 1]; n++) {
            int64_t row = play->rows[n];
            bool more = row + 1 < (e + 1) * play->length;

            if (spec->source.kind == IL_SOURCE_REWARD) {
                out[n] = il_f32(field)[row];
            } else if (p != NULL) {
                out[n] = more ? il__reinforce_triggered(spec, p[row + 1]) : 0.0;
            } else if (field->ndim == 1) {
                out[n] = n + 1 == play->first[e + 1]
                             ? il__reinforce_triggered(spec, il_u8(field)[e])
                             : 0.0;
            } else {
                out[n] =
                    more ? il__reinforce_triggered(spec, il_u8(field)[row + 1]) : 0.0;
            }
        }
    }
    return IL_OK;
}

/* ---- assessment ----------------------------------------------------------------- */

static double *numbers(const il_micro *micro, int64_t n)
{
    return il_arena_calloc(micro->arena, (size_t)n + 1, sizeof(double));
}

/* Where actions were taken. */
static il_status find_actions(il_micro *micro, il_error *err)
{
    const il_tensor *acted = il_batch_find(micro->batch, "acted");
    const il_tensor *action = il_batch_find(micro->batch, "action");
    il_play *play = &micro->play;
    int64_t all = il_count(acted);
    int64_t count = 0;

    if (acted == NULL || action == NULL || acted->ndim != 2) {
        return il_error_set(err, IL_ERR_INTERNAL, "assessment",
                            "episodes came without 'acted' and 'action' of (B,L)");
    }
    play->episodes = acted->shape[0];
    play->length = acted->shape[1];
    play->rows = il_arena_alloc(micro->arena, ((size_t)all + 1) * sizeof *play->rows);
    play->actions =
        il_arena_alloc(micro->arena, ((size_t)all + 1) * sizeof *play->actions);
    play->first = il_arena_alloc(micro->arena,
                                 ((size_t)play->episodes + 1) * sizeof *play->first);
    if (play->rows == NULL || play->actions == NULL || play->first == NULL) {
        return no_memory("assessment", err);
    }
    /* Counted apart: another worker's micro-batch is this one's neighbour in memory. */
    for (int64_t e = 0; e < play->episodes; e++) {
        play->first[e] = count;
        for (int64_t i = e * play->length; i < (e + 1) * play->length; i++) {
            if (il_u8(acted)[i] != 0) {
                play->rows[count] = (int32_t)i;
                play->actions[count++] = il_i32(action)[i];
            }
        }
    }
    play->first[play->episodes] = count;
    play->count = count;
    return IL_OK;
}

/* The advantages that rewards alone give, by episode and from its last action; of a
 * group its episodes' excess. */
static il_status share_out(const il_terms *t, const il_micro *micro,
                           const double *rewards, const double *values, double *out,
                           il_error *err)
{
    const il_algorithm_spec *a = &t->stage->train.algorithm;
    const il_play *play = &micro->play;
    int64_t samples = t->stage->train.rollouts[micro->lot].samples;
    int64_t group = samples > 0 ? samples : 1;
    double *returns;
    double *excess;

    if (a->kind != IL_ALGORITHM_GROUP_RELATIVE) {
        for (int64_t e = 0; e < play->episodes; e++) {
            int64_t at = play->first[e];

            il_advantage_gae(
                play->first[e + 1] - at, rewards != NULL ? rewards + at : NULL,
                values != NULL ? values + at : NULL, a->gamma, a->lambda, out + at);
        }
        return IL_OK;
    }
    returns = numbers(micro, play->episodes);
    excess = numbers(micro, play->episodes);
    if (returns == NULL || excess == NULL) {
        return no_memory("assessment", err);
    }
    for (int64_t e = 0; e < play->episodes; e++) {
        il_advantage_sum(play->first[e + 1] - play->first[e], rewards + play->first[e],
                         &returns[e]);
    }
    il_advantage_group(play->episodes, group, returns, excess);
    for (int64_t e = 0; e < play->episodes; e++) {
        for (int64_t n = play->first[e]; n < play->first[e + 1]; n++) {
            out[n] = excess[e];
        }
    }
    return IL_OK;
}

/* The part of a reward term, and its source's sum for the record. */
static il_status assess_reward(const il_terms *t, size_t i, il_micro *micro,
                               const il_terms_run *run, il_forward *f, il_error *err)
{
    const il_term *term = &t->items[i];
    il_play *play = &micro->play;
    double *rewards = numbers(micro, play->count);
    double weight =
        il_term_weight(term->spec, run->step, il_train_length(&t->stage->train)) *
        t->stage->train.algorithm.reward_scale *
        (term->spec->source.kind == IL_SOURCE_REWARD ? 1.0 : -1.0);

    play->rewards[i] = rewards;
    play->advantage[i] = numbers(micro, play->count);
    if (rewards == NULL || play->advantage[i] == NULL) {
        return no_memory("assessment", err);
    }
    IL_TRY(source_rows(t, term, micro, run, f, rewards, err));
    for (int64_t n = 0; n < play->count; n++) {
        if (!isfinite(rewards[n])) {
            return il_error_set(
                err, IL_ERR_NUMERIC, term->spec->name,
                "the reward is not a number at position %lld of episode %lld, update "
                "%lld of stage '%s'",
                (long long)(play->rows[n] % play->length),
                (long long)(micro->first + play->rows[n] / play->length),
                (long long)run->step, t->stage->name);
        }
        play->returns[i] += rewards[n];
        rewards[n] *= weight;
    }
    IL_TRY(share_out(t, micro, rewards, NULL, play->advantage[i], err));
    for (int64_t n = 0; term->trains && n < play->count; n++) {
        play->total[n] += play->advantage[i][n];
    }
    return IL_OK;
}

/* The part of the values, and what they are to become. */
static il_status assess_values(const il_terms *t, il_micro *micro, il_forward *f,
                               il_error *err)
{
    il_play *play = &micro->play;
    const il_tensor *value = il_pass_output(f->pass, "value");
    double *values = numbers(micro, play->count);

    play->baseline = numbers(micro, play->count);
    play->target =
        il_arena_calloc(micro->arena, (size_t)play->count + 1, sizeof *play->target);
    if (values == NULL || play->baseline == NULL || play->target == NULL) {
        return no_memory("assessment", err);
    }
    if (il_count(value) != play->episodes * play->length) {
        return il_error_set(err, IL_ERR_SHAPE, t->stage->name,
                            "the model gave %lld values, expected one a position: %lld",
                            (long long)il_count(value),
                            (long long)(play->episodes * play->length));
    }
    for (int64_t n = 0; n < play->count; n++) {
        values[n] = il_f32(value)[play->rows[n]];
    }
    IL_TRY(share_out(t, micro, NULL, values, play->baseline, err));
    for (int64_t n = 0; n < play->count; n++) {
        play->total[n] += play->baseline[n];
        play->target[n] = (float)(play->total[n] + values[n]);
    }
    return IL_OK;
}

/* Each group's own scale, a row each. */
static il_status assess_groups(const il_terms *t, il_micro *micro, il_error *err)
{
    il_play *play = &micro->play;
    int64_t group = t->stage->train.rollouts[micro->lot].samples;

    play->scale = numbers(micro, play->count);
    if (play->scale == NULL) {
        return no_memory("assessment", err);
    }
    for (int64_t first = 0; first < play->episodes; first += group) {
        double squares = 0;
        double scale;

        for (int64_t e = first; e < first + group; e++) {
            if (play->first[e] < play->first[e + 1]) {
                il_advantage_squares(1, &play->total[play->first[e]], 0.0, &squares);
            }
        }
        scale = il_advantage_scale(squares, group);
        for (int64_t n = play->first[first]; n < play->first[first + group]; n++) {
            play->scale[n] = scale;
        }
    }
    return IL_OK;
}

static il_status assess_play(const il_terms *t, il_micro *micro,
                             const il_terms_run *run, il_forward *f, il_error *err)
{
    const il_algorithm_spec *a = &t->stage->train.algorithm;
    il_play *play = &micro->play;
    bool rewarded = false;
    bool valued = false;

    memset(play, 0, sizeof *play);
    play->advantage =
        il_arena_calloc(micro->arena, t->count + 1, sizeof *play->advantage);
    play->rewards = il_arena_calloc(micro->arena, t->count + 1, sizeof *play->rewards);
    play->returns = numbers(micro, (int64_t)t->count);
    if (play->advantage == NULL || play->rewards == NULL || play->returns == NULL) {
        return no_memory("assessment", err);
    }
    IL_TRY(find_actions(micro, err));
    play->total = numbers(micro, play->count);
    if (play->total == NULL) {
        return no_memory("assessment", err);
    }
    for (size_t i = 0; i < t->count; i++) {
        const il_term *term = &t->items[i];

        if (term->kind == IL_TERM_REWARD && il_term_on(term, micro->lot)) {
            IL_TRY(assess_reward(t, i, micro, run, f, err));
            rewarded = rewarded || term->trains;
        }
        valued =
            valued || (term->kind == IL_TERM_VALUE && il_term_on(term, micro->lot));
    }
    if (valued) {
        IL_TRY(assess_values(t, micro, f, err));
    }
    if (rewarded && a->kind == IL_ALGORITHM_GROUP_RELATIVE && a->divide_by_std) {
        IL_TRY(assess_groups(t, micro, err));
    }
    if (rewarded && a->kind == IL_ALGORITHM_PPO) {
        const il_tensor *surprise = il__policy_surprise(t, play, f);

        IL_TRY(il_pass_status(f->pass, err));
        play->surprise = il_arena_alloc(micro->arena, ((size_t)play->count + 1) *
                                                          sizeof *play->surprise);
        if (play->surprise == NULL) {
            return no_memory("assessment", err);
        }
        memcpy(play->surprise, il_f32(surprise),
               (size_t)play->count * sizeof *play->surprise);
    }
    play->assessed = true;
    return IL_OK;
}

il_status il_terms_assess(il_terms *t, il_worker *worker, il_micro *micro,
                          const il_terms_run *run, il_error *err)
{
    il_forward *f = &micro->forward;

    memset(f, 0, sizeof *f);
    f->pass = micro->pass != NULL ? micro->pass : worker->pass;
    f->aside = worker->aside;
    f->arena = micro->pass != NULL ? micro->arena : worker->scratch;
    IL_TRY(il__terms_forward(t, micro, run, f, err));
    IL_TRY(assess_play(t, micro, run, f, err));
    micro->alive = micro->pass != NULL;
    return IL_OK;
}

/* The advantages of the episodes that are kept, into one sum (mean NULL) or a sum of
 * squares about a mean; returns their rows. */
static int64_t add_kept(const il_micro *micro, const double *mean, double *sum)
{
    const il_play *play = &micro->play;
    int64_t rows = 0;

    if (micro->share == NULL || !micro->sifted) {
        if (mean == NULL) {
            il_advantage_sum(play->count, play->total, sum);
        } else {
            il_advantage_squares(play->count, play->total, *mean, sum);
        }
        return play->count;
    }
    for (int64_t e = 0; e < play->episodes; e++) {
        int64_t n = play->first[e + 1] - play->first[e];
        const double *total = play->total + play->first[e];

        if (micro->share[e] == 0.0f) {
            continue;
        }
        rows += n;
        if (mean == NULL) {
            il_advantage_sum(n, total, sum);
        } else {
            il_advantage_squares(n, total, *mean, sum);
        }
    }
    return rows;
}

il_status il_terms_settle(const il_terms *t, const il_micro *micros, size_t count,
                          il_moments *out, il_error *err)
{
    bool normal = t->stage->train.algorithm.normalize_batch;
    double sum = 0;
    double squares = 0;

    out->mean = 0;
    out->scale = 1;
    out->rows = 0;
    for (size_t m = 0; m < count; m++) {
        if (micros[m].play.baseline != NULL) {
            out->rows += add_kept(&micros[m], NULL, &sum);
        }
    }
    if (!isfinite(sum)) {
        return il_error_set(err, IL_ERR_NUMERIC, "value",
                            "the advantages are not numbers in stage '%s': the value "
                            "has run away",
                            t->stage->name);
    }
    if (!normal || out->rows == 0) {
        return IL_OK;
    }
    out->mean = sum / (double)out->rows;
    for (size_t m = 0; m < count; m++) {
        if (micros[m].play.baseline != NULL) {
            (void)add_kept(&micros[m], &out->mean, &squares); /* counted above */
        }
    }
    out->scale = il_advantage_scale(squares, out->rows);
    return IL_OK;
}
