/* Reading a chat template. Everything that is not known is refused here, so that what
 * was read can be run. White space is treated as `transformers` sets Jinja up: a line
 * that holds a block alone leaves none (trim_blocks, lstrip_blocks). */
#include "formats/chat_private.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, NODES_MAX = 100000, SOURCE_MAX = 1 << 20 };

typedef struct parser {
    il_chat *chat;
    const char *s;
    size_t size;
    size_t i;
    int line;
    int depth;
    size_t nodes;
    size_t end;     /* where the tag that is being read ends */
    size_t stop;    /* the same without its white space control */
    bool trim;      /* the text that follows begins with white space to be dropped */
    bool trim_line; /* or with a line's end to be dropped */
    il_error *err;
    il_status status;
} parser;

static il_chat_node *refuse(parser *p, const char *what, const char *text, size_t size)
{
    if (p->status == IL_OK) {
        p->status = il_error_set(p->err, IL_ERR_UNSUPPORTED, p->chat->where,
                                 "chat template, line %d: %s%s%.*s%s", p->line, what,
                                 size > 0 ? " '" : "", (int)(size < 48 ? size : 48),
                                 text, size > 0 ? "'" : "");
    }
    return NULL;
}

static il_chat_node *node(parser *p, il_chat_kind kind, il_chat_node *a,
                          il_chat_node *b, il_chat_node *c)
{
    il_chat_node *n =
        p->status == IL_OK ? il_arena_calloc(p->chat->arena, 1, sizeof *n) : NULL;

    if (p->status == IL_OK && (n == NULL || ++p->nodes > NODES_MAX)) {
        p->status = n == NULL ? il_error_set(p->err, IL_ERR_MEMORY, p->chat->where,
                                             "out of memory")
                              : IL_OK;
        return n == NULL ? NULL : refuse(p, "too long a template", "", 0);
    }
    if (n != NULL) {
        n->kind = kind;
        n->line = p->line;
        n->a = a;
        n->b = b;
        n->c = c;
    }
    return n;
}

/* ---- words within a tag --------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void blanks(parser *p)
{
    while (p->i < p->stop && strchr(" \t\r\n", p->s[p->i]) != NULL && p->s[p->i]) {
        p->line += p->s[p->i] == '\n';
        p->i++;
    }
}

/* Takes a sign if it is next. */
static bool sign(parser *p, const char *text)
{
    size_t n = strlen(text);

    blanks(p);
    if (p->stop - p->i < n || memcmp(p->s + p->i, text, n) != 0) {
        return false;
    }
    p->i += n;
    return true;
}

/* The name that is next, without taking it; its length, or 0. */
static size_t name_here(parser *p)
{
    size_t n = 0;

    blanks(p);
    while (p->i + n < p->stop &&
           (is_letter(p->s[p->i + n]) || (n > 0 && is_digit(p->s[p->i + n])))) {
        n++;
    }
    return n;
}

static bool word(parser *p, const char *text)
{
    size_t n = name_here(p);

    if (n != strlen(text) || memcmp(p->s + p->i, text, n) != 0) {
        return false;
    }
    p->i += n;
    return true;
}

static bool expect(parser *p, const char *text)
{
    if (!sign(p, text)) {
        size_t left = p->stop - p->i;

        (void)refuse(p, "cannot be read here:", p->s + p->i, left < 24 ? left : 24);
        return false;
    }
    return true;
}

/* ---- expressions ---------------------------------------------------------------- */

static il_chat_node *expression(parser *p);

static il_chat_node *string(parser *p, char quote)
{
    il_chat_node *n = node(p, IL_CHAT_STRING, NULL, NULL, NULL);
    char *text = il_arena_alloc(p->chat->arena, p->stop - p->i + 1);
    size_t size = 0;

    if (n == NULL || text == NULL) {
        return NULL;
    }
    for (; p->i < p->stop && p->s[p->i] != quote; p->i++) {
        char c = p->s[p->i];

        p->line += c == '\n';
        if (c == '\\' && p->i + 1 < p->stop) {
            static const char names[] = "ntr\\'\"";
            static const char codes[] = "\n\t\r\\'\"";
            const char *at = strchr(names, p->s[++p->i]);

            if (at == NULL || *at == '\0') {
                return refuse(p, "in a string,", p->s + p->i - 1, 2);
            }
            c = codes[at - names];
        }
        text[size++] = c;
    }
    if (p->i == p->stop) {
        return refuse(p, "a string without its end", "", 0);
    }
    p->i++;
    n->text = text;
    n->size = size;
    return n;
}

static il_chat_node *primary(parser *p)
{
    static const struct {
        const char *name;
        int64_t value;
    } constants[] = {{"true", 1},  {"True", 1}, {"false", 0},
                     {"False", 0}, {"none", 2}, {"None", 2}};
    size_t n;
    il_chat_node *out;

    if (sign(p, "'")) {
        return string(p, '\'');
    }
    if (sign(p, "\"")) {
        return string(p, '"');
    }
    if (sign(p, "(")) {
        out = expression(p);
        return expect(p, ")") ? out : NULL;
    }
    for (size_t k = 0; k < sizeof constants / sizeof constants[0]; k++) {
        if (word(p, constants[k].name)) {
            out = node(p, IL_CHAT_CONSTANT, NULL, NULL, NULL);
            if (out != NULL) {
                out->number = constants[k].value;
            }
            return out;
        }
    }
    if (word(p, "raise_exception")) {
        if (!expect(p, "(")) {
            return NULL;
        }
        out = node(p, IL_CHAT_RAISE, expression(p), NULL, NULL);
        return expect(p, ")") ? out : NULL;
    }
    n = name_here(p);
    if (n > 0) {
        out = node(p, IL_CHAT_NAME, NULL, NULL, NULL);
        if (out != NULL) {
            out->text = p->s + p->i;
            out->size = n;
        }
        p->i += n;
        blanks(p);
        return p->i < p->stop && p->s[p->i] == '('
                   ? refuse(p, "the function", p->s + p->i - n, n)
                   : out;
    }
    if (p->i < p->stop && is_digit(p->s[p->i])) {
        out = node(p, IL_CHAT_NUMBER, NULL, NULL, NULL);
        for (; p->i < p->stop && is_digit(p->s[p->i]); p->i++) {
            if (out != NULL && out->number < 1000000000) {
                out->number = out->number * 10 + (p->s[p->i] - '0');
            }
        }
        return out;
    }
    n = p->stop - p->i;
    return refuse(p, "expected a value at", p->s + p->i, n < 24 ? n : 24);
}

/* What is known of text, with and without an argument. */
static const char *const methods[] = {"strip", "lstrip",     "rstrip",
                                      "split", "startswith", "endswith",
                                      "upper", "lower",      "replace"};
static const char *const filters[] = {"trim",  "length", "upper", "lower",
                                      "first", "last",   "count"};
static const char *const tests[] = {"defined", "undefined", "none",   "string",
                                    "true",    "false",     "mapping"};

/* The name that is next, if it is one of these; NULL, and an error, if not. */
static const char *known(parser *p, const char *const *names, size_t count,
                         const char *what)
{
    size_t n = name_here(p);

    for (size_t k = 0; k < count; k++) {
        if (word(p, names[k])) {
            return names[k];
        }
    }
    (void)refuse(p, what, p->s + p->i, n);
    return NULL;
}
#define KNOWN(p, names, what) known(p, names, sizeof(names) / sizeof(names)[0], what)

static il_chat_node *called(parser *p, il_chat_node *a, const char *name,
                            il_chat_node *b, il_chat_node *c)
{
    il_chat_node *out = node(p, IL_CHAT_CALL, a, b, c);

    if (out != NULL) {
        out->text = name;
        out->size = strlen(name);
    }
    return out;
}

static il_chat_node *member(parser *p, il_chat_node *a)
{
    size_t n = name_here(p);
    il_chat_node *out;

    blanks(p);
    if (p->i + n < p->stop && p->s[p->i + n] == '(') {
        const char *name = KNOWN(p, methods, "the method");
        il_chat_node *b = NULL;
        il_chat_node *c = NULL;

        if (name == NULL || !expect(p, "(")) {
            return NULL;
        }
        if (!sign(p, ")")) {
            b = expression(p);
            c = sign(p, ",") ? expression(p) : NULL;
            if (!expect(p, ")")) {
                return NULL;
            }
        }
        if ((strcmp(name, "replace") == 0) != (c != NULL) ||
            ((name[0] == 'u' || strcmp(name, "lower") == 0) && b != NULL) ||
            ((strcmp(name, "split") == 0 || strstr(name, "swith") != NULL) &&
             b == NULL)) {
            return refuse(p, "these arguments of the method", name, strlen(name));
        }
        return called(p, a, name, b, c);
    }
    if (n == 0) {
        return refuse(p, "expected a name behind the dot", "", 0);
    }
    out = node(p, IL_CHAT_MEMBER, a, NULL, NULL);
    if (out != NULL) {
        out->text = p->s + p->i;
        out->size = n;
    }
    p->i += n;
    return out;
}

static il_chat_node *subscript(parser *p, il_chat_node *a)
{
    il_chat_node *b = NULL;
    il_chat_node *c = NULL;

    if (!sign(p, ":")) {
        b = expression(p);
        if (sign(p, "]")) {
            return node(p, IL_CHAT_INDEX, a, b, NULL);
        }
        if (!expect(p, ":")) {
            return NULL;
        }
    }
    if (!sign(p, "]")) {
        c = expression(p);
        if (!expect(p, "]")) {
            return NULL;
        }
    }
    return node(p, IL_CHAT_SLICE, a, b, c);
}

static il_chat_node *postfix(parser *p)
{
    il_chat_node *a = primary(p);

    while (p->status == IL_OK) {
        if (sign(p, ".")) {
            a = member(p, a);
        } else if (sign(p, "[")) {
            a = subscript(p, a);
        } else if (p->i < p->stop && p->s[p->i] == '|') {
            const char *name;

            p->i++;
            name = KNOWN(p, filters, "the filter");
            if (name == NULL || (sign(p, "(") && !expect(p, ")"))) {
                return NULL;
            }
            a = called(p, a, name, NULL, NULL);
        } else if (word(p, "is")) {
            bool negated = word(p, "not");
            const char *name = KNOWN(p, tests, "the test");

            a = node(p, IL_CHAT_TEST, a, NULL, NULL);
            if (a == NULL || name == NULL) {
                return NULL;
            }
            a->text = name;
            a->size = strlen(name);
            a = negated ? node(p, IL_CHAT_NOT, a, NULL, NULL) : a;
        } else {
            break;
        }
    }
    return a;
}

static il_chat_node *unary(parser *p)
{
    if (++p->depth > DEPTH_MAX) {
        return refuse(p, "nested too deep", "", 0);
    }
    if (sign(p, "-")) {
        il_chat_node *a = node(p, IL_CHAT_NEGATE, unary(p), NULL, NULL);

        p->depth--;
        return a;
    }
    p->depth--;
    return postfix(p);
}

static il_chat_node *product(parser *p)
{
    il_chat_node *a = unary(p);

    while (p->status == IL_OK && sign(p, "%")) {
        a = node(p, IL_CHAT_MODULO, a, unary(p), NULL);
    }
    blanks(p);
    if (p->status == IL_OK && p->i < p->stop &&
        (p->s[p->i] == '*' || p->s[p->i] == '/')) {
        return refuse(p, "the operator", p->s + p->i, 1);
    }
    return a;
}

static il_chat_node *joined(parser *p)
{
    il_chat_node *a = product(p);

    while (p->status == IL_OK && sign(p, "~")) {
        a = node(p, IL_CHAT_JOIN, a, product(p), NULL);
    }
    return a;
}

static il_chat_node *sum(parser *p)
{
    il_chat_node *a = joined(p);

    while (p->status == IL_OK) {
        if (sign(p, "+")) {
            a = node(p, IL_CHAT_ADD, a, joined(p), NULL);
        } else if (sign(p, "-")) {
            a = node(p, IL_CHAT_SUBTRACT, a, joined(p), NULL);
        } else {
            break;
        }
    }
    return a;
}

static il_chat_node *comparison(parser *p)
{
    static const struct {
        const char *text;
        il_chat_kind kind;
    } signs[] = {{"==", IL_CHAT_EQUAL},   {"!=", IL_CHAT_UNEQUAL},
                 {"<=", IL_CHAT_AT_MOST}, {">=", IL_CHAT_AT_LEAST},
                 {"<", IL_CHAT_LESS},     {">", IL_CHAT_GREATER}};
    il_chat_node *a = sum(p);
    size_t before;

    for (size_t k = 0; p->status == IL_OK && k < sizeof signs / sizeof signs[0]; k++) {
        if (sign(p, signs[k].text)) {
            return node(p, signs[k].kind, a, sum(p), NULL);
        }
    }
    if (word(p, "in")) {
        return node(p, IL_CHAT_IN, a, sum(p), NULL);
    }
    before = p->i;
    if (word(p, "not")) {
        if (word(p, "in")) {
            return node(p, IL_CHAT_NOT, node(p, IL_CHAT_IN, a, sum(p), NULL), NULL,
                        NULL);
        }
        p->i = before;
    }
    return a;
}

static il_chat_node *negation(parser *p)
{
    il_chat_node *a;

    if (!word(p, "not")) {
        return comparison(p);
    }
    if (++p->depth > DEPTH_MAX) {
        return refuse(p, "nested too deep", "", 0);
    }
    a = node(p, IL_CHAT_NOT, negation(p), NULL, NULL);
    p->depth--;
    return a;
}

static il_chat_node *conjunction(parser *p)
{
    il_chat_node *a = negation(p);

    while (p->status == IL_OK && word(p, "and")) {
        a = node(p, IL_CHAT_AND, a, negation(p), NULL);
    }
    return a;
}

static il_chat_node *disjunction(parser *p)
{
    il_chat_node *a = conjunction(p);

    while (p->status == IL_OK && word(p, "or")) {
        a = node(p, IL_CHAT_OR, a, conjunction(p), NULL);
    }
    return a;
}

static il_chat_node *expression(parser *p)
{
    il_chat_node *a;

    if (++p->depth > DEPTH_MAX) {
        return refuse(p, "nested too deep", "", 0);
    }
    a = disjunction(p);
    while (p->status == IL_OK && word(p, "if")) {
        il_chat_node *condition = disjunction(p);
        il_chat_node *other = word(p, "else") ? expression(p) : NULL;

        a = node(p, IL_CHAT_CHOOSE, a, condition, other);
    }
    p->depth--;
    return a;
}

/* ---- tags ----------------------------------------------------------------------- */

/* Where the tag that begins at `i` ends: at its closing sign outside of strings. */
static bool tag_end(parser *p, char close, size_t *end)
{
    char quote = '\0';

    for (size_t i = p->i; i + 1 < p->size; i++) {
        char c = p->s[i];

        if (quote != '\0') {
            i += c == '\\';
            quote = c == quote ? '\0' : quote;
        } else if (close != '#' && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == close && p->s[i + 1] == '}') {
            *end = i;
            return true;
        }
    }
    (void)refuse(p, "a tag without its end", "", 0);
    return false;
}

/* The text up to the next tag, as white space control leaves it. */
static il_chat_node *text(parser *p)
{
    size_t first = p->i;
    size_t last = p->i;
    size_t begin = p->i; /* of the tag */
    il_chat_node *n;
    char kind;

    while (begin < p->size && !(p->s[begin] == '{' && begin + 1 < p->size &&
                                (p->s[begin + 1] == '{' || p->s[begin + 1] == '%' ||
                                 p->s[begin + 1] == '#'))) {
        begin++;
    }
    last = begin;
    kind = begin < p->size ? p->s[begin + 1] : '\0';
    if (p->trim) {
        while (first < last && strchr(" \t\r\n\v\f", p->s[first]) != NULL) {
            first++;
        }
    } else if (p->trim_line && first < last && p->s[first] == '\n') {
        first++;
    }
    if (kind != '\0' && begin + 2 < p->size && p->s[begin + 2] == '-') {
        while (last > first && strchr(" \t\r\n\v\f", p->s[last - 1]) != NULL) {
            last--;
        }
    } else if ((kind == '%' || kind == '#') &&
               !(begin + 2 < p->size && p->s[begin + 2] == '+')) {
        size_t at = last;

        /* A block that is the first on its line drops what stands before it. */
        while (at > p->i && (p->s[at - 1] == ' ' || p->s[at - 1] == '\t')) {
            at--;
        }
        if (at == 0 || p->s[at - 1] == '\n') {
            last = at > first ? at : first;
        }
    }
    for (size_t i = p->i; i < begin; i++) {
        p->line += p->s[i] == '\n';
    }
    p->i = begin;
    n = node(p, IL_CHAT_TEXT, NULL, NULL, NULL);
    if (n != NULL) {
        n->text = p->s + first;
        n->size = last - first;
    }
    return n;
}

/* Enters the tag at `i`; false at the end of the template. */
static bool tag_begin(parser *p, char *kind)
{
    if (p->i >= p->size) {
        return false;
    }
    *kind = p->s[p->i + 1];
    p->i += 2;
    if (p->i < p->size && (p->s[p->i] == '-' || p->s[p->i] == '+')) {
        p->i++;
    }
    if (!tag_end(p, *kind == '{' ? '}' : *kind, &p->end)) {
        return false;
    }
    p->stop = p->end;
    p->stop -= p->end > p->i && (p->s[p->end - 1] == '-' || p->s[p->end - 1] == '+');
    return true;
}

/* Leaves the tag, which has been read to its end. */
static void tag_done(parser *p, char kind)
{
    size_t end = p->end;
    char last = p->stop < end ? p->s[p->stop] : '\0';

    if (kind == '#') {
        for (; p->i < end; p->i++) {
            p->line += p->s[p->i] == '\n';
        }
    } else {
        blanks(p);
        if (p->i < p->stop) {
            size_t left = p->stop - p->i;

            (void)refuse(p, "cannot be read here:", p->s + p->i, left < 24 ? left : 24);
        }
    }
    p->trim = last == '-';
    p->trim_line = kind != '{' && last != '+';
    p->i = end + 2;
}

/* Statements up to a block with one of these names, which is taken; *end is which. A
 * name ends where the tag does, or a condition follows. */
static il_chat_node *body(parser *p, const char *const *ends, int *end);

static il_chat_node *conditional(parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    il_chat_node *n = node(p, IL_CHAT_IF, expression(p), NULL, NULL);
    int end = 2;

    tag_done(p, '%');
    if (n == NULL) {
        return NULL;
    }
    n->b = body(p, ends, &end);
    if (end == 0) {
        if (++p->depth > DEPTH_MAX) {
            return refuse(p, "nested too deep", "", 0);
        }
        n->c = conditional(p);
        p->depth--;
        return n;
    }
    tag_done(p, '%');
    if (end == 1) {
        n->c = body(p, last, &end);
        tag_done(p, '%');
    }
    return n;
}

static il_chat_node *loop(parser *p)
{
    static const char *const ends[] = {"endfor", NULL};
    size_t size = name_here(p);
    const char *name = p->s + p->i;
    il_chat_node *n;
    int end = 0;

    p->i += size;
    if (size == 0 || !word(p, "in")) {
        return refuse(p, "expected: for NAME in ...", "", 0);
    }
    n = node(p, IL_CHAT_FOR, disjunction(p), NULL, NULL);
    tag_done(p, '%');
    if (n == NULL) {
        return NULL;
    }
    n->text = name;
    n->size = size;
    n->b = body(p, ends, &end);
    tag_done(p, '%');
    return n;
}

static il_chat_node *assignment(parser *p)
{
    size_t size = name_here(p);
    const char *name = p->s + p->i;
    il_chat_node *n;

    p->i += size;
    if (size == 0 || !sign(p, "=")) {
        return refuse(p, "expected: set NAME = ...", "", 0);
    }
    n = node(p, IL_CHAT_SET, expression(p), NULL, NULL);
    if (n != NULL) {
        n->text = name;
        n->size = size;
    }
    tag_done(p, '%');
    return n;
}

/* A block, whose name is next. */
static il_chat_node *block(parser *p)
{
    static const char *const ends[] = {"endgeneration", NULL};
    size_t n = name_here(p);
    const char *name = p->s + p->i;
    il_chat_node *out;
    int end;

    if (word(p, "if")) {
        return conditional(p);
    }
    if (word(p, "for")) {
        return loop(p);
    }
    if (word(p, "set")) {
        return assignment(p);
    }
    if (word(p, "generation")) {
        tag_done(p, '%');
        out = node(p, IL_CHAT_BLOCK, NULL, body(p, ends, &end), NULL);
        tag_done(p, '%');
        return out;
    }
    return refuse(p, "the block", name, n);
}

static il_chat_node *body(parser *p, const char *const *ends, int *end)
{
    il_chat_node *first = NULL;
    il_chat_node **at = &first;
    char kind = '\0';

    if (++p->depth > DEPTH_MAX) {
        return refuse(p, "nested too deep", "", 0);
    }
    while (p->status == IL_OK) {
        il_chat_node *n = text(p);

        if (n == NULL) {
            break;
        }
        *at = n;
        at = &n->next;
        if (!tag_begin(p, &kind)) {
            if (ends[0] != NULL) {
                (void)refuse(p, "the template ends without", ends[0], strlen(ends[0]));
            }
            break;
        }
        for (int k = 0; kind == '%' && ends[k] != NULL; k++) {
            if (word(p, ends[k])) {
                *end = k;
                p->depth--;
                return first;
            }
        }
        if (kind == '#') {
            tag_done(p, kind);
            continue;
        }
        if (kind == '{') {
            n = node(p, IL_CHAT_PRINT, expression(p), NULL, NULL);
            tag_done(p, kind);
        } else {
            n = block(p);
        }
        if (n == NULL) {
            break;
        }
        *at = n;
        at = &n->next;
    }
    p->depth--;
    return first;
}

il_status il_chat_parse(il_chat **out, const char *source, size_t size,
                        const char *where, const char *bos, const char *eos,
                        il_error *err)
{
    static const char *const none[] = {NULL};
    il_arena *arena = il_arena_create(1 << 14);
    il_chat *chat = arena != NULL ? il_arena_calloc(arena, 1, sizeof *chat) : NULL;
    char *copy =
        chat != NULL && size <= SOURCE_MAX ? il_arena_alloc(arena, size + 1) : NULL;
    parser p = {.chat = chat, .s = copy, .size = size, .line = 1, .err = err};
    int end;

    if (size > SOURCE_MAX) {
        il_arena_destroy(arena);
        return il_error_set(err, IL_ERR_UNSUPPORTED, where, "too long a chat template");
    }
    if (copy != NULL) {
        memcpy(copy, source, size);
        copy[size] = '\0';
        chat->arena = arena;
        chat->where = il_arena_strdup(arena, where);
        chat->bos = bos != NULL ? il_arena_strdup(arena, bos) : "";
        chat->eos = eos != NULL ? il_arena_strdup(arena, eos) : "";
        chat->source = copy;
    }
    if (copy == NULL || chat->where == NULL || chat->bos == NULL || chat->eos == NULL) {
        il_arena_destroy(arena);
        return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    /* Jinja drops one line's end at the end of a template. */
    p.size -= size > 0 && copy[size - 1] == '\n' ? 1 : 0;
    chat->root = body(&p, none, &end);
    if (p.status != IL_OK) {
        il_arena_destroy(arena);
        return p.status;
    }
    *out = chat;
    return IL_OK;
}

void il_chat_free(il_chat *chat)
{
    if (chat != NULL) {
        il_arena_destroy(chat->arena);
    }
}

const char *il_chat_source(const il_chat *chat)
{
    return chat->source;
}
