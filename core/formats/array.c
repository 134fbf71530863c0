#include "formats/array.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"

bool il_array_size(il_dtype dtype, int32_t ndim, const int64_t *shape, size_t *bytes)
{
    size_t n = dtype.bits / 8;

    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] == 0) {
            *bytes = 0;
            return true;
        }
    }
    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0 || !il_mul_size(n, (size_t)shape[i], &n)) {
            return false;
        }
    }
    *bytes = n;
    return true;
}

int64_t il_array_count(const il_array *a)
{
    return (int64_t)(a->bytes / (a->dtype.bits / 8));
}

const char *il_array_shape(int32_t ndim, const int64_t *shape, char out[96])
{
    size_t n = 0;

    out[n++] = '(';
    for (int32_t i = 0; i < ndim && n < 70; i++) {
        n += (size_t)snprintf(out + n, 96 - n, "%s%" PRId64, i > 0 ? ", " : "",
                              shape[i]);
    }
    (void)snprintf(out + n, 96 - n, ndim == 1 ? ",)" : ")");
    return out;
}

const char *il_dtype_text(il_dtype dtype, char out[16])
{
    const char *name = dtype.code == IL_CODE_INT      ? "int"
                       : dtype.code == IL_CODE_UINT   ? "uint"
                       : dtype.code == IL_CODE_FLOAT  ? "float"
                       : dtype.code == IL_CODE_BFLOAT ? "bfloat"
                                                      : "bool";

    (void)snprintf(out, 16, dtype.code == IL_CODE_BOOL ? "%s" : "%s%d", name,
                   dtype.bits);
    return out;
}

/* ---- one value ------------------------------------------------------------------ */

/* IEEE 754 binary16: 5 bits of exponent with bias 15, 10 of fraction. */
static double half(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    double sign = bits >> 15 ? -1.0 : 1.0;

    if (exponent == 31) {
        return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    }
    return sign * (exponent == 0 ? ldexp(fraction, -24)
                                 : ldexp(fraction + 1024, exponent - 25));
}

/* The upper half of a float32. */
static double brain(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float x;

    memcpy(&x, &wide, sizeof x);
    return x;
}

static double fraction_at(const il_array *a, const char *at)
{
    uint16_t small;
    float x;
    double y;

    if (a->dtype.bits == 64) {
        memcpy(&y, at, sizeof y);
        return y;
    }
    if (a->dtype.bits == 32) {
        memcpy(&x, at, sizeof x);
        return x;
    }
    memcpy(&small, at, sizeof small);
    return a->dtype.code == IL_CODE_BFLOAT ? brain(small) : half(small);
}

/* A whole number; false when 63 bits do not hold it. */
static bool whole_at(const il_array *a, const char *at, int64_t *out)
{
    bool has_sign = a->dtype.code == IL_CODE_INT;
    uint64_t bits = 0;
    int spare = 64 - a->dtype.bits;

    memcpy(&bits, at, a->dtype.bits / 8); /* little-endian */
    if (has_sign && spare > 0) {
        /* The sign goes up to the highest bit. */
        uint64_t sign = (uint64_t)1 << (a->dtype.bits - 1);

        bits = (bits ^ sign) - sign;
    }
    memcpy(out, &bits, sizeof *out);
    return has_sign || *out >= 0;
}

static bool fractional(const il_array *a)
{
    return a->dtype.code == IL_CODE_FLOAT || a->dtype.code == IL_CODE_BFLOAT;
}

/* The i-th value as float32; false when it is another number then. */
static bool float_at(const il_array *a, const char *at, float *out)
{
    int64_t whole;
    double x;

    if (fractional(a)) {
        x = fraction_at(a, at);
        *out = (float)x;
        return !isfinite(x) || isfinite(*out);
    }
    if (!whole_at(a, at, &whole) || whole > (1 << 24) || whole < -(1 << 24)) {
        return false;
    }
    *out = (float)whole;
    return true;
}

static bool integer_at(const il_array *a, const char *at, int64_t *out)
{
    double x;

    if (!fractional(a)) {
        return whole_at(a, at, out);
    }
    x = fraction_at(a, at);
    if (!(fabs(x) <= 9007199254740992.0) || x != floor(x)) { /* 2^53 */
        return false;
    }
    *out = (int64_t)x;
    return true;
}

/* ---- all of them ---------------------------------------------------------------- */

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* Half-width floats, all of which float32 holds: the exponent moves up by 112; what has
 * none is a whole number of 2^-24. */
static void widen(float *out, const il_array *a)
{
    int64_t n = il_array_count(a);
    const char *from = a->data;

    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        uint32_t bits;
        uint32_t rest;

        memcpy(&h, from + 2 * i, sizeof h);
        rest = (uint32_t)(h & 0x7fff) << 13;
        if (a->dtype.code == IL_CODE_BFLOAT) {
            bits = (uint32_t)h << 16;
        } else if ((h & 0x7c00) == 0) {
            float small = (float)(h & 0x7fff) * 0x1p-24f;

            memcpy(&bits, &small, sizeof bits);
            bits |= (uint32_t)(h & 0x8000) << 16;
        } else {
            bits = (uint32_t)(h & 0x8000) << 16 |
                   ((h & 0x7c00) == 0x7c00 ? rest | 0x7f800000u : rest + (112u << 23));
        }
        memcpy(&out[i], &bits, sizeof bits);
    }
}

il_status il_array_floats_to(float *out, const il_array *a, const char *where,
                             il_error *err)
{
    int64_t n = il_array_count(a);
    size_t step = a->dtype.bits / 8;

    if (fractional(a) && a->dtype.bits == 32) {
        if (a->bytes > 0) {
            memcpy(out, a->data, a->bytes);
        }
        return IL_OK;
    }
    if (fractional(a) && a->dtype.bits == 16) {
        widen(out, a);
        return IL_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!float_at(a, (const char *)a->data + (size_t)i * step, &out[i])) {
            char type[16];

            return il_error_set(err, IL_ERR_INPUT, where,
                                "element %" PRId64
                                ": its %s is a number that float32 does not hold",
                                i, il_dtype_text(a->dtype, type));
        }
    }
    return IL_OK;
}

il_status il_array_wholes_to(int64_t *out, const il_array *a, const char *where,
                             il_error *err)
{
    int64_t n = il_array_count(a);
    size_t step = a->dtype.bits / 8;

    for (int64_t i = 0; i < n; i++) {
        if (!integer_at(a, (const char *)a->data + (size_t)i * step, &out[i])) {
            return il_error_set(err, IL_ERR_INPUT, where,
                                "element %" PRId64 ": expected a whole number", i);
        }
    }
    return IL_OK;
}

il_status il_array_flags_to(uint8_t *out, const il_array *a, const char *where,
                            il_error *err)
{
    int64_t n = il_array_count(a);
    size_t step = a->dtype.bits / 8;

    for (int64_t i = 0; i < n; i++) {
        int64_t value = -1;

        if (!integer_at(a, (const char *)a->data + (size_t)i * step, &value) ||
            value < 0 || value > 1) {
            return il_error_set(err, IL_ERR_INPUT, where,
                                "element %" PRId64 ": expected 0 or 1", i);
        }
        out[i] = (uint8_t)value;
    }
    return IL_OK;
}

/* Memory for `n` values, with room for none. */
static void *values_alloc(int64_t n, size_t size)
{
    size_t bytes;

    return il_mul_size((size_t)n, size, &bytes) ? malloc(bytes + 1) : NULL;
}

il_status il_array_floats(float **out, const il_array *a, const char *where,
                          il_error *err)
{
    float *values = values_alloc(il_array_count(a), sizeof *values);
    il_status status = values != NULL ? il_array_floats_to(values, a, where, err)
                                      : no_memory(where, err);

    if (status != IL_OK) {
        free(values);
        return status;
    }
    *out = values;
    return IL_OK;
}

il_status il_array_wholes(int64_t **out, const il_array *a, const char *where,
                          il_error *err)
{
    int64_t *values = values_alloc(il_array_count(a), sizeof *values);
    il_status status = values != NULL ? il_array_wholes_to(values, a, where, err)
                                      : no_memory(where, err);

    if (status != IL_OK) {
        free(values);
        return status;
    }
    *out = values;
    return IL_OK;
}

il_status il_array_flags(uint8_t **out, const il_array *a, const char *where,
                         il_error *err)
{
    uint8_t *values = values_alloc(il_array_count(a), 1);
    il_status status = values != NULL ? il_array_flags_to(values, a, where, err)
                                      : no_memory(where, err);

    if (status != IL_OK) {
        free(values);
        return status;
    }
    *out = values;
    return IL_OK;
}

/* ---- narrower ------------------------------------------------------------------- */

static uint16_t to_half(float x)
{
    uint32_t bits;
    uint32_t sign;

    memcpy(&bits, &x, sizeof bits);
    sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (bits >= 0x477ff000) { /* 65520: the first that is nearer to what there is not */
        return (uint16_t)(sign | 0x7c00);
    }
    if (bits < 0x38800000) { /* 2^-14: whole numbers of 2^-24 */
        return (uint16_t)(sign | (uint32_t)nearbyintf(fabsf(x) * 0x1p24f));
    }
    bits = ((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (112u << 10);
    return (uint16_t)(sign | bits);
}

static uint16_t to_brain(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

il_status il_array_narrow(uint16_t *out, const float *values, int64_t n, il_dtype type,
                          const char *where, il_error *err)
{
    bool brain = type.code == IL_CODE_BFLOAT;
    uint16_t infinity = brain ? 0x7f80 : 0x7c00;

    for (int64_t i = 0; i < n; i++) {
        out[i] = brain ? to_brain(values[i]) : to_half(values[i]);
        if ((out[i] & 0x7fff) == infinity && isfinite(values[i])) {
            char name[16];

            return il_error_set(err, IL_ERR_INPUT, where,
                                "element %" PRId64 ": %s does not hold %g: take %s", i,
                                il_dtype_text(type, name), (double)values[i],
                                brain ? "float32" : "bfloat16 or float32");
        }
    }
    return IL_OK;
}
