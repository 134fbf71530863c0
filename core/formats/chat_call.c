/* What chat templates call besides their macros: namespace, dict, range,
 * raise_exception and strftime_now, which goes by a date that is given. */
#include <stdio.h>
#include <stdlib.h>
#include "formats/chat_run.h"

enum { RANGE_MAX = 100000 }; /* Jinja's sandbox has the same */

/* ---- the date ------------------------------------------------------------------- */

/* What a letter of strftime stands for at the beginning of a day; false for one that is
 * not known. */
static bool date_part(const char *date, char letter, char out[16])
{
    static const char *const months[] = {
        "January", "February", "March",     "April",   "May",      "June",
        "July",    "August",   "September", "October", "November", "December"};
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    static const int before[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    int year = atoi(date);
    int month = atoi(date + 5);
    int day = atoi(date + 8);
    int shifted = year - (month < 3);
    int weekday = (shifted + shifted / 4 - shifted / 100 + shifted / 400 +
                   before[month - 1] + day) %
                  7;

    switch (letter) {
    case 'Y':
        return snprintf(out, 16, "%04d", year % 10000) > 0;
    case 'y':
        return snprintf(out, 16, "%02d", year % 100) > 0;
    case 'm':
        return snprintf(out, 16, "%02d", month) > 0;
    case 'd':
        return snprintf(out, 16, "%02d", day) > 0;
    case 'e':
        return snprintf(out, 16, "%2d", day) > 0;
    case 'B':
        return snprintf(out, 16, "%s", months[month - 1]) > 0;
    case 'b':
        return snprintf(out, 16, "%.3s", months[month - 1]) > 0;
    case 'A':
        return snprintf(out, 16, "%s", days[weekday]) > 0;
    case 'a':
        return snprintf(out, 16, "%.3s", days[weekday]) > 0;
    case 'H':
    case 'M':
    case 'S':
        return snprintf(out, 16, "00") > 0;
    case '%':
        return snprintf(out, 16, "%%") > 0;
    default:
        return false;
    }
}

static il_chat_value call_date(il_chat_run *r, const il_chat_value *format)
{
    il_chat_text out = {0};
    char part[16] = "";

    if (r->date == NULL) {
        return il__chat_fail(r, IL_ERR_INPUT,
                             "asks for today's date: give one as `date` (2024-07-26)");
    }
    for (size_t i = 0; i < format->size && il__chat_work(r, 0); i++) {
        if (format->text[i] != '%') {
            il__chat_put_bytes(r, &out, format->text + i, 1);
        } else if (i + 1 < format->size &&
                   date_part(r->date, format->text[i + 1], part)) {
            il__chat_put_bytes(r, &out, part, strlen(part));
            i++;
        } else {
            (void)il__chat_fail(r, IL_ERR_UNSUPPORTED, "that part of a date");
        }
    }
    return il__chat_take(r, &out);
}

/* ---- the functions -------------------------------------------------------------- */

/* Names with values, of namespace(...) and dict(...): from a mapping, and by name. */
static il_chat_value call_namespace(il_chat_run *r, const il_chat_args *a)
{
    il_chat_scope *scope = il__chat_alloc(r, 1, sizeof *scope);

    for (size_t i = 0; i < a->count && r->status == IL_OK; i++) {
        if (a->names[i] != NULL) {
            il__chat_set(r, scope, a->names[i], a->sizes[i], a->values[i]);
            continue;
        }
        if (a->values[i].is != IL_CHAT_IS_DICT || i > 0) {
            return il__chat_fail(r, IL_ERR_INPUT, "namespace: expected NAME=value");
        }
        for (size_t k = 0; k < a->values[i].size; k++) {
            const il_chat_value *key = &a->values[i].items[2 * k];

            if (key->is == IL_CHAT_IS_TEXT) {
                il__chat_set(r, scope, key->text, key->size, key[1]);
            }
        }
    }
    return (il_chat_value){.is = IL_CHAT_IS_NAMESPACE, .object = scope};
}

static il_chat_value call_dict(il_chat_run *r, const il_chat_args *a)
{
    const il_chat_value *from =
        a->count > 0 && a->names[0] == NULL ? &a->values[0] : NULL;
    size_t size = from != NULL ? from->size : 0;
    il_chat_value *items;
    il_chat_value out;
    size_t n = 0;

    if (from != NULL && from->is != IL_CHAT_IS_DICT) {
        return il__chat_fail(r, IL_ERR_UNSUPPORTED, "dict of %s",
                             il__chat_kind_name(from));
    }
    out = il__chat_many(r, IL_CHAT_IS_DICT, size + a->count, &items);
    for (size_t i = 0; r->status == IL_OK && i < 2 * size; i++) {
        items[n++] = from->items[i];
    }
    for (size_t i = from != NULL; r->status == IL_OK && i < a->count; i++) {
        il_chat_value key = il__chat_plain(a->names[i], a->sizes[i]);
        const il_chat_value *old;

        if (a->names[i] == NULL) {
            return il__chat_fail(r, IL_ERR_INPUT, "dict: expected NAME=value");
        }
        out.size = n / 2;
        old = il__chat_find(r, &out, &key);
        if (old != NULL) {
            items[old - items] = a->values[i];
            continue;
        }
        items[n++] = key;
        items[n++] = a->values[i];
    }
    out.size = n / 2;
    return out;
}

static il_chat_value call_range(il_chat_run *r, const il_chat_args *a)
{
    int64_t bounds[3] = {0, 0, 1};
    int64_t n;
    il_chat_value *items;
    il_chat_value out;

    for (size_t i = 0; i < a->count; i++) {
        size_t to = a->count == 1 ? 1 : i;

        if (i > 2 || a->names[i] != NULL ||
            !il__chat_as_int(&a->values[i], &bounds[to]) || bounds[to] > INT32_MAX ||
            bounds[to] < INT32_MIN) {
            return il__chat_fail(r, IL_ERR_INPUT,
                                 "range: expected one to three numbers");
        }
    }
    if (a->count == 0 || bounds[2] == 0) {
        return il__chat_fail(r, IL_ERR_INPUT, "range: expected one to three numbers");
    }
    n = bounds[2] > 0 ? (bounds[1] - bounds[0] + bounds[2] - 1) / bounds[2]
                      : (bounds[0] - bounds[1] - bounds[2] - 1) / -bounds[2];
    n = n < 0 ? 0 : n;
    if (n > RANGE_MAX) {
        return il__chat_fail(r, IL_ERR_INPUT, "range: more than %d numbers", RANGE_MAX);
    }
    out = il__chat_many(r, IL_CHAT_IS_RANGE, (size_t)n, &items);
    for (int64_t i = 0; r->status == IL_OK && i < n; i++) {
        items[i] = il__chat_int(bounds[0] + i * bounds[2]);
    }
    return out;
}

static il_chat_value call_raise(il_chat_run *r, const il_chat_args *a)
{
    il_chat_value text =
        a->count == 1 ? il__chat_text(r, &a->values[0]) : il__chat_plain("", 0);

    if (r->status == IL_OK) {
        r->status = il_error_set(r->err, IL_ERR_INPUT, r->chat->where,
                                 "chat template, line %d, refuses: %.*s", r->line,
                                 (int)(text.size < 400 ? text.size : 400),
                                 text.size > 0 ? text.text : "");
    }
    return il__chat_undefined;
}

static il_chat_value call_function(il_chat_run *r, const il_chat_value *f,
                                   const il_chat_args *a)
{
    const il_chat_value name = il__chat_plain(f->text, f->size);

    if (il__chat_is_text(&name, "raise_exception")) {
        return call_raise(r, a);
    }
    if (il__chat_is_text(&name, "namespace")) {
        return call_namespace(r, a);
    }
    if (il__chat_is_text(&name, "range")) {
        return call_range(r, a);
    }
    if (il__chat_is_text(&name, "dict")) {
        return call_dict(r, a);
    }
    if (il__chat_is_text(&name, "strftime_now") && a->count == 1 &&
        a->values[0].is == IL_CHAT_IS_TEXT) {
        return call_date(r, &a->values[0]);
    }
    return il__chat_fail(r, IL_ERR_UNSUPPORTED, "the function '%.*s'", (int)f->size,
                         f->text);
}

il_chat_value il__chat_call(il_chat_run *r, const il_chat_value *f,
                            const il_chat_args *a)
{
    il_chat_value name;

    switch (f->is) {
    case IL_CHAT_IS_MACRO:
        return il__chat_call_macro(r, f->object, a);
    case IL_CHAT_IS_FUNCTION:
        return call_function(r, f, a);
    case IL_CHAT_IS_METHOD:
        name = il__chat_plain(f->text, f->size);
        return il__chat_method(r, f->items, &name, a);
    case IL_CHAT_IS_UNDEFINED:
        return il__chat_fail(
            r, IL_ERR_INPUT, "'%.*s' is undefined and cannot be called",
            (int)(f->size < 64 ? f->size : 64), f->size > 0 ? f->text : "");
    default:
        return il__chat_fail(r, IL_ERR_INPUT, "%s cannot be called",
                             il__chat_kind_name(f));
    }
}
