/* A chat template while it runs: values, the names that are set, and what running has
 * cost so far. Values are Python's, as Jinja's sandbox leaves them: nothing but a
 * namespace can be changed. All live in the run's arena until it ends. */
#ifndef IL_FORMATS_CHAT_RUN_H
#define IL_FORMATS_CHAT_RUN_H

#include <string.h>
#include "formats/chat_private.h"

typedef enum il_chat_is {
    IL_CHAT_IS_UNDEFINED, /* text: its name, if one is known */
    IL_CHAT_IS_NONE,
    IL_CHAT_IS_FLAG,
    IL_CHAT_IS_INT,
    IL_CHAT_IS_REAL,
    IL_CHAT_IS_TEXT,
    IL_CHAT_IS_LIST,
    IL_CHAT_IS_TUPLE,
    IL_CHAT_IS_RANGE,
    IL_CHAT_IS_VIEW, /* of a dict; can be measured */
    IL_CHAT_IS_ONCE, /* what filters yield; can be gone through, once */
    IL_CHAT_IS_DICT,
    IL_CHAT_IS_NAMESPACE,
    IL_CHAT_IS_MACRO,
    IL_CHAT_IS_FUNCTION, /* text: its name */
    IL_CHAT_IS_METHOD,   /* text: its name, items: whose */
    IL_CHAT_IS_LOOP
} il_chat_is;

typedef struct il_chat_value {
    il_chat_is is;
    bool safe;           /* TEXT: marked by |safe */
    int64_t number;      /* FLAG, INT */
    double real;         /* REAL */
    const char *text;    /* TEXT: UTF-8 */
    const int32_t *from; /* TEXT: of each byte where it is from; NULL: no turn's */
    size_t size;         /* bytes; entries; pairs of a DICT */
    const struct il_chat_value *items; /* entries; keys and values in turn */
    void *object;                      /* NAMESPACE, MACRO, LOOP, ONCE: its bool */
} il_chat_value;

typedef struct il_chat_variable {
    const char *name;
    size_t size;
    il_chat_value value;
    struct il_chat_variable *next;
} il_chat_variable;

/* The names set in a block, within those of what surrounds it; a namespace, too. */
typedef struct il_chat_scope {
    const struct il_chat_scope *outer;
    il_chat_variable *first;
} il_chat_scope;

typedef struct il_chat_macro {
    const il_chat_node *node; /* a MACRO or a CALLED */
    const il_chat_scope *scope;
} il_chat_macro;

typedef struct il_chat_loop {
    const il_chat_value *items;
    size_t count;
    size_t at;
    bool changes; /* loop.changed was asked before, with `last` */
    il_chat_value last;
} il_chat_loop;

typedef enum il_chat_flow { IL_CHAT_GO, IL_CHAT_LEAVE, IL_CHAT_AGAIN } il_chat_flow;

typedef struct il_chat_run {
    const il_chat *chat;
    il_arena *arena;
    il_chat_text *out; /* where statements write: turns holds `from` */
    il_chat_scope *scope;
    const char *date; /* YYYY-MM-DD, or NULL */
    il_chat_flow flow;
    int line;
    int depth;
    size_t left;   /* bytes that may still be taken */
    int64_t steps; /* done */
    il_error *err;
    il_status status;
} il_chat_run;

/* What was handed over in a call: those by name come behind the others. */
typedef struct il_chat_args {
    const il_chat_value *values;
    const char *const *names; /* NULL: by place */
    const size_t *sizes;      /* of names */
    size_t count;
} il_chat_args;

enum { IL_CHAT_RUN_DEPTH = 600, IL_CHAT_ARGS = 6 };

/* ---- errors, memory, cost (chat_value.c) ---------------------------------------- */

/* Keeps the first error with the line that is run; what it gives back is undefined. */
il_chat_value il__chat_fail(il_chat_run *r, il_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Cleared memory of the run; NULL, and an error, where it is out. */
void *il__chat_alloc(il_chat_run *r, size_t count, size_t size);
/* Counts work that grows with a size; false, and an error, where it is too much. */
bool il__chat_work(il_chat_run *r, size_t size);
/* Enters what recurs over values or statements; to be left by depth--, either way. */
bool il__chat_enter(il_chat_run *r);

/* ---- values (chat_value.c) ------------------------------------------------------ */

extern const il_chat_value il__chat_undefined;
extern const il_chat_value il__chat_none;
il_chat_value il__chat_flag(bool x);
il_chat_value il__chat_int(int64_t x);
il_chat_value il__chat_real(double x);
il_chat_value il__chat_plain(const char *text, size_t size);
/* A list or the like of `count` entries, to be filled through *items. */
il_chat_value il__chat_many(il_chat_run *r, il_chat_is is, size_t count,
                            il_chat_value **items);
bool il__chat_truth(const il_chat_value *v);
bool il__chat_equal(il_chat_run *r, const il_chat_value *a, const il_chat_value *b);
/* Below, at or above 0 as a is before, at or behind b; fails where Python would. */
int il__chat_compare(il_chat_run *r, const il_chat_value *a, const il_chat_value *b);
bool il__chat_is_text(const il_chat_value *v, const char *text);
/* Number or flag as a number; false for others. */
bool il__chat_as_int(const il_chat_value *v, int64_t *out);
bool il__chat_as_real(const il_chat_value *v, double *out);
const char *il__chat_kind_name(const il_chat_value *v);
/* The value of a key; NULL for none. */
const il_chat_value *il__chat_find(il_chat_run *r, const il_chat_value *dict,
                                   const il_chat_value *key);
/* What going through a value yields, as a list: entries, keys, characters. */
il_chat_value il__chat_list(il_chat_run *r, const il_chat_value *v);
/* len(): false, and an error, where there is none. */
bool il__chat_length(il_chat_run *r, const il_chat_value *v, size_t *out);
bool il__chat_in(il_chat_run *r, const il_chat_value *a, const il_chat_value *b);
/* a.key and a[key], in the order in which Jinja looks. */
il_chat_value il__chat_member(il_chat_run *r, const il_chat_value *a, const char *name,
                              size_t size);
il_chat_value il__chat_index(il_chat_run *r, const il_chat_value *a,
                             const il_chat_value *key);
il_chat_value il__chat_slice(il_chat_run *r, const il_chat_value *a,
                             const il_chat_value *first, const il_chat_value *last,
                             const il_chat_value *step);
/* Several |: an attribute by dots, as filters have it ("function.name"). */
il_chat_value il__chat_attribute(il_chat_run *r, const il_chat_value *v,
                                 const il_chat_value *path);

/* ---- text (chat_string.c) ------------------------------------------------------- */

/* Text that grows; what is added keeps where it is from. */
void il__chat_put(il_chat_run *r, il_chat_text *to, const il_chat_value *v);
void il__chat_put_bytes(il_chat_run *r, il_chat_text *to, const char *text,
                        size_t size);
/* Makes it a value, and frees it. */
il_chat_value il__chat_take(il_chat_run *r, il_chat_text *from);
/* str(v), and what Python's repr would say of it, added. */
il_chat_value il__chat_text(il_chat_run *r, const il_chat_value *v);
void il__chat_put_repr(il_chat_run *r, il_chat_text *to, const il_chat_value *v);
il_chat_value il__chat_concat(il_chat_run *r, const il_chat_value *a,
                              const il_chat_value *b);
il_chat_value il__chat_part(const il_chat_value *v, size_t first, size_t last);
size_t il__chat_characters(const il_chat_value *v);
/* The byte at which a character begins, or the text's size. */
size_t il__chat_byte(const il_chat_value *v, size_t character);
/* The first place of `b` in `a` from `from` on, or SIZE_MAX. */
size_t il__chat_search(il_chat_run *r, const il_chat_value *a, const il_chat_value *b,
                       size_t from);
/* `set` NULL: white space. */
il_chat_value il__chat_strip(il_chat_run *r, const il_chat_value *v,
                             const il_chat_value *set, bool left, bool right);
il_chat_value il__chat_replace(il_chat_run *r, const il_chat_value *v,
                               const il_chat_value *from, const il_chat_value *to,
                               int64_t most);
/* How letters are to be: upper, lower, as a sentence, as str.title or as |title. */
typedef enum il_chat_case {
    IL_CHAT_UPPER,
    IL_CHAT_LOWER,
    IL_CHAT_SENTENCE,
    IL_CHAT_TITLE,
    IL_CHAT_WORDS
} il_chat_case;
il_chat_value il__chat_cased(il_chat_run *r, const il_chat_value *v, il_chat_case how);
il_chat_value il__chat_lines(il_chat_run *r, const il_chat_value *v, bool keep);
/* The last place of `b` in `v` that ends at `end` or before, or SIZE_MAX. */
size_t il__chat_search_back(il_chat_run *r, const il_chat_value *v,
                            const il_chat_value *b, size_t end);
/* Whether the character at a byte is white space, and how many bytes it has. */
bool il__chat_space(const il_chat_value *v, size_t at, size_t *size);
/* Pieces between separators, or between white space where `by` is NULL; cut at most so
 * often, from the right where `right`, without end below 0. */
il_chat_value il__chat_split(il_chat_run *r, const il_chat_value *v,
                             const il_chat_value *by, int64_t most, bool right);
il_chat_value il__chat_escaped(il_chat_run *r, const il_chat_value *v);
/* "..." % v, and str.format. */
il_chat_value il__chat_percent(il_chat_run *r, const il_chat_value *v,
                               const il_chat_value *of);
il_chat_value il__chat_format(il_chat_run *r, const il_chat_value *v,
                              const il_chat_args *a);

/* ---- order (chat_order.c) ------------------------------------------------------- */

/* By an attribute where `path` is not NULL or none; text without its case where not
 * `exact`. Those alike keep their order, or of several the first stays. */
il_chat_value il__chat_sorted(il_chat_run *r, const il_chat_value *list,
                              const il_chat_value *path, bool exact, bool reverse);
il_chat_value il__chat_unique(il_chat_run *r, const il_chat_value *v,
                              const il_chat_value *path, bool exact);
/* The largest entry where `sign` is 1, the smallest where it is -1. */
il_chat_value il__chat_extreme(il_chat_run *r, const il_chat_value *v,
                               const il_chat_value *path, bool exact, int sign);

/* ---- JSON (chat_json.c) --------------------------------------------------------- */

/* The value of a JSON text with `messages`, and the date; fails on what is no JSON. */
typedef struct il_chat_given {
    il_chat_value messages;
    il_chat_value rest; /* DICT of what else is given */
    const char *date;   /* or NULL */
    int32_t *bases;     /* of each turn where its content begins; one more */
    size_t count;       /* turns */
} il_chat_given;
void il__chat_read(il_chat_run *r, const char *json, size_t size, il_chat_given *out);
typedef struct il_chat_json {
    int64_t indent;          /* -1: on one line */
    const char *indentation; /* or this text */
    bool ascii;
    bool sorted;
    il_chat_value item_separator; /* UNDEFINED: Python's */
    il_chat_value key_separator;
} il_chat_json;
il_chat_value il__chat_to_json(il_chat_run *r, const il_chat_value *v,
                               const il_chat_json *how);

/* ---- filters, tests, methods, functions ----------------------------------------- */

/* Puts arguments where a list of names says ("width first blank"); false, and an error,
 * where they do not fit. Those not given are NULL. */
bool il__chat_bind(il_chat_run *r, const il_chat_args *a, const char *what,
                   const char *names, const il_chat_value *out[IL_CHAT_ARGS]);
il_chat_value il__chat_apply(il_chat_run *r, const char *name, size_t size,
                             const il_chat_value *v, const il_chat_args *a);
bool il__chat_holds(il_chat_run *r, const char *name, size_t size,
                    const il_chat_value *v, const il_chat_args *a);
/* Whether values of this kind have a method of that name. */
bool il__chat_has_method(const il_chat_value *v, const char *name, size_t size);
il_chat_value il__chat_method(il_chat_run *r, const il_chat_value *of,
                              const il_chat_value *name, const il_chat_args *a);

/* ---- running (chat_eval.c, chat.c) ---------------------------------------------- */

il_chat_value il__chat_eval(il_chat_run *r, const il_chat_node *n);
il_chat_value il__chat_call(il_chat_run *r, const il_chat_value *f,
                            const il_chat_args *a);
/* Runs a call, its node's arguments evaluated, with one more by name if not NULL. */
il_chat_value il__chat_call_node(il_chat_run *r, const il_chat_node *n,
                                 const il_chat_value *caller);
il_chat_value il__chat_call_macro(il_chat_run *r, const il_chat_macro *m,
                                  const il_chat_args *a);
void il__chat_set(il_chat_run *r, il_chat_scope *scope, const char *name, size_t size,
                  il_chat_value v);
const il_chat_value *il__chat_get(const il_chat_scope *scope, const char *name,
                                  size_t size);

#endif
