/* Reading a chat template: its statements. Blocks that are no part of a conversation's
 * text (include, import, extends) are refused by name. */
#include <stdlib.h>
#include <string.h>
#include "formats/chat_private.h"
#include "formats/tokenizer_unicode.h"

enum { SOURCE_MAX = 1 << 20 };

/* Statements up to a block with one of these names, which is taken, its closing left;
 * *end is which. */
static il_chat_node *body(il_chat_parser *p, const char *const *ends, int *end);

/* Takes the closing of the tag that is read. */
static void done(il_chat_parser *p)
{
    if (p->status == IL_OK && il__chat_here(p)->word != IL_CHAT_WORD_CLOSE) {
        (void)il__chat_unexpected(p, "the tag's end");
    }
    p->at += p->status == IL_OK;
}

/* The body of a block that ends with one name, with its closing. */
static il_chat_node *whole(il_chat_parser *p, const char *name)
{
    const char *ends[] = {name, NULL};
    il_chat_node *out;
    int end;

    done(p);
    out = body(p, ends, &end);
    done(p);
    return out;
}

static il_chat_node *conditional(il_chat_parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    il_chat_node *first = il__chat_node_new(p, IL_CHAT_IF);
    il_chat_node *n = first;
    int end = 0;

    while (n != NULL) {
        n->a = il__chat_tuple(p, false);
        done(p);
        n->list = body(p, ends, &end);
        if (end != 0 || p->status != IL_OK) {
            break;
        }
        n->d = il__chat_node_new(p, IL_CHAT_IF);
        n = n->d;
        if (n != NULL) {
            n->number = 1;
        }
    }
    if (end == 1 && n != NULL) {
        n->d = whole(p, "endif");
    } else {
        done(p);
    }
    return first;
}

static il_chat_node *loop(il_chat_parser *p)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    il_chat_node *n = il__chat_node_new(p, IL_CHAT_FOR);
    int end = 0;

    if (n == NULL) {
        return NULL;
    }
    n->a = il__chat_targets(p, false);
    if (!il__chat_take_name(p, "in")) {
        return il__chat_unexpected(p, "in");
    }
    n->b = il__chat_tuple(p, false);
    if (il__chat_take_name(p, "if")) {
        n->c = il__chat_expression(p);
    }
    if (il__chat_take_name(p, "recursive")) {
        return il__chat_refuse(p, n->line, "a loop that is", "recursive", 9);
    }
    done(p);
    p->loops++;
    n->list = body(p, ends, &end);
    p->loops--;
    if (end == 1) {
        n->d = whole(p, "endfor");
    } else {
        done(p);
    }
    return n;
}

static il_chat_node *assignment(il_chat_parser *p)
{
    il_chat_node *n = il__chat_node_new(p, IL_CHAT_SET);

    if (n == NULL) {
        return NULL;
    }
    n->a = il__chat_targets(p, true);
    if (il__chat_take_sign(p, "=")) {
        n->b = il__chat_tuple(p, true);
        done(p);
        return n;
    }
    n->kind = IL_CHAT_CAPTURE;
    if (il__chat_at_sign(p, "|")) {
        n->b = il__chat_filters(p, il__chat_node_new(p, IL_CHAT_CAPTURED));
    }
    n->list = whole(p, "endset");
    return n;
}

/* A body that runs elsewhere: of a macro, or handed to one. */
static il_chat_node *apart(il_chat_parser *p, il_chat_node *n, const char *name)
{
    il_chat_node *macro = p->macro;
    int loops = p->loops;

    p->macro = n;
    p->loops = 0;
    n->list = whole(p, name);
    p->macro = macro;
    p->loops = loops;
    return n;
}

static il_chat_node *macro(il_chat_parser *p)
{
    il_chat_node *n = il__chat_any_name(p, IL_CHAT_MACRO);

    if (n == NULL) {
        return NULL;
    }
    n->a = il__chat_parameters(p);
    return apart(p, n, "endmacro");
}

static il_chat_node *called(il_chat_parser *p)
{
    il_chat_node *n = il__chat_node_new(p, IL_CHAT_CALLED);

    if (n == NULL) {
        return NULL;
    }
    n->a = il__chat_at_sign(p, "(") ? il__chat_parameters(p) : NULL;
    n->b = il__chat_expression(p);
    if (n->b == NULL || n->b->kind != IL_CHAT_CALL) {
        return il__chat_unexpected(p, "a call");
    }
    return apart(p, n, "endcall");
}

static il_chat_node *with(il_chat_parser *p)
{
    il_chat_node *n = il__chat_node_new(p, IL_CHAT_WITH);
    il_chat_node **at = n != NULL ? &n->a : NULL;

    while (n != NULL && p->status == IL_OK &&
           il__chat_here(p)->word != IL_CHAT_WORD_CLOSE) {
        il_chat_node *set;

        if (n->a != NULL && !il__chat_expect(p, ",")) {
            return NULL;
        }
        set = il__chat_node_new(p, IL_CHAT_SET);
        if (set == NULL) {
            return NULL;
        }
        set->a = il__chat_targets(p, false);
        (void)il__chat_expect(p, "=");
        set->b = il__chat_expression(p);
        *at = set;
        at = &set->next;
    }
    if (n != NULL) {
        n->list = whole(p, "endwith");
    }
    return n;
}

/* A block, whose name is next. */
static il_chat_node *block(il_chat_parser *p)
{
    const il_chat_token *t = il__chat_here(p);
    bool out = il__chat_take_name(p, "break");
    il_chat_node *n;

    if (out || il__chat_take_name(p, "continue")) {
        if (p->loops == 0) {
            return il__chat_refuse(p, t->line, "outside of a loop,", t->text, t->size);
        }
        n = il__chat_node_new(p, out ? IL_CHAT_BREAK : IL_CHAT_CONTINUE);
        done(p);
        return n;
    }
    if (il__chat_take_name(p, "if")) {
        return conditional(p);
    }
    if (il__chat_take_name(p, "for")) {
        return loop(p);
    }
    if (il__chat_take_name(p, "set")) {
        return assignment(p);
    }
    if (il__chat_take_name(p, "macro")) {
        return macro(p);
    }
    if (il__chat_take_name(p, "call")) {
        return called(p);
    }
    if (il__chat_take_name(p, "with")) {
        return with(p);
    }
    if (il__chat_take_name(p, "filter")) {
        n = il__chat_node_new(p, IL_CHAT_FILTERED);
        if (n != NULL) {
            n->b = il__chat_filters(
                p, il__chat_filter(p, il__chat_node_new(p, IL_CHAT_CAPTURED)));
            n->list = whole(p, "endfilter");
        }
        return n;
    }
    if (il__chat_take_name(p, "generation")) {
        n = il__chat_node_new(p, IL_CHAT_SCOPE);
        if (n != NULL) {
            n->list = whole(p, "endgeneration");
        }
        return n;
    }
    return t->word == IL_CHAT_WORD_NAME
               ? il__chat_refuse(p, t->line, "the block", t->text, t->size)
               : il__chat_unexpected(p, "a block's name");
}

static il_chat_node *statement(il_chat_parser *p)
{
    const il_chat_token *t = il__chat_here(p);
    il_chat_node *n;

    if (t->word == IL_CHAT_WORD_BLOCK) {
        p->at++;
        return block(p);
    }
    n = il__chat_node_new(p,
                          t->word == IL_CHAT_WORD_DATA ? IL_CHAT_TEXT : IL_CHAT_PRINT);
    if (n == NULL) {
        return NULL;
    }
    p->at++;
    if (n->kind == IL_CHAT_TEXT) {
        n->text = t->text;
        n->size = t->size;
    } else {
        n->a = il__chat_tuple(p, true);
        done(p);
    }
    return n;
}

static il_chat_node *body(il_chat_parser *p, const char *const *ends, int *end)
{
    il_chat_node *first = NULL;
    il_chat_node **at = &first;

    if (++p->depth > IL_CHAT_DEPTH) {
        return il__chat_refuse(p, il__chat_here(p)->line, "nested too deep", "", 0);
    }
    while (p->status == IL_OK && il__chat_here(p)->word != IL_CHAT_WORD_END) {
        il_chat_node *n;

        if (il__chat_here(p)->word == IL_CHAT_WORD_BLOCK) {
            p->at++;
            for (int k = 0; ends[k] != NULL; k++) {
                if (il__chat_take_name(p, ends[k])) {
                    *end = k;
                    p->depth--;
                    return first;
                }
            }
            p->at--;
        }
        n = statement(p);
        if (n != NULL) {
            *at = n;
            at = &n->next;
        }
    }
    if (p->status == IL_OK && ends[0] != NULL) {
        size_t last = 0;

        while (ends[last + 1] != NULL) {
            last++;
        }
        last = strncmp(ends[0], "end", 3) == 0 ? 0 : last;
        (void)il__chat_refuse(p, il__chat_here(p)->line, "the template ends without",
                              ends[last], strlen(ends[last]));
    }
    p->depth--;
    return first;
}

/* Copies a source with its line ends as \n, less one at its end; its size. */
static size_t copy_lines(char *to, const char *source, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        if (source[i] == '\r') {
            to[n++] = '\n';
            i += i + 1 < size && source[i + 1] == '\n';
        } else {
            to[n++] = source[i];
        }
    }
    n -= n > 0 && to[n - 1] == '\n';
    to[n] = '\0';
    return n;
}

il_status il_chat_name(il_chat *chat, const char *name, const char *text, il_error *err)
{
    il_chat_constant *c = il_arena_calloc(chat->arena, 1, sizeof *c);

    if (c != NULL) {
        c->name = il_arena_strdup(chat->arena, name);
        c->text = il_arena_strdup(chat->arena, text);
    }
    if (c == NULL || c->name == NULL || c->text == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, chat->where, "out of memory");
    }
    c->next = chat->constants;
    chat->constants = c;
    return IL_OK;
}

static il_status fill(il_chat *chat, const char *source, size_t size, const char *where,
                      il_error *err)
{
    static const char *const none[] = {NULL};
    il_chat_parser p = {.chat = chat, .err = err};
    char *own = il_arena_alloc(chat->arena, size + 1);
    char *lines = il_arena_alloc(chat->arena, size + 1);
    int end = 0;

    chat->where = il_arena_strdup(chat->arena, where);
    if (own == NULL || lines == NULL || chat->where == NULL) {
        chat->where = where;
        return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    memcpy(own, source, size);
    own[size] = '\0';
    chat->source = own;
    size = copy_lines(lines, source, size);
    il__chat_lex(&p, lines, size);
    if (p.status == IL_OK) {
        chat->root = body(&p, none, &end);
    }
    free(p.tokens);
    return p.status;
}

il_status il_chat_parse(il_chat **out, const char *source, size_t size,
                        const char *where, const char *bos, const char *eos,
                        il_error *err)
{
    il_arena *arena;
    il_chat *chat;
    il_status status;

    if (size > SOURCE_MAX) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, where, "too long a chat template");
    }
    if (il__utf8_whole(source, size) != size) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "a chat template that is no UTF-8");
    }
    arena = il_arena_create(1 << 14);
    chat = arena != NULL ? il_arena_calloc(arena, 1, sizeof *chat) : NULL;
    if (chat == NULL) {
        il_arena_destroy(arena);
        return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    chat->arena = arena;
    status = fill(chat, source, size, where, err);
    if (status == IL_OK && bos != NULL) {
        status = il_chat_name(chat, "bos_token", bos, err);
    }
    if (status == IL_OK && eos != NULL) {
        status = il_chat_name(chat, "eos_token", eos, err);
    }
    if (status != IL_OK) {
        il_arena_destroy(arena);
        return status;
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
