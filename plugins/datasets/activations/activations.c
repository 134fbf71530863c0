/* Harvested activations as rows: what lies in shards at named sites, with token ids,
 * masks, labels and documents. The files stay mapped; a row is read when it is asked
 * for. The model `harvested` shows the same rows at its sites. */
#include <math.h>
#include <stdlib.h>
#include "source.h"

enum { SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, SPLITS };
enum { FIELDS_MAX = HARVEST_SITES + LABELS_MAX + 8, READ_AT_ONCE = 4096 };

/* A split: a whole folder, or some rows of the first. */
typedef struct part {
    const source *from;
    int64_t *rows; /* NULL: all of them, in order */
    int64_t count;
    int64_t base; /* the number of the folder's first row, where documents have no id */
} part;

typedef struct activations {
    wanted wanted;
    source sources[SPLITS]; /* [0]: `folder`; the others where they are named */
    part parts[SPLITS];
    il_split splits[SPLITS];
    il_field fields[FIELDS_MAX];
    int32_t field_count;
    char mask_name[HARVEST_NAME]; /* what the shards call their mask; "": nothing */
    const il_tokens *tokenizer;   /* NULL: none was named */
    int64_t vocabulary;
    uint64_t mark; /* of the params */
} activations;

static const il_param_spec params[] = {
    IL_PARAM_TEXT("folder", NULL, IL_PARAM_PATH | IL_PARAM_REQUIRED,
                  "the folder of shards, or one file"),
    IL_PARAM_TEXT("files", "", 0,
                  "which of its files are shards, with commas: {shard}.safetensors, "
                  "{shard}.{name}.npy, acts_{shard}.npy"),
    IL_PARAM_TEXT("val_folder", "", IL_PARAM_PATH,
                  "a folder for val, instead of a share of the first"),
    IL_PARAM_TEXT("test_folder", "", IL_PARAM_PATH, "the same for test"),
    IL_PARAM_TEXT("sites", "", 0,
                  "the sites, with commas, NAME or NAME=TENSOR; all acts.NAME when "
                  "empty"),
    IL_PARAM_TEXT(
        "labels", "", 0,
        "labels, with commas, NAME or NAME=TENSOR; the tensor `labels`, under "
        "the name that the index gives it, when empty"),
    IL_PARAM_TEXT("tokens", "tokens", 0, "the tensor of token ids; none when empty"),
    IL_PARAM_TEXT("mask", "mask", 0,
                  "the tensor of the positions that count; none when empty"),
    IL_PARAM_TEXT("ids", "ids", 0,
                  "the tensor of documents' ids; without one each row is a document"),
    IL_PARAM_TEXT("lengths", "lengths", 0,
                  "the tensor of where padding begins; none when empty"),
    IL_PARAM_TEXT("tokenizer", "", IL_PARAM_PATH,
                  "a tokenizer.json or its folder, to show rows as text"),
    IL_PARAM_INT("vocabulary", "0", 0, 2147483647, "tokens",
                 "how many tokens there are; 0 asks the tokenizer, or else reads all "
                 "ids for the largest"),
    IL_PARAM_REAL("val", "0.1", 0, 1, "",
                  "the share of documents in val, chosen by a hash of their ids"),
    IL_PARAM_REAL("test", "0.1", 0, 1, "", "the share in test, chosen likewise"),
    IL_PARAM_INT("split_seed", "0", 0, 2147483647, "",
                 "draws which documents those are")};

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "activations", "out of memory");
}

/* ---- create --------------------------------------------------------------------- */

static il_status add_field(activations *a, const char *name, il_field_role role,
                           const char *help, il_error *err)
{
    for (int32_t i = 0; i < a->field_count; i++) {
        if (strcmp(a->fields[i].name, name) == 0) {
            return il_error_set(err, IL_ERR_INPUT, "activations",
                                "'%s' is a field's name already: name the label "
                                "otherwise, as NAME=TENSOR",
                                name);
        }
    }
    if (a->field_count == FIELDS_MAX) {
        return il_error_set(err, IL_ERR_INPUT, "activations", "too many fields");
    }
    a->fields[a->field_count++] = (il_field){name, role, help};
    return IL_OK;
}

static il_status name_fields(activations *a, il_error *err)
{
    const source *s = &a->sources[0];
    const char *mask = il_tensors_about(s->tensors, "tokens");

    if (s->tokens.column >= 0) {
        IL_TRY(
            add_field(a, "tokens", IL_FIELD_INPUT, "the tokens that were read", err));
    }
    for (int32_t i = 0; i < s->site_count; i++) {
        IL_TRY(add_field(a, s->sites[i].field, IL_FIELD_INPUT,
                         "what the model held at the site", err));
    }
    if (s->lengths.column >= 0) {
        IL_TRY(
            add_field(a, "lengths", IL_FIELD_INPUT, "positions before padding", err));
    }
    IL_TRY(add_field(a, "document", IL_FIELD_UNIT, "the row's document", err));
    if (s->mask.column >= 0) {
        IL_TRY(add_field(a, "mask", IL_FIELD_MASK, "the positions that count", err));
    }
    if (s->mask.column >= 0 && mask != NULL && strcmp(mask, "all") != 0 &&
        strcmp(mask, "mask") != 0 && strlen(mask) < sizeof a->mask_name) {
        (void)snprintf(a->mask_name, sizeof a->mask_name, "%s", mask);
        IL_TRY(add_field(a, a->mask_name, IL_FIELD_MASK,
                         "the same, as those who harvested call it", err));
    }
    for (int32_t i = 0; i < a->wanted.label_count; i++) {
        IL_TRY(add_field(a, a->wanted.labels[i].name, IL_FIELD_LABEL,
                         "1 where the label holds", err));
    }
    return IL_OK;
}

/* What the first folder has, every folder has, and as wide. */
static il_status check_alike(const source *a, const source *b, const char *folder,
                             il_error *err)
{
    bool alike = a->site_count == b->site_count &&
                 (a->tokens.column < 0) == (b->tokens.column < 0) &&
                 (a->mask.column < 0) == (b->mask.column < 0) &&
                 (a->lengths.column < 0) == (b->lengths.column < 0);

    if (harvest_model(a->tensors) != harvest_model(b->tensors)) {
        return il_error_set(err, IL_ERR_INPUT, folder,
                            "its shards are of other weights than those of `folder`: "
                            "expected %.12s, got %.12s",
                            il_tensors_about(a->tensors, "model") != NULL
                                ? il_tensors_about(a->tensors, "model")
                                : "no model",
                            il_tensors_about(b->tensors, "model") != NULL
                                ? il_tensors_about(b->tensors, "model")
                                : "no model");
    }
    for (int32_t i = 0; alike && i < a->site_count; i++) {
        alike = strcmp(a->sites[i].is.name, b->sites[i].is.name) == 0 &&
                a->sites[i].width == b->sites[i].width;
    }
    return alike ? IL_OK
                 : il_error_set(err, IL_ERR_INPUT, folder,
                                "expected sites of the same names and widths as in "
                                "`folder`, and tokens, mask and lengths where it has "
                                "them");
}

/* The split of a document, by a hash of its id. */
static int split_of(uint64_t seed, int64_t id, double val, double test)
{
    double u =
        (double)(il_rng_mix_(il_rng_mix_(seed, 3), (uint64_t)id) >> 11) * 0x1p-53;

    return u < val ? SPLIT_VAL : u < val + test ? SPLIT_TEST : SPLIT_TRAIN;
}

/* Deals the first folder's rows out to the splits that have no folder of their own. */
static il_status deal(activations *a, double val, double test, uint64_t seed,
                      il_error *err)
{
    const source *s = &a->sources[0];
    int64_t room[SPLITS] = {0};
    int64_t *ids = malloc(READ_AT_ONCE * sizeof *ids);
    il_status status = ids != NULL ? IL_OK : no_memory(err);

    /* Once to count them, once to list them. */
    for (int round = 0; round < 2 && status == IL_OK; round++) {
        int64_t left = s->rows;

        for (int k = 0; round == 1 && k < SPLITS; k++) {
            if (a->parts[k].from == s && room[k] < s->rows) {
                a->parts[k].rows =
                    malloc(((size_t)room[k] + 1) * sizeof *a->parts[k].rows);
                status = a->parts[k].rows != NULL ? status : no_memory(err);
            }
        }
        for (int64_t i = 0; i < s->rows && status == IL_OK; i += READ_AT_ONCE) {
            int64_t n = left < READ_AT_ONCE ? left : READ_AT_ONCE;

            status = source_ids(s, 0, i, n, ids, err);
            for (int64_t r = 0; r < n && status == IL_OK; r++) {
                int k = split_of(seed, ids[r], val, test);

                if (round == 0) {
                    room[k]++;
                } else if (a->parts[k].rows != NULL) {
                    a->parts[k].rows[a->parts[k].count++] = i + r;
                }
            }
            left -= n;
        }
    }
    for (int k = 0; k < SPLITS; k++) {
        a->parts[k].count = a->parts[k].from == s ? room[k] : a->parts[k].from->rows;
    }
    free(ids);
    return status;
}

static il_status open_all(activations *a, const il_setup *s, il_error *err)
{
    static const char *const folders[SPLITS] = {"folder", "val_folder", "test_folder"};
    static const char *const names[SPLITS] = {"train", "val", "test"};
    static const char *const help[SPLITS] = {"documents to learn from",
                                             "documents kept apart",
                                             "documents kept apart from both"};
    double shares[SPLITS] = {0, il_setup_real(s, "val"), il_setup_real(s, "test")};

    for (int k = 0; k < SPLITS; k++) {
        const char *folder = il_setup_text(s, folders[k]);

        a->parts[k].from = &a->sources[0];
        if (folder[0] != '\0') {
            IL_TRY(source_open(&a->sources[k], s, folder, &a->wanted, err));
            IL_TRY(check_alike(&a->sources[0], &a->sources[k], folder, err));
            a->parts[k].from = &a->sources[k];
            a->parts[k].base = (int64_t)k << 40;
            shares[k] = 0;
        }
    }
    IL_TRY(deal(a, shares[SPLIT_VAL], shares[SPLIT_TEST],
                (uint64_t)il_setup_int(s, "split_seed"), err));
    for (int k = 0; k < SPLITS; k++) {
        a->splits[k] = (il_split){names[k], a->parts[k].count, help[k]};
    }
    return IL_OK;
}

/* One more than the largest token of all folders. */
static il_status count_tokens(activations *a, il_error *err)
{
    a->vocabulary = 1;
    for (int k = 0; k < SPLITS; k++) {
        const source *s = &a->sources[k];
        int32_t *ids;
        il_status status = IL_OK;

        if (s->tensors == NULL || s->tokens.column < 0) {
            continue;
        }
        ids = malloc((size_t)s->length * sizeof *ids);
        if (ids == NULL) {
            return no_memory(err);
        }
        for (int64_t r = 0; r < s->rows && status == IL_OK; r++) {
            status =
                il_tensors_read(s->tensors, s->tokens.column, r, 1, IL_I32, ids, err);
            for (int64_t t = 0; t < s->length && status == IL_OK; t++) {
                a->vocabulary =
                    ids[t] < a->vocabulary ? a->vocabulary : (int64_t)ids[t] + 1;
            }
        }
        free(ids);
        IL_TRY(status);
    }
    return IL_OK;
}

static uint64_t mark_text(uint64_t h, const char *text)
{
    for (; *text != '\0'; text++) {
        h = il_rng_mix_(h, (unsigned char)*text);
    }
    return il_rng_mix_(h, 0x100);
}

static void mark_params(activations *a, const il_setup *s)
{
    static const char *const texts[] = {"files", "sites", "labels", "tokens",
                                        "mask",  "ids",   "lengths"};
    const double shares[2] = {il_setup_real(s, "val"), il_setup_real(s, "test")};
    uint64_t words[2];

    memcpy(words, shares, sizeof words);
    a->mark = il_rng_mix_(il_rng_mix_(words[0], words[1]),
                          (uint64_t)il_setup_int(s, "split_seed"));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        a->mark = mark_text(a->mark, il_setup_text(s, texts[i]));
    }
}

static il_status fill(activations *a, const il_setup *s, il_error *err)
{
    const char *tokenizer = il_setup_text(s, "tokenizer");
    const char *labels = il_setup_text(s, "labels");
    il_status status = IL_OK;

    a->wanted = (wanted){.files = il_setup_text(s, "files"),
                         .sites = il_setup_text(s, "sites"),
                         .tokens = il_setup_text(s, "tokens"),
                         .mask = il_setup_text(s, "mask"),
                         .ids = il_setup_text(s, "ids"),
                         .lengths = il_setup_text(s, "lengths")};
    while (
        a->wanted.label_count < LABELS_MAX &&
        harvest_next(&labels, &a->wanted.labels[a->wanted.label_count], &status, err)) {
        a->wanted.label_count++;
    }
    IL_TRY(status);
    IL_TRY(open_all(a, s, err));
    IL_TRY(name_fields(a, err));
    a->vocabulary = il_setup_int(s, "vocabulary");
    if (tokenizer[0] != '\0') {
        IL_TRY(il_setup_tokenizer(s, &a->tokenizer, tokenizer, err));
        a->vocabulary =
            a->vocabulary > 0 ? a->vocabulary : il_tokens_size(a->tokenizer);
    }
    if (a->vocabulary == 0) {
        IL_TRY(count_tokens(a, err));
    }
    mark_params(a, s);
    il_setup_publish(s, "vocabulary", a->vocabulary);
    il_setup_publish(s, "context", a->sources[0].length);
    if (harvest_model(a->sources[0].tensors) != 0) {
        il_setup_publish(s, HARVEST_FACT, harvest_model(a->sources[0].tensors));
    }
    return IL_OK;
}

static void activations_destroy(void *self)
{
    activations *a = self;

    for (int k = 0; k < SPLITS; k++) {
        free(a->parts[k].rows);
    }
}

static il_status activations_create(const il_setup *s, void **self, il_error *err)
{
    activations *a = il_setup_new(s, sizeof *a);
    il_status status = a != NULL ? fill(a, s, err) : IL_ERR_MEMORY;

    if (status != IL_OK) {
        if (a != NULL) {
            activations_destroy(a);
        }
        return status;
    }
    *self = a;
    return IL_OK;
}

static const il_split *activations_splits(const void *self, int32_t *count)
{
    *count = SPLITS;
    return ((const activations *)self)->splits;
}

static const il_field *activations_fields(const void *self, int32_t *count)
{
    *count = ((const activations *)self)->field_count;
    return ((const activations *)self)->fields;
}

static void activations_fingerprint(const void *self, uint8_t out[32])
{
    const activations *a = self;

    for (uint64_t lane = 0; lane < 4; lane++) {
        uint64_t h = il_rng_mix_(lane, a->mark);

        for (int k = 0; k < SPLITS; k++) {
            const il_tensors *t = a->sources[k].tensors;

            h = mark_text(h, t != NULL ? il_tensors_hash(t) : "");
        }
        memcpy(out + lane * 8, &h, 8);
    }
}

/* ---- rows ----------------------------------------------------------------------- */

typedef struct columns {
    float *sites[HARVEST_SITES];
    int32_t *tokens, *lengths;
    int64_t *document;
    uint8_t *mask, *mask_too;
    uint8_t *labels[LABELS_MAX];
} columns;

static bool columns_add(columns *c, const activations *a, const source *s,
                        il_batch *out, int64_t rows)
{
    const int64_t t = s->length;
    bool well = true;

    memset(c, 0, sizeof *c);
    if (s->tokens.column >= 0) {
        c->tokens = il_batch_add(out, "tokens", IL_I32, IL_SHAPE(rows, t));
        well = c->tokens != NULL;
    }
    for (int32_t i = 0; i < s->site_count && well; i++) {
        c->sites[i] = il_batch_add(out, s->sites[i].field, IL_F32,
                                   IL_SHAPE(rows, t, s->sites[i].width));
        well = c->sites[i] != NULL;
    }
    if (s->lengths.column >= 0 && well) {
        c->lengths = il_batch_add(out, "lengths", IL_I32, IL_SHAPE(rows));
        well = c->lengths != NULL;
    }
    if (s->mask.column >= 0 && well) {
        c->mask = il_batch_add(out, "mask", IL_U8, IL_SHAPE(rows, t));
        well = c->mask != NULL;
    }
    if (a->mask_name[0] != '\0' && well) {
        c->mask_too = il_batch_add(out, a->mask_name, IL_U8, IL_SHAPE(rows, t));
        well = c->mask_too != NULL;
    }
    for (int32_t i = 0; i < a->wanted.label_count && well; i++) {
        c->labels[i] =
            il_batch_add(out, a->wanted.labels[i].name, IL_U8, IL_SHAPE(rows, t));
        well = c->labels[i] != NULL;
    }
    c->document = well ? il_batch_add(out, "document", IL_I64, IL_SHAPE(rows)) : NULL;
    return c->document != NULL;
}

static il_status check_tokens(const activations *a, const int32_t *tokens, int64_t n,
                              int64_t row, il_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (tokens[i] < 0 || tokens[i] >= a->vocabulary) {
            return il_error_set(err, IL_ERR_INPUT, a->wanted.tokens,
                                "row %lld, position %lld: expected a token below %lld, "
                                "got %d",
                                (long long)row, (long long)i, (long long)a->vocabulary,
                                (int)tokens[i]);
        }
    }
    return IL_OK;
}

/* Activations of positions that count are numbers. Where one does not count, what is
 * none becomes 0: nobody is to read it, and nobody shall trip over it. */
static il_status check_acts(float *x, const harvest_site *s, const uint8_t *mask,
                            int64_t n, int64_t row, il_error *err)
{
    for (int64_t t = 0; t < n; t++) {
        for (int64_t c = 0; c < s->width; c++) {
            float *v = &x[t * s->width + c];

            if (isfinite(*v)) {
                continue;
            }
            if (mask == NULL || mask[t] != 0) {
                return il_error_set(err, IL_ERR_INPUT, s->is.tensor,
                                    "row %lld, position %lld, channel %lld: the "
                                    "activation is no number",
                                    (long long)row, (long long)t, (long long)c);
            }
            *v = 0.0f;
        }
    }
    return IL_OK;
}

/* Rows [first, first+n) of a folder to rows from `to` on. */
static il_status put_rows(const activations *a, const part *p, const columns *c,
                          int64_t first, int64_t n, int64_t to, il_error *err)
{
    const source *s = p->from;
    const int64_t t = s->length;

    if (c->tokens != NULL) {
        IL_TRY(il_tensors_read(s->tensors, s->tokens.column, first, n, IL_I32,
                               c->tokens + to * t, err));
        IL_TRY(check_tokens(a, c->tokens + to * t, n * t, first, err));
    }
    if (c->lengths != NULL) {
        IL_TRY(il_tensors_read(s->tensors, s->lengths.column, first, n, IL_I32,
                               c->lengths + to, err));
    }
    for (int64_t i = to; c->lengths != NULL && i < to + n; i++) {
        if (c->lengths[i] < 0 || c->lengths[i] > t) {
            return il_error_set(err, IL_ERR_INPUT, a->wanted.lengths,
                                "row %lld: expected 0 to %lld, got %d",
                                (long long)(first + i - to), (long long)t,
                                (int)c->lengths[i]);
        }
    }
    if (c->mask != NULL) {
        IL_TRY(source_flags(s, &s->mask, first, n, c->mask + to * t, err));
    }
    if (c->mask_too != NULL) {
        memcpy(c->mask_too + to * t, c->mask + to * t, (size_t)(n * t));
    }
    for (int32_t i = 0; i < a->wanted.label_count; i++) {
        IL_TRY(source_flags(s, &s->labels[i], first, n, c->labels[i] + to * t, err));
    }
    for (int32_t i = 0; i < s->site_count; i++) {
        float *x = c->sites[i] + to * t * s->sites[i].width;

        IL_TRY(
            il_tensors_read(s->tensors, s->sites[i].column, first, n, IL_F32, x, err));
        for (int64_t r = 0; r < n; r++) {
            int64_t count = c->lengths != NULL ? c->lengths[to + r] : t;
            const uint8_t *mask = c->mask != NULL ? c->mask + (to + r) * t : NULL;
            static const uint8_t none[1] = {0};

            IL_TRY(check_acts(x + r * t * s->sites[i].width, &s->sites[i], mask, count,
                              first + r, err));
            for (int64_t k = count; k < t; k++) {
                IL_TRY(check_acts(x + (r * t + k) * s->sites[i].width, &s->sites[i],
                                  none, 1, first + r, err));
            }
        }
    }
    return source_ids(s, p->base, first, n, c->document + to, err);
}

static il_status activations_get(const void *self, int32_t split, int64_t index,
                                 int64_t rows, il_batch *out, il_error *err)
{
    const activations *a = self;
    const part *p;
    columns c;

    if (split < 0 || split >= SPLITS || index < 0 || rows < 0 ||
        index > a->parts[split].count || rows > a->parts[split].count - index) {
        return il_error_set(err, IL_ERR_INPUT, "activations",
                            "there are no rows %lld to %lld of split %d",
                            (long long)index, (long long)(index + rows), (int)split);
    }
    p = &a->parts[split];
    if (!columns_add(&c, a, p->from, out, rows)) {
        return IL_OK; /* the batch remembers */
    }
    for (int64_t i = 0; i < rows;) {
        int64_t first = p->rows != NULL ? p->rows[index + i] : index + i;
        int64_t n = 1;

        /* Rows that follow one another are read at once. */
        while (i + n < rows && (p->rows != NULL ? p->rows[index + i + n]
                                                : index + i + n) == first + n) {
            n++;
        }
        IL_TRY(put_rows(a, p, &c, first, n, i, err));
        i += n;
    }
    return IL_OK;
}

static size_t activations_text(const void *self, const il_batch *batch, int64_t row,
                               char *out, size_t size)
{
    const activations *a = self;
    const il_tensor *tokens = il_batch_find(batch, "tokens");
    const int64_t t = tokens != NULL ? tokens->shape[1] : 0;
    size_t length = 0;

    if (a->tokenizer == NULL || tokens == NULL || row < 0 ||
        row >= il_batch_rows(batch) ||
        il_tokens_decode(a->tokenizer, il_i32(tokens) + row * t, t, false, out, size,
                         &length, NULL) != IL_OK) {
        length = 0;
    }
    if (size > 0) {
        out[length < size ? length : size - 1] = '\0';
    }
    return length;
}

static const il_dataset_api api = {.struct_size = sizeof(il_dataset_api),
                                   .create = activations_create,
                                   .destroy = activations_destroy,
                                   .splits = activations_splits,
                                   .fields = activations_fields,
                                   .get = activations_get,
                                   .fingerprint = activations_fingerprint,
                                   .text = activations_text};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "activations in safetensors and .npy shards, as rows of a dataset",
          IL_DATASET("activations", "rows of harvested activations", &api,
                     IL_PARAMS(params)))
