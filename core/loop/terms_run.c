/* Terms on the tape: forward, rows with coefficients, backward. See terms.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/linear.h"
#include "detect/pattern.h"
#include "loop/scramble.h"

/* ---- forward -------------------------------------------------------------------- */

static il_status bind_edits(const il_terms *t, const il_micro *micro,
                            const il_terms_run *run, il_forward *f, il_error *err)
{
    const il_scored_fields names = {.input = il_field_of_role(t->rows, IL_FIELD_INPUT)};
    il_site_edits edits;

    IL_TRY(il_terms_edits(t, run->kind, run->step, micro->lot, f->arena, &edits, err));
    return il_edits_bind(&edits, f->pass, micro->batch, &names, f->arena, err);
}

static il_status flag_sites(const il_terms *t, il_pass *pass, const il_terms_run *run,
                            il_error *err)
{
    const il_world *w = t->world;

    il_pass_sites_clear(pass);
    for (size_t d = 0; d < w->detector_count; d++) {
        bool used = t->planning;

        for (size_t i = 0; i < t->count && !used; i++) {
            const il_term *term = &t->items[i];
            bool live = term->runs[run->kind] || (run->watch && !term->trains);

            used = live && (term->detector == (int)d || term->gate == (int)d);
        }
        for (size_t i = 0; i < t->sift_count && !used; i++) {
            used = t->sifts[i].detector == (int)d;
        }
        for (size_t s = 0; s < w->detectors[d]->site_count; s++) {
            unsigned flags =
                (used ? IL_SITE_READ : 0u) |
                (run->kind == IL_PASS_SECOND && (int)d == t->shadow ? IL_SITE_STOP
                                                                    : 0u);

            if (flags != 0) {
                IL_TRY(il_pass_site_flag(pass, (int32_t)w->detectors[d]->sites[s],
                                         flags, err));
            }
        }
    }
    if (t->mean_site >= 0) {
        IL_TRY(il_pass_site_flag(pass, (int32_t)t->mean_site, IL_SITE_READ, err));
    }
    for (size_t i = 0; t->planning && t->probed != NULL && i < w->model->site_count;
         i++) {
        if (t->probed[i]) {
            IL_TRY(il_pass_site_flag(pass, (int32_t)i, IL_SITE_READ, err));
        }
    }
    for (size_t i = 0; t->planning && i < t->count; i++) {
        const il_route_spec *r = &t->items[i].spec->route;
        int64_t site = r->target != NULL && !r->target_is_detector
                           ? il_instance_site(w->model, r->target)
                           : -1;

        if (site >= 0) {
            IL_TRY(il_pass_site_flag(pass, (int32_t)site, IL_SITE_READ, err));
        }
    }
    return IL_OK;
}

il_status il__terms_forward(const il_terms *t, const il_micro *micro,
                            const il_terms_run *run, il_forward *f, il_error *err)
{
    const il_world *w = t->world;
    il_scope scope = {.label = "model",
                      .store = w->model->store,
                      .values = run->values,
                      .first_bit = 0};

    il_pass_begin(f->pass);
    IL_TRY(flag_sites(t, f->pass, run, err));
    IL_TRY(bind_edits(t, micro, run, f, err));
    f->scores = il_arena_calloc(f->arena, w->detector_count + 1, sizeof *f->scores);
    if (f->scores == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "pass", "out of memory");
    }
    il_pass_enter(f->pass, &scope);
    il_instance_model(w->model)->forward(w->model->self, f->pass, micro->batch);
    il_pass_leave(f->pass);
    return il_pass_status(f->pass, err);
}

il_status il__terms_open(il_terms *t, il_worker *worker, il_micro *micro,
                         const il_terms_run *run, il_forward **out, il_error *err)
{
    il_forward *f;

    if (t->stage->train.rollout_count > 0 && !micro->play.assessed) {
        IL_TRY(il_terms_assess(t, worker, micro, run, err));
    }
    if (micro->alive) {
        *out = &micro->forward;
        il_pass_lend(micro->pass, worker->scratch); /* of this step's worker */
        return IL_OK;
    }
    f = il_arena_calloc(worker->scratch, 1, sizeof *f);
    if (f == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "pass", "out of memory");
    }
    f->pass = worker->pass;
    f->aside = worker->aside;
    f->arena = worker->scratch;
    *out = f;
    return il__terms_forward(t, micro, run, f, err);
}

/* Keyed noise on a score: what a certificate puts in place of T's information. */
static il_tensor *scrambled_score(const il_terms *t, il_pass *pass,
                                  const il_micro *micro, const il_terms_run *run,
                                  const il_scored *rows, il_tensor *logits)
{
    float *noise = il_pass_alloc(pass, (size_t)rows->count * sizeof *noise);

    if (noise == NULL) {
        return logits;
    }
    for (int64_t i = 0; i < rows->count; i++) {
        int64_t row = micro->place * rows->length + rows->rows[i];
        il_rng r;

        il_rng_open(&r, t->world->seed, t->depth, IL_RNG_SCRAMBLE, (uint64_t)run->step,
                    (uint64_t)row);
        noise[i] = 4.0f * il_rng_normal(&r);
    }
    return il_add(pass, logits, il_constant(pass, IL_SHAPE(rows->count), noise));
}

/* What a detector reads in a reference: a forward aside, its sites brought over as
 * constants that remember, of a moving average, that the model made them. */
static il_status read_aside(const il_terms *t, const il_detector *det,
                            const il_micro *micro, il_forward *f, il_tensor **acts,
                            il_error *err)
{
    const il_world *w = t->world;
    const il_reference *r = &w->references[il_world_reference(w, det->spec->on)];
    il_scope scope = {.label = r->spec->name,
                      .store = w->model->store,
                      .values = det->elsewhere,
                      .first_bit = -1};

    il_pass_begin(f->aside);
    il_pass_sites_clear(f->aside);
    for (size_t i = 0; i < det->site_count; i++) {
        IL_TRY(il_pass_site_flag(f->aside, (int32_t)det->sites[i], IL_SITE_READ, err));
    }
    il_pass_enter(f->aside, &scope);
    il_instance_model(w->model)->forward(w->model->self, f->aside, micro->batch);
    il_pass_leave(f->aside);
    IL_TRY(il_pass_status(f->aside, err));
    for (size_t i = 0; i < det->site_count; i++) {
        const il_tensor *x = il_pass_site(f->aside, (int32_t)det->sites[i]);

        if (x == NULL) {
            return il_error_set(err, IL_ERR_INPUT, det->spec->sites.items[i],
                                "the forward pass never came by this site");
        }
        acts[i] = il_pass_leaf(f->pass, x->ndim, x->shape, il_f32(x),
                               il_reference_moves(r) ? t->every : NULL);
    }
    return il_pass_status(f->pass, err);
}

/* A score that says something of the scrambled one's is scrambled with it. */
static bool scrambles(const il_terms *t, int d)
{
    const il_world *w = t->world;

    return t->scrambled >= 0 &&
           il_pipeline_akin(w->pipeline, w->detectors[t->scrambled]->spec->name,
                            w->detectors[d]->spec->name);
}

il_status il__terms_acts(const il_terms *t, int d, const il_micro *micro, il_forward *f,
                         il_tensor **acts, il_error *err)
{
    const il_detector *det = t->world->detectors[d];

    if (det->elsewhere != NULL) {
        return read_aside(t, det, micro, f, acts, err);
    }
    for (size_t i = 0; i < det->site_count; i++) {
        acts[i] = il_pass_site(f->pass, (int32_t)det->sites[i]);
    }
    return IL_OK;
}

il_status il__terms_score(const il_terms *t, int d, const il_micro *micro,
                          const il_terms_run *run, il_forward *f, il_error *err)
{
    const il_detector *det = t->world->detectors[d];
    il_micro_scores *s = &f->scores[d];
    il_tensor **acts;

    if (s->found) {
        return IL_OK;
    }
    IL_TRY(il__terms_detector_rows(t, d, micro->batch, f->arena, &s->rows, err));
    s->found = true;
    if (s->rows.count == 0) {
        return IL_OK;
    }
    acts = il_arena_calloc(f->arena, det->site_count + 1, sizeof *acts);
    if (acts == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, det->spec->name, "out of memory");
    }
    IL_TRY(il__terms_acts(t, d, micro, f, acts, err));
    s->logits = il_detector_score(det, f->pass, &s->rows, acts, false, -1);
    if (s->logits != NULL && scrambles(t, d)) {
        s->logits = scrambled_score(t, f->pass, micro, run, &s->rows, s->logits);
    }
    return il_pass_status(f->pass, err);
}

/* ---- gates -------------------------------------------------------------------- */

/* Where each of the term's rows stands among the detector's scored rows. */
static il_status match_rows(const il_term *term, const il_term_rows *rows,
                            const il_scored *scored, il_arena *arena, int32_t **out,
                            bool *same, il_error *err)
{
    int64_t j = 0;
    /* A score of a whole sequence is that of each of its positions. */
    int64_t unit = scored->first != NULL ? scored->length : 1;
    int32_t *at = il_arena_alloc(arena, ((size_t)rows->count + 1) * sizeof *at);

    if (at == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "gate", "out of memory");
    }
    *same = rows->count == scored->count && unit == 1;
    for (int64_t i = 0; i < rows->count; i++) {
        while (j < scored->count && scored->rows[j] / unit < rows->rows[i] / unit) {
            j++;
        }
        if (j == scored->count || scored->rows[j] / unit != rows->rows[i] / unit) {
            return il_error_set(
                err, IL_ERR_INPUT, term->spec->name,
                "gate '%s' scores no position %lld of row %lld, which the "
                "signal needs; give the signal a mask within the detector's "
                "tokens",
                term->spec->gate.name, (long long)(rows->rows[i] % rows->length),
                (long long)(rows->rows[i] / rows->length));
        }
        at[i] = (int32_t)j;
    }
    *out = at;
    return IL_OK;
}

/* The gate's probabilities at the term's rows, (N). */
static il_status gate_of(const il_terms *t, size_t i, il_worker *worker,
                         const il_micro *micro, const il_terms_run *run,
                         const il_term_rows *rows, il_forward *f, il_tensor **gate,
                         il_error *err)
{
    const il_term *term = &t->items[i];
    il_pass *pass = f->pass;
    const il_micro_scores *scores = f->scores;
    int32_t *at = NULL;
    bool same = false;
    il_tensor *p;

    IL_TRY(il__terms_score(t, term->gate, micro, run, f, err));
    IL_TRY(match_rows(term, rows, &scores[term->gate].rows, worker->scratch, &at, &same,
                      err));
    p = il_calibration_sigmoid(&t->world->detectors[term->gate]->calibration, pass,
                               scores[term->gate].logits);
    if (!term->spec->gate.through) {
        p = il_detach(pass, p);
    }
    if (!same) {
        p = il_gather_rows(pass, il_reshape(pass, p, IL_SHAPE(il_count(p), 1)),
                           rows->count, at);
        p = il_reshape(pass, p, IL_SHAPE(rows->count));
    }
    if (term->spec->gate.scramble != IL_SCRAMBLE_NONE) {
        IL_TRY(il__scramble_values(t, i, term->spec->gate.scramble, worker, micro, run,
                                   rows, pass, &p, err));
    }
    *gate = p;
    return IL_OK;
}

/* Cross-entropy of a named output at the rows, (N). */
static il_tensor *cross_entropy(const il_term *term, il_pass *pass,
                                const il_batch *batch, const il_term_rows *rows,
                                il_arena *arena)
{
    const il_tensor *targets = il_batch_find(batch, term->spec->source.targets);
    il_tensor picked = {0};
    int32_t *ids = il_arena_alloc(arena, ((size_t)rows->count + 1) * sizeof *ids);
    il_tensor *h = NULL;
    il_tensor *w = NULL;
    il_tensor *b = NULL;

    if (ids == NULL) {
        il_pass_fail(pass, IL_ERR_MEMORY, "out of memory");
        return NULL;
    }
    for (int64_t i = 0; i < rows->count; i++) {
        ids[i] = il_i32(targets)[rows->rows[i]];
    }
    picked.data = ids;
    picked.device_type = IL_DEVICE_CPU;
    picked.dtype = targets->dtype;
    picked.ndim = 1;
    picked.shape[0] = rows->count;
    if (il_pass_output_head(pass, term->spec->source.name, &h, &w, &b)) {
        return il_cross_entropy_linear(
            pass, il_gather_rows(pass, h, rows->count, rows->rows), w, b, &picked);
    }
    h = il_pass_output(pass, term->spec->source.name);
    if (h == NULL) {
        il_pass_fail(pass, IL_ERR_INPUT,
                     "the model did not hand over an output that a signal reads");
        return NULL;
    }
    return il_cross_entropy(pass, il_gather_rows(pass, h, rows->count, rows->rows),
                            &picked);
}

static float label_at(const il_batch *batch, const char *name, int32_t row,
                      int64_t length)
{
    const il_tensor *label = il_batch_find(batch, name);

    if (label == NULL) {
        return 0.0f;
    }
    return (float)il_u8(label)[label->ndim == 2 ? row : row / length];
}

static il_status loss_root(const il_term *term, il_pass *pass, const il_term_rows *rows,
                           il_tensor **out, il_error *err)
{
    il_tensor *x = il_pass_loss(pass, term->loss->name);

    if (x == NULL || il_count(x) != rows->count) {
        return il_error_set(
            err, IL_ERR_INPUT, term->spec->name,
            "the model gave %lld rows of loss '%s', expected %lld, one a position",
            (long long)il_count(x), term->loss->name, (long long)rows->count);
    }
    *out = il_reshape(pass, x, IL_SHAPE(rows->count));
    return IL_OK;
}

/* The rows' tensor of a term that has no part in reinforcement. */
static il_status plain_root(const il_terms *t, size_t i, il_worker *worker,
                            const il_micro *micro, const il_terms_run *run,
                            const il_term_rows *rows, il_forward *f, il_tensor **root,
                            il_error *err)
{
    const il_term *term = &t->items[i];
    il_tensor *x = NULL;

    if (term->kind == IL_TERM_DETECTOR && term->spec->scramble != IL_SCRAMBLE_NONE) {
        IL_TRY(il__scramble_root(t, i, worker, micro, run, rows, f, &x, err));
    } else if (term->kind == IL_TERM_DETECTOR) {
        IL_TRY(il__terms_score(t, term->detector, micro, run, f, err));
        x = il_softplus(f->pass, f->scores[term->detector].logits);
    } else if (term->kind == IL_TERM_LOSS) {
        IL_TRY(loss_root(term, f->pass, rows, &x, err));
    } else {
        x = cross_entropy(term, f->pass, micro->batch, rows, worker->scratch);
    }
    if (term->gate >= 0) {
        il_tensor *p = NULL;

        IL_TRY(gate_of(t, i, worker, micro, run, rows, f, &p, err));
        x = il_mul(f->pass, x, p);
    }
    *root = x;
    return IL_OK;
}

il_status il__term_root(const il_terms *t, size_t i, il_worker *worker,
                        const il_micro *micro, const il_terms_run *run, il_forward *f,
                        il_tensor **root, float **seeds, il_error *err)
{
    const il_term *term = &t->items[i];
    const il_gate_spec *gate = &term->spec->gate;
    il_term_rows rows = {0};
    double scale;

    *root = NULL;
    if (term->kind >= IL_TERM_REWARD) {
        return il__reinforce_root(t, i, worker, micro, run, f, root, seeds, err);
    }
    IL_TRY(il__term_rows(t, term, micro->batch, worker->scratch, &rows, err));
    if (rows.count == 0) {
        return IL_OK;
    }
    IL_TRY(plain_root(t, i, worker, micro, run, &rows, f, root, err));
    *seeds = il_arena_alloc(worker->scratch, ((size_t)rows.count + 1) * sizeof **seeds);
    if (*seeds == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "seeds", "out of memory");
    }
    scale = (gate->kind == IL_GATE_CONSTANT ? gate->constant : 1.0) / term->normalizer;
    for (int64_t r = 0; r < rows.count; r++) {
        float open = gate->kind == IL_GATE_LABEL
                         ? label_at(micro->batch, gate->name, rows.rows[r], rows.length)
                         : 1.0f;

        (*seeds)[r] = (float)(rows.weights[r] * scale) * open;
    }
    il_terms_weigh(term, micro, rows.rows, rows.count, rows.length, *seeds);
    return IL_OK;
}

/* ---- a step --------------------------------------------------------------------- */

static il_status check_plan(const il_terms *t, const il_term *term,
                            const il_tensor *root, int kind, il_error *err)
{
    if (il_bits_equal(term->g[kind], il_tensor_g(root), t->words) &&
        il_bits_equal(term->v[kind], il_tensor_v(root), t->words)) {
        return IL_OK;
    }
    return il_error_set(
        err, IL_ERR_INTERNAL, term->spec->name,
        "the tape's ancestry differs from the plan's: the model's forward pass "
        "uses other parameters than in its first micro-batch");
}

/* Backward for the terms that update what term i updates; marks them done. */
static il_status backward_like(const il_terms *t, size_t i, il_worker *worker,
                               il_pass *pass, const il_terms_run *run,
                               il_tensor **roots, float **seeds, bool *done,
                               il_error *err)
{
    il_tensor **who = il_arena_calloc(worker->scratch, t->count, sizeof *who);
    const float **coefficients =
        il_arena_calloc(worker->scratch, t->count, sizeof *coefficients);
    const il_word *route = t->items[i].updates[run->kind];
    size_t n = 0;

    if (who == NULL || coefficients == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "backward", "out of memory");
    }
    for (size_t j = i; j < t->count; j++) {
        if (done[j] || roots[j] == NULL || !t->items[j].runs[run->kind] ||
            !il_bits_equal(t->items[j].updates[run->kind], route, t->words)) {
            continue;
        }
        done[j] = true;
        who[n] = roots[j];
        coefficients[n++] = seeds[j];
    }
    return il_pass_backward(pass, n, who, coefficients, route, run->grads, err);
}

static double weighted_sum(const il_tensor *x, const float *seeds)
{
    double sum = 0;

    for (int64_t i = 0; i < il_count(x); i++) {
        sum += (double)il_f32(x)[i] * seeds[i];
    }
    return sum;
}

static void scale_seeds(float *seeds, int64_t n, double weight)
{
    for (int64_t i = 0; i < n; i++) {
        seeds[i] = (float)(seeds[i] * weight);
    }
}

/* Whether a term is evaluated on this micro-batch in this run. */
static bool evaluated(const il_term *term, const il_micro *micro,
                      const il_terms_run *run)
{
    if (!il_term_on(term, micro->lot)) {
        return false;
    }
    return run->prologue ? il__scramble_notes(term)
                         : term->runs[run->kind] || (run->watch && !term->trains);
}

/* Sums of the probabilities that detectors gave, for the record. */
static void note_readings(const il_terms *t, il_micro *micro, const il_forward *f)
{
    for (size_t d = 0; d < t->world->detector_count; d++) {
        const il_micro_scores *s = &f->scores[d];

        if (s->logits == NULL) {
            continue;
        }
        for (int64_t i = 0; i < il_count(s->logits); i++) {
            micro->readings[2 * d] += il_calibration_probability(
                &t->world->detectors[d]->calibration, il_f32(s->logits)[i]);
        }
        micro->readings[2 * d + 1] += (double)il_count(s->logits);
    }
}

/* Each of a detector's logits falls with its offset. A placebo's pressure is not to
 * point where the trusted rows' does, and has none. */
static double zero_slope(const il_terms *t, const il_term *term, const il_forward *f,
                         const float *seeds)
{
    const il_tensor *logits;
    double sum = 0;

    if (term->kind != IL_TERM_DETECTOR || !term->trains ||
        term->spec->scramble != IL_SCRAMBLE_NONE ||
        t->world->detectors[term->detector]->trusted == NULL) {
        return 0;
    }
    logits = f->scores[term->detector].logits;
    for (int64_t i = 0; i < il_count(logits); i++) {
        sum -= seeds[i] / (1.0 + exp(-(double)il_f32(logits)[i]));
    }
    return sum;
}

/* Logits w . x + b: adds the derivative of the term's loss with respect to w and b. */
static void fit_slopes(const il_terms *t, const il_term *term, const il_forward *f,
                       const float *seeds, float *scratch, double *out)
{
    const il_detector *det = t->world->detectors[term->detector];
    const il_micro_scores *s = &f->scores[term->detector];

    for (int64_t i = 0; i < s->rows.count; i++) {
        double g = seeds[i] / (1.0 + exp(-(double)il_f32(s->logits)[i]));
        double *to = out;

        for (size_t k = 0; k < det->site_count; k++) {
            const float *x =
                il_pattern_row(il_pass_site(f->pass, (int32_t)det->sites[k]),
                               s->rows.rows[i], det->widths[k], scratch);

            for (int64_t c = 0; c < det->widths[k]; c++) {
                to[c] += g * x[c];
            }
            to += det->widths[k];
        }
        *to += g;
    }
}

static il_status make_roots(il_terms *t, il_worker *worker, il_micro *micro,
                            const il_terms_run *run, il_forward *f, il_tensor **roots,
                            float **seeds, il_error *err)
{
    int64_t steps = il_train_length(&t->stage->train);

    for (size_t i = 0; i < t->count; i++) {
        const il_term *term = &t->items[i];

        if (!evaluated(term, micro, run)) {
            continue;
        }
        IL_TRY(il__term_root(t, i, worker, micro, run, f, &roots[i], &seeds[i], err));
        IL_TRY(il_pass_status(f->pass, err));
        if (roots[i] == NULL || run->prologue) {
            continue;
        }
        IL_TRY(check_plan(t, term, roots[i], run->kind, err));
        if (run->sums != NULL) {
            run->sums[i] += weighted_sum(roots[i], seeds[i]);
        }
        /* A reward's weight is in its advantage already. */
        if (term->kind != IL_TERM_REWARD) {
            scale_seeds(seeds[i], il_count(roots[i]),
                        il_term_weight(term->spec, run->step, steps));
        }
        if (run->slopes != NULL) {
            run->slopes[i] += zero_slope(t, term, f, seeds[i]);
        }
        if (run->fits != NULL && run->fit_at[i] >= 0 &&
            term->spec->scramble == IL_SCRAMBLE_NONE) {
            size_t widest =
                (size_t)il_detector_width(t->world->detectors[term->detector]);
            float *scratch = il_arena_alloc(worker->scratch, widest * sizeof *scratch);

            if (scratch == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, "fit", "out of memory");
            }
            fit_slopes(t, term, f, seeds[i], scratch, run->fits + run->fit_at[i]);
        }
    }
    return IL_OK;
}

il_status il_terms_step(il_terms *t, il_worker *worker, il_micro *micro,
                        const il_terms_run *run, il_error *err)
{
    il_forward *f = NULL;
    il_tensor **roots;
    float **seeds;
    bool *done;

    il_arena_reset(worker->scratch);
    roots = il_arena_calloc(worker->scratch, t->count + 1, sizeof *roots);
    seeds = il_arena_calloc(worker->scratch, t->count + 1, sizeof *seeds);
    done = il_arena_calloc(worker->scratch, t->count + 1, sizeof *done);
    if (roots == NULL || seeds == NULL || done == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "step", "out of memory");
    }
    IL_TRY(il__terms_open(t, worker, micro, run, &f, err));
    IL_TRY(make_roots(t, worker, micro, run, f, roots, seeds, err));
    if (run->watch && micro->readings != NULL) {
        note_readings(t, micro, f);
    }
    for (size_t i = 0; i < t->count && !run->prologue; i++) {
        if (roots[i] != NULL && t->items[i].runs[run->kind] && !done[i]) {
            IL_TRY(backward_like(t, i, worker, f->pass, run, roots, seeds, done, err));
        }
    }
    return IL_OK;
}
