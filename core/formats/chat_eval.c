/* The expressions of a running chat template, and what they call. */
#include <math.h>
#include "formats/chat_run.h"

/* ---- names ---------------------------------------------------------------------- */

const il_chat_value *il__chat_get(const il_chat_scope *scope, const char *name,
                                  size_t size)
{
    for (; scope != NULL; scope = scope->outer) {
        for (const il_chat_variable *v = scope->first; v != NULL; v = v->next) {
            if (v->size == size && memcmp(v->name, name, size) == 0) {
                return &v->value;
            }
        }
    }
    return NULL;
}

void il__chat_set(il_chat_run *r, il_chat_scope *scope, const char *name, size_t size,
                  il_chat_value value)
{
    il_chat_variable *v = scope->first;

    while (v != NULL && (v->size != size || memcmp(v->name, name, size) != 0)) {
        v = v->next;
    }
    if (v == NULL) {
        v = il__chat_alloc(r, 1, sizeof *v);
        if (v == NULL) {
            return;
        }
        v->name = name;
        v->size = size;
        v->next = scope->first;
        scope->first = v;
    }
    v->value = value;
}

static il_chat_value lookup(il_chat_run *r, const il_chat_node *n)
{
    static const char *const functions[] = {"raise_exception", "namespace", "range",
                                            "strftime_now",    "dict",      "joiner",
                                            "cycler",          "lipsum"};
    const il_chat_value *found = il__chat_get(r->scope, n->text, n->size);
    il_chat_value name = il__chat_plain(n->text, n->size);

    if (found != NULL) {
        return *found;
    }
    for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++) {
        if (il__chat_is_text(&name, functions[k])) {
            name.is = IL_CHAT_IS_FUNCTION;
            return name;
        }
    }
    name.is = IL_CHAT_IS_UNDEFINED;
    return name;
}

/* ---- arithmetic ----------------------------------------------------------------- */

static il_chat_value too_large(il_chat_run *r)
{
    return il__chat_fail(r, IL_ERR_UNSUPPORTED, "a number beyond 64 bits");
}

static il_chat_value power(il_chat_run *r, int64_t a, int64_t b)
{
    int64_t out = 1;

    if (b < 0) {
        return il__chat_real(pow((double)a, (double)b));
    }
    for (; b > 0; b--) {
        if (__builtin_mul_overflow(out, a, &out) || !il__chat_work(r, 0)) {
            return too_large(r);
        }
    }
    return il__chat_int(out);
}

static il_chat_value of_ints(il_chat_run *r, int64_t sign, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool over = false;

    switch (sign) {
    case '+':
        over = __builtin_add_overflow(a, b, &out);
        break;
    case '-':
        over = __builtin_sub_overflow(a, b, &out);
        break;
    case '*':
        over = __builtin_mul_overflow(a, b, &out);
        break;
    case 'P':
        return power(r, a, b);
    default:
        if (b == 0) {
            return il__chat_fail(r, IL_ERR_INPUT, "division by zero");
        }
        if (sign == '/') {
            return il__chat_real((double)a / (double)b);
        }
        if (b == -1) {
            over = sign == 'F' && a == INT64_MIN;
            out = sign == 'F' && !over ? -a : 0;
        } else if (sign == 'F') {
            out = a / b - (a % b != 0 && (a < 0) != (b < 0));
        } else {
            out = a % b;
            out += out != 0 && (out < 0) != (b < 0) ? b : 0;
        }
    }
    return over ? too_large(r) : il__chat_int(out);
}

static il_chat_value of_reals(il_chat_run *r, int64_t sign, double a, double b)
{
    double rest;

    if (b == 0.0 && (sign == '/' || sign == 'F' || sign == '%')) {
        return il__chat_fail(r, IL_ERR_INPUT, "division by zero");
    }
    switch (sign) {
    case '+':
        return il__chat_real(a + b);
    case '-':
        return il__chat_real(a - b);
    case '*':
        return il__chat_real(a * b);
    case '/':
        return il__chat_real(a / b);
    case 'P':
        return il__chat_real(pow(a, b));
    default:
        rest = fmod(a, b);
        rest += rest != 0.0 && (rest < 0.0) != (b < 0.0) ? b : 0.0;
        return il__chat_real(sign == '%' ? rest : floor((a - rest) / b + 0.5));
    }
}

/* Text or a list, so many times. */
static il_chat_value repeat(il_chat_run *r, const il_chat_value *v, int64_t times)
{
    il_chat_text text = {0};
    il_chat_value *items;
    il_chat_value out;
    size_t n = times > 0 ? (size_t)times : 0;

    if (v->size > 0 && n > r->left / v->size) {
        return il__chat_fail(r, IL_ERR_INPUT, "takes too much memory");
    }
    if (v->is == IL_CHAT_IS_TEXT) {
        for (size_t i = 0; v->size > 0 && i < n && r->status == IL_OK; i++) {
            il__chat_put(r, &text, v);
        }
        return il__chat_take(r, &text);
    }
    out = il__chat_many(r, v->is, v->size * n, &items);
    for (size_t i = 0; r->status == IL_OK && i < out.size; i++) {
        items[i] = v->items[i % v->size];
    }
    return out;
}

static il_chat_value sum_of_lists(il_chat_run *r, const il_chat_value *a,
                                  const il_chat_value *b)
{
    il_chat_value *items;
    il_chat_value out = il__chat_many(r, a->is, a->size + b->size, &items);

    if (r->status == IL_OK && a->size > 0) {
        memcpy(items, a->items, a->size * sizeof *items);
    }
    if (r->status == IL_OK && b->size > 0) {
        memcpy(items + a->size, b->items, b->size * sizeof *items);
    }
    return out;
}

/* Text beside text marked as safe becomes HTML, as Jinja's Markup has it. */
static il_chat_value joined(il_chat_run *r, const il_chat_value *a,
                            const il_chat_value *b)
{
    il_chat_value left = *a;
    il_chat_value right = *b;
    bool safe = a->safe || b->safe;
    il_chat_value out;

    if (safe && !a->safe) {
        left = il__chat_escaped(r, a);
    }
    if (safe && !b->safe) {
        right = il__chat_escaped(r, b);
    }
    out = il__chat_concat(r, &left, &right);
    out.safe = safe;
    return out;
}

static bool is_list(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_LIST || v->is == IL_CHAT_IS_TUPLE;
}

static il_chat_value binary(il_chat_run *r, int64_t sign, const il_chat_value *a,
                            const il_chat_value *b)
{
    int64_t x;
    int64_t y;
    double u;
    double v;

    if (sign == '~') {
        il_chat_value left = il__chat_text(r, a);
        il_chat_value right = il__chat_text(r, b);

        return il__chat_concat(r, &left, &right);
    }
    if (il__chat_as_int(a, &x) && il__chat_as_int(b, &y)) {
        return of_ints(r, sign, x, y);
    }
    if (il__chat_as_real(a, &u) && il__chat_as_real(b, &v)) {
        return of_reals(r, sign, u, v);
    }
    if (sign == '+' && a->is == IL_CHAT_IS_TEXT && b->is == IL_CHAT_IS_TEXT) {
        return joined(r, a, b);
    }
    if (sign == '+' && is_list(a) && a->is == b->is) {
        return sum_of_lists(r, a, b);
    }
    if (sign == '*' && (is_list(a) || a->is == IL_CHAT_IS_TEXT) &&
        il__chat_as_int(b, &y)) {
        return repeat(r, a, y);
    }
    if (sign == '*' && (is_list(b) || b->is == IL_CHAT_IS_TEXT) &&
        il__chat_as_int(a, &x)) {
        return repeat(r, b, x);
    }
    if (sign == '%' && a->is == IL_CHAT_IS_TEXT && !a->safe) {
        return il__chat_percent(r, a, b);
    }
    if (a->is == IL_CHAT_IS_UNDEFINED || b->is == IL_CHAT_IS_UNDEFINED) {
        const il_chat_value *of = a->is == IL_CHAT_IS_UNDEFINED ? a : b;

        return il__chat_fail(r, IL_ERR_INPUT, "'%.*s' is undefined",
                             (int)(of->size < 64 ? of->size : 64),
                             of->size > 0 ? of->text : "");
    }
    return il__chat_fail(r, IL_ERR_INPUT, "%s and %s cannot be put together by %s",
                         il__chat_kind_name(a), il__chat_kind_name(b),
                         sign == 'F'   ? "//"
                         : sign == 'P' ? "**"
                         : sign == '+' ? "+"
                         : sign == '-' ? "-"
                         : sign == '*' ? "*"
                         : sign == '/' ? "/"
                                       : "%");
}

/* ---- comparisons ---------------------------------------------------------------- */

static bool compared(il_chat_run *r, const char *sign, const il_chat_value *a,
                     const il_chat_value *b)
{
    double x;
    double y;

    if (sign[0] == '=') {
        return il__chat_equal(r, a, b);
    }
    if (sign[0] == '!') {
        return !il__chat_equal(r, a, b);
    }
    if (sign[0] == 'i' || sign[0] == 'n') {
        return il__chat_in(r, a, b) == (sign[0] == 'i');
    }
    if (il__chat_as_real(a, &x) && il__chat_as_real(b, &y) && (x != x || y != y)) {
        return false;
    }
    switch (sign[0] + (sign[1] == '=')) {
    case '<':
        return il__chat_compare(r, a, b) < 0;
    case '<' + 1:
        return il__chat_compare(r, a, b) <= 0;
    case '>':
        return il__chat_compare(r, a, b) > 0;
    default:
        return il__chat_compare(r, a, b) >= 0;
    }
}

static il_chat_value compare(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value a = il__chat_eval(r, n->a);
    bool holds = true;

    for (const il_chat_node *o = n->list; holds && o != NULL && r->status == IL_OK;
         o = o->next) {
        il_chat_value b = il__chat_eval(r, o->a);

        r->line = n->line;
        holds = r->status == IL_OK && compared(r, o->text, &a, &b);
        a = b;
    }
    return il__chat_flag(holds);
}

/* ---- calls ---------------------------------------------------------------------- */

/* Arguments evaluated, with room for one more. */
static bool arguments(il_chat_run *r, const il_chat_node *list, il_chat_args *out)
{
    size_t count = 0;
    il_chat_value *values;
    const char **names;
    size_t *sizes;

    for (const il_chat_node *n = list; n != NULL; n = n->next) {
        count++;
    }
    values = il__chat_alloc(r, count + 1, sizeof *values);
    names = il__chat_alloc(r, count + 1, sizeof *names);
    sizes = il__chat_alloc(r, count + 1, sizeof *sizes);
    if (values == NULL || names == NULL || sizes == NULL) {
        return false;
    }
    *out = (il_chat_args){values, names, sizes, count};
    for (size_t i = 0; list != NULL && r->status == IL_OK; list = list->next, i++) {
        names[i] = list->text;
        sizes[i] = list->size;
        values[i] = il__chat_eval(r, list->a);
    }
    return r->status == IL_OK;
}

il_chat_value il__chat_call_node(il_chat_run *r, const il_chat_node *n,
                                 const il_chat_value *caller)
{
    il_chat_value f = il__chat_eval(r, n->a);
    il_chat_args a;

    if (r->status != IL_OK || !arguments(r, n->list, &a)) {
        return il__chat_undefined;
    }
    if (caller != NULL) {
        ((il_chat_value *)(uintptr_t)a.values)[a.count] = *caller;
        ((const char **)(uintptr_t)a.names)[a.count] = "caller";
        ((size_t *)(uintptr_t)a.sizes)[a.count] = 6;
        a.count++;
    }
    r->line = n->line;
    return il__chat_call(r, &f, &a);
}

static il_chat_value applied(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value v = il__chat_eval(r, n->a);
    il_chat_args a;

    if (r->status != IL_OK || !arguments(r, n->list, &a)) {
        return il__chat_undefined;
    }
    r->line = n->line;
    return n->kind == IL_CHAT_FILTER
               ? il__chat_apply(r, n->text, n->size, &v, &a)
               : il__chat_flag(il__chat_holds(r, n->text, n->size, &v, &a));
}

/* ---- the rest ------------------------------------------------------------------- */

static il_chat_value literal(il_chat_run *r, const il_chat_node *n)
{
    il_chat_is is = n->kind == IL_CHAT_LIST    ? IL_CHAT_IS_LIST
                    : n->kind == IL_CHAT_TUPLE ? IL_CHAT_IS_TUPLE
                                               : IL_CHAT_IS_DICT;
    il_chat_value *items;
    il_chat_value out;
    size_t count = 0;
    size_t i = 0;

    for (const il_chat_node *e = n->list; e != NULL; e = e->next) {
        count++;
    }
    out = il__chat_many(r, is, is == IL_CHAT_IS_DICT ? count / 2 : count, &items);
    for (const il_chat_node *e = n->list; e != NULL && r->status == IL_OK;
         e = e->next) {
        items[i++] = il__chat_eval(r, e->a);
    }
    /* Of a key that stands there twice, the last value counts. */
    for (size_t k = 0; is == IL_CHAT_IS_DICT && r->status == IL_OK && k < out.size;
         k++) {
        il_chat_value before = out;
        const il_chat_value *old;

        before.size = k;
        old = il__chat_find(r, &before, &items[2 * k]);
        if (old != NULL) {
            items[old - items] = items[2 * k + 1];
            memmove(&items[2 * k], &items[2 * k + 2],
                    (out.size - k - 1) * 2 * sizeof *items);
            out.size--;
            k--;
        }
    }
    return out;
}

static il_chat_value sliced(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value a = il__chat_eval(r, n->a);
    il_chat_value bounds[3] = {il__chat_none, il__chat_none, il__chat_none};

    if (n->b != NULL) {
        bounds[0] = il__chat_eval(r, n->b);
    }
    if (n->c != NULL) {
        bounds[1] = il__chat_eval(r, n->c);
    }
    if (n->d != NULL) {
        bounds[2] = il__chat_eval(r, n->d);
    }
    r->line = n->line;
    return r->status == IL_OK
               ? il__chat_slice(r, &a, &bounds[0], &bounds[1], &bounds[2])
               : il__chat_undefined;
}

static il_chat_value signed_number(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value v = il__chat_eval(r, n->a);
    int64_t x;

    if (r->status != IL_OK) {
        return il__chat_undefined;
    }
    if (v.is == IL_CHAT_IS_REAL) {
        return il__chat_real(n->kind == IL_CHAT_NEGATE ? -v.real : v.real);
    }
    if (!il__chat_as_int(&v, &x)) {
        return il__chat_fail(r, IL_ERR_INPUT, "a sign before %s",
                             il__chat_kind_name(&v));
    }
    return n->kind == IL_CHAT_NEGATE ? of_ints(r, '-', 0, x) : il__chat_int(x);
}

static il_chat_value two(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value a = il__chat_eval(r, n->a);
    il_chat_value b = il__chat_eval(r, n->b);

    r->line = n->line;
    if (r->status != IL_OK) {
        return il__chat_undefined;
    }
    return n->kind == IL_CHAT_BINARY ? binary(r, n->number, &a, &b)
                                     : il__chat_index(r, &a, &b);
}

static il_chat_value chosen(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value a;

    switch (n->kind) {
    case IL_CHAT_OR:
        a = il__chat_eval(r, n->a);
        return il__chat_truth(&a) ? a : il__chat_eval(r, n->b);
    case IL_CHAT_AND:
        a = il__chat_eval(r, n->a);
        return il__chat_truth(&a) ? il__chat_eval(r, n->b) : a;
    case IL_CHAT_NOT:
        a = il__chat_eval(r, n->a);
        return il__chat_flag(!il__chat_truth(&a));
    default:
        a = il__chat_eval(r, n->b);
        return il__chat_truth(&a) ? il__chat_eval(r, n->a)
               : n->c != NULL     ? il__chat_eval(r, n->c)
                                  : il__chat_undefined;
    }
}

static il_chat_value value_of(il_chat_run *r, const il_chat_node *n)
{
    const il_chat_value *captured;
    il_chat_value v;

    switch (n->kind) {
    case IL_CHAT_NAME:
        return lookup(r, n);
    case IL_CHAT_STRING:
        return il__chat_plain(n->text, n->size);
    case IL_CHAT_INT:
        return il__chat_int(n->number);
    case IL_CHAT_REAL:
        return il__chat_real(n->real);
    case IL_CHAT_CONSTANT:
        return n->number == 2 ? il__chat_none : il__chat_flag(n->number == 1);
    case IL_CHAT_LIST:
    case IL_CHAT_TUPLE:
    case IL_CHAT_DICT:
        return literal(r, n);
    case IL_CHAT_OR:
    case IL_CHAT_AND:
    case IL_CHAT_NOT:
    case IL_CHAT_CHOOSE:
        return chosen(r, n);
    case IL_CHAT_COMPARE:
        return compare(r, n);
    case IL_CHAT_BINARY:
    case IL_CHAT_INDEX:
        return two(r, n);
    case IL_CHAT_NEGATE:
    case IL_CHAT_POSITIVE:
        return signed_number(r, n);
    case IL_CHAT_MEMBER:
        v = il__chat_eval(r, n->a);
        r->line = n->line;
        return r->status == IL_OK ? il__chat_member(r, &v, n->text, n->size) : v;
    case IL_CHAT_SLICE:
        return sliced(r, n);
    case IL_CHAT_TEST:
    case IL_CHAT_FILTER:
        return applied(r, n);
    case IL_CHAT_CALL:
        return il__chat_call_node(r, n, NULL);
    default: /* what a block wrote, under a name that none can have */
        captured = il__chat_get(r->scope, "{", 1);
        return captured != NULL ? *captured : il__chat_undefined;
    }
}

il_chat_value il__chat_eval(il_chat_run *r, const il_chat_node *n)
{
    il_chat_value out = il__chat_undefined;

    if (r->status != IL_OK || n == NULL) {
        return out;
    }
    r->line = n->line;
    if (il__chat_enter(r)) {
        out = value_of(r, n);
    }
    r->depth--;
    return out;
}
