/* The filters of chat templates, as Jinja has them, with `transformers`' tojson. */
#include "base/text.h"
#include "formats/chat_run.h"

typedef const il_chat_value *const *given;

bool il__chat_bind(il_chat_run *r, const il_chat_args *a, const char *what,
                   const char *names, const il_chat_value *out[IL_CHAT_ARGS])
{
    size_t spots = 0;

    memset(out, 0, IL_CHAT_ARGS * sizeof *out);
    for (const char *p = names; *p != '\0'; spots++) {
        size_t n = strcspn(p, " ");

        if (spots < a->count && a->names[spots] == NULL) {
            out[spots] = &a->values[spots];
        }
        for (size_t i = 0; i < a->count; i++) {
            if (a->names[i] != NULL && a->sizes[i] == n &&
                memcmp(a->names[i], p, n) == 0 && out[spots] == NULL) {
                out[spots] = &a->values[i];
            }
        }
        p += n + (p[n] == ' ');
    }
    for (size_t i = 0; i < a->count; i++) {
        bool used = false;

        for (size_t k = 0; k < spots; k++) {
            used = used || out[k] == &a->values[i];
        }
        if (!used) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "%s: unexpected argument '%.*s'", what,
                                a->names[i] != NULL ? (int)a->sizes[i] : 5,
                                a->names[i] != NULL ? a->names[i] : "of it");
            return false;
        }
    }
    return r->status == IL_OK;
}

static bool set(const il_chat_value *v)
{
    return v != NULL && il__chat_truth(v);
}

/* An argument as a whole number; `missing` where it is not given. */
static int64_t whole(il_chat_run *r, const il_chat_value *v, int64_t missing)
{
    int64_t out = missing;

    if (v != NULL && v->is != IL_CHAT_IS_NONE && !il__chat_as_int(v, &out)) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "expected a whole number, got %s",
                            il__chat_kind_name(v));
    }
    return out;
}

/* ---- one value ------------------------------------------------------------------ */

static il_chat_value f_default(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)r;
    if (v->is == IL_CHAT_IS_UNDEFINED || (set(a[1]) && !il__chat_truth(v))) {
        return a[0] != NULL ? *a[0] : il__chat_plain("", 0);
    }
    return *v;
}

static il_chat_value f_length(il_chat_run *r, const il_chat_value *v, given a)
{
    size_t n = 0;

    (void)a;
    return il__chat_length(r, v, &n) ? il__chat_int((int64_t)n) : il__chat_undefined;
}

static il_chat_value f_string(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return il__chat_text(r, v);
}

static il_chat_value f_safe(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value out = il__chat_text(r, v);

    (void)a;
    out.safe = true;
    return out;
}

static il_chat_value f_escape(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value out = il__chat_text(r, v);

    (void)a;
    return out.safe ? out : il__chat_escaped(r, &out);
}

static il_chat_value f_trim(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value text = il__chat_text(r, v);
    const il_chat_value *set_of =
        a[0] != NULL && a[0]->is != IL_CHAT_IS_NONE ? a[0] : NULL;

    return il__chat_strip(r, &text, set_of, true, true);
}

static il_chat_value cased(il_chat_run *r, const il_chat_value *v, il_chat_case how)
{
    il_chat_value text = il__chat_text(r, v);

    return il__chat_cased(r, &text, how);
}

static il_chat_value f_upper(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return cased(r, v, IL_CHAT_UPPER);
}

static il_chat_value f_lower(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return cased(r, v, IL_CHAT_LOWER);
}

static il_chat_value f_capitalize(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return cased(r, v, IL_CHAT_SENTENCE);
}

static il_chat_value f_title(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return cased(r, v, IL_CHAT_WORDS);
}

static il_chat_value f_replace(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value text = il__chat_text(r, v);
    il_chat_value from;
    il_chat_value to;

    if (a[0] == NULL || a[1] == NULL) {
        return il__chat_fail(r, IL_ERR_INPUT, "replace: expected two texts");
    }
    from = il__chat_text(r, a[0]);
    to = il__chat_text(r, a[1]);
    return il__chat_replace(r, &text, &from, &to, whole(r, a[2], -1));
}

static il_chat_value f_indent(il_chat_run *r, const il_chat_value *v, given a)
{
    const il_chat_value line_end = il__chat_plain("\n", 1);
    bool spelled = a[0] != NULL && a[0]->is == IL_CHAT_IS_TEXT;
    int64_t width = spelled ? 0 : whole(r, a[0], 4);
    il_chat_value text = il__chat_text(r, v);
    il_chat_value lines;
    il_chat_text out = {0};

    /* A line's end at the end of the text begins one more, which is empty. */
    text = il__chat_concat(r, &text, &line_end);
    lines = il__chat_lines(r, &text, false);
    for (size_t i = 0; i < lines.size && il__chat_work(r, 0); i++) {
        bool moved = i == 0 ? set(a[1]) : set(a[2]) || lines.items[i].size > 0;

        il__chat_put_bytes(r, &out, "\n", i > 0);
        if (moved && spelled) {
            il__chat_put(r, &out, a[0]);
        }
        for (int64_t k = 0; moved && r->status == IL_OK && k < width; k++) {
            il__chat_put_bytes(r, &out, " ", 1);
        }
        il__chat_put(r, &out, &lines.items[i]);
    }
    return il__chat_take(r, &out);
}

static il_chat_value f_tojson(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_json how = {.indent = -1,
                        .ascii = set(a[0]),
                        .sorted = set(a[3]),
                        .item_separator = il__chat_undefined,
                        .key_separator = il__chat_undefined};

    if (a[1] != NULL && a[1]->is == IL_CHAT_IS_TEXT) {
        char *copy = il__chat_alloc(r, a[1]->size + 1, 1);

        if (copy != NULL) {
            memcpy(copy, a[1]->text, a[1]->size);
            how.indentation = copy;
        }
    } else {
        how.indent = whole(r, a[1], -1);
        how.indent = a[1] != NULL && a[1]->is != IL_CHAT_IS_NONE && how.indent < 0
                         ? 0
                         : how.indent;
    }
    if (a[2] != NULL && a[2]->is != IL_CHAT_IS_NONE) {
        if (a[2]->size != 2 || a[2]->is == IL_CHAT_IS_TEXT || a[2]->items == NULL ||
            a[2]->items[0].is != IL_CHAT_IS_TEXT ||
            a[2]->items[1].is != IL_CHAT_IS_TEXT) {
            return il__chat_fail(r, IL_ERR_INPUT, "tojson: separators are two texts");
        }
        how.item_separator = a[2]->items[0];
        how.key_separator = a[2]->items[1];
    }
    return il__chat_to_json(r, v, &how);
}

static il_chat_value f_int(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value text;
    char digits[32] = "";
    int64_t out = 0;

    if (il__chat_as_int(v, &out)) {
        return il__chat_int(out);
    }
    if (v->is == IL_CHAT_IS_REAL && v->real > -9e18 && v->real < 9e18) {
        return il__chat_int((int64_t)v->real);
    }
    if (v->is == IL_CHAT_IS_TEXT) {
        text = il__chat_strip(r, v, NULL, true, true);
        if (text.size < sizeof digits) {
            double real;

            memcpy(digits, text.text, text.size);
            if (il_parse_int(digits, &out)) {
                return il__chat_int(out);
            }
            if (il_parse_real(digits, &real) && real > -9e18 && real < 9e18) {
                return il__chat_int((int64_t)real);
            }
        }
    }
    return a[0] != NULL ? *a[0] : il__chat_int(0);
}

static il_chat_value f_abs(il_chat_run *r, const il_chat_value *v, given a)
{
    int64_t x;

    (void)a;
    if (il__chat_as_int(v, &x) && x != INT64_MIN) {
        return il__chat_int(x < 0 ? -x : x);
    }
    return v->is == IL_CHAT_IS_REAL
               ? il__chat_real(v->real < 0 ? -v->real : v->real)
               : il__chat_fail(r, IL_ERR_INPUT, "abs: of %s", il__chat_kind_name(v));
}

/* ---- lists ---------------------------------------------------------------------- */

static il_chat_value f_list(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return il__chat_list(r, v);
}

static il_chat_value f_first(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list;

    (void)a;
    if (v->is == IL_CHAT_IS_ONCE) {
        return il__chat_fail(r, IL_ERR_UNSUPPORTED, "first of %s: put |list before it",
                             il__chat_kind_name(v));
    }
    list = il__chat_list(r, v);
    return list.size > 0 ? list.items[0] : il__chat_undefined;
}

static il_chat_value f_last(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list;

    (void)a;
    if (v->is == IL_CHAT_IS_ONCE) {
        return il__chat_fail(r, IL_ERR_INPUT, "last of %s", il__chat_kind_name(v));
    }
    list = il__chat_list(r, v);
    return list.size > 0 ? list.items[list.size - 1] : il__chat_undefined;
}

static il_chat_value f_reverse(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list = il__chat_list(r, v);
    il_chat_value *items;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_ONCE, list.size, &items);
    il_chat_text text = {0};

    (void)a;
    for (size_t i = 0; r->status == IL_OK && i < list.size; i++) {
        items[i] = list.items[list.size - 1 - i];
        if (v->is == IL_CHAT_IS_TEXT) {
            il__chat_put(r, &text, &items[i]);
        }
    }
    return v->is == IL_CHAT_IS_TEXT ? il__chat_take(r, &text) : out;
}

static il_chat_value f_join(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list = il__chat_list(r, v);
    il_chat_value by = a[0] != NULL ? il__chat_text(r, a[0]) : il__chat_plain("", 0);
    il_chat_text out = {0};

    for (size_t i = 0; i < list.size && il__chat_work(r, 0); i++) {
        il_chat_value item = a[1] != NULL && a[1]->is != IL_CHAT_IS_NONE
                                 ? il__chat_attribute(r, &list.items[i], a[1])
                                 : list.items[i];

        item = il__chat_text(r, &item);
        if (i > 0) {
            il__chat_put(r, &out, &by);
        }
        il__chat_put(r, &out, &item);
    }
    return il__chat_take(r, &out);
}

static il_chat_value pairs(il_chat_run *r, const il_chat_value *v, il_chat_is is)
{
    il_chat_value *items;
    il_chat_value *pair;
    il_chat_value out = il__chat_many(r, is, v->size, &items);

    for (size_t i = 0; r->status == IL_OK && i < v->size; i++) {
        items[i] = il__chat_many(r, IL_CHAT_IS_TUPLE, 2, &pair);
        if (r->status == IL_OK) {
            pair[0] = v->items[2 * i];
            pair[1] = v->items[2 * i + 1];
        }
    }
    return out;
}

static il_chat_value f_items(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value *items;

    (void)a;
    if (v->is == IL_CHAT_IS_UNDEFINED) {
        return il__chat_many(r, IL_CHAT_IS_ONCE, 0, &items);
    }
    return v->is == IL_CHAT_IS_DICT
               ? pairs(r, v, IL_CHAT_IS_ONCE)
               : il__chat_fail(r, IL_ERR_INPUT, "items: of %s", il__chat_kind_name(v));
}

static il_chat_value f_sort(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list = il__chat_list(r, v);

    return il__chat_sorted(r, &list, a[2], set(a[1]), set(a[0]));
}

static il_chat_value f_dictsort(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list;
    il_chat_value path = il__chat_int(a[1] != NULL && il__chat_is_text(a[1], "value"));

    if (v->is != IL_CHAT_IS_DICT) {
        return il__chat_fail(r, IL_ERR_INPUT, "dictsort: of %s", il__chat_kind_name(v));
    }
    list = pairs(r, v, IL_CHAT_IS_LIST);
    return il__chat_sorted(r, &list, &path, set(a[0]), set(a[2]));
}

static il_chat_value f_unique(il_chat_run *r, const il_chat_value *v, given a)
{
    return il__chat_unique(r, v, a[1], set(a[0]));
}

static il_chat_value f_max(il_chat_run *r, const il_chat_value *v, given a)
{
    return il__chat_extreme(r, v, a[1], set(a[0]), 1);
}

static il_chat_value f_min(il_chat_run *r, const il_chat_value *v, given a)
{
    return il__chat_extreme(r, v, a[1], set(a[0]), -1);
}

static il_chat_value f_sum(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list = il__chat_list(r, v);
    int64_t out = whole(r, a[1], 0);

    for (size_t i = 0; r->status == IL_OK && i < list.size; i++) {
        il_chat_value item = a[0] != NULL && a[0]->is != IL_CHAT_IS_NONE
                                 ? il__chat_attribute(r, &list.items[i], a[0])
                                 : list.items[i];
        int64_t x = whole(r, &item, 0);

        if (__builtin_add_overflow(out, x, &out)) {
            return il__chat_fail(r, IL_ERR_UNSUPPORTED, "sum: too large a number");
        }
    }
    return il__chat_int(out);
}

/* ---- by a filter or a test ------------------------------------------------------ */

/* Arguments from the n-th on. */
static il_chat_args behind(const il_chat_args *a, size_t n)
{
    n = n < a->count ? n : a->count;
    return (il_chat_args){a->values + n, a->names + n, a->sizes + n, a->count - n};
}

static bool by_name(const il_chat_args *a, size_t i)
{
    return i < a->count && a->names[i] == NULL && a->values[i].is == IL_CHAT_IS_TEXT;
}

/* What map and select go through: of what is not true, nothing. */
static il_chat_value some(il_chat_run *r, const il_chat_value *v)
{
    return il__chat_list(r, il__chat_truth(v) ? v : &il__chat_undefined);
}

static il_chat_value f_map(il_chat_run *r, const il_chat_value *v,
                           const il_chat_args *a)
{
    il_chat_value list = some(r, v);
    il_chat_value *items;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_ONCE, list.size, &items);
    const il_chat_value *named[IL_CHAT_ARGS];
    il_chat_args rest = behind(a, 1);

    if (by_name(a, 0)) {
        for (size_t i = 0; i < list.size && il__chat_work(r, 0); i++) {
            items[i] = il__chat_apply(r, a->values[0].text, a->values[0].size,
                                      &list.items[i], &rest);
        }
        return out;
    }
    if (!il__chat_bind(r, a, "map", " attribute default", named) || named[1] == NULL) {
        return il__chat_fail(r, IL_ERR_INPUT, "map: expected a filter or attribute=");
    }
    for (size_t i = 0; i < list.size && il__chat_work(r, 0); i++) {
        items[i] = il__chat_attribute(r, &list.items[i], named[1]);
        if (items[i].is == IL_CHAT_IS_UNDEFINED && named[2] != NULL) {
            items[i] = *named[2];
        }
    }
    return out;
}

/* select, reject, selectattr, rejectattr: what a test holds of, or of an attribute. */
static il_chat_value chosen(il_chat_run *r, const il_chat_value *v,
                            const il_chat_args *a, bool attribute, bool wanted)
{
    il_chat_value list = some(r, v);
    il_chat_value *items;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_ONCE, list.size, &items);
    size_t first = attribute ? 1 : 0;
    il_chat_args rest = behind(a, first + 1);
    size_t n = 0;

    if (attribute && (a->count == 0 || a->names[0] != NULL)) {
        return il__chat_fail(r, IL_ERR_INPUT, "expected an attribute");
    }
    if (a->count > first && !by_name(a, first)) {
        return il__chat_fail(r, IL_ERR_INPUT, "expected the name of a test");
    }
    for (size_t i = 0; i < list.size && il__chat_work(r, 0); i++) {
        il_chat_value of = attribute
                               ? il__chat_attribute(r, &list.items[i], &a->values[0])
                               : list.items[i];
        bool holds = a->count > first
                         ? il__chat_holds(r, a->values[first].text,
                                          a->values[first].size, &of, &rest)
                         : il__chat_truth(&of);

        if (holds == wanted) {
            items[n++] = list.items[i];
        }
    }
    out.size = n;
    return out;
}

/* ---- the table ------------------------------------------------------------------ */

static const struct {
    const char *name;
    const char *arguments;
    il_chat_value (*run)(il_chat_run *r, const il_chat_value *v, given a);
} filters[] = {
    {"abs", "", f_abs},
    {"capitalize", "", f_capitalize},
    {"count", "", f_length},
    {"d", "default_value boolean", f_default},
    {"default", "default_value boolean", f_default},
    {"dictsort", "case_sensitive by reverse", f_dictsort},
    {"e", "", f_escape},
    {"escape", "", f_escape},
    {"first", "", f_first},
    {"indent", "width first blank", f_indent},
    {"int", "default", f_int},
    {"items", "", f_items},
    {"join", "d attribute", f_join},
    {"last", "", f_last},
    {"length", "", f_length},
    {"list", "", f_list},
    {"lower", "", f_lower},
    {"max", "case_sensitive attribute", f_max},
    {"min", "case_sensitive attribute", f_min},
    {"replace", "old new count", f_replace},
    {"reverse", "", f_reverse},
    {"safe", "", f_safe},
    {"sort", "reverse case_sensitive attribute", f_sort},
    {"string", "", f_string},
    {"sum", "attribute start", f_sum},
    {"title", "", f_title},
    {"tojson", "ensure_ascii indent separators sort_keys", f_tojson},
    {"trim", "chars", f_trim},
    {"unique", "case_sensitive attribute", f_unique},
    {"upper", "", f_upper},
};

il_chat_value il__chat_apply(il_chat_run *r, const char *name, size_t size,
                             const il_chat_value *v, const il_chat_args *a)
{
    const il_chat_value key = il__chat_plain(name, size);
    const il_chat_value *bound[IL_CHAT_ARGS];

    for (size_t k = 0; k < sizeof filters / sizeof filters[0]; k++) {
        if (il__chat_is_text(&key, filters[k].name)) {
            return il__chat_bind(r, a, filters[k].name, filters[k].arguments, bound)
                       ? filters[k].run(r, v, bound)
                       : il__chat_undefined;
        }
    }
    if (il__chat_is_text(&key, "map")) {
        return f_map(r, v, a);
    }
    for (int k = 0; k < 4; k++) {
        static const char *const names[] = {"reject", "select", "rejectattr",
                                            "selectattr"};

        if (il__chat_is_text(&key, names[k])) {
            return chosen(r, v, a, k >= 2, k % 2 == 1);
        }
    }
    if (il__chat_is_text(&key, "format")) {
        il_chat_value list;
        il_chat_value text = il__chat_text(r, v);
        il_chat_value *items;

        list = il__chat_many(r, IL_CHAT_IS_TUPLE, a->count, &items);
        for (size_t i = 0; r->status == IL_OK && i < a->count; i++) {
            items[i] = a->values[i];
        }
        return il__chat_percent(r, &text, &list);
    }
    return il__chat_fail(r, IL_ERR_UNSUPPORTED, "the filter '%.*s'",
                         (int)(size < 48 ? size : 48), name);
}
