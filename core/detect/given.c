#include "detect/given.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/given_private.h"

enum { SITES_MAX = 64 };

/* What is being put together. */
typedef struct reader {
    const il_given_input *in;
    il_given *g;
    il__given_file *acts; /* [count of the input] */
    int64_t batch, length;
    int32_t ndim; /* of the activations: 2 or 3 */
    il_declared *sites;
    int64_t *numbers;
    int64_t *widths;
    const float **data;
} reader;

/* ---- activations ---------------------------------------------------------------- */

static il_status add_site(reader *r, const il__given_file *o, const char *name,
                          il_error *err)
{
    const il_array *a = &o->array;
    il_arena *arena = r->g->arena;
    size_t n = r->g->model.site_count;
    int64_t length = a->ndim == 3 ? a->shape[1] : 1;
    float *values = NULL;
    char shape[96];

    if ((a->ndim != 2 && a->ndim != 3) || il_array_count(a) == 0) {
        return il_error_set(err, IL_ERR_SHAPE, o->where,
                            "expected activations of shape (N,W) or (B,T,W), got %s",
                            il_array_shape(a->ndim, a->shape, shape));
    }
    if (n > 0 &&
        (a->ndim != r->ndim || a->shape[0] != r->batch || length != r->length)) {
        return il_error_set(err, IL_ERR_SHAPE, o->where,
                            "expected as many rows as the site before, %" PRId64
                            " of %" PRId64 ", got shape %s",
                            r->batch, r->length,
                            il_array_shape(a->ndim, a->shape, shape));
    }
    if (a->shape[0] > INT32_MAX / length) {
        return il_error_set(err, IL_ERR_SHAPE, o->where, "%s are too many rows at once",
                            il_array_shape(a->ndim, a->shape, shape));
    }
    if (n == SITES_MAX) {
        return il_error_set(err, IL_ERR_INPUT, o->where, "expected at most %d sites",
                            SITES_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(r->sites[i].name, name) == 0) {
            return il_error_set(err, IL_ERR_INPUT, o->where,
                                "the site '%s' is there already: name sites apart",
                                name);
        }
    }
    r->ndim = a->ndim;
    r->batch = a->shape[0];
    r->length = length;
    r->sites[n].name = il_arena_strdup(arena, name);
    r->sites[n].width = a->shape[a->ndim - 1];
    r->widths[n] = r->sites[n].width;
    r->numbers[n] = (int64_t)n;
    IL_TRY(il__given_floats(o, &values, err));
    r->data[n] = values;
    r->g->model.site_count++;
    return r->sites[n].name != NULL ? IL_OK : il__given_starved(err);
}

/* The name that the input gives the next site; `own` is what it is called otherwise. */
static const char *name_of(const reader *r, const char *own)
{
    size_t n = r->g->model.site_count;

    return n < r->in->name_count ? r->in->names[n] : own;
}

/* All that a file of ours holds, or the one tensor of another. */
static il_status add_file(reader *r, il__given_file *o, il_error *err)
{
    size_t count = il_safetensors_count(o->file);
    size_t found = 0;

    if (o->tensor != NULL) {
        IL_TRY(il__given_take(o, o->tensor, err));
        return add_site(r, o, name_of(r, o->tensor), err);
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = il_safetensors_at(o->file, i)->name;

        if (strncmp(name, IL_GIVEN_ACTS, strlen(IL_GIVEN_ACTS)) == 0) {
            IL_TRY(il__given_take(o, name, err));
            IL_TRY(add_site(r, o, name_of(r, name + strlen(IL_GIVEN_ACTS)), err));
            found++;
        }
    }
    if (found == 0 && count == 1) {
        const char *name = il_safetensors_at(o->file, 0)->name;

        IL_TRY(il__given_take(o, name, err));
        return add_site(r, o, name_of(r, name), err);
    }
    return found > 0 ? IL_OK
                     : il_error_set(err, IL_ERR_INPUT, o->path,
                                    "expected a tensor '" IL_GIVEN_ACTS
                                    "SITE', or one tensor alone, got %zu others: name "
                                    "it as FILE#TENSOR",
                                    count);
}

/* A site's column: acts.NAME, or else NAME; NULL for neither. */
static const char *column_name(const reader *r, const il__given_file *o,
                               const char *name)
{
    const char *whole = il_arena_printf(r->g->arena, IL_GIVEN_ACTS "%s", name);

    return whole != NULL && il_shards_has(o->shards, whole) ? whole
           : il_shards_has(o->shards, name)                 ? name
                                                            : NULL;
}

/* One more site of a folder, which has the rows of the one before, shard by shard. */
static il_status add_column(reader *r, il__given_file *o, const char *tensor,
                            const char *name, size_t *found, il_error *err)
{
    size_t before = o->column;

    IL_TRY(il__given_take(o, tensor, err));
    if (*found > 0) {
        IL_TRY(il_shards_agree(o->shards, before, o->column, err));
    }
    (*found)++;
    return add_site(r, o, name, err);
}

/* The sites of a folder that are named, or one column, or all that it names itself. */
static il_status add_shards(reader *r, il__given_file *o, il_error *err)
{
    const il_given_input *in = r->in;
    bool named = in->name_count > 0 && in->count == 1;
    size_t found = 0;

    if (o->tensor != NULL) {
        return add_column(r, o, o->tensor, name_of(r, o->tensor), &found, err);
    }
    for (size_t i = 0; i < in->name_count && named; i++) {
        named = column_name(r, o, in->names[i]) != NULL;
    }
    for (size_t i = 0; i < in->name_count && named; i++) {
        IL_TRY(add_column(r, o, column_name(r, o, in->names[i]), in->names[i], &found,
                          err));
    }
    for (size_t i = 0; i < il_shards_columns(o->shards) && !named; i++) {
        const char *name = il_shards_name(o->shards, i);

        if (strncmp(name, IL_GIVEN_ACTS, strlen(IL_GIVEN_ACTS)) == 0) {
            IL_TRY(add_column(r, o, name, name_of(r, name + strlen(IL_GIVEN_ACTS)),
                              &found, err));
        }
    }
    return found > 0 ? IL_OK
                     : il_error_set(err, IL_ERR_INPUT, o->path,
                                    "expected a tensor '" IL_GIVEN_ACTS
                                    "SITE' in its shards: name one as FOLDER#TENSOR");
}

static il_status read_acts(reader *r, il_error *err)
{
    for (size_t i = 0; i < r->in->count; i++) {
        il__given_file *o = &r->acts[i];

        IL_TRY(il__given_open(o, r->in->acts[i], r->in->naming, err));
        if (o->shards != NULL) {
            IL_TRY(add_shards(r, o, err));
        } else if (o->file != NULL) {
            IL_TRY(add_file(r, o, err));
        } else {
            IL_TRY(add_site(r, o, name_of(r, "activations"), err));
        }
    }
    if (r->in->name_count > 0 && r->in->name_count != r->g->model.site_count) {
        return il_error_set(err, IL_ERR_INPUT, "activations",
                            "%zu names are given for %zu sites", r->in->name_count,
                            r->g->model.site_count);
    }
    return IL_OK;
}

/* ---- what is known of the rows -------------------------------------------------- */

/* The tensor of that name in the activations' own shards, which has to have the rows of
 * the activations shard by shard. */
static il_status own_column(const reader *r, il__given_file *o, const char *name,
                            il_error *err)
{
    const il__given_file *first = &r->acts[0];

    o->shards = first->shards;
    o->borrowed = true;
    o->path = strdup(first->path);
    if (o->path == NULL) {
        return il__given_starved(err);
    }
    IL_TRY(il__given_take(o, name, err));
    return il_shards_agree(o->shards, first->column, o->column, err);
}

/* Opens what the path names or, without one, the first file's own tensor of that name.
 * false: there is none. */
static il_status find_column(const reader *r, il__given_file *o, const char *path,
                             const char *name, bool *there, il_error *err)
{
    const il__given_file *first = &r->acts[0];

    *there = path != NULL;
    if (path == NULL && first->shards != NULL) {
        *there = il_shards_has(first->shards, name);
        return *there ? own_column(r, o, name, err) : IL_OK;
    }
    if (path == NULL) {
        if (first->file == NULL || il_safetensors_find(first->file, name) == NULL) {
            return IL_OK;
        }
        *there = true;
        path = first->path;
    }
    IL_TRY(il__given_open(o, path, r->in->naming, err));
    return o->file == NULL && o->shards == NULL
               ? IL_OK
               : il__given_take(o, o->tensor != NULL ? o->tensor : name, err);
}

/* Whether the array has one value a document, or one a position. */
static il_status check_column(const reader *r, const il__given_file *o,
                              const char *name, bool may_wide, bool *wide,
                              il_error *err)
{
    const il_array *a = &o->array;
    char shape[96];

    *wide = a->ndim == 2 && r->ndim == 3 && a->shape[0] == r->batch &&
            a->shape[1] == r->length;
    if (!(may_wide && *wide) && !(a->ndim == 1 && a->shape[0] == r->batch)) {
        char positions[64];

        (void)snprintf(positions, sizeof positions, " or (%" PRId64 ", %" PRId64 ")",
                       r->batch, r->length);
        return il_error_set(err, IL_ERR_SHAPE, o->where,
                            "%s: expected shape (%" PRId64 ",)%s, as the activations "
                            "have rows, got %s",
                            name, r->batch, may_wide && r->ndim == 3 ? positions : "",
                            il_array_shape(a->ndim, a->shape, shape));
    }
    return IL_OK;
}

/* One value a position from one a document; takes `values` over. */
static uint8_t *spread(const reader *r, uint8_t *values, bool wide)
{
    uint8_t *out;

    if (wide || r->length == 1) {
        return values;
    }
    out = malloc((size_t)(r->batch * r->length));
    for (int64_t i = 0; out != NULL && i < r->batch * r->length; i++) {
        out[i] = values[i / r->length];
    }
    free(values);
    return out;
}

/* Flags by position, (B*T); *out NULL where there are none. */
static il_status read_flags(const reader *r, const char *path, const char *name,
                            bool may_narrow, uint8_t **out, il_error *err)
{
    il__given_file o = {.path = NULL};
    uint8_t *values = NULL;
    bool there = false;
    bool wide = false;
    il_status status = find_column(r, &o, path, name, &there, err);

    *out = NULL;
    if (status == IL_OK && there) {
        status = check_column(r, &o, name, true, &wide, err);
    }
    if (status == IL_OK && there && !wide && r->ndim == 3 && !may_narrow) {
        status = il_error_set(err, IL_ERR_SHAPE, o.where,
                              "%s: expected one value a position", name);
    }
    if (status == IL_OK && there) {
        status = il__given_flags(&o, &values, err);
    }
    if (status == IL_OK && there) {
        *out = spread(r, values, wide);
        status = *out != NULL ? IL_OK : il__given_starved(err);
    }
    il__given_close(&o);
    return status;
}

/* Whole numbers by document, (B); *out NULL where there are none. */
static il_status read_wholes(const reader *r, const char *path, const char *name,
                             int64_t **out, il_error *err)
{
    il__given_file o = {.path = NULL};
    bool there = false;
    bool wide = false;
    il_status status = find_column(r, &o, path, name, &there, err);

    *out = NULL;
    if (status == IL_OK && there) {
        status = check_column(r, &o, name, false, &wide, err);
    }
    if (status == IL_OK && there) {
        status = il__given_wholes(&o, out, err);
    }
    il__given_close(&o);
    return status;
}

/* Rows of one document follow one another, since what is counted by document is. */
static il_status check_ids(const reader *r, const int64_t *ids, il_error *err)
{
    int64_t *seen = malloc(((size_t)r->batch + 1) * sizeof *seen);
    int64_t n = 0;
    il_status status = IL_OK;

    if (seen == NULL) {
        return il__given_starved(err);
    }
    for (int64_t i = 0; i < r->batch; i++) {
        if (i == 0 || ids[i] != ids[i - 1]) {
            seen[n++] = ids[i];
        }
    }
    qsort(seen, (size_t)n, sizeof *seen, il_documents_compare);
    for (int64_t i = 1; i < n && status == IL_OK; i++) {
        if (seen[i] == seen[i - 1]) {
            status = il_error_set(err, IL_ERR_INPUT, "ids",
                                  "document %" PRId64
                                  " comes again after others: expected the rows of a "
                                  "document to follow one another",
                                  seen[i]);
        }
    }
    free(seen);
    return status;
}

/* The scored rows with what is known of each. */
static il_status list_rows(reader *r, const uint8_t *labels, const uint8_t *mask,
                           const int64_t *ids, const int64_t *lengths, il_error *err)
{
    il_scored *s = &r->g->acts.rows;
    size_t room = (size_t)(r->batch * r->length) + 1;
    int32_t *ends = il_arena_calloc(r->g->arena, (size_t)r->batch + 1, sizeof *ends);

    s->batch = r->batch;
    s->length = r->length;
    s->rows = il_arena_calloc(r->g->arena, room, sizeof *s->rows);
    s->documents = il_arena_calloc(r->g->arena, room, sizeof *s->documents);
    s->labels = labels != NULL ? il_arena_calloc(r->g->arena, room, 1) : NULL;
    if (s->rows == NULL || s->documents == NULL || ends == NULL ||
        (labels != NULL && s->labels == NULL)) {
        return il__given_starved(err);
    }
    for (int64_t b = 0; b < r->batch; b++) {
        int64_t end = lengths != NULL ? lengths[b] : r->length;

        if (end < 0 || end > r->length) {
            return il_error_set(err, IL_ERR_INPUT, "lengths",
                                "element %" PRId64 ": expected 0 to %" PRId64
                                ", got %" PRId64,
                                b, r->length, end);
        }
        ends[b] = (int32_t)end;
        for (int64_t t = 0; t < end; t++) {
            int64_t at = b * r->length + t;

            if (mask == NULL || mask[at] != 0) {
                s->rows[s->count] = (int32_t)at;
                s->documents[s->count] = ids != NULL ? ids[b] : b;
                if (labels != NULL) {
                    s->labels[s->count] = labels[at];
                }
                s->count++;
            }
        }
    }
    s->lengths = lengths != NULL ? ends : NULL;
    return s->count > 0
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, "mask", "it leaves no row to score");
}

static il_status check_values(const reader *r, il_error *err)
{
    const il_scored *s = &r->g->acts.rows;

    for (size_t i = 0; i < r->g->model.site_count; i++) {
        for (int64_t n = 0; n < s->count; n++) {
            const float *x = r->data[i] + (int64_t)s->rows[n] * r->widths[i];

            for (int64_t c = 0; c < r->widths[i]; c++) {
                if (!isfinite(x[c])) {
                    return il_error_set(err, IL_ERR_INPUT, r->sites[i].name,
                                        "row %d, channel %" PRId64
                                        ": the activation is no number",
                                        (int)s->rows[n], c);
                }
            }
        }
    }
    return IL_OK;
}

static il_status read_rows(reader *r, il_error *err)
{
    const il_given_input *in = r->in;
    uint8_t *labels = NULL;
    uint8_t *mask = NULL;
    int64_t *ids = NULL;
    int64_t *lengths = NULL;
    il_status status = read_flags(r, in->labels, "labels", true, &labels, err);

    if (status == IL_OK) {
        status = read_flags(r, in->mask, "mask", false, &mask, err);
    }
    if (status == IL_OK) {
        status = read_wholes(r, in->ids, "ids", &ids, err);
    }
    if (status == IL_OK) {
        status = read_wholes(r, in->lengths, "lengths", &lengths, err);
    }
    r->g->has_ids = ids != NULL;
    if (status == IL_OK && ids != NULL) {
        status = check_ids(r, ids, err);
    }
    if (status == IL_OK) {
        status = list_rows(r, labels, mask, ids, lengths, err);
    }
    if (status == IL_OK) {
        status = check_values(r, err);
    }
    free(labels);
    free(mask);
    free(ids);
    free(lengths);
    return status;
}

/* ---- all of it ------------------------------------------------------------------ */

static il_status read_about(const reader *r, il_error *err)
{
    const il__given_file *first = &r->acts[0];
    const char *text = first->file != NULL
                           ? il_safetensors_metadata_get(first->file, IL_GIVEN_KEY)
                           : NULL;

    if (first->shards != NULL && il_shards_about(first->shards) != NULL) {
        r->g->about = json_deep_copy(il_shards_about(first->shards));
        return r->g->about != NULL ? IL_OK : il__given_starved(err);
    }
    if (text == NULL) {
        return IL_OK;
    }
    r->g->about = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(r->g->about)
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, first->path,
                              IL_GIVEN_KEY ": expected an object of JSON");
}

static il_status read_all(reader *r, il_error *err)
{
    il_arena *arena = r->g->arena;

    if (r->in->count == 0) {
        return il_error_set(err, IL_ERR_INPUT, "activations", "no file is named");
    }
    r->sites = il_arena_calloc(arena, SITES_MAX + 1, sizeof *r->sites);
    r->numbers = il_arena_calloc(arena, SITES_MAX + 1, sizeof *r->numbers);
    r->widths = il_arena_calloc(arena, SITES_MAX + 1, sizeof *r->widths);
    r->data = il_arena_calloc(arena, SITES_MAX + 1, sizeof *r->data);
    if (r->sites == NULL || r->numbers == NULL || r->widths == NULL ||
        r->data == NULL) {
        return il__given_starved(err);
    }
    r->g->model.label = "activations";
    r->g->model.sites = r->sites;
    r->g->acts.sites = r->numbers;
    r->g->acts.widths = r->widths;
    r->g->acts.data = r->data;
    IL_TRY(read_acts(r, err));
    r->g->acts.site_count = r->g->model.site_count;
    IL_TRY(read_about(r, err));
    return read_rows(r, err);
}

il_status il_given_read(il_given **out, const il_given_input *in, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    reader r = {.in = in, .acts = calloc(in->count + 1, sizeof *r.acts)};
    il_status status;

    r.g = arena != NULL ? il_arena_calloc(arena, 1, sizeof *r.g) : NULL;
    if (r.g == NULL || r.acts == NULL) {
        il_arena_destroy(arena);
        free(r.acts);
        return il__given_starved(err);
    }
    r.g->arena = arena;
    status = read_all(&r, err);
    for (size_t i = 0; i < in->count; i++) {
        il__given_close(&r.acts[i]);
    }
    free(r.acts);
    if (status != IL_OK) {
        il_given_close(r.g);
        return status;
    }
    *out = r.g;
    return IL_OK;
}

void il_given_close(il_given *g)
{
    if (g == NULL) {
        return;
    }
    for (size_t i = 0; i < g->model.site_count; i++) {
        free((void *)g->acts.data[i]); /* const for who reads them */
    }
    json_decref(g->about);
    il_arena_destroy(g->arena);
}

/* The end of SplitMix64 (Steele, Lea and Flood 2014): ids that differ little come out
 * far apart. */
static uint64_t mixed(int64_t id)
{
    uint64_t z = (uint64_t)id + 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The rows whose document is held back, or of those that are not. */
static il_status part(il_acts *out, const il_given *g, int of, bool held, il_error *err)
{
    const il_scored *all = &g->acts.rows;
    size_t room = (size_t)all->count + 1;
    il_scored *s = &out->rows;

    *out = g->acts;
    s->count = 0;
    s->rows = il_arena_calloc(g->arena, room, sizeof *s->rows);
    s->documents = il_arena_calloc(g->arena, room, sizeof *s->documents);
    s->labels = all->labels != NULL ? il_arena_calloc(g->arena, room, 1) : NULL;
    if (s->rows == NULL || s->documents == NULL ||
        (all->labels != NULL && s->labels == NULL)) {
        return il__given_starved(err);
    }
    for (int64_t i = 0; i < all->count; i++) {
        if ((mixed(all->documents[i]) % (uint64_t)of == 0) == held) {
            s->rows[s->count] = all->rows[i];
            s->documents[s->count] = all->documents[i];
            if (all->labels != NULL) {
                s->labels[s->count] = all->labels[i];
            }
            s->count++;
        }
    }
    return IL_OK;
}

il_status il_given_hold(const il_given *g, int of, il_acts *kept, il_acts *held,
                        il_error *err)
{
    IL_TRY(part(kept, g, of, false, err));
    return part(held, g, of, true, err);
}
