#include "detect/asked.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "tensor/store.h"

/* Passes that wait for the next question; one that has grown beyond SPARE_BYTES is let
 * go. */
enum { SPARES = 8, SPARE_BYTES = 64 << 20 };

struct il_asking {
    const il_detector *d;
    const il_blas *blas;
    pthread_mutex_t lock;
    size_t spare_count;
    il_answer *spares[SPARES];
};

struct il_answer {
    il_asking *from;
    il_pass *pass;
    il_store *store; /* the activations as parameters, so that they have bits */
    const float **values;
    il_word *route;
    float **grads;
    il_tensor *logits;
    int64_t count;
};

il_status il_asking_create(il_asking **out, const il_detector *d, const il_blas *blas,
                           il_error *err)
{
    il_asking *a;

    if (!il_detector_ready(d)) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "it has not been fitted: there is nothing to ask");
    }
    a = calloc(1, sizeof *a);
    if (a == NULL || pthread_mutex_init(&a->lock, NULL) != 0) {
        free(a);
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    a->d = d;
    a->blas = blas;
    *out = a;
    return IL_OK;
}

static void answer_destroy(il_answer *w)
{
    if (w == NULL) {
        return;
    }
    il_pass_destroy(w->pass);
    il_store_destroy(w->store);
    free(w->values);
    free(w->route);
    free(w->grads);
    free(w);
}

void il_asking_destroy(il_asking *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->spare_count; i++) {
        answer_destroy(a->spares[i]);
    }
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
}

static il_status answer_create(il_answer **out, il_asking *a, il_error *err)
{
    size_t n = a->d->site_count;
    il_answer *w = calloc(1, sizeof *w);
    il_status status;

    if (w == NULL || (w->values = calloc(n + 1, sizeof *w->values)) == NULL ||
        (w->route = calloc(il_bits_words(n) + 1, sizeof *w->route)) == NULL ||
        (w->grads = calloc(n + 1, sizeof *w->grads)) == NULL) {
        answer_destroy(w);
        return il_error_set(err, IL_ERR_MEMORY, a->d->spec->name, "out of memory");
    }
    w->from = a;
    status = il_pass_create(&w->pass, a->blas, n, err);
    if (status == IL_OK) {
        status = il_store_create(&w->store, err);
    }
    for (size_t i = 0; status == IL_OK && i < n; i++) {
        status = il_store_add(w->store, a->d->spec->sites.items[i], "", 1,
                              &(int64_t){1}, IL_INIT_ZERO, err);
    }
    if (status != IL_OK) {
        answer_destroy(w);
        return status;
    }
    *out = w;
    return IL_OK;
}

static il_status answer_take(il_answer **out, il_asking *a, il_error *err)
{
    il_answer *w = NULL;

    (void)pthread_mutex_lock(&a->lock);
    if (a->spare_count > 0) {
        w = a->spares[--a->spare_count];
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (w == NULL) {
        IL_TRY(answer_create(&w, a, err));
    }
    il_pass_begin(w->pass);
    w->logits = NULL;
    w->count = 0;
    *out = w;
    return IL_OK;
}

void il_answer_release(il_answer *w)
{
    il_asking *a;

    if (w == NULL) {
        return;
    }
    a = w->from;
    if (il_pass_peak(w->pass) <= SPARE_BYTES) {
        (void)pthread_mutex_lock(&a->lock);
        if (a->spare_count < SPARES) {
            a->spares[a->spare_count++] = w;
            w = NULL;
        }
        (void)pthread_mutex_unlock(&a->lock);
    }
    answer_destroy(w);
}

static il_status check(const il_detector *d, const il_question *q, il_error *err)
{
    if (q->batch < 1 || q->length < 1) {
        return il_error_set(err, IL_ERR_SHAPE, d->spec->name,
                            "expected at least one row, got %" PRId64 " of %" PRId64,
                            q->batch, q->length);
    }
    if (q->batch > INT32_MAX / q->length) {
        return il_error_set(err, IL_ERR_SHAPE, d->spec->name,
                            "%" PRId64 " sequences of %" PRId64
                            " positions are too many at once",
                            q->batch, q->length);
    }
    for (int64_t b = 0; q->lengths != NULL && b < q->batch; b++) {
        if (q->lengths[b] < 0 || q->lengths[b] > q->length) {
            return il_error_set(err, IL_ERR_SHAPE, d->spec->name,
                                "lengths[%" PRId64 "]: expected 0 to %" PRId64
                                ", got %d",
                                b, q->length, (int)q->lengths[b]);
        }
    }
    return IL_OK;
}

/* The scored positions, in the pass's memory. */
static il_status find_rows(il_scored *out, il_pass *pass, const il_question *q,
                           il_error *err)
{
    size_t most = (size_t)(q->batch * q->length);

    *out = (il_scored){.batch = q->batch,
                       .length = q->length,
                       .lengths = q->lengths,
                       .inputs = q->tokens};
    out->rows = il_pass_alloc(pass, most * sizeof *out->rows);
    if (out->rows == NULL) {
        return il_pass_status(pass, err);
    }
    for (int64_t b = 0; b < q->batch; b++) {
        for (int64_t t = 0; t < q->length; t++) {
            if (il_question_scores(q, b, t)) {
                out->rows[out->count++] = (int32_t)(b * q->length + t);
            }
        }
    }
    return IL_OK;
}

/* Makes positions into sequences, in the pass's memory. */
static il_status gather(il_scored *rows, il_pass *pass, il_error *err)
{
    int32_t *last = il_pass_alloc(pass, (size_t)(rows->batch + 1) * sizeof *last);
    int64_t *first = il_pass_alloc(pass, (size_t)(rows->batch + 1) * sizeof *first);
    int64_t n = 0;

    if (last == NULL || first == NULL) {
        return il_pass_status(pass, err);
    }
    for (int64_t i = 0; i < rows->count; i++) {
        if (i == 0 ||
            rows->rows[i] / rows->length != rows->rows[i - 1] / rows->length) {
            first[n++] = i;
        }
        last[n - 1] = rows->rows[i];
    }
    first[n] = rows->count;
    rows->tokens = rows->rows;
    rows->rows = last;
    rows->first = first;
    rows->count = n;
    return IL_OK;
}

/* Shapes and numbers of the activations. What is not scored has them, too: its
 * derivatives are zeros. */
static void lay_out(il_answer *w, const il_question *q)
{
    const il_detector *d = w->from->d;

    for (size_t i = 0; i < d->site_count; i++) {
        il_stored *item = &w->store->items[i];

        item->ndim = q->length == 1 ? 2 : 3;
        item->shape[0] = q->batch;
        item->shape[1] = q->length == 1 ? d->widths[i] : q->length;
        item->shape[2] = d->widths[i];
        item->count = q->batch * q->length * d->widths[i];
        w->values[i] = q->acts[i];
    }
}

/* The activations as leaves that have a bit each. NULL when memory is out. */
static il_tensor **bind(il_answer *w, const il_question *q)
{
    const il_detector *d = w->from->d;
    il_tensor **x = il_pass_alloc(w->pass, (d->site_count + 1) * sizeof(il_tensor *));
    il_scope scope = {
        .label = "activations", .store = w->store, .values = w->values, .first_bit = 0};

    if (x == NULL) {
        return NULL;
    }
    il_pass_enter(w->pass, &scope);
    for (size_t i = 0; i < d->site_count; i++) {
        x[i] = il_use(w->pass, (il_param){(int32_t)i});
        if (q->length == 1 && !il_detector_reads_rows(d)) {
            x[i] = il_reshape(w->pass, x[i], IL_SHAPE(q->batch, 1, d->widths[i]));
        }
    }
    il_pass_leave(w->pass);
    return x;
}

static il_status answer(il_answer *w, const il_question *q, il_error *err)
{
    const il_detector *d = w->from->d;
    il_scored rows;
    il_tensor **x;
    bool whole;

    lay_out(w, q);
    IL_TRY(find_rows(&rows, w->pass, q, err));
    whole = q->length == 1 && rows.count == q->batch && il_detector_reads_rows(d);
    if (d->spec->pooled) {
        IL_TRY(gather(&rows, w->pass, err));
    }
    if (rows.count == 0) {
        return IL_OK;
    }
    x = bind(w, q);
    if (x == NULL) {
        return il_pass_status(w->pass, err);
    }
    w->logits = il_detector_score(d, w->pass, &rows, x, whole, -1);
    IL_TRY(il_pass_status(w->pass, err));
    w->count = rows.count;
    return IL_OK;
}

il_status il_ask(il_answer **out, il_asking *a, const il_question *q, il_error *err)
{
    il_answer *w = NULL;
    il_status status;

    IL_TRY(check(a->d, q, err));
    IL_TRY(answer_take(&w, a, err));
    status = answer(w, q, err);
    if (status != IL_OK) {
        il_answer_release(w);
        return status;
    }
    *out = w;
    return IL_OK;
}

const float *il_answer_logits(const il_answer *w, int64_t *count)
{
    *count = w->count;
    return il_f32(w->logits);
}

il_status il_answer_backward(il_answer *w, const float *seed, float *const *grads,
                             il_error *err)
{
    size_t n = w->from->d->site_count;

    il_bits_clear(w->route, il_bits_words(n));
    for (size_t i = 0; i < n; i++) {
        w->grads[i] = grads[i];
        if (grads[i] != NULL) {
            memset(grads[i], 0, (size_t)w->store->items[i].count * sizeof *grads[i]);
            il_bits_set(w->route, i);
        }
    }
    if (w->count == 0) {
        return IL_OK;
    }
    return il_pass_backward(w->pass, 1, &w->logits, &seed, w->route, w->grads, err);
}
