/* Running a chat template. Text carries for each byte the turn whose content it is, so
 * that what was written can be told apart by role. */
#include "formats/chat_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "formats/tokenizer_unicode.h"

typedef enum kind { UNDEFINED, NONE, FLAG, NUMBER, TEXT, TURNS, TURN, LIST, LOOP } kind;

typedef struct value {
    kind kind;
    int64_t number; /* FLAG, NUMBER; TURNS, LIST: how many; TURN: which */
    int64_t first;  /* TURNS */
    const char *text;
    const int32_t *turns; /* of TEXT; NULL: no turn's */
    size_t size;
    const struct value *list;
} value;

typedef struct variable {
    const char *name;
    size_t size;
    value value;
} variable;

enum { VARIABLES = 64, STEPS_MAX = 10 * 1000 * 1000, OUT_MAX = 1 << 28 };

typedef struct run {
    const il_chat *chat;
    const il_turn *turns;
    size_t count;
    bool prompt;
    il_chat_text *out;
    il_arena *arena;
    variable variables[VARIABLES];
    size_t variable_count;
    size_t scope; /* the first variable of the innermost loop */
    int64_t loop_at, loop_count;
    bool looping;
    int64_t steps;
    il_error *err;
    il_status status;
} run;

static const value undefined = {.kind = UNDEFINED};

static value fail(run *r, const il_chat_node *n, il_status code, const char *what)
{
    if (r->status == IL_OK) {
        r->status = il_error_set(r->err, code, r->chat->where,
                                 "chat template, line %d: %s", n->line, what);
    }
    return undefined;
}

static value flag(bool x)
{
    return (value){.kind = FLAG, .number = x};
}

static value number(int64_t x)
{
    return (value){.kind = NUMBER, .number = x};
}

static value plain(const char *text, size_t size)
{
    return (value){.kind = TEXT, .text = text, .size = size};
}

static bool truth(const value *v)
{
    switch (v->kind) {
    case UNDEFINED:
    case NONE:
        return false;
    case TEXT:
        return v->size > 0;
    case TURN:
    case LOOP:
        return true;
    default:
        return v->number != 0;
    }
}

static bool is_text(const value *v, const char *text)
{
    return v->kind == TEXT && v->size == strlen(text) &&
           memcmp(v->text, text, v->size) == 0;
}

/* ---- text ----------------------------------------------------------------------- */

/* Text of `size` bytes to be filled, with room for their turns. */
static value fresh(run *r, const il_chat_node *n, size_t size, char **text,
                   int32_t **turns)
{
    *text = il_arena_alloc(r->arena, size + 1);
    *turns = il_arena_alloc(r->arena, (size + 1) * sizeof **turns);
    if (*text == NULL || *turns == NULL) {
        return fail(r, n, IL_ERR_MEMORY, "out of memory");
    }
    return (value){.kind = TEXT, .text = *text, .turns = *turns, .size = size};
}

static void fill(char *text, int32_t *turns, const value *from)
{
    if (from->size > 0) { /* an empty one may have no text */
        memcpy(text, from->text, from->size);
    }
    for (size_t i = 0; i < from->size; i++) {
        turns[i] = from->turns != NULL ? from->turns[i] : -1;
    }
}

static value part(const value *v, size_t first, size_t last)
{
    value out = *v;

    out.text += first;
    out.turns = out.turns != NULL ? out.turns + first : NULL;
    out.size = last - first;
    return out;
}

static value as_text(run *r, const il_chat_node *n, const value *v)
{
    char digits[32];
    char *copy;

    switch (v->kind) {
    case TEXT:
        return *v;
    case UNDEFINED:
        return plain("", 0);
    case NONE:
        return plain("None", 4);
    case FLAG:
        return v->number ? plain("True", 4) : plain("False", 5);
    case NUMBER:
        (void)snprintf(digits, sizeof digits, "%lld", (long long)v->number);
        copy = il_arena_strdup(r->arena, digits);
        return copy != NULL ? plain(copy, strlen(copy))
                            : fail(r, n, IL_ERR_MEMORY, "out of memory");
    default:
        return fail(r, n, IL_ERR_UNSUPPORTED,
                    "a message or a list as text is not supported");
    }
}

static value concatenate(run *r, const il_chat_node *n, const value *a, const value *b)
{
    char *text;
    int32_t *turns;
    value out = fresh(r, n, a->size + b->size, &text, &turns);

    if (out.kind == TEXT) {
        fill(text, turns, a);
        fill(text + a->size, turns + a->size, b);
    }
    return out;
}

/* Whether a character is one that strip takes off: one of a set, or white space as
 * Python has it. */
static bool stripped(const value *set, const char *at, size_t size)
{
    uint32_t code;

    if (set->kind == TEXT) {
        for (size_t i = 0; i < set->size; i += il__utf8_length(set->text[i])) {
            if (set->size - i >= size && memcmp(set->text + i, at, size) == 0) {
                return true;
            }
        }
        return false;
    }
    (void)il__utf8_next(at, size, &code);
    return il__is_space(code) || (code >= 0x1c && code <= 0x1f);
}

static value strip(const value *v, const value *set, bool left, bool right)
{
    size_t first = 0;
    size_t last = v->size;

    while (left && first < last) {
        size_t n = il__utf8_length(v->text[first]);

        if (n > last - first || !stripped(set, v->text + first, n)) {
            break;
        }
        first += n;
    }
    while (right && last > first) {
        size_t at = last - 1;

        while (at > first && ((unsigned char)v->text[at] & 0xc0) == 0x80) {
            at--;
        }
        if (!stripped(set, v->text + at, last - at)) {
            break;
        }
        last = at;
    }
    return part(v, first, last);
}

/* The first place of `b` in `a` from `from` on, or SIZE_MAX. */
static size_t find(const value *a, const value *b, size_t from)
{
    for (size_t i = from; b->size <= a->size && i <= a->size - b->size; i++) {
        if (memcmp(a->text + i, b->text, b->size) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

static value split(run *r, const il_chat_node *n, const value *v, const value *by)
{
    size_t count = 1;
    size_t at = 0;
    value *list;
    value out = {.kind = LIST};

    if (by->size == 0) {
        return fail(r, n, IL_ERR_INPUT, "split: an empty separator");
    }
    for (size_t i = find(v, by, 0); i != SIZE_MAX; i = find(v, by, i + by->size)) {
        count++;
    }
    list = il_arena_calloc(r->arena, count, sizeof *list);
    if (list == NULL) {
        return fail(r, n, IL_ERR_MEMORY, "out of memory");
    }
    for (size_t k = 0; k < count; k++) {
        size_t end = find(v, by, at);

        end = end == SIZE_MAX ? v->size : end;
        list[k] = part(v, at, end);
        at = end + by->size;
    }
    out.list = list;
    out.number = (int64_t)count;
    return out;
}

static value replace(run *r, const il_chat_node *n, const value *v, const value *from,
                     const value *to)
{
    value pieces = split(r, n, v, from);
    value out = plain("", 0);

    for (int64_t k = 0; r->status == IL_OK && k < pieces.number; k++) {
        if (k > 0) {
            out = concatenate(r, n, &out, to);
        }
        if (r->status == IL_OK) {
            out = concatenate(r, n, &out, &pieces.list[k]);
        }
    }
    return out;
}

static value cased(run *r, const il_chat_node *n, const value *v, bool upper)
{
    char *text;
    int32_t *turns;
    value out = fresh(r, n, v->size, &text, &turns);

    if (out.kind != TEXT) {
        return out;
    }
    fill(text, turns, v);
    for (size_t i = 0; i < v->size; i++) {
        char c = text[i];

        if ((unsigned char)c >= 0x80) {
            return fail(r, n, IL_ERR_UNSUPPORTED, "upper and lower are for ASCII");
        }
        text[i] = upper && c >= 'a' && c <= 'z'    ? (char)(c - 32)
                  : !upper && c >= 'A' && c <= 'Z' ? (char)(c + 32)
                                                   : c;
    }
    return out;
}

/* ---- expressions ---------------------------------------------------------------- */

static value eval(run *r, const il_chat_node *n);

static value lookup(run *r, const il_chat_node *n)
{
    value name = plain(n->text, n->size);

    for (size_t i = r->variable_count; i > 0; i--) {
        const variable *v = &r->variables[i - 1];

        if (v->size == n->size && memcmp(v->name, n->text, n->size) == 0) {
            return v->value;
        }
    }
    if (is_text(&name, "messages")) {
        return (value){.kind = TURNS, .number = (int64_t)r->count};
    }
    if (is_text(&name, "loop") && r->looping) {
        return (value){.kind = LOOP};
    }
    if (is_text(&name, "bos_token")) {
        return plain(r->chat->bos, strlen(r->chat->bos));
    }
    if (is_text(&name, "eos_token")) {
        return plain(r->chat->eos, strlen(r->chat->eos));
    }
    if (is_text(&name, "add_generation_prompt")) {
        return flag(r->prompt);
    }
    if (is_text(&name, "tools") || is_text(&name, "documents")) {
        return (value){.kind = NONE};
    }
    return undefined;
}

static value turn_member(run *r, const il_chat_node *n, int64_t which, const value *key)
{
    const il_turn *t = &r->turns[which];
    char *text;
    int32_t *turns;
    value out;

    if (is_text(key, "role")) {
        return plain(t->role, t->role_size);
    }
    if (!is_text(key, "content")) {
        return undefined;
    }
    out = fresh(r, n, t->content_size, &text, &turns);
    if (out.kind == TEXT) {
        memcpy(text, t->content, t->content_size);
        for (size_t i = 0; i < t->content_size; i++) {
            turns[i] = (int32_t)which;
        }
    }
    return out;
}

static value member(run *r, const il_chat_node *n, const value *of, const value *key)
{
    if (of->kind == TURN) {
        return turn_member(r, n, of->number, key);
    }
    if (of->kind == LOOP) {
        return is_text(key, "first")    ? flag(r->loop_at == 0)
               : is_text(key, "last")   ? flag(r->loop_at + 1 == r->loop_count)
               : is_text(key, "index")  ? number(r->loop_at + 1)
               : is_text(key, "index0") ? number(r->loop_at)
               : is_text(key, "length")
                   ? number(r->loop_count)
                   : fail(r, n, IL_ERR_UNSUPPORTED,
                          "loop has first, last, index, index0 and "
                          "length");
    }
    return fail(r, n, IL_ERR_INPUT, "only messages and loop have members");
}

/* The i-th of a list, counted from its end where i is negative. */
static value item(run *r, const il_chat_node *n, const value *of, int64_t i)
{
    i = i < 0 ? i + of->number : i;
    if (i < 0 || i >= of->number) {
        return fail(r, n, IL_ERR_INPUT, "the list has no such entry");
    }
    if (of->kind == TURNS) {
        return (value){.kind = TURN, .number = of->first + i};
    }
    return of->list[i];
}

static value slice(run *r, const il_chat_node *n, value of, const il_chat_node *from,
                   const il_chat_node *to)
{
    value a = from != NULL ? eval(r, from) : number(0);
    value b = to != NULL ? eval(r, to) : number(of.number);

    if ((of.kind != TURNS && of.kind != LIST) || a.kind != NUMBER || b.kind != NUMBER) {
        return fail(r, n, IL_ERR_UNSUPPORTED, "slices are of lists, by whole numbers");
    }
    a.number += a.number < 0 ? of.number : 0;
    b.number += b.number < 0 ? of.number : 0;
    a.number = a.number < 0 ? 0 : a.number > of.number ? of.number : a.number;
    b.number = b.number < a.number    ? a.number
               : b.number > of.number ? of.number
                                      : b.number;
    of.first += of.kind == TURNS ? a.number : 0;
    of.list += of.kind == LIST ? a.number : 0;
    of.number = b.number - a.number;
    return of;
}

static bool equal(const value *a, const value *b)
{
    if (a->kind == TEXT || b->kind == TEXT) {
        return a->kind == b->kind && a->size == b->size &&
               memcmp(a->text, b->text, a->size) == 0;
    }
    if ((a->kind == NUMBER || a->kind == FLAG) &&
        (b->kind == NUMBER || b->kind == FLAG)) {
        return a->number == b->number;
    }
    return a->kind == b->kind && a->number == b->number && a->first == b->first;
}

static value contained(run *r, const il_chat_node *n, const value *a, const value *b)
{
    if (a->kind == TEXT && b->kind == TEXT) {
        return flag(find(b, a, 0) != SIZE_MAX);
    }
    if (b->kind == TURN) {
        return flag(is_text(a, "role") || is_text(a, "content"));
    }
    if (b->kind == LIST) {
        for (int64_t i = 0; i < b->number; i++) {
            if (equal(a, &b->list[i])) {
                return flag(true);
            }
        }
        return flag(false);
    }
    return fail(r, n, IL_ERR_UNSUPPORTED, "`in` is for text, lists and messages");
}

static value test(const il_chat_node *n, const value *v)
{
    value name = plain(n->text, n->size);

    return flag(is_text(&name, "defined")     ? v->kind != UNDEFINED
                : is_text(&name, "undefined") ? v->kind == UNDEFINED
                : is_text(&name, "none")      ? v->kind == NONE
                : is_text(&name, "string")    ? v->kind == TEXT
                : is_text(&name, "mapping")   ? v->kind == TURN
                : is_text(&name, "true")      ? v->kind == FLAG && v->number == 1
                                              : v->kind == FLAG && v->number == 0);
}

static int64_t characters(const value *v)
{
    int64_t n = 0;

    for (size_t i = 0; i < v->size; i++) {
        n += ((unsigned char)v->text[i] & 0xc0) != 0x80;
    }
    return n;
}

static value call(run *r, const il_chat_node *n)
{
    value name = plain(n->text, n->size);
    value v = eval(r, n->a);
    value b = n->b != NULL ? eval(r, n->b) : undefined;
    value c = n->c != NULL ? eval(r, n->c) : undefined;
    bool list = v.kind == TURNS || v.kind == LIST;

    if (r->status != IL_OK) {
        return undefined;
    }
    if (is_text(&name, "length") || is_text(&name, "count")) {
        return list             ? number(v.number)
               : v.kind == TEXT ? number(characters(&v))
                                : fail(r, n, IL_ERR_INPUT, "length: of text or a list");
    }
    if (is_text(&name, "first") || is_text(&name, "last")) {
        return list ? item(r, n, &v, n->text[0] == 'f' ? 0 : -1)
                    : fail(r, n, IL_ERR_INPUT, "first and last: of a list");
    }
    if (v.kind != TEXT || (n->b != NULL && b.kind != TEXT) ||
        (n->c != NULL && c.kind != TEXT)) {
        return fail(r, n, IL_ERR_INPUT, "expected text");
    }
    if (is_text(&name, "split")) {
        return split(r, n, &v, &b);
    }
    if (is_text(&name, "replace")) {
        return replace(r, n, &v, &b, &c);
    }
    if (is_text(&name, "upper") || is_text(&name, "lower")) {
        return cased(r, n, &v, n->text[0] == 'u');
    }
    if (is_text(&name, "startswith")) {
        return flag(b.size <= v.size && memcmp(v.text, b.text, b.size) == 0);
    }
    if (is_text(&name, "endswith")) {
        return flag(b.size <= v.size &&
                    memcmp(v.text + v.size - b.size, b.text, b.size) == 0);
    }
    return strip(&v, &b, !is_text(&name, "rstrip"), !is_text(&name, "lstrip"));
}

static value arithmetic(run *r, const il_chat_node *n, const value *a, const value *b)
{
    if (n->kind == IL_CHAT_ADD && a->kind == TEXT && b->kind == TEXT) {
        return concatenate(r, n, a, b);
    }
    if (a->kind != NUMBER || b->kind != NUMBER) {
        return fail(r, n, IL_ERR_INPUT, "these two cannot be put together so");
    }
    switch (n->kind) {
    case IL_CHAT_ADD:
        return number(a->number + b->number);
    case IL_CHAT_SUBTRACT:
        return number(a->number - b->number);
    case IL_CHAT_MODULO:
        return b->number > 0
                   ? number(((a->number % b->number) + b->number) % b->number)
                   : fail(r, n, IL_ERR_UNSUPPORTED, "% by what is not above 0");
    case IL_CHAT_LESS:
        return flag(a->number < b->number);
    case IL_CHAT_GREATER:
        return flag(a->number > b->number);
    case IL_CHAT_AT_MOST:
        return flag(a->number <= b->number);
    default:
        return flag(a->number >= b->number);
    }
}

static value pair(run *r, const il_chat_node *n)
{
    value a = eval(r, n->a);
    value b = eval(r, n->b);

    if (r->status != IL_OK) {
        return undefined;
    }
    switch (n->kind) {
    case IL_CHAT_EQUAL:
        return flag(equal(&a, &b));
    case IL_CHAT_UNEQUAL:
        return flag(!equal(&a, &b));
    case IL_CHAT_IN:
        return contained(r, n, &a, &b);
    case IL_CHAT_JOIN:
        a = as_text(r, n, &a);
        b = as_text(r, n, &b);
        return r->status == IL_OK ? concatenate(r, n, &a, &b) : undefined;
    case IL_CHAT_INDEX:
        return (a.kind == TURNS || a.kind == LIST) && b.kind == NUMBER
                   ? item(r, n, &a, b.number)
                   : member(r, n, &a, &b);
    default:
        return arithmetic(r, n, &a, &b);
    }
}

static value eval(run *r, const il_chat_node *n)
{
    value v;
    value key;

    if (r->status != IL_OK || n == NULL) {
        return undefined;
    }
    if (++r->steps > STEPS_MAX) {
        return fail(r, n, IL_ERR_INPUT, "too many steps");
    }
    switch (n->kind) {
    case IL_CHAT_NAME:
        return lookup(r, n);
    case IL_CHAT_STRING:
        return plain(n->text, n->size);
    case IL_CHAT_NUMBER:
        return number(n->number);
    case IL_CHAT_CONSTANT:
        return n->number == 2 ? (value){.kind = NONE} : flag(n->number == 1);
    case IL_CHAT_OR:
        v = eval(r, n->a);
        return truth(&v) ? v : eval(r, n->b);
    case IL_CHAT_AND:
        v = eval(r, n->a);
        return truth(&v) ? eval(r, n->b) : v;
    case IL_CHAT_NOT:
        v = eval(r, n->a);
        return flag(!truth(&v));
    case IL_CHAT_CHOOSE:
        v = eval(r, n->b);
        return truth(&v) ? eval(r, n->a) : eval(r, n->c);
    case IL_CHAT_NEGATE:
        v = eval(r, n->a);
        return v.kind == NUMBER ? number(-v.number)
                                : fail(r, n, IL_ERR_INPUT, "- of what is no number");
    case IL_CHAT_MEMBER:
        v = eval(r, n->a);
        key = plain(n->text, n->size);
        return r->status == IL_OK ? member(r, n, &v, &key) : undefined;
    case IL_CHAT_SLICE:
        v = eval(r, n->a);
        return r->status == IL_OK ? slice(r, n, v, n->b, n->c) : undefined;
    case IL_CHAT_TEST:
        v = eval(r, n->a);
        return test(n, &v);
    case IL_CHAT_CALL:
        return call(r, n);
    case IL_CHAT_RAISE:
        v = eval(r, n->a);
        v = as_text(r, n, &v);
        if (r->status == IL_OK) {
            r->status = il_error_set(r->err, IL_ERR_INPUT, r->chat->where,
                                     "chat template, line %d, refuses: %.*s", n->line,
                                     (int)(v.size < 400 ? v.size : 400), v.text);
        }
        return undefined;
    default:
        return pair(r, n);
    }
}

/* ---- statements ----------------------------------------------------------------- */

static void put(run *r, const il_chat_node *n, const value *v)
{
    il_chat_text *o = r->out;

    if (o->size + v->size > o->room) {
        size_t room = (o->size + v->size) * 2 + 64;
        char *data = room > OUT_MAX ? NULL : realloc(o->data, room);
        int32_t *turns = NULL;

        if (data != NULL) {
            o->data = data;
            turns = realloc(o->turns, room * sizeof *turns);
        }
        if (turns == NULL) {
            (void)fail(r, n, IL_ERR_MEMORY, "out of memory");
            return;
        }
        o->turns = turns;
        o->room = room;
    }
    fill(o->data + o->size, o->turns + o->size, v);
    o->size += v->size;
}

static void set(run *r, const il_chat_node *n, value v)
{
    for (size_t i = r->variable_count; i > r->scope; i--) {
        variable *old = &r->variables[i - 1];

        if (old->size == n->size && memcmp(old->name, n->text, n->size) == 0) {
            old->value = v;
            return;
        }
    }
    if (r->variable_count == VARIABLES) {
        (void)fail(r, n, IL_ERR_UNSUPPORTED, "too many variables");
        return;
    }
    r->variables[r->variable_count++] = (variable){n->text, n->size, v};
}

static void statements(run *r, const il_chat_node *n);

static void loop(run *r, const il_chat_node *n)
{
    value list = eval(r, n->a);
    size_t scope = r->scope;
    size_t count = r->variable_count;
    int64_t at = r->loop_at;
    int64_t length = r->loop_count;
    bool looping = r->looping;

    if (r->status == IL_OK && list.kind != TURNS && list.kind != LIST) {
        (void)fail(r, n, IL_ERR_UNSUPPORTED, "for: expected messages or a list");
    }
    for (int64_t i = 0; r->status == IL_OK && i < list.number; i++) {
        r->scope = r->variable_count = count;
        r->loop_at = i;
        r->loop_count = list.number;
        r->looping = true;
        set(r, n, item(r, n, &list, i));
        statements(r, n->b);
    }
    r->scope = scope;
    r->variable_count = count;
    r->loop_at = at;
    r->loop_count = length;
    r->looping = looping;
}

static void statements(run *r, const il_chat_node *n)
{
    for (; n != NULL && r->status == IL_OK; n = n->next) {
        value v;

        switch (n->kind) {
        case IL_CHAT_TEXT:
            v = plain(n->text, n->size);
            put(r, n, &v);
            break;
        case IL_CHAT_PRINT:
            v = eval(r, n->a);
            v = as_text(r, n, &v);
            if (r->status == IL_OK) {
                put(r, n, &v);
            }
            break;
        case IL_CHAT_IF:
            v = eval(r, n->a);
            statements(r, truth(&v) ? n->b : n->c);
            break;
        case IL_CHAT_FOR:
            loop(r, n);
            break;
        case IL_CHAT_SET:
            v = eval(r, n->a);
            set(r, n, v);
            break;
        default:
            statements(r, n->b);
        }
    }
}

il_status il_chat_render(const il_chat *chat, const il_turn *turns, size_t count,
                         bool prompt, il_chat_text *out, il_error *err)
{
    run r = {.chat = chat,
             .turns = turns,
             .count = count,
             .prompt = prompt,
             .out = out,
             .arena = il_arena_create(1 << 14),
             .err = err};

    if (r.arena == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, chat->where, "out of memory");
    }
    out->size = 0;
    statements(&r, chat->root);
    il_arena_destroy(r.arena);
    return r.status;
}

void il_chat_text_free(il_chat_text *text)
{
    free(text->data);
    free(text->turns);
    memset(text, 0, sizeof *text);
}
