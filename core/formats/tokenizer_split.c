/* Pre-tokenizers: how a text is cut into the pieces that the model takes one by one. */
#include "formats/tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- finding -------------------------------------------------------------------- */

il_status il__token_parts(il_tokenizer_work *w, bool match, uint32_t first,
                          uint32_t last, il_error *err)
{
    if (w->part_count == w->part_room) {
        size_t room = w->part_room == 0 ? 64 : w->part_room * 2;
        void *more = realloc(w->parts, room * sizeof *w->parts);

        if (more == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
        }
        w->parts = more;
        w->part_room = room;
    }
    w->parts[w->part_count].match = match;
    w->parts[w->part_count].span = (il_span){first, last};
    w->part_count++;
    return IL_OK;
}

/* The first match at or after `from` of a text as it stands. */
static bool find_text(const il_words *words, const char *text, size_t size, size_t from,
                      il_span *span)
{
    while (from + words->size <= size) {
        const char *at =
            memchr(text + from, words->text[0], size - from - words->size + 1);

        if (at == NULL) {
            return false;
        }
        from = (size_t)(at - text);
        if (memcmp(at, words->text, words->size) == 0) {
            span->first = (uint32_t)from;
            span->last = (uint32_t)(from + words->size);
            return true;
        }
        from++;
    }
    return false;
}

il_status il__token_find(il_tokenizer_work *w, const il_pattern_text *pattern,
                         const il_piece *p, il_error *err)
{
    const char *text = w->draft.text + p->first;
    uint32_t size = p->last - p->first;
    uint32_t from = 0; /* where the search goes on */
    uint32_t kept = 0; /* up to where parts have been made */
    int64_t last = -1; /* where the last match ended */

    w->part_count = 0;
    while (from <= size) {
        il_span m = {0, 0};
        bool found = false;

        if (pattern->regex == NULL) {
            found = find_text(&pattern->text, text, size, from, &m);
        } else {
            IL_TRY(il__regex_find(pattern->regex, w->regex, text, size, from, &found,
                                  &m, err));
        }
        if (!found) {
            break;
        }
        /* A match of nothing right behind another one is none. */
        if (m.first == m.last && last == (int64_t)m.last) {
            from += from < size ? (uint32_t)il__utf8_length(text[from]) : 1;
            continue;
        }
        if (m.first > kept) {
            IL_TRY(il__token_parts(w, false, p->first + kept, p->first + m.first, err));
        }
        IL_TRY(il__token_parts(w, true, p->first + m.first, p->first + m.last, err));
        kept = from = m.last;
        last = m.last;
    }
    return kept < size ? il__token_parts(w, false, p->first + kept, p->last, err)
                       : IL_OK;
}

static bool is_of(const il_splitter *s, const char *at, size_t size, uint32_t code)
{
    switch (s->kind) {
    case IL_SPLITTER_SPACE:
        return il__is_space(code);
    case IL_SPLITTER_PUNCTUATION:
        return il__is_punctuation(code);
    case IL_SPLITTER_NUMERIC:
        return il__is_numeric(code);
    default:
        return size == s->character.size && memcmp(at, s->character.text, size) == 0;
    }
}

/* The same for characters of a class, each a match of its own. */
static il_status find_class(il_tokenizer_work *w, const il_splitter *s,
                            const il_piece *p, il_error *err)
{
    uint32_t kept = p->first;

    w->part_count = 0;
    for (uint32_t i = p->first; i < p->last;) {
        const char *at = w->draft.text + i;
        uint32_t code;
        uint32_t n = (uint32_t)il__utf8_read(at, &code);

        if (is_of(s, at, n, code)) {
            if (i > kept) {
                IL_TRY(il__token_parts(w, false, kept, i, err));
            }
            IL_TRY(il__token_parts(w, true, i, i + n, err));
            kept = i + n;
        }
        i += n;
    }
    return kept < p->last ? il__token_parts(w, false, kept, p->last, err) : IL_OK;
}

/* ---- behaviours ----------------------------------------------------------------- */

/* Cuts a piece at the parts found in it. Neighbours that a behaviour joins are joined
 * from the left, and for `next` from the right. */
static void cut_parts(il_tokenizer_work *w, il_behaviour behaviour, bool invert)
{
    size_t n = w->part_count;
    size_t kept = 0;
    bool before = false;

    for (size_t k = 0; k < n; k++) {
        size_t i = behaviour == IL_SPLIT_NEXT ? n - 1 - k : k;
        bool match = w->parts[i].match != invert;
        il_span span = w->parts[i].span;
        bool join = behaviour == IL_SPLIT_CONTIGUOUS ? match == before
                    : behaviour == IL_SPLIT_PREVIOUS || behaviour == IL_SPLIT_NEXT
                        ? match && !before
                        : false;

        before = match;
        if (behaviour == IL_SPLIT_REMOVED && match) {
            continue;
        }
        if (join && kept > 0 && behaviour == IL_SPLIT_NEXT) {
            w->parts[n - kept].span.first = span.first;
        } else if (join && kept > 0) {
            w->parts[kept - 1].span.last = span.last;
        } else if (behaviour == IL_SPLIT_NEXT) {
            kept++;
            w->parts[n - kept].span = span;
        } else {
            w->parts[kept++].span = span;
        }
    }
    for (size_t k = 0; k < kept; k++) {
        size_t i = behaviour == IL_SPLIT_NEXT ? n - kept + k : k;

        il__cut(&w->draft, w->parts[i].span.first, w->parts[i].span.last, -1);
    }
}

/* ---- rewriting ------------------------------------------------------------------ */

uint32_t il__byte_spelled(unsigned char byte)
{
    /* The bytes that print, as themselves; the others, in order, from U+0100 on. */
    if ((byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad)) {
        return byte;
    }
    return byte <= ' '    ? 0x100u + byte
           : byte <= 0xa0 ? 0x100u + 33 + (byte - 0x7fu)
                          : 0x143u;
}

int il__byte_of(uint32_t code)
{
    if (code >= 0x100 && code <= 0x143) {
        return code <= 0x120   ? (int)(code - 0x100)
               : code <= 0x142 ? (int)(code - 0x121 + 0x7f)
                               : 0xad;
    }
    return code < 0x100 && il__byte_spelled((unsigned char)code) == code ? (int)code
                                                                         : -1;
}

static void spell(il_draft *d, const il_piece *p)
{
    for (uint32_t i = p->first; i < p->last; i++) {
        il__put_code(d, il__byte_spelled((unsigned char)d->text[i]), il__span_at(d, i));
    }
}

static void put_words(il_draft *d, const il_words *words, il_span span)
{
    il__put(d, words->text, words->size, span);
}

static void metaspace(il_draft *d, const il_piece *p, const il_splitter *s)
{
    const il_words *c = &s->character;
    uint32_t kept = p->first;
    bool begins =
        d->text[p->first] == ' ' || (p->last - p->first >= c->size &&
                                     memcmp(d->text + p->first, c->text, c->size) == 0);

    if (!begins && (s->prepend == IL_PREPEND_ALWAYS ||
                    (s->prepend == IL_PREPEND_FIRST && p->origin == 0))) {
        put_words(d, c, il__span_at(d, p->first));
    }
    for (uint32_t i = p->first; i < p->last; i++) {
        if (d->text[i] == ' ') {
            il__put_same(d, kept, i);
            put_words(d, c, il__span_at(d, i));
            kept = i + 1;
        }
    }
    il__put_same(d, kept, p->last);
}

static bool rewrites(const il_draft *d, const il_piece *p, const il_splitter *s)
{
    if (p->id >= 0) {
        return false;
    }
    return s->kind != IL_SPLITTER_PREFIX || d->text[p->first] != ' ';
}

static void rewrite(il_draft *d, const il_splitter *s)
{
    bool any = false;

    for (size_t i = 0; i < d->now.count; i++) {
        any = any || rewrites(d, &d->now.at[i], s);
    }
    if (!any) {
        return;
    }
    il__rewrite_begin(d);
    for (size_t i = 0; i < d->now.count && !d->failed; i++) {
        const il_piece *p = &d->now.at[i];

        il__rewrite_piece(d, p);
        if (!rewrites(d, p, s)) {
            il__put_same(d, p->first, p->last);
        } else if (s->kind == IL_SPLITTER_BYTES) {
            spell(d, p);
        } else if (s->kind == IL_SPLITTER_PREFIX) {
            il__put(d, " ", 1, il__span_at(d, p->first));
            il__put_same(d, p->first, p->last);
        } else {
            metaspace(d, p, s);
        }
    }
    il__rewrite_done(d);
}

il_status il__token_split(const il_tokenizer *t, il_tokenizer_work *w, il_error *err)
{
    il_draft *d = &w->draft;

    for (size_t k = 0; k < t->splitter_count; k++) {
        const il_splitter *s = &t->splitters[k];

        if (s->kind == IL_SPLITTER_BYTES && t->spelled && k + 1 == t->splitter_count) {
            d->spelled = true; /* the model reads bytes, so nothing need be written */
            continue;
        }
        if (s->kind >= IL_SPLITTER_BYTES) {
            rewrite(d, s);
            continue;
        }
        for (size_t i = 0; i < d->now.count && !d->failed; i++) {
            const il_piece *p = &d->now.at[i];

            if (p->id >= 0) {
                il__keep(d, p);
                continue;
            }
            IL_TRY(s->kind == IL_SPLITTER_PATTERN
                       ? il__token_find(w, &s->pattern, p, err)
                       : find_class(w, s, p, err));
            cut_parts(w, s->behaviour, s->invert);
        }
        il__cut_done(d);
    }
    return IL_OK;
}

/* ---- reading -------------------------------------------------------------------- */

static il_splitter *item(il_token_reader *r, il_splitter_kind kind,
                         il_behaviour behaviour)
{
    il_splitter *s =
        il__token_item(r, &r->t->splitters, &r->t->splitter_count, sizeof *s);

    if (s != NULL) {
        s->kind = kind;
        s->behaviour = behaviour;
    }
    return s;
}

static il_status read_behaviour(il_token_reader *r, const json_t *o, il_behaviour *out)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    il_words name = {0};

    IL_TRY(il__token_text(r, o, "behavior", &name));
    for (int i = 0; name.text != NULL && i < 5; i++) {
        if (strcmp(name.text, names[i]) == 0) {
            *out = (il_behaviour)i;
            return IL_OK;
        }
    }
    return il__token_refuse(r, IL_ERR_INPUT,
                            "behavior: expected Removed, Isolated, MergedWithPrevious, "
                            "MergedWithNext or Contiguous");
}

static il_status read_bytes(il_token_reader *r, const json_t *o)
{
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                               " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool prefix = true;
    bool regex = true;
    il_splitter *s;

    IL_TRY(il__token_flag(r, o, "add_prefix_space", &prefix));
    IL_TRY(il__token_flag(r, o, "use_regex", &regex));
    if (prefix && item(r, IL_SPLITTER_PREFIX, IL_SPLIT_ISOLATED) == NULL) {
        return IL_ERR_MEMORY;
    }
    if (regex) {
        s = item(r, IL_SPLITTER_PATTERN, IL_SPLIT_ISOLATED);
        if (s == NULL) {
            return IL_ERR_MEMORY;
        }
        IL_TRY(il__token_regex(r, gpt2, &s->pattern.regex));
    }
    return item(r, IL_SPLITTER_BYTES, IL_SPLIT_ISOLATED) != NULL ? IL_OK
                                                                 : IL_ERR_MEMORY;
}

static il_status read_character(il_token_reader *r, const json_t *o, const char *key,
                                il_words *out)
{
    uint32_t code;

    IL_TRY(il__token_text(r, o, key, out));
    if (out->text == NULL || out->size == 0 ||
        (size_t)il__utf8_read(out->text, &code) != out->size) {
        return il__token_refuse(r, IL_ERR_INPUT, "%s: expected one character", key);
    }
    return IL_OK;
}

static il_status read_metaspace(il_token_reader *r, const json_t *o)
{
    il_splitter *s = item(r, IL_SPLITTER_METASPACE, IL_SPLIT_NEXT);
    il_words scheme = {"always", 6};
    bool prefix = true;
    bool split = true;
    il_words character;

    if (s == NULL) {
        return IL_ERR_MEMORY;
    }
    s->character = (il_words){"\xe2\x96\x81", 3};
    IL_TRY(read_character(r, o, "replacement", &s->character));
    IL_TRY(il__token_flag(r, o, "add_prefix_space", &prefix));
    IL_TRY(il__token_text(r, o, "prepend_scheme", &scheme));
    IL_TRY(il__token_flag(r, o, "split", &split));
    if (strcmp(scheme.text, "always") == 0) {
        s->prepend = IL_PREPEND_ALWAYS;
    } else if (strcmp(scheme.text, "first") == 0) {
        s->prepend = IL_PREPEND_FIRST;
    } else if (strcmp(scheme.text, "never") == 0) {
        s->prepend = IL_PREPEND_NEVER;
    } else {
        return il__token_refuse(r, IL_ERR_INPUT,
                                "prepend_scheme: expected always, first or never");
    }
    if (!prefix) {
        s->prepend = IL_PREPEND_NEVER;
    }
    character = s->character;
    if (split) {
        s = item(r, IL_SPLITTER_CHARACTER, IL_SPLIT_NEXT);
        if (s == NULL) {
            return IL_ERR_MEMORY;
        }
        s->character = character;
    }
    return IL_OK;
}

static il_status read_split(il_token_reader *r, const json_t *o)
{
    il_splitter *s = item(r, IL_SPLITTER_PATTERN, IL_SPLIT_ISOLATED);

    if (s == NULL) {
        return IL_ERR_MEMORY;
    }
    IL_TRY(il__token_pattern(r, o, "pattern", &s->pattern));
    IL_TRY(read_behaviour(r, o, &s->behaviour));
    return il__token_flag(r, o, "invert", &s->invert);
}

static il_status read_one(il_token_reader *r, const json_t *o, const char *type)
{
    il_splitter *s;

    if (strcmp(type, "ByteLevel") == 0) {
        return read_bytes(r, o);
    }
    if (strcmp(type, "Metaspace") == 0) {
        return read_metaspace(r, o);
    }
    if (strcmp(type, "Split") == 0) {
        return read_split(r, o);
    }
    if (strcmp(type, "WhitespaceSplit") == 0 || strcmp(type, "BertPreTokenizer") == 0) {
        if (item(r, IL_SPLITTER_SPACE, IL_SPLIT_REMOVED) == NULL ||
            (type[0] == 'B' &&
             item(r, IL_SPLITTER_PUNCTUATION, IL_SPLIT_ISOLATED) == NULL)) {
            return IL_ERR_MEMORY;
        }
        return IL_OK;
    }
    if (strcmp(type, "Whitespace") == 0) {
        s = item(r, IL_SPLITTER_PATTERN, IL_SPLIT_REMOVED);
        if (s == NULL) {
            return IL_ERR_MEMORY;
        }
        s->invert = true;
        return il__token_regex(r, "[\\w\\u200c\\u200d]+|[^\\w\\s\\u200c\\u200d]+",
                               &s->pattern.regex);
    }
    if (strcmp(type, "Punctuation") == 0) {
        s = item(r, IL_SPLITTER_PUNCTUATION, IL_SPLIT_ISOLATED);
        if (s == NULL) {
            return IL_ERR_MEMORY;
        }
        return json_object_get(o, "behavior") == NULL
                   ? IL_OK
                   : read_behaviour(r, o, &s->behaviour);
    }
    if (strcmp(type, "Digits") == 0) {
        bool each = false;

        IL_TRY(il__token_flag(r, o, "individual_digits", &each));
        return item(r, IL_SPLITTER_NUMERIC,
                    each ? IL_SPLIT_ISOLATED : IL_SPLIT_CONTIGUOUS) != NULL
                   ? IL_OK
                   : IL_ERR_MEMORY;
    }
    if (strcmp(type, "CharDelimiterSplit") == 0) {
        s = item(r, IL_SPLITTER_CHARACTER, IL_SPLIT_REMOVED);
        return s == NULL ? IL_ERR_MEMORY
                         : read_character(r, o, "delimiter", &s->character);
    }
    return il__token_refuse(
        r, IL_ERR_UNSUPPORTED,
        "pre-tokenizer '%.64s': expected ByteLevel, Metaspace, Split, Whitespace, "
        "WhitespaceSplit, Punctuation, Digits, BertPreTokenizer, CharDelimiterSplit or "
        "a Sequence of them",
        type);
}

il_status il__token_read_splitters(il_token_reader *r, const json_t *root)
{
    return il__token_components(r, root, "pre_tokenizer", "pretokenizers", read_one);
}
