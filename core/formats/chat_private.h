/* A chat template as a tree, between what reads it and what runs it. */
#ifndef IL_FORMATS_CHAT_PRIVATE_H
#define IL_FORMATS_CHAT_PRIVATE_H

#include "base/arena.h"
#include "formats/chat.h"

typedef enum il_chat_kind {
    /* statements */
    IL_CHAT_TEXT,  /* text */
    IL_CHAT_PRINT, /* a */
    IL_CHAT_IF,    /* a: condition, b: body, c: the rest (an IF, or statements) */
    IL_CHAT_FOR,   /* text: variable, a: list, b: body */
    IL_CHAT_SET,   /* text: variable, a */
    IL_CHAT_BLOCK, /* b: body */
    /* expressions */
    IL_CHAT_NAME,
    IL_CHAT_STRING,
    IL_CHAT_NUMBER,
    IL_CHAT_CONSTANT, /* number: 0 false, 1 true, 2 none */
    IL_CHAT_OR,
    IL_CHAT_AND,
    IL_CHAT_NOT,
    IL_CHAT_EQUAL,
    IL_CHAT_UNEQUAL,
    IL_CHAT_LESS,
    IL_CHAT_GREATER,
    IL_CHAT_AT_MOST,
    IL_CHAT_AT_LEAST,
    IL_CHAT_IN,
    IL_CHAT_ADD, /* + and ~ of text, + of numbers */
    IL_CHAT_SUBTRACT,
    IL_CHAT_JOIN, /* ~ */
    IL_CHAT_MODULO,
    IL_CHAT_NEGATE,
    IL_CHAT_CHOOSE, /* a if b else c */
    IL_CHAT_MEMBER, /* a.text */
    IL_CHAT_INDEX,  /* a[b] */
    IL_CHAT_SLICE,  /* a[b:c] */
    IL_CHAT_TEST,   /* a is text */
    IL_CHAT_CALL,   /* a.text(b), a|text: what is known of both */
    IL_CHAT_RAISE   /* raise_exception(a) */
} il_chat_kind;

typedef struct il_chat_node {
    il_chat_kind kind;
    int line;
    const char *text;
    size_t size;
    int64_t number;
    struct il_chat_node *a, *b, *c;
    struct il_chat_node *next; /* statements of one body */
} il_chat_node;

struct il_chat {
    il_arena *arena;
    const char *where;
    const char *source;
    const char *bos;
    const char *eos;
    const il_chat_node *root;
};

#endif
