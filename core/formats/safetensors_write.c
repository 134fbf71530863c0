/* The writer. Elements of 8 bytes come first, then 4, 2 and 1, and the header is padded
 * to a multiple of 8, so that every tensor is aligned to its element's size without a
 * gap. */
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "formats/safetensors.h"
#include "formats/safetensors_private.h"
#include "base/compiler.h"
#include "base/files.h"

enum { ALIGN = 8 };

static int tensor_compare(const void *a, const void *b)
{
    const il_safetensor *x = *(const il_safetensor *const *)a;
    const il_safetensor *y = *(const il_safetensor *const *)b;

    if (x->dtype.bits != y->dtype.bits) {
        return x->dtype.bits > y->dtype.bits ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static int pair_compare(const void *a, const void *b)
{
    return strcmp((*(const il_safetensors_pair *const *)a)->key,
                  (*(const il_safetensors_pair *const *)b)->key);
}

static il_status check_tensor(const il_safetensor *t, const char *path, il_error *err)
{
    char shown[64];
    size_t bytes = 0;

    il__safetensor_show(t->name, shown);
    if (strcmp(t->name, "__metadata__") == 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor '%s': the name is taken by the format", shown);
    }
    if (il_safetensors_dtype_name(t->dtype) == NULL) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor '%s': dtype: code %d with %d bits and %d lanes has "
                            "no name in the format",
                            shown, t->dtype.code, t->dtype.bits, t->dtype.lanes);
    }
    if (t->ndim < 0 || t->ndim > IL_DIMS_MAX || !il__safetensor_bytes(t, &bytes) ||
        bytes != t->bytes) {
        return il_error_set(
            err, IL_ERR_INPUT, path,
            "tensor '%s': expected %zu bytes by dtype and shape, got %zu", shown, bytes,
            t->bytes);
    }
    return IL_OK;
}

/* Adds a value under a key that must be new; takes the value over. False when the key
 * or the value is NULL or no UTF-8, or memory is out. */
static bool object_add(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key) != NULL) {
        json_decref(value);
        return false;
    }
    return json_object_set_new(object, key, value) == 0;
}

static json_t *tensor_info(const il_safetensor *t, size_t begin)
{
    json_t *shape = json_array();
    bool whole = shape != NULL;

    for (int32_t i = 0; i < t->ndim && whole; i++) {
        whole = json_array_append_new(shape, json_integer(t->shape[i])) == 0;
    }
    if (!whole) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                     il_safetensors_dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + t->bytes));
}

/* The header as JSON text, malloc'ed by jansson. Both lists are sorted. */
static il_status header_text(char **out, const il_safetensor *const *tensors,
                             size_t count, const il_safetensors_pair *const *metadata,
                             size_t pairs, const char *path, il_error *err)
{
    il_status status = IL_OK;
    json_t *header = json_object();
    json_t *map = pairs > 0 ? json_object() : NULL;
    char shown[64];
    size_t begin = 0;

    for (size_t i = 0; i < pairs; i++) {
        if (!object_add(map, metadata[i]->key, json_string(metadata[i]->value))) {
            status = il_error_set(
                err, IL_ERR_INPUT, path,
                "metadata '%s': expected a new key, and UTF-8 in key and value",
                il__safetensor_show(metadata[i]->key, shown));
            json_decref(map);
            goto out;
        }
    }
    if (map != NULL && !object_add(header, "__metadata__", map)) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        if (!object_add(header, tensors[i]->name, tensor_info(tensors[i], begin))) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "tensor '%s': expected a new name in UTF-8",
                                  il__safetensor_show(tensors[i]->name, shown));
            goto out;
        }
        if (!il_add_size(begin, tensors[i]->bytes, &begin) || begin > INT64_MAX) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "the tensors' bytes do not fit 63 bits");
            goto out;
        }
    }
    /* jansson writes an object's keys in the order in which they were added. */
    *out = json_dumps(header, JSON_COMPACT);
    if (*out == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
out:
    json_decref(header);
    return status;
}

/* Length, text and padding in one malloc'ed piece. */
static il_status header_bytes(char **out, size_t *size, const char *text,
                              const char *path, il_error *err)
{
    size_t length = strlen(text);
    uint64_t padded = (length + ALIGN - 1) / ALIGN * ALIGN;
    char *bytes;

    if (padded > IL_SAFETENSORS_HEADER_MAX) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "header: expected at most %zu bytes, got %zu",
                            IL_SAFETENSORS_HEADER_MAX, length);
    }
    bytes = malloc(sizeof padded + (size_t)padded);
    if (bytes == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    memcpy(bytes, &padded, sizeof padded);
    memcpy(bytes + sizeof padded, text, length);
    memset(bytes + sizeof padded + length, ' ', (size_t)padded - length);
    *out = bytes;
    *size = sizeof padded + (size_t)padded;
    return IL_OK;
}

il_status il_safetensors_write(const char *path, const il_safetensor *tensors,
                               size_t count, const il_safetensors_pair *metadata,
                               size_t pairs, il_error *err)
{
    il_status status = IL_OK;
    const il_safetensor **sorted = calloc(count + 1, sizeof *sorted);
    const il_safetensors_pair **keys = calloc(pairs + 1, sizeof *keys);
    il_file_part *parts = calloc(count + 1, sizeof *parts);
    char *text = NULL;
    char *header = NULL;

    if (sorted == NULL || keys == NULL || parts == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        status = check_tensor(&tensors[i], path, err);
        if (status != IL_OK) {
            goto out;
        }
        sorted[i] = &tensors[i];
    }
    for (size_t i = 0; i < pairs; i++) {
        keys[i] = &metadata[i];
    }
    qsort(sorted, count, sizeof *sorted, tensor_compare);
    qsort(keys, pairs, sizeof *keys, pair_compare);
    status = header_text(&text, sorted, count, keys, pairs, path, err);
    if (status != IL_OK) {
        goto out;
    }
    status = header_bytes(&header, &parts[0].size, text, path, err);
    if (status != IL_OK) {
        goto out;
    }
    parts[0].data = header;
    for (size_t i = 0; i < count; i++) {
        parts[i + 1] = (il_file_part){sorted[i]->data, sorted[i]->bytes};
    }
    status = il_file_write_parts(path, parts, count + 1, err);
out:
    free(header);
    free(text);
    free(parts);
    free(keys);
    free(sorted);
    return status;
}
