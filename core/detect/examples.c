/* Top activating examples: see examples.h. */
#include "detect/examples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/dictionary.h"
#include "detect/logits_private.h"
#include "detect/metrics.h"
#include "pipeline/batch.h"
#include "pipeline/fields.h"

/* A look through a harvest. */
typedef struct look {
    const il_detector *d;
    const il_acts *acts;
    il_examples *out;
    size_t count;
    int64_t most;
    float *values; /* [feature][rows] */
} look;

/* Puts a row where it belongs among the largest, one a document. */
static void offer(const look *l, il_examples *e, const il_example *row)
{
    int64_t at = e->count;
    int64_t same = -1;

    for (int64_t i = 0; i < e->count; i++) {
        same = e->items[i].index == row->index ? i : same;
    }
    if (same >= 0) {
        if (!(row->value > e->items[same].value)) {
            return;
        }
        memmove(e->items + same, e->items + same + 1,
                (size_t)(e->count - same - 1) * sizeof *e->items);
        at = --e->count;
    }
    while (at > 0 && row->value > e->items[at - 1].value) {
        at--;
    }
    if (at == l->most) {
        return;
    }
    if (e->count < l->most) {
        e->count++;
    }
    memmove(e->items + at + 1, e->items + at,
            (size_t)(e->count - 1 - at) * sizeof *e->items);
    e->items[at] = *row;
}

static void take(const look *l, size_t number, int64_t row, float value)
{
    const il_scored *rows = &l->acts->rows;
    il_examples *e = &l->out[number];
    il_example found = {.index = rows->rows[row] / rows->length,
                        .document = rows->documents[row],
                        .position = rows->rows[row] % rows->length,
                        .label = rows->labels != NULL ? rows->labels[row] != 0 : -1,
                        .value = value};

    l->values[(int64_t)number * rows->count + row] = value;
    e->active += value > 0;
    e->mean += (double)value;
    if (value > 0 || (e->feature == IL_EXAMPLE_LOGIT && !isnan(value))) {
        offer(l, e, &found);
    }
}

static il_status look_at(void *user, il_pass *pass, const il_acts *part, int64_t first,
                         int64_t row, il_error *err)
{
    const look *l = user;
    il_tensor *x[IL_DETECTOR_SITES_MAX];
    il_tensor *features = NULL;
    il_tensor *logits = NULL;

    (void)first;
    IL_TRY(il__detector_borrow(l->d, pass, part, x, err));
    for (size_t i = 0; i < l->count; i++) {
        bool own = l->out[i].feature == IL_EXAMPLE_LOGIT;

        if (own && logits == NULL) {
            logits = il_detector_score(l->d, pass, &part->rows, x, part->gathered, -1);
        }
        if (!own && features == NULL) {
            features =
                il__detector_features(l->d, pass, &part->rows, x, part->gathered);
        }
        IL_TRY(il_pass_status(pass, err));
        for (int64_t r = 0; r < part->rows.count; r++) {
            take(l, i, row + r,
                 own ? il_f32(logits)[r]
                     : il_f32(features)[r * il_width(features) + l->out[i].feature]);
        }
    }
    return IL_OK;
}

static il_status measure(const look *l, size_t number, il_error *err)
{
    const il_scored *rows = &l->acts->rows;
    il_examples *e = &l->out[number];
    il_scores scores = {.count = rows->count,
                        .logits = l->values + (int64_t)number * rows->count,
                        .labels = rows->labels,
                        .documents = rows->documents};
    il_measured measured;

    e->rows = rows->count;
    e->mean /= rows->count > 0 ? (double)rows->count : 1.0;
    e->auroc = NAN;
    if (rows->labels == NULL || rows->count == 0) {
        return IL_OK;
    }
    IL_TRY(il_scores_measure(&scores, 0, 0, 0, &measured, err));
    e->auroc = measured.value[IL_MEASURE_AUROC];
    return IL_OK;
}

il_status il_detector_examples(il_examples **out, const il_detector *d,
                               const il_blas *blas, const il_acts *acts, size_t count,
                               const int64_t *features, int64_t most, il_arena *arena,
                               il_error *err)
{
    look l = {.d = d, .acts = acts, .count = count, .most = most > 0 ? most : 0};
    int64_t width = il_detector_feature_width(d);
    il_status status;

    l.out = il_arena_calloc(arena, count + 1, sizeof *l.out);
    for (size_t i = 0; l.out != NULL && i < count; i++) {
        if (features[i] != IL_EXAMPLE_LOGIT &&
            (features[i] < 0 || features[i] >= width)) {
            return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                                "feature %lld: expected one from 0 to %lld",
                                (long long)features[i], (long long)width - 1);
        }
        l.out[i].feature = features[i];
        l.out[i].items =
            il_arena_calloc(arena, (size_t)l.most + 2, sizeof *l.out[i].items);
        if (l.out[i].items == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        }
    }
    l.values = malloc((count * (size_t)acts->rows.count + 1) * sizeof *l.values);
    if (l.out == NULL || l.values == NULL) {
        free(l.values);
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    status = il__detector_chunks(d, blas, acts, look_at, &l, err);
    for (size_t i = 0; status == IL_OK && i < count; i++) {
        status = measure(&l, i, err);
    }
    free(l.values);
    if (status == IL_OK) {
        *out = l.out;
    }
    return status;
}

/* ---- what stands there ---------------------------------------------------------- */

/* One row of a split in a batch of its own; the caller destroys it. NULL when it cannot
 * be had. */
static il_batch *fetch(const il_instance *data, const char *split, int64_t index)
{
    il_batch *batch = NULL;
    il_error err = {.code = IL_OK};
    int64_t size = 0;
    int32_t number;

    number = data->offer->component->kind == IL_KIND_DATASET
                 ? il_split_find(data, split, &size)
                 : -1;
    if (number < 0 || index < 0 || (size > 0 && index >= size) ||
        il_batch_create(&batch, &err) != IL_OK) {
        return NULL;
    }
    il_batch_reset(batch, 1);
    if (il_instance_dataset(data)->get(data->self, number, index, 1, batch, &err) !=
            IL_OK ||
        il_batch_status(batch, &err) != IL_OK) {
        il_batch_destroy(batch);
        return NULL;
    }
    return batch;
}

bool il_example_text(const il_instance *data, const char *split, int64_t index,
                     char *out, size_t size)
{
    il_batch *batch = fetch(data, split, index);
    bool told = batch != NULL && IL_HAS(il_instance_dataset(data), text);

    if (told) {
        (void)il_instance_dataset(data)->text(data->self, batch, 0, out, size);
    }
    il_batch_destroy(batch);
    return told;
}

bool il_example_tokens(const il_instance *data, const char *split, int64_t index,
                       int64_t at, int64_t around, int32_t *tokens)
{
    il_batch *batch = fetch(data, split, index);
    const char *name = batch != NULL ? il_field_of_role(data, IL_FIELD_INPUT) : NULL;
    const il_tensor *input = name != NULL ? il_batch_find(batch, name) : NULL;
    bool told = input != NULL && input->ndim == 2 && input->dtype.code == IL_CODE_INT &&
                input->dtype.bits == 32;

    for (int64_t i = 0; told && i <= 2 * around; i++) {
        int64_t position = at - around + i;
        bool there = position >= 0 && position < input->shape[1];

        tokens[i] = there ? ((const int32_t *)input->data)[position] : -1;
    }
    il_batch_destroy(batch);
    return told;
}
