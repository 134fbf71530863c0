/* The methods of Python's strings, dicts and lists that chat templates call. Those that
 * would change something are not among them: Jinja's sandbox refuses them, too. */
#include "formats/chat_run.h"
#include "formats/tokenizer_unicode.h"

typedef const il_chat_value *const *given;

static bool is_none(const il_chat_value *v)
{
    return v == NULL || v->is == IL_CHAT_IS_NONE;
}

/* An argument that is to be text; false, and an error, where it is not. */
static bool text(il_chat_run *r, const il_chat_value *v)
{
    if (v == NULL || v->is != IL_CHAT_IS_TEXT) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "expected text, got %s",
                            v != NULL ? il__chat_kind_name(v) : "nothing");
        return false;
    }
    return true;
}

/* ---- text ----------------------------------------------------------------------- */

static il_chat_value t_strip(il_chat_run *r, const il_chat_value *v, given a)
{
    return is_none(a[0]) || text(r, a[0])
               ? il__chat_strip(r, v, is_none(a[0]) ? NULL : a[0], true, true)
               : il__chat_undefined;
}

static il_chat_value t_lstrip(il_chat_run *r, const il_chat_value *v, given a)
{
    return is_none(a[0]) || text(r, a[0])
               ? il__chat_strip(r, v, is_none(a[0]) ? NULL : a[0], true, false)
               : il__chat_undefined;
}

static il_chat_value t_rstrip(il_chat_run *r, const il_chat_value *v, given a)
{
    return is_none(a[0]) || text(r, a[0])
               ? il__chat_strip(r, v, is_none(a[0]) ? NULL : a[0], false, true)
               : il__chat_undefined;
}

static il_chat_value t_upper(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return il__chat_cased(r, v, IL_CHAT_UPPER);
}

static il_chat_value t_lower(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return il__chat_cased(r, v, IL_CHAT_LOWER);
}

static il_chat_value t_capitalize(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return il__chat_cased(r, v, IL_CHAT_SENTENCE);
}

static il_chat_value t_title(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return il__chat_cased(r, v, IL_CHAT_TITLE);
}

static bool at_end(const il_chat_value *v, const il_chat_value *b, bool start)
{
    return b->size <= v->size &&
           (b->size == 0 || memcmp(start ? v->text : v->text + v->size - b->size,
                                   b->text, b->size) == 0);
}

/* startswith and endswith, of a text or of any in a tuple. */
static il_chat_value ends(il_chat_run *r, const il_chat_value *v, given a, bool start)
{
    if (a[1] != NULL) {
        return il__chat_fail(r, IL_ERR_UNSUPPORTED,
                             "startswith and endswith from a place");
    }
    if (a[0] != NULL && a[0]->is == IL_CHAT_IS_TUPLE) {
        for (size_t i = 0; i < a[0]->size && text(r, &a[0]->items[i]); i++) {
            if (at_end(v, &a[0]->items[i], start)) {
                return il__chat_flag(true);
            }
        }
        return il__chat_flag(false);
    }
    return text(r, a[0]) ? il__chat_flag(at_end(v, a[0], start)) : il__chat_undefined;
}

static il_chat_value t_startswith(il_chat_run *r, const il_chat_value *v, given a)
{
    return ends(r, v, a, true);
}

static il_chat_value t_endswith(il_chat_run *r, const il_chat_value *v, given a)
{
    return ends(r, v, a, false);
}

static il_chat_value t_removeprefix(il_chat_run *r, const il_chat_value *v, given a)
{
    return text(r, a[0]) && at_end(v, a[0], true)
               ? il__chat_part(v, a[0]->size, v->size)
               : *v;
}

static il_chat_value t_removesuffix(il_chat_run *r, const il_chat_value *v, given a)
{
    return text(r, a[0]) && at_end(v, a[0], false)
               ? il__chat_part(v, 0, v->size - a[0]->size)
               : *v;
}

static il_chat_value t_replace(il_chat_run *r, const il_chat_value *v, given a)
{
    int64_t most = -1;

    if (!text(r, a[0]) || !text(r, a[1]) ||
        (a[2] != NULL && !il__chat_as_int(a[2], &most))) {
        return il__chat_fail(r, IL_ERR_INPUT, "replace: expected two texts");
    }
    return il__chat_replace(r, v, a[0], a[1], most);
}

static il_chat_value pieces(il_chat_run *r, const il_chat_value *v, given a, bool right)
{
    int64_t most = -1;

    if (a[1] != NULL && !il__chat_as_int(a[1], &most)) {
        return il__chat_fail(r, IL_ERR_INPUT, "split: expected a whole number");
    }
    return is_none(a[0]) || text(r, a[0])
               ? il__chat_split(r, v, is_none(a[0]) ? NULL : a[0], most, right)
               : il__chat_undefined;
}

static il_chat_value t_split(il_chat_run *r, const il_chat_value *v, given a)
{
    return pieces(r, v, a, false);
}

static il_chat_value t_rsplit(il_chat_run *r, const il_chat_value *v, given a)
{
    return pieces(r, v, a, true);
}

static il_chat_value partition(il_chat_run *r, const il_chat_value *v, given a,
                               bool right)
{
    il_chat_value *items;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_TUPLE, 3, &items);
    size_t at;

    if (!text(r, a[0]) || r->status != IL_OK) {
        return il__chat_undefined;
    }
    at = right ? il__chat_search_back(r, v, a[0], v->size)
               : il__chat_search(r, v, a[0], 0);
    items[0] = items[1] = items[2] = il__chat_plain("", 0);
    if (at == SIZE_MAX) {
        items[right ? 2 : 0] = *v;
    } else {
        items[0] = il__chat_part(v, 0, at);
        items[1] = *a[0];
        items[2] = il__chat_part(v, at + a[0]->size, v->size);
    }
    return out;
}

static il_chat_value t_partition(il_chat_run *r, const il_chat_value *v, given a)
{
    return partition(r, v, a, false);
}

static il_chat_value t_rpartition(il_chat_run *r, const il_chat_value *v, given a)
{
    return partition(r, v, a, true);
}

/* A byte's place as that of its character. */
static il_chat_value place(const il_chat_value *v, size_t at)
{
    il_chat_value before = il__chat_part(v, 0, at == SIZE_MAX ? 0 : at);

    return il__chat_int(at == SIZE_MAX ? -1 : (int64_t)il__chat_characters(&before));
}

static il_chat_value t_find(il_chat_run *r, const il_chat_value *v, given a)
{
    return text(r, a[0]) ? place(v, il__chat_search(r, v, a[0], 0))
                         : il__chat_undefined;
}

static il_chat_value t_rfind(il_chat_run *r, const il_chat_value *v, given a)
{
    return text(r, a[0]) ? place(v, il__chat_search_back(r, v, a[0], v->size))
                         : il__chat_undefined;
}

static il_chat_value t_index(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value out = t_find(r, v, a);

    return out.number < 0
               ? il__chat_fail(r, IL_ERR_INPUT, "index: there is no such text")
               : out;
}

static il_chat_value t_count(il_chat_run *r, const il_chat_value *v, given a)
{
    int64_t n = 0;

    if (!text(r, a[0]) || a[0]->size == 0) {
        return il__chat_fail(r, IL_ERR_UNSUPPORTED, "count of an empty text");
    }
    for (size_t at = 0; (at = il__chat_search(r, v, a[0], at)) != SIZE_MAX;) {
        at += a[0]->size;
        n++;
    }
    return il__chat_int(n);
}

static il_chat_value t_join(il_chat_run *r, const il_chat_value *v, given a)
{
    il_chat_value list = a[0] != NULL
                             ? il__chat_list(r, a[0])
                             : il__chat_fail(r, IL_ERR_INPUT, "join: expected a list");
    il_chat_text out = {0};

    for (size_t i = 0; i < list.size && il__chat_work(r, 0); i++) {
        if (!text(r, &list.items[i])) {
            break;
        }
        if (i > 0) {
            il__chat_put(r, &out, v);
        }
        il__chat_put(r, &out, &list.items[i]);
    }
    return il__chat_take(r, &out);
}

static il_chat_value t_splitlines(il_chat_run *r, const il_chat_value *v, given a)
{
    return il__chat_lines(r, v, a[0] != NULL && il__chat_truth(a[0]));
}

/* Whether there are characters, all of them as asked: ASCII only, but for spaces. */
static il_chat_value all(il_chat_run *r, const il_chat_value *v, char kind)
{
    bool holds = v->size > 0;
    size_t n;

    for (size_t i = 0; holds && i < v->size && il__chat_work(r, 0); i += n) {
        char c = v->text[i];
        bool digit = c >= '0' && c <= '9';
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool space = il__chat_space(v, i, &n);

        if (kind != 's' && (unsigned char)c >= 0x80) {
            return il__chat_fail(r, IL_ERR_UNSUPPORTED,
                                 "kinds of characters that are not ASCII");
        }
        holds = kind == 's'   ? space
                : kind == 'd' ? digit
                : kind == 'a' ? letter
                              : digit || letter;
    }
    return il__chat_flag(holds);
}

static il_chat_value t_isspace(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return all(r, v, 's');
}

static il_chat_value t_isdigit(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return all(r, v, 'd');
}

static il_chat_value t_isalpha(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return all(r, v, 'a');
}

static il_chat_value t_isalnum(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return all(r, v, 'n');
}

/* ---- dicts and lists ------------------------------------------------------------ */

static il_chat_value d_get(il_chat_run *r, const il_chat_value *v, given a)
{
    const il_chat_value *found;

    if (a[0] == NULL) {
        return il__chat_fail(r, IL_ERR_INPUT, "get: expected a key");
    }
    found = il__chat_find(r, v, a[0]);
    return found != NULL ? *found : a[1] != NULL ? *a[1] : il__chat_none;
}

/* Keys, values or pairs of both. */
static il_chat_value view(il_chat_run *r, const il_chat_value *v, char what)
{
    il_chat_value *items;
    il_chat_value *pair;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_VIEW, v->size, &items);

    for (size_t i = 0; r->status == IL_OK && i < v->size; i++) {
        if (what != 'i') {
            items[i] = v->items[2 * i + (what == 'v')];
            continue;
        }
        items[i] = il__chat_many(r, IL_CHAT_IS_TUPLE, 2, &pair);
        if (r->status == IL_OK) {
            pair[0] = v->items[2 * i];
            pair[1] = v->items[2 * i + 1];
        }
    }
    return out;
}

static il_chat_value d_items(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return view(r, v, 'i');
}

static il_chat_value d_keys(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return view(r, v, 'k');
}

static il_chat_value d_values(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return view(r, v, 'v');
}

static il_chat_value copy(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)r;
    (void)a;
    return *v;
}

static il_chat_value changes(il_chat_run *r, const il_chat_value *v, given a)
{
    (void)a;
    return il__chat_fail(r, IL_ERR_INPUT,
                         "changes %s, which a template may not: use a namespace",
                         il__chat_kind_name(v));
}

static il_chat_value l_index(il_chat_run *r, const il_chat_value *v, given a)
{
    for (size_t i = 0; a[0] != NULL && i < v->size; i++) {
        if (il__chat_equal(r, &v->items[i], a[0])) {
            return il__chat_int((int64_t)i);
        }
    }
    return il__chat_fail(r, IL_ERR_INPUT, "index: there is no such entry");
}

static il_chat_value l_count(il_chat_run *r, const il_chat_value *v, given a)
{
    int64_t n = 0;

    for (size_t i = 0; a[0] != NULL && i < v->size; i++) {
        n += il__chat_equal(r, &v->items[i], a[0]);
    }
    return il__chat_int(n);
}

/* ---- the table ------------------------------------------------------------------ */

static const struct {
    il_chat_is of;
    const char *name;
    const char *arguments;
    il_chat_value (*run)(il_chat_run *r, const il_chat_value *v, given a);
} methods[] = {
    {IL_CHAT_IS_TEXT, "capitalize", "", t_capitalize},
    {IL_CHAT_IS_TEXT, "count", "sub", t_count},
    {IL_CHAT_IS_TEXT, "endswith", "suffix start", t_endswith},
    {IL_CHAT_IS_TEXT, "find", "sub", t_find},
    {IL_CHAT_IS_TEXT, "format", NULL, NULL},
    {IL_CHAT_IS_TEXT, "index", "sub", t_index},
    {IL_CHAT_IS_TEXT, "isalnum", "", t_isalnum},
    {IL_CHAT_IS_TEXT, "isalpha", "", t_isalpha},
    {IL_CHAT_IS_TEXT, "isdigit", "", t_isdigit},
    {IL_CHAT_IS_TEXT, "isspace", "", t_isspace},
    {IL_CHAT_IS_TEXT, "join", "iterable", t_join},
    {IL_CHAT_IS_TEXT, "lower", "", t_lower},
    {IL_CHAT_IS_TEXT, "lstrip", "chars", t_lstrip},
    {IL_CHAT_IS_TEXT, "partition", "sep", t_partition},
    {IL_CHAT_IS_TEXT, "removeprefix", "prefix", t_removeprefix},
    {IL_CHAT_IS_TEXT, "removesuffix", "suffix", t_removesuffix},
    {IL_CHAT_IS_TEXT, "replace", "old new count", t_replace},
    {IL_CHAT_IS_TEXT, "rfind", "sub", t_rfind},
    {IL_CHAT_IS_TEXT, "rpartition", "sep", t_rpartition},
    {IL_CHAT_IS_TEXT, "rsplit", "sep maxsplit", t_rsplit},
    {IL_CHAT_IS_TEXT, "rstrip", "chars", t_rstrip},
    {IL_CHAT_IS_TEXT, "split", "sep maxsplit", t_split},
    {IL_CHAT_IS_TEXT, "splitlines", "keepends", t_splitlines},
    {IL_CHAT_IS_TEXT, "startswith", "prefix start", t_startswith},
    {IL_CHAT_IS_TEXT, "strip", "chars", t_strip},
    {IL_CHAT_IS_TEXT, "title", "", t_title},
    {IL_CHAT_IS_TEXT, "upper", "", t_upper},
    {IL_CHAT_IS_DICT, "clear", "", changes},
    {IL_CHAT_IS_DICT, "copy", "", copy},
    {IL_CHAT_IS_DICT, "get", "key default", d_get},
    {IL_CHAT_IS_DICT, "items", "", d_items},
    {IL_CHAT_IS_DICT, "keys", "", d_keys},
    {IL_CHAT_IS_DICT, "pop", "key default", changes},
    {IL_CHAT_IS_DICT, "popitem", "", changes},
    {IL_CHAT_IS_DICT, "setdefault", "key default", changes},
    {IL_CHAT_IS_DICT, "update", "from", changes},
    {IL_CHAT_IS_DICT, "values", "", d_values},
    {IL_CHAT_IS_LIST, "append", "item", changes},
    {IL_CHAT_IS_LIST, "clear", "", changes},
    {IL_CHAT_IS_LIST, "copy", "", copy},
    {IL_CHAT_IS_LIST, "count", "value", l_count},
    {IL_CHAT_IS_LIST, "extend", "items", changes},
    {IL_CHAT_IS_LIST, "index", "value", l_index},
    {IL_CHAT_IS_LIST, "insert", "index item", changes},
    {IL_CHAT_IS_LIST, "pop", "index", changes},
    {IL_CHAT_IS_LIST, "remove", "item", changes},
    {IL_CHAT_IS_LIST, "reverse", "", changes},
    {IL_CHAT_IS_LIST, "sort", "", changes},
    {IL_CHAT_IS_TUPLE, "count", "value", l_count},
    {IL_CHAT_IS_TUPLE, "index", "value", l_index},
};

/* The method's place in the table, or SIZE_MAX. */
static size_t method_of(const il_chat_value *v, const char *name, size_t size)
{
    for (size_t k = 0; k < sizeof methods / sizeof methods[0]; k++) {
        if (methods[k].of == v->is && strlen(methods[k].name) == size &&
            memcmp(methods[k].name, name, size) == 0) {
            return k;
        }
    }
    return SIZE_MAX;
}

bool il__chat_has_method(const il_chat_value *v, const char *name, size_t size)
{
    bool loops =
        v->is == IL_CHAT_IS_LOOP && ((size == 5 && memcmp(name, "cycle", 5) == 0) ||
                                     (size == 7 && memcmp(name, "changed", 7) == 0));

    return loops || method_of(v, name, size) != SIZE_MAX;
}

static il_chat_value loop_method(il_chat_run *r, const il_chat_value *of,
                                 const il_chat_value *name, const il_chat_args *a)
{
    il_chat_loop *l = of->object;
    il_chat_value now;
    il_chat_value *items;
    bool same;

    if (a->count == 0) {
        return il__chat_fail(r, IL_ERR_INPUT, "loop: expected values to choose from");
    }
    if (il__chat_is_text(name, "cycle")) {
        return a->values[l->at % a->count];
    }
    now = il__chat_many(r, IL_CHAT_IS_TUPLE, a->count, &items);
    for (size_t i = 0; r->status == IL_OK && i < a->count; i++) {
        items[i] = a->values[i];
    }
    same = l->changes && il__chat_equal(r, &l->last, &now);
    l->changes = true;
    l->last = now;
    return il__chat_flag(!same);
}

il_chat_value il__chat_method(il_chat_run *r, const il_chat_value *of,
                              const il_chat_value *name, const il_chat_args *a)
{
    size_t k = method_of(of, name->text, name->size);
    const il_chat_value *bound[IL_CHAT_ARGS];

    if (of->is == IL_CHAT_IS_LOOP) {
        return loop_method(r, of, name, a);
    }
    if (methods[k].run == NULL) {
        return il__chat_format(r, of, a);
    }
    return il__chat_bind(r, a, methods[k].name, methods[k].arguments, bound)
               ? methods[k].run(r, of, bound)
               : il__chat_undefined;
}
