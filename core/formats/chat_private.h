/* A chat template as tokens and as a tree, between what reads it and what runs it. */
#ifndef IL_FORMATS_CHAT_PRIVATE_H
#define IL_FORMATS_CHAT_PRIVATE_H

#include "base/arena.h"
#include "formats/chat.h"

typedef enum il_chat_kind {
    /* statements */
    IL_CHAT_TEXT,     /* text */
    IL_CHAT_PRINT,    /* a */
    IL_CHAT_IF,       /* a: condition, list: body, d: the rest; number: 1 for elif */
    IL_CHAT_FOR,      /* a: targets, b: what, c: condition, list: body, d: else */
    IL_CHAT_SET,      /* a: targets, b: value */
    IL_CHAT_CAPTURE,  /* a: target, b: filters or NULL, list: body */
    IL_CHAT_FILTERED, /* b: filters, list: body */
    IL_CHAT_MACRO,    /* text: name, a: parameters, list: body, number: IL_CHAT_EXTRA */
    IL_CHAT_CALLED,   /* a: parameters, b: call, list: body */
    IL_CHAT_WITH,     /* a: sets, list: body */
    IL_CHAT_SCOPE,    /* list: body */
    IL_CHAT_BREAK,
    IL_CHAT_CONTINUE,
    /* expressions */
    IL_CHAT_NAME,     /* text; as a parameter, b: its default */
    IL_CHAT_STRING,   /* text */
    IL_CHAT_INT,      /* number */
    IL_CHAT_REAL,     /* real */
    IL_CHAT_CONSTANT, /* number: 0 false, 1 true, 2 none */
    IL_CHAT_LIST,     /* list: entries */
    IL_CHAT_TUPLE,    /* list: entries, or targets */
    IL_CHAT_DICT,     /* list: keys and values in turn */
    IL_CHAT_OR,
    IL_CHAT_AND,
    IL_CHAT_NOT,
    IL_CHAT_COMPARE, /* a, then list of operands (text: operator, a) */
    IL_CHAT_OPERAND,
    IL_CHAT_BINARY, /* a, b; number: + - ~ * / and, of two letters, F for floor, P for
                     * power */
    IL_CHAT_NEGATE,
    IL_CHAT_POSITIVE,
    IL_CHAT_CHOOSE,   /* a if b else c */
    IL_CHAT_MEMBER,   /* a.text */
    IL_CHAT_INDEX,    /* a[b] */
    IL_CHAT_SLICE,    /* a[b:c:d] */
    IL_CHAT_TEST,     /* a is text(list) */
    IL_CHAT_FILTER,   /* a|text(list) */
    IL_CHAT_CALL,     /* a(list) */
    IL_CHAT_ARGUMENT, /* a; text: its name, if it has one */
    IL_CHAT_CAPTURED  /* within the filters of a block: what it wrote */
} il_chat_kind;

/* What a macro's body asks for besides its parameters, as bits. */
enum { IL_CHAT_VARARGS = 1, IL_CHAT_KWARGS = 2, IL_CHAT_CALLER = 4 };

typedef struct il_chat_node {
    il_chat_kind kind;
    int line;
    const char *text;
    size_t size;
    int64_t number;
    double real;
    struct il_chat_node *a, *b, *c, *d;
    struct il_chat_node *list;
    struct il_chat_node *next; /* of the same body or list */
} il_chat_node;

typedef struct il_chat_constant {
    const char *name;
    const char *text;
    struct il_chat_constant *next;
} il_chat_constant;

struct il_chat {
    il_arena *arena;
    const char *where;
    const char *source;
    il_chat_constant *constants;
    const il_chat_node *root;
};

/* ---- tokens --------------------------------------------------------------------- */

typedef enum il_chat_word {
    IL_CHAT_WORD_DATA,  /* text between tags, as white space control leaves it */
    IL_CHAT_WORD_PRINT, /* {{ */
    IL_CHAT_WORD_BLOCK, /* {% */
    IL_CHAT_WORD_CLOSE, /* }} and %} */
    IL_CHAT_WORD_NAME,
    IL_CHAT_WORD_STRING, /* unquoted */
    IL_CHAT_WORD_INT,
    IL_CHAT_WORD_REAL,
    IL_CHAT_WORD_SIGN,
    IL_CHAT_WORD_END
} il_chat_word;

typedef struct il_chat_token {
    il_chat_word word;
    int line;
    const char *text;
    size_t size;
} il_chat_token;

typedef struct il_chat_parser {
    il_chat *chat;
    il_chat_token *tokens; /* malloc'ed; the last is END */
    size_t count;
    size_t at;
    size_t nodes;
    int depth;
    int loops;           /* around what is read, within its macro */
    il_chat_node *macro; /* around what is read */
    il_error *err;
    il_status status;
} il_chat_parser;

enum { IL_CHAT_DEPTH = 100 }; /* of nesting, while reading */

/* Keeps the first error, with a line and up to 48 bytes of what it is about. */
il_chat_node *il__chat_refuse(il_chat_parser *p, int line, const char *what,
                              const char *text, size_t size);
/* chat_lex.c: a source's tokens. */
void il__chat_lex(il_chat_parser *p, const char *source, size_t size);

/* chat_token.c: what is read takes from the tokens. All give NULL or false once
 * something was refused. */
bool il__chat_is(const il_chat_token *t, il_chat_word word, const char *text);
bool il__chat_at_name(const il_chat_parser *p, const char *name);
il_chat_node *il__chat_node_new(il_chat_parser *p, il_chat_kind kind);
const il_chat_token *il__chat_here(const il_chat_parser *p);
bool il__chat_at_sign(const il_chat_parser *p, const char *sign);
bool il__chat_take_sign(il_chat_parser *p, const char *sign);
bool il__chat_take_name(il_chat_parser *p, const char *name);
/* Takes the sign, or refuses what stands there. */
bool il__chat_expect(il_chat_parser *p, const char *sign);
il_chat_node *il__chat_unexpected(il_chat_parser *p, const char *expected);
/* Takes any name into a node. */
il_chat_node *il__chat_any_name(il_chat_parser *p, il_chat_kind kind);

/* chat_expression.c: what statements are made of. */
il_chat_node *il__chat_expression(il_chat_parser *p);
/* An expression, or several with commas; without `x if y` where not `choose`. */
il_chat_node *il__chat_tuple(il_chat_parser *p, bool choose);
/* The names that something is set to. */
il_chat_node *il__chat_targets(il_chat_parser *p, bool members);
/* (a, b=c) of a macro. */
il_chat_node *il__chat_parameters(il_chat_parser *p);
/* The filters that follow, each behind its |. */
il_chat_node *il__chat_filters(il_chat_parser *p, il_chat_node *a);
/* One filter without its |. */
il_chat_node *il__chat_filter(il_chat_parser *p, il_chat_node *a);

#endif
