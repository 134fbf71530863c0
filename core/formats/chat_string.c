/* Text of a running chat template. Each byte keeps where it is from, through whatever
 * is done to it, so that what a conversation's turns say can be found in what was
 * written. */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>
#include "formats/chat_run.h"
#include "formats/tokenizer_unicode.h"

/* ---- text that grows ------------------------------------------------------------ */

/* Room for `size` bytes more. */
static bool grow(il_chat_run *r, il_chat_text *to, size_t size)
{
    size_t room = (to->size + size) * 2 + 64;
    char *data;
    int32_t *turns;

    if (r->status != IL_OK || to->size + size <= to->room) {
        return r->status == IL_OK;
    }
    if (to->size + size > r->left / (1 + sizeof *turns)) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "takes too much memory");
        return false;
    }
    data = realloc(to->data, room);
    to->data = data != NULL ? data : to->data;
    turns = data != NULL ? realloc(to->turns, room * sizeof *turns) : NULL;
    to->turns = turns != NULL ? turns : to->turns;
    if (turns == NULL) {
        (void)il__chat_fail(r, IL_ERR_MEMORY, "out of memory");
        return false;
    }
    to->room = room;
    return true;
}

void il__chat_put(il_chat_run *r, il_chat_text *to, const il_chat_value *v)
{
    if (v->is != IL_CHAT_IS_TEXT || v->size == 0 || !grow(r, to, v->size) ||
        !il__chat_work(r, v->size)) {
        return;
    }
    memcpy(to->data + to->size, v->text, v->size);
    if (v->from != NULL) {
        memcpy(to->turns + to->size, v->from, v->size * sizeof *v->from);
    } else {
        memset(to->turns + to->size, 0xff, v->size * sizeof *to->turns);
    }
    to->size += v->size;
}

void il__chat_put_bytes(il_chat_run *r, il_chat_text *to, const char *text, size_t size)
{
    il_chat_value v = il__chat_plain(text, size);

    il__chat_put(r, to, &v);
}

il_chat_value il__chat_take(il_chat_run *r, il_chat_text *from)
{
    il_chat_value out = il__chat_plain("", 0);
    bool said = false;

    for (size_t i = 0; i < from->size && !said; i++) {
        said = from->turns[i] >= 0;
    }
    if (from->size > 0) {
        char *text = il__chat_alloc(r, from->size, 1);
        int32_t *turns = said ? il__chat_alloc(r, from->size, sizeof *turns) : NULL;

        if (r->status == IL_OK) {
            memcpy(text, from->data, from->size);
            out.text = text;
            out.size = from->size;
        }
        if (r->status == IL_OK && said) {
            memcpy(turns, from->turns, from->size * sizeof *turns);
            out.from = turns;
        }
    }
    il_chat_text_free(from);
    return r->status == IL_OK ? out : il__chat_undefined;
}

/* ---- parts ---------------------------------------------------------------------- */

il_chat_value il__chat_part(const il_chat_value *v, size_t first, size_t last)
{
    il_chat_value out = *v;

    if (first >= last) {
        return il__chat_plain("", 0);
    }
    out.text += first;
    out.from = out.from != NULL ? out.from + first : NULL;
    out.size = last - first;
    return out;
}

il_chat_value il__chat_concat(il_chat_run *r, const il_chat_value *a,
                              const il_chat_value *b)
{
    il_chat_text out = {0};

    il__chat_put(r, &out, a);
    il__chat_put(r, &out, b);
    return il__chat_take(r, &out);
}

size_t il__chat_characters(const il_chat_value *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->size; i++) {
        n += ((unsigned char)v->text[i] & 0xc0) != 0x80;
    }
    return n;
}

size_t il__chat_byte(const il_chat_value *v, size_t character)
{
    size_t i = 0;

    for (; i < v->size && character > 0; character--) {
        i += il__utf8_length(v->text[i]);
    }
    return i;
}

size_t il__chat_search(il_chat_run *r, const il_chat_value *a, const il_chat_value *b,
                       size_t from)
{
    const char *at;

    if (b->size == 0) {
        return from <= a->size ? from : SIZE_MAX;
    }
    if (a->size < b->size || from > a->size - b->size) {
        return SIZE_MAX;
    }
    at = memmem(a->text + from, a->size - from, b->text, b->size);
    if (!il__chat_work(r,
                       at != NULL ? (size_t)(at - a->text) - from : a->size - from)) {
        return SIZE_MAX;
    }
    return at != NULL ? (size_t)(at - a->text) : SIZE_MAX;
}

/* Whether a character is one that strip takes off: one of a set, or white space as
 * Python has it. */
static bool stripped(const il_chat_value *set, const char *at, size_t size)
{
    uint32_t code = 0;

    for (size_t i = 0; set != NULL && i < set->size;) {
        size_t n = il__utf8_length(set->text[i]);

        if (n == size && memcmp(set->text + i, at, size) == 0) {
            return true;
        }
        i += n;
    }
    if (set != NULL) {
        return false;
    }
    (void)il__utf8_next(at, size, &code);
    return il__is_space(code) || (code >= 0x1c && code <= 0x1f);
}

il_chat_value il__chat_strip(il_chat_run *r, const il_chat_value *v,
                             const il_chat_value *set, bool left, bool right)
{
    size_t first = 0;
    size_t last = v->size;
    size_t each = set != NULL ? set->size : 0;
    il_chat_value out;

    while (left && first < last && il__chat_work(r, each)) {
        size_t n = il__utf8_length(v->text[first]);

        if (!stripped(set, v->text + first, n)) {
            break;
        }
        first += n;
    }
    while (right && last > first && il__chat_work(r, each)) {
        size_t at = last - 1;

        while (at > first && ((unsigned char)v->text[at] & 0xc0) == 0x80) {
            at--;
        }
        if (!stripped(set, v->text + at, last - at)) {
            break;
        }
        last = at;
    }
    out = il__chat_part(v, first, last);
    out.safe = v->safe;
    return out;
}

il_chat_value il__chat_replace(il_chat_run *r, const il_chat_value *v,
                               const il_chat_value *from, const il_chat_value *to,
                               int64_t most)
{
    il_chat_text out = {0};
    size_t at = 0;

    most = most < 0 ? INT64_MAX : most;
    for (; r->status == IL_OK && most > 0; most--) {
        size_t found = il__chat_search(r, v, from, at);
        size_t next = found;
        il_chat_value piece;

        if (found == SIZE_MAX) {
            break;
        }
        if (from->size == 0) { /* before each character, and at the end */
            next = found < v->size ? found + il__utf8_length(v->text[found]) : found;
            piece = il__chat_part(v, found, next);
            il__chat_put(r, &out, to);
            il__chat_put(r, &out, &piece);
            if (found == v->size) {
                at = v->size;
                break;
            }
        } else {
            piece = il__chat_part(v, at, found);
            il__chat_put(r, &out, &piece);
            il__chat_put(r, &out, to);
            next = found + from->size;
        }
        at = next;
    }
    if (at < v->size) {
        il_chat_value rest = il__chat_part(v, at, v->size);

        il__chat_put(r, &out, &rest);
    }
    return il__chat_take(r, &out);
}

/* ---- letters -------------------------------------------------------------------- */

/* Writes a character as it is to be, up to two codes; how many, 0 where Python's rules
 * for it are not known here: the final sigma, letters whose upper case is several. */
static int other_case(uint32_t code, bool upper, uint32_t out[2])
{
    if (!upper) {
        return code == 0x3a3 ? 0 : il__lower(code, out);
    }
    out[0] = il__upper(code);
    return out[0] != 0 ? 1 : 0;
}

static bool has_case(uint32_t code)
{
    uint32_t low[2];

    return il__lower(code, low) != 1 || low[0] != code || il__upper(code) != code;
}

/* Adds a character in other letters, from where it was. */
static bool put_cased(il_chat_run *r, il_chat_text *to, const il_chat_value *c,
                      uint32_t code, bool upper)
{
    uint32_t codes[2];
    int n = other_case(code, upper, codes);
    size_t before = to->size;

    for (int k = 0; k < n; k++) {
        char bytes[4];

        il__chat_put_bytes(r, to, bytes, il__utf8_write(codes[k], bytes));
    }
    for (size_t k = before; c->from != NULL && k < to->size; k++) {
        size_t at = k - before;

        to->turns[k] = c->from[at < c->size ? at : c->size - 1];
    }
    return n > 0;
}

il_chat_value il__chat_cased(il_chat_run *r, const il_chat_value *v, il_chat_case how)
{
    il_chat_text out = {0};
    bool begins = true;

    for (size_t i = 0; i < v->size && il__chat_work(r, 0);) {
        uint32_t code = 0;
        size_t n = il__utf8_length(v->text[i]);
        il_chat_value c = il__chat_part(v, i, i + n);
        bool upper = how == IL_CHAT_UPPER || (how != IL_CHAT_LOWER && begins);
        bool known;

        (void)il__utf8_next(c.text, c.size, &code);
        /* A letter that begins a word has a case of its own in some scripts. */
        known = code < 0x80 || how <= IL_CHAT_LOWER || !has_case(code);
        if (!known || !put_cased(r, &out, &c, code, upper)) {
            il_chat_text_free(&out);
            return il__chat_fail(r, IL_ERR_UNSUPPORTED,
                                 "upper and lower case of '%.*s'", (int)c.size, c.text);
        }
        begins = how == IL_CHAT_TITLE ? !has_case(code)
                 : how == IL_CHAT_WORDS
                     ? code != 0 && code < 0x80 &&
                           strchr("- \t\n\r\v\f({[<", (int)code) != NULL
                     : false;
        i += n;
    }
    return il__chat_take(r, &out);
}

/* ---- lines ---------------------------------------------------------------------- */

/* The bytes of a line's end at `at`, as str.splitlines has it; 0 for none. */
static size_t line_end(const il_chat_value *v, size_t at)
{
    uint32_t code = 0;
    int n = il__utf8_next(v->text + at, v->size - at, &code);

    if (code == '\r' && at + 1 < v->size && v->text[at + 1] == '\n') {
        return 2;
    }
    return n > 0 && ((code >= '\n' && code <= '\r') || (code >= 0x1c && code <= 0x1e) ||
                     code == 0x85 || code == 0x2028 || code == 0x2029)
               ? (size_t)n
               : 0;
}

il_chat_value il__chat_lines(il_chat_run *r, const il_chat_value *v, bool keep)
{
    il_chat_value *items = NULL;
    il_chat_value out = il__chat_undefined;
    size_t count = 0;

    for (int round = 0; round < 2 && il__chat_work(r, v->size); round++) {
        size_t first = 0;

        count = 0;
        for (size_t at = 0; at < v->size;) {
            size_t end = line_end(v, at);

            if (end == 0) {
                at += il__utf8_length(v->text[at]);
                continue;
            }
            if (items != NULL) {
                items[count] = il__chat_part(v, first, keep ? at + end : at);
            }
            count++;
            at += end;
            first = at;
        }
        if (first < v->size) {
            if (items != NULL) {
                items[count] = il__chat_part(v, first, v->size);
            }
            count++;
        }
        if (round == 0) {
            out = il__chat_many(r, IL_CHAT_IS_LIST, count, &items);
        }
    }
    return out;
}

il_chat_value il__chat_escaped(il_chat_run *r, const il_chat_value *v)
{
    il_chat_text out = {0};
    il_chat_value done;

    for (size_t i = 0; i < v->size && il__chat_work(r, 0); i++) {
        char c = v->text[i];
        const char *as = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '\'' ? "&#39;"
                         : c == '"'  ? "&#34;"
                                     : NULL;
        il_chat_value piece = il__chat_part(v, i, i + 1);

        if (as != NULL) {
            il__chat_put_bytes(r, &out, as, strlen(as));
        } else {
            il__chat_put(r, &out, &piece);
        }
    }
    done = il__chat_take(r, &out);
    done.safe = true;
    return done;
}
