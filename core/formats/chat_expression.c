/* Reading the expressions of a chat template, with Jinja's precedences: `x if y`, or,
 * and, not, comparisons, + and -, ~, * / // %, **, signs, then what stands behind a
 * value: members, calls, filters, tests. */
#include <string.h>
#include "base/text.h"
#include "formats/chat_private.h"

static il_chat_node *pair(il_chat_parser *p, il_chat_kind kind, il_chat_node *a,
                          il_chat_node *b)
{
    il_chat_node *n = il__chat_node_new(p, kind);

    if (n != NULL) {
        n->a = a;
        n->b = b;
        n->line = a != NULL ? a->line : n->line;
    }
    return n;
}

/* Enters what nests; false, and an error, where it is too deep. To be left again. */
static bool deeper(il_chat_parser *p)
{
    if (++p->depth > IL_CHAT_DEPTH) {
        (void)il__chat_refuse(p, il__chat_here(p)->line, "nested too deep", "", 0);
        return false;
    }
    return p->status == IL_OK;
}

/* Puts one behind others. */
static void append(il_chat_node **first, il_chat_node **last, il_chat_node *n)
{
    if (n != NULL) {
        *(*first == NULL ? first : &(*last)->next) = n;
        *last = n;
    }
}

/* ---- values --------------------------------------------------------------------- */

/* Entries up to a closing sign, with commas; a comma may be the last. Takes what closes
 * them. */
static il_chat_node *entries(il_chat_parser *p, const char *close)
{
    il_chat_node *first = NULL;
    il_chat_node *last = NULL;

    while (p->status == IL_OK && !il__chat_at_sign(p, close)) {
        if (first != NULL && (!il__chat_expect(p, ",") || il__chat_at_sign(p, close))) {
            break;
        }
        append(&first, &last, pair(p, IL_CHAT_ARGUMENT, il__chat_expression(p), NULL));
    }
    (void)il__chat_expect(p, close);
    return first;
}

static il_chat_node *dictionary(il_chat_parser *p)
{
    il_chat_node *n = il__chat_node_new(p, IL_CHAT_DICT);
    il_chat_node *first = NULL;
    il_chat_node *last = NULL;

    while (p->status == IL_OK && !il__chat_at_sign(p, "}")) {
        if (first != NULL && (!il__chat_expect(p, ",") || il__chat_at_sign(p, "}"))) {
            break;
        }
        append(&first, &last, pair(p, IL_CHAT_ARGUMENT, il__chat_expression(p), NULL));
        (void)il__chat_expect(p, ":");
        append(&first, &last, pair(p, IL_CHAT_ARGUMENT, il__chat_expression(p), NULL));
    }
    if (!il__chat_expect(p, "}") || n == NULL) {
        return NULL;
    }
    n->list = first;
    return n;
}

/* What stands in parentheses: a value, or a tuple. */
static il_chat_node *parenthesis(il_chat_parser *p)
{
    il_chat_node *out;

    if (il__chat_take_sign(p, ")")) {
        return il__chat_node_new(p, IL_CHAT_TUPLE);
    }
    out = il__chat_tuple(p, true);
    return il__chat_expect(p, ")") ? out : NULL;
}

static il_chat_node *text(il_chat_parser *p)
{
    il_chat_node *n = il__chat_node_new(p, IL_CHAT_STRING);
    const il_chat_token *t = il__chat_here(p);

    if (n == NULL) {
        return NULL;
    }
    n->text = t->text;
    n->size = t->size;
    for (p->at++; il__chat_here(p)->word == IL_CHAT_WORD_STRING; p->at++) {
        char *joined;

        t = il__chat_here(p); /* strings side by side are one */
        joined = il_arena_alloc(p->chat->arena, n->size + t->size + 1);
        if (joined == NULL || n->size + t->size > 1 << 20) {
            return il__chat_refuse(p, t->line, "too long a string", "", 0);
        }
        memcpy(joined, n->text, n->size);
        memcpy(joined + n->size, t->text, t->size);
        n->text = joined;
        n->size += t->size;
    }
    return n;
}

static il_chat_node *number(il_chat_parser *p)
{
    const il_chat_token *t = il__chat_here(p);
    il_chat_node *n =
        il__chat_node_new(p, t->word == IL_CHAT_WORD_INT ? IL_CHAT_INT : IL_CHAT_REAL);
    char digits[48];

    if (n == NULL) {
        return NULL;
    }
    memcpy(digits, t->text, t->size);
    digits[t->size] = '\0';
    if ((n->kind == IL_CHAT_INT && !il_parse_int(digits, &n->number)) ||
        (n->kind == IL_CHAT_REAL && !il_parse_real(digits, &n->real))) {
        return il__chat_refuse(p, t->line, "the number", t->text, t->size);
    }
    p->at++;
    return n;
}

static il_chat_node *name(il_chat_parser *p)
{
    static const struct {
        const char *name;
        int64_t value;
    } constants[] = {{"true", 1},  {"True", 1}, {"false", 0},
                     {"False", 0}, {"none", 2}, {"None", 2}};
    static const char *const extra[] = {"varargs", "kwargs", "caller"};
    il_chat_node *n;

    for (size_t k = 0; k < sizeof constants / sizeof constants[0]; k++) {
        if (il__chat_take_name(p, constants[k].name)) {
            n = il__chat_node_new(p, IL_CHAT_CONSTANT);
            if (n != NULL) {
                n->number = constants[k].value;
            }
            return n;
        }
    }
    for (int k = 0; k < 3 && p->macro != NULL; k++) {
        p->macro->number |= il__chat_at_name(p, extra[k]) ? 1 << k : 0;
    }
    return il__chat_any_name(p, IL_CHAT_NAME);
}

static il_chat_node *primary(il_chat_parser *p)
{
    const il_chat_token *t = il__chat_here(p);
    il_chat_node *n;

    switch (t->word) {
    case IL_CHAT_WORD_NAME:
        return name(p);
    case IL_CHAT_WORD_STRING:
        return text(p);
    case IL_CHAT_WORD_INT:
    case IL_CHAT_WORD_REAL:
        return number(p);
    default:
        break;
    }
    if (il__chat_take_sign(p, "(")) {
        return parenthesis(p);
    }
    if (il__chat_take_sign(p, "[")) {
        n = il__chat_node_new(p, IL_CHAT_LIST);
        if (n != NULL) {
            n->list = entries(p, "]");
        }
        return n;
    }
    if (il__chat_take_sign(p, "{")) {
        return dictionary(p);
    }
    return il__chat_unexpected(p, "a value");
}

/* ---- behind a value ------------------------------------------------------------- */

/* (a, b, c=d), whose parenthesis is next. */
static il_chat_node *arguments(il_chat_parser *p)
{
    il_chat_node *first = NULL;
    il_chat_node *last = NULL;
    bool named = false;

    (void)il__chat_expect(p, "(");
    while (p->status == IL_OK && !il__chat_at_sign(p, ")")) {
        il_chat_node *n;
        const il_chat_token *t;

        if (first != NULL && (!il__chat_expect(p, ",") || il__chat_at_sign(p, ")"))) {
            break;
        }
        t = il__chat_here(p);
        if (il__chat_at_sign(p, "*") || il__chat_at_sign(p, "**")) {
            return il__chat_refuse(p, t->line, "arguments by", t->text, t->size);
        }
        n = il__chat_node_new(p, IL_CHAT_ARGUMENT);
        if (n != NULL && t->word == IL_CHAT_WORD_NAME &&
            il__chat_is(t + 1, IL_CHAT_WORD_SIGN, "=")) {
            named = true;
            n->text = t->text;
            n->size = t->size;
            p->at += 2;
        } else if (named) {
            return il__chat_unexpected(p, "NAME=");
        }
        if (n != NULL) {
            n->a = il__chat_expression(p);
            append(&first, &last, n);
        }
    }
    return il__chat_expect(p, ")") ? first : NULL;
}

static il_chat_node *subscript(il_chat_parser *p, il_chat_node *a)
{
    il_chat_node *bounds[3] = {NULL, NULL, NULL};
    il_chat_node *n;
    int k = 0;

    for (; k < 3; k++) {
        if (!il__chat_at_sign(p, ":") && !il__chat_at_sign(p, "]")) {
            bounds[k] = il__chat_expression(p);
        }
        if (!il__chat_take_sign(p, ":")) {
            break;
        }
    }
    if (k == 0 && bounds[0] == NULL) {
        return il__chat_unexpected(p, "a subscript");
    }
    n = pair(p, k == 0 ? IL_CHAT_INDEX : IL_CHAT_SLICE, a, bounds[0]);
    if (!il__chat_expect(p, "]") || n == NULL) {
        return NULL;
    }
    n->c = bounds[1];
    n->d = bounds[2];
    return n;
}

static il_chat_node *call(il_chat_parser *p, il_chat_node *a)
{
    il_chat_node *n = pair(p, IL_CHAT_CALL, a, NULL);

    if (n != NULL) {
        n->list = arguments(p);
    }
    return n;
}

static il_chat_node *postfix(il_chat_parser *p, il_chat_node *a)
{
    while (p->status == IL_OK) {
        if (il__chat_take_sign(p, ".")) {
            il_chat_node *n;

            if (il__chat_here(p)->word == IL_CHAT_WORD_INT) {
                n = pair(p, IL_CHAT_INDEX, a, number(p));
            } else {
                n = il__chat_any_name(p, IL_CHAT_MEMBER);
            }
            if (n != NULL) {
                n->a = a;
            }
            a = n;
        } else if (il__chat_take_sign(p, "[")) {
            a = subscript(p, a);
        } else if (il__chat_at_sign(p, "(")) {
            a = call(p, a);
        } else {
            break;
        }
    }
    return a;
}

il_chat_node *il__chat_filter(il_chat_parser *p, il_chat_node *a)
{
    il_chat_node *n = il__chat_any_name(p, IL_CHAT_FILTER);

    if (n != NULL) {
        n->a = a;
        n->list = il__chat_at_sign(p, "(") ? arguments(p) : NULL;
    }
    return n;
}

il_chat_node *il__chat_filters(il_chat_parser *p, il_chat_node *a)
{
    while (il__chat_take_sign(p, "|")) {
        a = il__chat_filter(p, a);
    }
    return a;
}

/* `is` has been taken. */
static il_chat_node *test(il_chat_parser *p, il_chat_node *a)
{
    bool negated = il__chat_take_name(p, "not");
    il_chat_node *n = il__chat_any_name(p, IL_CHAT_TEST);
    const il_chat_token *t = il__chat_here(p);

    if (n == NULL) {
        return NULL;
    }
    n->a = a;
    if (il__chat_at_sign(p, "(")) {
        n->list = arguments(p);
    } else if ((t->word == IL_CHAT_WORD_NAME && !il__chat_at_name(p, "else") &&
                !il__chat_at_name(p, "or") && !il__chat_at_name(p, "and")) ||
               t->word == IL_CHAT_WORD_STRING || t->word == IL_CHAT_WORD_INT ||
               t->word == IL_CHAT_WORD_REAL || il__chat_at_sign(p, "[") ||
               il__chat_at_sign(p, "{")) {
        if (il__chat_at_name(p, "is")) {
            return il__chat_unexpected(p, "one test");
        }
        n->list = pair(p, IL_CHAT_ARGUMENT, postfix(p, primary(p)), NULL);
    }
    return negated ? pair(p, IL_CHAT_NOT, n, NULL) : n;
}

static il_chat_node *unary(il_chat_parser *p, bool filters)
{
    il_chat_node *a;

    if (!deeper(p)) {
        return NULL;
    }
    if (il__chat_take_sign(p, "-")) {
        a = pair(p, IL_CHAT_NEGATE, unary(p, false), NULL);
    } else if (il__chat_take_sign(p, "+")) {
        a = pair(p, IL_CHAT_POSITIVE, unary(p, false), NULL);
    } else {
        a = primary(p);
    }
    a = postfix(p, a);
    while (filters && p->status == IL_OK) {
        if (il__chat_at_sign(p, "|")) {
            a = il__chat_filters(p, a);
        } else if (il__chat_take_name(p, "is")) {
            a = test(p, a);
        } else if (il__chat_at_sign(p, "(")) {
            a = call(p, a);
        } else {
            break;
        }
    }
    p->depth--;
    return a;
}

/* ---- operators ------------------------------------------------------------------ */

/* The operators that bind alike, from the loosest on. */
static const struct {
    const char *sign;
    int level;
    int64_t code;
} operators[] = {{"+", 0, '+'},  {"-", 0, '-'}, {"~", 1, '~'}, {"*", 2, '*'},
                 {"//", 2, 'F'}, {"/", 2, '/'}, {"%", 2, '%'}, {"**", 3, 'P'}};

static il_chat_node *arithmetic(il_chat_parser *p, int level)
{
    il_chat_node *a = level == 4 ? unary(p, true) : arithmetic(p, level + 1);

    while (level < 4 && p->status == IL_OK) {
        int64_t code = 0;

        for (size_t k = 0; code == 0 && k < sizeof operators / sizeof operators[0];
             k++) {
            if (operators[k].level == level &&
                il__chat_take_sign(p, operators[k].sign)) {
                code = operators[k].code;
            }
        }
        if (code == 0) {
            break;
        }
        a = pair(p, IL_CHAT_BINARY, a, arithmetic(p, level + 1));
        if (a != NULL) {
            a->number = code;
        }
    }
    return a;
}

static il_chat_node *comparison(il_chat_parser *p)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">"};
    il_chat_node *a = arithmetic(p, 0);
    il_chat_node *first = NULL;
    il_chat_node *last = NULL;

    while (p->status == IL_OK) {
        const char *text = NULL;
        il_chat_node *n;

        for (size_t k = 0; text == NULL && k < sizeof signs / sizeof signs[0]; k++) {
            text = il__chat_take_sign(p, signs[k]) ? signs[k] : NULL;
        }
        if (text == NULL && il__chat_take_name(p, "in")) {
            text = "in";
        }
        if (text == NULL && il__chat_at_name(p, "not") &&
            il__chat_is(il__chat_here(p) + 1, IL_CHAT_WORD_NAME, "in")) {
            p->at += 2;
            text = "not in";
        }
        if (text == NULL) {
            break;
        }
        n = pair(p, IL_CHAT_OPERAND, arithmetic(p, 0), NULL);
        if (n != NULL) {
            n->text = text;
            n->size = strlen(text);
            append(&first, &last, n);
        }
    }
    if (first != NULL) {
        a = pair(p, IL_CHAT_COMPARE, a, NULL);
        if (a != NULL) {
            a->list = first;
        }
    }
    return a;
}

static il_chat_node *negation(il_chat_parser *p)
{
    il_chat_node *a;

    if (!il__chat_at_name(p, "not")) {
        return comparison(p);
    }
    if (!deeper(p)) {
        return NULL;
    }
    p->at++;
    a = pair(p, IL_CHAT_NOT, negation(p), NULL);
    p->depth--;
    return a;
}

static il_chat_node *conjunction(il_chat_parser *p)
{
    il_chat_node *a = negation(p);

    while (il__chat_take_name(p, "and")) {
        a = pair(p, IL_CHAT_AND, a, negation(p));
    }
    return a;
}

static il_chat_node *disjunction(il_chat_parser *p)
{
    il_chat_node *a = conjunction(p);

    while (il__chat_take_name(p, "or")) {
        a = pair(p, IL_CHAT_OR, a, conjunction(p));
    }
    return a;
}

il_chat_node *il__chat_expression(il_chat_parser *p)
{
    il_chat_node *a;

    if (!deeper(p)) {
        return NULL;
    }
    a = disjunction(p);
    while (il__chat_take_name(p, "if")) {
        il_chat_node *n = pair(p, IL_CHAT_CHOOSE, a, disjunction(p));

        if (n != NULL && il__chat_take_name(p, "else")) {
            n->c = il__chat_expression(p);
        }
        a = n;
    }
    p->depth--;
    return a;
}

il_chat_node *il__chat_tuple(il_chat_parser *p, bool choose)
{
    il_chat_node *a = choose ? il__chat_expression(p) : disjunction(p);
    il_chat_node *n;
    il_chat_node *last;

    if (!il__chat_at_sign(p, ",")) {
        return a;
    }
    n = pair(p, IL_CHAT_TUPLE, NULL, NULL);
    a = pair(p, IL_CHAT_ARGUMENT, a, NULL);
    if (n == NULL || a == NULL) {
        return NULL;
    }
    n->list = last = a;
    while (il__chat_take_sign(p, ",")) {
        const il_chat_token *t = il__chat_here(p);

        if (t->word == IL_CHAT_WORD_CLOSE || il__chat_at_sign(p, ")")) {
            break;
        }
        append(&n->list, &last,
               pair(p, IL_CHAT_ARGUMENT,
                    choose ? il__chat_expression(p) : disjunction(p), NULL));
    }
    return n;
}

/* ---- targets and parameters ----------------------------------------------------- */

/* A name, a member of a namespace where `members`, or targets in parentheses. */
static il_chat_node *target(il_chat_parser *p, bool members)
{
    il_chat_node *n;

    if (il__chat_take_sign(p, "(")) {
        if (!deeper(p)) {
            return NULL;
        }
        n = il__chat_targets(p, members);
        p->depth--;
        return il__chat_expect(p, ")") ? n : NULL;
    }
    n = il__chat_any_name(p, IL_CHAT_NAME);
    if (n != NULL && members && il__chat_take_sign(p, ".")) {
        il_chat_node *member = il__chat_any_name(p, IL_CHAT_MEMBER);

        if (member != NULL) {
            member->a = n;
        }
        return member;
    }
    return n;
}

il_chat_node *il__chat_targets(il_chat_parser *p, bool members)
{
    il_chat_node *a = target(p, members);
    il_chat_node *n;
    il_chat_node *last = a;

    if (!il__chat_at_sign(p, ",")) {
        return a;
    }
    n = il__chat_node_new(p, IL_CHAT_TUPLE);
    if (n == NULL || a == NULL) {
        return NULL;
    }
    n->list = a;
    while (il__chat_take_sign(p, ",")) {
        if (il__chat_here(p)->word != IL_CHAT_WORD_NAME && !il__chat_at_sign(p, "(")) {
            break;
        }
        append(&n->list, &last, target(p, members));
    }
    return n;
}

il_chat_node *il__chat_parameters(il_chat_parser *p)
{
    il_chat_node *first = NULL;
    il_chat_node *last = NULL;

    (void)il__chat_expect(p, "(");
    while (p->status == IL_OK && !il__chat_at_sign(p, ")")) {
        il_chat_node *n;

        if (first != NULL && !il__chat_expect(p, ",")) {
            break;
        }
        n = il__chat_any_name(p, IL_CHAT_NAME);
        if (n != NULL && il__chat_take_sign(p, "=")) {
            n->b = il__chat_expression(p);
        } else if (n != NULL && last != NULL && last->b != NULL) {
            return il__chat_refuse(p, n->line, "no default of the parameter", n->text,
                                   n->size);
        }
        append(&first, &last, n);
    }
    return il__chat_expect(p, ")") ? first : NULL;
}
