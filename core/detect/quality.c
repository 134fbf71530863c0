/* How good a dictionary is: see quality.h. */
#include "detect/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/composite.h"
#include "detect/dictionary.h"
#include "detect/edit.h"
#include "detect/logits_private.h"
#include "interloop/abi.h"
#include "pipeline/batch.h"
#include "pipeline/fields.h"

bool il_detector_has_quality(const il_detector *d)
{
    return il_detector_feature_width(d) > 0 && d->member_count == 0 &&
           IL_HAS(il_instance_detector(d->instance), reconstruct);
}

/* ---- of rows -------------------------------------------------------------------- */

typedef struct sums {
    const il_detector *d;
    int64_t width, features;
    double error, active;
    double *mean, *squares; /* (W) of the rows */
    uint8_t *used;          /* (F) */
    int64_t rows;
} sums;

/* Adds a part's rows: activations of all sites side by side against y (n,W). */
static void add_rows(sums *s, il_tensor *const *x, const il_acts *part, const float *y,
                     const float *f)
{
    int64_t n = part->rows.count;
    int64_t first = 0;

    for (size_t i = 0; i < s->d->site_count; i++) {
        int64_t own = s->d->widths[i];

        for (int64_t r = 0; r < n; r++) {
            int64_t row = part->gathered ? r : part->rows.rows[r];
            const float *from = il_f32(x[i]) + row * own;

            for (int64_t c = 0; c < own; c++) {
                double v = (double)from[c];
                double off = v - (double)y[r * s->width + first + c];

                s->error += off * off;
                s->mean[first + c] += v;
                s->squares[first + c] += v * v;
            }
        }
        first += own;
    }
    for (int64_t i = 0; i < n * s->features; i++) {
        bool active = f[i] > 0.0f;

        s->active += active;
        s->used[i % s->features] |= active;
    }
    s->rows += n;
}

static il_status add_part(void *user, il_pass *pass, const il_acts *part, int64_t first,
                          int64_t row, il_error *err)
{
    sums *s = user;
    il_tensor *x[IL_DETECTOR_SITES_MAX];
    il_tensor *f;
    il_tensor *y;

    (void)first;
    (void)row;
    IL_TRY(il__detector_borrow(s->d, pass, part, x, err));
    f = il__detector_features(s->d, pass, &part->rows, x, part->gathered);
    y = il__detector_reconstruct(s->d, pass, &part->rows, x, part->gathered);
    IL_TRY(il_pass_status(pass, err));
    for (size_t i = 0; i < s->d->site_count; i++) {
        if (il_count(x[i]) !=
            s->d->widths[i] * (part->gathered ? part->rows.count
                                              : part->rows.batch * part->rows.length)) {
            return il_error_set(err, IL_ERR_UNSUPPORTED, s->d->spec->name,
                                "a dictionary of anything but rows of channels is not "
                                "measured");
        }
    }
    if (il_count(y) != part->rows.count * s->width) {
        return il_error_set(
            err, IL_ERR_SHAPE, s->d->spec->name,
            "its reconstruction has %lld numbers, expected %lld rows of "
            "%lld",
            (long long)il_count(y), (long long)part->rows.count, (long long)s->width);
    }
    add_rows(s, x, part, il_f32(y), il_f32(f));
    return IL_OK;
}

il_status il_detector_quality(const il_detector *d, const il_blas *blas,
                              const il_acts *acts, il_quality *out, il_error *err)
{
    sums s = {.d = d, .features = il_detector_feature_width(d)};
    double variance = 0;
    int64_t used = 0;
    il_status status;

    for (size_t i = 0; i < d->site_count; i++) {
        s.width += d->widths[i];
    }
    s.mean = calloc((size_t)s.width + 1, sizeof *s.mean);
    s.squares = calloc((size_t)s.width + 1, sizeof *s.squares);
    s.used = calloc((size_t)s.features + 1, 1);
    status = s.mean != NULL && s.squares != NULL && s.used != NULL
                 ? il__detector_chunks(d, blas, acts, add_part, &s, err)
                 : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    if (status == IL_OK) {
        for (int64_t c = 0; c < s.width; c++) {
            variance += s.squares[c] - s.mean[c] * s.mean[c] / (double)s.rows;
        }
        for (int64_t f = 0; f < s.features; f++) {
            used += s.used[f];
        }
        *out = (il_quality){.rows = s.rows,
                            .fvu = variance > 0 ? s.error / variance : NAN,
                            .l0 = s.rows > 0 ? s.active / (double)s.rows : NAN,
                            .dead = s.rows > 0 ? 1.0 - (double)used / (double)s.features
                                               : NAN};
    }
    free(s.mean);
    free(s.squares);
    free(s.used);
    return status;
}

/* ---- of the model ---------------------------------------------------------------- */

/* x with 0 at the rows in question. */
static il_tensor *zero_rows(const void *user, il_pass *p, il_tensor *x,
                            const il_edit_at *at)
{
    int64_t width = il_width(x);
    int64_t count = il_count(x);
    float *keep = il_pass_alloc(p, ((size_t)count + 1) * sizeof *keep);

    (void)user;
    for (int64_t i = 0; keep != NULL && i < count; i++) {
        keep[i] = at->rows == NULL ? 0.0f : 1.0f;
    }
    for (int64_t i = 0; keep != NULL && at->rows != NULL && i < at->count; i++) {
        memset(keep + at->rows[i] * width, 0, (size_t)width * sizeof *keep);
    }
    return il_mul(p, x, il_pass_borrow(p, x->ndim, x->shape, keep));
}

/* A walk through documents, each chunk three times. */
typedef struct model_walk {
    const il_harvest *h;
    const il_declared *loss;
    il_scored_fields fields;
    il_scope scope;
    il_pass *pass;
    il_batch *batch;
    il_arena *arena;
    double weight;
    double sums[3];
} model_walk;

/* Adds the chunk's loss under some edits, or under none; false where it gives none. */
static il_status add_loss(model_walk *w, const il_site_edits *edits, double *sum,
                          bool *given, il_error *err)
{
    const il_instance *model = w->h->model;
    const il_tensor *weights =
        w->loss->weights != NULL ? il_batch_find(w->batch, w->loss->weights) : NULL;
    il_shown seen = il_shown_of(w->batch, w->h->data);
    const il_tensor *rows;

    seen.targets = true;
    il_pass_begin(w->pass);
    il_pass_edits_clear(w->pass);
    IL_TRY(il_edits_bind(edits, w->pass, w->batch, &w->fields, w->arena, err));
    il_pass_enter(w->pass, &w->scope);
    il_instance_model(model)->forward(model->self, w->pass, &seen.batch);
    il_pass_leave(w->pass);
    IL_TRY(il_pass_status(w->pass, err));
    rows = il_pass_loss(w->pass, w->loss->name);
    *given = rows != NULL && (w->loss->weights == NULL ||
                              (weights != NULL && il_count(weights) == il_count(rows)));
    for (int64_t i = 0; *given && i < il_count(rows); i++) {
        double weight = weights != NULL ? (double)il_f32(weights)[i] : 1.0;

        *sum += weight * (double)il_f32(rows)[i];
        w->weight += edits == NULL ? weight : 0.0;
    }
    return IL_OK;
}

static il_status walk_documents(model_walk *w, const il_site_edits *const *edits,
                                int64_t documents, bool *given, il_error *err)
{
    const il_dataset_api *data = il_instance_dataset(w->h->data);
    int64_t size = 0;
    int32_t split = il_split_find(w->h->data, w->h->split, &size);

    *given = split >= 0;
    for (int64_t at = 0; *given && at < documents; at += IL_HARVEST_CHUNK) {
        int64_t left = documents - at;

        il_arena_reset(w->arena);
        il_batch_reset(w->batch, left < IL_HARVEST_CHUNK ? left : IL_HARVEST_CHUNK);
        IL_TRY(data->get(w->h->data->self, split, at, il_batch_rows(w->batch), w->batch,
                         err));
        IL_TRY(il_batch_status(w->batch, err));
        for (int k = 0; *given && k < 3; k++) {
            IL_TRY(add_loss(w, edits[k], &w->sums[k], given, err));
        }
    }
    return IL_OK;
}

il_status il_detector_recovered(const il_detector *d, const il_harvest *h, int64_t most,
                                il_recovered *out, il_error *err)
{
    static const il_edit_spec splice = {.given = true, .kind = IL_EDIT_SPLICE};
    static const float whole = 1.0f;
    il_editor editor;
    il_site_edit zero;
    const il_site_edits spliced = {1, &editor.site, &whole};
    const il_site_edits zeroed = {1, &zero, &whole};
    const il_site_edits *const edits[] = {NULL, &spliced, &zeroed};
    model_walk w = {.h = h,
                    .fields = d->fields,
                    .scope = {.label = h->model->label,
                              .store = h->model->store,
                              .values = h->values,
                              .first_bit = -1}};
    int64_t size = 0;
    bool given = false;
    il_status status = IL_OK;

    *out = (il_recovered){0, NAN, NAN, NAN, NAN};
    if (h->model->loss_count == 0 || d->site_count != 1 || d->elsewhere != NULL ||
        h->data == NULL || il_split_find(h->data, h->split, &size) < 0) {
        return IL_OK;
    }
    il_editor_open(&editor, d, &splice, NULL);
    zero = editor.site;
    zero.apply = zero_rows;
    w.loss = &h->model->losses[0];
    w.fields.input = il_field_of_role(h->data, IL_FIELD_INPUT);
    w.arena = il_arena_create(1 << 14);
    if (w.arena == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    out->documents = size >= 0 && size < most ? size : most;
    status = il_pass_create(&w.pass, h->blas, 0, err);
    if (status == IL_OK) {
        status = il_batch_create(&w.batch, err);
    }
    if (status == IL_OK) {
        status = walk_documents(&w, edits, out->documents, &given, err);
    }
    il_batch_destroy(w.batch);
    il_pass_destroy(w.pass);
    il_arena_destroy(w.arena);
    if (status == IL_OK && given && w.weight > 0) {
        out->clean = w.sums[0] / w.weight;
        out->spliced = w.sums[1] / w.weight;
        out->zeroed = w.sums[2] / w.weight;
        out->share = out->zeroed != out->clean
                         ? (out->zeroed - out->spliced) / (out->zeroed - out->clean)
                         : NAN;
    }
    return status;
}
