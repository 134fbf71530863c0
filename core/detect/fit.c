/* Fitting: see fit.h. */
#include "detect/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/closed.h"
#include "detect/dictionary.h"
#include "detect/composite.h"
#include "detect/descent.h"
#include "detect/linear.h"
#include "detect/metrics.h"
#include "detect/logits_private.h"

static il_status no_memory(const il_detector *d, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
}

il_status il_detector_harvest(il_acts **out, const il_detector *d, const il_harvest *h,
                              const char *split, il_error *err)
{
    il_harvest full = *h;

    full.split = split != NULL ? split : d->spec->fit.draw.split;
    if (full.split == NULL) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "no split says which rows this detector is to read");
    }
    full.fields = d->fields;
    /* Rows and episodes name their inputs and units differently. */
    full.fields.input = il_field_of_role(h->data, IL_FIELD_INPUT);
    full.fields.unit = il_field_of_role(h->data, IL_FIELD_UNIT);
    full.values = il_detector_weights(d, h->values);
    full.sites = d->sites;
    full.site_count = d->site_count;
    full.gathered = il_detector_reads_rows(d);
    return il_acts_harvest(out, &full, err);
}

/* ---- scaling -------------------------------------------------------------------- */

/* Mean and 1/std of each channel over the scored positions, biased variance; a channel
 * that never changes is only centred. */
static il_status scale(il_detector *d, const il_acts *acts, il_error *err)
{
    il_scored rows = il_scored_tokens(&acts->rows);

    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        int64_t width = il_detector_input_width(d, i);
        const float *x = il__detector_acts(d, acts, i);
        float *mean = il_arena_calloc(d->arena, (size_t)width, sizeof *mean);
        float *inv = il_arena_calloc(d->arena, (size_t)width, sizeof *inv);

        if (mean == NULL || inv == NULL) {
            return no_memory(d, err);
        }
        for (int64_t c = 0; c < width; c++) {
            double sum = 0;
            double squares = 0;

            for (int64_t r = 0; r < rows.count; r++) {
                sum += x[(acts->gathered ? r : rows.rows[r]) * width + c];
            }
            sum /= (double)rows.count;
            for (int64_t r = 0; r < rows.count; r++) {
                double v = x[(acts->gathered ? r : rows.rows[r]) * width + c] - sum;

                squares += v * v;
            }
            squares = sqrt(squares / (double)rows.count);
            mean[c] = (float)sum;
            inv[c] = squares > 1e-6 ? (float)(1.0 / squares) : 1.0f;
        }
        d->mean[i] = mean;
        d->inv[i] = inv;
    }
    return IL_OK;
}

/* What a fit may have changed, for one that fails. */
typedef struct before {
    float *values;
    float **scaling; /* means, then their inverses */
    il_documents ids;
} before;

static il_status before_keep(before *b, const il_detector *d, il_error *err)
{
    const il_store *store = d->instance->store;
    size_t n = il_detector_input_count(d);

    b->values = il_store_block(store);
    b->scaling = calloc(2 * n + 1, sizeof *b->scaling);
    if (b->values == NULL || b->scaling == NULL) {
        return no_memory(d, err);
    }
    memcpy(b->values, store->values, (size_t)store->total * sizeof(float));
    memcpy(b->scaling, d->mean, n * sizeof *b->scaling);
    memcpy(b->scaling + n, d->inv, n * sizeof *b->scaling);
    b->ids = d->fit_ids;
    return IL_OK;
}

/* Forgets what was kept; puts it back first when the fit failed. */
static void before_close(before *b, il_detector *d, bool failed)
{
    const il_store *store = d->instance->store;
    size_t n = il_detector_input_count(d);

    if (failed && b->values != NULL && b->scaling != NULL) {
        memcpy(store->values, b->values, (size_t)store->total * sizeof(float));
        memcpy(d->mean, b->scaling, n * sizeof *b->scaling);
        memcpy(d->inv, b->scaling + n, n * sizeof *b->scaling);
        d->fit_ids = b->ids;
    }
    free(b->values);
    free(b->scaling);
}

static il_status check_rows(const il_detector *d, const il_acts *acts, il_error *err)
{
    int64_t positives = 0;

    for (int64_t i = 0; acts->rows.labels != NULL && i < acts->rows.count; i++) {
        positives += acts->rows.labels[i] != 0;
    }
    if (positives == 0 || positives == acts->rows.count) {
        return il_error_set(
            err, IL_ERR_INPUT, d->spec->name,
            "fitting needs rows of both classes, got %lld of %lld positive",
            (long long)positives, (long long)acts->rows.count);
    }
    return IL_OK;
}

/* Rows that a fit can do something with. */
static il_status check_values(const il_detector *d, const il_acts *acts, il_error *err)
{
    il_scored rows = il_scored_tokens(&acts->rows);
    bool moves = false;
    int64_t at = 0; /* channels of the inputs that came before */

    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        const float *x = il__detector_acts(d, acts, i);
        int64_t width = il_detector_input_width(d, i);

        for (int64_t r = 0; x != NULL && r < rows.count; r++) {
            const float *row = x + (acts->gathered ? r : rows.rows[r]) * width;
            const float *first = x + (acts->gathered ? 0 : rows.rows[0]) * width;

            for (int64_t c = 0; c < width; c++) {
                if (!isfinite(row[c])) {
                    return il_error_set(err, IL_ERR_NUMERIC, d->spec->name,
                                        "row %lld to fit holds a value that is no "
                                        "number, in channel %lld",
                                        (long long)r, (long long)(at + c));
                }
                moves = moves || row[c] != first[c];
            }
        }
        at += width;
    }
    return moves ? IL_OK
                 : il_error_set(err, IL_ERR_NUMERIC, d->spec->name,
                                "the activations are constant: all %lld rows to fit "
                                "are the same",
                                (long long)rows.count);
}

static il_status remember(il_detector *d, const il_acts *acts, il_documents *out,
                          il_error *err)
{
    out->ids = il_documents_list(&acts->rows, d->arena, &out->count);
    return out->ids != NULL ? IL_OK : no_memory(d, err);
}

/* New parameters, scaling and ids. */
static il_status start_fresh(il_detector *d, const il_acts *acts, const il_fit *fit,
                             bool standardize, il_error *err)
{
    il_store *store = d->instance->store;

    IL_TRY(il_store_fill(store, fit->seed, err));
    for (size_t i = 0; i < store->count; i++) {
        d->values[i] = store->values + store->items[i].offset;
    }
    if (standardize) {
        IL_TRY(scale(d, acts, err));
    }
    return remember(d, acts, &d->fit_ids, err);
}

/* Ids of a fit that goes on from an earlier one: of both. */
static il_status remember_more(il_detector *d, const il_acts *acts, il_error *err)
{
    il_documents fresh = {0};
    il_documents all = {0};

    IL_TRY(remember(d, acts, &fresh, err));
    all.ids = il_documents_join(d->fit_ids.count, d->fit_ids.ids, fresh.count,
                                fresh.ids, d->arena, &all.count);
    if (all.ids == NULL) {
        return no_memory(d, err);
    }
    d->fit_ids = all;
    return IL_OK;
}

/* The method's name: the pipeline's, else the component's own. */
static const char *method_of(const il_detector *d)
{
    const il_recipe *recipe = il_instance_detector(d->instance)->recipe;

    if (d->spec->fit.method != NULL) {
        return d->spec->fit.method;
    }
    return il_detector_learns(d)   ? IL_DICTIONARY
           : il_detector_closed(d) ? IL_CLOSED_FORM
           : recipe != NULL        ? recipe->method
                                   : "";
}

/* Whether the detector can be fitted that way. */
static il_status check_method(const il_detector *d, const char *method, il_error *err)
{
    const char *name = d->spec->name;
    const char *id = d->instance->offer->id;

    if (il_detector_solved(method)) {
        return il_detector_linear(d)
                   ? IL_OK
                   : il_error_set(err, IL_ERR_INPUT, name,
                                  "fit method '%s' is for detectors that are linear, "
                                  "and %s does not say so",
                                  method, id);
    }
    if (strcmp(method, IL_DICTIONARY) == 0) {
        return il_detector_learns(d)
                   ? IL_OK
                   : il_error_set(err, IL_ERR_INPUT, name,
                                  "fit method '" IL_DICTIONARY "' is for detectors "
                                  "that learn without labels, and %s does not",
                                  id);
    }
    if (strcmp(method, IL_CLOSED_FORM) == 0) {
        return il_detector_closed(d)
                   ? IL_OK
                   : il_error_set(err, IL_ERR_INPUT, name,
                                  "fit method '" IL_CLOSED_FORM "' is for detectors "
                                  "that solve for their own fit, and %s does not",
                                  id);
    }
    if (il_instance_detector(d->instance)->recipe == NULL) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, name,
                            "this detector is not fitted by gradient");
    }
    return il_fit_descends(method)
               ? IL_OK
               : il_error_set(err, IL_ERR_UNSUPPORTED, name,
                              "fit method '%s' is not offered, expected adam, adamw, "
                              "sgd, irls, lbfgs or " IL_CLOSED_FORM,
                              method);
}

static il_status fit_dictionary(il_detector *d, const il_acts *acts, const il_fit *fit,
                                il_error *err)
{
    const il_fit_spec *spec = &d->spec->fit;
    il_dictionary_fit how = {.blas = fit->blas,
                             .pool = fit->pool,
                             .log = fit->log,
                             .warm = fit->start == IL_FIT_WARM,
                             .seed = fit->seed,
                             .steps = fit->steps > 0 ? fit->steps : spec->steps,
                             .batch = spec->batch,
                             .lr = fit->lr > 0 ? fit->lr : spec->lr,
                             .warmup = spec->given ? spec->warmup : -1,
                             .decay = spec->given ? spec->decay : -1,
                             .lanes = spec->lanes};

    return il_detector_learn(d, acts, &how, fit->rounds, err);
}

static il_status fit_by(il_detector *d, const char *method, const il_acts *acts,
                        const il_fit *fit, il_error *err)
{
    const il_fit_spec *spec = &d->spec->fit;

    if (strcmp(method, IL_DICTIONARY) == 0) {
        il_acts positions = *acts;

        positions.rows = il_scored_tokens(&acts->rows);
        return fit_dictionary(d, &positions, fit, err);
    }
    if (acts->rows.first != NULL && !il_fit_descends(method)) {
        il_acts flat;
        il_arena *arena = NULL;
        il_status status = il__detector_flatten(&flat, &arena, d, acts, err);

        if (status == IL_OK) {
            status = check_rows(d, &flat, err);
        }
        if (status == IL_OK) {
            status = fit_by(d, method, &flat, fit, err);
        }
        il_arena_destroy(arena);
        return status;
    }
    if (strcmp(method, IL_CLOSED_FORM) == 0) {
        return il_detector_fit_closed(d, acts, err);
    }
    if (il_detector_solved(method)) {
        const il_blas *blas = strcmp(method, "lbfgs") == 0 ? fit->blas : NULL;

        return il_detector_solve(d, acts, blas, il_detector_l2(d),
                                 fit->steps > 0 ? fit->steps : spec->steps, err);
    }
    return il__detector_descend(d, acts, fit, method, err);
}

/* What a fit of the component reads: the acts themselves or, of a detector that reads
 * others, what those give of them; *made is then to be destroyed. */
static il_status inputs_of(const il_acts **read, il_acts **made, const il_detector *d,
                           const il_blas *blas, const il_acts *acts, il_error *err)
{
    *read = acts;
    if (d->member_count == 0 || acts->inputs) {
        return IL_OK;
    }
    for (size_t i = 0; i < d->member_count; i++) {
        if (!il_detector_ready(d->members[i])) {
            return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                                "it reads detector '%s', which was not fitted yet",
                                d->members[i]->spec->name);
        }
    }
    IL_TRY(il__detector_member_harvest(made, d, blas, acts, err));
    *read = *made;
    return IL_OK;
}

static il_status fit_inputs(il_detector *d, const il_acts *acts, const il_fit *fit,
                            il_error *err)
{
    const il_recipe *recipe = il_instance_detector(d->instance)->recipe;
    const char *method = method_of(d);
    bool descends = il_fit_descends(method);
    before b = {.scaling = NULL};
    il_status status;

    IL_TRY(check_method(d, method, err));
    if (acts->rows.labels != NULL || strcmp(method, IL_DICTIONARY) != 0) {
        IL_TRY(check_rows(d, acts, err));
        IL_TRY(check_values(d, acts, err));
    }
    status = before_keep(&b, d, err);
    if (status == IL_OK) {
        status = fit->start == IL_FIT_FRESH
                     ? start_fresh(d, acts, fit, descends && recipe->standardize, err)
                 : fit->start == IL_FIT_WARM ? remember_more(d, acts, err)
                                             : IL_OK;
    }
    if (status == IL_OK) {
        status = fit_by(d, method, acts, fit, err);
    }
    if (status == IL_OK && il_detector_linear(d)) {
        il_acts positions = *acts; /* a direction is of these, however they pool */

        positions.rows = il_scored_tokens(&acts->rows);
        status = il_detector_spread(d, &positions, err);
    }
    before_close(&b, d, status != IL_OK);
    if (status == IL_OK) {
        d->fitted = true;
        if (d->model_hash[0] == '\0' && fit->model_hash != NULL) {
            memcpy(d->model_hash, fit->model_hash, sizeof d->model_hash);
        }
    }
    return status;
}

il_status il_detector_fit(il_detector *d, const il_acts *acts, const il_fit *fit,
                          il_error *err)
{
    const il_acts *read = NULL;
    il_acts *made = NULL;
    il_status status = inputs_of(&read, &made, d, fit->blas, acts, err);

    if (status == IL_OK) {
        status = fit_inputs(d, read, fit, err);
    }
    il_acts_destroy(made);
    return status;
}

il_status il_detector_online(il_detector *d, const il_blas *blas, const il_acts *acts,
                             int64_t steps, double lr, il_error *err)
{
    const il_acts *read = NULL;
    il_acts *made = NULL;
    il_status status = inputs_of(&read, &made, d, blas, acts, err);

    if (status == IL_OK) {
        status = il__detector_descend_online(d, blas, read, steps, lr, err);
    }
    il_acts_destroy(made);
    return status;
}
