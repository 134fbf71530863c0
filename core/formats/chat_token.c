/* Taking a chat template's tokens, and the nodes that they become. */
#include <string.h>
#include "formats/chat_private.h"

enum { NODES_MAX = 200000 };

il_chat_node *il__chat_refuse(il_chat_parser *p, int line, const char *what,
                              const char *text, size_t size)
{
    if (p->status == IL_OK) {
        p->status = il_error_set(p->err, IL_ERR_UNSUPPORTED, p->chat->where,
                                 "chat template, line %d: %s%s%.*s%s", line, what,
                                 size > 0 ? " '" : "", (int)(size < 48 ? size : 48),
                                 text, size > 0 ? "'" : "");
    }
    return NULL;
}

const il_chat_token *il__chat_here(const il_chat_parser *p)
{
    return &p->tokens[p->at];
}

il_chat_node *il__chat_node_new(il_chat_parser *p, il_chat_kind kind)
{
    il_chat_node *n =
        p->status == IL_OK ? il_arena_calloc(p->chat->arena, 1, sizeof *n) : NULL;

    if (p->status == IL_OK && n == NULL) {
        p->status =
            il_error_set(p->err, IL_ERR_MEMORY, p->chat->where, "out of memory");
    }
    if (n == NULL) {
        return NULL;
    }
    if (++p->nodes > NODES_MAX) {
        return il__chat_refuse(p, il__chat_here(p)->line, "too long a template", "", 0);
    }
    n->kind = kind;
    n->line = il__chat_here(p)->line;
    return n;
}

bool il__chat_is(const il_chat_token *t, il_chat_word word, const char *text)
{
    return t->word == word && t->size == strlen(text) &&
           memcmp(t->text, text, t->size) == 0;
}

bool il__chat_at_sign(const il_chat_parser *p, const char *sign)
{
    return p->status == IL_OK && il__chat_is(il__chat_here(p), IL_CHAT_WORD_SIGN, sign);
}

bool il__chat_take_sign(il_chat_parser *p, const char *sign)
{
    bool there = il__chat_at_sign(p, sign);

    p->at += there;
    return there;
}

bool il__chat_at_name(const il_chat_parser *p, const char *name)
{
    return p->status == IL_OK && il__chat_is(il__chat_here(p), IL_CHAT_WORD_NAME, name);
}

bool il__chat_take_name(il_chat_parser *p, const char *name)
{
    bool there = il__chat_at_name(p, name);

    p->at += there;
    return there;
}

il_chat_node *il__chat_unexpected(il_chat_parser *p, const char *expected)
{
    const il_chat_token *t = il__chat_here(p);
    char what[96] = "expected ";

    strncat(what, expected, sizeof what - 32);
    if (t->word == IL_CHAT_WORD_CLOSE || t->word == IL_CHAT_WORD_END) {
        strncat(what, " before the end", 16);
        return il__chat_refuse(p, t->line, what, "", 0);
    }
    strncat(what, " at", 4);
    return il__chat_refuse(p, t->line, what, t->text, t->size);
}

bool il__chat_expect(il_chat_parser *p, const char *sign)
{
    if (!il__chat_take_sign(p, sign)) {
        (void)il__chat_unexpected(p, sign);
        return false;
    }
    return true;
}

il_chat_node *il__chat_any_name(il_chat_parser *p, il_chat_kind kind)
{
    const il_chat_token *t = il__chat_here(p);
    il_chat_node *n;

    if (t->word != IL_CHAT_WORD_NAME) {
        return il__chat_unexpected(p, "a name");
    }
    n = il__chat_node_new(p, kind);
    if (n != NULL) {
        n->text = t->text;
        n->size = t->size;
        p->at++;
    }
    return n;
}
