/* A chat template's tokens. White space is treated as `transformers` sets Jinja up: a
 * block's line end goes with it (trim_blocks), as does what stands before a block that
 * is the first on its line (lstrip_blocks). */
#include <stdlib.h>
#include <string.h>
#include "formats/chat_private.h"
#include "formats/tokenizer_unicode.h"

enum { OPEN_MAX = 256 };

typedef struct lexer {
    il_chat_parser *p;
    const char *s;
    size_t size;
    size_t i;
    int line;
    bool line_starting; /* what was read last ended a line */
    size_t room;
} lexer;

static void add(lexer *l, il_chat_word word, const char *text, size_t size)
{
    il_chat_parser *p = l->p;

    if (p->count == l->room) {
        size_t room = l->room * 2 + 256;
        il_chat_token *tokens = realloc(p->tokens, room * sizeof *tokens);

        if (tokens == NULL) {
            p->status =
                il_error_set(p->err, IL_ERR_MEMORY, p->chat->where, "out of memory");
            return;
        }
        p->tokens = tokens;
        l->room = room;
    }
    p->tokens[p->count++] = (il_chat_token){word, l->line, text, size};
}

static void wrong(lexer *l, const char *what, size_t size)
{
    size_t left = l->size - l->i;

    (void)il__chat_refuse(l->p, l->line, what, l->s + l->i, size < left ? size : left);
}

/* Moves on, counting lines. */
static void go_to(lexer *l, size_t to)
{
    for (; l->i < to; l->i++) {
        l->line += l->s[l->i] == '\n';
    }
    l->line_starting = to > 0 && l->s[to - 1] == '\n';
}

static bool starts(const lexer *l, size_t at, const char *text)
{
    size_t n = strlen(text);

    return l->size - at >= n && memcmp(l->s + at, text, n) == 0;
}

/* The bytes of white space, as Python has it, at `at`; 0 for none. */
static size_t space_at(const char *s, size_t at, size_t size)
{
    uint32_t code;
    int n;

    if (at >= size) {
        return 0;
    }
    n = il__utf8_next(s + at, size - at, &code);
    return n > 0 && (il__is_space(code) || (code >= 0x1c && code <= 0x1f)) ? (size_t)n
                                                                           : 0;
}

static size_t skip_spaces(const lexer *l, size_t at)
{
    size_t n;

    while ((n = space_at(l->s, at, l->size)) > 0) {
        at += n;
    }
    return at;
}

/* Where text ends once white space at its end is taken off. */
static size_t without_spaces(const lexer *l, size_t first, size_t last)
{
    while (last > first) {
        size_t at = last - 1;

        while (at > first && ((unsigned char)l->s[at] & 0xc0) == 0x80) {
            at--;
        }
        if (space_at(l->s, at, last) != last - at) {
            break;
        }
        last = at;
    }
    return last;
}

/* Where the closing of a tag that begins at `at` ends, with the white space that goes
 * with it; 0 where none begins. Of {{ }} only a minus is known. */
static size_t closing(const lexer *l, size_t at, char close)
{
    char end[3] = {close, '}', '\0'};
    bool minus = at < l->size && l->s[at] == '-';
    bool plus = at < l->size && l->s[at] == '+' && close != '}';

    if (!starts(l, at + (minus || plus), end)) {
        return 0;
    }
    at += 2 + (size_t)(minus || plus);
    if (minus) {
        return skip_spaces(l, at);
    }
    return at + (close != '}' && !plus && at < l->size && l->s[at] == '\n');
}

/* Whether a block at `at` is {% name %}; where it ends. */
static bool block_named(const lexer *l, size_t at, const char *name, size_t *end)
{
    if (!starts(l, at, "{%")) {
        return false;
    }
    at += 2;
    at += at < l->size && (l->s[at] == '-' || l->s[at] == '+');
    at = skip_spaces(l, at);
    if (!starts(l, at, name)) {
        return false;
    }
    *end = skip_spaces(l, at + strlen(name));
    return closing(l, *end, '%') != 0;
}

/* Adds text up to the tag at `end`, whose second byte and sign decide what of its white
 * space is left. */
static void add_data(lexer *l, size_t end, char kind, char sign)
{
    size_t first = l->i;
    size_t last = end;
    bool begins = l->line_starting;

    if (sign == '-') {
        last = without_spaces(l, first, end);
    } else if (sign != '+' && (kind == '%' || kind == '#')) {
        size_t at = end;

        while (at > first && l->s[at - 1] != '\n') {
            at--;
        }
        if ((at > first || begins) && skip_spaces(l, at) >= end) {
            last = at;
        }
    }
    if (last > first) {
        add(l, IL_CHAT_WORD_DATA, l->s + first, last - first);
    }
    go_to(l, end);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value of `count` hexadecimal digits, or -1. */
static int64_t hexadecimal(const char *s, size_t left, size_t count)
{
    int64_t code = 0;

    for (size_t k = 0; k < count; k++) {
        static const char digits[] = "0123456789abcdef";
        const char *at =
            k < left && s[k] != '\0'
                ? strchr(digits, s[k] >= 'A' && s[k] <= 'F' ? s[k] + 32 : s[k])
                : NULL;

        if (at == NULL) {
            return -1;
        }
        code = code * 16 + (at - digits);
    }
    return code;
}

/* What an escape, behind its backslash, stands for, in up to 4 bytes; how many bytes of
 * the source it has, 0 where it cannot be read. What Python does not know stays. */
static size_t escape(const char *s, size_t left, char out[4], size_t *size)
{
    static const char names[] = "ntrabfv\\'\"";
    static const char codes[] = "\n\t\r\a\b\f\v\\'\"";
    const char *at = strchr(names, s[0]);
    size_t digits = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : s[0] == 'U' ? 8 : 0;
    int64_t code = 0;

    *size = 1;
    if (s[0] == '\n') {
        *size = 0;
        return 1;
    }
    if (at != NULL && *at != '\0') {
        out[0] = codes[at - names];
        return 1;
    }
    if (digits > 0) {
        code = hexadecimal(s + 1, left - 1, digits);
        if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
            return 0;
        }
        *size = il__utf8_write((uint32_t)code, out);
        return digits + 1;
    }
    if (s[0] >= '0' && s[0] <= '7') {
        size_t n = 0;

        for (; n < 3 && n < left && s[n] >= '0' && s[n] <= '7'; n++) {
            code = code * 8 + (s[n] - '0');
        }
        *size = il__utf8_write((uint32_t)code, out);
        return n;
    }
    if (s[0] == 'N') {
        return 0;
    }
    out[0] = '\\';
    return SIZE_MAX; /* the backslash stays; what follows is read as any */
}

static void string(lexer *l)
{
    char quote = l->s[l->i];
    size_t end = l->i + 1;
    size_t size = 0;
    char *text;

    while (end < l->size && l->s[end] != quote) {
        end += l->s[end] == '\\' ? 2 : 1;
    }
    if (end >= l->size) {
        wrong(l, "a string without its end", 0);
        return;
    }
    text = il_arena_alloc(l->p->chat->arena, end - l->i + 1);
    if (text == NULL) {
        l->p->status =
            il_error_set(l->p->err, IL_ERR_MEMORY, l->p->chat->where, "out of memory");
        return;
    }
    for (size_t i = l->i + 1; i < end;) {
        char piece[4];
        size_t length;
        size_t n;

        if (l->s[i] != '\\') {
            text[size++] = l->s[i++];
            continue;
        }
        n = escape(l->s + i + 1, end - i - 1, piece, &length);
        if (n == 0) {
            (void)il__chat_refuse(l->p, l->line, "in a string,", l->s + i, 2);
            return;
        }
        memcpy(text + size, piece, length);
        size += length;
        i += n == SIZE_MAX ? 1 : n + 1;
    }
    add(l, IL_CHAT_WORD_STRING, text, size);
    go_to(l, end + 1);
}

static void number(lexer *l)
{
    size_t end = l->i;
    bool real = false;

    while (end < l->size && (is_digit(l->s[end]) || l->s[end] == '_')) {
        end++;
    }
    if (end + 1 < l->size && l->s[end] == '.' && is_digit(l->s[end + 1])) {
        real = true;
        for (end++; end < l->size && is_digit(l->s[end]); end++) {
        }
    }
    if (end < l->size && (l->s[end] == 'e' || l->s[end] == 'E')) {
        size_t at = end + 1;

        at += at < l->size && (l->s[at] == '-' || l->s[at] == '+');
        if (at < l->size && is_digit(l->s[at])) {
            real = true;
            for (end = at; end < l->size && is_digit(l->s[end]); end++) {
            }
        }
    }
    if (end - l->i > 40 || (end < l->size && is_letter(l->s[end])) ||
        memchr(l->s + l->i, '_', end - l->i) != NULL) {
        wrong(l, "the number", end - l->i + 1);
        return;
    }
    add(l, real ? IL_CHAT_WORD_REAL : IL_CHAT_WORD_INT, l->s + l->i, end - l->i);
    go_to(l, end);
}

/* Takes a sign, minding what is open: a tag does not end within brackets. */
static void sign(lexer *l, char *open, size_t *depth)
{
    static const char *const two[] = {"==", "!=", ">=", "<=", "//", "**"};
    char c = l->s[l->i];
    size_t n = 1;

    for (size_t k = 0; k < sizeof two / sizeof two[0]; k++) {
        n = starts(l, l->i, two[k]) ? 2 : n;
    }
    if (n == 1 && (c == '\0' || strchr("+-*/%~[](){}<>=.:|,;", c) == NULL)) {
        wrong(l, "cannot be read here:", 12);
        return;
    }
    if (strchr("([{", c) != NULL) {
        if (*depth == OPEN_MAX) {
            wrong(l, "nested too deep", 0);
            return;
        }
        open[(*depth)++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (strchr(")]}", c) != NULL && (*depth == 0 || open[--*depth] != c)) {
        wrong(l, "nothing is open for", 1);
        return;
    }
    add(l, IL_CHAT_WORD_SIGN, l->s + l->i, n);
    go_to(l, l->i + n);
}

/* The tokens of a tag up to its closing. */
static void tag(lexer *l, char close)
{
    char open[OPEN_MAX];
    size_t depth = 0;

    while (l->p->status == IL_OK) {
        size_t end = depth == 0 ? closing(l, l->i, close) : 0;
        size_t n;

        if (end > 0) {
            add(l, IL_CHAT_WORD_CLOSE, l->s + l->i, 2);
            go_to(l, end);
            return;
        }
        if (l->i >= l->size) {
            wrong(l, "a tag without its end", 0);
        } else if ((n = space_at(l->s, l->i, l->size)) > 0) {
            go_to(l, l->i + n);
        } else if (is_letter(l->s[l->i])) {
            for (n = 1; l->i + n < l->size &&
                        (is_letter(l->s[l->i + n]) || is_digit(l->s[l->i + n]));) {
                n++;
            }
            add(l, IL_CHAT_WORD_NAME, l->s + l->i, n);
            go_to(l, l->i + n);
        } else if (is_digit(l->s[l->i])) {
            number(l);
        } else if (l->s[l->i] == '\'' || l->s[l->i] == '"') {
            string(l);
        } else {
            sign(l, open, &depth);
        }
    }
}

static void comment(lexer *l)
{
    size_t end = 0;

    for (size_t at = l->i; end == 0 && at + 1 < l->size; at++) {
        end = closing(l, at, '#');
    }
    if (end == 0) {
        wrong(l, "a comment without its end", 0);
        return;
    }
    go_to(l, end);
}

/* {% raw %}, whose own end is at `end`: its text is taken as it stands. */
static void raw(lexer *l, size_t end)
{
    size_t at = l->s[end] == '-' ? skip_spaces(l, end + 3) : end + 2;
    size_t stop = 0;

    at += l->s[end] == '+';
    go_to(l, at);
    while (at < l->size && !block_named(l, at, "endraw", &stop)) {
        at++;
    }
    if (at >= l->size) {
        wrong(l, "the template ends without 'endraw'", 0);
        return;
    }
    add_data(l, at, '%', l->s[at + 2]);
    go_to(l, closing(l, stop, '%'));
}

void il__chat_lex(il_chat_parser *p, const char *source, size_t size)
{
    lexer l = {.p = p, .s = source, .size = size, .line = 1, .line_starting = true};

    while (p->status == IL_OK && l.i < size) {
        size_t at = l.i;
        size_t end = 0;
        char kind;
        char mark;

        while (at < size && !(source[at] == '{' && at + 1 < size &&
                              (source[at + 1] == '{' || source[at + 1] == '%' ||
                               source[at + 1] == '#'))) {
            at++;
        }
        kind = at < size ? source[at + 1] : '\0';
        mark = at + 2 < size && (source[at + 2] == '-' || source[at + 2] == '+')
                   ? source[at + 2]
                   : '\0';
        add_data(&l, at, kind, mark);
        if (kind == '\0') {
            break;
        }
        if (kind == '%' && block_named(&l, at, "raw", &end)) {
            raw(&l, end);
            continue;
        }
        if (kind != '#') {
            add(&l, kind == '{' ? IL_CHAT_WORD_PRINT : IL_CHAT_WORD_BLOCK, source + at,
                2);
        }
        go_to(&l, at + 2 + (mark != '\0'));
        if (kind == '#') {
            comment(&l);
        } else {
            tag(&l, kind == '{' ? '}' : '%');
        }
    }
    add(&l, IL_CHAT_WORD_END, "", 0);
}
