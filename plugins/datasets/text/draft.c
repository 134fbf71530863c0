#include "draft.h"

#include <stdlib.h>
#include "json.h"

void draft_free(draft *d)
{
    free(d->text);
    free(d->bits);
    memset(d, 0, sizeof *d);
}

il_status document_wrong(const corpus *c, const place *p, const char *what,
                         il_error *err)
{
    unsigned long long line = 1;

    for (const char *at = c->data; at < c->data + p->at; line++) {
        at = memchr(at, '\n', (size_t)(c->data + p->at - at));
        if (at++ == NULL) {
            break;
        }
    }
    return il_error_set(err, IL_ERR_INPUT, c->path, "the document at line %llu: %s",
                        line, what);
}

static il_status wrong(const corpus *c, const place *p, const char *what, il_error *err)
{
    return document_wrong(c, p, what, err);
}

static il_status no_memory(const corpus *c, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, c->path, "out of memory");
}

static size_t key_size(const json *key)
{
    return (size_t)(key->end - key->at) - 2;
}

static bool key_is(const json *key, const char *text)
{
    return key_size(key) == strlen(text) &&
           memcmp(key->at + 1, text, key_size(key)) == 0;
}

/* ---- keys ----------------------------------------------------------------------- */

static const char *const document_keys[] = {
    "id",     "text",    "messages",  "spans", "labels",
    "prompt", "answers", "documents", "tools", "chat_template_kwargs",
    "date",   NULL};
static const char *const message_keys[] = {
    "role",       "content",           "labels",    "spans",    "name", "tool_call_id",
    "tool_calls", "reasoning_content", "reasoning", "thinking", NULL};
static const char *const span_keys[] = {"start", "end", "label", NULL};

/* Whether a list with commas, or "*", holds a key. */
static bool listed(const char *list, const json *key)
{
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, ", ");

        if ((n == 1 && *list == '*') ||
            (n == key_size(key) && n > 0 && memcmp(list, key->at + 1, n) == 0)) {
            return true;
        }
        list += n + (list[n] != '\0');
    }
    return false;
}

/* Every key is one that is known or to be left aside, and none is there twice. */
static il_status check_keys(const corpus *c, const place *p, const json *object,
                            const char *const *known, const char *of, il_error *err)
{
    const char *next = NULL;
    uint32_t seen = 0;
    json key;
    json value;

    while (json_member(object, &next, &key, &value)) {
        char what[192];
        int k = 0;

        while (known[k] != NULL && !key_is(&key, known[k])) {
            k++;
        }
        if (known[k] != NULL && (seen >> k & 1) == 0) {
            seen |= (uint32_t)1 << k;
            continue;
        }
        if (known[k] == NULL && listed(c->ignore, &key)) {
            continue;
        }
        (void)snprintf(
            what, sizeof what,
            known[k] != NULL ? "%s: the key '%.*s' twice"
                             : "%s: the key '%.*s' means nothing here: `ignore` can "
                               "list it",
            of, (int)(key_size(&key) < 64 ? key_size(&key) : 64), key.at + 1);
        return wrong(c, p, what, err);
    }
    return IL_OK;
}

/* ---- labels and spans ----------------------------------------------------------- */

/* The bit of a name; 0 for one that nobody asked for. */
static uint32_t bit_of(const corpus *c, const char *text, size_t size, bool role)
{
    for (int i = 0; i < c->name_count; i++) {
        if (c->names[i].role == role && strlen(c->names[i].text) == size &&
            memcmp(c->names[i].text, text, size) == 0) {
            return (uint32_t)TOKEN_NAMES << i;
        }
    }
    return 0;
}

/* The bits of {"label": 1, ...}. */
static il_status label_bits(const corpus *c, const place *p, const json *of, draft *d,
                            uint32_t *bits, il_error *err)
{
    const char *next = NULL;
    json labels;
    json key;
    json value;

    if (!json_find(of, "labels", &labels)) {
        return IL_OK;
    }
    if (!json_is(&labels, '{')) {
        return wrong(c, p, "labels: expected an object of names with 0 or 1", err);
    }
    while (json_member(&labels, &next, &key, &value)) {
        uint32_t bit = bit_of(c, key.at + 1, key_size(&key), false);
        bool set = false;

        if (!json_set(&value, &set)) {
            return wrong(c, p, "labels: expected 0, 1, true or false", err);
        }
        *bits |= set ? bit : 0;
        d->named |= bit;
    }
    return IL_OK;
}

/* A character of a text and the byte at which it begins. */
typedef struct mark {
    int64_t character;
    size_t byte;
} mark;

/* The byte at which a character begins; the text's size for the one behind the last,
 * SIZE_MAX for those after it. Looks from where it looked before, so that the spans of
 * a long text cost no more than the text. */
static size_t byte_of(const char *text, size_t size, int64_t character, mark *at)
{
    for (; at->character < character && at->byte < size; at->character++) {
        do {
            at->byte++;
        } while (at->byte < size && ((unsigned char)text[at->byte] & 0xc0) == 0x80);
    }
    for (; at->character > character; at->character--) {
        do {
            at->byte--;
        } while (at->byte > 0 && ((unsigned char)text[at->byte] & 0xc0) == 0x80);
    }
    return at->character == character ? at->byte : SIZE_MAX;
}

/* Marks the bytes of a text that spans cover. */
static il_status mark_spans(const corpus *c, const place *p, const json *spans,
                            const char *text, size_t size, uint32_t *marks, draft *d,
                            il_error *err)
{
    const char *next = NULL;
    mark at = {0, 0};
    json span;

    if (!json_is(spans, '[')) {
        return wrong(c, p, "spans: expected a list", err);
    }
    while (json_entry(spans, &next, &span)) {
        json start;
        json end;
        json label;
        int64_t a = -1;
        int64_t b = -1;
        size_t last;
        uint32_t bits = TOKEN_SPAN;

        if (!json_is(&span, '{') || !json_find(&span, "start", &start) ||
            !json_find(&span, "end", &end) || !json_whole(&start, &a) ||
            !json_whole(&end, &b) || a < 0 || b < a) {
            return wrong(c, p, "spans: expected start and end in characters", err);
        }
        IL_TRY(check_keys(c, p, &span, span_keys, "spans", err));
        last = byte_of(text, size, b, &at);
        if (last == SIZE_MAX) {
            return wrong(c, p, "spans: one ends behind the text", err);
        }
        if (json_find(&span, "label", &label)) {
            if (!json_is(&label, '"')) {
                return wrong(c, p, "spans: expected a label's name", err);
            }
            bits |= bit_of(c, label.at + 1, key_size(&label), false);
            d->named |= bits;
        }
        for (size_t i = byte_of(text, size, a, &at); i < last; i++) {
            marks[i] |= bits;
        }
    }
    return IL_OK;
}

/* ---- conversations -------------------------------------------------------------- */

/* What becomes of {"messages": [...]} before the template writes it. */
typedef struct talk {
    char *line; /* as the template is to get it */
    size_t size;
    uint32_t *turns; /* of each turn: the bits of what it says */
    size_t *firsts;  /* where its content begins in `marks`; one more */
    int64_t count;
    char *content;   /* of the message that is read */
    uint32_t *marks; /* of each byte of content: the bits of its spans */
    bool spans;      /* there are any */
} talk;

static void talk_free(talk *t)
{
    free(t->line);
    free(t->turns);
    free(t->firsts);
    free(t->content);
    free(t->marks);
}

static void put(talk *t, const char *text, size_t size)
{
    memcpy(t->line + t->size, text, size);
    t->size += size;
}

/* A member, behind a comma if it is not the first; within room for a line as long as
 * the document's, and a few signs more. */
static void put_member(talk *t, bool first, const json *key, const json *value)
{
    put(t, ",", first ? 0 : 1);
    put(t, key->at, (size_t)(key->end - key->at));
    put(t, ":", 1);
    put(t, value->at, (size_t)(value->end - value->at));
}

/* The bytes of a content as the template gets it: text, or the texts of its parts one
 * behind the other. */
static size_t content_text(const json *content, char *out)
{
    const char *next = NULL;
    size_t size = 0;
    json part;
    json text;

    if (json_is(content, '"')) {
        return json_text(content, out);
    }
    while (json_is(content, '[') && json_entry(content, &next, &part)) {
        if (json_is(&part, '{') && json_find(&part, "text", &text) &&
            json_is(&text, '"')) {
            size += json_text(&text, out + size);
        }
    }
    return size;
}

/* A message: what the template is to see of it, and the bits of what it says. */
static il_status read_message(const corpus *c, const place *p, const json *message,
                              talk *t, draft *d, il_error *err)
{
    const char *next = NULL;
    uint32_t *bits = &t->turns[t->count];
    size_t first = t->firsts[t->count];
    size_t size;
    bool begins = true;
    char role_text[64];
    json role;
    json content = {"null", "null" + 4};
    json spans;
    json key;
    json value;

    if (!json_is(message, '{') || !json_find(message, "role", &role) ||
        !json_is(&role, '"')) {
        return wrong(c, p, "messages: expected role and content of each", err);
    }
    IL_TRY(check_keys(c, p, message, message_keys, "messages", err));
    if (!json_find(message, "content", &content) &&
        !json_find(message, "tool_calls", &value)) {
        return wrong(c, p, "messages: expected role and content of each", err);
    }
    if (!json_is(&content, '"') && !json_is(&content, '[') && !json_is(&content, 'n')) {
        return wrong(c, p, "messages: expected content as text or a list of parts",
                     err);
    }
    if (key_size(&role) < sizeof role_text) {
        *bits |= bit_of(c, role_text, json_text(&role, role_text), true);
    }
    for (int i = 0; i < c->name_count; i++) {
        *bits |=
            *bits & (uint32_t)TOKEN_NAMES << i && c->names[i].learned ? TOKEN_LEARN : 0;
    }
    IL_TRY(label_bits(c, p, message, d, bits, err));
    size = content_text(&content, t->content);
    t->firsts[t->count + 1] = first + size;
    if (json_find(message, "spans", &spans)) {
        t->spans = true;
        IL_TRY(mark_spans(c, p, &spans, t->content, size, t->marks + first, d, err));
    }
    put(t, t->count > 0 ? ",{" : "{", t->count > 0 ? 2 : 1);
    while (json_member(message, &next, &key, &value)) {
        if (!key_is(&key, "labels") && !key_is(&key, "spans")) {
            put_member(t, begins, &key, &value);
            begins = false;
        }
    }
    put(t, "}", 1);
    t->count++;
    return IL_OK;
}

/* Whether the last messages are answers, which are what a prompt asks for. */
static int64_t without_answers(const json *messages, int64_t count)
{
    const char *next = NULL;
    int64_t kept = 0;
    json message;
    json role;

    for (int64_t i = 0; i < count && json_entry(messages, &next, &message); i++) {
        if (!json_is(&message, '{') || !json_find(&message, "role", &role) ||
            !key_is(&role, "assistant")) {
            kept = i + 1;
        }
    }
    return kept;
}

/* What the template gets besides the messages. */
static il_status put_rest(const corpus *c, const place *p, const json *line, talk *t,
                          il_error *err)
{
    static const char *const handed[] = {"tools", "documents", "date"};
    const char *variables = c->variables != NULL ? c->variables : "";
    const json own = {variables, variables + strlen(variables)};
    const json date_key = {"\"date\"", "\"date\"" + 6};
    const json date = {c->date, c->date + strlen(c->date)};
    const json *given[2] = {&own, NULL};
    json key;
    json value;
    json kwargs;
    bool dated = false;

    for (const char *next = NULL; json_member(line, &next, &key, &value);) {
        for (int k = 0; k < 3; k++) {
            if (key_is(&key, handed[k])) {
                put_member(t, false, &key, &value);
                dated = dated || k == 2;
            }
        }
    }
    if (!dated && date.at < date.end) {
        put_member(t, false, &date_key, &date);
    }
    if (json_find(line, "chat_template_kwargs", &kwargs)) {
        if (!json_is(&kwargs, '{')) {
            return wrong(c, p, "chat_template_kwargs: expected an object", err);
        }
        given[1] = &kwargs;
    }
    for (int k = 0; k < 2; k++) {
        const char *next = NULL;

        while (given[k] != NULL && given[k]->at < given[k]->end &&
               json_member(given[k], &next, &key, &value)) {
            put_member(t, false, &key, &value);
        }
    }
    return IL_OK;
}

/* The document's messages and what goes with them, as the template is to get them. */
static il_status read_talk(const corpus *c, const place *p, const json *line,
                           const json *messages, talk *t, draft *d, il_error *err)
{
    size_t room = (size_t)(line->end - line->at);
    const char *next = NULL;
    int64_t count = 0;
    json message;
    json spans;

    if (json_find(line, "spans", &spans)) {
        return wrong(c, p, "spans: expected within the message that they count in",
                     err);
    }
    while (json_entry(messages, &next, &message)) {
        count++;
    }
    count = c->prompts ? without_answers(messages, count) : count;
    t->line = malloc(room + (c->variables != NULL ? strlen(c->variables) : 0) + 128);
    t->turns = calloc((size_t)count + 1, sizeof *t->turns);
    t->firsts = calloc((size_t)count + 2, sizeof *t->firsts);
    t->content = malloc(room + 1);
    t->marks = calloc(room + 1, sizeof *t->marks);
    if (t->line == NULL || t->turns == NULL || t->firsts == NULL ||
        t->content == NULL || t->marks == NULL) {
        return no_memory(c, err);
    }
    put(t, "{\"messages\":[", 13);
    next = NULL;
    while (t->count < count && json_entry(messages, &next, &message)) {
        IL_TRY(read_message(c, p, &message, t, d, err));
    }
    put(t, "]", 1);
    IL_TRY(put_rest(c, p, line, t, err));
    put(t, "}", 1);
    return IL_OK;
}

/* Gives each byte that the template wrote the bits of what it is from. A span that it
 * left out, in part or whole, cannot be found among the tokens, which is an error. */
static il_status mark_talk(const corpus *c, const place *p, talk *t, draft *d,
                           const int32_t *whose, const int32_t *places, il_error *err)
{
    for (size_t i = 0; i < d->size; i++) {
        size_t at;

        if (whose[i] < 0) {
            continue;
        }
        d->bits[i] |= t->turns[whose[i]];
        if (t->spans && places[i] >= 0) {
            at = t->firsts[whose[i]] + (size_t)places[i];
            d->bits[i] |= t->marks[at] & ~(uint32_t)TOKEN_FOUND;
            t->marks[at] |= TOKEN_FOUND;
        }
    }
    for (int64_t turn = 0; t->spans && turn < t->count; turn++) {
        for (size_t at = t->firsts[turn]; at < t->firsts[turn + 1]; at++) {
            if ((t->marks[at] & (TOKEN_SPAN | TOKEN_FOUND)) == TOKEN_SPAN) {
                char what[160];

                (void)snprintf(what, sizeof what,
                               "spans: one of message %lld holds text that the chat "
                               "template does not write as it stands",
                               (long long)turn);
                return wrong(c, p, what, err);
            }
        }
    }
    return IL_OK;
}

/* {"messages": [...]}: through the chat template, each byte with its turn's bits. */
static il_status read_chat(const corpus *c, const place *p, const json *line,
                           const json *messages, draft *d, il_error *err)
{
    size_t room = (size_t)p->size * 4 + 65536;
    talk t = {.line = NULL};
    int32_t *whose = NULL;
    int32_t *places = NULL;
    il_status status = read_talk(c, p, line, messages, &t, d, err);

    for (int round = 0; status == IL_OK && round < 2; round++) {
        free(whose);
        free(places);
        free(d->text);
        free(d->bits);
        whose = malloc(room * sizeof *whose);
        places = malloc(room * sizeof *places);
        d->text = malloc(room);
        d->bits = calloc(room, sizeof *d->bits);
        status =
            whose == NULL || places == NULL || d->text == NULL || d->bits == NULL
                ? no_memory(c, err)
                : il_tokens_conversation(c->tokens, t.line, t.size, c->prompts, room,
                                         d->text, whose, places, &d->size, err);
        if (status == IL_OK && d->size <= room) {
            break;
        }
        room = d->size;
    }
    if (status == IL_OK) {
        status = mark_talk(c, p, &t, d, whose, places, err);
    } else if (status == IL_ERR_INPUT && t.size > 0) {
        /* which document it is that the template refuses */
        il_error said = *err;

        (void)memset(err, 0, sizeof *err);
        (void)wrong(c, p, said.message, err);
    }
    d->special = false; /* the template writes them */
    talk_free(&t);
    free(whose);
    free(places);
    return status;
}

il_status draft_read(const corpus *c, const place *p, draft *d, uint64_t *id,
                     il_error *err)
{
    const char *from = c->data + p->at;
    json line = {from, from + p->size};
    json value;
    size_t bad;

    if (!json_check(from, p->size, &bad)) {
        char what[64];

        (void)snprintf(what, sizeof what, "no JSON at its byte %zu", bad);
        return wrong(c, p, what, err);
    }
    while (*line.at == ' ' || *line.at == '\t') {
        line.at++;
    }
    if (json_is(&line, '{')) {
        IL_TRY(check_keys(c, p, &line, document_keys, "a document", err));
    }
    if (json_find(&line, "id", &value)) {
        *id = corpus_hash(1, value.at, (size_t)(value.end - value.at));
    }
    IL_TRY(label_bits(c, p, &line, d, &d->all, err));
    if (json_find(&line, "messages", &value) && json_is(&value, '[')) {
        return read_chat(c, p, &line, &value, d, err);
    }
    if (!(c->prompts && json_find(&line, "prompt", &value) && json_is(&value, '"')) &&
        (!json_find(&line, "text", &value) || !json_is(&value, '"'))) {
        return wrong(c, p, "expected an object with text or messages", err);
    }
    d->text = malloc((size_t)(value.end - value.at) + 1);
    d->bits = calloc((size_t)(value.end - value.at) + 1, sizeof *d->bits);
    if (d->text == NULL || d->bits == NULL) {
        return no_memory(c, err);
    }
    d->size = json_text(&value, d->text);
    d->all |= TOKEN_LEARN;
    return json_find(&line, "spans", &value)
               ? mark_spans(c, p, &value, d->text, d->size, d->bits, d, err)
               : IL_OK;
}
