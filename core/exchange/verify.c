#include "exchange/verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "exchange/arrays.h"
#include "formats/npy.h"
#include "interloop/rng.h"

enum { NOISE_ROWS = 32, JUMPS = 500 };
static const double component_tolerance = 1e-3; /* float32 sums in another order */
static const double jumped_tolerance = 5e-2;

/* The norm of the difference as a share of the norm of what is expected. */
static double share_off(const float *got, const float *want, int64_t count)
{
    double off = 0;
    double all = 0;

    for (int64_t i = 0; i < count; i++) {
        off += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        all += (double)want[i] * want[i];
    }
    return off == 0 ? 0 : sqrt(off / all);
}

/* The same of features, of which a few may be there in one and not in the other: a sum
 * that lies at a threshold to within its rounding falls on either side. More than one
 * in JUMPS of those that are there is no rounding, and counts as all that is off. */
static double features_off(const float *got, const float *want, int64_t count,
                           bool *jumped)
{
    double off = 0;
    double all = 0;
    int64_t there = 0;
    int64_t jumps = 0;

    for (int64_t i = 0; i < count; i++) {
        bool either = (got[i] != 0) != (want[i] != 0);

        there += want[i] != 0;
        jumps += either;
        off += either ? 0 : ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        all += (double)want[i] * want[i];
    }
    *jumped = jumps > 0;
    return jumps > there / JUMPS ? 1 : off == 0 ? 0 : sqrt(off / all);
}

static il_status compare(const char *what, const float *got, const float *want,
                         int64_t count, const il_evidence *e, il_text *said,
                         il_error *err)
{
    double off;
    bool jumped;

    if (want == NULL) {
        return IL_OK;
    }
    off = strcmp(what, "features") == 0 ? features_off(got, want, count, &jumped)
                                        : share_off(got, want, count);
    if (!(off <= e->tolerance)) {
        return il_error_set(err, IL_ERR_INPUT, e->from,
                            "the %s are not those expected: off by %.3g of their norm "
                            "on %" PRId64 " rows, expected at most %.3g",
                            what, off, e->count, e->tolerance);
    }
    il_text_addf(said,
                 "verified: %s on %" PRId64 " rows of %s, off by %.2g of their "
                 "norm\n",
                 what, e->count, e->name, off);
    return IL_OK;
}

/* The share of the rows' variance that the reconstruction leaves. */
static double left_over(const float *x, const float *y, int64_t rows, int64_t width)
{
    double left = 0;
    double all = 0;

    for (int64_t c = 0; c < width; c++) {
        double mean = 0;

        for (int64_t n = 0; n < rows; n++) {
            mean += x[n * width + c];
        }
        mean /= (double)rows;
        for (int64_t n = 0; n < rows; n++) {
            double at = x[n * width + c];

            left += (at - y[n * width + c]) * (at - y[n * width + c]);
            all += (at - mean) * (at - mean);
        }
    }
    return left / all;
}

static il_status measure(const il_evidence *e, const float *features, int64_t width,
                         int64_t feature_count, const float *output, il_text *said,
                         il_error *err)
{
    double left = left_over(e->rows, output, e->count, width);
    int64_t active = 0;

    for (int64_t i = 0; i < e->count * feature_count; i++) {
        active += features[i] != 0;
    }
    if (!(left < 1) && !e->lenient) {
        return il_error_set(err, IL_ERR_INPUT, e->from,
                            "the reconstruction leaves %.3g of the variance of %" PRId64
                            " rows: expected less than 1; other activations, another "
                            "site or another scaling? --accept reconstruction takes it "
                            "all the same",
                            left, e->count);
    }
    il_text_addf(said,
                 "%s: the reconstruction leaves %.4f of the variance of %" PRId64
                 " rows of %s, with %.1f features a row\n",
                 left < 1 ? "verified" : "accepted", left, e->count, e->name,
                 (double)active / (double)e->count);
    return IL_OK;
}

static il_status verify_dictionary(const il_adopted *a, const il_blas *blas,
                                   const il_evidence *e, il_text *said, il_error *err)
{
    const il_detector *d = a->detector;
    int64_t width = d->widths[0];
    int64_t wide = il_instance_detector(d->instance)->feature_width(d->instance->self);
    float *features = malloc((size_t)(e->count * wide) * sizeof *features + 1);
    float *output = malloc((size_t)(e->count * width) * sizeof *output + 1);
    il_status status = IL_OK;

    if (features == NULL || output == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, e->from, "out of memory");
    }
    if (status == IL_OK) {
        status =
            il_adopted_run(a, blas, e->count, e->rows, features, output, NULL, err);
    }
    if (status == IL_OK) {
        status =
            compare("features", features, e->features, e->count * wide, e, said, err);
    }
    if (status == IL_OK) {
        status = compare("reconstructions", output, e->output, e->count * width, e,
                         said, err);
    }
    if (status == IL_OK && e->features == NULL && e->output == NULL) {
        status = measure(e, features, width, wide, output, said, err);
    }
    free(output);
    free(features);
    return status;
}

static il_status verify_scores(const il_adopted *a, const il_blas *blas,
                               const il_evidence *e, il_text *said, il_error *err)
{
    float *scores = malloc((size_t)e->count * sizeof *scores + 1);
    double low = INFINITY;
    double high = -INFINITY;
    il_status status;

    if (scores == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, e->from, "out of memory");
    }
    status = il_adopted_run(a, blas, e->count, e->rows, NULL, NULL, scores, err);
    if (status == IL_OK) {
        status = compare("scores", scores, e->scores, e->count, e, said, err);
    }
    for (int64_t i = 0; i < e->count; i++) {
        low = fmin(low, scores[i]);
        high = fmax(high, scores[i]);
    }
    if (status == IL_OK && e->scores == NULL) {
        il_text_addf(
            said,
            "scores of %" PRId64 " rows of %s lie from %.4g to %.4g; there was "
            "nothing to hold them against: --expect names what they are to be\n",
            e->count, e->name, low, high);
    }
    free(scores);
    return status;
}

il_status il_verify(const il_adopted *a, const il_blas *blas, const il_evidence *e,
                    il_text *said, il_error *err)
{
    if (e->count < 1) {
        return il_error_set(err, IL_ERR_INPUT, e->from, "expected at least one row");
    }
    return il_detector_is_dictionary(a->detector) && e->scores == NULL
               ? verify_dictionary(a, blas, e, said, err)
               : verify_scores(a, blas, e, said, err);
}

/* Rows of noise about as far from the origin as the decoder's bias. */
static void fill_noise(float *x, const il_dictionary *d)
{
    il_rng draws;
    double squares = 0;
    float scale;

    il_rng_open(&draws, 1, 0, IL_RNG_INIT, 0, 0);
    for (int64_t c = 0; c < d->width; c++) {
        squares += (double)d->decoder_bias[c] * d->decoder_bias[c];
    }
    scale = (float)(1 + sqrt(squares / (double)d->width));
    for (int64_t i = 0; i < NOISE_ROWS * d->width; i++) {
        x[i] = scale * (float)il_rng_normal(&draws) + d->decoder_bias[i % d->width];
    }
}

il_status il_verify_component(const il_adopted *a, const il_dictionary *d,
                              const il_blas *blas, il_text *said, il_error *err)
{
    int64_t in = NOISE_ROWS * d->width;
    int64_t out = NOISE_ROWS * d->features;
    float *x = malloc((size_t)(3 * in + 2 * out) * sizeof *x);
    float *y[2], *f[2]; /* described, computed */
    double off[2];
    bool jumped;
    il_status status;

    if (x == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "import", "out of memory");
    }
    y[0] = x + in;
    y[1] = y[0] + in;
    f[0] = y[1] + in;
    f[1] = f[0] + out;
    fill_noise(x, d);
    status = il_dictionary_run(d, NOISE_ROWS, x, f[0], y[0], err);
    if (status == IL_OK) {
        status = il_adopted_run(a, blas, NOISE_ROWS, x, f[1], y[1], NULL, err);
    }
    if (status != IL_OK) {
        free(x);
        return status;
    }
    off[0] = features_off(f[1], f[0], out, &jumped);
    off[1] = share_off(y[1], y[0], in);
    free(x);
    if (!(off[0] <= component_tolerance) ||
        !(off[1] <= (jumped ? jumped_tolerance : component_tolerance))) {
        return il_error_set(err, IL_ERR_INPUT, a->detector->spec->component.use,
                            "the component does not compute what the weights are for: "
                            "features off by %.3g, reconstructions by %.3g of their "
                            "norm, expected at most %.3g",
                            off[0], off[1], component_tolerance);
    }
    il_text_addf(said,
                 "the component computes what the file describes: on noise, features "
                 "and reconstructions off by %.2g and %.2g of their norm\n",
                 off[0], off[1]);
    return IL_OK;
}

/* ---- rows from files ------------------------------------------------------------ */

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The array as rows; *width as in il_rows_read. */
static il_status as_rows(const il_array *a, const char *path, const char *name,
                         int64_t *width, float **out, int64_t *count, il_error *err)
{
    int64_t own = a->ndim > 1 ? a->shape[a->ndim - 1] : 1;
    char shape[96];

    if (a->ndim < 1 || a->ndim > 3 || il_array_count(a) == 0 ||
        (*width > 0 && own != *width)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "'%s': expected rows of %" PRId64 " channels, got shape %s",
                            name, *width, il_array_shape(a->ndim, a->shape, shape));
    }
    IL_TRY(il_array_take(a, path, name, a->ndim, a->shape, out, err));
    *width = own;
    *count = il_array_count(a) / own;
    return IL_OK;
}

static il_status rows_of_npy(const char *path, int64_t *width, float **out,
                             int64_t *count, il_error *err)
{
    il_npy npy = {.turned = NULL};
    il_status status = il_npy_open(&npy, path, err);

    if (status == IL_OK) {
        status = as_rows(&npy.array, path, "array", width, out, count, err);
    }
    il_npy_close(&npy);
    return status;
}

static il_status rows_of_bundle(const char *path, const char *name, int64_t *width,
                                float **out, int64_t *count, il_error *err)
{
    il_arrays *b = NULL;
    const il_array *a = NULL;
    il_status status = il_arrays_open(&b, path, err);

    if (status == IL_OK && name == NULL && il_arrays_count(b) != 1) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "holds %zu arrays: say which, as %s#NAME",
                              il_arrays_count(b), path);
    }
    if (status == IL_OK) {
        name = name != NULL ? name : il_arrays_name(b, 0);
        status = il_arrays_array(b, name, &a, err);
    }
    if (status == IL_OK) {
        status = as_rows(a, path, name, width, out, count, err);
    }
    il_arrays_close(b);
    return status;
}

il_status il_rows_read(const char *path, int64_t *width, float **out, int64_t *count,
                       il_error *err)
{
    char *own = strdup(path);
    char *hash = own != NULL ? strrchr(own, '#') : NULL;
    il_status status;

    if (own == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    if (ends_in(path, ".npy")) {
        status = rows_of_npy(path, width, out, count, err);
    } else {
        if (hash != NULL) {
            *hash = '\0';
        }
        status =
            rows_of_bundle(own, hash != NULL ? hash + 1 : NULL, width, out, count, err);
    }
    free(own);
    return status;
}
