#include "detect/scored.h"

#include <stdlib.h>
#include <string.h>

static bool typed(const il_tensor *t, int code, int bits)
{
    return t->dtype.code == code && t->dtype.bits == bits;
}

/* A field that has to be there, of that type, with shape (B) or, when T > 0, (B,T). */
static il_status field_find(const il_tensor **out, const il_batch *batch,
                            const char *name, int code, int bits, int64_t length,
                            il_error *err)
{
    const il_tensor *t = il_batch_find(batch, name);
    bool fits = t != NULL && typed(t, code, bits);

    if (t == NULL) {
        return il_error_set(err, IL_ERR_INPUT, "data", "rows have no field '%s'", name);
    }
    if (length > 0) {
        fits = fits && t->ndim == 2 && t->shape[1] == length;
    } else {
        fits = fits && t->ndim == 1;
    }
    if (!fits || t->shape[0] != il_batch_rows(batch)) {
        return il_error_set(err, IL_ERR_SHAPE, "data",
                            "field '%s' has the wrong type or shape: expected %d bits "
                            "of (%lld%s), one row a document",
                            name, bits, (long long)il_batch_rows(batch),
                            length > 0 ? ",T" : "");
    }
    *out = t;
    return IL_OK;
}

/* What the batch gives for the fields' names; absent ones NULL. */
typedef struct found {
    const il_tensor *mask, *lengths, *label, *unit, *tokens, *keys;
} found;

static il_status fields_find(found *f, int64_t *length, const il_batch *batch,
                             const il_scored_fields *names, il_error *err)
{
    const il_tensor *input = il_batch_find(batch, names->input);

    memset(f, 0, sizeof *f);
    if (input == NULL || input->ndim < 2) {
        return il_error_set(err, IL_ERR_SHAPE, "data",
                            "rows have no field '%s' of shape (B,T)", names->input);
    }
    *length = input->shape[1];
    f->tokens = input->ndim == 2 && typed(input, IL_CODE_INT, 32) ? input : NULL;
    if (il_batch_rows(batch) * *length > INT32_MAX) {
        return il_error_set(err, IL_ERR_SHAPE, "data",
                            "%lld documents of %lld positions are too many at once",
                            (long long)il_batch_rows(batch), (long long)*length);
    }
    if (strcmp(names->tokens, "all") != 0) {
        IL_TRY(
            field_find(&f->mask, batch, names->tokens, IL_CODE_UINT, 8, *length, err));
    }
    if (names->keys != NULL) {
        IL_TRY(field_find(&f->keys, batch, names->keys, IL_CODE_UINT, 8, *length, err));
    }
    if (il_batch_find(batch, "lengths") != NULL) {
        IL_TRY(field_find(&f->lengths, batch, "lengths", IL_CODE_INT, 32, 0, err));
    }
    if (names->label != NULL) {
        const il_tensor *t = il_batch_find(batch, names->label);
        int64_t wide = t != NULL && t->ndim == 2 ? *length : 0;

        IL_TRY(field_find(&f->label, batch, names->label, IL_CODE_UINT, 8, wide, err));
    }
    if (names->unit != NULL) {
        IL_TRY(field_find(&f->unit, batch, names->unit, IL_CODE_INT, 64, 0, err));
    }
    return IL_OK;
}

/* Rows of positions to rows of sequences. */
il_status il_scored_gather(il_scored *s, il_arena *arena, il_error *err)
{
    size_t room = (size_t)s->batch + 1;
    int64_t count = s->count;

    s->tokens = s->rows;
    s->token_labels = s->labels;
    s->first = il_arena_calloc(arena, room, sizeof *s->first);
    s->rows = il_arena_calloc(arena, room, sizeof *s->rows);
    s->labels = s->labels != NULL ? il_arena_calloc(arena, room, 1) : NULL;
    if (s->first == NULL || s->rows == NULL ||
        (s->labels == NULL && s->token_labels != NULL)) {
        return il_error_set(err, IL_ERR_MEMORY, "data", "out of memory");
    }
    s->count = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t u = s->count - 1;

        if (i == 0 || s->tokens[i] / s->length != s->tokens[i - 1] / s->length) {
            u = s->count++;
            s->first[u] = i;
            s->documents[u] = s->documents[i]; /* u <= i: none is lost */
        }
        s->rows[u] = s->tokens[i];
        if (s->labels != NULL) {
            s->labels[u] |= s->token_labels[i];
        }
    }
    s->first[s->count] = count;
    return IL_OK;
}

il_status il_scored_find(il_scored *out, const il_batch *batch,
                         const il_scored_fields *fields, il_arena *arena, il_error *err)
{
    il_scored s = {0};
    size_t room;
    found f;

    s.batch = il_batch_rows(batch);
    IL_TRY(fields_find(&f, &s.length, batch, fields, err));
    room = (size_t)(s.batch * s.length);
    s.rows = il_arena_calloc(arena, room + 1, sizeof *s.rows);
    s.documents = il_arena_calloc(arena, room + 1, sizeof *s.documents);
    s.labels = il_arena_calloc(arena, room + 1, 1);
    if (s.rows == NULL || s.documents == NULL || s.labels == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "data", "out of memory");
    }
    s.lengths = f.lengths != NULL ? il_i32(f.lengths) : NULL;
    s.keys = f.keys != NULL ? il_u8(f.keys) : NULL;
    s.inputs = f.tokens != NULL ? il_i32(f.tokens) : NULL;
    for (int64_t b = 0; b < s.batch; b++) {
        int64_t end =
            s.lengths != NULL && s.lengths[b] < s.length ? s.lengths[b] : s.length;
        int64_t id = f.unit != NULL ? il_i64(f.unit)[b] : fields->first_document + b;

        for (int64_t t = 0; t < end; t++) {
            int64_t at = b * s.length + t;

            if (f.mask != NULL && il_u8(f.mask)[at] == 0) {
                continue;
            }
            s.rows[s.count] = (int32_t)at;
            s.documents[s.count] = id;
            if (f.label != NULL) {
                s.labels[s.count] = il_u8(f.label)[f.label->ndim == 2 ? at : b] != 0;
            }
            s.count++;
        }
    }
    if (f.label == NULL) {
        s.labels = NULL;
    }
    if (fields->pooled) {
        IL_TRY(il_scored_gather(&s, arena, err));
    }
    *out = s;
    return IL_OK;
}

il_scored il_scored_tokens(const il_scored *s)
{
    il_scored all = *s;

    if (s->first != NULL) {
        all.count = il_scored_first(s, s->count);
        all.rows = s->tokens;
        all.labels = s->token_labels;
        all.documents = NULL;
        all.first = NULL;
    }
    return all;
}

il_scored il_scored_flat(const il_scored *s)
{
    il_scored flat = *s;

    flat.first = NULL;
    return flat;
}

int il_documents_compare(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

int64_t *il_documents_list(const il_scored *rows, il_arena *arena, int64_t *count)
{
    int64_t *ids = il_arena_alloc(arena, ((size_t)rows->count + 1) * sizeof *ids);
    int64_t n = 0;

    *count = 0;
    if (ids == NULL) {
        return NULL;
    }
    memcpy(ids, rows->documents, (size_t)rows->count * sizeof *ids);
    qsort(ids, (size_t)rows->count, sizeof *ids, il_documents_compare);
    for (int64_t i = 0; i < rows->count; i++) {
        if (n == 0 || ids[i] != ids[n - 1]) {
            ids[n++] = ids[i];
        }
    }
    *count = n;
    return ids;
}

int64_t *il_documents_join(int64_t n, const int64_t *a, int64_t m, const int64_t *b,
                           il_arena *arena, int64_t *count)
{
    int64_t *ids = il_arena_alloc(arena, ((size_t)(n + m) + 1) * sizeof *ids);
    int64_t i = 0;
    int64_t j = 0;

    *count = 0;
    while (ids != NULL && (i < n || j < m)) {
        bool first = j >= m || (i < n && a[i] <= b[j]);
        int64_t id = first ? a[i] : b[j];

        i += i < n && a[i] == id;
        j += j < m && b[j] == id;
        ids[(*count)++] = id;
    }
    return ids;
}

bool il_documents_meet(int64_t n, const int64_t *a, int64_t m, const int64_t *b,
                       int64_t *shared)
{
    int64_t i = 0;
    int64_t j = 0;

    while (i < n && j < m) {
        if (a[i] == b[j]) {
            *shared = a[i];
            return true;
        }
        if (a[i] < b[j]) {
            i++;
        } else {
            j++;
        }
    }
    return false;
}
