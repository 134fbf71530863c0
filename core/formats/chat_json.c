/* Chat templates and JSON: a conversation read from it, and the filter tojson, spelled
 * as Python's json.dumps spells. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/text.h"
#include "formats/chat_run.h"
#include "formats/tokenizer_unicode.h"

/* Where the strings that are read are from: nowhere (-1), one place for all, or places
 * that go on from each to the next. */
typedef struct origin {
    int32_t at;
    bool counts;
} origin;

static const origin nowhere = {-1, false};

/* ---- reading -------------------------------------------------------------------- */

static il_chat_value read_text(il_chat_run *r, const char *text, size_t size, origin *o)
{
    char *own = il__chat_alloc(r, size + 1, 1);
    int32_t *from = o->at >= 0 ? il__chat_alloc(r, size, sizeof *from) : NULL;
    il_chat_value out = il__chat_plain("", 0);

    if (r->status != IL_OK || size == 0) {
        return out;
    }
    memcpy(own, text, size);
    for (size_t i = 0; from != NULL && i < size; i++) {
        from[i] = o->at + (o->counts ? (int32_t)i : 0);
    }
    o->at += o->counts ? (int32_t)size : 0;
    out.text = own;
    out.from = from;
    out.size = size;
    return out;
}

static il_chat_value read_value(il_chat_run *r, const json_t *json, origin *o);

static il_chat_value read_key(il_chat_run *r, const char *key)
{
    origin none = nowhere;

    return read_text(r, key, strlen(key), &none);
}

static il_chat_value read_object(il_chat_run *r, const json_t *json, origin *o)
{
    il_chat_value *items;
    il_chat_value out =
        il__chat_many(r, IL_CHAT_IS_DICT, json_object_size(json), &items);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        bool said = o->counts && strcmp(key, "text") != 0;
        origin none = nowhere;

        if (r->status != IL_OK) {
            break;
        }
        *items++ = read_key(r, key);
        *items++ = read_value(r, value, said ? &none : o);
    }
    return out;
}

static il_chat_value read_value(il_chat_run *r, const json_t *json, origin *o)
{
    il_chat_value out = il__chat_none;
    il_chat_value *items;

    switch (json_typeof(json)) {
    case JSON_STRING:
        return read_text(r, json_string_value(json), json_string_length(json), o);
    case JSON_INTEGER:
        return il__chat_int(json_integer_value(json));
    case JSON_REAL:
        return il__chat_real(json_real_value(json));
    case JSON_TRUE:
    case JSON_FALSE:
        return il__chat_flag(json_is_true(json));
    case JSON_NULL:
        return out;
    case JSON_ARRAY:
        if (il__chat_enter(r)) {
            out = il__chat_many(r, IL_CHAT_IS_LIST, json_array_size(json), &items);
            for (size_t i = 0; r->status == IL_OK && i < out.size; i++) {
                items[i] = read_value(r, json_array_get(json, i), o);
            }
        }
        r->depth--;
        return out;
    default:
        if (il__chat_enter(r)) {
            out = read_object(r, json, o);
        }
        r->depth--;
        return out;
    }
}

static const char *const reasons[] = {"reasoning_content", "thinking", "reasoning"};

/* What a message reasons, under the first of its names; NULL for nothing. */
static const json_t *reasoning(const json_t *message)
{
    for (int k = 0; k < 3; k++) {
        const json_t *v = json_object_get(message, reasons[k]);

        if (v != NULL && !json_is_null(v)) {
            return v;
        }
    }
    return NULL;
}

/* A message: its content counts its bytes from *at on, which is moved behind them, and
 * one more, which stands for whatever else its turn says. What it reasons has the names
 * that templates look for, as `transformers` gives them. */
static il_chat_value read_message(il_chat_run *r, const json_t *json, int32_t *at)
{
    const json_t *reason = reasoning(json);
    const json_t *content = json_object_get(json, "content");
    origin own = {*at, true};
    origin rest;
    il_chat_value said = il__chat_none;
    il_chat_value *items;
    il_chat_value out = il__chat_many(
        r, IL_CHAT_IS_DICT, json_object_size(json) + (reason != NULL ? 2 : 0), &items);
    size_t n = 0;
    const char *key;
    json_t *value;

    if (content != NULL) {
        said = read_value(r, content, &own);
    }
    rest = (origin){own.at, false};
    *at = own.at + 1;
    if (r->status != IL_OK) {
        return out;
    }
    if (reason != NULL) {
        value = json_object_get(json, "thinking");
        items[n++] = read_key(r, "thinking");
        items[n++] = read_value(r, value != NULL ? value : reason, &rest);
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        bool theirs = strcmp(key, "role") == 0 || strcmp(key, "name") == 0 ||
                      strcmp(key, "tool_call_id") == 0;
        bool first = strcmp(key, reasons[0]) == 0;
        origin none = nowhere;

        if (r->status != IL_OK || (reason != NULL && strcmp(key, "thinking") == 0)) {
            continue;
        }
        items[n++] = read_key(r, key);
        items[n++] = strcmp(key, "content") == 0
                         ? said
                         : read_value(r, first && reason != NULL ? reason : value,
                                      theirs ? &none : &rest);
    }
    if (reason != NULL && json_object_get(json, reasons[0]) == NULL) {
        items[n++] = read_key(r, reasons[0]);
        items[n++] = read_value(r, reason, &rest);
    }
    out.size = n / 2;
    return out;
}

static void read_messages(il_chat_run *r, const json_t *json, il_chat_given *out)
{
    il_chat_value *items;
    int32_t at = 0;

    out->count = json_array_size(json);
    out->messages = il__chat_many(r, IL_CHAT_IS_LIST, out->count, &items);
    out->bases = il__chat_alloc(r, out->count + 1, sizeof *out->bases);
    for (size_t i = 0; r->status == IL_OK && i < out->count; i++) {
        const json_t *message = json_array_get(json, i);

        if (!json_is_object(message)) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "message %zu is no object", i);
            return;
        }
        out->bases[i] = at;
        items[i] = read_message(r, message, &at);
    }
    if (r->status == IL_OK) {
        out->bases[out->count] = at;
    }
}

static bool is_date(const char *text)
{
    static const char form[] = "0000-00-00";

    for (size_t i = 0; i < sizeof form; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';

        if (form[i] == '0' ? !digit : text[i] != form[i]) {
            return false;
        }
    }
    return atoi(text) > 0 && atoi(text + 5) >= 1 && atoi(text + 5) <= 12 &&
           atoi(text + 8) >= 1 && atoi(text + 8) <= 31;
}

/* What is given besides the messages. */
static void read_rest(il_chat_run *r, const json_t *json, il_chat_given *out)
{
    il_chat_value *items;
    size_t n = 0;
    const char *key;
    json_t *value;

    out->rest = il__chat_many(r, IL_CHAT_IS_DICT, json_object_size(json), &items);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        origin none = nowhere;

        if (r->status != IL_OK || strcmp(key, "messages") == 0) {
            continue;
        }
        if (strcmp(key, "date") == 0) {
            il_chat_value date = read_value(r, value, &none);

            if (date.is != IL_CHAT_IS_TEXT || date.size != 10 || !is_date(date.text)) {
                (void)il__chat_fail(r, IL_ERR_INPUT,
                                    "date: expected text like 2024-07-26");
                return;
            }
            out->date = date.text;
            continue;
        }
        items[n++] = read_key(r, key);
        items[n++] = read_value(r, value, &none);
    }
    out->rest.size = n / 2;
}

void il__chat_read(il_chat_run *r, const char *json, size_t size, il_chat_given *out)
{
    json_error_t error;
    json_t *whole =
        json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    const json_t *messages =
        json_is_object(whole) ? json_object_get(whole, "messages") : whole;

    memset(out, 0, sizeof *out);
    if (whole == NULL) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "the conversation is no JSON: %s",
                            error.text);
    } else if (!json_is_array(messages)) {
        (void)il__chat_fail(r, IL_ERR_INPUT,
                            "expected a list of messages, or an object with one");
    } else {
        read_messages(r, messages, out);
        if (json_is_object(whole)) {
            read_rest(r, whole, out);
        }
    }
    json_decref(whole);
}

/* ---- writing -------------------------------------------------------------------- */

/* A string between quotes: bytes that stay as they are keep where they are from, what
 * is written for another is from there, too. */
static void put_string(il_chat_run *r, il_chat_text *to, const il_chat_value *v,
                       bool ascii)
{
    static const char names[] = "\"\\nrtbf";
    static const char codes[] = "\"\\\n\r\t\b\f";

    il__chat_put_bytes(r, to, "\"", 1);
    for (size_t i = 0; r->status == IL_OK && i < v->size;) {
        size_t n = il__utf8_length(v->text[i]);
        size_t before = to->size;
        il_chat_value c = il__chat_part(v, i, i + n);
        const char *at = v->text[i] != '\0' ? strchr(codes, v->text[i]) : NULL;
        uint32_t code = 0;
        char spelled[16] = "";

        (void)il__utf8_next(c.text, c.size, &code);
        if (at != NULL) {
            (void)snprintf(spelled, sizeof spelled, "\\%c", names[at - codes]);
        } else if (code < 0x20 || (ascii && code >= 0x7f && code < 0x10000)) {
            (void)snprintf(spelled, sizeof spelled, "\\u%04x", (unsigned)code);
        } else if (ascii && code >= 0x10000) {
            (void)snprintf(spelled, sizeof spelled, "\\u%04x\\u%04x",
                           (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
                           (unsigned)(0xdc00 + ((code - 0x10000) & 0x3ff)));
        }
        if (spelled[0] == '\0') {
            il__chat_put(r, to, &c);
        } else {
            il__chat_put_bytes(r, to, spelled, strlen(spelled));
            for (size_t k = before; c.from != NULL && k < to->size; k++) {
                to->turns[k] = c.from[0];
            }
        }
        i += n;
    }
    il__chat_put_bytes(r, to, "\"", 1);
}

static void put_break(il_chat_run *r, il_chat_text *to, const il_chat_json *how,
                      int64_t depth)
{
    const char *with = how->indentation != NULL ? how->indentation : " ";
    int64_t each = how->indentation != NULL ? 1 : how->indent;

    if (how->indent < 0 && how->indentation == NULL) {
        return;
    }
    il__chat_put_bytes(r, to, "\n", 1);
    for (int64_t i = 0; r->status == IL_OK && i < depth * each; i++) {
        il__chat_put_bytes(r, to, with, strlen(with));
    }
}

/* A key as json.dumps has it: whatever is no text becomes some. */
static void put_key(il_chat_run *r, il_chat_text *to, const il_chat_value *v,
                    const il_chat_json *how)
{
    il_chat_value key = *v;

    if (v->is == IL_CHAT_IS_NONE) {
        key = il__chat_plain("null", 4);
    } else if (v->is == IL_CHAT_IS_FLAG) {
        key = v->number ? il__chat_plain("true", 4) : il__chat_plain("false", 5);
    } else if (v->is == IL_CHAT_IS_INT || v->is == IL_CHAT_IS_REAL) {
        key = il__chat_text(r, v);
    } else if (v->is != IL_CHAT_IS_TEXT) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "tojson: %s as a key",
                            il__chat_kind_name(v));
    }
    put_string(r, to, &key, how->ascii);
}

/* The places of a dict's pairs in the order of their keys. */
static size_t *key_order(il_chat_run *r, const il_chat_value *v)
{
    size_t *order = il__chat_alloc(r, v->size, sizeof *order);

    for (size_t i = 0; order != NULL && i < v->size; i++) {
        size_t k = i;

        for (; k > 0 && il__chat_work(r, 0) &&
               il__chat_compare(r, &v->items[2 * order[k - 1]], &v->items[2 * i]) > 0;
             k--) {
            order[k] = order[k - 1];
        }
        order[k] = i;
    }
    return order;
}

static void put_json(il_chat_run *r, il_chat_text *to, const il_chat_value *v,
                     const il_chat_json *how, int64_t depth);

static void put_many(il_chat_run *r, il_chat_text *to, const il_chat_value *v,
                     const il_chat_json *how, int64_t depth)
{
    bool dict = v->is == IL_CHAT_IS_DICT;
    bool broken = how->indent >= 0 || how->indentation != NULL;
    size_t *order = dict && how->sorted ? key_order(r, v) : NULL;
    const il_chat_value *comma = &how->item_separator;

    il__chat_put_bytes(r, to, dict ? "{" : "[", 1);
    for (size_t i = 0; i < v->size && il__chat_work(r, 0); i++) {
        size_t k = order != NULL ? order[i] : i;

        if (i > 0 && comma->is == IL_CHAT_IS_TEXT) {
            il__chat_put(r, to, comma);
        } else if (i > 0) {
            il__chat_put_bytes(r, to, ", ", broken ? 1 : 2);
        }
        put_break(r, to, how, depth + 1);
        if (dict) {
            put_key(r, to, &v->items[2 * k], how);
            if (how->key_separator.is == IL_CHAT_IS_TEXT) {
                il__chat_put(r, to, &how->key_separator);
            } else {
                il__chat_put_bytes(r, to, ": ", 2);
            }
        }
        put_json(r, to, &v->items[dict ? 2 * k + 1 : k], how, depth + 1);
    }
    if (v->size > 0) {
        put_break(r, to, how, depth);
    }
    il__chat_put_bytes(r, to, dict ? "}" : "]", 1);
}

static void put_json(il_chat_run *r, il_chat_text *to, const il_chat_value *v,
                     const il_chat_json *how, int64_t depth)
{
    il_chat_value text;

    if (!il__chat_enter(r)) {
        r->depth--;
        return;
    }
    switch (v->is) {
    case IL_CHAT_IS_NONE:
        il__chat_put_bytes(r, to, "null", 4);
        break;
    case IL_CHAT_IS_FLAG:
        il__chat_put_bytes(r, to, v->number ? "true" : "false", v->number ? 4 : 5);
        break;
    case IL_CHAT_IS_INT:
    case IL_CHAT_IS_REAL:
        text = il__chat_text(r, v);
        il__chat_put(r, to, &text);
        break;
    case IL_CHAT_IS_TEXT:
        put_string(r, to, v, how->ascii);
        break;
    case IL_CHAT_IS_LIST:
    case IL_CHAT_IS_TUPLE:
    case IL_CHAT_IS_DICT:
        put_many(r, to, v, how, depth);
        break;
    default:
        (void)il__chat_fail(r, IL_ERR_INPUT, "tojson: %s is nothing that JSON has",
                            il__chat_kind_name(v));
    }
    r->depth--;
}

il_chat_value il__chat_to_json(il_chat_run *r, const il_chat_value *v,
                               const il_chat_json *how)
{
    il_chat_text out = {0};

    put_json(r, &out, v, how, 0);
    return il__chat_take(r, &out);
}
