/* Running a chat template: its statements, and what it is given. */
#include <stdlib.h>
#include "formats/chat_run.h"
#include "formats/tokenizer_unicode.h"

enum { LEFT = 64 << 20, LEFT_EACH = 64, INPUT_MAX = 1 << 30 };

static void statements(il_chat_run *r, const il_chat_node *n);
static void apart(il_chat_run *r, const il_chat_node *n, const il_chat_node *sets);

/* What a body writes, as a value. */
static il_chat_value written(il_chat_run *r, const il_chat_node *n)
{
    il_chat_text own = {0};
    il_chat_text *out = r->out;

    r->out = &own;
    statements(r, n);
    r->out = out;
    return il__chat_take(r, &own);
}

/* ---- setting -------------------------------------------------------------------- */

/* Sets names, or several to as many entries. */
static void assign(il_chat_run *r, const il_chat_node *to, const il_chat_value *v)
{
    il_chat_value list;
    const il_chat_value *space;
    size_t i = 0;

    if (r->status != IL_OK) {
        return;
    }
    if (to->kind == IL_CHAT_NAME) {
        il__chat_set(r, r->scope, to->text, to->size, *v);
        return;
    }
    if (to->kind == IL_CHAT_MEMBER) {
        space = il__chat_get(r->scope, to->a->text, to->a->size);
        if (space == NULL || space->is != IL_CHAT_IS_NAMESPACE || to->text[0] == '_') {
            (void)il__chat_fail(r, IL_ERR_INPUT, "set '%.*s.%.*s': no namespace",
                                (int)(to->a->size < 48 ? to->a->size : 48), to->a->text,
                                (int)(to->size < 48 ? to->size : 48), to->text);
            return;
        }
        il__chat_set(r, space->object, to->text, to->size, *v);
        return;
    }
    list = il__chat_list(r, v);
    for (const il_chat_node *n = to->list; n != NULL && r->status == IL_OK;
         n = n->next, i++) {
        if (i == list.size) {
            break;
        }
        assign(r, n, &list.items[i]);
        if (n->next == NULL && i + 1 == list.size) {
            return;
        }
    }
    (void)il__chat_fail(r, IL_ERR_INPUT, "%zu values for other than as many names",
                        list.size);
}

/* ---- macros --------------------------------------------------------------------- */

/* Parameters that are given, by place or by name, and the defaults of the others. */
static void bind(il_chat_run *r, const il_chat_node *parameters, const il_chat_args *a,
                 bool *used)
{
    size_t i = 0;

    for (const il_chat_node *p = parameters; p != NULL && r->status == IL_OK;
         p = p->next, i++) {
        il_chat_value v = {
            .is = IL_CHAT_IS_UNDEFINED, .text = p->text, .size = p->size};
        bool given = false;

        for (size_t k = 0; k < a->count && !given; k++) {
            given = a->names[k] == NULL
                        ? k == i
                        : a->sizes[k] == p->size &&
                              memcmp(a->names[k], p->text, p->size) == 0;
            if (given) {
                v = a->values[k];
                used[k] = true;
            }
        }
        if (!given && p->b != NULL) {
            v = il__chat_eval(r, p->b);
        }
        il__chat_set(r, r->scope, p->text, p->size, v);
    }
}

/* What no parameter took: `caller`, and all of it where the body asks for it. */
static void bind_rest(il_chat_run *r, const il_chat_macro *m, const il_chat_args *a,
                      const bool *used)
{
    il_chat_value *items;
    il_chat_value *pairs;
    il_chat_value more = il__chat_many(r, IL_CHAT_IS_TUPLE, a->count, &items);
    il_chat_value named = il__chat_many(r, IL_CHAT_IS_DICT, a->count, &pairs);
    int64_t asks = m->node->number;
    bool caller = false;

    more.size = named.size = 0;
    for (size_t k = 0; k < a->count && r->status == IL_OK; k++) {
        const il_chat_value name =
            il__chat_plain(a->names[k], a->names[k] != NULL ? a->sizes[k] : 0);

        if (used[k]) {
            continue;
        }
        if (a->names[k] == NULL && (asks & IL_CHAT_VARARGS) != 0) {
            items[more.size++] = a->values[k];
        } else if (il__chat_is_text(&name, "caller") && (asks & IL_CHAT_CALLER) != 0) {
            caller = true;
            il__chat_set(r, r->scope, "caller", 6, a->values[k]);
        } else if (a->names[k] != NULL && (asks & IL_CHAT_KWARGS) != 0) {
            pairs[2 * named.size] = name;
            pairs[2 * named.size++ + 1] = a->values[k];
        } else {
            (void)il__chat_fail(r, IL_ERR_INPUT,
                                "the macro '%.*s': unexpected argument '%.*s'",
                                (int)(m->node->size < 48 ? m->node->size : 48),
                                m->node->text != NULL ? m->node->text : "caller",
                                (int)name.size, name.size > 0 ? name.text : "");
        }
    }
    if ((asks & IL_CHAT_VARARGS) != 0) {
        il__chat_set(r, r->scope, "varargs", 7, more);
    }
    if ((asks & IL_CHAT_KWARGS) != 0) {
        il__chat_set(r, r->scope, "kwargs", 6, named);
    }
    if ((asks & IL_CHAT_CALLER) != 0 && !caller) {
        il__chat_set(r, r->scope, "caller", 6, il__chat_undefined);
    }
}

il_chat_value il__chat_call_macro(il_chat_run *r, const il_chat_macro *m,
                                  const il_chat_args *a)
{
    il_chat_scope *scope = r->scope;
    il_chat_scope *own = il__chat_alloc(r, 1, sizeof *own);
    bool *used = il__chat_alloc(r, a->count, sizeof *used);
    il_chat_value out = il__chat_undefined;

    if (own != NULL && used != NULL) {
        own->outer = m->scope;
        r->scope = own;
        bind(r, m->node->a, a, used);
        bind_rest(r, m, a, used);
        out = r->status == IL_OK ? written(r, m->node->list) : out;
        r->scope = scope;
    }
    return out;
}

static il_chat_value macro_of(il_chat_run *r, const il_chat_node *n)
{
    il_chat_macro *m = il__chat_alloc(r, 1, sizeof *m);

    if (m != NULL) {
        m->node = n;
        m->scope = r->scope;
    }
    return (il_chat_value){.is = IL_CHAT_IS_MACRO, .object = m};
}

/* ---- loops ---------------------------------------------------------------------- */

/* What is gone through: entries, those of which the condition holds. */
static il_chat_value loop_items(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value what = il__chat_eval(r, n->b);
    il_chat_scope scope = {.outer = r->scope};
    il_chat_value list;
    il_chat_value *items;
    size_t kept = 0;

    r->line = n->line;
    if (r->status != IL_OK) {
        return il__chat_undefined;
    }
    list = il__chat_list(r, &what);
    if (n->c == NULL || r->status != IL_OK) {
        return list;
    }
    what = il__chat_many(r, IL_CHAT_IS_LIST, list.size, &items);
    r->scope = &scope;
    for (size_t i = 0; r->status == IL_OK && i < list.size; i++) {
        il_chat_value holds;

        scope.first = NULL;
        assign(r, n->a, &list.items[i]);
        holds = il__chat_eval(r, n->c);
        if (il__chat_truth(&holds)) {
            items[kept++] = list.items[i];
        }
    }
    r->scope = (il_chat_scope *)(uintptr_t)scope.outer;
    what.size = kept;
    return what;
}

static void loop(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value list = loop_items(r, n);
    il_chat_scope *outer = r->scope;
    il_chat_loop *l = il__chat_alloc(r, 1, sizeof *l);
    il_chat_scope *scope = il__chat_alloc(r, 1, sizeof *scope);
    il_chat_variable *own = NULL; /* what the loop itself sets */
    bool done = false;
    bool left = false;

    if (l == NULL || scope == NULL) {
        return;
    }
    *l = (il_chat_loop){.items = list.items, .count = list.size};
    scope->outer = outer;
    il__chat_set(r, scope, "loop", 4,
                 (il_chat_value){.is = IL_CHAT_IS_LOOP, .object = l});
    for (; r->status == IL_OK && l->at < l->count && il__chat_work(r, 0); l->at++) {
        r->scope = scope;
        assign(r, n->a, &list.items[l->at]);
        own = own == NULL ? scope->first : own;
        scope->first = own; /* less what the round before set */
        statements(r, n->list);
        left = r->flow == IL_CHAT_LEAVE;
        done = done || r->flow == IL_CHAT_GO;
        r->flow = IL_CHAT_GO;
        if (left) {
            break;
        }
    }
    r->scope = outer;
    /* As Jinja compiles it: else is for a loop of which no round came to its end. */
    if (r->status == IL_OK && !done) {
        apart(r, n->d, NULL);
    }
}

/* ---- statements ----------------------------------------------------------------- */

/* Runs a body in names of its own. */
static void apart(il_chat_run *r, const il_chat_node *n, const il_chat_node *sets)
{
    il_chat_scope *outer = r->scope;
    il_chat_scope *own = il__chat_alloc(r, 1, sizeof *own);

    if (own == NULL) {
        return;
    }
    own->outer = outer;
    for (; sets != NULL && r->status == IL_OK; sets = sets->next) {
        il_chat_value v = il__chat_eval(r, sets->b);

        r->scope = own;
        assign(r, sets->a, &v);
        r->scope = outer;
    }
    r->scope = own;
    statements(r, n);
    r->scope = outer;
}

/* A body's text through filters. */
static il_chat_value filtered(il_chat_run *r, const il_chat_node *n)
{
    il_chat_scope *outer = r->scope;
    il_chat_scope *own = il__chat_alloc(r, 1, sizeof *own);
    il_chat_value text;

    if (own == NULL) {
        return il__chat_undefined;
    }
    own->outer = outer;
    r->scope = own;
    text = written(r, n->list);
    if (n->b != NULL && r->status == IL_OK) {
        il__chat_set(r, own, "{", 1, text);
        text = il__chat_eval(r, n->b);
    }
    r->scope = outer;
    return text;
}

static void conditional(il_chat_run *r, const il_chat_node *n)
{
    while (n != NULL && r->status == IL_OK) {
        il_chat_value v = il__chat_eval(r, n->a);

        if (r->status != IL_OK) {
            return;
        }
        if (il__chat_truth(&v)) {
            statements(r, n->list);
            return;
        }
        if (n->d == NULL || n->d->kind != IL_CHAT_IF || n->d->number == 0) {
            statements(r, n->d);
            return;
        }
        n = n->d;
    }
}

static void statement(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value v;

    switch (n->kind) {
    case IL_CHAT_TEXT:
        il__chat_put_bytes(r, r->out, n->text, n->size);
        break;
    case IL_CHAT_PRINT:
        v = il__chat_eval(r, n->a);
        r->line = n->line;
        if (r->status == IL_OK) {
            v = il__chat_text(r, &v);
            il__chat_put(r, r->out, &v);
        }
        break;
    case IL_CHAT_IF:
        conditional(r, n);
        break;
    case IL_CHAT_FOR:
        loop(r, n);
        break;
    case IL_CHAT_SET:
        v = il__chat_eval(r, n->b);
        r->line = n->line;
        assign(r, n->a, &v);
        break;
    case IL_CHAT_CAPTURE:
        v = filtered(r, n);
        assign(r, n->a, &v);
        break;
    case IL_CHAT_FILTERED:
        v = filtered(r, n);
        v = r->status == IL_OK ? il__chat_text(r, &v) : v;
        il__chat_put(r, r->out, &v);
        break;
    case IL_CHAT_MACRO:
        v = macro_of(r, n);
        il__chat_set(r, r->scope, n->text, n->size, v);
        break;
    case IL_CHAT_CALLED:
        v = macro_of(r, n);
        v = il__chat_call_node(r, n->b, &v);
        v = r->status == IL_OK ? il__chat_text(r, &v) : v;
        il__chat_put(r, r->out, &v);
        break;
    case IL_CHAT_BREAK:
    case IL_CHAT_CONTINUE:
        r->flow = n->kind == IL_CHAT_BREAK ? IL_CHAT_LEAVE : IL_CHAT_AGAIN;
        break;
    default:
        apart(r, n->list, n->a);
    }
}

static void statements(il_chat_run *r, const il_chat_node *n)
{
    if (n == NULL) {
        return;
    }
    if (il__chat_enter(r)) {
        for (; n != NULL && r->status == IL_OK && r->flow == IL_CHAT_GO; n = n->next) {
            r->line = n->line;
            statement(r, n);
        }
    }
    r->depth--;
}

/* ---- rendering ------------------------------------------------------------------ */

/* Turns where each byte is from into whose it is, and which of theirs. */
static void find_turns(il_chat_text *out, const int32_t *bases, size_t count)
{
    size_t turn = 0;

    for (size_t i = 0; i < out->size; i++) {
        int32_t from = out->turns[i];

        out->places[i] = -1;
        if (from < 0) {
            continue;
        }
        if (from < bases[turn] || from >= bases[turn + 1]) {
            size_t last = count;

            for (turn = 0; last - turn > 1;) {
                size_t middle = turn + (last - turn) / 2;

                *(from < bases[middle] ? &last : &turn) = middle;
            }
        }
        out->turns[i] = (int32_t)turn;
        out->places[i] = from + 1 < bases[turn + 1] ? from - bases[turn] : -1;
    }
}

/* Runs the template on what is given, which lives in the run's arena. */
static void render(il_chat_run *r, const il_chat_given *given, bool prompt)
{
    il_chat_scope *root = il__chat_alloc(r, 1, sizeof *root);
    int32_t *places;

    if (root == NULL) {
        return;
    }
    r->scope = root;
    r->date = given->date;
    for (const il_chat_constant *c = r->chat->constants; c != NULL; c = c->next) {
        il__chat_set(r, root, c->name, strlen(c->name),
                     il__chat_plain(c->text, strlen(c->text)));
    }
    il__chat_set(r, root, "tools", 5, il__chat_none);
    il__chat_set(r, root, "documents", 9, il__chat_none);
    for (size_t i = 0; i < given->rest.size; i++) {
        const il_chat_value *key = &given->rest.items[2 * i];

        il__chat_set(r, root, key->text, key->size, key[1]);
    }
    il__chat_set(r, root, "messages", 8, given->messages);
    il__chat_set(r, root, "add_generation_prompt", 21, il__chat_flag(prompt));
    statements(r, r->chat->root);
    if (r->status != IL_OK || r->out->size == 0) {
        return;
    }
    places = realloc(r->out->places, r->out->size * sizeof *places);
    if (places == NULL) {
        (void)il__chat_fail(r, IL_ERR_MEMORY, "out of memory");
        return;
    }
    r->out->places = places;
    find_turns(r->out, given->bases, given->count);
}

/* Text of a turn: from `at` on, or from nowhere. */
static il_chat_value turn_text(il_chat_run *r, const char *text, size_t size,
                               int32_t at)
{
    il_chat_value out = il__chat_plain(text, size);
    int32_t *from = at >= 0 && size > 0 ? il__chat_alloc(r, size, sizeof *from) : NULL;

    for (size_t i = 0; from != NULL && i < size; i++) {
        from[i] = at + (int32_t)i;
    }
    if (size == 0 || il__utf8_whole(text, size) != size) {
        out = il__chat_plain("", 0);
        if (size > 0) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "a message that is no UTF-8");
        }
    }
    out.from = from;
    return out;
}

static void give_turns(il_chat_run *r, const il_turn *turns, size_t count,
                       il_chat_given *out)
{
    il_chat_value *items;
    il_chat_value *pair;
    int32_t at = 0;

    out->count = count;
    out->messages = il__chat_many(r, IL_CHAT_IS_LIST, count, &items);
    out->bases = il__chat_alloc(r, count + 1, sizeof *out->bases);
    for (size_t i = 0; r->status == IL_OK && i < count; i++) {
        items[i] = il__chat_many(r, IL_CHAT_IS_DICT, 2, &pair);
        if (r->status != IL_OK) {
            return;
        }
        out->bases[i] = at;
        pair[0] = il__chat_plain("role", 4);
        pair[1] = turn_text(r, turns[i].role, turns[i].role_size, -1);
        pair[2] = il__chat_plain("content", 7);
        pair[3] = turn_text(r, turns[i].content, turns[i].content_size, at);
        at += (int32_t)turns[i].content_size + 1;
    }
    if (r->status == IL_OK) {
        out->bases[count] = at;
    }
}

static il_status begin(il_chat_run *r, const il_chat *chat, size_t size,
                       il_chat_text *out, il_error *err)
{
    *r = (il_chat_run){.chat = chat,
                       .out = out,
                       .arena = il_arena_create(1 << 14),
                       .left = (size_t)LEFT + LEFT_EACH * size,
                       .line = 1,
                       .err = err};
    out->size = 0;
    if (size > INPUT_MAX) {
        il_arena_destroy(r->arena);
        return il_error_set(err, IL_ERR_INPUT, chat->where,
                            "a conversation of more than 1 GiB");
    }
    return r->arena != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, chat->where, "out of memory");
}

il_status il_chat_render(const il_chat *chat, const il_turn *turns, size_t count,
                         bool prompt, il_chat_text *out, il_error *err)
{
    il_chat_run r;
    il_chat_given given = {.count = count};
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        size += turns[i].role_size + turns[i].content_size + 1;
    }
    IL_TRY(begin(&r, chat, size, out, err));
    give_turns(&r, turns, count, &given);
    if (r.status == IL_OK) {
        render(&r, &given, prompt);
    }
    il_arena_destroy(r.arena);
    return r.status;
}

il_status il_chat_render_json(const il_chat *chat, const char *json, size_t size,
                              bool prompt, il_chat_text *out, il_error *err)
{
    il_chat_run r;
    il_chat_given given;

    IL_TRY(begin(&r, chat, size, out, err));
    il__chat_read(&r, json, size, &given);
    if (r.status == IL_OK) {
        render(&r, &given, prompt);
    }
    il_arena_destroy(r.arena);
    return r.status;
}

void il_chat_text_free(il_chat_text *text)
{
    free(text->data);
    free(text->turns);
    free(text->places);
    memset(text, 0, sizeof *text);
}
