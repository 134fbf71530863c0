/* Values of a chat template as text: Python's str and repr, `%` and str.format. */
#include <stdio.h>
#include "base/text.h"
#include "formats/chat_run.h"
#include "formats/tokenizer_unicode.h"

/* ---- values as text ------------------------------------------------------------- */

/* One character as repr writes it between quotes. */
static void put_quoted(il_chat_run *r, il_chat_text *to, const il_chat_value *c,
                       char quote)
{
    static const char names[] = "ntr";
    static const char codes[] = "\n\t\r";
    uint32_t code = 0;
    const char *at;
    char spelled[16];

    (void)il__utf8_next(c->text, c->size, &code);
    at = code != 0 && code < 0x80 ? strchr(codes, (int)code) : NULL;
    if (at != NULL) {
        (void)snprintf(spelled, sizeof spelled, "\\%c", names[at - codes]);
    } else if (code == '\\' || code == (uint32_t)quote) {
        (void)snprintf(spelled, sizeof spelled, "\\%c", (char)code);
    } else if (il__is_printable(code)) {
        il__chat_put(r, to, c);
        return;
    } else {
        (void)snprintf(spelled, sizeof spelled,
                       code < 0x100     ? "\\x%02x"
                       : code < 0x10000 ? "\\u%04x"
                                        : "\\U%08x",
                       (unsigned)code);
    }
    il__chat_put_bytes(r, to, spelled, strlen(spelled));
}

static void put_repr_text(il_chat_run *r, il_chat_text *to, const il_chat_value *v)
{
    bool single = v->size > 0 && memchr(v->text, '\'', v->size) != NULL;
    bool both = single && memchr(v->text, '"', v->size) != NULL;
    char quote = single && !both ? '"' : '\'';

    il__chat_put_bytes(r, to, &quote, 1);
    for (size_t i = 0; r->status == IL_OK && i < v->size;) {
        size_t n = il__utf8_length(v->text[i]);
        il_chat_value c = il__chat_part(v, i, i + n);

        put_quoted(r, to, &c, quote);
        i += n;
    }
    il__chat_put_bytes(r, to, &quote, 1);
}

static void put_repr_many(il_chat_run *r, il_chat_text *to, const il_chat_value *v)
{
    bool dict = v->is == IL_CHAT_IS_DICT;
    const char *open = dict ? "{" : v->is == IL_CHAT_IS_TUPLE ? "(" : "[";
    const char *close = dict                        ? "}"
                        : v->is != IL_CHAT_IS_TUPLE ? "]"
                        : v->size == 1              ? ",)"
                                                    : ")";

    il__chat_put_bytes(r, to, open, 1);
    for (size_t i = 0; i < v->size && il__chat_work(r, 0); i++) {
        il__chat_put_bytes(r, to, ", ", i > 0 ? 2 : 0);
        il__chat_put_repr(r, to, &v->items[dict ? 2 * i : i]);
        if (dict) {
            il__chat_put_bytes(r, to, ": ", 2);
            il__chat_put_repr(r, to, &v->items[2 * i + 1]);
        }
    }
    il__chat_put_bytes(r, to, close, strlen(close));
}

void il__chat_put_repr(il_chat_run *r, il_chat_text *to, const il_chat_value *v)
{
    il_chat_value text;

    if (il__chat_enter(r)) {
        switch (v->is) {
        case IL_CHAT_IS_TEXT:
            put_repr_text(r, to, v);
            break;
        case IL_CHAT_IS_LIST:
        case IL_CHAT_IS_TUPLE:
        case IL_CHAT_IS_DICT:
            put_repr_many(r, to, v);
            break;
        case IL_CHAT_IS_UNDEFINED:
            il__chat_put_bytes(r, to, "Undefined", 9);
            break;
        default:
            text = il__chat_text(r, v);
            il__chat_put(r, to, &text);
        }
    }
    r->depth--;
}

il_chat_value il__chat_text(il_chat_run *r, const il_chat_value *v)
{
    il_chat_text out = {0};
    char digits[32];

    switch (v->is) {
    case IL_CHAT_IS_TEXT:
        return *v;
    case IL_CHAT_IS_UNDEFINED:
        return il__chat_plain("", 0);
    case IL_CHAT_IS_NONE:
        return il__chat_plain("None", 4);
    case IL_CHAT_IS_FLAG:
        return v->number ? il__chat_plain("True", 4) : il__chat_plain("False", 5);
    case IL_CHAT_IS_INT:
        (void)snprintf(digits, sizeof digits, "%lld", (long long)v->number);
        il__chat_put_bytes(r, &out, digits, strlen(digits));
        return il__chat_take(r, &out);
    case IL_CHAT_IS_REAL:
        if (v->real != v->real || v->real - v->real != 0.0) {
            return il__chat_fail(r, IL_ERR_UNSUPPORTED, "infinity as text");
        }
        il_format_real(v->real, digits);
        il__chat_put_bytes(r, &out, digits, strlen(digits));
        return il__chat_take(r, &out);
    case IL_CHAT_IS_LIST:
    case IL_CHAT_IS_TUPLE:
    case IL_CHAT_IS_DICT:
        il__chat_put_repr(r, &out, v);
        return il__chat_take(r, &out);
    default:
        return il__chat_fail(r, IL_ERR_UNSUPPORTED, "%s as text",
                             il__chat_kind_name(v));
    }
}

/* ---- formats -------------------------------------------------------------------- */

il_chat_value il__chat_percent(il_chat_run *r, const il_chat_value *v,
                               const il_chat_value *of)
{
    il_chat_text out = {0};
    bool many = of->is == IL_CHAT_IS_TUPLE;
    size_t used = 0;

    for (size_t i = 0; r->status == IL_OK && i < v->size;) {
        const char *percent = memchr(v->text + i, '%', v->size - i);
        size_t at = percent != NULL ? (size_t)(percent - v->text) : v->size;
        il_chat_value piece = il__chat_part(v, i, at);
        char kind = at + 1 < v->size ? v->text[at + 1] : '\0';
        int64_t whole;

        il__chat_put(r, &out, &piece);
        i = at + 2;
        if (at == v->size || kind == '%') {
            il__chat_put_bytes(r, &out, "%", at < v->size);
            continue;
        }
        if (used == (many ? of->size : 1)) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "%%: too few values");
            break;
        }
        piece = many ? of->items[used] : *of;
        used++;
        if (kind == 'r') {
            il__chat_put_repr(r, &out, &piece);
        } else if (kind == 's' || (kind == 'd' && il__chat_as_int(&piece, &whole))) {
            piece = kind == 'd' ? il__chat_int(piece.number) : piece;
            piece = il__chat_text(r, &piece);
            il__chat_put(r, &out, &piece);
        } else {
            (void)il__chat_fail(r, IL_ERR_UNSUPPORTED, "%% of that kind");
        }
    }
    if (r->status == IL_OK && used < (many ? of->size : 1) &&
        of->is != IL_CHAT_IS_DICT) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "%%: too many values");
    }
    return il__chat_take(r, &out);
}

/* The argument that braces ask for: the next, one by its number, or one by name. */
static const il_chat_value *asked(const il_chat_args *a, const char *text, size_t size,
                                  size_t *next)
{
    size_t number = 0;

    if (size == 0) {
        number = (*next)++;
    } else if (text[0] >= '0' && text[0] <= '9') {
        for (size_t i = 0; i < size; i++) {
            if (text[i] < '0' || text[i] > '9' || number > 1000) {
                return NULL;
            }
            number = number * 10 + (size_t)(text[i] - '0');
        }
    } else {
        for (size_t i = 0; i < a->count; i++) {
            if (a->names[i] != NULL && a->sizes[i] == size &&
                memcmp(a->names[i], text, size) == 0) {
                return &a->values[i];
            }
        }
        return NULL;
    }
    return number < a->count && a->names[number] == NULL ? &a->values[number] : NULL;
}

il_chat_value il__chat_format(il_chat_run *r, const il_chat_value *v,
                              const il_chat_args *a)
{
    il_chat_text out = {0};
    size_t next = 0;

    for (size_t i = 0; i < v->size && il__chat_work(r, 0);) {
        char c = v->text[i];
        size_t end = i + 1;
        const il_chat_value *found;
        il_chat_value piece;

        if (c != '{' && c != '}') {
            piece = il__chat_part(v, i, i + 1);
            il__chat_put(r, &out, &piece);
            i++;
            continue;
        }
        if (end < v->size && v->text[end] == c) {
            il__chat_put_bytes(r, &out, &c, 1);
            i += 2;
            continue;
        }
        while (end < v->size && v->text[end] != '}') {
            end++;
        }
        found = c == '{' && end < v->size
                    ? asked(a, v->text + i + 1, end - i - 1, &next)
                    : NULL;
        if (found == NULL) {
            (void)il__chat_fail(r, IL_ERR_UNSUPPORTED,
                                "format: what stands in braces, or a value for it");
            break;
        }
        piece = il__chat_text(r, found);
        il__chat_put(r, &out, &piece);
        i = end + 1;
    }
    return il__chat_take(r, &out);
}
