/* Sifts: what detectors leave of a batch. See il_term_sift.
 *
 * Every example is scored before anything is trained on it, with the weights of the
 * step, and all of a batch are before the first is weighed. A share is a constant: no
 * derivative flows through it, and an example whose share is 0 gives none to anything
 * that is trained. Normalizers are taken over shares, so that the examples which are
 * kept are a smaller batch. */
#include <math.h>
#include <stdlib.h>
#include "detect/calibration.h"
#include "loop/terms_private.h"

static bool on_lot(const il_term_sift *s, uint32_t lot)
{
    return s->lots == 0 || (s->lots >> lot & 1u) != 0;
}

/* ---- scores --------------------------------------------------------------------- */

/* The mean probability of each example's scored rows; one that pools has one. */
static il_status score_by(const il_terms *t, const il_term_sift *s, il_micro *micro,
                          const il_terms_run *run, il_forward *f, double *out,
                          il_error *err)
{
    const il_calibration *c = &t->world->detectors[s->detector]->calibration;
    const il_micro_scores *scores = &f->scores[s->detector];
    int64_t *rows = il_arena_calloc(f->arena, (size_t)micro->count + 1, sizeof *rows);

    if (rows == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, s->spec->name, "out of memory");
    }
    IL_TRY(il__terms_score(t, s->detector, micro, run, f, err));
    for (int64_t e = 0; e < micro->count; e++) {
        out[e] = 0;
    }
    for (int64_t i = 0; i < scores->rows.count; i++) {
        int64_t e = scores->rows.rows[i] / scores->rows.length;

        out[e] += il_calibration_probability(c, il_f32(scores->logits)[i]);
        rows[e]++;
    }
    for (int64_t e = 0; e < micro->count; e++) {
        out[e] = rows[e] > 0 ? out[e] / (double)rows[e] : -1.0;
        if (isnan(out[e])) {
            return il_error_set(err, IL_ERR_NUMERIC, s->spec->name,
                                "the score of example %lld is not a number at step "
                                "%lld of stage '%s'",
                                (long long)(micro->place + e), (long long)run->step,
                                t->stage->name);
        }
    }
    return IL_OK;
}

il_status il_terms_score_examples(il_terms *t, il_worker *worker, il_micro *micro,
                                  const il_terms_run *run, il_error *err)
{
    il_forward *f = &micro->forward;
    il_forward own = {
        .pass = worker->pass, .aside = worker->aside, .arena = worker->scratch};

    micro->sifted = false;
    if (t->stage->train.rollout_count == 0) {
        f = &own;
        IL_TRY(il__terms_forward(t, micro, run, f, err));
    }
    for (size_t i = 0; i < t->sift_count; i++) {
        if (on_lot(&t->sifts[i], micro->lot)) {
            IL_TRY(score_by(t, &t->sifts[i], micro, run, f,
                            micro->scores + i * (size_t)micro->count, err));
        }
    }
    return IL_OK;
}

/* ---- shares --------------------------------------------------------------------- */

typedef struct scored {
    double score;
    int64_t place; /* among all that are scored: ties go to who comes first */
    float *share;
    bool highest;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a;
    const scored *y = b;
    int order = x->score < y->score ? -1 : x->score > y->score;

    order = x->highest ? -order : order;
    return order != 0 ? order : x->place < y->place ? -1 : x->place > y->place;
}

static float weigh(const il_sift_spec *s, double p)
{
    switch (s->kind) {
    case IL_SIFT_BELOW:
        return p < s->value ? 1.0f : 0.0f;
    case IL_SIFT_ABOVE:
        return p > s->value ? 1.0f : 0.0f;
    case IL_SIFT_COMPLEMENT:
        return (float)(1.0 - p);
    case IL_SIFT_EXPONENTIAL:
        return (float)exp(-p / s->value);
    default:
        return 1.0f; /* ranked */
    }
}

/* One signal's part: every example that it scored, ranked where that is asked for. */
static void sift_by(il_term_sift *s, scored *all, int64_t n)
{
    const il_sift_spec *spec = &s->spec->sift;
    bool ranked = spec->kind == IL_SIFT_LOWEST || spec->kind == IL_SIFT_HIGHEST;
    int64_t keep = (int64_t)floor(spec->value * (double)n + 0.5);

    keep = keep < 1 ? 1 : keep;
    if (ranked) {
        qsort(all, (size_t)n, sizeof *all, by_score);
    }
    s->kept = 0;
    s->scored = n;
    for (int64_t i = 0; i < n; i++) {
        float w = ranked ? (i < keep ? 1.0f : 0.0f) : weigh(spec, all[i].score);

        *all[i].share *= w;
        s->kept += w;
    }
}

il_status il_terms_sift(il_terms *t, il_micro *micros, size_t count, il_error *err)
{
    int64_t room = 0;
    scored *all;

    for (size_t m = 0; m < count; m++) {
        room += micros[m].count;
        for (int64_t e = 0; e < micros[m].count; e++) {
            micros[m].share[e] = 1.0f;
        }
        micros[m].sifted = true;
    }
    all = malloc(((size_t)room + 1) * sizeof *all);
    if (all == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, t->stage->name, "out of memory");
    }
    for (size_t i = 0; i < t->sift_count; i++) {
        il_term_sift *s = &t->sifts[i];
        int64_t n = 0;

        for (size_t m = 0; m < count; m++) {
            const double *scores = micros[m].scores + i * (size_t)micros[m].count;

            for (int64_t e = 0; on_lot(s, micros[m].lot) && e < micros[m].count; e++) {
                if (scores[e] >= 0) {
                    all[n] = (scored){.score = scores[e],
                                      .place = n,
                                      .share = &micros[m].share[e],
                                      .highest = s->spec->sift.kind == IL_SIFT_HIGHEST};
                    n++;
                }
            }
        }
        sift_by(s, all, n);
    }
    free(all);
    return IL_OK;
}

void il_terms_weigh(const il_term *term, const il_micro *micro, const int32_t *rows,
                    int64_t n, int64_t length, float *weights)
{
    if (!term->trains || micro->share == NULL || !micro->sifted) {
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        weights[i] *= micro->share[rows[i] / length];
    }
}
