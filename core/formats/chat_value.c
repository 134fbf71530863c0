/* Values of a running chat template: what is true, equal, a member of what. */
#include "formats/chat_run.h"

#include <stdarg.h>
#include <stdio.h>
#include "formats/tokenizer_unicode.h"

enum { STEPS_MAX = 10 * 1000 * 1000 };

const il_chat_value il__chat_undefined = {.is = IL_CHAT_IS_UNDEFINED};
const il_chat_value il__chat_none = {.is = IL_CHAT_IS_NONE};

/* ---- errors, memory, cost ------------------------------------------------------- */

il_chat_value il__chat_fail(il_chat_run *r, il_status code, const char *fmt, ...)
{
    char what[512];
    va_list list;

    if (r->status == IL_OK) {
        va_start(list, fmt);
        (void)vsnprintf(what, sizeof what, fmt, list);
        va_end(list);
        r->status = il_error_set(r->err, code, r->chat->where,
                                 "chat template, line %d: %s", r->line, what);
    }
    return il__chat_undefined;
}

void *il__chat_alloc(il_chat_run *r, size_t count, size_t size)
{
    void *out = NULL;

    if (r->status != IL_OK) {
        return NULL;
    }
    if (r->left < 64 || count >= (r->left - 64) / size) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "takes too much memory");
        return NULL;
    }
    r->left -= (count * size + 63) / 64 * 64; /* as an arena hands it out */
    out = il_arena_calloc(r->arena, count > 0 ? count : 1, size);
    if (out == NULL) {
        (void)il__chat_fail(r, IL_ERR_MEMORY, "out of memory");
    }
    return out;
}

bool il__chat_work(il_chat_run *r, size_t size)
{
    r->steps += 1 + (int64_t)(size / 64);
    if (r->steps > STEPS_MAX) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "takes too many steps");
    }
    return r->status == IL_OK;
}

bool il__chat_enter(il_chat_run *r)
{
    if (++r->depth > IL_CHAT_RUN_DEPTH) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "nested too deep");
    }
    return il__chat_work(r, 0);
}

/* ---- making values -------------------------------------------------------------- */

il_chat_value il__chat_flag(bool x)
{
    return (il_chat_value){.is = IL_CHAT_IS_FLAG, .number = x};
}

il_chat_value il__chat_int(int64_t x)
{
    return (il_chat_value){.is = IL_CHAT_IS_INT, .number = x};
}

il_chat_value il__chat_real(double x)
{
    return (il_chat_value){.is = IL_CHAT_IS_REAL, .real = x};
}

il_chat_value il__chat_plain(const char *text, size_t size)
{
    return (il_chat_value){.is = IL_CHAT_IS_TEXT, .text = text, .size = size};
}

il_chat_value il__chat_many(il_chat_run *r, il_chat_is is, size_t count,
                            il_chat_value **items)
{
    il_chat_value out = {.is = is, .size = count};

    *items =
        il__chat_alloc(r, is == IL_CHAT_IS_DICT ? 2 * count : count, sizeof **items);
    out.items = *items;
    if (is == IL_CHAT_IS_ONCE && *items != NULL) {
        out.object = il__chat_alloc(r, 1, sizeof(bool));
    }
    return r->status == IL_OK ? out : il__chat_undefined;
}

/* ---- what a value is ------------------------------------------------------------ */

const char *il__chat_kind_name(const il_chat_value *v)
{
    static const char *const names[] = {[IL_CHAT_IS_UNDEFINED] = "undefined",
                                        [IL_CHAT_IS_NONE] = "none",
                                        [IL_CHAT_IS_FLAG] = "a boolean",
                                        [IL_CHAT_IS_INT] = "a number",
                                        [IL_CHAT_IS_REAL] = "a number",
                                        [IL_CHAT_IS_TEXT] = "text",
                                        [IL_CHAT_IS_LIST] = "a list",
                                        [IL_CHAT_IS_TUPLE] = "a tuple",
                                        [IL_CHAT_IS_RANGE] = "a range",
                                        [IL_CHAT_IS_VIEW] = "a view",
                                        [IL_CHAT_IS_ONCE] = "a generator",
                                        [IL_CHAT_IS_DICT] = "a mapping",
                                        [IL_CHAT_IS_NAMESPACE] = "a namespace",
                                        [IL_CHAT_IS_MACRO] = "a macro",
                                        [IL_CHAT_IS_FUNCTION] = "a function",
                                        [IL_CHAT_IS_METHOD] = "a method",
                                        [IL_CHAT_IS_LOOP] = "loop"};

    return names[v->is];
}

bool il__chat_is_text(const il_chat_value *v, const char *text)
{
    return v->is == IL_CHAT_IS_TEXT && v->size == strlen(text) &&
           memcmp(v->text, text, v->size) == 0;
}

bool il__chat_truth(const il_chat_value *v)
{
    switch (v->is) {
    case IL_CHAT_IS_UNDEFINED:
    case IL_CHAT_IS_NONE:
        return false;
    case IL_CHAT_IS_FLAG:
    case IL_CHAT_IS_INT:
        return v->number != 0;
    case IL_CHAT_IS_REAL:
        return v->real != 0.0;
    case IL_CHAT_IS_TEXT:
    case IL_CHAT_IS_LIST:
    case IL_CHAT_IS_TUPLE:
    case IL_CHAT_IS_RANGE:
    case IL_CHAT_IS_VIEW:
    case IL_CHAT_IS_DICT:
        return v->size > 0;
    default:
        return true;
    }
}

bool il__chat_as_int(const il_chat_value *v, int64_t *out)
{
    *out = v->number;
    return v->is == IL_CHAT_IS_INT || v->is == IL_CHAT_IS_FLAG;
}

bool il__chat_as_real(const il_chat_value *v, double *out)
{
    *out = v->is == IL_CHAT_IS_REAL ? v->real : (double)v->number;
    return v->is == IL_CHAT_IS_REAL || v->is == IL_CHAT_IS_INT ||
           v->is == IL_CHAT_IS_FLAG;
}

static bool equal_dicts(il_chat_run *r, const il_chat_value *a, const il_chat_value *b)
{
    bool same = a->size == b->size;

    for (size_t i = 0; same && i < a->size; i++) {
        const il_chat_value *other = il__chat_find(r, b, &a->items[2 * i]);

        same = other != NULL && il__chat_equal(r, &a->items[2 * i + 1], other);
    }
    return same;
}

bool il__chat_equal(il_chat_run *r, const il_chat_value *a, const il_chat_value *b)
{
    double x;
    double y;
    bool same;

    if (il__chat_as_real(a, &x) && il__chat_as_real(b, &y)) {
        return a->is != IL_CHAT_IS_REAL && b->is != IL_CHAT_IS_REAL
                   ? a->number == b->number
                   : x == y;
    }
    if (a->is != b->is) {
        return false;
    }
    switch (a->is) {
    case IL_CHAT_IS_UNDEFINED:
    case IL_CHAT_IS_NONE:
        return true;
    case IL_CHAT_IS_TEXT:
        return a->size == b->size && il__chat_work(r, a->size) &&
               (a->size == 0 || memcmp(a->text, b->text, a->size) == 0);
    case IL_CHAT_IS_LIST:
    case IL_CHAT_IS_TUPLE:
    case IL_CHAT_IS_DICT:
        break;
    default:
        return a->object == b->object && a->items == b->items && a->text == b->text;
    }
    same = il__chat_enter(r);
    if (a->is == IL_CHAT_IS_DICT) {
        same = same && equal_dicts(r, a, b);
    } else {
        same = same && a->size == b->size;
        for (size_t i = 0; same && i < a->size; i++) {
            same = il__chat_equal(r, &a->items[i], &b->items[i]);
        }
    }
    r->depth--;
    return same;
}

int il__chat_compare(il_chat_run *r, const il_chat_value *a, const il_chat_value *b)
{
    double x;
    double y;

    if (il__chat_as_real(a, &x) && il__chat_as_real(b, &y)) {
        if (a->is != IL_CHAT_IS_REAL && b->is != IL_CHAT_IS_REAL) {
            return (a->number > b->number) - (a->number < b->number);
        }
        return (x > y) - (x < y);
    }
    if (a->is == IL_CHAT_IS_TEXT && b->is == IL_CHAT_IS_TEXT) {
        size_t n = a->size < b->size ? a->size : b->size;
        int order = n > 0 && il__chat_work(r, n) ? memcmp(a->text, b->text, n) : 0;

        return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
    }
    if (a->is == b->is && (a->is == IL_CHAT_IS_LIST || a->is == IL_CHAT_IS_TUPLE)) {
        (void)il__chat_fail(r, IL_ERR_UNSUPPORTED, "the order of lists");
    } else {
        (void)il__chat_fail(r, IL_ERR_INPUT, "there is no order of %s and %s",
                            il__chat_kind_name(a), il__chat_kind_name(b));
    }
    return 0;
}

/* ---- members -------------------------------------------------------------------- */

const il_chat_value *il__chat_find(il_chat_run *r, const il_chat_value *dict,
                                   const il_chat_value *key)
{
    for (size_t i = 0; i < dict->size && il__chat_work(r, 0); i++) {
        if (il__chat_equal(r, &dict->items[2 * i], key)) {
            return &dict->items[2 * i + 1];
        }
    }
    return NULL;
}

static bool measured(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_LIST || v->is == IL_CHAT_IS_TUPLE ||
           v->is == IL_CHAT_IS_RANGE || v->is == IL_CHAT_IS_VIEW ||
           v->is == IL_CHAT_IS_DICT;
}

bool il__chat_length(il_chat_run *r, const il_chat_value *v, size_t *out)
{
    *out = 0;
    if (v->is == IL_CHAT_IS_TEXT) {
        *out = il__chat_work(r, v->size) ? il__chat_characters(v) : 0;
    } else if (measured(v)) {
        *out = v->size;
    } else if (v->is == IL_CHAT_IS_LOOP) {
        *out = ((const il_chat_loop *)v->object)->count;
    } else if (v->is != IL_CHAT_IS_UNDEFINED) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "%s has no length", il__chat_kind_name(v));
    }
    return r->status == IL_OK;
}

il_chat_value il__chat_list(il_chat_run *r, const il_chat_value *v)
{
    il_chat_value *items;
    il_chat_value out = *v;
    bool *gone = v->object;
    size_t at = 0;

    out.is = IL_CHAT_IS_LIST;
    switch (v->is) {
    case IL_CHAT_IS_LIST:
    case IL_CHAT_IS_TUPLE:
    case IL_CHAT_IS_RANGE:
    case IL_CHAT_IS_VIEW:
        return out;
    case IL_CHAT_IS_ONCE:
        out.size = *gone ? 0 : v->size;
        *gone = true;
        return out;
    case IL_CHAT_IS_UNDEFINED:
        return il__chat_many(r, IL_CHAT_IS_LIST, 0, &items);
    case IL_CHAT_IS_DICT:
        out = il__chat_many(r, IL_CHAT_IS_LIST, v->size, &items);
        for (size_t i = 0; r->status == IL_OK && i < v->size; i++) {
            items[i] = v->items[2 * i];
        }
        return out;
    case IL_CHAT_IS_TEXT:
        out = il__chat_many(r, IL_CHAT_IS_LIST, il__chat_characters(v), &items);
        for (size_t i = 0; r->status == IL_OK && i < out.size; i++) {
            size_t n = il__utf8_length(v->text[at]);

            items[i] = il__chat_part(v, at, at + n);
            at += n;
        }
        return out;
    default:
        return il__chat_fail(r, IL_ERR_INPUT, "cannot go through %s",
                             il__chat_kind_name(v));
    }
}

bool il__chat_in(il_chat_run *r, const il_chat_value *a, const il_chat_value *b)
{
    il_chat_value list;

    if (b->is == IL_CHAT_IS_TEXT) {
        if (a->is != IL_CHAT_IS_TEXT) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "%s cannot be in text",
                                il__chat_kind_name(a));
            return false;
        }
        return il__chat_search(r, b, a, 0) != SIZE_MAX;
    }
    if (b->is == IL_CHAT_IS_DICT) {
        return il__chat_find(r, b, a) != NULL;
    }
    list = il__chat_list(r, b);
    for (size_t i = 0; r->status == IL_OK && i < list.size && il__chat_work(r, 0);
         i++) {
        if (il__chat_equal(r, a, &list.items[i])) {
            return true;
        }
    }
    return false;
}

static il_chat_value loop_member(il_chat_run *r, const il_chat_value *v,
                                 const char *name, size_t size)
{
    const il_chat_loop *l = v->object;
    const il_chat_value key = il__chat_plain(name, size);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"index", (int64_t)l->at + 1},
                   {"index0", (int64_t)l->at},
                   {"revindex", (int64_t)(l->count - l->at)},
                   {"revindex0", (int64_t)(l->count - l->at) - 1},
                   {"length", (int64_t)l->count},
                   {"depth", 1},
                   {"depth0", 0}};

    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        if (il__chat_is_text(&key, numbers[k].name)) {
            return il__chat_int(numbers[k].value);
        }
    }
    if (il__chat_is_text(&key, "first")) {
        return il__chat_flag(l->at == 0);
    }
    if (il__chat_is_text(&key, "last")) {
        return il__chat_flag(l->at + 1 == l->count);
    }
    if (il__chat_is_text(&key, "previtem")) {
        return l->at > 0 ? l->items[l->at - 1] : il__chat_undefined;
    }
    if (il__chat_is_text(&key, "nextitem")) {
        return l->at + 1 < l->count ? l->items[l->at + 1] : il__chat_undefined;
    }
    (void)r;
    return il__chat_undefined;
}

/* What has no such member: undefined, with the name for errors. */
static il_chat_value absent(const char *name, size_t size)
{
    return (il_chat_value){.is = IL_CHAT_IS_UNDEFINED, .text = name, .size = size};
}

/* A Python attribute: a method, or what a namespace or loop holds. */
static bool attribute(il_chat_run *r, const il_chat_value *a, const char *name,
                      size_t size, il_chat_value *out)
{
    if (a->is == IL_CHAT_IS_NAMESPACE) {
        const il_chat_scope *s = a->object;
        const il_chat_value *v = il__chat_get(s, name, size);

        *out = v != NULL ? *v : il__chat_undefined;
        return v != NULL;
    }
    if (il__chat_has_method(a, name, size)) {
        il_chat_value *self = il__chat_alloc(r, 1, sizeof *self);

        if (self == NULL) {
            return true;
        }
        *self = *a;
        *out = (il_chat_value){
            .is = IL_CHAT_IS_METHOD, .text = name, .size = size, .items = self};
        return true;
    }
    if (a->is == IL_CHAT_IS_LOOP) {
        *out = loop_member(r, a, name, size);
        return out->is != IL_CHAT_IS_UNDEFINED;
    }
    return false;
}

static bool entry(il_chat_run *r, const il_chat_value *a, const il_chat_value *key,
                  il_chat_value *out)
{
    const il_chat_value *found;
    int64_t i = 0;
    size_t count = 0;

    if (a->is == IL_CHAT_IS_DICT) {
        found = il__chat_find(r, a, key);
        *out = found != NULL ? *found : il__chat_undefined;
        return found != NULL;
    }
    if ((a->is != IL_CHAT_IS_LIST && a->is != IL_CHAT_IS_TUPLE &&
         a->is != IL_CHAT_IS_RANGE && a->is != IL_CHAT_IS_TEXT) ||
        !il__chat_as_int(key, &i) || !il__chat_length(r, a, &count)) {
        return false;
    }
    i += i < 0 ? (int64_t)count : 0;
    if (i < 0 || i >= (int64_t)count) {
        return false;
    }
    if (a->is == IL_CHAT_IS_TEXT) {
        size_t at = il__chat_byte(a, (size_t)i);

        *out = il__chat_part(a, at, at + il__utf8_length(a->text[at]));
    } else {
        *out = a->items[i];
    }
    return true;
}

static bool there(il_chat_run *r, const il_chat_value *a, const char *name, size_t size)
{
    if (a->is == IL_CHAT_IS_UNDEFINED) {
        (void)il__chat_fail(
            r, IL_ERR_INPUT, "%s%.*s%s has no '%.*s'",
            a->size > 0 ? "'" : "what is undefined", (int)(a->size < 64 ? a->size : 64),
            a->size > 0 ? a->text : "", a->size > 0 ? "' is undefined and" : "",
            (int)(size < 64 ? size : 64), name);
    }
    return r->status == IL_OK;
}

il_chat_value il__chat_member(il_chat_run *r, const il_chat_value *a, const char *name,
                              size_t size)
{
    il_chat_value key = il__chat_plain(name, size);
    il_chat_value out;

    if (!there(r, a, name, size)) {
        return il__chat_undefined;
    }
    return attribute(r, a, name, size, &out) || entry(r, a, &key, &out)
               ? out
               : absent(name, size);
}

il_chat_value il__chat_index(il_chat_run *r, const il_chat_value *a,
                             const il_chat_value *key)
{
    bool named = key->is == IL_CHAT_IS_TEXT;
    il_chat_value out;

    if (!there(r, a, named ? key->text : "entry", named ? key->size : 5)) {
        return il__chat_undefined;
    }
    if (entry(r, a, key, &out)) {
        return out;
    }
    if (named && attribute(r, a, key->text, key->size, &out)) {
        return out;
    }
    return named ? absent(key->text, key->size) : il__chat_undefined;
}

il_chat_value il__chat_attribute(il_chat_run *r, const il_chat_value *v,
                                 const il_chat_value *path)
{
    il_chat_value out = *v;
    size_t at = 0;

    if (path->is != IL_CHAT_IS_TEXT) {
        return il__chat_index(r, v, path);
    }
    while (r->status == IL_OK) {
        size_t end = at;
        il_chat_value key;
        int64_t number = 0;
        bool digits = true;

        for (; end < path->size && path->text[end] != '.'; end++) {
            digits = digits && path->text[end] >= '0' && path->text[end] <= '9';
            number = digits && number < 1 << 20 ? number * 10 + (path->text[end] - '0')
                                                : number;
        }
        key = digits && end > at ? il__chat_int(number)
                                 : il__chat_plain(path->text + at, end - at);
        out = il__chat_index(r, &out, &key);
        if (end >= path->size) {
            break;
        }
        at = end + 1;
    }
    return out;
}

/* A bound of a slice, as Python's slice.indices has it. */
static bool bound(il_chat_run *r, const il_chat_value *v, int64_t count, int64_t step,
                  int64_t missing, int64_t *out)
{
    *out = missing;
    if (v->is == IL_CHAT_IS_NONE) {
        return true;
    }
    if (!il__chat_as_int(v, out)) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "slices are by whole numbers");
        return false;
    }
    *out += *out < 0 ? count : 0;
    *out = *out < 0 ? (step < 0 ? -1 : 0) : *out;
    *out = *out >= count ? (step < 0 ? count - 1 : count) : *out;
    return true;
}

il_chat_value il__chat_slice(il_chat_run *r, const il_chat_value *a,
                             const il_chat_value *first, const il_chat_value *last,
                             const il_chat_value *step)
{
    il_chat_value source = *a;
    il_chat_value out;
    il_chat_value *items;
    int64_t by = 1;
    int64_t from = 0;
    int64_t to = 0;
    int64_t n;
    size_t count = 0;
    il_chat_text text = {0};

    if (!there(r, a, "slice", 5)) {
        return il__chat_undefined;
    }
    if (a->is != IL_CHAT_IS_LIST && a->is != IL_CHAT_IS_TUPLE &&
        a->is != IL_CHAT_IS_RANGE && a->is != IL_CHAT_IS_TEXT) {
        return il__chat_undefined;
    }
    if ((step->is != IL_CHAT_IS_NONE && !il__chat_as_int(step, &by)) || by == 0 ||
        by < -(1 << 30) || by > 1 << 30) {
        return il__chat_fail(r, IL_ERR_INPUT, "a slice's step");
    }
    if (!il__chat_length(r, a, &count) ||
        !bound(r, first, (int64_t)count, by, by < 0 ? (int64_t)count - 1 : 0, &from) ||
        !bound(r, last, (int64_t)count, by, by < 0 ? -1 : (int64_t)count, &to)) {
        return il__chat_undefined;
    }
    n = by > 0 ? (to - from + by - 1) / by : (from - to - by - 1) / -by;
    n = (by > 0 ? to <= from : to >= from) ? 0 : n;
    if (a->is == IL_CHAT_IS_TEXT && by == 1) {
        return n == 0 ? il__chat_plain("", 0)
                      : il__chat_part(a, il__chat_byte(a, (size_t)from),
                                      il__chat_byte(a, (size_t)to));
    }
    if (a->is == IL_CHAT_IS_TEXT) {
        source = il__chat_list(r, a);
    }
    out = il__chat_many(r, source.is, (size_t)n, &items);
    for (int64_t i = 0; r->status == IL_OK && i < n; i++) {
        items[i] = source.items[from + i * by];
        if (a->is == IL_CHAT_IS_TEXT) {
            il__chat_put(r, &text, &items[i]);
        }
    }
    return a->is == IL_CHAT_IS_TEXT ? il__chat_take(r, &text) : out;
}
