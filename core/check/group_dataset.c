/* Group dataset: rows are a pure function of split and index, and are what the dataset
 * says they are. */
#include "check/check_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SOME = 5, IDS_MAX = 20000, DATASET = IL__OF(IL_KIND_DATASET) };

void il__batch_bytes(const il_batch *batch, il_text *out)
{
    for (size_t k = 0; k < il_guard_batch_count(batch); k++) {
        const char *name = NULL;
        const il_tensor *t = il_guard_batch_field(batch, k, &name);

        il_text_addf(out, "%s %d ", name, (int)t->ndim);
        il_text_add_bytes(out, t->data, (size_t)il_count(t) * (t->dtype.bits / 8u));
    }
}

/* ---- what a field has to hold -----------------------------------------------------
 */

static bool is_type(const il_tensor *t, int code, int bits)
{
    return t->dtype.code == code && t->dtype.bits == bits && t->dtype.lanes == 1;
}

static bool type_fits(const il_tensor *t, il_field_role role)
{
    switch (role) {
    case IL_FIELD_INPUT:
        return true;
    case IL_FIELD_TARGET:
        return is_type(t, IL_CODE_INT, 32) && t->ndim == 2;
    case IL_FIELD_WEIGHT:
        return is_type(t, IL_CODE_FLOAT, 32) && t->ndim == 2;
    case IL_FIELD_MASK:
        return is_type(t, IL_CODE_UINT, 8) && t->ndim == 2;
    case IL_FIELD_LABEL:
        return is_type(t, IL_CODE_UINT, 8) && (t->ndim == 1 || t->ndim == 2);
    case IL_FIELD_UNIT:
        return is_type(t, IL_CODE_INT, 64) && t->ndim == 1;
    case IL_FIELD_REWARD:
        return false;
    }
    return false;
}

static int64_t fact(const il__trial *t, const char *name)
{
    for (size_t i = 0; i < t->facts.count; i++) {
        if (strcmp(t->facts.items[i].name, name) == 0) {
            return t->facts.items[i].value;
        }
    }
    return 0;
}

static il_status check_values(const il__trial *t, const il_field *f, const il_tensor *x,
                              il_error *err)
{
    const int64_t vocabulary = fact(t, "vocabulary");
    const bool tokens = is_type(x, IL_CODE_INT, 32) && vocabulary > 0;

    for (int64_t k = 0; k < il_count(x); k++) {
        if (tokens && (il_i32(x)[k] >= vocabulary ||
                       (il_i32(x)[k] < 0 && f->role == IL_FIELD_INPUT))) {
            return il__found(err,
                             "field '%s' holds the token %d, and the vocabulary has "
                             "%lld",
                             f->name, (int)il_i32(x)[k], (long long)vocabulary);
        }
        if ((f->role == IL_FIELD_MASK || f->role == IL_FIELD_LABEL) &&
            il_u8(x)[k] > 1) {
            return il__found(err, "field '%s' holds a %d: expected 0 or 1", f->name,
                             (int)il_u8(x)[k]);
        }
        if (is_type(x, IL_CODE_FLOAT, 32) && !isfinite(il_f32(x)[k])) {
            return il__found(err, "field '%s' holds a value that is no number",
                             f->name);
        }
    }
    return IL_OK;
}

static il_status check_fields(const il__trial *t, const il_instance *i,
                              const il_batch *batch, il_error *err)
{
    int32_t count = 0;
    const il_field *fields = il_instance_dataset(i)->fields(i->self, &count);

    for (int32_t k = 0; k < count; k++) {
        const il_tensor *x = il_batch_find(batch, fields[k].name);

        if (x == NULL) {
            return il__found(err, "a batch has no field '%s', which is declared",
                             fields[k].name);
        }
        if (!type_fits(x, fields[k].role)) {
            return il__found(err,
                             "field '%s' has another type or shape than its role "
                             "asks for",
                             fields[k].name);
        }
        IL_TRY(check_values(t, &fields[k], x, err));
    }
    return IL_OK;
}

il_status il__dataset_rows(const il_instance *i, int32_t split, int64_t index,
                           int64_t rows, il_batch **batch, il_error *err)
{
    il_batch *b = il_guard_batch(rows);
    il_error why = {0};
    il_status status;

    if (b == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    status = il_instance_dataset(i)->get(i->self, split, index, rows, b, &why);
    if (status != IL_OK) {
        return il_error_set(err, status, why.where, "rows %lld to %lld of split %d: %s",
                            (long long)index, (long long)(index + rows), (int)split,
                            why.message[0] != '\0' ? why.message : "no reason given");
    }
    IL_TRY(il_guard_batch_status(b, err));
    *batch = b;
    return IL_OK;
}

/* ---- tests ------------------------------------------------------------------------
 */

/* How many rows a trial takes of a split, from where. */
static int64_t some_of(const il_split *s)
{
    return s->rows >= 0 && s->rows < SOME ? s->rows : SOME;
}

static il_status holds_what_it_says(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    const il_split *splits;
    int32_t count = 0;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    if (fact(t, "vocabulary") < 1 || fact(t, "context") < 1) {
        return il__found(err, "it publishes no fact 'vocabulary' or no 'context'");
    }
    splits = il_instance_dataset(i)->splits(i->self, &count);
    if (splits == NULL || count < 1) {
        return il__found(err, "it has no splits");
    }
    for (int32_t s = 0; s < count; s++) {
        il_batch *batch = NULL;
        int64_t rows = some_of(&splits[s]);
        int64_t last = splits[s].rows >= 0 ? splits[s].rows - rows : 1000003;

        il__note(t, "split '%s'", splits[s].name);
        IL_TRY(il__dataset_rows(i, s, 0, rows, &batch, err));
        IL_TRY(check_fields(t, i, batch, err));
        IL_TRY(il__dataset_rows(i, s, last, rows, &batch, err));
        IL_TRY(check_fields(t, i, batch, err));
    }
    return IL_OK;
}

/* The bytes of a field in rows [from, from+count). */
static const char *field_rows(const il_tensor *t, int64_t from, int64_t count,
                              size_t *bytes)
{
    const int64_t rows = t->shape[0] > 0 ? t->shape[0] : 1;
    const size_t row = (size_t)(il_count(t) / rows) * (t->dtype.bits / 8u);

    *bytes = row * (size_t)count;
    return (const char *)t->data + row * (size_t)from;
}

/* A row alone is the row among others. */
static il_status same_row(const il_batch *many, int64_t at, const il_batch *one,
                          il_error *err)
{
    for (size_t k = 0; k < il_guard_batch_count(many); k++) {
        const char *name = NULL;
        const il_tensor *a = il_guard_batch_field(many, k, &name);
        const il_tensor *b = il_batch_find(one, name);
        size_t bytes = 0;
        size_t other = 0;
        const char *left = field_rows(a, at, 1, &bytes);
        const char *right = b != NULL ? field_rows(b, 0, 1, &other) : NULL;

        if (right == NULL || bytes != other || memcmp(left, right, bytes) != 0) {
            return il__found(err,
                             "row %lld differs in '%s' when it is asked for alone: a "
                             "row depends on split and index, and nothing else",
                             (long long)at, name);
        }
    }
    return IL_OK;
}

static il_status is_pure(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    const il_split *splits;
    int32_t count = 0;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    splits = il_instance_dataset(i)->splits(i->self, &count);
    for (int32_t s = 0; s < count; s++) {
        const int64_t rows = some_of(&splits[s]);
        il_batch *many = NULL;

        il__note(t, "split '%s'", splits[s].name);
        IL_TRY(il__dataset_rows(i, s, 0, rows, &many, err));
        for (int64_t k = rows - 1; k >= 0; k--) {
            il_batch *one = NULL;

            IL_TRY(il__dataset_rows(i, s, k, 1, &one, err));
            IL_TRY(same_row(many, k, one, err));
        }
    }
    return IL_OK;
}

/* The name of the field that tells rows apart, or NULL. */
static const char *unit_of(const il_instance *i)
{
    int32_t count = 0;
    const il_field *fields = il_instance_dataset(i)->fields(i->self, &count);

    for (int32_t k = 0; k < count; k++) {
        if (fields[k].role == IL_FIELD_UNIT) {
            return fields[k].name;
        }
    }
    return NULL;
}

typedef struct id {
    int64_t id;
    int32_t split;
} id;

static int by_id(const void *a, const void *b)
{
    const id *x = a;
    const id *y = b;

    return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->split - y->split;
}

static il_status is_disjoint(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    const il_split *splits;
    const char *unit;
    id *ids = calloc(IDS_MAX, sizeof *ids);
    size_t found = 0;
    int32_t count = 0;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL || ids == NULL) {
        return IL_OK;
    }
    unit = unit_of(i);
    if (unit == NULL) {
        return il__skip(t, "no field of the role UNIT tells rows apart");
    }
    splits = il_instance_dataset(i)->splits(i->self, &count);
    for (int32_t s = 0; s < count; s++) {
        const size_t share = IDS_MAX / (size_t)count;
        int64_t rows =
            splits[s].rows >= 0 && splits[s].rows < 500 ? splits[s].rows : 500;
        const il_tensor *x;
        il_batch *batch = NULL;

        rows = (size_t)rows < share ? rows : (int64_t)share;
        IL_TRY(il__dataset_rows(i, s, 0, rows, &batch, err));
        x = il_batch_find(batch, unit);
        for (int64_t k = 0; x != NULL && k < il_count(x); k++) {
            ids[found++] = (id){il_i64(x)[k], s};
        }
    }
    qsort(ids, found, sizeof *ids, by_id);
    for (size_t k = 1; k < found; k++) {
        if (ids[k].id == ids[k - 1].id && ids[k].split != ids[k - 1].split) {
            return il__found(err, "the splits '%s' and '%s' share the %s %lld",
                             splits[ids[k - 1].split].name, splits[ids[k].split].name,
                             unit, (long long)ids[k].id);
        }
    }
    return IL_OK;
}

static il_status has_fingerprint(il__trial *t, il_error *err)
{
    const il__making other = {.seed = t->o->seed + 1};
    il_instance *instances[3] = {NULL};
    il_text texts[3] = {{0}};
    uint8_t prints[3][32];

    IL_TRY(il__subject_plain(t, &instances[0], err));
    if (instances[0] == NULL) {
        return IL_OK;
    }
    IL_TRY(il__subject_plain(t, &instances[1], err));
    IL_TRY(il__subject(t, &other, &instances[2], err));
    for (int k = 0; k < 3; k++) {
        memset(prints[k], 0, sizeof prints[k]);
        il_instance_dataset(instances[k])->fingerprint(instances[k]->self, prints[k]);
        IL_TRY(il__behave_plain(t, instances[k], &texts[k], err));
    }
    if (memcmp(prints[0], prints[1], sizeof prints[0]) != 0) {
        return il__found(err, "two instances of one seed have two fingerprints");
    }
    return (texts[0].size == texts[2].size &&
            memcmp(texts[0].data, texts[2].data, texts[0].size) == 0) ||
                   memcmp(prints[0], prints[2], sizeof prints[0]) != 0
               ? IL_OK
               : il__found(err, "another seed has other rows and the same fingerprint");
}

static const il__row rows[] = {
    {"its rows hold what it says, with values that can be", DATASET,
     holds_what_it_says},
    {"a row is the same whoever asks, in whatever order", DATASET, is_pure},
    {"its splits share no unit", DATASET, is_disjoint},
    {"its fingerprint follows its rows", DATASET, has_fingerprint},
    {"its text keeps to its room", DATASET, il__dataset_text},
    {"its prompts can be answered and judged", DATASET, il__dataset_prompts},
};

const il__group il__group_dataset = {"dataset", rows, sizeof rows / sizeof rows[0],
                                     true};
