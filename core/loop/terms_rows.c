/* Rows of terms, from a batch's data alone: which positions count, and what for. */
#include <string.h>
#include "loop/terms_private.h"

il_status il__terms_detector_rows(const il_terms *t, int d, const il_batch *batch,
                                  il_arena *arena, il_scored *out, il_error *err)
{
    IL_TRY(il_detector_rows(t->world->detectors[d], batch, false, arena, out, err));
    if (t->planning && out->count == 0 && out->batch > 0) {
        out->count = 1;
        out->rows[0] = 0;
        if (out->first != NULL) {
            out->tokens[0] = 0;
            out->first[1] = 1;
        }
    }
    return IL_OK;
}

static il_status shape_of(const il_terms *t, const il_batch *batch, const char *name,
                          const il_tensor **out, il_error *err)
{
    *out = name != NULL ? il_batch_find(batch, name) : NULL;
    if (*out == NULL || (*out)->ndim != 2) {
        return il_error_set(err, IL_ERR_INPUT, t->stage->name,
                            "the batch has no field '%s' of shape (B,T)",
                            name != NULL ? name : "");
    }
    return IL_OK;
}

static il_status room_for(il_term_rows *out, int64_t n, il_arena *arena, il_error *err)
{
    out->count = 0;
    out->rows = il_arena_alloc(arena, ((size_t)n + 1) * sizeof *out->rows);
    out->weights = il_arena_alloc(arena, ((size_t)n + 1) * sizeof *out->weights);
    return out->rows != NULL && out->weights != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, "rows", "out of memory");
}

static il_status detector_term_rows(const il_terms *t, const il_term *term,
                                    const il_batch *batch, il_arena *arena,
                                    il_term_rows *out, il_error *err)
{
    il_scored scored = {0};

    IL_TRY(il__terms_detector_rows(t, term->detector, batch, arena, &scored, err));
    IL_TRY(room_for(out, scored.count, arena, err));
    out->count = scored.count;
    out->rows = scored.rows;
    out->length = scored.length;
    for (int64_t i = 0; i < scored.count; i++) {
        out->weights[i] = 1.0f;
    }
    return IL_OK;
}

/* One row a position, those of padding included: the model's own count. */
static il_status loss_rows(const il_terms *t, const il_term *term,
                           const il_batch *batch, il_arena *arena, il_term_rows *out,
                           il_error *err)
{
    const il_tensor *weights = NULL;
    const il_tensor *shape = NULL;
    bool rollouts = t->stage->train.rollout_count > 0;
    const il_tensor *lengths = rollouts ? il_batch_find(batch, "lengths") : NULL;
    const char *input = rollouts ? "moves" : il_field_of_role(t->rows, IL_FIELD_INPUT);

    if (term->loss->weights != NULL) {
        IL_TRY(shape_of(t, batch, term->loss->weights, &weights, err));
    }
    IL_TRY(shape_of(t, batch, input, &shape, err));
    IL_TRY(room_for(out, il_count(shape), arena, err));
    out->length = shape->shape[1];
    for (int64_t b = 0; b < shape->shape[0]; b++) {
        int64_t first = b * out->length;
        int64_t there = lengths != NULL ? il_i32(lengths)[b] : out->length;

        for (int64_t i = first; i < first + out->length; i++) {
            bool padding = i - first >= there;

            out->rows[i] = (int32_t)i;
            out->weights[i] = padding           ? 0.0f
                              : weights != NULL ? il_f32(weights)[i]
                                                : 1.0f;
        }
    }
    out->count = il_count(shape);
    return IL_OK;
}

/* Rows where a named field is set: targets that are there and pass the mask, or the
 * policy's actions. */
static il_status marked_rows(const il_terms *t, const char *targets, const char *mask,
                             const il_batch *batch, il_arena *arena, il_term_rows *out,
                             il_error *err)
{
    const il_tensor *target = NULL;
    const il_tensor *marks = NULL;

    IL_TRY(shape_of(t, batch, targets, &target, err));
    if (mask != NULL) {
        IL_TRY(shape_of(t, batch, mask, &marks, err));
    }
    IL_TRY(room_for(out, il_count(target), arena, err));
    out->length = target->shape[1];
    for (int64_t i = 0; i < il_count(target); i++) {
        if (il_i32(target)[i] >= 0 && (marks == NULL || il_u8(marks)[i] != 0)) {
            out->rows[out->count] = (int32_t)i;
            out->weights[out->count++] = 1.0f;
        }
    }
    return IL_OK;
}

il_status il__term_rows(const il_terms *t, const il_term *term, const il_batch *batch,
                        il_arena *arena, il_term_rows *out, il_error *err)
{
    switch (term->kind) {
    case IL_TERM_LOSS:
        return loss_rows(t, term, batch, arena, out, err);
    case IL_TERM_DETECTOR:
    case IL_TERM_LATENT:
        return detector_term_rows(t, term, batch, arena, out, err);
    case IL_TERM_CROSS_ENTROPY:
        return marked_rows(t, term->spec->source.targets, term->spec->source.mask,
                           batch, arena, out, err);
    default:
        return marked_rows(t, "action", "acted", batch, arena, out, err);
    }
}

/* The sum of a term's weights over its rows, examples' shares included. */
static il_status sum_rows(const il_term *term, const il_micro *micro,
                          const il_term_rows *rows, il_arena *scratch, double *out,
                          il_error *err)
{
    const float *weights = rows->weights;

    if (micro->share != NULL && rows->count > 0) {
        float *own = il_arena_alloc(scratch, (size_t)rows->count * sizeof *own);

        if (own == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "rows", "out of memory");
        }
        memcpy(own, weights, (size_t)rows->count * sizeof *own);
        il_terms_weigh(term, micro, rows->rows, rows->count, rows->length, own);
        weights = own;
    }
    *out = 0;
    for (int64_t r = 0; r < rows->count; r++) {
        *out += weights[r];
    }
    return IL_OK;
}

static double sum_examples(const il_term *term, const il_micro *micro)
{
    int64_t n = il_batch_rows(micro->batch);
    double sum = (double)n;

    if (term->trains && micro->share != NULL && micro->sifted) {
        sum = 0;
        for (int64_t e = 0; e < n; e++) {
            sum += micro->share[e];
        }
    }
    return sum;
}

il_status il_terms_measure(const il_terms *t, il_micro *micro, il_arena *scratch,
                           il_error *err)
{
    bool group = t->stage->train.algorithm.kind == IL_ALGORITHM_GROUP_RELATIVE;
    il_term_rows acted = {0}; /* those of all terms that teach the policy */

    for (size_t i = 0; i < t->count; i++) {
        const il_term *term = &t->items[i];
        bool acts = term->kind >= IL_TERM_REWARD && term->kind != IL_TERM_LATENT;
        il_term_rows rows = {0};
        double sum = 0;

        if (il_term_on(term, micro->lot) && acts && acted.rows != NULL) {
            rows = acted;
        } else if (il_term_on(term, micro->lot)) {
            IL_TRY(il__term_rows(t, term, micro->batch, scratch, &rows, err));
            acted = acts ? rows : acted;
        }
        IL_TRY(sum_rows(term, micro, &rows, scratch, &sum, err));
        if (term->kind == IL_TERM_KL || (group && term->kind == IL_TERM_REWARD)) {
            /* These are sums over an episode, and means over episodes. */
            sum = il_term_on(term, micro->lot) ? sum_examples(term, micro) : 0.0;
        }
        micro->weights[i] = sum;
        micro->rows[i] = rows.count;
    }
    return IL_OK;
}
