/* The environment: a model answers the prompts of a file of documents, and an answer is
 * judged by the texts that occur in it. Prompts go through the tokenizer and the chat
 * template as the dataset's conversations do, so that what is read of the one can be
 * read of the other. */
#include "answers.h"

#include <stdio.h>
#include <stdlib.h>
#include "corpus.h"
#include "rules.h"

enum { SPLIT_TRAIN, SPLIT_TEST, SPLITS };

typedef struct prompt {
    int32_t *tokens;
    int32_t count;
    int split;
    uint64_t hash; /* of its tokens: what a finished text is told apart by */
    uint64_t at;   /* byte of the file */
    rules rules;
} prompt;

typedef struct answers {
    corpus corpus; /* its names: rewards first, then labels */
    int rewards;
    int64_t context;
    int32_t max_tokens;
    int32_t end;
    double token_cost;
    prompt *prompts; /* by hash */
    int64_t count;
    int64_t *places[SPLITS]; /* numbers of prompts */
    int64_t counts[SPLITS];
    int32_t kinds;
    uint8_t *allowed; /* (vocabulary) */
    name mask;        /* the answer's tokens */
    il_field fields[NAMES_MAX + 1];
    int32_t field_count;
    uint8_t fingerprint[32];
} answers;

static const char *const longer[] = {"refuse", "skip", NULL};

const il_param_spec answers_params[ANSWERS_PARAMS] = {
    IL_PARAM_TEXT("file", NULL, IL_PARAM_PATH | IL_PARAM_REQUIRED,
                  "JSONL: messages up to the answer, or a prompt, and `answers`"),
    IL_PARAM_TEXT("tokenizer", NULL, IL_PARAM_PATH | IL_PARAM_REQUIRED,
                  "a tokenizer.json, or the folder that holds one"),
    IL_PARAM_INT("context", "128", 2, 1048576, "tokens",
                 "of a prompt with its answer; as the dataset has it, if there is one"),
    IL_PARAM_INT("max_tokens", "32", 1, 1048576, "tokens",
                 "the longest answer; one that has not ended by then earns nothing"),
    IL_PARAM_TEXT("end", "", 0,
                  "the token that ends an answer; empty takes what the chat template "
                  "writes behind one"),
    IL_PARAM_TEXT("answer", "assistant", 0,
                  "what the mask of an answer's tokens is called"),
    IL_PARAM_TEXT("rewards", "", 0,
                  "names with commas: 1 where one of the prompt's texts of that name "
                  "occurs in the answer"),
    IL_PARAM_TEXT("labels", "", 0, "the same for labels of answers"),
    IL_PARAM_REAL("token_cost", "0.0", 0, 1, "",
                  "what each token of an answer takes from the first reward"),
    IL_PARAM_REAL("test", "0.1", 0, 1, "",
                  "the share of prompts in the kind `test`, chosen by a hash of their "
                  "ids; the rest are trained on"),
    IL_PARAM_INT("split_seed", "0", 0, 2147483647, "", "draws which prompts those are"),
    IL_PARAM_TEXT("ignore", "", 0,
                  "keys that may be there without being known here, with commas, or *"),
    IL_PARAM_TEXT("date", "", 0,
                  "today, for chat templates that ask: 2024-07-26; refused when empty"),
    IL_PARAM_TEXT("variables", "", 0,
                  "what the chat template finds by name besides, as a JSON object"),
    IL_PARAM_CHOICE("longer", "refuse", longer,
                    "prompts too long for context less max_tokens: refuse the file, or "
                    "skip them")};

static const il_named kinds[SPLITS] = {{"train", "the prompts that are trained on"},
                                       {"test", "prompts kept apart"}};

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "text_answers", "out of memory");
}

/* ---- prompts -------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
    const prompt *x = a;
    const prompt *y = b;

    return x->hash != y->hash ? (x->hash < y->hash ? -1 : 1)
                              : (x->at < y->at ? -1 : x->at > y->at);
}

static uint64_t tokens_hash(const int32_t *tokens, int64_t count)
{
    return corpus_hash(3, tokens, (size_t)count * sizeof *tokens);
}

/* The prompt that a text begins with; NULL for one that is none of them. */
static const prompt *prompt_find(const answers *a, const int32_t *tokens, int32_t count)
{
    const uint64_t hash = tokens_hash(tokens, count);
    int64_t from = 0;
    int64_t to = a->count;

    while (from < to) {
        int64_t middle = from + (to - from) / 2;

        if (a->prompts[middle].hash < hash) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from < a->count && a->prompts[from].hash == hash ? &a->prompts[from] : NULL;
}

static il_status read_rules(const answers *a, const place *at, rules *out,
                            il_error *err)
{
    static const char none[] = "{}";
    const corpus *c = &a->corpus;
    json line = {c->data + at->at, c->data + at->at + at->size};
    json found;
    json rule;

    while (*line.at == ' ' || *line.at == '\t') {
        line.at++;
    }
    if (!json_find(&line, "answers", &found)) {
        found = (json){none, none + 2};
    }
    for (int i = 0; i < a->rewards; i++) {
        if (!json_find(&found, c->names[i].text, &rule)) {
            return il_error_set(
                err, IL_ERR_INPUT, c->path,
                "the document at byte %llu has no `answers` that earn "
                "'%s'; expected {..., \"answers\": {\"%s\": [\"...\"]}}",
                (unsigned long long)at->at, c->names[i].text, c->names[i].text);
        }
    }
    return rules_read(out, &found, c->names, c->name_count)
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, c->path,
                              "the document at byte %llu: answers: expected texts, or "
                              "lists of them, by name",
                              (unsigned long long)at->at);
}

/* A label that no prompt has a text of is one misspelt. */
static il_status check_labels(const answers *a, uint32_t seen, il_error *err)
{
    const corpus *c = &a->corpus;

    for (int i = a->rewards; i < c->name_count; i++) {
        if ((seen >> i & 1u) == 0) {
            return il_error_set(err, IL_ERR_INPUT, c->path,
                                "labels: no document's `answers` say anything of '%s'",
                                c->names[i].text);
        }
    }
    return IL_OK;
}

/* Reads every prompt that fits, and deals it out by its document's id. */
static il_status prompts_read(answers *a, bool skip, double test, uint64_t seed,
                              il_error *err)
{
    const corpus *c = &a->corpus;
    const int64_t room = a->context - a->max_tokens;
    int64_t most = 0;
    int64_t skipped = 0;
    uint32_t seen = 0; /* names that some prompt has a rule for */

    a->prompts = calloc((size_t)c->count + 1, sizeof *a->prompts);
    if (a->prompts == NULL) {
        return no_memory(err);
    }
    for (int64_t i = 0; i < c->count; i++) {
        prompt *p = &a->prompts[a->count];
        document d;
        uint64_t id;

        if ((int64_t)c->places[i].tokens > room || c->places[i].tokens == 0) {
            most = c->places[i].tokens > most ? c->places[i].tokens : most;
            skipped++;
            continue;
        }
        IL_TRY(document_read(c, i, &d, &id, err));
        free(d.bits);
        p->at = c->places[i].at;
        p->split = (double)(il_rng_mix_(seed, id) >> 11) * 0x1p-53 < test ? SPLIT_TEST
                                                                          : SPLIT_TRAIN;
        p->tokens = d.ids;
        p->count = (int32_t)d.count;
        p->hash = tokens_hash(p->tokens, p->count);
        a->count++;
        IL_TRY(read_rules(a, &c->places[i], &p->rules, err));
        seen |= rules_named(&p->rules, c->name_count);
    }
    if (skipped > 0 && (!skip || a->count == 0)) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "%lld of %lld prompts do not fit, the longest has %lld "
                            "tokens; expected at most %lld, context less max_tokens%s",
                            (long long)skipped, (long long)c->count, (long long)most,
                            (long long)room,
                            a->count > 0 ? "; `longer: skip` leaves them out" : "");
    }
    return check_labels(a, seen, err);
}

/* Sorts prompts by what they are told apart by. Of equal ones the first stays. */
static il_status prompts_sort(answers *a, il_error *err)
{
    int64_t kept = 0;

    qsort(a->prompts, (size_t)a->count, sizeof *a->prompts, by_hash);
    for (int64_t i = 0; i < a->count; i++) {
        prompt *p = &a->prompts[i];

        if (kept > 0 && a->prompts[kept - 1].hash == p->hash) {
            if (!rules_equal(&a->prompts[kept - 1].rules, &p->rules)) {
                return il_error_set(
                    err, IL_ERR_INPUT, a->corpus.path,
                    "the documents at bytes %llu and %llu have the same "
                    "prompt and other `answers`",
                    (unsigned long long)a->prompts[kept - 1].at,
                    (unsigned long long)p->at);
            }
            free(p->tokens);
            rules_free(&p->rules);
            continue;
        }
        a->prompts[kept++] = *p;
    }
    memset(a->prompts + kept, 0, (size_t)(a->count - kept) * sizeof *a->prompts);
    a->count = kept;
    for (int s = 0; s < SPLITS; s++) {
        a->places[s] = calloc((size_t)kept + 1, sizeof *a->places[s]);
        if (a->places[s] == NULL) {
            return no_memory(err);
        }
    }
    for (int64_t i = 0; i < kept; i++) {
        const int s = a->prompts[i].split;

        a->places[s][a->counts[s]++] = i;
    }
    for (int s = 0; s < a->kinds; s++) {
        if (a->counts[s] == 0) {
            return il_error_set(err, IL_ERR_INPUT, a->corpus.path,
                                "no prompt is left for the kind '%s'; expected more "
                                "documents, or another share `test`",
                                kinds[s].name);
        }
    }
    return IL_OK;
}

/* ---- tokens --------------------------------------------------------------------- */

/* Whether a token stands for no text, as one that only marks something does. */
static bool is_mark(const il_tokens *t, int32_t id)
{
    char text[64];
    size_t size = 0;

    return il_tokens_decode(t, &id, 1, true, text, sizeof text, &size, NULL) != IL_OK ||
           size == 0;
}

/* The mark that the chat template writes behind an answer; -1 where there is none. */
static int32_t end_by_template(const il_tokens *t)
{
    static const il_turn turns[2] = {
        {.role = "user", .content = "a", .role_size = 4, .content_size = 1},
        {.role = "assistant", .content = "b", .role_size = 9, .content_size = 1}};
    enum { ROOM = 4096 };
    char text[ROOM];
    int32_t whose[ROOM];
    int32_t ids[ROOM];
    uint32_t firsts[ROOM];
    size_t size = 0;
    size_t last = 0;
    int64_t count = 0;

    if (il_tokens_chat(t, turns, 2, false, ROOM, text, whose, &size, NULL) != IL_OK ||
        size > ROOM ||
        il_tokens_encode(t, text, size, false, ROOM, ids, firsts, NULL, &count, NULL) !=
            IL_OK ||
        count > ROOM) {
        return -1;
    }
    for (size_t i = 0; i < size; i++) {
        last = whose[i] == 1 ? i : last;
    }
    for (int64_t i = 0; i < count; i++) {
        if (firsts[i] > last && is_mark(t, ids[i])) {
            return ids[i];
        }
    }
    return -1;
}

/* Which token ends an answer, and which it may hold: text, and that one. */
static il_status tokens_choose(answers *a, const char *end, il_error *err)
{
    const il_tokens *t = a->corpus.tokens;
    const int64_t size = il_tokens_size(t);

    a->end = end[0] != '\0' ? il_tokens_find(t, end) : end_by_template(t);
    if (a->end < 0) {
        return end[0] != '\0'
                   ? il_error_set(err, IL_ERR_INPUT, "text_answers",
                                  "end: the tokenizer has no token '%.64s'", end)
                   : il_error_set(err, IL_ERR_INPUT, "text_answers",
                                  "no chat template says what ends an answer: name the "
                                  "token, `end: \"</s>\"`");
    }
    a->allowed = calloc((size_t)size + 1, 1);
    if (a->allowed == NULL) {
        return no_memory(err);
    }
    for (int64_t i = 0; i < size; i++) {
        a->allowed[i] = i == a->end || !is_mark(t, (int32_t)i);
    }
    return IL_OK;
}

/* ---- instance ------------------------------------------------------------------- */

static il_status answers_fields(answers *a, const char *mask, il_error *err)
{
    const corpus *c = &a->corpus;

    if (mask[0] == '\0' || strlen(mask) >= sizeof a->mask.text) {
        return il_error_set(err, IL_ERR_INPUT, "text_answers",
                            "answer: expected the name of a mask");
    }
    memcpy(a->mask.text, mask, strlen(mask) + 1);
    for (int i = 0; i < c->name_count; i++) {
        if (strcmp(c->names[i].text, mask) == 0) {
            return il_error_set(err, IL_ERR_INPUT, "text_answers",
                                "'%s' is a name already", mask);
        }
        a->fields[i] = (il_field){
            c->names[i].text, i < a->rewards ? IL_FIELD_REWARD : IL_FIELD_LABEL,
            i < a->rewards ? "at the answer's last token: 1 where "
                             "one of its texts occurs"
                           : "1 where one of its texts occurs"};
    }
    a->fields[c->name_count] =
        (il_field){a->mask.text, IL_FIELD_MASK, "the tokens of the answer"};
    a->field_count = c->name_count + 1;
    return IL_OK;
}

static void answers_mark(answers *a, const il_setup *s)
{
    const corpus *c = &a->corpus;
    const int64_t numbers[] = {a->context,
                               a->max_tokens,
                               a->end,
                               a->rewards,
                               a->kinds,
                               a->count,
                               il_setup_int(s, "split_seed")};
    const double reals[] = {a->token_cost, il_setup_real(s, "test")};

    for (uint64_t lane = 0; lane < 4; lane++) {
        uint64_t h = corpus_hash(lane + 29, c->data, c->size);

        h = corpus_hash(h, c->date, strlen(c->date));
        h = corpus_hash(h, c->variables, strlen(c->variables));
        h = corpus_hash(h, il_tokens_hash(c->tokens),
                        strlen(il_tokens_hash(c->tokens)));
        h = corpus_hash(h, numbers, sizeof numbers);
        h = corpus_hash(h, reals, sizeof reals);
        for (int i = 0; i < a->field_count; i++) {
            h = corpus_hash(h, a->fields[i].name, strlen(a->fields[i].name));
        }
        memcpy(a->fingerprint + lane * 8, &h, 8);
    }
}

static il_status answers_fill(answers *a, const il_setup *s, il_error *err)
{
    corpus *c = &a->corpus;

    a->context = il_setup_int(s, "context");
    a->max_tokens = (int32_t)il_setup_int(s, "max_tokens");
    a->token_cost = il_setup_real(s, "token_cost");
    a->kinds = il_setup_real(s, "test") > 0 ? SPLITS : 1;
    if (a->max_tokens >= a->context) {
        return il_error_set(err, IL_ERR_INPUT, "text_answers",
                            "answers of %d tokens leave no room for a prompt in a "
                            "context of %lld",
                            (int)a->max_tokens, (long long)a->context);
    }
    c->format = FORMAT_JSONL;
    c->prompts = true;
    c->special = true;
    c->end = -1;
    IL_TRY(corpus_handed(c, s, err));
    IL_TRY(corpus_names(c, il_setup_text(s, "rewards"), false, false, err));
    a->rewards = c->name_count;
    IL_TRY(corpus_names(c, il_setup_text(s, "labels"), false, false, err));
    IL_TRY(answers_fields(a, il_setup_text(s, "answer"), err));
    IL_TRY(il_setup_tokenizer(s, &c->tokens, il_setup_text(s, "tokenizer"), err));
    IL_TRY(tokens_choose(a, il_setup_text(s, "end"), err));
    IL_TRY(corpus_open(c, il_setup_text(s, "file"), err));
    IL_TRY(prompts_read(a, il_setup_text(s, "longer")[0] == 's',
                        il_setup_real(s, "test"),
                        (uint64_t)il_setup_int(s, "split_seed"), err));
    IL_TRY(prompts_sort(a, err));
    answers_mark(a, s);
    il_setup_publish(s, "vocabulary", il_tokens_size(c->tokens));
    il_setup_publish(s, "context", a->context);
    return IL_OK;
}

static void answers_destroy(void *self)
{
    answers *a = self;

    for (int64_t i = 0; a->prompts != NULL && i < a->corpus.count; i++) {
        free(a->prompts[i].tokens);
        rules_free(&a->prompts[i].rules);
    }
    free(a->prompts);
    for (int s = 0; s < SPLITS; s++) {
        free(a->places[s]);
    }
    free(a->allowed);
    corpus_close(&a->corpus);
}

/* [setup] */
static il_status answers_create(const il_setup *s, void **self, il_error *err)
{
    answers *a = il_setup_new(s, sizeof *a);
    il_status status = a != NULL ? answers_fill(a, s, err) : no_memory(err);

    if (status != IL_OK) {
        if (a != NULL) {
            answers_destroy(a);
        }
        return status;
    }
    *self = a;
    return IL_OK;
}

static void answers_shape(const void *self, il_environment_shape *out)
{
    const answers *a = self;

    *out =
        (il_environment_shape){.struct_size = sizeof *out,
                               .vocabulary = (int32_t)il_tokens_size(a->corpus.tokens),
                               .prompt_tokens = (int32_t)(a->context - a->max_tokens),
                               .max_tokens = a->max_tokens,
                               .pad = a->end,
                               .end = a->end};
}

static const il_field *answers_field_list(const void *self, int32_t *count)
{
    *count = ((const answers *)self)->field_count;
    return ((const answers *)self)->fields;
}

static void answers_fingerprint(const void *self, uint8_t out[32])
{
    memcpy(out, ((const answers *)self)->fingerprint, 32);
}

static const il_named *answers_prompts(const void *self, int32_t *count)
{
    *count = ((const answers *)self)->kinds;
    return kinds;
}

static int32_t answers_prompt(const void *self, int32_t kind, il_rng *rng,
                              int32_t *tokens)
{
    const answers *a = self;
    const int64_t n = il_rng_below(rng, (uint32_t)a->counts[kind]);
    const prompt *p = &a->prompts[a->places[kind][n]];

    memcpy(tokens, p->tokens, (size_t)p->count * sizeof *tokens);
    return p->count;
}

static void answers_allowed(const void *self, uint8_t *allowed)
{
    const answers *a = self;

    memcpy(allowed, a->allowed, (size_t)il_tokens_size(a->corpus.tokens));
}

/* ---- judging -------------------------------------------------------------------- */

/* An answer as text, malloc'ed; its end is left out. NULL when memory is out. */
static char *answer_text(const answers *a, const int32_t *tokens, int64_t count,
                         size_t *size)
{
    size_t room = (size_t)count * 16 + 1;
    char *text = NULL;

    *size = 0;
    do {
        free(text);
        room = *size > room ? *size + 1 : room;
        text = malloc(room);
        if (text == NULL || il_tokens_decode(a->corpus.tokens, tokens, count, true,
                                             text, room, size, NULL) != IL_OK) {
            free(text);
            return NULL;
        }
    } while (*size > room);
    return text;
}

/* One row, into what `columns` are of each name and the mask. False: out of memory. */
static bool row_judge(const answers *a, const int32_t *tokens, int32_t length,
                      int32_t start, int64_t row, int64_t width, float *const *rewards,
                      uint8_t *const *labels, uint8_t *mask)
{
    const prompt *p = prompt_find(a, tokens, start);
    const bool ended = length > start && tokens[length - 1] == a->end;
    size_t size = 0;
    char *text;

    if (length <= start) {
        return true;
    }
    memset(mask + row * width + start, 1, (size_t)(length - start - (ended ? 1 : 0)));
    text = answer_text(a, tokens + start, length - start, &size);
    if (text == NULL) {
        return false;
    }
    for (int i = 0; i < a->corpus.name_count; i++) {
        const bool holds = p != NULL && rules_hold(&p->rules, i, text, size);

        if (i < a->rewards) {
            /* The action that drew the token at length-1 was taken one before. */
            rewards[i][row * width + length - 2] =
                (float)((holds && ended ? 1.0 : 0.0) -
                        (i == 0 ? a->token_cost * (length - start) : 0.0));
        } else {
            labels[i][row] = holds;
        }
    }
    free(text);
    return true;
}

static void answers_judge(const void *self, int32_t kind, il_batch *batch)
{
    const answers *a = self;
    const il_tensor *tokens = il_batch_find(batch, "tokens");
    const int32_t *lengths = il_i32(il_batch_find(batch, "lengths"));
    const int32_t *start = il_i32(il_batch_find(batch, "prompt"));
    const int64_t rows = il_batch_rows(batch);
    const int64_t width = il_width(tokens);
    float *rewards[NAMES_MAX] = {NULL};
    uint8_t *labels[NAMES_MAX] = {NULL};
    uint8_t *mask = il_batch_add(batch, a->mask.text, IL_U8, IL_SHAPE(rows, width));
    bool well = mask != NULL && tokens != NULL && lengths != NULL && start != NULL;

    (void)kind;
    for (int i = 0; i < a->corpus.name_count; i++) {
        if (i < a->rewards) {
            rewards[i] =
                il_batch_add(batch, a->fields[i].name, IL_F32, IL_SHAPE(rows, width));
        } else {
            labels[i] = il_batch_add(batch, a->fields[i].name, IL_U8, IL_SHAPE(rows));
        }
        well = well && (rewards[i] != NULL || labels[i] != NULL);
    }
    for (int64_t b = 0; well && b < rows; b++) {
        if (!row_judge(a, il_i32(tokens) + b * width, lengths[b], start[b], b, width,
                       rewards, labels, mask)) {
            batch->api->fail(batch, IL_ERR_MEMORY, "out of memory");
            return;
        }
    }
}

/* Of each reward and label the share of answers that have it; ended, those that end by
 * themselves; tokens, the answers' mean length. */
static void answers_metrics(const void *self, int32_t kind, const il_batch *batch,
                            il_metrics *out)
{
    const answers *a = self;
    const il_tensor *tokens = il_batch_find(batch, "tokens");
    const int32_t *lengths = il_i32(il_batch_find(batch, "lengths"));
    const int32_t *start = il_i32(il_batch_find(batch, "prompt"));
    const int64_t rows = il_batch_rows(batch);
    double ended = 0;
    double written = 0;

    (void)kind;
    if (tokens == NULL || lengths == NULL || start == NULL) {
        return;
    }
    for (int i = 0; i < a->corpus.name_count; i++) {
        const il_tensor *f = il_batch_find(batch, a->fields[i].name);
        double sum = 0;

        for (int64_t b = 0; f != NULL && b < rows; b++) {
            const int64_t n = lengths[b] - start[b];

            if (i >= a->rewards) {
                sum += il_u8(f)[b];
            } else if (n > 0) {
                sum += (double)il_f32(f)[b * il_width(tokens) + lengths[b] - 2] +
                       (i == 0 ? a->token_cost * (double)n : 0.0);
            }
        }
        il_metrics_add(out, a->fields[i].name, sum, (double)rows);
    }
    for (int64_t b = 0; b < rows; b++) {
        const int32_t *row = il_i32(tokens) + b * il_width(tokens);

        ended += lengths[b] > start[b] && row[lengths[b] - 1] == a->end;
        written += lengths[b] - start[b];
    }
    il_metrics_add(out, "ended", ended, (double)rows);
    il_metrics_add(out, "tokens", written, (double)rows);
}

static size_t answers_text(const void *self, const il_batch *batch, int64_t row,
                           char *out, size_t size)
{
    const answers *a = self;
    const il_tensor *tokens = il_batch_find(batch, "tokens");
    const int32_t *lengths = il_i32(il_batch_find(batch, "lengths"));
    size_t length = 0;

    if (tokens == NULL || lengths == NULL || row < 0 || row >= il_batch_rows(batch) ||
        il_tokens_decode(a->corpus.tokens, il_i32(tokens) + row * il_width(tokens),
                         lengths[row], false, out, size, &length, NULL) != IL_OK) {
        length = 0;
    }
    if (size > 0) {
        out[length < size ? length : size - 1] = '\0';
    }
    return length;
}

const il_environment_api answers_api = {.struct_size = sizeof(il_environment_api),
                                        .form = IL_ENVIRONMENT_TEXT,
                                        .create = answers_create,
                                        .destroy = answers_destroy,
                                        .shape = answers_shape,
                                        .fields = answers_field_list,
                                        .fingerprint = answers_fingerprint,
                                        .prompts = answers_prompts,
                                        .prompt = answers_prompt,
                                        .allowed = answers_allowed,
                                        .judge = answers_judge,
                                        .metrics = answers_metrics,
                                        .text = answers_text};
