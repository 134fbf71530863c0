/* Rows and names lie in the store's arena, values in one block beside it. */
#include "tensor/store.h"

#include <stdlib.h>
#include <string.h>
#include "interloop/rng.h"
#include "base/compiler.h"
#include "base/pages.h"

enum { LINE = 16 }; /* floats in a 64-byte line */

static const int64_t COUNT_MAX = (int64_t)1 << 31;

il_status il_store_create(il_store **out, il_error *err)
{
    il_store *s = calloc(1, sizeof *s);

    if (s != NULL) {
        s->arena = il_arena_create(16384);
    }
    if (s == NULL || s->arena == NULL) {
        free(s);
        return il_error_set(err, IL_ERR_MEMORY, "store", "no memory for a store");
    }
    *out = s;
    return IL_OK;
}

void il_store_destroy(il_store *s)
{
    if (s == NULL) {
        return;
    }
    il_arena_destroy(s->arena);
    free(s->values);
    free(s);
}

int64_t il_store_find(const il_store *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->items[i].name, name) == 0) {
            return (int64_t)i;
        }
    }
    return -1;
}

/* Room for one more row. Counts 0, 8, 16, 32 ... are those at which the rows are full.
 */
static bool make_room(il_store *s)
{
    size_t room = s->count < 8 ? 8 : 2 * s->count;
    il_stored *items;

    if (s->count != 0 && (s->count < 8 || (s->count & (s->count - 1)) != 0)) {
        return true;
    }
    items = il_arena_calloc(s->arena, room, sizeof *items);
    if (items == NULL) {
        return false;
    }
    if (s->count > 0) {
        memcpy(items, s->items, s->count * sizeof *items);
    }
    s->items = items;
    return true;
}

/* The elements of a shape in *count, refusing what a store cannot hold. */
static il_status count_elements(const char *name, int32_t ndim, const int64_t *shape,
                                int64_t *count, il_error *err)
{
    *count = 1;
    if (ndim < 1 || ndim > IL_DIMS_MAX) {
        return il_error_set(err, IL_ERR_SHAPE, name,
                            "expected 1 to %d dimensions, got %d", IL_DIMS_MAX,
                            (int)ndim);
    }
    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] < 1) {
            return il_error_set(err, IL_ERR_SHAPE, name,
                                "dimension %d is %lld, expected at least 1; check the "
                                "sizes that the component derives it from",
                                (int)i, (long long)shape[i]);
        }
        if (shape[i] > COUNT_MAX / *count) {
            return il_error_set(err, IL_ERR_SHAPE, name,
                                "more than 2^31 elements; make a dimension smaller");
        }
        *count *= shape[i];
    }
    return IL_OK;
}

il_status il_store_add(il_store *s, const char *name, const char *group, int32_t ndim,
                       const int64_t *shape, il_init init, il_error *err)
{
    int64_t count;
    il_stored *item;
    const char *own_name;
    const char *own_group;

    if (s->values != NULL) {
        return il_error_set(err, IL_ERR_INPUT, name,
                            "registered after the parameters were filled");
    }
    if (il_store_find(s, name) >= 0) {
        return il_error_set(err, IL_ERR_INPUT, name,
                            "a parameter of this name is registered already; give "
                            "each its own name");
    }
    IL_TRY(count_elements(name, ndim, shape, &count, err));
    own_name = il_arena_strdup(s->arena, name);
    own_group = il_arena_strdup(s->arena, group);
    if (own_name == NULL || own_group == NULL || !make_room(s)) {
        return il_error_set(err, IL_ERR_MEMORY, name, "no memory for a parameter");
    }
    item = &s->items[s->count++];
    item->name = own_name;
    item->group = own_group;
    item->ndim = ndim;
    memcpy(item->shape, shape, (size_t)ndim * sizeof *shape);
    item->count = count;
    item->offset = s->total;
    item->init = init;
    s->total += (count + LINE - 1) / LINE * LINE;
    return IL_OK;
}

float *il_store_block(const il_store *s)
{
    size_t bytes = s->total > 0 ? (size_t)s->total * sizeof(float) : 64;
    float *block = il_pages_alloc(bytes);

    if (block != NULL) {
        memset(block, 0, bytes);
    }
    return block;
}

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
static uint64_t name_hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *name != '\0'; name++) {
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    }
    return h;
}

static void draw(const il_stored *item, uint64_t seed, float *values)
{
    int64_t width = item->shape[item->ndim - 1];
    uint64_t hash = name_hash(item->name);
    float a = item->init.a;

    for (int64_t row = 0; row < item->count / width; row++) {
        float *v = values + row * width;
        il_rng rng;

        il_rng_open(&rng, seed, 0, IL_RNG_INIT, hash, (uint64_t)row);
        for (int64_t i = 0; i < width; i++) {
            switch (item->init.kind) {
            case IL_INIT_CONSTANT:
                v[i] = a;
                break;
            case IL_INIT_GAUSS:
                v[i] = a * il_rng_normal(&rng);
                break;
            case IL_INIT_RANGE:
                v[i] = a * (2.0f * il_rng_uniform(&rng) - 1.0f);
                break;
            }
        }
    }
}

il_status il_store_fill(il_store *s, uint64_t seed, il_error *err)
{
    if (s->values == NULL) {
        s->values = il_store_block(s);
    }
    if (s->values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "store",
                            "no memory for %lld parameters", (long long)s->total);
    }
    for (size_t i = 0; i < s->count; i++) {
        draw(&s->items[i], seed, s->values + s->items[i].offset);
    }
    return IL_OK;
}
