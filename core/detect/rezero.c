#include "detect/rezero.h"

#include <math.h>
#include <stdlib.h>
#include "detect/harvest.h"
#include "pipeline/batch.h"

/* Trusted rows and the pass they run in; the tape of the last run is kept. */
typedef struct il_trusted {
    const il_instance *data;
    il_batch *batch;
    il_arena *arena;
    il_scored rows;
    il_pass *pass;
    float *seeds;      /* (N) */
    il_tensor *logits; /* (N), on the tape; NULL before the first run */
} il_trusted;

void il__trusted_destroy(il_trusted *t)
{
    if (t != NULL) {
        il_pass_destroy(t->pass);
        il_batch_destroy(t->batch);
        il_arena_destroy(t->arena);
        free(t->seeds);
        free(t);
    }
}

static il_status fetch(il_trusted *t, const il_detector *d, il_error *err)
{
    const il_rezero_spec *spec = &d->spec->rezero;
    int64_t have = 0;
    int32_t split = il_split_find(t->data, spec->split, &have);
    il_scored_fields fields = {.tokens = d->spec->tokens,
                               .input = il_field_of_role(t->data, IL_FIELD_INPUT),
                               .keys = d->fields.keys,
                               .unit = il_field_of_role(t->data, IL_FIELD_UNIT),
                               .pooled = d->spec->pooled};

    if (split < 0 || (have >= 0 && have < spec->rows)) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            split < 0 ? "there is no split '%s' of trusted rows"
                                      : "split '%s' has too few rows to trust %lld",
                            spec->split, (long long)spec->rows);
    }
    il_batch_reset(t->batch, spec->rows);
    IL_TRY(il_instance_dataset(t->data)->get(t->data->self, split, 0, spec->rows,
                                             t->batch, err));
    IL_TRY(il_batch_status(t->batch, err));
    IL_TRY(il_scored_find(&t->rows, t->batch, &fields, t->arena, err));
    if (t->rows.count == 0) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "no position of the trusted rows of split '%s' is scored",
                            spec->split);
    }
    t->seeds = calloc((size_t)t->rows.count, sizeof *t->seeds);
    return t->seeds != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
}

il_status il_detector_trust(il_detector *d, const il_instance *data,
                            const il_blas *blas, il_error *err)
{
    il_trusted *t;
    il_status status;

    if (d->spec->rezero.split == NULL || d->trusted != NULL) {
        return IL_OK;
    }
    if (data == NULL) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "re-zeroing needs `data` with a split of trusted rows");
    }
    t = calloc(1, sizeof *t);
    if (t == NULL || (t->arena = il_arena_create(1 << 14)) == NULL) {
        free(t);
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    t->data = data;
    status = il_batch_create(&t->batch, err);
    if (status == IL_OK) {
        status = il_pass_create(&t->pass, blas, d->model->store->count, err);
    }
    for (size_t i = 0; status == IL_OK && i < d->site_count; i++) {
        status = il_pass_site_flag(t->pass, (int32_t)d->sites[i], IL_SITE_READ, err);
    }
    if (status == IL_OK) {
        status = fetch(t, d, err);
    }
    if (status != IL_OK) {
        il__trusted_destroy(t);
        return status;
    }
    d->trusted = t;
    return IL_OK;
}

/* Runs model and detector over the trusted rows; logits as they are, not re-zeroed. */
static il_status run(il_detector *d, const float *const *values, il_error *err)
{
    il_trusted *t = d->trusted;
    il_detector raw = il_detector_unmoved(d);
    il_scope scope = {.label = d->model->label,
                      .store = d->model->store,
                      .values = values,
                      .first_bit = 0};
    il_shown seen = il_shown_of(t->batch, t->data);
    il_tensor **acts;

    t->logits = NULL;
    il_pass_begin(t->pass);
    acts = il_pass_alloc(t->pass, (d->site_count + 1) * sizeof *acts);
    if (acts == NULL) {
        return il_pass_status(t->pass, err);
    }
    il_pass_enter(t->pass, &scope);
    il_instance_model(d->model)->forward(d->model->self, t->pass, &seen.batch);
    il_pass_leave(t->pass);
    IL_TRY(il_pass_status(t->pass, err));
    for (size_t i = 0; i < d->site_count; i++) {
        acts[i] = il_pass_site(t->pass, (int32_t)d->sites[i]);
        if (acts[i] == NULL) {
            return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                                "the forward pass never reached site '%s'",
                                d->model->sites[d->sites[i]].name);
        }
    }
    t->logits = il_detector_score(&raw, t->pass, &t->rows, acts, false, -1);
    return il_pass_status(t->pass, err);
}

il_status il_detector_rezero(il_detector *d, const float *const *values, bool baseline,
                             il_error *err)
{
    double mean = 0;

    if (d->trusted == NULL) {
        return IL_OK;
    }
    IL_TRY(run(d, values, err));
    for (int64_t i = 0; i < d->trusted->rows.count; i++) {
        mean += il_f32(d->trusted->logits)[i];
    }
    mean /= (double)d->trusted->rows.count;
    if (!isfinite(mean)) {
        return il_error_set(err, IL_ERR_NUMERIC, d->spec->name,
                            "the mean logit of its trusted rows is no number");
    }
    if (baseline) {
        d->zero = mean;
    }
    d->offset = (float)(mean - d->zero);
    return IL_OK;
}

il_status il_detector_rezero_backward(il_detector *d, double slope,
                                      const il_word *route, float *const *grads,
                                      il_error *err)
{
    il_trusted *t = d->trusted;
    const float *seeds;

    if (t == NULL || t->logits == NULL || slope == 0) {
        return IL_OK;
    }
    for (int64_t i = 0; i < t->rows.count; i++) {
        t->seeds[i] = (float)(slope / (double)t->rows.count);
    }
    seeds = t->seeds;
    return il_pass_backward(t->pass, 1, &t->logits, &seeds, route, grads, err);
}

il_detector il_detector_unmoved(const il_detector *d)
{
    il_detector unmoved = *d;

    unmoved.offset = 0;
    return unmoved;
}
