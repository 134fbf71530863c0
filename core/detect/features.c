/* What a detector that is a dictionary gives, and how the pipeline's words teach it:
 * see dictionary.h. */
#include <stdlib.h>
#include <string.h>
#include "detect/composite.h"
#include "detect/dictionary.h"
#include "detect/logits_private.h"
#include "interloop/abi.h"

bool il_detector_learns(const il_detector *d)
{
    return IL_HAS(il_instance_detector(d->instance), loss);
}

int64_t il_detector_feature_width(const il_detector *d)
{
    const il_detector_api *api = il_instance_detector(d->instance);

    return IL_HAS(api, features) && IL_HAS(api, feature_width)
               ? api->feature_width(d->instance->self)
               : 0;
}

static bool named(const il_fit_spec *fit)
{
    return fit->method != NULL && strcmp(fit->method, IL_DICTIONARY) == 0;
}

void il_detector_dictionary_check(const il_detector *d, il_problems *problems)
{
    const il_fit_spec *fit = &d->spec->fit;
    const char *id = d->instance->offer->id;
    bool learns = il_detector_learns(d);

    if (named(fit) && !learns) {
        il_problem_add(problems, fit->place,
                       "method '" IL_DICTIONARY "' is for detectors that learn "
                       "without labels, and %s does not",
                       id);
    }
    if (fit->given && fit->label == NULL && !learns) {
        il_problem_add(problems, fit->place,
                       "%s is fitted to a label: expected the key 'label'", id);
    }
    if (fit->given && !learns &&
        (fit->warmup > 0 || fit->decay > 0 || fit->lanes > 0 || fit->hold > 0)) {
        il_problem_add(problems, fit->place,
                       "warmup, decay, lanes and hold are a dictionary's, and %s is "
                       "none",
                       id);
    }
    if (fit->given && learns && fit->hold > 0 &&
        (fit->label != NULL || fit->draw.split == NULL || d->member_count > 0)) {
        il_problem_add(problems, fit->place,
                       "`hold` is for a fit without a label, on a split, of what reads "
                       "sites");
    }
    if (fit->given && learns && (fit->l2 >= 0 || fit->weight_decay >= 0)) {
        il_problem_add(problems, fit->place,
                       "a dictionary is fitted without l2 and weight_decay: what its "
                       "loss weighs are its own params");
    }
    if (learns && d->spec->refit.kind == IL_REFIT_ONLINE) {
        il_problem_add(problems, d->spec->refit.place,
                       "refit 'online' descends the cross-entropy of labels, and %s is "
                       "a dictionary: expected {every: N} or {fresh: N}",
                       id);
    }
}

/* ---- features of harvested rows ------------------------------------------------- */

typedef struct gathering {
    const il_detector *d;
    float *to; /* (N,F) */
    int64_t width;
} gathering;

static il_status gather_part(void *user, il_pass *pass, const il_acts *part,
                             int64_t first, int64_t row, il_error *err)
{
    const gathering *g = user;
    il_tensor *x[IL_DETECTOR_SITES_MAX];
    il_tensor *features;

    (void)first;
    IL_TRY(il__detector_borrow(g->d, pass, part, x, err));
    features = il__detector_features(g->d, pass, &part->rows, x, part->gathered);
    IL_TRY(il_pass_status(pass, err));
    if (il_rows(features) != part->rows.count || il_width(features) != g->width) {
        return il_error_set(err, IL_ERR_SHAPE, g->d->spec->name,
                            "its features are (%lld,%lld), expected (%lld,%lld)",
                            (long long)il_rows(features), (long long)il_width(features),
                            (long long)part->rows.count, (long long)g->width);
    }
    memcpy(g->to + row * g->width, il_f32(features),
           (size_t)(part->rows.count * g->width) * sizeof *g->to);
    return IL_OK;
}

il_status il_detector_features(const il_detector *d, const il_blas *blas,
                               const il_acts *acts, float *features, il_error *err)
{
    gathering g = {.d = d, .to = features, .width = il_detector_feature_width(d)};

    if (g.width == 0) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "it has no features: expected a dictionary");
    }
    return il__detector_chunks(d, blas, acts, gather_part, &g, err);
}

/* ---- teaching ------------------------------------------------------------------- */

/* Has the component choose how its score reads the features of labelled rows. */
static il_status read_out(il_detector *d, const il_acts *acts, const il_blas *blas,
                          il_error *err)
{
    const il_detector_api *api = il_instance_detector(d->instance);
    const il_store *store = d->instance->store;
    int64_t width = il_detector_feature_width(d);
    size_t rows = (size_t)acts->rows.count;
    float *x = malloc((rows * (size_t)width + 1) * sizeof *x);
    uint8_t *labels = malloc(rows + 1);
    float **values = calloc(store->count + 1, sizeof *values);
    il_fitting f = {.struct_size = sizeof f,
                    .rows = acts->rows.count,
                    .width = width,
                    .x = x,
                    .labels = labels,
                    .values = values};
    il_error why = {.code = IL_OK};
    il_status status;

    if (x == NULL || labels == NULL || values == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, d->spec->name,
                              "no memory for the features of %lld rows",
                              (long long)acts->rows.count);
        goto out;
    }
    for (size_t i = 0; i < rows; i++) {
        labels[i] = acts->rows.labels[i] != 0;
    }
    for (size_t i = 0; i < store->count; i++) {
        values[i] = store->values + store->items[i].offset;
    }
    status = il_detector_features(d, blas, acts, x, err);
    if (status == IL_OK && api->read_out(d->instance->self, &f, &why) != IL_OK) {
        status = il_error_set(err, why.code, d->spec->name, "%s: %s",
                              d->instance->offer->id, why.message);
    }
out:
    free(x);
    free(labels);
    free(values);
    return status;
}

/* Rows of the present round, (N,W). */
typedef struct held {
    il_detector *d;
    const il_dictionary_rounds *rounds;
    il_acts *acts; /* of a later round, or NULL */
    float *copy;   /* where the rows do not lie together, or NULL */
} held;

/* The scored rows of one input lie together already; others are put together. */
static il_status rows_of(held *h, const il_acts *acts, const float **x, il_error *err)
{
    free(h->copy);
    h->copy = NULL;
    *x = il_detector_input_count(h->d) == 1 && acts->gathered
             ? il__detector_acts(h->d, acts, 0)
             : NULL;
    if (*x == NULL) {
        h->copy = il__detector_gather(h->d, acts, err);
        *x = h->copy;
    }
    return *x != NULL ? IL_OK : IL_ERR_MEMORY;
}

static void held_close(held *h)
{
    free(h->copy);
    il_acts_destroy(h->acts);
    h->copy = NULL;
    h->acts = NULL;
}

/* A later round's rows; the detector remembers their documents too. */
static il_status held_more(void *user, int64_t round, const float **x, int64_t *rows,
                           il_error *err)
{
    held *h = user;
    il_detector *d = h->d;
    il_documents seen = {0, NULL};
    il_documents all = {0, NULL};

    held_close(h);
    IL_TRY(h->rounds->more(h->rounds->user, round, &h->acts, err));
    seen.ids = il_documents_list(&h->acts->rows, d->arena, &seen.count);
    if (seen.ids != NULL) {
        all.ids = il_documents_join(d->fit_ids.count, d->fit_ids.ids, seen.count,
                                    seen.ids, d->arena, &all.count);
    }
    if (all.ids == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    d->fit_ids = all;
    *rows = h->acts->rows.count;
    return rows_of(h, h->acts, x, err);
}

il_status il_detector_learn(il_detector *d, const il_acts *acts,
                            const il_dictionary_fit *fit,
                            const il_dictionary_rounds *rounds, il_error *err)
{
    const il_detector_api *api = il_instance_detector(d->instance);
    size_t inputs = il_detector_input_count(d);
    int64_t widths[IL_DETECTOR_SITES_MAX];
    il_dictionary_fit how = *fit;
    il_dictionary_fitted out = {0};
    held h = {.d = d, .rounds = rounds};
    const float *x = NULL;
    il_status status;

    if (inputs > IL_DETECTOR_SITES_MAX) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "a detector reads %d sites at most", IL_DETECTOR_SITES_MAX);
    }
    for (size_t i = 0; i < inputs; i++) {
        widths[i] = il_detector_input_width(d, i);
        d->mean[i] = NULL;
        d->inv[i] = NULL;
    }
    if (rounds != NULL) {
        how.rounds = rounds->count;
        how.more = held_more;
        how.user = &h;
    }
    status = rows_of(&h, acts, &x, err);
    if (status == IL_OK) {
        status = il_dictionary_learn(d->instance, x, acts->rows.count, widths, inputs,
                                     &how, &out, err);
    }
    held_close(&h);
    if (status == IL_OK && acts->rows.labels != NULL && IL_HAS(api, read_out)) {
        status = read_out(d, acts, fit->blas, err);
    }
    return status;
}
