/* Rows and names lie in the store's arena, values in one block beside it.
 *
 * Where values come from files of floats, the block is address space over which those
 * files are laid, private and writable: a value is read from the page cache until a
 * step changes it. What lies between tensors there, a header say, is cleared, so that
 * such a block is like any other. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tensor/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "interloop/rng.h"
#include "base/compiler.h"
#include "base/pages.h"
#include "tensor/kernels.h"

enum { LINE = 16, PAGE = 1 << 14 }; /* floats in a 64-byte line, in the largest page */
enum { HUGE_PAGE = 2 << 20 };       /* bytes */

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
    if (s->mapped > 0) {
        (void)munmap(s->values, s->mapped);
    } else {
        free(s->values);
    }
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

/* Where a file may begin in the block. A large one lies as in the system's huge pages,
 * so that it is mapped by those where the page cache has them: to touch all of 500 MB
 * takes a third of the time. */
static int64_t file_step(const il_mapped *map)
{
    return map->size >= (size_t)8 * HUGE_PAGE ? HUGE_PAGE / (int64_t)sizeof(float)
                                              : PAGE;
}

/* The place of a file in the block, new where it has none yet; NULL when memory is out.
 */
static const il_store_file *place_file(il_store *s, const il_store_source *source)
{
    il_store_file *f;

    for (size_t i = 0; i < s->file_count; i++) {
        if (s->files[i].same == source->map) {
            return &s->files[i];
        }
    }
    f = il_arena_calloc(s->arena, s->file_count + 1, sizeof *f);
    if (f == NULL) {
        return NULL;
    }
    if (s->file_count > 0) {
        memcpy(f, s->files, s->file_count * sizeof *f);
    }
    s->files = f;
    f += s->file_count;
    f->map = *source->map;
    f->same = source->map;
    f->path = il_arena_strdup(s->arena, source->path);
    f->first =
        (s->total + file_step(&f->map) - 1) / file_step(&f->map) * file_step(&f->map);
    if (f->path == NULL) {
        return NULL;
    }
    s->total = f->first + (int64_t)((f->map.size / sizeof(float) + PAGE) / PAGE * PAGE);
    s->file_count++;
    return f;
}

static bool is_float(il_dtype t)
{
    return (t.code == IL_CODE_FLOAT && (t.bits == 32 || t.bits == 16)) ||
           (t.code == IL_CODE_BFLOAT && t.bits == 16);
}

/* Whether a tensor of a file is some parameter's place already. */
static bool is_taken(const il_store *s, const void *data)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].source.data == data && s->items[i].source.map != NULL) {
            return true;
        }
    }
    return false;
}

il_status il_store_add_from(il_store *s, const char *name, const char *group,
                            int32_t ndim, const int64_t *shape,
                            const il_store_source *source, il_error *err)
{
    const int64_t total = s->total;
    const bool taken = is_taken(s, source->data);
    const il_store_file *file;
    il_stored *item;

    if (!is_float(source->dtype)) {
        return il_error_set(err, IL_ERR_INPUT, name,
                            "expected values of f32, f16 or bf16");
    }
    IL_TRY(il_store_add(s, name, group, ndim, shape, IL_INIT_ZERO, err));
    item = &s->items[s->count - 1];
    item->source = *source;
    if (source->map == NULL || source->dtype.bits != 32) {
        return IL_OK;
    }
    /* A tensor under two names is two parameters: the second has a copy. */
    if (taken) {
        item->source.map = NULL;
        return IL_OK;
    }
    s->total = total; /* it lies with its file */
    file = place_file(s, source);
    if (file == NULL) {
        s->count--;
        return il_error_set(err, IL_ERR_MEMORY, name, "no memory for a parameter");
    }
    item->offset =
        file->first + ((const char *)source->data - (const char *)source->map->data) /
                          (int64_t)sizeof(float);
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

    return il_pages_zeroed(bytes);
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

/* Whether an item's values are the file's own bytes. */
static bool in_place(const il_stored *item)
{
    return item->source.data != NULL && item->source.map != NULL &&
           item->source.dtype.bits == 32;
}

static void take(const il_stored *item, float *values)
{
    const size_t bytes = (size_t)item->count * sizeof *values;

    if (item->source.dtype.code == IL_CODE_BFLOAT) {
        il_k_widen_bf16(values, item->source.data, item->count);
    } else if (item->source.dtype.bits == 16) {
        il_k_widen_f16(values, item->source.data, item->count);
    } else if (memcmp(values, item->source.data, bytes) != 0) {
        /* A page that is mapped would be copied by as much as writing the same. */
        memcpy(values, item->source.data, bytes);
    }
}

/* Numbers at random with the mean and the deviation of those that the file has. */
static void redraw(const il_stored *item, uint64_t seed, float *values)
{
    const uint64_t hash = name_hash(item->name);
    const int64_t width = item->shape[item->ndim - 1];
    double mean = 0.0;
    double square = 0.0;
    double deviation;

    take(item, values);
    for (int64_t i = 0; i < item->count; i++) {
        mean += (double)values[i];
    }
    mean /= (double)item->count;
    for (int64_t i = 0; i < item->count; i++) {
        square += ((double)values[i] - mean) * ((double)values[i] - mean);
    }
    deviation = sqrt(square / (double)item->count);
    for (int64_t row = 0; row < item->count / width; row++) {
        il_rng rng;

        il_rng_open(&rng, seed, 0, IL_RNG_INIT, hash, (uint64_t)row);
        for (int64_t i = 0; i < width; i++) {
            values[row * width + i] =
                (float)(mean + deviation * (double)il_rng_normal(&rng));
        }
    }
}

void il_store_draw(const il_store *s, uint64_t seed, float *block)
{
    for (size_t i = 0; i < s->count; i++) {
        float *values = block + s->items[i].offset;

        if (s->items[i].source.data != NULL) {
            redraw(&s->items[i], seed, values);
        } else {
            draw(&s->items[i], seed, values);
        }
    }
}

static int offset_compare(const void *a, const void *b)
{
    const il_stored *const *x = a;
    const il_stored *const *y = b;

    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

/* Zeros wherever no parameter lies, over the whole of each file. */
static il_status clear_gaps(il_store *s, il_error *err)
{
    const il_stored **order = calloc(s->count + 1, sizeof *order);

    if (order == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "store", "out of memory");
    }
    for (size_t i = 0; i < s->count; i++) {
        order[i] = &s->items[i];
    }
    qsort(order, s->count, sizeof *order, offset_compare);
    for (size_t f = 0; f < s->file_count; f++) {
        const size_t size = s->files[f].map.size;
        char *base = (char *)(s->values + s->files[f].first);
        size_t at = 0;

        for (size_t i = 0; i < s->count; i++) {
            const int64_t from = order[i]->offset - s->files[f].first;

            if (from >= 0 && (size_t)from * sizeof(float) < size) {
                memset(base + at, 0, (size_t)from * sizeof(float) - at);
                at = (size_t)(from + order[i]->count) * sizeof(float);
            }
        }
        memset(base + at, 0, size - at);
    }
    free(order);
    return IL_OK;
}

/* Whole pages of zeros that begin a huge page; NULL when memory is out. */
static void *map_aligned(size_t bytes)
{
    const size_t room = bytes + HUGE_PAGE;
    char *all =
        mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (all == MAP_FAILED) {
        return NULL;
    }
    before = (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0) {
        (void)munmap(all, before); /* what cannot be given back is address space */
    }
    (void)munmap(all + before + bytes, HUGE_PAGE - before);
    return all + before;
}

/* Address space for the block, and the files over it. */
static il_status lay_files(il_store *s, il_error *err)
{
    const int64_t pages = (s->total + PAGE - 1) / PAGE;
    const size_t bytes = (size_t)(pages * PAGE) * sizeof(float);
    void *block = map_aligned(bytes);

    if (block == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "store",
                            "no memory for %lld parameters", (long long)s->total);
    }
    s->values = block;
    s->mapped = bytes;
    for (size_t i = 0; i < s->file_count; i++) {
        IL_TRY(il_mapped_over(&s->files[i].map, s->files[i].path,
                              s->values + s->files[i].first, err));
    }
    return clear_gaps(s, err);
}

il_status il_store_fill(il_store *s, uint64_t seed, il_error *err)
{
    const bool again = s->values != NULL;

    if (!again && s->file_count > 0) {
        IL_TRY(lay_files(s, err));
    } else if (!again) {
        s->values = il_store_block(s);
    }
    if (s->values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "store",
                            "no memory for %lld parameters", (long long)s->total);
    }
    for (size_t i = 0; i < s->count; i++) {
        float *values = s->values + s->items[i].offset;

        if (s->items[i].source.data == NULL) {
            draw(&s->items[i], seed, values);
        } else if (again || !in_place(&s->items[i])) {
            take(&s->items[i], values);
        }
    }
    return IL_OK;
}
