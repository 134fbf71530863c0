/* What shards hold, and rows of it; shards_list.c finds their files. */
#include "formats/shards.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "base/text.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "formats/shards_private.h"

enum { INDEX_MAX = 4 << 20 };

/* A column over all shards. */
typedef struct column {
    const char *name;
    il_array *arrays; /* [shard]; where a shard lacks it, without a type */
    int64_t *first;   /* [shards+1]: its first row in each */
} column;

struct il_shards {
    il_arena *arena;
    const char *path;
    il__shards_list list;
    il_safetensors **tensors; /* [file], or NULL */
    il_npy *npys;             /* [file], or zeros */
    column *columns;          /* by name */
    size_t column_count;
    json_t *about;
};

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* A file of the shard, for messages: that of a column, or its first. */
static const char *path_of(const il_shards *s, size_t shard, const char *name)
{
    for (size_t i = s->list.first[shard]; i < s->list.first[shard + 1]; i++) {
        const il__shards_file *f = &s->list.files[i];

        if (f->column != NULL && name != NULL && strcmp(f->column, name) == 0) {
            return f->path;
        }
    }
    return s->list.files[s->list.first[shard]].path;
}

/* ---- opening -------------------------------------------------------------------- */

/* The column of that name, added where it is new. They are few: a search from the first
 * is short, and where all shards are alike the next is the one behind the last. */
static il_status column_take(il_shards *s, const char *name, size_t guess, column **out,
                             il_error *err)
{
    size_t shards = s->list.shards;
    column *c;

    if (guess < s->column_count && strcmp(s->columns[guess].name, name) == 0) {
        *out = &s->columns[guess];
        return IL_OK;
    }
    for (size_t i = 0; i < s->column_count; i++) {
        if (strcmp(s->columns[i].name, name) == 0) {
            *out = &s->columns[i];
            return IL_OK;
        }
    }
    if (s->column_count == IL__SHARDS_COLUMNS_MAX) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "expected at most %d columns in all shards",
                            IL__SHARDS_COLUMNS_MAX);
    }
    c = &s->columns[s->column_count];
    c->name = name;
    c->arrays = il_arena_calloc(s->arena, shards, sizeof *c->arrays);
    c->first = il_arena_calloc(s->arena, shards + 1, sizeof *c->first);
    if (c->arrays == NULL || c->first == NULL) {
        return no_memory(s->path, err);
    }
    s->column_count++;
    *out = c;
    return IL_OK;
}

static il_status open_tensors(il_shards *s, size_t shard, size_t file, il_error *err)
{
    const il__shards_file *f = &s->list.files[file];

    IL_TRY(il_safetensors_open(&s->tensors[file], f->path, err));
    for (size_t i = 0; i < il_safetensors_count(s->tensors[file]); i++) {
        const il_safetensor *t = il_safetensors_at(s->tensors[file], i);
        column *c = NULL;

        if (t->ndim > 0) {
            IL_TRY(column_take(s, t->name, i, &c, err));
            c->arrays[shard] = il_safetensor_array(t);
        }
    }
    return IL_OK;
}

static il_status open_npy(il_shards *s, size_t shard, size_t file, il_error *err)
{
    const il__shards_file *f = &s->list.files[file];
    column *c = NULL;

    IL_TRY(il_npy_map(&s->npys[file], f->path, err));
    if (s->npys[file].array.ndim == 0) {
        return il_error_set(err, IL_ERR_SHAPE, f->path,
                            "expected an array with rows, got a single number");
    }
    IL_TRY(column_take(s, f->column, file - s->list.first[shard], &c, err));
    c->arrays[shard] = s->npys[file].array;
    return IL_OK;
}

static int column_compare(const void *a, const void *b)
{
    return strcmp(((const column *)a)->name, ((const column *)b)->name);
}

static il_status open_files(il_shards *s, il_error *err)
{
    size_t room = s->list.count + 1;

    s->tensors = il_arena_calloc(s->arena, room, sizeof(il_safetensors *));
    s->npys = il_arena_calloc(s->arena, room, sizeof *s->npys);
    s->columns =
        il_arena_calloc(s->arena, IL__SHARDS_COLUMNS_MAX + 1, sizeof *s->columns);
    if (s->tensors == NULL || s->npys == NULL || s->columns == NULL) {
        s->list.count = 0; /* nothing is open */
        return no_memory(s->path, err);
    }
    for (size_t k = 0; k < s->list.shards; k++) {
        for (size_t i = s->list.first[k]; i < s->list.first[k + 1]; i++) {
            IL_TRY(s->list.files[i].column == NULL ? open_tensors(s, k, i, err)
                                                   : open_npy(s, k, i, err));
        }
    }
    qsort(s->columns, s->column_count, sizeof *s->columns, column_compare);
    for (size_t i = 0; i < s->column_count; i++) {
        column *c = &s->columns[i];

        for (size_t k = 0; k < s->list.shards; k++) {
            int64_t rows = c->arrays[k].ndim > 0 ? c->arrays[k].shape[0] : 0;

            /* What an empty array claims for its rows is no count of anything. */
            rows = c->arrays[k].bytes > 0 ? rows : 0;
            if (rows > INT64_MAX - c->first[k]) {
                return il_error_set(err, IL_ERR_INPUT, path_of(s, k, c->name),
                                    "'%.80s': too many rows", c->name);
            }
            c->first[k + 1] = c->first[k] + rows;
        }
    }
    return IL_OK;
}

/* ---- what they are -------------------------------------------------------------- */

/* The index of a harvest; another program's index.json is left alone. */
static il_status read_index(il_shards *s, bool *ours, il_error *err)
{
    char *path = il_path_join(s->path, "index.json");
    char *text = NULL;
    size_t size = 0;
    il_status status = path != NULL ? IL_OK : no_memory(s->path, err);
    const json_t *mark = NULL;

    if (status == IL_OK && il_file_exists(path)) {
        status = il_file_read(path, INDEX_MAX, &text, &size, err);
        s->about =
            text != NULL ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
        if (status == IL_OK && !json_is_object(s->about)) {
            status =
                il_error_set(err, IL_ERR_INPUT, path, "expected an object of JSON");
        }
        mark = json_object_get(s->about, "interloop");
    }
    *ours = mark != NULL;
    if (status == IL_OK && mark == NULL) {
        json_decref(s->about);
        s->about = NULL;
    }
    free(text);
    free(path);
    return status;
}

/* Holds the files to the index: all shards that it speaks of, and none besides. */
static il_status check_index(const il_shards *s, il_error *err)
{
    const json_t *said = json_object_get(s->about, "shards");
    int64_t count = json_integer_value(said);
    char wanted[32];

    if (!json_is_integer(said) || count < 1 || count > IL__SHARDS_FILES_MAX) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "index.json: shards: expected a number from 1 to %d",
                            IL__SHARDS_FILES_MAX);
    }
    for (int64_t k = 0; k < count; k++) {
        (void)snprintf(wanted, sizeof wanted, "%05" PRId64, k);
        if ((size_t)k >= s->list.shards ||
            strcmp(s->list.files[s->list.first[k]].shard, wanted) != 0) {
            return il_error_set(err, IL_ERR_INPUT, s->path,
                                "index.json: expected %" PRId64
                                " shards, and %s is not there: has the harvest "
                                "ended?",
                                count, wanted);
        }
    }
    return s->list.shards == (size_t)count
               ? IL_OK
               : il_error_set(
                     err, IL_ERR_INPUT, s->list.files[s->list.first[count]].path,
                     "index.json speaks of %" PRId64 " shards and not of it", count);
}

static il_status read_metadata(il_shards *s, il_error *err)
{
    const char *text = s->list.files[0].column == NULL
                           ? il_safetensors_metadata_get(s->tensors[0], IL_SHARDS_KEY)
                           : NULL;

    if (text == NULL || s->about != NULL) {
        return IL_OK;
    }
    s->about = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(s->about)
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, s->list.files[0].path,
                              IL_SHARDS_KEY ": expected an object of JSON");
}

static il_status open_all(il_shards *s, const char *naming, il_error *err)
{
    bool ours = false;

    IL_TRY(il__shards_list_make(&s->list, s->arena, s->path, naming, err));
    IL_TRY(read_index(s, &ours, err));
    if (ours && (naming == NULL || naming[0] == '\0')) {
        IL_TRY(check_index(s, err));
    }
    IL_TRY(open_files(s, err));
    return read_metadata(s, err);
}

il_status il_shards_open(il_shards **out, const char *path, const char *naming,
                         il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_shards *s = arena != NULL ? il_arena_calloc(arena, 1, sizeof *s) : NULL;
    il_status status;

    if (s == NULL) {
        il_arena_destroy(arena);
        return no_memory(path, err);
    }
    s->arena = arena;
    s->path = il_arena_strdup(arena, path);
    status = s->path != NULL ? open_all(s, naming, err) : no_memory(path, err);
    if (status != IL_OK) {
        il_shards_close(s);
        return status;
    }
    *out = s;
    return IL_OK;
}

void il_shards_close(il_shards *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; s->npys != NULL && i < s->list.count; i++) {
        il_safetensors_close(s->tensors[i]);
        il_npy_close(&s->npys[i]);
    }
    json_decref(s->about);
    il_arena_destroy(s->arena);
}

const json_t *il_shards_about(const il_shards *s)
{
    return s->about;
}

size_t il_shards_count(const il_shards *s)
{
    return s->list.shards;
}

/* ---- columns -------------------------------------------------------------------- */

size_t il_shards_columns(const il_shards *s)
{
    return s->column_count;
}

const char *il_shards_name(const il_shards *s, size_t i)
{
    return s->columns[i].name;
}

static const column *column_find(const il_shards *s, const char *name)
{
    const column key = {.name = name};

    return bsearch(&key, s->columns, s->column_count, sizeof *s->columns,
                   column_compare);
}

bool il_shards_has(const il_shards *s, const char *name)
{
    return column_find(s, name) != NULL;
}

static il_status check_alike(const il_shards *s, const column *c, size_t k,
                             il_error *err)
{
    const il_array *a = &c->arrays[0];
    const il_array *b = &c->arrays[k];
    char types[2][16];
    char shapes[2][96];

    if (a->ndim == 0 || b->ndim == 0) {
        return il_error_set(err, IL_ERR_INPUT, path_of(s, a->ndim == 0 ? 0 : k, NULL),
                            "it lacks '%.80s', which other shards have", c->name);
    }
    if (a->dtype.code == b->dtype.code && a->dtype.bits == b->dtype.bits &&
        a->ndim == b->ndim &&
        memcmp(a->shape + 1, b->shape + 1,
               (size_t)(a->ndim - 1) * sizeof a->shape[0]) == 0) {
        return IL_OK;
    }
    return il_error_set(err, IL_ERR_SHAPE, path_of(s, k, c->name),
                        "'%.80s': expected %s %s but for the number of rows, as in the "
                        "first shard, got %s %s",
                        c->name, il_dtype_text(a->dtype, types[0]),
                        il_array_shape(a->ndim, a->shape, shapes[0]),
                        il_dtype_text(b->dtype, types[1]),
                        il_array_shape(b->ndim, b->shape, shapes[1]));
}

il_status il_shards_find(const il_shards *s, const char *name, size_t *column_number,
                         il_shards_column *out, il_error *err)
{
    const column *c = column_find(s, name);

    if (c == NULL) {
        const char *names[IL__SHARDS_COLUMNS_MAX];
        const char *near;

        for (size_t i = 0; i < s->column_count; i++) {
            names[i] = s->columns[i].name;
        }
        near = il_nearest(name, names, s->column_count);
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "its shards have no '%.80s'%s%.80s%s", name,
                            near != NULL ? ", did you mean '" : "",
                            near != NULL ? near : "", near != NULL ? "'?" : "");
    }
    for (size_t k = 0; k < s->list.shards; k++) {
        IL_TRY(check_alike(s, c, k, err));
    }
    *column_number = (size_t)(c - s->columns);
    *out = (il_shards_column){
        .name = c->name, .dtype = c->arrays[0].dtype, .ndim = c->arrays[0].ndim};
    memcpy(out->shape, c->arrays[0].shape, sizeof out->shape);
    out->shape[0] = c->first[s->list.shards];
    return IL_OK;
}

il_status il_shards_agree(const il_shards *s, size_t a, size_t b, il_error *err)
{
    const column *x = &s->columns[a];
    const column *y = &s->columns[b];

    for (size_t k = 0; k < s->list.shards; k++) {
        int64_t n = x->first[k + 1] - x->first[k];
        int64_t m = y->first[k + 1] - y->first[k];

        if (n != m) {
            return il_error_set(err, IL_ERR_SHAPE, path_of(s, k, y->name),
                                "'%.80s': expected %" PRId64
                                " rows, as '%.80s' has them in that shard, "
                                "got %" PRId64,
                                y->name, n, x->name, m);
        }
    }
    return IL_OK;
}

/* ---- rows ----------------------------------------------------------------------- */

typedef enum kind { FLOATS, WHOLES, FLAGS } kind;

static il_status put(kind k, void *out, int64_t at, const il_array *a,
                     const char *where, il_error *err)
{
    switch (k) {
    case FLOATS:
        return il_array_floats_to((float *)out + at, a, where, err);
    case WHOLES:
        return il_array_wholes_to((int64_t *)out + at, a, where, err);
    default:
        return il_array_flags_to((uint8_t *)out + at, a, where, err);
    }
}

/* The shard that row `row` lies in: the last that begins at it or before. */
static size_t shard_of(const il_shards *s, const column *c, int64_t row)
{
    size_t low = 0;
    size_t high = s->list.shards;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (c->first[middle] <= row) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static il_status read_rows(const il_shards *s, size_t number, kind as, int64_t first,
                           int64_t rows, void *out, il_error *err)
{
    const column *c = &s->columns[number];
    int64_t total = c->first[s->list.shards];
    int64_t at = 0;

    if (first < 0 || rows < 0 || first > total || rows > total - first) {
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "'%.80s': expected rows within %" PRId64 ", got %" PRId64
                            " from %" PRId64 " on",
                            c->name, total, rows, first);
    }
    for (size_t k = shard_of(s, c, first); rows > 0; k++) {
        int64_t from = first - c->first[k];
        int64_t have = c->first[k + 1] - first;
        int64_t n = rows < have ? rows : have;
        il_array part = c->arrays[k];
        char where[IL_ERROR_WHERE_MAX];
        size_t step;

        if (n <= 0) {
            continue; /* a shard without rows */
        }
        step = part.bytes / (size_t)part.shape[0];
        part.data = (const char *)part.data + (size_t)from * step;
        part.bytes = (size_t)n * step;
        part.shape[0] = n;
        (void)snprintf(where, sizeof where, "%s#%s from row %" PRId64,
                       path_of(s, k, c->name), c->name, from);
        IL_TRY(put(as, out, at, &part, where, err));
        at += il_array_count(&part);
        first += n;
        rows -= n;
    }
    return IL_OK;
}

il_status il_shards_floats(const il_shards *s, size_t number, int64_t first,
                           int64_t rows, float *out, il_error *err)
{
    return read_rows(s, number, FLOATS, first, rows, out, err);
}

il_status il_shards_wholes(const il_shards *s, size_t number, int64_t first,
                           int64_t rows, int64_t *out, il_error *err)
{
    return read_rows(s, number, WHOLES, first, rows, out, err);
}

il_status il_shards_flags(const il_shards *s, size_t number, int64_t first,
                          int64_t rows, uint8_t *out, il_error *err)
{
    return read_rows(s, number, FLAGS, first, rows, out, err);
}

/* What is known without reading rows: each column's type and shape in every shard. */
static void hash_shapes(const il_shards *s, il_hash *h)
{
    for (size_t i = 0; i < s->column_count; i++) {
        const column *c = &s->columns[i];

        il_hash_text(h, c->name);
        for (size_t k = 0; k < s->list.shards; k++) {
            const il_array *a = &c->arrays[k];
            const int64_t is[3] = {a->dtype.code, a->dtype.bits, a->ndim};

            il_hash_part(h, is, sizeof is);
            il_hash_part(h, a->shape, (size_t)a->ndim * sizeof a->shape[0]);
        }
    }
}

static void hash_files(const il_shards *s, il_hash *h)
{
    for (size_t i = 0; i < s->list.count; i++) {
        const il__shards_file *f = &s->list.files[i];
        const il_mapped *m =
            f->column == NULL ? il_safetensors_map(s->tensors[i]) : &s->npys[i].map;
        char own[IL_HASH_HEX];

        il_hash_bulk(m->data, m->size, own);
        il_hash_text(h, f->shard);
        il_hash_text(h, f->column);
        il_hash_text(h, own);
    }
}

il_status il_shards_hash(const il_shards *s, bool rows, char hex[IL_HASH_HEX],
                         il_error *err)
{
    il_hash *h = il_hash_create();
    char *about =
        s->about != NULL ? json_dumps(s->about, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    bool starved = h == NULL || (s->about != NULL && about == NULL);

    if (h != NULL && !starved) {
        il_hash_text(h, about);
        if (rows) {
            hash_files(s, h);
        } else {
            hash_shapes(s, h);
        }
    }
    if (h != NULL) {
        il_hash_done(h, hex);
    }
    free(about);
    return starved ? no_memory(s->path, err) : IL_OK;
}
