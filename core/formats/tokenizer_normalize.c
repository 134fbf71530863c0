/* Normalizers: what is done to the characters of a text before it is cut. */
#include "formats/tokenizer_private.h"

#include <string.h>

/* ---- applying ------------------------------------------------------------------- */

static bool composes(il_normalizer_kind kind)
{
    return kind == IL_NORMALIZE_NFC || kind == IL_NORMALIZE_NFKC;
}

static void form(il_draft *d, const il_piece *p, il_normalizer_kind kind)
{
    bool compatible = kind == IL_NORMALIZE_NFKC || kind == IL_NORMALIZE_NFKD;
    size_t count = 0;
    size_t longest = 4;
    il_change *changes = NULL;

    for (uint32_t i = p->first; i < p->last;) {
        uint32_t code;

        i += (uint32_t)il__utf8_read(d->text + i, &code);
        if (changes == NULL || count + IL_DECOMPOSED_MAX > longest) {
            longest = (count + IL_DECOMPOSED_MAX + (p->last - i)) * 3 / 2;
            changes = il__changes(d, longest);
            if (changes == NULL) {
                return;
            }
        }
        if (code < 0xa0) { /* the others all stand for themselves */
            changes[count++] = (il_change){code, 0, 0};
        } else {
            count += (size_t)il__decompose(code, compatible, changes + count);
        }
    }
    il__reorder(changes, count);
    if (composes(kind)) {
        count = il__compose(changes, count);
    }
    il__put_changes(d, p, changes, count);
}

static void strip(il_draft *d, const il_piece *p, const il_normalizer *n)
{
    uint32_t first = p->first;
    uint32_t last = p->last;
    uint32_t code;

    while (n->left && first < last) {
        uint32_t size = (uint32_t)il__utf8_read(d->text + first, &code);

        if (!il__is_space(code)) {
            break;
        }
        first += size;
    }
    while (n->right && last > first) {
        uint32_t back = last;

        do {
            back--;
        } while (((unsigned char)d->text[back] & 0xc0) == 0x80);
        (void)il__utf8_read(d->text + back, &code);
        if (!il__is_space(code)) {
            break;
        }
        last = back;
    }
    il__put_same(d, first, last);
}

static il_status replace(il_tokenizer_work *w, const il_piece *p,
                         const il_normalizer *n, il_error *err)
{
    il_draft *d = &w->draft;

    IL_TRY(il__token_find(w, &n->pattern, p, err));
    for (size_t i = 0; i < w->part_count; i++) {
        il_span part = w->parts[i].span;

        if (!w->parts[i].match) {
            il__put_same(d, part.first, part.last);
        } else {
            il_span from = {p->origin, p->origin};

            if (part.last > p->first) {
                from = il__span_at(d, part.last - 1);
            }
            il__put(d, n->text.text, n->text.size, from);
        }
    }
    return IL_OK;
}

static bool nmt_drops(uint32_t c)
{
    return (c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) ||
           c == 0x7f || c == 0x8f || c == 0x9f;
}

static bool nmt_space(uint32_t c)
{
    return c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
           (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xfeff || c == 0xfffd;
}

static bool clean_drops(uint32_t c)
{
    return c == 0 || c == 0xfffd ||
           (c != '\t' && c != '\n' && c != '\r' && il__is_control(c));
}

/* One character, where each becomes none, another, or one with others about it. */
static void letter(il_draft *d, uint32_t c, il_span from, il_normalizer_kind kind)
{
    uint32_t lower[2];
    int count;

    switch (kind) {
    case IL_NORMALIZE_LOWER:
        count = il__lower(c, lower);
        for (int i = 0; i < count; i++) {
            il__put_code(d, lower[i], from);
        }
        return;
    case IL_NORMALIZE_ACCENTS:
        if (!il__is_mark(c)) {
            il__put_code(d, c, from);
        }
        return;
    case IL_NORMALIZE_NONSPACING:
        if (!il__is_mark_nonspacing(c)) {
            il__put_code(d, c, from);
        }
        return;
    case IL_NORMALIZE_CLEAN:
        if (!clean_drops(c)) {
            il__put_code(d, il__is_space(c) ? ' ' : c, from);
        }
        return;
    case IL_NORMALIZE_NMT:
        if (!nmt_drops(c)) {
            il__put_code(d, nmt_space(c) ? ' ' : c, from);
        }
        return;
    case IL_NORMALIZE_CHINESE:
        if (il__is_chinese(c)) {
            il__put(d, " ", 1, from);
            il__put_code(d, c, from);
            c = ' ';
        }
        il__put_code(d, c, from);
        return;
    default:
        il__put_code(d, c, from);
    }
}

static void letters(il_draft *d, const il_piece *p, il_normalizer_kind kind)
{
    for (uint32_t i = p->first; i < p->last;) {
        il_span from = il__span_at(d, i);
        uint32_t code;

        i += (uint32_t)il__utf8_read(d->text + i, &code);
        letter(d, code, from, kind);
    }
}

static il_status piece(il_tokenizer_work *w, const il_piece *p, const il_normalizer *n,
                       il_error *err)
{
    il_draft *d = &w->draft;

    switch (n->kind) {
    case IL_NORMALIZE_NFC:
    case IL_NORMALIZE_NFD:
    case IL_NORMALIZE_NFKC:
    case IL_NORMALIZE_NFKD:
        form(d, p, n->kind);
        return IL_OK;
    case IL_NORMALIZE_STRIP:
        strip(d, p, n);
        return IL_OK;
    case IL_NORMALIZE_REPLACE:
        return replace(w, p, n, err);
    case IL_NORMALIZE_PREPEND:
        il__put(d, n->text.text, n->text.size, il__span_at(d, p->first));
        il__put_same(d, p->first, p->last);
        return IL_OK;
    case IL_NORMALIZE_BYTES:
        for (uint32_t i = p->first; i < p->last; i++) {
            il__put_code(d, il__byte_spelled((unsigned char)d->text[i]),
                         il__span_at(d, i));
        }
        return IL_OK;
    default:
        letters(d, p, n->kind);
        return IL_OK;
    }
}

/* Whether a normalizer would leave the text as it is: most texts are in their normal
 * form, and need not be written anew. */
static bool changes_nothing(const il_draft *d, const il_normalizer *n)
{
    /* Below U+0300 no two characters compose, and no form C takes one apart. */
    bool early = true;

    switch (n->kind) {
    case IL_NORMALIZE_NFD:
    case IL_NORMALIZE_NFKD:
    case IL_NORMALIZE_NFKC:
    case IL_NORMALIZE_ACCENTS:
    case IL_NORMALIZE_NONSPACING:
    case IL_NORMALIZE_CHINESE:
        return d->ascii;
    case IL_NORMALIZE_NFC:
        for (size_t i = 0; i < d->size && early; i++) {
            early = (unsigned char)d->text[i] < 0xcc;
        }
        return early;
    case IL_NORMALIZE_REPLACE:
        return n->pattern.regex == NULL && n->pattern.text.size == 1 &&
               memchr(d->text, n->pattern.text.text[0], d->size) == NULL;
    default:
        return false;
    }
}

il_status il__token_normalize(const il_tokenizer *t, il_tokenizer_work *w,
                              il_error *err)
{
    il_draft *d = &w->draft;

    for (size_t k = 0; k < t->normalizer_count; k++) {
        const il_normalizer *n = &t->normalizers[k];
        bool ascii = d->ascii;

        if (d->now.count == 0 || changes_nothing(d, n)) {
            continue;
        }
        il__rewrite_begin(d);
        for (size_t i = 0; i < d->now.count && !d->failed; i++) {
            const il_piece *p = &d->now.at[i];

            il__rewrite_piece(d, p);
            if (p->id >= 0) {
                il__put_same(d, p->first, p->last);
            } else {
                IL_TRY(piece(w, p, n, err));
            }
        }
        il__rewrite_done(d);
        d->ascii = ascii && n->kind != IL_NORMALIZE_PREPEND &&
                   n->kind != IL_NORMALIZE_REPLACE && n->kind != IL_NORMALIZE_BYTES;
    }
    return IL_OK;
}

/* ---- reading -------------------------------------------------------------------- */

static il_normalizer *item(il_token_reader *r, il_normalizer_kind kind)
{
    il_normalizer *n =
        il__token_item(r, &r->t->normalizers, &r->t->normalizer_count, sizeof *n);

    if (n != NULL) {
        n->kind = kind;
    }
    return n;
}

static il_status read_bert(il_token_reader *r, const json_t *o)
{
    bool clean = true;
    bool chinese = true;
    bool lower = true;
    bool accents;

    IL_TRY(il__token_flag(r, o, "clean_text", &clean));
    IL_TRY(il__token_flag(r, o, "handle_chinese_chars", &chinese));
    IL_TRY(il__token_flag(r, o, "lowercase", &lower));
    accents = lower; /* what null stands for */
    IL_TRY(il__token_flag(r, o, "strip_accents", &accents));
    if ((clean && item(r, IL_NORMALIZE_CLEAN) == NULL) ||
        (chinese && item(r, IL_NORMALIZE_CHINESE) == NULL) ||
        (accents && (item(r, IL_NORMALIZE_NFD) == NULL ||
                     item(r, IL_NORMALIZE_NONSPACING) == NULL)) ||
        (lower && item(r, IL_NORMALIZE_LOWER) == NULL)) {
        return IL_ERR_MEMORY;
    }
    return IL_OK;
}

static il_status read_one(il_token_reader *r, const json_t *o, const char *type)
{
    static const struct {
        const char *name;
        il_normalizer_kind kind;
    } plain[] = {
        {"NFC", IL_NORMALIZE_NFC},         {"NFD", IL_NORMALIZE_NFD},
        {"NFKC", IL_NORMALIZE_NFKC},       {"NFKD", IL_NORMALIZE_NFKD},
        {"Lowercase", IL_NORMALIZE_LOWER}, {"StripAccents", IL_NORMALIZE_ACCENTS},
        {"Nmt", IL_NORMALIZE_NMT},         {"ByteLevel", IL_NORMALIZE_BYTES},
    };
    il_normalizer *n;

    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(type, plain[i].name) == 0) {
            return item(r, plain[i].kind) != NULL ? IL_OK : IL_ERR_MEMORY;
        }
    }
    if (strcmp(type, "BertNormalizer") == 0) {
        return read_bert(r, o);
    }
    if (strcmp(type, "Strip") == 0) {
        n = item(r, IL_NORMALIZE_STRIP);
        if (n == NULL) {
            return IL_ERR_MEMORY;
        }
        n->left = n->right = true;
        IL_TRY(il__token_flag(r, o, "strip_left", &n->left));
        return il__token_flag(r, o, "strip_right", &n->right);
    }
    if (strcmp(type, "Prepend") == 0) {
        n = item(r, IL_NORMALIZE_PREPEND);
        if (n == NULL) {
            return IL_ERR_MEMORY;
        }
        n->text = (il_words){"", 0};
        return il__token_text(r, o, "prepend", &n->text);
    }
    if (strcmp(type, "Replace") == 0) {
        n = item(r, IL_NORMALIZE_REPLACE);
        if (n == NULL) {
            return IL_ERR_MEMORY;
        }
        n->text = (il_words){"", 0};
        IL_TRY(il__token_pattern(r, o, "pattern", &n->pattern));
        return il__token_text(r, o, "content", &n->text);
    }
    return il__token_refuse(r, IL_ERR_UNSUPPORTED,
                            "normalizer '%.64s': expected NFC, NFD, NFKC, NFKD, "
                            "Lowercase, Strip, StripAccents, Replace, Prepend, "
                            "BertNormalizer, Nmt, ByteLevel or a Sequence of them",
                            type);
}

il_status il__token_read_normalizers(il_token_reader *r, const json_t *root)
{
    return il__token_components(r, root, "normalizer", "normalizers", read_one);
}
