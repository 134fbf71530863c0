#define PCRE2_CODE_UNIT_WIDTH 8
#include "formats/tokenizer_regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include "formats/tokenizer_unicode.h"

enum {
    PATTERN_MAX = 64 * 1024,
    STEPS_MAX = 10 * 1000 * 1000, /* of one match; Oniguruma gives up there too */
    HEAP_MAX = 256 * 1024,        /* kB that one match may take */
    STACK_FIRST = 64 * 1024,      /* of compiled patterns, in bytes */
    STACK_MAX = 16 * 1024 * 1024
};

struct il_regex {
    pcre2_code *code;
    bool compiled; /* to machine code */
    char *where;
    char *shown; /* the pattern as it was given */
};

struct il_regex_work {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
};

/* ---- translation ---------------------------------------------------------------- */

/* Unicode's White_Space, the other characters, and what words are made of, for the
 * inside of a class. PCRE2's own \s has U+180E besides, its \w lacks marks. */
#define SPACE                                                                          \
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"     \
    "\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACE                                                                       \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-"    \
    "\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-"     \
    "\\x{2fff}\\x{3001}-\\x{10ffff}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define HEX  "0-9A-Fa-f"

typedef struct translation {
    const char *p;
    size_t size;
    size_t i;
    il_text *out;
    const char *where;
    il_error *err;
} translation;

static il_status refuse(const translation *t, size_t at, const char *what)
{
    return il_error_set(t->err, IL_ERR_UNSUPPORTED, t->where,
                        "regular expression, byte %zu: %s is not supported", at, what);
}

static char peek(const translation *t, size_t ahead)
{
    return t->i + ahead < t->size ? t->p[t->i + ahead] : '\0';
}

static void copy(translation *t, size_t bytes)
{
    il_text_add_bytes(t->out, t->p + t->i, bytes);
    t->i += bytes;
}

/* \p{...} and \P{...}, with the name as it is: PCRE2 knows it or says that it does not.
 */
static il_status property(translation *t)
{
    size_t end = t->i + 2;

    if (peek(t, 2) != '{') {
        return refuse(t, t->i, "\\p without {...}");
    }
    while (end < t->size && t->p[end] != '}') {
        end++;
    }
    if (end == t->size) {
        return refuse(t, t->i, "\\p{ without its end");
    }
    copy(t, end + 1 - t->i);
    return IL_OK;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* \xHH, \x{H...} and \uHHHH. */
static il_status code_point(translation *t)
{
    size_t most = peek(t, 1) == 'u' ? 4 : 2;
    bool braces = most == 2 && peek(t, 2) == '{';
    size_t first = t->i + (braces ? 3 : 2);
    size_t n = 0;

    while (first + n < t->size && is_hex(t->p[first + n]) && n < (braces ? 6 : most)) {
        n++;
    }
    if (n == 0 || (most == 4 && n != 4) || (braces && t->p[first + n] != '}')) {
        return refuse(t, t->i, "a code point that is not written in hexadecimal");
    }
    if (most == 2 && !braces && n == 2 && t->p[first] >= '8') {
        return refuse(t, t->i, "a byte above \\x7f");
    }
    il_text_addf(t->out, "\\x{%.*s}", (int)n, t->p + first);
    t->i = first + n + (braces ? 1 : 0);
    return IL_OK;
}

/* What a backslash and a letter stand for; `alone` outside of a class, `within` in one;
 * NULL where the two words do not exist there. */
static const struct {
    char letter;
    const char *alone;
    const char *within;
} words[] = {
    {'s', "[" SPACE "]", SPACE},
    {'S', "[^" SPACE "]", NO_SPACE},
    {'w', "[" WORD "]", WORD},
    {'W', "[^" WORD "]", NULL},
    {'d', "\\p{Nd}", "\\p{Nd}"},
    {'D', "\\P{Nd}", "\\P{Nd}"},
    {'h', "[" HEX "]", HEX},
    {'H', "[^" HEX "]", NULL},
    {'b', "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))", "\\x08"},
    {'B', "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))", NULL},
    {'n', "\\n", "\\n"},
    {'r', "\\r", "\\r"},
    {'t', "\\t", "\\t"},
    {'f', "\\f", "\\f"},
    {'v', "\\x0b", "\\x0b"},
    {'a', "\\a", "\\a"},
    {'e', "\\e", "\\e"},
    {'A', "\\A", NULL},
    {'z', "\\z", NULL},
    {'Z', "\\Z", NULL},
};

static il_status escape(translation *t, bool in_class)
{
    char c = peek(t, 1);
    char what[16];

    if (c == 'p' || c == 'P') {
        return property(t);
    }
    if (c == 'x' || c == 'u') {
        return code_point(t);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *to = in_class ? words[i].within : words[i].alone;

        if (words[i].letter == c && to != NULL) {
            il_text_add(t->out, to);
            t->i += 2;
            return IL_OK;
        }
    }
    if (c == '\0' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
        (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80) {
        (void)snprintf(what, sizeof what, "'\\%c'%s",
                       c >= ' ' && (unsigned char)c < 0x7f ? c : '?',
                       in_class ? " in []" : "");
        return refuse(t, t->i, what);
    }
    copy(t, 2);
    return IL_OK;
}

static il_status class(translation *t)
{
    size_t begin = t->i;

    copy(t, 1);
    if (peek(t, 0) == '^') {
        copy(t, 1);
    }
    if (peek(t, 0) == ']') {
        return refuse(t, begin, "an empty []");
    }
    while (t->i < t->size && t->p[t->i] != ']') {
        if (t->p[t->i] == '[') {
            return refuse(t, t->i, "a [ within []");
        }
        if (t->p[t->i] == '&' && peek(t, 1) == '&') {
            return refuse(t, t->i, "&& within []");
        }
        if (t->p[t->i] == '\\') {
            IL_TRY(escape(t, true));
        } else {
            copy(t, 1);
        }
    }
    if (t->i == t->size) {
        return refuse(t, begin, "a [ without its ]");
    }
    copy(t, 1);
    return IL_OK;
}

/* What follows "(?": groups without capture, looking around, and the option i. */
static il_status group(translation *t)
{
    static const char *const known[] = {
        "(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i)", "(?i:", "(?-i)", "(?-i:"};

    if (peek(t, 1) == '*') {
        return refuse(t, t->i, "(*...)");
    }
    if (peek(t, 1) != '?') {
        copy(t, 1);
        return IL_OK;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t n = strlen(known[i]);

        if (n <= t->size - t->i && memcmp(t->p + t->i, known[i], n) == 0) {
            copy(t, n);
            return IL_OK;
        }
    }
    return refuse(t, t->i, "this kind of group");
}

/* {n,m}: with both, with one, or no count at all but a brace. Ruby reads a + behind it
 * as a second repeat and PCRE2 as a possessive one. */
static il_status count(translation *t)
{
    size_t i = t->i + 1;
    size_t digits = 0;
    size_t commas = 0;

    for (; i < t->size && ((t->p[i] >= '0' && t->p[i] <= '9') || t->p[i] == ','); i++) {
        digits += t->p[i] != ',';
        commas += t->p[i] == ',';
    }
    if (i == t->size || t->p[i] != '}' || digits == 0 || commas > 1) {
        il_text_add(t->out, "\\{");
        t->i++;
        return IL_OK;
    }
    if (i + 1 < t->size && t->p[i + 1] == '+') {
        return refuse(t, t->i, "a + behind {n,m}");
    }
    il_text_add(t->out, t->p[t->i + 1] == ',' ? "{0" : "{");
    t->i++;
    copy(t, i + 1 - t->i);
    return IL_OK;
}

il_status il__regex_translate(const char *pattern, size_t size, const char *where,
                              il_text *out, il_error *err)
{
    translation t = {pattern, size, 0, out, where, err};

    if (size > PATTERN_MAX || il__utf8_whole(pattern, size) < size ||
        memchr(pattern, '\0', size) != NULL) {
        return il_error_set(
            err, IL_ERR_UNSUPPORTED, where,
            "regular expression: expected UTF-8 without NUL, of at most "
            "%d bytes",
            PATTERN_MAX);
    }
    while (t.i < size) {
        switch (pattern[t.i]) {
        case '\\':
            IL_TRY(escape(&t, false));
            break;
        case '[':
            IL_TRY(class(&t));
            break;
        case '(':
            IL_TRY(group(&t));
            break;
        case '{':
            IL_TRY(count(&t));
            break;
        default:
            copy(&t, 1);
        }
    }
    return out->failed ? il_error_set(err, IL_ERR_MEMORY, where, "out of memory")
                       : IL_OK;
}

/* ---- patterns ------------------------------------------------------------------- */

static il_status regex_compile(il_regex *r, const il_text *text, il_error *err)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    char why[128] = "";
    PCRE2_SIZE place = 0;
    int code = 0;

    if (context == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, r->where, "out of memory");
    }
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    r->code =
        pcre2_compile((PCRE2_SPTR)(text->data != NULL ? text->data : ""), text->size,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE |
                          PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK,
                      &code, &place, context);
    pcre2_compile_context_free(context);
    if (r->code == NULL) {
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return il_error_set(
            err, code == PCRE2_ERROR_NOMEMORY ? IL_ERR_MEMORY : IL_ERR_UNSUPPORTED,
            r->where, "regular expression '%.200s': %s", r->shown, why);
    }
    /* Without machine code, as on processors that PCRE2 does not know, it is slow. */
    r->compiled = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
    return IL_OK;
}

il_status il__regex_create(il_regex **out, const char *pattern, size_t size,
                           const char *where, il_error *err)
{
    il_regex *r = calloc(1, sizeof *r);
    il_text text = {0};
    il_status status = IL_OK;

    if (r != NULL) {
        r->where = strdup(where);
        r->shown = malloc(size + 1);
    }
    if (r == NULL || r->where == NULL || r->shown == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    } else {
        memcpy(r->shown, pattern, size);
        r->shown[size] = '\0';
        status = il__regex_translate(pattern, size, where, &text, err);
    }
    if (status == IL_OK) {
        status = regex_compile(r, &text, err);
    }
    il_text_free(&text);
    if (status != IL_OK) {
        il__regex_destroy(r);
        return status;
    }
    *out = r;
    return IL_OK;
}

void il__regex_destroy(il_regex *r)
{
    if (r != NULL) {
        pcre2_code_free(r->code);
        free(r->where);
        free(r->shown);
        free(r);
    }
}

il_status il__regex_work_create(il_regex_work **out, il_error *err)
{
    il_regex_work *w = calloc(1, sizeof *w);

    if (w != NULL) {
        w->context = pcre2_match_context_create(NULL);
        w->data = pcre2_match_data_create(1, NULL);
        w->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MAX, NULL);
    }
    if (w == NULL || w->context == NULL || w->data == NULL) {
        il__regex_work_destroy(w);
        return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
    }
    (void)pcre2_set_match_limit(w->context, STEPS_MAX);
    (void)pcre2_set_heap_limit(w->context, HEAP_MAX);
    if (w->stack != NULL) {
        pcre2_jit_stack_assign(w->context, NULL, w->stack);
    }
    *out = w;
    return IL_OK;
}

void il__regex_work_destroy(il_regex_work *w)
{
    if (w != NULL) {
        pcre2_jit_stack_free(w->stack);
        pcre2_match_data_free(w->data);
        pcre2_match_context_free(w->context);
        free(w);
    }
}

il_status il__regex_find(const il_regex *r, il_regex_work *w, const char *text,
                         size_t size, size_t from, bool *found, il_span *span,
                         il_error *err)
{
    PCRE2_SPTR s = (PCRE2_SPTR)text;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(w->data);
    int code = PCRE2_ERROR_JIT_STACKLIMIT;
    char why[128] = "";

    if (r->compiled) {
        code = pcre2_jit_match(r->code, s, size, from, 0, w->data, w->context);
    }
    if (code == PCRE2_ERROR_JIT_STACKLIMIT) {
        code = pcre2_match(r->code, s, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                           w->data, w->context);
    }
    *found = code >= 0;
    if (code >= 0) {
        span->first = (uint32_t)ends[0];
        span->last = (uint32_t)ends[1];
    }
    if (code >= 0 || code == PCRE2_ERROR_NOMATCH) {
        return IL_OK;
    }
    (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return il_error_set(
        err, code == PCRE2_ERROR_NOMEMORY ? IL_ERR_MEMORY : IL_ERR_INPUT, r->where,
        "regular expression '%.200s' gave up near byte %zu of the text: "
        "%s",
        r->shown, from, why);
}
