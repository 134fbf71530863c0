/* Documents of text as rows of tokens. A row holds `context` tokens: packed, document
 * after document without a gap, or each document in rows of its own. What follows a
 * document's last token is learned by nobody, so that a loss does not cross from one to
 * the next; attention does, within a packed row. */
#include <math.h>
#include <stdlib.h>
#include "answers.h"
#include "corpus.h"
#include "json.h"

enum { SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, SPLITS };
enum { OWN_FIELDS = 7 };

/* Where a row begins. */
typedef struct start {
    int64_t document; /* among those of its split */
    int64_t token;
} start;

typedef struct text {
    corpus corpus;
    int64_t context;
    int32_t pad;
    bool packed;
    int64_t *documents[SPLITS]; /* their numbers in the file */
    int64_t document_counts[SPLITS];
    start *starts[SPLITS];
    il_split splits[SPLITS];
    il_field fields[OWN_FIELDS + NAMES_MAX];
    int32_t field_count;
    uint8_t fingerprint[32];
} text;

static const char *const formats[] = {"jsonl", "lines", "text", NULL};

static const il_param_spec params[] = {
    IL_PARAM_TEXT("file", NULL, IL_PARAM_PATH | IL_PARAM_REQUIRED,
                  "the file of documents"),
    IL_PARAM_TEXT("tokenizer", NULL, IL_PARAM_PATH | IL_PARAM_REQUIRED,
                  "a tokenizer.json, or the folder that holds one"),
    IL_PARAM_CHOICE(
        "format", "jsonl", formats,
        "jsonl: an object a line with text or messages; lines: a document a "
        "line; text: the file is one"),
    IL_PARAM_INT("context", "128", 2, 1048576, "tokens", "how many tokens a row has"),
    IL_PARAM_FLAG("packed", "true",
                  "documents lie one behind the other in rows; else each begins a row"),
    IL_PARAM_FLAG("special", "true",
                  "with the tokens that the tokenizer puts around a text"),
    IL_PARAM_TEXT("end", "", 0, "the token behind each document, none when empty"),
    IL_PARAM_TEXT("roles", "", 0,
                  "roles of messages, with commas: each becomes a mask of that name"),
    IL_PARAM_TEXT("learn", "", 0,
                  "roles whose messages are learned, with commas; all text when empty"),
    IL_PARAM_TEXT("labels", "", 0, "labels, with commas: each becomes a label field"),
    IL_PARAM_TEXT(
        "ignore", "", 0,
        "keys of documents, messages and spans that may be there without being "
        "known here, with commas, or *"),
    IL_PARAM_TEXT("date", "", 0,
                  "today, for chat templates that ask: 2024-07-26; refused when empty"),
    IL_PARAM_TEXT("variables", "", 0,
                  "what the chat template finds by name besides, as a JSON object"),
    IL_PARAM_REAL("val", "0.1", 0, 1, "",
                  "the share of documents in val, chosen by a hash of their ids"),
    IL_PARAM_REAL(
        "test", "0.1", 0, 1, "",
        "the share in test, chosen likewise: what judges, where val calibrates"),
    IL_PARAM_INT("split_seed", "0", 0, 2147483647, "",
                 "draws which documents those are")};

/* ---- create --------------------------------------------------------------------- */

static il_status text_fields(text *t, il_error *err)
{
    static const il_field own[OWN_FIELDS] = {
        {"tokens", IL_FIELD_INPUT,
         "the row's tokens; behind the last document, padding"},
        {"next", IL_FIELD_TARGET, "the document's next token; -1 behind its last"},
        {"weights", IL_FIELD_WEIGHT, "1 where the next token is to be learned"},
        {"text", IL_FIELD_MASK, "the tokens that stand for text"},
        {"begins", IL_FIELD_MASK, "the first token of each document"},
        {"spans", IL_FIELD_MASK, "the tokens that overlap a span"},
        {"document", IL_FIELD_UNIT, "the document in which the row begins"}};

    memcpy(t->fields, own, sizeof own);
    t->field_count = OWN_FIELDS;
    for (int i = 0; i < t->corpus.name_count; i++) {
        const name *n = &t->corpus.names[i];

        for (int k = 0; k < OWN_FIELDS; k++) {
            if (strcmp(n->text, own[k].name) == 0) {
                return il_error_set(err, IL_ERR_INPUT, "text",
                                    "'%s' is a field's name already", n->text);
            }
        }
        t->fields[t->field_count].name = n->text;
        t->fields[t->field_count].role = n->role ? IL_FIELD_MASK : IL_FIELD_LABEL;
        t->fields[t->field_count].help =
            n->role ? "what messages of this role say" : "1 where the label holds";
        t->field_count++;
    }
    return IL_OK;
}

/* Deals the documents out and finds where rows begin. */
static il_status text_rows(text *t, double val, double test, uint64_t seed,
                           il_error *err)
{
    static const char *const names[SPLITS] = {"train", "val", "test"};
    static const char *const help[SPLITS] = {"documents to learn from",
                                             "documents kept apart",
                                             "documents kept apart from both"};
    const corpus *c = &t->corpus;

    for (int s = 0; s < SPLITS; s++) {
        int64_t rows = 0;
        int64_t total = 0;
        int64_t n = 0;

        t->documents[s] = malloc((size_t)(c->count + 1) * sizeof *t->documents[s]);
        if (t->documents[s] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "text", "out of memory");
        }
        for (int64_t i = 0; i < c->count; i++) {
            double u = (double)(il_rng_mix_(seed, c->places[i].id) >> 11) * 0x1p-53;

            int split = u < val ? SPLIT_VAL : u < val + test ? SPLIT_TEST : SPLIT_TRAIN;

            if (c->places[i].tokens > 0 && split == s) {
                t->documents[s][n++] = i;
                total += c->places[i].tokens;
                rows += (c->places[i].tokens + t->context - 1) / t->context;
            }
        }
        rows = t->packed ? (total + t->context - 1) / t->context : rows;
        t->document_counts[s] = n;
        t->starts[s] = calloc((size_t)rows + 1, sizeof *t->starts[s]);
        if (t->starts[s] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "text", "out of memory");
        }
        t->splits[s] = (il_split){names[s], rows, help[s]};
        for (int64_t k = 0, row = 0, at = 0; k < n; k++) {
            int64_t tokens = c->places[t->documents[s][k]].tokens;

            /* `at` is how far into this document the next row begins. */
            for (; at < tokens; at += t->context) {
                t->starts[s][row++] = (start){k, at};
            }
            at = t->packed ? at - tokens : 0;
        }
    }
    return IL_OK;
}

static void text_mark(text *t, const il_setup *s)
{
    const corpus *c = &t->corpus;
    const int64_t numbers[] = {t->context,
                               t->packed,
                               c->special,
                               c->end,
                               t->pad,
                               c->format,
                               il_setup_int(s, "split_seed")};
    const double shares[2] = {il_setup_real(s, "val"), il_setup_real(s, "test")};

    for (uint64_t lane = 0; lane < 4; lane++) {
        uint64_t h = corpus_hash(lane + 11, c->data, c->size);

        h = corpus_hash(h, c->date, strlen(c->date));
        h = corpus_hash(h, c->variables, strlen(c->variables));

        h = corpus_hash(h, il_tokens_hash(c->tokens),
                        strlen(il_tokens_hash(c->tokens)));
        h = corpus_hash(h, numbers, sizeof numbers);
        h = corpus_hash(h, shares, sizeof shares);
        for (int i = 0; i < c->name_count; i++) {
            const name *n = &c->names[i];
            const uint8_t flags[2] = {n->role, n->learned};

            h = corpus_hash(h, n->text, strlen(n->text));
            h = corpus_hash(h, flags, sizeof flags);
        }
        memcpy(t->fingerprint + lane * 8, &h, 8);
    }
}

static il_status text_fill(text *t, const il_setup *s, il_error *err)
{
    corpus *c = &t->corpus;
    const char *end = il_setup_text(s, "end");
    const char *kind = il_setup_text(s, "format");

    t->context = il_setup_int(s, "context");
    t->packed = il_setup_flag(s, "packed");
    c->special = il_setup_flag(s, "special");
    c->format = kind[0] == 'j'   ? FORMAT_JSONL
                : kind[0] == 'l' ? FORMAT_LINES
                                 : FORMAT_TEXT;
    c->all_learned = il_setup_text(s, "learn")[0] == '\0';
    c->end = -1;
    IL_TRY(corpus_handed(c, s, err));
    IL_TRY(corpus_names(c, il_setup_text(s, "roles"), true, false, err));
    IL_TRY(corpus_names(c, il_setup_text(s, "learn"), true, true, err));
    IL_TRY(corpus_names(c, il_setup_text(s, "labels"), false, false, err));
    IL_TRY(text_fields(t, err));
    IL_TRY(il_setup_tokenizer(s, &c->tokens, il_setup_text(s, "tokenizer"), err));
    if (end[0] != '\0') {
        c->end = il_tokens_find(c->tokens, end);
        if (c->end < 0) {
            return il_error_set(err, IL_ERR_INPUT, "text",
                                "end: the tokenizer has no token '%.64s'", end);
        }
    }
    t->pad = c->end >= 0 ? c->end : 0;
    IL_TRY(corpus_open(c, il_setup_text(s, "file"), err));
    IL_TRY(text_rows(t, il_setup_real(s, "val"), il_setup_real(s, "test"),
                     (uint64_t)il_setup_int(s, "split_seed"), err));
    text_mark(t, s);
    il_setup_publish(s, "vocabulary", il_tokens_size(c->tokens));
    il_setup_publish(s, "context", t->context);
    return IL_OK;
}

static void text_destroy(void *self)
{
    text *t = self;

    corpus_close(&t->corpus);
    for (int s = 0; s < SPLITS; s++) {
        free(t->documents[s]);
        free(t->starts[s]);
    }
}

static il_status text_create(const il_setup *s, void **self, il_error *err)
{
    text *t = il_setup_new(s, sizeof *t);
    il_status status = t != NULL ? text_fill(t, s, err) : IL_ERR_MEMORY;

    if (status != IL_OK) {
        if (t != NULL) {
            text_destroy(t);
        }
        return status;
    }
    *self = t;
    return IL_OK;
}

static const il_split *text_splits(const void *self, int32_t *count)
{
    *count = SPLITS;
    return ((const text *)self)->splits;
}

static const il_field *text_field_list(const void *self, int32_t *count)
{
    *count = ((const text *)self)->field_count;
    return ((const text *)self)->fields;
}

static void text_fingerprint(const void *self, uint8_t out[32])
{
    memcpy(out, ((const text *)self)->fingerprint, 32);
}

/* ---- rows ----------------------------------------------------------------------- */

typedef struct columns {
    int32_t *tokens;
    int32_t *next;
    float *weights;
    int64_t *document;
    uint8_t *masks[OWN_FIELDS + NAMES_MAX]; /* by field; NULL: it is none */
} columns;

static bool columns_add(columns *c, const text *t, il_batch *out, int64_t rows)
{
    bool well;

    memset(c, 0, sizeof *c);
    c->tokens = il_batch_add(out, "tokens", IL_I32, IL_SHAPE(rows, t->context));
    c->next = il_batch_add(out, "next", IL_I32, IL_SHAPE(rows, t->context));
    c->weights = il_batch_add(out, "weights", IL_F32, IL_SHAPE(rows, t->context));
    c->document = il_batch_add(out, "document", IL_I64, IL_SHAPE(rows));
    well = c->tokens != NULL && c->next != NULL && c->weights != NULL &&
           c->document != NULL;
    for (int32_t f = 3; f < t->field_count; f++) {
        if (t->fields[f].role != IL_FIELD_UNIT) {
            c->masks[f] =
                il_batch_add(out, t->fields[f].name, IL_U8, IL_SHAPE(rows, t->context));
            well = well && c->masks[f] != NULL;
        }
    }
    return well;
}

/* The bit that a mask or label field shows. */
static uint32_t field_bit(int32_t f)
{
    return f == 3   ? TOKEN_TEXT
           : f == 4 ? TOKEN_BEGINS
           : f == 5 ? TOKEN_SPAN
                    : (uint32_t)TOKEN_NAMES << (f - OWN_FIELDS);
}

/* Copies a document's tokens from `from` on to positions from `at` on; how many. */
static int64_t put_document(const text *t, const columns *c, const document *d,
                            int64_t from, int64_t at, int64_t room)
{
    int64_t n = d->count - from < room ? d->count - from : room;

    for (int64_t i = 0; i < n; i++) {
        bool follows = from + i + 1 < d->count;

        c->tokens[at + i] = d->ids[from + i];
        c->next[at + i] = follows ? d->ids[from + i + 1] : -1;
        c->weights[at + i] =
            follows && d->bits[from + i + 1] & TOKEN_LEARN ? 1.0f : 0.0f;
        for (int32_t f = 3; f < t->field_count; f++) {
            if (c->masks[f] != NULL) {
                c->masks[f][at + i] = (d->bits[from + i] & field_bit(f)) != 0;
            }
        }
    }
    return n;
}

static il_status put_row(const text *t, const columns *c, int split, int64_t index,
                         int64_t row, il_error *err)
{
    const corpus *k = &t->corpus;
    start s = t->starts[split][index];
    int64_t at = row * t->context;
    int64_t end = at + t->context;

    c->document[row] = (int64_t)(k->places[t->documents[split][s.document]].id >> 1);
    do {
        document d;
        uint64_t id;

        IL_TRY(document_read(k, t->documents[split][s.document], &d, &id, err));
        at += put_document(t, c, &d, s.token, at, end - at);
        document_free(&d);
        s.document++;
        s.token = 0;
    } while (t->packed && at < end && s.document < t->document_counts[split]);
    for (; at < end; at++) {
        c->tokens[at] = t->pad;
        c->next[at] = -1;
    }
    return IL_OK;
}

static il_status text_get(const void *self, int32_t split, int64_t index, int64_t rows,
                          il_batch *out, il_error *err)
{
    const text *t = self;
    columns c;

    if (split < 0 || split >= SPLITS || index < 0 || rows < 0 ||
        index + rows > t->splits[split].rows) {
        return il_error_set(err, IL_ERR_INPUT, "text",
                            "there are no rows %lld to %lld of split %d",
                            (long long)index, (long long)(index + rows), (int)split);
    }
    if (!columns_add(&c, t, out, rows)) {
        return IL_OK; /* the batch remembers */
    }
    for (int64_t i = 0; i < rows; i++) {
        IL_TRY(put_row(t, &c, split, index + i, i, err));
    }
    return IL_OK;
}

/* ---- metrics and text ----------------------------------------------------------- */

/* lm: the mean loss of the next token where it is to be learned. */
static void text_metrics(const void *self, const il_batch *batch,
                         const il_tensor *logits, il_metrics *out)
{
    const int32_t *next = il_i32(il_batch_find(batch, "next"));
    const float *weights = il_f32(il_batch_find(batch, "weights"));
    const int64_t v = il_width(logits);
    double loss = 0.0;
    double weight = 0.0;

    if (next == NULL || weights == NULL ||
        il_rows(logits) != il_batch_rows(batch) * ((const text *)self)->context) {
        return;
    }
    for (int64_t i = 0; i < il_rows(logits); i++) {
        const float *row = il_f32(logits) + i * v;
        float most = row[0];
        double sum = 0.0;

        if (weights[i] == 0.0f || next[i] < 0 || next[i] >= v) {
            continue;
        }
        for (int64_t k = 1; k < v; k++) {
            most = row[k] > most ? row[k] : most;
        }
        for (int64_t k = 0; k < v; k++) {
            sum += (double)expf(row[k] - most);
        }
        loss += log(sum) + (double)most - (double)row[next[i]];
        weight += 1.0;
    }
    il_metrics_add(out, "lm", loss, weight);
}

static size_t text_text(const void *self, const il_batch *batch, int64_t row, char *out,
                        size_t size)
{
    const text *t = self;
    const int32_t *tokens = il_i32(il_batch_find(batch, "tokens"));
    size_t length = 0;

    if (tokens == NULL || row < 0 || row >= il_batch_rows(batch) ||
        il_tokens_decode(t->corpus.tokens, tokens + row * t->context, t->context, false,
                         out, size, &length, NULL) != IL_OK) {
        length = 0;
    }
    if (size > 0) {
        out[length < size ? length : size - 1] = '\0';
    }
    return length;
}

static const il_dataset_api api = {.struct_size = sizeof(il_dataset_api),
                                   .create = text_create,
                                   .destroy = text_destroy,
                                   .splits = text_splits,
                                   .fields = text_field_list,
                                   .get = text_get,
                                   .fingerprint = text_fingerprint,
                                   .metrics = text_metrics,
                                   .text = text_text};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "documents of text and conversations, through a model's own tokenizer",
          IL_DATASET("text", "rows of tokens from JSONL or plain text", &api,
                     IL_PARAMS(params)),
          IL_ENVIRONMENT("text_answers", "answers to a file's prompts", &answers_api,
                         answers_params, ANSWERS_PARAMS))
