#define _POSIX_C_SOURCE 200809L
#include "corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "json.h"

uint64_t corpus_hash(uint64_t from, const void *data, size_t size)
{
    const char *p = data;
    uint64_t word;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        from = il_rng_mix_(from, word);
    }
    word = 0;
    memcpy(&word, p, size);
    return il_rng_mix_(il_rng_mix_(from, word), size);
}

il_status corpus_names(corpus *c, const char *list, bool role, bool learned,
                       il_error *err)
{
    while (*list != '\0') {
        size_t n = strcspn(list, ", ");
        name *to = &c->names[c->name_count];
        bool there = false;

        for (int i = 0; i < c->name_count; i++) {
            if (strlen(c->names[i].text) == n &&
                memcmp(c->names[i].text, list, n) == 0) {
                there = true;
                c->names[i].learned = c->names[i].learned || learned;
                if (c->names[i].role != role) {
                    return il_error_set(err, IL_ERR_INPUT, "text",
                                        "'%s' is a role and a label", c->names[i].text);
                }
            }
        }
        if (n > 0 && !there) {
            if (c->name_count == NAMES_MAX || n >= sizeof to->text) {
                return il_error_set(
                    err, IL_ERR_INPUT, "text",
                    "expected at most %d roles and labels, of less than "
                    "%zu bytes each",
                    NAMES_MAX, sizeof to->text);
            }
            memcpy(to->text, list, n);
            to->text[n] = '\0';
            to->role = role;
            to->learned = learned;
            c->name_count++;
        }
        list += n + (list[n] != '\0');
    }
    return IL_OK;
}

void document_free(document *d)
{
    free(d->ids);
    free(d->bits);
    memset(d, 0, sizeof *d);
}

/* ---- one document --------------------------------------------------------------- */

/* A document's text on its way to tokens, with what is said of each byte. */
typedef struct draft {
    char *text;
    uint32_t *bits; /* one a byte */
    size_t size;
    uint32_t all; /* of every token that stands for bytes */
    bool special;
} draft;

static il_status wrong(const corpus *c, const place *p, const char *what, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, c->path, "the document at byte %llu: %s",
                        (unsigned long long)p->at, what);
}

static il_status no_memory(const corpus *c, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, c->path, "out of memory");
}

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
static il_status label_bits(const corpus *c, const place *p, const json *of,
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
        bool set = false;

        if (!json_set(&value, &set)) {
            return wrong(c, p, "labels: expected 0, 1, true or false", err);
        }
        *bits |= set ? bit_of(c, key.at + 1, (size_t)(key.end - key.at) - 2, false) : 0;
    }
    return IL_OK;
}

/* The byte at which a character begins; the text's size for the one behind the last,
 * SIZE_MAX for those after it. */
static size_t byte_of(const draft *d, int64_t character)
{
    size_t i = 0;

    for (; i < d->size && character > 0; character--) {
        do {
            i++;
        } while (i < d->size && ((unsigned char)d->text[i] & 0xc0) == 0x80);
    }
    return character == 0 ? i : SIZE_MAX;
}

static il_status mark_spans(const corpus *c, const place *p, const json *of, draft *d,
                            il_error *err)
{
    const char *next = NULL;
    json spans;
    json span;

    if (!json_find(of, "spans", &spans)) {
        return IL_OK;
    }
    if (!json_is(&spans, '[')) {
        return wrong(c, p, "spans: expected a list", err);
    }
    while (json_entry(&spans, &next, &span)) {
        json start;
        json end;
        json label;
        int64_t a = -1;
        int64_t b = -1;
        size_t first;
        size_t last;
        uint32_t bits = TOKEN_SPAN;

        if (!json_is(&span, '{') || !json_find(&span, "start", &start) ||
            !json_find(&span, "end", &end) || !json_whole(&start, &a) ||
            !json_whole(&end, &b) || a < 0 || b < a) {
            return wrong(c, p, "spans: expected start and end in characters", err);
        }
        first = byte_of(d, a);
        last = byte_of(d, b);
        if (last == SIZE_MAX) {
            return wrong(c, p, "spans: one ends behind the text", err);
        }
        if (json_find(&span, "label", &label) && json_is(&label, '"')) {
            bits |= bit_of(c, label.at + 1, (size_t)(label.end - label.at) - 2, false);
        }
        for (size_t i = first; i < last; i++) {
            d->bits[i] |= bits;
        }
    }
    return IL_OK;
}

enum { TURNS_MAX = 1024 };

/* {"messages": [...]}: through the chat template, each byte with its turn's bits. */
static il_status read_chat(const corpus *c, const place *p, const json *line,
                           const json *messages, draft *d, il_error *err)
{
    il_turn *turns = calloc(TURNS_MAX, sizeof *turns);
    uint32_t *marks = calloc(TURNS_MAX, sizeof *marks);
    char *words = malloc((size_t)(line->end - line->at) + 1);
    size_t room = (size_t)p->size * 4 + 65536;
    int32_t *whose = malloc(room * sizeof *whose);
    const char *next = NULL;
    size_t used = 0;
    int64_t count = 0;
    il_status status = IL_OK;
    json message;

    d->text = malloc(room);
    d->bits = calloc(room, sizeof *d->bits);
    if (turns == NULL || marks == NULL || words == NULL || whose == NULL ||
        d->text == NULL || d->bits == NULL) {
        status = no_memory(c, err);
    }
    while (status == IL_OK && json_entry(messages, &next, &message)) {
        json role;
        json content;
        il_turn *t = &turns[count];

        if (count == TURNS_MAX || !json_is(&message, '{') ||
            !json_find(&message, "role", &role) || !json_is(&role, '"') ||
            !json_find(&message, "content", &content) || !json_is(&content, '"')) {
            status = wrong(c, p, "messages: expected role and content of each", err);
            break;
        }
        t->role = words + used;
        t->role_size = json_text(&role, words + used);
        used += t->role_size;
        t->content = words + used;
        t->content_size = json_text(&content, words + used);
        used += t->content_size;
        marks[count] = bit_of(c, t->role, t->role_size, true);
        for (int i = 0; i < c->name_count; i++) {
            marks[count] |=
                marks[count] & (uint32_t)TOKEN_NAMES << i && c->names[i].learned
                    ? TOKEN_LEARN
                    : 0;
        }
        status = label_bits(c, p, &message, &marks[count], err);
        count++;
    }
    if (status == IL_OK) {
        status = il_tokens_chat(c->tokens, turns, count, false, room, d->text, whose,
                                &d->size, err);
    }
    if (status == IL_OK && d->size > room) {
        status = wrong(c, p, "the template writes more than four times as much", err);
    }
    for (size_t i = 0; status == IL_OK && i < d->size; i++) {
        d->bits[i] |= whose[i] >= 0 ? marks[whose[i]] : 0;
    }
    d->special = false; /* the template writes them */
    free(turns);
    free(marks);
    free(words);
    free(whose);
    return status;
}

static il_status read_line(const corpus *c, const place *p, draft *d, uint64_t *id,
                           il_error *err)
{
    const char *from = c->data + p->at;
    json line = {from, from + p->size};
    json value;
    size_t bad;

    if (!json_check(from, p->size, &bad)) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "the document at byte %llu is no JSON at its byte %zu",
                            (unsigned long long)p->at, bad);
    }
    while (*line.at == ' ' || *line.at == '\t') {
        line.at++;
    }
    if (json_find(&line, "id", &value)) {
        *id = corpus_hash(1, value.at, (size_t)(value.end - value.at));
    }
    IL_TRY(label_bits(c, p, &line, &d->all, err));
    if (json_find(&line, "messages", &value) && json_is(&value, '[')) {
        return read_chat(c, p, &line, &value, d, err);
    }
    if (!json_find(&line, "text", &value) || !json_is(&value, '"')) {
        return wrong(c, p, "expected an object with text or messages", err);
    }
    d->text = malloc((size_t)(value.end - value.at) + 1);
    d->bits = calloc((size_t)(value.end - value.at) + 1, sizeof *d->bits);
    if (d->text == NULL || d->bits == NULL) {
        return no_memory(c, err);
    }
    d->size = json_text(&value, d->text);
    d->all |= TOKEN_LEARN;
    return mark_spans(c, p, &line, d, err);
}

/* The tokens of a draft; each has the bits of every byte that it stands for, and the
 * one behind a learned turn, which ends it, is learned too. */
static il_status tokenize(const corpus *c, const draft *d, const char *text,
                          document *out, il_error *err)
{
    int64_t room = (int64_t)d->size + 64;
    uint32_t *firsts = NULL;
    uint32_t *lasts = NULL;
    int64_t count = 0;
    bool turn = false; /* the token before was of a turn that is learned */
    il_status status = IL_OK;

    for (int round = 0; round < 2 && status == IL_OK; round++) {
        free(firsts);
        free(lasts);
        document_free(out);
        out->ids = malloc((size_t)(room + 1) * sizeof *out->ids);
        out->bits = calloc((size_t)room + 1, sizeof *out->bits);
        firsts = malloc((size_t)room * sizeof *firsts);
        lasts = malloc((size_t)room * sizeof *lasts);
        status =
            out->ids == NULL || out->bits == NULL || firsts == NULL || lasts == NULL
                ? no_memory(c, err)
                : il_tokens_encode(c->tokens, text, d->size, d->special, room, out->ids,
                                   firsts, lasts, &count, err);
        if (count <= room) {
            break;
        }
        room = count;
    }
    for (int64_t i = 0; status == IL_OK && i < count; i++) {
        uint32_t said = 0;

        for (uint32_t k = firsts[i]; d->bits != NULL && k < lasts[i]; k++) {
            said |= d->bits[k];
        }
        out->bits[i] =
            said | (lasts[i] > firsts[i] ? TOKEN_TEXT | d->all : TOKEN_LEARN & d->all);
        out->bits[i] |= c->all_learned || turn ? TOKEN_LEARN : 0;
        turn = (said & TOKEN_LEARN) != 0;
    }
    out->count = count;
    if (status == IL_OK && c->end >= 0) {
        out->ids[count] = c->end;
        out->bits[count] = TOKEN_LEARN;
        out->count++;
    }
    if (status == IL_OK && out->count > 0) {
        out->bits[0] |= TOKEN_BEGINS;
    }
    free(firsts);
    free(lasts);
    return status;
}

il_status document_read(const corpus *c, int64_t i, document *out, uint64_t *id,
                        il_error *err)
{
    const place *p = &c->places[i];
    draft d = {.special = c->special};
    uint64_t own = corpus_hash(2, c->data + p->at, p->size);
    il_status status = IL_OK;

    memset(out, 0, sizeof *out);
    if (c->format == FORMAT_JSONL) {
        status = read_line(c, p, &d, &own, err);
    } else {
        d.size = p->size;
        d.all = TOKEN_LEARN;
    }
    if (status == IL_OK) {
        status = tokenize(c, &d, d.text != NULL ? d.text : c->data + p->at, out, err);
    }
    free(d.text);
    free(d.bits);
    if (status != IL_OK) {
        document_free(out);
        return status;
    }
    *id = own;
    return IL_OK;
}

/* ---- the file ------------------------------------------------------------------- */

static il_status map(corpus *c, il_error *err)
{
    struct stat s;
    void *data = MAP_FAILED;
    int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &s) != 0) {
        (void)il_error_set(err, IL_ERR_IO, c->path, "cannot be read: %s",
                           strerror(errno));
    } else if (!S_ISREG(s.st_mode) || s.st_size == 0) {
        (void)il_error_set(err, IL_ERR_INPUT, c->path,
                           "expected a file with documents");
    } else {
        data = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        c->size = (size_t)s.st_size;
        if (data == MAP_FAILED) {
            (void)il_error_set(err, IL_ERR_IO, c->path, "cannot be mapped: %s",
                               strerror(errno));
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    c->data = data == MAP_FAILED ? NULL : data;
    return c->data != NULL ? IL_OK : err->code;
}

static il_status add_place(corpus *c, size_t at, size_t size, int64_t *room,
                           il_error *err)
{
    if (size > (size_t)1 << 29) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "the document at byte %zu has more than 512 MiB", at);
    }
    if (c->count == *room) {
        int64_t more = *room == 0 ? 1024 : *room * 2;
        place *places = realloc(c->places, (size_t)more * sizeof *places);

        if (places == NULL) {
            return no_memory(c, err);
        }
        c->places = places;
        *room = more;
    }
    c->places[c->count++] = (place){.at = at, .size = (uint32_t)size};
    return IL_OK;
}

il_status corpus_open(corpus *c, const char *path, il_error *err)
{
    int64_t room = 0;

    c->path = path;
    IL_TRY(map(c, err));
    for (size_t i = 0; i < c->size;) {
        const char *end =
            c->format == FORMAT_TEXT ? NULL : memchr(c->data + i, '\n', c->size - i);
        size_t last = end != NULL ? (size_t)(end - c->data) : c->size;
        size_t size = last - i;

        size -= size > 0 && end != NULL && c->data[last - 1] == '\r' ? 1 : 0;
        if (size > 0) {
            IL_TRY(add_place(c, i, size, &room, err));
        }
        i = last + 1;
    }
    for (int64_t i = 0; i < c->count; i++) {
        document d;

        IL_TRY(document_read(c, i, &d, &c->places[i].id, err));
        if (d.count > INT32_MAX) {
            document_free(&d);
            return wrong(c, &c->places[i], "too many tokens", err);
        }
        c->places[i].tokens = (uint32_t)d.count;
        document_free(&d);
    }
    return IL_OK;
}

void corpus_close(corpus *c)
{
    if (c->data != NULL) {
        (void)munmap((void *)(uintptr_t)c->data, c->size);
    }
    free(c->places);
}
