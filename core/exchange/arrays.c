#include "exchange/arrays.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mapped.h"
#include "base/text.h"
#include "formats/npz.h"
#include "formats/safetensors.h"
#include "formats/safetensors_private.h"

struct il_arrays {
    char *path;
    il_npz *npz;           /* this one */
    il_safetensors *plain; /* or that */
    il_array view;         /* of a safetensor, handed out until the next is asked for */
};

/* Whether a file begins as zip archives do; false too for one that cannot be read,
 * about which the other reader then says why. */
static bool is_zip(const char *path)
{
    il_mapped m = {.data = NULL};
    bool zip;

    if (il_mapped_open(&m, path, NULL) != IL_OK) {
        return false;
    }
    zip = m.size >= 4 && memcmp(m.data, "PK", 2) == 0;
    il_mapped_close(&m);
    return zip;
}

il_status il_arrays_open(il_arrays **out, const char *path, il_error *err)
{
    il_arrays *b = calloc(1, sizeof *b);
    il_status status;

    if (b == NULL || (b->path = strdup(path)) == NULL) {
        free(b);
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    status = is_zip(path) ? il_npz_open(&b->npz, path, err)
                          : il_safetensors_open(&b->plain, path, err);
    if (status != IL_OK) {
        il_arrays_close(b);
        return status;
    }
    *out = b;
    return IL_OK;
}

void il_arrays_close(il_arrays *b)
{
    if (b == NULL) {
        return;
    }
    il_npz_close(b->npz);
    il_safetensors_close(b->plain);
    free(b->path);
    free(b);
}

const char *il_arrays_path(const il_arrays *b)
{
    return b->path;
}

size_t il_arrays_count(const il_arrays *b)
{
    return b->npz != NULL ? il_npz_count(b->npz) : il_safetensors_count(b->plain);
}

const char *il_arrays_name(const il_arrays *b, size_t i)
{
    return b->npz != NULL ? il_npz_name(b->npz, i)
                          : il_safetensors_at(b->plain, i)->name;
}

bool il_arrays_has(const il_arrays *b, const char *name)
{
    size_t i;

    return b->npz != NULL ? il_npz_find(b->npz, name, &i)
                          : il_safetensors_find(b->plain, name) != NULL;
}

static il_status missing(const il_arrays *b, const char *name, il_error *err)
{
    enum { SHOWN = 12 };
    il_text names = {0};
    size_t count = il_arrays_count(b);
    char shown[64];
    il_status status;

    for (size_t i = 0; i < count && i < SHOWN; i++) {
        il_text_addf(&names, "%s%s", i > 0 ? ", " : "",
                     il__safetensor_show(il_arrays_name(b, i), shown));
    }
    status = il_error_set(err, IL_ERR_INPUT, b->path,
                          "tensor '%s': missing: the file has %s%s", name,
                          count > 0 && names.data != NULL ? names.data : "none",
                          count > SHOWN ? " and more" : "");
    il_text_free(&names);
    return status;
}

il_status il_arrays_array(il_arrays *b, const char *name, const il_array **out,
                          il_error *err)
{
    const il_safetensor *t;
    size_t i = 0;

    if (!il_arrays_has(b, name)) {
        return missing(b, name, err);
    }
    if (b->npz != NULL) {
        (void)il_npz_find(b->npz, name, &i);
        return il_npz_array(b->npz, i, out, err);
    }
    t = il_safetensors_find(b->plain, name);
    b->view = (il_array){
        .dtype = t->dtype, .ndim = t->ndim, .data = t->data, .bytes = t->bytes};
    memcpy(b->view.shape, t->shape, sizeof t->shape);
    *out = &b->view;
    return IL_OK;
}

static bool same_shape(const il_array *a, int32_t ndim, const int64_t *shape,
                       bool turned)
{
    if (a->ndim != ndim) {
        return false;
    }
    for (int32_t i = 0; i < ndim; i++) {
        if (a->shape[i] != shape[turned ? ndim - 1 - i : i]) {
            return false;
        }
    }
    return true;
}

/* Where the first value that is no finite number stands; its number in `values`. */
static bool find_wild(const float *values, int64_t count, int64_t *at)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            *at = i;
            return true;
        }
    }
    return false;
}

static il_status refuse_wild(const il_array *a, const char *path, const char *name,
                             int64_t at, float value, il_error *err)
{
    il_text place = {0};
    int64_t rest = il_array_count(a);
    il_status status;

    for (int32_t i = 0; i < a->ndim; i++) {
        rest /= a->shape[i];
        il_text_addf(&place, "%s%" PRId64, i > 0 ? ", " : "", at / rest);
        at %= rest;
    }
    status = il_error_set(err, IL_ERR_INPUT, path,
                          "tensor '%s': element [%s]: expected a finite number, got %s",
                          name, place.data != NULL ? place.data : "",
                          isnan(value) ? "nan" : (value > 0 ? "inf" : "-inf"));
    il_text_free(&place);
    return status;
}

il_status il_array_take(const il_array *a, const char *path, const char *name,
                        int32_t ndim, const int64_t *shape, float **out, il_error *err)
{
    char expected[96];
    char got[96];
    char type[16];
    float *values = NULL;
    int64_t at = 0;

    if (a->dtype.code != IL_CODE_FLOAT && a->dtype.code != IL_CODE_BFLOAT) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor '%s': expected float32 or another type of "
                            "fractions, got %s",
                            name, il_dtype_text(a->dtype, type));
    }
    if (!same_shape(a, ndim, shape, false)) {
        return il_error_set(
            err, IL_ERR_INPUT, path, "tensor '%s': expected shape %s, got %s%s", name,
            il_array_shape(ndim, shape, expected),
            il_array_shape(a->ndim, a->shape, got),
            same_shape(a, ndim, shape, true) ? ": it is transposed" : "");
    }
    IL_TRY(il_array_floats(&values, a, path, err));
    if (find_wild(values, il_array_count(a), &at)) {
        float value = values[at];

        free(values);
        return refuse_wild(a, path, name, at, value, err);
    }
    *out = values;
    return IL_OK;
}

il_status il_arrays_floats(il_arrays *b, const char *name, int32_t ndim,
                           const int64_t *shape, float **out, il_error *err)
{
    const il_array *a = NULL;

    IL_TRY(il_arrays_array(b, name, &a, err));
    return il_array_take(a, b->path, name, ndim, shape, out, err);
}
