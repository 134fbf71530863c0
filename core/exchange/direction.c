/* Probes from bundles: which names hold which part, and a scaler folded in. */
#include "exchange/direction.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "exchange/arrays.h"
#include "formats/npz.h"
#include "formats/safetensors.h"

void il_directions_clear(il_directions *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->items[i].weight);
    }
    free(d->items);
    free(d->model);
    free(d->rows);
    free(d->logits);
    memset(d, 0, sizeof *d);
}

/* The first of these names that the file has, or NULL. */
static const char *first_of(const il_arrays *b, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (il_arrays_has(b, *names)) {
            return *names;
        }
    }
    return NULL;
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The names of the two parts; `bias` NULL without one. */
typedef struct parts {
    const char *weight;
    char *bias; /* malloc'ed */
} parts;

/* PyTorch's: one tensor that ends in "weight", alone or after a dot. */
static il_status find_torch(const il_arrays *b, parts *p, il_error *err)
{
    il_text bias = {0};

    for (size_t i = 0; i < il_arrays_count(b); i++) {
        const char *name = il_arrays_name(b, i);

        if (strcmp(name, "weight") != 0 && !ends_in(name, ".weight")) {
            continue;
        }
        if (p->weight != NULL) {
            return il_error_set(err, IL_ERR_INPUT, il_arrays_path(b),
                                "expected one layer, got '%.64s' and '%.64s': save the "
                                "linear layer alone",
                                p->weight, name);
        }
        p->weight = name;
    }
    if (p->weight == NULL) {
        return il_error_set(
            err, IL_ERR_INPUT, il_arrays_path(b),
            "expected a probe: coef and intercept as scikit-learn names "
            "them, or weight and bias as PyTorch does");
    }
    il_text_add_bytes(&bias, p->weight, strlen(p->weight) - strlen("weight"));
    il_text_add(&bias, "bias");
    if (bias.failed) {
        return il_error_set(err, IL_ERR_MEMORY, il_arrays_path(b), "out of memory");
    }
    if (il_arrays_has(b, bias.data)) {
        p->bias = bias.data;
    } else {
        il_text_free(&bias);
    }
    return IL_OK;
}

static il_status find_parts(const il_arrays *b, parts *p, il_error *err)
{
    static const char *const weights[] = {"coef", "coef_", NULL};
    static const char *const biases[] = {"intercept", "intercept_", NULL};
    const char *bias = first_of(b, biases);

    p->weight = first_of(b, weights);
    if (p->weight == NULL) {
        return find_torch(b, p, err);
    }
    p->bias = bias != NULL ? strdup(bias) : NULL;
    return bias == NULL || p->bias != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, il_arrays_path(b), "out of memory");
}

/* The weight as one row; of two rows their difference, the second against the first. */
static il_status read_weight(il_arrays *b, const char *name, il_direction *d,
                             int64_t *rows, il_error *err)
{
    const il_array *a = NULL;
    char shape[96];
    int64_t width;

    IL_TRY(il_arrays_array(b, name, &a, err));
    *rows = a->ndim == 2 ? a->shape[0] : 1;
    if ((a->ndim != 1 && a->ndim != 2) || *rows < 1 || *rows > 2 ||
        a->shape[a->ndim - 1] < 1) {
        return il_error_set(err, IL_ERR_INPUT, il_arrays_path(b),
                            "tensor '%s': expected shape (1, W) or (W), or (2, W) of "
                            "two classes, got %s%s",
                            name, il_array_shape(a->ndim, a->shape, shape),
                            *rows > 2 ? ": save the row of one class" : "");
    }
    width = a->shape[a->ndim - 1];
    IL_TRY(
        il_array_take(a, il_arrays_path(b), name, a->ndim, a->shape, &d->weight, err));
    d->width = width;
    for (int64_t c = 0; *rows == 2 && c < width; c++) {
        d->weight[c] = d->weight[width + c] - d->weight[c];
    }
    return IL_OK;
}

static il_status read_bias(il_arrays *b, const char *name, il_direction *d,
                           int64_t rows, il_error *err)
{
    const il_array *a = NULL;
    char shape[96];
    float *values = NULL;

    if (name == NULL) {
        return IL_OK;
    }
    IL_TRY(il_arrays_array(b, name, &a, err));
    if (il_array_count(a) != rows) {
        return il_error_set(err, IL_ERR_INPUT, il_arrays_path(b),
                            "tensor '%s': expected %" PRId64 " value%s, got shape %s",
                            name, rows, rows == 1 ? "" : "s",
                            il_array_shape(a->ndim, a->shape, shape));
    }
    IL_TRY(il_array_take(a, il_arrays_path(b), name, a->ndim, a->shape, &values, err));
    d->bias = rows == 2 ? values[1] - values[0] : values[0];
    free(values);
    return IL_OK;
}

/* A scaler in front of the probe: w . (x - mean) / scale + b is
 * (w / scale) . x + b - (w / scale) . mean. Either part may be missing, as
 * StandardScaler(with_mean=False) has it. */
static il_status fold_scaler(il_arrays *b, il_direction *d, il_text *said,
                             il_error *err)
{
    static const char *const means[] = {"mean", "mean_", "scaler_mean", "scaler_mean_",
                                        NULL};
    static const char *const scales[] = {"scale", "scale_", "scaler_scale",
                                         "scaler_scale_", NULL};
    const char *const names[] = {first_of(b, means), first_of(b, scales)};
    float *parts_of[2] = {NULL, NULL};
    il_status status = IL_OK;
    double bias = d->bias;

    for (int i = 0; i < 2 && status == IL_OK; i++) {
        if (names[i] != NULL) {
            status = il_arrays_floats(b, names[i], 1, &d->width, &parts_of[i], err);
        }
    }
    for (int64_t c = 0; c < d->width && status == IL_OK; c++) {
        double scale = parts_of[1] != NULL ? parts_of[1][c] : 1;

        if (!(scale > 0)) {
            status = il_error_set(err, IL_ERR_INPUT, il_arrays_path(b),
                                  "tensor '%s': element [%" PRId64
                                  "]: expected a number above 0, got %g",
                                  names[1], c, scale);
            break;
        }
        d->weight[c] = (float)(d->weight[c] / scale);
        bias -= parts_of[0] != NULL ? (double)d->weight[c] * parts_of[0][c] : 0;
    }
    d->bias = (float)bias;
    free(parts_of[0]);
    free(parts_of[1]);
    if (status == IL_OK && (names[0] != NULL || names[1] != NULL)) {
        il_text_addf(said, "the scaler (%s%s%s) is folded into the weights\n",
                     names[0] != NULL ? names[0] : "",
                     names[0] != NULL && names[1] != NULL ? ", " : "",
                     names[1] != NULL ? names[1] : "");
    }
    return status;
}

/* Rows and scores that came along. */
static il_status read_own(il_arrays *b, il_directions *out, il_error *err)
{
    const il_array *a = NULL;
    int64_t shape[2] = {0, out->items[0].width};

    if (!il_arrays_has(b, "activations") || !il_arrays_has(b, "scores")) {
        return IL_OK;
    }
    IL_TRY(il_arrays_array(b, "activations", &a, err));
    shape[0] = a->ndim > 0 ? a->shape[0] : 0;
    out->row_count = shape[0];
    IL_TRY(
        il_array_take(a, il_arrays_path(b), "activations", 2, shape, &out->rows, err));
    return il_arrays_floats(b, "scores", 1, shape, &out->logits, err);
}

static il_status read_probe(il_arrays *b, il_directions *out, il_text *said,
                            il_error *err)
{
    parts p = {NULL, NULL};
    il_direction *d;
    int64_t rows = 1;
    il_status status = find_parts(b, &p, err);

    out->items = calloc(1, sizeof *out->items);
    if (status == IL_OK && out->items == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, il_arrays_path(b), "out of memory");
    }
    if (status == IL_OK) {
        out->count = 1;
        d = &out->items[0];
        d->layer = -1;
        status = read_weight(b, p.weight, d, &rows, err);
    }
    if (status == IL_OK) {
        il_text_addf(said, "probe: '%s', %" PRId64 " channels%s%s%s%s\n", p.weight,
                     d->width, p.bias != NULL ? ", '" : ", without a bias",
                     p.bias != NULL ? p.bias : "", p.bias != NULL ? "'" : "",
                     rows == 2 ? "; two logits, whose difference counts" : "");
        status = read_bias(b, p.bias, d, rows, err);
    }
    if (status == IL_OK) {
        status = fold_scaler(b, d, said, err);
    }
    if (status == IL_OK) {
        status = read_own(b, out, err);
    }
    free(p.bias);
    return status;
}

il_status il_direction_read_probe(il_directions *out, const char *path, il_text *said,
                                  il_error *err)
{
    il_arrays *b = NULL;
    il_directions all = {.items = NULL};
    il_status status = il_arrays_open(&b, path, err);

    if (status == IL_OK) {
        status = read_probe(b, &all, said, err);
    }
    il_arrays_close(b);
    if (status != IL_OK) {
        il_directions_clear(&all);
        return status;
    }
    *out = all;
    return IL_OK;
}

/* ---- written -------------------------------------------------------------------- */

il_status il_direction_write_npz(const il_direction *d, const char *path, il_error *err)
{
    const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    const il_npz_source all[] = {
        {"coef", {f32, 2, {1, d->width}, d->weight, (size_t)d->width * sizeof(float)}},
        {"intercept", {f32, 1, {1}, &d->bias, sizeof d->bias}}};

    return il_npz_write(path, all, 2, err);
}

il_status il_direction_write_safetensors(const il_direction *d, const char *path,
                                         il_error *err)
{
    const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    const il_safetensor all[] = {
        {"coef", f32, 2, {1, d->width}, d->weight, (size_t)d->width * sizeof(float)},
        {"intercept", f32, 1, {1}, &d->bias, sizeof d->bias}};

    return il_safetensors_write(path, all, 2, NULL, 0, err);
}
