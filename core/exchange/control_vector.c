/* Control vectors: GGUF files of one direction a layer, as llama.cpp and repeng make
 * and read them. direction.N is added to what block N gives to the residual stream,
 * blocks counted from 0; there is none for block 0. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "exchange/direction.h"
#include "formats/gguf.h"

static const char prefix[] = "direction.";
enum { PREFIX = sizeof prefix - 1 };

static il_status check_kind(const il_gguf *file, const char *path, il_error *err)
{
    const char *kind = il_gguf_text(file, "general.architecture");

    if (kind == NULL || strcmp(kind, "controlvector") != 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "general.architecture: expected controlvector, got '%.64s'",
                            kind != NULL ? kind : "nothing");
    }
    if (il_gguf_count(file) == 0) {
        return il_error_set(err, IL_ERR_INPUT, path, "it holds no direction");
    }
    return IL_OK;
}

static il_status read_one(const il_gguf *file, const il_gguf_tensor *t, int64_t width,
                          const char *path, il_direction *out, il_error *err)
{
    if (strncmp(t->name, prefix, PREFIX) != 0 ||
        !il_parse_int(t->name + PREFIX, &out->layer) || out->layer < 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "expected tensors direction.N alone, got '%.64s'", t->name);
    }
    out->width = il_gguf_elements(t);
    if (out->width != t->shape[t->ndim - 1] || out->width != width) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "tensor '%.64s': expected one row of %" PRId64
                            " channels, as the first has, got %" PRId64
                            " values in %" PRId32 " dimensions",
                            t->name, width, out->width, t->ndim);
    }
    IL_TRY(il_gguf_floats(file, t, &out->weight, err));
    for (int64_t c = 0; c < width; c++) {
        if (!isfinite(out->weight[c])) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "tensor '%.64s': element [%" PRId64
                                "]: expected a finite number",
                                t->name, c);
        }
    }
    return IL_OK;
}

static int layer_compare(const void *a, const void *b)
{
    const il_direction *x = a;
    const il_direction *y = b;

    return x->layer < y->layer ? -1 : x->layer > y->layer;
}

static il_status read_all(const il_gguf *file, const char *path, il_directions *out,
                          il_text *said, il_error *err)
{
    const char *model = il_gguf_text(file, "controlvector.model_hint");
    const il_gguf_tensor *first;

    IL_TRY(check_kind(file, path, err));
    first = il_gguf_at(file, 0);
    out->items = calloc(il_gguf_count(file), sizeof *out->items);
    out->model = model != NULL ? strdup(model) : NULL;
    if (out->items == NULL || (model != NULL && out->model == NULL)) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    out->steers = true;
    for (size_t i = 0; i < il_gguf_count(file); i++) {
        out->count = i + 1;
        IL_TRY(read_one(file, il_gguf_at(file, i), first->shape[first->ndim - 1], path,
                        &out->items[i], err));
    }
    qsort(out->items, out->count, sizeof *out->items, layer_compare);
    il_text_addf(said,
                 "GGUF control vector%s%.64s: %zu layers, %" PRId64 " to %" PRId64
                 ", of %" PRId64 " channels\n",
                 model != NULL ? " for " : "", model != NULL ? model : "", out->count,
                 out->items[0].layer, out->items[out->count - 1].layer,
                 out->items[0].width);
    return IL_OK;
}

il_status il_direction_read_gguf(il_directions *out, const char *path, il_text *said,
                                 il_error *err)
{
    il_directions all = {.items = NULL};
    il_gguf *file = NULL;
    il_status status = il_gguf_open(&file, path, err);

    if (status == IL_OK) {
        status = read_all(file, path, &all, said, err);
    }
    il_gguf_close(file);
    if (status != IL_OK) {
        il_directions_clear(&all);
        return status;
    }
    *out = all;
    return IL_OK;
}

il_status il_direction_write_gguf(const il_direction *items, size_t count,
                                  const char *model, const char *path, il_error *err)
{
    il_gguf_vector *vectors = calloc(count + 1, sizeof *vectors);
    char(*names)[32] = calloc(count + 1, sizeof *names);
    int64_t last = 0;
    il_status status = IL_OK;

    if (vectors == NULL || names == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    for (size_t i = 0; i < count && status == IL_OK; i++) {
        if (items[i].layer < 1 || items[i].layer > INT32_MAX) {
            status =
                il_error_set(err, IL_ERR_INPUT, path,
                             "expected a layer from 1 on, which a control vector's "
                             "directions belong to");
        }
        last = items[i].layer > last ? items[i].layer : last;
        (void)snprintf(names[i], sizeof names[i], "%s%" PRId64, prefix, items[i].layer);
        vectors[i] = (il_gguf_vector){names[i], items[i].width, items[i].weight};
    }
    if (status == IL_OK) {
        const il_gguf_pair pairs[] = {
            {"general.architecture", "controlvector", 0},
            {"controlvector.model_hint", model != NULL ? model : "unknown", 0},
            {"controlvector.layer_count", NULL, (uint32_t)last}};

        status = il_gguf_write(path, pairs, 3, vectors, count, err);
    }
    free(names);
    free(vectors);
    return status;
}
