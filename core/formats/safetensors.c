/* The reader. Order of the checks: the file's size, the header's length, the JSON, each
 * tensor by itself, then all of them together, which must cover the data without gap or
 * overlap. */
#include "formats/safetensors.h"
#include "formats/safetensors_private.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"
#include "base/mapped.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are handed out as they lie in the file, little-endian");

enum { LENGTH = 8 }; /* bytes of the header's length before it */

struct il_safetensors {
    il_mapped map;
    json_t *header; /* owns every name and all metadata */
    il_safetensor *tensors;
    const il_safetensor **by_name;
    size_t count;
    il_safetensors_pair *metadata;
    size_t pairs;
};

static const struct {
    const char *name;
    il_dtype dtype;
} dtypes[] = {
    {"F64", {IL_CODE_FLOAT, 64, 1}}, {"F32", {IL_CODE_FLOAT, 32, 1}},
    {"F16", {IL_CODE_FLOAT, 16, 1}}, {"BF16", {IL_CODE_BFLOAT, 16, 1}},
    {"I64", {IL_CODE_INT, 64, 1}},   {"I32", {IL_CODE_INT, 32, 1}},
    {"I16", {IL_CODE_INT, 16, 1}},   {"I8", {IL_CODE_INT, 8, 1}},
    {"U8", {IL_CODE_UINT, 8, 1}},    {"BOOL", {IL_CODE_BOOL, 8, 1}},
};
enum { DTYPES = sizeof dtypes / sizeof dtypes[0] };

const char *il_safetensors_dtype_name(il_dtype dtype)
{
    for (size_t i = 0; i < DTYPES; i++) {
        if (dtypes[i].dtype.code == dtype.code && dtypes[i].dtype.bits == dtype.bits &&
            dtypes[i].dtype.lanes == dtype.lanes) {
            return dtypes[i].name;
        }
    }
    return NULL;
}

bool il__safetensor_bytes(const il_safetensor *t, size_t *bytes)
{
    return il_array_size(t->dtype, t->ndim, t->shape, bytes);
}

const char *il__safetensor_show(const char *name, char out[64])
{
    size_t n = 0;

    for (; name[n] != '\0' && n < 60; n++) {
        unsigned char c = (unsigned char)name[n];

        out[n] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    memcpy(out + n, name[n] != '\0' ? "..." : "", name[n] != '\0' ? 4 : 1);
    return out;
}

static il_status read_dtype(const json_t *info, il_safetensor *t, const char *path,
                            const char *shown, il_error *err)
{
    const char *name = json_string_value(json_object_get(info, "dtype"));
    char got[64];

    for (size_t i = 0; name != NULL && i < DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            t->dtype = dtypes[i].dtype;
            return IL_OK;
        }
    }
    return il_error_set(
        err, IL_ERR_INPUT, path,
        "tensor '%s': dtype: expected one of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL, "
        "got %s",
        shown, name != NULL ? il__safetensor_show(name, got) : "no string");
}

static il_status read_shape(const json_t *info, il_safetensor *t, const char *path,
                            const char *shown, il_error *err)
{
    const json_t *shape = json_object_get(info, "shape");
    size_t ndim = json_array_size(shape);

    if (!json_is_array(shape) || ndim > IL_DIMS_MAX) {
        return il_error_set(
            err, IL_ERR_INPUT, path,
            "tensor '%s': shape: expected a list of at most %d sizes, got %s", shown,
            IL_DIMS_MAX, json_is_array(shape) ? "more" : "no list");
    }
    for (size_t i = 0; i < ndim; i++) {
        const json_t *size = json_array_get(shape, i);

        if (!json_is_integer(size) || json_integer_value(size) < 0) {
            return il_error_set(
                err, IL_ERR_INPUT, path,
                "tensor '%s': shape[%zu]: expected a whole number from 0 on", shown, i);
        }
        t->shape[i] = json_integer_value(size);
    }
    t->ndim = (int32_t)ndim;
    return IL_OK;
}

/* Where the tensor's bytes lie, against the data's size and the tensor's own. */
static il_status read_offsets(const json_t *info, il_safetensor *t, const char *data,
                              size_t data_bytes, const char *path, const char *shown,
                              il_error *err)
{
    const json_t *offsets = json_object_get(info, "data_offsets");
    const json_t *first = json_array_get(offsets, 0);
    const json_t *second = json_array_get(offsets, 1);
    int64_t begin = json_integer_value(first);
    int64_t end = json_integer_value(second);
    size_t expected;

    if (json_array_size(offsets) != 2 || !json_is_integer(first) ||
        !json_is_integer(second)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor '%s': data_offsets: expected two whole numbers",
                            shown);
    }
    if (begin < 0 || end < begin || (uint64_t)end > data_bytes) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor '%s': data_offsets: expected a range within the "
                            "%zu bytes of data, got [%" PRId64 ", %" PRId64 "]",
                            shown, data_bytes, begin, end);
    }
    if (!il__safetensor_bytes(t, &expected)) {
        return il_error_set(
            err, IL_ERR_INPUT, path,
            "tensor '%s': shape: its size in bytes does not fit 64 bits", shown);
    }
    t->bytes = (size_t)(end - begin);
    if (t->bytes != expected) {
        return il_error_set(
            err, IL_ERR_INPUT, path,
            "tensor '%s': data_offsets: expected %zu bytes by dtype and "
            "shape, got %zu",
            shown, expected, t->bytes);
    }
    t->data = data + begin;
    return IL_OK;
}

static il_status read_tensor(il_safetensor *t, const char *name, const json_t *info,
                             const char *data, size_t data_bytes, const char *path,
                             il_error *err)
{
    char shown[64];

    il__safetensor_show(name, shown);
    if (!json_is_object(info) || json_object_size(info) != 3) {
        return il_error_set(
            err, IL_ERR_INPUT, path,
            "tensor '%s': expected the three keys dtype, shape and data_offsets",
            shown);
    }
    t->name = name;
    IL_TRY(read_dtype(info, t, path, shown, err));
    IL_TRY(read_shape(info, t, path, shown, err));
    return read_offsets(info, t, data, data_bytes, path, shown, err);
}

static il_status read_metadata(il_safetensors *file, json_t *pairs, const char *path,
                               il_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(pairs)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "__metadata__: expected a map of strings");
    }
    file->metadata = calloc(json_object_size(pairs) + 1, sizeof *file->metadata);
    if (file->metadata == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    json_object_foreach(pairs, key, value)
    {
        char shown[64];

        if (!json_is_string(value)) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "__metadata__: '%s': expected a string",
                                il__safetensor_show(key, shown));
        }
        file->metadata[file->pairs].key = key;
        file->metadata[file->pairs].value = json_string_value(value);
        file->pairs++;
    }
    return IL_OK;
}

/* By place in the file; of two at one place the empty one comes first. */
static int place_compare(const void *a, const void *b)
{
    const il_safetensor *x = a;
    const il_safetensor *y = b;

    if (x->data != y->data) {
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    }
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static int name_compare(const void *a, const void *b)
{
    return strcmp((*(const il_safetensor *const *)a)->name,
                  (*(const il_safetensor *const *)b)->name);
}

/* The tensors, in order, must cover the data from its first byte to its last, each
 * once. */
static il_status check_cover(const il_safetensors *file, const char *data,
                             size_t data_bytes, const char *path, il_error *err)
{
    size_t covered = 0;

    for (size_t i = 0; i < file->count; i++) {
        const il_safetensor *t = &file->tensors[i];
        size_t begin = (size_t)((const char *)t->data - data);
        char shown[64];

        if (begin != covered) {
            return il_error_set(
                err, IL_ERR_INPUT, path,
                "tensor '%s': begins at byte %zu, expected %zu: tensors may %s",
                il__safetensor_show(t->name, shown), begin, covered,
                begin < covered ? "not overlap" : "leave no gap");
        }
        covered += t->bytes;
    }
    if (covered != data_bytes) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "expected %zu bytes of data by the header, got %zu",
                            covered, data_bytes);
    }
    return IL_OK;
}

static il_status read_header(il_safetensors *file, const char *data, size_t data_bytes,
                             const char *path, il_error *err)
{
    const char *key;
    json_t *value;
    size_t room = json_object_size(file->header) + 1; /* malloc(0) may be NULL */

    file->tensors = calloc(room, sizeof *file->tensors);
    file->by_name = calloc(room, sizeof *file->by_name);
    if (file->tensors == NULL || file->by_name == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    json_object_foreach(file->header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            IL_TRY(read_metadata(file, value, path, err));
        } else {
            IL_TRY(read_tensor(&file->tensors[file->count], key, value, data,
                               data_bytes, path, err));
            file->count++;
        }
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, place_compare);
    IL_TRY(check_cover(file, data, data_bytes, path, err));
    for (size_t i = 0; i < file->count; i++) {
        file->by_name[i] = &file->tensors[i];
    }
    qsort(file->by_name, file->count, sizeof *file->by_name, name_compare);
    return IL_OK;
}

/* The mapped file's two lengths against each other, then its JSON. */
static il_status read_file(il_safetensors *file, const char *path, il_error *err)
{
    const char *bytes = file->map.data;
    uint64_t length;
    size_t data_bytes;
    json_error_t why;

    if (file->map.size < LENGTH) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "expected at least %d bytes, got %zu", LENGTH,
                            file->map.size);
    }
    memcpy(&length, bytes, LENGTH);
    if (length > IL_SAFETENSORS_HEADER_MAX || length > file->map.size - LENGTH) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "header length: expected at most %zu bytes, got %" PRIu64,
                            length > IL_SAFETENSORS_HEADER_MAX
                                ? IL_SAFETENSORS_HEADER_MAX
                                : file->map.size - LENGTH,
                            length);
    }
    if (length < 2 || bytes[LENGTH] != '{') {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "header: expected a JSON object that begins with '{'");
    }
    data_bytes = file->map.size - LENGTH - (size_t)length;
    file->header =
        json_loadb(bytes + LENGTH, (size_t)length, JSON_REJECT_DUPLICATES, &why);
    if (file->header == NULL) {
        char shown[64];

        return il_error_set(err,
                            json_error_code(&why) == json_error_out_of_memory
                                ? IL_ERR_MEMORY
                                : IL_ERR_INPUT,
                            path, "header: byte %d: %s", why.position,
                            il__safetensor_show(why.text, shown));
    }
    return read_header(file, bytes + LENGTH + length, data_bytes, path, err);
}

il_status il_safetensors_open(il_safetensors **out, const char *path, il_error *err)
{
    il_safetensors *file = calloc(1, sizeof *file);
    il_status status;

    if (file == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    status = il_mapped_open(&file->map, path, err);
    if (status == IL_OK) {
        status = read_file(file, path, err);
    }
    if (status != IL_OK) {
        il_safetensors_close(file);
        return status;
    }
    *out = file;
    return IL_OK;
}

void il_safetensors_close(il_safetensors *file)
{
    if (file == NULL) {
        return;
    }
    free(file->metadata);
    free(file->by_name);
    free(file->tensors);
    json_decref(file->header);
    il_mapped_close(&file->map);
    free(file);
}

const il_mapped *il_safetensors_map(const il_safetensors *file)
{
    return &file->map;
}

size_t il_safetensors_count(const il_safetensors *file)
{
    return file->count;
}

const il_safetensor *il_safetensors_at(const il_safetensors *file, size_t i)
{
    return &file->tensors[i];
}

const il_safetensor *il_safetensors_find(const il_safetensors *file, const char *name)
{
    const il_safetensor wanted = {.name = name};
    const il_safetensor *key = &wanted;
    const il_safetensor **found =
        bsearch(&key, file->by_name, file->count, sizeof *file->by_name, name_compare);

    return found != NULL ? *found : NULL;
}

size_t il_safetensors_metadata_count(const il_safetensors *file)
{
    return file->pairs;
}

il_safetensors_pair il_safetensors_metadata_at(const il_safetensors *file, size_t i)
{
    return file->metadata[i];
}

const char *il_safetensors_metadata_get(const il_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->pairs; i++) {
        if (strcmp(file->metadata[i].key, key) == 0) {
            return file->metadata[i].value;
        }
    }
    return NULL;
}
