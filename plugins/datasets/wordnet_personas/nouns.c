#include "nouns.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define FILE_BYTES_MAX ((size_t)256 << 20)

const char *const category_names[CATEGORIES] = {
    "animal", "plant", "person", "disease", "device", "food", "body_part", "compound"};

/* The synsets whose hyponyms, at any depth and without themselves, are the
 * categories. */
static const uint32_t roots[CATEGORIES] = {15388,   17222,   7846,    14070360,
                                           3183080, 7555863, 5220461, 14818238};

static const char *const stop_words[] = {
    "a",  "an",   "the", "of",   "or",    "and", "in",     "to",     "that",
    "is", "by",   "for", "with", "as",    "on",  "at",     "any",    "are",
    "be", "from", "it",  "used", "which", "its", "having", "usually"};

/* One line of the file. */
typedef struct synset {
    uint32_t offset;
    uint32_t below; /* bit c: a hyponym of root c */
    char *gloss;
    char *end;
} synset;

/* A pointer from one synset to another: `@` up to a hypernym, `~` down to a hyponym. */
typedef struct relation {
    uint32_t from; /* the synset's number in this file */
    uint32_t to;   /* its offset; its number once all are read */
    uint32_t line;
    bool up;
} relation;

typedef struct reader {
    const char *path;
    uint32_t line;
    char *at;  /* within the line */
    char *end; /* of the line */
    synset *synsets;
    size_t synset_count;
    size_t synset_room;
    relation *links;
    size_t link_count;
    size_t link_room;
    il_error *err;
} reader;

static il_status wrong(const reader *r, uint32_t line, const char *what)
{
    char where[IL_ERROR_WHERE_MAX];

    (void)snprintf(where, sizeof where, "%s:%u", r->path, (unsigned)line);
    return il_error_set(r->err, IL_ERR_INPUT, where,
                        "%s; the file is not WordNet's data.noun or is damaged", what);
}

/* Room for one more element: the array, moved perhaps, or NULL when memory is out. */
static void *grown(void *items, size_t count, size_t *room, size_t size)
{
    size_t more = *room == 0 ? 1024 : *room * 2;

    if (count < *room) {
        return items;
    }
    items = realloc(items, more * size);
    if (items != NULL) {
        *room = more;
    }
    return items;
}

/* ---- lines ---------------------------------------------------------------------- */

/* The next field up to a space: false at the end of the line. */
static bool field(reader *r, const char **text, size_t *length)
{
    char *from = r->at;

    while (r->at < r->end && *r->at != ' ') {
        r->at++;
    }
    *text = from;
    *length = (size_t)(r->at - from);
    if (r->at < r->end) {
        r->at++;
    }
    return *length > 0;
}

/* A field of exactly `digits` digits in the base. */
static bool number(reader *r, size_t digits, uint32_t base, uint32_t *out)
{
    const char *text;
    size_t length;
    uint32_t value = 0;

    if (!field(r, &text, &length) || length != digits) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                                                : 99;

        if (digit >= base) {
            return false;
        }
        value = value * base + digit;
    }
    *out = value;
    return true;
}

/* Symbol, target, part of speech, which words: kept when it leads to a noun above or
 * below. */
static il_status pointer_read(reader *r, uint32_t from)
{
    const char *symbol;
    const char *part;
    const char *words;
    size_t symbol_length;
    size_t length;
    uint32_t to;
    relation *links;

    if (!field(r, &symbol, &symbol_length) || !number(r, 8, 10, &to) ||
        !field(r, &part, &length) || !field(r, &words, &length)) {
        return wrong(r, r->line, "expected a pointer of four fields");
    }
    if (symbol_length != 1 || (*symbol != '@' && *symbol != '~')) {
        return IL_OK;
    }
    links = grown(r->links, r->link_count, &r->link_room, sizeof *links);
    if (links == NULL) {
        return il_error_set(r->err, IL_ERR_MEMORY, r->path, "out of memory");
    }
    r->links = links;
    links[r->link_count++] = (relation){from, to, r->line, *symbol == '@'};
    return IL_OK;
}

/* offset, file number, type, words in hex, each word with an id, pointers, | and the
 * gloss. */
static il_status synset_read(reader *r)
{
    const char *text;
    size_t length;
    uint32_t words;
    uint32_t pointers;
    synset s = {0, 0, NULL, NULL};
    synset *synsets;

    if (!number(r, 8, 10, &s.offset)) {
        return wrong(r, r->line, "expected an offset of 8 digits");
    }
    if (!field(r, &text, &length) || !field(r, &text, &length) ||
        !number(r, 2, 16, &words)) {
        return wrong(r, r->line, "expected a count of words, two hex digits");
    }
    for (uint32_t i = 0; i < 2 * words; i++) {
        if (!field(r, &text, &length)) {
            return wrong(r, r->line, "expected words, each with an id");
        }
    }
    if (!number(r, 3, 10, &pointers)) {
        return wrong(r, r->line, "expected a count of pointers, three digits");
    }
    for (uint32_t i = 0; i < pointers; i++) {
        IL_TRY(pointer_read(r, (uint32_t)r->synset_count));
    }
    if (!field(r, &text, &length) || length != 1 || *text != '|') {
        return wrong(r, r->line, "expected | and a gloss");
    }
    if (r->synset_count > 0 && r->synsets[r->synset_count - 1].offset >= s.offset) {
        return wrong(r, r->line, "expected offsets that rise from line to line");
    }
    synsets = grown(r->synsets, r->synset_count, &r->synset_room, sizeof *synsets);
    if (synsets == NULL) {
        return il_error_set(r->err, IL_ERR_MEMORY, r->path, "out of memory");
    }
    s.gloss = r->at;
    s.end = r->end;
    r->synsets = synsets;
    synsets[r->synset_count++] = s;
    return IL_OK;
}

static il_status lines_read(reader *r, char *file, size_t size)
{
    char *at = file;

    while (at < file + size) {
        char *end = memchr(at, '\n', (size_t)(file + size - at));

        r->line++;
        if (end == NULL) {
            return wrong(r, r->line, "expected a line feed, got the end of the file");
        }
        if (end - at < 2 || at[0] != ' ' || at[1] != ' ') { /* else the licence */
            r->at = at;
            r->end = end;
            IL_TRY(synset_read(r));
        }
        at = end + 1;
    }
    return IL_OK;
}

/* ---- categories ----------------------------------------------------------------- */

/* The synset of that offset, or NULL; they lie in rising order. */
static synset *synset_find(const reader *r, uint32_t offset)
{
    size_t low = 0;
    size_t high = r->synset_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (r->synsets[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < r->synset_count && r->synsets[low].offset == offset ? &r->synsets[low]
                                                                     : NULL;
}

/* What one synset hands down to its hyponyms: what it is below, and itself when it
 * is a root. */
static uint32_t handed_down(const synset *s)
{
    uint32_t bits = s->below;

    for (int c = 0; c < CATEGORIES; c++) {
        if (s->offset == roots[c]) {
            bits |= 1u << c;
        }
    }
    return bits;
}

/* Sweeps the links until nothing changes, so that depth does not matter and a cycle
 * does no harm. */
static il_status categories_find(reader *r)
{
    char what[96];
    bool changed = true;

    for (int c = 0; c < CATEGORIES; c++) {
        if (synset_find(r, roots[c]) == NULL) {
            (void)snprintf(what, sizeof what, "no synset %08u (%s) in the file",
                           (unsigned)roots[c], category_names[c]);
            return wrong(r, r->line, what);
        }
    }
    for (size_t i = 0; i < r->link_count; i++) {
        relation *l = &r->links[i];
        const synset *to = synset_find(r, l->to);

        if (to == NULL) {
            (void)snprintf(what, sizeof what, "synset %08u points to %08u, not there",
                           (unsigned)r->synsets[l->from].offset, (unsigned)l->to);
            return wrong(r, l->line, what);
        }
        l->to = (uint32_t)(to - r->synsets);
    }
    while (changed) {
        changed = false;
        for (size_t i = 0; i < r->link_count; i++) {
            if (r->links[i].up) {
                synset *child = &r->synsets[r->links[i].from];
                uint32_t bits = child->below | handed_down(&r->synsets[r->links[i].to]);

                changed = changed || bits != child->below;
                child->below = bits;
            }
        }
    }
    return IL_OK;
}

/* ---- glosses -------------------------------------------------------------------- */

int word_compare(const word *a, const word *b)
{
    int32_t n = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, (size_t)n);

    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static bool word_stops(const word *w)
{
    for (size_t i = 0; i < sizeof stop_words / sizeof stop_words[0]; i++) {
        word stop = {stop_words[i], (int32_t)strlen(stop_words[i])};

        if (word_compare(w, &stop) == 0) {
            return true;
        }
    }
    return false;
}

/* The first words of the definition, up to its first quotation or semicolon, in
 * lower case. */
static void gloss_words(noun *n, char *at, const char *end)
{
    while (at < end && n->count < GLOSS_WORDS && *at != '"' && *at != ';') {
        word w = {at, 0};

        for (; at < end; at++, w.length++) {
            if (*at >= 'A' && *at <= 'Z') {
                *at = (char)(*at + ('a' - 'A'));
            }
            if (*at < 'a' || *at > 'z') {
                break;
            }
        }
        if (w.length == 0) {
            at++;
        } else if (!word_stops(&w)) {
            n->words[n->count++] = w;
        }
    }
}

/* The nouns below exactly one root, with enough words. */
static il_status nouns_pick(nouns *out, const reader *r)
{
    out->items = calloc(r->synset_count, sizeof *out->items);
    if (out->items == NULL) {
        return il_error_set(r->err, IL_ERR_MEMORY, r->path, "out of memory");
    }
    for (size_t i = 0; i < r->synset_count; i++) {
        const synset *s = &r->synsets[i];
        noun n = {.offset = s->offset, .category = 0, .count = 0};

        if (s->below == 0 || (s->below & (s->below - 1)) != 0) {
            continue;
        }
        while (s->below >> n.category != 1) {
            n.category++;
        }
        gloss_words(&n, s->gloss, s->end);
        if (n.count >= GLOSS_WORDS_MIN) {
            out->items[out->count++] = n;
        }
    }
    return IL_OK;
}

/* ---- the file ------------------------------------------------------------------- */

static il_status file_read(const char *path, char **out, size_t *size, il_error *err)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    size_t used = 0;
    size_t room = 0;
    il_status status = IL_OK;

    if (f == NULL) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "cannot open WordNet's nouns (%s); install the package "
                            "wordnet-base or set params.root to the folder of "
                            "data.noun",
                            strerror(errno));
    }
    for (;;) {
        size_t n;

        if (used == room) {
            char *more =
                room < FILE_BYTES_MAX ? realloc(data, room + (4u << 20)) : NULL;

            if (more == NULL) {
                status =
                    room < FILE_BYTES_MAX
                        ? il_error_set(err, IL_ERR_MEMORY, path, "out of memory")
                        : il_error_set(err, IL_ERR_INPUT, path,
                                       "expected at most %zu bytes", FILE_BYTES_MAX);
                break;
            }
            data = more;
            room += 4u << 20;
        }
        n = fread(data + used, 1, room - used, f);
        used += n;
        if (n == 0) {
            if (ferror(f)) {
                status = il_error_set(err, IL_ERR_IO, path, "cannot read: %s",
                                      strerror(errno));
            }
            break;
        }
    }
    (void)fclose(f); /* opened for reading */
    if (status != IL_OK) {
        free(data);
        return status;
    }
    *out = data;
    *size = used;
    return IL_OK;
}

il_status nouns_read(nouns *out, const char *path, sha256 *h, il_error *err)
{
    reader r = {.path = path, .err = err};
    nouns n = {NULL, NULL, 0};
    size_t size = 0;
    il_status status = file_read(path, &n.file, &size, err);

    if (status != IL_OK) {
        return status;
    }
    sha256_add(h, n.file, size); /* before glosses are changed in place */
    status = lines_read(&r, n.file, size);
    if (status == IL_OK) {
        status = categories_find(&r);
    }
    if (status == IL_OK) {
        status = nouns_pick(&n, &r);
    }
    free(r.links);
    free(r.synsets);
    if (status != IL_OK) {
        nouns_free(&n);
        return status;
    }
    *out = n;
    return IL_OK;
}

void nouns_free(nouns *n)
{
    free(n->items);
    free(n->file);
    n->items = NULL;
    n->file = NULL;
    n->count = 0;
}
