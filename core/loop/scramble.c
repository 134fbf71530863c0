/* Scrambling: see scramble.h. */
#include "loop/scramble.h"

#include <string.h>

/* ---- keys ----------------------------------------------------------------------- */

/* Streams of this file: those of gates' orders, of minibatches and of certificates
 * have small or very large numbers. */
enum { NOISE_BITS = 40, TURN_BIT = 62, REWARD_BIT = 61 };

static size_t number_of(const il_terms *t, const il_term *term)
{
    return (size_t)(term - t->items);
}

/* Noise of a row of the batch, the same whatever micro-batch it is in. */
static float noise_at(const il_terms *t, size_t term, const il_micro *micro,
                      const il_terms_run *run, int64_t length, int32_t row,
                      uint32_t which)
{
    uint64_t place = (uint64_t)(micro->place * length + row);
    il_rng r;

    il_rng_open(&r, t->world->seed, t->depth, IL_RNG_SCRAMBLE, (uint64_t)run->step,
                ((uint64_t)(2 * term + which + 1) << NOISE_BITS) + place);
    return il_rng_uniform(&r);
}

static void deal(il_rng *r, int32_t *order, int64_t count)
{
    for (int64_t k = 0; k < count; k++) {
        order[k] = (int32_t)k;
    }
    for (int64_t k = count - 1; k > 0; k--) {
        int64_t other = il_rng_below(r, (uint32_t)(k + 1));
        int32_t kept = order[k];

        order[k] = order[other];
        order[other] = kept;
    }
}

/* ---- values --------------------------------------------------------------------- */

bool il__scramble_deals(const il_term *term)
{
    const il_signal_spec *s = term->spec;

    return (term->gate >= 0 && s->gate.scramble == IL_SCRAMBLE_ROWS) ||
           (term->kind == IL_TERM_DETECTOR && s->scramble == IL_SCRAMBLE_ROWS);
}

il_status il__scramble_values(const il_terms *t, size_t i, il_scramble how,
                              il_worker *worker, const il_micro *micro,
                              const il_terms_run *run, const il_term_rows *rows,
                              il_pass *pass, il_tensor **values, il_error *err)
{
    const il_term *term = &t->items[i];
    float *got;

    if (how == IL_SCRAMBLE_ROWS && term->scramble == NULL) {
        *values = il_detach(pass, *values); /* planned, or only watched */
        return IL_OK;
    }
    if (how == IL_SCRAMBLE_ROWS && run->prologue) {
        IL_TRY(il_pass_status(pass, err));
        memcpy(term->scramble + micro->offset[i], il_f32(*values),
               (size_t)rows->count * sizeof *got);
        return IL_OK;
    }
    got = il_arena_alloc(worker->scratch, ((size_t)rows->count + 1) * sizeof *got);
    if (got == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, term->spec->name, "out of memory");
    }
    for (int64_t r = 0; r < rows->count; r++) {
        got[r] = how == IL_SCRAMBLE_ROWS
                     ? term->scramble[term->order[micro->offset[i] + r]]
                 : how == IL_SCRAMBLE_NOISE
                     ? noise_at(t, i, micro, run, rows->length, rows->rows[r], 0)
                     : IL_SCRAMBLE_HALF;
    }
    *values = il_pass_leaf(pass, IL_SHAPE(rows->count), got, il_tensor_v(*values));
    return il_pass_status(pass, err);
}

il_status il__scramble_rewards(const il_terms *t, const il_term *term,
                               const il_micro *micro, const il_terms_run *run,
                               const il_scored *rows, uint32_t which, float *p,
                               il_arena *arena, il_error *err)
{
    il_scramble how = term->spec->scramble;
    size_t i = number_of(t, term);
    int32_t *order;
    float *kept;
    il_rng r;

    if (how == IL_SCRAMBLE_NONE) {
        return IL_OK;
    }
    order = il_arena_alloc(arena, ((size_t)rows->count + 1) * sizeof *order);
    kept = il_arena_alloc(arena, ((size_t)rows->count + 1) * sizeof *kept);
    if (order == NULL || kept == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, term->spec->name, "out of memory");
    }
    il_rng_open(&r, t->world->seed, t->depth, IL_RNG_SCRAMBLE, (uint64_t)run->step,
                ((uint64_t)1 << REWARD_BIT) + ((uint64_t)i << NOISE_BITS) +
                    (uint64_t)micro->place);
    deal(&r, order, rows->count);
    memcpy(kept, p, (size_t)rows->count * sizeof *kept);
    for (int64_t k = 0; k < rows->count; k++) {
        p[k] = how == IL_SCRAMBLE_ROWS ? kept[order[k]]
               : how == IL_SCRAMBLE_NOISE
                   ? noise_at(t, i, micro, run, rows->length, rows->rows[k], which)
                   : IL_SCRAMBLE_HALF;
    }
    return IL_OK;
}

/* ---- directions ----------------------------------------------------------------- */

/* Q: channel k gets that of from[k], with its sign. */
typedef struct turning {
    int32_t *from;
    float *sign;
} turning;

/* `which` of a term or an edit, the same at every step. */
static turning *turning_of(const il_terms *t, il_pass *pass, uint64_t which,
                           int64_t width)
{
    turning *q = il_pass_alloc(pass, sizeof *q);
    il_rng r;

    if (q == NULL) {
        return NULL;
    }
    q->from = il_pass_alloc(pass, ((size_t)width + 1) * sizeof *q->from);
    q->sign = il_pass_alloc(pass, ((size_t)width + 1) * sizeof *q->sign);
    if (q->from == NULL || q->sign == NULL) {
        return NULL;
    }
    il_rng_open(&r, t->world->seed, t->depth, IL_RNG_SCRAMBLE, 0,
                ((uint64_t)1 << TURN_BIT) + which);
    deal(&r, q->from, width);
    for (int64_t k = 0; k < width; k++) {
        q->sign[k] = il_rng_uniform(&r) < 0.5f ? -1.0f : 1.0f;
    }
    return q;
}

/* y = Q x. */
static void turn_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const turning *q = state;
    int64_t width = il_width(out);

    for (int64_t i = 0; i < il_rows(out); i++) {
        for (int64_t k = 0; k < width; k++) {
            il_f32(out)[i * width + k] =
                q->sign[k] * il_f32(in[0])[i * width + q->from[k]];
        }
    }
}

static void turn_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const turning *q = state;
    int64_t width = il_width(out);

    (void)in;
    for (int64_t i = 0; din[0] != NULL && i < il_rows(out); i++) {
        for (int64_t k = 0; k < width; k++) {
            din[0][i * width + q->from[k]] += q->sign[k] * dout[i * width + k];
        }
    }
}

static il_tensor *turn(const il_terms *t, il_pass *pass, uint64_t which, il_tensor *x)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "scramble",
                                 .forward = turn_forward,
                                 .backward = turn_backward};
    turning *q = x != NULL ? turning_of(t, pass, which, il_width(x)) : NULL;

    return q != NULL ? il_custom_op(pass, &op, q, 1, &x, x->ndim, x->shape) : x;
}

/* What the detector gives where its sites' channels are turned. */
static il_status turned_score(const il_terms *t, size_t i, const il_micro *micro,
                              il_forward *f, il_tensor **logits, il_error *err)
{
    int d = t->items[i].detector;
    const il_detector *det = t->world->detectors[d];
    il_tensor **acts =
        il_arena_calloc(f->arena, det->site_count + 1, sizeof(il_tensor *));

    if (acts == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, det->spec->name, "out of memory");
    }
    IL_TRY(il__terms_acts(t, d, micro, f, acts, err));
    for (size_t s = 0; s < det->site_count; s++) {
        acts[s] = turn(t, f->pass, i * IL_DETECTOR_SITES_MAX + s, acts[s]);
    }
    *logits = il_detector_score(det, f->pass, &f->scores[d].rows, acts, false, -1);
    return il_pass_status(f->pass, err);
}

/* How far each row's reading lies from the turned one. */
static void note_apart(float *out, const il_tensor *logits, const il_tensor *turned)
{
    for (int64_t r = 0; r < il_count(logits); r++) {
        out[r] = il_f32(logits)[r] - il_f32(turned)[r];
    }
}

bool il__scramble_levels(const il_term *term)
{
    return term->kind == IL_TERM_DETECTOR && term->spec->scramble == IL_SCRAMBLE_NOISE;
}

bool il__scramble_notes(const il_term *term)
{
    return term->scramble != NULL || (term->apart != NULL && !term->leveled);
}

void il__scramble_level(il_term *term, int64_t count)
{
    double sum = 0;

    for (int64_t r = 0; r < count; r++) {
        sum += term->apart[r];
    }
    if (count > 0) {
        term->level = (float)(sum / (double)count);
        term->leveled = true;
    }
}

json_t *il_scramble_json(const il_terms *t)
{
    json_t *levels = json_array();
    bool any = false;

    for (size_t i = 0; i < t->count; i++) {
        any = any || t->items[i].leveled;
        (void)json_array_append_new(
            levels, t->items[i].leveled ? json_real(t->items[i].level) : json_null());
    }
    if (!any) {
        json_decref(levels);
        return NULL;
    }
    return levels;
}

il_status il_scramble_read(il_terms *t, const json_t *json, il_error *err)
{
    if (json != NULL && json_array_size(json) != t->count) {
        return il_error_set(err, IL_ERR_INPUT, "levels",
                            "expected one for each of %zu terms", t->count);
    }
    for (size_t i = 0; json != NULL && i < t->count; i++) {
        const json_t *level = json_array_get(json, i);

        t->items[i].leveled = json_is_number(level);
        t->items[i].level = (float)json_number_value(level);
    }
    return IL_OK;
}

il_status il__scramble_root(const il_terms *t, size_t i, il_worker *worker,
                            const il_micro *micro, const il_terms_run *run,
                            const il_term_rows *rows, il_forward *f, il_tensor **root,
                            il_error *err)
{
    const il_term *term = &t->items[i];
    il_tensor *logits;
    il_tensor *turned = NULL;
    il_tensor *p;

    IL_TRY(il__terms_score(t, term->detector, micro, run, f, err));
    logits = f->scores[term->detector].logits;
    if (term->spec->scramble == IL_SCRAMBLE_NOISE) {
        IL_TRY(turned_score(t, i, micro, f, &turned, err));
        if (run->prologue && term->apart != NULL) {
            note_apart(term->apart + micro->offset[i], logits, turned);
        }
        *root = il_softplus(f->pass, il_affine(f->pass, turned, 1.0f, term->level));
        return IL_OK;
    }
    p = il_activate(f->pass, il_detach(f->pass, logits), IL_ACT_SIGMOID);
    IL_TRY(il__scramble_values(t, i, term->spec->scramble, worker, micro, run, rows,
                               f->pass, &p, err));
    *root = il_mul(f->pass, logits, p);
    return IL_OK;
}

/* ---- edits ---------------------------------------------------------------------- */

typedef struct turned_edit {
    const il_terms *t;
    size_t number;
    il_site_edit inner;
} turned_edit;

/* x + Q (y - x). */
static void displace_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const turning *q = state;
    int64_t width = il_width(out);

    for (int64_t i = 0; i < il_rows(out); i++) {
        const float *x = il_f32(in[0]) + i * width;
        const float *y = il_f32(in[1]) + i * width;

        for (int64_t k = 0; k < width; k++) {
            float by = y[q->from[k]] - x[q->from[k]];

            il_f32(out)[i * width + k] = x[k] + q->sign[k] * by;
        }
    }
}

static void displace_backward(const void *state, const il_tensor *const *in,
                              const il_tensor *out, const float *dout,
                              float *const *din)
{
    const turning *q = state;
    int64_t width = il_width(out);

    (void)in;
    for (int64_t i = 0; i < il_rows(out); i++) {
        for (int64_t k = 0; k < width; k++) {
            float back = q->sign[k] * dout[i * width + k];
            int64_t from = i * width + q->from[k];

            if (din[0] != NULL) {
                din[0][i * width + k] += dout[i * width + k];
                din[0][from] -= back;
            }
            if (din[1] != NULL) {
                din[1][from] += back;
            }
        }
    }
}

static il_tensor *apply_turned(const void *user, il_pass *pass, il_tensor *x,
                               const il_edit_at *at)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "scrambled edit",
                                 .forward = displace_forward,
                                 .backward = displace_backward};
    const turned_edit *e = user;
    uint64_t which = UINT64_C(1) << 32 | e->number; /* apart from those of terms */
    il_tensor *y = e->inner.apply(e->inner.user, pass, x, at);
    il_tensor *in[] = {x, y};
    turning *q = turning_of(e->t, pass, which, il_width(x));

    return q != NULL && y != NULL ? il_custom_op(pass, &op, q, 2, in, x->ndim, x->shape)
                                  : y;
}

bool il__scramble_edit(const il_terms *t, size_t edit, il_arena *arena,
                       il_site_edit *out)
{
    turned_edit *e;

    if (t->edits[edit].spec->scramble == IL_SCRAMBLE_NONE) {
        return true;
    }
    e = il_arena_calloc(arena, 1, sizeof *e);
    if (e == NULL) {
        return false;
    }
    *e = (turned_edit){.t = t, .number = edit, .inner = *out};
    out->apply = apply_turned;
    out->user = e;
    return true;
}
